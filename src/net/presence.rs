//! What others on the shard may know of a connection, and how they end it: its place in the administrator's list.
//!
//! Invariants: shared with the shard's roster on one thread, so plain cells do; a command costs a few stores and no
//! allocation; who is kicked comes to no further wait for input, whatever it does, and has [`LINGER`] to take our last words.
//! Its history goes with the connection to another shard, so that a session is one session wherever it lives.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use crate::io::{Ring, Timer};
use crate::limits::LINGER;
use crate::metrics::{Ending, Verb};
use crate::store::AccountId;

/// What is known of one connection.
pub struct Presence {
    /// The connection's one timer: here, so that a kick can fire it.
    timer: Timer,
    peer: Peer,
    /// When it came.
    since: Instant,
    /// The session's number; 0: none was given yet.
    id: Cell<u64>,
    /// What happened on other shards.
    elsewhere: Option<Box<History>>,
    tls: Cell<bool>,
    received: Cell<u64>,
    sent: Cell<u64>,
    commands: Cell<u32>,
    messages: Cell<u32>,
    heard: Cell<Instant>,
    verb: Cell<Option<Verb>>,
    kicked: Cell<Option<Instant>>,
    ending: Cell<Ending>,
    user: Cell<Option<(AccountId, Rc<str>)>>,
    mailbox: Cell<Option<Rc<str>>>,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The client.
    pub client: SocketAddr,
    /// The address that it came to is a loopback address.
    to_loopback: bool,
}

impl Peer {
    /// Of a client and the address that it came to.
    pub fn new(client: SocketAddr, server: IpAddr) -> Peer {
        Peer { client, to_loopback: server.to_canonical().is_loopback() }
    }

    /// The client's address, an IPv4 one in its own form.
    pub fn network(&self) -> IpAddr {
        self.client.ip().to_canonical()
    }

    /// Neither end leaves this machine.
    pub fn is_loopback(&self) -> bool {
        self.to_loopback && self.network().is_loopback()
    }
}

/// What a connection takes along to another shard.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// The session's number, its own for as long as the server runs; 0: none was given yet.
    pub id: u64,
    /// When it came.
    pub since: Instant,
    /// Octets received.
    pub received: u64,
    /// Octets sent.
    pub sent: u64,
    /// Commands.
    pub commands: u32,
    /// Messages that were taken from it.
    pub messages: u32,
    /// It was kicked on its way.
    kicked: bool,
}

impl Presence {
    /// That of a connection which came from its client, or from another shard.
    pub(super) fn new(ring: &Ring, peer: Peer, history: Option<History>) -> Rc<Presence> {
        let now = ring.now();
        let presence = Rc::new(Presence {
            timer: ring.timer(),
            peer,
            since: history.map_or(now, |history| history.since),
            id: Cell::new(history.map_or(0, |history| history.id)),
            elsewhere: history.map(Box::new),
            tls: Cell::new(false),
            received: Cell::new(0),
            sent: Cell::new(0),
            commands: Cell::new(0),
            messages: Cell::new(0),
            heard: Cell::new(now),
            verb: Cell::new(None),
            kicked: Cell::new(None),
            ending: Cell::new(Ending::Closed),
            user: Cell::default(),
            mailbox: Cell::default(),
        });
        if history.is_some_and(|history| history.kicked) {
            presence.kick(now);
        }
        presence
    }

    pub(super) fn timer(&self) -> &Timer {
        &self.timer
    }

    /// The connection's two ends.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// When it came.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Everything since it came, on whatever shards.
    pub fn history(&self) -> History {
        let mut history = History {
            id: self.id.get(),
            since: self.since,
            received: self.received.get(),
            sent: self.sent.get(),
            commands: self.commands.get(),
            messages: self.messages.get(),
            kicked: self.is_kicked(),
        };
        if let Some(elsewhere) = &self.elsewhere {
            history.received += elsewhere.received;
            history.sent += elsewhere.sent;
            history.commands = history.commands.wrapping_add(elsewhere.commands);
            history.messages = history.messages.wrapping_add(elsewhere.messages);
        }
        history
    }

    /// Octets received and sent since it is on this shard.
    pub fn traffic(&self) -> (u64, u64) {
        (self.received.get(), self.sent.get())
    }

    /// Gives it its number, where it has none.
    pub fn name(&self, id: u64) {
        if self.id.get() == 0 {
            self.id.set(id);
        }
    }

    /// Ends the session: at its next wait for input, at once where it waits already. False: that is under way.
    pub fn kick(&self, now: Instant) -> bool {
        if self.is_kicked() {
            return false;
        }
        self.kicked.set(Some(now));
        self.timer.set(now);
        true
    }

    /// An administrator has ended it.
    pub fn is_kicked(&self) -> bool {
        self.kicked.get().is_some()
    }

    /// By when our last words must be through.
    pub(super) fn kicked_until(&self) -> Option<Instant> {
        self.kicked.get().map(|since| since + LINGER)
    }

    pub(super) fn receives(&self, octets: usize, now: Instant) {
        self.received.set(self.received.get() + octets as u64);
        self.heard.set(now);
    }

    pub(super) fn sends(&self, octets: usize) {
        self.sent.set(self.sent.get() + octets as u64);
    }

    /// When the client was last heard of.
    pub fn heard(&self) -> Instant {
        self.heard.get()
    }

    pub(super) fn encrypts(&self) {
        self.tls.set(true);
    }

    /// TLS is on.
    pub fn is_tls(&self) -> bool {
        self.tls.get()
    }

    /// A command begins.
    pub fn begins(&self, verb: Verb) {
        self.verb.set(Some(verb));
        self.commands.set(self.commands.get().wrapping_add(1));
    }

    /// The command goes on with something else, such as its message.
    pub fn goes_on(&self, verb: Verb) {
        self.verb.set(Some(verb));
    }

    /// The command is through.
    pub fn ends(&self) {
        self.verb.set(None);
    }

    /// The command under way.
    pub fn verb(&self) -> Option<Verb> {
        self.verb.get()
    }

    /// A message was taken.
    pub fn takes_message(&self) {
        self.messages.set(self.messages.get().wrapping_add(1));
    }

    /// Notes why the session ends.
    pub fn ending(&self, ending: Ending) {
        self.ending.set(ending);
    }

    /// Why it ended; a kick is the reason of whatever went wrong after it.
    pub fn ended(&self) -> Ending {
        match (self.ending.get(), self.is_kicked()) {
            (Ending::Logout, _) => Ending::Logout,
            (_, true) => Ending::Kicked,
            (ending, false) => ending,
        }
    }

    /// The user is known: the account, and its name at that time.
    pub fn log_in(&self, account: AccountId, name: &Rc<str>) {
        self.user.set(Some((account, name.clone())));
    }

    /// The name of the user who is logged in.
    pub fn user(&self) -> Option<Rc<str>> {
        copy(&self.user).map(|(_, name)| name)
    }

    /// The account of the user who is logged in, whatever its name is now.
    pub fn account(&self) -> Option<AccountId> {
        copy(&self.user).map(|(account, _)| account)
    }

    /// The mailbox that is selected now.
    pub fn select(&self, mailbox: Option<Rc<str>>) {
        self.mailbox.set(mailbox);
    }

    /// The mailbox that is selected.
    pub fn mailbox(&self) -> Option<Rc<str>> {
        copy(&self.mailbox)
    }
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Presence({})", self.id.get())
    }
}

/// A copy of what lies in the cell.
fn copy<T: Clone>(cell: &Cell<Option<T>>) -> Option<T> {
    let value = cell.take();
    cell.set(value.clone());
    value
}
