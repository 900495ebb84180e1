//! EHLO and HELO (RFC 5321 §4.1.1.1), and LMTP's LHLO (RFC 2033 §4.1).
//!
//! The name that the client gives is kept for the Received line and checked for nothing else. What is offered depends on
//! TLS and on the listener, so it is written anew each time.

use super::{Dialogue, Hello, Next};
use crate::proto::smtp::reply;

impl Dialogue {
    pub(super) fn hello(&mut self, domain: &str, extended: bool) -> Next {
        if self.has_idled_enough() {
            return Next::Over;
        }
        (self.transaction, self.owed) = (None, 0);
        self.hello = Some(Hello { domain: domain.into(), extended });
        let host = self.context.config.hostname.clone();
        if !extended {
            self.reply(250, "", &host);
            return Next::Command;
        }
        let size = format!("SIZE {}", self.context.config.max_message_bytes);
        let mut lines =
            vec![host.as_str(), &size, "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8"];
        let esmtp = self.context.config.esmtp;
        for (name, _) in [("DSN", esmtp.dsn), ("VRFY", esmtp.vrfy)].into_iter().filter(|(_, on)| *on) {
            lines.push(name);
        }
        if self.offers_starttls() {
            lines.push("STARTTLS");
        }
        if self.allows_password() {
            lines.push("AUTH PLAIN LOGIN");
        }
        reply::lines(self.wire.output(), 250, "", &lines);
        Next::Command
    }
}
