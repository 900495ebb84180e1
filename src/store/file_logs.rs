//! The commit logs in files: which epoch it is, which streams earlier ones left, and when those may go.
//!
//! Invariants: the epoch is counted up, durably, before anything is written in it, above every one in a segment's name; what is
//! read of earlier ones is on the medium, also where the process before ended before its sync. FORMAT.md, "Starting".

use std::rc::Rc;

use super::disk::{Disk, Open, read_whole, replace};
use super::log::{FileLog, Secret, Shape};
use super::log_replay::{SegmentName, last_batch};
use super::seams::{Begun, Boxed, CommitLog, Logs, StreamId};
use super::types::Error;
use crate::limits::LOG_SEGMENT_BYTES;

/// Format 2, and with it that of the segments: an older server finds no epoch that it knows, and does not start.
const EPOCH_MAGIC: &[u8; 8] = b"RPEPOCH2";
const EPOCH_MAGIC_1: &[u8; 8] = b"RPEPOCH1";
const EPOCH_BYTES: usize = 20;
/// The file that says which opening this is.
pub(super) const EPOCH_PATH: &str = "log/EPOCH";

/// [`Logs`] over files.
pub(super) struct FileLogs<D: Disk> {
    disk: D,
    shape: Shape,
}

impl<D: Disk> FileLogs<D> {
    pub(super) fn new(disk: D, secret: Secret) -> FileLogs<D> {
        FileLogs { disk, shape: Shape { secret, segment_bytes: LOG_SEGMENT_BYTES } }
    }

    /// Logs whose segments are small enough to turn over in a test.
    #[cfg(test)]
    pub(super) fn with_segments(disk: D, segment_bytes: u64) -> FileLogs<D> {
        FileLogs { disk, shape: Shape { secret: Secret([7; 32]), segment_bytes } }
    }

    async fn segments(&self) -> Result<Vec<SegmentName>, Error> {
        let names = self.disk.list("log").await.map_err(|error| Error::io("log", &error))?;
        Ok(names.iter().filter_map(|name| SegmentName::parse(name)).collect())
    }

    /// Counts the epoch up, durably.
    async fn next_epoch(&self, segments: &[SegmentName]) -> Result<u64, Error> {
        let io = |error: std::io::Error| Error::io(EPOCH_PATH, &error);
        let last = match read_whole(&self.disk, EPOCH_PATH).await.map_err(io)? {
            None => 0,
            Some(bytes) => decode_epoch(&bytes).ok_or_else(|| Error::corrupt(EPOCH_PATH, 0, "epoch checksum"))?,
        };
        let newest = segments.iter().map(|segment| segment.epoch).max().unwrap_or(0);
        let epoch = last.max(newest) + 1;
        match replace(&self.disk, "log", "EPOCH", encode_epoch(epoch)).await.map_err(io) {
            // Where there is no room for another file there is that of this one, and a sector is written whole or not at all.
            Err(Error::Full) if last > 0 => {
                let file = self.disk.open(EPOCH_PATH, Open::Update).await.map_err(io)?;
                self.disk.write_sync(&file, 0, encode_epoch(epoch)).await.0.map_err(io)?;
            }
            replaced => replaced?,
        }
        Ok(epoch)
    }

    /// Writes the last batch of each stream's epochs once more, as it is: its sync may have failed, or never ended, and a sync alone may
    /// find nothing to do after one that failed. The batches before it were on the medium before it was begun.
    async fn write_last_batches(&self, segments: &[SegmentName]) -> Result<(), Error> {
        let mut names = segments.to_vec();
        names.sort_unstable();
        let mut written = None;
        for name in names.iter().rev() {
            if written == Some((name.epoch, name.stream)) {
                continue;
            }
            let path = name.path();
            let io = |error: std::io::Error| Error::io(&path, &error);
            let map = self.disk.map(&path).await.map_err(io)?;
            let Some(range) = last_batch(&map, *name) else { continue };
            let (start, bytes) = (range.start as u64, map[range].to_vec());
            if map.is_lost() {
                // Zeros are not to take the place of what the medium may still have.
                return Err(Error::unreadable(&path));
            }
            drop(map);
            let file = self.disk.open(&path, Open::Update).await.map_err(io)?;
            self.disk.write_sync(&file, start, bytes).await.0.map_err(io)?;
            written = Some((name.epoch, name.stream));
        }
        Ok(())
    }
}

impl<D: Disk> Logs for FileLogs<D> {
    fn begin(&self) -> Boxed<'_, Result<Begun, Error>> {
        Box::pin(async {
            self.disk.create_folder("log").await.map_err(|error| Error::io("log", &error))?;
            self.disk.sync_folder(".").await.map_err(|error| Error::io(".", &error))?;
            let segments = self.segments().await?;
            let epoch = self.next_epoch(&segments).await?;
            self.write_last_batches(&segments).await?;
            let mut streams: Vec<StreamId> = segments.iter().map(|segment| segment.stream).collect();
            streams.sort_unstable();
            streams.dedup();
            Ok(Begun { epoch, streams })
        })
    }

    fn stream(&self, stream: StreamId, epoch: u64) -> Rc<dyn CommitLog> {
        Rc::new(FileLog::new(self.disk.clone(), stream, epoch, self.shape))
    }

    fn forget(&self, epoch: u64) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            for segment in self.segments().await?.into_iter().filter(|segment| segment.epoch < epoch) {
                let path = segment.path();
                self.disk.remove(&path).await.map_err(|error| Error::io(&path, &error))?;
            }
            self.disk.sync_folder("log").await.map_err(|error| Error::io("log", &error))
        })
    }
}

/// The file that says `epoch`.
pub(super) fn encode_epoch(epoch: u64) -> Vec<u8> {
    let mut bytes = EPOCH_MAGIC.to_vec();
    bytes.extend_from_slice(&epoch.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// The epoch that such a file says; `None`: it is damaged.
pub(super) fn decode_epoch(bytes: &[u8]) -> Option<u64> {
    let bytes: &[u8; EPOCH_BYTES] = bytes.try_into().ok()?;
    let known = [EPOCH_MAGIC, EPOCH_MAGIC_1].iter().any(|magic| bytes[0..8] == magic[..]);
    let whole = known && crc32c::crc32c(&bytes[..16]).to_le_bytes() == bytes[16..20];
    whole.then(|| u64::from_le_bytes(bytes[8..16].try_into().expect("eight")))
}
