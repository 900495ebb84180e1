//! Hostile cases against the running server, each named after its line in the list of attacks.
//!
//! Every refusal is a clear reply or a close; nothing hangs (every read has a deadline), nothing grows, the server lives on
//! and other sessions notice nothing. What a client does first and the server must survive is sent raw.

#[path = "../support/mod.rs"]
mod support;

mod after_login;
mod before_login;
mod chunking;
mod lmtp;
mod mime;
mod smtp;
mod tls;
