//! STATUS (RFC 3501 §6.3.10), also for the mailbox that is selected, and as LIST returns it (RFC 5819).
//!
//! It reads counters that are kept, so that it costs the same for any mailbox.

use super::Dialogue;
use crate::proto::imap::{StatusItem, respond};
use crate::store::Mailbox;

/// Writes a STATUS response.
pub(super) fn write(out: &mut Vec<u8>, mailbox: &Mailbox, items: &[StatusItem]) {
    let counts = mailbox.counts();
    out.extend_from_slice(b"* STATUS ");
    respond::mailbox(out, &mailbox.name());
    out.extend_from_slice(b" (");
    for (at, item) in items.iter().enumerate() {
        let value = match item {
            StatusItem::Messages => counts.messages,
            StatusItem::Recent => counts.recent,
            StatusItem::UidNext => mailbox.uid_next(),
            StatusItem::UidValidity => mailbox.uid_validity().0,
            StatusItem::Unseen => counts.unseen,
        };
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(item.name().as_bytes());
        out.push(b' ');
        respond::number(out, u64::from(value));
    }
    out.extend_from_slice(b")\r\n");
}

impl Dialogue {
    pub(super) async fn status(&mut self, name: &str, items: &[StatusItem]) -> Result<(), &'static str> {
        let mailbox = self.mailbox(name).await?;
        write(self.wire.output(), &mailbox, items);
        Ok(())
    }
}
