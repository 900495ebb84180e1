//! [`Disk`] on the shard's ring: the body that a server runs on.
//!
//! Paths are below one data folder. Listing and mapping are plain system calls: the ring has none for them, and they are
//! asked at a start, at a checkpoint and when a file is opened, not on the way of a command.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::disk::{Disk, Mapper, Open};
use super::map::Map;
use crate::io::{Descriptor, OpenFlags, Ring};

/// The data folder through a ring.
#[derive(Clone, Debug)]
pub struct RingDisk {
    ring: Ring,
    folder: Rc<Path>,
}

impl RingDisk {
    /// The files of `folder`.
    pub fn new(ring: &Ring, folder: &Path) -> RingDisk {
        RingDisk { ring: ring.clone(), folder: folder.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}

impl Disk for RingDisk {
    type File = Descriptor;

    async fn open(&self, path: &str, mode: Open) -> io::Result<Descriptor> {
        let flags = match mode {
            Open::Read => OpenFlags::Read,
            Open::Create => OpenFlags::CreateNew,
            Open::Update => OpenFlags::Update,
        };
        self.ring.open(&self.path(path), flags).await
    }

    async fn length(&self, file: &Descriptor) -> io::Result<u64> {
        file.length()
    }

    async fn read(&self, file: &Descriptor, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        file.read(offset, bytes).await
    }

    async fn write(&self, file: &Descriptor, offset: u64, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        file.write(offset, bytes, false).await
    }

    async fn write_sync(&self, file: &Descriptor, offset: u64, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        file.write(offset, bytes, true).await
    }

    async fn sync(&self, file: &Descriptor) -> io::Result<()> {
        file.sync().await
    }

    async fn sync_folder(&self, path: &str) -> io::Result<()> {
        self.ring.open(&self.path(path), OpenFlags::Folder).await?.sync().await
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.ring.rename(&self.path(from), &self.path(to)).await
    }

    async fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.ring.link(&self.path(from), &self.path(to)).await
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        self.ring.remove(&self.path(path)).await
    }

    async fn create_folder(&self, path: &str) -> io::Result<()> {
        match self.ring.create_folder(&self.path(path)).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    async fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(self.path(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        // A name that is not UTF-8 is none of ours.
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
        let mut names: Vec<String> = names.filter_map(Result::transpose).collect::<io::Result<_>>()?;
        names.sort_unstable();
        Ok(names)
    }

    async fn map(&self, path: &str) -> io::Result<Map> {
        let file = self.ring.open(&self.path(path), OpenFlags::Read).await?;
        self.map_file(&file).await
    }

    async fn map_file(&self, file: &Descriptor) -> io::Result<Map> {
        Map::of_file(&std::fs::File::from(file.file().try_clone()?))
    }

    fn mapper(&self, path: &str) -> Mapper {
        let path = self.path(path);
        Box::new(move || Map::of_file(&std::fs::File::open(path)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Sizes, block_on};

    #[test]
    fn does_what_the_store_asks_of_a_disk() {
        let folder = std::env::temp_dir().join(format!("ringpost-disk-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let sizes = Sizes { submissions: 8, completions: 64, buffers: 2, buffer_bytes: 64 };
        let ring = Ring::new(&sizes).unwrap();
        let disk = RingDisk::new(&ring, &folder);
        block_on(&ring, async {
            disk.create_folder("a").await.unwrap();
            disk.create_folder("a").await.unwrap();
            let file = disk.open("a/one", Open::Create).await.unwrap();
            assert_eq!(disk.open("a/one", Open::Create).await.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            let (written, buffer) = disk.write_sync(&file, 3, b"abc".to_vec()).await;
            written.unwrap();
            assert_eq!(buffer, b"abc");
            assert_eq!(disk.length(&file).await.unwrap(), 6);
            assert_eq!(disk.read(&file, 1, 100).await.unwrap(), b"\0\0abc");
            disk.rename("a/one", "a/two").await.unwrap();
            disk.sync_folder("a").await.unwrap();
            assert_eq!(&*disk.map("a/two").await.unwrap(), b"\0\0\0abc");
            assert_eq!(disk.list("a").await.unwrap(), ["two"]);
            disk.link("a/two", "a/three").await.unwrap();
            assert_eq!(disk.link("a/two", "a/three").await.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(disk.link("a/none", "a/four").await.unwrap_err().kind(), io::ErrorKind::NotFound);
            let mapper = disk.mapper("a/three");
            assert_eq!(&*std::thread::spawn(mapper).join().unwrap().unwrap(), b"\0\0\0abc");
            disk.remove("a/three").await.unwrap();
            disk.remove("a/two").await.unwrap();
            assert_eq!(&*disk.map_file(&file).await.unwrap(), b"\0\0\0abc", "it needs no name");
            assert!(disk.list("a").await.unwrap().is_empty() && disk.list("none").await.unwrap().is_empty());
            assert_eq!(disk.open("a/two", Open::Read).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        })
        .unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
