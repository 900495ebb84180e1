//! The directory's file: append-only, one record a line, each synced before it is acknowledged.
//!
//! ```text
//! file    = start *record
//! record  = crc SP json LF        ; crc: CRC32C of the json, eight lower-case hexadecimal digits
//! start   = record                ; {"start":{"version":1,"used":…}}
//! ```
//! Invariants: a record counts with its LF and its CRC, or not at all; what is torn can only be the last record, and is
//! cut when the file is opened; damage anywhere before is an error, never skipped. Compaction writes a new file and
//! renames it. A failed sync is never retried: the journal is poisoned. It does not lock: the data folder's lock does.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::book::{Account, Book, hex};
use super::error::Error;
use crate::config::data::replace_file;
use crate::limits::{DIRECTORY_DEAD_BYTES_MIN, DIRECTORY_RECORD_BYTES_MAX};

/// The format of the file.
pub(super) const VERSION: u32 = 1;

/// What a line of the file says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// The first line.
    Start {
        /// Format of the file.
        version: u32,
        /// Whether there ever was an account, so that an emptied directory isn't taken for a new one.
        used: bool,
    },
    /// These accounts are so from now on: all of them or none.
    Put(Vec<Account>),
    /// The account with that id is gone.
    Delete(#[serde(with = "hex")] u64),
}

/// The open file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    records: u64,
    used: bool,
    poisoned: bool,
}

impl Journal {
    /// Opens or makes the file at `path`, and replays it into a book.
    pub fn open(path: &Path) -> Result<(Journal, Book), Error> {
        let io = |doing| move |error| Error::Io { file: path.to_path_buf(), doing, error };
        // An empty file is one whose first write never happened: the start record is renamed into place.
        if std::fs::metadata(path).map_or(0, |known| known.len()) == 0 {
            let start = line(&Record::Start { version: VERSION, used: false }).map_err(io("write"))?;
            replace_file(path, 0o600, |out| out.write_all(&start)).map_err(io("create"))?;
        }
        let mut file = File::options().read(true).write(true).open(path).map_err(io("open"))?;
        let mut octets = Vec::new();
        file.read_to_end(&mut octets).map_err(io("read"))?;

        let mut book = Book::default();
        let mut journal =
            Journal { path: path.to_path_buf(), file, bytes: 0, records: 0, used: false, poisoned: false };
        journal.replay(&octets, &mut book)?;
        if journal.bytes < octets.len() as u64 {
            tracing::warn!(
                "directory {:?}: a record torn by a crash was cut off at octet {} ({} octets, never acknowledged)",
                journal.path,
                journal.bytes,
                octets.len() as u64 - journal.bytes
            );
            journal.file.set_len(journal.bytes).and_then(|()| journal.file.sync_all()).map_err(io("repair"))?;
        }
        Ok((journal, book))
    }

    fn replay(&mut self, octets: &[u8], book: &mut Book) -> Result<(), Error> {
        let corrupt = |offset: usize, what: &str| Error::Corrupt {
            file: self.path.clone(),
            offset: offset as u64,
            what: what.to_string(),
        };
        let mut at = 0;
        while let Some(length) = octets[at..].iter().position(|octet| *octet == b'\n') {
            let record = match parse(&octets[at..at + length]) {
                Ok(record) => record,
                // The last line may be torn inside, its end written and its middle not.
                Err(what) if at == 0 || at + length + 1 < octets.len() => return Err(corrupt(at, &what)),
                Err(_) => break,
            };
            match (record, at) {
                (Record::Start { version: VERSION, used }, 0) => self.used = used,
                (Record::Start { version, .. }, 0) => return Err(Error::Version { file: self.path.clone(), version }),
                (_, 0) => return Err(corrupt(0, "it doesn't begin like a directory")),
                (Record::Start { .. }, _) => return Err(corrupt(at, "a second start")),
                (Record::Put(accounts), _) => {
                    self.used = true;
                    accounts.into_iter().for_each(|account| book.put(account));
                }
                (Record::Delete(id), _) => {
                    book.remove(id);
                }
            }
            at += length + 1;
            self.records += 1;
        }
        if at == 0 {
            return Err(corrupt(0, "it doesn't begin like a directory"));
        }
        self.bytes = at as u64;
        Ok(())
    }

    /// Whether there never was an account.
    pub fn fresh(&self) -> bool {
        !self.used
    }

    /// Writes `record` behind the others; it is durable when this returns.
    pub fn append(&mut self, record: &Record) -> Result<(), Error> {
        if self.poisoned {
            return Err(Error::Poisoned);
        }
        let octets = line(record).map_err(|error| self.io("write", error))?;
        if let Err(error) = self.file.write_all_at(&octets, self.bytes) {
            // A full disk is no reason to give up, as long as the part that was written goes away again.
            self.poisoned = self.file.set_len(self.bytes).and_then(|()| self.file.sync_all()).is_err();
            return Err(self.io("write", error));
        }
        if let Err(error) = self.file.sync_data() {
            self.poisoned = true;
            return Err(self.io("sync", error));
        }
        self.bytes += octets.len() as u64;
        self.records += 1;
        self.used |= matches!(record, Record::Put(_));
        Ok(())
    }

    /// Rewrites the file where most of it is dead: records of accounts that were changed or deleted since.
    pub fn compact_if_worthwhile(&mut self, book: &Book) -> Result<bool, Error> {
        let records = self.records.max(1);
        let live = self.bytes / records * (book.len() as u64).min(records);
        if self.poisoned || self.bytes - live < DIRECTORY_DEAD_BYTES_MIN.max(2 * live) {
            return Ok(false);
        }
        self.compact(book)?;
        Ok(true)
    }

    fn compact(&mut self, book: &Book) -> Result<(), Error> {
        let start =
            line(&Record::Start { version: VERSION, used: self.used }).map_err(|error| self.io("write", error))?;
        replace_file(&self.path, 0o600, |out| {
            out.write_all(&start)?;
            book.iter().try_for_each(|account| out.write_all(&line(&Record::Put(vec![account.clone()]))?))
        })
        .map_err(|error| self.io("rewrite", error))?;
        // From here on the old file has no name: without the new one nothing may be acknowledged.
        self.poisoned = true;
        let file = File::options().read(true).write(true).open(&self.path).map_err(|error| self.io("open", error))?;
        self.bytes = file.metadata().map_err(|error| self.io("open", error))?.len();
        self.file = file;
        self.records = 1 + book.len() as u64;
        self.poisoned = false;
        Ok(())
    }

    fn io(&self, doing: &'static str, error: io::Error) -> Error {
        Error::Io { file: self.path.clone(), doing, error }
    }
}

fn line(record: &Record) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(record)?;
    if json.len() > DIRECTORY_RECORD_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a record over its bound"));
    }
    let mut octets = Vec::with_capacity(json.len() + 10);
    write!(octets, "{:08x} ", crc32c::crc32c(&json))?;
    octets.extend_from_slice(&json);
    octets.push(b'\n');
    Ok(octets)
}

/// The record that a line says, or what is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Record, String> {
    let (crc, json) = line.split_at_checked(9).ok_or("a line that is too short")?;
    let crc = std::str::from_utf8(crc)
        .ok()
        .and_then(|text| text.strip_suffix(' '))
        .and_then(|text| u32::from_str_radix(text, 16).ok())
        .ok_or("a line that has no checksum")?;
    if crc != crc32c::crc32c(json) {
        return Err("a wrong checksum".to_string());
    }
    serde_json::from_slice(json).map_err(|error| format!("a record that doesn't read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::data::scratch;

    fn account(id: u64, name: &str) -> Account {
        Account::new(id, name.into(), format!("$argon2id${id}"))
    }

    fn names(book: &Book) -> Vec<String> {
        book.iter().map(|account| account.name.clone()).collect()
    }

    #[test]
    fn what_was_appended_is_there_again() {
        let folder = scratch("journal-again");
        let path = folder.join("directory");
        let (mut journal, book) = Journal::open(&path).unwrap();
        assert!(book.is_empty() && journal.fresh());
        journal.append(&Record::Put(vec![account(1, "a@x"), account(u64::MAX, "b@x")])).unwrap();
        journal.append(&Record::Delete(1)).unwrap();
        let (journal, book) = Journal::open(&path).unwrap();
        assert_eq!(names(&book), ["b@x"]);
        assert_eq!(book.find("b@x"), Some(&account(u64::MAX, "b@x")));
        assert!(!journal.fresh());
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    /// A line as the first version wrote it, and one with all that came since.
    #[test]
    fn old_and_new_records_as_they_are_written() {
        let folder = scratch("journal-old");
        let path = folder.join("directory");
        let start = r#"6da6165b {"start":{"version":1,"used":true}}"#;
        let old = r#"59441f5b {"put":[{"id":"00c0ffee00c0ffee","name":"anna@example.org","password":"$argon2id$x","aliases":["info@example.org"],"enabled":true}]}"#;
        let new = r#"8d8bd009 {"put":[{"id":"00c0ffee00c0ffee","name":"anna@example.org","password":"$argon2id$x","aliases":[],"enabled":false,"quota":5368709120,"names":["Anna Muster/Sales/ACME"],"catch_all":["example.org"]}]}"#;
        std::fs::write(&path, format!("{start}\n{old}\n")).unwrap();
        let (_, book) = Journal::open(&path).unwrap();
        let mut expected = Account::new(0x00c0_ffee_00c0_ffee, "anna@example.org".into(), "$argon2id$x".into());
        expected.aliases = vec!["info@example.org".into()];
        assert_eq!(book.first(), Some(&expected));
        assert_eq!(line(&Record::Put(vec![expected.clone()])).unwrap(), format!("{old}\n").into_bytes());

        expected = Account {
            aliases: vec![],
            enabled: false,
            quota: Some(5 << 30),
            names: vec!["Anna Muster/Sales/ACME".into()],
            catch_all: vec!["example.org".into()],
            ..expected
        };
        std::fs::write(&path, format!("{start}\n{old}\n{new}\n")).unwrap();
        assert_eq!(Journal::open(&path).unwrap().1.first(), Some(&expected));
        assert_eq!(line(&Record::Put(vec![expected])).unwrap(), format!("{new}\n").into_bytes());
    }

    #[test]
    fn cut_anywhere_the_whole_records_stay_and_the_next_append_reads() {
        let folder = scratch("journal-torn");
        let path = folder.join("directory");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let mut ends = vec![journal.bytes];
        for id in 1..=4 {
            journal.append(&Record::Put(vec![account(id, &format!("u{id}@x"))])).unwrap();
            ends.push(journal.bytes);
        }
        journal.append(&Record::Delete(2)).unwrap();
        ends.push(journal.bytes);
        let whole = std::fs::read(&path).unwrap();
        for length in ends[0]..=journal.bytes {
            std::fs::write(&path, &whole[..length as usize]).unwrap();
            let (mut torn, book) = Journal::open(&path).unwrap();
            let complete = ends.iter().filter(|&&end| end <= length).count() - 1;
            let mut expected: Vec<String> = (1..=complete.min(4)).map(|id| format!("u{id}@x")).collect();
            if complete == 5 {
                expected.remove(1);
            }
            assert_eq!(names(&book), expected, "cut at {length}");
            torn.append(&Record::Put(vec![account(9, "later@x")])).unwrap();
            let (_, book) = Journal::open(&path).unwrap();
            expected.push("later@x".into());
            assert_eq!(names(&book), expected, "appended after the cut at {length}");
        }
    }

    #[test]
    fn a_last_line_torn_inside_is_cut_too() {
        let folder = scratch("journal-inside");
        let path = folder.join("directory");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&Record::Put(vec![account(1, "a@x")])).unwrap();
        let kept = journal.bytes as usize;
        journal.append(&Record::Put(vec![account(2, "b@x")])).unwrap();
        let mut octets = std::fs::read(&path).unwrap();
        let middle = kept + 20;
        octets[middle..middle + 8].fill(0);
        std::fs::write(&path, &octets).unwrap();
        let (journal, book) = Journal::open(&path).unwrap();
        assert_eq!(names(&book), ["a@x"]);
        assert_eq!(journal.bytes as usize, kept);
        assert_eq!(std::fs::metadata(&path).unwrap().len() as usize, kept);
    }

    #[test]
    fn damage_before_the_end_is_an_error_that_says_where_and_changes_nothing() {
        let folder = scratch("journal-damage");
        let path = folder.join("directory");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let first = journal.bytes;
        journal.append(&Record::Put(vec![account(1, "a@x")])).unwrap();
        journal.append(&Record::Put(vec![account(2, "b@x")])).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut octets = whole.clone();
        octets[first as usize + 30] ^= 1;
        std::fs::write(&path, &octets).unwrap();
        match Journal::open(&path) {
            Err(Error::Corrupt { offset, what, .. }) => {
                assert_eq!((offset, what.as_str()), (first, "a wrong checksum"))
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read(&path).unwrap(), octets);
        for (text, what) in [(&b"hello\nworld\n"[..], "short"), (b"garbage without an end", "begin")] {
            std::fs::write(&path, text).unwrap();
            let error = Journal::open(&path).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let newer = line(&Record::Start { version: 2, used: true }).unwrap();
        std::fs::write(&path, newer).unwrap();
        assert!(matches!(Journal::open(&path), Err(Error::Version { version: 2, .. })));
    }

    #[test]
    fn compaction_keeps_the_accounts_their_order_and_that_there_were_some() {
        let folder = scratch("journal-compact");
        let path = folder.join("directory");
        let (mut journal, mut book) = Journal::open(&path).unwrap();
        for id in 1..=3 {
            book.put(account(id, &format!("u{id}@x")));
            journal.append(&Record::Put(vec![account(id, &format!("u{id}@x"))])).unwrap();
        }
        let mut compactions = 0;
        for round in 0..3000u64 {
            let changed = Account { password: format!("$argon2id${round:064}"), ..account(1, "u1@x") };
            book.put(changed.clone());
            journal.append(&Record::Put(vec![changed])).unwrap();
            compactions += u32::from(journal.compact_if_worthwhile(&book).unwrap());
        }
        assert!((1..20).contains(&compactions), "{compactions}");
        assert!(std::fs::metadata(&path).unwrap().len() < 2 * DIRECTORY_DEAD_BYTES_MIN);
        let (mut journal, again) = Journal::open(&path).unwrap();
        assert_eq!(again.iter().collect::<Vec<_>>(), book.iter().collect::<Vec<_>>());

        for id in 1..=3 {
            book.remove(id);
            journal.append(&Record::Delete(id)).unwrap();
        }
        journal.compact(&book).unwrap();
        // A leftover of a compaction that a crash cut short does no harm.
        std::fs::write(folder.join("directory.new"), b"half").unwrap();
        let (mut journal, book) = Journal::open(&path).unwrap();
        assert!(book.is_empty() && !journal.fresh(), "emptied, not new");
        journal.append(&Record::Put(vec![account(5, "e@x")])).unwrap();
        assert_eq!(names(&Journal::open(&path).unwrap().1), ["e@x"]);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let folder = scratch("journal-refused");
        let path = folder.join("directory");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&Record::Put(vec![account(1, "a@x")])).unwrap();
        let before = std::fs::read(&path).unwrap();
        // A descriptor that can't be written, as a disk that refuses: neither the record nor the repair goes through.
        journal.file = File::open(&path).unwrap();
        assert!(matches!(journal.append(&Record::Delete(1)), Err(Error::Io { doing: "write", .. })));
        assert!(matches!(journal.append(&Record::Delete(1)), Err(Error::Poisoned)));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let long = Account { password: "x".repeat(DIRECTORY_RECORD_BYTES_MAX), ..account(2, "b@x") };
        let (mut journal, _) = Journal::open(&path).unwrap();
        assert!(journal.append(&Record::Put(vec![long])).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
