//! A file system that fills up under the server (attack 42): what changes is refused, what is there stays and can be read, and
//! all is well again by itself when there is room.
//!
//! The data folder lies on an ext4 of its own, in a file through a loop device, which only root can mount: for others these
//! tests pass without having tested anything, and say so. Ballast beside the server's files takes what room there is.

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::message::{assert_delivered, numbered};
use support::server::Scratch;
use support::smtp::stuffed;
use support::{Imap, Server, Smtp, USER, eventually};

/// Room for the segments of a shard's log, a few checkpoints, and mail.
const VOLUME_BYTES: u64 = 200 << 20;
const SENDER: &str = "sender@client.example";
const OTHER: &str = "b@localhost";
/// How soon mail is taken again when there is room, counted from the first one that is offered.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(10);
/// More than a full log ever takes: all of its segments in messages of this size.
const APPENDS_MAX: usize = 1000;
/// Lines of a message that travels in the log: 100 KB.
const LINES: usize = 1_500;
/// Lines of one that is longer than that, and becomes a file.
const LINES_OF_FILE: usize = 6_000;

/// A file system of limited size, mounted until it is dropped.
struct Volume {
    scratch: Scratch,
}

impl Volume {
    /// One, where the test is root.
    fn mount(name: &str) -> Option<Volume> {
        Volume::mount_with(name, |scratch| scratch.path().to_owned())
    }

    /// One whose image lies in the folder that `place` gives.
    fn mount_with(name: &str, place: impl FnOnce(&Scratch) -> PathBuf) -> Option<Volume> {
        // SAFETY: geteuid only reads.
        if unsafe { libc::geteuid() } != 0 {
            println!("passed over: only root can mount a file system");
            return None;
        }
        let scratch = Scratch::new(name);
        let image = place(&scratch).join("image");
        File::create(&image).and_then(|file| file.set_len(VOLUME_BYTES)).expect("the image");
        // Nothing is kept for root, which the server is here.
        run("mkfs.ext4", &["-q", "-F", "-m", "0", &text(&image)]);
        fs::create_dir(scratch.join("mounted")).expect("a folder to mount it on");
        run("mount", &["-o", "loop", &text(&image), &text(&scratch.join("mounted"))]);
        Some(Volume { scratch })
    }

    fn path(&self) -> PathBuf {
        self.scratch.join("mounted")
    }

    /// Takes all room that there is, to the last block.
    fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.path().join("ballast")).expect("ballast");
        for bytes in [1 << 20, 4096] {
            let octets = vec![1; bytes];
            while ballast.write_all(&octets).and_then(|()| ballast.sync_data()).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.path().join("ballast")).expect("the ballast");
        run("sync", &["-f", &text(&self.path())]);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        unmount(&self.path());
    }
}

/// A memory of limited size for an image, unmounted after it.
struct Memory(PathBuf);

impl Drop for Memory {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

fn unmount(path: &Path) {
    // The kernel closes a killed server's files a moment after its end.
    for _ in 0..100 {
        let unmounted = Command::new("umount").arg(path).stderr(Stdio::null()).status();
        if unmounted.is_ok_and(|status| status.success()) {
            return;
        }
        sleep(Duration::from_millis(100));
    }
    eprintln!("still mounted: {}", path.display());
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn run(program: &str, arguments: &[&str]) {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

fn lines_of(subject: &str) -> usize {
    match subject.split_once('-').expect("a kind and a number").0 {
        "small" => 2,
        "file" => LINES_OF_FILE,
        _ => LINES,
    }
}

fn expected(subject: &str) -> Vec<u8> {
    numbered(subject, lines_of(subject))
}

/// What was acknowledged: subjects by mailbox, in the order of their UIDs.
#[derive(Default)]
struct Kept(BTreeMap<&'static str, Vec<String>>);

impl Kept {
    fn note(&mut self, mailbox: &'static str, subject: &str) {
        self.0.entry(mailbox).or_default().push(subject.to_owned());
    }

    /// All of it is there, octet for octet, and nothing else.
    fn check(&self, imap: &mut Imap) {
        for (mailbox, subjects) in &self.0 {
            let exists = imap.ok(&format!("EXAMINE {mailbox}")).exists().expect("EXISTS") as usize;
            assert_eq!(exists, subjects.len(), "messages in {mailbox}");
            for (number, subject) in subjects.iter().enumerate() {
                let fetched = imap.ok(&format!("FETCH {} (BODY.PEEK[])", number + 1)).fetched();
                let found = fetched[0].octets("BODY[]");
                if found.starts_with(b"Return-Path: ") {
                    assert_delivered(found, &expected(subject), SENDER);
                } else {
                    assert!(found == expected(subject), "{subject} in {mailbox} is not what was appended");
                }
            }
        }
    }
}

/// Appends until there is no room even for the smallest change.
fn append_until_full(imap: &mut Imap, kept: &mut Kept) -> usize {
    let mut count = 0;
    for kind in ["log", "small"] {
        loop {
            let subject = format!("{kind}-filling-{count}");
            let reply = imap.attempt_append("INBOX", &expected(&subject)).expect("the connection holds");
            if reply.status != "OK" {
                assert!(reply.shown().starts_with("NO [OVERQUOTA] "), "{}", reply.shown());
                break;
            }
            kept.note("INBOX", &subject);
            count += 1;
            assert!(count < APPENDS_MAX, "it is never full");
        }
    }
    imap.ok("SELECT INBOX");
    loop {
        let reply =
            imap.command(&format!(r"STORE 1 {}FLAGS.SILENT (\Answered)", if count % 2 == 0 { '+' } else { '-' }));
        if reply.status != "OK" {
            assert!(reply.shown().starts_with("NO [OVERQUOTA] "), "{}", reply.shown());
            return count;
        }
        count += 1;
        assert!(count < 100 * APPENDS_MAX, "it is never full");
    }
}

/// Every change is refused for the time being, in the protocol's words, and the session goes on.
fn assert_refused(server: &Server) {
    let mut imap = server.login();
    imap.ok("SELECT INBOX");
    for command in [
        r"STORE 1 +FLAGS (\Flagged)",
        "COPY 1 Kept",
        "MOVE 1 Kept",
        "CREATE New",
        "RENAME Kept Other",
        "DELETE Empty",
        "SUBSCRIBE Empty",
    ] {
        imap.answered(command, "NO [OVERQUOTA] ");
    }
    for subject in ["small-refused", "log-refused", "file-refused"] {
        let reply = imap.attempt_append("INBOX", &expected(subject)).expect("the connection holds");
        assert!(reply.shown().starts_with("NO [OVERQUOTA] "), "{subject}: {}", reply.shown());
    }
    imap.answered("STATUS New (MESSAGES)", "NO");
    imap.ok("STATUS Kept (MESSAGES)");
    imap.ok("STATUS Empty (MESSAGES)");

    let mut smtp = server.smtp();
    for subject in ["small-refused", "file-refused"] {
        let reply = smtp.send(SENDER, USER, &expected(subject)).expect("the connection holds");
        assert!(reply.shown().starts_with("452 4.3.1 "), "{subject}: {}", reply.shown());
    }
    let message = expected("small-refused");
    smtp.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    smtp.expect(&format!("RCPT TO:<{USER}>"), "250");
    smtp.wire.write(&[format!("BDAT {} LAST\r\n", message.len()).as_bytes(), &message].concat()).expect("written");
    smtp.due("452 4.3.1 ");
    smtp.expect("NOOP", "250");

    let mut lmtp = Smtp::connect(server.port(24)).expect("an LMTP connection");
    lmtp.expect("LHLO client.example", "250");
    lmtp.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    for to in [USER, OTHER] {
        lmtp.expect(&format!("RCPT TO:<{to}>"), "250");
    }
    lmtp.expect("DATA", "354");
    lmtp.wire.write(&stuffed(&message)).expect("written");
    lmtp.due("452 4.3.1 ");
    lmtp.due("452 4.3.1 ");
}

/// RFC 1939 §6: where messages can't be removed QUIT says so, and none of them is gone.
fn assert_maildrop_stays(server: &Server) {
    let mut pop3 = server.maildrop();
    pop3.ok("DELE 1");
    pop3.ok("DELE 2");
    pop3.err("QUIT");
}

fn first_mail(server: &Server, kept: &mut Kept) {
    let mut imap = server.login();
    for name in ["Kept", "Empty"] {
        imap.ok(&format!("CREATE {name}"));
    }
    let mut smtp = server.smtp();
    for number in 0..3 {
        for kind in ["small", "log", "file"] {
            let subject = format!("{kind}-first-{number}");
            smtp.deliver(USER, &expected(&subject));
            kept.note("INBOX", &subject);
            imap.append("Kept", &expected(&subject));
            kept.note("Kept", &subject);
        }
    }
    imap.ok("SELECT INBOX");
    imap.ok(r"STORE 2:3 +FLAGS (\Seen keyword)");
}

fn assert_flags(imap: &mut Imap) {
    imap.ok("EXAMINE INBOX");
    assert_eq!(imap.ok("SEARCH SEEN KEYWORD keyword").found(), [2, 3]);
    assert_eq!(imap.ok("SEARCH FLAGGED").found(), [0; 0]);
}

#[test]
fn nothing_is_lost_when_there_is_no_room() {
    let Some(volume) = Volume::mount("full") else { return };
    let mut server = Server::start_in("full-server", &["--cpus", "0"], &volume.path());
    let mut kept = Kept::default();
    first_mail(&server, &mut kept);
    volume.fill();
    let changes = append_until_full(&mut server.login(), &mut kept);
    println!("full after {changes} changes");
    assert_refused(&server);
    assert_maildrop_stays(&server);
    kept.check(&mut server.login());
    assert_flags(&mut server.login());
    server.assert_alive();

    // A crash does not make it worse: what is there can be read.
    server.kill();
    volume.fill();
    server.run();
    assert_refused(&server);
    kept.check(&mut server.login());
    assert_flags(&mut server.login());

    // Room comes back, and nobody tells the server.
    volume.make_room();
    let begin = Instant::now();
    let mut imap = server.login();
    eventually("an APPEND is taken again", RECOVERY_TIME_MAX, || {
        let reply = imap.attempt_append("INBOX", &expected("log-again")).expect("the connection holds");
        assert!(reply.status == "OK" || reply.shown().starts_with("NO [OVERQUOTA] "), "{}", reply.shown());
        (reply.status == "OK").then_some(())
    });
    println!("taken again after {:?}", begin.elapsed());
    kept.note("INBOX", "log-again");
    let mut smtp = server.smtp();
    for subject in ["small-again", "file-again"] {
        smtp.deliver(USER, &expected(subject));
        kept.note("INBOX", subject);
    }
    kept.check(&mut server.login());
    server.restart();
    kept.check(&mut server.login());
    assert_flags(&mut server.login());
    server.assert_alive();
}

/// Whether a change is kept whose sync failed nobody knows, so it is neither OK nor NO: the server ends without a word.
#[test]
fn what_could_not_be_synced_is_not_answered() {
    let below = Scratch::new("failing-below");
    let memory = Memory(below.join("memory"));
    let Some(volume) = Volume::mount_with("failing", |_| {
        fs::create_dir(&memory.0).expect("a folder to mount it on");
        run("mount", &["-t", "tmpfs", "-o", "size=128m", "tmpfs", &text(&memory.0)]);
        memory.0.clone()
    }) else {
        return;
    };
    let mut server = Server::start_in("failing-server", &["--cpus", "0"], &volume.path());
    let mut imap = server.login();
    imap.append("INBOX", &expected("small-first"));
    run("sync", &["-f", &text(&volume.path())]);
    // The disk below loses its blocks and gets no new ones: each write to it fails.
    run("fallocate", &["--punch-hole", "--offset", "0", "--length", "200MiB", &text(&memory.0.join("image"))]);
    let mut ballast = File::create(memory.0.join("ballast")).expect("ballast");
    let octets = vec![1; 4096];
    while ballast.write_all(&octets).is_ok() {}
    let answer = imap.attempt_append("INBOX", &expected("small-unsynced"));
    assert!(answer.is_err(), "it was answered: {answer:?}");
    assert_eq!(server.end().code(), Some(1));
    assert!(server.log().contains("the commit log failed"), "{}", server.log());
}
