//! One line of a script: text, and what stands between `<` and `>`.
//!
//! `<any>`, `<word>` and `<number>` match, `<name=number>` matches and is remembered, `<name>` is what was remembered.
//! Anything else between the two is text, so that `<Smith@bar.example>` and `BODY[]<0.5>` need no escape: a placeholder is
//! made of lower-case letters, digits and `-` and begins with a letter.

use std::collections::HashMap;

/// What scripts remember: the account they run with, and what they captured.
pub type Names = HashMap<String, String>;

/// What a placeholder matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Anything, nothing included.
    Any,
    /// At least one octet, none of them a space, a parenthesis or a bracket.
    Word,
    /// Digits.
    Number,
}

impl Kind {
    fn named(name: &str) -> Option<Kind> {
        match name {
            "any" => Some(Kind::Any),
            "word" => Some(Kind::Word),
            "number" => Some(Kind::Number),
            _ => None,
        }
    }

    fn takes(self, octet: u8) -> bool {
        match self {
            Kind::Any => true,
            Kind::Word => !b" ()[]".contains(&octet),
            Kind::Number => octet.is_ascii_digit(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Matches(Kind),
    Captures(String, Kind),
    Known(String),
}

/// A line with its placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
}

impl Pattern {
    /// Reads what stands behind `C: ` or `S: `.
    pub fn read(text: &str) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let Some((inside, after)) = placeholder(rest) else {
                plain.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(match inside.split_once('=') {
                Some((name, kind)) => {
                    let kind = Kind::named(kind).ok_or_else(|| format!("<{inside}>: {kind} is no kind"))?;
                    Piece::Captures(name.to_owned(), kind)
                }
                None => Kind::named(inside).map_or_else(|| Piece::Known(inside.to_owned()), Piece::Matches),
            });
            rest = after;
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Pattern { pieces })
    }

    /// The names that this line refers to.
    pub fn refers_to(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Known(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The names that this line makes known.
    pub fn makes_known(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Captures(name, _) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether it can be sent: it says exactly one thing.
    pub fn is_exact(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_) | Piece::Known(_)))
    }

    /// The text with names filled in; what matches stays as it is written.
    pub fn text(&self, names: &Names) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(plain) => text += plain,
                Piece::Matches(kind) => text += &format!("<{kind:?}>").to_lowercase(),
                Piece::Captures(name, kind) => text += &format!("<{name}={}>", format!("{kind:?}").to_lowercase()),
                Piece::Known(name) => text += names.get(name).map_or("", String::as_str),
            }
        }
        text
    }

    /// Whether `line` is what this says; then with what it captured.
    pub fn matches(&self, line: &[u8], names: &Names) -> Option<Vec<(String, String)>> {
        let mut captured = Vec::new();
        matches(&self.pieces, line, names, &mut captured).then_some(captured)
    }
}

/// What stands between `<` and `>` where `text` begins with a placeholder, and what follows it.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let (inside, after) = text.strip_prefix('<')?.split_once('>')?;
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-')
    };
    let (name, kind) = inside.split_once('=').unwrap_or((inside, "any"));
    (is_name(name) && is_name(kind)).then_some((inside, after))
}

fn matches(pieces: &[Piece], line: &[u8], names: &Names, captured: &mut Vec<(String, String)>) -> bool {
    let Some((piece, others)) = pieces.split_first() else { return line.is_empty() };
    let (kind, name) = match piece {
        Piece::Text(text) => return after(text, others, line, names, captured),
        Piece::Known(known) => {
            let here = captured.iter().find(|(name, _)| name == known).map(|(_, value)| value.clone());
            let Some(text) = here.or_else(|| names.get(known).cloned()) else { return false };
            return after(&text, others, line, names, captured);
        }
        Piece::Matches(kind) => (*kind, None),
        Piece::Captures(name, kind) => (*kind, Some(name)),
    };
    let longest = line.iter().take_while(|&&octet| kind.takes(octet)).count();
    let shortest = usize::from(kind != Kind::Any);
    (shortest..=longest).rev().any(|length| {
        let before = captured.len();
        if let Some(name) = name {
            captured.push((name.clone(), String::from_utf8_lossy(&line[..length]).into_owned()));
        }
        let rest = matches(others, &line[length..], names, captured);
        if !rest {
            captured.truncate(before);
        }
        rest
    })
}

fn after(text: &str, others: &[Piece], line: &[u8], names: &Names, captured: &mut Vec<(String, String)>) -> bool {
    line.strip_prefix(text.as_bytes()).is_some_and(|rest| matches(others, rest, names, captured))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, line: &str) -> bool {
        let names = Names::from([("user".to_owned(), "a1@localhost".to_owned())]);
        Pattern::read(pattern).expect("a pattern").matches(line.as_bytes(), &names).is_some()
    }

    #[test]
    fn lines_match() {
        for (pattern, line) in [
            ("* 3 EXISTS", "* 3 EXISTS"),
            ("* <number> EXISTS", "* 172 EXISTS"),
            ("A1 OK <any>", "A1 OK done"),
            ("A1 OK<any>", "A1 OK"),
            ("* OK [<word> <number>] <any>", "* OK [UIDNEXT 4392] Predicted next UID"),
            ("250 <<user>> is here", "250 <a1@localhost> is here"),
            ("MAIL FROM:<Smith@bar.example>", "MAIL FROM:<Smith@bar.example>"),
            ("BODY[]<0.5> <>", "BODY[]<0.5> <>"),
            ("<x=number>:<x>", "17:17"),
            ("<a=any>,<a>", "1,2,1,2"),
        ] {
            assert!(fits(pattern, line), "{pattern:?} is {line:?}");
        }
        for (pattern, line) in [
            ("* 3 EXISTS", "* 3 EXISTS "),
            ("* 3 EXISTS", "* 30 EXISTS"),
            ("* 3 EXISTS", "* 3 exists"),
            ("* <number> EXISTS", "* x EXISTS"),
            ("* <number> EXISTS", "*  EXISTS"),
            ("A1 OK <any>", "A1 OK"),
            ("[<word>]", "[A B]"),
            ("<x=number>:<x>", "17:18"),
            ("<user>", "b@localhost"),
        ] {
            assert!(!fits(pattern, line), "{pattern:?} is not {line:?}");
        }
    }

    #[test]
    fn captures_are_remembered_and_filled_in() {
        let pattern = Pattern::read("* OK [UIDVALIDITY <validity=number>] <any>").unwrap();
        let captured = pattern.matches(b"* OK [UIDVALIDITY 3857529045] valid", &Names::new()).unwrap();
        assert_eq!(captured, [("validity".to_owned(), "3857529045".to_owned())]);
        let names = Names::from_iter(captured);
        let pattern = Pattern::read("C <validity> <x=word> <any>").unwrap();
        assert_eq!(pattern.text(&names), "C 3857529045 <x=word> <any>");
        assert_eq!(pattern.refers_to().collect::<Vec<_>>(), ["validity"]);
        assert_eq!(pattern.makes_known().collect::<Vec<_>>(), ["x"]);
        assert!(!pattern.is_exact() && Pattern::read("C <validity>").unwrap().is_exact());
        assert!(Pattern::read("<x=digits>").is_err(), "an unknown kind");
    }
}
