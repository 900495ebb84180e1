//! `benches/instructions` beside a cargo, a compiler and a valgrind that say what they are told to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time: a program can't be run while a child that another test begins has it open for writing still (ETXTBSY).
static TURN: Mutex<()> = Mutex::new(());

/// A folder with the script, and programs that it calls.
struct Desk(PathBuf, #[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Desk {
    fn new(name: &str) -> Desk {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = std::env::temp_dir().join(format!("ringpost-instructions-{name}-{}", std::process::id()));
        let desk = Desk(folder, turn);
        fs::create_dir_all(desk.0.join("benches")).unwrap();
        fs::create_dir_all(desk.0.join("bin")).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions");
        fs::copy(script, desk.0.join("benches/instructions")).unwrap();
        let program =
            desk.program("counted", "case $1 in --list) echo one; echo two ;; *) printf '%s\\t10\\tKiB\\n' $1 ;; esac");
        desk.program(
            "cargo",
            &format!(
                "echo '{{\"reason\": \"compiler-artifact\", \"target\": {{\"name\": \"counted\"}}, \"executable\": \"{program}\"}}'"
            ),
        );
        desk.rust("1.95.0");
        desk.counts(1000, 2000);
        desk
    }

    fn program(&self, name: &str, text: &str) -> String {
        let path = self.0.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn rust(&self, version: &str) {
        self.program("rustc", &format!("echo 'release: {version}'; echo 'host: here'"));
    }

    /// What valgrind finds in the operations, for ten units.
    fn counts(&self, one: u64, two: u64) {
        self.program(
            "valgrind",
            &format!(
                "[ $1 = --version ] && {{ echo valgrind-3; exit; }}\nfor last; do :; done\n\
                 for argument; do case $argument in --callgrind-out-file=*) out=${{argument#*=}} ;; esac; done\n\
                 case $last in one) echo totals: {one} ;; *) echo totals: {two} ;; esac >$out\nshift 3; exec \"$@\""
            ),
        );
    }

    /// Exit code 0, and all that was said.
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let path = format!("{}:{}", self.0.join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(self.0.join("benches/instructions"));
        let ended = command.args(arguments).env("PATH", path).output().unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.success(), String::from_utf8(said).unwrap())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_costs_more_than_committed_fails_and_what_costs_less_is_told() {
    let desk = Desk::new("compare");
    let (passed, said) = desk.run(&["--accept"]);
    assert!(passed, "{said}");
    let (passed, said) = desk.run(&[]);
    assert!(passed && said.ends_with("\nSuccess\n") && said.contains("+0.00%") && !said.contains("won"), "{said}");
    desk.counts(1029, 1900);
    let (passed, said) = desk.run(&[]);
    assert!(passed && said.contains("+2.90%") && said.contains("won over 3 %: two."), "{said}");
    desk.counts(1031, 2000);
    let (passed, said) = desk.run(&[]);
    assert!(!passed && said.contains("+3.10%") && said.contains("benches/instructions --accept one"), "{said}");
    assert!(desk.run(&["two"]).0);
    assert!(desk.run(&["--accept", "one"]).0);
    desk.counts(1031, 2100);
    let (passed, said) = desk.run(&[]);
    assert!(!passed && said.contains("+0.00%") && said.contains("--accept two"), "{said}");
}

#[test]
fn figures_of_another_compiler_are_not_compared_and_that_is_said() {
    let desk = Desk::new("compiler");
    assert!(desk.run(&["--accept"]).0);
    desk.rust("1.96.0");
    desk.counts(5000, 5000);
    let (passed, said) = desk.run(&[]);
    assert!(passed && said.contains("SKIPPED") && said.contains("rust 1.95.0, here 1.96.0"), "{said}");
    let (passed, said) = desk.run(&["--accept", "one"]);
    assert!(!passed && said.contains("accept all"), "{said}");
}

#[test]
fn an_operation_without_a_figure_and_a_figure_without_an_operation_fail() {
    let desk = Desk::new("names");
    assert!(desk.run(&["--accept"]).0);
    let table = desk.0.join("benches/instructions.tsv");
    let whole = fs::read_to_string(&table).unwrap();
    fs::write(&table, whole.replace("two\t", "three\t")).unwrap();
    let (passed, said) = desk.run(&[]);
    assert!(!passed && said.contains("three is not counted any more"), "{said}");
    let without: String =
        whole.lines().filter(|line| !line.starts_with("two")).map(|line| format!("{line}\n")).collect();
    fs::write(&table, without).unwrap();
    let (passed, said) = desk.run(&[]);
    assert!(!passed && said.contains("never committed: two"), "{said}");
    assert!(!desk.run(&["four"]).0);
}
