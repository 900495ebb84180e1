//! The seams: a commit log, a segment store and a placement, as traits; files are their first bodies, objects the next.
//!
//! Invariants: a record carries its partition and never a shard, a path or an offset into another file; nothing is
//! durable before `poll_durable` said so, in order; a segment is named by its content. The signatures are those of
//! design.md, with these turns that Rust asks for: methods take `&self`, because the writer's and the checkpoint's
//! futures live side by side on one thread; `replay` answers a cursor, std has no `Stream`; `put` is cut in two, so that
//! a segment is never in memory whole, and answers the hash that it made on the way; an expiry is an `Option`, `None` is
//! never.
#![allow(async_fn_in_trait)]

use std::ops::Range;
use std::task::{Context, Poll};
use std::time::Instant;

use super::log_record::Batch;
use super::map::Map;
use super::types::{AccountId, Error, Hash, Partition};

/// A place in a log: dense within an epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Lsn {
    /// Which opening.
    pub epoch: u64,
    /// Which record of it; the first is 1.
    pub seq: u64,
}

/// One shard's log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub u16);

/// A set of partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartSet([u64; Partition::COUNT as usize / 64]);

impl PartSet {
    /// Every partition.
    pub fn all() -> PartSet {
        PartSet([u64::MAX; Partition::COUNT as usize / 64])
    }

    /// No partition.
    pub fn none() -> PartSet {
        PartSet([0; Partition::COUNT as usize / 64])
    }

    /// Adds one.
    pub fn insert(&mut self, partition: Partition) {
        self.0[usize::from(partition.0 % Partition::COUNT) / 64] |= 1 << (partition.0 % 64);
    }

    /// Whether it is in the set.
    pub fn contains(&self, partition: Partition) -> bool {
        partition.0 < Partition::COUNT && self.0[usize::from(partition.0) / 64] & (1 << (partition.0 % 64)) != 0
    }
}

/// What opening a stream said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The epoch of what will be submitted.
    pub epoch: u64,
    /// Where the stream's earlier epochs end that still have records.
    pub closed: Vec<Lsn>,
}

/// The right to submit one batch of at most so many bytes.
#[derive(Debug)]
pub struct Permit(pub(super) usize);

/// Why a log is at its end. Terminal: connections are closed without a final reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// Another owner took over.
    Fenced,
    /// A write or a sync failed: what is on the medium is unknown.
    Poisoned,
}

/// Why [`CommitLog::reserve`] said `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Too much is under way, or the next segment is in the making: ask again after the next turn.
    Busy,
    /// There is no room on the disk for another segment.
    Full,
}

/// One stream a shard.
pub trait CommitLog {
    /// The cursor that `replay` answers.
    type Replay: Batches;

    /// Opens the stream for writing.
    async fn open(&self, stream: StreamId) -> Result<Opened, Error>;
    /// Room for a batch of `bytes`; `None`: answer a temporary failure, or wait.
    fn reserve(&self, bytes: usize) -> Option<Permit>;
    /// Why the last `reserve` refused.
    fn refusal(&self) -> Refusal;
    /// Takes a batch, without waiting; the place of its last record.
    fn submit(&self, permit: Permit, batch: Batch) -> Lsn;
    /// Drives the log; ready when more became durable: all up to there, in order.
    fn poll_durable(&self, context: &mut Context<'_>) -> Poll<Result<Lsn, Lost>>;
    /// Until when what was read is certain to be current; `None`: for ever.
    fn valid_until(&self) -> Option<Instant>;
    /// Everything of `parts` after `from`, over all epochs, in order.
    fn replay(&self, from: Lsn, parts: &PartSet) -> Self::Replay;
    /// Everything up to `upto` is sealed and may be forgotten.
    async fn trim(&self, upto: Lsn) -> Result<(), Error>;
    /// An empty batch to fill, over memory that was written before where there is some.
    fn batch(&self) -> Batch;
}

/// What a replay gives, batch by batch.
pub trait Batches {
    /// The next batch; `None` at the end.
    async fn next(&mut self) -> Option<Result<Batch, Error>>;
}

/// Immutable segments, named by their content, of one account each.
pub trait SegmentStore {
    /// A segment that is being written.
    type Put: SegmentPut;

    /// Begins a segment.
    async fn put(&self, account: AccountId) -> Result<Self::Put, Error>;
    /// A range of a segment.
    async fn get_range(&self, account: AccountId, name: Hash, range: Range<u64>) -> Result<Vec<u8>, Error>;
    /// The whole segment for reading in place.
    async fn map(&self, account: AccountId, name: Hash) -> Result<Map, Error>;
    /// Gives a segment of `from` to `to` as well, durably, without its bytes a second time; fine where it has it. False: it
    /// can't be had that way, and must be put.
    async fn share(&self, from: AccountId, name: Hash, to: AccountId) -> Result<bool, Error>;
    /// Removes a segment; fine where there is none.
    async fn delete(&self, account: AccountId, name: Hash) -> Result<(), Error>;
    /// The account's segments. Half-written ones that nobody writes any more are removed on the way.
    async fn list(&self, account: AccountId) -> Result<Vec<Hash>, Error>;
    /// Takes a damaged segment out of the way, so that it is kept and not read again.
    async fn quarantine(&self, account: AccountId, name: Hash) -> Result<(), Error>;
}

/// A segment that is being written; dropped unfinished, it never was, but takes room until the account is loaded.
pub trait SegmentPut {
    /// Appends bytes.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error>;
    /// Removes what is written so far.
    async fn give_up(self);
    /// Makes the segment durable under the hash of its bytes. The same bytes twice are one segment.
    async fn finish(self) -> Result<Hash, Error>;
}

/// Who owns a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// This process, in that epoch.
    Here(u64),
    /// Another node.
    Elsewhere(u32),
}

/// Where partitions live.
pub trait Placement {
    /// The partition's owner.
    fn owner(&self, partition: Partition) -> Owner;
    /// Takes a partition over.
    async fn acquire(&self, partition: Partition) -> Result<Owner, Error>;
    /// Gives a partition up.
    async fn release(&self, partition: Partition) -> Result<(), Error>;
    /// Resolves when an owner changed.
    async fn watch(&self) -> Partition;
}

/// One process owns everything.
#[derive(Clone, Copy, Debug)]
pub struct LocalPlacement {
    /// The epoch of this opening.
    pub epoch: u64,
}

impl Placement for LocalPlacement {
    fn owner(&self, _: Partition) -> Owner {
        Owner::Here(self.epoch)
    }

    async fn acquire(&self, _: Partition) -> Result<Owner, Error> {
        Ok(Owner::Here(self.epoch))
    }

    async fn release(&self, _: Partition) -> Result<(), Error> {
        Ok(())
    }

    async fn watch(&self) -> Partition {
        std::future::pending().await
    }
}
