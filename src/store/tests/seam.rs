//! The seams by themselves: what every body of them does, and what a store does of what they say.

use std::cell::RefCell;

use super::whole::{boxed, inbox, open_one};
use super::worlds::{FarAway, InMemory};
use super::*;

fn batch(log: &dyn CommitLog, accounts: &[u64]) -> Batch {
    let mut batch = log.batch();
    for &account in accounts {
        batch.push(AccountId(account), account, 6, |out| out.extend_from_slice(&account.to_le_bytes()));
    }
    batch
}

fn submit(log: &dyn CommitLog, accounts: &[u64]) -> Lsn {
    let batch = batch(log, accounts);
    log.submit(log.reserve(batch.len()).expect("room"), batch)
}

/// Waits for room.
async fn room(log: &dyn CommitLog, batch: &Batch) -> Permit {
    loop {
        if let Some(permit) = log.reserve(batch.len()) {
            return permit;
        }
        assert_eq!(log.refusal(), Refusal::Busy, "the next segment is in the making");
        assert!(log.poll_durable(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}

async fn durable(log: &dyn CommitLog, upto: Lsn) -> Vec<Lsn> {
    let mut steps = Vec::new();
    while steps.last() != Some(&upto) {
        steps.push(poll_fn(|context| log.poll_durable(context)).await.unwrap());
    }
    steps
}

async fn replayed(log: &dyn CommitLog, from: Lsn, parts: &PartSet) -> Vec<(u64, u64, Vec<u8>)> {
    let mut replay = log.replay(from, parts);
    let mut records = Vec::new();
    while let Some(batch) = replay.next().await {
        let batch = batch.unwrap();
        records.extend(batch.records().map(|(header, payload)| (header.seq, header.account.0, payload.to_vec())));
    }
    records
}

fn a_log_is_dense_cumulative_and_replayed_from_anywhere<W: World>() {
    let disk = W::default();
    block_on(async {
        let logs = disk.medium(SEGMENT_BYTES).logs;
        assert_eq!(logs.begin().await, Ok(Begun { epoch: 1, streams: vec![] }));
        let log = &*logs.stream(StreamId(3), 1);
        log.open().await.unwrap();
        assert_eq!(log.valid_until(), None);
        let first = submit(log, &[1, 2]);
        let second = submit(log, &[3]);
        assert_eq!((first, second), (Lsn { epoch: 1, seq: 2 }, Lsn { epoch: 1, seq: 3 }));
        let steps = durable(log, second).await;
        assert!(steps == [first, second] || steps == [second], "{steps:?}");
        // Its own epoch is not replayed: somebody writes it.
        assert_eq!(replayed(log, Lsn::default(), &PartSet::all()).await, []);

        assert_eq!(logs.begin().await, Ok(Begun { epoch: 2, streams: vec![StreamId(3)] }));
        let next = &*logs.stream(StreamId(3), 2);
        next.open().await.unwrap();
        let record = |seq: u64, account: u64| (seq, account, account.to_le_bytes().to_vec());
        let all = replayed(next, Lsn::default(), &PartSet::all()).await;
        assert_eq!(all, [record(1, 1), record(2, 2), record(3, 3)]);
        assert_eq!(replayed(next, Lsn { epoch: 1, seq: 1 }, &PartSet::all()).await, [record(2, 2), record(3, 3)]);
        let mut parts = PartSet::none();
        parts.insert(AccountId(2).partition());
        assert!(parts.contains(AccountId(2).partition()) && !parts.contains(AccountId(1).partition()));
        assert_eq!(replayed(next, Lsn::default(), &parts).await, [record(2, 2)]);
    });
}

fn a_log_trims_and_goes_on<W: World>() {
    let disk = W::default();
    block_on(async {
        let logs = disk.medium(4096).logs;
        logs.begin().await.unwrap();
        let log = &*logs.stream(StreamId(0), 1);
        log.open().await.unwrap();
        for round in 0..200u64 {
            let batch = batch(log, &[round + 1; 10]);
            let permit = room(log, &batch).await;
            let last = log.submit(permit, batch);
            durable(log, last).await;
            if round % 10 == 9 {
                log.trim(last).await.unwrap();
            }
        }
        // What was not trimmed is kept.
        let last = submit(log, &[7]);
        durable(log, last).await;
        assert_eq!(last.seq, 2001);
        logs.begin().await.unwrap();
        let next = &*logs.stream(StreamId(0), 2);
        let left = replayed(next, Lsn::default(), &PartSet::all()).await;
        assert_eq!(left.last().unwrap().0, 2001);
        assert!(left.len() < 1000, "{} are left", left.len());
        assert!(left.windows(2).all(|pair| pair[0].0 < pair[1].0));
        logs.forget(2).await.unwrap();
        assert_eq!(replayed(next, Lsn::default(), &PartSet::all()).await, []);
    });
}

#[test]
fn a_log_in_files_turns_segments_over() {
    let disk = MemoryDisk::default();
    block_on(async {
        let logs = disk.medium(4096).logs;
        logs.begin().await.unwrap();
        let log = &*logs.stream(StreamId(0), 1);
        log.open().await.unwrap();
        for account in 1..=200 {
            let batch = batch(log, &[account; 10]);
            let last = log.submit(room(log, &batch).await, batch);
            durable(log, last).await;
            log.trim(last).await.unwrap();
        }
        let files = disk.paths().iter().filter(|path| path.starts_with("log/0")).count();
        assert!(files <= 8, "{:?}", disk.paths());
        // No room for more than a segment, whatever is free.
        assert!(log.reserve(4096).is_none());
    });
}

fn segments_are_named_by_content_and_put_once<W: World>() {
    let disk = W::default();
    block_on(async {
        let (segments, account) = (disk.medium(SEGMENT_BYTES).segments, AccountId(5));
        segments.begin().await.unwrap();
        segments.create(account).await.unwrap();
        let content = vec![7; 600_000];
        let puts = (0..2).map(|_| {
            boxed(async {
                let mut put = segments.put(account).await.unwrap();
                put.write(&content[..100]).await.unwrap();
                put.write(&content[100..]).await.unwrap();
                put.finish().await.unwrap()
            })
        });
        let names = join(puts.collect()).await;
        assert_eq!(names, [Hash::of(&content); 2]);
        // One that is given up leaves nothing for long.
        let mut given_up = segments.put(account).await.unwrap();
        given_up.write(b"half").await.unwrap();
        drop(given_up);
        assert_eq!(segments.list(account).await.unwrap(), [names[0]]);
        assert_eq!(segments.get_range(account, names[0], 599_990..700_000).await.unwrap(), [7; 10]);
        assert_eq!(segments.map(account, names[0]).await.unwrap().len(), content.len());
        // Another account has it as well, and keeps it.
        segments.create(AccountId(6)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(segments.share(account, names[0], AccountId(6)).await, Ok(true));
        }
        assert_eq!(segments.share(account, Hash::of(b"none"), AccountId(6)).await, Ok(false));
        segments.delete(account, names[0]).await.unwrap();
        segments.delete(account, names[0]).await.unwrap();
        assert_eq!(segments.list(account).await.unwrap(), []);
        let mapped = segments.mapper(AccountId(6), names[0])().unwrap();
        assert_eq!(&*mapped, &content[..]);
        segments.quarantine(AccountId(6), names[0]).await.unwrap();
        assert_eq!(segments.list(AccountId(6)).await.unwrap(), []);
        assert_eq!((&*mapped, segments.mapper(AccountId(6), names[0])().is_err()), (&content[..], true));
        // One of that name that came later does not take its place.
        let mut again = segments.put(AccountId(6)).await.unwrap();
        again.write(&content).await.unwrap();
        again.finish().await.unwrap();
        let refused = segments.quarantine(AccountId(6), names[0]).await;
        assert!(matches!(refused, Err(Error::Io { kind: std::io::ErrorKind::AlreadyExists, .. })), "{refused:?}");
        assert!(matches!(segments.map(account, names[0]).await, Err(Error::Corrupt { what: "missing", .. })));
    });
}

/// What a newer version wrote is not taken for what this one writes, wherever it says so.
#[test]
fn a_log_of_another_version_is_refused() {
    let checksum = |bytes: &[u8], more: &[u8]| crc32c::crc32c_append(crc32c::crc32c(bytes), more).to_le_bytes();
    // The format of the segment, the configuration of its archives, the version of the first record's payload.
    for (changed, said) in [(8, 8), (12, 12), (512 + 51, 512)] {
        let disk = MemoryDisk::default();
        block_on(async {
            let logs = disk.medium(SEGMENT_BYTES).logs;
            logs.begin().await.unwrap();
            let log = &*logs.stream(StreamId(0), 1);
            log.open().await.unwrap();
            let last = submit(log, &[1, 2]);
            durable(log, last).await;
            let path = disk.paths().into_iter().find(|path| path.starts_with("log/0")).unwrap();
            disk.damage(&path, |bytes| {
                bytes[changed] += 1;
                let header = checksum(&bytes[..60], &[]);
                bytes[60..64].copy_from_slice(&header);
                let end = 512 + u32::from_le_bytes(bytes[512..516].try_into().unwrap()) as usize;
                let record = checksum(&bytes[512..516], &bytes[520..end]);
                bytes[516..520].copy_from_slice(&record);
            });
            let next = logs.stream(StreamId(0), 2);
            let refused = next.replay(Lsn::default(), &PartSet::all()).next().await.unwrap().map(|_| ());
            assert!(matches!(refused, Err(Error::Corrupt { offset, .. }) if offset == said), "{changed}: {refused:?}");
        });
    }
}

/// What is not durable when the power goes is whole or absent, and what is, is there.
fn manifests_are_replaced_whole<W: World>() {
    let disk = W::default();
    let account = AccountId(9);
    block_on(async {
        let segments = disk.medium(SEGMENT_BYTES).segments;
        segments.begin().await.unwrap();
        segments.create(account).await.unwrap();
        assert_eq!(segments.manifest(account).await, Ok(None));
        segments.set_manifest(account, vec![1; 3000]).await.unwrap();
        assert_eq!(segments.manifest(account).await, Ok(Some(vec![1; 3000])));
        for stop in 1..9 {
            let disk = disk.crash(stop);
            let segments = disk.medium(SEGMENT_BYTES).segments;
            disk.fail_from(disk.operations() + stop);
            let done = segments.set_manifest(account, vec![2; 5000]).await.is_ok();
            for seed in 0..8 {
                let after = disk.crash(seed).medium(SEGMENT_BYTES).segments.manifest(account).await.unwrap().unwrap();
                assert!(after == vec![2; 5000] || !done && after == vec![1; 3000], "{done}, {} octets", after.len());
            }
        }
    });
}

fn what_is_arriving_can_be_read<W: World>() {
    let segments = W::default().medium(SEGMENT_BYTES).segments;
    block_on(async {
        segments.begin().await.unwrap();
        let mut scratch = segments.scratch("one".to_owned()).await.unwrap();
        for octet in 1..4 {
            let (written, buffer) = scratch.write(vec![octet; 1000]).await;
            assert_eq!((written, buffer), (Ok(()), vec![octet; 1000]));
        }
        assert_eq!(&*scratch.map().await.unwrap(), [[1; 1000], [2; 1000], [3; 1000]].as_flattened());
    });
}

/// A store whose log another owner took over says so, and acknowledges nothing that does not count.
#[test]
fn who_was_fenced_off_acknowledges_nothing() {
    let world = FarAway::default();
    let store = block_on(open_one(&world, SEGMENT_BYTES));
    let lost = Rc::new(Cell::new(None));
    let (writer, told) = (quiet_writer(&store), lost.clone());
    let mut writer: [Pin<Box<dyn Future<Output = ()>>>; 1] = [Box::pin(async move { told.set(Some(writer.await)) })];
    let work = async {
        let inbox = inbox(&store, 1).await;
        inbox.append(message(1, 300)).await.unwrap();
        let other = open_one(&world, SEGMENT_BYTES).await;
        assert_eq!(inbox.append(message(2, 300)).await, Err(Error::lost()));
        assert_eq!(inbox.counts().messages, 1);
        drop(other);
    };
    drive(work, &mut writer);
    assert_eq!(lost.get(), Some(Lost::Fenced));
    with_store(&world, async |store| assert_eq!(numbers(&inbox(&store, 1).await, |_| 300), [1]));
}

/// A partition that lives on another node until it is acquired.
struct Neighbour(RefCell<PartSet>);

impl Placement for Neighbour {
    fn owner(&self, partition: Partition) -> Owner {
        if self.0.borrow().contains(partition) { Owner::Here } else { Owner::Elsewhere(2) }
    }

    fn acquire(&self, partition: Partition) -> Boxed<'_, Result<Owner, Error>> {
        Box::pin(async move {
            self.0.borrow_mut().insert(partition);
            Ok(Owner::Here)
        })
    }

    fn release(&self, _: Partition) -> Boxed<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn watch(&self) -> Boxed<'_, Partition> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn an_account_of_another_node_is_not_opened_here() {
    let placement = Rc::new(Neighbour(RefCell::new(PartSet::none())));
    let medium = Medium { placement: placement.clone(), ..InMemory::default().medium(SEGMENT_BYTES) };
    let replay = block_on(recover(&medium, 1)).unwrap().shards.remove(0);
    let store = block_on(Store::open(&medium, replay, Box::new(|| ()), SEED)).unwrap();
    let writer = quiet_writer(&store);
    let work = async {
        assert_eq!(store.account(AccountId(1)).await.err(), Some(Error::Busy));
        placement.acquire(AccountId(1).partition()).await.unwrap();
        assert!(store.account(AccountId(1)).await.is_ok());
    };
    drive(work, &mut [Box::pin(async { assert_eq!(writer.await, Lost::Poisoned) })]);
}

#[test]
fn one_process_owns_everything() {
    let placement = LocalPlacement;
    assert_eq!(placement.owner(Partition(9)), Owner::Here);
    assert_eq!(block_on(placement.acquire(Partition(9))), Ok(Owner::Here));
    assert_eq!(block_on(placement.release(Partition(9))), Ok(()));
    let mut watch = pin!(placement.watch());
    assert!(watch.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

suite! {
    a_log_trims_and_goes_on
    segments_are_named_by_content_and_put_once
    manifests_are_replaced_whole
    what_is_arriving_can_be_read
    a_log_is_dense_cumulative_and_replayed_from_anywhere
}
