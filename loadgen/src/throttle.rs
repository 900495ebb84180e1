//! A client that reads or writes slowly, as one behind a poor line: so many octets a second, and a small receive buffer, so that
//! the server feels it.
//!
//! Invariant: over any time a bucket lets through at most its rate and one burst. An unlimited one costs a comparison.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::limits::THROTTLED_RECEIVE_BYTES;

/// How slowly. Octets a second; `None`: as fast as can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttle {
    /// What is read.
    pub read: Option<u64>,
    /// What is written.
    pub write: Option<u64>,
}

/// What is let through within this time may go at once, and it is the pause of a connection that has used it up.
const BURST: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Bucket {
    /// Octets a second.
    rate: f64,
    level: f64,
    filled_at: Option<Instant>,
}

impl Bucket {
    fn new(rate: u64) -> Bucket {
        Bucket { rate: rate as f64, level: 0.0, filled_at: None }
    }

    fn allowed(&mut self, now: Instant) -> usize {
        let burst = (self.rate * BURST.as_secs_f64()).max(1.0);
        let since = self.filled_at.map_or(BURST, |then| now.saturating_duration_since(then));
        self.filled_at = Some(now);
        self.level = (self.level + self.rate * since.as_secs_f64()).min(burst);
        self.level as usize
    }
}

/// The state of a connection's throttle.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    read: Option<Bucket>,
    write: Option<Bucket>,
    starved: bool,
}

impl Buckets {
    /// For a connection that has just begun to open.
    pub(crate) fn new(throttle: Throttle, stream: &TcpStream) -> io::Result<Buckets> {
        if throttle.read.is_some() {
            set_socket_recv_buffer_size(stream, THROTTLED_RECEIVE_BYTES)?;
        }
        Ok(Buckets { read: throttle.read.map(Bucket::new), write: throttle.write.map(Bucket::new), starved: false })
    }

    /// When the connection can go on, where it was held up since this was asked for last.
    pub(crate) fn wakes_at(&mut self, now: Instant) -> Option<Instant> {
        std::mem::take(&mut self.starved).then(|| now + BURST)
    }
}

/// A socket through its buckets: what they do not allow would block.
pub(crate) struct Throttled<'a> {
    pub(crate) stream: &'a mut TcpStream,
    pub(crate) buckets: &'a mut Buckets,
    pub(crate) now: Instant,
}

/// Passes at most `wanted` octets through `bucket`.
fn through(
    bucket: &mut Option<Bucket>,
    starved: &mut bool,
    (wanted, now): (usize, Instant),
    mut pass: impl FnMut(usize) -> io::Result<usize>,
) -> io::Result<usize> {
    let Some(bucket) = bucket else { return pass(wanted) };
    let allowed = bucket.allowed(now).min(wanted);
    if allowed == 0 && wanted > 0 {
        *starved = true;
        return Err(ErrorKind::WouldBlock.into());
    }
    let passed = pass(allowed)?;
    // Who gets all that is allowed, and less than wanted, may believe that there is no more.
    *starved |= allowed < wanted && passed == allowed;
    bucket.level -= passed as f64;
    Ok(passed)
}

impl Read for Throttled<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Buckets { read, starved, .. } = self.buckets;
        through(read, starved, (into.len(), self.now), |allowed| self.stream.read(&mut into[..allowed]))
    }
}

impl Write for Throttled<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Buckets { write, starved, .. } = self.buckets;
        through(write, starved, (octets.len(), self.now), |allowed| self.stream.write(&octets[..allowed]))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_keeps_its_rate() {
        let (mut bucket, start) = (Bucket::new(10_000), Instant::now());
        let mut passed = 0;
        for millisecond in 0..=1000 {
            let allowed = bucket.allowed(start + Duration::from_millis(millisecond)).min(300);
            bucket.level -= allowed as f64;
            passed += allowed;
        }
        assert!((9_990..=10_500).contains(&passed), "{passed}");
        assert_eq!(bucket.allowed(start + Duration::from_secs(60)), 500, "a pause gives no more than a burst");
    }

    #[test]
    fn who_is_held_up_is_woken() {
        let (mut bucket, mut starved, now) = (Some(Bucket::new(100)), false, Instant::now());
        let five = through(&mut bucket, &mut starved, (5, now), Ok);
        assert!(matches!(five, Ok(5)) && !starved);
        let none = through(&mut bucket, &mut starved, (1, now), Ok);
        assert!(starved && none.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
        let (later, mut starved) = (now + BURST, false);
        assert!(
            matches!(through(&mut bucket, &mut starved, (100, later), |_| Ok(1)), Ok(1)) && !starved,
            "it had no more"
        );
    }
}
