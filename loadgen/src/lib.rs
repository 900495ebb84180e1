//! A load generator for mail servers: closed-loop runs over IMAP, POP3, SMTP and LMTP, each reply parsed and checked.
//!
//! It does not depend on the server of this repository: the parsers under [`imap`], [`pop3`] and [`smtp`] are a second opinion on the
//! protocols, and tests use them as such. One thread runs everything ([`engine`]); nothing that a server sends makes
//! memory grow without a bound of [`limits`].

pub mod audit;
pub mod baseline;
pub mod cast;
pub mod corpus;
pub mod dialogue;
pub mod echo;
pub mod engine;
pub mod find;
pub mod handshakes;
pub mod hlog;
pub mod imap;
pub mod ledger;
pub mod limits;
pub mod link;
pub mod live;
pub mod machine;
pub mod measure;
pub mod message;
pub mod names;
pub mod options;
pub mod play;
pub mod pop3;
pub mod progress;
pub mod random;
pub mod report;
pub mod scenario;
pub mod script;
pub mod series;
pub mod smtp;
pub mod surroundings;
pub mod tally;
pub mod throttle;
pub mod tickets;
pub mod trust;
