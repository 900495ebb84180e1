//! The watchdog: one thread that sees a shard that is neither parked nor making turns.
//!
//! It first pokes the shard's eventfd (a wake-up may have been lost), logs, and after [`Patience::abort`] ends the process for its
//! supervisor to restart: a shard that spins or blocks serves nobody and holds its users' mail.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::hop::Doorbell;
use crate::metrics;

/// What the watchdog sees of one shard.
#[derive(Debug)]
pub struct Watched {
    /// Its number, for the log.
    pub number: usize,
    /// Its counters.
    pub counters: Arc<metrics::Shard>,
    /// Its bell.
    pub bell: Arc<Doorbell>,
}

/// How long a shard may make no turn.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until it is poked.
    pub poke: Duration,
    /// Until the process is ended.
    pub abort: Duration,
}

struct Sight {
    turns: u64,
    since: Instant,
    told: bool,
}

/// Watches until `stop` is closed.
pub fn watch(shards: &[Watched], patience: Patience, stop: &Receiver<()>) {
    let now = Instant::now();
    let mut sights: Vec<Sight> = shards.iter().map(|_| Sight { turns: 0, since: now, told: false }).collect();
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(patience.poke / 4) {
        for (shard, sight) in shards.iter().zip(&mut sights) {
            look(shard, sight, patience);
        }
    }
}

fn look(shard: &Watched, sight: &mut Sight, patience: Patience) {
    let turns = shard.counters.turns.value();
    if turns != sight.turns || shard.bell.asleep() {
        if sight.told {
            tracing::warn!(shard = shard.number, stalled = ?sight.since.elapsed(), "the shard goes on");
        }
        *sight = Sight { turns, since: Instant::now(), told: false };
        return;
    }
    let stalled = sight.since.elapsed();
    if stalled < patience.poke {
        return;
    }
    if !sight.told {
        sight.told = true;
        tracing::error!(shard = shard.number, ?stalled, "the shard makes no turn; poking it");
    }
    shard.counters.pokes.add(1);
    shard.bell.poke();
    if stalled >= patience.abort {
        tracing::error!(
            shard = shard.number,
            ?stalled,
            "the shard is stuck; ending the process for its supervisor to restart"
        );
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> Watched {
        let bell = Doorbell::new(crate::io::eventfd().unwrap());
        Watched { number: 0, counters: Arc::default(), bell }
    }

    fn old(turns: u64) -> Sight {
        Sight { turns, since: Instant::now() - Duration::from_secs(5), told: false }
    }

    #[test]
    fn tells_a_stalled_shard_from_a_parked_and_a_busy_one() {
        let patience = Patience { poke: Duration::from_secs(2), abort: Duration::from_secs(30) };
        let (stalled, busy, parked) = (watched(), watched(), watched());
        let mut sight = old(0);
        look(&stalled, &mut sight, patience);
        assert!(sight.told && stalled.counters.pokes.value() == 1);
        busy.counters.turns.set(1);
        let mut sight = old(0);
        look(&busy, &mut sight, patience);
        assert!(!sight.told && sight.since.elapsed() < patience.poke);
        assert!(parked.bell.sleep());
        let mut sight = old(0);
        look(&parked, &mut sight, patience);
        assert!(!sight.told);
    }
}
