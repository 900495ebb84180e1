//! STARTTLS (RFC 3501 §6.2.1): nothing from before TLS is kept, neither what was received nor what is known.
//!
//! The switch itself is every protocol's ([`Visit::start_tls`](crate::session::visit::Visit::start_tls)); what the framer
//! has seen in the clear is forgotten here.

use std::io;

use super::{Dialogue, Next, Session};
use crate::proto::imap::Framer;

impl Dialogue {
    pub(super) fn may_start_tls(&mut self, tag: &str) -> Next {
        if !self.offers_starttls() {
            self.answer(tag, if self.wire.is_tls() { "BAD TLS is on already" } else { "BAD TLS is not offered here" });
            return Next::Command;
        }
        self.answer(tag, "OK Begin TLS negotiation now");
        Next::StartTls
    }
}

impl Session {
    pub(super) async fn start_tls(&mut self) -> io::Result<Next> {
        self.dialogue.framer = Framer::default();
        self.dialogue.visit.start_tls((&mut self.input, &mut self.dialogue.wire)).await?;
        Ok(Next::Command)
    }
}
