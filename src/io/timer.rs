//! A hierarchical timer wheel: deadlines of a shard's connections, one ring timeout for the next of them.
//!
//! Moving a deadline is one store unless it comes before the one that the entry was linked for (the entry is moved when its
//! old slot comes up), because that is what every command of every session does. A tick is 8 ms, so a timer may fire up
//! to that late.
//! After Varghese and Lauck, "Hashed and hierarchical timing wheels" (1987).

use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::ring::Ring;

const TICK_MILLIS: u64 = 8;
const LEVELS: usize = 5;
const SLOTS: usize = 64;
const NIL: u32 = u32::MAX;

struct Entry {
    /// Where it is linked, or `None`.
    slot: Option<u16>,
    previous: u32,
    next: u32,
    deadline: u64,
    /// The deadline that its slot was chosen for, never after `deadline`.
    linked_for: u64,
    fired: bool,
    waker: Option<Waker>,
}

/// The wheel. Ticks count from its making.
pub(super) struct Wheel {
    start: Instant,
    now: u64,
    heads: Box<[u32; LEVELS * SLOTS]>,
    occupied: [u64; LEVELS],
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// The tick that the ring's timeout is armed for.
    pub(super) armed: Option<u64>,
}

impl Wheel {
    pub(super) fn new(start: Instant) -> Wheel {
        Wheel {
            start,
            now: 0,
            heads: Box::new([NIL; LEVELS * SLOTS]),
            occupied: [0; LEVELS],
            entries: Vec::new(),
            free: Vec::new(),
            armed: None,
        }
    }

    fn tick_of(&self, at: Instant) -> u64 {
        // Rounded up: never early.
        (at.saturating_duration_since(self.start).as_millis() as u64).div_ceil(TICK_MILLIS)
    }

    /// When `tick` begins.
    pub(super) fn instant_of(&self, tick: u64) -> Instant {
        self.start + Duration::from_millis(tick * TICK_MILLIS)
    }

    fn add(&mut self) -> u32 {
        let entry =
            Entry { slot: None, previous: NIL, next: NIL, deadline: 0, linked_for: 0, fired: false, waker: None };
        self.free.pop().unwrap_or_else(|| {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        })
    }

    fn set(&mut self, index: u32, at: Instant) {
        let deadline = self.tick_of(at).max(self.now + 1);
        let entry = &mut self.entries[index as usize];
        let stays = entry.slot.is_some() && deadline >= entry.linked_for;
        entry.deadline = deadline;
        entry.fired = false;
        if !stays {
            self.unlink(index);
            self.link(index);
        }
    }

    fn link(&mut self, index: u32) {
        let deadline = self.entries[index as usize].deadline;
        self.entries[index as usize].linked_for = deadline;
        let distance = deadline ^ self.now;
        // The level is that of the highest six bits in which the deadline differs from now.
        let level = if distance == 0 { 0 } else { ((63 - distance.leading_zeros()) / 6) as usize }.min(LEVELS - 1);
        let within = (deadline >> (6 * level)) as usize % SLOTS;
        let slot = level * SLOTS + within;
        let head = self.heads[slot];
        if head != NIL {
            self.entries[head as usize].previous = index;
        }
        let entry = &mut self.entries[index as usize];
        (entry.slot, entry.previous, entry.next) = (Some(slot as u16), NIL, head);
        self.heads[slot] = index;
        self.occupied[level] |= 1 << within;
    }

    fn unlink(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        let Some(slot) = entry.slot.take() else { return };
        let (previous, next) = (entry.previous, entry.next);
        if next != NIL {
            self.entries[next as usize].previous = previous;
        }
        if previous != NIL {
            self.entries[previous as usize].next = next;
        } else {
            self.heads[usize::from(slot)] = next;
            if next == NIL {
                self.occupied[usize::from(slot) / SLOTS] &= !(1 << (usize::from(slot) % SLOTS));
            }
        }
    }

    /// Fires everything now, whatever its deadline.
    pub(super) fn fire_all(&mut self, due: &mut Vec<Waker>) {
        for index in 0..self.entries.len() as u32 {
            if self.entries[index as usize].slot.is_some() {
                self.unlink(index);
                let entry = &mut self.entries[index as usize];
                entry.fired = true;
                due.extend(entry.waker.take());
            }
        }
    }

    fn remove(&mut self, index: u32) {
        self.unlink(index);
        let entry = &mut self.entries[index as usize];
        entry.waker = None;
        entry.fired = false;
        self.free.push(index);
    }

    /// The next tick at which a slot comes up, if any.
    pub(super) fn next(&self) -> Option<u64> {
        for level in 0..LEVELS {
            let shift = 6 * level;
            let within = (self.now >> shift) % SLOTS as u64;
            // Slots of this level that lie after the present one, in its present turn; the last level wraps.
            let ahead = self.occupied[level].rotate_right(within as u32 + 1);
            if ahead == 0 {
                continue;
            }
            let steps = u64::from(ahead.trailing_zeros()) + 1;
            return Some(((self.now >> shift) + steps) << shift);
        }
        None
    }

    /// Moves to `now` and collects the wakers of what is due.
    pub(super) fn expire(&mut self, now: Instant, due: &mut Vec<Waker>) {
        let target = now.saturating_duration_since(self.start).as_millis() as u64 / TICK_MILLIS;
        while let Some(tick) = self.next().filter(|tick| *tick <= target) {
            self.now = tick;
            for level in (0..LEVELS).rev() {
                // A level's slot comes up when all lower bits are zero.
                if tick & ((1 << (6 * level)) - 1) == 0 {
                    self.empty(level * SLOTS + (tick >> (6 * level)) as usize % SLOTS, due);
                }
            }
        }
        self.now = self.now.max(target);
    }

    fn empty(&mut self, slot: usize, due: &mut Vec<Waker>) {
        let mut index = std::mem::replace(&mut self.heads[slot], NIL);
        self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        while index != NIL {
            let entry = &mut self.entries[index as usize];
            let next = entry.next;
            entry.slot = None;
            if entry.deadline <= self.now {
                entry.fired = true;
                due.extend(entry.waker.take());
            } else {
                self.link(index);
            }
            index = next;
        }
    }
}

/// One deadline that can be moved; removed on drop.
pub struct Timer {
    ring: Ring,
    index: u32,
}

impl Ring {
    /// A timer without a deadline yet.
    pub fn timer(&self) -> Timer {
        let index = self.wheel().borrow_mut().add();
        Timer { ring: self.clone(), index }
    }

    /// Fires every timer at once: who waits looks up why (the server stops, say).
    pub fn fire_all_timers(&self) {
        let mut due = Vec::new();
        self.wheel().borrow_mut().fire_all(&mut due);
        due.into_iter().for_each(Waker::wake);
    }

    /// Waits for `time`, to the tick (8 ms).
    pub async fn sleep(&self, time: Duration) {
        let timer = self.timer();
        timer.set(self.now() + time);
        timer.wait().await;
    }
}

impl Timer {
    /// Sets or moves the deadline.
    pub fn set(&self, at: Instant) {
        let mut wheel = self.ring.wheel().borrow_mut();
        wheel.set(self.index, at);
        let (armed, next) = (wheel.armed, wheel.next());
        drop(wheel);
        if next.is_some_and(|next| armed.is_none_or(|armed| next < armed)) {
            self.ring.arm_timeout();
        }
    }

    /// Ready once the deadline has passed.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut wheel = self.ring.wheel().borrow_mut();
        let entry = &mut wheel.entries[self.index as usize];
        if entry.fired {
            return Poll::Ready(());
        }
        if !entry.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            entry.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// The same as a future.
    pub fn wait(&self) -> impl Future<Output = ()> + '_ {
        std::future::poll_fn(|context| self.poll(context))
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Timer({})", self.index)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.ring.wheel().borrow_mut().remove(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every deadline fires at its tick, never before it, whatever the distance and however often it was moved.
    #[test]
    fn fires_each_deadline_once_and_never_early() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let mut seed = 42u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let mut now = start;
        let mut due = Vec::new();
        let timers: Vec<u32> = (0..500).map(|_| wheel.add()).collect();
        let mut deadlines = vec![None; timers.len()];
        for _ in 0..20_000 {
            let which = random() as usize % timers.len();
            let bits = random() % 24;
            let at = now + Duration::from_millis(random() % (2 << bits));
            wheel.set(timers[which], at);
            deadlines[which] = Some(at);
            now += Duration::from_millis(random() % 50);
            wheel.expire(now, &mut due);
            for (timer, deadline) in timers.iter().zip(&mut deadlines) {
                let fired = wheel.entries[*timer as usize].fired;
                if let Some(at) = *deadline {
                    assert!(!fired || at <= now, "fired {:?} early", at - now);
                    // Set in the past means the next tick; so two ticks of grace.
                    assert!(fired || at + Duration::from_millis(2 * TICK_MILLIS) > now, "late by {:?}", now - at);
                }
                if fired {
                    *deadline = None;
                }
            }
        }
        wheel.expire(now + Duration::from_secs(100_000), &mut due);
        assert!(wheel.next().is_none());
    }
}
