//! Hostile shapes against the clock: ten times the octets may take some twenty times as long, never a hundred.

use std::time::{Duration, Instant};

use super::super::structure;
use super::grammar::check;

/// Octets of the smaller message of a pair.
const SIZE: usize = 60_000;

/// A message of `header`, then about `size` octets of `piece` again and again with its number for `#`.
fn repeated(header: &str, piece: &str, size: usize) -> Vec<u8> {
    let mut raw = header.to_owned();
    let mut number = 0;
    while raw.len() < header.len() + size {
        raw.push_str(&piece.replace('#', &number.to_string()));
        number += 1;
    }
    raw.into_bytes()
}

/// Fifty open multiparts whose boundaries begin alike and are as long as they may be.
fn nested() -> String {
    let boundary = |level: usize| format!("{}{level:03}", "a".repeat(250));
    (0..49).map(|level| format!("Content-Type: multipart/mixed; boundary={0}\n\n--{0}\n", boundary(level))).collect()
}

const MIXED: &str = "Content-Type: multipart/mixed; boundary=b\n\n";

/// Headers, and what follows them again and again.
const SHAPES: &[(&str, &str)] = &[
    (MIXED, "--b\n\nx\n"),
    (MIXED, "--b\n"),
    (MIXED, "--b--\n--b\n"),
    (MIXED, "\n--"),
    (MIXED, "--b x\n"),
    ("", "Content-Type: multipart/mixed; boundary=b#\n\n--b#\n"),
    ("", "Content-Type: multipart/mixed; boundary=b\n\n--b\n"),
    ("", "Content-Type: message/rfc822\n\n"),
    (MIXED, "--b\nContent-Type: message/rfc822\n\nSubject: x\n\n"),
    ("Subject: ", "=?utf-8?Q?"),
    ("Subject: ", "=?"),
    ("Subject: ", "=?utf-8?Q?=C3?= "),
    ("Subject: ", "=?utf-8?Q?x?= =?koi8-r?B?8g==?= "),
    ("Subject: ", "=?x?Q?=?"),
    ("Subject: ", "x\n "),
    ("Subject: ", "[a]"),
    ("Subject: ", "[a"),
    ("Subject: ", "re: "),
    ("Subject: ", "re [a]:"),
    ("Subject: ", "[fwd:"),
    ("Subject: x", "(fwd)"),
    ("Subject: ", "re [fwd: "),
    ("To: ", "a@b,"),
    ("To: ", "a."),
    ("To: ", "a . "),
    ("To: ", "a "),
    ("To: ", "@"),
    ("To: ", "<"),
    ("To: ", "<@a"),
    ("To: ", "("),
    ("To: ", "()"),
    ("To: ", "\""),
    ("To: ", "\"\\\""),
    ("To: ", "["),
    ("To: ", "a:b;"),
    ("To: ", "\x0c"),
    ("", "To: a@b\n"),
    ("References: ", "<#@x> "),
    ("References: ", "<"),
    ("References: ", "\""),
    ("Message-ID: ", "x"),
    ("Content-Type: a/b", "; name*#*=%41"),
    ("Content-Type: multipart/mixed", "; boundary*#=x"),
    ("Content-Type: a/b", ";"),
    ("Content-Type: a/b", "; a=\""),
    ("Content-Type: a/b", "; a=(("),
    ("Content-Language: ", "a,"),
    ("Content-Disposition: a", ";b=c"),
    ("", "no colon\n"),
    ("", " \n"),
    ("A: b\n", " \n"),
    ("", "A: b\n"),
    ("A: b\n", "x"),
    ("Content-Transfer-Encoding: quoted-printable\n\n", "="),
    ("Content-Transfer-Encoding: quoted-printable\n\n", " \n"),
    ("Content-Transfer-Encoding: quoted-printable\n\n", " "),
    ("Content-Transfer-Encoding: base64\n\n", "="),
    ("Content-Transfer-Encoding: base64\n\n", "QUJD\n"),
    ("Content-Type: text/plain; charset=utf-7\n\n", "\u{130}\u{e9}"),
];

#[test]
fn time_is_linear() {
    let nested = nested();
    let almost = format!("--{}\n", "a".repeat(250));
    let in_nested = [(&*nested, "--\n"), (&nested, &almost), (&nested, "x")];
    for (header, piece) in SHAPES.iter().chain(&in_nested) {
        let messages = [SIZE, SIZE * 10].map(|size| repeated(header, piece, size));
        messages.iter().for_each(|raw| drop(check(raw)));
        // The best times count, of as many tries as a busy machine needs.
        let mut best = [Duration::MAX; 2];
        let is_linear = (0..20).any(|_| {
            for (raw, best) in messages.iter().zip(&mut best) {
                let start = Instant::now();
                std::hint::black_box(structure(raw));
                *best = start.elapsed().min(*best);
            }
            best[1] < best[0] * 20 + Duration::from_millis(10)
        });
        let shown = (&header[..header.len().min(60)], &piece[..piece.len().min(60)]);
        assert!(is_linear, "{best:?}: {shown:?}");
    }
}
