//! Whole runs against scripted servers: what a good one gives, and each fault that the checks must find.
//!
//! A double is a thread with blocking sockets that answers line by line as its script says; the client under test is the real event
//! loop over loopback. Each test of a fault has the same dialogue without the fault in `a_good_server_…`.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use loadgen::engine::{Outcome, Pace, Plan, RunError, Target, alike, run};
use loadgen::link::{Throttle, Tls};
use loadgen::message::{Assortment, Template};
use loadgen::names::Names;
use loadgen::script::Think;
use loadgen::tally::Tally;
use loadgen::{imap, pop3, smtp, trust};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/certificate.pem");

/// Serves each connection by `script`, on threads that end with the test process.
fn double(script: impl Fn(BufReader<TcpStream>) -> Option<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let script = Arc::new(script);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let script = script.clone();
            thread::spawn(move || script(BufReader::new(stream)));
        }
    });
    address
}

fn plan(address: SocketAddr) -> Plan {
    Plan {
        targets: vec![Target { address, tls: None, implicit_tls: false, throttle: Throttle::default() }],
        pace: Pace::Saturate,
        storms: Vec::new(),
        seed: 1,
        warm_up: Duration::ZERO,
        measured: Duration::from_millis(200),
        time_out: Duration::from_secs(1),
        server_pid: None,
        announce: false,
    }
}

// IMAP.

type Answer = Box<dyn Fn(&str, &str) -> Option<String> + Send + Sync>;

fn message() -> Vec<u8> {
    Template::new(700, "a@x", "b@x", 1).stamp(5).to_vec()
}

/// A small but right server: `changed` may answer a command (tag, rest) otherwise; `{}` of its answer is the tag.
fn imap_double(greeting: &'static str, changed: Answer) -> SocketAddr {
    double(move |mut stream| {
        stream.get_mut().write_all(greeting.as_bytes()).ok()?;
        imap_dialogue(&mut stream, &changed)
    })
}

/// The same over TLS, from the first octet or by STARTTLS.
fn imap_tls_double(implicit: bool, config: Arc<rustls::ServerConfig>) -> SocketAddr {
    double(move |mut stream| {
        if !implicit {
            stream.get_mut().write_all(GREETING.as_bytes()).ok()?;
            imap_dialogue(&mut stream, &unchanged())?;
        }
        let session = rustls::ServerConnection::new(config.clone()).ok()?;
        let mut stream = BufReader::new(rustls::StreamOwned::new(session, stream.into_inner()));
        if implicit {
            stream.get_mut().write_all(GREETING.as_bytes()).ok()?;
        }
        imap_dialogue(&mut stream, &unchanged())
    })
}

/// A TLS server that gives each connection so many tickets of TLS 1.3, and where that is none, no sessions of TLS 1.2 either.
fn tls_server(versions: &[&'static rustls::SupportedProtocolVersion], tickets: usize) -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain =
        CertificateDer::pem_file_iter(CERTIFICATE).expect("the file").map(|one| one.expect("a certificate")).collect();
    let key = PrivateKeyDer::from_pem_file(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/key.pem")).expect("the key");
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let builder = builder.expect("versions").with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).expect("they belong together");
    config.send_tls13_tickets = tickets;
    if tickets == 0 {
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    }
    Arc::new(config)
}

/// Answers commands until LOGOUT or STARTTLS.
fn imap_dialogue<S: Read + Write>(stream: &mut BufReader<S>, changed: &Answer) -> Option<()> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let (tag, rest) = line.trim_end().split_once(' ')?;
        if rest.starts_with("APPEND") {
            let count: usize = rest.split_once('{')?.1.trim_end_matches(['}', '+']).parse().ok()?;
            if !rest.ends_with("+}") {
                stream.get_mut().write_all(b"+ go\r\n").ok()?;
            }
            stream.read_exact(&mut vec![0; count + 2]).ok()?;
        }
        let answer = changed(tag, rest).unwrap_or_else(|| imap_answer(tag, rest));
        stream.get_mut().write_all(answer.as_bytes()).ok()?;
        if matches!(rest, "LOGOUT" | "STARTTLS") {
            return Some(());
        }
    }
}

fn imap_answer(tag: &str, rest: &str) -> String {
    let mut words = rest.split(' ');
    match words.next().unwrap_or_default() {
        "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 LITERAL+ IDLE STARTTLS\r\n{tag} OK done\r\n"),
        "SELECT" => format!(
            "* FLAGS (\\Seen)\r\n* 3 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n{tag} OK [READ-WRITE] ok\r\n"
        ),
        "FETCH" if rest.contains("1:*") => {
            let message = String::from_utf8(message()).unwrap_or_default();
            let body = format!("BODY[] {{{}}}\r\n{message}", message.len());
            let envelope = "ENVELOPE (NIL {1}\r\nx NIL NIL NIL NIL NIL NIL NIL NIL) RFC822.SIZE 700";
            let columns = "UID 1%d FLAGS () RFC822.SIZE 700";
            let item = [("(UID", columns), ("FLAGS", "FLAGS ()"), ("(RFC", envelope), ("BODY", body.as_str())];
            let item = item.iter().find(|(asked, _)| rest.contains(asked)).map_or("", |(_, item)| item);
            let of = |number: u32| item.replace("%d", &number.to_string());
            let all: String = (1..=3).map(|number| format!("* {number} FETCH ({})\r\n", of(number))).collect();
            format!("{all}{tag} OK ok\r\n")
        }
        "STORE" => {
            let flags = if rest.contains("+FLAGS") { "\\Seen \\Flagged" } else { "\\Seen" };
            let one = words.next().and_then(|word| word.parse::<u32>().ok());
            let told: String = one
                .map_or(1..=3, |number| number..=number)
                .map(|number| format!("* {number} FETCH (FLAGS ({flags}))\r\n"))
                .collect();
            format!("{told}{tag} OK ok\r\n")
        }
        "SEARCH" => format!("* SEARCH 1 3\r\n{tag} OK ok\r\n"),
        "FETCH" => {
            let number: u32 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            let uid = number + 5;
            if rest.contains("BODY") {
                let message = String::from_utf8(message()).unwrap_or_default();
                format!("* {number} FETCH (UID {uid} BODY[] {{{}}}\r\n{message})\r\n{tag} OK ok\r\n", message.len())
            } else {
                format!("* {number} FETCH (FLAGS (\\Seen) UID {uid})\r\n{tag} OK ok\r\n")
            }
        }
        "LOGOUT" => format!("* BYE bye\r\n{tag} OK bye\r\n"),
        "IDLE" => "+ idling\r\n".into(),
        _ => format!("{tag} OK done\r\n"),
    }
}

fn imap_run(address: SocketAddr, work: imap::Work, depth: usize, starttls: bool) -> Result<Outcome, RunError> {
    imap_run_as(&plan(address), imap_settings(work, depth, starttls))
}

fn imap_settings(work: imap::Work, depth: usize, starttls: bool) -> imap::Settings {
    imap::Settings {
        work,
        depth,
        users: Names::one("a@localhost"),
        password: "pass word".into(),
        connections: 4,
        mailbox: "INBOX".into(),
        criterion: "UNSEEN".into(),
        found: Some(2),
        starttls,
        part: None,
        template: RefCell::new(Template::new(600, "a@x", "b@x", 2)),
    }
}

fn imap_run_as(plan: &Plan, settings: imap::Settings) -> Result<Outcome, RunError> {
    let (settings, now) = (Rc::new(settings), Instant::now());
    let clients = (0..settings.connections).map(|index| imap::Client::new(settings.clone(), index, now));
    run(plan, alike(clients), Vec::new())
}

const FETCH: imap::Work = imap::Work::Fetch { body: true, flags: true };
const GREETING: &str = "* OK hello {3}\r\n";

fn unchanged() -> Answer {
    Box::new(|_, _| None)
}

/// Answers commands that begin with `command` by `answer`, in which `{}` is the tag.
fn instead(command: &'static str, answer: &'static str) -> Answer {
    Box::new(move |tag, rest| rest.starts_with(command).then(|| answer.replace("{}", tag)))
}

fn violation(result: Result<Outcome, RunError>) -> String {
    match result {
        Err(RunError::Violation { what, dialogue }) => {
            assert!(dialogue.contains("S: "), "{dialogue}");
            assert!(!dialogue.contains("pass word"), "the password is in the dialogue");
            what
        }
        other => panic!("no violation was found: {other:?}"),
    }
}

fn fatal(result: Result<Outcome, RunError>) -> String {
    match result {
        Err(RunError::Fatal(text)) => text,
        other => panic!("not fatal: {other:?}"),
    }
}

#[test]
fn a_good_imap_server_passes_every_work() {
    let works = [
        (imap::Work::Noop, 1),
        (imap::Work::Noop, 16),
        (FETCH, 1),
        (FETCH, 8),
        (imap::Work::Append, 3),
        (imap::Work::Session, 1),
        (imap::Work::FetchAll(imap::What::Flags), 1),
        (imap::Work::FetchAll(imap::What::Columns), 1),
        (imap::Work::FetchAll(imap::What::Envelope), 1),
        (imap::Work::FetchAll(imap::What::Body), 1),
        (imap::Work::Store { all: true }, 1),
        (imap::Work::Store { all: false }, 2),
        (imap::Work::Search, 1),
    ];
    for (work, depth) in works {
        let outcome = imap_run(imap_double(GREETING, unchanged()), work, depth, false).expect("a good server");
        assert!(outcome.tally.count() > 10, "{work:?} {}", outcome.tally.count());
        assert_eq!(outcome.tally.errors_total(), 0, "{work:?} {:?}", outcome.tally.errors());
        assert_eq!(outcome.tally.latency().len(), outcome.tally.count());
        let bodies = [FETCH, imap::Work::FetchAll(imap::What::Body)];
        assert_eq!(outcome.tally.verified > 0, bodies.contains(&work), "{work:?}");
        assert!(outcome.seconds < 1.0);
    }
    for idle in [false, true] {
        let outcome =
            imap_run(imap_double(GREETING, unchanged()), imap::Work::Hold { idle }, 1, false).expect("a good server");
        assert_eq!((outcome.tally.count(), outcome.tally.errors_total()), (0, 0));
    }
}

#[test]
fn a_server_without_literal_plus_is_asked_to_go_on() {
    let plain = |tag: &str, rest: &str| {
        assert!(!rest.ends_with("+}"), "LITERAL+ was not announced");
        (rest == "CAPABILITY").then(|| format!("* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"))
    };
    let outcome =
        imap_run(imap_double(GREETING, Box::new(plain)), imap::Work::Append, 4, false).expect("a good server");
    assert!(outcome.tally.count() > 10);
}

#[test]
fn contradictions_about_the_mailbox_are_violations() {
    for (answer, part) in [
        ("* 2 EXISTS\r\n{} OK x\r\n", "EXISTS shrank from 3 to 2"),
        ("* 4 EXPUNGE\r\n{} OK x\r\n", "EXPUNGE of message 4, but the mailbox has 3"),
        ("* 4 FETCH (FLAGS ())\r\n{} OK x\r\n", "FETCH of message 4"),
        ("* 1 FETCH (UID 9)\r\n* 2 FETCH (UID 9)\r\n{} OK x\r\n", "UIDs must ascend"),
        ("* OK [UIDVALIDITY 8] x\r\n{} OK x\r\n", "UIDVALIDITY changed"),
        ("A999999 OK x\r\n", "tagged A999999"),
        ("+ go on\r\n{} OK x\r\n", "continuation"),
        ("* SEARCH 1\r\n{} OK x\r\n", "SEARCH results"),
        ("* VANISHED 1\r\n{} OK x\r\n", "VANISHED"),
        ("{} OK x\r\n{} OK x\r\n", "no such command is in progress"),
        ("{} OK x\n", "bare LF"),
        ("{} WELL x\r\n", "expected OK, NO or BAD"),
    ] {
        let what = violation(imap_run(imap_double(GREETING, instead("NOOP", answer)), imap::Work::Noop, 1, false));
        assert!(what.contains(part), "{answer}: {what}");
    }
}

#[test]
fn faults_of_fetch_are_violations() {
    let damaged = |tag: &str, rest: &str| {
        let mut message = String::from_utf8(message()).unwrap_or_default();
        message.replace_range(650..651, "#");
        let whole = format!("* 1 FETCH (UID 6 BODY[] {{700}}\r\n{message})\r\n{tag} OK x\r\n");
        rest.contains("BODY").then_some(whole)
    };
    let what = violation(imap_run(imap_double(GREETING, Box::new(damaged)), FETCH, 1, false));
    assert!(what.contains("checksum"), "{what}");

    let count = std::sync::atomic::AtomicUsize::new(0);
    let changing = move |tag: &str, rest: &str| {
        let nth = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 10;
        let number: u32 = rest.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let whole = format!("* {number} FETCH (UID {} BODY[] {{5}}\r\nx\r\n{nth}\n)\r\n{tag} OK x\r\n", number + 5);
        rest.contains("BODY").then_some(whole)
    };
    let what = violation(imap_run(imap_double(GREETING, Box::new(changing)), FETCH, 1, false));
    assert!(what.contains("another content"), "{what}");

    for (answer, part) in [
        ("{} OK x\r\n", "answered OK without"),
        ("* 1 EXPUNGE\r\n{} OK x\r\n", "EXPUNGE 1 during FETCH"),
        ("* 1 FETCH (UID 6 BODY[] NIL)\r\n{} OK x\r\n", "is NIL"),
        ("* 1 FETCH (UID 6 BODY[] {99999999999}\r\n", "literal"),
        ("* 1 FETCH (UID 6 ENVELOPE (NIL))\r\n{} OK x\r\n", "expected"),
    ] {
        let what = violation(imap_run(imap_double(GREETING, instead("FETCH", answer)), FETCH, 1, false));
        assert!(what.contains(part), "{answer}: {what}");
    }
}

#[test]
fn faults_of_commands_about_all_messages_are_violations() {
    let flags = imap::Work::FetchAll(imap::What::Flags);
    let columns = imap::Work::FetchAll(imap::What::Columns);
    let envelope = imap::Work::FetchAll(imap::What::Envelope);
    let body = imap::Work::FetchAll(imap::What::Body);
    let (all, one) = (imap::Work::Store { all: true }, imap::Work::Store { all: false });
    let two = "* 1 FETCH (FLAGS ())\r\n* 3 FETCH (FLAGS ())\r\n* 3 FETCH (FLAGS ())\r\n{} OK x\r\n";
    for (work, answer, part) in [
        (flags, two, "without message 2"),
        (flags, "{} OK x\r\n", "without message 1"),
        (flags, "* 4 FETCH (FLAGS ())\r\n{} OK x\r\n", "FETCH of message 4"),
        (flags, "* 1 FETCH (FLAGS \\Seen)\r\n{} OK x\r\n", "expected"),
        (flags, "* 1 FETCH (FLAGS ())\r\n* 1 EXPUNGE\r\n{} OK x\r\n", "EXPUNGE 1 during FETCH"),
        (
            columns,
            "* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 1)\r\n* 2 FETCH (FLAGS () RFC822.SIZE 1)\r\n{} OK x\r\n",
            "without message 2",
        ),
        (envelope, "* 1 FETCH (RFC822.SIZE 1)\r\n* 2 FETCH (RFC822.SIZE 1)\r\n{} OK x\r\n", "without message 1"),
        (body, "* 1 FETCH (BODY[] \"x\")\r\n* 2 FETCH (BODY[] \"x\")\r\n{} OK x\r\n", "without message 3"),
        (all, two, "without message 2"),
        (one, "{} OK x\r\n", "without FLAGS with \\Flagged"),
        (one, "* 1 FETCH (FLAGS (\\Seen))\r\n{} OK x\r\n", "without FLAGS with \\Flagged"),
        (imap::Work::Search, "* SEARCH 1 2 3\r\n{} OK x\r\n", "found 3 messages, not the 2"),
        (imap::Work::Search, "* SEARCH 1 4\r\n{} OK x\r\n", "a SEARCH result of message 4"),
        (imap::Work::Search, "* SEARCH 1 2\r\n* SEARCH 1 2\r\n{} OK x\r\n", "nothing asked for"),
        (imap::Work::Search, "{} OK x\r\n", "without its result"),
    ] {
        let command = if matches!(work, imap::Work::Store { .. }) { "STORE" } else { "" };
        let changed: Answer = Box::new(move |tag, rest| {
            let ours = rest.starts_with(command) && ["FETCH", "STORE", "SEARCH"].iter().any(|w| rest.starts_with(w));
            ours.then(|| answer.replace("{}", tag))
        });
        let what = violation(imap_run(imap_double(GREETING, changed), work, 1, false));
        assert!(what.contains(part), "{work:?} {answer}: {what}");
    }
}

#[test]
fn a_long_answer_counts_until_its_end_came() {
    // 2,000 lines in two writes with a pause between them: the pause belongs to the latency, the checks don't count before it.
    let slow = double(|mut stream| {
        stream.get_mut().write_all(GREETING.as_bytes()).ok()?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
            let (tag, rest) = line.trim_end().split_once(' ')?;
            if !rest.starts_with("SELECT") && !rest.starts_with("FETCH") {
                stream.get_mut().write_all(imap_answer(tag, rest).as_bytes()).ok()?;
                continue;
            }
            let lines = |from: u32, to: u32| -> String {
                (from..=to).map(|number| format!("* {number} FETCH (FLAGS (\\Seen))\r\n")).collect()
            };
            if rest.starts_with("SELECT") {
                let text = imap_answer(tag, rest).replace("* 3 EXISTS", "* 2000 EXISTS");
                stream.get_mut().write_all(text.as_bytes()).ok()?;
                continue;
            }
            stream.get_mut().write_all(lines(1, 1000).as_bytes()).ok()?;
            thread::sleep(Duration::from_millis(30));
            stream.get_mut().write_all(format!("{}{tag} OK ok\r\n", lines(1001, 2000)).as_bytes()).ok()?;
        }
    });
    let outcome = imap_run(slow, imap::Work::FetchAll(imap::What::Flags), 1, false).expect("a good server");
    assert!(outcome.tally.count() >= 4 && outcome.tally.errors_total() == 0);
    let (least, most) = (outcome.tally.latency().min(), outcome.tally.latency().value_at_quantile(0.5));
    assert!(least >= 29_000_000 && most < 120_000_000, "{least} {most}");
}

/// Two connections to a server that takes 50 ms for a NOOP do 40 a second: from there on they queue.
#[test]
fn the_highest_rate_that_holds_is_found() {
    let slow: Answer = Box::new(|_, rest| {
        if rest == "NOOP" {
            thread::sleep(Duration::from_millis(50));
        }
        None
    });
    let address = imap_double(GREETING, slow).to_string();
    // From 5 a second it has to double twice. Nobody holds what takes 10 ms at most, at whatever rate.
    for (limit, seconds, code) in [("150", "1", 0), ("10", "0.1", 2)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command.args(["run", "imap", "--address", &address, "--user", "a@localhost", "--password-env", "PW"]);
        command.args(["--connections", "2", "--seconds", seconds, "--rate", "5", "--arrivals", "constant"]);
        let output = command.args(["--find-max", limit]).env("PW", "pass word").output().expect("it runs");
        let [table, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        // A neighbour that takes the client's processor makes trials void: less is found then, or nothing.
        let least = if errors.contains("void") { 0.0 } else { 20.0 };
        let found = table.split_once(" operations/s asked for").and_then(|(before, _)| before.rsplit(' ').next());
        match found.map(|rate| rate.parse::<f64>().expect("a rate")) {
            Some(rate) => assert!(code == 0 && (least..60.0).contains(&rate), "{table}{errors}"),
            None => assert!(code == 2 || least == 0.0, "{table}{errors}"),
        }
        assert_eq!(output.status.code(), Some(if found.is_some() { 0 } else { 2 }), "{table}{errors}");
        assert!(errors.contains(" a second asked for: "), "{errors}");
    }
}

#[test]
fn faults_of_set_up_are_found() {
    let run_noop = |greeting, changed| imap_run(imap_double(greeting, changed), imap::Work::Noop, 1, false);
    assert!(violation(run_noop("+ hello\r\n", unchanged())).contains("greeting"));
    assert!(violation(run_noop(GREETING, instead("SELECT", "* 3 EXISTS\r\n{} OK x\r\n"))).contains("without FLAGS"));
    assert!(
        violation(run_noop(GREETING, instead("LOGIN", "* 3 EXISTS\r\n{} OK x\r\n"))).contains("no mailbox is selected")
    );
    let refused = fatal(run_noop(GREETING, instead("LOGIN", "{} NO [AUTHENTICATIONFAILED] go away\r\n")));
    assert_eq!(refused, "LOGIN as a@localhost was refused: NO [AUTHENTICATIONFAILED] go away");
    assert!(fatal(run_noop("* BYE full\r\n", unchanged())).contains("BYE full"), "a BYE that doesn't close");
    assert!(fatal(run_noop("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] x\r\n", unchanged())).contains("--tls"));
    let empty = "* FLAGS ()\r\n* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n{} OK x\r\n";
    assert!(fatal(imap_run(imap_double(GREETING, instead("SELECT", empty)), FETCH, 1, false)).contains("is empty"));
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    assert!(fatal(imap_run(gone, imap::Work::Noop, 1, false)).contains("connection refused"));
    let logout = imap_run(imap_double(GREETING, instead("LOGOUT", "{} OK x\r\n")), imap::Work::Session, 1, false);
    assert!(violation(logout).contains("without BYE"));
}

#[test]
fn bytes_injected_behind_starttls_are_a_violation() {
    let injected = instead("STARTTLS", "{} OK go\r\n* OK [CAPABILITY IMAP4rev1] injected\r\n");
    let what = violation(imap_run(imap_double(GREETING, injected), imap::Work::Noop, 1, true));
    assert!(what.contains("before the handshake"), "{what}");
    let without =
        fatal(imap_run(imap_double("* OK [CAPABILITY IMAP4rev1] x\r\n", unchanged()), imap::Work::Noop, 1, true));
    assert!(without.contains("STARTTLS"), "{without}");
}

#[test]
fn appended_uids_must_ascend() {
    let what = violation(imap_run(
        imap_double(GREETING, instead("APPEND", "{} OK [APPENDUID 1 7] x\r\n")),
        imap::Work::Append,
        1,
        false,
    ));
    assert!(what.contains("UIDs must ascend"), "{what}");
}

#[test]
fn refusals_and_lost_connections_are_counted() {
    let outcome =
        imap_run(imap_double(GREETING, instead("APPEND", "{} NO [OVERQUOTA] full\r\n")), imap::Work::Append, 1, false);
    let outcome = outcome.expect("a refusal is no violation");
    assert_eq!(outcome.tally.count(), 0);
    assert!(outcome.tally.errors()["NO [OVERQUOTA]"] > 3);

    let dying = double(|mut stream| {
        stream.get_mut().write_all(GREETING.as_bytes()).ok()?;
        for number in 0.. {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let (tag, rest) = line.trim_end().split_once(' ')?;
            if number == 10 {
                return stream.get_mut().write_all(b"* BYE restarting\r\n").ok();
            }
            stream.get_mut().write_all(imap_answer(tag, rest).as_bytes()).ok()?;
        }
        None
    });
    let outcome = imap_run(dying, imap::Work::Noop, 1, false).expect("a server may close");
    assert!(outcome.tally.errors()["BYE restarting"] >= 4, "{:?}", outcome.tally.errors());
    assert!(outcome.tally.count() >= 16, "connections were opened again");
}

/// A server that answers NOOP at once, but stops for 300 ms, all connections together, in the middle of the run.
fn stalling() -> SocketAddr {
    let first = std::sync::OnceLock::new();
    let stalls = move |_: &str, rest: &str| {
        if rest == "NOOP" {
            let at = first.get_or_init(Instant::now).elapsed();
            let (from, until) = (Duration::from_millis(300), Duration::from_millis(600));
            if (from..until).contains(&at) {
                thread::sleep(until - at);
            }
        }
        None
    };
    imap_double(GREETING, Box::new(stalls))
}

#[test]
fn the_open_loop_sees_what_the_closed_one_omits() {
    let measured = Duration::from_millis(900);
    let quantile = |tally: &Tally, quantile| Duration::from_nanos(tally.latency().value_at_quantile(quantile));
    for poisson in [false, true] {
        let pace = Pace::Rate { per_second: 300.0, poisson };
        let open = imap_run_as(&Plan { pace, measured, ..plan(stalling()) }, imap_settings(imap::Work::Noop, 1, false));
        let open = open.expect("a good server").tally;
        // A third of the operations fell due within the stall, each waiting for its end, wherever a connection was.
        assert!((200..350).contains(&open.count()), "{}", open.count());
        let (p50, p90) = (quantile(&open, 0.5), quantile(&open, 0.9));
        assert!(p50 < Duration::from_millis(100) && p90 > Duration::from_millis(150), "{p50:?} {p90:?}");
        // Those in flight at the end were looked at, too; those that fell due before the start were not.
        assert!(open.lag.len().abs_diff(open.count() + open.unsent) <= 8);
        // Only the four that were under way when it began were long in being served.
        let served = Duration::from_nanos(open.service().value_at_quantile(0.9));
        assert!(open.service().len() > 100 && served < Duration::from_millis(100), "{served:?}");
    }
    let closed = imap_run_as(&Plan { measured, ..plan(stalling()) }, imap_settings(imap::Work::Noop, 1, false));
    let closed = closed.expect("a good server").tally;
    assert!(quantile(&closed, 0.9) < Duration::from_millis(50), "four of many operations saw the stall");
    assert_eq!((closed.lag.len(), closed.unsent), (0, 0));
}

#[test]
fn what_the_client_checks_is_not_the_latency_of_the_server() {
    const MESSAGES: u32 = 20_000;
    let all: String =
        (1..=MESSAGES).map(|number| format!("* {number} FETCH (FLAGS (\\Seen \\Answered))\r\n")).collect();
    let much = move |tag: &str, rest: &str| {
        if rest.starts_with("SELECT") {
            let told = imap_answer(tag, rest).replace("* 3 EXISTS", &format!("* {MESSAGES} EXISTS"));
            return Some(told);
        }
        rest.starts_with("FETCH").then(|| format!("{all}{tag} OK ok\r\n"))
    };
    let plan = Plan { measured: Duration::from_secs(1), ..plan(imap_double(GREETING, Box::new(much))) };
    let settings = imap_settings(imap::Work::FetchAll(imap::What::Flags), 1, false);
    let outcome = imap_run_as(&plan, imap::Settings { connections: 1, ..settings }).expect("a good server");
    // One connection: what is not latency is the client's own time between an answer and the next command.
    let waited = outcome.tally.latency().mean() * outcome.tally.count() as f64 / 1e9;
    assert!(
        outcome.tally.count() > 3 && waited < 0.7 * outcome.seconds,
        "{waited} of {} s, {}",
        outcome.seconds,
        outcome.tally.count()
    );
}

#[test]
fn a_slow_client_keeps_its_rate() {
    let long = |tag: &str, rest: &str| {
        let message = String::from_utf8(Template::new(20_000, "a@x", "b@x", 1).stamp(5).to_vec()).unwrap_or_default();
        let number: u32 = rest.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let whole = format!("* {number} FETCH (UID {number} BODY[] {{20000}}\r\n{message})\r\n{tag} OK x\r\n");
        rest.contains("BODY").then_some(whole)
    };
    let slow_reader = Throttle { read: Some(100_000), write: None };
    let slow_writer = Throttle { read: None, write: Some(20_000) };
    for (throttle, work, rate) in [
        (slow_reader, imap::Work::Fetch { body: true, flags: false }, 100_000.0),
        (slow_writer, imap::Work::Append, 20_000.0),
    ] {
        let answer: Answer = if throttle.read.is_some() { Box::new(long) } else { unchanged() };
        let mut plan = Plan { measured: Duration::from_secs(2), ..plan(imap_double(GREETING, answer)) };
        plan.targets[0].throttle = throttle;
        let connections = 2;
        let settings = imap::Settings { connections, ..imap_settings(work, 1, false) };
        let outcome = imap_run_as(&plan, settings).expect("a good server");
        let tally = outcome.tally;
        let octets = if throttle.read.is_some() { tally.bytes_received } else { tally.bytes_sent };
        let each = octets as f64 / outcome.seconds / f64::from(connections);
        assert!(
            tally.count() > 0 && (0.5 * rate..1.2 * rate).contains(&each),
            "{each} octets a second, {}",
            tally.count()
        );
    }
}

#[test]
fn what_could_not_be_sent_by_the_end_is_told() {
    let slow = |_: &str, rest: &str| {
        if rest == "NOOP" {
            thread::sleep(Duration::from_millis(20));
        }
        None
    };
    let pace = Pace::Rate { per_second: 1000.0, poisson: false };
    let plan = Plan { pace, ..plan(imap_double(GREETING, Box::new(slow))) };
    let tally = imap_run_as(&plan, imap_settings(imap::Work::Noop, 1, false)).expect("a good server").tally;
    // Four connections, 20 ms each, 200 ms: 40 of 200.
    assert!(tally.count() <= 44 && tally.unsent >= 150, "{} {}", tally.count(), tally.unsent);
    // Sessions are opened by the rate as well, one operation a connection.
    let (pace, measured) = (Pace::Rate { per_second: 100.0, poisson: false }, Duration::from_secs(1));
    let plan = Plan { pace, measured, targets: self::plan(imap_double(GREETING, unchanged())).targets, ..plan };
    let tally = imap_run_as(&plan, imap_settings(imap::Work::Session, 1, false)).expect("a good server").tally;
    assert!((20..=101).contains(&tally.count()) && tally.errors_total() == 0, "{} {:?}", tally.count(), tally.errors());
}

#[test]
fn a_server_that_hangs_does_not_hang_the_run() {
    let from = Instant::now();
    let outcome =
        imap_run(imap_double(GREETING, instead("NOOP", "")), imap::Work::Noop, 1, false).expect("no violation");
    assert_eq!(outcome.tally.count(), 0);
    assert!(from.elapsed() < Duration::from_secs(8));
}

#[test]
fn tls_both_ways_and_only_with_the_right_certificate() {
    let over_tls = |implicit: bool, insecure: bool, name: &str| {
        let config = trust::config(Some(CERTIFICATE.as_ref()), insecure, false).expect("roots");
        let tls = Some(Tls { config, name: name.to_owned().try_into().expect("a name") });
        let address = imap_tls_double(implicit, tls_server(rustls::ALL_VERSIONS, 0));
        let mut plan = plan(address);
        (plan.targets[0].tls, plan.targets[0].implicit_tls) = (tls, implicit);
        imap_run_as(&plan, imap_settings(FETCH, 4, !implicit))
    };
    for implicit in [true, false] {
        for (insecure, name) in [(false, "localhost"), (true, "elsewhere.example")] {
            let outcome = over_tls(implicit, insecure, name).expect("a good server");
            assert!(outcome.tally.count() > 10 && outcome.tally.verified > 4);
            assert_eq!(outcome.tally.handshakes.full.len(), 4, "those of the set-up");
            assert_eq!(outcome.tally.errors_total(), 0, "{:?}", outcome.tally.errors());
        }
        assert!(fatal(over_tls(implicit, false, "elsewhere.example")).contains("TLS: invalid peer certificate"));
    }
    assert!(trust::config(Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").as_ref()), false, false).is_err());
}

#[test]
fn handshakes_are_counted_by_kind() {
    // More connections than the tickets of one server that rustls's own store holds.
    const CONNECTIONS: u32 = 24;
    let (new, old) = (&rustls::version::TLS13, &rustls::version::TLS12);
    for (version, implicit, tickets, resume) in [
        (new, true, 0, true),
        (new, true, 1, false),
        (new, true, 1, true),
        (new, false, 1, true),
        (old, true, 0, true),
        (old, true, 1, false),
        (old, true, 1, true),
    ] {
        let config = trust::config(Some(CERTIFICATE.as_ref()), false, resume).expect("roots");
        let tls = Some(Tls { config, name: "localhost".try_into().expect("a name") });
        let address = imap_tls_double(implicit, tls_server(&[version], tickets));
        let (measured, time_out) = (Duration::from_millis(700), Duration::from_secs(5));
        let mut plan = Plan { measured, time_out, ..plan(address) };
        (plan.targets[0].tls, plan.targets[0].implicit_tls) = (tls, implicit);
        let settings = imap_settings(imap::Work::Handshake, 1, !implicit);
        let outcome = imap_run_as(&plan, imap::Settings { connections: CONNECTIONS, ..settings });
        let tally = outcome.expect("a good server").tally;
        let (full, resumed) = (tally.handshakes.full.len(), tally.handshakes.resumed.len());
        let case = format!(
            "{version:?}, implicit {implicit}, {tickets} tickets, resume {resume}: {full} full, {resumed} resumed"
        );
        assert_eq!(tally.errors_total(), 0, "{case} {:?}", tally.errors());
        assert_eq!(resumed > 0, tickets > 0 && resume, "{case}");
        // A connection that ends leaves what the one after it needs.
        assert!(full > 0 && (resumed == 0 || full <= u64::from(CONNECTIONS)), "{case}");
        assert!((full + resumed).abs_diff(tally.count()) <= u64::from(CONNECTIONS), "{case} {}", tally.count());
        for taken in [&tally.handshakes.full, &tally.handshakes.resumed].into_iter().filter(|taken| !taken.is_empty()) {
            assert!(taken.min() > 5_000 && taken.min() < tally.latency().max(), "{case} {}", taken.min());
        }
    }
}

#[test]
fn the_report_says_so_where_no_handshake_was_resumed() {
    for (tickets, resumed) in [(0, false), (2, true)] {
        let address = imap_tls_double(true, tls_server(rustls::ALL_VERSIONS, tickets)).to_string();
        let json = std::env::temp_dir().join(format!("loadgen-handshakes-{}-{tickets}.json", std::process::id()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command.args(["run", "imap", "--work", "handshake", "--tls", "implicit", "--insecure", "--tls-resume"]);
        command.args(["--seconds", "0.3", "--connections", "2", "--address", &address, "--json"]).arg(&json);
        let output = command.output().expect("it runs");
        let report = std::fs::read_to_string(&json).expect("the report");
        std::fs::remove_file(&json).expect("ours");
        let table = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(table.contains("none resumed, although --tls-resume asks for it"), !resumed, "{table}");
        assert_eq!(report.contains("\"handshakes_resumed\":0,"), !resumed, "{report}");
        assert_eq!(report.contains("\"handshake_resumed_nanoseconds\":null,"), !resumed, "{report}");
        assert!(report.contains("\"tls_resume\":true,"), "{report}");
    }
}

#[test]
fn the_program_ends_with_the_code_that_its_help_says() {
    let program = |address: SocketAddr, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command.args(["run", "imap", "--user", "a", "--password-env", "PW", "--connections", "2", "--seconds", "0.2"]);
        command.args(["--address", &address.to_string()]).args(more).env("PW", "pass word");
        let output = command.output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, table, errors) = program(imap_double(GREETING, unchanged()), &[]);
    assert!(code == Some(0) && table.contains("p99.9") && errors.is_empty(), "{code:?} {table} {errors}");
    let (code, json, _) = program(imap_double(GREETING, unchanged()), &["--json", "-"]);
    assert!(
        code == Some(0) && json.starts_with("{\"loadgen\"") && json.ends_with("}\n") && json.contains("\"errors\":{}"),
        "{json}"
    );
    let (code, table, _) = program(imap_double(GREETING, unchanged()), &["--work", "hold"]);
    assert!(code == Some(0) && table.starts_with("holding 2\n"), "{table}");
    let (code, _, errors) = program(imap_double(GREETING, instead("NOOP", "* 1 EXISTS\r\n{} OK x\r\n")), &[]);
    assert!(code == Some(1) && errors.contains("EXISTS shrank") && errors.contains("S: * 1 EXISTS"), "{errors}");
    let (code, _, errors) = program(imap_double(GREETING, unchanged()), &["--work", "handshake"]);
    assert!(code == Some(2) && errors.contains("give --tls"), "{errors}");
    let (code, _, errors) = program(imap_double("hello\n", unchanged()), &[]);
    assert!(code == Some(1) && errors.contains("S: hello"), "what can't be framed is shown too: {errors}");
    let (code, _, errors) = program(imap_double(GREETING, instead("LOGIN", "{} NO no\r\n")), &[]);
    assert!(code == Some(2) && errors.lines().count() == 1, "{errors}");
    let (code, _, errors) = program(imap_double(GREETING, instead("NOOP", "{} NO no\r\n")), &[]);
    assert!(code == Some(2) && errors.contains("not one operation"), "{errors}");
}

// SMTP.

/// A small server: each line is answered by what `answer` says of it; after a 354 the message is read.
fn smtp_double(
    extensions: &'static str,
    answer: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static,
) -> SocketAddr {
    double(move |mut stream| {
        stream.get_mut().write_all(b"220 double ESMTP\r\n").ok()?;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            let usual = match line.split([' ', ':']).next()? {
                "EHLO" => extensions,
                "DATA" => "354 go\r\n",
                "AUTH" if line == "AUTH PLAIN AGFAbG9jYWxob3N0AHNlY3JldA==" => "235 2.7.0 welcome\r\n",
                "AUTH" => "535 5.7.8 no\r\n",
                _ => "250 2.0.0 fine\r\n",
            };
            let reply = answer(line).unwrap_or(usual);
            stream.get_mut().write_all(reply.as_bytes()).ok()?;
            if reply.starts_with("354") {
                let mut text = Vec::new();
                while !text.ends_with(b"\r\n.\r\n") && text != b".\r\n" {
                    stream.read_until(b'\n', &mut text).ok()?;
                }
                let reply = answer(&format!("(message of {})", text.len() - 3)).unwrap_or("250 2.0.0 queued\r\n");
                stream.get_mut().write_all(reply.as_bytes()).ok()?;
            }
        }
    })
}

const PIPELINING: &str =
    "250-double\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-AUTH LOGIN PLAIN\r\n250 SIZE 10000\r\n";
const BARE: &str = "250 double\r\n";

fn smtp_run(address: SocketAddr, submit: bool) -> Result<Outcome, RunError> {
    let settings = Rc::new(smtp::Settings {
        from: "a@localhost".into(),
        to: Names::one("b@localhost"),
        recipients: 1,
        lmtp: false,
        credentials: submit.then(|| (Names::one("a@localhost"), "secret".into())),
        starttls: false,
        mail: RefCell::new(Assortment::new(&[2000], "a@localhost", "b@localhost", 3)),
        think: Think::NONE,
        zipf: None,
        ledger: None,
    });
    let now = Instant::now();
    run(&plan(address), alike((0..4).map(|index| smtp::Client::new(settings.clone(), index, now))), Vec::new())
}

#[test]
fn a_good_smtp_server_passes() {
    for (extensions, submit) in [(PIPELINING, false), (PIPELINING, true), (BARE, false)] {
        let exact = |line: &str| {
            (line.starts_with("(message") && line != "(message of 2000)").then_some("554 5.6.0 wrong size\r\n")
        };
        let outcome = smtp_run(smtp_double(extensions, exact), submit).expect("a good server");
        assert!(outcome.tally.count() > 10);
        assert_eq!(outcome.tally.errors_total(), 0, "{:?}", outcome.tally.errors());
    }
}

#[test]
fn smtp_refusals_are_counted_and_the_dialogue_goes_on() {
    for extensions in [PIPELINING, BARE] {
        for (command, reply, kind) in [
            ("MAIL", "451 4.3.0 later\r\n", "451 to MAIL"),
            ("RCPT", "550 5.1.1 who\r\n", "550 to RCPT"),
            ("DATA", "451 4.3.0 later\r\n", "451 to DATA"),
            ("(message", "552 5.3.4 too big\r\n", "552 to the message"),
        ] {
            let address = smtp_double(extensions, move |line| {
                assert!(command != "RCPT" || !line.starts_with("(message") || line == "(message of 0)", "{line}");
                line.starts_with(command).then_some(reply)
            });
            let outcome = smtp_run(address, false).expect("a refusal is no violation");
            assert_eq!(outcome.tally.count(), 0, "{command}");
            assert!(outcome.tally.errors()[kind] > 5, "{command}: {:?}", outcome.tally.errors());
            assert_eq!(outcome.tally.errors().len(), 1, "{command}: {:?}", outcome.tally.errors());
        }
    }
}

#[test]
fn faults_of_smtp_are_violations() {
    for (command, reply, part) in [
        ("RCPT", "250 5.1.1 fine\r\n", "another class"),
        ("RCPT", "250 fine\r\n", "no enhanced status code"),
        ("MAIL", "354 go\r\n", "reply 354 to MAIL"),
        ("DATA", "250 2.0.0 fine\r\n", "reply 250 to DATA"),
        ("(message", "250 2.0.0 a\r\n250 2.0.0 b\r\n250 2.0.0 c\r\n250 2.0.0 d\r\n250 2.0.0 e\r\n", "reply 250 to"),
        ("MAIL", "250-2.1.0 a\r\n251 2.1.0 b\r\n", "changes its code"),
        ("MAIL", "hello\r\n", "not a reply line"),
    ] {
        let address = smtp_double(PIPELINING, move |line| line.starts_with(command).then_some(reply));
        let what = violation(smtp_run(address, false));
        assert!(what.contains(part), "{command} {reply}: {what}");
    }
}

#[test]
fn smtp_set_up_that_is_refused_is_one_line() {
    let refused = smtp_double(PIPELINING, |line| line.starts_with("AUTH").then_some("535 5.7.8 no\r\n"));
    assert_eq!(fatal(smtp_run(refused, true)), "AUTH as a@localhost was refused: 535 5.7.8 no");
    assert!(fatal(smtp_run(smtp_double(BARE, |_| None), true)).contains("AUTH PLAIN"));
    let small = smtp_double("250-double\r\n250 SIZE 1000\r\n", |_| None);
    assert!(fatal(smtp_run(small, false)).contains("SIZE"));
}

#[test]
fn lmtp_has_a_reply_a_recipient() {
    let lmtp = |replies: &'static str| {
        let script = move |line: &str| match line {
            "LHLO loadgen.invalid" => Some(PIPELINING),
            "RCPT TO:<u2@localhost>" => Some("550 5.1.1 who\r\n"),
            "DATA" => Some("354 go\r\n"),
            line if line.starts_with("EHLO") => Some("500 5.5.1 this is LMTP\r\n"),
            line if line.starts_with("(message") => Some(replies),
            _ => None,
        };
        let settings = Rc::new(smtp::Settings {
            from: "a@localhost".into(),
            to: Names::numbered("u%d@localhost", 4).expect("a pattern"),
            recipients: 4,
            lmtp: true,
            credentials: None,
            starttls: false,
            mail: RefCell::new(Assortment::new(&[2000], "a@localhost", "b@localhost", 3)),
            think: Think::NONE,
            zipf: None,
            ledger: None,
        });
        let now = Instant::now();
        let address = smtp_double(PIPELINING, script);
        run(&plan(address), alike((0..2).map(|index| smtp::Client::new(settings.clone(), index, now))), Vec::new())
    };
    let outcome = lmtp("250 2.0.0 a\r\n250 2.0.0 b\r\n250 2.0.0 c\r\n").expect("a reply for each that was taken");
    assert_eq!(outcome.tally.count(), 0, "one of four is always refused");
    assert!(outcome.tally.errors()["550 to RCPT"] > 5 && outcome.tally.errors().len() == 1);
    let outcome = lmtp("250 2.0.0 a\r\n250 2.0.0 b\r\n").expect("no violation, but no end either");
    assert_eq!(outcome.tally.count() + outcome.tally.errors_total(), 0, "the third reply is still to come");
    let four = "250 2.0.0 a\r\n250 2.0.0 b\r\n250 2.0.0 c\r\n250 2.0.0 d\r\n";
    assert!(violation(lmtp(four)).contains("reply 250 to"));
}

// POP3.

/// A maildrop of three messages, the second of which has lines that begin with dots; `changed` may answer otherwise.
fn pop3_double(changed: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static) -> SocketAddr {
    double(move |mut stream| {
        let texts = [message(), b"Subject: x\r\n\r\n.\r\n..a\r\n".to_vec(), message()];
        stream.get_mut().write_all(b"+OK ready\r\n").ok()?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
            let line = line.trim_end();
            let mut words = line.split(' ');
            let usual = match words.next()? {
                "STAT" => format!("+OK 3 {}\r\n", texts.iter().map(Vec::len).sum::<usize>()),
                "LIST" => {
                    let lines = (1..).zip(&texts).map(|(number, text)| format!("{number} {}\r\n", text.len()));
                    format!("+OK\r\n{}.\r\n", lines.collect::<String>())
                }
                "RETR" => {
                    let text = texts.get(words.next()?.parse::<usize>().ok()? - 1)?;
                    let stuffed = String::from_utf8(text.clone()).ok()?.replace("\r\n.", "\r\n..");
                    format!("+OK it comes\r\n{stuffed}.\r\n")
                }
                _ => "+OK\r\n".into(),
            };
            stream.get_mut().write_all(changed(line).unwrap_or(&usual).as_bytes()).ok()?;
            if line == "QUIT" {
                return Some(());
            }
        }
    })
}

fn pop3_run(address: SocketAddr) -> Result<Outcome, RunError> {
    let users = Names::numbered("u%d@localhost", 8).expect("a pattern");
    let settings = Rc::new(pop3::Settings {
        users,
        password: "pass word".into(),
        connections: 4,
        retrieve: 2,
        shared: false,
        stls: false,
        think: Think::NONE,
    });
    let now = Instant::now();
    run(&plan(address), alike((0..4).map(|index| pop3::Client::new(settings.clone(), index, now))), Vec::new())
}

#[test]
fn a_good_pop3_server_passes() {
    let outcome = pop3_run(pop3_double(|line| {
        assert!(
            !line.starts_with("USER") || (1..=8).any(|number| line == format!("USER u{number}@localhost")),
            "{line}"
        );
        assert!(!line.starts_with("PASS") || line == "PASS pass word");
        None
    }));
    let outcome = outcome.expect("a good server");
    assert!(outcome.tally.count() > 10 && outcome.tally.verified > 10, "{}", outcome.tally.count());
    assert_eq!(outcome.tally.errors_total(), 0, "{:?}", outcome.tally.errors());
}

#[test]
fn faults_of_pop3_are_violations() {
    for (command, answer, part) in [
        ("STAT", "+OK many\r\n", "STAT was answered"),
        ("STAT", "+OK 3 1\r\n", "STAT says 3 1"),
        ("LIST", "+OK\r\n1 700\r\n3 700\r\n.\r\n", "scan listing"),
        ("LIST", "+OK\r\n1 700\r\n.\r\n", "and LIST 1 700"),
        ("RETR", "+OK\r\nSubject: x\r\n\r\n.\r\n", "and LIST said"),
        ("RETR", "+OK\r\n.x\r\n.\r\n", "single dot"),
        ("USER", "+OK\r\n+OK\r\n", "behind the response to USER"),
        ("USER", "* OK\r\n", "not a response line"),
    ] {
        let what = violation(pop3_run(pop3_double(move |line| line.starts_with(command).then_some(answer))));
        assert!(what.contains(part), "{command} {answer}: {what}");
    }
    let empty = |line: &str| match line {
        "STAT" => Some("+OK 0 0\r\n"),
        "LIST" => Some("+OK\r\n.\r\n"),
        _ => None,
    };
    assert!(fatal(pop3_run(pop3_double(empty))).contains("is empty"));
    let busy = pop3_double(|line| line.starts_with("PASS").then_some("-ERR [IN-USE] busy\r\n"));
    let outcome = pop3_run(busy).expect("a refusal is no violation");
    assert!(outcome.tally.errors()["-ERR [IN-USE] to PASS"] > 3 && outcome.tally.count() == 0);
}
