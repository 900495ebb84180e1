//! SMTP, submission and LMTP on the wire: command lines and message data framed, commands parsed, replies written.
//!
//! A session cuts lines with [`LineFramer`], reads them with [`parse::parse`], takes message text through a
//! [`DataFramer`] and answers with [`reply`]. RFC 5321, 4954 (AUTH), 1870 (SIZE), 6152 (8BITMIME), 3207 (STARTTLS),
//! 2033 (LMTP), 2034 (enhanced codes), 3030 (CHUNKING), 3461 (DSN), 6531 (SMTPUTF8).

pub mod envelope;
pub mod frame;
pub mod parse;
pub mod path;
pub mod punycode;
pub mod reply;

pub use envelope::{Body, Mail, Notify, Rcpt, Ret};
pub use frame::{DataFramer, DataPiece, Fault, Line, LineFramer, Violation};
pub use parse::{Command, ParseError, announces_chunk, parse};
pub use path::Mailbox;
