//! A process that ends while the system goes on: what it wrote and did not sync can be read by the next one, and is gone when
//! the power goes later. What a start has shown is there from then on. And what else a start must find as it was.

use super::*;

async fn inbox(store: &Store) -> Mailbox {
    store.account(AccountId(1)).await.unwrap().mailbox("INBOX").unwrap()
}

/// A start shows what it found, seals nothing yet, and the power goes.
#[test]
fn what_a_start_found_in_the_log_survives_a_power_cut() {
    for seed in 0..8 {
        let disk = MemoryDisk::default();
        let (_, lost) = with_shards(&disk, 1, async |stores: Vec<Store>| {
            let inbox = inbox(&stores[0]).await;
            for _ in 0..100 {
                yield_now().await; // until the log has its spare segment
            }
            inbox.append(message(0, 300)).await.unwrap();
            // Written, and not synced.
            disk.fail_from(disk.operations() + 2);
            inbox.append(message(1, 300)).await.unwrap_err();
        })
        .unwrap();
        assert!(lost);
        disk.fail_from(u64::MAX);
        with_store(&disk, async |store| assert_eq!(numbers(&inbox(&store).await, |_| 300), [0, 1]));
        let crashed = disk.crash(seed);
        with_store(&crashed, async |store| assert_eq!(numbers(&inbox(&store).await, |_| 300), [0, 1], "seed {seed}"));
    }
}

/// Wherever a checkpoint that merges is stopped: the next start goes on from there, forgets the old logs, and the power goes.
#[test]
fn what_a_start_found_sealed_survives_a_power_cut() {
    let sealing = async |stores: Vec<Store>, stop: Option<(&MemoryDisk, u64)>| {
        let inbox = inbox(&stores[0]).await;
        for number in 0..2 {
            inbox.append(message(number, 300)).await.unwrap();
            if let (1, Some((disk, stop))) = (number, stop) {
                disk.fail_from(disk.operations() + stop);
            }
            let _ = stores[0].seal_all().await;
        }
    };
    for stop in 1..25 {
        for seed in 0..6 {
            let disk = MemoryDisk::default();
            with_shards(&disk, 1, |stores| sealing(stores, Some((&disk, stop)))).unwrap();
            disk.fail_from(u64::MAX);
            with_store(&disk, async |store| {
                assert_eq!(numbers(&inbox(&store).await, |_| 300), [0, 1]);
                store.seal_all().await.unwrap();
                disk.medium(SEGMENT_BYTES).logs.forget(store.0.epoch).await.unwrap();
            });
            let crashed = disk.crash(stop * 100 + seed);
            let found = with_store(&crashed, async |store| numbers(&inbox(&store).await, |_| 300));
            assert_eq!(found, [0, 1], "stopped at {stop}, seed {seed}");
        }
    }
}

/// Flags that are at last what the file says have changed all the same: a client was told of their MODSEQ.
#[test]
fn a_change_that_was_taken_back_keeps_its_modseq() {
    let disk = MemoryDisk::default();
    let told = with_store(&disk, async |store| {
        let inbox = inbox(&store).await;
        for number in 0..4 {
            inbox.append(message(number, 300)).await.unwrap();
        }
        store.seal_all().await.unwrap();
        let view = inbox.view(true);
        view.change_flags(&[2..=3], FlagOp::Add, Flags::SEEN, &[]).await.unwrap();
        view.change_flags(&[3..=3], FlagOp::Remove, Flags::SEEN, &[]).await.unwrap();
        store.seal_all().await.unwrap();
        (1..=4).map(|seq| view.entry(seq).unwrap().modseq).collect::<Vec<_>>()
    });
    assert!(told[2] > told[1] && told[1] > told[3]);
    with_store(&disk, async |store| {
        let view = inbox(&store).await.view(true);
        let found: Vec<ModSeq> = (1..=4).map(|seq| view.entry(seq).unwrap().modseq).collect();
        assert_eq!(found, told);
    });
}

/// A copy that found nothing any more has used up its UIDs: UIDNEXT was told, and what comes later is above it.
#[test]
fn a_copy_of_nothing_keeps_its_uid_next() {
    let disk = MemoryDisk::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store).await;
        inbox.append(message(0, 300)).await.unwrap();
        store.seal_all().await.unwrap();
        let (view, sent) = (inbox.view(true), inbox.account().mailbox("Sent").unwrap());
        // The expunge is submitted first, and both before either is applied.
        let expunge: Pin<Box<dyn Future<Output = ()>>> =
            Box::pin(async { view.expunge(&[1..=1], false).await.unwrap() });
        let copy = Box::pin(async { assert!(view.copy(&[1..=1], &sent).await.unwrap().from.is_empty()) });
        join(vec![expunge, copy]).await;
        assert_eq!((sent.counts().messages, sent.uid_next()), (0, 2));
        store.seal_all().await.unwrap();
    });
    with_store(&disk, async |store| {
        let sent = inbox(&store).await.account().mailbox("Sent").unwrap();
        assert_eq!(sent.uid_next(), 2);
    });
}
