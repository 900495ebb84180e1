//! Which sealed files an account is made of: as its manifest says, or as the files themselves say where there is none.
//!
//! Invariants: files of a chain follow each other, from change to change; of two that have the same changes the one counts that
//! has more of them in one, which is the younger: it was written to take the others' place. What no file has is a gap in the
//! chain, and is told.

use super::super::types::Hash;

/// A file that may be a link: which changes it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link {
    pub name: Hash,
    /// The changes after this one
    pub from: u64,
    /// up to this one.
    pub to: u64,
    /// Whether what is in it can be told.
    pub readable: bool,
}

/// The links that cover most changes, in order; readable ones before others, few before many.
pub(super) fn chain(mut links: Vec<Link>) -> Vec<Link> {
    links.retain(|link| link.from < link.to);
    links.sort_by_key(|link| (link.to, link.from, link.name));
    // The best chain that ends with each link: its changes in readable files, all its changes, fewest links, what is before.
    let mut best: Vec<(u64, u64, std::cmp::Reverse<usize>, Option<usize>)> = Vec::with_capacity(links.len());
    for (index, link) in links.iter().enumerate() {
        let before = (0..index).filter(|&before| links[before].to <= link.from).max_by_key(|&before| best[before]);
        let (readable, all, count) = before.map_or((0, 0, 0), |before| {
            let (readable, all, std::cmp::Reverse(count), _) = best[before];
            (readable, all, count)
        });
        let own = link.to - link.from;
        let readable = readable + if link.readable { own } else { 0 };
        best.push((readable, all + own, std::cmp::Reverse(count + 1), before));
    }
    let mut chain = Vec::new();
    let mut next = (0..links.len()).max_by_key(|&index| best[index]);
    while let Some(index) = next {
        chain.push(links[index]);
        next = best[index].3;
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(from: u64, to: u64, readable: bool) -> Link {
        Link { name: Hash::of(&[from as u8, to as u8]), from, to, readable }
    }

    fn ranges(links: &[Link]) -> Vec<(u64, u64)> {
        chain(links.to_vec()).iter().map(|link| (link.from, link.to)).collect()
    }

    #[test]
    fn what_was_merged_is_not_taken_twice() {
        let parts = [link(0, 4, true), link(4, 9, true), link(9, 12, true)];
        assert_eq!(ranges(&parts), [(0, 4), (4, 9), (9, 12)]);
        let merged = [&parts[..], &[link(4, 12, true)]].concat();
        assert_eq!(ranges(&merged), [(0, 4), (4, 12)]);
        assert_eq!(ranges(&[&parts[..], &[link(4, 12, false)]].concat()), [(0, 4), (4, 9), (9, 12)]);
        assert_eq!(ranges(&[]), []);
    }

    #[test]
    fn a_gap_is_left_and_a_damaged_file_fills_it() {
        assert_eq!(ranges(&[link(0, 4, true), link(9, 12, true)]), [(0, 4), (9, 12)]);
        let filled = [link(0, 4, true), link(9, 12, true), link(4, 9, false)];
        assert_eq!(ranges(&filled), [(0, 4), (4, 9), (9, 12)]);
        assert_eq!(ranges(&[link(0, 4, true), link(4, 9, false)]), [(0, 4), (4, 9)]);
    }
}
