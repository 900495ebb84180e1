//! The client side of POP3 sessions: a connection each, with greeting, STLS, USER, PASS, STAT, LIST, RETR of some, QUIT.
//!
//! Invariants: one command at a time, as clients that people run do it; STAT, LIST and the messages must say the same numbers and
//! sizes (RFC 1939 §5, octets counted with CRLF and without stuffed dots); a message never changes. `-ERR` is counted, and the
//! connection begins anew. Each connection has accounts of its own, since a maildrop has one session at a time.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::reply::{Framing, Reply, unstuff};
use crate::dialogue::{Dialogue, Fault, Turn, Wish, shown, violation};
use crate::message::{Verdict, checksum, verify};
use crate::names::Names;
use crate::random::Random;
use crate::script::Think;

/// What all connections of a run share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The accounts; connection `i` of `n` has those at `i`, `i + n` …
    pub users: Names,
    /// The password of all of them.
    pub password: String,
    /// Connections of the run.
    pub connections: u32,
    /// Messages to retrieve in a session.
    pub retrieve: u32,
    /// True: others use the maildrops, too, so that they may be empty or change between two sessions.
    pub shared: bool,
    /// True: STLS before USER.
    pub stls: bool,
    /// The time between two sessions of a user, in a scenario.
    pub think: Think,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Greeting,
    Stls,
    User,
    Pass,
    Stat,
    List,
    Retr(u32),
    Quit,
}

impl Command {
    fn name(self) -> &'static str {
        match self {
            Command::Greeting => "the greeting",
            Command::Stls => "STLS",
            Command::User => "USER",
            Command::Pass => "PASS",
            Command::Stat => "STAT",
            Command::List => "LIST",
            Command::Retr(_) => "RETR",
            Command::Quit => "QUIT",
        }
    }
}

/// One connection's dialogue.
#[derive(Debug)]
pub struct Client {
    settings: Rc<Settings>,
    index: u32,
    sessions: u64,
    /// What the next response answers; `None`: the session is over.
    awaited: Option<Command>,
    framing: Framing,
    stat: (u32, u64),
    /// The sizes that LIST gave, message 1 first.
    sizes: Vec<u64>,
    retrieved: u32,
    message: Vec<u8>,
    /// When the session was due, and when it began.
    opened: (Instant, Instant),
    sent: Instant,
    random: Random,
}

impl Client {
    /// The dialogue of connection `index`.
    pub fn new(settings: Rc<Settings>, index: u32, now: Instant) -> Client {
        Client {
            settings,
            index,
            sessions: 0,
            awaited: Some(Command::Greeting),
            framing: Framing::default(),
            stat: (0, 0),
            sizes: Vec::new(),
            retrieved: 0,
            message: Vec::new(),
            opened: (now, now),
            sent: now,
            random: Random::new(index.into()),
        }
    }

    /// Which of the accounts this session is for.
    fn account(&self) -> u64 {
        u64::from(self.index) + self.sessions * u64::from(self.settings.connections)
    }

    fn send(&mut self, command: Command, line: &str, turn: &mut Turn<'_>) {
        if command == Command::Pass {
            turn.send_secret(line.as_bytes(), "(PASS, not shown)");
        } else {
            turn.send(line.as_bytes());
        }
        self.awaited = Some(command);
        self.sent = turn.now;
    }

    fn log_in(&mut self, turn: &mut Turn<'_>) {
        let line = format!("USER {}\r\n", self.settings.users.of(self.account()));
        self.send(Command::User, &line, turn);
    }

    fn replied(&mut self, command: Command, reply: &Reply<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if !reply.ok {
            let code = reply.code();
            let space = if code.is_empty() { "" } else { " " };
            turn.tally.error(&format!("-ERR{space}{code} to {}", command.name()));
            self.awaited = None;
            turn.wish = Wish::Close;
            return Ok(());
        }
        match command {
            Command::Greeting if self.settings.stls => self.send(Command::Stls, "STLS\r\n", turn),
            Command::Greeting => self.log_in(turn),
            Command::Stls => turn.wish = Wish::StartTls,
            Command::User => {
                let line = format!("PASS {}\r\n", self.settings.password);
                self.send(Command::Pass, &line, turn);
            }
            Command::Pass => self.send(Command::Stat, "STAT\r\n", turn),
            Command::Stat => {
                self.stat = stat(reply.text).map_err(Fault::Violation)?;
                self.send(Command::List, "LIST\r\n", turn);
            }
            Command::List => {
                self.listed(reply.lines)?;
                self.next_message(turn);
            }
            Command::Retr(number) => {
                self.retrieved(number, reply.lines, turn)?;
                self.next_message(turn);
            }
            Command::Quit => {
                turn.tally.done("session", self.opened, turn.now);
                self.awaited = None;
                turn.wish = Wish::Over;
            }
        }
        Ok(())
    }

    fn listed(&mut self, lines: &[u8]) -> Result<(), Fault> {
        scan_listing(lines, &mut self.sizes).map_err(Fault::Violation)?;
        let told = (self.sizes.len() as u32, self.sizes.iter().sum::<u64>());
        if told != self.stat {
            let (stat, list) = (self.stat, told);
            return violation(format!("STAT says {} {}, and LIST {} {}", stat.0, stat.1, list.0, list.1));
        }
        if self.sizes.is_empty() && self.settings.retrieve > 0 && !self.settings.shared {
            let name = self.settings.users.of(self.account());
            return Err(Fault::Fatal(format!("the maildrop of {name} is empty: fill it first")));
        }
        Ok(())
    }

    /// Sessions and connections begin at different messages.
    fn next_message(&mut self, turn: &mut Turn<'_>) {
        let exists = self.sizes.len() as u64;
        if u64::from(self.retrieved) == exists.min(u64::from(self.settings.retrieve)) {
            return self.send(Command::Quit, "QUIT\r\n", turn);
        }
        let first = self.sessions * u64::from(self.settings.retrieve) + u64::from(self.index) * 7;
        let number = ((first + u64::from(self.retrieved)) % exists) as u32 + 1;
        self.retrieved += 1;
        self.send(Command::Retr(number), &format!("RETR {number}\r\n"), turn);
    }

    fn retrieved(&mut self, number: u32, lines: &[u8], turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.message.clear();
        unstuff(lines, &mut self.message).map_err(Fault::Violation)?;
        let listed = self.sizes[number as usize - 1];
        if listed != self.message.len() as u64 {
            return violation(format!("message {number} has {} octets, and LIST said {listed}", self.message.len()));
        }
        match verify(&self.message) {
            Verdict::Intact => turn.tally.verified += 1,
            Verdict::Damaged => {
                let text = format!("message {number} does not have the checksum that its header states");
                return violation(text);
            }
            // Other sessions may have removed messages since: the numbers are others then.
            Verdict::Unmarked if self.settings.shared => {}
            Verdict::Unmarked => {
                let account = self.settings.users.place(self.account());
                if !turn.tally.body_seen((account.into(), number), checksum(&self.message)) {
                    return violation(format!(
                        "message {number} has another content than when it was retrieved before"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// `drop-listing = "+OK" SP number SP octets`, and whatever else behind it.
fn stat(text: &[u8]) -> Result<(u32, u64), String> {
    let wrong = || format!("STAT was answered +OK {}", shown(text));
    let mut words = text.split(|octet| *octet == b' ');
    let mut next = || number(words.next().unwrap_or_default());
    let messages = next().and_then(|count| u32::try_from(count).ok()).ok_or_else(wrong)?;
    Ok((messages, next().ok_or_else(wrong)?))
}

/// `scan-listing = number SP octets CRLF`, from 1 on without a gap, since nothing is deleted.
fn scan_listing(lines: &[u8], sizes: &mut Vec<u64>) -> Result<(), String> {
    sizes.clear();
    for line in lines.split_inclusive(|octet| *octet == b'\n') {
        let wrong = || format!("a scan listing \"{}\" behind {} others", shown(line).escape_debug(), sizes.len());
        let line = line.strip_suffix(b"\r\n").ok_or_else(wrong)?;
        let mut words = line.split(|octet| *octet == b' ');
        let mut next = || number(words.next().unwrap_or_default());
        let (message, size) = (next().ok_or_else(wrong)?, next().ok_or_else(wrong)?);
        if message != sizes.len() as u64 + 1 {
            return Err(wrong());
        }
        sizes.push(size);
    }
    Ok(())
}

fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

impl Dialogue for Client {
    fn is_standing(&self) -> bool {
        false
    }

    fn opening(&mut self, due: Instant, now: Instant) -> Duration {
        self.sessions += 1;
        self.awaited = Some(Command::Greeting);
        self.framing = Framing::default();
        self.retrieved = 0;
        (self.opened, self.sent) = ((due, now), now);
        self.settings.think.draw(&mut self.random)
    }

    fn opened(&mut self, _: &mut Turn<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn secured(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.log_in(turn);
        Ok(())
    }

    fn receive(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let Some(command) = self.awaited else { return violation("a response that nothing asked for") };
        let multi_line = matches!(command, Command::List | Command::Retr(_));
        let whole = self.framing.whole(input, multi_line).map_err(|what| {
            turn.transcript.note(b'S', input);
            Fault::Violation(what)
        })?;
        let Some(reply) = whole else { return Ok(0) };
        turn.transcript.note(b'S', &input[..reply.length]);
        if reply.length < input.len() {
            // One command at a time: nothing can be behind its response. With STLS it would be injected.
            turn.transcript.note(b'S', &input[reply.length..]);
            return violation(format!("octets behind the response to {}", command.name()));
        }
        self.replied(command, &reply, turn)?;
        Ok(reply.length)
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn is_free(&self) -> bool {
        false // a session is one operation, from its opening on
    }

    fn issue(&mut self, _: Instant, _: &mut Turn<'_>) -> Result<Duration, Fault> {
        Ok(Duration::ZERO)
    }

    fn waiting_since(&self) -> Option<Instant> {
        self.awaited.map(|_| self.sent)
    }

    fn farewell(&self) -> Option<&str> {
        None
    }
}
