//! A sealed file that nobody can place: its index is gone, and what belongs to whom with it.
//!
//! Invariants: only what is certain is taken: a record is known by its EMAILID, which is the beginning of its content's hash, and a
//! message by that hash; the records' order and sizes say where to try. Tries are bounded by the octets that they hash
//! ([`FSCK_TRIED_BYTES_MAX`]). What is not found is not there, for this purpose; the file stays beside.

use std::collections::BTreeSet;
use std::mem::{offset_of, size_of};
use std::ops::Range;

use rkyv::rancor::Error as RkyvError;

use super::super::map::Map;
use super::super::record::{ArchivedRecord, Record};
use super::super::sealed::FRAME_BYTES;
use super::super::types::Hash;
use crate::limits::{FSCK_PLACES_MAX, FSCK_TRIED_BYTES_MAX};

/// A message that is whole.
pub(super) struct Salvaged {
    pub record: Record,
    /// Where in the file its octets are.
    pub raw: Range<usize>,
}

/// The messages of a file without an index, in the order in which they lay there. `end`: where they end, where that is known.
pub(super) fn salvage(map: &Map, end: Option<usize>) -> Vec<Salvaged> {
    let records = records(map);
    let mut search = Search { map, records: &records, found: vec![None; records.len()], tried: 0 };
    let ends: BTreeSet<usize> = end.into_iter().flat_map(|end| end.saturating_sub(15)..=end).collect();
    search.backward(records.len(), ends);
    if search.found.iter().all(Option::is_none)
        && let Some((index, start)) = search.anchor()
    {
        search.found[index] = Some(start);
        search.forward(index + 1, start + search.size(index));
        search.backward(index, BTreeSet::from([start]));
    }
    let found = search.found;
    let whole = records.into_iter().zip(found).filter_map(|(record, start)| {
        let start = start?;
        let raw = start..start + record.size as usize;
        Some(Salvaged { record, raw })
    });
    whole.collect()
}

/// All records that can be read, wherever they lie.
fn records(map: &Map) -> Vec<Record> {
    const EMAIL_ID: usize = offset_of!(ArchivedRecord, email_id);
    const HASH: usize = offset_of!(ArchivedRecord, content_hash);
    let (mut records, mut at) = (Vec::new(), FRAME_BYTES);
    while let Some(bytes) = map.get(at..at + size_of::<ArchivedRecord>()) {
        let id = &bytes[EMAIL_ID..EMAIL_ID + 8];
        let step = align_of::<ArchivedRecord>();
        if id == &bytes[HASH..HASH + 8]
            && id != [0; 8]
            && let Ok(archive) = rkyv::api::high::access_pos::<ArchivedRecord, RkyvError>(map, at)
            && let Ok(record) = rkyv::deserialize::<Record, RkyvError>(archive)
        {
            records.push(record);
            at += size_of::<ArchivedRecord>().next_multiple_of(step);
        } else {
            at += step;
        }
    }
    records
}

/// The search for the messages that go with the records.
struct Search<'a> {
    map: &'a Map,
    records: &'a [Record],
    found: Vec<Option<usize>>,
    /// Octets that were hashed.
    tried: u64,
}

impl Search<'_> {
    fn size(&self, index: usize) -> usize {
        usize::try_from(self.records[index].size).unwrap_or(usize::MAX)
    }

    /// Whether message `index` begins at `start`.
    fn is_at(&mut self, index: usize, start: usize) -> bool {
        let Some(end) = start.checked_add(self.size(index)) else { return false };
        let Some(octets) = self.map.get(start..end).filter(|octets| !octets.is_empty()) else { return false };
        if start < FRAME_BYTES || self.tried > FSCK_TRIED_BYTES_MAX {
            return false;
        }
        self.tried += octets.len() as u64;
        Hash::of(octets) == Hash(self.records[index].content_hash)
    }

    /// From record `before` down, where the messages before it end at one of `ends`: a message that is not there is damaged, and
    /// its octets are passed over, or it is in a body file, and has none here.
    fn backward(&mut self, before: usize, mut ends: BTreeSet<usize>) {
        for index in (0..before).rev() {
            let size = self.size(index);
            let starts: Vec<usize> = ends.iter().filter_map(|end| end.checked_sub(size)).collect();
            match starts.iter().find(|&&start| self.is_at(index, start)) {
                Some(&start) => {
                    self.found[index] = Some(start);
                    ends = BTreeSet::from([start]);
                }
                None => ends.extend(starts),
            }
            while ends.len() > FSCK_PLACES_MAX {
                ends.pop_first();
            }
        }
    }

    /// The same from record `first` up.
    fn forward(&mut self, first: usize, start: usize) {
        let mut starts = BTreeSet::from([start]);
        for index in first..self.records.len() {
            let size = self.size(index);
            let tried: Vec<usize> = starts.iter().copied().collect();
            match tried.iter().find(|&&start| self.is_at(index, start)) {
                Some(&start) => {
                    self.found[index] = Some(start);
                    starts = BTreeSet::from([start + size]);
                }
                None => starts.extend(tried.iter().filter_map(|start| start.checked_add(size))),
            }
            while starts.len() > FSCK_PLACES_MAX {
                starts.pop_last();
            }
        }
    }

    /// The first message that is found by what messages begin with: a header field, behind the end of another.
    fn anchor(&mut self) -> Option<(usize, usize)> {
        let lines = memchr::memchr_iter(b'\n', self.map).map(|end| end + 1);
        let starts: BTreeSet<usize> = lines.filter(|&start| begins_a_field(&self.map[start..])).collect();
        for index in 0..self.records.len() {
            let size = self.size(index);
            let fits = |start: &&usize| start.checked_add(size).is_some_and(|end| starts.contains(&end));
            for &start in starts.iter().filter(fits) {
                if self.is_at(index, start) {
                    return Some((index, start));
                }
            }
        }
        None
    }
}

/// ```text
/// field-name ":"          ; RFC 5322 §2.2, of letters, digits and hyphens
/// ```
fn begins_a_field(bytes: &[u8]) -> bool {
    let name = bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    name > 0 && bytes.get(name) == Some(&b':')
}
