//! `ringpost user`: accounts are made, changed, removed and listed.
//!
//! Here is what an administrator types and reads; [`Accounts`] knows where they are. What is not named in a change stays
//! as it is. Mail is never touched: that of an account that is deleted stays in the data folder.

use clap::{Args, Subcommand};

use super::accounts::Accounts;
use super::password::{Chosen, choose};
use super::{Failure, Where, json_lines, octets, print};
use crate::control::message::User;
use crate::directory::{Change, Edit, Quota};

/// `ringpost user …`.
#[derive(Subcommand, Debug)]
pub enum UserCommand {
    /// Make an account
    #[command(after_help = "\
The password is asked for twice; with --password-stdin it is the line on standard input; where
neither a terminal nor the option is there, a random one is made up and printed, this once.

Examples:
  ringpost user add anna@example.org --data /srv/mail
  ringpost user add bob@example.org --alias info@example.com --quota 5G --data /srv/mail
  ringpost user add am@example.org --name 'Anna Muster/Sales/ACME' --config /etc/ringpost.toml")]
    Add {
        /// Its name and address, as in anna@example.org
        #[arg(value_name = "NAME")]
        account: String,
        #[command(flatten)]
        properties: Properties,
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
    /// Change an account: its addresses, other names, quota, whether it may log in
    #[command(after_help = "\
What isn't named stays. Aliases may be in any of the server's domains: mail for one comes to the
account, and it logs in. Other names only log in: a common name (Anna Muster or CN=Anna Muster), a
hierarchical one (Anna Muster/Sales/ACME, which brings its common name along), a short one. A name
that could mean two accounts logs nobody in, and the log says so.

A quota is a number of octets, with K, M, G or T behind it. Mail that would pass it is refused for
the time being (452 4.2.2), so that the sender tries again. What is in the mailbox already stays.
A disabled account receives mail and can't log in.

Examples:
  ringpost user set anna@example.org --alias sales@example.com --data /srv/mail
  ringpost user set anna@example.org --remove-alias sales@example.com --data /srv/mail
  ringpost user set anna@example.org --name 'Anna Muster/Sales/ACME' --name anna --data /srv/mail
  ringpost user set anna@example.org --quota 5G --config /etc/ringpost.toml
  ringpost user set anna@example.org --rename anna.berg@example.org --alias anna@example.org
  ringpost user set bob@example.org --disable --data /srv/mail")]
    Set {
        /// The account's name
        #[arg(value_name = "NAME")]
        account: String,
        /// Its new name and address; the mail stays with it, the old name is free (or one of its aliases)
        #[arg(long, value_name = "ADDRESS")]
        rename: Option<String>,
        /// An alias that it has no more; may be given several times
        #[arg(long, value_name = "ADDRESS")]
        remove_alias: Vec<String>,
        /// Another name that it has no more; may be given several times
        #[arg(long, value_name = "OTHER-NAME")]
        remove_name: Vec<String>,
        /// Let it log in again
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
        #[command(flatten)]
        properties: Properties,
        #[command(flatten)]
        place: Where,
    },
    /// Remove an account: nobody can log in as it or send mail to it any more
    #[command(after_help = "\
Its mail stays in the data folder, and an account that is made under the same name later doesn't
have it. A catch-all goes with its account.")]
    Delete {
        /// The account's name
        name: String,
        #[command(flatten)]
        place: Where,
    },
    /// List the accounts, in the order in which they were made
    #[command(after_help = "\
A line an account: its name and then, each behind a tab, what there is to say: disabled, its
aliases, its other names (with commas between them), the domains whose catch-all it is, its quota.

Examples:
  ringpost user list --data /srv/mail
  ringpost user list --json --config /etc/ringpost.toml | jq -r 'select(.quota == null) | .name'")]
    List {
        /// A JSON object a line: id, name, aliases, enabled, names, quota (octets or null), catch_all
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Where,
    },
}

/// Where the password comes from.
#[derive(Args, Debug)]
pub struct PasswordOption {
    /// Read the password from standard input, one line
    #[arg(long)]
    password_stdin: bool,
}

/// What a new account may be given and an old one may be given too.
#[derive(Args, Debug)]
pub struct Properties {
    /// Another address that its mail comes to; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    alias: Vec<String>,
    /// Another name to log in with; may be given several times
    #[arg(long = "name", value_name = "OTHER-NAME")]
    names: Vec<String>,
    /// How much mail it may hold, as in 500M or 5G, or none
    #[arg(long, value_name = "OCTETS|none", value_parser = quota)]
    quota: Option<Quota>,
    /// Let nobody log in as it; mail still comes
    #[arg(long)]
    disable: bool,
}

impl Properties {
    fn edit(self) -> Edit {
        let Properties { alias: aliases, names, quota, disable } = self;
        Edit { aliases, names, quota, enabled: disable.then_some(false), ..Edit::default() }
    }
}

fn quota(text: &str) -> Result<Quota, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Quota::None);
    }
    match octets::parse(text) {
        Some(0) => Err("0 would refuse all mail; for no limit say none".to_string()),
        Some(octets) => Ok(Quota::Octets(octets)),
        None => Err("expected octets as in 4096, 500M or 5G (K, M, G, T), or none".to_string()),
    }
}

/// Runs one of them.
pub fn run(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add { account: name, properties, password, place } => {
            let mut accounts = Accounts::open(place, true)?;
            let Chosen { password, made_up } = choose(password.password_stdin, true)?;
            let shown = password.as_text().filter(|_| made_up).map(str::to_string);
            let user = accounts.change(Change::Add { name, password, edit: properties.edit() })?;
            print(&match shown {
                Some(password) => format!("added {} with the password {password}\n", user.name),
                None => format!("added {}\n", user.name),
            })
        }
        UserCommand::Passwd { name, password, place } => {
            let mut accounts = Accounts::open(place, false)?;
            let Chosen { password, .. } = choose(password.password_stdin, false)?;
            let user = accounts.change(Change::Password { name, password })?;
            print(&format!("set the password of {}\n", user.name))
        }
        UserCommand::Set { account: name, rename, remove_alias, remove_name, enable, properties, place } => {
            let mut edit =
                Edit { rename, remove_aliases: remove_alias, remove_names: remove_name, ..properties.edit() };
            if enable {
                edit.enabled = Some(true);
            }
            if edit == Edit::default() {
                return Err(Failure::Usage("nothing to change was named; try --help".to_string()));
            }
            let user = Accounts::open(place, false)?.change(Change::Set { name, edit })?;
            print(&format!("set {}", line(&user)))
        }
        UserCommand::Delete { name, place } => {
            let user = Accounts::open(place, false)?.change(Change::Delete { name })?;
            print(&format!("deleted {}\n", user.name))
        }
        UserCommand::List { json, place } => {
            let users = Accounts::open(place, false)?.list()?;
            print(&if json { json_lines(&users)? } else { users.iter().map(line).collect() })
        }
    }
}

// The name alone where there is nothing else to say, so that a script can read it.
fn line(user: &User) -> String {
    let mut line = user.name.clone();
    if !user.enabled {
        line += "\tdisabled";
    }
    for (what, texts, between) in
        [("alias", &user.aliases, " "), ("name", &user.names, ", "), ("catch-all", &user.catch_all, " ")]
    {
        if !texts.is_empty() {
            line += &format!("\t{what} {}", texts.join(between));
        }
    }
    if let Some(quota) = user.quota {
        line += &format!("\tquota {}", octets::show(quota));
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_account_is_its_name_and_what_there_is_to_say() {
        let mut user = User {
            id: "1".into(),
            name: "a@x".into(),
            aliases: vec![],
            enabled: true,
            names: vec![],
            quota: None,
            catch_all: vec![],
        };
        assert_eq!(line(&user), "a@x\n");
        user.aliases = vec!["b@x".into(), "c@x".into()];
        user.enabled = false;
        assert_eq!(line(&user), "a@x\tdisabled\talias b@x c@x\n");
        user.names = vec!["Anna Muster/ACME".into(), "anna".into()];
        user.quota = Some(5 << 30);
        user.catch_all = vec!["x".into()];
        assert_eq!(line(&user), "a@x\tdisabled\talias b@x c@x\tname Anna Muster/ACME, anna\tcatch-all x\tquota 5G\n");
    }

    #[test]
    fn quotas_are_read() {
        assert_eq!(quota("5G"), Ok(Quota::Octets(5 << 30)));
        assert_eq!(quota("None"), Ok(Quota::None));
        assert!(quota("0").unwrap_err().contains("none"));
        assert!(quota("much").unwrap_err().contains("500M"));
    }
}
