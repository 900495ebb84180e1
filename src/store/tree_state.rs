//! The tree of an account's mailboxes in memory: names, and what changes of them do.
//!
//! Invariants: a name belongs to one mailbox or to none; `by_name` has the mailboxes that are there, `tombstones` the names
//! that are subscribed and have none; a name that only has mailboxes below it (`\Noselect`) is nowhere, it follows from
//! theirs. One change of the tree is with the log at a time, so that each is decided on what is there; it is applied as it
//! was asked for. Deciding is [`super::tree`]'s part.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use super::account::{AccountInner, AccountState};
use super::change::Change;
use super::mailbox_state::MailboxState;

impl AccountState {
    /// Resolves when no change of the tree is with the log.
    pub(super) async fn tree_at_rest(&self) {
        poll_fn(|context| {
            let mut inner = self.inner.borrow_mut();
            if inner.tree_changes == 0 {
                return Poll::Ready(());
            }
            if !inner.tree_waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                inner.tree_waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// A change of the tree was applied, or failed.
    pub(super) fn tree_changed(&self) {
        let waiting = {
            let mut inner = self.inner.borrow_mut();
            inner.tree_changes = inner.tree_changes.saturating_sub(1);
            if inner.tree_changes == 0 { std::mem::take(&mut inner.tree_waiting) } else { Vec::new() }
        };
        waiting.into_iter().for_each(std::task::Waker::wake);
    }
}

impl AccountInner {
    /// Makes a durable change of the tree visible; the mailbox whose views are to be woken.
    pub(super) fn apply_to_tree(&mut self, seq: u64, change: Change) -> Option<Rc<MailboxState>> {
        match change {
            Change::MailboxCreated { id, name, uid_validity, special_use, subscribed } => {
                if self.mailboxes.contains_key(&id) || self.by_name.contains_key(&*name) {
                    return None;
                }
                let mailbox = MailboxState::new(id, &name, uid_validity, special_use);
                mailbox.data.borrow_mut().highest_modseq = seq;
                mailbox.subscribed.set(subscribed);
                let mailbox = self.add_mailbox(mailbox);
                self.take_name(&mailbox, name.into());
                None
            }
            Change::Renamed { from, to } => {
                self.apply_rename(&from, &to);
                None
            }
            Change::Deleted { mailbox } => self.apply_deletion(mailbox),
            Change::Subscribed { mailbox, subscribed, name } => {
                self.apply_subscription(mailbox, subscribed, &name);
                None
            }
            _ => None,
        }
    }

    /// Takes in a mailbox by its id, not yet by its name.
    pub(super) fn add_mailbox(&mut self, mailbox: MailboxState) -> Rc<MailboxState> {
        let mailbox = Rc::new(mailbox);
        mailbox.data.borrow_mut().account_size = self.bytes.clone();
        self.mailbox_id_assigned = self.mailbox_id_assigned.max(mailbox.id.0);
        self.uid_validity_assigned = self.uid_validity_assigned.max(mailbox.uid_validity);
        self.mailboxes.insert(mailbox.id.0, mailbox.clone());
        mailbox
    }

    /// The sealed files are all read.
    pub(super) fn finish_load(&mut self) {
        for (&id, mailbox) in &self.mailboxes {
            let name = mailbox.name.borrow().clone();
            if mailbox.deleted.get() {
                mailbox.apply_deletion();
            }
            mailbox.data.borrow_mut().finish_load();
            match (mailbox.deleted.get(), mailbox.subscribed.get()) {
                (false, _) => self.by_name.insert(name, id),
                (true, true) => self.tombstones.insert(name, id),
                (true, false) => None,
            };
        }
    }

    /// Gives a mailbox its name, and with it the subscription that the name has.
    fn take_name(&mut self, mailbox: &Rc<MailboxState>, name: Rc<str>) {
        if let Some(tombstone) = self.tombstones.remove(&name) {
            mailbox.subscribed.set(true);
            self.set_subscribed(tombstone, false);
        }
        *mailbox.name.borrow_mut() = name.clone();
        mailbox.data.borrow_mut().unsealed.meta = true;
        self.by_name.insert(name, mailbox.id.0);
    }

    fn set_subscribed(&self, id: u32, subscribed: bool) {
        if let Some(mailbox) = self.mailboxes.get(&id) {
            mailbox.subscribed.set(subscribed);
            mailbox.data.borrow_mut().unsealed.meta = true;
        }
    }

    fn apply_rename(&mut self, from: &str, to: &str) {
        let renamed = |name: &str| Rc::from(format!("{to}{}", &name[from.len()..]));
        let moving: Vec<(Rc<str>, u32)> = subtree(&self.by_name, from).map(|(name, &id)| (name.clone(), id)).collect();
        let names: Vec<(Rc<str>, u32)> =
            subtree(&self.tombstones, from).map(|(name, &id)| (name.clone(), id)).collect();
        for (name, _) in &moving {
            self.by_name.remove(name);
        }
        for (name, id) in moving {
            if let Some(mailbox) = self.mailboxes.get(&id).cloned() {
                self.take_name(&mailbox, renamed(&name));
            }
        }
        // A name without a mailbox goes along, but where one or such a name is already.
        for (name, id) in names {
            self.tombstones.remove(&name);
            let name: Rc<str> = renamed(&name);
            if self.by_name.contains_key(&name) || self.tombstones.contains_key(&name) {
                self.set_subscribed(id, false);
            } else {
                self.set_subscribed(id, true);
                if let Some(mailbox) = self.mailboxes.get(&id) {
                    *mailbox.name.borrow_mut() = name.clone();
                }
                self.tombstones.insert(name, id);
            }
        }
    }

    fn apply_deletion(&mut self, id: u32) -> Option<Rc<MailboxState>> {
        let mailbox = self.mailboxes.get(&id).filter(|mailbox| !mailbox.deleted.get())?.clone();
        let name = mailbox.name.borrow().clone();
        self.by_name.remove(&name);
        if mailbox.subscribed.get() {
            self.tombstones.insert(name, id);
        }
        mailbox.apply_deletion();
        Some(mailbox)
    }

    fn apply_subscription(&mut self, id: u32, subscribed: bool, name: &str) {
        let Some(mailbox) = self.mailboxes.get(&id).cloned() else {
            if subscribed && !self.by_name.contains_key(name) {
                self.add_mailbox(MailboxState::name_only(id, name, true));
                self.tombstones.insert(name.into(), id);
            }
            return;
        };
        self.set_subscribed(id, subscribed);
        if mailbox.deleted.get() && !subscribed {
            let name = mailbox.name.borrow().clone();
            self.tombstones.remove(&name);
        }
    }

    /// Whether there are mailboxes below a name.
    pub(super) fn has_children(&self, name: &str) -> bool {
        subtree(&self.by_name, name).any(|(other, _)| other.len() > name.len())
    }

    /// A mailbox, or a name that has mailboxes below it.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.by_name.contains_key(name) || self.has_children(name)
    }

    /// Names that only have mailboxes below them.
    pub(super) fn names_without_mailbox(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for name in self.by_name.keys() {
            let mut above = parent(name);
            while let Some(name) = above.filter(|name| !self.by_name.contains_key(*name) && names.insert(*name)) {
                above = parent(name);
            }
        }
        names
    }
}

/// The name one level up.
fn parent(name: &str) -> Option<&str> {
    name.rfind('/').map(|end| &name[..end])
}

/// A name and those below it, as far as they are in `names`.
pub(super) fn subtree<'a>(
    names: &'a std::collections::BTreeMap<Rc<str>, u32>,
    top: &'a str,
) -> impl Iterator<Item = (&'a Rc<str>, &'a u32)> {
    let below = format!("{top}/");
    let itself = names.get_key_value(top).into_iter();
    let first: Rc<str> = below.as_str().into();
    itself.chain(names.range(first..).take_while(move |(name, _)| name.starts_with(&*below)))
}
