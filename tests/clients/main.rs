//! Real programs as clients: mail programs, fetchers, synchronisers, libraries, and IDLE told of what they deliver.
//!
//! A program that is missing fails its test by name. What arrives is compared octet for octet with what was sent, plain
//! and over TLS, before and after a restart.

#[path = "../support/mod.rs"]
mod support;

mod corpus;
mod idle;
mod libraries;
mod maildrops;
mod neomutt;
mod pop3;
mod programs;
mod sync;
mod thunderbird;
