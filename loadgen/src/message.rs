//! Messages to send, of an exact size, each with a checksum of its body in its header; and the check of one that came back.
//!
//! Invariant: a message is strict RFC 5322 (CRLF, lines ≤ 76, ASCII), has no line that begins with a dot, and two messages
//! of one run differ (number in Message-ID). Servers may add header fields: the checksum is of the body alone.
//! The checksum finds damage, not malice.

use std::fmt;
use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::random::Random;

const SUM_FIELD: &[u8] = b"X-Loadgen-Check: ";
const SUM_DIGITS: usize = 16;
const NUMBER_DIGITS: usize = 12;

/// Which message it is: the number, and the run that made it. The left side of its Message-ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id {
    /// Within the run.
    pub number: u64,
    /// The run.
    pub run: u64,
}

impl fmt::Display for Id {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}.{:x}", self.number, self.run)
    }
}

const ID_FIELD: &[u8] = b"Message-ID: <";

/// The identity of a message of ours out of its header, or out of that field alone.
pub fn identity(header: &[u8]) -> Option<Id> {
    let at = memchr::memmem::find(header, ID_FIELD)? + ID_FIELD.len();
    let (number, rest) = header.get(at..)?.split_at_checked(NUMBER_DIGITS)?;
    let run = rest.strip_prefix(b".")?.get(..16)?;
    rest.get(17..)?.strip_prefix(b"@loadgen.invalid>")?;
    let digits = |text, radix| u64::from_str_radix(std::str::from_utf8(text).ok()?, radix).ok();
    Some(Id { number: digits(number, 10)?, run: digits(run, 16)? })
}

/// A template of `--bytes` octets, stamped anew for each message without allocating.
#[derive(Debug, Clone)]
pub struct Template {
    text: Vec<u8>,
    number_at: [usize; 2],
    sum_at: usize,
    body_at: usize,
    run: u64,
    /// Messages that were made of it.
    count: u64,
}

impl Template {
    /// A message of exactly `bytes` octets (at least [`crate::limits::MESSAGE_BYTES_MIN`]) from `from` to `to`; `run` tells runs apart.
    pub fn new(bytes: usize, from: &str, to: &str, run: u64) -> Template {
        let zeros = "0".repeat(NUMBER_DIGITS);
        let mut text = Vec::with_capacity(bytes);
        let header = format!(
            "Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nFrom: <{from}>\r\nTo: <{to}>\r\nSubject: load\r\n\
             Message-ID: <{zeros}.{run:016x}@loadgen.invalid>\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=us-ascii\r\n"
        );
        text.extend_from_slice(header.as_bytes());
        text.extend_from_slice(SUM_FIELD);
        let sum_at = text.len();
        text.extend_from_slice(&[b'0'; SUM_DIGITS]);
        text.extend_from_slice(b"\r\n\r\n");
        let body_at = text.len();
        text.extend_from_slice(format!("{zeros}\r\n").as_bytes());
        fill(&mut text, bytes);
        let id_at = memchr::memmem::find(&text, ID_FIELD).expect("the header has it") + ID_FIELD.len();
        Template { text, number_at: [id_at, body_at], sum_at, body_at, run, count: 0 }
    }

    /// The next message.
    pub fn stamp(&mut self, number: u64) -> &[u8] {
        let number = number % 10u64.pow(NUMBER_DIGITS as u32);
        for at in self.number_at {
            let _ = write!(&mut self.text[at..at + NUMBER_DIGITS], "{number:012}");
        }
        let sum = checksum(&self.text[self.body_at..]);
        let _ = write!(&mut self.text[self.sum_at..self.sum_at + SUM_DIGITS], "{sum:016x}");
        &self.text
    }

    /// The next message, with a number of its own.
    pub fn stamp_next(&mut self) -> &[u8] {
        self.count += 1;
        self.stamp(self.count)
    }

    /// The identity of the message that [`Template::stamp`] makes of `number`.
    pub fn id(&self, number: u64) -> Id {
        Id { number: number % 10u64.pow(NUMBER_DIGITS as u32), run: self.run }
    }

    /// Octets of each message.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }
}

/// Messages of several sizes.
#[derive(Debug, Clone)]
pub struct Assortment {
    templates: Vec<Template>,
    count: u64,
}

impl Assortment {
    /// One of each of these sizes.
    pub fn new(sizes: &[usize], from: &str, to: &str, run: u64) -> Assortment {
        Assortment { templates: sizes.iter().map(|bytes| Template::new(*bytes, from, to, run)).collect(), count: 0 }
    }

    /// A number that no message of theirs has.
    pub fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// The number of one of them, each as often.
    pub fn choose(&self, random: &mut Random) -> usize {
        random.below(self.templates.len() as u64) as usize
    }

    /// The template of this number.
    pub fn of(&mut self, number: usize) -> &mut Template {
        &mut self.templates[number]
    }

    /// Octets of the largest.
    pub fn bytes_max(&self) -> usize {
        self.templates.iter().map(Template::bytes).max().unwrap_or(0)
    }
}

/// A whole message out of the lines of its header, without the empty one, and its body.
pub fn seal(mut header: Vec<u8>, body: &[u8]) -> Vec<u8> {
    header.extend_from_slice(SUM_FIELD);
    header.extend_from_slice(format!("{:016x}\r\n\r\n", checksum(body)).as_bytes());
    header.extend_from_slice(body);
    header
}

/// Adds lines of text until `text` has `bytes` octets, the last line ended.
fn fill(text: &mut Vec<u8>, bytes: usize) {
    const WORDS: &[u8] = b"the quick onyx goblin jumps over a lazy dwarf while five wizards box 0123456789 ";
    let mut at = 0;
    while text.len() < bytes {
        let left = bytes - text.len();
        // A line of 70, or the whole rest where less than a line would be left behind it.
        let line = if left <= 74 { left.saturating_sub(2) } else { 70 };
        for _ in 0..line {
            text.push(WORDS[at % WORDS.len()]);
            at += 1;
        }
        text.extend_from_slice(b"\r\n");
    }
}

/// What the checksum of a received message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The body is what the header says.
    Intact,
    /// It is not.
    Damaged,
    /// Not one of ours.
    Unmarked,
}

/// Checks a whole message against the checksum in its header.
pub fn verify(message: &[u8]) -> Verdict {
    let Some(body_at) = memchr::memmem::find(message, b"\r\n\r\n").map(|at| at + 4) else { return Verdict::Unmarked };
    let (header, body) = message.split_at(body_at);
    let Some(at) = memchr::memmem::find(header, SUM_FIELD) else { return Verdict::Unmarked };
    let digits = header.get(at + SUM_FIELD.len()..at + SUM_FIELD.len() + SUM_DIGITS);
    let stated = digits
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| u64::from_str_radix(digits, 16).ok());
    match stated {
        Some(sum) if sum == checksum(body) => Verdict::Intact,
        _ => Verdict::Damaged,
    }
}

/// A fast 64-bit checksum: four lanes of eight octets at a time, so that a core checks some GB a second (one lane: 1.4), each
/// multiplied and folded; the length is mixed in.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut lanes = [bytes.len() as u64 ^ 0x5851_f42d_4c95_7f2d, 1, 2, 3];
    let mut mix = |block: &[u8; 32]| {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane = mixed(*lane, u64::from_le_bytes(*word));
        }
    };
    let (blocks, rest) = bytes.as_chunks::<32>();
    blocks.iter().for_each(&mut mix);
    let mut last = [0; 32];
    last[..rest.len()].copy_from_slice(rest);
    mix(&last);
    lanes.iter().fold(0, |sum, lane| mixed(sum, *lane))
}

fn mixed(sum: u64, word: u64) -> u64 {
    let product = u128::from(sum ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
    (product as u64) ^ ((product >> 64) as u64).rotate_left(29) ^ word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_exact_and_strict() {
        for bytes in (512..800).chain([4096, 8192, 65_537]) {
            let mut template = Template::new(bytes, "a@localhost", "b@localhost", 1);
            let message = template.stamp(3);
            assert_eq!(message.len(), bytes);
            assert!(message.ends_with(b"\r\n"));
            for line in message.split_inclusive(|octet| *octet == b'\n') {
                assert!(
                    line.ends_with(b"\r\n") && line.len() <= 78 && line[0] != b'.',
                    "{}",
                    String::from_utf8_lossy(line)
                );
                assert_eq!(memchr::memchr_iter(b'\r', line).count(), 1);
            }
            assert_eq!(verify(message), Verdict::Intact);
        }
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let mut template = Template::new(1000, "a@localhost", "b@localhost", 1);
        let message = template.stamp(7).to_vec();
        let body = memchr::memmem::find(&message, b"\r\n\r\n").unwrap() + 4;
        for at in body..message.len() {
            let mut damaged = message.clone();
            damaged[at] ^= 1;
            assert_eq!(verify(&damaged), Verdict::Damaged, "at {at}");
        }
        assert_eq!(verify(&message[..message.len() - 2]), Verdict::Damaged);
        let received = [b"Received: from x\r\n\tby y\r\n".as_slice(), &message].concat();
        assert_eq!(verify(&received), Verdict::Intact);
        assert_eq!(verify(b"Subject: x\r\n\r\nhello\r\n"), Verdict::Unmarked);
    }

    #[test]
    fn two_messages_differ() {
        let mut template = Template::new(600, "a@localhost", "b@localhost", 1);
        let first = template.stamp(1).to_vec();
        assert_ne!(first, template.stamp(2));
        assert_eq!(identity(&first), Some(template.id(1)));
        assert_eq!(identity(b"Message-ID: <000000000001.000000000000000g@loadgen.invalid>\r\n"), None);
        assert_eq!(identity(b"Message-ID: <000000000001.0000000000000001"), None);
    }
}
