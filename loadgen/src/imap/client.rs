//! The client side of one IMAP connection: set-up (greeting, STARTTLS, LOGIN, SELECT), then its work.
//!
//! Invariants: at most `depth` commands in flight; nothing is sent behind a synchronising literal until the server asked for it;
//! every response is parsed and checked against what was asked, and a contradiction is a [`Fault::Violation`]. NO and BAD to
//! the work's commands are counted, in set-up they end the run. Bytes behind the OK of STARTTLS are a violation (injection).

mod act;
mod capabilities;
mod gather;
mod work;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use self::act::{Act, Actor};
pub use self::act::{Action, Part};
use self::capabilities::Capabilities;
use self::work::Answered;
use super::command::{Builder, Pieces, tag};
use super::frame::Frame;
use super::mailbox::Mailbox;
use super::parse::{Code, Response, Status, StatusText, parse};
use crate::dialogue::{Dialogue, Fault, Turn, Wish, shown, violation};
use crate::ledger::Place;
use crate::message::Template;
use crate::names::Names;

/// What FETCH of all messages asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// `FLAGS`
    Flags,
    /// `(UID FLAGS RFC822.SIZE)`
    Columns,
    /// `(RFC822.SIZE ENVELOPE)`
    Envelope,
    /// `BODY.PEEK[]`
    Body,
}

/// What the connections do once they are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// NOOP in the selected mailbox.
    Noop,
    /// FETCH of one message after the other: the whole body, the flags, or both in turn.
    Fetch {
        /// `(UID BODY.PEEK[])`
        body: bool,
        /// `(UID FLAGS)`
        flags: bool,
    },
    /// FETCH of all messages in one command.
    FetchAll(What),
    /// STORE of a flag, which the next one takes away again: of all messages in one command, or of one after the other.
    Store {
        /// True: `1:*`.
        all: bool,
    },
    /// SEARCH by the criterion of the settings.
    Search,
    /// APPEND of a generated message.
    Append,
    /// A connection an operation: LOGIN, SELECT, LOGOUT.
    Session,
    /// A connection an operation: TLS, LOGOUT.
    Handshake,
    /// Nothing: logged in, the mailbox selected, and in IDLE where `idle`.
    Hold {
        /// True: IDLE.
        idle: bool,
    },
    /// What the scenario's part says.
    Part,
    /// The dialogue of NOOP with a raw echo: no greeting, no login, tags not compared.
    Echo,
}

impl Work {
    /// False where each operation has a connection of its own.
    fn is_standing(self) -> bool {
        !matches!(self, Work::Session | Work::Handshake)
    }
}

/// What all connections of a run share.
#[derive(Debug)]
pub struct Settings {
    /// What to do.
    pub work: Work,
    /// Commands in flight.
    pub depth: usize,
    /// The accounts: connection `i` logs in as the one at `i`.
    pub users: Names,
    /// The password of all of them.
    pub password: String,
    /// Connections of the run.
    pub connections: u32,
    /// The mailbox to select or append to.
    pub mailbox: String,
    /// What SEARCH looks for, as it stands in the command.
    pub criterion: String,
    /// How many messages SEARCH must find, where that is known.
    pub found: Option<u32>,
    /// True: STARTTLS before LOGIN.
    pub starttls: bool,
    /// What users of a scenario do, with [`Work::Part`].
    pub part: Option<Part>,
    /// The messages of APPEND.
    pub template: RefCell<Template>,
}

impl Settings {
    /// Those of the dialogue with a raw echo.
    pub fn echo(depth: usize, connections: u32) -> Settings {
        Settings {
            work: Work::Echo,
            depth,
            users: Names::one(""),
            password: String::new(),
            connections,
            mailbox: String::new(),
            criterion: String::new(),
            found: None,
            starttls: false,
            part: None,
            template: RefCell::new(Template::new(0, "", "", 0)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Capability,
    StartTls,
    Login,
    Select,
    Idle,
    Noop,
    Fetch { number: u32, body: bool, answered: bool },
    FetchAll(What),
    Store { number: u32, adds: bool, answered: bool },
    StoreAll { adds: bool },
    Search { found: Option<u32> },
    Append,
    Logout,
    Create,
    Act(Act),
}

impl Kind {
    /// The operation's name in the report.
    fn name(self) -> &'static str {
        match self {
            Kind::Fetch { body: true, .. } => "fetch body",
            Kind::Fetch { body: false, .. } => "fetch flags",
            Kind::FetchAll(What::Flags) => "fetch all flags",
            Kind::FetchAll(What::Columns) => "fetch all columns",
            Kind::FetchAll(What::Envelope) => "fetch all envelopes",
            Kind::FetchAll(What::Body) => "fetch all bodies",
            Kind::Store { .. } => "store",
            Kind::StoreAll { .. } => "store all",
            Kind::Search { .. } => "search",
            Kind::Append => "append",
            Kind::Noop => "noop",
            Kind::Act(act) => act.name(),
            Kind::Capability
            | Kind::StartTls
            | Kind::Login
            | Kind::Select
            | Kind::Idle
            | Kind::Logout
            | Kind::Create => "session",
        }
    }

    /// RFC 3501 §7.4.1: no EXPUNGE while only these are in progress.
    fn forbids_expunge(self) -> bool {
        use Kind::{Fetch, FetchAll, Search, Store, StoreAll};
        match self {
            Kind::Act(act) => act.forbids_expunge(),
            kind => matches!(kind, Fetch { .. } | FetchAll(_) | Store { .. } | StoreAll { .. } | Search { .. }),
        }
    }
}

#[derive(Debug)]
struct Pending {
    tag: [u8; 7],
    kind: Kind,
    /// When it was due, and when it was sent.
    times: (Instant, Instant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    SettingUp,
    Ready,
    Over,
}

/// One connection's dialogue.
#[derive(Debug)]
pub struct Client {
    settings: Rc<Settings>,
    /// Tells this connection's messages and starting point from the others'.
    index: u32,
    stage: Stage,
    frame: Frame,
    flight: VecDeque<Pending>,
    held: Pieces,
    capabilities: Capabilities,
    secured: bool,
    authenticated: bool,
    idling: bool,
    mailbox: Option<Mailbox>,
    farewell: Option<String>,
    /// When the connection was due, and when it began to open.
    opened: (Instant, Instant),
    /// When the operation that is being sent was due; nothing in set-up.
    due: Option<Instant>,
    next_tag: u32,
    issued: u64,
    appended: Option<(u32, u32)>,
    /// The messages that a command about all of them was answered for.
    answered: Answered,
    gathering: bool,
    /// Where COPYUID said that a moved message is now, before the command's end.
    copied: Option<Place>,
    actor: Option<Box<Actor>>,
}

impl Client {
    /// The dialogue of connection `index`.
    pub fn new(settings: Rc<Settings>, index: u32, now: Instant) -> Client {
        let actor = settings.part.as_ref().map(|part| Box::new(Actor::new(part, index)));
        Client {
            settings,
            index,
            stage: Stage::Greeting,
            frame: Frame::default(),
            flight: VecDeque::new(),
            held: Pieces::new(),
            capabilities: Capabilities::default(),
            secured: false,
            authenticated: false,
            idling: false,
            mailbox: None,
            farewell: None,
            opened: (now, now),
            due: None,
            next_tag: 0,
            issued: 0,
            appended: None,
            answered: Answered::default(),
            gathering: false,
            copied: None,
            actor,
        }
    }

    fn user(&self) -> String {
        self.settings.users.of(self.account())
    }

    /// Which of the accounts the session is for.
    fn account(&self) -> u64 {
        self.actor.as_ref().map_or(u64::from(self.index), |actor| actor.account)
    }

    fn is_echo(&self) -> bool {
        self.settings.work == Work::Echo
    }

    fn tag(&mut self) -> [u8; 7] {
        self.next_tag = self.next_tag.wrapping_add(1);
        tag(self.next_tag)
    }

    fn sent(&mut self, tag: [u8; 7], kind: Kind, turn: &Turn<'_>) {
        let due = self.due.unwrap_or(turn.now);
        self.flight.push_back(Pending { tag, kind, times: (due, turn.now) });
    }

    fn send_simple(&mut self, kind: Kind, word: &str, turn: &mut Turn<'_>) {
        let tag = self.tag();
        self.send_pieces(kind, tag, Builder::new(&tag).word(word).end(), turn);
    }

    fn send_pieces(&mut self, kind: Kind, tag: [u8; 7], mut pieces: Pieces, turn: &mut Turn<'_>) {
        if let Some(first) = pieces.pop_front() {
            self.send_piece(kind, &first, turn);
        }
        self.held = pieces;
        self.sent(tag, kind, turn);
    }

    fn send_piece(&self, kind: Kind, piece: &[u8], turn: &mut Turn<'_>) {
        if kind == Kind::Login { turn.send_secret(piece, "(LOGIN, not shown)") } else { turn.send(piece) }
    }

    // Set-up.

    fn set_up(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.stage = Stage::SettingUp;
        if self.settings.starttls && !self.secured {
            if !self.capabilities.known {
                self.send_simple(Kind::Capability, "CAPABILITY", turn);
            } else if self.capabilities.starttls {
                self.send_simple(Kind::StartTls, "STARTTLS", turn);
            } else {
                return Err(Fault::Fatal("the server does not announce STARTTLS".into()));
            }
            return Ok(());
        }
        if self.settings.work == Work::Handshake {
            self.send_simple(Kind::Logout, "LOGOUT", turn);
            return Ok(());
        }
        if !self.authenticated {
            if self.capabilities.login_disabled {
                let text =
                    "the server announces LOGINDISABLED on this connection: use --tls starttls or --tls implicit";
                return Err(Fault::Fatal(text.into()));
            }
            let tag = self.tag();
            let login = Builder::new(&tag).word("LOGIN").string(&self.user()).string(&self.settings.password);
            self.send_pieces(Kind::Login, tag, login.end(), turn);
            return Ok(());
        }
        let needs_capabilities = matches!(self.settings.work, Work::Append | Work::Hold { idle: true } | Work::Part);
        if needs_capabilities && !self.capabilities.known {
            self.send_simple(Kind::Capability, "CAPABILITY", turn);
            return Ok(());
        }
        if let (Some(actor), Some(part)) = (&mut self.actor, &self.settings.part)
            && let Some(name) = part.creates.get(actor.created)
        {
            actor.created += 1;
            let name = name.clone();
            let tag = self.tag();
            self.send_pieces(Kind::Create, tag, Builder::new(&tag).word("CREATE").string(&name).end(), turn);
            return Ok(());
        }
        if self.mailbox.is_none() && self.settings.work != Work::Append {
            self.select("", turn);
            return Ok(());
        }
        self.set_up_work(turn)
    }

    fn set_up_work(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match self.settings.work {
            Work::Session => {
                self.send_simple(Kind::Logout, "LOGOUT", turn);
                return Ok(());
            }
            Work::Fetch { .. } | Work::FetchAll(_) | Work::Store { .. }
                if self.mailbox.as_ref().is_none_or(|mailbox| mailbox.exists() == 0) =>
            {
                let text =
                    format!("{} of {} is empty: fill it first, with --work append", self.settings.mailbox, self.user());
                return Err(Fault::Fatal(text));
            }
            Work::Hold { idle: true } if !self.idling => {
                if !self.capabilities.idle {
                    return Err(Fault::Fatal("the server does not announce IDLE".into()));
                }
                self.send_simple(Kind::Idle, "IDLE", turn);
                return Ok(());
            }
            _ => {}
        }
        self.stage = Stage::Ready;
        if self.actor.is_some() {
            turn.tally.done("login", self.opened, turn.now);
        }
        Ok(())
    }

    // Responses.

    fn response(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<(), Fault> {
        let response = parse(bytes).map_err(|wrong| {
            let around = &bytes[wrong.at.saturating_sub(20)..bytes.len().min(wrong.at + 20)];
            let around = String::from_utf8_lossy(around).escape_debug().to_string();
            Fault::Violation(format!(
                "expected {} at octet {} of a response, near \"{around}\"",
                wrong.expected, wrong.at
            ))
        })?;
        if self.stage == Stage::Greeting {
            return self.greeting(&response, turn);
        }
        match response {
            Response::Tagged(tag, status) => self.tagged(tag, &status, turn),
            Response::Continuation => self.continuation(turn),
            Response::Status(status) => self.status(&status),
            Response::Capability(names) => {
                self.capabilities = Capabilities::told(&names);
                Ok(())
            }
            Response::Exists(count) => {
                if self.idling && self.actor.is_some() {
                    turn.wish = Wish::Awake;
                }
                self.in_mailbox("EXISTS", |mailbox| mailbox.told_exists(count))
            }
            Response::Recent(_) => self.in_mailbox("RECENT", |_| Ok(())),
            Response::Flags(_) => self.in_mailbox("FLAGS", |mailbox| {
                mailbox.flags();
                Ok(())
            }),
            Response::Expunge(number) => {
                if self.flight.iter().all(|pending| pending.kind.forbids_expunge()) {
                    let when = if self.flight.is_empty() {
                        "with no command in progress"
                    } else {
                        "during FETCH, STORE or SEARCH"
                    };
                    return violation(format!("EXPUNGE {number} {when} (RFC 3501 §7.4.1)"));
                }
                self.in_mailbox("EXPUNGE", |mailbox| mailbox.told_expunge(number))
            }
            Response::Vanished(_) => violation("VANISHED without ENABLE QRESYNC"),
            Response::Fetch(number, items) => self.fetched(number, &items, turn),
            Response::Search { found, greatest } => self.searched(found, greatest),
            Response::Other(_) => Ok(()),
        }
    }

    fn in_mailbox(&mut self, what: &str, told: impl FnOnce(&mut Mailbox) -> Result<(), String>) -> Result<(), Fault> {
        match &mut self.mailbox {
            Some(mailbox) => told(mailbox).map_err(Fault::Violation),
            None => violation(format!("{what} while no mailbox is selected")),
        }
    }

    fn greeting(&mut self, response: &Response<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Response::Status(status) = response else {
            return violation("the greeting is not * OK, * PREAUTH or * BYE");
        };
        match status.status {
            Status::Ok => {}
            Status::Preauth => self.authenticated = true,
            Status::Bye => {
                self.farewell = Some(format!("BYE {}", shown(status.text)));
                self.stage = Stage::Over;
                return Ok(());
            }
            Status::No | Status::Bad => return violation("the greeting is not * OK, * PREAUTH or * BYE"),
        }
        if let Some(Code::Capability(names)) = &status.code {
            self.capabilities = Capabilities::told(names);
        }
        self.set_up(turn)
    }

    fn status(&mut self, status: &StatusText<'_>) -> Result<(), Fault> {
        match (status.status, &status.code) {
            (Status::Preauth, _) => violation("PREAUTH after the greeting"),
            (Status::Bye, _) => {
                self.farewell = Some(format!("BYE {}", shown(status.text)));
                Ok(())
            }
            (_, Some(Code::Capability(names))) => {
                self.capabilities = Capabilities::told(names);
                Ok(())
            }
            (_, Some(Code::CopyUid { validity, uid })) => {
                self.copied = Some(Place { validity: *validity, uid: *uid });
                Ok(())
            }
            (_, Some(code @ (Code::UidValidity(_) | Code::UidNext(_) | Code::HighestModSeq(_)))) => {
                self.in_mailbox("a mailbox's status", |mailbox| mailbox.code(code))
            }
            _ => Ok(()),
        }
    }

    fn continuation(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Some(kind) = self.flight.back().map(|pending| pending.kind) else {
            return violation("a continuation request while no command is in progress");
        };
        if let Some(piece) = self.held.pop_front() {
            self.send_piece(kind, &piece, turn);
            return Ok(());
        }
        if kind == Kind::Act(Act::Idle) && !self.idling {
            self.idles(turn);
            return Ok(());
        }
        if kind == Kind::Idle && !self.idling {
            self.idling = true;
            return self.set_up_work(turn);
        }
        violation("a continuation request that nothing asked for")
    }

    fn tagged(&mut self, tag: &[u8], status: &StatusText<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let found = if self.is_echo() {
            0
        } else {
            self.flight.iter().position(|pending| pending.tag == tag).unwrap_or(usize::MAX)
        };
        let Some(pending) = self.flight.remove(found) else {
            return violation(format!("a reply tagged {}, but no such command is in progress", shown(tag)));
        };
        turn.tally.reordered += u64::from(found != 0);
        if found == self.flight.len() {
            self.held.clear(); // its literal was refused
        }
        if let Some(Code::Capability(names)) = &status.code {
            self.capabilities = Capabilities::told(names);
        }
        match pending.kind {
            Kind::Act(act) => self.acted(act, &pending, status, turn),
            // It may be there already.
            Kind::Create => self.set_up(turn),
            Kind::Noop | Kind::Append => self.worked(&pending, status, turn),
            kind if kind.forbids_expunge() => self.worked(&pending, status, turn),
            _ if status.status == Status::Ok => self.set_up_succeeded(&pending, turn),
            kind => self.set_up_failed(kind, status, turn),
        }
    }

    fn set_up_succeeded(&mut self, pending: &Pending, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match pending.kind {
            Kind::Capability if !self.capabilities.known => {
                return violation("CAPABILITY was answered OK without its data");
            }
            Kind::StartTls => {
                turn.wish = Wish::StartTls;
                return Ok(());
            }
            Kind::Login => self.authenticated = true,
            Kind::Select => self.mailbox.as_ref().map_or(Ok(()), Mailbox::selected).map_err(Fault::Violation)?,
            Kind::Idle => return violation("IDLE ended before DONE"),
            Kind::Logout => {
                if self.farewell.is_none() {
                    return violation("LOGOUT was answered OK without BYE (RFC 9051 §6.1.3)");
                }
                let (name, times) =
                    if self.actor.is_some() { ("logout", pending.times) } else { ("session", self.opened) };
                turn.tally.done(name, times, turn.now);
                self.stage = Stage::Over;
                turn.wish = Wish::Over;
                return Ok(());
            }
            _ => {}
        }
        self.set_up(turn)
    }

    fn set_up_failed(&mut self, kind: Kind, status: &StatusText<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let what = match kind {
            Kind::Login => format!("LOGIN as {}", self.user()),
            Kind::Select => format!("SELECT {}", self.settings.mailbox),
            Kind::StartTls => "STARTTLS".into(),
            other => format!("{other:?}").to_uppercase(),
        };
        if !self.settings.work.is_standing() || !turn.may_end {
            turn.tally.error(&format!("{} to {}", kind_of(status), what.split(' ').next().unwrap_or_default()));
            self.stage = Stage::Over;
            turn.wish = Wish::Close;
            return Ok(());
        }
        Err(Fault::Fatal(format!("{what} was refused: {} {}", kind_of(status), shown(status.text))))
    }
}

/// `NO [OVERQUOTA]`, `NO`, `BAD`.
fn kind_of(status: &StatusText<'_>) -> String {
    let word = if status.status == Status::No { "NO" } else { "BAD" };
    match status.code {
        Some(Code::Other(name)) => format!("{word} [{}]", shown(name)),
        _ => word.to_owned(),
    }
}

impl Dialogue for Client {
    fn is_standing(&self) -> bool {
        self.settings.work.is_standing()
    }

    fn opening(&mut self, due: Instant, now: Instant) -> Duration {
        let fresh = Client::new(self.settings.clone(), self.index, now);
        let mut actor = self.actor.take();
        if let (Some(actor), Some(part)) = (&mut actor, &self.settings.part) {
            actor.begin_again(part);
        }
        *self = Client { issued: self.issued, appended: self.appended, opened: (due, now), actor, ..fresh };
        Duration::ZERO
    }

    fn opened(&mut self, _: &mut Turn<'_>) -> Result<(), Fault> {
        if self.is_echo() {
            self.stage = Stage::Ready;
        }
        Ok(())
    }

    fn secured(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        // RFC 9051 §6.2.1: what was announced before TLS is forgotten.
        self.secured = true;
        self.capabilities = Capabilities::default();
        self.set_up(turn)
    }

    fn receive(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        if self.gathers(input) {
            return Ok(0);
        }
        let mut at = 0;
        while let Some(bytes) = self.frame.whole(&input[at..]).map_err(|what| {
            turn.transcript.note(b'S', &input[at..]);
            Fault::Violation(what)
        })? {
            let response = &input[at..at + bytes];
            at += bytes;
            turn.transcript.note(b'S', response);
            self.response(response, turn)?;
            match turn.wish {
                Wish::Nothing | Wish::Awake => {}
                Wish::StartTls if at < input.len() => {
                    return violation("bytes behind the OK of STARTTLS, before the handshake");
                }
                Wish::StartTls | Wish::Close | Wish::Over => return Ok(at),
            }
        }
        Ok(at)
    }

    fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    fn is_free(&self) -> bool {
        self.stage == Stage::Ready
            && self.held.is_empty()
            && self.flight.len() < self.settings.depth
            && !matches!(self.settings.work, Work::Hold { .. })
    }

    fn issue(&mut self, due: Instant, turn: &mut Turn<'_>) -> Result<Duration, Fault> {
        self.due = Some(due);
        let settings = self.settings.clone();
        let think = match &settings.part {
            Some(part) => self.act(part, turn),
            None => {
                self.send_work(turn);
                Ok(Duration::ZERO)
            }
        };
        self.due = None;
        think
    }

    fn hurry(&mut self, turn: &mut Turn<'_>) {
        self.end_idle(turn);
    }

    fn waiting_since(&self) -> Option<Instant> {
        match self.stage {
            // A server that said BYE and does not close must not hold the run up.
            Stage::Greeting | Stage::Over => Some(self.opened.1),
            // It waits for news, and not for an answer.
            _ if self.idling => None,
            _ => self.flight.front().map(|pending| pending.times.1),
        }
    }

    fn farewell(&self) -> Option<&str> {
        self.farewell.as_deref()
    }
}
