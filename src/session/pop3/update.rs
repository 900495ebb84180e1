//! QUIT, and the UPDATE state behind it (RFC 1939 §4, §6).
//!
//! The only way to delete: all that is marked in one change of the mailbox, durable before it is answered. The client must
//! have been sent all that it asked for before, and the maildrop is free again before the answer goes out, so that a client
//! that comes back at once finds it so.

use std::io;

use super::{Dialogue, Next, State};
use crate::metrics::Ending;
use crate::session::warn_of;

impl Dialogue {
    pub(super) async fn quit(&mut self) -> io::Result<Next> {
        self.wire.presence().ending(Ending::Logout);
        let State::Transaction(maildrop) = std::mem::replace(&mut self.state, State::Authorization(None)) else {
            self.ok("Until next time");
            return Ok(Next::Over);
        };
        // A message that was asked for, marked and given up in one breath is not lost where it can't be sent.
        self.wire.flush().await?;
        self.wire.sent().await?;
        let updated = maildrop.update().await;
        drop(maildrop);
        match updated {
            Ok(()) => self.ok("Until next time"),
            Err(error) => {
                warn_of(&error);
                self.err("[SYS/TEMP] Some deleted messages not removed");
            }
        }
        Ok(Next::Over)
    }
}
