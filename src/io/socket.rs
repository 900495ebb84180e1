//! Sockets: multishot accept, multishot receive into provided buffers, send, and letting go of a connection whole.
//!
//! Invariants: a receive is armed whenever the session could take more and its queue is short; a queue that the session
//! does not read is cut off at `RECEIVE_QUEUE_BUFFERS` (the client's window fills, the pool does not empty); ENOBUFS ends
//! a multishot and the socket waits its turn for buffers rather than spinning. Received buffers whose socket is gone go
//! straight back to the pool. One send is in flight at a time; it is begun and forgotten until the next, so that the session
//! need not be woken for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::task::{Context, Poll, Waker};

use io_uring::{cqueue, opcode, types};

use super::buffers::{GROUP, Queue, Received};
use super::parcel::Parcel;
use super::ring::{GENERATION_MASK, Kind, Ring, Tag};
use crate::limits;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Receive {
    Idle,
    Armed,
    /// Armed, and asked to end.
    Ending,
    /// Waits for the pool to have buffers.
    Starved,
    /// The last completion came: 0 is the end of the stream, else an errno.
    Over(i32),
}

struct State {
    generation: u64,
    /// -1: the slot is free.
    descriptor: i32,
    receive: Receive,
    queue: Queue,
    /// What was in the queue when the pool ran short and the session was busy; it comes first.
    #[expect(clippy::box_collection, reason = "rare, and an idle connection pays for the pointer alone")]
    copied: Option<Box<Vec<u8>>>,
    waker: Option<Waker>,
}

/// The shard's sockets.
#[derive(Default)]
pub(super) struct Sockets {
    states: RefCell<Vec<State>>,
    free: RefCell<Vec<u32>>,
    starved: RefCell<VecDeque<(u32, u64)>>,
    /// Times that one was.
    starvations: Cell<u64>,
}

impl Sockets {
    fn arm(&self, ring: &Ring, state: &mut State, index: u32) {
        let tag = Tag { kind: Kind::Receive, generation: state.generation, index };
        let entry = opcode::RecvMulti::new(types::Fd(state.descriptor), GROUP).build().user_data(tag.user_data());
        state.receive = Receive::Armed;
        // SAFETY: the entry points to nothing; the buffers are the ring's own.
        unsafe { ring.push(&entry) };
    }

    pub(super) fn received(&self, ring: &Ring, tag: Tag, completion: &cqueue::Entry) {
        let filled = cqueue::buffer_select(completion.flags()).filter(|_| completion.result() > 0);
        if let Some(buffer) = filled {
            ring.buffers().filled(buffer, completion.result() as u32);
        }
        let mut states = self.states.borrow_mut();
        let state = &mut states[tag.index as usize];
        if state.generation & GENERATION_MASK != tag.generation || state.descriptor < 0 {
            // The socket was dropped meanwhile.
            if let Some(buffer) = filled {
                ring.buffers().offer(buffer);
            }
            return;
        }
        if let Some(buffer) = filled {
            ring.buffers().push(&mut state.queue, buffer);
        }
        if !cqueue::more(completion.flags()) {
            match completion.result() {
                result if result == -libc::ENOBUFS && state.receive == Receive::Armed => {
                    state.receive = Receive::Starved;
                    self.starvations.set(self.starvations.get() + 1);
                    self.starved.borrow_mut().push_back((tag.index, state.generation));
                    return;
                }
                0 => state.receive = Receive::Over(0),
                // Cancelled to hold the client back, to move it, or ended with data (the kernel's own limit).
                result if result > 0 || [libc::ECANCELED, libc::ENOBUFS].contains(&-result) => {
                    state.receive = Receive::Idle;
                }
                result => state.receive = Receive::Over(-result),
            }
        }
        let enough = state.queue.length >= limits::RECEIVE_QUEUE_BUFFERS || state.copied.is_some();
        if state.receive == Receive::Armed && enough {
            state.receive = Receive::Ending;
            let tag = Tag { kind: Kind::Receive, generation: state.generation, index: tag.index };
            ring.cancel(tag);
        }
        let waker = state.waker.take();
        drop(states);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn starvations(&self) -> u64 {
        self.starvations.get()
    }

    /// Re-arms those that ran out of buffers, in their order, while there are some.
    pub(super) fn feed_starved(&self, ring: &Ring) {
        if self.starved.borrow().is_empty() {
            return;
        }
        let mut states = self.states.borrow_mut();
        if !ring.buffers().any_offered() {
            // All buffers are queued at sessions that are busy with something else: theirs are copied out.
            states.iter_mut().for_each(|state| copy_out(ring, state));
            if !ring.buffers().any_offered() {
                return;
            }
        }
        for (index, generation) in self.starved.borrow_mut().drain(..) {
            let state = &mut states[index as usize];
            if state.generation == generation && state.receive == Receive::Starved {
                self.arm(ring, state, index);
            }
        }
    }
}

/// Gives a socket's queued buffers back, and keeps what was in them. Its receive ends at its next buffer, so that there is
/// an end to what is kept.
fn copy_out(ring: &Ring, state: &mut State) {
    if state.queue.length == 0 || state.waker.is_some() {
        return;
    }
    let copied = state.copied.get_or_insert_default();
    while let Some((buffer, bytes)) = ring.buffers().pop(&mut state.queue) {
        copied.extend_from_slice(&Received::new(ring.clone(), buffer, bytes));
    }
}

/// One connection on this shard's ring. Dropping it cancels its receive and closes it.
pub struct Socket {
    ring: Ring,
    index: u32,
    /// The send in flight, or the last one.
    sending: Option<Tag>,
}

/// What a connection was when it was let go of: it goes on elsewhere from here.
#[derive(Debug)]
pub struct Detached {
    /// The connection.
    pub descriptor: OwnedFd,
    /// What was received and not yet read, in order.
    pub unread: Vec<u8>,
    /// The client has ended its stream after `unread`.
    pub ended: bool,
}

impl Ring {
    /// Takes `descriptor` over and begins to receive.
    pub fn socket(&self, descriptor: OwnedFd) -> Socket {
        let sockets = self.sockets();
        let mut states = sockets.states.borrow_mut();
        let index = sockets.free.borrow_mut().pop().unwrap_or_else(|| {
            states.push(State {
                generation: 0,
                descriptor: -1,
                receive: Receive::Idle,
                queue: Queue::EMPTY,
                copied: None,
                waker: None,
            });
            states.len() as u32 - 1
        });
        let state = &mut states[index as usize];
        state.descriptor = descriptor.into_raw_fd();
        state.queue = Queue::EMPTY;
        sockets.arm(self, state, index);
        Socket { ring: self.clone(), index, sending: None }
    }
}

impl Socket {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.ring.sockets().states.borrow_mut()[self.index as usize])
    }

    fn descriptor(&self) -> i32 {
        self.with(|state| state.descriptor)
    }

    /// The ring it lives on.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The next received buffer; `None` is the end of the stream.
    pub fn poll_receive(&self, context: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        let mut states = self.ring.sockets().states.borrow_mut();
        let state = &mut states[self.index as usize];
        if let Some(copied) = state.copied.take() {
            return Poll::Ready(Ok(Some(Received::copied(copied))));
        }
        if let Some((buffer, bytes)) = self.ring.buffers().pop(&mut state.queue) {
            return Poll::Ready(Ok(Some(Received::new(self.ring.clone(), buffer, bytes))));
        }
        match state.receive {
            Receive::Over(0) => return Poll::Ready(Ok(None)),
            Receive::Over(error) => return Poll::Ready(Err(io::Error::from_raw_os_error(error))),
            Receive::Idle => self.ring.sockets().arm(&self.ring, state, self.index),
            Receive::Armed | Receive::Ending | Receive::Starved => {}
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            state.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Begins to send all of `parcel`, which is recycled when it is through. The send before it must be
    /// ([`Socket::poll_sent`]).
    pub fn begin_send(&mut self, mut parcel: Box<Parcel>) {
        debug_assert!(self.sending.is_none(), "one send in flight at a time");
        if parcel.is_empty() {
            return self.ring.recycle(parcel);
        }
        parcel.address(self.descriptor());
        let entry = parcel.entry();
        // SAFETY: the entry points into the boxed parcel (its header, vectors, octets and what its pins keep), which the
        // slot holds.
        self.sending = Some(unsafe { self.ring.start_send(entry, parcel) });
    }

    /// Ready when no send is in flight, with the error of the last one.
    pub fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(sending) = self.sending else { return Poll::Ready(Ok(())) };
        let sent = self.ring.poll_sent(sending, context);
        if sent.is_ready() {
            self.sending = None;
        }
        sent
    }

    /// Sends all of `parcel` and waits until it is through.
    pub async fn send(&mut self, parcel: Box<Parcel>) -> io::Result<()> {
        self.begin_send(parcel);
        std::future::poll_fn(|context| self.poll_sent(context)).await
    }

    /// Ends our half of the stream: the client sees the end after what was sent.
    pub fn shutdown_write(&self) {
        // Not by the ring: its shutdown runs on a worker thread, which looks the number up late, when it may be another
        // connection's. The call itself never waits, and what it fails with (the client is gone) is of no interest.
        // SAFETY: the state owns the descriptor; no pointer is passed.
        unsafe { libc::shutdown(self.descriptor(), libc::SHUT_WR) };
    }

    /// Lets go of the connection: waits for its send, ends the receive, waits for its last completion (which may carry
    /// data), and hands over descriptor and unread octets.
    pub async fn detach(mut self) -> io::Result<Detached> {
        std::future::poll_fn(|context| self.poll_sent(context)).await?;
        std::future::poll_fn(|context| {
            let mut states = self.ring.sockets().states.borrow_mut();
            let state = &mut states[self.index as usize];
            match state.receive {
                Receive::Idle | Receive::Starved | Receive::Over(_) => return Poll::Ready(()),
                Receive::Armed => {
                    state.receive = Receive::Ending;
                    self.ring.cancel(Tag { kind: Kind::Receive, generation: state.generation, index: self.index });
                }
                Receive::Ending => {}
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        let mut states = self.ring.sockets().states.borrow_mut();
        let state = &mut states[self.index as usize];
        let mut unread = state.copied.take().map_or_else(Vec::new, |copied| *copied);
        while let Some((buffer, bytes)) = self.ring.buffers().pop(&mut state.queue) {
            unread.extend_from_slice(&Received::new(self.ring.clone(), buffer, bytes));
        }
        let ended = matches!(state.receive, Receive::Over(_));
        // SAFETY: the state owned the descriptor; -1 says that it no longer does.
        let descriptor = unsafe { OwnedFd::from_raw_fd(std::mem::replace(&mut state.descriptor, -1)) };
        drop(states);
        Ok(Detached { descriptor, unread, ended })
    }

    /// The client's address and ours.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        let descriptor = self.descriptor();
        // SAFETY: the state owns an open socket; `ManuallyDrop` leaves it so.
        let stream = std::mem::ManuallyDrop::new(unsafe { std::net::TcpStream::from_raw_fd(descriptor) });
        Ok((stream.peer_addr()?, stream.local_addr()?))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let sockets = self.ring.sockets();
        let mut states = sockets.states.borrow_mut();
        let state = &mut states[self.index as usize];
        let tag = Tag { kind: Kind::Receive, generation: state.generation, index: self.index };
        let armed = matches!(state.receive, Receive::Armed | Receive::Ending);
        let descriptor = std::mem::replace(&mut state.descriptor, -1);
        state.generation += 1;
        state.receive = Receive::Idle;
        state.copied = None;
        state.waker = None;
        let mut queue = std::mem::replace(&mut state.queue, Queue::EMPTY);
        drop(states);
        while let Some((buffer, _)) = self.ring.buffers().pop(&mut queue) {
            self.ring.buffers().offer(buffer);
        }
        sockets.free.borrow_mut().push(self.index);
        if let Some(sending) = self.sending {
            self.ring.abandon(sending);
        }
        if descriptor >= 0 {
            if armed {
                self.ring.cancel(tag);
            }
            let entry = opcode::Close::new(types::Fd(descriptor)).build().user_data(Tag::FORGOTTEN);
            // SAFETY: the entry points to nothing. Entries run in order, and all that name this descriptor (receive, send,
            // close) begin in the submission itself, never on a worker, so the number can't be another socket's yet.
            unsafe { self.ring.push(&entry) };
        }
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Socket({})", self.index)
    }
}

struct Accept {
    descriptor: Option<OwnedFd>,
    armed: bool,
    paused: bool,
    accepted: VecDeque<io::Result<OwnedFd>>,
    waker: Option<Waker>,
    /// Who waits for the last completion.
    closer: Option<Waker>,
}

/// The shard's listeners.
#[derive(Default)]
pub(super) struct Accepts {
    listeners: RefCell<Vec<Accept>>,
}

impl Accepts {
    fn arm(&self, ring: &Ring, listener: &mut Accept, index: u32) {
        let Some(descriptor) = &listener.descriptor else { return };
        let tag = Tag { kind: Kind::Accept, generation: 0, index };
        let socket = types::Fd(descriptor.as_raw_fd());
        let entry = opcode::AcceptMulti::new(socket).flags(libc::SOCK_CLOEXEC).build().user_data(tag.user_data());
        listener.armed = true;
        // SAFETY: the entry points to nothing.
        unsafe { ring.push(&entry) };
    }

    pub(super) fn accepted(&self, ring: &Ring, tag: Tag, completion: &cqueue::Entry) {
        let mut listeners = self.listeners.borrow_mut();
        let listener = &mut listeners[tag.index as usize];
        let result = completion.result();
        // SAFETY: a result of 0 and up is a new descriptor that nobody else owns.
        let accepted = if result >= 0 { Ok(unsafe { OwnedFd::from_raw_fd(result) }) } else { Err(-result) };
        if !cqueue::more(completion.flags()) {
            listener.armed = false;
        }
        match accepted {
            // A listener that is closed drops (closes) what still came; a paused one had taken it, so it is served.
            Ok(descriptor) if listener.descriptor.is_some() => listener.accepted.push_back(Ok(descriptor)),
            Ok(_) | Err(libc::ECANCELED) => {}
            Err(error) => listener.accepted.push_back(Err(io::Error::from_raw_os_error(error))),
        }
        // An error ends the multishot; who accepts decides when to go on (`Listener::accept` arms again).
        if !listener.armed && !listener.paused && listener.accepted.is_empty() {
            self.arm(ring, listener, tag.index);
        }
        let wakers = [listener.waker.take(), if listener.armed { None } else { listener.closer.take() }];
        drop(listeners);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// A listening socket on this shard's ring.
pub struct Listener {
    ring: Ring,
    index: u32,
}

impl Ring {
    /// Accepts on `descriptor`, a bound and listening socket, until it is closed.
    pub fn listen(&self, descriptor: OwnedFd) -> Listener {
        let accepts = self.accepts();
        let mut listeners = accepts.listeners.borrow_mut();
        let mut listener = Accept {
            descriptor: Some(descriptor),
            armed: false,
            paused: false,
            accepted: VecDeque::new(),
            waker: None,
            closer: None,
        };
        let index = listeners.len() as u32;
        accepts.arm(self, &mut listener, index);
        listeners.push(listener);
        Listener { ring: self.clone(), index }
    }
}

impl Listener {
    fn with<T>(&self, act: impl FnOnce(&mut Accept) -> T) -> T {
        act(&mut self.ring.accepts().listeners.borrow_mut()[self.index as usize])
    }

    /// The next connection. An error (no descriptors, say) is told once; the next call tries again. `None`: closed.
    pub async fn accept(&self) -> Option<io::Result<OwnedFd>> {
        std::future::poll_fn(|context| {
            self.with(|listener| {
                if let Some(accepted) = listener.accepted.pop_front() {
                    return Poll::Ready(Some(accepted));
                }
                if listener.descriptor.is_none() {
                    return Poll::Ready(None);
                }
                if !listener.armed && !listener.paused {
                    self.ring.accepts().arm(&self.ring, listener, self.index);
                }
                listener.waker = Some(context.waker().clone());
                Poll::Pending
            })
        })
        .await
    }

    /// Stops accepting: new connections wait in the kernel's backlog.
    pub fn pause(&self) {
        self.with(|listener| {
            listener.paused = true;
            if listener.armed {
                self.ring.cancel(Tag { kind: Kind::Accept, generation: 0, index: self.index });
            }
        });
    }

    /// Accepts again.
    pub fn resume(&self) {
        self.with(|listener| {
            listener.paused = false;
            if !listener.armed {
                self.ring.accepts().arm(&self.ring, listener, self.index);
            }
        });
    }

    /// Stops listening for good; connections in the backlog are refused by the kernel.
    pub async fn close(&self) {
        let waker = self.with(|listener| {
            if listener.armed {
                self.ring.cancel(Tag { kind: Kind::Accept, generation: 0, index: self.index });
            }
            listener.descriptor = None;
            listener.accepted.clear();
            listener.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
        // The kernel's accept keeps the socket listening until its last completion: only then is the port free.
        std::future::poll_fn(|context| {
            self.with(|listener| {
                if !listener.armed {
                    return Poll::Ready(());
                }
                listener.closer = Some(context.waker().clone());
                Poll::Pending
            })
        })
        .await;
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listener({})", self.index)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::io::Sizes;

    fn send(ring: &Ring, socket: &mut Socket, octets: &[u8]) {
        let mut parcel = ring.parcel();
        parcel.buffer().extend_from_slice(octets);
        socket.begin_send(parcel);
        assert_eq!(ring.in_flight(), 1);
        ring.turn(true).unwrap();
    }

    /// Nobody asked for its end yet: an idle socket has no slot among the operations.
    #[test]
    fn a_send_that_is_through_holds_nothing() {
        let ring = Ring::new(&Sizes { submissions: 8, completions: 16, buffers: 2, buffer_bytes: 1024 }).unwrap();
        let ((first, mut peer), (second, _other)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let (mut first, mut second) = (ring.socket(first.into()), ring.socket(second.into()));
        let mut context = Context::from_waker(Waker::noop());
        send(&ring, &mut first, b"hello");
        assert_eq!(ring.in_flight(), 0);
        let mut received = [0; 5];
        peer.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"hello");
        // Its slot is another's by the time that it is asked for.
        let mut parcel = ring.parcel();
        parcel.buffer().push(b'x');
        second.begin_send(parcel);
        assert!(matches!(first.poll_sent(&mut context), Poll::Ready(Ok(()))));
        assert!(matches!(second.poll_sent(&mut context), Poll::Pending));
        ring.turn(true).unwrap();
        assert!(matches!(second.poll_sent(&mut context), Poll::Ready(Ok(()))));
        // What went wrong is kept until it was told.
        drop(peer);
        send(&ring, &mut first, b"again");
        assert!(matches!(first.poll_sent(&mut context), Poll::Ready(Err(_))));
        assert_eq!(ring.in_flight(), 0);
    }
}
