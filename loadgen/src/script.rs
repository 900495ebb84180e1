//! What a user does: states with an action each, the time until the next one, and where it may go from there.
//!
//! Invariant: a walk never ends and never waits; from a state without a way out it begins again. The same seed walks the same way.

use std::rc::Rc;
use std::time::Duration;

use crate::random::Random;

/// The time from when an action is due until the next one is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Think {
    /// Exponential with this mean: people.
    Mean(Duration),
    /// The same always: programs.
    Constant(Duration),
}

impl Think {
    /// None: the next one is due at once.
    pub const NONE: Think = Think::Constant(Duration::ZERO);

    /// One such time.
    pub fn draw(self, random: &mut Random) -> Duration {
        match self {
            Think::Mean(mean) => random.exponential(mean),
            Think::Constant(time) => time,
        }
    }

    /// The mean.
    pub fn mean(self) -> Duration {
        match self {
            Think::Mean(time) | Think::Constant(time) => time,
        }
    }
}

/// A state: what is done in it, and what may follow.
#[derive(Debug, Clone, PartialEq)]
pub struct State<A> {
    /// What is done.
    pub action: A,
    /// The time until the next action.
    pub think: Think,
    /// The numbers of the states that may follow, each with its weight.
    pub next: Vec<(usize, f64)>,
}

/// A weighted state machine; the first state is where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Script<A> {
    /// The states; at least one.
    pub states: Vec<State<A>>,
}

/// One user's way through a script.
#[derive(Debug, Clone)]
pub struct Walk<A> {
    script: Rc<Script<A>>,
    /// The state whose action is the next.
    at: usize,
    /// The user's own chance.
    pub random: Random,
}

impl<A: Clone> Walk<A> {
    /// At the beginning of `script`, with the chance of `seed`.
    pub fn new(script: Rc<Script<A>>, seed: u64) -> Walk<A> {
        Walk { script, at: 0, random: Random::new(seed) }
    }

    /// The next action, and the time until the one after it.
    pub fn step(&mut self) -> (A, Duration) {
        let state = &self.script.states[self.at];
        let sum: f64 = state.next.iter().map(|(_, weight)| weight).sum();
        let mut left = self.random.unit() * sum;
        let taken = state.next.iter().find(|(_, weight)| {
            left -= weight;
            left < 0.0
        });
        self.at = taken.or(state.next.last()).map_or(0, |(next, _)| *next);
        (state.action.clone(), state.think.draw(&mut self.random))
    }

    /// Begins again: the session is a new one.
    pub fn begin_again(&mut self) {
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_by_the_weights_and_the_seed() {
        let second = Think::Constant(Duration::from_secs(1));
        let state = |action, next: &[(usize, f64)]| State { action, think: second, next: next.to_vec() };
        let script = Rc::new(Script {
            states: vec![state('a', &[(1, 3.0), (2, 1.0)]), state('b', &[(0, 1.0)]), state('c', &[])],
        });
        let walked = |seed| {
            let mut walk = Walk::new(script.clone(), seed);
            (0..20_000).map(|_| walk.step().0).collect::<String>()
        };
        let letters = walked(7);
        assert_eq!(letters, walked(7));
        assert_ne!(letters, walked(8));
        let (b, c) = (letters.matches('b').count(), letters.matches('c').count());
        assert!((7_300..7_700).contains(&b) && b + c == 10_000, "{b} {c}: b three times of four");
        assert!(!letters.contains("bc") && !letters.contains("aa"));
    }

    #[test]
    fn people_think_for_a_mean_and_programs_for_a_time() {
        let mut random = Random::new(3);
        let sum: Duration = (0..10_000).map(|_| Think::Mean(Duration::from_secs(1)).draw(&mut random)).sum();
        assert!((9_600..10_400).contains(&sum.as_secs()), "{sum:?}");
        assert_eq!(Think::Constant(Duration::from_secs(1)).draw(&mut random), Duration::from_secs(1));
    }
}
