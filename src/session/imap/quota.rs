//! The quota: whether an account may hold so much more. RFC 5530 (OVERQUOTA).
//!
//! It counts RFC822.SIZE of all messages, a copy as much as its original. It was asked for at login and holds for the session;
//! commands that run at once may pass it together by what they bring.

use super::{Dialogue, State};
use crate::store::Account;

impl Dialogue {
    /// Octets that the user may hold; `None`: no limit.
    pub(super) fn quota(&self) -> Option<u64> {
        match &self.state {
            State::NotAuthenticated => None,
            State::Authenticated(user) | State::Selected(user, _) => user.quota,
        }
    }

    /// Whether `more` octets fit beside what the account holds.
    pub(super) fn check_quota(&self, account: &Account, more: u64) -> Result<(), &'static str> {
        match self.quota() {
            Some(quota) if account.bytes().saturating_add(more) > quota => {
                Err("NO [OVERQUOTA] No room left in your quota")
            }
            _ => Ok(()),
        }
    }
}
