//! The mailbox tree: what CREATE, DELETE, RENAME and SUBSCRIBE leave, before and after checkpoints and starts.

use super::super::columns::Row;
use super::super::message::Location;
use super::whole::{boxed, inbox};
use super::*;
use crate::limits::COPY_MESSAGES_MAX;

const FIRST: [&str; 6] = ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"];

/// The names that LIST shows, `\Noselect` ones in parentheses.
fn names(account: &Account) -> Vec<String> {
    let mailboxes = account.mailboxes();
    let name = |mailbox: &Mailbox| match mailbox.is_noselect() {
        true => format!("({})", mailbox.name()),
        false => mailbox.name().to_string(),
    };
    mailboxes.iter().map(name).filter(|name| name == "INBOX" || !FIRST.contains(&&**name)).collect()
}

fn subscribed(account: &Account) -> Vec<String> {
    let names = account.subscriptions();
    names.iter().map(|name| name.to_string()).filter(|name| name == "INBOX" || !FIRST.contains(&&**name)).collect()
}

/// All that there is to see of an account.
fn picture(account: &Account) -> Vec<String> {
    let mut lines: Vec<String> = account.subscriptions().iter().map(|name| format!("subscribed {name}")).collect();
    for mailbox in account.mailboxes() {
        let view = mailbox.view(true);
        let rows: Vec<String> = (1..=view.exists())
            .map(|seq| {
                let (entry, message) = (view.entry(seq).unwrap(), view.message(seq).unwrap().unwrap());
                format!("{:?} {} {}", entry, message.subject(), message.raw().unwrap().len())
            })
            .collect();
        // What only follows from others has no numbers of its own.
        let numbers = (mailbox.id(), mailbox.uid_validity(), mailbox.uid_next(), mailbox.highest_modseq());
        let own = (mailbox.special_use(), mailbox.is_subscribed(), mailbox.is_noselect(), mailbox.counts());
        lines.push(format!("{} {numbers:?} {own:?} {:?} {rows:?}", mailbox.name(), mailbox.keywords()));
    }
    lines.push(format!("{} octets", account.bytes()));
    lines
}

type Step = dyn for<'a> Fn(&'a Store, &'a Account) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs `step` after step; after each one the account is the same out of the log, out of the file, and out of both.
fn same_everywhere<W: World>(steps: &[&Step]) {
    let disks: Vec<W> = (0..3).map(|_| W::default()).collect();
    for step in steps {
        let mut pictures = Vec::new();
        for (index, disk) in disks.iter().enumerate() {
            with_store(disk, async |store| {
                let account = store.account(AccountId(1)).await.unwrap();
                step(&store, &account).await;
                pictures.push(picture(&account));
                // The first has it all in the log, the second all in files, the third has its file without this step.
                if index == 1 {
                    store.seal_all().await.unwrap();
                    pictures.push(picture(&account));
                }
            });
            with_store(disk, async |store| {
                let account = store.account(AccountId(1)).await.unwrap();
                pictures.push(picture(&account));
                if index == 2 {
                    store.seal_all().await.unwrap();
                }
            });
        }
        for picture in &pictures {
            assert_eq!(picture, &pictures[0]);
        }
    }
}

fn a_new_account_has_its_special_mailboxes<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        let uses: Vec<(String, SpecialUse, bool)> = account
            .mailboxes()
            .iter()
            .map(|mailbox| (mailbox.name().to_string(), mailbox.special_use(), mailbox.is_subscribed()))
            .collect();
        let expected = [
            ("INBOX", SpecialUse::None),
            ("Archive", SpecialUse::Archive),
            ("Drafts", SpecialUse::Drafts),
            ("Junk", SpecialUse::Junk),
            ("Sent", SpecialUse::Sent),
            ("Trash", SpecialUse::Trash),
        ];
        let expected: Vec<_> = expected.iter().map(|&(name, special)| (name.to_owned(), special, true)).collect();
        assert_eq!(uses, expected);
        assert_eq!(account.create_with("Sent2", SpecialUse::Sent).await.unwrap_err(), CreateError::UseTaken);
        account.delete("Sent").await.unwrap();
        let made = account.create_with("Sent2", SpecialUse::Sent).await.unwrap();
        assert_eq!(made.special_use(), SpecialUse::Sent);
    });
    // What was deleted is not made again.
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        assert!(account.mailbox("Sent").is_none());
        assert_eq!(account.mailbox("Sent2").unwrap().special_use(), SpecialUse::Sent);
    });
}

/// Wherever the power goes: the account has all of its first mailboxes when it is opened the next time.
fn first_mailboxes_are_made_whole<W: World>() {
    let counted = W::default();
    let go = async |stores: Vec<Store>| {
        let _ = stores[0].account(AccountId(1)).await;
        let _ = stores[0].seal_all().await;
    };
    with_shards(&counted, 1, go).unwrap();
    for stop in 1..=counted.operations() {
        let disk = W::default();
        disk.fail_from(stop);
        let _ = with_shards(&disk, 1, go);
        for seed in 0..3 {
            with_store(&disk.crash(stop * 10 + seed), async |store| {
                let account = store.account(AccountId(1)).await.unwrap();
                assert_eq!(account.mailboxes().len(), 6, "stopped at {stop}");
                assert!(account.mailboxes().iter().all(Mailbox::is_subscribed), "stopped at {stop}");
            });
        }
    }
}

fn mailboxes_are_made_with_those_above<W: World>() {
    let disk = W::default();
    let expected = ["INBOX", "After", "Twice", "Twice/x", "Work", "Work/2026", "Work/2026/Mai"];
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        let made = account.create("Work/2026/Mai").await.unwrap();
        assert_eq!(account.create("inbox").await.unwrap_err(), CreateError::Exists);
        assert_eq!(account.create("Work/2026").await.unwrap_err(), CreateError::Exists);
        assert_eq!(account.create("a//b").await.unwrap_err(), CreateError::Invalid);
        let twice = join(vec![boxed(account.create("Twice/x")), boxed(account.create("Twice"))]).await;
        assert_eq!(twice.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        made.append(message(1, 100)).await.unwrap();
        store.seal_all().await.unwrap();
        account.create("After").await.unwrap();
    });
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        assert_eq!(names(&account), expected);
        let validities: std::collections::HashSet<_> =
            account.mailboxes().iter().map(|mailbox| mailbox.uid_validity()).collect();
        assert_eq!(validities.len(), account.mailboxes().len(), "no two mailboxes share one");
        assert_eq!(account.mailbox("Work/2026/Mai").unwrap().counts().messages, 1);
    });
}

fn everything_is_the_same_after_a_start<W: World>() {
    same_everywhere::<W>(&[
        &|_, account| {
            Box::pin(async move {
                account.create("a/b/c").await.unwrap();
                let b = account.mailbox("a/b").unwrap();
                for number in 0..5 {
                    b.append(message(number, 300)).await.unwrap();
                }
                account.subscribe("a/b", true).await.unwrap();
                account.subscribe("a/b/c", true).await.unwrap();
            })
        },
        &|_, account| Box::pin(async move { account.rename("a/b", "x/y").await.unwrap() }),
        &|_, account| Box::pin(async move { account.delete("x/y").await.unwrap() }),
        &|_, account| Box::pin(async move { account.rename("x", "z").await.unwrap() }),
        &|_, account| {
            Box::pin(async move {
                account.create("z/y").await.unwrap().append(message(9, 100)).await.unwrap();
                account.subscribe("z/y/c", false).await.unwrap();
            })
        },
        &|_, account| Box::pin(async move { account.rename("INBOX", "old/mail").await.unwrap() }),
        &|_, account| {
            Box::pin(async move {
                let inbox = account.mailbox("INBOX").unwrap();
                for number in 20..24 {
                    inbox.append(message(number, 300)).await.unwrap();
                }
                let view = inbox.view(true);
                view.change_flags(&[2..=3], FlagOp::Add, Flags::SEEN, &["$Work".to_owned()]).await.unwrap();
                account.rename("inbox", "INBOX/2026").await.unwrap();
                account.delete("old/mail").await.unwrap();
                account.delete("old").await.unwrap();
            })
        },
        &|_, account| {
            Box::pin(async move {
                account.delete("INBOX/2026").await.unwrap();
                account.delete("z/y").await.unwrap();
                account.delete("z/y/c").await.unwrap();
                account.delete("z").await.unwrap();
            })
        },
    ]);
}

fn a_deleted_parent_is_noselect_until_its_last_child_goes<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        account.create("a/b/c").await.unwrap();
        account.mailbox("a/b").unwrap().append(message(1, 100)).await.unwrap();
        let before = account.mailbox("a/b").unwrap().uid_validity();
        account.delete("a/b").await.unwrap();
        account.delete("a").await.unwrap();
        assert_eq!(names(&account), ["INBOX", "(a)", "(a/b)", "a/b/c"]);
        assert!(account.mailbox("a/b").is_none());
        assert_eq!((account.delete("a").await, account.bytes()), (Err(TreeError::Invalid), 0));
        assert_eq!(account.rename("a/b/c", "a/b").await, Err(TreeError::Exists));
        // A mailbox below it doesn't make it one, CREATE does.
        account.create("a/d").await.unwrap();
        let made = account.create("a/b").await.unwrap();
        assert_eq!(names(&account), ["INBOX", "(a)", "a/b", "a/b/c", "a/d"]);
        assert!(made.uid_validity() > before && made.counts().messages == 0);
        // It can be subscribed to, and renamed with what is below it.
        account.subscribe("a", true).await.unwrap();
        account.rename("a", "n").await.unwrap();
        assert_eq!((names(&account), subscribed(&account)), (vec_of("INBOX (n) n/b n/b/c n/d"), vec_of("INBOX n")));
        for name in ["n/b/c", "n/d", "n/b"] {
            account.delete(name).await.unwrap();
        }
        assert_eq!((names(&account), subscribed(&account)), (vec_of("INBOX"), vec_of("INBOX n")));
        assert_eq!(account.delete("n").await, Err(TreeError::Missing));
        account.subscribe("n", false).await.unwrap();
        assert_eq!(account.subscribe("n", false).await, Err(TreeError::Missing));
    });
}

fn vec_of(names: &str) -> Vec<String> {
    names.split(' ').map(str::to_owned).collect()
}

fn a_subscription_outlives_its_mailbox<W: World>() {
    let disk = W::default();
    let before = with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        let made = account.create("a").await.unwrap();
        assert!(!made.is_subscribed());
        account.subscribe("a", true).await.unwrap();
        account.subscribe("a", true).await.unwrap();
        assert!(made.is_subscribed());
        assert_eq!(account.subscribe("missing", true).await, Err(TreeError::Missing));
        store.seal_all().await.unwrap();
        account.delete("a").await.unwrap();
        assert_eq!((subscribed(&account), names(&account)), (vec_of("INBOX a"), vec_of("INBOX")));
        store.seal_all().await.unwrap();
        made.uid_validity()
    });
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        assert_eq!((subscribed(&account), names(&account)), (vec_of("INBOX a"), vec_of("INBOX")));
        let made = account.create("a").await.unwrap();
        assert!(made.is_subscribed() && made.uid_validity() > before);
        account.delete("a").await.unwrap();
        account.create("b").await.unwrap();
        account.rename("b", "a").await.unwrap();
        assert!(account.mailbox("a").unwrap().is_subscribed(), "the name is");
        account.subscribe("a", false).await.unwrap();
        account.delete("a").await.unwrap();
        assert_eq!(subscribed(&account), ["INBOX"]);
    });
}

fn renames_that_are_refused<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        account.create("a/b").await.unwrap();
        account.create("c").await.unwrap();
        let long = "x".repeat(crate::limits::MAILBOX_NAME_BYTES_MAX - 1);
        let deep = vec!["d"; crate::limits::MAILBOX_LEVELS_MAX].join("/");
        for (from, to, error) in [
            ("none", "d", TreeError::Missing),
            ("a", "c", TreeError::Exists),
            ("a", "a", TreeError::Exists),
            ("a/b", "a", TreeError::Exists),
            ("a", "a/x", TreeError::Invalid),
            ("a", "a/b/x", TreeError::Invalid),
            ("a", "inbox", TreeError::Exists),
            ("a", "x//y", TreeError::Invalid),
            ("inbox", "c", TreeError::Exists),
            // What is below it would have a name that is too long, or too deep.
            ("a", &*long, TreeError::Invalid),
            ("a", &*deep, TreeError::Invalid),
        ] {
            assert_eq!(account.rename(from, to).await, Err(error), "{from} to {to}");
        }
        assert_eq!(account.delete("inbox").await, Err(TreeError::Invalid));
        assert_eq!(account.delete("none").await, Err(TreeError::Missing));
        assert_eq!(names(&account), ["INBOX", "a", "a/b", "c"]);
        account.rename("c", &long).await.unwrap();
        account.rename("a/b", "Inbox/b").await.unwrap();
        assert_eq!(names(&account), ["INBOX", "INBOX/b", "a", &long]);
    });
}

fn a_renamed_mailbox_keeps_its_uids<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        let a = account.create("a").await.unwrap();
        a.append(message(1, 100)).await.unwrap();
        let mut view = a.view(false);
        let (id, validity) = (a.id(), a.uid_validity());
        account.rename("a", "b/c").await.unwrap();
        let c = account.mailbox("b/c").unwrap();
        assert_eq!((c.id(), c.uid_validity(), c.counts().messages, &*a.name()), (id, validity, 1, "b/c"));
        // Who has it open goes on.
        c.append(message(2, 100)).await.unwrap();
        advance(&mut view, true);
        assert_eq!((view.exists(), view.is_gone()), (2, false));
        let again = account.create("a").await.unwrap();
        assert!(again.uid_validity() != validity && again.id() != id);
    });
}

/// RFC 3501 §6.3.5.
fn rename_of_inbox_moves_its_messages<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        account.create("INBOX/below").await.unwrap();
        let inbox = account.mailbox("INBOX").unwrap();
        for number in 0..2000 {
            let mut message = message(number, 100);
            message.keywords = vec![format!("$k{}", number % 3)];
            inbox.append(message).await.unwrap();
        }
        let mut view = inbox.view(false);
        view.expunge(&[7..=7, 100..=200], false).await.unwrap();
        view.change_flags(&[8..=9], FlagOp::Add, Flags::ANSWERED, &[]).await.unwrap();
        advance(&mut view, true);
        let before: Vec<_> =
            (1..=view.exists()).map(|seq| (view.uid_of(seq), view.entry(seq).unwrap().flags)).collect();
        account.rename("INBOX", "old/2026").await.unwrap();
        let old = account.mailbox("old/2026").unwrap();
        let moved = old.view(true);
        let after: Vec<_> =
            (1..=moved.exists()).map(|seq| (moved.uid_of(seq), moved.entry(seq).unwrap().flags)).collect();
        assert_eq!(before, after);
        assert_eq!(old.keywords(), inbox.keywords());
        assert_eq!(names(&account), ["INBOX", "INBOX/below", "old", "old/2026"]);
        let gone = advance(&mut view, true).len();
        assert_eq!((gone as usize, view.exists(), view.is_gone()), (before.len(), 0, false));
        // Mail goes on to arrive, and UIDs go on.
        assert_eq!(inbox.append(message(1, 100)).await, Ok(Uid(2001)));
        // More than one record moves are refused before anything is made.
        {
            let mut data = inbox.state().data.borrow_mut();
            let row = data.columns.row(data.columns.len() - 1);
            for uid in 2002..2002 + COPY_MESSAGES_MAX as u32 {
                data.add_row(Row { uid, ..row }, Location::Gone);
            }
        }
        assert_eq!(account.rename("INBOX", "older/still").await, Err(TreeError::Store(Error::TooMany)));
        assert_eq!(names(&account), ["INBOX", "INBOX/below", "old", "old/2026"]);
    });
}

fn a_deleted_mailbox_is_told_to_who_has_it_open<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        let a = account.create("a").await.unwrap();
        for number in 0..100 {
            a.append(message(number, 100)).await.unwrap();
        }
        store.seal_all().await.unwrap();
        let mut view = a.view(false);
        let mut context = Context::from_waker(Waker::noop());
        assert!(view.poll_changed(&mut context).is_pending());
        assert!(account.bytes() > 10_000);
        let deleting = boxed(account.delete("a"));
        let late = boxed(async {
            // It is with the log, and still there to see; nothing more is taken for it.
            yield_now().await;
            assert!(!view.is_gone());
            assert_eq!(a.append(message(1, 100)).await, Err(Error::Gone));
            Ok(())
        });
        for outcome in join(vec![deleting, late]).await {
            outcome.unwrap();
        }
        assert!(view.is_gone() && view.poll_changed(&mut context).is_ready());
        assert_eq!(numbers_of(&view).len(), 100, "it was not told yet");
        store.seal_all().await.unwrap();
        assert_eq!(numbers_of(&view).len(), 100, "nor the files of it");
        assert_eq!(view.change_flags(&[1..=1], FlagOp::Add, Flags::SEEN, &[]).await, Err(Error::Gone));
        assert_eq!(view.expunge(&[1..=1], false).await, Err(Error::Gone));
        let inbox = account.mailbox("INBOX").unwrap();
        assert_eq!(view.copy(&[1..=1], &inbox).await.unwrap_err(), Error::Gone);
        assert_eq!(inbox.view(true).copy(&[1..=1], &a).await.unwrap_err(), Error::Gone);
        let gone = advance(&mut view, true).len();
        assert_eq!((gone, view.exists(), account.bytes()), (100, 0, 0));
        assert_eq!(a.state().data.borrow().columns.len(), 0, "and its rows are gone");
        // Another of that name is another.
        let again = account.create("a").await.unwrap();
        assert_eq!((again.counts().messages, view.is_gone()), (0, true));
    });
}

fn numbers_of(view: &View) -> Vec<u64> {
    (1..=view.exists()).map(|seq| view.message(seq).unwrap().unwrap().saved_at() as u64 - 2_000_000).collect()
}

fn sessions_change_the_tree_at_once<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        account.create("a/b").await.unwrap();
        let done = |outcome: bool| if outcome { "done" } else { "refused" };
        let outcomes = join(vec![
            boxed(async { done(account.rename("a", "x").await.is_ok()) }),
            // It waits for the rename: there is no `a` any more, so it makes one.
            boxed(async { done(account.create("a/c").await.is_ok()) }),
            boxed(async { done(account.delete("x/b").await.is_ok()) }),
            boxed(async { done(account.delete("x/b").await.is_ok()) }),
            boxed(async { done(account.subscribe("x", true).await.is_ok()) }),
        ])
        .await;
        assert_eq!(outcomes, ["done", "done", "done", "refused", "done"]);
        assert_eq!(names(&account), ["INBOX", "a", "a/c", "x"]);
        // A future that is dropped half-way changes nothing about that.
        let mut dropped = boxed(account.rename("x", "y"));
        assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(dropped);
        account.create("y/z").await.unwrap();
        assert_eq!(names(&account), ["INBOX", "a", "a/c", "y", "y/z"]);
    });
}

/// What failed leaves the names and the mailboxes as they were, free to be tried again.
fn a_full_disk_takes_it_back<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let account = store.account(AccountId(1)).await.unwrap();
        account.create("a").await.unwrap();
        disk.fill(true);
        let inbox = account.mailbox("INBOX").unwrap();
        let mut number = 0;
        while inbox.append(message(number, 2000)).await.is_ok() {
            number += 1;
            assert!(number < 200);
        }
        // The rest of the log is smaller than the smallest change.
        let mut refused = None;
        for round in 0..100 {
            refused = account.subscribe("a", round % 2 == 0).await.err();
            if refused.is_some() {
                break;
            }
        }
        let full = Err(TreeError::Store(Error::Full));
        assert_eq!(refused.map_or(Ok(()), Err), full);
        assert_eq!(account.delete("a").await, full);
        assert_eq!(account.mailbox("a").unwrap().check_open(), Ok(()));
        assert_eq!(account.rename("a", "b").await, full);
        assert_eq!(account.rename("INBOX", "b/c").await, full);
        assert_eq!(account.create("c").await.unwrap_err(), CreateError::Store(Error::Full));
        assert_eq!(names(&account), ["INBOX", "a"]);
        disk.fill(false);
        for _ in 0..20 {
            // The one who is refused makes the log try again.
            if account.rename("a", "b").await.is_ok() {
                break;
            }
            yield_now().await;
        }
        account.create("c").await.unwrap();
        account.delete("b").await.unwrap();
        assert_eq!(names(&account), ["INBOX", "c"]);
    });
}

/// Mailboxes come and go, and neither memory nor files keep them.
fn what_is_deleted_is_forgotten<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let account = inbox.account();
        for round in 0..12u64 {
            for name in ["a", "b", "c"] {
                let mailbox = account.create(&format!("{name}{round}")).await.unwrap();
                mailbox.append(message(round, 1000)).await.unwrap();
                if name == "b" {
                    store.seal_all().await.unwrap();
                }
            }
            for name in ["a", "b", "c"] {
                account.delete(&format!("{name}{round}")).await.unwrap();
            }
            store.seal_all().await.unwrap();
        }
        let known = account.state().inner.borrow().mailboxes.len();
        assert!(known < 6 + 3 * 6, "{known} mailboxes are known");
        assert_eq!((names(account), account.bytes()), (vec_of("INBOX"), 0));
        let bytes: u64 = account.state().inner.borrow().files.iter().map(|file| file.len()).sum();
        assert!(bytes < 20_000, "{bytes} bytes in files");
    });
    with_store(&disk, async |store| {
        assert_eq!(names(inbox(&store, 1).await.account()), ["INBOX"]);
    });
}

suite! {
    a_new_account_has_its_special_mailboxes
    first_mailboxes_are_made_whole
    mailboxes_are_made_with_those_above
    everything_is_the_same_after_a_start
    a_deleted_parent_is_noselect_until_its_last_child_goes
    a_subscription_outlives_its_mailbox
    renames_that_are_refused
    a_renamed_mailbox_keeps_its_uids
    rename_of_inbox_moves_its_messages
    a_deleted_mailbox_is_told_to_who_has_it_open
    sessions_change_the_tree_at_once
    a_full_disk_takes_it_back
    what_is_deleted_is_forgotten
}
