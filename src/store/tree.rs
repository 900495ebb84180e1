//! The mailbox tree: CREATE, DELETE, RENAME, SUBSCRIBE, special uses, a new account's mailboxes (RFC 3501 §6.3, RFC 6154).
//!
//! Invariants: a change is decided on the tree as it is and handed to the log in one go, when no other change of the
//! account's tree is with the log ([`super::tree_state`]); a mailbox keeps its id and its UIDVALIDITY when it is renamed, and
//! no other mailbox of the account ever has either, so that no name gets UIDs a second time under one UIDVALIDITY. INBOX
//! is always there. Names are what LIST shows, never paths.

use std::fmt;
use std::rc::Rc;

use super::account::{Account, AccountInner, CreateError, canonical, is_valid_name};
use super::change::{Change, SpecialUse, Transfer};
use super::commit::Done;
use super::mailbox::{Mailbox, RECORD_MARGIN};
use super::tree_state::subtree;
use super::types::Error;
use crate::limits::{COPIED_MESSAGE_BYTES, COPY_MESSAGES_MAX, MAILBOXES_KNOWN_MAX, MAILBOXES_MAX};

/// What a new account has besides INBOX, all of it subscribed.
const FIRST_MAILBOXES: [(&str, SpecialUse); 5] = [
    ("Drafts", SpecialUse::Drafts),
    ("Sent", SpecialUse::Sent),
    ("Junk", SpecialUse::Junk),
    ("Trash", SpecialUse::Trash),
    ("Archive", SpecialUse::Archive),
];

/// Why a mailbox can't be deleted or renamed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TreeError {
    /// There is none of this name.
    Missing,
    /// There is one of the new name.
    Exists,
    /// INBOX can't be deleted, nor a name that only has mailboxes below it; no mailbox can have the new name; a mailbox
    /// can't move below itself.
    Invalid,
    /// The account has as many as it can.
    TooMany,
    /// The store can't.
    Store(Error),
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TreeError::Missing => f.write_str("no such mailbox"),
            TreeError::Exists => f.write_str("the mailbox exists"),
            TreeError::Invalid => f.write_str("not with this mailbox, or not to this name"),
            TreeError::TooMany => f.write_str("too many mailboxes"),
            TreeError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TreeError {}

impl From<CreateError> for TreeError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Exists => TreeError::Exists,
            CreateError::Invalid | CreateError::UseTaken => TreeError::Invalid,
            CreateError::TooMany => TreeError::TooMany,
            CreateError::Store(error) => TreeError::Store(error),
        }
    }
}

impl Account {
    /// Makes a mailbox, and those above it that are missing (RFC 9051 §6.3.4); durable.
    pub async fn create(&self, name: &str) -> Result<Mailbox, CreateError> {
        self.create_with(name, SpecialUse::None).await
    }

    /// Makes a mailbox with a special use (RFC 6154); durable.
    pub async fn create_with(&self, name: &str, special_use: SpecialUse) -> Result<Mailbox, CreateError> {
        let name = canonical(name);
        if !is_valid_name(&name) {
            return Err(CreateError::Invalid);
        }
        self.state().tree_at_rest().await;
        let used = |mailbox: &Mailbox| mailbox.special_use() == special_use;
        if special_use != SpecialUse::None && self.mailboxes().iter().any(used) {
            return Err(CreateError::UseTaken);
        }
        let missing = self.levels_to_make(&name)?;
        self.check_room(&missing).map_err(CreateError::Store)?;
        let mut last = None;
        for level in missing {
            let special_use = if level == name { special_use } else { SpecialUse::None };
            last = Some(self.submit_creation(self.new_ids(), level, (special_use, false)));
        }
        let done = last.ok_or(CreateError::Exists)?;
        done.wait().await.map_err(CreateError::Store)?;
        // Another session may have deleted it since.
        self.mailbox(&name).ok_or(CreateError::Store(Error::Gone))
    }

    /// Makes the mailboxes of a new account, INBOX the last: where it is, the others were made, or the account is older
    /// than they are.
    pub(super) async fn ensure_inbox(&self) -> Result<(), Error> {
        let exists = || self.state().inner.borrow().by_name.contains_key("INBOX");
        if exists() {
            return Ok(());
        }
        self.state().tree_at_rest().await;
        if exists() {
            return Ok(());
        }
        self.core().commits.check_room((FIRST_MAILBOXES.len() + 1) * RECORD_MARGIN)?;
        let inbox = self.new_ids();
        for (name, special_use) in FIRST_MAILBOXES {
            // A crash may have cut the others off.
            if !self.state().inner.borrow().has_name(name) {
                let _ = self.submit_creation(self.new_ids(), name.to_owned(), (special_use, true));
            }
        }
        self.submit_creation(inbox, "INBOX".to_owned(), (SpecialUse::None, true)).wait().await
    }

    /// Deletes a mailbox with its messages, not those below it; durable. Open views of it see all of it expunged, and
    /// [`super::View::is_gone`] says so.
    pub async fn delete(&self, name: &str) -> Result<(), TreeError> {
        let name = canonical(name);
        self.state().tree_at_rest().await;
        if name == "INBOX" {
            return Err(TreeError::Invalid);
        }
        let Some(mailbox) = self.mailbox(&name) else {
            // RFC 3501 §6.3.4: a \Noselect name can't be deleted while there are names below it.
            let noselect = self.state().inner.borrow().has_children(&name);
            return Err(if noselect { TreeError::Invalid } else { TreeError::Missing });
        };
        self.core().commits.check_room(RECORD_MARGIN).map_err(TreeError::Store)?;
        mailbox.state().closing.set(true);
        let done = self.submit_to_tree(Change::Deleted { mailbox: mailbox.id().0 });
        done.wait().await.map_err(TreeError::Store)
    }

    /// Renames a mailbox and those below it; INBOX gives its messages to a new mailbox instead (RFC 3501 §6.3.5), as many of
    /// them as one MOVE may take.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), TreeError> {
        let (from, to) = (canonical(from), canonical(to));
        if !is_valid_name(&to) {
            return Err(TreeError::Invalid);
        }
        self.state().tree_at_rest().await;
        let done = if from == "INBOX" { self.submit_inbox_rename(&to)? } else { self.submit_rename(&from, &to)? };
        done.wait().await.map_err(TreeError::Store)
    }

    fn submit_rename(&self, from: &str, to: &str) -> Result<Rc<Done>, TreeError> {
        {
            let inner = self.state().inner.borrow();
            if !inner.has_name(from) {
                return Err(TreeError::Missing);
            }
            if to.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) {
                return Err(TreeError::Invalid);
            }
            if inner.has_name(to) {
                return Err(TreeError::Exists);
            }
            let mut names = subtree(&inner.by_name, from).chain(subtree(&inner.tombstones, from));
            if !names.all(|(name, _)| is_valid_name(&format!("{to}{}", &name[from.len()..]))) {
                return Err(TreeError::Invalid);
            }
        }
        let mut above = self.levels_to_make(to)?;
        above.pop();
        self.check_room(&above).map_err(TreeError::Store)?;
        for level in above {
            let _ = self.submit_creation(self.new_ids(), level, (SpecialUse::None, false));
        }
        Ok(self.submit_to_tree(Change::Renamed { from: from.to_owned(), to: to.to_owned() }))
    }

    /// RFC 3501 §6.3.5: all messages of INBOX go to a new mailbox, INBOX stays and is empty, and those below it stay.
    fn submit_inbox_rename(&self, to: &str) -> Result<Rc<Done>, TreeError> {
        let inbox = self.mailbox("INBOX").ok_or(TreeError::Missing)?;
        if self.state().inner.borrow().has_name(to) {
            return Err(TreeError::Exists);
        }
        let messages = inbox.counts().messages;
        if messages as usize > COPY_MESSAGES_MAX {
            return Err(TreeError::Store(Error::TooMany));
        }
        let missing = self.levels_to_make(to)?;
        let keywords = inbox.state().data.borrow().keywords_named.clone();
        self.check_room(&missing).map_err(TreeError::Store)?;
        let mut target = 0;
        for level in missing {
            let ids = self.new_ids();
            target = ids.0;
            let _ = self.submit_creation(ids, level, (SpecialUse::None, false));
        }
        for (bit, name) in keywords.iter().enumerate() {
            let change = Change::KeywordNamed { mailbox: target, bit: bit as u8, name: name.to_string() };
            self.state().submit(self.core(), change, true);
        }
        self.core().commits.count_unsealed(COPIED_MESSAGE_BYTES * u64::from(messages));
        let change = Change::Transferred(Transfer {
            source: inbox.id().0,
            target,
            moves: true,
            first: 0,
            keywords: (0..keywords.len() as u8).map(|bit| (bit, bit)).collect(),
            uids: vec![(1, u32::MAX)],
            outcome: Rc::default(),
        });
        Ok(self.state().submit(self.core(), change, true).1)
    }

    /// Subscribes to a mailbox or ends that; durable. `Missing`: there is none of this name, nor a subscription.
    pub async fn subscribe(&self, name: &str, subscribed: bool) -> Result<(), TreeError> {
        let name = canonical(name);
        self.state().tree_at_rest().await;
        let mailbox = {
            let inner = self.state().inner.borrow();
            let live = inner.by_name.get(&*name).and_then(|id| inner.mailboxes.get(id));
            match (live, inner.tombstones.get(&*name)) {
                (Some(mailbox), _) if mailbox.subscribed.get() == subscribed => return Ok(()),
                (Some(mailbox), _) => Some(mailbox.id.0),
                (None, Some(_)) if subscribed => return Ok(()),
                (None, Some(id)) => Some(*id),
                (None, None) if !inner.has_children(&name) => return Err(TreeError::Missing),
                (None, None) if !subscribed => return Ok(()),
                (None, None) if !inner.has_room(1) => return Err(TreeError::TooMany),
                (None, None) => None,
            }
        };
        self.core().commits.check_room(RECORD_MARGIN + name.len()).map_err(TreeError::Store)?;
        let mailbox = mailbox.unwrap_or_else(|| self.new_ids().0);
        let done = self.submit_to_tree(Change::Subscribed { mailbox, subscribed, name: name.into_owned() });
        done.wait().await.map_err(TreeError::Store)
    }

    /// Subscribed names, INBOX first, then by name; also of mailboxes that were deleted since (RFC 3501 §6.3.9).
    pub fn subscriptions(&self) -> Vec<Rc<str>> {
        let inner = self.state().inner.borrow();
        let live = inner.by_name.iter().filter(|(_, id)| {
            let mailbox = inner.mailboxes.get(id);
            mailbox.is_some_and(|mailbox| mailbox.subscribed.get())
        });
        let mut names: Vec<Rc<str>> = live.chain(&inner.tombstones).map(|(name, _)| name.clone()).collect();
        names.sort_unstable_by(|one, other| (&**one != "INBOX", one).cmp(&(&**other != "INBOX", other)));
        names
    }

    /// The sum of RFC822.SIZE of all messages.
    pub fn bytes(&self) -> u64 {
        self.state().inner.borrow().bytes.get()
    }

    /// The names to make for `name` to exist, the outermost first, itself the last.
    fn levels_to_make(&self, name: &str) -> Result<Vec<String>, CreateError> {
        let inner = self.state().inner.borrow();
        if inner.by_name.contains_key(name) {
            return Err(CreateError::Exists);
        }
        let above = name.match_indices('/').map(|(end, _)| &name[..end]).filter(|level| !inner.has_name(level));
        let missing: Vec<String> = above.chain([name]).map(str::to_owned).collect();
        if inner.has_room(missing.len()) { Ok(missing) } else { Err(CreateError::TooMany) }
    }

    /// Whether the log takes the creation of mailboxes, and a few changes with it.
    fn check_room(&self, names: &[String]) -> Result<(), Error> {
        let bytes = names.iter().map(|name| name.len() + RECORD_MARGIN).sum::<usize>();
        self.core().commits.check_room(bytes + 64 * RECORD_MARGIN)
    }

    /// The id and the UIDVALIDITY of a new mailbox.
    fn new_ids(&self) -> (u32, u32) {
        let mut inner = self.state().inner.borrow_mut();
        inner.mailbox_id_assigned += 1;
        inner.uid_validity_assigned = self.core().seed.max(inner.uid_validity_assigned.saturating_add(1));
        (inner.mailbox_id_assigned, inner.uid_validity_assigned)
    }

    fn submit_creation(
        &self,
        (id, uid_validity): (u32, u32),
        name: String,
        (special_use, subscribed): (SpecialUse, bool),
    ) -> Rc<Done> {
        let special_use = special_use as u8;
        self.submit_to_tree(Change::MailboxCreated { id, name, uid_validity, special_use, subscribed })
    }

    /// Hands a change of the tree to the log, which has room for it: the next one waits until it is applied or failed.
    fn submit_to_tree(&self, change: Change) -> Rc<Done> {
        self.state().inner.borrow_mut().tree_changes += 1;
        self.state().submit(self.core(), change, true).1
    }
}

impl AccountInner {
    /// Whether so many names more fit.
    fn has_room(&self, names: usize) -> bool {
        self.by_name.len() + self.tombstones.len() + names <= MAILBOXES_MAX
            && self.mailboxes.len() + names <= MAILBOXES_KNOWN_MAX
    }
}
