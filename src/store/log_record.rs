//! Log records and batches of them: the bytes of the commit log.
//!
//! Invariant: a record's checksum covers its length, the epoch, the incarnation of the segment that it was written to
//! and its sequence number, so that neither a recycled segment nor a torn write can replay. A record says how many of its
//! batch came before it, so that the cut of a torn batch can be told from damage in the middle of what was durable.
//! What is in the payload is [`super::change`]'s. FORMAT.md, "Log".

use super::map::Map;
use super::types::{AccountId, Error, Partition};
use crate::limits::LOG_RECORD_BYTES_MAX;

/// Bytes of a record before its payload.
pub const RECORD_HEADER_BYTES: usize = 56;
/// Where a record says who wrote it: epoch and incarnation, eight octets each.
pub(super) const RECORD_MARK_START: usize = 8;
/// Records begin at multiples of this.
pub const RECORD_ALIGNMENT: usize = 8;
/// The version of the payload's encoding.
pub const PAYLOAD_VERSION: u8 = 1;

/// What a record says before its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordHeader {
    /// Bytes of header and payload, without padding.
    pub length: u32,
    /// The opening that it was written in.
    pub epoch: u64,
    /// The incarnation of the segment that it was written to.
    pub incarnation: u64,
    /// Log sequence number.
    pub seq: u64,
    /// Whose change it is.
    pub account: AccountId,
    /// The account's own sequence number.
    pub account_seq: u64,
    /// The account's partition.
    pub partition: Partition,
    /// What kind of change.
    pub kind: u8,
    /// The version of the payload's encoding.
    pub version: u8,
    /// Records of the same batch before it.
    pub place: u32,
}

/// A group of records that is written at once. Records lie one after another, each at a multiple of eight bytes.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Bytes,
    offsets: Vec<(Partition, u32)>,
}

#[derive(Debug)]
enum Bytes {
    Filling(Vec<u8>),
    Read { map: Map, start: usize },
}

impl Default for Bytes {
    fn default() -> Self {
        Bytes::Filling(Vec::new())
    }
}

/// Where a payload lies that was read back.
#[derive(Clone, Debug)]
pub struct Payload {
    map: Map,
    start: usize,
    bytes: usize,
}

impl Payload {
    /// Whether what was read of it is what was written; an error where the disk could not give some of it.
    pub(super) fn still_whole(&self) -> Result<(), Error> {
        if self.map.is_lost() { Err(Error::unreadable("log")) } else { Ok(()) }
    }
}

impl std::ops::Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[self.start..self.start + self.bytes]
    }
}

impl Batch {
    /// An empty batch over the memory of `buffer`.
    pub(super) fn over(mut buffer: Vec<u8>) -> Batch {
        buffer.clear();
        Batch { bytes: Bytes::Filling(buffer), offsets: Vec::new() }
    }

    /// A batch that was read back from `map`, records at `offsets` from `start`.
    pub(super) fn read(map: Map, start: usize, offsets: Vec<(Partition, u32)>) -> Batch {
        Batch { bytes: Bytes::Read { map, start }, offsets }
    }

    /// Appends a record whose payload `payload` writes.
    pub fn push(&mut self, account: AccountId, account_seq: u64, kind: u8, payload: impl FnOnce(&mut Vec<u8>)) {
        let Bytes::Filling(bytes) = &mut self.bytes else { return };
        let (start, place) = (bytes.len(), self.offsets.len() as u32);
        bytes.resize(start + RECORD_HEADER_BYTES, 0);
        payload(bytes);
        let length = (bytes.len() - start) as u32;
        let partition = account.partition();
        let header = &mut bytes[start..start + RECORD_HEADER_BYTES];
        header[0..4].copy_from_slice(&length.to_le_bytes());
        header[32..40].copy_from_slice(&account.0.to_le_bytes());
        header[40..48].copy_from_slice(&account_seq.to_le_bytes());
        header[48..50].copy_from_slice(&partition.0.to_le_bytes());
        header[50] = kind;
        header[51] = PAYLOAD_VERSION;
        header[52..56].copy_from_slice(&place.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(RECORD_ALIGNMENT), 0);
        self.offsets.push((partition, start as u32));
    }

    /// Bytes of all records with their padding.
    pub fn len(&self) -> usize {
        match &self.bytes {
            Bytes::Filling(bytes) => bytes.len(),
            Bytes::Read { .. } => self.records().map(|(header, _)| padded(header.length)).sum(),
        }
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Where the records are, by partition.
    pub fn offsets(&self) -> &[(Partition, u32)] {
        &self.offsets
    }

    /// Whether what was read of it is what was written; an error where the disk could not give some of it.
    pub(super) fn still_whole(&self) -> Result<(), Error> {
        match &self.bytes {
            Bytes::Read { map, .. } if map.is_lost() => Err(Error::unreadable("log")),
            _ => Ok(()),
        }
    }

    /// Gives every record its epoch, incarnation, sequence number and checksum; the bytes to write.
    pub(super) fn stamp(self, epoch: u64, incarnation: u64, first_seq: u64) -> Vec<u8> {
        let Bytes::Filling(mut bytes) = self.bytes else { return Vec::new() };
        for (index, &(_, start)) in self.offsets.iter().enumerate() {
            let start = start as usize;
            let length = u32_at(&bytes, start) as usize;
            let record = &mut bytes[start..start + length];
            record[8..16].copy_from_slice(&epoch.to_le_bytes());
            record[16..24].copy_from_slice(&incarnation.to_le_bytes());
            record[24..32].copy_from_slice(&(first_seq + index as u64).to_le_bytes());
            let crc = checksum(record);
            record[4..8].copy_from_slice(&crc.to_le_bytes());
        }
        bytes
    }

    /// The records of a batch that was read back, each with its payload.
    pub fn records(&self) -> impl Iterator<Item = (RecordHeader, Payload)> + '_ {
        let read = match &self.bytes {
            Bytes::Read { map, start } => Some((map, *start)),
            Bytes::Filling(_) => None,
        };
        read.into_iter().flat_map(|(map, base)| {
            self.offsets.iter().filter_map(move |&(_, offset)| {
                let start = base + offset as usize;
                let header = parse(map.get(start..)?)?;
                let bytes = header.length as usize - RECORD_HEADER_BYTES;
                Some((header, Payload { map: map.clone(), start: start + RECORD_HEADER_BYTES, bytes }))
            })
        })
    }
}

/// A record's room in the log.
pub(super) fn padded(length: u32) -> usize {
    (length as usize).next_multiple_of(RECORD_ALIGNMENT)
}

/// The header of the record that `bytes` begin with; `None` where its length or its checksum is wrong.
pub(super) fn parse(bytes: &[u8]) -> Option<RecordHeader> {
    let header = peek(bytes)?;
    let record = bytes.get(..header.length as usize)?;
    (u32_at(record, 4) == checksum(record)).then_some(header)
}

/// The header without a look at the checksum.
pub(super) fn peek(bytes: &[u8]) -> Option<RecordHeader> {
    let header = bytes.get(..RECORD_HEADER_BYTES)?;
    let length = u32_at(header, 0);
    // A message may look like records that are longer than any: what reads them must not read far for each.
    if !(RECORD_HEADER_BYTES..=2 * LOG_RECORD_BYTES_MAX).contains(&(length as usize)) {
        return None;
    }
    Some(RecordHeader {
        length,
        epoch: u64_at(header, 8),
        incarnation: u64_at(header, 16),
        seq: u64_at(header, 24),
        account: AccountId(u64_at(header, 32)),
        account_seq: u64_at(header, 40),
        partition: Partition(u16::from_le_bytes([header[48], header[49]])),
        kind: header[50],
        version: header[51],
        place: u32_at(header, 52),
    })
}

/// CRC32C over everything but the checksum itself.
fn checksum(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..4]), &record[8..])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<u8> {
        let mut batch = Batch::default();
        batch.push(AccountId(7), 3, 9, |out| out.extend_from_slice(b"hello"));
        batch.push(AccountId(8), 1, 2, |_| {});
        assert_eq!(batch.len(), 64 + 56);
        batch.stamp(5, 2, 100)
    }

    #[test]
    fn what_is_stamped_is_parsed() {
        let bytes = two();
        let first = parse(&bytes).unwrap();
        assert_eq!((first.length, first.epoch, first.incarnation, first.seq, first.place), (61, 5, 2, 100, 0));
        assert_eq!((first.account, first.account_seq, first.kind), (AccountId(7), 3, 9));
        let second = parse(&bytes[64..]).unwrap();
        assert_eq!((second.seq, second.account, second.place), (101, AccountId(8), 1));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = two();
        for bit in 0..61 * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn a_batch_that_was_read_gives_its_records() {
        let batch = Batch::read(Map::of_bytes(&two()), 0, vec![(AccountId(7).partition(), 0), (Partition(1), 64)]);
        let records: Vec<_> = batch.records().map(|(header, payload)| (header.seq, payload.to_vec())).collect();
        assert_eq!(records, [(100, b"hello".to_vec()), (101, Vec::new())]);
        assert_eq!(batch.len(), 120);
    }
}
