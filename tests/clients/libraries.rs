//! Libraries that mail programs are built on: IMAPClient and aioimaplib (PyPI), Mail::IMAPClient (Debian), ImapFlow (npm).
//!
//! Each script does all that its library can with what the server offers, and compares. `tests/run` installs the
//! libraries under the build's folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::programs::{delicate, script};
use crate::support::{Binary, Server, USER};

/// How long one script may take.
const RUN_TIME_MAX: Duration = Duration::from_secs(60);

/// Where `tests/run` puts what comes from PyPI and npm.
fn installed(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients").join(name);
    assert!(path.exists(), "{} is missing: tests/run installs it", path.display());
    path
}

fn session(name: &str, interpreter: &Path, folder: Option<PathBuf>) {
    let server = Server::start(name);
    let file = server.scratch().join("message");
    fs::write(&file, delicate(name)).expect("a scratch file");
    let mut command = Command::new(interpreter);
    command.args([&script(name), &server.port(993).to_string(), USER, &server.password(), &file.display().to_string()]);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let (output, took) = Binary::run(command, b"", RUN_TIME_MAX);
    println!("{name}: {took:?}");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(
        output.status.success() && output.stdout.ends_with(b"done\n"),
        "{name}: {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
}

#[test]
fn imapclient_does_everything_it_can() {
    session("imapclient_session.py", &installed("python/bin/python"), None);
}

#[test]
fn aioimaplib_waits_while_another_works() {
    session("aioimaplib_session.py", &installed("python/bin/python"), None);
}

#[test]
fn mail_imapclient_does_everything_it_can() {
    session("mail_imapclient_session.pl", Path::new("perl"), None);
}

#[test]
fn imapflow_does_everything_it_can() {
    let folder = installed("node/node_modules/imapflow").ancestors().nth(2).expect("two above").to_path_buf();
    session("imapflow_session.mjs", Path::new("node"), Some(folder));
}
