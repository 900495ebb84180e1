//! Sealed files: what they hold, and how one is written. [`super::map`] reads them.
//!
//! Invariants: a sealed file is written once, from front to back, and never changed; its name is the hash of its bytes;
//! every 64 KiB before the checksum table have a CRC32C there, and the table and the footer have their own. Message
//! records are copied from file to file as they are: nothing in them says where they lie. FORMAT.md, "Sealed files".

use rkyv::rancor::Error as RkyvError;
use rkyv::{Archive, Deserialize, Serialize};

use super::seams::SegmentPut;
use super::types::{AccountId, Error, Hash};
use crate::limits::{SEALED_BLOCK_BYTES, STORE_WRITE_BYTES};

/// The first eight bytes.
pub(super) const MAGIC: &[u8; 8] = b"RPSEALED";
/// The last eight bytes but eight.
pub(super) const FOOTER_MAGIC: &[u8; 8] = b"RPFOOTER";
/// The version of everything in the file. Format 1 has no [`APART`], and a body file belongs to one account.
pub(super) const FORMAT: u16 = 2;
/// Instead of the length of a raw message: it is in a body file, whose name (32 bytes) lies where the message would begin.
/// Instead of that of its text: that is in the body file as well.
pub(super) const APART: u32 = u32::MAX;
/// Pieces that could not be read when their message was copied into a file begin here or behind it, each elsewhere: outside
/// of every file.
pub(super) const LOST: u64 = u64::MAX - u32::MAX as u64;
/// Bytes of a body file's name.
pub(super) const NAME_BYTES: u32 = 32;
/// rkyv 0.8, little endian, 32-bit relative pointers, aligned primitives.
pub(super) const RKYV_CONFIGURATION: u32 = 0x0008_3201;
/// Bytes of the header, and of the footer.
pub(super) const FRAME_BYTES: usize = 64;
/// Archives begin at multiples of this.
pub(super) const ALIGNMENT: u64 = 16;

/// What a file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub(super) enum FileKind {
    /// Mailboxes, records, changes of a range of sequence numbers.
    Account = 1,
    /// The content of one large message, which several messages of several accounts may be made of.
    Body = 2,
}

/// The header of a sealed file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileHeader {
    pub kind: FileKind,
    /// 0 in a body file, which is the same for all that share it (format 1: the one account).
    pub account: AccountId,
    /// The changes of the account after this one
    pub from_seq: u64,
    /// up to this one are in the file.
    pub to_seq: u64,
}

/// The archive at the end of a sealed file: everything but the messages themselves.
#[derive(Default, Debug, Archive, Serialize, Deserialize)]
pub struct Index {
    /// The mailboxes that changed, each as a whole.
    pub mailboxes: Vec<MailboxMeta>,
    /// The messages and changes, by mailbox.
    pub groups: Vec<Group>,
    /// Where the messages lie, all groups one after another.
    pub places: Vec<Place>,
}

/// A mailbox but for its messages.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct MailboxMeta {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: u32,
    /// Special use, a number of `change::SpecialUse`; 0: none.
    pub special_use: u8,
    /// Subscribed; of a deleted one, its name is.
    pub subscribed: bool,
    /// Deleted: it has no messages, whatever older files say.
    pub deleted: bool,
    /// The names of its keywords, by bit.
    pub keywords: Vec<String>,
    /// HIGHESTMODSEQ.
    pub highest_modseq: u64,
    /// The first UID that no read-write session saw.
    pub recent_from: u32,
}

/// One mailbox's part of a sealed file: columns, ascending by UID.
#[derive(Default, Debug, Archive, Serialize, Deserialize)]
pub struct Group {
    /// The mailbox.
    pub mailbox: u32,
    /// The index in [`Index::places`] of the first message.
    pub first: u32,
    /// UIDs.
    pub uid: Vec<u32>,
    /// MODSEQs.
    pub modseq: Vec<u64>,
    /// System flags.
    pub flags: Vec<u16>,
    /// Keywords.
    pub keywords: Vec<u64>,
    /// RFC822.SIZE.
    pub size: Vec<u32>,
    /// INTERNALDATE, Unix time.
    pub date_seconds: Vec<i64>,
    /// INTERNALDATE, minutes east.
    pub date_offset: Vec<i16>,
    /// What became of messages of older files.
    pub changed: Vec<Changed>,
    /// UIDs that were expunged, ascending.
    pub vanished: Vec<Vanished>,
}

/// The flags of a message of an older file, as they are now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
#[rkyv(derive(Debug))]
pub struct Changed {
    /// The message.
    pub uid: u32,
    /// System flags.
    pub flags: u16,
    /// Keywords.
    pub keywords: u64,
    /// MODSEQ.
    pub modseq: u64,
}

impl From<&ArchivedChanged> for Changed {
    fn from(row: &ArchivedChanged) -> Changed {
        Changed {
            uid: row.uid.to_native(),
            flags: row.flags.to_native(),
            keywords: row.keywords.to_native(),
            modseq: row.modseq.to_native(),
        }
    }
}

/// A message that is gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Archive, Serialize, Deserialize)]
#[rkyv(derive(Debug))]
pub struct Vanished {
    /// What it was.
    pub uid: u32,
    /// MODSEQ of the expunge.
    pub modseq: u64,
}

impl From<&ArchivedVanished> for Vanished {
    fn from(gone: &ArchivedVanished) -> Vanished {
        Vanished { uid: gone.uid.to_native(), modseq: gone.modseq.to_native() }
    }
}

/// Where a message's four pieces lie in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Archive, Serialize, Deserialize)]
#[rkyv(derive(Debug))]
pub struct Place {
    /// The record's archive.
    pub record_start: u64,
    /// Its bytes; 0 in a body file.
    pub record_bytes: u32,
    /// The details' archive.
    pub details_start: u64,
    /// Its bytes.
    pub details_bytes: u32,
    /// The folded text.
    pub text_start: u64,
    /// Its bytes, or [`APART`].
    pub text_bytes: u32,
    /// The raw message.
    pub raw_start: u64,
    /// Its bytes, or [`APART`].
    pub raw_bytes: u32,
}

/// What there is of a message in a file, in the order in which the pieces of all messages lie there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    Record,
    Details,
    Text,
    /// The name of the body file, where the raw message is [`APART`].
    Name,
    Raw,
}

impl Piece {
    pub(super) const ALL: [Piece; 5] = [Piece::Record, Piece::Details, Piece::Text, Piece::Name, Piece::Raw];
}

impl FileHeader {
    fn encode(&self) -> [u8; FRAME_BYTES] {
        let mut bytes = [0; FRAME_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[10..12].copy_from_slice(&(self.kind as u16).to_le_bytes());
        bytes[12..16].copy_from_slice(&RKYV_CONFIGURATION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.account.0.to_le_bytes());
        let partition = if self.kind == FileKind::Body { 0 } else { self.account.partition().0 };
        bytes[24..26].copy_from_slice(&partition.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.from_seq.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.to_seq.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; what is wrong with it otherwise.
    pub(super) fn decode(bytes: &[u8]) -> Result<FileHeader, &'static str> {
        let bytes = bytes.get(..FRAME_BYTES).ok_or("too short for a header")?;
        if bytes[0..8] != *MAGIC {
            return Err("not a sealed file");
        }
        if crc32c::crc32c(&bytes[..60]) != u32::from_le_bytes(bytes[60..64].try_into().expect("four")) {
            return Err("header checksum");
        }
        let format = u16::from_le_bytes([bytes[8], bytes[9]]);
        if !(1..=FORMAT).contains(&format) || bytes[12..16] != RKYV_CONFIGURATION.to_le_bytes() {
            return Err("written in a format of another version");
        }
        let kind = match u16::from_le_bytes([bytes[10], bytes[11]]) {
            1 => FileKind::Account,
            2 => FileKind::Body,
            _ => return Err("unknown kind of file"),
        };
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
        Ok(FileHeader { kind, account: AccountId(long(16)), from_seq: long(32), to_seq: long(40) })
    }
}

/// The footer: where the archive and the table of checksums are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Footer {
    pub index_start: u64,
    pub index_bytes: u64,
    pub table_start: u64,
    pub blocks: u32,
    pub table_crc: u32,
    /// Of the index alone, so that it can be believed beside damaged messages. 0 in files from before there was one.
    pub index_crc: u32,
}

impl Footer {
    fn encode(&self) -> [u8; FRAME_BYTES] {
        let mut bytes = [0; FRAME_BYTES];
        bytes[0..8].copy_from_slice(&self.index_start.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.index_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.table_start.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.blocks.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.table_crc.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.index_crc.to_le_bytes());
        bytes[48..56].copy_from_slice(FOOTER_MAGIC);
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Whether these are the octets of the index that was written; `None`: the footer does not say.
    pub(super) fn knows(&self, index: &[u8]) -> Option<bool> {
        (self.index_crc != 0).then(|| crc32c::crc32c(index) == self.index_crc)
    }

    /// Reads the footer of a file of `length` bytes and checks that what it says fits; what is wrong otherwise.
    pub(super) fn decode(bytes: &[u8], length: u64) -> Result<Footer, &'static str> {
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
        let short = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
        if bytes.len() != FRAME_BYTES || bytes[48..56] != *FOOTER_MAGIC || crc32c::crc32c(&bytes[..60]) != short(60) {
            return Err("footer checksum");
        }
        let footer = Footer {
            index_start: long(0),
            index_bytes: long(8),
            table_start: long(16),
            blocks: short(24),
            table_crc: short(28),
            index_crc: short(32),
        };
        let fits = footer.index_start.is_multiple_of(ALIGNMENT)
            && footer.index_start.checked_add(footer.index_bytes).is_some_and(|end| end <= footer.table_start)
            && footer.table_start.div_ceil(SEALED_BLOCK_BYTES as u64) == u64::from(footer.blocks)
            && footer.table_start + 4 * u64::from(footer.blocks) + FRAME_BYTES as u64 == length;
        if fits { Ok(footer) } else { Err("footer does not fit the file") }
    }
}

/// Writes a sealed file into a segment, front to back.
pub(super) struct SealedWriter {
    put: Box<dyn SegmentPut>,
    pending: Vec<u8>,
    position: u64,
    block_crc: u32,
    table: Vec<u8>,
}

impl SealedWriter {
    pub(super) async fn begin(put: Box<dyn SegmentPut>, header: FileHeader) -> Result<SealedWriter, Error> {
        let mut writer = SealedWriter { put, pending: Vec::new(), position: 0, block_crc: 0, table: Vec::new() };
        writer.write(&header.encode()).await?;
        Ok(writer)
    }

    /// Bytes so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = SEALED_BLOCK_BYTES - (self.position % SEALED_BLOCK_BYTES as u64) as usize;
            let (piece, after) = rest.split_at(room.min(rest.len()));
            self.block_crc = crc32c::crc32c_append(self.block_crc, piece);
            self.position += piece.len() as u64;
            if self.position.is_multiple_of(SEALED_BLOCK_BYTES as u64) {
                self.end_block();
            }
            rest = after;
        }
        self.pass(bytes).await
    }

    /// Removes what is written so far.
    pub(super) async fn give_up(self) {
        self.put.give_up().await;
    }

    /// Zeros up to the next multiple of [`ALIGNMENT`].
    pub(super) async fn align(&mut self) -> Result<(), Error> {
        let padding = (self.position.next_multiple_of(ALIGNMENT) - self.position) as usize;
        self.write(&[0; ALIGNMENT as usize][..padding]).await
    }

    /// Writes the index, the table and the footer; the file's name and its bytes.
    pub(super) async fn finish(mut self, index: &Index, file: &str) -> Result<(Hash, u64), Error> {
        self.align().await?;
        let index_start = self.position;
        let Ok(archive) = rkyv::to_bytes::<RkyvError>(index) else {
            self.give_up().await;
            return Err(Error::corrupt(file, index_start, "index too large"));
        };
        self.write(&archive).await?;
        let table_start = self.position;
        if !table_start.is_multiple_of(SEALED_BLOCK_BYTES as u64) {
            self.end_block();
        }
        let table = std::mem::take(&mut self.table);
        let footer = Footer {
            index_start,
            index_bytes: archive.len() as u64,
            table_start,
            blocks: (table.len() / 4) as u32,
            table_crc: crc32c::crc32c(&table),
            index_crc: crc32c::crc32c(&archive),
        };
        self.pass(&table).await?;
        self.pass(&footer.encode()).await?;
        self.put.write(&self.pending).await?;
        let bytes = table_start + (table.len() + FRAME_BYTES) as u64;
        Ok((self.put.finish().await?, bytes))
    }

    fn end_block(&mut self) {
        self.table.extend_from_slice(&self.block_crc.to_le_bytes());
        self.block_crc = 0;
    }

    /// Small pieces are gathered, so that the segment sees few writes.
    async fn pass(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.pending.len() + bytes.len() < STORE_WRITE_BYTES {
            self.pending.extend_from_slice(bytes);
            return Ok(());
        }
        self.put.write(&self.pending).await?;
        self.pending.clear();
        self.put.write(bytes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_footers_come_back() {
        let header = FileHeader { kind: FileKind::Account, account: AccountId(9), from_seq: 4, to_seq: 70 };
        let bytes = header.encode();
        assert_eq!(FileHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::decode(&bytes).is_err(), "bit {bit}");
        }
        let footer =
            Footer { index_start: 64, index_bytes: 100, table_start: 176, blocks: 1, table_crc: 5, index_crc: 6 };
        assert_eq!(Footer::decode(&footer.encode(), 176 + 4 + 64), Ok(footer));
        assert!(Footer::decode(&footer.encode(), 176 + 4 + 65).is_err());
    }
}
