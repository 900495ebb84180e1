//! What is said on the control socket, version 1.
//!
//! ```text
//! {"version":1,"request":"user-add","name":"anna@example.org","password":"…","aliases":[]}
//! {"version":1,"ok":{"user":{"id":"00c0ffee00c0ffee","name":"anna@example.org","aliases":[],"enabled":true}}}
//! {"version":1,"request":"user-set","name":"anna@example.org","quota":{"octets":5368709120},"enabled":true}
//! {"version":1,"error":"there is an account with the name or alias \"anna@example.org\" already"}
//! ```
//! Invariant: a field may be added to a version, and nothing changed or taken away.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::stat::Stat;
use crate::directory::{self, Edit, Listed, Secret};
use crate::shard::Seen;

/// The version that this server and its tools speak.
pub const VERSION: u32 = 1;

/// What a tool asks for.
#[derive(Serialize, Deserialize, Debug)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Who is there?
    Ping {},
    /// Make an account.
    UserAdd {
        /// `local@domain`.
        name: String,
        /// Its password.
        #[serde(with = "secret")]
        password: Secret,
        /// What it has beside them: `aliases` and the other fields of [`Edit`].
        #[serde(flatten)]
        edit: Edit,
    },
    /// Set an account's password.
    UserPasswd {
        /// The account's name.
        name: String,
        /// The new password.
        #[serde(with = "secret")]
        password: Secret,
    },
    /// Change what an account has beside its password.
    UserSet {
        /// The account's name.
        name: String,
        /// What is changed: the fields of [`Edit`].
        #[serde(flatten)]
        edit: Edit,
    },
    /// Remove an account.
    UserDelete {
        /// The account's name.
        name: String,
    },
    /// All accounts.
    UserList {},
    /// Say who takes a domain's mail that is for nobody else.
    DomainSet {
        /// The domain.
        domain: String,
        /// The account's name; without it nobody.
        #[serde(default)]
        catch_all: Option<String>,
    },
    /// The local domains.
    DomainList {},
    /// Some sessions, of those that fit all that is said.
    Who {
        /// Which.
        #[serde(flatten)]
        which: Which,
        /// Where the last reply ended: its `next`.
        #[serde(default)]
        after: Option<(usize, usize)>,
    },
    /// End the sessions that fit all that is said, which must be something.
    Kick {
        /// Which.
        #[serde(flatten)]
        which: Which,
    },
    /// Figures of the server.
    Stat {},
}

/// Which sessions are meant.
#[derive(Serialize, Deserialize, Clone, Default, Debug)]
pub struct Which {
    /// The one of that number.
    #[serde(default)]
    pub id: Option<u64>,
    /// Those of that user.
    #[serde(default)]
    pub user: Option<String>,
    /// Those from that address or network.
    #[serde(default)]
    pub address: Option<String>,
}

/// The server's reply.
#[derive(Serialize, Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// It was done.
    Ok(Body),
    /// It was not, and why.
    Error(String),
}

impl Reply {
    /// A refusal in words.
    pub fn error(text: &str) -> Reply {
        Reply::Error(text.to_string())
    }
}

/// What a successful reply carries.
#[derive(Serialize, Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// To a ping.
    Server {
        /// The server's own version.
        version: String,
        /// Its process.
        process: u32,
    },
    /// The account that was changed.
    User(User),
    /// All accounts.
    Users(Vec<User>),
    /// The domain that was changed.
    Domain(Domain),
    /// The local domains.
    Domains(Vec<Domain>),
    /// Some sessions.
    Sessions {
        /// In no particular order; one that moves between shards meanwhile may be there twice.
        sessions: Vec<Session>,
        /// What to go on with; `None`: these were the last.
        next: Option<(usize, usize)>,
    },
    /// To a kick.
    Kicked {
        /// Sessions that were ended.
        sessions: u64,
    },
    /// Figures.
    Stat(Box<Stat>),
}

/// A session as the tools show it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Session {
    /// Its number, which `kick` takes.
    pub id: u64,
    /// The shard where it is.
    pub shard: usize,
    /// What it speaks.
    pub protocol: String,
    /// TLS is on.
    pub tls: bool,
    /// The client's address.
    pub address: String,
    /// And its port.
    pub port: u16,
    /// Who is logged in.
    pub user: Option<String>,
    /// The mailbox that is selected.
    pub mailbox: Option<String>,
    /// The command under way, `idle` or `kicked`.
    pub state: String,
    /// Since when it is there. Unix time in seconds.
    pub since: i64,
    /// How long the client has said nothing. Seconds.
    pub silent_seconds: f64,
    /// Commands so far.
    pub commands: u32,
    /// Messages taken from it.
    pub messages: u32,
    /// Octets received, as they went over the wire.
    pub received: u64,
    /// Octets sent.
    pub sent: u64,
}

impl Session {
    /// A session as the shard with that number told of it.
    pub fn of(shard: usize, seen: Seen) -> Session {
        Session {
            id: seen.id,
            shard,
            protocol: seen.protocol.to_owned(),
            tls: seen.tls,
            address: seen.client.ip().to_canonical().to_string(),
            port: seen.client.port(),
            user: seen.user,
            mailbox: seen.mailbox,
            state: seen.state.to_owned(),
            since: seen.since,
            silent_seconds: seen.silent.as_millis() as f64 / 1000.0,
            commands: seen.commands,
            messages: seen.messages,
            received: seen.received,
            sent: seen.sent,
        }
    }
}

/// An account as the tools show it.
#[derive(Serialize, Deserialize, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number in hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its other addresses.
    pub aliases: Vec<String>,
    /// Whether it may log in.
    pub enabled: bool,
    /// Its other login names.
    #[serde(default)]
    pub names: Vec<String>,
    /// Octets of mail that it may hold; without it there is no limit.
    #[serde(default)]
    pub quota: Option<u64>,
    /// Domains whose mail comes to it where it is for nobody else.
    #[serde(default)]
    pub catch_all: Vec<String>,
}

impl From<Listed> for User {
    fn from(listed: Listed) -> User {
        let Listed { account, name, aliases, enabled, names, quota, catch_all } = listed;
        User { id: format!("{account:016x}"), name, aliases, enabled, names, quota, catch_all }
    }
}

/// A local domain as the tools show it.
#[derive(Serialize, Deserialize, Debug, PartialEq, Eq)]
pub struct Domain {
    /// In lower case.
    pub name: String,
    /// Names and aliases in it.
    pub addresses: usize,
    /// The name of the account that takes the mail for nobody else.
    pub catch_all: Option<String>,
}

impl From<directory::Domain> for Domain {
    fn from(domain: directory::Domain) -> Domain {
        let directory::Domain { name, addresses, catch_all } = domain;
        Domain { name, addresses, catch_all }
    }
}

/// A request or a reply with its version in front.
#[derive(Serialize, Deserialize, Debug)]
pub struct Version<T> {
    /// [`VERSION`].
    pub version: u32,
    /// The request or reply.
    #[serde(flatten)]
    pub said: T,
}

impl<T> Version<T> {
    /// `said` in the version of this server.
    pub fn of(said: T) -> Version<T> {
        Version { version: VERSION, said }
    }
}

/// The version alone: it is looked at before anything else of a line is.
#[derive(Deserialize)]
pub struct VersionAlone {
    /// As the other end said.
    pub version: u32,
}

/// Passwords as JSON strings, taken straight into what wipes them.
mod secret {
    use super::*;

    pub fn serialize<S: Serializer>(secret: &Secret, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(secret.as_text().ok_or_else(|| serde::ser::Error::custom("the password is not UTF-8"))?)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        struct Octets;
        impl Visitor<'_> for Octets {
            type Value = Secret;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text.as_bytes().to_vec()))
            }

            fn visit_string<E>(self, text: String) -> Result<Secret, E> {
                Ok(Secret::from(text))
            }
        }
        from.deserialize_str(Octets)
    }
}
