//! What one session sees of a mailbox, and what it has yet to be told.
//!
//! Invariants: sequence numbers mean what was told last, whatever others do: an expunged message keeps its number and
//! can be read until [`View::advance`] told of it, a new one has none before; EXPUNGE is told only where the caller
//! allows it (RFC 9051 §7.5.1), highest number first, so that every number is right when it is said. A view costs a few
//! dozen bytes; looking at a message, and asking whether anything changed, allocate nothing.

use std::ops::RangeInclusive;
use std::task::{Context, Poll};

use super::body_file::{ColdBlocks, Reading, WarmBlocks};
use super::checkpoint;
use super::columns::Hidden;
use super::entries::{Entries, Entry};
use super::mailbox::Mailbox;
use super::mailbox_state::{MailboxData, Pass, Told, merge_ranges};
use super::message::Message;
use super::types::{Error, FlagOp, Flags, ModSeq};
use crate::limits::{BREATH_ROWS, TOLD_NOTICES_MAX, TOLD_ROWS_MAX};

/// What there is to tell a client, but for flags.
#[derive(Debug)]
pub struct News {
    /// EXPUNGE: the messages that are gone.
    pub expunged: Expunged,
    /// EXISTS and RECENT, where messages came.
    pub exists: Option<(u32, u32)>,
}

/// The numbers of messages that are gone, highest first. It keeps what was and what is, and no list of its own, whatever
/// becomes of the mailbox meanwhile.
#[derive(Debug)]
pub struct Expunged {
    before: Hidden,
    after: Hidden,
    /// Rows that the view knew.
    rows: usize,
    /// So many of `after` are still to be looked at.
    left: usize,
}

impl Iterator for Expunged {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while let Some(at) = self.left.checked_sub(1) {
            self.left = at;
            let row = self.after.rows()[at] as usize;
            if row < self.rows && !self.before.has(row) {
                return Some((row - self.before.before(row)) as u32 + 1);
            }
        }
        None
    }
}

/// One session's view of a mailbox.
#[derive(Debug)]
pub struct View {
    mailbox: Mailbox,
    id: usize,
}

impl Drop for View {
    fn drop(&mut self) {
        let state = self.mailbox.state();
        state.listeners.borrow_mut().retain(|(view, _)| *view != self.id);
        state.data.borrow_mut().close_view(self.id);
    }
}

impl View {
    pub(super) fn open(mailbox: Mailbox, read_only: bool) -> View {
        let id = mailbox.state().data.borrow_mut().open_view(read_only);
        let view = View { mailbox, id };
        view.take_recent();
        view
    }

    /// The mailbox.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    pub(super) fn with<T>(&self, ask: impl FnOnce(&MailboxData, &Told) -> T) -> T {
        let data = self.mailbox.state().data.borrow();
        ask(&data, data.told(self.id).expect("a view is registered until it is dropped"))
    }

    /// EXISTS, as it was told.
    pub fn exists(&self) -> u32 {
        self.with(|_, told| exists(told))
    }

    /// RECENT, as it was told.
    pub fn recent(&self) -> u32 {
        self.with(recent)
    }

    /// The number of the first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<u32> {
        self.with(|data, told| {
            let mut rows = 0..told.rows;
            let row = rows.find(|&row| data.columns.flags[row] & Flags::SEEN.0 == 0 && !told.hidden.has(row))?;
            Some((row - told.hidden.before(row)) as u32 + 1)
        })
    }

    /// Whether there is anything to tell.
    pub fn changed(&self) -> bool {
        self.with(|data, told| {
            told.rows != data.columns.len() || !told.hidden.same(&data.hidden) || told.flags_upto < data.flags_modseq
        })
    }

    /// Ready when there is something to tell (IDLE), and always when the mailbox was deleted.
    pub fn poll_changed(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.changed() || self.is_gone() {
            return Poll::Ready(());
        }
        let mut listeners = self.mailbox.state().listeners.borrow_mut();
        match listeners.iter_mut().find(|(view, _)| *view == self.id) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => listeners.push((self.id, context.waker().clone())),
        }
        Poll::Pending
    }

    /// Moves on to what the mailbox is now: expunges (where allowed), then new messages, told in this order; then
    /// [`View::next_flags`], to its end.
    pub fn advance(&mut self, allow_expunge: bool) -> News {
        let (expunged, grown) = {
            let mut data = self.mailbox.state().data.borrow_mut();
            let (rows, hidden, upto) = (data.columns.len(), data.hidden.clone(), data.flags_modseq);
            let known = data.told(self.id).map_or(rows, |told| told.rows);
            let end_uid = data.columns.uid.get(known).copied().unwrap_or(data.uid_next);
            let told = data.told_mut(self.id).expect("a view is registered until it is dropped");
            let before = told.hidden.clone();
            if allow_expunge {
                told.hidden = hidden;
            }
            told.rows = rows;
            told.pass = (told.flags_upto < upto).then_some(Pass { upto, uid: 0, end_uid });
            let grown = (known..rows).any(|row| !told.hidden.has(row));
            let after = told.hidden.clone();
            let left = if after.same(&before) { 0 } else { after.len() };
            data.settle();
            (Expunged { before, after, rows: known, left }, grown)
        };
        if grown {
            self.take_recent();
        }
        News { expunged, exists: grown.then(|| (self.exists(), self.recent())) }
    }

    /// After [`View::advance`]: numbers of messages whose flags changed, ascending, some at a time and now and then none; at
    /// last `None`. What changes meanwhile is told the next time.
    pub fn next_flags(&mut self) -> Option<Vec<u32>> {
        let mut data = self.mailbox.state().data.borrow_mut();
        let told = data.told(self.id)?;
        let pass = told.pass?;
        let (rows, next) = changed_rows(&data, told, pass);
        let numbers = rows.into_iter().map(|row| (row - told.hidden.before(row)) as u32 + 1).collect();
        let told = data.told_mut(self.id)?;
        told.pass = next.map(|uid| Pass { uid, ..pass });
        if next.is_none() {
            told.flags_upto = pass.upto;
            told.own.clear();
            data.settle();
        }
        Some(numbers)
    }

    /// The session itself has answered its change of flags: [`View::advance`] need not tell it of those again. `silent`: it
    /// did not say what the flags are now, so that what others changed of the same messages is still to be told.
    pub fn told(&mut self, modseq: ModSeq, silent: bool) {
        let mut data = self.mailbox.state().data.borrow_mut();
        let Some(told) = data.told(self.id) else { return };
        let mut earlier = told.own.clone();
        earlier.push((modseq.0, silent));
        let all_own = data.notices_since(told.flags_upto).is_some_and(|notices| {
            notices
                .take_while(|(notice, _)| *notice <= modseq.0)
                .all(|(notice, _)| earlier.iter().any(|(own, _)| own == notice))
        });
        let Some(told) = data.told_mut(self.id) else { return };
        if !all_own {
            told.own = earlier;
        } else if told.flags_upto < modseq.0 {
            // Nobody else changed anything before it: nothing to tell up to here, and nothing to remember.
            told.flags_upto = modseq.0;
            told.own.clear();
        }
        data.settle();
    }

    /// Whether the mailbox was deleted: all that is left is to tell of its messages' end.
    pub fn is_gone(&self) -> bool {
        self.mailbox.state().deleted.get()
    }

    /// New messages become recent here; where the view is read-write, nowhere else after it.
    fn take_recent(&self) {
        let taken = {
            let mut data = self.mailbox.state().data.borrow_mut();
            let (from, next) = (data.recent_from, data.uid_next);
            let Some(told) = data.told_mut(self.id) else { return };
            if from >= next {
                return;
            }
            told.recent.push((from, next - 1));
            merge_ranges(&mut told.recent);
            let taken = !told.read_only;
            if taken {
                data.recent_from = next;
            }
            taken.then_some(next)
        };
        if let Some(upto) = taken {
            self.mailbox.submit_recent(upto);
        }
    }

    /// The UID of a message; `None` beyond EXISTS.
    pub fn uid_of(&self, seq: u32) -> Option<u32> {
        self.with(|data, told| Some(data.columns.uid[row_of(told, seq)?]))
    }

    /// The number of the first message with this UID or a higher one; one more than EXISTS where there is none.
    pub fn first_at_or_after(&self, uid: u32) -> u32 {
        self.with(|data, told| position(data, told, uid) + 1)
    }

    /// A message's values; `None` beyond EXISTS.
    pub fn entry(&self, seq: u32) -> Option<Entry> {
        self.entries(seq, |mut entries| entries.next().map(|(_, entry)| entry))
    }

    /// Reads the messages from number `seq` on, one after the other. `read` may look into them as well ([`View::message`]).
    pub fn entries<T>(&self, seq: u32, read: impl FnOnce(Entries<'_>) -> T) -> T {
        self.with(|data, told| read(Entries::new(data, told, seq)))
    }

    /// Whether the mailbox was selected for reading alone.
    pub fn is_read_only(&self) -> bool {
        self.with(|_, told| told.read_only)
    }

    /// What of a message may have to come from the disk, for a helper thread to read in before the message is asked for;
    /// [`View::warmed`] takes the answer. To be asked until there is nothing: one thing may tell where another lies.
    pub fn cold(&self, seq: u32, reading: &Reading) -> Option<ColdBlocks> {
        let bodies = &self.mailbox.account().core().bodies;
        self.with(|data, told| data.columns.location[row_of(told, seq)?].cold(reading, bodies))
    }

    /// Takes back what a helper thread verified of a message.
    pub fn warmed(&self, seq: u32, warm: &WarmBlocks) {
        let bodies = &self.mailbox.account().core().bodies;
        self.with(|data, told| {
            if let Some(row) = row_of(told, seq) {
                data.columns.location[row].warmed(warm, bodies);
            }
        });
    }

    /// A message, pinned; `None` beyond EXISTS.
    pub fn message(&self, seq: u32) -> Result<Option<Message>, Error> {
        self.with(|data, told| match row_of(told, seq) {
            Some(row) => {
                let bodies = &self.mailbox.account().core().bodies;
                Message::at(&data.columns.location[row], data.columns.uid[row], bodies)
            }
            None => Ok(None),
        })
    }

    /// UID ranges cut at what this view knows: a client does not address what it was not told of.
    pub(super) fn known(&self, uids: &[RangeInclusive<u32>]) -> Vec<(u32, u32)> {
        let highest = self.with(|data, told| told.rows.checked_sub(1).map_or(0, |last| data.columns.uid[last]));
        let ranges = uids.iter().map(|range| (*range.start(), (*range.end()).min(highest)));
        let mut ranges = ranges.filter(|(first, last)| first <= last).collect();
        merge_ranges(&mut ranges);
        ranges
    }

    /// Changes flags and keywords of messages by UID; resolves when that is durable and visible, with its MODSEQ;
    /// `None` where there was nothing to change.
    pub async fn change_flags(
        &self,
        uids: &[RangeInclusive<u32>],
        op: FlagOp,
        flags: Flags,
        keywords: &[String],
    ) -> Result<Option<ModSeq>, Error> {
        checkpoint::make_room(self.mailbox.account().core()).await;
        let submitted = self.mailbox.submit_flags(&self.known(uids), op, flags, keywords)?;
        let Some((modseq, done)) = submitted else { return Ok(None) };
        done.wait().await?;
        Ok(Some(modseq))
    }

    /// Expunges messages by UID, only those that have `\Deleted` now where so asked; resolves when that is durable.
    pub async fn expunge(&self, uids: &[RangeInclusive<u32>], only_deleted: bool) -> Result<(), Error> {
        checkpoint::make_room(self.mailbox.account().core()).await;
        match self.mailbox.submit_expunge(&self.known(uids), only_deleted)? {
            Some(done) => done.wait().await,
            None => Ok(()),
        }
    }
}

fn exists(told: &Told) -> u32 {
    (told.rows - told.hidden.len()) as u32
}

/// The row of a number.
fn row_of(told: &Told, seq: u32) -> Option<usize> {
    let row = told.hidden.row_at((seq as usize).checked_sub(1)?);
    (row < told.rows).then_some(row)
}

/// How many messages of the view have lower UIDs.
fn position(data: &MailboxData, told: &Told, uid: u32) -> u32 {
    let row = data.columns.lower_bound(uid).min(told.rows);
    (row - told.hidden.before(row)) as u32
}

fn recent(data: &MailboxData, told: &Told) -> u32 {
    let ranges = told.recent.iter();
    let counts = ranges.map(|&(first, last)| {
        let end = last.checked_add(1).map_or(exists(told), |after| position(data, told, after));
        end - position(data, told, first)
    });
    counts.sum()
}

/// Some of the rows that the view knew and whose flags changed since, and the UID to go on with.
fn changed_rows(data: &MailboxData, told: &Told, pass: Pass) -> (Vec<usize>, Option<u32>) {
    let columns = &data.columns;
    let end = columns.lower_bound(pass.end_uid).min(told.rows);
    let known = |row: &usize| *row < end && !told.hidden.has(*row);
    if pass.uid == 0
        && let Some(mut rows) = few_changed_rows(data, told, pass.upto)
    {
        rows.retain(known);
        rows.sort_unstable();
        rows.dedup();
        return (rows, None);
    }
    let start = columns.lower_bound(pass.uid).min(end);
    let stop = end.min(start + BREATH_ROWS);
    let changed = (start..stop).filter(|&row| columns.modseq[row] > told.flags_upto && known(&row));
    let others = |row: &usize| match told.own.iter().find(|(own, _)| *own == columns.modseq[*row]) {
        None => true,
        Some((_, silent)) => *silent && changed_by_others(data, told, columns.uid[*row]),
    };
    (changed.filter(others).collect(), (stop < end).then(|| columns.uid[stop]))
}

/// Whether somebody else changed the message as well, as far as that is known and quickly found.
fn changed_by_others(data: &MailboxData, told: &Told, uid: u32) -> bool {
    let Some(notices) = data.notices_since(told.flags_upto) else { return true };
    if notices.len() > TOLD_NOTICES_MAX {
        return true;
    }
    notices.filter(|(modseq, _)| told.own.iter().all(|(own, _)| own != modseq)).any(|(_, uids)| {
        let after = uids.partition_point(|&(first, _)| first <= uid);
        after > 0 && uid <= uids[after - 1].1
    })
}

/// All rows that changed, from the notices of the changes; `None`: they are too many to look at in one go, or forgotten.
fn few_changed_rows(data: &MailboxData, told: &Told, upto: u64) -> Option<Vec<usize>> {
    let columns = &data.columns;
    let silent = |row: usize| told.own.contains(&(columns.modseq[row], true));
    let own = |modseq: u64| told.own.iter().any(|(own, _)| *own == modseq);
    let (mut rows, mut looked) = (Vec::new(), 0);
    for (modseq, uids) in data.notices_since(told.flags_upto)?.take_while(|(modseq, _)| *modseq <= upto) {
        if own(*modseq) {
            continue;
        }
        for &(first, last) in uids {
            let range = columns.range(first, last);
            looked += range.len() + 1;
            if looked > TOLD_ROWS_MAX {
                return None;
            }
            // A row that changed again is told with its last change, but for a silent one of our own, which never is.
            rows.extend(range.filter(|&row| columns.modseq[row] == *modseq || silent(row)));
        }
    }
    Some(rows)
}
