//! Attacks 1 and 2: what came before TLS is not there behind it. RFC 3207 §4.2, RFC 3501 §6.2.1, RFC 9051 §6.2.1.

use std::time::Duration;

use crate::support::{Imap, Server, Smtp, USER, Wire, show};

/// How the injected command comes: the octets written at once, and those written when the server has answered.
const WAYS: [&str; 4] = ["the same segment", "the next segment", "split over the answer", "behind the answer"];

/// Sends `starttls` and `injected` in one of the ways; the wire behind the answer, whose line is checked.
fn inject(mut wire: Wire, way: usize, starttls: &[u8], injected: &[u8], answer: &[u8]) -> Wire {
    let (before, after) = injected.split_at(match way {
        0 | 1 => injected.len(),
        2 => injected.len() / 2,
        _ => 0,
    });
    if way == 1 {
        wire.write(starttls).expect("the connection");
        std::thread::sleep(Duration::from_millis(1));
        wire.write(before).expect("the connection");
    } else {
        wire.write(&[starttls, before].concat()).expect("the connection");
    }
    let line = wire.line().expect("an answer to STARTTLS");
    assert!(line.starts_with(answer), "{}", show(&line));
    // The server may have closed already.
    let _ = wire.write(after);
    wire
}

#[test]
fn attack_01_starttls_injection() {
    let mut server = Server::start("attack-01");
    let mut discarded = 0;
    for way in 0..WAYS.len() {
        let imap = server.imap();
        let injected = b"b CREATE injected\r\nc NOOP\r\n";
        let wire = inject(imap.wire, way, b"a STARTTLS\r\n", injected, b"a OK");
        // Either the handshake fails, or what was injected is not answered behind it.
        if let Ok(wire) = wire.into_tls() {
            let mut imap = Imap::resume(wire);
            imap.ok("NOOP");
            imap.login(USER, &server.password());
            imap.answered("SELECT injected", "NO");
            discarded += 1;
        }
        let smtp = server.smtp();
        let injected = b"MAIL FROM:<injected@client.example>\r\nNOOP\r\n";
        let wire = inject(smtp.wire, way, b"STARTTLS\r\n", injected, b"220");
        if let Ok(wire) = wire.into_tls() {
            let mut smtp = Smtp { wire };
            smtp.ehlo();
            smtp.expect(&format!("RCPT TO:<{USER}>"), "503");
            discarded += 1;
        }
    }
    println!("{discarded} of {} injections were discarded, the others ended the connection", 2 * WAYS.len());
    server.login().answered("SELECT injected", "NO");
    server.assert_alive();
}

#[test]
fn attack_02_state_before_tls() {
    let mut server = Server::start("attack-02");
    // The EHLO name and the transaction.
    let mut smtp = server.smtp();
    smtp.expect("MAIL FROM:<before@client.example>", "250");
    let mut smtp = match smtp.attempt("STARTTLS").expect("an answer").code {
        220 => Smtp { wire: smtp.wire.into_tls().expect("a handshake") },
        // Refused amid a transaction: then from outside one.
        503 => server.smtp().starttls(),
        code => panic!("STARTTLS amid a transaction: {code}"),
    };
    smtp.expect("MAIL FROM:<after@client.example>", "503");
    smtp.expect(&format!("RCPT TO:<{USER}>"), "503");
    let hello = smtp.ehlo();
    assert!(!hello.lines.iter().any(|line| line == "STARTTLS"), "offered within TLS: {hello:?}");
    smtp.expect(&format!("RCPT TO:<{USER}>"), "503");
    smtp.expect("STARTTLS", "503");
    smtp.expect("NOOP", "250");

    // The authentication.
    let mut smtp = server.submission();
    smtp.auth(USER, &server.password());
    match smtp.attempt("STARTTLS").expect("an answer").code {
        220 => {
            let mut smtp = Smtp { wire: smtp.wire.into_tls().expect("a handshake") };
            smtp.ehlo();
            smtp.expect(&format!("MAIL FROM:<{USER}>"), "530");
        }
        503 => {
            smtp.expect("NOOP", "250");
        }
        code => panic!("STARTTLS behind AUTH: {code}"),
    }

    // IMAP: none behind a login, and no second one.
    let mut imap = server.login();
    imap.answered("STARTTLS", "BAD");
    imap.ok("NOOP");
    let mut imap = server.imap().starttls();
    let reply = imap.ok("CAPABILITY");
    let offered = reply.starting("CAPABILITY").any(|line| memchr::memmem::find(line, b"STARTTLS").is_some());
    assert!(!offered, "offered within TLS");
    imap.answered("STARTTLS", "BAD");
    imap.answered("SELECT INBOX", "BAD");
    imap.login(USER, &server.password());
    imap.ok("SELECT INBOX");
    server.assert_alive();
}

/// Garbage and half a handshake on every TLS port: a close, and no harm to the next client.
#[test]
fn attack_05_broken_handshakes() {
    let mut server = Server::start("attack-05");
    let hello = [&[0x16, 3, 1, 0x40, 0][..], &[0xAB; 0x4000]].concat();
    for port in [993, 465] {
        for octets in [&b"a LOGIN a b\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", &hello, &[0x16, 3, 1, 0xFF, 0xFF, 1]] {
            let mut wire = Wire::connect(server.port(port)).expect("a connection");
            wire.write(octets).expect("the connection");
            wire.finish();
            let rest = wire.rest().expect("a close");
            assert!(!rest.starts_with(b"* ") && !rest.starts_with(b"220"), "plain text on a TLS port: {}", show(&rest));
        }
    }
    let before = server.descriptors();
    let half: Vec<Wire> = (0..300)
        .map(|_| {
            let mut wire = Wire::connect(server.port(993)).expect("a connection");
            wire.write(&[0x16, 3, 1]).expect("the connection");
            wire
        })
        .collect();
    Imap::connect_tls(server.port(993)).expect("a handshake beside them").login(USER, &server.password());
    drop(half);
    crate::support::eventually("their descriptors are given back", Duration::from_secs(10), || {
        (server.descriptors() <= before + 2).then_some(())
    });
    server.assert_alive();
}
