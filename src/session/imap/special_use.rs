//! Special uses between the protocol's words and the store's numbers (RFC 6154 §2).
//!
//! The store knows all seven; a client may ask for those that are plain mailboxes. `\All` and `\Flagged` would be views of
//! other mailboxes' messages, which there are none of.

use crate::store::SpecialUse;

const NAMED: [(SpecialUse, &str); 7] = [
    (SpecialUse::All, "\\All"),
    (SpecialUse::Archive, "\\Archive"),
    (SpecialUse::Drafts, "\\Drafts"),
    (SpecialUse::Flagged, "\\Flagged"),
    (SpecialUse::Junk, "\\Junk"),
    (SpecialUse::Sent, "\\Sent"),
    (SpecialUse::Trash, "\\Trash"),
];

/// The attribute of a use, where there is one.
pub(super) fn attribute(special_use: SpecialUse) -> Option<&'static str> {
    NAMED.iter().find(|(named, _)| *named == special_use).map(|(_, name)| *name)
}

/// The use that a mailbox can be made with.
pub(super) fn named(attribute: &str) -> Option<SpecialUse> {
    let (special_use, _) = NAMED.iter().find(|(_, name)| name.eq_ignore_ascii_case(attribute))?;
    Some(*special_use).filter(|special_use| !matches!(special_use, SpecialUse::All | SpecialUse::Flagged))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_uses() {
        for special_use in
            [SpecialUse::Archive, SpecialUse::Drafts, SpecialUse::Junk, SpecialUse::Sent, SpecialUse::Trash]
        {
            let name = attribute(special_use).unwrap();
            assert_eq!((named(name), named(&name.to_lowercase())), (Some(special_use), Some(special_use)));
        }
        assert_eq!(attribute(SpecialUse::None), None);
        assert_eq!(attribute(SpecialUse::Flagged), Some("\\Flagged"));
        for name in ["\\All", "\\Flagged", "\\Important", "Sent", "\\"] {
            assert_eq!(named(name), None, "{name}");
        }
    }
}
