//! Random work with long messages of several accounts against a plain model: deliveries to some of them, copies, moves,
//! expunges and deleted mailboxes, with checkpoints in between and amid it, views that lag, starts and power cuts. What is
//! in a mailbox is whole, and an account has a body file's name as long as a message is made of it, and not longer.

use std::collections::{BTreeMap, BTreeSet};

use super::super::memory_disk::Random;
use super::super::sealed::MAGIC;
use super::whole::boxed;
use super::*;
use crate::limits::{INLINE_BODY_BYTES_MAX, SHARED_BODY_BYTES_MIN};

/// The accounts, from 1 on.
const ACCOUNTS: usize = 3;

/// Mailboxes of an account, with the numbers of their messages in order.
type Mailboxes = BTreeMap<String, Vec<u64>>;

/// One in eight is apart for one account as well, half of them for several.
fn size(number: u64) -> usize {
    match number % 8 {
        0 => INLINE_BODY_BYTES_MAX + 1000,
        1..=3 => SHARED_BODY_BYTES_MIN + 1000,
        _ => 300,
    }
}

fn id(account: usize) -> AccountId {
    AccountId(account as u64 + 1)
}

/// What the view shows, each message found to be what was appended: its octets are those that its hash was made of.
fn shown(view: &View) -> Vec<u64> {
    let number = |seq| {
        let message = view.message(seq).unwrap().unwrap();
        let number = message.saved_at() as u64 - 2_000_000;
        assert_eq!(message.subject(), format!("number {number}"));
        assert_eq!(message.content_hash(), Hash::of(message.raw().unwrap()), "message {number}");
        let bytes = message.raw().unwrap().len();
        assert!(bytes >= size(number) && message.size() == bytes as u64, "message {number}");
        assert_eq!(message.text().unwrap().len(), format!("number {number} ").len() + 5 * (bytes / 50));
        number
    };
    (1..=view.exists()).map(number).collect()
}

fn mailboxes(account: &Account) -> Mailboxes {
    let ours = account.mailboxes().into_iter().filter(|mailbox| matches!(&*mailbox.name(), "INBOX" | "Copies"));
    ours.map(|mailbox| (mailbox.name().to_string(), shown(&mailbox.view(true)))).collect()
}

/// Names of body files in an account's folder.
fn body_names(disk: &impl World, account: usize) -> usize {
    let segments = disk.segments(id(account));
    segments.iter().filter(|bytes| bytes.starts_with(MAGIC) && bytes[10] == 2).count()
}

/// What was done, as anyone would write it down.
struct Work {
    random: Random,
    next: u64,
    /// What was acknowledged.
    model: Vec<Mailboxes>,
    /// The same with what is under way.
    after: Vec<Mailboxes>,
    /// Messages that went into a body file.
    apart: BTreeSet<u64>,
    /// Views that were told of nothing since, and what they show.
    views: Vec<(View, Vec<u64>)>,
}

impl Work {
    fn new(seed: u64) -> Work {
        let model = vec![Mailboxes::from([("INBOX".to_owned(), Vec::new())]); ACCOUNTS];
        let (after, random) = (model.clone(), Random::new(seed));
        Work { random, next: 0, model, after, apart: BTreeSet::new(), views: Vec::new() }
    }

    /// Delivers to some accounts; each has its own answer.
    async fn deliver(&mut self, store: &Store) -> Result<(), Error> {
        let chosen: Vec<usize> = (0..ACCOUNTS).filter(|_| self.random.below(3) > 0).collect();
        let number = self.next;
        self.next += 1;
        let limit = if chosen.len() > 1 { SHARED_BODY_BYTES_MIN } else { INLINE_BODY_BYTES_MAX };
        if size(number) > limit {
            self.apart.insert(number);
        }
        let mut copies = Vec::new();
        for &account in &chosen {
            let inbox = store.account(id(account)).await?.mailbox("INBOX").expect("always there");
            copies.push((inbox, message(number, size(number))));
            self.after[account].get_mut("INBOX").unwrap().push(number);
        }
        let results = store.append_to_all(&copies).await;
        for (&account, result) in chosen.iter().zip(&results) {
            if result.is_ok() {
                self.model[account] = self.after[account].clone();
            }
        }
        results.into_iter().collect()
    }

    /// Changes one account's mailboxes.
    async fn change(&mut self, store: &Store) -> Result<(), Error> {
        let index = self.random.below(ACCOUNTS);
        let account = store.account(id(index)).await?;
        let names: Vec<String> = self.model[index].keys().cloned().collect();
        let (name, other) = (&names[self.random.below(names.len())], &names[self.random.below(names.len())]);
        let choice = self.random.below(9);
        let Some(to) = account.mailbox("Copies") else {
            self.after[index].insert("Copies".to_owned(), Vec::new());
            account.create("Copies").await.map_err(|_| Error::Busy)?;
            self.model = self.after.clone();
            return Ok(());
        };
        let to = if other == "INBOX" { account.mailbox("INBOX").expect("always there") } else { to };
        let view = account.mailbox(name).expect("in the model").view(false);
        if choice == 8 {
            self.after[index].remove("Copies");
            account.delete("Copies").await.map_err(|_| Error::Busy)?;
        } else if view.exists() > 0 {
            let first = self.random.below(view.exists() as usize);
            let end = (first + 1 + self.random.below(4)).min(view.exists() as usize);
            let uids = [view.uid_of(first as u32 + 1).unwrap()..=view.uid_of(end as u32).unwrap()];
            let rows = self.after[index].get_mut(name).unwrap();
            let chosen = rows[first..end].to_vec();
            if choice > 2 {
                rows.drain(first..end);
            }
            if choice < 6 {
                self.after[index].get_mut(other).unwrap().extend(chosen);
            }
            match choice {
                0..=2 => drop(view.copy(&uids, &to).await?),
                3..=5 => drop(view.move_to(&uids, &to).await?),
                _ => view.expunge(&uids, false).await?,
            }
        }
        self.model = self.after.clone();
        Ok(())
    }

    async fn step(&mut self, store: &Store) -> Result<(), Error> {
        match self.random.below(12) {
            0..=3 => self.deliver(store).await?,
            10 => {
                let index = self.random.below(ACCOUNTS);
                for mailbox in store.account(id(index)).await?.mailboxes() {
                    let view = mailbox.view(true);
                    let shows = shown(&view);
                    self.views.push((view, shows));
                }
            }
            11 => self.views.truncate(self.random.below(3)),
            _ => self.change(store).await?,
        }
        for (view, shows) in &self.views {
            assert_eq!(shown(view), *shows, "a view that was told of nothing");
        }
        Ok(())
    }

    /// Some steps, and a checkpoint: behind them, or slowly amid them.
    async fn some(&mut self, store: &Store) -> Result<(), Error> {
        let (amid, pause) = (self.random.below(2) == 0, self.random.below(8));
        let sealing = boxed(async {
            let slow = async || {
                for _ in 0..pause {
                    yield_now().await;
                }
            };
            if amid { checkpoint::checkpoint(&store.0, &slow).await } else { Ok(()) }
        });
        let steps = boxed(async {
            for _ in 0..6 {
                self.step(store).await?;
            }
            Ok(())
        });
        join(vec![steps, sealing]).await.into_iter().collect::<Result<(), Error>>()?;
        if amid { Ok(()) } else { store.seal_all().await }
    }

    /// That the store has what was acknowledged, and what was under way whole or not at all; and no body file too many.
    async fn check(&mut self, store: &Store, disk: &impl World, context: &str) {
        for account in 0..ACCOUNTS {
            let found = mailboxes(&store.account(id(account)).await.unwrap());
            let (model, after) = (&self.model[account], &self.after[account]);
            assert!(found == *model || found == *after, "{context}: {found:?} is not {model:?}, nor {after:?}");
            self.model[account] = found;
        }
        self.after = self.model.clone();
        self.views.clear();
        // What was expunged amid a checkpoint is left to the next.
        store.seal_all().await.unwrap();
        store.seal_all().await.unwrap();
        for account in 0..ACCOUNTS {
            let there: BTreeSet<&u64> = self.model[account].values().flatten().collect();
            let apart = there.into_iter().filter(|number| self.apart.contains(number)).count();
            assert_eq!(body_names(disk, account), apart, "{context}: body files of account {account}");
            let again = mailboxes(&store.account(id(account)).await.unwrap());
            assert_eq!(again, self.model[account], "{context}: sealed");
        }
    }
}

fn long_messages_are_what_was_made_of_them<W: World>() {
    for seed in 0..12 {
        let (disk, mut work) = (W::default(), Work::new(seed));
        for round in 0..5 {
            let context = format!("seed {seed}, round {round}");
            with_segments(&disk, 1, 2 << 20, async |stores: Vec<Store>| {
                work.check(&stores[0], &disk, &context).await;
                for _ in 0..3 {
                    work.some(&stores[0]).await.unwrap();
                }
                work.views.clear();
                work.check(&stores[0], &disk, &context).await;
                work.some(&stores[0]).await.unwrap();
                work.views.clear();
            })
            .unwrap();
        }
        assert!(work.apart.len() > 5, "{}", work.apart.len());
    }
}

fn long_messages_survive_power_cuts<W: World>() {
    let mut cut = 0;
    for seed in 100..124 {
        let (mut disk, mut work) = (W::default(), Work::new(seed));
        for round in 0..8 {
            let context = format!("seed {seed}, round {round}");
            let done = with_segments(&disk, 1, 2 << 20, async |stores: Vec<Store>| {
                work.check(&stores[0], &disk, &context).await;
                disk.fail_from(disk.operations() + 1 + work.random.below(250) as u64);
                let mut done = Ok(());
                for _ in 0..6 {
                    done = done.and(work.some(&stores[0]).await);
                    if done.is_err() {
                        break;
                    }
                }
                work.views.clear();
                done
            });
            cut += usize::from(done.unwrap().0.is_err());
            disk = disk.crash(seed * 100 + round);
        }
    }
    assert!(cut > 70, "{cut}");
}

suite! {
    long_messages_are_what_was_made_of_them
    long_messages_survive_power_cuts
}
