//! What the store may have: per account the changes that are visible, and those that are under way, in order.
//!
//! Invariants: a change is seen at the poll that submits it and at the poll that publishes it, so the reference is exact at any
//! moment; what a start finds is what was visible and the first so many changes that were under way, each whole. Nothing else is
//! accepted: no message more or less, no other flag, UID, MODSEQ, UIDVALIDITY, name or subscription.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::intent::Intent;
use super::messages::Pool;
use super::plain::{Plain, PlainMailbox, Step};
use crate::store::account::AccountState;
use crate::store::{Account, AccountId, Error, Mailbox, Slot, Store};

/// A change that was handed to the log.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub seq: u64,
    pub step: Step,
    /// Whose it is.
    pub operation: u64,
}

/// What was given out in this life, durable or not.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    pub seq: u64,
    pub id: u32,
    pub validity: u32,
    pub uid_next: BTreeMap<u32, u32>,
    pub named: BTreeMap<u32, Vec<Rc<str>>>,
    pub closing: BTreeSet<u32>,
}

/// An account, as it must be.
#[derive(Debug)]
pub(super) struct AccountModel {
    pub id: AccountId,
    pub visible: Plain,
    pub pending: VecDeque<UnderWay>,
    /// `None`: the account was not opened in this life.
    pub assigned: Option<Assigned>,
    /// By mailbox, below which UID messages may have been shown to a read-write session.
    shown: BTreeMap<u32, u32>,
    /// A file of it was damaged: a message may say so.
    pub may_be_damaged: bool,
    /// How many did.
    pub damaged: usize,
}

/// What became of changes that were under way.
#[derive(Default, Debug)]
pub(super) struct Published {
    /// Operations, once for each of their changes.
    pub operations: Vec<u64>,
}

impl AccountModel {
    pub(super) fn new(id: AccountId) -> AccountModel {
        let (visible, pending, shown) = (Plain::default(), VecDeque::new(), BTreeMap::new());
        AccountModel { id, visible, pending, assigned: None, shown, may_be_damaged: false, damaged: 0 }
    }

    pub(super) fn assigned_mut(&mut self) -> &mut Assigned {
        self.assigned.get_or_insert_default()
    }

    /// The account's state, where it is in memory.
    pub(super) fn state(&self, store: &Store) -> Option<Rc<AccountState>> {
        match store.0.accounts.borrow().get(&self.id) {
            Some(Slot::Open(state)) => Some(state.clone()),
            _ => None,
        }
    }

    /// A handle of an account that is in memory.
    fn handle(store: &Store, state: &Rc<AccountState>) -> Account {
        Account::new(store.0.clone(), state.clone())
    }

    /// What a start found must be what was visible and a beginning of what was under way.
    pub(super) fn settle(&mut self, store: &Store, state: &Rc<AccountState>, pool: &Pool) -> Result<(), String> {
        let (seq, id, validity) = {
            let inner = state.inner.borrow();
            // Who opened a new account has submitted its mailboxes by now.
            let made = (inner.seq_assigned - inner.seq) as u32;
            (inner.seq, inner.mailbox_id_assigned - made, inner.uid_validity_assigned - made)
        };
        if seq < self.visible.seq {
            return Err(format!("{:?} is at change {seq}, and {} was published", self.id, self.visible.seq));
        }
        while let Some(next) = self.pending.pop_front_if(|next| next.seq <= seq) {
            self.take(&next);
        }
        if self.visible.seq != seq {
            return Err(format!("{:?} is at change {seq}, which nobody submitted after {}", self.id, self.visible.seq));
        }
        self.pending.clear();
        if id < self.visible.id_max || validity < self.visible.validity_max {
            return Err(format!("{:?} would give out mailbox id {id} and UIDVALIDITY {validity} again", self.id));
        }
        self.settle_recent(state)?;
        self.damaged += self.compare(store, state, pool)?;
        self.assigned = Some(Assigned { seq, id, validity, ..Assigned::default() });
        Ok(())
    }

    /// Which messages are recent need not be durable, but none becomes so that nobody was shown.
    fn settle_recent(&mut self, state: &AccountState) -> Result<(), String> {
        let inner = state.inner.borrow();
        for (id, mailbox) in &mut self.visible.mailboxes {
            let Some(found) = inner.mailboxes.get(id).map(|found| found.data.borrow().recent_from) else { continue };
            let shown = self.shown.get(id).copied().unwrap_or(1).max(mailbox.recent_from);
            if !(mailbox.recent_from..=shown).contains(&found) {
                let expected = mailbox.recent_from;
                return Err(format!("{}: recent from {found}, not from {expected} to {shown}", mailbox.name));
            }
            mailbox.recent_from = found;
        }
        Ok(())
    }

    fn take(&mut self, change: &UnderWay) {
        self.visible.apply(change.seq, &change.step);
    }

    /// Changes came since the account was looked at last: they must be those that `intent` asks for.
    pub(super) fn submitted(
        &mut self,
        index: usize,
        state: &AccountState,
        (intent, operation, unix): (&Intent, u64, u32),
    ) -> Result<usize, String> {
        let (before, now) = (self.assigned_mut().seq, state.inner.borrow().seq_assigned);
        if before == now {
            return Ok(0);
        }
        let about = intent.account().is_none_or(|account| account == index);
        let steps = if about { self.steps(index, intent, unix) } else { Ok(Vec::new()) };
        let steps = steps.map_err(|refused| format!("{intent:?} was taken, and is {refused:?}"))?;
        if steps.len() as u64 != now - before {
            return Err(format!("{intent:?} made {} changes instead of {steps:?}", now - before));
        }
        let count = steps.len();
        for (seq, step) in (before + 1..).zip(steps) {
            if let Step::RecentSeen { mailbox, upto } = step {
                let shown = self.shown.entry(mailbox).or_default();
                *shown = upto.max(*shown);
            }
            self.pending.push_back(UnderWay { seq, step, operation });
        }
        self.assigned_mut().seq = now;
        Ok(count)
    }

    /// The writer had a turn: what it published is visible, and what it no longer has was refused.
    pub(super) fn published(&mut self, store: &Store, state: &AccountState) -> Result<Published, String> {
        let mut published = Published::default();
        if self.pending.is_empty() {
            return Ok(published);
        }
        let seq = state.inner.borrow().seq;
        while let Some(next) = self.pending.pop_front_if(|next| next.seq <= seq) {
            self.take(&next);
            published.operations.push(next.operation);
        }
        if self.visible.seq != seq {
            return Err(format!("{:?} published change {seq}, and {} was the last", self.id, self.visible.seq));
        }
        let commits = &store.0.commits;
        if !commits.is_lost() {
            while let Some(last) = self.pending.pop_back_if(|last| !commits.is_waiting(self.id, last.seq)) {
                self.refuse(&last.step);
            }
        }
        Ok(published)
    }

    /// A change was refused after it had been submitted.
    fn refuse(&mut self, step: &Step) {
        match step {
            Step::Deleted { id } => drop(self.assigned_mut().closing.remove(id)),
            Step::Named { mailbox, .. } => {
                if let Some(named) = self.assigned_mut().named.get_mut(mailbox) {
                    named.pop();
                }
            }
            _ => {}
        }
    }

    /// The next life knows nothing of what this one gave out.
    pub(super) fn end_life(&mut self) {
        self.assigned = None;
    }

    /// Everything that can be seen of the account; how many messages say that they are damaged.
    pub(super) fn compare(&self, store: &Store, state: &Rc<AccountState>, pool: &Pool) -> Result<usize, String> {
        let account = Self::handle(store, state);
        let context = |what: String| format!("{:?} after change {}: {what}", self.id, self.visible.seq);
        if account.sequence() != self.visible.seq {
            return Err(context(format!("it is at {}", account.sequence())));
        }
        let found: BTreeSet<Rc<str>> = account.subscriptions().into_iter().collect();
        if found != self.visible.subscribed() {
            return Err(context(format!("subscribed are {found:?} instead of {:?}", self.visible.subscribed())));
        }
        let (mut there, mut damaged) = (0, 0);
        for mailbox in account.mailboxes().iter().filter(|mailbox| !mailbox.is_noselect()) {
            let plain = self.visible.mailboxes.get(&mailbox.id().0);
            let plain = plain.ok_or_else(|| context(format!("{mailbox:?} is there, and must not be")))?;
            let compared = compare_mailbox(mailbox, plain, pool);
            damaged += compared.map_err(|what| context(format!("{}: {what}", plain.name)))?;
            there += 1;
        }
        if there != self.visible.mailboxes.len() {
            let names: Vec<_> = self.visible.mailboxes.values().map(|mailbox| &mailbox.name).collect();
            return Err(context(format!("{there} mailboxes instead of {names:?}")));
        }
        let messages = self.visible.mailboxes.values().flat_map(|mailbox| mailbox.messages.values());
        let bytes: u64 = messages.map(|message| pool.size(message.number)).sum();
        if account.bytes() != bytes {
            return Err(context(format!("{} octets instead of {bytes}", account.bytes())));
        }
        if damaged > 0 && !self.may_be_damaged {
            return Err(context(format!("{damaged} messages say that they are damaged")));
        }
        Ok(damaged)
    }
}

fn compare_mailbox(mailbox: &Mailbox, plain: &PlainMailbox, pool: &Pool) -> Result<usize, String> {
    let keywords: Vec<Rc<str>> = mailbox.keywords().into_iter().map(Rc::from).collect();
    let found = (mailbox.name(), mailbox.uid_validity().0, mailbox.is_subscribed(), mailbox.uid_next());
    let wanted = (plain.name.clone(), plain.uid_validity, plain.subscribed, plain.uid_next);
    if found != wanted {
        return Err(format!("name, UIDVALIDITY, subscribed and UIDNEXT are {found:?} instead of {wanted:?}"));
    }
    let found = (mailbox.highest_modseq().0, keywords);
    if found != (plain.highest_modseq, plain.keywords.clone()) {
        let wanted = (plain.highest_modseq, &plain.keywords);
        return Err(format!("HIGHESTMODSEQ and keywords are {found:?} instead of {wanted:?}"));
    }
    let view = mailbox.view(true);
    let found = view.entries(1, |entries| {
        entries.map(|(_, it)| (it.uid.0, it.flags.0, it.keywords, it.modseq.0)).collect::<Vec<_>>()
    });
    let wanted = plain.messages.iter().map(|(uid, it)| (*uid, it.flags, it.keywords, it.modseq));
    if !found.iter().copied().eq(wanted.clone()) {
        let wanted: Vec<_> = wanted.collect();
        return Err(format!("UIDs, flags, keywords and MODSEQs are {found:?} instead of {wanted:?}"));
    }
    let mut damaged = 0;
    for (seq, (uid, message)) in (1..).zip(&plain.messages) {
        let read =
            view.message(seq).and_then(|found| found.map(|found| pool.check(&found, message.number)).transpose());
        match read {
            Ok(Some(())) => {}
            Ok(None) => return Err(format!("UID {uid} is not there")),
            Err(Error::Corrupt { .. }) => damaged += 1,
            Err(error) => return Err(format!("UID {uid}: {error}")),
        }
    }
    let counts = mailbox.counts();
    let unseen = plain.messages.values().filter(|message| message.flags & 1 == 0).count();
    let deleted = plain.messages.values().filter(|message| message.flags & 8 != 0).count();
    let found = (counts.messages as usize, counts.unseen as usize, counts.deleted as usize);
    if found != (plain.messages.len(), unseen, deleted) {
        return Err(format!("counts are {counts:?}, {unseen} unseen and {deleted} deleted"));
    }
    Ok(damaged)
}
