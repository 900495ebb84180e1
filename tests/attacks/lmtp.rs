//! LMTP (RFC 2033) against the running server: a reply for each recipient, whatever becomes of the message.

use std::time::Duration;

use crate::support::message::{assert_delivered, numbered};
use crate::support::smtp::stuffed;
use crate::support::structure::{Value, check_envelope};
use crate::support::{Imap, Server, Smtp, USER, Wire, eventually, show};

const OTHER: &str = "b@localhost";
const SENDER: &str = "sender@client.example";

fn connect(server: &Server) -> Smtp {
    let mut lmtp = Smtp::connect(server.port(24)).expect("an LMTP connection");
    lmtp.expect("LHLO client.example", "250");
    lmtp
}

/// A transaction for a, nobody, b, elsewhere and a again: three are accepted.
fn for_three(lmtp: &mut Smtp) {
    lmtp.expect(&format!("MAIL FROM:<{SENDER}>"), "250 2.1.0");
    for (to, due) in [
        (USER, "250 2.1.5"),
        ("nobody@localhost", "550 5.1.1"),
        (OTHER, "250 2.1.5"),
        ("someone@elsewhere.example", "554 5.7.1"),
        (USER, "250 2.1.5"),
    ] {
        lmtp.expect(&format!("RCPT TO:<{to}>"), due);
    }
}

fn inbox_of(server: &Server, user: &str) -> Imap {
    let mut imap = server.imap();
    imap.login(user, &server.password_of(user));
    imap
}

fn count(server: &Server, user: &str) -> u32 {
    inbox_of(server, user).ok("SELECT INBOX").exists().expect("EXISTS")
}

#[test]
fn each_recipient_has_a_reply() {
    let mut server = Server::start("lmtp");
    let mut wire = Wire::connect(server.port(24)).expect("a connection");
    let greeting = String::from_utf8(wire.line().expect("a greeting")).expect("ASCII");
    assert!(greeting.starts_with("220 localhost LMTP"), "{greeting}");
    let mut lmtp = Smtp { wire };
    lmtp.expect("EHLO client.example", "500 5.5.1");
    lmtp.expect("HELO client.example", "500 5.5.1");
    lmtp.expect("MAIL FROM:<>", "503 5.5.1");
    let offered = lmtp.expect("LHLO client.example", "250").lines;
    for extension in ["PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "CHUNKING", "SMTPUTF8", "STARTTLS"] {
        assert!(offered.iter().any(|line| line == extension), "no {extension} in {offered:?}");
    }
    assert!(offered.iter().all(|line| !line.starts_with("AUTH")), "{offered:?}");
    server.smtp().expect("LHLO client.example", "500 5.5.1");
    // RFC 2033 §4.2: no recipient, no data.
    lmtp.expect("DATA", "503 5.5.1");
    lmtp.expect("MAIL FROM:<>", "250");
    lmtp.expect("RCPT TO:<nobody@localhost>", "550 5.1.1");
    lmtp.expect("DATA", "503 5.5.1");
    lmtp.expect("RSET", "250");

    let message = numbered("lmtp", 5);
    for_three(&mut lmtp);
    lmtp.expect("DATA", "354");
    lmtp.wire.write(&stuffed(&message)).expect("the connection");
    for path in [USER, OTHER, USER] {
        lmtp.due(&format!("250 2.1.5 <{path}>"));
    }
    lmtp.expect("NOOP", "250 2.0.0");
    // In chunks, over TLS: one reply to each chunk, and one a recipient to the last.
    let mut lmtp = lmtp.starttls();
    lmtp.expect("LHLO client.example", "250");
    for_three(&mut lmtp);
    let (head, tail) = message.split_at(100);
    let (first, last) = (format!("BDAT {}\r\n", head.len()), format!("BDAT {} LAST\r\n", tail.len()));
    let chunks = [first.as_bytes(), head, last.as_bytes(), tail, b"NOOP\r\n"].concat();
    lmtp.wire.write(&chunks).expect("the connection");
    for due in ["250 2.0.0 100 octets", "250 2.1.5 <a@", "250 2.1.5 <b@", "250 2.1.5 <a@", "250 2.0.0 OK"] {
        lmtp.due(due);
    }
    for user in [USER, OTHER] {
        let mut imap = inbox_of(&server, user);
        assert_eq!(imap.ok("SELECT INBOX").exists(), Some(2), "{user} has one copy of each");
        for (uid, protocol) in [(1, "with LMTP id"), (2, "with LMTPS id")] {
            let trace = assert_delivered(&imap.text(uid), &message, SENDER);
            assert!(trace.contains(protocol), "{trace}");
            // They were not told of each other.
            assert!(!trace.contains("for <"), "{trace}");
        }
    }
    server.assert_alive();
}

/// What is refused at its end is refused for each who was accepted, and the next reply is the next command's.
#[test]
fn a_refusal_is_told_to_each() {
    let mut server = Server::start_configured("lmtp-refused", "[inbound]\nmax_message_bytes = 100000\n");
    let mut lmtp = connect(&server);
    lmtp.expect("MAIL FROM:<> SIZE=100001", "552 5.3.4");
    let large = numbered("large", 3000);
    let looping = [b"Received: x\r\n".repeat(101), numbered("loop", 1)].concat();
    for (text, due) in [(&b"A: b\r\n\r\nbare\nLF\r\n"[..], "550 5.5.2"), (&large, "552 5.3.4"), (&looping, "554 5.4.6")]
    {
        for_three(&mut lmtp);
        lmtp.expect("DATA", "354");
        lmtp.wire.write(&[text, b".\r\nNOOP\r\n"].concat()).expect("the connection");
        for _ in 0..3 {
            lmtp.due(due);
        }
        lmtp.due("250 2.0.0 OK");
        for_three(&mut lmtp);
        let chunk = format!("BDAT {} LAST\r\n", text.len());
        lmtp.wire.write(&[chunk.as_bytes(), text, b"NOOP\r\n"].concat()).expect("the connection");
        for _ in 0..3 {
            lmtp.due(due);
        }
        lmtp.due("250 2.0.0 OK");
    }
    // A chunk that isn't the last has one reply, the last one behind it again one for each.
    for_three(&mut lmtp);
    lmtp.wire.write(b"BDAT 3\r\n\n\n\nBDAT 2 LAST\r\nxxNOOP\r\n").expect("the connection");
    for due in ["550 5.5.2", "503 5.5.1", "503 5.5.1", "503 5.5.1", "250 2.0.0 OK"] {
        lmtp.due(due);
    }
    assert_eq!((count(&server, USER), count(&server, OTHER)), (0, 0));
    server.assert_alive();
}

/// Attacks 8, 10, 11 and 17 where LMTP is spoken.
#[test]
fn attack_10_many_recipients_and_vanishing_clients() {
    let mut server = Server::start("attack-10-lmtp");
    let mut lmtp = connect(&server);
    lmtp.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    let mut taken = 0;
    for turn in 0..12 {
        let users = [USER, OTHER];
        lmtp.wire.write(format!("RCPT TO:<{}>\r\n", users[turn % 2]).repeat(100).as_bytes()).expect("the connection");
        for _ in 0..100 {
            let reply = lmtp.reply().expect("a reply");
            assert!(reply.code == 250 || reply.shown().starts_with("452 4.5.3"), "{}", reply.shown());
            taken += usize::from(reply.code == 250);
        }
    }
    assert_eq!(taken, 1000);
    lmtp.expect("RCPT TO:<\"\"@localhost>", "501 5.1.3");
    lmtp.expect("DATA", "354");
    lmtp.wire.write(&stuffed(&numbered("many", 1))).expect("the connection");
    for number in 0..taken {
        lmtp.due(&format!("250 2.1.5 <{}>", [USER, OTHER][number / 100 % 2]));
    }
    lmtp.expect("NOOP", "250 2.0.0");
    lmtp.expect("DATA", "503 5.5.1");
    // Unknown recipients are no reason to hang up on a neighbour.
    lmtp.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    for number in 0..500 {
        lmtp.expect(&format!("RCPT TO:<nobody-{number}@localhost>"), "550 5.1.1");
    }
    let descriptors = server.descriptors();
    for turn in 0..20 {
        let mut lmtp = connect(&server);
        for_three(&mut lmtp);
        lmtp.expect("DATA", "354");
        lmtp.wire.write(&numbered("half", 100 * turn)).expect("the connection");
    }
    eventually("their descriptors are given back", Duration::from_secs(10), || {
        (server.descriptors() <= descriptors + 2).then_some(())
    });
    assert_eq!((count(&server, USER), count(&server, OTHER)), (1, 1));
    server.assert_alive();
}

/// Attack 12: the longest parameters on every recipient are kept within bounds, and what was accepted is delivered.
#[test]
fn attack_12_the_longest_parameters() {
    let mut server = Server::start("attack-12-lmtp");
    let mut lmtp = connect(&server);
    lmtp.expect(&format!("MAIL FROM:<{SENDER}> RET=FULL ENVID={}", "e".repeat(100)), "250");
    let mut taken = 0;
    for number in 0..1000 {
        let original = format!("rfc822;{number:0>487}@x.yz");
        let command = format!("RCPT TO:<{USER}> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT={original}");
        let reply = lmtp.attempt(&command).expect("a reply");
        assert!(reply.code == 250 || reply.shown().starts_with("452 4.5.3"), "{}", reply.shown());
        taken += usize::from(reply.code == 250);
    }
    println!("of 1,000 recipients with the longest parameters {taken} were taken");
    assert!((100..1000).contains(&taken));
    let message = numbered("parameters", 4000);
    lmtp.expect("DATA", "354");
    lmtp.wire.write(&stuffed(&message)).expect("the connection");
    for _ in 0..taken {
        lmtp.due("250 2.1.5");
    }
    for _ in 0..2 {
        assert_delivered(&server.select("INBOX").text(1), &message, SENDER);
        server.restart();
    }
}

/// Where one account can't take a message, LMTP says so of that one; SMTP says it of all.
#[test]
fn a_damaged_account_fails_alone() {
    let mut server = Server::start("lmtp-damaged");
    let mut smtp = server.smtp();
    smtp.deliver(OTHER, &numbered("before", 1));
    drop(smtp);
    server.restart();
    let manifest = eventually("the account is sealed", Duration::from_secs(10), || manifests(&server).pop());
    server.stop();
    let mut octets = std::fs::read(&manifest).expect("the manifest");
    octets.iter_mut().for_each(|octet| *octet ^= 0x55);
    std::fs::write(&manifest, octets).expect("the manifest");
    server.run();
    let mut lmtp = connect(&server);
    for_three(&mut lmtp);
    lmtp.expect("DATA", "354");
    lmtp.wire.write(&stuffed(&numbered("after", 1))).expect("the connection");
    lmtp.due("250 2.1.5 <a@localhost>");
    lmtp.due("451 4.3.0 <b@localhost>");
    lmtp.due("250 2.1.5 <a@localhost>");
    lmtp.expect("NOOP", "250 2.0.0");
    let mut smtp = server.smtp();
    smtp.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    for user in [USER, OTHER] {
        smtp.expect(&format!("RCPT TO:<{user}>"), "250");
    }
    smtp.expect("DATA", "354");
    smtp.wire.write(&stuffed(&numbered("again", 1))).expect("the connection");
    smtp.due("451 4.3.0");
    assert!(count(&server, USER) >= 1);
}

/// The manifests of all accounts.
fn manifests(server: &Server) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![server.data().join("accounts")];
    while let Some(folder) = folders.pop() {
        // Not there before something is sealed.
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.ends_with("MANIFEST") => found.push(path),
                false => {}
            }
        }
    }
    found
}

/// RFC 6531: what goes beyond ASCII, in addresses and headers.
#[test]
fn addresses_and_headers_in_utf8() {
    let mut server = Server::start("utf8");
    server.add_user("anna@xn--bcher-kva.example", "secret-of-anna");
    let mut smtp = server.smtp();
    smtp.expect("MAIL FROM:<müller@client.example>", "553 5.6.7");
    smtp.expect("MAIL FROM:<a@client.example>", "250");
    smtp.expect("RCPT TO:<grüße@localhost>", "553 5.6.7");
    smtp.expect("RCPT TO:<a@localhost> ORCPT=utf-8;grüße@localhost", "553 5.6.7");
    smtp.expect("RSET", "250");
    smtp.expect("MAIL FROM:<müller@bücher.example> BODY=8BITMIME SMTPUTF8", "250");
    smtp.expect("RCPT TO:<grüße@localhost>", "550 5.1.1");
    smtp.expect("RCPT TO:<a@größe.example>", "554 5.7.1");
    smtp.expect("RCPT TO:<a@local\u{85}host>", "501 5.1.3");
    smtp.expect("RCPT TO:<anna@BÜCHER.example> ORCPT=utf-8;anna@bücher.example", "250");
    smtp.expect("DATA", "354");
    let message = "From: Müller <müller@bücher.example>\r\nSubject: Grüße\r\n\r\nx\r\n".as_bytes();
    smtp.wire.write(&stuffed(message)).expect("the connection");
    smtp.due("250 2.0.0");
    let mut lmtp = connect(&server);
    lmtp.expect("MAIL FROM:<müller@bücher.example> SMTPUTF8", "250");
    lmtp.expect("RCPT TO:<anna@bücher.example>", "250");
    lmtp.expect("DATA", "354");
    lmtp.wire.write(&stuffed(message)).expect("the connection");
    // What of a reply is not ASCII is not shown.
    lmtp.due("250 2.1.5 <anna@b??cher.example>");
    let mut imap = server.imap();
    imap.login("anna@xn--bcher-kva.example", "secret-of-anna");
    imap.ok("SELECT INBOX");
    for (uid, protocol) in [(1, "with UTF8SMTP id"), (2, "with UTF8LMTP id")] {
        let text = imap.text(uid);
        assert!(text.starts_with("Return-Path: <müller@bücher.example>\r\n".as_bytes()), "{}", show(&text));
        assert!(memchr::memmem::find(&text, protocol.as_bytes()).is_some(), "{}", show(&text));
        // 8-bit text stands in literals alone, which the client of these tests insists on.
        let fetched = imap.fetch_one(uid, "(ENVELOPE)");
        let envelope = fetched.value("ENVELOPE").expect("it was asked for");
        assert_eq!(check_envelope(envelope), Ok(()));
        let Value::List(fields) = envelope else { unreachable!("it was checked") };
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        let sender = [text("Müller"), Value::Nil, text("müller"), text("bücher.example")];
        assert_eq!(fields[1], text("Grüße"));
        assert_eq!(fields[2], Value::List(vec![Value::List(sender.to_vec())]));
    }
    server.assert_alive();
}

/// VRFY tells nothing until it is switched on; DSN is taken either way, and offered where it is configured.
#[test]
fn switches_of_esmtp() {
    let server = Server::start("esmtp-default");
    let mut smtp = server.smtp();
    let offered = smtp.ehlo().lines;
    assert!(!offered.iter().any(|line| line == "DSN" || line == "VRFY"), "{offered:?}");
    for name in [USER, "nobody@localhost"] {
        smtp.expect(&format!("VRFY {name}"), "252 2.5.2");
    }
    smtp.expect("VRFY grüße@localhost", "553 5.6.7");
    smtp.expect("VRFY grüße@localhost SMTPUTF8", "252 2.5.2");
    smtp.expect("EXPN staff", "502 5.5.1");
    // RFC 3461 §4.5: each once.
    for twice in ["RET=HDRS RET=HDRS", "ENVID=a ENVID=b"] {
        smtp.expect(&format!("MAIL FROM:<{SENDER}> {twice}"), "501 5.5.4");
    }
    smtp.expect(&format!("MAIL FROM:<{SENDER}> RET=HDRS ENVID=QQ314159"), "250");
    smtp.expect(&format!("RCPT TO:<{USER}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+40localhost"), "250");
    for twice in ["NOTIFY=NEVER,DELAY", "NOTIFY=NEVER NOTIFY=NEVER", "ORCPT=rfc822;a ORCPT=rfc822;a"] {
        smtp.expect(&format!("RCPT TO:<{USER}> {twice}"), "501 5.5.4");
    }
    smtp.expect("DATA", "354");
    smtp.wire.write(&stuffed(&numbered("dsn", 1))).expect("the connection");
    smtp.due("250 2.0.0");

    let server = Server::start_configured("esmtp", "[esmtp]\nvrfy = true\ndsn = true\n");
    let mut smtp = server.smtp();
    let offered = smtp.ehlo().lines;
    assert!(["DSN", "VRFY"].iter().all(|name| offered.iter().any(|line| line == name)), "{offered:?}");
    for (name, due) in [
        ("A@LocalHost", "250 2.1.5 <a@localhost>"),
        ("<a@localhost>", "250 2.1.5 <a@localhost>"),
        ("\"a\"@localhost", "250 2.1.5 <a@localhost>"),
        ("nobody@localhost", "550 5.1.1"),
        ("a@elsewhere.example", "551 5.7.1"),
    ] {
        smtp.expect(&format!("VRFY {name}"), due);
    }
    // RFC 6531 §3.7.4.1: no reply has UTF-8 in it, whoever asks.
    for (name, due) in [("grüße@elsewhere.example", "553 5.6.7"), ("grüße@elsewhere.example SMTPUTF8", "551 5.7.1")]
    {
        let reply = smtp.expect(&format!("VRFY {name}"), due);
        assert!(reply.lines.iter().all(|line| line.is_ascii()), "{reply:?}");
    }
    // A stranger is told nothing where users log in.
    server.submission().expect(&format!("VRFY {USER}"), "530 5.7.0");
}

/// RFC 2033 §4.2: a chunk that fails ends the transaction, and the last one, which was sent behind it, still has a reply
/// for each recipient. A line that only looks like BDAT ends the connection: what follows it is text and no command.
#[test]
fn a_failed_chunk_leaves_clients_in_step() {
    let mut server = Server::start("lmtp-failed-chunk");
    let mut lmtp = connect(&server);
    for_three(&mut lmtp);
    lmtp.wire.write(b"BDAT 4\r\na\nb\nBDAT 2 LAST\r\n\r\nNOOP\r\n").expect("the connection");
    lmtp.due("550 5.5.2");
    for _ in 0..3 {
        lmtp.due("503 5.5.1");
    }
    lmtp.due("250 2.0.0");
    for_three(&mut lmtp);
    lmtp.wire.write(b"BDAT 6\tLAST\r\nRSET\r\n").expect("the connection");
    lmtp.due("501 5.5.4");
    let rest = lmtp.wire.rest().expect("a close");
    assert!(rest.is_empty(), "{}", show(&rest));
    assert_eq!(count(&server, USER), 0);
    server.assert_alive();
}
