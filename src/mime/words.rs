//! Charsets and encoded words: octets of a header or a body to Unicode.
//!
//! Everything has a reading: an unknown charset is taken for windows-1252, octets without a charset for UTF-8 where they
//! are, malformed sequences become U+FFFD, what only looks like an encoded word stays. Encoded words are read wherever
//! they stand, in quoted strings too, since that is how they are sent. RFC 2047; RFC 2231 §5.

use std::borrow::Cow;

use encoding_rs::{REPLACEMENT, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};
use memchr::memchr;

use super::{transfer, utf7};

/// `octets` of the charset `label` as text.
pub(super) fn to_unicode<'a>(label: Option<&[u8]>, octets: &'a [u8]) -> Cow<'a, str> {
    if label.is_some_and(utf7::is_named) {
        return Cow::Owned(utf7::decode(octets));
    }
    let is_ascii = |label: &[u8]| label.trim_ascii().eq_ignore_ascii_case(b"us-ascii");
    let known = label.filter(|label| !is_ascii(label)).and_then(encoding_rs::Encoding::for_label);
    match known.filter(|encoding| *encoding != REPLACEMENT) {
        Some(encoding) => encoding.decode(octets).0,
        None => match std::str::from_utf8(octets) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => WINDOWS_1252.decode_without_bom_handling(octets).0,
        },
    }
}

/// The charsets that [`decode_charset`] reads, by their usual names (RFC 3501 §6.4.4, BADCHARSET).
pub const CHARSETS: &str = "US-ASCII UTF-8 ISO-8859-1 ISO-8859-2 ISO-8859-3 ISO-8859-4 ISO-8859-5 ISO-8859-6 ISO-8859-7 \
    ISO-8859-8 ISO-8859-9 ISO-8859-10 ISO-8859-13 ISO-8859-14 ISO-8859-15 ISO-8859-16 windows-874 windows-1250 \
    windows-1251 windows-1252 windows-1253 windows-1254 windows-1255 windows-1256 windows-1257 windows-1258 KOI8-R KOI8-U \
    IBM866 macintosh x-mac-cyrillic GBK gb18030 Big5 EUC-JP ISO-2022-JP Shift_JIS EUC-KR";

/// Why octets have no reading in the charset that they are said to be in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CharsetError {
    /// A charset that is not known, or that can't be sent in a command.
    Unknown,
    /// Octets that the charset doesn't have.
    Malformed,
}

/// What a client wrote, in the charset that it names. Without one, and for US-ASCII, 8-bit octets are read as in a header that
/// doesn't name any; else strictly, since a wrong reading would find wrong mail.
pub fn decode_charset<'a>(label: Option<&str>, octets: &'a [u8]) -> Result<Cow<'a, str>, CharsetError> {
    let Some(label) = label.filter(|label| !label.eq_ignore_ascii_case("US-ASCII")) else {
        return Ok(to_unicode(None, octets));
    };
    let known = encoding_rs::Encoding::for_label(label.as_bytes()).ok_or(CharsetError::Unknown)?;
    // UTF-16 is full of NUL, which no command holds; the others of these have no characters of their own.
    if [REPLACEMENT, UTF_16BE, UTF_16LE, X_USER_DEFINED].contains(&known) {
        return Err(CharsetError::Unknown);
    }
    known.decode_without_bom_handling_and_without_replacement(octets).ok_or(CharsetError::Malformed)
}

/// The text of an unfolded field value, its encoded words decoded.
/// ```text
/// encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?="
/// ```
/// White space between two encoded words is no text (RFC 2047 §6.2); words of one charset are put together before they are
/// converted, since many senders cut characters in half.
pub(super) fn decode(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    let mut run = Run::default();
    let (mut rest, mut from) = (value, 0);
    while let Some(found) = memchr(b'=', &rest[from..]) {
        let start = from + found;
        let Some((word, length)) = encoded_word(&rest[start..]) else {
            from = start + 1;
            continue;
        };
        let between = &rest[..start];
        if run.charset.is_none() || !between.trim_ascii().is_empty() {
            run.end(&mut text);
            text.push_str(&to_unicode(None, between));
        }
        run.add(&word, &mut text);
        rest = &rest[start + length..];
        from = 0;
    }
    run.end(&mut text);
    text.push_str(&to_unicode(None, rest));
    text
}

#[derive(Debug)]
struct EncodedWord<'a> {
    charset: &'a [u8],
    is_base64: bool,
    text: &'a [u8],
}

/// The encoded word that `text` begins with, if it does, and its length. Both the charset and the text end at the next "?", so that
/// a chain of beginnings is read once.
fn encoded_word(text: &[u8]) -> Option<(EncodedWord<'_>, usize)> {
    let rest = text.strip_prefix(b"=?")?;
    let charset = memchr(b'?', rest.get(..rest.len().min(CHARSET_BYTES_MAX))?)?;
    let encoding = *rest.get(charset + 1)?;
    if rest.get(charset + 2) != Some(&b'?') {
        return None;
    }
    let start = charset + 3;
    let end = start + memchr(b'?', &rest[start..])?;
    if rest.get(end + 1) != Some(&b'=') {
        return None;
    }
    let is_base64 = match encoding {
        b'B' | b'b' => true,
        b'Q' | b'q' => false,
        _ => return None,
    };
    let charset = rest[..charset].split(|octet| *octet == b'*').next().unwrap_or_default();
    Some((EncodedWord { charset, is_base64, text: &rest[start..end] }, end + 4))
}

/// The escape sequence of ISO-2022-JP that goes back to ASCII (RFC 1468).
const TO_ASCII: &[u8] = b"\x1b(B";

/// A charset and a language in octets; the longest registered charset name has 45.
const CHARSET_BYTES_MAX: usize = 80;

/// The octets of neighbouring encoded words of one charset.
#[derive(Default)]
struct Run<'a> {
    charset: Option<&'a [u8]>,
    octets: Vec<u8>,
}

impl<'a> Run<'a> {
    fn add(&mut self, word: &EncodedWord<'a>, text: &mut String) {
        if !self.charset.is_some_and(|charset| charset.eq_ignore_ascii_case(word.charset)) {
            self.end(text);
            self.charset = Some(word.charset);
        }
        let joint = self.octets.len();
        if word.is_base64 {
            transfer::base64(word.text, usize::MAX, &mut self.octets);
        } else {
            transfer::q(word.text, &mut self.octets);
        }
        // Every word of ISO-2022-JP ends in ASCII; where the next leaves it at once, the two escapes are malformed together.
        if self.octets[..joint].ends_with(TO_ASCII) && self.octets[joint..].starts_with(b"\x1b") {
            self.octets.drain(joint - TO_ASCII.len()..joint);
        }
    }

    fn end(&mut self, text: &mut String) {
        if let Some(charset) = self.charset.take() {
            text.push_str(&to_unicode(Some(charset), &self.octets));
            self.octets.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_2047_examples() {
        let known = [
            ("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
            ("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>", "Keld Jørn Simonsen <keld@dkuug.dk>"),
            ("=?ISO-8859-1?Q?Andr=E9?= Pirard", "André Pirard"),
            (
                "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
                "If you can read this you understand the example.",
            ),
            ("(=?ISO-8859-1?Q?a?=)", "(a)"),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
            ("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
            ("=?iso-8859-8?b?7eXs+SDv4SDp7Oj08A==?=", "םולש ןב ילטפנ"),
        ];
        for (value, expected) in known {
            assert_eq!(decode(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn characters_cut_in_half_are_joined() {
        assert_eq!(decode(b"=?utf-8?Q?=C3?= =?UTF-8?B?qQ==?= x"), "é x");
        assert_eq!(decode(b"=?utf-8?Q?=C3?= x =?UTF-8?B?qQ==?="), "\u{fffd} x \u{fffd}");
    }

    #[test]
    fn words_of_iso_2022_jp_are_joined() {
        let word = "=?ISO-2022-JP?B?GyRCJUYlOSVIGyhC?=";
        assert_eq!(decode(format!("{word} {word}\t{word}").as_bytes()), "テストテストテスト");
        assert_eq!(decode(format!("{word} =?iso-2022-jp?Q?x=1B(B?= {word}").as_bytes()), "テストxテスト");
    }

    #[test]
    fn what_is_no_encoded_word_stays() {
        for value in ["=?", "=??=", "=?utf-8?Q?x", "=?utf-8?X?x?=", "=?utf-8?Q", "=?utf-8?Q?x?y", "a =?utf-8?Q? b"] {
            assert_eq!(decode(value.as_bytes()), value);
        }
        assert_eq!(decode(b"=?=?utf-8?Q?a?="), "=?a");
        assert_eq!(decode("=?utf-8?Q?=?ä".as_bytes()), "=?utf-8?Q?=?ä");
    }

    #[test]
    fn charsets_known_and_unknown() {
        assert_eq!(to_unicode(None, b"caf\xe9 \x80"), "café €");
        assert_eq!(to_unicode(None, "café".as_bytes()), "café");
        assert_eq!(to_unicode(Some(b"US-ASCII"), "café".as_bytes()), "café");
        assert_eq!(to_unicode(Some(b"x-nothing"), b"caf\xe9"), "café");
        assert_eq!(to_unicode(Some(b"iso-2022-kr"), b"plain"), "plain");
        assert_eq!(to_unicode(Some(b"koi8-r"), b"\xf2\xd5\xd3\xd8"), "Русь");
        assert_eq!(to_unicode(Some(b"utf-16"), b"\xfe\xff\x00a"), "a");
        assert_eq!(to_unicode(Some(b"iso-2022-jp"), b"\x1b$B$\"\x1b(B"), "あ");
    }

    #[test]
    fn charsets_of_commands() {
        for label in CHARSETS.split(' ') {
            assert_eq!(decode_charset(Some(label), b"plain").as_deref(), Ok("plain"), "{label}");
        }
        let decoded = |label, octets| decode_charset(label, octets).map(Cow::into_owned);
        assert_eq!(decoded(Some("iso-8859-15"), b"\xa4"), Ok("€".to_owned()));
        assert_eq!(decoded(Some("koi8-r"), b"\xf2\xd5\xd3\xd8"), Ok("Русь".to_owned()));
        assert_eq!(decoded(Some("ISO-2022-JP"), b"\x1b$B$\"\x1b(B"), Ok("あ".to_owned()));
        assert_eq!(decoded(None, "é".as_bytes()), Ok("é".to_owned()));
        assert_eq!(decoded(Some("us-ascii"), b"\xe9"), Ok("é".to_owned()));
        assert_eq!(decoded(Some("utf-8"), b"\xe9"), Err(CharsetError::Malformed));
        for label in ["utf-16", "utf-16be", "iso-2022-kr", "x-user-defined", "x-nothing", ""] {
            assert_eq!(decoded(Some(label), b"a"), Err(CharsetError::Unknown), "{label}");
        }
    }
}
