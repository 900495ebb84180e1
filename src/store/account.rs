//! An account in memory, and the handle that sessions hold.
//!
//! Invariants: the account's sequence number is given out when a change is submitted and counted as seen when it is
//! applied; mailbox names and ids that were given out are never given out twice, durable or not; the state stays in memory
//! while somebody has the account open or anything of it is not sealed, and goes after that.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::rc::Rc;

use super::Core;
use super::change::Change;
use super::columns::Row;
use super::commit::Done;
use super::mailbox::Mailbox;
use super::mailbox_state::MailboxState;
use super::map::Sealed;
use super::message::Fresh;
use super::record::Date;
use super::types::{AccountId, Error, Hash};
use crate::limits::{MAILBOX_LEVELS_MAX, MAILBOX_NAME_BYTES_MAX, MAILBOXES_MAX};

/// What is known of an account.
pub(super) struct AccountState {
    id: AccountId,
    pub inner: RefCell<AccountInner>,
}

#[derive(Default)]
pub(super) struct AccountInner {
    pub mailboxes: BTreeMap<u32, Rc<MailboxState>>,
    pub by_name: BTreeMap<Rc<str>, u32>,
    /// Names that were submitted and are not durable yet.
    pub reserved: HashSet<String>,
    pub mailbox_id_assigned: u32,
    pub uid_validity_assigned: u32,
    pub seq_assigned: u64,
    /// The last change that was applied.
    pub seq: u64,
    /// The last change that is in the sealed files.
    pub sealed_seq: u64,
    /// Oldest first.
    pub files: Vec<Rc<Sealed>>,
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
        self.inner.borrow().mailboxes.get(&id).cloned()
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
        }
        let touched = match change {
            Change::MailboxCreated { id, name, uid_validity, special_use } => {
                let mailbox = Rc::new(MailboxState::new(id, &name, uid_validity, special_use));
                mailbox.data.borrow_mut().highest_modseq = seq;
                self.inner.borrow_mut().add_mailbox(mailbox);
                None
            }
            Change::Appended { mailbox, uid, message } => self.mailbox(mailbox).inspect(|mailbox| {
                mailbox.data.borrow_mut().apply_append(row_of(seq, uid, &message), message);
            }),
            Change::AppendedSegment { .. } => None,
            Change::Flags { mailbox, uids, op, flags, keywords } => self.mailbox(mailbox).inspect(|mailbox| {
                mailbox.data.borrow_mut().apply_flags(seq, uids, op, (flags, keywords));
            }),
            Change::KeywordNamed { mailbox, bit, name } => self.mailbox(mailbox).inspect(|mailbox| {
                mailbox.data.borrow_mut().apply_keyword(bit, &name);
            }),
            Change::Expunged { mailbox, uids } => self.mailbox(mailbox).inspect(|mailbox| {
                mailbox.data.borrow_mut().apply_expunge(seq, &uids);
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
        match change {
            Change::MailboxCreated { name, .. } => {
                self.inner.borrow_mut().reserved.remove(name);
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

impl AccountInner {
    pub(super) fn add_mailbox(&mut self, mailbox: Rc<MailboxState>) {
        let name = mailbox.name.borrow().clone();
        self.reserved.remove(&*name);
        self.mailbox_id_assigned = self.mailbox_id_assigned.max(mailbox.id.0);
        self.uid_validity_assigned = self.uid_validity_assigned.max(mailbox.uid_validity);
        if self.mailboxes.contains_key(&mailbox.id.0) || self.by_name.contains_key(&name) {
            return;
        }
        self.by_name.insert(name, mailbox.id.0);
        self.mailboxes.insert(mailbox.id.0, mailbox);
    }
}

/// Why a mailbox can't be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CreateError {
    /// There is one of this name.
    Exists,
    /// No mailbox can have this name.
    Invalid,
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
        self.core.close(&self.state, 2);
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

    /// The mailboxes by name, INBOX first.
    pub fn mailboxes(&self) -> Vec<Mailbox> {
        let inner = self.state.inner.borrow();
        let inbox = inner.by_name.get("INBOX");
        let others = inner.by_name.iter().filter(|(name, _)| &***name != "INBOX").map(|(_, id)| id);
        let ids = inbox.into_iter().chain(others);
        ids.filter_map(|id| inner.mailboxes.get(id)).map(|state| Mailbox::new(self.clone(), state.clone())).collect()
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

    /// Makes a mailbox, and those above it that are missing (RFC 9051 §6.3.4); durable.
    pub async fn create(&self, name: &str) -> Result<Mailbox, CreateError> {
        let name = canonical(name);
        if !is_valid_name(&name) {
            return Err(CreateError::Invalid);
        }
        let done = {
            let missing = self.missing_levels(&name)?;
            let bytes = missing.iter().map(|level| level.len() + 128).sum();
            self.core.commits.check_room(bytes).map_err(CreateError::Store)?;
            let mut last = None;
            for level in missing {
                last = Some(self.submit_mailbox(level));
            }
            last.ok_or(CreateError::Exists)?
        };
        done.wait().await.map_err(CreateError::Store)?;
        self.mailbox(&name).ok_or(CreateError::Invalid)
    }

    /// The names to make for `name` to exist, the outermost first.
    fn missing_levels(&self, name: &str) -> Result<Vec<String>, CreateError> {
        let inner = self.state.inner.borrow();
        let exists = |name: &str| inner.by_name.contains_key(name) || inner.reserved.contains(name);
        if exists(name) {
            return Err(CreateError::Exists);
        }
        let levels = name.match_indices('/').map(|(end, _)| &name[..end]).chain([name]);
        let missing: Vec<String> = levels.filter(|level| !exists(level)).map(str::to_owned).collect();
        if inner.mailboxes.len() + inner.reserved.len() + missing.len() > MAILBOXES_MAX {
            return Err(CreateError::TooMany);
        }
        Ok(missing)
    }

    fn submit_mailbox(&self, name: String) -> Rc<Done> {
        let (id, uid_validity) = {
            let mut inner = self.state.inner.borrow_mut();
            inner.reserved.insert(name.clone());
            inner.mailbox_id_assigned += 1;
            inner.uid_validity_assigned = self.core.seed.max(inner.uid_validity_assigned.saturating_add(1));
            (inner.mailbox_id_assigned, inner.uid_validity_assigned)
        };
        let change = Change::MailboxCreated { id, name, uid_validity, special_use: 0 };
        self.state.submit(&self.core, change, true).1
    }
}

/// INBOX is itself in any case, also as the first level of a name.
fn canonical(name: &str) -> std::borrow::Cow<'_, str> {
    let first = name.split('/').next().unwrap_or_default();
    if first.eq_ignore_ascii_case("INBOX") && first != "INBOX" {
        return format!("INBOX{}", &name[first.len()..]).into();
    }
    name.into()
}

/// A name that LIST can show and a client can type: levels between slashes, none empty, no controls, no wildcards.
fn is_valid_name(name: &str) -> bool {
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
