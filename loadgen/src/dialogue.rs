//! What the event loop and a protocol's client side say to each other. No sockets and no clock here: bytes and the time come in.
//!
//! Invariant: a dialogue is never blocked; it consumes whole responses and leaves the rest for the next call, so that any
//! chunking of the bytes gives the same result. A secret is never written to the transcript.

use std::time::{Duration, Instant};

use crate::limits::{TRANSCRIPT_BYTES_MAX, TRANSCRIPT_ENTRY_BYTES_MAX};
use crate::tally::Tally;

/// Why a run can't go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The server broke the protocol: the run ends with exit code 1 and the dialogue.
    Violation(String),
    /// The run can't be done as asked (a refused login, an empty mailbox): one line, exit code 2.
    Fatal(String),
}

/// The server broke the protocol in this way.
pub fn violation<T>(text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Violation(text.into()))
}

/// What a dialogue wants of its connection after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// To go on.
    #[default]
    Nothing,
    /// The server agreed to STARTTLS: begin the handshake now.
    StartTls,
    /// The dialogue was refused: close. There is a pause before the next connection.
    Close,
    /// The dialogue is over: close. The next operation opens a new connection.
    Over,
    /// There is news for a client that only waits: its next operation is due now.
    Awake,
}

/// One call's surroundings.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The time, read once a call.
    pub now: Instant,
    /// True where a refusal is to end the run: before anybody got in.
    pub may_end: bool,
    /// What is to be sent.
    pub out: &'a mut Vec<u8>,
    /// Where to count.
    pub tally: &'a mut Tally,
    /// The end of the dialogue, for a report.
    pub transcript: &'a mut Transcript,
    /// What is wanted afterwards.
    pub wish: Wish,
}

impl Turn<'_> {
    /// Sends `bytes`.
    pub fn send(&mut self, bytes: &[u8]) {
        self.transcript.note(b'C', bytes);
        self.out.extend_from_slice(bytes);
    }

    /// Sends `secret`, which the transcript shows as `shown`.
    pub fn send_secret(&mut self, secret: &[u8], shown: &str) {
        self.transcript.note(b'C', shown.as_bytes());
        self.out.extend_from_slice(secret);
    }
}

/// The client side of a protocol on one connection. Which operation is the next is the dialogue's; when it is due is the engine's.
pub trait Dialogue {
    /// False where each operation is a connection of its own.
    fn is_standing(&self) -> bool;

    /// The connection begins to open, for an operation that was due then; the dialogue forgets what it knew of an earlier one.
    /// Where it is not standing: the time until the operation after this one is due, as its user thinks.
    fn opening(&mut self, due: Instant, now: Instant) -> Duration;
    /// Bytes can be sent: after connecting, or after the implicit TLS handshake.
    fn opened(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault>;
    /// The handshake that STARTTLS asked for is done.
    fn secured(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault>;
    /// Takes the whole responses at the front of `input` and returns how many bytes they were.
    fn receive(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault>;
    /// True once the dialogue is set up, and ever after.
    fn is_ready(&self) -> bool;
    /// True where it is set up and another operation may be started.
    fn is_free(&self) -> bool;
    /// Starts the next operation, which was due then, and returns the time until the one after it is due, as its user thinks.
    fn issue(&mut self, due: Instant, turn: &mut Turn<'_>) -> Result<Duration, Fault>;
    /// The next operation is due, and the dialogue is not free: it ends what only waits for news.
    fn hurry(&mut self, _: &mut Turn<'_>) {}
    /// When the oldest unanswered operation was sent.
    fn waiting_since(&self) -> Option<Instant>;
    /// The last words of a server that closes, if it said any.
    fn farewell(&self) -> Option<&str>;
}

/// What a server wrote, for people: cut to a bounded length, nothing in it that a terminal obeys.
pub fn shown(text: &[u8]) -> String {
    let cut = &text[..text.len().min(TRANSCRIPT_ENTRY_BYTES_MAX)];
    printable(&String::from_utf8_lossy(cut))
}

fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { '·' } else { letter }).collect()
}

/// The end of one connection's dialogue, for the report of a violation.
#[derive(Debug, Default)]
pub struct Transcript {
    text: Vec<u8>,
}

impl Transcript {
    /// Notes what `side` (`C` or `S`) said, cut to a bounded length.
    pub fn note(&mut self, side: u8, bytes: &[u8]) {
        if self.text.len() > TRANSCRIPT_BYTES_MAX {
            let half = self.text.len() / 2;
            let keep = memchr::memchr(b'\n', &self.text[half..]).map_or(self.text.len(), |at| half + at + 1);
            self.text.drain(..keep);
        }
        self.text.extend_from_slice(&[side, b':', b' ']);
        let body = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
        let cut = body.len().min(TRANSCRIPT_ENTRY_BYTES_MAX);
        let from = self.text.len();
        self.text.extend_from_slice(&body[..cut]);
        for octet in &mut self.text[from..] {
            if *octet == b'\n' || *octet == b'\r' {
                *octet = b'|';
            }
        }
        if cut < body.len() {
            self.text.extend_from_slice(format!(" … ({} octets)", body.len()).as_bytes());
        }
        self.text.push(b'\n');
    }

    /// The dialogue as text, a line an entry; a dot stands for each octet that a terminal would obey.
    pub fn shown(&self) -> String {
        printable(&String::from_utf8_lossy(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_keeps_the_end_and_stays_small() {
        let mut transcript = Transcript::default();
        for number in 0..10_000 {
            transcript.note(b'C', format!("A{number:06} NOOP\r\n").as_bytes());
        }
        let shown = transcript.shown();
        assert!(shown.ends_with("C: A009999 NOOP\n"), "{shown}");
        assert!(shown.len() < TRANSCRIPT_BYTES_MAX + 2 * TRANSCRIPT_ENTRY_BYTES_MAX);
    }

    #[test]
    fn a_long_entry_is_cut_and_control_octets_do_not_reach_the_terminal() {
        let mut transcript = Transcript::default();
        transcript.note(b'S', &[b"* \x1b[31m".as_slice(), &[b'x'; 1000], b"\r\n"].concat());
        let shown = transcript.shown();
        assert!(shown.contains("(1007 octets)") && !shown.contains('\x1b'), "{shown}");
    }
}
