//! The SMTP dialogue, between servers (25) and for users (587, 465): RFC 5321, RFC 6409; and LMTP, RFC 2033.
//!
//! Invariants: replies go out in order and together where commands came together (PIPELINING); a transaction is forgotten
//! whole by RSET, EHLO, STARTTLS, a delivery and any refusal of its data; `250` after the final dot means durable for every
//! recipient (in LMTP: for that one); mail for domains that aren't ours is refused (`554 5.7.1`).
//! RFC 5321, 1870 (SIZE), 2034, 2920 (PIPELINING), 3030 (CHUNKING), 3207 (STARTTLS), 3461 (DSN), 4954 (AUTH), 6152
//! (8BITMIME), 6531 (SMTPUTF8).

mod auth;
mod chunk;
mod data;
mod hello;
mod outcome;
mod room;
mod transaction;

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::login::{Exchange, Identity};
use super::visit::Visit;
use super::{Context, Endpoint, Farewell, Protocol};
use crate::limits;
use crate::metrics::{Ending, Verb};
use crate::net::{Connection, Fill, Input, Wire};
use crate::proto::smtp::{Command, Line, LineFramer, ParseError, announces_chunk, parse, reply};
use transaction::Transaction;

/// One SMTP session.
#[derive(Debug)]
pub struct Session {
    input: Input,
    dialogue: Dialogue,
}

/// A session without its input, which commands borrow from.
#[derive(Debug)]
struct Dialogue {
    wire: Wire,
    context: Rc<Context>,
    visit: Visit,
    framer: LineFramer,
    hello: Option<Hello>,
    identity: Option<Identity>,
    transaction: Option<Box<Transaction>>,
    /// Recipients of a transaction that one of its chunks ended: in LMTP each of them has a reply to the last chunk.
    owed: usize,
    idle_commands: u32,
}

/// What the client said of itself.
#[derive(Debug)]
struct Hello {
    domain: Box<str>,
    extended: bool,
}

/// What follows a command.
enum Next {
    Command,
    StartTls,
    Data,
    Chunk { bytes: u64, last: bool },
    Authenticate(Exchange, &'static str),
    Over,
}

impl Session {
    /// A session on a connection that was just accepted (and did its handshake, on an implicit-TLS port).
    pub fn new(connection: Connection, context: Rc<Context>, endpoint: Arc<Endpoint>) -> Session {
        let Connection { input, wire } = connection;
        let visit = Visit::new(endpoint);
        let dialogue = Dialogue {
            wire,
            context,
            visit,
            framer: LineFramer::default(),
            hello: None,
            identity: None,
            transaction: None,
            owed: 0,
            idle_commands: 0,
        };
        Session { input, dialogue }
    }

    /// Greets and answers commands to the end.
    pub async fn run(&mut self) -> io::Result<()> {
        self.dialogue.greet();
        loop {
            let next = match self.dialogue.framer.next(self.input.octets(), limits::SMTP_LINE_BYTES_MAX) {
                Line::Partial => self.more().await?,
                Line::Complete { length } => {
                    self.input.spare(&self.dialogue.wire);
                    let line = &self.input.octets()[..length];
                    let next = Box::pin(self.dialogue.execute(line)).await?;
                    self.input.consume(length);
                    next
                }
                Line::Refused { fault, length, close } => {
                    let close = close || announces_chunk(&self.input.octets()[..length]);
                    self.input.consume(length);
                    self.dialogue.visit.count_bad(&self.dialogue.context);
                    let next = self.dialogue.idly(500, "5.5.2", fault.text());
                    // What follows a bare CR or LF may be read as commands by one program and as text by another.
                    if close { Next::Over } else { next }
                }
                Line::Skipped { length } => {
                    self.input.consume(length);
                    Next::Command
                }
            };
            self.dialogue.wire.breathe().await?;
            let next = match next {
                Next::StartTls => self.start_tls().await?,
                Next::Data => {
                    self.dialogue.wire.presence().goes_on(Verb::SmtpData);
                    let next = Box::pin(self.data()).await?;
                    self.dialogue.wire.presence().ends();
                    next
                }
                Next::Chunk { bytes, last } => {
                    self.dialogue.wire.presence().goes_on(Verb::SmtpBdat);
                    let next = Box::pin(self.chunk(bytes, last)).await?;
                    self.dialogue.wire.presence().ends();
                    next
                }
                Next::Authenticate(exchange, challenge) => Box::pin(self.authenticate(exchange, challenge)).await?,
                other => other,
            };
            if matches!(next, Next::Over) {
                return Ok(());
            }
        }
    }

    /// The connection, when the dialogue has ended.
    pub fn into_connection(self) -> Connection {
        Connection { input: self.input, wire: self.dialogue.wire }
    }

    /// Waits for input, with the replies so far on their way.
    async fn more(&mut self) -> io::Result<Next> {
        self.dialogue.wire.flush().await?;
        let Dialogue { wire, context, visit, identity, .. } = &mut self.dialogue;
        // On a listener for users, a stranger should have logged in by then.
        let stranger = identity.is_none() && !visit.endpoint.listener.anonymous;
        match visit.wait(context, (&mut self.input, wire), stranger).await? {
            Fill::More => return Ok(Next::Command),
            Fill::End => {}
            Fill::Timeout => self.dialogue.say_goodbye(),
        }
        Ok(Next::Over)
    }

    /// RFC 3207 §4.2: nothing from before TLS is kept, neither what was received nor what is known.
    async fn start_tls(&mut self) -> io::Result<Next> {
        let dialogue = &mut self.dialogue;
        dialogue.framer = LineFramer::default();
        dialogue.hello = None;
        dialogue.identity = None;
        (dialogue.transaction, dialogue.owed) = (None, 0);
        dialogue.visit.start_tls((&mut self.input, &mut dialogue.wire)).await?;
        Ok(Next::Command)
    }
}

impl Dialogue {
    fn greet(&mut self) {
        let text = self.visit.greeting(&self.wire);
        // RFC 5321 §4.2: the name of the host comes first.
        let protocol = if self.speaks_lmtp() { "LMTP" } else { "ESMTP" };
        let greeting = format!("{} {protocol} {text}", self.context.config.hostname);
        self.reply(220, "", &greeting);
    }

    fn say_goodbye(&mut self) {
        match self.context.farewell(&self.wire) {
            Farewell::Stopping => self.reply(421, "4.3.2", "The server is stopping, come back soon"),
            Farewell::Kicked => self.reply(421, "4.3.2", "Disconnected by the administrator"),
            Farewell::Idle => self.reply(421, "4.4.2", "Idle for too long"),
        }
    }

    fn reply(&mut self, code: u16, enhanced: &str, text: &str) {
        reply::line(self.wire.output(), code, enhanced, text);
    }

    /// May STARTTLS be sent now?
    fn offers_starttls(&self) -> bool {
        self.visit.offers_starttls(&self.wire)
    }

    /// R-SMTP-2: TLS is required and not on.
    fn lacks_tls(&self) -> bool {
        self.visit.endpoint.lacks_tls(self.wire.is_tls())
    }

    fn allows_password(&self) -> bool {
        self.visit.allows_password(&self.wire)
    }

    async fn execute(&mut self, line: &[u8]) -> io::Result<Next> {
        let command = match parse(line) {
            Ok(command) => command,
            Err(error) => return Ok(self.malformed(error)),
        };
        // DATA is timed from its final dot on, BDAT from the end of its last chunk.
        if matches!(command, Command::Data | Command::Bdat { .. }) {
            return self.obey(command).await;
        }
        let begun = self.context.begin(&self.wire, verb(&command));
        let next = self.obey(command).await?;
        self.context.end(&self.wire, begun);
        Ok(next)
    }

    async fn obey(&mut self, command: Command<'_>) -> io::Result<Next> {
        let harmless = matches!(
            command,
            Command::Noop
                | Command::Ehlo { .. }
                | Command::Helo { .. }
                | Command::Lhlo { .. }
                | Command::StartTls
                | Command::Quit
                // Refused where its octets are read away.
                | Command::Bdat { .. }
        );
        if self.lacks_tls() && !harmless {
            return Ok(self.idly(530, "5.7.0", "Must issue a STARTTLS command first"));
        }
        Ok(match command {
            // RFC 2033 §4.1: LHLO alone in LMTP, and only there.
            Command::Ehlo { .. } | Command::Helo { .. } if self.speaks_lmtp() => {
                self.idly(500, "5.5.1", "This is LMTP: say LHLO")
            }
            Command::Lhlo { .. } if !self.speaks_lmtp() => self.idly(500, "5.5.1", "This is SMTP: say EHLO"),
            Command::Ehlo { domain } | Command::Lhlo { domain } => self.hello(domain, true),
            Command::Helo { domain } => self.hello(domain, false),
            Command::Mail(mail) => self.mail(mail),
            Command::Rcpt(rcpt) => self.rcpt(rcpt).await,
            Command::Data => self.may_send_data(),
            Command::Bdat { bytes, last } => Next::Chunk { bytes, last },
            Command::Auth { mechanism, initial } => self.may_authenticate(mechanism, initial).await?,
            Command::StartTls => self.may_start_tls(),
            Command::Quit => {
                self.wire.presence().ending(Ending::Logout);
                self.reply(221, "2.0.0", "Until next time");
                Next::Over
            }
            Command::Rset => {
                (self.transaction, self.owed) = (None, 0);
                self.idly(250, "2.0.0", "OK")
            }
            Command::Noop => self.idly(250, "2.0.0", "OK"),
            Command::Help => self.idly(214, "2.0.0", "RFC 5321"),
            Command::Vrfy { name } => self.verify(name).await,
            Command::Expn { .. } => self.idly(502, "5.5.1", "EXPN is off"),
        })
    }

    fn malformed(&mut self, error: ParseError) -> Next {
        self.visit.count_bad(&self.context);
        let next = self.idly(error.code(), error.enhanced(), error.text());
        // How many octets follow that are no commands, nobody knows.
        if error == ParseError::ChunkSize { Next::Over } else { next }
    }

    fn speaks_lmtp(&self) -> bool {
        self.visit.endpoint.protocol == Protocol::Lmtp
    }

    /// A listener for users, and a stranger.
    fn may_not_speak(&self) -> bool {
        self.identity.is_none() && !self.visit.endpoint.listener.anonymous
    }

    /// A reply to a command that does nothing: a client may have so many of them.
    fn idly(&mut self, code: u16, enhanced: &str, text: &str) -> Next {
        if self.has_idled_enough() {
            return Next::Over;
        }
        self.reply(code, enhanced, text);
        Next::Command
    }

    /// Counts a command that does nothing; true: that was one too many, and it was said.
    fn has_idled_enough(&mut self) -> bool {
        self.idle_commands += 1;
        let enough = self.idle_commands > limits::IDLE_COMMANDS_MAX;
        if enough {
            self.wire.presence().ending(Ending::Failures);
            self.reply(421, "4.7.0", "Too many commands that do nothing");
        }
        enough
    }

    fn may_start_tls(&mut self) -> Next {
        if !self.offers_starttls() {
            let text = if self.wire.is_tls() { "TLS is on already" } else { "STARTTLS is not offered here" };
            return self.idly(503, "5.5.1", text);
        }
        self.reply(220, "2.0.0", "Ready to start TLS");
        Next::StartTls
    }
}

/// What the command is timed as.
fn verb(command: &Command<'_>) -> Verb {
    match command {
        Command::Ehlo { .. } | Command::Helo { .. } | Command::Lhlo { .. } => Verb::SmtpHello,
        Command::StartTls => Verb::SmtpStartTls,
        Command::Auth { .. } => Verb::SmtpAuth,
        Command::Mail { .. } => Verb::SmtpMail,
        Command::Rcpt { .. } => Verb::SmtpRcpt,
        Command::Data => Verb::SmtpData,
        Command::Bdat { .. } => Verb::SmtpBdat,
        Command::Rset => Verb::SmtpRset,
        Command::Noop => Verb::SmtpNoop,
        Command::Quit => Verb::SmtpQuit,
        Command::Vrfy { .. } | Command::Expn { .. } | Command::Help => Verb::SmtpOther,
    }
}
