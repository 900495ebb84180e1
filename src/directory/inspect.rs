//! The directory's file as it is, whatever it is like: which records of it don't read, and which accounts the others say.
//!
//! Nothing is changed here, not even a torn last record, which a start cuts. What a damaged record said is not guessed: the accounts
//! are those of the records that are whole, for names to call things by.

use std::io;
use std::path::Path;

use super::Listed;
use super::book::Book;
use super::error::Error;
use super::journal::{Record, VERSION, parse};

/// A record that doesn't read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where it begins.
    pub offset: u64,
    /// What is wrong with it.
    pub what: String,
    /// It is the last one, of a write that nobody was told of: the next start cuts it.
    pub torn: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Inspected {
    /// Records that don't read, in order.
    pub faults: Vec<Fault>,
    /// The accounts that the others say, in the order of their creation.
    pub accounts: Vec<Listed>,
    /// There is a file with something in it.
    pub is_there: bool,
}

/// Reads the directory of a data folder, line by line.
pub fn inspect(folder: &Path) -> Result<Inspected, Error> {
    let file = folder.join("directory");
    let octets = match std::fs::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Inspected::default()),
        Err(error) => return Err(Error::Io { file, doing: "read", error }),
        Ok(octets) => octets,
    };
    let (mut book, mut faults, mut at) = (Book::default(), Vec::new(), 0);
    while at < octets.len() {
        let end = octets[at..].iter().position(|octet| *octet == b'\n').map(|length| at + length);
        let after = end.map_or(octets.len(), |end| end + 1);
        let record = end.map_or_else(|| Err("a line without its end".to_owned()), |end| parse(&octets[at..end]));
        let offset = at as u64;
        let mut fault = |what: String| faults.push(Fault { offset, what, torn: at > 0 && after == octets.len() });
        match record {
            Ok(Record::Start { version: VERSION, .. }) if at == 0 => {}
            Ok(Record::Start { version, .. }) if at == 0 => return Err(Error::Version { file, version }),
            Ok(Record::Start { .. }) => fault("a second start".to_owned()),
            Ok(_) if at == 0 => fault("it doesn't begin like a directory".to_owned()),
            Ok(Record::Put(accounts)) => accounts.into_iter().for_each(|account| book.put(account)),
            Ok(Record::Delete(id)) => drop(book.remove(id)),
            Err(what) => fault(what),
        }
        at = after;
    }
    Ok(Inspected { faults, accounts: book.iter().map(Listed::from).collect(), is_there: !octets.is_empty() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::data::scratch;
    use crate::directory::{Change, Directory, Edit, Secret, Settings};

    #[test]
    fn every_record_that_does_not_read_is_told() {
        let folder = scratch("inspect");
        assert!(!inspect(&folder).unwrap().is_there);
        let mut directory = Directory::open(&folder, Settings::default()).unwrap();
        for name in ["a@x", "b@x", "c@x"] {
            let password = Secret::from("pw".to_string());
            directory.change(Change::Add { name: name.into(), password, edit: Edit::default() }).unwrap();
        }
        drop(directory);
        let names =
            || -> Vec<String> { inspect(&folder).unwrap().accounts.into_iter().map(|account| account.name).collect() };
        assert_eq!(
            (names(), inspect(&folder).unwrap().faults),
            (vec!["a@x".into(), "b@x".into(), "c@x".into()], vec![])
        );
        let path = folder.join("directory");
        let whole = std::fs::read(&path).unwrap();
        let lines: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] == b'\n').collect();
        let mut damaged = whole.clone();
        damaged[lines[1] + 30] ^= 1;
        std::fs::write(&path, &damaged[..whole.len() - 5]).unwrap();
        let inspected = inspect(&folder).unwrap();
        let told: Vec<(u64, bool)> = inspected.faults.iter().map(|fault| (fault.offset, fault.torn)).collect();
        assert_eq!(told, [(lines[1] as u64 + 1, false), (lines[2] as u64 + 1, true)]);
        assert_eq!(names(), ["a@x"]);
        assert_eq!(std::fs::read(&path).unwrap().len(), whole.len() - 5, "nothing is changed");
    }
}
