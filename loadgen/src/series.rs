//! How a run went, second by second: the figures of each interval, for plots, logs and the live view.
//!
//! Invariant: a second's figures are of that second alone. A watcher is told once a second, between two looks at the sockets:
//! what it does must be short.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::tally::Tally;

/// One second of the measured time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Its end, since the start of the measured time. Seconds.
    #[serde(rename = "at_seconds")]
    pub at: f64,
    /// Its length; the last may be shorter. Seconds.
    #[serde(rename = "length_seconds")]
    pub length: f64,
    /// Operations that succeeded in it.
    pub operations: u64,
    /// Errors in it.
    pub errors: u64,
    /// Latency at the median. Nanoseconds.
    #[serde(rename = "p50_nanoseconds")]
    pub p50: u64,
    /// At 90 %.
    #[serde(rename = "p90_nanoseconds")]
    pub p90: u64,
    /// At 99 %.
    #[serde(rename = "p99_nanoseconds")]
    pub p99: u64,
    /// The longest.
    #[serde(rename = "max_nanoseconds")]
    pub max: u64,
}

/// What is left of a run's last second says little where it is shorter. Seconds.
const WHOLE_MIN: f64 = 0.5;

impl Second {
    /// False: it is a rest at the end, whose rate and latencies are those of chance.
    pub fn is_whole(&self) -> bool {
        self.length >= WHOLE_MIN
    }
}

/// Who wants to know how a run goes.
pub trait Watcher {
    /// A second is over; `latencies` are those of its operations, `left` the seconds to the end of the measured time.
    fn second(&mut self, second: &Second, latencies: &Histogram<u64>, left: f64);
}

/// The seconds of a run so far.
#[derive(Debug, Default)]
pub struct Series {
    seconds: Vec<Second>,
    errors: u64,
}

impl Series {
    /// Ends a second `at` seconds after the start of the measured time: takes its figures out of `tally`, and begins the next.
    pub fn second(&mut self, at: f64, left: f64, tally: &mut Tally, watchers: &mut [Box<dyn Watcher>]) {
        let interval = &tally.interval;
        let before = self.seconds.last().map_or(0.0, |second| second.at);
        let second = Second {
            at,
            length: at - before,
            operations: interval.len(),
            errors: tally.errors_total() - self.errors,
            p50: interval.value_at_quantile(0.5),
            p90: interval.value_at_quantile(0.9),
            p99: interval.value_at_quantile(0.99),
            max: interval.max(),
        };
        self.errors = tally.errors_total();
        for watcher in watchers {
            watcher.second(&second, interval, left);
        }
        self.seconds.push(second);
        tally.interval_over();
    }

    /// All seconds.
    pub fn into_seconds(self) -> Vec<Second> {
        self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    struct Told(Rc<RefCell<Vec<(u64, u64)>>>);

    impl Watcher for Told {
        fn second(&mut self, second: &Second, latencies: &Histogram<u64>, _: f64) {
            self.0.borrow_mut().push((second.operations, latencies.len()));
        }
    }

    #[test]
    fn a_second_has_its_own_figures() {
        let (mut tally, mut series, told) = (Tally::new(), Series::default(), Rc::default());
        let mut watchers: Vec<Box<dyn Watcher>> = vec![Box::new(Told(Rc::clone(&told)))];
        let start = Instant::now();
        tally.error("before");
        tally.recording = true;
        for (at, count) in [(1.0, 3), (2.0, 1), (2.5, 0)] {
            for _ in 0..count {
                tally.done("noop", (start, start), start + Duration::from_millis(count));
            }
            tally.error("NO");
            series.second(at, 9.0, &mut tally, &mut watchers);
        }
        let seconds = series.into_seconds();
        assert_eq!(seconds.iter().map(|second| second.operations).collect::<Vec<_>>(), [3, 1, 0]);
        assert!(seconds.iter().all(|second| second.errors == 1));
        assert_eq!((seconds[2].length, seconds[2].max), (0.5, 0));
        assert!((990_000..1_010_000).contains(&seconds[1].max), "{:?}", seconds[1]);
        assert_eq!(*told.borrow(), [(3, 3), (1, 1), (0, 0)]);
        assert_eq!(tally.count(), 4);
    }
}
