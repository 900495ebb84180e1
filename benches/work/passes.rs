//! One pass of the server's code over some octets, as a session makes it.
//!
//! Each begins anew, with a framer or a walk of its own, and takes octets that are there whole: what straddles two receives is
//! the sessions' benches' matter.

use std::hint::black_box;

use bumpalo::Bump;
use ringpost::proto::imap::{Frame, Framer, Limits, parse};
use ringpost::proto::pop3::{Piece, Stuffer};
use ringpost::proto::smtp::{DataFramer, DataPiece};

/// Some commands, each by its name.
pub const COMMANDS: [(&str, &[u8]); 4] = [
    ("noop", b"a001 NOOP\r\n"),
    ("uid fetch", b"a002 UID FETCH 1:100,200:* (UID FLAGS RFC822.SIZE)\r\n"),
    ("fetch section", b"a003 FETCH 7 (BODY.PEEK[HEADER.FIELDS (SUBJECT FROM TO DATE)] ENVELOPE)\r\n"),
    ("search", b"a004 UID SEARCH NOT DELETED SINCE 1-Feb-1994 FROM \"Smith\" OR SEEN FLAGGED\r\n"),
];

/// Frames and parses an IMAP command.
pub fn frame_and_parse(arena: &mut Bump, octets: &[u8]) {
    let mut framer = Framer::default();
    let Frame::Command { length } = framer.next(black_box(octets), &Limits::AFTER_AUTHENTICATION) else {
        unreachable!("the command is whole")
    };
    black_box(parse(arena, &octets[..length]).expect("the command is right"));
    arena.reset();
}

/// A message as DATA sends it: dots doubled, the final dot behind it.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut stuffer = Stuffer::whole();
    loop {
        match stuffer.next(message, usize::MAX) {
            Piece::Octets(range) => data.extend_from_slice(&message[range]),
            Piece::Insert(octets) => data.extend_from_slice(octets),
            Piece::End => return data,
        }
    }
}

/// Takes the text of a message out of what DATA sent; its octets.
pub fn unstuff(data: &[u8]) -> usize {
    let (mut framer, mut at, mut bytes) = (DataFramer::default(), 0, 0);
    loop {
        match framer.next(black_box(&data[at..])) {
            DataPiece::Text { text, consumed } => (bytes, at) = (bytes + text.len(), at + consumed),
            DataPiece::End { .. } => return black_box(bytes),
            DataPiece::Partial => unreachable!("the text is whole"),
        }
    }
}

/// Names the pieces in which RETR sends a message; their octets.
pub fn stuff(message: &[u8]) -> usize {
    let (mut stuffer, mut bytes) = (Stuffer::whole(), 0);
    loop {
        match stuffer.next(black_box(message), usize::MAX) {
            Piece::Octets(range) => bytes += range.len(),
            Piece::Insert(octets) => bytes += octets.len(),
            Piece::End => return black_box(bytes),
        }
    }
}
