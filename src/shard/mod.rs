//! A shard: one core, one thread, one executor, one ring.
pub mod executor;
pub mod watchdog;
