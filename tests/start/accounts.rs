//! `ringpost user …` and `ringpost domain …` beside a running server and without one: what they say holds at once.

use std::time::Duration;

use crate::support::message::numbered;
use crate::support::{Binary, Imap, Server};

/// How long a command may take: it waits for one password hash at most.
const RUN_TIME_MAX: Duration = Duration::from_secs(10);

/// `ringpost user ARGUMENTS --data …` with `input`; whether it succeeded, and what it said.
fn user(server: &Server, arguments: &[&str], input: &str) -> (bool, String) {
    tool(server, &[&["user"], arguments].concat(), input)
}

/// The same of any command.
fn tool(server: &Server, arguments: &[&str], input: &str) -> (bool, String) {
    let data = server.data().display().to_string();
    let all = [arguments, &["--data", &data]].concat();
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

/// `ringpost domain ARGUMENTS`, which must succeed.
fn domain(server: &Server, arguments: &[&str]) -> String {
    let (success, said) = tool(server, &[&["domain"], arguments].concat(), "");
    assert!(success, "domain {arguments:?}: {said}");
    said
}

/// How many messages the INBOX of a user holds.
fn inbox(server: &Server, name: &str, password: &str) -> u32 {
    let mut imap = server.imap();
    imap.login(name, password);
    imap.ok("EXAMINE INBOX").exists().expect("EXISTS")
}

/// The reply to a RCPT in a transaction of its own.
fn rcpt(server: &Server, recipient: &str) -> String {
    let mut smtp = server.smtp();
    smtp.expect("MAIL FROM:<sender@client.example>", "250");
    smtp.attempt(&format!("RCPT TO:<{recipient}>")).expect("a reply").shown()
}

const ANNA: &str = "anna@localhost";
const SECRET: &str = "annas-secret-7";

#[test]
fn aliases_and_other_names() {
    let mut server = Server::start("user-set");
    let options =
        ["add", ANNA, "--alias", "info@other.example", "--name", "Anna Muster/Sales/ACME", "--password-stdin"];
    done(&server, &options, &format!("{SECRET}\n"));
    for name in [ANNA, "info@other.example", "Anna Muster/Sales/ACME", "CN=Anna Muster/OU=Sales/O=ACME", "anna muster"]
    {
        assert!(may_log_in(&server, name, SECRET), "{name}");
        assert!(!may_log_in(&server, name, "wrong"), "{name}");
    }
    let mut submission = server.submission();
    submission.auth("Anna Muster", SECRET);
    for recipient in ["info@other.example", "INFO+shop@Other.Example", "anna+lists+more@localhost", ANNA] {
        server.smtp().deliver(recipient, &numbered(recipient, 3));
    }
    assert_eq!(inbox(&server, "info@other.example", SECRET), 4);
    assert!(rcpt(&server, "info+shop@localhost").starts_with("550 5.1.1"));
    assert!(!may_log_in(&server, "anna+lists@localhost", SECRET), "a sub-address logs in");

    let said = done(&server, &["list"], "");
    let line = format!("{ANNA}\talias info@other.example\tname Anna Muster/Sales/ACME");
    assert!(said.lines().any(|shown| shown == line), "{said}");
    done(&server, &["set", ANNA, "--alias", "sales@third.example", "--remove-alias", "info@other.example"], "");
    assert!(!may_log_in(&server, "info@other.example", SECRET), "by an alias that is gone");
    assert!(rcpt(&server, "info@other.example").starts_with("554 5.7.1"), "its domain is gone with it");
    server.smtp().deliver("sales@third.example", &numbered("new alias", 3));
    assert_eq!(inbox(&server, "sales@third.example", SECRET), 5);

    // A second Anna Muster: by the common name nobody is meant any more, by the whole name each of them.
    done(&server, &["add", "am@localhost", "--name", "Anna Muster/ACME", "--password-stdin"], "other-secret-8\n");
    assert!(!may_log_in(&server, "Anna Muster", SECRET) && !may_log_in(&server, "Anna Muster", "other-secret-8"));
    assert!(server.log().contains("ambiguous"), "it is not in the log");
    assert!(may_log_in(&server, "anna muster/acme", "other-secret-8"));
    done(&server, &["set", "am@localhost", "--remove-name", "CN=Anna Muster/O=ACME"], "");
    assert!(may_log_in(&server, "Anna Muster", SECRET));

    done(&server, &["set", ANNA, "--disable"], "");
    assert!(!may_log_in(&server, ANNA, SECRET), "a disabled user logs in");
    server.smtp().deliver(ANNA, &numbered("for later", 3));
    done(&server, &["set", ANNA, "--enable", "--rename", "anna.berg@localhost", "--alias", ANNA], "");
    assert_eq!(inbox(&server, "anna.berg@localhost", SECRET), 6, "the mail is where the account is");
    server.restart();
    assert_eq!(inbox(&server, ANNA, SECRET), 6);
    assert!(rcpt(&server, "info@other.example").starts_with("554"));
    server.assert_alive();
}

/// Of whatever protocol, on whatever shard, and under whatever name the user logged in.
#[test]
fn sessions_end_with_their_account() {
    let server = Server::start_with("user-shut", &["--cpus", "0,1"]);
    done(&server, &["add", ANNA, "--password-stdin"], &format!("{SECRET}\n"));
    for (name, change) in [
        (ANNA, &["set", ANNA, "--disable"][..]),
        (ANNA, &["set", ANNA, "--rename", "berg@localhost", "--disable"]),
        ("berg@localhost", &["delete", "muster@localhost"]),
    ] {
        done(&server, &["set", name, "--enable"], "");
        let mut imap: Vec<Imap> = (0..4).map(|_| server.imap()).collect();
        imap.iter_mut().for_each(|imap| imap.login(name, SECRET));
        let mut pop3 = server.pop3();
        pop3.login(name, SECRET);
        let mut smtp = server.submission();
        smtp.auth(name, SECRET);
        if change[0] == "delete" {
            done(&server, &["set", name, "--rename", "muster@localhost"], "");
            imap[0].ok("NOOP");
        }
        done(&server, change, "");
        let wires = imap.iter_mut().map(|imap| &mut imap.wire).chain([&mut pop3.wire, &mut smtp.wire]);
        for (wire, word) in wires.zip(["* BYE", "* BYE", "* BYE", "* BYE", "-ERR", "421"]) {
            let said = String::from_utf8(wire.rest().expect("the session ends")).expect("UTF-8");
            assert!(said.starts_with(word) && said.contains("administrator"), "{change:?}: {said:?}");
        }
    }
}

#[test]
fn what_is_wrong_says_what_to_do() {
    let server = Server::start("user-set-refused");
    let long = "x".repeat(400);
    for (arguments, part) in [
        (&["set", "a@localhost"][..], "nothing to change"),
        (&["set", "nobody@localhost", "--disable"], "ringpost user list"),
        (&["set", "a@localhost", "--alias", "b@localhost"], "already"),
        (&["set", "a@localhost", "--rename", "B@localhost"], "already"),
        (&["set", "a@localhost", "--alias", "no address"], "local@domain"),
        (&["set", "a@localhost", "--remove-alias", "x@localhost"], "no alias"),
        (&["set", "a@localhost", "--remove-name", "x"], "no other name"),
        (&["set", "a@localhost", "--name", "x@y"], "add it as an alias"),
        (&["set", "a@localhost", "--name", &long], "320 octets"),
        (&["set", "a@localhost", "--name", ""], "none empty"),
        (&["set", "a@localhost", "--quota", "0"], "none"),
        (&["set", "a@localhost", "--quota", "5 GB"], "500M or 5G"),
        (&["set", "a@localhost", "--enable", "--disable"], "cannot be used with"),
    ] {
        let said = refused(&server, arguments, "");
        assert!(said.contains(part), "user {arguments:?}: {said}");
    }
    for (arguments, part) in [
        (&["domain", "set", "localhost", "--catch-all", "nobody@localhost"][..], "no account"),
        (&["domain", "set", "no domain", "--catch-all", "a@localhost"], "is no domain"),
        (&["domain", "set", "far.example", "--catch-all", "none"], "not one of this server's"),
    ] {
        let (success, said) = tool(&server, arguments, "");
        assert!(!success && said.lines().count() == 1 && said.contains(part), "{arguments:?}: {said}");
    }
    assert_eq!(done(&server, &["list"], ""), "a@localhost\nb@localhost\n", "something was changed");
}

#[test]
fn catch_all_of_a_domain() {
    let mut server = Server::start("user-catch-all");
    done(&server, &["add", ANNA, "--alias", "office@other.example", "--password-stdin"], &format!("{SECRET}\n"));
    assert!(rcpt(&server, "nobody@other.example").starts_with("550 5.1.1"));
    assert_eq!(domain(&server, &["list"]), "localhost\nother.example\n");
    domain(&server, &["set", "Other.Example", "--catch-all", "b@localhost"]);
    assert_eq!(domain(&server, &["list"]), "localhost\nother.example\tcatch-all b@localhost\n");
    let b = server.password_of("b@localhost");
    for recipient in ["nobody@other.example", "nobody+x@other.example", "\"any body\"@other.example"] {
        server.smtp().deliver(recipient, &numbered(recipient, 3));
    }
    for recipient in ["office@other.example", "office+x@other.example"] {
        server.smtp().deliver(recipient, &numbered(recipient, 3));
    }
    assert_eq!((inbox(&server, "b@localhost", &b), inbox(&server, ANNA, SECRET)), (3, 2));
    assert!(rcpt(&server, "nobody@localhost").starts_with("550 5.1.1"), "another domain's");
    assert!(!may_log_in(&server, "nobody@other.example", &b), "a catch-all logs in");
    // RFC 5321 §4.5.1: postmaster is somebody, the catch-all or not.
    server.smtp().deliver("postmaster@other.example", &numbered("postmaster", 3));
    assert_eq!(inbox(&server, "a@localhost", &server.password_of("a@localhost")), 1);
    server.restart();
    assert!(rcpt(&server, "nobody@other.example").starts_with("250"));
    server.stop();
    domain(&server, &["set", "other.example", "--catch-all", "none"]);
    domain(&server, &["set", "third.example", "--catch-all", ANNA]);
    server.run();
    assert!(rcpt(&server, "nobody@other.example").starts_with("550 5.1.1"));
    assert!(rcpt(&server, "nobody@third.example").starts_with("250"));
}

#[test]
fn domains_of_the_configuration() {
    let mut server =
        Server::start_configured("user-domains", "domains = [\"localhost\", \"x.example\", \"y.example\"]\n");
    assert_eq!(domain(&server, &["list"]), "localhost\nx.example\ny.example\n");
    done(&server, &["set", "a@localhost", "--alias", "a@x.example", "--alias", "b@Y.example"], "");
    assert!(refused(&server, &["set", "a@localhost", "--alias", "a@z.example"], "").contains("`domains`"));
    let (success, said) = tool(&server, &["domain", "set", "z.example", "--catch-all", "a@localhost"], "");
    assert!(!success && said.contains("`domains`"), "{said}");
    for recipient in ["a@x.example", "b@y.example", "b+x@y.example"] {
        assert!(rcpt(&server, recipient).starts_with("250"), "{recipient}");
    }
    assert!(rcpt(&server, "a@z.example").starts_with("554 5.7.1"));
    assert!(rcpt(&server, "b@x.example").starts_with("550 5.1.1"));
    server.assert_alive();
}

#[test]
fn lists_for_programs() {
    let server = Server::start("user-json");
    done(&server, &["set", "a@localhost", "--quota", "5G", "--name", "Anna \"A\" Muster", "--disable"], "");
    let said = done(&server, &["list", "--json"], "");
    let users: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    assert_eq!(users.len(), 2);
    assert_eq!(users[0]["name"], "a@localhost");
    assert_eq!(users[0]["quota"], 5u64 << 30);
    assert_eq!(users[0]["names"][0], "Anna \"A\" Muster");
    assert_eq!(users[0]["enabled"], false);
    assert!(users[1]["quota"].is_null() && users[1]["enabled"] == true);
    done(&server, &["set", "a@localhost", "--quota", "none", "--enable"], "");
    assert!(done(&server, &["list"], "").starts_with("a@localhost\tname "));
    let said = domain(&server, &["list", "--json"]);
    assert_eq!(said.trim_end(), r#"{"name":"localhost","addresses":2,"catch_all":null}"#);
}

/// A message that an empty mailbox is too small for: whether its size was declared or not, and for nobody where it is for
/// several.
#[test]
fn a_message_larger_than_a_quota() {
    let mut server = Server::start("user-quota");
    done(&server, &["set", "a@localhost", "--quota", "10K"], "");
    let large = numbered("large", 400);
    assert!(large.len() > 12_000);
    let mut smtp = server.smtp();
    smtp.expect(&format!("MAIL FROM:<sender@client.example> SIZE={}", large.len()), "250");
    smtp.expect("RCPT TO:<a@localhost>", "552 5.2.3");
    smtp.expect("RCPT TO:<b@localhost>", "250");
    smtp.expect("RSET", "250");
    let reply = smtp.send("sender@client.example", "a@localhost", &large).expect("a reply");
    assert!(reply.shown().starts_with("552 5.2.3"), "{}", reply.shown());
    smtp.expect("MAIL FROM:<sender@client.example>", "250");
    smtp.expect("RCPT TO:<b@localhost>", "250");
    smtp.expect("RCPT TO:<a@localhost>", "250");
    smtp.expect("DATA", "354");
    smtp.wire.write(&crate::support::smtp::stuffed(&large)).expect("the connection");
    smtp.due("452 4.2.2");
    for name in ["a@localhost", "b@localhost"] {
        assert_eq!(inbox(&server, name, &server.password_of(name)), 0, "{name}");
    }
    done(&server, &["set", "a@localhost", "--quota", "none"], "");
    smtp.deliver("a@localhost", &large);
    server.assert_alive();
}

/// A mailbox that fills up: refused for the time being, at RCPT, and room is room again.
#[test]
fn a_full_mailbox() {
    let mut server = Server::start("user-quota-full");
    done(&server, &["set", "a@localhost", "--quota", "20K"], "");
    let part = numbered("part", 150);
    assert!((7_000..9_500).contains(&part.len()), "{}", part.len());
    let mut smtp = server.smtp();
    smtp.deliver("a@localhost", &part);
    smtp.deliver("a@localhost", &part);
    let reply = smtp.send("sender@client.example", "a@localhost", &part).expect("a reply");
    assert!(reply.shown().starts_with("452 4.2.2"), "{}", reply.shown());
    smtp.expect(&format!("MAIL FROM:<sender@client.example> SIZE={}", part.len()), "250");
    smtp.expect("RCPT TO:<a+sub@localhost>", "452 4.2.2");
    smtp.expect("RCPT TO:<b@localhost>", "250");
    smtp.expect("DATA", "354");
    smtp.wire.write(&crate::support::smtp::stuffed(&part)).expect("the connection");
    smtp.due("250");
    server.restart();
    let mut smtp = server.smtp();
    let reply = smtp.send("sender@client.example", "a@localhost", &part).expect("a reply");
    assert!(reply.shown().starts_with("452 4.2.2"), "after a restart: {}", reply.shown());
    let mut imap = server.select("INBOX");
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    smtp.expect("RSET", "250");
    smtp.deliver("a@localhost", &part);
    assert_eq!(inbox(&server, "a@localhost", &server.password()), 2);
    server.assert_alive();
}
