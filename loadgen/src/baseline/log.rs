//! A log on the disk: batches of messages written and synced, and all of it read back.
//!
//! The file is written once before anything is measured, and then over and over, so that no sync has to write the file's own
//! metadata. It has lost its name by then, so that nothing of it stays, however the run ends.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use rustix::fs::statfs;

use super::deliver::MESSAGE_BYTES;
use super::{Measure, Place, Round};
use crate::tally::histogram;

/// Messages of a batch.
pub(super) const BATCHES: [usize; 4] = [1, 4, 16, 64];
const LOG_BYTES: usize = 64 << 20;
/// What is written at once before, and read at once in a replay.
const CHUNK_BYTES: usize = 1 << 20;
/// statfs(2).
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// A prewritten file in `folder`.
pub(super) fn prewritten(folder: &Path) -> Result<File, String> {
    let shown = folder.display();
    let failed = |error: std::io::Error| format!("--folder {shown}: {error}");
    if statfs(folder).map_err(|error| failed(error.into()))?.f_type as i64 == TMPFS_MAGIC {
        return Err(format!("--folder {shown} is in memory (tmpfs), where a sync costs nothing: name one on a disk"));
    }
    let path = folder.join(format!("loadgen-baseline-{}", std::process::id()));
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
    fs::remove_file(&path).map_err(failed)?;
    let chunk: Vec<u8> = (0..CHUNK_BYTES).map(|at| (at ^ (at >> 8)) as u8).collect();
    for _ in 0..LOG_BYTES / CHUNK_BYTES {
        file.write_all(&chunk).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    Ok(file)
}

/// Batches, each a write and an fdatasync.
pub(super) struct Commit(pub(super) Rc<File>);

impl Measure for Commit {
    fn measure(&mut self, place: &Place, round: &mut Round) -> Result<(), String> {
        for batch in BATCHES {
            let bytes = vec![b'm'; batch * MESSAGE_BYTES];
            let mut taken = histogram();
            let from = Instant::now();
            let (mut before, mut at) = (from, 0);
            while taken.is_empty() || before - from < place.time {
                self.0
                    .write_all_at(&bytes, at)
                    .and_then(|()| self.0.sync_data())
                    .map_err(|error| format!("writing the log: {error}"))?;
                let now = Instant::now();
                taken.saturating_record((now - before).as_nanos() as u64);
                before = now;
                at = (at + bytes.len() as u64) % LOG_BYTES as u64;
            }
            round.put(format!("commit_{batch}_per_second"), taken.len() as f64 / (before - from).as_secs_f64());
            for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
                let nanoseconds = taken.value_at_quantile(quantile);
                round.put(format!("commit_{batch}_{name}_milliseconds"), nanoseconds as f64 / 1e6);
            }
        }
        Ok(())
    }
}

/// Reading all of it, with a checksum.
pub(super) struct Replay(pub(super) Rc<File>);

impl Measure for Replay {
    fn measure(&mut self, place: &Place, round: &mut Round) -> Result<(), String> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let from = Instant::now();
        let (mut read, mut checksum) = (0, 0);
        while read == 0 || from.elapsed() < place.time {
            self.0
                .read_exact_at(&mut chunk, read % LOG_BYTES as u64)
                .map_err(|error| format!("reading the log: {error}"))?;
            checksum = crc32c::crc32c_append(checksum, &chunk);
            read += chunk.len() as u64;
        }
        black_box(checksum);
        round.put("replay_megabytes_per_second", read as f64 / 1e6 / from.elapsed().as_secs_f64());
        Ok(())
    }
}
