//! The client side of SMTP (RFC 5321) and LMTP (RFC 2033) with PIPELINING, ENHANCEDSTATUSCODES, STARTTLS and AUTH PLAIN where they
//! are announced.
//!
//! reply finds and checks a whole reply, whatever the chunking; client is the dialogue.

pub mod client;
pub mod reply;

pub use client::{Client, Settings};
pub use reply::{Framing, Reply};
