//! Message flags as the protocol names them: the system flags in a byte, keywords as atoms.
//!
//! `\Recent` is written and never read: a client can't set it (RFC 3501 §2.3.2). How the store keeps flags is its
//! business.

/// A set of system flags (RFC 3501 §2.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// `\Answered`
    pub const ANSWERED: Flags = Flags(1);
    /// `\Flagged`
    pub const FLAGGED: Flags = Flags(2);
    /// `\Deleted`
    pub const DELETED: Flags = Flags(4);
    /// `\Seen`
    pub const SEEN: Flags = Flags(8);
    /// `\Draft`
    pub const DRAFT: Flags = Flags(16);
    /// `\Recent`
    pub const RECENT: Flags = Flags(32);

    /// All flags with their names, in the order in which they are written.
    pub const NAMED: [(Flags, &'static str); 6] = [
        (Flags::ANSWERED, "\\Answered"),
        (Flags::FLAGGED, "\\Flagged"),
        (Flags::DELETED, "\\Deleted"),
        (Flags::SEEN, "\\Seen"),
        (Flags::DRAFT, "\\Draft"),
        (Flags::RECENT, "\\Recent"),
    ];

    /// No flag.
    pub const fn empty() -> Flags {
        Flags(0)
    }

    /// The flag of that name, in any case.
    pub fn named(name: &[u8]) -> Option<Flags> {
        Flags::NAMED.iter().find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(flag, _)| *flag)
    }

    /// Whether all of `flags` are in it.
    pub const fn contains(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }

    /// Those that are not in `flags`.
    #[must_use]
    pub const fn without(self, flags: Flags) -> Flags {
        Flags(self.0 & !flags.0)
    }

    /// One bit a flag, in the order of [`Flags::NAMED`] from the lowest.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The flags of those bits; others are passed over.
    pub const fn from_bits(bits: u8) -> Flags {
        Flags(bits & 63)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The flags of a STORE or APPEND.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlagList<'a> {
    /// The system flags, `\Recent` left out.
    pub system: Flags,
    /// Keywords as written, each at most once by its letters' case.
    pub keywords: &'a [&'a str],
}
