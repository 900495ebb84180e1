//! The IMAP dialogue: one connection from its greeting to its end.
//!
//! Invariants:
//! - A command lies in [`Input`] while it runs and everything that it parsed to lies in an arena; answers go to [`Wire`],
//!   which is flushed when no whole command is left, so that pipelined commands share one send.
//! - Untagged EXPUNGE is told only where [`command::tells_expunge`] allows (RFC 3501 §7.4.1); every answer is written from
//!   the session's view.
//! - NOOP and FETCH run without allocating, but for what [`fetch`] names. A command's future lies in its arena, what waits
//!   for more input within a command is boxed, so that a waiting session is small (`tests/alloc.rs`).
//! - After authentication the session goes on where its user lives ([`Next::Move`]), before its next command.
//!
//! RFC 3501, 3691 (UNSELECT), 7888 (LITERAL+); what else there is, the files of its commands name.

mod append;
mod authenticate;
mod capability;
mod command;
mod copy;
mod create;
mod criteria;
mod delete;
mod enable;
mod expunge;
mod fetch;
mod flags;
mod id;
mod idle;
mod list;
mod names;
mod namespace;
mod quota;
mod rename;
mod search;
mod section;
mod select;
mod special_use;
mod starttls;
mod status;
mod store;
mod subscribe;
mod tell;

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::login::Identity;
use super::visit::Visit;
use super::{Begun, Context, Endpoint, Farewell};
use crate::limits;
use crate::metrics::{Ending, Verb};
use crate::net::{Arena, Connection, Fill, Input, Wire};
use crate::proto::imap::parse::{ParseError, parse, tag};
use crate::proto::imap::{Command, Frame, Framer, Limits, Tagged};
use crate::store::{Account, AccountId, View};

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
    visit: Visit,
    framer: Framer,
    state: State,
    commands: u32,
    /// NOOPs of this turn that were answered and not timed yet.
    untimed: u32,
    /// How many keywords of the selected mailbox the client was told of.
    keywords_told: usize,
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

/// Who is logged in; the presence knows the name.
#[derive(Debug)]
struct User {
    id: AccountId,
    quota: Option<u64>,
    account: Option<Account>,
}

impl User {
    fn new(identity: &Identity) -> User {
        User { id: identity.account, quota: identity.quota, account: None }
    }
}

/// What follows a command.
enum Next {
    Command,
    StartTls,
    Append(AppendAt),
    Authenticate(Box<authenticate::Pending>),
    Idle(Box<str>),
    Move(Box<Identity>),
    Over,
}

/// A command that has come.
enum Met<'a> {
    /// It is through.
    Done(Next),
    /// It needs a future.
    Begun(&'a Tagged<'a>, Begun),
}

const NOOP_COMPLETED: &str = "OK NOOP completed";

/// A message literal that was announced.
struct AppendAt {
    head: usize,
    size: u64,
    synchronising: bool,
}

impl Session {
    /// A session on a connection that was just accepted (and did its handshake, on an implicit-TLS port).
    pub fn new(connection: Connection, context: Rc<Context>, endpoint: Arc<Endpoint>) -> Session {
        let Connection { input, wire } = connection;
        let visit = Visit::new(endpoint);
        let (framer, state) = (Framer::default(), State::NotAuthenticated);
        let dialogue = Dialogue { wire, context, visit, framer, state, commands: 0, untimed: 0, keywords_told: 0 };
        Session { input, dialogue }
    }

    /// Goes on with a session that another shard authenticated.
    pub fn resume(mut self, identity: Identity) -> Session {
        self.dialogue.state = State::Authenticated(User::new(&identity));
        self
    }

    /// Greets, unless the session is resumed, and answers commands to the end. `Some`: it goes on where its user lives.
    pub async fn run(&mut self) -> io::Result<Option<Identity>> {
        if matches!(self.dialogue.state, State::NotAuthenticated) {
            self.dialogue.greet();
        }
        loop {
            let limits = self.dialogue.limits();
            let next = match self.dialogue.framer.next(self.input.octets(), limits) {
                Frame::Partial => self.more().await?,
                Frame::Continue => {
                    self.dialogue.put("+ Go ahead\r\n");
                    Next::Command
                }
                Frame::Command { length } => self.command(length).await?,
                Frame::AppendLiteral { head, size, synchronising } => {
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
                    Next::Command
                }
            };
            let next = match next {
                Next::Command => continue,
                Next::Over | Next::Move(_) => next,
                Next::Idle(tag) => Box::pin(self.idle(tag)).await?,
                other => {
                    self.dialogue.time();
                    Box::pin(self.step(other)).await?
                }
            };
            match next {
                Next::Over => {
                    self.dialogue.time();
                    return Ok(None);
                }
                Next::Move(identity) => return Ok(Some(*identity)),
                _ => {}
            }
        }
    }

    /// The connection, when the dialogue has ended.
    pub fn into_connection(self) -> Connection {
        Connection { input: self.input, wire: self.dialogue.wire }
    }

    /// One whole command of that many octets.
    async fn command(&mut self, length: usize) -> io::Result<Next> {
        self.input.spare(&self.dialogue.wire);
        let arena = self.dialogue.context.arenas.take();
        let next = match self.dialogue.meet(&self.input.octets()[..length], &arena) {
            Met::Done(next) => next,
            Met::Begun(tagged, begun) => {
                self.dialogue.time();
                arena.hold(self.dialogue.execute(tagged, begun, &arena)).await?
            }
        };
        self.input.consume(length);
        // The clock is looked at now and then, not for each of many.
        if (1..limits::COMMANDS_A_LOOK).contains(&self.dialogue.untimed) && !self.dialogue.wire.is_full() {
            return Ok(next);
        }
        self.dialogue.time();
        if self.dialogue.wire.must_breathe() {
            arena.hold(self.dialogue.wire.breathe()).await?;
        }
        Ok(next)
    }

    /// What needs the input too.
    async fn step(&mut self, next: Next) -> io::Result<Next> {
        match next {
            Next::StartTls => Box::pin(self.start_tls()).await,
            Next::Append(at) => {
                let begun = self.dialogue.context.begin(&self.dialogue.wire, Verb::ImapAppend);
                let next = Box::pin(self.append(at)).await?;
                self.dialogue.context.end(&self.dialogue.wire, begun);
                Ok(next)
            }
            Next::Authenticate(pending) => {
                self.dialogue.wire.presence().goes_on(Verb::ImapAuthenticate);
                let next = Box::pin(self.authenticate(*pending)).await?;
                self.dialogue.wire.presence().ends();
                Ok(next)
            }
            Next::Command | Next::Idle(_) | Next::Over | Next::Move(_) => Ok(next),
        }
    }

    /// Waits for input, with what was answered so far on its way.
    async fn more(&mut self) -> io::Result<Next> {
        self.dialogue.time();
        self.dialogue.wire.flush().await?;
        let Dialogue { wire, context, visit, state, .. } = &mut self.dialogue;
        let stranger = matches!(state, State::NotAuthenticated);
        match visit.wait(context, (&mut self.input, wire), stranger).await? {
            Fill::More => return Ok(Next::Command),
            Fill::End => {}
            Fill::Timeout => self.dialogue.say_bye(),
        }
        Ok(Next::Over)
    }
}

impl Dialogue {
    fn greet(&mut self) {
        let (starttls, password) = (self.offers_starttls(), self.allows_password());
        let text = self.visit.greeting(&self.wire);
        let out = self.wire.output();
        out.extend_from_slice(b"* OK [CAPABILITY ");
        capability::write(out, false, starttls, password);
        out.extend_from_slice(b"] ");
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn allows_password(&self) -> bool {
        self.visit.allows_password(&self.wire)
    }

    fn limits(&self) -> &'static Limits {
        match self.state {
            State::NotAuthenticated => &Limits::BEFORE_AUTHENTICATION,
            _ => &Limits::AFTER_AUTHENTICATION,
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
        self.visit.count_bad(&self.context);
        self.answer(tag, text);
        if close {
            self.put("* BYE What follows can't be told apart from commands\r\n");
        }
    }

    /// One whole command, as far as nothing has to be waited for: a NOOP without news is answered here.
    fn meet<'a>(&mut self, octets: &'a [u8], arena: &'a Arena) -> Met<'a> {
        if self.has_had_enough() {
            return Met::Done(Next::Over);
        }
        let tagged = match parse(arena, octets) {
            Ok(tagged) => tagged,
            Err(error) => {
                self.bad(&error);
                return Met::Done(Next::Command);
            }
        };
        if command::needs_mailbox(&tagged) && self.has_lost_its_mailbox() {
            return Met::Done(Next::Over);
        }
        let begun = self.context.begin(&self.wire, command::verb(&tagged.command));
        if matches!(tagged.command, Command::Noop) && !self.has_news() {
            self.answer(tagged.tag, NOOP_COMPLETED);
            self.wire.presence().ends();
            self.untimed += 1;
            return Met::Done(Next::Command);
        }
        Met::Begun(arena.alloc(tagged), begun)
    }

    /// Times the NOOPs that were answered since the clock was looked at last: their answers go out together.
    fn time(&mut self) {
        let count = std::mem::take(&mut self.untimed);
        if count > 0 {
            self.context.meter.took_together(Verb::ImapNoop, self.wire.ring().now(), u64::from(count));
        }
    }

    /// The rest of it.
    async fn execute(&mut self, tagged: &Tagged<'_>, begun: Begun, arena: &Arena) -> io::Result<Next> {
        let next = match tagged.command {
            Command::Fetch { .. } => {
                self.fetch(tagged, arena).await?;
                Next::Command
            }
            // Held apart, so that FETCH need not make room for them.
            _ => arena.hold(self.rarely(tagged, arena)).await?,
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

    fn bad(&mut self, error: &ParseError<'_>) {
        self.visit.count_bad(&self.context);
        let out = self.wire.output();
        out.extend_from_slice(error.tag.unwrap_or("*").as_bytes());
        out.push(b' ');
        out.extend_from_slice(error.kind.text().as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Whether the selected mailbox was deleted, which ends the session (RFC 2180 §3.3): what the client sees there is gone,
    /// and it can't know. It is said here, before the next command that needs the mailbox and in IDLE.
    fn has_lost_its_mailbox(&mut self) -> bool {
        let lost = matches!(&self.state, State::Selected(_, view) if view.is_gone());
        if lost {
            self.put("* BYE The selected mailbox was deleted\r\n");
        }
        lost
    }

    /// Tells what may be told now, and answers a command: `OK … completed`, or what it was refused with.
    async fn conclude(&mut self, tagged: &Tagged<'_>, result: Result<(), &'static str>) -> io::Result<()> {
        self.tell_for(tagged).await?;
        if let Err(text) = result {
            self.answer(tagged.tag, text);
            return Ok(());
        }
        let out = self.wire.output();
        for piece in [tagged.tag, " OK ", command::name(&tagged.command), " completed\r\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
        Ok(())
    }

    async fn rarely(&mut self, tagged: &Tagged<'_>, arena: &Arena) -> io::Result<Next> {
        if let Err(text) = command::allowed(&tagged.command, &self.state) {
            self.answer(tagged.tag, text);
            return Ok(Next::Command);
        }
        match tagged.command {
            Command::Noop => {
                self.tell(true).await?;
                self.answer(tagged.tag, NOOP_COMPLETED);
            }
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
            Command::List(list) => self.list(tagged, list, arena).await?,
            Command::Lsub { reference, pattern } => self.lsub(tagged, (reference, pattern), arena).await?,
            Command::Store { .. } => self.store(tagged, arena).await?,
            Command::Search(search) => self.search(tagged, search, arena).await?,
            Command::Copy { .. } | Command::Move { .. } => self.copy(tagged, arena).await?,
            Command::Close => self.close(tagged.tag).await,
            Command::Unselect => self.unselect(tagged.tag),
            Command::Idle => return Ok(Next::Idle(tagged.tag.into())),
            // Not met: `allowed` refuses it before authentication, and after it the framer reports its message apart.
            Command::Append(_) => self.answer(tagged.tag, "BAD Log in first"),
            Command::Unknown(_) => {
                self.visit.count_bad(&self.context);
                self.answer(tagged.tag, "BAD Unknown command");
            }
            Command::Fetch { .. } => unreachable!("answered by `execute`"),
            _ => {
                let result = self.perform(tagged, arena).await;
                self.conclude(tagged, result).await?;
            }
        }
        Ok(Next::Command)
    }

    /// The commands whose tagged response is OK and their name, or what they are refused with.
    async fn perform(&mut self, tagged: &Tagged<'_>, arena: &Arena) -> Result<(), &'static str> {
        match tagged.command {
            Command::Create { mailbox, uses } => self.create(mailbox, uses).await,
            Command::Delete { mailbox } => self.delete(mailbox).await,
            Command::Rename { from, to } => self.rename(from, to).await,
            Command::Subscribe { mailbox } => self.subscribe(mailbox, true).await,
            Command::Unsubscribe { mailbox } => self.subscribe(mailbox, false).await,
            Command::Status { mailbox, items } => self.status(mailbox, items).await,
            Command::Expunge { uids } => self.expunge(uids, arena).await,
            Command::Namespace => {
                self.namespace();
                Ok(())
            }
            Command::Id(fields) => {
                self.id(fields);
                Ok(())
            }
            Command::Enable(names) => {
                self.enable(names);
                Ok(())
            }
            // A checkpoint of the mailbox (RFC 3501 §6.4.1): all that was acknowledged is on disk already.
            Command::Check => Ok(()),
            _ => unreachable!("answered by `rarely`"),
        }
    }
}
