//! What `ringpost stat` is told: the shards' figures as one value, and what it is made of.
//!
//! Invariant: a field may be added, and nothing changed or taken away, as in all that the control socket says. Times are
//! nanoseconds, sizes octets; counts are those since the server's start.

use serde::{Deserialize, Serialize};

use super::shards::Told;
use crate::metrics::{Ending, PROTOCOLS, Spread, Tally};

/// Figures of the running server.
#[derive(Serialize, Deserialize, Debug)]
pub struct Stat {
    /// The server's own version.
    pub version: String,
    /// Each shard.
    pub shards: Vec<Shard>,
    /// Shards that did not answer; their figures are missing in all that follows.
    pub silent_shards: Vec<usize>,
    /// Each protocol that a session spoke.
    pub protocols: Vec<Protocol>,
    /// Each command that was met.
    pub commands: Vec<Command>,
    /// The commit log.
    pub commits: Commits,
}

/// One shard.
#[derive(Serialize, Deserialize, Debug)]
pub struct Shard {
    /// Its number.
    pub number: usize,
    /// Connections now.
    pub connections: u64,
    /// Connections ever, those that came from another shard included.
    pub accepted: u64,
    /// Those that came from another shard.
    pub adopted: u64,
    /// Sessions that panicked.
    pub panics: u64,
    /// Turns that came late.
    pub stalls: u64,
    /// How late, together.
    pub stalled_nanoseconds: u64,
    /// Times that the watchdog poked it.
    pub pokes: u64,
    /// Times that a socket found no receive buffer.
    pub starvations: u64,
    /// Receive buffers that are free.
    pub receive_buffers_free: usize,
    /// Receive buffers in all.
    pub receive_buffers: usize,
}

/// One protocol.
#[derive(Serialize, Deserialize, Debug)]
pub struct Protocol {
    /// Its name.
    pub name: String,
    /// Sessions now, without TLS.
    pub sessions_plain: u64,
    /// Sessions now, with TLS.
    pub sessions_tls: u64,
    /// Counts since the start.
    #[serde(flatten)]
    pub tally: Tally,
    /// How sessions ended, and how many.
    pub ended: Vec<(String, u64)>,
}

/// How long a command takes.
#[derive(Serialize, Deserialize, Debug)]
pub struct Command {
    /// Its protocol; SMTP's also for submission and LMTP.
    pub protocol: String,
    /// Its name.
    pub name: String,
    /// How often, and how long in nanoseconds.
    #[serde(flatten)]
    pub spread: Quantiles,
}

/// How values are spread.
#[derive(Serialize, Deserialize, Debug)]
pub struct Quantiles {
    /// How many.
    pub count: u64,
    /// The half is not above it.
    pub p50: u64,
    /// Nine in ten are not above it.
    pub p90: u64,
    /// All but one in a hundred.
    pub p99: u64,
    /// All but one in a thousand.
    pub p999: u64,
    /// The highest.
    pub max: u64,
}

/// The commit log.
#[derive(Serialize, Deserialize, Debug)]
pub struct Commits {
    /// From a write to the end of its sync, in nanoseconds.
    pub took: Quantiles,
    /// Records that shared one.
    pub records: Quantiles,
    /// Octets written.
    pub bytes: u64,
}

impl From<&Spread> for Quantiles {
    fn from(spread: &Spread) -> Quantiles {
        Quantiles {
            count: spread.count(),
            p50: spread.at(0.5),
            p90: spread.at(0.9),
            p99: spread.at(0.99),
            p999: spread.at(0.999),
            max: spread.highest(),
        }
    }
}

impl From<Told> for Stat {
    fn from(told: Told) -> Stat {
        let Told { shards, silent, sum } = told;
        let now = |place: usize, tls: usize| shards.iter().map(|(figures, _)| figures.sessions[place][tls]).sum();
        let protocols = PROTOCOLS.iter().enumerate().filter(|(place, _)| sum.tallies[*place].sessions > 0);
        let protocols = protocols.map(|(place, name)| {
            let tally = &sum.tallies[place];
            let ended = Ending::ALL.iter().map(|ending| (ending.name().to_owned(), tally.ended[*ending as usize]));
            Protocol {
                name: (*name).to_owned(),
                sessions_plain: now(place, 0),
                sessions_tls: now(place, 1),
                tally: *tally,
                ended: ended.filter(|(_, count)| *count > 0).collect(),
            }
        });
        let protocols = protocols.collect();
        let command = |(verb, spread): &(crate::metrics::Verb, Box<Spread>)| Command {
            protocol: verb.family().to_owned(),
            name: verb.name().to_owned(),
            spread: (&**spread).into(),
        };
        Stat {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            silent_shards: silent,
            protocols,
            commands: sum.verbs.iter().map(command).collect(),
            commits: Commits {
                took: (&sum.commit_took).into(),
                records: (&sum.commit_records).into(),
                bytes: sum.commit_bytes,
            },
            shards: shards
                .iter()
                .map(|(figures, counters)| Shard {
                    number: figures.shard,
                    connections: counters.connections.value(),
                    accepted: counters.accepted.value(),
                    adopted: counters.adopted.value(),
                    panics: counters.panics.value(),
                    stalls: counters.stalls.value(),
                    stalled_nanoseconds: counters.stalled.value(),
                    pokes: counters.pokes.value(),
                    starvations: figures.pools.starvations,
                    receive_buffers_free: figures.pools.receive_buffers_free,
                    receive_buffers: figures.pools.receive_buffers,
                })
                .collect(),
        }
    }
}
