//! What a session asks for, and the changes that must come of it: decided on the reference, not on the store.
//!
//! Invariants: a change of the tree is decided on what is visible, since one is under way at a time; UIDs, keywords' bits and
//! ids are given out at submission and stay given out where the change is refused later. Everything that [`AccountModel::steps`]
//! says is exact: the number of records, their order, and every number in them.

use std::rc::Rc;

use super::judge::AccountModel;
use super::plain::{PlainMailbox, PlainMessage, Step, Transfer};
use crate::store::{FlagOp, Flags};

/// What a session is at.
#[derive(Clone, Debug)]
pub(super) enum Intent {
    /// To open an account, which may have to be made.
    Open,
    /// To add a message to mailboxes, by account and id.
    Append {
        copies: Vec<(usize, u32)>,
        message: PlainMessage,
        keywords: Vec<String>,
    },
    /// To change flags; UIDs are those that the view knows.
    Flags {
        account: usize,
        mailbox: u32,
        uids: (u32, u32),
        op: FlagOp,
        flags: u16,
        keywords: Vec<String>,
    },
    Expunge {
        account: usize,
        mailbox: u32,
        uids: (u32, u32),
        marked: bool,
    },
    Transfer {
        account: usize,
        source: u32,
        target: u32,
        uids: (u32, u32),
        moves: bool,
    },
    Create {
        account: usize,
        name: String,
    },
    Rename {
        account: usize,
        from: String,
        to: String,
    },
    Delete {
        account: usize,
        name: String,
    },
    Subscribe {
        account: usize,
        name: String,
        subscribed: bool,
    },
    /// To look at a mailbox: the messages may be recent no longer.
    Look {
        account: usize,
        mailbox: u32,
    },
    /// Nothing that changes an account.
    Other,
}

/// Why there is nothing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    Missing,
    Exists,
    Invalid,
    Gone,
}

type Steps = Result<Vec<Step>, Refused>;

const FIRST_MAILBOXES: [&str; 5] = ["Drafts", "Sent", "Junk", "Trash", "Archive"];

impl Intent {
    /// The account that it is about; `None`: any.
    pub(super) fn account(&self) -> Option<usize> {
        match self {
            Intent::Open | Intent::Append { .. } | Intent::Other => None,
            Intent::Flags { account, .. }
            | Intent::Expunge { account, .. }
            | Intent::Transfer { account, .. }
            | Intent::Create { account, .. }
            | Intent::Rename { account, .. }
            | Intent::Delete { account, .. }
            | Intent::Subscribe { account, .. }
            | Intent::Look { account, .. } => Some(*account),
        }
    }
}

impl AccountModel {
    /// The changes of this account, number `index`, that an intent submits now, given out as they are.
    pub(super) fn steps(&mut self, index: usize, intent: &Intent, unix: u32) -> Steps {
        match intent {
            Intent::Open => Ok(self.first_mailboxes(unix)),
            Intent::Append { copies, message, keywords } => {
                let mailboxes = copies.iter().filter(|(account, _)| *account == index).map(|(_, mailbox)| *mailbox);
                let mut steps = Vec::new();
                for mailbox in mailboxes {
                    self.open(mailbox)?;
                    let bits = self.named_bits(mailbox, keywords, &mut steps);
                    let uid = self.give_uids(mailbox, 1);
                    let message = PlainMessage { keywords: bits, ..message.clone() };
                    steps.push(Step::Appended { mailbox, uid, message });
                }
                Ok(steps)
            }
            Intent::Flags { mailbox, uids, op, flags, keywords, .. } => {
                self.open(*mailbox)?;
                let mut steps = Vec::new();
                let bits = match op {
                    FlagOp::Remove => self.known_bits(*mailbox, keywords),
                    _ => self.named_bits(*mailbox, keywords, &mut steps),
                };
                steps.push(Step::Flags { mailbox: *mailbox, uids: *uids, op: *op, operand: (*flags, bits) });
                Ok(steps)
            }
            Intent::Expunge { mailbox, uids, marked, .. } => {
                let found = self.open(*mailbox)?.messages.range(uids.0..=uids.1);
                let found = found.filter(|(_, message)| !marked || message.flags & Flags::DELETED.0 != 0);
                let uids: Vec<u32> = found.map(|(uid, _)| *uid).collect();
                let step = Step::Expunged { mailbox: *mailbox, marked: *marked, uids: uids.clone() };
                Ok(if uids.is_empty() { Vec::new() } else { vec![step] })
            }
            Intent::Transfer { source, target, uids, moves, .. } => self.transfer((*source, *target), *uids, *moves),
            Intent::Look { mailbox, .. } => {
                let upto = self.open(*mailbox)?.uid_next;
                Ok(vec![Step::RecentSeen { mailbox: *mailbox, upto }])
            }
            Intent::Create { name, .. } => {
                if self.visible.id_of(name).is_some() {
                    return Err(Refused::Exists);
                }
                let missing = self.visible.missing_levels(name);
                Ok(missing.into_iter().map(|level| self.creation(&level, false, unix)).collect())
            }
            Intent::Rename { from, to, .. } if from == "INBOX" => self.rename_inbox(to, unix),
            Intent::Rename { from, to, .. } => self.rename(from, to, unix),
            Intent::Delete { name, .. } => {
                let noselect = self.visible.has_children(name);
                match self.visible.id_of(name) {
                    _ if name == "INBOX" => Err(Refused::Invalid),
                    None => Err(if noselect { Refused::Invalid } else { Refused::Missing }),
                    Some(id) => {
                        self.assigned_mut().closing.insert(id);
                        Ok(vec![Step::Deleted { id }])
                    }
                }
            }
            Intent::Subscribe { name, subscribed, .. } => self.subscribe(name, *subscribed, unix),
            Intent::Other => Ok(Vec::new()),
        }
    }

    /// The mailbox, where changes of it are taken.
    fn open(&self, mailbox: u32) -> Result<&PlainMailbox, Refused> {
        let closing = self.assigned.as_ref().is_some_and(|assigned| assigned.closing.contains(&mailbox));
        self.visible.mailboxes.get(&mailbox).filter(|_| !closing).ok_or(Refused::Gone)
    }

    fn give_uids(&mut self, mailbox: u32, count: u32) -> u32 {
        let visible = self.visible.mailboxes.get(&mailbox).map_or(1, |mailbox| mailbox.uid_next);
        let next = self.assigned_mut().uid_next.entry(mailbox).or_insert(visible);
        let first = (*next).max(visible);
        *next = first + count;
        first
    }

    fn named(&mut self, mailbox: u32) -> &mut Vec<Rc<str>> {
        let visible = self.visible.mailboxes.get(&mailbox).map(|mailbox| mailbox.keywords.clone()).unwrap_or_default();
        self.assigned_mut().named.entry(mailbox).or_insert(visible)
    }

    fn known_bits(&mut self, mailbox: u32, names: &[String]) -> u64 {
        let named = self.named(mailbox);
        let bits = names.iter().filter_map(|name| named.iter().position(|known| known.eq_ignore_ascii_case(name)));
        bits.fold(0, |all, bit| all | 1 << bit)
    }

    /// The bits of keywords, those that have none named on the way.
    fn named_bits(&mut self, mailbox: u32, names: &[String], steps: &mut Vec<Step>) -> u64 {
        for name in names {
            let named = self.named(mailbox);
            if !named.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                let name: Rc<str> = name.as_str().into();
                named.push(name.clone());
                steps.push(Step::Named { mailbox, name });
            }
        }
        self.known_bits(mailbox, names)
    }

    fn transfer(&mut self, (source, target): (u32, u32), uids: (u32, u32), moves: bool) -> Steps {
        let from = self.open(source)?;
        let chosen: Vec<(u32, u64)> =
            from.messages.range(uids.0..=uids.1).map(|(uid, message)| (*uid, message.keywords)).collect();
        let names = from.keywords.clone();
        self.open(target)?;
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let all = chosen.iter().fold(0, |all, (_, keywords)| all | keywords);
        let (mut steps, mut keywords) = (Vec::new(), Vec::new());
        for (bit, name) in names.iter().enumerate().filter(|(bit, _)| all & 1 << bit != 0) {
            let here = self.named_bits(target, &[name.to_string()], &mut steps);
            keywords.push((bit as u8, here.trailing_zeros() as u8));
        }
        let first = self.give_uids(target, chosen.len() as u32);
        let uids = Some(chosen.iter().zip(first..).map(|((uid, _), next)| (*uid, next)).collect());
        steps.push(Step::Transferred(Transfer { source, target, moves, uids, keywords }));
        Ok(steps)
    }

    fn new_ids(&mut self, unix: u32) -> (u32, u32) {
        let assigned = self.assigned_mut();
        assigned.id += 1;
        assigned.validity = unix.max(assigned.validity + 1);
        (assigned.id, assigned.validity)
    }

    fn creation(&mut self, name: &str, subscribed: bool, unix: u32) -> Step {
        let (id, uid_validity) = self.new_ids(unix);
        Step::Created { id, name: name.into(), uid_validity, subscribed }
    }

    fn first_mailboxes(&mut self, unix: u32) -> Vec<Step> {
        let (id, uid_validity) = self.new_ids(unix);
        let missing = FIRST_MAILBOXES.iter().filter(|name| !self.visible.has_name(name)).copied();
        let missing: Vec<&str> = missing.collect();
        let mut steps: Vec<Step> = missing.into_iter().map(|name| self.creation(name, true, unix)).collect();
        steps.push(Step::Created { id, name: "INBOX".into(), uid_validity, subscribed: true });
        steps
    }

    fn rename(&mut self, from: &str, to: &str, unix: u32) -> Steps {
        if !self.visible.has_name(from) {
            return Err(Refused::Missing);
        }
        if to.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) {
            return Err(Refused::Invalid);
        }
        if self.visible.has_name(to) {
            return Err(Refused::Exists);
        }
        let mut above = self.visible.missing_levels(to);
        above.pop();
        let mut steps: Vec<Step> = above.into_iter().map(|level| self.creation(&level, false, unix)).collect();
        steps.push(Step::Renamed { from: from.into(), to: to.into() });
        Ok(steps)
    }

    fn rename_inbox(&mut self, to: &str, unix: u32) -> Steps {
        if self.visible.has_name(to) {
            return Err(Refused::Exists);
        }
        let inbox = self.visible.id_of("INBOX").ok_or(Refused::Missing)?;
        let missing = self.visible.missing_levels(to);
        let mut steps: Vec<Step> = missing.into_iter().map(|level| self.creation(&level, false, unix)).collect();
        let Some(Step::Created { id: target, .. }) = steps.last().cloned() else { return Err(Refused::Exists) };
        let named = self.named(inbox).clone();
        let keywords = (0..named.len() as u8).map(|bit| (bit, bit)).collect();
        steps.extend(named.into_iter().map(|name| Step::Named { mailbox: target, name }));
        steps.push(Step::Transferred(Transfer { source: inbox, target, moves: true, uids: None, keywords }));
        Ok(steps)
    }

    fn subscribe(&mut self, name: &str, subscribed: bool, unix: u32) -> Steps {
        let name: Rc<str> = name.into();
        let live = self.visible.mailboxes.values().find(|mailbox| mailbox.name == name);
        let is_lone = self.visible.lone.contains(&name);
        let is_new = match live {
            Some(mailbox) if mailbox.subscribed == subscribed => return Ok(Vec::new()),
            Some(_) => false,
            None if is_lone && subscribed => return Ok(Vec::new()),
            None if is_lone => false,
            None if !self.visible.has_children(&name) => return Err(Refused::Missing),
            None if !subscribed => return Ok(Vec::new()),
            None => true,
        };
        let id = if is_new { self.new_ids(unix).0 } else { 0 };
        Ok(vec![Step::Subscribed { id, name, subscribed }])
    }
}
