//! Checkpoints: when, in which order, and what the log may forget after one.
//!
//! Invariants: one checkpoint runs at a time; the log is trimmed up to where it was before the first account was sealed,
//! and only when every account that had something in it was; a checkpoint that failed leaves everything as it was, and
//! is tried again when as much came on top. Work happens between breaths, a few dozen microseconds each.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::account::AccountState;
use super::merge::seal;
use super::types::{AccountId, Error};
use super::{Core, Slot, load};
use crate::limits::{CHECKPOINT_LOG_BYTES, CHECKPOINT_TIME};

/// When the next checkpoint is due, and whose turn it is.
pub(super) struct Gate {
    asked: Cell<bool>,
    waker: Cell<Option<Waker>>,
    threshold: Cell<u64>,
    busy: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
    /// How many there were.
    begun: Cell<u64>,
    /// How many of them are over, whatever came of them.
    ended: Cell<u64>,
}

impl Default for Gate {
    fn default() -> Self {
        Gate {
            // What earlier epochs left is sealed at the start.
            asked: Cell::new(true),
            waker: Cell::default(),
            threshold: Cell::new(CHECKPOINT_LOG_BYTES),
            busy: Cell::default(),
            waiting: RefCell::default(),
            begun: Cell::default(),
            ended: Cell::default(),
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Gate {
    /// Says how much of the log is not sealed. What a checkpoint is sealing counts until it is over: then is the time to look.
    pub(super) fn consider(&self, unsealed: u64) {
        if unsealed >= self.threshold.get() && !self.busy.get() {
            self.ask();
        }
    }

    /// How many checkpoints there were, the one that runs included.
    pub(super) fn begun(&self) -> u64 {
        self.begun.get()
    }

    pub(super) fn ask(&self) {
        self.asked.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Resolves when a checkpoint has ended, that which runs or the next one.
    async fn ended(&self) {
        let before = self.ended.get();
        self.ask();
        poll_fn(|context| {
            if self.ended.get() != before {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    async fn turn(&self) -> Turn<'_> {
        poll_fn(|context| {
            if self.busy.replace(true) {
                self.waiting.borrow_mut().push(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        Turn(self)
    }
}

struct Turn<'a>(&'a Gate);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        self.0.ended.set(self.0.ended.get() + 1);
        let waiting = std::mem::take(&mut *self.0.waiting.borrow_mut());
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Waits while the log holds as much as it may that is not sealed: who asks is slowed down to what checkpoints can do, which
/// have the core for themselves meanwhile. After two of them in vain the refusal is the caller's.
pub(super) async fn make_room(core: &Core) {
    for _ in 0..2 {
        if !core.commits.is_unsealed_full() {
            return;
        }
        core.checkpoints.ended().await;
    }
}

/// Runs checkpoints as they become due, until the store is gone or its log is lost.
pub(super) async fn run(core: Weak<Core>, breathe: impl AsyncFn()) {
    loop {
        let due = poll_fn(|context| {
            let Some(core) = core.upgrade() else { return Poll::Ready(None) };
            if core.commits.is_lost() {
                return Poll::Ready(None);
            }
            if core.checkpoints.asked.replace(false) {
                return Poll::Ready(Some(core));
            }
            core.checkpoints.waker.set(Some(context.waker().clone()));
            Poll::Pending
        });
        let Some(core) = due.await else { return };
        if let Err(error) = checkpoint(&core, &breathe).await {
            tracing::error!("a checkpoint failed: {error}");
        }
        core.checkpoints.consider(core.commits.published().1);
    }
}

/// Asks for a checkpoint when there was none for [`CHECKPOINT_TIME`] and something is not sealed; ends with the store.
pub(super) async fn by_time(core: Weak<Core>, sleep: impl AsyncFn(Duration)) {
    let begun = |core: &Weak<Core>| core.upgrade().map(|core| core.checkpoints.begun());
    while let Some(before) = begun(&core) {
        sleep(CHECKPOINT_TIME).await;
        let Some(core) = core.upgrade() else { return };
        if core.checkpoints.begun() == before && core.commits.published().1 > 0 {
            core.checkpoints.ask();
        }
    }
}

/// Seals everything that was published before it began, and trims the log.
pub(super) async fn checkpoint<B: AsyncFn()>(core: &Rc<Core>, breathe: &B) -> Result<(), Error> {
    let _turn = core.checkpoints.turn().await;
    core.checkpoints.begun.set(core.checkpoints.begun.get() + 1);
    let (upto, bytes) = core.commits.published();
    let sealed = seal_accounts(core, breathe).await;
    if let Err(error) = sealed {
        core.checkpoints.threshold.set(core.commits.published().1 + CHECKPOINT_LOG_BYTES);
        return Err(error);
    }
    core.checkpoints.threshold.set(CHECKPOINT_LOG_BYTES);
    core.commits.sealed(bytes);
    core.commits.log().trim(upto).await?;
    let done = if core.replay.borrow().is_empty() { core.on_sealed.borrow_mut().take() } else { None };
    if let Some(done) = done {
        done();
    }
    Ok(())
}

/// Seals every account that has something unsealed; the first error, after all were tried.
async fn seal_accounts<B: AsyncFn()>(core: &Rc<Core>, breathe: &B) -> Result<(), Error> {
    let mut outcome = Ok(());
    let unsealed: Vec<Rc<AccountState>> = {
        let accounts = core.accounts.borrow();
        let open = accounts.values().filter_map(|slot| match slot {
            Slot::Open(state) => Some(state),
            Slot::Opening(_) => None,
        });
        open.filter(|state| state.is_unsealed() || state.has_left_bodies()).cloned().collect()
    };
    for state in unsealed {
        if let Err(error) = seal(core, &state, breathe).await {
            outcome = outcome.and(Err(error));
        }
        core.close(&state);
    }
    loop {
        let next = {
            let (replay, stuck) = (core.replay.borrow(), core.stuck.borrow());
            replay.keys().find(|id| !stuck.contains(id)).copied()
        };
        let Some(id) = next else { return outcome };
        match seal_replayed(core, id, breathe).await {
            Ok(()) => {}
            // Its log stays until somebody repaired it; the others go on.
            Err(error @ Error::Corrupt { .. }) => {
                tracing::error!(account = id.0, "what the log has for it can't be sealed: {error}");
                core.stuck.borrow_mut().insert(id);
            }
            Err(error) => return outcome.and(Err(error)),
        }
    }
}

async fn seal_replayed<B: AsyncFn()>(core: &Rc<Core>, id: AccountId, breathe: &B) -> Result<(), Error> {
    let account = load::account(core, id).await?;
    seal(core, account.state(), breathe).await?;
    // Also where all of it was sealed before, and only the trim of the log did not happen.
    core.replay.borrow_mut().remove(&id);
    breathe().await;
    Ok(())
}
