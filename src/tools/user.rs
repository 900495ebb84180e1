//! `ringpost user`: accounts, by way of the running server or, where there is none, under the data folder's lock.
//!
//! Invariant: there is one writer of the directory. Where a server holds the folder it makes the change, so that it
//! knows of it at once; a tool writes only while it holds the lock itself.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::password::{Chosen, choose};
use super::{Failure, Where, print};
use crate::config::Config;
use crate::config::data::{DataFolder, Problem};
use crate::control::message::{Body, Request, User};
use crate::control::{self, Client};
use crate::directory::{Change, Cost, Directory, Settings};

#[derive(Subcommand, Debug)]
pub enum UserCommand {
    /// Make an account
    #[command(after_help = "\
The password is asked for twice; with --password-stdin it is the line on standard input; where neither a terminal nor
the option is there, a random one is made up and printed, this once.")]
    Add {
        /// Its name and address, as in anna@example.org
        name: String,
        /// Another address that its mail comes to; may be given several times
        #[arg(long, value_name = "ADDRESS")]
        alias: Vec<String>,
        #[command(flatten)]
        password: PasswordOption,
        #[command(flatten)]
        place: Where,
    },
    /// Set the password of an account
    Passwd {
        /// The account's name
        name: String,
        #[command(flatten)]
        password: PasswordOption,
        #[command(flatten)]
        place: Where,
    },
    /// Remove an account: nobody can log in as it or send mail to it any more
    Delete {
        /// The account's name
        name: String,
        #[command(flatten)]
        place: Where,
    },
    /// List the accounts, in the order in which they were made
    List {
        #[command(flatten)]
        place: Where,
    },
}

#[derive(Args, Debug)]
pub struct PasswordOption {
    /// Read the password from standard input, one line
    #[arg(long)]
    password_stdin: bool,
}

/// Runs one of them.
pub fn run(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add { name, alias: aliases, password, place } => {
            let mut accounts = Accounts::open(place, true)?;
            let Chosen { password, made_up } = choose(password.password_stdin, true)?;
            let shown = password.as_text().filter(|_| made_up).map(str::to_string);
            let user = accounts.change(Request::UserAdd { name, password, aliases })?;
            print(&match shown {
                Some(password) => format!("added {} with the password {password}\n", user.name),
                None => format!("added {}\n", user.name),
            })
        }
        UserCommand::Passwd { name, password, place } => {
            let mut accounts = Accounts::open(place, false)?;
            let Chosen { password, .. } = choose(password.password_stdin, false)?;
            let user = accounts.change(Request::UserPasswd { name, password })?;
            print(&format!("set the password of {}\n", user.name))
        }
        UserCommand::Delete { name, place } => {
            let user = Accounts::open(place, false)?.change(Request::UserDelete { name })?;
            print(&format!("deleted {}\n", user.name))
        }
        UserCommand::List { place } => {
            let users = Accounts::open(place, false)?.list()?;
            print(&users.iter().map(line).collect::<String>())
        }
    }
}

// The name alone where there is nothing else to say, so that a script can read it.
fn line(user: &User) -> String {
    let disabled = if user.enabled { "" } else { "\tdisabled" };
    let aliases = if user.aliases.is_empty() { String::new() } else { format!("\t{}", user.aliases.join(" ")) };
    format!("{}{disabled}{aliases}\n", user.name)
}

/// The accounts, wherever they are to be had.
enum Accounts {
    Server(Client),
    Folder { directory: Box<Directory>, _lock: DataFolder },
}

impl Accounts {
    fn open(place: Where, make: bool) -> Result<Accounts, Failure> {
        let (data, settings) = settings(place)?;
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

    fn change(&mut self, request: Request) -> Result<User, Failure> {
        match self {
            Accounts::Server(client) => match client.ask(&request).map_err(Failure::Control)? {
                Body::User(user) => Ok(user),
                _ => Err(Failure::Other("the server answered something else than was asked".to_string())),
            },
            Accounts::Folder { directory, .. } => {
                let change = match request {
                    Request::UserAdd { name, password, aliases } => Change::Add { name, password, aliases },
                    Request::UserPasswd { name, password } => Change::Password { name, password },
                    Request::UserDelete { name } => Change::Delete { name },
                    _ => {
                        return Err(Failure::Other("that is no change".to_string()));
                    }
                };
                directory.change(change).map(User::from).map_err(Failure::Refused)
            }
        }
    }

    fn list(&mut self) -> Result<Vec<User>, Failure> {
        match self {
            Accounts::Server(client) => match client.ask(&Request::UserList {}).map_err(Failure::Control)? {
                Body::Users(users) => Ok(users),
                _ => Err(Failure::Other("the server answered something else than was asked".to_string())),
            },
            Accounts::Folder { directory, .. } => Ok(directory.accounts().into_iter().map(User::from).collect()),
        }
    }
}

fn settings(place: Where) -> Result<(PathBuf, Settings), Failure> {
    let Some(file) = place.config else { return Ok((place.data, Settings::default())) };
    let Config { data, domains, default_domain, .. } = Config::load(&file).map_err(Failure::Config)?;
    Ok((data, Settings { domains, default_domain, cost: Cost::default() }))
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
    use crate::control::Shards;
    use crate::directory::Secret;
    use crate::service::Pool;

    fn place(data: &Path) -> Where {
        Where { data: data.to_path_buf(), config: None }
    }

    fn add(name: &str) -> Request {
        Request::UserAdd { name: name.into(), password: Secret::from("pw".to_string()), aliases: vec![] }
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
        let control =
            control::start(&DataFolder::control_socket(&data), handle, Shards::new(vec![], Default::default()))
                .unwrap();
        let mut accounts = Accounts::open(place(&data), false).unwrap();
        assert!(matches!(accounts, Accounts::Server(_)));
        accounts.change(add("bob@x")).unwrap();
        let refused = accounts.change(add("Bob@x")).unwrap_err().to_string();
        assert!(refused.contains("already"), "{refused}");
        let names: Vec<String> = accounts.list().unwrap().iter().map(line).collect();
        assert_eq!(names, ["anna@x\n", "bob@x\n"]);
        drop(control);
    }

    #[test]
    fn a_listed_account_is_its_name_and_what_there_is_to_say() {
        let user =
            User { id: "1".into(), name: "a@x".into(), aliases: vec!["b@x".into(), "c@x".into()], enabled: false };
        assert_eq!(line(&user), "a@x\tdisabled\tb@x c@x\n");
    }
}
