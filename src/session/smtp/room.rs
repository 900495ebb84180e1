//! Room in the mailboxes of the recipients: what is said where a quota leaves none.
//!
//! At RCPT with the size that was declared (RFC 1870 §3), so that the other recipients get their mail; once more when the
//! message is there, since its size may not have been declared, or declared too small. Then it is all or none: what is
//! sent again is delivered to nobody twice. No answer hangs on mail that is already in the mailbox: it stays.

use super::data::storage;
use super::{Dialogue, Transaction};
use crate::store::AccountId;

/// A reply: its code, enhanced code and text.
type Reply = (u16, &'static str, &'static str);

/// RFC 3463 §3.3: mailbox full. For the time being: nothing is lost while its owner makes room.
const FULL: Reply = (452, "4.2.2", "The mailbox is full, try again later");
/// RFC 3463 §3.3: message length exceeds administrative limit. Even an empty mailbox would be too small: no time helps.
const TOO_LARGE: Reply = (552, "5.2.3", "The message is larger than this mailbox may be");

impl Dialogue {
    /// Notes a recipient's quota, or says why the mailbox can't take a message of the declared size.
    pub(super) async fn lacks_room(&mut self, account: AccountId, quota: u64) -> Option<Reply> {
        let size = self.transaction.as_ref()?.size;
        if size > quota {
            return Some(TOO_LARGE);
        }
        match self.context.delivery.without_room(size.max(1), &[(account, quota)]).await {
            Ok(full) if full.is_empty() => {
                self.transaction.as_mut()?.quotas.push((account, quota));
                None
            }
            Ok(_) => Some(FULL),
            Err(error) => Some(storage(&error)),
        }
    }

    /// Whether all recipients have room for a message of that size; where not, what is said for the whole.
    pub(super) async fn all_have_room(&self, octets: u64, transaction: &Transaction) -> Result<(), Reply> {
        let Transaction { recipients, quotas, .. } = transaction;
        match self.context.delivery.without_room(octets, quotas).await {
            Ok(full) if full.is_empty() => Ok(()),
            Ok(_) if recipients.len() == quotas.len() && quotas.iter().all(|&(_, quota)| octets > quota) => {
                Err(TOO_LARGE)
            }
            Ok(_) => Err(FULL),
            Err(error) => Err(storage(&error)),
        }
    }
}
