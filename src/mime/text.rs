//! The search text of a message: decoded, folded, one string.
//!
//! Headers come as `name: value` lines with encoded words read, text parts follow as they are without their encoding and
//! charset; markup stays. All stops at a bound. Search keys pass the same [`fold`], so that a search is a
//! comparison of octets. Behind the message's own header stands [`MARK`], which folding lets through nowhere: no key
//! matches across it, and what follows it is the body. RFC 3501 §6.4.4 (TEXT, BODY, HEADER).

use super::header::{self, unfold};
use super::{Encoding, transfer, words};
use crate::limits::MIME_FIELD_TEXT_BYTES_MAX;

/// Ends the message's own header in its search text; where it comes in mail it becomes a space.
const MARK: char = '\u{1}';

/// What of a search text is the body: all of it where the text is from before there was a mark.
pub fn body(text: &str) -> &str {
    memchr::memchr(MARK as u8, text.as_bytes()).map_or(text, |mark| &text[mark + 1..])
}

/// Lower case, character by character (no context as of the final sigma); white space stays as it is.
pub fn fold(text: &str) -> String {
    let mut folded = Text::new(usize::MAX);
    folded.push(text);
    folded.out
}

/// A string that folds what it takes, up to a bound.
pub(super) struct Text {
    pub(super) out: String,
    bytes_max: usize,
    /// Octets of fields that were read.
    header_bytes: usize,
}

impl Text {
    pub(super) fn new(bytes_max: usize) -> Text {
        Text { out: String::new(), bytes_max, header_bytes: 0 }
    }

    fn room(&self) -> usize {
        self.bytes_max - self.out.len()
    }

    pub(super) fn push(&mut self, text: &str) {
        if text.is_ascii() {
            let start = self.out.len();
            self.out.push_str(&text[..text.len().min(self.room())]);
            self.out[start..].make_ascii_lowercase();
            self.blank_marks(start);
            return;
        }
        for character in text.chars() {
            let character = if character == MARK { ' ' } else { character };
            for lower in character.to_lowercase() {
                if lower.len_utf8() > self.room() {
                    // Nothing shorter may follow: the text is a prefix.
                    self.bytes_max = self.out.len();
                    return;
                }
                self.out.push(lower);
            }
        }
    }

    /// Takes the marks out of what was pushed from `start` on, which is ASCII.
    fn blank_marks(&mut self, start: usize) {
        if memchr::memchr(MARK as u8, &self.out.as_bytes()[start..]).is_some() {
            let blank = self.out[start..].replace(MARK, " ");
            self.out.truncate(start);
            self.out.push_str(&blank);
        }
    }

    /// Ends the message's own header; there is room for it beyond the bound.
    pub(super) fn mark(&mut self) {
        self.bytes_max += MARK.len_utf8();
        self.out.push(MARK);
    }

    /// The fields of a header.
    pub(super) fn fields(&mut self, header: &[u8]) {
        for field in header::fields(header) {
            // Encoded words of nothing leave room for ever.
            self.header_bytes += field.raw.len();
            if self.room() == 0 || self.header_bytes > self.bytes_max {
                return;
            }
            self.push(&String::from_utf8_lossy(field.name));
            self.push(": ");
            self.push(&words::decode(&unfold(field.value)));
            self.push("\n");
        }
    }

    /// The body of a part that is text.
    pub(super) fn body(&mut self, encoding: Encoding, body: &[u8], charset: Option<&[u8]>) {
        if self.room() > 0 {
            // UTF-16 has at most twice as many octets as its UTF-8; what charsets with shifts have beyond that is left out.
            let body = transfer::decode(encoding, body, self.room().saturating_mul(2));
            self.push(&words::to_unicode(charset, &body));
            self.push("\n");
        }
    }
}

/// The value of one field alone, decoded and folded.
pub fn field(value: &[u8]) -> String {
    let mut text = Text::new(MIME_FIELD_TEXT_BYTES_MAX);
    text.push(&words::decode(&unfold(value)));
    text.out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_by_character() {
        assert_eq!(fold("ÀÉ  \tΣΑΣ İ ẞ"), "àé  \tσασ i\u{307} ß");
        assert_eq!(fold("Plain ASCII"), "plain ascii");
    }

    #[test]
    fn the_mark_is_behind_the_header_and_nowhere_else() {
        assert_eq!((fold("a\u{1}B"), fold("é\u{1}B")), ("a b".to_owned(), "é b".to_owned()));
        let mut text = Text::new(4);
        text.push("a\u{1}bcd");
        text.mark();
        text.push("x");
        assert_eq!((text.out.as_str(), body(&text.out)), ("a bc\u{1}", ""));
        assert_eq!(body("header\u{1}body"), "body");
        assert_eq!(body("from before there was a mark"), "from before there was a mark");
    }

    #[test]
    fn a_text_ends_at_its_bound_with_a_whole_character() {
        let mut text = Text::new(4);
        text.push("ABé");
        text.push("é");
        text.push("X");
        assert_eq!(text.out, "abé");
        let mut text = Text::new(3);
        text.push("ABé");
        text.push("c");
        assert_eq!(text.out, "ab");
    }
}
