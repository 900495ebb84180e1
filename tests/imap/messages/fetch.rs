//! FETCH (RFC 3501 §6.4.5, §7.4.2): items, sections, partials, and what they do to \Seen.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{append, filled, lines};
use crate::support::message::numbered;
use crate::support::structure::Value;
use crate::support::{Imap, Server, eventually, show};

const NESTED: &str = "From: a@x.example\r\nSubject: outer\r\nTo: b@x.example\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\npreamble\r\n--out\r\n\
    Content-Type: text/plain\r\n\r\nfirst part\r\n--out\r\nContent-Type: message/rfc822\r\nX-Part: two\r\n\r\n\
    Subject: inner\r\nFrom: c@x.example\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\n\
    Content-Type: text/plain\r\n\r\nplain\r\n--in\r\nContent-Type: text/html\r\nX-Mime: yes\r\n\r\n<p>html\r\n--in--\r\n\
    --out--\r\nepilogue\r\n";

/// What lies in `text` between two of its substrings, both left out.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text.split_once(before).expect("the beginning");
    rest.split_once(after).expect("the end").0
}

fn one(imap: &mut Imap, item: &str, name: &str) -> Option<Vec<u8>> {
    // What sets \Seen is followed by the flags.
    let mut fetched = imap.ok(&format!("UID FETCH 1 ({item})")).fetched().swap_remove(0);
    assert_eq!(fetched.items[0].0, "UID", "the UID comes first");
    assert_eq!(fetched.items.len(), 2, "{item}: {:?}", fetched.items);
    let (found, value) = fetched.items.pop().expect("two");
    assert_eq!(found, name, "{item}");
    match value {
        Value::Nil => None,
        Value::Text(octets) => Some(octets),
        other => panic!("{item}: {other:?}"),
    }
}

#[test]
fn sections_of_nested_messages() {
    let mut server = Server::start("fetch-sections");
    let mut imap = server.select("INBOX");
    append(&mut imap, "INBOX", "", NESTED.as_bytes());
    let header = &NESTED[..NESTED.find("\r\n\r\n").expect("a header") + 4];
    let inner = format!("Subject: inner{}\r\n--in--", between(NESTED, "Subject: inner", "\r\n--in--"));
    let inner_header = &inner[..inner.find("\r\n\r\n").expect("a header") + 4];
    for _ in 0..2 {
        for (section, expected) in [
            ("", Some(NESTED)),
            ("HEADER", Some(header)),
            ("TEXT", Some(&NESTED[header.len()..])),
            ("1", Some("first part")),
            ("1.MIME", Some("Content-Type: text/plain\r\n\r\n")),
            ("2", Some(&inner)),
            ("2.MIME", Some("Content-Type: message/rfc822\r\nX-Part: two\r\n\r\n")),
            ("2.HEADER", Some(inner_header)),
            ("2.TEXT", Some(&inner[inner_header.len()..])),
            ("2.1", Some("plain")),
            ("2.2", Some("<p>html")),
            ("2.2.MIME", Some("Content-Type: text/html\r\nX-Mime: yes\r\n\r\n")),
            ("2.HEADER.FIELDS (subject)", Some("Subject: inner\r\n\r\n")),
            ("HEADER.FIELDS (to FROM x-none)", Some("From: a@x.example\r\nTo: b@x.example\r\n\r\n")),
            ("HEADER.FIELDS (x-none)", Some("\r\n")),
            (
                "HEADER.FIELDS.NOT (content-type mime-version)",
                Some("From: a@x.example\r\nSubject: outer\r\nTo: b@x.example\r\n\r\n"),
            ),
            // There is none of these.
            ("3", None),
            ("1.1", None),
            ("1.HEADER", None),
            ("1.TEXT", None),
            ("2.3", None),
            ("2.1.HEADER.FIELDS (subject)", None),
            ("9.MIME", None),
        ] {
            let name = format!("BODY[{section}]");
            let found = one(&mut imap, &format!("BODY.PEEK[{section}]"), &name);
            assert_eq!(found.as_deref().map(show), expected.map(|text| show(text.as_bytes())), "{section}");
            // A part of it, and the origin alone echoed.
            for (from, count) in [(0, 1), (3, 9), (0, 100_000), (100_000, 5)] {
                let part = one(&mut imap, &format!("BODY.PEEK[{section}]<{from}.{count}>"), &format!("{name}<{from}>"));
                let cut = expected.map(|text| {
                    let from = from.min(text.len());
                    &text[from..text.len().min(from + count)]
                });
                assert_eq!(
                    part.as_deref().map(show),
                    cut.map(|text| show(text.as_bytes())),
                    "{section}<{from}.{count}>"
                );
            }
        }
        for (item, section) in [("RFC822.HEADER", "HEADER"), ("RFC822.TEXT", "TEXT"), ("RFC822", "")] {
            let same = one(&mut imap, &format!("BODY.PEEK[{section}]"), &format!("BODY[{section}]"));
            assert_eq!(one(&mut imap, item, item), same);
        }
        assert_eq!(one(&mut imap, "RFC822.PEEK", "RFC822").as_deref(), Some(NESTED.as_bytes()));
        assert_eq!(imap.fetch_one(1, "RFC822.SIZE").count("RFC822.SIZE"), NESTED.len() as u64);
        server.restart();
        imap = server.select("INBOX");
    }
}

/// Part 1 of a message that has no parts is its body; its MIME header is the message's.
#[test]
fn sections_of_simple_messages() {
    let server = Server::start("fetch-simple");
    let mut imap = server.select("INBOX");
    append(&mut imap, "INBOX", "", b"Subject: simple\r\n\r\nbody\r\n");
    for (section, expected) in [
        ("1", Some("body\r\n")),
        ("1.MIME", Some("Subject: simple\r\n\r\n")),
        ("TEXT", Some("body\r\n")),
        ("1.TEXT", None),
        ("2", None),
        ("1.1", None),
    ] {
        let found = one(&mut imap, &format!("BODY.PEEK[{section}]"), &format!("BODY[{section}]"));
        assert_eq!(
            found.as_deref().map(show),
            expected.map(str::to_owned).map(|text| show(text.as_bytes())),
            "{section}"
        );
    }
    append(&mut imap, "INBOX", "", b"Subject: header alone\r\n");
    let fetched = imap.fetch_one(2, "(BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1])");
    assert_eq!(fetched.octets("BODY[HEADER]"), b"Subject: header alone\r\n");
    assert_eq!((fetched.octets("BODY[TEXT]"), fetched.octets("BODY[1]")), (&b""[..], &b""[..]));
}

#[test]
fn macros_and_lists_of_items() {
    let server = filled("fetch-macros", 2);
    let mut imap = server.select("INBOX");
    for (items, expected) in [
        ("FAST", &["FLAGS", "INTERNALDATE", "RFC822.SIZE"][..]),
        ("ALL", &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"]),
        ("FULL", &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"]),
        ("(BODYSTRUCTURE UID)", &["BODYSTRUCTURE", "UID"]),
        ("uid", &["UID"]),
    ] {
        let fetched = imap.ok(&format!("FETCH 1:* {items}")).fetched();
        assert_eq!(fetched.len(), 2);
        for message in fetched {
            assert_eq!(message.items.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected, "{items}");
        }
    }
    let fetched = imap.fetch_one(2, "(FLAGS UID)");
    assert_eq!(fetched.items.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["UID", "FLAGS"]);
    for bad in
        ["FETCH 3 (FLAGS)", "FETCH 1 ()", "FETCH 1 (FLAGS", "FETCH 1 BODY[", "FETCH 1 BINARY[1]", "FETCH (FLAGS)"]
    {
        imap.answered(bad, "BAD ");
    }
    assert!(imap.ok("UID FETCH 3:5 (FLAGS)").untagged.is_empty());
    // An empty mailbox has no message that could be fetched; all of none is no fault.
    imap.ok("CREATE Empty");
    imap.ok("SELECT Empty");
    imap.answered("FETCH 1 (FLAGS)", "BAD ");
    for command in ["FETCH 1:* (FLAGS)", "UID FETCH 1:* (FLAGS)", "SEARCH ALL", "STORE 1:* +FLAGS (\\Seen)", "EXPUNGE"]
    {
        assert!(imap.ok(command).fetched().is_empty(), "{command}");
    }
}

/// What sets \Seen, tells it; PEEK and EXAMINE don't.
#[test]
fn seen_is_set_and_told() {
    let server = filled("fetch-seen", 6);
    let mut imap = server.select("INBOX");
    let quiet = "(BODY.PEEK[] BODY.PEEK[TEXT] RFC822.HEADER RFC822.PEEK ENVELOPE BODY BODYSTRUCTURE FLAGS)";
    imap.ok(&format!("FETCH 1:* {quiet}"));
    assert_eq!(imap.ok("SEARCH UNSEEN").found().len(), 6);
    let mut reader = server.login();
    reader.ok("EXAMINE INBOX");
    assert_eq!(reader.ok("FETCH 1:* (BODY[])").untagged.len(), 6);
    assert_eq!(imap.ok("SEARCH UNSEEN").found().len(), 6);
    for (number, item) in [(1, "BODY[]"), (2, "RFC822"), (3, "RFC822.TEXT"), (4, "BODY[1]<0.1>"), (5, "BODY[HEADER]")] {
        let told = lines(&imap.ok(&format!("FETCH {number} {item}")));
        assert_eq!(
            told.last().map(String::as_str),
            Some(&*format!("{number} FETCH (FLAGS (\\\\Seen \\\\Recent))")),
            "{item}"
        );
        // No second time.
        assert_eq!(imap.ok(&format!("FETCH {number} {item}")).untagged.len(), 1, "{item}");
    }
    // RFC 3501 §6.4.8: each FETCH response of a UID command has the UID.
    let told = lines(&imap.ok("UID FETCH 6 (BODY[TEXT])"));
    assert!(told[0].starts_with("6 FETCH (UID 6 BODY[TEXT] "), "{told:?}");
    assert_eq!(told[1], "6 FETCH (UID 6 FLAGS (\\\\Seen \\\\Recent))");
    assert_eq!(reader.ok("SEARCH UNSEEN").found(), [0u32; 0]);
}

/// What the server knows of a message is read without its octets: those of a long one may lie elsewhere, damaged here. So is
/// what of them is undamaged; and other messages are found and fetched.
#[test]
fn details_need_no_octets() {
    let mut server = Server::start("fetch-details");
    for (subject, lines) in [("long", 10_000), ("short", 3)] {
        server.login().append("INBOX", &numbered(subject, lines));
    }
    seal(&mut server);
    let accounts = server.data().join("accounts");
    let files = || files_in(&accounts).into_iter();
    let length = |path: &PathBuf| path.metadata().map_or(0, |file| file.len());
    let body = files().max_by_key(length).expect("a body file");
    let mut octets = std::fs::read(&body).expect("a body file");
    let eighth = octets.len() / 8;
    assert!(eighth > 70_000, "{eighth}");
    // In its folded text, in its octets, and not at the beginning of either.
    for at in [1, 2, 3, 6, 7] {
        octets[at * eighth] ^= 1;
    }
    std::fs::write(&body, octets).expect("a body file");
    server.run();
    let mut imap = server.select("INBOX");
    for _ in 0..2 {
        let fetched = imap.fetch_one(1, "(FLAGS ENVELOPE BODYSTRUCTURE)");
        assert!(fetched.value("ENVELOPE").is_some() && fetched.value("BODYSTRUCTURE").is_some());
        imap.answered("UID FETCH 1 (ENVELOPE BODY.PEEK[])", "NO ");
        imap.answered("UID FETCH 1 BODY", "NO ");
        let header = imap.fetch_one(1, "(BODY.PEEK[HEADER])");
        assert!(header.octets("BODY[HEADER]").ends_with(b"<long@client.example>\r\n\r\n"));
        assert_eq!(imap.ok("SEARCH HEADER Subject o").found(), [1, 2]);
        assert_eq!(imap.answered("SEARCH TEXT o", "NO [CORRUPTION] ").found(), [2]);
    }
}

/// Fields of messages at rest, of which nobody has read an octet since the start: short ones, a header of several blocks, and
/// one of a message with a file of its own.
#[test]
fn header_fields_of_messages_at_rest() {
    let mut server = Server::start("fetch-cold-fields");
    let mut imap = server.login();
    let mut subjects = Vec::new();
    for (number, fields, lines) in [(1, 0, 1), (2, 3_000, 1), (3, 10, 10_000), (4, 10, 1), (5, 3_000, 10_000)] {
        let subject = format!("Subject: at rest {number}\r\n");
        let between: String = (0..fields).map(|field| format!("X-Field-{field}: {:060}\r\n", field)).collect();
        let last = format!("X-Last: {number}\r\n folded\r\n");
        let body = "Subject: of the body\r\n".repeat(lines);
        imap.append("INBOX", format!("{subject}{between}{last}\r\n{body}").as_bytes());
        subjects.push((subject, last));
    }
    drop(imap);
    seal(&mut server);
    let both = "BODY[HEADER.FIELDS (X-LAST SUBJECT X-NONE)]";
    let name = "BODY[HEADER.FIELDS (x-last)]<3>";
    for turn in 0..2 {
        server.run();
        let mut imap = server.select("INBOX");
        // All in one command, then one by one from the last.
        if turn == 0 {
            let fetched = imap.ok(&format!("FETCH 1:* ({})", both.replace("BODY", "BODY.PEEK"))).fetched();
            let found: Vec<String> = fetched.iter().map(|message| show(message.octets(both))).collect();
            let expected = subjects.iter().map(|(subject, last)| show(format!("{subject}{last}\r\n").as_bytes()));
            assert_eq!(found, expected.collect::<Vec<_>>());
        } else {
            for (at, (_, last)) in subjects.iter().enumerate().rev() {
                let fetched = imap.fetch_one(at + 1, "(BODY.PEEK[HEADER.FIELDS (x-last)]<3.14>)");
                assert_eq!(show(fetched.octets(name)), show(&last.as_bytes()[3..17]), "{last}");
            }
        }
        server.stop();
    }
}

/// Stops the server when all that it holds is in files of the account.
fn seal(server: &mut Server) {
    server.restart();
    let accounts = server.data().join("accounts");
    eventually("the account is sealed", Duration::from_secs(10), || {
        files_in(&accounts).into_iter().find(|path| path.ends_with("MANIFEST"))
    });
    server.stop();
}

/// The files below a folder; none where it is not there yet.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let files = entries.flat_map(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files_in(&path) } else { vec![path] }
    });
    files.collect()
}
