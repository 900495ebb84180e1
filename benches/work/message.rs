//! Messages: made ones, the same octets on every machine, and those of the folder that `RINGPOST_CORPUS` names.
//!
//! The made ones are like those of `loadgen corpus`, and their own: what is counted must not change with another program.
//! Lines end in CRLF, no line is longer than 78 octets, and [`WORD`] is in the text of every hundredth message alone.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a search finds in every hundredth message.
pub const WORD: &str = "kingfisher";
const WORD_EVERY: u64 = 100;

/// A subject as many are: two encoded words.
pub const SUBJECT: &[u8] = b"=?utf-8?q?Gr=C3=BC=C3=9Fe_aus_Z=C3=BCrich?= =?UTF-8?B?dW5kIGRpZSBVbnRlcmxhZ2Vu?=";

const WORDS: [&str; 24] = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "with",
    "meeting",
    "report",
    "please",
    "attached",
    "budget",
    "project",
    "Thursday",
    "invoice",
    "deadline",
    "question",
    "gr=C3=B6=C3=9Fer",
    "schedule",
    "customer",
    "d=C3=A9j=C3=A0",
    "summary",
    "regards",
];

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Message `number` (from 1), of about `bytes` octets: text and HTML in quoted-printable, and an attachment in base64 that is
/// a third of it.
pub fn message(number: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random(number);
    let mut raw = header(number, &mut random).into_bytes();
    let rest = bytes.saturating_sub(raw.len() + 500);
    let word = number.is_multiple_of(WORD_EVERY).then_some(WORD);
    for (kind, mark) in [("plain", word), ("html", None)] {
        raw.extend_from_slice(b"--=_mixed\r\n");
        let fields = format!("Content-Type: text/{kind}; charset=utf-8\r\n");
        raw.extend_from_slice(fields.as_bytes());
        raw.extend_from_slice(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        raw.extend_from_slice(mark.unwrap_or_default().as_bytes());
        text(&mut raw, rest / 3, &mut random);
    }
    raw.extend_from_slice(
        b"--=_mixed\r\nContent-Type: application/pdf; name=\"report.pdf\"\r\nContent-Disposition: attachment;\r\n \
          filename=\"report.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    );
    raw.extend_from_slice(&base64(rest / 4, number));
    raw.extend_from_slice(b"--=_mixed--\r\n");
    raw
}

fn header(number: u64, random: &mut Random) -> String {
    let (hop, host) = (random.below(256), random.below(100));
    let subject = match number % 3 {
        0 => String::from_utf8_lossy(SUBJECT).into_owned(),
        _ => format!("Re: {} {} {number}", WORDS[random.below(12)], WORDS[random.below(12)]),
    };
    format!(
        "Received: from mx{host}.example.org (mx{host}.example.org [192.0.2.{hop}])\r\n\tby relay.example.net with ESMTPS id \
         {:012X}\r\n\tfor <reader@example.com>; Sat, 21 Nov 2026 12:00:00 +0000\r\n\
         DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=mail; h=from:to:subject;\r\n\tbh={:016x}; b={:016x}\r\n\
         From: \"Anna Muster\" <anna.muster@example.org>\r\nTo: Bernd Graf <reader@example.com>, c@example.com\r\n\
         Subject: {subject}\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <{number:08x}@example.org>\r\n\
         In-Reply-To: <{:08x}@example.org>\r\nReferences: <{:08x}@example.org> <{:08x}@example.org>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_mixed\"\r\n\r\n",
        random.next() >> 16,
        random.next(),
        random.next(),
        number / 2,
        number / 4,
        number / 2,
    )
}

/// Adds about `bytes` octets of lines of words.
fn text(out: &mut Vec<u8>, bytes: usize, random: &mut Random) {
    let end = out.len() + bytes;
    while out.len() < end {
        let line = out.len();
        while out.len() - line < 60 {
            out.extend_from_slice(WORDS[random.below(WORDS.len())].as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The base64 of `bytes` octets, in lines.
pub fn base64(bytes: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let octets: Vec<u8> = (0..bytes).map(|_| random.next() as u8).collect();
    let mut lines = Vec::new();
    for line in STANDARD.encode(octets).as_bytes().chunks(76) {
        lines.extend_from_slice(line);
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// The messages of the folder that `RINGPOST_CORPUS` names, and where it names none, 200 made ones of 2 to 40 KB.
pub fn corpus() -> Vec<Vec<u8>> {
    let Some(folder) = std::env::var_os("RINGPOST_CORPUS") else {
        return (1..=200).map(|number| message(number, 2_000 + (number as usize * 997) % 38_000)).collect();
    };
    let mut paths = Vec::new();
    collect(Path::new(&folder), &mut paths);
    paths.sort();
    let messages = paths.iter().map(|path| fs::read(path).expect("a file of the corpus can be read"));
    messages.collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("RINGPOST_CORPUS names a folder") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            collect(&path, paths);
        } else {
            paths.push(path);
        }
    }
}
