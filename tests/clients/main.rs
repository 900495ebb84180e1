//! Real programs as clients: curl, swaks, Python's imaplib, poplib and smtplib, and IDLE told of what they deliver.
//!
//! A program that is missing fails its test by name. What arrives is compared octet for octet with what was sent, plain
//! and over TLS, before and after a restart.

#[path = "../support/mod.rs"]
mod support;

mod corpus;
mod idle;
mod pop3;
mod programs;
