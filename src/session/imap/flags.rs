//! Flags between the protocol's words and the store's bits.
//!
//! Two types on purpose: the wire's order and names may change with an extension, the store's bits are on disk.
//! `\Recent` exists only towards the client.

use crate::limits;
use crate::proto::imap::{self, FlagList, respond};
use crate::store::{Flags, View};

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

/// FLAGS and PERMANENTFLAGS of a mailbox. RFC 3501 §7.1: `\*` stands for keywords that may yet be made.
pub(super) fn write_known(out: &mut Vec<u8>, view: &View) {
    let keywords = view.mailbox().keywords();
    let names = || keywords.iter().map(|keyword| &**keyword);
    out.extend_from_slice(b"* FLAGS ");
    respond::flags(out, from_store(Flags::ALL, false), names());
    out.extend_from_slice(b"\r\n* OK [PERMANENTFLAGS ");
    if view.is_read_only() {
        out.extend_from_slice(b"()");
    } else {
        let more = (keywords.len() < limits::KEYWORDS_MAX).then_some("\\*");
        respond::flags(out, from_store(Flags::ALL, false), names().chain(more));
    }
    out.extend_from_slice(b"] Kept flags\r\n");
}
