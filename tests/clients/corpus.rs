//! The corpus through the whole server: in by SMTP and by APPEND, out by FETCH, octet for octet, before and after a restart.
//!
//! The messages are those of tests/corpus/make.py, and those of the folder that RINGPOST_CORPUS names, where it does.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::programs::run;
use crate::support::message::assert_delivered;
use crate::support::server::Scratch;
use crate::support::structure::{check_bodystructure, check_envelope};
use crate::support::{Imap, Server, USER, show};

/// Sections that one FETCH asks for, well under any server's limit.
const SECTIONS_A_FETCH: usize = 32;
/// How long any one message may take the server: 30 MB in a debug build.
const MESSAGE_TIME_MAX: Duration = Duration::from_secs(30);

struct Specimen {
    name: String,
    octets: Vec<u8>,
}

impl Specimen {
    /// SMTP carries whole lines.
    fn fits_smtp(&self) -> bool {
        self.octets.is_empty() || self.octets.ends_with(b"\r\n")
    }
}

fn made(scratch: &Scratch) -> Vec<Specimen> {
    let folder = scratch.join("corpus");
    fs::create_dir(&folder).expect("a folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/make.py");
    let count = run("python3", &[&script.display().to_string(), &folder.display().to_string()]);
    let mut specimens = Vec::new();
    read(&folder, &mut specimens);
    assert_eq!(format!("{}\n", specimens.len()).as_bytes(), count);
    specimens
}

fn read(folder: &Path, specimens: &mut Vec<Specimen>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read(&path, specimens);
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            let octets = crlf(&fs::read(&path).expect("a file"));
            if !octets.contains(&0) {
                specimens.push(Specimen { name: path.display().to_string(), octets });
            }
        }
    }
}

/// Line ends of every kind as CRLF.
fn crlf(octets: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(octets.len() + octets.len() / 32);
    let mut before = 0;
    for &octet in octets {
        match octet {
            b'\n' if before == b'\r' => {}
            b'\r' | b'\n' => lines.extend_from_slice(b"\r\n"),
            _ => lines.push(octet),
        }
        before = octet;
    }
    lines
}

/// Everything that is promised of one stored message; gives its text.
fn examine(imap: &mut Imap, uid: usize, name: &str) -> Vec<u8> {
    let fetched =
        imap.fetch_one(uid, "(UID RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[])");
    assert_eq!(fetched.count("UID"), uid as u64, "{name}");
    let text = fetched.octets("BODY[]").to_vec();
    assert_eq!(fetched.count("RFC822.SIZE"), text.len() as u64, "{name}: RFC822.SIZE");
    let (header, body) = (fetched.octets("BODY[HEADER]"), fetched.octets("BODY[TEXT]"));
    assert!(text.starts_with(header) && text[header.len()..] == *body, "{name}: HEADER and TEXT are not the message");
    check_envelope(fetched.value("ENVELOPE").expect("ENVELOPE")).unwrap_or_else(|error| panic!("{name}: {error}"));
    let parts = check_bodystructure(fetched.value("BODYSTRUCTURE").expect("BODYSTRUCTURE"));
    let parts = parts.unwrap_or_else(|error| panic!("{name}: {error}"));
    for group in parts.chunks(SECTIONS_A_FETCH) {
        let items: Vec<String> = group.iter().map(|part| format!("BODY.PEEK[{}]", part.section)).collect();
        let fetched = imap.fetch_one(uid, &format!("({})", items.join(" ")));
        for part in group {
            let octets = fetched.octets(&format!("BODY[{}]", part.section));
            let length = octets.len() as u64;
            let section = &part.section;
            assert_eq!(length, part.octets.unwrap_or(length), "{name}: octets of part {section}: {}", show(octets));
            assert!(
                octets.is_empty() || memchr::memmem::find(&text, octets).is_some(),
                "{name}: part {section} is not in it"
            );
            if let Some(lines) = part.lines {
                let ends = memchr::memchr_iter(b'\n', octets).count() as u64;
                assert!((ends..=ends + 1).contains(&lines), "{name}: part {section} has {ends} lines, not {lines}");
            }
        }
    }
    let (at, count) = (text.len() / 3, 100);
    let partial = imap.fetch_one(uid, &format!("(BODY.PEEK[]<{at}.{count}>)"));
    let partial = partial.octets(&format!("BODY[]<{at}>"));
    assert_eq!(partial, &text[at..(at + count).min(text.len())], "{name}: a part of the text");
    text
}

fn examine_all(server: &Server, specimens: &[Specimen]) {
    let mut imap = server.select("Appended");
    imap.wire.set_patience(MESSAGE_TIME_MAX);
    for (number, specimen) in specimens.iter().enumerate() {
        let text = examine(&mut imap, number + 1, &specimen.name);
        assert!(text == specimen.octets, "{}: not what was appended: {}", specimen.name, show(&text));
    }
    imap.ok("SELECT INBOX");
    for (number, specimen) in specimens.iter().filter(|specimen| specimen.fits_smtp()).enumerate() {
        let text = examine(&mut imap, number + 1, &specimen.name);
        assert_delivered(&text, &specimen.octets, "sender@client.example");
    }
}

#[test]
fn the_corpus_comes_back_unchanged() {
    let mut server = Server::start("corpus");
    let mut specimens = made(server.scratch());
    if let Some(folder) = std::env::var_os("RINGPOST_CORPUS") {
        let count = specimens.len();
        read(Path::new(&folder), &mut specimens);
        assert!(specimens.len() > count, "no message in {}", folder.display());
    }
    let mut imap = server.login();
    imap.ok("CREATE Appended");
    imap.wire.set_patience(MESSAGE_TIME_MAX);
    let mut smtp = server.smtp();
    smtp.wire.set_patience(MESSAGE_TIME_MAX);
    let begin = Instant::now();
    for specimen in &specimens {
        let reply = imap.attempt_append("Appended", &specimen.octets);
        let reply = reply.unwrap_or_else(|error| panic!("{}: APPEND: {error}", specimen.name));
        assert_eq!(reply.status, "OK", "{}: APPEND: {}", specimen.name, reply.text);
        if specimen.fits_smtp() {
            let reply = smtp.send("sender@client.example", USER, &specimen.octets);
            let reply = reply.unwrap_or_else(|error| panic!("{}: SMTP: {error}", specimen.name));
            assert_eq!(reply.code, 250, "{}: SMTP: {}", specimen.name, reply.shown());
        }
    }
    let octets: usize = specimens.iter().map(|specimen| specimen.octets.len()).sum();
    println!("{} messages, {octets} octets, stored twice in {:?}", specimens.len(), begin.elapsed());
    examine_all(&server, &specimens);
    server.restart();
    examine_all(&server, &specimens);
    println!("read back before and after a restart, {:?} in all", begin.elapsed());
    server.assert_alive();
}
