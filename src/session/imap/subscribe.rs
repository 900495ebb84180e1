//! SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6, §6.3.7).
//!
//! Only a mailbox that exists can be subscribed; it stays so when it is deleted, until the client ends that.

use super::Dialogue;
use super::select::NO_MAILBOX;
use super::tell::refusal;
use crate::store::TreeError;

impl Dialogue {
    /// `subscribed`: what the mailbox is to be.
    pub(super) async fn subscribe(&mut self, mailbox: &str, subscribed: bool) -> Result<(), &'static str> {
        let account = self.account().await?;
        account.subscribe(mailbox, subscribed).await.map_err(|error| match error {
            TreeError::Store(error) => refusal(&error),
            TreeError::TooMany => "NO [LIMIT] Too many subscriptions",
            _ => NO_MAILBOX,
        })
    }
}
