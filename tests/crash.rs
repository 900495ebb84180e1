//! `kill -9` amid parallel deliveries: what was acknowledged is there exactly once, the rest is whole or absent (attack 42).
//!
//! Each message is made from its subject alone, so that a fetched one can be compared with what must have been sent. A
//! subject counts as acknowledged only after its `250` or `OK` was read.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use support::message::{assert_delivered, numbered};
use support::{Dice, Imap, Server, Smtp, USER};

const ROUNDS: usize = 20;
const SMTP_CLIENTS: usize = 24;
const IMAP_CLIENTS: usize = 8;
const SENDER: &str = "sender@client.example";

/// What the clients report: a subject before it is sent, and again when it is acknowledged.
enum Event {
    Sent(String),
    Acknowledged(String),
}

/// Lines of a message's text, from its subject: mostly few, and now and then so many that it is longer than what travels in
/// the log (256 KiB) and becomes a body file.
fn lines_of(subject: &str) -> usize {
    let sum = subject.bytes().fold(7u64, |sum, octet| sum.wrapping_mul(131).wrapping_add(u64::from(octet)));
    [1, 3, 10, 30, 100, 2_000, 5_000][(sum >> 3) as usize % 7]
}

fn expected(subject: &str) -> Vec<u8> {
    numbered(subject, lines_of(subject))
}

fn deliver(port: u16, name: &str, events: &mpsc::Sender<Event>) -> std::io::Result<()> {
    let mut smtp = Smtp::connect(port)?;
    smtp.attempt("EHLO client.example")?;
    for number in 0.. {
        let subject = format!("smtp-{name}-{number}");
        events.send(Event::Sent(subject.clone())).expect("the test listens");
        let reply = smtp.send(SENDER, USER, &expected(&subject))?;
        assert_eq!(reply.code, 250, "{subject}: {}", reply.shown());
        events.send(Event::Acknowledged(subject)).expect("the test listens");
    }
    Ok(())
}

fn append(port: u16, password: &str, name: &str, events: &mpsc::Sender<Event>) -> std::io::Result<()> {
    let mut imap = Imap::connect(port)?;
    imap.attempt(&format!("LOGIN {USER} \"{password}\""))?;
    for number in 0.. {
        let subject = format!("append-{name}-{number}");
        events.send(Event::Sent(subject.clone())).expect("the test listens");
        let reply = imap.attempt_append("INBOX", &expected(&subject))?;
        assert_eq!(reply.status, "OK", "{subject}: {}", reply.text);
        events.send(Event::Acknowledged(subject)).expect("the test listens");
    }
    Ok(())
}

/// Starts all clients; they end when the server does. Their assertions come back through their handles.
fn start_clients(server: &Server, round: usize) -> (Vec<thread::JoinHandle<()>>, mpsc::Receiver<Event>) {
    let (sender, events) = mpsc::channel();
    let (smtp, imap, password) = (server.port(25), server.port(143), server.password());
    let mut clients = Vec::new();
    for client in 0..SMTP_CLIENTS + IMAP_CLIENTS {
        let (sender, password, name) = (sender.clone(), password.clone(), format!("{round}-{client}"));
        clients.push(thread::spawn(move || {
            // An error of the connection is the kill; a refusal is a failure and panics.
            let _ = match client {
                0..SMTP_CLIENTS => deliver(smtp, &name, &sender),
                _ => append(imap, &password, &name, &sender),
            };
        }));
    }
    (clients, events)
}

/// What has been found so far: subjects by UID, and the highest UID.
#[derive(Default)]
struct Seen {
    subjects: BTreeMap<u64, String>,
    uid_validity: Option<u64>,
}

impl Seen {
    /// Reads the whole list and every new message's text.
    fn look(&mut self, server: &Server, sent: &HashMap<String, bool>) {
        let mut imap = server.login();
        let reply = imap.ok("SELECT INBOX");
        let validity = reply.code("UIDVALIDITY").expect("UIDVALIDITY");
        assert_eq!(*self.uid_validity.get_or_insert(validity), validity, "UIDVALIDITY changed");
        let exists = reply.exists().expect("EXISTS") as usize;
        let next = reply.code("UIDNEXT").expect("UIDNEXT");

        let list = if exists == 0 { Vec::new() } else { imap.ok("FETCH 1:* (UID RFC822.SIZE)").fetched() };
        assert_eq!(list.len(), exists, "FETCH 1:* against EXISTS");
        let uids: Vec<u64> = list.iter().map(|message| message.count("UID")).collect();
        assert!(uids.windows(2).all(|pair| pair[0] < pair[1]), "UIDs don't ascend: {uids:?}");
        assert!(uids.last().is_none_or(|&last| last < next), "UIDNEXT {next} is not over {:?}", uids.last());
        let before: Vec<u64> = self.subjects.keys().copied().collect();
        assert_eq!(uids[..before.len().min(uids.len())], before, "messages that were there have gone or moved");

        for &uid in &uids[before.len()..] {
            let text = imap.text(uid);
            let subject = subject_of(&text);
            assert!(sent.contains_key(&subject), "UID {uid} was never sent: {subject:?}");
            if subject.starts_with("smtp-") {
                assert_delivered(&text, &expected(&subject), SENDER);
            } else {
                assert!(text == expected(&subject), "UID {uid} is not what was appended as {subject}");
            }
            self.subjects.insert(uid, subject);
        }
    }

    /// Every acknowledged subject exactly once, every other at most once.
    fn compare(&self, sent: &HashMap<String, bool>) {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for subject in self.subjects.values() {
            *counts.entry(subject).or_default() += 1;
        }
        for (subject, &acknowledged) in sent {
            match counts.get(subject.as_str()).copied().unwrap_or(0) {
                0 => assert!(!acknowledged, "{subject} was acknowledged and is lost"),
                1 => {}
                count => panic!("{subject} is there {count} times"),
            }
        }
    }
}

fn subject_of(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.split("\r\n").find_map(|line| line.strip_prefix("Subject: "));
    line.unwrap_or_else(|| panic!("no Subject in {:?}", &text[..text.len().min(300)])).to_owned()
}

#[test]
fn killed_twenty_times_amid_deliveries() {
    let seed = 20_251_121;
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let mut server = Server::start("crash");
    let mut sent: HashMap<String, bool> = HashMap::new();
    let mut seen = Seen::default();
    let begin = Instant::now();
    let mut slowest_start = Duration::ZERO;
    for round in 0..ROUNDS {
        let (clients, events) = start_clients(&server, round);
        // Some rounds are cut right after the first acknowledgement, some well into the stream.
        let mut kill_at = None;
        let work = Duration::from_millis(dice.below(400));
        loop {
            match events.recv_timeout(Duration::from_millis(5)) {
                Ok(Event::Sent(subject)) => assert_eq!(sent.insert(subject, false), None, "a subject twice"),
                Ok(Event::Acknowledged(subject)) => {
                    sent.insert(subject, true);
                    kill_at.get_or_insert(Instant::now() + work);
                }
                Err(_) => {}
            }
            if kill_at.is_some_and(|at| Instant::now() >= at) {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(120), "nothing is acknowledged in round {round}");
        }
        server.kill();
        for client in clients {
            client.join().expect("a client was refused");
        }
        // What was acknowledged before the kill and read after it counts as well.
        for event in events.try_iter() {
            match event {
                Event::Sent(subject) => sent.insert(subject, false),
                Event::Acknowledged(subject) => sent.insert(subject, true),
            };
        }
        server.run();
        slowest_start = slowest_start.max(server.start_time);
        seen.look(&server, &sent);
        seen.compare(&sent);
    }
    // Once more in order: a graceful stop changes nothing either.
    server.restart();
    seen.look(&server, &sent);
    seen.compare(&sent);
    server.assert_alive();
    let acknowledged = sent.values().filter(|&&acknowledged| acknowledged).count();
    println!(
        "{ROUNDS} kills in {:?}: {} messages sent, {acknowledged} acknowledged, {} there, {} of them unacknowledged; \
         slowest start {slowest_start:?}",
        begin.elapsed(),
        sent.len(),
        seen.subjects.len(),
        seen.subjects.len() - acknowledged,
    );
    assert!(acknowledged > ROUNDS * 10, "too little was delivered to mean anything: {acknowledged}");
}

/// How often the load's server is killed, where RINGPOST_KILLS says nothing; `tests/kill-loop` says more.
const LOAD_KILLS: u64 = 8;
/// As many as the scenario has.
const LOAD_USERS: usize = 8;
const LOAD_PASSWORD: &str = "kept over a kill";
/// How long a load may take until its first change is acknowledged, on a machine that is busy with other tests.
const LOAD_BEGIN_MAX: Duration = Duration::from_secs(60);
/// Far longer than until the kill.
const LOAD_SECONDS: &str = "600";

/// The load generator with its 64 sessions, which writes down what the server promises.
struct Load {
    folder: PathBuf,
    base: u16,
    seed: u64,
}

impl Load {
    fn new(server: &Server, seed: u64) -> Load {
        for number in 1..=LOAD_USERS {
            server.add_user(&format!("u{number}@localhost"), LOAD_PASSWORD);
        }
        let load = Load { folder: server.scratch().path().to_owned(), base: server.base(), seed };
        std::fs::write(load.file("password"), LOAD_PASSWORD).expect("a scratch file");
        std::fs::write(load.file("journal"), "").expect("a scratch file");
        load
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// `loadgen` beside the server's binary, with the journal and the password.
    fn command(&self, words: &[&str]) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_ringpost")).with_file_name("loadgen");
        assert!(program.exists(), "{} is not there: cargo build --workspace", program.display());
        let mut command = Command::new(program);
        command.args(words).arg("--journal").arg(self.file("journal"));
        command.arg("--password-file").arg(self.file("password")).stdin(Stdio::null());
        command
    }

    /// Goes on with the journal until it is killed.
    fn start(&self, round: u64) -> Child {
        let (base, users) = (self.base.to_string(), LOAD_USERS.to_string());
        let log = std::fs::File::create(self.file("loadgen.log")).expect("a scratch file");
        let mut command = self.command(&["run", "scenario", "outage", "--host", "127.0.0.1", "--port-base", &base]);
        command.args(["--user-pattern", "u%d@localhost", "--users", &users, "--seconds", LOAD_SECONDS]);
        command.args(["--resume-journal", "--seed", &(self.seed + round).to_string()]);
        command.stdout(Stdio::null()).stderr(log).spawn().expect("loadgen starts")
    }

    fn verify(&self) -> Output {
        let address = format!("127.0.0.1:{}", self.base + 143);
        self.command(&["verify", "--address", &address]).output().expect("loadgen starts")
    }

    /// Changes that were asked for, and that were acknowledged, in all rounds.
    fn counts(&self) -> (usize, usize) {
        let journal = std::fs::read_to_string(self.file("journal")).expect("the journal");
        let changes = journal.lines().filter(|line| !line.contains("\"seen\""));
        let (begun, others): (Vec<&str>, Vec<&str>) = changes.partition(|line| line.starts_with("{\"begin\""));
        (begun.len(), others.iter().filter(|line| line.starts_with("{\"done\"")).count())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.file("loadgen.log")).unwrap_or_default()
    }
}

/// Sixty-four sessions append, flag, copy, move, delete, deliver and collect until the kill: what was acknowledged in any
/// round is there exactly once, with its flags, and what was removed stays away.
#[test]
fn killed_amid_a_load_of_all_protocols() {
    let kills =
        std::env::var("RINGPOST_KILLS").map_or(LOAD_KILLS, |text| text.parse().expect("RINGPOST_KILLS: a number"));
    let mut dice = Dice::new(u64::from(std::process::id()));
    let mut server = Server::start("crash-load");
    let load = Load::new(&server, u64::from(std::process::id()));
    println!("seed {}", load.seed);
    let begin = Instant::now();
    for round in 1..=kills {
        let before = load.counts();
        let mut client = load.start(round);
        let started = Instant::now();
        while load.counts().1 == before.1 {
            assert!(started.elapsed() < LOAD_BEGIN_MAX, "nothing is acknowledged in round {round}: {}", load.log());
            thread::sleep(Duration::from_millis(20));
        }
        let work = Duration::from_millis(dice.below(2500));
        thread::sleep(work);
        let ended = client.try_wait().expect("a child of ours");
        server.kill();
        let _ = client.kill();
        client.wait().expect("a child of ours");
        assert_eq!(ended, None, "the load ended before the kill of round {round}: {}", load.log());
        server.run();
        let (sent, acknowledged) = load.counts();
        let output = load.verify();
        let [told, wrong] =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).trim().to_owned());
        println!(
            "kill {round}: {work:?}, {} changes sent, {} acknowledged, start {:?}; {told}",
            sent - before.0,
            acknowledged - before.1,
            server.start_time
        );
        assert!(output.status.success(), "behind kill {round}: {wrong}");
    }
    server.assert_alive();
    let (sent, acknowledged) = load.counts();
    println!(
        "{kills} kills in {:?}: {sent} changes sent, {acknowledged} acknowledged, all of them kept",
        begin.elapsed()
    );
    assert!(acknowledged as u64 > kills * 20, "too little was done to mean anything: {acknowledged}");
}

/// A flag and an expunge that were acknowledged outlive the kill as well, and a UID is never given twice.
#[test]
fn killed_after_flags_and_expunges() {
    let mut server = Server::start("crash-flags");
    let mut imap = server.login();
    for number in 0..10 {
        imap.append("INBOX", &numbered(&format!("kept-{number}"), 2));
    }
    let validity = imap.ok("SELECT INBOX").code("UIDVALIDITY");
    imap.ok(r"STORE 1:5 +FLAGS (\Seen keyword)");
    imap.ok(r"STORE 9:10 +FLAGS (\Deleted)");
    imap.ok("EXPUNGE");
    imap.ok("CREATE Kept/Below");
    server.kill();
    server.run();
    let mut imap = server.login();
    let reply = imap.ok("SELECT INBOX");
    assert_eq!((reply.exists(), reply.code("UIDVALIDITY")), (Some(8), validity));
    assert_eq!(reply.code("UIDNEXT"), Some(11), "the UIDs of expunged messages must not come back");
    assert_eq!(imap.ok("SEARCH SEEN KEYWORD keyword").found(), [1, 2, 3, 4, 5]);
    imap.ok("SELECT Kept/Below");
    imap.append("INBOX", &numbered("after", 1));
    imap.ok("SELECT INBOX");
    assert_eq!(imap.last_uid(), 11);
}

/// What `tests/power-cut` relies on: its disk keeps what was flushed, and loses of the rest what the seed says.
#[test]
fn the_disk_of_the_power_cut_loses_what_was_not_flushed() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power_cut/test_disk.py");
    let output = Command::new("python3").arg("-B").arg(script).stdin(Stdio::null()).output().expect("python3");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.contains("\nOK"), "{told}");
    assert!(!told.contains("Ran 0 tests"), "{told}");
}
