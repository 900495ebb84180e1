//! What is sent at once: octets of our own and slices of memory that others keep alive, in order.
//!
//! Invariant: a lent slice stays where it is while its pin lives, and the pins are dropped only after the send's last
//! completion. What is lost of lent memory is not sent on ([`Parcel::has_lost`]). Parcels are pooled by the ring; an idle
//! connection holds none.

use std::ops::Range;
use std::os::fd::RawFd;
use std::rc::Rc;

use io_uring::{opcode, squeue, types};

use crate::limits;

/// Memory that can be lent to the kernel.
///
/// # Safety
/// [`Lend::octets`] returns the same slice at every call, and nothing frees it while the value lives, nor changes it unless it
/// [`is_lost`](Lend::is_lost) from then on.
pub unsafe trait Lend {
    /// The memory.
    fn octets(&self) -> &[u8];

    /// Whether some of the memory may not be any more what it was.
    fn is_lost(&self) -> bool {
        false
    }

    /// The kernel could not read some of it.
    fn lose(&self) {}
}

/// How much of a parcel was written at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    bytes: usize,
    covered: usize,
    pieces: usize,
    pins: usize,
    lent: usize,
}

enum Piece {
    /// Up to this offset of `bytes`.
    Own {
        end: usize,
    },
    Lent {
        start: *const u8,
        bytes: usize,
    },
}

/// A pooled output buffer with slices lent into it.
pub struct Parcel {
    bytes: Vec<u8>,
    /// Where the octets that no piece covers yet begin.
    covered: usize,
    pieces: Vec<Piece>,
    /// One for each slice that is lent, in their order.
    pins: Vec<Rc<dyn Lend>>,
    lent: usize,
    /// Octets that the kernel took.
    sent: usize,
    socket: RawFd,
    vectors: Vec<libc::iovec>,
    header: libc::msghdr,
}

impl Parcel {
    pub(super) fn new(capacity: usize) -> Box<Parcel> {
        Box::new(Parcel {
            bytes: Vec::with_capacity(capacity),
            covered: 0,
            pieces: Vec::with_capacity(8),
            pins: Vec::with_capacity(4),
            lent: 0,
            sent: 0,
            socket: -1,
            vectors: Vec::with_capacity(8),
            // SAFETY: all-zero is a valid msghdr: null pointers and zero lengths.
            header: unsafe { std::mem::zeroed() },
        })
    }

    /// Our own octets, to append to.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Lends `range` of `source` after what was appended so far; a range past the end is cut.
    pub fn lend(&mut self, source: Rc<dyn Lend>, range: Range<usize>) {
        let octets = source.octets();
        let slice = &octets[range.start.min(octets.len())..range.end.min(octets.len())];
        if slice.is_empty() {
            return;
        }
        let (start, bytes) = (slice.as_ptr(), slice.len());
        self.cover();
        self.pieces.push(Piece::Lent { start, bytes });
        self.pins.push(source);
        self.lent += bytes;
    }

    /// What is written so far.
    pub fn mark(&self) -> Mark {
        let (pieces, pins) = (self.pieces.len(), self.pins.len());
        Mark { bytes: self.bytes.len(), covered: self.covered, pieces, pins, lent: self.lent }
    }

    /// Takes back what was written after `mark`, which must be of this parcel since it was last empty.
    pub fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.pieces.truncate(mark.pieces);
        self.pins.truncate(mark.pins);
        (self.covered, self.lent) = (mark.covered, mark.lent);
    }

    /// Whether some of what is lent may not be any more what it was.
    pub fn has_lost(&self) -> bool {
        self.pins.iter().any(|pin| pin.is_lost())
    }

    /// The kernel could not read what comes behind the octets that it took.
    pub(super) fn lose(&self) {
        let (mut from, mut skip, mut pins) = (0, self.sent, self.pins.iter());
        for piece in &self.pieces {
            let (bytes, pin) = match *piece {
                Piece::Own { end } => (end - std::mem::replace(&mut from, end), None),
                Piece::Lent { bytes, .. } => (bytes, pins.next()),
            };
            if skip < bytes {
                return pin.into_iter().for_each(|pin| pin.lose());
            }
            skip -= bytes;
        }
    }

    /// Octets to send, lent ones included.
    pub fn length(&self) -> usize {
        self.bytes.len() + self.lent
    }

    /// There is enough to send, of its own or lent.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= limits::OUTPUT_BYTES_FULL || self.lent >= limits::LENT_BYTES_FULL
    }

    /// Nothing to send.
    pub fn is_empty(&self) -> bool {
        self.length() == 0
    }

    /// The pieces in order, for a transport that must transform them.
    pub fn slices(&mut self) -> impl Iterator<Item = &[u8]> {
        self.cover();
        let (mut from, bytes) = (0, &self.bytes);
        self.pieces.iter().map(move |piece| match piece {
            Piece::Own { end } => {
                let slice = &bytes[from..*end];
                from = *end;
                slice
            }
            // SAFETY: `Lend`'s contract; the pins are still here.
            Piece::Lent { start, bytes } => unsafe { std::slice::from_raw_parts(*start, *bytes) },
        })
    }

    fn cover(&mut self) {
        if self.covered < self.bytes.len() {
            self.covered = self.bytes.len();
            self.pieces.push(Piece::Own { end: self.covered });
        }
    }

    /// From now on it is on its way to `socket`.
    pub(super) fn address(&mut self, socket: RawFd) {
        self.socket = socket;
    }

    /// The kernel took `count` more octets; true: that was the last of it.
    pub(super) fn took(&mut self, count: usize) -> bool {
        self.sent += count;
        self.sent >= self.length()
    }

    /// The entry that sends what is left. It points into this parcel, which must be boxed and stay until the completion.
    pub(super) fn entry(&mut self) -> squeue::Entry {
        // MSG_WAITALL: the kernel goes on after a short send by itself.
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let socket = types::Fd(self.socket);
        if self.pieces.is_empty() {
            let rest = &self.bytes[self.sent..];
            return opcode::Send::new(socket, rest.as_ptr(), rest.len() as u32).flags(flags).build();
        }
        self.cover();
        self.vectors.clear();
        let (mut from, mut skip) = (0, self.sent);
        for piece in &self.pieces {
            let (start, bytes) = match *piece {
                Piece::Own { end } => {
                    let slice = &self.bytes[from..end];
                    from = end;
                    (slice.as_ptr(), slice.len())
                }
                Piece::Lent { start, bytes } => (start, bytes),
            };
            let skipped = skip.min(bytes);
            skip -= skipped;
            if bytes > skipped && self.vectors.len() < libc::UIO_MAXIOV as usize {
                let base = start.wrapping_add(skipped).cast_mut().cast();
                self.vectors.push(libc::iovec { iov_base: base, iov_len: bytes - skipped });
            }
        }
        self.header.msg_iov = self.vectors.as_mut_ptr();
        self.header.msg_iovlen = self.vectors.len();
        opcode::SendMsg::new(socket, &raw const self.header).flags(flags as u32).build()
    }

    /// Empties it for the next use; `capacity` is what it may keep.
    pub(super) fn reset(&mut self, capacity: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(capacity);
        self.covered = 0;
        self.pieces.clear();
        self.pins.clear();
        self.lent = 0;
        self.sent = 0;
        self.socket = -1;
    }
}

impl std::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parcel({} octets, {} lent)", self.length(), self.lent)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[derive(Default)]
    struct Memory {
        lost: Cell<bool>,
    }

    // SAFETY: static memory.
    unsafe impl Lend for Memory {
        fn octets(&self) -> &[u8] {
            b"lent memory"
        }

        fn is_lost(&self) -> bool {
            self.lost.get()
        }

        fn lose(&self) {
            self.lost.set(true);
        }
    }

    fn octets(parcel: &mut Parcel) -> Vec<u8> {
        parcel.slices().collect::<Vec<_>>().concat()
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let memory = Rc::new(Memory::default());
        let mut parcel = Parcel::new(64);
        let begun = parcel.mark();
        parcel.buffer().extend_from_slice(b"one ");
        parcel.lend(memory.clone(), 0..4);
        parcel.buffer().extend_from_slice(b" two");
        let mark = parcel.mark();
        for round in 0..2 {
            parcel.buffer().extend_from_slice(b" three");
            parcel.lend(memory.clone(), 4..11);
            parcel.buffer().extend_from_slice(b" four");
            assert_eq!(octets(&mut parcel), b"one lent two three memory four", "{round}");
            parcel.rewind(mark);
            assert_eq!((parcel.length(), Rc::strong_count(&memory)), (12, 2), "{round}");
            assert_eq!(octets(&mut parcel), b"one lent two", "{round}");
            // What covered the octets until then is taken back as well.
            parcel.rewind(mark);
        }
        parcel.rewind(begun);
        assert!(parcel.is_empty() && octets(&mut parcel).is_empty());
    }

    #[test]
    fn what_the_kernel_can_not_read_is_lost() {
        let memories: Vec<Rc<Memory>> = (0..3).map(|_| Rc::default()).collect();
        for (sent, lost) in
            [(0, None), (1, Some(0)), (11, Some(0)), (12, Some(1)), (22, Some(1)), (23, None), (24, Some(2))]
        {
            memories.iter().for_each(|memory| memory.lost.set(false));
            let mut parcel = Parcel::new(64);
            for (index, memory) in memories.iter().enumerate() {
                if index != 1 {
                    parcel.buffer().push(b'x');
                }
                parcel.lend(memory.clone(), 0..11);
            }
            assert!(!parcel.has_lost() && !parcel.took(sent));
            parcel.lose();
            let found = memories.iter().position(|memory| memory.lost.get());
            assert_eq!((found, parcel.has_lost()), (lost, lost.is_some()), "{sent}");
        }
    }
}
