//! A store on its ring in a scratch folder, without the executor: whoever has work drives it.
//!
//! Invariants: all futures are polled together after each turn of the ring, and the ring sleeps only where an operation is
//! under way, so that what runs does not hang on how fast the disk is; the folder goes with the house. No checkpoint begins
//! by itself.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ringpost::io::{Ring, Sizes};
use ringpost::mime;
use ringpost::store::{
    AccountId, Body, Date, Flags, Mailbox, Medium, NewMessage, Replay, RingDisk, Secret, Store, recover,
};

use super::message;

const SIZES: Sizes = Sizes { submissions: 256, completions: 1024, buffers: 64, buffer_bytes: 16 * 1024 };
/// The lowest UIDVALIDITY.
const SEED: u64 = 1_700_000_000;

/// A folder that is removed on drop.
pub struct Scratch(pub PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("ringpost-bench-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a scratch folder");
        Scratch(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The ring and the disk. Stores come and go.
pub struct House {
    pub ring: Ring,
    pub scratch: Scratch,
    medium: Medium,
}

/// An open store, and its writer.
pub struct Open {
    pub store: Store,
    ring: Ring,
    writer: Pin<Box<dyn Future<Output = ()>>>,
}

impl House {
    pub fn new() -> House {
        let (ring, scratch) = (Ring::new(&SIZES).expect("a ring"), Scratch::new());
        let medium = Medium::of_files(RingDisk::new(&ring, &scratch.0), Secret([1; 32]));
        House { ring, scratch, medium }
    }

    /// Opens the store over what earlier ones left.
    pub fn open(&self) -> Open {
        self.begin(self.replay())
    }

    /// Reads what the logs of earlier stores hold.
    pub fn replay(&self) -> Replay {
        let recovered = drive(&self.ring, None, recover(&self.medium, 1));
        recovered.expect("the logs are whole").shards.remove(0)
    }

    /// Opens the store over what was read; an account's part of it is applied when the account is opened.
    pub fn begin(&self, replay: Replay) -> Open {
        let store = drive(&self.ring, None, Store::open(&self.medium, replay, Box::new(|| ()), SEED));
        let store = store.expect("the store opens");
        let writer = store.writer(|| Duration::ZERO, |_| ());
        let writer = Box::pin(async { panic!("the log is lost: {:?}", writer.await) });
        Open { store, ring: self.ring.clone(), writer }
    }

    /// The log's segments.
    pub fn log_segments(&self) -> HashSet<PathBuf> {
        let entries = std::fs::read_dir(self.scratch.0.join("log")).expect("the log's folder");
        let paths = entries.map(|entry| entry.expect("it can be listed").path());
        paths.filter(|path| !path.ends_with("EPOCH")).collect()
    }

    /// Removes the segments of later stores, which appended nothing.
    pub fn keep_log_segments(&self, kept: &HashSet<PathBuf>) {
        for path in self.log_segments().difference(kept) {
            std::fs::remove_file(path).expect("a segment without records");
        }
    }
}

impl Open {
    /// Runs `work` to its end, the store's writer beside it.
    pub fn run<T>(&mut self, work: impl Future<Output = T>) -> T {
        drive(&self.ring, Some(&mut self.writer), work)
    }

    /// The INBOX of an account, which is made where there is none.
    pub fn inbox(&mut self, account: u64) -> Mailbox {
        let store = self.store.clone();
        let account = self.run(async move { store.account(AccountId(account)).await }).expect("the account opens");
        account.mailbox("INBOX").expect("every account has an INBOX")
    }

    /// Appends messages, all in one commit where they fit into one; they are durable when this returns.
    pub fn append(&mut self, mailbox: &Mailbox, messages: &[NewMessage]) {
        self.run(async {
            let mut submitted = Vec::with_capacity(messages.len());
            for message in messages {
                submitted.push(mailbox.submit(message).await.expect("there is room"));
            }
            for one in submitted {
                one.wait().await.expect("it is durable");
            }
        });
    }

    /// Goes on until no operation is under way.
    pub fn settle(&mut self) {
        let ring = self.ring.clone();
        self.run(poll_fn(|_| if ring.in_flight() == 0 { Poll::Ready(()) } else { Poll::Pending }));
    }

    /// Seals what the log holds.
    pub fn seal(&mut self) {
        let store = self.store.clone();
        self.run(async move { store.seal_all().await }).expect("a checkpoint");
    }
}

/// Polls `work` and `writer` between turns of the ring.
fn drive<T>(
    ring: &Ring,
    mut writer: Option<&mut Pin<Box<dyn Future<Output = ()>>>>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = work.as_mut().poll(&mut context) {
            return value;
        }
        if let Some(writer) = &mut writer {
            let _ = writer.as_mut().poll(&mut context);
        }
        ring.turn(ring.in_flight() > 0).expect("the ring turns");
    }
}

/// Messages of about `bytes` octets, numbered from 1, ready for a mailbox.
pub fn new_messages(count: usize, bytes: usize) -> Vec<NewMessage> {
    (1..=count as u64).map(|number| new_message(number, message::message(number, bytes))).collect()
}

fn new_message(number: u64, raw: Vec<u8>) -> NewMessage {
    NewMessage {
        structure: Arc::new(mime::structure(&raw)),
        body: Body::from_vec(raw),
        internal_date: Date { seconds: SEED as i64 + number as i64, offset_minutes: 60 },
        saved_at: SEED as i64 + number as i64,
        flags: if number.is_multiple_of(3) { Flags::NONE } else { Flags::SEEN },
        keywords: Vec::new(),
        delivery: None,
    }
}
