//! Sessions: one dialogue with one client, whatever the protocol.
//!
//! Invariants: a session touches the mail of its user only on the user's own shard, takes no lock and makes no hop a
//! command; what it needs of its shard comes in a [`Context`], time included; every wait has a deadline, and ends when the
//! server stops.

pub mod imap;
pub mod login;
pub mod pop3;
pub mod smtp;
pub mod visit;

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Config, Listener, Service, StartTls};
use crate::delivery::Delivery;
use crate::directory::{Addresses, Handle};
use crate::hop::Post;
use crate::io::Ring;
use crate::metrics::{self, Ending, Meter, Verb};
use crate::mime;
use crate::net::{Arenas, Connection, Moved, Peer, ServerTls, Wire};
use crate::service::Pool;
use crate::store::{AccountId, Body, ColdBlocks, Error, Store, WarmBlocks};
use login::Identity;

/// One session, whatever it speaks. Boxed: who holds it holds a pointer.
#[derive(Debug)]
pub enum Session {
    /// RFC 3501.
    Imap(Box<imap::Session>),
    /// RFC 1939.
    Pop3(Box<pop3::Session>),
    /// RFC 5321 and those like it.
    Smtp(Box<smtp::Session>),
}

/// How a dialogue ended.
#[derive(Debug)]
pub enum Ended {
    /// It is over; the connection is to be closed.
    Closed,
    /// It goes on where its user lives.
    Move(Identity),
    /// The connection failed.
    Failed(io::Error),
}

/// A session between two shards.
#[derive(Debug)]
pub struct Moving {
    /// The connection.
    pub connection: Moved,
    /// Who it belongs to: account, name, quota.
    pub identity: (AccountId, String, Option<u64>),
    /// The number of the listener that it came to.
    pub endpoint: usize,
}

impl Session {
    /// A session on a connection that was just accepted (and did its handshake, on an implicit-TLS port).
    pub fn new(connection: Connection, context: Rc<Context>, endpoint: Arc<Endpoint>) -> Session {
        match endpoint.protocol {
            Protocol::Imap => Session::Imap(Box::new(imap::Session::new(connection, context, endpoint))),
            Protocol::Pop3 => Session::Pop3(Box::new(pop3::Session::new(connection, context, endpoint))),
            Protocol::Smtp | Protocol::Submission | Protocol::Lmtp => {
                Session::Smtp(Box::new(smtp::Session::new(connection, context, endpoint)))
            }
        }
    }

    /// Goes on with a session that another shard authenticated.
    pub fn resume(self, identity: Identity) -> Session {
        match self {
            Session::Imap(session) => Session::Imap(Box::new(session.resume(identity))),
            Session::Pop3(session) => Session::Pop3(Box::new(session.resume(identity))),
            // Its user's mail is reached through deliveries, so that it never moves.
            Session::Smtp(session) => Session::Smtp(session),
        }
    }

    /// Greets, unless the session is resumed, and answers commands to the end.
    pub async fn run(&mut self) -> Ended {
        let ended = match self {
            Session::Imap(session) => session.run().await,
            // Boxed, so that each waits in a room of its own size: most are IMAP sessions.
            Session::Pop3(session) => Box::pin(session.run()).await,
            Session::Smtp(session) => Box::pin(session.run()).await.map(|()| None),
        };
        match ended {
            Ok(Some(identity)) => Ended::Move(identity),
            Ok(None) => Ended::Closed,
            Err(error) => Ended::Failed(error),
        }
    }

    /// The connection, when the dialogue has ended.
    pub fn into_connection(self) -> Connection {
        match self {
            Session::Imap(session) => session.into_connection(),
            Session::Pop3(session) => session.into_connection(),
            Session::Smtp(session) => session.into_connection(),
        }
    }
}

/// What sessions need of their shard.
#[derive(Debug)]
pub struct Context {
    /// The shard's ring.
    pub ring: Ring,
    /// Its post office.
    pub post: Rc<Post>,
    /// The threads that may block.
    pub pool: Pool,
    /// Arenas, one a command.
    pub arenas: Arenas,
    /// The mail of the accounts that live here.
    pub store: Store,
    /// Names and passwords.
    pub directory: Handle,
    /// Whose an address is.
    pub addresses: Addresses,
    /// To accounts on any shard.
    pub delivery: Delivery,
    /// The configuration that new sessions take.
    pub config: Arc<Config>,
    /// This shard's number.
    pub shard: usize,
    /// How many there are.
    pub shards: usize,
    /// Counters that others read.
    pub counters: Arc<metrics::Shard>,
    /// What is measured here.
    pub meter: Rc<Meter>,
    /// The server is stopping: sessions say goodbye.
    pub stopping: Cell<bool>,
    /// The drain's time is over: what is still under way ends too.
    pub hurry: Cell<bool>,
    /// Maildrops of this shard's accounts that POP3 sessions have open.
    pub maildrops: pop3::Maildrops,
    /// Messages taken by this shard, for their ids.
    pub taken: Cell<u64>,
    /// Unix time in seconds.
    pub clock: fn() -> i64,
}

impl Context {
    /// Reads in and checks what nobody read yet, where it may block.
    pub async fn verify(&self, cold: ColdBlocks) -> Result<WarmBlocks, Error> {
        self.pool.ask(&self.post, move || cold.verify()).await.unwrap_or(Err(Error::Busy))
    }
}

/// A command under way, from [`Context::begin`] to [`Context::end`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Begun {
    verb: Verb,
    at: Instant,
}

/// Why a session says goodbye on its own account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Farewell {
    /// The server stops.
    Stopping,
    /// An administrator ended it.
    Kicked,
    /// The client was silent for too long.
    Idle,
}

impl Context {
    /// A command begins: it is shown as the session's state, and timed from the turn that brought it, so that what it
    /// waited behind others is counted too.
    pub fn begin(&self, wire: &Wire, verb: Verb) -> Begun {
        wire.presence().begins(verb);
        Begun { verb, at: self.ring.now() }
    }

    /// Its answer is written.
    pub fn end(&self, wire: &Wire, begun: Begun) {
        wire.presence().ends();
        self.meter.took(begun.verb, begun.at);
    }

    /// Whether a transfer that is under way goes on although a wait for it ended early: the server stops, and the drain
    /// has not run out.
    pub fn lets_transfers_end(&self, wire: &Wire) -> bool {
        self.stopping.get() && !self.hurry.get() && !wire.is_kicked()
    }

    /// A deadline passed, or all timers were fired, or the session was kicked: which of them, noted as the session's end.
    pub fn farewell(&self, wire: &Wire) -> Farewell {
        let (farewell, ending) = match (wire.is_kicked(), self.stopping.get()) {
            (true, _) => (Farewell::Kicked, Ending::Kicked),
            (false, true) => (Farewell::Stopping, Ending::Stopped),
            (false, false) => (Farewell::Idle, Ending::Timeout),
        };
        wire.presence().ending(ending);
        farewell
    }
}

/// What a session knows of the listener that it came to: one for the whole server, and read only but for its count.
#[derive(Debug)]
pub struct Endpoint {
    /// The protocol.
    pub protocol: Protocol,
    /// The listener's settings.
    pub listener: Listener,
    /// Its service's settings.
    pub service: Service,
    /// What it presents in TLS.
    pub tls: Option<ServerTls>,
    /// Sessions of its service now, on all shards.
    pub sessions: Arc<metrics::Counter>,
}

/// What is spoken at a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// RFC 3501.
    Imap,
    /// RFC 5321, from other servers.
    Smtp,
    /// RFC 6409, from users.
    Submission,
    /// RFC 1939.
    Pop3,
    /// RFC 2033.
    Lmtp,
}

impl Protocol {
    /// Its place in [`metrics::PROTOCOLS`].
    pub fn place(self) -> usize {
        match self {
            Protocol::Imap => 0,
            Protocol::Pop3 => 1,
            Protocol::Smtp => 2,
            Protocol::Submission => 3,
            Protocol::Lmtp => 4,
        }
    }

    /// Its name in logs and for the credential cache.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Imap => "imap",
            Protocol::Smtp => "smtp",
            Protocol::Submission => "submission",
            Protocol::Pop3 => "pop3",
            Protocol::Lmtp => "lmtp",
        }
    }
}

impl Endpoint {
    /// Whether STARTTLS may be sent now; `tls`: the connection is encrypted already.
    pub fn offers_starttls(&self, tls: bool) -> bool {
        !tls && self.tls.is_some() && self.listener.starttls != StartTls::Off
    }

    /// Whether TLS is required and not on: nothing but the way to it is answered (RFC 3207 §4, RFC 3501 §6.2.3).
    pub fn lacks_tls(&self, tls: bool) -> bool {
        !tls && self.listener.starttls == StartTls::Required
    }

    /// Whether a name and a password may be sent on a connection as it is now.
    pub fn allows_password(&self, tls: bool, peer: Peer) -> bool {
        let clear = self.service.allow_plaintext_auth || peer.is_loopback();
        self.listener.password && !self.lacks_tls(tls) && (tls || clear)
    }

    /// How long a client may be silent.
    pub fn idle_timeout(&self) -> Duration {
        self.service.idle_timeout
    }
}

/// The message's structure: on this thread for a usual message, on a service thread for one that would hold the shard up.
pub async fn structure(context: &Context, body: &Body) -> Option<Arc<mime::Structure>> {
    if body.len() <= crate::limits::STRUCTURE_INLINE_BYTES {
        return Some(Arc::new(mime::structure(body)));
    }
    let body = body.clone();
    context.pool.ask(&context.post, move || Arc::new(mime::structure(&body))).await
}

/// Warns of an error that the administrator can do something about. What a client asked too much for is said to it alone.
pub fn warn_of(error: &Error) {
    if matches!(error, Error::Io { .. } | Error::Corrupt { .. } | Error::Full | Error::Busy) {
        tracing::warn!(%error, "the store refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(starttls: StartTls, plaintext: bool) -> Endpoint {
        let listener =
            Listener { addresses: Vec::new(), tls: false, starttls, password: true, anonymous: false, auth_tries: 3 };
        let service = Service {
            max_sessions: 0,
            idle_timeout: Duration::from_secs(1800),
            greeting: None,
            greeting_tls: None,
            allow_plaintext_auth: plaintext,
            listeners: vec![listener.clone()],
        };
        Endpoint { protocol: Protocol::Imap, listener, service, tls: None, sessions: Arc::default() }
    }

    fn peer(client: &str, server: &str) -> Peer {
        Peer::new(client.parse().unwrap(), server.parse().unwrap())
    }

    #[test]
    fn protocols_have_their_places() {
        for protocol in [Protocol::Imap, Protocol::Pop3, Protocol::Smtp, Protocol::Submission, Protocol::Lmtp] {
            assert_eq!(metrics::PROTOCOLS[protocol.place()], protocol.name());
        }
    }

    #[test]
    fn required_tls_goes_before_any_password() {
        let near = peer("[::ffff:127.0.0.1]:5", "127.0.0.1");
        let far = peer("192.0.2.1:5", "192.0.2.2");
        let through = peer("127.0.0.1:5", "192.0.2.2");
        let allowed = |starttls, plaintext, tls, peer| endpoint(starttls, plaintext).allows_password(tls, peer);
        for starttls in [StartTls::Off, StartTls::On] {
            assert!(!endpoint(starttls, true).lacks_tls(false));
            assert!(allowed(starttls, false, false, near) && allowed(starttls, true, false, far));
            assert!(allowed(starttls, false, true, far) && !allowed(starttls, false, false, far));
            assert!(!allowed(starttls, false, false, through));
        }
        let required = endpoint(StartTls::Required, true);
        assert!(required.lacks_tls(false) && !required.lacks_tls(true));
        assert!(!required.allows_password(false, near) && !required.allows_password(false, far));
        assert!(required.allows_password(true, near) && required.allows_password(true, far));
    }

    #[test]
    fn a_password_is_for_listeners_that_take_one() {
        let mut endpoint = endpoint(StartTls::On, true);
        endpoint.listener.password = false;
        let near = peer("127.0.0.1:5", "::ffff:127.0.0.1");
        assert!(!endpoint.allows_password(true, near) && !endpoint.allows_password(false, near));
        // Without a certificate there is nothing to start.
        assert!(!endpoint.offers_starttls(false) && !endpoint.offers_starttls(true));
    }
}
