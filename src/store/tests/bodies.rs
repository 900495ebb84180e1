//! Body files: on the disk once for many, there as long as somebody has a message in them, and not longer.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::super::ring_disk::RingDisk;
use super::super::shared::Shared;
use super::whole::inbox;
use super::*;
use crate::io::{Ring, Sizes};
use crate::limits::{INLINE_BODY_BYTES_MAX, SHARED_BODY_BYTES_MIN};

const MB: usize = 1 << 20;

/// As [`with_store`], over log segments that many records fit into.
fn with_large<T, F: Future<Output = T>>(disk: &impl World, test: impl FnOnce(Store) -> F) -> T {
    with_segments(disk, 1, 4 << 20, |mut stores| test(stores.remove(0))).expect("the store opens").0
}

async fn deliver(store: &Store, accounts: std::ops::RangeInclusive<u64>, new: &NewMessage) -> Result<(), Error> {
    deliver_each(store, accounts, new).await.into_iter().collect()
}

async fn deliver_each(
    store: &Store,
    accounts: std::ops::RangeInclusive<u64>,
    new: &NewMessage,
) -> Vec<Result<(), Error>> {
    let mut copies = Vec::new();
    for id in accounts {
        copies.push((inbox(store, id).await, new.clone()));
    }
    store.append_to_all(&copies).await
}

async fn expunge_all(store: &Store, id: u64) {
    inbox(store, id).await.view(false).expunge(&[1..=u32::MAX], false).await.unwrap();
}

/// Files below `accounts/` that are as long as a body file of the tests, and the octets of all.
fn stored(disk: &MemoryDisk) -> (usize, usize) {
    let bodies = disk.paths().into_iter().filter(|path| path.starts_with("accounts/") && path.len() > 70);
    let bodies = bodies.filter(|path| disk.bytes(path).len() > SHARED_BODY_BYTES_MIN).count();
    (bodies, disk.stored("accounts/").1)
}

#[test]
fn one_message_for_two_hundred_is_stored_once() {
    let disk = MemoryDisk::default();
    let few = |octets: usize| (MB..MB + MB / 2 + MB / 4).contains(&octets);
    with_large(&disk, async |store| {
        deliver(&store, 1..=200, &message(1, MB)).await.unwrap();
        let (names, octets) = stored(&disk);
        assert!(names == 200 && few(octets), "{names} names, {octets} octets");
        for id in 1..=200 {
            assert_eq!(numbers(&inbox(&store, id).await, |_| MB), [1]);
        }
    });
    // Out of the log, then out of the files.
    for _ in 0..2 {
        with_large(&disk, async |store| {
            for id in 1..=200 {
                assert_eq!(numbers(&inbox(&store, id).await, |_| MB), [1]);
            }
            store.seal_all().await.unwrap();
            let (names, octets) = stored(&disk);
            assert!(names == 200 && few(octets), "{names} names, {octets} octets");
        });
    }
    with_large(&disk, async |store| {
        for id in 1..=199 {
            expunge_all(&store, id).await;
        }
        store.seal_all().await.unwrap();
        assert_eq!(stored(&disk).0, 1);
        assert_eq!(numbers(&inbox(&store, 200).await, |_| MB), [1]);
    });
    with_large(&disk, async |store| {
        assert_eq!(numbers(&inbox(&store, 200).await, |_| MB), [1]);
        expunge_all(&store, 200).await;
        assert!(few(stored(&disk).1));
        store.seal_all().await.unwrap();
        let (names, octets) = stored(&disk);
        assert!(names == 0 && octets < MB / 2, "{names} names, {octets} octets");
    });
}

/// Octets of the blocks that a folder's files take, each file once.
fn blocks(folder: &Path) -> u64 {
    let mut files = std::collections::HashMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let (entry, path) = entry.map(|entry| (entry.metadata().unwrap(), entry.path())).unwrap();
            if entry.is_dir() {
                folders.push(path);
            } else {
                files.insert(entry.ino(), entry.blocks() * 512);
            }
        }
    }
    files.values().sum()
}

/// Runs `test` on a store over real files.
fn on_files<T, F: Future<Output = T>>(folder: &Path, test: impl FnOnce(Store) -> F) -> T {
    let ring = Ring::new(&Sizes { submissions: 64, completions: 256, buffers: 2, buffer_bytes: 64 }).unwrap();
    let disk = RingDisk::new(&ring, folder);
    let logs = Rc::new(FileLogs::with_segments(disk.clone(), MB as u64));
    let medium = Medium { logs, ..Medium::of_files(disk, Secret([7; 32])) };
    let work = async {
        let replay = recover(&medium, 1).await.unwrap().shards.remove(0);
        let store = Store::open(&medium, replay, Box::new(|| ()), SEED).await.unwrap();
        let (mut writer, mut test) = (pin!(quiet_writer(&store)), pin!(test(store.clone())));
        poll_fn(|context| {
            let done = test.as_mut().poll(context);
            assert!(writer.as_mut().poll(context).is_pending());
            // What the writer published may be what the test waits for.
            if done.is_pending() { test.as_mut().poll(context) } else { done }
        })
        .await
    };
    crate::io::block_on(&ring, work).unwrap()
}

#[test]
fn real_files_share_their_blocks() {
    let folder = std::env::temp_dir().join(format!("ringpost-bodies-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let accounts = folder.join("accounts");
    // An account has a manifest and a small file, a block each.
    let few = |octets: u64| (MB as u64..(MB + MB / 2) as u64).contains(&octets);
    on_files(&folder, async |store| {
        deliver(&store, 1..=40, &message(1, MB)).await.unwrap();
        assert!(few(blocks(&accounts)), "{}", blocks(&accounts));
        store.seal_all().await.unwrap();
        assert!(few(blocks(&accounts)), "{}", blocks(&accounts));
    });
    on_files(&folder, async |store| {
        for id in 1..=40 {
            assert_eq!(numbers(&inbox(&store, id).await, |_| MB), [1]);
            expunge_all(&store, id).await;
        }
        store.seal_all().await.unwrap();
        assert!(blocks(&accounts) < MB as u64 / 2, "{}", blocks(&accounts));
    });
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn where_files_can_have_one_name_each_account_has_its_own() {
    for errno in [libc::EPERM, libc::EMLINK, libc::EXDEV] {
        let disk = MemoryDisk::default();
        disk.fail_links(errno);
        with_large(&disk, async |store| {
            deliver(&store, 1..=3, &message(1, MB)).await.unwrap();
            store.seal_all().await.unwrap();
        });
        assert!(stored(&disk).1 > 3 * MB);
        with_large(&disk, async |store| {
            for id in 1..=3 {
                assert_eq!(numbers(&inbox(&store, id).await, |_| MB), [1]);
            }
        });
    }
}

#[test]
fn sizes_decide_where_a_body_goes() {
    let disk = MemoryDisk::default();
    with_large(&disk, async |store| {
        let small = message(1, SHARED_BODY_BYTES_MIN - 100);
        deliver(&store, 1..=2, &small).await.unwrap();
        deliver(&store, 1..=1, &message(2, INLINE_BODY_BYTES_MAX - 100)).await.unwrap();
        assert_eq!(disk.stored("accounts/").0, 0, "all of it is in the log");
        deliver(&store, 1..=2, &message(3, SHARED_BODY_BYTES_MIN + 100)).await.unwrap();
        assert_eq!(disk.stored("accounts/").0, 1);
        // Twice in one account: two messages of one file.
        let (one, new) = (inbox(&store, 3).await, message(4, MB));
        let sent = one.account().create("Copies").await.unwrap();
        let copies = [(one.clone(), new.clone()), (sent.clone(), new)];
        assert_eq!(store.append_to_all(&copies).await, [Ok(()), Ok(())]);
        assert_eq!(disk.stored("accounts/").0, 2);
        expunge_all(&store, 3).await;
        store.seal_all().await.unwrap();
        assert_eq!(numbers(&sent, |_| MB), [4]);
        sent.view(false).expunge(&[1..=1], false).await.unwrap();
        store.seal_all().await.unwrap();
    });
    let third = disk.stored(&segments::account_folder(AccountId(3)));
    assert!(third.1 < SHARED_BODY_BYTES_MIN, "{third:?}");
    with_large(&disk, async |store| {
        let sizes = [0, SHARED_BODY_BYTES_MIN - 100, INLINE_BODY_BYTES_MAX - 100, SHARED_BODY_BYTES_MIN + 100];
        assert_eq!(numbers(&inbox(&store, 1).await, |number| sizes[number as usize]), [1, 2, 3]);
        assert_eq!(numbers(&inbox(&store, 2).await, |number| sizes[number as usize]), [1, 3]);
        assert!(numbers(&inbox(&store, 3).await, |_| MB).is_empty());
    });
}

#[test]
fn merging_carries_names_not_bodies() {
    let disk = MemoryDisk::default();
    let size = |number: u64| if number.is_multiple_of(3) { 300_000 } else { 500 };
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        for number in 0..30 {
            inbox.append(message(number, size(number))).await.unwrap();
            store.seal_all().await.unwrap();
        }
        let files = inbox.account().state().inner.borrow().files.clone();
        assert!(files.iter().all(|file| file.len() < 60_000), "{:?}", files.iter().map(|file| file.len()).max());
        expunge_some(&inbox).await;
        store.seal_all().await.unwrap();
        assert_eq!(stored(&disk).0, 8);
    });
    with_large(&disk, async |store| {
        let left: Vec<u64> = (0..30).filter(|number| !(4..10).contains(number)).collect();
        assert_eq!(numbers(&inbox(&store, 1).await, size), left);
    });
}

/// Numbers 4 to 9: two large ones among them.
async fn expunge_some(inbox: &Mailbox) {
    inbox.view(false).expunge(&[5..=10], false).await.unwrap();
}

#[test]
fn what_is_seen_or_held_can_be_read_after_its_file_is_gone() {
    let disk = MemoryDisk::default();
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        inbox.append(message(1, MB)).await.unwrap();
        inbox.append(message(2, MB)).await.unwrap();
        store.seal_all().await.unwrap();
    });
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let mut view = inbox.view(false);
        // One that was looked into before the file is gone, and one that was not.
        let (held, other) = (view.message(1).unwrap().unwrap(), view.message(2).unwrap().unwrap());
        let again = held.clone();
        expunge_all(&store, 1).await;
        store.seal_all().await.unwrap();
        assert_eq!(stored(&disk).0, 2, "this view was not told");
        assert_whole(&view.message(2).unwrap().unwrap(), 2, MB);
        assert_whole(&again, 1, MB);
        advance(&mut view, true);
        // Nothing is unsealed, and still the checkpoint finds them.
        store.seal_all().await.unwrap();
        assert_eq!(stored(&disk).0, 0);
        assert_whole(&again, 1, MB);
        assert_eq!(again.lend(0..MB).unwrap().0.octets().len() / MB, 1);
        // What is known of a message stays; the view was told that the rest is gone.
        assert_eq!((other.subject(), other.size() > MB as u64), ("number 2", true));
        assert!(matches!(other.raw(), Err(Error::Corrupt { what: "missing", .. })) && other.octets(5..5) == Ok(&[]));
        assert!(store.0.bodies.is_idle());
    });
}

/// Of a deleted mailbox whose messages another one had as well: a view that was told of nothing reads them to the end.
#[test]
fn a_view_of_a_deleted_mailbox_keeps_its_bodies() {
    let disk = MemoryDisk::default();
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let account = inbox.account();
        let other = account.create("other").await.unwrap();
        inbox.append(message(1, MB)).await.unwrap();
        inbox.view(true).copy(&[1..=1], &other).await.unwrap();
        store.seal_all().await.unwrap();
    });
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let mut view = inbox.account().mailbox("other").unwrap().view(true);
        inbox.account().delete("other").await.unwrap();
        expunge_all(&store, 1).await;
        for number in 2..12 {
            inbox.append(message(number, 2000)).await.unwrap();
            store.seal_all().await.unwrap();
        }
        assert!(view.is_gone());
        assert_whole(&view.message(1).unwrap().unwrap(), 1, MB);
        advance(&mut view, true);
        store.seal_all().await.unwrap();
        assert_eq!(stored(&disk).0, 0);
    });
}

#[test]
fn a_name_that_no_record_took_is_removed() {
    let disk = MemoryDisk::default();
    with_large(&disk, async |store| {
        for id in 1..=3 {
            inbox(&store, id).await.append(message(id, 100)).await.unwrap();
        }
        store.seal_all().await.unwrap();
        // The third refuses: it has as many keywords as there can be.
        let keywords = (0..crate::limits::KEYWORDS_MAX).map(|number| format!("k{number}")).collect();
        let third = inbox(&store, 3).await;
        third.append(NewMessage { keywords, ..message(9, 100) }).await.unwrap();
        let new = NewMessage { keywords: vec!["other".to_owned()], ..message(4, MB) };
        assert_eq!(deliver(&store, 3..=3, &new).await, Err(Error::TooManyKeywords));
        assert_eq!(stored(&disk).0, 0, "refused before it was written");
        let results = deliver_each(&store, 1..=3, &new).await;
        assert_eq!(results, [Ok(()), Ok(()), Err(Error::TooManyKeywords)]);
        assert_eq!(stored(&disk).0, 2, "one alone is refused");
        for id in 1..=2 {
            expunge_all(&store, id).await;
            inbox(&store, id).await.append(message(id, 100)).await.unwrap();
        }
        store.seal_all().await.unwrap();
    });
    // A failure in the middle: at every operation of the delivery there may be one.
    let (mut left, mut failed) = (0, 0);
    for number in 1.. {
        let disk = disk.crash(0);
        let more = with_large(&disk, async |store| {
            for id in 1..=3 {
                inbox(&store, id).await;
            }
            for _ in 0..100 {
                yield_now().await; // until the log has its spare segment
            }
            let last = disk.operations();
            disk.fail_once(last + number, std::io::ErrorKind::Other);
            let delivered = deliver_each(&store, 1..=3, &message(4, MB)).await;
            let took = delivered.iter().filter(|result| result.is_ok()).count();
            failed += usize::from(took < 3);
            left += usize::from(stored(&disk).0 > took);
            disk.operations() >= last + number
        });
        disk.fail_once(0, std::io::ErrorKind::Other);
        let names = |store: Store| async move {
            for id in 1..=3 {
                let found = numbers(&inbox(&store, id).await, |number| if number == 4 { MB } else { 100 });
                assert!(found.len() <= 3, "{found:?}");
            }
            store.seal_all().await.unwrap();
        };
        with_large(&disk, names);
        let has: usize = with_large(&disk, async |store| {
            let mut has = 0;
            for id in 1..=3 {
                has += usize::from(numbers(&inbox(&store, id).await, |n| if n == 4 { MB } else { 100 }).contains(&4));
            }
            has
        });
        assert_eq!(stored(&disk).0, has, "operation {number}");
        if !more {
            break;
        }
    }
    assert!(failed > 8 && left < failed / 2, "{failed} failed, {left} left something for the next opening");
}

/// A copy that the log refused leaves the file to the next one of the same account.
#[test]
fn a_refused_copy_takes_no_body_from_another() {
    let disk = MemoryDisk::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let other = inbox.account().create("other").await.unwrap();
        // The log has room for a short record, and none for a long one.
        disk.run_short(Some(libc::EMFILE));
        while inbox.append(message(1, 300)).await.is_ok() {}
        disk.run_short(None);
        let mut new = message(2, 600_000);
        new.delivery.as_mut().unwrap().recipients = vec!["someone@example".to_owned(); 1000];
        let shared = Shared::among(2);
        let refused = inbox.submit_shared(&new, &shared).await.unwrap();
        assert_eq!(refused.wait().await, Err(Error::Full));
        let taken = other.submit_shared(&new, &shared).await.unwrap();
        assert_eq!(taken.wait().await, Ok(Uid(1)));
    });
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        let view = account.mailbox("other").unwrap().view(true);
        assert_eq!(view.message(1).unwrap().unwrap().raw().unwrap(), raw(2, 600_000));
    });
}

fn bodies_are_opened_elsewhere<W: World>() {
    /// One whose text stays with the account.
    const BESIDE: usize = 150_000;
    let disk = W::default();
    with_large(&disk, async |store| {
        deliver(&store, 1..=2, &message(1, BESIDE)).await.unwrap();
        store.seal_all().await.unwrap();
    });
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let view = inbox.view(true);
        for reading in [Reading::Details, Reading::Text] {
            while let Some(cold) = view.cold(1, &reading) {
                view.warmed(1, &cold.verify().unwrap());
            }
        }
        let seen = view.message(1).unwrap().unwrap();
        assert_eq!((seen.subject(), seen.text().unwrap().contains("number 1")), ("number 1", true));
        drop(seen);
        assert!(store.0.bodies.is_idle(), "details and a short text are the account's own");
        // Of a header no more is read than it is.
        while let Some(cold) = view.cold(1, &Reading::Octets(0..40)) {
            view.warmed(1, &cold.verify().unwrap());
        }
        let header = view.message(1).unwrap().unwrap().octets(0..40).unwrap().to_vec();
        assert_eq!(header, super::raw(1, BESIDE)[..40]);
        assert!(view.message(1).unwrap().unwrap().octets(BESIDE..2 * BESIDE).is_err(), "beyond its end");
        let mut rounds = 0;
        while let Some(cold) = view.cold(1, &WHOLE) {
            let warm = std::thread::spawn(move || cold.verify()).join().unwrap().unwrap();
            view.warmed(1, &warm);
            rounds += 1;
        }
        assert!((1..=2).contains(&rounds), "{rounds}");
        assert!(!store.0.bodies.is_idle());
        assert_whole(&view.message(1).unwrap().unwrap(), 1, BESIDE);
        // Open for one, open for all.
        let other = super::whole::inbox(&store, 2).await;
        assert!(other.view(true).cold(1, &WHOLE).is_none());
    });
}

#[test]
fn damage_to_a_body_is_found() {
    let disk = MemoryDisk::default();
    with_large(&disk, async |store| {
        deliver(&store, 1..=2, &message(1, MB)).await.unwrap();
        store.seal_all().await.unwrap();
    });
    let path = disk.paths().into_iter().find(|path| path.starts_with("accounts/") && disk.bytes(path).len() > MB);
    disk.damage(&path.unwrap(), |bytes| bytes[MB / 2] ^= 1);
    with_large(&disk, async |store| {
        for id in 1..=2 {
            let view = inbox(&store, id).await.view(true);
            let found = view.message(1).unwrap().unwrap();
            assert_eq!(found.subject(), "number 1");
            assert!(matches!(found.raw(), Err(Error::Corrupt { .. })));
        }
    });
    let path = disk.paths().into_iter().find(|path| path.starts_with("accounts/") && disk.bytes(path).len() > MB);
    block_on(disk.remove(&path.unwrap())).unwrap();
    with_large(&disk, async |store| {
        let mut missing = 0;
        for id in 1..=2 {
            let view = inbox(&store, id).await.view(true);
            let raw = view.message(1).unwrap().unwrap().raw().map(|_| ());
            assert!(matches!(raw, Err(Error::Corrupt { .. })));
            missing += usize::from(matches!(raw, Err(Error::Corrupt { what: "missing", .. })));
        }
        assert_eq!(missing, 1);
    });
}

/// What the workload of the power cuts was told, by account.
#[derive(Default)]
struct Told {
    appended: Vec<(u64, u64)>,
    gone: Vec<(u64, u64)>,
    maybe_gone: Vec<(u64, u64)>,
}

const SHARED: usize = 80_000;

/// Deliveries to three accounts, checkpoints, expunges in one after the other.
async fn share_and_expunge(store: Store, told: &RefCell<Told>) {
    let mut next = 0;
    let mut deliver_one = async || {
        next += 1;
        let mut inboxes = Vec::new();
        for id in 1..=3 {
            let Ok(account) = store.account(AccountId(id)).await else { return };
            inboxes.extend(account.mailbox("INBOX"));
        }
        let new = message(next, SHARED);
        let copies: Vec<(Mailbox, NewMessage)> = inboxes.into_iter().map(|inbox| (inbox, new.clone())).collect();
        for ((inbox, _), appended) in copies.iter().zip(store.append_to_all(&copies).await) {
            if appended.is_ok() {
                told.borrow_mut().appended.push((inbox.account().id().0, next));
            }
        }
    };
    let expunge = async |id: u64, uid: u32| {
        let Ok(account) = store.account(AccountId(id)).await else { return };
        let Some(inbox) = account.mailbox("INBOX") else { return };
        told.borrow_mut().maybe_gone.push((id, u64::from(uid)));
        if inbox.view(false).expunge(&[uid..=uid], false).await.is_ok() {
            told.borrow_mut().gone.push((id, u64::from(uid)));
        }
    };
    deliver_one().await;
    deliver_one().await;
    expunge(1, 1).await;
    let _ = store.seal_all().await;
    expunge(2, 1).await;
    deliver_one().await;
    let _ = store.seal_all().await;
    expunge(3, 1).await;
    expunge(1, 2).await;
    let _ = store.seal_all().await;
}

fn check_shared(disk: &impl World, told: &Told, context: &str) {
    for round in 0..2 {
        let names = with_shards(disk, 1, async |stores: Vec<Store>| {
            let mut names = 0;
            for id in 1..=3 {
                let found = numbers(&inbox(&stores[0], id).await, |_| SHARED);
                for number in told.appended.iter().filter(|(owner, _)| *owner == id).map(|(_, number)| number) {
                    let there = found.contains(number);
                    let may_be_gone = told.maybe_gone.contains(&(id, *number));
                    assert!(there || may_be_gone, "{context}: {number} of {id} is lost of {found:?}");
                    assert!(!there || !told.gone.contains(&(id, *number)), "{context}: {number} of {id} is back");
                }
                names += found.len();
            }
            stores[0].seal_all().await.unwrap();
            names
        });
        let names = names.unwrap_or_else(|error| panic!("{context}: {error}")).0;
        // The first opening swept, its checkpoint removed the rest.
        let bodies = [1, 2, 3].map(|id| disk.segments(AccountId(id)).iter().filter(|it| it.len() > SHARED).count());
        assert!(round == 0 || bodies.iter().sum::<usize>() == names, "{context}: {names} messages in {bodies:?}");
    }
}

fn power_cuts_amid_sharing<W: World>() {
    let counted = W::default();
    let told = RefCell::default();
    with_shards(&counted, 1, |mut stores| share_and_expunge(stores.remove(0), &told)).unwrap();
    assert_eq!((told.borrow().appended.len(), told.borrow().gone.len()), (9, 4));
    check_shared(&counted, &told.into_inner(), "nothing stopped");
    let total = counted.operations();
    for stop in 1..=total {
        for seed in 0..3 {
            let (disk, told) = (W::default(), RefCell::default());
            disk.fail_from(stop);
            let _ = with_shards(&disk, 1, |mut stores| share_and_expunge(stores.remove(0), &told));
            let context = format!("stopped at {stop} of {total}, seed {seed}");
            check_shared(&disk.crash(stop * 100 + seed), &told.into_inner(), &context);
        }
    }
}

/// A folder that the first version wrote: an account file, a log with an expunge, a large and a small message, a body file.
#[test]
fn a_folder_of_format_1_is_read_and_carried_on() {
    fn plant(disk: &MemoryDisk, root: &Path, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                plant(disk, root, &path);
                continue;
            }
            let mut bytes = std::fs::read(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            if name.starts_with("log/0") {
                // Kept without the zeros of its end.
                bytes.resize(SEGMENT_BYTES as usize, 0);
            }
            disk.plant(name, bytes);
        }
    }
    let disk = MemoryDisk::default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/1");
    plant(&disk, &root, &root);
    assert_eq!(disk.stored("accounts/").0, 3);
    let large = [raw(3, 300), b"0123456789abcde\r\n".repeat(16_000)].concat();
    for _ in 0..3 {
        with_store(&disk, async |store| {
            let inbox = inbox(&store, 7).await;
            let view = inbox.view(true);
            assert_eq!((view.exists(), inbox.uid_next(), inbox.counts().unseen), (4, 6, 3));
            let found: Vec<Message> = (1..=4).map(|seq| view.message(seq).unwrap().unwrap()).collect();
            assert_whole(&found[0], 1, 300);
            assert_whole(&found[1], 2, 300);
            assert_whole(&found[3], 4, 300);
            assert_eq!(found[2].raw().unwrap(), large);
            assert_eq!((found[2].subject(), found[2].uid()), ("number 3", Uid(4)));
            let entry = view.entry(1).unwrap();
            assert_eq!((entry.flags, entry.keywords, inbox.keywords()), (Flags::SEEN, 1, vec!["$Work".to_owned()]));
            store.seal_all().await.unwrap();
        });
    }
    with_store(&disk, async |store| {
        expunge_all(&store, 7).await;
        store.seal_all().await.unwrap();
        assert_eq!(stored(&disk).0, 0);
    });
}

/// Rows that move down while the checkpoint looks for a body's users hide none of them, whenever that is.
fn rows_that_move_amid_the_search_hide_no_user<W: World>() {
    for turn in 0..16 {
        let disk = W::default();
        with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
            let inbox = inbox(&stores[0], 1).await;
            let other = inbox.account().create("other").await.unwrap();
            for number in 0..700 {
                inbox.append(message(number, 200)).await.unwrap();
            }
            inbox.append(message(700, 300_000)).await.unwrap();
            let (late, view) = (RefCell::new(Some(inbox.view(true))), inbox.view(true));
            view.copy(&[701..=701], &other).await.unwrap();
            view.expunge(&[1..=200], false).await.unwrap();
            drop(view);
            other.view(true).expunge(&[1..=1], false).await.unwrap();
            let breaths = Cell::new(0);
            let breathe = async || {
                if breaths.replace(breaths.get() + 1) == turn {
                    // The last one that was not told of the expunges: their rows go.
                    drop(late.borrow_mut().take());
                }
                yield_now().await;
            };
            super::super::checkpoint::checkpoint(&stores[0].0, &breathe).await.unwrap();
            assert!(turn > 0 || late.borrow().is_none(), "it breathes at all");
        })
        .unwrap();
        with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
            let view = inbox(&stores[0], 1).await.view(true);
            let long = view.message(view.exists()).unwrap().expect("the last one");
            assert_eq!(long.raw().map(<[u8]>::len), Ok(message(700, 300_000).body.len()), "turn {turn}");
        })
        .unwrap();
    }
}

/// Changes that bring no message of a body file keep none that is left, and a message that moves behind the back of who looks
/// keeps its own, whenever that is.
#[test]
fn bodies_are_freed_amid_other_changes() {
    let mut last = 0;
    for moves in [None].into_iter().chain((0..40).map(Some)) {
        if moves.is_some_and(|at| at >= last) {
            break;
        }
        let disk = MemoryDisk::default();
        with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
            let inbox = inbox(&stores[0], 1).await;
            let many = inbox.account().create("many").await.unwrap();
            let other = inbox.account().create("other").await.unwrap();
            many.append(message(1, 200)).await.unwrap();
            for _ in 0..10 {
                many.view(true).copy(&[1..=u32::MAX], &many).await.unwrap();
            }
            other.append(message(2, 300_000)).await.unwrap();
            if moves.is_some() {
                other.view(true).copy(&[1..=1], &other).await.unwrap();
            }
            other.view(true).expunge(&[1..=1], false).await.unwrap();
            let breaths = Cell::new(0);
            let breathe = async || {
                let breath = breaths.replace(breaths.get() + 1);
                if moves == Some(breath) {
                    other.view(true).move_to(&[2..=2], &inbox).await.unwrap();
                }
                let op = if breath % 2 == 0 { FlagOp::Add } else { FlagOp::Remove };
                many.view(true).change_flags(&[1..=1], op, Flags::SEEN, &[]).await.unwrap();
            };
            super::super::checkpoint::checkpoint(&stores[0].0, &breathe).await.unwrap();
            last = breaths.get();
            let files = disk.paths().iter().filter(|path| path.starts_with("accounts/") && path.len() > 70).count();
            assert_eq!(files, 1 + usize::from(moves.is_some()), "the account's own, and the body; moved at {moves:?}");
        })
        .unwrap();
        with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
            let inbox = inbox(&stores[0], 1).await;
            assert_eq!(numbers(&inbox, |_| 300_000), if moves.is_some() { vec![2] } else { vec![] });
        })
        .unwrap();
    }
    assert!(last > 8, "{last} breaths");
}

suite! {
    bodies_are_opened_elsewhere
    power_cuts_amid_sharing
    rows_that_move_amid_the_search_hide_no_user
}
