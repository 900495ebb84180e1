//! What the benches work on and with: messages, passes over octets, a store on its ring, an IMAP session and its client.
//!
//! It is the server's own code that runs, by the ways that it runs on a shard; only the executor is not there. What one bench
//! times another counts, so that both are of the same.

pub mod dialogue;
pub mod house;
pub mod message;
pub mod passes;

/// Whether this is a bench rather than a test of one: `cargo bench` says so. Under test little is enough.
pub fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}
