//! A view's messages one after the other: what commands about many of them read.
//!
//! Invariants: a run goes by number, passes over what the view was told is gone, and ends at EXISTS; it reads the columns in
//! place, and finds its way into them once. Nothing can change while somebody reads, since the run lives no longer than the call
//! that lends it, and a call does not wait.

use super::columns::Columns;
use super::mailbox_state::{MailboxData, Told};
use super::record::Date;
use super::types::{Flags, ModSeq, Uid};

/// A message's values that FETCH asks for most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// UID
    pub uid: Uid,
    /// MODSEQ
    pub modseq: ModSeq,
    /// System flags.
    pub flags: Flags,
    /// Keywords, as bits of [`super::Mailbox::keywords`].
    pub keywords: u64,
    /// `\Recent`
    pub recent: bool,
    /// RFC822.SIZE
    pub size: u32,
    /// INTERNALDATE
    pub internal_date: Date,
}

/// Message numbers and the values of their messages, ascending; see [`super::View::entries`].
#[derive(Debug)]
pub struct Entries<'v> {
    columns: &'v Columns,
    /// Rows that the view knew to be gone, from `row` on.
    hidden: &'v [u32],
    /// UIDs that are recent, from those of `row` on.
    recent: &'v [(u32, u32)],
    row: usize,
    rows: usize,
    seq: u32,
}

impl<'v> Entries<'v> {
    /// From number `seq` on; there is no number 0, and nothing from it on.
    pub(super) fn new(data: &'v MailboxData, told: &'v Told, seq: u32) -> Entries<'v> {
        let row = seq.checked_sub(1).map_or(told.rows, |position| told.hidden.row_at(position as usize));
        let hidden = &told.hidden.rows()[told.hidden.before(row)..];
        let uid = data.columns.uid.get(row).copied().unwrap_or(u32::MAX);
        let recent = &told.recent[told.recent.partition_point(|&(_, last)| last < uid)..];
        Entries { columns: &data.columns, hidden, recent, row, rows: told.rows, seq }
    }

    #[inline]
    fn is_recent(&mut self, uid: u32) -> bool {
        while let Some((&(first, last), later)) = self.recent.split_first() {
            if uid <= last {
                return first <= uid;
            }
            self.recent = later;
        }
        false
    }
}

impl Iterator for Entries<'_> {
    type Item = (u32, Entry);

    // Always: as a call it hands the entry over through memory, which took half of a SEARCH for flags.
    #[inline(always)]
    fn next(&mut self) -> Option<(u32, Entry)> {
        while let Some((&hidden, later)) = self.hidden.split_first()
            && hidden as usize == self.row
        {
            (self.hidden, self.row) = (later, self.row + 1);
        }
        if self.row >= self.rows {
            return None;
        }
        let (seq, row) = (self.seq, self.columns.row(self.row));
        (self.seq, self.row) = (self.seq + 1, self.row + 1);
        let entry = Entry {
            uid: Uid(row.uid),
            modseq: ModSeq(row.modseq),
            flags: Flags(row.flags),
            keywords: row.keywords,
            recent: self.is_recent(row.uid),
            size: row.size,
            internal_date: row.date,
        };
        Some((seq, entry))
    }
}
