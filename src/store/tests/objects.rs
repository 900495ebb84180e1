//! A service that keeps objects, in memory: what the second and the third body of the seams stand on.
//!
//! An operation happens at one moment, whole, and is durable from then on. A crash happens before or after each of those that
//! are under way, on its own. With weather they take their time and overtake one another, and now and then nobody learns what
//! became of one. Any operation can be made the last one that works.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::rc::Rc;

use super::super::log_record::{Batch, peek};
use super::super::map::Map;
use super::super::memory_disk::Random;
use super::super::segments::{manifest_path, segment_path};
use super::*;

/// How often an operation of unknown outcome is tried again. The weather is never that bad for that long.
const TRIES: usize = 12;

/// What an operation does. Doing it twice is doing it once.
#[derive(Clone)]
pub(super) enum Effect {
    Epoch(u64),
    /// A batch of a stream, by its last record, and where its records are.
    Batch(StreamId, Lsn, Map, Vec<(Partition, u32)>),
    /// Everything of the stream up to there counts.
    Head(StreamId, Lsn),
    Trim(StreamId, Lsn),
    Forget(u64),
    Manifest(AccountId, Vec<u8>),
    Segment(AccountId, Hash, Map),
    Delete(AccountId, Hash),
    Quarantine(AccountId, Hash),
}

type StoredBatch = (Map, Vec<(Partition, u32)>);

#[derive(Clone, Default)]
struct Kept {
    epoch: u64,
    batches: BTreeMap<(StreamId, Lsn), StoredBatch>,
    heads: BTreeMap<(StreamId, u64), u64>,
    manifests: BTreeMap<AccountId, Vec<u8>>,
    segments: BTreeMap<(AccountId, Hash), Map>,
    quarantined: BTreeSet<(AccountId, Hash)>,
}

impl Kept {
    /// Does it; false: who asks for it was fenced off.
    fn apply(&mut self, effect: Effect) -> bool {
        match effect {
            Effect::Epoch(epoch) => self.epoch = self.epoch.max(epoch),
            Effect::Batch(stream, last, bytes, offsets) => drop(self.batches.insert((stream, last), (bytes, offsets))),
            Effect::Head(_, head) if head.epoch != self.epoch => return false,
            Effect::Head(stream, head) => {
                let seq = self.heads.entry((stream, head.epoch)).or_default();
                *seq = head.seq.max(*seq);
            }
            Effect::Trim(stream, upto) => {
                self.batches.retain(|(of, last), _| *of != stream || last.epoch != upto.epoch || *last > upto);
            }
            Effect::Forget(epoch) => self.batches.retain(|(_, last), _| last.epoch >= epoch),
            Effect::Manifest(account, bytes) => drop(self.manifests.insert(account, bytes)),
            Effect::Segment(account, name, bytes) => drop(self.segments.insert((account, name), bytes)),
            Effect::Delete(account, name) => drop(self.segments.remove(&(account, name))),
            Effect::Quarantine(account, name) => {
                self.segments.remove(&(account, name));
                self.quarantined.insert((account, name));
            }
        }
        true
    }
}

#[derive(Default)]
struct Service {
    kept: Kept,
    /// What is under way.
    pending: BTreeMap<u64, Effect>,
    operations: u64,
    commits: u64,
    fail_from: Option<u64>,
    fail_once: Option<(u64, io::ErrorKind)>,
    full: bool,
    /// None: operations take a turn each, and say what became of them.
    weather: Option<Random>,
}

impl Service {
    fn chance(&mut self, of: usize) -> bool {
        self.weather.as_mut().is_some_and(|random| random.below(of) == 0)
    }
}

/// The service; clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Objects(Rc<RefCell<Service>>);

impl Objects {
    pub(super) fn with_weather(seed: u64) -> Objects {
        let objects = Objects::default();
        objects.0.borrow_mut().weather = Some(Random::new(seed));
        objects
    }

    pub(super) fn operations(&self) -> u64 {
        self.0.borrow().operations
    }

    pub(super) fn fail_from(&self, number: u64) {
        self.0.borrow_mut().fail_from = Some(number);
    }

    pub(super) fn fail_once(&self, number: u64, kind: io::ErrorKind) {
        self.0.borrow_mut().fail_once = Some((number, kind));
    }

    pub(super) fn fill(&self, full: bool) {
        self.0.borrow_mut().full = full;
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.borrow().full
    }

    pub(super) fn commits(&self) -> u64 {
        self.0.borrow().commits
    }

    pub(super) fn count_commit(&self) {
        self.0.borrow_mut().commits += 1;
    }

    pub(super) fn segments(&self, account: AccountId) -> Vec<Vec<u8>> {
        let service = self.0.borrow();
        let ours = service.kept.segments.iter().filter(|((of, _), _)| *of == account);
        ours.map(|(_, bytes)| bytes.to_vec()).collect()
    }

    /// What is there after everybody who used it has gone.
    pub(super) fn crash(&self, seed: u64) -> Objects {
        let mut random = Random::new(seed);
        let service = self.0.borrow();
        let mut kept = service.kept.clone();
        for effect in service.pending.values() {
            if random.below(2) == 0 {
                kept.apply(effect.clone());
            }
        }
        let weather = service.weather.is_some().then_some(random);
        Objects(Rc::new(RefCell::new(Service { kept, weather, ..Service::default() })))
    }

    /// Does something, once: an error says nothing of whether it happened, but `PermissionDenied`: fenced off.
    pub(super) async fn try_once(&self, effect: Effect) -> io::Result<()> {
        let (number, turns) = {
            let service = &mut *self.0.borrow_mut();
            service.operations += 1;
            service.pending.insert(service.operations, effect);
            (service.operations, service.weather.as_mut().map_or(0, |random| random.below(8)))
        };
        for _ in 0..=turns {
            yield_now().await;
        }
        let service = &mut *self.0.borrow_mut();
        let Some(effect) = service.pending.remove(&number) else { return Ok(()) };
        let grows = matches!(effect, Effect::Manifest(..) | Effect::Segment(..));
        let failure = match service.fail_once {
            _ if service.fail_from.is_some_and(|from| number >= from) => Some(io::ErrorKind::Other),
            Some((once, kind)) if once == number => Some(kind),
            _ if service.full && grows => return Err(io::ErrorKind::StorageFull.into()),
            _ => service.chance(16).then_some(io::ErrorKind::TimedOut),
        };
        if failure.is_some() && !service.chance(2) {
            return Err(failure.unwrap_or(io::ErrorKind::Other).into());
        }
        let done = service.kept.apply(effect);
        match failure {
            Some(kind) => Err(kind.into()),
            None if done => Ok(()),
            None => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// The same, tried again where nobody knows what became of it.
    pub(super) async fn make(&self, effect: Effect) -> io::Result<()> {
        for _ in 1..TRIES {
            match self.try_once(effect.clone()).await {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                made => return made,
            }
        }
        self.try_once(effect).await
    }

    pub(super) fn epoch(&self) -> u64 {
        self.0.borrow().kept.epoch
    }

    pub(super) fn streams(&self) -> Vec<StreamId> {
        let mut streams: Vec<StreamId> = self.0.borrow().kept.batches.keys().map(|(stream, _)| *stream).collect();
        streams.dedup();
        streams
    }

    /// What of a stream counts that lies before `epoch`, batch by batch.
    pub(super) fn replay(&self, stream: StreamId, epoch: u64, from: Lsn, parts: &PartSet) -> Box<dyn Batches> {
        let kept = &self.0.borrow().kept;
        let counts = |last: &Lsn| last.epoch < epoch && kept.heads.get(&(stream, last.epoch)) >= Some(&last.seq);
        let stored = kept.batches.iter().filter(|((of, last), _)| *of == stream && counts(last));
        let batches = stored.map(|((_, last), (bytes, offsets))| {
            let wanted = offsets.iter().copied().filter(|&(partition, offset)| {
                let seq = peek(&bytes[offset as usize..]).unwrap().seq;
                parts.contains(partition) && Lsn { epoch: last.epoch, seq } > from
            });
            Batch::read(bytes.clone(), 0, wanted.collect())
        });
        Box::new(Stored(batches.collect()))
    }
}

struct Stored(std::collections::VecDeque<Batch>);

impl Batches for Stored {
    fn next(&mut self) -> Boxed<'_, Option<Result<Batch, Error>>> {
        Box::pin(async { self.0.pop_front().map(Ok) })
    }
}

/// [`SegmentStore`] over objects.
impl SegmentStore for Objects {
    fn begin(&self) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn create(&self, _: AccountId) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn manifest(&self, account: AccountId) -> Boxed<'_, Result<Option<Vec<u8>>, Error>> {
        Box::pin(async move { Ok(self.0.borrow().kept.manifests.get(&account).cloned()) })
    }

    fn set_manifest(&self, account: AccountId, manifest: Vec<u8>) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            let set = self.make(Effect::Manifest(account, manifest)).await;
            set.map_err(|error| Error::io(&manifest_path(account), &error))
        })
    }

    fn settle(&self, _: AccountId) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn put(&self, account: AccountId) -> Boxed<'_, Result<Box<dyn SegmentPut>, Error>> {
        let put = Put { objects: self.clone(), account, bytes: Vec::new() };
        Box::pin(async { Ok(Box::new(put) as Box<dyn SegmentPut>) })
    }

    fn get_range(&self, account: AccountId, name: Hash, range: Range<u64>) -> Boxed<'_, Result<Vec<u8>, Error>> {
        Box::pin(async move {
            let bytes = self.map(account, name).await?;
            Ok(bytes[range.start as usize..(range.end as usize).min(bytes.len())].to_vec())
        })
    }

    fn map(&self, account: AccountId, name: Hash) -> Boxed<'_, Result<Map, Error>> {
        Box::pin(async move {
            let found = self.0.borrow().kept.segments.get(&(account, name)).cloned();
            found.ok_or_else(|| Error::corrupt(&segment_path(account, name), 0, "missing"))
        })
    }

    fn mapper(&self, account: AccountId, name: Hash) -> Mapper {
        let found = self.0.borrow().kept.segments.get(&(account, name)).cloned();
        Box::new(move || found.ok_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn share(&self, from: AccountId, name: Hash, to: AccountId) -> Boxed<'_, Result<bool, Error>> {
        Box::pin(async move {
            let found = self.0.borrow().kept.segments.get(&(from, name)).cloned();
            let Some(bytes) = found else { return Ok(false) };
            let shared = self.make(Effect::Segment(to, name, bytes)).await;
            shared.map(|()| true).map_err(|error| Error::io(&segment_path(to, name), &error))
        })
    }

    fn delete(&self, account: AccountId, name: Hash) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            let deleted = self.make(Effect::Delete(account, name)).await;
            deleted.map_err(|error| Error::io(&segment_path(account, name), &error))
        })
    }

    fn list(&self, account: AccountId) -> Boxed<'_, Result<Vec<Hash>, Error>> {
        Box::pin(async move {
            let service = self.0.borrow();
            let ours = service.kept.segments.keys().filter(|(of, _)| *of == account);
            Ok(ours.map(|(_, name)| *name).collect())
        })
    }

    fn quarantine(&self, account: AccountId, name: Hash) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            let moved = if self.0.borrow().kept.quarantined.contains(&(account, name)) {
                Err(io::ErrorKind::AlreadyExists.into())
            } else {
                self.make(Effect::Quarantine(account, name)).await
            };
            moved.map_err(|error| Error::io(&segment_path(account, name), &error))
        })
    }

    fn scratch(&self, name: String) -> Boxed<'_, Result<Box<dyn Scratch>, Error>> {
        let scratch = Arriving { objects: self.clone(), name, bytes: Vec::new() };
        Box::pin(async { Ok(Box::new(scratch) as Box<dyn Scratch>) })
    }
}

struct Put {
    objects: Objects,
    account: AccountId,
    bytes: Vec<u8>,
}

impl SegmentPut for Put {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> Boxed<'a, Result<(), Error>> {
        Box::pin(async move {
            yield_now().await;
            self.bytes.extend_from_slice(bytes);
            Ok(())
        })
    }

    fn give_up(self: Box<Self>) -> Boxed<'static, ()> {
        Box::pin(async {})
    }

    fn finish(self: Box<Self>) -> Boxed<'static, Result<Hash, Error>> {
        Box::pin(async move {
            let name = Hash::of(&self.bytes);
            let put = self.objects.make(Effect::Segment(self.account, name, Map::of_bytes(&self.bytes))).await;
            put.map(|()| name).map_err(|error| Error::io(&segment_path(self.account, name), &error))
        })
    }
}

struct Arriving {
    objects: Objects,
    name: String,
    bytes: Vec<u8>,
}

impl Scratch for Arriving {
    fn write(&mut self, bytes: Vec<u8>) -> Boxed<'_, (Result<(), Error>, Vec<u8>)> {
        Box::pin(async move {
            yield_now().await;
            if self.objects.is_full() {
                return (Err(Error::io(&self.name, &io::ErrorKind::StorageFull.into())), bytes);
            }
            self.bytes.extend_from_slice(&bytes);
            (Ok(()), bytes)
        })
    }

    fn map(&self) -> Boxed<'_, Result<Map, Error>> {
        Box::pin(async { Ok(Map::of_bytes(&self.bytes)) })
    }
}
