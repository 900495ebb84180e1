//! The executor of a shard: glommio pins the thread, runs the tasks and shares the core; nothing else names it.
//!
//! What was measured of glommio 0.9 and is kept to here (each has a test in tests/shard.rs):
//! - it can park with a runnable task when its preemption timer fires first: the timer is an hour, preemption is ours;
//! - a pending glommio I/O future clones a waker into a 16-bit count at each poll: one task alone, the bridge, polls one;
//! - cross-thread wakers never fire under `NotImportant` while another queue is busy: sessions are `Latency::Matters`
//!   with a period too long to matter;
//! - background work that yields only within its queue starves the sessions: [`Breath`] yields the queue and kicks the driver;
//! - a panic in a task ends the executor: [`contained`] catches it; background panics abort the process.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use glommio::{ExecutorJoinHandle, Latency, LocalExecutorBuilder, Placement, Shares, TaskQueueHandle};

use crate::hop::{Doorbell, Post};
use crate::io::{Ring, yield_now};
use crate::metrics;

/// After this long the driver lets background tasks run.
const SESSION_SLICE: Duration = Duration::from_micros(200);
/// After this long background work lets the sessions run.
const BACKGROUND_SLICE: Duration = Duration::from_micros(50);

/// The two task queues of a shard.
#[derive(Clone, Copy, Debug)]
pub struct Queues {
    sessions: TaskQueueHandle,
    background: TaskQueueHandle,
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
            let queues = Queues { sessions, background };
            if let Ok(task) = glommio::spawn_local_into(main(queues), sessions) {
                task.await;
            }
        })
        .map(Running)
        .map_err(|error| io::Error::other(error.to_string()))
}

impl Queues {
    /// Runs `future` among the sessions. It must not panic: see [`contained`].
    pub fn spawn_session(&self, future: impl Future<Output = ()> + 'static) {
        if let Ok(task) = glommio::spawn_local_into(future, self.sessions) {
            task.detach();
        }
    }

    /// Runs `future` when the sessions leave time, or for a twentieth of it. Where it panics the process ends: nobody else
    /// would do its work.
    pub fn spawn_background(&self, name: &'static str, future: impl Future<Output = ()> + 'static) {
        let guarded = async move {
            if let Err(panic) = contained(future).await {
                tracing::error!(task = name, panic, "a background task panicked; stopping");
                std::process::abort();
            }
        };
        if let Ok(task) = glommio::spawn_local_into(guarded, self.background) {
            task.detach();
        }
    }
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
}

impl Breath {
    /// For the background tasks of the shard of `ring` that `bell` wakes.
    pub fn new(ring: &Ring, bell: &Arc<Doorbell>) -> Breath {
        Breath { ring: ring.clone(), bell: bell.clone(), since: Rc::new(Cell::new(Instant::now())) }
    }

    /// Lets the sessions run if it is time.
    pub async fn take(&self) {
        if self.since.get().elapsed() < BACKGROUND_SLICE {
            return;
        }
        // A driver that parked does not see what came since: its bridge is polled only when every queue is empty.
        if self.ring.has_work() || self.bell.rung() {
            self.ring.kick();
        }
        glommio::executor().yield_task_queue_now().await;
        self.since.set(Instant::now());
    }
}

/// Turns the ring for as long as the shard lives: hands out completions and hops, and parks when there are none.
/// It ends with the ring's error.
pub async fn drive(ring: Ring, post: Rc<Post>, queues: Queues, counters: Arc<metrics::Shard>) -> io::Error {
    if let Err(error) = watch_bell(&ring, &post, queues) {
        return error;
    }
    let mut turns = 0;
    let mut slice = Instant::now();
    loop {
        let turn = match ring.turn(false) {
            Ok(turn) => turn,
            Err(error) => return error,
        };
        turns += 1;
        counters.turns.set(turns);
        if post.bell().answer() {
            post.collect();
        }
        if turn.completions > 0 || ring.has_work() {
            yield_now().await;
            if ring.now() - slice >= SESSION_SLICE {
                glommio::executor().yield_task_queue_now().await;
                slice = Instant::now();
            }
            continue;
        }
        park(&ring, &post).await;
        slice = Instant::now();
    }
}

/// Sleeps until a completion, a hop or a push by another task of this shard.
async fn park(ring: &Ring, post: &Post) {
    ring.watch(true);
    // The order matters: signals on, then look once more, then say that we sleep.
    if !ring.has_work() && post.bell().sleep() {
        std::future::poll_fn(|context| {
            if ring.unpark() {
                return Poll::Ready(());
            }
            ring.park(context.waker());
            Poll::Pending
        })
        .await;
    }
    ring.watch(false);
}

/// Starts the bridge: the one task that reads the bell's eventfd through glommio, in a loop, and kicks the driver.
fn watch_bell(ring: &Ring, post: &Post, queues: Queues) -> io::Result<()> {
    let descriptor = post.bell().descriptor();
    ring.register_eventfd(descriptor)?;
    let copy = descriptor.try_clone_to_owned()?;
    // SAFETY: the copy is owned, and handed over whole.
    let eventfd = unsafe { glommio::io::BufferedFile::from_raw_fd(copy.into_raw_fd()) };
    let ring = ring.clone();
    queues.spawn_session(async move {
        loop {
            if let Err(error) = eventfd.read_at(0, 8).await {
                tracing::error!(%error, "cannot read a shard's eventfd");
                std::process::abort();
            }
            ring.kick();
        }
    });
    Ok(())
}
