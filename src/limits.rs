//! Every bound of the server, by name, with the sum that derives it.
//!
//! Grouped by room. A bound that an administrator may set has its default here and its key in the configuration.

use std::time::Duration;

// What a connection may do before authentication.

/// One command line before authentication: a user name and a password ([`USER_NAME_BYTES_MAX`], [`PASSWORD_BYTES_MAX`]) with
/// every octet escaped, or three of them in base64 (RFC 4959), and room for tag and command.
pub const LINE_BYTES_BEFORE_AUTH_MAX: usize = 2 * (USER_NAME_BYTES_MAX + PASSWORD_BYTES_MAX) + 128;
/// Literals of one command before authentication (LOGIN takes two), each at most a line long.
pub const LITERALS_BEFORE_AUTH_MAX: usize = 2;
/// One SASL response line: RFC 4954 §4 allows 12,288 octets; a PLAIN message of three 255 octet fields needs 1,028.
pub const SASL_LINE_BYTES_MAX: usize = 12_288;
/// Commands that a client may send before it must have authenticated.
pub const COMMANDS_BEFORE_AUTH_MAX: u32 = 100;
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
/// One SMTP command line: RFC 5321 §4.5.3.1.4 asks for 512, its extensions add up to 1,500; AUTH with an initial response is the
/// longest, three fields in base64 as before authentication in IMAP.
pub const SMTP_LINE_BYTES_MAX: usize = LINE_BYTES_BEFORE_AUTH_MAX;
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

// The ring of one shard.

/// Filled receive buffers that one socket may have waiting before its receive is ended: two TLS records.
pub const RECEIVE_QUEUE_BUFFERS: u16 = 4;
/// Octets that a pooled output buffer keeps: a FETCH answer is sent in pieces of about this size. Each may have to wake the client,
/// some 10 µs; FLAGS of 2,000 messages, some 80 µs, fill it (within [`SESSION_SLICE`]).
pub const OUTPUT_BYTES: usize = 64 * 1024;
/// Output buffers that a shard keeps for later: 4 MiB.
pub const PARCELS_POOLED_MAX: usize = 64;

// Connections.

/// Connections that the kernel keeps until they are accepted.
pub const BACKLOG: i32 = 4096;
/// One flush must be through by then: about 1 KiB/s where it is as long as it may be ([`OUTPUT_BYTES_FULL`], [`LENT_BYTES_FULL`]
/// and [`SEND_BYTES`]).
pub const SEND_TIME_MAX: Duration = Duration::from_secs(120);
/// Octets of one message that are lent in one piece. Without TLS, the client reads one send while the kernel copies the next:
/// bodies of 1 MiB came at 4,350 MB/s; at 3,050 with 16 KiB (more calls), 1,350 with 64 KiB and 2,430 with 256 KiB (the client
/// sleeps between two sends and is woken for each).
pub const SEND_BYTES: usize = 32 * 1024;
/// How long a closing connection waits for the client's end.
pub const LINGER: Duration = Duration::from_secs(2);
/// Octets that it reads meanwhile.
pub const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// A copied input buffer larger than this is freed as soon as it is empty.
pub const INPUT_BYTES_KEPT: usize = 16 * 1024;
/// First chunk of a command's arena.
pub const ARENA_BYTES: usize = 8 * 1024;
/// What a command may make of its input: a sequence set takes 8 octets for 2 of input, and there is room for the rest.
pub const ARENA_BYTES_MAX: usize = 32 * LINE_BYTES_MAX;
/// An arena that grew larger is freed.
pub const ARENA_BYTES_KEPT: usize = 64 * 1024;
/// Arenas that a shard keeps.
pub const ARENAS_POOLED_MAX: usize = 64;

// Shards.

/// A shard that makes no turn for this long has the process ended.
pub const STALL_MAX: Duration = Duration::from_secs(30);

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

// Directory, control socket and configuration.

/// Accounts of one embedded directory: at 400 octets each in memory, 400 MB; more belong into LDAP or SQL.
pub const ACCOUNTS_MAX: usize = 1_000_000;
/// Aliases of one account, each up to [`USER_NAME_BYTES_MAX`]: 39 KB of a record where every octet before the `@` is escaped.
pub const ALIASES_MAX: usize = 100;
/// Memory that one stored Argon2 hash may ask for: 1 GiB, fifty times what we write, for accounts brought from elsewhere.
pub const HASH_MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// Passwords that wait for their hash: at 30 ms each (19 MiB, two passes, a slow core) 2,000 take [`LOGIN_TIME_MAX`].
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
/// One record of the directory's file, as JSON: two accounts, when a catch-all goes from one to the other, as full as they can be
/// ([`ALIASES_MAX`], [`LOGIN_NAMES_MAX`], [`CATCH_ALLS_MAX`]) 63 KB each.
pub const DIRECTORY_RECORD_BYTES_MAX: usize = 128 * 1024;
/// Dead octets of the directory's file that are not worth a compaction.
pub const DIRECTORY_DEAD_BYTES_MIN: u64 = 64 * 1024;
/// One request on the control socket. The longest changes all that an account may have, old and new: twice [`ALIASES_MAX`] of
/// 387 octets (64 before the `@` are escaped) and twice [`LOGIN_NAMES_MAX`] of 643 (all are), 98 KB; a password of
/// [`PASSWORD_BYTES_MAX`] in `\u0000` escapes is 6 KB.
pub const CONTROL_REQUEST_BYTES_MAX: usize = 128 * 1024;
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

/// Addresses that a shard remembers the accounts of: 700 octets each at most, 3 MB.
pub const ADDRESSES_KNOWN_MAX: usize = 4096;

// Sessions.

/// Until a client must have authenticated; a listener's own time-out begins after it.
pub const LOGIN_TIME_MAX: Duration = Duration::from_secs(60);
/// For a TLS handshake.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(30);
/// R-IMAP-5: `* OK Still here` in IDLE, before NAT tables and firewalls forget the connection.
pub const IDLE_KEEP_ALIVE: Duration = Duration::from_secs(120);
/// The line that ends an IDLE: `DONE` and CRLF, and room for what clients get wrong.
pub const IDLE_LINE_BYTES_MAX: usize = 64;
/// A message up to this size is taken apart on the shard (a release build was not measured; hostile
/// shapes took 30 to 70 ns an octet in the test build); a larger one on a service thread.
pub const STRUCTURE_INLINE_BYTES: usize = 256 * 1024;
/// FETCH flushes when so much output of its own has gathered: what a pooled output buffer holds, less one usual answer.
pub const OUTPUT_BYTES_FULL: usize = OUTPUT_BYTES - 4096;
/// Or so much that is lent, for the same reason as [`SEND_BYTES`]: bodies of 10 KB came at 3,900 MB/s; at 3,030 with 4 KiB here, at
/// 2,310 with 64 KiB.
pub const LENT_BYTES_FULL: usize = 24 * 1024;
/// A body section of more octets is lent to the kernel rather than copied into the output: a page, chosen and not measured.
pub const LEND_BYTES_MIN: usize = 4096;

// The store.

/// A message of one account up to this size travels inside its log record; a larger one is a body file that the record names.
/// Four of them fill a batch of [`LOG_BATCH_BYTES_MAX`].
pub const INLINE_BODY_BYTES_MAX: usize = 256 * 1024;
/// What messages that are arriving at a shard hold in memory together: 256 of [`INLINE_BODY_BYTES_MAX`]. Beyond it each
/// goes to its file as it comes, [`SPOOL_WRITE_BYTES_MIN`] or more at a time.
pub const SPOOL_MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What of a message is worth a file and a write where that memory is used up: a page; 80 MB more where all of
/// [`CONNECTIONS_A_SHARD_MAX`] send at once.
pub const SPOOL_WRITE_BYTES_MIN: usize = 4096;
/// One group of log records: what one write and one sync carry. An object of 1 MiB is what a remote log takes as well.
pub const LOG_BATCH_BYTES_MAX: usize = 1024 * 1024;
/// One log record: as long as a batch; what does not fit goes through a segment.
pub const LOG_RECORD_BYTES_MAX: usize = LOG_BATCH_BYTES_MAX;
/// A log segment, prewritten and recycled: sixteen full batches.
pub const LOG_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Trimmed log segments that are kept to be used again: what a checkpoint frees, and as much as came while it ran. One that is
/// made anew is written twice.
pub const LOG_SEGMENTS_FREE_MAX: usize = 4;
/// Records that were submitted and are not durable yet: sixteen batches, 0.5 s of a commit of 30 ms each.
pub const LOG_QUEUED_BYTES_MAX: usize = 16 * LOG_BATCH_BYTES_MAX;
/// The log that is not sealed yet, above which new changes are refused for a while: a start replays it in a second.
pub const LOG_UNSEALED_BYTES_MAX: u64 = 16 * LOG_SEGMENT_BYTES;
/// The log since the last checkpoint at which the next one begins: two segments. A checkpoint has four syncs for each account
/// that it seals, which hold up the log's; and as much stays in memory.
pub const CHECKPOINT_LOG_BYTES: u64 = 2 * LOG_SEGMENT_BYTES;
/// UID ranges in one record of the log: 8 bytes each, a quarter of a batch.
pub const UID_RANGES_A_RECORD_MAX: usize = 32 * 1024;
/// A sealed file this large is not merged with younger ones as long as half of it is there. [`FILES_MERGED_MIN`] that are nearly so
/// large are as long a merge as there is but for that: 128 MiB, half of what the log takes meanwhile
/// ([`LOG_UNSEALED_BYTES_MAX`]); for that see [`WASTED_MERGED_BYTES_MAX`].
pub const FILE_BYTES_FINAL: u64 = 2 * LOG_SEGMENT_BYTES;
/// What one checkpoint writes again of an account because as much beside it is gone: 256 MiB, about what the log takes meanwhile
/// ([`LOG_UNSEALED_BYTES_MAX`]); one file that is half gone beyond it, which is at most as long as a merge (128 MiB) and what came
/// with it.
pub const WASTED_MERGED_BYTES_MAX: u64 = 8 * FILE_BYTES_FINAL;
/// A sealed file smaller than this is merged when what is new is half of it: what is copied costs less than the sync.
pub const FILE_BYTES_SMALL: u64 = 64 * 1024;
/// So many sealed files of about one size, what is new among them, become one: a message is written again at 256 KiB, 1, 4 and
/// 16 MiB and [`FILE_BYTES_FINAL`], and an account has some twenty smaller files, three a tier and those below it. Each is a map, of
/// the 65,530 that Linux gives a process (vm.max_map_count): 2,500 accounts in memory with twenty and some large ones each.
pub const FILES_MERGED_MIN: usize = 4;
/// Files that a process maps at once, of all shards: four times what Linux lets one do (vm.max_map_count is 65,530), for where
/// that was raised; 24 octets each as they are needed.
pub const MAPS_MAX: usize = 256 * MAPS_A_CHUNK;
/// By so many the room for them grows: 24 KiB.
pub const MAPS_A_CHUNK: usize = 1024;
/// The unit of checksums in a sealed file: small enough to verify in the time of a page fault.
pub const SEALED_BLOCK_BYTES: usize = 64 * 1024;
/// One write of a sealed file, a spool file or a new log segment.
pub const STORE_WRITE_BYTES: usize = 256 * 1024;
/// What background work copies and hashes before it asks whether somebody waits: some 30 µs.
pub const BREATH_BYTES: usize = 32 * 1024;
/// Rows that background work goes over before it asks, or SEARCH for each of its keys: some 30 µs.
pub const BREATH_ROWS: usize = 512;
/// Messages in memory that background work frees before it asks: a handful of allocations each, some 30 µs (an estimate).
pub const BREATH_MESSAGES: usize = 16;
/// Expunged rows that may stay in a mailbox's columns, however large it is: 32 KiB of indexes to search or to copy.
pub const TOMBSTONES_MAX: usize = 8192;
/// Flag changes that a mailbox remembers for views that were not told; a view further behind looks through its column.
pub const FLAG_NOTICES_MAX: usize = 1024;
/// Messages whose flags a view may have to tell of that are gathered in one go, from the notices: some 100 µs; with more it goes
/// over its rows, [`BREATH_ROWS`] at a time.
pub const TOLD_ROWS_MAX: usize = 2048;
/// The expunged UIDs that one sealed file remembers a mailbox, the newest ones: 12 bytes each, 12 MiB. Those whose message an
/// older file still has come on top.
pub const VANISHED_MAX: usize = 1024 * 1024;
/// Accounts that a shard keeps in memory when nobody has them open, so that RCPT, the final dot and the delivery load an
/// account once. Their sealed files stay mapped, some twenty each ([`FILES_MERGED_MIN`]), 1,280 a shard: 16 shards take 20,480 of
/// the 65,530 maps that Linux gives a process; each GiB of mail in them is up to 32 more ([`FILE_BYTES_FINAL`]).
pub const ACCOUNTS_IDLE_MAX: usize = 64;
/// Messages of those accounts together, and [`ACCOUNTS_IDLE_MAILBOX`] for each mailbox: 60 to 100 bytes each, 100 MB.
pub const ACCOUNTS_IDLE_WEIGHT_MAX: usize = 1_000_000;
/// See [`ACCOUNTS_IDLE_WEIGHT_MAX`]: a kilobyte with its name.
pub const ACCOUNTS_IDLE_MAILBOX: usize = 16;
/// Changes of others that are looked through for whether one was to a message that has changed silently since; with more it is
/// told once more: of [`BREATH_ROWS`] messages together some 200 µs (an estimate).
pub const TOLD_NOTICES_MAX: usize = 16;

// A shard.

/// Receive buffers of a shard's ring: 4 MiB with [`RECEIVE_BUFFER_BYTES`].
pub const RECEIVE_BUFFERS: u16 = 512;
/// One receive buffer: half a TLS record, some hundred commands.
pub const RECEIVE_BUFFER_BYTES: u32 = 8192;
/// Connections of one shard, where descriptors allow that many: idle over TLS, each takes 5 KB here and 10 KB of the kernel
/// (two ends of a socket's slabs are 9.6), so 300 MB a shard.
pub const CONNECTIONS_A_SHARD_MAX: usize = 20_000;
/// Descriptors that the process keeps for other things than connections: streams, lock, directory, signals and the recovery's
/// ring are 12, [`CONTROL_CONNECTIONS_MAX`] is 16, [`HTTP_CONNECTIONS_MAX`] and its listener 33; the rest is room.
pub const DESCRIPTORS_OF_PROCESS: usize = 96;
/// The same a shard: rings and bells are 8, log segments 4, a checkpoint's files 4; the others are for messages that arrive
/// and are longer than [`INLINE_BODY_BYTES_MAX`], or than [`SPOOL_WRITE_BYTES_MIN`] where memory is short, a file each, and
/// for what one sweep accepts before it is paused.
pub const DESCRIPTORS_A_SHARD: usize = 224;
/// Below so many connections a shard, a start says that descriptors are few: a thousand is a small office on one core.
pub const CONNECTIONS_A_SHARD_FEW: usize = 1000;
/// After an accept that failed for want of descriptors or memory, and between two looks of a full shard whether there is
/// room again: a client in the backlog hardly notices.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How often a stopping shard looks whether its sessions have ended.
pub const STOP_LOOK: Duration = Duration::from_millis(20);
/// What sessions have after the drain's time is over, to see it and say their last words.
pub const HURRY_PATIENCE: Duration = Duration::from_secs(1);

// The service side.

/// Threads that may block: as many Argon2 hashes as two cores can make while shards run. Each thread that has made one keeps its
/// memory, 19 MiB, for the next: 76 MB in all.
pub const SERVICE_THREADS: usize = 4;
/// Password hashes at once: one thread stays free for cold pages and structures.
pub const HASHES_AT_ONCE: usize = SERVICE_THREADS - 1;

/// A refused login is answered so much later: ten tries a connection and second are no way to guess.
pub const REFUSED_LOGIN_PAUSE: Duration = Duration::from_millis(500);

/// Commands answered without a wait after which the clock is looked at: 5 µs of NOOPs, a fortieth of [`SESSION_SLICE`].
pub const COMMANDS_A_LOOK: u32 = 16;
/// After so long a session lets others run, and the driver background tasks.
pub const SESSION_SLICE: Duration = Duration::from_micros(200);
/// Keys of one SEARCH that look into messages: two a level of [`NESTING_MAX`], so that a chain of OR as deep as it may be has
/// one in each. Others run between two of them; each scans a search text, of at most 4 MiB, once.
pub const SEARCH_CONTENT_KEYS_MAX: usize = 2 * NESTING_MAX;

/// How long a taken port is tried at a start: tearing down the rings of a killed server takes a moment (seen in tests/crash.rs,
/// not timed), and a port that another program holds is still refused within two seconds.
pub const BIND_PATIENCE: Duration = Duration::from_secs(1);
/// Between two tries.
pub const BIND_PAUSE: Duration = Duration::from_millis(20);

// The mailbox tree, COPY and MOVE.

/// Mailboxes of one account that are in memory, with those that were deleted and that a file still names.
pub const MAILBOXES_KNOWN_MAX: usize = 2 * MAILBOXES_MAX;
/// UID ranges of one COPY or MOVE, which is one record of the log: 8 bytes each, three quarters of [`LOG_RECORD_BYTES_MAX`].
pub const COPY_RANGES_MAX: usize = 96 * 1024;
/// Messages of one COPY or MOVE, or of a RENAME of INBOX, which is applied in one turn: some 60 ms of a shard (126 ms were
/// measured for twice as many).
pub const COPY_MESSAGES_MAX: usize = 256 * 1024;
/// What a copy takes in memory until a checkpoint seals it: a row of the columns, 60 bytes, and room for them to grow. It
/// counts towards [`CHECKPOINT_LOG_BYTES`] and [`LOG_UNSEALED_BYTES_MAX`], so that copies of copies don't outrun the disk.
pub const COPIED_MESSAGE_BYTES: u64 = 128;

// POP3.

/// One command line after the login: RFC 2449 §4 has 255 octets. Before it [`LINE_BYTES_BEFORE_AUTH_MAX`], for names and
/// passwords are as long as elsewhere.
pub const POP3_LINE_BYTES_MAX: usize = 255;

// IMAP commands about mailboxes.

/// Patterns of one extended LIST: Thunderbird asks with one a namespace, others with one a special folder.
pub const LIST_PATTERNS_MAX: usize = 64;
/// Octets of all patterns of one LIST, each with the reference: a pattern's tables in the arena take up to 30 times its length,
/// half of [`ARENA_BYTES_MAX`] in all.
pub const LIST_PATTERN_BYTES_MAX: usize = 32 * 1024;
/// Special uses in one CREATE: RFC 6154 §2 names seven.
pub const USE_ATTRIBUTES_MAX: usize = 16;
/// Capabilities in one ENABLE: more than there are that can be enabled.
pub const ENABLE_NAMES_MAX: usize = 64;
/// Fields of one ID, and octets of a field's name and of its value (RFC 2971 §3.3).
pub const ID_FIELDS_MAX: usize = 30;
/// See [`ID_FIELDS_MAX`].
pub const ID_NAME_BYTES_MAX: usize = 30;
/// See [`ID_FIELDS_MAX`].
pub const ID_VALUE_BYTES_MAX: usize = 1024;
/// Names times patterns that LIST goes over before it asks whether somebody waits: some 20 µs (an estimate).
pub const BREATH_NAMES: usize = 64;

// Accounts: what one may have beside its aliases.

/// Other login names of one account, each up to [`USER_NAME_BYTES_MAX`]: 10 KiB of a record where every octet is escaped.
pub const LOGIN_NAMES_MAX: usize = 16;
/// Domains whose mail one account catches: with 260 octets each 13 KiB, so that a record of two accounts, as full as they
/// can be, stays under [`DIRECTORY_RECORD_BYTES_MAX`].
pub const CATCH_ALLS_MAX: usize = 50;

// SMTP's extensions, and LMTP.

/// ENVID's value (RFC 3461 §4.4).
pub const ENVID_BYTES_MAX: usize = 100;
/// ORCPT's value (RFC 3461 §4.2).
pub const ORCPT_BYTES_MAX: usize = 500;
/// Forward-paths of one transaction with their parameters: half a record of the log, which holds all that are one account's;
/// 100 recipients (RFC 5321 §4.5.3.1.8) of the longest path and the longest parameters take 90 KB.
pub const FORWARD_PATHS_BYTES_MAX: usize = LOG_RECORD_BYTES_MAX / 2;
/// A chunk of BDAT with fewer octets, if it isn't the last, counts among the commands that do nothing: with [`IDLE_COMMANDS_MAX`]
/// a message may come in 200 of them and any number of larger ones.
pub const CHUNK_BYTES_MIN: u64 = 1024;
/// Octets of a refused chunk, or of a message that an APPEND sends without asking, that are read and thrown away, as RFC 3030
/// §2 asks; the largest message that can be configured. A client that announces more is told at once and disconnected.
pub const CHUNK_SKIP_BYTES_MAX: u64 = 1024 * 1024 * 1024;

// What an administrator sees.

/// The shortest time that a histogram tells apart from shorter ones. Nanoseconds; a look at the clock takes 20 to 50.
pub const METER_LOWEST: u64 = 64;
/// The longest that it tells apart from longer ones: 100 s, in 3,900 buckets of two digits, 31 KB a verb that was met; 50
/// verbs are 1.6 MB a shard.
pub const METER_HIGHEST: u64 = 100_000_000_000;
/// The most of anything that a histogram of counts tells apart: a batch of [`LOG_BATCH_BYTES_MAX`] has fewer records.
pub const METER_COUNT_HIGHEST: u64 = 1_000_000;
/// A shard whose turn takes so long has kept its other sessions waiting: fifty slices of [`SESSION_SLICE`].
pub const STALL_MIN: Duration = Duration::from_millis(10);
/// Sessions in one answer of a shard: 300 octets each, made in some 100 µs; a list goes on where the last one ended.
pub const WHO_PAGE_SESSIONS: usize = 500;
/// Sessions that one request on the control socket looks at before it answers with what it has found.
pub const WHO_PAGE_SLOTS: usize = 4 * WHO_PAGE_SESSIONS;
/// How long a shard has to answer a question of the control room: many times the longest gap that its guard allows (200 ms).
pub const SHARD_ANSWER_MAX: Duration = Duration::from_secs(2);
/// Between the two looks of a kick: a session that was on its way between shards at the first one has arrived by then.
pub const KICK_PAUSE: Duration = Duration::from_millis(50);
/// One HTTP request up to its empty line: what common servers take.
pub const HTTP_REQUEST_BYTES_MAX: usize = 8192;
/// HTTP connections at once: a few Prometheus and load balancers that probe together, somebody with curl. A thread and a
/// descriptor each, and where all of them ask for figures a copy of each shard's, 1.6 MB at most ([`METER_HIGHEST`]).
pub const HTTP_CONNECTIONS_MAX: usize = 32;
/// How long an HTTP connection may take from its beginning to its end.
pub const HTTP_TIME_MAX: Duration = Duration::from_secs(5);
/// Octets that are read and thrown away after an answer that was given before the request was read.
pub const HTTP_LINGER_BYTES_MAX: usize = 64 * 1024;

// Bodies.

/// A message for several accounts of a shard that is longer than this is one body file for all of them: the price of a
/// name in a folder (a page, a sync that shares the journal's commit) against two writes of 64 KiB each an account.
pub const SHARED_BODY_BYTES_MIN: usize = 64 * 1024;
/// The folded text of a message in a body file that an account's file has as well, so that a SEARCH opens few body files:
/// the text of most mail with attachments; a quarter of [`SHARED_BODY_BYTES_MIN`].
pub const TEXT_BESIDE_BYTES_MAX: usize = 16 * 1024;
/// Body files that a shard keeps mapped for whoever asks next: 64 shards keep 8,192 of the 65,530 maps that Linux gives a
/// process, besides those of messages that are being read or are not sealed, and the sealed files of accounts in memory.
pub const BODY_FILES_OPEN_MAX: usize = 128;
/// Folders that get a body file's name at once: their syncs share a commit of the file system's journal.
pub const BODY_NAMES_AT_ONCE: usize = 32;
/// Without a checkpoint for so long, what is not sealed is: a start after a quiet day replays minutes.
pub const CHECKPOINT_TIME: Duration = Duration::from_secs(300);

// fsck.

/// What a disk with damage is read by: the unit in which it fails.
pub const FSCK_PAGE_BYTES: usize = 4096;
/// How often the line on a terminal that says how far it is changes.
pub const FSCK_PROGRESS_PAUSE: Duration = Duration::from_millis(100);
/// Messages, faults or accounts that one finding names: a few lines of a terminal.
pub const FSCK_SHOWN_MAX: usize = 5;
/// Characters of a subject or a mailbox that it shows.
pub const FSCK_SUBJECT_CHARACTERS_MAX: usize = 60;
/// Messages that are looked for elsewhere in one repair: 32 octets each and the table, 64 MB.
pub const FSCK_WANTED_MAX: usize = 1_000_000;
/// What a repair hashes to find the messages of one file that has lost its index: 16 times the largest of most
/// ([`FILE_BYTES_FINAL`] merged), some seconds.
pub const FSCK_TRIED_BYTES_MAX: u64 = 64 * FILE_BYTES_FINAL;
/// Places at which the next of them is tried.
pub const FSCK_PLACES_MAX: usize = 1024;
/// An epoch that is not known is written so far above all that can be seen: more starts than a server has in its life.
pub const FSCK_EPOCHS_SKIPPED: u64 = 1 << 20;
/// The same for UIDVALIDITY and ids of mailboxes.
pub const FSCK_NUMBERS_SKIPPED: u32 = 1 << 16;
/// And for the UIDs of a mailbox whose last file is lost, beside one for each [`FSCK_UID_BYTES_MIN`] of it: 4,000 such repairs use up
/// what there are.
pub const FSCK_UIDS_SKIPPED: u32 = 1 << 20;
/// What an UID that was given out leaves in a file at least: one that vanished ([`VANISHED_MAX`] of them).
pub const FSCK_UID_BYTES_MIN: u64 = 12;
