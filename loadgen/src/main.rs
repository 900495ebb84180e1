//! Load generator for mail servers: the command line over the library.
//!
//! Exit codes: 0 done, 1 the server broke the protocol, 2 the run could not be done as asked. A figure goes to standard
//! output, everything else to standard error.

use std::cell::RefCell;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use loadgen::dialogue::Dialogue;
use loadgen::engine::{Outcome, Plan, RunError, run};
use loadgen::link::Tls;
use loadgen::message::Template;
use loadgen::options::{
    Command, CommandLine, FetchWhat, ImapOptions, ImapWork, Protocol, RunOptions, SmtpOptions, SmtpWork, TlsMode,
    TlsOptions, check_bytes,
};
use loadgen::report::Subject;
use loadgen::{echo, imap, machine, report, smtp, trust};
use rustls::pki_types::ServerName;

fn main() -> ExitCode {
    let ended = match CommandLine::parse().command {
        Command::Run { protocol } => match *protocol {
            Protocol::Imap(options) => run_imap(&options),
            Protocol::Smtp(options) => run_smtp(&options),
            Protocol::Echo(options) => run_echo(&options),
        },
        Command::Echo(options) => echo::serve(&options).map_err(RunError::Fatal),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(RunError::Violation { what, dialogue }) => {
            eprintln!("loadgen: the server broke the protocol: {what}\nThe end of the dialogue:\n{dialogue}");
            ExitCode::from(1)
        }
        Err(RunError::Fatal(text)) => {
            eprintln!("loadgen: {text}");
            ExitCode::from(2)
        }
    }
}

fn run_imap(options: &ImapOptions) -> Result<(), RunError> {
    let fatal = RunError::Fatal;
    check_bytes(options.bytes).map_err(fatal)?;
    let (user, password) = options.user.credentials().map_err(fatal)?;
    if options.work == ImapWork::Login && options.run.depth != 1 {
        return Err(fatal("--work login has a connection an operation: --depth must be 1".into()));
    }
    let work = match options.work {
        ImapWork::Noop => imap::Work::Noop,
        ImapWork::Fetch => {
            imap::Work::Fetch { body: options.fetch != FetchWhat::Flags, flags: options.fetch != FetchWhat::Body }
        }
        ImapWork::Append => imap::Work::Append,
        ImapWork::Login => imap::Work::Login,
        ImapWork::Hold => imap::Work::Hold { idle: options.idle },
    };
    let settings = imap::Settings {
        work,
        depth: options.run.depth,
        template: RefCell::new(Template::new(options.bytes, "load@loadgen.invalid", &user, run_number())),
        user,
        password,
        mailbox: options.mailbox.clone(),
        starttls: options.tls.tls == Some(TlsMode::Starttls),
    };
    let name = format!("{:?}", options.work).to_lowercase();
    let subject = Subject {
        message_bytes: (options.work == ImapWork::Append).then_some(options.bytes),
        ..subject("imap", name, &options.run, Some(&options.tls))
    };
    let settings = Rc::new(settings);
    measure(&options.run, Some(&options.tls), &subject, |index, now| imap::Client::new(settings.clone(), index, now))
}

fn run_smtp(options: &SmtpOptions) -> Result<(), RunError> {
    let fatal = RunError::Fatal;
    check_bytes(options.bytes).map_err(fatal)?;
    if options.run.depth != 1 {
        return Err(fatal("SMTP has one transaction at a time on a connection: --depth must be 1".into()));
    }
    let credentials = match options.work {
        SmtpWork::Submit => Some(options.user.credentials().map_err(fatal)?),
        SmtpWork::Deliver => None,
    };
    let from = options.from.as_deref().or(options.user.user.as_deref()).unwrap_or("load@loadgen.invalid").to_owned();
    for path in [&from, &options.to] {
        if path.bytes().any(|octet| octet <= b' ' || octet == 0x7f || matches!(octet, b'<' | b'>')) {
            return Err(fatal(format!("\"{}\" is not an address", path.escape_debug())));
        }
    }
    let settings = smtp::Settings {
        template: RefCell::new(Template::new(options.bytes, &from, &options.to, run_number())),
        from,
        to: options.to.clone(),
        credentials,
        starttls: options.tls.tls == Some(TlsMode::Starttls),
    };
    let name = format!("{:?}", options.work).to_lowercase();
    let subject =
        Subject { message_bytes: Some(options.bytes), ..subject("smtp", name, &options.run, Some(&options.tls)) };
    let settings = Rc::new(settings);
    measure(&options.run, Some(&options.tls), &subject, |index, now| smtp::Client::new(settings.clone(), index, now))
}

fn run_echo(options: &RunOptions) -> Result<(), RunError> {
    let settings = imap::Settings {
        work: imap::Work::Echo,
        depth: options.depth,
        user: String::new(),
        password: String::new(),
        mailbox: String::new(),
        starttls: false,
        template: RefCell::new(Template::new(0, "", "", 0)),
    };
    let subject = subject("echo", "noop".into(), options, None);
    let settings = Rc::new(settings);
    measure(options, None, &subject, |index, now| imap::Client::new(settings.clone(), index, now))
}

fn subject(protocol: &'static str, work: String, run: &RunOptions, tls: Option<&TlsOptions>) -> Subject {
    let tls = match tls.and_then(|options| options.tls) {
        None => "none",
        Some(TlsMode::Implicit) => "implicit",
        Some(TlsMode::Starttls) => "starttls",
    };
    Subject {
        protocol,
        work,
        address: run.address.clone(),
        tls,
        connections: run.connections,
        depth: run.depth,
        message_bytes: None,
    }
}

/// Tells this run's messages from those of others.
fn run_number() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    time ^ (u64::from(std::process::id()) << 40)
}

/// Runs, reports, and says what the exit code is to be.
fn measure<D: Dialogue>(
    options: &RunOptions,
    tls: Option<&TlsOptions>,
    subject: &Subject,
    dialogue: impl Fn(u32, Instant) -> D,
) -> Result<(), RunError> {
    let plan = plan(options, tls, subject).map_err(RunError::Fatal)?;
    let now = Instant::now();
    let outcome = run(&plan, (0..options.connections).map(|index| dialogue(index, now)).collect())?;
    publish(options, subject, &outcome).map_err(RunError::Fatal)?;
    if outcome.tally.operations == 0 && subject.work != "hold" {
        return Err(RunError::Fatal("not one operation succeeded".into()));
    }
    Ok(())
}

fn plan(options: &RunOptions, tls: Option<&TlsOptions>, subject: &Subject) -> Result<Plan, String> {
    options.check()?;
    let (address, host) = options.resolve()?;
    if let Some(cpu) = options.cpu {
        machine::pin(cpu)?;
    }
    let descriptors = machine::raise_descriptor_limit();
    // Standard streams, epoll, /proc and the JSON file.
    if descriptors < u64::from(options.connections) + 16 {
        return Err(format!(
            "--connections {}: this process may open {descriptors} descriptors (ulimit -Hn)",
            options.connections
        ));
    }
    let spoken = match tls {
        Some(options) if options.tls.is_some() => {
            let host = options.server_name.clone().unwrap_or(host);
            let name = ServerName::try_from(host.clone())
                .map_err(|_| format!("\"{host}\" is not a name for a certificate: give --server-name"))?;
            Some(Tls { config: trust::config(options.ca.as_deref(), options.insecure)?, name })
        }
        _ => None,
    };
    Ok(Plan {
        address,
        tls: spoken,
        implicit_tls: subject.tls == "implicit",
        warm_up: Duration::from_secs_f64(options.warm_up),
        measured: Duration::from_secs_f64(options.seconds),
        time_out: Duration::from_secs_f64(options.time_out),
        server_pid: options.server_pid,
        announce: subject.work == "hold",
    })
}

fn publish(options: &RunOptions, subject: &Subject, outcome: &Outcome) -> Result<(), String> {
    let json = report::json(subject, outcome);
    let mut shown = report::table(subject, outcome);
    match &options.json {
        Some(path) if path.as_os_str() == "-" => shown = json,
        Some(path) => std::fs::write(path, json).map_err(|error| format!("--json {}: {error}", path.display()))?,
        None => {}
    }
    std::io::stdout().write_all(shown.as_bytes()).map_err(|error| format!("standard output: {error}"))
}
