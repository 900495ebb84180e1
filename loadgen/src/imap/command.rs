//! IMAP commands as text. RFC 9051 §6 and §9.
//!
//! Tags have a fixed width, so that a NOOP and its reply have the same length each time. A string that can't be quoted is
//! given as a literal, which the caller must hold back until the server asks for it (or announce LITERAL+).

use std::collections::VecDeque;

/// The tag of command `number`: `A` and six digits.
pub fn tag(number: u32) -> [u8; 7] {
    let mut text = *b"A000000";
    let mut left = number;
    for digit in text[1..].iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    text
}

/// A command in pieces: the first is sent at once, each other one after a continuation request.
pub type Pieces = VecDeque<Vec<u8>>;

/// Builds a command out of words and strings.
#[derive(Debug)]
pub struct Builder {
    pieces: Pieces,
    text: Vec<u8>,
}

impl Builder {
    /// Begins with `tag`.
    pub fn new(tag: &[u8]) -> Builder {
        Builder { pieces: Pieces::new(), text: tag.to_vec() }
    }

    /// Adds SP and a word as it is.
    pub fn word(mut self, word: &str) -> Builder {
        self.text.push(b' ');
        self.text.extend_from_slice(word.as_bytes());
        self
    }

    /// Adds SP and a string: quoted where that is possible, else a synchronising literal.
    pub fn string(mut self, string: &str) -> Builder {
        self.text.push(b' ');
        if string.bytes().all(|octet| (b' '..0x7f).contains(&octet)) {
            self.text.push(b'"');
            for octet in string.bytes() {
                if octet == b'"' || octet == b'\\' {
                    self.text.push(b'\\');
                }
                self.text.push(octet);
            }
            self.text.push(b'"');
        } else {
            self.text.extend_from_slice(format!("{{{}}}\r\n", string.len()).as_bytes());
            self.pieces.push_back(std::mem::take(&mut self.text));
            self.text.extend_from_slice(string.as_bytes());
        }
        self
    }

    /// Ends the command.
    pub fn end(mut self) -> Pieces {
        self.text.extend_from_slice(b"\r\n");
        self.pieces.push_back(self.text);
        self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_one_width() {
        assert_eq!(&tag(0), b"A000000");
        assert_eq!(&tag(42), b"A000042");
        assert_eq!(&tag(1_234_567), b"A234567");
    }

    #[test]
    fn strings_are_quoted_or_literal() {
        let pieces = Builder::new(b"A1").word("LOGIN").string("a b\"c\\").string("pä\r\nss").string("x").end();
        let expected: [&[u8]; 2] = [b"A1 LOGIN \"a b\\\"c\\\\\" {7}\r\n", "pä\r\nss \"x\"\r\n".as_bytes()];
        assert_eq!(pieces, expected);
    }
}
