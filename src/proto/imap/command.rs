//! A parsed IMAP command: what the client asked, with nothing looked up.
//!
//! Everything borrows the command's bytes or its arena and nothing here has a destructor, so that an arena's reset
//! frees it. RFC 3501 §6 and §9.

use super::flags::{FlagList, Flags};
use super::sequence::SequenceSet;

/// A command with its tag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tagged<'a> {
    /// What the answer begins with.
    pub tag: &'a str,
    /// It came with the prefix UID.
    pub uid: bool,
    /// The command.
    pub command: Command<'a>,
}

/// An IMAP command.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // the names are the commands of RFC 3501 §6
pub enum Command<'a> {
    Capability,
    Noop,
    Logout,
    StartTls,
    Login {
        user: &'a [u8],
        password: &'a [u8],
    },
    /// `initial` is the initial response in base64, `=` where it is empty (RFC 4959 §3).
    Authenticate {
        mechanism: &'a str,
        initial: Option<&'a [u8]>,
    },
    Select {
        mailbox: &'a str,
    },
    Examine {
        mailbox: &'a str,
    },
    /// The name may end in `/`: the client will make mailboxes below it (RFC 3501 §6.3.3). `uses`: its special uses, each
    /// with its backslash, whatever they are (RFC 6154 §3).
    Create {
        mailbox: &'a str,
        uses: &'a [&'a str],
    },
    Delete {
        mailbox: &'a str,
    },
    Rename {
        from: &'a str,
        to: &'a str,
    },
    Subscribe {
        mailbox: &'a str,
    },
    Unsubscribe {
        mailbox: &'a str,
    },
    List(List<'a>),
    /// Both as in [`List`].
    Lsub {
        reference: &'a str,
        pattern: &'a str,
    },
    Namespace,
    /// RFC 2971: fields and their values; none with `NIL`.
    Id(&'a [(&'a [u8], Option<&'a [u8]>)]),
    /// RFC 5161: the names of capabilities.
    Enable(&'a [&'a str]),
    Status {
        mailbox: &'a str,
        items: &'a [StatusItem],
    },
    Append(Append<'a>),
    Fetch {
        set: SequenceSet<'a>,
        items: &'a [FetchItem<'a>],
    },
    Store {
        set: SequenceSet<'a>,
        action: StoreAction,
        silent: bool,
        flags: FlagList<'a>,
    },
    Search(Search<'a>),
    Copy {
        set: SequenceSet<'a>,
        mailbox: &'a str,
    },
    /// RFC 6851.
    Move {
        set: SequenceSet<'a>,
        mailbox: &'a str,
    },
    Check,
    /// `uids` with UID EXPUNGE (RFC 4315 §2.1).
    Expunge {
        uids: Option<SequenceSet<'a>>,
    },
    Close,
    Unselect,
    Idle,
    /// A command that we don't know, with its name as it was written.
    Unknown(&'a str),
}

/// An APPEND up to its message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Append<'a> {
    /// Where to.
    pub mailbox: &'a str,
    /// With which flags.
    pub flags: FlagList<'a>,
    /// INTERNALDATE: seconds since 1970 and the zone in minutes.
    pub date_time: Option<(i64, i16)>,
    /// Bytes of the message.
    pub size: u64,
    /// Its literal stands in `UTF8 (…)`, so that the rest of the line is `)` (RFC 6855 §4).
    pub utf8: bool,
}

/// A LIST (RFC 3501 §6.3.8, RFC 5258). Names are decoded from modified UTF-7, `INBOX` as the client wrote it:
/// [`super::Pattern`] knows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct List<'a> {
    /// It has options or several patterns: an empty pattern then matches nothing (RFC 5258 §3).
    pub extended: bool,
    /// Which names.
    pub select: ListSelect,
    /// What the patterns are relative to.
    pub reference: &'a str,
    /// One or more.
    pub patterns: &'a [&'a str],
    /// What to tell of each, with what the selection implies.
    pub returns: ListReturn<'a>,
}

/// LIST's selection options (RFC 5258 §3.1); REMOTE selects nothing more here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names are those of the RFCs
pub struct ListSelect {
    pub subscribed: bool,
    /// Never without `subscribed`.
    pub recursive_match: bool,
    /// RFC 6154 §2.
    pub special_use: bool,
}

/// LIST's return options (RFC 5258 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names are those of the RFCs
pub struct ListReturn<'a> {
    pub subscribed: bool,
    pub children: bool,
    /// RFC 6154 §2.
    pub special_use: bool,
    /// RFC 5819: a STATUS response for each; none: not asked.
    pub status: &'a [StatusItem],
}

/// What STATUS asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are those of RFC 3501 §6.3.10
pub enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
}

impl StatusItem {
    /// All, each with its name.
    pub const NAMED: [(StatusItem, &'static str); 5] = [
        (StatusItem::Messages, "MESSAGES"),
        (StatusItem::Recent, "RECENT"),
        (StatusItem::UidNext, "UIDNEXT"),
        (StatusItem::UidValidity, "UIDVALIDITY"),
        (StatusItem::Unseen, "UNSEEN"),
    ];

    /// The item's name.
    pub const fn name(self) -> &'static str {
        StatusItem::NAMED[self as usize].1
    }
}

/// What FETCH asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // the names are those of RFC 3501 §6.4.5
pub enum FetchItem<'a> {
    Flags,
    Uid,
    InternalDate,
    Rfc822Size,
    Envelope,
    /// `BODY`: the structure without its extensions.
    Body,
    BodyStructure,
    /// `RFC822`: the message, under that name. With `peek`, as Outlook writes it, `\Seen` is not set.
    Rfc822 {
        peek: bool,
    },
    /// `RFC822.HEADER`: never sets `\Seen`.
    Rfc822Header,
    /// `RFC822.TEXT`: sets `\Seen`.
    Rfc822Text,
    /// `BODY[…]`, `BODY.PEEK[…]`.
    Section(Section<'a>),
}

impl FetchItem<'_> {
    /// Whether to fetch it sets `\Seen` (RFC 3501 §6.4.5).
    pub const fn sets_seen(&self) -> bool {
        match self {
            FetchItem::Rfc822 { peek } | FetchItem::Section(Section { peek, .. }) => !*peek,
            FetchItem::Rfc822Text => true,
            _ => false,
        }
    }
}

/// A section of a message: `BODY[part.text]<partial>`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Section<'a> {
    /// `BODY.PEEK`: `\Seen` is not set.
    pub peek: bool,
    /// Part numbers from the outside in; none: the message.
    pub part: &'a [u32],
    /// What of the part.
    pub text: SectionText<'a>,
    /// Which bytes of that.
    pub partial: Option<Partial>,
}

/// What of a part a section means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SectionText<'a> {
    /// All of it: of a message with its header, of a part its body.
    All,
    /// HEADER
    Header,
    /// HEADER.FIELDS, the names as the client wrote them.
    HeaderFields(&'a [&'a [u8]]),
    /// HEADER.FIELDS.NOT
    HeaderFieldsNot(&'a [&'a [u8]]),
    /// TEXT
    Text,
    /// MIME: the header of a part; never without a part number.
    Mime,
}

/// `<offset.count>`: any of it may lie beyond the end (the answer is shorter or empty then).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// First byte.
    pub offset: u64,
    /// At most so many; never 0.
    pub count: u64,
}

/// What STORE does with its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAction {
    /// FLAGS
    Replace,
    /// +FLAGS
    Add,
    /// -FLAGS
    Remove,
}

/// A SEARCH.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search<'a> {
    /// The charset of its strings, as it was written; none: US-ASCII, and UTF-8 that comes unasked.
    pub charset: Option<&'a str>,
    /// All must match.
    pub keys: &'a [SearchKey<'a>],
}

/// A search key (RFC 3501 §6.4.4). Strings are what the client sent; dates are days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // the names are those of the RFC
pub enum SearchKey<'a> {
    All,
    /// ANSWERED, DELETED, DRAFT, FLAGGED, RECENT, SEEN where `set`; UN… and OLD where not.
    Flag {
        flag: Flags,
        set: bool,
    },
    /// RECENT UNSEEN
    New,
    /// KEYWORD where `set`, UNKEYWORD where not.
    Keyword {
        keyword: &'a str,
        set: bool,
    },
    Bcc(&'a [u8]),
    Body(&'a [u8]),
    Cc(&'a [u8]),
    From(&'a [u8]),
    Subject(&'a [u8]),
    Text(&'a [u8]),
    To(&'a [u8]),
    /// An empty value: the message has that field.
    Header {
        field: &'a [u8],
        value: &'a [u8],
    },
    Before(i32),
    On(i32),
    Since(i32),
    SentBefore(i32),
    SentOn(i32),
    SentSince(i32),
    Larger(u64),
    Smaller(u64),
    Uid(SequenceSet<'a>),
    /// Message sequence numbers.
    Sequence(SequenceSet<'a>),
    Not(&'a SearchKey<'a>),
    Or(&'a SearchKey<'a>, &'a SearchKey<'a>),
    /// Keys in parentheses.
    And(&'a [SearchKey<'a>]),
}
