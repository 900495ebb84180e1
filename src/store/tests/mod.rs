//! Tests of the store as a whole: a tiny executor, messages, and a harness that opens stores on a disk in memory.

mod bodies;
mod bodies_model;
mod commits;
mod copy;
mod crash;
mod lost;
mod model;
mod objects;
mod restart;
mod seam;
mod sim;
mod tree;
mod tree_model;
mod whole;
mod worlds;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::memory_disk::MemoryDisk;
use super::*;
use crate::mime;
pub(crate) use worlds::World;
use worlds::suite;

/// Lets others run once.
pub(super) async fn yield_now() {
    let mut first = true;
    poll_fn(|context| {
        if std::mem::take(&mut first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// Polls `main` and `others` in turn until `main` is done. A turn in which nobody moves for long is a hang, and a panic.
pub(super) fn drive<T>(main: impl Future<Output = T>, others: &mut [Pin<Box<dyn Future<Output = ()>>>]) -> T {
    let mut context = Context::from_waker(Waker::noop());
    let mut main = pin!(main);
    let mut finished = vec![false; others.len()];
    for _ in 0..20_000_000u64 {
        if let Poll::Ready(value) = main.as_mut().poll(&mut context) {
            return value;
        }
        for (other, finished) in others.iter_mut().zip(&mut finished) {
            if !*finished {
                *finished = other.as_mut().poll(&mut context).is_ready();
            }
        }
    }
    panic!("nobody makes progress");
}

pub(super) fn block_on<T>(main: impl Future<Output = T>) -> T {
    drive(main, &mut [])
}

/// Drives all futures to their ends, together.
pub(super) async fn join<T>(futures: Vec<Pin<Box<dyn Future<Output = T> + '_>>>) -> Vec<T> {
    let mut slots: Vec<_> = futures.into_iter().map(|future| (Some(future), None)).collect();
    poll_fn(move |context| {
        let mut pending = false;
        for (future, value) in &mut slots {
            if let Some(running) = future {
                match running.as_mut().poll(context) {
                    Poll::Ready(done) => (*future, *value) = (None, Some(done)),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            return Poll::Pending;
        }
        Poll::Ready(slots.iter_mut().filter_map(|(_, value)| value.take()).collect())
    })
    .await
}

/// Log segments of the tests: small, so that they turn over.
pub(super) const SEGMENT_BYTES: u64 = 64 * 1024;
pub(super) const SEED: u64 = 1_700_000_000;

/// The store's writer, without a clock and with nobody to tell.
pub(super) fn quiet_writer(store: &Store) -> impl Future<Output = Lost> + 'static {
    store.writer(|| Duration::ZERO, |_| ())
}

/// Recovers a world for one shard.
pub(super) fn recovered(world: &impl World) -> Result<Recovered, Error> {
    block_on(recover(&world.medium(SEGMENT_BYTES), 1))
}

/// Runs `test` on the stores of `shards` shards over a world, their writers running; then whether a log was lost.
pub(super) fn with_shards<T, F: Future<Output = T>>(
    disk: &impl World,
    shards: usize,
    test: impl FnOnce(Vec<Store>) -> F,
) -> Result<(T, bool), Error> {
    with_segments(disk, shards, SEGMENT_BYTES, test)
}

pub(crate) fn with_segments<T, F: Future<Output = T>>(
    disk: &impl World,
    shards: usize,
    segment_bytes: u64,
    test: impl FnOnce(Vec<Store>) -> F,
) -> Result<(T, bool), Error> {
    let recovered = block_on(recover(&disk.medium(segment_bytes), shards))?;
    let mut stores = Vec::new();
    for replay in recovered.shards {
        stores.push(block_on(Store::open(&disk.medium(segment_bytes), replay, Box::new(|| ()), SEED))?);
    }
    let lost = Rc::new(Cell::new(false));
    let mut writers: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for store in &stores {
        let (writer, lost) = (quiet_writer(store), lost.clone());
        writers.push(Box::pin(async move {
            writer.await;
            lost.set(true);
        }));
    }
    let value = drive(test(stores), &mut writers);
    Ok((value, lost.get()))
}

/// The path of an account's manifest.
pub(crate) fn manifest(account: AccountId) -> String {
    segments::manifest_path(account)
}

/// Runs `test` on the one store over `disk`, which is expected to work.
pub(super) fn with_store<T, F: Future<Output = T>>(disk: &impl World, test: impl FnOnce(Store) -> F) -> T {
    let opened = with_shards(disk, 1, |mut stores| test(stores.remove(0)));
    opened.expect("the store opens").0
}

/// A raw message that `number` tells from others, of about `bytes`.
pub(super) fn raw(number: u64, bytes: usize) -> Vec<u8> {
    let mut raw = format!("Subject: number {number}\r\nMessage-ID: <{number}@test>\r\n\r\n").into_bytes();
    let mut random = super::memory_disk::Random::new(number + 1);
    while raw.len() < bytes {
        raw.extend_from_slice(format!("{:016x} {number}\r\n", random.next()).as_bytes());
    }
    raw
}

pub(super) fn structure(number: u64, raw: &[u8]) -> Arc<mime::Structure> {
    let root = mime::Part {
        parent: 0,
        kind: mime::Kind::Leaf,
        header_start: 0,
        body_start: 40,
        end: raw.len() as u32,
        lines: 3,
        encoding: mime::Encoding::SevenBit,
        opaque: false,
    };
    Arc::new(mime::Structure {
        parts: vec![root],
        envelope: format!("(NIL \"number {number}\")").into_bytes(),
        bodystructure: b"(\"text\" \"plain\")".to_vec(),
        text: format!("number {number} {}", "text ".repeat(raw.len() / 50)),
        subject: format!("number {number}"),
        from: "someone@test".to_owned(),
        message_id: Some(format!("<{number}@test>")),
        references: Vec::new(),
        base_subject: "number".to_owned(),
    })
}

pub(crate) fn message(number: u64, bytes: usize) -> NewMessage {
    let raw = raw(number, bytes);
    NewMessage {
        structure: structure(number, &raw),
        body: Body::from_vec(raw),
        internal_date: Date { seconds: 1_000_000 + number as i64, offset_minutes: 60 },
        saved_at: 2_000_000 + number as i64,
        flags: Flags::NONE,
        keywords: Vec::new(),
        delivery: Some(DeliveryEnvelope { return_path: "a@b".to_owned(), recipients: vec![format!("{number}@c")] }),
    }
}

/// All of a message's octets.
pub(super) const WHOLE: Reading = Reading::Octets(0..usize::MAX);

/// That message `number` of about `bytes` is whole.
pub(super) fn assert_whole(message: &Message, number: u64, bytes: usize) {
    let raw = raw(number, bytes);
    assert_eq!(message.raw().unwrap(), raw, "message {number}");
    assert_eq!(message.size(), raw.len() as u64);
    assert_eq!(message.content_hash(), Hash::of(&raw));
    let structure = structure(number, &raw);
    assert_eq!(message.envelope(), structure.envelope);
    assert_eq!(message.bodystructure(), structure.bodystructure);
    assert_eq!(message.text().unwrap(), structure.text);
    assert_eq!((message.subject(), message.from()), (&*structure.subject, &*structure.from));
    assert_eq!(message.parts().collect::<Vec<_>>(), structure.parts);
    assert_eq!(message.internal_date(), Date { seconds: 1_000_000 + number as i64, offset_minutes: 60 });
    assert_eq!(message.saved_at(), 2_000_000 + number as i64);
    assert_eq!(message.delivery().unwrap().recipients, [format!("{number}@c")]);
}

/// The numbers of the messages in a mailbox, from their subjects, each checked to be whole.
pub(super) fn numbers(mailbox: &Mailbox, bytes: impl Fn(u64) -> usize) -> Vec<u64> {
    let view = mailbox.view(true);
    let messages = (1..=view.exists()).map(|seq| view.message(seq).unwrap().unwrap());
    let numbers = messages.map(|message| {
        let number: u64 = message.subject().strip_prefix("number ").unwrap().parse().unwrap();
        assert_whole(&message, number, bytes(number));
        number
    });
    numbers.collect()
}

/// What a session tells its client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Update {
    Expunged { seq: u32 },
    Exists { count: u32, recent: u32 },
    Flags { seq: u32 },
}

/// Tells a view of everything, as a session does.
fn advance(view: &mut View, allow_expunge: bool) -> Vec<Update> {
    let news = view.advance(allow_expunge);
    let mut updates: Vec<Update> = news.expunged.map(|seq| Update::Expunged { seq }).collect();
    updates.extend(news.exists.map(|(count, recent)| Update::Exists { count, recent }));
    while let Some(numbers) = view.next_flags() {
        updates.extend(numbers.into_iter().map(|seq| Update::Flags { seq }));
    }
    updates
}
