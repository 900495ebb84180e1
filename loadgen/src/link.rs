//! One non-blocking connection, plain or TLS. No protocol: bytes in, bytes out, and the state of the handshake.
//!
//! Invariant: what is queued is sent in order, and a partial write is taken up where it ended. After [`Link::read`] said
//! [`Read::Drained`], the next readiness event is sure to come (edge triggered).

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

pub use crate::throttle::Throttle;
use crate::throttle::{Buckets, Throttled};

/// What reading gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// So many octets, and there may be more.
    More(usize),
    /// So many octets, and the socket is empty.
    Last(usize),
    /// Nothing now.
    Drained,
    /// The peer closed.
    Closed,
}

/// How to speak TLS to the server.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Roots, versions, resumption.
    pub config: Arc<ClientConfig>,
    /// The name that the certificate must have, and SNI.
    pub name: ServerName<'static>,
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    /// The socket, to be registered.
    pub stream: TcpStream,
    /// True once the connection stands.
    pub connected: bool,
    tls: Option<Box<Secure>>,
    out: Vec<u8>,
    sent: usize,
    buckets: Buckets,
    now: Instant,
}

#[derive(Debug)]
struct Secure {
    connection: ClientConnection,
    /// When its ClientHello was ready to be sent.
    began: Instant,
}

/// A buffer that grew beyond this is given back when it is empty.
const KEEP_BYTES: usize = 1 << 20;

impl Link {
    /// Begins to connect.
    pub fn connect(address: SocketAddr, throttle: Throttle) -> io::Result<Link> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let buckets = Buckets::new(throttle, &stream)?;
        Ok(Link { stream, connected: false, tls: None, out: Vec::new(), sent: 0, buckets, now: Instant::now() })
    }

    /// Asks whether the connection stands now.
    pub fn finish_connect(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => self.connected = true,
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            Err(error) => return Err(error),
        }
        Ok(self.connected)
    }

    /// Begins the handshake.
    pub fn start_tls(&mut self, tls: &Tls) -> io::Result<()> {
        let mut connection = ClientConnection::new(tls.config.clone(), tls.name.clone()).map_err(io::Error::other)?;
        connection.set_buffer_limit(None); // bounded by what the dialogue queues: one message
        self.tls = Some(Box::new(Secure { connection, began: Instant::now() }));
        Ok(())
    }

    /// True while the handshake goes on.
    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.connection.is_handshaking())
    }

    /// Of which kind the handshake was that just ended, and how long it took.
    pub fn handshake(&self) -> Option<(HandshakeKind, Duration)> {
        let tls = self.tls.as_ref()?;
        Some((tls.connection.handshake_kind()?, tls.began.elapsed()))
    }

    /// Reads what there is into `into`.
    pub fn read(&mut self, into: &mut [u8], now: Instant) -> io::Result<Read> {
        self.now = now;
        let mut stream = Throttled { stream: &mut self.stream, buckets: &mut self.buckets, now };
        let Some(tls) = &mut self.tls else {
            return match stream.read(into) {
                Ok(0) => Ok(Read::Closed),
                Ok(count) if count < into.len() => Ok(Read::Last(count)),
                Ok(count) => Ok(Read::More(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Read::Drained),
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Read::More(0)),
                Err(error) => Err(error),
            };
        };
        let tls = &mut tls.connection;
        match tls.reader().read(into) {
            Ok(0) => return Ok(Read::Closed),
            Ok(count) => return Ok(Read::More(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // No close_notify: for a mail dialogue, whose ends are marked, that is just the end.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Read::Closed),
            Err(error) => return Err(error),
        }
        match tls.read_tls(&mut stream) {
            Ok(0) if tls.is_handshaking() => return Ok(Read::Closed),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Read::Drained),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if let Err(error) = tls.process_new_packets() {
            let _ = tls.write_tls(&mut stream); // the alert
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(Read::More(0))
    }

    /// When a throttled connection that was held up can go on.
    pub fn wakes_at(&mut self) -> Option<Instant> {
        self.buckets.wakes_at(self.now)
    }

    /// Where the dialogue writes.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Sends what can be sent; what is left goes with the next readiness event.
    pub fn flush(&mut self, now: Instant) -> io::Result<()> {
        self.now = now;
        let mut stream = Throttled { stream: &mut self.stream, buckets: &mut self.buckets, now };
        match &mut self.tls {
            None => {
                while self.sent < self.out.len() {
                    match stream.write(&self.out[self.sent..]) {
                        Ok(count) => self.sent += count,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Some(tls) => {
                let tls = &mut tls.connection;
                tls.writer().write_all(&self.out)?;
                self.out.clear();
                while tls.wants_write() {
                    match tls.write_tls(&mut stream) {
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        self.sent = 0;
        self.out.clear();
        if self.out.capacity() > KEEP_BYTES {
            self.out.shrink_to(0);
        }
        Ok(())
    }
}
