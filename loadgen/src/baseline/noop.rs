//! The dialogue of NOOP with raw echoes, each a process of its own, driven by the same closed loop as a server is.
//!
//! The echo's processor time decides, since the client's processor is the full one. Two echoes at once, on both processors, each
//! asked from the other one, show what two processors cost each other whatever the program does.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::{Measure, Place, Round};
use crate::engine::{Outcome, Pace, Plan, RunError, Target, alike, run};
use crate::imap;
use crate::link::Throttle;
use crate::machine::pin;
use crate::options::EchoKind;

/// Commands in flight on a connection.
pub(super) const DEPTHS: [usize; 2] = [1, 16];
const CONNECTIONS: u32 = 64;
const WARM_UP: Duration = Duration::from_millis(300);
const TIME_OUT: Duration = Duration::from_secs(10);

/// An echo; it ends with this.
struct Echo {
    child: Child,
    address: SocketAddr,
    /// The processor of those who ask it.
    asked_from: usize,
}

impl Echo {
    fn start(kind: EchoKind, cpu: usize, asked_from: usize) -> Result<Echo, String> {
        let failed = |error: std::io::Error| format!("starting an echo: {error}");
        let kind = kind.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(["echo", "--kind", &kind, "--port", "0", "--cpu", &cpu.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut echo = Echo { child, address: (Ipv4Addr::LOCALHOST, 0).into(), asked_from };
        let mut told = echo.child.stdout.take().map(|output| BufReader::new(output).lines());
        // "port N", "echo ready"
        let mut line = || told.as_mut()?.next()?.ok();
        let port = line().and_then(|line| line.strip_prefix("port ")?.parse().ok());
        let port = port.filter(|_| line().is_some());
        echo.address.set_port(port.ok_or_else(|| format!("an echo of {kind} did not start"))?);
        Ok(echo)
    }

    /// Asks it for `time`, from a thread on the other processor.
    fn ask(&self, connections: u32, depth: usize, time: Duration) -> Result<Outcome, String> {
        pin(self.asked_from)?;
        let plan = Plan {
            targets: vec![Target {
                address: self.address,
                tls: None,
                implicit_tls: false,
                throttle: Throttle::default(),
            }],
            pace: Pace::Saturate,
            storms: Vec::new(),
            seed: 0,
            warm_up: WARM_UP,
            measured: time,
            time_out: TIME_OUT,
            server_pid: Some(self.child.id()),
            announce: false,
        };
        let settings = Rc::new(imap::Settings::echo(depth, connections));
        let now = Instant::now();
        let clients = (0..connections).map(|index| imap::Client::new(settings.clone(), index, now));
        match run(&plan, alike(clients), Vec::new()) {
            Ok(outcome) if outcome.tally.errors_total() == 0 && outcome.tally.count() > 0 => Ok(outcome),
            Ok(outcome) => Err(format!("{} operations, {:?}", outcome.tally.count(), outcome.tally.errors())),
            Err(RunError::Violation { what, .. } | RunError::Fatal(what)) => Err(what),
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The echoes of both kinds, and a second one on the other processor.
pub(super) struct Echoes {
    uring: Echo,
    epoll: Echo,
    other: Echo,
}

impl Echoes {
    pub(super) fn start(place: &Place) -> Result<Echoes, String> {
        Ok(Echoes {
            uring: Echo::start(EchoKind::Uring, place.cpu, place.client_cpu)?,
            epoll: Echo::start(EchoKind::Epoll, place.cpu, place.client_cpu)?,
            other: Echo::start(EchoKind::Uring, place.client_cpu, place.cpu)?,
        })
    }
}

/// Asks `echoes` at the same time; gives the processor time of all of them for 10,000 operations, and the rate of all together.
fn ask(echoes: &[&Echo], depth: usize, time: Duration) -> Result<(f64, f64), String> {
    let outcomes: Vec<Result<Outcome, String>> = thread::scope(|scope| {
        let asking: Vec<_> =
            echoes.iter().map(|echo| scope.spawn(move || echo.ask(CONNECTIONS, depth, time))).collect();
        asking.into_iter().map(|one| one.join().unwrap_or_else(|_| Err("the client panicked".into()))).collect()
    });
    let (mut cpu, mut operations, mut rate) = (0.0, 0.0, 0.0);
    for outcome in outcomes {
        let outcome = outcome?;
        let [_, start, end] = outcome.server.ok_or("the echo's processor time is not known")?;
        cpu += end.cpu_seconds - start.cpu_seconds;
        operations += outcome.tally.count() as f64;
        rate += outcome.tally.count() as f64 / outcome.seconds;
    }
    Ok((cpu / operations * 1e4, rate))
}

impl Measure for Echoes {
    fn measure(&mut self, place: &Place, round: &mut Round) -> Result<(), String> {
        for depth in DEPTHS {
            for (kind, echo) in [("uring", &self.uring), ("epoll", &self.epoll)] {
                let (cpu, rate) = ask(&[echo], depth, place.time)?;
                round.put(format!("noop_{kind}_depth_{depth}_cpu_seconds_per_10k"), cpu);
                round.put(format!("noop_{kind}_depth_{depth}_per_second"), rate);
            }
        }
        let (cpu, _) = ask(&[&self.uring, &self.other], 1, place.time)?;
        round.put("noop_uring_two_processors_cpu_seconds_per_10k", cpu);
        Ok(())
    }
}
