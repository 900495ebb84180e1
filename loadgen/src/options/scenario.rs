//! The command line of scenarios and of what is verified after them.
//!
//! What a scenario needs of a server is its host, its ports and its accounts; all else is in the scenario's file.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;

use super::{OutputOptions, TlsOptions, UserOptions};
use crate::limits::{RATE_MAX, SECONDS_MAX};

pub(super) const SCENARIO_EXAMPLES: &str = "\
Examples:
  An office, on a server at the standard ports plus 1000, in its own time; and twice as fast, with twice as many users:
    loadgen run scenario office-day --host 127.0.0.1 --port-base 1000 --insecure --user-pattern u%d@localhost --users 64 --password-file pw
    loadgen run scenario office-day --speed 2 --scale 2 …

  How fast it may go until a hundredth of the operations takes more than 50 ms:
    loadgen run scenario office-day --find-max 50 --seconds 20 …

  Many sessions on one mailbox, every promise of the server checked at the end:
    loadgen run scenario chaos …

  The same while the server is killed; afterwards, when it is up again, whether it has kept what it promised:
    loadgen run scenario chaos --journal journal …
    loadgen verify --journal journal --address 127.0.0.1:1143 --password-file pw";

/// `loadgen run scenario`
#[derive(Debug, Args)]
pub struct ScenarioOptions {
    /// A scenario that comes along, or a file
    pub scenario: String,
    /// The server
    #[arg(long)]
    pub host: String,
    /// Added to each standard port: 143, 993, 110, 995, 25, 587, 465, and 24 for LMTP
    #[arg(long, default_value_t = 0)]
    pub port_base: u16,
    /// A port that is another one, as submission=1587; imap, imaps, pop3, pop3s, smtp, submission, submissions, lmtp
    #[arg(long, value_name = "NAME=PORT")]
    pub port: Vec<String>,
    /// Who logs in, and who gets mail
    #[command(flatten)]
    pub user: UserOptions,
    /// Take any certificate
    #[arg(long)]
    pub insecure: bool,
    /// Believe certificates signed by those in this PEM file (default: the system's)
    #[arg(long, conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,
    /// The name in the certificate, where it is not --host
    #[arg(long)]
    pub server_name: Option<String>,
    /// Resume TLS sessions where the server gives tickets
    #[arg(long)]
    pub tls_resume: bool,
    /// How fast time passes for the users: 2 is twice as often
    #[arg(long, default_value_t = 1.0)]
    pub speed: f64,
    /// By what the connections of each group are multiplied
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,
    /// Closed loop: nobody thinks, each operation follows when the one before it was answered
    #[arg(long, conflicts_with = "find_max")]
    pub saturate: bool,
    /// Find the highest speed with a p99 of at most so many milliseconds and hardly an error
    #[arg(long, value_name = "MILLISECONDS")]
    pub find_max: Option<f64>,
    /// The seed of all chance
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write down what the server promises, for `loadgen verify`; nothing is verified at the end of the run then
    #[arg(long, value_name = "FILE", conflicts_with = "find_max")]
    pub journal: Option<PathBuf>,
    /// Go on with the journal that is there: `loadgen verify` then holds the server to what it promised in all of its runs
    #[arg(long, requires = "journal")]
    pub resume_journal: bool,
    /// Measured time, in seconds (default: the scenario's)
    #[arg(long, short = 's')]
    pub seconds: Option<f64>,
    /// Seconds of load before measuring (default: the scenario's)
    #[arg(long)]
    pub warm_up: Option<f64>,
    /// An operation that takes longer than these seconds has failed
    #[arg(long, default_value_t = 30.0)]
    pub time_out: f64,
    /// What is reported, and where.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// `loadgen verify`
#[derive(Debug, Args)]
pub struct VerifyOptions {
    /// What `run scenario --journal` wrote
    #[arg(long, value_name = "FILE")]
    pub journal: PathBuf,
    /// The IMAP server, as ADDRESS:PORT
    #[arg(long)]
    pub address: String,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// File whose first line is the password of all accounts
    #[arg(long, conflicts_with = "password_env")]
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds it
    #[arg(long)]
    pub password_env: Option<String>,
}

/// `loadgen scenarios`
#[derive(Debug, Args)]
pub struct ScenariosOptions {
    /// Show the file of this one
    pub name: Option<String>,
}

/// The ports of the protocols (RFC 8314 §7.3; LMTP has none, and 24 is what people use).
const PORTS: [(&str, u16); 8] = [
    ("imap", 143),
    ("imaps", 993),
    ("pop3", 110),
    ("pop3s", 995),
    ("smtp", 25),
    ("submission", 587),
    ("submissions", 465),
    ("lmtp", 24),
];

impl ScenarioOptions {
    /// Refuses what is out of bounds.
    pub fn check(&self) -> Result<(), String> {
        let numbers = [
            ("--seconds", self.seconds.unwrap_or(1.0), 0.01, SECONDS_MAX),
            ("--warm-up", self.warm_up.unwrap_or(0.0), 0.0, SECONDS_MAX),
            ("--time-out", self.time_out, 0.1, SECONDS_MAX),
            ("--speed", self.speed, 1e-3, 1e6),
            ("--scale", self.scale, 1e-4, 1e6),
            ("--find-max", self.find_max.unwrap_or(1.0), 1e-3, RATE_MAX),
        ];
        match numbers.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            Some((name, value, least, most)) => Err(format!("{name} {value}: from {least} to {most}")),
            None => Ok(()),
        }
    }

    /// Where each protocol is served, by name.
    pub fn ports(&self) -> Result<BTreeMap<&'static str, SocketAddr>, String> {
        let told = |what: &dyn std::fmt::Display| format!("--host {}: {what}", self.host);
        let mut found = (self.host.as_str(), 0).to_socket_addrs().map_err(|error| told(&error))?;
        let address = found.next().ok_or_else(|| told(&"no such host"))?.ip();
        let mut ports = BTreeMap::new();
        for (name, port) in PORTS {
            let port = self.port_base.checked_add(port).ok_or(format!("--port-base {}: too large", self.port_base))?;
            ports.insert(name, SocketAddr::new(address, port));
        }
        for given in &self.port {
            let wrong = || {
                format!("--port {given}: give it as imap=1143; names are {}", PORTS.map(|(name, _)| name).join(", "))
            };
            let (name, port) = given.split_once('=').ok_or_else(wrong)?;
            let (name, _) = PORTS.iter().find(|(known, _)| *known == name).ok_or_else(wrong)?;
            ports.insert(name, SocketAddr::new(address, port.parse().map_err(|_| wrong())?));
        }
        Ok(ports)
    }
}
