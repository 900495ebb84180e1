//! COPY and MOVE: what arrives, what is kept, what races leave, and that a replay finds the same.

use super::super::message::Location;
use super::whole::{boxed, inbox};
use super::*;

type Seen = Vec<(u32, u64, Flags, Vec<String>, bool)>;

/// UID, number, flags, keywords, `\Recent` of every message; each is whole.
fn contents(mailbox: &Mailbox, size: usize) -> Seen {
    contents_of(&mailbox.view(true), size)
}

fn contents_of(view: &View, size: usize) -> Seen {
    let rows = (1..=view.exists()).map(|seq| {
        let (entry, message) = (view.entry(seq).unwrap(), view.message(seq).unwrap().unwrap());
        let number = message.saved_at() as u64 - 2_000_000;
        assert_whole(&message, number, size);
        assert_eq!((entry.uid, entry.internal_date), (message.uid(), message.internal_date()));
        let mut keywords = Vec::new();
        view.mailbox().for_each_keyword(entry.keywords, |name| keywords.push(name.to_owned()));
        keywords.sort();
        (entry.uid.0, number, entry.flags, keywords, entry.recent)
    });
    rows.collect()
}

/// INBOX with `count` messages that have various flags and keywords, and another mailbox with keywords of its own.
async fn two(store: &Store, count: u64) -> (Mailbox, Mailbox) {
    let inbox = inbox(store, 1).await;
    for number in 0..count {
        let mut message = message(number, 400);
        message.flags = [Flags::NONE, Flags::SEEN, Flags::FLAGGED.union(Flags::DELETED)][number as usize % 3];
        message.keywords = if number % 2 == 0 { vec!["$Work".to_owned(), format!("$k{}", number % 4)] } else { vec![] };
        inbox.append(message).await.unwrap();
    }
    let other = inbox.account().create("other").await.unwrap();
    let mut first = message(100, 400);
    first.keywords = vec!["$own".to_owned(), "$WORK".to_owned()];
    other.append(first).await.unwrap();
    (inbox, other)
}

/// What `rows` are as copies from UID `first` on.
fn copies(rows: &[(u32, u64, Flags, Vec<String>, bool)], first: u32) -> Seen {
    let named = |names: &[String]| names.iter().map(|name| name.replace("$Work", "$WORK")).collect();
    let rows = rows.iter().enumerate();
    rows.map(|(index, row)| (first + index as u32, row.1, row.2, named(&row.3), true)).collect()
}

fn copies_keep_flags_keywords_and_dates<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let (inbox, other) = two(&store, 10).await;
        drop((inbox.view(false), other.view(false)));
        let before = contents(&inbox, 400);
        let (syncs, octets) = (disk.commits(), inbox.account().bytes());
        let copied = inbox.view(true).copy(&[2..=4, 7..=7, 50..=60], &other).await.unwrap();
        assert_eq!(disk.commits() - syncs, 1, "one record, and the names of keywords with it");
        assert_eq!(copied, Copied { uid_validity: other.uid_validity(), from: vec![(2, 4), (7, 7)], to: vec![(2, 5)] });
        assert_eq!(contents(&inbox, 400), before);
        let chosen: Seen = before.iter().filter(|row| [2, 3, 4, 7].contains(&row.0)).cloned().collect();
        let expected = copies(&chosen, 2);
        assert_eq!(contents(&other, 400)[1..], expected);
        assert_eq!(other.keywords().len(), 3, "$own, $WORK, $k2: {:?}", other.keywords());
        assert_eq!((other.counts().recent, other.counts().messages, other.uid_next()), (4, 5, 6));
        let size: u64 = chosen.iter().map(|row| raw(row.1, 400).len() as u64).sum();
        assert_eq!(inbox.account().bytes() - octets, size);
        let none = inbox.view(true).copy(&[50..=60], &other).await.unwrap();
        assert_eq!((none.from.is_empty(), none.to.is_empty()), (true, true));
        // A copy of a copy; then the copies live on their own.
        other.view(true).copy(&[2..=3], &inbox).await.unwrap();
        inbox.view(true).expunge(&[1..=10], false).await.unwrap();
        assert_eq!(contents(&inbox, 400).iter().map(|row| (row.0, row.1)).collect::<Vec<_>>(), [(11, 1), (12, 2)]);
        other.view(true).change_flags(&[2..=2], FlagOp::Replace, Flags::DRAFT, &[]).await.unwrap();
        let expected = [contents(&inbox, 400), contents(&other, 400)];
        // However often it is sealed, merged and read back.
        for _ in 0..3 {
            store.seal_all().await.unwrap();
            assert_eq!([contents(&inbox, 400), contents(&other, 400)], expected);
            inbox.append(message(200, 400)).await.unwrap();
            inbox.view(true).expunge(&[13..=99], false).await.unwrap();
        }
        assert_eq!([contents(&inbox, 400), contents(&other, 400)], expected);
    });
    let again = with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let other = inbox.account().mailbox("other").unwrap();
        [contents(&inbox, 400), contents(&other, 400)].map(|rows| rows.len())
    });
    assert_eq!(again, [2, 5]);
}

fn moves_leave_nothing_behind<W: World>() {
    let disk = W::default();
    let expected = with_store(&disk, async |store| {
        let (inbox, other) = two(&store, 10).await;
        drop((inbox.view(false), other.view(false)));
        store.seal_all().await.unwrap();
        let before = contents(&inbox, 400);
        let mut view = inbox.view(true);
        let octets = inbox.account().bytes();
        let moved = view.move_to(&[1..=3, 9..=20], &other).await.unwrap();
        assert_eq!((moved.from, moved.to), (vec![(1, 3), (9, 10)], vec![(2, 6)]));
        assert_eq!(contents_of(&view, 400), before, "who was not told reads them all");
        assert_eq!(advance(&mut view, true), [10, 9, 3, 2, 1].map(|seq| Update::Expunged { seq }));
        assert_eq!(contents_of(&view, 400), before[3..8]);
        let chosen: Seen = before.iter().filter(|row| !(4..9).contains(&row.0)).cloned().collect();
        assert_eq!(contents(&other, 400)[1..], copies(&chosen, 2));
        assert_eq!(inbox.account().bytes(), octets);
        // Into the same mailbox: to its end, with new UIDs.
        let moved = view.move_to(&[4..=5], &inbox).await.unwrap();
        assert_eq!((moved.from, moved.to), (vec![(4, 5)], vec![(11, 12)]));
        let copied = view.copy(&[6..=6], &inbox).await.unwrap();
        assert_eq!((copied.from, copied.to), (vec![(6, 6)], vec![(13, 13)]));
        let uids: Vec<_> = contents(&inbox, 400).iter().map(|row| (row.0, row.1)).collect();
        assert_eq!(uids, [(6, 5), (7, 6), (8, 7), (11, 3), (12, 4), (13, 5)]);
        [contents(&inbox, 400), contents(&other, 400)]
    });
    for _ in 0..2 {
        with_store(&disk, async |store| {
            let inbox = inbox(&store, 1).await;
            let other = inbox.account().mailbox("other").unwrap();
            assert_eq!([contents(&inbox, 400), contents(&other, 400)], expected);
            assert_eq!((inbox.uid_next(), other.uid_next()), (14, 7));
            store.seal_all().await.unwrap();
        });
    }
}

/// RFC 2180 §4.4: what another session expunges on the way is not there, and nothing else is harmed.
fn what_is_expunged_on_the_way_is_left_out<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let (inbox, other) = two(&store, 10).await;
        let (one, two, three) = (inbox.view(true), inbox.view(true), inbox.view(true));
        // In the order in which they are submitted.
        let outcomes = join(vec![
            boxed(async { one.expunge(&[3..=4], false).await.map(|()| None) }),
            boxed(async { two.copy(&[2..=6], &other).await.map(Some) }),
            boxed(async { three.move_to(&[4..=8], &other).await.map(Some) }),
            boxed(async { one.copy(&[5..=10], &other).await.map(Some) }),
            boxed(async { other.append(message(77, 400)).await.map(|_| None) }),
        ])
        .await;
        let outcomes: Vec<_> = outcomes.into_iter().filter_map(Result::unwrap).map(|it| (it.from, it.to)).collect();
        let copied = (vec![(2, 2), (5, 6)], vec![(2, 2), (5, 6)]);
        let moved = (vec![(5, 8)], vec![(8, 11)]);
        let last = (vec![(9, 10)], vec![(16, 17)]);
        assert_eq!(outcomes, [copied, moved, last]);
        let there: Vec<_> = contents(&other, 400).iter().map(|row| (row.0, row.1)).collect();
        let expected = [(1, 100), (2, 1), (5, 4), (6, 5), (8, 4), (9, 5), (10, 6), (11, 7), (16, 8), (17, 9), (18, 77)];
        assert_eq!(there, expected);
    });
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        assert_eq!(contents(&account.mailbox("other").unwrap(), 400).len(), 11);
        assert_eq!(contents(&account.mailbox("INBOX").unwrap(), 400).len(), 4);
    });
}

fn keywords_without_room_are_left_behind<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let (inbox, other) = two(&store, 2).await;
        let names: Vec<String> = (0..crate::limits::KEYWORDS_MAX - 2).map(|number| format!("k{number}")).collect();
        other.view(true).change_flags(&[1..=1], FlagOp::Add, Flags::NONE, &names).await.unwrap();
        inbox.view(true).copy(&[1..=2], &other).await.unwrap();
        assert_eq!(contents(&other, 400)[1].3, ["$WORK"]);
    });
}

fn what_a_copy_can_refuse<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let (inbox, other) = two(&store, 3).await;
        let stranger = super::whole::inbox(&store, 2).await;
        assert_eq!(inbox.view(true).copy(&[1..=3], &stranger).await, Err(Error::Gone));
        other.state().data.borrow_mut().uid_next_assigned = u32::MAX - 2;
        assert_eq!(inbox.view(true).copy(&[1..=3], &other).await, Err(Error::NoUids));
        assert!(inbox.view(true).copy(&[1..=2], &other).await.is_ok());
        // A view copies what it was told of.
        let view = inbox.view(true);
        inbox.append(message(9, 400)).await.unwrap();
        let copied = view.copy(&[1..=u32::MAX], &inbox).await.unwrap();
        assert_eq!((copied.from, copied.to), (vec![(1, 3)], vec![(5, 7)]));
    });
}

/// What is copied before it is sealed is on the disk once, also after merges; a body file as well as what is in an account's.
#[test]
fn shared_content_is_sealed_once() {
    let disk = MemoryDisk::default();
    let large = crate::limits::INLINE_BODY_BYTES_MAX + 10_000;
    let few = |large: usize, small: usize| {
        let octets = disk.stored("accounts/").1;
        assert!(octets < (large + small) * 5 / 4, "{octets} for {large} and {small}");
    };
    with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
        let store = &stores[0];
        let inbox = inbox(store, 1).await;
        let account = inbox.account();
        inbox.append(message(1, large)).await.unwrap();
        inbox.append(message(2, 100_000)).await.unwrap();
        let other = account.create("other").await.unwrap();
        for _ in 0..20 {
            inbox.view(true).copy(&[1..=2], &other).await.unwrap();
        }
        few(large, 0);
        store.seal_all().await.unwrap();
        few(large, 100_000);
        inbox.view(true).expunge(&[1..=1], false).await.unwrap();
        for number in 3..6 {
            inbox.append(message(number, 100_000)).await.unwrap();
            store.seal_all().await.unwrap();
        }
        assert_eq!(account.state().inner.borrow().files.len(), 1, "merged");
        few(large, 400_000);
    })
    .unwrap();
    let size = |number: u64| if number == 1 { large } else { 100_000 };
    with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
        let account = stores[0].account(AccountId(1)).await.unwrap();
        let other = account.mailbox("other").unwrap();
        assert_eq!(numbers(&other, size), (0..20).flat_map(|_| [1, 2]).collect::<Vec<_>>());
        other.view(false).expunge(&[1..=39], false).await.unwrap();
        stores[0].seal_all().await.unwrap();
        few(0, 400_000);
        let inbox = account.mailbox("INBOX").unwrap();
        assert_eq!((numbers(&other, size), numbers(&inbox, size)), (vec![2], (2..6).collect()));
    })
    .unwrap();
}

/// The next checkpoint writes them although the file that they are read from has no name any more.
fn copies_amid_a_merge<W: World>() {
    let disk = W::default();
    let two = async |store: &Store| {
        let inbox = inbox(store, 1).await;
        let other = inbox.account().mailbox("other").unwrap();
        (inbox, other)
    };
    with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
        let inbox = inbox(&stores[0], 1).await;
        inbox.account().create("other").await.unwrap();
        for number in 0..3 {
            inbox.append(message(number, 150_000)).await.unwrap();
            stores[0].seal_all().await.unwrap();
        }
        inbox.append(message(3, 150_000)).await.unwrap();
    })
    .unwrap();
    let size = |_| 150_000;
    with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
        let (inbox, other) = two(&stores[0]).await;
        let copying = boxed(async {
            for number in 0..24u32 {
                let uid = 1 + number % 4;
                inbox.view(true).copy(&[uid..=uid], &other).await.unwrap();
                for _ in 0..10 {
                    yield_now().await;
                }
            }
        });
        let sealing = boxed(async {
            let slow = async || {
                for _ in 0..20 {
                    yield_now().await;
                }
            };
            super::super::checkpoint::checkpoint(&stores[0].0, &slow).await.unwrap();
            assert_eq!(inbox.account().state().inner.borrow().files.len(), 1, "merged");
        });
        join(vec![copying, sealing]).await;
        let file = inbox.account().state().inner.borrow().files[0].clone();
        let nameless = |location: &&Location| matches!(location, Location::Sealed(old, _) if !Rc::ptr_eq(old, &file));
        let nameless = other.state().data.borrow().columns.location.iter().filter(nameless).count();
        assert!(nameless > 0, "{nameless} amid it");
        stores[0].seal_all().await.unwrap();
    })
    .unwrap();
    with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
        let (inbox, other) = two(&stores[0]).await;
        assert_eq!(numbers(&other, size), (0..24).map(|number| number % 4).collect::<Vec<_>>());
        assert_eq!(numbers(&inbox, size), (0..4).collect::<Vec<_>>());
    })
    .unwrap();
}

/// A checkpoint that is read row by row while copies, moves, flags and expunges go on, and a crash right after it: what
/// the replay copies is what was copied, with the flags of then.
fn a_replay_copies_what_was_copied<W: World>() {
    for seed in 0..60 {
        let disk = W::default();
        let mut random = super::super::memory_disk::Random::new(seed);
        let expected = with_store(&disk, async |store| {
            let (inbox, other) = two(&store, 12).await;
            drop((inbox.view(false), other.view(false)));
            let changes = boxed(async {
                for _ in 0..12 {
                    let (from, to) = if random.below(2) == 0 { (&inbox, &other) } else { (&other, &inbox) };
                    let (view, first) = (from.view(true), 1 + random.below(12) as u32);
                    let uids = [first..=first + 2];
                    match random.below(5) {
                        0 => view.expunge(&uids, false).await.unwrap(),
                        1 => {
                            let op = [FlagOp::Add, FlagOp::Replace][random.below(2)];
                            let names = ["$late".to_owned()];
                            view.change_flags(&uids, op, Flags::ANSWERED, &names).await.unwrap();
                        }
                        2 => drop(view.move_to(&uids, to).await.unwrap()),
                        _ => drop(view.copy(&uids, to).await.unwrap()),
                    }
                    for _ in 0..random.below(4) {
                        yield_now().await;
                    }
                }
            });
            let sealing = boxed(async {
                let slow = async || {
                    for _ in 0..6 {
                        yield_now().await;
                    }
                };
                super::super::checkpoint::checkpoint(&store.0, &slow).await.unwrap();
            });
            join(vec![changes, sealing]).await;
            [contents(&inbox, 400), contents(&other, 400)]
        });
        // Out of the file and the log behind it, and then out of files alone.
        for round in 0..2 {
            with_store(&disk, async |store| {
                let inbox = inbox(&store, 1).await;
                let other = inbox.account().mailbox("other").unwrap();
                let found = [contents(&inbox, 400), contents(&other, 400)];
                assert_eq!(found, expected, "seed {seed}, round {round}");
                store.seal_all().await.unwrap();
            });
        }
    }
}

/// Messages of both mailboxes by number, that of the other mailbox's own left out.
fn where_they_are(inbox: &Mailbox, other: &Mailbox) -> (Vec<u64>, Vec<u64>) {
    let of = |mailbox| contents(mailbox, 400).iter().map(|row| row.1).filter(|&number| number < 100).collect();
    (of(inbox), of(other))
}

/// RFC 3501 §6.4.7, RFC 6851 §3.3: after a power cut at any operation a copy is there whole or not at all, a moved message is
/// in one of the two mailboxes, and what was acknowledged is done.
fn after_a_power_cut_copies_and_moves_are_whole_or_none<W: World>() {
    let prepared = || {
        let disk = W::default();
        with_store(&disk, async |store| drop(two(&store, 10).await));
        disk
    };
    let workload = async |store: &Store, told: &std::cell::Cell<(bool, bool)>| {
        let Ok(account) = store.account(AccountId(1)).await else { return };
        let (Some(inbox), Some(other)) = (account.mailbox("INBOX"), account.mailbox("other")) else { return };
        let copied = inbox.view(true).copy(&[6..=8], &other).await.is_ok();
        told.set((copied, false));
        let _ = store.seal_all().await;
        told.set((copied, inbox.view(true).move_to(&[1..=4], &other).await.is_ok()));
        let _ = store.seal_all().await;
    };
    let counted = prepared();
    let (first, told) = (counted.operations() + 1, std::cell::Cell::default());
    with_store(&counted, async |store| workload(&store, &told).await);
    assert_eq!(told.get(), (true, true), "the workload does all it says");
    let (mut seen, last) = (std::collections::BTreeSet::new(), counted.operations() + 1);
    assert!(last - first > 8, "{first} to {last}");
    for stop in first..=last {
        for seed in 0..4 {
            let disk = prepared();
            disk.fail_from(stop);
            told.set((false, false));
            let _ = with_shards(&disk, 1, async |stores: Vec<Store>| workload(&stores[0], &told).await);
            let crashed = disk.crash(stop * 1000 + seed);
            let (inbox, other) = with_store(&crashed, async |store| {
                let inbox = inbox(&store, 1).await;
                where_they_are(&inbox, &inbox.account().mailbox("other").expect("it was acknowledged"))
            });
            let (copied, moved) = (other.contains(&5), other.contains(&0));
            let context = format!("stopped at {stop} of {last}, seed {seed}: {inbox:?} and {other:?}");
            assert_eq!(inbox, if moved { Vec::from_iter(4..10) } else { Vec::from_iter(0..10) }, "{context}");
            let expected = [(copied, 5..8), (moved, 0..4)].into_iter().filter(|(done, _)| *done);
            assert_eq!(other, expected.flat_map(|(_, numbers)| numbers).collect::<Vec<_>>(), "{context}");
            assert!((copied || !told.get().0) && (moved || !told.get().1), "{context}: an acknowledged one is lost");
            seen.insert((copied, moved));
        }
    }
    assert!(seen.len() == 3 && !seen.contains(&(false, true)), "{seen:?}");
}

/// RFC 3501 §6.4.7: a copy for which there is no room leaves the mailbox as it was.
fn a_full_disk_copies_all_or_none<W: World>() {
    let disk = W::default();
    let (accepted, expected) = with_store(&disk, async |store| {
        let (inbox, other) = two(&store, 100).await;
        disk.fill(true);
        let mut accepted = 0;
        for number in 0..400 {
            let outcome = match number % 2 {
                0 => inbox.view(true).copy(&[1..=100], &other).await,
                _ => inbox.view(true).move_to(&[1..=u32::MAX], &inbox).await,
            };
            assert!(matches!(outcome, Ok(_) | Err(Error::Full)), "{outcome:?}");
            if number % 2 == 0 && outcome.is_ok_and(|copied| !copied.from.is_empty()) {
                accepted += 1;
            }
            let (here, there) = where_they_are(&inbox, &other);
            assert_eq!(here, Vec::from_iter(0..100));
            assert_eq!(there, Vec::from_iter(0..100).repeat(accepted));
        }
        assert!(accepted < 200, "none was refused");
        disk.fill(false);
        (accepted, [contents(&inbox, 400), contents(&other, 400)])
    });
    println!("{accepted} copies of 100 messages were accepted");
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        assert_eq!([contents(&inbox, 400), contents(&inbox.account().mailbox("other").unwrap(), 400)], expected);
    });
}

/// Copies that are gone before they have a place of their own in a file leave their originals' file as it is.
fn copies_that_go_cost_the_originals_nothing<W: World>() {
    let disk = W::default();
    let file_of = |inbox: &Mailbox| inbox.account().state().inner.borrow().files[0].clone();
    with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
        let store = &stores[0];
        let inbox = inbox(store, 1).await;
        for number in 0..10 {
            inbox.append(message(number, 100_000)).await.unwrap();
        }
        store.seal_all().await.unwrap();
        let file = file_of(&inbox);
        // Deleted with their mailbox.
        let other = inbox.account().create("other").await.unwrap();
        inbox.view(true).copy(&[1..=10], &other).await.unwrap();
        inbox.account().delete("other").await.unwrap();
        assert_eq!(file.size().gone, 0);
        store.seal_all().await.unwrap();
        assert!(Rc::ptr_eq(&file_of(&inbox), &file));
        // Expunged while a checkpoint gives them their place; then they are gone from there.
        let other = inbox.account().create("other").await.unwrap();
        inbox.view(true).copy(&[1..=10], &other).await.unwrap();
        let breaths = Cell::new(0);
        let expunging = async || {
            breaths.set(breaths.get() + 1);
            if breaths.get() == 6 {
                other.view(true).expunge(&[1..=5], false).await.unwrap();
                other.view(true).move_to(&[6..=7], &inbox).await.unwrap();
                inbox.account().delete("other").await.unwrap();
            }
        };
        super::super::checkpoint::checkpoint(&store.0, &expunging).await.unwrap();
        assert!(breaths.get() > 6, "{breaths:?}");
        let files = inbox.account().state().inner.borrow().files.clone();
        assert_eq!((files.len(), file.size().gone), (2, 0));
        assert!(files[1].size().gone > 10 * 100_000, "{:?}", files[1].size());
        store.seal_all().await.unwrap();
        assert!(Rc::ptr_eq(&file_of(&inbox), &file) && file.size().gone == 0);
        // The copies that were moved are the originals' content, on their own.
        inbox.view(false).expunge(&[1..=4], false).await.unwrap();
        assert!(file.size().gone > 4 * 100_000);
    })
    .unwrap();
    // Deleted with what a file has of them: they count, also after a start.
    let gone = with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
        let inbox = inbox(&stores[0], 1).await;
        let other = inbox.account().create("large").await.unwrap();
        inbox.view(true).copy(&[5..=6], &other).await.unwrap();
        stores[0].seal_all().await.unwrap();
        inbox.account().delete("large").await.unwrap();
        stores[0].seal_all().await.unwrap();
        let files = inbox.account().state().inner.borrow().files.clone();
        files.iter().map(|file| (file.name(), file.size().gone)).collect::<Vec<_>>()
    })
    .unwrap();
    with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
        let files = inbox(&stores[0], 1).await.account().state().inner.borrow().files.clone();
        assert_eq!(files.iter().map(|file| (file.name(), file.size().gone)).collect::<Vec<_>>(), gone.0);
    })
    .unwrap();
}

suite! {
    copies_keep_flags_keywords_and_dates
    moves_leave_nothing_behind
    what_is_expunged_on_the_way_is_left_out
    keywords_without_room_are_left_behind
    what_a_copy_can_refuse
    copies_amid_a_merge
    a_replay_copies_what_was_copied
    after_a_power_cut_copies_and_moves_are_whole_or_none
    a_full_disk_copies_all_or_none
    copies_that_go_cost_the_originals_nothing
}
