//! Room in the mailboxes of the recipients: what is said where a quota leaves none.
//!
//! At RCPT with the size that was declared (RFC 1870 §3), so that the other recipients get their mail; once more when the
//! message is there, since its size may not have been declared, or declared too small. Then it is all or none in SMTP: what
//! is sent again is delivered to nobody twice; in LMTP each recipient is told. No answer hangs on mail that is already in
//! the mailbox: it stays.

use std::collections::BTreeMap;

use super::outcome::{Reply, storage};
use super::{Dialogue, Transaction};
use crate::store::AccountId;

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

    /// Those of the transaction's accounts that a message of that size would fill beyond their quota, and what they are
    /// told. In SMTP one of them is enough to refuse the whole: for good only where it would be so for everybody.
    pub(super) async fn without_room(
        &self,
        octets: u64,
        transaction: &Transaction,
    ) -> Result<BTreeMap<AccountId, Reply>, Reply> {
        let Transaction { recipients, quotas, .. } = transaction;
        let full = self.context.delivery.without_room(octets, quotas).await.map_err(|error| storage(&error))?;
        let hopeless = |account: &AccountId| quotas.iter().any(|(of, quota)| of == account && octets > *quota);
        if !self.speaks_lmtp() && !full.is_empty() {
            let all = recipients.iter().all(|recipient| hopeless(&recipient.account));
            return Err(if all { TOO_LARGE } else { FULL });
        }
        Ok(full.into_iter().map(|account| (account, if hopeless(&account) { TOO_LARGE } else { FULL })).collect())
    }
}
