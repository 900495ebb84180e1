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

// The store.

/// A message up to this size travels inside its log record; a larger one is a segment of its own that the record names.
/// Four of them fill a batch of [`LOG_BATCH_BYTES_MAX`].
pub const INLINE_BODY_BYTES_MAX: usize = 256 * 1024;
/// One group of log records: what one write and one sync carry. An object of 1 MiB is what a remote log takes as well.
pub const LOG_BATCH_BYTES_MAX: usize = 1024 * 1024;
/// One log record: as long as a batch; what does not fit goes through a segment.
pub const LOG_RECORD_BYTES_MAX: usize = LOG_BATCH_BYTES_MAX;
/// A log segment, prewritten and recycled: sixteen full batches.
pub const LOG_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Trimmed log segments that are kept to be used again: one in preparation, one in reserve.
pub const LOG_SEGMENTS_FREE_MAX: usize = 2;
/// Records that were submitted and are not durable yet: sixteen batches, 0.5 s of a commit of 30 ms each.
pub const LOG_QUEUED_BYTES_MAX: usize = 16 * LOG_BATCH_BYTES_MAX;
/// The log that is not sealed yet, above which new changes are refused for a while: a start replays it in a second.
pub const LOG_UNSEALED_BYTES_MAX: u64 = 16 * LOG_SEGMENT_BYTES;
/// The log since the last checkpoint at which the next one begins: half a segment.
pub const CHECKPOINT_LOG_BYTES: u64 = LOG_SEGMENT_BYTES / 2;
/// UID ranges in one record of the log: 8 bytes each, a quarter of a batch.
pub const UID_RANGES_A_RECORD_MAX: usize = 32 * 1024;
/// The unit of checksums in a sealed file: small enough to verify in the time of a page fault.
pub const SEALED_BLOCK_BYTES: usize = 64 * 1024;
/// One write of a sealed file, a spool file or a new log segment.
pub const STORE_WRITE_BYTES: usize = 256 * 1024;
/// What background work copies and hashes before it asks whether somebody waits: some 30 µs.
pub const BREATH_BYTES: usize = 32 * 1024;
/// Rows that background work goes over before it asks: some 30 µs.
pub const BREATH_ROWS: usize = 512;
/// Expunged rows that may stay in a mailbox's columns, however large it is: 32 KiB of indexes to search or to copy.
pub const TOMBSTONES_MAX: usize = 8192;
/// Flag changes that a mailbox remembers for views that were not told; a view further behind looks through its column.
pub const FLAG_NOTICES_MAX: usize = 1024;
/// The expunged UIDs that one sealed file remembers a mailbox, the newest ones: 12 bytes each, 12 MiB.
pub const VANISHED_MAX: usize = 1024 * 1024;
