//! LIST patterns: `*` matches anything, `%` anything within one level of the hierarchy.
//!
//! Invariant: the time is at most the product of both lengths, since what a wildcard took is only ever given up for the
//! last `%` of a level and the last `*` of all. The separator is `/`. `INBOX` matches in any case (RFC 3501 §5.1,
//! §6.3.8).

use bumpalo::Bump;
use bumpalo::collections::String as ArenaString;

/// The separator of mailbox names.
pub const SEPARATOR: u8 = b'/';

/// A LIST pattern with its reference before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern<'a>(&'a str);

impl<'a> Pattern<'a> {
    /// `reference` and `pattern` as LIST gives them. A pattern that begins with the separator is not relative to it.
    pub fn new(arena: &'a Bump, reference: &'a str, pattern: &'a str) -> Pattern<'a> {
        if reference.is_empty() || pattern.as_bytes().first() == Some(&SEPARATOR) {
            return Pattern(pattern);
        }
        let mut both = ArenaString::with_capacity_in(reference.len() + pattern.len(), arena);
        both.push_str(reference);
        both.push_str(pattern);
        Pattern(both.into_bump_str())
    }

    /// Whether the mailbox `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        // So many octets of the name match in any case.
        let folded = match name {
            [b'I', b'N', b'B', b'O', b'X'] | [b'I', b'N', b'B', b'O', b'X', SEPARATOR, ..] => 5,
            _ => 0,
        };
        let (mut p, mut n) = (0, 0);
        // Where to go on after a mismatch: behind the wildcard, with one more octet of the name given to it.
        let mut level: Option<(usize, usize)> = None;
        let mut all: Option<(usize, usize)> = None;
        loop {
            match pattern.get(p) {
                Some(b'*') => {
                    p += 1;
                    (all, level) = (Some((p, n)), None);
                    if p == pattern.len() {
                        return true;
                    }
                    continue;
                }
                Some(b'%') => {
                    p += 1;
                    level = Some((p, n));
                    continue;
                }
                None if n == name.len() => return true,
                Some(&byte) if n < name.len() && same(byte, name[n], n < folded) => {
                    (p, n) = (p + 1, n + 1);
                    continue;
                }
                _ => {}
            }
            (p, n) = match (level, all) {
                (Some((behind, from)), _) if from < name.len() && name[from] != SEPARATOR => {
                    level = Some((behind, from + 1));
                    (behind, from + 1)
                }
                (_, Some((behind, from))) if from < name.len() => {
                    (all, level) = (Some((behind, from + 1)), None);
                    (behind, from + 1)
                }
                _ => return false,
            };
        }
    }
}

fn same(pattern: u8, name: u8, folded: bool) -> bool {
    pattern == name || folded && pattern.eq_ignore_ascii_case(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern(pattern).matches(name)
    }

    #[test]
    fn known_patterns() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("%", "", true),
            ("", "", true),
            ("", "a", false),
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("%/%", "a/b", true),
            ("%/b", "a/b", true),
            ("a*c", "a/b/c", true),
            ("a%c", "a/b/c", false),
            ("a%c", "abbc", true),
            ("inbox", "INBOX", true),
            ("InBo%", "INBOX", true),
            ("inbox/x", "INBOX/x", true),
            ("inbox/X", "INBOX/x", false),
            ("inbox", "Inbox", false),
            ("entwürfe", "Entwürfe", false),
            ("Entw*fe", "Entwürfe", true),
            ("*b%d", "a/b/bcd", true),
            ("*%", "a/b", true),
            ("%*", "a/b", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn references() {
        let arena = Bump::new();
        assert!(Pattern::new(&arena, "", "%").matches("a"));
        assert!(Pattern::new(&arena, "a/", "%").matches("a/b"));
        assert!(!Pattern::new(&arena, "a/", "%").matches("b"));
        assert!(Pattern::new(&arena, "a/", "/b").matches("/b"));
    }

    fn slow(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => slow(rest, name) || !name.is_empty() && slow(pattern, &name[1..]),
            ([b'%', rest @ ..], _) => {
                slow(rest, name) || !name.is_empty() && name[0] != b'/' && slow(pattern, &name[1..])
            }
            ([first, rest @ ..], [other, name @ ..]) => first == other && slow(rest, name),
            _ => false,
        }
    }

    #[test]
    fn agrees_with_the_definition() {
        let mut seed = 0x1234_5678_9ABC_DEF1u64;
        let mut text = |letters: &[u8], max: u64| {
            let mut text = String::new();
            loop {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                if text.len() as u64 == max || (seed >> 20).is_multiple_of(8) {
                    return text;
                }
                text.push(letters[(seed >> 33) as usize % letters.len()] as char);
            }
        };
        let mut hits = 0;
        for _ in 0..200_000 {
            let (pattern, name) = (text(b"ab/*%*%", 8), text(b"aab/", 9));
            let expected = slow(pattern.as_bytes(), name.as_bytes());
            assert_eq!(matches(&pattern, &name), expected, "{pattern} {name}");
            hits += u32::from(expected);
        }
        assert!(hits > 10_000, "{hits}");
    }

    /// Attack 31: as many steps as both lengths multiplied, not 2^n. This would not end in a lifetime otherwise.
    #[test]
    fn many_wildcards_are_quick() {
        let (pattern, name) = ("*%a".repeat(300) + "b", "a".repeat(1_000));
        for _ in 0..20 {
            assert!(!matches(&pattern, &name));
        }
    }
}
