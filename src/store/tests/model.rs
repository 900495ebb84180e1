//! Random work of several sessions against a plain model: every view stays right, whatever the others do.

use std::collections::BTreeMap;

use super::super::memory_disk::Random;
use super::whole::inbox;
use super::*;

/// A mailbox as anyone would write it down: UID to number and flags.
type Plain = BTreeMap<u32, (u64, Flags)>;

/// A session: its view, and what its client believes.
struct Session {
    view: View,
    /// UID and flags, by sequence number.
    client: Vec<(u32, Flags)>,
}

impl Session {
    fn open(mailbox: &Mailbox, read_only: bool) -> Session {
        let view = mailbox.view(read_only);
        let client = (1..=view.exists()).map(|seq| entry(&view, seq)).collect();
        Session { view, client }
    }

    /// Does what a client does with untagged responses.
    fn advance(&mut self, allow_expunge: bool) {
        for update in advance(&mut self.view, allow_expunge) {
            match update {
                Update::Expunged { seq } => {
                    assert!(allow_expunge);
                    self.client.remove(seq as usize - 1);
                }
                Update::Exists { count, .. } => {
                    assert!(count as usize > self.client.len(), "EXISTS never shrinks");
                    for seq in self.client.len() as u32 + 1..=count {
                        self.client.push(entry(&self.view, seq));
                    }
                }
                Update::Flags { seq } => self.client[seq as usize - 1] = entry(&self.view, seq),
            }
        }
        if allow_expunge {
            assert!(!self.view.changed());
        }
    }

    /// The view is what the client believes.
    fn check(&self, numbers: &BTreeMap<u32, u64>) {
        assert_eq!(self.view.exists() as usize, self.client.len());
        for (index, &(uid, _)) in self.client.iter().enumerate() {
            let seq = index as u32 + 1;
            assert_eq!(self.view.uid_of(seq), Some(uid));
            assert_eq!(self.view.first_at_or_after(uid), seq);
            let message = self.view.message(seq).unwrap().expect("what is in the view can be read");
            assert_eq!(message.uid(), Uid(uid));
            assert_eq!(message.subject(), format!("number {}", numbers[&uid]));
        }
        let last = self.client.last().map_or(0, |(uid, _)| *uid);
        assert_eq!(self.view.uid_of(self.view.exists() + 1), None);
        assert_eq!(self.view.uid_of(0), None);
        let run = |seq| self.view.entries(seq, |entries| entries.map(|(seq, entry)| (seq, entry.uid.0)).collect());
        let believed: Vec<(u32, u32)> = (1..).zip(self.client.iter().map(|(uid, _)| *uid)).collect();
        for seq in 1..=believed.len() + 1 {
            assert_eq!(believed[seq - 1..], *Vec::as_slice(&run(seq as u32)), "from number {seq} on");
        }
        assert_eq!(run(0), []);
        assert_eq!(self.view.first_at_or_after(last + 1), self.view.exists() + 1);
    }
}

fn entry(view: &View, seq: u32) -> (u32, Flags) {
    let entry = view.entry(seq).unwrap();
    (entry.uid.0, entry.flags)
}

fn plain(mailbox: &Mailbox) -> Plain {
    let view = mailbox.view(true);
    let rows = (1..=view.exists()).map(|seq| {
        let (uid, flags) = entry(&view, seq);
        (uid, (view.message(seq).unwrap().unwrap().saved_at() as u64 - 2_000_000, flags))
    });
    rows.collect()
}

fn check_counts(mailbox: &Mailbox, plain: &Plain) {
    let counts = mailbox.counts();
    assert_eq!(counts.messages as usize, plain.len());
    let with = |flag: Flags| plain.values().filter(|(_, flags)| flags.contains(flag)).count() as u32;
    assert_eq!((counts.unseen, counts.deleted), (counts.messages - with(Flags::SEEN), with(Flags::DELETED)));
    let size: u64 = plain.values().map(|&(number, _)| raw(number, 100).len() as u64).sum();
    assert_eq!(counts.size, size);
}

/// Some UIDs around what is there.
fn some_uids(random: &mut Random, next: u32) -> std::ops::RangeInclusive<u32> {
    let first = 1 + random.below(next as usize) as u32;
    first..=first + random.below(6) as u32
}

/// One random step; the model does the same.
async fn step(random: &mut Random, mailbox: &Mailbox, sessions: &mut [Session], model: &mut Plain) {
    let choice = random.below(20);
    let session = random.below(sessions.len());
    match choice {
        0..=7 => {
            let number = u64::from(mailbox.uid_next());
            let uid = mailbox.append(message(number, 100)).await.unwrap();
            model.insert(uid.0, (number, Flags::NONE));
        }
        8..=12 => {
            let uids = some_uids(random, mailbox.uid_next());
            let op = [FlagOp::Add, FlagOp::Remove, FlagOp::Replace][random.below(3)];
            let flags = [Flags::SEEN, Flags::DELETED, Flags::FLAGGED.union(Flags::SEEN)][random.below(3)];
            let known = sessions[session].client.last().map_or(0, |(uid, _)| *uid);
            let modseq =
                sessions[session].view.change_flags(std::slice::from_ref(&uids), op, flags, &[]).await.unwrap();
            for (_, (_, old)) in model.range_mut(uids).filter(|(uid, _)| **uid <= known) {
                old.0 = op.apply((old.0, 0), (flags.0, 0)).0;
            }
            if random.below(2) == 0 {
                // As after a STORE that this session answered itself.
                let session = &mut sessions[session];
                if let Some(modseq) = modseq {
                    session.view.told(modseq, false);
                }
                for seq in 1..=session.view.exists() {
                    session.client[seq as usize - 1] = entry(&session.view, seq);
                }
            }
        }
        13..=15 => {
            let uids = some_uids(random, mailbox.uid_next());
            let only_deleted = random.below(2) == 0;
            let known = sessions[session].client.last().map_or(0, |(uid, _)| *uid);
            sessions[session].view.expunge(std::slice::from_ref(&uids), only_deleted).await.unwrap();
            model.retain(|uid, (_, flags)| {
                let meant = uids.contains(uid) && *uid <= known;
                !meant || only_deleted && !flags.contains(Flags::DELETED)
            });
        }
        16..=18 => sessions[session].advance(random.below(3) > 0),
        _ => sessions[session] = Session::open(mailbox, random.below(2) == 0),
    }
}

fn run<W: World>(seed: u64) {
    let disk = W::default();
    let (mut model, mut numbers) = (Plain::new(), BTreeMap::new());
    let mut random = Random::new(seed);
    for round in 0..6 {
        with_store(&disk, async |store| {
            let mailbox = inbox(&store, 3).await;
            assert_eq!(plain(&mailbox), model, "seed {seed}, round {round}");
            let mut sessions: Vec<Session> = (0..3).map(|index| Session::open(&mailbox, index == 0)).collect();
            for _ in 0..150 {
                step(&mut random, &mailbox, &mut sessions, &mut model).await;
                numbers.extend(model.iter().map(|(uid, (number, _))| (*uid, *number)));
                let session = random.below(sessions.len());
                sessions[session].check(&numbers);
                check_counts(&mailbox, &model);
                if random.below(60) == 0 {
                    store.seal_all().await.unwrap();
                }
            }
            for session in &mut sessions {
                session.check(&numbers);
                session.advance(true);
                session.check(&numbers);
                let believed: Vec<(u32, Flags)> = session.client.clone();
                let truth: Vec<(u32, Flags)> = model.iter().map(|(uid, (_, flags))| (*uid, *flags)).collect();
                assert_eq!(believed, truth, "seed {seed}, round {round}");
            }
        });
    }
}

fn every_view_is_right<W: World>() {
    for seed in 0..12 {
        run::<W>(seed);
    }
}

/// The same with much more expunged than kept, so that the columns are compacted under open views.
fn compaction_moves_nobody<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let mailbox = inbox(&store, 3).await;
        let mut random = Random::new(99);
        let mut numbers = BTreeMap::new();
        let mut sessions = vec![Session::open(&mailbox, false), Session::open(&mailbox, true)];
        for round in 0..12u32 {
            for _ in 0..40 {
                let number = u64::from(mailbox.uid_next());
                let uid = mailbox.append(message(number, 100)).await.unwrap();
                numbers.insert(uid.0, number);
            }
            sessions.iter_mut().for_each(|session| session.advance(round % 2 == 0));
            for _ in 0..8 {
                let uids = some_uids(&mut random, mailbox.uid_next());
                sessions[0].view.expunge(&[uids], false).await.unwrap();
            }
            if round % 4 == 3 {
                store.seal_all().await.unwrap();
            }
            for session in &mut sessions {
                session.check(&numbers);
                session.advance(true);
                session.check(&numbers);
            }
            let rows = mailbox.state().data.borrow().columns.len();
            let live = mailbox.counts().messages as usize;
            assert!(rows - live < 64.max(rows / 8), "compacted: {rows} rows of {live} messages");
        }
    });
}

suite! {
    every_view_is_right
    compaction_moves_nobody
}
