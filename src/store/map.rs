//! Maps: immutable files in memory, and the sealed files in them.
//!
//! Invariants: a mapped file is never written or truncated (it was renamed into place whole, and is only ever unlinked);
//! an archive is read unchecked only after its blocks' checksums and its own validation passed once; no reference
//! outlives its map. What is touched first is verified first: the header, the footer and the index when a file is opened,
//! a message when it is asked for. A page that the disk can't give any more reads as zeros ([`super::map_fault`]): all that is
//! read of a file is ready for them ([`super::map_archive`], [`super::map_index`]), nothing is read of a file of which some
//! is lost, and who has read something is told by [`Sealed::still_whole`] whether it was the file's.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::mem::size_of;
use std::ops::{Deref, Range};
use std::ptr;
use std::sync::Arc;

use rkyv::api::high::HighValidator;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error as RkyvError;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Portable};

use super::map_archive::Kept;
use super::map_fault::{Mark, Watched};
use super::map_index::IndexOf;
use super::message::Fresh;
use super::record::{ArchivedDetails, ArchivedRecord};
use super::sealed::{APART, ArchivedPlace, FRAME_BYTES, FileHeader, FileKind, Footer, LOST, NAME_BYTES, Piece};
use super::tiers::Size;
use super::types::{AccountId, Error, Hash};
use crate::io::Lend;
use crate::limits::SEALED_BLOCK_BYTES;

/// A whole file, read in place. Cheap to clone, and may go to other threads.
#[derive(Clone, Debug)]
pub struct Map(Arc<Bytes>);

#[derive(Debug)]
enum Bytes {
    /// Watched over until just before it is unmapped.
    File(Watched, memmap2::Mmap),
    Memory(Mark, AlignedVec),
}

impl Map {
    /// Maps `file`, which nobody may change from now on.
    pub fn of_file(file: &File) -> io::Result<Map> {
        if file.metadata()?.len() == 0 {
            return Ok(Map::of_bytes(&[]));
        }
        // SAFETY: the store maps only files that it has finished (sealed files, body segments, spool files after their
        // last write, log segments of closed epochs) in a folder that it locks against other servers.
        let map = unsafe { memmap2::Mmap::map(file) }?;
        let watched = Watched::over(map.as_ptr(), map.len())?;
        Ok(Map(Arc::new(Bytes::File(watched, map))))
    }

    /// A copy of `bytes` that reads like a mapped file: what a simulated disk answers.
    pub fn of_bytes(bytes: &[u8]) -> Map {
        let mut copy = AlignedVec::with_capacity(bytes.len());
        copy.extend_from_slice(bytes);
        Map(Arc::new(Bytes::Memory(Mark::default(), copy)))
    }

    /// Reads the pages of `range` in, so that touching them later does not wait for the disk. Blocks. What the disk can't give
    /// is no error here: the map is lost then ([`Map::is_lost`]).
    pub fn populate(&self, range: Range<usize>) -> io::Result<()> {
        let Bytes::File(_, map) = &*self.0 else { return Ok(()) };
        let bytes = range.end.saturating_sub(range.start);
        match map.advise_range(memmap2::Advice::PopulateRead, range.start, bytes) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EHWPOISON | libc::EIO)) => {
                self.lose();
                Ok(())
            }
            populated => populated,
        }
    }

    /// Whether the disk could not give some of it: what was read of it may be zeros.
    #[inline]
    pub fn is_lost(&self) -> bool {
        self.mark().is_set()
    }

    /// From now on it is lost.
    pub(super) fn lose(&self) {
        self.mark().set();
    }

    fn mark(&self) -> &Mark {
        match &*self.0 {
            Bytes::File(watched, _) => watched.mark(),
            Bytes::Memory(mark, _) => mark,
        }
    }

    fn same(&self, other: &Map) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Bytes::File(_, map) => map,
            Bytes::Memory(_, bytes) => bytes,
        }
    }
}

/// An archive in memory, validated when it was made.
pub(super) struct Encoded<T: Archive> {
    bytes: AlignedVec,
    kind: PhantomData<T>,
}

impl<T: Archive> Encoded<T>
where
    T::Archived: Portable + for<'a> CheckBytes<HighValidator<'a, RkyvError>>,
{
    /// Takes the bytes of an archive; `None` where they are not one.
    pub(super) fn new(bytes: AlignedVec) -> Option<Encoded<T>> {
        rkyv::access::<T::Archived, RkyvError>(&bytes).ok()?;
        Some(Encoded { bytes, kind: PhantomData })
    }

    /// The same from bytes of any alignment.
    pub(super) fn copy(bytes: &[u8]) -> Option<Encoded<T>> {
        let mut copy = AlignedVec::with_capacity(bytes.len());
        copy.extend_from_slice(bytes);
        Encoded::new(copy)
    }
}

impl<T: Archive> Encoded<T> {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T: Archive> Deref for Encoded<T>
where
    T::Archived: Portable,
{
    type Target = T::Archived;

    fn deref(&self) -> &T::Archived {
        // SAFETY: `new` validated these very bytes as this type, and nothing changes them after it.
        unsafe { rkyv::access_unchecked::<T::Archived>(&self.bytes) }
    }
}

impl<T: Archive> std::fmt::Debug for Encoded<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "archive of {} bytes", self.bytes.len())
    }
}

/// A set of numbers below a bound, changed through a shared reference.
#[derive(Debug)]
struct Bits(Box<[Cell<u64>]>);

impl Bits {
    fn new(count: usize) -> Bits {
        Bits(vec![Cell::new(0); count.div_ceil(64)].into_boxed_slice())
    }

    fn has(&self, bit: usize) -> bool {
        self.0[bit / 64].get() & (1 << (bit % 64)) != 0
    }

    fn set(&self, bit: usize) {
        self.0[bit / 64].set(self.0[bit / 64].get() | (1 << (bit % 64)));
    }
}

/// Bytes at the end of a file that tell whether it was cut: a checksum is among them, which is not zero but by chance.
const END_BYTES: usize = 8;

/// A sealed file that is open for reading.
#[derive(Debug)]
pub(super) struct Sealed {
    path: String,
    map: Map,
    name: Hash,
    header: FileHeader,
    footer: Footer,
    /// Where the places of its messages begin, and how many they are.
    places: (usize, usize),
    /// Its last bytes.
    end: [u8; END_BYTES],
    /// Blocks whose checksum was compared.
    verified: Bits,
    /// Two bits a message: its archives were validated; its text is UTF-8.
    validated: Bits,
    /// What messages take that are gone, about.
    gone: Cell<u64>,
    /// Whether it was said that some of it could not be sent.
    told: Cell<bool>,
}

impl Sealed {
    /// Checks header, footer, table and index of the file that lies at `path`.
    pub(super) fn open(map: Map, path: String, name: Hash, account: AccountId) -> Result<Sealed, Error> {
        let length = map.len();
        let wrong = |offset: usize, what| match map.is_lost() {
            true => Error::unreadable(&path),
            false => Error::corrupt(&path, offset as u64, what),
        };
        let header = FileHeader::decode(&map).map_err(|what| wrong(0, what))?;
        let shared = header.kind == FileKind::Body && header.account == AccountId(0);
        if header.account != account && !shared {
            return Err(wrong(16, "another account's file"));
        }
        let footer_start = length.checked_sub(FRAME_BYTES).ok_or_else(|| wrong(0, "too short for a footer"))?;
        let footer = Footer::decode(&map[footer_start..], length as u64).map_err(|what| wrong(footer_start, what))?;
        let table_start = footer.table_start as usize;
        if crc32c::crc32c(&map[table_start..footer_start]) != footer.table_crc {
            return Err(wrong(table_start, "checksum table"));
        }
        let mut sealed = Sealed {
            places: (0, 0),
            end: [0; END_BYTES],
            verified: Bits::new(footer.blocks as usize),
            validated: Bits::new(0),
            gone: Cell::new(0),
            told: Cell::new(false),
            path,
            map,
            name,
            header,
            footer,
        };
        sealed.end = sealed.last_bytes();
        sealed.places = sealed.validate_index()?;
        sealed.validated = Bits::new(2 * sealed.places.1);
        Ok(sealed)
    }

    /// Verifies the index, and that it fits itself; where the places of messages begin, and how many they are.
    fn validate_index(&self) -> Result<(usize, usize), Error> {
        let start = self.footer.index_start as usize;
        match self.footer.knows(&self.map[start..start + self.footer.index_bytes as usize]) {
            // Its blocks may have messages as well, which are another matter.
            Some(true) => {}
            Some(false) => return Err(self.wrong(self.footer.index_start, "index checksum")),
            None => self.verify(self.footer.index_start, self.footer.index_bytes)?,
        }
        let index = self.index()?;
        let places = index.places.len();
        let expected = if self.header.kind == FileKind::Body { 1 } else { index.rows() };
        if places != expected || places > u32::MAX as usize {
            return Err(self.wrong(self.footer.index_start, "as many places as messages"));
        }
        // No places lie nowhere.
        let start = index.places.first().map_or(0, |first| ptr::from_ref(first).addr() - self.map.as_ptr().addr());
        Ok((start, places))
    }

    /// Everything but the messages, where it lies. Who has read of it asks whether the file is [`Sealed::still_whole`].
    pub(super) fn index(&self) -> Result<IndexOf<'_>, Error> {
        let start = self.footer.index_start;
        let octets = &self.map[start as usize..(start + self.footer.index_bytes) as usize];
        let index = IndexOf::of(octets).map_err(|what| self.wrong(start, what))?;
        self.still_whole().map(|()| index)
    }

    /// Something is not as it was written; where some of the file is lost, because of that.
    fn wrong(&self, offset: u64, what: &'static str) -> Error {
        if self.map.is_lost() { Error::unreadable(&self.path) } else { Error::corrupt(&self.path, offset, what) }
    }

    /// Says once that a client did not get what was lent of the file.
    fn tell_unsent(&self) {
        if !self.told.replace(true) {
            tracing::error!("{}; a client that it was sent to is disconnected", Error::unreadable(&self.path));
        }
    }

    /// What the file ends with: its footer's checksum, and four bytes before that.
    fn last_bytes(&self) -> [u8; END_BYTES] {
        let end = self.map.as_ptr().wrapping_add(self.map.len() - END_BYTES).cast::<[u8; END_BYTES]>();
        // SAFETY: `open` found a footer of more bytes at the map's end. Volatile: they are read now, however often before.
        unsafe { end.read_volatile() }
    }

    /// Whether all that was read of the file so far was the file's; an error where the disk could not give some of it.
    pub(super) fn still_whole(&self) -> Result<(), Error> {
        // Of a file that was cut the page with the new end reads as zeros without a fault, so the old end is looked at.
        if self.last_bytes() != self.end {
            self.map.lose();
        }
        if self.map.is_lost() { Err(Error::unreadable(&self.path)) } else { Ok(()) }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn name(&self) -> Hash {
        self.name
    }

    pub(super) fn name_bytes(&self) -> &[u8] {
        &self.name.0
    }

    pub(super) fn header(&self) -> &FileHeader {
        &self.header
    }

    /// The file's length.
    pub(super) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Whether [`Sealed::check_message`] was there before.
    pub(super) fn is_checked(&self, row: u32) -> bool {
        self.validated.has(2 * row as usize)
    }

    /// Its length, and how much of that is of no use any more.
    pub(super) fn size(&self) -> Size {
        Size { octets: self.len(), gone: self.gone.get().min(self.len()) }
    }

    /// What all pieces of message `row` take in this file.
    pub(super) fn message_bytes(&self, row: u32) -> u64 {
        Piece::ALL.iter().map(|&piece| u64::from(self.piece_bytes(row, piece))).sum()
    }

    /// Message `row` is expunged. Where copies share what it has, that counts with each.
    pub(super) fn leave(&self, row: u32) {
        self.gone.set(self.gone.get() + self.message_bytes(row));
    }

    /// Verifies what is needed to read record and details of message `row` without a check from then on.
    pub(super) fn check_message(&self, row: u32) -> Result<(), Error> {
        if self.map.is_lost() {
            return Err(Error::unreadable(&self.path));
        }
        if self.is_checked(row) {
            return Ok(());
        }
        let (start, bytes) = self.extent(row, Piece::Record);
        if bytes != 0 {
            let copy = self.copy(start, bytes)?;
            rkyv::access::<ArchivedRecord, RkyvError>(&copy).map_err(|_| self.wrong(start, "record"))?;
        }
        let (start, bytes) = self.extent(row, Piece::Details);
        let copy = self.copy(start, bytes)?;
        rkyv::access::<ArchivedDetails, RkyvError>(&copy).map_err(|_| self.wrong(start, "details"))?;
        self.still_whole()?;
        self.validated.set(2 * row as usize);
        Ok(())
    }

    /// Verified bytes in memory of their own, for they are validated only where nothing changes them meanwhile.
    fn copy(&self, start: u64, bytes: u32) -> Result<AlignedVec, Error> {
        let slice = self.slice(start, bytes)?;
        let mut copy = AlignedVec::with_capacity(slice.len());
        copy.extend_from_slice(slice);
        Ok(copy)
    }

    /// The record of message `row`; a lost one before [`Sealed::check_message`], and in a body file.
    pub(super) fn record(&self, row: u32) -> Kept<'_, ArchivedRecord> {
        let place = self.place(row);
        match self.unverified(place.record_start.to_native(), place.record_bytes.to_native()) {
            // SAFETY: the bit says that these very bytes were validated as this type, unless `Place` reads as zeros by now.
            Some(bytes) if self.is_checked(row) => unsafe { Kept::of(bytes) },
            _ => Kept::lost(),
        }
    }

    /// The details of message `row`; lost ones before [`Sealed::check_message`].
    pub(super) fn details(&self, row: u32) -> Kept<'_, ArchivedDetails> {
        let place = self.place(row);
        match self.unverified(place.details_start.to_native(), place.details_bytes.to_native()) {
            // SAFETY: likewise.
            Some(bytes) if self.is_checked(row) => unsafe { Kept::of(bytes) },
            _ => Kept::lost(),
        }
    }

    /// The folded text of message `row`, where it is in this file.
    pub(super) fn text(&self, row: u32) -> Result<&str, Error> {
        let (start, bytes) = self.extent(row, Piece::Text);
        let bytes = self.slice(start, bytes)?;
        if !self.validated.has(2 * row as usize + 1) {
            std::str::from_utf8(bytes).map_err(|_| self.wrong(start, "text is not UTF-8"))?;
            self.validated.set(2 * row as usize + 1);
        }
        // SAFETY: the bit says that these very bytes were found to be UTF-8. Where some are zeros by now, a character may be
        // cut at a page's end: what searches in texts goes by octets.
        Ok(unsafe { std::str::from_utf8_unchecked(bytes) })
    }

    /// Messages that the file has.
    pub(super) fn message_count(&self) -> usize {
        self.places.1
    }

    /// Octets of the raw message `row`, where it is in this file.
    pub(super) fn octets(&self, row: u32, range: Range<usize>) -> Result<&[u8], Error> {
        let (start, bytes) = self.octets_extent(row, &range);
        if bytes as usize != range.len() {
            return Err(self.wrong(start, "a short message"));
        }
        self.slice(start, bytes)
    }

    /// Where in the file the record of message `row` begins: its own, but for copies that share all they have.
    pub(super) fn record_start(&self, row: u32) -> u64 {
        self.place(row).record_start.to_native()
    }

    /// Where in the file the raw message `row` begins.
    pub(super) fn raw_start(&self, row: u32) -> usize {
        self.place(row).raw_start.to_native() as usize
    }

    /// Whether the raw message `row` is in a body file.
    pub(super) fn is_apart(&self, row: u32) -> bool {
        self.place(row).raw_bytes.to_native() == APART
    }

    /// Whether the text of message `row` is in the body file as well.
    pub(super) fn text_is_apart(&self, row: u32) -> bool {
        self.place(row).text_bytes.to_native() == APART
    }

    /// The body file that message `row` is in.
    pub(super) fn body_name(&self, row: u32) -> Result<Option<Hash>, Error> {
        if !self.is_apart(row) {
            return Ok(None);
        }
        let start = self.place(row).raw_start.to_native();
        let name = self.piece(row, Piece::Name)?;
        name.try_into().map(|name| Some(Hash(name))).map_err(|_| self.wrong(start, "name of a body file"))
    }

    /// Where a piece of message `row` lies; no bytes where it has none in this file.
    pub(super) fn extent(&self, row: u32, piece: Piece) -> Extent {
        let place = self.place(row);
        let apart = self.is_apart(row);
        let (start, bytes) = match piece {
            Piece::Record => (place.record_start, place.record_bytes.to_native()),
            Piece::Details => (place.details_start, place.details_bytes.to_native()),
            Piece::Text if self.text_is_apart(row) => (place.text_start, 0),
            Piece::Text => (place.text_start, place.text_bytes.to_native()),
            Piece::Name => (place.raw_start, if apart { NAME_BYTES } else { 0 }),
            Piece::Raw => (place.raw_start, if apart { 0 } else { place.raw_bytes.to_native() }),
        };
        (start.to_native(), bytes)
    }

    /// Where these octets of the raw message `row` lie, as far as it has them.
    pub(super) fn octets_extent(&self, row: u32, range: &Range<usize>) -> Extent {
        let (start, bytes) = self.extent(row, Piece::Raw);
        let (from, to) = (range.start.min(bytes as usize), range.end.min(bytes as usize));
        (start + from as u64, to.saturating_sub(from) as u32)
    }

    /// A piece of message `row` as it lies in the file, verified.
    pub(super) fn piece(&self, row: u32, piece: Piece) -> Result<&[u8], Error> {
        let (start, bytes) = self.extent(row, piece);
        self.slice(start, bytes)
    }

    /// The bytes of a piece of message `row`.
    pub(super) fn piece_bytes(&self, row: u32, piece: Piece) -> u32 {
        self.extent(row, piece).1
    }

    /// Whether a piece of message `row` could not be read any more when the file was written.
    pub(super) fn is_lost(&self, row: u32, piece: Piece) -> bool {
        self.extent(row, piece).0 >= LOST
    }

    /// The bytes of a piece of message `row` whose blocks nobody read yet, as a range of the file.
    pub(super) fn cold_piece(&self, row: u32, piece: Piece) -> Option<Range<u64>> {
        let (start, bytes) = self.extent(row, piece);
        let mut blocks = self.blocks(start, u64::from(bytes));
        let first = blocks.find(|&block| !self.verified.has(block))?;
        let end = blocks.rfind(|&block| !self.verified.has(block)).unwrap_or(first) + 1;
        Some((first * SEALED_BLOCK_BYTES) as u64..((end * SEALED_BLOCK_BYTES) as u64).min(self.footer.table_start))
    }

    /// The blocks of these extents that nobody verified yet.
    pub(super) fn cold(&self, extents: &[Extent]) -> Option<ColdFile> {
        let mut blocks = Vec::new();
        for &(start, bytes) in extents {
            let cold = self.blocks(start, u64::from(bytes)).filter(|&block| !self.verified.has(block));
            blocks.extend(cold.map(|block| (block as u32, self.checksum(block))));
        }
        blocks.dedup();
        if blocks.is_empty() {
            return None;
        }
        Some(ColdFile { map: self.map.clone(), path: self.path.clone(), end: self.footer.table_start, blocks })
    }

    /// Takes the word of [`ColdFile::verify`] for blocks of this file.
    pub(super) fn warmed(&self, warm: &ColdFile) {
        if warm.map.same(&self.map) {
            warm.blocks.iter().for_each(|&(block, _)| self.verified.set(block as usize));
        }
    }

    fn place(&self, row: u32) -> &ArchivedPlace {
        assert!((row as usize) < self.places.1, "a row of this file");
        let place = self.map.as_ptr().wrapping_add(self.places.0 + row as usize * size_of::<ArchivedPlace>());
        // SAFETY: `open` found so many places there, inside of the index. A place is numbers alone, so zeros are one as well.
        unsafe { &*place.cast::<ArchivedPlace>() }
    }

    /// Bytes that lie before the index; verified.
    fn slice(&self, start: u64, bytes: u32) -> Result<&[u8], Error> {
        if self.map.is_lost() {
            return Err(Error::unreadable(&self.path));
        }
        self.verify(start, u64::from(bytes))?;
        self.unverified(start, bytes).ok_or_else(|| self.wrong(start, "outside the file"))
    }

    fn unverified(&self, start: u64, bytes: u32) -> Option<&[u8]> {
        // Of a place that is zeros in part: nothing lies in the header.
        if start < FRAME_BYTES as u64 && bytes > 0 {
            return None;
        }
        let end = start.checked_add(u64::from(bytes))?;
        self.map[..self.footer.index_start as usize].get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    fn blocks(&self, start: u64, bytes: u64) -> Range<usize> {
        let end = start.saturating_add(bytes).min(self.footer.table_start);
        if start >= end {
            return 0..0;
        }
        (start / SEALED_BLOCK_BYTES as u64) as usize..end.div_ceil(SEALED_BLOCK_BYTES as u64) as usize
    }

    fn verify(&self, start: u64, bytes: u64) -> Result<(), Error> {
        for block in self.blocks(start, bytes) {
            if !self.verified.has(block) {
                check_block(&self.map, &self.path, self.footer.table_start, (block as u32, self.checksum(block)))?;
                self.verified.set(block);
            }
        }
        Ok(())
    }

    fn checksum(&self, block: usize) -> u32 {
        let at = self.footer.table_start as usize + 4 * block;
        u32::from_le_bytes(self.map[at..at + 4].try_into().expect("four bytes"))
    }
}

// SAFETY: a map is always the same slice, and nothing unmaps it while `Sealed` lives, nor changes it but for what is lost.
unsafe impl Lend for Sealed {
    fn octets(&self) -> &[u8] {
        &self.map
    }

    fn is_lost(&self) -> bool {
        let lost = self.still_whole().is_err();
        if lost {
            self.tell_unsent();
        }
        lost
    }

    fn lose(&self) {
        self.map.lose();
        self.tell_unsent();
    }
}

// SAFETY: an unsealed message is never changed: its body is shared memory or a map, the same slice while `Fresh` lives.
unsafe impl Lend for Fresh {
    fn octets(&self) -> &[u8] {
        self.inline_body()
    }
}

fn check_block(map: &Map, path: &str, end: u64, (block, crc): (u32, u32)) -> Result<(), Error> {
    let start = block as usize * SEALED_BLOCK_BYTES;
    let bytes = &map[start..(start + SEALED_BLOCK_BYTES).min(end as usize)];
    let fits = crc32c::crc32c(bytes) == crc;
    match map.is_lost() {
        true => Err(Error::unreadable(path)),
        false if fits => Ok(()),
        false => Err(Error::corrupt(path, start as u64, "block checksum")),
    }
}

/// Where something lies in a file: from which byte, and how many.
pub(super) type Extent = (u64, u32);

/// Blocks of a file that may have to come from the disk, for a helper thread to read in and verify.
#[derive(Debug)]
pub(super) struct ColdFile {
    map: Map,
    path: String,
    end: u64,
    blocks: Vec<(u32, u32)>,
}

impl ColdFile {
    /// Reads the blocks in and compares their checksums. Blocks.
    pub(super) fn verify(&self) -> Result<(), Error> {
        for &(block, crc) in &self.blocks {
            let start = block as usize * SEALED_BLOCK_BYTES;
            let end = (start + SEALED_BLOCK_BYTES).min(self.end as usize);
            match self.map.populate(start..end) {
                // Before Linux 5.14 there is no such advice: then the checksum reads the pages in.
                Err(error) if error.kind() != io::ErrorKind::InvalidInput => return Err(Error::io(&self.path, &error)),
                _ => check_block(&self.map, &self.path, self.end, (block, crc))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::Record;

    #[test]
    fn only_archives_are_encoded() {
        let record = Record {
            uid: 4,
            flags: 1,
            keywords: 0,
            modseq: 9,
            email_id: 1,
            thread_id: 2,
            internal_date: Default::default(),
            saved_at: 3,
            size: 5,
            content_hash: [0; 32],
            delivery: None,
        };
        let bytes = record.encode().unwrap();
        let encoded = Encoded::<Record>::copy(&bytes).unwrap();
        assert_eq!((encoded.uid.to_native(), encoded.modseq.to_native()), (4, 9));
        assert!(Encoded::<Record>::copy(&bytes[..20]).is_none());
        assert!(Encoded::<Record>::copy(&[0xff; 160]).is_none());
    }

    #[test]
    fn maps_of_files_read_and_populate() {
        let path = std::env::temp_dir().join(format!("ringpost-map-{}", std::process::id()));
        std::fs::write(&path, b"mapped").unwrap();
        let map = Map::of_file(&File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        map.populate(0..6).unwrap();
        assert_eq!(&*map, b"mapped");
        let empty = Map::of_bytes(&[]);
        assert!(empty.is_empty());
    }
}
