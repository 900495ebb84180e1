//! A file's bytes as far as the disk gives them, and sealed files put right bit by bit.
//!
//! Invariants: what can't be read is an error of its pages alone: they count as zeros, and are told; a file that is put right is
//! exactly the one that was written, or it is not believed: its name is the SHA-256 of its bytes. Nothing is written here.

use std::io;
use std::ops::Range;

use super::super::disk::{Disk, Open};
use super::super::map::Map;
use super::super::sealed::{FRAME_BYTES, Footer};
use super::super::types::{Error, Hash};
use super::bits;
use crate::limits::{FSCK_PAGE_BYTES, SEALED_BLOCK_BYTES, STORE_WRITE_BYTES};

/// A file in memory, or mapped and read in.
pub(super) struct Contents {
    pub map: Map,
    /// What the disk does not give; zeros in `map`.
    pub unread: Vec<Range<usize>>,
}

/// Reads a whole file; `None`: there is none.
pub(super) async fn read<D: Disk>(disk: &D, path: &str) -> Result<Option<Contents>, Error> {
    let map = match disk.map(path).await {
        Ok(map) => map,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, &error)),
    };
    let mut start = 0;
    while start < map.len() {
        let end = map.len().min(start + STORE_WRITE_BYTES);
        // A page that can't be read is an error here, and a signal where it is touched.
        match map.populate(start..end) {
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => return read_pages(disk, path).await.map(Some),
            _ => start = end,
        }
    }
    Ok(Some(Contents { map, unread: Vec::new() }))
}

/// Reads a file page by page, and passes over those that can't be read.
async fn read_pages<D: Disk>(disk: &D, path: &str) -> Result<Contents, Error> {
    let io = |error: io::Error| Error::io(path, &error);
    let file = disk.open(path, Open::Read).await.map_err(io)?;
    let length = usize::try_from(disk.length(&file).await.map_err(io)?).unwrap_or(usize::MAX);
    let (mut bytes, mut unread): (Vec<u8>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
    while bytes.len() < length {
        let (start, end) = (bytes.len(), length.min(bytes.len() + FSCK_PAGE_BYTES));
        match disk.read(&file, start as u64, end - start).await {
            Ok(page) => bytes.extend_from_slice(&page),
            Err(_) => match unread.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => unread.push(start..end),
            },
        }
        bytes.resize(end, 0);
    }
    Ok(Contents { map: Map::of_bytes(&bytes), unread })
}

/// A sealed file with each of its blocks, where one bit is wrong there, put right.
pub(super) struct Corrected {
    pub bytes: Vec<u8>,
    /// Blocks whose checksum was wrong. What is in them now is a guess where the file's name does not prove it.
    pub wrong: Vec<usize>,
    /// The name proves that these are the bytes that were written.
    pub exact: bool,
}

/// Puts right what single bits explain; `length`: what the file is known to have had. `None`: not even its end can be read.
pub(super) fn corrected(bytes: &[u8], name: Hash, length: Option<u64>) -> Option<Corrected> {
    let length = length.and_then(|length| usize::try_from(length).ok()).filter(|&length| length <= bytes.len());
    let mut bytes = bytes[..length.unwrap_or(bytes.len())].to_vec();
    let end = bytes.len().checked_sub(FRAME_BYTES)?;
    let (rest, frame) = bytes.split_at_mut(end);
    let stored = u32::from_le_bytes(frame[60..].try_into().ok()?);
    if bits::correct(&mut frame[..60], stored) {
        let crc = crc32c::crc32c(&frame[..60]);
        frame[60..].copy_from_slice(&crc.to_le_bytes());
    }
    let footer = Footer::decode(frame, (rest.len() + FRAME_BYTES) as u64).ok()?;
    let (data, table) = rest.split_at_mut(footer.table_start as usize);
    bits::correct(table, footer.table_crc);
    if crc32c::crc32c(table) != footer.table_crc {
        // The blocks say what it was, where they are whole.
        for (entry, block) in table.chunks_mut(4).zip(data.chunks(SEALED_BLOCK_BYTES)) {
            entry.copy_from_slice(&crc32c::crc32c(block).to_le_bytes());
        }
        return (Hash::of(&bytes) == name).then_some(Corrected { bytes, wrong: Vec::new(), exact: true });
    }
    let mut wrong = Vec::new();
    for (index, block) in data.chunks_mut(SEALED_BLOCK_BYTES).enumerate() {
        let stored = u32::from_le_bytes(table[4 * index..4 * index + 4].try_into().ok()?);
        if crc32c::crc32c(block) != stored {
            wrong.push(index);
            bits::correct(block, stored);
        }
    }
    let exact = Hash::of(&bytes) == name;
    Some(Corrected { bytes, wrong, exact })
}
