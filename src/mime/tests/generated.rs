//! Messages that are generated with their structure, and messages that are mutated without mercy.
//!
//! `RINGPOST_CORPUS` names a folder of messages to read and mutate besides our own; a failure prints its seed.

use std::path::Path;
use std::time::{Duration, Instant};

use super::super::*;
use super::grammar::check;

/// SplitMix64: small, seeded, good enough to wander about.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ value >> 31
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// What a generated message must be found to be: the parts in order, leaves with their bodies.
#[derive(Default)]
struct Expected(Vec<(Kind, Option<String>)>);

struct Generator {
    dice: Dice,
    line_end: &'static str,
    boundaries: usize,
    expected: Expected,
}

impl Generator {
    /// An entity's header fields, empty line and body.
    fn entity(&mut self, depth: usize) -> String {
        match self.dice.below(if depth < 6 { 5 } else { 2 }) {
            0 | 1 => self.leaf(),
            2 => self.message(depth),
            _ => self.multipart(depth),
        }
    }

    fn leaf(&mut self) -> String {
        let kind = self.dice.one_of(&[
            "",
            "text/plain",
            "TEXT/html; charset=koi8-r",
            "image/png; name=\"a \\\"b\"",
            "a/b;;;c",
        ]);
        let header = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\n") };
        let mut body = String::new();
        for _ in 0..self.dice.below(5) {
            // Lines that are nearly boundaries: of all that are used one is the begin of the other.
            body += self
                .dice
                .one_of(&["text", "", "--", "-- ", "--b0x", "--b1-", "--b ", "--b1--x", "\u{e9}", "=?x?Q?=", " --b1"]);
            body += "\n";
        }
        body += self.dice.one_of(&["", "end", "--b1x"]);
        self.expected.0.push((Kind::Leaf, Some(body.clone())));
        format!("{header}\n{body}")
    }

    fn message(&mut self, depth: usize) -> String {
        self.expected.0.push((Kind::Message, None));
        let subject =
            self.dice.one_of(&["Subject: a \"quoted\" \\ one\n", "To: g: a@b, <c@d>;\nFrom: x (y)\n", "X: y\n z\n"]);
        format!("Content-Type: message/rfc822\n\n{subject}{}", self.entity(depth + 1))
    }

    fn multipart(&mut self, depth: usize) -> String {
        self.expected.0.push((Kind::Multipart, None));
        let boundary = format!("b{}", self.boundaries);
        self.boundaries += 1;
        let mut text = format!("Content-Type: multipart/mixed;\n\tboundary=\"{boundary}\"\n\n");
        text += self.dice.one_of(&["", "preamble\n", "\n\n", "--b99999\n"]);
        for _ in 0..1 + self.dice.below(4) {
            let padding = self.dice.one_of(&["", "", " ", "\t  "]);
            text += &format!("--{boundary}{padding}\n{}\n", self.entity(depth + 1));
        }
        match self.dice.below(4) {
            // A multipart that its parent's boundary, or the end, must close: the line end before that is not its own.
            0 => drop(text.pop()),
            1 => text += &format!("--{boundary}--"),
            _ => text += &format!("--{boundary}--\nepilogue\n--{boundary}\n"),
        }
        text
    }
}

/// A message and what it is.
fn generate(seed: u64) -> (Vec<u8>, Expected) {
    let mut dice = Dice(seed);
    let line_end = if dice.below(2) == 0 { "\r\n" } else { "\n" };
    let mut generator = Generator { dice, line_end, boundaries: 0, expected: Expected::default() };
    let raw = format!("Subject: seed {seed}\nFrom: a@b\n{}", generator.entity(0));
    (raw.replace('\n', generator.line_end).into_bytes(), generator.expected)
}

#[test]
fn generated_messages_are_what_they_were_made_of() {
    for seed in 0..3000 {
        let (raw, expected) = generate(seed);
        let told = check(&raw);
        assert_eq!(told.parts.len(), expected.0.len(), "seed {seed}: {}", String::from_utf8_lossy(&raw));
        for (part, (kind, body)) in told.parts.iter().zip(&expected.0) {
            assert_eq!(part.kind, *kind, "seed {seed}");
            if let Some(body) = body {
                let found = String::from_utf8_lossy(part.body(&raw)).replace("\r\n", "\n");
                assert_eq!(found, *body, "seed {seed}: {}", String::from_utf8_lossy(&raw));
            }
        }
    }
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    fn gather(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
        let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                gather(&path, files);
            } else {
                files.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut files: Vec<_> = (10_000..10_050).map(|seed| (format!("seed {seed}"), generate(seed).0)).collect();
    if let Some(folder) = std::env::var_os("RINGPOST_CORPUS") {
        gather(Path::new(&folder), &mut files);
    }
    files
}

/// Unfinished whatever happens: dropped in a panic it names the message.
struct Named<'a>(&'a str, u64);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("while checking {} with seed {}", self.0, self.1);
        }
    }
}

#[test]
fn corpus_is_valid() {
    for (name, raw) in corpus() {
        let named = Named(&name, 0);
        check(&raw);
        let crlf = String::from_utf8_lossy(&raw).replace("\r\n", "\n").replace('\n', "\r\n");
        check(crlf.as_bytes());
        drop(named);
    }
}

const FRAGMENTS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\0",
    "--",
    "\"",
    "(",
    ")",
    "<",
    ">",
    "[",
    "]",
    ":",
    ";",
    ",",
    "@",
    "\\",
    "=",
    "=?",
    "?=",
    "?",
    "*",
    "\u{fffd}",
    "\r\n\r\n",
    "\n--",
    "Content-Type: multipart/mixed; boundary=",
    "Content-Type: message/rfc822\r\n\r\n",
    "boundary*0*=",
    "From: ",
    "To: ",
    "Subject: ",
    "Content-Disposition: ",
    "Content-Language: ",
    "=?utf-8?Q?",
    "=?utf-8?B?",
    "Re: ",
    "[fwd:",
    "(fwd)",
    "\u{e9}",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "multipart/digest",
    "{5}",
    "NIL",
    "\t",
];

fn mutate(dice: &mut Dice, raw: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..1 + dice.below(8) {
        let at = dice.below(raw.len() + 1);
        let end = (at + dice.below(200)).min(raw.len());
        match dice.below(7) {
            0 if at < raw.len() => raw[at] = dice.next() as u8,
            1 => drop(raw.drain(at..end)),
            2 => raw.truncate(at),
            3 => {
                let piece = raw[at..end].to_vec();
                let to = dice.below(raw.len() + 1);
                raw.splice(to..to, piece);
            }
            4 => {
                let from = dice.below(other.len() + 1);
                let piece = &other[from..(from + dice.below(400)).min(other.len())];
                raw.splice(at..at, piece.iter().copied());
            }
            _ => {
                let fragment = FRAGMENTS[dice.below(FRAGMENTS.len())];
                raw.splice(at..at, fragment.bytes());
            }
        }
    }
}

#[test]
fn mutated_messages_are_valid() {
    let corpus: Vec<_> = corpus().into_iter().filter(|(_, raw)| raw.len() < 50_000).collect();
    let seconds = std::env::var("RINGPOST_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(3);
    let (start, mut seed) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        let mut dice = Dice(seed);
        let (name, raw) = &corpus[dice.below(corpus.len())];
        let mut raw = raw.clone();
        let other = dice.below(corpus.len());
        mutate(&mut dice, &mut raw, &corpus[other].1);
        let named = Named(name, seed);
        check(&raw);
        drop(named);
        seed += 1;
    }
    assert!(seed > 100, "only {seed} messages in {seconds} s");
}
