//! Reading the commit log back: the segments of one stream over the epochs before this one.
//!
//! Invariants: what a torn write left at the end of a segment is cut, what was durable is not: a record that is missing
//! although a later batch of the same segment (or the next segment's first record) is there is damage, and an error. One
//! write was in flight at a time, so a batch that follows proves the one before. Segments of other epochs and
//! incarnations in a recycled file don't count. A page that the disk can't give is an error, never an end.

use std::collections::VecDeque;
use std::ops::Range;

use memchr::memmem;

use super::disk::Disk;
use super::log::{LOG_FORMAT, LOG_HEADER_BYTES, LOG_MAGIC};
use super::log_record::{
    Batch, PAYLOAD_VERSION, RECORD_ALIGNMENT, RECORD_MARK_START, RecordHeader, padded, parse, peek,
};
use super::map::Map;
use super::sealed::RKYV_CONFIGURATION;
use super::seams::{Batches, Boxed, Lsn, PartSet, StreamId};
use super::types::{Error, Partition};

/// A log segment's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct SegmentName {
    pub epoch: u64,
    pub stream: StreamId,
    pub number: u32,
    /// What its records repeat. In format 1 its number.
    pub incarnation: u64,
}

impl SegmentName {
    /// The segment that the file `name` in `log/` is.
    pub(super) fn parse(name: &str) -> Option<SegmentName> {
        let mut fields = name.split('-');
        let mut field = |digits: usize| fields.next().filter(|field| field.len() == digits);
        let epoch = u64::from_str_radix(field(16)?, 16).ok()?;
        let stream = StreamId(u16::from_str_radix(field(4)?, 16).ok()?);
        let number = u32::from_str_radix(field(8)?, 16).ok()?;
        let incarnation = match fields.next() {
            None => u64::from(number),
            Some(field) if field.len() == 16 => u64::from_str_radix(field, 16).ok()?,
            Some(_) => return None,
        };
        fields.next().is_none().then_some(SegmentName { epoch, stream, number, incarnation })
    }

    /// Whether a record belongs to this incarnation of the file.
    fn wrote(self, header: &RecordHeader) -> bool {
        header.epoch == self.epoch && header.incarnation == self.incarnation
    }

    pub(super) fn path(self) -> String {
        let SegmentName { epoch, stream, number, incarnation } = self;
        let format_1 = format!("log/{epoch:016x}-{:04x}-{number:08x}", stream.0);
        if incarnation == u64::from(number) { format_1 } else { format!("{format_1}-{incarnation:016x}") }
    }
}

/// A cursor over a stream's batches.
pub(super) struct FileReplay<D: Disk> {
    disk: D,
    stream: StreamId,
    /// Epochs from this one on are not read: somebody may be writing them.
    before: u64,
    from: Lsn,
    parts: PartSet,
    segments: Option<VecDeque<SegmentName>>,
    batches: VecDeque<Batch>,
    last: Option<(SegmentName, u64)>,
}

impl<D: Disk> FileReplay<D> {
    pub(super) fn new(disk: D, stream: StreamId, before: u64, from: Lsn, parts: PartSet) -> FileReplay<D> {
        FileReplay { disk, stream, before, from, parts, segments: None, batches: VecDeque::new(), last: None }
    }

    /// Reads the next segment; false: there is none.
    async fn read_segment(&mut self) -> Result<bool, Error> {
        if self.segments.is_none() {
            let names = self.disk.list("log").await.map_err(|error| Error::io("log", &error))?;
            let segments = names.iter().filter_map(|name| SegmentName::parse(name));
            let mut segments: Vec<_> =
                segments.filter(|name| name.stream == self.stream && name.epoch < self.before).collect();
            segments.sort();
            self.segments = Some(segments.into());
        }
        let Some(name) = self.segments.as_mut().and_then(VecDeque::pop_front) else { return Ok(false) };
        let path = name.path();
        let map = self.disk.map(&path).await.map_err(|error| Error::io(&path, &error))?;
        check_header(&map, &path)?;
        let before = self.last.filter(|(last, _)| last.epoch == name.epoch);
        let follows = before.filter(|(last, _)| last.number + 1 == name.number).map(|(_, seq)| seq);
        let read = read_records(&map, name, follows)?;
        // Zeros in place of records read as the log's end.
        if map.is_lost() {
            return Err(Error::unreadable(&path));
        }
        if let Some(last) = read.last {
            self.last = Some((name, last));
        } else if let Some(before) = follows {
            self.last = Some((name, before));
        }
        for offsets in read.batches {
            let wanted = offsets.into_iter().filter(|&(partition, offset)| {
                let seq = peek(&map[offset as usize..]).map_or(0, |header| header.seq);
                self.parts.contains(partition) && Lsn { epoch: name.epoch, seq } > self.from
            });
            let batch = Batch::read(map.clone(), 0, wanted.collect());
            if !batch.is_empty() {
                self.batches.push_back(batch);
            }
        }
        Ok(true)
    }
}

impl<D: Disk> Batches for FileReplay<D> {
    fn next(&mut self) -> Boxed<'_, Option<Result<Batch, Error>>> {
        Box::pin(async {
            loop {
                if let Some(batch) = self.batches.pop_front() {
                    return Some(Ok(batch));
                }
                match self.read_segment().await {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                }
            }
        })
    }
}

/// What is wrong with a log that is whole, and that a newer server wrote.
pub(super) const OTHER_PAYLOAD: &str = "a log record of another version";

/// A header that is whole must be one that this version reads. One that is torn says nothing: the segment had no records.
pub(super) fn check_header(map: &Map, path: &str) -> Result<(), Error> {
    let Some(header) = map.get(..LOG_HEADER_BYTES) else { return Ok(()) };
    let whole = header[0..8] == *LOG_MAGIC && crc32c::crc32c(&header[..60]).to_le_bytes() == header[60..64];
    if whole && !(1..=LOG_FORMAT).contains(&u16::from_le_bytes([header[8], header[9]])) {
        return Err(Error::corrupt(path, 8, "written in a format of another version"));
    }
    if whole && header[12..16] != RKYV_CONFIGURATION.to_le_bytes() {
        return Err(Error::corrupt(path, 12, "archives of another configuration"));
    }
    Ok(())
}

/// What [`read_records`] found.
pub(super) struct Read {
    batches: Vec<Vec<(Partition, u32)>>,
    last: Option<u64>,
}

/// The records of a segment, batch by batch, up to the cut. `follows`: the last record of the segment before.
pub(super) fn read_records(map: &Map, name: SegmentName, follows: Option<u64>) -> Result<Read, Error> {
    let mut read = Read { batches: Vec::new(), last: None };
    let mut at = LOG_HEADER_BYTES;
    while let Some(bytes) = map.get(at..)
        && let Some(header) = parse(bytes)
        && name.wrote(&header)
    {
        let expected = read.last.or(follows).map(|last| last + 1);
        if expected.is_some_and(|expected| header.seq != expected) {
            return Err(Error::corrupt(&name.path(), at as u64, "log records are missing before this one"));
        }
        if header.version != PAYLOAD_VERSION {
            return Err(Error::corrupt(&name.path(), at as u64, OTHER_PAYLOAD));
        }
        if header.place == 0 || read.batches.is_empty() {
            read.batches.push(Vec::new());
        }
        if let Some(batch) = read.batches.last_mut() {
            batch.push((header.partition, at as u32));
        }
        read.last = Some(header.seq);
        at += padded(header.length);
    }
    damage_after(map, name, at, read.last.or(follows)).map_or(Ok(read), Err)
}

/// Where the last batch of a segment lies, as far as it is whole.
pub(super) fn last_batch(map: &Map, name: SegmentName) -> Option<Range<usize>> {
    let (mut start, mut at) = (LOG_HEADER_BYTES, LOG_HEADER_BYTES);
    while let Some(header) = map.get(at..).and_then(parse)
        && name.wrote(&header)
    {
        if header.place == 0 {
            start = at;
        }
        at += padded(header.length);
    }
    (at > start).then_some(start..at.min(map.len()))
}

/// Whether a batch lies beyond `cut` that was begun after the one that is cut.
fn damage_after(map: &Map, name: SegmentName, cut: usize, last: Option<u64>) -> Option<Error> {
    // The end of a segment is megabytes of zeros or of records that others wrote: epoch and incarnation are looked for, and only
    // where they are found a record is tried.
    let mark = [name.epoch.to_le_bytes(), name.incarnation.to_le_bytes()].concat();
    let mark = memmem::Finder::new(&mark);
    let mut at = cut + RECORD_ALIGNMENT;
    while let Some(found) = map.get(at + RECORD_MARK_START..).and_then(|rest| mark.find(rest)) {
        at += found;
        let aligned = at.is_multiple_of(RECORD_ALIGNMENT);
        let Some(header) = aligned.then(|| parse(&map[at..])).flatten() else {
            at += 1;
            continue;
        };
        let batch_first = header.seq.saturating_sub(u64::from(header.place));
        if header.place == 0 || last.is_some_and(|last| batch_first > last + 1) {
            return Some(Error::corrupt(&name.path(), cut as u64, "a log record before durable ones"));
        }
        at += padded(header.length);
    }
    None
}
