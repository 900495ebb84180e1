//! Whole POP3 responses. RFC 1939 §3.
//!
//! Invariant: any chunking gives the same responses, and no octet is looked at twice for the end of a multi-line one. Whether a
//! response has more than its first line, only who knows the command can tell.

use memchr::{memchr, memmem};

use crate::dialogue::shown;
use crate::limits::{POP3_LINE_BYTES_MAX, RESPONSE_BYTES_MAX};

/// A whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// True: `+OK`.
    pub ok: bool,
    /// The first line behind the status indicator.
    pub text: &'a [u8],
    /// The lines of a multi-line response as they came, still with their stuffed dots, without the line of the end.
    pub lines: &'a [u8],
    /// Octets of the whole response.
    pub length: usize,
}

impl Reply<'_> {
    /// The response code in brackets (RFC 2449 §8), or nothing: `[IN-USE]`.
    pub fn code(&self) -> String {
        match (self.text.first(), memchr(b']', self.text)) {
            (Some(b'['), Some(end)) => shown(&self.text[..=end]),
            _ => String::new(),
        }
    }
}

/// Where framing stands in a response that is not whole yet.
#[derive(Debug, Default, Clone)]
pub struct Framing {
    /// Octets in which there is no end.
    scanned: usize,
}

impl Framing {
    /// The whole response at the front of `input`; `None`: more is needed, to be given together with this.
    /// ```text
    /// single-line  = status [SP text] CRLF            status = "+OK" / "-ERR"
    /// multi-line   = single-line *(line CRLF) "." CRLF    ; a line that begins with a dot has one more
    /// ```
    pub fn whole<'a>(&mut self, input: &'a [u8], multi_line: bool) -> Result<Option<Reply<'a>>, String> {
        let Some(line_feed) = memchr(b'\n', &input[..input.len().min(POP3_LINE_BYTES_MAX)]) else {
            if input.len() > POP3_LINE_BYTES_MAX {
                return Err(format!("a response line is longer than {POP3_LINE_BYTES_MAX} octets"));
            }
            return Ok(None);
        };
        let Some(line) = input[..line_feed].strip_suffix(b"\r") else {
            return Err("a response line ends in a bare LF".into());
        };
        let (ok, rest) = match line {
            [b'+', b'O', b'K', rest @ ..] => (true, rest),
            [b'-', b'E', b'R', b'R', rest @ ..] => (false, rest),
            _ => return Err(format!("not a response line: \"{}\"", shown(line).escape_debug())),
        };
        let text = match rest {
            [] => rest,
            [b' ', text @ ..] => text,
            _ => return Err(format!("not a response line: \"{}\"", shown(line).escape_debug())),
        };
        let body_at = line_feed + 1;
        if !ok || !multi_line {
            self.scanned = 0;
            return Ok(Some(Reply { ok, text, lines: &[], length: body_at }));
        }
        // The CRLF in front of the end may be that of the first line.
        let from = self.scanned.max(body_at) - 2;
        if let Some(found) = memmem::find(&input[from..], b"\r\n.\r\n") {
            let end = from + found + 2;
            self.scanned = 0;
            return Ok(Some(Reply { ok, text, lines: &input[body_at..end], length: end + 3 }));
        }
        // Its first four octets may be there already.
        self.scanned = input.len().saturating_sub(4).max(body_at);
        if input.len() > RESPONSE_BYTES_MAX {
            return Err(format!("a response is longer than {RESPONSE_BYTES_MAX} octets"));
        }
        Ok(None)
    }
}

/// Appends `lines` to `into` without their stuffed dots.
pub fn unstuff(mut lines: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
    let mut at_line_start = true;
    while !lines.is_empty() {
        if at_line_start && lines[0] == b'.' {
            if lines.get(1) != Some(&b'.') {
                return Err("a line begins with a single dot".into());
            }
            lines = &lines[1..];
        }
        match memmem::find(lines, b"\n.") {
            Some(at) => {
                into.extend_from_slice(&lines[..=at]);
                lines = &lines[at + 1..];
                at_line_start = true;
            }
            None => {
                into.extend_from_slice(lines);
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_chunking_gives_the_same_responses() {
        let stream = b"+OK\r\n.\r\n+OK 2 messages\r\n1 5\r\n..2 7\r\n.\r\n+OK\r\n\r\n..\r\n.\r\n";
        let mut known = None;
        for chunk in 1..=stream.len() {
            let (mut framing, mut pending, mut found) = (Framing::default(), Vec::new(), Vec::new());
            for piece in stream.chunks(chunk) {
                pending.extend_from_slice(piece);
                while let Some(reply) = framing.whole(&pending, true).expect("well formed") {
                    found.push((reply.text.to_vec(), reply.lines.to_vec()));
                    let length = reply.length;
                    pending.drain(..length);
                }
            }
            assert!(pending.is_empty(), "chunks of {chunk}");
            assert_eq!(known.get_or_insert_with(|| found.clone()), &found, "chunks of {chunk}");
        }
        let known = known.expect("some");
        assert_eq!((known.len(), known[0].1.len(), known[1].1.as_slice()), (3, 0, b"1 5\r\n..2 7\r\n".as_slice()));
        let reply = Framing::default().whole(b"-ERR [IN-USE] x\r\n", true).expect("well formed").expect("whole");
        assert_eq!((reply.ok, reply.code(), reply.length), (false, "[IN-USE]".into(), 17));
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_refused() {
        for wrong in ["+OK\n", "+OKAY\r\n", "-ERROR\r\n", "ok\r\n", "\r\n", "* OK\r\n", "+ok\r\n"] {
            assert!(Framing::default().whole(wrong.as_bytes(), false).is_err(), "{wrong}");
        }
        assert!(Framing::default().whole(&[b'+'; POP3_LINE_BYTES_MAX + 1], false).is_err());
    }

    #[test]
    fn dots() {
        let taken = |text: &[u8]| {
            let mut into = Vec::new();
            unstuff(text, &mut into).map(|()| into)
        };
        assert_eq!(taken(b"..a\r\n...\r\nb.\r\n..\r\n"), Ok(b".a\r\n..\r\nb.\r\n.\r\n".to_vec()));
        assert_eq!(taken(b""), Ok(Vec::new()));
        assert!(taken(b"a\r\n.b\r\n").is_err() && taken(b".\r\n").is_err());
    }
}
