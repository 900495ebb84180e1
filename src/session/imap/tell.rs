//! Untagged responses about the selected mailbox, and what the store's errors are called.
//!
//! Only here is a view advanced: what it tells is written in its order, flags with the numbers that hold then.
//! RFC 3501 §7.3, §7.4; RFC 5530 (response codes).

use std::io;

use super::{Dialogue, State, command};
use crate::proto::imap::{Tagged, respond};
use crate::session::imap::flags;
use crate::session::warn_of;
use crate::store::{Error, View};

impl Dialogue {
    /// Tells what changed in the selected mailbox; EXPUNGE only where it is allowed now.
    pub(super) async fn tell(&mut self, expunge: bool) -> io::Result<()> {
        self.tell_changes(expunge, false).await
    }

    /// The same while a command is answered. RFC 3501 §6.4.8: with the UID in every FETCH response of a UID command.
    pub(super) async fn tell_for(&mut self, tagged: &Tagged<'_>) -> io::Result<()> {
        self.tell_changes(command::tells_expunge(tagged), tagged.uid).await
    }

    /// Boxed where there is something to tell, so that a waiting session has no room for it.
    async fn tell_changes(&mut self, expunge: bool, uid: bool) -> io::Result<()> {
        if self.has_news() { Box::pin(self.tell_news(expunge, uid)).await } else { Ok(()) }
    }

    /// Whether there is anything to tell of the selected mailbox.
    pub(super) fn has_news(&self) -> bool {
        matches!(&self.state, State::Selected(_, view) if view.changed())
    }

    /// However much changed, others run meanwhile, and the output is no larger than the client takes it.
    async fn tell_news(&mut self, expunge: bool, uid: bool) -> io::Result<()> {
        self.tell_keywords();
        let State::Selected(_, view) = &mut self.state else { return Ok(()) };
        let news = view.advance(expunge);
        for seq in news.expunged {
            numbered(self.wire.output(), seq, "EXPUNGE");
            self.wire.breathe().await?;
        }
        if let Some((count, recent)) = news.exists {
            numbered(self.wire.output(), count, "EXISTS");
            numbered(self.wire.output(), recent, "RECENT");
        }
        loop {
            let State::Selected(_, view) = &mut self.state else { return Ok(()) };
            let Some(numbers) = view.next_flags() else { return Ok(()) };
            for seq in numbers {
                self.tell_flags(seq, uid).await?;
            }
            self.wire.breathe().await?;
        }
    }

    /// Tells the flags of a message, behind the names of keywords that it may have.
    pub(super) async fn tell_flags(&mut self, seq: u32, uid: bool) -> io::Result<()> {
        self.tell_keywords();
        let State::Selected(_, view) = &self.state else { return Ok(()) };
        write_flags(self.wire.output(), view, seq, uid);
        self.wire.breathe().await
    }

    /// Tells the flags of the mailbox again where it has keywords that the client doesn't know. RFC 3501 §7.2.6.
    pub(super) fn tell_keywords(&mut self) {
        let State::Selected(_, view) = &self.state else { return };
        let count = view.mailbox().keyword_count();
        if std::mem::replace(&mut self.keywords_told, count) != count {
            flags::write_known(self.wire.output(), view);
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
fn write_flags(out: &mut Vec<u8>, view: &View, seq: u32, uid: bool) {
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

/// The tagged NO for an error of the store.
pub(super) fn refusal(error: &Error) -> &'static str {
    warn_of(error);
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
