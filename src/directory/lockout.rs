//! Who failed too often: by the pair of name and client network, and by the network alone, never by the name alone.
//!
//! Invariants: a right user is never locked out by what others do from elsewhere (R-AUTH-8, attack 21); a network
//! is a /24 of IPv4 or a /64 of IPv6. A pair is locked by [`LOCKOUT_TRIES`] failures within the window, a network by
//! failures of as many different names: one forgotten device locks its own name, not the office it stands in.
//! Time comes in as an argument. What is remembered is bounded; the longest unused is forgotten first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::aging::Aging;
use crate::limits::{LOCKOUT_ENTRIES_MAX, LOCKOUT_SECONDS, LOCKOUT_TRIES, LOCKOUT_WINDOW_SECONDS};

/// A client network: the address with its host part cleared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Network(IpAddr);

impl Network {
    /// The /24 or /64 that `address` is in; an IPv4 address mapped into IPv6 counts as what it is.
    pub fn of(address: IpAddr) -> Network {
        Network(match address.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & !0xff)),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        })
    }
}

/// A name in 128 bits, from a keyed digest: names are as long as a stranger likes.
pub type NameDigest = [u8; 16];

#[derive(Clone, Copy, Debug)]
struct Failure {
    at: Instant,
    name: NameDigest,
}

#[derive(Debug, Default)]
struct Record {
    failures: Vec<Failure>,
    locked_until: Option<Instant>,
}

impl Record {
    fn locked(&self, now: Instant) -> bool {
        self.locked_until.is_some_and(|until| now < until)
    }

    fn recent(&mut self, now: Instant) -> usize {
        let window = Duration::from_secs(LOCKOUT_WINDOW_SECONDS);
        self.failures.retain(|failure| now.saturating_duration_since(failure.at) < window);
        self.failures.len()
    }

    /// Notes a failure; true: this one locked.
    fn note(&mut self, failure: Failure) -> bool {
        if self.locked(failure.at) {
            return false;
        }
        self.failures.push(failure);
        if self.recent(failure.at) < LOCKOUT_TRIES {
            return false;
        }
        self.failures = Vec::new();
        self.locked_until = Some(failure.at + Duration::from_secs(LOCKOUT_SECONDS));
        true
    }
}

/// The failures of all clients.
#[derive(Debug)]
pub struct Lockout {
    pairs: Aging<(NameDigest, Network), Record>,
    networks: Aging<Network, Record>,
}

impl Default for Lockout {
    fn default() -> Self {
        Lockout { pairs: Aging::new(LOCKOUT_ENTRIES_MAX), networks: Aging::new(LOCKOUT_ENTRIES_MAX) }
    }
}

impl Lockout {
    /// Whether logins of that name from that network are refused now.
    pub fn locked(&self, name: NameDigest, network: Network, now: Instant) -> bool {
        self.networks.peek(&network).is_some_and(|record| record.locked(now))
            || self.pairs.peek(&(name, network)).is_some_and(|record| record.locked(now))
    }

    /// How many more failures the pair may have before it is locked.
    pub fn tries_left(&self, name: NameDigest, network: Network, now: Instant) -> usize {
        let window = Duration::from_secs(LOCKOUT_WINDOW_SECONDS);
        let recent = |record: &Record| {
            record.failures.iter().filter(|failure| now.saturating_duration_since(failure.at) < window).count()
        };
        LOCKOUT_TRIES.saturating_sub(self.pairs.peek(&(name, network)).map_or(0, recent))
    }

    /// A login failed; true: from now on the pair or its whole network is locked.
    pub fn failed(&mut self, name: NameDigest, network: Network, now: Instant) -> bool {
        let failure = Failure { at: now, name };
        let mut pair = self.pairs.remove(&(name, network)).unwrap_or_default();
        let pair_locked = pair.note(failure);
        self.pairs.insert((name, network), pair);

        let mut record = self.networks.remove(&network).unwrap_or_default();
        // The same name again is the pair's business, not the network's.
        record.failures.retain(|earlier| earlier.name != name);
        let network_locked = record.note(failure);
        self.networks.insert(network, record);
        pair_locked || network_locked
    }

    /// A login succeeded: the pair's failures were the user's own. The network's stay, or one right password would
    /// cover any number of guesses.
    pub fn succeeded(&mut self, name: NameDigest, network: Network) {
        self.pairs.remove(&(name, network));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "192.0.2.7";
    const THERE: &str = "198.51.100.7";

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    fn name(number: u8) -> NameDigest {
        [number; 16]
    }

    #[test]
    fn networks_are_24_and_64_bits() {
        assert_eq!(network("192.0.2.7"), network("192.0.2.200"));
        assert_ne!(network("192.0.2.7"), network("192.0.3.7"));
        assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.1"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }

    #[test]
    fn attack_21_ten_failures_lock_the_pair_and_nobody_else() {
        let start = Instant::now();
        let mut lockout = Lockout::default();
        for try_number in 1..=10 {
            assert!(!lockout.locked(name(1), network(HERE), start));
            assert_eq!(lockout.tries_left(name(1), network(HERE), start), 11 - try_number);
            assert_eq!(lockout.failed(name(1), network(HERE), start), try_number == 10);
        }
        assert!(lockout.locked(name(1), network(HERE), start));
        assert!(!lockout.locked(name(1), network(THERE), start), "the right user from elsewhere");
        assert!(!lockout.locked(name(2), network(HERE), start), "another user of the same network");
        let after = start + Duration::from_secs(LOCKOUT_SECONDS);
        assert!(lockout.locked(name(1), network(HERE), after - Duration::from_secs(1)));
        assert!(!lockout.locked(name(1), network(HERE), after));
    }

    #[test]
    fn ten_names_lock_the_network() {
        let start = Instant::now();
        let mut lockout = Lockout::default();
        for number in 0..10 {
            assert!(!lockout.locked(name(99), network(HERE), start));
            lockout.failed(name(number), network(HERE), start);
        }
        assert!(lockout.locked(name(99), network(HERE), start), "a name that never failed, from that network");
        assert!(!lockout.locked(name(1), network(THERE), start));
    }

    #[test]
    fn failures_outside_the_window_and_before_a_success_do_not_count() {
        let start = Instant::now();
        let mut lockout = Lockout::default();
        for number in 0..40u64 {
            let now = start + Duration::from_secs(number * (LOCKOUT_WINDOW_SECONDS / 9 + 1));
            assert!(!lockout.failed(name(1), network(HERE), now), "failure {number}");
        }
        let mut lockout = Lockout::default();
        for _ in 0..5 {
            for _ in 0..9 {
                assert!(!lockout.failed(name(1), network(HERE), start));
            }
            lockout.succeeded(name(1), network(HERE));
        }
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let now = Instant::now();
        let mut lockout = Lockout::default();
        for number in 0..3 * LOCKOUT_ENTRIES_MAX as u128 {
            lockout.failed(number.to_be_bytes(), network(HERE), now);
        }
        assert!(lockout.pairs.len() <= LOCKOUT_ENTRIES_MAX);
        assert_eq!(lockout.networks.len(), 1);
        assert!(lockout.networks.peek(&network(HERE)).unwrap().failures.len() <= LOCKOUT_TRIES);
    }
}
