//! IMAP strings as they go over the wire. RFC 3501 §4.3, §9 `string`, `nstring`.
//!
//! NUL can't be sent in either form (`CHAR8` begins at 1) and is left out. The lists around the strings are written by
//! whoever knows their grammar.

use memchr::memchr;

use crate::limits::QUOTED_BYTES_MAX;

/// ```text
/// string = quoted / literal
/// quoted = DQUOTE *QUOTED-CHAR DQUOTE          ; 7-bit, no CR, no LF
/// ```
pub(super) fn string(out: &mut Vec<u8>, text: &[u8]) {
    if memchr(0, text).is_some() {
        let text: Vec<u8> = text.iter().copied().filter(|octet| *octet != 0).collect();
        return string(out, &text);
    }
    if text.len() > QUOTED_BYTES_MAX || text.iter().any(|octet| !octet.is_ascii() || matches!(octet, b'\r' | b'\n')) {
        out.extend_from_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for octet in text {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*octet);
    }
    out.push(b'"');
}

/// `nstring = string / nil`
pub(super) fn nstring(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// A string of a token, in upper case.
pub(super) fn upper(out: &mut Vec<u8>, token: &[u8]) {
    let start = out.len();
    string(out, token);
    out[start..].make_ascii_uppercase();
}

/// `number = 1*DIGIT`
pub(super) fn number(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(number.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        string(&mut out, text);
        out
    }

    #[test]
    fn a_string_is_quoted_where_it_can_be() {
        assert_eq!(written(br#"a "b" \c"#), br#""a \"b\" \\c""#);
        assert_eq!(written(b""), b"\"\"");
        assert_eq!(written(b"a\rb"), b"{3}\r\na\rb");
        assert_eq!(written("é".as_bytes()), b"{2}\r\n\xc3\xa9");
        assert_eq!(written(b"a\0b"), b"\"ab\"");
        assert_eq!(written(b"\xff\0"), b"{1}\r\n\xff");
        // Clients that read lines have a bound for them.
        assert!(written(&[b'x'; QUOTED_BYTES_MAX]).starts_with(b"\"x"));
        assert!(written(&[b'x'; QUOTED_BYTES_MAX + 1]).starts_with(b"{1001}\r\nx"));
    }
}
