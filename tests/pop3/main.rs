//! POP3 against the running server: commands, logins, maildrops and what RETR sends, each read by a strict client.

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod login;
mod maildrop;
mod messages;

use support::{Server, USER};

/// Puts messages into the mailbox of the first user, in their order and octet for octet.
fn fill(server: &Server, messages: &[Vec<u8>]) {
    let mut imap = server.login();
    for message in messages {
        imap.append("INBOX", message);
    }
}

/// `count` small messages with different sizes.
fn small(count: usize) -> Vec<Vec<u8>> {
    (1..=count).map(|number| support::message::numbered(&format!("message-{number}"), number)).collect()
}

/// A whole login as a pipelining client writes it.
fn login_lines(server: &Server) -> String {
    format!("USER {USER}\r\nPASS {}\r\n", server.password())
}
