//! Sequence sets: of message numbers or of UIDs.
//!
//! A set is what the client wrote, ranges in any order and any direction; [`SequenceSet::resolve`] makes sorted,
//! disjoint ranges of it. `*` is kept as [`Range::LAST`]; a client that writes 4294967295 for 'the end' gets
//! 4294967294, since a range up to `*` always holds the last message and one up to a number doesn't. RFC 3501 §9
//! (sequence-set).

use bumpalo::Bump;

/// Numbers from one to the other, both included, in either order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// One end.
    pub first: u32,
    /// The other.
    pub last: u32,
}

impl Range {
    /// Stands for `*`, the last number in use.
    pub const LAST: u32 = u32::MAX;

    /// The range with `*` put in and its ends in order.
    fn resolve(self, max: u32) -> Range {
        let resolve = |number| if number == Range::LAST { max } else { number };
        let (first, last) = (resolve(self.first), resolve(self.last));
        Range { first: first.min(last), last: first.max(last) }
    }
}

/// A sequence set as the client wrote it; never empty where it was parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceSet<'a>(pub &'a [Range]);

impl SequenceSet<'_> {
    /// Sorted ranges that neither overlap nor touch, none of them beyond `max`, the last number in use. None in use
    /// (0): none.
    pub fn resolve<'b>(&self, arena: &'b Bump, max: u32) -> &'b [Range] {
        if max == 0 {
            return &[];
        }
        let ranges = arena.alloc_slice_fill_iter(self.0.iter().map(|range| range.resolve(max)));
        if !ranges.is_sorted() {
            ranges.sort_unstable();
        }
        let mut kept = 0;
        for index in 0..ranges.len() {
            let range = Range { first: ranges[index].first, last: ranges[index].last.min(max) };
            if range.first > max {
                break;
            }
            match ranges[..kept].last_mut() {
                // Sorted by first: what begins within or just behind the one before belongs to it.
                Some(before) if range.first <= before.last.saturating_add(1) => {
                    before.last = before.last.max(range.last)
                }
                _ => {
                    ranges[kept] = range;
                    kept += 1;
                }
            }
        }
        &ranges[..kept]
    }

    /// Whether `number` is in it, `max` being the last in use. It goes through all ranges: for many numbers, resolve.
    pub fn contains(&self, number: u32, max: u32) -> bool {
        self.0.iter().map(|range| range.resolve(max)).any(|range| range.first <= number && number <= range.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(pairs: &[(u32, u32)]) -> Vec<Range> {
        pairs.iter().map(|&(first, last)| Range { first, last }).collect()
    }

    #[test]
    fn resolves() {
        const STAR: u32 = Range::LAST;
        let arena = Bump::new();
        for (set, max, expected) in [
            (&[(2, 2), (4, 7), (9, 9), (12, STAR)][..], 15, &[(2, 2), (4, 7), (9, 9), (12, 15)][..]),
            (&[(STAR, 4), (5, 7)], 10, &[(4, 10)]),
            (&[(9, 1)], 5, &[(1, 5)]),
            (&[(20, STAR)], 5, &[(5, 5)]),
            (&[(STAR, STAR)], 5, &[(5, 5)]),
            (&[(20, 30)], 5, &[]),
            (&[(1, STAR)], 0, &[]),
            (&[(3, 3), (2, 2), (1, 1), (2, 2)], 5, &[(1, 3)]),
            (&[(1, STAR - 1)], STAR - 1, &[(1, STAR - 1)]),
        ] {
            let (set, expected) = (ranges(set), ranges(expected));
            assert_eq!(SequenceSet(&set).resolve(&arena, max), expected);
        }
    }

    #[test]
    fn resolved_ranges_hold_what_the_set_contains() {
        let arena = Bump::new();
        let mut seed = 0x9E37_79B9_7F4A_7C15u64;
        let mut random = |below: u32| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 33) as u32 % below
        };
        for _ in 0..2_000 {
            let mut set = Vec::new();
            for _ in 0..=random(6) {
                let mut end = || match random(20) {
                    0 => Range::LAST,
                    number => number,
                };
                set.push(Range { first: end(), last: end() });
            }
            let set = SequenceSet(&set);
            let max = random(18);
            let resolved = set.resolve(&arena, max);
            assert!(resolved.windows(2).all(|pair| pair[0].last + 1 < pair[1].first), "{resolved:?}");
            for number in 1..=max {
                let found = resolved.iter().any(|range| range.first <= number && number <= range.last);
                assert_eq!(found, set.contains(number, max), "{number} of {max} in {set:?}");
            }
            assert!(resolved.iter().all(|range| range.first >= 1 && range.last <= max));
        }
    }
}
