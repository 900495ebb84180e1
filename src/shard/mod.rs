//! A shard: one core, one thread, one executor, one ring, one commit log, and the sessions of the users who live there.
//!
//! Invariants: shards share nothing but counters and the hop queues; a connection task that panics closes that connection
//! alone; when the server stops, listeners close first, then sessions say goodbye, then the log is durable.

pub mod executor;
mod roster;
mod run;
pub mod watchdog;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use crate::config::Config;
use crate::delivery::Deliver;
use crate::directory::Handle;
use crate::hop::{Address, Doorbell, Mail};
use crate::io::Unavailable;
use crate::metrics;
use crate::service::Pool;
use crate::session::{Endpoint, Moving};
use crate::store;

pub use roster::{Ask, Figures, Network, Page, Seen, Which};
pub use run::start;

/// A listening socket of one shard and what is spoken there.
#[derive(Debug)]
pub struct Door {
    /// This shard's socket.
    pub socket: OwnedFd,
    /// Its number among all listeners of the server.
    pub endpoint: usize,
}

/// What the server tells a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Close the listeners and let sessions say goodbye.
    Stop,
    /// The drain's time is over: end what is left.
    Hurry,
    /// All shards have drained: make the log durable and end.
    End,
}

/// What a shard tells the server.
#[derive(Debug)]
pub enum Event {
    /// It accepts.
    Ready,
    /// What earlier logs held for it is sealed.
    Sealed,
    /// None of its sessions is left.
    Drained,
    /// It has stopped, and all that it acknowledged is durable.
    Stopped,
    /// It can't go on; the process must stop.
    Failed(Failure),
}

/// What the server's own thread hears.
#[derive(Debug)]
pub enum Notice {
    /// From the shard of that number.
    Shard(usize, Event),
    /// A signal asks the server to stop.
    Stop,
}

/// Why a shard can't go on.
#[derive(Debug)]
pub enum Failure {
    /// No ring could be made.
    Ring(Unavailable),
    /// The executor could not start.
    Executor,
    /// The store could not be opened.
    Store(store::Error),
    /// The commit log failed: nothing more can be acknowledged.
    Log(store::Lost),
    /// The ring failed.
    Turn(std::io::Error),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Ring(reason) => reason.fmt(f),
            Failure::Executor => f.write_str(
                "the executor can't start: it needs 512 KiB of locked memory a shard (ulimit -l, LimitMEMLOCK=, docker --ulimit \
                 memlock=-1) and the core that it is pinned to",
            ),
            Failure::Store(error) => write!(f, "cannot open the store: {error}"),
            Failure::Log(lost) => write!(f, "the commit log failed ({lost:?}): nothing more can be acknowledged"),
            Failure::Turn(error) => write!(f, "io_uring failed: {error}"),
        }
    }
}

/// Everything that a shard starts with.
#[derive(Debug)]
pub struct Seed {
    /// Its number.
    pub number: usize,
    /// The core.
    pub cpu: usize,
    /// The configuration.
    pub config: Arc<Config>,
    /// The data folder.
    pub data: PathBuf,
    /// What its log's incarnations are made of.
    pub secret: store::Secret,
    /// Its bell.
    pub bell: Arc<Doorbell>,
    /// Its counters.
    pub counters: Arc<metrics::Shard>,
    /// Connections of all shards now.
    pub connections: Arc<metrics::Counter>,
    /// How many the process has descriptors for.
    pub connections_max: usize,
    /// Its listening sockets.
    pub doors: Vec<Door>,
    /// All listeners, the same on every shard: a session that moves names its own by number.
    pub endpoints: Arc<[Arc<Endpoint>]>,
    /// Names and passwords.
    pub directory: Handle,
    /// The threads that may block.
    pub pool: Pool,
    /// Messages for its accounts.
    pub deliveries: Mail<Deliver>,
    /// Where each shard takes deliveries.
    pub deliver_to: Vec<Address<Deliver>>,
    /// Sessions of its users.
    pub adoptions: Mail<Moving>,
    /// Where each shard takes sessions.
    pub adopt_at: Vec<Address<Moving>>,
    /// The server's orders.
    pub orders: Mail<Order>,
    /// The control room's questions.
    pub asks: Mail<Ask>,
    /// Where to tell what happens.
    pub events: mpsc::Sender<Notice>,
}
