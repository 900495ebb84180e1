//! APPEND (RFC 3501 §6.3.11) with APPENDUID (RFC 4315 §3), and what is no message.

use super::{append, lines};
use crate::support::message::numbered;
use crate::support::{Server, show};

#[test]
fn appends_say_their_uid_and_are_told_before_ok() {
    let server = Server::start("append");
    let mut imap = server.select("INBOX");
    let validity = imap.ok("SELECT INBOX").code("UIDVALIDITY").expect("UIDVALIDITY");
    for uid in 1..=3 {
        let reply = imap.append("INBOX", &numbered(&format!("append-{uid}"), 3));
        assert!(reply.text.starts_with(&format!("[APPENDUID {validity} {uid}] ")), "{}", reply.text);
        assert_eq!(lines(&reply), [format!("{uid} EXISTS"), format!("{uid} RECENT")]);
    }
    imap.ok("UID STORE 3 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    let reply =
        append(&mut imap, "INBOX", "(\\Seen $Forwarded NonJunk \\Recent \\Odd) \" 7-Feb-1994 21:52:25 -0800\" ", b"a");
    assert!(reply.text.starts_with(&format!("[APPENDUID {validity} 4] ")), "{}", reply.text);
    let fetched = imap.fetch_one(4, "(FLAGS INTERNALDATE RFC822.SIZE)");
    assert_eq!(fetched.octets("INTERNALDATE"), b" 7-Feb-1994 21:52:25 -0800");
    assert_eq!(fetched.count("RFC822.SIZE"), 1);
    let flags = fetched.flags();
    for flag in ["\\Seen", "$Forwarded", "NonJunk", "\\Recent"] {
        assert!(flags.iter().any(|other| other == flag), "{flag} of {flags:?}");
    }
    assert_eq!(flags.len(), 4, "{flags:?}");
    // Another mailbox has its own UIDs, and nothing is told of it here.
    imap.ok("CREATE Other");
    let reply = append(&mut imap, "Other", "", b"a");
    assert!(reply.text.contains(" 1] ") && reply.untagged.is_empty(), "{reply:?}");
    for mailbox in ["Missing", "Other/Missing"] {
        imap.answered(&format!("APPEND {mailbox} {{100000}}"), "NO [TRYCREATE] ");
        let reply = append(&mut imap, mailbox, "", b"a");
        assert!(reply.shown().starts_with("NO [TRYCREATE] "), "{}", reply.shown());
    }
    assert!(append(&mut imap, "INBOX", "\"7 Feb 1994\" ", b"a").shown().starts_with("BAD "));
    assert!(append(&mut imap, "INBOX", "", b"a\0b").shown().starts_with("NO [CANNOT] "));
    imap.ok("NOOP");
}

#[test]
fn an_empty_message_is_one() {
    let mut server = Server::start("append-empty");
    let mut imap = server.select("INBOX");
    imap.append("INBOX", b"");
    assert_eq!(append(&mut imap, "INBOX", "", b"").status, "OK");
    for _ in 0..2 {
        for uid in [1, 2] {
            let items =
                "(RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1] ENVELOPE BODYSTRUCTURE)";
            let fetched = imap.fetch_one(uid, items);
            assert_eq!(fetched.count("RFC822.SIZE"), 0);
            for item in ["BODY[]", "BODY[HEADER]", "BODY[TEXT]", "BODY[1]"] {
                assert_eq!(fetched.octets(item), b"", "{item}");
            }
        }
        server.restart();
        imap = server.select("INBOX");
    }
}

/// MULTIAPPEND is not offered: a second message is refused, and the dialogue stays in step.
#[test]
fn a_second_message_is_refused_in_step() {
    let server = Server::start("append-twice");
    let mut imap = server.select("INBOX");
    // Nobody waits: both messages are there already, and look like commands.
    let second = "x LOGOUT\r\n".repeat(30_000);
    let reply = imap.command(&format!("APPEND INBOX {{5+}}\r\nfirst (\\Seen) {{{}+}}\r\n{second}", second.len()));
    assert_eq!(reply.status, "BAD", "{}", reply.text);
    assert!(reply.untagged.is_empty(), "{:?}", lines(&reply));
    // The second one is not asked for.
    let reply = imap.command("APPEND INBOX {5+}\r\nfirst {20}");
    assert_eq!(reply.status, "BAD", "{}", reply.text);
    let reply = imap.command("APPEND INBOX {5+}\r\nfirst {3+}\r\ntwo {20}");
    assert_eq!(reply.status, "BAD", "{}", reply.text);
    let reply = imap.command("APPEND INBOX {5+}\r\nfirst and more");
    assert_eq!(reply.status, "BAD", "{}", reply.text);
    // Nor where the first one was refused.
    let reply = imap.command("APPEND Missing {5+}\r\nfirst {5+}\r\nother");
    assert!(reply.shown().starts_with("NO [TRYCREATE] "), "{}", reply.shown());
    let reply = imap.command("APPEND Missing {5+}\r\nfirst {500}");
    assert!(reply.shown().starts_with("NO [TRYCREATE] "), "{}", reply.shown());
    assert_eq!(imap.ok("STATUS INBOX (MESSAGES)").untagged, [b"STATUS INBOX (MESSAGES 0)".to_vec()]);
    imap.append("INBOX", b"one");
    assert_eq!(imap.text(1), b"one");
}

#[test]
fn a_message_over_the_limit_is_refused_in_step() {
    let server = Server::start_configured("append-large", "[inbound]\nmax_message_bytes = 100000\n");
    let mut imap = server.select("INBOX");
    // It is not asked for.
    imap.answered("APPEND INBOX {100001}", "NO [TOOBIG] ");
    // It came all the same.
    let reply = append(&mut imap, "INBOX", "", &b"x LOGOUT\r\n".repeat(10_001));
    assert!(reply.shown().starts_with("NO [TOOBIG] "), "{}", reply.shown());
    let most = b"x NOOP  \r\n".repeat(10_000);
    imap.append("INBOX", &most);
    let text = imap.text(1);
    assert!(text == most, "{}", show(&text));
}

/// RFC 7888 §4: what is sent without asking and is more than anybody reads away ends the connection, wherever it stands.
#[test]
fn a_message_beyond_all_limits_ends_the_connection() {
    let server = Server::start("append-beyond");
    for (head, first) in [("APPEND INBOX {1073741825+}", true), ("APPEND INBOX {3+}\r\none {1073741825+}", false)] {
        let mut imap = server.login();
        imap.wire.write(format!("x {head}\r\n").as_bytes()).expect("the connection");
        let said = imap.wire.rest().expect("an end");
        let said = String::from_utf8_lossy(&said);
        assert_eq!(said.contains("x NO [TOOBIG] "), first, "{said}");
        assert!(said.contains("* BYE "), "{said}");
    }
    assert_eq!(server.login().ok("SELECT INBOX").exists(), Some(0));
}
