//! COPY and MOVE with what COPYUID says of them (RFC 3501 §6.4.7, RFC 4315 §3, RFC 6851).

use super::{append, filled, lines, of_kind};
use crate::support::Server;

fn copy_uid(text: &str) -> &str {
    let (_, after) = text.split_once("[COPYUID ").unwrap_or_else(|| panic!("no COPYUID: {text}"));
    after.split_once(' ').and_then(|(_, sets)| sets.split_once(']')).map(|(sets, _)| sets).expect("a code")
}

#[test]
fn copies_have_flags_date_and_text() {
    let mut server = Server::start("copy");
    let mut imap = server.login();
    for (number, arguments) in [
        (1, "(\\Seen \\Answered $Forwarded) \"17-Jul-1996 02:44:25 -0700\" "),
        (2, ""),
        (3, "(\\Draft) \" 1-Jan-2001 00:00:00 +0000\" "),
    ] {
        append(&mut imap, "INBOX", arguments, format!("Subject: {number}\r\n\r\ntext {number}\r\n").as_bytes());
    }
    imap.ok("SELECT INBOX");
    for command in ["COPY 1 Target", "UID COPY 1 Target", "UID COPY 99 Target"] {
        imap.answered(command, "NO [TRYCREATE] ");
    }
    imap.ok("CREATE Target");
    let validity = imap.ok("STATUS Target (UIDVALIDITY)");
    let validity = lines(&validity)[0].split_once("UIDVALIDITY ").expect("UIDVALIDITY").1.replace(')', "");
    let reply = imap.ok("COPY 3,1 Target");
    assert_eq!(copy_uid(&reply.text), "1,3 1:2");
    assert!(reply.text.starts_with(&format!("[COPYUID {validity} ")), "{}", reply.text);
    assert_eq!(copy_uid(&imap.ok("UID COPY 2:* Target").text), "2:3 3:4");
    // Nothing to copy is no fault, a number that is none is.
    assert!(!imap.ok("UID COPY 99 Target").text.contains("COPYUID"));
    imap.answered("COPY 4 Target", "BAD ");
    imap.answered("COPY 1:9 Target", "BAD ");
    // The originals stay as they are.
    assert_eq!(imap.ok("UID SEARCH ALL").found(), [1, 2, 3]);
    for _ in 0..2 {
        assert_eq!(imap.ok("SELECT Target").exists(), Some(4));
        for (uid, original, flags, date) in [
            (1, 1, &["\\Answered", "\\Seen", "$Forwarded"][..], "17-Jul-1996 02:44:25 -0700"),
            (2, 3, &["\\Draft"], " 1-Jan-2001 00:00:00 +0000"),
            (4, 3, &["\\Draft"], " 1-Jan-2001 00:00:00 +0000"),
        ] {
            let fetched = imap.fetch_one(uid, "(FLAGS INTERNALDATE BODY.PEEK[])");
            let kept: Vec<String> = fetched.flags().into_iter().filter(|flag| flag != "\\Recent").collect();
            assert_eq!(kept, flags);
            assert_eq!(fetched.octets("INTERNALDATE"), date.as_bytes());
            assert_eq!(fetched.octets("BODY[]"), format!("Subject: {original}\r\n\r\ntext {original}\r\n").as_bytes());
        }
        server.restart();
        imap = server.login();
    }
}

#[test]
fn moves_say_where_to_before_they_say_what_is_gone() {
    let mut server = filled("move", 5);
    let (mut imap, mut other) = (server.select("INBOX"), server.select("INBOX"));
    imap.answered("MOVE 1 Target", "NO [TRYCREATE] ");
    imap.ok("CREATE Target");
    let reply = imap.ok("MOVE 2,4 Target");
    let told = lines(&reply);
    assert_eq!(copy_uid(&told[0]), "2,4 1:2");
    assert!(told[0].starts_with("OK [COPYUID "), "{told:?}");
    assert_eq!(told[1..], ["4 EXPUNGE", "2 EXPUNGE"]);
    assert!(!reply.text.contains("COPYUID"), "{}", reply.text);
    assert_eq!(imap.ok("UID SEARCH ALL").found(), [1, 3, 5]);
    // Who else looks at it is told where numbers may change.
    assert_eq!(of_kind(&other.ok("FETCH 1:5 (UID)"), "EXPUNGE"), [""; 0]);
    assert_eq!(lines(&other.ok("NOOP")), ["4 EXPUNGE", "2 EXPUNGE"]);
    let told = lines(&other.ok("UID MOVE 5:1 Target"));
    assert_eq!(
        (copy_uid(&told[0]), &told[1..]),
        ("1,3,5 3:5", &["3", "2", "1"].map(|seq| format!("{seq} EXPUNGE"))[..])
    );
    assert!(lines(&other.ok("UID MOVE 1:* Target")).is_empty(), "nothing is left to move");
    other.answered("MOVE 1 Target", "BAD ");
    assert_eq!(lines(&imap.ok("NOOP")), ["3 EXPUNGE", "2 EXPUNGE", "1 EXPUNGE"]);
    server.restart();
    let mut imap = server.select("Target");
    let subjects = imap.ok("FETCH 1:* (BODY.PEEK[TEXT])");
    let texts: Vec<String> = subjects
        .fetched()
        .iter()
        .map(|message| String::from_utf8_lossy(message.octets("BODY[TEXT]")).into_owned())
        .collect();
    assert_eq!(texts, ["body 2\r\n", "body 4\r\n", "body 1\r\n", "body 3\r\n", "body 5\r\n"]);
    // Into the mailbox itself: new UIDs.
    let told = lines(&imap.ok("MOVE 1 Target"));
    assert_eq!(copy_uid(&told[0]), "1 6");
    assert!(told.contains(&"1 EXPUNGE".to_owned()) && told.contains(&"5 EXISTS".to_owned()), "{told:?}");
    assert_eq!(imap.ok("UID SEARCH ALL").found(), [2, 3, 4, 5, 6]);
}

/// EXAMINE: messages may be copied from it, and none moved.
#[test]
fn a_read_only_mailbox_gives_copies_alone() {
    let server = filled("copy-examine", 2);
    let mut imap = server.login();
    imap.ok("CREATE Target");
    imap.ok("EXAMINE INBOX");
    assert_eq!(copy_uid(&imap.ok("COPY 1:* Target").text), "1:2 1:2");
    imap.answered("MOVE 1 Target", "NO ");
    imap.answered("UID MOVE 1 Target", "NO ");
    assert_eq!(imap.ok("UID SEARCH ALL").found(), [1, 2]);
}

/// A copy by numbers tells no EXPUNGE, whose numbers the client's next command may use already; nor does it fail where somebody
/// else has expunged a message.
#[test]
fn copies_by_number_leave_numbers_alone() {
    let server = filled("copy-numbers", 4);
    let (mut imap, mut other) = (server.select("INBOX"), server.select("INBOX"));
    imap.ok("CREATE Target");
    other.ok("STORE 2 +FLAGS.SILENT (\\Deleted)");
    other.ok("EXPUNGE");
    let reply = imap.ok("COPY 1:3 Target");
    assert_eq!(of_kind(&reply, "EXPUNGE"), [""; 0]);
    assert_eq!(copy_uid(&reply.text), "1,3 1:2");
    assert!(!imap.ok("COPY 2 Target").text.contains("COPYUID"), "it is gone");
    assert_eq!(imap.ok("FETCH 4 (UID)").fetched()[0].count("UID"), 4);
    assert_eq!(of_kind(&imap.ok("UID COPY 4 Target"), "EXPUNGE"), ["2 EXPUNGE"]);
    // The mailbox that it goes to may be the selected one of others.
    let mut target = server.select("Target");
    imap.ok("COPY 1 Target");
    // Or one's own.
    assert_eq!(lines(&imap.ok("COPY 1 INBOX")), ["4 EXISTS", "4 RECENT"]);
    assert_eq!(lines(&target.ok("NOOP")), ["4 EXISTS", "4 RECENT"]);
}

/// Sessions that move the same messages at once: each goes once, and each session's COPYUID names what it moved itself.
#[test]
fn messages_that_all_move_at_once_go_once() {
    const MESSAGES: u32 = 40;
    let mut server = filled("move-at-once", MESSAGES);
    let mut sessions: Vec<_> = (0..4).map(|_| server.select("INBOX")).collect();
    sessions[0].ok("CREATE Target");
    let tags: Vec<Vec<String>> = sessions
        .iter_mut()
        .map(|imap| {
            let ranges = (1..=MESSAGES).step_by(10).map(|first| format!("UID MOVE {first}:{} Target", first + 9));
            ranges.map(|command| imap.start(command.as_bytes()).expect("the connection")).collect()
        })
        .collect();
    let (mut sources, mut targets) = (Vec::new(), Vec::new());
    for (imap, tags) in sessions.iter_mut().zip(tags) {
        let mut gone = 0;
        for tag in tags {
            let reply = imap.finish(&tag).expect("an answer");
            assert_eq!(reply.status, "OK", "{}", reply.text);
            gone += of_kind(&reply, "EXPUNGE").len();
            for line in lines(&reply).iter().filter(|line| line.contains("COPYUID")) {
                let (from, to) = copy_uid(line).split_once(' ').expect("two sets");
                sources.extend(numbers(from));
                targets.extend(numbers(to));
            }
        }
        gone += of_kind(&imap.ok("NOOP"), "EXPUNGE").len();
        assert_eq!(gone, MESSAGES as usize);
    }
    sources.sort_unstable();
    targets.sort_unstable();
    assert_eq!(sources, (1..=MESSAGES).collect::<Vec<_>>());
    for _ in 0..2 {
        let mut imap = server.login();
        assert_eq!(imap.ok("SELECT INBOX").exists(), Some(0));
        imap.ok("SELECT Target");
        assert_eq!(imap.ok("UID SEARCH ALL").found(), targets);
        let fetched = imap.ok("FETCH 1:* (BODY.PEEK[TEXT])").fetched();
        let mut texts: Vec<&[u8]> = fetched.iter().map(|message| message.octets("BODY[TEXT]")).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), MESSAGES as usize, "one of each");
        server.restart();
    }
}

/// The numbers of a set.
fn numbers(set: &str) -> Vec<u32> {
    let ends = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse::<u32>().expect("a number")..=last.parse().expect("a number")
    };
    set.split(',').flat_map(ends).collect()
}
