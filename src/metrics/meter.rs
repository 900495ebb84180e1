//! A shard's own figures: counts by protocol, and how long commands and commits take.
//!
//! Invariants: written and read on the shard's thread alone, so there is neither lock nor atomic; a command costs one look
//! at the clock and some additions, and allocates only when its verb is met for the first time; memory is bounded by the
//! number of verbs. Times are HdrHistogram's of two digits: a value is within 1 % of what is told, its maximum too.

use std::cell::RefCell;
use std::fmt;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::verb::{Ending, PROTOCOLS, Verb};
use crate::limits::{METER_COUNT_HIGHEST, METER_HIGHEST, METER_LOWEST};

/// How values of one kind are spread. Times are in nanoseconds.
#[derive(Clone)]
pub struct Spread {
    histogram: Histogram<u64>,
    sum: u64,
}

impl Spread {
    /// For times in nanoseconds.
    pub fn of_times() -> Spread {
        Spread::within(METER_LOWEST, METER_HIGHEST)
    }

    /// For how many there are of something.
    pub fn of_counts() -> Spread {
        Spread::within(1, METER_COUNT_HIGHEST)
    }

    fn within(lowest: u64, highest: u64) -> Spread {
        let histogram = Histogram::new_with_bounds(lowest, highest, 2).expect("the bounds are constants");
        Spread { histogram, sum: 0 }
    }

    /// Takes one value in; one beyond the highest that can be told apart counts as that.
    pub fn record(&mut self, value: u64) {
        self.record_many(value, 1);
    }

    /// Takes the same value in `count` times.
    pub fn record_many(&mut self, value: u64, count: u64) {
        self.histogram.saturating_record_n(value, count);
        self.sum = self.sum.saturating_add(value.saturating_mul(count));
    }

    /// Takes all of another of the same kind in.
    pub fn add(&mut self, other: &Spread) {
        // Refused only where the bounds differ, which are those of the kind.
        let _ = self.histogram.add(&other.histogram);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// All values together.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The value that `share` (0 to 1) of all are not above; 0 where there is none.
    pub fn at(&self, share: f64) -> u64 {
        if self.histogram.is_empty() { 0 } else { self.histogram.value_at_quantile(share).min(self.highest()) }
    }

    /// The highest value; 0 where there is none.
    pub fn highest(&self) -> u64 {
        self.histogram.max()
    }

    /// How many values are not above `value`.
    pub fn not_above(&self, value: u64) -> u64 {
        self.histogram.count_between(0, value.min(self.histogram.high()))
    }
}

impl fmt::Debug for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} values, {} in all", self.count(), self.sum)
    }
}

/// Counts of one protocol's sessions. As they are written they are part of the control protocol.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// Connections that came in, those that did not become a session included.
    #[serde(rename = "sessions_total")]
    pub sessions: u64,
    /// Logins that were granted.
    pub logins_granted: u64,
    /// Logins with a wrong name or password, or locked out.
    pub logins_refused: u64,
    /// Logins that could not be decided.
    pub logins_unavailable: u64,
    /// What was no command, or none that could be read.
    pub bad_commands: u64,
    /// Messages that were taken.
    pub messages: u64,
    /// Mailboxes that they went to.
    pub copies: u64,
    /// Octets from clients, as they went over the wire; a meter has those of sessions that have left its shard.
    pub received: u64,
    /// Octets to them.
    pub sent: u64,
    /// Sessions that ended, by [`Ending`]; written by their names, where they are shown.
    #[serde(skip)]
    pub ended: [u64; Ending::ALL.len()],
}

/// One shard's figures while it runs.
#[derive(Debug)]
pub struct Meter {
    clock: fn() -> Instant,
    tallies: RefCell<[Tally; PROTOCOLS.len()]>,
    verbs: RefCell<Vec<Option<Box<Spread>>>>,
    commits: RefCell<Commits>,
}

/// What the commit log did.
#[derive(Clone, Debug)]
struct Commits {
    /// Records in one write.
    records: Spread,
    /// From the write to the end of its sync.
    took: Spread,
    bytes: u64,
}

/// A copy of a shard's figures.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts, by protocol in the order of [`PROTOCOLS`].
    pub tallies: [Tally; PROTOCOLS.len()],
    /// How long commands took, of those that were met.
    pub verbs: Vec<(Verb, Box<Spread>)>,
    /// Records in one commit.
    pub commit_records: Spread,
    /// How long a commit took, write and sync. Nanoseconds.
    pub commit_took: Spread,
    /// Octets that commits wrote.
    pub commit_bytes: u64,
}

impl Meter {
    /// Nothing was measured yet; `clock` tells the time at the end of a command.
    pub fn new(clock: fn() -> Instant) -> Meter {
        let verbs = Verb::ALL.iter().map(|_| None).collect();
        let commits = Commits { records: Spread::of_counts(), took: Spread::of_times(), bytes: 0 };
        Meter { clock, tallies: RefCell::default(), verbs: RefCell::new(verbs), commits: RefCell::new(commits) }
    }

    /// A command is through that began at `begun`.
    pub fn took(&self, verb: Verb, begun: Instant) {
        self.took_together(verb, begun, 1);
    }

    /// `count` commands are through that began at `begun`.
    pub fn took_together(&self, verb: Verb, begun: Instant, count: u64) {
        let took = (self.clock)().saturating_duration_since(begun);
        let mut verbs = self.verbs.borrow_mut();
        let spread = verbs[verb as usize].get_or_insert_with(|| Box::new(Spread::of_times()));
        spread.record_many(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), count);
    }

    /// Counts something of the protocol with that place in [`PROTOCOLS`].
    pub fn count(&self, protocol: usize, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tallies.borrow_mut()[protocol]);
    }

    /// The log made `records` records of `bytes` octets durable with one sync.
    pub fn committed(&self, records: u64, bytes: u64, nanoseconds: u64) {
        let mut commits = self.commits.borrow_mut();
        commits.records.record(records);
        commits.took.record(nanoseconds);
        commits.bytes += bytes;
    }

    /// A copy of everything.
    pub fn snapshot(&self) -> Snapshot {
        let verbs = self.verbs.borrow();
        let met = Verb::ALL.iter().filter_map(|verb| Some((*verb, verbs[*verb as usize].clone()?)));
        let Commits { records, took, bytes } = self.commits.borrow().clone();
        Snapshot {
            tallies: *self.tallies.borrow(),
            verbs: met.collect(),
            commit_records: records,
            commit_took: took,
            commit_bytes: bytes,
        }
    }
}

impl Snapshot {
    /// Takes another shard's figures in.
    pub fn add(&mut self, other: &Snapshot) {
        for (tally, other) in self.tallies.iter_mut().zip(&other.tallies) {
            tally.add(other);
        }
        for (verb, spread) in &other.verbs {
            match self.verbs.iter_mut().find(|(known, _)| known == verb) {
                Some((_, known)) => known.add(spread),
                None => self.verbs.push((*verb, spread.clone())),
            }
        }
        self.verbs.sort_by_key(|(verb, _)| *verb as usize);
        self.commit_records.add(&other.commit_records);
        self.commit_took.add(&other.commit_took);
        self.commit_bytes += other.commit_bytes;
    }
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.sessions += other.sessions;
        self.logins_granted += other.logins_granted;
        self.logins_refused += other.logins_refused;
        self.logins_unavailable += other.logins_unavailable;
        self.bad_commands += other.bad_commands;
        self.messages += other.messages;
        self.copies += other.copies;
        self.received += other.received;
        self.sent += other.sent;
        self.ended.iter_mut().zip(other.ended).for_each(|(count, other)| *count += other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn quantiles_are_within_one_percent() {
        let mut spread = Spread::of_times();
        for microseconds in 1..=1000u64 {
            spread.record(microseconds * 1000);
        }
        for (share, due) in [(0.5, 500_000.0), (0.99, 990_000.0), (1.0, 1_000_000.0)] {
            let told = spread.at(share) as f64;
            assert!((told / due - 1.0).abs() < 0.01, "{share}: {told}");
        }
        assert_eq!((spread.count(), spread.sum()), (1000, 500_500_000));
        assert!((495..=505).contains(&spread.not_above(500_000)), "{}", spread.not_above(500_000));
        assert_eq!(spread.not_above(u64::MAX), 1000);
        // An empty one, and values beyond its ends.
        assert_eq!((Spread::of_times().at(0.5), Spread::of_counts().highest()), (0, 0));
        spread.record(u64::MAX);
        spread.record(0);
        assert_eq!(spread.not_above(METER_HIGHEST), 1002);
        let mut counts = Spread::of_counts();
        (1..=100).for_each(|count| counts.record(count));
        assert_eq!((counts.at(0.5), counts.highest(), counts.not_above(7)), (50, 100, 7));
    }

    #[test]
    fn shards_are_added_up() {
        let begun = Instant::now();
        let (one, two) = (Meter::new(Instant::now), Meter::new(Instant::now));
        one.took(Verb::ImapNoop, begun);
        two.took(Verb::ImapNoop, begun - Duration::from_millis(3));
        two.took(Verb::ImapFetch, begun);
        two.count(2, |tally| tally.messages += 1);
        one.count(2, |tally| tally.messages += 2);
        one.count(2, |tally| tally.ended[Ending::Kicked as usize] += 1);
        two.committed(7, 4096, 2_000_000);
        let mut sum = one.snapshot();
        sum.add(&two.snapshot());
        let met: Vec<(Verb, u64)> = sum.verbs.iter().map(|(verb, spread)| (*verb, spread.count())).collect();
        assert_eq!(met, [(Verb::ImapNoop, 2), (Verb::ImapFetch, 1)]);
        assert!(sum.verbs[0].1.highest() >= 3_000_000);
        assert_eq!((sum.tallies[2].messages, sum.tallies[2].ended[Ending::Kicked as usize]), (3, 1));
        assert_eq!((sum.commit_bytes, sum.commit_took.count(), sum.commit_records.at(1.0)), (4096, 1, 7));
    }
}
