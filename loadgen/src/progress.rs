//! The line that shows on a terminal what a run is at, before and after its measured time.
//!
//! Written to standard error, over itself; nothing where that is not a terminal. The measured time has the live view
//! ([`crate::live`]).

use std::io::{IsTerminal, Write};

/// The progress line.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// Looks whether there is a terminal.
    pub fn new() -> Progress {
        Progress { shown: std::io::stderr().is_terminal() }
    }

    /// Shows `text` in place of what was shown before.
    pub fn show(&self, text: &str) {
        if self.shown {
            // Nobody is helped by an error about the progress line.
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
        }
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
