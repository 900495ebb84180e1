//! `run scenario` and `verify`: a scenario on a server, its promises, and whether they were kept.
//!
//! Where a group owns its messages, every promise is checked at the end of the run; with a journal they are written down instead,
//! and `verify` checks them after whatever has befallen the server.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader, LineWriter, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use crate::audit::{Access, Findings, audit};
use crate::cast::{Stage, cast, port};
use crate::engine::{Pace, Plan, RunError};
use crate::ledger::Ledger;
use crate::limits::AUDIT_SETTLE_SECONDS;
use crate::measure::{Measurement, measure, prepare, run_number, show, think_times, tls, unless_void};
use crate::options::{ScenarioOptions, ScenariosOptions, TlsMode, VerifyOptions, password, resolve};
use crate::progress::Progress;
use crate::report::Subject;
use crate::scenario::{Protocol, READY, Scenario, Security, load, parse};

/// Plays a scenario.
pub fn play(options: &ScenarioOptions) -> Result<(), RunError> {
    let fatal = RunError::Fatal;
    options.check().map_err(fatal)?;
    let (scenario, text) = load(&options.scenario).map_err(fatal)?;
    let mut stage = stage(&scenario, options).map_err(fatal)?;
    let first = cast(&scenario, &stage).map_err(fatal)?;
    prepare(&options.output, first.members.len()).map_err(fatal)?;
    let seconds = |given: Option<f64>, own: Duration| given.map_or(own, Duration::from_secs_f64);
    let speed = options.speed;
    let plan = Plan {
        targets: first.targets,
        pace: if options.saturate { Pace::Saturate } else { Pace::Think { speed } },
        storms: first.storms,
        seed: options.seed,
        warm_up: seconds(options.warm_up, scenario.warm_up.0.div_f64(speed)),
        measured: seconds(options.seconds, Duration::from_secs_f64(scenario.seconds)),
        time_out: Duration::from_secs_f64(options.time_out),
        server_pid: options.output.server_pid,
        announce: false,
    };
    let subject = Subject {
        protocol: "scenario".into(),
        work: scenario.name.clone(),
        address: options.host.clone(),
        tls: "none".into(),
        tls_resume: options.tls_resume,
        connections: first.members.len() as u32,
        depth: 1,
        server_version: options.output.server_version.clone(),
        arrivals: Some(if options.saturate { "closed".into() } else { think_times(speed) }),
        scenario: Some(scenario.name.clone()),
        scenario_text: Some(text),
        ..Subject::default()
    };
    let p99_max = options.find_max.map(|milliseconds| Duration::from_secs_f64(milliseconds / 1e3));
    let asked = Measurement { plan, subject, output: &options.output, p99_max };
    let mut members = Some(first.members);
    let ledger = stage.ledger.clone();
    let void = measure(asked, || {
        members.take().unwrap_or_else(|| {
            // Another trial: messages of its own.
            stage.run = run_number();
            cast(&scenario, &stage).map_or_else(|_| Vec::new(), |cast| cast.members)
        })
    })?;
    match ledger {
        Some(ledger) if options.journal.is_none() => {
            let access = access(&scenario, &stage);
            checked(&ledger.borrow(), &access)?;
        }
        _ => {}
    }
    unless_void(void)
}

/// The way in that the users of the scenario's first IMAP group have.
fn access(scenario: &Scenario, stage: &Stage) -> Access {
    let group = scenario.groups.iter().find(|group| group.protocol == Protocol::Imap);
    let security = group.map_or(Security::None, |group| group.tls);
    Access {
        address: stage.ports[group.map_or("imap", port)],
        tls: stage.tls.clone().filter(|_| security != Security::None),
        implicit_tls: security == Security::Implicit,
        password: stage.password.clone(),
    }
}

fn stage(scenario: &Scenario, options: &ScenarioOptions) -> Result<Stage, String> {
    let (users, password) = options.user.credentials(scenario.accounts.count)?;
    let spoken = scenario.groups.iter().any(|group| group.tls != Security::None);
    let name = options.server_name.as_deref().unwrap_or(&options.host);
    let tls = spoken.then(|| tls(name, options.ca.as_deref(), options.insecure, options.tls_resume)).transpose()?;
    let ledger = match &options.journal {
        Some(path) => {
            let told = |what: String| format!("--journal {}: {what}", path.display());
            Some(journaled(path, options.resume_journal).map_err(told)?)
        }
        None => scenario.groups.iter().any(|group| group.owns).then(|| Ledger::new(None)),
    };
    Ok(Stage {
        ports: options.ports()?,
        tls,
        users,
        password,
        scale: options.scale,
        run: run_number(),
        seed: options.seed,
        thinks: !options.saturate,
        ledger: ledger.map(|ledger| Rc::new(RefCell::new(ledger))),
    })
}

/// A ledger with a journal, new or with what it says already.
fn journaled(path: &Path, resume: bool) -> Result<Ledger, String> {
    let told = |error: io::Error| error.to_string();
    let mut options = File::options();
    let mut file = options.read(true).write(true).create(true).truncate(!resume).open(path).map_err(told)?;
    let (ledger, bytes) = Ledger::read(BufReader::new(&file))?;
    // What its last writer had not written whole goes.
    file.set_len(bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(told)?;
    // A line at a time: what was promised is in the file before the next octet is sent.
    Ok(ledger.resumed(Box::new(LineWriter::new(file))))
}

/// Checks the promises that a journal holds.
pub fn verify(options: &VerifyOptions) -> Result<(), RunError> {
    let fatal = RunError::Fatal;
    let shown = options.journal.display();
    let file = File::open(&options.journal).map_err(|error| fatal(format!("--journal {shown}: {error}")))?;
    let (ledger, _) = Ledger::read(BufReader::new(file)).map_err(|what| fatal(format!("--journal {shown}: {what}")))?;
    let (address, host) = resolve(&options.address).map_err(fatal)?;
    let given = &options.tls;
    let name = given.server_name.as_deref().unwrap_or(&host);
    let spoken = given.tls.map(|_| tls(name, given.ca.as_deref(), given.insecure, false)).transpose().map_err(fatal)?;
    let password = password(options.password_file.as_deref(), options.password_env.as_deref()).map_err(fatal)?;
    let access = Access { address, tls: spoken, implicit_tls: given.tls == Some(TlsMode::Implicit), password };
    checked(&ledger, &access)
}

fn checked(ledger: &Ledger, access: &Access) -> Result<(), RunError> {
    let progress = Progress::new();
    let began = Instant::now();
    let findings = loop {
        let findings = audit(ledger, access, |what| progress.show(&format!("verifying {what}")));
        // A server with a queue says 250 before the message is in the mailbox.
        let is_missing = |what: &String| what.contains(": message ") && what.ends_with("is lost");
        let waits = findings.as_ref().is_ok_and(|findings| findings.broken.iter().any(is_missing));
        if !waits || began.elapsed() > Duration::from_secs(AUDIT_SETTLE_SECONDS) {
            break findings;
        }
        thread::sleep(Duration::from_millis(500));
    };
    progress.clear();
    let Findings { mailboxes, messages, broken } = findings.map_err(RunError::Fatal)?;
    let (promised, in_doubt) = (ledger.promised(), ledger.in_doubt());
    let text = format!(
        "verified         {messages} messages in {mailboxes} mailboxes; {promised} were promised, {in_doubt} changes had no answer\n"
    );
    show(&text).map_err(RunError::Fatal)?;
    if broken.is_empty() {
        return Ok(());
    }
    let what = format!("{} broken promises", broken.len());
    Err(RunError::Violation { what, dialogue: broken.join("\n") })
}

/// Lists the scenarios that come along, or shows one.
pub fn scenarios(options: &ScenariosOptions) -> Result<(), String> {
    if let Some(name) = &options.name {
        return load(name).and_then(|(_, text)| show(&text));
    }
    for (name, text) in READY {
        let scenario = parse(text)?;
        show(&format!("{name:<14} {}\n", scenario.about))?;
    }
    Ok(())
}
