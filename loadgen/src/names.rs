//! Names of accounts for a run: one for all connections, or numbered ones out of a pattern.
//!
//! Numbers begin at 1; what is beyond the last begins again with the first. A pattern has `%d` exactly once.

use crate::limits::USERS_MAX;

/// The accounts of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    before: String,
    /// What follows the number; `None`: there is no number.
    after: Option<String>,
    count: u32,
}

impl Names {
    /// The same name always.
    pub fn one(name: &str) -> Names {
        Names { before: name.to_owned(), after: None, count: 1 }
    }

    /// `count` names out of `pattern`, or the pattern itself where it has no `%d`.
    pub fn numbered(pattern: &str, count: u32) -> Result<Names, String> {
        if count == 0 || count > USERS_MAX {
            return Err(format!("--users {count}: from 1 to {USERS_MAX}"));
        }
        let Some((before, after)) = pattern.split_once("%d") else {
            return if count == 1 {
                Ok(Names::one(pattern))
            } else {
                Err(format!("--users {count}, but \"{}\" has no %d", pattern.escape_debug()))
            };
        };
        if after.contains("%d") {
            return Err(format!("\"{}\" has %d more than once", pattern.escape_debug()));
        }
        Ok(Names { before: before.to_owned(), after: Some(after.to_owned()), count })
    }

    /// The name at `index`, counted from 0 and round and round.
    pub fn of(&self, index: u64) -> String {
        match &self.after {
            None => self.before.clone(),
            Some(after) => format!("{}{}{after}", self.before, self.place(index) + 1),
        }
    }

    /// Where `index` is among the names.
    pub fn place(&self, index: u64) -> u32 {
        (index % u64::from(self.count)) as u32
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_round() {
        let names = Names::numbered("u%d@x", 3).expect("a pattern");
        assert_eq!([0, 2, 3].map(|index| names.of(index)), ["u1@x", "u3@x", "u1@x"]);
        assert_eq!(Names::one("100%d").of(7), "100%d", "one name is taken as it is");
        assert_eq!(Names::numbered("a@x", 1), Ok(Names::one("a@x")));
    }

    #[test]
    fn patterns_that_can_not_be_meant_are_refused() {
        for (pattern, count) in [("a@x", 2), ("%d%d@x", 2), ("u%d@x", 0), ("u%d@x", USERS_MAX + 1)] {
            assert!(Names::numbered(pattern, count).is_err(), "{pattern} {count}");
        }
    }
}
