//! Attacks by somebody who has a password: slow readers, names, patterns, searches.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::message::numbered;
use crate::support::{Bystander, Imap, Server, USER, show};

/// INBOX and the special ones that a new account has.
const FIRST_MAILBOXES: usize = 6;

#[test]
fn attack_28_slow_reader() {
    const SESSIONS: u64 = 50;
    let mut server = Server::start("attack-28");
    let mut appender = server.login();
    for number in 0..4 {
        appender.append("INBOX", &numbered(&format!("large-{number}"), 20_000));
    }
    let octets: u64 =
        server.select("INBOX").ok("FETCH 1:* RFC822.SIZE").fetched().iter().map(|m| m.count("RFC822.SIZE")).sum();
    let mut open: Vec<Imap> = (0..SESSIONS).map(|_| server.select("INBOX")).collect();
    let before = server.memory_kib();
    for imap in &mut open {
        imap.wire.write(b"z FETCH 1:* BODY[]\r\n").expect("the connection");
    }
    std::thread::sleep(Duration::from_secs(1));
    let first = server.memory_kib();
    // Other sessions go on meanwhile.
    for _ in 0..20 {
        let begin = Instant::now();
        appender.ok("NOOP");
        assert!(begin.elapsed() < Duration::from_secs(1), "NOOP took {:?}", begin.elapsed());
    }
    appender.append("INBOX", &numbered("meanwhile", 1));
    std::thread::sleep(Duration::from_secs(1));
    let second = server.memory_kib();
    println!("{SESSIONS} sessions want {octets} octets each: {before} KiB, then {first}, then {second}");
    // What is gathered before a flush (256 KiB) and a little beside it, not the answer.
    let allowed = SESSIONS * 300;
    assert!(allowed * 1024 < SESSIONS * octets / 2, "the messages are too small to mean anything");
    assert!(second < before + allowed, "memory grew from {before} to {second} KiB");
    assert!(second < first + 4096, "memory goes on growing: {first}, {second} KiB");
    // One that reads after all gets all of it.
    let mut reader = open.pop().expect("one");
    let mut whole = 0;
    loop {
        let response = reader.response().expect("a response");
        if response.starts_with(b"z ") {
            assert!(response.starts_with(b"z OK"), "{}", show(&response));
            break;
        }
        whole += response.len() as u64;
    }
    assert!(whole > octets, "{whole} octets came of {octets}");
    drop(open);
    server.assert_alive();
}

#[test]
fn attack_29_names() {
    let mut server = Server::start("attack-29");
    let mut imap = server.login();
    let outside = |server: &Server| {
        let mut names: Vec<_> =
            fs::read_dir(server.scratch().path()).expect("a folder").map(|e| e.expect("one").path()).collect();
        names.sort();
        names
    };
    let before = outside(&server);
    let first = server.login().ok("LIST \"\" *").untagged;
    let long = "x".repeat(4096);
    let deep = "a/".repeat(300);
    for name in [
        "../x",
        "/etc",
        "a/../../b",
        "INBOX/../x",
        "INBOX/../",
        "..",
        ".",
        "a//b",
        "/",
        "a/./b",
        &long,
        &deep,
        "",
        "*",
        "a%b",
    ] {
        let reply = imap.command(&format!("CREATE \"{name}\""));
        let shown = show(name.as_bytes());
        assert!(reply.shown().starts_with("NO [CANNOT]") || reply.status == "BAD", "CREATE {shown}: {}", reply.shown());
        for command in ["SELECT", "EXAMINE"] {
            let reply = imap.command(&format!("{command} \"{name}\""));
            assert_ne!(reply.status, "OK", "{command} {shown}");
        }
        let reply = imap.command(&format!("STATUS \"{name}\" (MESSAGES)"));
        assert_ne!(reply.status, "OK", "STATUS {shown}");
        let reply = imap.command(&format!("APPEND \"{name}\" {{3+}}\r\nabc"));
        assert_ne!(reply.status, "OK", "APPEND {shown}");
    }
    // NUL, CR and LF: in a literal, as they can't be in a quoted string.
    for name in [&b"a\0b"[..], b"a\rb", b"a\nb", b"a\r\nb", b"\x7f\x01"] {
        let mut imap = server.login();
        let tag =
            imap.start(&[format!("CREATE {{{}+}}\r\n", name.len()).as_bytes(), name].concat()).expect("the connection");
        if let Ok(reply) = imap.finish(&tag) {
            assert_ne!(reply.status, "OK", "CREATE {}", show(name));
        }
    }
    let listed = server.login().ok("LIST \"\" *");
    assert_eq!(listed.untagged, first, "{:?}", listed.untagged.iter().map(|l| show(l)).collect::<Vec<_>>());
    assert_eq!(before, outside(&server));
    // INBOX is one mailbox in any case, and can't be made again.
    assert_eq!(imap.command("CREATE inbox").status, "NO");
    imap.ok("SELECT iNbOx");
    server.assert_alive();
}

#[test]
fn attack_30_utf7() {
    let mut server = Server::start("attack-30");
    let mut imap = server.login();
    let first = imap.ok("LIST \"\" *").untagged.len();
    imap.ok("CREATE Entw&APw-rfe");
    imap.ok("CREATE \"R&-D\"");
    let bad = [
        "&",
        "&AA",
        "&AGE-",
        "&2AA-",
        "&3AA-",
        "&2AAAQQ-",
        "x&AGEAYg-",
        "&AA-",
        "&A-",
        "&AAAA-",
        "&!!-",
        "&APw",
        "&APw-&APw-",
        "&APx-",
        "a&b",
        "&ACY-",
        "Entw\u{fc}rfe",
    ];
    for name in bad {
        let reply = imap.command(&format!("CREATE \"{name}\""));
        assert_ne!(reply.status, "OK", "CREATE {name}");
        let reply = imap.command(&format!("SELECT \"{name}\""));
        assert_ne!(reply.status, "OK", "SELECT {name}");
        let reply = imap.command(&format!("LIST \"\" \"{name}\""));
        assert!(reply.status == "BAD" || reply.untagged.is_empty(), "LIST {name} matched: {:?}", reply.untagged);
    }
    assert_eq!(imap.command("CREATE Entw&APw-rfe").status, "NO", "a second mailbox of the same name");
    let listed = imap.ok("LIST \"\" *");
    let mut names: Vec<String> =
        listed.untagged.iter().map(|line| show(line.rsplit(|&o| o == b' ').next().unwrap_or(line))).collect();
    names.sort();
    println!("{names:?}");
    assert_eq!(names.len(), first + 2, "{names:?}");
    server.restart();
    assert_eq!(server.login().ok("LIST \"\" Entw&APw-*").untagged.len(), 1);
    server.assert_alive();
}

#[test]
fn attack_31_list_patterns() {
    let mut server = Server::start("attack-31");
    let mut imap = server.login();
    for number in 0..200 {
        imap.ok(&format!("CREATE aaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbbbbbb/m{number}/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    }
    for pattern in ["*%*%*%*%*%*", "*a*a*a*a*a*a*a*a*a*a*b", &"*%".repeat(400), &"*a".repeat(400)] {
        let begin = Instant::now();
        let reply = imap.command(&format!("LIST \"\" \"{pattern}\""));
        println!("LIST {}: {} answers in {:?}", show(pattern.as_bytes()), reply.untagged.len(), begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(2), "LIST {pattern}: {:?}", begin.elapsed());
    }
    // Many of them at once.
    let patterns = vec![format!("\"{}\"", "*a".repeat(400)); 60].join(" ");
    let reply = imap.command(&format!("LIST \"\" ({patterns})"));
    assert!(reply.shown().starts_with("NO [LIMIT]"), "{}", reply.shown());
    server.assert_alive();
}

#[test]
fn attack_32_search() {
    // One shard, so that the searches and the other session share it.
    let mut server = Server::start_with("attack-32", &["--cpus", "0"]);
    let mut appender = server.login();
    for number in 0..300 {
        appender.append("INBOX", &numbered(&format!("search-{number}"), 100));
    }
    let nested = format!("SEARCH {}ALL{}", "(".repeat(100_000), ")".repeat(100_000));
    let nots = format!("SEARCH {}ALL", "NOT ".repeat(100_000));
    let ors = format!("SEARCH {}ALL", "OR ALL ".repeat(10_000));
    let terms = format!("SEARCH{}", " TEXT nowhere".repeat(10_000));
    let items: Vec<String> = (1..=1_000_000).map(|number| number.to_string()).collect();
    let items = format!("SEARCH {}", items.join(","));
    let allowed = format!("SEARCH{}", " TEXT nowhere-to-be-found".repeat(500));
    let bystander = Bystander::begin(&server);
    for (name, command) in
        [("nested", nested), ("not", nots), ("or", ors), ("terms", terms), ("items", items), ("allowed", allowed)]
    {
        let mut imap = server.select("INBOX");
        let begin = Instant::now();
        let _ = imap.wire.write(b"z ");
        let _ = imap.wire.write(command.as_bytes());
        let _ = imap.wire.write(b"\r\n");
        // A refusal, an answer, or a close: but an end.
        let mut lines = Vec::new();
        let outcome = loop {
            match imap.wire.line() {
                Ok(line) if line.starts_with(b"z ") || line.starts_with(b"* BYE") => break show(&line),
                Ok(line) => lines.push(line),
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => panic!("{name}: {error}"),
                Err(error) => break error.to_string(),
            }
        };
        println!("SEARCH {name}, {} octets: {outcome} in {:?}", command.len(), begin.elapsed());
        if name == "allowed" {
            assert!(outcome.starts_with("z OK") || outcome.starts_with("z NO"), "{outcome}");
        }
    }
    bystander.assert_served(Duration::from_secs(1));
    server.assert_alive();
}

#[test]
fn attack_34_keywords() {
    let mut server = Server::start("attack-34");
    let mut imap = server.login();
    imap.append("INBOX", &numbered("keywords", 1));
    imap.ok("SELECT INBOX");
    let mut refused = 0;
    for number in 0..200 {
        let reply = imap.command(&format!("STORE 1 +FLAGS (keyword{number})"));
        refused += u32::from(reply.status == "NO");
        assert_ne!(reply.status, "BAD", "{}", reply.text);
    }
    println!("{refused} of 200 keywords were refused");
    assert!(refused > 0, "no limit");
    let reply = imap.command(&format!("STORE 1 +FLAGS ({})", "k".repeat(5000)));
    assert_ne!(reply.status, "OK");
    let flags = imap.fetch_one(1, "(FLAGS)").flags();
    assert!(flags.contains(&"keyword0".to_owned()) && !flags.contains(&"keyword199".to_owned()), "{flags:?}");
    server.restart();
    assert_eq!(
        server.select("INBOX").fetch_one(1, "(FLAGS)").flags().len(),
        flags.iter().filter(|f| *f != "\\Recent").count()
    );
    server.assert_alive();
}

#[test]
fn attack_39_sections_out_of_range() {
    let mut server = Server::start("attack-39");
    let mut imap = server.login();
    let message = numbered("sections", 3);
    imap.append("INBOX", &message);
    imap.ok("SELECT INBOX");
    for section in ["99999", "4294967295", "1.1.1.1", "2", "1.MIME", "TEXT"] {
        let fetched = imap.fetch_one(1, &format!("(BODY.PEEK[{section}])"));
        assert!(fetched.value(&format!("BODY[{section}]")).is_some(), "BODY[{section}]: {:?}", fetched.items);
    }
    for (from, count) in [(4_294_967_295u64, 4_294_967_295u64), (message.len() as u64, 1), (1_000_000, 10)] {
        let fetched = imap.fetch_one(1, &format!("(BODY.PEEK[]<{from}.{count}>)"));
        assert_eq!(fetched.octets(&format!("BODY[]<{from}>")), b"", "<{from}.{count}>");
    }
    let fetched = imap.fetch_one(1, "(BODY.PEEK[]<3.4294967295>)");
    assert_eq!(fetched.octets("BODY[]<3>"), &message[3..]);
    for bad in
        ["BODY[0]", "BODY[1.0]", "BODY[]<0.0>", "BODY[]<99999999999999999999.1>", "BODY[-1]", "BODY[1.]", "BODY[MIME]"]
    {
        imap.answered(&format!("FETCH 1 ({bad})"), "BAD");
    }
    for set in ["0", "4294967296", "1:", ":1", "1,,2", "a", "*:0"] {
        imap.answered(&format!("FETCH {set} (UID)"), "BAD");
    }
    // RFC 9051 §6.4.8 and common practice: sets beyond the end and turned round.
    assert_eq!(imap.ok("UID FETCH 5:7 (UID)").fetched().len(), 0);
    assert_eq!(imap.ok("UID FETCH 4294967295:1 (UID)").fetched().len(), 1);
    server.assert_alive();
}

/// Another user's mail is not there, by whatever name.
#[test]
fn attack_40_other_users_mail() {
    let server = Server::start("attack-40");
    server.login().ok("CREATE Private");
    server.smtp().deliver(USER, &numbered("private", 1));
    let mut imap = server.imap();
    imap.login("b@localhost", &server.password_of("b@localhost"));
    for name in [
        "Private",
        "a@localhost",
        "a@localhost/INBOX",
        "Other Users/a@localhost",
        "user/a@localhost/Private",
        "~a/INBOX",
    ] {
        let missing = imap.command("SELECT no-such-mailbox").shown();
        assert_eq!(imap.command(&format!("SELECT \"{name}\"")).shown(), missing, "SELECT {name}");
        assert_ne!(imap.command(&format!("STATUS \"{name}\" (MESSAGES)")).status, "OK", "STATUS {name}");
    }
    assert_eq!(imap.ok("SELECT INBOX").exists(), Some(0));
    assert_eq!(imap.ok("LIST \"\" *").untagged.len(), FIRST_MAILBOXES);
}

/// Sessions that append, flag, expunge and look at once: UIDs ascend, no view breaks, nothing is lost that was not expunged.
#[test]
fn attack_41_everybody_at_once() {
    const SESSIONS: usize = 24;
    const TURNS: usize = 25;
    let mut server = Server::start("attack-41");
    let (port, password) = (server.port(143), server.password());
    let sessions: Vec<_> = (0..SESSIONS)
        .map(|session| {
            let password = password.clone();
            std::thread::spawn(move || {
                let mut imap = Imap::connect(port).expect("a connection");
                imap.login(USER, &password);
                let mut view = View::of(&imap.ok("SELECT INBOX"));
                for turn in 0..TURNS {
                    let tag = format!("m-{session}-{turn}");
                    let reply = imap.append("INBOX", &numbered(&tag, 2));
                    view.follow(&reply, true);
                    let reply = imap.command(&format!("UID SEARCH SUBJECT {tag}"));
                    view.follow(&reply, true);
                    let found = reply.found();
                    assert!(!found.is_empty(), "{tag} is not there: {}", reply.shown());
                    let uid = found[0];
                    view.follow(&imap.ok(&format!("UID STORE {uid} +FLAGS (\\Flagged)")), true);
                    // Without UID no EXPUNGE may be told, so that numbers hold.
                    if view.messages > 0 {
                        let reply = imap.command("FETCH 1:* (UID)");
                        let uids: Vec<u64> = reply.fetched().iter().filter_map(|m| m.value("UID")?.number()).collect();
                        assert!(uids.windows(2).all(|pair| pair[0] < pair[1]), "UIDs don't ascend: {uids:?}");
                        view.follow(&reply, false);
                    }
                    if turn % 2 == 1 {
                        view.follow(&imap.ok(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)")), true);
                        view.follow(&imap.ok("EXPUNGE"), true);
                    }
                }
            })
        })
        .collect();
    for session in sessions {
        session.join().expect("a session's view broke");
    }
    let mut imap = server.select("INBOX");
    let uids: Vec<u64> = imap.ok("FETCH 1:* (UID)").fetched().iter().map(|m| m.count("UID")).collect();
    let kept = SESSIONS * TURNS.div_ceil(2);
    assert_eq!(uids.len(), kept, "messages that nobody expunged");
    assert!(uids.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(
        imap.ok("SELECT INBOX").code("UIDNEXT"),
        Some((SESSIONS * TURNS) as u64 + 1),
        "a UID was used twice or skipped"
    );
    server.restart();
    let uids_after: Vec<u64> =
        server.select("INBOX").ok("FETCH 1:* (UID)").fetched().iter().map(|m| m.count("UID")).collect();
    assert_eq!(uids, uids_after, "after a restart");
    server.assert_alive();
}

/// What a session was told of its mailbox.
struct View {
    messages: u32,
}

impl View {
    fn of(select: &crate::support::imap::Reply) -> View {
        View { messages: select.exists().expect("EXISTS") }
    }

    /// R-IMAP-10: EXISTS never shrinks without EXPUNGE, an EXPUNGE names a message that is there, and none is told while
    /// FETCH, STORE or SEARCH run.
    fn follow(&mut self, reply: &crate::support::imap::Reply, may_expunge: bool) {
        for response in &reply.untagged {
            let Some((number, kind)) = std::str::from_utf8(response).ok().and_then(|text| text.split_once(' ')) else {
                continue;
            };
            let Ok(number) = number.parse::<u32>() else { continue };
            match kind {
                "EXISTS" => {
                    assert!(number >= self.messages, "EXISTS {number} while there were {}", self.messages);
                    self.messages = number;
                }
                "EXPUNGE" => {
                    assert!(may_expunge, "EXPUNGE told in FETCH");
                    assert!((1..=self.messages).contains(&number), "EXPUNGE {number} of {}", self.messages);
                    self.messages -= 1;
                }
                _ if kind.starts_with("FETCH ") => {
                    assert!((1..=self.messages).contains(&number), "FETCH {number} of {}", self.messages);
                }
                _ => {}
            }
        }
    }
}
