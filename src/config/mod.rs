//! Configuration.
pub mod data;
