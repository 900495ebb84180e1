//! The terminals of the IMAP grammar over one whole response. RFC 9051 §9.
//!
//! A cursor that either takes what the grammar names or says what it expected and where. It borrows the response; nothing is
//! copied. It does not know responses: parse and fetch do.

use crate::limits::NESTING_MAX;

/// What the grammar asked for, and where in the response it was missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Offset in the response.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
}

/// The result of taking something.
pub type Taken<T> = Result<T, Malformed>;

/// A string as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text<'a> {
    /// Between the quotes, escapes untouched.
    Quoted(&'a [u8]),
    /// A literal's octets, or an atom.
    Plain(&'a [u8]),
}

impl<'a> Text<'a> {
    /// The octets; of a quoted string with escapes they are still escaped.
    pub fn octets(self) -> &'a [u8] {
        match self {
            Text::Quoted(octets) | Text::Plain(octets) => octets,
        }
    }

    /// Whether it means `word`, in any letter case. Words have nothing to escape.
    pub fn is(self, word: &[u8]) -> bool {
        self.octets().eq_ignore_ascii_case(word)
    }
}

/// A place in a response.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0, depth: 0 }
    }

    /// An error at this place.
    pub fn malformed<T>(&self, expected: &'static str) -> Taken<T> {
        Err(Malformed { at: self.at, expected })
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next octet.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next octet, taken if it is `octet`.
    pub fn took(&mut self, octet: u8) -> bool {
        let is = self.peek() == Some(octet);
        self.at += usize::from(is);
        is
    }

    /// Takes `octet`, called `expected`.
    pub fn take(&mut self, octet: u8, expected: &'static str) -> Taken<()> {
        if self.took(octet) { Ok(()) } else { self.malformed(expected) }
    }

    /// SP.
    pub fn space(&mut self) -> Taken<()> {
        self.take(b' ', "a space")
    }

    /// The end of the response.
    pub fn end(&mut self) -> Taken<()> {
        if self.rest() == b"\r\n" { Ok(()) } else { self.malformed("the end of the line") }
    }

    /// Takes `count` octets.
    pub fn octets(&mut self, count: usize) -> Taken<&'a [u8]> {
        match self.rest().get(..count) {
            Some(octets) => {
                self.at += count;
                Ok(octets)
            }
            None => self.malformed("more octets"),
        }
    }

    /// Takes one or more octets of the class.
    pub fn run(&mut self, expected: &'static str, class: impl Fn(u8) -> bool) -> Taken<&'a [u8]> {
        let rest = self.rest();
        let count = rest.iter().position(|octet| !class(*octet)).unwrap_or(rest.len());
        if count == 0 { self.malformed(expected) } else { self.octets(count) }
    }

    /// Takes `word` in any letter case where it comes next as a whole word.
    pub fn took_word(&mut self, word: &[u8]) -> bool {
        let rest = self.rest();
        let is = rest.len() >= word.len()
            && rest[..word.len()].eq_ignore_ascii_case(word)
            && !rest.get(word.len()).is_some_and(|octet| is_atom_char(*octet));
        self.at += if is { word.len() } else { 0 };
        is
    }

    /// `atom = 1*ATOM-CHAR`
    pub fn atom(&mut self) -> Taken<&'a [u8]> {
        self.run("an atom", is_atom_char)
    }

    /// `number = 1*DIGIT`, here as far as 63 bits; no number has a sign.
    pub fn number64(&mut self) -> Taken<u64> {
        let digits = self.run("a number", |octet| octet.is_ascii_digit())?;
        if digits.len() > 19 {
            return self.malformed("a number below 2^63");
        }
        let number =
            digits.iter().fold(0u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
        if number >> 63 == 0 { Ok(number) } else { self.malformed("a number below 2^63") }
    }

    /// `number`, 32 bits.
    pub fn number(&mut self) -> Taken<u32> {
        let number = self.number64()?;
        u32::try_from(number).or_else(|_| self.malformed("a number below 2^32"))
    }

    /// `nz-number`
    pub fn nz_number(&mut self) -> Taken<u32> {
        let number = self.number()?;
        if number == 0 { self.malformed("a number above zero") } else { Ok(number) }
    }

    /// Takes a string.
    /// ```text
    /// string = quoted / literal
    /// quoted = DQUOTE *QUOTED-CHAR DQUOTE      ; no CR, LF, NUL; UTF-8 allowed (RFC 9051 §4.3)
    /// ```
    pub fn string(&mut self) -> Taken<Text<'a>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Text::Plain),
            Some(b'~') => self.literal8().map(Text::Plain),
            _ => self.malformed("a string"),
        }
    }

    fn quoted(&mut self) -> Taken<Text<'a>> {
        self.at += 1;
        let from = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text::Quoted(&self.bytes[from..self.at - 1]));
                }
                Some(b'\\') => {
                    self.at += 1;
                    if !matches!(self.peek(), Some(b'"' | b'\\')) {
                        return self.malformed("a quote or backslash after a backslash");
                    }
                    self.at += 1;
                }
                None | Some(b'\r' | b'\n' | 0) => return self.malformed("a closing quote"),
                Some(_) => self.at += 1,
            }
        }
    }

    fn literal(&mut self) -> Taken<&'a [u8]> {
        self.take(b'{', "a literal")?;
        let count = self.number64()?;
        self.take(b'}', "the literal's closing brace")?;
        self.take(b'\r', "CRLF after the literal's length")?;
        self.take(b'\n', "CRLF after the literal's length")?;
        let octets = self.octets(usize::try_from(count).unwrap_or(usize::MAX))?;
        Ok(octets)
    }

    /// `literal8 = "~{" number64 "}" CRLF *OCTET`
    fn literal8(&mut self) -> Taken<&'a [u8]> {
        self.take(b'~', "a literal8")?;
        self.literal()
    }

    /// `nstring = string / nil`
    pub fn nstring(&mut self) -> Taken<Option<Text<'a>>> {
        if self.took_word(b"NIL") { Ok(None) } else { self.string().map(Some) }
    }

    /// `astring = 1*ASTRING-CHAR / string`
    pub fn astring(&mut self) -> Taken<Text<'a>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => self.run("an astring", |octet| is_atom_char(octet) || octet == b']').map(Text::Plain),
        }
    }

    /// `"(" [item *(SP item)] ")"`
    pub fn list(&mut self, mut item: impl FnMut(&mut Cursor<'a>) -> Taken<()>) -> Taken<()> {
        self.nested(|cursor| {
            cursor.take(b'(', "an opening parenthesis")?;
            if cursor.took(b')') {
                return Ok(());
            }
            loop {
                item(cursor)?;
                if cursor.took(b')') {
                    return Ok(());
                }
                cursor.space()?;
            }
        })
    }

    /// Runs `inner` a level deeper: what calls itself is bounded by this.
    pub fn nested<T>(&mut self, inner: impl FnOnce(&mut Cursor<'a>) -> Taken<T>) -> Taken<T> {
        if self.depth == NESTING_MAX {
            return self.malformed("less nesting");
        }
        self.depth += 1;
        let taken = inner(self);
        self.depth -= 1;
        taken
    }

    /// `flag = "\" atom / atom`; `\*` in PERMANENTFLAGS.
    pub fn flag(&mut self) -> Taken<&'a [u8]> {
        let from = self.at;
        if self.took(b'\\') && self.took(b'*') {
            return Ok(&self.bytes[from..self.at]);
        }
        self.atom()?;
        Ok(&self.bytes[from..self.at])
    }

    /// Any value of an extension: `tagged-ext-val` and then some: atoms, numbers, strings, sequence sets and lists of them.
    pub fn any_value(&mut self) -> Taken<()> {
        match self.peek() {
            Some(b'(') => self.list(Cursor::any_value),
            Some(b'"' | b'{' | b'~') => self.string().map(drop),
            _ => self
                .run("a value", |octet| is_atom_char(octet) || matches!(octet, b'\\' | b'*' | b']' | b'%'))
                .map(drop),
        }
    }
}

/// ```text
/// ATOM-CHAR = any CHAR except "(" / ")" / "{" / SP / CTL / "%" / "*" / DQUOTE / "\" / "]"
/// ```
pub fn is_atom_char(octet: u8) -> bool {
    octet > b' ' && octet < 0x7f && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        let take = |text: &'static str| Cursor::new(text.as_bytes()).nstring();
        assert_eq!(take("NIL "), Ok(None));
        assert_eq!(take("\"a\\\"b\""), Ok(Some(Text::Quoted(b"a\\\"b"))));
        assert_eq!(take("{3}\r\na\r\n)"), Ok(Some(Text::Plain(b"a\r\n"))));
        assert_eq!(take("~{1}\r\n\0"), Ok(Some(Text::Plain(b"\0"))));
        for wrong in ["NILX", "\"a", "\"a\r\n\"", "\"a\\b\"", "{3}\r\nab", "{3+}\r\nabc", "{3}abc", "atom", ""] {
            assert!(take(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers() {
        let take = |text: &'static str| Cursor::new(text.as_bytes()).number();
        assert_eq!(take("4294967295"), Ok(u32::MAX));
        for wrong in ["4294967296", "-1", "", "x", "99999999999999999999999"] {
            assert!(take(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Cursor::new(b"9223372036854775807").number64(), Ok(i64::MAX as u64));
        assert!(Cursor::new(b"9223372036854775808").number64().is_err());
        assert!(Cursor::new(b"0").nz_number().is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |depth: usize| [vec![b'('; depth], vec![b')'; depth]].concat();
        assert!(Cursor::new(&deep(NESTING_MAX)).any_value().is_ok());
        assert!(Cursor::new(&deep(NESTING_MAX + 1)).any_value().is_err());
        assert!(Cursor::new(&deep(1_000_000)).any_value().is_err());
    }
}
