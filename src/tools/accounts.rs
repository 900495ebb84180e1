//! The accounts as the tools reach them: by way of the running server or, where there is none, under the data folder's lock.
//!
//! Invariant: there is one writer of the directory. Where a server holds the folder it makes the change, so that it
//! knows of it at once; a tool writes only while it holds the lock itself.

use std::path::Path;

use super::{Failure, Where, unexpected};
use crate::config::data::{DataFolder, Problem};
use crate::control::message::{Body, Domain, Request, User};
use crate::control::{self, Client};
use crate::directory::{Change, Directory};

/// The accounts, wherever they are to be had.
pub enum Accounts {
    /// Of the server that holds the data folder.
    Server(Client),
    /// Of the folder, held meanwhile.
    Folder {
        /// The directory in it.
        directory: Box<Directory>,
        /// Until the tool ends.
        _lock: DataFolder,
    },
}

impl Accounts {
    /// Reaches them; `make`: the folder is made where it is missing.
    pub fn open(place: Where, make: bool) -> Result<Accounts, Failure> {
        let (data, settings) = place.settings()?;
        match Client::connect(&DataFolder::control_socket(&data)) {
            Ok(client) => return Ok(Accounts::Server(client)),
            Err(control::Failure::NoServer) => {}
            // Whoever may not open the socket may not take the lock either, and hears why.
            Err(failure) => return Err(Failure::Control(failure)),
        }
        let folder = lock(&data, make)?;
        let directory = Directory::open(folder.path(), settings).map_err(Failure::Directory)?;
        Ok(Accounts::Folder { directory: Box::new(directory), _lock: folder })
    }

    /// Makes a change, and returns the account as it was left.
    pub fn change(&mut self, change: Change) -> Result<User, Failure> {
        match self {
            Accounts::Server(client) => {
                let request = match change {
                    Change::Add { name, password, edit } => Request::UserAdd { name, password, edit },
                    Change::Password { name, password } => Request::UserPasswd { name, password },
                    Change::Set { name, edit } => Request::UserSet { name, edit },
                    Change::Delete { name } => Request::UserDelete { name },
                };
                match client.ask(&request).map_err(Failure::Control)? {
                    Body::User(user) => Ok(user),
                    _ => Err(unexpected()),
                }
            }
            Accounts::Folder { directory, .. } => directory.change(change).map(User::from).map_err(Failure::Refused),
        }
    }

    /// All of them.
    pub fn list(&mut self) -> Result<Vec<User>, Failure> {
        match self {
            Accounts::Server(client) => match client.ask(&Request::UserList {}).map_err(Failure::Control)? {
                Body::Users(users) => Ok(users),
                _ => Err(unexpected()),
            },
            Accounts::Folder { directory, .. } => Ok(directory.accounts().into_iter().map(User::from).collect()),
        }
    }

    /// The local domains.
    pub fn domains(&mut self) -> Result<Vec<Domain>, Failure> {
        match self {
            Accounts::Server(client) => match client.ask(&Request::DomainList {}).map_err(Failure::Control)? {
                Body::Domains(domains) => Ok(domains),
                _ => Err(unexpected()),
            },
            Accounts::Folder { directory, .. } => Ok(directory.domains().into_iter().map(Domain::from).collect()),
        }
    }

    /// Says who takes the mail of `domain` that is for nobody else.
    pub fn set_catch_all(&mut self, domain: String, name: Option<String>) -> Result<Domain, Failure> {
        match self {
            Accounts::Server(client) => {
                let request = Request::DomainSet { domain, catch_all: name };
                match client.ask(&request).map_err(Failure::Control)? {
                    Body::Domain(domain) => Ok(domain),
                    _ => Err(unexpected()),
                }
            }
            Accounts::Folder { directory, .. } => {
                directory.set_catch_all(&domain, name.as_deref()).map(Domain::from).map_err(Failure::Refused)
            }
        }
    }
}

// Only adding makes a folder: with a mistyped path nothing else is meant to leave one behind.
fn lock(data: &Path, make: bool) -> Result<DataFolder, Failure> {
    let locked = if make { DataFolder::lock(data) } else { DataFolder::lock_existing(data) };
    locked.map_err(|problem| match problem {
        Problem::InUse(..) => Failure::Other(format!("{problem}, which does not answer on its control socket")),
        other => Failure::Data(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::data::scratch;
    use crate::directory::{Edit, Secret, Settings};
    use crate::service::Pool;

    fn place(data: &Path) -> Where {
        Where { data: data.to_path_buf(), config: None }
    }

    fn add(name: &str) -> Change {
        Change::Add { name: name.into(), password: Secret::from("pw".to_string()), edit: Edit::default() }
    }

    #[test]
    fn without_a_server_under_the_lock_and_beside_one_through_it() {
        let scratch = scratch("tools-user");
        let data = scratch.join("data");
        let missing = Accounts::open(place(&data), false).err().unwrap();
        assert!(missing.to_string().ends_with("does not exist"), "{missing}");
        assert!(!data.exists());

        let mut accounts = Accounts::open(place(&data), true).unwrap();
        accounts.change(add("anna@x")).unwrap();
        let second = Accounts::open(place(&data), true).err().unwrap().to_string();
        assert!(second.contains("in use by process") && second.ends_with("does not answer on its control socket"));
        drop(accounts);

        let _folder = DataFolder::lock(&data).unwrap();
        let directory = Directory::open(&data, Settings::default()).unwrap();
        let handle = directory.start(Pool::start(1).unwrap(), 1).unwrap();
        let shards = control::Shards::new(vec![], Default::default());
        let control = control::start(&DataFolder::control_socket(&data), handle, shards).unwrap();
        let mut accounts = Accounts::open(place(&data), false).unwrap();
        assert!(matches!(accounts, Accounts::Server(_)));
        accounts.change(add("bob@x")).unwrap();
        let refused = accounts.change(add("Bob@x")).unwrap_err().to_string();
        assert!(refused.contains("already"), "{refused}");
        let names: Vec<String> = accounts.list().unwrap().into_iter().map(|user| user.name).collect();
        assert_eq!(names, ["anna@x", "bob@x"]);
        let caught = accounts.set_catch_all("y".into(), Some("bob@x".into())).unwrap();
        assert_eq!(accounts.domains().unwrap().last(), Some(&caught));
        drop(control);
    }
}
