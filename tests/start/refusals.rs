//! A start that must not succeed: options, configuration, ports, folders, a second server, a kernel that forbids io_uring.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::message::numbered;
use crate::support::ports::Ports;
use crate::support::server::Scratch;
use crate::support::{Binary, Server};

/// How soon a refusal must be there.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(2);
/// When a process that goes on is ended.
const RUN_TIME_MAX: Duration = Duration::from_secs(10);

/// Runs a command that must fail in time with one line on standard error, which it gives.
fn refused(command: Command) -> String {
    let shown = format!("{command:?}");
    let (output, took) = Binary::run(command, b"", RUN_TIME_MAX);
    let error = String::from_utf8(output.stderr).expect("UTF-8 on standard error");
    assert!(matches!(output.status.code(), Some(1..)), "{shown}: {}: {error}", output.status);
    assert!(took < REFUSAL_TIME_MAX, "{shown}: took {took:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{shown}: not one line: {error}");
    assert!(error.starts_with("ringpost: ") && error.ends_with('\n'), "{shown}: {error:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("ready"), "{shown}: ready");
    println!("{}", error.trim_end());
    error
}

fn refused_for(arguments: &[&str], words: &[&str]) {
    let error = refused(Binary::command(arguments));
    for word in words {
        assert!(error.contains(word), "{arguments:?}: no {word:?} in: {error}");
    }
}

#[test]
fn bad_options() {
    let scratch = Scratch::new("bad-options");
    let data = scratch.join("data").display().to_string();
    refused_for(&["serve", "--data", &data, "--prot-base", "3000"], &["--prot-base"]);
    refused_for(&["serve", "--data", &data, "--port-base", "x"], &["--port-base"]);
    refused_for(&["serve", "--data", &data, "--port-base", "65000"], &["65000"]);
    refused_for(&["serve", "--data", &data, "--cpus", "7-3"], &["--cpus"]);
    refused_for(&["serve", "--data", &data, "--cpus", "1023"], &["1023"]);
    refused_for(&["sevre"], &["sevre"]);
    refused_for(&[], &["subcommand"]);
    assert!(!scratch.join("data").exists(), "a refused command line made the data folder");
}

#[test]
fn bad_configurations() {
    let scratch = Scratch::new("bad-configurations");
    let file = scratch.join("ringpost.toml");
    let path = file.display().to_string();
    let data = scratch.join("data");
    let head = format!("data = {:?}\n", data.display().to_string());
    for (text, words) in [
        ("reload_intervall = \"2m\"\n", ["reload_intervall", "reload_interval", "ringpost.toml"]),
        ("[[imap.listener]]\naddress = [\"127.0.0.1\"]\nport = 70000\n", ["70000", "port", "ringpost.toml"]),
        ("[imap]\nidle_timeout = \"soon\"\n", ["idle_timeout", "soon", "ringpost.toml"]),
        ("[imap\n", [":2:", "]", "ringpost.toml"]),
        ("[tls]\ncertificate = \"/nowhere/cert.pem\"\n", ["tls.certificate", "tls.key", "ringpost.toml"]),
    ] {
        fs::write(&file, format!("{head}{text}")).expect("a scratch file");
        refused_for(&["serve", "--config", &path], &words);
    }
    refused_for(&["serve", "--config", "/nowhere/ringpost.toml"], &["/nowhere/ringpost.toml"]);
    fs::write(&file, b"data = \"\xff\"\n").expect("a scratch file");
    refused_for(&["serve", "--config", &path], &["ringpost.toml"]);
    assert!(!data.exists(), "a refused configuration made the data folder");
}

#[test]
fn a_taken_port() {
    for standard in [143, 993, 25, 587, 465] {
        let (scratch, ports) = (Scratch::new("taken-port"), Ports::claim());
        let port = ports.base() + standard;
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port");
        let (data, base) = (scratch.join("data").display().to_string(), ports.base().to_string());
        refused_for(&["serve", "--data", &data, "--port-base", &base], &[&port.to_string(), "in use"]);
    }
}

/// The folder of a server that could not start is taken by the next one as if nothing had been.
#[test]
fn a_taken_port_leaves_the_data_whole() {
    let mut server = Server::start("taken-port-data");
    server.login().append("INBOX", &numbered("kept", 3));
    server.stop();
    let before = files(&server.data());
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, server.port(143))).expect("a free port");
    let arguments = server.arguments();
    refused(Binary::command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    drop(taken);
    let after = files(&server.data());
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    // The lock names the process that held it last.
    for (path, octets) in before.iter().filter(|(path, _)| !path.ends_with("LOCK")) {
        assert!(after[path] == *octets, "{} is not as it was", path.display());
    }
    server.run();
    assert_eq!(server.select("INBOX").text(1), numbered("kept", 3));
}

/// A first start that fails makes no accounts: the next one makes them, and shows what it shows once.
#[test]
fn a_taken_port_leaves_the_first_passwords_to_the_next_start() {
    let (scratch, ports) = (Scratch::new("taken-port-first"), Ports::claim());
    let (data, base) = (scratch.join("data"), ports.base().to_string());
    let shown = data.display().to_string();
    // The last one that is bound: everything else was done by then.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.base() + 587)).expect("a free port");
    refused_for(&["serve", "--data", &shown, "--port-base", &base], &["in use"]);
    assert!(!data.join("FIRST-LOGIN").exists(), "accounts were made by a start that failed");
    drop(taken);
    let mut timed = Command::new("timeout");
    // In the foreground it sends one signal: to its group it would send a second, which ends the server at once.
    timed.args(["--foreground", "--preserve-status", "--signal=TERM", "5", env!("CARGO_BIN_EXE_ringpost")]);
    timed.args(["serve", "--data", &shown, "--port-base", &base]);
    let (output, _) = Binary::run(timed, b"", RUN_TIME_MAX);
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let logins = fs::read_to_string(data.join("FIRST-LOGIN")).expect("FIRST-LOGIN");
    for login in logins.lines() {
        let (name, password) = login.split_once(' ').expect("a name and a password");
        assert!(said.contains(&format!("  {name}  {password}\n")), "{name} is not shown: {said}");
    }
    assert_eq!(logins.lines().count(), 2);
}

#[test]
fn folders_that_can_not_be_used() {
    let scratch = Scratch::new("bad-folders");
    let base = Ports::claim();
    let base_text = base.base().to_string();
    let file = scratch.join("a-file");
    fs::write(&file, b"precious").expect("a scratch file");
    let below = file.join("data");
    for path in [&file, &below, &PathBuf::from("/proc/ringpost"), &PathBuf::from("/dev/null/ringpost")] {
        let path = path.display().to_string();
        refused_for(&["serve", "--data", &path, "--port-base", &base_text], &[&path]);
    }
    assert_eq!(fs::read(&file).expect("the file"), b"precious");
    // A folder with things in it that are not ours is left alone.
    let strange = scratch.join("strange");
    fs::create_dir(&strange).expect("a folder");
    fs::write(strange.join("thesis.txt"), b"precious").expect("a file");
    let path = strange.display().to_string();
    let before = files(&strange);
    let mut timed = Command::new("timeout");
    // In the foreground it sends one signal: to its group it would send a second, which ends the server at once.
    timed.args(["--foreground", "--preserve-status", "--signal=TERM", "5", env!("CARGO_BIN_EXE_ringpost")]);
    timed.args(["serve", "--data", &path, "--port-base", &base_text]).env("RINGPOST_LOG", "warn");
    let (output, _) = Binary::run(timed, b"", RUN_TIME_MAX);
    // Whether it starts there or not is the server's choice, but it says so; what was there must stay.
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => assert!(said.ends_with("ringpost ready\n"), "{said}{error}"),
        code => assert!(code == Some(1) && said.is_empty() && error.lines().count() == 1, "{code:?}: {said}{error}"),
    }
    let after = files(&strange);
    for (path, octets) in before {
        assert_eq!(after.get(&path), Some(&octets), "{}", path.display());
    }
}

#[test]
fn too_few_descriptors_for_any_connection() {
    let (scratch, ports) = (Scratch::new("descriptors"), Ports::claim());
    let (data, base) = (scratch.join("data").display().to_string(), ports.base().to_string());
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 200; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_ringpost")]);
    command.args(["serve", "--data", &data, "--port-base", &base]);
    let error = refused(command);
    for word in ["open files", "200", "ulimit -n", "LimitNOFILE"] {
        assert!(error.contains(word), "no {word} in: {error}");
    }
}

#[test]
fn a_second_server_on_the_same_data() {
    let mut server = Server::start("second");
    let mut imap = server.select("INBOX");
    imap.append("INBOX", &numbered("first", 3));
    let before = files(&server.data());
    let other = Ports::claim();
    let (data, base) = (server.data().display().to_string(), other.base().to_string());
    refused_for(&["serve", "--data", &data, "--port-base", &base], &[&data]);
    // The same once more on the same ports: the folder or the port, but one line.
    let arguments = server.arguments();
    refused(Binary::command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(before.keys().collect::<Vec<_>>(), files(&server.data()).keys().collect::<Vec<_>>(), "its files");
    let first_login = server.data().join("FIRST-LOGIN");
    assert_eq!(before[&first_login], fs::read(&first_login).expect("FIRST-LOGIN"));
    imap.append("INBOX", &numbered("second", 3));
    assert_eq!(imap.ok("SELECT INBOX").exists(), Some(2));
    server.restart();
    let mut imap = server.select("INBOX");
    assert_eq!((imap.text(1), imap.text(2)), (numbered("first", 3), numbered("second", 3)));
    server.assert_alive();
}

#[test]
fn a_seccomp_profile_that_forbids_io_uring() {
    let (scratch, ports) = (Scratch::new("seccomp"), Ports::claim());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/start/without_io_uring.py");
    let (data, base) = (scratch.join("data").display().to_string(), ports.base().to_string());
    let mut command = Command::new("python3");
    command.arg(script).arg(env!("CARGO_BIN_EXE_ringpost"));
    command.args(["serve", "--data", &data, "--port-base", &base]);
    let error = refused(command);
    for word in ["io_uring", "seccomp", "io_uring_setup"] {
        assert!(error.contains(word), "no {word} in: {error}");
    }
}

#[test]
fn secrets_are_for_their_owner_alone() {
    let server = Server::start("modes");
    let data = server.data();
    let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(&data.join("FIRST-LOGIN")), 0o600);
    assert_eq!(mode(&data) & 0o077, 0, "the data folder is open to others");
    let text = fs::read_to_string(data.join("FIRST-LOGIN")).expect("FIRST-LOGIN");
    let names: Vec<&str> = text.lines().map(|line| line.split(' ').next().expect("a name")).collect();
    assert_eq!(names, ["a@localhost", "b@localhost"]);
    for path in files(&data).keys() {
        assert_eq!(mode(path) & 0o022, 0, "others may write {}", path.display());
        let name = path.display().to_string();
        if name.contains("key") || name.contains("secret") || name.contains("log") || name.contains("directory") {
            assert_eq!(mode(path) & 0o077, 0, "others may read {name}");
        }
    }
    // The passwords are stored nowhere else as they are.
    for user in names {
        let password = server.password_of(user);
        assert!(password.len() >= 12, "a weak password");
        for (path, octets) in files(&data) {
            let told = memchr::memmem::find(&octets, password.as_bytes()).is_some();
            assert_eq!(told, path.ends_with("FIRST-LOGIN"), "{}", path.display());
        }
        assert!(!server.log().contains(&password), "the log has a password");
    }
}

/// Regular files below `folder` and what is in them (of a large one, only that it is there).
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let metadata = fs::symlink_metadata(&path).expect("its metadata");
        if metadata.is_dir() {
            found.append(&mut files(&path));
        } else if metadata.is_file() {
            let octets = if metadata.size() < 1 << 20 { fs::read(&path).expect("a file") } else { Vec::new() };
            found.insert(path, octets);
        }
    }
    found
}
