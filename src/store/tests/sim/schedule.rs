//! One schedule: a seed, and from it some lives of a store, each with its sessions and its end, and a check after each start.
//!
//! Invariants: everything follows from the seed; a start that fails has a reason; at last the store is opened without faults, what
//! it has is compared, sealed, cut from power, and compared again. Damage is the end of a schedule, since what it takes along is
//! gone: then the other accounts are compared.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::super::super::memory_disk::Random;
use super::super::super::tiers;
use super::disk::{Fault, Loss, SimDisk};
use super::messages::Pool;
use super::mutants::Mutant;
use super::scheduler::{Ended, Scheduler, sleep};
use super::sessions::Session;
use super::world::{ACCOUNTS_MAX, Actor, Counts, World};
use super::{damage, yield_now};
use crate::store::file_logs::FileLogs;
use crate::store::{AccountId, Error, Medium, Secret, Store, recover};

/// A schedule that found something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failed {
    pub seed: u64,
    pub what: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}\nto see it: tests/simulator --seed {}", self.seed, self.what, self.seed)
    }
}

thread_local! {
    static POOL: Rc<Pool> = Rc::new(Pool::new());
    static TRACED: Cell<bool> = const { Cell::new(false) };
}

/// Runs one schedule and counts what happened.
pub(super) fn run(seed: u64, mutant: Option<Mutant>, counts: &mut Counts) -> Result<(), Failed> {
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut schedule = Schedule::new(seed, mutant);
        let ran = schedule.run();
        schedule.world.stores.borrow_mut().clear();
        let disk = schedule.world.disk();
        let mut counted = schedule.world.counts.take();
        counted.add("", "schedules", 1);
        counted.add("", "operations of the disk", disk.operations());
        counted.add("", "sealed files and bodies removed", disk.merged());
        (ran, counted)
    }));
    tiers::SCALE.set(1);
    let what = match ran {
        Ok((ran, counted)) => {
            counts.merge(&counted);
            ran
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(format!("a panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("of no words")))
        }
    };
    what.map_err(|what| Failed { seed, what })
}

/// The same with every operation printed.
pub(super) fn run_traced(seed: u64, counts: &mut Counts) -> Result<(), Failed> {
    TRACED.set(true);
    let ran = run(seed, None, counts);
    TRACED.set(false);
    ran
}

pub(super) struct Schedule {
    pub world: Rc<World>,
    pub random: Random,
    sessions: usize,
    segment_bytes: u64,
    mutant: Option<Mutant>,
    operations: usize,
    lives: usize,
}

/// How a life is to end, where nothing else ends it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// All is sealed.
    Stop,
    Kill,
    Cut(Loss),
}

impl Schedule {
    fn new(seed: u64, mutant: Option<Mutant>) -> Schedule {
        let (mut random, traced) = (Random::new(seed.wrapping_add(0x5eed)), TRACED.get());
        random.next();
        tiers::SCALE.set([1, 1, 1, 1 << 12][random.below(4)]);
        let (accounts, sessions) = (1 + random.below(ACCOUNTS_MAX), 1 + random.below(5));
        let copies = 1 + random.below(3);
        // A batch has at most what the sessions ask for at a time, and must fit.
        let batch = 2560 + (sessions * copies * 1600) as u64;
        let segment_bytes = (batch * [1, 1, 2, 4][random.below(4)]).next_multiple_of(512);
        let disk = SimDisk::new(random.next(), mutant, traced);
        let mut world = World::new(disk, POOL.with(Rc::clone), accounts, traced);
        world.forgets_uids = mutant == Some(Mutant::ForgottenUids);
        world.copies_max.set(copies);
        let (operations, lives) = (30 + random.below(40), 1 + random.below(4));
        Schedule { world: Rc::new(world), random, sessions, segment_bytes, mutant, operations, lives }
    }

    fn run(&mut self) -> Result<(), String> {
        for _ in 0..self.lives {
            self.life()?;
        }
        if self.random.below(6) == 0 {
            return damage::run(self);
        }
        for round in 0..2 {
            self.last_life(if round == 0 { End::Cut(Loss::Dropped) } else { End::Kill })?;
        }
        Ok(())
    }

    fn some_loss(&mut self) -> Loss {
        [Loss::Dropped, Loss::Sectors, Loss::Pages, Loss::Reordered][self.random.below(4)]
    }

    /// What goes wrong in the next life, and from which of its operations on.
    fn some_fault(&mut self) -> Option<(Fault, u64)> {
        // Few come while it starts, most while it runs.
        let span = if self.random.below(4) == 0 { 40 } else { 240 };
        let at = 1 + self.random.below(span) as u64;
        let length = 1 + self.random.below(120) as u64;
        let fault = match self.random.below(20) {
            0..=8 => Fault::Cut(self.some_loss()),
            9 | 10 => Fault::Kill,
            11 => Fault::Error,
            12 | 13 => Fault::FailedSync,
            14 => Fault::NoSpace(length),
            15 => Fault::NoDescriptors(length),
            16 => Fault::Unreadable,
            _ => return None,
        };
        Some((fault, at + self.world.disk().operations()))
    }

    /// One life of the store, from its start to its end, whatever that is.
    fn life(&mut self) -> Result<(), String> {
        let fault = self.some_fault();
        self.world.disk().plan(fault);
        self.world.trace(|| format!("a life, with {fault:?}"));
        let end = match self.random.below(4) {
            0 => End::Stop,
            1 => End::Kill,
            _ => End::Cut(self.some_loss()),
        };
        let mut scheduler = self.begin();
        let ended = match self.open(&mut scheduler)? {
            Some(Ended::Done) => {
                self.spawn_sessions(&mut scheduler);
                scheduler.run()?
            }
            Some(ended) => ended,
            // It did not start, and said why.
            None => Ended::Lost,
        };
        if ended == Ended::Done {
            (0..self.world.account_count()).for_each(|account| self.world.compare(account));
            if end == End::Stop {
                self.stop(&mut scheduler)?;
            }
        }
        if self.world.disk().fired()
            && let Some((fault, _)) = fault
        {
            self.world.count("faults", name_of(fault));
        }
        self.world.failure()?;
        let end = match (ended, fault) {
            (Ended::Dead, Some((Fault::Cut(loss), _))) => End::Cut(loss),
            (Ended::Dead, _) => End::Kill,
            _ => end,
        };
        self.end(scheduler, end);
        Ok(())
    }

    fn begin(&mut self) -> Scheduler {
        let world = &self.world;
        world.counts.borrow_mut().add("", "lives", 1);
        world.begin_life(self.sessions);
        world.unix.set(world.unix.get() + self.random.below(3) as u32);
        Scheduler::new(self.world.clone(), self.random.next())
    }

    /// Recovers and opens the stores; `None`: the start failed, for a reason.
    fn open(&mut self, scheduler: &mut Scheduler) -> Result<Option<Ended>, String> {
        let (world, shards) = (self.world.clone(), 1 + self.random.below(3));
        let (segment_bytes, mutant) = (self.segment_bytes, self.mutant);
        let sealed = Rc::new(Sealed::default());
        let failed = Rc::new(RefCell::new(None));
        let (told, all_sealed) = (failed.clone(), sealed.clone());
        scheduler.spawn(Actor::Opening, async move {
            let opened = open_stores(&world, shards, (segment_bytes, mutant), &all_sealed).await;
            *told.borrow_mut() = opened.err();
        });
        let ended = scheduler.run()?;
        if let Some(error) = failed.borrow_mut().take() {
            if !self.world.disk().fired() {
                return Err(format!("the store does not open: {error}"));
            }
            self.world.count("checks", "starts refused");
            return Ok(None);
        }
        if ended == Ended::Done {
            self.spawn_background(scheduler, &sealed);
        }
        Ok(Some(ended))
    }

    fn spawn_background(&mut self, scheduler: &mut Scheduler, sealed: &Rc<Sealed>) {
        let stores = self.world.stores.borrow().clone();
        for store in &stores {
            let (world, clock, counted) = (self.world.clone(), self.world.clone(), self.world.clone());
            let writer = store.writer(move || clock.now.get(), move |_| counted.count("", "commits"));
            scheduler.spawn(Actor::Writer, async move {
                writer.await;
                world.lost.set(true);
            });
            let pause = self.random.below(3);
            scheduler.spawn(
                Actor::Background,
                store.checkpointer(async move || {
                    for _ in 0..pause {
                        yield_now().await;
                    }
                }),
            );
            let (world, sleepers) = (self.world.clone(), scheduler.sleepers.clone());
            let timed = store.checkpoints_by_time(async move |time| sleep(&world, &sleepers, time).await);
            scheduler.spawn(Actor::Background, timed);
        }
        let logs = medium(&self.world, self.segment_bytes).logs;
        let (epoch, sealed) = (stores[0].0.epoch, sealed.clone());
        let (shards, early) = (stores.len(), self.mutant == Some(Mutant::EarlyTrim));
        scheduler.spawn(Actor::Background, async move {
            sealed.all(if early { 0 } else { shards }).await;
            // Where that fails the next start does it.
            let _ = logs.forget(epoch).await;
        });
    }

    fn spawn_sessions(&mut self, scheduler: &mut Scheduler) {
        let each = self.operations / self.lives / self.sessions + 1;
        for index in 0..self.sessions {
            let session = Session::new(self.world.clone(), index, self.random.next());
            scheduler.spawn(Actor::Session(index), session.run(each));
        }
    }

    /// Seals everything, as an orderly stop does.
    fn stop(&mut self, scheduler: &mut Scheduler) -> Result<(), String> {
        let world = self.world.clone();
        scheduler.spawn(Actor::Session(0), async move {
            let stores = world.stores.borrow().clone();
            for store in stores {
                world.begin(0, super::intent::Intent::Other);
                let sealed = store.seal_all().await;
                world.finish(0, 0, sealed.map_err(Into::into));
            }
        });
        scheduler.run()?;
        self.world.failure()
    }

    fn end(&mut self, scheduler: Scheduler, end: End) {
        let stores = self.world.stores.take();
        let checkpoints = stores.iter().map(|store| store.0.checkpoints.begun()).sum();
        self.world.counts.borrow_mut().add("", "checkpoints", checkpoints);
        drop((scheduler, stores));
        let disk = self.world.disk();
        self.world.trace(|| format!("the life ends: {end:?}"));
        let (name, next) = match end {
            End::Stop => ("stopped", disk.survivor()),
            End::Kill => ("killed", disk.survivor()),
            End::Cut(Loss::Dropped) => ("power cut, all dropped", disk.crash(Loss::Dropped)),
            End::Cut(Loss::Sectors) => ("power cut, torn at 512", disk.crash(Loss::Sectors)),
            End::Cut(Loss::Pages) => ("power cut, torn at 4096", disk.crash(Loss::Pages)),
            End::Cut(Loss::Reordered) => ("power cut, reordered", disk.crash(Loss::Reordered)),
        };
        self.world.count("ends", name);
        *self.world.disk.borrow_mut() = next;
    }

    /// A life without faults: all accounts are there, take a message, are sealed, and are compared before and after.
    fn last_life(&mut self, end: End) -> Result<(), String> {
        let mut scheduler = self.begin();
        if self.open(&mut scheduler)? != Some(Ended::Done) {
            return Err("the store does not open".to_owned());
        }
        self.open_accounts(&mut scheduler);
        scheduler.run()?;
        self.stop(&mut scheduler)?;
        (0..self.world.account_count()).for_each(|account| self.world.compare(account));
        self.world.failure()?;
        self.end(scheduler, end);
        Ok(())
    }
}

impl Schedule {
    /// A life without faults in which every account is opened, and at whose end nothing is under way.
    pub(super) fn look_at_all(&mut self) -> Result<(), String> {
        let mut scheduler = self.begin();
        if self.open(&mut scheduler)? != Some(Ended::Done) {
            return Err("the store does not open".to_owned());
        }
        self.open_accounts(&mut scheduler);
        scheduler.run()?;
        self.spawn_sessions(&mut scheduler);
        scheduler.run()?;
        if self.random.below(2) == 0 {
            self.stop(&mut scheduler)?;
        }
        let world = self.world.clone();
        scheduler.spawn(Actor::Session(0), async move {
            let stores = world.stores.borrow().clone();
            for store in stores {
                if let Err(error) = store.flush().await {
                    world.fail(format!("it can't be flushed: {error}"));
                }
            }
        });
        scheduler.run()?;
        self.world.failure()?;
        self.end(scheduler, End::Kill);
        Ok(())
    }

    fn open_accounts(&mut self, scheduler: &mut Scheduler) {
        let world = self.world.clone();
        scheduler.spawn(Actor::Session(0), async move {
            for account in 0..world.account_count() {
                world.begin(0, super::intent::Intent::Open);
                let opened = world.store(account).account(world.id(account)).await;
                world.finish(0, account, opened.map(drop).map_err(Into::into));
                yield_now().await;
            }
        });
    }

    /// Opens the store over a damaged file, and all accounts; those that say that they are damaged. `None`: it does not open.
    pub(super) fn open_damaged(&mut self, hit: &[AccountId]) -> Result<Option<Vec<AccountId>>, String> {
        let mut scheduler = self.begin();
        self.world
            .accounts
            .borrow_mut()
            .iter_mut()
            .for_each(|account| account.may_be_damaged = hit.contains(&account.id));
        let world = self.world.clone();
        let shards = 1 + self.random.below(3);
        let (segment_bytes, mutant) = (self.segment_bytes, self.mutant);
        let refused = Rc::new(RefCell::new(None));
        let (told, sealed) = (refused.clone(), Rc::new(Sealed::default()));
        let all_sealed = sealed.clone();
        scheduler.spawn(Actor::Opening, async move {
            let opened = open_stores(&world, shards, (segment_bytes, mutant), &all_sealed).await;
            *told.borrow_mut() = opened.err();
        });
        scheduler.run()?;
        match refused.borrow_mut().take() {
            None => {}
            Some(Error::Corrupt { .. }) => return Ok(None),
            Some(error) => return Err(format!("the store does not open: {error}")),
        }
        self.spawn_background(&mut scheduler, &sealed);
        let (world, damaged) = (self.world.clone(), Rc::new(RefCell::new(Vec::new())));
        let found = damaged.clone();
        scheduler.spawn(Actor::Session(0), async move {
            for account in 0..world.account_count() {
                world.begin(0, super::intent::Intent::Open);
                match world.store(account).account(world.id(account)).await {
                    Ok(_) => {}
                    Err(Error::Corrupt { .. }) => found.borrow_mut().push(world.id(account)),
                    Err(error) => world.fail(format!("account {account} does not open: {error}")),
                }
                yield_now().await;
            }
        });
        scheduler.run()?;
        self.world.failure()?;
        let messages = self.world.accounts.borrow();
        let messages = messages.iter().filter(|account| account.damaged > 0).map(|account| account.id);
        damaged.borrow_mut().extend(messages);
        drop(scheduler);
        self.world.stores.take();
        Ok(Some(damaged.take()))
    }
}

fn name_of(fault: Fault) -> &'static str {
    match fault {
        Fault::Cut(_) => "power cut amid an operation",
        Fault::Kill => "killed amid an operation",
        Fault::Error => "EIO",
        Fault::FailedSync => "failed sync",
        Fault::NoSpace(_) => "ENOSPC for a while",
        Fault::NoDescriptors(_) => "EMFILE for a while",
        Fault::Unreadable => "EIO on a read",
    }
}

/// How many shards have sealed what earlier epochs left.
#[derive(Default)]
struct Sealed {
    shards: Cell<usize>,
    waker: Cell<Option<Waker>>,
}

impl Sealed {
    fn one(&self) {
        self.shards.set(self.shards.get() + 1);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn all(&self, shards: usize) {
        poll_fn(|context| {
            if self.shards.get() >= shards {
                return Poll::Ready(());
            }
            self.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// What a store stands on: the simulated disk.
fn medium(world: &World, segment_bytes: u64) -> Medium {
    let logs = Rc::new(FileLogs::with_segments(world.disk(), segment_bytes));
    Medium { logs, ..Medium::of_files(world.disk(), Secret([7; 32])) }
}

/// The one place that opens stores.
async fn open_stores(
    world: &Rc<World>,
    shards: usize,
    (segment_bytes, mutant): (u64, Option<Mutant>),
    sealed: &Rc<Sealed>,
) -> Result<(), Error> {
    let recovered = recover(&medium(world, segment_bytes), shards).await?;
    let mut stores = Vec::new();
    for mut replay in recovered.shards {
        if let Some(mutant) = mutant {
            mutant.change(&mut replay);
        }
        let sealed = sealed.clone();
        let unix = u64::from(world.unix.get());
        stores.push(Store::open(&medium(world, segment_bytes), replay, Box::new(move || sealed.one()), unix).await?);
    }
    *world.stores.borrow_mut() = stores;
    Ok(())
}
