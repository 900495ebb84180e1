//! Sessions: what clients do, one operation after another each, many at the same time, and what each was told.
//!
//! Invariants: a session says to the reference what it is about to ask for, and gives other tasks a turn before it asks for the
//! next thing; what its client believes of a mailbox is exactly what its view told, and after it was told of everything, exactly
//! what is there. What it does follows from its own seed.

use std::rc::Rc;

use super::super::super::memory_disk::Random;
use super::super::{Update, advance, yield_now};
use super::intent::Intent;
use super::plain::PlainMessage;
use super::world::{Failure, World};
use crate::store::{Account, FlagOp, Mailbox, View};

const NAMES: [&str; 7] = ["a", "b", "a/b", "a/b/c", "Work", "b/c", "Sent/old"];
const KEYWORDS: [&str; 5] = ["$Work", "$work", "Later", "$Junk", "x"];

/// A view, and what its client believes.
struct Seen {
    view: View,
    mailbox: u32,
    /// UIDs, numbers and flags, in order.
    client: Vec<(u32, u32, u16)>,
    /// Messages with higher UIDs it was not told of.
    upto: u32,
}

/// A session.
pub(super) struct Session {
    world: Rc<World>,
    index: usize,
    random: Random,
    account: Option<(usize, Account)>,
    seen: Option<Seen>,
}

impl Session {
    pub(super) fn new(world: Rc<World>, index: usize, seed: u64) -> Session {
        Session { world, index, random: Random::new(seed), account: None, seen: None }
    }

    /// Does so many things.
    pub(super) async fn run(mut self, operations: usize) {
        for _ in 0..operations {
            yield_now().await;
            if self.world.lost.get() {
                return;
            }
            self.step().await;
            self.check_view();
        }
    }

    async fn step(&mut self) {
        let Some((index, account)) = self.account.clone() else { return self.open().await };
        let choice = self.random.below(60);
        let empty = self.seen.as_ref().is_none_or(|seen| seen.client.is_empty());
        match choice {
            27..=42 if empty => self.look(index, &account),
            0..=13 => self.append(index, &account).await,
            14..=19 => self.deliver(index).await,
            20..=26 => self.look(index, &account),
            27..=33 => self.change_flags(index).await,
            34..=37 => self.expunge(index).await,
            38..=42 => self.transfer(index, &account).await,
            43..=48 => self.change_tree(index, &account).await,
            49..=51 => self.advance(index),
            52 | 53 => self.seal(index).await,
            54 => {
                self.world.count("sessions", "checkpoint asked for");
                self.world.store(index).0.checkpoints.ask();
            }
            55 => {
                self.world.count("sessions", "pause");
                for _ in 0..self.random.below(40) {
                    yield_now().await;
                }
            }
            56 | 57 => {
                drop((self.seen.take(), self.account.take(), account));
                self.world.forget(index);
            }
            _ => self.world.compare(index),
        }
    }

    async fn open(&mut self) {
        let index = self.random.below(self.world.account_count());
        self.account = self.account_of(index).await.map(|account| (index, account));
    }

    async fn account_of(&mut self, index: usize) -> Option<Account> {
        self.world.begin(self.index, Intent::Open);
        self.world.count("sessions", "open");
        match self.world.store(index).account(self.world.id(index)).await {
            Ok(account) => self.world.finish(self.index, index, Ok(())).then_some(account),
            Err(error) => {
                self.world.finish(self.index, index, Err(error.into()));
                None
            }
        }
    }

    fn some_mailbox(&mut self, account: &Account) -> Mailbox {
        let mut mailboxes = account.mailboxes();
        mailboxes.retain(|mailbox| !mailbox.is_noselect());
        let inbox = self.random.below(2) == 0;
        let at = if inbox { 0 } else { self.random.below(mailboxes.len()) };
        mailboxes.swap_remove(at)
    }

    fn some_keywords(&mut self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for _ in 0..self.random.below(6).saturating_sub(3) {
            let name = KEYWORDS[self.random.below(KEYWORDS.len())];
            if !names.iter().any(|other| other.eq_ignore_ascii_case(name)) {
                names.push(name.to_owned());
            }
        }
        names
    }

    fn some_flags(&mut self) -> u16 {
        [0, 1, 8, 9, 2, 31][self.random.below(6)]
    }

    /// A message, and how the reference has it.
    fn some_message(&mut self, long: Option<bool>) -> (crate::store::NewMessage, PlainMessage, Vec<String>) {
        let (flags, keywords) = (self.some_flags(), self.some_keywords());
        let number = self.world.next_number(long);
        let mut message = self.world.pool.message(number);
        (message.flags, message.keywords) = (crate::store::Flags(flags), keywords.clone());
        (message, PlainMessage { number, flags, keywords: 0, modseq: 0 }, keywords)
    }

    async fn append(&mut self, index: usize, account: &Account) {
        let long = (self.random.below(400) == 0).then_some(false);
        let mailbox = self.some_mailbox(account);
        let (new, message, keywords) = self.some_message(long);
        let copies = vec![(index, mailbox.id().0)];
        self.world.count("sessions", if long.is_some() { "append, long" } else { "append" });
        self.world.begin(self.index, Intent::Append { copies, message, keywords });
        let done = mailbox.append(new).await;
        self.world.finish(self.index, index, done.map(drop).map_err(Failure::from));
    }

    /// To several accounts of the shard.
    async fn deliver(&mut self, index: usize) {
        let (shard, wanted) = (self.world.shard(index), 1 + self.random.below(self.world.copies_max.get()));
        let others = (0..self.world.account_count()).filter(|&other| self.world.shard(other) == shard);
        let mut inboxes = Vec::new();
        for other in others.take(wanted).collect::<Vec<_>>() {
            let inbox = self.account_of(other).await.and_then(|account| account.mailbox("INBOX"));
            yield_now().await;
            inboxes.extend(inbox.map(|inbox| (other, inbox)));
        }
        let long = (self.random.below(120) == 0 && inboxes.len() > 1).then_some(true);
        let (new, message, keywords) = self.some_message(long);
        let copies = inboxes.iter().map(|(other, inbox)| (*other, inbox.id().0)).collect();
        self.world.count("sessions", if long.is_some() { "delivery, long" } else { "delivery" });
        self.world.begin(self.index, Intent::Append { copies, message, keywords });
        let copies: Vec<_> = inboxes.iter().map(|(_, inbox)| (inbox.clone(), new.clone())).collect();
        let results = self.world.store(index).append_to_all(&copies).await;
        for ((other, _), result) in inboxes.iter().zip(results) {
            self.world.finish(self.index, *other, result.map_err(Failure::from));
        }
    }

    /// Selects a mailbox.
    fn look(&mut self, index: usize, account: &Account) {
        let (mailbox, read_only) = (self.some_mailbox(account), self.random.below(3) == 0);
        self.seen = None;
        let id = mailbox.id().0;
        self.world.count("sessions", if read_only { "examine" } else { "select" });
        self.world.begin(self.index, Intent::Look { account: index, mailbox: id });
        let upto = mailbox.uid_next() - 1;
        let mut seen = Seen { view: mailbox.view(read_only), mailbox: id, client: Vec::new(), upto };
        seen.grow(seen.view.exists());
        self.compare(index, &seen);
        self.seen = Some(seen);
    }

    /// What the client believes is all that is there.
    fn compare(&self, index: usize, seen: &Seen) {
        let accounts = self.world.accounts.borrow();
        let there = accounts[index].visible.mailboxes.get(&seen.mailbox);
        let there = there.into_iter().flat_map(|mailbox| &mailbox.messages);
        let there: Vec<_> = there.map(|(uid, message)| (*uid, message.number, message.flags)).collect();
        if seen.client != there {
            self.world.fail(format!("a view told of {:?}, and {there:?} is there", seen.client));
        }
    }

    fn advance(&mut self, index: usize) {
        let Some(mut seen) = self.seen.take() else { return };
        let expunges = self.random.below(3) > 0;
        self.world.count("sessions", if expunges { "told of everything" } else { "told without EXPUNGE" });
        self.world.begin(self.index, Intent::Look { account: index, mailbox: seen.mailbox });
        seen.upto = seen.view.mailbox().uid_next() - 1;
        for update in advance(&mut seen.view, expunges) {
            match update {
                Update::Expunged { seq } if expunges => drop(seen.client.remove(seq as usize - 1)),
                Update::Expunged { .. } => self.world.fail("EXPUNGE was told where it must not be".to_owned()),
                Update::Exists { count, .. } if count as usize > seen.client.len() => seen.grow(count),
                Update::Exists { .. } => self.world.fail("EXISTS shrank".to_owned()),
                Update::Flags { seq } => {
                    seen.client[seq as usize - 1].2 = seen.view.entry(seq).map_or(0, |it| it.flags.0)
                }
            }
        }
        if expunges {
            self.compare(index, &seen);
        }
        self.seen = Some(seen);
    }

    /// The view is what the client believes, whatever others did.
    fn check_view(&mut self) {
        let Some(seen) = &self.seen else { return };
        let uids = seen.view.entries(1, |entries| entries.map(|(_, entry)| entry.uid.0).collect::<Vec<_>>());
        if !uids.iter().eq(seen.client.iter().map(|(uid, ..)| uid)) {
            self.world.fail(format!("a view has {uids:?}, and told of {:?}", seen.client));
        }
        let at = self.random.below(uids.len());
        if let Some(&(uid, number, _)) = seen.client.get(at) {
            match seen.view.message(at as u32 + 1) {
                Ok(Some(message)) if message.saved_at() == i64::from(number) => {}
                other => self.world.fail(format!("UID {uid} of a view is {other:?}")),
            }
        }
    }

    /// UIDs that the view knows, from one of its messages on.
    fn some_uids(&mut self) -> Option<(u32, (u32, u32))> {
        let seen = self.seen.as_ref().filter(|seen| !seen.client.is_empty())?;
        let first = seen.client[self.random.below(seen.client.len())].0;
        let last = first + self.random.below(6) as u32;
        Some((seen.mailbox, (first, last.min(seen.upto))))
    }

    async fn change_flags(&mut self, account: usize) {
        let Some((mailbox, uids)) = self.some_uids() else { return };
        let op = [FlagOp::Add, FlagOp::Remove, FlagOp::Replace][self.random.below(3)];
        let (flags, keywords) = (self.some_flags(), self.some_keywords());
        let intent = Intent::Flags { account, mailbox, uids, op, flags, keywords: keywords.clone() };
        self.world.count("sessions", "flags");
        self.world.begin(self.index, intent);
        let Some(seen) = &self.seen else { return };
        let flags = crate::store::Flags(flags);
        // Beyond what it knows it may ask for anything.
        let last = if uids.1 == seen.upto { u32::MAX } else { uids.1 };
        let done = seen.view.change_flags(&[uids.0..=last], op, flags, &keywords).await;
        self.world.finish(self.index, account, done.map(drop).map_err(Failure::from));
    }

    async fn expunge(&mut self, account: usize) {
        let Some((mailbox, uids)) = self.some_uids() else { return };
        let marked = self.random.below(2) == 0;
        self.world.count("sessions", if marked { "expunge, marked" } else { "expunge" });
        self.world.begin(self.index, Intent::Expunge { account, mailbox, uids, marked });
        let Some(seen) = &self.seen else { return };
        let done = seen.view.expunge(&[uids.0..=uids.1], marked).await;
        self.world.finish(self.index, account, done.map_err(Failure::from));
    }

    async fn transfer(&mut self, index: usize, account: &Account) {
        let Some((source, uids)) = self.some_uids() else { return };
        let (target, moves) = (self.some_mailbox(account), self.random.below(2) == 0);
        let intent = Intent::Transfer { account: index, source, target: target.id().0, uids, moves };
        self.world.count("sessions", if moves { "move" } else { "copy" });
        self.world.begin(self.index, intent);
        let Some(seen) = &self.seen else { return };
        let uids = [uids.0..=uids.1];
        let done = if moves { seen.view.move_to(&uids, &target).await } else { seen.view.copy(&uids, &target).await };
        self.world.finish(self.index, index, done.map(drop).map_err(Failure::from));
    }

    async fn change_tree(&mut self, index: usize, account: &Account) {
        let mut some_name = || NAMES[self.random.below(NAMES.len())].to_owned();
        let (name, other) = (some_name(), some_name());
        let (choice, inbox) = (self.random.below(12), self.random.below(6) == 0);
        let (kind, intent) = match choice {
            0..=4 => ("create", Intent::Create { account: index, name: name.clone() }),
            5 | 6 => {
                let from = if inbox { "INBOX".to_owned() } else { name.clone() };
                ("rename", Intent::Rename { account: index, from, to: other.clone() })
            }
            7 | 8 => ("delete", Intent::Delete { account: index, name: name.clone() }),
            _ => ("subscribe", Intent::Subscribe { account: index, name: name.clone(), subscribed: choice > 9 }),
        };
        self.world.count("sessions", kind);
        self.world.begin(self.index, intent.clone());
        let done = match &intent {
            Intent::Create { name, .. } => account.create(name).await.map(drop).map_err(Failure::from),
            Intent::Rename { from, to, .. } => account.rename(from, to).await.map_err(Failure::from),
            Intent::Delete { name, .. } => account.delete(name).await.map_err(Failure::from),
            _ => account.subscribe(&name, choice > 9).await.map_err(Failure::from),
        };
        // Made, and deleted by another session before this one looked.
        let made =
            matches!((&intent, &done), (Intent::Create { .. }, Err(Failure::Refused(super::intent::Refused::Gone))));
        self.world.finish(self.index, index, if made { Ok(()) } else { done });
    }

    async fn seal(&mut self, index: usize) {
        self.world.count("sessions", "seal all");
        self.world.begin(self.index, Intent::Other);
        let done = self.world.store(index).seal_all().await;
        self.world.finish(self.index, index, done.map_err(Failure::from));
    }
}

impl Seen {
    /// Takes in new messages.
    fn grow(&mut self, count: u32) {
        for seq in self.client.len() as u32 + 1..=count {
            let flags = self.view.entry(seq).map_or(0, |entry| entry.flags.0);
            let uid = self.view.uid_of(seq).unwrap_or(0);
            let number = self.view.message(seq).ok().flatten().map_or(0, |message| message.saved_at() as u32);
            self.client.push((uid, number, flags));
        }
    }
}
