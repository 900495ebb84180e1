//! The IMAP dialogue: one connection from its greeting to its end.
//!
//! Invariants:
//! - A command lies in [`Input`] while it runs and everything that it parsed to lies in an arena; answers go to [`Wire`],
//!   which is flushed when no whole command is left, so that pipelined commands share one send.
//! - Untagged EXPUNGE is told only where [`command::tells_expunge`] allows (RFC 3501 §7.4.1); every answer is written from
//!   the session's view.
//! - NOOP and FETCH run without allocating; the other commands are boxed, so that a waiting session is small.
//! - After authentication the session goes on where its user lives ([`Ended::Move`]), before its next command.
//!
//! RFC 3501, 2177 (IDLE), 3691 (UNSELECT), 4959 (SASL-IR), 7888 (LITERAL+).

mod append;
mod authenticate;
mod capability;
mod command;
mod expunge;
mod fetch;
mod flags;
mod idle;
mod list;
mod mailbox;
mod search;
mod section;
mod select;
mod starttls;
mod store;
mod tell;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::login::Identity;
use super::{Context, Endpoint, Farewell, Peer};
use crate::limits;
use crate::metrics::{Ending, Verb};
use crate::net::{Arena, Connection, Fill, Input, Moved, Wire};
use crate::proto::imap::parse::{ParseError, parse, tag};
use crate::proto::imap::{Command, Frame, Framer, Limits, Tagged};
use crate::store::{Account, View};

/// A session between two shards.
#[derive(Debug)]
pub struct Moving {
    /// The connection.
    pub connection: Moved,
    /// Who it belongs to: account, name, quota.
    pub identity: (crate::store::AccountId, String, Option<u64>),
    /// Which listener of its service it came to.
    pub endpoint: usize,
    /// Its two ends.
    pub peer: Peer,
}

/// How a dialogue ended.
#[derive(Debug)]
pub enum Ended {
    /// It is over; the connection is to be closed.
    Closed,
    /// It goes on where its user lives.
    Move(Identity),
    /// The connection failed.
    Failed(io::Error),
}

/// One IMAP session: its input, and all the rest.
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
    endpoint: Arc<Endpoint>,
    peer: Peer,
    framer: Framer,
    state: State,
    /// When the connection came to this shard.
    since: Instant,
    commands: u32,
    failures: u32,
}

#[derive(Debug)]
enum State {
    /// RFC 3501 §3.1.
    NotAuthenticated,
    /// §3.2; the account is opened by the first command that needs it.
    Authenticated(User),
    /// §3.3.
    Selected(User, View),
}

#[derive(Debug)]
struct User {
    identity: Identity,
    account: Option<Account>,
}

/// What follows a command.
enum Next {
    Command,
    StartTls,
    Append(AppendAt),
    Authenticate(authenticate::Pending),
    Idle(Box<str>),
    Move(Identity),
    Over,
}

/// A message literal that was announced.
struct AppendAt {
    head: usize,
    size: u64,
    synchronising: bool,
}

impl Session {
    /// A session on a connection that was just accepted (and did its handshake, on an implicit-TLS port).
    pub fn new(connection: Connection, context: Rc<Context>, endpoint: Arc<Endpoint>, peer: Peer) -> Session {
        let Connection { input, wire } = connection;
        let since = wire.ring().now();
        let dialogue = Dialogue {
            wire,
            context,
            endpoint,
            peer,
            framer: Framer::default(),
            state: State::NotAuthenticated,
            since,
            commands: 0,
            failures: 0,
        };
        Session { input, dialogue }
    }

    /// Goes on with a session that another shard authenticated.
    pub fn resume(mut self, identity: Identity) -> Session {
        self.dialogue.wire.presence().log_in(&identity.name);
        self.dialogue.state = State::Authenticated(User { identity, account: None });
        self
    }

    /// Greets, unless the session is resumed, and answers commands to the end.
    pub async fn run(&mut self) -> Ended {
        match self.converse().await {
            Ok(Some(identity)) => Ended::Move(identity),
            Ok(None) => Ended::Closed,
            Err(error) => Ended::Failed(error),
        }
    }

    /// The connection, when the dialogue has ended.
    pub fn into_connection(self) -> Connection {
        Connection { input: self.input, wire: self.dialogue.wire }
    }

    async fn converse(&mut self) -> io::Result<Option<Identity>> {
        if matches!(self.dialogue.state, State::NotAuthenticated) {
            self.dialogue.greet();
        }
        loop {
            let limits = self.dialogue.limits();
            let next = match self.dialogue.framer.next(self.input.octets(), limits) {
                Frame::Partial => self.more().await?,
                Frame::Continue => {
                    self.dialogue.put("+ Go ahead\r\n");
                    self.dialogue.wire.flush().await?;
                    Next::Command
                }
                Frame::Command { length } => {
                    self.input.spare(&self.dialogue.wire);
                    let arena = self.dialogue.context.arenas.take();
                    let octets = &self.input.octets()[..length];
                    let next = self.dialogue.execute(octets, &arena).await?;
                    self.input.consume(length);
                    drop(arena);
                    self.dialogue.wire.breathe().await?;
                    next
                }
                Frame::AppendLiteral { head, size, synchronising, utf8: _ } => {
                    Next::Append(AppendAt { head, size, synchronising })
                }
                Frame::Refused { kind, length, close } => {
                    let name = tag(&self.input.octets()[..length]).unwrap_or("*");
                    self.dialogue.refuse(name, kind.text(), close);
                    self.input.consume(length);
                    if close || self.dialogue.has_had_enough() { Next::Over } else { Next::Command }
                }
                Frame::Skipped { length } => {
                    self.input.consume(length);
                    self.dialogue.wire.breathe().await?;
                    Next::Command
                }
            };
            match next {
                Next::Command => {}
                Next::Over => return Ok(None),
                Next::Move(identity) => {
                    self.dialogue.wire.flush().await?;
                    return Ok(Some(identity));
                }
                other => {
                    if let Some(end) = Box::pin(self.step(other)).await? {
                        return Ok(end);
                    }
                }
            }
        }
    }

    /// What needs the input too. `Some`: the dialogue ends so.
    async fn step(&mut self, next: Next) -> io::Result<Option<Option<Identity>>> {
        let next = match next {
            Next::StartTls => Box::pin(self.start_tls()).await?,
            Next::Append(at) => {
                let begun = self.dialogue.context.begin(&self.dialogue.wire, Verb::ImapAppend);
                let next = Box::pin(self.append(at)).await?;
                self.dialogue.context.end(&self.dialogue.wire, begun);
                next
            }
            Next::Authenticate(pending) => {
                self.dialogue.wire.presence().goes_on(Verb::ImapAuthenticate);
                let next = Box::pin(self.authenticate(pending)).await?;
                self.dialogue.wire.presence().ends();
                next
            }
            Next::Idle(tag) => {
                self.dialogue.wire.presence().goes_on(Verb::ImapIdle);
                let next = self.idle(&tag).await?;
                self.dialogue.wire.presence().ends();
                next
            }
            other => other,
        };
        Ok(match next {
            Next::Over => Some(None),
            Next::Move(identity) => {
                self.dialogue.wire.flush().await?;
                Some(Some(identity))
            }
            _ => None,
        })
    }

    /// Waits for input, with what was answered so far on its way.
    async fn more(&mut self) -> io::Result<Next> {
        let dialogue = &mut self.dialogue;
        dialogue.wire.flush().await?;
        if !dialogue.context.stopping.get() {
            dialogue.wire.set_deadline_at(dialogue.patience());
            match self.input.wait(&mut dialogue.wire).await? {
                Fill::More => return Ok(Next::Command),
                Fill::End => return Ok(Next::Over),
                Fill::Timeout => {}
            }
        }
        dialogue.say_bye();
        Ok(Next::Over)
    }
}

impl Dialogue {
    fn greet(&mut self) {
        let service = &self.endpoint.service;
        let text = if self.wire.is_tls() { &service.greeting_tls } else { &service.greeting };
        let text = text.as_deref().unwrap_or("Ringpost ready");
        let (starttls, password) = (self.offers_starttls(), self.allows_password());
        let out = self.wire.output();
        out.extend_from_slice(b"* OK [CAPABILITY ");
        capability::write(out, false, starttls, password);
        out.extend_from_slice(b"] ");
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn allows_password(&self) -> bool {
        self.endpoint.allows_password(self.wire.is_tls(), self.peer)
    }

    fn limits(&self) -> &'static Limits {
        match self.state {
            State::NotAuthenticated => &Limits::BEFORE_AUTHENTICATION,
            _ => &Limits::AFTER_AUTHENTICATION,
        }
    }

    /// Until when the client may be silent: a stranger, until it should have logged in.
    fn patience(&self) -> Instant {
        let idle = self.wire.ring().now() + self.endpoint.idle_timeout();
        match self.state {
            State::NotAuthenticated => idle.min(self.since + limits::LOGIN_TIME_MAX),
            _ => idle,
        }
    }

    fn say_bye(&mut self) {
        self.put(match self.context.farewell(&self.wire) {
            Farewell::Stopping => "* BYE [UNAVAILABLE] The server is stopping, come back soon\r\n",
            Farewell::Kicked => "* BYE [UNAVAILABLE] Disconnected by the administrator\r\n",
            Farewell::Idle => "* BYE Autologout; idle for too long\r\n",
        });
    }

    fn put(&mut self, text: &str) {
        self.wire.output().extend_from_slice(text.as_bytes());
    }

    /// A tagged response.
    fn answer(&mut self, tag: &str, text: &str) {
        let out = self.wire.output();
        out.extend_from_slice(tag.as_bytes());
        out.push(b' ');
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// A command that was never parsed.
    fn refuse(&mut self, tag: &str, text: &str, close: bool) {
        self.count_bad();
        self.answer(tag, text);
        if close {
            self.put("* BYE What follows can't be told apart from commands\r\n");
        }
    }

    /// One whole command. NOOP and FETCH run here; everything else is boxed.
    async fn execute(&mut self, octets: &[u8], arena: &Arena) -> io::Result<Next> {
        if self.has_had_enough() {
            return Ok(Next::Over);
        }
        // In the arena rather than in this future, whose size every waiting session pays.
        let tagged = match parse(arena, octets) {
            Ok(tagged) => &*arena.alloc(tagged),
            Err(error) => {
                self.bad(&error);
                return Ok(Next::Command);
            }
        };
        let begun = self.context.begin(&self.wire, command::verb(&tagged.command));
        let next = match tagged.command {
            Command::Noop => {
                self.tell(true);
                self.answer(tagged.tag, "OK NOOP completed");
                Next::Command
            }
            Command::Fetch { .. } => {
                self.fetch(tagged, arena).await?;
                Next::Command
            }
            _ => Box::pin(self.rarely(*tagged, arena)).await?,
        };
        self.context.end(&self.wire, begun);
        Ok(next)
    }

    /// Counts a stranger's commands.
    fn has_had_enough(&mut self) -> bool {
        if !matches!(self.state, State::NotAuthenticated) {
            return false;
        }
        self.commands += 1;
        let enough = self.commands > limits::COMMANDS_BEFORE_AUTH_MAX;
        if enough {
            self.wire.presence().ending(Ending::Failures);
            self.put("* BYE Too many commands before authentication\r\n");
        }
        enough
    }

    /// Counts what was no command.
    fn count_bad(&self) {
        self.context.meter.count(self.endpoint.protocol.place(), |tally| tally.bad_commands += 1);
    }

    fn bad(&mut self, error: &ParseError<'_>) {
        self.count_bad();
        let out = self.wire.output();
        out.extend_from_slice(error.tag.unwrap_or("*").as_bytes());
        out.push(b' ');
        out.extend_from_slice(error.kind.text().as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// RFC 3501's commands that are not there yet are no mistake of the client's.
    fn unknown(&mut self, tag: &str, name: &str) {
        self.count_bad();
        const LATER: [&str; 8] = ["CHECK", "COPY", "DELETE", "LSUB", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE", "UID COPY"];
        let later = LATER.iter().any(|known| known.eq_ignore_ascii_case(name));
        self.answer(tag, if later { "NO [CANNOT] This command is not there yet" } else { "BAD Unknown command" });
    }

    async fn rarely(&mut self, tagged: Tagged<'_>, arena: &Arena) -> io::Result<Next> {
        if let Err(text) = command::allowed(&tagged.command, &self.state) {
            self.answer(tagged.tag, text);
            return Ok(Next::Command);
        }
        match tagged.command {
            Command::Capability => self.capability(tagged.tag),
            Command::Logout => {
                self.wire.presence().ending(Ending::Logout);
                self.put("* BYE Until next time\r\n");
                self.answer(tagged.tag, "OK LOGOUT completed");
                return Ok(Next::Over);
            }
            Command::StartTls => return Ok(self.may_start_tls(tagged.tag)),
            Command::Login { user, password } => return self.login(tagged.tag, user, password).await,
            Command::Authenticate { mechanism, initial } => {
                return self.may_authenticate(tagged.tag, mechanism, initial).await;
            }
            Command::Select { mailbox } => self.select(tagged.tag, mailbox, false).await,
            Command::Examine { mailbox } => self.select(tagged.tag, mailbox, true).await,
            Command::Create { mailbox } => self.create(tagged.tag, mailbox).await,
            Command::List { reference, pattern } => self.list(tagged.tag, (reference, pattern), arena).await?,
            Command::Status { mailbox, items } => self.status(tagged.tag, mailbox, items).await,
            Command::Store { .. } => self.store(&tagged, arena).await?,
            Command::Search(search) => self.search(&tagged, search, arena).await?,
            Command::Expunge { uids } => self.expunge(tagged.tag, uids, arena).await,
            Command::Close => self.close(tagged.tag).await,
            Command::Unselect => self.unselect(tagged.tag),
            Command::Idle => return Ok(Next::Idle(tagged.tag.into())),
            // Not met: `allowed` refuses it before authentication, and after it the framer reports its message apart.
            Command::Append(_) => self.answer(tagged.tag, "BAD Log in first"),
            Command::Unknown(name) => self.unknown(tagged.tag, name),
            Command::Noop | Command::Fetch { .. } => unreachable!("answered by `execute`"),
        }
        Ok(Next::Command)
    }
}
