//! Takes the text of a message out of DATA: unstuffed, up to the final dot and not a byte further; or out of chunks.
//!
//! Invariants: only CRLF ends a line and only CRLF "." CRLF ends the text (the first line may be the dot at once); a
//! bare CR, a bare LF or a NUL is never an end of anything, spoils the message for good, and the text is read to its
//! real end, so that the answer comes in step (SMTP smuggling). Pieces are as large as the input allows and the same
//! for every chunking once joined. It stores nothing and knows no limit of size. RFC 5321 §4.5.2, §2.3.8, §6.3, RFC 3030.

use memchr::memchr3;

use crate::limits::TEXT_LINE_BYTES_MAX;

pub use crate::proto::line::{Fault, Line, LineFramer};

const RECEIVED: &[u8] = b"received:";

/// A piece of DATA; drop `consumed` bytes of the input, then call again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPiece<'i> {
    /// Goes into the message as it is. Empty where the input only had what doesn't.
    Text {
        /// Text, CRLFs included, without stuffed dots.
        text: &'i [u8],
        /// Bytes of input.
        consumed: usize,
    },
    /// The final dot. The framer is spent; [`DataFramer::violation`] says whether the message must be refused.
    End {
        /// Bytes of input.
        consumed: usize,
    },
    /// The input is empty: call again when more has come.
    Partial,
}

/// Why a message is refused. The first one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// CR without LF.
    BareCr,
    /// LF without CR.
    BareLf,
    /// A NUL octet.
    Nul,
    /// A line over the limit.
    LineTooLong,
}

impl Violation {
    /// The reply: its code, enhanced code and text.
    pub fn reply(self) -> (u16, &'static str, &'static str) {
        match self {
            Violation::BareCr => (550, "5.5.2", "Bare CR in message text: lines end in CRLF"),
            Violation::BareLf => (550, "5.5.2", "Bare LF in message text: lines end in CRLF"),
            Violation::Nul => (550, "5.5.2", "NUL in message text"),
            Violation::LineTooLong => (550, "5.6.0", "A line of the message is too long"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    /// Behind a dot at the start of a line, which is stuffed or the final one.
    Dot,
    /// Behind that dot and a CR.
    DotCr,
    Within,
    /// Behind a CR that was handed out.
    Cr,
}

/// Unstuffs one message.
#[derive(Clone, Debug)]
pub struct DataFramer {
    at: At,
    /// Dots are stuffed, and one alone is the end; in chunks they are text.
    dots: bool,
    violation: Option<Violation>,
    header: bool,
    /// Octets of this line so far, its CRLF left out.
    line: usize,
    line_max: usize,
    /// How many of them are those of `Received:`, while all are.
    matched: usize,
    received: usize,
    bytes: u64,
}

impl Default for DataFramer {
    fn default() -> Self {
        DataFramer::with_line_max(TEXT_LINE_BYTES_MAX)
    }
}

impl DataFramer {
    /// A framer for one message whose lines have at most `line_max` octets before their CRLF.
    pub fn with_line_max(line_max: usize) -> DataFramer {
        DataFramer {
            at: At::LineStart,
            dots: true,
            violation: None,
            header: true,
            line: 0,
            line_max,
            matched: 0,
            received: 0,
            bytes: 0,
        }
    }

    /// A framer for a message that comes in chunks, whose lengths end it: no dot means anything. [`DataFramer::end`] is
    /// called behind the last one.
    pub fn of_chunks() -> DataFramer {
        DataFramer { dots: false, ..DataFramer::default() }
    }

    /// The last chunk has gone by: what spoiled the message, if anything did. Its last line may lack its CRLF (RFC 3030
    /// asks for none); a CR alone at the end is a bare one.
    pub fn end(&mut self) -> Option<Violation> {
        if self.at == At::Cr {
            self.spoil(Violation::BareCr);
        }
        self.violation
    }

    /// Octets of text that were handed out.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `Received:` lines in the header so far, for finding loops.
    pub fn received(&self) -> usize {
        self.received
    }

    /// What spoiled the message, if anything did.
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// Takes the next piece from `input`, which begins where the last piece's `consumed` ended.
    pub fn next<'i>(&mut self, input: &'i [u8]) -> DataPiece<'i> {
        if input.is_empty() {
            return DataPiece::Partial;
        }
        // Text from `start` on is still to be handed out; after a violation none is.
        let (mut start, mut at) = (0, 0);
        while at < input.len() {
            match (self.at, input[at]) {
                (At::LineStart, b'.') if self.dots => {
                    self.at = At::Dot;
                    if at > start {
                        return self.text(&input[start..at], at + 1);
                    }
                    at += 1;
                    start = at;
                }
                (At::LineStart, _) => self.at = At::Within,
                (At::Dot, b'\r') => {
                    self.at = At::DotCr;
                    at += 1;
                    start = at;
                }
                (At::Dot, _) => self.at = At::Within,
                (At::DotCr, b'\n') => return DataPiece::End { consumed: at + 1 },
                (At::Cr, b'\n') => {
                    self.end_line();
                    at += 1;
                }
                (At::DotCr | At::Cr, _) => {
                    self.at = At::Within;
                    if self.spoil(Violation::BareCr) && at > 0 {
                        return self.last_text(&input[start..at], at);
                    }
                }
                (At::Within, _) => {
                    let (run, violation) = self.run(&input[at..]);
                    at += run;
                    if violation.is_some_and(|violation| self.spoil(violation)) && at > 0 {
                        return self.last_text(&input[start..at], at);
                    }
                }
            }
        }
        self.text(&input[start..], input.len())
    }

    /// Goes on within a line, through its CR, a violation or to the end of `input`: how far, and what stopped it.
    fn run(&mut self, input: &[u8]) -> (usize, Option<Violation>) {
        let found = memchr3(b'\r', b'\n', 0, input);
        let length = found.unwrap_or(input.len());
        if self.header && self.matched == self.line && self.matched < RECEIVED.len() {
            let matching = input[..length]
                .iter()
                .zip(&RECEIVED[self.matched..])
                .take_while(|(a, b)| a.eq_ignore_ascii_case(b))
                .count();
            self.matched += matching;
            self.received += usize::from(self.matched == RECEIVED.len());
        }
        let room = self.line_max.saturating_sub(self.line);
        if length > room && self.violation.is_none() {
            self.line += room;
            return (room, Some(Violation::LineTooLong));
        }
        self.line = self.line.saturating_add(length);
        match found.map(|at| input[at]) {
            None => (length, None),
            Some(b'\r') => {
                self.at = At::Cr;
                (length + 1, None)
            }
            // After the first one the byte is passed over; before, `next` comes back to it.
            Some(byte) => {
                let violation = if byte == b'\n' { Violation::BareLf } else { Violation::Nul };
                (length + usize::from(self.violation.is_some()), Some(violation))
            }
        }
    }

    fn end_line(&mut self) {
        // The empty line ends the header.
        self.header &= self.line > 0;
        (self.at, self.line, self.matched) = (At::LineStart, 0, 0);
    }

    /// Notes a violation; true: it is the first.
    fn spoil(&mut self, violation: Violation) -> bool {
        let first = self.violation.is_none();
        self.violation.get_or_insert(violation);
        first
    }

    fn text<'i>(&mut self, text: &'i [u8], consumed: usize) -> DataPiece<'i> {
        if self.violation.is_some() {
            return DataPiece::Text { text: &[], consumed };
        }
        self.last_text(text, consumed)
    }

    /// The text before the first violation.
    fn last_text<'i>(&mut self, text: &'i [u8], consumed: usize) -> DataPiece<'i> {
        self.bytes += text.len() as u64;
        DataPiece::Text { text, consumed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Taken {
        text: Vec<u8>,
        end: Option<usize>,
        violation: Option<Violation>,
        received: usize,
        bytes: u64,
    }

    /// Unstuffs `stream`, cut at `cuts`; `end` is the offset behind the final dot.
    fn take(stream: &[u8], cuts: &[usize], line_max: usize) -> Taken {
        let mut framer = DataFramer::with_line_max(line_max);
        let (mut text, mut at, mut end) = (Vec::new(), 0, None);
        'all: for &cut in cuts.iter().chain([&stream.len()]) {
            loop {
                match framer.next(&stream[at..cut]) {
                    DataPiece::Partial => break,
                    DataPiece::Text { text: piece, consumed } => {
                        assert!(consumed > 0);
                        text.extend_from_slice(piece);
                        at += consumed;
                    }
                    DataPiece::End { consumed } => {
                        at += consumed;
                        end = Some(at);
                        break 'all;
                    }
                }
            }
        }
        Taken { text, end, violation: framer.violation(), received: framer.received(), bytes: framer.bytes() }
    }

    fn all_ways(stream: &[u8], line_max: usize) -> Taken {
        let whole = take(stream, &[], line_max);
        for cut in 0..=stream.len() {
            assert_eq!(
                take(stream, &[cut], line_max),
                whole,
                "cut at {cut} of {:?}",
                stream.escape_ascii().to_string()
            );
        }
        let bytes: Vec<usize> = (0..stream.len()).collect();
        assert_eq!(take(stream, &bytes, line_max), whole);
        assert_eq!(whole.bytes, whole.text.len() as u64);
        whole
    }

    #[test]
    fn unstuffs() {
        for (stream, text) in [
            (&b".\r\n"[..], &b""[..]),
            (b"\r\n.\r\n", b"\r\n"),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..\r\n.\r\n", b".\r\n"),
            (b".a\r\n..b\r\n...\r\n. \r\n.\r\n", b"a\r\n.b\r\n..\r\n \r\n"),
            (b"a.\r\n.\r\n", b"a.\r\n"),
            (b"a\r\n\r\n.b.\r\n.\r\n", b"a\r\n\r\nb.\r\n"),
        ] {
            let mut more = stream.to_vec();
            more.extend_from_slice(b"QUIT\r\n");
            let taken = all_ways(&more, 1000);
            assert_eq!((taken.text.as_slice(), taken.end, taken.violation), (text, Some(stream.len()), None));
        }
        let taken = all_ways(b"a\r\n.", 1000);
        assert_eq!((taken.text.as_slice(), taken.end), (&b"a\r\n"[..], None));
    }

    /// Attack 6: what others take for the end of the text is not one, and the message is refused at the real end.
    #[test]
    fn smuggling_is_refused() {
        use Violation::*;
        for (stream, violation) in [
            (&b"a\n.\nMAIL\r\n.\r\n"[..], BareLf),
            (b"a\n.\r\nMAIL\r\n.\r\n", BareLf),
            (b"a\r\n.\nMAIL\r\n.\r\n", BareLf),
            (b"a\r.\rMAIL\r\n.\r\n", BareCr),
            (b"a\r\n.\rMAIL\r\n.\r\n", BareCr),
            (b"a\r\n.\r\r\nMAIL\r\n.\r\n", BareCr),
            (b"a\r.\r\nMAIL\r\n.\r\n", BareCr),
            (b"a\r\r\n.\rMAIL\r\n.\r\n", BareCr),
            (b"a\r\n\0.\r\nMAIL\r\n.\r\n", Nul),
            (b"a\r\n.\0\r\nMAIL\r\n.\r\n", Nul),
            (b"a\r\0\n.\r\nMAIL\r\n.\r\n", BareCr),
            (b"\n.\r\nMAIL\r\n.\r\n", BareLf),
            (b".\nMAIL\r\n.\r\n", BareLf),
            (b".\rMAIL\r\n.\r\n", BareCr),
            (b"\n\n\n\r\r\r\0\0\nMAIL\r\n.\r\n", BareLf),
        ] {
            let taken = all_ways(stream, 1000);
            assert_eq!(
                (taken.end, taken.violation),
                (Some(stream.len()), Some(violation)),
                "{}",
                stream.escape_ascii()
            );
            assert!(!taken.text.windows(4).any(|word| word == b"MAIL"));
        }
        // Here the real end comes before the rest.
        let taken = all_ways(b"a\r\r\n.\r\nMAIL\r\n.\r\n", 1000);
        assert_eq!((taken.end, taken.violation), (Some(7), Some(BareCr)));
    }

    /// RFC 3030: whatever the chunks, the text is what they hold, and lines end as they do in DATA.
    #[test]
    fn chunks_hold_text_as_it_is() {
        for (text, violation) in [
            (&b""[..], None),
            (b".\r\n", None),
            (b"a\r\n.\r\n..b\r\n.", None),
            (b"no end of line", None),
            (b"a\r\n.\nb", Some(Violation::BareLf)),
            (b"a\rb\r\n", Some(Violation::BareCr)),
            (b"a\r\n\r", Some(Violation::BareCr)),
            (b"a\0b", Some(Violation::Nul)),
        ] {
            for cut in 0..=text.len() {
                let mut framer = DataFramer::of_chunks();
                let mut taken = Vec::new();
                for mut chunk in [&text[..cut], &text[cut..]] {
                    while let DataPiece::Text { text, consumed } = framer.next(chunk) {
                        taken.extend_from_slice(text);
                        chunk = &chunk[consumed..];
                    }
                    assert_eq!(framer.next(chunk), DataPiece::Partial, "cut at {cut} of {}", text.escape_ascii());
                }
                assert_eq!(framer.end(), violation, "cut at {cut} of {}", text.escape_ascii());
                assert!(violation.is_some() || taken == text, "cut at {cut} of {}", text.escape_ascii());
                assert_eq!(framer.bytes(), taken.len() as u64);
            }
        }
    }

    #[test]
    fn counts_received_lines_of_the_header() {
        let taken = all_ways(
            b"Received: a\r\nRECEIVED:b\r\n.received: stuffed\r\nX-Received: no\r\n\
            Received\r\nReceive d:\r\n received:\r\n\r\n\
            Received: body\r\n.\r\n",
            1000,
        );
        assert_eq!(taken.received, 3);
        assert_eq!(all_ways(b"\r\nReceived: body\r\n.\r\n", 1000).received, 0);
    }

    #[test]
    fn long_lines() {
        assert_eq!(all_ways(b"12345678\r\n.12345678\r\n.\r\n", 8).violation, None);
        let taken = all_ways(b"1234\r\n123456789\r\nx\0\r\n.\r\n", 8);
        assert_eq!((taken.violation, taken.text.as_slice()), (Some(Violation::LineTooLong), &b"1234\r\n12345678"[..]));
        assert_eq!(taken.end, Some(24));
    }

    #[test]
    fn random_texts_come_back_as_they_were() {
        let mut seed = 0x0DDB_1A5E_5BAD_5EEDu64;
        let mut random = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 33) as usize % below
        };
        for _ in 0..3_000 {
            let mut text = Vec::new();
            for _ in 0..random(12) {
                text.extend_from_slice([&b"\r\n"[..], b".", b"a", b"..", b"\r\n.\r\n", b"\r\n\r\n"][random(6)]);
            }
            text.extend_from_slice(b"\r\n");
            let mut stuffed = Vec::new();
            for line in text.split_inclusive(|&byte| byte == b'\n') {
                if line[0] == b'.' {
                    stuffed.push(b'.');
                }
                stuffed.extend_from_slice(line);
            }
            stuffed.extend_from_slice(b".\r\n");
            let cuts = [random(stuffed.len()), stuffed.len()];
            let taken = take(&stuffed, &cuts, 1000);
            assert_eq!((taken.text, taken.end, taken.violation), (text, Some(stuffed.len()), None));
        }
    }
}
