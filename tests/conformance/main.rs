//! Conformance: scripts of what clients send and the server must answer, run against one server a protocol.
//!
//! README.md in this folder describes the language. Each script has an account of its own. `SCRIPT=imap/copy cargo test
//! --test conformance` runs those whose path begins so.

#[path = "../support/mod.rs"]
mod support;

mod pattern;
mod planted;
mod run;
mod script;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use pattern::Names;
use run::Run;
use script::Script;
use support::Server;
use support::smtp::plain;

/// Scripts that run at a time: most of one's time is waiting.
const WORKERS: usize = 6;

#[test]
fn imap() {
    all("imap");
}

#[test]
fn pop3() {
    all("pop3");
}

#[test]
fn smtp() {
    all("smtp");
}

#[test]
fn lmtp() {
    all("lmtp");
}

/// Runs every script of a folder and fails with all that went wrong.
fn all(folder: &str) {
    let scripts = scripts(folder);
    if scripts.is_empty() {
        return;
    }
    let server = Server::start(&format!("conformance-{folder}"));
    let next = AtomicUsize::new(0);
    let (sender, failures) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            let (server, scripts, next, sender) = (&server, &scripts, &next, sender.clone());
            scope.spawn(move || {
                while let Some((name, path)) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = std::fs::read_to_string(path).expect("a script in UTF-8");
                    let result = std::panic::catch_unwind(|| run_text(server, name, &text));
                    let result = result.unwrap_or_else(|_| Err(format!("{name}: a panic, see above\n")));
                    if let Err(failure) = result {
                        sender.send(failure).expect("the test waits");
                    }
                }
            });
        }
    });
    drop(sender);
    let failures: Vec<String> = failures.into_iter().collect();
    let log = server.log();
    assert!(!log.contains("panicked"), "the server panicked:\n{log}");
    assert!(failures.is_empty(), "{} of {} scripts:\n\n{}", failures.len(), scripts.len(), failures.join("\n"));
    println!("{} scripts of {folder}", scripts.len());
}

/// The scripts of a folder that were asked for, by name: all of them, unless SCRIPT says which.
fn scripts(folder: &str) -> Vec<(String, PathBuf)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(folder);
    let entries = std::fs::read_dir(&path).expect("the folder of scripts");
    let wanted = std::env::var("SCRIPT").unwrap_or_default();
    let mut scripts: Vec<(String, PathBuf)> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (format!("{folder}/{}", path.file_name().expect("a name").to_string_lossy()), path))
        .filter(|(name, _)| name.starts_with(&wanted))
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty() || !wanted.is_empty(), "no script in {}", path.display());
    scripts
}

/// Reads a script, makes its accounts, and runs it.
fn run_text(server: &Server, name: &str, text: &str) -> Result<(), String> {
    let script = Script::read(text).map_err(|error| format!("{name}: {error}\n"))?;
    let mut names = Names::from([("space".to_owned(), " ".to_owned())]);
    let (user, password) = add_user(server);
    names.insert("plain".to_owned(), plain(&user, &password));
    names.extend([("user".to_owned(), user), ("password".to_owned(), password)]);
    if script.refers_to("other") || script.refers_to("other-password") {
        let (user, password) = add_user(server);
        names.extend([("other".to_owned(), user), ("other-password".to_owned(), password)]);
    }
    Run::new(server, names).all(name, &script)
}

/// A new account: its address and password.
fn add_user(server: &Server) -> (String, String) {
    static COUNT: AtomicUsize = AtomicUsize::new(1);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let (user, password) = (format!("user{number}@localhost"), format!("secret-{number}-word"));
    server.add_user(&user, &password);
    (user, password)
}
