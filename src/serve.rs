//! (room)
/// Runs.
pub fn run(_: crate::config::Config) -> std::process::ExitCode { std::process::ExitCode::SUCCESS }
