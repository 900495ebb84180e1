//! What one command costs before a session sees it, and what is written back: framing and parsing, numbers and dates, and the
//! dots of DATA and RETR. No I/O, no session: those are in `session.rs` and measured on a running server.
//! Under test each runs once.

#[allow(dead_code)] // other benches use the rest
mod work;

use std::hint::black_box;

use bumpalo::Bump;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringpost::proto::imap::respond;
use ringpost::proto::{pop3, smtp};
use work::message::message;
use work::passes::{COMMANDS, frame_and_parse, stuff, stuffed, unstuff};

const MESSAGE_BYTES: usize = 64 * 1024;

fn imap(c: &mut Criterion) {
    let mut group = c.benchmark_group("imap frame and parse");
    for (name, octets) in COMMANDS {
        let mut arena = Bump::with_capacity(8192);
        group.throughput(Throughput::Bytes(octets.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| frame_and_parse(&mut arena, octets)));
    }
    group.finish();
    let mut group = c.benchmark_group("imap respond");
    group.throughput(Throughput::Elements(1));
    group.bench_function("number and date", |bencher| {
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

fn lines(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Elements(1));
    group.bench_function("smtp RCPT", |bencher| {
        let line = b"RCPT TO:<somebody.with.a.name@mail.example.org> NOTIFY=SUCCESS,FAILURE";
        bencher.iter(|| black_box(smtp::parse(black_box(line))).is_ok());
    });
    group.bench_function("pop3 RETR", |bencher| {
        bencher.iter(|| black_box(pop3::parse(black_box(b"RETR 17"))).is_ok());
    });
    group.finish();
}

fn dots(c: &mut Criterion) {
    let raw = message(1, MESSAGE_BYTES);
    let data = stuffed(&raw);
    let mut group = c.benchmark_group("dots");
    group.throughput(Throughput::Bytes(raw.len() as u64));
    group.bench_function("unstuff DATA", |bencher| bencher.iter(|| unstuff(&data)));
    group.bench_function("stuff RETR", |bencher| bencher.iter(|| stuff(&raw)));
    group.finish();
}

criterion_group!(benches, imap, lines, dots);
criterion_main!(benches);
