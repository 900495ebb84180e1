//! Programs that empty a maildrop: getmail6, fetchmail, mpop, over POP3, STLS and POP3S.
//!
//! What is shown: every message comes once and whole, one that is kept is not fetched again (UIDL), and what a program
//! deletes is gone for IMAP too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::programs::{delicate, run};
use crate::support::{Binary, Server, USER, show};

/// How long one run of a program may take.
const RUN_TIME_MAX: Duration = Duration::from_secs(60);

const MESSAGES: usize = 12;

/// A server whose INBOX has messages with dots, 8-bit text and long lines, and what they are.
fn filled(name: &str) -> (Server, Vec<Vec<u8>>) {
    let server = Server::start(name);
    let mut imap = server.login();
    let messages: Vec<Vec<u8>> = (0..MESSAGES).map(|number| delicate(&format!("{name}-{number}"))).collect();
    for message in &messages {
        imap.append("INBOX", message);
    }
    (server, messages)
}

/// Runs a program at home in `folder`; it must end with one of `codes`.
fn run_at_home(program: &str, arguments: &[&str], folder: &Path, codes: &[i32]) {
    let mut command = Command::new(program);
    command.args(arguments).env("HOME", folder).env("FETCHMAILHOME", folder);
    let (output, took) = Binary::run(command, b"", RUN_TIME_MAX);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.code().is_some_and(|code| codes.contains(&code)), "{program}: {}\n{text}", output.status);
    println!("{program} {arguments:?}: {took:?}");
}

/// A Maildir and its messages.
fn maildir(folder: &Path) -> PathBuf {
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(folder.join(part)).expect("a scratch folder");
    }
    folder.to_path_buf()
}

/// The messages in a Maildir's `new`, with the line ends of the wire, whatever the order of their files.
fn delivered(folder: &Path) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = fs::read_dir(folder.join("new"))
        .expect("a Maildir")
        .map(|entry| {
            let octets = fs::read(entry.expect("an entry").path()).expect("a file");
            let mut wire = Vec::new();
            for line in octets.split_inclusive(|&octet| octet == b'\n') {
                wire.extend_from_slice(line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(line));
                wire.extend_from_slice(b"\r\n");
            }
            wire
        })
        .collect();
    found.sort();
    found
}

/// Each of `sent` was delivered once, behind the trace lines that the program may put before it.
fn assert_same(delivered: &[Vec<u8>], sent: &[Vec<u8>], program: &str) {
    assert_eq!(delivered.len(), sent.len(), "{program}");
    for message in sent {
        let count = delivered.iter().filter(|held| held.ends_with(message)).count();
        assert_eq!(count, 1, "{program}: one that should be there once: {}", show(message));
    }
}

/// A program that puts what it reads into a Maildir.
fn deliver_to(mail: &Path) -> String {
    format!("#!/bin/sh\ncat > {}/new/$(date +%s%N).$$\n", mail.display())
}

/// A settings file that only its owner reads, as these programs want it.
fn settings(path: PathBuf, text: &str) -> String {
    fs::write(&path, text).expect("a scratch file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
    path.display().to_string()
}

#[test]
fn getmail_fetches_once_and_deletes_when_told() {
    run("getmail", &["--version"]);
    for (kind, port) in [("SimplePOP3Retriever", 110), ("SimplePOP3SSLRetriever", 995)] {
        let (mut server, sent) = filled("getmail");
        let folder = server.scratch().join("getmail");
        let mail = maildir(&folder.join("mail"));
        // It delivers no Maildir as root. A program that ends before getmail waits for it is waited for in vain
        // (getmail6 issue 226): this one takes its time.
        let deliver = settings(folder.join("deliver"), &format!("{} && sleep 0.2\n", deliver_to(&mail).trim_end()));
        fs::set_permissions(&deliver, fs::Permissions::from_mode(0o700)).expect("its mode");
        let rc = |delete: bool| {
            let text = format!(
                "[retriever]\ntype = {kind}\nserver = 127.0.0.1\nport = {}\nusername = {USER}\npassword = {}\ntimeout = 20\n\n\
                 [destination]\ntype = MDA_external\npath = {}\nallow_root_commands = true\n\n\
                 [options]\nread_all = false\ndelete = {delete}\nreceived = false\ndelivered_to = false\n",
                server.port(port),
                server.password(),
                deliver
            );
            settings(folder.join("getmailrc"), &text)
        };
        let get = |delete: bool| {
            let file = rc(delete);
            run_at_home("getmail", &["--getmaildir", &folder.display().to_string(), "--rcfile", &file], &folder, &[0]);
        };
        get(false);
        assert_same(&delivered(&mail), &sent, kind);
        get(false);
        assert_eq!(delivered(&mail).len(), MESSAGES, "{kind}: fetched again what it had");
        get(true);
        assert_eq!(delivered(&mail).len(), MESSAGES, "{kind}: fetched again what it had");
        server.restart();
        assert_eq!(server.login().ok("EXAMINE INBOX").exists(), Some(0), "{kind}: deleted, and IMAP knows");
    }
}

#[test]
fn fetchmail_fetches_once_and_deletes_when_told() {
    run("fetchmail", &["--version"]);
    for (port, tls) in [(110, "sslproto ''"), (110, "sslproto 'TLS1.2+'"), (995, "ssl")] {
        let (server, sent) = filled("fetchmail");
        let folder = server.scratch().join("fetchmail");
        let mail = maildir(&folder.join("mail"));
        let deliver = settings(folder.join("deliver"), &deliver_to(&mail));
        let fetch = |keep: &str| {
            let text = format!(
                "poll 127.0.0.1 protocol POP3 port {} uidl:\n  user \"{USER}\" there with password \"{}\" {tls} no sslcertck {keep}\n  \
                 mda \"/bin/sh {deliver}\"\n",
                server.port(port),
                server.password()
            );
            let file = settings(folder.join("fetchmailrc"), &text);
            // 1: there was no new mail.
            run_at_home("fetchmail", &["-f", &file, "--nodetach", "--timeout", "20"], &folder, &[0, 1]);
        };
        fetch("keep");
        let got = delivered(&mail);
        assert_eq!(got.len(), MESSAGES, "{tls}");
        for message in &sent {
            // fetchmail adds a Received line after the message's own first ones, so the text is what is compared.
            let blank = message.windows(4).position(|four| four == b"\r\n\r\n").expect("a header's end");
            assert_eq!(
                got.iter().filter(|held| held.ends_with(&message[blank..])).count(),
                1,
                "{tls}: {}",
                show(message)
            );
        }
        fetch("keep");
        assert_eq!(delivered(&mail).len(), MESSAGES, "{tls}: fetched again what it had");
        fetch("no keep fetchall");
        assert_eq!(server.login().ok("EXAMINE INBOX").exists(), Some(0), "{tls}: deleted, and IMAP knows");
    }
}

#[test]
fn mpop_fetches_once_and_deletes_when_told() {
    run("mpop", &["--version"]);
    for (port, tls) in [(110, "tls off"), (110, "tls on\ntls_starttls on"), (995, "tls on\ntls_starttls off")] {
        let (server, sent) = filled("mpop");
        let folder = server.scratch().join("mpop");
        let mail = maildir(&folder.join("mail"));
        let fetch = |keep: &str| {
            let trust = format!("tls_trust_file {}\n", server.data().join("tls/cert.pem").display());
            let text = format!(
                "defaults\n{tls}\n{}received_header off\nuidls_file {}/uidls\n\naccount a\nhost 127.0.0.1\nport {}\nuser {USER}\n\
                 auth {}\npassword {}\ndelivery maildir {}\nkeep {keep}\n",
                if tls == "tls off" { "" } else { &trust },
                folder.display(),
                server.port(port),
                if tls == "tls off" { "user" } else { "plain" },
                server.password(),
                mail.display()
            );
            let file = settings(folder.join("mpoprc"), &text);
            run_at_home("mpop", &["-C", &file, "-Q", "a"], &folder, &[0]);
        };
        fetch("on");
        assert_same(&delivered(&mail), &sent, tls);
        fetch("on");
        assert_eq!(delivered(&mail).len(), MESSAGES, "{tls}: fetched again what it had");
        fetch("off");
        assert_eq!(delivered(&mail).len(), MESSAGES, "{tls}: fetched again what it had");
        assert_eq!(server.login().ok("EXAMINE INBOX").exists(), Some(0), "{tls}: deleted, and IMAP knows");
    }
}
