//! IMAP's commands against the running server, several sessions side by side where that matters.

#[path = "../support/mod.rs"]
mod support;

mod dialogue;
mod mailboxes;
mod messages;
