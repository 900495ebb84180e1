//! One message as it is read: in memory while it is only in the log, in a mapped file once it is sealed.
//!
//! Invariants: a [`Message`] pins what it reads (the memory or the map) and so stays readable when the message is
//! expunged, merged into another file, or the file is removed; a body file that it has not looked into yet is there as long
//! as the view that it came from was not told that the message is gone; making one and reading it allocate nothing, but
//! where a body file is opened for it. Record and details are checked when the message is made, raw bytes and text block by
//! block when they are first read. What the disk can't give any more reads as zeros or as nothing: who has read something asks
//! [`Message::still_whole`] before anybody gets to see it.

use std::cell::OnceCell;
use std::ops::{Deref, Range};
use std::rc::Rc;
use std::sync::Arc;

use super::body_file::{BodyFiles, ColdBlocks, Reading, WarmBlocks};
use super::map::{Encoded, Sealed};
use super::map_archive::Kept;
use super::record::{ArchivedDetails, ArchivedRecord, Date, DeliveryEnvelope, Details, Record};
use super::sealed::{NAME_BYTES, Piece};
use super::spool::Body;
use super::types::{Error, Hash, Uid};
use crate::io::Lend;
use crate::limits::{COPIED_MESSAGE_BYTES, TEXT_BESIDE_BYTES_MAX};
use crate::mime;

/// Folded text of a message in memory.
#[derive(Debug)]
pub(super) enum Text {
    Shared(Arc<mime::Structure>),
    Owned(Box<str>),
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Shared(structure) => &structure.text,
            Text::Owned(text) => text,
        }
    }
}

/// Where the content of an unsealed message is.
#[derive(Debug)]
pub(super) enum Content {
    Inline {
        details: Rc<Encoded<Details>>,
        text: Text,
        body: Body,
    },
    /// A body file.
    Segment(Rc<Sealed>),
}

/// A message that is not sealed yet.
#[derive(Debug)]
pub(super) struct Fresh {
    record: Encoded<Record>,
    content: Content,
}

impl Fresh {
    pub(super) fn inline(
        record: Encoded<Record>,
        details: impl Into<Rc<Encoded<Details>>>,
        text: Text,
        body: Body,
    ) -> Fresh {
        Fresh { record, content: Content::Inline { details: details.into(), text, body } }
    }

    /// A message whose content is in the body file `segment`.
    pub(super) fn in_segment(record: Encoded<Record>, segment: Rc<Sealed>) -> Result<Fresh, Error> {
        segment.check_message(0)?;
        Ok(Fresh { record, content: Content::Segment(segment) })
    }

    pub(super) fn record(&self) -> &Encoded<Record> {
        &self.record
    }

    pub(super) fn content(&self) -> &Content {
        &self.content
    }

    /// The body file that it is in.
    pub(super) fn segment(&self) -> Option<&Rc<Sealed>> {
        match &self.content {
            Content::Segment(sealed) => Some(sealed),
            Content::Inline { .. } => None,
        }
    }

    /// What it takes in a log record.
    pub(super) fn inline_bytes(&self) -> usize {
        let content = match &self.content {
            Content::Inline { details, text, body } => details.bytes().len() + text.len() + body.len(),
            Content::Segment(_) => 0,
        };
        self.record.bytes().len() + content
    }

    /// What it takes in an account's file, about.
    pub(super) fn file_bytes(&self) -> u64 {
        let beside = match &self.content {
            Content::Inline { details, text, body } => details.bytes().len() + text.len() + body.len(),
            Content::Segment(sealed) => {
                let text = sealed.piece_bytes(0, Piece::Text) as usize;
                let text = if text > TEXT_BESIDE_BYTES_MAX { 0 } else { text };
                sealed.piece_bytes(0, Piece::Details) as usize + text + NAME_BYTES as usize
            }
        };
        (self.record.bytes().len() + beside) as u64
    }

    /// A piece as it goes into an account's file; `None`: it is in the body file, and stays there.
    pub(super) fn piece(&self, piece: Piece) -> Result<Option<&[u8]>, Error> {
        match (&self.content, piece) {
            (_, Piece::Record) => Ok(Some(self.record.bytes())),
            (Content::Inline { details, .. }, Piece::Details) => Ok(Some(details.bytes())),
            (Content::Inline { text, .. }, Piece::Text) => Ok(Some(text.as_bytes())),
            (Content::Inline { .. }, Piece::Name) => Ok(Some(&[])),
            (Content::Inline { body, .. }, Piece::Raw) => Ok(Some(body)),
            (Content::Segment(sealed), Piece::Details) => sealed.piece(0, piece).map(Some),
            (Content::Segment(sealed), Piece::Text) => {
                let beside = sealed.piece_bytes(0, piece) as usize <= TEXT_BESIDE_BYTES_MAX;
                if beside { sealed.piece(0, piece).map(Some) } else { Ok(None) }
            }
            (Content::Segment(sealed), Piece::Name) => Ok(Some(sealed.name_bytes())),
            (Content::Segment(_), Piece::Raw) => Ok(None),
        }
    }

    /// The raw message where it is in memory of its own.
    pub(super) fn inline_body(&self) -> &[u8] {
        match &self.content {
            Content::Inline { body, .. } => body,
            Content::Segment(_) => &[],
        }
    }
}

/// Where a row's message is.
#[derive(Clone, Debug)]
pub(super) enum Location {
    Fresh(Rc<Fresh>),
    Sealed(Rc<Sealed>, u32),
    /// Expunged, and every view was told.
    Gone,
}

impl Location {
    /// What a copy takes in an account's file, about: what is not sealed yet is written with its original.
    pub(super) fn copy_bytes(&self) -> u64 {
        match self {
            Location::Fresh(_) => COPIED_MESSAGE_BYTES,
            Location::Sealed(sealed, row) => sealed.message_bytes(*row),
            Location::Gone => 0,
        }
    }

    /// The message of a row that a file has is expunged.
    pub(super) fn leave(&self) {
        if let Location::Sealed(file, row) = self {
            file.leave(*row);
        }
    }

    /// What of the message nobody read yet and may have to come from the disk.
    pub(super) fn cold(&self, reading: &Reading, bodies: &BodyFiles) -> Option<ColdBlocks> {
        match self {
            Location::Sealed(sealed, row) => ColdBlocks::of(sealed, *row, reading, bodies),
            Location::Fresh(fresh) => ColdBlocks::of_body(fresh.segment()?, reading),
            Location::Gone => None,
        }
    }

    /// Takes back what a helper thread verified, so that it is not verified again.
    pub(super) fn warmed(&self, warm: &WarmBlocks, bodies: &BodyFiles) {
        match self {
            Location::Sealed(sealed, _) => warm.give(sealed, bodies),
            Location::Fresh(fresh) => {
                if let Some(body) = fresh.segment() {
                    warm.give_body(body);
                }
            }
            Location::Gone => {}
        }
    }

    /// Whether nobody knows any more which body file the message is in.
    pub(super) fn has_lost_name(&self) -> bool {
        matches!(self, Location::Sealed(sealed, row) if sealed.is_apart(*row) && sealed.is_lost(*row, Piece::Name))
    }

    /// The body file that the message is in.
    pub(super) fn body_name(&self) -> Result<Option<Hash>, Error> {
        match self {
            Location::Sealed(sealed, row) => sealed.body_name(*row),
            Location::Fresh(fresh) => Ok(fresh.segment().map(|body| body.name())),
            Location::Gone => Ok(None),
        }
    }
}

/// A message that can be read as long as this is held.
#[derive(Clone, Debug)]
pub struct Message {
    pinned: Pinned,
    /// The record has that of the message it was copied from.
    uid: u32,
}

#[derive(Clone, Debug)]
enum Pinned {
    Fresh(Rc<Fresh>),
    Sealed(Rc<Sealed>, u32),
    Apart(Apart),
}

/// A message of an account's file whose content is in a body file: that is opened when it is asked for.
#[derive(Clone, Debug)]
struct Apart {
    sealed: Rc<Sealed>,
    row: u32,
    bodies: Rc<BodyFiles>,
    body: OnceCell<Rc<Sealed>>,
}

impl Apart {
    fn body(&self) -> Result<&Rc<Sealed>, Error> {
        if let Some(body) = self.body.get() {
            return Ok(body);
        }
        let name = self.sealed.body_name(self.row)?;
        let name = name.ok_or_else(|| Error::corrupt(self.sealed.path(), 0, "no body file"))?;
        let body = self.bodies.read(self.sealed.header().account, name)?;
        Ok(self.body.get_or_init(|| body))
    }
}

impl Message {
    /// Pins what is at `location`, message `uid` of its mailbox; `None` where it is gone.
    pub(super) fn at(location: &Location, uid: u32, bodies: &Rc<BodyFiles>) -> Result<Option<Message>, Error> {
        let pinned = match location {
            Location::Fresh(fresh) => Pinned::Fresh(fresh.clone()),
            Location::Sealed(sealed, row) => {
                sealed.check_message(*row)?;
                if sealed.is_apart(*row) {
                    let (sealed, bodies) = (sealed.clone(), bodies.clone());
                    Pinned::Apart(Apart { sealed, row: *row, bodies, body: OnceCell::new() })
                } else {
                    Pinned::Sealed(sealed.clone(), *row)
                }
            }
            Location::Gone => return Ok(None),
        };
        Ok(Some(Message { pinned, uid }))
    }

    fn record(&self) -> Kept<'_, ArchivedRecord> {
        match &self.pinned {
            Pinned::Fresh(fresh) => Kept::whole(&fresh.record),
            Pinned::Sealed(sealed, row) | Pinned::Apart(Apart { sealed, row, .. }) => sealed.record(*row),
        }
    }

    fn details(&self) -> Kept<'_, ArchivedDetails> {
        match &self.pinned {
            Pinned::Sealed(sealed, row) | Pinned::Apart(Apart { sealed, row, .. }) => sealed.details(*row),
            Pinned::Fresh(fresh) => match &fresh.content {
                Content::Inline { details, .. } => Kept::whole(details),
                Content::Segment(sealed) => sealed.details(0),
            },
        }
    }

    /// Whether all that was read of the message so far was the message's; an error where the disk could not give some of it.
    pub fn still_whole(&self) -> Result<(), Error> {
        match &self.pinned {
            Pinned::Sealed(sealed, _) => sealed.still_whole(),
            Pinned::Apart(apart) => {
                apart.sealed.still_whole()?;
                apart.body.get().map_or(Ok(()), |body| body.still_whole())
            }
            Pinned::Fresh(fresh) => fresh.segment().map_or(Ok(()), |body| body.still_whole()),
        }
    }

    /// The message, octet for octet.
    pub fn raw(&self) -> Result<&[u8], Error> {
        self.octets(0..self.size() as usize)
    }

    /// Some of its octets; no others are read. An error where it has not so many.
    pub fn octets(&self, range: Range<usize>) -> Result<&[u8], Error> {
        if range.is_empty() {
            return Ok(&[]);
        }
        match &self.pinned {
            Pinned::Sealed(sealed, row) => sealed.octets(*row, range),
            Pinned::Apart(apart) => apart.body()?.octets(0, range),
            Pinned::Fresh(fresh) => match &fresh.content {
                Content::Inline { body, .. } => {
                    body.get(range).ok_or_else(|| Error::corrupt("log", 0, "a short message"))
                }
                Content::Segment(sealed) => sealed.octets(0, range),
            },
        }
    }

    /// Header and body text, decoded and folded.
    pub fn text(&self) -> Result<&str, Error> {
        match &self.pinned {
            Pinned::Sealed(sealed, row) => sealed.text(*row),
            Pinned::Apart(apart) if apart.sealed.text_is_apart(apart.row) => apart.body()?.text(0),
            Pinned::Apart(apart) => apart.sealed.text(apart.row),
            Pinned::Fresh(fresh) => match &fresh.content {
                Content::Inline { text, .. } => Ok(text),
                Content::Segment(sealed) => sealed.text(0),
            },
        }
    }

    /// ENVELOPE, ready for the wire.
    pub fn envelope(&self) -> &[u8] {
        let details = self.details();
        details.slice(&details.root().envelope)
    }

    /// BODYSTRUCTURE, ready for the wire.
    pub fn bodystructure(&self) -> &[u8] {
        let details = self.details();
        details.slice(&details.root().bodystructure)
    }

    /// How many parts it has.
    pub fn part_count(&self) -> usize {
        self.archived_parts().len()
    }

    fn archived_parts(&self) -> &[mime::ArchivedPart] {
        let details = self.details();
        details.slice(&details.root().parts)
    }

    /// Part `index` in the order of the message; 0 is the root.
    pub fn part(&self, index: usize) -> Option<mime::Part> {
        self.archived_parts().get(index).map(mime::Part::from)
    }

    /// The parts in the order of the message.
    pub fn parts(&self) -> impl Iterator<Item = mime::Part> + '_ {
        self.archived_parts().iter().map(mime::Part::from)
    }

    /// The subject, decoded and folded.
    pub fn subject(&self) -> &str {
        let details = self.details();
        details.text(&details.root().subject)
    }

    /// The senders, decoded and folded.
    pub fn from(&self) -> &str {
        let details = self.details();
        details.text(&details.root().from)
    }

    /// The base subject (RFC 5256 §2.1).
    pub fn base_subject(&self) -> &str {
        let details = self.details();
        details.text(&details.root().base_subject)
    }

    /// The message's own Message-ID.
    pub fn message_id(&self) -> Option<&str> {
        let details = self.details();
        details.root().message_id.as_ref().map(|id| details.text(id))
    }

    /// The Message-IDs of its References.
    pub fn references(&self) -> impl Iterator<Item = &str> + '_ {
        let details = self.details();
        details.slice(&details.root().references).iter().map(move |id| details.text(id))
    }

    /// UID.
    pub fn uid(&self) -> Uid {
        Uid(self.uid)
    }

    /// RFC822.SIZE.
    pub fn size(&self) -> u64 {
        self.record().size.to_native()
    }

    /// INTERNALDATE.
    pub fn internal_date(&self) -> Date {
        let date = &self.record().internal_date;
        Date { seconds: date.seconds.to_native(), offset_minutes: date.offset_minutes.to_native() }
    }

    /// SAVEDATE (RFC 8514): Unix time in seconds.
    pub fn saved_at(&self) -> i64 {
        self.record().saved_at.to_native()
    }

    /// EMAILID (RFC 8474); hexadecimal on the wire.
    pub fn email_id(&self) -> u64 {
        self.record().email_id.to_native()
    }

    /// THREADID (RFC 8474); hexadecimal on the wire.
    pub fn thread_id(&self) -> u64 {
        self.record().thread_id.to_native()
    }

    /// SHA-256 of the raw message.
    pub fn content_hash(&self) -> Hash {
        Hash(self.record().content_hash)
    }

    /// The envelope it was delivered with.
    pub fn delivery(&self) -> Option<DeliveryEnvelope> {
        let record = self.record();
        let delivery = record.root().delivery.as_ref()?;
        let owned = |text| String::from_utf8_lossy(record.text(text).as_bytes()).into_owned();
        let recipients = record.slice(&delivery.recipients).iter().map(owned).collect();
        Some(DeliveryEnvelope { return_path: owned(&delivery.return_path), recipients })
    }

    /// Memory that holds some of its octets, and where in it they are; for lending them to the kernel.
    pub fn lend(&self, range: Range<usize>) -> Result<(Rc<dyn Lend>, Range<usize>), Error> {
        let range = range.start..range.start + self.octets(range)?.len();
        let (source, start): (Rc<dyn Lend>, usize) = match &self.pinned {
            Pinned::Sealed(sealed, row) => (sealed.clone(), sealed.raw_start(*row)),
            Pinned::Apart(apart) => {
                let body = apart.body()?;
                (body.clone(), body.raw_start(0))
            }
            Pinned::Fresh(fresh) => match &fresh.content {
                Content::Inline { .. } => (fresh.clone(), 0),
                Content::Segment(sealed) => (sealed.clone(), sealed.raw_start(0)),
            },
        };
        Ok((source, start + range.start..start + range.end))
    }
}
