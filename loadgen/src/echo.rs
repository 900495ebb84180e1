//! Raw echoes that answer each complete line with one fixed line: what a machine can do at most in the dialogue of NOOP.
//!
//! Two of them, io_uring and epoll, because either may be faster on a given kernel; a server is measured against the better one.
//! They count line feeds and nothing else: no tags, no state. They serve 127.0.0.1 only, until they are killed.
//! A client that doesn't read its answers is dropped, so that nothing piles up.
//! This is the only file of the package with `unsafe`: a limit must not pay for comfort.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::squeue::{Entry, Flags, SubmissionQueue};
use io_uring::types::{BufRingEntry, Fixed};
use io_uring::{IoUring, Submitter, cqueue, opcode};
use memchr::memchr_iter;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::machine;
use crate::options::{EchoKind, EchoOptions};

/// What one receive takes: 32 NOOPs of 14 octets and more.
const BUFFER_BYTES: usize = 1024;
/// Provided buffers: more than connections that are measured; a power of two. 512 KiB stay in the second-level cache.
const BUFFERS: u16 = 512;
const SLOTS: u32 = 32_768;
const GROUP: u16 = 0;

/// Serves until the process is killed.
pub fn serve(options: &EchoOptions) -> Result<(), String> {
    if let Some(cpu) = options.cpu {
        machine::pin(cpu)?;
    }
    if options.reply.bytes().any(|octet| octet < b' ') {
        return Err("--reply: one line without control characters".into());
    }
    let refused = |error: io::Error| format!("127.0.0.1:{}: {error}", options.port);
    let listener = listen(options.port).map_err(refused)?;
    if options.port == 0 {
        // Only who started us knows the port: we are of no use to others.
        set_parent_process_death_signal(Some(Signal::TERM)).map_err(|error| refused(error.into()))?;
        println!("port {}", listener.local_addr().map_err(refused)?.port());
    }
    serve_at(&listener, options)
}

fn serve_at(listener: &TcpListener, options: &EchoOptions) -> Result<(), String> {
    let descriptors = machine::raise_descriptor_limit();
    // Each receive has at most as many line feeds as octets: its answer is always the front of this.
    let reply = format!("{}\r\n", options.reply);
    let replies = reply.repeat(BUFFER_BYTES.max(EPOLL_READ_BYTES)).into_bytes();
    println!("echo ready");
    match options.kind {
        EchoKind::Uring => {
            let slots = SLOTS.min(u32::try_from(descriptors.saturating_sub(64)).unwrap_or(SLOTS));
            Uring::new(slots)
                .and_then(|mut ring| ring.serve(listener, &replies, reply.len()))
                .map_err(|error| format!("io_uring: {error}"))
        }
        EchoKind::Epoll => epoll(listener, &replies, reply.len()).map_err(|error| format!("epoll: {error}")),
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let one: libc::c_int = 1;
    // SAFETY: the descriptor is open; the option's value is a c_int that lives through the call.
    let set = unsafe {
        let value = (&raw const one).cast();
        libc::setsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, value, size_of_val(&one) as u32)
    };
    // Accepted sockets inherit it. A longer queue than std's for thousands of connections at once.
    // SAFETY: listen(2) on an open listening socket only changes the length of its queue.
    if set != 0 || unsafe { libc::listen(listener.as_raw_fd(), 4096) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(listener)
}

/// What a completion belongs to: the kind in the upper half of user_data, the slot in the lower.
const ACCEPT: u64 = 1 << 32;
const RECEIVE: u64 = 2 << 32;
const SEND: u64 = 3 << 32;
const OTHER: u64 = 4 << 32;

struct Uring {
    ring: IoUring,
    buffers: Buffers,
    slots: u32,
    /// What io_uring_enter is called with: the registered index where the kernel has it, which saves a table look-up a call.
    enter_fd: RawFd,
    enter_flags: u32,
}

const IORING_REGISTER_RING_FDS: libc::c_uint = 20;
const IORING_ENTER_GETEVENTS: u32 = 1;
const IORING_ENTER_REGISTERED_RING: u32 = 1 << 4;

/// `struct io_uring_rsrc_update`
#[repr(C)]
struct RingFdUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

impl Uring {
    fn new(slots: u32) -> io::Result<Uring> {
        let mut builder = IoUring::builder();
        builder
            .setup_single_issuer()
            .setup_coop_taskrun()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_cqsize(16_384);
        let ring = match builder.clone().setup_no_sqarray().build(4096) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => builder.build(4096)?, // before 6.6
            built => built?,
        };
        ring.submitter().register_files_sparse(slots)?;
        let buffers = Buffers::new()?;
        // SAFETY: the ring's memory is page-aligned, BUFFERS entries long, and lives as long as `Buffers`, which is not
        // dropped before the ring (fields are dropped in order, the ring first).
        unsafe { ring.submitter().register_buf_ring_with_flags(buffers.ring as u64, BUFFERS, GROUP, 0)? };
        let mut update = RingFdUpdate { offset: u32::MAX, reserved: 0, data: ring.as_raw_fd() as u64 };
        // SAFETY: registers one descriptor from a valid io_uring_rsrc_update, which the kernel fills with the index.
        let registered = unsafe {
            libc::syscall(libc::SYS_io_uring_register, ring.as_raw_fd(), IORING_REGISTER_RING_FDS, &raw mut update, 1)
        };
        let (enter_fd, enter_flags) = if registered == 1 {
            (update.offset as RawFd, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING)
        } else {
            (ring.as_raw_fd(), IORING_ENTER_GETEVENTS)
        };
        Ok(Uring { ring, buffers, slots, enter_fd, enter_flags })
    }

    fn serve(&mut self, listener: &TcpListener, replies: &[u8], reply_bytes: usize) -> io::Result<()> {
        let (enter_fd, enter_flags) = (self.enter_fd, self.enter_flags);
        let (submitter, mut queue, mut completions) = self.ring.split();
        let listener = io_uring::types::Fd(listener.as_raw_fd());
        let accept = opcode::AcceptMulti::new(listener).allocate_file_index(true).build().user_data(ACCEPT);
        push(&submitter, &mut queue, &accept)?;
        let buffers = &mut self.buffers;
        loop {
            queue.sync();
            // SAFETY: a plain io_uring_enter: everything queued is submitted, and one completion is waited for.
            let entered = unsafe {
                let none = std::ptr::null::<libc::c_void>();
                libc::syscall(libc::SYS_io_uring_enter, enter_fd, queue.len() as u32, 1, enter_flags, none, 0)
            };
            if entered < 0 {
                let error = io::Error::last_os_error();
                if !matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)) {
                    return Err(error);
                }
            }
            queue.sync();
            completions.sync();
            for completion in &mut completions {
                let (kind, slot) = (completion.user_data() & !0xffff_ffff, completion.user_data() as u32);
                let (result, flags) = (completion.result(), completion.flags());
                match kind {
                    RECEIVE => {
                        if let Some(lines) = buffers.take_lines(result, flags) {
                            let send = opcode::Send::new(Fixed(slot), replies.as_ptr(), (lines * reply_bytes) as u32)
                                .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL | libc::MSG_DONTWAIT)
                                .build()
                                .flags(Flags::SKIP_SUCCESS)
                                .user_data(SEND | u64::from(slot));
                            push(&submitter, &mut queue, &send)?;
                        }
                        if !cqueue::more(flags) {
                            let next = if result > 0 || result == -libc::ENOBUFS { receive(slot) } else { close(slot) };
                            push(&submitter, &mut queue, &next)?;
                        }
                    }
                    ACCEPT => {
                        if result >= 0 && (result as u32) < self.slots {
                            push(&submitter, &mut queue, &receive(result as u32))?;
                        }
                        if !cqueue::more(flags) {
                            push(&submitter, &mut queue, &accept)?;
                        }
                    }
                    SEND => {
                        // Only failures come here: the client is gone or does not read. Its receive ends by this, then it is closed.
                        let shutdown = opcode::Shutdown::new(Fixed(slot), libc::SHUT_RDWR).build().user_data(OTHER);
                        push(&submitter, &mut queue, &shutdown)?;
                    }
                    _ => {}
                }
            }
            buffers.publish();
        }
    }
}

fn receive(slot: u32) -> Entry {
    opcode::RecvMulti::new(Fixed(slot), GROUP).build().user_data(RECEIVE | u64::from(slot))
}

fn close(slot: u32) -> Entry {
    opcode::Close::new(Fixed(slot)).build().flags(Flags::SKIP_SUCCESS).user_data(OTHER)
}

fn push(submitter: &Submitter<'_>, queue: &mut SubmissionQueue<'_>, entry: &Entry) -> io::Result<()> {
    // SAFETY: what entries point to (the replies, the listener) outlives the loop, and the provided buffers the ring.
    while unsafe { queue.push(entry) }.is_err() {
        queue.sync();
        submitter.submit()?;
        queue.sync();
    }
    Ok(())
}

/// The provided-buffer ring and its buffers, in one mapping.
struct Buffers {
    ring: *mut BufRingEntry,
    data: *mut u8,
    mapped: usize,
    tail: u16,
}

impl Buffers {
    fn new() -> io::Result<Buffers> {
        let ring_bytes = (BUFFERS as usize * size_of::<BufRingEntry>()).next_multiple_of(4096);
        let mapped = ring_bytes + BUFFERS as usize * BUFFER_BYTES;
        // SAFETY: a new private anonymous mapping, touched by nobody else.
        let base = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
            libc::mmap(std::ptr::null_mut(), mapped, access, kind, -1, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the offset is within the mapping.
        let data = unsafe { base.cast::<u8>().add(ring_bytes) };
        let mut buffers = Buffers { ring: base.cast(), data, mapped, tail: 0 };
        for number in 0..BUFFERS {
            buffers.give_back(number);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// The line feeds in what a receive brought, if any; its buffer is given back.
    fn take_lines(&mut self, result: i32, flags: u32) -> Option<usize> {
        let number = cqueue::buffer_select(flags)?;
        let count = usize::try_from(result).unwrap_or(0).min(BUFFER_BYTES);
        // SAFETY: the kernel gave us buffer `number` < BUFFERS with `count` octets in it, and does not write to it until it
        // is given back below.
        let received = unsafe { std::slice::from_raw_parts(self.data.add(number as usize * BUFFER_BYTES), count) };
        let lines = memchr_iter(b'\n', received).count();
        self.give_back(number);
        (lines > 0).then_some(lines)
    }

    fn give_back(&mut self, number: u16) {
        // SAFETY: the index is below BUFFERS, entries and buffers are within the mapping; the kernel does not read an entry at or
        // after the tail that it knows. The first entry's last field is the tail, which the setters leave alone.
        unsafe {
            let entry = &mut *self.ring.add((self.tail & (BUFFERS - 1)) as usize);
            entry.set_addr(self.data.add(number as usize * BUFFER_BYTES) as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(number);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what was given back.
    fn publish(&self) {
        // SAFETY: the tail is an aligned u16 within the mapping, which only we write.
        unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.ring).cast_mut()).store(self.tail, Ordering::Release) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and the ring that knew it is gone.
        unsafe { libc::munmap(self.ring.cast(), self.mapped) };
    }
}

/// What one read of the epoll echo takes.
const EPOLL_READ_BYTES: usize = 4096;

fn epoll(listener: &TcpListener, replies: &[u8], reply_bytes: usize) -> io::Result<()> {
    // SAFETY: epoll_create1 gives a new descriptor or −1.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if epoll < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open and nobody else's.
    let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
    watch(epoll.as_raw_fd(), listener.as_raw_fd())?;
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 512];
    let mut scratch = [0u8; EPOLL_READ_BYTES];
    loop {
        // SAFETY: the kernel writes at most as many events as the array has.
        let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), events.len() as i32, -1) };
        for event in &events[..usize::try_from(count).unwrap_or(0)] {
            let descriptor = event.u64 as RawFd;
            if descriptor == listener.as_raw_fd() {
                accept_all(epoll.as_raw_fd(), descriptor)?;
            } else if !answer(descriptor, &mut scratch, replies, reply_bytes) {
                // SAFETY: ours to close: accepted by us, and closed only here.
                unsafe { libc::close(descriptor) };
            }
        }
    }
}

fn watch(epoll: RawFd, descriptor: RawFd) -> io::Result<()> {
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: descriptor as u64 };
    // SAFETY: both descriptors are open, the event lives through the call.
    match unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, descriptor, &raw mut event) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn accept_all(epoll: RawFd, listener: RawFd) -> io::Result<()> {
    loop {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no address is asked for.
        let accepted = unsafe { libc::accept4(listener, std::ptr::null_mut(), std::ptr::null_mut(), flags) };
        if accepted < 0 {
            return Ok(()); // the queue is empty, or the client is gone already
        }
        watch(epoll, accepted)?;
    }
}

/// Reads once and answers the lines in it; false: the connection is over.
fn answer(descriptor: RawFd, scratch: &mut [u8], replies: &[u8], reply_bytes: usize) -> bool {
    // SAFETY: at most the scratch buffer's length is written to it.
    let received = unsafe { libc::recv(descriptor, scratch.as_mut_ptr().cast(), scratch.len(), 0) };
    let Ok(received) = usize::try_from(received) else {
        return io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock;
    };
    let bytes = memchr_iter(b'\n', &scratch[..received]).count() * reply_bytes;
    if received == 0 || bytes == 0 {
        return received != 0;
    }
    // SAFETY: there are at most `scratch.len()` lines, and `replies` has that many.
    let sent = unsafe { libc::send(descriptor, replies.as_ptr().cast(), bytes, libc::MSG_NOSIGNAL) };
    usize::try_from(sent) == Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn options(kind: EchoKind) -> EchoOptions {
        EchoOptions { kind, port: 0, cpu: None, reply: "A000000 OK NOOP completed".into() }
    }

    /// The echo's thread lives until the test process ends.
    fn echo_answers_each_line(kind: EchoKind) {
        let listener = listen(0).expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || serve_at(&listener, &options(kind)));
        for round in 0..3 {
            let mut stream = TcpStream::connect(address).expect("the backlog");
            stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("a time-out");
            let mut expected = 0;
            for (chunk, lines) in
                [(&b"A1 NOOP\r\n"[..], 1), (b"A2 NO", 0), (b"OP\r\nA3 NOOP\r\n", 2), (&b"x\n".repeat(900), 900)]
            {
                stream.write_all(chunk).expect("sent");
                let mut answer = vec![0; 27 * lines];
                stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("round {round}: {error}"));
                assert_eq!(answer, b"A000000 OK NOOP completed\r\n".repeat(lines));
                expected += lines;
            }
            assert_eq!(expected, 903);
            stream.shutdown(std::net::Shutdown::Write).expect("shut down");
            assert_eq!(stream.read(&mut [0; 8]).expect("the end"), 0);
        }
    }

    #[test]
    fn epoll_answers_each_line() {
        echo_answers_each_line(EchoKind::Epoll);
    }

    #[test]
    fn uring_answers_each_line() {
        echo_answers_each_line(EchoKind::Uring);
    }
}
