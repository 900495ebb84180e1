//! DELETE (RFC 3501 §6.3.4).
//!
//! Mailboxes below the deleted one stay, and its name with them (`\Noselect`). Who else has it selected is disconnected
//! (RFC 2180 §3.3), where they next need it; the session that deleted it just has none selected any more.

use super::select::NO_MAILBOX;
use super::tell::refusal;
use super::{Dialogue, State};
use crate::store::TreeError;

impl Dialogue {
    pub(super) async fn delete(&mut self, mailbox: &str) -> Result<(), &'static str> {
        let account = self.account().await?;
        account.delete(mailbox).await.map_err(|error| match error {
            TreeError::Missing => NO_MAILBOX,
            TreeError::Store(error) => refusal(&error),
            _ => "NO [CANNOT] Neither INBOX can be deleted nor a name with mailboxes below it that is none itself",
        })?;
        if let State::Selected(_, view) = &self.state
            && view.is_gone()
        {
            self.deselect();
        }
        Ok(())
    }
}
