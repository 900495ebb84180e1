//! Random work on a tree of mailboxes against a plain model, across checkpoints and starts; and power cuts in between.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::super::memory_disk::Random;
use super::*;

/// An account as anyone would write it down.
#[derive(Clone, Default, PartialEq, Debug)]
struct Model {
    /// Numbers and flags of the messages, in order.
    mailboxes: BTreeMap<String, Vec<(u64, Flags)>>,
    subscribed: BTreeSet<String>,
}

impl Model {
    fn of_account(account: &Account) -> Model {
        let mut model = Model::default();
        for mailbox in account.mailboxes().iter().filter(|mailbox| !mailbox.is_noselect()) {
            let view = mailbox.view(true);
            let row = |seq| {
                let message = view.message(seq).unwrap().unwrap();
                let number = message.saved_at() as u64 - 2_000_000;
                assert_whole(&message, number, 150);
                (number, view.entry(seq).unwrap().flags)
            };
            model.mailboxes.insert(mailbox.name().to_string(), (1..=view.exists()).map(row).collect());
            assert_eq!(mailbox.counts().messages, view.exists());
        }
        model.subscribed = account.subscriptions().iter().map(|name| name.to_string()).collect();
        for mailbox in account.mailboxes() {
            assert_eq!(mailbox.is_subscribed(), model.subscribed.contains(&*mailbox.name()), "{}", mailbox.name());
            assert_eq!(mailbox.is_noselect(), !model.mailboxes.contains_key(&*mailbox.name()));
        }
        assert_eq!(account.mailboxes().iter().filter(|it| it.is_noselect()).count(), model.noselect().len());
        let numbers = model.mailboxes.values().flatten();
        assert_eq!(account.bytes(), numbers.map(|&(number, _)| raw(number, 150).len() as u64).sum::<u64>());
        model
    }

    fn noselect(&self) -> BTreeSet<&str> {
        let above = self.mailboxes.keys().flat_map(|name| name.match_indices('/').map(|(end, _)| &name[..end]));
        above.filter(|name| !self.mailboxes.contains_key(*name)).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.mailboxes.contains_key(name) || self.noselect().contains(name)
    }

    fn make_above(&mut self, name: &str) {
        for (end, _) in name.match_indices('/') {
            if !self.has(&name[..end]) {
                self.mailboxes.insert(name[..end].to_owned(), Vec::new());
            }
        }
    }

    fn create(&mut self, name: &str) -> bool {
        if self.mailboxes.contains_key(name) {
            return false;
        }
        self.make_above(name);
        self.mailboxes.insert(name.to_owned(), Vec::new());
        true
    }

    fn rename(&mut self, from: &str, to: &str) -> bool {
        let below = |name: &str| name == from || name.starts_with(&format!("{from}/"));
        if !self.has(from) || below(to) || self.has(to) {
            return false;
        }
        self.make_above(to);
        if from == "INBOX" {
            let messages = std::mem::take(self.mailboxes.get_mut("INBOX").unwrap());
            self.mailboxes.insert(to.to_owned(), messages);
            return true;
        }
        let renamed = |name: &str| if below(name) { format!("{to}{}", &name[from.len()..]) } else { name.to_owned() };
        self.mailboxes =
            std::mem::take(&mut self.mailboxes).into_iter().map(|(name, it)| (renamed(&name), it)).collect();
        self.subscribed = self.subscribed.iter().map(|name| renamed(name)).collect();
        true
    }

    fn subscribe(&mut self, name: &str, subscribed: bool) -> bool {
        if !self.has(name) && !self.subscribed.contains(name) {
            return false;
        }
        if subscribed {
            self.subscribed.insert(name.to_owned());
        } else {
            self.subscribed.remove(name);
        }
        true
    }
}

fn some_name(random: &mut Random) -> String {
    let levels: Vec<&str> = (0..=random.below(3)).map(|_| ["a", "b", "c", "a-"][random.below(4)]).collect();
    if random.below(12) == 0 { "INBOX".to_owned() } else { levels.join("/") }
}

fn some_mailbox(random: &mut Random, account: &Account) -> Mailbox {
    let mut mailboxes = account.mailboxes();
    mailboxes.retain(|mailbox| !mailbox.is_noselect());
    mailboxes.swap_remove(random.below(mailboxes.len()))
}

/// One random step, in the store and in the model.
async fn step(random: &mut Random, account: &Account, model: &mut Model, number: u64) {
    let (name, other) = (some_name(random), some_name(random));
    match random.below(16) {
        0..=2 => assert_eq!(account.create(&name).await.is_ok(), model.create(&name), "create {name}"),
        3 => {
            let deleted = name != "INBOX" && model.mailboxes.remove(&name).is_some();
            assert_eq!(account.delete(&name).await.is_ok(), deleted, "delete {name}");
        }
        4 | 5 => {
            let expected = model.rename(&name, &other);
            assert_eq!(account.rename(&name, &other).await.is_ok(), expected, "rename {name} {other}");
        }
        6 | 7 => {
            let on = random.below(3) > 0;
            let expected = model.subscribe(&name, on);
            assert_eq!(account.subscribe(&name, on).await.is_ok(), expected, "subscribe {name} {on}");
        }
        8..=10 => {
            let mailbox = some_mailbox(random, account);
            mailbox.append(message(number, 150)).await.unwrap();
            model.mailboxes.get_mut(&*mailbox.name()).unwrap().push((number, Flags::NONE));
        }
        choice => {
            let mailbox = some_mailbox(random, account);
            let (view, name) = (mailbox.view(true), mailbox.name().to_string());
            let Some(last) = view.exists().checked_sub(1) else { return };
            let first = random.below(last as usize + 1) as u32;
            let (first, end) = (first, (first + 1 + random.below(4) as u32).min(last + 1));
            let uids = [view.uid_of(first + 1).unwrap()..=view.uid_of(end).unwrap()];
            let range = first as usize..end as usize;
            let rows = model.mailboxes.get_mut(&name).unwrap();
            match choice {
                11 => {
                    view.change_flags(&uids, FlagOp::Add, Flags::FLAGGED, &[]).await.unwrap();
                    rows[range].iter_mut().for_each(|(_, flags)| *flags = flags.union(Flags::FLAGGED));
                }
                12 => {
                    view.expunge(&uids, false).await.unwrap();
                    rows.drain(range);
                }
                _ => {
                    let to = some_mailbox(random, account);
                    let chosen = rows[range.clone()].to_vec();
                    let copied = if choice == 13 {
                        rows.drain(range);
                        view.move_to(&uids, &to).await.unwrap()
                    } else {
                        view.copy(&uids, &to).await.unwrap()
                    };
                    let count = |ranges: &[(u32, u32)]| ranges.iter().map(|(one, two)| two - one + 1).sum::<u32>();
                    assert_eq!((count(&copied.from), count(&copied.to)), (chosen.len() as u32, chosen.len() as u32));
                    model.mailboxes.get_mut(&*to.name()).unwrap().extend(chosen);
                }
            }
        }
    }
}

fn the_tree_is_what_was_made_of_it<W: World>() {
    for seed in 0..25 {
        let disk = W::default();
        let mut random = Random::new(seed);
        let mut model = Model::default();
        for round in 0..6 {
            with_store(&disk, async |store| {
                let account = store.account(AccountId(1)).await.unwrap();
                if round == 0 {
                    model = Model::of_account(&account);
                    assert_eq!((model.mailboxes.len(), model.subscribed.len()), (6, 6));
                }
                assert_eq!(Model::of_account(&account), model, "seed {seed}, round {round}, opened");
                for number in 0..60 {
                    step(&mut random, &account, &mut model, round * 100 + number).await;
                    assert_eq!(Model::of_account(&account), model, "seed {seed}, round {round}, step {number}");
                    if random.below(25) == 0 {
                        store.seal_all().await.unwrap();
                        assert_eq!(Model::of_account(&account), model, "seed {seed}, round {round}, sealed");
                    }
                }
            });
        }
    }
}

/// A workload in which every step is one record of the log; `done` after each one that was acknowledged.
async fn steps(store: &Store, done: &mut impl FnMut(&Account)) -> Option<()> {
    let account = store.account(AccountId(1)).await.ok()?;
    done(&account);
    macro_rules! step {
        ($step:expr) => {{
            $step.await.ok()?;
            done(&account);
        }};
    }
    let inbox = account.mailbox("INBOX")?;
    for number in 0..3 {
        step!(inbox.append(message(number, 150)));
    }
    step!(account.create("a"));
    let a = account.mailbox("a")?;
    step!(account.create("a/b"));
    step!(inbox.view(true).copy(&[1..=2], &a));
    step!(store.seal_all());
    step!(inbox.view(true).move_to(&[1..=3], &account.mailbox("a/b")?));
    step!(a.view(true).move_to(&[1..=1], &a));
    step!(account.rename("a", "x"));
    step!(account.subscribe("x", true));
    step!(account.subscribe("x/b", true));
    step!(store.seal_all());
    step!(account.delete("x"));
    step!(account.subscribe("x", false));
    step!(account.create("x/c"));
    step!(account.mailbox("x/b")?.view(true).copy(&[1..=9], &inbox));
    step!(account.delete("x/b"));
    step!(store.seal_all());
    step!(inbox.append(message(4, 150)));
    step!(account.create("x/b"));
    step!(inbox.view(true).move_to(&[5..=9], &account.mailbox("x/b")?));
    Some(())
}

/// Wherever the power goes: what was acknowledged is there, and the step that was under way is whole or not at all.
fn every_step_is_whole_or_absent<W: World>() {
    let counted = W::default();
    let models = RefCell::new(Vec::new());
    let all = async |stores: Vec<Store>| {
        steps(&stores[0], &mut |account| models.borrow_mut().push(Model::of_account(account))).await
    };
    assert_eq!(with_shards(&counted, 1, all).unwrap(), (Some(()), false));
    let models = models.into_inner();
    assert_eq!(models.last().unwrap().mailboxes["x/b"].len(), 3);
    let total = counted.operations();
    assert!(models.len() == 23 && total > 50, "{} {total}", models.len());
    for stop in 1..=total + 1 {
        for seed in 0..4 {
            let disk = W::default();
            disk.fail_from(stop);
            let acknowledged = Cell::new(0usize);
            let count = &mut |_: &Account| acknowledged.set(acknowledged.get() + 1);
            let _ = with_shards(&disk, 1, async |stores: Vec<Store>| steps(&stores[0], count).await);
            let crashed = disk.crash(stop * 1000 + seed);
            let context = format!("stopped at {stop} of {total} after {} steps, seed {seed}", acknowledged.get());
            let mut found = Vec::new();
            for _ in 0..2 {
                with_store(&crashed, async |store| {
                    let account = store.account(AccountId(1)).await.unwrap();
                    found.push(Model::of_account(&account));
                    store.seal_all().await.unwrap();
                    found.push(Model::of_account(&account));
                });
            }
            let may_be = &models[acknowledged.get().saturating_sub(1)..models.len().min(acknowledged.get() + 1)];
            assert!(may_be.contains(&found[0]), "{context}: {:?}", found[0]);
            assert!(found.iter().all(|model| *model == found[0]), "{context}");
        }
    }
}

suite! {
    the_tree_is_what_was_made_of_it
    every_step_is_whole_or_absent
}
