//! The simulator: the store's own code on a simulated disk and clock, thousands of short histories, each from a number.
//!
//! A schedule is a seed. It says how many shards and accounts there are, what sessions do and in which order everybody has a turn,
//! how long each operation of the disk takes, when the power goes and what it takes along, what else fails. After each start all
//! that can be seen is compared with a plain reference. `tests/simulator` runs them by the million; tests/simulator.md says more.
//! Not simulated: bodies that arrive in a spool, the shards' threads, and the searching of text.

mod damage;
mod disk;
mod intent;
mod judge;
mod messages;
mod mutants;
mod plain;
mod report;
mod schedule;
mod scheduler;
mod sessions;
mod world;

use super::yield_now;
