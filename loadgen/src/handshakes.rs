//! The TLS handshakes of a run: how many were full, how many were resumed, and how long each kind took.
//!
//! A handshake takes from the ClientHello until the client has the server's Finished; connecting and STARTTLS come before it.
//! Those of the set-up and of the measured time count, so that a run over standing connections tells its own, and one with a
//! connection an operation has as many as operations, give or take those under way at either end.

use std::time::Duration;

use hdrhistogram::Histogram;
use rustls::HandshakeKind;

use crate::tally::histogram;

/// Handshakes of both kinds. Nanoseconds.
#[derive(Debug)]
pub struct Handshakes {
    /// With a key exchange signed by the server's certificate.
    pub full: Histogram<u64>,
    /// By a ticket or a session of an earlier connection (RFC 8446 §2.2, RFC 5077 §3.1, RFC 5246 §7.3).
    pub resumed: Histogram<u64>,
}

impl Handshakes {
    /// None yet.
    pub fn new() -> Handshakes {
        Handshakes { full: histogram(), resumed: histogram() }
    }

    /// A handshake of `kind` took so long.
    pub fn done(&mut self, kind: HandshakeKind, taken: Duration) {
        let histogram = match kind {
            HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest => &mut self.full,
            HandshakeKind::Resumed => &mut self.resumed,
        };
        histogram.saturating_record(u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX).max(1));
    }
}

impl Default for Handshakes {
    fn default() -> Self {
        Handshakes::new()
    }
}
