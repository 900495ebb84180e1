//! The ring itself: submission, the table of operations in flight, and the turn that moves everything on.
//!
//! Invariants: a submission entry points only into memory that the operation's slot holds (`Hold`), that is never freed
//! (provided buffers) or that the kernel copies while it is submitted (the timeout); a slot is reused only after its
//! completion, under a new generation. One thread makes, submits to and reaps the ring (SINGLE_ISSUER).

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::future::Future;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::buffers::Buffers;
use super::parcel::Parcel;
use super::setup::{self, Sizes, Unavailable};
use super::socket::{Accepts, Sockets};
use super::timer::Wheel;
use crate::limits;

/// What a completion belongs to: the top octet of `user_data`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    /// A cancel or close whose result nobody waits for.
    Forgotten = 0,
    /// A slot of the operations' table.
    Operation = 1,
    /// A socket's multishot receive.
    Receive = 2,
    /// A listener's multishot accept.
    Accept = 3,
    /// The timer wheel's timeout.
    Timeout = 4,
}

/// Names an operation: kind, generation, index. What comes back from the kernel has 24 bits of the generation, which tell an
/// operation from those before and after it; a tag that is kept, as that of a send, has all of it, and never fits another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tag {
    pub(super) kind: Kind,
    pub(super) generation: u64,
    pub(super) index: u32,
}

pub(super) const GENERATION_MASK: u64 = 0x00ff_ffff;

impl Tag {
    pub(super) const FORGOTTEN: u64 = 0;

    pub(super) fn user_data(self) -> u64 {
        (self.kind as u64) << 56 | (self.generation & GENERATION_MASK) << 32 | u64::from(self.index)
    }

    fn of(user_data: u64) -> Tag {
        let kind = match user_data >> 56 {
            1 => Kind::Operation,
            2 => Kind::Receive,
            3 => Kind::Accept,
            4 => Kind::Timeout,
            _ => Kind::Forgotten,
        };
        Tag { kind, generation: user_data >> 32 & GENERATION_MASK, index: user_data as u32 }
    }
}

/// What an operation lends to the kernel until its completion.
pub(super) enum Hold {
    Nothing,
    Bytes(Vec<u8>),
    Parcel(Box<Parcel>),
    Paths(
        #[expect(dead_code, reason = "read by the kernel")] CString,
        #[expect(dead_code, reason = "likewise")] Option<CString>,
    ),
}

enum State {
    Free,
    Waiting(Option<Waker>),
    Done(i32),
    /// The future was dropped; the completion frees the slot.
    Abandoned,
}

struct Slot {
    generation: u64,
    state: State,
    hold: Hold,
}

/// What the ring's pools hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pools {
    /// Receive buffers that the kernel has to fill.
    pub receive_buffers_free: usize,
    /// Receive buffers in all.
    pub receive_buffers: usize,
    /// Octets of one.
    pub receive_buffer_bytes: usize,
    /// Times that a socket found no receive buffer.
    pub starvations: u64,
    /// Output buffers that wait to be used again.
    pub output_buffers_free: usize,
    /// Operations that the kernel has, abandoned ones included.
    pub in_flight: usize,
}

/// What one turn did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Completions that were handed out.
    pub completions: usize,
}

/// A handle to the shard's ring; cheap to clone, never leaves its thread.
#[derive(Clone)]
pub struct Ring(Rc<Inner>);

struct Inner {
    uring: RefCell<IoUring>,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    sockets: Sockets,
    accepts: Accepts,
    buffers: Buffers,
    #[expect(clippy::vec_box, reason = "a parcel's address is known to the kernel while it is in flight")]
    parcels: RefCell<Vec<Box<Parcel>>>,
    wheel: RefCell<Wheel>,
    timeout: RefCell<types::Timespec>,
    due: RefCell<Vec<Waker>>,
    now: Cell<Instant>,
    unsubmitted: Cell<u32>,
    parked: RefCell<Option<Waker>>,
    kicked: Cell<bool>,
}

impl Ring {
    /// Makes the ring of the calling thread.
    pub fn new(sizes: &Sizes) -> Result<Ring, Unavailable> {
        let uring = setup::make(sizes)?;
        let buffers = Buffers::register(&uring, sizes).map_err(Unavailable::Other)?;
        let now = Instant::now();
        Ok(Ring(Rc::new(Inner {
            uring: RefCell::new(uring),
            slots: RefCell::default(),
            free: RefCell::default(),
            sockets: Sockets::default(),
            accepts: Accepts::default(),
            buffers,
            parcels: RefCell::default(),
            wheel: RefCell::new(Wheel::new(now)),
            timeout: RefCell::new(types::Timespec::new()),
            due: RefCell::default(),
            now: Cell::new(now),
            unsubmitted: Cell::new(0),
            parked: RefCell::new(None),
            kicked: Cell::new(false),
        })))
    }

    /// The time of the last turn.
    pub fn now(&self) -> Instant {
        self.0.now.get()
    }

    pub(super) fn buffers(&self) -> &Buffers {
        &self.0.buffers
    }

    /// What the pools hold now.
    pub fn pools(&self) -> Pools {
        let (receive_buffers_free, receive_buffers, receive_buffer_bytes) = self.0.buffers.counts();
        Pools {
            receive_buffers_free,
            receive_buffers,
            receive_buffer_bytes,
            starvations: self.0.sockets.starvations(),
            output_buffers_free: self.0.parcels.borrow().len(),
            in_flight: self.in_flight(),
        }
    }

    /// The kernel has few receive buffers left: who holds one for long copies it out.
    pub fn is_short_of_buffers(&self) -> bool {
        self.0.buffers.are_short()
    }

    pub(super) fn wheel(&self) -> &RefCell<Wheel> {
        &self.0.wheel
    }

    pub(super) fn sockets(&self) -> &Sockets {
        &self.0.sockets
    }

    pub(super) fn accepts(&self) -> &Accepts {
        &self.0.accepts
    }

    /// An empty parcel from the pool.
    pub fn parcel(&self) -> Box<Parcel> {
        self.0.parcels.borrow_mut().pop().unwrap_or_else(|| Parcel::new(limits::OUTPUT_BYTES))
    }

    /// Gives a parcel back; its pins are dropped.
    pub fn recycle(&self, mut parcel: Box<Parcel>) {
        parcel.reset(limits::OUTPUT_BYTES);
        let mut parcels = self.0.parcels.borrow_mut();
        if parcels.len() < limits::PARCELS_POOLED_MAX {
            parcels.push(parcel);
        }
    }

    /// Queues an entry; the next turn submits it.
    ///
    /// # Safety
    /// What `entry` points to must stay valid until its completion (the caller's `Hold`), see the module's invariants.
    pub(super) unsafe fn push(&self, entry: &squeue::Entry) {
        let mut uring = self.0.uring.borrow_mut();
        // SAFETY: passed on to the caller.
        while unsafe { uring.submission().push(entry) }.is_err() {
            // The queue is full: submit it. An error leaves it full, and the turn will report it.
            if let Err(error) = uring.submit() {
                assert!(is_transient(&error), "io_uring refused a submission: {error}");
            }
        }
        drop(uring);
        self.0.unsubmitted.set(self.0.unsubmitted.get() + 1);
        self.kick();
    }

    /// Starts an operation whose memory is `hold`.
    ///
    /// # Safety
    /// `entry` may point only into `hold` (into its heap memory, which does not move with it) or to static memory.
    pub(super) unsafe fn start(&self, entry: squeue::Entry, hold: Hold) -> Operation {
        // SAFETY: passed on to the caller.
        let tag = unsafe { self.enter(entry, hold) };
        Operation { ring: self.clone(), tag, finished: false }
    }

    /// The same for a send, which is asked for by its tag ([`Ring::poll_sent`]) and has its slot only while it is on its
    /// way, so that an idle socket has none.
    ///
    /// # Safety
    /// `entry` must be that of `parcel`.
    pub(super) unsafe fn start_send(&self, entry: squeue::Entry, parcel: Box<Parcel>) -> Tag {
        // SAFETY: a parcel's entry points into its box.
        unsafe { self.enter(entry, Hold::Parcel(parcel)) }
    }

    /// # Safety
    /// That of [`Ring::start`].
    unsafe fn enter(&self, entry: squeue::Entry, hold: Hold) -> Tag {
        let mut slots = self.0.slots.borrow_mut();
        let index = self.0.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot { generation: 0, state: State::Free, hold: Hold::Nothing });
            slots.len() as u32 - 1
        });
        let slot = &mut slots[index as usize];
        slot.state = State::Waiting(None);
        slot.hold = hold;
        let tag = Tag { kind: Kind::Operation, generation: slot.generation, index };
        drop(slots);
        // SAFETY: the slot holds the memory until the completion frees it.
        unsafe { self.push(&entry.user_data(tag.user_data())) };
        tag
    }

    /// Ready when the send of that tag is through, with its error.
    pub(super) fn poll_sent(&self, tag: Tag, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.slots.borrow()[tag.index as usize].generation != tag.generation {
            return Poll::Ready(Ok(()));
        }
        self.poll_slot(tag, context).map(|(result, _)| match result {
            0 => Err(io::ErrorKind::WriteZero.into()),
            result => Err(io::Error::from_raw_os_error(-result)),
        })
    }

    fn poll_slot(&self, tag: Tag, context: &mut Context<'_>) -> Poll<(i32, Hold)> {
        let mut slots = self.0.slots.borrow_mut();
        let slot = &mut slots[tag.index as usize];
        match &mut slot.state {
            State::Done(result) => {
                let result = *result;
                Poll::Ready((result, self.free_slot(slot, tag.index)))
            }
            State::Waiting(waker) => {
                if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    *waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
            State::Free | State::Abandoned => unreachable!("polled after it was finished"),
        }
    }

    /// Nobody waits for what carries `tag` any more: it is cancelled where it is on its way.
    pub(super) fn abandon(&self, tag: Tag) {
        let mut slots = self.0.slots.borrow_mut();
        let slot = &mut slots[tag.index as usize];
        if slot.generation != tag.generation {
            return;
        }
        if matches!(slot.state, State::Done(_)) {
            self.free_slot(slot, tag.index);
            return;
        }
        slot.state = State::Abandoned;
        drop(slots);
        self.cancel(tag);
    }

    /// Asks the kernel to cancel what carries `tag`; its completion still comes.
    pub(super) fn cancel(&self, tag: Tag) {
        let entry = opcode::AsyncCancel::new(tag.user_data()).build().user_data(Tag::FORGOTTEN);
        // SAFETY: the entry points to nothing.
        unsafe { self.push(&entry) };
    }

    pub(super) fn arm_timeout(&self) {
        let mut wheel = self.0.wheel.borrow_mut();
        let Some(tick) = wheel.next() else { return };
        if wheel.armed.is_some_and(|armed| armed <= tick) {
            return;
        }
        let replaced = wheel.armed.replace(tick);
        let wait = wheel.instant_of(tick).saturating_duration_since(Instant::now());
        drop(wheel);
        let mut spec = self.0.timeout.borrow_mut();
        *spec = types::Timespec::new().sec(wait.as_secs()).nsec(wait.subsec_nanos());
        let pointer: *const types::Timespec = &*spec;
        drop(spec);
        let tag = |tick: u64| Tag { kind: Kind::Timeout, generation: 0, index: tick as u32 }.user_data();
        if let Some(later) = replaced {
            let entry = opcode::TimeoutRemove::new(tag(later)).build().user_data(Tag::FORGOTTEN);
            // SAFETY: the entry points to nothing.
            unsafe { self.push(&entry) };
        }
        // SAFETY: the kernel copies the time while it takes the entry; the cell lives as long as the ring, and a value
        // that was replaced before that is an earlier one, whose firing is ignored where its tick is not the armed one.
        unsafe { self.push(&opcode::Timeout::new(pointer).build().user_data(tag(tick))) };
    }

    /// Submits, lets the kernel run what it deferred, and hands out completions. `wait`: sleeps until there is one.
    pub fn turn(&self, wait: bool) -> io::Result<Turn> {
        self.0.unsubmitted.set(0);
        {
            let uring = self.0.uring.borrow();
            // SAFETY: the submission queue is only touched by this thread, and not borrowed elsewhere (the cell is).
            let queued = unsafe { uring.submission_shared() }.len() as u32;
            // DEFER_TASKRUN: completions are only made in an enter with GETEVENTS.
            // SAFETY: no signal mask is passed.
            let entered =
                unsafe { uring.submitter().enter::<libc::sigset_t>(queued, u32::from(wait), ENTER_GETEVENTS, None) };
            if let Err(error) = entered
                && !is_transient(&error)
            {
                return Err(error);
            }
        }
        self.0.now.set(Instant::now());
        let mut completions = 0;
        loop {
            let next = self.0.uring.borrow_mut().completion().next();
            let Some(completion) = next else { break };
            completions += 1;
            self.dispatch(&completion);
        }
        self.0.sockets.feed_starved(self);
        Ok(Turn { completions })
    }

    fn dispatch(&self, completion: &cqueue::Entry) {
        let tag = Tag::of(completion.user_data());
        match tag.kind {
            Kind::Forgotten => {}
            Kind::Operation => self.complete(tag, completion.result()),
            Kind::Receive => self.0.sockets.received(self, tag, completion),
            Kind::Accept => self.0.accepts.accepted(self, tag, completion),
            Kind::Timeout => {
                let mut wheel = self.0.wheel.borrow_mut();
                if wheel.armed.is_some_and(|armed| armed as u32 == tag.index) {
                    wheel.armed = None;
                }
                let mut due = self.0.due.take();
                wheel.expire(self.now(), &mut due);
                drop(wheel);
                due.drain(..).for_each(Waker::wake);
                self.0.due.replace(due);
                self.arm_timeout();
            }
        }
    }

    fn complete(&self, tag: Tag, mut result: i32) {
        let mut slots = self.0.slots.borrow_mut();
        let slot = &mut slots[tag.index as usize];
        debug_assert_eq!(slot.generation & GENERATION_MASK, tag.generation);
        if let Hold::Parcel(parcel) = &mut slot.hold
            && matches!(slot.state, State::Waiting(_))
        {
            let again = matches!(-result, libc::EINTR | libc::EAGAIN);
            if result == -libc::EFAULT {
                parcel.lose();
            } else if result > 0 && parcel.has_lost() {
                // The kernel may have read something else than what was lent: nothing more may follow it.
                result = -libc::EIO;
            }
            if again || result > 0 && !parcel.took(result as usize) {
                let entry = parcel.entry().user_data(tag.user_data());
                drop(slots);
                // SAFETY: the slot still holds the parcel.
                return unsafe { self.push(&entry) };
            }
            // Nobody need be woken for this: an idle session whose last words are through holds neither parcel nor slot.
            let hold = std::mem::replace(&mut slot.hold, Hold::Nothing);
            if let Hold::Parcel(parcel) = hold {
                self.recycle(parcel);
            }
            if result > 0
                && let State::Waiting(waker) = std::mem::replace(&mut slot.state, State::Free)
            {
                self.free_slot(slot, tag.index);
                drop(slots);
                return waker.into_iter().for_each(Waker::wake);
            }
        }
        match std::mem::replace(&mut slot.state, State::Done(result)) {
            State::Waiting(waker) => {
                drop(slots);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            State::Abandoned => {
                let hold = self.free_slot(slot, tag.index);
                drop(slots);
                match hold {
                    Hold::Parcel(parcel) => self.recycle(parcel),
                    // Of the operations on paths only an open answers more than 0: a descriptor that nobody took.
                    // SAFETY: it was made for the abandoned operation, so nobody else knows its number.
                    Hold::Paths(..) if result > 0 => drop(unsafe { OwnedFd::from_raw_fd(result) }),
                    _ => {}
                }
            }
            State::Free | State::Done(_) => unreachable!("one completion an operation"),
        }
    }

    fn free_slot(&self, slot: &mut Slot, index: u32) -> Hold {
        slot.generation += 1;
        slot.state = State::Free;
        self.0.free.borrow_mut().push(index);
        std::mem::replace(&mut slot.hold, Hold::Nothing)
    }

    /// Operations in flight, abandoned ones included.
    pub fn in_flight(&self) -> usize {
        self.0.slots.borrow().len() - self.0.free.borrow().len()
    }

    /// True where a turn would do something: entries to submit, completions to hand out, deferred work to run. No system
    /// call.
    pub fn has_work(&self) -> bool {
        if self.0.unsubmitted.get() > 0 {
            return true;
        }
        let mut uring = self.0.uring.borrow_mut();
        uring.submission().taskrun() || !uring.completion().is_empty()
    }

    /// Whether the present task has had its slice since the last turn.
    pub fn is_slice_over(&self) -> bool {
        self.now().elapsed() >= limits::SESSION_SLICE
    }

    /// Lets the shard's other tasks run where [`Ring::is_slice_over`].
    pub async fn breathe(&self) {
        if self.is_slice_over() {
            // The driver may rest, while background work goes on.
            self.kick();
            yield_now().await;
        }
    }

    /// Leaves the driver's waker: whoever pushes an entry meanwhile kicks it.
    pub fn park(&self, waker: &Waker) {
        self.0.parked.borrow_mut().clone_from(&Some(waker.clone()));
    }

    /// Wakes the driver if it is parked.
    pub fn kick(&self) {
        let parked = self.0.parked.borrow_mut().take();
        if let Some(waker) = parked {
            self.0.kicked.set(true);
            waker.wake();
        }
    }

    /// Whether somebody kicked the driver since it parked; takes the mark and the parked waker away.
    pub fn unpark(&self) -> bool {
        let kicked = self.0.kicked.replace(false);
        if kicked {
            self.0.parked.borrow_mut().take();
        }
        kicked
    }
}

/// `IORING_ENTER_GETEVENTS`.
const ENTER_GETEVENTS: u32 = 1;

/// EBUSY and EAGAIN: the completion queue is full or memory is short; reaping and the next turn mend it.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN))
}

/// The future of one operation: its result (negative: -errno) and what it held.
pub(super) struct Operation {
    ring: Ring,
    tag: Tag,
    finished: bool,
}

impl Future for Operation {
    type Output = (i32, Hold);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<(i32, Hold)> {
        let polled = self.ring.poll_slot(self.tag, context);
        self.finished = polled.is_ready();
        polled
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !self.finished {
            self.ring.abandon(self.tag);
        }
    }
}

/// Runs `future` on the calling thread, turning `ring` while it waits: for tools, recovery and tests, where no executor runs.
pub fn block_on<T>(ring: &Ring, future: impl Future<Output = T>) -> io::Result<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Ok(value);
        }
        // Everything that such a future waits for is an operation of this ring.
        ring.turn(true)?;
    }
}

/// Lets the other tasks of the same queue run, whatever the executor.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({} in flight)", self.in_flight())
    }
}
