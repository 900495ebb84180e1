//! Every command, in the states that it is for and in the others; pipelining; lines that are none. RFC 1939, RFC 2449.

use crate::support::{Pop3, Server, USER, show};
use crate::{fill, login_lines, small};

#[test]
fn every_command() {
    let mut server = Server::start("pop3-commands");
    let messages = small(3);
    fill(&server, &messages);
    let sizes: Vec<u64> = messages.iter().map(|message| message.len() as u64).collect();
    let total: u64 = sizes.iter().sum();
    let mut pop3 = server.maildrop();
    assert_eq!(pop3.stat(), (3, total));
    let listed = |of: &[usize]| of.iter().map(|&n| format!("{n} {}", sizes[n - 1])).collect::<Vec<_>>();
    assert_eq!(pop3.lines("LIST"), listed(&[1, 2, 3]));
    assert_eq!(pop3.ok("LIST 2"), format!("+OK {}", listed(&[2])[0]));
    let ids = pop3.lines("UIDL");
    assert_eq!(ids.len(), 3);
    for (number, id) in ids.iter().enumerate() {
        let (message, id) = id.split_once(' ').expect("a number and an id");
        assert_eq!(message, (number + 1).to_string());
        // RFC 1939 §7: one to 70 characters from 0x21 to 0x7E.
        assert!((1..=70).contains(&id.len()) && id.bytes().all(|octet| (0x21..=0x7E).contains(&octet)), "{id}");
        assert_eq!(pop3.ok(&format!("UIDL {message}")), format!("+OK {message} {id}"));
    }
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(show(&pop3.retr(number + 1)), show(message));
    }
    pop3.ok("noop");
    // A message that is marked is gone from everything, and the numbers of the others stay.
    pop3.ok("DELE 2");
    assert_eq!(pop3.stat(), (2, total - sizes[1]));
    assert_eq!(pop3.lines("LIST"), listed(&[1, 3]));
    assert_eq!(pop3.lines("UIDL"), [ids[0].clone(), ids[2].clone()]);
    for command in ["LIST 2", "UIDL 2", "RETR 2", "TOP 2 0", "DELE 2", "RETR 4", "DELE 4", "LIST 0", "RETR 4294967296"]
    {
        pop3.expect(command, "-ERR No such message");
    }
    pop3.ok("RSET");
    assert_eq!(pop3.stat(), (3, total));
    assert_eq!(show(&pop3.retr(2)), show(&messages[1]));
    for command in
        ["STAT 1", "RETR", "RETR x", "RETR -1", "TOP 1", "TOP 1 x", "LIST x", "XTND", "LAST", "", "RETR  1 2"]
    {
        pop3.err(command);
    }
    for command in ["USER x", "PASS x", "AUTH PLAIN", "AUTH", "APOP a b", "STLS"] {
        pop3.err(command);
    }
    pop3.ok("NOOP");
    pop3.quit();
    let mut pop3 = server.pop3();
    for command in ["STAT", "LIST", "LIST 1", "RETR 1", "DELE 1", "NOOP", "RSET", "UIDL", "TOP 1 1", "XTND", "APOP a b"]
    {
        pop3.err(command);
    }
    pop3.quit();
    server.assert_alive();
}

#[test]
fn capabilities() {
    let server = Server::start("pop3-capa");
    let before = server.pop3().lines("CAPA");
    for tag in ["TOP", "USER", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "SASL PLAIN LOGIN", "STLS"] {
        assert!(before.iter().any(|line| line == tag), "{tag} is not in {before:?}");
    }
    assert!(before.iter().any(|line| line == "EXPIRE NEVER"), "{before:?}");
    assert!(before.iter().any(|line| line.starts_with("IMPLEMENTATION Ringpost-")), "{before:?}");
    assert!(!before.iter().any(|line| line == "UTF8" || line.starts_with("LANG")), "{before:?}");
    // RFC 2595 §4: STLS is for connections without TLS.
    let without: Vec<String> = before.iter().filter(|line| *line != "STLS").cloned().collect();
    assert_eq!(server.pop3().stls().lines("CAPA"), without);
    let mut tls = Pop3::connect_tls(server.port(995)).expect("a TLS connection");
    assert_eq!(tls.lines("CAPA"), without);
    tls.login(USER, &server.password());
    assert_eq!(tls.lines("capa"), without);
}

#[test]
fn a_whole_session_in_one_write() {
    let server = Server::start("pop3-pipelining");
    let messages = small(20);
    fill(&server, &messages);
    for turn in 0..2 {
        let mut pop3 = server.pop3();
        let retrievals: String = (1..=20).map(|number| format!("RETR {number}\r\nLIST {number}\r\n")).collect();
        let session = format!("{}STAT\r\n{retrievals}UIDL\r\nNOPE\r\nNOOP\r\nQUIT\r\nNOOP\r\n", login_lines(&server));
        pop3.wire.write(session.as_bytes()).expect("the connection");
        for _ in 0..3 {
            assert!(pop3.status().expect("an answer").starts_with("+OK"));
        }
        for (number, message) in messages.iter().enumerate() {
            assert!(pop3.status().expect("an answer").starts_with("+OK"));
            assert_eq!(show(&pop3.text().expect("a message")), show(message), "turn {turn}");
            assert_eq!(pop3.status().expect("an answer"), format!("+OK {} {}", number + 1, message.len()));
        }
        assert!(pop3.status().expect("an answer").starts_with("+OK"));
        assert_eq!(pop3.text().expect("ids").iter().filter(|octet| **octet == b'\n').count(), 20);
        assert!(pop3.status().expect("an answer").starts_with("-ERR"));
        assert!(pop3.status().expect("an answer").starts_with("+OK"));
        assert!(pop3.status().expect("an answer").starts_with("+OK"), "QUIT");
        assert!(pop3.wire.rest().expect("the end").is_empty(), "an answer behind QUIT");
    }
}

#[test]
fn lines_that_are_none() {
    let mut server = Server::start("pop3-lines");
    // RFC 2449 §4: 255 octets; what is longer is refused and the dialogue stays in step.
    let mut pop3 = server.maildrop();
    pop3.ok(&format!("NOOP{}", " ".repeat(249)));
    pop3.expect(&format!("NOOP{}", " ".repeat(250)), "-ERR Line too long");
    pop3.expect(&"x".repeat(3000), "-ERR Line too long");
    pop3.ok("NOOP");
    pop3.quit();
    // An endless one ends the connection, before the login and behind it.
    for mut pop3 in [server.maildrop(), server.pop3()] {
        let _ = pop3.wire.write(&[b'x'; 200_000]);
        let said = pop3.wire.rest().expect("a close");
        // Octets of ours that it left unread make a reset of the close, which may take the answer away.
        assert!(said.starts_with(b"-ERR Line too long\r\n") || said.is_empty(), "{}", show(&said));
    }
    // Lines end in CRLF and nothing else: what a proxy before us may read otherwise is no command here.
    for octets in [&b"NOOP\nQUIT\r\n"[..], b"NOOP\rQUIT\r\n", b"NO\0OP\r\n"] {
        let mut pop3 = server.maildrop();
        pop3.wire.write(octets).expect("the connection");
        let said = pop3.wire.rest().expect("a close");
        assert!(
            said.starts_with(b"-ERR ") && said.iter().filter(|octet| **octet == b'\n').count() == 1,
            "{}",
            show(&said)
        );
    }
    server.assert_alive();
}
