//! Modified UTF-7, the encoding of mailbox names in IMAP4rev1.
//!
//! Invariant: one name has one encoding. What [`decode`] takes, [`encode`] gives back byte for byte; shifts that are
//! superfluous, end in set bits, hold printable ASCII or half a surrogate pair are refused, else two names would be one
//! mailbox. RFC 3501 §5.1.3, RFC 2152.

use bumpalo::Bump;
use bumpalo::collections::String as ArenaString;
use memchr::memchr;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// The name that `encoded` stands for; `None` where it is not exactly what [`encode`] writes. A name without `&` is not
/// copied.
pub fn decode<'a>(arena: &'a Bump, encoded: &'a [u8]) -> Option<&'a str> {
    if !encoded.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return None;
    }
    let text = std::str::from_utf8(encoded).ok()?;
    if memchr(b'&', encoded).is_none() {
        return Some(text);
    }
    // Eight letters of base64 hold three UTF-16 units, which are nine octets at most.
    let mut name = ArenaString::with_capacity_in(encoded.len() * 9 / 8 + 4, arena);
    let mut rest = text;
    let mut after_shift = false;
    while let Some(ampersand) = memchr(b'&', rest.as_bytes()) {
        let (plain, shift) = rest.split_at(ampersand);
        name.push_str(plain);
        after_shift &= plain.is_empty();
        let dash = memchr(b'-', shift.as_bytes())?;
        let letters = &shift.as_bytes()[1..dash];
        if letters.is_empty() {
            name.push('&');
            after_shift = false;
        } else {
            if after_shift {
                return None; // both should have been one
            }
            decode_shift(letters, &mut name)?;
            after_shift = true;
        }
        rest = &shift[dash + 1..];
    }
    name.push_str(rest);
    Some(name.into_bump_str())
}

fn decode_shift(letters: &[u8], name: &mut ArenaString<'_>) -> Option<()> {
    let (mut bits, mut held) = (0u32, 0);
    let mut high: Option<u32> = None;
    for &letter in letters {
        bits = bits << 6 | value(letter)?;
        held += 6;
        if held < 16 {
            continue;
        }
        held -= 16;
        let unit = bits >> held;
        bits &= (1 << held) - 1;
        match (high.take(), unit) {
            (None, 0xD800..0xDC00) => high = Some(unit),
            (Some(high), 0xDC00..0xE000) => {
                name.push(char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (unit - 0xDC00))?)
            }
            (None, 0x20..0x7F) => return None,
            // A low surrogate alone is no character either.
            (None, _) => name.push(char::from_u32(unit)?),
            (Some(_), _) => return None,
        }
    }
    (high.is_none() && held < 6 && bits == 0).then_some(())
}

fn value(letter: u8) -> Option<u32> {
    Some(u32::from(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b',' => 63,
        _ => return None,
    }))
}

/// Writes `name` in modified UTF-7.
pub fn encode(out: &mut Vec<u8>, name: &str) {
    let mut rest = name;
    while !rest.is_empty() {
        let plain = rest.bytes().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
        out.extend_from_slice(&rest.as_bytes()[..plain]);
        rest = &rest[plain..];
        if rest.starts_with('&') {
            out.extend_from_slice(b"&-");
            rest = &rest[1..];
            continue;
        }
        let shifted = rest.bytes().position(|byte| (0x20..0x7f).contains(&byte)).unwrap_or(rest.len());
        if shifted > 0 {
            encode_shift(out, &rest[..shifted]);
            rest = &rest[shifted..];
        }
    }
}

fn is_plain(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && byte != b'&'
}

fn encode_shift(out: &mut Vec<u8>, text: &str) {
    out.push(b'&');
    let (mut bits, mut held) = (0u32, 0);
    for unit in text.encode_utf16() {
        bits = bits << 16 | u32::from(unit);
        held += 16;
        while held >= 6 {
            held -= 6;
            out.push(ALPHABET[(bits >> held) as usize & 63]);
            bits &= (1 << held) - 1;
        }
    }
    if held > 0 {
        out.push(ALPHABET[(bits << (6 - held)) as usize & 63]);
    }
    out.push(b'-');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names() {
        let arena = Bump::new();
        for (encoded, name) in [
            ("", ""),
            ("INBOX", "INBOX"),
            ("&-", "&"),
            ("A&-B&-", "A&B&"),
            ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
            ("&Jjo-!", "☺!"),
            ("&U,BTF2XlZyyKng-", "台北日本語"),
            ("Entw&APw-rfe", "Entwürfe"),
            ("&2D3eAA-", "😀"),
            ("&APw-&-", "ü&"),
            ("&AAA-", "\0"),
            ("&AAk-", "\t"),
            ("&,,8-", "\u{ffff}"),
        ] {
            assert_eq!(decode(&arena, encoded.as_bytes()), Some(name), "{encoded}");
            let mut out = Vec::new();
            encode(&mut out, name);
            assert_eq!(out, encoded.as_bytes(), "{name}");
        }
    }

    /// Attack 30: no two names for one mailbox.
    #[test]
    fn refused() {
        let arena = Bump::new();
        for encoded in [
            "&",
            "&AA",
            "&AA-",
            "&AGE-",
            "&U,BTFw-&ZeVnLIqe-",
            "&Jjo!",
            "&Jj-",
            "&Jjp-",
            "&JjoA-",
            "&AP-",
            "&2D0-",
            "&3gA-",
            "&2D3YPQ-",
            "&APx-",
            "&APw/-",
            "&APw=-",
            "&A-",
            "a\tb",
            "a\x7f",
            "&AB4gAGE-",
        ] {
            assert_eq!(decode(&arena, encoded.as_bytes()), None, "{encoded}");
        }
        assert_eq!(decode(&arena, b"Entw\xc3\xbcrfe"), None);
    }

    #[test]
    fn what_is_decoded_encodes_to_the_same() {
        let mut arena = Bump::new();
        let mut seed = 0x2545_F491_4F6C_DD1Du64;
        let letters = b"&&&--AQgwPDYd3,+ax ";
        let mut taken = 0;
        for _ in 0..200_000 {
            arena.reset();
            let mut encoded = Vec::new();
            for _ in 0..12 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                encoded.push(letters[(seed >> 40) as usize % letters.len()]);
            }
            if let Some(name) = decode(&arena, &encoded) {
                let mut again = Vec::new();
                encode(&mut again, name);
                assert_eq!(again, encoded, "{name:?}");
                taken += 1;
            }
        }
        assert!(taken > 1_000, "{taken}");
    }
}
