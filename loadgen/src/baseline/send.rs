//! send() of large pieces over loopback to a reader on the other processor: the limit of FETCH BODY[].
//!
//! The octets come out of 95 MB, one piece after the other, as those of a mapped mailbox do: the kernel copies both in the same way,
//! and mapping a file takes `unsafe`. The reader takes what comes and looks at nothing.

use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Instant;

use super::{Measure, Place, Round, beside, connection};
use crate::limits::READ_BYTES;
use crate::machine::thread_cpu_seconds;

/// What one send() is given.
pub(super) const PIECES: [(&str, usize); 2] = [("64k", 64 << 10), ("1m", 1 << 20)];

/// What is sent.
pub(super) struct Sender(pub(super) Rc<Vec<u8>>);

impl Measure for Sender {
    fn measure(&mut self, place: &Place, round: &mut Round) -> Result<(), String> {
        for (size, piece) in PIECES {
            let (mut server, mut client) = connection().map_err(|error| error.to_string())?;
            let reader = move || {
                let mut scratch = vec![0; READ_BYTES];
                while client.read(&mut scratch).is_ok_and(|count| count > 0) {}
            };
            let (sent, seconds, cpu) = beside(place, reader, || {
                let (from, cpu) = (Instant::now(), thread_cpu_seconds());
                let mut sent = 0u64;
                for piece in self.0.chunks_exact(piece).cycle() {
                    server.write_all(piece)?;
                    sent += piece.len() as u64;
                    if from.elapsed() >= place.time {
                        break;
                    }
                }
                let measured = (sent as f64, from.elapsed().as_secs_f64(), thread_cpu_seconds() - cpu);
                drop(server);
                Ok(measured)
            })?;
            round.put(format!("send_{size}_megabytes_per_second"), sent / 1e6 / seconds);
            round.put(format!("send_{size}_cpu_seconds_per_gigabyte"), cpu / (sent / 1e9));
        }
        Ok(())
    }
}
