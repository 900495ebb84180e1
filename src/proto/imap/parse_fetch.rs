//! The arguments of FETCH: macros, items, sections, partial ranges.
//!
//! Macros are spelled out, also where they stand among other items; an item is as often in the list as it was asked
//! for. `RFC822.PEEK`, which no RFC has and Outlook sends, is taken. RFC 3501 §6.4.5 and §9 (fetch-att).

use bumpalo::collections::Vec as ArenaVec;

use super::command::{FetchItem, Partial, Section, SectionText};
use super::parse::ErrorKind;
use super::token::{Cursor, Parsed};
use crate::limits::{FETCH_ITEMS_MAX, HEADER_FIELDS_MAX, SECTION_PARTS_MAX};

const FULL: [FetchItem<'static>; 5] =
    [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size, FetchItem::Envelope, FetchItem::Body];

impl<'a> Cursor<'a> {
    /// One item or macro, or a list of them.
    pub(super) fn fetch_items(&mut self) -> Parsed<'a, &'a [FetchItem<'a>]> {
        let mut items = ArenaVec::with_capacity_in(FULL.len(), self.arena);
        if !self.eat(b'(') {
            self.fetch_att(&mut items)?;
            return Ok(items.into_bump_slice());
        }
        loop {
            self.fetch_att(&mut items)?;
            if items.len() > FETCH_ITEMS_MAX {
                return self.fail(ErrorKind::TooMany);
            }
            if self.eat(b')') {
                return Ok(items.into_bump_slice());
            }
            self.space()?;
        }
    }

    /// ```text
    /// fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822" [".HEADER" / ".SIZE" / ".TEXT"] /
    ///             "BODY" ["STRUCTURE"] / "UID" / "BODY" section ["<" number "." nz-number ">"] /
    ///             "BODY.PEEK" section ["<" number "." nz-number ">"]
    /// ```
    fn fetch_att(&mut self, items: &mut ArenaVec<'a, FetchItem<'a>>) -> Parsed<'a, ()> {
        let start = self.at;
        let rest = &self.input[start..];
        let length =
            rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'.')).unwrap_or(rest.len());
        let mut upper = [0; 16];
        let Some(upper) = upper.get_mut(..length) else { return self.fail(ErrorKind::FetchItem) };
        upper.copy_from_slice(&rest[..length]);
        upper.make_ascii_uppercase();
        self.at += length;
        let bracket = self.peek() == Some(b'[');
        items.push(match (&*upper, bracket) {
            (b"BODY", true) => self.section(false)?,
            (b"BODY.PEEK", true) => self.section(true)?,
            (b"FLAGS", false) => FetchItem::Flags,
            (b"UID", false) => FetchItem::Uid,
            (b"INTERNALDATE", false) => FetchItem::InternalDate,
            (b"ENVELOPE", false) => FetchItem::Envelope,
            (b"BODY", false) => FetchItem::Body,
            (b"BODYSTRUCTURE", false) => FetchItem::BodyStructure,
            (b"RFC822", false) => FetchItem::Rfc822 { peek: false },
            (b"RFC822.PEEK", false) => FetchItem::Rfc822 { peek: true },
            (b"RFC822.HEADER", false) => FetchItem::Rfc822Header,
            (b"RFC822.TEXT", false) => FetchItem::Rfc822Text,
            (b"RFC822.SIZE", false) => FetchItem::Rfc822Size,
            (b"FAST", false) => return self.fetch_macro(items, 3),
            (b"ALL", false) => return self.fetch_macro(items, 4),
            (b"FULL", false) => return self.fetch_macro(items, 5),
            _ => {
                self.at = start;
                return self.fail(ErrorKind::FetchItem);
            }
        });
        Ok(())
    }

    /// FAST, ALL and FULL are the first three, four and five of the same list.
    fn fetch_macro(&self, items: &mut ArenaVec<'a, FetchItem<'a>>, count: usize) -> Parsed<'a, ()> {
        items.extend_from_slice(&FULL[..count]);
        Ok(())
    }

    /// `section = "[" [section-spec] "]" ["<" number "." nz-number ">"]`
    fn section(&mut self, peek: bool) -> Parsed<'a, FetchItem<'a>> {
        self.expect(b'[', ErrorKind::Section)?;
        let (part, dot) = self.section_part()?;
        let text = if self.peek() == Some(b']') && !dot { SectionText::All } else { self.section_text()? };
        if text == SectionText::Mime && part.is_empty() {
            return self.fail(ErrorKind::Section);
        }
        self.expect(b']', ErrorKind::Section)?;
        Ok(FetchItem::Section(Section { peek, part, text, partial: self.partial()? }))
    }

    /// `section-part = nz-number *("." nz-number)`; and whether a dot follows, which promises a section-text.
    fn section_part(&mut self) -> Parsed<'a, (&'a [u32], bool)> {
        let mut part = ArenaVec::new_in(self.arena);
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            if part.len() == SECTION_PARTS_MAX {
                return self.fail(ErrorKind::Section);
            }
            let Ok(number) = self.nz_number() else { return self.fail(ErrorKind::Section) };
            part.push(number);
            if !self.eat(b'.') {
                return match self.peek() {
                    Some(b']') => Ok((part.into_bump_slice(), false)),
                    _ => self.fail(ErrorKind::Section),
                };
            }
        }
        let dot = !part.is_empty();
        Ok((part.into_bump_slice(), dot))
    }

    /// `section-text = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT" / "MIME"`
    fn section_text(&mut self) -> Parsed<'a, SectionText<'a>> {
        if self.section_word(b"HEADER.FIELDS.NOT ") {
            return Ok(SectionText::HeaderFieldsNot(self.header_list()?));
        }
        if self.section_word(b"HEADER.FIELDS ") {
            return Ok(SectionText::HeaderFields(self.header_list()?));
        }
        let texts = [(&b"HEADER"[..], SectionText::Header), (b"TEXT", SectionText::Text), (b"MIME", SectionText::Mime)];
        match texts.iter().find(|(name, _)| self.section_word(name)) {
            Some((_, text)) => Ok(*text),
            None => self.fail(ErrorKind::Section),
        }
    }

    /// Takes `word` where it comes next. What may not follow it is found by who expects `]`.
    fn section_word(&mut self, word: &[u8]) -> bool {
        let found = self.input[self.at..].get(..word.len()).is_some_and(|next| next.eq_ignore_ascii_case(word));
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`, each an astring.
    fn header_list(&mut self) -> Parsed<'a, &'a [&'a [u8]]> {
        self.expect(b'(', ErrorKind::Section)?;
        let mut fields = ArenaVec::new_in(self.arena);
        loop {
            if fields.len() == HEADER_FIELDS_MAX {
                return self.fail(ErrorKind::TooMany);
            }
            fields.push(self.astring()?);
            if self.eat(b')') {
                return Ok(fields.into_bump_slice());
            }
            self.space()?;
        }
    }

    /// `["<" number "." nz-number ">"]`
    fn partial(&mut self) -> Parsed<'a, Option<Partial>> {
        if !self.eat(b'<') {
            return Ok(None);
        }
        let at = self.at;
        let range = (|| {
            let offset = self.number().ok()?;
            let count = if self.eat(b'.') { self.number().ok()? } else { 0 };
            (count > 0 && self.eat(b'>')).then_some(Partial { offset, count })
        })();
        match range {
            Some(partial) => Ok(Some(partial)),
            None => {
                self.at = at;
                self.fail(ErrorKind::Partial)
            }
        }
    }
}
