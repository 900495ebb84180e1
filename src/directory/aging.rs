//! A bounded map that forgets what was not touched for longest.
//!
//! Two generations of at most half the bound each: what is written goes into the young one; when that is full it
//! becomes the old one, and what stood there is gone. So forgetting costs nothing per entry, the bound is exact, and
//! a flood of new keys has to be half the bound long before it pushes anything out that is in use.
//! Ordered maps: no key that a stranger chooses can collide with another.

use std::collections::BTreeMap;

/// See the module.
#[derive(Debug)]
pub struct Aging<K, V> {
    young: BTreeMap<K, V>,
    old: BTreeMap<K, V>,
    half: usize,
}

impl<K: Ord, V> Aging<K, V> {
    /// A map of at most `entries_max` entries (at least two).
    pub fn new(entries_max: usize) -> Self {
        Aging { young: BTreeMap::new(), old: BTreeMap::new(), half: (entries_max / 2).max(1) }
    }

    /// The value of `key`, without keeping it young.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Takes the value of `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let old = self.old.remove(key);
        self.young.remove(key).or(old)
    }

    /// Sets the value of `key`, the youngest now.
    pub fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        self.young.insert(key, value);
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
    }

    /// Forgets every entry that `keep` is false for.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.young.retain(&mut keep);
        self.old.retain(&mut keep);
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_the_youngest_stay() {
        let mut map = Aging::new(8);
        for number in 0..1000u32 {
            map.insert(number, number * 2);
            assert!(map.len() < 8, "{} entries", map.len());
            for young in number.saturating_sub(3)..=number {
                assert_eq!(map.peek(&young), Some(&(young * 2)));
            }
        }
        assert_eq!(map.peek(&0), None);
    }

    #[test]
    fn one_value_a_key_over_both_generations() {
        let mut map = Aging::new(4);
        map.insert(1, 'a');
        map.insert(2, 'b');
        map.insert(1, 'c');
        assert_eq!(map.peek(&1), Some(&'c'));
        assert_eq!(map.len(), 2);
        assert_eq!(map.remove(&1), Some('c'));
        assert_eq!(map.peek(&1), None);
        map.retain(|key, _| *key != 2);
        assert!(map.is_empty());
    }
}
