//! Attacks by what is in a message: parts, nesting, parameters, encoded words, addresses, headers without an end.
//!
//! Each message comes by SMTP and by APPEND, is read back by everything that looks into it, and its answers are read
//! strictly. A message of double the size may take less than three times as long; memory is bounded; a session on the same
//! shard is answered all the while.

use std::time::{Duration, Instant};

use crate::support::structure::{check_bodystructure, check_envelope};
use crate::support::{Bystander, Imap, Server, USER};

/// What a message is in the measure of the list of attacks.
const FULL: usize = 100_000;

/// What may come between: a flush to disk, a file of its own for what is larger.
const NOISE: Duration = Duration::from_millis(20);

/// No NOOP of another session may take so long that somebody would notice.
const NOTICED: Duration = Duration::from_secs(1);

/// How a message comes in.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    Smtp,
    Append,
}

/// Brings `message` in and reads it by everything that looks into it; gives the time that this took.
fn pass(server: &Server, imap: &mut Imap, way: Way, name: &str, message: &str) -> Duration {
    let begin = Instant::now();
    match way {
        Way::Append => drop(imap.append("INBOX", message.as_bytes())),
        Way::Smtp => {
            let mut smtp = server.smtp();
            smtp.wire.set_patience(Duration::from_secs(60));
            smtp.deliver(USER, message.as_bytes());
        }
    }
    imap.ok("NOOP");
    let items =
        "(RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY BODY.PEEK[HEADER.FIELDS (SUBJECT TO X-NONE)] BODY.PEEK[1.1.1.1])";
    let fetched = imap.fetch_one("*", items);
    let uid = imap.last_uid();
    assert_eq!(imap.ok(&format!("UID SEARCH UID {uid} HEADER SUBJECT nowhere-to-be-found")).found(), [0; 0], "{name}");
    assert_eq!(imap.ok(&format!("UID SEARCH UID {uid} HEADER SUBJECT \"\"")).found().len(), 1, "{name}");
    let time = begin.elapsed();

    check_envelope(fetched.value("ENVELOPE").expect("ENVELOPE")).unwrap_or_else(|error| panic!("{name}: {error}"));
    let parts = check_bodystructure(fetched.value("BODYSTRUCTURE").expect("BODYSTRUCTURE"));
    let parts = parts.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(parts.len() <= 1000, "{name}: {} parts", parts.len());
    let size = fetched.count("RFC822.SIZE");
    match way {
        Way::Append => assert_eq!(size, message.len() as u64, "{name}"),
        Way::Smtp => assert!(size > message.len() as u64, "{name}"),
    }
    let whole = imap.text(uid);
    assert!(whole.ends_with(message.as_bytes()), "{name}: not what was sent");
    time
}

/// Holds what `make` gives for a size against the rules of all these attacks.
fn hold(server: &Server, imap: &mut Imap, name: &str, make: &dyn Fn(usize) -> String) {
    let messages = [make(FULL / 2), make(FULL)];
    for way in [Way::Append, Way::Smtp] {
        // The best times count, of as many tries as a busy machine needs.
        let mut best = [Duration::MAX; 2];
        let is_linear = (0..5).any(|_| {
            for (message, best) in messages.iter().zip(&mut best) {
                *best = pass(server, imap, way, name, message).min(*best);
            }
            best[1] < best[0] * 3 + NOISE
        });
        println!(
            "{name}, {way:?}: {} octets in {:?}, {} in {:?}",
            messages[0].len(),
            best[0],
            messages[1].len(),
            best[1]
        );
        assert!(is_linear, "{name}, {way:?}: {best:?}");
    }
}

/// Holds all of `attacks` on one shard, with a bystander and a bound on memory.
fn hold_all(name: &str, attacks: &[(&str, &dyn Fn(usize) -> String)]) {
    let mut server = Server::start_with(name, &["--cpus", "0"]);
    let mut imap = server.select("INBOX");
    imap.wire.set_patience(Duration::from_secs(60));
    let before = server.memory_kib();
    let bystander = Bystander::begin(&server);
    for (name, make) in attacks {
        hold(&server, &mut imap, name, make);
    }
    bystander.assert_served(NOTICED);
    let after = server.memory_kib();
    println!("memory: {before} KiB before, {after} KiB after");
    assert!(after < before + MEMORY_KIB_MAX, "memory grew from {before} to {after} KiB");
    server.assert_alive();
}

/// What messages that are arriving hold (64 MiB a shard), a search text, a structure, and what the allocator keeps.
const MEMORY_KIB_MAX: u64 = 128 * 1024;

#[test]
fn attack_35_parts_and_depth() {
    let head = "Subject: bomb\r\nMIME-Version: 1.0\r\n";
    let mixed = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    hold_all(
        "attack-35",
        &[
            ("parts", &|size| format!("{head}{mixed}{}--b--\r\n", "--b\r\n\r\nx\r\n".repeat(size))),
            ("parts without anything", &|size| format!("{head}{mixed}{}", "--b\r\n".repeat(size))),
            ("messages as parts", &|size| {
                let part = "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n";
                format!("{head}{mixed}{}", part.repeat(size / 2))
            }),
            ("depth", &|size| {
                let level = |level| format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
                head.to_owned() + &(0..size / 2).map(level).collect::<String>()
            }),
            ("depth with one boundary", &|size| head.to_owned() + &format!("{mixed}--b\r\n").repeat(size / 2)),
            ("a message in itself", &|size| head.to_owned() + &"Content-Type: message/rfc822\r\n\r\n".repeat(size / 2)),
            ("a digest in itself", &|size| {
                let level = "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n";
                head.to_owned() + &level.repeat(size / 2)
            }),
        ],
    );
}

#[test]
fn attack_36_parameters_words_addresses() {
    let fields = |name: &str, size: usize, piece: &dyn Fn(usize) -> String| {
        let text: String = (0..size).map(piece).collect();
        format!("Subject: bomb\r\n{name}{text}\r\n\r\nx\r\n")
    };
    hold_all(
        "attack-36",
        &[
            ("continuations", &|size| {
                fields("Content-Type: text/plain", size, &|number| format!(";\r\n name*{number}*=%41"))
            }),
            ("continuations backwards", &|size| {
                fields("Content-Disposition: attachment", size, &|number| {
                    format!(";\r\n filename*{}=\"x\"", size - number)
                })
            }),
            ("a boundary in pieces", &|size| {
                fields("Content-Type: multipart/mixed", size, &|number| format!(";\r\n boundary*{number}=b"))
            }),
            ("encoded words", &|size| fields("Subject: ", size, &|_| "=?utf-8?Q?=C3?=\r\n ".into())),
            ("words of two charsets", &|size| {
                fields("To: ", size / 2, &|_| "=?utf-8?B?w6k=?= =?iso-2022-jp?B?GyRCJUYbKEI=?=\r\n ".into())
            }),
            ("words that never end", &|size| fields("From: ", size, &|_| "=?utf-8?Q?\r\n ".into())),
            ("addresses", &|size| fields("To: ", size, &|_| "a@x.example,\r\n ".into())),
            ("groups", &|size| fields("Cc: ", size, &|_| "g:a@b,\r\n <c@d>;\r\n ".into())),
            ("routes", &|size| fields("Reply-To: <", size, &|_| "@a,\r\n ".into())),
            ("comments", &|size| fields("From: ", size, &|_| "((((\r\n ".into())),
            ("quotes", &|size| fields("Sender: ", size, &|_| "\"\\\"\r\n ".into())),
            ("identifiers", &|size| fields("References: ", size, &|number| format!("<{number}@x>\r\n "))),
            ("languages", &|size| fields("Content-Language: ", size, &|_| "en,\r\n ".into())),
        ],
    );
}

#[test]
fn attack_37_header_without_end() {
    const OCTETS: usize = 50 * 1024 * 1024 - 1024;
    let mut server = Server::start_with("attack-37", &["--cpus", "0"]);
    let mut imap = server.select("INBOX");
    imap.wire.set_patience(Duration::from_secs(60));
    let before = server.memory_kib();
    let bystander = Bystander::begin(&server);
    let fill =
        |head: &str, piece: &str, octets: usize| head.to_owned() + &piece.repeat((octets - head.len()) / piece.len());
    // One line without a colon and without an end can't come by SMTP, where a line has a bound.
    let endless = fill("x", "x", OCTETS);
    let reply = server.smtp().send("sender@client.example", USER, (endless.clone() + "\r\n").as_bytes());
    if let Ok(reply) = reply {
        assert!((500..600).contains(&reply.code), "{}", reply.shown());
    }
    imap.append("INBOX", endless.as_bytes());
    imap.ok("NOOP");
    let fetched = imap.fetch_one("*", "(RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER] BODY.PEEK[TEXT]<0.10>)");
    assert_eq!(fetched.count("RFC822.SIZE"), endless.len() as u64);
    check_envelope(fetched.value("ENVELOPE").expect("ENVELOPE")).expect("an envelope");
    assert_eq!(fetched.octets("BODY[HEADER]"), b"", "a header without a colon");
    assert_eq!(fetched.octets("BODY[TEXT]<0>"), b"xxxxxxxxxx");

    for (name, head, piece) in [
        ("a field", "Subject: bomb\r\nX: ", "y\r\n "),
        ("fields", "Subject: bomb\r\n", "X-Filler: nothing to see here, over and over again\r\n"),
        ("lines without a colon", "Subject: bomb\r\n", "nothing to see here, over and over again\r\n"),
    ] {
        let mut times = [Duration::MAX; 2];
        for (octets, time) in [OCTETS / 2, OCTETS].into_iter().zip(&mut times) {
            let message = fill(head, piece, octets).trim_end().to_owned() + "\r\n";
            for way in [Way::Append, Way::Smtp] {
                *time = pass(&server, &mut imap, way, name, &message).min(*time);
            }
            let fetched = imap.fetch_one("*", "(BODY.PEEK[HEADER] BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
            // Ten fields as long as Postfix lets one be; what follows is body.
            assert!(fetched.octets("BODY[HEADER]").len() <= 1_024_000, "{name}");
            assert!(fetched.octets("BODY[HEADER.FIELDS (SUBJECT)]").starts_with(b"Subject: bomb\r\n"), "{name}");
        }
        println!("{name}: {OCTETS} octets in {:?}, half of them in {:?}", times[1], times[0]);
        assert!(times[1] < times[0] * 3, "{name}: {times:?}");
    }
    bystander.assert_served(NOTICED);
    let after = server.memory_kib();
    println!("memory: {before} KiB before, {after} KiB after");
    assert!(after < before + MEMORY_KIB_MAX, "memory grew from {before} to {after} KiB");
    server.assert_alive();
}
