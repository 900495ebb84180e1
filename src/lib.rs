//! Ringpost: a thread-per-core mail engine for Linux on io_uring.
//!
//! The modules are rooms of one house, listed here from left to right: a room names only what stands to its right,
//! and the leaves may be named by all (`tests/tidy.rs` holds that). ARCHITECTURE.md is the map.

// Rooms.
pub mod tools;

pub mod serve;

pub mod control;

pub mod shard;

pub mod session;

pub mod delivery;

pub mod directory;

pub mod net;

pub mod store;

pub mod proto;

pub mod mime;

pub mod io;

// Leaves.
pub mod config;
pub mod hop;
pub mod limits;
pub mod metrics;
pub mod service;
