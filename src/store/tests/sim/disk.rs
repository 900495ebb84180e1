//! The simulator's disk: files in memory, operations that take their time, and everything that can go wrong with them.
//!
//! Invariants: all that happens follows from the seed and the order of the calls; an operation has its effect at some moment
//! between its begin and its end, and other operations come in between; what was not synced is known write by write and name
//! by name, and a power cut decides about each. A [`Mutant`] makes it lie, as a store would that has forgotten something:
//! that is how the simulator's own tests see that it would be found.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::rc::Rc;

use super::super::super::disk::{Disk, Mapper, Open};
use super::super::super::log_record::{padded, parse};
use super::super::super::map::Map;
use super::super::super::memory_disk::Random;
use super::super::yield_now;
use super::mutants::Mutant;

/// What a power cut does with what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Loss {
    /// All of it is gone.
    Dropped,
    /// Each sector of 512 octets is there or not, each name on its own.
    Sectors,
    /// The same with pages of 4096.
    Pages,
    /// Whole writes and names, some of them, whichever came first.
    Reordered,
}

/// What goes wrong in a life of the store, from some operation on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// The power goes.
    Cut(Loss),
    /// The process is killed: what it wrote stays, synced or not.
    Kill,
    /// One operation fails (EIO).
    Error,
    /// The next sync of a file fails; what it was to bring onto the medium is there or not, and later syncs say that all is well.
    FailedSync,
    /// For so many operations nothing can grow.
    NoSpace(u64),
    /// For so many operations nothing can be opened.
    NoDescriptors(u64),
    /// The next read or map fails (EIO).
    Unreadable,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Open,
    Create,
    Read,
    Write,
    Sync,
    SyncFolder,
    Name,
    List,
}

#[derive(Default)]
struct Inode {
    path: String,
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Number, offset and octets of each write since the last sync.
    unsynced: VecDeque<(u64, usize, Vec<u8>)>,
    map: Option<Map>,
    /// A mutant's sync that is still to be done.
    owed: bool,
}

#[derive(Clone)]
enum NameOp {
    Link(String, usize),
    Unlink(String),
    Folder(String),
}

struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    folders: BTreeSet<String>,
    synced_names: BTreeMap<String, usize>,
    synced_folders: BTreeSet<String>,
    /// By folder, in order.
    unsynced_names: Vec<(String, NameOp)>,
    random: Random,
    /// An operation takes up to so many turns before its effect, and again after it.
    turns_max: usize,
    operations: u64,
    writes: u64,
    fault: Option<(Fault, u64)>,
    fired: bool,
    dead: bool,
    mutant: Option<Mutant>,
    traced: bool,
    /// Sealed files that a merge replaced.
    merged: u64,
}

/// The disk; clones are the same one.
#[derive(Clone)]
pub(super) struct SimDisk(Rc<RefCell<State>>);

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(folder, _)| folder)
}

fn not_found(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{path}: not found"))
}

fn put(bytes: &mut Vec<u8>, offset: usize, piece: &[u8]) {
    if bytes.len() < offset + piece.len() {
        bytes.resize(offset + piece.len(), 0);
    }
    bytes[offset..offset + piece.len()].copy_from_slice(piece);
}

fn is_sealed_file(path: &str) -> bool {
    path.starts_with("accounts/") && path.rsplit('/').next().is_some_and(|name| name.len() == 64)
}

impl SimDisk {
    pub(super) fn new(seed: u64, mutant: Option<Mutant>, traced: bool) -> SimDisk {
        let mut random = Random::new(seed);
        let turns_max = [1, 2, 4, 8][random.below(4)];
        SimDisk::of(State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            folders: BTreeSet::new(),
            synced_names: BTreeMap::new(),
            synced_folders: BTreeSet::new(),
            unsynced_names: Vec::new(),
            random,
            turns_max,
            operations: 0,
            writes: 0,
            fault: None,
            fired: false,
            dead: false,
            mutant,
            traced,
            merged: 0,
        })
    }

    fn of(state: State) -> SimDisk {
        SimDisk(Rc::new(RefCell::new(state)))
    }

    /// From operation `at` of this life on, `fault`.
    pub(super) fn plan(&self, fault: Option<(Fault, u64)>) {
        let mut state = self.0.borrow_mut();
        (state.fault, state.fired) = (fault, false);
    }

    /// Whether the fault has happened.
    pub(super) fn fired(&self) -> bool {
        self.0.borrow().fired
    }

    /// Whether the power is gone, or the process killed: no operation ends any more.
    pub(super) fn is_dead(&self) -> bool {
        self.0.borrow().dead
    }

    pub(super) fn operations(&self) -> u64 {
        self.0.borrow().operations
    }

    /// Sealed files that merges replaced.
    pub(super) fn merged(&self) -> u64 {
        self.0.borrow().merged
    }

    /// Paths of the files there are, in order.
    pub(super) fn paths(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    pub(super) fn bytes(&self, path: &str) -> Vec<u8> {
        let state = self.0.borrow();
        state.inodes[state.names[path]].now.clone()
    }

    /// Turns one bit round, on the medium.
    pub(super) fn flip(&self, path: &str, at: usize, bit: usize) {
        let state = &mut *self.0.borrow_mut();
        let inode = &mut state.inodes[state.names[path]];
        inode.now[at] ^= 1 << bit;
        inode.map = None;
        inode.synced.clone_from(&inode.now);
    }

    /// What a process finds that starts after this one ended: everything that was written.
    pub(super) fn survivor(&self) -> SimDisk {
        let new = self.emptied();
        {
            let (old, state) = (&mut *self.0.borrow_mut(), &mut *new.0.borrow_mut());
            state.inodes = std::mem::take(&mut old.inodes);
            state.names = std::mem::take(&mut old.names);
            state.folders = std::mem::take(&mut old.folders);
            state.synced_names = std::mem::take(&mut old.synced_names);
            state.synced_folders = std::mem::take(&mut old.synced_folders);
            state.unsynced_names = std::mem::take(&mut old.unsynced_names);
        }
        new
    }

    /// The same disk, with nothing on it.
    fn emptied(&self) -> SimDisk {
        let mut old = self.0.borrow_mut();
        let new = SimDisk::new(old.random.next(), old.mutant, old.traced);
        {
            let mut state = new.0.borrow_mut();
            (state.turns_max, state.operations) = (old.turns_max, old.operations);
            (state.writes, state.merged) = (old.writes, old.merged);
        }
        new
    }

    /// What a power cut leaves.
    pub(super) fn crash(&self, loss: Loss) -> SimDisk {
        let new = self.emptied();
        let (old, state) = (&mut *self.0.borrow_mut(), &mut *new.0.borrow_mut());
        let mut names = std::mem::take(&mut old.synced_names);
        let mut folders = std::mem::take(&mut old.synced_folders);
        for (_, operation) in std::mem::take(&mut old.unsynced_names) {
            if loss == Loss::Dropped || state.random.below(2) == 0 {
                continue;
            }
            apply_name(operation, &mut names, &mut folders);
        }
        names.retain(|path, _| {
            let mut folder = folder_of(path);
            while folder != "." && folders.contains(folder) {
                folder = folder_of(folder);
            }
            folder == "."
        });
        let mut moved: BTreeMap<usize, usize> = BTreeMap::new();
        for (path, inode) in names {
            let next = state.inodes.len();
            let new_inode = *moved.entry(inode).or_insert(next);
            if new_inode == next {
                let bytes = old.inodes[inode].after_cut(loss, &mut state.random);
                state.inodes.push(Inode { path: path.clone(), now: bytes.clone(), synced: bytes, ..Inode::default() });
            }
            state.names.insert(path, new_inode);
        }
        state.folders = folders.clone();
        state.synced_folders = folders;
        state.synced_names = state.names.clone();
        old.fault = None;
        new.clone()
    }

    /// Counts an operation, waits for its turn, and says whether it works.
    async fn begin(&self, kind: Kind, path: &str) -> io::Result<()> {
        let (turns, outcome) = self.0.borrow_mut().number(kind, path);
        self.pass(turns).await;
        outcome
    }

    async fn end(&self) {
        let turns = {
            let state = &mut *self.0.borrow_mut();
            state.random.below(state.turns_max)
        };
        self.pass(turns).await;
    }

    async fn pass(&self, turns: usize) {
        for _ in 0..turns {
            yield_now().await;
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    fn path_of(&self, file: usize) -> String {
        self.0.borrow().inodes[file].path.clone()
    }

    /// The inode of an open file for reading, and a map of all of it.
    fn map_inode(&self, file: usize) -> Map {
        let state = &mut *self.0.borrow_mut();
        let mutant = state.mutant;
        let inode = &mut state.inodes[file];
        if inode.map.is_none() {
            let bytes = match mutant {
                Some(Mutant::IgnoredIncarnation) if inode.path.starts_with("log/") => adopted(&inode.path, &inode.now),
                _ => Map::of_bytes(&inode.now),
            };
            inode.map = Some(bytes);
        }
        inode.map.clone().expect("just made")
    }

    /// Brings the writes onto the medium that were there when the sync began.
    async fn sync_data(&self, file: usize, upto: u64) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        let is_log = state.inodes[file].path.starts_with("log/0");
        let is_new = state.inodes[file].path.contains(".tmp") && state.inodes[file].path.starts_with("accounts/");
        let is_manifest = is_new && state.inodes[file].path.contains("MANIFEST");
        match state.mutant {
            Some(Mutant::SkippedLogSync) if is_log => return Ok(()),
            Some(Mutant::SkippedFileSync) if is_new && !is_manifest => return Ok(()),
            Some(Mutant::SkippedManifestSync) if is_manifest => return Ok(()),
            Some(Mutant::EarlyAcknowledgement) if is_log && !std::mem::take(&mut state.inodes[file].owed) => {
                state.inodes[file].owed = true;
                return Ok(());
            }
            Some(Mutant::ManifestFirst) if is_new && !is_manifest => {
                state.inodes[file].owed = true;
                return Ok(());
            }
            _ => {}
        }
        state.inodes[file].sync(upto);
        Ok(())
    }

    fn rename_now(&self, from: &str, to: &str) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        let inode = state.names.remove(from).ok_or_else(|| not_found(from))?;
        state.names.insert(to.to_owned(), inode);
        state.inodes[inode].path = to.to_owned();
        state.name(NameOp::Link(to.to_owned(), inode));
        state.name(NameOp::Unlink(from.to_owned()));
        Ok(())
    }
}

/// Records of other incarnations as if they were this one's: what a replay sees that does not look.
fn adopted(path: &str, bytes: &[u8]) -> Map {
    let mut bytes = bytes.to_vec();
    let number = path.rsplit('-').next().and_then(|number| u64::from_str_radix(number, 16).ok()).unwrap_or(0);
    let mut at = 512;
    while let Some(header) = bytes.get(at..).and_then(parse) {
        let record = &mut bytes[at..at + header.length as usize];
        record[16..24].copy_from_slice(&number.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&record[..4]), &record[8..]);
        record[4..8].copy_from_slice(&crc.to_le_bytes());
        at += padded(header.length);
    }
    Map::of_bytes(&bytes)
}

fn apply_name(operation: NameOp, names: &mut BTreeMap<String, usize>, folders: &mut BTreeSet<String>) {
    match operation {
        NameOp::Link(path, inode) => drop(names.insert(path, inode)),
        NameOp::Unlink(path) => drop(names.remove(&path)),
        NameOp::Folder(path) => drop(folders.insert(path)),
    }
}

impl Inode {
    fn sync(&mut self, upto: u64) {
        while self.unsynced.front().is_some_and(|(number, ..)| *number <= upto) {
            let Some((_, offset, bytes)) = self.unsynced.pop_front() else { return };
            put(&mut self.synced, offset, &bytes);
        }
    }

    /// A mutant's late sync.
    fn pay(&mut self) {
        self.owed = false;
        self.sync(u64::MAX);
    }

    /// A sync that failed: what was to be synced counts as synced from now on, whether it is on the medium or not.
    fn fail_sync(&mut self, random: &mut Random) {
        for (_, offset, bytes) in std::mem::take(&mut self.unsynced) {
            if random.below(2) == 0 {
                put(&mut self.synced, offset, &bytes);
            }
        }
    }

    fn after_cut(&mut self, loss: Loss, random: &mut Random) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.synced);
        let sector = match loss {
            Loss::Dropped => return bytes,
            Loss::Sectors => 512,
            Loss::Pages => 4096,
            Loss::Reordered => usize::MAX,
        };
        for (_, offset, written) in &self.unsynced {
            // A third is whole, a third is gone, a third is torn.
            let fate = random.below(3);
            let mut start = 0;
            while start < written.len() {
                // Sectors are those of the file.
                let end = (offset + start).checked_next_multiple_of(sector).unwrap_or(usize::MAX);
                let end = if end == offset + start { end.saturating_add(sector) } else { end };
                let end = (end - offset).min(written.len());
                if fate == 0 || fate == 1 && random.below(2) == 0 {
                    put(&mut bytes, offset + start, &written[start..end]);
                }
                start = end;
            }
        }
        bytes
    }
}

impl State {
    /// Counts an operation and decides what becomes of it: the turns before it has its effect, and its error.
    fn number(&mut self, kind: Kind, path: &str) -> (usize, io::Result<()>) {
        self.operations += 1;
        let turns = self.random.below(self.turns_max);
        let outcome = self.outcome(kind);
        if self.traced {
            let failed = if outcome.is_err() { " fails" } else { "" };
            println!("  disk {:5} {kind:?} {path}{failed}", self.operations);
        }
        (turns, outcome)
    }

    fn outcome(&mut self, kind: Kind) -> io::Result<()> {
        let Some((fault, at)) = self.fault else { return Ok(()) };
        if self.operations < at {
            return Ok(());
        }
        let errno = match fault {
            Fault::Cut(_) | Fault::Kill => {
                (self.dead, self.fired) = (true, true);
                return Ok(());
            }
            Fault::NoSpace(length) if self.operations < at + length => {
                // Writes are refused where they would grow the file.
                self.fired |= kind == Kind::Create;
                if kind == Kind::Create { libc::ENOSPC } else { return Ok(()) }
            }
            Fault::NoDescriptors(length) if self.operations < at + length => {
                if !matches!(kind, Kind::Open | Kind::Create | Kind::SyncFolder | Kind::List) {
                    return Ok(());
                }
                self.fired = true;
                libc::EMFILE
            }
            Fault::Error if !self.fired => {
                self.fired = true;
                libc::EIO
            }
            Fault::Unreadable if !self.fired && kind == Kind::Read => {
                self.fired = true;
                libc::EIO
            }
            _ => return Ok(()),
        };
        Err(io::Error::from_raw_os_error(errno))
    }

    /// Whether a write or a name may make something larger now.
    fn has_space(&mut self) -> bool {
        let Some((Fault::NoSpace(length), at)) = self.fault else { return true };
        let full = (at..at + length).contains(&self.operations);
        self.fired |= full;
        !full
    }

    /// Whether this sync is the one that fails.
    fn fails_sync(&mut self) -> bool {
        let fails = matches!(self.fault, Some((Fault::FailedSync, at)) if self.operations >= at) && !self.fired;
        self.fired |= fails;
        fails
    }

    fn name(&mut self, operation: NameOp) {
        let (NameOp::Link(path, _) | NameOp::Unlink(path) | NameOp::Folder(path)) = &operation;
        self.unsynced_names.push((folder_of(path).to_owned(), operation));
    }

    fn sync_names(&mut self, folder: &str) {
        let (ours, others) = std::mem::take(&mut self.unsynced_names).into_iter().partition(|(of, _)| of == folder);
        self.unsynced_names = others;
        let ours: Vec<(String, NameOp)> = ours;
        for (_, operation) in ours {
            apply_name(operation, &mut self.synced_names, &mut self.synced_folders);
        }
    }
}

impl Disk for SimDisk {
    type File = usize;

    async fn open(&self, path: &str, mode: Open) -> io::Result<usize> {
        let found = self.0.borrow().names.get(path).copied();
        self.begin(if found.is_some() || mode == Open::Read { Kind::Open } else { Kind::Create }, path).await?;
        let state = &mut *self.0.borrow_mut();
        match (mode, state.names.get(path).copied()) {
            (Open::Create, Some(_)) => Err(io::Error::new(io::ErrorKind::AlreadyExists, path.to_owned())),
            (_, Some(inode)) => Ok(inode),
            (Open::Read, None) => Err(not_found(path)),
            (_, None) => {
                let folder = folder_of(path);
                if folder != "." && !state.folders.contains(folder) {
                    return Err(not_found(folder));
                }
                let inode = state.inodes.len();
                state.inodes.push(Inode { path: path.to_owned(), ..Inode::default() });
                state.names.insert(path.to_owned(), inode);
                state.name(NameOp::Link(path.to_owned(), inode));
                Ok(inode)
            }
        }
    }

    async fn length(&self, file: &usize) -> io::Result<u64> {
        Ok(self.0.borrow().inodes[*file].now.len() as u64)
    }

    async fn read(&self, file: &usize, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.begin(Kind::Read, &self.path_of(*file)).await?;
        let state = self.0.borrow();
        let all = &state.inodes[*file].now;
        let start = (offset as usize).min(all.len());
        Ok(all[start..start.saturating_add(bytes).min(all.len())].to_vec())
    }

    async fn write(&self, file: &usize, offset: u64, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let (file, offset) = (*file, offset as usize);
        let path = self.path_of(file);
        if let Err(error) = self.begin(Kind::Write, &path).await {
            let ignored = path.starts_with("log/0") && self.0.borrow().mutant == Some(Mutant::IgnoredError);
            return (if ignored { Ok(()) } else { Err(error) }, bytes);
        }
        {
            let state = &mut *self.0.borrow_mut();
            let grows = offset + bytes.len() > state.inodes[file].now.len();
            if grows && !state.has_space() {
                return (Err(io::ErrorKind::StorageFull.into()), bytes);
            }
            state.writes += 1;
            let number = state.writes;
            let inode = &mut state.inodes[file];
            if inode.owed {
                inode.pay();
            }
            put(&mut inode.now, offset, &bytes);
            inode.map = None;
            inode.unsynced.push_back((number, offset, bytes.clone()));
        }
        self.end().await;
        (Ok(()), bytes)
    }

    async fn write_sync(&self, file: &usize, offset: u64, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let (written, bytes) = self.write(file, offset, bytes).await;
        if written.is_err() {
            return (written, bytes);
        }
        (self.sync(file).await, bytes)
    }

    async fn sync(&self, file: &usize) -> io::Result<()> {
        self.begin(Kind::Sync, &self.path_of(*file)).await?;
        let upto = {
            let state = &mut *self.0.borrow_mut();
            if state.fails_sync() {
                let State { inodes, random, .. } = state;
                inodes[*file].fail_sync(random);
                if state.mutant != Some(Mutant::RetriedSync) {
                    return Err(io::Error::from_raw_os_error(libc::EIO));
                }
            }
            state.writes
        };
        self.end().await;
        self.sync_data(*file, upto).await
    }

    async fn sync_folder(&self, path: &str) -> io::Result<()> {
        self.begin(Kind::SyncFolder, path).await?;
        self.end().await;
        let state = &mut *self.0.borrow_mut();
        match state.mutant {
            Some(Mutant::SkippedFolderSync) if path.starts_with("accounts/") => return Ok(()),
            Some(Mutant::SkippedLogFolderSync) if path == "log" => return Ok(()),
            _ => {}
        }
        state.sync_names(path);
        if state.mutant == Some(Mutant::ManifestFirst) && state.manifest_is_newest(path) {
            state.inodes.iter_mut().filter(|inode| inode.owed).for_each(Inode::pay);
        }
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.begin(Kind::Name, to).await?;
        self.rename_now(from, to)?;
        self.end().await;
        Ok(())
    }

    async fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.begin(Kind::Create, to).await?;
        {
            let state = &mut *self.0.borrow_mut();
            if state.names.contains_key(to) {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, to.to_owned()));
            }
            let inode = *state.names.get(from).ok_or_else(|| not_found(from))?;
            if !state.folders.contains(folder_of(to)) {
                return Err(not_found(to));
            }
            state.names.insert(to.to_owned(), inode);
            state.name(NameOp::Link(to.to_owned(), inode));
        }
        self.end().await;
        Ok(())
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        self.begin(Kind::Name, path).await?;
        {
            let state = &mut *self.0.borrow_mut();
            state.names.remove(path).ok_or_else(|| not_found(path))?;
            state.merged += u64::from(is_sealed_file(path));
            state.name(NameOp::Unlink(path.to_owned()));
        }
        self.end().await;
        Ok(())
    }

    async fn create_folder(&self, path: &str) -> io::Result<()> {
        if self.0.borrow().folders.contains(path) {
            return Ok(());
        }
        self.begin(Kind::Create, path).await?;
        let state = &mut *self.0.borrow_mut();
        if state.folders.insert(path.to_owned()) {
            state.name(NameOp::Folder(path.to_owned()));
        }
        Ok(())
    }

    async fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.begin(Kind::List, path).await?;
        let (state, prefix) = (self.0.borrow(), format!("{path}/"));
        let below = state.names.range(prefix.clone()..).map_while(|(name, _)| name.strip_prefix(&prefix));
        Ok(below.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    async fn map(&self, path: &str) -> io::Result<Map> {
        self.begin(Kind::Read, path).await?;
        let inode = self.0.borrow().names.get(path).copied().ok_or_else(|| not_found(path))?;
        Ok(self.map_inode(inode))
    }

    async fn map_file(&self, file: &usize) -> io::Result<Map> {
        Ok(self.map_inode(*file))
    }

    fn mapper(&self, path: &str) -> Mapper {
        let inode = self.0.borrow().names.get(path).copied();
        let map = inode.map(|inode| self.map_inode(inode)).ok_or_else(|| not_found(path));
        Box::new(move || map)
    }
}

impl State {
    /// Whether the folder's manifest was replaced since another of its files was owed its sync.
    fn manifest_is_newest(&self, folder: &str) -> bool {
        let manifest = self.names.get(&format!("{folder}/MANIFEST"));
        manifest
            .is_some_and(|manifest| self.inodes.iter().rposition(|inode| inode.owed).is_none_or(|at| at < *manifest))
    }
}
