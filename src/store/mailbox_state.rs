//! A mailbox in memory: its messages, what became of them, and what each open view was told.
//!
//! Invariants: only `apply_…` changes what can be seen, and only with changes that are durable; rows are appended
//! ascending by UID; an expunged row keeps its place until every view was told, and its message can be read as long; an
//! operation costs what it touches, not what the mailbox holds (compaction is amortised). What was assigned (the next UID,
//! the names of keywords) runs ahead of what can be seen. While a checkpoint reads the mailbox it is pinned: the checkpoint
//! sees it as it was when it began.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::task::Waker;

use super::change::{SpecialUse, UidRanges};
use super::columns::{Columns, Hidden, Row};
use super::map::Sealed;
use super::map_index::GroupOf;
use super::message::Location;
use super::sealed::{MailboxMeta, Vanished};
use super::types::{FlagOp, Flags, Hash, MailboxId};
use crate::limits::{FLAG_NOTICES_MAX, KEYWORDS_MAX, TOMBSTONES_MAX};

/// Numbers of a mailbox (STATUS, SELECT).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// MESSAGES
    pub messages: u32,
    /// RECENT: messages that no read-write session was told of.
    pub recent: u32,
    /// UNSEEN
    pub unseen: u32,
    /// DELETED: messages with `\Deleted`.
    pub deleted: u32,
    /// SIZE: the sum of RFC822.SIZE.
    pub size: u64,
}

/// What a view was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Rows that exist for it, hidden ones included.
    pub rows: usize,
    /// Rows whose expunge it knows.
    pub hidden: Hidden,
    /// Flag changes up to this one.
    pub flags_upto: u64,
    /// Its own changes that it has told itself, and whether it did so in silence.
    pub own: Vec<(u64, bool)>,
    /// The telling of flags that is under way.
    pub pass: Option<Pass>,
    /// UIDs that are recent for it.
    pub recent: UidRanges,
    pub read_only: bool,
}

/// How far a view is in telling of flags.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    /// Changes up to this one.
    pub upto: u64,
    /// The next message to look at
    pub uid: u32,
    /// of those before this one.
    pub end_uid: u32,
}

#[derive(Debug)]
pub(super) struct MailboxState {
    pub id: MailboxId,
    pub uid_validity: u32,
    pub special_use: SpecialUse,
    pub name: RefCell<Rc<str>>,
    pub subscribed: Cell<bool>,
    /// Not a mailbox any more; where it is subscribed, a name that was one.
    pub deleted: Cell<bool>,
    /// Its deletion is with the log: nothing more is submitted for it.
    pub closing: Cell<bool>,
    pub data: RefCell<MailboxData>,
    /// Views that wait for something to tell.
    pub listeners: RefCell<Vec<(usize, Waker)>>,
}

#[derive(Default, Debug)]
pub(super) struct MailboxData {
    pub columns: Columns,
    pub hidden: Hidden,
    /// Expunged rows that not every view knows of; the others have no message any more.
    unsettled: Vec<u32>,
    views: Vec<Option<Told>>,
    pub uid_next: u32,
    pub uid_next_assigned: u32,
    pub keywords: Vec<Rc<str>>,
    pub keywords_named: Vec<Rc<str>>,
    pub highest_modseq: u64,
    /// The highest change of flags.
    pub flags_modseq: u64,
    /// The first UID that no read-write view was told of.
    pub recent_from: u32,
    unseen: u32,
    deleted: u32,
    size: u64,
    /// The sum of all mailboxes' `size`.
    pub account_size: Rc<Cell<u64>>,
    pinned: Option<Pinned>,
    /// Flag changes for views to tell: MODSEQ and UIDs, in order.
    notices: VecDeque<(u64, UidRanges)>,
    /// All changes after this one are in `notices`.
    notices_after: u64,
    /// What is not sealed.
    pub unsealed: Unsealed,
    /// Messages from this UID on have no place of their own in a file: they are in memory, or copies that read their originals'.
    pub placed_upto: u32,
    /// Body files of messages that are gone; others may still be made of them.
    pub left_bodies: Vec<Hash>,
}

/// What changed since the last checkpoint.
#[derive(Default, Debug)]
pub(super) struct Unsealed {
    /// The mailbox itself.
    pub meta: bool,
    /// The first UID that is not in a file.
    pub from_uid: u32,
    /// What the new messages take in a file, about.
    pub size: u64,
    /// Messages whose flags changed.
    pub flags: UidRanges,
    pub vanished: Vec<Vanished>,
}

/// The mailbox as it was when a checkpoint began to read it, where it is another now.
#[derive(Debug)]
struct Pinned {
    hidden: Hidden,
    uid_next: u32,
    /// Flags, keywords and MODSEQ as they were, by UID.
    before: HashMap<u32, (u16, u64, u64)>,
}

impl Unsealed {
    /// About what it takes in a file.
    pub(super) fn weight(&self) -> u64 {
        self.size + 128 + 24 * self.flags.len() as u64 + 12 * self.vanished.len() as u64
    }
}

impl MailboxState {
    pub(super) fn new(id: u32, name: &str, uid_validity: u32, special_use: u8) -> MailboxState {
        let unsealed = Unsealed { meta: true, from_uid: 1, ..Unsealed::default() };
        let data =
            MailboxData { uid_next: 1, uid_next_assigned: 1, recent_from: 1, unsealed, ..MailboxData::default() };
        MailboxState {
            id: MailboxId(id),
            uid_validity,
            special_use: SpecialUse::from_number(special_use),
            name: RefCell::new(name.into()),
            subscribed: Cell::new(false),
            deleted: Cell::new(false),
            closing: Cell::new(false),
            data: RefCell::new(data),
            listeners: RefCell::default(),
        }
    }

    /// A name without a mailbox: one above mailboxes (id 0), or one that is still subscribed.
    pub(super) fn name_only(id: u32, name: &str, subscribed: bool) -> MailboxState {
        let state = MailboxState::new(id, name, 0, 0);
        state.subscribed.set(subscribed);
        state.deleted.set(true);
        state.closing.set(true);
        state
    }

    /// Whether nothing but older files know of it, and no view reads what it had: that may be in body files.
    pub(super) fn is_forgettable(&self) -> bool {
        self.deleted.get() && !self.subscribed.get() && self.data.borrow().unsettled.is_empty()
    }

    /// Its deletion is durable. It reads as empty, and views are told so.
    pub(super) fn apply_deletion(&self) {
        self.deleted.set(true);
        self.closing.set(true);
        self.data.borrow_mut().remove_all();
    }

    /// The mailbox as it goes into a sealed file, but for its messages.
    pub(super) fn meta(&self) -> MailboxMeta {
        let data = self.data.borrow();
        MailboxMeta {
            id: self.id.0,
            name: self.name.borrow().to_string(),
            uid_validity: self.uid_validity,
            uid_next: data.uid_next,
            special_use: self.special_use as u8,
            subscribed: self.subscribed.get(),
            deleted: self.deleted.get(),
            keywords: data.keywords.iter().map(|name| name.to_string()).collect(),
            highest_modseq: data.highest_modseq,
            recent_from: data.recent_from,
        }
    }

    /// Wakes the views that wait.
    pub(super) fn notify(&self) {
        let listeners = std::mem::take(&mut *self.listeners.borrow_mut());
        listeners.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl MailboxData {
    pub(super) fn counts(&self) -> Counts {
        let recent = self.columns.lower_bound(self.recent_from);
        let hidden_recent = self.hidden.len() - self.hidden.before(recent);
        Counts {
            messages: (self.columns.len() - self.hidden.len()) as u32,
            recent: (self.columns.len() - recent - hidden_recent) as u32,
            unseen: self.unseen,
            deleted: self.deleted,
            size: self.size,
        }
    }

    /// A message came that takes about `bytes` in a file; false: it did before. UIDs come in order, and a replay that meets
    /// what is sealed already has nothing to add.
    pub(super) fn apply_message(&mut self, row: Row, location: Location, bytes: u64) -> bool {
        if row.uid < self.uid_next {
            return false;
        }
        self.highest_modseq = self.highest_modseq.max(row.modseq);
        self.unsealed.meta = true;
        self.unsealed.size += bytes;
        self.add_row(row, location);
        true
    }

    /// UIDs below `next` were given out, whether there is a message or not.
    pub(super) fn skip_uids(&mut self, next: u32) {
        self.unsealed.meta |= next > self.uid_next;
        self.uid_next = self.uid_next.max(next);
        self.uid_next_assigned = self.uid_next_assigned.max(next);
    }

    /// Adds a row to columns and counts.
    pub(super) fn add_row(&mut self, row: Row, location: Location) {
        self.uid_next = self.uid_next.max(row.uid.saturating_add(1));
        self.uid_next_assigned = self.uid_next_assigned.max(self.uid_next);
        self.count(row, true);
        self.columns.push(row, location);
    }

    fn count(&mut self, row: Row, add: bool) {
        let unseen = u32::from(row.flags & Flags::SEEN.0 == 0);
        let deleted = u32::from(row.flags & Flags::DELETED.0 != 0);
        let (size, all) = (u64::from(row.size), self.account_size.get());
        if add {
            (self.unseen, self.deleted) = (self.unseen + unseen, self.deleted + deleted);
            self.size += size;
            self.account_size.set(all + size);
        } else {
            (self.unseen, self.deleted) = (self.unseen - unseen, self.deleted - deleted);
            self.size -= size;
            self.account_size.set(all - size);
        }
    }

    /// Flags were changed.
    pub(super) fn apply_flags(&mut self, modseq: u64, uids: UidRanges, op: FlagOp, operand: (u16, u64)) {
        let mut any = false;
        for &(first, last) in &uids {
            for index in self.columns.range(first, last) {
                any |= self.set_flags(index, modseq, |old| op.apply(old, operand));
            }
        }
        if !any {
            return;
        }
        self.highest_modseq = self.highest_modseq.max(modseq);
        self.flags_modseq = self.flags_modseq.max(modseq);
        self.unsealed.meta = true;
        if self.unsealed.flags != uids {
            self.unsealed.flags.extend_from_slice(&uids);
            if self.unsealed.flags.len() > 2 * FLAG_NOTICES_MAX.max(uids.len()) {
                merge_ranges(&mut self.unsealed.flags);
            }
        }
        if self.views.iter().any(Option::is_some) {
            self.notices.push_back((modseq, uids));
            if self.notices.len() > FLAG_NOTICES_MAX {
                self.notices_after = self.notices.pop_front().map_or(modseq, |(old, _)| old);
            }
        } else {
            self.notices.clear();
            self.notices_after = modseq;
        }
    }

    /// Sets one row's flags; false: it is expunged, or has them.
    pub(super) fn set_flags(&mut self, index: usize, modseq: u64, change: impl Fn((u16, u64)) -> (u16, u64)) -> bool {
        let row = self.columns.row(index);
        let new = change((row.flags, row.keywords));
        if new == (row.flags, row.keywords) || self.hidden.has(index) {
            return false;
        }
        if let Some(pinned) = self.pinned.as_mut().filter(|pinned| row.uid < pinned.uid_next) {
            pinned.before.entry(row.uid).or_insert((row.flags, row.keywords, row.modseq));
        }
        self.count(row, false);
        (self.columns.flags[index], self.columns.keywords[index]) = new;
        self.columns.modseq[index] = modseq;
        self.count(self.columns.row(index), true);
        true
    }

    /// Takes over what a sealed file says of the mailbox itself.
    pub(super) fn load_meta(&mut self, meta: &MailboxMeta) {
        self.uid_next = self.uid_next.max(meta.uid_next);
        self.uid_next_assigned = self.uid_next;
        self.keywords = meta.keywords.iter().take(KEYWORDS_MAX).map(|name| name.as_str().into()).collect();
        self.keywords_named.clone_from(&self.keywords);
        self.highest_modseq = meta.highest_modseq;
        self.recent_from = meta.recent_from;
    }

    /// Takes over a sealed file's changes of older files' messages, and its own messages; false: they don't fit.
    pub(super) fn load_group(&mut self, group: &GroupOf<'_>, file: &Rc<Sealed>) -> bool {
        let gone = group.vanished.iter().filter_map(|gone| self.columns.index_of(gone.uid.to_native()));
        let mut gone: Vec<u32> = gone.filter(|&row| !self.hidden.has(row)).map(|row| row as u32).collect();
        gone.sort_unstable();
        gone.dedup();
        for &row in &gone {
            self.count(self.columns.row(row as usize), false);
            self.columns.location[row as usize].leave();
        }
        self.hidden.add(&gone);
        for changed in group.changed.iter() {
            if let Some(row) = self.columns.index_of(changed.uid.to_native()) {
                let flags = (changed.flags.to_native(), changed.keywords.to_native());
                self.set_flags(row, changed.modseq.to_native(), |_| flags);
                // Flags that are what they were have changed in between, and their MODSEQ was told.
                if !self.hidden.has(row) {
                    self.columns.modseq[row] = changed.modseq.to_native();
                }
            }
        }
        let added = self.columns.len();
        self.columns.extend(group, file);
        // From the row before them on: UIDs ascend from file to file, too.
        if !self.columns.uid[added.saturating_sub(1)..].is_sorted_by(|one, next| one < next) {
            return false;
        }
        self.count_all(added);
        if let Some(&last) = self.columns.uid.last() {
            self.skip_uids(last.saturating_add(1));
        }
        self.placed_upto = self.uid_next;
        true
    }

    /// Adds all rows from `first` on to the counts.
    fn count_all(&mut self, first: usize) {
        let flags = &self.columns.flags[first..];
        self.unseen += flags.iter().map(|flags| u32::from(flags & Flags::SEEN.0 == 0)).sum::<u32>();
        self.deleted += flags.iter().map(|flags| u32::from(flags & Flags::DELETED.0 != 0)).sum::<u32>();
        let size: u64 = self.columns.size[first..].iter().map(|&size| u64::from(size)).sum();
        self.size += size;
        self.account_size.set(self.account_size.get() + size);
    }

    /// The files are all read: what was expunged goes, and nothing is unsealed.
    pub(super) fn finish_load(&mut self) {
        if self.hidden.len() > 0 {
            self.compact();
        }
        self.flags_modseq = self.highest_modseq;
        self.notices_after = self.highest_modseq;
        self.unsealed = Unsealed { from_uid: self.uid_next, ..Unsealed::default() };
        // Those of a deleted mailbox: nothing in the log names them any more, they are swept now.
        self.left_bodies.clear();
    }

    /// Messages were expunged; `marked`: of those that are named the ones that have `\Deleted`.
    pub(super) fn apply_expunge(&mut self, modseq: u64, uids: &UidRanges, marked: bool) {
        let mut rows = Vec::new();
        for &(first, last) in uids {
            let range = self.columns.range(first, last);
            let stays =
                |index: usize| self.hidden.has(index) || marked && self.columns.flags[index] & Flags::DELETED.0 == 0;
            rows.extend(range.filter(|&index| !stays(index)).map(|index| index as u32));
            // Also what has no row: a replay may meet the expunge of a message that a checkpoint left out already.
            let missing = |uid: &u32| self.columns.index_of(*uid).is_none_or(|index| !stays(index));
            self.unsealed.vanished.extend((first..=last).filter(missing).map(|uid| Vanished { uid, modseq }));
        }
        self.highest_modseq = self.highest_modseq.max(modseq);
        self.unsealed.meta = true;
        rows.sort_unstable();
        self.hide(&rows);
    }

    /// All messages go with the mailbox; QRESYNC has nobody to tell.
    fn remove_all(&mut self) {
        let rows: Vec<u32> = (0..self.columns.len() as u32).filter(|&row| !self.hidden.has(row as usize)).collect();
        self.unsealed = Unsealed { meta: true, from_uid: self.uid_next, ..Unsealed::default() };
        self.hide(&rows);
    }

    /// Expunges rows of a sorted list, all of which are there.
    fn hide(&mut self, rows: &[u32]) {
        for &row in rows {
            let row = row as usize;
            self.count(self.columns.row(row), false);
            // A copy that is not sealed yet is its original's in a file that goes on having it.
            if self.columns.uid[row] < self.placed_upto {
                self.columns.location[row].leave();
            }
        }
        if !rows.is_empty() {
            self.hidden.add(rows);
            self.unsettled.extend_from_slice(rows);
        }
        self.settle();
    }

    /// A checkpoint begins to read: what it sees stays as it is now, until [`MailboxData::unpin`].
    pub(super) fn pin(&mut self) {
        let (hidden, uid_next) = (self.hidden.clone(), self.uid_next);
        self.pinned = Some(Pinned { hidden, uid_next, before: HashMap::new() });
    }

    pub(super) fn unpin(&mut self) {
        self.pinned = None;
        self.settle();
    }

    /// A row as it was when the mailbox was pinned; `None`: it was expunged.
    pub(super) fn pinned_row(&self, index: usize) -> Option<Row> {
        let row = self.columns.row(index);
        let Some(pinned) = &self.pinned else { return (!self.hidden.has(index)).then_some(row) };
        if pinned.hidden.has(index) {
            return None;
        }
        let before = pinned.before.get(&row.uid);
        Some(before.map_or(row, |&(flags, keywords, modseq)| Row { flags, keywords, modseq, ..row }))
    }

    /// A keyword got its bit.
    pub(super) fn apply_keyword(&mut self, bit: u8, name: &str) {
        if self.keywords.len() == usize::from(bit) && usize::from(bit) < KEYWORDS_MAX {
            self.keywords.push(name.into());
            self.unsealed.meta = true;
        }
        if self.keywords_named.len() < self.keywords.len() {
            self.keywords_named.push(name.into());
        }
    }

    /// A read-write session was told of the messages below `upto`.
    pub(super) fn apply_recent(&mut self, upto: u32) {
        self.recent_from = self.recent_from.max(upto);
        self.unsealed.meta = true;
    }

    pub(super) fn told(&self, view: usize) -> Option<&Told> {
        self.views.get(view)?.as_ref()
    }

    pub(super) fn told_mut(&mut self, view: usize) -> Option<&mut Told> {
        self.views.get_mut(view)?.as_mut()
    }

    /// A view that knows everything there is, but for what is recent.
    pub(super) fn open_view(&mut self, read_only: bool) -> usize {
        let told = Told {
            rows: self.columns.len(),
            hidden: self.hidden.clone(),
            flags_upto: self.flags_modseq,
            read_only,
            ..Told::default()
        };
        let view = self.views.iter().position(Option::is_none).unwrap_or_else(|| {
            self.views.push(None);
            self.views.len() - 1
        });
        self.views[view] = Some(told);
        view
    }

    pub(super) fn close_view(&mut self, view: usize) {
        self.views[view] = None;
        while self.views.last().is_some_and(Option::is_none) {
            self.views.pop();
        }
        self.settle();
    }

    /// UIDs of flag changes after `modseq` that a view has to look at; `None`: it has to look at all rows.
    pub(super) fn notices_since(&self, modseq: u64) -> Option<impl ExactSizeIterator<Item = &(u64, UidRanges)> + '_> {
        if modseq < self.notices_after {
            return None;
        }
        let start = self.notices.partition_point(|&(notice, _)| notice <= modseq);
        Some(self.notices.range(start..))
    }

    /// Forgets what every view was told.
    pub(super) fn settle(&mut self) {
        let told_flags = self.views.iter().flatten().map(|told| told.flags_upto).min().unwrap_or(u64::MAX);
        while self.notices.front().is_some_and(|&(modseq, _)| modseq <= told_flags) {
            self.notices_after = self.notices.pop_front().map_or(0, |(modseq, _)| modseq);
        }
        if self.pinned.is_some() || !self.views.iter().flatten().all(|told| told.hidden.same(&self.hidden)) {
            return;
        }
        for row in std::mem::take(&mut self.unsettled) {
            let gone = std::mem::replace(&mut self.columns.location[row as usize], Location::Gone);
            // A name that can't be read stays until the account is loaded the next time.
            self.left_bodies.extend(gone.body_name().ok().flatten());
        }
        let enough = (self.columns.len() / 8).clamp(64, TOMBSTONES_MAX);
        if self.hidden.len() >= enough {
            self.compact();
        }
    }

    /// Removes the rows of expunged messages. Every view knows them all.
    fn compact(&mut self) {
        let hidden = std::mem::take(&mut self.hidden);
        self.columns.remove(hidden.rows());
        for told in self.views.iter_mut().flatten() {
            told.rows -= hidden.before(told.rows);
            told.hidden = self.hidden.clone();
        }
    }
}

/// Sorts ranges and joins those that touch.
pub(super) fn merge_ranges(ranges: &mut UidRanges) {
    ranges.sort_unstable();
    let mut merged: UidRanges = Vec::with_capacity(ranges.len());
    for &(first, last) in ranges.iter() {
        match merged.last_mut() {
            Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    *ranges = merged;
}

/// Joins ascending UIDs to ranges.
pub(super) fn ranges_of(uids: impl Iterator<Item = u32>) -> UidRanges {
    let mut ranges: UidRanges = Vec::new();
    uids.for_each(|uid| add_uid(&mut ranges, uid));
    ranges
}

/// Adds a UID that is higher than all of `ranges`.
pub(super) fn add_uid(ranges: &mut UidRanges, uid: u32) {
    match ranges.last_mut() {
        Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
        _ => ranges.push((uid, uid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined() {
        let mut ranges = vec![(9, 9), (1, 3), (2, 5), (6, 6), (20, u32::MAX)];
        merge_ranges(&mut ranges);
        assert_eq!(ranges, [(1, 6), (9, 9), (20, u32::MAX)]);
        assert_eq!(ranges_of([1, 2, 3, 5, 8, 9].into_iter()), [(1, 3), (5, 5), (8, 9)]);
    }
}
