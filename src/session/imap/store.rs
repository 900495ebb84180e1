//! STORE and UID STORE (RFC 3501 §6.4.6).
//!
//! The log keeps the change, not its result, so that two changes under way at once never undo each other. OK is said when it
//! is durable.

use std::io;

use super::expunge::inclusive;
use super::tell::refusal;
use super::{Dialogue, State, command, flags};
use crate::net::Arena;
use crate::proto::imap::{Command, Range, SequenceSet, StoreAction, Tagged};
use crate::store::{FlagOp, View};

/// The UIDs that a set of the client's means: itself, or those of its message numbers. `None`: a number beyond EXISTS, but for a
/// range that has `*` as its other end: `1:*` is all of an empty mailbox too.
pub(super) fn uid_ranges<'a>(
    view: &View,
    set: SequenceSet<'_>,
    numbers: bool,
    arena: &'a Arena,
) -> Option<&'a [Range]> {
    let exists = view.exists();
    if !numbers {
        return Some(set.resolve(arena, view.uid_of(exists).unwrap_or(0)));
    }
    let beyond = |range: &Range| range.first.max(range.last) != Range::LAST && range.first.max(range.last) > exists;
    if set.0.iter().any(beyond) {
        return None;
    }
    let uid_of = |seq| view.uid_of(seq).unwrap_or(0);
    let ranges = set.resolve(arena, exists).iter();
    Some(
        arena.alloc_slice_fill_iter(ranges.map(|range| Range { first: uid_of(range.first), last: uid_of(range.last) })),
    )
}

impl Dialogue {
    pub(super) async fn store(&mut self, tagged: &Tagged<'_>, arena: &Arena) -> io::Result<()> {
        let changed = self.change_flags(tagged, arena).await;
        if let Ok(uids) = changed {
            self.tell_keywords();
            self.tell_stored(tagged, uids).await?;
        }
        self.conclude(tagged, changed.map(drop)).await
    }

    async fn change_flags<'a>(&mut self, tagged: &Tagged<'_>, arena: &'a Arena) -> Result<&'a [Range], &'static str> {
        let (Command::Store { set, action, flags: list, .. }, State::Selected(_, view)) =
            (tagged.command, &mut self.state)
        else {
            return Err("BAD Select a mailbox first");
        };
        if view.is_read_only() {
            return Err("NO [NOPERM] The mailbox is read-only");
        }
        let uids = uid_ranges(view, set, command::uses_numbers(tagged), arena).ok_or("BAD No such message number")?;
        let op = match action {
            StoreAction::Add => FlagOp::Add,
            StoreAction::Remove => FlagOp::Remove,
            StoreAction::Replace => FlagOp::Replace,
        };
        let keywords = flags::keywords(&list);
        let changed = view.change_flags(&inclusive(uids), op, flags::to_store(list.system), &keywords).await;
        if let Some(modseq) = changed.map_err(|error| refusal(&error))? {
            view.told(modseq, matches!(tagged.command, Command::Store { silent: true, .. }));
        }
        Ok(uids)
    }

    /// The new flags of each message, unless the client doesn't want to hear of them.
    async fn tell_stored(&mut self, tagged: &Tagged<'_>, uids: &[Range]) -> io::Result<()> {
        if matches!(tagged.command, Command::Store { silent: true, .. }) {
            return Ok(());
        }
        for range in uids {
            let State::Selected(_, view) = &self.state else { return Ok(()) };
            for seq in view.first_at_or_after(range.first)..view.first_at_or_after(range.last.saturating_add(1)) {
                self.tell_flags(seq, tagged.uid).await?;
            }
        }
        Ok(())
    }
}
