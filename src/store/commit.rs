//! From a change that was submitted to one that everybody sees: the queue before the log, the writer, publication.
//!
//! Invariants: a change is numbered when it is submitted and published in that order; nothing is published before the
//! log said that it is durable; what arrives while a write is under way is one group, the next; a change that could not
//! be handed to the log is failed together with everything behind it. No borrow is held while a change is applied or a
//! waiter woken.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::account::AccountState;
use super::change::Change;
use super::log_record::{Batch, RECORD_ALIGNMENT, RECORD_HEADER_BYTES};
use super::seams::{CommitLog, Lost, Lsn, Refusal};
#[cfg(test)]
use super::types::AccountId;
use super::types::Error;
use crate::limits::{LOG_BATCH_BYTES_MAX, LOG_QUEUED_BYTES_MAX, LOG_UNSEALED_BYTES_MAX};

/// What a waiter waits on.
#[derive(Default)]
pub(super) struct Done {
    outcome: RefCell<Option<Result<(), Error>>>,
    waker: Cell<Option<Waker>>,
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "done: {:?}", self.outcome.borrow())
    }
}

impl Done {
    fn complete(&self, outcome: Result<(), Error>) {
        *self.outcome.borrow_mut() = Some(outcome);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Resolves when the change is durable and published, or failed.
    pub(super) async fn wait(self: Rc<Done>) -> Result<(), Error> {
        poll_fn(|context| {
            if let Some(outcome) = self.outcome.borrow_mut().take() {
                return Poll::Ready(outcome);
            }
            self.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

/// One commit: what a write and its sync carried, and how long they took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommitTook {
    /// Records.
    pub records: u32,
    /// Octets, headers and padding included.
    pub bytes: usize,
    /// From the moment it was handed to the log until it was durable.
    pub nanoseconds: u64,
}

struct Pending {
    account: Rc<AccountState>,
    seq: u64,
    change: Change,
    done: Rc<Done>,
}

/// Changes between submission and publication.
pub(super) struct Commits {
    log: Rc<dyn CommitLog>,
    queue: RefCell<Queue>,
}

#[derive(Default)]
struct Queue {
    /// In the order of their numbers; the first `in_flight` of them are with the log.
    pending: VecDeque<Pending>,
    in_flight: usize,
    /// What the rest is encoded in; the last batch is still filled.
    batches: VecDeque<Batch>,
    bytes: usize,
    /// Bytes of the batch that is with the log.
    writing_bytes: usize,
    /// Somebody waits for what is in the queue.
    urgent: bool,
    published: Lsn,
    /// Bytes in the log that are not sealed.
    unsealed: u64,
    lost: bool,
    writer: Option<Waker>,
    flushers: Vec<Rc<Done>>,
}

impl Commits {
    pub(super) fn new(log: Rc<dyn CommitLog>) -> Commits {
        Commits { log, queue: RefCell::default() }
    }

    pub(super) fn log(&self) -> &dyn CommitLog {
        &*self.log
    }

    /// Whether the log holds as much as it may that is not sealed.
    pub(super) fn is_unsealed_full(&self) -> bool {
        self.queue.borrow().unsealed > LOG_UNSEALED_BYTES_MAX
    }

    /// Whether a change of `bytes` may be submitted now.
    pub(super) fn check_room(&self, bytes: usize) -> Result<(), Error> {
        let queue = self.queue.borrow();
        if queue.lost {
            return Err(Error::lost());
        }
        if queue.bytes + bytes > LOG_QUEUED_BYTES_MAX || queue.unsealed > LOG_UNSEALED_BYTES_MAX {
            return Err(Error::Busy);
        }
        Ok(())
    }

    /// Takes a change that has its number. `urgent`: it goes to the log at once, otherwise with the next that is.
    pub(super) fn submit(&self, account: &Rc<AccountState>, seq: u64, change: Change, urgent: bool) -> Rc<Done> {
        let done = Rc::new(Done::default());
        let queue = &mut *self.queue.borrow_mut();
        if queue.lost {
            done.complete(Err(Error::lost()));
            return done;
        }
        let room = RECORD_HEADER_BYTES + change.encoded_bytes() + RECORD_ALIGNMENT;
        let full = queue.batches.back().is_none_or(|batch| batch.len() + room > LOG_BATCH_BYTES_MAX);
        if full {
            queue.batches.push_back(self.log.batch());
        }
        if let Some(batch) = queue.batches.back_mut() {
            let before = batch.len();
            batch.push(account.id(), seq, change.kind(), |out| change.encode(out));
            queue.bytes += batch.len() - before;
        }
        queue.pending.push_back(Pending { account: account.clone(), seq, change, done: done.clone() });
        queue.urgent |= urgent;
        if urgent && let Some(writer) = queue.writer.take() {
            writer.wake();
        }
        done
    }

    /// Resolves when everything that was submitted is durable and published.
    pub(super) async fn flush(&self) -> Result<(), Error> {
        let done = {
            let queue = &mut *self.queue.borrow_mut();
            if queue.lost {
                return Err(Error::lost());
            }
            if queue.pending.is_empty() {
                return Ok(());
            }
            let done = Rc::new(Done::default());
            queue.flushers.push(done.clone());
            queue.urgent = true;
            if let Some(writer) = queue.writer.take() {
                writer.wake();
            }
            done
        };
        done.wait().await
    }

    /// The last record that is published, and the bytes in the log that are not sealed.
    pub(super) fn published(&self) -> (Lsn, u64) {
        let queue = self.queue.borrow();
        (queue.published, queue.unsealed)
    }

    /// A checkpoint sealed so many bytes.
    pub(super) fn sealed(&self, bytes: u64) {
        let mut queue = self.queue.borrow_mut();
        queue.unsealed = queue.unsealed.saturating_sub(bytes);
    }

    /// Counts what lies outside the log and waits for a checkpoint as well.
    pub(super) fn count_unsealed(&self, bytes: u64) {
        self.queue.borrow_mut().unsealed += bytes;
    }

    pub(super) fn is_lost(&self) -> bool {
        self.queue.borrow().lost
    }

    /// Whether a change is neither published nor refused.
    #[cfg(test)]
    pub(super) fn is_waiting(&self, account: AccountId, seq: u64) -> bool {
        let queue = self.queue.borrow();
        queue.pending.iter().any(|pending| pending.seq == seq && pending.account.id() == account)
    }

    /// Writes what is submitted, for as long as the log lives. `published` is told after every group; `clock` says how long
    /// it is since any fixed moment.
    pub(super) async fn write(&self, clock: impl Fn() -> Duration, mut published: impl FnMut(CommitTook)) -> Lost {
        let mut handed = Duration::ZERO;
        poll_fn(|context| {
            loop {
                self.queue.borrow_mut().writer = Some(context.waker().clone());
                if self.feed() {
                    handed = clock();
                }
                match self.log.poll_durable(context) {
                    Poll::Ready(Ok(lsn)) => {
                        let took = self.took(clock().saturating_sub(handed));
                        self.publish(lsn);
                        published(took);
                    }
                    Poll::Ready(Err(lost)) => {
                        self.lose();
                        return Poll::Ready(lost);
                    }
                    // A spare segment may just have come, with a batch that waits for it.
                    Poll::Pending if self.feed() => handed = clock(),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    fn took(&self, time: Duration) -> CommitTook {
        let queue = self.queue.borrow();
        CommitTook {
            records: queue.in_flight as u32,
            bytes: queue.writing_bytes,
            nanoseconds: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// Hands the next batch to the log where nothing is under way; true: it did.
    fn feed(&self) -> bool {
        let queue = &mut *self.queue.borrow_mut();
        if queue.in_flight > 0 || queue.lost || !(queue.urgent || queue.batches.len() > 1) {
            return false;
        }
        let Some(bytes) = queue.batches.front().map(Batch::len) else {
            queue.urgent = false;
            return false;
        };
        let Some(permit) = self.log.reserve(bytes) else {
            if self.log.refusal() == Refusal::Full {
                Self::fail_waiting(queue, &Error::Full);
            }
            return false;
        };
        if let Some(batch) = queue.batches.pop_front() {
            queue.in_flight = batch.offsets().len();
            queue.writing_bytes = bytes;
            queue.urgent = !queue.batches.is_empty() || !queue.flushers.is_empty();
            self.log.submit(permit, batch);
        }
        true
    }

    /// Applies the group that became durable, change by change, and wakes who waits for it.
    fn publish(&self, lsn: Lsn) {
        loop {
            let pending = {
                let queue = &mut *self.queue.borrow_mut();
                if queue.in_flight == 0 {
                    break;
                }
                queue.in_flight -= 1;
                queue.pending.pop_front()
            };
            if let Some(Pending { account, seq, change, done }) = pending {
                account.apply(seq, change);
                done.complete(Ok(()));
            }
        }
        let flushed = {
            let queue = &mut *self.queue.borrow_mut();
            queue.published = lsn;
            queue.bytes -= queue.writing_bytes;
            queue.unsealed += std::mem::take(&mut queue.writing_bytes) as u64;
            if queue.pending.is_empty() { std::mem::take(&mut queue.flushers) } else { Vec::new() }
        };
        flushed.iter().for_each(|done| done.complete(Ok(())));
    }

    /// Fails everything that is not with the log. Numbers that were given out stay unused.
    fn fail_waiting(queue: &mut Queue, error: &Error) {
        for pending in queue.pending.drain(queue.in_flight..).rev() {
            pending.account.forget(&pending.change);
            pending.done.complete(Err(error.clone()));
        }
        queue.bytes -= queue.batches.drain(..).map(|batch| batch.len()).sum::<usize>();
        queue.urgent = false;
        std::mem::take(&mut queue.flushers).iter().for_each(|done| done.complete(Err(error.clone())));
    }

    fn lose(&self) {
        let queue = &mut *self.queue.borrow_mut();
        queue.lost = true;
        queue.in_flight = 0;
        Self::fail_waiting(queue, &Error::lost());
    }
}
