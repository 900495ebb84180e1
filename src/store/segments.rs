//! Segments as files: `accounts/<partition>/<account>/<hash>`, each written to a temporary name, synced, renamed, and the
//! folder synced; the manifest beside them; what is arriving under `spool/`, without a name.
//!
//! Invariant: a file under a hash is whole and on the medium. A crash leaves temporary files and segments that no manifest
//! names; `list` shows the latter and removes the former. Nothing is read into memory whole but by `map`. A file of what is
//! arriving has a name between two operations; what a crash leaves there is empty, and removed at the next start.

use std::cell::Cell;
use std::io;
use std::ops::Range;

use aws_lc_rs::digest;

use super::disk::{Disk, Mapper, Open, read_whole, replace};
use super::map::Map;
use super::seams::{Boxed, Scratch, SegmentPut, SegmentStore};
use super::types::{AccountId, Error, Hash};
use crate::limits::{BREATH_BYTES, STORE_WRITE_BYTES};

/// The manifest's name in the account's folder.
pub(super) const MANIFEST: &str = "MANIFEST";

/// The folder of an account.
pub(super) fn account_folder(account: AccountId) -> String {
    format!("accounts/{:03x}/{:016x}", account.partition().0, account.0)
}

/// The path of a segment: its name in errors, wherever it lies.
pub(super) fn segment_path(account: AccountId, name: Hash) -> String {
    format!("{}/{name}", account_folder(account))
}

/// The path of an account's manifest: its name in errors, wherever it lies.
pub(super) fn manifest_path(account: AccountId) -> String {
    format!("{}/{MANIFEST}", account_folder(account))
}

/// [`SegmentStore`] over files.
pub(super) struct FileSegments<D: Disk> {
    disk: D,
    next_temporary: Cell<u64>,
}

impl<D: Disk> FileSegments<D> {
    /// Segments on `disk`.
    pub(super) fn new(disk: D) -> FileSegments<D> {
        FileSegments { disk, next_temporary: Cell::default() }
    }

    async fn open_temporary(&self, temporary: &str) -> io::Result<D::File> {
        match self.disk.open(temporary, Open::Create).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(temporary).await?;
                self.disk.open(temporary, Open::Create).await
            }
            opened => opened,
        }
    }

    async fn give_name(&self, (from, to): (AccountId, AccountId), name: Hash) -> Result<bool, Error> {
        let (old, new) = (segment_path(from, name), segment_path(to, name));
        match self.disk.link(&old, &new).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Too many names, a file system that knows no second ones or ends between the folders, or gone from there.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMLINK | libc::EPERM | libc::EXDEV)) => {
                return Ok(false);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Unsupported) => {
                return Ok(false);
            }
            linked => linked.map_err(|error| Error::io(&new, &error))?,
        }
        let folder = account_folder(to);
        self.disk.sync_folder(&folder).await.map_err(|error| Error::io(&folder, &error))?;
        Ok(true)
    }
}

impl<D: Disk> SegmentStore for FileSegments<D> {
    fn begin(&self) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async {
            let io = |path: &'static str| move |error: io::Error| Error::io(path, &error);
            for folder in ["accounts", "spool"] {
                self.disk.create_folder(folder).await.map_err(io(folder))?;
            }
            self.disk.sync_folder(".").await.map_err(io("."))?;
            for name in self.disk.list("spool").await.map_err(io("spool"))? {
                self.disk.remove(&format!("spool/{name}")).await.map_err(io("spool"))?;
            }
            Ok(())
        })
    }

    fn create(&self, account: AccountId) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            let folder = account_folder(account);
            let partition = format!("accounts/{:03x}", account.partition().0);
            let made = async {
                self.disk.create_folder(&partition).await?;
                self.disk.create_folder(&folder).await?;
                self.disk.sync_folder("accounts").await?;
                self.disk.sync_folder(&partition).await
            };
            made.await.map_err(|error| Error::io(&folder, &error))
        })
    }

    fn manifest(&self, account: AccountId) -> Boxed<'_, Result<Option<Vec<u8>>, Error>> {
        Box::pin(async move {
            let path = manifest_path(account);
            read_whole(&self.disk, &path).await.map_err(|error| Error::io(&path, &error))
        })
    }

    fn set_manifest(&self, account: AccountId, manifest: Vec<u8>) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            let replaced = replace(&self.disk, &account_folder(account), MANIFEST, manifest).await;
            replaced.map_err(|error| Error::io(&manifest_path(account), &error))
        })
    }

    fn settle(&self, account: AccountId) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            // Files were synced before they got their names.
            let folder = account_folder(account);
            self.disk.sync_folder(&folder).await.map_err(|error| Error::io(&folder, &error))
        })
    }

    fn put(&self, account: AccountId) -> Boxed<'_, Result<Box<dyn SegmentPut>, Error>> {
        Box::pin(async move {
            let folder = account_folder(account);
            let number = self.next_temporary.replace(self.next_temporary.get() + 1);
            let temporary = format!("{folder}/{number}.tmp");
            let opened = self.open_temporary(&temporary).await;
            let file = opened.map_err(|error| Error::io(&temporary, &error))?;
            let (disk, digest) = (self.disk.clone(), digest::Context::new(&digest::SHA256));
            let put = FilePut { disk, file, folder, temporary, offset: 0, digest, buffer: Vec::new() };
            Ok(Box::new(put) as Box<dyn SegmentPut>)
        })
    }

    fn get_range(&self, account: AccountId, name: Hash, range: Range<u64>) -> Boxed<'_, Result<Vec<u8>, Error>> {
        Box::pin(async move {
            let path = segment_path(account, name);
            let bytes = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
            let read = async {
                let file = self.disk.open(&path, Open::Read).await?;
                self.disk.read(&file, range.start, bytes).await
            };
            read.await.map_err(|error| Error::io(&path, &error))
        })
    }

    fn map(&self, account: AccountId, name: Hash) -> Boxed<'_, Result<Map, Error>> {
        Box::pin(async move {
            let path = segment_path(account, name);
            match self.disk.map(&path).await {
                Ok(map) => Ok(map),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::corrupt(&path, 0, "missing")),
                Err(error) => Err(Error::io(&path, &error)),
            }
        })
    }

    fn mapper(&self, account: AccountId, name: Hash) -> Mapper {
        self.disk.mapper(&segment_path(account, name))
    }

    fn share(&self, from: AccountId, name: Hash, to: AccountId) -> Boxed<'_, Result<bool, Error>> {
        Box::pin(self.give_name((from, to), name))
    }

    fn delete(&self, account: AccountId, name: Hash) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            let path = segment_path(account, name);
            match self.disk.remove(&path).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(&path, &error)),
                _ => Ok(()),
            }
        })
    }

    fn list(&self, account: AccountId) -> Boxed<'_, Result<Vec<Hash>, Error>> {
        Box::pin(async move {
            let folder = account_folder(account);
            let names = self.disk.list(&folder).await.map_err(|error| Error::io(&folder, &error))?;
            for name in names.iter().filter(|name| name.ends_with(".tmp")) {
                let path = format!("{folder}/{name}");
                self.disk.remove(&path).await.map_err(|error| Error::io(&path, &error))?;
            }
            Ok(names.iter().filter_map(|name| Hash::parse(name)).collect())
        })
    }

    fn quarantine(&self, account: AccountId, name: Hash) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            let path = segment_path(account, name);
            let aside = format!("{path}.corrupt");
            let renamed = async {
                // What was put aside before may be the better one.
                match self.disk.open(&aside, Open::Read).await {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    opened => return opened.and(Err(io::ErrorKind::AlreadyExists.into())),
                }
                self.disk.rename(&path, &aside).await?;
                self.disk.sync_folder(&account_folder(account)).await
            };
            renamed.await.map_err(|error| Error::io(&path, &error))
        })
    }

    fn scratch(&self, name: String) -> Boxed<'_, Result<Box<dyn Scratch>, Error>> {
        Box::pin(async move {
            let path = format!("spool/{name}");
            let opened = async {
                let file = self.disk.open(&path, Open::Create).await?;
                self.disk.remove(&path).await?;
                Ok(file)
            };
            let file = opened.await.map_err(|error: io::Error| Error::io(&path, &error))?;
            Ok(Box::new(FileScratch { disk: self.disk.clone(), file, path, written: 0 }) as Box<dyn Scratch>)
        })
    }
}

/// A segment file that is being written.
struct FilePut<D: Disk> {
    disk: D,
    file: D::File,
    folder: String,
    temporary: String,
    offset: u64,
    digest: digest::Context,
    buffer: Vec<u8>,
}

impl<D: Disk> SegmentPut for FilePut<D> {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> Boxed<'a, Result<(), Error>> {
        Box::pin(async move {
            for piece in bytes.chunks(STORE_WRITE_BYTES) {
                piece.chunks(BREATH_BYTES).for_each(|part| self.digest.update(part));
                let mut buffer = std::mem::take(&mut self.buffer);
                buffer.clear();
                buffer.extend_from_slice(piece);
                let (written, buffer) = self.disk.write(&self.file, self.offset, buffer).await;
                self.buffer = buffer;
                if let Err(error) = written {
                    return Err(self.abandon(&error).await);
                }
                self.offset += piece.len() as u64;
            }
            Ok(())
        })
    }

    fn give_up(self: Box<Self>) -> Boxed<'static, ()> {
        Box::pin(async move {
            let _ = self.disk.remove(&self.temporary).await;
        })
    }

    fn finish(self: Box<Self>) -> Boxed<'static, Result<Hash, Error>> {
        Box::pin(async move {
            let name = Hash::from_digest(&self.digest.clone().finish());
            let path = format!("{}/{name}", self.folder);
            if let Err(error) = self.disk.sync(&self.file).await {
                return Err(self.abandon(&error).await);
            }
            if let Err(error) = self.disk.rename(&self.temporary, &path).await {
                return Err(self.abandon(&error).await);
            }
            self.disk.sync_folder(&self.folder).await.map_err(|error| Error::io(&path, &error))?;
            Ok(name)
        })
    }
}

impl<D: Disk> FilePut<D> {
    /// What is half written goes; where even that fails, the next `list` removes it.
    async fn abandon(&self, error: &io::Error) -> Error {
        let _ = self.disk.remove(&self.temporary).await;
        Error::io(&self.temporary, error)
    }
}

/// A file without a name.
struct FileScratch<D: Disk> {
    disk: D,
    file: D::File,
    path: String,
    written: u64,
}

impl<D: Disk> Scratch for FileScratch<D> {
    fn write(&mut self, bytes: Vec<u8>) -> Boxed<'_, (Result<(), Error>, Vec<u8>)> {
        Box::pin(async move {
            let (written, bytes) = self.disk.write(&self.file, self.written, bytes).await;
            if written.is_ok() {
                self.written += bytes.len() as u64;
            }
            (written.map_err(|error| Error::io(&self.path, &error)), bytes)
        })
    }

    fn map(&self) -> Boxed<'_, Result<Map, Error>> {
        Box::pin(async {
            let map = self.disk.map_file(&self.file).await.map_err(|error| Error::io(&self.path, &error))?;
            if map.len() as u64 != self.written {
                return Err(Error::corrupt(&self.path, map.len() as u64, "spool file of another length"));
            }
            Ok(map)
        })
    }
}
