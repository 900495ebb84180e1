//! Every bound of the load generator, by name, with the sum that derives it.
//!
//! A server under test may be broken or hostile: nothing that it sends may grow the client's memory without end.

/// Connections of one run: below the 65,535 ports that one client address has towards one server address.
pub const CONNECTIONS_MAX: u32 = 60_000;
/// Commands in flight on one connection.
pub const DEPTH_MAX: u32 = 1024;
/// Operations a second that may be asked for: far beyond what one thread can send.
pub const RATE_MAX: f64 = 1e8;
/// A day: longer runs are scheduled from outside.
pub const SECONDS_MAX: f64 = 86_400.0;
/// A generated message: what servers take by default (50 MiB) and room.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// The smallest generated message: its header and one line.
pub const MESSAGE_BYTES_MIN: usize = 512;
/// One response with all its literals: a whole message and its other FETCH items.
pub const RESPONSE_BYTES_MAX: usize = MESSAGE_BYTES_MAX + (1 << 20);
/// One line of a response outside literals; an ENVELOPE or BODYSTRUCTURE of a large message has no line break.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Depth of parentheses in a response: BODYSTRUCTURE nests as deep as the message's parts.
pub const NESTING_MAX: usize = 200;
/// One SMTP reply line: RFC 5321 §4.5.3.1.5 says 512; extensions may go beyond.
pub const REPLY_LINE_BYTES_MAX: usize = 2048;
/// Lines of one SMTP reply; EHLO has one an extension.
pub const REPLY_LINES_MAX: usize = 200;
/// Messages of a mailbox whose UIDs one connection remembers; above it, only counts are checked. 4 bytes each.
pub const UIDS_MAX: usize = 100_000;
/// Messages of a mailbox of which a command about all of them is known to have been answered for each; what is behind them may be
/// missing unseen. A bit each, so that a connection has 2 MiB at most, whatever number a server says.
pub const ANSWERED_MAX: u32 = 16 << 20;
/// Checksums of messages seen that a run remembers; 32 bytes each.
pub const CHECKSUMS_MAX: usize = 1_000_000;
/// Different kinds of errors in a report; what comes after is counted as `other`.
pub const ERROR_KINDS_MAX: usize = 64;
/// Names of operations that a run tells apart: a scenario of five protocols has some 40. Half a megabyte of histograms each.
pub const OPERATION_NAMES_MAX: usize = 64;
/// The end of the dialogue that a connection remembers: about the last 30 lines.
pub const TRANSCRIPT_BYTES_MAX: usize = 3072;
/// One entry of it.
pub const TRANSCRIPT_ENTRY_BYTES_MAX: usize = 200;
/// Connections being opened at once during set-up: half of the listen queue of a server with the usual 128 and more.
pub const OPENING_MAX: u32 = 64;
/// Time for all connections to come up. Seconds.
pub const SETUP_SECONDS_MAX: u64 = 120;
/// Time for commands in flight to be answered after the end. Seconds.
pub const DRAIN_SECONDS_MAX: u64 = 5;
/// Pause before a lost connection is opened again. Milliseconds.
pub const REOPEN_MILLISECONDS: u64 = 100;
/// The longest latency that the histogram tells apart: an hour. Nanoseconds.
pub const LATENCY_NANOSECONDS_MAX: u64 = 3_600_000_000_000;
/// What one read takes from a socket: shared by all connections, so that an idle one holds nothing.
pub const READ_BYTES: usize = 256 * 1024;
/// A password file.
pub const PASSWORD_FILE_BYTES_MAX: u64 = 4096;
/// Accounts of one run: as many as the server's own target of accounts in a data folder, ten times.
pub const USERS_MAX: u32 = 1_000_000;
/// Recipients of one transaction: RFC 5321 §4.5.3.1.8 makes servers take 100; some take ten times that.
pub const RECIPIENTS_MAX: u32 = 1000;
/// Responses of one command that are taken in before they are checked: FETCH 1:* (RFC822.SIZE ENVELOPE) of 10,000 messages has
/// about 5 MB. What is longer is checked while it comes.
pub const GATHER_BYTES_MAX: usize = 16 << 20;
/// The beginning of a response that is copied in front of the next read: a quarter of it, so that a read stays large.
pub const FRONT_BYTES_MAX: usize = READ_BYTES / 4;
/// Connections whose buffers are kept as large as they grew.
pub const GATHERING_CONNECTIONS_MAX: usize = 16;
/// Messages of a generated corpus: a folder of that many files is what file systems still like.
pub const CORPUS_MESSAGES_MAX: u32 = 1_000_000;
/// TLS tickets that a run keeps; a server gives a connection two as a rule, and each is a few hundred octets.
pub const TICKETS_MAX: usize = 1024;
/// Rounds of `baseline`: each takes about half a minute.
pub const ROUNDS_MAX: u32 = 1000;
/// One POP3 line (RFC 2449 §4: 512 octets), with room for servers that are chatty.
pub const POP3_LINE_BYTES_MAX: usize = 2048;
/// Operations that are due and wait for a connection: 16 octets each. What comes on top is counted as not sent.
pub const BACKLOG_MAX: usize = 1 << 20;
/// The receive buffer of a client that reads slowly: small, so that it is the server that waits. The kernel doubles it.
pub const THROTTLED_RECEIVE_BYTES: usize = 16 * 1024;
/// Changes that a ledger remembers: some 200 octets each, so 2 GB at the most.
pub const LEDGER_MESSAGES_MAX: usize = 10_000_000;
/// A line of a journal: two names of accounts and mailboxes.
pub const JOURNAL_LINE_BYTES_MAX: u64 = 64 * 1024;
/// Sizes that stand for a distribution: a template of each is kept, half a megabyte where their mean is 16 KB.
pub const SIZES: usize = 32;
/// A scenario's file.
pub const SCENARIO_BYTES_MAX: u64 = 1 << 20;
/// Runs of a search for the highest load: from 1 to a million a second and back in steps of two, and then to the precision.
pub const FIND_TRIALS_MAX: usize = 32;
/// How often a void run of such a search is made again.
pub const VOID_REPEATS_MAX: u32 = 2;
/// How near the highest load that held and the lowest that did not must be.
pub const FIND_PRECISION: f64 = 1.05;
/// Messages of a mailbox that an audit looks at: as many as a ledger remembers.
pub const AUDIT_MESSAGES_MAX: usize = LEDGER_MESSAGES_MAX;
/// A server that queues what it took in has so long to bring it to its mailbox. Seconds.
pub const AUDIT_SETTLE_SECONDS: u64 = 5;
/// What an audit waits for a response. Seconds.
pub const AUDIT_SECONDS_MAX: u64 = 60;
/// Broken promises that an audit lists; a server that lost its data has no end of them.
pub const FINDINGS_MAX: usize = 1000;
/// A report that is read: a day of seconds (`SECONDS_MAX`) of some 150 octets each, five times.
pub const REPORT_BYTES_MAX: u64 = 64 << 20;
/// Reports of one page: as many as there are colours that differ enough.
pub const PLOTTED_REPORTS_MAX: usize = 5;
/// Points of a line in a plot: one every two pixels.
pub const PLOT_POINTS_MAX: usize = 300;
/// Reports of each side of a comparison.
pub const COMPARED_REPORTS_MAX: usize = 1000;
/// Steps of a percentile curve for each halving of the distance to 100 %: what HdrHistogram's own logs have.
pub const CURVE_TICKS: u32 = 5;
/// Resamples of a bootstrap interval: at 95 %, 250 of them lie beyond each end.
pub const RESAMPLES: usize = 10_000;
/// Seconds of the live view's sparklines.
pub const SPARKLINE_SECONDS: usize = 60;
/// Rounds of which a bootstrap interval says something: of two, the median is their mean or one of them.
pub const ROUNDS_MIN: usize = 3;
/// Seconds of one run of which it does: some four blocks of three.
pub const SERIES_SECONDS_MIN: usize = 10;
