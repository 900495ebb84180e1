//! IDLE (RFC 2177): a client is told of new mail without asking, wherever it came in.

use std::time::{Duration, Instant};

use crate::support::message::numbered;
use crate::support::{Imap, Server, USER, show};

/// Reads until EXISTS says `count`.
pub fn wait_for_exists(imap: &mut Imap, count: u32) {
    loop {
        let response = imap.response().unwrap_or_else(|error| panic!("{count} EXISTS was due: {error}"));
        if response == format!("* {count} EXISTS").as_bytes() {
            return;
        }
        assert!(response.starts_with(b"* "), "{}", show(&response));
    }
}

/// The delay from the `250` to the line in IDLE, on the users' own and on other shards, for messages by SMTP and by APPEND.
#[test]
fn delivery_is_told_at_once() {
    let server = Server::start("idle");
    let mut listeners: Vec<Imap> = (0..8).map(|_| server.select("INBOX")).collect();
    let tags: Vec<String> = listeners.iter_mut().map(Imap::idle).collect();
    let (mut smtp, mut appender) = (server.smtp(), server.login());
    let mut delays = Vec::new();
    for count in 1..=40 {
        let message = numbered(&format!("idle-{count}"), 10);
        if count % 2 == 0 {
            appender.append("INBOX", &message);
        } else {
            smtp.deliver(USER, &message);
        }
        let acknowledged = Instant::now();
        for listener in &mut listeners {
            wait_for_exists(listener, count);
            delays.push(acknowledged.elapsed());
        }
    }
    delays.sort();
    let (middle, last) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    println!("IDLE told after the acknowledgement: median {middle:?}, longest {last:?}, of {}", delays.len());
    assert!(last < Duration::from_secs(2), "the longest delay is {last:?}");
    for (listener, tag) in listeners.iter_mut().zip(&tags) {
        listener.done(tag);
    }
}

/// Flags and expunges of another session are told too, and IDLE ends in step whatever came before DONE.
#[test]
fn flags_and_expunges_are_told() {
    let server = Server::start("idle-flags");
    let mut other = server.select("INBOX");
    for count in 0..3 {
        other.append("INBOX", &numbered(&format!("told-{count}"), 1));
    }
    let mut imap = server.select("INBOX");
    let tag = imap.idle();
    other.ok(r"STORE 2 +FLAGS (\Deleted \Flagged)");
    let told = imap.response().expect("a FETCH response");
    let text = String::from_utf8(told).expect("ASCII");
    assert!(text.starts_with("* 2 FETCH (") && text.contains(r"\Flagged") && text.contains(r"\Deleted"), "{text}");
    other.ok("EXPUNGE");
    let told = imap.response().expect("an EXPUNGE response");
    assert_eq!(told, b"* 2 EXPUNGE", "{}", show(&told));
    imap.done(&tag);
    assert_eq!(imap.ok("UID SEARCH ALL").found(), [1, 3]);
}
