//! What can go wrong in the directory, by blame.
//!
//! [`Error`] is the disk's or the system's, and is logged; [`Refusal`] is the asker's, and says what to do about it.
//! Neither ever holds a password.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::name::NameFault;

/// The directory can't be opened, read or written.
#[derive(Debug)]
pub enum Error {
    /// An operation on a file failed.
    Io {
        /// The file.
        file: PathBuf,
        /// What was being done to it, as in "can't … it".
        doing: &'static str,
        /// The system's word.
        error: io::Error,
    },
    /// A record before the last one doesn't read: not a torn write, but damage.
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where the record starts, in octets.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A newer server wrote the file.
    Version {
        /// The file.
        file: PathBuf,
        /// Its format.
        version: u32,
    },
    /// An earlier write or sync failed, so that nobody knows what is on the disk: nothing more is written.
    Poisoned,
    /// The operating system gave no random octets, or the hash can't be computed at the configured cost.
    NoHash,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { file, doing, error } => write!(out, "can't {doing} \"{}\": {error}", file.display()),
            Error::Corrupt { file, offset, what } => {
                write!(out, "the directory \"{}\" is damaged at octet {offset}: {what}", file.display())
            }
            Error::Version { file, version } => write!(
                out,
                "the directory \"{}\" has format {version}, which a newer Ringpost wrote; this one reads format 1",
                file.display()
            ),
            Error::Poisoned => out.write_str("an earlier write to the directory failed; restart the server"),
            Error::NoHash => out.write_str("the system gave no random numbers or no memory to hash a password"),
        }
    }
}

/// A change that is refused.
#[derive(Debug)]
pub enum Refusal {
    /// The text isn't a name.
    Name(String, NameFault),
    /// An account has that name or alias already.
    NameTaken(String),
    /// No account is called that.
    NoSuchAccount(String),
    /// The account has no alias like that to be removed.
    NoSuchAlias(String),
    /// The account has no other name like that to be removed.
    NoSuchLoginName(String),
    /// The text isn't a domain.
    Domain(String),
    /// The domain isn't one of the configured ones.
    DomainNotLocal {
        /// The domain.
        domain: String,
        /// The configured ones.
        domains: Vec<String>,
    },
    /// The domain of the name isn't one of the configured ones.
    NotLocal {
        /// The name.
        name: String,
        /// The configured domains.
        domains: Vec<String>,
    },
    /// The password can't be set: why.
    Password(&'static str),
    /// A bound is reached: which.
    Full(&'static str),
    /// The change could not be stored.
    Storage(Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Name(name, fault) => write!(out, "{name:?} can't be a name: {fault}"),
            Refusal::NameTaken(name) => write!(out, "there is an account with the name or alias {name:?} already"),
            Refusal::NoSuchAccount(name) => {
                write!(out, "there is no account {name:?}; `ringpost user list` shows the names of all")
            }
            Refusal::NoSuchAlias(name) => write!(out, "the account has no alias {name:?} that could be removed"),
            Refusal::NoSuchLoginName(name) => {
                write!(out, "the account has no other name {name:?} that could be removed")
            }
            Refusal::Domain(text) => {
                write!(out, "{text:?} is no domain: letters, digits, hyphens and dots, at most 255 octets")
            }
            Refusal::DomainNotLocal { domain, domains } => write!(
                out,
                "the domain {domain:?} is not one of this server's: {}; add it to `domains` in the configuration",
                domains.join(", ")
            ),
            Refusal::NotLocal { name, domains } => {
                let domains = domains.join(", ");
                write!(
                    out,
                    "the domain of {name:?} is not one of this server's: {domains}; add it to `domains` in the configuration"
                )
            }
            Refusal::Password(why) => write!(out, "the password can't be set: {why}"),
            Refusal::Full(bound) => write!(out, "the bound is reached: {bound}"),
            Refusal::Storage(error) => error.fmt(out),
        }
    }
}
