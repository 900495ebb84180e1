//! What sessions are told of each other's changes, and when: the faults of R-IMAP-10, each by name. RFC 3501 §5.2, §7.3, §7.4.1.

use std::time::Duration;

use super::{append, filled, lines, of_kind};
use crate::support::Server;
use crate::support::imap::Reply;

/// No EXPUNGE while FETCH, STORE or SEARCH run (not UID), though another session has expunged; and none that is stray.
#[test]
fn r_imap_10_no_expunge_while_fetch_store_search() {
    let server = filled("told-expunge", 6);
    let (mut imap, mut other) = (server.select("INBOX"), server.select("INBOX"));
    other.ok("STORE 2,5 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(lines(&other.ok("EXPUNGE")), ["5 EXPUNGE", "2 EXPUNGE"]);
    let none = |reply: &Reply| assert_eq!(of_kind(reply, "EXPUNGE"), [""; 0], "{reply:?}");
    for _ in 0..2 {
        // All six still have their numbers, and what was expunged can still be read.
        let reply = imap.ok("FETCH 1:* (UID BODY.PEEK[TEXT])");
        none(&reply);
        // Flags are told as well.
        let messages: Vec<_> = reply.fetched().into_iter().filter(|m| m.value("UID").is_some()).collect();
        let uids: Vec<(u32, u64)> = messages.iter().map(|m| (m.number, m.count("UID"))).collect();
        assert_eq!(uids, (1..=6).map(|number| (number, u64::from(number))).collect::<Vec<_>>());
        assert_eq!(messages[1].octets("BODY[TEXT]"), b"body 2\r\n");
        none(&imap.ok("STORE 1:6 +FLAGS (\\Flagged)"));
        let reply = imap.ok("SEARCH ALL");
        none(&reply);
        assert_eq!(reply.found(), [1, 2, 3, 4, 5, 6]);
    }
    // New mail comes meanwhile: it gets the next number, and EXISTS counts what is not told to be gone.
    append(&mut other, "INBOX", "", b"Subject: new\r\n\r\n");
    let reply = imap.ok("SEARCH SUBJECT new");
    none(&reply);
    assert_eq!((reply.found(), reply.exists()), (vec![], Some(7)));
    assert_eq!(imap.ok("FETCH 7 (UID)").fetched()[0].count("UID"), 7);
    assert_eq!(of_kind(&imap.ok("NOOP"), "EXPUNGE"), ["5 EXPUNGE", "2 EXPUNGE"]);
    none(&imap.ok("NOOP"));
    assert_eq!(
        imap.ok("FETCH 1:* (UID)").fetched().iter().map(|m| m.count("UID")).collect::<Vec<_>>(),
        [1, 3, 4, 6, 7]
    );
    // The UID forms may tell.
    for command in ["UID FETCH 1 (FLAGS)", "UID STORE 1 +FLAGS (\\Answered)", "UID SEARCH ALL"] {
        let uid = *other.ok("UID SEARCH ALL").found().last().expect("one");
        other.ok(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
        other.ok("EXPUNGE");
        assert_eq!(of_kind(&imap.ok(command), "EXPUNGE").len(), 1, "{command}");
    }
}

/// EXISTS grows by mail and shrinks by EXPUNGE alone, whatever two sessions do in turn.
#[test]
fn r_imap_10_exists_never_shrinks_without_expunge() {
    let server = filled("told-exists", 8);
    let mut imap = server.login();
    let mut count = imap.ok("SELECT INBOX").exists().expect("EXISTS");
    let mut other = server.select("INBOX");
    for turn in 0..24u32 {
        match turn % 3 {
            0 => drop(append(&mut other, "INBOX", "", b"more")),
            1 => drop(other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")),
            _ => drop(other.ok("EXPUNGE")),
        }
        let command = ["FETCH 1 (FLAGS)", "SEARCH ALL", "NOOP", "CHECK", "STATUS INBOX (MESSAGES)"][turn as usize % 5];
        let reply = imap.ok(command);
        for line in lines(&reply) {
            let mut words = line.split(' ');
            let number: u32 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            match words.next() {
                Some("EXISTS") => {
                    assert!(number >= count, "{number} EXISTS where there were {count}, in turn {turn}");
                    count = number;
                }
                Some("EXPUNGE") => {
                    assert!((1..=count).contains(&number), "{number} EXPUNGE of {count}, in turn {turn}");
                    count -= 1;
                }
                _ => {}
            }
        }
    }
    imap.ok("NOOP");
    let uids = imap.ok("UID SEARCH ALL").found();
    assert_eq!(uids, other.ok("UID SEARCH ALL").found());
    assert_eq!(uids.len(), 8, "8 more came and 8 went");
}

/// EXPUNGE succeeds while others expunge the same messages, and each session is told of each message once.
#[test]
fn r_imap_10_expunge_succeeds_while_others_expunge() {
    let server = filled("told-both", 20);
    let mut sessions: Vec<_> = (0..3).map(|_| server.select("INBOX")).collect();
    sessions[0].ok("STORE 1:10 +FLAGS.SILENT (\\Deleted)");
    // All at once: nobody waits for the others' answers.
    let tags: Vec<String> = sessions.iter_mut().map(|imap| imap.start(b"EXPUNGE").expect("the connection")).collect();
    for (imap, tag) in sessions.iter_mut().zip(tags) {
        let reply = imap.finish(&tag).expect("an answer");
        assert_eq!(reply.status, "OK", "{}", reply.text);
        let mut told = of_kind(&reply, "EXPUNGE").len();
        told += of_kind(&imap.ok("NOOP"), "EXPUNGE").len();
        assert_eq!(told, 10);
        assert_eq!(imap.ok("EXPUNGE").untagged.len(), 0);
        assert_eq!(imap.ok("UID SEARCH ALL").found(), (11..=20).collect::<Vec<_>>());
    }
}

/// Sets of thousands of ranges, in any order, name each message once; FETCH answers in mailbox order.
#[test]
fn r_imap_10_long_sequence_sets_and_fetch_in_mailbox_order() {
    let server = filled("told-sets", 120);
    let mut imap = server.select("INBOX");
    let every: Vec<String> = (0..6_000).map(|number| (120 - number % 120).to_string()).collect();
    let every = every.join(",");
    assert!(every.len() > 18_000, "{}", every.len());
    let odd: Vec<String> = (1..=120).rev().filter(|number| number % 2 == 1).map(|number| number.to_string()).collect();
    let odd = odd.join(",");
    for (set, expected) in [
        (every.as_str(), (1..=120).collect::<Vec<u32>>()),
        (&odd, (1..=120).filter(|number| number % 2 == 1).collect()),
        ("120:118,*,3,1:2,2:1", vec![1, 2, 3, 118, 119, 120]),
        ("*:119", vec![119, 120]),
    ] {
        for prefix in ["", "UID "] {
            let fetched = imap.ok(&format!("{prefix}FETCH {set} (UID)")).fetched();
            assert_eq!(fetched.iter().map(|message| message.number).collect::<Vec<_>>(), expected);
            assert_eq!(imap.ok(&format!("{prefix}SEARCH {set}")).found(), expected);
        }
        assert_eq!(imap.ok(&format!("STORE {set} +FLAGS (\\Seen)")).fetched().len(), expected.len());
    }
}

/// \Recent is for the first session that is told of a message, and STATUS counts what no session was told of.
#[test]
fn recent_is_for_one_session() {
    let server = filled("recent", 2);
    let mut first = server.login();
    let status = |imap: &mut crate::support::Imap| lines(&imap.ok("STATUS INBOX (RECENT)"));
    assert_eq!(status(&mut first), ["STATUS INBOX (RECENT 2)"]);
    // EXAMINE takes nothing away.
    assert_eq!(of_kind(&first.ok("EXAMINE INBOX"), "RECENT"), ["2 RECENT"]);
    assert_eq!(of_kind(&first.ok("SELECT INBOX"), "RECENT"), ["2 RECENT"]);
    assert_eq!(status(&mut first), ["STATUS INBOX (RECENT 0)"]);
    let mut second = server.login();
    assert_eq!(of_kind(&second.ok("SELECT INBOX"), "RECENT"), ["0 RECENT"]);
    append(&mut second, "INBOX", "", b"third");
    assert_eq!(second.ok("SEARCH RECENT").found(), [3]);
    assert_eq!(lines(&first.ok("NOOP")), ["3 EXISTS", "2 RECENT"]);
    assert_eq!(first.ok("SEARCH RECENT").found(), [1, 2]);
    assert_eq!(first.ok("SEARCH NEW").found(), [1, 2]);
    assert_eq!(first.ok("SEARCH OLD").found(), [3]);
    assert_eq!(first.fetch_one(3, "(FLAGS)").flags(), [""; 0]);
}

/// Who was told is written down with the next change; where a crash came first, nobody knows, and they are recent again.
#[test]
fn recent_again_after_a_crash() {
    let mut server = filled("recent-crash", 2);
    assert_eq!(of_kind(&server.login().ok("SELECT INBOX"), "RECENT"), ["2 RECENT"]);
    server.kill();
    server.run();
    let mut imap = server.login();
    assert_eq!(of_kind(&imap.ok("SELECT INBOX"), "RECENT"), ["2 RECENT"]);
    append(&mut imap, "INBOX", "", b"third");
    server.kill();
    server.run();
    assert_eq!(of_kind(&server.login().ok("SELECT INBOX"), "RECENT"), ["1 RECENT"]);
}

/// Flags that one session changes are told to the others, and in a UID command with the UID.
#[test]
fn flags_of_others_are_told() {
    let server = filled("told-flags", 3);
    let (mut imap, mut other) = (server.select("INBOX"), server.select("INBOX"));
    other.ok("STORE 2 +FLAGS (\\Answered)");
    assert_eq!(lines(&imap.ok("NOOP")), ["2 FETCH (FLAGS (\\\\Answered \\\\Recent))"]);
    other.ok("STORE 2 -FLAGS (\\Answered)");
    assert_eq!(lines(&imap.ok("UID SEARCH UID 1")), ["SEARCH 1", "2 FETCH (UID 2 FLAGS (\\\\Recent))"]);
    // Silence is about one's own change alone.
    other.ok("STORE 3 +FLAGS (\\Flagged)");
    assert_eq!(lines(&imap.ok("STORE 1 +FLAGS.SILENT (\\Seen)")), ["3 FETCH (FLAGS (\\\\Flagged \\\\Recent))"]);
    assert!(lines(&imap.ok("NOOP")).is_empty());
    // Also where both are to the same message.
    other.ok("STORE 2 +FLAGS (\\Flagged)");
    let told = lines(&imap.ok("STORE 2 +FLAGS.SILENT (\\Seen)"));
    assert!(told.len() == 1 && told[0].starts_with("2 FETCH (") && told[0].contains("Flagged"), "{told:?}");
    assert!(lines(&imap.ok("NOOP")).is_empty());
}

/// What others change of a large mailbox goes out as the client takes it, and others are served meanwhile.
#[test]
fn much_news_is_no_larger_than_the_client_takes() {
    let server = Server::start_with("told-much", &["--cpus", "0"]);
    let (mut imap, mut other) = (server.login(), server.login());
    append(&mut imap, "INBOX", "", b"Subject: one\r\n\r\n");
    imap.ok("SELECT INBOX");
    // As many as the log takes without a checkpoint, whose memory is another matter.
    for _ in 0..15 {
        imap.ok("COPY 1:* INBOX");
        imap.ok("NOOP");
    }
    let count = 1 << 15;
    assert_eq!(other.ok("SELECT INBOX").exists(), Some(count));
    let keywords: Vec<String> = (0..8).map(|number| format!("{number}-{}", "long".repeat(15))).collect();
    other.ok(&format!("STORE 1:* +FLAGS.SILENT ({})", keywords.join(" ")));
    let before = server.memory_kib();
    // In all it is 17 MB.
    let tag = imap.start(b"NOOP").expect("the connection");
    std::thread::sleep(Duration::from_millis(300));
    // What the kernel holds for a client that doesn't read is not the server's.
    let grown = server.memory_kib().saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB for a client that doesn't read");
    other.ok("NOOP");
    let reply = imap.finish(&tag).expect("an answer");
    let numbers: Vec<u32> = reply.fetched().iter().map(|message| message.number).collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
}
