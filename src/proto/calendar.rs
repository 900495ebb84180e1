//! Days and dates of the proleptic Gregorian calendar, as IMAP and mail headers write them.
//!
//! Times are seconds since 1970-01-01 00:00 UTC with an offset in minutes, dates are days since then. Nothing here
//! knows what time it is. RFC 3501 §9 (date, date-time), RFC 5322 §3.3.

const SECONDS_A_DAY: i64 = 86_400;
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
/// 1970-01-01 was a Thursday.
const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
/// Days before each month, counted from March, so that the leap day is the last of the year.
const DAYS_BEFORE: [i64; 12] = [0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337];

/// A calendar date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// The year, 0 to 9999 where it was parsed.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Date {
    /// Days since 1970-01-01; `None` where there is no such day, or none that 32 bits hold.
    pub fn days(self) -> Option<i32> {
        if self.year.unsigned_abs() > 6_000_000
            || !(1..=12).contains(&self.month)
            || self.day < 1
            || self.day > month_days(self.year, self.month)
        {
            return None;
        }
        // A year that begins in March: January and February belong to the one before.
        let month = (usize::from(self.month) + 9) % 12;
        let year = self.year - i64::from(self.month < 3);
        let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        // 719,468 days lie between 0000-03-01 and 1970-01-01.
        let days = year * 365 + leaps + DAYS_BEFORE[month] + i64::from(self.day) - 1 - 719_468;
        i32::try_from(days).ok()
    }

    /// The date that is `days` after 1970-01-01.
    pub fn from_days(days: i64) -> Date {
        let since = days.saturating_add(719_468);
        let era = since.div_euclid(146_097);
        let in_era = since.rem_euclid(146_097);
        // A century of the era has 36,524 days, the last one 36,525; four years have 1,461, the last of a century
        // fewer.
        let century = (in_era / 36_524).min(3);
        let in_century = in_era - century * 36_524;
        let four = in_century / 1_461;
        let in_four = in_century - four * 1_461;
        let one = (in_four / 365).min(3);
        let in_year = in_four - one * 365;
        let month = DAYS_BEFORE.iter().rposition(|&before| before <= in_year).unwrap_or(0);
        let year = era * 400 + century * 100 + four * 4 + one + i64::from(month >= 10);
        Date { year, month: ((month + 2) % 12 + 1) as u8, day: (in_year - DAYS_BEFORE[month] + 1) as u8 }
    }

    /// `date-text = date-day "-" date-month "-" date-year` (RFC 3501 §9), without quotes.
    pub fn parse(text: &[u8]) -> Option<Date> {
        let dash = memchr::memchr(b'-', text).filter(|&dash| dash == 1 || dash == 2)?;
        let (day, rest) = text.split_at(dash);
        let [b'-', a, b, c, b'-', year @ ..] = rest else { return None };
        let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(&[*a, *b, *c]))?;
        let date =
            Date { year: i64::from(digits(year, 4)?), month: month as u8 + 1, day: digits(day, day.len())? as u8 };
        date.days().map(|_| date)
    }
}

/// `date-time = date-day-fixed "-" date-month "-" date-year SP time SP zone` without its quotes: seconds since 1970 and
/// the zone's minutes. A day of one digit may come without the space before it.
pub fn date_time(text: &[u8]) -> Option<(i64, i16)> {
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let space = memchr::memchr(b' ', text)?;
    let days = Date::parse(&text[..space])?.days()?;
    let [h1, h2, b':', m1, m2, b':', s1, s2, b' ', sign, z1, z2, z3, z4] = text[space + 1..] else { return None };
    let (hour, minute, second) = (digits(&[h1, h2], 2)?, digits(&[m1, m2], 2)?, digits(&[s1, s2], 2)?);
    let (zone_hours, zone_minutes) = (digits(&[z1, z2], 2)?, digits(&[z3, z4], 2)?);
    // A leap second is allowed and counts as the first of the next minute.
    if hour > 23 || minute > 59 || second > 60 || zone_hours > 23 || zone_minutes > 59 {
        return None;
    }
    let zone = (zone_hours * 60 + zone_minutes) as i16;
    let zone = match sign {
        b'+' => zone,
        b'-' => -zone,
        _ => return None,
    };
    let local = i64::from(days) * SECONDS_A_DAY + i64::from(hour * 3600 + minute * 60 + second);
    Some((local - i64::from(zone) * 60, zone))
}

/// Writes a `date-time` with its quotes: `"17-Jul-1996 02:44:25 -0700"`.
pub fn write_date_time(out: &mut Vec<u8>, seconds: i64, offset_minutes: i16) {
    let (date, clock) = local(seconds, offset_minutes);
    out.push(b'"');
    out.extend_from_slice(&if date.day < 10 { [b' ', b'0' + date.day] } else { two(date.day) });
    out.push(b'-');
    out.extend_from_slice(MONTHS[usize::from(date.month - 1)]);
    out.push(b'-');
    write_year(out, date.year);
    write_clock(out, clock, offset_minutes);
    out.push(b'"');
}

/// Writes the `date-time` of RFC 5322 §3.3: `Wed, 17 Jul 1996 02:44:25 -0700`.
pub fn write_header_date(out: &mut Vec<u8>, seconds: i64, offset_minutes: i16) {
    let (date, clock) = local(seconds, offset_minutes);
    out.extend_from_slice(WEEKDAYS[date.days().unwrap_or(0).rem_euclid(7) as usize]);
    out.extend_from_slice(b", ");
    out.extend_from_slice(&two(date.day));
    out.push(b' ');
    out.extend_from_slice(MONTHS[usize::from(date.month - 1)]);
    out.push(b' ');
    write_year(out, date.year);
    write_clock(out, clock, offset_minutes);
}

fn month_days(year: i64, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn digits(text: &[u8], length: usize) -> Option<u32> {
    if text.len() != length || length == 0 {
        return None;
    }
    text.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

/// The date and the seconds of the day where the clock is `offset_minutes` ahead.
fn local(seconds: i64, offset_minutes: i16) -> (Date, u32) {
    // Four digits of year are all that the formats hold: 0000-01-01 and 9999-12-31, less a day for the offset.
    let local = seconds.clamp(-62_167_132_800, 253_402_214_400) + i64::from(offset_minutes) * 60;
    (Date::from_days(local.div_euclid(SECONDS_A_DAY)), local.rem_euclid(SECONDS_A_DAY) as u32)
}

fn two(number: u8) -> [u8; 2] {
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

fn write_year(out: &mut Vec<u8>, year: i64) {
    let year = year.clamp(0, 9999);
    out.extend_from_slice(&two((year / 100) as u8));
    out.extend_from_slice(&two((year % 100) as u8));
}

fn write_clock(out: &mut Vec<u8>, seconds: u32, offset_minutes: i16) {
    let [h1, h2] = two((seconds / 3600) as u8);
    let [m1, m2] = two((seconds / 60 % 60) as u8);
    let [s1, s2] = two((seconds % 60) as u8);
    let zone = offset_minutes.unsigned_abs();
    let [z1, z2] = two((zone / 60) as u8);
    let [z3, z4] = two((zone % 60) as u8);
    let sign = if offset_minutes < 0 { b'-' } else { b'+' };
    out.extend_from_slice(&[b' ', h1, h2, b':', m1, m2, b':', s1, s2, b' ', sign, z1, z2, z3, z4]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_a_thousand_years_goes_there_and_back() {
        let mut expected = Date { year: 1600, month: 1, day: 1 };
        let first = i64::from(expected.days().unwrap());
        assert_eq!(first, -135_140);
        for days in first..first + 365_243 {
            let date = Date::from_days(days);
            assert_eq!(date, expected);
            assert_eq!(date.days().map(i64::from), Some(days));
            expected.day += 1;
            if expected.day > month_days(expected.year, expected.month) {
                expected = Date { month: expected.month + 1, day: 1, ..expected };
            }
            if expected.month > 12 {
                expected = Date { year: expected.year + 1, month: 1, day: 1 };
            }
        }
        assert_eq!(expected, Date { year: 2600, month: 1, day: 1 });
    }

    #[test]
    fn known_times() {
        for (text, seconds, zone) in [
            ("17-Jul-1996 02:44:25 -0700", 837_596_665, -420),
            (" 1-Jan-1970 00:00:00 +0000", 0, 0),
            ("29-Feb-2000 23:59:59 +1400", 951_818_399, 840),
            ("31-Dec-1969 23:59:59 +0000", -1, 0),
            (" 7-Feb-1994 21:52:25 -0800", 760_686_745, -480),
        ] {
            assert_eq!(date_time(text.as_bytes()), Some((seconds, zone)), "{text}");
            let mut out = Vec::new();
            write_date_time(&mut out, seconds, zone);
            assert_eq!(out, format!("\"{text}\"").into_bytes());
        }
        assert_eq!(date_time(b"7-feb-1994 21:52:25 -0800"), Some((760_686_745, -480)));
        let mut out = Vec::new();
        write_header_date(&mut out, 837_596_665, -420);
        assert_eq!(out, b"Wed, 17 Jul 1996 02:44:25 -0700");
        for (seconds, zone) in [(i64::MAX, i16::MAX), (i64::MIN, i16::MIN), (253_402_300_799, 0)] {
            out.clear();
            write_date_time(&mut out, seconds, zone);
            assert_eq!(out.len(), 28);
            out.clear();
            write_header_date(&mut out, seconds, zone);
            assert_eq!(out.len(), 31);
            assert_eq!(Date::from_days(seconds).days(), None);
        }
    }

    #[test]
    fn no_such_date() {
        for text in [
            "",
            "-",
            "30-Feb-2001",
            "0-Jan-2000",
            "32-Jan-2000",
            "1-Foo-2000",
            "1-Jan-99",
            "001-Jan-2000",
            "1-Jan-20000",
        ] {
            assert_eq!(Date::parse(text.as_bytes()), None, "{text}");
        }
        for text in [
            "17-Jul-1996 24:44:25 -0700",
            "17-Jul-1996 02:60:25 -0700",
            "17-Jul-1996 02:44:61 -0700",
            "17-Jul-1996 02:44:25 0700",
            "17-Jul-1996 02:44:25 -2460",
            "17-Jul-1996 02:44:25",
            "17-Jul-1996  02:44:25 -0700",
            "31-Apr-1996 02:44:25 -0700",
        ] {
            assert_eq!(date_time(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Date::parse(b"1-feb-1994").and_then(Date::days), Some(8_797));
    }
}
