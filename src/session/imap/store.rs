//! STORE and UID STORE (RFC 3501 §6.4.6).
//!
//! The log keeps the change, not its result, so that two changes under way at once never undo each other. OK is said when it
//! is durable.

use super::expunge::inclusive;
use super::tell::{refusal, write_flags};
use super::{Dialogue, State, command, flags};
use crate::net::Arena;
use crate::proto::imap::{Command, Range, SequenceSet, StoreAction, Tagged};
use crate::store::{FlagOp, View};

/// The UIDs that a set of the client's means: itself, or those of its message numbers. `None`: a number beyond EXISTS.
pub(super) fn uid_ranges<'a>(view: &View, set: SequenceSet<'_>, uid: bool, arena: &'a Arena) -> Option<&'a [Range]> {
    let exists = view.exists();
    if uid {
        return Some(set.resolve(arena, view.uid_of(exists).unwrap_or(0)));
    }
    if set
        .0
        .iter()
        .any(|range| [range.first, range.last].iter().any(|number| *number != Range::LAST && *number > exists))
    {
        return None;
    }
    let uid_of = |seq| view.uid_of(seq).unwrap_or(0);
    let ranges = set.resolve(arena, exists).iter();
    Some(
        arena.alloc_slice_fill_iter(ranges.map(|range| Range { first: uid_of(range.first), last: uid_of(range.last) })),
    )
}

impl Dialogue {
    pub(super) async fn store(&mut self, tagged: &Tagged<'_>, arena: &Arena) {
        let Command::Store { set, action, silent, flags: list } = tagged.command else { return };
        let State::Selected(_, view) = &mut self.state else { return };
        if view.is_read_only() {
            return self.answer(tagged.tag, "NO [NOPERM] The mailbox is read-only");
        }
        let Some(uids) = uid_ranges(view, set, tagged.uid, arena) else {
            return self.answer(tagged.tag, "BAD No such message number");
        };
        let op = match action {
            StoreAction::Add => FlagOp::Add,
            StoreAction::Remove => FlagOp::Remove,
            StoreAction::Replace => FlagOp::Replace,
        };
        let keywords = flags::keywords(&list);
        match view.change_flags(&inclusive(uids), op, flags::to_store(list.system), &keywords).await {
            Ok(modseq) => view.told(modseq),
            Err(error) => return self.answer(tagged.tag, refusal(&error)),
        }
        if !silent {
            let out = self.wire.output();
            for range in uids {
                for seq in view.first_at_or_after(range.first)..view.first_at_or_after(range.last.saturating_add(1)) {
                    write_flags(out, view, seq, tagged.uid);
                }
            }
        }
        self.tell(command::tells_expunge(tagged));
        self.answer(tagged.tag, "OK STORE completed");
    }
}
