//! What the tests against a running server share: the server in a scratch folder, and clients of our own.
//!
//! The clients are blocking, read strictly, and share no code with the server: where they and the server disagree about
//! the protocol, a test fails. Every wait has an end ([`PATIENCE`]), so that a hang is a failure and not a stuck run.
#![allow(dead_code, unused_imports)] // each test uses its own part

pub mod bystander;
pub mod imap;
pub mod message;
pub mod pop3;
pub mod ports;
pub mod server;
pub mod smtp;
pub mod structure;
pub mod wire;

use std::time::Duration;

pub use bystander::Bystander;
pub use imap::Imap;
pub use pop3::Pop3;
pub use server::{Binary, Server};
pub use smtp::Smtp;
pub use wire::Wire;

/// How long any one answer of the server may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The first account that a new data folder has.
pub const USER: &str = "a@localhost";

/// A small seeded generator (xorshift64*), so that a run can be repeated.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// Octets as text for a failure's message, shortened.
pub fn show(octets: &[u8]) -> String {
    let shown = &octets[..octets.len().min(400)];
    let more = if octets.len() > 400 { format!("… ({} octets)", octets.len()) } else { String::new() };
    format!("{}{more}", String::from_utf8_lossy(shown).escape_debug())
}

/// Waits until `ready` gives something, and fails after `patience`.
pub fn eventually<T>(what: &str, patience: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let begin = std::time::Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(begin.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
