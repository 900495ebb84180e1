//! Finds where a response ends: at a CRLF that is not part of a literal. RFC 9051 §4.3.
//!
//! Invariant: any chunking of the same bytes gives the same responses, and no byte is looked at twice. Only untagged data can
//! hold literals: the human-readable text of a status response may end in `{5}` and means nothing by it.

use memchr::memchr;

use crate::limits::{LINE_BYTES_MAX, RESPONSE_BYTES_MAX};

/// Where framing stands in a response that is not whole yet.
#[derive(Debug, Default, Clone)]
pub struct Frame {
    line_at: usize,
    scanned: usize,
    may_hold_literals: bool,
}

impl Frame {
    /// The length of the whole response at the front of `input`; `None`: more bytes are needed, to be given together with these.
    pub fn whole(&mut self, input: &[u8]) -> Result<Option<usize>, String> {
        while self.scanned <= input.len() {
            let Some(found) = memchr(b'\n', &input[self.scanned..]) else {
                self.scanned = input.len();
                if input.len() - self.line_at > LINE_BYTES_MAX {
                    return Err(format!("a response line is longer than {LINE_BYTES_MAX} octets"));
                }
                return Ok(None);
            };
            let end = self.scanned + found + 1;
            let line = &input[self.line_at..end];
            let Some(line) = line.strip_suffix(b"\r\n") else {
                return Err("a response line ends in a bare LF".into());
            };
            if self.line_at == 0 {
                self.may_hold_literals = is_untagged_data(line);
            }
            match self.may_hold_literals.then(|| literal_bytes(line)).flatten() {
                Some(bytes) if bytes > (RESPONSE_BYTES_MAX - end.min(RESPONSE_BYTES_MAX)) as u64 => {
                    return Err(format!("a response with a literal of {bytes} octets is beyond {RESPONSE_BYTES_MAX}"));
                }
                Some(bytes) => {
                    self.line_at = end + bytes as usize;
                    self.scanned = self.line_at;
                }
                None => {
                    *self = Frame::default();
                    return Ok(Some(end));
                }
            }
        }
        Ok(None)
    }
}

/// True for `* ` and anything but OK, NO, BAD, BYE and PREAUTH.
fn is_untagged_data(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"* ") else { return false };
    let word = &rest[..memchr(b' ', rest).unwrap_or(rest.len())];
    ![b"OK".as_slice(), b"NO", b"BAD", b"BYE", b"PREAUTH"].iter().any(|status| word.eq_ignore_ascii_case(status))
}

/// The length announced at the end of a line.
/// ```text
/// literal = "{" number64 "}" CRLF *CHAR8      literal8 = "~{" number64 "}" CRLF *OCTET
/// ```
fn literal_bytes(line: &[u8]) -> Option<u64> {
    let rest = line.strip_suffix(b"}")?;
    let digits = &rest[memchr::memrchr(b'{', rest)? + 1..];
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"* OK hello {5}\r\n* 1 FETCH (BODY[] {4}\r\n\r\n*\r FLAGS (\\Seen) BODY[1] ~{2}\r\nab)\r\nA1 NO {9}\r\n+ {3}\r\n* LIST () \"/\" {0}\r\n\r\n";

    fn lengths(stream: &[u8], chunk: usize) -> Vec<usize> {
        let mut frame = Frame::default();
        let (mut found, mut pending) = (Vec::new(), Vec::new());
        for piece in stream.chunks(chunk) {
            pending.extend_from_slice(piece);
            while let Some(bytes) = frame.whole(&pending).expect("the stream is well formed") {
                found.push(bytes);
                pending.drain(..bytes);
            }
        }
        assert!(pending.is_empty());
        found
    }

    #[test]
    fn any_chunking_gives_the_same_responses() {
        let whole = lengths(STREAM, STREAM.len());
        assert_eq!(whole.len(), 5);
        assert_eq!(whole[0], b"* OK hello {5}\r\n".len());
        for chunk in 1..STREAM.len() {
            assert_eq!(lengths(STREAM, chunk), whole, "chunks of {chunk}");
        }
    }

    #[test]
    fn endless_lines_and_literals_are_refused() {
        let mut frame = Frame::default();
        assert!(frame.whole(&vec![b'x'; LINE_BYTES_MAX + 1]).is_err());
        for digits in ["4294967295", "9223372036854775807", "9999999999999999999"] {
            let line = format!("* 1 FETCH (BODY[] {{{digits}}}\r\n");
            assert!(Frame::default().whole(line.as_bytes()).is_err(), "{digits}");
        }
        assert!(Frame::default().whole(b"* OK\n").is_err());
    }
}
