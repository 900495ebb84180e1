//! A disk in memory that forgets: the other body of [`Disk`], for tests.
//!
//! It knows which bytes and which names were synced. A crash keeps those, and of the rest what a seed decides: unsynced
//! writes are applied, torn at 512 bytes or dropped, each sector on its own and in any order; unsynced names are made,
//! changed and removed or not, each on its own. Any operation can be made the last one that works.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::rc::Rc;

use super::disk::{Disk, Mapper, Open};
use super::map::Map;

const SECTOR: usize = 512;

/// A small generator (xorshift64*, Vigna 2014): the same seed, the same crash.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 33) as usize) % bound.max(1)
    }
}

#[derive(Default, Debug)]
struct Inode {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Offset and bytes of what was written since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum NameOp {
    Link(String, usize),
    Unlink(String),
    Folder(String),
}

#[derive(Default, Debug)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    folders: BTreeSet<String>,
    synced_names: BTreeMap<String, usize>,
    synced_folders: BTreeSet<String>,
    /// By folder, in order.
    unsynced_names: Vec<(String, NameOp)>,
    operations: u64,
    fail_from: Option<u64>,
    fail_once: Option<(u64, io::ErrorKind)>,
    write_syncs: u64,
    /// Files that were opened to be read, or mapped.
    reads: u64,
    /// No file can be made or grow.
    full: bool,
    /// What all files may take together.
    capacity: Option<usize>,
    /// No file can be opened: the system's error number.
    short: Option<i32>,
    /// No write works, for that reason.
    unwritable: Option<i32>,
    /// No file can get a second name: the system's error number.
    unlinkable: Option<i32>,
}

/// The disk; clones are the same one.
#[derive(Clone, Default, Debug)]
pub(crate) struct MemoryDisk(Rc<RefCell<State>>);

fn folder_of(path: &str) -> String {
    path.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned()
}

fn not_found(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{path}: not found"))
}

impl MemoryDisk {
    /// How many operations that change something there were.
    pub(super) fn operations(&self) -> u64 {
        self.0.borrow().operations
    }

    /// How many groups were written and synced.
    pub(crate) fn write_syncs(&self) -> u64 {
        self.0.borrow().write_syncs
    }

    /// How often a file was opened to be read, or mapped.
    pub(crate) fn reads(&self) -> u64 {
        self.0.borrow().reads
    }

    /// Lets the disk be full: no file is made and none grows; what is there can be written.
    pub(crate) fn fill(&self, full: bool) {
        self.0.borrow_mut().full = full;
    }

    /// Lets the disk be full as soon as its files take `room` octets more than now; `None`: it is as large as it needs to be.
    pub(super) fn limit(&self, room: Option<usize>) {
        let taken = self.stored("").1;
        self.0.borrow_mut().capacity = room.map(|room| taken + room);
    }

    /// Lets every open fail with that error number: there are no descriptors.
    pub(super) fn run_short(&self, errno: Option<i32>) {
        self.0.borrow_mut().short = errno;
    }

    /// Lets every write fail with that error number.
    pub(super) fn fail_writes(&self, errno: i32) {
        self.0.borrow_mut().unwritable = Some(errno);
    }

    /// Lets every link fail with that error number.
    pub(super) fn fail_links(&self, errno: i32) {
        self.0.borrow_mut().unlinkable = Some(errno);
    }

    /// What the files below a folder take: how many there are, whatever their names, and their bytes.
    pub(super) fn stored(&self, folder: &str) -> (usize, usize) {
        let state = self.0.borrow();
        let named = state.names.iter().filter(|(path, _)| path.starts_with(folder));
        let files: HashSet<usize> = named.map(|(_, inode)| *inode).collect();
        (files.len(), files.iter().map(|inode| state.inodes[*inode].now.len()).sum())
    }

    /// Puts a file there that another server wrote, durably.
    pub(super) fn plant(&self, path: &str, bytes: Vec<u8>) {
        let state = &mut *self.0.borrow_mut();
        for (end, _) in path.match_indices('/') {
            state.folders.insert(path[..end].to_owned());
            state.synced_folders.insert(path[..end].to_owned());
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode { now: bytes.clone(), synced: bytes, unsynced: Vec::new() });
        state.names.insert(path.to_owned(), inode);
        state.synced_names.insert(path.to_owned(), inode);
    }

    fn check_descriptors(&self) -> io::Result<()> {
        self.0.borrow().short.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    /// From operation `number` on everything fails.
    pub(super) fn fail_from(&self, number: u64) {
        self.0.borrow_mut().fail_from = Some(number);
    }

    /// Operation `number` alone fails.
    pub(super) fn fail_once(&self, number: u64, kind: io::ErrorKind) {
        self.0.borrow_mut().fail_once = Some((number, kind));
    }

    /// Paths of the files there are.
    pub(super) fn paths(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    /// The bytes of a file.
    pub(super) fn bytes(&self, path: &str) -> Vec<u8> {
        let state = self.0.borrow();
        state.inodes[state.names[path]].now.clone()
    }

    /// Changes a file behind everybody's back.
    pub(crate) fn damage(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.borrow_mut();
        let inode = state.names[path];
        change(&mut state.inodes[inode].now);
        let now = state.inodes[inode].now.clone();
        state.inodes[inode].synced = now;
    }

    /// What a power cut leaves: a new disk.
    pub(super) fn crash(&self, seed: u64) -> MemoryDisk {
        let mut random = Random::new(seed);
        let old = self.0.borrow();
        let mut new =
            State { names: old.synced_names.clone(), folders: old.synced_folders.clone(), ..State::default() };
        for (_, operation) in &old.unsynced_names {
            if random.below(2) == 0 {
                continue;
            }
            match operation.clone() {
                NameOp::Link(path, inode) => {
                    new.names.insert(path, inode);
                }
                NameOp::Unlink(path) => {
                    new.names.remove(&path);
                }
                NameOp::Folder(path) => {
                    new.folders.insert(path);
                }
            }
        }
        let folders = new.folders.clone();
        new.names.retain(|path, _| {
            let mut folder = folder_of(path);
            while folder != "." {
                if !folders.contains(&folder) {
                    return false;
                }
                folder = folder_of(&folder);
            }
            true
        });
        for inode in &old.inodes {
            let mut bytes = inode.synced.clone();
            for (offset, written) in &inode.unsynced {
                // A third is whole, a third is gone, a third is torn.
                let fate = random.below(3);
                for (index, sector) in written.chunks(SECTOR).enumerate() {
                    if fate == 0 || fate == 1 && random.below(2) == 0 {
                        put(&mut bytes, offset + index * SECTOR, sector);
                    }
                }
            }
            new.inodes.push(Inode { now: bytes.clone(), synced: bytes, unsynced: Vec::new() });
        }
        new.synced_names = new.names.clone();
        new.synced_folders = new.folders.clone();
        MemoryDisk(Rc::new(RefCell::new(new)))
    }

    /// Counts an operation that changes something, and fails it where so told.
    async fn operation(&self) -> io::Result<()> {
        let number = {
            let mut state = self.0.borrow_mut();
            state.operations += 1;
            state.operations
        };
        // As on a ring, nothing is done before somebody else had a turn.
        super::tests::yield_now().await;
        let state = self.0.borrow();
        if state.fail_from.is_some_and(|from| number >= from) {
            return Err(io::Error::other("simulated failure"));
        }
        match state.fail_once {
            Some((once, kind)) if once == number => Err(io::Error::new(kind, "simulated failure")),
            _ => Ok(()),
        }
    }

    fn name(state: &mut State, operation: NameOp) {
        let path = match &operation {
            NameOp::Link(path, _) | NameOp::Unlink(path) | NameOp::Folder(path) => path,
        };
        state.unsynced_names.push((folder_of(path), operation));
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, piece: &[u8]) {
    if bytes.len() < offset + piece.len() {
        bytes.resize(offset + piece.len(), 0);
    }
    bytes[offset..offset + piece.len()].copy_from_slice(piece);
}

impl Disk for MemoryDisk {
    type File = usize;

    async fn open(&self, path: &str, mode: Open) -> io::Result<usize> {
        self.check_descriptors()?;
        self.0.borrow_mut().reads += u64::from(mode == Open::Read);
        let found = self.0.borrow().names.get(path).copied();
        match (mode, found) {
            (Open::Create, Some(_)) => Err(io::Error::new(io::ErrorKind::AlreadyExists, path.to_owned())),
            (_, Some(inode)) => Ok(inode),
            (Open::Read, None) => Err(not_found(path)),
            (_, None) => {
                self.operation().await?;
                let state = &mut *self.0.borrow_mut();
                if state.full {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                let folder = folder_of(path);
                if folder != "." && !state.folders.contains(&folder) {
                    return Err(not_found(&folder));
                }
                let inode = state.inodes.len();
                state.inodes.push(Inode::default());
                state.names.insert(path.to_owned(), inode);
                Self::name(state, NameOp::Link(path.to_owned(), inode));
                Ok(inode)
            }
        }
    }

    async fn length(&self, file: &usize) -> io::Result<u64> {
        Ok(self.0.borrow().inodes[*file].now.len() as u64)
    }

    async fn read(&self, file: &usize, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let state = self.0.borrow();
        let all = &state.inodes[*file].now;
        let start = (offset as usize).min(all.len());
        Ok(all[start..start.saturating_add(bytes).min(all.len())].to_vec())
    }

    async fn write(&self, file: &usize, offset: u64, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        if let Err(error) = self.operation().await {
            return (Err(error), bytes);
        }
        let taken = self.stored("").1;
        let state = &mut *self.0.borrow_mut();
        if let Some(errno) = state.unwritable {
            return (Err(io::Error::from_raw_os_error(errno)), bytes);
        }
        let grows = (offset as usize + bytes.len()).saturating_sub(state.inodes[*file].now.len());
        if grows > 0 && state.capacity.is_some_and(|capacity| taken + grows > capacity) {
            return (Err(io::ErrorKind::StorageFull.into()), bytes);
        }
        let inode = &mut state.inodes[*file];
        if state.full && offset as usize + bytes.len() > inode.now.len() {
            return (Err(io::ErrorKind::StorageFull.into()), bytes);
        }
        put(&mut inode.now, offset as usize, &bytes);
        inode.unsynced.push((offset as usize, bytes.clone()));
        (Ok(()), bytes)
    }

    async fn write_sync(&self, file: &usize, offset: u64, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        self.0.borrow_mut().write_syncs += 1;
        let (written, bytes) = self.write(file, offset, bytes).await;
        if written.is_err() {
            return (written, bytes);
        }
        (self.sync(file).await, bytes)
    }

    async fn sync(&self, file: &usize) -> io::Result<()> {
        self.operation().await?;
        let inode = &mut self.0.borrow_mut().inodes[*file];
        for (offset, bytes) in std::mem::take(&mut inode.unsynced) {
            put(&mut inode.synced, offset, &bytes);
        }
        Ok(())
    }

    async fn sync_folder(&self, path: &str) -> io::Result<()> {
        self.check_descriptors()?;
        self.operation().await?;
        let state = &mut *self.0.borrow_mut();
        let (ours, others) =
            std::mem::take(&mut state.unsynced_names).into_iter().partition(|(folder, _)| folder == path);
        state.unsynced_names = others;
        let ours: Vec<(String, NameOp)> = ours;
        for (_, operation) in ours {
            match operation {
                NameOp::Link(path, inode) => {
                    state.synced_names.insert(path, inode);
                }
                NameOp::Unlink(path) => {
                    state.synced_names.remove(&path);
                }
                NameOp::Folder(path) => {
                    state.synced_folders.insert(path);
                }
            }
        }
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operation().await?;
        let state = &mut *self.0.borrow_mut();
        let inode = state.names.remove(from).ok_or_else(|| not_found(from))?;
        state.names.insert(to.to_owned(), inode);
        Self::name(state, NameOp::Link(to.to_owned(), inode));
        Self::name(state, NameOp::Unlink(from.to_owned()));
        Ok(())
    }

    async fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.operation().await?;
        let state = &mut *self.0.borrow_mut();
        if let Some(errno) = state.unlinkable {
            return Err(io::Error::from_raw_os_error(errno));
        }
        if state.names.contains_key(to) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, to.to_owned()));
        }
        let inode = *state.names.get(from).ok_or_else(|| not_found(from))?;
        if !state.folders.contains(&folder_of(to)) {
            return Err(not_found(to));
        }
        state.names.insert(to.to_owned(), inode);
        Self::name(state, NameOp::Link(to.to_owned(), inode));
        Ok(())
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        if !self.0.borrow().names.contains_key(path) {
            return Err(not_found(path));
        }
        self.operation().await?;
        let state = &mut *self.0.borrow_mut();
        state.names.remove(path);
        Self::name(state, NameOp::Unlink(path.to_owned()));
        Ok(())
    }

    async fn create_folder(&self, path: &str) -> io::Result<()> {
        if self.0.borrow().folders.contains(path) {
            return Ok(());
        }
        self.operation().await?;
        let state = &mut *self.0.borrow_mut();
        state.folders.insert(path.to_owned());
        Self::name(state, NameOp::Folder(path.to_owned()));
        Ok(())
    }

    async fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let state = self.0.borrow();
        let prefix = format!("{path}/");
        let paths = state.names.keys().chain(&state.folders);
        let names = paths.filter_map(|path| path.strip_prefix(&prefix)).filter(|name| !name.contains('/'));
        Ok(names.map(str::to_owned).collect::<BTreeSet<String>>().into_iter().collect())
    }

    async fn map(&self, path: &str) -> io::Result<Map> {
        self.0.borrow_mut().reads += 1;
        let state = self.0.borrow();
        let inode = state.names.get(path).ok_or_else(|| not_found(path))?;
        Ok(Map::of_bytes(&state.inodes[*inode].now))
    }

    async fn map_file(&self, file: &usize) -> io::Result<Map> {
        Ok(Map::of_bytes(&self.0.borrow().inodes[*file].now))
    }

    fn mapper(&self, path: &str) -> Mapper {
        let state = self.0.borrow();
        let map = match state.names.get(path) {
            Some(inode) => Ok(Map::of_bytes(&state.inodes[*inode].now)),
            None => Err(not_found(path)),
        };
        Box::new(move || map)
    }
}
