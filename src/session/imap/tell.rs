//! Untagged responses about the selected mailbox, and what the store's errors are called.
//!
//! Only here is a view advanced: what it tells is written in its order, flags with the numbers that hold then.
//! RFC 3501 §7.3, §7.4; RFC 5530 (response codes).

use super::{Dialogue, State};
use crate::proto::imap::respond;
use crate::session::imap::flags;
use crate::store::{Error, Update, View};

impl Dialogue {
    /// Tells what changed in the selected mailbox; EXPUNGE only where it is allowed now.
    pub(super) fn tell(&mut self, expunge: bool) {
        let State::Selected(_, view) = &mut self.state else { return };
        if !view.changed() {
            return;
        }
        let mut updates = Vec::new();
        view.advance(expunge, &mut |update| updates.push(update));
        let out = self.wire.output();
        for update in updates {
            match update {
                Update::Expunged { seq, .. } => numbered(out, seq, "EXPUNGE"),
                Update::Exists { count, recent } => {
                    numbered(out, count, "EXISTS");
                    numbered(out, recent, "RECENT");
                }
                Update::Flags { seq, .. } => write_flags(out, view, seq, false),
            }
        }
    }
}

fn numbered(out: &mut Vec<u8>, number: u32, what: &str) {
    out.extend_from_slice(b"* ");
    respond::number(out, u64::from(number));
    out.push(b' ');
    out.extend_from_slice(what.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `* seq FETCH (FLAGS (…))`, with the UID in front of them where it was asked by UID.
pub(super) fn write_flags(out: &mut Vec<u8>, view: &View, seq: u32, uid: bool) {
    let Some(entry) = view.entry(seq) else { return };
    out.extend_from_slice(b"* ");
    respond::number(out, u64::from(seq));
    out.extend_from_slice(b" FETCH (");
    if uid {
        out.extend_from_slice(b"UID ");
        respond::number(out, u64::from(entry.uid.0));
        out.push(b' ');
    }
    out.extend_from_slice(b"FLAGS ");
    flag_list(out, view, &entry);
    out.extend_from_slice(b")\r\n");
}

/// `(\Seen keyword …)`
pub(super) fn flag_list(out: &mut Vec<u8>, view: &View, entry: &crate::store::Entry) {
    respond::flags(out, flags::from_store(entry.flags, entry.recent), []);
    if entry.keywords == 0 {
        return;
    }
    // Behind the system flags, before the parenthesis.
    out.pop();
    let mut first = out.ends_with(b"(");
    view.mailbox().for_each_keyword(entry.keywords, |keyword| {
        if !std::mem::take(&mut first) {
            out.push(b' ');
        }
        out.extend_from_slice(keyword.as_bytes());
    });
    out.push(b')');
}

/// The tagged NO for an error of the store, which is logged.
pub(super) fn refusal(error: &Error) -> &'static str {
    tracing::warn!(%error, "the store refused");
    match error {
        Error::Corrupt { .. } => "NO [CORRUPTION] The mail file is damaged; the administrator was told",
        Error::Full => "NO [OVERQUOTA] No room",
        Error::TooManyKeywords => "NO [LIMIT] Too many keywords in this mailbox",
        Error::NoUids => "NO [LIMIT] The mailbox has no UIDs left",
        Error::Gone => "NO [NONEXISTENT] The mailbox was deleted",
        Error::TooMany => "NO [LIMIT] Too many messages at once",
        Error::Busy | Error::Io { .. } => "NO [UNAVAILABLE] The mail store can't do that now, try again later",
    }
}
