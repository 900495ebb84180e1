//! The executor of a shard: glommio pins the thread, runs the tasks and shares the core; nothing else names it.
//!
//! Invariant: glommio never sleeps, the driver does, in the ring: when it has looked that no task is runnable, it waits for
//! the next completion in the same call that submits. A hop rings the bell, whose eventfd the ring reads.
//! What was measured of glommio 0.9 and is kept to here (each has a test in tests/shard.rs):
//! - it can park with a runnable task when its preemption timer fires first: the timer is an hour, preemption is ours;
//! - its own park allocates (seen eight times a park, with the bridge task that wakes it): see the invariant;
//! - background work that yields only within its queue starves the sessions: [`Breath`] yields the queue;
//! - a panic in a task ends the executor: [`contained`] catches it; background panics abort the process.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

use std::time::{Duration, Instant};

use glommio::{ExecutorJoinHandle, Latency, LocalExecutorBuilder, Placement, Shares, TaskQueueHandle};

use crate::hop::{Doorbell, Post};
use crate::io::{Ring, yield_now};
use crate::limits;
use crate::metrics;

/// How often the driver turns beside background work though nothing came: well within the watchdog's patience.
const SIGN_OF_LIFE: Duration = Duration::from_millis(100);
/// After this long background work lets the sessions run.
const BACKGROUND_SLICE: Duration = Duration::from_micros(50);

/// The two task queues of a shard.
#[derive(Clone, Debug)]
pub struct Queues {
    sessions: TaskQueueHandle,
    background: TaskQueueHandle,
    /// Polls of session tasks: where it stands still over a yield, none was runnable.
    polls: Rc<Cell<u64>>,
    awake: Arc<Awake>,
    /// The shard's main task has ended: the driver ends too.
    over: Rc<Cell<bool>>,
}

/// Whether background tasks are runnable. Wakers are shared by type, though all of a shard's wake on its own thread.
#[derive(Debug, Default)]
struct Awake {
    /// Background tasks that were woken and not polled since.
    tasks: metrics::Counter,
}

/// The waker of one background task: notes that it is runnable, and passes the wake on.
struct Noting {
    awake: Arc<Awake>,
    woken: metrics::Counter,
    task: OnceLock<Waker>,
}

impl Noting {
    fn note(&self) {
        if self.woken.value() == 0 {
            self.woken.set(1);
            self.awake.tasks.add(1);
        }
    }

    fn forget(&self) {
        if self.woken.value() == 1 {
            self.woken.set(0);
            self.awake.tasks.subtract(1);
        }
    }
}

impl Wake for Noting {
    fn wake(self: Arc<Self>) {
        self.note();
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}

/// A running shard thread.
#[derive(Debug)]
pub struct Running(ExecutorJoinHandle<()>);

impl Running {
    /// Waits for its end; an error: the executor failed or panicked.
    pub fn join(self) -> Result<(), String> {
        self.0.join().map_err(|error| error.to_string())
    }
}

/// Starts a thread pinned to `cpu` that runs `main` in the session queue. When `main` has ended and no task is runnable, the
/// thread ends: background work must have been told to.
pub fn start<F>(cpu: usize, name: &str, main: impl FnOnce(Queues) -> F + Send + 'static) -> io::Result<Running>
where
    F: Future<Output = ()> + 'static,
{
    LocalExecutorBuilder::new(Placement::Fixed(cpu))
        .name(name)
        .io_memory(64 * 1024)
        .preempt_timer(Duration::from_secs(3600))
        .spawn(move || async move {
            let executor = glommio::executor();
            let matters = Latency::Matters(Duration::from_secs(3600));
            let sessions = executor.create_task_queue(Shares::Static(1000), matters, "sessions");
            let background = executor.create_task_queue(Shares::Static(50), Latency::NotImportant, "background");
            let queues =
                Queues { sessions, background, polls: Rc::default(), awake: Arc::default(), over: Rc::default() };
            let (polls, over) = (queues.polls.clone(), queues.over.clone());
            let whole = Box::pin(async move {
                main(queues).await;
                over.set(true);
            });
            if let Ok(task) = glommio::spawn_local_into(counted(polls, whole), sessions) {
                task.await;
            }
        })
        .map(Running)
        .map_err(|error| io::Error::other(error.to_string()))
}

impl Queues {
    /// Runs `future` among the sessions. It must not panic: see [`contained`]. A pinned box is such a future: the task, of
    /// which each connection has one, holds no more than the pointer.
    pub fn spawn_session(&self, future: impl Future<Output = ()> + Unpin + 'static) {
        if let Ok(task) = glommio::spawn_local_into(counted(self.polls.clone(), future), self.sessions) {
            task.detach();
        }
    }

    /// Runs the driver, [`drive`], among the sessions: the one task there whose own polls say nothing.
    pub fn spawn_driver(&self, driver: impl Future<Output = ()> + 'static) {
        if let Ok(task) = glommio::spawn_local_into(driver, self.sessions) {
            task.detach();
        }
    }

    /// Runs `future` when the sessions leave time, or for a twentieth of it. Where it panics the process ends: nobody else
    /// would do its work. `ring` is the shard's.
    pub fn spawn_background(&self, name: &'static str, ring: &Ring, future: impl Future<Output = ()> + 'static) {
        let (awake, ring) = (self.awake.clone(), ring.clone());
        let mut future = contained(future);
        let noting = Arc::new(Noting { awake: awake.clone(), woken: Default::default(), task: OnceLock::new() });
        noting.note();
        let waker = Waker::from(noting.clone());
        let guarded = std::future::poll_fn(move |context| {
            // A task keeps its waker for life.
            noting.task.get_or_init(|| context.waker().clone());
            noting.forget();
            let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
            if let Poll::Ready(Err(panic)) = &polled {
                tracing::error!(task = name, panic, "a background task panicked; stopping");
                std::process::abort();
            }
            // The last one to rest wakes the driver, which is the one to sleep.
            if awake.tasks.value() == 0 {
                ring.kick();
            }
            polled.map(drop)
        });
        if let Ok(task) = glommio::spawn_local_into(guarded, self.background) {
            task.detach();
        }
    }
}

/// A future whose polls are counted. All session tasks are such: the driver sleeps only where none was runnable.
fn counted(polls: Rc<Cell<u64>>, mut future: impl Future<Output = ()> + Unpin) -> impl Future<Output = ()> {
    std::future::poll_fn(move |context| {
        polls.set(polls.get() + 1);
        Pin::new(&mut future).poll(context)
    })
}

/// A future whose panics are caught: `Err` is what it said.
pub fn contained<F: Future>(future: F) -> Contained<F> {
    Contained(Box::pin(future))
}

/// See [`contained`].
#[derive(Debug)]
pub struct Contained<F>(Pin<Box<F>>);

impl<F: Future> Future for Contained<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => {
                let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
                let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
                Poll::Ready(Err(said.unwrap_or_else(|| "no message".to_owned())))
            }
        }
    }
}

/// Where background work takes breath: call [`Breath::take`] every few microseconds of work.
#[derive(Clone, Debug)]
pub struct Breath {
    ring: Ring,
    bell: Arc<Doorbell>,
    since: Rc<Cell<Instant>>,
    looked: Rc<Cell<Instant>>,
}

impl Breath {
    /// For the background tasks of the shard of `ring` that `bell` wakes.
    pub fn new(ring: &Ring, bell: &Arc<Doorbell>) -> Breath {
        let now = Rc::new(Cell::new(Instant::now()));
        Breath { ring: ring.clone(), bell: bell.clone(), since: now.clone(), looked: Rc::new(Cell::new(now.get())) }
    }

    /// Lets the sessions run if it is time.
    pub async fn take(&self) {
        if self.since.get().elapsed() < BACKGROUND_SLICE {
            return;
        }
        // The driver rests while there is background work: who works looks for it. Now and then it turns for nothing, which
        // tells the watchdog that the shard is alive.
        let alive = self.looked.get().elapsed() < SIGN_OF_LIFE;
        if !alive || self.ring.has_work() || self.bell.rung() {
            self.looked.set(Instant::now());
            self.ring.kick();
        }
        glommio::executor().yield_task_queue_now().await;
        self.since.set(Instant::now());
    }
}

/// Turns the ring for as long as the shard lives: hands out completions and hops, and sleeps when there are none.
/// It ends with the shard's main task, or with the ring's error.
pub async fn drive(ring: Ring, post: Rc<Post>, queues: Queues, counters: Arc<metrics::Shard>) -> io::Result<()> {
    hear_bell(&ring, &post, &queues)?;
    let mut turns = 0;
    let mut slice = Instant::now();
    let mut sleep = false;
    // The end of the last turn, where nothing but sessions ran since.
    let mut before = None;
    while !queues.over.get() {
        let turned = ring.turn(sleep);
        if sleep {
            slice = ring.now();
        } else if let Some(before) = before {
            note_stall(&counters, ring.now() - before);
        }
        before = Some(ring.now());
        turns += 1;
        counters.turns.set(turns);
        if post.bell().answer() {
            post.collect();
        }
        let completions = turned?.completions;
        sleep = false;
        let polls = queues.polls.get();
        yield_now().await;
        if completions > 0 || queues.polls.get() != polls || ring.has_work() {
            if ring.now() - slice >= limits::SESSION_SLICE {
                glommio::executor().yield_task_queue_now().await;
                slice = Instant::now();
            }
        } else if queues.awake.tasks.value() > 0 {
            rest(&ring).await;
            slice = Instant::now();
            before = None;
        } else {
            // No task is runnable. False: the bell was rung, and is answered behind the next turn.
            sleep = post.bell().sleep();
        }
    }
    Ok(())
}

/// A turn that came late kept every session of the shard waiting.
fn note_stall(counters: &metrics::Shard, gap: Duration) {
    if gap >= limits::STALL_MIN {
        counters.stalls.add(1);
        counters.stalled.add(u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX));
        tracing::debug!(?gap, "a turn came late");
    }
}

/// Leaves the core to background work, until that sees something to do or rests itself.
async fn rest(ring: &Ring) {
    std::future::poll_fn(|context| {
        if ring.unpark() {
            return Poll::Ready(());
        }
        ring.park(context.waker());
        Poll::Pending
    })
    .await;
}

/// Has the ring read the bell's eventfd, again and again: a ring of the bell is a completion.
fn hear_bell(ring: &Ring, post: &Post, queues: &Queues) -> io::Result<()> {
    let eventfd = ring.descriptor(post.bell().descriptor().try_clone_to_owned()?);
    queues.spawn_session(Box::pin(async move {
        loop {
            if let Err(error) = eventfd.read(0, 8).await {
                tracing::error!(%error, "cannot read a shard's eventfd");
                std::process::abort();
            }
        }
    }));
    Ok(())
}
