//! Flags between the protocol's words and the store's bits.
//!
//! Two types on purpose: the wire's order and names may change with an extension, the store's bits are on disk.
//! `\Recent` exists only towards the client.

use crate::proto::imap::{self, FlagList};
use crate::store::Flags;

const PAIRS: [(imap::Flags, Flags); 5] = [
    (imap::Flags::ANSWERED, Flags::ANSWERED),
    (imap::Flags::FLAGGED, Flags::FLAGGED),
    (imap::Flags::DELETED, Flags::DELETED),
    (imap::Flags::SEEN, Flags::SEEN),
    (imap::Flags::DRAFT, Flags::DRAFT),
];

/// To the store; `\Recent` is not kept.
pub(super) fn to_store(flags: imap::Flags) -> Flags {
    PAIRS.iter().filter(|(ours, _)| flags.contains(*ours)).fold(Flags::default(), |all, (_, flag)| all.union(*flag))
}

/// From the store.
pub(super) fn from_store(flags: Flags, recent: bool) -> imap::Flags {
    let all = PAIRS.iter().filter(|(_, theirs)| flags.contains(*theirs));
    let all = all.fold(imap::Flags::empty(), |all, (flag, _)| all.with(*flag));
    if recent { all.with(imap::Flags::RECENT) } else { all }
}

/// The keywords of a list, owned.
pub(super) fn keywords(list: &FlagList<'_>) -> Vec<String> {
    list.keywords.iter().map(|keyword| (*keyword).to_owned()).collect()
}
