//! Attacks on SMTP: smuggling, sequences, floods, addresses, clients that vanish.

use std::time::Duration;

use crate::support::message::numbered;
use crate::support::smtp::stuffed;
use crate::support::{Server, Smtp, USER, eventually, show};

/// A transaction up to DATA's `354`.
fn at_data(server: &Server) -> Smtp {
    let mut smtp = server.smtp();
    smtp.expect("MAIL FROM:<sender@client.example>", "250");
    smtp.expect(&format!("RCPT TO:<{USER}>"), "250");
    smtp.expect("DATA", "354");
    smtp
}

fn delivered(server: &Server) -> u32 {
    server.login().ok("SELECT INBOX").exists().expect("EXISTS")
}

#[test]
fn attack_06_smuggling() {
    let mut server = Server::start("attack-06");
    let ends: [&[u8]; 15] = [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\n.\r",
        b"\r.\n",
        b"\n\n.\n\n",
        b"\r\r\n.\r\r\n",
        b"\r\n\0.\r\n",
        b"\r\n.\0\r\n",
        b"\r\n\n.\r\n\n",
        b"\r\n.\r\r\n",
        b"\0\r\n.\n\0",
    ];
    let smuggled = b"MAIL FROM:<evil@client.example>\r\nRCPT TO:<a@localhost>\r\nDATA\r\nSubject: smuggled\r\n\r\nx";
    for end in ends {
        for chunked in [false, true] {
            let mut smtp = at_data(&server);
            let message = [b"Subject: outer\r\n\r\ntext", end, smuggled, b"\r\n.\r\n"].concat();
            if chunked {
                for octet in &message {
                    smtp.wire.write(std::slice::from_ref(octet)).expect("the connection");
                }
            } else {
                smtp.wire.write(&message).expect("the connection");
            }
            let reply = smtp.reply().unwrap_or_else(|error| panic!("{}: {error}", show(end)));
            let shown = reply.shown();
            assert!(shown.starts_with("550 5.5.2") || shown.starts_with("500"), "{}: {shown}", show(end));
            // Either closed or in step: the next reply is NOOP's and there is no other.
            if let Ok(next) = smtp.attempt("NOOP") {
                assert_eq!(next.code, 250, "{}: {}", show(end), next.shown());
                assert_eq!(smtp.wire.within(Duration::from_millis(20)), b"", "{}: more replies", show(end));
            }
        }
    }
    assert_eq!(delivered(&server), 0, "something was smuggled or taken");

    // Among commands a bare LF or CR ends nothing either.
    for line in [&b"NOOP\nNOOP\r\n"[..], b"NOOP\rNOOP\r\n", b"NOOP\0\r\n", b"NOOP\n", b"NOOP\r"] {
        let mut smtp = server.smtp();
        smtp.wire.write(line).expect("the connection");
        smtp.wire.finish();
        let replies = smtp.wire.rest().expect("a reply or a close");
        assert!(memchr::memmem::find(&replies, b"250 ").is_none(), "{}: {}", show(line), show(&replies));
    }
    // A dot that is stuffed is text, a dot alone on the first line is the end.
    let mut smtp = server.smtp();
    smtp.deliver(USER, b"Subject: dots\r\n\r\n.\r\n..\r\n");
    smtp.deliver(USER, b"");
    assert_eq!(delivered(&server), 2);
    server.assert_alive();
}

#[test]
fn attack_08_data_out_of_sequence() {
    let mut server = Server::start("attack-08");
    let mut smtp = Smtp::connect(server.port(25)).expect("a connection");
    smtp.expect("MAIL FROM:<a@client.example>", "503 5.5.1");
    smtp.ehlo();
    smtp.expect("DATA", "503 5.5.1");
    smtp.expect(&format!("RCPT TO:<{USER}>"), "503 5.5.1");
    smtp.expect("MAIL FROM:<a@client.example>", "250");
    smtp.expect("MAIL FROM:<b@client.example>", "503 5.5.1");
    assert!(matches!(smtp.attempt("DATA").expect("a reply").code, 503 | 554));
    smtp.expect("RCPT TO:<nobody@localhost>", "550 5.1.1");
    assert!(matches!(smtp.attempt("DATA").expect("a reply").code, 503 | 554));
    smtp.expect("RSET", "250");
    // A message that is refused resets all.
    let reply = {
        smtp.expect("MAIL FROM:<a@client.example>", "250");
        smtp.expect(&format!("RCPT TO:<{USER}>"), "250");
        smtp.expect("DATA", "354");
        smtp.wire.write(b"bare\nLF\r\n.\r\n").expect("the connection");
        smtp.reply().expect("a reply")
    };
    assert_eq!(reply.code, 550, "{}", reply.shown());
    smtp.expect("DATA", "503 5.5.1");
    smtp.expect(&format!("RCPT TO:<{USER}>"), "503 5.5.1");
    // So does one that is taken, RSET, and EHLO.
    smtp.deliver(USER, &numbered("taken", 1));
    smtp.expect("DATA", "503 5.5.1");
    for reset in ["RSET", "EHLO again.example"] {
        smtp.expect("MAIL FROM:<a@client.example>", "250");
        smtp.expect(&format!("RCPT TO:<{USER}>"), "250");
        smtp.expect(reset, "250");
        smtp.expect("DATA", "503 5.5.1");
    }
    // Sizes: told before, and found out.
    smtp.expect("MAIL FROM:<a@client.example> SIZE=99999999999", "552 5.3.4");
    smtp.expect("DATA", "503 5.5.1");
    assert_eq!(delivered(&server), 1);
    server.assert_alive();
}

#[test]
fn attack_09_commands_that_do_nothing() {
    let mut server = Server::start("attack-09");
    for command in ["NOOP\r\n", "RSET\r\n", "XYZZY\r\n", "EHLO x\r\n"] {
        let mut smtp = server.smtp();
        // 10,000 of them; the server may close before it has read all.
        let _ = smtp.wire.write(command.repeat(10_000).as_bytes());
        let replies = smtp.wire.rest().unwrap_or_else(|error| panic!("{command:?} went on for ever: {error}"));
        let last = String::from_utf8_lossy(&replies);
        let last = last.trim_end().lines().next_back().unwrap_or_default().to_owned();
        assert!(last.starts_with("421 "), "{command:?}: {last:?} of {} octets", replies.len());
    }
    server.assert_alive();
}

#[test]
fn attack_10_endless_lines_and_recipients() {
    let mut server = Server::start("attack-10");
    server.smtp().deliver(USER, &numbered("warm", 1));
    server.login(); // a password hash takes 19 MiB for a moment
    let before = server.memory_kib();
    let flood = vec![b'x'; 10 << 20];
    let mut smtp = server.smtp();
    let _ = smtp.wire.write(&flood);
    let _ = smtp.wire.write(b"\r\n");
    let reply = smtp.reply().expect("a reply");
    assert_eq!(reply.code, 500, "{}", reply.shown());

    // A line of text is not mail at 10 MB.
    let mut smtp = at_data(&server);
    smtp.wire.write(&flood).expect("the connection");
    smtp.wire.write(b"\r\n.\r\n").expect("the connection");
    let reply = smtp.reply().expect("a reply");
    assert!(matches!(reply.code, 500 | 550 | 552), "{}", reply.shown());
    smtp.expect("NOOP", "250");

    // 10,000 recipients: the limit, told each time, and an end where the client doesn't listen.
    let mut smtp = server.smtp();
    smtp.expect("MAIL FROM:<sender@client.example>", "250");
    let (mut taken, mut refused, mut ended) = (0, 0, false);
    for _ in 0..100 {
        let _ = smtp.wire.write(format!("RCPT TO:<{USER}>\r\n").repeat(100).as_bytes());
        for _ in 0..100 {
            match smtp.reply() {
                Ok(reply) if reply.code == 250 => taken += 1,
                Ok(reply) if reply.shown().starts_with("452 4.5.3") => refused += 1,
                Ok(reply) if reply.code == 421 && refused > 0 => ended = true,
                Err(_) if ended => break,
                other => panic!("{other:?} after {taken} and {refused}"),
            }
        }
    }
    println!("of 10,000 recipients {taken} were taken, {refused} refused; ended: {ended}");
    assert!((100..10_000).contains(&taken) && refused > 0 && (ended || taken + refused == 10_000));
    // One recipient, named often, has one copy.
    let mut smtp = server.smtp();
    smtp.expect("MAIL FROM:<sender@client.example>", "250");
    for _ in 0..100 {
        smtp.expect(&format!("RCPT TO:<{USER}>"), "250");
    }
    smtp.expect("DATA", "354");
    smtp.wire.write(&stuffed(&numbered("once", 1))).expect("the connection");
    smtp.due("250");
    assert_eq!(delivered(&server), 2);
    // Different unknown ones are each told.
    smtp.expect("MAIL FROM:<sender@client.example>", "250");
    smtp.expect("RCPT TO:<nobody-1@localhost>", "550 5.1.1");
    let after = server.memory_kib();
    println!("memory: {before} KiB before, {after} KiB after");
    assert!(after < before + 16 * 1024, "memory grew from {before} to {after} KiB");
    server.assert_alive();
}

#[test]
fn attack_11_addresses() {
    let mut server = Server::start("attack-11");
    let mut smtp = server.smtp();
    smtp.expect("MAIL FROM:<sender@client.example>", "250");
    let long = [b"<".as_slice(), &[b'x'; 400], b"@localhost>"].concat();
    let cases: [&[u8]; 16] = [
        br#"<""@localhost>"#,
        br#"<"a\\>"#,
        br#"<"a\"@localhost>"#,
        b"<\xC3@localhost>",
        b"<gr\xC3\xBC\xC3\x9Fe@localhost>",
        b"<a\xFF@localhost>",
        b"<a@loc\xE4lhost>",
        b"<>",
        b"<@localhost>",
        b"<a@>",
        b"<a@localhost",
        b"a@localhost>",
        b"<a b@localhost>",
        b"<a@@localhost>",
        b"<a@[999.1.1.1]>",
        &long,
    ];
    for case in cases {
        smtp.wire.write(&[b"RCPT TO:", case, b"\r\n"].concat()).expect("the connection");
        let reply = smtp.reply().unwrap_or_else(|error| panic!("{}: {error}", show(case)));
        let shown = reply.shown();
        assert!(reply.code == 501 || reply.code == 500 || reply.code == 553, "{}: {shown}", show(case));
        println!("{}: {shown}", show(case));
    }
    // RFC 5321 §4.1.1.3: of a source route its mailbox alone counts; never a relay.
    let reply = smtp.attempt("RCPT TO:<@relay.example:a@localhost>").expect("a reply");
    assert_eq!(reply.code, 250, "{}", reply.shown());
    let reply = smtp.attempt("RCPT TO:<@localhost:a@elsewhere.example>").expect("a reply");
    assert!(matches!(reply.code, 501 | 550 | 554), "a relay by a source route: {}", reply.shown());
    for relay in ["a%elsewhere.example@localhost", "elsewhere.example!a@localhost", "\"a@elsewhere.example\"@localhost"]
    {
        let reply = smtp.attempt(&format!("RCPT TO:<{relay}>")).expect("a reply");
        assert!(matches!(reply.code, 501 | 550 | 554), "{relay}: {}", reply.shown());
    }
    smtp.expect(&format!("RCPT TO:<{USER}>"), "250");
    server.assert_alive();
}

#[test]
fn attack_12_parameters() {
    let mut server = Server::start("attack-12");
    let cases: [&[u8]; 10] = [
        b"MAIL FROM:<a@client.example> ENVID=x\0y",
        b"MAIL FROM:<a@client.example> ENVID=x\ry",
        b"MAIL FROM:<a@client.example> ENVID=x\ny",
        b"MAIL FROM:<a\r@client.example>",
        b"MAIL FROM:<a\n@client.example>",
        b"MAIL FROM:<a\0@client.example>",
        b"MAIL FROM:<a@client.example> SIZE=-1",
        b"MAIL FROM:<a@client.example> BODY=",
        b"MAIL FROM:<a@client.example> XNONSENSE=1",
        b"MAIL FROM:<a@client.example>SIZE=1",
    ];
    for case in cases {
        let mut smtp = server.smtp();
        smtp.wire.write(&[case, b"\r\n"].concat()).expect("the connection");
        let reply = smtp.reply().unwrap_or_else(|error| panic!("{}: {error}", show(case)));
        assert!(matches!(reply.code, 500 | 501 | 555), "{}: {}", show(case), reply.shown());
        if let Ok(reply) = smtp.attempt(&format!("RCPT TO:<{USER}>")) {
            assert_eq!(reply.code, 503, "{} began a transaction", show(case));
        }
    }
    // An encoded line end must not reach a header of a notice.
    let mut smtp = server.smtp();
    smtp.expect("MAIL FROM:<a@client.example> ENVID=x+0D+0ABcc:y", "501 5.5.4");
    smtp.expect("MAIL FROM:<a@client.example>", "250");
    for value in ["rfc822;x+0D+0ABcc:y", "rfc822;x+00", "rfc822;x+0Ay", "r+0A;x", "rfc822;x+4"] {
        smtp.expect(&format!("RCPT TO:<{USER}> ORCPT={value}"), "501 5.5.4");
    }
    // Nor does an EHLO name bring lines into Received.
    let mut smtp = Smtp::connect(server.port(25)).expect("a connection");
    smtp.wire.write(b"EHLO x\rX-Injected: yes\r\n").expect("the connection");
    let reply = smtp.reply().expect("a reply");
    assert!(matches!(reply.code, 500 | 501), "{}", reply.shown());
    server.assert_alive();
}

#[test]
fn attack_14_mail_that_loops() {
    let mut server = Server::start("attack-14");
    let message =
        [b"Received: from x by y; Fri, 21 Nov 2025 10:00:00 +0000\r\n".repeat(101), numbered("loop", 1)].concat();
    let reply = server.smtp().send("a@client.example", USER, &message).expect("a reply");
    assert!(reply.shown().starts_with("554 5.4.6"), "{}", reply.shown());
    assert_eq!(delivered(&server), 0);
    server.assert_alive();
}

#[test]
fn attack_17_client_vanishes_amid_data() {
    let mut server = Server::start("attack-17");
    server.smtp().deliver(USER, &numbered("warm", 1));
    server.login();
    let (descriptors, memory) = (server.descriptors(), server.memory_kib());
    let text = numbered("half", 20_000);
    for turn in 0..60 {
        let mut smtp = at_data(&server);
        // Cuts everywhere: before the text, in it, within the end of data.
        let cut = match turn % 4 {
            0 => 0,
            1 => text.len() * turn / 60,
            2 => text.len(),
            _ => text.len() - 1,
        };
        smtp.wire.write(&text[..cut]).expect("the connection");
        if turn % 4 == 2 {
            smtp.wire.write(b".\r").expect("the connection");
        }
        if turn % 2 == 0 {
            smtp.wire.finish();
        }
    }
    eventually("their descriptors are given back", Duration::from_secs(10), || {
        (server.descriptors() <= descriptors + 2).then_some(())
    });
    assert_eq!(delivered(&server), 1, "half a message was delivered");
    let after = server.memory_kib();
    println!("memory: {memory} KiB before, {after} KiB after");
    assert!(after < memory + 16 * 1024, "memory grew from {memory} to {after} KiB");
    server.restart();
    assert_eq!(delivered(&server), 1, "half a message is there after a restart");
    server.assert_alive();
}

/// A client that leaves without a word must not take another connection with it: descriptors are used again at once.
#[test]
fn a_client_that_leaves_harms_no_other() {
    let server = Server::start("leaving");
    let passwords = ["a@localhost", "b@localhost"].map(|user| (user, server.password_of(user)));
    for turn in 0..400 {
        let (user, password) = &passwords[turn % 2];
        let mut imap = server.imap();
        imap.login(user, password);
        if turn % 3 == 0 {
            server.smtp();
        }
    }
}
