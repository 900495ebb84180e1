//! Thunderbird (Debian's, without a screen): set up by its own user.js, it synchronises a folder, sends a mail with
//! submission and STARTTLS, keeps a copy in Sent, and reads the mail back over IMAP and TLS.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};

use crate::programs::{delicate, run, script};
use crate::support::{Binary, Server, USER, show};

/// Its start and three looks at the server, on a machine that is busy with other tests.
const RUN_TIME_MAX: Duration = Duration::from_secs(240);

/// What Thunderbird's own store puts before a message, and its line ends, taken away.
fn as_sent(encoded: &Value) -> Vec<u8> {
    let encoded = encoded.as_str().expect("text");
    let octets = base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64");
    let mut rest = octets.as_slice();
    while let Some(after) = rest.strip_prefix(b"X-Mozilla-").or_else(|| rest.strip_prefix(b"From ")) {
        let line = after.iter().position(|&octet| octet == b'\n').expect("a line");
        rest = &after[line + 1..];
    }
    let mut wire = Vec::new();
    for line in rest.split_inclusive(|&octet| octet == b'\n') {
        wire.extend_from_slice(line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(line));
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

#[test]
fn thunderbird_synchronises_sends_and_reads_back() {
    run("thunderbird", &["--version"]);
    let server = Server::start("thunderbird");
    let mut sent = Vec::new();
    let mut imap = server.login();
    for number in 0..12 {
        let message = delicate(&format!("thunderbird-{number}"));
        imap.append("INBOX", &message);
        sent.push(message);
    }
    drop(imap);
    let folder = server.scratch().join("thunderbird");
    fs::create_dir_all(&folder).expect("a scratch folder");
    let (subject, body) = ("Grüße vom Donnervogel", "Erste Zeile\n.\nDritte Zeile\n");
    let settings = json!({
        "user": USER, "password": server.password(), "imaps": server.port(993), "submission": server.port(587),
        "certificate": server.data().join("tls/cert.pem"), "messages": sent.len(), "subject": subject, "body": body,
    });
    let file = folder.join("settings.json");
    fs::write(&file, settings.to_string()).expect("a scratch file");
    let said = drive(&folder, &server, &file);

    let messages = said["before"]["messages"].as_array().expect("messages");
    assert_eq!(messages.len(), sent.len());
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(message["subject"], format!("thunderbird-{number}"));
        let held = as_sent(&message["octets"]);
        assert!(held == sent[number], "message {number}: {}", show(&held));
    }
    let folders: Vec<&str> =
        said["before"]["folders"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
    for name in ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"] {
        assert_eq!(folders.iter().filter(|known| known.eq_ignore_ascii_case(name)).count(), 1, "{name} in {folders:?}");
    }
    let back =
        said["after"]["messages"].as_array().and_then(|messages| messages.last()).expect("the mail that was sent");
    assert_eq!(back["subject"], subject);
    let text = String::from_utf8(as_sent(&back["octets"])).expect("UTF-8");
    assert!(text.contains("with ESMTPSA"), "{text}");
    assert!(text.ends_with(&format!("\r\n\r\n{}", body.replace('\n', "\r\n"))), "{text}");
    // The copy that Thunderbird keeps of what it sent.
    assert_eq!(server.login().ok("EXAMINE Sent").exists(), Some(1));
}

fn drive(folder: &Path, server: &Server, settings: &Path) -> Value {
    // Its remote control needs a port of its own: the one of a service that this server does not run.
    let port = server.port(4190).to_string();
    let mut command = Command::new("python3");
    command.args([&script("thunderbird.py"), &folder.display().to_string(), &port, &settings.display().to_string()]);
    let (output, took) = Binary::run(command, b"", RUN_TIME_MAX);
    println!("thunderbird: {took:?}");
    assert!(
        output.status.success(),
        "{}\n{}\nits log ends:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
        fs::read_to_string(folder.join("thunderbird.log")).unwrap_or_default()
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}
