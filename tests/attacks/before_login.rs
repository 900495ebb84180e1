//! Attacks on IMAP and on authentication by somebody whom nobody knows yet.

use std::time::{Duration, Instant};

use crate::support::smtp::{base64, plain};
use crate::support::{Imap, Server, USER, Wire, show};

/// Writes what the server may cut off, and reads what it said until it was done or closed.
fn said(wire: &mut Wire, octets: &[u8]) -> Vec<u8> {
    let _ = wire.write(octets);
    wire.within(Duration::from_millis(300))
}

/// The first tagged status or BYE in what was said.
fn refusal(text: &[u8], tag: &str) -> String {
    let text = String::from_utf8_lossy(text);
    let refused = |line: &&str| {
        line.starts_with(&format!("{tag} NO")) || line.starts_with(&format!("{tag} BAD")) || line.starts_with("* BYE")
    };
    text.lines().find(refused).unwrap_or_else(|| panic!("no refusal in {text:?}")).to_owned()
}

#[test]
fn attack_18_literals() {
    let mut server = Server::start("attack-18");
    server.login(); // one password hash takes 19 MiB for a moment
    let before = server.memory_kib();
    for size in ["4294967295", "999999999999999999999", "18446744073709551616", "2147483648", "100000"] {
        for plus in ["", "+"] {
            for login in [false, true] {
                let mut imap = if login { server.login() } else { server.imap() };
                for command in ["LOGIN", "SELECT", "APPEND INBOX", "SEARCH TEXT"] {
                    let text = said(&mut imap.wire, format!("z {command} {{{size}{plus}}}\r\n").as_bytes());
                    if size == "100000" && command == "APPEND INBOX" && login {
                        // Not too large: asked for, and given up here.
                        break;
                    }
                    assert!(!text.starts_with(b"+"), "{command} {{{size}{plus}}} was asked for");
                    if text.is_empty() && plus == "+" {
                        // It came without waiting: it is counted and skipped, or the connection ends.
                        break;
                    }
                    println!("{command} {{{size}{plus}}}: {}", refusal(&text, "z"));
                    if memchr::memmem::find(&text, b"* BYE").is_some() {
                        break;
                    }
                }
            }
        }
    }
    let after = server.memory_kib();
    assert!(after < before + 16 * 1024, "memory grew from {before} to {after} KiB");
    for bad in ["{}", "{-1}", "{1", "{1+", "{+}", "{1++}", "{ 1}", "{01x}"] {
        let mut imap = server.imap();
        let text = said(&mut imap.wire, format!("z LOGIN {bad}\r\n").as_bytes());
        refusal(&text, "z");
    }
    server.assert_alive();
}

#[test]
fn attack_19_many_literals() {
    let mut server = Server::start("attack-19");
    server.login();
    let before = server.memory_kib();
    let literals = b" {1+}\r\nx".repeat(1_000_000);
    for login in [false, true] {
        let mut imap = if login { server.login() } else { server.imap() };
        let command = if login { &b"z SEARCH SUBJECT"[..] } else { &b"z LOGIN"[..] };
        let begin = Instant::now();
        let _ = imap.wire.write(&[command, &literals, b"\r\n"].concat());
        let text = imap.wire.within(Duration::from_millis(500));
        let line = if text.is_empty() { "closed".to_owned() } else { refusal(&text, "z") };
        println!("10^6 literals, logged in: {login}: {line}");
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
    let after = server.memory_kib();
    assert!(after < before + 16 * 1024, "memory grew from {before} to {after} KiB");
    server.assert_alive();
}

#[test]
fn attack_20_parentheses_and_endless_lines() {
    let mut server = Server::start("attack-20");
    for login in [false, true] {
        let mut imap = if login { server.select("INBOX") } else { server.imap() };
        for command in ["FETCH 1 ", "SEARCH ", "LIST \"\" ", "STORE 1 FLAGS ", "STATUS INBOX "] {
            let text = said(&mut imap.wire, format!("z {command}{}\r\n", "(".repeat(4000)).as_bytes());
            let line = refusal(&text, "z");
            if line.starts_with("* BYE") {
                imap = if login { server.select("INBOX") } else { server.imap() };
            }
        }
    }
    // A line that never ends, on 1,000 connections at once.
    server.login();
    // Receive buffers, up to 4 MiB a shard, count when they are first touched; beside them a line each and its reply.
    let shards = std::thread::available_parallelism().expect("a count").get() as u64;
    let allowed = shards * 4096 + 1000 * 16;
    let before = server.memory_kib();
    let mut open: Vec<Imap> = Vec::new();
    for _ in 0..1000 {
        let mut imap = Imap::connect(server.port(143)).expect("a connection");
        imap.wire.write(&[b'x'; 1500]).expect("the connection");
        open.push(imap);
    }
    let during = server.memory_kib();
    println!("1,000 connections with 1,500 octets of a line each: {} KiB", during.saturating_sub(before));
    assert!(during < before + allowed, "memory grew from {before} to {during} KiB");
    server.login().ok("NOOP");
    for imap in &mut open {
        let _ = imap.wire.write(&[b'x'; 20_000]);
    }
    let mut told = 0;
    for imap in &mut open {
        // BAD or BYE, and then nothing or a close; never silence for ever while it is read.
        let line = imap.wire.line().unwrap_or_default();
        // The line began with what may be a tag, which comes back.
        let bad = memchr::memmem::find(&line, b"x BAD ").is_some();
        let known = bad || line.starts_with(b"* BAD") || line.starts_with(b"* BYE") || line.is_empty();
        assert!(known, "{}", show(&line));
        told += usize::from(known);
    }
    assert_eq!(told, 1000, "not all were told or closed");
    let during = server.memory_kib();
    assert!(during < before + allowed, "memory grew from {before} to {during} KiB");
    drop(open);
    server.assert_alive();
}

#[test]
fn attack_21_same_answer_for_wrong_names_and_passwords() {
    let mut server = Server::start("attack-21");
    let ask = |name: &str| {
        let mut imap = server.imap();
        let begin = Instant::now();
        let reply = imap.command(&format!("LOGIN {name} wrong"));
        (reply.shown(), begin.elapsed())
    };
    let (known, of_known) = ask(USER);
    let (unknown, of_unknown) = ask("nobody@localhost");
    println!("{known}: {of_known:?} for a user, {of_unknown:?} for nobody");
    assert!(known.starts_with("NO [AUTHENTICATIONFAILED]"), "{known}");
    assert_eq!(known, unknown);
    let (short, long) = (of_known.min(of_unknown), of_known.max(of_unknown));
    assert!(long < short * 3 + Duration::from_millis(50), "times tell names apart: {of_known:?} and {of_unknown:?}");
    let smtp =
        |name: &str| server.submission().expect(&format!("AUTH PLAIN {}", plain(name, "wrong")), "535 5.7.8").shown();
    assert_eq!(smtp(USER), smtp("nobody@localhost"));
    // A few failures lock nobody out.
    server.login();
    // A connection has few tries.
    let mut imap = server.imap();
    let mut tries = 0;
    while let Ok(reply) = imap.attempt("LOGIN b@localhost wrong") {
        assert_eq!(reply.status, "NO", "{}", reply.shown());
        tries += 1;
        assert!(tries < 9, "no end of tries on one connection");
    }
    println!("{tries} tries on one connection");
    server.assert_alive();
}

#[test]
fn attack_22_sasl() {
    let mut server = Server::start("attack-22");
    let mut other = server.login();
    let long = "A".repeat(20_000);
    let nul = base64(b"\0a@localhost\0pass\0word");
    let responses = ["!!!", "*", "", "=", "AAA", &long, &nul, "AGE=", "////"];
    // One connection for each, as a few failures end one; a network is locked out for failed names, not for garbage.
    for response in responses {
        let mut imap = server.imap();
        imap.wire.write(b"z AUTHENTICATE PLAIN\r\n").expect("the connection");
        assert!(imap.wire.line().expect("a continuation request").starts_with(b"+"));
        let _ = imap.wire.write(format!("{response}\r\n").as_bytes());
        let line = imap.wire.line().map(|line| String::from_utf8_lossy(&line).into_owned());
        let line = line.unwrap_or_else(|error| panic!("{}: {error}", show(response.as_bytes())));
        let refused = ["z NO", "z BAD", "* BYE"].iter().any(|prefix| line.starts_with(prefix));
        assert!(refused, "{}: {line}", show(response.as_bytes()));

        let mut smtp = server.submission();
        smtp.expect("AUTH PLAIN", "334");
        let reply = smtp.attempt(response).unwrap_or_else(|error| panic!("{}: {error}", show(response.as_bytes())));
        assert!(matches!(reply.code, 500 | 501 | 535), "{}: {}", show(response.as_bytes()), reply.shown());
        if let Ok(reply) = smtp.attempt("MAIL FROM:<a@localhost>") {
            assert_eq!(reply.code, 530, "in step and not authenticated: {}", reply.shown());
        }
        other.ok("NOOP");
    }
    for mechanism in ["", "NONSENSE", "PLAIN PLAIN PLAIN", "CRAM-MD5", "EXTERNAL ="] {
        let mut imap = server.imap();
        let reply = imap.command(&format!("AUTHENTICATE {mechanism}"));
        assert_ne!(reply.status, "OK", "AUTHENTICATE {mechanism}");
        let mut smtp = server.submission();
        let reply = smtp.attempt(&format!("AUTH {mechanism}")).expect("a reply");
        assert!((500..600).contains(&reply.code), "AUTH {mechanism}: {}", reply.shown());
    }
    // As another user, by a right that nobody has.
    let mut imap = server.imap();
    let as_other = base64(format!("b@localhost\0{USER}\0{}", server.password()).as_bytes());
    imap.answered(&format!("AUTHENTICATE PLAIN {as_other}"), "NO");
    // And the right one still works, on a connection with failures behind it as well.
    imap.ok(&format!("AUTHENTICATE PLAIN {}", plain(USER, &server.password())));
    server.submission().auth(USER, &server.password());
    server.assert_alive();
}

/// What can't be a name and a password is answered no sooner than a wrong one, whatever is spoken.
#[test]
fn malformed_logins_are_no_faster() {
    let server = Server::start("malformed-logins");
    let malformed = base64(b"no NUL at all");
    let timed = |what: &str, attempt: &mut dyn FnMut() -> String| {
        let begun = Instant::now();
        let answer = attempt();
        assert!(
            begun.elapsed() >= Duration::from_millis(400),
            "{what} was answered after {:?}: {answer}",
            begun.elapsed()
        );
        answer
    };
    let mut imap = server.imap();
    for command in [format!("AUTHENTICATE PLAIN {malformed}"), "LOGIN \"\" pass".to_owned()] {
        let answer = timed(&command, &mut || imap.command(&command).shown());
        assert!(answer.contains("NO [AUTHENTICATIONFAILED] Authentication failed"), "{answer}");
    }
    let mut pop3 = server.pop3();
    let answer = timed("AUTH", &mut || pop3.attempt(&format!("AUTH PLAIN {malformed}")).expect("a status"));
    assert!(answer.starts_with("-ERR [AUTH] Authentication failed"), "{answer}");
    let mut smtp = server.submission();
    let answer = timed("AUTH", &mut || smtp.attempt(&format!("AUTH PLAIN {malformed}")).expect("a reply").shown());
    assert!(answer.starts_with("501 5.5.2"), "{answer}");
}

/// Many wrong logins at once, again and again: a hash takes 19 MiB, some are made at once, and no more than theirs is kept.
#[test]
fn wrong_logins_leave_little_memory() {
    let server = Server::start("wrong-logins");
    let before = server.memory_kib();
    for round in 0..3 {
        let mut clients: Vec<Imap> = (0..10).map(|_| server.imap()).collect();
        let tags: Vec<String> = clients
            .iter_mut()
            .enumerate()
            .map(|(number, imap)| {
                imap.start(format!("LOGIN nobody-{round}-{number} wrong").as_bytes()).expect("the connection")
            })
            .collect();
        for (imap, tag) in clients.iter_mut().zip(&tags) {
            assert_eq!(imap.finish(tag).expect("an answer").status, "NO");
        }
    }
    let grown = server.memory_kib().saturating_sub(before);
    assert!(grown < 128 * 1024, "{grown} KiB of 30 hashes are kept");
}

/// AUTHENTICATE, half a line, end of stream: the session ends with its connection, and its shard serves others meanwhile.
#[test]
fn half_an_answer_and_the_end_hold_nobody_up() {
    let mut server = Server::start("half-an-answer");
    for _ in 0..8 {
        let mut wire = server.imap().wire;
        wire.write(b"a AUTHENTICATE PLAIN\r\nabc").expect("the connection");
        wire.finish();
        let text = wire.rest().expect("the server ends it too");
        assert!(memchr::memmem::find(&text, b"+ ").is_some(), "no challenge: {}", show(&text));
        server.login().ok("NOOP");
    }
    server.assert_alive();
}

/// Commands of a later state, before it: BAD each, and an end after some.
#[test]
fn commands_before_login_are_refused_and_counted() {
    let mut server = Server::start("before-login");
    let mut imap = server.imap();
    for command in
        ["SELECT INBOX", "LIST \"\" *", "FETCH 1 ALL", "IDLE", "APPEND INBOX {3+}\r\nabc", "EXPUNGE", "XYZZY"]
    {
        imap.answered(command, "BAD");
    }
    let _ = imap.wire.write("z NOOP\r\n".repeat(5_000).as_bytes());
    let text = imap.wire.rest().expect("an end");
    assert!(memchr::memmem::find(&text, b"* BYE").is_some(), "no BYE: {}", show(&text));
    server.assert_alive();
}
