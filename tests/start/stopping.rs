//! SIGTERM: every client is told, the process ends with code 0, and a new start has everything.

use std::time::{Duration, Instant};

use crate::support::message::numbered;
use crate::support::{Imap, Server, USER, show};

/// Clients in every state of both protocols, plain and TLS, are told in their protocol's words.
#[test]
fn clients_are_told() {
    let mut server = Server::start("stopping");
    let mut imap = vec![server.imap(), server.login(), server.select("INBOX")];
    imap.push(Imap::connect_tls(server.port(993)).expect("a TLS connection"));
    imap.push(server.imap().starttls());
    let mut idle = server.select("INBOX");
    idle.start(b"IDLE").expect("the connection");
    assert!(idle.response().expect("a continuation request").starts_with(b"+"));
    imap.push(idle);
    // In the middle of a command line, and of a literal.
    let mut half = server.imap();
    half.wire.write(b"a NO").expect("the connection");
    imap.push(half);

    let mut smtp = vec![server.smtp(), server.submission(), server.submission().starttls()];
    let mut mail = server.smtp();
    mail.expect("MAIL FROM:<sender@client.example>", "250");
    mail.expect(&format!("RCPT TO:<{USER}>"), "250");
    smtp.push(mail);

    server.login().append("INBOX", &numbered("kept", 5));
    let begin = Instant::now();
    server.signal(libc::SIGTERM);
    for (number, client) in imap.iter_mut().enumerate() {
        let text = client.wire.rest().unwrap_or_else(|error| panic!("IMAP client {number}: {error}"));
        let last = text.split_inclusive(|&octet| octet == b'\n').next_back().unwrap_or_default();
        assert!(last.starts_with(b"* BYE ") && last.ends_with(b"\r\n"), "IMAP client {number}: {}", show(&text));
    }
    for (number, client) in smtp.iter_mut().enumerate() {
        let text = client.wire.rest().unwrap_or_else(|error| panic!("SMTP client {number}: {error}"));
        assert!(text.starts_with(b"421 4.3.2") || text.starts_with(b"421 "), "SMTP client {number}: {}", show(&text));
        assert!(text.ends_with(b"\r\n"), "SMTP client {number}: {}", show(&text));
    }
    let status = server.end();
    assert_eq!(status.code(), Some(0), "{status}");
    println!("stopped in {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(10), "stopped after {:?}", begin.elapsed());
    server.run();
    assert_eq!(server.select("INBOX").text(1), numbered("kept", 5));
}

/// A client that neither reads nor leaves keeps the server for `drain_seconds` at most, which a configuration file says.
#[test]
fn silent_clients_do_not_keep_it() {
    let mut server = Server::start_configured("stopping-silent", "drain_seconds = 2\n");
    let mut appender = server.login();
    for number in 0..4 {
        appender.append("INBOX", &numbered(&format!("large-{number}"), 40_000));
    }
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let mut imap = server.select("INBOX");
        imap.start(b"FETCH 1:* BODY.PEEK[]").expect("the connection");
        deaf.push(imap);
    }
    let mut amid_data = server.smtp();
    amid_data.expect("MAIL FROM:<sender@client.example>", "250");
    amid_data.expect(&format!("RCPT TO:<{USER}>"), "250");
    amid_data.expect("DATA", "354");
    amid_data.wire.write(b"Subject: half\r\n").expect("the connection");
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    server.stop();
    println!("stopped in {:?} beside clients that don't read", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(5), "stopped after {:?}", begin.elapsed());
    server.run();
    assert_eq!(server.login().ok("SELECT INBOX").exists(), Some(4), "half a message was kept");
}

/// An APPEND and a DATA that are under way when the stop comes may end, and are kept.
#[test]
fn transfers_under_way_may_end() {
    let mut server = Server::start("stopping-transfers");
    let message = numbered("under-way", 200);
    let (first, rest) = message.split_at(message.len() / 2);
    let mut imap = server.login();
    let tag = imap.start(format!("APPEND INBOX {{{}}}", message.len()).as_bytes()).expect("the connection");
    assert!(imap.response().expect("a continuation request").starts_with(b"+"));
    imap.wire.write(first).expect("the connection");
    let mut smtp = server.smtp();
    smtp.expect("MAIL FROM:<sender@client.example>", "250");
    smtp.expect(&format!("RCPT TO:<{USER}>"), "250");
    smtp.expect("DATA", "354");
    smtp.wire.write(first).expect("the connection");
    server.signal(libc::SIGTERM);
    std::thread::sleep(Duration::from_millis(500));
    imap.wire.write(rest).expect("the connection");
    std::thread::sleep(Duration::from_millis(200));
    imap.wire.write(b"\r\n").expect("the connection");
    let reply = imap.finish(&tag).expect("an answer");
    assert!(reply.shown().starts_with("OK [APPENDUID "), "{}", reply.shown());
    smtp.wire.write(&[rest, b".\r\n"].concat()).expect("the connection");
    smtp.due("250 2.0.0");
    let status = server.end();
    assert_eq!(status.code(), Some(0), "{status}");
    server.run();
    let mut imap = server.select("INBOX");
    assert_eq!(imap.text(1), message);
    assert!(imap.text(2).ends_with(&message));
}

/// What is acknowledged while it stops is kept; the rest is refused or cut, never half.
#[test]
fn deliveries_during_the_stop_are_whole() {
    let mut server = Server::start("stopping-busy");
    let port = server.port(25);
    let clients: Vec<_> = (0..8)
        .map(|client| {
            std::thread::spawn(move || {
                let mut acknowledged = Vec::new();
                let Ok(mut smtp) = crate::support::Smtp::connect(port) else { return acknowledged };
                if smtp.attempt("EHLO client.example").is_err() {
                    return acknowledged;
                }
                for number in 0.. {
                    let subject = format!("busy-{client}-{number}");
                    match smtp.send("sender@client.example", USER, &numbered(&subject, 20)) {
                        Ok(reply) if reply.code == 250 => acknowledged.push(subject),
                        Ok(reply) => {
                            assert_eq!(reply.code, 421, "{}", reply.shown());
                            break;
                        }
                        Err(_) => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    server.stop();
    let acknowledged: Vec<String> = clients.into_iter().flat_map(|client| client.join().expect("a client")).collect();
    assert!(acknowledged.len() > 8, "too few: {}", acknowledged.len());
    server.run();
    let mut imap = server.select("INBOX");
    let fetched = imap.ok("FETCH 1:* (BODY.PEEK[])").fetched();
    let mut texts: Vec<&[u8]> = fetched.iter().map(|message| message.octets("BODY[]")).collect();
    for subject in &acknowledged {
        let sent = numbered(subject, 20);
        let at = texts.iter().position(|text| text.ends_with(&sent));
        texts.swap_remove(at.unwrap_or_else(|| panic!("{subject} was acknowledged and is lost")));
    }
    println!("{} acknowledged before the end, {} more are there", acknowledged.len(), texts.len());
    assert!(texts.len() <= 8, "more than one unacknowledged message a client: {}", texts.len());
}

/// Ctrl-C is SIGTERM's twin.
#[test]
fn an_interrupt_stops_it_as_well() {
    let mut server = Server::start("stopping-interrupt");
    let mut smtp = server.smtp();
    smtp.deliver(USER, &numbered("last", 5));
    server.signal(libc::SIGINT);
    let status = server.end();
    assert_eq!(status.code(), Some(0), "{status}");
    server.run();
    assert_eq!(server.login().ok("SELECT INBOX").exists(), Some(1));
}
