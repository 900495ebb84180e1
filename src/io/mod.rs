//! The ring: sockets, files and timers of one shard on one io_uring, for any executor.
//!
//! Invariants:
//! - A buffer belongs to its operation until the completion came. A dropped future cancels its operation; what it lent
//!   to the kernel stays in the ring's table until then.
//! - Every completion is matched by index and generation, so none can reach a successor's slot.
//! - A received buffer is lent to one [`Received`] at a time and goes back to the kernel when that is dropped.
//! - Nothing here names an executor: futures keep wakers, [`Ring::turn`] moves things on and sleeps where its driver says
//!   so; a driver that leaves the core to other work rests on a waker of its own ([`Ring::park`], [`Ring::kick`]).
//!
//! Descriptors are the process's own rather than the ring's direct ones: a multishot receive takes its file reference once
//! and a send adds one atomic, and in return a connection's addresses can be asked for and it moves between shards by
//! message (ARCHITECTURE.md, "Departures", has the measurement).

mod buffers;
mod file;
mod parcel;
mod ring;
mod setup;
mod socket;
mod timer;

pub use buffers::Received;
pub use file::{Descriptor, OpenFlags};
pub use parcel::{Lend, Mark, Parcel};
pub use ring::{Pools, Ring, Turn, block_on, yield_now};
pub use setup::{Sizes, Unavailable, eventfd};
pub use socket::{Detached, Listener, Socket};
pub use timer::Timer;
