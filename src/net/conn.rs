//! One connection: octets in (decrypted where TLS is on), octets out, deadlines, and moving to another shard.
//!
//! Invariants:
//! - [`Input::octets`] are what was received and not consumed, in order. They lie in the kernel's buffer; only what
//!   straddles two buffers (or was decrypted) is copied, and an empty input holds no memory.
//! - Output goes out in the order it was written; TLS's own messages before it.
//! - After a switch to TLS nothing that was received in the clear is left (RFC 3207 §4.2, RFC 9051 §6.2.1).
//! - A wait always has a deadline, and ends early where all timers are fired (the server stops) or the session is kicked.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::presence::{History, Peer, Presence};
use super::tls::{ServerTls, Tls};
use crate::io::{Detached, Mark, Parcel, Received, Ring, Socket};
use crate::limits;

/// A connection of this shard.
#[derive(Debug)]
pub struct Connection {
    /// Where commands lie.
    pub input: Input,
    /// Where answers go.
    pub wire: Wire,
}

/// Received octets that no command has consumed.
#[derive(Debug, Default)]
pub struct Input {
    held: Option<Received>,
    consumed: usize,
    /// Used instead of `held` where octets straddle buffers or were decrypted.
    copied: Vec<u8>,
    ended: bool,
}

/// The socket, TLS, output, and what others know of the connection, its one timer among it.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
    tls: Option<Box<Tls>>,
    output: Option<Box<Parcel>>,
    presence: Rc<Presence>,
}

/// How a wait for input ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// There is more input.
    More,
    /// The client has ended its stream.
    End,
    /// The deadline passed, all timers were fired, or the session was kicked.
    Timeout,
}

/// A connection between two shards.
#[derive(Debug)]
pub struct Moved {
    descriptor: OwnedFd,
    tls: Option<Box<Tls>>,
    unread: Vec<u8>,
    ended: bool,
    peer: Peer,
    history: History,
}

fn failed(error: super::TlsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// What was announced can't be sent: the connection has to end.
fn refuse_lost(parcel: &Parcel) -> io::Result<()> {
    if parcel.has_lost() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "some of what was to be sent is lost"));
    }
    Ok(())
}

impl Connection {
    /// Takes over an accepted connection. An error: the client went away already.
    pub fn new(ring: &Ring, descriptor: OwnedFd) -> io::Result<Connection> {
        let socket = ring.socket(descriptor);
        let (client, server) = socket.addresses()?;
        let presence = Presence::new(ring, Peer::new(client, server.ip()), None);
        Ok(Connection { input: Input::default(), wire: Wire { socket, tls: None, output: None, presence } })
    }

    /// Takes over a connection that another shard let go of.
    pub fn adopt(ring: &Ring, moved: Moved) -> Connection {
        let presence = Presence::new(ring, moved.peer, Some(moved.history));
        let wire = Wire { socket: ring.socket(moved.descriptor), tls: moved.tls, output: None, presence };
        if wire.is_tls() {
            wire.presence.encrypts();
        }
        let input = Input { copied: moved.unread, ended: moved.ended, ..Input::default() };
        Connection { input, wire }
    }

    /// Lets go of the connection, for another shard; its output must have been flushed.
    pub async fn release(mut self) -> io::Result<Moved> {
        let ring = self.wire.ring().clone();
        let Detached { descriptor, mut unread, ended } = self.wire.socket.detach().await?;
        self.wire.presence.receives(unread.len(), ring.now());
        // What was received and not decrypted is decrypted here: TLS state and plaintext go together.
        match &mut self.wire.tls {
            Some(tls) => {
                self.input.compact();
                tls.receive(&mut unread, &mut self.input.copied).map_err(failed)?;
                unread = std::mem::take(&mut self.input.copied);
            }
            None => {
                let mut all = self.input.octets().to_vec();
                all.append(&mut unread);
                unread = all;
            }
        }
        let (peer, history) = (self.wire.presence.peer(), self.wire.presence.history());
        Ok(Moved { descriptor, tls: self.wire.tls.take(), unread, ended: ended || self.input.ended, peer, history })
    }

    /// Ends the connection so that the client sees what was sent: flushes, says the end, and reads to the client's own end
    /// for a moment (closing with unread input would reset the connection and lose our last words).
    pub async fn close(mut self) {
        if self.wire.flush().await.is_err() {
            return;
        }
        if let Some(tls) = &mut self.wire.tls
            && tls.established()
            && tls.close_notify().is_ok()
            && self.wire.flush().await.is_err()
        {
            return;
        }
        if self.wire.sent().await.is_err() {
            return;
        }
        self.wire.socket.shutdown_write();
        let end = self.wire.ring().now() + limits::LINGER;
        self.wire.set_deadline_at(end);
        let mut left = limits::LINGER_BYTES_MAX;
        loop {
            let received = std::future::poll_fn(|context| {
                if self.wire.poll_end(end, context).is_ready() {
                    return Poll::Ready(Ok(None));
                }
                self.wire.socket.poll_receive(context)
            });
            match received.await {
                Ok(Some(octets)) if octets.len() < left => left -= octets.len(),
                _ => return,
            }
        }
    }
}

impl Input {
    /// What was received and not consumed.
    pub fn octets(&self) -> &[u8] {
        match &self.held {
            Some(held) => &held[self.consumed..],
            None => &self.copied[self.consumed..],
        }
    }

    /// Consumes `count` octets; what holds them is given back when they are all.
    pub fn consume(&mut self, count: usize) {
        self.consumed += count;
        if self.octets().is_empty() {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.held = None;
        self.consumed = 0;
        self.copied.clear();
        if self.copied.capacity() > limits::INPUT_BYTES_KEPT {
            self.copied = Vec::new();
        }
    }

    /// Moves what is left to `copied`, so that more can be put behind it.
    fn compact(&mut self) {
        if let Some(held) = self.held.take() {
            self.copied.clear();
            self.copied.extend_from_slice(&held[self.consumed..]);
        } else {
            self.copied.drain(..self.consumed);
        }
        self.consumed = 0;
    }

    /// Before a wait: what an idle connection need not keep is freed, and the beginning of a command is copied out, so that
    /// the kernel's buffer is given back. Nobody may hold one while it waits: there are few.
    fn rest(&mut self) {
        if self.held.is_some() {
            self.compact();
        } else if self.copied.is_empty() && self.copied.capacity() > 0 {
            self.copied = Vec::new();
        }
    }

    /// Before a command that may wait: where receive buffers are short, the command is copied out of its buffer.
    pub fn spare(&mut self, wire: &Wire) {
        if self.held.is_some() && wire.ring().is_short_of_buffers() {
            self.compact();
        }
    }

    /// Takes one received buffer in.
    fn take(&mut self, wire: &mut Wire, mut received: Received) -> io::Result<()> {
        wire.presence.receives(received.len(), wire.ring().now());
        if let Some(tls) = &mut wire.tls {
            self.compact();
            return tls.receive(&mut received, &mut self.copied).map_err(failed);
        }
        if self.octets().is_empty() {
            self.clear();
            self.held = Some(received);
        } else {
            self.compact();
            self.copied.extend_from_slice(&received);
        }
        Ok(())
    }

    /// Polls for more input; an input that was looked at and waits is copied out of the kernel's buffer. TLS may have something
    /// to send afterwards (which the next flush does), but for the alert of a failure, which is on its way.
    pub fn poll_fill(&mut self, wire: &mut Wire, context: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        if self.ended || wire.tls.as_ref().is_some_and(|tls| tls.closed()) {
            return Poll::Ready(Ok(Fill::End));
        }
        if wire.presence.is_kicked() {
            // Whatever came meanwhile: a client that never stops talking is ended too.
            return Poll::Ready(Ok(Fill::Timeout));
        }
        match wire.socket.poll_receive(context) {
            Poll::Ready(Ok(Some(received))) => match self.take(wire, received) {
                Ok(()) => Poll::Ready(Ok(Fill::More)),
                Err(error) => {
                    wire.send_alert(context);
                    Poll::Ready(Err(error))
                }
            },
            Poll::Ready(Ok(None)) => {
                self.ended = true;
                Poll::Ready(Ok(Fill::End))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.rest();
                if wire.presence.timer().poll(context).is_ready() {
                    Poll::Ready(Ok(Fill::Timeout))
                } else {
                    Poll::Pending
                }
            }
        }
    }

    /// Waits for more input until the wire's deadline.
    pub fn wait(&mut self, wire: &mut Wire) -> impl Future<Output = io::Result<Fill>> {
        std::future::poll_fn(|context| self.poll_fill(wire, context))
    }
}

impl Wire {
    /// The ring it lives on.
    pub fn ring(&self) -> &Ring {
        self.socket.ring()
    }

    /// Throws away what was received and not consumed: before a switch to TLS is confirmed. What comes in the clear after
    /// this is no TLS record, and fails the handshake.
    pub fn discard(&mut self, input: &mut Input) {
        input.clear();
        let mut context = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Ok(Some(octets))) = self.socket.poll_receive(&mut context) {
            drop(octets);
        }
    }

    /// Makes the connection a TLS one from here on.
    pub fn begin_tls(&mut self, config: &ServerTls) -> io::Result<()> {
        self.tls = Some(Box::new(Tls::new(config).map_err(failed)?));
        self.presence.encrypts();
        Ok(())
    }

    /// Does the TLS handshake, within `time` however its octets dribble in.
    pub async fn handshake(&mut self, input: &mut Input, time: Duration) -> io::Result<()> {
        let end = self.ring().now() + time;
        loop {
            self.flush().await?;
            if self.tls.as_ref().is_none_or(|tls| tls.established()) {
                return Ok(());
            }
            self.set_deadline_at(end);
            match input.wait(self).await? {
                Fill::More => {}
                Fill::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Fill::Timeout => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// TLS is on.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// What others on the shard know of this connection, and are to know.
    pub fn presence(&self) -> &Rc<Presence> {
        &self.presence
    }

    /// An administrator has ended the session: waits for input end at once.
    pub fn is_kicked(&self) -> bool {
        self.presence.is_kicked()
    }

    /// Waits end at `time` from now.
    pub fn set_deadline(&self, time: Duration) {
        self.presence.timer().set(self.ring().now() + time);
    }

    /// Waits end at `end`.
    pub fn set_deadline_at(&self, end: Instant) {
        self.presence.timer().set(end);
    }

    /// Whether [`Wire::breathe`] would do something.
    pub fn must_breathe(&self) -> bool {
        self.is_full() || self.ring().is_slice_over()
    }

    /// There is enough output to flush.
    pub fn is_full(&self) -> bool {
        self.output.as_ref().is_some_and(|parcel| parcel.is_full())
    }

    /// Lets others run where this session has had the shard for long; called between pieces of work.
    pub async fn breathe(&mut self) -> io::Result<()> {
        if self.is_full() {
            self.flush().await?;
            self.sent().await?;
        }
        self.ring().breathe().await;
        Ok(())
    }

    /// The output so far, to append to. Under TLS it is plaintext until it is flushed.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.parcel().buffer()
    }

    /// How much output there is, for [`Wire::rewind`].
    pub fn mark(&mut self) -> Mark {
        self.parcel().mark()
    }

    /// Takes back what was written after `mark`, of which nothing was flushed.
    pub fn rewind(&mut self, mark: Mark) {
        self.parcel().rewind(mark);
    }

    /// The output as a parcel, to lend to.
    pub fn parcel(&mut self) -> &mut Parcel {
        self.output.get_or_insert_with(|| self.socket.ring().parcel())
    }

    /// Sends the output. It is on its way when this returns, and the client has it when [`Wire::sent`] does.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.seal()?;
        if self.output.as_ref().is_some_and(|parcel| !parcel.is_empty()) {
            // Once the output before it is through: there the client's pace is felt.
            let sent = self.sent().await;
            let Some(parcel) = self.output.take() else { return sent };
            sent?;
            refuse_lost(&parcel)?;
            self.presence.sends(parcel.length());
            self.socket.begin_send(parcel);
        } else if let Some(parcel) = self.output.take() {
            self.ring().recycle(parcel);
        }
        Ok(())
    }

    /// Begins to send what TLS has to say of a failure, unless the client doesn't even take what was sent before.
    fn send_alert(&mut self, context: &mut Context<'_>) {
        if self.socket.poll_sent(context).is_ready()
            && let Some(tls) = &mut self.tls
        {
            let mut parcel = self.socket.ring().parcel();
            tls.take_outgoing(parcel.buffer());
            self.presence.sends(parcel.length());
            self.socket.begin_send(parcel);
        }
    }

    /// Makes records of the output, where TLS is on.
    fn seal(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls
            && (tls.has_outgoing() || self.output.as_ref().is_some_and(|parcel| !parcel.is_empty()))
        {
            let mut cipher = self.socket.ring().parcel();
            tls.take_outgoing(cipher.buffer());
            if let Some(mut plain) = self.output.take() {
                for slice in plain.slices() {
                    tls.encrypt(slice, cipher.buffer()).map_err(failed)?;
                }
                refuse_lost(&plain)?;
                self.socket.ring().recycle(plain);
            }
            self.output = Some(cipher);
        }
        Ok(())
    }

    /// Waits until what was flushed is through, for `SEND_TIME_MAX` at the most.
    pub fn sent(&mut self) -> impl Future<Output = io::Result<()>> {
        let mut end = None;
        std::future::poll_fn(move |context| {
            if let Poll::Ready(sent) = self.socket.poll_sent(context) {
                return Poll::Ready(sent);
            }
            // Who is kicked and doesn't read is waited for no longer than that; the kick fires the timer.
            let soonest = |end: Instant| self.presence.kicked_until().map_or(end, |kicked| kicked.min(end));
            let end = soonest(*end.get_or_insert_with(|| {
                let end = self.ring().now() + limits::SEND_TIME_MAX;
                self.presence.timer().set(soonest(end));
                end
            }));
            match self.poll_end(end, context) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            }
        })
    }

    /// Ready at `end`, which the timer was set to. All timers may be fired at once, to tell that the server stops: who sends
    /// or says its last words goes on.
    fn poll_end(&self, end: Instant, context: &mut Context<'_>) -> Poll<()> {
        while self.presence.timer().poll(context).is_ready() {
            if self.ring().now() >= end {
                return Poll::Ready(());
            }
            self.presence.timer().set(end);
        }
        Poll::Pending
    }
}
