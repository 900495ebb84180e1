//! What one session sees of a mailbox, and what it has yet to be told.
//!
//! Invariants: sequence numbers mean what was told last, whatever others do: an expunged message keeps its number and
//! can be read until [`View::advance`] told of it, a new one has none before; EXPUNGE is told only where the caller
//! allows it (RFC 9051 §7.5.1), highest number first, so that every number is right when it is said. A view costs a few
//! dozen bytes; looking at a message, and asking whether anything changed, allocate nothing.

use std::ops::RangeInclusive;
use std::task::{Context, Poll};

use super::body_file::{ColdBlocks, WarmBlocks};
use super::checkpoint;
use super::mailbox::Mailbox;
use super::mailbox_state::{MailboxData, Told, merge_ranges};
use super::message::Message;
use super::record::Date;
use super::types::{Error, FlagOp, Flags, ModSeq, Uid};

/// Something to tell a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// `* seq EXPUNGE`
    Expunged {
        /// Its number at this moment.
        seq: u32,
        /// Its UID, for VANISHED.
        uid: u32,
    },
    /// `* count EXISTS`, `* recent RECENT`
    Exists {
        /// Messages.
        count: u32,
        /// Those that are recent here.
        recent: u32,
    },
    /// The message's flags are others now.
    Flags {
        /// Its number.
        seq: u32,
        /// Its UID.
        uid: u32,
    },
}

/// A message's values that FETCH asks for most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// UID
    pub uid: Uid,
    /// MODSEQ
    pub modseq: ModSeq,
    /// System flags.
    pub flags: Flags,
    /// Keywords, as bits of [`Mailbox::keywords`].
    pub keywords: u64,
    /// `\Recent`
    pub recent: bool,
    /// RFC822.SIZE
    pub size: u32,
    /// INTERNALDATE
    pub internal_date: Date,
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

    /// Tells what changed: expunges (where allowed) highest number first, then new messages, then flags.
    pub fn advance(&mut self, allow_expunge: bool, tell: &mut dyn FnMut(Update)) {
        if !self.changed() {
            return;
        }
        let mut updates = Vec::new();
        let grown = {
            let mut data = self.mailbox.state().data.borrow_mut();
            let Some(before) = data.told(self.id).cloned() else { return };
            let mut told = Told { rows: data.columns.len(), flags_upto: data.flags_modseq, ..before.clone() };
            told.own.clear();
            if allow_expunge {
                told.hidden = data.hidden.clone();
                updates.extend(expunged(&data, &before));
            }
            let grown = (before.rows..told.rows).any(|row| !told.hidden.has(row));
            if grown {
                updates.push(Update::Exists { count: exists(&told), recent: 0 });
            }
            updates.extend(changed_flags(&data, &before, &told));
            if let Some(slot) = data.told_mut(self.id) {
                *slot = told;
            }
            data.settle();
            grown
        };
        if grown {
            self.take_recent();
        }
        let now_recent = self.recent();
        for mut update in updates {
            if let Update::Exists { recent, .. } = &mut update {
                *recent = now_recent;
            }
            tell(update);
        }
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

    /// The number of the message with this UID.
    pub fn seq_of(&self, uid: u32) -> Option<u32> {
        self.with(|data, told| {
            let row = data.columns.index_of(uid).filter(|&row| row < told.rows && !told.hidden.has(row))?;
            Some((row - told.hidden.before(row)) as u32 + 1)
        })
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
        self.with(|data, told| {
            let row = data.columns.row(row_of(told, seq)?);
            let after = told.recent.partition_point(|&(first, _)| first <= row.uid);
            let recent = after > 0 && row.uid <= told.recent[after - 1].1;
            Some(Entry {
                uid: Uid(row.uid),
                modseq: ModSeq(row.modseq),
                flags: Flags(row.flags),
                keywords: row.keywords,
                recent,
                size: row.size,
                internal_date: row.date,
            })
        })
    }

    /// Whether the mailbox was selected for reading alone.
    pub fn is_read_only(&self) -> bool {
        self.with(|_, told| told.read_only)
    }

    /// What of a message may have to come from the disk, for a helper thread to read in before the message is asked for;
    /// [`View::warmed`] takes the answer. To be asked until there is nothing: one thing may tell where another lies.
    pub fn cold(&self, seq: u32) -> Option<ColdBlocks> {
        let bodies = &self.mailbox.account().core().bodies;
        self.with(|data, told| data.columns.location[row_of(told, seq)?].cold(true, bodies))
    }

    /// The same of what is known of a message, but for its text and its octets: ENVELOPE and BODYSTRUCTURE need no more.
    pub fn cold_details(&self, seq: u32) -> Option<ColdBlocks> {
        let bodies = &self.mailbox.account().core().bodies;
        self.with(|data, told| data.columns.location[row_of(told, seq)?].cold(false, bodies))
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

/// What became hidden of the rows that the view knew, highest first.
fn expunged<'a>(data: &'a MailboxData, before: &'a Told) -> impl Iterator<Item = Update> + 'a {
    let known = data.hidden.rows().iter().rev().map(|&row| row as usize);
    let new = known.filter(|&row| row < before.rows && !before.hidden.has(row));
    new.map(|row| {
        let seq = (row - before.hidden.before(row)) as u32 + 1;
        Update::Expunged { seq, uid: data.columns.uid[row] }
    })
}

/// The messages that the view knew and whose flags changed since.
fn changed_flags(data: &MailboxData, before: &Told, told: &Told) -> Vec<Update> {
    if before.flags_upto >= data.flags_modseq {
        return Vec::new();
    }
    let columns = &data.columns;
    let update = |row: usize| {
        let seq = (row - told.hidden.before(row)) as u32 + 1;
        Update::Flags { seq, uid: columns.uid[row] }
    };
    let known = |row: &usize| *row < before.rows && !told.hidden.has(*row);
    let silent = |row: usize| before.own.contains(&(columns.modseq[row], true));
    let own = |modseq: &u64| before.own.iter().any(|(own, _)| own == modseq);
    let Some(notices) = data.notices_since(before.flags_upto) else {
        // Whose changes a row has is forgotten: told once more is better than never.
        let rows = (0..before.rows).filter(|&row| columns.modseq[row] > before.flags_upto);
        return rows.filter(known).map(update).collect();
    };
    let mut rows: Vec<usize> = Vec::new();
    for (modseq, uids) in notices.filter(|(modseq, _)| !own(modseq)) {
        // A row that changed again is told with its last change, but for a silent one of our own, which never is.
        let changed = uids.iter().flat_map(|&(first, last)| columns.range(first, last));
        rows.extend(changed.filter(|&row| columns.modseq[row] == *modseq || silent(row)).filter(known));
    }
    rows.sort_unstable();
    rows.dedup();
    rows.into_iter().map(update).collect()
}
