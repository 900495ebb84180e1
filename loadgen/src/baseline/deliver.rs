//! What a delivery costs the processor before it is written: receiving the message, its checksum, and a copy into the log.
//!
//! The write and its sync are measured by [`super::log`]; [`super::derive`] puts them together.

use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Instant;

use super::{Measure, Place, Round, beside, connection, cpu_seconds_of};
use crate::machine::thread_cpu_seconds;

/// A message.
pub(super) const MESSAGE_BYTES: usize = 8 << 10;
/// The figures' names.
pub(super) const RECEIVE: &str = "receive_8k_cpu_microseconds";
pub(super) const CRC_COPY: &str = "crc_copy_8k_cpu_microseconds";
/// Messages that are copied in one turn of the clock.
const COPIES: usize = 64;

/// The messages, and the log's memory that they are copied to.
pub(super) struct Deliver {
    messages: Vec<u8>,
    log: Vec<u8>,
}

impl Deliver {
    pub(super) fn new() -> Deliver {
        Deliver { messages: vec![b'm'; COPIES * MESSAGE_BYTES], log: vec![0; COPIES * MESSAGE_BYTES] }
    }

    fn receive(&mut self, place: &Place) -> Result<f64, String> {
        let (mut server, mut client) = connection().map_err(|error| error.to_string())?;
        let message = vec![b'm'; MESSAGE_BYTES];
        let sender = move || while client.write_all(&message).is_ok() {};
        let into = &mut self.messages[..MESSAGE_BYTES];
        beside(place, sender, move || {
            let (from, cpu) = (Instant::now(), thread_cpu_seconds());
            let mut received = 0u64;
            while received == 0 || from.elapsed() < place.time {
                server.read_exact(into)?;
                received += 1;
            }
            Ok((thread_cpu_seconds() - cpu) / received as f64)
        })
    }
}

impl Measure for Deliver {
    fn measure(&mut self, place: &Place, round: &mut Round) -> Result<(), String> {
        let seconds = self.receive(place)?;
        round.put(RECEIVE, seconds * 1e6);
        let seconds = cpu_seconds_of(place.time, || {
            for (message, at) in self.messages.chunks_exact(MESSAGE_BYTES).zip(self.log.chunks_exact_mut(MESSAGE_BYTES))
            {
                black_box(crc32c::crc32c(message));
                at.copy_from_slice(message);
            }
            black_box(&self.log);
        });
        round.put(CRC_COPY, seconds / COPIES as f64 * 1e6);
        Ok(())
    }
}
