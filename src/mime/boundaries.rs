//! The boundaries of the multiparts that are open, and which of them a line is.
//!
//! Sorted, because a hostile message has fifty open and a line of three octets for each: a look-up compares the line with
//! six of them, not with all. Whole lines are compared, so of two boundaries the one may begin the other; of equal ones the
//! innermost counts. RFC 2046 §5.1.1, §5.1.2.

/// Boundaries, each with the level of its multipart on the stack.
#[derive(Debug, Default)]
pub(super) struct Boundaries {
    sorted: Vec<(Vec<u8>, usize)>,
}

impl Boundaries {
    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    pub(super) fn add(&mut self, boundary: Vec<u8>, level: usize) {
        let entry = (boundary, level);
        let place = self.sorted.partition_point(|other| *other < entry);
        self.sorted.insert(place, entry);
    }

    /// Forgets the boundaries of `level` and of what is inside it.
    pub(super) fn end(&mut self, level: usize) {
        self.sorted.retain(|(_, other)| *other < level);
    }

    /// ```text
    /// dash-boundary     := "--" boundary
    /// close-delimiter   := CRLF dash-boundary "--"
    /// transport-padding := *LWSP-char
    /// ```
    /// The level of the multipart that `line` delimits, and whether it closes it.
    pub(super) fn delimited_by(&self, line: &[u8]) -> Option<(usize, bool)> {
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        let opening = self.level_of(text).map(|level| (level, false));
        let closing = text.strip_suffix(b"--").and_then(|text| self.level_of(text)).map(|level| (level, true));
        opening.max(closing)
    }

    /// The innermost level with that boundary.
    fn level_of(&self, boundary: &[u8]) -> Option<usize> {
        let after = self.sorted.partition_point(|(other, _)| other.as_slice() <= boundary);
        let (found, level) = self.sorted.get(after.checked_sub(1)?)?;
        (found == boundary).then_some(*level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_of_equals() {
        let mut open = Boundaries::default();
        for (level, boundary) in [&b"a"[..], b"ab", b"a", b"a--", b""].into_iter().enumerate() {
            open.add(boundary.to_vec(), level);
        }
        assert_eq!(open.delimited_by(b"--a\r\n"), Some((2, false)));
        assert_eq!(open.delimited_by(b"--ab-- \t\r\n"), Some((1, true)));
        // Both the close of `a` and the begin of a part of `a--`.
        assert_eq!(open.delimited_by(b"--a--\n"), Some((3, false)));
        for line in [&b"--abc\n"[..], b"-a", b"--A", b"-- a", b"--a -", b"a", b"--a-"] {
            assert_eq!(open.delimited_by(line), None);
        }
        open.end(2);
        assert_eq!(open.delimited_by(b"--a\n"), Some((0, false)));
        assert_eq!(open.delimited_by(b"--a--\n"), Some((0, true)));
        open.end(0);
        assert!(open.is_empty());
    }
}
