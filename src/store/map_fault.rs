//! A page of a map that the disk can't give: SIGBUS is taken, the page becomes zeros, and the map is marked as lost.
//!
//! Invariants: every mapped file has a slot from before its first octet is read until it is unmapped; the mark is set before
//! the zeros are there, so that who has read some of them and looks at the mark afterwards finds it set, on any thread. What
//! runs in the signal takes no lock, allocates nothing and calls the kernel alone. An address in no map has the default
//! action: a bug of ours still ends the process. Who reads a map asks for its mark behind what it read ([`super::map`]).

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, fence};

use crate::limits::{MAPS_A_CHUNK, MAPS_MAX};

/// Whether some of a map was lost.
#[derive(Debug, Default)]
pub(super) struct Mark(AtomicBool);

impl Mark {
    /// Whether it is set. What was read before this call was read from the file if it is not.
    #[inline]
    pub(super) fn is_set(&self) -> bool {
        // Nothing that was read is read any later: neither the compiler nor the processor moves it behind this.
        fence(Acquire);
        self.0.load(Relaxed)
    }

    pub(super) fn set(&self) {
        self.0.store(true, SeqCst);
    }
}

/// A mapped range. Free slots have no start.
#[derive(Debug, Default)]
struct Slot {
    start: AtomicUsize,
    bytes: AtomicUsize,
    mark: Mark,
    /// The free slot after this one, counted from 1.
    next: AtomicU32,
}

/// Never freed, so that the signal finds them whatever other threads do.
static CHUNKS: [OnceLock<Box<[Slot]>>; MAPS_MAX / MAPS_A_CHUNK] = [const { OnceLock::new() }; MAPS_MAX / MAPS_A_CHUNK];
/// Chunks that somebody made or is about to make.
static GROWN: AtomicUsize = AtomicUsize::new(0);
/// The first free slot, counted from 1, and above it how often that changed: who was interrupted does not take it for the same.
static FREE: AtomicU64 = AtomicU64::new(0);
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(4096);

/// A mapped range that is watched over as long as this lives.
#[derive(Debug)]
pub(super) struct Watched {
    slot: &'static Slot,
    /// Counted from 1.
    number: u32,
}

impl Watched {
    /// Watches over `bytes` that are mapped at `start`. An error where there are [`MAPS_MAX`] already.
    pub(super) fn over(start: *const u8, bytes: usize) -> io::Result<Watched> {
        let (slot, number) = loop {
            match pop() {
                Some(taken) => break taken,
                None => grow()?,
            }
        };
        slot.mark.0.store(false, SeqCst);
        slot.bytes.store(bytes, SeqCst);
        slot.start.store(start.addr(), SeqCst);
        Ok(Watched { slot, number })
    }

    #[inline]
    pub(super) fn mark(&self) -> &Mark {
        &self.slot.mark
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.slot.start.store(0, SeqCst);
        push(self.slot, self.number);
    }
}

fn slot(number: u32) -> Option<&'static Slot> {
    let index = (number as usize).checked_sub(1)?;
    CHUNKS.get(index / MAPS_A_CHUNK)?.get()?.get(index % MAPS_A_CHUNK)
}

/// The head of the free slots after `head`, with `number` as the first one.
fn headed(head: u64, number: u32) -> u64 {
    (head >> 32).wrapping_add(1) << 32 | u64::from(number)
}

fn pop() -> Option<(&'static Slot, u32)> {
    let mut head = FREE.load(SeqCst);
    loop {
        let number = head as u32;
        let first = slot(number)?;
        let after = headed(head, first.next.load(SeqCst));
        match FREE.compare_exchange_weak(head, after, SeqCst, SeqCst) {
            Ok(_) => return Some((first, number)),
            Err(other) => head = other,
        }
    }
}

fn push(slot: &Slot, number: u32) {
    let mut head = FREE.load(SeqCst);
    loop {
        slot.next.store(head as u32, SeqCst);
        match FREE.compare_exchange_weak(head, headed(head, number), SeqCst, SeqCst) {
            Ok(_) => return,
            Err(other) => head = other,
        }
    }
}

/// Makes room for more maps.
fn grow() -> io::Result<()> {
    let grown = GROWN.fetch_update(SeqCst, SeqCst, |grown| (grown < CHUNKS.len()).then_some(grown + 1));
    let chunk = grown.map_err(|_| io::Error::new(io::ErrorKind::OutOfMemory, "as many files are mapped as can be"))?;
    let slots = CHUNKS[chunk].get_or_init(|| (0..MAPS_A_CHUNK).map(|_| Slot::default()).collect());
    for (index, slot) in slots.iter().enumerate() {
        push(slot, (chunk * MAPS_A_CHUNK + index + 1) as u32);
    }
    Ok(())
}

/// The map that an address is in, where it begins, and its bytes.
fn find(address: usize) -> Option<(&'static Slot, usize, usize)> {
    let grown = CHUNKS.iter().take(GROWN.load(SeqCst)).filter_map(OnceLock::get);
    for slot in grown.flat_map(|chunk| chunk.iter()) {
        let start = slot.start.load(SeqCst);
        let bytes = slot.bytes.load(SeqCst);
        // Slots of other maps come and go meanwhile. A start that is still the same has this length, or had it when it was a
        // map's; either way those bytes were mapped while the map at `address` was, and so are not that one's.
        if start != 0 && address.wrapping_sub(start) < bytes && slot.start.load(SeqCst) == start {
            return Some((slot, start, bytes));
        }
    }
    None
}

/// Puts zeros in place of the page that the disk can't give; false: the address is in no map.
fn cover(address: usize) -> bool {
    let Some((slot, start, bytes)) = find(address) else { return false };
    slot.mark.set();
    let page = PAGE_BYTES.load(SeqCst);
    // The page alone: what is left of the map may be on its way to a client. Where the process has as many mappings as it may
    // have and can't cut this one, all of it.
    zero(address & !(page - 1), page) || zero(start, bytes.next_multiple_of(page))
}

fn zero(start: usize, bytes: usize) -> bool {
    let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let start: *mut libc::c_void = ptr::with_exposed_provenance_mut(start);
    // SAFETY: the range is pages of a map that the thread which faulted is reading, so nobody unmaps it; it stays mapped and
    // readable throughout. Whoever reads it finds octets of the file or zeros, and is ready for both (see `super::map`).
    let mapped = unsafe { libc::mmap(start, bytes, libc::PROT_READ, flags, -1, 0) };
    mapped != libc::MAP_FAILED
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a filled siginfo, and the thread's errno is always there. Resetting an action to the default
    // and raising a signal are async-signal-safe.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        // What this thread was reading: only then is there an address of ours, and does it come again by itself.
        let own = matches!((*info).si_code, libc::BUS_ADRERR | libc::BUS_OBJERR | libc::BUS_MCEERR_AR);
        if !(own && cover((*info).si_addr().addr())) {
            libc::signal(signal, libc::SIG_DFL);
            if !own {
                libc::raise(signal);
            }
        }
        *errno = before;
    }
}

/// Has the process live on when a page of a map can't be read. To be called before the first map is made; once is enough.
pub fn survive_lost_pages() -> io::Result<()> {
    // SAFETY: `sysconf` and `sigaction` are given valid arguments; an all-zero sigaction is one with an empty mask, and the
    // function has the signature that SA_SIGINFO asks for.
    unsafe {
        let page = libc::sysconf(libc::_SC_PAGESIZE);
        PAGE_BYTES.store(usize::try_from(page).map_err(io::Error::other)?, SeqCst);
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = on_fault as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        if libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Barrier};
    use std::thread;

    use super::*;
    use crate::store::Map;

    const PAGES: usize = 8;

    /// A file of that many pages without a zero, mapped; and a handle to cut it by.
    fn mapped(pages: usize) -> (Map, File) {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        survive_lost_pages().unwrap();
        let number = MADE.fetch_add(1, SeqCst);
        let path = std::env::temp_dir().join(format!("ringpost-fault-{}-{number}", std::process::id()));
        std::fs::write(&path, vec![7; pages * page()]).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        (Map::of_file(&file).unwrap(), file)
    }

    fn page() -> usize {
        PAGE_BYTES.load(SeqCst)
    }

    fn count(map: &Map, octet: u8) -> usize {
        map.iter().filter(|&&found| found == octet).count()
    }

    #[test]
    fn what_is_lost_is_zeros_and_marked() {
        let ((map, file), (other, _other)) = (mapped(PAGES), mapped(PAGES));
        assert_eq!((count(&map, 7), map.is_lost()), (PAGES * page(), false));
        file.set_len(3 * page() as u64).unwrap();
        // The pages that are left are still the file's.
        assert_eq!((map[3 * page() - 1], map.is_lost()), (7, false));
        assert_eq!((map[5 * page() + 9], map.is_lost()), (0, true));
        assert_eq!((count(&map, 7), count(&map, 0)), (3 * page(), (PAGES - 3) * page()));
        assert_eq!((count(&other, 7), other.is_lost()), (PAGES * page(), false));
        // A new map, in the place of this one perhaps, is not lost for that.
        drop(map);
        file.set_len((PAGES * page()) as u64).unwrap();
        let map = Map::of_file(&file).unwrap();
        assert_eq!((count(&map, 0), map.is_lost()), ((PAGES - 3) * page(), false));
    }

    #[test]
    fn populating_what_is_gone_loses_it() {
        let (map, file) = mapped(PAGES);
        map.populate(0..map.len()).unwrap();
        assert!(!map.is_lost());
        file.set_len(0).unwrap();
        map.populate(0..page()).unwrap();
        // Where there is no such advice, the read that follows loses it.
        assert_eq!((map[0], map.is_lost()), (0, true));
    }

    /// Threads read a map while it is cut, and others come and go: who has read a zero finds the mark.
    #[test]
    fn threads_that_read_zeros_find_the_mark() {
        const THREADS: usize = 4;
        for _ in 0..20 {
            let (map, file) = mapped(64);
            let ready = Arc::new(Barrier::new(THREADS + 1));
            let readers: Vec<_> = (0..THREADS)
                .map(|number| {
                    let (map, ready) = (map.clone(), ready.clone());
                    thread::spawn(move || {
                        ready.wait();
                        for round in 0.. {
                            let zeros = count(&map, 0);
                            assert!(zeros == 0 || map.is_lost());
                            if zeros == 64 * page() {
                                break;
                            }
                            let (mine, _file) = mapped(1 + (number + round) % 3);
                            assert!(count(&mine, 0) == 0 && !mine.is_lost());
                        }
                    })
                })
                .collect();
            ready.wait();
            for pages in (0..64).rev().step_by(5).chain([0]) {
                file.set_len((pages * page()) as u64).unwrap();
                thread::yield_now();
            }
            readers.into_iter().for_each(|reader| reader.join().unwrap());
        }
    }

    #[test]
    fn maps_come_and_go() {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                thread::spawn(move || {
                    let mut watched = Vec::new();
                    for round in 0..4 * MAPS_A_CHUNK {
                        // No page is ever at such an address.
                        let start = ((thread * 4 * MAPS_A_CHUNK + round + 1) << 48) as *const u8;
                        watched.push((start.addr(), Watched::over(start, 8).unwrap()));
                        let (taken, _) = &watched[round % watched.len()];
                        assert!(matches!(find(taken + 7), Some((_, start, 8)) if start == *taken));
                        assert!(find(taken + 8).is_none());
                        if round % 3 == 0 {
                            let (gone, _) = watched.swap_remove((round * 7) % watched.len());
                            assert!(find(gone).is_none());
                        }
                    }
                    watched
                })
            })
            .collect();
        let watched: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert!(watched.iter().all(|(start, _)| matches!(find(start + 1), Some((_, found, 8)) if found == *start)));
        let (needed, grown) = (watched.len() / MAPS_A_CHUNK, GROWN.load(SeqCst));
        assert!(grown > needed && grown <= needed + 6, "{grown} chunks of {needed}");
    }

    /// The test runs itself: what it is to do ends a process.
    #[test]
    fn a_fault_elsewhere_ends_the_process() {
        const ASKED: &str = "RINGPOST_TEST_FAULT";
        if let Ok(asked) = std::env::var(ASKED) {
            let (map, file) = mapped(1);
            rustix::process::setrlimit(
                rustix::process::Resource::Core,
                rustix::process::Rlimit { current: Some(0), maximum: Some(0) },
            )
            .unwrap();
            match asked.as_str() {
                "sent" => {
                    // SAFETY: raising a signal is always allowed.
                    unsafe { libc::raise(libc::SIGBUS) };
                }
                _ => {
                    // SAFETY: a new mapping of an open file, which nothing else uses.
                    let unknown = unsafe { memmap2::Mmap::map(&file) }.unwrap();
                    file.set_len(0).unwrap();
                    assert_eq!((map[0], map.is_lost()), (0, true));
                    assert_eq!(unknown[0], 0);
                }
            }
            return;
        }
        for asked in ["sent", "read"] {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "store::map_fault::tests::a_fault_elsewhere_ends_the_process"]).env(ASKED, asked);
            let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            assert_eq!(status.signal(), Some(libc::SIGBUS), "{asked}: {status}");
        }
    }
}
