//! What a scenario's user does on an IMAP connection, an action at a time, and what each must bring.
//!
//! Invariants: an action always sends a command, so that a walk goes on (what needs a message and finds none is a NOOP); changes
//! to messages are made by UID, and each is in the ledger before it is sent. Who owns messages changes those alone whose UID
//! falls to him, so that what he knows of them is exact whatever the other sessions of the mailbox do. Others note their changes
//! as begun and no more.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::{Client, Kind, Pending, kind_of};
use crate::dialogue::{Fault, Turn, violation};
use crate::imap::command::Builder;
use crate::imap::fetch::FetchItem;
use crate::imap::mailbox::Mailbox;
use crate::imap::parse::{Code, Status, StatusText};
use crate::ledger::{Change, Ledger, Place};
use crate::message::{Assortment, identity};
use crate::random::Zipf;
use crate::script::{Script, Walk};

/// One thing that a user does. Names are those of a scenario's `do`.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// NOOP.
    Noop,
    /// SELECT, once more.
    Select,
    /// LIST of all mailboxes.
    List,
    /// STATUS of this mailbox.
    Status(Rc<str>),
    /// What is new: flags, size and some header fields of the messages that this connection does not know.
    Sync,
    /// The flags of all messages.
    Flags,
    /// The newest 25 messages as a list shows them.
    Headers,
    /// The first 256 octets of a message's text.
    Preview,
    /// A whole message, compared by its checksum.
    Body,
    /// A message becomes `\Seen`.
    Seen,
    /// A message becomes `\Flagged`, or no longer is.
    Flag,
    /// SEARCH by this criterion.
    Search(Rc<str>),
    /// APPEND of a new message to this mailbox.
    Append(Rc<str>),
    /// COPY of a message to this mailbox.
    Copy(Rc<str>),
    /// MOVE of a message to this mailbox.
    Move(Rc<str>),
    /// A message is marked and expunged.
    Delete,
    /// IDLE until the next action is due, or there is news.
    Idle,
    /// LOGOUT.
    Logout,
}

/// What the users of a group share.
#[derive(Debug)]
pub struct Part {
    /// What they do.
    pub script: Rc<Script<Action>>,
    /// Mailboxes that are made at login, where they are missing.
    pub creates: Vec<String>,
    /// Which accounts are used how often; `None`: connection `i` has the one at `i`.
    pub accounts: Option<Zipf>,
    /// What they send.
    pub mail: RefCell<Assortment>,
    /// Where promises are written down.
    pub ledger: Option<Rc<RefCell<Ledger>>>,
    /// True: each session owns the messages whose UID, divided by the group's sessions of that account, leaves its number
    /// among them.
    pub owns: bool,
    /// False: an IDLE ends as soon as it has begun, since the next action is always due.
    pub waits: bool,
    /// The seed of their chance.
    pub seed: u64,
}

/// Where one user stands.
#[derive(Debug)]
pub(super) struct Actor {
    walk: Walk<Action>,
    /// Which of the accounts it is.
    pub(super) account: u64,
    /// The change that is under way.
    change: Option<u64>,
    /// Mailboxes made so far, of [`Part::creates`].
    pub(super) created: usize,
    /// True: IDLE is to end as soon as it has begun.
    hurried: bool,
    /// UIDs up to this one were synchronised.
    synced: u32,
}

/// A command of an action, in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Only its OK matters.
    Plain(&'static str),
    /// FETCH by UID of what is new.
    Sync,
    /// FETCH of a range, answered for each message of it.
    Range(&'static str),
    /// A change of a message, or a new one.
    Change(&'static str),
    /// The first half of a deletion.
    Mark,
    /// IDLE.
    Idle,
}

impl Act {
    pub(super) fn name(self) -> &'static str {
        match self {
            Act::Plain(name) | Act::Range(name) | Act::Change(name) => name,
            Act::Sync => "sync",
            Act::Mark => "delete",
            Act::Idle => "done",
        }
    }

    pub(super) fn forbids_expunge(self) -> bool {
        matches!(self, Act::Range(_))
    }
}

const LISTED: u32 = 25;
const FIELDS: &str = "BODY.PEEK[HEADER.FIELDS (DATE FROM SUBJECT MESSAGE-ID)]";

/// Whether FETCH data has what the range of this name asks for.
fn brings(items: &[FetchItem<'_>], name: &str) -> bool {
    items.iter().any(|item| match item {
        FetchItem::Flags(_) => name == "flags",
        FetchItem::Envelope => name == "headers",
        FetchItem::Section { section: b"TEXT", .. } => name == "preview",
        _ => false,
    })
}

impl Actor {
    pub(super) fn new(part: &Part, index: u32) -> Actor {
        let walk = Walk::new(part.script.clone(), part.seed ^ (u64::from(index) << 20));
        Actor { walk, account: index.into(), change: None, created: 0, hurried: false, synced: 0 }
    }

    /// A new session: the user begins again, perhaps another one.
    pub(super) fn begin_again(&mut self, part: &Part) {
        self.walk.begin_again();
        (self.change, self.created, self.hurried, self.synced) = (None, 0, false, 0);
        if let Some(zipf) = &part.accounts {
            self.account = zipf.draw(&mut self.walk.random).into();
        }
    }
}

impl Client {
    fn place(&self, uid: u32) -> Place {
        Place { validity: self.mailbox.as_ref().map_or(0, Mailbox::validity), uid }
    }

    /// Sessions of one account share its messages; those of another account have UIDs of their own.
    fn owns(&self, part: &Part, uid: u32) -> bool {
        let accounts = self.settings.users.count().min(self.settings.connections);
        part.owns && uid % self.settings.connections.div_ceil(accounts) == self.index / accounts
    }

    /// Sends the next action's command, and returns the time until the action after it.
    pub(super) fn act(&mut self, part: &Part, turn: &mut Turn<'_>) -> Result<Duration, Fault> {
        let Some(actor) = &mut self.actor else { return Ok(Duration::ZERO) };
        let (action, think) = actor.walk.step();
        let exists = self.mailbox.as_ref().map_or(0, Mailbox::exists);
        match action {
            Action::Noop => self.issue_noop(turn),
            Action::Select => self.select("select", turn),
            Action::List => self.plain("list", "LIST \"\" \"*\"", turn),
            Action::Status(name) => {
                let tag = self.tag();
                let status = Builder::new(&tag).word("STATUS").string(&name).word("(MESSAGES UIDNEXT UNSEEN)");
                self.send_pieces(Kind::Act(Act::Plain("status")), tag, status.end(), turn);
            }
            Action::Sync => self.sync(turn),
            Action::Flags if exists > 0 => self.range("flags", (1, exists), "(UID FLAGS)", turn),
            Action::Headers if exists > 0 => self.headers(exists, turn),
            Action::Preview | Action::Body if exists > 0 => self.read_one(&action, exists, turn),
            Action::Search(criterion) => {
                self.gathering = true;
                self.issue_line(Kind::Search { found: None }, &format!("SEARCH {criterion}"), turn);
            }
            Action::Append(name) => self.append_new(part, &name, turn)?,
            Action::Idle if self.capabilities.idle => {
                actor.hurried = !part.waits;
                self.issue_line(Kind::Act(Act::Idle), "IDLE", turn);
            }
            Action::Logout => self.send_simple(Kind::Logout, "LOGOUT", turn),
            Action::Seen | Action::Flag | Action::Copy(_) | Action::Move(_) | Action::Delete => {
                match self.own_message(part) {
                    Some(uid) => self.change(part, &action, uid, turn)?,
                    None => self.sync(turn),
                }
            }
            // Nothing there to look at, or no IDLE.
            _ => self.issue_noop(turn),
        }
        Ok(think)
    }

    fn plain(&mut self, name: &'static str, line: &str, turn: &mut Turn<'_>) {
        self.issue_line(Kind::Act(Act::Plain(name)), line, turn);
    }

    pub(super) fn select(&mut self, name: &'static str, turn: &mut Turn<'_>) {
        let tag = self.tag();
        let select = Builder::new(&tag).word("SELECT").string(&self.settings.mailbox);
        let select = if self.capabilities.condstore { select.word("(CONDSTORE)") } else { select };
        let before = self.mailbox.take();
        self.mailbox = Some(before.map_or_else(Mailbox::default, |before| before.selected_again()));
        let kind = if name == "select" { Kind::Act(Act::Plain(name)) } else { Kind::Select };
        self.send_pieces(kind, tag, select.end(), turn);
    }

    fn sync(&mut self, turn: &mut Turn<'_>) {
        let from = self.actor.as_ref().map_or(0, |actor| actor.synced) + 1;
        self.issue_line(Kind::Act(Act::Sync), &format!("UID FETCH {from}:* (UID FLAGS RFC822.SIZE {FIELDS})"), turn);
    }

    fn headers(&mut self, exists: u32, turn: &mut Turn<'_>) {
        let first = exists.saturating_sub(LISTED - 1).max(1);
        self.range("headers", (first, exists), "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)", turn);
    }

    fn range(&mut self, name: &'static str, (first, last): (u32, u32), items: &str, turn: &mut Turn<'_>) {
        self.answered.ask_range(first, last);
        self.gathering = true;
        self.issue_line(Kind::Act(Act::Range(name)), &format!("FETCH {first}:{last} {items}"), turn);
    }

    /// New mail is read more often than old.
    fn read_one(&mut self, action: &Action, exists: u32, turn: &mut Turn<'_>) {
        let Some(actor) = &mut self.actor else { return };
        let back = actor.walk.random.exponential(Duration::from_secs(10)).as_secs() as u32;
        let number = exists - back % exists;
        if *action == Action::Body {
            let kind = Kind::Fetch { number, body: true, answered: false };
            return self.issue_line(kind, &format!("FETCH {number} (UID BODY.PEEK[])"), turn);
        }
        self.range("preview", (number, number), "(UID BODY.PEEK[TEXT]<0.256>)", turn);
    }

    /// A message whose UID is known, and that may be changed; with a ledger one whose identity is known, too.
    fn own_message(&mut self, part: &Part) -> Option<u32> {
        let exists = self.mailbox.as_ref().map_or(0, Mailbox::exists);
        if exists == 0 {
            return None;
        }
        let first = self.actor.as_mut().map_or(0, |actor| actor.walk.random.below(exists.into()) as u32);
        // Some are looked at, not all: a mailbox may be large, and none of it ours.
        for number in (first..exists).chain(0..first).take(64) {
            let mailbox = self.mailbox.as_ref()?;
            let Some(uid) = mailbox.uid(number + 1) else { continue };
            let known = match &part.ledger {
                Some(ledger) => ledger.borrow().id_at(&self.user(), &self.settings.mailbox, self.place(uid)).is_some(),
                None => true,
            };
            if known && (!part.owns || self.owns(part, uid)) {
                return Some(uid);
            }
        }
        None
    }

    fn begin(&mut self, part: &Part, change: Change) -> Result<(), Fault> {
        let (Some(ledger), user) = (&part.ledger, self.user()) else { return Ok(()) };
        let op = ledger.borrow_mut().begin(&user, &self.settings.mailbox, change)?;
        if let Some(actor) = &mut self.actor {
            actor.change = Some(op);
        }
        Ok(())
    }

    fn change(&mut self, part: &Part, action: &Action, uid: u32, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let at = self.place(uid);
        self.issued += 1;
        let tag = self.tag();
        let command = Builder::new(&tag).word("UID");
        let (name, change, command) = match action {
            Action::Seen | Action::Flag => {
                let seen = *action == Action::Seen;
                let (name, flag) = if seen { ("seen", "\\Seen") } else { ("flag", "\\Flagged") };
                // \Flagged comes and goes.
                let set = seen || self.issued.is_multiple_of(2);
                let sign = if set { '+' } else { '-' };
                let command = command.word("STORE").word(&uid.to_string()).word(&format!("{sign}FLAGS ({flag})"));
                (name, Change::Flag { at, flag: flag.into(), set }, command)
            }
            Action::Copy(to) | Action::Move(to) => {
                let moves = matches!(action, Action::Move(_)) && self.capabilities.moves;
                let (name, word) = if moves { ("move", "MOVE") } else { ("copy", "COPY") };
                let command = command.word(word).word(&uid.to_string()).string(to);
                (name, Change::Copy { from: at, to: to.to_string(), moves }, command)
            }
            _ => {
                if !self.capabilities.uidplus {
                    return Err(Fault::Fatal(
                        "a scenario that deletes needs UIDPLUS (RFC 4315), which the server does not announce".into(),
                    ));
                }
                self.begin(part, Change::Expunge { at })?;
                self.issue_line(Kind::Act(Act::Mark), &format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"), turn);
                self.issue_line(Kind::Act(Act::Change("delete")), &format!("UID EXPUNGE {uid}"), turn);
                return Ok(());
            }
        };
        self.begin(part, change)?;
        self.send_pieces(Kind::Act(Act::Change(name)), tag, command.end(), turn);
        Ok(())
    }

    fn append_new(&mut self, part: &Part, to: &str, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.issued += 1;
        let mut mail = part.mail.borrow_mut();
        let size = self.actor.as_mut().map_or(0, |actor| mail.choose(&mut actor.walk.random));
        let number = mail.number();
        let template = mail.of(size);
        if let Some(ledger) = &part.ledger {
            let op = ledger.borrow_mut().begin(&self.user(), to, Change::Append { id: template.id(number) })?;
            if let Some(actor) = &mut self.actor {
                actor.change = Some(op);
            }
        }
        self.send_append((to, "(\\Seen)"), (Kind::Act(Act::Change("append")), template.stamp(number)), turn);
        Ok(())
    }

    /// The end of an action's command.
    pub(super) fn acted(
        &mut self,
        act: Act,
        pending: &Pending,
        status: &StatusText<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let settings = self.settings.clone();
        let Some(part) = &settings.part else { return Ok(()) };
        let change = match act {
            Act::Change(_) => self.actor.as_mut().and_then(|actor| actor.change.take()),
            _ => None,
        };
        if status.status != Status::Ok && act == Act::Mark {
            // What is not marked is not expunged: whatever comes of the second half, nothing is known.
            self.left(part)?;
        }
        if status.status != Status::Ok {
            if let (Some(op), Some(ledger)) = (change, &part.ledger) {
                ledger.borrow_mut().refused(op)?;
            }
            turn.tally.error(&format!("{} to {}", kind_of(status), act.name()));
            return Ok(());
        }
        let place = match status.code {
            Some(Code::AppendUid { validity, uid } | Code::CopyUid { validity, uid }) => Some(Place { validity, uid }),
            _ => self.copied.take(),
        };
        if let (Some(op), Some(ledger)) = (change, &part.ledger) {
            // Others may have been at the message of one who does not own it.
            let alone = part.owns || act == Act::Change("append");
            if alone { ledger.borrow_mut().done(op, place)? } else { ledger.borrow_mut().left(op)? }
        }
        match act {
            Act::Mark => return Ok(()),
            Act::Sync => self.synchronised(),
            Act::Range(name) => self.check_range(name, status)?,
            Act::Plain("select") => {
                self.mailbox.as_ref().map_or(Ok(()), Mailbox::selected).map_err(Fault::Violation)?;
            }
            Act::Idle if self.idling => return violation("IDLE ended before DONE"),
            _ => {}
        }
        turn.tally.done(act.name(), pending.times, turn.now);
        Ok(())
    }

    /// The change under way is answered, and nothing follows from that.
    fn left(&mut self, part: &Part) -> Result<(), Fault> {
        match (self.actor.as_mut().and_then(|actor| actor.change.take()), &part.ledger) {
            (Some(op), Some(ledger)) => ledger.borrow_mut().left(op),
            _ => Ok(()),
        }
    }

    fn synchronised(&mut self) {
        let Some(mailbox) = &self.mailbox else { return };
        let last = (1..=mailbox.exists()).rev().find_map(|number| mailbox.uid(number));
        if let (Some(actor), Some(last)) = (&mut self.actor, last) {
            actor.synced = last;
        }
    }

    fn check_range(&mut self, name: &str, status: &StatusText<'_>) -> Result<(), Fault> {
        // RFC 2180 §4.1.2 and RFC 5530: messages that others expunged may be left out, and then it is said.
        if matches!(status.code, Some(Code::Other(code)) if code.eq_ignore_ascii_case(b"EXPUNGEISSUED")) {
            return Ok(());
        }
        match self.answered.missing() {
            Some(number) => violation(format!("FETCH ({name}) was answered OK without message {number}")),
            None => Ok(()),
        }
    }

    /// FETCH data in a scenario: which message it is, and whether its flags are those that were promised.
    pub(super) fn told_in_scenario(&mut self, number: u32, items: &[FetchItem<'_>]) -> Result<(), Fault> {
        let settings = self.settings.clone();
        let Some(part) = &settings.part else { return Ok(()) };
        if self.flight.iter().any(|pending| matches!(pending.kind, Kind::Act(Act::Range(name)) if brings(items, name)))
        {
            self.answered.note(number);
        }
        let (Some(ledger), Some(uid)) = (&part.ledger, self.mailbox.as_ref().and_then(|mailbox| mailbox.uid(number)))
        else {
            return Ok(());
        };
        let (user, at) = (self.user(), self.place(uid));
        let changing = self.flight.iter().any(|pending| matches!(pending.kind, Kind::Act(Act::Change(_) | Act::Mark)));
        for item in items {
            match item {
                FetchItem::Section { section, data: Some(data), .. } if section.starts_with(b"HEADER.FIELDS") => {
                    let Some(id) = identity(data.octets()) else { continue };
                    let known = ledger.borrow().id_at(&user, &settings.mailbox, at);
                    if known != Some(id) {
                        ledger.borrow_mut().begin(&user, &settings.mailbox, Change::Seen { at, id })?;
                    }
                }
                FetchItem::Flags(flags) if self.owns(part, uid) && !changing => {
                    let told = ledger.borrow().told_flags(&user, &settings.mailbox, at, flags);
                    told.map_err(Fault::Violation)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// IDLE has begun.
    pub(super) fn idles(&mut self, turn: &mut Turn<'_>) {
        self.idling = true;
        if self.actor.as_ref().is_some_and(|actor| actor.hurried) {
            self.end_idle(turn);
        }
    }

    /// The next action is due: an IDLE ends, now or as soon as it has begun.
    pub(super) fn end_idle(&mut self, turn: &mut Turn<'_>) {
        let idle = self.flight.back_mut().filter(|pending| pending.kind == Kind::Act(Act::Idle));
        let (Some(pending), Some(actor)) = (idle, &mut self.actor) else { return };
        actor.hurried = !self.idling;
        if self.idling {
            self.idling = false;
            // What is measured is the time that DONE takes.
            pending.times = (turn.now, turn.now);
            turn.send(b"DONE\r\n");
        }
    }
}
