//! curl, swaks, imaplib, smtplib: each does its whole job once for every way to the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::message::{assert_delivered, numbered};
use crate::support::{Binary, Imap, Server, USER, show};

/// How long one run of a program may take.
const RUN_TIME_MAX: Duration = Duration::from_secs(30);

/// Runs a program that must succeed; its standard output.
pub fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().expect("sh");
    assert!(found.status.success(), "missing program: {program} (Debian's package of that name; python3 for Python)");
    let mut command = Command::new(program);
    command.args(arguments);
    let (output, _) = Binary::run(command, b"", RUN_TIME_MAX);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\nstandard output: {}\nstandard error: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

pub fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name).display().to_string()
}

/// A message that uses what is easily damaged: 8-bit text, dots at line starts, trailing blanks, long lines, empty lines.
pub fn delicate(subject: &str) -> Vec<u8> {
    let mut message = numbered(subject, 3);
    message.extend_from_slice(b"\r\n.\r\n..\r\n.leading dot\r\ntrailing blanks  \t\r\n");
    message.extend_from_slice("Grüße aus Köln, 8-bit\r\n".as_bytes());
    message.extend_from_slice(&[b'x'; 998]);
    message.extend_from_slice(b"\r\n\r\nFrom the start of a line\r\n\r\n\r\n");
    message
}

fn saved(server: &Server, name: &str, message: &[u8]) -> String {
    let path: PathBuf = server.scratch().join(name);
    fs::write(&path, message).expect("a scratch file");
    path.display().to_string()
}

#[test]
fn curl_sends_and_reads() {
    let mut server = Server::start("curl");
    let password = server.password();
    let login = format!("{USER}:{password}");
    let mut sent = Vec::new();
    let ways = [("smtp", 25, false), ("smtp", 587, false), ("smtp", 587, true), ("smtps", 465, true)];
    for (number, (scheme, port, tls)) in ways.into_iter().enumerate() {
        let message = delicate(&format!("curl-{number}"));
        let file = saved(&server, "message", &message);
        let url = format!("{scheme}://127.0.0.1:{}/client.example", server.port(port));
        let mut arguments =
            vec!["-sS", "--insecure", "--mail-from", USER, "--mail-rcpt", USER, "-T", &file, "--url", &url];
        if port != 25 {
            arguments.extend(["--user", &login]);
        }
        if tls {
            arguments.push("--ssl-reqd");
        }
        run("curl", &arguments);
        sent.push(message);
    }
    for turn in ["before a restart", "after a restart"] {
        let plain = format!("imap://127.0.0.1:{}", server.port(143));
        let tls = format!("imaps://127.0.0.1:{}", server.port(993));
        for (base, more) in [(&plain, None), (&plain, Some("--ssl-reqd")), (&tls, None)] {
            for (number, message) in sent.iter().enumerate() {
                let url = format!("{base}/INBOX;UID={}", number + 1);
                let mut arguments = vec!["-sS", "--insecure", "--user", &login, "--url", &url];
                arguments.extend(more);
                let fetched = run("curl", &arguments);
                println!("curl {turn}: {url}: {} octets", fetched.len());
                assert_delivered(&fetched, message, USER);
            }
        }
        server.restart();
    }
    // Listing and appending, curl's other two.
    let url = format!("imap://127.0.0.1:{}/", server.port(143));
    let listed = run("curl", &["-sS", "--user", &login, "--url", &url]);
    assert!(String::from_utf8_lossy(&listed).contains("INBOX"), "{}", show(&listed));
    let message = delicate("curl-append");
    let (file, url) = (saved(&server, "message", &message), format!("imap://127.0.0.1:{}/INBOX", server.port(143)));
    run("curl", &["-sS", "--user", &login, "-T", &file, "--url", &url]);
    assert_eq!(server.select("INBOX").text(sent.len() + 1), message);
}

#[test]
fn curl_is_refused_with_a_wrong_password() {
    let server = Server::start("curl-refused");
    let url = format!("imap://127.0.0.1:{}/INBOX;UID=1", server.port(143));
    let mut command = Command::new("curl");
    command.args(["-sS", "--user", &format!("{USER}:wrong"), "--url", &url]);
    let (output, _) = Binary::run(command, b"", RUN_TIME_MAX);
    assert_eq!(output.status.code(), Some(67), "curl's code for a login that was denied: {output:?}");
}

/// The way from a submission to the reader, as the first landing shows it: swaks submits, an IDLE client is told, the
/// message is read back, plain and TLS, before and after a restart.
#[test]
fn swaks_submits_and_idle_is_told() {
    let mut server = Server::start("swaks");
    let password = server.password();
    let mut listeners = [server.select("INBOX"), tls_select(&server)];
    let mut sent = Vec::new();
    let ways: [(u16, &[&str]); 5] = [
        (25, &[]),
        (587, &["--auth", "PLAIN"]),
        (587, &["--tls", "--auth", "LOGIN"]),
        (587, &["--tls", "--auth", "PLAIN"]),
        (465, &["--tls-on-connect", "--auth", "PLAIN"]),
    ];
    for (number, (port, options)) in ways.into_iter().enumerate() {
        let message = numbered(&format!("swaks-{number}"), 20);
        // What swaks sends ends with an empty line more than the file has.
        let data = format!("@{}", saved(&server, "message", &message));
        let address = server.port(port).to_string();
        let mut arguments =
            vec!["--server", "127.0.0.1", "--port", &address, "--helo", "client.example", "--timeout", "10s"];
        arguments.extend(["--from", USER, "--to", USER, "--data", &data, "--suppress-data"]);
        arguments.extend(options);
        if port != 25 {
            arguments.extend(["--auth-user", USER, "--auth-password", &password]);
        }
        let tags = listeners.each_mut().map(Imap::idle);
        run("swaks", &arguments);
        let delivered = std::time::Instant::now();
        for (listener, tag) in listeners.iter_mut().zip(&tags) {
            crate::idle::wait_for_exists(listener, sent.len() as u32 + 1);
            println!("swaks, port {port}: IDLE told {:?} after swaks had ended", delivered.elapsed());
            assert!(delivered.elapsed() < Duration::from_secs(2), "told after {:?}", delivered.elapsed());
            listener.done(tag);
        }
        sent.push(message);
    }
    for _ in 0..2 {
        for mut reader in [server.select("INBOX"), tls_select(&server)] {
            for (number, message) in sent.iter().enumerate() {
                let fetched = reader.text(number + 1);
                let fetched = fetched.strip_suffix(b"\r\n").filter(|text| text.ends_with(b"\r\n")).unwrap_or(&fetched);
                let trace = assert_delivered(fetched, message, USER);
                assert!(trace.contains("client.example"), "the EHLO name is not in {trace:?}");
            }
        }
        drop(std::mem::replace(&mut listeners, [server.imap(), server.imap()]));
        server.restart();
    }
}

fn tls_select(server: &Server) -> Imap {
    let mut imap = Imap::connect_tls(server.port(993)).expect("a TLS connection");
    imap.login(USER, &server.password());
    imap.ok("SELECT INBOX");
    imap
}

#[test]
fn swaks_is_refused_as_it_should_be() {
    let server = Server::start("swaks-refused");
    let cases: [(u16, &str, &[&str], &str); 5] = [
        (25, "someone@elsewhere.example", &[], "554 5.7.1"),
        (25, "nobody-of-that-name@localhost", &[], "550 5.1.1"),
        (587, USER, &[], "530 5.7.0"),
        (587, USER, &["--tls", "--auth", "PLAIN", "--auth-user", USER, "--auth-password", "wrong"], "535 5.7.8"),
        (
            465,
            USER,
            &["--tls-on-connect", "--auth", "LOGIN", "--auth-user", "x@localhost", "--auth-password", "x"],
            "535 5.7.8",
        ),
    ];
    for (port, to, options, refusal) in cases {
        let address = server.port(port).to_string();
        let mut command = Command::new("swaks");
        command.args(["--server", "127.0.0.1", "--port", &address, "--helo", "client.example", "--timeout", "10s"]);
        command.args(["--from", "sender@client.example", "--to", to]).args(options);
        let (output, _) = Binary::run(command, b"", RUN_TIME_MAX);
        assert!(!output.status.success(), "port {port} to {to} was taken");
        let dialogue = String::from_utf8_lossy(&output.stdout);
        assert!(dialogue.contains(refusal), "port {port} to {to}: {refusal} was due:\n{dialogue}");
    }
    let mut imap = server.select("INBOX");
    assert_eq!(imap.ok("NOOP").exists().unwrap_or(0), 0, "something was delivered");
}

#[test]
fn imaplib_does_everything_it_can() {
    let mut server = Server::start("imaplib");
    let password = server.password();
    let message = delicate("imaplib");
    let file = saved(&server, "message", &message);
    for (mode, port) in [("plain", 143), ("starttls", 143), ("tls", 993)] {
        let (address, mailbox) = (server.port(port).to_string(), format!("from-{mode}"));
        let output = run("python3", &[&script("imaplib_session.py"), &address, mode, USER, &password, &mailbox, &file]);
        assert_eq!(output, b"done\n");
    }
    server.restart();
    for mode in ["plain", "starttls", "tls"] {
        assert_eq!(server.select(&format!("from-{mode}")).text(1), message, "{mode} after a restart");
    }
}

#[test]
fn smtplib_does_everything_it_can() {
    let mut server = Server::start("smtplib");
    let password = server.password();
    let message = delicate("smtplib");
    let file = saved(&server, "message", &message);
    let ways =
        [("plain", 25, ""), ("starttls", 25, ""), ("plain", 587, USER), ("starttls", 587, USER), ("tls", 465, USER)];
    for (mode, port, user) in ways {
        let address = server.port(port).to_string();
        let output = run("python3", &[&script("smtplib_session.py"), &address, mode, user, &password, USER, &file]);
        assert_eq!(output, b"done\n", "{mode} on {port}");
    }
    for _ in 0..2 {
        let mut imap = server.select("INBOX");
        for (number, (_, _, user)) in ways.into_iter().enumerate() {
            let reverse_path = if user.is_empty() { "sender@client.example" } else { user };
            assert_delivered(&imap.text(number + 1), &message, reverse_path);
        }
        drop(imap);
        server.restart();
    }
}

/// Delivery to two accounts at once, each with its own reply, which swaks reads; and what of it is refused.
#[test]
fn swaks_delivers_by_lmtp() {
    let mut server = Server::start("swaks-lmtp");
    let message = numbered("swaks-lmtp", 20);
    let data = format!("@{}", saved(&server, "message", &message));
    let address = server.port(24).to_string();
    let common = ["--protocol", "LMTP", "--server", "127.0.0.1", "--port", &address, "--helo", "client.example"];
    for more in [&[][..], &["--tls"], &["--pipeline"]] {
        let mut arguments =
            [&common[..], &["--timeout", "10s", "--from", USER, "--to", "a@localhost,b@localhost"]].concat();
        arguments.extend(["--data", &data, "--suppress-data"]);
        arguments.extend(more);
        let dialogue = String::from_utf8_lossy(&run("swaks", &arguments)).into_owned();
        for path in ["250 2.1.5 <a@localhost> OK", "250 2.1.5 <b@localhost> OK"] {
            assert!(dialogue.contains(path), "{path} was due:\n{dialogue}");
        }
    }
    let mut command = Command::new("swaks");
    command.args(common).args(["--from", USER, "--to", "nobody-of-that-name@localhost"]);
    let (output, _) = Binary::run(command, b"", RUN_TIME_MAX);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stdout).contains("550 5.1.1"), "{output:?}");
    for _ in 0..2 {
        for user in ["a@localhost", "b@localhost"] {
            let mut imap = server.imap();
            imap.login(user, &server.password_of(user));
            assert_eq!(imap.ok("SELECT INBOX").exists(), Some(3), "{user}");
            for (uid, protocol) in [(1, "with LMTP "), (2, "with LMTPS "), (3, "with LMTP ")] {
                let fetched = imap.text(uid);
                let fetched = fetched.strip_suffix(b"\r\n").filter(|text| text.ends_with(b"\r\n")).unwrap_or(&fetched);
                let trace = assert_delivered(fetched, &message, USER);
                assert!(trace.contains(protocol), "{protocol} is not in {trace:?}");
            }
        }
        server.restart();
    }
}

#[test]
fn smtplib_delivers_by_lmtp() {
    let server = Server::start("smtplib-lmtp");
    let message = delicate("smtplib-lmtp");
    let file = saved(&server, "message", &message);
    for mode in ["plain", "starttls"] {
        let output = run("python3", &[&script("lmtp_session.py"), &server.port(24).to_string(), mode, USER, &file]);
        assert_eq!(output, b"done\n", "{mode}");
    }
    let mut imap = server.select("INBOX");
    for (uid, sender) in [(1, "sender"), (2, "müller"), (3, "sender"), (4, "müller")] {
        let fetched = imap.text(uid);
        assert!(fetched.ends_with(&message), "{}", show(&fetched));
        assert!(
            fetched.starts_with(format!("Return-Path: <{sender}@client.example>\r\n").as_bytes()),
            "{}",
            show(&fetched)
        );
    }
}
