//! The work of a connection that is set up: what it sends in its closed loop, and the checks of what that is answered with.
//!
//! Invariants: a FETCH or STORE that is answered OK brought what it asked for, of each message; a SEARCH brought its one result;
//! a message's body never changes; UIDs of APPEND ascend.

use super::{Client, Kind, Pending, What, Work, kind_of};
use crate::dialogue::{Fault, Turn, shown, violation};
use crate::imap::command::Builder;
use crate::imap::fetch::FetchItem;
use crate::imap::mailbox::Mailbox;
use crate::imap::parse::{Code, Status, StatusText};
use crate::limits::ANSWERED_MAX;
use crate::message::{Verdict, checksum, verify};

/// Which messages a command about all of them has been answered for; each counts once.
#[derive(Debug, Default)]
pub(super) struct Answered {
    words: Vec<u64>,
    /// The number of the first message asked for.
    first: u32,
    asked: u32,
    left: u32,
}

impl Answered {
    /// All from the first to this one are asked for.
    fn ask(&mut self, messages: u32) {
        self.ask_range(1, messages);
    }

    /// Those from `first` to `last`.
    pub(super) fn ask_range(&mut self, first: u32, last: u32) {
        self.first = first;
        let messages = last.saturating_sub(first - 1).min(ANSWERED_MAX);
        self.words.clear();
        self.words.resize(messages.div_ceil(u64::BITS) as usize, 0);
        (self.asked, self.left) = (messages, messages);
    }

    /// Message `number` was answered for, once or once more.
    pub(super) fn note(&mut self, number: u32) {
        let at = number.wrapping_sub(self.first);
        if at >= self.asked {
            return; // it was not asked for, came after the command, or is beyond what is remembered
        }
        let (word, bit) = Answered::place(at);
        let word = &mut self.words[word];
        self.left -= u32::from(*word & bit == 0);
        *word |= bit;
    }

    /// The word of the message at `at` of those asked for, and its bit in it.
    fn place(at: u32) -> (usize, u64) {
        ((at / u64::BITS) as usize, 1 << (at % u64::BITS))
    }

    /// The first message that is missing.
    pub(super) fn missing(&self) -> Option<u32> {
        let is_missing = |at: &u32| {
            let (word, bit) = Answered::place(*at);
            self.words[word] & bit == 0
        };
        (self.left > 0).then(|| (0..self.asked).find(is_missing))?.map(|at| at + self.first)
    }
}

/// The items of one FETCH response that the checks are about.
#[derive(Default)]
struct Told<'a> {
    uid: Option<u32>,
    flags: Option<&'a [&'a [u8]]>,
    sized: bool,
    envelope: bool,
    body: bool,
}

impl Told<'_> {
    fn has(&self, what: What) -> bool {
        match what {
            What::Flags => self.flags.is_some(),
            What::Columns => self.uid.is_some() && self.flags.is_some() && self.sized,
            What::Envelope => self.sized && self.envelope,
            What::Body => self.body,
        }
    }
}

/// The flag that STORE adds and takes away.
const FLAG: &str = "\\Flagged";

impl Client {
    /// Sends the next operation.
    pub(super) fn send_work(&mut self, turn: &mut Turn<'_>) {
        match self.settings.work {
            Work::Noop | Work::Echo => self.issue_noop(turn),
            Work::Fetch { body, flags } => self.issue_fetch(body, flags, turn),
            Work::FetchAll(what) => self.issue_fetch_all(what, turn),
            Work::Store { all: true } => self.issue_store_all(turn),
            Work::Store { all: false } => self.issue_store(turn),
            Work::Search => self.issue_search(turn),
            Work::Append => self.issue_append(turn),
            Work::Session | Work::Handshake | Work::Hold { .. } | Work::Part => return,
        }
        self.issued += 1;
    }

    pub(super) fn issue_noop(&mut self, turn: &mut Turn<'_>) {
        let tag = self.tag();
        let mut text = *b"A000000 NOOP\r\n";
        text[..7].copy_from_slice(&tag);
        turn.send(&text);
        self.sent(tag, Kind::Noop, turn);
    }

    fn issue_fetch(&mut self, body: bool, flags: bool, turn: &mut Turn<'_>) {
        let exists = u64::from(self.mailbox.as_ref().map_or(1, Mailbox::exists).max(1));
        let (step, body) =
            if body && flags { (self.issued / 2, self.issued.is_multiple_of(2)) } else { (self.issued, body) };
        // Connections start at different messages, so that they don't all read the same one at the same time.
        let number = (u64::from(self.index) * 7 + step) % exists + 1;
        let tag = self.tag();
        let what = if body { "(UID BODY.PEEK[])" } else { "(UID FLAGS)" };
        let line = format!("{} FETCH {number} {what}\r\n", std::str::from_utf8(&tag).unwrap_or_default());
        turn.send(line.as_bytes());
        self.sent(tag, Kind::Fetch { number: number as u32, body, answered: false }, turn);
    }

    pub(super) fn issue_line(&mut self, kind: Kind, line: &str, turn: &mut Turn<'_>) {
        let tag = self.tag();
        let line = format!("{} {line}\r\n", std::str::from_utf8(&tag).unwrap_or_default());
        turn.send(line.as_bytes());
        self.sent(tag, kind, turn);
    }

    fn issue_fetch_all(&mut self, what: What, turn: &mut Turn<'_>) {
        self.answered.ask(self.mailbox.as_ref().map_or(0, Mailbox::exists));
        let items = match what {
            What::Flags => "FLAGS",
            What::Columns => "(UID FLAGS RFC822.SIZE)",
            What::Envelope => "(RFC822.SIZE ENVELOPE)",
            What::Body => "BODY.PEEK[]",
        };
        // What is large is checked while it comes; else the checks wait, so that they don't hold up the server.
        self.gathering = what != What::Body;
        self.issue_line(Kind::FetchAll(what), &format!("FETCH 1:* {items}"), turn);
    }

    fn issue_store_all(&mut self, turn: &mut Turn<'_>) {
        self.answered.ask(self.mailbox.as_ref().map_or(0, Mailbox::exists));
        let adds = self.issued.is_multiple_of(2);
        self.gathering = true;
        let sign = if adds { '+' } else { '-' };
        self.issue_line(Kind::StoreAll { adds }, &format!("STORE 1:* {sign}FLAGS ({FLAG})"), turn);
    }

    fn issue_store(&mut self, turn: &mut Turn<'_>) {
        let exists = self.mailbox.as_ref().map_or(1, Mailbox::exists).max(1);
        // Each connection has messages of its own, where there are enough, and passes over them adding, then taking away.
        let (all, own) = (self.settings.connections, self.index);
        let each = u64::from((exists / all).max(1));
        let (step, adds) = (self.issued % each, (self.issued / each).is_multiple_of(2));
        let number = (own + step as u32 * all) % exists + 1;
        let sign = if adds { '+' } else { '-' };
        self.issue_line(
            Kind::Store { number, adds, answered: false },
            &format!("STORE {number} {sign}FLAGS ({FLAG})"),
            turn,
        );
    }

    fn issue_search(&mut self, turn: &mut Turn<'_>) {
        let line = format!("SEARCH {}", self.settings.criterion);
        self.gathering = true;
        self.issue_line(Kind::Search { found: None }, &line, turn);
    }

    fn issue_append(&mut self, turn: &mut Turn<'_>) {
        let settings = self.settings.clone();
        let mut template = settings.template.borrow_mut();
        self.send_append((&settings.mailbox, "(\\Seen)"), (Kind::Append, template.stamp_next()), turn);
    }

    /// APPEND of `message` to a mailbox, with flags.
    pub(super) fn send_append(
        &mut self,
        (mailbox, flags): (&str, &str),
        (kind, message): (Kind, &[u8]),
        turn: &mut Turn<'_>,
    ) {
        let tag = self.tag();
        let bytes = message.len();
        let plus = self.capabilities.literal_plus || (self.capabilities.literal_minus && bytes <= 4096);
        let first = Builder::new(&tag).word("APPEND").string(mailbox).word(flags);
        let literal = format!("{{{bytes}{}}}", if plus { "+" } else { "" });
        let mut pieces = first.word(&literal).end();
        if plus && pieces.len() == 1 {
            turn.send(&pieces[0]);
            turn.send(message);
            turn.out.extend_from_slice(b"\r\n");
            self.sent(tag, kind, turn);
        } else {
            let message = [message, b"\r\n"].concat();
            // A mailbox name that had to be a literal itself: its piece ends with ours announced, so both wait in turn.
            if plus && let Some(last) = pieces.back_mut() {
                last.extend_from_slice(&message);
            } else {
                pieces.push_back(message);
            }
            self.send_pieces(kind, tag, pieces, turn);
        }
    }

    pub(super) fn fetched(&mut self, number: u32, items: &[FetchItem<'_>], turn: &mut Turn<'_>) -> Result<(), Fault> {
        let uid = items.iter().find_map(|item| if let FetchItem::Uid(uid) = item { Some(*uid) } else { None });
        self.in_mailbox("FETCH", |mailbox| mailbox.told_fetch(number, uid))?;
        self.told_in_scenario(number, items)?;
        let mut told = Told { uid, ..Told::default() };
        for item in items {
            match item {
                FetchItem::Flags(flags) => told.flags = Some(flags),
                FetchItem::ModSeq(modseq) => {
                    self.in_mailbox("MODSEQ", |mailbox| mailbox.told_modseq(number, *modseq))?
                }
                FetchItem::Size(_) => told.sized = true,
                FetchItem::Envelope => told.envelope = true,
                FetchItem::Section { section: b"", origin: None, data } => {
                    told.body = true;
                    let Some(data) = data else { return violation(format!("BODY[] of message {number} is NIL")) };
                    let known = uid.or_else(|| self.mailbox.as_ref().and_then(|mailbox| mailbox.uid(number)));
                    self.check_body(number, known, data.octets(), turn)?;
                }
                _ => {}
            }
        }
        self.answer(number, &told)
    }

    /// Finds the command that a FETCH response answers.
    fn answer(&mut self, number: u32, told: &Told<'_>) -> Result<(), Fault> {
        let alone = self.settings.connections == 1;
        for pending in &mut self.flight {
            match &mut pending.kind {
                Kind::FetchAll(what) if told.has(*what) => self.answered.note(number),
                Kind::StoreAll { adds } => {
                    let Some(flags) = told.flags else { continue };
                    // Other connections store the same flag.
                    if alone && is_set(flags) != *adds {
                        let flags = shown(&flags.join(&b' '));
                        return violation(format!("STORE was answered by FLAGS ({flags}) of message {number}"));
                    }
                    self.answered.note(number);
                }
                Kind::Store { number: asked, adds, answered } if *asked == number && !*answered => {
                    let Some(flags) = told.flags else { continue };
                    *answered = is_set(flags) == *adds;
                }
                Kind::Fetch { number: asked, body, answered }
                    if *asked == number
                        && !*answered
                        && told.uid.is_some()
                        && told.has(if *body { What::Body } else { What::Flags }) =>
                {
                    *answered = true;
                }
                _ => continue,
            }
            break;
        }
        Ok(())
    }

    pub(super) fn searched(&mut self, found: u32, greatest: u32) -> Result<(), Fault> {
        self.in_mailbox("SEARCH", |mailbox| mailbox.told_found(greatest))?;
        for pending in &mut self.flight {
            if let Kind::Search { found: told @ None } = &mut pending.kind {
                *told = Some(found);
                return match self.settings.found {
                    Some(expected) if expected != found => {
                        violation(format!("SEARCH found {found} messages, not the {expected} that there are"))
                    }
                    _ => Ok(()),
                };
            }
        }
        violation("SEARCH results that nothing asked for")
    }

    fn check_body(&self, number: u32, uid: Option<u32>, body: &[u8], turn: &mut Turn<'_>) -> Result<(), Fault> {
        match verify(body) {
            Verdict::Intact => turn.tally.verified += 1,
            Verdict::Damaged => {
                return violation(format!(
                    "the body of message {number} does not have the checksum that its header states"
                ));
            }
            Verdict::Unmarked => {
                let validity = self.mailbox.as_ref().map_or(0, Mailbox::validity);
                let account = self.settings.users.place(self.account());
                if let Some(uid) = uid
                    && !turn.tally.body_seen((u64::from(account) << 32 | u64::from(validity), uid), checksum(body))
                {
                    return violation(format!(
                        "message {number} (UID {uid}) has another content than when it was fetched before"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What a command that ended with OK must have brought.
    fn check_answered(&self, kind: Kind) -> Result<(), Fault> {
        let missing = self.answered.missing();
        match kind {
            Kind::Fetch { number, body, answered: false } => {
                let what = if body { "BODY[]" } else { "FLAGS" };
                violation(format!("FETCH {number} was answered OK without its UID and {what}"))
            }
            Kind::Store { number, adds, answered: false } => {
                let what = if adds { "with" } else { "without" };
                violation(format!("STORE {number} was answered OK without FLAGS {what} {FLAG}"))
            }
            Kind::FetchAll(_) | Kind::StoreAll { .. } if missing.is_some() => {
                let number = missing.unwrap_or(0);
                violation(format!("a command about all messages was answered OK without message {number}"))
            }
            Kind::Search { found: None } => violation("SEARCH was answered OK without its result"),
            _ => Ok(()),
        }
    }

    pub(super) fn worked(
        &mut self,
        pending: &Pending,
        status: &StatusText<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        if status.status != Status::Ok {
            turn.tally.error(&kind_of(status));
            return Ok(());
        }
        self.check_answered(pending.kind)?;
        if let (Kind::Append, Some(Code::AppendUid { validity, uid })) = (pending.kind, &status.code) {
            if let Some((known, last)) = self.appended
                && known == *validity
                && last >= *uid
            {
                return violation(format!("APPEND got UID {uid} after {last}: UIDs must ascend"));
            }
            self.appended = Some((*validity, *uid));
        }
        turn.tally.done(pending.kind.name(), pending.times, turn.now);
        Ok(())
    }
}

fn is_set(flags: &[&[u8]]) -> bool {
    flags.iter().any(|flag| flag.eq_ignore_ascii_case(FLAG.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_counts_once() {
        let mut answered = Answered::default();
        answered.ask(130);
        assert_eq!(answered.missing(), Some(1));
        for number in (1..=130).chain([64, 65, 131]).filter(|number| *number != 129) {
            answered.note(number);
        }
        assert_eq!(answered.missing(), Some(129));
        answered.note(129);
        assert_eq!(answered.missing(), None);
        answered.ask(0);
        assert_eq!(answered.missing(), None);
    }

    #[test]
    fn a_number_that_a_server_says_takes_no_memory_without_end() {
        let mut answered = Answered::default();
        answered.ask(u32::MAX);
        assert_eq!(answered.words.capacity(), (ANSWERED_MAX / u64::BITS) as usize);
        answered.note(u32::MAX);
        assert_eq!(answered.missing(), Some(1));
    }
}
