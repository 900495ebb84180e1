//! The Date of a message, as far as anybody can read it: the day that its sender wrote, without time and zone.
//!
//! All that comes in mail has a reading where a day, a month and a year can be told: RFC 5322 §3.3 with the obsolete forms
//! of §4.3 (years of two and three digits, comments, missing parts), `asctime`, dashes between the parts, ISO 8601. Whether there
//! is such a day in the calendar is not asked here. Linear, and it never refuses but with `None`.

use super::lexical::Cursor;

/// A day as it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentDate {
    /// Four digits.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// The day in the Date of an ENVELOPE, which is its first string. RFC 3501 §7.4.2.
pub fn sent_date(envelope: &[u8]) -> Option<SentDate> {
    let first = envelope.strip_prefix(b"(")?;
    if let Some(literal) = first.strip_prefix(b"{") {
        let close = literal.iter().position(|octet| *octet == b'}')?;
        let length = std::str::from_utf8(&literal[..close]).ok()?.parse::<usize>().ok()?;
        return date(literal.get(close + 3..)?.get(..length)?);
    }
    first.starts_with(b"\"").then(|| Cursor::new(first).quoted_string()).and_then(|text| date(&text))
}

const MONTHS: [&[u8; 3]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

/// What has been met of a date.
#[derive(Default)]
struct Met {
    year: Option<i64>,
    month: Option<u8>,
    day: Option<u8>,
}

/// ```text
/// date-time = [day-of-week ","] day month year time      ; RFC 5322 §3.3, and see above
/// ```
/// Numbers stand for the day or the year by their digits and by what has been met; a time has colons, a zone its sign.
fn date(value: &[u8]) -> Option<SentDate> {
    let mut cursor = Cursor::new(value);
    let mut met = Met::default();
    loop {
        let before = cursor.place();
        cursor.skip_cfws();
        let apart = cursor.place() > before;
        match cursor.peek()? {
            b'0'..=b'9' => number(cursor.until(|octet| !octet.is_ascii_digit()), &mut cursor, &mut met),
            octet if octet.is_ascii_alphabetic() => {
                let word = cursor.until(|octet| !octet.is_ascii_alphabetic());
                let start = word.get(..3).map(<[u8]>::to_ascii_lowercase);
                let month = MONTHS.iter().position(|name| start.as_deref() == Some(&name[..]));
                met.month = met.month.or(month.map(|month| month as u8 + 1));
            }
            sign @ (b'+' | b'-') if sign == b'+' || apart => {
                cursor.advance();
                cursor.until(|octet| !octet.is_ascii_digit());
            }
            _ => cursor.advance(),
        }
        if let Met { year: Some(year), month: Some(month), day: Some(day) } = met {
            return Some(SentDate { year, month, day });
        }
    }
}

/// Takes a number for what it can be.
fn number(digits: &[u8], cursor: &mut Cursor<'_>, met: &mut Met) {
    if cursor.peek() == Some(b':') {
        // A time, whatever has been met.
        cursor.until(|octet| !(octet.is_ascii_digit() || matches!(octet, b':' | b'.')));
        return;
    }
    let Some(value) = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i64>().ok()) else { return };
    let small = digits.len() <= 2;
    match met {
        Met { year: Some(_), month: None, .. } if (1..=12).contains(&value) && small => met.month = Some(value as u8),
        Met { day: None, .. } if (1..=31).contains(&value) && small => met.day = Some(value as u8),
        Met { year: None, .. } => met.year = year(value, digits.len()),
        _ => {}
    }
}

/// RFC 5322 §4.3: 00 to 49 are of this century; 50 to 99, and three digits, count from 1900.
fn year(value: i64, digits: usize) -> Option<i64> {
    match (digits, value) {
        (2, 0..=49) => Some(value + 2000),
        (2 | 3, _) => Some(value + 1900),
        (4, _) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn day(year: i64, month: u8, day: u8) -> Option<SentDate> {
        Some(SentDate { year, month, day })
    }

    #[test]
    fn dates_as_they_come() {
        for (text, expected) in [
            ("Fri, 21 Nov 1997 09:55:06 -0600", day(1997, 11, 21)),
            ("21 Nov 97 09:55:06 GMT", day(1997, 11, 21)),
            ("Thu,\r\n\t13\r\n Feb\r\n 1969\r\n 23:32\r\n -0330 (Newfoundland Time)", day(1969, 2, 13)),
            ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", day(1997, 11, 21)),
            ("(21 Dec 2001) 1 (x (y)) Jan 2002", day(2002, 1, 1)),
            ("1 Jan 49 00:00:00", day(2049, 1, 1)),
            ("1 Jan 50 00:00:00", day(1950, 1, 1)),
            ("1 Jan 103 00:00:00", day(2003, 1, 1)),
            ("Wed Nov 19 16:20:09 2003", day(2003, 11, 19)),
            ("Wed Nov 19 16:20:09 CET 2003", day(2003, 11, 19)),
            ("Nov 9, 2003", day(2003, 11, 9)),
            ("19-Nov-2003 16:20 +0100", day(2003, 11, 19)),
            ("Tuesday, 19 November 2003 16:20:09", day(2003, 11, 19)),
            ("2003-11-19T16:20:09+01:00", day(2003, 11, 19)),
            ("2003/11/19", day(2003, 11, 19)),
            ("16:20:09 19 Sept 2003", day(2003, 9, 19)),
            ("31 feb 2003", day(2003, 2, 31)),
            ("19 Nov 16:20:09 -0700 2003", day(2003, 11, 19)),
        ] {
            assert_eq!(date(text.as_bytes()), expected, "{text}");
        }
        for text in
            ["", "Fri", "21 Nov", "Nov 2003", "21 2003", "x", "99999999999999999999 Nov 3", "(21 Nov 2003", "::::", "-"]
        {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn of_an_envelope() {
        for (head, expected) in [
            (&b"Date: 1 Jan 2002 (\"x\\\\)\" (y))\n\n"[..], day(2002, 1, 1)),
            (b"Date: (\xfc) 1 Jan 2002\n\n", day(2002, 1, 1)),
            (b"Date: (\"a\") 1 Jan 2002 \"\n\n", day(2002, 1, 1)),
            (b"Date:\n\n", None),
            (b"Subject: 1 Jan 2002\n\n", None),
        ] {
            assert_eq!(sent_date(&crate::mime::structure(head).envelope), expected, "{}", head.escape_ascii());
        }
        for envelope in [&b""[..], b"(", b"(\"", b"({", b"({9}\r\n1", b"({x}", b"({18446744073709551615}\r\n1"] {
            assert_eq!(sent_date(envelope), None);
        }
    }
}
