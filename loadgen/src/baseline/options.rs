//! The command line of `loadgen baseline`, and the names of the limits.
//!
//! What can be checked before anything is measured is checked here.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::limits::{ROUNDS_MAX, SECONDS_MAX};

/// The end of the help.
pub const EXAMPLES: &str = "\
Examples:
  All limits, about three minutes:
    loadgen baseline --folder /var/tmp --json baseline.json

  Those of NOOP and of TLS, one round, between the rounds of a server:
    loadgen baseline noop handshake --rounds 1 --json -

Names end in their unit. What a processor alone limits (seal, handshake, deliver, search, flags) is told by the processor time
of the measured side; noop and send are told by both, commit and replay by the clock, which a busy machine disturbs more.";

/// `loadgen baseline`
#[derive(Debug, Args)]
pub struct BaselineOptions {
    /// Which limits (default: all)
    #[arg(value_enum, value_name = "LIMIT")]
    pub limits: Vec<Limit>,
    /// Folder on the disk to measure, for commit and replay: 64 MiB are written there
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// Rounds; each measures every limit once
    #[arg(long, default_value_t = 7)]
    pub rounds: u32,
    /// Time of one measurement, in seconds
    #[arg(long, short = 's', default_value_t = 1.0)]
    pub seconds: f64,
    /// Processor of the measured side
    #[arg(long, default_value_t = 0)]
    pub cpu: usize,
    /// Processor of the other end
    #[arg(long, default_value_t = 1)]
    pub client_cpu: usize,
    /// Write the figures as JSON to this file too (- for standard output instead of the table)
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Limit {
    /// Raw echoes by io_uring and epoll, 64 connections, depth 1 and 16, and two at once on both processors
    Noop,
    /// send() of 64 KiB and 1 MiB out of 95 MB to a reader
    Send,
    /// Write and fdatasync of 1, 4, 16 and 64 messages of 8 KiB into a prewritten file
    Commit,
    /// Receiving 8 KiB; CRC-32C and copying of 8 KiB
    Deliver,
    /// Sealing of TLS records of 16 KiB
    Seal,
    /// The server's part of a full TLS 1.3 handshake in memory; accept, recv, send, close
    Handshake,
    /// memchr::memmem over 95 MB of text
    Search,
    /// Reading of three columns and copying of the answer, as FETCH 1:* (UID FLAGS RFC822.SIZE) must
    Flags,
    /// Reading of a file in the page cache, with its CRC-32C
    Replay,
    /// Kernel memory of one end of a connection (root)
    Socket,
}

impl Limit {
    /// As the command line has it.
    pub fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }
}

impl BaselineOptions {
    /// The limits named, or all, each once.
    pub fn limits(&self) -> Vec<Limit> {
        let asked = |limit: &Limit| self.limits.is_empty() || self.limits.contains(limit);
        Limit::value_variants().iter().copied().filter(asked).collect()
    }

    /// Refuses what is out of bounds.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=ROUNDS_MAX).contains(&self.rounds) {
            return Err(format!("--rounds {}: from 1 to {ROUNDS_MAX}", self.rounds));
        }
        if !(0.01..=SECONDS_MAX).contains(&self.seconds) {
            return Err(format!("--seconds {}: from 0.01 to {SECONDS_MAX}", self.seconds));
        }
        if self.cpu == self.client_cpu {
            return Err(format!("--cpu and --client-cpu are both {}: the two ends need a processor each", self.cpu));
        }
        Ok(())
    }
}
