//! Which sealed files a checkpoint merges with what is new: as many of the youngest as [`due`] says.
//!
//! Invariants: a message is written anew as its file is merged into one of a higher tier, each four times the size of the one
//! below, and no more once that one has [`FILE_BYTES_FINAL`], until much of it is gone; an account has a handful of files a tier,
//! and at most one for each [`FILE_BYTES_FINAL`]; what is gone takes about half of all files, or each checkpoint makes that less. Files are
//! merged from some one on to the youngest, since UIDs ascend from file to file (FORMAT.md); where that is too much at once, a
//! file that is half gone is written again alone, in its place.

use crate::limits::{FILE_BYTES_FINAL, FILE_BYTES_SMALL, FILES_MERGED_MIN, WASTED_MERGED_BYTES_MAX};

/// A sealed file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Its length.
    pub octets: u64,
    /// What messages take in it that are gone.
    pub gone: u64,
}

/// How many of `files`, oldest first, are merged from the end, where `new` octets come.
pub(super) fn due(files: &[Size], new: u64) -> usize {
    let (mut older, mut octets) = (files, new);
    loop {
        let low = |file: &&Size| file.octets < FILE_BYTES_FINAL / scale() && tier(file.octets) <= tier(octets);
        let alike = older.iter().rev().take_while(low).count();
        // Few files for an account of little mail: there it costs nothing.
        let half =
            older.last().is_some_and(|last| last.octets < FILE_BYTES_SMALL / scale() && octets >= last.octets / 2);
        // Those that are small themselves are doubled.
        let many = octets >= FILE_BYTES_SMALL / scale() && alike + 1 >= FILES_MERGED_MIN;
        let taken = if many { alike } else { usize::from(half) };
        if taken == 0 {
            break;
        }
        let (rest, merged) = older.split_at(older.len() - taken);
        octets += merged.iter().map(|file| file.octets).sum::<u64>();
        older = rest;
    }
    (files.len() - older.len()).max(wasted(files))
}

fn tier(octets: u64) -> u32 {
    (octets * scale() / FILE_BYTES_SMALL).max(1).ilog(FILES_MERGED_MIN as u64)
}

/// How many files from the end hold as much of what is gone as of all else together, and of that no more than one checkpoint
/// writes again because of it.
fn wasted(files: &[Size]) -> usize {
    half_gone(files, WASTED_MERGED_BYTES_MAX / scale())
}

/// The file that is to be written again alone, where merging all from where half is gone is more than one checkpoint does.
pub(super) fn hollow(files: &[Size]) -> Option<usize> {
    let first = files.len() - half_gone(files, u64::MAX);
    let live: u64 = files[first..].iter().map(|file| file.octets - file.gone).sum();
    if live <= WASTED_MERGED_BYTES_MAX / scale() {
        return None;
    }
    let wasted = (first..files.len()).filter(|&index| 2 * files[index].gone >= files[index].octets);
    wasted.max_by_key(|&index| files[index].gone)
}

/// How many files from the end are half gone, and have at most `live_max` that is not.
fn half_gone(files: &[Size], live_max: u64) -> usize {
    let (mut octets, mut gone, mut count) = (0, 0, 0);
    for (index, file) in files.iter().rev().enumerate() {
        (octets, gone) = (octets + file.octets, gone + file.gone);
        if octets - gone > live_max {
            break;
        }
        if 2 * gone >= octets {
            count = index + 1;
        }
    }
    count
}

/// What sizes are divided by, so that tests have large files that are small.
#[cfg(not(test))]
const fn scale() -> u64 {
    1
}

#[cfg(test)]
thread_local! {
    pub(super) static SCALE: std::cell::Cell<u64> = const { std::cell::Cell::new(1) };
}

#[cfg(test)]
fn scale() -> u64 {
    SCALE.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seals `new` octets again and again: what was written in all, and the most files there were.
    fn sealed(files: &mut Vec<u64>, new: u64, times: usize) -> (u64, usize) {
        let (mut written, mut most) = (0, 0);
        for _ in 0..times {
            let sizes: Vec<Size> = files.iter().map(|&octets| Size { octets, gone: 0 }).collect();
            let merged: u64 = files.drain(files.len() - due(&sizes, new)..).sum();
            files.push(merged + new);
            written += merged + new;
            most = most.max(files.len());
        }
        (written, most)
    }

    #[test]
    fn a_message_is_written_once_a_tier() {
        for (new, times) in [(1_000, 10_000), (100_000, 5000), (1 << 20, 2000), (8 << 20, 400)] {
            let mut files = Vec::new();
            let (written, most) = sealed(&mut files, new, times);
            let tiers = u64::from(tier(FILE_BYTES_FINAL - 1) + 1 - tier(new));
            // Below a small file it is doublings, each written once and a half.
            let small = if new < FILE_BYTES_SMALL { (FILE_BYTES_SMALL / new).ilog2() as u64 * 3 / 2 } else { 0 };
            let all = new * times as u64;
            assert!(written <= all * (1 + tiers + small), "{new}: {written} of {all}");
            let few = (tiers as usize + 1) * FILES_MERGED_MIN + 6 + (all / FILE_BYTES_FINAL) as usize;
            assert!(most <= few, "{new}: {most} files");
        }
    }

    #[test]
    fn a_large_file_stays() {
        let mut files = vec![FILE_BYTES_FINAL; 20];
        let (written, _) = sealed(&mut files, 2 * FILE_BYTES_FINAL, 20);
        assert_eq!((written, files.len()), (40 * FILE_BYTES_FINAL, 40));
        assert_eq!(files[..20], [FILE_BYTES_FINAL; 20]);
        // Small ones between large ones are not for ever.
        files.extend([FILE_BYTES_SMALL; 7]);
        sealed(&mut files, FILE_BYTES_FINAL, 1);
        assert_eq!(files.len(), 41);
    }

    #[test]
    fn what_is_gone_makes_room() {
        let whole = Size { octets: FILE_BYTES_FINAL, gone: 0 };
        let dead = Size { gone: FILE_BYTES_FINAL, ..whole };
        let half = Size { gone: FILE_BYTES_FINAL / 2, ..whole };
        assert_eq!(due(&[dead, whole, whole], 1), 0);
        assert_eq!(due(&[dead, dead, whole, whole], 1), 4);
        assert_eq!(due(&[whole, whole, half], 1), 1);
        assert_eq!(due(&[half, whole, half], 1), 1);
        assert_eq!(due(&[whole, dead, whole], 1), 2);
        assert_eq!(hollow(&[whole, dead, whole]), None);
    }

    #[test]
    fn one_checkpoint_makes_room_within_bounds() {
        let whole = Size { octets: FILE_BYTES_FINAL, gone: 0 };
        let [dead, half] = [1, 2].map(|part| Size { gone: FILE_BYTES_FINAL / part, ..whole });
        let mut files = [[dead; 9], [whole; 9]].concat();
        files[4] = Size { octets: FILE_BYTES_FINAL + 1, gone: FILE_BYTES_FINAL + 1 };
        assert_eq!((due(&files, 1), hollow(&files)), (0, Some(4)));
        // What fits is merged.
        assert_eq!((due(&[[dead; 8], [whole; 8]].concat(), 1), hollow(&[[dead; 8], [whole; 8]].concat())), (16, None));
        assert_eq!((due(&[half; 40], 1), hollow(&[half; 40])), (16, Some(39)));
        let large = Size { octets: 20 * FILE_BYTES_FINAL, gone: 10 * FILE_BYTES_FINAL };
        assert_eq!((due(&[whole, large], 1), hollow(&[whole, large])), (0, Some(1)));
        assert_eq!((due(&[dead, whole, whole], 1), hollow(&[dead, whole, whole])), (0, None));
    }
}
