//! The store on its ring and a real folder (`TMPDIR`: its disk is measured too): durable appends, a start that reads the log
//! back, a checkpoint. Times are of the whole, the disk's syncs included.
//! Under test each runs once over little.

#[allow(dead_code)] // other benches use the rest
mod work;

use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use ringpost::store::NewMessage;
use work::house::{House, new_messages};
use work::is_bench;

const MESSAGE_BYTES: usize = 8_000;
/// Messages that arrive together and share a commit.
const TOGETHER: usize = 64;
/// Commits after which what was appended is sealed, between two measurements, so that the log never fills.
const COMMITS_MAX: u64 = 100;

/// So many messages; under test few.
fn messages(bench: usize) -> Vec<NewMessage> {
    new_messages(if is_bench() { bench } else { 10 }, MESSAGE_BYTES)
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("store append");
    for together in [1, TOGETHER] {
        let messages = new_messages(together, MESSAGE_BYTES);
        let (house, mut account) = (House::new(), 0);
        let mut open = house.open();
        group.throughput(Throughput::Elements(together as u64));
        group.bench_function(format!("{together} of 8 KB, a commit"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                let mut inbox = open.inbox(account);
                for round in 0..rounds {
                    if round % COMMITS_MAX == COMMITS_MAX - 1 {
                        open.seal();
                        account += 1;
                        inbox = open.inbox(account);
                    }
                    let begun = Instant::now();
                    open.append(&inbox, &messages);
                    took += begun.elapsed();
                }
                open.seal();
                account += 1;
                took
            });
        });
    }
    group.finish();
}

fn replay(c: &mut Criterion) {
    let messages = messages(5_000);
    let house = House::new();
    let mut open = house.open();
    let inbox = open.inbox(1);
    messages.chunks(TOGETHER).for_each(|together| open.append(&inbox, together));
    drop((inbox, open));
    let log = house.log_segments();
    let bytes: u64 = log.iter().map(|path| std::fs::metadata(path).expect("a segment").len()).sum();
    let mut group = c.benchmark_group("store replay");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(bytes));
    group.bench_function(format!("{} messages of 8 KB", messages.len()), |bencher| {
        bencher.iter_custom(|rounds| {
            let mut took = Duration::ZERO;
            for _ in 0..rounds {
                let begun = Instant::now();
                let replay = house.replay();
                took += begun.elapsed();
                // Its own segment is made here, which is no part of it.
                let mut open = house.begin(replay);
                let begun = Instant::now();
                let inbox = open.inbox(1);
                took += begun.elapsed();
                assert_eq!(inbox.counts().messages as usize, messages.len());
                drop((inbox, open));
                house.keep_log_segments(&log);
            }
            took
        });
    });
    group.finish();
}

fn checkpoint(c: &mut Criterion) {
    let messages = messages(1_000);
    let mut group = c.benchmark_group("store checkpoint");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(messages.len() as u64));
    group.warm_up_time(Duration::from_millis(500));
    group.bench_function(format!("{} messages of 8 KB", messages.len()), |bencher| {
        bencher.iter_custom(|rounds| {
            // A house a sample: what was sealed goes with it.
            let house = House::new();
            let mut open = house.open();
            let mut took = Duration::ZERO;
            for account in 0..rounds {
                let inbox = open.inbox(account);
                messages.chunks(TOGETHER).for_each(|together| open.append(&inbox, together));
                let begun = Instant::now();
                open.seal();
                took += begun.elapsed();
            }
            took
        });
    });
    group.finish();
}

criterion_group!(benches, append, replay, checkpoint);
criterion_main!(benches);
