//! An account as anyone would write it down, and what a change does to it: the reference that the store is compared with.
//!
//! Invariants: nothing here looks at the store but for its constants; a change is what one record of the log says, numbered
//! as the account numbers it, and changes are applied in that order. What is not modelled: special uses, and what a view was told.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::store::{FlagOp, Flags};

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PlainMessage {
    pub number: u32,
    pub flags: u16,
    pub keywords: u64,
    pub modseq: u64,
}

/// A mailbox that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PlainMailbox {
    pub name: Rc<str>,
    pub uid_validity: u32,
    pub subscribed: bool,
    pub uid_next: u32,
    pub highest_modseq: u64,
    pub recent_from: u32,
    pub keywords: Vec<Rc<str>>,
    pub messages: BTreeMap<u32, PlainMessage>,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Plain {
    /// The last change that is in it.
    pub seq: u64,
    /// By id.
    pub mailboxes: BTreeMap<u32, PlainMailbox>,
    /// Names that are subscribed and have no mailbox.
    pub lone: BTreeSet<Rc<str>>,
    /// The highest id and UIDVALIDITY that it ever had.
    pub id_max: u32,
    pub validity_max: u32,
}

/// What one record of the log says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Created {
        id: u32,
        name: Rc<str>,
        uid_validity: u32,
        subscribed: bool,
    },
    Renamed {
        from: Rc<str>,
        to: Rc<str>,
    },
    Deleted {
        id: u32,
    },
    /// `id` is that of a name without a mailbox.
    Subscribed {
        id: u32,
        name: Rc<str>,
        subscribed: bool,
    },
    Appended {
        mailbox: u32,
        uid: u32,
        message: PlainMessage,
    },
    Named {
        mailbox: u32,
        name: Rc<str>,
    },
    Flags {
        mailbox: u32,
        uids: (u32, u32),
        op: FlagOp,
        operand: (u16, u64),
    },
    Expunged {
        mailbox: u32,
        uids: Vec<u32>,
        marked: bool,
    },
    Transferred(Transfer),
    RecentSeen {
        mailbox: u32,
        upto: u32,
    },
}

/// A copy or a move.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Transfer {
    pub source: u32,
    pub target: u32,
    pub moves: bool,
    /// Each message and the UID that it gets; `None`: all that are there, which keep theirs.
    pub uids: Option<Vec<(u32, u32)>>,
    /// Bits of keywords, in the source and in the target.
    pub keywords: Vec<(u8, u8)>,
}

impl Plain {
    /// The mailbox of a name.
    pub(super) fn id_of(&self, name: &str) -> Option<u32> {
        self.mailboxes.iter().find(|(_, mailbox)| &*mailbox.name == name).map(|(id, _)| *id)
    }

    /// Whether there are mailboxes below a name.
    pub(super) fn has_children(&self, name: &str) -> bool {
        self.mailboxes.values().any(|mailbox| is_below(&mailbox.name, name))
    }

    /// A mailbox, or a name that has mailboxes below it.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.id_of(name).is_some() || self.has_children(name)
    }

    /// Names to make for `name` to be there, the outermost first.
    pub(super) fn missing_levels(&self, name: &str) -> Vec<String> {
        let above = name.match_indices('/').map(|(end, _)| &name[..end]).filter(|level| !self.has_name(level));
        above.chain([name]).map(str::to_owned).collect()
    }

    /// Subscribed names.
    pub(super) fn subscribed(&self) -> BTreeSet<Rc<str>> {
        let live = self.mailboxes.values().filter(|mailbox| mailbox.subscribed).map(|mailbox| mailbox.name.clone());
        live.chain(self.lone.iter().cloned()).collect()
    }

    /// Applies change `seq`.
    pub(super) fn apply(&mut self, seq: u64, step: &Step) {
        self.seq = seq;
        match step {
            Step::Created { id, name, uid_validity, subscribed } => {
                let subscribed = self.lone.remove(name) || *subscribed;
                let (name, keywords, messages) = (name.clone(), Vec::new(), BTreeMap::new());
                let (uid_validity, uid_next, recent_from, highest_modseq) = (*uid_validity, 1, 1, seq);
                let mailbox = PlainMailbox {
                    name,
                    uid_validity,
                    subscribed,
                    uid_next,
                    highest_modseq,
                    recent_from,
                    keywords,
                    messages,
                };
                self.mailboxes.insert(*id, mailbox);
                self.id_max = self.id_max.max(*id);
                self.validity_max = self.validity_max.max(uid_validity);
            }
            Step::Renamed { from, to } => self.rename(from, to),
            Step::Deleted { id } => {
                if let Some(mailbox) = self.mailboxes.remove(id)
                    && mailbox.subscribed
                {
                    self.lone.insert(mailbox.name);
                }
            }
            Step::Subscribed { id, name, subscribed } => {
                self.id_max = self.id_max.max(*id);
                let mailbox = self.mailboxes.values_mut().find(|mailbox| mailbox.name == *name);
                match (mailbox, subscribed) {
                    (Some(mailbox), _) => mailbox.subscribed = *subscribed,
                    (None, true) => drop(self.lone.insert(name.clone())),
                    (None, false) => drop(self.lone.remove(name)),
                }
            }
            Step::Transferred(transfer) => self.transfer(seq, transfer),
            Step::Appended { mailbox, .. }
            | Step::Named { mailbox, .. }
            | Step::Flags { mailbox, .. }
            | Step::Expunged { mailbox, .. }
            | Step::RecentSeen { mailbox, .. } => {
                if let Some(mailbox) = self.mailboxes.get_mut(mailbox) {
                    mailbox.apply(seq, step);
                }
            }
        }
    }

    fn rename(&mut self, from: &str, to: &str) {
        let renamed = |name: &str| -> Rc<str> { format!("{to}{}", &name[from.len()..]).into() };
        let meant = |name: &str| name == from || is_below(name, from);
        let lone: Vec<Rc<str>> = self.lone.iter().filter(|name| meant(name)).cloned().collect();
        let Plain { mailboxes, lone: names, .. } = self;
        for mailbox in mailboxes.values_mut().filter(|mailbox| meant(&mailbox.name)) {
            mailbox.name = renamed(&mailbox.name);
            mailbox.subscribed |= names.remove(&mailbox.name);
        }
        for name in lone {
            self.lone.remove(&name);
            let name = renamed(&name);
            if self.id_of(&name).is_none() {
                self.lone.insert(name);
            }
        }
    }

    fn transfer(&mut self, seq: u64, transfer: &Transfer) {
        let (Some(source), true) =
            (self.mailboxes.get(&transfer.source), self.mailboxes.contains_key(&transfer.target))
        else {
            return;
        };
        let all = || source.messages.keys().map(|&uid| (uid, uid)).collect();
        let pairs: Vec<(u32, u32)> = transfer.uids.clone().unwrap_or_else(all);
        let found: Vec<(u32, u32, PlainMessage)> =
            pairs.iter().filter_map(|&(from, to)| Some((from, to, source.messages.get(&from)?.clone()))).collect();
        let target = self.mailboxes.get_mut(&transfer.target).expect("looked for above");
        for (_, uid, message) in &found {
            let pairs = transfer.keywords.iter().filter(|(bit, _)| message.keywords & 1 << bit != 0);
            let keywords = pairs.fold(0, |bits, (_, bit)| bits | 1 << bit);
            target.add(*uid, PlainMessage { keywords, modseq: seq, ..message.clone() });
        }
        if let (Some(_), Some((_, last))) = (&transfer.uids, pairs.last()) {
            target.uid_next = target.uid_next.max(last + 1);
        }
        if transfer.moves && !found.is_empty() {
            let source = self.mailboxes.get_mut(&transfer.source).expect("looked for above");
            source.messages.retain(|uid, _| found.iter().all(|(gone, ..)| gone != uid));
            source.highest_modseq = source.highest_modseq.max(seq);
        }
    }
}

impl PlainMailbox {
    fn add(&mut self, uid: u32, message: PlainMessage) {
        self.uid_next = self.uid_next.max(uid + 1);
        self.highest_modseq = self.highest_modseq.max(message.modseq);
        self.messages.insert(uid, message);
    }

    fn apply(&mut self, seq: u64, step: &Step) {
        match step {
            Step::Appended { uid, message, .. } => self.add(*uid, PlainMessage { modseq: seq, ..message.clone() }),
            Step::Named { name, .. } => self.keywords.push(name.clone()),
            Step::Flags { uids, op, operand, .. } => {
                for message in self.messages.range_mut(uids.0..=uids.1).map(|(_, message)| message) {
                    let (old, new) = ((message.flags, message.keywords), *operand);
                    let new = match op {
                        FlagOp::Add => (old.0 | new.0, old.1 | new.1),
                        FlagOp::Remove => (old.0 & !new.0, old.1 & !new.1),
                        FlagOp::Replace => new,
                    };
                    if new != old {
                        (message.flags, message.keywords, message.modseq) = (new.0, new.1, seq);
                        self.highest_modseq = seq;
                    }
                }
            }
            Step::Expunged { uids, marked, .. } => {
                let stays = |message: &PlainMessage| *marked && message.flags & Flags::DELETED.0 == 0;
                self.messages.retain(|uid, message| !uids.contains(uid) || stays(message));
                self.highest_modseq = seq;
            }
            Step::RecentSeen { upto, .. } => self.recent_from = self.recent_from.max(*upto),
            _ => {}
        }
    }
}

fn is_below(name: &str, top: &str) -> bool {
    name.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'))
}
