//! The maildrop: deletion at QUIT alone, one session at a time, stable ids, and what IMAP sessions see of it.
//! RFC 1939 §4, §6, §7.

use std::time::Duration;

use crate::support::message::numbered;
use crate::support::{Pop3, Server, USER, eventually, show};
use crate::{fill, login_lines, small};

/// Logs in, however long another session's end takes to be seen.
fn again(server: &Server) -> Pop3 {
    eventually("the maildrop is free", Duration::from_secs(5), || {
        let mut pop3 = server.pop3();
        let answer = pop3.attempt_login(USER, &server.password()).expect("an answer");
        assert!(answer.starts_with("+OK") || answer.starts_with("-ERR [IN-USE]"), "{answer}");
        answer.starts_with("+OK").then_some(pop3)
    })
}

#[test]
fn only_quit_deletes() {
    let mut server = Server::start("pop3-quit");
    let messages = small(5);
    fill(&server, &messages);
    let ids = server.maildrop().lines("UIDL");
    // The connection breaks, at once and behind a reset.
    let mut pop3 = again(&server);
    for number in 1..=5 {
        pop3.ok(&format!("DELE {number}"));
    }
    drop(pop3);
    let mut pop3 = again(&server);
    assert_eq!(pop3.lines("UIDL"), ids);
    pop3.ok("DELE 1");
    pop3.wire.finish();
    assert!(pop3.wire.rest().expect("the end").is_empty());
    // The server stops: the client is told, which it takes for the answer to what it says next.
    let mut pop3 = again(&server);
    pop3.ok("DELE 1");
    server.stop();
    pop3.expect("QUIT", "-ERR [SYS/TEMP]");
    server.run();
    let mut pop3 = server.maildrop();
    assert_eq!(pop3.lines("UIDL"), ids, "after a restart");
    // Killed.
    pop3.ok("DELE 1");
    server.kill();
    server.run();
    let mut pop3 = server.maildrop();
    assert_eq!(pop3.lines("UIDL"), ids, "after a kill");
    // And now.
    for number in [1, 2, 4] {
        pop3.ok(&format!("DELE {number}"));
    }
    pop3.quit();
    let left = [ids[2].replacen("3 ", "1 ", 1), ids[4].replacen("5 ", "2 ", 1)];
    let mut pop3 = server.maildrop();
    assert_eq!(pop3.lines("UIDL"), left);
    assert_eq!(show(&pop3.retr(2)), show(&messages[4]));
    pop3.quit();
    server.kill();
    server.run();
    let mut pop3 = server.maildrop();
    assert_eq!(pop3.lines("UIDL"), left, "what QUIT has confirmed is durable");
    // An id is never used again, not even of the last message.
    pop3.ok("DELE 2");
    pop3.quit();
    fill(&server, &[numbered("new", 1)]);
    let now = server.maildrop().lines("UIDL");
    assert!(now.len() == 2 && !ids.iter().any(|id| id.split(' ').nth(1) == now[1].split(' ').nth(1)), "{now:?}");
}

#[test]
fn one_session_at_a_time() {
    let server = Server::start_with("pop3-in-use", &["--cpus", "0,1"]);
    let password = server.password();
    let first = server.maildrop();
    // Whichever shard they come to.
    for _ in 0..12 {
        let mut pop3 = server.pop3();
        let answer = pop3.attempt_login(USER, &password).expect("an answer");
        assert!(answer.starts_with("-ERR [IN-USE]"), "{answer}");
        assert!(pop3.wire.rest().expect("the end").is_empty());
    }
    // Another user's is another one, and IMAP goes on beside it.
    let mut other = server.pop3();
    other.login("b@localhost", &server.password_of("b@localhost"));
    server.select("INBOX").ok("NOOP");
    first.quit();
    // It is free before QUIT is answered.
    for _ in 0..12 {
        server.maildrop().quit();
    }
    drop(server.maildrop());
    again(&server).quit();
}

#[test]
fn imap_beside_it() {
    let server = Server::start("pop3-imap");
    let messages = small(4);
    fill(&server, &messages);
    let mut imap = server.select("INBOX");
    let mut pop3 = server.maildrop();
    imap.ok("STORE 2 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    imap.append("INBOX", &numbered("late", 1));
    // Numbers stay, the expunged message can still be read, the new one is there at the next login.
    assert_eq!(pop3.stat().0, 4);
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(show(&pop3.retr(number + 1)), show(message));
    }
    pop3.err("RETR 5");
    // A fetched message was not read by anybody.
    let flags = imap.ok("FETCH 1:* FLAGS");
    assert!(flags.fetched().iter().all(|fetched| !fetched.flags().iter().any(|flag| flag == "\\Seen")), "{flags:?}");
    imap.ok("STORE 1 +FLAGS (\\Seen)");
    // What is gone already is deleted once more without harm, and nothing else goes with it.
    pop3.ok("DELE 2");
    pop3.ok("DELE 3");
    pop3.quit();
    let noop = imap.ok("NOOP");
    assert_eq!(noop.starting("2 EXPUNGE").count(), 1, "{noop:?}");
    let mut texts = Vec::new();
    let mut pop3 = server.maildrop();
    for number in 1..=pop3.stat().0 as usize {
        texts.push(show(&pop3.retr(number)));
    }
    assert_eq!(texts, [&messages[0], &messages[3], &numbered("late", 1)].map(|message| show(message)));
}

/// Sessions come to one shard of two, and go on at that of their user with what they had sent already.
#[test]
fn sessions_move_to_their_users() {
    let mut server = Server::start_with("pop3-move", &["--cpus", "0,1"]);
    let messages = small(2);
    fill(&server, &messages);
    let session = format!("{}LIST\r\nRETR 2\r\nQUIT\r\n", login_lines(&server));
    for turn in 0..24 {
        let mut pop3 = match turn % 3 {
            0 => server.pop3(),
            1 => server.pop3().stls(),
            _ => Pop3::connect_tls(server.port(995)).expect("a TLS connection"),
        };
        pop3.wire.write(session.as_bytes()).expect("the connection");
        for _ in 0..2 {
            assert!(pop3.status().expect("an answer").starts_with("+OK"));
        }
        assert!(pop3.status().expect("LIST").starts_with("+OK 2 messages"));
        assert_eq!(pop3.text().expect("sizes").split(|octet| *octet == b'\n').count(), 3);
        pop3.status().expect("RETR");
        assert_eq!(show(&pop3.text().expect("a message")), show(&messages[1]));
        assert!(pop3.status().expect("QUIT").starts_with("+OK"));
    }
    server.assert_alive();
}
