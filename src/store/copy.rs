//! COPY and MOVE within an account: messages get a second home, all of them or none.
//!
//! Not there yet.

use std::ops::RangeInclusive;

use super::mailbox::Mailbox;
use super::types::{Error, UidValidity};
use super::view::View;

/// What became of a COPY or MOVE: what COPYUID tells (RFC 4315 §3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    /// UIDVALIDITY of the target.
    pub uid_validity: UidValidity,
    /// UIDs of the source, ascending, first and last of each range.
    pub from: Vec<(u32, u32)>,
    /// The UIDs that they got, in the same order.
    pub to: Vec<(u32, u32)>,
}

impl View {
    /// Copies messages by UID with flags, keywords and INTERNALDATE; durable, all or none. UIDs that are gone are passed
    /// over; `from` is empty where none was left.
    pub async fn copy(&self, uids: &[RangeInclusive<u32>], to: &Mailbox) -> Result<Copied, Error> {
        let _ = (uids, to);
        Err(Error::Busy)
    }

    /// The same, and expunges the originals in the same record (RFC 6851).
    pub async fn move_to(&self, uids: &[RangeInclusive<u32>], to: &Mailbox) -> Result<Copied, Error> {
        let _ = (uids, to);
        Err(Error::Busy)
    }

    /// Whether the mailbox was deleted.
    pub fn is_gone(&self) -> bool {
        false
    }
}
