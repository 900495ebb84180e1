//! FETCH and UID FETCH (RFC 3501 §6.4.5), bounded: output is flushed as it fills, and a large body is lent to the kernel
//! piece by piece rather than copied.
//!
//! Invariants: messages are answered in mailbox order, UID first in a UID FETCH; nothing is allocated unless `\Seen` is to
//! be set or a block of the map was never looked at; the view's numbers hold throughout, because it isn't advanced here.

use std::io;
use std::ops::Range as Octets;

use super::section::{self, for_each_field};
use super::store::uid_ranges;
use super::tell::{flag_list, refusal};
use super::{Dialogue, State, command};
use crate::limits;
use crate::mime;
use crate::net::{Arena, Wire};
use crate::proto::imap::{FetchItem, Range, Section, SectionText, SequenceSet, Tagged, respond};
use crate::store::{Entry, Error, FlagOp, Flags, Message, View};

/// Why a FETCH ended before its end.
enum Failed {
    Connection(io::Error),
    Store(Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Connection(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::Store(error)
    }
}

impl Dialogue {
    pub(super) async fn fetch(
        &mut self,
        tagged: &Tagged<'_>,
        set: SequenceSet<'_>,
        items: &[FetchItem<'_>],
        arena: &Arena,
    ) -> io::Result<()> {
        if let Err(text) = command::allowed(&tagged.command, &self.state) {
            self.answer(tagged.tag, text);
            return Ok(());
        }
        let State::Selected(_, view) = &self.state else { return Ok(()) };
        let Some(uids) = uid_ranges(view, set, tagged.uid, arena) else {
            self.answer(tagged.tag, "BAD No such message number");
            return Ok(());
        };
        let fetched = match self.fetch_all(uids, items, tagged.uid).await {
            Ok(()) => Ok(()),
            Err(Failed::Connection(error)) => return Err(error),
            Err(Failed::Store(error)) => Err(error),
        };
        let seen = match fetched {
            Ok(()) => self.set_seen(uids, items, arena).await,
            failed => failed,
        };
        self.tell(command::tells_expunge(tagged));
        match seen {
            Ok(()) => self.answer(tagged.tag, "OK FETCH completed"),
            Err(error) => self.answer(tagged.tag, refusal(&error)),
        }
        Ok(())
    }

    async fn fetch_all(&mut self, uids: &[Range], items: &[FetchItem<'_>], uid: bool) -> Result<(), Failed> {
        for range in uids {
            let State::Selected(_, view) = &self.state else { return Ok(()) };
            let sequence = view.first_at_or_after(range.first)..view.first_at_or_after(range.last.saturating_add(1));
            for seq in sequence {
                let State::Selected(_, view) = &self.state else { return Ok(()) };
                let Some(entry) = view.entry(seq) else { break };
                self.wire.output().extend_from_slice(b"* ");
                respond::number(self.wire.output(), u64::from(seq));
                self.wire.output().extend_from_slice(b" FETCH (");
                if uid {
                    self.wire.output().extend_from_slice(b"UID ");
                    respond::number(self.wire.output(), u64::from(entry.uid.0));
                }
                self.fetch_items((seq, entry), items, uid).await?;
                self.wire.output().extend_from_slice(b")\r\n");
                if self.wire.pending_bytes() >= limits::OUTPUT_BYTES_FULL {
                    self.wire.flush().await?;
                }
            }
        }
        Ok(())
    }

    /// The items of one message, each behind a space but the first.
    async fn fetch_items(&mut self, of: (u32, Entry), items: &[FetchItem<'_>], uid: bool) -> Result<(), Failed> {
        let (seq, entry) = of;
        let mut message = None;
        let mut first = !uid;
        for item in items {
            if uid && matches!(item, FetchItem::Uid) {
                continue;
            }
            if !std::mem::take(&mut first) {
                self.wire.output().push(b' ');
            }
            let State::Selected(_, view) = &self.state else { return Ok(()) };
            if write_entry(self.wire.output(), view, &entry, item) {
                continue;
            }
            let message = match &message {
                Some(message) => message,
                None => {
                    if let Some(cold) = view.cold(seq) {
                        // A block of the map that nobody looked at: read and checked where it may block.
                        let answer = self.context.pool.ask(&self.context.post, move || cold.verify());
                        let warm = answer.await.unwrap_or(Err(Error::Busy))?;
                        if let State::Selected(_, view) = &self.state {
                            view.warmed(seq, &warm);
                        }
                    }
                    let State::Selected(_, view) = &self.state else { return Ok(()) };
                    let Some(found) = view.message(seq)? else { return Ok(()) };
                    message.insert(found)
                }
            };
            write_item(&mut self.wire, message, item).await?;
        }
        Ok(())
    }

    /// Sets `\Seen` where an item without PEEK was fetched, and the mailbox may be changed.
    async fn set_seen(&mut self, uids: &[Range], items: &[FetchItem<'_>], arena: &Arena) -> Result<(), Error> {
        let State::Selected(_, view) = &self.state else { return Ok(()) };
        if view.is_read_only() || !items.iter().any(FetchItem::sets_seen) {
            return Ok(());
        }
        let mut unseen = bumpalo::collections::Vec::new_in(arena);
        for range in uids {
            for seq in view.first_at_or_after(range.first)..view.first_at_or_after(range.last.saturating_add(1)) {
                if let Some(entry) = view.entry(seq).filter(|entry| !entry.flags.contains(Flags::SEEN)) {
                    unseen.push(entry.uid.0..=entry.uid.0);
                }
            }
        }
        if unseen.is_empty() {
            return Ok(());
        }
        // The view tells of it: it is a change like another.
        view.change_flags(&unseen, FlagOp::Add, Flags::SEEN, &[]).await.map(drop)
    }
}

/// Items that need no message. False: it is another.
fn write_entry(out: &mut Vec<u8>, view: &View, entry: &Entry, item: &FetchItem<'_>) -> bool {
    match item {
        FetchItem::Flags => {
            out.extend_from_slice(b"FLAGS ");
            flag_list(out, view, entry);
        }
        FetchItem::Uid => {
            out.extend_from_slice(b"UID ");
            respond::number(out, u64::from(entry.uid.0));
        }
        FetchItem::InternalDate => {
            out.extend_from_slice(b"INTERNALDATE ");
            respond::date_time(out, entry.internal_date.seconds, entry.internal_date.offset_minutes);
        }
        FetchItem::Rfc822Size => {
            out.extend_from_slice(b"RFC822.SIZE ");
            respond::number(out, u64::from(entry.size));
        }
        _ => return false,
    }
    true
}

async fn write_item(wire: &mut Wire, message: &Message, item: &FetchItem<'_>) -> Result<(), Failed> {
    let whole = |text| Section { peek: true, part: &[], text, partial: None };
    let out = wire.output();
    let section = match item {
        FetchItem::Envelope => {
            out.extend_from_slice(b"ENVELOPE ");
            out.extend_from_slice(message.envelope());
            return Ok(());
        }
        FetchItem::BodyStructure => {
            out.extend_from_slice(b"BODYSTRUCTURE ");
            out.extend_from_slice(message.bodystructure());
            return Ok(());
        }
        FetchItem::Body => {
            let parts: Vec<mime::Part> = message.parts().collect();
            out.extend_from_slice(b"BODY ");
            out.extend_from_slice(&mime::body_of(message.raw()?, &parts));
            return Ok(());
        }
        FetchItem::Rfc822 { .. } => {
            out.extend_from_slice(b"RFC822");
            whole(SectionText::All)
        }
        FetchItem::Rfc822Header => {
            out.extend_from_slice(b"RFC822.HEADER");
            whole(SectionText::Header)
        }
        FetchItem::Rfc822Text => {
            out.extend_from_slice(b"RFC822.TEXT");
            whole(SectionText::Text)
        }
        FetchItem::Section(section) => {
            respond::section(out, section);
            *section
        }
        FetchItem::Flags | FetchItem::Uid | FetchItem::InternalDate | FetchItem::Rfc822Size => return Ok(()),
    };
    out.push(b' ');
    write_section(wire, message, &section).await
}

async fn write_section(wire: &mut Wire, message: &Message, section: &Section<'_>) -> Result<(), Failed> {
    let raw = message.raw()?;
    match section::find(message, raw, section) {
        section::Octets::Absent => wire.output().extend_from_slice(b"NIL"),
        section::Octets::Fields(head) => {
            let mut size = 0;
            for_each_field(head, section, |slice| size += slice.len());
            let out = wire.output();
            respond::literal_head(out, size as u64);
            for_each_field(head, section, |slice| out.extend_from_slice(slice));
        }
        section::Octets::Range(range) => {
            respond::literal_head(wire.output(), range.len() as u64);
            if range.len() < limits::LEND_BYTES_MIN {
                wire.output().extend_from_slice(&raw[range]);
            } else {
                lend(wire, message, range).await?;
            }
        }
    }
    Ok(())
}

/// Lends a range of the raw message in pieces, flushed one by one, so that a reader who is slow holds one piece of output.
async fn lend(wire: &mut Wire, message: &Message, range: Octets<usize>) -> Result<(), Failed> {
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min(at + limits::SEND_BYTES);
        let (source, offset) = message.lend_raw()?;
        wire.parcel().lend(source, offset + at..offset + end);
        at = end;
        if wire.pending_bytes() >= limits::SEND_BYTES {
            wire.flush().await?;
        }
    }
    Ok(())
}
