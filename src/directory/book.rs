//! The accounts in memory, and how a name finds one of them.
//!
//! Invariants: every name and alias stands for one account; the order of accounts is the order of their creation, so
//! that "the first account" stays the same over restarts; a text that could mean two accounts finds none (R-AUTH-5).
//! It knows nothing of files: [`super::journal`] replays into it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::name;

/// One account as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Never reused, and unrelated to the name: an account made anew under an old name has a mailbox of its own.
    #[serde(with = "hex")]
    pub id: u64,
    /// `local@domain`, the domain in lower case.
    pub name: String,
    /// Argon2id in the PHC string format.
    pub password: String,
    /// Other addresses of the account, in the form of [`Account::name`].
    pub aliases: Vec<String>,
    /// A disabled account receives mail and can't log in.
    pub enabled: bool,
    /// Octets of mail that it may hold; `None`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
}

// The hash is no secret like the password, but has no place in a log either.
impl fmt::Debug for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Account({:016x} {} {:?} enabled: {})", self.id, self.name, self.aliases, self.enabled)
    }
}

/// Account ids as sixteen hexadecimal digits: JSON numbers are exact to 53 bits only.
pub(super) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(id: &u64, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&format_args!("{id:016x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

/// What a login name finds.
#[derive(PartialEq, Eq, Debug)]
pub enum Found<'a> {
    /// The one account that it stands for.
    One(&'a Account),
    /// Nobody has that name.
    None,
    /// Several have it: refused, and logged.
    Ambiguous,
}

/// All accounts.
#[derive(Default, Debug)]
pub struct Book {
    accounts: BTreeMap<u64, Account>,
    places: BTreeMap<u64, u64>,
    names: BTreeMap<String, u64>,
    locals: BTreeMap<String, Vec<u64>>,
    domains: BTreeMap<String, usize>,
    next_place: u64,
}

impl Book {
    /// Adds `account`, or puts it in the place of the one with its id.
    pub fn put(&mut self, account: Account) {
        let place = self.remove(account.id).unwrap_or_else(|| {
            self.next_place += 1;
            self.next_place
        });
        for address in addresses(&account) {
            let key = name::key(address);
            if let Some((local, domain)) = key.rsplit_once('@') {
                self.locals.entry(local.to_string()).or_default().push(place);
                *self.domains.entry(domain.to_string()).or_default() += 1;
            }
            self.names.insert(key, place);
        }
        self.places.insert(account.id, place);
        self.accounts.insert(place, account);
    }

    /// Takes the account with `id` out, and returns the place where it stood.
    pub fn remove(&mut self, id: u64) -> Option<u64> {
        let place = self.places.remove(&id)?;
        let account = self.accounts.remove(&place)?;
        for address in addresses(&account) {
            let key = name::key(address);
            if let Some((local, domain)) = key.rsplit_once('@') {
                if let Some(places) = self.locals.get_mut(local) {
                    if let Some(at) = places.iter().position(|&other| other == place) {
                        places.remove(at);
                    }
                    if places.is_empty() {
                        self.locals.remove(local);
                    }
                }
                if let Some(count) = self.domains.get_mut(domain) {
                    *count -= 1;
                    if *count == 0 {
                        self.domains.remove(domain);
                    }
                }
            }
            self.names.remove(&key);
        }
        Some(place)
    }

    /// The account with that name or alias, whatever the case.
    pub fn find(&self, address: &str) -> Option<&Account> {
        self.names.get(&name::key(address)).and_then(|place| self.accounts.get(place))
    }

    /// The account with that id.
    pub fn by_id(&self, id: u64) -> Option<&Account> {
        self.places.get(&id).and_then(|place| self.accounts.get(place))
    }

    /// Who logs in as `login`: a name, an alias, or their local part alone (in `default_domain`, where there is one).
    pub fn find_login(&self, login: &str, default_domain: Option<&str>) -> Found<'_> {
        let found = |account: Option<&'_ Account>| account.map(|a| a.id);
        let id = if login.contains('@') {
            found(self.find(login))
        } else if let Some(domain) = default_domain {
            found(self.find(&format!("{login}@{domain}")))
        } else {
            match self.locals.get(&name::key(login)).map(Vec::as_slice) {
                Some([first, rest @ ..]) if rest.iter().all(|place| place == first) => found(self.accounts.get(first)),
                Some(_) => return Found::Ambiguous,
                None => None,
            }
        };
        id.and_then(|id| self.by_id(id)).map_or(Found::None, Found::One)
    }

    /// The account that was made first.
    pub fn first(&self) -> Option<&Account> {
        self.accounts.values().next()
    }

    /// Whether an account has a name or an alias in `domain` (lower case).
    pub fn has_domain(&self, domain: &str) -> bool {
        self.domains.contains_key(domain)
    }

    /// All accounts in the order of their creation.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }
}

fn addresses(account: &Account) -> impl Iterator<Item = &String> {
    std::iter::once(&account.name).chain(&account.aliases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: u64, name: &str, aliases: &[&str]) -> Account {
        let aliases = aliases.iter().map(|alias| alias.to_string()).collect();
        Account { id, name: name.into(), password: "$".into(), aliases, enabled: true, quota: None }
    }

    #[test]
    fn names_and_aliases_find_whatever_the_case() {
        let mut book = Book::default();
        book.put(account(7, "Anna@example.org", &["info@example.org"]));
        assert_eq!(book.find("aNNA@EXAMPLE.org").map(|a| a.id), Some(7));
        assert_eq!(book.find("INFO@example.org").map(|a| a.id), Some(7));
        assert_eq!(book.find("anna@example.com"), None);
        assert!(book.has_domain("example.org"));
    }

    #[test]
    fn a_bare_name_must_be_the_only_one() {
        let mut book = Book::default();
        book.put(account(1, "anna@example.org", &["anna@example.com"]));
        assert!(matches!(book.find_login("Anna", None), Found::One(a) if a.id == 1));
        book.put(account(2, "anna@example.net", &[]));
        assert_eq!(book.find_login("anna", None), Found::Ambiguous);
        assert!(matches!(book.find_login("anna", Some("example.net")), Found::One(a) if a.id == 2));
        assert_eq!(book.find_login("bob", None), Found::None);
    }

    #[test]
    fn replacing_keeps_the_place_and_forgets_old_aliases() {
        let mut book = Book::default();
        book.put(account(1, "a@x", &["old@y"]));
        book.put(account(2, "b@x", &[]));
        book.put(account(1, "a@x", &["new@z"]));
        assert_eq!(book.first().map(|a| a.id), Some(1));
        assert_eq!(book.find("old@y"), None);
        assert!(!book.has_domain("y") && book.has_domain("z") && book.has_domain("x"));
        book.remove(1);
        assert_eq!(book.first().map(|a| a.id), Some(2));
        assert!(book.has_domain("x") && !book.has_domain("z"));
        book.remove(2);
        assert!(book.is_empty() && !book.has_domain("x"));
    }
}
