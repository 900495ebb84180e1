//! LIST patterns: `*` matches anything, `%` anything within one level of the hierarchy.
//!
//! Invariant: a name is gone over once, whatever the pattern: all ways to match it are followed at the same time, a bit
//! each, so that no pattern makes LIST go back (attack 31). The separator is `/`. `INBOX` matches in any case
//! (RFC 3501 §5.1, §6.3.8).

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

use crate::limits::MAILBOX_NAME_BYTES_MAX;

/// The separator of mailbox names.
const SEPARATOR: u8 = b'/';

/// Octets that may stand between wildcards, and the wildcards around them: a longer pattern matches no name.
const TOKENS_MAX: usize = 2 * MAILBOX_NAME_BYTES_MAX + 1;
/// Bits of the places in a pattern, its end among them, in words.
const WORDS_MAX: usize = TOKENS_MAX / 64 + 1;

/// A LIST pattern with its reference before it.
#[derive(Clone, Copy, Debug)]
pub struct Pattern<'a> {
    /// Octets and wildcards.
    tokens: usize,
    /// Words of a set of places.
    words: usize,
    /// Which of `masks` an octet has: 0 for one that the pattern doesn't hold.
    classes: &'a [u8; 256],
    /// Sets of places: those of no octet, of `*`, of `%`, and then those of each octet of the pattern.
    masks: &'a [u64],
}

/// The sets of `masks` that are always there.
const STAR: usize = 1;
const PERCENT: usize = 2;

impl<'a> Pattern<'a> {
    /// `reference` and `pattern` as LIST gives them. A pattern that begins with the separator is not relative to it.
    pub fn new(arena: &'a Bump, reference: &str, pattern: &str) -> Pattern<'a> {
        let reference = if pattern.as_bytes().first() == Some(&SEPARATOR) { "" } else { reference };
        let classes = arena.alloc([0u8; 256]);
        let mut tokens = ArenaVec::new_in(arena);
        let (mut octets, mut kinds) = (0, PERCENT);
        for byte in reference.bytes().chain(pattern.bytes()) {
            if !matches!(byte, b'*' | b'%') {
                octets += 1;
                if octets > MAILBOX_NAME_BYTES_MAX {
                    return Pattern { tokens: 0, words: 0, classes, masks: &[] };
                }
                if classes[usize::from(byte)] == 0 {
                    kinds += 1;
                    classes[usize::from(byte)] = kinds as u8;
                }
            } else if let Some(last @ (b'*' | b'%')) = tokens.last_mut() {
                // Two wildcards side by side match what the stronger one does.
                *last = if byte == b'*' { byte } else { *last };
                continue;
            }
            tokens.push(byte);
        }
        let words = tokens.len() / 64 + 1;
        let masks = arena.alloc_slice_fill_copy((kinds + 1) * words, 0u64);
        for (place, &token) in tokens.iter().enumerate() {
            let set = match token {
                b'*' => STAR,
                b'%' => PERCENT,
                _ => usize::from(classes[usize::from(token)]),
            };
            masks[set * words + place / 64] |= 1 << (place % 64);
        }
        Pattern { tokens: tokens.len(), words, classes, masks }
    }

    /// Whether the mailbox `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        if self.words == 0 {
            return false;
        }
        let name = name.as_bytes();
        // So many octets of the name match in any case.
        let folded = match name {
            [b'I', b'N', b'B', b'O', b'X'] | [b'I', b'N', b'B', b'O', b'X', SEPARATOR, ..] => 5,
            _ => 0,
        };
        if self.words == 1 {
            return self.matches_short(name, folded);
        }
        let mut reached = [0; WORDS_MAX];
        let Some(reached) = reached.get_mut(..self.words) else { return false };
        reached[0] = 1;
        self.pass_wildcards(reached);
        for (at, &byte) in name.iter().enumerate() {
            let other = if at < folded { byte.to_ascii_lowercase() } else { byte };
            if !self.step(reached, byte, other) {
                return false;
            }
            self.pass_wildcards(reached);
        }
        reached[self.tokens / 64] >> (self.tokens % 64) & 1 == 1
    }

    /// The same where all places fit a word, as those of usual patterns do.
    fn matches_short(&self, name: &[u8], folded: usize) -> bool {
        let (star, percent) = (self.masks[STAR], self.masks[PERCENT]);
        let pass = |places: u64| places | (places & (star | percent)) << 1;
        let mut reached = pass(1);
        for (at, &byte) in name.iter().enumerate() {
            let other = if at < folded { byte.to_ascii_lowercase() } else { byte };
            let octet = self.masks[self.class(byte)] | self.masks[self.class(other)];
            let wild = if byte == SEPARATOR { star } else { star | percent };
            reached = pass((reached & octet) << 1 | reached & wild);
            if reached == 0 {
                return false;
            }
        }
        reached >> self.tokens & 1 == 1
    }

    /// Takes one octet of a name, which the pattern may also write as `other`. False: no way leads on.
    fn step(&self, reached: &mut [u64], byte: u8, other: u8) -> bool {
        let (one, two) = (self.set(self.class(byte)), self.set(self.class(other)));
        let (star, percent) = (self.set(STAR), self.set(PERCENT));
        let within = if byte == SEPARATOR { 0 } else { u64::MAX };
        let (mut carry, mut any) = (0, 0);
        for (word, places) in reached.iter_mut().enumerate() {
            let taken = *places & (one[word] | two[word]);
            *places = taken << 1 | carry | *places & (star[word] | percent[word] & within);
            carry = taken >> 63;
            any |= *places;
        }
        any != 0
    }

    /// A wildcard may match nothing. Behind one there is never another.
    fn pass_wildcards(&self, reached: &mut [u64]) {
        let (star, percent) = (self.set(STAR), self.set(PERCENT));
        let mut carry = 0;
        for (word, places) in reached.iter_mut().enumerate() {
            let before = *places & (star[word] | percent[word]);
            *places |= before << 1 | carry;
            carry = before >> 63;
        }
    }

    fn class(&self, byte: u8) -> usize {
        usize::from(self.classes[usize::from(byte)])
    }

    fn set(&self, class: usize) -> &[u64] {
        &self.masks[class * self.words..][..self.words]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(&Bump::new(), "", pattern).matches(name)
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
        for _ in 0..100_000 {
            let (pattern, name) = (text(b"ab/*%*%", 8), text(b"aab/", 9));
            let expected = slow(pattern.as_bytes(), name.as_bytes());
            assert_eq!(matches(&pattern, &name), expected, "{pattern} {name}");
            // The same across the words of a longer pattern.
            let before = "xyz".repeat(20 + hits as usize % 3);
            assert_eq!(matches(&(before.clone() + &pattern), &(before + &name)), expected, "{pattern} {name}");
            hits += u32::from(expected);
        }
        assert!(hits > 5_000, "{hits}");
    }

    /// Attack 31: what once went back for each wildcard. A tenth of a second; with the square or the cube of a length, minutes.
    #[test]
    fn many_wildcards_are_quick() {
        let begin = std::time::Instant::now();
        let name = "a".repeat(MAILBOX_NAME_BYTES_MAX);
        let literal = format!("*a%{}b", "a".repeat(300));
        for pattern in
            ["*%a".repeat(300) + "b", literal, "*a".repeat(400) + "b", "%a".repeat(32_000), "*%".repeat(32_000) + "b"]
        {
            let arena = Bump::new();
            let pattern = Pattern::new(&arena, "", &pattern);
            for _ in 0..200 {
                assert!(!pattern.matches(&name));
            }
        }
        assert!(begin.elapsed() < std::time::Duration::from_secs(10), "{:?}", begin.elapsed());
    }

    #[test]
    fn long_patterns() {
        let name = "ab/".repeat(333) + "c";
        assert!(matches(&name, &name) && matches(&format!("*{}*", name.replace("ab/", "%b*/")), &name));
        assert!(!matches(&(name.clone() + "cc"), &name) && !matches(&"a".repeat(MAILBOX_NAME_BYTES_MAX + 1), "a"));
        for places in 60..70 {
            let (pattern, name) = ("ab%".repeat(places), "abx".repeat(places));
            assert!(matches(&pattern, &name) && !matches(&pattern, &(name.clone() + "/")), "{places}");
            assert!(!matches(&pattern, &name[1..]), "{places}");
        }
    }
}
