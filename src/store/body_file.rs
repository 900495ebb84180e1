//! Body files: the contents of large messages, a file each, that many messages of many accounts may be made of.
//!
//! Invariants: a body file has a name in the folder of every account that has a message in it, and the file system counts
//! those; the file is written once, and one that was asked for lately stays mapped for all of them, at most
//! [`BODY_FILES_OPEN_MAX`]. A file keeps its name in an account as long as a message that some view may ask for is made of
//! it. Which messages are in which file is the business of the sealed files and the log.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use super::disk::Mapper;
use super::map::{ColdFile, Extent, Map, Sealed};
use super::sealed::{FileKind, Piece};
use super::seams::SegmentStore;
use super::segments::segment_path;
use super::types::{AccountId, Error, Hash};
use crate::limits::BODY_FILES_OPEN_MAX;

/// The body files that were read lately, of all accounts of a store.
pub(super) struct BodyFiles {
    segments: Rc<dyn SegmentStore>,
    /// The one that was asked for last is the last.
    open: RefCell<Vec<Rc<Sealed>>>,
}

impl fmt::Debug for BodyFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} body files", self.open.borrow().len())
    }
}

impl BodyFiles {
    pub(super) fn new(segments: Rc<dyn SegmentStore>) -> Rc<BodyFiles> {
        Rc::new(BodyFiles { segments, open: RefCell::default() })
    }

    /// Whether none is kept.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// The file, where it is open.
    pub(super) fn open(&self, name: Hash) -> Option<Rc<Sealed>> {
        let mut open = self.open.borrow_mut();
        let at = open.iter().rposition(|file| file.name() == name)?;
        open[at..].rotate_left(1);
        open.last().cloned()
    }

    /// Keeps an open file for whoever asks next.
    pub(super) fn keep(&self, file: Rc<Sealed>) {
        let mut open = self.open.borrow_mut();
        if open.iter().any(|other| other.name() == file.name()) {
            return;
        }
        if open.len() >= BODY_FILES_OPEN_MAX {
            open.remove(0);
        }
        open.push(file);
    }

    /// The file of that name of an account. Where nobody warmed it, it is opened here and now.
    pub(super) fn read(&self, account: AccountId, name: Hash) -> Result<Rc<Sealed>, Error> {
        if let Some(file) = self.open(name) {
            return Ok(file);
        }
        let file = Rc::new(self.cold(account, name).open()?);
        self.keep(file.clone());
        Ok(file)
    }

    /// A file for a helper thread to open.
    fn cold(&self, account: AccountId, name: Hash) -> ColdBody {
        ColdBody { mapper: self.segments.mapper(account, name), path: segment_path(account, name), account, name }
    }

    /// The file loses a name: it is not kept for that.
    pub(super) fn forget(&self, name: Hash) {
        self.open.borrow_mut().retain(|file| file.name() != name);
    }
}

/// A body file that is not open.
struct ColdBody {
    mapper: Mapper,
    path: String,
    account: AccountId,
    name: Hash,
}

impl fmt::Debug for ColdBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl ColdBody {
    /// Opens the file. Blocks.
    fn open(self) -> Result<Sealed, Error> {
        let map = match (self.mapper)() {
            Ok(map) => map,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::corrupt(&self.path, 0, "missing"));
            }
            Err(error) => return Err(Error::io(&self.path, &error)),
        };
        open(map, self.path, self.name, self.account)
    }
}

/// Opens what must be a body file.
pub(super) fn open(map: Map, path: String, name: Hash, account: AccountId) -> Result<Sealed, Error> {
    let file = Sealed::open(map, path, name, account)?;
    match file.header().kind {
        FileKind::Body => Ok(file),
        FileKind::Account => Err(Error::corrupt(file.path(), 10, "no body file")),
    }
}

/// What of a message may have to come from the disk: blocks of one file or two, and a file that is not open.
#[derive(Debug, Default)]
pub struct ColdBlocks {
    own: Option<ColdFile>,
    body: Option<ColdFile>,
    unopened: Option<(ColdBody, Reading)>,
}

/// What was read in and verified.
#[derive(Debug)]
pub struct WarmBlocks {
    own: Option<ColdFile>,
    body: Option<ColdFile>,
    opened: RefCell<Option<Sealed>>,
}

/// What of a message is going to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reading {
    /// What is known of it: ENVELOPE and BODYSTRUCTURE, subject and senders.
    Details,
    /// Its folded text as well.
    Text,
    /// These of its octets as well.
    Octets(Range<usize>),
}

impl Reading {
    /// Where it lies in a file that has message `row`, or of which a body file has the content.
    fn extents(&self, file: &Sealed, row: u32) -> [Extent; 4] {
        let (name, content) = match self {
            Reading::Details => (Extent::default(), Extent::default()),
            Reading::Text => (file.extent(row, Piece::Name), file.extent(row, Piece::Text)),
            Reading::Octets(range) => (file.extent(row, Piece::Name), file.octets_extent(row, range)),
        };
        [file.extent(row, Piece::Record), file.extent(row, Piece::Details), name, content]
    }

    /// What a body file has of it that the account's own file does not.
    fn content(&self, body: &Sealed) -> Option<ColdFile> {
        body.cold(&self.extents(body, 0)[3..])
    }
}

impl ColdBlocks {
    /// Of message `row` of an account's file.
    pub(super) fn of(file: &Sealed, row: u32, reading: &Reading, bodies: &BodyFiles) -> Option<ColdBlocks> {
        if *reading == Reading::Details && file.is_checked(row) {
            return None;
        }
        let mut cold = ColdBlocks { own: file.cold(&reading.extents(file, row)), ..ColdBlocks::default() };
        let is_apart = match reading {
            Reading::Details => false,
            Reading::Text => file.text_is_apart(row),
            Reading::Octets(_) => file.is_apart(row),
        };
        // The name must be read before its file is; and one that can't be read is an error when the message is.
        if is_apart
            && file.cold_piece(row, Piece::Name).is_none()
            && let Ok(Some(name)) = file.body_name(row)
        {
            match bodies.open(name) {
                Some(body) => cold.body = reading.content(&body),
                None => cold.unopened = Some((bodies.cold(file.header().account, name), reading.clone())),
            }
        }
        let any = cold.own.is_some() || cold.body.is_some() || cold.unopened.is_some();
        any.then_some(cold)
    }

    /// Of a message that is a body file's, and in no account's file yet.
    pub(super) fn of_body(body: &Sealed, reading: &Reading) -> Option<ColdBlocks> {
        let file = body.cold(&reading.extents(body, 0))?;
        Some(ColdBlocks { body: Some(file), ..ColdBlocks::default() })
    }

    /// Reads the blocks in and compares their checksums. Blocks.
    pub fn verify(self) -> Result<WarmBlocks, Error> {
        let ColdBlocks { own, mut body, unopened } = self;
        if let Some(own) = &own {
            own.verify()?;
        }
        let mut opened = None;
        if let Some((unopened, reading)) = unopened {
            let file = unopened.open()?;
            body = reading.content(&file);
            opened = Some(file);
        }
        if let Some(body) = &body {
            body.verify()?;
        }
        Ok(WarmBlocks { own, body, opened: RefCell::new(opened) })
    }
}

impl WarmBlocks {
    /// Hands over what was verified of message `row` of an account's file.
    pub(super) fn give(&self, file: &Sealed, bodies: &BodyFiles) {
        if let Some(own) = &self.own {
            file.warmed(own);
        }
        let opened = self.opened.borrow_mut().take();
        if let Some(opened) = opened {
            bodies.keep(Rc::new(opened));
        }
        if let Some(body) = &self.body {
            bodies.open.borrow().iter().for_each(|open| open.warmed(body));
        }
    }

    /// The same for a message that is a body file's.
    pub(super) fn give_body(&self, file: &Sealed) {
        if let Some(body) = &self.body {
            file.warmed(body);
        }
    }
}
