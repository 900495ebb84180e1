//! LIST (RFC 3501 §6.3.8).
//!
//! Every mailbox whose name matches, INBOX first, then by name. A mailbox's parents are mailboxes too, so that `%` meets
//! every level and no name has to be made up.

use std::io;

use super::Dialogue;
use crate::net::Arena;
use crate::proto::imap::{Pattern, respond};

impl Dialogue {
    /// `what`: the reference and the pattern.
    pub(super) async fn list(&mut self, tag: &str, what: (&str, &str), arena: &Arena) -> io::Result<()> {
        let (reference, pattern) = what;
        if pattern.is_empty() {
            // RFC 3501 §6.3.8: an empty pattern asks for the separator and the root of the reference.
            self.put("* LIST (\\Noselect) \"/\" \"\"\r\n");
            self.answer(tag, "OK LIST completed");
            return Ok(());
        }
        let account = match self.account().await {
            Ok(account) => account,
            Err(text) => {
                self.answer(tag, text);
                return Ok(());
            }
        };
        let pattern = Pattern::new(arena, reference, pattern);
        // A mailbox's parents are mailboxes too, so that no level is missing.
        for mailbox in account.mailboxes() {
            let name = mailbox.name();
            if pattern.matches(&name) {
                self.wire.breathe().await?;
                let out = self.wire.output();
                out.extend_from_slice(b"* LIST () \"/\" ");
                respond::mailbox(out, &name);
                out.extend_from_slice(b"\r\n");
            }
        }
        self.tell(true);
        self.answer(tag, "OK LIST completed");
        Ok(())
    }
}
