//! Files on the ring: open, read, write, sync, link, rename, remove.
//!
//! Buffers are lent by value and come back with the result, so that a dropped future can never leave the kernel writing
//! into freed memory. Nothing is retried here but short transfers and EINTR; what an error means is the caller's matter.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use io_uring::{opcode, squeue, types};

use super::ring::{Hold, Ring};

/// An open file of this shard; closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Descriptor {
    ring: Ring,
    file: Rc<OwnedFd>,
}

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenFlags {
    /// For reading.
    Read,
    /// For reading and writing; it must not exist yet.
    CreateNew,
    /// For reading and writing; made if absent.
    Update,
    /// A folder, to sync its entries.
    Folder,
}

fn path_of(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "NUL in a path"))
}

fn checked(result: i32) -> io::Result<u32> {
    u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

const HERE: types::Fd = types::Fd(libc::AT_FDCWD);
/// One transfer of the kernel is at most 2 GiB less a page; a longer one comes back short and goes on.
const TRANSFER_BYTES_MAX: usize = 1 << 30;

impl Ring {
    async fn on_path(&self, path: CString, other: Option<CString>, entry: squeue::Entry) -> io::Result<u32> {
        // SAFETY: the entry points into the heap memory of the paths, which the slot holds.
        let (result, _) = unsafe { self.start(entry, Hold::Paths(path, other)) }.await;
        checked(result)
    }

    /// Opens `path`; new files get mode 0600.
    pub async fn open(&self, path: &Path, flags: OpenFlags) -> io::Result<Descriptor> {
        let flags = libc::O_CLOEXEC
            | match flags {
                OpenFlags::Read => libc::O_RDONLY,
                OpenFlags::CreateNew => libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
                OpenFlags::Update => libc::O_RDWR | libc::O_CREAT,
                OpenFlags::Folder => libc::O_RDONLY | libc::O_DIRECTORY,
            };
        let path = path_of(path)?;
        let entry = opcode::OpenAt::new(HERE, path.as_ptr()).flags(flags).mode(0o600).build();
        let descriptor = self.on_path(path, None, entry).await?;
        // SAFETY: the kernel just made this descriptor for us.
        let file = unsafe { OwnedFd::from_raw_fd(descriptor as i32) };
        Ok(self.descriptor(file))
    }

    /// Takes a descriptor over that was opened elsewhere.
    pub fn descriptor(&self, file: OwnedFd) -> Descriptor {
        Descriptor { ring: self.clone(), file: Rc::new(file) }
    }

    /// Renames, replacing `to`.
    pub async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (path_of(from)?, path_of(to)?);
        let entry = opcode::RenameAt::new(HERE, from.as_ptr(), HERE, to.as_ptr()).build();
        self.on_path(from, Some(to), entry).await.map(drop)
    }

    /// Gives a file a second name, which must be free.
    pub async fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (path_of(from)?, path_of(to)?);
        let entry = opcode::LinkAt::new(HERE, from.as_ptr(), HERE, to.as_ptr()).build();
        self.on_path(from, Some(to), entry).await.map(drop)
    }

    /// Removes a file.
    pub async fn remove(&self, path: &Path) -> io::Result<()> {
        let path = path_of(path)?;
        let entry = opcode::UnlinkAt::new(HERE, path.as_ptr()).build();
        self.on_path(path, None, entry).await.map(drop)
    }

    /// Makes a folder, mode 0700.
    pub async fn create_folder(&self, path: &Path) -> io::Result<()> {
        let path = path_of(path)?;
        let entry = opcode::MkDirAt::new(HERE, path.as_ptr()).mode(0o700).build();
        self.on_path(path, None, entry).await.map(drop)
    }
}

impl Descriptor {
    fn number(&self) -> types::Fd {
        types::Fd(self.file.as_raw_fd())
    }

    /// The file's length in octets.
    pub fn length(&self) -> io::Result<u64> {
        Ok(std::fs::File::from(self.file.try_clone()?).metadata()?.len())
    }

    /// The descriptor, to map the file.
    pub fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Up to `bytes` octets from `offset`; fewer only at the end of the file.
    pub async fn read(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut buffer: Vec<u8> = Vec::with_capacity(bytes);
        while buffer.len() < bytes {
            let filled = buffer.len();
            let room = (bytes - filled).min(TRANSFER_BYTES_MAX) as u32;
            let into = buffer.spare_capacity_mut().as_mut_ptr().cast();
            let entry = opcode::Read::new(self.number(), into, room).offset(offset + filled as u64).build();
            // SAFETY: the entry points into the buffer's heap memory, which the slot holds, and not past its capacity.
            let (result, hold) = unsafe { self.ring.start(entry, Hold::Bytes(buffer)) }.await;
            let Hold::Bytes(back) = hold else { unreachable!("a read holds bytes") };
            buffer = back;
            match checked(result) {
                Ok(0) => break,
                // SAFETY: the kernel wrote that many octets behind the old length.
                Ok(read) => unsafe { buffer.set_len(filled + read as usize) },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(buffer)
    }

    /// Writes all of `bytes` at `offset`; the buffer comes back. `sync`: followed by fdatasync in the same submission.
    pub async fn write(&self, offset: u64, bytes: Vec<u8>, sync: bool) -> (io::Result<()>, Vec<u8>) {
        let mut bytes = bytes;
        let mut written = 0;
        while written < bytes.len() {
            let left = (bytes.len() - written).min(TRANSFER_BYTES_MAX);
            let from = bytes[written..].as_ptr();
            let last = sync && left == bytes.len() - written;
            let mut entry =
                opcode::Write::new(self.number(), from, left as u32).offset(offset + written as u64).build();
            if last {
                entry = entry.flags(squeue::Flags::IO_LINK);
            }
            // SAFETY: the entry points into the buffer's heap memory, which the slot holds.
            let write = unsafe { self.ring.start(entry, Hold::Bytes(bytes)) };
            let synced = last.then(|| self.fdatasync());
            let (result, hold) = write.await;
            let Hold::Bytes(back) = hold else { unreachable!("a write holds bytes") };
            bytes = back;
            let synced = match synced {
                Some(synced) => Some(synced.await),
                None => None,
            };
            match checked(result) {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), bytes),
                Ok(count) => {
                    written += count as usize;
                    // A short write breaks the link: the rest is written and synced again. A sync that ran and failed is final.
                    if written == bytes.len() {
                        return (synced.unwrap_or(Ok(())), bytes);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), bytes),
            }
        }
        let synced = if sync { self.sync().await } else { Ok(()) };
        (synced, bytes)
    }

    /// fdatasync.
    pub async fn sync(&self) -> io::Result<()> {
        self.fdatasync().await
    }

    fn fdatasync(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let entry = opcode::Fsync::new(self.number()).flags(types::FsyncFlags::DATASYNC).build();
        // SAFETY: the entry points to nothing.
        let operation = unsafe { self.ring.start(entry, Hold::Nothing) };
        async move { checked(operation.await.0).map(drop) }
    }
}
