//! The program: its command line is [`ringpost::tools`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ringpost::tools::run(std::env::args_os())
}
