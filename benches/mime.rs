//! What a message costs at delivery and a field when it is searched: structure (with ENVELOPE, BODYSTRUCTURE and search text),
//! transfer encodings, encoded words, folding. The corpus is that of `RINGPOST_CORPUS`, or a made one.
//! Under test each runs once.

#[allow(dead_code)] // other benches use the rest
mod work;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringpost::mime::{self, Encoding};
use work::message::{self, message};

fn structure(c: &mut Criterion) {
    let mut group = c.benchmark_group("mime structure");
    for kilobytes in [8, 100] {
        let raw = message(1, kilobytes * 1000);
        group.throughput(Throughput::Bytes(raw.len() as u64));
        let name = format!("{kilobytes} KB");
        group.bench_function(name, |bencher| bencher.iter(|| mime::structure(black_box(&raw))));
    }
    let corpus = message::corpus();
    group.throughput(Throughput::Bytes(corpus.iter().map(|raw| raw.len() as u64).sum()));
    group.bench_function(format!("corpus of {}", corpus.len()), |bencher| {
        bencher.iter(|| {
            for raw in &corpus {
                black_box(mime::structure(black_box(raw)));
            }
        });
    });
    group.finish();
}

fn decode(c: &mut Criterion) {
    let base64 = message::base64(64 * 1024, 1);
    let quoted = message(1, 64 * 1024);
    let mut group = c.benchmark_group("mime decode");
    for (name, encoding, octets) in
        [("base64", Encoding::Base64, &base64), ("quoted-printable", Encoding::QuotedPrintable, &quoted)]
    {
        group.throughput(Throughput::Bytes(octets.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| mime::decode(encoding, black_box(octets), usize::MAX).len());
        });
    }
    group.finish();
}

fn fields(c: &mut Criterion) {
    let mut group = c.benchmark_group("mime field");
    let list = "\"Muster, Anna\" <anna@example.org>, bernd@example.com, =?utf-8?q?C=C3=A9?= <c@example.net>".as_bytes();
    group.throughput(Throughput::Bytes(message::SUBJECT.len() as u64));
    group.bench_function("encoded words", |bencher| bencher.iter(|| mime::fold_field(black_box(message::SUBJECT))));
    group.throughput(Throughput::Bytes(list.len() as u64));
    group.bench_function("addresses", |bencher| bencher.iter(|| mime::addresses(black_box(list))));
    let text = "Größer als der Zürichsee, und der Text dazu. ".repeat(100);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("fold", |bencher| bencher.iter(|| mime::fold(black_box(&text))));
    group.finish();
}

criterion_group!(benches, structure, decode, fields);
criterion_main!(benches);
