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

// Directory, control socket and configuration.

/// Accounts of one embedded directory: at 400 octets each in memory, 400 MB; more belong into LDAP or SQL.
pub const ACCOUNTS_MAX: usize = 1_000_000;
/// Aliases of one account: with [`USER_NAME_BYTES_MAX`] each, a record stays under 32 KiB.
pub const ALIASES_MAX: usize = 100;
/// Memory that one stored Argon2 hash may ask for: 1 GiB, fifty times what we write, for accounts brought from elsewhere.
pub const HASH_MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// Passwords that wait for their hash: at 30 ms each (19 MiB, two passes, a slow core) 2,000 take [`LOGIN_SECONDS_MAX`].
pub const AUTH_PENDING_MAX: usize = 2000;
/// Of those, how many one client network may hold: half, so that no network can shut the others out.
pub const AUTH_PENDING_NETWORK_MAX: usize = AUTH_PENDING_MAX / 2;
/// Verified credentials that are remembered: a 32 octet digest and 24 octets beside it, so less than 8 MB with the tree.
pub const CREDENTIALS_MAX: usize = 65_536;
/// How long a verified credential is believed without a new hash. Seconds.
pub const CREDENTIAL_SECONDS_MAX: u64 = 3600;
/// Failures that lock a client out: of one name from one network, or of as many different names from one network.
pub const LOCKOUT_TRIES: usize = 10;
/// The time within which those failures count. Seconds.
pub const LOCKOUT_WINDOW_SECONDS: u64 = 600;
/// How long the lockout holds. Seconds.
pub const LOCKOUT_SECONDS: u64 = 900;
/// Pairs, and networks, whose failures are remembered: 65,536 of each, about 150 octets, 20 MB in all under attack.
pub const LOCKOUT_ENTRIES_MAX: usize = 65_536;
/// One record of the directory's file: an account with all its aliases as JSON, and two of them at the first start.
pub const DIRECTORY_RECORD_BYTES_MAX: usize = 128 * 1024;
/// Dead octets of the directory's file that are not worth a compaction.
pub const DIRECTORY_DEAD_BYTES_MIN: u64 = 64 * 1024;
/// One request on the control socket: a name, a password of [`PASSWORD_BYTES_MAX`] all in `\u0000` escapes, the aliases.
pub const CONTROL_REQUEST_BYTES_MAX: usize = 64 * 1024;
/// One reply on the control socket, as the tools read it: the list of [`ACCOUNTS_MAX`] accounts at 100 octets each, and room.
pub const CONTROL_REPLY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Connections of the control socket at once: tools run by hand and by scripts.
pub const CONTROL_CONNECTIONS_MAX: usize = 16;
/// How long the control socket waits for a request's octets, or for room to write a reply. Seconds.
pub const CONTROL_SECONDS_MAX: u64 = 30;
/// A configuration file in octets: the whole contract is under 6 KB; a thousand sites and routes fit.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Listeners of one service.
pub const LISTENERS_MAX: usize = 64;
