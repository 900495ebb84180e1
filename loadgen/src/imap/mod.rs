//! The client side of IMAP (RFC 9051, and RFC 3501 where servers still speak it), written apart from the server that it tests.
//!
//! frame finds where a response ends, whatever the chunking; parse reads all of it and refuses what the grammar does not
//! allow; mailbox keeps what the server said about the selected mailbox and finds contradictions; client is the dialogue, command what it sends.

pub mod client;
pub mod command;
pub mod fetch;
pub mod frame;
pub mod mailbox;
pub mod parse;
pub mod scan;

pub use client::{Action, Client, Part, Settings, What, Work};
pub use parse::{Response, parse};
