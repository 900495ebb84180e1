//! A mailbox's messages as columns, ascending by UID, and the arithmetic between rows and sequence numbers.
//!
//! Invariants: rows are appended and, when every view knows that they are gone, removed by [`Columns::remove`]; between
//! the two an expunged row stays where it is. All columns have the same length. A [`Hidden`] list is sorted, and what it
//! hides lies before the boundary it is used with.

use std::rc::Rc;

use super::map::Sealed;
use super::map_index::GroupOf;
use super::message::Location;
use super::record::Date;

/// One row's plain values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub uid: u32,
    pub modseq: u64,
    pub flags: u16,
    pub keywords: u64,
    pub size: u32,
    pub date: Date,
}

impl Row {
    /// A row of a sealed file.
    pub(super) fn of_group(group: &GroupOf<'_>, index: usize) -> Row {
        Row {
            uid: group.uid[index].to_native(),
            modseq: group.modseq[index].to_native(),
            flags: group.flags[index].to_native(),
            keywords: group.keywords[index].to_native(),
            size: group.size[index].to_native(),
            date: Date {
                seconds: group.date_seconds[index].to_native(),
                offset_minutes: group.date_offset[index].to_native(),
            },
        }
    }
}

#[derive(Default, Debug)]
pub(super) struct Columns {
    pub uid: Vec<u32>,
    pub modseq: Vec<u64>,
    pub flags: Vec<u16>,
    pub keywords: Vec<u64>,
    pub size: Vec<u32>,
    pub date_seconds: Vec<i64>,
    pub date_offset: Vec<i16>,
    pub location: Vec<Location>,
}

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.uid.len()
    }

    pub(super) fn push(&mut self, row: Row, location: Location) {
        self.uid.push(row.uid);
        self.modseq.push(row.modseq);
        self.flags.push(row.flags);
        self.keywords.push(row.keywords);
        self.size.push(row.size);
        self.date_seconds.push(row.date.seconds);
        self.date_offset.push(row.date.offset_minutes);
        self.location.push(location);
    }

    /// Adds all rows of a sealed file's group, column by column.
    pub(super) fn extend(&mut self, group: &GroupOf<'_>, file: &Rc<Sealed>) {
        self.uid.extend(group.uid.iter().map(|uid| uid.to_native()));
        self.modseq.extend(group.modseq.iter().map(|modseq| modseq.to_native()));
        self.flags.extend(group.flags.iter().map(|flags| flags.to_native()));
        self.keywords.extend(group.keywords.iter().map(|keywords| keywords.to_native()));
        self.size.extend(group.size.iter().map(|size| size.to_native()));
        self.date_seconds.extend(group.date_seconds.iter().map(|seconds| seconds.to_native()));
        self.date_offset.extend(group.date_offset.iter().map(|minutes| minutes.to_native()));
        let first = group.first;
        self.location.extend((0..group.uid.len() as u32).map(|index| Location::Sealed(file.clone(), first + index)));
    }

    #[inline(always)]
    pub(super) fn row(&self, index: usize) -> Row {
        Row {
            uid: self.uid[index],
            modseq: self.modseq[index],
            flags: self.flags[index],
            keywords: self.keywords[index],
            size: self.size[index],
            date: Date { seconds: self.date_seconds[index], offset_minutes: self.date_offset[index] },
        }
    }

    /// The first row with this UID or a higher one.
    pub(super) fn lower_bound(&self, uid: u32) -> usize {
        // Most mailboxes have few gaps: the row is where it would be without any, or a little before it.
        if let Some(&first) = self.uid.first()
            && let Some(guess) = uid.checked_sub(first).map(|distance| distance as usize)
            && self.uid.get(guess) == Some(&uid)
        {
            return guess;
        }
        self.uid.partition_point(|&other| other < uid)
    }

    pub(super) fn index_of(&self, uid: u32) -> Option<usize> {
        let index = self.lower_bound(uid);
        (self.uid.get(index) == Some(&uid)).then_some(index)
    }

    /// Rows of a range of UIDs.
    pub(super) fn range(&self, first: u32, last: u32) -> std::ops::Range<usize> {
        let end = last.checked_add(1).map_or(self.len(), |after| self.lower_bound(after));
        let start = self.lower_bound(first).min(end);
        start..end
    }

    /// Removes the rows of a sorted list.
    pub(super) fn remove(&mut self, rows: &[u32]) {
        fn keep<T>(column: &mut Vec<T>, rows: &[u32]) {
            let (mut index, mut next) = (0u32, 0);
            column.retain(|_| {
                let gone = rows.get(next) == Some(&index);
                next += usize::from(gone);
                index += 1;
                !gone
            });
        }
        keep(&mut self.uid, rows);
        keep(&mut self.modseq, rows);
        keep(&mut self.flags, rows);
        keep(&mut self.keywords, rows);
        keep(&mut self.size, rows);
        keep(&mut self.date_seconds, rows);
        keep(&mut self.date_offset, rows);
        keep(&mut self.location, rows);
    }
}

/// Rows that are not to be seen: indexes, ascending. Shared between a mailbox and the views that know of all its
/// expunges; copied when it grows while somebody knows less.
#[derive(Clone, Default, Debug)]
pub(super) struct Hidden(Rc<Vec<u32>>);

impl Hidden {
    pub(super) fn rows(&self) -> &[u32] {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn has(&self, index: usize) -> bool {
        self.0.binary_search(&(index as u32)).is_ok()
    }

    pub(super) fn same(&self, other: &Hidden) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// How many rows before `index` are hidden.
    pub(super) fn before(&self, index: usize) -> usize {
        self.0.partition_point(|&row| (row as usize) < index)
    }

    /// The row that is the `position`-th visible one, from 0.
    pub(super) fn row_at(&self, position: usize) -> usize {
        // Hidden row j has `row - j` visible ones before it, which never falls: all with at most `position` come first.
        let (mut low, mut high) = (0, self.0.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.0[middle] as usize - middle <= position {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        position + low
    }

    /// Adds rows of a sorted list, none of which is in it yet.
    pub(super) fn add(&mut self, rows: &[u32]) {
        let old = Rc::make_mut(&mut self.0);
        let ordered = old.last().zip(rows.first()).is_none_or(|(last, first)| last < first);
        old.extend_from_slice(rows);
        if !ordered {
            // Two sorted runs: the sort finds them and merges.
            old.sort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_rows_and_positions() {
        let mut hidden = Hidden::default();
        assert_eq!(hidden.row_at(5), 5);
        hidden.add(&[1, 2, 6]);
        hidden.add(&[0, 4]);
        assert_eq!(hidden.rows(), [0, 1, 2, 4, 6]);
        let visible: Vec<usize> = (0..9).filter(|&row| !hidden.has(row)).collect();
        for (position, &row) in visible.iter().enumerate() {
            assert_eq!(hidden.row_at(position), row);
            assert_eq!(row - hidden.before(row), position);
        }
    }

    #[test]
    fn bounds_with_and_without_gaps() {
        let mut columns = Columns::default();
        for uid in [3, 4, 5, 9, 10] {
            let row = Row { uid, modseq: 1, flags: 0, keywords: 0, size: 1, date: Date::default() };
            columns.push(row, Location::Gone);
        }
        assert_eq!(columns.lower_bound(0), 0);
        assert_eq!(columns.index_of(5), Some(2));
        assert_eq!(columns.index_of(6), None);
        assert_eq!(columns.range(4, 9), 1..4);
        assert_eq!(columns.range(6, 8), 3..3);
        assert_eq!(columns.range(8, 2), 0..0);
        assert_eq!(columns.range(1, u32::MAX), 0..5);
        columns.remove(&[0, 3]);
        assert_eq!(columns.uid, [4, 5, 10]);
    }
}
