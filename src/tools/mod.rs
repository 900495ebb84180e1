//! The command line: what an administrator types, and how the answer looks.
//!
//! Invariants: an error is one line that begins with `ringpost: `, on standard error, and the exit code is 2 where the
//! command line is wrong and 1 where anything else is; a reader that goes away early is no error. Passwords are never
//! shown but when they were made up here. Only what works is listed in the help.

mod accounts;
mod domain;
mod fsck;
mod octets;
mod password;
mod sessions;
mod stat;
mod table;
mod usage;
mod user;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::Serialize;

use crate::config::data::{DataFolder, Problem};
use crate::config::{Config, Mistake, cpus};
use crate::control;
use crate::directory::{self, Settings};
use crate::serve;
use table::table;

/// Where the data is when nothing is said.
const DATA: &str = "ringpost-data";

#[derive(Parser, Debug)]
#[command(
    name = "ringpost",
    version,
    arg_required_else_help = false,
    about = "A thread-per-core mail server: IMAP, POP3, SMTP and LMTP on io_uring",
    after_help = "Examples:
  ringpost serve                                   try it out: loopback, IMAP on 1143, SMTP on 1025 and others
  ringpost serve --config /etc/ringpost.toml       run a configured server
  ringpost user add anna@example.org --data /srv/mail
  ringpost who --data /srv/mail
  ringpost check-config /etc/ringpost.toml

`ringpost COMMAND --help` says more about a command."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the server until it is told to stop (SIGTERM or Ctrl-C)
    #[command(after_help = "\
Without --config the server listens on loopback only, makes itself a certificate and, at its first start, the accounts
a@localhost and b@localhost. Their passwords are printed once and kept in FIRST-LOGIN in the data folder.
`ringpost ready` is printed as soon as every listener accepts.

Examples:
  ringpost serve
  ringpost serve --data /tmp/mail --port-base 20000 --cpus 0,1
  ringpost serve --config /etc/ringpost.toml

RINGPOST_LOG sets how much is logged: error, warn, info (default), debug or trace.")]
    Serve(ServeOptions),
    /// Add, change, remove and list the accounts of the embedded directory
    #[command(
        subcommand,
        arg_required_else_help = false,
        after_help = "\
These commands work beside a running server and without one. An account's name is its address;
its aliases are others, and its other names log in.

Examples:
  ringpost user add anna@example.org --data /srv/mail           asks for the password, twice
  pwgen 20 1 | ringpost user add bob@example.org --password-stdin --data /srv/mail
  ringpost user passwd anna@example.org --config /etc/ringpost.toml
  ringpost user set anna@example.org --alias info@example.com --quota 5G --data /srv/mail
  ringpost user list --data /srv/mail"
    )]
    User(user::UserCommand),
    /// List the local domains, and say who takes their mail for nobody else
    #[command(
        subcommand,
        arg_required_else_help = false,
        after_help = "\
These commands work beside a running server and without one. The local domains are those of
`domains` in the configuration and, where it names none, those of the accounts' addresses.

Examples:
  ringpost domain list --data /srv/mail
  ringpost domain set example.org --catch-all office@example.org --data /srv/mail"
    )]
    Domain(domain::DomainCommand),
    /// List the sessions of the running server
    #[command(after_help = "\
A line a session: its number, what it speaks, the client, the user, the mailbox, the command under way or `idle`, since when
it is there, and how long the client has said nothing.

Examples:
  ringpost who --data /srv/mail
  ringpost who --user anna@example.org --config /etc/ringpost.toml
  ringpost who --address 192.0.2.0/24 --json | jq .state")]
    Who(sessions::WhoOptions),
    /// End sessions of the running server
    #[command(
        arg_required_else_help = false,
        after_help = "\
The clients are told that an administrator disconnected them; they may come back. What is said is meant together:
--user anna@example.org --address 192.0.2.7 ends the sessions of Anna's that come from there. Where no session is like that
the exit code is 1.

Examples:
  ringpost kick 4711 --data /srv/mail
  ringpost kick --user anna@example.org --config /etc/ringpost.toml
  ringpost kick --address 2001:db8::/32"
    )]
    Kick(sessions::KickOptions),
    /// Show figures of the running server: sessions, logins, how long commands and commits take
    #[command(after_help = "\
All counts and times are those since the server's start, of all shards together. The same figures are to be had for
Prometheus: see [admin] in the configuration, and http://127.0.0.1:9025/metrics where there is none.

Examples:
  ringpost stat --data /srv/mail
  ringpost stat --json --config /etc/ringpost.toml | jq '.commands[] | select(.name == \"FETCH\")'")]
    Stat(stat::StatOptions),
    /// Check the data folder, and mend what is damaged; the server must not run
    #[command(after_help = "\
Everything is read and compared: the log, every sealed file, every message. Each finding says where it is, what it means to
whom, and what a repair does. `harmless` ones are left-overs that the server removes or passes over. Damaged files are kept
as ….corrupt; remove them when nothing is missed. The exit code is 1 where something is damaged, or could not be mended.

Examples:
  ringpost fsck --data /srv/mail                         say what is damaged, and change nothing
  ringpost fsck --repair --data /srv/mail                and mend it
  ringpost fsck --user anna@example.org --json --config /etc/ringpost.toml")]
    Fsck(fsck::FsckOptions),
    /// Read a configuration file and report every mistake in it
    #[command(after_help = "\
Each mistake is a line with the file, the line, the key, what was expected and what was found. Warnings don't keep the
file from being used; with mistakes the exit code is 1.

Example:
  ringpost check-config /etc/ringpost.toml")]
    CheckConfig {
        /// The file to read
        file: PathBuf,
    },
}

#[derive(Args, Debug)]
struct ServeOptions {
    /// Run as this file says (the other options are then in the file)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "port_base", "cpus"])]
    config: Option<PathBuf>,
    /// The data folder, made where it is missing
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
    /// Added to the standard ports: 1000 gives IMAP on 1143
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(0..=64_540))]
    port_base: u16,
    /// The cores to use, one shard each, as in 0-1 or 0,2 [default: all that the process may use]
    #[arg(long, value_name = "LIST", value_parser = cores)]
    cpus: Option<Cores>,
}

#[derive(Clone, Debug)]
struct Cores(Vec<usize>);

fn cores(text: &str) -> Result<Cores, String> {
    cpus::parse(text).map(Cores).map_err(|expected| format!("expected {expected}"))
}

/// Which data folder a tool works on.
#[derive(Args, Debug)]
struct Where {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = DATA, conflicts_with = "config")]
    data: PathBuf,
    /// The configuration file that names the data folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why a command failed.
#[derive(Debug)]
enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// The configuration is.
    Config(Vec<Mistake>),
    /// The data folder can't be had.
    Data(Problem),
    /// The directory can't be opened.
    Directory(directory::Error),
    /// A change was refused.
    Refused(directory::Refusal),
    /// The running server refused, or didn't answer.
    Control(control::Failure),
    /// Reading a password or writing the answer failed.
    Io(&'static str, io::Error),
    /// Anything else, in words.
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Other(text) => out.write_str(text),
            // Each on a line of its own, which `report` sees to.
            Failure::Config(mistakes) => mistakes.iter().try_for_each(|mistake| writeln!(out, "{mistake}")),
            Failure::Data(problem) => problem.fmt(out),
            Failure::Directory(error) => error.fmt(out),
            Failure::Refused(refusal) => refusal.fmt(out),
            Failure::Control(failure) => failure.fmt(out),
            Failure::Io(doing, error) => write!(out, "can't {doing}: {error}"),
        }
    }
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Config(mistakes) if mistakes.iter().all(|mistake| mistake.file.is_none()) => 2,
            _ => 1,
        }
    }
}

/// Runs a command line, and returns what the program exits with.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = CommandLine::command().try_get_matches_from(arguments);
    let command = match parsed.and_then(|matches| CommandLine::from_arg_matches(&matches)) {
        Ok(line) => line.command,
        Err(error) if error.use_stderr() => {
            return report(&Failure::Usage(usage::one_line(&error.render().to_string())));
        }
        // Help and version.
        Err(error) => return done(print(&error.render().to_string())),
    };
    match command {
        Command::Serve(options) => match configuration(options) {
            Ok(config) => {
                log("info");
                config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                serve::run(config)
            }
            Err(failure) => report(&failure),
        },
        Command::User(command) => {
            log("warn");
            done(user::run(command))
        }
        Command::Domain(command) => {
            log("warn");
            done(domain::run(command))
        }
        Command::Who(options) => done(sessions::who(options)),
        Command::Kick(options) => done(sessions::kick(options)),
        Command::Stat(options) => done(stat::stat(options)),
        Command::Fsck(options) => {
            log("warn");
            done(fsck::fsck(options))
        }
        Command::CheckConfig { file } => done(check_config(&file)),
    }
}

fn done(result: Result<(), Failure>) -> ExitCode {
    result.map_or_else(|failure| report(&failure), |()| ExitCode::SUCCESS)
}

fn report(failure: &Failure) -> ExitCode {
    let mut error = io::stderr().lock();
    for line in failure.to_string().lines() {
        // With standard error gone nobody is there to be told.
        let _ = writeln!(error, "ringpost: {line}");
    }
    ExitCode::from(failure.exit_code())
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Io("write the answer", error)),
        _ => Ok(()),
    }
}

fn json_lines(values: &[impl Serialize]) -> Result<String, Failure> {
    let mut text = String::new();
    for value in values {
        text += &serde_json::to_string(value).map_err(|error| Failure::Io("write the answer", error.into()))?;
        text.push('\n');
    }
    Ok(text)
}

impl Where {
    /// The data folder, and what the configuration says about names.
    fn settings(self) -> Result<(PathBuf, Settings), Failure> {
        let Some(file) = self.config else { return Ok((self.data, Settings::default())) };
        let config = Config::load(&file).map_err(Failure::Config)?;
        let settings = Settings::of(&config);
        Ok((config.data, settings))
    }
}

/// The control socket of the server that must run.
fn connect(place: Where) -> Result<control::Client, Failure> {
    let (data, _) = place.settings()?;
    control::Client::connect(&DataFolder::control_socket(&data)).map_err(|failure| match failure {
        control::Failure::NoServer => Failure::Other(format!("no server runs on {}", data.display())),
        failure => Failure::Control(failure),
    })
}

fn unexpected() -> Failure {
    Failure::Other("the server answered something else than was asked; is it of another version?".to_owned())
}

fn log(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("RINGPOST_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    // An error: there is a subscriber already, which is the caller's.
    let _ = subscriber.try_init();
}

fn configuration(options: ServeOptions) -> Result<Config, Failure> {
    let read = match options.config {
        Some(file) => Config::load(&file),
        None => Config::embedded(options.data, options.port_base, options.cpus.map(|cores| cores.0)),
    };
    read.map_err(Failure::Config)
}

fn check_config(file: &Path) -> Result<(), Failure> {
    let config = Config::load(file).map_err(Failure::Config)?;
    for warning in &config.warnings {
        let _ = writeln!(io::stderr(), "ringpost: warning: {warning}");
    }
    print(&format!("{}: ok\n", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::data::scratch;

    fn parse(line: &str) -> Result<Command, String> {
        let arguments = std::iter::once("ringpost").chain(line.split_whitespace());
        CommandLine::try_parse_from(arguments)
            .map(|line| line.command)
            .map_err(|error| usage::one_line(&error.render().to_string()))
    }

    #[test]
    fn the_definitions_hold() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn serve_without_options_is_the_embedded_default() {
        let Ok(Command::Serve(options)) = parse("serve") else { panic!() };
        assert_eq!((options.data.as_path(), options.port_base), (Path::new("ringpost-data"), 1000));
        assert!(options.cpus.is_none() && options.config.is_none());
        let Ok(Command::Serve(options)) = parse("serve --data /d --port-base 20000 --cpus 0,2-3") else { panic!() };
        assert_eq!((options.port_base, options.cpus.unwrap().0), (20_000, vec![0, 2, 3]));
    }

    #[test]
    fn a_wrong_command_line_is_one_line_and_exit_code_2() {
        for (line, part) in [
            ("", "requires a subcommand"),
            ("sevre", "unrecognized subcommand 'sevre'"),
            ("serve --prot-base 3", "'--port-base'"),
            ("serve --port-base 65000", "65000 is not in 0..=64540"),
            ("serve --port-base x", "invalid digit"),
            ("serve --cpus 2-1", "expected a list of cores like"),
            ("serve --config f --data d", "cannot be used with"),
            ("user", "requires a subcommand"),
            ("user add", "<NAME>"),
            ("user add a@x b@x", "unexpected argument 'b@x'"),
            ("user set", "<NAME>"),
            ("user set a@x --quota 5X", "as in 4096, 500M or 5G"),
            ("user set a@x --quota", "a value is required"),
            ("user set a@x --enable --disable", "cannot be used with"),
            ("user add a@x --enable", "unexpected argument '--enable'"),
            ("domain set x", "--catch-all <NAME|none>"),
            ("domain", "requires a subcommand"),
            ("check-config", "<FILE>"),
            ("fsck --mend", "unexpected argument '--mend'"),
            ("kick", "ID"),
            ("kick x", "invalid digit"),
            ("who --data d --config f", "cannot be used with"),
        ] {
            let text = parse(line).map(|_| ()).unwrap_err();
            assert!(text.contains(part), "{line}: {text}");
            assert!(!text.contains('\n') && !text.contains("Usage") && !text.starts_with("error"), "{text}");
        }
        assert_eq!(Failure::Usage(String::new()).exit_code(), 2);
        assert_eq!(Failure::Config(Config::embedded("d".into(), 65_000, None).unwrap_err()).exit_code(), 2);
        assert_eq!(Failure::Other(String::new()).exit_code(), 1);
    }

    #[test]
    fn a_configuration_is_checked() {
        let folder = scratch("tools-check");
        let file = folder.join("r.toml");
        std::fs::write(&file, "drain_seconds = 3\n").unwrap();
        assert!(check_config(&file).is_ok());
        std::fs::write(&file, "drain = 3\ndata = 4\n").unwrap();
        let failure = check_config(&file).unwrap_err();
        assert_eq!(failure.to_string().lines().count(), 2);
        assert_eq!(failure.exit_code(), 1);
    }
}
