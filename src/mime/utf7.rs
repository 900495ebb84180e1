//! UTF-7, in which old mail still comes: octets to text. RFC 2152.
//!
//! Everything has a reading: half a character, a lone surrogate and an octet that isn't ASCII become U+FFFD. Nothing is
//! written in it, and commands can't be sent in it: it is read where mail says so, and nowhere else.

use super::transfer::sextet;

/// Whether `label` names it.
pub(super) fn is_named(label: &[u8]) -> bool {
    let label = label.trim_ascii();
    label.eq_ignore_ascii_case(b"utf-7") || label.eq_ignore_ascii_case(b"unicode-1-1-utf-7")
}

/// The text of `octets`.
/// ```text
/// text    = *(direct / shifted)
/// shifted = "+" *base64-char ["-"]      ; UTF-16, and "+-" is a plus sign
/// ```
pub(super) fn decode(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut rest = octets;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        if *octet != b'+' {
            text.push(if octet.is_ascii() { char::from(*octet) } else { char::REPLACEMENT_CHARACTER });
            continue;
        }
        let length = rest.iter().take_while(|octet| sextet(**octet).is_some()).count();
        let (shifted, after) = rest.split_at(length);
        let is_closed = after.first() == Some(&b'-');
        if shifted.is_empty() && is_closed {
            text.push('+');
        }
        utf_16(shifted, &mut text);
        rest = &after[usize::from(is_closed)..];
    }
    text
}

/// Appends the UTF-16 that `shifted` is the base64 of; the bits that fill the last sextet are zero.
fn utf_16(shifted: &[u8], text: &mut String) {
    let (mut bits, mut count) = (0u32, 0);
    let units = shifted.iter().filter_map(|octet| sextet(*octet)).filter_map(|sextet| {
        bits = bits << 6 | u32::from(sextet);
        count += 6;
        (count >= 16).then(|| {
            count -= 16;
            (bits >> count) as u16
        })
    });
    text.extend(char::decode_utf16(units).map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)));
    if count >= 6 || bits & ((1 << count) - 1) != 0 {
        text.push(char::REPLACEMENT_CHARACTER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_2152_examples() {
        let known = [
            ("A+ImIDkQ.", "A≢Α."),
            ("Hi Mom -+Jjo--!", "Hi Mom -☺-!"),
            ("+ZeVnLIqe-", "日本語"),
            ("Item 3 is +AKM-1.", "Item 3 is £1."),
        ];
        for (octets, expected) in known {
            assert_eq!(decode(octets.as_bytes()), expected);
        }
    }

    #[test]
    fn everything_has_a_reading() {
        let known: [(&[u8], &str); 9] = [
            (b"", ""),
            (b"1 +- 1", "1 + 1"),
            (b"+", ""),
            (b"+APw", "ü"),
            (b"+APw/x", "\u{fc}\u{fffd}"),
            (b"+2D3cAA-", "\u{1f400}"),
            (b"+2D0-x", "\u{fffd}x"),
            (b"+A-", "\u{fffd}"),
            (b"\xe9+\xe9", "\u{fffd}\u{fffd}"),
        ];
        for (octets, expected) in known {
            assert_eq!(decode(octets), expected, "{}", String::from_utf8_lossy(octets));
        }
    }
}
