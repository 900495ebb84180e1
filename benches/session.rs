//! Whole commands of an IMAP session over a loopback connection, the kernel's part and the client's reading included: NOOP,
//! FETCH and SEARCH over a mailbox whose messages are sealed and warm. One connection, one thread.
//! Under test each runs once over little.

#[allow(dead_code)] // other benches use the rest
mod work;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use work::dialogue::Client;
use work::house::{House, new_messages};
use work::is_bench;

const MESSAGE_BYTES: usize = 4_000;

fn commands(c: &mut Criterion) {
    let messages = new_messages(if is_bench() { 10_000 } else { 20 }, MESSAGE_BYTES);
    let count = Throughput::Elements(messages.len() as u64);
    let raw = Throughput::Bytes(messages.iter().map(|message| message.body.len() as u64).sum());
    let text = Throughput::Bytes(messages.iter().map(|message| message.structure.text.len() as u64).sum());
    let house = House::new();
    let mut open = house.open();
    let inbox = open.inbox(1);
    messages.chunks(64).for_each(|together| open.append(&inbox, together));
    open.seal();
    drop(messages);
    let mut client = Client::connect(&house, &open.store, 1);
    client.ask(b"x SELECT INBOX\r\n");
    let mut group = c.benchmark_group("session");
    for (name, command, throughput) in [
        ("NOOP", "x NOOP\r\n", Throughput::Elements(1)),
        ("FETCH FLAGS", "x FETCH 1:* FLAGS\r\n", count.clone()),
        ("FETCH UID FLAGS RFC822.SIZE", "x FETCH 1:* (UID FLAGS RFC822.SIZE)\r\n", count.clone()),
        ("FETCH ENVELOPE", "x FETCH 1:* ENVELOPE\r\n", count.clone()),
        ("FETCH BODYSTRUCTURE", "x FETCH 1:* BODYSTRUCTURE\r\n", count.clone()),
        ("FETCH BODY.PEEK[]", "x FETCH 1:* BODY.PEEK[]\r\n", raw),
        ("SEARCH UNSEEN", "x SEARCH UNSEEN\r\n", count.clone()),
        ("SEARCH FROM", "x SEARCH FROM nobody\r\n", count),
        ("SEARCH TEXT", "x SEARCH TEXT kingfisher\r\n", text),
    ] {
        group.throughput(throughput);
        // The first one reads in what nobody read yet.
        client.ask(command.as_bytes());
        group.bench_function(name, |bencher| bencher.iter(|| client.ask(command.as_bytes())));
    }
    group.finish();
}

criterion_group!(benches, commands);
criterion_main!(benches);
