//! When operations are due, and on which connection they go out.
//!
//! In a closed loop the next operation is due when the one before it was answered. In an open loop the time is given, by a rate
//! for all connections or by each user's think times, and a slow server moves nothing: an operation that waits for a
//! connection keeps the time at which it was due, and its latency counts from there (Tene, "How NOT to Measure Latency").
//! What the client itself is late by is recorded apart ([`crate::tally::Tally::lag`]).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use mio::Registry;

use super::{Loop, Loss, Phase, RunError};
use crate::limits::BACKLOG_MAX;
use crate::random::Random;

/// How the operations of a run follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Closed loop: as soon as the one before it was answered.
    Saturate,
    /// Open loop: so many a second, over all connections.
    Rate {
        /// Operations a second.
        per_second: f64,
        /// True: with the gaps of a Poisson process; false: constant ones.
        poisson: bool,
    },
    /// Open loop: each connection by its user's think times, which pass at this speed.
    Think {
        /// 2: in half the time.
        speed: f64,
    },
}

/// What is to be done at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A user's next operation is due.
    Due,
    /// A connection may be opened again.
    Open,
    /// A throttled connection may go on.
    Pump,
    /// Connections of the run's storm of this number are dropped.
    Storm,
}

/// The times to come.
#[derive(Debug)]
pub(super) struct Schedule {
    timers: BinaryHeap<Reverse<(Instant, usize, Timer)>>,
    next_arrival: Option<Instant>,
    /// When the operations were due that no connection was free for.
    pub(super) backlog: VecDeque<Instant>,
    free: VecDeque<usize>,
    random: Random,
}

impl Schedule {
    pub(super) fn new(seed: u64) -> Schedule {
        Schedule {
            timers: BinaryHeap::new(),
            next_arrival: None,
            backlog: VecDeque::new(),
            free: VecDeque::new(),
            random: Random::new(seed),
        }
    }

    pub(super) fn at(&mut self, time: Instant, index: usize, timer: Timer) {
        self.timers.push(Reverse((time, index, timer)));
    }

    /// The time of the next of them.
    pub(super) fn next(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((time, ..))| *time);
        timer.into_iter().chain(self.next_arrival).min()
    }
}

impl Loop<'_> {
    /// The load begins: set-up is over, or there was none.
    pub(super) fn begin(&mut self, registry: &Registry) -> Result<(), RunError> {
        self.phase = Phase::WarmUp;
        for (number, storm) in self.plan.storms.iter().enumerate() {
            self.schedule.at(self.now + storm.every, number, Timer::Storm);
        }
        if let Pace::Rate { .. } = self.plan.pace {
            self.schedule.next_arrival = Some(self.now);
        }
        for index in 0..self.connections.len() {
            let standing = self.connections[index].dialogue.is_standing();
            match self.plan.pace {
                Pace::Think { speed } => {
                    let start = self.now + self.connections[index].starts_after.div_f64(speed);
                    self.falls_due(index, start);
                }
                Pace::Saturate if !standing => self.open(index, self.now, registry)?,
                Pace::Rate { .. } if !standing => self.offer(index),
                _ => {
                    if let Err(loss) = self.top_up(index).and_then(|()| self.flush(index)) {
                        self.give_up(index, loss, registry)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn is_issuing(&self) -> bool {
        matches!(self.phase, Phase::WarmUp | Phase::Measured)
    }

    /// The user of connection `index` wants the next operation at `time`.
    pub(super) fn falls_due(&mut self, index: usize, time: Instant) {
        self.connections[index].due = Some((time, self.now));
        self.schedule.at(time, index, Timer::Due);
    }

    /// Does what is due now.
    pub(super) fn on_time(&mut self, registry: &Registry) -> Result<(), RunError> {
        while let Some(Reverse((time, index, timer))) = self.schedule.timers.peek().copied()
            && time <= self.now
        {
            self.schedule.timers.pop();
            match timer {
                Timer::Due => self.user_due(index, time, registry)?,
                Timer::Open if !self.is_issuing() => {}
                Timer::Open => self.open_again(index, registry)?,
                Timer::Pump if self.connections[index].pumped_at != Some(time) => {}
                Timer::Pump => {
                    self.connections[index].pumped_at = None;
                    self.ready(index, false, registry)?;
                }
                Timer::Storm => self.storm(index, registry)?,
            }
        }
        self.arrivals(registry)
    }

    fn open_again(&mut self, index: usize, registry: &Registry) -> Result<(), RunError> {
        let standing = self.connections[index].dialogue.is_standing();
        if matches!(self.plan.pace, Pace::Rate { .. }) && !standing {
            self.offer(index);
            return Ok(());
        }
        self.open(index, self.now, registry)
    }

    fn user_due(&mut self, index: usize, time: Instant, registry: &Registry) -> Result<(), RunError> {
        let Some((_, known)) = self.connections[index].due.filter(|(due, _)| *due == time && self.is_issuing()) else {
            return Ok(()); // it was moved
        };
        // What is due in the past, since the answer before it came late, is not the client's delay.
        self.tally.looked(self.now - time.max(known));
        let connection = &mut self.connections[index];
        connection.due = None;
        let late = *connection.late.get_or_insert(time);
        if connection.link.is_none() {
            return self.open(index, late, registry);
        }
        let done = if connection.dialogue.is_free() {
            self.top_up(index)
        } else if connection.dialogue.is_ready() {
            self.with_turn(index, |dialogue, turn| {
                dialogue.hurry(turn);
                Ok(())
            })
        } else {
            Ok(())
        };
        match done.and_then(|()| self.flush(index)) {
            Ok(()) => Ok(()),
            Err(loss) => self.give_up(index, loss, registry),
        }
    }

    /// Takes arrivals in, and gives them to connections that are free.
    fn arrivals(&mut self, registry: &Registry) -> Result<(), RunError> {
        let Pace::Rate { per_second, poisson } = self.plan.pace else { return Ok(()) };
        if !self.is_issuing() {
            return Ok(());
        }
        let gap = Duration::from_secs_f64(1.0 / per_second);
        while let Some(due) = self.schedule.next_arrival.filter(|due| *due <= self.now) {
            self.tally.looked(self.now - due);
            if self.schedule.backlog.len() < BACKLOG_MAX {
                self.schedule.backlog.push_back(due);
            } else if self.tally.recording {
                self.tally.unsent += 1;
            }
            let gap = if poisson { self.schedule.random.exponential(gap) } else { gap };
            self.schedule.next_arrival = Some(due + gap);
        }
        while !self.schedule.backlog.is_empty()
            && let Some(index) = self.schedule.free.pop_front()
        {
            let connection = &mut self.connections[index];
            connection.is_offered = false;
            if connection.link.is_none() {
                if !connection.dialogue.is_standing()
                    && let Some(due) = self.schedule.backlog.pop_front()
                {
                    self.open(index, due, registry)?;
                }
                continue;
            }
            if let Err(loss) = self.top_up(index).and_then(|()| self.flush(index)) {
                self.give_up(index, loss, registry)?;
            }
        }
        Ok(())
    }

    /// Connection `index` can take an arrival.
    pub(super) fn offer(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if !connection.is_offered {
            connection.is_offered = true;
            self.schedule.free.push_back(index);
        }
    }

    /// Starts operations on connection `index` while it is free and some are due.
    pub(super) fn top_up(&mut self, index: usize) -> Result<(), Loss> {
        while self.is_issuing() && self.connections[index].link.is_some() && self.connections[index].dialogue.is_free()
        {
            let due = match self.plan.pace {
                Pace::Saturate => self.now,
                Pace::Rate { .. } => match self.schedule.backlog.pop_front() {
                    Some(due) => due,
                    None => {
                        self.offer(index);
                        break;
                    }
                },
                Pace::Think { .. } => {
                    let connection = &mut self.connections[index];
                    let Some(late) = connection.late.take() else { break };
                    // Coming in is an operation of its own; what follows it is due when it is over.
                    if std::mem::take(&mut connection.is_fresh) { self.now } else { late }
                }
            };
            let think = self.with_turn(index, |dialogue, turn| dialogue.issue(due, turn))?;
            if let Pace::Think { speed } = self.plan.pace {
                self.falls_due(index, due + think.div_f64(speed));
            }
        }
        // One operation at a time and not free: there is room again when it was answered.
        Ok(())
    }

    /// A connection has ended: when there is to be another one.
    pub(super) fn after_end(&mut self, index: usize, pause: Duration, registry: &Registry) -> Result<(), RunError> {
        let standing = self.connections[index].dialogue.is_standing();
        match self.plan.pace {
            // A user whose operation could not be started tries again; another one is due anyway.
            Pace::Think { .. } => {
                if self.connections[index].late.is_some() {
                    self.falls_due(index, self.now + pause);
                }
            }
            Pace::Saturate if pause.is_zero() && self.is_issuing() => {
                return self.open(index, self.now, registry);
            }
            Pace::Rate { .. } if !standing && pause.is_zero() => self.offer(index),
            _ => self.schedule.at(self.now + pause, index, Timer::Open),
        }
        Ok(())
    }

    /// Drops a share of the connections at once, as a network does; their users come back at once, too.
    fn storm(&mut self, number: usize, registry: &Registry) -> Result<(), RunError> {
        let storm = &self.plan.storms[number];
        self.schedule.at(self.now + storm.every, number, Timer::Storm);
        for index in storm.connections.clone() {
            let stands = self.is_issuing() && self.connections[index].link.is_some();
            if !stands || self.schedule.random.unit() >= storm.share {
                continue;
            }
            self.connections[index].link = None;
            match self.plan.pace {
                Pace::Think { .. } => self.falls_due(index, self.now),
                _ => self.after_end(index, Duration::ZERO, registry)?,
            }
        }
        Ok(())
    }

    /// What was due and not sent by the end.
    pub(super) fn unsent(&self) -> u64 {
        let users = self.connections.iter().filter(|connection| connection.late.is_some()).count();
        (users + self.schedule.backlog.len()) as u64
    }
}
