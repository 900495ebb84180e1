//! The store's numbers and small values: accounts, partitions, UIDs, flags, dates, hashes, errors.
//!
//! Newtypes for what must not be mixed. Flags are those of RFC 9051 §2.3.2 as bits; keywords are bits of a mailbox's own
//! table and have no type here.

use std::fmt;
use std::io;

/// An account (a user's mail), named by a number that the directory gave out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AccountId(pub u64);

impl AccountId {
    /// The partition that the account's data belongs to, on disk and in the log.
    pub fn partition(self) -> Partition {
        Partition((self.mixed() % u64::from(Partition::COUNT)) as u16)
    }

    /// The shard that owns the account among `shards`; decided at run time, never written down.
    pub fn shard(self, shards: usize) -> usize {
        (usize::from(self.partition().0) * shards.max(1)) / usize::from(Partition::COUNT)
    }

    /// The finaliser of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): ids are
    /// handed out in order, and neighbours must not share a partition. It is part of the format: never change it.
    fn mixed(self) -> u64 {
        let mut z = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The unit that moves between owners: a hash of the account modulo [`Partition::COUNT`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Partition(pub u16);

impl Partition {
    /// How many there are. Part of the format.
    pub const COUNT: u16 = 1024;
}

/// A message's unique identifier within its mailbox (RFC 9051 §2.3.1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Uid(pub u32);

/// Says that a mailbox's UIDs are still those that a client knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UidValidity(pub u32);

/// A modification sequence (RFC 7162): the account's sequence number of the change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ModSeq(pub u64);

/// A mailbox within its account; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MailboxId(pub u32);

/// SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Hash {
        Hash::from_digest(&aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
    }

    pub(super) fn from_digest(digest: &aws_lc_rs::digest::Digest) -> Hash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        Hash(hash)
    }

    /// Its first eight octets as a number: what EMAILID and THREADID are made of.
    pub fn short(&self) -> u64 {
        u64::from_le_bytes(self.0[..8].try_into().expect("eight of thirty-two"))
    }

    /// The hash that `name` spells in 64 lower-case hexadecimal digits.
    pub fn parse(name: &str) -> Option<Hash> {
        if name.len() != 64 || !name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let mut hash = [0; 32];
        for (index, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&name[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(Hash(hash))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The system flags of a message as a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// `\Seen`
    pub const SEEN: Flags = Flags(1);
    /// `\Answered`
    pub const ANSWERED: Flags = Flags(2);
    /// `\Flagged`
    pub const FLAGGED: Flags = Flags(4);
    /// `\Deleted`
    pub const DELETED: Flags = Flags(8);
    /// `\Draft`
    pub const DRAFT: Flags = Flags(16);
    /// All that are stored; other bits are dropped.
    pub const ALL: Flags = Flags(31);

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets.
    pub const fn union(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// This set without `other`.
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Whether none is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What STORE does to flags (RFC 9051 §6.4.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlagOp {
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
    /// `FLAGS`
    Replace,
}

impl FlagOp {
    /// What becomes of `old` flags and keywords.
    pub(super) fn apply(self, old: (u16, u64), operand: (u16, u64)) -> (u16, u64) {
        match self {
            FlagOp::Add => (old.0 | operand.0, old.1 | operand.1),
            FlagOp::Remove => (old.0 & !operand.0, old.1 & !operand.1),
            FlagOp::Replace => operand,
        }
    }
}

/// What went wrong with an operation of the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// The disk refused.
    Io {
        /// What kind of refusal.
        kind: io::ErrorKind,
        /// In words, with the file.
        message: String,
    },
    /// A file is not what was written.
    Corrupt {
        /// Its path in the data folder.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// No room on the disk.
    Full,
    /// Too much is under way: try again later.
    Busy,
    /// The mailbox has as many keywords as it can.
    TooManyKeywords,
    /// The mailbox has no UIDs left.
    NoUids,
    /// The mailbox was deleted.
    Gone,
    /// More, or in more pieces, than one operation takes.
    TooMany,
}

/// What is wrong with a file of which the disk can't give some.
const UNREADABLE: &str = "the disk can't give all of it";

impl Error {
    /// A refusal of the disk about `file`.
    pub(super) fn io(file: &str, error: &io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
            kind => Error::Io { kind, message: format!("{file}: {error}") },
        }
    }

    pub(super) fn corrupt(file: &str, offset: u64, what: &'static str) -> Error {
        Error::Corrupt { file: file.to_owned(), offset, what }
    }

    /// Some of a file that was written is not to be had from the disk any more.
    pub(super) fn unreadable(file: &str) -> Error {
        Error::corrupt(file, 0, UNREADABLE)
    }

    /// Whether it is that.
    pub(super) fn is_unreadable(&self) -> bool {
        matches!(self, Error::Corrupt { what: UNREADABLE, .. })
    }

    /// The segment that it is of, and the account in whose folder that lies.
    pub(super) fn unreadable_segment(&self) -> Option<(AccountId, Hash)> {
        let Error::Corrupt { file, what: UNREADABLE, .. } = self else { return None };
        let (folder, name) = file.rsplit_once('/')?;
        let account = AccountId(u64::from_str_radix(folder.rsplit('/').next()?, 16).ok()?);
        Hash::parse(name).map(|name| (account, name))
    }

    /// The log is lost: nothing more will become durable in this process.
    pub(super) fn lost() -> Error {
        Error::Io { kind: io::ErrorKind::BrokenPipe, message: "the commit log is lost".to_owned() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { message, .. } => f.write_str(message),
            Error::Corrupt { file, offset, what } => write!(f, "{file} is damaged at {offset}: {what}"),
            Error::Full => f.write_str("no room on the disk"),
            Error::Busy => f.write_str("too much is being written"),
            Error::TooManyKeywords => f.write_str("too many keywords in the mailbox"),
            Error::NoUids => f.write_str("the mailbox has no UIDs left"),
            Error::Gone => f.write_str("the mailbox was deleted"),
            Error::TooMany => f.write_str("too many messages at once"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_stable_and_spread() {
        // Known answers: they are on disk for ever.
        assert_eq!(AccountId(1).partition(), Partition(193));
        assert_eq!(AccountId(2).partition(), Partition(718));
        let mut shards = [0; 3];
        for id in 0..3000 {
            shards[AccountId(id).shard(3)] += 1;
        }
        assert!(shards.iter().all(|&count| count > 800), "{shards:?}");
        assert_eq!(AccountId(77).shard(1), 0);
    }

    #[test]
    fn hashes_print_and_parse() {
        let hash = Hash::of(b"abc");
        // FIPS 180-2, appendix B.1.
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Hash::parse(&hash.to_string()), Some(hash));
        assert_eq!(Hash::parse("MANIFEST"), None);
        assert_eq!(Hash::parse(&"G".repeat(64)), None);
    }

    #[test]
    fn flag_operations() {
        assert_eq!(FlagOp::Add.apply((1, 2), (4, 8)), (5, 10));
        assert_eq!(FlagOp::Remove.apply((5, 10), (4, 2)), (1, 8));
        assert_eq!(FlagOp::Replace.apply((5, 10), (2, 1)), (2, 1));
        assert!(Flags::SEEN.union(Flags::DRAFT).contains(Flags::DRAFT));
        assert!(Flags::SEEN.without(Flags::SEEN).is_empty());
    }
}
