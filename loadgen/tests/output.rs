//! What a run leaves: its report, HdrHistogram's files as another program reads them, the live view, the verdict of a comparison.
//!
//! The program itself is run, against an echo on a thread. `tests/run` installs the Python package under the build's folder.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use loadgen::report::{Report, read};

/// Answers each line like a NOOP, on threads that end with the test process.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut octets = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut octets) {
                    let lines = octets[..count].iter().filter(|octet| **octet == b'\n').count();
                    stream.write_all("A000000 OK NOOP completed\r\n".repeat(lines).as_bytes()).ok()?;
                }
                Some(())
            });
        }
    });
    address
}

fn loadgen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(arguments).output().expect("it runs")
}

/// A folder that is removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch folder");
        Scratch(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }

    fn report(&self, name: &str) -> Report {
        read(&[self.0.join(name)], 1).expect("a report").remove(0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_run_leaves_its_figures() {
    let scratch = Scratch::new("figures");
    let address = echo().to_string();
    let [json, hlog, hgrm] = ["a.json", "a.hlog", "a.hgrm"].map(|name| scratch.path(name));
    let arguments = ["run", "echo", "--address", &address, "-c", "2", "-s", "2.3", "--server-version", "echo 1"];
    let output = loadgen(&[&arguments[..], &["--json", &json, "--hlog", &hlog, "--hgrm", &hgrm]].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let report = scratch.report("a.json");
    assert_eq!(report.subject.server_version.as_deref(), Some("echo 1"));
    assert_eq!(report.command_line[1..8], arguments[..7]);
    assert_eq!(report.series.iter().map(|second| second.operations).sum::<u64>(), report.operations);
    assert_eq!((report.series.len(), report.operations_by_name.len()), (3, 1));
    assert!(report.machine.steal_share.is_some() && report.machine.load_average.is_some(), "{:?}", report.machine);
    assert!((2.3..3.0).contains(&report.seconds) && report.latency_curve.len() > 10);

    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients/python/bin/python");
    assert!(python.exists(), "{} is missing: tests/run installs it", python.display());
    let mut script = Command::new(python);
    let other = script.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hlog.py")).arg(&hlog).output().expect("it runs");
    let told = String::from_utf8_lossy(&other.stdout);
    let lines: Vec<Vec<u64>> =
        told.lines().map(|line| line.split(' ').map(|word| word.parse().expect("a number")).collect()).collect();
    assert_eq!(lines.len(), 3, "{other:?}");
    for (line, second) in lines.iter().zip(&report.series) {
        assert_eq!([line[0], line[1]], [second.operations, second.max], "{other:?}");
        // The two libraries round the rank of a percentile differently, and the next value may be far away.
        assert!((line[2]..=line[3]).contains(&second.p99), "{} in {other:?}", second.p99);
    }

    let text = fs::read_to_string(hgrm).expect("it was written");
    assert!(text.contains(&format!(" 1.000000000000 {:10}\n", report.operations)), "{text}");
    let output = loadgen(&[&arguments[..4], &["-s", "0.1", "--hlog", "/dev/full"]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && error.starts_with("loadgen: --hlog /dev/full: "), "{error}");
}

#[test]
fn the_live_view_is_for_terminals() {
    let scratch = Scratch::new("live");
    let address = echo().to_string();
    let run = format!("stty cols 50; {} run echo --address {address} -c 2 -s 2.3", env!("CARGO_BIN_EXE_loadgen"));
    let output = Command::new("script").args(["-qec", &run, &scratch.path("typescript")]).output().expect("script(1)");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let (view, table) =
        shown.split_once("\x1b[Jrun  ").unwrap_or_else(|| panic!("a cleared view, then the table: {shown}"));
    assert!(output.status.success() && table.contains("p99.9"), "{shown}");
    assert_eq!(view.matches("errors 0").count(), 3, "{view}");
    // Five lines, drawn over twice and cleared.
    assert_eq!(view.matches("\x1b[4A").count(), 3, "{view}");
    assert!(view.contains(" s left") && view.contains("p99 "), "{view}");
    let widest = view.split(['\n', '\r', '\x1b']).map(|line| line.trim_start_matches("[J").chars().count()).max();
    assert_eq!(widest, Some(49), "{view}");
}

#[test]
fn compare_says_by_its_code_what_it_found() {
    let scratch = Scratch::new("compare");
    let output =
        loadgen(&["run", "echo", "--address", &echo().to_string(), "-s", "0.2", "--json", &scratch.path("run")]);
    assert!(output.status.success(), "{output:?}");
    for (side, factor) in [("a", 1.0), ("b", 0.5)] {
        for round in 1..=3 {
            let mut report = scratch.report("run");
            report.rate *= factor * (1.0 + f64::from(round) / 100.0);
            fs::write(scratch.path(&format!("{side}{round}")), report.json()).expect("a scratch file");
        }
    }
    let [a1, a2, a3, b1, b2, b3] = ["a1", "a2", "a3", "b1", "b2", "b3"].map(|name| scratch.path(name));
    let code = |arguments: &[&str]| {
        let output = loadgen(&[&["compare"], arguments].concat());
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        (output.status.code(), text)
    };
    let (worse, text) = code(&["--base", &a1, &a2, &a3, "--new", &b1, &b2, &b3]);
    assert!(worse == Some(1) && text.contains("REGRESSION"), "{text}");
    let (again, same) = code(&["--base", &a1, &a2, &a3, "--new", &b1, &b2, &b3]);
    assert_eq!((again, same), (worse, text), "the same reports give the same verdict");
    let (better, text) = code(&["--base", &b1, &b2, &b3, "--new", &a1, &a2, &a3]);
    assert!(better == Some(0) && text.contains("better"), "{text}");
    assert_eq!(code(&["--base", &a1, &a2, &a3, "--new", &b1, &b2, &b3, "--tolerance", "60"]).0, Some(0));
    for wrong in [&["--base", &a1, &a2, "--new", &b1][..], &[&a1, &b1], &[&a1, "/nowhere"], &[&a1], &[]] {
        assert_eq!(code(wrong).0, Some(2), "{wrong:?}");
    }
}
