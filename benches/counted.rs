//! The hot operations, each a fixed number of times in a function of its own, for `benches/instructions` to count.
//!
//! `counted NAME` does one of them and says how many units it did; without a name all are done, as a test that they work;
//! `--list` names them.
//! The messages are made, the same everywhere. What is left to chance is small: what hash maps do, where the allocator's memory
//! lies, and how often a long command lets others run, which hangs on the clock.

#[allow(dead_code)] // other benches use the rest
mod work;

use std::hint::black_box;

use bumpalo::Bump;
use ringpost::mime::{self, Encoding};
use ringpost::store::NewMessage;
use work::dialogue::Client;
use work::house::{House, Open, new_messages};
use work::message::{self, message};
use work::passes::{COMMANDS, frame_and_parse, stuff, stuffed, unstuff};

const MESSAGE_BYTES: usize = 8_000;
/// Messages that differ; mailboxes have each several times.
const DISTINCT: usize = 100;
/// How often a session's mailbox has them, and how often a log does that is read back: several segments of it.
const IN_MAILBOX: usize = 10;
const IN_LOG: usize = 40;
/// How often an operation is done that takes microseconds.
const ROUNDS: usize = 1_000;
const KIB: usize = 1024;

/// Makes an operation ready.
type Prepare = fn() -> Ready;

const OPERATIONS: [(&str, Prepare); 13] = [
    ("noop", noop),
    ("fetch-parse", fetch_parse),
    ("fetch-flags", fetch_flags),
    ("fetch-envelope", fetch_envelope),
    ("structure", structure),
    ("data-unstuff", data_unstuff),
    ("retr-stuff", retr_stuff),
    ("append", append),
    ("replay", replay),
    ("search-text", search_text),
    ("search-unseen", search_unseen),
    ("base64", base64),
    ("encoded-word", encoded_word),
];

/// An operation that can be done, more than once.
struct Ready {
    /// What is done at once, in units.
    units: usize,
    /// Of what.
    unit: &'static str,
    work: Box<dyn FnMut()>,
}

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        OPERATIONS.iter().for_each(|(name, _)| println!("{name}"));
        return;
    }
    let chosen = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut done = 0;
    for (name, prepare) in OPERATIONS {
        if chosen.as_deref().is_none_or(|chosen| chosen == name) {
            let mut ready = prepare();
            // Once before: what is made at the first use is there.
            (ready.work)();
            counted(&mut ready.work);
            println!("{name}\t{}\t{}", ready.units, ready.unit);
            done += 1;
        }
    }
    assert!(done > 0, "no operation is called so; there are: {:?}", OPERATIONS.map(|(name, _)| name));
    if chosen.is_none() {
        println!("Success");
    }
}

/// What is counted: all that happens in here.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    // A call that is not the last thing here is not made a jump, which would be counted elsewhere.
    black_box(());
}

/// `work`, [`ROUNDS`] times.
fn rounds(units: usize, unit: &'static str, mut work: impl FnMut() + 'static) -> Ready {
    Ready { units: units * ROUNDS, unit, work: Box::new(move || (0..ROUNDS).for_each(|_| work())) }
}

fn messages() -> Vec<NewMessage> {
    new_messages(DISTINCT, MESSAGE_BYTES)
}

/// A store whose account 1 has these messages so many times, in its log.
fn filled(house: &House, messages: &[NewMessage], times: usize) -> Open {
    let mut open = house.open();
    let inbox = open.inbox(1);
    (0..times).for_each(|_| open.append(&inbox, messages));
    open
}

/// A command of a session that has a mailbox selected, all of it sealed, so many times.
fn asked(command: &'static [u8], rounds: usize, (units, unit): (usize, &'static str)) -> Ready {
    let house = House::new();
    let mut open = filled(&house, &messages(), IN_MAILBOX);
    open.seal();
    let mut client = Client::connect(&house, &open.store, 1);
    client.ask(b"x SELECT INBOX\r\n");
    let work = move || {
        // They live as long as the client.
        let _ = (&house, &open);
        for _ in 0..rounds {
            black_box(client.ask(command));
        }
    };
    Ready { units: units * rounds, unit, work: Box::new(work) }
}

fn noop() -> Ready {
    asked(b"x NOOP\r\n", ROUNDS, (1, "command"))
}

fn fetch_flags() -> Ready {
    asked(b"x FETCH 1:* FLAGS\r\n", 10, (DISTINCT * IN_MAILBOX, "message"))
}

fn fetch_envelope() -> Ready {
    asked(b"x FETCH 1:* ENVELOPE\r\n", 10, (DISTINCT * IN_MAILBOX, "message"))
}

fn search_unseen() -> Ready {
    asked(b"x SEARCH UNSEEN\r\n", 10, (DISTINCT * IN_MAILBOX, "message"))
}

fn search_text() -> Ready {
    let text: usize = messages().iter().map(|message| message.structure.text.len()).sum();
    asked(b"x SEARCH TEXT kingfisher\r\n", 5, (text * IN_MAILBOX / KIB, "KiB of text"))
}

fn fetch_parse() -> Ready {
    let mut arena = Bump::with_capacity(8192);
    let (_, command) = COMMANDS[1];
    rounds(1, "command", move || frame_and_parse(&mut arena, command))
}

fn structure() -> Ready {
    let messages: Vec<Vec<u8>> = (1..=100).map(|number| message(number, MESSAGE_BYTES)).collect();
    let (units, unit) = (messages.len(), "message of 8 KB");
    let work = move || messages.iter().for_each(|raw| drop(black_box(mime::structure(black_box(raw)))));
    Ready { units, unit, work: Box::new(work) }
}

fn data_unstuff() -> Ready {
    let data = stuffed(&message(1, 64 * KIB));
    let units = data.len() / KIB;
    rounds(units, "KiB", move || assert!(unstuff(&data) > 0))
}

fn retr_stuff() -> Ready {
    let raw = message(1, 64 * KIB);
    let units = raw.len() / KIB;
    rounds(units, "KiB", move || assert!(stuff(&raw) > 0))
}

fn append() -> Ready {
    let (house, messages) = (House::new(), messages());
    let mut open = house.open();
    let inbox = open.inbox(1);
    let units = messages.len() * 4;
    let work = move || {
        let _ = &house;
        (0..4).for_each(|_| open.append(&inbox, &messages));
        // The next segment of the log is made meanwhile, once.
        open.settle();
    };
    Ready { units, unit: "message of 8 KB", work: Box::new(work) }
}

fn replay() -> Ready {
    let house = House::new();
    drop(filled(&house, &messages(), IN_LOG));
    let log = house.log_segments();
    let units = DISTINCT * IN_LOG;
    let work = move || {
        let mut open = house.begin(house.replay());
        assert_eq!(open.inbox(1).counts().messages as usize, units);
        drop(open);
        house.keep_log_segments(&log);
    };
    Ready { units, unit: "record of 8 KB", work: Box::new(work) }
}

fn base64() -> Ready {
    let lines = message::base64(64 * KIB, 1);
    let units = lines.len() / KIB;
    rounds(units, "KiB", move || drop(black_box(mime::decode(Encoding::Base64, black_box(&lines), usize::MAX))))
}

fn encoded_word() -> Ready {
    rounds(2, "word", || drop(black_box(mime::fold_field(black_box(message::SUBJECT)))))
}
