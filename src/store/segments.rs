//! Segments as files: `accounts/<partition>/<account>/<hash>`, each written to a temporary name, synced, renamed, and the
//! folder synced.
//!
//! Invariant: a file under a hash is whole and on the medium. A crash leaves temporary files and segments that no manifest
//! names; `list` shows the latter and removes the former. Nothing is read into memory whole but by `map`.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::rc::Rc;

use aws_lc_rs::digest;

use super::disk::{Disk, Open};
use super::map::Map;
use super::seams::{SegmentPut, SegmentStore};
use super::types::{AccountId, Error, Hash};
use crate::limits::BREATH_BYTES;

/// The folder of an account.
pub(super) fn account_folder(account: AccountId) -> String {
    format!("accounts/{:03x}/{:016x}", account.partition().0, account.0)
}

/// The path of a segment.
pub(super) fn segment_path(account: AccountId, name: Hash) -> String {
    format!("{}/{name}", account_folder(account))
}

/// [`SegmentStore`] over files.
#[derive(Clone)]
pub struct FileSegments<D: Disk> {
    disk: D,
    next_temporary: Rc<Cell<u64>>,
}

impl<D: Disk> FileSegments<D> {
    /// Segments on `disk`.
    pub fn new(disk: D) -> FileSegments<D> {
        FileSegments { disk, next_temporary: Rc::default() }
    }

    /// Makes the account's folder, durably.
    pub(super) async fn create_folder(&self, account: AccountId) -> Result<(), Error> {
        let folder = account_folder(account);
        let partition = format!("accounts/{:03x}", account.partition().0);
        let made = async {
            self.disk.create_folder(&partition).await?;
            self.disk.create_folder(&folder).await?;
            self.disk.sync_folder("accounts").await?;
            self.disk.sync_folder(&partition).await
        };
        made.await.map_err(|error| Error::io(&folder, &error))
    }
}

impl<D: Disk> SegmentStore for FileSegments<D> {
    type Put = FilePut<D>;

    async fn put(&self, account: AccountId) -> Result<FilePut<D>, Error> {
        let folder = account_folder(account);
        let temporary = format!("{folder}/{}.tmp", self.next_temporary.replace(self.next_temporary.get() + 1));
        let opened = match self.disk.open(&temporary, Open::Create).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(&temporary).await.map_err(|error| Error::io(&temporary, &error))?;
                self.disk.open(&temporary, Open::Create).await
            }
            other => other,
        };
        let file = opened.map_err(|error| Error::io(&temporary, &error))?;
        let digest = digest::Context::new(&digest::SHA256);
        Ok(FilePut { disk: self.disk.clone(), file, folder, temporary, offset: 0, digest, buffer: Vec::new() })
    }

    async fn get_range(&self, account: AccountId, name: Hash, range: Range<u64>) -> Result<Vec<u8>, Error> {
        let path = segment_path(account, name);
        let bytes = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let read = async {
            let file = self.disk.open(&path, Open::Read).await?;
            self.disk.read(&file, range.start, bytes).await
        };
        read.await.map_err(|error| Error::io(&path, &error))
    }

    async fn map(&self, account: AccountId, name: Hash) -> Result<Map, Error> {
        let path = segment_path(account, name);
        match self.disk.map(&path).await {
            Ok(map) => Ok(map),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::corrupt(&path, 0, "missing")),
            Err(error) => Err(Error::io(&path, &error)),
        }
    }

    async fn share(&self, from: AccountId, name: Hash, to: AccountId) -> Result<bool, Error> {
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

    async fn delete(&self, account: AccountId, name: Hash) -> Result<(), Error> {
        let path = segment_path(account, name);
        match self.disk.remove(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(&path, &error)),
            _ => Ok(()),
        }
    }

    async fn list(&self, account: AccountId) -> Result<Vec<Hash>, Error> {
        let folder = account_folder(account);
        let names = self.disk.list(&folder).await.map_err(|error| Error::io(&folder, &error))?;
        for name in names.iter().filter(|name| name.ends_with(".tmp")) {
            let path = format!("{folder}/{name}");
            self.disk.remove(&path).await.map_err(|error| Error::io(&path, &error))?;
        }
        Ok(names.iter().filter_map(|name| Hash::parse(name)).collect())
    }

    async fn quarantine(&self, account: AccountId, name: Hash) -> Result<(), Error> {
        let path = segment_path(account, name);
        let renamed = self.disk.rename(&path, &format!("{path}.corrupt")).await;
        renamed.map_err(|error| Error::io(&path, &error))
    }
}

/// A segment file that is being written.
pub struct FilePut<D: Disk> {
    disk: D,
    file: D::File,
    folder: String,
    temporary: String,
    offset: u64,
    digest: digest::Context,
    buffer: Vec<u8>,
}

impl<D: Disk> SegmentPut for FilePut<D> {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for piece in bytes.chunks(crate::limits::STORE_WRITE_BYTES) {
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
    }

    async fn finish(self) -> Result<Hash, Error> {
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
    }

    async fn give_up(self) {
        let _ = self.disk.remove(&self.temporary).await;
    }
}

impl<D: Disk> FilePut<D> {
    /// What is half written goes; where even that fails, the next `list` removes it.
    async fn abandon(&self, error: &io::Error) -> Error {
        let _ = self.disk.remove(&self.temporary).await;
        Error::io(&self.temporary, error)
    }
}
