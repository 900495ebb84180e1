//! The control room's questions to the shards: asked of all at once, answered within a bounded time or not at all.
//!
//! Invariant: a thread of the control room waits here, never a shard; a shard that doesn't answer is named, and the others'
//! answers are not lost by it.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use crate::hop::{Address, Reply, blocking_call};
use crate::limits::{KICK_PAUSE, SHARD_ANSWER_MAX};
use crate::metrics::{self, Phase, Snapshot};
use crate::shard::{Ask, Figures, Page, Which};

/// One shard, as the control room knows it.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Where it takes questions.
    pub asks: Address<Ask>,
    /// Its counters.
    pub counters: Arc<metrics::Shard>,
}

/// All shards of the running server.
#[derive(Clone, Debug)]
pub struct Shards {
    contacts: Vec<Contact>,
    /// How far the server has come.
    pub phase: Arc<Phase>,
}

/// Where a list of sessions goes on: a shard and a slot of its roster.
pub type Place = (usize, usize);

/// What all shards told.
#[derive(Debug)]
pub struct Told {
    /// Each shard's figures, and its counters.
    pub shards: Vec<(Figures, Arc<metrics::Shard>)>,
    /// Those that did not answer.
    pub silent: Vec<usize>,
    /// All that answered together.
    pub sum: Snapshot,
}

impl Shards {
    /// `contacts`: the shards by their numbers.
    pub fn new(contacts: Vec<Contact>, phase: Arc<Phase>) -> Shards {
        Shards { contacts, phase }
    }

    /// Asks every shard, and then waits for the answers together; `None`: a shard did not answer in time.
    fn ask_all<T: Send + 'static>(&self, question: impl Fn(Reply<T>) -> Ask) -> Vec<Option<T>> {
        let answers: Vec<Receiver<T>> = self
            .contacts
            .iter()
            .map(|contact| {
                let (reply, answer) = blocking_call();
                // A shard that is gone drops the reply, which ends the wait.
                let _ = contact.asks.send(question(reply));
                answer
            })
            .collect();
        let end = Instant::now() + SHARD_ANSWER_MAX;
        answers.iter().map(|answer| answer.recv_timeout(end.saturating_duration_since(Instant::now())).ok()).collect()
    }

    /// The shards that don't answer.
    pub fn silent(&self) -> Vec<usize> {
        silent(&self.ask_all(Ask::Alive))
    }

    /// What all shards have counted and measured.
    pub fn figures(&self) -> Told {
        let answers = self.ask_all(Ask::Figures);
        let silent = silent(&answers);
        let mut sum = metrics::Meter::new(Instant::now).snapshot();
        let mut shards = Vec::new();
        for (answer, contact) in answers.into_iter().zip(&self.contacts) {
            if let Some(figures) = answer {
                sum.add(&figures.snapshot);
                shards.push((*figures, contact.counters.clone()));
            }
        }
        Told { shards, silent, sum }
    }

    /// A page of the sessions from `from` on, all of its shard; and where to go on. The error: a shard that doesn't answer.
    pub fn who(&self, which: &Which, from: Place) -> Result<(Page, Option<Place>), usize> {
        let (shard, slot) = from;
        let empty = Page { sessions: Vec::new(), next: None };
        let Some(contact) = self.contacts.get(shard) else { return Ok((empty, None)) };
        let (reply, answer) = blocking_call();
        let _ = contact.asks.send(Ask::Who { which: which.clone(), from: slot, reply });
        let page = answer.recv_timeout(SHARD_ANSWER_MAX).map_err(|_| shard)?;
        let next = match page.next {
            Some(slot) => Some((shard, slot)),
            None => (shard + 1 < self.contacts.len()).then_some((shard + 1, 0)),
        };
        Ok((page, next))
    }

    /// Ends sessions on all shards; how many. The error: a shard that doesn't answer.
    pub fn kick(&self, which: &Which) -> Result<u64, usize> {
        let mut kicked = 0;
        for look in 0..2 {
            if look > 0 {
                std::thread::sleep(KICK_PAUSE);
            }
            let answers = self.ask_all(|reply| Ask::Kick { which: which.clone(), reply });
            if let Some(shard) = silent(&answers).first() {
                return Err(*shard);
            }
            kicked += answers.into_iter().flatten().sum::<u64>();
        }
        Ok(kicked)
    }
}

fn silent<T>(answers: &[Option<T>]) -> Vec<usize> {
    answers.iter().enumerate().filter(|(_, answer)| answer.is_none()).map(|(number, _)| number).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::hop::{Doorbell, Mail, address};

    /// Shards that nobody runs: their mail is there to be answered or dropped.
    pub(crate) fn without_threads(count: usize) -> (Shards, Vec<Mail<Ask>>) {
        let bell = Doorbell::new(crate::io::eventfd().unwrap());
        let (addresses, mail): (Vec<_>, Vec<_>) = (0..count).map(|_| address(&bell)).unzip();
        let contact = |asks| Contact { asks, counters: Arc::default() };
        (Shards::new(addresses.into_iter().map(contact).collect(), Arc::default()), mail)
    }

    #[test]
    fn shards_that_are_gone_are_named_at_once() {
        let (shards, mut mail) = without_threads(3);
        mail.clear();
        let begun = Instant::now();
        assert_eq!(shards.silent(), [0, 1, 2]);
        assert_eq!(shards.figures().silent, [0, 1, 2]);
        assert_eq!(shards.kick(&Which::default()).unwrap_err(), 0);
        assert_eq!(shards.who(&Which::default(), (1, 0)).unwrap_err(), 1);
        assert!(shards.who(&Which::default(), (3, 0)).unwrap().1.is_none());
        assert!(begun.elapsed() < SHARD_ANSWER_MAX, "{:?}", begun.elapsed());
    }
}
