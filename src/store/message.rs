//! One message as it is read: in memory while it is only in the log, in a mapped file once it is sealed.
//!
//! Invariants: a [`Message`] pins what it reads (the memory or the map) and so stays readable when the message is
//! expunged, merged into another file, or the file is removed; making one and reading it allocate nothing. Record and
//! details are checked when the message is made, raw bytes and text block by block when they are first read.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use rkyv::rancor::Error as RkyvError;

use super::map::{ColdBlocks, Encoded, Sealed, WarmBlocks};
use super::record::{ArchivedDetails, ArchivedRecord, Date, DeliveryEnvelope, Details, Record};
use super::spool::Body;
use super::types::{Error, Hash, Uid};
use crate::io::Lend;
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
        details: Encoded<Details>,
        text: Text,
        body: Body,
    },
    /// A body file with this one message.
    Segment(Rc<Sealed>),
}

/// A message that is not sealed yet.
#[derive(Debug)]
pub(super) struct Fresh {
    record: Encoded<Record>,
    content: Content,
}

impl Fresh {
    pub(super) fn inline(record: Encoded<Record>, details: Encoded<Details>, text: Text, body: Body) -> Fresh {
        Fresh { record, content: Content::Inline { details, text, body } }
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

    /// What it takes in a log record.
    pub(super) fn inline_bytes(&self) -> usize {
        let content = match &self.content {
            Content::Inline { details, text, body } => details.bytes().len() + text.len() + body.len(),
            Content::Segment(_) => 0,
        };
        self.record.bytes().len() + content
    }

    /// The lengths of record, details, text and raw message.
    pub(super) fn piece_lengths(&self) -> [u32; 4] {
        let record = self.record.bytes().len() as u32;
        match &self.content {
            Content::Inline { details, text, body } => {
                [record, details.bytes().len() as u32, text.len() as u32, body.len() as u32]
            }
            Content::Segment(sealed) => {
                let [_, details, text, raw] = sealed.piece_lengths(0);
                [record, details, text, raw]
            }
        }
    }

    /// Record, details and text, as they go into a file.
    pub(super) fn pieces(&self) -> Result<[&[u8]; 3], Error> {
        match &self.content {
            Content::Inline { details, text, .. } => Ok([self.record.bytes(), details.bytes(), text.as_bytes()]),
            Content::Segment(sealed) => Ok([self.record.bytes(), sealed.piece(0, 1)?, sealed.piece(0, 2)?]),
        }
    }

    /// The raw message where it is in memory of its own.
    pub(super) fn inline_body(&self) -> &[u8] {
        match &self.content {
            Content::Inline { body, .. } => body,
            Content::Segment(_) => &[],
        }
    }

    pub(super) fn raw(&self) -> Result<&[u8], Error> {
        match &self.content {
            Content::Inline { body, .. } => Ok(body),
            Content::Segment(sealed) => sealed.raw(0),
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
    /// The lengths of record, details, text and raw message.
    pub(super) fn piece_lengths(&self) -> [u32; 4] {
        match self {
            Location::Fresh(fresh) => fresh.piece_lengths(),
            Location::Sealed(sealed, row) => sealed.piece_lengths(*row),
            Location::Gone => [0; 4],
        }
    }

    /// What of the message was never looked at and may have to come from the disk.
    pub(super) fn cold(&self) -> Option<ColdBlocks> {
        let (sealed, row) = self.sealed()?;
        sealed.cold(row)
    }

    /// Takes back what a helper thread verified, so that it is not verified again.
    pub(super) fn warmed(&self, warm: &WarmBlocks) {
        if let Some((sealed, _)) = self.sealed() {
            sealed.warmed(warm);
        }
    }

    fn sealed(&self) -> Option<(&Sealed, u32)> {
        match self {
            Location::Sealed(sealed, row) => Some((sealed, *row)),
            Location::Fresh(fresh) => match &fresh.content {
                Content::Segment(sealed) => Some((sealed, 0)),
                Content::Inline { .. } => None,
            },
            Location::Gone => None,
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
}

impl Message {
    /// Pins what is at `location`, message `uid` of its mailbox; `None` where it is gone.
    pub(super) fn at(location: &Location, uid: u32) -> Result<Option<Message>, Error> {
        let pinned = match location {
            Location::Fresh(fresh) => Pinned::Fresh(fresh.clone()),
            Location::Sealed(sealed, row) => {
                sealed.check_message(*row)?;
                Pinned::Sealed(sealed.clone(), *row)
            }
            Location::Gone => return Ok(None),
        };
        Ok(Some(Message { pinned, uid }))
    }

    fn record(&self) -> &ArchivedRecord {
        match &self.pinned {
            Pinned::Fresh(fresh) => &fresh.record,
            Pinned::Sealed(sealed, row) => sealed.record(*row).expect("checked when the message was pinned"),
        }
    }

    fn details(&self) -> &ArchivedDetails {
        let (sealed, row) = match &self.pinned {
            Pinned::Sealed(sealed, row) => (sealed, *row),
            Pinned::Fresh(fresh) => match &fresh.content {
                Content::Inline { details, .. } => return details,
                Content::Segment(sealed) => (sealed, 0),
            },
        };
        sealed.details(row).expect("checked when the message was pinned")
    }

    /// The message, octet for octet.
    pub fn raw(&self) -> Result<&[u8], Error> {
        match &self.pinned {
            Pinned::Fresh(fresh) => fresh.raw(),
            Pinned::Sealed(sealed, row) => sealed.raw(*row),
        }
    }

    /// Header and body text, decoded and folded.
    pub fn text(&self) -> Result<&str, Error> {
        match &self.pinned {
            Pinned::Sealed(sealed, row) => sealed.text(*row),
            Pinned::Fresh(fresh) => match &fresh.content {
                Content::Inline { text, .. } => Ok(text),
                Content::Segment(sealed) => sealed.text(0),
            },
        }
    }

    /// ENVELOPE, ready for the wire.
    pub fn envelope(&self) -> &[u8] {
        &self.details().envelope
    }

    /// BODYSTRUCTURE, ready for the wire.
    pub fn bodystructure(&self) -> &[u8] {
        &self.details().bodystructure
    }

    /// How many parts it has.
    pub fn part_count(&self) -> usize {
        self.details().parts.len()
    }

    /// Part `index` in the order of the message; 0 is the root.
    pub fn part(&self, index: usize) -> Option<mime::Part> {
        rkyv::deserialize::<mime::Part, RkyvError>(self.details().parts.get(index)?).ok()
    }

    /// The parts in the order of the message.
    pub fn parts(&self) -> impl Iterator<Item = mime::Part> + '_ {
        self.details().parts.iter().filter_map(|part| rkyv::deserialize::<mime::Part, RkyvError>(part).ok())
    }

    /// The subject, decoded and folded.
    pub fn subject(&self) -> &str {
        &self.details().subject
    }

    /// The senders, decoded and folded.
    pub fn from(&self) -> &str {
        &self.details().from
    }

    /// The base subject (RFC 5256 §2.1).
    pub fn base_subject(&self) -> &str {
        &self.details().base_subject
    }

    /// The message's own Message-ID.
    pub fn message_id(&self) -> Option<&str> {
        self.details().message_id.as_ref().map(|id| &**id)
    }

    /// The Message-IDs of its References.
    pub fn references(&self) -> impl Iterator<Item = &str> + '_ {
        self.details().references.iter().map(|id| &**id)
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
        let delivery = self.record().delivery.as_ref()?;
        rkyv::deserialize::<DeliveryEnvelope, RkyvError>(delivery).ok()
    }

    /// Memory that holds the message, octet for octet, from the offset that comes with it; for lending it to the kernel.
    pub fn lend_raw(&self) -> Result<(Rc<dyn Lend>, usize), Error> {
        self.raw()?;
        Ok(match &self.pinned {
            Pinned::Sealed(sealed, row) => (sealed.clone(), sealed.raw_start(*row)),
            Pinned::Fresh(fresh) => match &fresh.content {
                Content::Inline { .. } => (fresh.clone(), 0),
                Content::Segment(sealed) => (sealed.clone(), sealed.raw_start(0)),
            },
        })
    }
}
