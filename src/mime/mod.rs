//! The structure of a message: parts, ENVELOPE, BODYSTRUCTURE, search text, what threads it. Computed once, at delivery.
//!
//! Every octet string is a message and has a structure: nothing is refused, what can't be taken apart is a leaf, what
//! passes a limit is opaque. Time is linear in the size of the message, and memory is bounded by it and `limits.rs`.
//! Offsets are 32-bit: of a message over 4 GiB the first 4 GiB are told, and no other is accepted.
//! What is not done: no line end is changed, no markup taken out of the search text.
//! RFC 5322, 2045, 2046, 2047, 2231; RFC 3501 §6.4.5, §7.4.2; RFC 5256 §2.1.

#![forbid(unsafe_code)]

pub mod header;

mod address;
mod bodystructure;
mod boundaries;
mod date;
mod entity;
mod envelope;
mod identifiers;
mod lexical;
mod scan;
mod section;
mod subject;
mod text;
mod transfer;
mod utf7;
mod wire;
mod words;

#[cfg(test)]
mod tests;

use rkyv::{Archive, Deserialize, Serialize};

pub use address::{Address, addresses};
pub use date::{SentDate, sent_date};
pub use section::{Content, Parts, range, section};
pub use text::{body as body_text, field as fold_field, fold};
pub use transfer::decode;
pub use words::{CHARSETS, CharsetError, decode_charset};

use crate::limits::{MIME_ADDRESSES_MAX, MIME_TEXT_BYTES_MAX};
use entity::Entity;

/// What is told of a message.
#[derive(Clone, Debug, Default, PartialEq, Archive, Serialize, Deserialize)]
pub struct Structure {
    /// The parts in the order in which they begin; the root is the first, and is always there.
    pub parts: Vec<Part>,
    /// The ENVELOPE as it goes over the wire.
    pub envelope: Vec<u8>,
    /// The BODYSTRUCTURE as it goes over the wire.
    pub bodystructure: Vec<u8>,
    /// The search text, folded: every header as `name: value` lines, every text body decoded; [`body_text`] is behind the
    /// message's own header.
    pub text: String,
    /// Subject, decoded and folded.
    pub subject: String,
    /// From, decoded and folded.
    pub from: String,
    /// Message-ID in its one form, without brackets.
    pub message_id: Option<String>,
    /// The identifiers of References, then of In-Reply-To, in the same form; none twice, the oldest and the newest kept.
    pub references: Vec<String>,
    /// The base subject of RFC 5256 §2.1, folded.
    pub base_subject: String,
}

/// One part of a message. The root part is the message: its header is the message's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Part {
    /// The index of the part that this one is in; the root's is its own.
    pub parent: u32,
    /// What it has inside.
    pub kind: Kind,
    /// Where its header begins.
    pub header_start: u32,
    /// Where its body begins, behind the header's empty line.
    pub body_start: u32,
    /// Where its body ends, before the line end that belongs to a boundary.
    pub end: u32,
    /// Lines of the body, by their ends.
    pub lines: u32,
    /// The encoding of the body.
    pub encoding: Encoding,
    /// A limit kept it from being taken apart.
    pub opaque: bool,
}

/// What a part has inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Kind {
    /// Octets.
    Leaf,
    /// Parts, at least one.
    Multipart,
    /// A message: one part that begins where this one's body does.
    Message,
}

/// Content-Transfer-Encoding. RFC 2045 §6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Encoding {
    /// `7bit`, the default.
    SevenBit,
    /// `8bit`.
    EightBit,
    /// `binary`.
    Binary,
    /// `quoted-printable`.
    QuotedPrintable,
    /// `base64`.
    Base64,
    /// One that nobody can undo.
    Unknown,
}

impl Part {
    /// Its header with the empty line.
    pub fn header<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        raw.get(self.header_start as usize..self.body_start as usize).unwrap_or_default()
    }

    /// Its body, encoded as it is.
    pub fn body<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        raw.get(self.body_start as usize..self.end as usize).unwrap_or_default()
    }

    /// Text, or a multipart without parts, which is shown as text.
    fn is_text(&self, entity: &Entity<'_>) -> bool {
        self.kind == Kind::Leaf && !self.opaque && (entity.is_media(b"TEXT") || entity.is_media(b"MULTIPART"))
    }
}

/// Computes what is told of the message `raw`.
pub fn structure(raw: &[u8]) -> Structure {
    let raw = &raw[..raw.len().min(u32::MAX as usize)];
    let parts = scan::parts(raw);
    let header = parts[0].header(raw);
    let mut structure = Structure::default();
    let mut room = MIME_ADDRESSES_MAX;
    envelope::write(&mut structure.envelope, header, &mut room);
    bodystructure::write(&mut structure.bodystructure, raw, &parts, true);

    let value = |name: &[u8]| header::field(header, name).unwrap_or_default();
    structure.subject = text::field(value(b"Subject"));
    structure.from = text::field(value(b"From"));
    structure.base_subject = subject::base(&structure.subject);
    structure.message_id = identifiers::message_id(value(b"Message-ID"));
    structure.references = identifiers::references(value(b"References"), value(b"In-Reply-To"));

    structure.text = search_text(raw, &parts);
    structure.parts = parts;
    structure
}

/// The search text.
fn search_text(raw: &[u8], parts: &[Part]) -> String {
    let mut text = text::Text::new(MIME_TEXT_BYTES_MAX - 1);
    let mut digests = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let header = part.header(raw);
        let in_digest = digests.get(part.parent as usize).copied().unwrap_or_default();
        let entity = Entity::of(header, in_digest);
        digests.push(entity.is(b"MULTIPART", b"DIGEST"));
        text.fields(header);
        if index == 0 {
            text.mark();
        }
        if part.is_text(&entity) {
            text.body(part.encoding, part.body(raw), entity.parameters.whole(b"charset").as_deref());
        }
    }
    text.out
}

/// The BODY form of a structure: BODYSTRUCTURE without extension data.
pub fn body(raw: &[u8], structure: &Structure) -> Vec<u8> {
    body_of(raw, &structure.parts)
}

/// As [`body`], of parts alone.
pub fn body_of(raw: &[u8], parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    bodystructure::write(&mut out, raw, parts, false);
    out
}
