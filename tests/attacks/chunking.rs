//! BDAT (RFC 3030) against the running server: what it must deliver, and what must not get past it.

use std::time::Duration;

use crate::support::message::{assert_delivered, numbered};
use crate::support::{Server, Smtp, USER, eventually, show};

const SENDER: &str = "sender@client.example";

/// A transaction that has its recipient.
fn with_recipient(server: &Server) -> Smtp {
    let mut smtp = server.smtp();
    envelope(&mut smtp);
    smtp
}

fn envelope(smtp: &mut Smtp) {
    smtp.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    smtp.expect(&format!("RCPT TO:<{USER}>"), "250");
}

fn chunk(octets: &[u8], last: bool) -> Vec<u8> {
    let head = format!("BDAT {}{}\r\n", octets.len(), if last { " LAST" } else { "" });
    [head.as_bytes(), octets].concat()
}

fn delivered(server: &Server) -> u32 {
    server.login().ok("SELECT INBOX").exists().expect("EXISTS")
}

#[test]
fn chunks_are_put_together() {
    let mut server = Server::start("chunks");
    let message = [numbered("chunks", 40), b".\r\n..\r\n\r\n.\r\nno line end".to_vec()].concat();
    // Cut anywhere, an empty chunk in between, and an empty last one.
    for cuts in [&[0usize][..], &[1, 1, 700], &[message.len()], &[message.len() - 11], &[11, 12, 13, 900, 901]] {
        let mut smtp = with_recipient(&server);
        let mut begin = 0;
        for &cut in cuts {
            smtp.wire.write(&chunk(&message[begin..cut], false)).expect("the connection");
            smtp.due("250 2.0.0");
            begin = cut;
        }
        smtp.wire.write(&chunk(&message[begin..], true)).expect("the connection");
        smtp.due("250 2.0.0 OK id=");
    }
    // All at once, twice, with what follows; and octet by octet.
    let (head, tail) = message.split_at(500);
    let once = [
        format!("MAIL FROM:<{SENDER}> SIZE={}\r\nRCPT TO:<{USER}>\r\n", message.len()).as_bytes(),
        &chunk(head, false),
        &chunk(tail, true),
    ]
    .concat();
    for write in [usize::MAX, 1] {
        let mut smtp = server.smtp();
        for piece in [&once[..], &once, b"NOOP\r\n"].concat().chunks(write) {
            smtp.wire.write(piece).expect("the connection");
        }
        for _ in 0..2 {
            for due in ["250 2.1.0", "250 2.1.5", "250 2.0.0 500 octets", "250 2.0.0 OK id="] {
                smtp.due(due);
            }
        }
        smtp.due("250 2.0.0 OK");
    }
    // A large one, which goes to a file, over TLS.
    let large = numbered("large", 8000);
    let mut smtp = server.smtp().starttls();
    smtp.ehlo();
    envelope(&mut smtp);
    for (number, piece) in large.chunks(100_000).enumerate() {
        let last = (number + 1) * 100_000 >= large.len();
        smtp.wire.write(&chunk(piece, last)).expect("the connection");
        smtp.due("250 2.0.0");
    }
    for _ in 0..2 {
        let mut imap = server.select("INBOX");
        for uid in 1..=9 {
            let text = imap.text(uid);
            let trace = assert_delivered(&text, &message, SENDER);
            assert!(trace.contains("with ESMTP id"), "{trace}");
            assert_eq!(imap.fetch_one(uid, "(RFC822.SIZE)").count("RFC822.SIZE"), text.len() as u64);
        }
        assert!(assert_delivered(&imap.text(10), &large, SENDER).contains("with ESMTPS id"));
        drop(imap);
        server.restart();
    }
    server.assert_alive();
}

/// RFC 3030 §3: BINARYMIME is not offered; a part that calls itself binary is taken all the same, if it is lines.
#[test]
fn binary_parts_are_lines_here() {
    let server = Server::start("binary-parts");
    let mut smtp = server.smtp();
    assert!(!smtp.ehlo().lines.iter().any(|line| line == "BINARYMIME"));
    smtp.expect(&format!("MAIL FROM:<{SENDER}> BODY=BINARYMIME"), "501 5.5.4");
    let message =
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n\x01\x80\xff\x7f\r\n";
    smtp.deliver(USER, message);
    assert_delivered(&server.select("INBOX").text(1), message, SENDER);
}

#[test]
fn attack_06_smuggling_in_chunks() {
    let mut server = Server::start("attack-06-chunks");
    let smuggled = b"MAIL FROM:<evil@client.example>\r\nRCPT TO:<a@localhost>\r\nDATA\r\nSubject: smuggled\r\n\r\nx";
    for end in [&b"\n.\n"[..], b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\n.\r\r\n"] {
        for cut in [0, 18, 22, 24] {
            let mut smtp = with_recipient(&server);
            let message = [b"Subject: outer\r\n\r\ntext", end, smuggled, b"\r\n"].concat();
            let (head, tail) = message.split_at(cut);
            smtp.wire.write(&[chunk(head, false), chunk(tail, true)].concat()).expect("the connection");
            let first = smtp.reply().expect("a reply");
            assert!(first.code == 250 || first.code == 550, "{}: {}", show(end), first.shown());
            let last = smtp.reply().expect("a reply");
            let due = if first.code == 250 { "550 5.5.2" } else { "503 5.5.1" };
            assert!(last.shown().starts_with(due), "{}: {}", show(end), last.shown());
            smtp.expect("NOOP", "250");
            assert_eq!(smtp.wire.within(Duration::from_millis(20)), b"", "{}: more replies", show(end));
        }
    }
    // A CR at the end of one chunk and its LF at the beginning of the next are one line end; a CR at the very end is bare.
    let mut smtp = with_recipient(&server);
    smtp.wire.write(&[chunk(b"A: b\r", false), chunk(b"\n\r\nx\r", false), chunk(b"", true)].concat()).expect("open");
    smtp.due("250");
    smtp.due("250");
    smtp.due("550 5.5.2");
    // The end of data as DATA has it is text, and what looks like commands behind it too.
    envelope(&mut smtp);
    let message = [b"Subject: outer\r\n\r\ntext\r\n.\r\n", &smuggled[..], b"\r\n.\r\nQUIT\r\n"].concat();
    smtp.wire.write(&chunk(&message, true)).expect("the connection");
    smtp.due("250");
    smtp.expect("NOOP", "250");
    assert_eq!(delivered(&server), 1);
    assert_delivered(&server.select("INBOX").text(1), &message, SENDER);
    server.assert_alive();
}

#[test]
fn attack_08_chunks_out_of_sequence() {
    let mut server = Server::start("attack-08-chunks");
    let mut smtp = server.smtp();
    // Refused, and never read as commands.
    for last in [false, true] {
        smtp.wire.write(&chunk(b"QUIT\r\n", last)).expect("the connection");
        smtp.due("503 5.5.1");
    }
    smtp.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    smtp.wire.write(&chunk(b"QUIT\r\n", true)).expect("the connection");
    smtp.due("554 5.5.1");
    // After a failed chunk the transaction is over: nothing is made of the rest.
    envelope(&mut smtp);
    let pipelined = [
        chunk(b"A: b\r\n\r\nbare\nLF", false),
        format!("RCPT TO:<{USER}>\r\n").into_bytes(),
        chunk(b"DATA\r\n", false),
        chunk(b"the rest\r\n", true),
        b"DATA\r\n".to_vec(),
    ];
    smtp.wire.write(&pipelined.concat()).expect("the connection");
    for due in ["550 5.5.2", "503 5.5.1", "503 5.5.1", "503 5.5.1", "503 5.5.1"] {
        smtp.due(due);
    }
    // DATA and BDAT don't mix, recipients come before the message, and LAST is the last.
    envelope(&mut smtp);
    smtp.wire.write(&chunk(b"A: b\r\n", false)).expect("the connection");
    smtp.due("250");
    smtp.expect(&format!("RCPT TO:<{USER}>"), "503 5.5.1");
    smtp.expect("MAIL FROM:<>", "503 5.5.1");
    smtp.expect("DATA", "503 5.5.1");
    smtp.wire.write(&chunk(b"\r\nx\r\n", true)).expect("the connection");
    smtp.due("503 5.5.1");
    for forget in ["RSET", "EHLO again.example"] {
        envelope(&mut smtp);
        smtp.wire.write(&chunk(b"Forgotten: yes\r\n", false)).expect("the connection");
        smtp.due("250");
        smtp.expect(forget, "250");
    }
    envelope(&mut smtp);
    smtp.wire.write(&[chunk(b"A: b\r\n\r\n", true), chunk(b"more\r\n", true)].concat()).expect("the connection");
    smtp.due("250 2.0.0 OK id=");
    smtp.due("503 5.5.1");
    // No number, no way to stay in step.
    for line in ["BDAT", "BDAT x", "BDAT -1 LAST", "BDAT 5 FIRST", "BDAT 99999999999999999999999"] {
        let mut smtp = with_recipient(&server);
        smtp.expect(line, "501 5.5.4");
        assert_eq!(smtp.wire.rest().expect("a close"), b"", "{line}");
    }
    assert_eq!(delivered(&server), 1);
    assert_delivered(&server.select("INBOX").text(1), b"A: b\r\n\r\n", SENDER);
    server.assert_alive();
}

#[test]
fn attack_09_chunks_of_one_octet() {
    let mut server = Server::start("attack-09-chunks");
    for piece in ["BDAT 1\r\nx", "BDAT 0\r\n"] {
        let mut smtp = with_recipient(&server);
        // The server may close before it has read all.
        let _ = smtp.wire.write(piece.repeat(100_000).as_bytes());
        let replies = smtp.wire.rest().unwrap_or_else(|error| panic!("{piece:?} went on for ever: {error}"));
        let text = String::from_utf8_lossy(&replies);
        assert!(text.trim_end().lines().next_back().unwrap_or_default().starts_with("421 "), "{}", show(&replies));
    }
    assert_eq!(delivered(&server), 0);
    server.assert_alive();
}

#[test]
fn attack_10_chunks_larger_than_messages_may_be() {
    let mut server = Server::start_configured("attack-10-chunks", "[inbound]\nmax_message_bytes = 300000\n");
    let before = server.memory_kib();
    // More than is worth reading: told and closed.
    for octets in ["18446744073709551615", "99999999999999999999", "1073741825"] {
        let mut smtp = with_recipient(&server);
        smtp.expect(&format!("BDAT {octets} LAST"), "552 5.3.4");
        smtp.wire.rest().expect("a close");
    }
    // Read away, in step, and nothing is made of it; the same where the sum of chunks is too large.
    let mut smtp = with_recipient(&server);
    smtp.wire.write(&chunk(&vec![b'x'; 20 << 20], true)).expect("the connection");
    smtp.due("552 5.3.4");
    envelope(&mut smtp);
    let half = "0123456789abcdef\r\n".repeat(9000);
    smtp.wire.write(&[chunk(half.as_bytes(), false), chunk(half.as_bytes(), true)].concat()).expect("the connection");
    smtp.due("250");
    smtp.due("552 5.3.4");
    smtp.expect("NOOP", "250");
    // Announced and never sent: it costs nothing.
    let waiting: Vec<Smtp> = (0..200)
        .map(|_| {
            let mut smtp = with_recipient(&server);
            smtp.wire.write(b"BDAT 290000\r\nx").expect("the connection");
            smtp
        })
        .collect();
    let after = server.memory_kib();
    println!("memory: {before} KiB before, {after} KiB with {} chunks that never come", waiting.len());
    assert!(after < before + 16 * 1024, "memory grew from {before} to {after} KiB");
    drop(waiting);
    assert_eq!(delivered(&server), 0);
    server.assert_alive();
}

#[test]
fn attack_17_client_vanishes_amid_chunks() {
    let mut server = Server::start("attack-17-chunks");
    server.smtp().deliver(USER, &numbered("warm", 1));
    server.login();
    let descriptors = server.descriptors();
    // Large enough for files of their own.
    let text = numbered("half", 6000);
    for turn in 0..24 {
        let mut smtp = with_recipient(&server);
        smtp.wire.write(&chunk(&text, false)).expect("the connection");
        match turn % 3 {
            0 => {}
            1 => smtp.wire.write(b"BDAT 500 LAST\r\nhalf of it").expect("the connection"),
            _ => drop(smtp.due("250")),
        }
        if turn % 2 == 0 {
            smtp.wire.finish();
        }
    }
    eventually("their descriptors are given back", Duration::from_secs(10), || {
        (server.descriptors() <= descriptors + 2).then_some(())
    });
    assert_eq!(delivered(&server), 1, "half a message was delivered");
    server.restart();
    assert_eq!(delivered(&server), 1, "half a message is there after a restart");
    server.assert_alive();
}

/// On a listener for users a stranger's chunk is not waited for, since octets that never come would hold the connection for as
/// long as a message may take.
#[test]
fn a_strangers_chunk_ends_the_connection() {
    let server = Server::start("strangers-chunk");
    let mut smtp = server.submission();
    smtp.expect("BDAT 9", "503 5.5.1");
    assert!(smtp.reply().is_err(), "the connection goes on");
    // Who has logged in, and anybody where mail is taken from strangers, stays in step.
    let mut user = server.submission();
    user.auth(USER, &server.password());
    for smtp in [&mut user, &mut server.smtp()] {
        smtp.wire.write(b"BDAT 9\r\n123456789").expect("the connection");
        smtp.due("503 5.5.1");
        smtp.expect("NOOP", "250");
    }
}
