//! Starting: one thread reads what the logs of earlier epochs hold that is not sealed, and shares it out to the shards.
//!
//! Invariants: the epoch is counted up, durably, before anything is written in it; a record is taken once, in the order of
//! its account's own sequence numbers, whichever stream it lies in and however many shards there were; old logs are only
//! read here, and removed by [`remove_old_logs`] when every shard has sealed what it was given. Half-arrived messages in
//! the spool are removed. FORMAT.md, "Starting".

use std::collections::HashMap;

use super::disk::{Disk, read_whole, replace};
use super::load::read_manifest;
use super::log_record::Payload;
use super::log_replay::{FileReplay, SegmentName};
use super::seams::{Batches, Lsn, PartSet, StreamId};
use super::types::{AccountId, Error};
use crate::limits::LOG_SEGMENT_BYTES;

/// The file that says which opening this is.
pub(super) const EPOCH_PATH: &str = "log/EPOCH";
const EPOCH_MAGIC: &[u8; 8] = b"RPEPOCH1";
const EPOCH_BYTES: usize = 20;

/// A record that is still to be applied.
#[derive(Clone, Debug)]
pub(super) struct ReplayRecord {
    pub account_seq: u64,
    pub kind: u8,
    pub payload: Payload,
}

/// What one shard starts with. It may go to the shard's thread.
#[derive(Debug)]
pub struct Replay {
    pub(super) epoch: u64,
    pub(super) stream: StreamId,
    pub(super) closed: Vec<Lsn>,
    pub(super) segment_bytes: u64,
    pub(super) records: HashMap<AccountId, Vec<ReplayRecord>>,
}

impl Replay {
    /// How many accounts have something to replay.
    pub fn accounts(&self) -> usize {
        self.records.len()
    }

    /// The octets of the changes that these accounts have not sealed.
    pub fn bytes(&self) -> usize {
        self.records.values().flatten().map(|record| record.payload.len()).sum()
    }
}

/// What a start found.
#[derive(Debug)]
pub struct Recovered {
    /// The epoch that begins.
    pub epoch: u64,
    /// What each shard starts with.
    pub shards: Vec<Replay>,
}

/// Begins an epoch, and reads what earlier ones left.
pub async fn recover<D: Disk>(disk: &D, shards: usize) -> Result<Recovered, Error> {
    let io = |path: &'static str| move |error: std::io::Error| Error::io(path, &error);
    for folder in ["log", "accounts", "spool"] {
        disk.create_folder(folder).await.map_err(io(folder))?;
    }
    disk.sync_folder(".").await.map_err(io("."))?;
    for name in disk.list("spool").await.map_err(io("spool"))? {
        disk.remove(&format!("spool/{name}")).await.map_err(io("spool"))?;
    }
    let names = disk.list("log").await.map_err(io("log"))?;
    let segments: Vec<SegmentName> = names.iter().filter_map(|name| SegmentName::parse(name)).collect();
    let epoch = next_epoch(disk, &segments).await?;

    let shards = shards.max(1);
    let mut recovered: Vec<Replay> = (0..shards)
        .map(|shard| Replay {
            epoch,
            stream: StreamId(shard as u16),
            closed: Vec::new(),
            segment_bytes: LOG_SEGMENT_BYTES,
            records: HashMap::new(),
        })
        .collect();
    let mut streams: Vec<StreamId> = segments.iter().map(|segment| segment.stream).collect();
    streams.sort_unstable();
    streams.dedup();
    for stream in streams {
        let closed = read_stream(disk, stream, epoch, &mut recovered).await?;
        if let Some(replay) = recovered.get_mut(usize::from(stream.0)) {
            replay.closed = closed;
        }
    }
    for replay in &mut recovered {
        drop_sealed(disk, replay).await?;
    }
    Ok(Recovered { epoch, shards: recovered })
}

/// Hands a stream's records to the shards that own their accounts now; where its epochs end.
async fn read_stream<D: Disk>(
    disk: &D,
    stream: StreamId,
    epoch: u64,
    recovered: &mut [Replay],
) -> Result<Vec<Lsn>, Error> {
    let mut closed: Vec<Lsn> = Vec::new();
    let mut replay = FileReplay::new(disk.clone(), stream, epoch, Lsn::default(), PartSet::all());
    while let Some(batch) = replay.next().await {
        for (header, payload) in batch?.records() {
            let lsn = Lsn { epoch: header.epoch, seq: header.seq };
            match closed.last_mut() {
                Some(last) if last.epoch == lsn.epoch => *last = lsn,
                _ => closed.push(lsn),
            }
            let shard = header.account.shard(recovered.len());
            let record = ReplayRecord { account_seq: header.account_seq, kind: header.kind, payload };
            recovered[shard].records.entry(header.account).or_default().push(record);
        }
    }
    Ok(closed)
}

/// Leaves what the accounts' manifests do not have yet, in order.
async fn drop_sealed<D: Disk>(disk: &D, replay: &mut Replay) -> Result<(), Error> {
    for (&account, records) in &mut replay.records {
        let sealed = match read_manifest(disk, account).await {
            Ok(manifest) => manifest.map_or(0, |manifest| manifest.seq),
            // The account can't be opened; what the log has stays with it.
            Err(Error::Corrupt { .. }) => 0,
            Err(error) => return Err(error),
        };
        records.retain(|record| record.account_seq > sealed);
        records.sort_by_key(|record| record.account_seq);
    }
    replay.records.retain(|_, records| !records.is_empty());
    Ok(())
}

/// Counts the epoch up, durably.
async fn next_epoch<D: Disk>(disk: &D, segments: &[SegmentName]) -> Result<u64, Error> {
    let path = EPOCH_PATH;
    let io = |error: std::io::Error| Error::io(path, &error);
    let last = match read_whole(disk, path).await.map_err(io)? {
        None => 0,
        Some(bytes) => decode_epoch(&bytes).ok_or_else(|| Error::corrupt(path, 0, "epoch checksum"))?,
    };
    let newest = segments.iter().map(|segment| segment.epoch).max().unwrap_or(0);
    let epoch = last.max(newest) + 1;
    replace(disk, "log", "EPOCH", encode_epoch(epoch)).await.map_err(io)?;
    Ok(epoch)
}

/// The file that says `epoch`.
pub(super) fn encode_epoch(epoch: u64) -> Vec<u8> {
    let mut bytes = EPOCH_MAGIC.to_vec();
    bytes.extend_from_slice(&epoch.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// The epoch that such a file says; `None`: it is damaged.
pub(super) fn decode_epoch(bytes: &[u8]) -> Option<u64> {
    let bytes: &[u8; EPOCH_BYTES] = bytes.try_into().ok()?;
    let whole = bytes[0..8] == *EPOCH_MAGIC && crc32c::crc32c(&bytes[..16]).to_le_bytes() == bytes[16..20];
    whole.then(|| u64::from_le_bytes(bytes[8..16].try_into().expect("eight")))
}

/// Removes the logs of the epochs before `epoch`: every shard has sealed what it was given of them.
pub async fn remove_old_logs<D: Disk>(disk: &D, epoch: u64) -> Result<(), Error> {
    let io = |error: std::io::Error| Error::io("log", &error);
    for name in disk.list("log").await.map_err(io)? {
        if SegmentName::parse(&name).is_some_and(|segment| segment.epoch < epoch) {
            disk.remove(&format!("log/{name}")).await.map_err(io)?;
        }
    }
    disk.sync_folder("log").await.map_err(io)
}
