//! The commit log under examination: every record of every segment, whichever side of the damage it lies on.
//!
//! Invariants: whether a segment is damaged or only ends in a torn write is decided as a start decides it, so that what is
//! clean here starts; a record counts with its checksum, or where one bit makes it right, and its place and, for a message, the
//! hash of its content agree. Nothing is written here.

use std::collections::HashMap;

use memchr::memmem;

use super::super::change::Change;
use super::super::disk::{Disk, read_whole};
use super::super::file_logs::decode_epoch;
use super::super::log::LOG_HEADER_BYTES;
use super::super::log_record::{
    Batch, Payload, RECORD_ALIGNMENT, RECORD_HEADER_BYTES, RECORD_MARK_START, RecordHeader, padded, parse, peek,
};
use super::super::log_replay::{OTHER_PAYLOAD, SegmentName, check_header, read_records};
use super::super::map::Map;
use super::super::message::Content;
use super::super::types::{AccountId, Error, Hash};
use super::bits;
use super::contents;
use crate::limits::LOG_RECORD_BYTES_MAX;

/// A record that counts.
#[derive(Clone)]
pub(super) struct LogRecord {
    /// The account's own number of it.
    pub seq: u64,
    pub kind: u8,
    pub payload: Payload,
}

/// A segment.
pub(super) struct SegmentScan {
    pub name: SegmentName,
    pub records: Vec<(RecordHeader, Payload)>,
    /// Where it is damaged, and how.
    pub damage: Option<(u64, String)>,
    /// Where its records end, if something that was begun lies behind.
    pub torn: Option<u64>,
    /// Records of it are missing, and nobody knows what they said.
    pub is_cut: bool,
    /// Another version wrote it.
    pub foreign: bool,
}

/// What `log/EPOCH` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Epoch {
    Known(u64),
    Missing,
    Damaged,
    /// Whole, and of another version.
    Foreign,
}

pub(super) struct LogScan {
    pub epoch: Epoch,
    pub segments: Vec<SegmentScan>,
    /// By account, in the order of its own numbers, none twice.
    pub records: HashMap<AccountId, Vec<LogRecord>>,
    /// What was read. Octets.
    pub octets: u64,
}

impl LogScan {
    /// The highest epoch that a segment's name or the file says.
    pub fn newest(&self) -> u64 {
        let named = self.segments.iter().map(|segment| segment.name.epoch).max().unwrap_or(0);
        if let Epoch::Known(epoch) = self.epoch { epoch.max(named) } else { named }
    }

    /// An account's records after change `sealed`.
    pub fn pending(&self, account: AccountId, sealed: u64) -> impl Iterator<Item = &LogRecord> {
        self.records.get(&account).into_iter().flatten().filter(move |record| record.seq > sealed)
    }
}

/// Reads all of the log.
pub(super) async fn scan<D: Disk>(disk: &D) -> Result<LogScan, Error> {
    let io = |error: std::io::Error| Error::io("log", &error);
    let names = disk.list("log").await.map_err(io)?;
    let epoch = match read_whole(disk, "log/EPOCH").await.map_err(|error| Error::io("log/EPOCH", &error))? {
        None => Epoch::Missing,
        Some(bytes) => match decode_epoch(&bytes) {
            Some(epoch) => Epoch::Known(epoch),
            None if is_other_epoch(&bytes) => Epoch::Foreign,
            None => Epoch::Damaged,
        },
    };
    let mut log = LogScan { epoch, segments: Vec::new(), records: HashMap::new(), octets: 0 };
    let mut segments: Vec<SegmentName> = names.iter().filter_map(|name| SegmentName::parse(name)).collect();
    segments.sort_by_key(|name| (name.stream, name.epoch, name.number));
    for name in segments {
        let Some(read) = contents::read(disk, &name.path()).await? else { continue };
        log.octets += read.map.len() as u64;
        let last = log.follows(name);
        let mut segment = read_segment(&read.map, name, last);
        if segment.damage.is_some() && last.is_some() {
            let alone = read_segment(&read.map, name, None);
            if alone.damage.is_none() {
                // It begins too late: what is missing was at the end of the one before.
                segment = alone;
                if let Some(before) = log.segments.last_mut() {
                    before.damage = Some((before.torn.unwrap_or(0), "its last records are missing".to_owned()));
                    before.is_cut = true;
                }
            }
        }
        if let Some(range) = read.unread.first() {
            segment.damage = Some((range.start as u64, format!("the disk does not give {} octets", range.len())));
            segment.is_cut = true;
        }
        log.segments.push(segment);
    }
    log.sort();
    Ok(log)
}

/// Whether it is what a server writes whose format is not known here.
fn is_other_epoch(bytes: &[u8]) -> bool {
    let Some((said, crc)) = bytes.split_last_chunk::<4>() else { return false };
    said.starts_with(b"RPEPOCH") && crc32c::crc32c(said).to_le_bytes() == *crc
}

impl LogScan {
    /// The last record of the segments before this one, where none is missing between them: an empty one breaks no order.
    fn follows(&self, name: SegmentName) -> Option<u64> {
        let mut number = name.number;
        for before in self.segments.iter().rev() {
            let is_next = (before.name.stream, before.name.epoch) == (name.stream, name.epoch);
            if !is_next || before.damage.is_some() || before.name.number + 1 != number {
                return None;
            }
            if let Some((header, _)) = before.records.last() {
                return Some(header.seq);
            }
            number = before.name.number;
        }
        None
    }

    fn sort(&mut self) {
        for (header, payload) in self.segments.iter().flat_map(|segment| &segment.records) {
            let (seq, kind, payload) = (header.account_seq, header.kind, payload.clone());
            self.records.entry(header.account).or_default().push(LogRecord { seq, kind, payload });
        }
        for records in self.records.values_mut() {
            records.sort_by_key(|record| record.seq);
            records.dedup_by_key(|record| record.seq);
        }
    }
}

fn read_segment(map: &Map, name: SegmentName, follows: Option<u64>) -> SegmentScan {
    let mut walk = Walk { map, name, last: follows, records: Vec::new(), corrected: 0, cut: None, before_cut: None };
    walk.read();
    let read = read_records(map, name, follows);
    let foreign =
        check_header(map, &name.path()).is_err() || matches!(read, Err(Error::Corrupt { what: OTHER_PAYLOAD, .. }));
    let damage = match read {
        _ if foreign => Some((8, "written in a format of another version".to_owned())),
        Err(Error::Corrupt { offset, what, .. }) => Some((offset, what.to_owned())),
        // A start would cut what one bit makes whole.
        _ if walk.corrected > 0 => Some((walk.cut.unwrap_or(0) as u64, "one bit of a record is wrong".to_owned())),
        _ => None,
    };
    let torn = walk.torn();
    let is_cut = damage.is_some() && walk.misses(follows);
    if damage.is_none() {
        // A start cuts there, and what a torn batch has behind it was never acknowledged.
        walk.records.truncate(walk.before_cut.unwrap_or(usize::MAX));
    }
    SegmentScan { name, records: walk.records, damage, torn, is_cut, foreign }
}

/// Goes over a segment from record to record.
struct Walk<'a> {
    map: &'a Map,
    name: SegmentName,
    last: Option<u64>,
    records: Vec<(RecordHeader, Payload)>,
    corrected: usize,
    /// Where the first record is missing.
    cut: Option<usize>,
    /// How many records lie before that.
    before_cut: Option<usize>,
}

impl Walk<'_> {
    fn read(&mut self) {
        let mut at = LOG_HEADER_BYTES;
        while at < self.map.len() {
            if let Some(header) = parse(&self.map[at..]).filter(|header| self.is_next(header)) {
                self.records.extend(Batch::read(self.map.clone(), 0, vec![(header.partition, at as u32)]).records());
                self.last = Some(header.seq);
                at += padded(header.length);
                continue;
            }
            self.cut = self.cut.or(Some(at));
            self.before_cut = self.before_cut.or(Some(self.records.len()));
            if let Some((header, record)) = self.one_bit(at) {
                self.records.extend(Batch::read(record, 0, vec![(header.partition, 0)]).records());
                self.corrected += 1;
                self.last = Some(header.seq);
                at += padded(header.length);
                continue;
            }
            match self.search(at + RECORD_ALIGNMENT) {
                Some(found) => at = found,
                None => return,
            }
        }
    }

    /// Whether there is a gap between the records that count, or before them: the first of a stream is 1.
    fn misses(&self, follows: Option<u64>) -> bool {
        let before = follows.or((self.name.number == 1).then_some(0));
        let first = self.records.first().map(|(header, _)| header.seq);
        first.is_none()
            || before.is_some_and(|before| first != Some(before + 1))
            || self.records.windows(2).any(|pair| pair[0].0.seq + 1 != pair[1].0.seq)
    }

    /// Whether a record is of this incarnation of the segment, and behind those before it.
    fn is_next(&self, header: &RecordHeader) -> bool {
        let own = header.epoch == self.name.epoch && header.incarnation == self.name.incarnation;
        own && self.last.is_none_or(|last| header.seq > last)
    }

    /// The next record that is whole, from `at` on.
    fn search(&self, mut at: usize) -> Option<usize> {
        let mark = [self.name.epoch.to_le_bytes(), self.name.incarnation.to_le_bytes()].concat();
        let mark = memmem::Finder::new(&mark);
        loop {
            at += mark.find(self.map.get(at + RECORD_MARK_START..)?)?;
            let aligned = at.is_multiple_of(RECORD_ALIGNMENT);
            if aligned && parse(&self.map[at..]).is_some_and(|header| self.is_next(&header)) {
                return Some(at);
            }
            at += 1;
        }
    }

    /// How many of epoch, incarnation and sequence number are those that a record at `at` would have.
    fn marks(&self, at: usize) -> usize {
        let Some(header) = self.map.get(at..at + RECORD_HEADER_BYTES) else { return 0 };
        let long = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight"));
        let expected = self.last.map(|last| last + 1);
        let marks = [long(8) == self.name.epoch, long(16) == self.name.incarnation];
        marks.into_iter().filter(|&mark| mark).count() + usize::from(expected.is_none_or(|seq| seq == long(24)))
    }

    /// The record at `at` where one of its bits is wrong.
    fn one_bit(&self, at: usize) -> Option<(RecordHeader, Map)> {
        if self.marks(at) < 2 {
            return None;
        }
        let there = &self.map[at..];
        let mut lengths: Vec<u32> = peek(there).map(|header| header.length).into_iter().collect();
        let said = u32::from_le_bytes(there[..4].try_into().expect("four"));
        lengths.extend((0..32).map(|bit| said ^ 1 << bit));
        for length in lengths {
            let range = RECORD_HEADER_BYTES..=LOG_RECORD_BYTES_MAX;
            let Some(record) = there.get(..length as usize).filter(|record| range.contains(&record.len())) else {
                continue;
            };
            let mut covered = [&length.to_le_bytes()[..], &record[8..]].concat();
            let stored = u32::from_le_bytes(record[4..8].try_into().expect("four"));
            let right = crc32c::crc32c(&covered) == stored || length == said && bits::correct(&mut covered, stored);
            let crc = crc32c::crc32c(&covered).to_le_bytes();
            let whole = [&covered[..4], &crc, &covered[4..]].concat();
            let header = parse(&whole).filter(|header| right && self.follows(header));
            if let Some(header) = header {
                let map = Map::of_bytes(&whole);
                return is_proven(&map, &header).then_some((header, map));
            }
        }
        None
    }

    fn follows(&self, header: &RecordHeader) -> bool {
        let next = self.last.is_none_or(|last| header.seq == last + 1);
        self.is_next(header) && next && header.partition == header.account.partition()
    }

    /// Where a write was begun of which nothing counts.
    fn torn(&self) -> Option<u64> {
        let cut = self.cut.filter(|&at| self.marks(at) >= 2 && peek(&self.map[at..]).is_some());
        cut.map(|at| at as u64)
    }
}

/// Whether a record that a bit was changed in says what can be: a message's hash is that of its content.
fn is_proven(map: &Map, header: &RecordHeader) -> bool {
    let batch = Batch::read(map.clone(), 0, vec![(header.partition, 0)]);
    let Some((header, payload)) = batch.records().next() else { return false };
    match Change::decode(header.kind, &payload) {
        Some(Change::Appended { message, .. }) => match message.content() {
            Content::Inline { body, .. } => Hash::of(body) == Hash(message.record().content_hash),
            Content::Segment(_) => true,
        },
        decoded => decoded.is_some(),
    }
}
