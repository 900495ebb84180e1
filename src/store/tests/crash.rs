//! Power cuts: after every operation of a workload the disk stops, forgets what was not synced, and the store opens on
//! what is left. What was acknowledged is there exactly once and whole; the rest is whole or absent.

use std::cell::RefCell;

use super::whole::{boxed, inbox};
use super::*;

/// What the workload was told.
#[derive(Default, Debug)]
struct Told {
    /// Messages whose append was acknowledged, by account.
    appended: Vec<(u64, u64)>,
    seen: Vec<u64>,
    expunged: Vec<u64>,
    attempted_expunge: Vec<u64>,
    attempted_seen: Vec<u64>,
    mailboxes: Vec<&'static str>,
}

/// Message 9 goes through a body file, the others through the log.
fn size(number: u64) -> usize {
    if number == 9 { crate::limits::INLINE_BODY_BYTES_MAX + 5000 } else { 600 }
}

async fn append_all(store: &Store, account: u64, numbers: std::ops::Range<u64>, told: &RefCell<Told>) {
    let Ok(opened) = store.account(AccountId(account)).await else { return };
    let Some(inbox) = opened.mailbox("INBOX") else { return };
    let appends = numbers.map(|number| {
        let inbox = inbox.clone();
        boxed(async move {
            if inbox.append(message(number, size(number))).await.is_ok() {
                told.borrow_mut().appended.push((account, number));
            }
        })
    });
    join(appends.collect()).await;
}

/// Two accounts, two checkpoints that merge, flags, expunges, a mailbox, a large message.
async fn workload(stores: Vec<Store>, told: &RefCell<Told>) {
    let store = |account: u64| stores[AccountId(account).shard(stores.len())].clone();
    let (first, second) = (store(1), store(2));
    let (one, two) = (append_all(&first, 1, 0..4, told), append_all(&second, 2, 100..103, told));
    join(vec![boxed(one), boxed(two)]).await;
    let Ok(account) = first.account(AccountId(1)).await else { return };
    let Some(inbox) = account.mailbox("INBOX") else { return };
    let view = inbox.view(false);
    told.borrow_mut().attempted_seen = vec![1];
    if view.change_flags(&[2..=2], FlagOp::Add, Flags::SEEN, &["$Work".to_owned()]).await.is_ok() {
        told.borrow_mut().seen = vec![1];
    }
    let _ = first.seal_all().await;
    append_all(&first, 1, 4..6, told).await;
    told.borrow_mut().attempted_expunge = vec![0, 4];
    let view = inbox.view(false);
    if view.expunge(&[1..=1, 5..=5], false).await.is_ok() {
        told.borrow_mut().expunged = vec![0, 4];
    }
    append_all(&first, 1, 9..10, told).await;
    if account.create("Work").await.is_ok() {
        told.borrow_mut().mailboxes.push("Work");
    }
    let _ = first.seal_all().await;
    append_all(&first, 1, 6..8, told).await;
}

fn check(disk: &impl World, shards: usize, told: &Told, context: &str) {
    let opened = with_shards(disk, shards, async |stores: Vec<Store>| {
        for account in [1, 2] {
            let store = &stores[AccountId(account).shard(shards)];
            let inbox = inbox(store, account).await;
            let found = numbers(&inbox, size);
            let mut once = found.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), found.len(), "{context}: twice in {found:?}");
            for (_, number) in told.appended.iter().filter(|(owner, _)| *owner == account) {
                let there = found.contains(number);
                let may_be_gone = told.attempted_expunge.contains(number);
                assert!(there || may_be_gone, "{context}: {number} is lost of {found:?}");
                assert!(!there || !told.expunged.contains(number), "{context}: {number} is back");
            }
            let view = inbox.view(true);
            for seq in 1..=view.exists() {
                let number = view.message(seq).unwrap().unwrap().saved_at() as u64 - 2_000_000;
                let entry = view.entry(seq).unwrap();
                let seen = entry.flags.contains(Flags::SEEN);
                assert!(seen || !told.seen.contains(&number), "{context}: flags of {number} are lost");
                assert!(!seen || told.attempted_seen.contains(&number), "{context}: {number} has flags");
                if seen {
                    assert_eq!((entry.keywords, &*inbox.keywords()[0]), (1, "$Work"), "{context}");
                }
            }
            for name in told.mailboxes.iter().filter(|_| account == 1) {
                assert!(inbox.account().mailbox(name).is_some(), "{context}: {name} is lost");
            }
        }
        // It goes on from here, and UIDs are not used twice.
        let inbox = inbox(&stores[AccountId(1).shard(shards)], 1).await;
        let before = inbox.uid_next();
        let uid = inbox.append(message(50, 600)).await.unwrap();
        assert!(uid.0 >= before, "{context}");
        for store in &stores {
            store.seal_all().await.unwrap();
        }
    });
    opened.unwrap_or_else(|error| panic!("{context}: {error}"));
    let again = with_shards(disk, 1, async |stores: Vec<Store>| numbers(&inbox(&stores[0], 1).await, size));
    assert!(again.unwrap().0.contains(&50), "{context}");
}

fn crash_everywhere<W: World>(shards: usize, shards_after: usize) {
    let counted = W::default();
    let told = RefCell::default();
    let (_, lost) = with_shards(&counted, shards, |stores| workload(stores, &told)).unwrap();
    assert!(!lost);
    assert_eq!(told.borrow().appended.len(), 12, "the workload does all it says");
    assert_eq!((told.borrow().seen.len(), told.borrow().expunged.len(), told.borrow().mailboxes.len()), (1, 2, 1));
    let total = counted.operations();
    assert!(total > 20, "{total}");
    for stop in 1..=total + 1 {
        for seed in 0..4 {
            let disk = W::default();
            disk.fail_from(stop);
            let told = RefCell::default();
            // Where even the opening fails nobody was told anything.
            let _ = with_shards(&disk, shards, |stores| workload(stores, &told));
            let crashed = disk.crash(stop * 1000 + seed);
            let told = told.into_inner();
            check(&crashed, shards_after, &told, &format!("stopped at {stop} of {total}, seed {seed}"));
        }
    }
}

fn one_shard<W: World>() {
    crash_everywhere::<W>(1, 1);
}

fn two_shards_become_three<W: World>() {
    crash_everywhere::<W>(2, 3);
}

fn two_shards_become_one<W: World>() {
    crash_everywhere::<W>(2, 1);
}

/// A crash in the middle of the recovery of a crash.
fn crash_again_while_starting<W: World>() {
    let disk = W::default();
    let told = RefCell::default();
    with_shards(&disk, 1, |stores| workload(stores, &told)).unwrap();
    let told = told.into_inner();
    let crashed = disk.crash(1);
    let counted = crashed.crash(0);
    let go = async |stores: Vec<Store>| {
        let _ = stores[0].account(AccountId(1)).await;
        let _ = stores[0].seal_all().await;
    };
    with_shards(&counted, 1, go).unwrap();
    for stop in 1..=counted.operations() {
        let disk = crashed.crash(0);
        disk.fail_from(stop);
        let _ = with_shards(&disk, 1, go);
        check(&disk.crash(stop), 1, &told, &format!("stopped at {stop} while starting"));
    }
}

/// An operation that fails alone: the log is lost at once or nothing is, and nothing acknowledged goes.
fn one_failure_anywhere<W: World>() {
    let counted = W::default();
    with_shards(&counted, 1, |stores| async { workload(stores, &RefCell::default()).await }).unwrap();
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other] {
        for number in 1..=counted.operations() {
            let disk = W::default();
            disk.fail_once(number, kind);
            let told = RefCell::default();
            let _ = with_shards(&disk, 1, |stores| workload(stores, &told));
            check(&disk, 1, &told.borrow(), &format!("{kind:?} at {number}"));
            let told = told.into_inner();
            check_less(&disk.crash(number), &told, &format!("{kind:?} at {number}, crashed"));
        }
    }
}

/// As [`check`], after that one has appended message 50.
fn check_less(disk: &impl World, told: &Told, context: &str) {
    let found = with_shards(disk, 1, async |stores: Vec<Store>| numbers(&inbox(&stores[0], 1).await, size));
    let found = found.unwrap_or_else(|error| panic!("{context}: {error}")).0;
    for (_, number) in told.appended.iter().filter(|(account, _)| *account == 1) {
        assert!(found.contains(number) || told.attempted_expunge.contains(number), "{context}: {number} is lost");
    }
}

/// Appends go on while checkpoints run and the log turns over; then the power is cut.
fn checkpoints_amid_appends<W: World>() {
    let work = async |stores: Vec<Store>, told: &RefCell<Told>| {
        let store = &stores[0];
        let appends = |account: u64| async move {
            for number in 0..40 {
                append_all(store, account, number + 100..number + 101, told).await;
            }
        };
        let seals = async {
            for _ in 0..6 {
                let _ = store.seal_all().await;
            }
        };
        join(vec![boxed(appends(1)), boxed(appends(2)), boxed(seals)]).await;
    };
    let small = 16 * 1024;
    let counted = W::default();
    let told = RefCell::default();
    with_segments(&counted, 1, small, |stores| work(stores, &told)).unwrap();
    assert_eq!(told.borrow().appended.len(), 80);
    for stop in 1..=counted.operations() {
        let disk = W::default();
        disk.fail_from(stop);
        let told = RefCell::default();
        let _ = with_segments(&disk, 1, small, |stores| work(stores, &told));
        for seed in 0..2 {
            let crashed = disk.crash(stop * 10 + seed);
            let context = format!("stopped at {stop}, seed {seed}");
            let found = with_shards(&crashed, 1, async |stores: Vec<Store>| {
                let (one, two) = (inbox(&stores[0], 1).await, inbox(&stores[0], 2).await);
                [numbers(&one, size), numbers(&two, size)]
            });
            let found = found.unwrap_or_else(|error| panic!("{context}: {error}")).0;
            for (account, number) in &told.borrow().appended {
                let times = found[*account as usize - 1].iter().filter(|found| *found == number).count();
                assert_eq!(times, 1, "{context}: {number} of {account}");
            }
        }
    }
}

suite! {
    one_shard
    two_shards_become_three
    two_shards_become_one
    crash_again_while_starting
    one_failure_anywhere
    checkpoints_amid_appends
}
