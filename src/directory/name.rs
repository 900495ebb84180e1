//! Names of accounts: `local@domain`, the Internet address that a user receives mail at and logs in with.
//!
//! Invariant: a stored name has a lower-case domain and keeps the case of its local part; names are compared by their
//! [`key`], all lower case, so that two accounts never differ by case alone (RFC 5321 §2.4 leaves that to the host).
//! Quoted local parts and address literals can't be account names, though both may be asked for.

use std::fmt;

use crate::config::is_domain;

/// Why a text can't be the name of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameFault {
    /// No `@`, or nothing on one of its sides.
    NotAnAddress,
    /// The local part isn't a dot-string of at most 64 octets.
    LocalPart,
    /// The domain isn't made of letters, digits, hyphens and dots, or is longer than 255 octets.
    Domain,
}

impl fmt::Display for NameFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            NameFault::NotAnAddress => "an account is named like an address: local@domain",
            NameFault::LocalPart => {
                "before the @ stand letters, digits, single dots between them and !#$%&'*+-/=?^_`{|}~, at most 64 in all"
            }
            NameFault::Domain => "behind the @ stands a domain of letters, digits, hyphens and dots, at most 255 octets",
        })
    }
}

/// The stored form of an account's name or alias.
///
/// ```text
/// name       = Dot-string "@" Domain          ; RFC 5321 §4.1.2
/// Dot-string = Atom *("." Atom)
/// Domain     = sub-domain *("." sub-domain)
/// ```
pub fn account_name(text: &str) -> Result<String, NameFault> {
    let (local, domain) = text.rsplit_once('@').ok_or(NameFault::NotAnAddress)?;
    if local.is_empty() || domain.is_empty() {
        return Err(NameFault::NotAnAddress);
    }
    if local.len() > 64 || !local.split('.').all(is_atom) {
        return Err(NameFault::LocalPart);
    }
    if !is_domain(domain) {
        return Err(NameFault::Domain);
    }
    Ok(format!("{local}@{}", domain.to_ascii_lowercase()))
}

/// What names are compared by.
pub fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

// Atom = 1*atext (RFC 5322 §3.2.3)
fn is_atom(atom: &str) -> bool {
    !atom.is_empty()
        && atom.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_is_lowered_and_local_part_kept() {
        assert_eq!(account_name("Anna.Muster@Example.ORG").as_deref(), Ok("Anna.Muster@example.org"));
        assert_eq!(account_name("a@localhost").as_deref(), Ok("a@localhost"));
        assert_eq!(key("Anna@Example.org"), "anna@example.org");
    }

    #[test]
    fn what_is_no_name_says_why() {
        for (text, fault) in [
            ("anna", NameFault::NotAnAddress),
            ("@example.org", NameFault::NotAnAddress),
            ("anna@", NameFault::NotAnAddress),
            ("an na@example.org", NameFault::LocalPart),
            ("anna..m@example.org", NameFault::LocalPart),
            ("a@b@example.org", NameFault::LocalPart),
            ("ann\u{e4}@example.org", NameFault::LocalPart),
            ("\"a\"@example.org", NameFault::LocalPart),
            ("a\r\n@example.org", NameFault::LocalPart),
            ("anna@exa mple.org", NameFault::Domain),
            ("anna@-x.org", NameFault::Domain),
            ("anna@example..org", NameFault::Domain),
            ("anna@[127.0.0.1]", NameFault::Domain),
        ] {
            assert_eq!(account_name(text), Err(fault), "{text:?}");
        }
        assert_eq!(account_name(&format!("{}@x", "l".repeat(65))), Err(NameFault::LocalPart));
        assert_eq!(account_name(&format!("l@{}", "d".repeat(64))), Err(NameFault::Domain));
    }
}
