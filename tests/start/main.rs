//! Starting and stopping: what can't be done is one clear line and an exit code, at once, with nothing damaged; what is
//! stopped says goodbye and has everything when it comes back.

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod admin;
mod fsck;
mod refusals;
mod stopping;
