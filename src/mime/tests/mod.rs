//! The room as a whole: known answers, generated and mutated messages, hostile ones against the clock.
//!
//! Everything is checked by [`grammar`], a reader of ENVELOPE and BODYSTRUCTURE that shares no code with the writers.

mod generated;
mod grammar;
mod hostile;
mod known;
mod malformed;
mod second_opinion;
mod well_formed;
