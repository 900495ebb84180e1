//! The maildrop: an account's INBOX as it was at the login, for one session at a time.
//!
//! Invariants: a view that is never advanced, so that numbers keep their meaning and a message that an IMAP session
//! expunges meanwhile can still be read; marks are this session's own and change nothing; the lock is given back when the
//! maildrop is dropped, whatever ends the session (RFC 1939 §4).

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::rc::Rc;

use crate::limits;
use crate::session::Context;
use crate::store::{AccountId, Entry, Error, View};

/// The maildrops of one shard that are open.
#[derive(Clone, Debug, Default)]
pub struct Maildrops(Rc<RefCell<HashSet<AccountId>>>);

/// A maildrop is open while this lives.
#[derive(Debug)]
struct Lock {
    account: AccountId,
    open: Maildrops,
}

impl Maildrops {
    /// `None`: it is open already.
    fn lock(&self, account: AccountId) -> Option<Lock> {
        self.0.borrow_mut().insert(account).then(|| Lock { account, open: self.clone() })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.open.0.borrow_mut().remove(&self.account);
    }
}

/// Why a maildrop can't be opened.
#[derive(Debug)]
pub(super) enum Unopened {
    /// Another session has it open.
    InUse,
    /// The store can't.
    Store(Error),
}

/// An open maildrop.
#[derive(Debug)]
pub(super) struct Maildrop {
    view: View,
    /// Octets of all its messages.
    octets: u64,
    marks: Marks,
    _lock: Lock,
}

/// Messages that are marked as deleted, a bit each; no memory before the first one.
#[derive(Debug, Default)]
struct Marks {
    words: Vec<u64>,
    count: u32,
    octets: u64,
}

impl Marks {
    fn has(&self, message: u32) -> bool {
        self.words.get(message as usize / 64).is_some_and(|word| word >> (message % 64) & 1 == 1)
    }
}

impl Maildrop {
    /// Opens the account's maildrop, on the shard where it lives.
    pub(super) async fn open(context: &Context, account: AccountId) -> Result<Maildrop, Unopened> {
        let lock = context.maildrops.lock(account).ok_or(Unopened::InUse)?;
        let account = context.store.account(account).await.map_err(Unopened::Store)?;
        let inbox = account.mailbox("INBOX").ok_or(Unopened::Store(Error::Busy))?;
        // For reading alone: `\Recent` is left to those who read.
        let view = inbox.view(true);
        let mut octets = 0;
        for number in 1..=view.exists() {
            octets += view.entry(number).map_or(0, |entry| u64::from(entry.size));
            if (number as usize).is_multiple_of(limits::BREATH_ROWS) {
                context.ring.breathe().await;
            }
        }
        Ok(Maildrop { view, octets, marks: Marks::default(), _lock: lock })
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// How many messages are not marked, and their octets.
    pub(super) fn stat(&self) -> (u32, u64) {
        (self.view.exists() - self.marks.count, self.octets - self.marks.octets)
    }

    /// The highest number, marked or not.
    pub(super) fn highest(&self) -> u32 {
        self.view.exists()
    }

    /// A message that is there and not marked.
    pub(super) fn entry(&self, message: u32) -> Option<Entry> {
        if self.marks.has(message) { None } else { self.view.entry(message) }
    }

    /// Marks a message; false: there is none of that number, or it is marked.
    pub(super) fn mark(&mut self, message: u32) -> bool {
        let Some(entry) = self.entry(message) else { return false };
        if self.marks.words.is_empty() {
            self.marks.words = vec![0; self.view.exists() as usize / 64 + 1];
        }
        self.marks.words[message as usize / 64] |= 1 << (message % 64);
        self.marks.count += 1;
        self.marks.octets += u64::from(entry.size);
        true
    }

    /// Takes all marks back.
    pub(super) fn unmark(&mut self) {
        self.marks = Marks::default();
    }

    /// The UIDs of marked messages. A run of marked neighbours is one range: of the UIDs between two of them no message is
    /// left.
    fn marked(&self) -> Vec<RangeInclusive<u32>> {
        let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
        let mut previous = None;
        for (index, word) in self.marks.words.iter().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let message = index as u32 * 64 + rest.trailing_zeros();
                rest &= rest - 1;
                let Some(uid) = self.view.uid_of(message) else { continue };
                match ranges.last_mut() {
                    Some(run) if previous == Some(message - 1) => *run = *run.start()..=uid,
                    _ => ranges.push(uid..=uid),
                }
                previous = Some(message);
            }
        }
        ranges
    }

    /// Deletes what is marked; resolves when that is durable. What is gone already is no failure.
    pub(super) async fn update(&self) -> Result<(), Error> {
        if self.marks.count == 0 {
            return Ok(());
        }
        self.view.expunge(&self.marked(), false).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maildrop_is_open_once_and_given_back_on_any_end() {
        let open = Maildrops::default();
        let lock = open.lock(AccountId(1)).expect("free");
        assert!(open.lock(AccountId(1)).is_none());
        let other = open.lock(AccountId(2)).expect("another's");
        drop(lock);
        let lock = open.lock(AccountId(1)).expect("given back");
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _lock = lock;
            panic!("a session");
        }));
        assert!(panic.is_err() && open.lock(AccountId(1)).is_some());
        drop(other);
        assert!(open.0.borrow().is_empty());
    }
}
