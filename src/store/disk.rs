//! `Disk`: the only way from the store to files. The ring is one body of it, the simulator of the crash tests another.
//!
//! Invariant: paths are relative to the data folder and made of names that the store built itself (a mailbox name is
//! never a path). Nothing here buffers, retries or caches. The bodies of the seams that are made of files are generic over
//! it; the store itself knows the seams alone.
#![allow(async_fn_in_trait)]

use std::io;

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
