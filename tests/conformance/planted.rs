//! The runner's own tests: scripts that must fail, each for one reason, and what the failure says.
//!
//! A runner that lets something pass would make every script worthless, so that what is wrong is planted here: in what is
//! expected, in what is left out, and in the order.

use crate::run_text;
use crate::support::Server;

fn failure(server: &Server, body: &str) -> String {
    let text = format!("# RFC 3501, planted.\n{body}");
    run_text(server, "planted", &text).expect_err(&format!("it passed:\n{body}"))
}

#[test]
fn what_is_wrong_fails() {
    let server = Server::start("planted");
    let noop = "given: 2 messages in INBOX\nC1 -> imap select INBOX\nC2 -> imap select INBOX\n\
        C2: b STORE 1 +FLAGS (\\Deleted)\nS2: * 1 FETCH (FLAGS (\\Deleted))\nS2: b OK <any>\nC2: c EXPUNGE\n\
        S2: * 1 EXPUNGE\nS2: c OK <any>\nC1: a NOOP\n";
    let good = format!("# R-IMAP-10.\n{noop}S1: * 1 EXPUNGE\nS1: a OK <any>\n");
    assert_eq!(run_text(&server, "planted", &good), Ok(()));
    for (body, line, says) in [
        ("S1: * 2 EXPUNGE\nS1: a OK <any>\n", 12, "expected: S1: * 2 EXPUNGE\n  but came: S1: * 1 EXPUNGE"),
        ("S1: a OK <any>\n", 12, "expected: S1: a OK <any>\n  but came: S1: * 1 EXPUNGE"),
        ("S1: * 1 EXPUNGE\nS1: * 1 EXISTS\nS1: a OK <any>\n", 13, "expected: S1: * 1 EXISTS\n  but came: S1: a OK"),
        ("S1*: * 1 EXPUNGE\nS1*: * 1 EXISTS\nS1: a OK <any>\n", 12, "(line 13): S1: * 1 EXISTS\n  but came: S1: a OK"),
        ("S1: * 1 EXPUNGE\n", 12, "after the last line: \n  expected: nothing\n  but came: S1: a OK"),
        ("S1: * 1 EXPUNGE\nS1: <nothing>\n", 13, "expected: nothing\n  but came: S1: a OK"),
        (
            "S1: * 1 EXPUNGE\nS1: a OK <any>\nC1: b LOGOUT\nS1: <closed>\n",
            15,
            "the server closes\n  but came: S1: * BYE",
        ),
        (
            "S1: * 1 EXPUNGE\nS1: a OK <any>\nC1: b LOGOUT\nS1: * BYE <any>\nS1: b OK <any>\nS1: c OK <any>\n",
            17,
            "closed",
        ),
        (
            "S1: * 1 EXPUNGE\nS1: a OK <any>\nC1: b LOGOUT\nS1: * BYE <any>\nS1: b OK <any>\nS1: <nothing>\n",
            17,
            "the server closed the connection\n  expected: nothing",
        ),
    ] {
        let failure = failure(&server, &format!("{noop}{body}"));
        assert!(failure.contains(&format!("planted:{line}: ")) && failure.contains(says), "{body:?} says {failure}");
        assert!(failure.contains("C1: a NOOP\nS1: * 1 EXPUNGE\n"), "no dialogue: {failure}");
    }
    assert!(failure(&server, "C -> imap\nS: * OK [<x=number>] <any>\n").contains("but came"));
    assert!(failure(&server, "C: a NOOP\n").contains("planted: line 2: C is not connected"));
}

#[test]
fn sessions_of_each_protocol_begin() {
    let server = Server::start("planted-protocols");
    let begun = "# RFC 1939, 5321, 2033: the macros.\nC1 -> imaps login\nC2 -> pop3 login\nC3 -> smtp login\n\
        C4 -> submissions login\nC5 -> lmtp\nS5: 220 <any>\nC6 -> pop3s login\nC1: a NOOP\nC3: NOOP\nC4: NOOP\n\
        S1: a OK <any>\nS3: 250 <any>\nS4: 250 <any>\nS6: <nothing>\n";
    let error = run_text(&server, "planted", begun).expect_err("one maildrop, two sessions");
    assert!(error.contains("the macro got -ERR [IN-USE]"), "{error}");
    let begun = begun.replace("C6 -> pop3s login\n", "").replace("S6: <nothing>", "S2: <nothing>");
    assert_eq!(run_text(&server, "planted", &begun), Ok(()));
}
