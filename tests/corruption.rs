//! Sealed files that are damaged under a running server, and found damaged at its start: the list of attacks, 43.
//!
//! Whatever becomes of one account's files, its sessions get a clear answer or a closed connection and never anything else
//! than its mail, the file is put aside by name where it can't be read any more, the process lives, and the other account
//! notices nothing.

#[path = "support/mod.rs"]
mod support;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::message::numbered;
use support::{Imap, Pop3, Server, USER, eventually, show};

const OTHER: &str = "b@localhost";
const DAMAGED: &str = "NO [CORRUPTION] ";
/// Subjects of the messages and their lines: one that is copied into the answer, one that is lent to the kernel, and one that
/// has a file of its own.
const MESSAGES: [(&str, usize); 3] = [("short", 20), ("medium", 700), ("long", 8_000)];

/// Files below a folder, those in folders in it as well.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("it can be listed").path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

fn bytes_of(path: &Path) -> u64 {
    path.metadata().expect("a file").len()
}

/// A server with mail of two accounts, all sealed, which nobody has opened since it started.
fn sealed(name: &str, messages: &[(&str, usize)]) -> Server {
    let mut server = Server::start(name);
    for user in [USER, OTHER] {
        let mut imap = login(&server, user);
        imap.ok("CREATE other");
        for (subject, lines) in messages {
            imap.append("INBOX", &numbered(&of(user, subject), *lines));
        }
    }
    server.restart();
    let accounts = server.data().join("accounts");
    eventually("both accounts are sealed", Duration::from_secs(20), || {
        let manifests = files_in(&accounts).iter().filter(|path| path.ends_with("MANIFEST")).count();
        (manifests == 2).then_some(())
    });
    server.restart();
    server
}

/// A subject that says whose it is.
fn of(user: &str, subject: &str) -> String {
    format!("{subject}-of-{}", &user[..1])
}

fn login(server: &Server, user: &str) -> Imap {
    let mut imap = server.imap();
    imap.login(user, &server.password_of(user));
    imap
}

fn has(path: &Path, text: &[u8]) -> bool {
    let octets = std::fs::read(path).expect("a file");
    octets.windows(text.len()).any(|window| window == text)
}

/// The sealed files of the first account: that of its records, and the others, bodies.
fn files_of_a(server: &Server) -> (PathBuf, Vec<PathBuf>) {
    let mut files = files_in(&server.data().join("accounts"));
    files.retain(|path| !path.ends_with("MANIFEST") && has(path, of(USER, "").as_bytes()));
    let account = files.iter().position(|path| has(path, of(USER, "short").as_bytes())).expect("a file with its mail");
    (files.remove(account), files)
}

fn aside(path: &Path) -> PathBuf {
    path.with_added_extension("corrupt")
}

fn cut(path: &Path, bytes: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("a sealed file");
    file.set_len(bytes).expect("it is cut");
}

/// The other account reads all that it has, by both protocols.
fn assert_unharmed(server: &mut Server, messages: &[(&str, usize)]) {
    server.assert_alive();
    let mut imap = login(server, OTHER);
    imap.ok("SELECT INBOX");
    for (index, (subject, lines)) in messages.iter().enumerate() {
        let fetched = imap.fetch_one(index + 1, "(ENVELOPE BODYSTRUCTURE BODY.PEEK[])");
        assert!(fetched.octets("BODY[]") == numbered(&of(OTHER, subject), *lines), "{subject}");
    }
    let all: Vec<u32> = (1..=messages.len() as u32).collect();
    assert_eq!(imap.ok("SEARCH TEXT compared").found(), all);
    imap.ok("LOGOUT");
    let mut pop3 = Pop3::connect(server.port(110)).expect("a POP3 connection");
    pop3.login(OTHER, &server.password_of(OTHER));
    for (index, (subject, lines)) in messages.iter().enumerate() {
        assert!(pop3.retr(index + 1) == numbered(&of(OTHER, subject), *lines), "{subject}");
    }
    pop3.quit();
}

/// Fetches messages of the first account. What is answered of them is theirs; the tagged answer, or `None` where the
/// connection was closed.
fn fetch(imap: &mut Imap, items: &str) -> Option<String> {
    let reply = imap.attempt(&format!("FETCH 1:* ({items})")).ok()?;
    for fetched in reply.fetched() {
        let (subject, lines) = MESSAGES[fetched.number as usize - 1];
        let message = numbered(&of(USER, subject), lines);
        for (item, value) in &fetched.items {
            let shown = format!("{value:?}");
            assert!(!shown.contains("\\0"), "{item} of {subject} has zeros: {}", show(shown.as_bytes()));
            if item == "BODY[]" {
                assert!(fetched.octets(item) == message, "{items}: {subject} is not what was sent");
            }
        }
    }
    Some(reply.shown())
}

/// Whether all of these messages come as they were sent.
fn fetch_whole(imap: &mut Imap, messages: std::ops::RangeInclusive<usize>) -> bool {
    messages.into_iter().all(|number| {
        let (subject, lines) = MESSAGES[number - 1];
        let fetched = imap.fetch_one(number, "(ENVELOPE BODYSTRUCTURE BODY.PEEK[])");
        fetched.octets("BODY[]") == numbered(&of(USER, subject), lines)
    })
}

/// The first account's messages once the file of its records can't be read: refused by every command that reads them.
fn assert_refused(server: &Server, imap: &mut Imap) {
    for items in
        ["BODY.PEEK[]", "ENVELOPE", "BODYSTRUCTURE", "BODY", "BODY.PEEK[HEADER.FIELDS (SUBJECT)] ENVELOPE", "RFC822"]
    {
        let answer = fetch(imap, items).unwrap_or_else(|| panic!("{items}: closed"));
        assert!(answer.starts_with(DAMAGED), "{items}: {answer}");
    }
    for key in ["TEXT compared", "SUBJECT short", "BODY compared", "HEADER To a", "SENTSINCE 1-Jan-2020"] {
        let reply = imap.answered(&format!("SEARCH {key}"), DAMAGED);
        assert_eq!(reply.found(), [0; 0], "{key}");
    }
    // What is in memory is told all the same.
    assert_eq!(imap.ok("FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE)").fetched().len(), MESSAGES.len());
    let mut pop3 = server.maildrop();
    for message in 1..=MESSAGES.len() {
        pop3.expect(&format!("RETR {message}"), "-ERR [SYS/PERM] ");
        pop3.expect(&format!("TOP {message} 1"), "-ERR [SYS/PERM] ");
    }
    assert_eq!(pop3.stat().0, MESSAGES.len() as u64);
    pop3.quit();
}

/// Cuts the file of the first account's records to so many of its octets, and looks at all that follows. With `changes` the
/// mailbox changes meanwhile.
fn cut_while_it_runs(server: &mut Server, bytes: impl Fn(u64) -> u64, (warm, changes): (bool, bool)) {
    let (file, _) = files_of_a(server);
    let pristine = std::fs::read(&file).expect("a sealed file");
    let mut imap = login(server, USER);
    imap.ok("SELECT INBOX");
    if warm {
        assert!(fetch_whole(&mut imap, 1..=3));
        assert_eq!(imap.ok("SEARCH TEXT compared").found(), [1, 2, 3]);
    }
    let before = server.log().len();
    cut(&file, bytes(pristine.len() as u64));
    assert_refused(server, &mut imap);
    assert!(aside(&file).exists() && !file.exists(), "it is put aside");
    let log = server.log().split_off(before);
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    let told = log.lines().filter(|line| line.contains(&name) && line.contains("put aside")).count();
    assert_eq!(told, 1, "{log}");
    if changes {
        // New mail still comes and is read, and what is known of messages changes.
        imap.ok("STORE 1 +FLAGS (\\Flagged)");
        imap.ok("COPY 1 other");
        imap.append("INBOX", &numbered("new", 30));
        assert!(imap.text(4) == numbered("new", 30));
    }
    assert_unharmed(server, &MESSAGES);
    // At a start the account can't be opened, and says so each time.
    for _ in 0..2 {
        server.restart();
        login(server, USER).answered("SELECT INBOX", DAMAGED);
        let mut pop3 = server.pop3();
        let answer = pop3.attempt_login(USER, &server.password()).expect("an answer");
        assert!(answer.starts_with("-ERR [SYS/PERM] "), "{answer}");
        assert_unharmed(server, &MESSAGES);
    }
    // An administrator who has the file puts it back.
    server.stop();
    std::fs::remove_file(aside(&file)).expect("the one that was put aside");
    std::fs::write(&file, pristine).expect("the whole one");
    server.run();
    let mut imap = login(server, USER);
    imap.ok("SELECT INBOX");
    assert!(fetch_whole(&mut imap, 1..=3));
    if changes {
        assert!(imap.text(4) == numbered("new", 30));
        assert!(imap.fetch_one(1, "(FLAGS)").flags().contains(&"\\Flagged".to_owned()));
        imap.ok("SELECT other");
        assert!(imap.text(1) == numbered(&of(USER, MESSAGES[0].0), MESSAGES[0].1));
    }
}

#[test]
fn a_file_that_is_cut_after_it_was_read() {
    let mut server = sealed("corruption-warm", &MESSAGES);
    cut_while_it_runs(&mut server, |_| 0, (true, false));
    // No page is gone as a whole.
    cut_while_it_runs(&mut server, |bytes| bytes - 1, (true, false));
    cut_while_it_runs(&mut server, |bytes| bytes / 2, (true, true));
}

#[test]
fn a_file_that_is_cut_before_it_was_read() {
    let mut server = sealed("corruption-cold", &MESSAGES);
    cut_while_it_runs(&mut server, |_| 0, (false, false));
    cut_while_it_runs(&mut server, |bytes| bytes - 70, (false, false));
    cut_while_it_runs(&mut server, |bytes| bytes / 2, (false, true));
}

/// What came of a message until the connection was closed: a part of it, and nothing else.
fn assert_begun(came: &[u8], message: &[u8], how: &str) {
    let octets = &came[came.iter().position(|&octet| octet == b'\n').expect("a first line") + 1..];
    assert!(octets.len() < message.len(), "{how}: all of {} octets came, and {} more", message.len(), octets.len());
    let same = octets.iter().zip(message).take_while(|(one, other)| one == other).count();
    assert_eq!(same, octets.len(), "{how}: other octets from {same} on: {}", show(&octets[same..]));
}

/// A long message that the client takes slowly, whose file is cut meanwhile: what can't be sent ends the connection.
#[test]
fn a_body_that_is_cut_while_it_is_sent() {
    const LINES: usize = 300_000;
    const BEGUN: usize = 200_000;
    let mut server = sealed("corruption-begun", &[("short", 20)]);
    let message = numbered("slow", LINES);
    login(&server, USER).append("INBOX", &message);
    let accounts = server.data().join("accounts");
    let body = files_in(&accounts).into_iter().max_by_key(|path| bytes_of(path)).expect("a body file");
    assert!(bytes_of(&body) > message.len() as u64);
    // Sealed as well: until then an open account holds the file.
    server.restart();
    eventually("it is sealed", Duration::from_secs(20), || {
        files_in(&accounts).iter().any(|path| *path != body && has(path, b"slow@client.example")).then_some(())
    });
    server.restart();
    let pristine = std::fs::read(&body).expect("a body file");
    for how in ["IMAP", "IMAP over TLS", "POP3"] {
        let port = server.port(if how == "IMAP" { 143 } else { 993 });
        let mut wire = if how == "POP3" {
            let mut pop3 = server.maildrop();
            pop3.wire.write(b"RETR 2\r\n").expect("the connection");
            pop3.wire
        } else {
            let connected = if how == "IMAP" { Imap::connect(port) } else { Imap::connect_tls(port) };
            let mut imap = connected.expect("an IMAP connection");
            imap.login(USER, &server.password());
            imap.ok("SELECT INBOX");
            imap.start(b"FETCH 2 BODY.PEEK[]").expect("the connection");
            imap.wire
        };
        let mut came = wire.exactly(BEGUN).expect("the beginning");
        cut(&body, if how == "IMAP" { 0 } else { bytes_of(&body) / 3 });
        while let Ok(more) = wire.exactly(1) {
            came.extend_from_slice(&more);
        }
        assert_begun(&came, &message, how);
        assert!(wire.is_closed(), "{how}: not closed");
        assert!(server.log().contains("the disk can't give all of it; "), "{how}: {}", server.log());
        // The next one is told, and from then on the file is aside.
        let mut imap = login(&server, USER);
        imap.ok("SELECT INBOX");
        imap.answered("FETCH 2 BODY.PEEK[]", DAMAGED);
        assert!(aside(&body).exists() && !body.exists(), "{how}");
        imap.ok("FETCH 1 BODY.PEEK[]");
        assert_unharmed(&mut server, &[("short", 20)]);
        std::fs::remove_file(aside(&body)).expect("the one that was put aside");
        std::fs::write(&body, &pristine).expect("the whole one");
        assert!(imap.text(2) == message, "{how}");
    }
}

/// Where one octet of each part of a sealed file lies, and whether the file is opened at all when it is wrong.
fn parts(octets: &[u8], subject: &str) -> Vec<(&'static str, usize, bool)> {
    let find = |text: &[u8], after: usize| {
        let found = octets[after..].windows(text.len()).position(|window| window == text);
        after + found.unwrap_or_else(|| panic!("no {}", show(text)))
    };
    let number = |at: usize| u64::from_le_bytes(octets[at..at + 8].try_into().expect("eight")) as usize;
    // FORMAT.md, "Sealed files".
    let footer = octets.len() - 64;
    let (index, table) = (number(footer), number(footer + 16));
    assert_eq!(&octets[footer + 48..footer + 56], b"RPFOOTER");
    let details = find(b"\"Fri, 21 Nov 2025", 64);
    let text = find(format!("subject: {subject}").as_bytes(), 64);
    let raw = find(format!("Subject: {subject}").as_bytes(), 64);
    assert!(details < text && text < raw && raw < index && index < table, "{details} {text} {raw} {index} {table}");
    // The index has blocks of its own, or what lies before it is checked with it.
    assert!(raw / 65_536 + 1 < index / 65_536, "{raw} {index}");
    vec![
        ("header", 20, false),
        ("record", 64 + 8, true),
        ("details", details + 3, true),
        ("text", text + 2, true),
        ("raw", raw + 2, true),
        ("index", (index + table) / 2, false),
        ("table", table + 1, false),
        ("footer", footer + 9, false),
    ]
}

/// Attack 43.
#[test]
fn flipped_bits_are_found_in_every_part() {
    let messages: Vec<(&str, usize)> =
        ["short", "one", "two", "three", "four", "five"].map(|subject| (subject, 900)).into();
    let mut server = sealed("corruption-bits", &messages);
    let (file, _) = files_of_a(&server);
    server.stop();
    let pristine = std::fs::read(&file).expect("a sealed file");
    for (part, at, opens) in parts(&pristine, &of(USER, "short")) {
        let mut octets = pristine.clone();
        octets[at] ^= 0x10;
        std::fs::write(&file, octets).expect("a sealed file");
        server.run();
        let mut imap = login(&server, USER);
        if opens {
            // What is whole of it stays readable, so the file stays; what isn't is refused by name.
            imap.ok("SELECT INBOX");
            let seen = match part {
                "text" => imap.answered("SEARCH TEXT compared", DAMAGED).found().len(),
                "raw" => imap.answered("FETCH 1:* BODY.PEEK[]", DAMAGED).fetched().len(),
                _ => imap.answered("FETCH 1:* (ENVELOPE BODYSTRUCTURE)", DAMAGED).fetched().len(),
            };
            assert!(seen < messages.len(), "{part}: {seen}");
            if part == "raw" {
                assert!(imap.text(6) == numbered(&of(USER, "five"), 900));
            }
            assert!(file.exists() && !aside(&file).exists(), "{part}");
        } else {
            imap.answered("SELECT INBOX", DAMAGED);
            assert!(aside(&file).exists() && !file.exists(), "{part}");
        }
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(server.log().lines().any(|line| line.contains(&name) && line.contains("is damaged at")), "{part}");
        assert_unharmed(&mut server, &messages);
        server.stop();
        let _ = std::fs::remove_file(aside(&file));
    }
    std::fs::write(&file, pristine).expect("a sealed file");
    server.run();
    let mut imap = login(&server, USER);
    imap.ok("SELECT INBOX");
    assert!(imap.text(1) == numbered(&of(USER, "short"), 900));
}
