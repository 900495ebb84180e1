//! `ringpost fsck` as an administrator runs it: beside a server it refuses; without one it says what is damaged, and mends it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use crate::support::message::numbered;
use crate::support::{Binary, Server, USER};

const PATIENCE: Duration = Duration::from_secs(30);

fn fsck(data: &Path, options: &[&str]) -> Output {
    let data = data.display().to_string();
    let arguments = [&["fsck", "--data", &data], options].concat();
    Binary::run(Binary::command(&arguments), b"", PATIENCE).0
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).expect("UTF-8")
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The sealed file that has a text in it.
fn sealed_with(data: &Path, wanted: &str) -> Option<PathBuf> {
    let is_sealed = |path: &PathBuf| path.file_name().is_some_and(|name| name.len() == 64);
    let has_it = |path: &PathBuf| fs::read(path).is_ok_and(|octets| text_in(&octets, wanted));
    files(&data.join("accounts")).into_iter().find(|path| is_sealed(path) && has_it(path))
}

fn text_in(octets: &[u8], wanted: &str) -> bool {
    octets.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

/// A server with a message in a sealed file, stopped.
fn sealed(name: &str, lines: usize) -> (Server, PathBuf) {
    let mut server = Server::start(name);
    server.login().append("INBOX", &numbered("precious", lines));
    server.stop();
    // A start seals what the last run left in the log.
    server.run();
    let begin = Instant::now();
    let path = loop {
        if let Some(path) = sealed_with(&server.data(), "precious") {
            break path;
        }
        assert!(begin.elapsed() < PATIENCE, "nothing was sealed");
        std::thread::sleep(Duration::from_millis(20));
    };
    server.stop();
    (server, path)
}

#[test]
fn it_refuses_beside_a_server() {
    let server = Server::start("fsck-beside");
    for options in [&[][..], &["--repair"]] {
        let output = fsck(&server.data(), options);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.starts_with("ringpost: ") && error.lines().count() == 1, "{error}");
        assert!(error.contains("in use by process") && error.contains("stop the server first"), "{error}");
        assert_eq!(text(&output.stdout), "");
    }
    assert_eq!(fsck(Path::new("/nowhere/at/all"), &[]).status.code(), Some(1));
    assert_eq!(fsck(&server.data(), &["--mend"]).status.code(), Some(2));
}

#[test]
fn a_flipped_file_is_told_of_and_mended() {
    let (mut server, path) = sealed("fsck-flipped", 5);
    let data = server.data();
    let clean = fsck(&data, &[]);
    assert_eq!(clean.status.code(), Some(0), "{}{}", text(&clean.stdout), text(&clean.stderr));
    assert!(text(&clean.stdout).ends_with("0 damaged, 0 lost, 0 harmless\n"), "{}", text(&clean.stdout));

    let whole = fs::read(&path).expect("the file");
    let mut octets = whole.clone();
    let at = octets.windows(8).position(|window| window == b"precious").expect("it is there");
    octets[at] ^= 1;
    fs::write(&path, &octets).expect("the file");
    let told = fsck(&data, &[]);
    let (out, error) = (text(&told.stdout), text(&told.stderr));
    assert_eq!(told.status.code(), Some(1), "{out}{error}");
    let name = path.file_name().expect("a name").to_str().expect("hexadecimal");
    for words in ["damaged: accounts/", name, USER, "octet for octet", "1 damaged, 0 lost"] {
        assert!(out.contains(words), "no {words:?} in {out}");
    }
    assert!(error.starts_with("ringpost: 1 damaged: `ringpost fsck --repair`"), "{error}");
    assert_eq!(fs::read(&path).expect("the file"), octets, "a check changes nothing");

    let json = text(&fsck(&data, &["--json"]).stdout);
    let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        (&lines[0]["is"], &lines[0]["grade"], &lines[0]["account"]),
        (&"found".into(), &"damaged".into(), &USER.into())
    );
    assert_eq!((&lines[1]["is"], &lines[1]["damaged"]), (&"summary".into(), &1.into()));

    let other = if USER == "a@localhost" { "b@localhost" } else { "a@localhost" };
    assert_eq!(fsck(&data, &["--user", other]).status.code(), Some(0));
    assert_eq!(fsck(&data, &["--user", USER]).status.code(), Some(1));
    let nobody = fsck(&data, &["--user", "nobody@localhost"]);
    assert!(text(&nobody.stderr).contains("there is no account \"nobody@localhost\""), "{}", text(&nobody.stderr));
    assert_eq!(fsck(&data, &["--repair", "--user", other]).status.code(), Some(0));
    assert_eq!(fs::read(&path).expect("the file"), octets, "another account's repair leaves it");

    let mended = fsck(&data, &["--repair"]);
    let out = text(&mended.stdout);
    assert_eq!(mended.status.code(), Some(0), "{out}{}", text(&mended.stderr));
    assert!(
        out.contains("done: ") && out.contains("is as it was written") && out.contains("0 damaged, 0 lost"),
        "{out}"
    );
    assert_eq!(fs::read(&path).expect("the file"), whole);
    assert_eq!(fs::read(format!("{}.corrupt", path.display())).expect("the damaged one is kept"), octets);
    assert_eq!(fsck(&data, &["--repair"]).status.code(), Some(0));
    server.run();
    assert_eq!(server.select("INBOX").text(1), numbered("precious", 5));
}

#[test]
fn what_is_lost_is_told_until_it_is_gone() {
    let (mut server, path) = sealed("fsck-lost", 3000);
    let data = server.data();
    let mut octets = fs::read(&path).expect("the file");
    let header = b"Subject: precious";
    let at = octets.windows(header.len()).position(|window| window == header).expect("it is there");
    octets[at..at + header.len()].fill(0);
    fs::write(&path, &octets).expect("the file");
    for time in 1..=2 {
        let output = fsck(&data, &["--repair"]);
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{out}{error}");
        assert!(out.contains("still lost: ") && out.contains("INBOX UID 1"), "{out}");
        assert_eq!(out.contains("done: "), time == 1, "{out}");
        assert!(error.starts_with("ringpost: 1 could not be mended"), "{error}");
    }
    server.run();
    let mut imap = server.select("INBOX");
    assert_eq!(imap.ok("STATUS INBOX (MESSAGES)").untagged.len(), 1);
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    drop(imap);
    server.stop();
    let output = fsck(&data, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}
