//! Counters that any thread may read while their shard writes them.
//!
//! Relaxed atomics, no locks: a reader sees each number as it was a moment ago, and two of them not of the same moment.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread moves and others read.
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

    /// Sets it; for a single writer this is cheaper than adding.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The present value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a shard shows of itself.
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
}
