//! What the store promises, one by one.

use super::*;
use crate::limits::{ACCOUNTS_IDLE_MAX, ACCOUNTS_IDLE_WEIGHT_MAX};

fn append_restart_seal_restart<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let account = store.account(AccountId(7)).await.unwrap();
        let inbox = account.mailbox("inbox").unwrap();
        assert_eq!(&*inbox.name(), "INBOX");
        assert_eq!(inbox.uid_validity(), UidValidity(SEED as u32));
        let uids = join((0..20).map(|n| boxed(inbox.append(message(n, 500)))).collect()).await;
        assert_eq!(uids, (1..=20).map(|uid| Ok(Uid(uid))).collect::<Vec<_>>());
        assert_eq!(numbers(&inbox, |_| 500), (0..20).collect::<Vec<_>>());
    });
    // Out of the log.
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 7).await;
        assert_eq!(numbers(&inbox, |_| 500), (0..20).collect::<Vec<_>>());
        assert_eq!((inbox.uid_next(), inbox.counts().unseen), (21, 20));
        store.seal_all().await.unwrap();
        // Out of the file, while the account is open.
        assert_eq!(numbers(&inbox, |_| 500), (0..20).collect::<Vec<_>>());
    });
    // Out of the file.
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 7).await;
        assert_eq!(numbers(&inbox, |_| 500), (0..20).collect::<Vec<_>>());
        assert_eq!(inbox.append(message(20, 500)).await, Ok(Uid(21)));
        assert_eq!(inbox.counts().messages, 21);
    });
}

pub(super) fn boxed<'a, T>(future: impl Future<Output = T> + 'a) -> Pin<Box<dyn Future<Output = T> + 'a>> {
    Box::pin(future)
}

pub(super) async fn inbox(store: &Store, id: u64) -> Mailbox {
    store.account(AccountId(id)).await.unwrap().mailbox("INBOX").unwrap()
}

/// As [`with_store`], over log segments that large messages fit into.
fn with_large<T, F: Future<Output = T>>(disk: &impl World, test: impl FnOnce(Store) -> F) -> T {
    with_segments(disk, 1, 4 << 20, |mut stores| test(stores.remove(0))).expect("the store opens").0
}

/// Polls once; the value where it is ready.
fn poll_once<T>(future: &mut Pin<Box<dyn Future<Output = T> + '_>>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

pub(super) async fn open_one(disk: &impl World, segment_bytes: u64) -> Store {
    let medium = disk.medium(segment_bytes);
    let replay = recover(&medium, 1).await.unwrap().shards.remove(0);
    Store::open(&medium, replay, Box::new(|| ()), SEED).await.unwrap()
}

fn what_arrives_together_is_written_together<W: World>() {
    let disk = W::default();
    let stored = with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
        let inbox = inbox(&stores[0], 1).await;
        let before = disk.commits();
        let appended = join((0..64).map(|n| boxed(inbox.append(message(n, 200)))).collect()).await;
        assert!(appended.iter().all(Result::is_ok));
        assert!(disk.commits() - before <= 3, "{} syncs", disk.commits() - before);
    });
    assert!(!stored.unwrap().1);
}

fn what_is_submitted_shares_a_commit<W: World>() {
    let disk = W::default();
    let stored = with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
        let mut inboxes = Vec::new();
        for id in 0..100 {
            inboxes.push(inbox(&stores[0], id).await);
        }
        let (before, new) = (disk.commits(), message(1, 300));
        let mut submitted = Vec::new();
        for inbox in &inboxes {
            submitted.push(inbox.submit(&new).await.unwrap());
            assert_eq!(inbox.counts().messages, 0, "not durable, not there");
        }
        for submitted in submitted {
            assert_eq!(submitted.wait().await, Ok(Uid(1)));
        }
        assert!(inboxes.iter().all(|inbox| inbox.counts().messages == 1));
        assert_eq!(disk.commits() - before, 1);
    });
    assert!(!stored.unwrap().1);
}

fn nothing_is_visible_before_it_is_durable<W: World>() {
    let disk = W::default();
    let store = block_on(open_one(&disk, SEGMENT_BYTES));
    let mut writer = boxed(quiet_writer(&store));
    let mut opening = boxed(store.account(AccountId(1)));
    let account = loop {
        poll_once(&mut writer);
        if let Some(account) = poll_once(&mut opening) {
            break account.unwrap();
        }
    };
    let inbox = account.mailbox("INBOX").unwrap();
    let view = inbox.view(false);
    let mut append = boxed(inbox.append(message(1, 300)));
    let mut turns = 0;
    while poll_once(&mut append).is_none() {
        assert_eq!((inbox.counts(), inbox.uid_next(), view.changed()), (Counts::default(), 1, false));
        poll_once(&mut writer);
        turns += 1;
    }
    assert!(turns >= 2, "the write took its time");
    assert_eq!((inbox.counts().messages, inbox.uid_next(), view.changed()), (1, 2, true));
    // It is durable: what a power cut leaves has it.
    let crashed = disk.crash(3);
    with_store(&crashed, async |store| assert_eq!(numbers(&super::whole::inbox(&store, 1).await, |_| 300), [1]));
}

fn a_failed_sync_is_the_end<W: World>() {
    let disk = W::default();
    let store = block_on(open_one(&disk, SEGMENT_BYTES));
    let mut writer = boxed(quiet_writer(&store));
    let mut opening = boxed(store.account(AccountId(1)));
    let account = loop {
        assert!(poll_once(&mut writer).is_none());
        if let Some(account) = poll_once(&mut opening) {
            break account.unwrap();
        }
    };
    let inbox = account.mailbox("INBOX").unwrap();
    let mut append = boxed(inbox.append(message(1, 300)));
    assert!(poll_once(&mut append).is_none());
    let mut behind = boxed(inbox.append(message(2, 300)));
    disk.fail_from(disk.operations() + 2);
    let lost = (0..100).find_map(|_| poll_once(&mut writer));
    assert_eq!(lost, Some(Lost::Poisoned));
    let failed = poll_once(&mut append).unwrap();
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    assert!(matches!(poll_once(&mut behind), Some(Err(Error::Io { .. }))));
    assert_eq!(inbox.counts().messages, 0);
    assert!(matches!(block_on(store.flush()), Err(Error::Io { .. })));
}

fn too_much_under_way_is_refused<W: World>() {
    let disk = W::default();
    let store = block_on(open_one(&disk, 4 << 20));
    let writer = quiet_writer(&store);
    let account = drive(
        store.account(AccountId(1)),
        &mut [Box::pin(async move {
            let _ = writer.await;
        })],
    )
    .unwrap();
    let inbox = account.mailbox("INBOX").unwrap();
    // Nobody runs the writer any more.
    let mut waiting = Vec::new();
    let refused = (0..200).find_map(|number| {
        let inbox = inbox.clone();
        let mut append: Pin<Box<dyn Future<Output = _>>> =
            Box::pin(async move { inbox.append(message(number, 200_000)).await });
        let outcome = poll_once(&mut append);
        waiting.push(append);
        outcome
    });
    assert_eq!(refused, Some(Err(Error::Busy)));
    assert!((30..100).contains(&waiting.len()), "{}", waiting.len());
}

fn a_full_disk_refuses_and_recovers<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let mut outcomes = Vec::new();
        for number in 0..200 {
            if number == 20 {
                disk.fill(true);
            }
            outcomes.push(inbox.append(message(number, 2000)).await);
        }
        let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(Error::Full))), "{outcomes:?}");
        assert!((20..80).contains(&accepted), "the prewritten log takes some more: {accepted}");
        assert_eq!(inbox.counts().messages as usize, accepted);
        disk.fill(false);
        // The one who is refused makes the log try again.
        let _ = inbox.append(message(300, 2000)).await;
        yield_now().await;
        let mut again = Err(Error::Full);
        for _ in 0..20 {
            again = inbox.append(message(301, 2000)).await;
            if again.is_ok() {
                break;
            }
        }
        assert!(again.is_ok(), "{again:?}");
    });
    with_store(&disk, async |store| {
        let found = numbers(&inbox(&store, 1).await, |_| 2000);
        assert!(found.contains(&301) && found.contains(&19));
    });
}

/// What is there can be read behind a start that finds no room for a segment of its own, and changes are taken when there is.
#[test]
fn a_start_on_a_full_disk_reads_and_recovers() {
    let disk = MemoryDisk::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        for number in 0..5 {
            inbox.append(message(number, 2000)).await.unwrap();
        }
    });
    disk.fill(true);
    for _ in 0..3 {
        with_store(&disk, async |store| {
            let inbox = inbox(&store, 1).await;
            assert_eq!(numbers(&inbox, |_| 2000), [0, 1, 2, 3, 4]);
            for number in 10..13 {
                assert_eq!(inbox.append(message(number, 2000)).await.map(drop), Err(Error::Full));
            }
        });
    }
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        assert_eq!(inbox.append(message(20, 2000)).await.map(drop), Err(Error::Full));
        disk.fill(false);
        // The one who is refused makes the log try again.
        let mut tries = 0;
        while inbox.append(message(21, 2000)).await.is_err() {
            tries += 1;
            assert!(tries < 20);
        }
        inbox.append(message(22, 2000)).await.unwrap();
    });
    with_store(&disk, async |store| {
        let found = numbers(&inbox(&store, 1).await, |_| 2000);
        assert_eq!(found, [0, 1, 2, 3, 4, 21, 22]);
    });
}

#[test]
fn a_log_without_descriptors_refuses_and_recovers() {
    for errno in [libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
        let disk = MemoryDisk::default();
        let ran = with_shards(&disk, 1, async |stores: Vec<Store>| {
            let inbox = inbox(&stores[0], 1).await;
            let mut accepted = Vec::new();
            for number in 0..400 {
                // Short in turns, of which the longer ones use up the spare segment; recycled segments among them.
                let short = number % 100 >= 20;
                disk.run_short(short.then_some(errno));
                match inbox.append(message(number, 2000)).await {
                    Ok(_) => accepted.push(number),
                    Err(error) => assert!(short && error == Error::Full || number % 100 < 5, "{number}: {error:?}"),
                }
                if number % 100 == 15 {
                    stores[0].seal_all().await.unwrap();
                }
            }
            assert!((80..390).contains(&accepted.len()), "{}", accepted.len());
            disk.run_short(None);
            accepted
        });
        let (accepted, lost) = ran.unwrap();
        assert!(!lost, "the server goes on");
        with_store(&disk, async |store| assert_eq!(numbers(&inbox(&store, 1).await, |_| 2000), accepted));
    }
}

#[test]
fn a_segment_that_fails_to_be_written_is_the_end() {
    let disk = MemoryDisk::default();
    let store = block_on(open_one(&disk, SEGMENT_BYTES));
    disk.fail_writes(libc::ENOMEM);
    let mut writer = boxed(quiet_writer(&store));
    assert_eq!((0..100).find_map(|_| poll_once(&mut writer)), Some(Lost::Poisoned));
}

fn log_files(disk: &MemoryDisk) -> Vec<String> {
    disk.paths().into_iter().filter(|path| path.starts_with("log/0")).collect()
}

#[test]
fn a_torn_tail_is_cut_and_damage_before_it_is_not() {
    let disk = MemoryDisk::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        for number in 0..5 {
            inbox.append(message(number, 300)).await.unwrap();
        }
    });
    let path = log_files(&disk).remove(0);
    let bytes = disk.bytes(&path);
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    let torn = disk.crash(0);
    torn.damage(&path, |bytes| bytes[end - 100..].fill(0));
    with_store(&torn, async |store| assert_eq!(numbers(&inbox(&store, 1).await, |_| 300), [0, 1, 2, 3]));

    let damaged = disk.crash(0);
    let subject = bytes.windows(8).position(|window| window == b"number 2").unwrap();
    damaged.damage(&path, |bytes| bytes[subject] ^= 1);
    let refused = recovered(&damaged).unwrap_err();
    assert!(matches!(&refused, Error::Corrupt { file, .. } if *file == path), "{refused:?}");
}

#[test]
fn a_recycled_segment_replays_only_what_is_new() {
    let disk = MemoryDisk::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        for number in 0..300 {
            inbox.append(message(number, 2000)).await.unwrap();
            if number % 20 == 10 {
                store.seal_all().await.unwrap();
            }
        }
    });
    // Recycled they are: far fewer files than segments were written, and old records lie in the current ones.
    let files = log_files(&disk);
    assert!(files.len() <= 5, "{files:?}");
    let newest = u32::from_str_radix(files.last().unwrap().split('-').nth(2).unwrap(), 16).unwrap();
    assert!(newest > 9, "{files:?}");
    let messages = |path: &String| memchr::memmem::find_iter(&disk.bytes(path), b"Subject: number").count();
    assert!(files.iter().map(messages).sum::<usize>() > 50);
    let recovered = recovered(&disk).unwrap();
    let replayed: usize = recovered.shards[0].records.values().map(Vec::len).sum();
    assert_eq!(replayed, 299 - 290);
    with_store(&disk, async |store| {
        assert_eq!(numbers(&inbox(&store, 1).await, |_| 2000), (0..300).collect::<Vec<_>>());
    });
}

#[test]
fn mail_that_looks_like_records_is_mail() {
    // Records of this epoch for every segment to come, as somebody would guess them: at any place, first of their batches.
    let mut forged = b"Subject: number 1\r\n\r\n".to_vec();
    for number in 1..=40u64 {
        for shift in 0..8 {
            forged.resize(forged.len() + shift, b' ');
            let mut batch = log_record::Batch::default();
            batch.push(AccountId(2), 1000, 8, |out| out.extend_from_slice(&1u32.to_le_bytes()));
            forged.extend_from_slice(&batch.stamp(1, number, 5000));
        }
    }
    let disk = MemoryDisk::default();
    with_store(&disk, async |store| {
        inbox(&store, 2).await;
        let inbox = inbox(&store, 1).await;
        for _ in 0..24 {
            let body = Body::from_vec(forged.clone());
            inbox.append(NewMessage { body, ..message(1, 100) }).await.unwrap();
            store.seal_all().await.unwrap();
        }
        inbox.append(message(2, 300)).await.unwrap();
    });
    let newest = log_files(&disk).pop().unwrap();
    assert!(memchr::memmem::find(&disk.bytes(&newest), b"Subject: number 1").is_some(), "it was recycled");
    with_store(&disk, async |store| {
        assert_eq!(inbox(&store, 1).await.counts().messages, 25);
        assert_eq!(inbox(&store, 2).await.counts().messages, 0);
    });
}

#[test]
fn large_messages_go_around_the_log() {
    let disk = MemoryDisk::default();
    let bytes = 3_000_000;
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let (mut spool, before) = (store.spool(), disk.operations());
        for piece in raw(1, bytes).chunks(70_001) {
            spool.write(piece).await.unwrap();
        }
        assert!(disk.operations() > before, "past memory it is a file");
        assert!(!disk.paths().iter().any(|path| path.starts_with("spool/")), "without a name");
        assert_eq!(spool.len(), raw(1, bytes).len() as u64);
        let body = spool.finish().await.unwrap();
        assert_eq!(body.hash(), Hash::of(&raw(1, bytes)));
        let new = NewMessage { body, ..message(1, bytes) };
        // The same twice: two messages, two lives.
        inbox.append(new.clone()).await.unwrap();
        inbox.append(new).await.unwrap();
        assert_eq!(numbers(&inbox, |_| bytes), [1, 1]);
    });
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        assert_eq!(numbers(&inbox, |_| bytes), [1, 1]);
        let view = inbox.view(false);
        view.expunge(&[1..=1], false).await.unwrap();
        let pinned = view.message(1).unwrap().unwrap();
        let files = |disk: &MemoryDisk| disk.paths().iter().filter(|path| path.starts_with("accounts/")).count();
        assert_eq!(files(&disk), 2);
        store.seal_all().await.unwrap();
        assert_eq!(files(&disk), 4, "a sealed file, a manifest, and both bodies: a view shows the first");
        drop(view);
        store.seal_all().await.unwrap();
        assert_eq!(files(&disk), 3, "{:?}", disk.paths());
        assert_whole(&pinned, 1, bytes);
    });
    with_store(&disk, async |store| assert_eq!(numbers(&inbox(&store, 1).await, |_| bytes), [1]));
}

fn many_small_messages_that_arrive_share_a_bound_of_memory<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let (piece, mut spools) = (raw(1, 200_000), Vec::new());
        for _ in 0..500 {
            let mut spool = store.spool();
            spool.write(&piece).await.unwrap();
            spools.push(spool);
        }
        let held = store.0.spooled.get();
        assert!((32 << 20..65 << 20).contains(&held), "{held} bytes in memory");
        // A short message needs no file even then, and a longer one few writes, however it comes.
        let (mut short, before) = (store.spool(), disk.operations());
        for octet in 0..100 {
            short.write(&[octet; 20]).await.unwrap();
        }
        assert_eq!(disk.operations(), before);
        for octet in 100..200 {
            short.write(&[octet; 200]).await.unwrap();
        }
        assert!(disk.operations() - before <= 2 + 22_000 / 4096, "{} operations", disk.operations() - before);
        assert_eq!(short.finish().await.unwrap().len(), 22_000);
        let last = spools.pop().unwrap().finish().await.unwrap();
        assert_eq!((&*last, last.hash()), (&*piece, Hash::of(&piece)));
        drop(spools);
        assert_eq!(store.0.spooled.get(), 0);
    });
}

#[test]
fn a_refused_large_message_leaves_no_file() {
    let disk = MemoryDisk::default();
    let bodies = || {
        let paths = disk.paths();
        paths.iter().filter(|path| path.starts_with("accounts/") && !path.ends_with("MANIFEST")).count()
    };
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let keywords = (0..=crate::limits::KEYWORDS_MAX).map(|number| format!("k{number}")).collect();
        let refused = inbox.append(NewMessage { keywords, ..message(1, 600_000) }).await;
        assert_eq!((refused, bodies()), (Err(Error::TooManyKeywords), 0));
        // Taken at first, and refused by a log that has no room: a small one would fit yet, this record does not.
        disk.run_short(Some(libc::EMFILE));
        let mut refused = Ok(Uid(0));
        for number in 0..400 {
            refused = refused.and(inbox.append(message(number, 300)).await);
        }
        assert_eq!(refused, Err(Error::Full));
        disk.run_short(None);
        let mut large = message(2, 600_000);
        large.delivery.as_mut().unwrap().recipients = vec!["someone@example".to_owned(); 1000];
        let before = inbox.counts().messages;
        let submitted = inbox.submit(&large).await.unwrap();
        assert_eq!(bodies(), 1);
        assert_eq!((submitted.wait().await, bodies()), (Err(Error::Full), 0));
        assert_eq!(inbox.counts().messages, before);
        // With room it stays.
        inbox.append(large).await.unwrap();
        assert_eq!((inbox.counts().messages, bodies()), (before + 1, 1));
    });
}

#[test]
fn a_message_that_never_ends_leaves_no_file() {
    let disk = MemoryDisk::default();
    let spooled = |disk: &MemoryDisk| disk.paths().iter().any(|path| path.starts_with("spool/"));
    with_store(&disk, async |store| {
        // Its name stays for the time of one operation; a start sweeps what a failure or a power cut leaves there.
        for _ in 0..100 {
            yield_now().await; // until the log has its spare segment
        }
        disk.fail_once(disk.operations() + 2, std::io::ErrorKind::Other);
        let refused = store.spool().write(&vec![0; 600_000]).await;
        assert!(matches!(refused, Err(Error::Io { .. })) && spooled(&disk), "{refused:?}");
    });
    with_store(&disk, async |store| {
        assert!(!spooled(&disk));
        let mut spool = store.spool();
        spool.write(&vec![0; 600_000]).await.unwrap();
        assert!(!spooled(&disk), "half a message has no name");
        drop(spool);
        assert!(!spooled(&disk));
    });
}

#[test]
fn files_whose_uids_do_not_ascend_are_refused() {
    let disk = MemoryDisk::default();
    with_large(&disk, async |store| {
        for (number, bytes) in [(0, 200_000), (1, 300)] {
            inbox(&store, 1).await.append(message(number, bytes)).await.unwrap();
            store.seal_all().await.unwrap();
        }
    });
    let turned = |bytes: &mut Vec<u8>| {
        let mut files = manifest::Manifest::decode(bytes, AccountId(1)).unwrap();
        assert_eq!(files.files.len(), 2);
        files.files.reverse();
        *bytes = files.encode(AccountId(1));
    };
    disk.damage(&manifest(AccountId(1)), turned);
    with_large(&disk, async |store| {
        let refused = store.account(AccountId(1)).await.unwrap_err();
        assert!(matches!(refused, Error::Corrupt { what: "does not fit the files before it", .. }), "{refused:?}");
    });
    disk.damage(&manifest(AccountId(1)), turned);
    with_large(&disk, async |store| {
        assert_eq!(numbers(&inbox(&store, 1).await, |number| [200_000, 300][number as usize]), [0, 1]);
    });
}

#[test]
fn a_damaged_file_is_put_aside_and_harms_nobody_else() {
    let disk = MemoryDisk::default();
    with_large(&disk, async |store| {
        for account in [1, 2, 3] {
            let inbox = inbox(&store, account).await;
            for number in 0..3 {
                inbox.append(message(number, 100_000)).await.unwrap();
            }
        }
        store.seal_all().await.unwrap();
    });
    let file_of = |account: u64| {
        let folder = segments::account_folder(AccountId(account));
        disk.paths().into_iter().find(|path| path.starts_with(&folder) && !path.ends_with("MANIFEST")).unwrap()
    };
    let (index, heap) = (file_of(1), file_of(2));
    disk.damage(&index, |bytes| {
        let end = bytes.len();
        bytes[end - 200] ^= 4;
    });
    let text = disk.bytes(&heap).windows(20).rposition(|window| window.starts_with(b"Subject: number 2")).unwrap();
    disk.damage(&heap, |bytes| bytes[text + 50_000] ^= 1);
    for _ in 0..2 {
        with_large(&disk, async |store| {
            assert!(matches!(store.account(AccountId(1)).await, Err(Error::Corrupt { .. })));
            assert!(disk.paths().contains(&format!("{index}.corrupt")));
            // Record and envelope are whole; the damage is found where it is read.
            let inbox2 = inbox(&store, 2).await;
            let view = inbox2.view(true);
            let third = view.message(3).unwrap().unwrap();
            assert_eq!(third.subject(), "number 2");
            assert!(matches!(third.raw(), Err(Error::Corrupt { file, .. }) if file == heap));
            assert_whole(&view.message(1).unwrap().unwrap(), 0, 100_000);
            assert_eq!(numbers(&inbox(&store, 3).await, |_| 100_000), [0, 1, 2]);
        });
    }
    // A copy of it, and then itself, go elsewhere: they stay damaged, and nothing else is harmed.
    with_large(&disk, async |store| {
        let (inbox2, inbox3) = (inbox(&store, 2).await, inbox(&store, 3).await);
        let other = inbox2.account().create("other").await.unwrap();
        for number in 3..5 {
            inbox3.append(message(number, 100_000)).await.unwrap();
            let moved = inbox2.view(true);
            let outcome =
                if number == 3 { moved.copy(&[2..=3], &other).await } else { moved.move_to(&[3..=3], &other).await };
            outcome.unwrap();
            store.seal_all().await.unwrap();
            assert_eq!(store.0.commits.published().1, 0, "the log is sealed");
            assert!(disk.paths().contains(&heap), "the damaged file stays");
        }
    });
    for _ in 0..2 {
        with_large(&disk, async |store| {
            assert_eq!(numbers(&inbox(&store, 3).await, |_| 100_000), [0, 1, 2, 3, 4]);
            let inbox2 = inbox(&store, 2).await;
            assert_eq!(numbers(&inbox2, |_| 100_000), [0, 1]);
            let other = inbox2.account().mailbox("other").unwrap();
            let view = other.view(true);
            assert_whole(&view.message(1).unwrap().unwrap(), 1, 100_000);
            for seq in 2..=3 {
                let found = view.message(seq).unwrap().unwrap();
                assert_eq!((found.subject(), found.size()), ("number 2", raw(2, 100_000).len() as u64));
                assert!(matches!(found.raw(), Err(Error::Corrupt { .. })));
            }
            // What is lost already keeps no file from being merged.
            for number in 7..15 {
                other.append(message(number, 250_000)).await.unwrap();
                if number < 12 {
                    store.seal_all().await.unwrap();
                }
            }
            store.seal_all().await.unwrap();
            let files = inbox2.account().state().inner.borrow().files.clone();
            assert!(files.iter().all(|file| file.path() != heap), "merged");
            other.view(true).expunge(&[4..=20], false).await.unwrap();
        });
    }
}

/// The younger ones are merged all the same, and what of it is whole stays so.
#[test]
fn a_damaged_file_is_left_out_of_merges() {
    let disk = MemoryDisk::default();
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        for number in 0..3 {
            inbox.append(message(number, 100_000)).await.unwrap();
        }
        store.seal_all().await.unwrap();
    });
    let file = disk.paths().into_iter().find(|path| path.starts_with("accounts/") && path.len() > 70).unwrap();
    let text = disk.bytes(&file).windows(20).rposition(|window| window.starts_with(b"Subject: number 1")).unwrap();
    disk.damage(&file, |bytes| bytes[text + 50_000] ^= 1);
    for round in 0..2 {
        with_large(&disk, async |store| {
            let inbox = inbox(&store, 1).await;
            for number in 0..20 {
                inbox.append(message(3 + 20 * round + number, 30_000)).await.unwrap();
                store.seal_all().await.unwrap();
                let files = inbox.account().state().inner.borrow().files.clone();
                assert!(files[0].path() == file && files.len() < 10, "{} files", files.len());
            }
            let view = inbox.view(true);
            for seq in 1..=view.exists() {
                let found = view.message(seq).unwrap().unwrap();
                match seq {
                    2 => assert!(matches!(found.raw(), Err(Error::Corrupt { .. }))),
                    _ => assert_whole(&found, u64::from(seq) - 1, if seq <= 3 { 100_000 } else { 30_000 }),
                }
            }
            assert_eq!(view.exists() as u64, 3 + 20 * (round + 1));
        });
    }
}

/// As soon as it is half of all, also where most was expunged before a start.
#[test]
fn what_is_expunged_makes_room() {
    let disk = MemoryDisk::default();
    let octets = || disk.stored("accounts/").1;
    let expunge = async |store: &Store, first, last| {
        inbox(store, 1).await.view(false).expunge(&[first..=last], false).await.unwrap();
        store.seal_all().await.unwrap();
    };
    let before = with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        for number in 0..10 {
            inbox.append(message(number, 100_000)).await.unwrap();
        }
        store.seal_all().await.unwrap();
        let before = octets();
        expunge(&store, 1, 4).await;
        assert!(octets() >= before, "{} of {before}", octets());
        before
    });
    with_large(&disk, async |store| {
        expunge(&store, 5, 6).await;
        assert!(octets() < before / 2, "{} of {before}", octets());
        expunge(&store, 7, 9).await;
        assert!(octets() < before / 5, "{} of {before}", octets());
        assert_eq!(numbers(&inbox(&store, 1).await, |_| 100_000), [9]);
    });
}

/// What is new is sealed all the same, and what should have been merged is as soon as there is room.
#[test]
fn a_disk_without_room_for_a_merge_seals() {
    let disk = MemoryDisk::default();
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        for number in 0..10 {
            inbox.append(message(number, 100_000)).await.unwrap();
        }
        store.seal_all().await.unwrap();
        inbox.append(message(10, 1000)).await.unwrap();
        inbox.view(false).expunge(&[1..=6], false).await.unwrap();
        let files = || inbox.account().state().inner.borrow().files.clone();
        let first = files()[0].name();
        // A write of a merge fits, or none does.
        for room in [300_000, 30_000] {
            disk.limit(Some(room));
            for number in 0..3 {
                store.seal_all().await.unwrap();
                assert!(files().len() > 1 && files()[0].name() == first);
                let stored = disk.paths().iter().filter(|path| path.starts_with("accounts/")).count();
                assert_eq!(stored, files().len() + 1, "{:?}", disk.paths());
                assert_eq!(store.0.commits.published().1, 0, "the log is trimmed");
                inbox.append(message(11 + number, 1000)).await.unwrap();
            }
            inbox.view(false).expunge(&[12..=14], false).await.unwrap();
        }
    });
    let size = |number| if number < 10 { 100_000 } else { 1000 };
    disk.limit(None);
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        store.seal_all().await.unwrap();
        assert_eq!(inbox.account().state().inner.borrow().files.len(), 1);
        assert_eq!(numbers(&inbox, size), [6, 7, 8, 9, 10, 11, 12, 13]);
    });
}

/// Where merging all from there on is too much at once, file by file; what goes on meanwhile and what the log has is as it was.
#[test]
fn the_older_half_is_made_room_of_file_by_file() {
    tiers::SCALE.set(512);
    let disk = MemoryDisk::default();
    let size = |number| [70_000, 300, 5000][number as usize / 100];
    let files = |inbox: &Mailbox| inbox.account().state().inner.borrow().files.clone();
    let counts = with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let old = inbox.account().create("old").await.unwrap();
        for number in 0..30 {
            inbox.append(message(number, 70_000)).await.unwrap();
            inbox.append(message(200 + number, 5000)).await.unwrap();
            if number == 2 {
                old.append(message(100, 300)).await.unwrap();
            }
            inbox.view(false).change_flags(&[1..=2], FlagOp::Add, Flags(1 << (number % 5)), &[]).await.unwrap();
            store.seal_all().await.unwrap();
        }
        let (before, stored) = (files(&inbox), disk.stored("accounts/").1);
        assert_eq!(before.len(), 30);
        inbox.account().delete("old").await.unwrap();
        let all: Vec<_> = (1..20).map(|number| 2 * number + 1..=2 * number + 1).collect();
        inbox.view(false).expunge(&all, false).await.unwrap();
        let mut left = stored;
        for round in 0..24 {
            let other = inbox.account().create(&format!("other{round}")).await.unwrap();
            inbox.append(message(100 + round, 300)).await.unwrap();
            let breaths = Cell::new(0);
            let amid = async || {
                breaths.set(breaths.get() + 1);
                let view = inbox.view(true);
                if breaths.get() == [0, 0, 5, 9, 13, 17].get(round as usize).copied().unwrap_or(0) {
                    view.copy(&[1..=1, 4..=40], &other).await.unwrap();
                }
                if breaths.get() == 5 + round % 7 {
                    view.change_flags(&[20..=45], FlagOp::Replace, Flags(round as u16), &[]).await.unwrap();
                }
                if breaths.get() == 5 && round == 5 {
                    inbox.view(false).expunge(&[6..=6], false).await.unwrap();
                }
            };
            super::super::checkpoint::checkpoint(&store.0, &amid).await.unwrap();
            let now = disk.stored("accounts/").1;
            assert!(now < left + 300_000, "{now} after {left}");
            left = now;
            let paths = disk.paths().iter().filter(|path| path.starts_with("accounts/")).count();
            assert_eq!(paths, files(&inbox).len() + 1);
        }
        assert!(before[20..].iter().all(|file| files(&inbox).iter().any(|now| Rc::ptr_eq(now, file))));
        let gone = before[1..20].iter().filter(|file| !files(&inbox).iter().any(|now| Rc::ptr_eq(now, file)));
        assert!(gone.count() > 3);
        pictures(&inbox)
    });
    let again = with_large(&disk, async |store| {
        let picture = pictures(&inbox(&store, 1).await);
        store.seal_all().await.unwrap();
        assert!(inbox(&store, 1).await.account().mailbox("old").is_none());
        picture
    });
    assert_eq!(again, counts);
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        assert_eq!(pictures(&inbox), counts);
        let pairs = (0..30u64).flat_map(|number| [number, 200 + number]);
        let left = pairs.filter(|&number| !(1..20).contains(&number) && number != 202);
        assert_eq!(numbers(&inbox, size), left.chain(100..124).collect::<Vec<_>>());
    });
}

/// UIDs, numbers and flags of all mailboxes.
fn pictures(inbox: &Mailbox) -> Vec<(u32, u64, Flags)> {
    let mut rows = Vec::new();
    for mailbox in inbox.account().mailboxes() {
        let view = mailbox.view(true);
        for seq in 1..=view.exists() {
            let (entry, message) = (view.entry(seq).unwrap(), view.message(seq).unwrap().unwrap());
            assert!(message.raw().is_ok());
            rows.push((entry.uid.0, message.saved_at() as u64, entry.flags));
        }
    }
    rows
}

/// Beside a file that is never merged again as well.
fn deleted_mailboxes_are_forgotten<W: World>() {
    let disk = W::default();
    let known = async |store: &Store| {
        let inbox = inbox(store, 1).await;
        assert!(["old", "early", "late"].iter().all(|name| inbox.account().mailbox(name).is_none()));
        inbox.account().state().inner.borrow().mailboxes.len()
    };
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let old = inbox.account().create("old").await.unwrap();
        old.append(message(50, 1000)).await.unwrap();
        for number in 0..10 {
            inbox.append(message(number, 100_000)).await.unwrap();
        }
        store.seal_all().await.unwrap();
        let file = inbox.account().state().inner.borrow().files[0].clone();
        // One that this file names stays, one that no file names goes, one that merged files name does too.
        inbox.account().delete("old").await.unwrap();
        for number in 0..12 {
            inbox.account().create("early").await.unwrap().append(message(number, 1000)).await.unwrap();
            store.seal_all().await.unwrap();
            inbox.account().delete("early").await.unwrap();
            inbox.account().create("late").await.unwrap();
            inbox.account().delete("late").await.unwrap();
            store.seal_all().await.unwrap();
            // Until the small file that names it is merged, a few of them.
            assert!((7..12).contains(&known(&store).await));
        }
        assert!(Rc::ptr_eq(&inbox.account().state().inner.borrow().files[0], &file));
    });
    with_large(&disk, async |store| {
        assert!((7..12).contains(&known(&store).await));
        let inbox = inbox(&store, 1).await;
        inbox.view(false).expunge(&[1..=9], false).await.unwrap();
        store.seal_all().await.unwrap();
        assert_eq!(known(&store).await, 6, "merged");
    });
    with_large(&disk, async |store| assert_eq!(known(&store).await, 6));
}

fn old_expunges_are_forgotten_but_of_messages_that_a_file_has<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        for number in 0..10 {
            inbox.append(message(number, 1000)).await.unwrap();
        }
        store.seal_all().await.unwrap();
        let files = inbox.account().state().inner.borrow().files.clone();
        // UIDs 11 to 20 are in no file, of which the lower ones went last.
        let all: Vec<sealed::Vanished> =
            (5..=20).map(|uid| sealed::Vanished { uid, modseq: 100 - u64::from(uid) }).collect();
        let uids = async |max| {
            let mut vanished = all.clone();
            super::super::merge::trim_vanished(&mut vanished, &files, inbox.id().0, max, &async || {}).await;
            vanished.iter().map(|gone| gone.uid).collect::<Vec<_>>()
        };
        assert_eq!(uids(4).await, (5..=14).collect::<Vec<_>>());
        assert_eq!(uids(10).await, (5..=20).collect::<Vec<_>>());
        assert_eq!(uids(0).await, (5..=10).collect::<Vec<_>>());
    });
}

fn merging_keeps_everything_and_costs_a_logarithm<W: World>() {
    let disk = W::default();
    let mut kept = Vec::new();
    for round in 0..8 {
        with_store(&disk, async |store| {
            let inbox = inbox(&store, 1).await;
            for part in 0..8u64 {
                let number = round * 8 + part;
                inbox.append(message(number, 1000)).await.unwrap();
                kept.push((number, Flags::NONE));
                let view = inbox.view(false);
                // An old one gets a flag, another goes.
                let flagged = (number as usize * 7) % kept.len();
                let uid = view.uid_of(flagged as u32 + 1).unwrap();
                view.change_flags(&[uid..=uid], FlagOp::Add, Flags::FLAGGED, &[]).await.unwrap();
                kept[flagged].1 = Flags::FLAGGED;
                if number % 3 == 2 {
                    let gone = (number as usize * 5) % kept.len();
                    let uid = view.uid_of(gone as u32 + 1).unwrap();
                    view.expunge(&[uid..=uid], false).await.unwrap();
                    kept.remove(gone);
                }
                store.seal_all().await.unwrap();
                let files = inbox.account().state().inner.borrow().files.len();
                assert!(files <= 7, "{files} files after {number}");
            }
        });
        with_store(&disk, async |store| {
            let inbox = inbox(&store, 1).await;
            let expected: Vec<u64> = kept.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers(&inbox, |_| 1000), expected);
            let view = inbox.view(true);
            for (index, (_, flags)) in kept.iter().enumerate() {
                assert_eq!(view.entry(index as u32 + 1).unwrap().flags, *flags);
            }
        });
    }
    // Every expunge is remembered for QRESYNC, once.
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let inner = inbox.account().state().inner.borrow();
        let indexes: Vec<_> = inner.files.iter().map(|file| file.index().unwrap()).collect();
        let vanished = indexes.iter().flat_map(|index| index.groups.iter());
        let mut vanished: Vec<u32> =
            vanished.flat_map(|group| group.vanished.iter().map(|gone| gone.uid.to_native())).collect();
        vanished.sort_unstable();
        let live: Vec<u32> = inbox.state().data.borrow().columns.uid.clone();
        assert_eq!(vanished, (1..=64).filter(|uid| !live.contains(uid)).collect::<Vec<_>>());
    });
}

#[test]
fn accounts_come_and_go() {
    let disk = MemoryDisk::default();
    with_store(&disk, async |store| {
        let both = join(vec![boxed(store.account(AccountId(1))), boxed(store.account(AccountId(1)))]).await;
        for account in &both {
            assert_eq!(account.as_ref().unwrap().mailboxes().len(), 6);
        }
        drop(both);
        assert_eq!(store.0.accounts.borrow().len(), 1, "its INBOX is not sealed yet");
        store.seal_all().await.unwrap();
        // An opening that is given up half-way leaves the way free.
        let mut given_up = boxed(store.account(AccountId(2)));
        poll_once(&mut given_up);
        let mut second = boxed(store.account(AccountId(2)));
        poll_once(&mut second);
        drop(given_up);
        assert_eq!(second.await.unwrap().mailboxes().len(), 6);
    });
    with_store(&disk, async |store| {
        let view = inbox(&store, 1).await.view(true);
        // Who comes again soon loads nothing, who is not asked for longest goes.
        for round in 0..3 {
            for id in 2..2 + ACCOUNTS_IDLE_MAX as u64 {
                let reads = disk.reads();
                drop(inbox(&store, id).await);
                store.seal_all().await.unwrap();
                assert!(round == 0 || disk.reads() == reads, "account {id} is loaded again");
            }
        }
        let (there, reads) = (|id| store.0.accounts.borrow().contains_key(&AccountId(id)), disk.reads());
        assert!((1..2 + ACCOUNTS_IDLE_MAX as u64).all(there));
        drop(view);
        assert!(there(1) && !there(2) && there(3), "a view held it until now");
        drop(inbox(&store, 3).await);
        assert_eq!(disk.reads(), reads);
        drop(inbox(&store, 2).await);
        assert!(there(2) && there(3) && !there(4) && disk.reads() > reads);
        assert_eq!(store.0.accounts.borrow().len(), ACCOUNTS_IDLE_MAX);
    });
}

/// Large accounts that nobody has open don't fill the memory, however few they are.
fn few_messages_stay_of_accounts_that_nobody_has_open<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        for id in 1..=2 {
            let inbox = inbox(&store, id).await;
            inbox.append(message(1, 100)).await.unwrap();
            while inbox.counts().messages as usize <= ACCOUNTS_IDLE_WEIGHT_MAX / 2 {
                inbox.view(true).copy(&[1..=u32::MAX], &inbox).await.unwrap();
            }
        }
        store.seal_all().await.unwrap();
        drop(inbox(&store, 1).await);
        drop(inbox(&store, 2).await);
        assert_eq!(store.0.accounts.borrow().keys().collect::<Vec<_>>(), [&AccountId(2)]);
    });
}

fn changes_under_way_together_both_count<W: World>() {
    let disk = W::default();
    let check = async |store: Store| {
        let inbox = inbox(&store, 1).await;
        let entry = inbox.view(true).entry(1).unwrap();
        assert_eq!(entry.flags, Flags::SEEN.union(Flags::ANSWERED));
        let mut names = Vec::new();
        inbox.for_each_keyword(entry.keywords, |name| names.push(name.to_owned()));
        assert_eq!(names, ["one", "two"]);
    };
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let flagged = NewMessage { flags: Flags::FLAGGED, keywords: vec!["one".to_owned()], ..message(1, 100) };
        inbox.append(flagged).await.unwrap();
        let (a, b) = (inbox.view(false), inbox.view(false));
        let (one, two) = (["ONE".to_owned()], ["two".to_owned()]);
        let changes = join(vec![
            boxed(a.change_flags(&[1..=1], FlagOp::Replace, Flags::SEEN, &one)),
            boxed(b.change_flags(&[1..=u32::MAX], FlagOp::Add, Flags::ANSWERED, &two)),
        ]);
        let modseqs: Vec<_> = changes.await.into_iter().map(Result::unwrap).collect();
        assert!(modseqs[0] < modseqs[1]);
        assert_eq!(Some(inbox.highest_modseq()), modseqs[1]);
        let many: Vec<String> = (0..63).map(|number| format!("k{number}")).collect();
        let refused = a.change_flags(&[1..=1], FlagOp::Add, Flags::NONE, &many).await;
        assert_eq!(refused, Err(Error::TooManyKeywords));
        assert_eq!(inbox.keywords().len(), 2);
        check(store).await;
    });
    with_store(&disk, check);
}

fn a_change_of_nothing_hides_no_other<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        inbox.append(message(1, 300)).await.unwrap();
        let (mut mine, other) = (inbox.view(false), inbox.view(false));
        other.change_flags(&[1..=1], FlagOp::Add, Flags::FLAGGED, &[]).await.unwrap();
        let nothing = mine.change_flags(&[4_000_000_000..=4_000_000_000], FlagOp::Add, Flags::SEEN, &[]).await;
        assert_eq!(nothing, Ok(None));
        assert_eq!(advance(&mut mine, true), [Update::Flags { seq: 1 }]);
    });
}

fn recent_is_for_one_session<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        inbox.append(message(1, 100)).await.unwrap();
        assert_eq!((inbox.view(true).recent(), inbox.counts().recent), (1, 1));
        let mut first = inbox.view(false);
        assert_eq!((first.recent(), inbox.counts().recent), (1, 0));
        let mut second = inbox.view(false);
        assert_eq!(second.recent(), 0);
        inbox.append(message(2, 100)).await.unwrap();
        assert_eq!(advance(&mut second, true), [Update::Exists { count: 2, recent: 1 }]);
        assert_eq!(advance(&mut first, true), [Update::Exists { count: 2, recent: 1 }], "its own one, still");
        assert!(!first.entry(2).unwrap().recent && second.entry(2).unwrap().recent);
        store.flush().await.unwrap();
    });
    with_store(&disk, async |store| assert_eq!(inbox(&store, 1).await.view(false).recent(), 0));
}

fn idle_is_woken<W: World>() {
    struct Count(std::sync::atomic::AtomicU32);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let disk = W::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let mut view = inbox.view(false);
        let count = Arc::new(Count(Default::default()));
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        assert!(view.poll_changed(&mut context).is_pending());
        assert!(view.poll_changed(&mut context).is_pending());
        inbox.append(message(1, 100)).await.unwrap();
        assert_eq!(count.0.load(std::sync::atomic::Ordering::Relaxed), 1);
        assert!(view.poll_changed(&mut context).is_ready());
        advance(&mut view, false);
        assert!(view.poll_changed(&mut context).is_pending());
        drop(view);
        assert!(inbox.state().listeners.borrow().is_empty());
    });
}

#[test]
fn old_logs_go_when_all_is_sealed() {
    let disk = MemoryDisk::default();
    with_shards(&disk, 2, async |stores: Vec<Store>| {
        for account in 1..9 {
            let store = &stores[AccountId(account).shard(2)];
            inbox(store, account).await.append(message(account, 100)).await.unwrap();
        }
    })
    .unwrap();
    let recovered = recovered(&disk).unwrap();
    assert_eq!(recovered.shards[0].accounts(), 8);
    let sealed = Rc::new(Cell::new(false));
    let told = sealed.clone();
    let replay = recovered.shards.into_iter().next().unwrap();
    let store =
        block_on(Store::open(&disk.medium(SEGMENT_BYTES), replay, Box::new(move || told.set(true)), SEED)).unwrap();
    let mut others: Vec<Pin<Box<dyn Future<Output = ()>>>> =
        vec![Box::pin(store.checkpointer(async || yield_now().await))];
    let writer = quiet_writer(&store);
    others.push(Box::pin(async move {
        let _ = writer.await;
    }));
    let waited = sealed.clone();
    drive(poll_fn(move |_| if waited.get() { Poll::Ready(()) } else { Poll::Pending }), &mut others);
    assert_eq!(store.0.idle.borrow().len(), 8, "nobody has them open");
    block_on(disk.medium(SEGMENT_BYTES).logs.forget(recovered.epoch)).unwrap();
    let epoch = format!("log/{:016x}", recovered.epoch);
    assert!(log_files(&disk).iter().all(|path| path.starts_with(&epoch)));
    with_store(&disk, async |store| {
        for account in 1..9 {
            assert_eq!(numbers(&inbox(&store, account).await, |_| 100), [account]);
        }
    });
}

#[test]
fn checkpoints_come_by_themselves() {
    let disk = MemoryDisk::default();
    let store = block_on(open_one(&disk, 4 << 20));
    let (writer, checkpointer) = (quiet_writer(&store), store.checkpointer(async || yield_now().await));
    let mut others: Vec<Pin<Box<dyn Future<Output = ()>>>> = vec![
        Box::pin(async move {
            let _ = writer.await;
        }),
        Box::pin(checkpointer),
    ];
    let work = async {
        let inbox = inbox(&store, 1).await;
        for number in 0..200 {
            inbox.append(message(number, 200_000)).await.unwrap();
        }
        while inbox.account().state().inner.borrow().files.is_empty() {
            yield_now().await;
        }
        assert_eq!(numbers(&inbox, |_| 200_000), (0..200).collect::<Vec<_>>());
        inbox.append(message(200, 100)).await.unwrap();
        let before = inbox.account().state().inner.borrow().sealed_seq;
        store.0.checkpoints.ask();
        while inbox.account().state().inner.borrow().sealed_seq == before {
            yield_now().await;
        }
    };
    drive(work, &mut others);
    assert!(log_files(&disk).len() <= 8, "{:?}", log_files(&disk));
}

fn cold_blocks_are_verified_elsewhere<W: World>() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let disk = W::default();
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        inbox.append(message(1, 200_000)).await.unwrap();
        assert!(inbox.view(true).cold(1, &WHOLE).is_none(), "in memory");
        store.seal_all().await.unwrap();
    });
    with_large(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let view = inbox.view(true);
        let cold = send(view.cold(1, &WHOLE).unwrap());
        let warm = std::thread::spawn(move || cold.verify()).join().unwrap().unwrap();
        view.warmed(1, &warm);
        assert!(view.cold(1, &WHOLE).is_none());
        assert_whole(&view.message(1).unwrap().unwrap(), 1, 200_000);
        send(super::super::Recovered { epoch: 1, shards: Vec::new() });
    });
}

/// Whatever bit flips in a sealed file: what is read is right, or an error; never anything else.
#[test]
fn flipped_bits_are_found() {
    let disk = MemoryDisk::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        for number in 0..4 {
            inbox.append(message(number, 300)).await.unwrap();
        }
        store.seal_all().await.unwrap();
    });
    let path = disk.paths().into_iter().find(|path| path.len() > 70).unwrap();
    let whole = disk.bytes(&path);
    let mut random = super::super::memory_disk::Random::new(5);
    let mut refused = 0;
    for _ in 0..1500 {
        let bit = random.below(whole.len() * 8);
        let damaged = disk.crash(0);
        damaged.damage(&path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        with_store(&damaged, async |store| {
            let Ok(account) = store.account(AccountId(1)).await else {
                refused += 1;
                return;
            };
            let view = account.mailbox("INBOX").unwrap().view(true);
            assert_eq!(view.exists(), 4);
            for seq in 1..=4 {
                match view.message(seq) {
                    Ok(message) if message.as_ref().unwrap().raw().is_ok() => {
                        assert_whole(&message.unwrap(), u64::from(seq) - 1, 300);
                    }
                    _ => refused += 1,
                }
            }
        });
    }
    // The file is one block: every flip is found, but for those in the zeros of header and footer that say nothing.
    assert!(refused >= 1400, "{refused}");
}

/// A flag that is taken away just before an EXPUNGE saves its message, although neither is durable yet.
fn an_undelete_that_is_under_way_counts<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        for number in 1..=3 {
            inbox.append(message(number, 100)).await.unwrap();
        }
        let (one, other) = (inbox.view(false), inbox.view(false));
        one.change_flags(&[1..=2], FlagOp::Add, Flags::DELETED, &[]).await.unwrap();
        let undelete = boxed(async {
            one.change_flags(&[2..=2], FlagOp::Remove, Flags::DELETED, &[]).await.unwrap();
        });
        let expunge = boxed(async { other.expunge(&[1..=u32::MAX], true).await.unwrap() });
        join(vec![undelete, expunge]).await;
        let left = inbox.view(true);
        assert_eq!((1..=left.exists()).map(|seq| left.uid_of(seq)).collect::<Vec<_>>(), [Some(2), Some(3)]);
    });
    with_store(&disk, async |store| {
        let left = inbox(&store, 1).await.view(true);
        assert_eq!((1..=left.exists()).map(|seq| left.uid_of(seq)).collect::<Vec<_>>(), [Some(2), Some(3)]);
    });
}

/// However much changed, a view is told in pieces, and of all of it, whatever happens between them.
fn much_is_told_in_pieces<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        inbox.append(message(1, 100)).await.unwrap();
        for _ in 0..13 {
            inbox.view(true).copy(&[1..=u32::MAX], &inbox).await.unwrap();
        }
        let (mut view, other) = (inbox.view(false), inbox.view(false));
        let count = view.exists();
        assert_eq!(count, 8192);
        other.change_flags(&[1..=u32::MAX], FlagOp::Add, Flags::SEEN, &[]).await.unwrap();
        other.expunge(&[1..=3000], false).await.unwrap();
        // Its own, in silence, and another of its own that it answered: of the second nothing is left to tell.
        let silent = view.change_flags(&[5000..=5000], FlagOp::Add, Flags::FLAGGED, &[]).await.unwrap().unwrap();
        view.told(silent, true);
        let whole = view.change_flags(&[5001..=5001], FlagOp::Add, Flags::FLAGGED, &[]).await.unwrap().unwrap();
        view.told(whole, false);
        assert_eq!(view.advance(false).expunged.count(), 0);
        let mut told = Vec::new();
        while let Some(numbers) = view.next_flags() {
            assert!(numbers.len() <= crate::limits::BREATH_ROWS, "{} in a piece", numbers.len());
            told.extend(numbers);
            if told.len() == 1024 {
                // Amid it more is changed and gone, and more comes: of that the next time.
                other.change_flags(&[8000..=8001], FlagOp::Remove, Flags::SEEN, &[]).await.unwrap();
                other.expunge(&[3500..=3600], false).await.unwrap();
                inbox.append(message(2, 100)).await.unwrap();
            }
        }
        let all: Vec<u32> = (1..=count).filter(|&seq| seq != 5001).collect();
        assert!(told == all, "{} of {} told", told.len(), all.len());
        let news = view.advance(true);
        let gone: Vec<u32> = (1..=3000).chain(3500..=3600).rev().collect();
        assert!(news.expunged.eq(gone), "the highest first");
        assert_eq!(news.exists.map(|(count, _)| count), Some(8192 - 3101 + 1));
        assert_eq!(view.next_flags(), Some(vec![8000 - 3101, 8001 - 3101]));
        assert_eq!((view.next_flags(), view.changed()), (None, false));
    });
}

suite! {
    append_restart_seal_restart
    what_arrives_together_is_written_together
    what_is_submitted_shares_a_commit
    nothing_is_visible_before_it_is_durable
    a_failed_sync_is_the_end
    too_much_under_way_is_refused
    a_full_disk_refuses_and_recovers
    many_small_messages_that_arrive_share_a_bound_of_memory
    deleted_mailboxes_are_forgotten
    old_expunges_are_forgotten_but_of_messages_that_a_file_has
    merging_keeps_everything_and_costs_a_logarithm
    few_messages_stay_of_accounts_that_nobody_has_open
    changes_under_way_together_both_count
    a_change_of_nothing_hides_no_other
    recent_is_for_one_session
    idle_is_woken
    cold_blocks_are_verified_elsewhere
    an_undelete_that_is_under_way_counts
    much_is_told_in_pieces
}
