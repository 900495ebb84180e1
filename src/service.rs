//! The threads that may block: password hashing, name look-ups, cold pages. Shards ask them by message.
//!
//! Each worker has a queue of its own and jobs go round them in turn; a job that panics is logged and answers `None`.
//! The pool bounds nothing by itself: who sends jobs on behalf of a stranger counts them first (`limits.rs`).

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use crate::hop::{Answer, Post};

type Job = Box<dyn FnOnce() + Send>;

/// A handle to the blocking threads; each thread that sends jobs has its own clone.
#[derive(Clone, Debug)]
pub struct Pool {
    workers: Vec<mpsc::Sender<Job>>,
    next: Cell<usize>,
}

impl Pool {
    /// Starts `threads` workers; they end when the last handle is dropped.
    pub fn start(threads: usize) -> std::io::Result<Pool> {
        let mut workers = Vec::with_capacity(threads);
        for number in 0..threads {
            let (sender, receiver) = mpsc::channel::<Job>();
            thread::Builder::new().name(format!("service-{number}")).spawn(move || work(&receiver))?;
            workers.push(sender);
        }
        Ok(Pool { workers, next: Cell::new(0) })
    }

    /// Runs `job` on a worker and forgets it.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        let worker = self.next.get() % self.workers.len();
        self.next.set(worker + 1);
        // A worker never ends before its sender is dropped: its panics are caught.
        let _ = self.workers[worker].send(Box::new(job));
    }

    /// Runs `job` on a worker; the answer comes back to the shard of `post`, `None` where the job panicked.
    pub fn ask<T: Send + 'static>(&self, post: &Rc<Post>, job: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
        let (reply, answer) = post.call();
        self.spawn(move || reply.send(job()));
        answer
    }
}

fn work(jobs: &mpsc::Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a service job panicked");
        }
    }
}
