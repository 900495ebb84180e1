//! The counts of one run: operations by name with their latencies, octets, errors by kind, and the checksums of messages seen.
//!
//! Invariants: nothing is counted while `recording` is false (set-up, warm-up, drain), but for handshakes of the set-up;
//! violations are found at all times. An operation's latency runs from when it was due, its service time from when it was sent: in a closed loop they are the same,
//! and only the first is kept. Memory is bounded: names, kinds of errors and checksums have their limits.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::handshakes::Handshakes;
use crate::limits::{CHECKSUMS_MAX, ERROR_KINDS_MAX, LATENCY_NANOSECONDS_MAX, OPERATION_NAMES_MAX};

/// The operations of one name.
#[derive(Debug, Clone)]
pub struct Operation {
    /// `noop`, `login`, `deliver` …
    pub name: &'static str,
    /// Nanoseconds from when it was due to its last reply.
    pub latency: Histogram<u64>,
    /// Nanoseconds from sending it to its last reply; empty in a closed loop.
    pub service: Histogram<u64>,
}

/// What a run counted.
#[derive(Debug)]
pub struct Tally {
    /// True during the measured time.
    pub recording: bool,
    /// True: operations are due at times of their own, so that service times are kept beside latencies.
    pub open_loop: bool,
    /// Latencies of all operations since [`Tally::interval_over`] was called last.
    pub interval: Histogram<u64>,
    /// Nanoseconds from when an operation was due until the client looked at it: the client's own delay. Empty in a closed loop.
    pub lag: Histogram<u64>,
    /// Operations that were due within the run, and for which no connection was free before its end.
    pub unsent: u64,
    /// Octets of the dialogue sent, before encryption.
    pub bytes_sent: u64,
    /// Octets of the dialogue received, after decryption.
    pub bytes_received: u64,
    /// Tagged replies that came in another order than their commands (RFC 9051 §5.5 allows it).
    pub reordered: u64,
    /// Message bodies whose checksum was compared with a known one.
    pub verified: u64,
    operations: Vec<Operation>,
    /// Latencies of the intervals that are over.
    past: Histogram<u64>,
    /// TLS handshakes.
    pub handshakes: Handshakes,
    errors: BTreeMap<String, u64>,
    bodies: HashMap<(u64, u32), u64>,
}

/// A histogram of nanoseconds, to an hour, at three digits.
pub fn histogram() -> Histogram<u64> {
    let histogram = Histogram::new_with_bounds(1, LATENCY_NANOSECONDS_MAX, 3);
    histogram.expect("one nanosecond to an hour at three digits are valid bounds")
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

impl Tally {
    /// An empty tally.
    pub fn new() -> Tally {
        Tally {
            recording: false,
            open_loop: false,
            interval: histogram(),
            lag: histogram(),
            unsent: 0,
            bytes_sent: 0,
            bytes_received: 0,
            reordered: 0,
            verified: 0,
            operations: Vec::new(),
            past: histogram(),
            handshakes: Handshakes::new(),
            errors: BTreeMap::new(),
            bodies: HashMap::new(),
        }
    }

    /// An operation that was due and sent at these times has succeeded `now`.
    pub fn done(&mut self, name: &'static str, (due, sent): (Instant, Instant), now: Instant) {
        if !self.recording {
            return;
        }
        let latency = nanoseconds(now.saturating_duration_since(due));
        self.interval.saturating_record(latency);
        let open_loop = self.open_loop;
        let operation = self.operation(name);
        operation.latency.saturating_record(latency);
        if open_loop {
            operation.service.saturating_record(nanoseconds(now.saturating_duration_since(sent)));
        }
    }

    /// The entry of `name`; beyond the limit all share the last one.
    fn operation(&mut self, name: &'static str) -> &mut Operation {
        let at = self.operations.iter().position(|operation| operation.name == name).unwrap_or_else(|| {
            if self.operations.len() < OPERATION_NAMES_MAX {
                self.operations.push(Operation { name, latency: histogram(), service: histogram() });
            }
            self.operations.len() - 1
        });
        &mut self.operations[at]
    }

    /// The client looked at an operation that was due `late` ago.
    pub fn looked(&mut self, late: Duration) {
        if self.recording {
            self.lag.saturating_record(nanoseconds(late));
        }
    }

    /// The interval is over: what it counted joins the whole, and the next one begins.
    pub fn interval_over(&mut self) {
        self.past.add(&self.interval).expect("both have the same bounds");
        self.interval.reset();
    }

    /// Operations by name, in the order of their first success.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Operations that succeeded.
    pub fn count(&self) -> u64 {
        self.past.len() + self.interval.len()
    }

    /// Latencies of all operations.
    pub fn latency(&self) -> Histogram<u64> {
        let mut all = self.past.clone();
        all.add(&self.interval).expect("both have the same bounds");
        all
    }

    /// Service times of all operations; empty in a closed loop.
    pub fn service(&self) -> Histogram<u64> {
        let mut all = histogram();
        for operation in &self.operations {
            all.add(&operation.service).expect("all have the same bounds");
        }
        all
    }

    /// An operation failed, or a connection was lost.
    pub fn error(&mut self, kind: &str) {
        if !self.recording {
            return;
        }
        if let Some(count) = self.errors.get_mut(kind) {
            *count += 1;
        } else {
            let kind = if self.errors.len() < ERROR_KINDS_MAX { kind } else { "other" };
            *self.errors.entry(kind.to_owned()).or_default() += 1;
        }
    }

    /// Errors by kind.
    pub fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }

    /// The sum of all errors.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The checksum of the whole message of this mailbox (account and UIDVALIDITY) and UID: the same each time it is seen. False: it changed.
    pub fn body_seen(&mut self, message: (u64, u32), checksum: u64) -> bool {
        if let Some(known) = self.bodies.get(&message) {
            self.verified += 1;
            return *known == checksum;
        }
        if self.bodies.len() < CHECKSUMS_MAX {
            self.bodies.insert(message, checksum);
        }
        true
    }
}

impl Default for Tally {
    fn default() -> Self {
        Tally::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_measured_operations_count() {
        let mut tally = Tally::new();
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        tally.done("noop", (start, start), at(5));
        assert_eq!(tally.count(), 0);
        (tally.recording, tally.open_loop) = (true, true);
        tally.done("noop", (start, start), at(5));
        tally.interval_over();
        tally.done("noop", (start, at(20)), at(30));
        tally.done("fetch", (start, start), at(100_000_000));
        assert_eq!(tally.count(), 3);
        assert_eq!(tally.latency().len(), 3);
        assert!((4_990_000..31_000_000).contains(&tally.latency().value_at_quantile(0.5)));
        let names: Vec<_> =
            tally.operations().iter().map(|one| (one.name, one.latency.len(), one.service.len())).collect();
        assert_eq!(names, [("noop", 2, 2), ("fetch", 1, 1)]);
        let noop = &tally.operations()[0].service;
        assert!((9_990_000..10_020_000).contains(&noop.max()), "from the sending");
    }

    #[test]
    fn kinds_of_errors_are_bounded() {
        let mut tally = Tally::new();
        tally.recording = true;
        for number in 0..1000 {
            tally.error(&format!("NO [X{number}]"));
        }
        assert_eq!(tally.errors_total(), 1000);
        assert!(tally.errors().len() <= ERROR_KINDS_MAX + 1);
    }

    #[test]
    fn a_changed_message_is_found() {
        let mut tally = Tally::new();
        assert!(tally.body_seen((1, 7), 42));
        assert!(tally.body_seen((1, 7), 42));
        assert!(tally.body_seen((2, 7), 43), "another UIDVALIDITY is another message");
        assert!(!tally.body_seen((1, 7), 41));
    }
}
