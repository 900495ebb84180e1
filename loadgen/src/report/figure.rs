//! Numbers as people read them: three digits that say something, and a unit.
//!
//! One place, so that the same figure reads the same in the table, the page and the live view. Not for scripts: they have
//! the JSON, where nothing is rounded.

/// A time in nanoseconds.
pub fn time(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000_000 => format!("{:.1} µs", nanoseconds as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", nanoseconds as f64 / 1e6),
        _ => format!("{:.2} s", nanoseconds as f64 / 1e9),
    }
}

/// A number of octets.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A share of one.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A number with a thin space between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(time(999_949), "999.9 µs");
        assert_eq!(time(1_000_000), "1.00 ms");
        assert_eq!(time(61_500_000_000), "61.50 s");
        assert_eq!(mebibytes(1_572_864), "1.5 MiB");
        assert_eq!(percent(0.0512), "5.1 %");
        assert_eq!([grouped(0), grouped(999), grouped(1_234_567)], ["0", "999", "1\u{202f}234\u{202f}567"]);
    }
}
