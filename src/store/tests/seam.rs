//! The seams by themselves: what a second body of each would have to pass as well.

use super::whole::boxed;
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

#[test]
fn a_log_is_dense_cumulative_and_replayed_from_anywhere() {
    let disk = MemoryDisk::default();
    block_on(async {
        let logs = disk.medium(SEGMENT_BYTES).logs;
        assert_eq!(logs.begin().await, Ok(Begun { epoch: 1, streams: vec![] }));
        let log = &*logs.stream(StreamId(3), 1);
        log.open().await.unwrap();
        assert_eq!(log.valid_until(), None);
        let first = submit(log, &[1, 2]);
        let second = submit(log, &[3]);
        assert_eq!((first, second), (Lsn { epoch: 1, seq: 2 }, Lsn { epoch: 1, seq: 3 }));
        assert_eq!(durable(log, second).await, [first, second]);
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

#[test]
fn a_log_turns_segments_over_and_trims() {
    let disk = MemoryDisk::default();
    block_on(async {
        let logs = disk.medium(4096).logs;
        logs.begin().await.unwrap();
        let log = &*logs.stream(StreamId(0), 1);
        log.open().await.unwrap();
        let mut last = Lsn::default();
        for round in 0..200u64 {
            let batch = batch(log, &[round + 1; 10]);
            let permit = loop {
                if let Some(permit) = log.reserve(batch.len()) {
                    break permit;
                }
                assert_eq!(log.refusal(), Refusal::Busy, "the next segment is in the making");
                assert!(log.poll_durable(&mut Context::from_waker(Waker::noop())).is_pending());
            };
            last = log.submit(permit, batch);
            durable(log, last).await;
            if round % 10 == 9 {
                log.trim(last).await.unwrap();
            }
        }
        assert_eq!(last.seq, 2000);
        let files = disk.paths().iter().filter(|path| path.starts_with("log/0")).count();
        assert!(files <= 8, "{:?}", disk.paths());
        // No room for more than a segment, whatever is free.
        assert!(log.reserve(4096).is_none());
        logs.begin().await.unwrap();
        let next = &*logs.stream(StreamId(0), 2);
        let left = replayed(next, Lsn::default(), &PartSet::all()).await;
        assert_eq!(left.last().unwrap().0, 2000);
        assert!(left.windows(2).all(|pair| pair[0].0 < pair[1].0));
    });
}

#[test]
fn segments_are_named_by_content_and_put_once() {
    let disk = MemoryDisk::default();
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
        assert!(!disk.paths().iter().any(|path| path.ends_with(".tmp")));
        assert_eq!(segments.get_range(account, names[0], 599_990..700_000).await.unwrap(), [7; 10]);
        assert_eq!(segments.map(account, names[0]).await.unwrap().len(), content.len());
        segments.delete(account, names[0]).await.unwrap();
        segments.delete(account, names[0]).await.unwrap();
        assert!(matches!(segments.map(account, names[0]).await, Err(Error::Corrupt { what: "missing", .. })));
    });
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
