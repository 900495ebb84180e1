//! STORE, EXPUNGE, UID EXPUNGE, CHECK and CLOSE; keywords and PERMANENTFLAGS. RFC 3501 §6.4.1 to §6.4.3, §6.4.6; RFC 4315 §2.1.

use super::{filled, lines, of_kind};

#[test]
fn stores_answer_with_the_flags_that_are_then() {
    let server = filled("store", 3);
    let mut imap = server.select("INBOX");
    assert_eq!(
        lines(&imap.ok("STORE 1 FLAGS (\\Seen \\Flagged)")),
        ["1 FETCH (FLAGS (\\\\Flagged \\\\Seen \\\\Recent))"]
    );
    assert_eq!(lines(&imap.ok("UID STORE 1 -FLAGS \\Seen")), ["1 FETCH (UID 1 FLAGS (\\\\Flagged \\\\Recent))"]);
    assert!(lines(&imap.ok("STORE 1:3 +FLAGS.SILENT (\\Draft)")).is_empty());
    // \Recent and flags that nobody knows are passed over (RFC 3501 §7.1, PERMANENTFLAGS).
    assert_eq!(
        lines(&imap.ok("STORE 1 -FLAGS (\\Recent \\Odd)")),
        ["1 FETCH (FLAGS (\\\\Flagged \\\\Draft \\\\Recent))"]
    );
    assert_eq!(imap.ok("STORE 1 FLAGS ()").fetched()[0].flags(), ["\\Recent"]);
    assert!(lines(&imap.ok("UID STORE 99 +FLAGS (\\Seen)")).is_empty());
    for command in
        ["STORE 4 +FLAGS (\\Seen)", "STORE 0 FLAGS ()", "STORE 1 +FLAGS (\\)", "STORE 1 FLAGS", "STORE 1 +FLAG (x)"]
    {
        imap.answered(command, "BAD ");
    }
    imap.ok("EXAMINE INBOX");
    imap.answered("STORE 1 +FLAGS (\\Seen)", "NO ");
}

/// A keyword is told of before a message has it, to every session, and PERMANENTFLAGS says when there is room for no more.
#[test]
fn keywords_are_announced() {
    let server = filled("keywords", 1);
    let (mut imap, mut other) = (server.select("INBOX"), server.select("INBOX"));
    let told = lines(&imap.ok("STORE 1 +FLAGS ($Forwarded NonJunk $MDNSent a.b-c_d/e)"));
    assert!(told[0].starts_with("FLAGS (") && told[0].ends_with(" $Forwarded NonJunk $MDNSent a.b-c_d/e)"), "{told:?}");
    assert!(told[1].starts_with("OK [PERMANENTFLAGS (") && told[1].contains(" a.b-c_d/e \\\\*)]"), "{told:?}");
    assert_eq!(told[2], "1 FETCH (FLAGS (\\\\Recent $Forwarded NonJunk $MDNSent a.b-c_d/e))");
    let told = lines(&other.ok("NOOP"));
    assert!(told[0].starts_with("FLAGS (") && told[2].starts_with("1 FETCH "), "{told:?}");
    // The same by another case is no other one.
    assert_eq!(lines(&imap.ok("STORE 1 -FLAGS ($FORWARDED)")).len(), 1);
    assert_eq!(imap.ok("SEARCH KEYWORD nonjunk UNKEYWORD $Forwarded").found(), [1]);
    for number in 4..64 {
        imap.ok(&format!("STORE 1 +FLAGS.SILENT (k{number})"));
    }
    imap.answered("STORE 1 +FLAGS (one-more)", "NO [LIMIT] ");
    let select = imap.ok("SELECT INBOX");
    let permanent = lines(&select).into_iter().find(|line| line.contains("PERMANENTFLAGS")).expect("PERMANENTFLAGS");
    assert!(permanent.contains(" k63") && !permanent.contains('*'), "{permanent}");
    imap.ok("EXAMINE INBOX");
}

#[test]
fn expunge_takes_what_is_deleted_and_uid_expunge_what_is_named_too() {
    let server = filled("expunge", 6);
    let mut imap = server.select("INBOX");
    imap.ok("STORE 1:2,4,6 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(lines(&imap.ok("CHECK")), [""; 0]);
    assert_eq!(lines(&imap.ok("UID EXPUNGE 2:3,9:*")), ["6 EXPUNGE", "2 EXPUNGE"]);
    assert_eq!(imap.ok("UID SEARCH ALL").found(), [1, 3, 4, 5]);
    assert_eq!(lines(&imap.ok("UID EXPUNGE 99:100")), [""; 0]);
    assert_eq!(lines(&imap.ok("EXPUNGE")), ["3 EXPUNGE", "1 EXPUNGE"]);
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    for command in ["EXPUNGE", "UID EXPUNGE 1:*"] {
        let mut reader = server.login();
        reader.ok("EXAMINE INBOX");
        reader.answered(command, "NO ");
        // CLOSE of what may only be read takes nothing away.
        reader.ok("CLOSE");
        reader.answered("CHECK", "BAD ");
    }
    assert_eq!(imap.ok("UID SEARCH ALL").found(), [3, 5]);
    let mut other = server.select("INBOX");
    let reply = imap.ok("CLOSE");
    assert!(reply.untagged.is_empty(), "CLOSE tells nothing: {:?}", lines(&reply));
    imap.answered("FETCH 1 (UID)", "BAD ");
    assert_eq!(of_kind(&other.ok("NOOP"), "EXPUNGE"), ["1 EXPUNGE"]);
    // UNSELECT takes nothing away.
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    other.ok("UNSELECT");
    assert_eq!(other.ok("SELECT INBOX").exists(), Some(1));
}
