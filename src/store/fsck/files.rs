//! One sealed file under examination: what of it is as it was written, and what of each message can be read.
//!
//! Invariants: a file whose bytes have its name for their hash is whole, and nothing else in it needs to be compared but what its
//! writer may have got wrong; of a damaged one a piece is believed where its blocks have their checksums, and a raw message
//! where its own hash is that of its record, wherever it lies. An index is believed where it has its own checksum or its blocks
//! have theirs: it says what belongs to whom.

use std::rc::Rc;

use rkyv::rancor::Error as RkyvError;

use super::super::disk::Disk;
use super::super::map::{Encoded, Map, Sealed};
use super::super::record::{Details, Record};
use super::super::sealed::{ALIGNMENT, FRAME_BYTES, FileHeader, FileKind, Footer, Piece};
use super::super::types::{AccountId, Error, Hash};
use super::contents::{self, Corrected};
use crate::limits::SEALED_BLOCK_BYTES;

/// How a file is.
pub(super) enum Health {
    /// As it was written.
    Whole,
    /// Damaged, and what was written is known octet for octet.
    Exact(Map),
    /// Damaged, but what is in it can be told.
    Blocks,
    /// Nobody can tell what is where in it.
    Unreadable,
    /// Not there.
    Missing,
}

/// A sealed file.
pub(super) struct FileScan {
    pub name: Hash,
    pub path: String,
    pub health: Health,
    /// What is wrong, with where.
    pub faults: Vec<(u64, String)>,
    pub header: Option<FileHeader>,
    /// As the server would open it, or would if it were put right.
    pub sealed: Option<Rc<Sealed>>,
    /// Its bytes, single bits put right.
    pub bytes: Map,
    /// Blocks that are not to be believed, ascending.
    pub wrong: Vec<usize>,
    /// Octets of the file that there is.
    pub length: u64,
    /// It is as it was written, and this version can't read it.
    pub foreign: bool,
}

impl FileScan {
    /// Whether all of it can be had, perhaps after it is put right.
    pub fn is_known(&self) -> bool {
        matches!(self.health, Health::Whole | Health::Exact(_))
    }

    /// A file that is not there.
    pub fn missing(name: Hash, path: String) -> FileScan {
        FileScan {
            name,
            path,
            health: Health::Missing,
            faults: vec![(0, "it is not there".to_owned())],
            header: None,
            sealed: None,
            bytes: Map::of_bytes(&[]),
            wrong: Vec::new(),
            length: 0,
            foreign: false,
        }
    }

    /// Whether a piece lies in blocks that have their checksums.
    pub fn is_sound(&self, (start, bytes): (u64, u32)) -> bool {
        let Some(last) = (u64::from(bytes)).checked_sub(1).and_then(|more| start.checked_add(more)) else {
            return true;
        };
        let (first, last) = ((start as usize) / SEALED_BLOCK_BYTES, (last as usize) / SEALED_BLOCK_BYTES);
        let at = self.wrong.partition_point(|&block| block < first);
        self.wrong.get(at).is_none_or(|&block| block > last)
    }

    /// The octets of a piece, sound or not.
    pub fn octets(&self, (start, bytes): (u64, u32)) -> Option<&[u8]> {
        let start = usize::try_from(start).ok()?;
        self.bytes.get(start..start.checked_add(bytes as usize)?)
    }
}

/// Reads and compares a whole sealed file. `account`: whose folder it is in; `length`: as the manifest has it.
pub(super) async fn scan<D: Disk>(
    disk: &D,
    (path, name): (String, Hash),
    account: AccountId,
    length: Option<u64>,
) -> Result<FileScan, Error> {
    let Some(read) = contents::read(disk, &path).await? else { return Ok(FileScan::missing(name, path)) };
    let mut file = FileScan { length: read.map.len() as u64, bytes: read.map.clone(), ..FileScan::missing(name, path) };
    file.faults = unread(&read.unread);
    let right_length = length.is_none_or(|length| length == file.length);
    if !right_length {
        file.faults.push((0, format!("{} octets long, and it had {}", file.length, length.unwrap_or(0))));
    }
    if file.faults.is_empty() && Hash::of(&read.map) == name {
        file.health = Health::Whole;
        file.open(read.map, account);
        file.foreign = file.sealed.is_none();
        return Ok(file);
    }
    match contents::corrected(&read.map, name, length) {
        Some(corrected) => file.take(&read.map, corrected, account),
        None => file.give_up(&read.map),
    }
    Ok(file)
}

fn unread(ranges: &[std::ops::Range<usize>]) -> Vec<(u64, String)> {
    let told =
        ranges.iter().map(|range| (range.start as u64, format!("the disk does not give {} octets", range.len())));
    told.collect()
}

impl FileScan {
    /// Opens what is believed.
    fn open(&mut self, map: Map, account: AccountId) {
        match Sealed::open(map, self.path.clone(), self.name, account) {
            Ok(sealed) => {
                self.header = Some(*sealed.header());
                self.sealed = Some(Rc::new(sealed));
            }
            Err(Error::Corrupt { offset, what, .. }) => {
                self.faults.push((offset, what.to_owned()));
                self.health = Health::Unreadable;
            }
            Err(_) => self.health = Health::Unreadable,
        }
    }

    fn take(&mut self, read: &[u8], corrected: Corrected, account: AccountId) {
        let (mut blocks, mut bits) = (Vec::new(), 0);
        for (index, (was, is)) in
            read.chunks(SEALED_BLOCK_BYTES).zip(corrected.bytes.chunks(SEALED_BLOCK_BYTES)).enumerate()
        {
            if was != is || corrected.wrong.contains(&index) {
                blocks.push(index);
                bits += was.iter().zip(is).filter(|(was, is)| was != is).count();
            }
        }
        let map = Map::of_bytes(&corrected.bytes);
        self.bytes = map.clone();
        if corrected.exact {
            let start = blocks.first().map_or(0, |block| (block * SEALED_BLOCK_BYTES) as u64);
            if bits > 0 {
                self.faults.push((start, format!("{bits} octets are not what was written")));
            }
            self.health = Health::Exact(map.clone());
            return self.open(map, account);
        }
        self.wrong = corrected.wrong;
        let starts = self.wrong.iter().map(|block| ((block * SEALED_BLOCK_BYTES) as u64, "block checksum".to_owned()));
        self.faults.extend(starts);
        if self.wrong.is_empty() {
            self.faults.push((0, "another file than its name says".to_owned()));
        }
        self.health = Health::Blocks;
        let end = self.bytes.len() - FRAME_BYTES;
        let trusted = Footer::decode(&self.bytes[end..], self.bytes.len() as u64).is_ok_and(|footer| {
            let extent = (footer.index_start, footer.index_bytes as u32);
            self.is_sound(extent) || self.octets(extent).and_then(|index| footer.knows(index)) == Some(true)
        });
        if trusted {
            self.open(map, account);
        } else {
            self.health = Health::Unreadable;
        }
        self.read_header();
    }

    fn give_up(&mut self, read: &[u8]) {
        self.health = Health::Unreadable;
        let end = read.len().saturating_sub(FRAME_BYTES);
        self.faults.push((end as u64, "its end can't be read".to_owned()));
        self.wrong = (0..read.len().div_ceil(SEALED_BLOCK_BYTES)).collect();
        self.read_header();
    }

    fn read_header(&mut self) {
        if self.header.is_none() {
            self.header = FileHeader::decode(&self.bytes).ok();
        }
    }
}

/// Where a raw message is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Raw {
    /// In the file, as it was.
    Here,
    /// In that body file.
    Apart(Hash),
    /// Nowhere that is known.
    Gone,
}

/// What can be told of one message of a file.
pub(super) struct Row {
    /// Its record, where that is believed.
    pub record: Option<Record>,
    /// Its details, as they lie in the file.
    pub details: bool,
    /// Its text, as it lies in the file, or that it is in the body file.
    pub text: bool,
    pub raw: Raw,
    /// Whether the message, or the name of its body file, lies where it is believed without another proof.
    pub sound: bool,
    /// The hash of the content, also where the rest of the record is not believed.
    pub hash: Option<Hash>,
    /// A subject to know it by.
    pub subject: Option<String>,
}

impl Row {
    /// Whether all of it can be had from this file as it is, but for what is in the body file.
    pub fn is_readable(&self) -> bool {
        self.record.is_some() && self.details && self.text && self.raw != Raw::Gone
    }

    /// Whether nothing is to be done about it, but for its body file.
    pub fn is_whole(&self) -> bool {
        self.is_readable() && self.sound
    }
}

/// A body file that can be read: the hash and the length of its message.
pub(super) type KnownBody = (Hash, u64);

/// Looks at message `row` of an open file. `body`: what is known of a body file of the account.
pub(super) fn row(file: &FileScan, sealed: &Sealed, row: u32, body: impl Fn(Hash) -> Option<KnownBody>) -> Row {
    let extent = |piece| sealed.extent(row, piece);
    let read = read_archive::<Record>(file, extent(Piece::Record));
    let sound = file.is_sound(extent(Piece::Record));
    let said = read.as_ref().map(|record| Hash(record.content_hash));
    let details = read_archive::<Details>(file, extent(Piece::Details));
    let (raw, content) = if sealed.is_apart(row) {
        let name = body_name(file, sealed, row);
        let known = name.and_then(&body);
        let believed = name.filter(|_| known.is_some() || file.is_sound(extent(Piece::Name)));
        (believed.map_or(Raw::Gone, Raw::Apart), known)
    } else {
        raw_here(file, extent(Piece::Raw), said)
    };
    // What the record says of the message must be what the message is.
    let fits = |record: &Record| content.is_none_or(|content| content == (Hash(record.content_hash), record.size));
    Row {
        record: read.filter(|record| sound && fits(record)),
        details: details.is_some() && file.is_sound(extent(Piece::Details)),
        text: sealed.text_is_apart(row) || text_here(file, extent(Piece::Text)),
        raw,
        sound: file.is_sound(extent(if sealed.is_apart(row) { Piece::Name } else { Piece::Raw })),
        hash: content.map(|content| content.0).or(said),
        subject: details.map(|details| details.subject),
    }
}

fn read_archive<T>(file: &FileScan, extent: (u64, u32)) -> Option<T>
where
    T: rkyv::Archive,
    T::Archived: rkyv::Portable
        + for<'a> rkyv::bytecheck::CheckBytes<rkyv::api::high::HighValidator<'a, RkyvError>>
        + rkyv::Deserialize<T, rkyv::api::high::HighDeserializer<RkyvError>>,
{
    let bytes = file.octets(extent).filter(|_| extent.0.is_multiple_of(ALIGNMENT))?;
    let archive = Encoded::<T>::copy(bytes)?;
    rkyv::deserialize::<T, RkyvError>(&*archive).ok()
}

fn text_here(file: &FileScan, extent: (u64, u32)) -> bool {
    file.is_sound(extent) && file.octets(extent).is_some_and(|text| std::str::from_utf8(text).is_ok())
}

/// The name of the body file that message `row` is in, believed or not.
pub(super) fn body_name(file: &FileScan, sealed: &Sealed, row: u32) -> Option<Hash> {
    let apart = sealed.is_apart(row).then(|| file.octets(sealed.extent(row, Piece::Name)));
    apart.flatten()?.try_into().ok().map(Hash)
}

/// A raw message is believed for its hash, or for its blocks.
fn raw_here(file: &FileScan, extent: (u64, u32), said: Option<Hash>) -> (Raw, Option<KnownBody>) {
    let Some(octets) = file.octets(extent) else { return (Raw::Gone, None) };
    let hash = Hash::of(octets);
    let believed = said == Some(hash) || file.is_sound(extent);
    if believed { (Raw::Here, Some((hash, u64::from(extent.1)))) } else { (Raw::Gone, None) }
}

/// What a body file holds; `None`: it can't be read, or is none.
pub(super) fn known_body(file: &FileScan) -> Option<KnownBody> {
    let sealed = file.sealed.as_ref().filter(|sealed| sealed.header().kind == FileKind::Body)?;
    let extent = sealed.extent(0, Piece::Raw);
    if !file.is_known() || sealed.is_lost(0, Piece::Raw) {
        return None;
    }
    Some((Hash::of(file.octets(extent)?), u64::from(extent.1)))
}

/// Whether a file is a body file that is as it was written, and without its message.
pub(super) fn is_lost_body(file: &FileScan) -> bool {
    let whole = file.sealed.as_ref().filter(|_| matches!(file.health, Health::Whole));
    whole.is_some_and(|sealed| sealed.header().kind == FileKind::Body && sealed.is_lost(0, Piece::Raw))
}
