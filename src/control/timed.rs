//! A stream that a thread may block on, with one deadline for all that is read and written before it.
//!
//! Invariant: however slowly the octets come or go, nothing here lasts beyond the deadline. No framing: what a request or a
//! reply is, those know who talk.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use socket2::Socket;

/// A socket, and the time by which it must be through.
#[derive(Debug)]
pub struct Timed {
    /// The socket.
    pub socket: Socket,
    /// The deadline; whoever goes on to the next request sets the next one.
    pub until: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(octets)
    }
}

impl Write for Timed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
