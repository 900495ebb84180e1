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

// MIME: what is computed once at delivery.

/// One header, of the message or of a part, in octets: ten fields as long as Postfix lets one be; what follows is body.
pub const MIME_HEADER_BYTES_MAX: usize = 10 * 102_400;
/// Parts of one message, nested ones included; the last that fits is opaque and takes the rest of the message.
pub const MIME_PARTS_MAX: usize = 1000;
/// Levels of multipart and message/rfc822 inside each other: a chain of 25 forwards as attachment has 50.
pub const MIME_DEPTH_MAX: usize = 50;
/// A boundary in octets: RFC 2046 §5.1.1 allows 70, and some send more.
pub const MIME_BOUNDARY_BYTES_MAX: usize = 256;
/// Parameters of one field: a file name of 8 KiB in RFC 2231 continuations of 64 octets.
pub const MIME_PARAMETERS_MAX: usize = 128;
/// Languages of one Content-Language field.
pub const MIME_LANGUAGES_MAX: usize = 32;
/// Addresses in an ENVELOPE, and in all those of a BODYSTRUCTURE: ten times [`RECIPIENTS_MAX`], 500 KB of the shortest.
pub const MIME_ADDRESSES_MAX: usize = 10 * RECIPIENTS_MAX;
/// Message identifiers kept of References and In-Reply-To: the first, that began the thread, and the last ones.
pub const MIME_REFERENCES_MAX: usize = 100;
/// One message identifier in octets: a line of RFC 5322 §2.1.1.
pub const MESSAGE_ID_BYTES_MAX: usize = 998;
/// A folded subject or From for search, in octets: 64 lines of RFC 5322 §2.1.1.
pub const MIME_FIELD_TEXT_BYTES_MAX: usize = 64 * 1000;
/// The folded search text of one message in octets: a long novel is 3 MB.
pub const MIME_TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
