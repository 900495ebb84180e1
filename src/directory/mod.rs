//! Names and passwords: the embedded directory, in one file of the data folder.
//!
//! [`Directory`] is the file and the accounts, for a tool that holds the data folder alone. A server gives it a thread
//! ([`Directory::start`]) and asks through a [`Handle`]: logins, recipients, changes. Invariants: a change is on the disk
//! before it is acknowledged; the thread answers names while passwords are hashed on the service pool; a question is
//! answered, or its reply dropped, whatever fails. Not here: LDAP, SQL, SCRAM keys, client certificates.

pub mod aging;
pub mod book;
pub mod credential;
pub mod error;
pub mod gate;
pub mod journal;
pub mod lockout;
pub mod name;
pub mod secret;
mod thread;

use std::path::{Path, PathBuf};

use crate::config::data::replace_file;
use crate::limits::{ACCOUNTS_MAX, ALIASES_MAX};
use book::{Account, Book, Found};
pub use credential::Cost;
pub use error::{Error, Refusal};
pub use gate::{Login, Verdict};
use journal::{Journal, Record};
pub use secret::Secret;
pub use thread::Handle;

/// What the configuration says about names.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The local domains in lower case; empty: those of the accounts.
    pub domains: Vec<String>,
    /// The domain of a login name that has none.
    pub default_domain: Option<String>,
    /// What hashing a new password costs.
    pub cost: Cost,
}

/// A change to the accounts.
#[derive(Debug)]
pub enum Change {
    /// Makes an account.
    Add {
        /// `local@domain`.
        name: String,
        /// Its password.
        password: Secret,
        /// Other addresses of it.
        aliases: Vec<String>,
    },
    /// Sets the password of an account.
    Password {
        /// The account's name.
        name: String,
        /// The new password.
        password: Secret,
    },
    /// Lets an account log in, or not.
    Enable {
        /// The account's name.
        name: String,
        /// Whether it may.
        enabled: bool,
    },
    /// Removes an account.
    Delete {
        /// The account's name.
        name: String,
    },
}

impl Change {
    /// The password that has to be hashed first.
    fn password(&self) -> Option<&Secret> {
        match self {
            Change::Add { password, .. } | Change::Password { password, .. } => Some(password),
            Change::Enable { .. } | Change::Delete { .. } => None,
        }
    }
}

/// An account as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its number.
    pub account: u64,
    /// Its name.
    pub name: String,
    /// Its other addresses.
    pub aliases: Vec<String>,
    /// Whether it may log in.
    pub enabled: bool,
}

impl From<&Account> for Listed {
    fn from(account: &Account) -> Listed {
        let Account { id, name, aliases, enabled, .. } = account;
        Listed { account: *id, name: name.clone(), aliases: aliases.clone(), enabled: *enabled }
    }
}

/// Whom an address belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolved {
    /// An account of this server.
    Account {
        /// Its number.
        account: u64,
        /// Its name.
        name: String,
        /// Octets of mail that it may hold; `None`: no limit.
        quota: Option<u64>,
    },
    /// The domain is ours, and nobody there is called so.
    NoSuchUser,
    /// The domain isn't ours.
    NotLocal,
    /// The directory can't say now.
    Unavailable,
}

/// One of the two accounts that the first start of an embedded server makes.
#[derive(Debug)]
pub struct FirstLogin {
    /// `a@localhost` or `b@localhost`.
    pub name: String,
    /// Its random password.
    pub password: Secret,
}

/// The file and the accounts. Its owner holds the data folder's lock.
#[derive(Debug)]
pub struct Directory {
    folder: PathBuf,
    settings: Settings,
    journal: Journal,
    book: Book,
}

impl Directory {
    /// Opens the directory of a data folder, or makes it.
    pub fn open(folder: &Path, settings: Settings) -> Result<Directory, Error> {
        let (journal, book) = Journal::open(&folder.join("directory"))?;
        Ok(Directory { folder: folder.to_path_buf(), settings, journal, book })
    }

    /// All accounts in the order of their creation.
    pub fn accounts(&self) -> Vec<Listed> {
        self.book.iter().map(Listed::from).collect()
    }

    /// Makes a change, hashing on this thread.
    pub fn change(&mut self, change: Change) -> Result<Listed, Refusal> {
        self.check(&change)?;
        let hash = change.password().map(|password| hash(password, self.settings.cost)).transpose()?;
        self.apply(change, hash, new_id()?)
    }

    /// Makes `a@localhost` and `b@localhost` with random passwords, and `FIRST-LOGIN` that names them, where there
    /// never was an account; `None` where there was. The file comes first: a crash behind it leaves no account, and
    /// the next start writes both anew.
    pub fn first_login(&mut self) -> Result<Option<Vec<FirstLogin>>, Error> {
        if !self.journal.fresh() {
            return Ok(None);
        }
        let mut logins = Vec::new();
        let mut accounts = Vec::new();
        for name in ["a@localhost", "b@localhost"] {
            let octets = credential::random().ok_or(Error::NoHash)?;
            let password = Secret::from(credential::readable_password(octets));
            let salt = credential::random().ok_or(Error::NoHash)?;
            let hash = credential::hash(&password, salt, self.settings.cost).ok_or(Error::NoHash)?;
            let id = u64::from_be_bytes(credential::random().ok_or(Error::NoHash)?);
            accounts.push(Account {
                id,
                name: name.into(),
                password: hash,
                aliases: Vec::new(),
                enabled: true,
                quota: None,
            });
            logins.push(FirstLogin { name: name.into(), password });
        }
        let path = self.folder.join("FIRST-LOGIN");
        let written = replace_file(&path, 0o600, |out| {
            logins.iter().try_for_each(|login| {
                out.write_all(login.name.as_bytes())?;
                out.write_all(b" ")?;
                out.write_all(login.password.as_bytes())?;
                out.write_all(b"\n")
            })
        });
        written.map_err(|error| Error::Io { file: path, doing: "write", error })?;
        // One record: both accounts or none.
        self.journal.append(&Record::Put(accounts.clone()))?;
        accounts.into_iter().for_each(|account| self.book.put(account));
        Ok(Some(logins))
    }

    /// Whom mail for `address` goes to. `postmaster` of a local domain, or without one, is always somebody (RFC 5321
    /// §4.5.1): the account or alias of that name, else the account that was made first.
    pub fn resolve(&self, address: &str) -> Resolved {
        let found = match address.rsplit_once('@') {
            Some((_, domain)) if !self.is_local(domain) => return Resolved::NotLocal,
            Some(_) => self.book.find(address),
            None => match self.book.find_login(address, self.settings.default_domain.as_deref()) {
                Found::One(account) => Some(account),
                Found::None | Found::Ambiguous => None,
            },
        };
        let local_part = address.rsplit_once('@').map_or(address, |(local, _)| local);
        let postmaster = || self.book.first().filter(|_| local_part.eq_ignore_ascii_case("postmaster"));
        match found.or_else(postmaster) {
            Some(account) => {
                Resolved::Account { account: account.id, name: account.name.clone(), quota: account.quota }
            }
            None => Resolved::NoSuchUser,
        }
    }

    /// Whether mail for `domain` is for this server.
    pub fn is_local(&self, domain: &str) -> bool {
        let domain = domain.to_ascii_lowercase();
        match self.settings.domains.as_slice() {
            [] => self.book.has_domain(&domain),
            domains => domains.contains(&domain),
        }
    }

    /// What can be said against a change before its password is hashed.
    fn check(&self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::Add { name, password, aliases } => {
                if self.book.len() >= ACCOUNTS_MAX {
                    return Err(Refusal::Full("a million accounts"));
                }
                if aliases.len() > ALIASES_MAX {
                    return Err(Refusal::Full("100 aliases of an account"));
                }
                self.free_name(name)?;
                for (at, alias) in aliases.iter().enumerate() {
                    let alias_key = name::key(alias);
                    let mut earlier = aliases[..at].iter().chain(std::iter::once(name));
                    if earlier.any(|other| name::key(other) == alias_key) {
                        return Err(Refusal::NameTaken(alias.clone()));
                    }
                    self.free_name(alias)?;
                }
                credential::acceptable(password)
            }
            Change::Password { name, password } => {
                self.named(name)?;
                credential::acceptable(password)
            }
            Change::Enable { name, .. } | Change::Delete { name } => self.named(name).map(drop),
        }
    }

    // The stored form of a name that nobody has yet, in a domain of ours.
    fn free_name(&self, text: &str) -> Result<String, Refusal> {
        let name = name::account_name(text).map_err(|fault| Refusal::Name(text.to_string(), fault))?;
        let domain = name.rsplit_once('@').map_or("", |(_, domain)| domain);
        if !self.settings.domains.is_empty() && !self.is_local(domain) {
            return Err(Refusal::NotLocal { domains: self.settings.domains.clone(), name });
        }
        if self.book.find(&name).is_some() {
            return Err(Refusal::NameTaken(name));
        }
        Ok(name)
    }

    // The account of that very name; an alias names no account that is to be changed.
    fn named(&self, name: &str) -> Result<&Account, Refusal> {
        let named = |account: &&Account| name::key(&account.name) == name::key(name);
        self.book.find(name).filter(named).ok_or_else(|| Refusal::NoSuchAccount(name.to_string()))
    }

    /// Writes a change down and makes it. `hash` is that of its password, `id` a random number for a new account.
    fn apply(&mut self, change: Change, hash: Option<String>, id: u64) -> Result<Listed, Refusal> {
        // Once more: another change may have come between the check and the end of the hash.
        self.check(&change)?;
        let hash = hash.ok_or(Refusal::Storage(Error::NoHash));
        let account = match change {
            Change::Delete { name } => {
                let listed = Listed::from(self.named(&name)?);
                self.journal.append(&Record::Delete(listed.account)).map_err(Refusal::Storage)?;
                self.book.remove(listed.account);
                self.compact();
                return Ok(listed);
            }
            Change::Add { name, aliases, .. } => {
                let name = self.free_name(&name)?;
                let aliases = aliases.iter().map(|alias| self.free_name(alias)).collect::<Result<_, _>>()?;
                if self.book.by_id(id).is_some() {
                    return Err(Refusal::Storage(Error::NoHash));
                }
                Account { id, name, password: hash?, aliases, enabled: true, quota: None }
            }
            Change::Password { name, .. } => Account { password: hash?, ..self.named(&name)?.clone() },
            Change::Enable { name, enabled } => Account { enabled, ..self.named(&name)?.clone() },
        };
        self.journal.append(&Record::Put(vec![account.clone()])).map_err(Refusal::Storage)?;
        let listed = Listed::from(&account);
        self.book.put(account);
        self.compact();
        Ok(listed)
    }

    fn compact(&mut self) {
        // The change itself is safe: a compaction that fails is the next one's business.
        if let Err(error) = self.journal.compact_if_worthwhile(&self.book) {
            tracing::error!("{error}");
        }
    }
}

fn hash(password: &Secret, cost: Cost) -> Result<String, Refusal> {
    let salt = credential::random().ok_or(Refusal::Storage(Error::NoHash))?;
    credential::hash(password, salt, cost).ok_or(Refusal::Storage(Error::NoHash))
}

fn new_id() -> Result<u64, Refusal> {
    credential::random().map(u64::from_be_bytes).ok_or(Refusal::Storage(Error::NoHash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::data::scratch;

    pub(super) fn settings(domains: &[&str]) -> Settings {
        let domains = domains.iter().map(|domain| domain.to_string()).collect();
        Settings { domains, default_domain: None, cost: Cost { memory_kib: 8, passes: 1 } }
    }

    pub(super) fn add(name: &str, password: &str) -> Change {
        Change::Add { name: name.into(), password: Secret::from(password.to_string()), aliases: vec![] }
    }

    fn names(directory: &Directory) -> Vec<String> {
        directory.accounts().into_iter().map(|listed| listed.name).collect()
    }

    #[test]
    fn changes_survive_a_restart() {
        let folder = scratch("directory-changes");
        let mut directory = Directory::open(&folder, settings(&[])).unwrap();
        let anna = directory.change(add("Anna@Example.org", "one")).unwrap();
        directory.change(add("bob@example.org", "two")).unwrap();
        let before = directory.book.by_id(anna.account).unwrap().password.clone();
        let password = Secret::from("new".to_string());
        directory.change(Change::Password { name: "anna@example.ORG".into(), password }).unwrap();
        directory.change(Change::Delete { name: "bob@example.org".into() }).unwrap();
        directory.change(Change::Enable { name: "anna@example.org".into(), enabled: false }).unwrap();
        drop(directory);
        let directory = Directory::open(&folder, settings(&[])).unwrap();
        let listed = Listed { name: "Anna@example.org".into(), enabled: false, ..anna };
        assert_eq!(directory.accounts(), [listed]);
        let after = &directory.book.first().unwrap().password;
        assert_ne!(*after, before);
        assert!(credential::verify(after, &Secret::from("new".to_string())));
        assert!(!std::fs::read_to_string(folder.join("directory")).unwrap().contains("new"));
    }

    #[test]
    fn what_is_refused_is_not_written() {
        let folder = scratch("directory-refused");
        let mut directory = Directory::open(&folder, settings(&["x", "y"])).unwrap();
        let aliases = vec!["info@x".to_string()];
        let password = || Secret::from("pw".to_string());
        directory.change(Change::Add { name: "a@x".into(), password: password(), aliases }).unwrap();
        let before = std::fs::read(folder.join("directory")).unwrap();
        let alias = |name: &str, aliases: &[&str]| Change::Add {
            name: name.into(),
            password: password(),
            aliases: aliases.iter().map(|alias| alias.to_string()).collect(),
        };
        for (change, part) in [
            (add("A@X", "pw"), "already"),
            (add("info@x", "pw"), "already"),
            (add("b@z", "pw"), "not one of this server's: x, y"),
            (add("b", "pw"), "local@domain"),
            (add("b@x", ""), "empty"),
            (alias("b@x", &["c@y", "C@y"]), "already"),
            (alias("b@x", &["B@x"]), "already"),
            (alias("b@x", &["info@x"]), "already"),
            (Change::Delete { name: "info@x".into() }, "no account"),
            (Change::Delete { name: "b@x".into() }, "no account"),
            (Change::Password { name: "b@x".into(), password: password() }, "no account"),
            (Change::Password { name: "a@x".into(), password: Secret::new(vec![]) }, "empty"),
        ] {
            let refused = directory.change(change).unwrap_err().to_string();
            assert!(refused.contains(part), "{refused}");
        }
        assert_eq!(std::fs::read(folder.join("directory")).unwrap(), before);
    }

    #[test]
    fn addresses_resolve() {
        let folder = scratch("directory-resolve");
        let mut directory = Directory::open(&folder, settings(&[])).unwrap();
        assert_eq!(directory.resolve("postmaster"), Resolved::NoSuchUser);
        let a = directory.change(add("a@localhost", "pw")).unwrap();
        let aliases = vec!["Postmaster@example.org".to_string()];
        let password = Secret::from("pw".to_string());
        let b = directory.change(Change::Add { name: "b@localhost".into(), password, aliases }).unwrap();
        let is =
            |listed: &Listed| Resolved::Account { account: listed.account, name: listed.name.clone(), quota: None };
        assert_eq!(directory.resolve("A@LocalHost"), is(&a));
        assert_eq!(directory.resolve("c@localhost"), Resolved::NoSuchUser);
        assert_eq!(directory.resolve("a@example.com"), Resolved::NotLocal);
        assert_eq!(directory.resolve("a@example.org"), Resolved::NoSuchUser, "a domain of an alias is ours");
        assert_eq!(directory.resolve("postmaster@example.org"), is(&b));
        assert_eq!(directory.resolve("POSTMASTER@localhost"), is(&a));
        assert_eq!(directory.resolve("postmaster@example.com"), Resolved::NotLocal);
        assert_eq!(directory.resolve("Postmaster"), is(&b));
        assert_eq!(directory.resolve(""), Resolved::NoSuchUser);
        assert_eq!(directory.resolve("@"), Resolved::NotLocal);
        let directory = Directory::open(&folder, settings(&["example.net"])).unwrap();
        assert_eq!(directory.resolve("a@localhost"), Resolved::NotLocal, "the configured domains and no other");
        assert_eq!(directory.resolve("a@Example.NET"), Resolved::NoSuchUser);
    }

    #[test]
    fn the_first_start_makes_two_accounts_once() {
        let folder = scratch("directory-first");
        let mut directory = Directory::open(&folder, settings(&[])).unwrap();
        let logins = directory.first_login().unwrap().unwrap();
        assert_eq!(names(&directory), ["a@localhost", "b@localhost"]);
        let text = std::fs::read_to_string(folder.join("FIRST-LOGIN")).unwrap();
        let expected: String =
            logins.iter().map(|l| format!("{} {}\n", l.name, l.password.as_text().unwrap())).collect();
        assert_eq!(text, expected);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(folder.join("FIRST-LOGIN")).unwrap().permissions().mode() & 0o777, 0o600);
        for login in &logins {
            assert!(credential::verify(&directory.book.find(&login.name).unwrap().password, &login.password));
        }
        assert!(directory.first_login().unwrap().is_none());
        for name in ["a@localhost", "b@localhost"] {
            directory.change(Change::Delete { name: name.into() }).unwrap();
        }
        let mut directory = Directory::open(&folder, settings(&[])).unwrap();
        assert!(directory.first_login().unwrap().is_none(), "an emptied directory is not a new one");
    }

    #[test]
    fn a_first_start_that_was_cut_short_is_made_up_for() {
        let folder = scratch("directory-first-cut");
        let mut directory = Directory::open(&folder, settings(&[])).unwrap();
        let empty = std::fs::read(folder.join("directory")).unwrap();
        let old = directory.first_login().unwrap().unwrap();
        let whole = std::fs::read(folder.join("directory")).unwrap();
        drop(directory);
        for length in (empty.len()..whole.len()).step_by(7) {
            std::fs::write(folder.join("directory"), &whole[..length]).unwrap();
            let mut directory = Directory::open(&folder, settings(&[])).unwrap();
            assert!(directory.accounts().is_empty(), "both or none, cut at {length}");
            let logins = directory.first_login().unwrap().expect("a new pair");
            assert_ne!(logins[0].password, old[0].password);
            let text = std::fs::read_to_string(folder.join("FIRST-LOGIN")).unwrap();
            assert!(text.contains(logins[1].password.as_text().unwrap()));
            assert!(credential::verify(&directory.book.first().unwrap().password, &logins[0].password));
        }
    }
}
