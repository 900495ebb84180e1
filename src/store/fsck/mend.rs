//! Mending accounts: files put right or replaced, and the manifest that names them.
//!
//! Invariants: what is damaged is put aside first, under `….corrupt`, where it is looked for when this is begun anew; then what
//! takes its place is written, durably, under its hash; then the manifest names it. So a repair that is interrupted at any
//! point finds what it needs, and makes the same of it. An account of a format that is not known is left alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::change::Change;
use super::super::columns::Row;
use super::super::disk::{Disk, replace};
use super::super::manifest::Manifest;
use super::super::map::{Encoded, Map};
use super::super::record::Record;
use super::super::sealed::{FileHeader, FileKind, Index, Piece};
use super::super::seams::SegmentStore;
use super::super::segments::{FileSegments, MANIFEST, account_folder};
use super::super::types::{AccountId, Error, Hash};
use super::Job;
use super::account::{ASIDE, AccountScan, Said, Slot};
use super::contents;
use super::elsewhere::Elsewhere;
use super::files::{FileScan, Health, Raw, known_body};
use super::logs::{Epoch, LogRecord, LogScan};
use super::refill::{self, Content, Contents, Source};
use super::words::count;
use crate::limits::{FSCK_EPOCHS_SKIPPED, FSCK_NUMBERS_SKIPPED, STORE_WRITE_BYTES};

/// A repair.
pub(super) struct Mender<'a, D: Disk> {
    pub disk: D,
    pub segments: FileSegments<D>,
    pub job: Job<'a>,
    pub elsewhere: Elsewhere,
    /// Names of files of an account that are kept under others, and go when the manifest no longer has them.
    replaced: Vec<String>,
    /// Records of the log that say something else from now on: their payloads, by account and number.
    pub instead: HashMap<(AccountId, u64), Vec<u8>>,
    /// What was done, in words.
    pub done: Vec<String>,
    /// What nobody can find any more from now on.
    pub lost: Vec<String>,
}

/// The highest numbers that an account gave out.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    pub uid_validity: u32,
    pub mailbox_id: u32,
}

impl<'a, D: Disk> Mender<'a, D> {
    pub fn new(disk: D, job: Job<'a>) -> Mender<'a, D> {
        let segments = FileSegments::new(disk.clone());
        let (elsewhere, instead, done) = (Elsewhere::default(), HashMap::new(), Vec::new());
        Mender { disk, segments, job, elsewhere, instead, replaced: Vec::new(), done, lost: Vec::new() }
    }

    /// Writes the epoch anew where it can't be read. `used`: there is something that has one.
    pub async fn mend_epoch(&mut self, log: &LogScan, used: bool) -> Result<(), Error> {
        let io = |error: std::io::Error| Error::io("log/EPOCH", &error);
        match log.epoch {
            Epoch::Damaged => self.keep_aside("log", "EPOCH").await?,
            Epoch::Missing if used => self.disk.create_folder("log").await.map_err(io)?,
            Epoch::Missing | Epoch::Known(_) | Epoch::Foreign => return Ok(()),
        }
        let epoch = super::super::file_logs::encode_epoch(log.newest() + FSCK_EPOCHS_SKIPPED);
        replace(&self.disk, "log", "EPOCH", epoch).await.map_err(io)?;
        self.done.push("log/EPOCH is written anew".to_owned());
        Ok(())
    }

    /// Moves the files of an account to where the server looks for them; the manifest last, which says that they are all there.
    pub async fn move_home(&mut self, id: AccountId, folders: &[String], log: &LogScan) -> Result<(), Error> {
        let home = account_folder(id);
        for folder in folders.iter().filter(|folder| **folder != home) {
            let io = |error: std::io::Error| Error::io(folder, &error);
            // What a server would sweep, or take for older than what it has, stays where nobody touches it.
            let began_anew =
                log.records.get(&id).and_then(|records| records.first()).is_some_and(|first| first.seq == 1);
            if began_anew || self.is_in_use(&home, folder).await? {
                self.lost
                    .push(format!("{folder}: it is not moved, the account has other mail in {home} or in the log"));
                continue;
            }
            self.segments.create(id).await?;
            let mut names = self.disk.list(folder).await.map_err(io)?;
            names.sort_by_key(|name| name == MANIFEST);
            let mut moved = Vec::new();
            for name in names {
                if name == MANIFEST {
                    self.disk.sync_folder(&home).await.map_err(io)?;
                }
                let (from, to) = (format!("{folder}/{name}"), format!("{home}/{name}"));
                if self.double(&from, &to).await? {
                    moved.push(from);
                }
            }
            self.disk.sync_folder(&home).await.map_err(io)?;
            for path in &moved {
                self.lose(path).await?;
            }
            self.disk.sync_folder(folder).await.map_err(io)?;
            if !moved.is_empty() {
                self.done.push(format!("{} of {} moved to {home}", count(moved.len(), "file"), self.job.name(id)));
            }
        }
        Ok(())
    }

    /// Whether a folder has files of an account that another one does not have as well: a move may have been interrupted.
    async fn is_in_use(&self, home: &str, other: &str) -> Result<bool, Error> {
        for name in self.disk.list(home).await.map_err(|error| Error::io(home, &error))? {
            if name == MANIFEST || Hash::parse(&name).is_some() {
                let (here, there) = (format!("{home}/{name}"), format!("{other}/{name}"));
                let (here, there) =
                    (contents::read(&self.disk, &here).await?, contents::read(&self.disk, &there).await?);
                if here.zip(there).is_none_or(|(here, there)| *here.map != *there.map) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Gives a file a second name, or another one where it can't have two; false: something else has it.
    async fn double(&self, from: &str, to: &str) -> Result<bool, Error> {
        let io = |error: std::io::Error| Error::io(to, &error);
        match self.disk.link(from, to).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let (there, here) = (contents::read(&self.disk, to).await?, contents::read(&self.disk, from).await?);
                Ok(there.zip(here).is_some_and(|(there, here)| *there.map == *here.map))
            }
            // A file system that knows no second names, or no more of this file.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::EMLINK | libc::EPERM))
                    || error.kind() == std::io::ErrorKind::Unsupported =>
            {
                self.disk.rename(from, to).await.map_err(io)?;
                Ok(true)
            }
            Err(error) => Err(io(error)),
        }
    }

    /// Takes a name away that is one of two, or gone already.
    async fn lose(&self, path: &str) -> Result<(), Error> {
        match self.disk.remove(path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, &error)),
            _ => Ok(()),
        }
    }

    /// Whether there is something to mend; what is missed for it is looked for elsewhere.
    pub fn considers(&mut self, account: &AccountScan) -> bool {
        if account.is_foreign() {
            return false;
        }
        for (_, _, row) in account.slots.iter().flat_map(|slot| slot.rows.values()) {
            match &row.raw {
                Raw::Here => continue,
                Raw::Apart(name) if account.bodies.known.contains_key(name) => continue,
                Raw::Apart(name) => self.elsewhere.want(*name),
                Raw::Gone => {}
            }
            row.hash.into_iter().for_each(|hash| self.elsewhere.want(hash));
        }
        for (record, body) in &account.unusable {
            body.iter().for_each(|&name| self.elsewhere.want(name));
            content_of(record).into_iter().for_each(|(hash, _)| self.elsewhere.want(hash));
        }
        let slots = account.slots.iter();
        let files = slots.filter(|slot| !slot.rows.is_empty() || slot.file.as_ref().is_none_or(|file| !is_whole(file)));
        let unnamed = matches!(account.said, Said::Damaged(_) | Said::Missing);
        unnamed || files.count() > 0 || account.unusable.iter().any(|(_, body)| body.is_some())
    }

    /// Looks for what is missed in everything there is.
    pub async fn look_elsewhere(
        &mut self,
        places: &BTreeMap<AccountId, Vec<String>>,
        log: &LogScan,
    ) -> Result<(), Error> {
        self.elsewhere.look(&self.disk, places, log).await
    }

    /// Mends an account.
    pub async fn mend_account(&mut self, account: &AccountScan) -> Result<(), Error> {
        self.segments.create(account.id).await?;
        let bodies = self.mend_bodies(account).await?;
        let mut numbers = numbers(account);
        let mut files: Vec<(Hash, u64)> = Vec::new();
        for (index, slot) in account.slots.iter().enumerate() {
            let named = match slot.file.as_ref().and_then(|file| Some((file, file.sealed.as_ref()?))) {
                Some(_) => self.mend_file(account, slot, &bodies).await?,
                None => self.replace_file(account, index, &mut numbers).await?,
            };
            files.push(named);
        }
        self.mend_manifest(account, files, numbers).await?;
        for path in std::mem::take(&mut self.replaced) {
            self.lose(&path).await?;
        }
        let folder = &account.folder;
        self.disk.sync_folder(folder).await.map_err(|error| Error::io(folder, &error))?;
        self.mend_records(account, &bodies).await
    }

    async fn mend_manifest(
        &mut self,
        account: &AccountScan,
        files: Vec<(Hash, u64)>,
        numbers: Numbers,
    ) -> Result<(), Error> {
        if matches!(account.said, Said::Nothing) {
            return Ok(());
        }
        let Numbers { uid_validity, mailbox_id } = numbers;
        let manifest = Manifest { seq: account.sealed, uid_validity, mailbox_id, files };
        if matches!(&account.said, Said::Manifest(said) if *said == manifest) {
            return Ok(());
        }
        if matches!(account.said, Said::Damaged(_)) {
            self.keep_aside(&account.folder, MANIFEST).await?;
        }
        let written = replace(&self.disk, &account.folder, MANIFEST, manifest.encode(account.id)).await;
        written.map_err(|error| Error::io(&account.folder, &error))?;
        let files = count(manifest.files.len(), "file");
        self.done.push(format!("{}: the manifest names {files}", self.job.name(account.id)));
        Ok(())
    }

    /// Gives a damaged file another name as well, durably: its own goes to what takes its place, at one moment.
    async fn keep_aside(&mut self, folder: &str, name: &str) -> Result<(), Error> {
        let path = format!("{folder}/{name}");
        let mut aside = format!("{name}{ASIDE}");
        let mut number = 1;
        while !self.double(&path, &format!("{folder}/{aside}")).await? {
            number += 1;
            aside = format!("{name}.{number}{ASIDE}");
        }
        self.disk.sync_folder(folder).await.map_err(|error| Error::io(folder, &error))?;
        self.done.push(format!("{folder}/{name} is kept as {aside}"));
        Ok(())
    }

    /// Keeps a damaged file under another name alone, durably.
    pub async fn put_aside(&mut self, folder: &str, name: &str) -> Result<(), Error> {
        self.keep_aside(folder, name).await?;
        self.lose(&format!("{folder}/{name}")).await?;
        self.disk.sync_folder(folder).await.map_err(|error| Error::io(folder, &error))
    }

    /// Keeps a damaged file of an account; its own name goes when the manifest names what takes its place.
    pub async fn put_file_aside(&mut self, account: &AccountScan, file: &FileScan) -> Result<(), Error> {
        let name = file.name.to_string();
        if account.names.contains(&name) {
            self.keep_aside(&account.folder, &name).await?;
            self.replaced.push(format!("{}/{name}", account.folder));
        }
        Ok(())
    }

    /// Writes a file again exactly as it was.
    pub async fn restore(&mut self, account: &AccountScan, file: &FileScan, bytes: &[u8]) -> Result<(), Error> {
        let name = file.name.to_string();
        if account.names.contains(&name) {
            self.keep_aside(&account.folder, &name).await?;
        }
        let mut put = self.segments.put(account.id).await?;
        for piece in bytes.chunks(STORE_WRITE_BYTES) {
            put.write(piece).await?;
        }
        put.finish().await?;
        self.done.push(format!("{} is as it was written", file.path));
        Ok(())
    }

    /// Puts body files right that messages need; the messages in those that can be read now.
    async fn mend_bodies(&mut self, account: &AccountScan) -> Result<HashMap<Hash, Map>, Error> {
        let mut needed: BTreeSet<Hash> = account.unusable.iter().filter_map(|(_, body)| *body).collect();
        let rows = account.slots.iter().flat_map(|slot| slot.rows.values());
        needed.extend(rows.filter_map(|(_, _, row)| match row.raw {
            Raw::Apart(name) => Some(name),
            _ => None,
        }));
        let mut bodies = HashMap::new();
        for name in needed {
            if let Some(file) = account.bodies.broken.get(&name) {
                self.offer(file);
                if !self.mend_body(account, file).await? {
                    // What nobody names from now on a server would sweep.
                    self.put_file_aside(account, file).await?;
                    continue;
                }
            }
            let path = format!("{}/{name}", account.folder);
            let file = super::files::scan(&self.disk, (path, name), account.id, None).await?;
            if let (Some(sealed), Some(_)) = (&file.sealed, known_body(&file)) {
                let octets = file.octets(sealed.extent(0, Piece::Raw)).unwrap_or_default();
                bodies.insert(name, Map::of_bytes(octets));
            }
        }
        Ok(bodies)
    }

    /// A damaged body file may have its message all the same.
    fn offer(&mut self, file: &FileScan) {
        let Some(sealed) = &file.sealed else { return };
        let (start, bytes) = sealed.extent(0, Piece::Raw);
        if let Some(octets) = file.octets((start, bytes)) {
            self.elsewhere.take(Hash::of(octets), &file.bytes, start as usize..start as usize + bytes as usize);
        }
    }

    /// Puts a body file right, or takes another account's; false: neither can be done.
    async fn mend_body(&mut self, account: &AccountScan, file: &FileScan) -> Result<bool, Error> {
        if let Health::Exact(bytes) = &file.health {
            self.restore(account, file, bytes).await?;
            return Ok(true);
        }
        for (other, folder) in self.elsewhere.bodies.get(&file.name).cloned().unwrap_or_default() {
            let from = format!("{folder}/{}", file.name);
            let whole = contents::read(&self.disk, &from).await?.filter(|read| Hash::of(&read.map) == file.name);
            let Some(whole) = whole.filter(|_| other != account.id) else { continue };
            let name = file.name.to_string();
            if account.names.contains(&name) {
                self.put_aside(&account.folder, &name).await?;
            }
            if self.segments.share(other, file.name, account.id).await? {
                self.done.push(format!("{} is had from {}", file.path, self.job.name(other)));
            } else {
                self.restore(account, &FileScan::missing(file.name, file.path.clone()), &whole.map).await?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Puts a file right whose index can be read; what the manifest is to name.
    async fn mend_file(
        &mut self,
        account: &AccountScan,
        slot: &Slot,
        bodies: &HashMap<Hash, Map>,
    ) -> Result<(Hash, u64), Error> {
        let Some((file, sealed)) = slot.file.as_ref().and_then(|file| Some((file, file.sealed.as_ref()?))) else {
            return Err(Error::corrupt(&account.folder, 0, "no file"));
        };
        if let Health::Exact(bytes) = &file.health {
            self.restore(account, file, bytes).await?;
        }
        let source = Source { file, sealed, elsewhere: &self.elsewhere, bodies, lost: &account.bodies.lost };
        let (contents, shared, changed) = contents_of(&source, &refill::columns_of(sealed)?, slot);
        if !changed && file.is_known() {
            return Ok((file.name, sealed.len()));
        }
        if !file.is_known() {
            self.put_file_aside(account, file).await?;
        }
        let put = self.segments.put(account.id).await?;
        let index = refill::index_of(sealed)?;
        let named = refill::write(put, *sealed.header(), (index, contents), &shared).await?;
        self.done.push(format!("{}/{} is in the place of {}", account.folder, named.0, file.name));
        Ok(named)
    }

    /// Has records of the log name body files that can be read, or that say that the message is lost.
    async fn mend_records(&mut self, account: &AccountScan, bodies: &HashMap<Hash, Map>) -> Result<(), Error> {
        for (record, body) in &account.unusable {
            let (Some(body), Some((hash, size))) = (body, content_of(record)) else { continue };
            if bodies.contains_key(body) {
                continue;
            }
            let found = self.elsewhere.found(hash);
            let structure = found.as_ref().map(|(map, range)| crate::mime::structure(&map[range.clone()]));
            let details = structure.as_ref().map_or_else(|| refill::lost_details(None), super::super::Details::of);
            let details = details.encode().map_or(Content::Lost, |archive| Content::made(&archive));
            let text = structure.as_ref().map_or(&[][..], |structure| structure.text.as_bytes());
            let is_found = found.is_some();
            let raw = found.map_or(Content::Lost, |(map, range)| Content::Octets(map, range));
            let contents: Contents = [Content::made(&[]), details, Content::made(text), Content::made(&[]), raw];
            let header = FileHeader { kind: FileKind::Body, account: AccountId(0), from_seq: 0, to_seq: record.seq };
            let put = self.segments.put(account.id).await?;
            let (name, _) = refill::write(put, header, (Index::default(), vec![contents]), &[0]).await?;
            let mut payload = record.payload.to_vec();
            payload[12..44].copy_from_slice(&name.0);
            self.instead.insert((account.id, record.seq), payload);
            let what = if is_found { "has another body file" } else { "is lost, and says so" };
            let name = self.job.name(account.id);
            self.done.push(format!("{name}: the message of change {} ({size} octets) {what}", record.seq));
        }
        Ok(())
    }
}

/// Whether a file lies where it should and is as it was written.
fn is_whole(file: &FileScan) -> bool {
    matches!(file.health, Health::Whole)
}

/// The hash and the size of the message that a record appends.
fn content_of(record: &LogRecord) -> Option<(Hash, u64)> {
    let Some(Change::AppendedSegment { record, .. }) = Change::decode(record.kind, &record.payload) else {
        return None;
    };
    let record: &Encoded<Record> = &record;
    Some((Hash(record.content_hash), record.size.to_native()))
}

/// The highest numbers that the account gave out, or numbers above all that it can have.
fn numbers(account: &AccountScan) -> Numbers {
    if let Said::Manifest(manifest) = &account.said {
        return Numbers { uid_validity: manifest.uid_validity, mailbox_id: manifest.mailbox_id };
    }
    let inner = account.state.inner.borrow();
    Numbers {
        uid_validity: inner.uid_validity_assigned.saturating_add(FSCK_NUMBERS_SKIPPED),
        mailbox_id: inner.mailbox_id_assigned.saturating_add(FSCK_NUMBERS_SKIPPED),
    }
}

/// What is written of each message of a file, which of that each place has, and whether anything is not as it was. Copies share
/// what they have.
fn contents_of(source: &Source<'_>, columns: &[Row], slot: &Slot) -> (Vec<Contents>, Vec<usize>, bool) {
    let (mut contents, mut by_start, mut changed) = (Vec::new(), HashMap::new(), false);
    for (&at, (_, _, row)) in &slot.rows {
        let (mended, is_changed) = source.mended(at, row, columns[at as usize]);
        changed |= is_changed;
        by_start.entry(source.sealed.record_start(at)).or_insert_with(|| {
            contents.push(mended);
            contents.len() - 1
        });
    }
    let mut shared = Vec::with_capacity(columns.len());
    for at in 0..columns.len() as u32 {
        shared.push(*by_start.entry(source.sealed.record_start(at)).or_insert_with(|| {
            contents.push(source.as_it_is(at));
            contents.len() - 1
        }));
    }
    (contents, shared, changed)
}
