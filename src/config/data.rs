//! The data folder: made private, held by one process at a time, and how a file in it is replaced whole.
//!
//! Invariants: whoever has a [`DataFolder`] is the only process that has it (an advisory lock on `LOCK`, gone with the
//! process however it ends); a file written by [`replace_file`] is after a crash either the old one or the new one.
//! On file systems without locks (some network ones) taking it fails: better than two servers on one mailbox.

use std::fmt;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A locked data folder; the lock goes when it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// Why the data folder can't be had. Its text is one line for the administrator.
#[derive(Debug)]
pub enum Problem {
    /// Another process holds it: which, where it said so.
    InUse(PathBuf, Option<u32>),
    /// There is something else under that name.
    NotAFolder(PathBuf),
    /// It doesn't exist, and was not to be made.
    Missing(PathBuf),
    /// The user of this process may not write there.
    NotWritable(PathBuf),
    /// The file system is mounted read-only.
    ReadOnly(PathBuf),
    /// Anything else that the system says.
    Io(PathBuf, io::Error),
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::InUse(path, Some(process)) => {
                write!(out, "data folder {} is in use by process {process}", Quoted(path))
            }
            Problem::InUse(path, None) => write!(out, "data folder {} is in use by another process", Quoted(path)),
            Problem::NotAFolder(path) => write!(out, "data folder {} is not a folder", Quoted(path)),
            Problem::Missing(path) => write!(out, "data folder {} does not exist", Quoted(path)),
            Problem::NotWritable(path) => write!(
                out,
                "data folder {} is not writable for this user; give it to the user that the server runs as",
                Quoted(path)
            ),
            Problem::ReadOnly(path) => write!(out, "data folder {} is on a read-only file system", Quoted(path)),
            Problem::Io(path, error) => write!(out, "data folder {}: {error}", Quoted(path)),
        }
    }
}

// A path in quotes and on one line, whatever is in it.
struct Quoted<'a>(&'a Path);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.0)
    }
}

impl DataFolder {
    /// Makes the folder where it is missing (mode 0700), and takes its lock.
    pub fn lock(path: &Path) -> Result<DataFolder, Problem> {
        match DirBuilder::new().recursive(true).mode(0o700).create(path) {
            Ok(()) => Self::lock_existing(path),
            // Something is there already, or on the way there.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::lock_existing(path),
            // There is no "missing" where it was to be made.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Problem::Io(path.to_path_buf(), error)),
            Err(error) => Err(problem(path, error)),
        }
    }

    /// Takes the lock of a folder that must be there.
    pub fn lock_existing(path: &Path) -> Result<DataFolder, Problem> {
        if !std::fs::metadata(path).map_err(|error| problem(path, error))?.is_dir() {
            return Err(Problem::NotAFolder(path.to_path_buf()));
        }
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("LOCK"))
            .map_err(|error| problem(path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = (&mut file).take(32).read_to_string(&mut text);
                return Err(Problem::InUse(path.to_path_buf(), text.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(problem(path, error)),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        match written {
            // Who holds it is for others to be told. On a full file system they are not.
            Err(error) if !matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                return Err(problem(path, error));
            }
            _ => {}
        }
        Ok(DataFolder { path: path.to_path_buf(), _lock: file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its control socket is, or would be.
    pub fn control_socket(path: &Path) -> PathBuf {
        path.join("control.sock")
    }
}

fn problem(path: &Path, error: io::Error) -> Problem {
    let path = path.to_path_buf();
    match error.kind() {
        io::ErrorKind::PermissionDenied => Problem::NotWritable(path),
        io::ErrorKind::ReadOnlyFilesystem => Problem::ReadOnly(path),
        io::ErrorKind::NotADirectory => Problem::NotAFolder(path),
        io::ErrorKind::NotFound => Problem::Missing(path),
        _ => Problem::Io(path, error),
    }
}

/// Writes a file whole or not at all: into `<path>.new`, synced, renamed over `path`, the folder synced.
pub fn replace_file(path: &Path, mode: u32, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // A leftover of a crash may have another mode, or be a link to somewhere.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = File::options().write(true).create_new(true).mode(mode).open(&new)?;
    let mut out = BufWriter::new(file);
    let written = write(&mut out).and_then(|()| out.flush()).and_then(|()| out.get_ref().sync_all());
    if let Err(error) = written.and_then(|()| std::fs::rename(&new, path)) {
        let _ = std::fs::remove_file(&new);
        return Err(error);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// An empty folder for the test called `name`, gone when it is dropped.
#[cfg(test)]
pub(crate) fn scratch(name: &str) -> Scratch {
    let path = std::env::temp_dir().join(format!("ringpost-test-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    Scratch(path)
}

#[cfg(test)]
pub(crate) struct Scratch(PathBuf);

#[cfg(test)]
impl std::ops::Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_holder_at_a_time_and_the_second_is_told_who() {
        let scratch = scratch("lock");
        let path = scratch.join("deep/data");
        let held = DataFolder::lock(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let refused = DataFolder::lock(&path).unwrap_err().to_string();
        assert!(refused.ends_with(&format!("data\" is in use by process {}", std::process::id())), "{refused}");
        drop(held);
        DataFolder::lock(&path).unwrap();
    }

    #[test]
    fn what_is_no_folder_says_so() {
        let folder = scratch("no-folder");
        let file = folder.join("file");
        std::fs::write(&file, b"x").unwrap();
        assert!(matches!(DataFolder::lock(&file), Err(Problem::NotAFolder(_))));
        assert!(matches!(DataFolder::lock(&file.join("below")), Err(Problem::NotAFolder(_))));
        assert!(matches!(DataFolder::lock_existing(&folder.join("missing")), Err(Problem::Missing(_))));
        assert!(!folder.join("missing").exists());
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
        let error = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        assert!(problem(&file, error).to_string().ends_with("is on a read-only file system"));
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = scratch("replace");
        let path = folder.join("file");
        replace_file(&path, 0o600, |out| out.write_all(b"one")).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = replace_file(&path, 0o600, |out| {
            out.write_all(b"two")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(refused.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(&*folder).unwrap().count(), 1, "no leftover");
    }
}
