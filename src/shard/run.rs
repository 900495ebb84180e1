//! The life of a shard: opens its store, accepts, adopts, delivers, and stops in order.
//!
//! Invariant: whatever ends a connection's task, its place in the counts is given back ([`Guest`]); accepting pauses before
//! the process's descriptors run out, on all shards alike (sessions move to their users' shards, so that no shard has a
//! share of its own), and goes on when there is room.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::executor::{self, Breath, Queues, Running, contained};
use super::roster::Roster;
use super::{Ask, Door, Event, Failure, Notice, Order, Seed};
use crate::delivery::{self, Delivery};
use crate::directory::Addresses;
use crate::hop::{Address, Inbox, Post};
use crate::io::{Listener, Ring, Sizes};
use crate::limits;
use crate::metrics::{self, Ending, Meter};
use crate::net::{Arenas, Connection, Presence, exhausted};
use crate::session::login::Identity;
use crate::session::{Context, Ended, Endpoint, Moving, Protocol, Session};
use crate::store::{CommitTook, Medium, Replay, RingDisk, Store};

const SIZES: Sizes = Sizes {
    submissions: 1024,
    completions: 16_384,
    buffers: limits::RECEIVE_BUFFERS,
    buffer_bytes: limits::RECEIVE_BUFFER_BYTES,
};

/// A shard on its own thread.
struct Shard {
    queues: Queues,
    context: Rc<Context>,
    endpoints: Arc<[Arc<Endpoint>]>,
    adopt_at: Vec<Address<Moving>>,
    listeners: RefCell<Vec<Rc<Listener>>>,
    /// The sessions that are here.
    roster: Roster,
    /// Connections now.
    open: Cell<usize>,
    /// Those of all shards.
    connections: Arc<metrics::Counter>,
    /// How many the process has descriptors for.
    connections_max: usize,
    /// Listeners are paused because there are too many.
    full: Cell<bool>,
}

fn unix_time() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// Tells that the shard's main task never ran: the executor says why to nobody.
struct Unborn(Option<(usize, mpsc::Sender<Notice>)>);

impl Unborn {
    fn lives(mut self) {
        self.0 = None;
    }
}

impl Drop for Unborn {
    fn drop(&mut self) {
        if let Some((number, events)) = self.0.take() {
            let _ = events.send(Notice::Shard(number, Event::Failed(Failure::Executor)));
        }
    }
}

/// Starts the shard's thread. What it has to say comes through its events.
pub fn start(seed: Seed, replay: Replay) -> io::Result<Running> {
    let (cpu, name) = (seed.cpu, format!("shard-{}", seed.number));
    let unborn = Unborn(Some((seed.number, seed.events.clone())));
    executor::start(cpu, &name, move |queues| async move {
        unborn.lives();
        let (number, events) = (seed.number, seed.events.clone());
        let ended = match live(queues, seed, replay).await {
            Ok(()) => Event::Stopped,
            Err(failure) => Event::Failed(failure),
        };
        let _ = events.send(Notice::Shard(number, ended));
    })
}

async fn live(queues: Queues, seed: Seed, replay: Replay) -> Result<(), Failure> {
    let ring = Ring::new(&SIZES).map_err(Failure::Ring)?;
    let post = Post::new(seed.bell.clone());
    spawn_driver(&queues, &ring, &post, &seed);
    let meter = Rc::new(Meter::new(Instant::now));
    let store = open_store(&queues, (&ring, &post, &meter), &seed, replay).await?;
    let (number, events) = (seed.number, seed.events.clone());
    let orders = seed.orders.open(&post);
    let asks = seed.asks.open(&post);
    let (deliveries, adoptions) = (seed.deliveries.open(&post), seed.adoptions.open(&post));
    let delivery = Delivery::new(number, store.clone(), post.clone(), seed.deliver_to);
    let context = Rc::new(Context {
        ring,
        post,
        pool: seed.pool,
        arenas: Arenas::default(),
        store,
        addresses: Addresses::new(seed.directory.clone()),
        directory: seed.directory,
        delivery,
        config: seed.config,
        shard: number,
        shards: seed.adopt_at.len(),
        counters: seed.counters,
        meter,
        stopping: Cell::new(false),
        hurry: Cell::new(false),
        maildrops: Default::default(),
        taken: Cell::new(0),
        clock: unix_time,
    });
    let shard = Rc::new(Shard {
        queues,
        context,
        endpoints: seed.endpoints,
        adopt_at: seed.adopt_at,
        listeners: RefCell::default(),
        roster: Roster::default(),
        open: Cell::new(0),
        connections: seed.connections,
        connections_max: seed.connections_max,
        full: Cell::new(false),
    });
    shard.queues.spawn_session(Box::pin(deliver(shard.clone(), deliveries)));
    shard.queues.spawn_session(Box::pin(adopt(shard.clone(), adoptions)));
    shard.queues.spawn_session(Box::pin(tell(shard.clone(), asks)));
    for door in seed.doors {
        shard.open_door(door);
    }
    let _ = events.send(Notice::Shard(number, Event::Ready));
    let drained = move || drop(events.send(Notice::Shard(number, Event::Drained)));
    shard.obey(orders, drained).await
}

fn spawn_driver(queues: &Queues, ring: &Ring, post: &Rc<Post>, seed: &Seed) {
    let (ring, post, counters) = (ring.clone(), post.clone(), seed.counters.clone());
    let (number, events, driven) = (seed.number, seed.events.clone(), queues.clone());
    queues.spawn_driver(async move {
        if let Err(error) = executor::drive(ring, post, driven, counters).await {
            let _ = events.send(Notice::Shard(number, Event::Failed(Failure::Turn(error))));
        }
    });
}

async fn open_store(
    queues: &Queues,
    (ring, post, meter): (&Ring, &Rc<Post>, &Rc<Meter>),
    seed: &Seed,
    replay: Replay,
) -> Result<Store, Failure> {
    let medium = Medium::of_files(RingDisk::new(ring, &seed.data), seed.secret);
    let (number, events) = (seed.number, seed.events.clone());
    let sealed = events.clone();
    let on_sealed = Box::new(move || {
        let _ = sealed.send(Notice::Shard(number, Event::Sealed));
    });
    let seconds = unix_time().unsigned_abs();
    let store = Store::open(&medium, replay, on_sealed, seconds).await.map_err(Failure::Store)?;
    let begun = Instant::now();
    let meter = meter.clone();
    let on_commit = move |took: CommitTook| {
        meter.committed(u64::from(took.records), took.bytes as u64, took.nanoseconds);
    };
    let writer = store.writer(move || begun.elapsed(), on_commit);
    queues.spawn_session(Box::pin(async move {
        let lost = writer.await;
        let _ = events.send(Notice::Shard(number, Event::Failed(Failure::Log(lost))));
        // Whether what was with the log is kept nobody knows, so that it is neither OK nor NO. The process ends by that notice;
        // until then no session of this shard says another word.
        loop {
            thread::park();
        }
    }));
    let breath = Breath::new(ring, post.bell());
    queues.spawn_background("checkpoint", ring, store.checkpointer(async move || breath.take().await));
    let timers = ring.clone();
    queues.spawn_session(Box::pin(store.checkpoints_by_time(async move |time| {
        let until = timers.now() + time;
        // A stop fires every timer before its time.
        while timers.now() < until {
            timers.sleep(until - timers.now()).await;
        }
    })));
    Ok(store)
}

async fn deliver(shard: Rc<Shard>, inbox: Inbox<delivery::Deliver>) {
    loop {
        let message = inbox.receive().await;
        let store = shard.context.store.clone();
        shard.spawn(delivery::accept(store, message));
    }
}

async fn adopt(shard: Rc<Shard>, inbox: Inbox<Moving>) {
    loop {
        let moving = inbox.receive().await;
        shard.context.counters.adopted.add(1);
        let endpoint = shard.endpoints[moving.endpoint].clone();
        let connection = Connection::adopt(&shard.context.ring, moving.connection);
        let presence = connection.wire.presence().clone();
        let (account, name, quota) = moving.identity;
        let identity = Identity { account, name: name.into(), quota };
        presence.log_in(identity.account, &identity.name);
        let session = Session::new(connection, shard.context.clone(), endpoint.clone());
        let mut session = session.resume(identity);
        let guest = Guest::enter(&shard, &presence, (endpoint, moving.endpoint));
        shard.spawn(async move {
            let ended = session.run().await;
            Box::pin(guest.part(session, ended)).await;
        });
    }
}

/// Answers the control room.
async fn tell(shard: Rc<Shard>, asks: Inbox<Ask>) {
    loop {
        let ask = asks.receive().await;
        shard.roster.answer(&shard.context, ask);
        // Many may ask at once, and a copy of all figures takes a while.
        shard.context.ring.breathe().await;
    }
}

/// A connection's place in the counts and in the roster, given back on drop, whatever becomes of its task.
struct Guest {
    shard: Rc<Shard>,
    endpoint: Arc<Endpoint>,
    /// The listener's number.
    number: usize,
    presence: Rc<Presence>,
    /// Its place in the roster.
    slot: usize,
    /// It is among its service's sessions, which the endpoint counts.
    counted: Cell<bool>,
    /// It goes on elsewhere.
    moved: Cell<bool>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.shard.leave();
        if self.counted.get() {
            self.endpoint.sessions.subtract(1);
        }
        self.shard.roster.leave(&self.shard.context, self.slot);
        if !self.moved.get() {
            self.tell_end();
        }
    }
}

impl Guest {
    fn enter(shard: &Rc<Shard>, presence: &Rc<Presence>, (endpoint, number): (Arc<Endpoint>, usize)) -> Guest {
        shard.enter();
        let slot = shard.roster.enter(&shard.context, presence, endpoint.protocol);
        let (shard, presence) = (shard.clone(), presence.clone());
        Guest { shard, endpoint, number, presence, slot, counted: Cell::new(true), moved: Cell::new(false) }
    }

    /// The session's one line in the log, and its place among the endings.
    fn tell_end(&self) {
        let (presence, protocol) = (&self.presence, self.endpoint.protocol);
        let ending = if std::thread::panicking() { Ending::Panicked } else { presence.ended() };
        self.shard.context.meter.count(protocol.place(), |tally| tally.ended[ending as usize] += 1);
        let history = presence.history();
        // A target of its own, so that RINGPOST_LOG=info,session=warn leaves the lines out.
        tracing::info!(
            target: "session",
            id = history.id,
            protocol = protocol.name(),
            client = %presence.peer().client,
            user = presence.user().as_deref().unwrap_or("-"),
            tls = presence.is_tls(),
            seconds = self.shard.context.ring.now().saturating_duration_since(history.since).as_millis() as f64 / 1000.0,
            commands = history.commands,
            messages = history.messages,
            received = history.received,
            sent = history.sent,
            end = ending.name(),
            "session ended"
        );
    }

    /// Does the TLS handshake where the listener asks for it, and looks whether there is room; `None`: it was turned away.
    async fn admit(&self, mut connection: Connection) -> Option<Session> {
        let (endpoint, client) = (&self.endpoint, self.presence.peer().client);
        if let Some(config) = endpoint.tls.as_ref().filter(|_| endpoint.listener.tls) {
            let Connection { input, wire } = &mut connection;
            let done = match wire.begin_tls(config) {
                Ok(()) => wire.handshake(input, limits::HANDSHAKE_TIME_MAX).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                self.presence.ending(Ending::Handshake);
                tracing::debug!(%client, %error, "no TLS handshake");
                Box::pin(connection.close()).await;
                return None;
            }
        }
        let limit = endpoint.service.max_sessions as u64;
        if limit > 0 && endpoint.sessions.value() > limit {
            self.presence.ending(Ending::Full);
            // It takes nobody's place while it closes. The descriptors bound how many do so, and the linger how long.
            self.counted.set(false);
            endpoint.sessions.subtract(1);
            let text: &[u8] = match endpoint.protocol {
                Protocol::Imap => b"* BYE [UNAVAILABLE] Too many sessions, try again later\r\n",
                Protocol::Pop3 => b"-ERR [SYS/TEMP] Too many sessions, try again later\r\n",
                _ => b"421 4.3.2 Too many sessions, try again later\r\n",
            };
            connection.wire.output().extend_from_slice(text);
            Box::pin(connection.close()).await;
            return None;
        }
        let (context, endpoint) = (self.shard.context.clone(), endpoint.clone());
        Some(Session::new(connection, context, endpoint))
    }

    /// Its dialogue has ended.
    async fn part(&self, session: Session, ended: Ended) {
        match ended {
            Ended::Closed => session.into_connection().close().await,
            Ended::Failed(error) => self.failed(&error),
            Ended::Move(identity) => self.hand_over(session.into_connection(), identity).await,
        }
    }

    fn failed(&self, error: &io::Error) {
        self.presence.ending(Ending::Failed);
        tracing::debug!(client = %self.presence.peer().client, %error, "a connection failed");
    }

    /// Sends the session to the shard where its user lives.
    async fn hand_over(&self, connection: Connection, identity: Identity) {
        let owners = &self.shard.adopt_at;
        let owner = identity.account.shard(owners.len());
        // A client that doesn't read keeps nobody for ever.
        let mut connection = connection;
        let flushed = match connection.wire.flush().await {
            Ok(()) => connection.wire.sent().await,
            Err(error) => Err(error),
        };
        let released = match flushed {
            Ok(()) => connection.release().await,
            Err(error) => Err(error),
        };
        match released {
            Ok(connection) => {
                // Its place among the service's sessions goes along.
                self.counted.set(false);
                self.moved.set(true);
                let identity = (identity.account, identity.name.to_string(), identity.quota);
                let _ = owners[owner].send(Moving { connection, identity, endpoint: self.number });
            }
            Err(error) => self.failed(&error),
        }
    }
}

impl Shard {
    /// Runs a connection's task; where it panics, only it ends.
    fn spawn(self: &Rc<Self>, future: impl Future<Output = ()> + 'static) {
        let shard = self.clone();
        let mut contained = contained(future);
        self.queues.spawn_session(std::future::poll_fn(move |context| {
            Pin::new(&mut contained).poll(context).map(|ended| {
                if let Err(panic) = ended {
                    shard.context.counters.panics.add(1);
                    tracing::error!(shard = shard.context.shard, panic, "a session panicked; its connection is closed");
                }
            })
        }));
    }

    fn is_full(&self) -> bool {
        self.open.get() >= limits::CONNECTIONS_A_SHARD_MAX || self.connections.value() >= self.connections_max as u64
    }

    fn enter(self: &Rc<Self>) {
        self.open.set(self.open.get() + 1);
        self.connections.add(1);
        self.context.counters.connections.set(self.open.get() as u64);
        self.context.counters.accepted.add(1);
        if self.is_full() && !self.full.replace(true) {
            tracing::warn!(shard = self.context.shard, connections = self.open.get(), "full: accepting pauses");
            self.listeners.borrow().iter().for_each(|listener| listener.pause());
            self.queues.spawn_session(Box::pin(self.clone().resume()));
        }
    }

    /// Accepts again when there is room. It looks now and then, for the room may be made on another shard.
    async fn resume(self: Rc<Self>) {
        while self.is_full() && !self.context.stopping.get() {
            self.context.ring.sleep(limits::ACCEPT_PAUSE).await;
        }
        self.full.set(false);
        self.listeners.borrow().iter().for_each(|listener| listener.resume());
    }

    fn leave(&self) {
        self.open.set(self.open.get() - 1);
        self.connections.subtract(1);
        self.context.counters.connections.set(self.open.get() as u64);
    }

    fn open_door(self: &Rc<Self>, door: Door) {
        let listener = Rc::new(self.context.ring.listen(door.socket));
        self.listeners.borrow_mut().push(listener.clone());
        let shard = self.clone();
        self.queues.spawn_session(Box::pin(async move {
            while let Some(accepted) = listener.accept().await {
                match accepted {
                    Ok(descriptor) => shard.receive(descriptor, door.endpoint),
                    Err(error) if exhausted(&error) => {
                        tracing::warn!(%error, "cannot accept; trying again soon");
                        shard.context.ring.sleep(limits::ACCEPT_PAUSE).await;
                    }
                    // The client went away before it was accepted.
                    Err(_) => {}
                }
            }
        }));
    }

    fn receive(self: &Rc<Self>, descriptor: OwnedFd, number: usize) {
        // The client went away already.
        let Ok(connection) = Connection::new(&self.context.ring, descriptor) else { return };
        let endpoint = self.endpoints[number].clone();
        endpoint.sessions.add(1);
        self.context.meter.count(endpoint.protocol.place(), |tally| tally.sessions += 1);
        let guest = Guest::enter(self, connection.wire.presence(), (endpoint, number));
        // Boxed here, so that the task, which lives on, never has room for it.
        let admission = Box::pin(async move {
            let admitted = guest.admit(connection).await;
            (guest, admitted)
        });
        self.spawn(async move {
            let (guest, admitted) = admission.await;
            let Some(mut session) = admitted else { return };
            let ended = session.run().await;
            Box::pin(guest.part(session, ended)).await;
        });
    }

    /// Carries out the server's orders, and ends when the shard has stopped.
    ///
    /// A shard whose own sessions are gone goes on taking deliveries and sessions for the others until all are through.
    async fn obey(self: &Rc<Self>, orders: Inbox<Order>, drained: impl FnOnce()) -> Result<(), Failure> {
        while orders.receive().await != Order::Stop {}
        let listeners = self.listeners.take();
        for listener in &listeners {
            listener.close().await;
        }
        self.context.stopping.set(true);
        let ended = Rc::new(Cell::new(false));
        let (shard, over) = (self.clone(), ended.clone());
        self.queues.spawn_session(Box::pin(async move {
            loop {
                match orders.receive().await {
                    Order::Stop => {}
                    Order::Hurry => shard.context.hurry.set(true),
                    Order::End => break over.set(true),
                }
            }
        }));
        let mut drained = Some(drained);
        let mut patience = limits::HURRY_PATIENCE;
        while !ended.get() {
            // Those that came to a wait since the last look are told again.
            self.context.ring.fire_all_timers();
            self.context.ring.sleep(limits::STOP_LOOK).await;
            if self.context.hurry.get() {
                patience = patience.saturating_sub(limits::STOP_LOOK);
            }
            if (self.open.get() == 0 || patience.is_zero())
                && let Some(drained) = drained.take()
            {
                drained();
            }
        }
        self.context.store.flush().await.map_err(Failure::Store)
    }
}
