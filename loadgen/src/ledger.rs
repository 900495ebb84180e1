//! What a server has promised: every change that it acknowledged, and those whose outcome nobody knows.
//!
//! A change is begun, then done or refused; one that is neither (the connection was lost, the server died) may have happened or
//! not. Invariants that a server is held to, by [`Ledger::check`]: an acknowledged message is there exactly once, with its flags;
//! an acknowledged expunge is final, and its UID never comes back; what was not acknowledged is absent or whole. Each line of
//! the journal is written before the change is sent or after its answer came, so that the journal outlives the server.
//!
//! It is exact only about what one client alone changes: a client stores, moves and expunges its own messages.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::dialogue::Fault;
use crate::limits::{JOURNAL_LINE_BYTES_MAX, LEDGER_MESSAGES_MAX};
use crate::message::{Id, Verdict};

/// Where a message is in its mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// UIDVALIDITY.
    pub validity: u32,
    /// UID.
    pub uid: u32,
}

/// A change that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A message goes into the mailbox.
    Append {
        /// Which one.
        id: Id,
    },
    /// A message is on its way to the account; the mailbox is its INBOX.
    Deliver {
        /// Which one.
        id: Id,
    },
    /// A message goes to another mailbox, too or instead.
    Copy {
        /// Where it is.
        from: Place,
        /// The other mailbox.
        to: String,
        /// True: MOVE.
        moves: bool,
    },
    /// A flag is set or taken away.
    Flag {
        /// Where the message is.
        at: Place,
        /// Which flag.
        flag: String,
        /// True: set.
        set: bool,
    },
    /// A message is removed.
    Expunge {
        /// Where it is.
        at: Place,
    },
    /// No change: a message was seen there.
    Seen {
        /// Where.
        at: Place,
        /// Which one.
        id: Id,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Begin {
        op: u64,
        account: String,
        mailbox: String,
        change: Change,
    },
    Done {
        op: u64,
        place: Option<Place>,
    },
    Refused {
        op: u64,
    },
    /// Answered, but by nobody who changes the message alone: nothing follows.
    Left {
        op: u64,
    },
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certainty {
    Yes,
    No,
    /// Nobody knows: it was not acknowledged.
    Maybe,
}

use Certainty::{Maybe, No, Yes};

#[derive(Debug)]
struct Known {
    id: Option<Id>,
    present: Certainty,
    flags: BTreeMap<String, Certainty>,
}

/// How often a message is there without a UID that anybody was told.
#[derive(Debug, Default)]
struct Loose {
    /// Acknowledged.
    certain: usize,
    /// Begun.
    possible: usize,
}

/// What is known of one mailbox.
#[derive(Debug, Default)]
struct Shelf {
    validity: Option<u32>,
    /// By UID.
    known: BTreeMap<u32, Known>,
    /// Messages whose UID nobody told.
    loose: BTreeMap<Id, Loose>,
    /// Messages that were seen before they were acknowledged, and where; nowhere, if they were to be removed since.
    early: BTreeMap<Id, Vec<Option<u32>>>,
    /// The UIDs under which each message was put there.
    homes: BTreeMap<Id, BTreeSet<u32>>,
}

/// A mailbox's message as it was found.
#[derive(Debug)]
pub struct Found {
    /// UID.
    pub uid: u32,
    /// Its flags.
    pub flags: Vec<String>,
    /// Which of ours it is.
    pub id: Option<Id>,
    /// What its checksum says.
    pub verdict: Verdict,
}

/// The promises of one run.
#[derive(Default)]
pub struct Ledger {
    shelves: BTreeMap<(String, String), Shelf>,
    open: HashMap<u64, (String, String, Change)>,
    journal: Option<Box<dyn Write>>,
    last_op: u64,
    messages: usize,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Ledger of {} mailboxes, {} changes", self.shelves.len(), self.messages)
    }
}

impl Ledger {
    /// An empty one, which writes each line to `journal` too.
    pub fn new(journal: Option<Box<dyn Write>>) -> Ledger {
        Ledger { journal, ..Ledger::default() }
    }

    /// Reads a journal, and says how many octets of it are whole lines. A last one that is not whole is left out: its writer was
    /// stopped in it.
    pub fn read(mut from: impl BufRead) -> Result<(Ledger, u64), String> {
        let (mut ledger, mut bytes) = (Ledger::default(), 0);
        let mut text = Vec::new();
        for number in 1.. {
            text.clear();
            let mut line = io::Read::take(&mut from, JOURNAL_LINE_BYTES_MAX);
            line.read_until(b'\n', &mut text).map_err(|error| format!("line {number}: {error}"))?;
            if !text.ends_with(b"\n") {
                break;
            }
            let line = serde_json::from_slice(&text).map_err(|error| format!("line {number}: {error}"))?;
            ledger.apply(line).map_err(|what| format!("line {number}: {what}"))?;
            bytes += text.len() as u64;
        }
        Ok((ledger, bytes))
    }

    /// Goes on with what a journal said: what follows is written to `journal` as well.
    pub fn resumed(mut self, journal: Box<dyn Write>) -> Ledger {
        self.journal = Some(journal);
        self
    }

    fn note(&mut self, line: Line) -> Result<(), Fault> {
        if self.messages >= LEDGER_MESSAGES_MAX {
            return Err(Fault::Fatal(format!("a run has {LEDGER_MESSAGES_MAX} changes at most")));
        }
        if let Some(journal) = &mut self.journal {
            let failed = |error: io::Error| Fault::Fatal(format!("the journal can't be written: {error}"));
            let mut text = serde_json::to_vec(&line).map_err(|error| failed(error.into()))?;
            text.push(b'\n');
            journal.write_all(&text).map_err(failed)?;
        }
        self.apply(line).map_err(Fault::Violation)
    }

    /// A change is about to be asked for; its number.
    pub fn begin(&mut self, account: &str, mailbox: &str, change: Change) -> Result<u64, Fault> {
        let op = self.last_op + 1;
        self.note(Line::Begin { op, account: account.into(), mailbox: mailbox.into(), change })?;
        Ok(op)
    }

    /// The server acknowledged it, and said where the message is now.
    pub fn done(&mut self, op: u64, place: Option<Place>) -> Result<(), Fault> {
        self.note(Line::Done { op, place })
    }

    /// The server refused it.
    pub fn refused(&mut self, op: u64) -> Result<(), Fault> {
        self.note(Line::Refused { op })
    }

    /// The server answered a change that nothing follows from: others may have changed the same message.
    pub fn left(&mut self, op: u64) -> Result<(), Fault> {
        self.note(Line::Left { op })
    }

    /// The message at this place is known to be there; which one it is.
    pub fn id_at(&self, account: &str, mailbox: &str, at: Place) -> Option<Id> {
        self.known(account, mailbox, at)?.id
    }

    fn known(&self, account: &str, mailbox: &str, at: Place) -> Option<&Known> {
        let shelf = self.shelves.get(&(account.to_owned(), mailbox.to_owned()))?;
        shelf.known.get(&at.uid).filter(|_| shelf.validity == Some(at.validity))
    }

    /// Compares the flags that a server told of a message with what is certain about them. For the client that alone changes it.
    pub fn told_flags(&self, account: &str, mailbox: &str, at: Place, flags: &[&[u8]]) -> Result<(), String> {
        let Some(known) = self.known(account, mailbox, at) else { return Ok(()) };
        let is_set = |flag: &str| flags.iter().any(|told| told.eq_ignore_ascii_case(flag.as_bytes()));
        match known.wrong_flag(is_set) {
            Some(what) => Err(format!("the message with UID {} {what}", at.uid)),
            None => Ok(()),
        }
    }

    fn shelf(&mut self, account: &str, mailbox: &str) -> &mut Shelf {
        self.shelves.entry((account.to_owned(), mailbox.to_owned())).or_default()
    }

    fn apply(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Begin { op, account, mailbox, change } => {
                self.last_op = self.last_op.max(op);
                self.messages += 1;
                if self.messages > LEDGER_MESSAGES_MAX {
                    return Err(format!("more than {LEDGER_MESSAGES_MAX} changes"));
                }
                self.begun(&account, &mailbox, &change)?;
                if !matches!(change, Change::Seen { .. }) {
                    self.open.insert(op, (account, mailbox, change));
                }
                Ok(())
            }
            Line::Done { op, place } => {
                let (account, mailbox, change) = self.open.remove(&op).ok_or("a change that was not begun")?;
                self.acknowledged(&account, &mailbox, change, place)
            }
            Line::Refused { op } => {
                let (account, mailbox, change) = self.open.remove(&op).ok_or("a change that was not begun")?;
                if let Change::Append { id } = change {
                    // RFC 9051 §6.3.12: an unsuccessful APPEND leaves nothing behind. The others may have done a part.
                    let loose = self.shelf(&account, &mailbox).loose.entry(id).or_default();
                    loose.possible = loose.possible.saturating_sub(1);
                }
                Ok(())
            }
            Line::Left { op } => self.open.remove(&op).map(drop).ok_or("a change that was not begun".into()),
        }
    }

    fn begun(&mut self, account: &str, mailbox: &str, change: &Change) -> Result<(), String> {
        match change {
            Change::Append { id } | Change::Deliver { id } => {
                self.shelf(account, mailbox).loose.entry(*id).or_default().possible += 1;
            }
            Change::Copy { from, to, moves } => {
                let source = self.shelf(account, mailbox).at(*from)?;
                let id = source.id;
                if *moves {
                    self.shelf(account, mailbox).may_go(*from)?;
                }
                if let Some(id) = id {
                    self.shelf(account, to).loose.entry(id).or_default().possible += 1;
                }
            }
            Change::Flag { at, flag, .. } => {
                self.shelf(account, mailbox).at(*at)?.flags.insert(flag.clone(), Maybe);
            }
            Change::Expunge { at } => self.shelf(account, mailbox).may_go(*at)?,
            Change::Seen { at, id } => self.shelf(account, mailbox).seen(*at, *id)?,
        }
        Ok(())
    }

    fn acknowledged(
        &mut self,
        account: &str,
        mailbox: &str,
        change: Change,
        place: Option<Place>,
    ) -> Result<(), String> {
        match change {
            Change::Append { id } | Change::Deliver { id } => self.shelf(account, mailbox).arrived(Some(id), place)?,
            Change::Copy { from, to, moves } => {
                let source = self.shelf(account, mailbox).at(from)?;
                let id = source.id;
                if moves {
                    source.present = No;
                }
                self.shelf(account, &to).arrived(id, place)?;
            }
            Change::Flag { at, flag, set } => {
                self.shelf(account, mailbox).at(at)?.flags.insert(flag, if set { Yes } else { No });
            }
            Change::Expunge { at } => self.shelf(account, mailbox).at(at)?.present = No,
            Change::Seen { .. } => {}
        }
        Ok(())
    }

    /// The mailboxes that anything is known of: account and name.
    pub fn mailboxes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.shelves.keys().map(|(account, mailbox)| (account.as_str(), mailbox.as_str()))
    }

    /// Messages that must be there.
    pub fn promised(&self) -> usize {
        let of = |shelf: &Shelf| {
            let known = shelf.known.values().filter(|known| known.present == Yes && known.id.is_some()).count();
            known + shelf.loose.values().map(|loose| loose.certain).sum::<usize>()
        };
        self.shelves.values().map(of).sum()
    }

    /// Changes without an answer.
    pub fn in_doubt(&self) -> usize {
        self.open.len()
    }

    /// Compares what was found in a mailbox with what was promised; each contradiction as a sentence.
    pub fn check(&self, account: &str, mailbox: &str, validity: u32, found: &[Found]) -> Vec<String> {
        let Some(shelf) = self.shelves.get(&(account.to_owned(), mailbox.to_owned())) else { return Vec::new() };
        let mut wrong = shelf.check(validity, found);
        for sentence in &mut wrong {
            sentence.insert_str(0, &format!("{mailbox} of {account}: "));
        }
        wrong
    }
}

impl Known {
    fn wrong_flag(&self, is_set: impl Fn(&str) -> bool) -> Option<String> {
        self.flags.iter().find_map(|(flag, certainty)| match (certainty, is_set(flag)) {
            (Yes, false) => Some(format!("has lost {flag}, whose STORE was acknowledged")),
            (No, true) => Some(format!("has {flag}, which an acknowledged STORE took away")),
            _ => None,
        })
    }
}

impl Shelf {
    fn of_validity(&mut self, validity: u32) -> Result<(), String> {
        match self.validity.replace(validity) {
            Some(known) if known != validity => Err(format!("UIDVALIDITY was {known} and now is {validity}")),
            _ => Ok(()),
        }
    }

    fn at(&mut self, place: Place) -> Result<&mut Known, String> {
        self.of_validity(place.validity)?;
        Ok(self.known.entry(place.uid).or_insert(Known { id: None, present: Yes, flags: BTreeMap::new() }))
    }

    /// A message is being removed.
    fn may_go(&mut self, at: Place) -> Result<(), String> {
        let known = self.at(at)?;
        known.present = Maybe;
        if let Some(places) = known.id.and_then(|id| self.early.get_mut(&id)) {
            // That it was put there will say nothing any more.
            places.iter_mut().filter(|place| **place == Some(at.uid)).for_each(|place| *place = None);
        }
        Ok(())
    }

    /// A message was acknowledged.
    fn arrived(&mut self, id: Option<Id>, place: Option<Place>) -> Result<(), String> {
        let early = id.and_then(|id| self.early.get_mut(&id)).filter(|places| !places.is_empty());
        let seen = early.map(|places| {
            let told = place.map(|place| Some(place.uid));
            let at = told.and_then(|uid| places.iter().position(|place| *place == uid)).unwrap_or(places.len() - 1);
            places.remove(at)
        });
        match (id, seen) {
            // It was seen there while it was only begun.
            (_, Some(uid)) => {
                let known = uid.and_then(|uid| self.known.get_mut(&uid));
                known.into_iter().for_each(|known| known.present = Yes);
            }
            (Some(id), None) => {
                let loose = self.loose.entry(id).or_default();
                loose.possible = loose.possible.saturating_sub(1);
                loose.certain += usize::from(place.is_none());
            }
            (None, None) => {}
        }
        let Some(place) = place else { return Ok(()) };
        let known = self.at(place)?;
        if known.id.is_some() && known.id != id {
            return Err(format!("UID {} was given twice", place.uid));
        }
        known.id = id;
        if let Some(id) = id {
            self.homes.entry(id).or_default().insert(place.uid);
        }
        Ok(())
    }

    /// A message was seen at its place.
    fn seen(&mut self, at: Place, id: Id) -> Result<(), String> {
        self.of_validity(at.validity)?;
        if self.known.get(&at.uid).and_then(|known| known.id).is_some_and(|other| other != id) {
            return Err(format!("the message with UID {} is another one now", at.uid));
        }
        let is_home = self.homes.get(&id).is_some_and(|homes| homes.contains(&at.uid));
        let is_ours = self.homes.contains_key(&id) || self.loose.contains_key(&id);
        if is_home || !is_ours {
            self.at(at)?.id = Some(id);
            return Ok(());
        }
        let loose = self.loose.entry(id).or_default();
        let certain = loose.certain > 0;
        match (certain, loose.possible) {
            (true, _) => loose.certain -= 1,
            (false, 1..) => loose.possible -= 1,
            (false, 0) => return Err(format!("message {id} is at UID {} as well, and was not put there", at.uid)),
        }
        self.homes.entry(id).or_default().insert(at.uid);
        let known = self.at(at)?;
        known.id = Some(id);
        if !certain && known.present == Yes {
            known.present = Maybe;
            self.early.entry(id).or_default().push(Some(at.uid));
        }
        Ok(())
    }

    fn check(&self, validity: u32, found: &[Found]) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(known) = self.validity.filter(|known| *known != validity) {
            return vec![format!("UIDVALIDITY was {known} and now is {validity}")];
        }
        let mut by_id: BTreeMap<Id, Vec<u32>> = BTreeMap::new();
        let by_uid: BTreeMap<u32, &Found> = found.iter().map(|one| (one.uid, one)).collect();
        for one in found {
            if one.verdict == Verdict::Damaged {
                wrong.push(format!("the message with UID {} is damaged", one.uid));
            }
            if let Some(id) = one.id {
                by_id.entry(id).or_default().push(one.uid);
            }
        }
        for (uid, known) in &self.known {
            match (known.present, by_uid.get(uid)) {
                (Yes, None) => wrong.push(format!("the message with UID {uid} was acknowledged and is lost")),
                (No, Some(_)) => wrong.push(format!("the message with UID {uid} was expunged and is back")),
                (_, Some(one)) => {
                    if known.id.is_some() && one.id != known.id {
                        wrong.push(format!("the message with UID {uid} is another one than the one put there"));
                    }
                    let is_set = |flag: &str| one.flags.iter().any(|told| told.eq_ignore_ascii_case(flag));
                    wrong.extend(known.wrong_flag(is_set).map(|what| format!("the message with UID {uid} {what}")));
                }
                _ => {}
            }
        }
        self.check_counts(&by_id, &mut wrong);
        wrong
    }

    /// Each message exactly as often as it was put here: under the UIDs that are accounted for, and once more where none was told.
    fn check_counts(&self, by_id: &BTreeMap<Id, Vec<u32>>, wrong: &mut Vec<String>) {
        let ids: BTreeSet<&Id> = self.loose.keys().chain(self.homes.keys()).collect();
        for id in ids {
            let is_home = |uid: &u32| self.homes.get(id).is_some_and(|homes| homes.contains(uid));
            let others = by_id.get(id).map_or(0, |uids| uids.iter().filter(|uid| !is_home(uid)).count());
            let loose = self.loose.get(id).map_or((0, 0), |loose| (loose.certain, loose.possible));
            let allowed = loose.0 + loose.1;
            if others < loose.0 {
                wrong.push(format!("message {id} was acknowledged and is lost"));
            } else if others > allowed {
                let more = others - allowed;
                wrong.push(format!("message {id} is there {more} times more than it was put there"));
            }
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
