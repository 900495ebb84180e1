//! The highest load that a server takes in good order: p99 within a limit, and hardly an error.
//!
//! Invariant: the answer is a load that was tried and held; the next higher one that was tried did not. A trial that was void,
//! because the client itself was late, holds nothing, and the report says so: the limit found is then the client's.

use std::time::Duration;

use crate::engine::{Outcome, RunError};
use crate::limits::{FIND_PRECISION, FIND_TRIALS_MAX, VOID_REPEATS_MAX};

/// Errors, and operations that could not be sent, of all.
const FAILED_SHARE_MAX: f64 = 0.001;

/// One load, as it went.
#[derive(Debug, Clone)]
pub struct Trial {
    /// What was asked for: operations a second, or the speed of a scenario.
    pub load: f64,
    /// Operations a second that succeeded.
    pub rate: f64,
    /// Latency at 99 %.
    pub p99: Duration,
    /// Errors, and operations that were not sent, of all.
    pub failed_share: f64,
    /// Why it says nothing about the server.
    pub void: Option<String>,
}

impl Trial {
    /// Out of a run.
    pub fn of(load: f64, outcome: &Outcome) -> Trial {
        let tally = &outcome.tally;
        let failed = (tally.errors_total() + tally.unsent) as f64;
        Trial {
            load,
            rate: tally.count() as f64 / outcome.seconds,
            p99: Duration::from_nanos(tally.latency().value_at_quantile(0.99)),
            failed_share: failed / (failed + tally.count() as f64).max(1.0),
            void: outcome.void(),
        }
    }

    /// Whether the server took it in good order.
    pub fn holds(&self, p99_max: Duration) -> bool {
        self.rate > 0.0 && self.void.is_none() && self.p99 <= p99_max && self.failed_share < FAILED_SHARE_MAX
    }
}

/// Tries loads from `first` on: twice as much while it holds, half as much while none did, then between the two.
pub fn find(
    p99_max: Duration,
    first: f64,
    mut run: impl FnMut(f64) -> Result<Trial, RunError>,
) -> Result<Option<Trial>, RunError> {
    let (mut best, mut least_failed, mut load): (Option<Trial>, Option<f64>, f64) = (None, None, first);
    for _ in 0..FIND_TRIALS_MAX {
        let mut trial = run(load)?;
        // A neighbour that takes the client's processor for a moment says nothing about the load.
        for _ in 0..VOID_REPEATS_MAX {
            if trial.void.is_some() {
                trial = run(load)?;
            }
        }
        if trial.holds(p99_max) {
            best = Some(trial);
        } else {
            least_failed = Some(load);
        }
        load = match (best.as_ref().map(|trial| trial.load), least_failed) {
            (Some(held), None) => held * 2.0,
            (None, _) => load / 2.0,
            (Some(held), Some(failed)) if failed / held > FIND_PRECISION => (held * failed).sqrt(),
            _ => break,
        };
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(first: f64, limit: f64) -> (Option<Trial>, Vec<f64>) {
        let mut loads = Vec::new();
        let found = find(Duration::from_millis(10), first, |load| {
            loads.push(load);
            let p99 = Duration::from_millis(if load <= limit { 5 } else { 50 });
            Ok(Trial { load, rate: load, p99, failed_share: 0.0, void: None })
        });
        (found.expect("no run failed"), loads)
    }

    #[test]
    fn the_limit_is_found_from_below_and_from_above() {
        for first in [1.0, 900.0, 1e6] {
            let (found, loads) = tried(first, 1000.0);
            let load = found.expect("a load that holds").load;
            assert!((1000.0 / FIND_PRECISION..=1000.0).contains(&load), "{load}");
            assert!(loads.len() < FIND_TRIALS_MAX, "{loads:?}");
        }
        let (found, loads) = tried(1000.0, 1e-30);
        assert!(found.is_none() && loads.len() == FIND_TRIALS_MAX);
    }

    #[test]
    fn a_void_trial_is_tried_again() {
        let mut tries = 0;
        let found = find(Duration::from_millis(10), 100.0, |load| {
            tries += 1;
            let void = (tries % 3 != 0).then(|| "late".to_owned());
            let p99 = Duration::from_millis(if load <= 150.0 { 5 } else { 50 });
            Ok(Trial { load, rate: load, p99, failed_share: 0.0, void })
        });
        let load = found.expect("no run failed").expect("a load that holds").load;
        assert!((140.0..=150.0).contains(&load), "{load}");
    }

    #[test]
    fn errors_and_a_late_client_hold_nothing() {
        let trial = Trial { load: 1.0, rate: 1.0, p99: Duration::ZERO, failed_share: 0.0, void: None };
        let limit = Duration::from_millis(1);
        assert!(trial.holds(limit));
        assert!(!Trial { failed_share: 0.001, ..trial.clone() }.holds(limit));
        assert!(!Trial { void: Some("late".into()), ..trial.clone() }.holds(limit));
        assert!(!Trial { rate: 0.0, ..trial }.holds(limit));
    }
}
