//! The mailbox tree: rename, delete, subscriptions, special uses, and how much an account holds.
//!
//! Not there yet.

use super::account::{Account, CreateError};
use super::change::SpecialUse;
use super::mailbox::Mailbox;
use super::types::Error;

/// Why a mailbox can't be deleted or renamed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TreeError {
    /// There is none of this name.
    Missing,
    /// There is one of the new name.
    Exists,
    /// INBOX can't be deleted; no mailbox can have the new name; a mailbox can't move below itself.
    Invalid,
    /// The account has as many as it can.
    TooMany,
    /// The store can't.
    Store(Error),
}

impl Account {
    /// Makes a mailbox with a special use (RFC 6154); durable. A use that another mailbox has is `CreateError::Invalid`.
    pub async fn create_with(&self, name: &str, special_use: SpecialUse) -> Result<Mailbox, CreateError> {
        let _ = special_use;
        self.create(name).await
    }

    /// Deletes a mailbox with its messages, not those below it; durable. Open views of it see all of it expunged, and
    /// [`super::View::is_gone`] says so.
    pub async fn delete(&self, name: &str) -> Result<(), TreeError> {
        let _ = name;
        Err(TreeError::Store(Error::Busy))
    }

    /// Renames a mailbox and those below it; INBOX gives its messages to a new mailbox instead (RFC 3501 §6.3.5).
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), TreeError> {
        let _ = (from, to);
        Err(TreeError::Store(Error::Busy))
    }

    /// Subscribes to a mailbox or ends that; durable. `Missing`: there is none of this name, nor a subscription.
    pub async fn subscribe(&self, name: &str, subscribed: bool) -> Result<(), TreeError> {
        let _ = (name, subscribed);
        Err(TreeError::Store(Error::Busy))
    }

    /// Subscribed names, INBOX first, then by name; also of mailboxes that were deleted since (RFC 3501 §6.3.9).
    pub fn subscriptions(&self) -> Vec<std::rc::Rc<str>> {
        Vec::new()
    }

    /// The sum of RFC822.SIZE of all messages.
    pub fn bytes(&self) -> u64 {
        0
    }
}

impl Mailbox {
    /// Whether the mailbox is subscribed.
    pub fn is_subscribed(&self) -> bool {
        false
    }

    /// Whether it is a name alone, kept for the mailboxes below it: no session can select it (RFC 3501 §6.3.4).
    pub fn is_noselect(&self) -> bool {
        false
    }
}
