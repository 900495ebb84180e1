//! An account in memory, and the handle that sessions hold.
//!
//! Invariants: the account's sequence number is given out when a change is submitted and counted as seen when it is
//! applied; mailbox ids that were given out are never given out twice, durable or not; the state stays in memory while
//! somebody has the account open or anything of it is not sealed, and for a while after that. What makes, names and removes
//! mailboxes is in [`super::tree`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::task::Waker;

use super::Core;
use super::change::Change;
use super::columns::Row;
use super::commit::Done;
use super::copy;
use super::mailbox::Mailbox;
use super::mailbox_state::MailboxState;
use super::map::Sealed;
use super::message::{Fresh, Location};
use super::record::Date;
use super::types::{AccountId, Error, Hash};
use crate::limits::{ACCOUNTS_IDLE_MAILBOX, MAILBOX_LEVELS_MAX, MAILBOX_NAME_BYTES_MAX};

/// What is known of an account.
pub(super) struct AccountState {
    id: AccountId,
    pub inner: RefCell<AccountInner>,
}

#[derive(Default)]
pub(super) struct AccountInner {
    /// Deleted ones as well, while a name or a file needs them.
    pub mailboxes: BTreeMap<u32, Rc<MailboxState>>,
    /// Those that are there.
    pub by_name: BTreeMap<Rc<str>, u32>,
    /// Names that are subscribed and have no mailbox, with the deleted one that says so.
    pub tombstones: BTreeMap<Rc<str>, u32>,
    /// Changes of the tree that are with the log: the next one waits for them.
    pub tree_changes: usize,
    pub tree_waiting: Vec<Waker>,
    /// The sum of RFC822.SIZE of all messages.
    pub bytes: Rc<Cell<u64>>,
    pub mailbox_id_assigned: u32,
    pub uid_validity_assigned: u32,
    pub seq_assigned: u64,
    /// The last change that was applied.
    pub seq: u64,
    /// The last change that made a message of a body file, as far as that can be told from the change.
    pub bodies_seq: u64,
    /// The last change that is in the sealed files.
    pub sealed_seq: u64,
    /// Oldest first.
    pub files: Vec<Rc<Sealed>>,
    /// So many of the oldest files are not merged: the last of them was found damaged.
    pub unmerged: usize,
    /// Body files that a checkpoint found to be left and could not remove yet.
    pub left_bodies: Vec<Hash>,
    /// Whether there is a manifest.
    pub has_manifest: bool,
}

impl AccountState {
    pub(super) fn new(id: AccountId) -> AccountState {
        AccountState { id, inner: RefCell::default() }
    }

    pub(super) fn id(&self) -> AccountId {
        self.id
    }

    /// Whether a checkpoint has something to do.
    pub(super) fn is_unsealed(&self) -> bool {
        let inner = self.inner.borrow();
        inner.seq > inner.sealed_seq
    }

    /// What it takes in memory when all of it is sealed, about: its messages, and a mailbox as [`ACCOUNTS_IDLE_MAILBOX`] of them.
    pub(super) fn idle_weight(&self) -> usize {
        let inner = self.inner.borrow();
        let messages: usize = inner.files.iter().map(|file| file.message_count()).sum();
        messages + ACCOUNTS_IDLE_MAILBOX * inner.mailboxes.len()
    }

    /// Whether there are body files that may have no message any more.
    pub(super) fn has_left_bodies(&self) -> bool {
        let inner = self.inner.borrow();
        let mut mailboxes = inner.mailboxes.values();
        !inner.left_bodies.is_empty() || mailboxes.any(|mailbox| !mailbox.data.borrow().left_bodies.is_empty())
    }

    /// The number of the next change.
    pub(super) fn next_seq(&self) -> u64 {
        self.inner.borrow().seq_assigned + 1
    }

    /// Numbers `change` and hands it to the log.
    pub(super) fn submit(self: &Rc<Self>, core: &Core, change: Change, urgent: bool) -> (u64, Rc<Done>) {
        let seq = {
            let mut inner = self.inner.borrow_mut();
            inner.seq_assigned += 1;
            inner.seq_assigned
        };
        (seq, core.commits.submit(self, seq, change, urgent))
    }

    fn mailbox(&self, id: u32) -> Option<Rc<MailboxState>> {
        self.inner.borrow().mailboxes.get(&id).filter(|mailbox| !mailbox.deleted.get()).cloned()
    }

    /// Whether an append of that UID does anything: the mailbox is there and has not had it.
    pub(super) fn takes(&self, mailbox: u32, uid: u32) -> bool {
        self.mailbox(mailbox).is_some_and(|mailbox| uid >= mailbox.data.borrow().uid_next)
    }

    /// Makes a durable change visible. A change twice, or of a mailbox that is not there, does nothing.
    pub(super) fn apply(&self, seq: u64, change: Change) {
        {
            let mut inner = self.inner.borrow_mut();
            inner.seq = inner.seq.max(seq);
            inner.seq_assigned = inner.seq_assigned.max(seq);
            if change.may_use_bodies() {
                inner.bodies_seq = seq;
            }
        }
        let touched = match change {
            tree if tree.is_of_tree() => {
                let touched = self.inner.borrow_mut().apply_to_tree(seq, tree);
                self.tree_changed();
                touched
            }
            Change::Transferred(transfer) => match (self.mailbox(transfer.source), self.mailbox(transfer.target)) {
                (Some(source), Some(target)) => {
                    copy::apply(seq, &transfer, &source, &target);
                    target.notify();
                    transfer.moves.then_some(source)
                }
                _ => None,
            },
            Change::Appended { mailbox, uid, message } => self.mailbox(mailbox).inspect(|mailbox| {
                let (row, bytes) = (row_of(seq, uid, &message), message.file_bytes());
                mailbox.data.borrow_mut().apply_message(row, Location::Fresh(message), bytes);
            }),
            // Segments are opened before they come here, and what is of the tree came first.
            Change::AppendedSegment { .. }
            | Change::MailboxCreated { .. }
            | Change::Renamed { .. }
            | Change::Deleted { .. }
            | Change::Subscribed { .. } => None,
            Change::Flags { mailbox, uids, op, flags, keywords } => self.mailbox(mailbox).inspect(|mailbox| {
                mailbox.data.borrow_mut().apply_flags(seq, uids, op, (flags, keywords));
            }),
            Change::KeywordNamed { mailbox, bit, name } => self.mailbox(mailbox).inspect(|mailbox| {
                mailbox.data.borrow_mut().apply_keyword(bit, &name);
            }),
            Change::Expunged { mailbox, uids, marked } => self.mailbox(mailbox).inspect(|mailbox| {
                mailbox.data.borrow_mut().apply_expunge(seq, &uids, marked);
            }),
            Change::RecentSeen { mailbox, upto } => {
                if let Some(mailbox) = self.mailbox(mailbox) {
                    mailbox.data.borrow_mut().apply_recent(upto);
                }
                None
            }
        };
        if let Some(mailbox) = touched {
            mailbox.notify();
        }
    }

    /// Takes back what was assigned for a change that failed; the last ones first.
    pub(super) fn forget(&self, change: &Change) {
        if change.is_of_tree() {
            self.tree_changed();
        }
        match change {
            Change::Deleted { mailbox } => {
                if let Some(mailbox) = self.mailbox(*mailbox) {
                    mailbox.closing.set(false);
                }
            }
            Change::KeywordNamed { mailbox, bit, .. } => {
                if let Some(mailbox) = self.mailbox(*mailbox) {
                    mailbox.data.borrow_mut().keywords_named.truncate(usize::from(*bit));
                }
            }
            _ => {}
        }
    }
}

/// The columns' part of a new message.
fn row_of(seq: u64, uid: u32, message: &Fresh) -> Row {
    let record = message.record();
    let date = Date {
        seconds: record.internal_date.seconds.to_native(),
        offset_minutes: record.internal_date.offset_minutes.to_native(),
    };
    Row {
        uid,
        modseq: seq,
        flags: record.flags.to_native(),
        keywords: record.keywords.to_native(),
        size: u32::try_from(record.size.to_native()).unwrap_or(u32::MAX),
        date,
    }
}

/// Why a mailbox can't be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CreateError {
    /// There is one of this name.
    Exists,
    /// No mailbox can have this name.
    Invalid,
    /// Another mailbox has this special use.
    UseTaken,
    /// The account has as many as it can.
    TooMany,
    /// The store can't.
    Store(Error),
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CreateError::Exists => f.write_str("the mailbox exists"),
            CreateError::Invalid => f.write_str("no mailbox can have this name"),
            CreateError::UseTaken => f.write_str("another mailbox has this special use"),
            CreateError::TooMany => f.write_str("too many mailboxes"),
            CreateError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CreateError {}

/// An open account.
pub struct Account {
    core: Rc<Core>,
    state: Rc<AccountState>,
}

impl Clone for Account {
    fn clone(&self) -> Self {
        Account::new(self.core.clone(), self.state.clone())
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.core.close(&self.state);
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {}", self.state.id.0)
    }
}

impl Account {
    pub(super) fn new(core: Rc<Core>, state: Rc<AccountState>) -> Account {
        Account { core, state }
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    pub(super) fn state(&self) -> &Rc<AccountState> {
        &self.state
    }

    /// Its id.
    pub fn id(&self) -> AccountId {
        self.state.id
    }

    /// The account's last change: what QRESYNC, NOTIFY and the archive count by.
    pub fn sequence(&self) -> u64 {
        self.state.inner.borrow().seq
    }

    /// The mailboxes by name, INBOX first, and among them the names that only have mailboxes below them
    /// ([`Mailbox::is_noselect`]).
    pub fn mailboxes(&self) -> Vec<Mailbox> {
        let inner = self.state.inner.borrow();
        let state = |(_, id): (&Rc<str>, &u32)| inner.mailboxes.get(id).cloned();
        let mut states: Vec<Rc<MailboxState>> = inner.by_name.iter().filter_map(state).collect();
        let names = inner.names_without_mailbox();
        if !names.is_empty() {
            let noselect = |name: &str| MailboxState::name_only(0, name, inner.tombstones.contains_key(name));
            states.extend(names.into_iter().map(|name| Rc::new(noselect(name))));
            states.sort_by(|one, other| one.name.borrow().cmp(&other.name.borrow()));
        }
        if let Some(inbox) = states.iter().position(|state| &**state.name.borrow() == "INBOX") {
            states[..=inbox].rotate_right(1);
        }
        states.into_iter().map(|state| Mailbox::new(self.clone(), state)).collect()
    }

    /// The mailbox of that name; INBOX in any case (RFC 9051 §5.1).
    pub fn mailbox(&self, name: &str) -> Option<Mailbox> {
        let inner = self.state.inner.borrow();
        let id = match inner.by_name.get(name) {
            Some(id) => id,
            None => inner.by_name.get(&*canonical(name))?,
        };
        inner.mailboxes.get(id).map(|state| Mailbox::new(self.clone(), state.clone()))
    }
}

/// INBOX is itself in any case, also as the first level of a name.
pub(super) fn canonical(name: &str) -> std::borrow::Cow<'_, str> {
    let first = name.split('/').next().unwrap_or_default();
    if first.eq_ignore_ascii_case("INBOX") && first != "INBOX" {
        return format!("INBOX{}", &name[first.len()..]).into();
    }
    name.into()
}

/// A name that LIST can show and a client can type: levels between slashes, none empty, no controls, no wildcards.
pub(super) fn is_valid_name(name: &str) -> bool {
    name.len() <= MAILBOX_NAME_BYTES_MAX
        && name.split('/').count() <= MAILBOX_LEVELS_MAX
        // A name is never a path; one that looks like a way up is refused all the same, since exports make folders of names.
        && name.split('/').all(|level| !matches!(level, "" | "." | ".."))
        && !name.chars().any(|character| character.is_control() || matches!(character, '%' | '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(canonical("inbox"), "INBOX");
        assert_eq!(canonical("Inbox/Sub"), "INBOX/Sub");
        assert_eq!(canonical("inboxes"), "inboxes");
        for good in ["a", "a/b", "Entwürfe", "..a", "a b"] {
            assert!(is_valid_name(good), "{good}");
        }
        let deep = vec!["a"; MAILBOX_LEVELS_MAX + 1].join("/");
        for bad in [
            "",
            "..",
            "../x",
            "a/../../b",
            "INBOX/../",
            "a/.",
            "/",
            "a/",
            "/a",
            "a//b",
            "a\0",
            "a\n",
            "a*",
            "%",
            &"x".repeat(1001),
            &deep,
        ] {
            assert!(!is_valid_name(bad), "{bad}");
        }
    }
}
