//! Paths of SMTP: `<local-part@domain>`, the null reverse-path and the domainless postmaster.
//!
//! Invariant: what is taken is UTF-8 without control characters, so that it may be written into a header or a log as it
//! is; whether it may be more than ASCII is asked elsewhere ([`Mailbox::is_ascii`]). Source routes are passed over, empty
//! quoted local parts refused; that a U-label is a valid one is not looked at, for it only has to match a domain of ours.
//! RFC 5321 §4.1.2, §4.1.3, RFC 6531 §3.3.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::from_utf8;

use memchr::memchr;

use super::punycode;
use crate::limits::SMTP_PATH_BYTES_MAX;

/// An address as the client wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mailbox<'a> {
    /// The local part; where it was quoted, with its quotes and escapes.
    pub local: &'a str,
    /// The domain, or an address literal with its brackets; empty for `<postmaster>` alone.
    pub domain: &'a str,
}

impl<'a> Mailbox<'a> {
    /// The octets of the local part, quotes and escapes undone: `"a\b"` and `ab` are the same.
    pub fn local_octets(&self) -> impl Iterator<Item = u8> + use<'a> {
        let inner = self.local.strip_prefix('"').and_then(|inner| inner.strip_suffix('"'));
        let mut octets = inner.unwrap_or(self.local).bytes();
        std::iter::from_fn(move || match octets.next() {
            Some(b'\\') => octets.next(),
            octet => octet,
        })
    }

    /// Whether it needs no SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.is_ascii()
    }

    /// The domain in ASCII, its U-labels as A-labels (RFC 5890 §2.3.2.1).
    pub fn ascii_domain(&self) -> String {
        let labels: Vec<String> = self.domain.split('.').map(punycode::a_label).collect();
        labels.join(".")
    }

    /// Writes `local@domain` as the client wrote it.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.local.as_bytes());
        if !self.domain.is_empty() {
            out.push(b'@');
            out.extend_from_slice(self.domain.as_bytes());
        }
    }
}

/// `Path = "<" [ A-d-l ":" ] Mailbox ">"` at the beginning of `text`: what is within the brackets, and what is behind
/// them. A `>` in a quoted local part is none.
pub(super) fn brackets(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let [b'<', rest @ ..] = text else { return None };
    let mut at = 0;
    let mut quoted = false;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some((&rest[..at], &rest[at + 1..])),
            _ => {}
        }
        at += 1;
    }
    None
}

/// `[ A-d-l ":" ] Mailbox`, or `Postmaster` in any case, without brackets.
/// `Mailbox = Local-part "@" ( Domain / address-literal )`
pub(super) fn mailbox(text: &[u8]) -> Option<Mailbox<'_>> {
    if text.len() > SMTP_PATH_BYTES_MAX - 2 {
        return None;
    }
    let text = behind_route(from_utf8(text).ok()?)?;
    if text.eq_ignore_ascii_case("postmaster") {
        return Some(Mailbox { local: text, domain: "" });
    }
    let at = local_part(text.as_bytes()).filter(|_| is_text(text))?;
    let (local, rest) = text.split_at(at);
    let domain = rest.strip_prefix('@')?;
    (is_utf8_domain(domain) || is_address_literal(domain)).then_some(Mailbox { local, domain })
}

/// What stands behind `A-d-l ":"`, where there is one: RFC 5321 §4.1.1.3 has servers recognise a source route and pass it
/// over. `A-d-l = At-domain *( "," At-domain )`, `At-domain = "@" Domain`
fn behind_route(text: &str) -> Option<&str> {
    if !text.starts_with('@') {
        return Some(text);
    }
    let (route, mailbox) = text.split_once(':')?;
    let is_at_domain = |text: &str| text.strip_prefix('@').is_some_and(|domain| is_domain(domain.as_bytes()));
    route.split(',').all(is_at_domain).then_some(mailbox)
}

/// Whether what goes beyond ASCII is neither control nor space: RFC 6531 §3.3 adds all of `UTF8-non-ascii`, whose C1
/// controls and line separators are no help to anybody.
pub(super) fn is_text(text: &str) -> bool {
    text.chars().all(|character| character.is_ascii() || !(character.is_control() || character.is_whitespace()))
}

/// `sub-domain =/ U-label`: labels of ASCII as ever, others of at most 63 octets too.
fn is_utf8_domain(text: &str) -> bool {
    text.len() <= 255
        && text.split('.').all(|label| {
            let odd = |character: char| character.is_ascii() && !character.is_ascii_alphanumeric() && character != '-';
            is_domain(label.as_bytes())
                || !label.is_ascii()
                    && label.len() <= 63
                    && is_text(label)
                    && !label.contains(odd)
                    && !label.starts_with('-')
                    && !label.ends_with('-')
        })
}

/// `Local-part = Dot-string / Quoted-string`: its length. Within it stand all that [`is_text`] lets pass.
fn local_part(text: &[u8]) -> Option<usize> {
    if text.first() == Some(&b'"') {
        return quoted_string(text);
    }
    let length = memchr(b'@', text)?;
    text[..length].split(|&byte| byte == b'.').all(is_atom).then_some(length)
}

/// `Quoted-string = DQUOTE *(%d32-33 / %d35-91 / %d93-126 / UTF8-non-ascii / "\" %d32-126) DQUOTE`, here not empty.
fn quoted_string(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += match *text.get(at)? {
            b'"' if at > 1 => return Some(at + 1),
            b'"' => return None,
            b'\\' if matches!(text.get(at + 1)?, 32..=126) => 2,
            b'\\' => return None,
            32..=126 | 128.. => 1,
            _ => return None,
        };
    }
}

/// `Atom = 1*atext` (RFC 5322 §3.2.3), `atext =/ UTF8-non-ascii`
fn is_atom(text: &[u8]) -> bool {
    let of_atom = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"!#$%&'*+-/=?^_`{|}~".contains(byte);
    !text.is_empty() && text.iter().all(of_atom)
}

/// `Domain = sub-domain *("." sub-domain)`, `sub-domain = Let-dig [Ldh-str]`; an underscore is taken, for hosts have
/// it.
pub(super) fn is_domain(text: &[u8]) -> bool {
    text.len() <= 255
        && text.split(|&byte| byte == b'.').all(|label| {
            let ends = |end: Option<&u8>| end.is_some_and(|&byte| byte != b'-');
            label.len() <= 63
                && ends(label.first())
                && ends(label.last())
                && label.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

/// `address-literal = "[" ( IPv4-address-literal / "IPv6:" IPv6-addr ) "]"`
pub(super) fn is_address_literal(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) else { return false };
    match inner.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case("IPv6:") => inner[5..].parse::<Ipv6Addr>().is_ok(),
        _ => inner.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken() {
        for (text, local, domain) in [
            ("Smith@bar.com", "Smith", "bar.com"),
            ("a@localhost", "a", "localhost"),
            ("first.last+tag@x-y.example", "first.last+tag", "x-y.example"),
            ("\"a b\"@x", "\"a b\"", "x"),
            ("\"a@b\\\"c\"@x", "\"a@b\\\"c\"", "x"),
            ("a@[127.0.0.1]", "a", "[127.0.0.1]"),
            ("a@[IPv6:::1]", "a", "[IPv6:::1]"),
            ("postMaster", "postMaster", ""),
            ("o'neil/x=y@h_1.example", "o'neil/x=y", "h_1.example"),
        ] {
            let found = mailbox(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(found, Mailbox { local, domain });
            let mut out = Vec::new();
            found.write(&mut out);
            assert_eq!(out, text.as_bytes());
        }
        let octets = |text: &str| mailbox(text.as_bytes()).map(|mailbox| mailbox.local_octets().collect::<Vec<_>>());
        assert_eq!(octets("\"a\\b\\\\c\"@x"), Some(b"ab\\c".to_vec()));
        assert_eq!(octets("ab@x"), Some(b"ab".to_vec()));
    }

    /// Attack 11.
    #[test]
    fn refused() {
        let long = "a".repeat(SMTP_PATH_BYTES_MAX);
        let (long_local, long_domain) = (format!("{long}@x"), format!("x@{long}"));
        for text in [
            "",
            "a",
            "@",
            "a@",
            "@x",
            "\"\"@x",
            "\"a\\",
            "\"a\"",
            "\"a@x",
            "\"a\"b@x",
            "a..b@x",
            ".a@x",
            "a.@x",
            "a@x..y",
            "a@.x",
            "a@x.",
            "a@-x",
            "a@x-",
            "a b@x",
            "a@b@c",
            "@:a@x",
            "@r,:a@x",
            "@r,s:a@x",
            "@r a@x",
            "@r:@s:a@x",
            "@[127.0.0.1]:a@x",
            "@r:",
            "a@[1.2.3]",
            "a@[::1]",
            "a@[IPv6:1]",
            "a@[x]",
            "a@[1.2.3.4",
            "ü\u{85}@x",
            "a\u{2028}@x",
            "a@ü\u{a0}",
            "a@-ü",
            "a@ü-",
            "a@ü_",
            "a@ü..x",
            "\"\\ü\"@x",
            "a\t@x",
            "a(c)@x",
            "a@x\r",
            "\"a\r\"@x",
            "\"\\\n\"@x",
            "a,b@x",
            "a;b@x",
            "<a@x",
            "a@x>",
            &long,
            &long_local,
            &long_domain,
        ] {
            assert_eq!(mailbox(text.as_bytes()), None, "{text}");
        }
        assert_eq!(mailbox(b"a\xc3@x"), None);
        assert_eq!(mailbox(b"a\0@x"), None);
    }

    #[test]
    fn source_routes() {
        let userc = Some(Mailbox { local: "userc", domain: "d.bar.org" });
        for text in ["userc@d.bar.org", "@jkl.org:userc@d.bar.org", "@hosta.int,@jkl.org:userc@d.bar.org"] {
            assert_eq!(mailbox(text.as_bytes()), userc, "{text}");
        }
    }

    #[test]
    fn bracketed() {
        assert_eq!(brackets(b"<a@b> SIZE=1"), Some((&b"a@b"[..], &b" SIZE=1"[..])));
        assert_eq!(brackets(b"<\"a>\\\"\"@b>"), Some((&b"\"a>\\\"\"@b"[..], &b""[..])));
        assert_eq!(brackets(b"<>"), Some((&b""[..], &b""[..])));
        for text in [&b""[..], b"a@b", b"<", b"<a@b", b"<\"a>", b"<\"a\\"] {
            assert_eq!(brackets(text), None);
        }
    }
}
