//! A file in the place of one that is gone, or that nobody can place: what its mailboxes must still be, and what of its
//! messages can be proven.
//!
//! Invariants: mailboxes keep UIDVALIDITY and their messages in other files; UIDNEXT goes on where no UID of the lost file can have
//! been, or where the log says that it went on, so that no UID is given out twice and no record of the log is taken for one that
//! was applied before. Messages without a mailbox go to one of their own, [`RECOVERED`]; its numbers are new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::change::{Change, Transfer};
use super::super::disk::Disk;
use super::super::record::{Date, Details, NewMessage, Record};
use super::super::sealed::{FRAME_BYTES, FileHeader, FileKind, Footer, Group, Index, MailboxMeta, Piece};
use super::super::seams::SegmentStore;
use super::super::spool::Body;
use super::super::types::{Error, Flags, Hash};
use super::account::AccountScan;
use super::files::{self, FileScan, Health, known_body};
use super::mend::{Mender, Numbers};
use super::refill::{self, Content, Contents};
use super::salvage::salvage;
use super::words::count;
use crate::limits::{FSCK_UID_BYTES_MIN, FSCK_UIDS_SKIPPED};
use crate::mime;

/// The mailbox for messages whose own is not known.
const RECOVERED: &str = "Recovered";

/// A message without a mailbox.
struct Found {
    record: Record,
    contents: Contents,
}

impl Found {
    /// What is written of it as message `uid`.
    fn numbered(self, uid: u32, modseq: u64) -> Contents {
        let [_, details, text, name, raw] = self.contents;
        let record = Record { uid, modseq, ..self.record };
        [record.encode().map_or(Content::Lost, |archive| Content::made(&archive)), details, text, name, raw]
    }
}

impl<D: Disk> Mender<'_, D> {
    /// Writes a file that takes the place of the one in slot `at`, which can't be had.
    pub(super) async fn replace_file(
        &mut self,
        account: &AccountScan,
        at: usize,
        numbers: &mut Numbers,
    ) -> Result<(Hash, u64), Error> {
        let slot = &account.slots[at];
        let mut index = Index { mailboxes: mailboxes(account, at), ..Index::default() };
        let mut found = slot.file.as_ref().map(salvaged).unwrap_or_default();
        let first = account.slots.iter().position(|slot| slot.file.as_ref().is_none_or(|file| file.sealed.is_none()));
        if first == Some(at) {
            found.extend(self.unnamed_bodies(account).await?);
        }
        let unknown = unknown_mailboxes(account, &index, first == Some(at));
        let mut names = Names::of(account);
        for (id, uid_next) in unknown {
            numbers.uid_validity = numbers.uid_validity.max(account.highest_numbers().0) + 1;
            index.mailboxes.push(meta(id, names.take(), numbers.uid_validity, (uid_next, slot.to)));
        }
        let messages = found.len();
        if messages > 0 {
            let (uid_validity, id) = account.highest_numbers();
            *numbers = Numbers {
                uid_validity: numbers.uid_validity.max(uid_validity) + 1,
                mailbox_id: numbers.mailbox_id.max(id) + 1,
            };
            let next = messages as u32 + 1;
            index.mailboxes.push(meta(numbers.mailbox_id, names.take(), numbers.uid_validity, (next, slot.to)));
            index.groups.push(group(numbers.mailbox_id, &found, slot.to));
        }
        let numbered = (1..).zip(found);
        let contents: Vec<Contents> = numbered.map(|(uid, found)| found.numbered(uid, slot.to)).collect();
        let shared: Vec<usize> = (0..contents.len()).collect();
        if let Some(file) = &slot.file
            && !matches!(file.health, Health::Missing)
            && account.names.contains(&file.name.to_string())
        {
            self.put_file_aside(account, file).await?;
        }
        let header = FileHeader { kind: FileKind::Account, account: account.id, from_seq: slot.from, to_seq: slot.to };
        let put = self.segments.put(account.id).await?;
        let named = refill::write(put, header, (index, contents), &shared).await?;
        let name = self.job.name(account.id);
        let what = count(messages, "message");
        let changes = format!("changes {} to {}", slot.from + 1, slot.to);
        self.done.push(format!("{name}: {what} of {changes} in {RECOVERED}"));
        self.lost.push(format!("{name}: what else {changes} brought, mailboxes and flags among it"));
        Ok(named)
    }

    /// Messages in body files that no file names any more. One that can't be read is put aside, or the server would remove it.
    async fn unnamed_bodies(&mut self, account: &AccountScan) -> Result<Vec<Found>, Error> {
        let mut named: BTreeSet<Hash> =
            account.bodies.known.keys().chain(account.bodies.broken.keys()).copied().collect();
        named.extend(&account.bodies.lost);
        named.extend(account.slots.iter().filter_map(|slot| slot.file.as_ref()).map(|file| file.name));
        let mut found = Vec::new();
        for name in account.names.iter().filter_map(|name| Hash::parse(name)).filter(|name| !named.contains(name)) {
            let path = format!("{}/{name}", account.folder);
            let file = files::scan(&self.disk, (path, name), account.id, None).await?;
            let is_account = file.header.is_some_and(|header| header.kind == FileKind::Account);
            if !file.is_known() && !is_account {
                self.put_aside(&account.folder, &name.to_string()).await?;
            }
            if let (Some(sealed), Some((hash, _))) = (&file.sealed, known_body(&file)) {
                if let Health::Exact(bytes) = &file.health {
                    self.restore(account, &file, bytes).await?;
                }
                let raw = file.octets(sealed.extent(0, Piece::Raw)).unwrap_or_default();
                let structure = mime::structure(raw);
                let date = Date { seconds: sent(&structure), offset_minutes: 0 };
                let mut message = found_in(raw, structure, date);
                message.record.content_hash = hash.0;
                message.contents[3] = Content::made(&name.0);
                message.contents[4] = Content::Apart;
                found.push(message);
            }
        }
        Ok(found)
    }
}

/// What of a file that can't be placed is whole.
fn salvaged(file: &FileScan) -> Vec<Found> {
    let frame = file.bytes.len().checked_sub(FRAME_BYTES).map(|start| &file.bytes[start..]);
    let footer = frame.and_then(|frame| Footer::decode(frame, file.bytes.len() as u64).ok());
    let found = salvage(&file.bytes, footer.map(|footer| footer.index_start as usize));
    let found = found.into_iter().map(|message| {
        let raw = &file.bytes[message.raw.clone()];
        let mut found = found_in(raw, mime::structure(raw), message.record.internal_date);
        found.record.flags = message.record.flags & Flags::ALL.0;
        found.record.saved_at = message.record.saved_at;
        found.record.delivery = message.record.delivery;
        found.contents[4] = Content::Octets(file.bytes.clone(), message.raw);
        found
    });
    found.collect()
}

/// What is made anew of a message.
fn found_in(raw: &[u8], structure: mime::Structure, internal_date: Date) -> Found {
    let details = Details::of(&structure).encode().map_or(Content::Lost, |archive| Content::made(&archive));
    let text = Content::made(structure.text.as_bytes());
    let message = NewMessage {
        body: Body::of_map(super::super::map::Map::of_bytes(&[]), Hash::of(raw)),
        structure: Arc::new(structure),
        internal_date,
        saved_at: internal_date.seconds,
        flags: Flags::NONE,
        keywords: Vec::new(),
        delivery: None,
    };
    let record = Record {
        uid: 0,
        flags: 0,
        keywords: 0,
        modseq: 0,
        email_id: message.email_id(),
        thread_id: message.thread_id(),
        internal_date,
        saved_at: internal_date.seconds,
        size: raw.len() as u64,
        content_hash: message.body.hash().0,
        delivery: None,
    };
    Found { record, contents: [Content::Lost, details, text, Content::made(&[]), Content::Lost] }
}

/// The messages of the new mailbox, numbered.
fn group(mailbox: u32, found: &[Found], modseq: u64) -> Group {
    let mut group = Group { mailbox, first: 0, ..Group::default() };
    for (index, message) in found.iter().enumerate() {
        let record = &message.record;
        group.uid.push(index as u32 + 1);
        group.modseq.push(modseq);
        group.flags.push(record.flags);
        group.keywords.push(0);
        group.size.push(u32::try_from(record.size).unwrap_or(u32::MAX));
        group.date_seconds.push(record.internal_date.seconds);
        group.date_offset.push(record.internal_date.offset_minutes);
    }
    group
}

fn meta(id: u32, name: String, uid_validity: u32, (uid_next, highest_modseq): (u32, u64)) -> MailboxMeta {
    MailboxMeta {
        id,
        name,
        uid_validity,
        uid_next,
        special_use: 0,
        subscribed: true,
        deleted: false,
        keywords: Vec::new(),
        highest_modseq,
        recent_from: 1,
    }
}

/// The mailboxes of older files that no younger one has, with their UIDs above all that the lost file can have given out.
fn mailboxes(account: &AccountScan, at: usize) -> Vec<MailboxMeta> {
    let mut mailboxes: BTreeMap<u32, MailboxMeta> = BTreeMap::new();
    for slot in &account.slots[..at] {
        for meta in metas(slot.file.as_ref()) {
            mailboxes.insert(meta.id, meta);
        }
    }
    for slot in &account.slots[at + 1..] {
        for meta in metas(slot.file.as_ref()) {
            mailboxes.remove(&meta.id);
        }
    }
    let slot = &account.slots[at];
    let octets = slot.file.as_ref().map_or(0, |file| file.length);
    let skipped = FSCK_UIDS_SKIPPED.saturating_add(u32::try_from(octets / FSCK_UID_BYTES_MIN).unwrap_or(u32::MAX));
    let logged = uids(account);
    for meta in mailboxes.values_mut() {
        let above = meta.uid_next.saturating_add(skipped);
        // What the log goes on with is where the lost file ended.
        meta.uid_next = logged.get(&meta.id).map_or(above, |&uid| uid.max(meta.uid_next));
        meta.highest_modseq = meta.highest_modseq.max(slot.to);
    }
    mailboxes.into_values().collect()
}

fn metas(file: Option<&FileScan>) -> Vec<MailboxMeta> {
    let index = file.and_then(|file| file.sealed.as_ref()?.index().ok());
    index.map_or(Vec::new(), |index| index.mailboxes)
}

/// The first UID that the log gives out in each mailbox.
fn uids(account: &AccountScan) -> BTreeMap<u32, u32> {
    let mut uids: BTreeMap<u32, u32> = BTreeMap::new();
    for record in &account.pending {
        let (mailbox, uid) = match Change::decode(record.kind, &record.payload) {
            Some(Change::Appended { mailbox, uid, .. } | Change::AppendedSegment { mailbox, uid, .. }) => {
                (mailbox, uid)
            }
            Some(Change::Transferred(Transfer { target, first, .. })) if first > 0 => (target, first),
            _ => continue,
        };
        uids.entry(mailbox).and_modify(|lowest| *lowest = uid.min(*lowest)).or_insert(uid);
    }
    uids
}

/// Mailboxes that the log has messages for and nobody else knows: the lost file made them.
fn unknown_mailboxes(account: &AccountScan, index: &Index, first: bool) -> Vec<(u32, u32)> {
    let inner = account.state.inner.borrow();
    let known = |id: &u32| inner.mailboxes.contains_key(id) || index.mailboxes.iter().any(|meta| meta.id == *id);
    uids(account).into_iter().filter(|(id, _)| first && !known(id)).collect()
}

/// Names that mailboxes have.
struct Names(BTreeSet<String>);

impl Names {
    fn of(account: &AccountScan) -> Names {
        let inner = account.state.inner.borrow();
        Names(inner.mailboxes.values().map(|mailbox| mailbox.name.borrow().to_string()).collect())
    }

    /// One that is free.
    fn take(&mut self) -> String {
        let mut name = RECOVERED.to_owned();
        let mut number = 1;
        while !self.0.insert(name.clone()) {
            number += 1;
            name = format!("{RECOVERED} {number}");
        }
        name
    }
}

/// The day that the sender wrote, as Unix time; 1970 where there is none.
fn sent(structure: &mime::Structure) -> i64 {
    let Some(day) = mime::sent_date(&structure.envelope) else { return 0 };
    // Days from the civil calendar (Hinnant): years begin in March.
    let (year, month) = (day.year - i64::from(day.month <= 2), i64::from(day.month));
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day.day) - 1;
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468) * 86_400
}
