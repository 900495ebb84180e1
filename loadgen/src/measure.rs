//! A run as the command line asks for it: once, or again and again for the highest load, then the report where it is to go.
//!
//! Figures go to standard output, everything else to standard error. A run that is void is reported, and fails all the same.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::ServerName;

use crate::engine::{Member, Outcome, Pace, Plan, RunError, run};
use crate::find::{Trial, find};
use crate::hlog::{self, IntervalLog};
use crate::link::Tls;
use crate::live::Live;
use crate::options::OutputOptions;
use crate::report::{self, Report, Subject};
use crate::series::Watcher;
use crate::{machine, trust};

/// What is to be run, and what is to be told of it.
pub struct Measurement<'a> {
    /// How.
    pub plan: Plan,
    /// What the report calls it.
    pub subject: Subject,
    /// Where the report goes.
    pub output: &'a OutputOptions,
    /// The p99 within which the highest load is looked for.
    pub p99_max: Option<Duration>,
}

/// Tells this run's messages from those of others.
pub fn run_number() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    time ^ (u64::from(std::process::id()) << 40)
}

/// How TLS is spoken with a server of this name.
pub fn tls(name: &str, ca: Option<&Path>, insecure: bool, resume: bool) -> Result<Tls, String> {
    let server = ServerName::try_from(name.to_owned())
        .map_err(|_| format!("\"{name}\" is not a name for a certificate: give --server-name"))?;
    Ok(Tls { config: trust::config(ca, insecure, resume)?, name: server })
}

/// Pins this thread where that is asked for, and sees to it that so many connections may be opened.
pub fn prepare(output: &OutputOptions, connections: usize) -> Result<(), String> {
    if let Some(cpu) = output.cpu {
        machine::pin(cpu)?;
    }
    let descriptors = machine::raise_descriptor_limit();
    // Standard streams, epoll, /proc and the files of the report.
    if descriptors < connections as u64 + 16 {
        return Err(format!("{connections} connections: this process may open {descriptors} descriptors (ulimit -Hn)"));
    }
    Ok(())
}

/// Runs and reports; gives the reason why the run is void, where it is.
pub fn measure(
    mut asked: Measurement<'_>,
    mut members: impl FnMut() -> Vec<Member>,
) -> Result<Option<String>, RunError> {
    let outcome = match asked.p99_max {
        Some(p99_max) => highest(&mut asked, p99_max, &mut members)?,
        None => once(&asked, members())?,
    };
    publish(&asked, &outcome).map_err(RunError::Fatal)?;
    if outcome.tally.count() == 0 && asked.subject.work != "hold" {
        return Err(RunError::Fatal("not one operation succeeded".into()));
    }
    Ok(outcome.void())
}

/// What a void run ends with.
pub fn unless_void(void: Option<String>) -> Result<(), RunError> {
    let advice = "give the client a processor of its own, or less to do";
    void.map_or(Ok(()), |why| Err(RunError::Fatal(format!("this run is void: {why}; {advice}"))))
}

fn once(asked: &Measurement<'_>, members: Vec<Member>) -> Result<Outcome, RunError> {
    let mut watchers: Vec<Box<dyn Watcher>> = Vec::new();
    watchers.extend(Live::on_terminal().map(|live| Box::new(live) as Box<dyn Watcher>));
    let logged = match &asked.output.hlog {
        Some(path) => {
            let shown = |error: String| RunError::Fatal(format!("--hlog {}: {error}", path.display()));
            let (log, failed) = IntervalLog::create(path).map_err(shown)?;
            watchers.push(Box::new(log));
            Some((failed, shown))
        }
        None => None,
    };
    let outcome = run(&asked.plan, members, watchers)?;
    if let Some((failed, shown)) = logged
        && let Some(error) = failed.get()
    {
        return Err(shown(error.clone()));
    }
    Ok(outcome)
}

/// The run of the highest load that holds; its load is in the plan and in the subject then.
fn highest(
    asked: &mut Measurement<'_>,
    p99_max: Duration,
    members: &mut impl FnMut() -> Vec<Member>,
) -> Result<Outcome, RunError> {
    let (thinks, first) = match asked.plan.pace {
        Pace::Think { speed } => (true, speed),
        Pace::Rate { per_second, .. } => (false, per_second),
        Pace::Saturate => (false, 1000.0),
    };
    let poisson = !matches!(asked.plan.pace, Pace::Rate { poisson: false, .. });
    let (mut best, mut void): (Option<Outcome>, Option<(f64, String)>) = (None, None);
    let unit = if thinks { "times the speed" } else { "a second asked for" };
    let warm_up = asked.plan.warm_up;
    let found = find(p99_max, first, |load| {
        asked.plan.pace = if thinks { Pace::Think { speed: load } } else { Pace::Rate { per_second: load, poisson } };
        if thinks {
            // Users come by their own time, too.
            asked.plan.warm_up = warm_up.mul_f64(first / load);
        }
        let outcome = once(asked, members())?;
        let trial = Trial::of(load, &outcome);
        let holds = trial.holds(p99_max);
        tell(&trial, unit, holds).map_err(RunError::Fatal)?;
        if holds {
            best = Some(outcome);
        } else {
            void = trial.void.clone().map(|why| (load, why));
        }
        Ok(trial)
    })?;
    let (Some(found), Some(outcome)) = (found, best) else {
        return Err(RunError::Fatal(format!(
            "no load that was tried has a p99 of {p99_max:?} and less than one error in a thousand"
        )));
    };
    if let Some((_, why)) = void.filter(|(load, _)| *load > found.load) {
        eprintln!("loadgen: the next load was void, so that the limit may be the client's: {why}");
    }
    if thinks {
        asked.subject.arrivals = Some(think_times(found.load));
    } else {
        asked.subject.rate_asked = Some(found.load);
        asked.subject.arrivals = Some(if poisson { "poisson" } else { "constant" }.into());
    }
    Ok(outcome)
}

/// How a report calls it that users think.
pub fn think_times(speed: f64) -> String {
    format!("think times at {speed:.3} times the speed")
}

fn tell(trial: &Trial, unit: &str, holds: bool) -> Result<(), String> {
    let Trial { load, rate, p99, failed_share, .. } = trial;
    let p99 = p99.as_secs_f64() * 1e3;
    let verdict = match (&trial.void, holds) {
        (Some(_), _) => "void",
        (None, true) => "holds",
        (None, false) => "too much",
    };
    let line = format!(
        "{load:>12.2} {unit}: {rate:>10.0}/s   p99 {p99:>9.2} ms   failed {:.2} %   {verdict}\n",
        failed_share * 100.0
    );
    std::io::stderr().write_all(line.as_bytes()).map_err(|error| format!("standard error: {error}"))
}

fn publish(asked: &Measurement<'_>, outcome: &Outcome) -> Result<(), String> {
    let command_line = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let report = Report::new(asked.subject.clone(), outcome, command_line);
    if let Some(path) = &asked.output.hgrm {
        write_file("--hgrm", path, &hlog::percentiles(&outcome.tally.latency()))?;
    }
    deliver(asked.output.json.as_deref(), &report.json(), &report::table(&report))
}

/// Writes `json` to the file that `to` names and shows the table, or shows `json` where that is `-`.
pub fn deliver(to: Option<&Path>, json: &str, table: &str) -> Result<(), String> {
    match to {
        Some(path) if path.as_os_str() == "-" => show(json),
        Some(path) => write_file("--json", path, json).and_then(|()| show(table)),
        None => show(table),
    }
}

/// Writes a file that an option names.
pub fn write_file(option: &str, path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{option} {}: {error}", path.display()))
}

/// Writes to standard output.
pub fn show(text: &str) -> Result<(), String> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
}
