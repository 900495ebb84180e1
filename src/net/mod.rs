//! Connections: listeners, bytes in and out, TLS, and the memory that one command needs.
//!
//! A [`Connection`] is two halves that are borrowed apart: [`Input`], where a command lies while it runs, and [`Wire`],
//! where its answer goes. Nothing here knows a protocol.

mod arena;
mod conn;
mod listener;
mod presence;
mod tls;

pub use arena::{Arena, Arenas};
pub use conn::{Connection, Fill, Input, Moved, Wire};
pub use listener::{bind, exhausted};
pub use presence::{History, Peer, Presence};
pub use tls::{ServerTls, Tls, TlsError, load_server};
