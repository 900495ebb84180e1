//! Walks a message as a multi-line response sends it: byte-stuffed, every line ended by CRLF, the last one a dot.
//!
//! Invariants: what goes out unchanged is named as ranges of the message, as long as they can be, so that it need not be
//! copied; what must go between them is tiny and static. A line of the message can't end the response, whatever a client
//! takes for a line's end: a bare LF, which SMTP never takes in and APPEND may, goes out as CRLF, since a client that ends
//! lines there would read a dot behind it as ours, and one that doesn't would keep the dot that we stuff. It counts TOP's
//! lines. It looks at each octet once and allocates nothing. RFC 1939 §3, §5, §7.

use std::ops::Range;

use memchr::memchr_iter;

/// What to send next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// These octets of the message.
    Octets(Range<usize>),
    /// Octets that are not in the message.
    Insert(&'static [u8]),
    /// That was all, the final dot included.
    End,
}

/// Where the walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before a line's first octet.
    LineStart,
    Within,
    /// At a bare LF that was found.
    BareLf,
    /// Behind the last line; only the final dot is left.
    Last,
    Over,
}

/// The walk through one message.
#[derive(Clone, Debug)]
pub struct Stuffer {
    at: At,
    /// Octets that were handed out.
    sent: usize,
    /// Where the line began.
    line: usize,
    header: bool,
    /// Lines of the body that may still be sent.
    lines: Option<u32>,
}

impl Stuffer {
    /// The whole message.
    pub fn whole() -> Stuffer {
        Stuffer { at: At::LineStart, sent: 0, line: 0, header: true, lines: None }
    }

    /// Its header, the empty line behind it, and so many `lines` of its body.
    pub fn top(lines: u32) -> Stuffer {
        Stuffer { lines: Some(lines), ..Stuffer::whole() }
    }

    /// The next piece of `message`, which is the same at each call; of at most `max` octets of it, 1 or more.
    pub fn next(&mut self, message: &[u8], max: usize) -> Piece {
        let next = message.get(self.sent);
        match self.at {
            At::LineStart if next == Some(&b'.') => {
                self.at = At::Within;
                Piece::Insert(b".")
            }
            At::LineStart | At::Within if next.is_some() => self.run(message, max),
            At::Within => {
                // The message ends amid a line.
                self.at = At::Last;
                Piece::Insert(b"\r\n")
            }
            At::BareLf => {
                self.sent += 1;
                self.end_line(message);
                Piece::Insert(b"\r\n")
            }
            At::LineStart | At::Last => {
                self.at = At::Over;
                Piece::Insert(b".\r\n")
            }
            At::Over => Piece::End,
        }
    }

    /// Octets up to where something must be inserted.
    fn run(&mut self, message: &[u8], max: usize) -> Piece {
        let start = self.sent;
        let end = message.len().min(start.saturating_add(max));
        if self.lines.is_none() {
            return match odd_line_end(message, start..end) {
                Some(lf) if is_bare(message, lf) => self.stop_at_bare(message, start..lf, max),
                Some(lf) => {
                    (self.sent, self.at) = (lf + 1, At::LineStart);
                    Piece::Octets(start..lf + 1)
                }
                None => {
                    (self.sent, self.at) = (end, if message[end - 1] == b'\n' { At::LineStart } else { At::Within });
                    Piece::Octets(start..end)
                }
            };
        }
        for lf in memchr_iter(b'\n', &message[start..end]).map(|at| start + at) {
            if is_bare(message, lf) {
                return self.stop_at_bare(message, start..lf, max);
            }
            self.sent = lf + 1;
            self.end_line(message);
            if self.at == At::Last || message.get(lf + 1) == Some(&b'.') {
                return Piece::Octets(start..lf + 1);
            }
        }
        (self.sent, self.at) = (end, if self.line == end { At::LineStart } else { At::Within });
        Piece::Octets(start..end)
    }

    /// A bare LF ends `run`.
    fn stop_at_bare(&mut self, message: &[u8], run: Range<usize>, max: usize) -> Piece {
        (self.sent, self.at) = (run.end, At::BareLf);
        if run.is_empty() { self.next(message, max) } else { Piece::Octets(run) }
    }

    /// A line ended before `self.sent`.
    fn end_line(&mut self, message: &[u8]) {
        let empty = matches!(&message[self.line..self.sent], b"\n" | b"\r\n");
        self.line = self.sent;
        self.at = At::LineStart;
        let Some(lines) = &mut self.lines else { return };
        if !self.header {
            *lines -= 1;
        }
        self.header &= !empty;
        if !self.header && *lines == 0 {
            self.at = At::Last;
        }
    }
}

fn is_bare(message: &[u8], lf: usize) -> bool {
    lf == 0 || message[lf - 1] != b'\r'
}

/// The first LF of the range that is bare or comes before a dot. Whole blocks are looked at without a branch, which the
/// compiler makes vectors of: mail has short lines, and each costs a search for its end as much as its octets.
fn odd_line_end(message: &[u8], range: Range<usize>) -> Option<usize> {
    const BLOCK: usize = 64;
    let is_odd = |at: &usize| message[*at] == b'\n' && (is_bare(message, *at) || message.get(*at + 1) == Some(&b'.'));
    if range.start == 0 && !range.is_empty() && is_odd(&0) {
        return Some(0);
    }
    let mut at = range.start.max(1);
    while at + BLOCK <= range.end
        && let Some(before) = message[at - 1..].first_chunk::<BLOCK>()
        && let Some(block) = message[at..].first_chunk::<BLOCK>()
        && let Some(behind) = message[at + 1..].first_chunk::<BLOCK>()
    {
        let mut odd = 0;
        for octet in 0..BLOCK {
            let bare = u8::from(before[octet] != b'\r');
            odd |= u8::from(block[octet] == b'\n') & (bare | u8::from(behind[octet] == b'.'));
        }
        if odd != 0 {
            break;
        }
        at += BLOCK;
    }
    (at..range.end).find(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By its definition, an octet at a time.
    fn slowly(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, octet) in message.iter().enumerate() {
            let starts = at == 0 || message[at - 1] == b'\n';
            match octet {
                b'.' if starts => out.extend_from_slice(b".."),
                b'\n' if is_bare(message, at) => out.extend_from_slice(b"\r\n"),
                other => out.push(*other),
            }
        }
        out.extend_from_slice(if out.is_empty() || out.ends_with(b"\n") { b".\r\n" } else { b"\r\n.\r\n" });
        out
    }

    /// Wherever it lies, in whatever pieces it is sent.
    #[test]
    fn long_messages_are_stuffed_everywhere() {
        for odd in [&b"\n"[..], b"\r\n.", b"\n.", b"\r\n", b"\r\n..\r\n.", b"\r", b"\n\n", b"."] {
            for at in 0..200 {
                let message = [&vec![b'x'; at][..], odd, &vec![b'y'; 200 - at]].concat();
                for message in [&message[..], &message[..at + odd.len()]] {
                    for max in [1, 63, 64, 65, 150, usize::MAX] {
                        let sent = sent(Stuffer::whole(), message, max);
                        assert_eq!(sent, slowly(message), "{odd:?} at {at} in pieces of {max}");
                    }
                }
            }
        }
    }

    fn sent(mut stuffer: Stuffer, message: &[u8], max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            match stuffer.next(message, max) {
                Piece::Octets(range) => {
                    assert!(!range.is_empty() && range.len() <= max, "{range:?}");
                    out.extend_from_slice(&message[range]);
                }
                Piece::Insert(octets) => out.extend_from_slice(octets),
                Piece::End => return out,
            }
        }
    }

    #[track_caller]
    fn goes_out_as(stuffer: &Stuffer, message: &[u8], expected: &[u8]) {
        for max in [1, 2, 3, 5, usize::MAX] {
            let sent = sent(stuffer.clone(), message, max);
            let shown = (sent.escape_ascii().to_string(), expected.escape_ascii().to_string());
            assert_eq!(shown.0, shown.1, "{} in pieces of {max}", message.escape_ascii());
        }
    }

    #[test]
    fn lines_are_stuffed_and_ended() {
        for (message, expected) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"..\r\n...\r\n", b"...\r\n....\r\n.\r\n"),
            (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a.b\r\nc.\r\n", b"a.b\r\nc.\r\n.\r\n"),
            (b"a\r\n\r\n.\r\n", b"a\r\n\r\n..\r\n.\r\n"),
            (b"a\r\n.", b"a\r\n..\r\n.\r\n"),
            (b"\r\n", b"\r\n.\r\n"),
        ] {
            goes_out_as(&Stuffer::whole(), message, expected);
        }
    }

    #[test]
    fn what_is_no_line_end_ends_no_response() {
        for (message, expected) in [
            // A bare LF is a line end to some clients: it becomes one to all.
            (&b"a\n.\nb\n"[..], &b"a\r\n..\r\nb\r\n.\r\n"[..]),
            (b"a\n.\r\n+OK 2 messages\r\n", b"a\r\n..\r\n+OK 2 messages\r\n.\r\n"),
            (b"\n", b"\r\n.\r\n"),
            (b"\n\n.", b"\r\n\r\n..\r\n.\r\n"),
            (b"a\r\n\n.\r\n", b"a\r\n\r\n..\r\n.\r\n"),
            // A bare CR is one to nobody.
            (b"a\r.\r\n", b"a\r.\r\n.\r\n"),
            (b"a\r", b"a\r\r\n.\r\n"),
            (b"\r\r\n.\r\r\n", b"\r\r\n..\r\r\n.\r\n"),
        ] {
            goes_out_as(&Stuffer::whole(), message, expected);
        }
    }

    #[test]
    fn top_ends_behind_its_lines() {
        let message = b"Subject: x\r\n\r\n.one\r\n\r\nthree";
        for (lines, expected) in [
            (0, &b"Subject: x\r\n\r\n.\r\n"[..]),
            (1, b"Subject: x\r\n\r\n..one\r\n.\r\n"),
            (2, b"Subject: x\r\n\r\n..one\r\n\r\n.\r\n"),
            (3, b"Subject: x\r\n\r\n..one\r\n\r\nthree\r\n.\r\n"),
            (u32::MAX, b"Subject: x\r\n\r\n..one\r\n\r\nthree\r\n.\r\n"),
        ] {
            goes_out_as(&Stuffer::top(lines), message, expected);
        }
        // Without a header, without a body, and with bare LFs.
        goes_out_as(&Stuffer::top(1), b"\r\na\r\nb\r\n", b"\r\na\r\n.\r\n");
        goes_out_as(&Stuffer::top(0), b"a: b\r\n.c: d", b"a: b\r\n..c: d\r\n.\r\n");
        goes_out_as(&Stuffer::top(1), b"a: b\n\nc\nd\n", b"a: b\r\n\r\nc\r\n.\r\n");
    }

    /// Every message of up to 6 octets of those that matter, read by a client that ends lines at CRLF and by one that ends
    /// them at LF: both see one response, and the same lines.
    #[test]
    fn no_message_fools_a_client() {
        const OCTETS: [u8; 4] = *b"\r\n.x";
        for length in 0..=6u32 {
            for number in 0..4usize.pow(length) {
                let message: Vec<u8> = (0..length).map(|place| OCTETS[number >> (2 * place) & 3]).collect();
                let sent = sent(Stuffer::whole(), &message, 3);
                for loose in [false, true] {
                    let mut end = None;
                    let mut start = 0;
                    for at in 0..sent.len() {
                        let ends = sent[at] == b'\n' && (loose || sent[..at].ends_with(b"\r"));
                        if ends && end.is_none() && matches!(&sent[start..=at], b".\n" | b".\r\n") {
                            end = Some(at + 1);
                        }
                        start = if ends { at + 1 } else { start };
                    }
                    assert_eq!(end, Some(sent.len()), "{}, loose: {loose}", message.escape_ascii());
                }
            }
        }
    }
}
