//! The shard's list of its sessions, and what the control room asks of it: who is there, kick, figures.
//!
//! Invariants: a session stands in the list from its accept or adoption to its end, whatever ends it (its [`Guest`] leaves
//! for it); an answer is bounded, and a list goes on behind the slot where the last answer ended; a session that moves keeps
//! its number. What is counted of a session is counted on each shard for the time that it was there, so that counts grow.
//!
//! [`Guest`]: super::run

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use crate::hop::Reply;
use crate::io::Pools;
use crate::limits;
use crate::metrics::{self, PROTOCOLS, Snapshot};
use crate::net::Presence;
use crate::session::{Context, Protocol};
use crate::store::AccountId;

/// What the control room asks a shard.
#[derive(Debug)]
pub enum Ask {
    /// Does it answer?
    Alive(Reply<()>),
    /// What has it counted and measured?
    Figures(Reply<Box<Figures>>),
    /// Which sessions are there? From the slot `from` on.
    Who {
        /// Those alone.
        which: Which,
        /// 0, or what the last answer ended with.
        from: usize,
        /// The answer.
        reply: Reply<Page>,
    },
    /// End sessions; the answer is how many.
    Kick {
        /// Those.
        which: Which,
        /// How many were ended now.
        reply: Reply<u64>,
    },
}

/// Which sessions are meant: those that fit all that is said.
#[derive(Clone, Default, Debug)]
pub struct Which {
    /// That number.
    pub id: Option<u64>,
    /// That user, by the whole name that the login was granted with, whatever its letters' case.
    pub user: Option<String>,
    /// The user with that account, whatever its name has become.
    pub account: Option<AccountId>,
    /// Clients of that network.
    pub network: Option<Network>,
}

/// An address, or all that share the first bits of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Some sessions of a shard.
#[derive(Debug)]
pub struct Page {
    /// In the order of their slots.
    pub sessions: Vec<Seen>,
    /// Where to go on; `None`: that was the end.
    pub next: Option<usize>,
}

/// A session as it is shown.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its number.
    pub id: u64,
    /// What it speaks.
    pub protocol: &'static str,
    /// TLS is on.
    pub tls: bool,
    /// The client.
    pub client: std::net::SocketAddr,
    /// Who is logged in.
    pub user: Option<String>,
    /// What is selected.
    pub mailbox: Option<String>,
    /// The command under way, or `idle`.
    pub state: &'static str,
    /// Since when it is there. Unix time in seconds.
    pub since: i64,
    /// Since when the client has said nothing.
    pub silent: Duration,
    /// Commands so far.
    pub commands: u32,
    /// Messages taken from it.
    pub messages: u32,
    /// Octets received, as they went over the wire.
    pub received: u64,
    /// Octets sent.
    pub sent: u64,
}

/// All that a shard tells of itself.
#[derive(Debug)]
pub struct Figures {
    /// Its number.
    pub shard: usize,
    /// Counts and times; the octets of sessions that go on are in them.
    pub snapshot: Snapshot,
    /// Sessions now, by protocol as in [`PROTOCOLS`]: without TLS, with it.
    pub sessions: [[u64; 2]; PROTOCOLS.len()],
    /// Users' sessions among them.
    pub logged_in: u64,
    /// The ring's pools.
    pub pools: Pools,
}

impl FromStr for Network {
    type Err = &'static str;

    /// `network = address ["/" bits]`
    fn from_str(text: &str) -> Result<Network, &'static str> {
        const EXPECTED: &str = "an address or a network, as in 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32";
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| EXPECTED)?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= whole).ok_or(EXPECTED)?,
            None => whole,
        };
        Ok(Network { address, bits })
    }
}

impl Network {
    /// Whether `address` belongs to it. An IPv4 address is the same in its own form and as a mapped one.
    pub fn has(&self, address: IpAddr) -> bool {
        let first = |value: u128, whole: u32| value.checked_shr(whole - u32::from(self.bits)).unwrap_or(0);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                first(u128::from(own.to_bits()), 32) == first(u128::from(other.to_bits()), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => first(own.to_bits(), 128) == first(other.to_bits(), 128),
            _ => false,
        }
    }
}

/// A place in the list.
#[derive(Clone, Debug)]
struct Member {
    presence: Rc<Presence>,
    protocol: Protocol,
}

impl Member {
    fn is(&self, which: &Which) -> bool {
        let user = |name: &String| self.presence.user().is_some_and(|user| user.eq_ignore_ascii_case(name));
        which.id.is_none_or(|id| self.presence.history().id == id)
            && which.network.is_none_or(|network| network.has(self.presence.peer().client.ip()))
            && which.user.as_ref().is_none_or(user)
            && which.account.is_none_or(|account| self.presence.account() == Some(account))
    }

    fn seen(&self, context: &Context) -> Seen {
        let (presence, now) = (&self.presence, context.ring.now());
        let history = presence.history();
        let for_seconds = now.saturating_duration_since(history.since).as_secs();
        Seen {
            id: history.id,
            protocol: self.protocol.name(),
            tls: presence.is_tls(),
            client: presence.peer().client,
            user: presence.user().map(|user| user.to_string()),
            mailbox: presence.mailbox().map(|mailbox| mailbox.to_string()),
            state: match (presence.is_kicked(), presence.verb()) {
                (true, _) => "kicked",
                (false, Some(verb)) => verb.name(),
                (false, None) => "idle",
            },
            since: (context.clock)() - i64::try_from(for_seconds).unwrap_or(i64::MAX),
            silent: now.saturating_duration_since(presence.heard()),
            commands: history.commands,
            messages: history.messages,
            received: history.received,
            sent: history.sent,
        }
    }
}

/// The list.
#[derive(Debug, Default)]
pub(super) struct Roster {
    slots: RefCell<Vec<Option<Member>>>,
    free: RefCell<Vec<usize>>,
    named: Cell<u64>,
}

impl Roster {
    /// Takes a session in, and gives it its number where it has none; its slot.
    pub(super) fn enter(&self, context: &Context, presence: &Rc<Presence>, protocol: Protocol) -> usize {
        self.named.set(self.named.get() + 1);
        // No two shards give the same.
        presence.name((self.named.get() - 1) * context.shards as u64 + context.shard as u64 + 1);
        let member = Some(Member { presence: presence.clone(), protocol });
        let mut slots = self.slots.borrow_mut();
        match self.free.borrow_mut().pop() {
            Some(slot) => {
                slots[slot] = member;
                slot
            }
            None => {
                slots.push(member);
                slots.len() - 1
            }
        }
    }

    /// The session is no longer here.
    pub(super) fn leave(&self, context: &Context, slot: usize) {
        let Some(member) = self.slots.borrow_mut()[slot].take() else { return };
        self.free.borrow_mut().push(slot);
        let (received, sent) = member.presence.traffic();
        context.meter.count(member.protocol.place(), |tally| {
            tally.received += received;
            tally.sent += sent;
        });
    }

    /// Answers one question.
    pub(super) fn answer(&self, context: &Context, ask: Ask) {
        match ask {
            Ask::Alive(reply) => reply.send(()),
            Ask::Figures(reply) => reply.send(Box::new(self.figures(context))),
            Ask::Who { which, from, reply } => reply.send(self.page(context, &which, from)),
            Ask::Kick { which, reply } => {
                let slots = self.slots.borrow();
                let meant = slots.iter().flatten().filter(|member| member.is(&which));
                reply.send(meant.filter(|member| member.presence.kick(context.ring.now())).count() as u64);
            }
        }
    }

    fn page(&self, context: &Context, which: &Which, from: usize) -> Page {
        let slots = self.slots.borrow();
        let end = from.saturating_add(limits::WHO_PAGE_SLOTS);
        let mut sessions = Vec::new();
        for (slot, member) in slots.iter().enumerate().skip(from) {
            if slot >= end || sessions.len() >= limits::WHO_PAGE_SESSIONS {
                return Page { sessions, next: Some(slot) };
            }
            sessions.extend(member.iter().filter(|member| member.is(which)).map(|member| member.seen(context)));
        }
        Page { sessions, next: None }
    }

    fn figures(&self, context: &Context) -> Figures {
        let mut snapshot = context.meter.snapshot();
        let (mut sessions, mut logged_in) = ([[0; 2]; PROTOCOLS.len()], 0);
        for member in self.slots.borrow().iter().flatten() {
            let place = member.protocol.place();
            let (received, sent) = member.presence.traffic();
            let tally: &mut metrics::Tally = &mut snapshot.tallies[place];
            tally.received += received;
            tally.sent += sent;
            sessions[place][usize::from(member.presence.is_tls())] += 1;
            logged_in += u64::from(member.presence.user().is_some());
        }
        Figures { shard: context.shard, snapshot, sessions, logged_in, pools: context.ring.pools() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let has = |network: &str, address: &str| network.parse::<Network>().unwrap().has(address.parse().unwrap());
        assert!(
            has("192.0.2.7", "192.0.2.7") && has("192.0.2.7", "::ffff:192.0.2.7") && !has("192.0.2.7", "192.0.2.8")
        );
        assert!(has("192.0.2.128/25", "192.0.2.200") && !has("192.0.2.128/25", "192.0.2.100"));
        assert!(has("0.0.0.0/0", "203.0.113.1") && !has("0.0.0.0/0", "2001:db8::1"));
        assert!(has("2001:db8::/32", "2001:db8:1::1") && !has("2001:db8::/32", "2001:db9::1"));
        assert!(has("::/0", "2001:db8::1") && has("::1", "::1") && !has("::1", "::2"));
        for wrong in ["", "x", "192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2.0/-1", "/8", "192.0.2.0/24/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
