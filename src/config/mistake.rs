//! One mistake of a configuration, told in one line: where it stands, what stands there, what was expected.
//!
//! Invariant: the text is one line of printable characters, whatever the file contains.

use std::fmt;
use std::path::{Path, PathBuf};

/// What kind of mistake it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The key is not known; the nearest that is.
    Unknown {
        /// The nearest known key of the same section.
        nearest: Option<String>,
    },
    /// The value is not what was expected.
    Wrong {
        /// What was.
        expected: String,
    },
    /// The key is known, and its feature is not there in this version.
    Unsupported,
    /// The file itself can't be read, or is no TOML.
    Text(String),
}

/// A mistake, or, where it doesn't keep the configuration from being used, a warning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// The file; none: the command line.
    pub file: Option<PathBuf>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The key with its section, as in `imap.listener[2].port`; empty where the fault is the whole file's.
    pub key: String,
    /// The value, as it is written there.
    pub value: Option<String>,
    /// What is wrong.
    pub fault: Fault,
}

impl Mistake {
    pub(super) fn of_file(file: &Path, what: String) -> Mistake {
        let file = Some(file.to_path_buf());
        Mistake { file, line: None, key: String::new(), value: None, fault: Fault::Text(what) }
    }

    pub(super) fn of_option(option: &str, value: &str, expected: &str) -> Mistake {
        let fault = Fault::Wrong { expected: expected.to_string() };
        Mistake { file: None, line: None, key: format!("{option} {value}"), value: None, fault }
    }

    pub(super) fn of_path(file: &Path, line: Option<usize>, key: &str, path: &Path, expected: String) -> Mistake {
        let value = Some(format!("{path:?}"));
        Mistake { file: Some(file.to_path_buf()), line, key: key.into(), value, fault: Fault::Wrong { expected } }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(out, "{}", OneLine(&file.to_string_lossy()))?;
            if let Some(line) = self.line {
                write!(out, ":{line}")?;
            }
            out.write_str(": ")?;
        }
        let key = OneLine(&self.key);
        match &self.fault {
            Fault::Unknown { nearest } => {
                write!(out, "{key} is not a known key")?;
                nearest.as_ref().map_or(Ok(()), |nearest| write!(out, "; the nearest is \"{nearest}\""))
            }
            Fault::Wrong { expected } => {
                write!(out, "{key}: expected {expected}")?;
                self.value.as_ref().map_or(Ok(()), |value| write!(out, ", found {}", OneLine(value)))
            }
            Fault::Unsupported => {
                write!(out, "{key}")?;
                self.value.as_ref().map_or(Ok(()), |value| write!(out, " = {}", OneLine(value)))?;
                out.write_str(" is not supported by this version")
            }
            Fault::Text(what) => write!(out, "{}", OneLine(what)),
        }
    }
}

// At most 200 characters, control characters escaped.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, character) in self.0.chars().enumerate() {
            if count == 200 {
                return out.write_str("…");
            }
            if character.is_control() {
                write!(out, "{}", character.escape_debug())?;
            } else {
                write!(out, "{character}")?;
            }
        }
        Ok(())
    }
}

/// The one of `known` that is nearest to `text`.
pub(super) fn nearest(text: &str, known: &[&'static str]) -> Option<String> {
    known.iter().min_by_key(|candidate| edits(text, candidate)).map(|nearest| nearest.to_string())
}

// Insertions, deletions, substitutions and swaps of neighbours between two texts (optimal string alignment).
fn edits(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(64).collect();
    let to: Vec<char> = to.chars().take(64).collect();
    let mut before = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, a) in from.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, b) in to.iter().enumerate() {
            let substituted = last[column] + usize::from(a != b);
            let mut best = substituted.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && *a == to[column - 1] && from[row - 1] == *b {
                best = best.min(before[column - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distances() {
        for (from, to, distance) in
            [("", "", 0), ("", "abc", 3), ("port", "port", 0), ("prot", "port", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(edits(from, to), distance, "{from} {to}");
            assert_eq!(edits(to, from), distance, "{to} {from}");
        }
        assert_eq!(nearest("max_sesions", &["greeting", "max_sessions"]).as_deref(), Some("max_sessions"));
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn one_line_whatever_the_value() {
        let mistake = Mistake {
            file: Some("/etc/r.toml".into()),
            line: Some(3),
            key: "a\nb".into(),
            value: Some(format!("\u{1b}[2J{}", "x".repeat(1000))),
            fault: Fault::Wrong { expected: "a number".into() },
        };
        let text = mistake.to_string();
        assert!(text.starts_with("/etc/r.toml:3: a\\nb: expected a number, found \\u{1b}[2Jxxx"), "{text}");
        assert!(text.chars().count() < 300 && !text.chars().any(char::is_control));
    }
}
