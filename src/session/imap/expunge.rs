//! EXPUNGE and UID EXPUNGE (RFC 3501 §6.4.3, RFC 4315 §2.1).
//!
//! Only messages that still have `\Deleted` when the log comes to the change go, whoever set it: a flag that is taken away
//! at the same moment saves its message. Who else has the mailbox open is told when the protocol allows.

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
    pub(super) async fn expunge(&mut self, uids: Option<SequenceSet<'_>>, arena: &Arena) -> Result<(), &'static str> {
        let State::Selected(_, view) = &self.state else { return Ok(()) };
        if view.is_read_only() {
            return Err("NO [NOPERM] The mailbox is read-only");
        }
        let highest = view.uid_of(view.exists()).unwrap_or(0);
        let ranges = match uids {
            Some(set) => inclusive(set.resolve(arena, highest)),
            None => vec![1..=u32::MAX],
        };
        view.expunge(&ranges, true).await.map_err(|error| refusal(&error))
    }
}
