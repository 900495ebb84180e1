//! Labels of a domain in the form that the DNS and the directory know: ASCII.
//!
//! Invariant: a label of ASCII is left as it is; any other becomes `xn--` and its Punycode, in lower case, whatever it
//! holds. It does not check a U-label against the tables of IDNA: one that is none matches no domain. RFC 3492, RFC 5890.

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// The A-label of a U-label (RFC 5890 §2.3.2.1), which is at most 255 octets long; ASCII comes back unchanged.
pub fn a_label(label: &str) -> String {
    if label.is_ascii() {
        return label.to_owned();
    }
    let points: Vec<u32> = label.chars().flat_map(char::to_lowercase).map(u32::from).collect();
    let mut out = "xn--".to_owned();
    encode(&points, &mut out);
    out
}

/// RFC 3492 §6.3. Nothing overflows: the largest code point times the points of a label fits into 32 bits.
fn encode(points: &[u32], out: &mut String) {
    let is_basic = |point: &&u32| **point < INITIAL_N;
    out.extend(points.iter().filter(is_basic).filter_map(|&point| char::from_u32(point)));
    let basic = points.iter().filter(is_basic).count() as u32;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0u32, INITIAL_BIAS, basic);
    while let Some(&next) = points.iter().filter(|&&point| point >= n).min() {
        delta = delta.saturating_add((next - n).saturating_mul(handled + 1));
        n = next;
        for &point in points {
            if point < n {
                delta = delta.saturating_add(1);
            } else if point == n {
                variable_length(delta, bias, out);
                bias = adapted(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.saturating_add(1);
        n += 1;
    }
}

/// `delta` as a generalized variable-length integer (RFC 3492 §3.3).
fn variable_length(delta: u32, bias: u32, out: &mut String) {
    let mut rest = delta;
    for k in (BASE..).step_by(BASE as usize) {
        let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if rest < threshold {
            break;
        }
        let over = rest - threshold;
        out.push(digit(threshold + over % (BASE - threshold)));
        rest = over / (BASE - threshold);
    }
    out.push(digit(rest));
}

fn digit(value: u32) -> char {
    let octet = if value < 26 { b'a' + value as u8 } else { b'0' + (value - 26) as u8 };
    char::from(octet)
}

/// RFC 3492 §6.1.
fn adapted(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3492 §7.1, and labels as they are registered.
    #[test]
    fn known_labels() {
        for (label, encoded) in [
            ("plain", "plain"),
            ("Plain-1", "Plain-1"),
            ("müller", "xn--mller-kva"),
            ("MÜLLER", "xn--mller-kva"),
            ("bücher", "xn--bcher-kva"),
            ("ü", "xn--tda"),
            ("例え", "xn--r8jz45g"),
            ("пример", "xn--e1afmkfd"),
            ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"),
            ("почемужеонинеговорятпорусски", "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l"),
            ("3年b組金八先生", "xn--3b-ww4c5e180e575a65lsy2b"),
            ("そのスピードで", "xn--d9juau41awczczp"),
        ] {
            assert_eq!(a_label(label), encoded, "{label}");
        }
    }

    #[test]
    fn any_text_has_an_end() {
        for text in ["\u{10ffff}", "\u{80}", "é\u{10ffff}a\u{10fffe}"] {
            let label = a_label(&text.repeat(60));
            assert!(label.is_ascii() && label.starts_with("xn--"), "{label}");
        }
    }
}
