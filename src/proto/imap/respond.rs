//! Writes the parts of IMAP responses into a buffer.
//!
//! Invariants: nothing is allocated beyond what the buffer may grow; whatever bytes a string has, the client reads it
//! as that string; INBOX is in capitals. Which response is sent is the session's business. RFC 3501 §7 and §9.

use super::command::{Section, SectionText};
use super::flags::Flags;
use super::sequence::Range;
use super::token::{ASTRING, is};
use super::utf7;
use crate::limits::QUOTED_BYTES_MAX;

pub use crate::proto::calendar::write_date_time as date_time;

/// What eight digits are not enough for.
const EIGHT_DIGITS: u64 = 100_000_000;

/// Writes a decimal number.
#[inline]
pub fn number(out: &mut Vec<u8>, number: u64) {
    if number >= EIGHT_DIGITS {
        return long_number(out, number);
    }
    let digits = eight_digits(number as u32);
    let zeros = (digits.trailing_zeros() / 8).min(7);
    // All eight octets are written, since that is one store, and those too many are cut off.
    out.extend_from_slice(&(text_of(digits) >> (8 * zeros)).to_le_bytes());
    out.truncate(out.len() - zeros as usize);
}

#[cold]
fn long_number(out: &mut Vec<u8>, value: u64) {
    number(out, value / EIGHT_DIGITS);
    out.extend_from_slice(&text_of(eight_digits((value % EIGHT_DIGITS) as u32)).to_le_bytes());
}

/// The digits of a number below [`EIGHT_DIGITS`], an octet each, the first one lowest: halved into numbers of four, two and
/// one digit, side by side in one word (Khuong: How to print integers really fast, 2017).
fn eight_digits(number: u32) -> u64 {
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    // 10486 / 2^20 is 1/100 as far as four digits go, 103 / 2^10 is 1/10 for two.
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (twos - 10 * tens) << 8
}

fn text_of(digits: u64) -> u64 {
    digits | 0x3030_3030_3030_3030
}

/// Writes an astring: an atom where it can be one, else quoted, else a literal.
pub fn astring(out: &mut Vec<u8>, text: &[u8]) {
    // NIL would be read as no string, where one may be missing.
    if text.is_empty()
        || !text.iter().all(|&byte| byte < 0x80 && is(byte, ASTRING))
        || text.eq_ignore_ascii_case(b"NIL")
    {
        string(out, text);
    } else {
        out.extend_from_slice(text);
    }
}

/// Writes a string: quoted where it may be, else a literal. NUL, which neither may hold (RFC 3501 §9, CHAR8), becomes
/// 0x80, so that the size stays what was announced.
pub fn string(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() <= QUOTED_BYTES_MAX && text.iter().all(|&byte| byte < 0x80 && !matches!(byte, b'\r' | b'\n' | 0)) {
        return quoted(out, text);
    }
    literal_head(out, text.len() as u64);
    let start = out.len();
    out.extend_from_slice(text);
    let mut rest = &mut out[start..];
    while let Some(nul) = memchr::memchr(0, rest) {
        rest[nul] = 0x80;
        rest = &mut rest[nul + 1..];
    }
}

/// Writes a string, or NIL.
pub fn nstring(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Writes what stands before the bytes of a literal: `{n}` and CRLF.
pub fn literal_head(out: &mut Vec<u8>, size: u64) {
    out.push(b'{');
    number(out, size);
    out.extend_from_slice(b"}\r\n");
}

/// Writes a quoted string; `text` has no CR, LF or NUL.
fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Writes a mailbox name in modified UTF-7: an atom where it can be one, else quoted.
pub fn mailbox(out: &mut Vec<u8>, name: &str) {
    // What an atom of plain ASCII has can only be `&` that the encoding changes.
    if name.bytes().all(|byte| byte < 0x80 && byte != b'&' && is(byte, ASTRING)) {
        return astring(out, name.as_bytes());
    }
    out.push(b'"');
    let mut rest = name;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest.as_bytes()) {
        // Both are written as they are and end a shift, so that the name may be encoded in parts.
        utf7::encode(out, &rest[..at]);
        out.extend_from_slice(&[b'\\', rest.as_bytes()[at]]);
        rest = &rest[at + 1..];
    }
    utf7::encode(out, rest);
    out.push(b'"');
}

/// What any set of system flags takes as a list.
const FLAGS_BYTES: usize = 64;

/// Each set of system flags as a list without its end, and how long that is.
static FLAG_LISTS: [([u8; FLAGS_BYTES], usize); 64] = {
    let mut lists = [([0; FLAGS_BYTES], 0); 64];
    let mut bits = 0;
    while bits < lists.len() {
        lists[bits] = flag_list(Flags::from_bits(bits as u8));
        bits += 1;
    }
    lists
};

const fn flag_list(system: Flags) -> ([u8; FLAGS_BYTES], usize) {
    let (mut text, mut length, mut at) = ([0; FLAGS_BYTES], 1, 0);
    text[0] = b'(';
    while at < Flags::NAMED.len() {
        let (flag, name) = Flags::NAMED[at];
        if system.contains(flag) {
            if length > 1 {
                text[length] = b' ';
                length += 1;
            }
            text.split_at_mut(length).1.split_at_mut(name.len()).0.copy_from_slice(name.as_bytes());
            length += name.len();
        }
        at += 1;
    }
    (text, length)
}

/// Writes a parenthesised list of flags and keywords.
#[inline]
pub fn flags<'k>(out: &mut Vec<u8>, system: Flags, keywords: impl IntoIterator<Item = &'k str>) {
    let (list, length) = &FLAG_LISTS[usize::from(system.bits())];
    // As with numbers: all octets, and those too many cut off.
    out.extend_from_slice(list);
    out.truncate(out.len() - FLAGS_BYTES + length);
    for keyword in keywords {
        if !out.ends_with(b"(") {
            out.push(b' ');
        }
        out.extend_from_slice(keyword.as_bytes());
    }
    out.push(b')');
}

/// Writes a sequence set of ranges, `*` where one says so; nothing where there are none, which no response may hold.
pub fn sequence_set(out: &mut Vec<u8>, ranges: &[Range]) {
    for (index, range) in ranges.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        sequence_number(out, range.first);
        if range.last != range.first {
            out.push(b':');
            sequence_number(out, range.last);
        }
    }
}

/// Writes ascending numbers as a sequence set: `1:3,5`.
pub fn numbers(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    let mut open: Option<Range> = None;
    let mut first = true;
    let mut write = |out: &mut Vec<u8>, range| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        sequence_set(out, &[range]);
    };
    for number in numbers {
        match &mut open {
            Some(range) if range.last.checked_add(1) == Some(number) => range.last = number,
            _ => {
                if let Some(range) = open.replace(Range { first: number, last: number }) {
                    write(out, range);
                }
            }
        }
    }
    if let Some(range) = open {
        write(out, range);
    }
}

fn sequence_number(out: &mut Vec<u8>, value: u32) {
    if value == Range::LAST { out.push(b'*') } else { number(out, u64::from(value)) }
}

/// Writes `BODY[…]` as a FETCH response names it: without PEEK, of a partial range the origin alone.
pub fn section(out: &mut Vec<u8>, section: &Section<'_>) {
    out.extend_from_slice(b"BODY[");
    for (index, &part) in section.part.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        number(out, u64::from(part));
    }
    let dot: &[u8] = if section.part.is_empty() || section.text == SectionText::All { b"" } else { b"." };
    out.extend_from_slice(dot);
    match section.text {
        SectionText::All => {}
        SectionText::Header => out.extend_from_slice(b"HEADER"),
        SectionText::Text => out.extend_from_slice(b"TEXT"),
        SectionText::Mime => out.extend_from_slice(b"MIME"),
        SectionText::HeaderFields(fields) => header_list(out, b"HEADER.FIELDS (", fields),
        SectionText::HeaderFieldsNot(fields) => header_list(out, b"HEADER.FIELDS.NOT (", fields),
    }
    out.push(b']');
    if let Some(partial) = section.partial {
        out.push(b'<');
        number(out, partial.offset);
        out.push(b'>');
    }
}

fn header_list(out: &mut Vec<u8>, name: &[u8], fields: &[&[u8]]) {
    out.extend_from_slice(name);
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        astring(out, field);
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn all_kinds_of_numbers() {
        let mut tried = 0u64;
        for power in 0..20 {
            for offset in -101..=101i64 {
                let value = 10u64.pow(power).wrapping_add_signed(offset);
                assert_eq!(written(|out| number(out, value)), value.to_string());
                tried += 1;
            }
        }
        assert_eq!(written(|out| number(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(tried, 20 * 203);
    }

    #[test]
    fn strings() {
        for (text, expected) in [
            (&b"abc"[..], "abc"),
            (b"", "\"\""),
            (b"nil", "\"nil\""),
            (b"a b", "\"a b\""),
            (b"a\"b\\c", "\"a\\\"b\\\\c\""),
            (b"a\r\nb", "{4}\r\na\r\nb"),
            ("ü".as_bytes(), "{2}\r\nü"),
            (b"a]b", "a]b"),
            (b"a*", "\"a*\""),
        ] {
            assert_eq!(written(|out| astring(out, text)), expected);
        }
        assert_eq!(written(|out| string(out, b"abc")), "\"abc\"");
        assert_eq!(written(|out| nstring(out, None)), "NIL");
        let mut out = Vec::new();
        string(&mut out, b"a\0b\0");
        assert_eq!(out, b"{4}\r\na\x80b\x80");
        let long = "x".repeat(QUOTED_BYTES_MAX + 1);
        assert!(written(|out| string(out, long.as_bytes())).starts_with('{'));
    }

    #[test]
    fn mailboxes() {
        for (name, expected) in [
            ("INBOX", "INBOX"),
            ("Sent Items", "\"Sent Items\""),
            ("Entwürfe", "\"Entw&APw-rfe\""),
            ("A&B", "\"A&-B\""),
            ("a\"ü\\", "\"a\\\"&APw-\\\\\""),
            ("", "\"\""),
        ] {
            assert_eq!(written(|out| mailbox(out, name)), expected);
        }
    }

    #[test]
    fn flags_sets_and_sections() {
        let system = Flags::SEEN.with(Flags::ANSWERED).with(Flags::RECENT);
        assert_eq!(written(|out| flags(out, system, ["$Forwarded"])), "(\\Answered \\Seen \\Recent $Forwarded)");
        assert_eq!(written(|out| flags(out, Flags::empty(), [])), "()");
        assert_eq!(written(|out| flags(out, Flags::empty(), ["a", "b"])), "(a b)");
        for bits in 0..64 {
            let system = Flags::from_bits(bits);
            let names = Flags::NAMED.iter().filter(|(flag, _)| system.contains(*flag)).map(|(_, name)| *name);
            let list = names.collect::<Vec<_>>().join(" ");
            assert_eq!(written(|out| flags(out, system, [])), format!("({list})"));
        }
        assert_eq!(written(|out| numbers(out, [1, 2, 3, 5, 7, 8, u32::MAX - 1])), "1:3,5,7:8,4294967294");
        assert_eq!(written(|out| numbers(out, [])), "");
        let ranges = [Range { first: 4, last: 4 }, Range { first: 9, last: Range::LAST }];
        assert_eq!(written(|out| sequence_set(out, &ranges)), "4,9:*");
        let partial = Some(super::super::Partial { offset: 4096, count: 10 });
        let fields: &[&[u8]] = &[b"Subject", b"X A"];
        for (part, text, partial, expected) in [
            (&[][..], SectionText::All, None, "BODY[]"),
            (&[1, 2], SectionText::All, partial, "BODY[1.2]<4096>"),
            (&[3], SectionText::Mime, None, "BODY[3.MIME]"),
            (&[], SectionText::HeaderFields(fields), None, "BODY[HEADER.FIELDS (Subject \"X A\")]"),
            (&[1], SectionText::HeaderFieldsNot(fields), partial, "BODY[1.HEADER.FIELDS.NOT (Subject \"X A\")]<4096>"),
        ] {
            let this = Section { peek: true, part, text, partial };
            assert_eq!(written(|out| section(out, &this)), expected);
        }
        assert_eq!(written(|out| date_time(out, 837_596_665, -420)), "\"17-Jul-1996 02:44:25 -0700\"");
    }
}
