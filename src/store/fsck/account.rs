//! One account under examination: its manifest, every file that it is made of, and the mailboxes that come of them.
//!
//! Invariants: an account is what the server would make of it, built by the server's own code out of the files that can be
//! told and the records of the log that count; damage is told of messages that are there, not of those that are expunged. What
//! a message is made of is looked for in this folder; what other accounts may have of it is the repair's business.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::super::account::AccountState;
use super::super::change::Change;
use super::super::disk::{Disk, read_whole};
use super::super::load::take_file;
use super::super::manifest::{self, Manifest};
use super::super::map::Sealed;
use super::super::message::{Fresh, Location};
use super::super::sealed::FileKind;
use super::super::segments::MANIFEST;
use super::super::types::{AccountId, Error, Hash};
use super::chain::{Link, chain};
use super::files::{self, FileScan, Health, KnownBody, Raw, Row};
use super::logs::{LogRecord, LogScan};

/// What follows a damaged file's name when it is put aside.
pub(super) const ASIDE: &str = ".corrupt";

/// What a manifest is like.
pub(super) enum Said {
    Manifest(Manifest),
    /// There is none, and need not be one.
    Nothing,
    Missing,
    Damaged(&'static str),
}

/// A place in the account's chain of files.
pub(super) struct Slot {
    pub from: u64,
    pub to: u64,
    /// `None`: no file is known that has these changes.
    pub file: Option<FileScan>,
    /// Messages that are there and not as they should be, by row: mailbox, UID, and what can be told of them.
    pub rows: BTreeMap<u32, (u32, u32, Row)>,
    /// Messages that are there.
    pub live: usize,
}

/// The body files that an account's messages are made of.
#[derive(Default)]
pub(super) struct Bodies {
    pub known: HashMap<Hash, KnownBody>,
    /// Those of them that records of the log name.
    open: HashMap<Hash, Rc<Sealed>>,
    pub broken: BTreeMap<Hash, FileScan>,
    /// Files that a repair wrote: their message is lost, and they say so.
    pub lost: BTreeSet<Hash>,
}

/// An account.
pub(super) struct AccountScan {
    pub id: AccountId,
    pub folder: String,
    pub names: BTreeSet<String>,
    pub said: Said,
    pub slots: Vec<Slot>,
    pub bodies: Bodies,
    /// As the server has it when it has loaded the account, as far as that can be told.
    pub state: AccountState,
    /// The last change that is in sealed files.
    pub sealed: u64,
    pub pending: Vec<LogRecord>,
    /// Records of the log that can't be applied: for want of the body file, or because nobody knows what they say.
    pub unusable: Vec<(LogRecord, Option<Hash>)>,
    /// Messages of the log that are lost, by their body files.
    pub lost: Vec<Hash>,
    /// Octets that were read.
    pub octets: u64,
}

/// Looks at the whole account that lies in `folder`.
pub(super) async fn scan<D: Disk>(
    disk: &D,
    (folder, id): (String, AccountId),
    log: &LogScan,
) -> Result<AccountScan, Error> {
    let listed = disk.list(&folder).await.map_err(|error| Error::io(&folder, &error))?;
    let mut account = AccountScan {
        id,
        folder,
        names: listed.into_iter().collect(),
        said: Said::Nothing,
        slots: Vec::new(),
        bodies: Bodies::default(),
        state: AccountState::new(id),
        sealed: 0,
        pending: Vec::new(),
        unusable: Vec::new(),
        lost: Vec::new(),
        octets: 0,
    };
    account.read_manifest(disk).await?;
    account.read_files(disk, log).await?;
    account.pending = log.pending(id, account.sealed).cloned().collect();
    account.read_bodies(disk).await?;
    account.load();
    account.replay();
    account.judge();
    Ok(account)
}

impl AccountScan {
    async fn read_manifest<D: Disk>(&mut self, disk: &D) -> Result<(), Error> {
        let path = format!("{}/{}", self.folder, MANIFEST);
        self.said = match read_whole(disk, &path).await {
            Ok(None) => Said::Nothing,
            Ok(Some(bytes)) => Manifest::decode(&bytes, self.id).map_or_else(Said::Damaged, Said::Manifest),
            Err(_) => Said::Damaged("the disk does not give it"),
        };
        Ok(())
    }

    /// Examines a sealed file, or what was put aside of it.
    async fn read_file<D: Disk>(&mut self, disk: &D, name: Hash, length: Option<u64>) -> Result<FileScan, Error> {
        let path = format!("{}/{name}", self.folder);
        let aside = format!("{name}{ASIDE}");
        if !self.names.contains(&name.to_string()) && self.names.contains(&aside) {
            let from = format!("{}/{aside}", self.folder);
            let mut file = files::scan(disk, (from, name), self.id, length).await?;
            self.octets += file.length;
            file.path = path;
            file.faults.insert(0, (0, "it was put aside as damaged".to_owned()));
            if matches!(file.health, Health::Whole) {
                file.health = Health::Exact(file.bytes.clone());
            }
            return Ok(file);
        }
        let file = files::scan(disk, (path, name), self.id, length).await?;
        self.octets += file.length;
        Ok(file)
    }

    async fn read_files<D: Disk>(&mut self, disk: &D, log: &LogScan) -> Result<(), Error> {
        if let Said::Manifest(manifest) = &self.said {
            let (files, to) = (manifest.files.clone(), manifest.seq);
            self.sealed = to;
            for (name, length) in files {
                let file = self.read_file(disk, name, Some(length)).await?;
                self.slots.push(Slot { from: 0, to: 0, file: Some(file), rows: BTreeMap::new(), live: 0 });
            }
            place(&mut self.slots, to);
            return Ok(());
        }
        let mut found: HashMap<Hash, FileScan> = HashMap::new();
        let hashes = self.names.iter().filter_map(|name| Hash::parse(name.strip_suffix(ASIDE).unwrap_or(name)));
        for name in hashes.collect::<BTreeSet<Hash>>() {
            let file = self.read_file(disk, name, None).await?;
            found.insert(name, file);
        }
        let links = found.values().filter_map(|file| {
            let header = file.header.filter(|header| header.kind == FileKind::Account && header.account == self.id)?;
            let readable = file.is_known() && file.sealed.is_some();
            Some(Link { name: file.name, from: header.from_seq, to: header.to_seq, readable })
        });
        let links = chain(links.collect());
        let logged = log.records.get(&self.id).and_then(|records| records.first()).is_some_and(|first| first.seq == 1);
        let is_new = matches!(self.said, Said::Nothing);
        // A crash before the first manifest leaves one file, and everything in the log.
        let is_first = links.len() == 1 && links[0].from == 0 && logged;
        if is_new && (links.is_empty() || is_first) {
            return Ok(());
        }
        if is_new {
            self.said = Said::Missing;
        }
        for link in links {
            let before = self.sealed;
            if link.from > before {
                self.slots.push(Slot { from: before, to: link.from, file: None, rows: BTreeMap::new(), live: 0 });
            }
            let file = found.remove(&link.name);
            self.slots.push(Slot { from: link.from, to: link.to, file, rows: BTreeMap::new(), live: 0 });
            self.sealed = link.to;
        }
        Ok(())
    }

    /// Examines the body files that messages or records name, believed or not.
    async fn read_bodies<D: Disk>(&mut self, disk: &D) -> Result<(), Error> {
        let mut named: BTreeSet<Hash> = BTreeSet::new();
        for file in self.slots.iter().filter_map(|slot| slot.file.as_ref()) {
            let Some(sealed) = &file.sealed else { continue };
            for row in 0..sealed.message_count() as u32 {
                let sound = file.is_sound(sealed.extent(row, super::super::sealed::Piece::Name));
                let name = files::body_name(file, sealed, row);
                named.extend(name.filter(|name| sound || self.names.contains(&name.to_string())));
            }
        }
        let decoded = self.pending.iter().filter_map(|record| Change::decode(record.kind, &record.payload));
        let logged: HashSet<Hash> = decoded
            .filter_map(|change| match change {
                Change::AppendedSegment { segment, .. } => Some(segment),
                _ => None,
            })
            .collect();
        named.extend(&logged);
        for name in named {
            let file = self.read_file(disk, name, None).await?;
            let sealed = file.sealed.clone().filter(|_| logged.contains(&name));
            self.bodies.open.extend(sealed.map(|sealed| (name, sealed)));
            match files::known_body(&file).filter(|_| matches!(file.health, Health::Whole)) {
                Some(known) => drop(self.bodies.known.insert(name, known)),
                None if files::is_lost_body(&file) => drop(self.bodies.lost.insert(name)),
                None => drop(self.bodies.broken.insert(name, file)),
            }
        }
        Ok(())
    }

    /// Builds the account as the server would, out of what can be told.
    fn load(&mut self) {
        {
            let mut inner = self.state.inner.borrow_mut();
            (inner.seq, inner.sealed_seq) = (self.sealed, self.sealed);
            if let Said::Manifest(manifest) = &self.said {
                inner.uid_validity_assigned = manifest.uid_validity;
                inner.mailbox_id_assigned = manifest.mailbox_id;
            }
        }
        for slot in &mut self.slots {
            let Some(file) = &mut slot.file else { continue };
            let Some(sealed) = &file.sealed else { continue };
            let taken = sealed.index().ok().and_then(|index| take_file(&self.state, sealed, &index));
            if taken.is_none() {
                file.faults.push((0, "it does not fit the files before it".to_owned()));
                file.sealed = None;
                file.health = Health::Unreadable;
            }
        }
        self.state.inner.borrow_mut().finish_load();
    }

    fn replay(&mut self) {
        for record in &self.pending {
            let change = match Change::decode(record.kind, &record.payload) {
                None => {
                    self.unusable.push((record.clone(), None));
                    continue;
                }
                Some(Change::AppendedSegment { mailbox, uid, .. }) if !self.state.takes(mailbox, uid) => continue,
                Some(Change::AppendedSegment { mailbox, uid, record: fresh, segment }) => {
                    let body = self.bodies.open.get(&segment).cloned();
                    if self.bodies.lost.contains(&segment) {
                        self.lost.push(segment);
                    } else if !self.bodies.known.contains_key(&segment) {
                        self.unusable.push((record.clone(), Some(segment)));
                    }
                    let Some(message) = body.and_then(|body| Fresh::in_segment(fresh, body).ok()) else { continue };
                    Change::Appended { mailbox, uid, message: Rc::new(message) }
                }
                Some(change) => change,
            };
            self.state.apply(record.seq, change);
        }
    }

    /// Finds out which messages are there, and how they are.
    fn judge(&mut self) {
        let by_file: HashMap<*const Sealed, usize> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((Rc::as_ptr(slot.file.as_ref()?.sealed.as_ref()?), index)))
            .collect();
        let mut seen: HashSet<(usize, u32)> = HashSet::new();
        let inner = self.state.inner.borrow();
        for (&id, mailbox) in inner.mailboxes.iter().filter(|(_, mailbox)| !mailbox.deleted.get()) {
            let data = mailbox.data.borrow();
            for index in (0..data.columns.len()).filter(|&index| !data.hidden.has(index)) {
                let Location::Sealed(sealed, row) = &data.columns.location[index] else { continue };
                let Some(&at) = by_file.get(&Rc::as_ptr(sealed)) else { continue };
                let slot = &mut self.slots[at];
                slot.live += 1;
                let Some(file) = slot.file.as_ref().filter(|_| seen.insert((at, *row))) else { continue };
                let known = files::row(file, sealed, *row, |name| self.bodies.known.get(&name).copied());
                let has_body = match &known.raw {
                    Raw::Apart(name) => self.bodies.known.contains_key(name),
                    _ => true,
                };
                if !known.is_whole() || !has_body {
                    slot.rows.insert(*row, (id, data.columns.uid[index], known));
                }
            }
        }
    }

    /// Whether another version wrote something of it: then nobody here knows what would mend it.
    pub fn is_foreign(&self) -> bool {
        let files = self.slots.iter().filter_map(|slot| slot.file.as_ref()).chain(self.bodies.broken.values());
        let records = self.unusable.iter().any(|(_, body)| body.is_none());
        records
            || files.into_iter().any(|file| file.foreign)
            || matches!(self.said, Said::Damaged(manifest::OTHER_VERSION))
    }

    /// The highest UIDVALIDITY and mailbox id that are known to be given out, by the log as well.
    pub fn highest_numbers(&self) -> (u32, u32) {
        let inner = self.state.inner.borrow();
        (inner.uid_validity_assigned, inner.mailbox_id_assigned)
    }

    /// The name of a mailbox, or its number where that is not known.
    pub fn mailbox_name(&self, id: u32) -> String {
        let inner = self.state.inner.borrow();
        inner.mailboxes.get(&id).map_or_else(|| format!("mailbox {id}"), |mailbox| mailbox.name.borrow().to_string())
    }
}

/// Says which changes each file has, or must have had where it can't be read.
fn place(slots: &mut [Slot], end: u64) {
    let mut before = 0;
    for index in 0..slots.len() {
        let header = |slot: &Slot| slot.file.as_ref().and_then(|file| file.header);
        let next = slots.get(index + 1).and_then(header).map(|header| header.from_seq);
        let after = if index + 1 == slots.len() { Some(end) } else { next };
        let slot = &mut slots[index];
        (slot.from, slot.to) = match header(slot) {
            Some(header) => (header.from_seq, header.to_seq),
            None => (before, after.unwrap_or(before)),
        };
        before = slot.to;
    }
}
