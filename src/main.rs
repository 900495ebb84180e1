//! The program: its command line is [`ringpost::tools`].
//!
//! Nothing else is here, so that everything can be tested as a library and the benches need no process.

use std::process::ExitCode;

fn main() -> ExitCode {
    ringpost::tools::run(std::env::args_os())
}
