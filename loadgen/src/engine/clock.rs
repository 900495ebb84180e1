//! The phases of a run and their times: set-up, warm-up, the measured time, drain; and what is sampled at their borders.
//!
//! Invariant: each phase has an end of its own, so that no server can make a run longer than their sum.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use mio::Registry;

use super::{AWAKE, Loop, Outcome, Phase, Plan, RunError};
use crate::limits::{DRAIN_SECONDS_MAX, SETUP_SECONDS_MAX};
use crate::machine::{Usage, own_cpu_seconds, usage};
use crate::progress::Progress;
use crate::series::{Series, Watcher};
use crate::surroundings::Moment;
use crate::tally::Tally;

/// The phases and their times.
pub(super) struct Clock<'a> {
    plan: &'a Plan,
    began: Instant,
    phase_ends: Instant,
    next_tick: Instant,
    setup_seconds: f64,
    started: Instant,
    seconds: f64,
    own_cpu: f64,
    server: Option<[Usage; 3]>,
    moments: [Option<Moment>; 2],
    progress: Progress,
    series: Series,
    next_second: Instant,
    watchers: Vec<Box<dyn Watcher>>,
}

const TICK: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);

impl<'a> Clock<'a> {
    pub(super) fn new(plan: &'a Plan, now: Instant, watchers: Vec<Box<dyn Watcher>>) -> Result<Clock<'a>, RunError> {
        let server = plan.server_pid.map(|pid| usage(pid, plan.announce)).transpose().map_err(RunError::Fatal)?;
        Ok(Clock {
            plan,
            began: now,
            phase_ends: now + Duration::from_secs(SETUP_SECONDS_MAX),
            next_tick: now + TICK,
            setup_seconds: 0.0,
            started: now,
            seconds: 0.0,
            own_cpu: 0.0,
            server: server.map(|usage| [usage; 3]),
            moments: [None; 2],
            progress: Progress::new(),
            series: Series::default(),
            next_second: now,
            watchers,
        })
    }

    /// Moves to the next phase where it is time; true: the run is over.
    pub(super) fn turn(&mut self, state: &mut Loop<'_>, registry: &Registry) -> Result<bool, RunError> {
        let over = match state.phase {
            Phase::SetUp => {
                if state.ready == state.standing || !state.sets_up() {
                    self.setup_seconds = (state.now - self.began).as_secs_f64();
                    if self.plan.announce {
                        let told = writeln!(io::stdout(), "holding {}", state.ready);
                        told.map_err(|error| RunError::Fatal(format!("standard output: {error}")))?;
                    }
                    self.phase_ends = state.now + self.plan.warm_up;
                    state.begin(registry)?;
                } else if state.now >= self.phase_ends {
                    let (ready, all) = (state.ready, state.standing);
                    return Err(RunError::Fatal(format!(
                        "after {SETUP_SECONDS_MAX} s only {ready} of {all} connections were ready"
                    )));
                }
                false
            }
            Phase::WarmUp if state.now >= self.phase_ends => {
                self.sample(1)?;
                self.own_cpu = own_cpu_seconds();
                state.now = Instant::now();
                self.started = state.now;
                self.phase_ends = state.now + self.plan.measured;
                state.phase = Phase::Measured;
                self.next_second = state.now + SECOND;
                state.tally.recording = true;
                false
            }
            Phase::Measured if state.now >= self.phase_ends => {
                state.tally.recording = false;
                self.seconds = (state.now - self.started).as_secs_f64();
                self.own_cpu = own_cpu_seconds() - self.own_cpu;
                self.second(state);
                self.sample(2)?;
                state.tally.unsent += state.unsent();
                state.phase = Phase::Drain;
                self.phase_ends = state.now + Duration::from_secs(DRAIN_SECONDS_MAX);
                false
            }
            Phase::Measured if state.now >= self.next_second => {
                self.second(state);
                self.next_second += SECOND;
                false
            }
            Phase::Drain => state.now >= self.phase_ends || state.is_idle(),
            _ => false,
        };
        if state.now >= self.next_tick {
            self.next_tick = state.now + TICK;
            if state.phase != Phase::Drain {
                state.expire(registry)?;
            }
            let left = self.phase_ends.saturating_duration_since(state.now).as_secs_f64();
            match state.phase {
                Phase::SetUp => self.progress.show(&format!("{} of {} connections ready", state.ready, state.standing)),
                Phase::WarmUp => self.progress.show(&format!("warming up, {left:.0} s left")),
                Phase::Measured | Phase::Drain => {}
            }
        }
        Ok(over)
    }

    fn second(&mut self, state: &mut Loop<'_>) {
        let left = self.phase_ends.saturating_duration_since(state.now).as_secs_f64();
        let at = (state.now - self.started).as_secs_f64();
        self.series.second(at, left, &mut state.tally, &mut self.watchers);
    }

    fn sample(&mut self, at: usize) -> Result<(), RunError> {
        self.moments[at - 1] = Moment::now();
        if let (Some(pid), Some(samples)) = (self.plan.server_pid, &mut self.server) {
            samples[at] = usage(pid, self.plan.announce && at == 2)
                .map_err(|error| RunError::Fatal(format!("{error} any more: did the server die?")))?;
        }
        Ok(())
    }

    pub(super) fn until_next(&self, now: Instant, due: Option<Instant>) -> Duration {
        let mut next = self.next_tick.min(self.phase_ends);
        if self.next_second > now {
            next = next.min(self.next_second);
        }
        let due = due.map_or(Duration::MAX, |due| due.saturating_duration_since(now).saturating_sub(AWAKE));
        next.saturating_duration_since(now).min(due)
    }

    pub(super) fn outcome(self, tally: Tally) -> Outcome {
        self.progress.clear();
        let [start, end] = self.moments;
        Outcome {
            tally,
            seconds: self.seconds,
            setup_seconds: self.setup_seconds,
            own_cpu_seconds: self.own_cpu,
            server: self.server,
            series: self.series.into_seconds(),
            moments: start.zip(end).map(|(start, end)| [start, end]),
        }
    }
}
