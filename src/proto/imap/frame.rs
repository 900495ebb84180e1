//! Finds whole IMAP commands in a stream of bytes: lines, and the literals that they announce.
//!
//! Invariants: each byte is scanned once, whatever the chunking (literals are not scanned at all); a literal is judged
//! by its number, before any of it is read; after a refusal the framer knows where the next command begins, or asks to
//! close. The message of an APPEND is not collected: it is reported, and the session streams it itself. It does not
//! know what a command means. RFC 3501 §4.3 and §9, RFC 7888.

use memchr::{memchr, memrchr};

use crate::limits;
use crate::proto::line::{Fault, Scan, Skip, Skipped, scan};

/// What one command may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// All of the command outside of its literals.
    pub line_bytes: usize,
    /// One literal that is not an APPEND's message.
    pub literal_bytes: usize,
    /// All of those together.
    pub literals_bytes: usize,
    /// Their number.
    pub literals: usize,
    /// How much of a refused line is skipped before the connection is closed.
    pub skip_bytes: usize,
    /// An APPEND's message is reported as [`Frame::AppendLiteral`]; else it is a literal like others.
    pub append: bool,
}

impl Limits {
    /// What a stranger may send.
    pub const BEFORE_AUTHENTICATION: Limits = Limits {
        line_bytes: limits::LINE_BYTES_BEFORE_AUTH_MAX,
        literal_bytes: limits::LINE_BYTES_BEFORE_AUTH_MAX,
        literals_bytes: limits::LINE_BYTES_BEFORE_AUTH_MAX * limits::LITERALS_BEFORE_AUTH_MAX,
        literals: limits::LITERALS_BEFORE_AUTH_MAX,
        skip_bytes: limits::SKIP_BYTES_BEFORE_AUTH_MAX,
        append: false,
    };
    /// What a user may send.
    pub const AFTER_AUTHENTICATION: Limits = Limits {
        line_bytes: limits::LINE_BYTES_MAX,
        literal_bytes: limits::LITERALS_BYTES_MAX,
        literals_bytes: limits::LITERALS_BYTES_MAX,
        literals: limits::LITERALS_MAX,
        skip_bytes: limits::SKIP_BYTES_MAX,
        append: true,
    };
}

/// What [`Framer::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Not a whole command yet: call again when more has come.
    Partial,
    /// A synchronising literal was announced and is accepted: send `+ ` and a text, once, and call again.
    Continue,
    /// A whole command: parse and drop `length` bytes. The framer is ready for the next one.
    Command {
        /// Bytes, literals and the last CRLF included.
        length: usize,
    },
    /// An APPEND up to its message. Parse and drop `head` bytes; where the message is wanted, send `+ ` if
    /// `synchronising`, take `size` bytes from the stream, then call [`Framer::resume_after_append`]: the rest of the
    /// line comes as a [`Frame::Command`], or as another of these where it announces more. Where it is not wanted and
    /// `synchronising`, answer and go on with the next command; else throw away `size` bytes and resume just so, or close.
    AppendLiteral {
        /// Bytes up to the end of `{n}CRLF`.
        head: usize,
        /// Bytes of the message.
        size: u64,
        /// The client waits for a continuation request.
        synchronising: bool,
    },
    /// The command is refused: drop `length` bytes, answer (tagged, where [`super::parse::tag`] finds one in them), and
    /// say BYE and close where `close` says so. What may follow of the refused line comes as [`Frame::Skipped`].
    Refused {
        /// Why.
        kind: Refusal,
        /// Bytes to drop.
        length: usize,
        /// What follows can't be told apart from commands.
        close: bool,
    },
    /// More of a refused line: drop `length` bytes, say nothing.
    Skipped {
        /// Bytes to drop.
        length: usize,
    },
}

/// Why a command is refused before it is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A fault of the line.
    Line(Fault),
    /// A literal over its limit, or all of them together.
    LiteralTooLarge,
    /// More literals than a command may have.
    LiteralsTooMany,
    /// What ends the line looks like a literal and is none.
    LiteralMalformed,
}

impl Refusal {
    /// The response to the client, without its tag.
    pub fn text(self) -> &'static str {
        match self {
            Refusal::Line(Fault::TooLong) => "BAD [TOOBIG] Command line too long",
            Refusal::Line(Fault::BareCr) => "BAD Bare CR: lines end in CRLF",
            Refusal::Line(Fault::BareLf) => "BAD Bare LF: lines end in CRLF",
            Refusal::Line(Fault::Nul) => "BAD NUL is not allowed",
            Refusal::LiteralTooLarge => "BAD [TOOBIG] Literal too large",
            Refusal::LiteralsTooMany => "BAD [TOOBIG] Too many literals",
            Refusal::LiteralMalformed => "BAD Malformed literal",
        }
    }
}

/// Finds one command after the other. A connection has one as long as it lives.
#[derive(Clone, Debug, Default)]
pub struct Framer {
    /// Up to here the command was scanned; beyond the input: it ends in a literal that is still coming.
    scanned: usize,
    /// Where the line began that is being scanned, after the last literal.
    start: usize,
    /// Bytes of the lines before it.
    text: usize,
    /// Literals so far, and their bytes.
    literals: usize,
    literals_bytes: usize,
    /// The rest of an APPEND, not a command.
    tail: bool,
    /// Boxed: it is rare, and each connection has a framer.
    skip: Option<Box<Skip>>,
}

impl Framer {
    /// Looks at `input`, all unconsumed bytes of the command from its first one.
    pub fn next(&mut self, input: &[u8], limits: &Limits) -> Frame {
        if self.skip.is_some() {
            return self.skip(input);
        }
        loop {
            if input.len() < self.scanned {
                return Frame::Partial; // within a literal
            }
            let limit = self.start + limits.line_bytes.saturating_sub(self.text);
            match scan(input, self.scanned, limit) {
                Scan::Partial(scanned) => {
                    self.scanned = scanned;
                    return Frame::Partial;
                }
                Scan::Fault(fault, length) => return self.refuse_line(fault, &input[..length], limits.skip_bytes),
                Scan::End(end) => {
                    if let Some(frame) = self.line_end(input, end, limits) {
                        return frame;
                    }
                }
            }
        }
    }

    /// Looks for a line that has no literals: a SASL response, IDLE's `DONE`. It comes as [`Frame::Command`].
    pub fn next_line(&mut self, input: &[u8], line_bytes: usize, limits: &Limits) -> Frame {
        if self.skip.is_some() {
            return self.skip(input);
        }
        match scan(input, self.scanned, line_bytes) {
            Scan::Partial(scanned) => {
                self.scanned = scanned;
                Frame::Partial
            }
            Scan::Fault(fault, length) => self.refuse_line(fault, &input[..length], limits.skip_bytes),
            Scan::End(length) => {
                *self = Framer::default();
                Frame::Command { length }
            }
        }
    }

    /// The message of an APPEND was taken from the stream: what comes next is the rest of its line.
    pub fn resume_after_append(&mut self) {
        *self = Framer { tail: true, ..Framer::default() };
    }

    /// A line ended before `end`: the command with it, or a literal follows. `None`: it was accepted, scan on.
    fn line_end(&mut self, input: &[u8], end: usize, limits: &Limits) -> Option<Frame> {
        let line = &input[self.start..end - 2];
        let (marker, synchronising) = match marker(line) {
            Marker::Absent => {
                *self = Framer::default();
                return Some(Frame::Command { length: end });
            }
            Marker::Malformed { synchronising } => {
                return Some(self.refuse(Refusal::LiteralMalformed, end, !synchronising));
            }
            Marker::Literal(marker) => (marker, marker.synchronising),
        };
        if self.tail || limits.append && is_message(input, self.start + marker.at) {
            *self = Framer::default();
            let size = u64::from(marker.size);
            return Some(Frame::AppendLiteral { head: end, size, synchronising });
        }
        let size = marker.size as usize;
        if self.literals >= limits.literals {
            return Some(self.refuse(Refusal::LiteralsTooMany, end, !synchronising));
        }
        if size > limits.literal_bytes || size > limits.literals_bytes.saturating_sub(self.literals_bytes) {
            return Some(self.refuse(Refusal::LiteralTooLarge, end, !synchronising));
        }
        self.text += end - self.start;
        self.literals += 1;
        self.literals_bytes += size;
        self.start = end + size;
        self.scanned = self.start;
        synchronising.then_some(Frame::Continue)
    }

    /// Refuses a command at the end of a line. A client whose synchronising literal is refused doesn't send it
    /// (RFC 3501 §7.5); one that sends without asking has sent it already (RFC 7888 §4: BYE).
    fn refuse(&mut self, kind: Refusal, length: usize, close: bool) -> Frame {
        *self = Framer::default();
        Frame::Refused { kind, length, close }
    }

    /// Refuses a command in the middle of a line; the rest of the line is skipped.
    fn refuse_line(&mut self, fault: Fault, seen: &[u8], skip_bytes: usize) -> Frame {
        *self = Framer { skip: Some(Box::new(Skip::new(seen, skip_bytes))), ..Framer::default() };
        Frame::Refused { kind: Refusal::Line(fault), length: seen.len(), close: false }
    }

    fn skip(&mut self, input: &[u8]) -> Frame {
        let Some(skip) = &mut self.skip else { return Frame::Partial };
        match skip.next(input) {
            Skipped::More(0) => Frame::Partial,
            Skipped::More(length) => Frame::Skipped { length },
            // The line that was not read ends in the announcement of bytes that are no command.
            Skipped::End { length, plus: true } => {
                let kind = Refusal::LiteralMalformed;
                Frame::Refused { kind, length, close: true }
            }
            Skipped::End { length, plus: false } => {
                *self = Framer::default();
                Frame::Skipped { length }
            }
            Skipped::Spent => Frame::Refused { kind: Refusal::Line(Fault::TooLong), length: input.len(), close: true },
        }
    }
}

#[derive(Clone, Copy)]
struct Announced {
    /// Where it begins in the line, its `~` included.
    at: usize,
    size: u32,
    synchronising: bool,
}

enum Marker {
    Absent,
    Malformed { synchronising: bool },
    Literal(Announced),
}

/// `literal = ["~"] "{" number ["+"] "}" CRLF` at the end of a line, after a space or a parenthesis. The number has 32
/// bits (RFC 3501 §9). A quoted string can't be open there, since none holds a CRLF.
fn marker(line: &[u8]) -> Marker {
    let [before_brace @ .., b'}'] = line else { return Marker::Absent };
    let Some(open) = memrchr(b'{', before_brace) else { return Marker::Absent };
    let inner = &before_brace[open + 1..];
    if inner.iter().any(|byte| matches!(byte, b' ' | b'(' | b')' | b'"')) {
        return Marker::Absent; // an atom that ends in a brace
    }
    let (digits, synchronising) = match inner {
        [digits @ .., b'+'] => (digits, false),
        digits => (digits, true),
    };
    let before = line[..open].strip_suffix(b"~").unwrap_or(&line[..open]);
    let size = digits
        .iter()
        .try_fold(0u32, |size, byte| match byte {
            b'0'..=b'9' => size.checked_mul(10)?.checked_add(u32::from(byte - b'0')),
            _ => None,
        })
        .filter(|_| !digits.is_empty() && matches!(before, [.., b' ' | b'(']) && !ends_in_quotes(before));
    match size {
        None => Marker::Malformed { synchronising },
        Some(size) => Marker::Literal(Announced { at: before.len(), size, synchronising }),
    }
}

/// Whether a quoted string is open at the end of `line`.
fn ends_in_quotes(line: &[u8]) -> bool {
    let mut rest = line;
    while let Some(open) = memchr(b'"', rest) {
        rest = &rest[open + 1..];
        loop {
            match memchr::memchr2(b'"', b'\\', rest) {
                None => return true,
                Some(at) if rest[at] == b'"' => {
                    rest = &rest[at + 1..];
                    break;
                }
                Some(at) => rest = rest.get(at + 2..).unwrap_or_default(),
            }
        }
    }
    false
}

/// Whether the literal announced at offset `at` is the message of `tag SP "APPEND" SP mailbox …`, not its mailbox.
fn is_message(input: &[u8], at: usize) -> bool {
    let Some(space) = memchr(b' ', &input[..at]) else { return false };
    let verb = space + 1..space + 1 + b"APPEND ".len();
    at > verb.end && input.get(verb).is_some_and(|verb| verb.eq_ignore_ascii_case(b"APPEND "))
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
