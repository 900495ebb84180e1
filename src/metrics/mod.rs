//! What the server counts and measures of itself.
//!
//! Two kinds: a [`Counter`] may be read by any thread (relaxed atomics, no locks: two of them are not of the same moment); a
//! [`Meter`] is a shard's own, plain numbers and histograms that cost a command a few additions, and others ask the shard for
//! a [`Snapshot`]. Totals only grow, so that a reader may take differences.
//! Not here: how it is shown, which is the control room's.

mod meter;
mod verb;

use std::sync::atomic::{AtomicU64, Ordering};

pub use meter::{Meter, Snapshot, Spread, Tally};
pub use verb::{Ending, PROTOCOLS, Verb};

/// A number that some threads move and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes `count` away.
    pub fn subtract(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    /// Sets it: where one thread alone moves it this is cheaper than adding.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The present value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a shard shows of itself without being asked.
#[derive(Debug, Default)]
pub struct Shard {
    /// Turns of its ring: the watchdog's sign of life.
    pub turns: Counter,
    /// Connections now.
    pub connections: Counter,
    /// Connections ever, adopted ones included.
    pub accepted: Counter,
    /// Connections that came from another shard.
    pub adopted: Counter,
    /// Connection tasks that panicked.
    pub panics: Counter,
    /// Turns that came later than [`crate::limits::STALL_MIN`] after the one before, though there was no rest between.
    pub stalls: Counter,
    /// How long those took together. Nanoseconds.
    pub stalled: Counter,
    /// Times that the watchdog poked it.
    pub pokes: Counter,
}

/// How far the server's life has come, for those who ask from outside.
#[derive(Debug, Default)]
pub struct Phase(Counter);

/// What a [`Phase`] is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Not every listener is open yet.
    Starting,
    /// Every listener is open.
    Ready,
    /// Listeners are closed; sessions say goodbye.
    Stopping,
}

impl Phase {
    /// Every listener is open; without effect on a server that stops already.
    pub fn ready(&self) {
        if self.stage() == Stage::Starting {
            self.0.set(1);
        }
    }

    /// The server stops.
    pub fn stopping(&self) {
        self.0.set(2);
    }

    /// The present stage.
    pub fn stage(&self) -> Stage {
        match self.0.value() {
            0 => Stage::Starting,
            1 => Stage::Ready,
            _ => Stage::Stopping,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_goes_forward_only() {
        let phase = Phase::default();
        assert_eq!(phase.stage(), Stage::Starting);
        phase.ready();
        assert_eq!(phase.stage(), Stage::Ready);
        phase.stopping();
        phase.ready();
        assert_eq!(phase.stage(), Stage::Stopping);
    }
}
