//! Names of accounts: `local@domain`, the Internet address that a user receives mail at and logs in with.
//!
//! Invariant: a stored name has a lower-case domain and keeps the case of its local part; names are compared by their
//! [`key`], all lower case, so that two accounts never differ by case alone (RFC 5321 §2.4 leaves that to the host).
//! Quoted local parts and address literals can't be account names, though both may be asked for. Other names to log in
//! with ([`login_name`]) are no addresses: a common name, a hierarchical one, a short one.

use std::fmt;

use crate::config::is_domain;
use crate::limits::USER_NAME_BYTES_MAX;

/// Why a text can't be the name of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameFault {
    /// No `@`, or nothing on one of its sides.
    NotAnAddress,
    /// The local part isn't a dot-string of at most 64 octets.
    LocalPart,
    /// The domain isn't made of letters, digits, hyphens and dots, or is longer than 255 octets.
    Domain,
    /// A login name that looks like an address.
    AddressAsLoginName,
    /// A login name that is empty, has an empty part, control characters, or more than 320 octets.
    LoginName,
}

impl fmt::Display for NameFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            NameFault::NotAnAddress => "an account is named like an address: local@domain",
            NameFault::LocalPart => {
                "before the @ stand letters, digits, single dots between them and !#$%&'*+-/=?^_`{|}~, at most 64 in all"
            }
            NameFault::Domain => "behind the @ stands a domain of letters, digits, hyphens and dots, at most 255 octets",
            NameFault::AddressAsLoginName => "with an @ it is an address: add it as an alias, which logs in as well",
            NameFault::LoginName => "a login name is up to 320 octets of text, its parts with a / between them, none empty",
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

/// The stored form of another name to log in with: single spaces, the labels as they were given.
///
/// ```text
/// login-name = part *("/" part)            ; the first is the common name
/// part       = [label "="] 1*text          ; text without "/", "@" and control characters
/// label      = "CN" / "OU" / "O" / "C"
/// ```
pub fn login_name(text: &str) -> Result<String, NameFault> {
    if text.contains('@') {
        return Err(NameFault::AddressAsLoginName);
    }
    let long = text.len() > USER_NAME_BYTES_MAX;
    if long || text.chars().any(char::is_control) || login_key(text).split('/').any(str::is_empty) {
        return Err(NameFault::LoginName);
    }
    Ok(text.split('/').map(single_spaced).collect::<Vec<_>>().join("/"))
}

/// What login names are compared by: without labels, all lower case.
pub fn login_key(text: &str) -> String {
    let parts: Vec<String> = text.split('/').map(|part| single_spaced(unlabelled(part)).to_lowercase()).collect();
    parts.join("/")
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A part of a hierarchical name without its label.
fn unlabelled(part: &str) -> &str {
    match part.split_once('=') {
        Some((label, text)) if ["cn", "ou", "o", "c"].contains(&label.trim().to_ascii_lowercase().as_str()) => text,
        _ => part,
    }
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

    #[test]
    fn login_names_are_stored_as_given_and_compared_without_labels() {
        assert_eq!(login_name(" CN=Anna  Muster / OU=Sales/O=ACME").as_deref(), Ok("CN=Anna Muster/OU=Sales/O=ACME"));
        assert_eq!(login_key("CN=Anna Muster/ou = Sales/O=ACME"), "anna muster/sales/acme");
        assert_eq!(login_key("J\u{dc}RGEN"), "j\u{fc}rgen");
        assert_eq!(login_key("a=b"), "a=b", "no label");
        for text in ["", " ", "/", "Anna/", "/ACME", "CN=/O=ACME", "cn=", "a\u{0}b", "a\nb", &"x".repeat(321)] {
            assert_eq!(login_name(text), Err(NameFault::LoginName), "{text:?}");
        }
        assert_eq!(login_name("anna@example.org"), Err(NameFault::AddressAsLoginName));
    }
}
