//! Message identifiers, by which messages are threaded. RFC 5322 §3.6.4, RFC 5256 §2.2.
//!
//! They come without their brackets, comments and white space, quoted strings unquoted, so that equal ones are equal
//! octets. Too long ones are left out; a list of references is bounded and keeps both of its ends.

use std::collections::VecDeque;

use super::lexical::Cursor;
use crate::limits::{MESSAGE_ID_BYTES_MAX, MIME_REFERENCES_MAX};

/// The identifier of a Message-ID field; one without brackets is taken as it stands.
pub(super) fn message_id(value: &[u8]) -> Option<String> {
    let bare = || {
        let is_one_word =
            !value.is_empty() && !value.iter().any(|octet| octet.is_ascii_whitespace() || b"<>".contains(octet));
        (is_one_word && value.len() <= MESSAGE_ID_BYTES_MAX).then(|| String::from_utf8_lossy(value).into_owned())
    };
    Identifiers(Cursor::new(value)).next().or_else(bare)
}

/// What a message refers to: References in their order, then In-Reply-To, none twice.
pub(super) fn references(references: &[u8], in_reply_to: &[u8]) -> Vec<String> {
    let all = Identifiers(Cursor::new(references)).chain(Identifiers(Cursor::new(in_reply_to)));
    let mut first = None;
    let mut last = VecDeque::new();
    for identifier in all {
        if first.is_none() {
            first = Some(identifier);
            continue;
        }
        if last.len() == MIME_REFERENCES_MAX - 1 {
            last.pop_front();
        }
        last.push_back(identifier);
    }
    let mut kept: Vec<String> = Vec::with_capacity(last.len() + 1);
    for identifier in first.into_iter().chain(last) {
        if !kept.contains(&identifier) {
            kept.push(identifier);
        }
    }
    kept
}

/// ```text
/// msg-id = [CFWS] "<" id-left "@" id-right ">" [CFWS]
/// ```
/// Anything in angle brackets is taken: identifiers without "@" are written and referred to.
struct Identifiers<'a>(Cursor<'a>);

impl Iterator for Identifiers<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut inside: Option<Vec<u8>> = None;
        while let Some(octet) = self.0.peek() {
            let mut piece = vec![octet];
            match octet {
                b'<' => {
                    self.0.advance();
                    inside = Some(Vec::new());
                    continue;
                }
                b'>' => {
                    self.0.advance();
                    let found = inside.take().filter(|found| (1..=MESSAGE_ID_BYTES_MAX).contains(&found.len()));
                    if let Some(found) = found {
                        return Some(String::from_utf8_lossy(&found).into_owned());
                    }
                    continue;
                }
                b'(' => {
                    self.0.skip_cfws();
                    continue;
                }
                b'"' if inside.is_some() => piece = self.0.quoted_string(),
                _ => self.0.advance(),
            }
            if let Some(inside) = &mut inside
                && !octet.is_ascii_whitespace()
                && inside.len() <= MESSAGE_ID_BYTES_MAX
            {
                inside.extend_from_slice(&piece);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_of_an_identifier() {
        assert_eq!(message_id(b"<1234@local.machine.example>").as_deref(), Some("1234@local.machine.example"));
        assert_eq!(
            message_id(b"(x <no@t>) <testabcd.1234 @ silly\r\n .test (c)>").as_deref(),
            Some("testabcd.1234@silly.test")
        );
        assert_eq!(
            message_id(b"<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>").as_deref(),
            Some("01KF8JCEOCBS0045PS@xxx.yyy.com")
        );
        assert_eq!(message_id(b"a@b").as_deref(), Some("a@b"));
        assert_eq!(message_id(b"a b"), None);
        assert_eq!(message_id(b"<>"), None);
        assert_eq!(message_id(&[b"<", &b"x".repeat(2000)[..], b">"].concat()), None);
    }

    #[test]
    fn references_are_bounded_and_single() {
        assert_eq!(references(b"<a@x> <b@x>\r\n <a@x>", b"Your mail of today <b@x> <c@x>"), ["a@x", "b@x", "c@x"]);
        let many: String = (0..100_000).map(|number| format!("<{number}@x> ")).collect();
        let kept = references(many.as_bytes(), b"<end@x>");
        assert_eq!(kept.len(), MIME_REFERENCES_MAX);
        assert_eq!((kept[0].as_str(), kept[99].as_str()), ("0@x", "end@x"));
    }
}
