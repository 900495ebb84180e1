//! RENAME (RFC 3501 §6.3.5).
//!
//! What is below the mailbox moves along, and INBOX gives its messages away. A session that has the mailbox selected goes on
//! with it under its new name (RFC 2180 §3.4).

use super::Dialogue;
use super::select::NO_MAILBOX;
use super::tell::refusal;
use crate::store::TreeError;

impl Dialogue {
    pub(super) async fn rename(&mut self, from: &str, to: &str) -> Result<(), &'static str> {
        let account = self.account().await?;
        account.rename(from, to).await.map_err(|error| match error {
            TreeError::Missing => NO_MAILBOX,
            TreeError::Exists => "NO [ALREADYEXISTS] There is a mailbox of the new name",
            TreeError::Invalid => "NO [CANNOT] The mailbox can't have this name",
            TreeError::TooMany => "NO [LIMIT] Too many mailboxes",
            TreeError::Store(error) => refusal(&error),
        })
    }
}
