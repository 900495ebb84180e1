//! EXPUNGE and UID EXPUNGE (RFC 3501 §6.4.3, RFC 4315 §2.1), and CHECK (RFC 3501 §6.4.1).
//!
//! Only messages that have `\Deleted`, as far as changes are durable when it is asked for, go, whoever set it; who else has the mailbox open is told
//! when the protocol allows.

use std::ops::RangeInclusive;

use super::tell::refusal;
use super::{Dialogue, State};
use crate::net::Arena;
use crate::proto::imap::{Range, SequenceSet};

/// A resolved set as the store takes it.
pub(super) fn inclusive(ranges: &[Range]) -> Vec<RangeInclusive<u32>> {
    ranges.iter().map(|range| range.first..=range.last).collect()
}

impl Dialogue {
    /// CHECK asks for a checkpoint of the mailbox: all that was acknowledged is on disk already.
    pub(super) fn check(&mut self, tag: &str) {
        self.tell(true);
        self.answer(tag, "OK CHECK completed");
    }

    pub(super) async fn expunge(&mut self, tag: &str, uids: Option<SequenceSet<'_>>, arena: &Arena) {
        let State::Selected(_, view) = &self.state else { return };
        if view.is_read_only() {
            return self.answer(tag, "NO [NOPERM] The mailbox is read-only");
        }
        let highest = view.uid_of(view.exists()).unwrap_or(0);
        let ranges = match uids {
            Some(set) => inclusive(set.resolve(arena, highest)),
            None => vec![1..=u32::MAX],
        };
        let expunged = view.expunge(&ranges, true).await;
        self.tell(true);
        match expunged {
            Ok(()) => self.answer(tag, "OK EXPUNGE completed"),
            Err(error) => self.answer(tag, refusal(&error)),
        }
    }
}
