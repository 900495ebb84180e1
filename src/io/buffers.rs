//! The provided buffers: one registered ring that every receive of the shard fills.
//!
//! Invariant: a buffer is either the kernel's (in the ring), queued at one socket, or held by one [`Received`]. A socket's
//! queue is threaded through the buffers themselves, so that an idle socket owns no memory.
//! The memory is never unmapped: a ring that is closed finishes its operations asynchronously, and rings live as long as
//! the process.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::{IoUring, types};

use super::ring::Ring;
use super::setup::Sizes;

/// No buffer.
pub(super) const NONE: u16 = u16::MAX;
/// The group that every receive of the ring selects from.
pub(super) const GROUP: u16 = 0;

#[derive(Clone, Copy)]
struct Link {
    next: u16,
    bytes: u32,
}

pub(super) struct Buffers {
    entries: *mut types::BufRingEntry,
    memory: *mut u8,
    count: u16,
    bytes: u32,
    tail: Cell<u16>,
    /// Buffers that the kernel may fill now.
    offered: Cell<u16>,
    links: RefCell<Vec<Link>>,
}

/// A queue of filled buffers, threaded through [`Buffers`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    head: u16,
    tail: u16,
    pub(super) length: u16,
}

impl Queue {
    pub(super) const EMPTY: Queue = Queue { head: NONE, tail: NONE, length: 0 };
}

impl Buffers {
    pub(super) fn register(ring: &IoUring, sizes: &Sizes) -> io::Result<Buffers> {
        let entries = map(usize::from(sizes.buffers) * size_of::<types::BufRingEntry>())?.cast();
        let memory = map(usize::from(sizes.buffers) * sizes.buffer_bytes as usize)?;
        // SAFETY: `entries` is page-aligned, zeroed, large enough for the count, and is never unmapped.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries as u64, sizes.buffers, GROUP, 0)? };
        let buffers = Buffers {
            entries,
            memory,
            count: sizes.buffers,
            bytes: sizes.buffer_bytes,
            tail: Cell::new(0),
            offered: Cell::new(0),
            links: RefCell::new(vec![Link { next: NONE, bytes: 0 }; usize::from(sizes.buffers)]),
        };
        for buffer in 0..sizes.buffers {
            buffers.offer(buffer);
        }
        Ok(buffers)
    }

    /// Gives `buffer` to the kernel.
    pub(super) fn offer(&self, buffer: u16) {
        let tail = self.tail.get();
        let slot = usize::from(tail & (self.count - 1));
        // SAFETY: the slot lies inside the ring (count is a power of two); the kernel reads it only below the tail, which
        // is published after the entry is written. `buffer` < count, so the address lies inside the memory.
        unsafe {
            let entry = &mut *self.entries.add(slot);
            entry.set_addr(self.memory.add(usize::from(buffer) * self.bytes as usize) as u64);
            entry.set_len(self.bytes);
            entry.set_bid(buffer);
            let shared = types::BufRingEntry::tail(self.entries).cast::<AtomicU16>();
            (*shared).store(tail.wrapping_add(1), Ordering::Release);
        }
        self.tail.set(tail.wrapping_add(1));
        self.offered.set(self.offered.get() + 1);
    }

    /// The kernel filled `buffer`.
    pub(super) fn filled(&self, buffer: u16, bytes: u32) {
        self.offered.set(self.offered.get() - 1);
        self.links.borrow_mut()[usize::from(buffer)] = Link { next: NONE, bytes };
    }

    /// Fewer than a quarter are left to the kernel.
    pub(super) fn are_short(&self) -> bool {
        self.offered.get() < self.count / 4
    }

    /// Buffers that the kernel has, all there are, octets of one.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (usize::from(self.offered.get()), usize::from(self.count), self.bytes as usize)
    }

    pub(super) fn any_offered(&self) -> bool {
        self.offered.get() > 0
    }

    pub(super) fn push(&self, queue: &mut Queue, buffer: u16) {
        if queue.tail == NONE {
            queue.head = buffer;
        } else {
            self.links.borrow_mut()[usize::from(queue.tail)].next = buffer;
        }
        queue.tail = buffer;
        queue.length += 1;
    }

    pub(super) fn pop(&self, queue: &mut Queue) -> Option<(u16, u32)> {
        if queue.head == NONE {
            return None;
        }
        let buffer = queue.head;
        let link = self.links.borrow()[usize::from(buffer)];
        queue.head = link.next;
        queue.length -= 1;
        if queue.head == NONE {
            queue.tail = NONE;
        }
        Some((buffer, link.bytes))
    }

    fn start(&self, buffer: u16) -> *mut u8 {
        // SAFETY: every buffer number that leaves the kernel is below the count.
        unsafe { self.memory.add(usize::from(buffer) * self.bytes as usize) }
    }
}

fn map(bytes: usize) -> io::Result<*mut u8> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new anonymous mapping; nothing that exists is touched.
    let address = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(address.cast()) }
}

/// Received bytes: in a provided buffer, which goes back to the kernel on drop, or copied out of some.
pub struct Received(From);

enum From {
    Buffer { ring: Ring, buffer: u16, bytes: u32 },
    Copy(#[expect(clippy::box_collection, reason = "it comes boxed, and an input is smaller with it")] Box<Vec<u8>>),
}

impl Received {
    pub(super) fn new(ring: Ring, buffer: u16, bytes: u32) -> Received {
        Received(From::Buffer { ring, buffer, bytes })
    }

    #[expect(clippy::box_collection, reason = "likewise")]
    pub(super) fn copied(octets: Box<Vec<u8>>) -> Received {
        Received(From::Copy(octets))
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            // SAFETY: the kernel wrote `bytes` octets here, and the buffer is ours alone until it is offered again.
            From::Buffer { ring, buffer, bytes } => unsafe {
                std::slice::from_raw_parts(ring.buffers().start(*buffer), *bytes as usize)
            },
            From::Copy(octets) => octets,
        }
    }
}

impl DerefMut for Received {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            // SAFETY: as above, and `&mut self` makes this the only reference.
            From::Buffer { ring, buffer, bytes } => unsafe {
                std::slice::from_raw_parts_mut(ring.buffers().start(*buffer), *bytes as usize)
            },
            From::Copy(octets) => octets,
        }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let From::Buffer { ring, buffer, .. } = &self.0 {
            ring.buffers().offer(*buffer);
        }
    }
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Received({} octets)", self.len())
    }
}
