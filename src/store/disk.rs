//! `Disk`: the only way from the store to files. The ring is one body of it, the simulator of the crash tests another.
//!
//! Invariant: paths are relative to the data folder and made of names that the store built itself (a mailbox name is
//! never a path). Nothing here buffers, retries or caches. [`AnyDisk`] is the same with the type erased, for the parts
//! of the store that would otherwise be generic all through; it costs a box an operation, and an operation is a system
//! call.
#![allow(async_fn_in_trait)]

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;

use super::map::Map;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// For reading; it must exist.
    Read,
    /// For writing; it must not exist.
    Create,
    /// For reading and writing; made if absent.
    Update,
}

/// Files, by path in the data folder. A shard has its own; no operation is begun before its future is polled.
pub trait Disk: Clone + 'static {
    /// A cheap handle, closed on the last drop.
    type File: Clone + 'static;

    /// Opens `path`.
    async fn open(&self, path: &str, mode: Open) -> io::Result<Self::File>;
    /// The file's length in bytes.
    async fn length(&self, file: &Self::File) -> io::Result<u64>;
    /// `bytes` from `offset`; fewer at the end of the file.
    async fn read(&self, file: &Self::File, offset: u64, bytes: usize) -> io::Result<Vec<u8>>;
    /// Writes the whole, or says an error; the buffer comes back.
    async fn write(&self, file: &Self::File, offset: u64, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>);
    /// Writes the whole and waits until it is on the medium (fdatasync).
    async fn write_sync(&self, file: &Self::File, offset: u64, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>);
    /// Waits until all that was written is on the medium (fdatasync).
    async fn sync(&self, file: &Self::File) -> io::Result<()>;
    /// Waits until the names in the folder are on the medium.
    async fn sync_folder(&self, path: &str) -> io::Result<()>;
    /// Renames a file, over another where there is one.
    async fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Gives a file a second name, which must be free; its bytes are on the disk once.
    async fn link(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file's name; maps of it stay readable.
    async fn remove(&self, path: &str) -> io::Result<()>;
    /// Makes a folder; fine where it exists.
    async fn create_folder(&self, path: &str) -> io::Result<()>;
    /// The names in a folder, sorted; none where there is no such folder.
    async fn list(&self, path: &str) -> io::Result<Vec<String>>;
    /// Maps the whole file for reading.
    async fn map(&self, path: &str) -> io::Result<Map>;
    /// Maps the whole of an open file for reading: one that has no name any more.
    async fn map_file(&self, file: &Self::File) -> io::Result<Map>;
    /// What maps the whole file when it is called, on any thread: it may block.
    fn mapper(&self, path: &str) -> Mapper;
}

/// Maps a file; may block.
pub type Mapper = Box<dyn FnOnce() -> io::Result<Map> + Send>;

/// A boxed future of the erased disk.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// [`Disk`] without its type; files are handed about as [`AnyFile`].
trait Erased {
    fn open<'a>(&'a self, path: &'a str, mode: Open) -> Boxed<'a, io::Result<AnyFile>>;
    fn list<'a>(&'a self, path: &'a str) -> Boxed<'a, io::Result<Vec<String>>>;
    fn map<'a>(&'a self, path: &'a str) -> Boxed<'a, io::Result<Map>>;
    fn change<'a>(&'a self, change: NameChange<'a>) -> Boxed<'a, io::Result<()>>;
    fn mapper(&self, path: &str) -> Mapper;
}

/// The operations on names, folded into one.
enum NameChange<'a> {
    SyncFolder(&'a str),
    Rename(&'a str, &'a str),
    Link(&'a str, &'a str),
    Remove(&'a str),
    CreateFolder(&'a str),
}

trait ErasedFile {
    fn length(&self) -> Boxed<'_, io::Result<u64>>;
    fn read(&self, offset: u64, bytes: usize) -> Boxed<'_, io::Result<Vec<u8>>>;
    fn write(&self, offset: u64, bytes: Vec<u8>, sync: bool) -> Boxed<'_, (io::Result<()>, Vec<u8>)>;
    fn sync(&self) -> Boxed<'_, io::Result<()>>;
    fn map(&self) -> Boxed<'_, io::Result<Map>>;
}

struct Pair<D: Disk>(D, D::File);

impl<D: Disk> ErasedFile for Pair<D> {
    fn length(&self) -> Boxed<'_, io::Result<u64>> {
        Box::pin(self.0.length(&self.1))
    }

    fn read(&self, offset: u64, bytes: usize) -> Boxed<'_, io::Result<Vec<u8>>> {
        Box::pin(self.0.read(&self.1, offset, bytes))
    }

    fn write(&self, offset: u64, bytes: Vec<u8>, sync: bool) -> Boxed<'_, (io::Result<()>, Vec<u8>)> {
        if sync {
            Box::pin(self.0.write_sync(&self.1, offset, bytes))
        } else {
            Box::pin(self.0.write(&self.1, offset, bytes))
        }
    }

    fn sync(&self) -> Boxed<'_, io::Result<()>> {
        Box::pin(self.0.sync(&self.1))
    }

    fn map(&self) -> Boxed<'_, io::Result<Map>> {
        Box::pin(self.0.map_file(&self.1))
    }
}

impl<D: Disk> Erased for D {
    fn open<'a>(&'a self, path: &'a str, mode: Open) -> Boxed<'a, io::Result<AnyFile>> {
        Box::pin(async move {
            let file = Disk::open(self, path, mode).await?;
            Ok(AnyFile(Rc::new(Pair(self.clone(), file))))
        })
    }

    fn list<'a>(&'a self, path: &'a str) -> Boxed<'a, io::Result<Vec<String>>> {
        Box::pin(Disk::list(self, path))
    }

    fn map<'a>(&'a self, path: &'a str) -> Boxed<'a, io::Result<Map>> {
        Box::pin(Disk::map(self, path))
    }

    fn change<'a>(&'a self, change: NameChange<'a>) -> Boxed<'a, io::Result<()>> {
        match change {
            NameChange::SyncFolder(path) => Box::pin(Disk::sync_folder(self, path)),
            NameChange::Rename(from, to) => Box::pin(Disk::rename(self, from, to)),
            NameChange::Link(from, to) => Box::pin(Disk::link(self, from, to)),
            NameChange::Remove(path) => Box::pin(Disk::remove(self, path)),
            NameChange::CreateFolder(path) => Box::pin(Disk::create_folder(self, path)),
        }
    }

    fn mapper(&self, path: &str) -> Mapper {
        Disk::mapper(self, path)
    }
}

/// Any [`Disk`].
#[derive(Clone)]
pub struct AnyDisk(Rc<dyn Erased>);

/// A file of an [`AnyDisk`].
#[derive(Clone)]
pub struct AnyFile(Rc<dyn ErasedFile>);

impl AnyDisk {
    /// `disk`, its type forgotten.
    pub fn new<D: Disk>(disk: D) -> AnyDisk {
        AnyDisk(Rc::new(disk))
    }
}

impl Disk for AnyDisk {
    type File = AnyFile;

    async fn open(&self, path: &str, mode: Open) -> io::Result<AnyFile> {
        self.0.open(path, mode).await
    }

    async fn length(&self, file: &AnyFile) -> io::Result<u64> {
        file.0.length().await
    }

    async fn read(&self, file: &AnyFile, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        file.0.read(offset, bytes).await
    }

    async fn write(&self, file: &AnyFile, offset: u64, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        file.0.write(offset, bytes, false).await
    }

    async fn write_sync(&self, file: &AnyFile, offset: u64, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        file.0.write(offset, bytes, true).await
    }

    async fn sync(&self, file: &AnyFile) -> io::Result<()> {
        file.0.sync().await
    }

    async fn sync_folder(&self, path: &str) -> io::Result<()> {
        self.0.change(NameChange::SyncFolder(path)).await
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.change(NameChange::Rename(from, to)).await
    }

    async fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.change(NameChange::Link(from, to)).await
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        self.0.change(NameChange::Remove(path)).await
    }

    async fn create_folder(&self, path: &str) -> io::Result<()> {
        self.0.change(NameChange::CreateFolder(path)).await
    }

    async fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.0.list(path).await
    }

    async fn map(&self, path: &str) -> io::Result<Map> {
        self.0.map(path).await
    }

    async fn map_file(&self, file: &AnyFile) -> io::Result<Map> {
        file.0.map().await
    }

    fn mapper(&self, path: &str) -> Mapper {
        self.0.mapper(path)
    }
}

/// Puts `bytes` under `folder/name` so that a crash leaves either the old file or the new one: a temporary file, a sync,
/// a rename, a sync of the folder.
pub(super) async fn replace<D: Disk>(disk: &D, folder: &str, name: &str, bytes: Vec<u8>) -> io::Result<()> {
    let (temporary, path) = (format!("{folder}/{name}.tmp"), format!("{folder}/{name}"));
    match disk.remove(&temporary).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&temporary, Open::Create).await?;
    if let Err(error) = disk.write_sync(&file, 0, bytes).await.0 {
        let _ = disk.remove(&temporary).await;
        return Err(error);
    }
    drop(file);
    disk.rename(&temporary, &path).await?;
    disk.sync_folder(folder).await
}

/// The whole of a small file; `None` where there is none.
pub(super) async fn read_whole<D: Disk>(disk: &D, path: &str) -> io::Result<Option<Vec<u8>>> {
    match disk.open(path, Open::Read).await {
        Ok(file) => {
            let length = disk.length(&file).await?;
            disk.read(&file, 0, usize::try_from(length).map_err(io::Error::other)?).await.map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
