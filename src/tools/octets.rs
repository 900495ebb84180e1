//! Amounts of octets as people write them: `5G`, `500M`, `4096`.
//!
//! A unit is a power of 1,024. What is shown reads back as the same number: the largest unit that divides it, or none.

/// A number with an optional unit.
///
/// ```text
/// octets = 1*DIGIT ["K" / "M" / "G" / "T"]         ; in any case
/// ```
pub fn parse(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()?.to_ascii_uppercase() {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        b'T' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    if !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The shortest text that [`parse`] reads as `octets`.
pub fn show(octets: u64) -> String {
    for (unit, shift) in [("T", 40), ("G", 30), ("M", 20), ("K", 10)] {
        if octets != 0 && octets.is_multiple_of(1 << shift) {
            return format!("{}{unit}", octets >> shift);
        }
    }
    octets.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_shown() {
        for (text, octets) in [("5G", 5 << 30), ("500M", 500 << 20), ("1T", 1 << 40), ("4097", 4097), ("0", 0)] {
            assert_eq!((parse(text), show(octets).as_str()), (Some(octets), text));
        }
        assert_eq!((parse("2048k"), show(2048 << 10)), (Some(2 << 20), "2M".to_string()));
        for text in ["", "G", "-1", "+1", "1.5G", "5 G", "5GB", "99999999999T", "18446744073709551616", "5\u{e4}"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse(&show(u64::MAX)), Some(u64::MAX));
    }
}
