//! CAPABILITY (RFC 3501 §6.1.1): only what is complete is advertised.
//!
//! The list is written anew each time, for it depends on TLS and on who asks; the greeting and the answer to a login
//! carry it too, which saves clients a round trip.

use super::{Dialogue, State};

/// What is there for everybody, at any time.
const ALWAYS: [&str; 15] = [
    "IMAP4rev1",
    "LITERAL+",
    "SASL-IR",
    "IDLE",
    "UNSELECT",
    "UIDPLUS",
    "MOVE",
    "ID",
    "ENABLE",
    "NAMESPACE",
    "CHILDREN",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
];

/// Writes the capabilities, `IMAP4rev1` first. `starttls`: TLS may be started here; `password`: it may be sent now.
pub(super) fn write(out: &mut Vec<u8>, authenticated: bool, starttls: bool, password: bool) {
    for (at, name) in ALWAYS.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
    }
    if authenticated {
        return;
    }
    if starttls {
        out.extend_from_slice(b" STARTTLS");
    }
    // RFC 3501 §6.2.3: LOGIN would be refused.
    out.extend_from_slice(if password { b" AUTH=PLAIN AUTH=LOGIN" } else { b" LOGINDISABLED" });
}

impl Dialogue {
    /// May STARTTLS be sent now?
    pub(super) fn offers_starttls(&self) -> bool {
        self.visit.offers_starttls(&self.wire)
    }

    pub(super) fn capability(&mut self, tag: &str) {
        let authenticated = !matches!(self.state, State::NotAuthenticated);
        let (starttls, password) = (self.offers_starttls(), self.allows_password());
        let out = self.wire.output();
        out.extend_from_slice(b"* CAPABILITY ");
        write(out, authenticated, starttls, password);
        out.extend_from_slice(b"\r\n");
        self.answer(tag, "OK CAPABILITY completed");
    }
}
