//! The commit log in files: one stream a shard, in prewritten segments, one write with its sync in flight at a time.
//!
//! Invariants: a segment is zeros (or an older incarnation's records) on the medium, under its final name, before the
//! first record goes into it, so that a commit syncs data alone; what is submitted while a write is under way is written
//! next, in order; a batch never crosses a segment's end; after a failed write nothing is written any more. A segment's
//! incarnation is in its name and in every record: a recycled file has a new name, and its old records don't count; nor does
//! mail that looks like records, for who writes it can't know the incarnations to come ([`Secret`]). Reading back is
//! [`super::log_replay`]'s. FORMAT.md, "Log".

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use super::disk::{Disk, Open};
use super::log_record::Batch;
use super::log_replay::{FileReplay, SegmentName};
use super::sealed::RKYV_CONFIGURATION;
use super::seams::{Batches, Boxed, CommitLog, Lost, Lsn, PartSet, Permit, Refusal, StreamId};
use super::types::{Error, Hash};
use crate::limits::{LOG_QUEUED_BYTES_MAX, LOG_SEGMENTS_FREE_MAX, STORE_WRITE_BYTES};

/// Where the first record of a segment is.
pub(super) const LOG_HEADER_BYTES: usize = 512;
/// The first eight bytes of a segment.
pub(super) const LOG_MAGIC: &[u8; 8] = b"RPCOMLOG";
/// The version of segments and records.
pub(super) const LOG_FORMAT: u16 = 2;

/// What incarnations are made of: nobody who sends mail may know it.
#[derive(Clone, Copy)]
pub struct Secret(pub [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a secret")
    }
}

impl Secret {
    /// The segment that `number` is in a stream's epoch.
    pub(super) fn segment(&self, epoch: u64, stream: StreamId, number: u32) -> SegmentName {
        let place = [&epoch.to_le_bytes()[..], &stream.0.to_le_bytes(), &number.to_le_bytes()].concat();
        let hash = Hash::of(&[&self.0[..], &place].concat());
        let incarnation = u64::from_le_bytes(hash.0[..8].try_into().expect("eight"));
        SegmentName { epoch, stream, number, incarnation }
    }
}

type Write = Boxed<'static, (io::Result<()>, Vec<u8>)>;
type Preparation<F> = Boxed<'static, Result<Segment<F>, Unmade>>;

/// What all segments of a log have in common.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub secret: Secret,
    pub segment_bytes: u64,
}

/// [`CommitLog`] over files.
pub(super) struct FileLog<D: Disk> {
    disk: D,
    stream: StreamId,
    epoch: u64,
    shape: Shape,
    state: RefCell<State<D::File>>,
    /// The write in flight. Never polled while `state` is borrowed.
    write: RefCell<Option<Write>>,
    /// The next segment in the making.
    prepare: RefCell<Option<Preparation<D::File>>>,
}

struct Segment<F> {
    name: SegmentName,
    file: F,
}

/// A segment that could not be made.
struct Unmade {
    error: io::Error,
    /// Nothing was lost: there was no room, or no descriptor or memory to open a file with. Another try may go better.
    passing: bool,
    /// The file that was to be used again, where it still is what it was.
    old: Option<SegmentName>,
}

impl Unmade {
    /// An operation on names or an open failed.
    fn opening(error: io::Error) -> Unmade {
        let short = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM));
        Unmade { passing: short || is_full(&error), error, old: None }
    }

    /// A write or a sync failed: final, but where there was no room.
    fn writing(error: io::Error) -> Unmade {
        Unmade { passing: is_full(&error), error, old: None }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(Error::io("log", error), Error::Full)
}

struct State<F> {
    next_seq: u64,
    durable: u64,
    /// The last record of the write in flight.
    writing: u64,
    reported: u64,
    waiting: VecDeque<(Batch, u64)>,
    waiting_bytes: usize,
    reserved: usize,
    current: Option<Segment<F>>,
    position: u64,
    spare: Option<Segment<F>>,
    /// Segments that are full, each with its last record.
    filled: VecDeque<(SegmentName, u64)>,
    /// Trimmed segments whose files wait to be used again.
    free: Vec<SegmentName>,
    next_number: u32,
    opened: bool,
    /// There was no room for a spare, or no descriptor; tried again when somebody asks for it.
    full: bool,
    lost: bool,
    buffers: Vec<Vec<u8>>,
}

impl<D: Disk> FileLog<D> {
    /// A stream's log in an epoch.
    pub(super) fn new(disk: D, stream: StreamId, epoch: u64, shape: Shape) -> FileLog<D> {
        let state = State {
            next_seq: 1,
            durable: 0,
            writing: 0,
            reported: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            reserved: 0,
            current: None,
            position: LOG_HEADER_BYTES as u64,
            spare: None,
            filled: VecDeque::new(),
            free: Vec::new(),
            next_number: 1,
            opened: false,
            full: false,
            lost: false,
            buffers: Vec::new(),
        };
        let (state, write, prepare) = (RefCell::new(state), RefCell::new(None), RefCell::new(None));
        FileLog { disk, stream, epoch, shape, state, write, prepare }
    }

    fn lsn(&self, seq: u64) -> Lsn {
        Lsn { epoch: self.epoch, seq }
    }

    /// The next segment, and the file that it may be made of.
    fn next_name(&self, state: &mut State<D::File>) -> (SegmentName, Option<SegmentName>) {
        let number = state.next_number;
        state.next_number += 1;
        (self.shape.secret.segment(self.epoch, self.stream, number), state.free.pop())
    }

    /// Drives the segment in the making, and begins one where there is no spare.
    fn poll_prepare(&self, context: &mut Context<'_>) {
        let mut prepare = self.prepare.borrow_mut();
        loop {
            if let Some(future) = prepare.as_mut() {
                let Poll::Ready(made) = future.as_mut().poll(context) else { return };
                *prepare = None;
                let mut state = self.state.borrow_mut();
                match made {
                    Ok(segment) => state.spare = Some(segment),
                    Err(Unmade { error, passing, old }) => {
                        tracing::error!(again = passing, "the next log segment can't be made: {error}");
                        state.free.extend(old);
                        (state.full, state.lost) = (passing, !passing);
                    }
                }
            }
            let mut state = self.state.borrow_mut();
            if state.spare.is_some() || state.full || state.lost || !state.opened {
                return;
            }
            let (name, old) = self.next_name(&mut state);
            *prepare = Some(Box::pin(make_segment(self.disk.clone(), name, old, self.shape.segment_bytes)));
        }
    }

    /// Drives the write in flight; false: it is still under way, or there was none.
    fn poll_write(&self, context: &mut Context<'_>) -> bool {
        let mut write = self.write.borrow_mut();
        let Some(future) = write.as_mut() else { return false };
        let Poll::Ready((written, buffer)) = future.as_mut().poll(context) else { return false };
        *write = None;
        let mut state = self.state.borrow_mut();
        match written {
            Ok(()) => {
                state.durable = state.writing;
                if state.buffers.len() < 2 {
                    state.buffers.push(buffer);
                }
            }
            Err(error) => {
                tracing::error!("the commit log can't be written: {error}");
                state.lost = true;
            }
        }
        true
    }

    /// Begins the next write where none is in flight; false: nothing to write, or no segment to write to yet.
    fn begin_write(&self) -> bool {
        let mut write = self.write.borrow_mut();
        let state = &mut *self.state.borrow_mut();
        if write.is_some() || state.lost {
            return false;
        }
        let Some(bytes) = state.waiting.front().map(|(batch, _)| batch.len()) else { return false };
        if state.position + bytes as u64 > self.shape.segment_bytes {
            let Some(spare) = state.spare.take() else { return false };
            if let Some(old) = state.current.replace(spare) {
                state.filled.push_back((old.name, state.writing));
            }
            state.position = LOG_HEADER_BYTES as u64;
        }
        let (Some(segment), Some((batch, first))) = (&state.current, state.waiting.pop_front()) else { return false };
        state.waiting_bytes -= bytes;
        state.writing = first + batch.offsets().len() as u64 - 1;
        let (disk, file, offset) = (self.disk.clone(), segment.file.clone(), state.position);
        state.position += bytes as u64;
        let bytes = batch.stamp(self.epoch, segment.name.incarnation, first);
        *write = Some(Box::pin(async move { disk.write_sync(&file, offset, bytes).await }));
        true
    }
}

impl<D: Disk> CommitLog for FileLog<D> {
    fn open(&self) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async {
            let (name, old) = self.next_name(&mut self.state.borrow_mut());
            let made = make_segment(self.disk.clone(), name, old, self.shape.segment_bytes).await;
            let mut state = self.state.borrow_mut();
            match made {
                Ok(segment) => state.current = Some(segment),
                // What is there can be read all the same. Changes are refused until there is room for a first segment.
                Err(unmade) if is_full(&unmade.error) => {
                    tracing::error!("changes are refused until there is room for the log: {}", unmade.error);
                    (state.position, state.full) = (self.shape.segment_bytes, true);
                }
                Err(unmade) => return Err(Error::io(&name.path(), &unmade.error)),
            }
            state.opened = true;
            Ok(())
        })
    }

    fn reserve(&self, bytes: usize) -> Option<Permit> {
        let mut state = self.state.borrow_mut();
        let total = (state.waiting_bytes + state.reserved + bytes) as u64;
        let fits = state.position + total <= self.shape.segment_bytes
            || state.spare.is_some() && LOG_HEADER_BYTES as u64 + total <= self.shape.segment_bytes;
        if !fits || total > LOG_QUEUED_BYTES_MAX as u64 {
            return None;
        }
        state.reserved += bytes;
        Some(Permit(bytes))
    }

    fn refusal(&self) -> Refusal {
        // Whoever asks wants room: the next turn tries again to make some.
        if std::mem::take(&mut self.state.borrow_mut().full) { Refusal::Full } else { Refusal::Busy }
    }

    fn submit(&self, permit: Permit, batch: Batch) -> Lsn {
        let mut state = self.state.borrow_mut();
        state.reserved -= permit.0;
        let (first, records) = (state.next_seq, batch.offsets().len() as u64);
        if records == 0 {
            return self.lsn(first - 1);
        }
        state.next_seq += records;
        state.waiting_bytes += batch.len();
        state.waiting.push_back((batch, first));
        self.lsn(first + records - 1)
    }

    fn poll_durable(&self, context: &mut Context<'_>) -> Poll<Result<Lsn, Lost>> {
        loop {
            self.poll_prepare(context);
            let moved = self.poll_write(context);
            let begun = self.begin_write();
            let mut state = self.state.borrow_mut();
            if state.lost {
                return Poll::Ready(Err(Lost::Poisoned));
            }
            if state.durable > state.reported {
                state.reported = state.durable;
                return Poll::Ready(Ok(self.lsn(state.durable)));
            }
            if !moved && !begun {
                return Poll::Pending;
            }
        }
    }

    fn valid_until(&self) -> Option<Instant> {
        None
    }

    fn replay(&self, from: Lsn, parts: &PartSet) -> Box<dyn Batches> {
        Box::new(FileReplay::new(self.disk.clone(), self.stream, self.epoch, from, parts.clone()))
    }

    fn trim(&self, upto: Lsn) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut remove = Vec::new();
            {
                let state = &mut *self.state.borrow_mut();
                while let Some(&(name, last)) = state.filled.front()
                    && self.lsn(last) <= upto
                {
                    state.filled.pop_front();
                    if state.free.len() < LOG_SEGMENTS_FREE_MAX {
                        state.free.push(name);
                    } else {
                        remove.push(name.path());
                    }
                }
            }
            for path in remove {
                self.disk.remove(&path).await.map_err(|error| Error::io(&path, &error))?;
            }
            Ok(())
        })
    }

    fn batch(&self) -> Batch {
        Batch::over(self.state.borrow_mut().buffers.pop().unwrap_or_default())
    }
}

/// Makes a segment, out of the file of segment `old` where there is one, ready to be written: on the medium, with
/// its name. Where that fails nothing of it is left; a number that is not used is no gap in the log.
async fn make_segment<D: Disk>(
    disk: D,
    name: SegmentName,
    old: Option<SegmentName>,
    bytes: u64,
) -> Result<Segment<D::File>, Unmade> {
    let (path, old_path) = (name.path(), old.map(SegmentName::path));
    let opened = match &old_path {
        Some(old_path) => disk.open(old_path, Open::Update).await,
        None => disk.open(&path, Open::Create).await,
    };
    let file = opened.map_err(|error| Unmade { old, ..Unmade::opening(error) })?;
    let made = async {
        match &old_path {
            Some(old_path) => disk.rename(old_path, &path).await.map_err(Unmade::opening)?,
            None => write_zeros(&disk, &file, bytes).await.map_err(Unmade::writing)?,
        }
        let header = segment_header(name);
        disk.write_sync(&file, 0, header).await.0.map_err(Unmade::writing)?;
        // The folder is opened for it.
        disk.sync_folder("log").await.map_err(Unmade::opening)
    };
    if let Err(unmade) = made.await {
        drop(file);
        for path in old_path.iter().chain([&path]) {
            let _ = disk.remove(path).await;
        }
        return Err(unmade);
    }
    Ok(Segment { name, file })
}

async fn write_zeros<D: Disk>(disk: &D, file: &D::File, bytes: u64) -> io::Result<()> {
    let mut zeros = vec![0; STORE_WRITE_BYTES.min(bytes as usize)];
    let mut offset = 0;
    while offset < bytes {
        zeros.truncate((bytes - offset).min(STORE_WRITE_BYTES as u64) as usize);
        let (written, back) = disk.write(file, offset, zeros).await;
        written?;
        zeros = back;
        offset += zeros.len() as u64;
    }
    Ok(())
}

/// The first bytes of a segment.
pub(super) fn segment_header(name: SegmentName) -> Vec<u8> {
    let mut header = vec![0; LOG_HEADER_BYTES];
    header[0..8].copy_from_slice(LOG_MAGIC);
    header[8..10].copy_from_slice(&LOG_FORMAT.to_le_bytes());
    header[10..12].copy_from_slice(&name.stream.0.to_le_bytes());
    header[12..16].copy_from_slice(&RKYV_CONFIGURATION.to_le_bytes());
    header[16..24].copy_from_slice(&name.epoch.to_le_bytes());
    header[24..32].copy_from_slice(&name.incarnation.to_le_bytes());
    let crc = crc32c::crc32c(&header[..60]);
    header[60..64].copy_from_slice(&crc.to_le_bytes());
    header
}
