//! The arguments of SEARCH: a charset and a tree of keys.
//!
//! Invariant: the tree is at most NESTING_MAX deep and SEARCH_KEYS_MAX large, so that neither reading it nor walking
//! through it can exhaust a stack. Strings stay in the charset that the client named. RFC 3501 §6.4.4 and §9.

use bumpalo::collections::Vec as ArenaVec;

use super::command::{Search, SearchKey};
use super::flags::Flags;
use super::parse::ErrorKind;
use super::token::{ATOM, Cursor, Parsed};
use crate::limits::{NESTING_MAX, SEARCH_KEYS_MAX};
use crate::proto::calendar::Date;

impl<'a> Cursor<'a> {
    /// `search = "SEARCH" [SP "CHARSET" SP astring] 1*(SP search-key)`, from behind the first space.
    pub(super) fn search(&mut self) -> Parsed<'a, Search<'a>> {
        let mut charset = None;
        if self.eat_word("CHARSET") {
            self.space()?;
            let Ok(name) = std::str::from_utf8(self.astring()?) else { return self.fail(ErrorKind::Atom) };
            charset = Some(name);
            self.space()?;
        }
        let mut keys = ArenaVec::new_in(self.arena);
        let mut left = SEARCH_KEYS_MAX;
        loop {
            keys.push(self.search_key(NESTING_MAX, &mut left)?);
            if self.at_end() {
                return Ok(Search { charset, keys: keys.into_bump_slice() });
            }
            self.space()?;
        }
    }

    /// `search-key = sequence-set / "(" search-key *(SP search-key) ")" / name [SP arguments]`; `depth` more may nest
    /// in it, `left` more may come.
    fn search_key(&mut self, depth: usize, left: &mut usize) -> Parsed<'a, SearchKey<'a>> {
        if depth == 0 {
            return self.fail(ErrorKind::Nesting);
        }
        if *left == 0 {
            return self.fail(ErrorKind::TooMany);
        }
        *left -= 1;
        match self.peek() {
            Some(b'(') => self.search_keys(depth - 1, left),
            Some(b'0'..=b'9' | b'*') => Ok(SearchKey::Sequence(self.sequence_set()?)),
            _ => self.named_key(depth - 1, left),
        }
    }

    fn search_keys(&mut self, depth: usize, left: &mut usize) -> Parsed<'a, SearchKey<'a>> {
        self.expect(b'(', ErrorKind::Parenthesis)?;
        let mut keys = ArenaVec::new_in(self.arena);
        loop {
            keys.push(self.search_key(depth, left)?);
            if self.eat(b')') {
                return Ok(SearchKey::And(keys.into_bump_slice()));
            }
            self.space()?;
        }
    }

    fn named_key(&mut self, depth: usize, left: &mut usize) -> Parsed<'a, SearchKey<'a>> {
        let start = self.at;
        let name = self.run(ATOM);
        // The longest key has 10 letters.
        let mut upper = [0; 10];
        let length = name.len().min(upper.len());
        upper[..length].copy_from_slice(&name[..length]);
        upper.make_ascii_uppercase();
        let upper = if name.len() > upper.len() { &[][..] } else { &upper[..length] };
        if let Some(key) = flag_key(upper) {
            return Ok(key);
        }
        Ok(match upper {
            b"ALL" => SearchKey::All,
            b"NEW" => SearchKey::New,
            b"NOT" => {
                self.space()?;
                let key = self.search_key(depth, left)?;
                SearchKey::Not(self.arena.alloc(key))
            }
            b"OR" => {
                self.space()?;
                let first = self.search_key(depth, left)?;
                self.space()?;
                let second = self.search_key(depth, left)?;
                SearchKey::Or(self.arena.alloc(first), self.arena.alloc(second))
            }
            b"BCC" => SearchKey::Bcc(self.key_string()?),
            b"BODY" => SearchKey::Body(self.key_string()?),
            b"CC" => SearchKey::Cc(self.key_string()?),
            b"FROM" => SearchKey::From(self.key_string()?),
            b"SUBJECT" => SearchKey::Subject(self.key_string()?),
            b"TEXT" => SearchKey::Text(self.key_string()?),
            b"TO" => SearchKey::To(self.key_string()?),
            b"HEADER" => {
                let field = self.key_string()?;
                SearchKey::Header { field, value: self.key_string()? }
            }
            b"KEYWORD" => SearchKey::Keyword { keyword: self.key_keyword()?, set: true },
            b"UNKEYWORD" => SearchKey::Keyword { keyword: self.key_keyword()?, set: false },
            b"BEFORE" => SearchKey::Before(self.key_date()?),
            b"ON" => SearchKey::On(self.key_date()?),
            b"SINCE" => SearchKey::Since(self.key_date()?),
            b"SENTBEFORE" => SearchKey::SentBefore(self.key_date()?),
            b"SENTON" => SearchKey::SentOn(self.key_date()?),
            b"SENTSINCE" => SearchKey::SentSince(self.key_date()?),
            b"LARGER" => SearchKey::Larger(self.key_number()?),
            b"SMALLER" => SearchKey::Smaller(self.key_number()?),
            b"UID" => {
                self.space()?;
                SearchKey::Uid(self.sequence_set()?)
            }
            _ => {
                self.at = start;
                return self.fail(ErrorKind::SearchKey);
            }
        })
    }

    fn key_string(&mut self) -> Parsed<'a, &'a [u8]> {
        self.space()?;
        self.astring()
    }

    fn key_keyword(&mut self) -> Parsed<'a, &'a str> {
        self.space()?;
        self.keyword()
    }

    fn key_number(&mut self) -> Parsed<'a, u64> {
        self.space()?;
        self.number()
    }

    /// `SP (date-text / DQUOTE date-text DQUOTE)`
    fn key_date(&mut self) -> Parsed<'a, i32> {
        self.space()?;
        let at = self.at;
        let text = if self.peek() == Some(b'"') { self.quoted()? } else { self.run(ATOM) };
        match Date::parse(text).and_then(Date::days) {
            Some(days) => Ok(days),
            None => {
                self.at = at;
                self.fail(ErrorKind::Date)
            }
        }
    }
}

fn flag_key<'a>(name: &[u8]) -> Option<SearchKey<'a>> {
    let (flag, set) = match name {
        b"ANSWERED" => (Flags::ANSWERED, true),
        b"DELETED" => (Flags::DELETED, true),
        b"DRAFT" => (Flags::DRAFT, true),
        b"FLAGGED" => (Flags::FLAGGED, true),
        b"RECENT" => (Flags::RECENT, true),
        b"SEEN" => (Flags::SEEN, true),
        b"UNANSWERED" => (Flags::ANSWERED, false),
        b"UNDELETED" => (Flags::DELETED, false),
        b"UNDRAFT" => (Flags::DRAFT, false),
        b"UNFLAGGED" => (Flags::FLAGGED, false),
        b"OLD" => (Flags::RECENT, false),
        b"UNSEEN" => (Flags::SEEN, false),
        _ => return None,
    };
    Some(SearchKey::Flag { flag, set })
}
