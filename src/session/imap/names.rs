//! The names of an account as LIST and LSUB go over them: mailboxes, and subscriptions whose mailboxes are gone.
//!
//! Invariants: INBOX and what is below it come first, each name before those below it and these all together, so that one
//! pass finds parents and children (attack 31); nothing is looked at twice. A name above others that is none itself
//! ("foo" where only "foo/bar" is subscribed) is not kept here: [`Gaps`] finds it on the way.
//! RFC 3501 §6.3.8, §6.3.9.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::store::{Account, Mailbox};

/// A name.
pub(super) struct Name {
    pub name: Rc<str>,
    /// `None`: it is subscribed, and there is no such mailbox.
    pub mailbox: Option<Mailbox>,
    pub subscribed: bool,
    /// There is a mailbox below it.
    pub has_children: bool,
    /// It matches the patterns, and the selection.
    pub matched: bool,
    pub selected: bool,
    /// A selected name is below it, and one that doesn't match the patterns.
    pub selected_below: bool,
    pub hidden_below: bool,
}

impl Name {
    fn new(name: Rc<str>, mailbox: Option<Mailbox>, subscribed: bool) -> Name {
        Name {
            name,
            mailbox,
            subscribed,
            has_children: false,
            matched: false,
            selected: false,
            selected_below: false,
            hidden_below: false,
        }
    }
}

/// All names, in order.
pub(super) fn all(account: &Account) -> Vec<Name> {
    let mailboxes = account.mailboxes().into_iter();
    let mut names: Vec<Name> =
        mailboxes.map(|mailbox| Name::new(mailbox.name(), Some(mailbox.clone()), mailbox.is_subscribed())).collect();
    // Nearly in order already, which the sort makes use of.
    names.sort_by(|one, other| order(&one.name, &other.name));
    let known = names.len();
    for name in account.subscriptions() {
        match names[..known].binary_search_by(|known| order(&known.name, &name)) {
            Ok(at) => names[at].subscribed = true,
            Err(_) => names.push(Name::new(name, None, true)),
        }
    }
    if names.len() > known {
        names.sort_by(|one, other| order(&one.name, &other.name));
    }
    names
}

/// Finds what of each name is below it. `matches` and `selects` are asked once for each name.
pub(super) fn survey(names: &mut [Name], mut ask: impl FnMut(&Name) -> (bool, bool)) {
    // The names that the present one is below, outermost first.
    let mut above: Vec<usize> = Vec::new();
    for at in 0..names.len() {
        while above.last().is_some_and(|&last| !is_below(&names[at].name, &names[last].name)) {
            above.pop();
        }
        let (matched, selected) = ask(&names[at]);
        (names[at].matched, names[at].selected) = (matched, selected);
        let hidden = selected && !matched;
        for &parent in above.iter().rev() {
            let parent = &mut names[parent];
            // What is marked here is marked all the way up.
            if parent.selected_below >= selected && parent.hidden_below >= hidden {
                break;
            }
            parent.selected_below |= selected;
            parent.hidden_below |= hidden;
        }
        if names[at].mailbox.is_some()
            && let Some(&parent) = above.last()
        {
            names[parent].has_children = true;
        }
        above.push(at);
    }
}

/// Whether `name` is below `parent`.
fn is_below(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

fn order(one: &str, other: &str) -> Ordering {
    let other_than_inbox = |name: &str| name != "INBOX" && !is_below(name, "INBOX");
    // The separator before all else, so that "a/b" comes before "a b".
    let key = |byte: u8| if byte == b'/' { 0 } else { byte };
    (other_than_inbox(one).cmp(&other_than_inbox(other))).then_with(|| one.bytes().map(key).cmp(other.bytes().map(key)))
}

/// The names that lie above others and are none themselves, as [`Gaps::next`] meets them. One that has a selected name
/// below it which doesn't match the patterns is told when all below it was seen.
#[derive(Default)]
pub(super) struct Gaps {
    /// A name below the gap, where the gap's own name ends in it, and whether it is to be told. Outermost first.
    open: Vec<(Rc<str>, usize, bool)>,
    last: Option<Rc<str>>,
}

impl Gaps {
    /// Goes on to `name` and takes out a gap that `name` is not below, with whether it hides a selected name. To be
    /// called until it gives none; then [`Gaps::enter`].
    pub(super) fn next(&mut self, name: Option<&str>) -> Option<(Rc<str>, usize, bool)> {
        let (below, end, _) = self.open.last()?;
        if name.is_some_and(|name| is_below(name, &below[..*end])) {
            return None;
        }
        self.open.pop()
    }

    /// Finds the gaps between the last name and this one.
    pub(super) fn enter(&mut self, name: &Name) {
        let last = self.last.as_deref().unwrap_or_default();
        for (end, _) in name.name.match_indices('/') {
            let level = &name.name[..end];
            if last != level && !is_below(last, level) {
                self.open.push((name.name.clone(), end, false));
            }
        }
        if name.selected && !name.matched {
            for (_, _, hides) in &mut self.open {
                *hides = true;
            }
        }
        self.last = Some(name.name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Name> {
        let mut names: Vec<Name> = names.iter().map(|name| Name::new((*name).into(), None, true)).collect();
        names.sort_by(|one, other| order(&one.name, &other.name));
        names
    }

    #[test]
    fn below_follows_its_parent() {
        let sorted = names(&["b", "a b", "INBOXES", "a/b", "INBOX/x", "a", "INBOX", "a/b/c", "A", "a-b", "a/ü"]);
        let sorted: Vec<&str> = sorted.iter().map(|name| &*name.name).collect();
        assert_eq!(sorted, ["INBOX", "INBOX/x", "A", "INBOXES", "a", "a/b", "a/b/c", "a/ü", "a b", "a-b", "b"]);
    }

    #[test]
    fn what_is_below_is_found() {
        let mut sorted = names(&["a", "a/b", "a/b/c", "a b", "d", "d/e"]);
        // Those with a `c` or an `e` are selected, those with an `e` match.
        survey(&mut sorted, |name| (name.name.contains('e'), name.name.contains(['c', 'e'])));
        let found: Vec<(bool, bool)> = sorted.iter().map(|name| (name.selected_below, name.hidden_below)).collect();
        let both = (true, true);
        assert_eq!(found, [both, both, (false, false), (false, false), (true, false), (false, false)]);
    }

    #[test]
    fn gaps_are_told_once_and_after_what_is_below() {
        let mut sorted = names(&["a/b/c", "a/b/d", "a/e", "f", "f/g/h", "i/j"]);
        survey(&mut sorted, |name| (false, name.name.ends_with(['d', 'h'])));
        let (mut gaps, mut told) = (Gaps::default(), Vec::new());
        for name in sorted.iter().map(Some).chain([None]) {
            while let Some((below, end, hides)) = gaps.next(name.map(|name| &*name.name)) {
                told.push(format!("{}{}", &below[..end], if hides { "!" } else { "" }));
            }
            if let Some(name) = name {
                gaps.enter(name);
            }
        }
        assert_eq!(told, ["a/b!", "a!", "f/g!", "i"]);
    }
}
