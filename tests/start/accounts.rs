//! `ringpost user …` beside a running server and without one: what it says holds at once.

use std::time::Duration;

use crate::support::message::numbered;
use crate::support::{Binary, Imap, Server};

/// How long a command may take: it waits for one password hash at most.
const RUN_TIME_MAX: Duration = Duration::from_secs(10);

/// `ringpost user ARGUMENTS --data …` with `input`; whether it succeeded, and what it said.
fn user(server: &Server, arguments: &[&str], input: &str) -> (bool, String) {
    let data = server.data().display().to_string();
    let all = [&["user"], arguments, &["--data", &data]].concat();
    let (output, _) = Binary::run(Binary::command(&all), input.as_bytes(), RUN_TIME_MAX);
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("UTF-8"))
}

fn done(server: &Server, arguments: &[&str], input: &str) -> String {
    let (success, said) = user(server, arguments, input);
    assert!(success, "user {arguments:?}: {said}");
    said
}

fn refused(server: &Server, arguments: &[&str], input: &str) -> String {
    let (success, said) = user(server, arguments, input);
    assert!(!success, "user {arguments:?} succeeded: {said}");
    assert_eq!(said.lines().count(), 1, "user {arguments:?}: {said}");
    said
}

fn may_log_in(server: &Server, name: &str, password: &str) -> bool {
    let mut imap = server.imap();
    let reply = imap.command(&format!("LOGIN \"{name}\" \"{password}\""));
    assert!(reply.status == "OK" || reply.shown().starts_with("NO [AUTHENTICATIONFAILED]"), "{}", reply.shown());
    reply.status == "OK"
}

#[test]
fn beside_a_running_server() {
    let mut server = Server::start("user");
    assert_eq!(done(&server, &["list"], "").lines().count(), 2);
    assert!(!may_log_in(&server, "anna@localhost", "first-secret-1"));
    done(&server, &["add", "anna@localhost", "--password-stdin"], "first-secret-1\n");
    assert!(may_log_in(&server, "anna@localhost", "first-secret-1"), "a new user can't log in");
    assert!(done(&server, &["list"], "").contains("anna@localhost"));
    server.smtp().deliver("anna@localhost", &numbered("for-anna", 3));
    let mut session = server.imap();
    session.login("anna@localhost", "first-secret-1");
    assert_eq!(session.ok("SELECT INBOX").exists(), Some(1));

    refused(&server, &["add", "anna@localhost", "--password-stdin"], "another-secret\n");
    refused(&server, &["add", "no address", "--password-stdin"], "another-secret\n");
    refused(&server, &["passwd", "nobody@localhost", "--password-stdin"], "another-secret\n");
    refused(&server, &["delete", "nobody@localhost"], "");

    done(&server, &["passwd", "anna@localhost", "--password-stdin"], "second-secret-2\n");
    // Attack 25: the credential cache knows of it.
    assert!(!may_log_in(&server, "anna@localhost", "first-secret-1"), "the old password is still good");
    assert!(may_log_in(&server, "anna@localhost", "second-secret-2"));

    let said = done(&server, &["add", "bert@localhost"], "");
    let password = said.split_whitespace().last().expect("the password that was made up").to_owned();
    assert!(may_log_in(&server, "bert@localhost", &password), "{said}");

    done(&server, &["delete", "anna@localhost"], "");
    assert!(!may_log_in(&server, "anna@localhost", "second-secret-2"), "a deleted user logs in");
    let reply = server.smtp().send("sender@client.example", "anna@localhost", &numbered("late", 1));
    assert_eq!(reply.expect("a reply").code, 550, "mail for a deleted user");
    assert!(!done(&server, &["list"], "").contains("anna@localhost"));
    assert!(may_log_in(&server, "bert@localhost", &password), "another user noticed");
    server.restart();
    assert!(!may_log_in(&server, "anna@localhost", "second-secret-2"), "a deleted user is back");
    assert!(may_log_in(&server, "bert@localhost", &password));
    server.assert_alive();
}

#[test]
fn without_a_server() {
    let mut server = Server::start("user-offline");
    server.stop();
    done(&server, &["add", "carl@localhost", "--password-stdin"], "carls-secret-3\n");
    done(&server, &["passwd", "b@localhost", "--password-stdin"], "new-for-b-4\n");
    assert!(done(&server, &["list"], "").contains("carl@localhost"));
    done(&server, &["delete", "a@localhost"], "");
    server.run();
    assert!(may_log_in(&server, "carl@localhost", "carls-secret-3"));
    assert!(may_log_in(&server, "b@localhost", "new-for-b-4"));
    let password = server.password();
    assert!(!may_log_in(&server, "a@localhost", &password), "a deleted user logs in");
}

/// After a kill the control socket is still in the folder, and nobody answers there.
#[test]
fn after_a_kill() {
    let mut server = Server::start("user-killed");
    server.kill();
    done(&server, &["add", "dora@localhost", "--password-stdin"], "doras-secret-5\n");
    server.run();
    assert!(may_log_in(&server, "dora@localhost", "doras-secret-5"));
    done(&server, &["passwd", "dora@localhost", "--password-stdin"], "doras-other-6\n");
    assert!(may_log_in(&server, "dora@localhost", "doras-other-6"));
}

/// One command line whose password travels in clear text is refused where a password is not to be read from.
#[test]
fn passwords_are_not_arguments() {
    let server = Server::start("user-arguments");
    refused(&server, &["add", "eve@localhost", "--password", "seen-by-ps"], "");
    refused(&server, &["add", "eve@localhost", "--password-stdin"], "");
    assert!(!done(&server, &["list"], "").contains("eve@localhost"));
}

/// The users' mail is apart from one another's, whatever shard they live on.
#[test]
fn users_are_apart() {
    let mut server = Server::start("user-apart");
    let names: Vec<String> = (0..6).map(|number| format!("user{number}@localhost")).collect();
    for name in &names {
        done(&server, &["add", name, "--password-stdin"], &format!("secret-of-{name}\n"));
    }
    let mut smtp = server.smtp();
    smtp.expect("MAIL FROM:<sender@client.example>", "250");
    for name in &names[..4] {
        smtp.expect(&format!("RCPT TO:<{name}>"), "250");
    }
    smtp.expect("DATA", "354");
    smtp.wire.write(&crate::support::smtp::stuffed(&numbered("for four", 30))).expect("the connection");
    smtp.due("250");
    for _ in 0..2 {
        for (number, name) in names.iter().enumerate() {
            let mut imap = Imap::connect(server.port(143)).expect("a connection");
            imap.login(name, &format!("secret-of-{name}"));
            let exists = imap.ok("SELECT INBOX").exists();
            assert_eq!(exists, Some(u32::from(number < 4)), "{name}");
            if number < 4 {
                assert!(imap.text(1).ends_with(&numbered("for four", 30)), "{name}");
            }
        }
        server.restart();
    }
}
