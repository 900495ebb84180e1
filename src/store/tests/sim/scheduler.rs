//! The simulator's executor and clock: one task a turn, which of those that are awake the seed says.
//!
//! Invariants: a task is polled only when somebody woke it, so that a wake-up that the store forgets is a hang, and found; time
//! passes a little each turn, and at once where all sleep; after each turn the reference is compared.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::super::super::memory_disk::Random;
use super::world::{Actor, World};

/// Turns of a life; what takes longer hangs.
const TURNS_MAX: u32 = 400_000;
/// Times in a row that nothing but time passes.
const JUMPS_MAX: u32 = 50;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    actor: Actor,
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Woken>,
    waker: Waker,
}

/// Those who sleep.
#[derive(Default)]
pub(super) struct Sleepers(RefCell<Vec<(Duration, Waker)>>);

/// Sleeps in simulated time.
pub(super) async fn sleep(world: &World, sleepers: &Sleepers, time: Duration) {
    let until = world.now.get() + time;
    poll_fn(|context| {
        if world.now.get() >= until {
            return Poll::Ready(());
        }
        sleepers.0.borrow_mut().push((until, context.waker().clone()));
        Poll::Pending
    })
    .await;
}

/// How a run of tasks ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// The sessions are at their ends.
    Done,
    /// The power went, or the process.
    Dead,
    /// A log is lost: the process is to end.
    Lost,
}

/// The tasks of a life.
pub(super) struct Scheduler {
    world: Rc<World>,
    random: Random,
    tasks: Vec<Task>,
    pub sleepers: Rc<Sleepers>,
    /// Tasks that the run waits for.
    awaited: Rc<Cell<usize>>,
}

impl Scheduler {
    pub(super) fn new(world: Rc<World>, seed: u64) -> Scheduler {
        Scheduler {
            world,
            random: Random::new(seed),
            tasks: Vec::new(),
            sleepers: Rc::default(),
            awaited: Rc::default(),
        }
    }

    /// Adds a task; the run waits for those of sessions and of the opening.
    pub(super) fn spawn(&mut self, actor: Actor, future: impl Future<Output = ()> + 'static) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let awaited = matches!(actor, Actor::Session(_) | Actor::Opening).then(|| self.awaited.clone());
        if let Some(awaited) = &awaited {
            awaited.set(awaited.get() + 1);
        }
        let future = Box::pin(async move {
            future.await;
            if let Some(awaited) = awaited {
                awaited.set(awaited.get() - 1);
            }
        });
        self.tasks.push(Task { actor, future, woken, waker });
    }

    /// Runs the tasks until those that it waits for are done, or the life is over.
    pub(super) fn run(&mut self) -> Result<Ended, String> {
        let (disk, mut jumps) = (self.world.disk(), 0);
        for _ in 0..TURNS_MAX {
            if disk.is_dead() {
                return Ok(Ended::Dead);
            }
            if self.world.lost.get() && self.random.below(30) == 0 {
                return Ok(Ended::Lost);
            }
            if self.awaited.get() == 0 {
                return Ok(Ended::Done);
            }
            let awake = self.tasks.iter().filter(|task| task.woken.0.load(Ordering::Relaxed)).count();
            if awake == 0 {
                jumps += 1;
                if self.world.lost.get() {
                    return Ok(Ended::Lost);
                }
                if jumps > JUMPS_MAX || !self.jump() {
                    return Err("all wait, and nobody for time".to_owned());
                }
                continue;
            }
            let chosen = self.random.below(awake);
            let at = self.tasks.iter().enumerate().filter(|(_, task)| task.woken.0.load(Ordering::Relaxed)).nth(chosen);
            let at = at.map_or(0, |(at, _)| at);
            let task = &mut self.tasks[at];
            task.woken.0.store(false, Ordering::Relaxed);
            if matches!(task.actor, Actor::Session(_)) {
                jumps = 0;
            }
            let actor = task.actor;
            if task.future.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready() {
                drop(self.tasks.swap_remove(at));
            }
            self.world.looked_at(actor)?;
            let passed = Duration::from_millis(self.random.below(300) as u64);
            self.pass(self.world.now.get() + passed);
        }
        Err(format!("no end after {TURNS_MAX} turns"))
    }

    /// It is `now`.
    fn pass(&self, now: Duration) {
        self.world.now.set(now);
        self.sleepers.0.borrow_mut().retain(|(until, waker)| {
            if *until <= now {
                waker.wake_by_ref();
            }
            *until > now
        });
    }

    /// All wait: time passes until somebody wakes; false: nobody does.
    fn jump(&self) -> bool {
        let next = self.sleepers.0.borrow().iter().map(|(until, _)| *until).min();
        next.map(|next| self.pass(next)).is_some()
    }
}
