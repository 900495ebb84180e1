//! A new sealed file in the place of a damaged one, with every message of it: what can be read as it is, what follows from
//! the message made anew, what is lost as lost.
//!
//! Invariants: the index stays what it was but for the places, so UIDs, flags, MODSEQs and expunges do; a piece that is not
//! believed is not copied; a record or details that are made anew say what the message and the columns say. What is lost lies
//! outside the file, as a checkpoint has it ([`LOST`]); who asks for it is told so.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::super::columns;
use super::super::map::{Map, Sealed};
use super::super::map_index::GroupOf;
use super::super::record::{Details, NewMessage, Record};
use super::super::sealed::{APART, Changed, FileHeader, Group, Index, LOST, Piece, Place, SealedWriter, Vanished};
use super::super::seams::SegmentPut;
use super::super::spool::Body;
use super::super::types::{Error, Flags, Hash};
use super::elsewhere::Elsewhere;
use super::files::{FileScan, Raw, Row};
use crate::limits::STORE_WRITE_BYTES;
use crate::mime;

/// What is written of a piece.
#[derive(Clone)]
pub(super) enum Content {
    Octets(Map, Range<usize>),
    /// It is in the body file, or it is that one's message.
    Apart,
    Lost,
}

impl Content {
    pub fn made(bytes: &[u8]) -> Content {
        Content::Octets(Map::of_bytes(bytes), 0..bytes.len())
    }
}

/// What is written of a message, in the order of [`Piece::ALL`].
pub(super) type Contents = [Content; 5];

/// What a damaged message is mended with.
pub(super) struct Source<'a> {
    pub file: &'a FileScan,
    pub sealed: &'a Sealed,
    pub elsewhere: &'a Elsewhere,
    /// The octets of body files that can be read and are needed.
    pub bodies: &'a HashMap<Hash, Map>,
    /// Body files that say that their message is lost.
    pub lost: &'a BTreeSet<Hash>,
}

/// What a message is told of by, where its content is lost and nothing else of it can be read.
const LOST_SUBJECT: &str = "This message is lost";

/// The details of a message of which at most the subject can be read.
pub(super) fn lost_details(subject: Option<&str>) -> Details {
    let subject = subject.map(super::words::plain).unwrap_or_else(|| LOST_SUBJECT.to_owned());
    Details::of(&mime::structure(format!("Subject: {subject}\r\n\r\n").as_bytes()))
}

impl Source<'_> {
    fn kept(&self, row: u32, piece: Piece) -> Content {
        let extent = self.sealed.extent(row, piece);
        let range = extent.0 as usize..(extent.0 as usize).saturating_add(extent.1 as usize);
        let apart = matches!(piece, Piece::Text) && self.sealed.text_is_apart(row)
            || matches!(piece, Piece::Raw) && self.sealed.is_apart(row);
        match self.file.octets(extent) {
            _ if apart => Content::Apart,
            Some(_) if self.file.is_sound(extent) => Content::Octets(self.file.bytes.clone(), range),
            _ => Content::Lost,
        }
    }

    /// A message nobody found fault with, or one that is expunged.
    pub fn as_it_is(&self, row: u32) -> Contents {
        Piece::ALL.map(|piece| self.kept(row, piece))
    }

    /// Where the message itself is to be had.
    fn raw(&self, at: u32, row: &Row) -> Option<(Map, Range<usize>)> {
        let own = match &row.raw {
            Raw::Here => {
                let (start, bytes) = self.sealed.extent(at, Piece::Raw);
                Some((self.file.bytes.clone(), start as usize..start as usize + bytes as usize))
            }
            Raw::Apart(name) => self.bodies.get(name).map(|map| (map.clone(), 0..map.len())),
            Raw::Gone => None,
        };
        own.or_else(|| self.elsewhere.found(row.hash?))
    }

    /// What becomes of a message that is not as it should be, and whether anything does.
    pub fn mended(&self, at: u32, row: &Row, columns: columns::Row) -> (Contents, bool) {
        let raw = self.raw(at, row);
        let is_apart = |name: &Hash| self.bodies.contains_key(name) || raw.is_none() && self.lost.contains(name);
        let stays_apart = matches!(&row.raw, Raw::Apart(name) if is_apart(name));
        let text_moves = self.sealed.text_is_apart(at) && !stays_apart;
        let is_made = row.record.is_none() || !row.details || !row.text || text_moves;
        let structure =
            raw.as_ref().filter(|_| is_made).map(|(map, range)| Arc::new(mime::structure(&map[range.clone()])));
        let [mut record, mut details, mut text, name, _] = self.as_it_is(at);
        if row.record.is_none() {
            record = encoded(self.record(row, columns, raw.as_ref(), structure.clone()).encode());
        }
        if !row.details {
            let made = structure.as_deref().map_or_else(|| lost_details(row.subject.as_deref()), Details::of);
            details = encoded(made.encode());
        }
        if !row.text || text_moves {
            text = Content::made(structure.as_deref().map_or(&[][..], |structure| structure.text.as_bytes()));
        }
        let here = matches!(row.raw, Raw::Here);
        let (name, content) = match (&row.raw, raw) {
            (Raw::Apart(body), _) if stays_apart => (Content::made(&body.0), Content::Apart),
            (_, Some((map, range))) => (Content::made(&[]), Content::Octets(map, range)),
            (_, None) => (if here { name } else { Content::made(&[]) }, Content::Lost),
        };
        let was_lost = self.sealed.is_lost(at, Piece::Raw) && !self.sealed.is_apart(at);
        let stays = matches!(content, Content::Lost) && was_lost || here || stays_apart;
        ([record, details, text, name, content], is_made || !stays)
    }

    /// A record as the columns and the message say.
    fn record(
        &self,
        row: &Row,
        columns: columns::Row,
        raw: Option<&(Map, Range<usize>)>,
        structure: Option<Arc<mime::Structure>>,
    ) -> Record {
        let hash = raw.map(|(map, range)| Hash::of(&map[range.clone()])).or(row.hash).unwrap_or(Hash([0; 32]));
        let message = NewMessage {
            body: Body::of_map(Map::of_bytes(&[]), hash),
            structure: structure.unwrap_or_default(),
            internal_date: columns.date,
            saved_at: columns.date.seconds,
            flags: Flags(columns.flags),
            keywords: Vec::new(),
            delivery: None,
        };
        Record {
            uid: columns.uid,
            flags: columns.flags,
            keywords: columns.keywords,
            modseq: columns.modseq,
            email_id: message.email_id(),
            thread_id: message.thread_id(),
            internal_date: columns.date,
            saved_at: columns.date.seconds,
            size: raw.map_or(u64::from(columns.size), |(_, range)| range.len() as u64),
            content_hash: hash.0,
            delivery: None,
        }
    }
}

/// An archive; nothing where rkyv can't, which no message is long enough for.
fn encoded(archive: Option<rkyv::util::AlignedVec>) -> Content {
    archive.map_or(Content::Lost, |archive| Content::made(&archive))
}

/// The index of an open file as it may be changed.
pub(super) fn index_of(sealed: &Sealed) -> Result<Index, Error> {
    let index = sealed.index()?;
    let group = |group: &GroupOf<'_>| Group {
        mailbox: group.mailbox,
        first: group.first,
        uid: group.uid.iter().map(|uid| uid.to_native()).collect(),
        modseq: group.modseq.iter().map(|modseq| modseq.to_native()).collect(),
        flags: group.flags.iter().map(|flags| flags.to_native()).collect(),
        keywords: group.keywords.iter().map(|keywords| keywords.to_native()).collect(),
        size: group.size.iter().map(|size| size.to_native()).collect(),
        date_seconds: group.date_seconds.iter().map(|seconds| seconds.to_native()).collect(),
        date_offset: group.date_offset.iter().map(|minutes| minutes.to_native()).collect(),
        changed: group.changed.iter().map(Changed::from).collect(),
        vanished: group.vanished.iter().map(Vanished::from).collect(),
    };
    // The places are those of the file that is written.
    let groups = index.groups.iter().map(group).collect();
    Ok(Index { mailboxes: index.mailboxes, groups, places: Vec::new() })
}

/// The columns of each message, in the order of their places.
pub(super) fn columns_of(sealed: &Sealed) -> Result<Vec<columns::Row>, Error> {
    let index = sealed.index()?;
    let groups = index.groups.iter();
    Ok(groups.flat_map(|group| (0..group.uid.len()).map(|row| columns::Row::of_group(group, row))).collect())
}

/// Writes a file of these messages; `shared`: which of `contents` each place has. Its name and its length.
pub(super) async fn write(
    put: Box<dyn SegmentPut>,
    header: FileHeader,
    (mut index, contents): (Index, Vec<Contents>),
    shared: &[usize],
) -> Result<(Hash, u64), Error> {
    let mut writer = SealedWriter::begin(put, header).await?;
    let mut places = vec![Place::default(); contents.len()];
    for (at, piece) in Piece::ALL.into_iter().enumerate() {
        for (number, (place, contents)) in places.iter_mut().zip(&contents).enumerate() {
            if matches!(piece, Piece::Record | Piece::Details) {
                writer.align().await?;
            }
            let (start, length) = match &contents[at] {
                Content::Octets(_, range) => (writer.position(), range.len() as u32),
                Content::Apart => (writer.position(), APART),
                Content::Lost => (LOST + number as u64, 1),
            };
            match piece {
                Piece::Record => (place.record_start, place.record_bytes) = (start, length),
                Piece::Details => (place.details_start, place.details_bytes) = (start, length),
                Piece::Text => (place.text_start, place.text_bytes) = (start, length),
                Piece::Name => place.raw_start = start,
                Piece::Raw if length == APART => place.raw_bytes = APART,
                Piece::Raw => (place.raw_start, place.raw_bytes) = (start, length),
            }
            if let Content::Octets(map, range) = &contents[at] {
                for part in map[range.clone()].chunks(STORE_WRITE_BYTES) {
                    writer.write(part).await?;
                }
            }
        }
    }
    index.places = shared.iter().map(|&content| places[content]).collect();
    writer.finish(&index, "a file in the place of another").await
}
