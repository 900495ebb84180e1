//! `ringpost domain`: the local domains, and who takes the mail in them that is for nobody else.
//!
//! A domain is local because the configuration says so or, where it names none, because an account has an address or a
//! catch-all there. So there is nothing to add or to delete here.

use clap::Subcommand;

use super::accounts::Accounts;
use super::{Failure, Where, json_lines, print};
use crate::control::message::Domain;

/// `ringpost domain …`.
#[derive(Subcommand, Debug)]
pub enum DomainCommand {
    /// List the local domains
    #[command(after_help = "\
A line a domain: its name and, behind a tab, the account of its catch-all, where it has one.

Example:
  ringpost domain list --data /srv/mail")]
    List {
        /// A JSON object a line: name, addresses (how many there are), catch_all
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Where,
    },
    /// Say who takes the mail of a domain that is for nobody else
    #[command(after_help = "\
Mail goes to the account or alias of its address first, then to that of a sub-address
(anna+shop@example.org goes to anna@example.org), then, for postmaster, to the account that was
made first, and then to the catch-all. A domain has one catch-all at most, and nobody logs in by
it. Where the configuration names no domains, a domain with a catch-all is local.

Examples:
  ringpost domain set example.org --catch-all office@example.org --data /srv/mail
  ringpost domain set example.org --catch-all none --config /etc/ringpost.toml")]
    Set {
        /// The domain, as in example.org
        domain: String,
        /// The name of the account that takes it, or none
        #[arg(long, value_name = "NAME|none")]
        catch_all: String,
        #[command(flatten)]
        place: Where,
    },
}

/// Runs one of them.
pub fn run(command: DomainCommand) -> Result<(), Failure> {
    match command {
        DomainCommand::List { json, place } => {
            let domains = Accounts::open(place, false)?.domains()?;
            print(&if json { json_lines(&domains)? } else { domains.iter().map(line).collect() })
        }
        DomainCommand::Set { domain, catch_all, place } => {
            // Every account's name has an @.
            let name = (!catch_all.eq_ignore_ascii_case("none")).then_some(catch_all);
            let domain = Accounts::open(place, false)?.set_catch_all(domain, name)?;
            print(&match &domain.catch_all {
                Some(name) => format!("{} takes all mail in {} that is for nobody else\n", name, domain.name),
                None => format!("{} has no catch-all\n", domain.name),
            })
        }
    }
}

fn line(domain: &Domain) -> String {
    let catch_all = domain.catch_all.as_ref().map(|name| format!("\tcatch-all {name}")).unwrap_or_default();
    format!("{}{catch_all}\n", domain.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_domain_is_its_name_and_its_catch_all() {
        let mut domain = Domain { name: "x".into(), addresses: 3, catch_all: None };
        assert_eq!(line(&domain), "x\n");
        domain.catch_all = Some("a@x".into());
        assert_eq!(line(&domain), "x\tcatch-all a@x\n");
    }
}
