//! The POP3 dialogue: one connection from its greeting to its end.
//!
//! Invariants:
//! - Messages are deleted by QUIT alone, all at once: whatever else ends the dialogue deletes nothing (RFC 1939 §6).
//! - The maildrop is opened where its user lives, for one session at a time ([`Maildrops`]); numbers mean the same messages
//!   from the login to the end, whatever IMAP sessions do meanwhile.
//! - A response goes out as it is made, bounded; RETR and NOOP run without allocating.
//! - RETR changes no flag: a program has fetched the message then, and nobody has read it.
//!
//! RFC 1939; 2449 (CAPA, PIPELINING, RESP-CODES); 2595 (STLS); 3206 (AUTH-RESP-CODE); 5034 (AUTH). APOP is off: it needs
//! passwords in the clear on the server.

mod authorization;
mod capability;
mod maildrop;
mod transaction;
mod transmit;
mod update;

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::login::{Exchange, Identity};
use super::visit::Visit;
use super::{Context, Endpoint, Farewell, warn_of};
use crate::limits;
use crate::metrics::{Ending, Verb};
use crate::net::{Connection, Fill, Input, Wire};
use crate::proto::pop3::{Command, Line, LineFramer, parse};
use crate::store::Error;

pub use maildrop::Maildrops;

use maildrop::Maildrop;

/// One POP3 session.
#[derive(Debug)]
pub struct Session {
    input: Input,
    dialogue: Dialogue,
    /// Who another shard authenticated.
    arrived: Option<Identity>,
}

/// A session without its input, which commands borrow from.
#[derive(Debug)]
struct Dialogue {
    wire: Wire,
    context: Rc<Context>,
    visit: Visit,
    framer: LineFramer,
    state: State,
    /// Commands of a stranger.
    commands: u32,
}

/// RFC 1939 §3. The UPDATE state is passed through by QUIT.
#[derive(Debug)]
enum State {
    /// With the name that USER gave.
    Authorization(Option<Box<[u8]>>),
    Transaction(Box<Maildrop>),
}

/// What follows a command.
enum Next {
    Command,
    StartTls,
    Authenticate(Exchange, &'static str),
    Move(Identity),
    Over,
}

impl Session {
    /// A session on a connection that was just accepted (and did its handshake, on an implicit-TLS port).
    pub fn new(connection: Connection, context: Rc<Context>, endpoint: Arc<Endpoint>) -> Session {
        let Connection { input, wire } = connection;
        let visit = Visit::new(endpoint);
        let (framer, state) = (LineFramer::default(), State::Authorization(None));
        let dialogue = Dialogue { wire, context, visit, framer, state, commands: 0 };
        Session { input, dialogue, arrived: None }
    }

    /// Goes on with a session that another shard authenticated; its client has no answer to that yet.
    pub fn resume(mut self, identity: Identity) -> Session {
        self.arrived = Some(identity);
        self
    }

    /// Greets, unless the session is resumed, and answers commands to the end. `Some`: it goes on where its user lives.
    pub async fn run(&mut self) -> io::Result<Option<Identity>> {
        let mut next = match self.arrived.take() {
            Some(identity) => Box::pin(self.dialogue.open(identity)).await,
            None => self.dialogue.greet(),
        };
        loop {
            match next {
                Next::Command => {}
                Next::Over => return Ok(None),
                Next::Move(identity) => return Ok(Some(identity)),
                other => {
                    next = Box::pin(self.step(other)).await?;
                    continue;
                }
            }
            next = match self.dialogue.framer.next(self.input.octets(), self.dialogue.line_bytes_max()) {
                Line::Partial => self.more().await?,
                Line::Complete { length } => {
                    self.input.spare(&self.dialogue.wire);
                    let next = self.dialogue.execute(&self.input.octets()[..length]).await?;
                    self.input.consume(length);
                    next
                }
                Line::Refused { fault, length, close } => {
                    self.input.consume(length);
                    let next = self.dialogue.refuse(fault.text());
                    // What follows a bare CR or LF may be read as commands by one program and as text by another.
                    if close { Next::Over } else { next }
                }
                Line::Skipped { length } => {
                    self.input.consume(length);
                    Next::Command
                }
            };
            self.dialogue.wire.breathe().await?;
        }
    }

    /// The connection, when the dialogue has ended. The maildrop is let go of.
    pub fn into_connection(self) -> Connection {
        Connection { input: self.input, wire: self.dialogue.wire }
    }

    /// What needs the input too.
    async fn step(&mut self, next: Next) -> io::Result<Next> {
        match next {
            Next::StartTls => {
                // Neither what was received nor what is known is kept.
                self.dialogue.framer = LineFramer::default();
                self.dialogue.state = State::Authorization(None);
                self.dialogue.visit.start_tls((&mut self.input, &mut self.dialogue.wire)).await?;
                Ok(Next::Command)
            }
            Next::Authenticate(exchange, challenge) => self.authenticate(exchange, challenge).await,
            other => Ok(other),
        }
    }

    /// Waits for input, with what was answered so far on its way.
    async fn more(&mut self) -> io::Result<Next> {
        self.dialogue.wire.flush().await?;
        let Dialogue { wire, context, visit, state, .. } = &mut self.dialogue;
        let stranger = matches!(state, State::Authorization(_));
        match visit.wait(context, (&mut self.input, wire), stranger).await? {
            Fill::More => return Ok(Next::Command),
            Fill::End => {}
            Fill::Timeout => self.dialogue.part(),
        }
        Ok(Next::Over)
    }
}

impl Dialogue {
    fn greet(&mut self) -> Next {
        let text = self.visit.greeting(&self.wire);
        let out = self.wire.output();
        out.extend_from_slice(b"+OK ");
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
        Next::Command
    }

    /// RFC 1939 §3: a client that was silent for too long is told nothing. One whose server stops takes this for the answer
    /// to its next command, which is right: that command is not done, nor is a QUIT.
    fn part(&mut self) {
        match self.context.farewell(&self.wire) {
            Farewell::Stopping => self.err("[SYS/TEMP] The server is stopping, come back soon"),
            Farewell::Kicked => self.err("Disconnected by the administrator"),
            Farewell::Idle => {}
        }
    }

    fn line_bytes_max(&self) -> usize {
        match self.state {
            State::Authorization(_) => limits::LINE_BYTES_BEFORE_AUTH_MAX,
            State::Transaction(_) => limits::POP3_LINE_BYTES_MAX,
        }
    }

    fn ok(&mut self, text: &str) {
        self.status("+OK ", text);
    }

    fn err(&mut self, text: &str) {
        self.status("-ERR ", text);
    }

    fn status(&mut self, indicator: &str, text: &str) {
        let out = self.wire.output();
        for part in [indicator, text, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }

    /// Refuses a line that was no command.
    fn refuse(&mut self, text: &str) -> Next {
        self.visit.count_bad(&self.context);
        if self.has_had_enough() {
            return Next::Over;
        }
        self.err(text);
        Next::Command
    }

    /// Counts a stranger's commands; true: that was one too many, and it was said.
    fn has_had_enough(&mut self) -> bool {
        if !matches!(self.state, State::Authorization(_)) {
            return false;
        }
        self.commands += 1;
        let enough = self.commands > limits::COMMANDS_BEFORE_AUTH_MAX;
        if enough {
            self.wire.presence().ending(Ending::Failures);
            self.err("Too many commands before authentication");
        }
        enough
    }

    /// One line. What waits for its client alone runs here, the rest is boxed.
    async fn execute(&mut self, line: &[u8]) -> io::Result<Next> {
        let command = match parse(line) {
            Ok(command) => command,
            Err(error) => return Ok(self.refuse(error.text())),
        };
        if self.has_had_enough() {
            return Ok(Next::Over);
        }
        let begun = self.context.begin(&self.wire, verb(&command));
        let next = self.obey(command).await?;
        self.context.end(&self.wire, begun);
        Ok(next)
    }

    async fn obey(&mut self, command: Command<'_>) -> io::Result<Next> {
        match (&self.state, command) {
            (_, Command::Capa) => self.capability(),
            (_, Command::Quit) => return Box::pin(self.quit()).await,
            (State::Authorization(_), command) => return Box::pin(self.authorize(command)).await,
            (State::Transaction(_), command) => {
                if let Some(response) = self.transact(command) {
                    self.transmit(response).await?;
                }
            }
        }
        Ok(Next::Command)
    }
}

/// What the command is timed as.
fn verb(command: &Command<'_>) -> Verb {
    match command {
        Command::Capa => Verb::Pop3Capa,
        Command::Stls => Verb::Pop3Stls,
        Command::User { .. } => Verb::Pop3User,
        Command::Pass { .. } => Verb::Pop3Pass,
        Command::Auth { .. } => Verb::Pop3Auth,
        Command::Quit => Verb::Pop3Quit,
        Command::Stat => Verb::Pop3Stat,
        Command::List { .. } => Verb::Pop3List,
        Command::Retr { .. } => Verb::Pop3Retr,
        Command::Dele { .. } => Verb::Pop3Dele,
        Command::Noop => Verb::Pop3Noop,
        Command::Rset => Verb::Pop3Rset,
        Command::Uidl { .. } => Verb::Pop3Uidl,
        Command::Top { .. } => Verb::Pop3Top,
        Command::Apop => Verb::Pop3Other,
    }
}

/// What an error of the store is called.
fn refusal(error: &Error) -> &'static str {
    warn_of(error);
    match error {
        Error::Corrupt { .. } => "[SYS/PERM] The mail file is damaged; the administrator was told",
        _ => "[SYS/TEMP] The mail store can't do that now, try again later",
    }
}
