//! `loadgen baseline`: what this machine can do at most of what a mail server does, so that a server's figure can be divided by it.
//!
//! Invariants: each round measures every limit once, in turn, so that a slow minute of the machine meets all of them; figures are
//! medians over the rounds, with their range. The measured side runs on one processor, the other end of a connection on another.
//! Derived limits are computed within each round. What only a processor does is told by that thread's processor time, which
//! neighbours disturb less than the clock; what waits for a disk or for the other end is told by the clock.

mod deliver;
mod derive;
mod figures;
mod handshake;
mod log;
mod memory;
mod noop;
mod options;
mod send;
mod slab;

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

pub use figures::Report;
use figures::Round;
pub use options::{BaselineOptions, EXAMPLES, Limit};

use crate::corpus;
use crate::machine::{self, pin, thread_cpu_seconds, usage};
use crate::progress::Progress;
use crate::surroundings::Moment;

/// Octets of the text that is searched and sent: the corpus of `loadgen corpus` as it is by default. It is larger than caches.
const CORPUS_BYTES: usize = 95_200_000;

/// Where and how long a limit is measured.
struct Place {
    /// The processor of the measured side, to which the calling thread is pinned.
    cpu: usize,
    /// The processor of the other end.
    client_cpu: usize,
    /// The time of one measurement.
    time: Duration,
    folder: Option<PathBuf>,
    text: OnceCell<Rc<Vec<u8>>>,
    log: OnceCell<Rc<File>>,
}

impl Place {
    /// What is searched and sent, made once.
    fn text(&self) -> Rc<Vec<u8>> {
        self.text.get_or_init(|| Rc::new(corpus::decoded(CORPUS_BYTES))).clone()
    }

    /// The prewritten file, made once.
    fn log(&self) -> Result<Rc<File>, String> {
        if let Some(log) = self.log.get() {
            return Ok(log.clone());
        }
        let folder = self.folder.as_ref().ok_or("commit and replay need --folder: a folder on the disk to measure")?;
        let log = Rc::new(log::prewritten(folder)?);
        Ok(self.log.get_or_init(|| log).clone())
    }
}

/// One limit, prepared.
trait Measure {
    /// Measures it once and adds its figures.
    fn measure(&mut self, place: &Place, round: &mut Round) -> Result<(), String>;
}

fn prepare(limit: Limit, place: &Place) -> Result<Box<dyn Measure>, String> {
    Ok(match limit {
        Limit::Noop => Box::new(noop::Echoes::start(place)?),
        Limit::Send => Box::new(send::Sender(place.text())),
        Limit::Commit => Box::new(log::Commit(place.log()?)),
        Limit::Deliver => Box::new(deliver::Deliver::new()),
        Limit::Seal => Box::new(memory::Seal::new()?),
        Limit::Handshake => Box::new(handshake::Handshake::new()?),
        Limit::Search => Box::new(memory::Search(place.text())),
        Limit::Flags => Box::new(memory::Flags::new()),
        Limit::Replay => Box::new(log::Replay(place.log()?)),
        Limit::Socket => Box::new(slab::Slab::read()),
    })
}

/// Measures the limits that `options` names, or all.
pub fn run(options: &BaselineOptions) -> Result<Report, String> {
    options.check()?;
    pin(options.client_cpu)?; // sooner than in the middle of the first round
    pin(options.cpu)?;
    machine::raise_descriptor_limit();
    let place = Place {
        cpu: options.cpu,
        client_cpu: options.client_cpu,
        time: Duration::from_secs_f64(options.seconds),
        folder: options.folder.clone(),
        text: OnceCell::new(),
        log: OnceCell::new(),
    };
    let progress = Progress::new();
    let mut limits = Vec::new();
    for limit in options.limits() {
        progress.show(&format!("preparing {}", limit.name()));
        limits.push((limit, prepare(limit, &place)?));
    }
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        let mut round = Round::default();
        let foreign = Foreign::begin()?;
        for (limit, measured) in &mut limits {
            progress.show(&format!("round {number} of {}: {}", options.rounds, limit.name()));
            measured.measure(&place, &mut round).map_err(|error| format!("{}: {error}", limit.name()))?;
        }
        derive::derive(&mut round);
        round.put("foreign_percent", foreign.percent()?);
        rounds.push(round);
    }
    progress.clear();
    Ok(Report::of(options, &rounds))
}

/// What others take of the machine's processors meanwhile.
struct Foreign {
    began: Moment,
    own: f64,
}

impl Foreign {
    fn begin() -> Result<Foreign, String> {
        let began = Moment::now().ok_or("/proc/stat: not as proc(5) has it")?;
        Ok(Foreign { began, own: usage(std::process::id(), false)?.cpu_seconds })
    }

    fn percent(&self) -> Result<f64, String> {
        let now = Moment::now().ok_or("/proc/stat: not as proc(5) has it")?;
        Ok(self.began.foreign_percent(&now, usage(std::process::id(), false)?.cpu_seconds - self.own))
    }
}

/// Repeats `work` for `time`, at least once, and gives the processor time of one. Seconds.
fn cpu_seconds_of(time: Duration, mut work: impl FnMut()) -> f64 {
    let (from, cpu) = (Instant::now(), thread_cpu_seconds());
    let mut times = 0u64;
    while times == 0 || from.elapsed() < time {
        work();
        times += 1;
    }
    (thread_cpu_seconds() - cpu) / times as f64
}

/// Both ends of a connection over loopback.
fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    Ok((server, client))
}

/// Runs `subject` here while `client` runs on the other processor. `subject` ends by the clock and drops its socket, which ends
/// `client`.
fn beside<T>(
    place: &Place,
    client: impl FnOnce() + Send,
    subject: impl FnOnce() -> io::Result<T>,
) -> Result<T, String> {
    let cpu = place.client_cpu;
    thread::scope(|scope| {
        let client = scope.spawn(move || pin(cpu).map(|()| client()));
        let measured = subject().map_err(|error| error.to_string());
        client.join().map_err(|_| "the other end of the connection panicked")??;
        measured
    })
}
