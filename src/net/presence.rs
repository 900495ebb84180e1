//! What others on the shard may know of a connection, and how they end it: its place in the administrator's list.
//!
//! Invariants: shared with the shard's roster on one thread, so plain cells do; a command costs a few stores and no
//! allocation; who is kicked comes to no further wait for input, whatever it does, and has [`LINGER`] to take our last words.
//! Its history goes with the connection to another shard, so that a session is one session wherever it lives.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use crate::io::{Ring, Timer};
use crate::limits::LINGER;
use crate::metrics::{Ending, Verb};
use crate::store::AccountId;

/// What is known of one connection.
#[derive(Debug)]
pub struct Presence {
    /// The connection's one timer: here, so that a kick can fire it.
    timer: Timer,
    /// What happened on other shards, and what doesn't change.
    history: Cell<History>,
    tls: Cell<bool>,
    received: Cell<u64>,
    sent: Cell<u64>,
    commands: Cell<u32>,
    messages: Cell<u32>,
    heard: Cell<Instant>,
    verb: Cell<Option<Verb>>,
    kicked: Cell<Option<Instant>>,
    ending: Cell<Ending>,
    user: RefCell<Option<(AccountId, Rc<str>)>>,
    mailbox: RefCell<Option<Rc<str>>>,
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
    pub(super) fn new(ring: &Ring) -> Rc<Presence> {
        let now = ring.now();
        let history = History { id: 0, since: now, received: 0, sent: 0, commands: 0, messages: 0, kicked: false };
        Presence::of(ring, history)
    }

    /// That of a connection which came from another shard.
    pub(super) fn of(ring: &Ring, history: History) -> Rc<Presence> {
        let presence = Rc::new(Presence {
            timer: ring.timer(),
            history: Cell::new(history),
            tls: Cell::new(false),
            received: Cell::new(0),
            sent: Cell::new(0),
            commands: Cell::new(0),
            messages: Cell::new(0),
            heard: Cell::new(ring.now()),
            verb: Cell::new(None),
            kicked: Cell::new(None),
            ending: Cell::new(Ending::Closed),
            user: RefCell::default(),
            mailbox: RefCell::default(),
        });
        if history.kicked {
            presence.kick(ring.now());
        }
        presence
    }

    pub(super) fn timer(&self) -> &Timer {
        &self.timer
    }

    /// Everything since it came, on whatever shards.
    pub fn history(&self) -> History {
        let History { received, sent, commands, messages, .. } = self.history.get();
        History {
            received: received + self.received.get(),
            sent: sent + self.sent.get(),
            commands: commands + self.commands.get(),
            messages: messages + self.messages.get(),
            kicked: self.is_kicked(),
            ..self.history.get()
        }
    }

    /// Octets received and sent since it is on this shard.
    pub fn traffic(&self) -> (u64, u64) {
        (self.received.get(), self.sent.get())
    }

    /// Gives it its number, where it has none.
    pub fn name(&self, id: u64) {
        let history = self.history.get();
        if history.id == 0 {
            self.history.set(History { id, ..history });
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
        self.user.replace(Some((account, name.clone())));
    }

    /// The name of the user who is logged in.
    pub fn user(&self) -> Option<Rc<str>> {
        self.user.borrow().as_ref().map(|(_, name)| name.clone())
    }

    /// The account of the user who is logged in, whatever its name is now.
    pub fn account(&self) -> Option<AccountId> {
        self.user.borrow().as_ref().map(|(account, _)| *account)
    }

    /// The mailbox that is selected now.
    pub fn select(&self, mailbox: Option<Rc<str>>) {
        self.mailbox.replace(mailbox);
    }

    /// The mailbox that is selected.
    pub fn mailbox(&self) -> Option<Rc<str>> {
        self.mailbox.borrow().clone()
    }
}
