//! Load generator for mail servers: the command line over the library.
//!
//! Exit codes: 0 done, 1 the server broke the protocol or is worse than another, 2 it could not be done as asked. A figure
//! goes to standard output, everything else to standard error.

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::slice;
use std::time::{Duration, Instant};

use clap::Parser;
use loadgen::baseline::BaselineOptions;
use loadgen::dialogue::Dialogue;
use loadgen::engine::{Plan, RunError, Target, alike};
use loadgen::limits::{COMPARED_REPORTS_MAX, PLOTTED_REPORTS_MAX};
use loadgen::link::Throttle;
use loadgen::measure::{self, Measurement, deliver, measure, prepare, run_number, show, unless_void, write_file};
use loadgen::message::{Assortment, Template};
use loadgen::names::Names;
use loadgen::options::{
    Arrivals, ClientOptions, Command, CommandLine, CompareOptions, CorpusOptions, FetchWhat, ImapOptions, ImapWork,
    LmtpOptions, PlotOptions, Pop3Options, Protocol, RunOptions, SmtpOptions, SmtpWork, StoreWhat, TlsMode, TlsOptions,
    check_bytes, check_recipients,
};
use loadgen::report::Subject;
use loadgen::report::compare::Comparison;
use loadgen::script::Think;
use loadgen::{baseline, corpus, echo, imap, play, pop3, report, smtp};

fn main() -> ExitCode {
    let ended = match CommandLine::parse().command {
        Command::Run { protocol } => match *protocol {
            Protocol::Imap(options) => run_imap(&options),
            Protocol::Pop3(options) => run_pop3(&options),
            Protocol::Smtp(options) => run_smtp(&options),
            Protocol::Lmtp(options) => run_lmtp(&options),
            Protocol::Scenario(options) => play::play(&options),
            Protocol::Echo(options) => run_echo(&options),
        },
        Command::Scenarios(options) => play::scenarios(&options).map_err(RunError::Fatal),
        Command::Verify(options) => play::verify(&options),
        Command::Corpus(options) => write_corpus(&options).map_err(RunError::Fatal),
        Command::Plot(options) => plot(&options).map_err(RunError::Fatal),
        Command::Compare(options) => match compare(&options) {
            Ok(true) => return ExitCode::from(1),
            ended => ended.map(drop).map_err(RunError::Fatal),
        },
        Command::Echo(options) => echo::serve(&options).map_err(RunError::Fatal),
        Command::Baseline(options) => run_baseline(&options).map_err(RunError::Fatal),
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

/// What the connections are to do, and its name in the report.
fn imap_work(options: &ImapOptions) -> Result<(imap::Work, &'static str), String> {
    let (work, name) = match options.work {
        ImapWork::Noop => (imap::Work::Noop, "noop"),
        ImapWork::Fetch => match options.fetch {
            FetchWhat::AllFlags => (imap::Work::FetchAll(imap::What::Flags), "fetch 1:* FLAGS"),
            FetchWhat::AllColumns => (imap::Work::FetchAll(imap::What::Columns), "fetch 1:* (UID FLAGS RFC822.SIZE)"),
            FetchWhat::AllEnvelopes => (imap::Work::FetchAll(imap::What::Envelope), "fetch 1:* (RFC822.SIZE ENVELOPE)"),
            FetchWhat::AllBodies => (imap::Work::FetchAll(imap::What::Body), "fetch 1:* BODY.PEEK[]"),
            FetchWhat::Body => (imap::Work::Fetch { body: true, flags: false }, "fetch"),
            FetchWhat::Flags => (imap::Work::Fetch { body: false, flags: true }, "fetch flags"),
            FetchWhat::Both => (imap::Work::Fetch { body: true, flags: true }, "fetch both"),
        },
        ImapWork::Store => match options.store {
            StoreWhat::All => (imap::Work::Store { all: true }, "store 1:*"),
            StoreWhat::One => (imap::Work::Store { all: false }, "store"),
        },
        ImapWork::Search => (imap::Work::Search, "search"),
        ImapWork::Append => (imap::Work::Append, "append"),
        ImapWork::Session => (imap::Work::Session, "session"),
        ImapWork::Handshake if options.client.tls.tls.is_none() => {
            return Err("--work handshake: give --tls implicit or --tls starttls".into());
        }
        ImapWork::Handshake => (imap::Work::Handshake, "handshake"),
        ImapWork::Hold => (imap::Work::Hold { idle: options.idle }, "hold"),
    };
    let one = match work {
        imap::Work::Session | imap::Work::Handshake => Some("a connection an operation"),
        imap::Work::FetchAll(_) | imap::Work::Store { all: true } => Some("commands about all messages"),
        imap::Work::Search => Some("searches"),
        _ => None,
    };
    if let Some(what) = one.filter(|_| options.client.run.depth != 1) {
        return Err(format!("--work {name} has {what}: --depth must be 1"));
    }
    if options.search.bytes().any(|octet| octet.is_ascii_control() || octet == b'{') || options.search.is_empty() {
        return Err("--search: a criterion on one line, without literals".into());
    }
    Ok((work, name))
}

fn run_imap(options: &ImapOptions) -> Result<(), RunError> {
    let fatal = RunError::Fatal;
    let ClientOptions { run, tls, user } = &options.client;
    check_bytes(options.bytes).map_err(fatal)?;
    let (work, name) = imap_work(options).map_err(fatal)?;
    let (users, password) = match work {
        imap::Work::Handshake => (Names::one(""), String::new()),
        _ => user.credentials(1).map_err(fatal)?,
    };
    let settings = imap::Settings {
        work,
        depth: run.depth,
        template: RefCell::new(Template::new(options.bytes, "load@loadgen.invalid", &users.of(0), run_number())),
        users,
        password,
        connections: run.connections,
        mailbox: options.mailbox.clone(),
        criterion: options.search.clone(),
        found: options.found,
        starttls: tls.tls == Some(TlsMode::Starttls),
        part: None,
    };
    let subject = Subject {
        message_bytes: (options.work == ImapWork::Append).then_some(options.bytes),
        ..subject("imap", name.into(), run, Some(tls))
    };
    let settings = Rc::new(settings);
    performed(run, Some(tls), subject, |index, now| imap::Client::new(settings.clone(), index, now))
}

fn run_pop3(options: &Pop3Options) -> Result<(), RunError> {
    let fatal = RunError::Fatal;
    let ClientOptions { run, tls, user } = &options.client;
    let (users, password) = user.credentials(1).map_err(fatal)?;
    let connections = run.connections;
    if run.depth != 1 {
        return Err(fatal("POP3 sessions have a command at a time: --depth must be 1".into()));
    }
    if users.count() < connections {
        return Err(fatal(format!(
            "{connections} connections, and {} accounts: a maildrop has one session at a time (give --user-pattern and --users)",
            users.count()
        )));
    }
    let stls = tls.tls == Some(TlsMode::Starttls);
    let settings = Rc::new(pop3::Settings {
        users,
        password,
        connections,
        retrieve: options.retrieve,
        shared: false,
        stls,
        think: Think::NONE,
    });
    let subject = subject("pop3", "drop".into(), run, Some(tls));
    performed(run, Some(tls), subject, |index, now| pop3::Client::new(settings.clone(), index, now))
}

fn run_smtp(options: &SmtpOptions) -> Result<(), RunError> {
    let fatal = RunError::Fatal;
    let ClientOptions { run, tls, user } = &options.client;
    let credentials = match options.work {
        SmtpWork::Submit => Some(user.credentials(1).map_err(fatal)?),
        SmtpWork::Deliver => None,
    };
    let from = options.from.as_deref().or(user.user.as_deref()).unwrap_or("load@loadgen.invalid").to_owned();
    let users = if options.to.contains("%d") { user.users.unwrap_or(1) } else { 1 };
    let to = Names::numbered(&options.to, users).map_err(fatal)?;
    let work = if credentials.is_some() { "submit" } else { "deliver" };
    let subject = Subject { message_bytes: Some(options.bytes), ..subject("smtp", work.into(), run, Some(tls)) };
    let envelope = Envelope { from, to, recipients: options.recipients, credentials };
    transactions(run, tls, subject, envelope)
}

fn run_lmtp(options: &LmtpOptions) -> Result<(), RunError> {
    let to = Names::numbered(&options.to, options.users).map_err(RunError::Fatal)?;
    let subject = Subject {
        message_bytes: Some(options.bytes),
        ..subject("lmtp", "deliver".into(), &options.run, Some(&options.tls))
    };
    let envelope = Envelope { from: options.from.clone(), to, recipients: options.recipients, credentials: None };
    transactions(&options.run, &options.tls, subject, envelope)
}

/// Who sends to whom.
struct Envelope {
    from: String,
    to: Names,
    recipients: u32,
    credentials: Option<(Names, String)>,
}

fn transactions(run: &RunOptions, tls: &TlsOptions, subject: Subject, envelope: Envelope) -> Result<(), RunError> {
    let fatal = RunError::Fatal;
    let bytes = subject.message_bytes.unwrap_or(0);
    check_bytes(bytes).map_err(fatal)?;
    check_recipients(envelope.recipients).map_err(fatal)?;
    if run.depth != 1 {
        return Err(fatal("a connection has one transaction at a time: --depth must be 1".into()));
    }
    let Envelope { from, to, recipients, credentials } = envelope;
    for path in [&from, &to.of(0)] {
        if path.bytes().any(|octet| octet <= b' ' || octet == 0x7f || matches!(octet, b'<' | b'>')) {
            return Err(fatal(format!("\"{}\" is not an address", path.escape_debug())));
        }
    }
    let settings = Rc::new(smtp::Settings {
        mail: RefCell::new(Assortment::new(&[bytes], &from, &to.of(0), run_number())),
        think: Think::NONE,
        zipf: None,
        ledger: None,
        from,
        to,
        recipients,
        lmtp: subject.protocol == "lmtp",
        credentials,
        starttls: tls.tls == Some(TlsMode::Starttls),
    });
    performed(run, Some(tls), subject, |index, now| smtp::Client::new(settings.clone(), index, now))
}

fn write_corpus(options: &CorpusOptions) -> Result<(), String> {
    let written = corpus::write(options)?;
    let text = format!(
        "messages {}\noctets {}\ntext {} {}\nfrom {} {}\n",
        written.messages,
        written.bytes,
        corpus::TEXT_WORD,
        written.with_text,
        corpus::FROM_WORD,
        written.with_from
    );
    show(&text)
}

fn run_echo(options: &RunOptions) -> Result<(), RunError> {
    let settings = imap::Settings::echo(options.depth, options.connections);
    let subject = subject("echo", "noop".into(), options, None);
    let settings = Rc::new(settings);
    performed(options, None, subject, |index, now| imap::Client::new(settings.clone(), index, now))
}

fn subject(protocol: &'static str, work: String, run: &RunOptions, tls: Option<&TlsOptions>) -> Subject {
    let tls_resume = tls.is_some_and(|options| options.tls_resume);
    let tls = match tls.and_then(|options| options.tls) {
        None => "none",
        Some(TlsMode::Implicit) => "implicit",
        Some(TlsMode::Starttls) => "starttls",
    };
    Subject {
        protocol: protocol.into(),
        work,
        address: run.address.clone(),
        tls: tls.into(),
        connections: run.connections,
        depth: run.depth,
        tls_resume,
        rate_asked: run.rate,
        arrivals: run.rate.map(|_| if run.arrivals == Arrivals::Poisson { "poisson" } else { "constant" }.into()),
        server_version: run.output.server_version.clone(),
        ..Subject::default()
    }
}

/// Runs `dialogue` of each connection, and reports.
fn performed<D: Dialogue + 'static>(
    options: &RunOptions,
    tls: Option<&TlsOptions>,
    subject: Subject,
    dialogue: impl Fn(u32, Instant) -> D,
) -> Result<(), RunError> {
    let plan = plan(options, tls, &subject).map_err(RunError::Fatal)?;
    let p99_max = options.find_max.map(|milliseconds| Duration::from_secs_f64(milliseconds / 1e3));
    let asked = Measurement { plan, subject, output: &options.output, p99_max };
    let now = Instant::now();
    unless_void(measure(asked, || alike((0..options.connections).map(|index| dialogue(index, now))))?)
}

fn plan(options: &RunOptions, tls: Option<&TlsOptions>, subject: &Subject) -> Result<Plan, String> {
    options.check()?;
    let (address, host) = options.resolve()?;
    prepare(&options.output, options.connections as usize)?;
    let spoken = match tls {
        Some(options) if options.tls.is_some() => {
            let name = options.server_name.as_deref().unwrap_or(&host);
            Some(measure::tls(name, options.ca.as_deref(), options.insecure, options.tls_resume)?)
        }
        _ => None,
    };
    let implicit_tls = subject.tls == "implicit";
    Ok(Plan {
        targets: vec![Target { address, tls: spoken, implicit_tls, throttle: Throttle::default() }],
        pace: options.pace(),
        storms: Vec::new(),
        seed: run_number(),
        warm_up: Duration::from_secs_f64(options.warm_up),
        measured: Duration::from_secs_f64(options.seconds),
        time_out: Duration::from_secs_f64(options.time_out),
        server_pid: options.output.server_pid,
        announce: subject.work == "hold",
    })
}

fn run_baseline(options: &BaselineOptions) -> Result<(), String> {
    let report = baseline::run(options)?;
    deliver(options.json.as_deref(), &report.json(), &report.table())
}

fn plot(options: &PlotOptions) -> Result<(), String> {
    write_file("--html", &options.html, &report::page(&report::read(&options.reports, PLOTTED_REPORTS_MAX)?))
}

/// Shows the comparison; true: there is a regression.
fn compare(options: &CompareOptions) -> Result<bool, String> {
    let (base, new) = match options.pair.as_slice() {
        [base, new] => (slice::from_ref(base), slice::from_ref(new)),
        _ => (options.base.as_slice(), options.new.as_slice()),
    };
    let [base, new] = [base, new].map(|paths| report::read(paths, COMPARED_REPORTS_MAX));
    let comparison = Comparison::new(&base?, &new?, options.tolerance)?;
    show(&comparison.table())?;
    Ok(comparison.has_regression())
}
