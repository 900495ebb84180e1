//! The simulator's messages: a few contents, made once, that many messages share; a message's number is in its dates.
//!
//! Invariant: a number says which content the message has, so that a message that was read can be compared with it. The numbers
//! with [`LONG`] have one that goes into a body file of its own, alone or for several accounts.

use super::super::{message, raw};
use crate::limits::{INLINE_BODY_BYTES_MAX, SHARED_BODY_BYTES_MIN};
use crate::store::{Date, Error, Message, NewMessage};

/// Short contents.
const SHORT: u32 = 13;
/// Numbers whose rest by 16 this is have a content for several accounts; one more, for one.
pub(super) const LONG: u32 = 14;

/// All contents.
pub(super) struct Pool {
    contents: Vec<(NewMessage, Vec<u8>)>,
}

impl Pool {
    pub(super) fn new() -> Pool {
        let bytes = (0..SHORT as usize).map(|index| 100 + 20 * index);
        let bytes = bytes.chain([SHARED_BODY_BYTES_MIN + 700, INLINE_BODY_BYTES_MAX + 300]);
        let contents = (0..).zip(bytes).map(|(number, bytes)| (message(number, bytes), raw(number, bytes)));
        Pool { contents: contents.collect() }
    }

    /// The `count`-th number of a kind: short (`None`), or long for several or for one.
    pub(super) fn number(count: u32, long: Option<bool>) -> u32 {
        let rest = match long {
            None => count % SHORT,
            Some(several) => LONG + u32::from(!several),
        };
        16 * count + rest
    }

    fn content(&self, number: u32) -> &(NewMessage, Vec<u8>) {
        let rest = number % 16;
        &self.contents[if rest >= LONG { SHORT + rest - LONG } else { rest } as usize]
    }

    pub(super) fn size(&self, number: u32) -> u64 {
        self.content(number).1.len() as u64
    }

    /// Message `number`.
    pub(super) fn message(&self, number: u32) -> NewMessage {
        let internal_date = Date { seconds: i64::from(number), offset_minutes: 60 };
        NewMessage { internal_date, saved_at: i64::from(number), ..self.content(number).0.clone() }
    }

    /// That a message is number `number`, whole; in words what it is otherwise, where it is not damaged.
    pub(super) fn check(&self, found: &Message, number: u32) -> Result<(), Error> {
        let (wanted, raw) = self.content(number);
        let wrong = |what: &str| {
            let message = format!("its {what} is not that of message {number}");
            Err(Error::Io { kind: std::io::ErrorKind::InvalidData, message })
        };
        if found.saved_at() != i64::from(number) || found.internal_date().seconds != i64::from(number) {
            return wrong("date");
        }
        if found.raw()? != &raw[..] || found.size() != raw.len() as u64 {
            return wrong("content");
        }
        if found.text()? != wanted.structure.text || found.subject() != wanted.structure.subject {
            return wrong("structure");
        }
        if found.delivery().is_none_or(|delivery| Some(&*delivery.return_path) != Some("a@b")) {
            return wrong("envelope");
        }
        Ok(())
    }
}
