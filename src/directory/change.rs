//! Changes to the accounts: what an administrator may ask for, what is said against it, how it is written down.
//!
//! Invariants: a change is checked before its password is hashed and once more when it is made, since another may have
//! come between; it is on the disk before it shows in the book; what is refused leaves no trace. An account keeps its
//! number whatever its name becomes, and with it its mail. What is deleted here is the account: its mail stays on the disk.

use serde::{Deserialize, Serialize};

use super::book::Account;
use super::error::{Error, Refusal};
use super::journal::Record;
use super::secret::Secret;
use super::{Directory, Listed, credential, name};
use crate::config::is_domain;
use crate::limits::{ACCOUNTS_MAX, ALIASES_MAX, CATCH_ALLS_MAX, LOGIN_NAMES_MAX};

/// A change to the accounts.
#[derive(Debug)]
pub enum Change {
    /// Makes an account.
    Add {
        /// `local@domain`.
        name: String,
        /// Its password.
        password: Secret,
        /// What it has beside them.
        edit: Edit,
    },
    /// Sets the password of an account.
    Password {
        /// The account's name.
        name: String,
        /// The new password.
        password: Secret,
    },
    /// Changes what an account has beside its password.
    Set {
        /// The account's name.
        name: String,
        /// What is changed.
        edit: Edit,
    },
    /// Removes an account.
    Delete {
        /// The account's name.
        name: String,
    },
}

/// What is to change of an account, in this order; what isn't named stays. Its form is that of the control protocol.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Edit {
    /// Its new name. An alias that is called so goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rename: Option<String>,
    /// Aliases that it has no more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_aliases: Vec<String>,
    /// New aliases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Other login names that it has no more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_names: Vec<String>,
    /// New other login names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// How much mail it may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// Whether it may log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// How much mail an account may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quota {
    /// As much as there is room for.
    None,
    /// So many octets.
    Octets(u64),
}

impl Change {
    /// The password that has to be hashed first.
    pub(super) fn password(&self) -> Option<&Secret> {
        match self {
            Change::Add { password, .. } | Change::Password { password, .. } => Some(password),
            Change::Set { .. } | Change::Delete { .. } => None,
        }
    }
}

/// A domain as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Domain {
    /// In lower case.
    pub name: String,
    /// Names and aliases in it.
    pub addresses: usize,
    /// The name of the account that takes the mail for nobody else.
    pub catch_all: Option<String>,
}

impl Directory {
    /// What can be said against a change before its password is hashed.
    pub(super) fn check(&self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::Add { name, password, edit } => {
                self.added(name, edit, 0)?;
                credential::acceptable(password)
            }
            Change::Password { name, password } => {
                self.named(name)?;
                credential::acceptable(password)
            }
            Change::Set { name, edit } => self.edited(self.named(name)?.clone(), edit).map(drop),
            Change::Delete { name } => self.named(name).map(drop),
        }
    }

    // The account that an Add makes, but for its password.
    fn added(&self, name: &str, edit: &Edit, id: u64) -> Result<Account, Refusal> {
        if self.book.len() >= ACCOUNTS_MAX {
            return Err(Refusal::Full("a million accounts"));
        }
        let name = self.free_name(name, None)?;
        self.edited(Account::new(id, name, String::new()), edit)
    }

    // The account with the changes of `edit`.
    fn edited(&self, mut account: Account, edit: &Edit) -> Result<Account, Refusal> {
        if let Some(name) = &edit.rename {
            account.name = self.free_name(name, Some(account.id))?;
            let key = name::key(&account.name);
            account.aliases.retain(|alias| name::key(alias) != key);
        }
        for alias in &edit.remove_aliases {
            let at = account.aliases.iter().position(|other| name::key(other) == name::key(alias));
            account.aliases.remove(at.ok_or_else(|| Refusal::NoSuchAlias(alias.clone()))?);
        }
        for alias in &edit.aliases {
            let alias = self.free_name(alias, Some(account.id))?;
            if account.addresses().any(|other| name::key(other) == name::key(&alias)) {
                return Err(Refusal::NameTaken(alias));
            }
            account.aliases.push(alias);
            if account.aliases.len() > ALIASES_MAX {
                return Err(Refusal::Full("100 aliases of an account"));
            }
        }
        edit_names(&mut account, edit)?;
        if let Some(name) = edit.names.iter().find(|name| self.book.named(name).is_some_and(|a| a.id != account.id)) {
            return Err(Refusal::NameTaken(name.clone()));
        }
        match edit.quota {
            Some(Quota::None) => account.quota = None,
            Some(Quota::Octets(octets)) => account.quota = Some(octets),
            None => {}
        }
        account.enabled = edit.enabled.unwrap_or(account.enabled);
        Ok(account)
    }

    // The stored form of a name that nobody has yet, but for the account `own`, in a domain of ours.
    fn free_name(&self, text: &str, own: Option<u64>) -> Result<String, Refusal> {
        let name = name::account_name(text).map_err(|fault| Refusal::Name(text.to_string(), fault))?;
        let domain = name.rsplit_once('@').map_or("", |(_, domain)| domain);
        if !self.settings.domains.is_empty() && !self.is_local(domain) {
            return Err(Refusal::NotLocal { domains: self.settings.domains.clone(), name });
        }
        match self.book.find(&name) {
            Some(other) if Some(other.id) != own => Err(Refusal::NameTaken(name)),
            _ => Ok(name),
        }
    }

    // The account of that very name; an alias names no account that is to be changed.
    fn named(&self, name: &str) -> Result<&Account, Refusal> {
        let named = |account: &&Account| name::key(&account.name) == name::key(name);
        self.book.find(name).filter(named).ok_or_else(|| Refusal::NoSuchAccount(name.to_string()))
    }

    /// Writes a change down and makes it. `hash` is that of its password, `id` a random number for a new account.
    pub(super) fn apply(&mut self, change: Change, hash: Option<String>, id: u64) -> Result<Listed, Refusal> {
        let hash = hash.ok_or(Refusal::Storage(Error::NoHash));
        let account = match change {
            Change::Delete { name } => {
                let listed = Listed::from(self.named(&name)?);
                self.journal.append(&Record::Delete(listed.account)).map_err(Refusal::Storage)?;
                self.book.remove(listed.account);
                self.compact();
                return Ok(listed);
            }
            Change::Add { .. } if self.book.by_id(id).is_some() => return Err(Refusal::Storage(Error::NoHash)),
            Change::Add { name, edit, .. } => Account { password: hash?, ..self.added(&name, &edit, id)? },
            Change::Password { name, .. } => Account { password: hash?, ..self.named(&name)?.clone() },
            Change::Set { name, edit } => self.edited(self.named(&name)?.clone(), &edit)?,
        };
        let listed = Listed::from(&account);
        self.put(vec![account])?;
        Ok(listed)
    }

    // One record: all of them or none.
    fn put(&mut self, accounts: Vec<Account>) -> Result<(), Refusal> {
        self.journal.append(&Record::Put(accounts.clone())).map_err(Refusal::Storage)?;
        accounts.into_iter().for_each(|account| self.book.put(account));
        self.compact();
        Ok(())
    }

    fn compact(&mut self) {
        // The change itself is safe: a compaction that fails is the next one's business.
        if let Err(error) = self.journal.compact_if_worthwhile(&self.book) {
            tracing::error!("{error}");
        }
    }

    /// The local domains: the configured ones in their order, else those of the accounts.
    pub fn domains(&self) -> Vec<Domain> {
        let shown = |name: &str, addresses| Domain {
            name: name.to_string(),
            addresses,
            catch_all: self.book.catch_all(name).map(|account| account.name.clone()),
        };
        if self.settings.domains.is_empty() {
            return self.book.domains().map(|(name, addresses)| shown(name, addresses)).collect();
        }
        let known: std::collections::BTreeMap<&str, usize> = self.book.domains().collect();
        let configured = self.settings.domains.iter();
        configured.map(|name| shown(name, known.get(name.as_str()).copied().unwrap_or(0))).collect()
    }

    /// Gives the mail of `domain` that is for nobody else to the account with that name, or to nobody.
    pub fn set_catch_all(&mut self, domain: &str, name: Option<&str>) -> Result<Domain, Refusal> {
        if !is_domain(domain) {
            return Err(Refusal::Domain(domain.to_string()));
        }
        let domain = domain.to_ascii_lowercase();
        // Where no domains are configured a catch-all makes one; one that isn't there has nothing to take away.
        let makes_one = self.settings.domains.is_empty() && name.is_some();
        if !makes_one && !self.is_local(&domain) {
            let domains = self.domains().into_iter().map(|domain| domain.name).collect();
            return Err(Refusal::DomainNotLocal { domain, domains });
        }
        let before = self.book.catch_all(&domain).cloned();
        let after = name.map(|name| self.named(name)).transpose()?.cloned();
        if before.as_ref().map(|account| account.id) != after.as_ref().map(|account| account.id) {
            let without = before.map(|mut account| {
                account.catch_all.retain(|other| *other != domain);
                account
            });
            let with = after.map(|mut account| {
                account.catch_all.push(domain.clone());
                account
            });
            if with.as_ref().is_some_and(|account| account.catch_all.len() > CATCH_ALLS_MAX) {
                return Err(Refusal::Full("50 domains whose mail an account catches"));
            }
            self.put(without.into_iter().chain(with).collect())?;
        }
        let addresses = self.book.domains().find(|(name, _)| *name == domain).map_or(0, |(_, count)| count);
        let catch_all = self.book.catch_all(&domain).map(|account| account.name.clone());
        Ok(Domain { name: domain, addresses, catch_all })
    }
}

fn edit_names(account: &mut Account, edit: &Edit) -> Result<(), Refusal> {
    for name in &edit.remove_names {
        let at = account.names.iter().position(|other| name::login_key(other) == name::login_key(name));
        account.names.remove(at.ok_or_else(|| Refusal::NoSuchLoginName(name.clone()))?);
    }
    for text in &edit.names {
        let name = name::login_name(text).map_err(|fault| Refusal::Name(text.clone(), fault))?;
        if account.names.iter().any(|other| name::login_key(other) == name::login_key(&name)) {
            return Err(Refusal::NameTaken(name));
        }
        account.names.push(name);
        if account.names.len() > LOGIN_NAMES_MAX {
            return Err(Refusal::Full("16 other names of an account"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
