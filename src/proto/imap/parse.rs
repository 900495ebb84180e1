//! Reads one whole command, as [`super::frame`] cut it out, into a [`Tagged`] that borrows it.
//!
//! Invariants: linear in the command's length; depth and number of what nests are limited (limits.rs); any bytes are
//! answered by a command or an error, never a panic. An error has its tag wherever one was readable.
//! Nothing is looked up: a mailbox need not exist, nor a message. RFC 3501 §6 and §9.

use std::str::from_utf8;

use bumpalo::Bump;

use super::command::{Append, Command, StoreAction, Tagged};
use super::parse_mailbox;
use super::token::{ATOM, Cursor, Parsed, TAG, is};
use crate::proto::calendar;

/// A command that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError<'a> {
    /// Where in the command.
    pub at: usize,
    /// What is wrong.
    pub kind: ErrorKind,
    /// The tag, where there is one; else the answer is untagged.
    pub tag: Option<&'a str>,
}

/// What is wrong with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // `text` says what each means
pub enum ErrorKind {
    Tag,
    CommandMissing,
    Space,
    Trailing,
    Atom,
    Astring,
    Quoted,
    Literal,
    Nul,
    Number,
    SequenceSet,
    Mailbox,
    MailboxControl,
    Parenthesis,
    Flag,
    Keyword,
    KeywordsTooMany,
    Date,
    DateTime,
    StatusItem,
    ListOption,
    ListRecursive,
    CreateParameter,
    Id,
    StoreAction,
    FetchItem,
    Section,
    Partial,
    SearchKey,
    Nesting,
    TooMany,
}

impl ErrorKind {
    /// The response to the client, without its tag.
    pub fn text(self) -> &'static str {
        match self {
            ErrorKind::Tag => "BAD A command begins with a tag",
            ErrorKind::CommandMissing => "BAD Command missing",
            ErrorKind::Space => "BAD Argument missing",
            ErrorKind::Trailing => "BAD More arguments than the command takes",
            ErrorKind::Atom => "BAD Atom expected",
            ErrorKind::Astring => "BAD String expected",
            ErrorKind::Quoted => "BAD Malformed quoted string",
            ErrorKind::Literal => "BAD Malformed literal",
            ErrorKind::Nul => "BAD NUL is not allowed",
            ErrorKind::Number => "BAD Number expected",
            ErrorKind::SequenceSet => "BAD Malformed sequence set",
            ErrorKind::Mailbox => "BAD The mailbox name is not modified UTF-7",
            ErrorKind::MailboxControl => "NO [CANNOT] Control characters in a mailbox name",
            ErrorKind::Parenthesis => "BAD Parenthesis expected",
            ErrorKind::Flag => "BAD Unknown or malformed flag",
            ErrorKind::Keyword => "NO [CANNOT] The keyword is too long or not an atom",
            ErrorKind::KeywordsTooMany => "NO [LIMIT] Too many keywords",
            ErrorKind::Date => "BAD Malformed date",
            ErrorKind::DateTime => "BAD Malformed date-time",
            ErrorKind::StatusItem => "BAD Unknown STATUS item",
            ErrorKind::ListOption => "BAD Unknown LIST option",
            ErrorKind::ListRecursive => "BAD RECURSIVEMATCH is for SUBSCRIBED",
            ErrorKind::CreateParameter => "BAD Unknown CREATE parameter",
            ErrorKind::Id => "BAD A field or value of ID is too long",
            ErrorKind::StoreAction => "BAD Unknown STORE item",
            ErrorKind::FetchItem => "BAD Unknown FETCH item",
            ErrorKind::Section => "BAD Malformed section",
            ErrorKind::Partial => "BAD Malformed partial range",
            ErrorKind::SearchKey => "BAD Unknown SEARCH key",
            ErrorKind::Nesting => "BAD [TOOBIG] Nested too deeply",
            ErrorKind::TooMany => "BAD [TOOBIG] Too many items in one command",
        }
    }
}

/// The tag at the beginning of `input`, however broken the rest: `1*<any ASTRING-CHAR except "+">`, then a space or the
/// end of the line.
pub fn tag(input: &[u8]) -> Option<&str> {
    let length = input.iter().position(|&byte| !is(byte, TAG)).unwrap_or(input.len());
    if length == 0 || !matches!(input.get(length), None | Some(b' ' | b'\r' | b'\n')) {
        return None;
    }
    from_utf8(&input[..length]).ok()
}

/// `command = tag SP ["UID" SP] name [arguments] CRLF`: one command, its literals and its last CRLF included.
pub fn parse<'a>(arena: &'a Bump, input: &'a [u8]) -> Result<Tagged<'a>, ParseError<'a>> {
    tagged(arena, input, |cursor, uid, name| {
        let command = command(cursor, uid, name)?;
        if let Command::Append(append) = &command {
            // Only a framer that doesn't report APPENDs leaves the message in the command.
            let end = usize::try_from(append.size).ok().and_then(|size| cursor.at.checked_add(size));
            match end.filter(|&end| end <= cursor.input.len()) {
                Some(end) => cursor.at = end,
                None => return cursor.fail(ErrorKind::Literal),
            }
            if append.utf8 {
                cursor.expect(b')', ErrorKind::Parenthesis)?;
            }
        }
        if !matches!(command, Command::Unknown(_)) {
            cursor.end()?;
        }
        Ok(command)
    })
}

/// The head of an APPEND, `{n}CRLF` of its message included ([`super::Frame::AppendLiteral`]).
pub fn parse_append_head<'a>(arena: &'a Bump, head: &'a [u8]) -> Result<Tagged<'a>, ParseError<'a>> {
    tagged(arena, head, |cursor, uid, name| match command(cursor, uid, name)? {
        Command::Append(append) if cursor.at == cursor.input.len() => Ok(Command::Append(append)),
        _ => cursor.fail(ErrorKind::Trailing),
    })
}

fn tagged<'a>(
    arena: &'a Bump,
    input: &'a [u8],
    rest: impl FnOnce(&mut Cursor<'a>, bool, &'a str) -> Parsed<'a, Command<'a>>,
) -> Result<Tagged<'a>, ParseError<'a>> {
    let Some(tag) = tag(input) else { return Err(ParseError { at: 0, kind: ErrorKind::Tag, tag: None }) };
    let mut cursor = Cursor { arena, input, at: tag.len() };
    let mut uid = false;
    let command = name(&mut cursor, &mut uid).and_then(|name| rest(&mut cursor, uid, name));
    match command {
        Ok(command) => Ok(Tagged { tag, uid, command }),
        Err(error) => Err(ParseError { tag: Some(tag), ..error }),
    }
}

fn name<'a>(cursor: &mut Cursor<'a>, uid: &mut bool) -> Parsed<'a, &'a str> {
    if cursor.at_end() {
        return cursor.fail(ErrorKind::CommandMissing);
    }
    cursor.space()?;
    let name = cursor.atom()?;
    if !name.eq_ignore_ascii_case("UID") {
        return Ok(name);
    }
    *uid = true;
    cursor.space()?;
    cursor.atom()
}

fn command<'a>(cursor: &mut Cursor<'a>, uid: bool, name: &'a str) -> Parsed<'a, Command<'a>> {
    // The longest name that we know has 12 letters; a longer one is none of them.
    let mut upper = [0; 12];
    let Some(upper) = upper.get_mut(..name.len()) else { return Ok(Command::Unknown(name)) };
    upper.copy_from_slice(name.as_bytes());
    upper.make_ascii_uppercase();
    Ok(match (&*upper, uid) {
        (b"FETCH", _) => fetch(cursor)?,
        (b"STORE", _) => store(cursor)?,
        (b"SEARCH", _) => {
            cursor.space()?;
            Command::Search(cursor.search()?)
        }
        (b"COPY" | b"MOVE", _) => copy(cursor, &*upper == b"MOVE")?,
        (b"EXPUNGE", true) => {
            cursor.space()?;
            Command::Expunge { uids: Some(cursor.sequence_set()?) }
        }
        (_, true) => Command::Unknown(name),
        (b"NOOP", _) => Command::Noop,
        (b"IDLE", _) => Command::Idle,
        (b"CAPABILITY", _) => Command::Capability,
        (b"LOGOUT", _) => Command::Logout,
        (b"STARTTLS", _) => Command::StartTls,
        (b"LOGIN", _) => login(cursor)?,
        (b"AUTHENTICATE", _) => authenticate(cursor)?,
        (b"SELECT", _) => Command::Select { mailbox: argument(cursor)? },
        (b"EXAMINE", _) => Command::Examine { mailbox: argument(cursor)? },
        (b"CREATE", _) => parse_mailbox::create(cursor)?,
        (b"DELETE", _) => Command::Delete { mailbox: argument(cursor)? },
        (b"RENAME", _) => Command::Rename { from: argument(cursor)?, to: argument(cursor)? },
        (b"SUBSCRIBE", _) => Command::Subscribe { mailbox: argument(cursor)? },
        (b"UNSUBSCRIBE", _) => Command::Unsubscribe { mailbox: argument(cursor)? },
        (b"LIST", _) => parse_mailbox::list(cursor)?,
        (b"LSUB", _) => parse_mailbox::lsub(cursor)?,
        (b"STATUS", _) => parse_mailbox::status(cursor)?,
        (b"NAMESPACE", _) => Command::Namespace,
        (b"ID", _) => parse_mailbox::id(cursor)?,
        (b"ENABLE", _) => parse_mailbox::enable(cursor)?,
        (b"APPEND", _) => append(cursor)?,
        (b"EXPUNGE", _) => Command::Expunge { uids: None },
        (b"CHECK", _) => Command::Check,
        (b"CLOSE", _) => Command::Close,
        (b"UNSELECT", _) => Command::Unselect,
        _ => Command::Unknown(name),
    })
}

/// `SP mailbox`
pub(super) fn argument<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, &'a str> {
    cursor.space()?;
    cursor.mailbox()
}

/// `login = "LOGIN" SP userid SP password`, both astrings.
fn login<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, Command<'a>> {
    cursor.space()?;
    let user = cursor.astring()?;
    cursor.space()?;
    Ok(Command::Login { user, password: cursor.astring()? })
}

/// `authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")]` (RFC 4959 §7); the base64 is checked by `sasl`.
fn authenticate<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, Command<'a>> {
    cursor.space()?;
    let mechanism = cursor.atom()?;
    let initial = if cursor.at_end() {
        None
    } else {
        cursor.space()?;
        Some(cursor.atom()?.as_bytes())
    };
    Ok(Command::Authenticate { mechanism, initial })
}

/// `append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP (literal / "UTF8" SP "(" literal8)`, up to the CRLF
/// of the literal.
fn append<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, Command<'a>> {
    let mailbox = argument(cursor)?;
    cursor.space()?;
    let mut append = Append { mailbox, flags: Default::default(), date_time: None, size: 0, utf8: false };
    if cursor.peek() == Some(b'(') {
        append.flags = cursor.flag_list()?;
        cursor.space()?;
    }
    if cursor.peek() == Some(b'"') {
        let at = cursor.at;
        append.date_time = calendar::date_time(cursor.quoted()?);
        if append.date_time.is_none() {
            cursor.at = at;
            return cursor.fail(ErrorKind::DateTime);
        }
        cursor.space()?;
    }
    if cursor.eat_word("UTF8") {
        append.utf8 = true;
        cursor.space()?;
        cursor.expect(b'(', ErrorKind::Parenthesis)?;
    }
    cursor.eat(b'~');
    append.size = cursor.literal_size()?;
    Ok(Command::Append(append))
}

/// `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")`
fn fetch<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, Command<'a>> {
    cursor.space()?;
    let set = cursor.sequence_set()?;
    cursor.space()?;
    Ok(Command::Fetch { set, items: cursor.fetch_items()? })
}

/// `store = "STORE" SP sequence-set SP ["+" / "-"] "FLAGS" [".SILENT"] SP (flag-list / (flag *(SP flag)))`
fn store<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, Command<'a>> {
    cursor.space()?;
    let set = cursor.sequence_set()?;
    cursor.space()?;
    let action = match cursor.peek() {
        Some(b'+') => StoreAction::Add,
        Some(b'-') => StoreAction::Remove,
        _ => StoreAction::Replace,
    };
    cursor.at += usize::from(action != StoreAction::Replace);
    let at = cursor.at;
    let item = cursor.run(ATOM);
    let silent = item.eq_ignore_ascii_case(b"FLAGS.SILENT");
    if !silent && !item.eq_ignore_ascii_case(b"FLAGS") {
        cursor.at = at;
        return cursor.fail(ErrorKind::StoreAction);
    }
    cursor.space()?;
    let flags = match cursor.peek() {
        Some(b'(') => cursor.flag_list()?,
        _ if cursor.at_end() => return cursor.fail(ErrorKind::Flag),
        _ => cursor.bare_flags()?,
    };
    Ok(Command::Store { set, action, silent, flags })
}

/// `copy = "COPY" SP sequence-set SP mailbox`; `move` is alike (RFC 6851 §6).
fn copy<'a>(cursor: &mut Cursor<'a>, moves: bool) -> Parsed<'a, Command<'a>> {
    cursor.space()?;
    let set = cursor.sequence_set()?;
    let mailbox = argument(cursor)?;
    Ok(if moves { Command::Move { set, mailbox } } else { Command::Copy { set, mailbox } })
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
