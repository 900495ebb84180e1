//! Mending the log: the records that are whole, out of segments that are not, into segments of an epoch of their own.
//!
//! Invariants: the new segments are on the medium before a damaged one loses its name; a record that lies in a segment that stays is
//! not written a second time, and one that is there twice is applied once (FORMAT.md, "Rules of application"): a repair that
//! was interrupted is begun anew. The order of streams and epochs says nothing, each account's own numbers do.

use std::collections::{BTreeSet, HashSet};

use super::super::disk::{Disk, replace};
use super::super::log::{Secret, segment_header};
use super::super::log_record::{Batch, RECORD_HEADER_BYTES};
use super::super::log_replay::SegmentName;
use super::super::seams::StreamId;
use super::super::types::{AccountId, Error};
use super::logs::LogScan;
use super::mend::Mender;
use super::words::count;
use crate::limits::{LOG_BATCH_BYTES_MAX, LOG_SEGMENT_BYTES};

impl<D: Disk> Mender<'_, D> {
    /// Puts the records of damaged segments, and those that say something else from now on, into new ones.
    pub async fn mend_log(&mut self, log: &LogScan, secret: Secret) -> Result<(), Error> {
        let damaged = |index: usize| log.segments[index].damage.is_some() && !log.segments[index].foreign;
        let mut moved: BTreeSet<usize> = (0..log.segments.len()).filter(|&index| damaged(index)).collect();
        for (index, segment) in log.segments.iter().enumerate() {
            let changes = |(header, _): &(super::super::log_record::RecordHeader, _)| {
                self.instead.contains_key(&(header.account, header.account_seq))
            };
            if !segment.foreign && segment.records.iter().any(changes) {
                moved.insert(index);
            }
        }
        if moved.is_empty() {
            return Ok(());
        }
        let staying = log.segments.iter().enumerate().filter(|(index, _)| !moved.contains(index));
        let mut written: HashSet<(AccountId, u64)> = staying
            .flat_map(|(_, segment)| segment.records.iter().map(|(header, _)| (header.account, header.account_seq)))
            .collect();
        let mut writer =
            Segments { secret, epoch: log.newest() + 1, number: 1, seq: 1, bytes: Vec::new(), batch: Batch::default() };
        let mut records = 0;
        for (header, payload) in moved.iter().flat_map(|&index| &log.segments[index].records) {
            let key = (header.account, header.account_seq);
            if written.insert(key) {
                let payload = self.instead.get(&key).map_or(&payload[..], |payload| payload);
                writer.push(&self.disk, (key, header.kind), payload).await?;
                records += 1;
            }
        }
        writer.end(&self.disk).await?;
        self.done.push(format!("{} of the log in new segments", count(records, "record")));
        for index in moved {
            if log.segments[index].is_cut {
                self.lost.push(format!("{}: records that can't be read", log.segments[index].name.path()));
            }
            let path = log.segments[index].name.path();
            self.put_aside("log", path.trim_start_matches("log/")).await?;
        }
        Ok(())
    }
}

/// Segments that are being written.
struct Segments {
    secret: Secret,
    epoch: u64,
    number: u32,
    /// Of the batch's first record.
    seq: u64,
    bytes: Vec<u8>,
    batch: Batch,
}

impl Segments {
    /// The segment that is being filled.
    fn name(&self) -> SegmentName {
        self.secret.segment(self.epoch, StreamId(0), self.number)
    }

    async fn push<D: Disk>(
        &mut self,
        disk: &D,
        ((account, seq), kind): ((AccountId, u64), u8),
        payload: &[u8],
    ) -> Result<(), Error> {
        let room = RECORD_HEADER_BYTES + payload.len().next_multiple_of(8);
        if self.batch.len() + room > LOG_BATCH_BYTES_MAX {
            self.end_batch();
        }
        if (self.bytes.len() + self.batch.len() + room) as u64 > LOG_SEGMENT_BYTES {
            self.end(disk).await?;
        }
        if self.bytes.is_empty() {
            self.bytes = segment_header(self.name());
        }
        self.batch.push(account, seq, kind, |out| out.extend_from_slice(payload));
        Ok(())
    }

    fn end_batch(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let records = batch.offsets().len() as u64;
        self.bytes.extend(batch.stamp(self.epoch, self.name().incarnation, self.seq));
        self.seq += records;
    }

    /// Has what was written so far on the medium, under its name.
    async fn end<D: Disk>(&mut self, disk: &D) -> Result<(), Error> {
        self.end_batch();
        if self.bytes.is_empty() {
            return Ok(());
        }
        let path = self.name().path();
        let bytes = std::mem::take(&mut self.bytes);
        let written = replace(disk, "log", path.trim_start_matches("log/"), bytes).await;
        written.map_err(|error| Error::io(&path, &error))?;
        self.number += 1;
        Ok(())
    }
}
