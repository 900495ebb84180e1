//! The seams: commit logs, a segment store and a placement, as traits. They are the store's only way to the medium: files
//! are their first bodies, objects in memory and objects of a slow, forgetful service are those of the tests.
//!
//! Invariants: a record carries its partition and never a shard, a path or an offset into another file; nothing is
//! durable before `poll_durable` said so, in order; a segment is named by its content; an operation that failed may have
//! happened. The signatures are those of design.md, with these turns: futures are boxed, so that a store is the same type
//! whatever it stands on; methods take `&self`, because the writer's and the checkpoint's futures live side by side on one
//! thread; [`Logs`] is what one stream's log can't say of all; `replay` answers a cursor, std has no `Stream`, and nobody
//! asks where epochs end; `put` is cut in two, so that a segment is never in memory whole, and answers the hash that it made on
//! the way; an account's manifest and what is arriving lie with the segments; an expiry is an `Option`, `None` is never.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::disk::Mapper;
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

/// A future of a seam. An operation is system calls, or a service's; a box is nothing beside.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a store stands on. A shard has its own; clones are the same.
#[derive(Clone)]
pub struct Medium {
    /// The streams of all shards.
    pub logs: Rc<dyn Logs>,
    /// What accounts are made of.
    pub segments: Rc<dyn SegmentStore>,
    /// Where partitions live.
    pub placement: Rc<dyn Placement>,
}

/// What a start finds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Begun {
    /// The epoch that begins.
    pub epoch: u64,
    /// The streams that earlier epochs left, in order.
    pub streams: Vec<StreamId>,
}

/// The commit logs of all shards.
pub trait Logs {
    /// Begins an epoch, durably, before anything is written in it.
    fn begin(&self) -> Boxed<'_, Result<Begun, Error>>;
    /// A stream in an epoch that was begun: to replay what lies before it, and to write once it is opened.
    fn stream(&self, stream: StreamId, epoch: u64) -> Rc<dyn CommitLog>;
    /// Everything of the epochs before `epoch` is sealed and may be forgotten.
    fn forget(&self, epoch: u64) -> Boxed<'_, Result<(), Error>>;
}

/// One stream a shard.
pub trait CommitLog {
    /// Opens the stream for writing.
    fn open(&self) -> Boxed<'_, Result<(), Error>>;
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
    /// Everything of `parts` after `from`, over all epochs before this one, in order.
    fn replay(&self, from: Lsn, parts: &PartSet) -> Box<dyn Batches>;
    /// Everything up to `upto` is sealed and may be forgotten.
    fn trim(&self, upto: Lsn) -> Boxed<'_, Result<(), Error>>;
    /// An empty batch to fill, over memory that was written before where there is some.
    fn batch(&self) -> Batch;
}

/// What a replay gives, batch by batch.
pub trait Batches {
    /// The next batch; `None` at the end.
    fn next(&mut self) -> Boxed<'_, Option<Result<Batch, Error>>>;
}

/// Immutable segments, named by their content, of one account each, and the account's manifest, which says which of them count.
pub trait SegmentStore {
    /// Makes ready what all accounts need; what was arriving when an earlier process ended goes.
    fn begin(&self) -> Boxed<'_, Result<(), Error>>;
    /// Makes room for an account that has no manifest yet, durably; fine where there is.
    fn create(&self, account: AccountId) -> Boxed<'_, Result<(), Error>>;
    /// The account's manifest; `None` where it has none.
    fn manifest(&self, account: AccountId) -> Boxed<'_, Result<Option<Vec<u8>>, Error>>;
    /// Replaces the manifest, durably; a crash leaves the old one or the new one.
    fn set_manifest(&self, account: AccountId, manifest: Vec<u8>) -> Boxed<'_, Result<(), Error>>;
    /// Makes durable what can be read of the account, whoever wrote it: a process that ended before it was.
    fn settle(&self, account: AccountId) -> Boxed<'_, Result<(), Error>>;
    /// Begins a segment.
    fn put(&self, account: AccountId) -> Boxed<'_, Result<Box<dyn SegmentPut>, Error>>;
    /// A range of a segment.
    fn get_range(&self, account: AccountId, name: Hash, range: Range<u64>) -> Boxed<'_, Result<Vec<u8>, Error>>;
    /// The whole segment for reading in place.
    fn map(&self, account: AccountId, name: Hash) -> Boxed<'_, Result<Map, Error>>;
    /// What maps the whole segment when it is called, on any thread: it may block.
    fn mapper(&self, account: AccountId, name: Hash) -> Mapper;
    /// Gives a segment of `from` to `to` as well, durably, without its bytes a second time; fine where it has it. False: it
    /// can't be had that way, and must be put.
    fn share(&self, from: AccountId, name: Hash, to: AccountId) -> Boxed<'_, Result<bool, Error>>;
    /// Removes a segment; fine where there is none.
    fn delete(&self, account: AccountId, name: Hash) -> Boxed<'_, Result<(), Error>>;
    /// The account's segments. Half-written ones that nobody writes any more are removed on the way.
    fn list(&self, account: AccountId) -> Boxed<'_, Result<Vec<Hash>, Error>>;
    /// Takes a damaged segment out of the way, so that it is kept and not read again; refused where one of that name was before.
    fn quarantine(&self, account: AccountId, name: Hash) -> Boxed<'_, Result<(), Error>>;
    /// Room for what is arriving; `name` is used once in a shard's life.
    fn scratch(&self, name: String) -> Boxed<'_, Result<Box<dyn Scratch>, Error>>;
}

/// A segment that is being written; dropped unfinished, it never was, but takes room until the account is loaded.
pub trait SegmentPut {
    /// Appends bytes.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> Boxed<'a, Result<(), Error>>;
    /// Removes what is written so far.
    fn give_up(self: Box<Self>) -> Boxed<'static, ()>;
    /// Makes the segment durable under the hash of its bytes. The same bytes twice are one segment.
    fn finish(self: Box<Self>) -> Boxed<'static, Result<Hash, Error>>;
}

/// Octets without a name, which are gone with the last handle and map of them. Nothing here is durable.
pub trait Scratch {
    /// Appends the whole, or says an error; the buffer comes back.
    fn write(&mut self, bytes: Vec<u8>) -> Boxed<'_, (Result<(), Error>, Vec<u8>)>;
    /// All of it for reading in place; nothing is appended after that.
    fn map(&self) -> Boxed<'_, Result<Map, Error>>;
}

/// Who owns a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// This process; the epoch that proves it is the log's.
    Here,
    /// Another node.
    Elsewhere(u32),
}

/// Where partitions live.
pub trait Placement {
    /// The partition's owner.
    fn owner(&self, partition: Partition) -> Owner;
    /// Takes a partition over.
    fn acquire(&self, partition: Partition) -> Boxed<'_, Result<Owner, Error>>;
    /// Gives a partition up.
    fn release(&self, partition: Partition) -> Boxed<'_, Result<(), Error>>;
    /// Resolves when an owner changed.
    fn watch(&self) -> Boxed<'_, Partition>;
}

/// One process owns everything.
#[derive(Clone, Copy, Debug)]
pub struct LocalPlacement;

impl Placement for LocalPlacement {
    fn owner(&self, _: Partition) -> Owner {
        Owner::Here
    }

    fn acquire(&self, _: Partition) -> Boxed<'_, Result<Owner, Error>> {
        Box::pin(std::future::ready(Ok(Owner::Here)))
    }

    fn release(&self, _: Partition) -> Boxed<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn watch(&self) -> Boxed<'_, Partition> {
        Box::pin(std::future::pending())
    }
}
