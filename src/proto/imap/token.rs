//! The tokens that IMAP commands are made of: atoms, strings, numbers, sets, flags, mailbox names.
//!
//! Invariants: a token borrows the command, unless it has escapes or modified UTF-7 to undo, which goes into the arena;
//! a string ends within the command whatever its literal's number says. Taken beyond the grammar: 8-bit octets in a
//! bare astring, and spaces before the last CRLF. RFC 3501 §9.

use std::str::from_utf8;

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use memchr::{memchr, memchr_iter, memchr2, memchr3};

use super::flags::{FlagList, Flags};
use super::parse::{ErrorKind, ParseError};
use super::sequence::{Range, SequenceSet};
use super::utf7;
use crate::limits::{KEYWORD_BYTES_MAX, KEYWORDS_MAX, SEQUENCE_RANGES_MAX};

pub(super) type Parsed<'a, T> = Result<T, ParseError<'a>>;

/// ATOM-CHAR.
pub(super) const ATOM: u8 = 1;
/// ASTRING-CHAR, and 8-bit octets.
pub(super) const ASTRING: u8 = 2;
/// list-char, and 8-bit octets.
pub(super) const LIST: u8 = 4;
/// The characters of a tag.
pub(super) const TAG: u8 = 8;

/// ```text
/// ATOM-CHAR    = any CHAR except "(" ")" "{" SP CTL "%" "*" DQUOTE "\" "]"
/// ASTRING-CHAR = ATOM-CHAR / "]"
/// list-char    = ATOM-CHAR / "%" / "*" / "]"
/// tag          = 1*any ASTRING-CHAR except "+"
/// ```
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'(' | b')' | b'{' | b'"' | b'\\' | 0..=b' ' | 0x7f => 0,
            b'%' | b'*' => LIST,
            b']' => ASTRING | LIST | TAG,
            b'+' => ATOM | ASTRING | LIST,
            0x80.. => ASTRING | LIST,
            _ => ATOM | ASTRING | LIST | TAG,
        };
        byte += 1;
    }
    classes
};

pub(super) fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// A place in a command.
pub(super) struct Cursor<'a> {
    pub(super) arena: &'a Bump,
    pub(super) input: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn fail<T>(&self, kind: ErrorKind) -> Parsed<'a, T> {
        Err(ParseError { at: self.at, kind, tag: None })
    }

    fn fail_at<T>(at: usize, kind: ErrorKind) -> Parsed<'a, T> {
        Err(ParseError { at, kind, tag: None })
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, byte: u8, kind: ErrorKind) -> Parsed<'a, ()> {
        if self.eat(byte) { Ok(()) } else { self.fail(kind) }
    }

    pub(super) fn space(&mut self) -> Parsed<'a, ()> {
        self.expect(b' ', ErrorKind::Space)
    }

    /// The end of the command; spaces before it are forgiven.
    pub(super) fn end(&mut self) -> Parsed<'a, ()> {
        while self.eat(b' ') {}
        if &self.input[self.at..] == b"\r\n" { Ok(()) } else { self.fail(ErrorKind::Trailing) }
    }

    /// Whether only spaces and the CRLF are left.
    pub(super) fn at_end(&self) -> bool {
        self.input[self.at..].iter().find(|byte| **byte != b' ').is_none_or(|byte| *byte == b'\r')
    }

    /// `1*` of a class; empty where there is none.
    pub(super) fn run(&mut self, class: u8) -> &'a [u8] {
        let rest = &self.input[self.at..];
        let length = rest.iter().position(|&byte| !is(byte, class)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// `atom = 1*ATOM-CHAR`
    pub(super) fn atom(&mut self) -> Parsed<'a, &'a str> {
        match from_utf8(self.run(ATOM)) {
            Ok(atom) if !atom.is_empty() => Ok(atom),
            _ => self.fail(ErrorKind::Atom),
        }
    }

    /// Takes `word` where it comes next, in any case and not as the beginning of a longer one.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let rest = &self.input[self.at..];
        let found = rest.get(..word.len()).is_some_and(|next| next.eq_ignore_ascii_case(word.as_bytes()))
            && !rest.get(word.len()).is_some_and(|&byte| is(byte, ATOM));
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// `astring = 1*ASTRING-CHAR / string`
    pub(super) fn astring(&mut self) -> Parsed<'a, &'a [u8]> {
        match self.peek() {
            Some(byte) if is(byte, ASTRING) => Ok(self.run(ASTRING)),
            _ => self.string(),
        }
    }

    /// `string = quoted / literal`
    pub(super) fn string(&mut self) -> Parsed<'a, &'a [u8]> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => self.fail(ErrorKind::Astring),
        }
    }

    /// `quoted = DQUOTE *(TEXT-CHAR / "\" DQUOTE / "\" "\") DQUOTE`
    pub(super) fn quoted(&mut self) -> Parsed<'a, &'a [u8]> {
        let open = self.at;
        self.expect(b'"', ErrorKind::Quoted)?;
        let (start, mut escapes) = (self.at, 0);
        loop {
            let Some(found) = memchr3(b'"', b'\\', b'\r', &self.input[self.at..]) else {
                return Self::fail_at(open, ErrorKind::Quoted);
            };
            self.at += found + 1;
            match self.input[self.at - 1] {
                b'"' => break,
                b'\\' if matches!(self.peek(), Some(b'"' | b'\\')) => {
                    self.at += 1;
                    escapes += 1;
                }
                _ => return Self::fail_at(open, ErrorKind::Quoted),
            }
        }
        let raw = &self.input[start..self.at - 1];
        if escapes == 0 {
            return Ok(raw);
        }
        let plain = self.arena.alloc_slice_fill_copy(raw.len() - escapes, 0);
        let mut raw = raw.iter();
        for byte in &mut *plain {
            *byte = match raw.next() {
                Some(b'\\') => raw.next().copied().unwrap_or(b'\\'),
                other => other.copied().unwrap_or(b'\\'),
            };
        }
        Ok(plain)
    }

    /// `literal = "{" number ["+"] "}" CRLF *CHAR8`, with no NUL in it.
    pub(super) fn literal(&mut self) -> Parsed<'a, &'a [u8]> {
        let open = self.at;
        let size = self.literal_size()?;
        let end = usize::try_from(size).ok().and_then(|size| self.at.checked_add(size));
        let Some(text) = end.and_then(|end| self.input.get(self.at..end)) else {
            return Self::fail_at(open, ErrorKind::Literal);
        };
        if let Some(nul) = memchr(0, text) {
            return Self::fail_at(self.at + nul, ErrorKind::Nul);
        }
        self.at += text.len();
        Ok(text)
    }

    /// The announcement of a literal, up to its CRLF.
    pub(super) fn literal_size(&mut self) -> Parsed<'a, u64> {
        self.expect(b'{', ErrorKind::Literal)?;
        let size = self.number()?;
        self.eat(b'+');
        if !self.input[self.at..].starts_with(b"}\r\n") {
            return self.fail(ErrorKind::Literal);
        }
        self.at += 3;
        Ok(size)
    }

    /// `number = 1*DIGIT`, of at most 63 bits.
    pub(super) fn number(&mut self) -> Parsed<'a, u64> {
        let start = self.at;
        let mut number = 0u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = match number.checked_mul(10).and_then(|number| number.checked_add(u64::from(digit - b'0'))) {
                Some(number) if number <= i64::MAX as u64 => number,
                _ => return Self::fail_at(start, ErrorKind::Number),
            };
            self.at += 1;
        }
        if self.at == start { self.fail(ErrorKind::Number) } else { Ok(number) }
    }

    /// `nz-number`, of 32 bits.
    pub(super) fn nz_number(&mut self) -> Parsed<'a, u32> {
        let start = self.at;
        match u32::try_from(self.number()?) {
            Ok(number) if number > 0 => Ok(number),
            _ => Self::fail_at(start, ErrorKind::Number),
        }
    }

    /// ```text
    /// sequence-set = (seq-number / seq-number ":" seq-number) *("," sequence-set)
    /// seq-number   = nz-number / "*"
    /// ```
    pub(super) fn sequence_set(&mut self) -> Parsed<'a, SequenceSet<'a>> {
        // Counted first, so that a long set takes its place in the arena once.
        let rest = &self.input[self.at..];
        let set = &rest[..memchr2(b' ', b'\r', rest).unwrap_or(rest.len())];
        let count = memchr_iter(b',', set).count() + 1;
        let mut ranges = ArenaVec::with_capacity_in(count.min(SEQUENCE_RANGES_MAX), self.arena);
        loop {
            let first = self.seq_number()?;
            let last = if self.eat(b':') { self.seq_number()? } else { first };
            if ranges.len() == SEQUENCE_RANGES_MAX {
                return self.fail(ErrorKind::TooMany);
            }
            ranges.push(Range { first, last });
            if !self.eat(b',') {
                return Ok(SequenceSet(ranges.into_bump_slice()));
            }
        }
    }

    fn seq_number(&mut self) -> Parsed<'a, u32> {
        if self.eat(b'*') {
            return Ok(Range::LAST);
        }
        match self.nz_number() {
            Ok(number) => Ok(number.min(Range::LAST - 1)),
            Err(error) => Self::fail_at(error.at, ErrorKind::SequenceSet),
        }
    }

    /// `mailbox = "INBOX" / astring`, decoded; `INBOX` in capitals.
    pub(super) fn mailbox(&mut self) -> Parsed<'a, &'a str> {
        let at = self.at;
        let name = self.astring().map_err(nul_in_mailbox)?;
        if name.eq_ignore_ascii_case(b"INBOX") {
            return Ok("INBOX");
        }
        self.mailbox_name(name, at)
    }

    /// `list-mailbox = 1*list-char / string`, decoded; a reference is one too, or empty.
    pub(super) fn list_mailbox(&mut self) -> Parsed<'a, &'a str> {
        let at = self.at;
        let name = match self.peek() {
            Some(byte) if is(byte, LIST) => self.run(LIST),
            _ => self.string().map_err(nul_in_mailbox)?,
        };
        self.mailbox_name(name, at)
    }

    /// Undoes modified UTF-7. 8-bit octets are refused (RFC 3501 §5.1.3): with them one mailbox would have two names.
    fn mailbox_name(&self, name: &'a [u8], at: usize) -> Parsed<'a, &'a str> {
        if name.iter().any(u8::is_ascii_control) {
            return Self::fail_at(at, ErrorKind::MailboxControl);
        }
        match utf7::decode(self.arena, name) {
            Some(name) if name.chars().any(char::is_control) => Self::fail_at(at, ErrorKind::MailboxControl),
            Some(name) => Ok(name),
            None => Self::fail_at(at, ErrorKind::Mailbox),
        }
    }

    /// `flag-list = "(" [flag *(SP flag)] ")"`
    pub(super) fn flag_list(&mut self) -> Parsed<'a, FlagList<'a>> {
        self.expect(b'(', ErrorKind::Parenthesis)?;
        let mut flags = FlagCollector::new(self.arena);
        while self.eat(b' ') {}
        while !self.eat(b')') {
            flags.add(self)?;
            while self.eat(b' ') {}
        }
        Ok(flags.list())
    }

    /// `flag *(SP flag)` up to the end of the command.
    pub(super) fn bare_flags(&mut self) -> Parsed<'a, FlagList<'a>> {
        let mut flags = FlagCollector::new(self.arena);
        while !self.at_end() {
            flags.add(self)?;
            if !self.at_end() {
                self.space()?;
            }
        }
        Ok(flags.list())
    }

    /// `flag-keyword = atom`, for SEARCH too.
    pub(super) fn keyword(&mut self) -> Parsed<'a, &'a str> {
        let at = self.at;
        // What is an atom to nobody is taken as one, to be refused by NO: a client that copies mail doesn't expect BAD.
        let rest = &self.input[at..];
        let length =
            rest.iter().position(|byte| matches!(byte, b' ' | b'(' | b')' | b'\r' | b'"' | b'{')).unwrap_or(rest.len());
        let keyword = &rest[..length];
        self.at += length;
        if keyword.is_empty() {
            return self.fail(ErrorKind::Flag);
        }
        if keyword.len() > KEYWORD_BYTES_MAX || !keyword.iter().all(|&byte| is(byte, ATOM)) {
            return Self::fail_at(at, ErrorKind::Keyword);
        }
        from_utf8(keyword).or(Self::fail_at(at, ErrorKind::Keyword))
    }
}

/// A mailbox can't be named so; elsewhere a NUL is bad syntax.
fn nul_in_mailbox(error: ParseError<'_>) -> ParseError<'_> {
    match error.kind {
        ErrorKind::Nul => ParseError { kind: ErrorKind::MailboxControl, ..error },
        _ => error,
    }
}

struct FlagCollector<'a> {
    system: Flags,
    keywords: ArenaVec<'a, &'a str>,
}

impl<'a> FlagCollector<'a> {
    fn new(arena: &'a Bump) -> Self {
        FlagCollector { system: Flags::empty(), keywords: ArenaVec::new_in(arena) }
    }

    /// ```text
    /// flag           = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword / flag-extension
    /// flag-extension = "\" atom
    /// ```
    /// `\Recent` and extensions are passed over: they aren't among the PERMANENTFLAGS (RFC 3501 §7.1), and a client that brings
    /// mail from elsewhere doesn't expect BAD.
    fn add(&mut self, cursor: &mut Cursor<'a>) -> Parsed<'a, ()> {
        let at = cursor.at;
        if cursor.eat(b'\\') {
            if cursor.run(ATOM).is_empty() {
                return Cursor::fail_at(at, ErrorKind::Flag);
            }
            let flag = Flags::named(&cursor.input[at..cursor.at]).unwrap_or_default();
            self.system = self.system.with(flag.without(Flags::RECENT));
            return Ok(());
        }
        let keyword = cursor.keyword()?;
        if self.keywords.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
            return Ok(());
        }
        if self.keywords.len() == KEYWORDS_MAX {
            return Cursor::fail_at(at, ErrorKind::KeywordsTooMany);
        }
        self.keywords.push(keyword);
        Ok(())
    }

    fn list(self) -> FlagList<'a> {
        FlagList { system: self.system, keywords: self.keywords.into_bump_slice() }
    }
}
