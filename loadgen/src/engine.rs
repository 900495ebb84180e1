//! The event loop: one thread, one epoll, all connections of a run, from set-up to the last reply.
//!
//! Invariants: the measured time begins when every standing connection is ready and ends `measured` later, whatever the server
//! does; what is answered after it is checked, but not counted. Set-up and drain have their own ends. A violation ends the
//! run at once. It does not know a protocol: [`Dialogue`] does. When operations are due is `pace`'s.

mod clock;
mod pace;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use clock::Clock;
use mio::{Events, Interest, Poll, Registry, Token};
pub use pace::Pace;
use pace::{Schedule, Timer};

use crate::dialogue::{Dialogue, Fault, Transcript, Turn, Wish};
use crate::limits::{FRONT_BYTES_MAX, GATHER_BYTES_MAX, GATHERING_CONNECTIONS_MAX, OPENING_MAX};
use crate::limits::{READ_BYTES, REOPEN_MILLISECONDS};
use crate::link::{Link, Read, Throttle, Tls};
use crate::machine::Usage;
use crate::series::{Second, Watcher};
use crate::surroundings::Moment;
use crate::tally::Tally;

/// What a run is to be.
#[derive(Debug)]
pub struct Plan {
    /// The servers, or the ports of one.
    pub targets: Vec<Target>,
    /// How operations follow each other.
    pub pace: Pace,
    /// Connections that are dropped together.
    pub storms: Vec<Storm>,
    /// The seed of all that is left to chance.
    pub seed: u64,
    /// Time before counting begins.
    pub warm_up: Duration,
    /// The time that counts.
    pub measured: Duration,
    /// An operation that takes longer has failed.
    pub time_out: Duration,
    /// The server's process, to read its usage.
    pub server_pid: Option<u32>,
    /// True: print `holding N` when all connections are up.
    pub announce: bool,
}

/// Where connections go.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    /// TLS, where it is spoken at all.
    pub tls: Option<Tls>,
    /// True: TLS from the first octet.
    pub implicit_tls: bool,
    /// How slowly the client reads and writes, where it does.
    pub throttle: Throttle,
}

/// A network that fails again and again.
#[derive(Debug, Clone)]
pub struct Storm {
    /// The time between two.
    pub every: Duration,
    /// The share of the connections that are lost each time, from 0 to 1.
    pub share: f64,
    /// Which connections of the run it is about.
    pub connections: Range<usize>,
}

/// A connection to be: what it says, and to whom.
pub struct Member {
    /// Its client side.
    pub dialogue: Box<dyn Dialogue>,
    /// The number of its target in the plan.
    pub target: usize,
    /// When its user comes, after the start; with think times only.
    pub starts_after: Duration,
}

impl Member {
    /// One with this dialogue, for the first target and from the start.
    pub fn new(dialogue: impl Dialogue + 'static) -> Member {
        Member { dialogue: Box::new(dialogue), target: 0, starts_after: Duration::ZERO }
    }
}

/// Connections to the first target, all from the start.
pub fn alike<D: Dialogue + 'static>(dialogues: impl Iterator<Item = D>) -> Vec<Member> {
    dialogues.map(Member::new).collect()
}

/// What a run gave.
#[derive(Debug)]
pub struct Outcome {
    /// All counts.
    pub tally: Tally,
    /// The measured time as it was. Seconds.
    pub seconds: f64,
    /// Time from the first connect until all were ready. Seconds.
    pub setup_seconds: f64,
    /// Our processor time within the measured time. Seconds.
    pub own_cpu_seconds: f64,
    /// The seconds of the measured time.
    pub series: Vec<Second>,
    /// The server before the first connection, at the start and at the end of the measured time.
    pub server: Option<[Usage; 3]>,
    /// The processors at the start and at the end of the measured time.
    pub moments: Option<[Moment; 2]>,
}

/// A client that is late by more than this share of the latency that it reports measures itself.
const LAG_SHARE_MAX: f64 = 0.1;

impl Outcome {
    /// Why the latencies say nothing about the server, where that is so: in an open loop, the client came too late to its own
    /// schedule.
    pub fn void(&self) -> Option<String> {
        let (lag, latency) = (self.tally.lag.value_at_quantile(0.99), self.tally.latency().value_at_quantile(0.99));
        (lag as f64 > latency as f64 * LAG_SHARE_MAX).then(|| {
            let micro = |nanoseconds: u64| nanoseconds as f64 / 1e3;
            format!(
                "the client itself was late by {:.1} µs at p99, more than a tenth of the reported p99 of {:.1} µs",
                micro(lag),
                micro(latency)
            )
        })
    }
}

/// Why a run failed.
#[derive(Debug)]
pub enum RunError {
    /// The server broke the protocol.
    Violation {
        /// How.
        what: String,
        /// The end of that connection's dialogue.
        dialogue: String,
    },
    /// One line.
    Fatal(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    SetUp,
    WarmUp,
    Measured,
    Drain,
}

struct Connection {
    dialogue: Box<dyn Dialogue>,
    target: usize,
    starts_after: Duration,
    link: Option<Link>,
    /// The beginning of a response that is not whole yet.
    partial: Vec<u8>,
    transcript: Transcript,
    handshaking: bool,
    was_ready: bool,
    opened_at: Instant,
    /// When its user wants the next operation, and since when that was known.
    due: Option<(Instant, Instant)>,
    /// Since when its user has waited for an operation to be started.
    late: Option<Instant>,
    /// When it goes on, where it was throttled: one timer at a time.
    pumped_at: Option<Instant>,
    /// True until the first operation of this connection.
    is_fresh: bool,
    /// True while it is among those that can take an arrival.
    is_offered: bool,
}

/// Why a connection is to be given up.
enum Loss {
    Lost(String),
    Fault(Fault),
    /// The dialogue was refused.
    Closed,
    /// The dialogue is over.
    Over,
}

impl From<Fault> for Loss {
    fn from(fault: Fault) -> Loss {
        Loss::Fault(fault)
    }
}

impl From<io::Error> for Loss {
    fn from(error: io::Error) -> Loss {
        Loss::Lost(match error.kind() {
            ErrorKind::ConnectionRefused => "connection refused".into(),
            ErrorKind::ConnectionReset => "connection reset".into(),
            ErrorKind::BrokenPipe => "connection closed".into(),
            ErrorKind::InvalidData => format!("TLS: {error}"),
            _ => error.to_string(),
        })
    }
}

struct Loop<'a> {
    plan: &'a Plan,
    connections: Vec<Connection>,
    tally: Tally,
    phase: Phase,
    scratch: Vec<u8>,
    schedule: Schedule,
    never_opened: usize,
    /// Connections that are opened before the start.
    standing: usize,
    got_in: bool,
    opening: u32,
    ready: usize,
    now: Instant,
}

/// Less than this before something is due the loop no longer sleeps: a sleep ends up to a millisecond late.
const AWAKE: Duration = Duration::from_millis(2);

/// An answer whose checks take longer than to read the clock.
const LONG_ANSWER_BYTES: usize = 4096;

/// Runs the dialogues of `members` as `plan` says, to their end.
pub fn run(plan: &Plan, members: Vec<Member>, watchers: Vec<Box<dyn Watcher>>) -> Result<Outcome, RunError> {
    let fatal = |error: io::Error| RunError::Fatal(format!("epoll: {error}"));
    let mut poll = Poll::new().map_err(fatal)?;
    let registry = poll.registry().try_clone().map_err(fatal)?;
    let mut events = Events::with_capacity(1024);
    let now = Instant::now();
    let connections = members.into_iter().map(|Member { dialogue, target, starts_after }| Connection {
        dialogue,
        target,
        starts_after,
        link: None,
        partial: Vec::new(),
        transcript: Transcript::default(),
        handshaking: false,
        was_ready: false,
        opened_at: now,
        due: None,
        late: None,
        pumped_at: None,
        is_fresh: true,
        is_offered: false,
    });
    let mut state = Loop {
        plan,
        connections: connections.collect(),
        tally: Tally::new(),
        phase: Phase::SetUp,
        scratch: vec![0; READ_BYTES],
        schedule: Schedule::new(plan.seed),
        never_opened: 0,
        standing: 0,
        got_in: false,
        opening: 0,
        ready: 0,
        now,
    };
    state.tally.open_loop = !matches!(plan.pace, Pace::Saturate);
    state.standing = state.connections.iter().filter(|connection| connection.dialogue.is_standing()).count();
    let mut clock = Clock::new(plan, now, watchers)?;
    loop {
        state.now = Instant::now();
        state.set_up(&registry)?;
        if clock.turn(&mut state, &registry)? {
            return Ok(clock.outcome(state.tally));
        }
        state.on_time(&registry)?;
        let wait = clock.until_next(state.now, state.schedule.next());
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(fatal(error)),
            _ => {}
        }
        if wait.is_zero() && events.is_empty() {
            // Not asleep, but whoever shares this processor may have it: a server perhaps.
            std::thread::yield_now();
        }
        for event in &events {
            state.now = Instant::now();
            state.ready(event.token().0, event.is_read_closed() || event.is_error(), &registry)?;
            state.on_time(&registry)?;
        }
    }
}

impl Loop<'_> {
    /// True where connections are opened before the start; users who think come in their own time.
    fn sets_up(&self) -> bool {
        !matches!(self.plan.pace, Pace::Think { .. }) && self.standing > 0
    }

    /// While setting up: opens the next connections, a few at once.
    fn set_up(&mut self, registry: &Registry) -> Result<(), RunError> {
        while self.phase == Phase::SetUp
            && self.sets_up()
            && self.never_opened < self.connections.len()
            && self.opening < OPENING_MAX
        {
            let index = self.never_opened;
            self.never_opened += 1;
            if self.connections[index].dialogue.is_standing() {
                self.opening += 1;
                self.open(index, self.now, registry)?;
            }
        }
        Ok(())
    }

    /// Opens connection `index`, for an operation that was due then.
    fn open(&mut self, index: usize, due: Instant, registry: &Registry) -> Result<(), RunError> {
        let connection = &mut self.connections[index];
        let think = connection.dialogue.opening(due, self.now);
        connection.opened_at = self.now;
        connection.is_fresh = true;
        connection.partial.clear();
        connection.handshaking = false;
        let target = &self.plan.targets[connection.target];
        let standing = connection.dialogue.is_standing();
        if let (Pace::Think { speed }, false) = (self.plan.pace, standing) {
            connection.late = None;
            self.falls_due(index, due + think.div_f64(speed));
        }
        let opened = Link::connect(target.address, target.throttle).and_then(|mut link| {
            registry.register(&mut link.stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            Ok(link)
        });
        match opened {
            Ok(link) => {
                self.connections[index].link = Some(link);
                Ok(())
            }
            Err(error) => self.give_up(index, error.into(), registry),
        }
    }

    fn is_idle(&self) -> bool {
        self.connections
            .iter()
            .all(|connection| connection.link.is_none() || connection.dialogue.waiting_since().is_none())
    }

    /// Gives up connections whose oldest operation takes too long.
    fn expire(&mut self, registry: &Registry) -> Result<(), RunError> {
        for index in 0..self.connections.len() {
            let connection = &self.connections[index];
            let Some(link) = &connection.link else { continue };
            let since = if link.connected && !connection.handshaking {
                connection.dialogue.waiting_since()
            } else {
                Some(connection.opened_at)
            };
            if since.is_some_and(|since| self.now.saturating_duration_since(since) > self.plan.time_out) {
                let why = connection.dialogue.farewell().unwrap_or("time-out").to_owned();
                self.give_up(index, Loss::Lost(why), registry)?;
            }
        }
        Ok(())
    }

    /// One call of the dialogue.
    fn with_turn<T: Default>(
        &mut self,
        index: usize,
        call: impl FnOnce(&mut dyn Dialogue, &mut Turn<'_>) -> Result<T, Fault>,
    ) -> Result<T, Loss> {
        let connection = &mut self.connections[index];
        let Some(link) = &mut connection.link else { return Ok(T::default()) };
        let before = link.out().len();
        let mut turn = Turn {
            now: self.now,
            out: link.out(),
            // Nobody got in yet: there is no run to go on with.
            may_end: self.phase != Phase::Drain && (self.phase == Phase::SetUp || !self.got_in),
            tally: &mut self.tally,
            transcript: &mut connection.transcript,
            wish: Wish::Nothing,
        };
        let given = call(connection.dialogue.as_mut(), &mut turn)?;
        let wish = turn.wish;
        if self.tally.recording {
            self.tally.bytes_sent += (link.out().len() - before) as u64;
        }
        self.got_in |= connection.dialogue.is_ready();
        if !connection.was_ready && connection.dialogue.is_ready() {
            connection.was_ready = true;
            self.ready += 1;
            self.opening = self.opening.saturating_sub(1);
        }
        match wish {
            Wish::Nothing => {}
            Wish::Close => return Err(Loss::Closed),
            Wish::Over => return Err(Loss::Over),
            Wish::Awake => {
                if matches!(self.plan.pace, Pace::Think { .. }) && connection.late.is_none() {
                    self.falls_due(index, self.now);
                }
            }
            Wish::StartTls => {
                link.flush(self.now)?;
                if let Some(tls) = &self.plan.targets[connection.target].tls {
                    link.start_tls(tls)?;
                    connection.handshaking = true;
                }
            }
        }
        Ok(given)
    }

    fn flush(&mut self, index: usize) -> Result<(), Loss> {
        match &mut self.connections[index].link {
            Some(link) => {
                link.flush(self.now)?;
                let connection = &mut self.connections[index];
                let wakes_at = connection.link.as_mut().and_then(Link::wakes_at);
                if let Some(time) = wakes_at.filter(|_| connection.pumped_at.is_none_or(|then| then <= self.now)) {
                    connection.pumped_at = Some(time);
                    self.schedule.at(time, index, Timer::Pump);
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn ready(&mut self, index: usize, closing: bool, registry: &Registry) -> Result<(), RunError> {
        match self.pump(index, closing) {
            Ok(()) => Ok(()),
            Err(loss) => self.give_up(index, loss, registry),
        }
    }

    /// Reads, answers and writes until the socket has nothing more.
    fn pump(&mut self, index: usize, closing: bool) -> Result<(), Loss> {
        let connection = &mut self.connections[index];
        let target = &self.plan.targets[connection.target];
        let Some(link) = &mut connection.link else { return Ok(()) };
        if !link.connected {
            if !link.finish_connect()? {
                return Ok(());
            }
            match &target.tls {
                Some(tls) if target.implicit_tls => {
                    link.start_tls(tls)?;
                    connection.handshaking = true;
                }
                _ => {
                    self.with_turn(index, |dialogue, turn| dialogue.opened(turn))?;
                    self.top_up(index)?;
                }
            }
        }
        for turns in 0u64.. {
            self.flush(index)?;
            let connection = &mut self.connections[index];
            let Some(link) = &mut connection.link else { return Ok(()) };
            let held = connection.partial.len();
            let front = if held <= FRONT_BYTES_MAX { held } else { 0 };
            let read = link.read(&mut self.scratch[front..], self.now)?;
            if turns > 0 {
                // A long response keeps this loop going: its end is not as old as the event that began it.
                self.now = Instant::now();
            }
            if connection.handshaking && !link.is_handshaking() {
                connection.handshaking = false;
                if let Some((kind, taken)) =
                    link.handshake().filter(|_| matches!(self.phase, Phase::SetUp | Phase::Measured))
                {
                    self.tally.handshakes.done(kind, taken);
                }
                self.with_turn(index, |dialogue, turn| {
                    if target.implicit_tls { dialogue.opened(turn) } else { dialogue.secured(turn) }
                })?;
            }
            match read {
                Read::More(0) => {}
                Read::More(count) => self.feed(index, front, count)?,
                Read::Last(count) => {
                    self.feed(index, front, count)?;
                    // More than the socket held can't be had, except its end, which came with the same event.
                    if !closing {
                        break;
                    }
                }
                Read::Drained => break,
                Read::Closed => {
                    let text = self.connections[index]
                        .dialogue
                        .farewell()
                        .map_or("connection closed".into(), ToOwned::to_owned);
                    return Err(Loss::Lost(text));
                }
            }
        }
        self.flush(index)
    }

    /// Gives the dialogue the `count` octets that were read to `front` in the scratch buffer, behind what it left before: that is
    /// copied to before them where it is short, so that a long response is not copied once more.
    fn feed(&mut self, index: usize, front: usize, count: usize) -> Result<(), Loss> {
        if self.tally.recording {
            self.tally.bytes_received += count as u64;
        }
        let mut partial = std::mem::take(&mut self.connections[index].partial);
        let mut scratch = std::mem::take(&mut self.scratch);
        let fed = if partial.len() == front {
            scratch[..front].copy_from_slice(&partial);
            partial.clear();
            let whole = &scratch[..front + count];
            let fed = self.with_turn(index, |dialogue, turn| dialogue.receive(whole, turn));
            partial.extend_from_slice(&whole[*fed.as_ref().unwrap_or(&0)..]);
            fed
        } else {
            partial.extend_from_slice(&scratch[..count]);
            let fed = self.with_turn(index, |dialogue, turn| dialogue.receive(&partial, turn));
            partial.drain(..*fed.as_ref().unwrap_or(&0));
            fed
        };
        self.scratch = scratch;
        let few = self.connections.len() <= GATHERING_CONNECTIONS_MAX;
        if partial.is_empty() && partial.capacity() > if few { 2 * GATHER_BYTES_MAX } else { READ_BYTES } {
            partial = Vec::new();
        }
        self.connections[index].partial = partial;
        if fed? > LONG_ANSWER_BYTES {
            // To check it took time that is not the server's: what is sent next is sent now.
            self.now = Instant::now();
        }
        self.top_up(index)
    }

    /// Ends a connection, counts why, and has it opened again while the run lasts.
    fn give_up(&mut self, index: usize, loss: Loss, registry: &Registry) -> Result<(), RunError> {
        let connection = &mut self.connections[index];
        connection.link = None;
        match loss {
            Loss::Fault(Fault::Violation(what)) => {
                return Err(RunError::Violation { what, dialogue: connection.transcript.shown() });
            }
            Loss::Fault(Fault::Fatal(what)) => return Err(RunError::Fatal(what)),
            Loss::Lost(_) if self.phase == Phase::Drain => return Ok(()),
            Loss::Lost(why) if self.phase == Phase::SetUp => {
                return Err(RunError::Fatal(format!(
                    "{}: {why} (connection {} of {})",
                    self.plan.targets[connection.target].address,
                    index + 1,
                    self.connections.len()
                )));
            }
            Loss::Lost(why) => self.tally.error(&why),
            Loss::Over => return self.after_end(index, Duration::ZERO, registry),
            Loss::Closed => {}
        }
        self.after_end(index, Duration::from_millis(REOPEN_MILLISECONDS), registry)
    }
}
