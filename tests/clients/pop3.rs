//! POP3 with programs: curl fetches and lists, Python's poplib does all that it can.

use std::fs;

use crate::programs::{delicate, run, script};
use crate::support::{Server, USER, show};

#[test]
fn curl_reads_a_maildrop() {
    let mut server = Server::start("curl-pop3");
    let login = format!("{USER}:{}", server.password());
    let messages = [delicate("pop3-1"), delicate("pop3-2")];
    for message in &messages {
        server.login().append("INBOX", message);
    }
    for turn in ["before a restart", "after a restart"] {
        let plain = format!("pop3://127.0.0.1:{}", server.port(110));
        let tls = format!("pop3s://127.0.0.1:{}", server.port(995));
        let ways: [(&str, &[&str]); 5] = [
            (&plain, &[]),
            (&plain, &["--ssl-reqd"]),
            (&tls, &[]),
            (&tls, &["--login-options", "AUTH=LOGIN"]),
            (&tls, &["--login-options", "AUTH=PLAIN", "--sasl-ir"]),
        ];
        for (base, more) in ways {
            let curl = |path: &str, options: &[&str]| {
                let url = format!("{base}/{path}");
                run("curl", &[&["-sS", "--insecure", "--user", &login, "--url", &url], more, options].concat())
            };
            let listed = String::from_utf8(curl("", &[])).expect("text");
            let sizes: Vec<usize> =
                listed.lines().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect();
            assert_eq!(sizes, messages.each_ref().map(Vec::len), "{turn}, {base}");
            for (number, message) in messages.iter().enumerate() {
                let fetched = curl(&(number + 1).to_string(), &[]);
                println!("curl {turn}: {base} {more:?}: {} octets", fetched.len());
                assert_eq!(show(&fetched), show(message), "{turn}, {base}");
            }
            let ids = curl("", &["-X", "UIDL"]);
            assert_eq!(ids.iter().filter(|octet| **octet == b'\n').count(), 2, "{}", show(&ids));
        }
        server.restart();
    }
    let url = format!("pop3://127.0.0.1:{}/1", server.port(110));
    run("curl", &["-sS", "--user", &login, "-X", "DELE", "--head", "--url", &url]);
    assert_eq!(show(&server.maildrop().retr(1)), show(&messages[1]), "curl's QUIT deleted the first");
}

#[test]
fn poplib_does_everything_it_can() {
    let mut server = Server::start("poplib");
    let password = server.password();
    let messages = [delicate("poplib-1"), delicate("poplib-2"), delicate("poplib-3")];
    let mut files = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        server.login().append("INBOX", message);
        let path = server.scratch().join(&format!("message-{number}"));
        fs::write(&path, message).expect("a scratch file");
        files.push(path.display().to_string());
    }
    let session = |server: &Server, (mode, port): (&str, u16), what: &str| {
        let port = server.port(port).to_string();
        let script = script("poplib_session.py");
        let mut arguments = vec![script.as_str(), &port, mode, USER, &password, what];
        arguments.extend(files.iter().map(String::as_str));
        String::from_utf8(run("python3", &arguments)).expect("text")
    };
    let ids = session(&server, ("plain", 110), "keep");
    assert!(ids.ends_with("done\n") && ids.lines().count() == 4, "{ids}");
    for way in [("stls", 110), ("tls", 995), ("plain", 110)] {
        server.restart();
        assert_eq!(session(&server, way, "keep"), ids, "unique-ids after a restart");
    }
    assert_eq!(session(&server, ("tls", 995), "delete"), ids);
    assert_eq!(server.maildrop().stat(), (0, 0));
}
