//! Content transfer encodings and the like, decoded as far as they can be read.
//!
//! No input is refused: octets outside an alphabet are passed over in base64 and kept in quoted-printable. Output ends at
//! the caller's bound. RFC 2045 §6.7, §6.8; RFC 2047 §4; RFC 2231 §4.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::Encoding;
use super::header::line_length;

/// The first `max` octets or so of `body` without its encoding; one that is not known is taken for none.
pub fn decode(encoding: Encoding, body: &[u8], max: usize) -> Cow<'_, [u8]> {
    match encoding {
        Encoding::Base64 => {
            let mut out = Vec::with_capacity((body.len() / 4 * 3 + 3).min(max));
            base64(body, max, &mut out);
            Cow::Owned(out)
        }
        Encoding::QuotedPrintable => {
            let mut out = Vec::with_capacity(body.len().min(max));
            quoted_printable(body, max, &mut out);
            Cow::Owned(out)
        }
        _ => Cow::Borrowed(&body[..body.len().min(max)]),
    }
}

/// 64: an octet that is not of the alphabet. 65: the padding.
const SEXTETS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut sextets = [64; 256];
    let mut value = 0;
    while value < 64 {
        sextets[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    sextets[b'=' as usize] = 65;
    sextets
};

/// The value of an octet of the base64 alphabet.
pub(super) fn sextet(octet: u8) -> Option<u8> {
    Some(SEXTETS[usize::from(octet)]).filter(|sextet| *sextet < 64)
}

/// Appends the octets of `text`; padding ends a quantum, so that encodings written one after the other are all read.
pub(super) fn base64(text: &[u8], max: usize, out: &mut Vec<u8>) {
    let (mut quantum, mut sextets) = (0u32, 0);
    let end = out.len().saturating_add(max);
    for octet in text {
        match SEXTETS[usize::from(*octet)] {
            64 => {}
            65 => {
                base64_rest(quantum, sextets, out);
                (quantum, sextets) = (0, 0);
            }
            sextet => {
                quantum = quantum << 6 | u32::from(sextet);
                sextets += 1;
                if sextets == 4 {
                    out.extend_from_slice(&quantum.to_be_bytes()[1..]);
                    (quantum, sextets) = (0, 0);
                    if out.len() >= end {
                        break;
                    }
                }
            }
        }
    }
    base64_rest(quantum, sextets, out);
}

/// The octets of a quantum of less than four sextets: one of two, two of three.
fn base64_rest(quantum: u32, sextets: u32, out: &mut Vec<u8>) {
    match sextets {
        2 => out.push((quantum >> 4) as u8),
        3 => out.extend_from_slice(&((quantum >> 2) as u16).to_be_bytes()),
        _ => {}
    }
}

/// ```text
/// qp-line := *(qp-segment transport-padding CRLF) qp-part transport-padding
/// ```
fn quoted_printable(body: &[u8], max: usize, out: &mut Vec<u8>) {
    let mut rest = body;
    while !rest.is_empty() && out.len() < max {
        let (line, after) = rest.split_at(line_length(rest));
        rest = after;
        let text = line.trim_ascii_end();
        // RFC 2045 §6.7 (3): white space at the end of a line was added on the way.
        let end = match line.strip_suffix(b"\n") {
            Some(line) if line.ends_with(b"\r") => &b"\r\n"[..],
            Some(_) => b"\n",
            None => b"",
        };
        match text.strip_suffix(b"=") {
            Some(soft) => escaped(soft, b'=', out),
            None => {
                escaped(text, b'=', out);
                out.extend_from_slice(end);
            }
        }
    }
}

/// `encoded-text` of the "Q" encoding: quoted-printable with "_" for the space.
pub(super) fn q(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr2(b'=', b'_', rest) {
        if rest[at] == b'_' {
            out.extend_from_slice(&rest[..at]);
            out.push(b' ');
            rest = &rest[at + 1..];
        } else {
            let taken = (at + 3).min(rest.len());
            escaped(&rest[..taken], b'=', out);
            rest = &rest[taken..];
        }
    }
    out.extend_from_slice(rest);
}

/// `ext-octet := "%" 2(DIGIT / "A" / "B" / "C" / "D" / "E" / "F")`
pub(super) fn percent(text: &[u8], out: &mut Vec<u8>) {
    escaped(text, b'%', out);
}

/// Appends `text` with each `mark` and two hexadecimal digits read; a mark without them stays.
fn escaped(text: &[u8], mark: u8, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr(mark, rest) {
        out.extend_from_slice(&rest[..at]);
        let digit = |place: usize| rest.get(at + place).and_then(|octet| char::from(*octet).to_digit(16));
        match (digit(1), digit(2)) {
            (Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                rest = &rest[at + 3..];
            }
            _ => {
                out.push(mark);
                rest = &rest[at + 1..];
            }
        }
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: Encoding, body: &[u8]) -> Vec<u8> {
        decode(encoding, body, usize::MAX).into_owned()
    }

    #[test]
    fn rfc_2045_quoted_printable() {
        let body = b"Now's the time =\r\nfor all folk to come=\r\n to the aid of their country.";
        let expected = b"Now's the time for all folk to come to the aid of their country.";
        assert_eq!(decoded(Encoding::QuotedPrintable, body), expected);
        assert_eq!(decoded(Encoding::QuotedPrintable, b"a=3D=e9 \t\r\nb=  \r\nc\n=zz=4"), b"a=\xe9\r\nbc\n=zz=4");
        assert_eq!(decoded(Encoding::QuotedPrintable, b"end="), b"end");
    }

    #[test]
    fn base64_reads_on() {
        for length in 0..50u8 {
            let octets: Vec<u8> = (0..length).map(|octet| octet.wrapping_mul(37)).collect();
            let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &octets);
            assert_eq!(decoded(Encoding::Base64, text.as_bytes()), octets);
            assert_eq!(decoded(Encoding::Base64, text.trim_end_matches('=').as_bytes()), octets);
        }
        assert_eq!(decoded(Encoding::Base64, b"aGVs\r\nbG8=\r\nIQ==!!"), b"hello!");
        assert_eq!(decode(Encoding::Base64, &b"AAAA".repeat(1000), 30).len(), 30);
    }

    #[test]
    fn q_has_spaces() {
        let mut out = Vec::new();
        q(b"a_b=20c=5F=_=", &mut out);
        assert_eq!(out, b"a b c_=_=");
    }
}
