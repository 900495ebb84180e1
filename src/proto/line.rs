//! Lines that end in CRLF and in nothing else: found whatever the chunking, each byte scanned once.
//!
//! Invariant: what is reported depends on the bytes alone, not on how they were cut. A bare CR, a bare LF and NUL are
//! faults, since two programs that disagree on where a line ends can be played off against each other (RFC 5321 §2.3.8,
//! RFC 9051 §2.2). After a fault the rest of the line is skipped, bounded, so that the dialogue stays in step.
//! It does not look into the line.

use memchr::{memchr, memchr3};

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The line, its CRLF included, passes the limit.
    TooLong,
    /// A carriage return without a line feed.
    BareCr,
    /// A line feed without a carriage return.
    BareLf,
    /// A NUL octet.
    Nul,
}

impl Fault {
    /// What to tell the client.
    pub fn text(self) -> &'static str {
        match self {
            Fault::TooLong => "Line too long",
            Fault::BareCr => "Bare CR: lines end in CRLF",
            Fault::BareLf => "Bare LF: lines end in CRLF",
            Fault::Nul => "NUL is not allowed",
        }
    }
}

/// The result of one [`scan`]; all offsets count from the start of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// No end yet; scanning goes on at this offset.
    Partial(usize),
    /// The line ends before this offset, its CRLF included.
    End(usize),
    /// A fault; what is before this offset was looked at.
    Fault(Fault, usize),
}

/// Looks for CRLF from offset `from`; the line and its CRLF may reach up to offset `limit`.
pub(crate) fn scan(input: &[u8], from: usize, limit: usize) -> Scan {
    let end = input.len().min(limit);
    let Some(found) = memchr3(b'\r', b'\n', 0, input.get(from..end).unwrap_or_default()) else {
        return if end == limit { Scan::Fault(Fault::TooLong, limit) } else { Scan::Partial(end.max(from)) };
    };
    let at = from + found;
    match input[at] {
        // Asked before the next byte is looked at: whether it has come already must make no difference.
        b'\r' if at + 2 > limit => Scan::Fault(Fault::TooLong, limit),
        b'\r' => match input.get(at + 1) {
            None => Scan::Partial(at),
            Some(b'\n') => Scan::End(at + 2),
            Some(_) => Scan::Fault(Fault::BareCr, at + 1),
        },
        b'\n' => Scan::Fault(Fault::BareLf, at + 1),
        _ => Scan::Fault(Fault::Nul, at + 1),
    }
}

/// Skips the rest of a refused line.
#[derive(Clone, Debug)]
pub(crate) struct Skip {
    /// The last bytes that went by: the CRLF may be cut anywhere.
    last: [u8; 3],
    /// Bytes that may still be skipped.
    left: usize,
}

/// The result of [`Skip::next`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Skipped {
    /// So many bytes were skipped and the line goes on.
    More(usize),
    /// The line ended; `plus`: in `+}`, the mark of a literal that follows unasked.
    End { length: usize, plus: bool },
    /// The line goes on beyond what may be skipped.
    Spent,
}

impl Skip {
    /// Skips at most `left` bytes; `before` is what was seen of the line.
    pub(crate) fn new(before: &[u8], left: usize) -> Skip {
        let mut skip = Skip { last: [0; 3], left };
        skip.remember(before);
        skip
    }

    /// Goes on with the next bytes of the line.
    pub(crate) fn next(&mut self, input: &[u8]) -> Skipped {
        let window = &input[..input.len().min(self.left)];
        let mut from = 0;
        while let Some(found) = memchr(b'\n', &window[from..]) {
            let at = from + found;
            if self.before(window, at, 1) == b'\r' {
                let plus = self.before(window, at, 2) == b'}' && self.before(window, at, 3) == b'+';
                return Skipped::End { length: at + 1, plus };
            }
            from = at + 1;
        }
        if window.len() < input.len() {
            return Skipped::Spent;
        }
        self.left -= window.len();
        self.remember(window);
        Skipped::More(window.len())
    }

    /// The byte `back` bytes before offset `at` of `window`.
    fn before(&self, window: &[u8], at: usize, back: usize) -> u8 {
        if at >= back { window[at - back] } else { self.last[3 - (back - at)] }
    }

    fn remember(&mut self, seen: &[u8]) {
        for &byte in &seen[seen.len().saturating_sub(3)..] {
            self.last = [self.last[1], self.last[2], byte];
        }
    }
}

/// What [`LineFramer::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// No whole line yet: call again when more has come.
    Partial,
    /// A line of `length` bytes, CRLF included.
    Complete {
        /// Bytes, CRLF included.
        length: usize,
    },
    /// The line is refused: drop `length` bytes, answer, and close where `close` says so.
    Refused {
        /// What is wrong with it.
        fault: Fault,
        /// Bytes to drop.
        length: usize,
        /// What follows can't be trusted, or there is too much of it.
        close: bool,
    },
    /// The rest of a refused line: drop `length` bytes, say nothing.
    Skipped {
        /// Bytes to drop.
        length: usize,
    },
}

/// Finds the lines of SMTP and POP3: commands, and responses of SASL.
#[derive(Clone, Debug, Default)]
pub struct LineFramer {
    scanned: usize,
    skip: Option<Skip>,
}

impl LineFramer {
    /// Looks at `input`, all unconsumed bytes from the line's first one. A line may have `max` bytes with its CRLF; of
    /// a longer one 16 times as much is skipped, then the framer asks to close. So it does at a bare CR, LF or NUL: a
    /// peer that sends those doesn't agree with us on what a line is.
    pub fn next(&mut self, input: &[u8], max: usize) -> Line {
        if let Some(skip) = &mut self.skip {
            return match skip.next(input) {
                Skipped::More(0) => Line::Partial,
                Skipped::More(length) => Line::Skipped { length },
                Skipped::End { length, .. } => {
                    self.skip = None;
                    Line::Skipped { length }
                }
                Skipped::Spent => Line::Refused { fault: Fault::TooLong, length: input.len(), close: true },
            };
        }
        match scan(input, self.scanned, max) {
            Scan::Partial(scanned) => {
                self.scanned = scanned;
                Line::Partial
            }
            Scan::End(length) => {
                self.scanned = 0;
                Line::Complete { length }
            }
            Scan::Fault(fault, length) => {
                self.scanned = 0;
                self.skip = Some(Skip::new(&input[..length], max.saturating_mul(16)));
                Line::Refused { fault, length, close: fault != Fault::TooLong }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `stream` through a framer in pieces that end at `cuts`; skipped bytes are summed up.
    fn lines(stream: &[u8], cuts: &[usize], max: usize) -> Vec<(Line, usize)> {
        let mut framer = LineFramer::default();
        let (mut found, mut start) = (Vec::new(), 0);
        for &end in cuts.iter().chain([&stream.len()]) {
            loop {
                let line = framer.next(&stream[start..end], max);
                match line {
                    Line::Partial => break,
                    Line::Skipped { length } => match found.last_mut() {
                        Some((Line::Refused { .. }, skipped)) => *skipped += length,
                        other => panic!("skipped after {other:?}"),
                    },
                    Line::Complete { length } => found.push((line, length)),
                    Line::Refused { length, .. } => found.push((line, length)),
                }
                start += match line {
                    Line::Complete { length } | Line::Refused { length, .. } | Line::Skipped { length } => length,
                    Line::Partial => 0,
                };
            }
        }
        found
    }

    #[test]
    fn every_chunking_gives_the_same_lines() {
        let stream =
            b"NOOP\r\nxx\rNOOP\r\nA\nB\r\n\r\n0123456789abcdefghij\r\nQ\0\r\n01234567\r\n12345678901234\r\nRSET\r\n";
        let whole = lines(stream, &[], 16);
        let faults: Vec<_> = whole
            .iter()
            .map(|(line, length)| match line {
                Line::Refused { fault, .. } => (Some(*fault), *length),
                _ => (None, *length),
            })
            .collect();
        use Fault::*;
        assert_eq!(
            faults,
            [
                (None, 6),
                (Some(BareCr), 9),
                (Some(BareLf), 5),
                (None, 2),
                (Some(TooLong), 22),
                (Some(Nul), 4),
                (None, 10),
                (None, 16),
                (None, 6)
            ]
        );
        for cut in 0..stream.len() {
            assert_eq!(lines(stream, &[cut], 16), whole, "cut at {cut}");
        }
        let all: Vec<usize> = (1..stream.len()).collect();
        assert_eq!(lines(stream, &all, 16), whole);
    }

    #[test]
    fn an_endless_line_is_skipped_within_bounds() {
        let mut framer = LineFramer::default();
        let chunk = [b'x'; 1000];
        assert_eq!(framer.next(&chunk, 100), Line::Refused { fault: Fault::TooLong, length: 100, close: false });
        assert_eq!(framer.next(&chunk, 100), Line::Skipped { length: 1000 });
        assert_eq!(framer.next(&chunk, 100), Line::Refused { fault: Fault::TooLong, length: 1000, close: true });
    }
}
