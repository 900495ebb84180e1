//! Files of which the disk can't give some any more while they are open: what is refused, what goes on, what is never said.

use std::cell::Cell;

use super::*;
use crate::io::Lend;
use crate::store::checkpoint::checkpoint;
use crate::store::log_record::Batch;

const BYTES: usize = 100_000;

async fn inbox(store: &Store, account: u64) -> Mailbox {
    store.account(AccountId(account)).await.unwrap().mailbox("INBOX").unwrap()
}

fn with_large<T, F: Future<Output = T>>(disk: &MemoryDisk, test: impl FnOnce(Store) -> F) -> T {
    with_segments(disk, 1, 4 << 20, |mut stores| test(stores.remove(0))).expect("the store opens").0
}

/// Two accounts with messages 0, 1 and 2 each, in one sealed file each.
fn sealed() -> MemoryDisk {
    let disk = MemoryDisk::default();
    with_large(&disk, async |store| {
        for account in [1, 2] {
            let inbox = inbox(&store, account).await;
            for number in 0..3 {
                inbox.append(message(number, BYTES)).await.unwrap();
            }
        }
        store.seal_all().await.unwrap();
    });
    disk
}

fn first_file(mailbox: &Mailbox) -> Rc<map::Sealed> {
    mailbox.account().state().inner.borrow().files[0].clone()
}

fn is_unreadable<T>(read: &Result<T, Error>) -> bool {
    matches!(read, Err(error) if error.is_unreadable())
}

#[test]
fn a_lost_file_is_refused_put_aside_and_merged_no_more() {
    let disk = sealed();
    let path = with_large(&disk, async |store| {
        let mailbox = inbox(&store, 1).await;
        let view = mailbox.view(true);
        let held = view.message(1).unwrap().unwrap();
        assert_whole(&held, 0, BYTES);
        let (file, other) = (first_file(&mailbox), mailbox.account().create("other").await.unwrap());
        assert_eq!(held.still_whole(), Ok(()));
        file.lose();
        // What was read before is there still, and known not to be certain; nothing is read any more.
        assert!(is_unreadable(&held.still_whole()) && is_unreadable(&held.raw()) && is_unreadable(&held.text()));
        let refused = view.message(2).map(drop);
        assert!(is_unreadable(&refused) && held.lend(0..5000).is_err());
        let path = file.path().to_owned();
        for _ in 0..2 {
            store.put_aside(refused.as_ref().unwrap_err()).await;
        }
        store.put_aside(&Error::corrupt(&path, 0, "block checksum")).await;
        assert!(disk.paths().contains(&format!("{path}.corrupt")) && !disk.paths().contains(&path));
        view.copy(&[1..=2], &other).await.unwrap();
        for round in 0..10 {
            mailbox.append(message(3 + round, BYTES)).await.unwrap();
            inbox(&store, 2).await.append(message(3 + round, BYTES)).await.unwrap();
            store.seal_all().await.unwrap();
            assert_eq!(store.0.commits.published().1, 0, "the log is sealed");
            assert_eq!(first_file(&mailbox).path(), path, "it is not merged away");
        }
        let view = mailbox.view(true);
        for seq in 1..=13 {
            match view.message(seq) {
                Ok(found) => assert_whole(&found.unwrap(), u64::from(seq) - 1, BYTES),
                Err(error) => assert!(seq <= 3 && error.is_unreadable(), "{seq}: {error}"),
            }
        }
        // The copies went to a file of their own, with nothing in them.
        let lost = other.view(true);
        assert!(lost.exists() == 2 && (1..=2).all(|seq| matches!(lost.message(seq), Err(Error::Corrupt { .. }))));
        path
    });
    with_large(&disk, async |store| {
        for _ in 0..2 {
            let refused = store.account(AccountId(1)).await.map(drop);
            assert!(matches!(&refused, Err(Error::Corrupt { file, .. }) if *file == path), "{refused:?}");
        }
        assert_eq!(numbers(&inbox(&store, 2).await, |_| BYTES), (0..13).collect::<Vec<_>>());
    });
}

/// A file is lost at any moment of the checkpoint that merges it: that ends, and what is told of a message is the message's.
#[test]
fn a_file_may_be_lost_under_a_merge() {
    let mut done = 0;
    for moment in (0..).step_by(7) {
        let disk = sealed();
        let over = with_large(&disk, async |store| {
            let mailbox = inbox(&store, 1).await;
            // All that it has is older than what comes, and half of it is gone: it is merged.
            mailbox.view(false).expunge(&[1..=2], false).await.unwrap();
            for number in 3..6 {
                mailbox.append(message(number, BYTES)).await.unwrap();
                inbox(&store, 2).await.append(message(number, BYTES)).await.unwrap();
            }
            let (file, breaths) = (first_file(&mailbox), Cell::new(0));
            checkpoint(&store.0, &async || {
                if breaths.replace(breaths.get() + 1) == moment {
                    file.lose();
                }
            })
            .await
            .unwrap();
            assert_eq!(store.0.commits.published().1, 0, "the log is sealed");
            let kept = first_file(&mailbox).path() == file.path();
            done += usize::from(kept);
            assert!(kept || !disk.paths().contains(&file.path().to_owned()), "merged, or left as it is");
            let view = mailbox.view(true);
            for (seq, number) in (1..=4).zip([2, 3, 4, 5]) {
                match view.message(seq) {
                    Ok(found) => assert_whole(&found.unwrap(), number, BYTES),
                    Err(error) => assert!(kept && number == 2 && error.is_unreadable(), "{moment}: {error}"),
                }
            }
            breaths.get() <= moment
        });
        with_large(&disk, async |store| {
            assert_eq!(numbers(&inbox(&store, 2).await, |_| BYTES), (0..6).collect::<Vec<_>>());
        });
        if over {
            break;
        }
    }
    assert!(done > 0, "it was never lost before it was merged");
}

#[test]
fn a_lost_index_is_not_gone_through() {
    let disk = sealed();
    with_large(&disk, async |store| {
        let file = first_file(&inbox(&store, 1).await);
        let index = file.index().unwrap();
        file.lose();
        assert!(is_unreadable(&file.index()));
        assert_eq!((index.places.len(), file.message_count()), (3, 3));
    });
}

/// A spooled message whose octets are lost is refused, whichever way it goes, and leaves nothing behind.
#[test]
fn what_arrives_and_is_lost_is_not_acknowledged() {
    let disk = MemoryDisk::default();
    with_large(&disk, async |store| {
        let mailbox = inbox(&store, 1).await;
        for bytes in [1000, 1 << 20] {
            let mut new = message(7, bytes);
            let map = Map::of_bytes(&new.body);
            new.body = Body::of_map(map.clone(), new.body.hash());
            mailbox.append(new.clone()).await.unwrap();
            map.lose();
            let (files, refused) = (disk.paths(), mailbox.append(new).await);
            assert!(matches!(refused, Err(Error::Io { .. })), "{bytes}: {refused:?}");
            assert_eq!(disk.paths(), files, "{bytes}");
        }
        let view = mailbox.view(true);
        assert_eq!(view.exists(), 2);
        // What was accepted before is in memory, or in a file of its own.
        assert_whole(&view.message(1).unwrap().unwrap(), 7, 1000);
        assert_whole(&view.message(2).unwrap().unwrap(), 7, 1 << 20);
    });
}

/// Zeros in a log must not read as its end.
#[test]
fn a_lost_log_is_no_shorter_one() {
    let mut batch = Batch::over(Vec::new());
    batch.push(AccountId(1), 1, 9, |out| out.extend_from_slice(b"change"));
    let map = Map::of_bytes(&batch.stamp(1, 1, 1));
    let read = Batch::read(map.clone(), 0, vec![(AccountId(1).partition(), 0)]);
    let (_, payload) = read.records().next().unwrap();
    assert_eq!((read.still_whole(), payload.still_whole()), (Ok(()), Ok(())));
    map.lose();
    assert!(is_unreadable(&read.still_whole()) && is_unreadable(&payload.still_whole()));
}
