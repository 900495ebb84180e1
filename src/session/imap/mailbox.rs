//! CREATE and STATUS (RFC 3501 §6.3.3, §6.3.10).
//!
//! Names are checked by the store: a mailbox name is data, never a path. OK is said when the mailbox is durable. STATUS
//! reads counters that are kept, so that it costs the same for any mailbox.

use super::Dialogue;
use super::tell::refusal;
use crate::proto::imap::{StatusItem, respond};
use crate::store::CreateError;

impl Dialogue {
    pub(super) async fn create(&mut self, tag: &str, mailbox: &str) {
        let account = match self.account().await {
            Ok(account) => account,
            Err(text) => return self.answer(tag, text),
        };
        // A name that ends in the separator declares that mailboxes will be made below it.
        let text = match account.create(mailbox.strip_suffix('/').unwrap_or(mailbox)).await {
            Ok(_) => "OK CREATE completed",
            Err(CreateError::Exists) => "NO [ALREADYEXISTS] The mailbox exists",
            Err(CreateError::Invalid) => "NO [CANNOT] No mailbox can have this name",
            Err(CreateError::TooMany) => "NO [LIMIT] Too many mailboxes",
            Err(CreateError::Store(error)) => refusal(&error),
        };
        self.answer(tag, text);
    }

    pub(super) async fn status(&mut self, tag: &str, name: &str, items: &[StatusItem]) {
        let mailbox = match self.mailbox(name).await {
            Ok(mailbox) => mailbox,
            Err(text) => return self.answer(tag, text),
        };
        let counts = mailbox.counts();
        let out = self.wire.output();
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
            let name = StatusItem::NAMED.iter().find(|(named, _)| named == item).map_or("", |(_, name)| *name);
            out.extend_from_slice(name.as_bytes());
            out.push(b' ');
            respond::number(out, u64::from(value));
        }
        out.extend_from_slice(b")\r\n");
        self.tell(true);
        self.answer(tag, "OK STATUS completed");
    }
}
