//! Tells the program which commit it was built from, for its reports: `LOADGEN_COMMIT`, with a `+` where its own files differ
//! from that commit, and empty where there is no git. Cargo asks again after a commit or a change of what is watched, so that
//! it is never the commit of an older build.

use std::process::Command;

/// What the program is made of.
const SOURCES: [&str; 4] = ["src", "build.rs", "Cargo.toml", "../Cargo.lock"];

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn main() {
    for path in SOURCES {
        println!("cargo::rerun-if-changed={path}");
    }
    let mut commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    if let Some(path) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={path}");
    }
    let changed = || git(&[&["status", "--porcelain", "--"], SOURCES.as_slice()].concat());
    if !commit.is_empty() && changed().is_none_or(|text| !text.is_empty()) {
        commit.push('+');
    }
    println!("cargo::rustc-env=LOADGEN_COMMIT={commit}");
}
