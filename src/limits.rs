//! Every bound of the server, by name, with the sum that derives it.
//!
//! Grouped by room. A bound that an administrator may set has its default here and its key in the configuration.

// What a connection may do before authentication.

/// One command line before authentication: a user name and a password of 255 octets each as quoted strings, and room.
pub const LINE_BYTES_BEFORE_AUTH_MAX: usize = 2048;
/// Literals of one command before authentication (LOGIN takes two), each at most a line long.
pub const LITERALS_BEFORE_AUTH_MAX: usize = 2;
/// One SASL response line: RFC 4954 §4 allows 12,288 octets; a PLAIN message of three 255 octet fields needs 1,028.
pub const SASL_LINE_BYTES_MAX: usize = 12_288;
/// Commands that a client may send before it must have authenticated.
pub const COMMANDS_BEFORE_AUTH_MAX: u32 = 100;
/// Time from the accept to the end of authentication. Seconds.
pub const LOGIN_SECONDS_MAX: u64 = 60;
/// Failed authentications on one connection before it is closed.
pub const AUTH_TRIES: u32 = 3;

// What a command may be after it.

/// One IMAP command without its APPEND message: RFC 7162 §4 asks for 8,192; long UID sets of real clients need more.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Literals of one IMAP command; a SEARCH of many strings has one each.
pub const LITERALS_MAX: usize = 64;
/// Depth of parentheses in an IMAP command: SEARCH and FETCH need 3, generated queries a few dozen.
pub const NESTING_MAX: usize = 64;
/// Ranges in one sequence set: a command line of [`LINE_BYTES_MAX`] holds at most half as many.
pub const SEQUENCE_RANGES_MAX: usize = LINE_BYTES_MAX / 2;
/// One SMTP command line: RFC 5321 §4.5.3.1.4 asks for 512, its extensions add up to 1,500.
pub const SMTP_LINE_BYTES_MAX: usize = 2048;
/// One line of message text: RFC 5321 §4.5.3.1.6 says 1,000; real mail has longer ones, a stream without lines is not mail.
pub const TEXT_LINE_BYTES_MAX: usize = 1024 * 1024;
/// Recipients of one transaction: RFC 5321 §4.5.3.1.8 asks for at least 100.
pub const RECIPIENTS_MAX: usize = 1000;
/// Commands in one SMTP session that do nothing (NOOP, RSET, unknown ones) before `421`.
pub const IDLE_COMMANDS_MAX: u32 = 200;

// Messages.

/// Default of `inbound.max_message_bytes`, and of APPEND: 50 MiB.
pub const MESSAGE_BYTES_MAX: u64 = 52_428_800;
/// `Received` lines before mail is taken to loop: RFC 5321 §6.3 asks for at least 100.
pub const RECEIVED_MAX: usize = 100;

// Names.

/// A mailbox name in UTF-8 octets, as long as Dovecot's.
pub const MAILBOX_NAME_BYTES_MAX: usize = 1000;
/// Levels of a mailbox name.
pub const MAILBOX_LEVELS_MAX: usize = 64;
/// Mailboxes of one account.
pub const MAILBOXES_MAX: usize = 100_000;
/// A user name in octets: local part and domain of RFC 5321 §4.5.3.1 (64 + 1 + 255).
pub const USER_NAME_BYTES_MAX: usize = 320;
/// A password in octets.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Keywords of one mailbox: one bit each in a record's 64-bit word.
pub const KEYWORDS_MAX: usize = 64;
/// A keyword in octets.
pub const KEYWORD_BYTES_MAX: usize = 128;

// Bytes into commands (proto).

/// Literals of one IMAP command together, an APPEND's message apart: a full line of text as literals instead.
pub const LITERALS_BYTES_MAX: usize = LINE_BYTES_MAX;
/// The rest of a refused command line that is skipped to answer in step, before authentication: a few lines' worth.
pub const SKIP_BYTES_BEFORE_AUTH_MAX: usize = 8 * LINE_BYTES_BEFORE_AUTH_MAX;
/// The same after it: UID sets of a million messages that no client should send, one range each, 8 octets a range.
pub const SKIP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Keys of one SEARCH, nested ones included: a client that looks for Message-IDs asks for some hundred at once.
pub const SEARCH_KEYS_MAX: usize = 1024;
/// Items of one FETCH: all of RFC 3501 once, and the parts of a message that a web client shows.
pub const FETCH_ITEMS_MAX: usize = 128;
/// Field names in one HEADER.FIELDS: Thunderbird asks for about 20.
pub const HEADER_FIELDS_MAX: usize = 256;
/// Part numbers in one section, as deep as MIME structures are read.
pub const SECTION_PARTS_MAX: usize = 100;
/// A string in a response that is written quoted; longer ones are literals, which clients read without scanning.
pub const QUOTED_BYTES_MAX: usize = 1000;
/// A path of SMTP with its brackets: local part and domain of RFC 5321 §4.5.3.1, `@`, `<` and `>`.
pub const SMTP_PATH_BYTES_MAX: usize = USER_NAME_BYTES_MAX + 2;
/// One line of an SMTP reply with its CRLF (RFC 5321 §4.5.3.1.5).
pub const SMTP_REPLY_BYTES_MAX: usize = 512;
