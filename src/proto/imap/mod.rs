//! IMAP4rev1 on the wire: commands framed and parsed, responses written.
//!
//! A session calls [`frame::Framer::next`] until it has a whole command, [`parse::parse`] to read it into an arena, and
//! the writers of [`respond`] to answer. RFC 3501 with RFC 7888 (LITERAL+), 4959 (SASL-IR), 2177 (IDLE), 3691
//! (UNSELECT), 4315 (UID EXPUNGE), 5258 (LIST-EXTENDED) with 5819 and 6154, 2342 (NAMESPACE), 2971 (ID), 5161 (ENABLE).

pub mod command;
pub mod flags;
pub mod frame;
pub mod parse;
mod parse_fetch;
mod parse_mailbox;
mod parse_search;
pub mod pattern;
pub mod respond;
pub mod sequence;
mod token;
pub mod utf7;

pub use command::{
    Append, Command, FetchItem, List, ListReturn, ListSelect, Partial, Search, SearchKey, Section, SectionText,
    StatusItem, StoreAction, Tagged,
};
pub use flags::{FlagList, Flags};
pub use frame::{Frame, Framer, Limits, Refusal};
pub use parse::{ErrorKind, ParseError, parse, parse_append_head};
pub use pattern::Pattern;
pub use sequence::{Range, SequenceSet};
