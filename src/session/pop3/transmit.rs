//! Responses of many lines, bounded: RETR, TOP, LIST and UIDL go out as the client takes them.
//!
//! Invariants: a session that waits for a slow reader holds a cursor and the octets under way, nothing else; whatever may
//! fail is done before `+OK` is said; nothing is allocated unless a block of the map was never looked at. Long runs of a
//! message are lent to the kernel from the map, shorter ones are copied into the output. Where the disk turns out not to give a
//! message, `+OK` is taken back, unless some of it is with the client: then the connection ends.

use std::io;

use super::transaction::{NO_MESSAGE, write_scan};
use super::{Dialogue, State, refusal};
use crate::limits;
use crate::net::Wire;
use crate::proto::imap::respond::number;
use crate::proto::pop3::{Piece, Stuffer};
use crate::session::warn_of;
use crate::store::{ColdBlocks, Error, Message, Reading};

/// What a listing is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scan {
    /// Sizes.
    List,
    /// Unique-ids.
    Uidl,
}

/// A response, and how far it has come.
pub(super) enum Response {
    /// From message `next` on; 0: not begun.
    Scan { scan: Scan, next: u32 },
    /// A message of this number; pinned once it is begun.
    Message { message: u32, pinned: Option<Message>, stuffer: Stuffer },
}

impl Response {
    pub(super) fn message(message: u32, stuffer: Stuffer) -> Response {
        Response::Message { message, pinned: None, stuffer }
    }
}

/// Why [`Dialogue::fill`] stopped.
enum Stop {
    Done,
    /// Enough output to flush.
    Full,
    /// The message of this number has blocks that must be read in first.
    Cold(u32, Box<ColdBlocks>),
    /// It can't be read: a refusal, where nothing is with the client.
    Refused(Box<Error>),
    /// The client has some of it.
    Broken(Box<Error>),
}

impl Dialogue {
    pub(super) async fn transmit(&mut self, mut response: Response) -> io::Result<()> {
        let refused = loop {
            match self.fill(&mut response) {
                Stop::Done => return Ok(()),
                Stop::Full => {
                    self.wire.flush().await?;
                    self.wire.sent().await?;
                    self.wire.ring().breathe().await;
                }
                Stop::Cold(message, cold) => {
                    if let Err(error) = Box::pin(self.warm(message, cold)).await {
                        break error;
                    }
                }
                Stop::Refused(error) => break *error,
                Stop::Broken(error) => {
                    warn_of(&error);
                    Box::pin(self.context.store.put_aside(&error)).await;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
                }
            }
        };
        Box::pin(self.context.store.put_aside(&refused)).await;
        self.err(refusal(&refused));
        Ok(())
    }

    async fn warm(&mut self, message: u32, cold: Box<ColdBlocks>) -> Result<(), Error> {
        let warm = self.context.verify(*cold).await?;
        if let State::Transaction(maildrop) = &self.state {
            maildrop.view().warmed(message, &warm);
        }
        Ok(())
    }

    /// Writes from where the response stopped until there is enough.
    fn fill(&mut self, response: &mut Response) -> Stop {
        let State::Transaction(maildrop) = &self.state else { return Stop::Done };
        let (number, pinned, stuffer) = match response {
            Response::Scan { scan, next } => return self.fill_scan(*scan, next),
            Response::Message { message, pinned, stuffer } => (*message, pinned, stuffer),
        };
        if let Some(pinned) = pinned {
            let filled = fill_message(&mut self.wire, pinned, stuffer);
            return filled.unwrap_or_else(|error| Stop::Broken(Box::new(error)));
        }
        if maildrop.entry(number).is_none() {
            self.err(NO_MESSAGE);
            return Stop::Done;
        }
        if let Some(cold) = maildrop.view().cold(number, &Reading::Octets(0..usize::MAX)) {
            return Stop::Cold(number, Box::new(cold));
        }
        match whole(maildrop.view().message(number)) {
            Ok(Some(message)) => {
                let start = self.wire.mark();
                announce(self.wire.output(), message.size());
                fill_message(&mut self.wire, pinned.insert(message), stuffer).unwrap_or_else(|error| {
                    self.wire.rewind(start);
                    Stop::Refused(Box::new(error))
                })
            }
            Ok(None) => {
                self.err(NO_MESSAGE);
                Stop::Done
            }
            Err(error) => Stop::Refused(Box::new(error)),
        }
    }

    /// LIST and UIDL of all messages.
    fn fill_scan(&mut self, scan: Scan, next: &mut u32) -> Stop {
        let State::Transaction(maildrop) = &self.state else { return Stop::Done };
        let out = self.wire.output();
        if *next == 0 {
            let (messages, octets) = maildrop.stat();
            out.extend_from_slice(b"+OK ");
            number(out, u64::from(messages));
            out.extend_from_slice(b" messages (");
            number(out, octets);
            out.extend_from_slice(b" octets)\r\n");
            *next = 1;
        }
        while *next <= maildrop.highest() {
            if out.len() >= limits::OUTPUT_BYTES_FULL {
                return Stop::Full;
            }
            if let Some(entry) = maildrop.entry(*next) {
                write_scan(out, scan, (maildrop, *next), &entry);
            }
            *next += 1;
        }
        out.extend_from_slice(b".\r\n");
        Stop::Done
    }
}

/// A message whose record and octets were checked.
fn whole(message: Result<Option<Message>, Error>) -> Result<Option<Message>, Error> {
    if let Ok(Some(message)) = &message {
        message.raw()?;
    }
    message
}

fn announce(out: &mut Vec<u8>, octets: u64) {
    out.extend_from_slice(b"+OK ");
    number(out, octets);
    out.extend_from_slice(b" octets\r\n");
}

/// The message from where `stuffer` stopped. An error, which is not met with a checked message unless some of it is lost: what
/// was announced can't be kept.
fn fill_message(wire: &mut Wire, message: &Message, stuffer: &mut Stuffer) -> Result<Stop, Error> {
    let raw = message.raw()?;
    // It has the length that it had.
    message.still_whole()?;
    let stop = loop {
        if wire.is_full() {
            break Stop::Full;
        }
        match stuffer.next(raw, limits::SEND_BYTES) {
            Piece::Insert(octets) => wire.output().extend_from_slice(octets),
            Piece::Octets(range) if range.len() < limits::LEND_BYTES_MIN => {
                wire.output().extend_from_slice(&raw[range]);
            }
            Piece::Octets(range) => {
                let (source, range) = message.lend(range)?;
                wire.parcel().lend(source, range);
            }
            Piece::End => break Stop::Done,
        }
    };
    message.still_whole().map(|()| stop)
}
