//! Scenarios against a server in memory: one that keeps its promises passes, and each that it breaks is found.
//!
//! The faults come once, at a moment that a seed decides, amid sixteen sessions on one mailbox; the same runs without a fault
//! are the proof that nothing else is complained about.

mod world;

use std::process::{Command, Output};

use world::{Fault, World};

fn loadgen(world: &World, scenario: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(["run", "scenario", scenario, "--host", "127.0.0.1", "--user", "a@localhost", "--password-env", "PW"]);
    for (name, address) in [("imap", world.imap), ("smtp", world.smtp)] {
        command.args(["--port", &format!("{name}={}", address.port())]);
    }
    command.args(arguments).env("PW", "pass word").output().expect("it runs")
}

fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into(), String::from_utf8_lossy(&output.stderr).into())
}

/// The exit code; a void run, whose client had no processor to itself, has been verified all the same.
fn ended(output: &Output) -> i32 {
    let (_, errors) = texts(output);
    if errors.contains("this run is void") { 0 } else { output.status.code().expect("an exit code") }
}

const SHORT: [&str; 6] = ["--seconds", "2", "--seed", "11", "--speed", "2"];

#[test]
fn a_server_that_keeps_its_promises_passes() {
    let world = World::new(None, 0);
    let output = loadgen(&world, "chaos", &SHORT);
    let (table, errors) = texts(&output);
    assert_eq!(ended(&output), 0, "{table}{errors}");
    for part in
        ["append", "flag", "seen", "move", "copy", "delete", "deliver", "login", "verified", "errors           none"]
    {
        assert!(table.contains(part), "{part} in {table}{errors}");
    }
}

/// Runs with the fault, which comes after so many opportunities; whether it was found, in one of these words.
fn finds(fault: Fault, patience: u32, parts: &[&str]) -> bool {
    let world = World::new(Some(fault), patience);
    let output = loadgen(&world, "chaos", &SHORT);
    let (table, errors) = texts(&output);
    assert!(!world.is_whole(), "{fault:?} had no opportunity: {table}{errors}");
    if ended(&output) == 0 {
        return false;
    }
    assert_eq!(output.status.code(), Some(1), "{fault:?}: {table}{errors}");
    assert!(parts.iter().any(|part| errors.contains(part)), "{fault:?}: {errors}");
    true
}

#[test]
fn each_broken_promise_is_found() {
    for (fault, patience, parts) in [
        (Fault::LosesAppend, 20, &["is lost"][..]),
        (Fault::LosesDelivery, 3, &["is lost"]),
        (Fault::Doubles, 20, &["1 times more", "as well, and was not put there"]),
        (Fault::Damages, 400, &["checksum", "is damaged"]),
        (Fault::ForgetsFlag, 40, &["has lost \\", "took away"]),
        (Fault::BringsBack, 2, &["is back"]),
        (Fault::GivesUidAgain, 2, &["given twice", "is back", "another one", "UIDs must ascend"]),
    ] {
        // The message may be deleted before anybody looks at it again, and the flag changed once more: then nothing is wrong.
        let found = (0..6).any(|again| finds(fault, patience + 7 * again, parts));
        assert!(found, "{fault:?} was not found");
    }
}

#[test]
fn users_who_do_not_think_do_all_that_others_do() {
    let output = loadgen(&World::new(None, 0), "chaos", &["--seconds", "1", "--saturate"]);
    let (table, errors) = texts(&output);
    assert_eq!(ended(&output), 0, "{table}{errors}");
    // Who goes into IDLE comes out of it, though nobody waits for the next action.
    let done = table.lines().find_map(|line| line.trim().strip_prefix("done")?.trim().split(' ').next()?.parse().ok());
    assert!(done.is_some_and(|count: u32| count > 0) && table.contains("arrivals closed"), "{table}");
}

#[test]
fn a_journal_is_verified_afterwards() {
    for fault in [None, Some(Fault::LosesDelivery)] {
        let world = World::new(fault, 3);
        let journal = std::env::temp_dir().join(format!("loadgen-journal-{}-{fault:?}", std::process::id()));
        let path = journal.to_str().expect("UTF-8");
        let output = loadgen(&world, "chaos", &[&SHORT[..], &["--journal", path]].concat());
        assert_eq!(ended(&output), 0, "{:?}", texts(&output));
        let mut verify = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        verify.args(["verify", "--journal", path, "--address", &world.imap.to_string(), "--password-env", "PW"]);
        let output = verify.env("PW", "pass word").output().expect("it runs");
        std::fs::remove_file(&journal).expect("ours");
        let (table, errors) = texts(&output);
        assert_eq!(output.status.code(), Some(i32::from(fault.is_some())), "{table}{errors}");
        assert!(table.contains("were promised"), "{table}");
        assert_eq!(errors.contains("is lost"), fault.is_some(), "{errors}");
    }
}
