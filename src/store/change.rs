//! Changes: what the payload of a log record says about one account.
//!
//! Invariants: everything that was given out (UID, UIDVALIDITY, keyword bits) is in the change, so that a replay gives out
//! nothing; flag changes, expunges of what is marked, copies and renames are what was asked for, not what came out, so that
//! two under way at once both count, and what they find is decided when they are applied; the same changes in the same order
//! on the same state end in the same state. MODSEQ is not in it: it is the account's sequence number of the record. Numbers
//! are little endian. FORMAT.md, "Changes".

use std::cell::OnceCell;
use std::rc::Rc;

use super::log_record::Payload;
use super::map::{Encoded, Map};
use super::message::{Content, Fresh, Text};
use super::record::{Details, Record};
use super::spool::Body;
use super::types::{FlagOp, Hash};
use crate::limits::KEYWORDS_MAX;

/// Kinds of records. 14 and 15 are kept for ACLs and metadata.
mod kind {
    pub const MAILBOX_CREATED: u8 = 1;
    pub const APPENDED: u8 = 2;
    pub const APPENDED_SEGMENT: u8 = 3;
    pub const FLAGS: u8 = 4;
    pub const KEYWORD_NAMED: u8 = 5;
    pub const EXPUNGED: u8 = 6;
    pub const RENAMED: u8 = 7;
    pub const DELETED: u8 = 8;
    pub const SUBSCRIBED: u8 = 9;
    pub const COPIED: u8 = 10;
    pub const MOVED: u8 = 11;
    pub const MAILBOX_CREATED_SUBSCRIBED: u8 = 12;
    pub const EXPUNGED_MARKED: u8 = 13;
    pub const RECENT_SEEN: u8 = 16;
}

/// The special use of a mailbox (RFC 6154). The numbers are on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum SpecialUse {
    /// None.
    #[default]
    None = 0,
    /// `\All`
    All = 1,
    /// `\Archive`
    Archive = 2,
    /// `\Drafts`
    Drafts = 3,
    /// `\Flagged`
    Flagged = 4,
    /// `\Junk`
    Junk = 5,
    /// `\Sent`
    Sent = 6,
    /// `\Trash`
    Trash = 7,
}

impl SpecialUse {
    pub(super) fn from_number(number: u8) -> SpecialUse {
        use SpecialUse::*;
        [None, All, Archive, Drafts, Flagged, Junk, Sent, Trash].get(usize::from(number)).copied().unwrap_or_default()
    }
}

/// UIDs: first and last of each range, ascending.
pub(super) type UidRanges = Vec<(u32, u32)>;

/// One change of an account.
#[derive(Debug)]
pub(super) enum Change {
    MailboxCreated {
        id: u32,
        name: String,
        uid_validity: u32,
        special_use: u8,
        subscribed: bool,
    },
    /// A mailbox and all below it, by name.
    Renamed {
        from: String,
        to: String,
    },
    Deleted {
        mailbox: u32,
    },
    /// The name, for a subscription of a name that has no mailbox: its id is new then.
    Subscribed {
        mailbox: u32,
        subscribed: bool,
        name: String,
    },
    Transferred(Transfer),
    Appended {
        mailbox: u32,
        uid: u32,
        message: Rc<Fresh>,
    },
    /// As it is read back: the segment is still to be opened.
    AppendedSegment {
        mailbox: u32,
        uid: u32,
        record: Encoded<Record>,
        segment: Hash,
    },
    Flags {
        mailbox: u32,
        uids: UidRanges,
        op: FlagOp,
        flags: u16,
        keywords: u64,
    },
    KeywordNamed {
        mailbox: u32,
        bit: u8,
        name: String,
    },
    /// `marked`: those of them that have `\Deleted` when it is applied.
    Expunged {
        mailbox: u32,
        uids: UidRanges,
        marked: bool,
    },
    RecentSeen {
        mailbox: u32,
        upto: u32,
    },
}

/// Messages of one mailbox that get a second home in another, or in the same one; or that move there.
#[derive(Debug)]
pub(super) struct Transfer {
    pub source: u32,
    pub target: u32,
    /// Whether the originals are expunged.
    pub moves: bool,
    /// The UID that the first of `uids` gets, the others' following one by one, there or not; 0: each keeps its own.
    pub first: u32,
    /// Bits of keywords in the source and in the target; others are not kept.
    pub keywords: Vec<(u8, u8)>,
    pub uids: UidRanges,
    /// What was there when it was applied, and what became of it. Not in the log.
    pub outcome: Rc<OnceCell<(UidRanges, UidRanges)>>,
}

impl Change {
    /// Whether it changes names, or which mailboxes there are.
    pub(super) fn is_of_tree(&self) -> bool {
        use Change::{Deleted, MailboxCreated, Renamed, Subscribed};
        matches!(self, MailboxCreated { .. } | Renamed { .. } | Deleted { .. } | Subscribed { .. })
    }

    /// Whether a message of a body file may come with it.
    pub(super) fn may_use_bodies(&self) -> bool {
        match self {
            Change::Transferred(_) => true,
            Change::Appended { message, .. } => message.segment().is_some(),
            _ => false,
        }
    }

    pub(super) fn kind(&self) -> u8 {
        match self {
            Change::MailboxCreated { subscribed: false, .. } => kind::MAILBOX_CREATED,
            Change::MailboxCreated { .. } => kind::MAILBOX_CREATED_SUBSCRIBED,
            Change::Renamed { .. } => kind::RENAMED,
            Change::Deleted { .. } => kind::DELETED,
            Change::Subscribed { .. } => kind::SUBSCRIBED,
            Change::Transferred(Transfer { moves: false, .. }) => kind::COPIED,
            Change::Transferred(_) => kind::MOVED,
            Change::Appended { message, .. } => match message.content() {
                Content::Inline { .. } => kind::APPENDED,
                Content::Segment(_) => kind::APPENDED_SEGMENT,
            },
            Change::AppendedSegment { .. } => kind::APPENDED_SEGMENT,
            Change::Flags { .. } => kind::FLAGS,
            Change::KeywordNamed { .. } => kind::KEYWORD_NAMED,
            Change::Expunged { marked: false, .. } => kind::EXPUNGED,
            Change::Expunged { marked: true, .. } => kind::EXPUNGED_MARKED,
            Change::RecentSeen { .. } => kind::RECENT_SEEN,
        }
    }

    /// A bound of what [`Change::encode`] writes.
    pub(super) fn encoded_bytes(&self) -> usize {
        match self {
            Change::MailboxCreated { name, .. }
            | Change::KeywordNamed { name, .. }
            | Change::Subscribed { name, .. } => 16 + name.len(),
            Change::Renamed { from, to } => 8 + from.len() + to.len(),
            Change::Deleted { .. } => 8,
            Change::Transferred(transfer) => 16 + 2 * transfer.keywords.len() + 8 * transfer.uids.len(),
            Change::Appended { message, .. } => 64 + message.inline_bytes(),
            Change::AppendedSegment { record, .. } => 64 + record.bytes().len(),
            Change::Flags { uids, .. } | Change::Expunged { uids, .. } => 24 + 8 * uids.len(),
            Change::RecentSeen { .. } => 8,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Change::MailboxCreated { id, name, uid_validity, special_use, .. } => {
                put(out, &[*id, *uid_validity]);
                out.push(*special_use);
                out.extend_from_slice(name.as_bytes());
            }
            Change::Renamed { from, to } => {
                put(out, &[from.len() as u32]);
                out.extend_from_slice(from.as_bytes());
                out.extend_from_slice(to.as_bytes());
            }
            Change::Deleted { mailbox } => put(out, &[*mailbox]),
            Change::Subscribed { mailbox, subscribed, name } => {
                put(out, &[*mailbox]);
                out.push(u8::from(*subscribed));
                out.extend_from_slice(name.as_bytes());
            }
            Change::Transferred(transfer) => transfer.encode(out),
            Change::Appended { mailbox, uid, message } => encode_message(out, (*mailbox, *uid), message),
            Change::AppendedSegment { mailbox, uid, record, segment } => {
                encode_segment(out, (*mailbox, *uid), record, *segment);
            }
            Change::Flags { mailbox, uids, op, flags, keywords } => {
                put(out, &[*mailbox]);
                out.extend_from_slice(&flags.to_le_bytes());
                out.push(match op {
                    FlagOp::Add => 1,
                    FlagOp::Remove => 2,
                    FlagOp::Replace => 3,
                });
                out.push(0);
                out.extend_from_slice(&keywords.to_le_bytes());
                uids.iter().for_each(|&(first, last)| put(out, &[first, last]));
            }
            Change::KeywordNamed { mailbox, bit, name } => {
                put(out, &[*mailbox]);
                out.push(*bit);
                out.extend_from_slice(name.as_bytes());
            }
            Change::Expunged { mailbox, uids, marked: _ } => {
                put(out, &[*mailbox]);
                uids.iter().for_each(|&(first, last)| put(out, &[first, last]));
            }
            Change::RecentSeen { mailbox, upto } => put(out, &[*mailbox, *upto]),
        }
    }

    /// The change that a payload says; `None` where it says none (its checksum was right: another version wrote it).
    pub(super) fn decode(kind: u8, payload: &Payload) -> Option<Change> {
        let mut input = Input(payload);
        match kind {
            kind::MAILBOX_CREATED | kind::MAILBOX_CREATED_SUBSCRIBED => {
                let (id, uid_validity, special_use) = (input.u32()?, input.u32()?, input.u8()?);
                let (name, subscribed) = (input.rest_text()?, kind == kind::MAILBOX_CREATED_SUBSCRIBED);
                Some(Change::MailboxCreated { id, name, uid_validity, special_use, subscribed })
            }
            kind::RENAMED => {
                let bytes = input.u32()? as usize;
                let from = std::str::from_utf8(input.take(bytes)?).ok()?.to_owned();
                Some(Change::Renamed { from, to: input.rest_text()? })
            }
            kind::DELETED => Some(Change::Deleted { mailbox: input.u32()? }),
            kind::SUBSCRIBED => {
                let (mailbox, subscribed) = (input.u32()?, input.u8()? != 0);
                Some(Change::Subscribed { mailbox, subscribed, name: input.rest_text()? })
            }
            kind::COPIED | kind::MOVED => Transfer::decode(kind == kind::MOVED, input).map(Change::Transferred),
            kind::APPENDED => decode_message(input),
            kind::APPENDED_SEGMENT => {
                let (mailbox, uid, record_bytes) = (input.u32()?, input.u32()?, input.u32()?);
                let segment = Hash(input.take(32)?.try_into().ok()?);
                let record = Encoded::copy(input.take(record_bytes as usize)?)?;
                Some(Change::AppendedSegment { mailbox, uid, record, segment })
            }
            kind::FLAGS => {
                let (mailbox, flags, op) = (input.u32()?, input.u16()?, input.u16()?);
                let op = match op {
                    1 => FlagOp::Add,
                    2 => FlagOp::Remove,
                    3 => FlagOp::Replace,
                    _ => return None,
                };
                let keywords = input.u64()?;
                Some(Change::Flags { mailbox, uids: input.ranges()?, op, flags, keywords })
            }
            kind::KEYWORD_NAMED => {
                let (mailbox, bit) = (input.u32()?, input.u8()?);
                Some(Change::KeywordNamed { mailbox, bit, name: input.rest_text()? })
            }
            kind::EXPUNGED | kind::EXPUNGED_MARKED => {
                let (mailbox, marked) = (input.u32()?, kind == kind::EXPUNGED_MARKED);
                Some(Change::Expunged { mailbox, uids: input.ranges()?, marked })
            }
            kind::RECENT_SEEN => Some(Change::RecentSeen { mailbox: input.u32()?, upto: input.u32()? }),
            _ => None,
        }
    }
}

impl Transfer {
    fn encode(&self, out: &mut Vec<u8>) {
        put(out, &[self.source, self.target, self.first]);
        out.push(self.keywords.len() as u8);
        self.keywords.iter().for_each(|&(source, target)| out.extend_from_slice(&[source, target]));
        self.uids.iter().for_each(|&(first, last)| put(out, &[first, last]));
    }

    fn decode(moves: bool, mut input: Input<'_>) -> Option<Transfer> {
        let (source, target, first) = (input.u32()?, input.u32()?, input.u32()?);
        let mut keywords = Vec::new();
        for _ in 0..input.u8()? {
            keywords.push((input.u8()?, input.u8()?));
        }
        let bits = keywords.iter().flat_map(|&(source, target)| [source, target]);
        if bits.map(usize::from).any(|bit| bit >= KEYWORDS_MAX) {
            return None;
        }
        Some(Transfer { source, target, moves, first, keywords, uids: input.ranges()?, outcome: Rc::default() })
    }
}

fn encode_message(out: &mut Vec<u8>, (mailbox, uid): (u32, u32), message: &Fresh) {
    match message.content() {
        Content::Segment(sealed) => encode_segment(out, (mailbox, uid), message.record(), sealed.name()),
        Content::Inline { details, text, body } => {
            let (record, details) = (message.record().bytes(), details.bytes());
            put(out, &[mailbox, uid]);
            put(out, &[record.len() as u32, details.len() as u32, text.len() as u32, body.len() as u32]);
            [record, details, text.as_bytes(), body].iter().for_each(|piece| out.extend_from_slice(piece));
        }
    }
}

fn encode_segment(out: &mut Vec<u8>, (mailbox, uid): (u32, u32), record: &Encoded<Record>, segment: Hash) {
    put(out, &[mailbox, uid, record.bytes().len() as u32]);
    out.extend_from_slice(&segment.0);
    out.extend_from_slice(record.bytes());
}

fn decode_message(mut input: Input<'_>) -> Option<Change> {
    let (mailbox, uid) = (input.u32()?, input.u32()?);
    let lengths = [input.u32()?, input.u32()?, input.u32()?, input.u32()?];
    let record = Encoded::<Record>::copy(input.take(lengths[0] as usize)?)?;
    let details = Encoded::<Details>::copy(input.take(lengths[1] as usize)?)?;
    let text = std::str::from_utf8(input.take(lengths[2] as usize)?).ok()?;
    let raw = input.take(lengths[3] as usize)?;
    let body = Body::of_map(Map::of_bytes(raw), Hash(record.content_hash));
    let message = Fresh::inline(record, details, Text::Owned(text.into()), body);
    Some(Change::Appended { mailbox, uid, message: Rc::new(message) })
}

fn put(out: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn rest_text(&mut self) -> Option<String> {
        let rest = self.take(self.0.len())?;
        std::str::from_utf8(rest).ok().map(str::to_owned)
    }

    fn ranges(&mut self) -> Option<UidRanges> {
        let mut ranges = Vec::with_capacity(self.0.len() / 8);
        while !self.0.is_empty() {
            ranges.push((self.u32()?, self.u32()?));
        }
        Some(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::log_record::Batch;
    use crate::store::types::AccountId;

    fn round_trip(change: &Change) -> Change {
        let mut batch = Batch::default();
        batch.push(AccountId(1), 1, change.kind(), |out| {
            let before = out.len();
            change.encode(out);
            assert!(out.len() - before <= change.encoded_bytes());
        });
        let bytes = batch.stamp(1, 1, 1);
        let read = Batch::read(Map::of_bytes(&bytes), 0, vec![(AccountId(1).partition(), 0)]);
        let (header, payload) = read.records().next().unwrap();
        Change::decode(header.kind, &payload).unwrap()
    }

    fn created(subscribed: bool) -> Change {
        let name = "Ablage/Süd".to_owned();
        Change::MailboxCreated { id: 3, name, uid_validity: 77, special_use: 2, subscribed }
    }

    fn transfer(moves: bool, keywords: Vec<(u8, u8)>) -> Change {
        let uids = vec![(2, 2), (4, 8)];
        Change::Transferred(Transfer { source: 1, target: 2, moves, first: 7, keywords, uids, outcome: Rc::default() })
    }

    #[test]
    fn changes_come_back() {
        let changes = [
            created(false),
            created(true),
            Change::Renamed { from: "Ablage".to_owned(), to: "Größe/x".to_owned() },
            Change::Deleted { mailbox: 8 },
            Change::Subscribed { mailbox: 8, subscribed: true, name: "Süd".to_owned() },
            Change::Subscribed { mailbox: 8, subscribed: false, name: String::new() },
            transfer(false, vec![(63, 0), (0, 1)]),
            transfer(true, Vec::new()),
            Change::Flags { mailbox: 1, uids: vec![(1, 4), (9, 9)], op: FlagOp::Replace, flags: 5, keywords: 1 << 63 },
            Change::KeywordNamed { mailbox: 1, bit: 63, name: "$Work".to_owned() },
            Change::Expunged { mailbox: 1, uids: vec![(2, 2), (4, 8)], marked: false },
            Change::Expunged { mailbox: 1, uids: vec![(2, 2), (4, 8)], marked: true },
            Change::RecentSeen { mailbox: 9, upto: 5 },
        ];
        for change in &changes {
            assert_eq!(format!("{:?}", round_trip(change)), format!("{change:?}"));
        }
        let no_bit = transfer(false, vec![(64, 0)]);
        let Change::Transferred(no_bit) = no_bit else { unreachable!("made above") };
        let mut bytes = Vec::new();
        no_bit.encode(&mut bytes);
        assert!(Transfer::decode(false, Input(&bytes)).is_none(), "a bit that no keyword has");
        assert_eq!(SpecialUse::from_number(6), SpecialUse::Sent);
        assert_eq!(SpecialUse::from_number(99), SpecialUse::None);
    }
}
