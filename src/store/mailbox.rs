//! The handle of a mailbox: its numbers, APPEND, and the submission of what views ask for.
//!
//! Invariants: room in the log is checked before anything is assigned; UIDs, keyword bits and sequence numbers are
//! assigned together with the submission, without a wait in between, so that their order is the log's; every `async`
//! operation resolves when its change is durable and visible, and a dropped future changes nothing about that.

use std::fmt;
use std::rc::Rc;

use super::account::Account;
use super::change::{Change, SpecialUse, UidRanges};
use super::checkpoint;
use super::commit::Done;
use super::mailbox_state::{Counts, MailboxState, ranges_of};
use super::map::Encoded;
use super::message::{Fresh, Text};
use super::record::{NewMessage, Record};
use super::shared::{self, PlacedBody, Shared};
use super::types::{Error, FlagOp, Flags, MailboxId, ModSeq, Uid, UidValidity};
use super::view::View;
use crate::limits::{KEYWORD_BYTES_MAX, KEYWORDS_MAX, LOG_RECORD_BYTES_MAX, UID_RANGES_A_RECORD_MAX};

/// Room for a log record's header and the lengths in it.
pub(super) const RECORD_MARGIN: usize = 256;

/// A mailbox of an open account.
#[derive(Clone)]
pub struct Mailbox {
    account: Account,
    state: Rc<MailboxState>,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mailbox {} of {:?}", self.state.name.borrow(), self.account)
    }
}

impl Mailbox {
    pub(super) fn new(account: Account, state: Rc<MailboxState>) -> Mailbox {
        Mailbox { account, state }
    }

    pub(super) fn state(&self) -> &Rc<MailboxState> {
        &self.state
    }

    /// The account it belongs to.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Its name, levels between slashes.
    pub fn name(&self) -> Rc<str> {
        self.state.name.borrow().clone()
    }

    /// Its id, never used twice in the account.
    pub fn id(&self) -> MailboxId {
        self.state.id
    }

    /// What may be submitted: everything until a deletion is.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        if self.state.closing.get() { Err(Error::Gone) } else { Ok(()) }
    }

    /// Whether it is subscribed.
    pub fn is_subscribed(&self) -> bool {
        self.state.subscribed.get()
    }

    /// Whether it is only a name that has mailboxes below it, or was deleted (`\Noselect`).
    pub fn is_noselect(&self) -> bool {
        self.state.deleted.get()
    }

    /// Its special use.
    pub fn special_use(&self) -> SpecialUse {
        self.state.special_use
    }

    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> UidValidity {
        UidValidity(self.state.uid_validity)
    }

    /// UIDNEXT.
    pub fn uid_next(&self) -> u32 {
        self.state.data.borrow().uid_next
    }

    /// HIGHESTMODSEQ.
    pub fn highest_modseq(&self) -> ModSeq {
        ModSeq(self.state.data.borrow().highest_modseq)
    }

    /// STATUS.
    pub fn counts(&self) -> Counts {
        self.state.data.borrow().counts()
    }

    /// The names of its keywords, by bit.
    pub fn keywords(&self) -> Vec<String> {
        self.state.data.borrow().keywords.iter().map(|name| name.to_string()).collect()
    }

    /// How many keywords it has.
    pub fn keyword_count(&self) -> usize {
        self.state.data.borrow().keywords.len()
    }

    /// Calls `each` with the name of every keyword whose bit is set.
    pub fn for_each_keyword(&self, mut bits: u64, mut each: impl FnMut(&str)) {
        let data = self.state.data.borrow();
        while bits != 0 {
            if let Some(name) = data.keywords.get(bits.trailing_zeros() as usize) {
                each(name);
            }
            bits &= bits - 1;
        }
    }

    /// A session's view of it; a read-write one takes the `\Recent` messages.
    pub fn view(&self, read_only: bool) -> View {
        View::open(self.clone(), read_only)
    }

    /// Adds a message; resolves when it is durable and visible.
    pub async fn append(&self, message: NewMessage) -> Result<Uid, Error> {
        self.submit(&message).await?.wait().await
    }

    /// Numbers a message and hands it to the log, without a wait but where its content goes to a file of its own first:
    /// what is submitted together shares one commit.
    pub async fn submit(&self, message: &NewMessage) -> Result<Submitted, Error> {
        checkpoint::make_room(self.account.core()).await;
        self.check_open()?;
        let shared = Shared::among(1);
        let submitted = self.submit_shared(message, &shared).await;
        if submitted.is_err() {
            shared.remove_unused(self.account.core()).await;
        }
        submitted
    }

    /// The same for one of several copies; who made `shared` removes what it has and no message uses.
    pub(super) async fn submit_shared(&self, message: &NewMessage, shared: &Shared) -> Result<Submitted, Error> {
        let core = self.account.core();
        let (uid, done, body) = if let Some(bytes) = shared.inline_bytes(message)? {
            let details = shared.details(message)?;
            let (text, body) = (Text::Shared(message.structure.clone()), shared.body(message)?);
            let content = move |record| Ok(Fresh::inline(record, details, text, body));
            let (uid, done) = self.submit_message(message, bytes, content)?;
            (uid, done, None)
        } else {
            self.check(message)?;
            let body = shared.body_in(&self.account, message).await?;
            let sealed = body.file.clone();
            let content = move |record| Fresh::in_segment(record, sealed);
            let (uid, done) = self.submit_message(message, record_bytes(message)?, content)?;
            body.uses.set(body.uses.get() + 1);
            core.bodies.keep(body.file.clone());
            (uid, done, Some(body))
        };
        Ok(Submitted { mailbox: self.clone(), uid, done, body })
    }

    /// What would refuse the message after its content was written refuses it before.
    pub(super) fn check(&self, message: &NewMessage) -> Result<(), Error> {
        self.account.core().commits.check_room(record_bytes(message)?)?;
        self.keyword_bits(&message.keywords).map(drop)
    }

    /// Numbers a message and submits it.
    fn submit_message(
        &self,
        message: &NewMessage,
        bytes: usize,
        content: impl FnOnce(Encoded<Record>) -> Result<Fresh, Error>,
    ) -> Result<(Uid, Rc<Done>), Error> {
        let core = self.account.core();
        self.check_open()?;
        core.commits.check_room(bytes)?;
        let keywords = self.name_keywords(&message.keywords)?;
        let uid = self.state.data.borrow().uid_next_assigned;
        let uid_after = uid.checked_add(1).ok_or(Error::NoUids)?;
        let record = Record {
            uid,
            flags: message.flags.0 & Flags::ALL.0,
            keywords,
            modseq: self.account.state().next_seq(),
            email_id: message.email_id(),
            thread_id: message.thread_id(),
            internal_date: message.internal_date,
            saved_at: message.saved_at,
            size: message.body.len() as u64,
            content_hash: message.body.hash().0,
            delivery: message.delivery.clone(),
        };
        let record = record.encode().and_then(Encoded::new).ok_or_else(too_large)?;
        let fresh = Rc::new(content(record)?);
        self.state.data.borrow_mut().uid_next_assigned = uid_after;
        let change = Change::Appended { mailbox: self.state.id.0, uid, message: fresh };
        let (_, done) = self.account.state().submit(core, change, true);
        Ok((Uid(uid), done))
    }

    /// The bits of those keywords that are named, and the others, which there is room for.
    pub(super) fn keyword_bits<'a>(&self, names: &'a [String]) -> Result<(u64, Vec<&'a String>), Error> {
        let mut bits = 0;
        let mut new: Vec<&String> = Vec::new();
        let data = self.state.data.borrow();
        for name in names {
            match data.keywords_named.iter().position(|known| known.eq_ignore_ascii_case(name)) {
                Some(bit) => bits |= 1 << bit,
                None if new.iter().any(|other| other.eq_ignore_ascii_case(name)) => {}
                None => new.push(name),
            }
        }
        let room = KEYWORDS_MAX.saturating_sub(data.keywords_named.len());
        if new.len() > room || new.iter().any(|name| name.len() > KEYWORD_BYTES_MAX) {
            return Err(Error::TooManyKeywords);
        }
        Ok((bits, new))
    }

    /// The bits of keywords, names for those that have none submitted on the way.
    pub(super) fn name_keywords(&self, names: &[String]) -> Result<u64, Error> {
        let (mut bits, new) = self.keyword_bits(names)?;
        for name in new {
            let bit = {
                let mut data = self.state.data.borrow_mut();
                data.keywords_named.push(name.as_str().into());
                data.keywords_named.len() - 1
            };
            bits |= 1 << bit;
            let change = Change::KeywordNamed { mailbox: self.state.id.0, bit: bit as u8, name: name.clone() };
            self.account.state().submit(self.account.core(), change, true);
        }
        Ok(bits)
    }

    /// Submits a change of flags in as many records as it takes; the last one's number.
    pub(super) fn submit_flags(
        &self,
        uids: &UidRanges,
        op: FlagOp,
        flags: Flags,
        keywords: &[String],
    ) -> Result<Option<(ModSeq, Rc<Done>)>, Error> {
        let core = self.account.core();
        self.check_open()?;
        core.commits.check_room(8 * uids.len() + RECORD_MARGIN)?;
        let bits = match op {
            // Nobody has a keyword that has no name.
            FlagOp::Remove => self.known_keywords(keywords),
            FlagOp::Add | FlagOp::Replace => self.name_keywords(keywords)?,
        };
        let mut last = None;
        for uids in uids.chunks(UID_RANGES_A_RECORD_MAX) {
            let (mailbox, uids) = (self.state.id.0, uids.to_vec());
            let change = Change::Flags { mailbox, uids, op, flags: flags.0 & Flags::ALL.0, keywords: bits };
            let (seq, done) = self.account.state().submit(core, change, true);
            last = Some((ModSeq(seq), done));
        }
        Ok(last)
    }

    fn known_keywords(&self, names: &[String]) -> u64 {
        let data = self.state.data.borrow();
        let bits = names.iter().filter_map(|name| {
            let bit = data.keywords_named.iter().position(|known| known.eq_ignore_ascii_case(name))?;
            Some(1u64 << bit)
        });
        bits.fold(0, |all, bit| all | bit)
    }

    /// Submits the expunge of those of `uids` that are there, only those with `\Deleted` where so asked: those that have it
    /// now, and still have it when the log comes to it.
    pub(super) fn submit_expunge(&self, uids: &UidRanges, only_deleted: bool) -> Result<Option<Rc<Done>>, Error> {
        let core = self.account.core();
        self.check_open()?;
        let gone = {
            let data = self.state.data.borrow();
            let rows = uids.iter().flat_map(|&(first, last)| data.columns.range(first, last));
            let live = rows.filter(|&row| {
                let deleted = data.columns.flags[row] & Flags::DELETED.0 != 0;
                (deleted || !only_deleted) && !data.hidden.has(row)
            });
            // Where few are marked, what comes behind the last of them is not looked at.
            let most = if only_deleted { data.counts().deleted as usize } else { usize::MAX };
            ranges_of(live.take(most).map(|row| data.columns.uid[row]))
        };
        core.commits.check_room(8 * gone.len() + RECORD_MARGIN)?;
        let mut last = None;
        for uids in gone.chunks(UID_RANGES_A_RECORD_MAX) {
            let (mailbox, uids) = (self.state.id.0, uids.to_vec());
            let change = Change::Expunged { mailbox, uids, marked: only_deleted };
            last = Some(self.account.state().submit(core, change, true).1);
        }
        Ok(last)
    }

    /// Says in the log that the messages below `upto` were shown to a read-write session. Nobody waits for it: it goes
    /// with the next change, and is lost with a crash before that, when the messages are recent once more.
    pub(super) fn submit_recent(&self, upto: u32) {
        let core = self.account.core();
        if self.check_open().and_then(|()| core.commits.check_room(RECORD_MARGIN)).is_ok() {
            let change = Change::RecentSeen { mailbox: self.state.id.0, upto };
            self.account.state().submit(core, change, false);
        }
    }
}

/// A message that is with the log, and neither durable nor visible before [`Submitted::wait`] said so.
#[derive(Debug)]
#[must_use = "nobody knows yet whether it will be durable"]
pub struct Submitted {
    mailbox: Mailbox,
    uid: Uid,
    done: Rc<Done>,
    /// The body file that its record names.
    body: Option<PlacedBody>,
}

impl Submitted {
    /// Resolves when the message is durable and visible, or refused after all.
    pub async fn wait(self) -> Result<Uid, Error> {
        let outcome = self.done.wait().await;
        // Refused for want of room: the record is in no log. After any other failure nobody knows.
        if let (Err(Error::Full), Some(body)) = (&outcome, self.body) {
            body.uses.set(body.uses.get() - 1);
            // Other copies may still come to use it; whoever made it for them removes it then.
            if body.uses.get() == 0 && Rc::strong_count(&body.uses) == 1 {
                shared::delete(self.mailbox.account.core(), self.mailbox.account.id(), body.file.name()).await;
            }
        }
        outcome.map(|()| self.uid)
    }
}

/// A bound of the record that a message's log record has, its content aside: the delivery envelope goes into it.
pub(super) fn record_bytes(message: &NewMessage) -> Result<usize, Error> {
    let delivery = message.delivery.as_ref().map_or(0, |envelope| {
        let paths = envelope.recipients.iter().map(|path| path.len() + 16);
        envelope.return_path.len() + paths.sum::<usize>()
    });
    let bytes = RECORD_MARGIN + delivery;
    if bytes > LOG_RECORD_BYTES_MAX { Err(too_large()) } else { Ok(bytes) }
}

pub(super) fn too_large() -> Error {
    Error::Io { kind: std::io::ErrorKind::InvalidInput, message: "the message is too large to store".to_owned() }
}
