//! What the suites of the store run on: files, objects in memory, and objects of a service that is far away.
//!
//! All three are bodies of the same seams. A log over objects puts each batch as one and then moves the stream's head over those
//! that are there, in a transaction that another owner fences off: the second does that one by one, the third with several on
//! their way that overtake each other.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use super::super::log_record::Batch;
use super::super::map::Map;
use super::objects::{Effect, Objects};
use super::*;
use crate::limits::LOG_QUEUED_BYTES_MAX;

/// Batches that are on their way to the service at once.
const BATCHES_AT_ONCE: usize = 4;

/// What a store stands on while it is tested: a medium that can fail and forget. Clones are the same one.
pub(crate) trait World: Clone + Default + 'static {
    /// What a shard stands on; log segments have that many octets, where there are such.
    fn medium(&self, segment_bytes: u64) -> Medium;
    /// What a power cut leaves, which a seed decides: another world.
    fn crash(&self, seed: u64) -> Self;
    /// How many operations that change something there were.
    fn operations(&self) -> u64;
    /// From operation `number` on everything fails.
    fn fail_from(&self, number: u64);
    /// Operation `number` alone fails.
    fn fail_once(&self, number: u64, kind: io::ErrorKind);
    /// How many groups were committed.
    fn commits(&self) -> u64;
    /// Lets it be full: nothing new finds room.
    fn fill(&self, full: bool);
    /// The segments of an account.
    fn segments(&self, account: AccountId) -> Vec<Vec<u8>>;
}

impl World for MemoryDisk {
    fn medium(&self, segment_bytes: u64) -> Medium {
        let logs = Rc::new(FileLogs::with_segments(self.clone(), segment_bytes));
        Medium { logs, ..Medium::of_files(self.clone(), Secret([7; 32])) }
    }

    fn crash(&self, seed: u64) -> MemoryDisk {
        MemoryDisk::crash(self, seed)
    }

    fn operations(&self) -> u64 {
        MemoryDisk::operations(self)
    }

    fn fail_from(&self, number: u64) {
        MemoryDisk::fail_from(self, number);
    }

    fn fail_once(&self, number: u64, kind: io::ErrorKind) {
        MemoryDisk::fail_once(self, number, kind);
    }

    fn commits(&self) -> u64 {
        self.write_syncs()
    }

    fn fill(&self, full: bool) {
        MemoryDisk::fill(self, full);
    }

    fn segments(&self, account: AccountId) -> Vec<Vec<u8>> {
        let folder = format!("{}/", segments::account_folder(account));
        let paths = self.paths().into_iter();
        let segments = paths.filter(|path| path.strip_prefix(&folder).is_some_and(|name| Hash::parse(name).is_some()));
        segments.map(|path| self.bytes(&path)).collect()
    }
}

/// Objects in memory: an operation takes a turn, and says what became of it.
#[derive(Clone, Default)]
pub(super) struct InMemory(Objects);

/// Objects of a service that is far away: operations take their time, overtake one another, and may have happened when they
/// failed.
#[derive(Clone)]
pub(super) struct FarAway(Objects);

impl Default for FarAway {
    fn default() -> Self {
        FarAway(Objects::with_weather(20_261_122))
    }
}

macro_rules! world_of_objects {
    ($world:ident, $at_once:expr) => {
        impl World for $world {
            fn medium(&self, _: u64) -> Medium {
                let logs = Rc::new(ObjectLogs { objects: self.0.clone(), at_once: $at_once });
                Medium { logs, segments: Rc::new(self.0.clone()), placement: Rc::new(LocalPlacement) }
            }

            fn crash(&self, seed: u64) -> $world {
                $world(self.0.crash(seed))
            }

            fn operations(&self) -> u64 {
                self.0.operations()
            }

            fn fail_from(&self, number: u64) {
                self.0.fail_from(number);
            }

            fn fail_once(&self, number: u64, kind: io::ErrorKind) {
                self.0.fail_once(number, kind);
            }

            fn commits(&self) -> u64 {
                self.0.commits()
            }

            fn fill(&self, full: bool) {
                self.0.fill(full);
            }

            fn segments(&self, account: AccountId) -> Vec<Vec<u8>> {
                self.0.segments(account)
            }
        }
    };
}

world_of_objects!(InMemory, 1);
world_of_objects!(FarAway, BATCHES_AT_ONCE);

struct ObjectLogs {
    objects: Objects,
    /// Batches that may be on their way.
    at_once: usize,
}

impl Logs for ObjectLogs {
    fn begin(&self) -> Boxed<'_, Result<Begun, Error>> {
        Box::pin(async {
            let epoch = self.objects.epoch() + 1;
            self.objects.make(Effect::Epoch(epoch)).await.map_err(|error| Error::io("epoch", &error))?;
            Ok(Begun { epoch, streams: self.objects.streams() })
        })
    }

    fn stream(&self, stream: StreamId, epoch: u64) -> Rc<dyn CommitLog> {
        let (objects, at_once) = (self.objects.clone(), self.at_once);
        Rc::new(ObjectLog { objects, stream, epoch, at_once, state: RefCell::default() })
    }

    fn forget(&self, epoch: u64) -> Boxed<'_, Result<(), Error>> {
        Box::pin(
            async move { self.objects.make(Effect::Forget(epoch)).await.map_err(|error| Error::io("log", &error)) },
        )
    }
}

/// [`CommitLog`] over objects: a batch an object, and a head that says which of them count.
struct ObjectLog {
    objects: Objects,
    stream: StreamId,
    epoch: u64,
    at_once: usize,
    state: RefCell<State>,
}

type Operation = Boxed<'static, io::Result<()>>;

#[derive(Default)]
struct State {
    seq: u64,
    durable: u64,
    reported: u64,
    reserved: usize,
    waiting_bytes: usize,
    waiting: VecDeque<(Batch, u64)>,
    /// Batches on their way, in order, each with its last record; none: it is there.
    putting: VecDeque<(Option<Operation>, u64)>,
    /// The head on its way, to where.
    moving: Option<(Operation, u64)>,
    lost: Option<Lost>,
}

impl ObjectLog {
    fn lsn(&self, seq: u64) -> Lsn {
        Lsn { epoch: self.epoch, seq }
    }

    /// Begins to put what waits, as much as may be on its way.
    fn begin_puts(&self, state: &mut State) -> bool {
        let mut begun = false;
        while state.putting.len() < self.at_once
            && let Some((batch, last)) = state.waiting.pop_front()
        {
            state.waiting_bytes -= batch.len();
            let offsets = batch.offsets().to_vec();
            let first = last + 1 - offsets.len() as u64;
            let bytes = Map::of_bytes(&batch.stamp(self.epoch, 1, first));
            let (objects, at) = (self.objects.clone(), self.lsn(last));
            let effect = Effect::Batch(self.stream, at, bytes, offsets);
            let put: Operation = Box::pin(async move { objects.make(effect).await });
            state.putting.push_back((Some(put), last));
            begun = true;
        }
        begun
    }

    /// Drives what is on its way; true: something arrived.
    fn poll_puts(&self, state: &mut State, context: &mut Context<'_>) -> bool {
        let mut moved = false;
        for (put, _) in &mut state.putting {
            if let Some(operation) = put
                && let Poll::Ready(done) = operation.as_mut().poll(context)
            {
                *put = None;
                moved = true;
                if done.is_err() {
                    state.lost = Some(Lost::Poisoned);
                }
            }
        }
        moved
    }

    /// Moves the head over the batches that are there without a gap.
    fn poll_head(&self, state: &mut State, context: &mut Context<'_>) -> bool {
        if let Some((operation, head)) = &mut state.moving {
            let Poll::Ready(done) = operation.as_mut().poll(context) else { return false };
            match done {
                Ok(()) => state.durable = *head,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => state.lost = Some(Lost::Fenced),
                Err(_) => state.lost = Some(Lost::Poisoned),
            }
            state.moving = None;
            return true;
        }
        let there = state.putting.iter().take_while(|(put, _)| put.is_none()).count();
        let Some((_, head)) = state.putting.drain(..there).next_back() else { return false };
        let (objects, effect) = (self.objects.clone(), Effect::Head(self.stream, self.lsn(head)));
        objects.count_commit();
        state.moving = Some((Box::pin(async move { objects.make(effect).await }), head));
        true
    }
}

impl CommitLog for ObjectLog {
    fn open(&self) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn reserve(&self, bytes: usize) -> Option<Permit> {
        let state = &mut *self.state.borrow_mut();
        if self.objects.is_full() || state.waiting_bytes + state.reserved + bytes > LOG_QUEUED_BYTES_MAX {
            return None;
        }
        state.reserved += bytes;
        Some(Permit(bytes))
    }

    fn refusal(&self) -> Refusal {
        if self.objects.is_full() { Refusal::Full } else { Refusal::Busy }
    }

    fn submit(&self, permit: Permit, batch: Batch) -> Lsn {
        let state = &mut *self.state.borrow_mut();
        state.reserved -= permit.0;
        state.seq += batch.offsets().len() as u64;
        if !batch.is_empty() {
            state.waiting_bytes += batch.len();
            state.waiting.push_back((batch, state.seq));
        }
        self.lsn(state.seq)
    }

    fn poll_durable(&self, context: &mut Context<'_>) -> Poll<Result<Lsn, Lost>> {
        let state = &mut *self.state.borrow_mut();
        loop {
            let begun = self.begin_puts(state);
            let put = self.poll_puts(state, context);
            let moved = self.poll_head(state, context);
            if let Some(lost) = state.lost {
                return Poll::Ready(Err(lost));
            }
            if state.durable > state.reported {
                state.reported = state.durable;
                return Poll::Ready(Ok(self.lsn(state.durable)));
            }
            if !(begun || put || moved) {
                return Poll::Pending;
            }
        }
    }

    fn valid_until(&self) -> Option<Instant> {
        None
    }

    fn replay(&self, from: Lsn, parts: &PartSet) -> Box<dyn Batches> {
        self.objects.replay(self.stream, self.epoch, from, parts)
    }

    fn trim(&self, upto: Lsn) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            self.objects.make(Effect::Trim(self.stream, upto)).await.map_err(|error| Error::io("log", &error))
        })
    }

    fn batch(&self) -> Batch {
        Batch::default()
    }
}

/// Runs tests, each a function of its world, on all of them.
macro_rules! suite {
    ($($test:ident)*) => {
        mod on_files {
            $(#[test] fn $test() { super::$test::<super::MemoryDisk>() })*
        }
        mod in_memory {
            $(#[test] fn $test() { super::$test::<super::worlds::InMemory>() })*
        }
        mod far_away {
            $(#[test] fn $test() { super::$test::<super::worlds::FarAway>() })*
        }
    };
}
pub(super) use suite;
