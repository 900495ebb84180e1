//! Whole SMTP replies. RFC 5321 §4.2, RFC 2034.
//!
//! Invariant: any chunking gives the same replies; all lines of one reply have one code; lines and their number are bounded.

use memchr::memchr;

use crate::dialogue::shown;
use crate::limits::{REPLY_LINE_BYTES_MAX, REPLY_LINES_MAX};

/// A whole reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Its code, 200 to 599.
    pub code: u16,
    bytes: &'a [u8],
}

impl<'a> Reply<'a> {
    /// The texts of its lines, without codes.
    pub fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.bytes
            .split_inclusive(|octet| *octet == b'\n')
            .map(|line| line[..line.len() - 2].get(4..).unwrap_or_default())
    }

    /// The text of the last line.
    pub fn text(&self) -> String {
        shown(self.lines().last().unwrap_or_default())
    }

    /// The octets, CRLF included.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it says that the command succeeded.
    pub fn is_success(&self) -> bool {
        self.code / 100 == 2
    }

    /// The class of the enhanced status code of the last line (RFC 2034), where it has one.
    /// ```text
    /// status-code = class "." subject "." detail        class = "2" / "4" / "5"
    /// ```
    pub fn enhanced_class(&self) -> Option<u16> {
        let text = self.lines().last()?;
        let word = text.split(|octet| *octet == b' ').next()?;
        let mut parts = word.split(|octet| *octet == b'.');
        let class = match parts.next()? {
            b"2" => 2,
            b"4" => 4,
            b"5" => 5,
            _ => return None,
        };
        let is_number = |part: &[u8]| matches!(part.len(), 1..=3) && part.iter().all(u8::is_ascii_digit);
        (is_number(parts.next()?) && is_number(parts.next()?) && parts.next().is_none()).then_some(class)
    }
}

/// Where framing stands in a reply that is not whole yet.
#[derive(Debug, Default, Clone)]
pub struct Framing {
    line_at: usize,
    lines: usize,
    code: u16,
}

impl Framing {
    /// The whole reply at the front of `input`; `None`: more bytes are needed, to be given together with these.
    /// ```text
    /// Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
    /// Reply-code = %x32-35 %x30-35 %x30-39        textstring = 1*(%d09 / %d32-126)
    /// ```
    pub fn whole<'a>(&mut self, input: &'a [u8]) -> Result<Option<Reply<'a>>, String> {
        loop {
            let rest = &input[self.line_at..];
            let Some(found) = memchr(b'\n', rest) else {
                if rest.len() > REPLY_LINE_BYTES_MAX {
                    return Err(format!("a reply line is longer than {REPLY_LINE_BYTES_MAX} octets"));
                }
                return Ok(None);
            };
            let Some(line) = rest[..=found].strip_suffix(b"\r\n") else {
                return Err("a reply line ends in a bare LF".into());
            };
            if line.len() > REPLY_LINE_BYTES_MAX || self.lines == REPLY_LINES_MAX {
                return Err("a reply is too long".into());
            }
            let (code, last) = reply_line(line)?;
            if self.lines > 0 && code != self.code {
                return Err(format!("a reply changes its code from {} to {code}", self.code));
            }
            self.code = code;
            self.lines += 1;
            self.line_at += found + 1;
            if last {
                let reply = Reply { code, bytes: &input[..self.line_at] };
                *self = Framing::default();
                return Ok(Some(reply));
            }
        }
    }
}

fn reply_line(line: &[u8]) -> Result<(u16, bool), String> {
    let wrong =
        || format!("not a reply line: \"{}\"", String::from_utf8_lossy(&line[..line.len().min(60)]).escape_debug());
    let [a @ b'2'..=b'5', b @ b'0'..=b'5', c @ b'0'..=b'9', rest @ ..] = line else { return Err(wrong()) };
    let code = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    // RFC 6531 §3.7.4.2 lets UTF-8 into replies; control characters never.
    match rest {
        [b' ' | b'-', text @ ..] if text.iter().any(|octet| *octet != b'\t' && (*octet < b' ' || *octet == 0x7f)) => {
            Err(wrong())
        }
        [b'-', ..] => Ok((code, false)),
        [] | [b' ', ..] => Ok((code, true)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_chunking_gives_the_same_replies() {
        let stream = b"220 hi\r\n250-mx\r\n250-PIPELINING\r\n250 8BITMIME\r\n250\r\n550 5.1.1 no such user\r\n";
        for chunk in 1..=stream.len() {
            let (mut framing, mut pending, mut codes) = (Framing::default(), Vec::new(), Vec::new());
            for piece in stream.chunks(chunk) {
                pending.extend_from_slice(piece);
                while let Some(reply) = framing.whole(&pending).expect("well formed") {
                    codes.push((reply.code, reply.lines().count(), reply.enhanced_class()));
                    let bytes = reply.bytes().len();
                    pending.drain(..bytes);
                }
            }
            assert_eq!(codes, [(220, 1, None), (250, 3, None), (250, 1, None), (550, 1, Some(5))], "chunks of {chunk}");
        }
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_refused() {
        let wrongs: [&[u8]; 8] = [
            b"25 x\r\n",
            b"250x\r\n",
            b"650 x\r\n",
            b"260 x\r\n",
            b"250-a\r\n251 b\r\n",
            b"250 a\n",
            b"250 a\0b\r\n",
            b"\r\n",
        ];
        for wrong in wrongs {
            assert!(Framing::default().whole(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
        assert!(Framing::default().whole(&[b'2'; REPLY_LINE_BYTES_MAX + 1]).is_err());
        assert!(Framing::default().whole(&b"250-x\r\n".repeat(REPLY_LINES_MAX + 1)).is_err());
    }
}
