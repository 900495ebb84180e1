//! COPY and MOVE within an account: messages get a second home, all of them or none (RFC 3501 §6.4.7, RFC 6851).
//!
//! Invariants: one record in the log says all of it; the UIDs in the target are assigned with it, one for each message that
//! was there then, and stay unused where one is expunged before it is applied (RFC 2180 §4.4); a copy reads what its original
//! reads, memory or file; a checkpoint writes what it seals of one content once, whatever an older file has of it. It takes
//! the flags, the keywords (as the target's bits), INTERNALDATE and EMAILID of the moment in which it is applied, and is
//! `\Recent`.

use std::cell::OnceCell;
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::change::{Change, Transfer, UidRanges};
use super::checkpoint;
use super::columns::Row;
use super::commit::Done;
use super::mailbox::{Mailbox, RECORD_MARGIN};
use super::mailbox_state::{MailboxState, add_uid};
use super::message::Location;
use super::types::{Error, UidValidity};
use super::view::View;
use crate::limits::{BREATH_ROWS, COPIED_MESSAGE_BYTES, COPY_MESSAGES_MAX, COPY_RANGES_MAX, KEYWORD_BYTES_MAX};

/// What became of a COPY or MOVE: what COPYUID tells (RFC 4315 §3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    /// UIDVALIDITY of the target.
    pub uid_validity: UidValidity,
    /// UIDs of the source, ascending, first and last of each range.
    pub from: Vec<(u32, u32)>,
    /// The UIDs that they got, in the same order.
    pub to: Vec<(u32, u32)>,
}

/// What is to be copied.
#[derive(Default)]
struct Chosen {
    uids: UidRanges,
    count: u32,
    /// All keywords that one of them has.
    keywords: u64,
}

/// A copy's record with the log, and where it says what became of it.
type UnderWay = (Rc<Done>, Rc<OnceCell<(UidRanges, UidRanges)>>);

impl View {
    /// Copies messages by UID with flags, keywords and INTERNALDATE; durable, all or none. UIDs that are gone are passed
    /// over; `from` is empty where none was left. A keyword that the target has no room for is not copied.
    pub async fn copy(&self, uids: &[RangeInclusive<u32>], to: &Mailbox) -> Result<Copied, Error> {
        self.transfer(uids, to, false).await
    }

    /// The same, and expunges the originals in the same record (RFC 6851).
    pub async fn move_to(&self, uids: &[RangeInclusive<u32>], to: &Mailbox) -> Result<Copied, Error> {
        self.transfer(uids, to, true).await
    }

    async fn transfer(&self, uids: &[RangeInclusive<u32>], to: &Mailbox, moves: bool) -> Result<Copied, Error> {
        let mut copied = Copied { uid_validity: to.uid_validity(), from: Vec::new(), to: Vec::new() };
        checkpoint::make_room(self.mailbox().account().core()).await;
        let Some((done, outcome)) = self.submit_transfer(uids, to, moves)? else { return Ok(copied) };
        done.wait().await?;
        if let Some(outcome) = outcome.get() {
            (copied.from, copied.to) = outcome.clone();
        }
        Ok(copied)
    }

    fn submit_transfer(
        &self,
        uids: &[RangeInclusive<u32>],
        to: &Mailbox,
        moves: bool,
    ) -> Result<Option<UnderWay>, Error> {
        let (account, core) = (to.account(), to.account().core());
        if !Rc::ptr_eq(self.mailbox().account().state(), account.state()) {
            return Err(Error::Gone);
        }
        self.mailbox().check_open()?;
        to.check_open()?;
        let chosen = self.choose(uids)?;
        if chosen.count == 0 {
            return Ok(None);
        }
        let names = self.mailbox().state().data.borrow().keywords.clone();
        let bytes = 8 * chosen.uids.len() + names.len() * (RECORD_MARGIN + KEYWORD_BYTES_MAX);
        core.commits.check_room(bytes + RECORD_MARGIN)?;
        let first = to.state().data.borrow().uid_next_assigned;
        let after = first.checked_add(chosen.count).ok_or(Error::NoUids)?;
        let keywords = to.map_keywords(chosen.keywords, &names)?;
        to.state().data.borrow_mut().uid_next_assigned = after;
        core.commits.count_unsealed(COPIED_MESSAGE_BYTES * u64::from(chosen.count));
        let (source, target) = (self.mailbox().id().0, to.id().0);
        let outcome = Rc::<OnceCell<_>>::default();
        let transfer = Transfer { source, target, moves, first, keywords, uids: chosen.uids, outcome: outcome.clone() };
        let (_, done) = account.state().submit(core, Change::Transferred(transfer), true);
        Ok(Some((done, outcome)))
    }

    /// The messages of `uids` that the view knows and that are still there.
    fn choose(&self, uids: &[RangeInclusive<u32>]) -> Result<Chosen, Error> {
        let known = self.known(uids);
        self.with(|data, _| {
            let mut chosen = Chosen::default();
            let rows = known.iter().flat_map(|&(first, last)| data.columns.range(first, last));
            for row in rows.filter(|&row| !data.hidden.has(row)) {
                add_uid(&mut chosen.uids, data.columns.uid[row]);
                chosen.count += 1;
                chosen.keywords |= data.columns.keywords[row];
                if chosen.count as usize > COPY_MESSAGES_MAX || chosen.uids.len() > COPY_RANGES_MAX {
                    return Err(Error::TooMany);
                }
            }
            Ok(chosen)
        })
    }
}

impl Mailbox {
    /// Pairs the bits of another mailbox's keywords with this one's, names for those that have none here submitted on the
    /// way, as far as there is room.
    fn map_keywords(&self, bits: u64, names: &[Rc<str>]) -> Result<Vec<(u8, u8)>, Error> {
        let mut pairs = Vec::new();
        for (bit, name) in names.iter().enumerate().filter(|(bit, _)| bits & 1 << bit != 0) {
            match self.name_keywords(&[name.to_string()]) {
                Ok(here) => pairs.push((bit as u8, here.trailing_zeros() as u8)),
                Err(Error::TooManyKeywords) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pairs)
    }
}

/// Makes a durable copy or move visible; who waits for it learns what there was to copy.
pub(super) fn apply(seq: u64, transfer: &Transfer, source: &MailboxState, target: &MailboxState) {
    let mut copied = (UidRanges::new(), UidRanges::new());
    // Where source and target are one, the copies are not to be copied.
    let highest = source.data.borrow().columns.uid.last().copied().unwrap_or(0);
    let mut next = u64::from(transfer.first);
    for &(first, last) in &transfer.uids {
        let mut from = first;
        while from <= last.min(highest) {
            let rows = take_rows(source, from, last.min(highest));
            let mut data = target.data.borrow_mut();
            for (row, location) in rows.live {
                let uid = match transfer.first {
                    0 => Some(row.uid),
                    _ => u32::try_from(next + u64::from(row.uid - first)).ok(),
                };
                let Some(uid) = uid else { continue };
                let keywords = mapped(row.keywords, &transfer.keywords);
                let bytes = location.copy_bytes();
                if data.apply_message(Row { uid, keywords, modseq: seq, ..row }, location, bytes) {
                    add_uid(&mut copied.0, row.uid);
                    add_uid(&mut copied.1, uid);
                }
            }
            match rows.next {
                Some(next) => from = next,
                None => break,
            }
        }
        next += u64::from(last.saturating_sub(first)) + 1;
    }
    if transfer.first != 0 {
        target.data.borrow_mut().skip_uids(u32::try_from(next).unwrap_or(u32::MAX));
    }
    if transfer.moves && !copied.0.is_empty() {
        source.data.borrow_mut().apply_expunge(seq, &copied.0, false);
    }
    // Nobody else sets it.
    let _ = transfer.outcome.set(copied);
}

/// Some rows of a range of UIDs.
struct Rows {
    live: Vec<(Row, Location)>,
    /// The first UID that was not looked at; `None`: all were.
    next: Option<u32>,
}

fn take_rows(mailbox: &MailboxState, first: u32, last: u32) -> Rows {
    let data = mailbox.data.borrow();
    let range = data.columns.range(first, last);
    let end = range.end.min(range.start + BREATH_ROWS);
    let live = (range.start..end).filter(|&row| !data.hidden.has(row));
    let live = live.map(|row| (data.columns.row(row), data.columns.location[row].clone())).collect();
    Rows { live, next: (end < range.end).then(|| data.columns.uid[end]) }
}

/// Keywords as the target's bits.
fn mapped(keywords: u64, pairs: &[(u8, u8)]) -> u64 {
    if keywords == 0 {
        return 0;
    }
    let has = pairs.iter().filter(|(source, _)| keywords & 1 << source != 0);
    has.fold(0, |bits, (_, target)| bits | 1 << target)
}
