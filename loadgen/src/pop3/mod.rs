//! The client side of POP3 (RFC 1939) with STLS (RFC 2595) and the response codes of RFC 2449.
//!
//! reply finds and checks a whole response, whatever the chunking; client is the dialogue of one session.

pub mod client;
pub mod reply;

pub use client::{Client, Settings};
pub use reply::{Framing, Reply};
