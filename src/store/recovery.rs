//! Starting: one thread reads what the logs of earlier epochs hold that is not sealed, and shares it out to the shards.
//!
//! Invariants: the epoch is counted up before anything is written in it; a record is taken once, in the order of its account's
//! own sequence numbers, whichever stream it lies in and however many shards there were; old logs are only read here, and
//! forgotten when every shard has sealed what it was given. The process before may have ended while the system went on, so that
//! what is read may not be on the medium: it is brought there before anybody relies on it. FORMAT.md, "Starting".

use std::collections::BTreeMap;

use super::load::read_manifest;
use super::log_record::Payload;
use super::seams::{Lsn, Medium, PartSet, SegmentStore, StreamId};
use super::types::{AccountId, Error};

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
    pub(super) records: BTreeMap<AccountId, Vec<ReplayRecord>>,
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
pub async fn recover(medium: &Medium, shards: usize) -> Result<Recovered, Error> {
    medium.segments.begin().await?;
    let begun = medium.logs.begin().await?;
    let epoch = begun.epoch;
    let replay = |shard| Replay { epoch, stream: StreamId(shard as u16), records: BTreeMap::new() };
    let mut shards: Vec<Replay> = (0..shards.max(1)).map(replay).collect();
    for stream in begun.streams {
        read_stream(medium, stream, epoch, &mut shards).await?;
    }
    for replay in &mut shards {
        drop_sealed(&*medium.segments, replay).await?;
    }
    Ok(Recovered { epoch, shards })
}

/// Hands a stream's records to the shards that own their accounts now.
async fn read_stream(medium: &Medium, stream: StreamId, epoch: u64, shards: &mut [Replay]) -> Result<(), Error> {
    let mut replay = medium.logs.stream(stream, epoch).replay(Lsn::default(), &PartSet::all());
    while let Some(batch) = replay.next().await {
        let batch = batch?;
        for (header, payload) in batch.records() {
            let shard = header.account.shard(shards.len());
            let record = ReplayRecord { account_seq: header.account_seq, kind: header.kind, payload };
            shards[shard].records.entry(header.account).or_default().push(record);
        }
        batch.still_whole()?;
    }
    Ok(())
}

/// Leaves what the accounts' manifests do not have yet, in order.
async fn drop_sealed(segments: &dyn SegmentStore, replay: &mut Replay) -> Result<(), Error> {
    for (&account, records) in &mut replay.records {
        let sealed = match read_manifest(segments, account).await {
            Ok(manifest) => manifest.map_or(0, |manifest| manifest.seq),
            // The account can't be opened; what the log has stays with it.
            Err(Error::Corrupt { .. }) => 0,
            Err(error) => return Err(error),
        };
        let before = records.len();
        records.retain(|record| record.account_seq > sealed);
        if records.len() < before {
            // The manifest says more than the log from here on, and must not be forgotten.
            segments.settle(account).await?;
        }
        records.sort_by_key(|record| record.account_seq);
    }
    replay.records.retain(|_, records| !records.is_empty());
    Ok(())
}
