//! The counts of one run: operations, latencies, bytes, errors by kind, and the checksums of messages seen.
//!
//! Invariant: nothing is counted while `recording` is false (set-up, warm-up, drain), but violations are found at all times.
//! Memory is bounded: the histogram is made once, kinds of errors and checksums have their limits.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::limits::{CHECKSUMS_MAX, ERROR_KINDS_MAX, LATENCY_NANOSECONDS_MAX};

/// What a run counted.
#[derive(Debug)]
pub struct Tally {
    /// True during the measured time.
    pub recording: bool,
    /// Nanoseconds from sending an operation to its last reply.
    pub latency: Histogram<u64>,
    /// Operations that succeeded.
    pub operations: u64,
    /// Octets of the dialogue sent, before encryption.
    pub bytes_sent: u64,
    /// Octets of the dialogue received, after decryption.
    pub bytes_received: u64,
    /// Tagged replies that came in another order than their commands (RFC 9051 §5.5 allows it).
    pub reordered: u64,
    /// Message bodies whose checksum was compared with a known one.
    pub verified: u64,
    errors: BTreeMap<String, u64>,
    bodies: HashMap<(u32, u32), u64>,
}

impl Tally {
    /// An empty tally.
    pub fn new() -> Tally {
        let latency = Histogram::new_with_bounds(1, LATENCY_NANOSECONDS_MAX, 3);
        Tally {
            recording: false,
            latency: latency.expect("one nanosecond to an hour at three digits are valid bounds"),
            operations: 0,
            bytes_sent: 0,
            bytes_received: 0,
            reordered: 0,
            verified: 0,
            errors: BTreeMap::new(),
            bodies: HashMap::new(),
        }
    }

    /// An operation succeeded after `taken`.
    pub fn done(&mut self, taken: Duration) {
        if self.recording {
            self.operations += 1;
            self.latency.saturating_record(u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX).max(1));
        }
    }

    /// An operation failed, or a connection was lost. Counted in every phase but the drain, where closing is ours.
    pub fn error(&mut self, kind: &str) {
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

    /// The checksum of the whole message of this UIDVALIDITY and UID: the same each time it is seen. False: it changed.
    pub fn body_seen(&mut self, message: (u32, u32), checksum: u64) -> bool {
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
        tally.done(Duration::from_millis(5));
        assert_eq!(tally.operations, 0);
        tally.recording = true;
        tally.done(Duration::from_millis(5));
        tally.done(Duration::from_secs(100_000));
        assert_eq!(tally.operations, 2);
        assert_eq!(tally.latency.len(), 2);
        assert!(tally.latency.value_at_quantile(0.5) >= 4_990_000);
    }

    #[test]
    fn kinds_of_errors_are_bounded() {
        let mut tally = Tally::new();
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
