//! Messages that can't be read where they belong, looked for wherever else they may be: a copy in another mailbox, the same
//! message in another account, a record that the log still has.
//!
//! Invariant: what is found has the hash that was asked for. It is looked for once for all accounts, and nothing is read where
//! nothing is missed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::super::change::Change;
use super::super::disk::Disk;
use super::super::map::{Encoded, Map, Sealed};
use super::super::message::Content;
use super::super::record::Record;
use super::super::sealed::{FileKind, Piece};
use super::super::types::{AccountId, Error, Hash};
use super::contents;
use super::logs::LogScan;
use crate::limits::FSCK_WANTED_MAX;

/// What is looked for, and what was found of it.
#[derive(Default)]
pub(super) struct Elsewhere {
    wanted: HashSet<Hash>,
    found: HashMap<Hash, (Map, Range<usize>)>,
    /// Body files by name: a folder that has each.
    pub bodies: HashMap<Hash, Vec<(AccountId, String)>>,
}

impl Elsewhere {
    /// A message of that hash is missed.
    pub fn want(&mut self, hash: Hash) {
        if self.wanted.len() < FSCK_WANTED_MAX {
            self.wanted.insert(hash);
        }
    }

    /// The octets of that hash.
    pub fn found(&self, hash: Hash) -> Option<(Map, Range<usize>)> {
        self.found.get(&hash).cloned()
    }

    /// Looks through everything for what is missed.
    pub async fn look<D: Disk>(
        &mut self,
        disk: &D,
        places: &BTreeMap<AccountId, Vec<String>>,
        log: &LogScan,
    ) -> Result<(), Error> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        for record in log.records.values().flatten() {
            if let Some(Change::Appended { message, .. }) = Change::decode(record.kind, &record.payload)
                && let Content::Inline { body, .. } = message.content()
            {
                self.take(Hash(message.record().content_hash), &Map::of_bytes(body), 0..body.len());
            }
        }
        for (&id, folder) in places.iter().flat_map(|(id, folders)| folders.iter().map(move |folder| (id, folder))) {
            for name in disk.list(folder).await.map_err(|error| Error::io(folder, &error))? {
                let Some(hash) = Hash::parse(&name) else { continue };
                let path = format!("{folder}/{name}");
                let Some(read) = contents::read(disk, &path).await? else { continue };
                if let Ok(sealed) = Sealed::open(read.map.clone(), path, hash, id) {
                    self.look_into(&sealed, &read.map);
                    if sealed.header().kind == FileKind::Body {
                        self.bodies.entry(hash).or_default().push((id, folder.clone()));
                    }
                }
            }
        }
        Ok(())
    }

    fn look_into(&mut self, sealed: &Sealed, map: &Map) {
        let octets = |(start, bytes): (u64, u32)| {
            let start = usize::try_from(start).ok()?;
            let range = start..start.checked_add(bytes as usize)?;
            map.get(range.clone()).map(|octets| (octets, range))
        };
        for row in 0..sealed.message_count() as u32 {
            let Some((raw, range)) = octets(sealed.extent(row, Piece::Raw)).filter(|_| !sealed.is_apart(row)) else {
                continue;
            };
            let said = match sealed.header().kind {
                FileKind::Body => Some(Hash::of(raw)),
                FileKind::Account => octets(sealed.extent(row, Piece::Record))
                    .and_then(|(record, _)| Encoded::<Record>::copy(record))
                    .map(|record| Hash(record.content_hash)),
            };
            if let Some(said) = said {
                self.take(said, map, range);
            }
        }
    }

    /// Takes octets that are said to have the hash, if it is missed and they have.
    pub fn take(&mut self, said: Hash, map: &Map, range: Range<usize>) {
        let missed = self.wanted.contains(&said) && !self.found.contains_key(&said);
        if missed && map.get(range.clone()).is_some_and(|octets| Hash::of(octets) == said) {
            self.found.insert(said, (map.clone(), range));
        }
    }
}
