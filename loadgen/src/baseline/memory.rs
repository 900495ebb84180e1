//! What only the processor and its memory limit: searching a text, sealing TLS records, reading columns and copying answers.
//!
//! All of it is told by this thread's processor time. The libraries are those that the server uses as well: the limit is what they
//! give where nothing stands around them.

use std::hint::black_box;
use std::rc::Rc;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use memchr::memmem::Finder;

use super::{Measure, Place, Round, cpu_seconds_of};
use crate::corpus::TEXT_WORD;

/// memchr::memmem over a text: the limit of SEARCH TEXT.
pub(super) struct Search(pub(super) Rc<Vec<u8>>);

impl Measure for Search {
    fn measure(&mut self, place: &Place, round: &mut Round) -> Result<(), String> {
        let finder = Finder::new(TEXT_WORD);
        let mut found = 0;
        let seconds = cpu_seconds_of(place.time, || found = black_box(finder.find_iter(self.0.as_slice()).count()));
        if found == 0 {
            return Err(format!("the text has no \"{TEXT_WORD}\""));
        }
        round.put("memmem_megabytes_per_second", self.0.len() as f64 / 1e6 / seconds);
        Ok(())
    }
}

/// The suites of TLS 1.3 (RFC 8446 §B.4), by their AEADs.
pub(super) const SEALS: [(&str, &Algorithm); 3] =
    [("aes_128_gcm", &AES_128_GCM), ("aes_256_gcm", &AES_256_GCM), ("chacha20_poly1305", &CHACHA20_POLY1305)];
/// RFC 8446 §5.1: the most that a record holds.
const RECORD_BYTES: usize = 1 << 14;
/// Records that are sealed in one turn of the clock.
const RECORDS: u64 = 64;

/// Sealing of full TLS records in place.
pub(super) struct Seal {
    keys: Vec<(&'static str, LessSafeKey)>,
    record: Vec<u8>,
    sealed: u64,
}

impl Seal {
    pub(super) fn new() -> Result<Seal, String> {
        let key = |(name, algorithm): (&'static str, &'static Algorithm)| {
            let bytes = vec![7; algorithm.key_len()];
            let key = UnboundKey::new(algorithm, &bytes).map_err(|error| format!("{name}: {error}"))?;
            Ok((name, LessSafeKey::new(key)))
        };
        let keys = SEALS.into_iter().map(key).collect::<Result<_, String>>()?;
        Ok(Seal { keys, record: vec![b'm'; RECORD_BYTES], sealed: 0 })
    }
}

impl Measure for Seal {
    fn measure(&mut self, place: &Place, round: &mut Round) -> Result<(), String> {
        for (name, key) in &self.keys {
            let mut refused = None;
            let seconds = cpu_seconds_of(place.time, || {
                for _ in 0..RECORDS {
                    self.sealed += 1;
                    let mut nonce = [0; 12];
                    nonce[4..].copy_from_slice(&self.sealed.to_be_bytes());
                    // RFC 8446 §5.2: the additional data is the record's header.
                    let header = [23, 3, 3, 64, 17];
                    let nonce = Nonce::assume_unique_for_key(nonce);
                    match key.seal_in_place_separate_tag(nonce, Aad::from(header), &mut self.record) {
                        Ok(tag) => _ = black_box(tag),
                        Err(error) => refused = Some(error),
                    }
                }
            });
            if let Some(error) = refused {
                return Err(format!("{name}: {error}"));
            }
            let megabytes = RECORDS as f64 * RECORD_BYTES as f64 / 1e6;
            round.put(format!("seal_{name}_megabytes_per_second"), megabytes / seconds);
        }
        Ok(())
    }
}

/// Messages of the mailbox that FETCH 1:* is about.
const MESSAGES: u32 = 10_000;
/// Octets of the answer to FETCH 1:* (UID FLAGS RFC822.SIZE) about one of them.
pub(super) const FLAGS_LINE_BYTES: f64 = 59.0;
/// What a server copies before it sends.
const OUTPUT_BYTES: usize = 64 << 10;

/// FETCH 1:* (UID FLAGS RFC822.SIZE) without a server: the columns are read, the ready answer is copied.
pub(super) struct Flags {
    columns: [Vec<u32>; 3],
    answer: Vec<u8>,
    output: Vec<u8>,
}

impl Flags {
    pub(super) fn new() -> Flags {
        // All numbers have five digits, so that all lines have the same length.
        let numbers = MESSAGES..2 * MESSAGES;
        let line = |number| format!("* {number} FETCH (UID {number} FLAGS (\\Seen) RFC822.SIZE {number})\r\n");
        let answer = numbers.clone().map(line).collect::<String>().into_bytes();
        Flags { columns: [(); 3].map(|()| numbers.clone().collect()), answer, output: vec![0; OUTPUT_BYTES] }
    }
}

impl Measure for Flags {
    fn measure(&mut self, place: &Place, round: &mut Round) -> Result<(), String> {
        let seconds = cpu_seconds_of(place.time, || {
            for column in &self.columns {
                black_box(column.iter().fold(0u32, |sum, value| sum.wrapping_add(*value)));
            }
        });
        round.put("columns_messages_per_second", f64::from(MESSAGES) / seconds);
        let seconds = cpu_seconds_of(place.time, || {
            for part in self.answer.chunks(OUTPUT_BYTES) {
                self.output[..part.len()].copy_from_slice(part);
                black_box(&self.output);
            }
        });
        round.put("copy_messages_per_second", f64::from(MESSAGES) / seconds);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_long_as_the_derived_limit_takes_them() {
        let flags = Flags::new();
        assert_eq!(flags.answer.len() as f64, FLAGS_LINE_BYTES * f64::from(MESSAGES));
        assert!(flags.answer.starts_with(b"* 10000 FETCH (UID 10000 FLAGS (\\Seen) RFC822.SIZE 10000)\r\n"));
    }
}
