//! The command line: what may be given, and its help.
//!
//! Every check that can be made before anything is opened is made here, and gives one clear line.

mod scenario;

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::baseline::{self, BaselineOptions};
use crate::engine::Pace;
use crate::limits::{
    CONNECTIONS_MAX, DEPTH_MAX, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MIN, PASSWORD_FILE_BYTES_MAX, RATE_MAX,
    RECIPIENTS_MAX, SECONDS_MAX,
};
use crate::names::Names;

use scenario::SCENARIO_EXAMPLES;
pub use scenario::{ScenarioOptions, ScenariosOptions, VerifyOptions};

const EXAMPLES: &str = "\
Examples:
  How many NOOPs a second, 64 connections, one command in flight each:
    loadgen run imap --address 127.0.0.1:1143 --user a@localhost --password-file pw --connections 64

  10,000 of them a second, whatever the server does: the latency that users would see
    loadgen run imap --address 127.0.0.1:1143 --user a@localhost --password-file pw --connections 64 --rate 10000

  The first with 16 commands pipelined, on processor 1, as JSON beside the table:
    loadgen run imap --address 127.0.0.1:1143 --user a@localhost --password-file pw --depth 16 --cpu 1 --json noop.json

  Fill the INBOX with durable 8 KB messages, then read them back, each body checked:
    loadgen run imap --work append --bytes 8192 --seconds 5 --address 127.0.0.1:1143 --user a@localhost --password-file pw
    loadgen run imap --work fetch --fetch body --address 127.0.0.1:1143 --user a@localhost --password-file pw

  What an idle connection costs the server with process 4711:
    loadgen run imap --work hold --idle --connections 5000 --server-pid 4711 --address 127.0.0.1:1143 --user a@localhost --password-file pw

  What the whole of a mailbox costs: its flags, and a search that must find 100 messages
    loadgen run imap --work fetch --fetch all-flags --connections 1 --address 127.0.0.1:1143 --user a@localhost --password-file pw
    loadgen run imap --work search --search 'TEXT \"heron\"' --found 100 --connections 1 --address 127.0.0.1:1143 --user a@localhost --password-file pw

  TLS handshakes, full ones; with --tls-resume by tickets of the server
    loadgen run imap --work handshake --tls implicit --insecure --address 127.0.0.1:1993
    loadgen run imap --work handshake --tls implicit --insecure --tls-resume --address 127.0.0.1:1993

  POP3 sessions and LMTP deliveries over the accounts u1@localhost to u64@localhost:
    loadgen run pop3 --connections 16 --address 127.0.0.1:1110 --user-pattern u%d@localhost --users 64 --password-file pw
    loadgen run lmtp --connections 16 --address 127.0.0.1:1024 --to u%d@localhost --users 64

  Deliveries to a local user, and submission with TLS and AUTH:
    loadgen run smtp --address 127.0.0.1:1025 --to a@localhost --from x@example.org
    loadgen run smtp --work submit --tls starttls --insecure --address 127.0.0.1:1587 --user a@localhost --password-file pw --to b@localhost

  The machine's own limit, for comparison: a raw echo that answers each line like a NOOP
    loadgen echo --kind uring --port 7001 --cpu 0
    loadgen run echo --address 127.0.0.1:7001 --connections 64 --cpu 1

  The same run against two servers on one page, and whether the second is worse:
    loadgen plot a.json b.json --html page.html
    loadgen compare a.json b.json

Exit codes: 0 done; 1 the server broke the protocol (the dialogue is shown), or compare found a regression; 2 it could not be done
as asked.
Without --rate the loop is closed: a slow server is asked less often, and latency is from sending a command to its last reply.
With --rate it is open: latency is from when the operation was due, whether or not a connection was free then; the service time,
from sending it, stands beside it. A client that is late itself by more than a tenth of the p99 says that the run is void.";

/// loadgen: how much a mail server can do, every reply checked.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, about = "Measures mail servers; every reply is parsed and checked", after_help = EXAMPLES)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a load against a server and report rate and latency
    Run {
        /// Which protocol.
        #[command(subcommand)]
        protocol: Box<Protocol>,
    },
    /// List the scenarios that come along, or show one
    #[command(after_help = "Example:\n  loadgen scenarios office-day > mine.toml")]
    Scenarios(ScenariosOptions),
    /// Look whether a server has kept what it promised in a run with --journal; exit code 1 where it has not
    #[command(after_help = "Example:\n  loadgen verify --journal journal --address 127.0.0.1:1143 --password-file pw")]
    Verify(VerifyOptions),
    /// Write a folder of realistic messages, to fill a mailbox with
    #[command(after_help = "Example:\n  loadgen corpus /tmp/corpus --messages 1000 --bytes 9520000")]
    Corpus(CorpusOptions),
    /// Draw reports (--json) as one page, side by side
    #[command(after_help = "Example:\n  loadgen plot ringpost.json dovecot.json --html page.html")]
    Plot(PlotOptions),
    /// Compare reports (--json); exit code 1 where the new ones are worse
    #[command(
        after_help = "Examples:\n  loadgen compare before.json after.json\n  loadgen compare --base a1.json a2.json a3.json --new b1.json b2.json b3.json"
    )]
    Compare(CompareOptions),
    /// Serve a raw echo that answers each line like a NOOP: the limit that a server is measured against
    #[command(after_help = "Example:\n  loadgen echo --kind uring --port 7001 --cpu 0")]
    Echo(EchoOptions),
    /// Measure what this machine can do at most: the limits that a server's figures are divided by
    #[command(after_help = baseline::EXAMPLES)]
    Baseline(BaselineOptions),
}

/// The protocols of `run`.
#[derive(Debug, Subcommand)]
pub enum Protocol {
    /// IMAP: noop, fetch, store, search, append, session, handshake, hold
    #[command(after_help = EXAMPLES)]
    Imap(ImapOptions),
    /// POP3: sessions that read a maildrop
    #[command(after_help = EXAMPLES)]
    Pop3(Pop3Options),
    /// SMTP: deliver, submit
    #[command(after_help = EXAMPLES)]
    Smtp(SmtpOptions),
    /// LMTP: deliveries
    #[command(after_help = EXAMPLES)]
    Lmtp(LmtpOptions),
    /// A scenario: users of several protocols with think times; `loadgen scenarios` lists those that come along
    #[command(after_help = SCENARIO_EXAMPLES)]
    Scenario(ScenarioOptions),
    /// The dialogue of NOOP with `loadgen echo`
    Echo(RunOptions),
}

/// `loadgen echo`
#[derive(Debug, Args)]
pub struct EchoOptions {
    /// By which of the kernel's interfaces
    #[arg(long, value_enum)]
    pub kind: EchoKind,
    /// Port on 127.0.0.1; 0: any, told as `port N`, and the echo ends with who started it
    #[arg(long)]
    pub port: u16,
    /// Processor to run on
    #[arg(long)]
    pub cpu: Option<usize>,
    /// What a line is answered with
    #[arg(long, default_value = "A000000 OK NOOP completed")]
    pub reply: String,
}

/// The kinds of echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EchoKind {
    /// io_uring: multishot accept and receive, provided buffers, direct descriptors
    Uring,
    /// epoll, read, write
    Epoll,
}

/// What every run has.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// The server, as ADDRESS:PORT
    #[arg(long)]
    pub address: String,
    /// Connections
    #[arg(long, short = 'c', default_value_t = 64)]
    pub connections: u32,
    /// Commands in flight on each connection
    #[arg(long, short = 'd', default_value_t = 1)]
    pub depth: usize,
    /// Measured time, in seconds
    #[arg(long, short = 's', default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds of load before measuring
    #[arg(long, default_value_t = 0.0)]
    pub warm_up: f64,
    /// An operation that takes longer than these seconds has failed
    #[arg(long, default_value_t = 30.0)]
    pub time_out: f64,
    /// Open loop: so many operations a second, over all connections, however slowly the server answers
    #[arg(long, value_name = "PER_SECOND", conflicts_with = "saturate")]
    pub rate: Option<f64>,
    /// Open loop: how the operations are spread over time
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson, requires = "rate")]
    pub arrivals: Arrivals,
    /// Closed loop, as it is without --rate: the next operation when the one before it was answered
    #[arg(long)]
    pub saturate: bool,
    /// Find the highest rate with a p99 of at most so many milliseconds and hardly an error; begins at --rate, or at 1000 a second
    #[arg(long, value_name = "MILLISECONDS", conflicts_with = "saturate")]
    pub find_max: Option<f64>,
    /// What is reported, and where.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// What every run reports, and where to.
#[derive(Debug, Args)]
pub struct OutputOptions {
    /// Processor to run on
    #[arg(long)]
    pub cpu: Option<usize>,
    /// The server's process: its processor time and memory are reported, children included
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// What the server is, with its version: the report names it
    #[arg(long, value_name = "TEXT")]
    pub server_version: Option<String>,
    /// Write the report as JSON to this file too (- for standard output instead of the table)
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Write a latency histogram of each second to this file: HdrHistogram's interval log
    #[arg(long, value_name = "FILE", conflicts_with = "find_max")]
    pub hlog: Option<PathBuf>,
    /// Write latency by percentile to this file: HdrHistogram's text, in milliseconds
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
}

/// How operations are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arrivals {
    /// At random, as those of many people are
    Poisson,
    /// With the same gap always
    Constant,
}

/// How to speak TLS.
#[derive(Debug, Args)]
pub struct TlsOptions {
    /// TLS from the first octet, or by STARTTLS
    #[arg(long, value_enum)]
    pub tls: Option<TlsMode>,
    /// Take any certificate
    #[arg(long, requires = "tls")]
    pub insecure: bool,
    /// Believe certificates signed by those in this PEM file (default: the system's)
    #[arg(long, requires = "tls", conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,
    /// The name in the certificate, where it is not the host of --address
    #[arg(long, requires = "tls")]
    pub server_name: Option<String>,
    /// Resume sessions where the server gives tickets (default: each handshake is a full one)
    #[arg(long, requires = "tls")]
    pub tls_resume: bool,
}

/// The ways into TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TlsMode {
    /// From the first octet
    Implicit,
    /// By STARTTLS
    Starttls,
}

/// Who logs in.
#[derive(Debug, Args)]
pub struct UserOptions {
    /// User name
    #[arg(long)]
    pub user: Option<String>,
    /// User names in place of one: %d is a number from 1 to --users
    #[arg(long, conflicts_with = "user", value_name = "PATTERN")]
    pub user_pattern: Option<String>,
    /// How many names a pattern with %d stands for (default: 1, or what a scenario says)
    #[arg(long, value_name = "N")]
    pub users: Option<u32>,
    /// File whose first line is the password
    #[arg(long, conflicts_with = "password_env")]
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds the password
    #[arg(long)]
    pub password_env: Option<String>,
}

/// What every run with a login has.
#[derive(Debug, Args)]
pub struct ClientOptions {
    /// What every run has.
    #[command(flatten)]
    pub run: RunOptions,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Who logs in.
    #[command(flatten)]
    pub user: UserOptions,
}

/// `loadgen run imap`
#[derive(Debug, Args)]
pub struct ImapOptions {
    /// What every client that logs in has.
    #[command(flatten)]
    pub client: ClientOptions,
    /// What the connections do
    #[arg(long, value_enum, default_value_t = ImapWork::Noop)]
    pub work: ImapWork,
    /// The mailbox
    #[arg(long, default_value = "INBOX")]
    pub mailbox: String,
    /// What fetch asks for
    #[arg(long, value_enum, default_value_t = FetchWhat::Both)]
    pub fetch: FetchWhat,
    /// What store changes in one command
    #[arg(long, value_enum, default_value_t = StoreWhat::All)]
    pub store: StoreWhat,
    /// search: the criterion, as it stands in the command: 'TEXT "word"', 'SINCE 1-Nov-2026'
    #[arg(long, default_value = "UNSEEN", value_name = "CRITERION")]
    pub search: String,
    /// search: how many messages it must find
    #[arg(long, value_name = "N")]
    pub found: Option<u32>,
    /// Octets of each message of append
    #[arg(long, default_value_t = 8192)]
    pub bytes: usize,
    /// hold: in IDLE
    #[arg(long)]
    pub idle: bool,
}

/// The work of IMAP connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImapWork {
    /// NOOP in the selected mailbox
    Noop,
    /// FETCH of one message after the other or of all, bodies checked
    Fetch,
    /// STORE of \Flagged, added and taken away in turn
    Store,
    /// SEARCH, the number of results checked
    Search,
    /// APPEND of generated messages
    Append,
    /// Connect, LOGIN, SELECT, LOGOUT
    #[value(alias = "login")]
    Session,
    /// Connect, TLS, LOGOUT, without a login; the time of the TLS handshake is told apart
    Handshake,
    /// Log in, select, and stay
    Hold,
}

/// What fetch asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FetchWhat {
    /// UID BODY.PEEK[], message after message
    Body,
    /// UID FLAGS, message after message
    Flags,
    /// Body and flags in turn, message after message
    Both,
    /// FETCH 1:* FLAGS
    AllFlags,
    /// FETCH 1:* (UID FLAGS RFC822.SIZE)
    AllColumns,
    /// FETCH 1:* (RFC822.SIZE ENVELOPE)
    AllEnvelopes,
    /// FETCH 1:* BODY.PEEK[]
    AllBodies,
}

/// What store changes in one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StoreWhat {
    /// All messages
    All,
    /// One message after the other
    One,
}

/// `loadgen run pop3`
#[derive(Debug, Args)]
pub struct Pop3Options {
    /// What every client that logs in has.
    #[command(flatten)]
    pub client: ClientOptions,
    /// Messages to retrieve in a session
    #[arg(long, default_value_t = 5)]
    pub retrieve: u32,
}

/// `loadgen run smtp`
#[derive(Debug, Args)]
pub struct SmtpOptions {
    /// What every client that logs in has; who delivers does not.
    #[command(flatten)]
    pub client: ClientOptions,
    /// What the connections do
    #[arg(long, value_enum, default_value_t = SmtpWork::Deliver)]
    pub work: SmtpWork,
    /// Reverse-path (default: what --user says, else load@loadgen.invalid)
    #[arg(long)]
    pub from: Option<String>,
    /// Forward-path; %d in it is a number from 1 to --users, in turn
    #[arg(long)]
    pub to: String,
    /// Recipients of each message
    #[arg(long, default_value_t = 1)]
    pub recipients: u32,
    /// Octets of each message
    #[arg(long, default_value_t = 8192)]
    pub bytes: usize,
}

/// `loadgen run lmtp`
#[derive(Debug, Args)]
pub struct LmtpOptions {
    /// What every run has.
    #[command(flatten)]
    pub run: RunOptions,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Reverse-path
    #[arg(long, default_value = "load@loadgen.invalid")]
    pub from: String,
    /// Forward-path; %d in it is a number from 1 to --users, in turn
    #[arg(long)]
    pub to: String,
    /// How many names %d stands for
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub users: u32,
    /// Recipients of each message
    #[arg(long, default_value_t = 1)]
    pub recipients: u32,
    /// Octets of each message
    #[arg(long, default_value_t = 8192)]
    pub bytes: usize,
}

/// `loadgen corpus`
#[derive(Debug, Args)]
pub struct CorpusOptions {
    /// The folder, which must be empty or not there
    pub folder: PathBuf,
    /// Messages
    #[arg(long, default_value_t = 10_000)]
    pub messages: u32,
    /// Octets of all of them together, as near as may be
    #[arg(long, default_value_t = 95_200_000)]
    pub bytes: u64,
    /// The same seed gives the same messages
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `loadgen plot`
#[derive(Debug, Args)]
pub struct PlotOptions {
    /// Reports; the first is what the others are compared with
    #[arg(required = true, value_name = "REPORT")]
    pub reports: Vec<PathBuf>,
    /// Write the page to this file
    #[arg(long, value_name = "FILE")]
    pub html: PathBuf,
}

/// `loadgen compare`
#[derive(Debug, Args)]
pub struct CompareOptions {
    /// One report of each side: the old one and the new one
    #[arg(num_args = 2, value_names = ["A", "B"], required_unless_present = "base", conflicts_with = "base")]
    pub pair: Vec<PathBuf>,
    /// The old side: a report a round
    #[arg(long, num_args = 1.., value_name = "REPORT", requires = "new")]
    pub base: Vec<PathBuf>,
    /// The new side: a report a round
    #[arg(long, num_args = 1.., value_name = "REPORT", requires = "base")]
    pub new: Vec<PathBuf>,
    /// How much worse, in per cent, is no regression
    #[arg(long, default_value_t = 5.0, value_name = "PERCENT")]
    pub tolerance: f64,
}

/// The work of SMTP connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SmtpWork {
    /// MAIL, RCPT, DATA as another server would
    Deliver,
    /// The same after AUTH
    Submit,
}

impl RunOptions {
    /// Refuses what is out of bounds.
    pub fn check(&self) -> Result<(), String> {
        within("--connections", u64::from(self.connections), 1, u64::from(CONNECTIONS_MAX))?;
        within("--depth", self.depth as u64, 1, DEPTH_MAX as u64)?;
        for (name, value, least) in
            [("--seconds", self.seconds, 0.01), ("--warm-up", self.warm_up, 0.0), ("--time-out", self.time_out, 0.1)]
        {
            if !(least..=SECONDS_MAX).contains(&value) {
                return Err(format!("{name} {value}: from {least} to {SECONDS_MAX}"));
            }
        }
        if let Some(limit) = self.find_max.filter(|limit| !(0.001..=1e6).contains(limit)) {
            return Err(format!("--find-max {limit}: from 0.001 to 1000000 milliseconds"));
        }
        match self.rate {
            Some(rate) if !(0.001..=RATE_MAX).contains(&rate) => {
                Err(format!("--rate {rate}: from 0.001 to {RATE_MAX:.0} a second"))
            }
            _ => Ok(()),
        }
    }

    /// When operations are due.
    pub fn pace(&self) -> Pace {
        let poisson = self.arrivals == Arrivals::Poisson;
        self.rate.map_or(Pace::Saturate, |per_second| Pace::Rate { per_second, poisson })
    }

    /// The address, resolved, and the host that was named.
    pub fn resolve(&self) -> Result<(SocketAddr, String), String> {
        resolve(&self.address)
    }
}

/// An ADDRESS:PORT, resolved, and the host that was named.
pub fn resolve(shown: &str) -> Result<(SocketAddr, String), String> {
    let host = shown.rsplit_once(':').map(|(host, _)| host.trim_matches(['[', ']'])).filter(|host| !host.is_empty());
    let Some(host) = host else { return Err(format!("--address {shown}: give it as ADDRESS:PORT")) };
    let mut found = shown.to_socket_addrs().map_err(|error| format!("--address {shown}: {error}"))?;
    found.next().map(|address| (address, host.to_owned())).ok_or_else(|| format!("--address {shown}: no such host"))
}

/// Checks `--recipients`.
pub fn check_recipients(recipients: u32) -> Result<(), String> {
    within("--recipients", u64::from(recipients), 1, u64::from(RECIPIENTS_MAX))
}

/// Checks `--bytes`.
pub fn check_bytes(bytes: usize) -> Result<(), String> {
    within("--bytes", bytes as u64, MESSAGE_BYTES_MIN as u64, MESSAGE_BYTES_MAX as u64)
}

fn within(name: &str, value: u64, least: u64, most: u64) -> Result<(), String> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(format!("{name} {value}: from {least} to {most}")) }
}

/// The password that a file's first line or an environment variable holds.
pub fn password(file: Option<&Path>, variable: Option<&str>) -> Result<String, String> {
    match (file, variable) {
        (Some(path), _) => {
            let mut text = String::new();
            fs::File::open(path)
                .and_then(|file| file.take(PASSWORD_FILE_BYTES_MAX).read_to_string(&mut text))
                .map_err(|error| format!("--password-file {}: {error}", path.display()))?;
            Ok(text.lines().next().unwrap_or_default().to_owned())
        }
        (None, Some(name)) => std::env::var(name).map_err(|error| format!("--password-env {name}: {error}")),
        (None, None) => Err("give --password-file or --password-env".into()),
    }
}

impl UserOptions {
    /// Users and their password; `count`: how many names a pattern stands for where nobody says so.
    pub fn credentials(&self, count: u32) -> Result<(Names, String), String> {
        let users = match (&self.user, &self.user_pattern) {
            (Some(user), _) => Names::one(user),
            (None, Some(pattern)) => Names::numbered(pattern, self.users.unwrap_or(count))?,
            (None, None) => return Err("give --user and --password-file or --password-env".into()),
        };
        let odd = |text: &str| text.contains(['\0', '\r', '\n']);
        let password = password(self.password_file.as_deref(), self.password_env.as_deref())?;
        if password.is_empty() || odd(&users.of(0)) || odd(&password) {
            return Err("the password is empty, or there is a NUL or a line break in it or in the user name".into());
        }
        Ok((users, password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn run(arguments: &[&str]) -> Result<RunOptions, String> {
        let line = [&["loadgen", "run", "echo", "--address", "127.0.0.1:1"], arguments].concat();
        match CommandLine::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Command::Run { protocol } => match *protocol {
                Protocol::Echo(options) => options.check().map(|()| options),
                other => Err(format!("{other:?}")),
            },
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    /// Reports have the command line in them.
    #[test]
    fn no_option_takes_a_secret() {
        fn look(command: &clap::Command) -> usize {
            let longs = command.get_arguments().filter_map(|argument| argument.get_long());
            let secrets =
                longs.filter(|long| ["password", "secret", "token", "key"].iter().any(|word| long.contains(word)));
            let names: Vec<&str> = secrets.collect();
            assert!(names.iter().all(|long| long.ends_with("-file") || long.ends_with("-env")), "{names:?}");
            names.len() + command.get_subcommands().map(look).sum::<usize>()
        }
        assert!(look(&CommandLine::command()) >= 6);
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(run(&["--connections", "60000", "--depth", "16", "--seconds", "0.5"]).expect("within").depth, 16);
        for wrong in [
            ["--connections", "0"],
            ["--connections", "60001"],
            ["--depth", "0"],
            ["--seconds", "nan"],
            ["--seconds", "0"],
            ["--seconds", "inf"],
            ["--time-out", "-1"],
            ["--rate", "0"],
            ["--rate", "nan"],
        ] {
            assert!(run(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn addresses() {
        let resolve = |address: &str| RunOptions { address: address.into(), ..run(&[]).expect("defaults") }.resolve();
        assert_eq!(
            resolve("127.0.0.1:1143").expect("numeric"),
            ("127.0.0.1:1143".parse().expect("an address"), "127.0.0.1".into())
        );
        assert_eq!(resolve("[::1]:143").expect("numeric").1, "::1");
        for wrong in ["127.0.0.1", ":143", "x", "127.0.0.1:99999"] {
            assert!(resolve(wrong).is_err(), "{wrong}");
        }
    }
}
