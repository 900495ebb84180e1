//! The line that shows on a terminal how a run goes.
//!
//! Written to standard error, over itself; nothing where that is not a terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::tally::Tally;

/// The progress line.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    last: (f64, u64),
}

impl Progress {
    /// Looks whether there is a terminal.
    pub fn new() -> Progress {
        Progress { shown: std::io::stderr().is_terminal(), last: (0.0, 0) }
    }

    /// Shows `text` in place of what was shown before.
    pub fn show(&self, text: &str) {
        if self.shown {
            // Nobody is helped by an error about the progress line.
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
        }
    }

    /// Shows the rate since the last call, `left` seconds before the end of the phase.
    pub fn rate(&mut self, since_start: Duration, left: f64, tally: &Tally) {
        if !self.shown {
            return;
        }
        let now = since_start.as_secs_f64();
        let (then, operations) = self.last;
        let count = tally.count();
        let rate = (count - operations) as f64 / (now - then).max(1e-3);
        self.last = (now, count);
        let p99 = tally.latency().value_at_quantile(0.99) as f64 / 1e6;
        self.show(&format!("{left:5.1} s left   {rate:9.0}/s   p99 {p99:.2} ms   errors {}", tally.errors_total()));
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.show("");
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress::new()
    }
}
