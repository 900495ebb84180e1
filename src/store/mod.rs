//! The store: mail in a commit log and in sealed, mapped files.
//!
//! Invariants, each held by the module in brackets:
//! 1. Nothing is visible before it is durable, and nothing that was acknowledged is ever lost or doubled (commit, log).
//! 2. What was given out is in the log, and a change finds the same whenever it is applied: a replay gives out nothing, and
//!    takes all logs in the order of each account's own sequence numbers, so that the number of shards may change between
//!    two starts (change, recovery).
//! 3. A failed write or sync of the log is the end of the process; it is never retried (log).
//! 4. Sealed files are written once, named by their content, checksummed, and named by a manifest before anything that
//!    they replace is forgotten (sealed, segments, manifest, checkpoint).
//! 5. A view means what it was told; what it can see can be read (mailbox_state, view).
//! 6. All I/O goes through a [`Medium`], the seams; files are one, through [`Disk`]. No clock, no randomness, nothing gone
//!    through in the order of a hash: the same operations of the same medium, whenever it runs. No borrow is held across an
//!    `.await`.
//!
//! It knows nothing of protocols, names of users or quotas. The format on disk is FORMAT.md.

mod account;
mod body_file;
mod change;
mod checkpoint;
mod columns;
mod commit;
mod copy;
mod disk;
mod entries;
mod file_logs;
pub mod fsck;
mod load;
mod log;
mod log_record;
mod log_replay;
mod mailbox;
mod mailbox_state;
mod manifest;
mod map;
mod map_archive;
mod map_fault;
mod map_index;
#[cfg(test)]
mod memory_disk;
mod merge;
mod message;
mod record;
mod recovery;
mod rewrite;
mod ring_disk;
mod sealed;
mod seams;
mod segments;
mod shared;
mod spool;
#[cfg(test)]
mod tests;
mod tiers;
mod tree;
mod tree_state;
mod types;
mod view;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

pub use account::{Account, CreateError};
pub use body_file::{ColdBlocks, Reading, WarmBlocks};
pub use change::SpecialUse;
pub use commit::CommitTook;
pub use copy::Copied;
pub use disk::{Disk, Mapper, Open};
pub use entries::{Entries, Entry};
pub use log::Secret;
pub use log_record::{Batch, Payload, RecordHeader};
pub use mailbox::{Mailbox, Submitted};
pub use mailbox_state::Counts;
pub use map::Map;
pub use map_fault::survive_lost_pages;
pub use message::Message;
pub use record::{Date, DeliveryEnvelope, Details, NewMessage, Record};
pub use recovery::{Recovered, Replay, recover};
pub use ring_disk::RingDisk;
pub use seams::{
    Batches, Begun, Boxed, CommitLog, LocalPlacement, Logs, Lost, Lsn, Medium, Owner, PartSet, Permit, Placement,
    Refusal, Scratch, SegmentPut, SegmentStore, StreamId,
};
pub use spool::{Body, Spool};
pub use tree::TreeError;
pub use types::{AccountId, Error, FlagOp, Flags, Hash, MailboxId, ModSeq, Partition, Uid, UidValidity};
pub use view::{News, View};

/// What tests of other rooms open a store with.
#[cfg(test)]
pub(crate) mod simulation {
    pub(crate) use super::memory_disk::MemoryDisk;
    pub(crate) use super::tests::{manifest, message, with_segments};
}

use account::AccountState;
use body_file::BodyFiles;
use commit::Commits;
use file_logs::FileLogs;
use recovery::ReplayRecord;
use segments::FileSegments;

use crate::limits::{ACCOUNTS_IDLE_MAX, ACCOUNTS_IDLE_WEIGHT_MAX};

impl Medium {
    /// The files of a data folder, which is this process's alone.
    pub fn of_files<D: Disk>(disk: D, secret: Secret) -> Medium {
        let segments = Rc::new(FileSegments::new(disk.clone()));
        Medium { logs: Rc::new(FileLogs::new(disk, secret)), segments, placement: Rc::new(LocalPlacement) }
    }
}

/// What all handles of a store share.
struct Core {
    segments: Rc<dyn SegmentStore>,
    bodies: Rc<BodyFiles>,
    commits: Commits,
    placement: Rc<dyn Placement>,
    epoch: u64,
    stream: StreamId,
    /// The lowest UIDVALIDITY to give out.
    seed: u32,
    accounts: RefCell<BTreeMap<AccountId, Slot>>,
    /// Accounts that nobody has open, that have nothing to seal, and that stay in memory for whoever asks next, with their
    /// [`AccountState::idle_weight`]; the one that was left last is the last.
    idle: RefCell<VecDeque<(AccountId, usize)>>,
    /// What the logs of earlier epochs hold for accounts that have not sealed it yet.
    replay: RefCell<BTreeMap<AccountId, Vec<ReplayRecord>>>,
    /// Accounts of `replay` that a checkpoint could not open; not tried again before the next start.
    stuck: RefCell<HashSet<AccountId>>,
    on_sealed: RefCell<Option<Box<dyn FnOnce()>>>,
    checkpoints: checkpoint::Gate,
    numbers: Cell<u64>,
    /// Bytes of arriving messages that are in memory.
    spooled: Rc<Cell<usize>>,
}

/// An account on its way into memory, or there.
enum Slot {
    Opening(Vec<Waker>),
    Open(Rc<AccountState>),
}

impl Core {
    /// A number that is not used twice in this epoch and stream.
    fn next_number(&self) -> u64 {
        let number = self.numbers.get() + 1;
        self.numbers.set(number);
        u64::from(self.stream.0) << 48 | number
    }

    /// An account that nobody has open and that has nothing to seal stays for a while, in place of those that were left
    /// before it; one that is large alone does not. `state` and the map are the two that still hold it.
    fn close(&self, state: &Rc<AccountState>) {
        if Rc::strong_count(state) > 2 || state.is_unsealed() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.iter().any(|(id, _)| *id == state.id()) {
            return;
        }
        let own = state.idle_weight();
        if own > ACCOUNTS_IDLE_WEIGHT_MAX {
            self.forget(state.id(), 2);
            return;
        }
        idle.push_back((state.id(), own));
        let mut weight: usize = idle.iter().map(|(_, weight)| weight).sum();
        while idle.len() > ACCOUNTS_IDLE_MAX || weight > ACCOUNTS_IDLE_WEIGHT_MAX {
            let Some((id, left)) = idle.pop_front() else { break };
            weight -= left;
            // A checkpoint that is at it leaves it here once more.
            self.forget(id, 1);
        }
    }

    /// Lets go of an account unless more than `holders` hold it, the map among them.
    fn forget(&self, id: AccountId, holders: usize) {
        let mut accounts = self.accounts.borrow_mut();
        let unused = matches!(accounts.get(&id), Some(Slot::Open(open)) if Rc::strong_count(open) <= holders);
        let forgotten = if unused { accounts.remove(&id) } else { None };
        drop(accounts);
        drop(forgotten);
    }

    /// Somebody opens an account that is in memory.
    fn join(&self, id: AccountId) {
        self.idle.borrow_mut().retain(|(idle, _)| *idle != id);
    }

    /// Makes room for the account's segments, once.
    async fn ensure_room(&self, state: &AccountState) -> Result<(), Error> {
        if !state.inner.borrow().has_manifest {
            self.segments.create(state.id()).await?;
        }
        Ok(())
    }
}

/// One shard's store. Clones are the same store.
#[derive(Clone)]
pub struct Store(Rc<Core>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store of stream {}", self.0.stream.0)
    }
}

impl Store {
    /// Opens a shard's store over what [`recover`] found for it. `on_sealed` is called when everything of that is in
    /// sealed files, and the logs of earlier epochs are no longer needed by this shard. `seed`: Unix time in seconds,
    /// the lowest UIDVALIDITY that is given out. Nothing moves before [`Store::writer`] is polled.
    pub async fn open(
        medium: &Medium,
        replay: Replay,
        on_sealed: Box<dyn FnOnce()>,
        seed: u64,
    ) -> Result<Store, Error> {
        let log = medium.logs.stream(replay.stream, replay.epoch);
        log.open().await?;
        let core = Core {
            segments: medium.segments.clone(),
            bodies: BodyFiles::new(medium.segments.clone()),
            commits: Commits::new(log),
            placement: medium.placement.clone(),
            epoch: replay.epoch,
            stream: replay.stream,
            seed: u32::try_from(seed).unwrap_or(u32::MAX).max(1),
            accounts: RefCell::default(),
            idle: RefCell::default(),
            replay: RefCell::new(replay.records),
            stuck: RefCell::default(),
            on_sealed: RefCell::new(Some(on_sealed)),
            checkpoints: checkpoint::Gate::default(),
            numbers: Cell::new(0),
            spooled: Rc::default(),
        };
        Ok(Store(Rc::new(core)))
    }

    /// The future that writes what is submitted; it ends when the log is lost, and then the process must end. The shard
    /// runs it before everything else. `on_commit` is told of each commit; `clock` says how long it is since any fixed
    /// moment.
    pub fn writer(
        &self,
        clock: impl Fn() -> Duration + 'static,
        mut on_commit: impl FnMut(CommitTook) + 'static,
    ) -> impl Future<Output = Lost> + 'static {
        let core = self.0.clone();
        async move {
            let published = |took| {
                on_commit(took);
                core.checkpoints.consider(core.commits.published().1);
            };
            core.commits.write(clock, published).await
        }
    }

    /// The future that seals what the log holds, in the background; it ends with the store's last handle gone or the log
    /// lost. `breathe` is awaited every few dozen microseconds of work.
    pub fn checkpointer(&self, breathe: impl AsyncFn() + 'static) -> impl Future<Output = ()> + 'static {
        checkpoint::run(Rc::downgrade(&self.0), breathe)
    }

    /// The future that asks for a checkpoint when there was none for [`crate::limits::CHECKPOINT_TIME`] although something
    /// is not sealed, so that a start has little to replay; it ends with the store's last handle gone.
    pub fn checkpoints_by_time(&self, sleep: impl AsyncFn(Duration) + 'static) -> impl Future<Output = ()> + 'static {
        checkpoint::by_time(Rc::downgrade(&self.0), sleep)
    }

    /// Resolves when everything that was submitted is durable and sealed.
    pub async fn seal_all(&self) -> Result<(), Error> {
        self.flush().await?;
        checkpoint::checkpoint(&self.0, &async || {}).await
    }

    /// Resolves when everything that was submitted is durable.
    pub async fn flush(&self) -> Result<(), Error> {
        self.0.commits.flush().await
    }

    /// Opens an account; a new one has its INBOX, durably, when this resolves.
    pub async fn account(&self, id: AccountId) -> Result<Account, Error> {
        load::account(&self.0, id).await
    }

    /// After an error that a message was read with: the file of which the disk can't give some is put aside. Others are passed
    /// over.
    pub async fn put_aside(&self, error: &Error) {
        load::put_aside_unreadable(&self.0, error).await;
    }

    /// A place for a message to arrive in.
    pub fn spool(&self) -> Spool {
        let name = format!("{:04x}-{:012x}", self.0.stream.0, self.0.next_number() & 0xffff_ffff_ffff);
        Spool::new(self.0.segments.clone(), name, self.0.spooled.clone())
    }
}
