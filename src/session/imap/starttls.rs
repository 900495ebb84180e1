//! STARTTLS (RFC 3501 §6.2.1): nothing from before TLS is kept, neither what was received nor what is known.
//!
//! What came in the clear is thrown away before the OK is sent: a client sends its handshake only after it, so whatever is
//! injected later is no TLS record, and fails the handshake.

use std::io;

use super::{Dialogue, Next, Session};
use crate::limits;
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
        let Some(config) = self.dialogue.endpoint.tls.clone() else { return Ok(Next::Over) };
        self.dialogue.wire.discard(&mut self.input);
        self.dialogue.wire.flush().await?;
        self.dialogue.wire.begin_tls(&config)?;
        self.dialogue.framer = Framer::default();
        self.dialogue.wire.handshake(&mut self.input, limits::HANDSHAKE_TIME_MAX).await?;
        Ok(Next::Command)
    }
}
