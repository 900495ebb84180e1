//! FETCH and UID FETCH (RFC 3501 §6.4.5), bounded: output is flushed as it fills, and a large body is lent to the kernel
//! piece by piece rather than copied.
//!
//! Invariants: messages are answered in mailbox order, UID first in a UID FETCH; nothing is allocated unless BODY is asked
//! for, `\Seen` is to be set or a block of the map was never looked at; the view's numbers hold throughout, because it isn't
//! advanced here. What was written of a message that the disk turns out not to give is taken back, and where some of it is
//! with the client, the connection ends.
//! [`Dialogue::fill`] writes as far as it may and says why it stopped, so that a session that waits for a slow reader holds
//! a cursor and nothing else.

use std::io;
use std::ops::{Range as Octets, RangeInclusive};

use super::section::{self, for_each_field};
use super::store::uid_ranges;
use super::tell::{flag_list, refusal};
use super::{Dialogue, State, command};
use crate::io::Mark;
use crate::limits;
use crate::mime;
use crate::net::{Arena, Wire};
use crate::proto::imap::{Command, FetchItem, Range, Section, SectionText, Tagged, respond};
use crate::session::warn_of;
use crate::store::{ColdBlocks, Entry, Error, FlagOp, Flags, Message, Reading, Store, View};

/// What a FETCH is of.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    uids: &'a [Range],
    items: &'a [FetchItem<'a>],
    uid: bool,
    /// Whether an item is not known from the columns alone.
    needs_message: bool,
}

/// How far a FETCH has come.
#[derive(Default)]
struct Cursor {
    /// The range, and the message number in it; 0: the range is not begun.
    range: usize,
    seq: u32,
    /// The item of the message; its first thing is the `* n FETCH (`.
    item: usize,
    begun: bool,
    /// Octets of the item's body that were lent.
    lent: usize,
    /// The message, from its first word to its last: what was announced of it can be kept.
    message: Option<Message>,
    /// Where its first word is, as long as all that was written of it can be taken back.
    start: Option<Mark>,
    /// Why messages were left out: the first of the reasons.
    failed: Option<Box<Error>>,
}

impl Cursor {
    /// Leaves a message out.
    fn skip(&mut self, why: Error) {
        self.failed.get_or_insert(Box::new(why));
        self.next();
    }

    /// On to the next message.
    fn next(&mut self) {
        (self.seq, self.item, self.begun, self.lent) = (self.seq + 1, 0, false, 0);
        self.message = None;
    }

    /// The message turns out not to be readable: takes back what was written of it, and leaves it out.
    fn take_back(&mut self, wire: &mut Wire, why: Error) -> Option<Stop> {
        let Some(start) = self.start.take() else { return Some(Stop::Broken(Box::new(why))) };
        wire.rewind(start);
        self.skip(why);
        None
    }
}

/// Why [`Dialogue::fill`] stopped.
enum Stop {
    Done,
    /// Enough output to flush.
    Full,
    /// An item took time and little room: others may run before the next.
    Rest,
    /// The message of this number has blocks that must be read in first.
    Cold(u32, Box<ColdBlocks>),
    /// The client has some of a message that can't be read to its end.
    Broken(Box<Error>),
}

impl Dialogue {
    /// What a FETCH is of, or that it was answered.
    fn wanted<'a>(&mut self, tagged: &'a Tagged<'a>, arena: &'a Arena) -> Option<Wanted<'a>> {
        let Command::Fetch { set, items } = &tagged.command else { return None };
        if let Err(text) = command::allowed(&tagged.command, &self.state) {
            self.answer(tagged.tag, text);
            return None;
        }
        let State::Selected(_, view) = &self.state else { return None };
        match uid_ranges(view, *set, command::uses_numbers(tagged), arena) {
            Some(uids) => {
                let needs_message = items.iter().any(|item| !is_entry_item(item));
                Some(Wanted { uids, items, uid: tagged.uid, needs_message })
            }
            None => {
                self.answer(tagged.tag, "BAD No such message number");
                None
            }
        }
    }

    pub(super) async fn fetch(&mut self, tagged: &Tagged<'_>, arena: &Arena) -> io::Result<()> {
        let Some(wanted) = self.wanted(tagged, arena) else { return Ok(()) };
        let mut cursor = Cursor::default();
        loop {
            match self.fill(&wanted, &mut cursor) {
                Stop::Done => break,
                Stop::Full => {
                    cursor.start = None;
                    self.wire.flush().await?;
                    self.wire.sent().await?;
                }
                Stop::Rest => {
                    if self.wire.is_full() {
                        cursor.start = None;
                    }
                    self.wire.breathe().await?;
                }
                Stop::Cold(seq, cold) => Box::pin(self.warm(seq, cold, &mut cursor)).await,
                Stop::Broken(error) => return Err(Box::pin(broken(&self.context.store, &error)).await),
            }
        }
        if let Some(error) = &cursor.failed {
            Box::pin(self.context.store.put_aside(error)).await;
        }
        if cursor.failed.is_none() && self.must_set_seen(wanted.items) {
            Box::pin(self.set_seen(wanted.uids, &mut cursor)).await;
        }
        self.conclude(tagged, cursor.failed.map_or(Ok(()), |error| Err(refusal(&error)))).await
    }

    async fn warm(&mut self, seq: u32, cold: Box<ColdBlocks>, cursor: &mut Cursor) {
        match (self.context.verify(*cold).await, &self.state) {
            (Ok(warm), State::Selected(_, view)) => view.warmed(seq, &warm),
            (Err(error), _) => cursor.skip(error),
            (Ok(_), _) => {}
        }
    }

    /// Writes from the cursor on until there is enough.
    fn fill(&mut self, wanted: &Wanted<'_>, cursor: &mut Cursor) -> Stop {
        if !cursor.begun {
            // A keyword is named before a message has it.
            self.tell_keywords();
        }
        let State::Selected(_, view) = &self.state else { return Stop::Done };
        let wire = &mut self.wire;
        while let Some(range) = wanted.uids.get(cursor.range) {
            if cursor.seq == 0 {
                cursor.seq = view.first_at_or_after(range.first);
            }
            let stop = view.entries(cursor.seq, |entries| {
                let mut within = entries.take_while(|(_, entry)| entry.uid.0 <= range.last);
                within.find_map(|(_, entry)| fill_message(wire, (view, &entry), wanted, cursor))
            });
            if let Some(stop) = stop {
                return stop;
            }
            (cursor.range, cursor.seq) = (cursor.range + 1, 0);
        }
        Stop::Done
    }

    fn must_set_seen(&self, items: &[FetchItem<'_>]) -> bool {
        let State::Selected(_, view) = &self.state else { return false };
        !view.is_read_only() && items.iter().any(FetchItem::sets_seen)
    }

    /// Sets `\Seen` where an item without PEEK was fetched.
    async fn set_seen(&mut self, uids: &[Range], cursor: &mut Cursor) {
        let State::Selected(_, view) = &self.state else { return };
        let mut unseen: Vec<RangeInclusive<u32>> = Vec::new();
        for range in uids {
            for seq in view.first_at_or_after(range.first)..view.first_at_or_after(range.last.saturating_add(1)) {
                let Some(entry) = view.entry(seq).filter(|entry| !entry.flags.contains(Flags::SEEN)) else { continue };
                match unseen.last_mut() {
                    // No message of the view lies between the two.
                    Some(run) if seq > 1 && view.uid_of(seq - 1) == Some(*run.end()) => {
                        *run = *run.start()..=entry.uid.0;
                    }
                    _ => unseen.push(entry.uid.0..=entry.uid.0),
                }
                self.context.ring.breathe().await;
            }
        }
        // The view tells of it: it is a change like another.
        if !unseen.is_empty()
            && let Err(error) = view.change_flags(&unseen, FlagOp::Add, Flags::SEEN, &[]).await
        {
            cursor.failed = Some(Box::new(error));
        }
    }
}

/// Ends the connection of a client that has some of a message.
async fn broken(store: &Store, error: &Error) -> io::Error {
    warn_of(error);
    store.put_aside(error).await;
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// `* seq FETCH (`, with the UID where it was asked by UID.
fn begin(out: &mut Vec<u8>, seq: u32, uid: u32, by_uid: bool) {
    out.extend_from_slice(b"* ");
    respond::number(out, u64::from(seq));
    out.extend_from_slice(b" FETCH (");
    if by_uid {
        out.extend_from_slice(b"UID ");
        respond::number(out, u64::from(uid));
    }
}

/// Why a message can't be answered for now, or at all.
enum Unpinned {
    Cold(Box<ColdBlocks>),
    Failed(Error),
    Gone,
}

/// A message of which all that the items need can be read: whatever may fail is done before a word of the answer is written.
fn pin(view: &View, seq: u32, items: &[FetchItem<'_>]) -> Result<Message, Unpinned> {
    let warm = |reading: &Reading| view.cold(seq, reading).map_or(Ok(()), |cold| Err(Unpinned::Cold(Box::new(cold))));
    warm(&Reading::Details)?;
    let message = view.message(seq).map_err(Unpinned::Failed)?.ok_or(Unpinned::Gone)?;
    for range in items.iter().map(|item| octets_of(&message, item)).filter(|range| !range.is_empty()) {
        warm(&Reading::Octets(range.clone()))?;
        message.octets(range).map_err(Unpinned::Failed)?;
    }
    Ok(message)
}

/// The octets of a message that an item needs.
fn octets_of(message: &Message, item: &FetchItem<'_>) -> Octets<usize> {
    let section = match item {
        FetchItem::Body => return 0..message.size() as usize,
        item => named_section(item),
    };
    match section.map(|(_, section)| section::find(message, &section)) {
        Some(section::Octets::Range(range) | section::Octets::Fields(range)) => range,
        Some(section::Octets::Absent) | None => 0..0,
    }
}

/// The section that an item means, and the item's name where it is not named by the section itself.
fn named_section<'a>(item: &FetchItem<'a>) -> Option<(&'static [u8], Section<'a>)> {
    let whole = |text| Section { peek: true, part: &[], text, partial: None };
    Some(match item {
        FetchItem::Rfc822 { .. } => (b"RFC822", whole(SectionText::All)),
        FetchItem::Rfc822Header => (b"RFC822.HEADER", whole(SectionText::Header)),
        FetchItem::Rfc822Text => (b"RFC822.TEXT", whole(SectionText::Text)),
        FetchItem::Section(section) => (b"", *section),
        _ => return None,
    })
}

/// Octets of a message that [`pin`] made.
fn octets(message: &Message, range: Octets<usize>) -> &[u8] {
    message.octets(range).unwrap_or_default()
}

/// Writes the message that the cursor is at, from its item on; then the cursor is at the next one.
fn fill_message(wire: &mut Wire, of: (&View, &Entry), wanted: &Wanted<'_>, cursor: &mut Cursor) -> Option<Stop> {
    let (view, entry) = of;
    if !cursor.begun {
        if wanted.needs_message {
            match pin(view, cursor.seq, wanted.items) {
                Ok(found) => cursor.message = Some(found),
                Err(Unpinned::Cold(cold)) => return Some(Stop::Cold(cursor.seq, cold)),
                Err(Unpinned::Failed(error)) => {
                    cursor.skip(error);
                    return None;
                }
                Err(Unpinned::Gone) => {
                    cursor.next();
                    return None;
                }
            }
        }
        cursor.begun = true;
        cursor.start = wanted.needs_message.then(|| wire.mark());
        begin(wire.output(), cursor.seq, entry.uid.0, wanted.uid);
    }
    let stop = fill_items(wire, of, wanted, cursor);
    // Flags, sizes and dates are in memory.
    if wanted.needs_message
        && let Some(why) = cursor.message.as_ref().and_then(|message| message.still_whole().err())
    {
        return cursor.take_back(wire, why);
    }
    if stop.is_none() {
        wire.output().extend_from_slice(b")\r\n");
        cursor.next();
        return wire.is_full().then_some(Stop::Full);
    }
    stop
}

/// The items of one message from the cursor on, each behind a space but the first.
fn fill_items(wire: &mut Wire, of: (&View, &Entry), wanted: &Wanted<'_>, cursor: &mut Cursor) -> Option<Stop> {
    let (view, entry) = of;
    while let Some(item) = wanted.items.get(cursor.item) {
        if wanted.uid && matches!(item, FetchItem::Uid) {
            cursor.item += 1;
            continue;
        }
        if cursor.lent == 0 && (wanted.uid || cursor.item > 0) {
            wire.output().push(b' ');
        }
        match &cursor.message {
            Some(message) if !is_entry_item(item) => {
                cursor.lent = write_item(wire, message, item, cursor.lent);
                if cursor.lent > 0 {
                    return Some(Stop::Full);
                }
            }
            _ => write_entry(wire.output(), view, entry, item),
        }
        cursor.item += 1;
        if wire.is_full() {
            return Some(Stop::Full);
        }
        if reads_headers(item) {
            return Some(Stop::Rest);
        }
    }
    None
}

/// Items that go through headers field by field, which may be many.
fn reads_headers(item: &FetchItem<'_>) -> bool {
    let FetchItem::Section(section) = item else { return matches!(item, FetchItem::Body) };
    matches!(section.text, SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_))
}

/// Items that need no message.
fn is_entry_item(item: &FetchItem<'_>) -> bool {
    matches!(item, FetchItem::Flags | FetchItem::Uid | FetchItem::InternalDate | FetchItem::Rfc822Size)
}

fn write_entry(out: &mut Vec<u8>, view: &View, entry: &Entry, item: &FetchItem<'_>) {
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
        _ => {}
    }
}

/// Writes an item of a message, of whose body `lent` octets were lent already. More than 0: go on from there, after a flush.
fn write_item(wire: &mut Wire, message: &Message, item: &FetchItem<'_>, lent: usize) -> usize {
    match item {
        FetchItem::Envelope => return write_ready(wire, b"ENVELOPE ", message.envelope()),
        FetchItem::BodyStructure => return write_ready(wire, b"BODYSTRUCTURE ", message.bodystructure()),
        FetchItem::Body => {
            let parts: Vec<mime::Part> = message.parts().collect();
            let raw = octets(message, 0..message.size() as usize);
            return write_ready(wire, b"BODY ", &mime::body_of(raw, &parts));
        }
        _ => {}
    }
    let Some((name, section)) = named_section(item) else { return 0 };
    if lent == 0 {
        wire.output().extend_from_slice(name);
        if name.is_empty() {
            respond::section(wire.output(), &section);
        }
        wire.output().push(b' ');
    }
    write_section(wire, message, &section, lent)
}

fn write_ready(wire: &mut Wire, name: &[u8], value: &[u8]) -> usize {
    wire.output().extend_from_slice(name);
    wire.output().extend_from_slice(value);
    0
}

fn write_section(wire: &mut Wire, message: &Message, section: &Section<'_>, lent: usize) -> usize {
    match section::find(message, section) {
        section::Octets::Absent => wire.output().extend_from_slice(b"NIL"),
        section::Octets::Fields(range) => {
            let head = octets(message, range);
            let mut size = 0;
            for_each_field(head, section, |slice| size += slice.len());
            let out = wire.output();
            respond::literal_head(out, size as u64);
            for_each_field(head, section, |slice| out.extend_from_slice(slice));
        }
        section::Octets::Range(range) => {
            if lent == 0 {
                respond::literal_head(wire.output(), range.len() as u64);
            }
            if range.len() >= limits::LEND_BYTES_MIN {
                return lend(wire, message, range, lent);
            }
            wire.output().extend_from_slice(octets(message, range));
        }
    }
    0
}

/// Lends the next piece of a range of the raw message; the answer is how much of it is lent while there is more.
fn lend(wire: &mut Wire, message: &Message, range: Octets<usize>, lent: usize) -> usize {
    let start = range.start + lent;
    let end = range.end.min(start + limits::SEND_BYTES);
    if start >= end {
        return 0;
    }
    let Ok((source, lent)) = message.lend(start..end) else { return 0 };
    wire.parcel().lend(source, lent);
    if end < range.end { end - range.start } else { 0 }
}
