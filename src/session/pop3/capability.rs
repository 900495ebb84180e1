//! CAPA (RFC 2449 §5), and the list that AUTH alone asks for: only what is complete is advertised.
//!
//! The list doesn't depend on the state, as RFC 2449 §6 and RFC 2595 §4 have it for all that stands here, but it does on TLS: a
//! capability that asks for a password is there where one may be sent.

use super::Dialogue;

impl Dialogue {
    pub(super) fn capability(&mut self) {
        let (stls, password) = (self.visit.offers_starttls(&self.wire), self.visit.allows_password(&self.wire));
        let out = self.wire.output();
        out.extend_from_slice(b"+OK Capabilities\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n");
        if password {
            out.extend_from_slice(b"USER\r\nSASL PLAIN LOGIN\r\n");
        }
        if stls {
            out.extend_from_slice(b"STLS\r\n");
        }
        // Nothing is ever deleted but by its user (RFC 2449 §6.7).
        out.extend_from_slice(b"EXPIRE NEVER\r\n");
        out.extend_from_slice(concat!("IMPLEMENTATION Ringpost-", env!("CARGO_PKG_VERSION"), "\r\n.\r\n").as_bytes());
    }

    pub(super) fn mechanisms(&mut self) {
        self.wire.output().extend_from_slice(b"+OK Mechanisms\r\nPLAIN\r\nLOGIN\r\n.\r\n");
    }
}
