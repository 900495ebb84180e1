//! The TRANSACTION state (RFC 1939 §5, §7): what is answered with one line, and where longer responses begin.
//!
//! A unique-id is `UIDVALIDITY-UID` in decimal: it stays the message's own over sessions and restarts, and no other message
//! of the maildrop ever has it. Sizes are RFC822.SIZE, the octets of the message as it is stored; a message that has bare
//! LFs, which IMAP's APPEND may bring in, is longer by as many octets when it is sent.

use super::maildrop::Maildrop;
use super::transmit::{Response, Scan};
use super::{Dialogue, State};
use crate::proto::imap::respond::number;
use crate::proto::pop3::{Command, Stuffer};
use crate::store::Entry;

/// RFC 1939 §5 doesn't tell them apart either.
pub(super) const NO_MESSAGE: &str = "No such message";

impl Dialogue {
    /// `Some`: a response that is sent as there is room.
    pub(super) fn transact(&mut self, command: Command<'_>) -> Option<Response> {
        let State::Transaction(maildrop) = &mut self.state else { return None };
        match command {
            Command::Noop => self.ok("Here I am"),
            Command::Stat => {
                let (messages, octets) = maildrop.stat();
                let out = self.wire.output();
                out.extend_from_slice(b"+OK ");
                number(out, u64::from(messages));
                out.push(b' ');
                number(out, octets);
                out.extend_from_slice(b"\r\n");
            }
            Command::Dele { message } => match maildrop.mark(message) {
                true => self.ok("Deleted, once you QUIT"),
                false => self.err(NO_MESSAGE),
            },
            Command::Rset => {
                maildrop.unmark();
                self.ok("Nothing is deleted");
            }
            Command::List { message: None } => return Some(Response::Scan { scan: Scan::List, next: 0 }),
            Command::Uidl { message: None } => return Some(Response::Scan { scan: Scan::Uidl, next: 0 }),
            Command::List { message: Some(message) } => self.scan_one(Scan::List, message),
            Command::Uidl { message: Some(message) } => self.scan_one(Scan::Uidl, message),
            Command::Retr { message } => return Some(Response::message(message, Stuffer::whole())),
            Command::Top { message, lines } => return Some(Response::message(message, Stuffer::top(lines))),
            Command::Stls => self.err("Not behind the login"),
            _ => self.err("Logged in already"),
        }
        None
    }

    /// LIST and UIDL of one message.
    fn scan_one(&mut self, scan: Scan, message: u32) {
        let State::Transaction(maildrop) = &self.state else { return };
        match maildrop.entry(message) {
            Some(entry) => {
                let out = self.wire.output();
                out.extend_from_slice(b"+OK ");
                write_scan(out, scan, (maildrop, message), &entry);
            }
            None => self.err(NO_MESSAGE),
        }
    }
}

/// A scan listing, `message size`, or a unique-id listing, `message id`, with its CRLF.
pub(super) fn write_scan(out: &mut Vec<u8>, scan: Scan, (maildrop, message): (&Maildrop, u32), entry: &Entry) {
    number(out, u64::from(message));
    out.push(b' ');
    match scan {
        Scan::List => number(out, u64::from(entry.size)),
        Scan::Uidl => {
            number(out, u64::from(maildrop.view().mailbox().uid_validity().0));
            out.push(b'-');
            number(out, u64::from(entry.uid.0));
        }
    }
    out.extend_from_slice(b"\r\n");
}
