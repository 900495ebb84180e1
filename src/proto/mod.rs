//! Bytes to commands and answers to bytes, for IMAP, POP3, SMTP and SASL.
//!
//! Invariants: nothing here reads a socket, a clock, randomness or the store; results borrow the input or the arena
//! that the caller gives, so that a command costs no heap allocation; no input panics; whatever the chunking of the
//! bytes, the frames are the same. What a command means is the session's business, not ours.

#![forbid(unsafe_code)]

pub mod calendar;
pub mod imap;
pub mod line;
pub mod pop3;
pub mod sasl;
pub mod smtp;

#[cfg(test)]
mod mutation_tests;
