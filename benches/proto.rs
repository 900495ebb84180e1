//! What one command costs before a session sees it: framing and parsing, and what is written back; and what one message
//! costs at delivery. No I/O, no session: those are measured on a running server, by loadgen and `benches/noop-ratio`.
//! Under test each runs once.

use std::hint::black_box;

use bumpalo::Bump;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringpost::mime;
use ringpost::proto::imap::{Frame, Framer, Limits, parse, respond};
use ringpost::proto::smtp::{DataFramer, DataPiece};

const COMMANDS: [(&str, &[u8]); 4] = [
    ("noop", b"a001 NOOP\r\n"),
    ("uid fetch", b"a002 UID FETCH 1:100,200:* (UID FLAGS RFC822.SIZE)\r\n"),
    ("fetch section", b"a003 FETCH 7 (BODY.PEEK[HEADER.FIELDS (SUBJECT FROM TO DATE)] ENVELOPE)\r\n"),
    ("search", b"a004 UID SEARCH NOT DELETED SINCE 1-Feb-1994 FROM \"Smith\" OR SEEN FLAGGED\r\n"),
];

fn imap(c: &mut Criterion) {
    let mut group = c.benchmark_group("imap frame and parse");
    for (name, octets) in COMMANDS {
        let mut arena = Bump::with_capacity(8192);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut framer = Framer::default();
                let Frame::Command { length } = framer.next(black_box(octets), &Limits::AFTER_AUTHENTICATION) else {
                    unreachable!("the command is whole")
                };
                black_box(parse(&arena, &octets[..length]).expect("the command is right"));
                arena.reset();
            });
        });
    }
    group.bench_function("respond: number, date", |bencher| {
        let mut out = Vec::with_capacity(4096);
        bencher.iter(|| {
            out.clear();
            respond::number(&mut out, black_box(4_294_967_295));
            respond::date_time(&mut out, black_box(837_568_800), -420);
            black_box(out.len())
        });
    });
    group.finish();
}

fn message() -> Vec<u8> {
    let mut raw = b"From: \"A\" <a@example.org>\r\nTo: b@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
        Content-Type: multipart/mixed; boundary=\"x\"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\n"
        .to_vec();
    for line in 0..100 {
        raw.extend_from_slice(format!("line {line} of a message that somebody wrote to somebody else\r\n").as_bytes());
    }
    raw.extend_from_slice(b"--x\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    for _ in 0..50 {
        raw.extend_from_slice(b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmM\r\n");
    }
    raw.extend_from_slice(b"--x--\r\n");
    raw
}

fn delivery(c: &mut Criterion) {
    let raw = message();
    let mut group = c.benchmark_group("delivery");
    group.throughput(Throughput::Bytes(raw.len() as u64));
    group.bench_function("mime structure", |bencher| bencher.iter(|| mime::structure(black_box(&raw))));
    let mut data = raw.clone();
    data.extend_from_slice(b".\r\n");
    group.bench_function("unstuff DATA", |bencher| {
        bencher.iter(|| {
            let (mut framer, mut at, mut bytes) = (DataFramer::default(), 0, 0);
            loop {
                match framer.next(black_box(&data[at..])) {
                    DataPiece::Text { text, consumed } => (bytes, at) = (bytes + text.len(), at + consumed),
                    DataPiece::End { .. } => break black_box(bytes),
                    DataPiece::Partial => unreachable!("the text is whole"),
                }
            }
        });
    });
    group.finish();
}

criterion_group!(benches, imap, delivery);
criterion_main!(benches);
