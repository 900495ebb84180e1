//! Commands about messages: APPEND, COPY, MOVE, FETCH, STORE, SEARCH, EXPUNGE, and what is told of changes meanwhile.
//!
//! RFC 3501 §6.3.11, §6.4 and §7; RFC 4315 (UIDPLUS), RFC 6851 (MOVE). The faults of R-IMAP-10 have a test each, by name.

mod append;
mod copy;
mod fetch;
mod quota;
mod search;
mod store;
mod told;

use crate::support::imap::Reply;
use crate::support::{Imap, Server, show};

/// APPEND without waiting for a continuation request; `arguments` come between mailbox and message, each with a space behind it.
pub fn append(imap: &mut Imap, mailbox: &str, arguments: &str, message: &[u8]) -> Reply {
    let head = format!("APPEND {mailbox} {arguments}{{{}+}}\r\n", message.len());
    let tag = imap.start(&[head.as_bytes(), message].concat()).expect("the connection");
    imap.finish(&tag).expect("an answer")
}

/// A server with so many small messages in INBOX, by UIDs 1, 2, 3 and so on.
pub fn filled(name: &str, count: u32) -> Server {
    let server = Server::start(name);
    let mut imap = server.login();
    for number in 1..=count {
        let message = format!("Subject: number {number}\r\n\r\nbody {number}\r\n");
        let reply = append(&mut imap, "INBOX", "", message.as_bytes());
        assert_eq!(reply.status, "OK", "{}", reply.text);
    }
    server
}

/// Untagged responses as text.
pub fn lines(reply: &Reply) -> Vec<String> {
    reply.untagged.iter().map(|response| show(response)).collect()
}

/// Those of a kind: `EXISTS`, `RECENT`, `EXPUNGE`, `FETCH`.
pub fn of_kind(reply: &Reply, kind: &str) -> Vec<String> {
    lines(reply).into_iter().filter(|line| line.split(' ').nth(1) == Some(kind)).collect()
}
