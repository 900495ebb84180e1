//! Address lists, in the form that an IMAP ENVELOPE has them. RFC 5322 §3.4, §4.4; RFC 3501 §7.4.2.
//!
//! Every list has a reading: what fits no grammar becomes an address with an empty mailbox or host, never NIL, since a NIL
//! host means a group. Encoded words stay as they are. A reading is linear and ends at [`MIME_ADDRESSES_MAX`].

use super::lexical::Cursor;
use super::wire;
use crate::limits::MIME_ADDRESSES_MAX;

/// One member of an address list: an address, or a mark of a group's start (no host) or end (no mailbox either).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The display name, or else the comment beside the address.
    pub name: Option<Vec<u8>>,
    /// The source route of the obsolete syntax, `@a,@b`.
    pub route: Option<Vec<u8>>,
    /// The local part, unquoted; of a group's start its name.
    pub mailbox: Option<Vec<u8>>,
    /// The domain; `None` only in the marks of a group.
    pub host: Option<Vec<u8>>,
}

/// ```text
/// address-list = (address *("," address)) / obs-addr-list
/// address      = mailbox / group
/// mailbox      = name-addr / addr-spec
/// name-addr    = [display-name] angle-addr
/// group        = display-name ":" [group-list] ";" [CFWS]
/// ```
pub fn addresses(value: &[u8]) -> Vec<Address> {
    read(value, MIME_ADDRESSES_MAX)
}

/// As [`addresses`], the first `members_max` members at most.
pub(super) fn read(value: &[u8], members_max: usize) -> Vec<Address> {
    let mut reading = Reading { cursor: Cursor::new(value), words: Vec::new(), comment: None };
    let mut list = Vec::new();
    let mut in_group = false;
    // A turn adds two members at most, and the mark that closes the group follows.
    while list.len() + 2 < members_max {
        // Groups don't nest: inside one a colon is no more than a blank.
        reading.words(if in_group { b"<,;" } else { b"<,;:" });
        let stop = reading.cursor.peek();
        reading.cursor.advance();
        match stop {
            Some(b'<') => list.push(reading.angle_addr()),
            Some(b':') => {
                in_group = true;
                let name = phrase(&reading.words).unwrap_or_default();
                list.push(Address { mailbox: Some(name), ..Address::default() });
            }
            _ => {
                list.extend(reading.addr_spec());
                if in_group && stop == Some(b';') {
                    in_group = false;
                    list.push(Address::default());
                }
                if stop.is_none() {
                    break;
                }
            }
        }
        reading.words.clear();
        reading.comment = None;
    }
    if in_group {
        list.push(Address::default());
    }
    list
}

/// ```text
/// address     = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"
/// env-from    = "(" 1*address ")" / nil
/// ```
pub(super) fn write(out: &mut Vec<u8>, list: &[Address]) {
    if list.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for address in list {
        let mut before = b'(';
        for member in [&address.name, &address.route, &address.mailbox, &address.host] {
            out.push(before);
            wire::nstring(out, member.as_deref());
            before = b' ';
        }
        out.push(b')');
    }
    out.push(b')');
}

#[derive(Debug)]
enum Word<'a> {
    Atom(&'a [u8]),
    Quoted(Vec<u8>),
    /// With the blanks around it, for a display name that it stands in.
    At(&'static str),
}

struct Reading<'a> {
    cursor: Cursor<'a>,
    words: Vec<Word<'a>>,
    /// The last comment since the address began.
    comment: Option<Vec<u8>>,
}

impl<'a> Reading<'a> {
    /// Gathers words up to one of `stops` or the end, which stays; other specials are passed over.
    fn words(&mut self, stops: &[u8]) {
        let mut is_blank = false;
        while let Some(octet) = self.cursor.peek() {
            let was_blank = std::mem::replace(&mut is_blank, octet.is_ascii_whitespace());
            match octet {
                _ if stops.contains(&octet) => break,
                b'<' | b'>' | b')' | b',' | b':' | b';' => self.cursor.advance(),
                _ if octet.is_ascii_whitespace() => self.cursor.advance(),
                b'(' => self.comment = Some(self.cursor.comment()),
                b'"' => {
                    let text = self.cursor.quoted_string();
                    self.words.push(Word::Quoted(text));
                }
                b'@' => {
                    self.cursor.advance();
                    let is_blank = self.cursor.peek().is_some_and(|octet| octet.is_ascii_whitespace());
                    self.words.push(Word::At(match (was_blank, is_blank) {
                        (true, true) => " @ ",
                        (true, false) => " @",
                        (false, true) => "@ ",
                        (false, false) => "@",
                    }));
                }
                _ => {
                    let text = self.atom();
                    self.words.push(Word::Atom(text));
                }
            }
        }
    }

    /// `atom / "." / domain-literal`: the dot is taken as text, as in obs-phrase; brackets hold colons together.
    fn atom(&mut self) -> &'a [u8] {
        let ends = |octet: u8| octet.is_ascii_whitespace() || b"()<>@,\"".contains(&octet);
        let start = self.cursor.place();
        loop {
            self.cursor.until(|octet| ends(octet) || b";:[".contains(&octet));
            if self.cursor.peek() != Some(b'[') {
                return self.cursor.since(start);
            }
            self.cursor.until(|octet| ends(octet) || octet == b']');
        }
    }

    /// ```text
    /// angle-addr = [CFWS] "<" [obs-route] addr-spec ">" [CFWS]
    /// obs-route  = obs-domain-list ":"
    /// ```
    /// Stands after the "<", the display name in `words`; ends after the next comma, before a semicolon or the end.
    fn angle_addr(&mut self) -> Address {
        let name = phrase(&self.words);
        self.words.clear();
        let mut route = None;
        self.cursor.skip_cfws();
        if self.cursor.peek() == Some(b'@') {
            let domains = self.cursor.until(|octet| matches!(octet, b':' | b'>'));
            if self.cursor.eat(b':') {
                route = Some(domains.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect());
            } else {
                self.words.push(Word::At("@"));
                self.words.push(Word::Atom(&domains[1..]));
            }
        }
        // A comma: the bracket was never closed.
        self.words(b">,");
        let (mailbox, host) = match self.words.iter().rposition(|word| matches!(word, Word::At(_))) {
            Some(at) => (joined(&self.words[..at]), joined(&self.words[at + 1..])),
            None => (joined(&self.words), Vec::new()),
        };
        self.words(b",;");
        self.cursor.eat(b',');
        Address { name: name.or_else(|| self.comment.take()), route, mailbox: Some(mailbox), host: Some(host) }
    }

    /// `addr-spec = local-part "@" domain`, bare; also what stands before it without brackets, as its name.
    fn addr_spec(&mut self) -> Option<Address> {
        let words = &self.words;
        let comment = self.comment.take();
        let (name, mailbox, host) = match words.iter().rposition(|word| matches!(word, Word::At(_))) {
            None if words.is_empty() => return None,
            // No address at all: one word is a local user's name, more are a name without an address.
            None if words.len() == 1 => (comment, joined(words), Vec::new()),
            None => (phrase(words), Vec::new(), Vec::new()),
            Some(at) => {
                let mut start = at.saturating_sub(1);
                while start > 0 && dotted(&words[start - 1], &words[start]) {
                    start -= 1;
                }
                let mut end = (at + 2).min(words.len());
                while end < words.len() && dotted(&words[end - 1], &words[end]) {
                    end += 1;
                }
                (phrase(&words[..start]).or(comment), joined(&words[start..at]), joined(&words[at + 1..end]))
            }
        };
        Some(Address { name, route: None, mailbox: Some(mailbox), host: Some(host) })
    }
}

/// Whether two words are one local part or domain: `obs-local-part = word *("." word)`.
fn dotted(left: &Word<'_>, right: &Word<'_>) -> bool {
    match (left, right) {
        (Word::At(_), _) | (_, Word::At(_)) => false,
        (Word::Atom(left), _) if left.ends_with(b".") => true,
        (_, Word::Atom(right)) => right.starts_with(b"."),
        _ => false,
    }
}

fn text<'w>(word: &'w Word<'_>) -> &'w [u8] {
    match word {
        Word::Atom(text) => text,
        Word::Quoted(text) => text,
        Word::At(_) => b"@",
    }
}

fn joined(words: &[Word<'_>]) -> Vec<u8> {
    words.iter().map(text).collect::<Vec<_>>().concat()
}

/// `phrase = 1*word / obs-phrase`, a space between the words; an "@", which is none, stays as it is written.
fn phrase(words: &[Word<'_>]) -> Option<Vec<u8>> {
    let mut phrase = Vec::new();
    let mut after_word = false;
    for word in words {
        if let Word::At(blanks) = word {
            phrase.extend_from_slice(blanks.as_bytes());
        } else {
            phrase.extend_from_slice(if after_word { b" " } else { b"" });
            phrase.extend_from_slice(text(word));
        }
        after_word = !matches!(word, Word::At(_));
    }
    (!words.is_empty()).then_some(phrase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(value: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, &addresses(value.as_bytes()));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rfc_5322_appendix_a() {
        let known = [
            ("John Doe <jdoe@machine.example>", r#"(("John Doe" NIL "jdoe" "machine.example"))"#),
            (
                r#""Joe Q. Public" <john.q.public@example.com>"#,
                r#"(("Joe Q. Public" NIL "john.q.public" "example.com"))"#,
            ),
            (
                "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
                r#"(("Mary Smith" NIL "mary" "x.test")(NIL NIL "jdoe" "example.org")("Who?" NIL "one" "y.test"))"#,
            ),
            (
                r#"<boss@nil.test>, "Giant; \"Big\" Box" <sysservices@example.net>"#,
                r#"((NIL NIL "boss" "nil.test")("Giant; \"Big\" Box" NIL "sysservices" "example.net"))"#,
            ),
            (
                "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
                concat!(
                    r#"((NIL NIL "A Group" NIL)("Ed Jones" NIL "c" "a.test")"#,
                    r#"(NIL NIL "joe" "where.test")("John" NIL "jdoe" "one.test")(NIL NIL NIL NIL))"#
                ),
            ),
            ("Undisclosed recipients:;", r#"((NIL NIL "Undisclosed recipients" NIL)(NIL NIL NIL NIL))"#),
            ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", r#"(("Pete" NIL "pete" "silly.test"))"#),
            (
                "A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
                concat!(
                    r#"((NIL NIL "A Group" NIL)("Chris Jones" NIL "c" "public.example")"#,
                    r#"(NIL NIL "joe" "example.org")("John" NIL "jdoe" "one.test")(NIL NIL NIL NIL))"#
                ),
            ),
            (
                "(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;",
                r#"((NIL NIL "Hidden recipients" NIL)(NIL NIL NIL NIL))"#,
            ),
            ("Joe Q. Public <john.q.public@example.com>", r#"(("Joe Q. Public" NIL "john.q.public" "example.com"))"#),
            (
                "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
                r#"(("Mary Smith" "@node.test" "mary" "example.net")(NIL NIL "jdoe" "test.example"))"#,
            ),
            ("John Doe <jdoe@machine(comment).  example>", r#"(("John Doe" NIL "jdoe" "machine.example"))"#),
        ];
        for (value, expected) in known {
            assert_eq!(wire(value), expected, "{value}");
        }
    }

    #[test]
    fn names_beside_bare_addresses() {
        assert_eq!(wire("joe@x.test (Joe (the) Doe)"), r#"(("Joe (the) Doe" NIL "joe" "x.test"))"#);
        assert_eq!(wire("<joe@x.test> (Joe)"), r#"(("Joe" NIL "joe" "x.test"))"#);
        assert_eq!(wire("Joe Doe joe . d@x.test rest, b@c"), r#"(("Joe Doe" NIL "joe.d" "x.test")(NIL NIL "b" "c"))"#);
        assert_eq!(
            wire("=?utf-8?Q?J=C3=B6e?= =?x?B?YQ==?= <j@x>"),
            r#"(("=?utf-8?Q?J=C3=B6e?= =?x?B?YQ==?=" NIL "j" "x"))"#
        );
        assert_eq!(wire("\"joe doe\"@[IPv6:2001:db8::1]"), r#"((NIL NIL "joe doe" "[IPv6:2001:db8::1]"))"#);
        assert_eq!(wire("\"\" <a@b>"), r#"(("" NIL "a" "b"))"#);
        assert_eq!(wire("a@b <a@b>, a @ b <a@b>"), r#"(("a@b" NIL "a" "b")("a @ b" NIL "a" "b"))"#);
        assert_eq!(wire("[List: x] you <a@b>"), r#"(("[List: x] you" NIL "a" "b"))"#);
    }

    #[test]
    fn what_is_no_address_still_has_a_host() {
        assert_eq!(wire("root"), r#"((NIL NIL "root" ""))"#);
        assert_eq!(wire("John Doe"), r#"(("John Doe" NIL "" ""))"#);
        assert_eq!(wire("<>"), r#"((NIL NIL "" ""))"#);
        assert_eq!(wire("<@x>"), r#"((NIL NIL "" "x"))"#);
        assert_eq!(wire("a@b; c@d;;"), r#"((NIL NIL "a" "b")(NIL NIL "c" "d"))"#);
        assert_eq!(wire("X <a@b, c@d"), r#"(("X" NIL "a" "b")(NIL NIL "c" "d"))"#);
        assert_eq!(wire("g: a@b"), r#"((NIL NIL "g" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL))"#);
        assert_eq!(wire(" ,(only) ,\t"), "NIL");
        // Every octet is either passed over or part of a word.
        for octet in 0..=u8::MAX {
            addresses(&[octet, b'a', octet, b'@', octet]);
            addresses(&[b'<', octet, octet, b'>', octet]);
        }
    }

    #[test]
    fn a_list_has_an_end() {
        let many = "g:".to_owned() + &"a@b,".repeat(100_000) + ";";
        let list = addresses(many.as_bytes());
        assert_eq!(list.len(), MIME_ADDRESSES_MAX - 1);
        assert_eq!(list.last(), Some(&Address::default()));
    }
}
