//! POP3 on the wire: command lines parsed, messages walked as a multi-line response sends them.
//!
//! A session cuts lines with [`LineFramer`], reads them with [`parse()`] and sends messages through a [`Stuffer`].
//! RFC 1939, 2449 (CAPA), 2595 (STLS), 5034 (AUTH).

pub mod parse;
pub mod stuff;

pub use super::line::{Line, LineFramer};
pub use parse::{Command, ParseError, parse};
pub use stuff::{Piece, Stuffer};
