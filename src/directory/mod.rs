//! Names and passwords: the embedded directory, in one file of the data folder.
//!
//! [`Directory`] is the file and the accounts, for a tool that holds the data folder alone. A server gives it a thread
//! ([`Directory::start`]) and asks through a [`Handle`]: logins, recipients, changes. Invariants: a change is on the disk
//! before it is acknowledged; the thread answers names while passwords are hashed on the service pool; a question is
//! answered, or its reply dropped, whatever fails. Not here: LDAP, SQL, SCRAM keys, client certificates.

mod addresses;
pub mod aging;
pub mod book;
pub mod change;
pub mod credential;
pub mod error;
pub mod gate;
pub mod inspect;
pub mod journal;
pub mod lockout;
pub mod name;
pub mod secret;
mod thread;

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::config::data::replace_file;
pub use addresses::Addresses;
use book::{Account, Book, Found};
pub use change::{Change, Domain, Edit, Quota};
pub use credential::Cost;
pub use error::{Error, Refusal};
pub use gate::{Login, Verdict};
pub use inspect::{Fault, Inspected, inspect};
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

impl Settings {
    /// Those of a server with that configuration.
    pub fn of(config: &Config) -> Settings {
        let Config { domains, default_domain, .. } = config;
        Settings { domains: domains.clone(), default_domain: default_domain.clone(), cost: Cost::default() }
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
    /// Its other login names.
    pub names: Vec<String>,
    /// Octets of mail that it may hold; `None`: no limit.
    pub quota: Option<u64>,
    /// Domains whose mail comes to it where it is for nobody else.
    pub catch_all: Vec<String>,
}

impl From<&Account> for Listed {
    fn from(account: &Account) -> Listed {
        let Account { id, name, password: _, aliases, enabled, quota, names, catch_all } = account.clone();
        Listed { account: id, name, aliases, enabled, names, quota, catch_all }
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
            accounts.push(Account::new(id, name.into(), hash));
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

    /// Whom mail for `address` goes to: the first of
    /// - the account of that name or alias;
    /// - for a sub-address, `local+detail@domain`, the account of `local@domain` (RFC 5233 §1), of several `local`s the
    ///   longest that there is;
    /// - for `postmaster` of a local domain, or without one, the account that was made first: it is always somebody
    ///   (RFC 5321 §4.5.1);
    /// - the domain's catch-all.
    pub fn resolve(&self, address: &str) -> Resolved {
        let found = match address.rsplit_once('@') {
            Some((_, domain)) if !self.is_local(domain) => return Resolved::NotLocal,
            Some((local, domain)) => self
                .book
                .find(address)
                .or_else(|| self.sub_address(local, domain))
                .or_else(|| self.postmaster(local))
                .or_else(|| self.book.catch_all(&domain.to_ascii_lowercase())),
            None => match self.book.find_local_part(address, self.settings.default_domain.as_deref()) {
                Found::One(account) => Some(account),
                Found::None | Found::Ambiguous => self.postmaster(address),
            },
        };
        match found {
            Some(account) => {
                Resolved::Account { account: account.id, name: account.name.clone(), quota: account.quota }
            }
            None => Resolved::NoSuchUser,
        }
    }

    // What stands behind a `+` is the user's own matter.
    fn sub_address(&self, local: &str, domain: &str) -> Option<&Account> {
        local.rmatch_indices('+').find_map(|(at, _)| self.book.find(&format!("{}@{domain}", &local[..at])))
    }

    fn postmaster(&self, local: &str) -> Option<&Account> {
        self.book.first().filter(|_| local.eq_ignore_ascii_case("postmaster"))
    }

    /// Whether mail for `domain` is for this server.
    pub fn is_local(&self, domain: &str) -> bool {
        let domain = domain.to_ascii_lowercase();
        match self.settings.domains.as_slice() {
            [] => self.book.has_domain(&domain),
            domains => domains.contains(&domain),
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
        Change::Add { name: name.into(), password: Secret::from(password.to_string()), edit: Edit::default() }
    }

    fn names(directory: &Directory) -> Vec<String> {
        directory.accounts().into_iter().map(|listed| listed.name).collect()
    }

    #[test]
    fn addresses_resolve() {
        let folder = scratch("directory-resolve");
        let mut directory = Directory::open(&folder, settings(&[])).unwrap();
        assert_eq!(directory.resolve("postmaster"), Resolved::NoSuchUser);
        let a = directory.change(add("a@localhost", "pw")).unwrap();
        let edit = Edit { aliases: vec!["Postmaster@example.org".to_string()], ..Edit::default() };
        let password = Secret::from("pw".to_string());
        let b = directory.change(Change::Add { name: "b@localhost".into(), password, edit }).unwrap();
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
    fn sub_addresses_postmasters_and_catch_alls_come_in_this_order() {
        let folder = scratch("directory-order");
        let mut directory = Directory::open(&folder, settings(&["x", "y"])).unwrap();
        let edit = |aliases: &[&str]| Edit {
            aliases: aliases.iter().map(|alias| alias.to_string()).collect(),
            names: vec!["Anna Muster".into(), "short".into()],
            ..Edit::default()
        };
        directory.change(add("first@x", "pw")).unwrap();
        directory.change(add("anna@x", "pw")).unwrap();
        directory.change(Change::Set { name: "anna@x".into(), edit: edit(&["info@y", "a+b@x"]) }).unwrap();
        directory.change(add("info+exact@y", "pw")).unwrap();
        directory.change(add("bin@y", "pw")).unwrap();
        let who = |directory: &Directory, address: &str| match directory.resolve(address) {
            Resolved::Account { name, .. } => name,
            other => format!("{other:?}"),
        };
        for (address, expected) in [
            ("anna+lists@x", "anna@x"),
            ("ANNA+Lists+deep@X", "anna@x"),
            ("anna+@x", "anna@x"),
            ("info+shop@y", "anna@x"),
            ("info+exact@y", "info+exact@y"),
            ("info+exact+more@y", "info+exact@y"),
            ("a+b+c@x", "anna@x"),
            ("a+c@x", "NoSuchUser"),
            ("+anna@x", "NoSuchUser"),
            ("+@x", "NoSuchUser"),
            ("anna-lists@x", "NoSuchUser"),
            ("anna+lists@y", "NoSuchUser"),
            ("anna+lists@z", "NotLocal"),
            ("anna+lists", "NoSuchUser"),
            ("short@x", "NoSuchUser"),
            ("short", "NoSuchUser"),
            ("postmaster@y", "first@x"),
        ] {
            assert_eq!(who(&directory, address), expected, "{address}");
        }
        directory.set_catch_all("Y", Some("bin@y")).unwrap();
        for (address, expected) in [
            ("nobody@y", "bin@y"),
            ("nobody+detail@Y", "bin@y"),
            ("info+shop@y", "anna@x"),
            ("info@y", "anna@x"),
            ("postmaster@y", "first@x"),
            ("nobody@x", "NoSuchUser"),
            ("nobody@z", "NotLocal"),
            ("nobody", "NoSuchUser"),
        ] {
            assert_eq!(who(&directory, address), expected, "{address}");
        }
        for login in ["anna+lists@x", "nobody@y", "anna+lists", "nobody"] {
            assert_eq!(directory.book.find_login(login, None), Found::None, "{login}: for mail, not for logins");
        }
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
