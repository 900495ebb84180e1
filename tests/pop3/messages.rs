//! What RETR and TOP send: dots, ends of lines, sizes; large messages, long listings, slow readers. RFC 1939 §3, §5, §7.

use std::time::Duration;

use crate::fill;
use crate::support::message::{assert_delivered, numbered};
use crate::support::smtp::stuffed;
use crate::support::{Pop3, Server, USER, show};

fn tls(server: &Server) -> Pop3 {
    let mut pop3 = Pop3::connect_tls(server.port(995)).expect("a TLS connection");
    pop3.login(USER, &server.password());
    pop3
}

/// Messages of whole lines, delicate ones: each comes back as it was.
fn delicate() -> Vec<Vec<u8>> {
    let with = |body: &[u8]| [&b"Subject: dots\r\n\r\n"[..], body].concat();
    let long = [vec![b'.'; 5000], b"\r\n".to_vec()].concat();
    vec![
        with(b".\r\n"),
        with(b"..\r\n.\r\n...\r\n"),
        with(b".leading\r\n\r\n.\r\n\r\n"),
        with(&b".\r\n".repeat(100_000)),
        with(&long),
        with("Grüße\r\n. \r\n.\t\r\n".as_bytes()),
        b".\r\n\r\n.\r\n".to_vec(),
        b"\r\n".to_vec(),
        numbered("large", 8000),
        // Runs that are lent and stuffing between them.
        with(&[&b"x".repeat(9000)[..], b"\r\n.", &b"y".repeat(300_000)[..], b"\r\n..\r\n"].concat()),
        with(&[&b"long line "[..], &b"z".repeat(600_000)[..], b"\r\n"].concat()),
    ]
}

#[test]
fn messages_of_dots_come_back() {
    let mut server = Server::start("pop3-dots");
    let messages = delicate();
    fill(&server, &messages);
    for turn in ["fresh", "after a restart"] {
        for open in [Server::maildrop, tls] {
            let mut pop3 = open(&server);
            check(&mut pop3, &messages, turn);
            pop3.quit();
        }
        server.restart();
    }
}

fn check(pop3: &mut Pop3, messages: &[Vec<u8>], turn: &str) {
    for (number, message) in messages.iter().enumerate() {
        let number = number + 1;
        assert_eq!(pop3.ok(&format!("LIST {number}")), format!("+OK {number} {}", message.len()), "{turn}");
        let retrieved = pop3.retr(number);
        assert!(retrieved == *message, "{turn}, message {number}: {} for {}", show(&retrieved), show(message));
    }
}

/// The octets themselves, as no lenient reader sees them.
#[test]
fn what_is_on_the_wire() {
    let server = Server::start("pop3-wire");
    let cases: [(&[u8], &[u8]); 5] = [
        (b"a: b\r\n\r\n.\r\nx\r\n", b"a: b\r\n\r\n..\r\nx\r\n.\r\n"),
        // APPEND may bring in bare LFs, and messages without an end.
        (b"a: b\r\n\r\nx\n.\n.\r\ny", b"a: b\r\n\r\nx\r\n..\r\n..\r\ny\r\n.\r\n"),
        (b"a: b\n\n.\r\n+OK forged\n.\n", b"a: b\r\n\r\n..\r\n+OK forged\r\n..\r\n.\r\n"),
        (b"a: b\r\n\r\n.", b"a: b\r\n\r\n..\r\n.\r\n"),
        (b"a: b\r\n\r\nx\r.\r\n", b"a: b\r\n\r\nx\r.\r\n.\r\n"),
    ];
    fill(&server, &cases.map(|(message, _)| message.to_vec()));
    let mut pop3 = server.maildrop();
    for (number, (message, sent)) in cases.iter().enumerate() {
        let status = pop3.ok(&format!("RETR {}", number + 1));
        assert_eq!(status, format!("+OK {} octets", message.len()));
        let octets = pop3.wire.exactly(sent.len()).expect("the response");
        assert_eq!(show(&octets), show(sent));
        pop3.ok("NOOP");
    }
}

#[test]
fn top() {
    let server = Server::start("pop3-top");
    let header = b"Subject: top\r\nX-Folded: a\r\n b\r\n\r\n".to_vec();
    let lines: [&[u8]; 4] = [b".first\r\n", b"\r\n", b"third\r\n", b"..\r\n"];
    let large = numbered("large", 20_000);
    fill(&server, &[[&header[..], &lines.concat()].concat(), large.clone()]);
    let mut pop3 = server.maildrop();
    for count in 0..=4 {
        let expected = [&header[..], &lines[..count].concat()].concat();
        assert_eq!(show(&pop3.multi(&format!("TOP 1 {count}"))), show(&expected));
    }
    for count in ["5", "1000000", "4294967295", "99999999999999999999"] {
        assert_eq!(pop3.multi(&format!("TOP 1 {count}")), [&header[..], &lines.concat()].concat(), "{count}");
        assert_eq!(
            pop3.multi(&format!("TOP 2 {count}")).len(),
            if count == "5" { numbered("large", 5).len() } else { large.len() }
        );
    }
}

/// The way of mail: in by SMTP, out by POP3.
#[test]
fn mail_that_was_delivered() {
    let server = Server::start("pop3-delivered");
    let message = [numbered("delivered", 3), b".\r\n..\r\n.dot\r\n".to_vec()].concat();
    assert!(stuffed(&message).ends_with(b"\r\n..\r\n...\r\n..dot\r\n.\r\n"));
    server.smtp().deliver(USER, &message);
    let mut pop3 = server.maildrop();
    let size = pop3.stat().1;
    let retrieved = pop3.retr(1);
    assert_eq!(retrieved.len() as u64, size);
    assert_delivered(&retrieved, &message, "sender@client.example");
}

/// Thousands of messages are listed as the client reads, and what QUIT deletes of them is right.
#[test]
fn long_listings() {
    const MESSAGES: usize = 5000;
    let mut server = Server::start("pop3-long");
    let mut imap = server.login();
    for chunk in 0..10 {
        let one = b"x APPEND INBOX {14+}\r\nSubject: x\r\n\r\n\r\n".repeat(MESSAGES / 10);
        imap.wire.write(&one).expect("the connection");
        for number in 0..MESSAGES / 10 {
            let line = imap.wire.line().expect("an answer");
            assert!(line.starts_with(b"x OK"), "{} of {chunk}: {}", number, show(&line));
        }
    }
    let mut pop3 = server.maildrop();
    assert_eq!(pop3.stat(), (MESSAGES as u64, 14 * MESSAGES as u64));
    let expected: Vec<String> = (1..=MESSAGES).map(|number| format!("{number} 14")).collect();
    assert_eq!(pop3.lines("LIST"), expected);
    let ids = pop3.lines("UIDL");
    assert_eq!(ids.len(), MESSAGES);
    // Every other one, and a run.
    let marked = |number: usize| number.is_multiple_of(2) || (2000..3000).contains(&number);
    let commands: String = (1..=MESSAGES).filter(|number| marked(*number)).map(|n| format!("DELE {n}\r\n")).collect();
    pop3.wire.write(commands.as_bytes()).expect("the connection");
    for _ in (1..=MESSAGES).filter(|number| marked(*number)) {
        assert!(pop3.status().expect("an answer").starts_with("+OK"));
    }
    pop3.quit();
    let left: Vec<&str> =
        (1..=MESSAGES).filter(|n| !marked(*n)).map(|n| ids[n - 1].split(' ').nth(1).unwrap()).collect();
    let now = server.maildrop().lines("UIDL");
    let now: Vec<&str> = now.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(now, left);
    server.assert_alive();
}

/// Attack 28 for POP3: clients that ask for much and read nothing cost what is under way, not what they asked for.
#[test]
fn attack_28_slow_reader() {
    const SESSIONS: usize = 30;
    let server = Server::start("pop3-slow");
    for user in 0..SESSIONS {
        server.add_user(&format!("u{user}@localhost"), "secret");
    }
    // Dots all over, so that little of it can be lent.
    let message = [&b"Subject: slow\r\n\r\n"[..], &b".dots\r\n".repeat(100_000)[..]].concat();
    let mut open = Vec::new();
    for user in 0..SESSIONS {
        let mut imap = server.imap();
        imap.login(&format!("u{user}@localhost"), "secret");
        imap.append("INBOX", &message);
        imap.append("INBOX", &numbered("large", 20_000));
        let mut pop3 = server.pop3();
        pop3.login(&format!("u{user}@localhost"), "secret");
        open.push(pop3);
    }
    let before = server.memory_kib();
    for pop3 in &mut open {
        pop3.wire.write(b"RETR 1\r\nRETR 2\r\n".repeat(10).as_slice()).expect("the connection");
    }
    std::thread::sleep(Duration::from_secs(1));
    let first = server.memory_kib();
    server.imap().ok("NOOP");
    std::thread::sleep(Duration::from_secs(1));
    let second = server.memory_kib();
    println!("{SESSIONS} sessions that don't read: {before} KiB, then {first}, then {second}");
    assert!(second < before + SESSIONS as u64 * 100, "memory grew from {before} to {second} KiB");
    // One that reads after all gets all of it.
    let mut reader = open.pop().expect("one");
    for _ in 0..10 {
        reader.status().expect("RETR 1");
        assert!(reader.text().expect("a message") == message);
        reader.status().expect("RETR 2");
        assert!(reader.text().expect("a message") == numbered("large", 20_000));
    }
    reader.quit();
}
