//! The lexical tokens that structured fields share: folding white space, comments, quoted strings. RFC 5322 §3.2.
//!
//! A cursor over the still folded value; it only moves forward, so that whatever is built on it is linear. A comment or
//! a quoted string that is never closed ends with the value.

/// A place in the value of a structured field.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    /// Passes over `octet` where it is next.
    pub(super) fn eat(&mut self, octet: u8) -> bool {
        let is_next = self.peek() == Some(octet);
        self.at += usize::from(is_next);
        is_next
    }

    /// The octets up to the first that `ends` them, which stays.
    pub(super) fn until(&mut self, ends: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let taken = &rest[..rest.iter().position(|octet| ends(*octet)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// Where it stands, for [`since`](Cursor::since).
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// What was passed over since it stood at `place`.
    pub(super) fn since(&self, place: usize) -> &'a [u8] {
        self.bytes.get(place..self.at).unwrap_or_default()
    }

    /// `CFWS = (1*([FWS] comment) [FWS]) / FWS`, passed over.
    pub(super) fn skip_cfws(&mut self) {
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => self.advance(),
                b'(' => drop(self.comment()),
                _ => break,
            }
        }
    }

    /// ```text
    /// comment  = "(" *([FWS] ccontent) [FWS] ")"
    /// ccontent = ctext / quoted-pair / comment
    /// ```
    /// The text inside, inner parentheses kept, folding and quoting taken out. Stands before the "(".
    pub(super) fn comment(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut depth = 0usize;
        while let Some(octet) = self.peek() {
            self.advance();
            match octet {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'\\' => {
                    self.quoted_pair(&mut text);
                    continue;
                }
                b'\r' | b'\n' => continue,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            text.push(octet);
        }
        // The opening parenthesis came in with the rest.
        text.drain(..1);
        text
    }

    /// ```text
    /// quoted-string = DQUOTE *([FWS] qcontent) [FWS] DQUOTE
    /// qcontent      = qtext / quoted-pair
    /// ```
    /// The text inside. Stands before the first DQUOTE.
    pub(super) fn quoted_string(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        self.advance();
        while let Some(octet) = self.peek() {
            self.advance();
            match octet {
                b'"' => break,
                b'\\' => self.quoted_pair(&mut text),
                b'\r' | b'\n' => {}
                _ => text.push(octet),
            }
        }
        text
    }

    /// `quoted-pair = "\" (VCHAR / WSP)`; stands after the backslash.
    fn quoted_pair(&mut self, text: &mut Vec<u8>) {
        if let Some(octet) = self.peek() {
            self.advance();
            if !matches!(octet, b'\r' | b'\n') {
                text.push(octet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_nest_and_quote() {
        let mut cursor = Cursor::new(b"(a (b\\) c)\r\n d) x");
        assert_eq!(cursor.comment(), b"a (b) c) d");
        cursor.skip_cfws();
        assert_eq!(cursor.peek(), Some(b'x'));
        assert_eq!(Cursor::new(b"(((").comment(), b"((");
        assert_eq!(Cursor::new(b"(a\\").comment(), b"a");
    }

    #[test]
    fn quoted_strings_unquote() {
        assert_eq!(Cursor::new(b"\"a \\\"b\\\" \\\\ c\"").quoted_string(), b"a \"b\" \\ c");
        assert_eq!(Cursor::new(b"\"never closed").quoted_string(), b"never closed");
    }
}
