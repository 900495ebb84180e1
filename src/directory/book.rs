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
    /// Other names to log in with, in the form of [`name::login_name`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Domains, in lower case, whose mail comes here where nobody else is meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catch_all: Vec<String>,
}

impl Account {
    /// An account that has nothing but a name and a password.
    pub fn new(id: u64, name: String, password: String) -> Account {
        Account {
            id,
            name,
            password,
            aliases: Vec::new(),
            enabled: true,
            quota: None,
            names: Vec::new(),
            catch_all: Vec::new(),
        }
    }

    /// Its name and its aliases.
    pub fn addresses(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.name).chain(&self.aliases)
    }

    /// What its other names are looked up by: each whole, and its common name where it has more parts than that.
    fn login_keys(&self) -> impl Iterator<Item = String> {
        self.names.iter().flat_map(|name| {
            let whole = name::login_key(name);
            let common = whole.split_once('/').map(|(common, _)| common.to_string());
            std::iter::once(whole).chain(common)
        })
    }
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
    logins: BTreeMap<String, Vec<u64>>,
    domains: BTreeMap<String, usize>,
    catch_alls: BTreeMap<String, u64>,
    next_place: u64,
}

impl Book {
    /// Adds `account`, or puts it in the place of the one with its id.
    pub fn put(&mut self, account: Account) {
        let place = self.remove(account.id).unwrap_or_else(|| {
            self.next_place += 1;
            self.next_place
        });
        for address in account.addresses() {
            let key = name::key(address);
            if let Some((local, domain)) = key.rsplit_once('@') {
                self.locals.entry(local.to_string()).or_default().push(place);
                *self.domains.entry(domain.to_string()).or_default() += 1;
            }
            self.names.insert(key, place);
        }
        for key in account.login_keys() {
            self.logins.entry(key).or_default().push(place);
        }
        for domain in &account.catch_all {
            *self.domains.entry(domain.clone()).or_default() += 1;
            self.catch_alls.insert(domain.clone(), place);
        }
        self.places.insert(account.id, place);
        self.accounts.insert(place, account);
    }

    /// Takes the account with `id` out, and returns the place where it stood.
    pub fn remove(&mut self, id: u64) -> Option<u64> {
        let place = self.places.remove(&id)?;
        let account = self.accounts.remove(&place)?;
        for address in account.addresses() {
            let key = name::key(address);
            if let Some((local, domain)) = key.rsplit_once('@') {
                take_one(&mut self.locals, local, place);
                self.count_down(domain);
            }
            self.names.remove(&key);
        }
        for key in account.login_keys() {
            take_one(&mut self.logins, &key, place);
        }
        for domain in &account.catch_all {
            self.count_down(domain);
            // A record that gives a domain to another account takes it from this one only afterwards.
            if self.catch_alls.get(domain) == Some(&place) {
                self.catch_alls.remove(domain);
            }
        }
        Some(place)
    }

    fn count_down(&mut self, domain: &str) {
        if let Some(count) = self.domains.get_mut(domain) {
            *count -= 1;
            if *count == 0 {
                self.domains.remove(domain);
            }
        }
    }

    /// The account with that name or alias, whatever the case.
    pub fn find(&self, address: &str) -> Option<&Account> {
        self.names.get(&name::key(address)).and_then(|place| self.accounts.get(place))
    }

    /// The account with that id.
    pub fn by_id(&self, id: u64) -> Option<&Account> {
        self.places.get(&id).and_then(|place| self.accounts.get(place))
    }

    /// Who logs in as `login`: a name, an alias, their local part alone (in `default_domain`, where there is one), another
    /// name or its common name (R-AUTH-4, `login_names = "fewer"`). Sub-addresses and catch-alls are for mail alone.
    pub fn find_login(&self, login: &str, default_domain: Option<&str>) -> Found<'_> {
        if login.contains('@') {
            return self.find(login).map_or(Found::None, Found::One);
        }
        let known = self.logins.get(&name::login_key(login)).map_or(&[][..], Vec::as_slice);
        self.only_one(known.iter().chain(self.local_places(login, default_domain)))
    }

    /// Whom mail for a local part without a domain means: the only one who has it (in `default_domain`, where there is
    /// one).
    pub fn find_local_part(&self, local_part: &str, default_domain: Option<&str>) -> Found<'_> {
        self.only_one(self.local_places(local_part, default_domain).iter())
    }

    fn local_places(&self, local_part: &str, default_domain: Option<&str>) -> &[u64] {
        match default_domain {
            Some(domain) => {
                self.names.get(&name::key(&format!("{local_part}@{domain}"))).map_or(&[], std::slice::from_ref)
            }
            None => self.locals.get(&name::key(local_part)).map_or(&[], Vec::as_slice),
        }
    }

    fn only_one<'a>(&self, mut places: impl Iterator<Item = &'a u64>) -> Found<'_> {
        let Some(first) = places.next() else { return Found::None };
        if places.any(|place| place != first) {
            return Found::Ambiguous;
        }
        self.accounts.get(first).map_or(Found::None, Found::One)
    }

    /// Who was given `login_name` as another name, whole.
    pub fn named(&self, login_name: &str) -> Option<&Account> {
        let key = name::login_key(login_name);
        let places = self.logins.get(&key)?;
        let whole = |account: &&Account| account.names.iter().any(|name| name::login_key(name) == key);
        places.iter().filter_map(|place| self.accounts.get(place)).find(whole)
    }

    /// Who takes the mail of `domain` (lower case) that is for nobody else.
    pub fn catch_all(&self, domain: &str) -> Option<&Account> {
        self.catch_alls.get(domain).and_then(|place| self.accounts.get(place))
    }

    /// The domains of all addresses and catch-alls, each with how many addresses it has.
    pub fn domains(&self) -> impl Iterator<Item = (&str, usize)> {
        self.domains
            .iter()
            .map(|(domain, &count)| (domain.as_str(), count - usize::from(self.catch_alls.contains_key(domain))))
    }

    /// The account that was made first.
    pub fn first(&self) -> Option<&Account> {
        self.accounts.values().next()
    }

    /// Whether an account has a name, an alias or a catch-all in `domain` (lower case).
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

/// Takes one `place` out of those of `key`, and the key with its last one.
fn take_one(places_by_key: &mut BTreeMap<String, Vec<u64>>, key: &str, place: u64) {
    let Some(places) = places_by_key.get_mut(key) else { return };
    if let Some(at) = places.iter().position(|&other| other == place) {
        places.remove(at);
    }
    if places.is_empty() {
        places_by_key.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| text.to_string()).collect()
    }

    fn account(id: u64, name: &str, aliases: &[&str]) -> Account {
        Account { aliases: texts(aliases), ..Account::new(id, name.into(), "$".into()) }
    }

    fn known_as(id: u64, name: &str, names: &[&str]) -> Account {
        Account { names: texts(names), ..Account::new(id, name.into(), "$".into()) }
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

    #[test]
    fn other_names_log_in_whole_or_by_their_common_name() {
        let mut book = Book::default();
        book.put(known_as(1, "am@x", &["Anna Muster/Sales/ACME", "anna"]));
        for login in [
            "Anna Muster/Sales/ACME",
            "CN=anna muster/OU=sales/O=acme",
            "Anna  Muster",
            "cn=Anna Muster",
            "ANNA",
            "am",
            "am@x",
        ] {
            assert!(matches!(book.find_login(login, None), Found::One(a) if a.id == 1), "{login}");
        }
        for login in ["Sales", "Anna Muster/Sales", "Anna Muster/Sales/ACME/DE", "anna@x", "Muster", "", "cn=", "/"] {
            assert_eq!(book.find_login(login, None), Found::None, "{login}");
        }
        assert_eq!(book.find_local_part("anna", None), Found::None, "no address");
        book.put(account(1, "am@x", &[]));
        assert_eq!(book.find_login("Anna Muster", None), Found::None, "names that were taken away");
        assert!(book.logins.is_empty());
    }

    #[test]
    fn a_name_of_two_is_nobody_s() {
        let mut book = Book::default();
        book.put(known_as(1, "am@x", &["Anna Muster/Sales/ACME", "Anna Muster/ACME"]));
        assert!(matches!(book.find_login("Anna Muster", None), Found::One(_)), "twice the same account");
        book.put(known_as(2, "am2@x", &["Anna Muster/Research/ACME"]));
        assert_eq!(book.find_login("Anna Muster", None), Found::Ambiguous);
        assert_eq!(book.find_login("CN=Anna Muster", Some("x")), Found::Ambiguous);
        assert!(matches!(book.find_login("anna muster/research/acme", None), Found::One(a) if a.id == 2));
        // One's other name is another's local part.
        book.put(known_as(3, "bob@x", &["am2"]));
        assert_eq!(book.find_login("am2", None), Found::Ambiguous);
        assert_eq!(book.find_login("am2", Some("x")), Found::Ambiguous);
        assert!(matches!(book.find_login("am2", Some("y")), Found::One(a) if a.id == 3));
        assert!(matches!(book.find_local_part("am2", None), Found::One(a) if a.id == 2));
        book.remove(2);
        assert!(matches!(book.find_login("Anna Muster", None), Found::One(a) if a.id == 1));
    }

    #[test]
    fn a_catch_all_makes_a_domain_and_moves() {
        let mut book = Book::default();
        let catching = |id, name: &str, domains| Account { catch_all: texts(domains), ..account(id, name, &[]) };
        book.put(catching(1, "a@x", &["y", "x"]));
        book.put(account(2, "b@x", &[]));
        assert!(book.has_domain("y"));
        assert_eq!(book.domains().collect::<Vec<_>>(), [("x", 2), ("y", 0)]);
        assert_eq!(book.catch_all("y").map(|a| a.id), Some(1));
        // In one record, the new one first or last.
        book.put(catching(2, "b@x", &["y"]));
        book.put(catching(1, "a@x", &["x"]));
        assert_eq!(book.catch_all("y").map(|a| a.id), Some(2));
        assert_eq!(book.catch_all("x").map(|a| a.id), Some(1));
        book.remove(2);
        assert!(book.catch_all("y").is_none() && !book.has_domain("y"));
        assert_eq!(book.domains().collect::<Vec<_>>(), [("x", 1)]);
    }
}
