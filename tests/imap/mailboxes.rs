//! Commands about mailboxes: LIST and its extensions, LSUB, CREATE, DELETE, RENAME, SELECT, STATUS; ID, ENABLE, NAMESPACE.
//!
//! What an account has from the start (INBOX, special uses) is left out by asking below a name of the test's own.

use std::time::{Duration, Instant};

use crate::support::imap::Reply;
use crate::support::message::numbered;
use crate::support::{Bystander, Imap, Server, USER, show};

/// The responses of one kind, as text and in their order.
fn told(reply: &Reply, kind: &str) -> Vec<String> {
    reply.starting(kind).map(|response| String::from_utf8_lossy(response).trim_start().to_owned()).collect()
}

fn list(imap: &mut Imap, arguments: &str) -> Vec<String> {
    told(&imap.ok(&format!("LIST {arguments}")), "LIST")
}

/// The tagged response's text must begin so.
fn refused(imap: &mut Imap, command: &str, code: &str) {
    imap.answered(command, &format!("NO [{code}]"));
}

fn creates(imap: &mut Imap, names: &[&str]) {
    for name in names {
        imap.ok(&format!("CREATE {name}"));
    }
}

#[test]
fn capabilities_before_and_after_login() {
    let server = Server::start("imap-capability");
    let mut imap = server.imap();
    let offered = |reply: &Reply| -> Vec<String> {
        let lines = told(reply, "CAPABILITY");
        assert_eq!(lines.len(), 1, "{reply:?}");
        lines[0].split(' ').map(str::to_owned).collect()
    };
    for logged_in in [false, true] {
        if logged_in {
            imap.login(USER, &server.password());
        }
        let names = offered(&imap.ok("CAPABILITY"));
        for name in
            "IMAP4rev1 ID ENABLE NAMESPACE CHILDREN LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE".split(' ')
        {
            assert!(names.iter().any(|offered| offered == name), "no {name} in {names:?}");
        }
        let mut once = names.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), names.len(), "{names:?}");
    }
}

/// RFC 2971, RFC 5161, RFC 2342.
#[test]
fn id_enable_and_namespace() {
    let server = Server::start("imap-id");
    let mut imap = server.imap();
    for command in ["ID NIL", "ID ()", "ID (\"name\" \"x\\\"y\" \"version\" NIL)", "id ({4}\r\nname \"\")"] {
        // A literal that is waited for would need its own steps: this one is sent at once.
        let reply = imap.ok(&command.replace("{4}", "{4+}"));
        let expected = format!("(\"name\" \"Ringpost\" \"version\" \"{}\")", env!("CARGO_PKG_VERSION"));
        assert_eq!(told(&reply, "ID"), [expected], "{command}");
    }
    for command in ["ID", "ID x", "ID (\"name\")", "ID (\"name\" x)", "ENABLE"] {
        imap.answered(command, "BAD");
    }
    for command in
        ["ENABLE CONDSTORE", "NAMESPACE", "LIST \"\" *", "LSUB \"\" *", "SUBSCRIBE INBOX", "RENAME a b", "DELETE a"]
    {
        imap.answered(command, "BAD Log in first");
    }
    imap.login(USER, &server.password());
    assert_eq!(told(&imap.ok("NAMESPACE"), "NAMESPACE"), ["((\"\" \"/\")) NIL NIL"]);
    assert_eq!(imap.ok("ENABLE CONDSTORE X-UNKNOWN").untagged, [b"ENABLED".to_vec()]);
    assert_eq!(told(&imap.ok("ID NIL"), "ID").len(), 1);
    imap.answered("XYZZY", "BAD");
    imap.answered("UID LIST \"\" *", "BAD");
}

/// RFC 3501 §6.3.8: wildcards, references, the empty pattern; RFC 3348: children.
#[test]
fn list_and_its_wildcards() {
    let server = Server::start("imap-list");
    let mut imap = server.login();
    creates(&mut imap, &["t/b/c", "\"t/b c\"", "t/Entw&APw-rfe", "inbox/Sub", "\"t/R&-D\""]);
    assert_eq!(list(&mut imap, "\"\" \"\""), ["(\\Noselect) \"/\" \"\""]);
    assert_eq!(list(&mut imap, "t/ \"\""), ["(\\Noselect) \"/\" \"\""]);
    let all = [
        "(\\HasChildren) \"/\" t",
        "(\\HasChildren) \"/\" t/b",
        "(\\HasNoChildren) \"/\" t/b/c",
        "(\\HasNoChildren) \"/\" \"t/Entw&APw-rfe\"",
        "(\\HasNoChildren) \"/\" \"t/R&-D\"",
        "(\\HasNoChildren) \"/\" \"t/b c\"",
    ];
    let sorted = |mut lines: Vec<String>| {
        lines.sort_by_key(|line| line.split_once(" \"/\" ").expect("a separator").1.replace('"', ""));
        lines
    };
    let mut expected: Vec<String> = all.map(str::to_owned).to_vec();
    expected = sorted(expected);
    assert_eq!(sorted(list(&mut imap, "\"\" t*")), expected);
    assert_eq!(sorted(list(&mut imap, "t *")), expected);
    assert_eq!(list(&mut imap, "t/ b/%"), [all[2]]);
    assert_eq!(list(&mut imap, "\"\" t/%/%"), [all[2]]);
    assert_eq!(list(&mut imap, "\"\" t/b"), [all[1]]);
    assert_eq!(list(&mut imap, "\"\" t/Entw*"), [all[3]]);
    assert_eq!(list(&mut imap, "\"\" /t"), [""; 0]);
    // INBOX in capitals, whatever was asked.
    assert_eq!(list(&mut imap, "\"\" iNb%"), ["(\\HasChildren) \"/\" INBOX"]);
    assert_eq!(list(&mut imap, "inbox/ %"), ["(\\HasNoChildren) \"/\" INBOX/Sub"]);
    assert_eq!(list(&mut imap, "\"\" %").iter().filter(|line| line.ends_with(" t")).count(), 1);
}

/// RFC 5258: several patterns once each, return options, what is BAD.
#[test]
fn list_extended_without_subscriptions() {
    let server = Server::start("imap-list-extended");
    let mut imap = server.login();
    creates(&mut imap, &["t/b/c", "t/d"]);
    assert_eq!(list(&mut imap, "\"\" (t/% t/d t/*)"), ["() \"/\" t/b", "() \"/\" t/b/c", "() \"/\" t/d"]);
    assert_eq!(list(&mut imap, "() \"\" t"), ["() \"/\" t"]);
    assert_eq!(list(&mut imap, "(REMOTE) \"\" t RETURN (CHILDREN)"), ["(\\HasChildren) \"/\" t"]);
    assert_eq!(list(&mut imap, "\"\" t/d RETURN (CHILDREN SPECIAL-USE)"), ["(\\HasNoChildren) \"/\" t/d"]);
    // An empty pattern is nothing there.
    assert_eq!(list(&mut imap, "\"\" (\"\" t)"), ["() \"/\" t"]);
    // Nor is one that isn't modified UTF-7.
    assert_eq!(list(&mut imap, "\"\" (&AA t \"t & d\")"), ["() \"/\" t"]);
    assert_eq!(list(&mut imap, "() \"\" \"\""), [""; 0]);
    assert_eq!(list(&mut imap, "\"\" nowhere RETURN (STATUS (MESSAGES))"), [""; 0]);
    for arguments in [
        "(RECURSIVEMATCH) \"\" *",
        "(REMOTE RECURSIVEMATCH) \"\" *",
        "(NEWEST) \"\" *",
        "\"\" * RETURN (NEWEST)",
        "\"\" * RETURN CHILDREN",
        "\"\" * CHILDREN",
    ] {
        imap.answered(&format!("LIST {arguments}"), "BAD");
    }
}

/// RFC 5819: each LIST response is followed by its STATUS.
#[test]
fn list_status() {
    let server = Server::start("imap-list-status");
    let mut imap = server.login();
    creates(&mut imap, &["t/b", "t/c"]);
    imap.append("t/c", &numbered("one", 3));
    let reply = imap.ok("LIST \"\" t/* RETURN (STATUS (MESSAGES UNSEEN UIDNEXT))");
    let lines: Vec<String> = reply.untagged.iter().map(|line| show(line).replace("\\\"", "\"")).collect();
    assert_eq!(
        lines,
        [
            "LIST () \"/\" t/b",
            "STATUS t/b (MESSAGES 0 UNSEEN 0 UIDNEXT 1)",
            "LIST () \"/\" t/c",
            "STATUS t/c (MESSAGES 1 UNSEEN 1 UIDNEXT 2)",
        ]
    );
    // The same items, asked by STATUS, also where the mailbox is selected.
    imap.ok("SELECT t/c");
    let reply = imap.ok("STATUS t/c (UIDNEXT MESSAGES RECENT UNSEEN)");
    assert_eq!(told(&reply, "STATUS"), ["t/c (UIDNEXT 2 MESSAGES 1 RECENT 0 UNSEEN 1)"]);
    refused(&mut imap, "STATUS t/d (MESSAGES)", "NONEXISTENT");
    imap.answered("STATUS t/c ()", "BAD");
    imap.answered("STATUS t/c (HIGHESTMODSEQ)", "BAD");
}

/// RFC 6154: a use at CREATE, in LIST, as a selection; one mailbox a use.
#[test]
fn special_uses() {
    let mut server = Server::start("imap-special-use");
    let mut imap = server.login();
    for use_attribute in ["\\All", "\\Flagged", "\\Important", "\\Junk \\Trash"] {
        refused(&mut imap, &format!("CREATE t/x (USE ({use_attribute}))"), "USEATTR");
    }
    imap.answered("CREATE t/x (USE)", "BAD");
    imap.answered("CREATE t/x (USED (\\Sent))", "BAD");
    assert_eq!(list(&mut imap, "\"\" t*"), [""; 0], "a refused CREATE made something");
    // A new account has them all from the start: the first of each is in the way until it goes.
    let uses = |imap: &mut Imap| -> Vec<String> {
        let lines = list(imap, "(SPECIAL-USE) \"\" *");
        lines.iter().map(|line| line[1..].split([' ', ')']).next().expect("an attribute").to_owned()).collect()
    };
    for name in ["Archive", "Drafts", "Junk", "Sent", "Trash"] {
        let attribute = format!("\\{name}");
        refused(&mut imap, &format!("CREATE t/{name} (USE ({attribute}))"), "USEATTR");
        imap.ok(&format!("DELETE {name}"));
        imap.ok(&format!("CREATE t/{name} (USE ({attribute}))"));
        refused(&mut imap, &format!("CREATE t/Second (USE ({attribute}))"), "USEATTR");
        let line = format!("({attribute}) \"/\" t/{name}");
        assert_eq!(list(&mut imap, &format!("\"\" t/{name} RETURN (SPECIAL-USE)")), [line]);
        let line = format!("(\\HasNoChildren {attribute}) \"/\" t/{name}");
        assert_eq!(list(&mut imap, &format!("\"\" t/{name}")), [line]);
    }
    imap.ok("CREATE t/plain (USE ())");
    let mut five = uses(&mut imap);
    five.sort();
    assert_eq!(five, ["\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"]);
    server.restart();
    let mut again = uses(&mut server.login());
    again.sort();
    assert_eq!(again, five);
}

/// RFC 3501 §6.3.6, §6.3.7, §6.3.9: also what was deleted stays subscribed; `%` shows what is above.
#[test]
fn subscriptions_and_lsub() {
    let mut server = Server::start("imap-lsub");
    let mut imap = server.login();
    creates(&mut imap, &["t/foo/bar", "t/foo/baz", "t/moo", "t/gone/deep"]);
    for name in ["t/foo/bar", "t/moo", "t/gone/deep"] {
        imap.ok(&format!("SUBSCRIBE {name}"));
    }
    imap.ok("SUBSCRIBE t/moo");
    refused(&mut imap, "SUBSCRIBE t/nothing", "NONEXISTENT");
    refused(&mut imap, "UNSUBSCRIBE t/nothing", "NONEXISTENT");
    let lsub = |imap: &mut Imap, arguments: &str| told(&imap.ok(&format!("LSUB {arguments}")), "LSUB");
    let everything = ["() \"/\" t/foo/bar", "() \"/\" t/gone/deep", "() \"/\" t/moo"];
    assert_eq!(lsub(&mut imap, "\"\" t*"), everything);
    assert_eq!(lsub(&mut imap, "t/foo/ %"), everything[..1]);
    // Subscribed names stay when their mailboxes go, and those above them go.
    for name in ["t/gone/deep", "t/gone"] {
        imap.ok(&format!("DELETE {name}"));
    }
    for round in 0..2 {
        assert_eq!(lsub(&mut imap, "\"\" t*"), everything, "round {round}");
        let mut level = lsub(&mut imap, "\"\" t/%");
        level.sort();
        assert_eq!(level, ["() \"/\" t/moo", "(\\Noselect) \"/\" t/foo", "(\\Noselect) \"/\" t/gone"], "round {round}");
        assert_eq!(lsub(&mut imap, "\"\" t/foo"), [""; 0]);
        assert_eq!(
            list(&mut imap, "(SUBSCRIBED) \"\" t*"),
            [
                "(\\Subscribed) \"/\" t/foo/bar",
                "(\\NonExistent \\Noselect \\Subscribed) \"/\" t/gone/deep",
                "(\\Subscribed) \"/\" t/moo"
            ]
        );
        let mut level = list(&mut imap, "(SUBSCRIBED RECURSIVEMATCH) \"\" t/%");
        level.sort();
        assert_eq!(
            level,
            [
                "() \"/\" t/foo (\"CHILDINFO\" (\"SUBSCRIBED\"))",
                "(\\NonExistent \\Noselect) \"/\" t/gone (\"CHILDINFO\" (\"SUBSCRIBED\"))",
                "(\\Subscribed) \"/\" t/moo",
            ]
        );
        // RFC 5258 §3.2: the option shows subscriptions, it doesn't list more names.
        assert_eq!(
            list(&mut imap, "\"\" t/foo* RETURN (SUBSCRIBED)"),
            ["() \"/\" t/foo", "(\\Subscribed) \"/\" t/foo/bar", "() \"/\" t/foo/baz"]
        );
        server.restart();
        imap = server.login();
    }
    imap.ok("UNSUBSCRIBE t/gone/deep");
    refused(&mut imap, "UNSUBSCRIBE t/gone/deep", "NONEXISTENT");
    imap.ok("UNSUBSCRIBE t/moo");
    assert_eq!(lsub(&mut imap, "\"\" t*"), everything[..1]);
    // RFC 5819 §3: no STATUS for a name that is told for its children's sake.
    let reply = imap.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" t/% RETURN (STATUS (MESSAGES))");
    assert_eq!((told(&reply, "LIST").len(), told(&reply, "STATUS").len()), (1, 0));
}

/// RFC 5258 §5, example 9: CHILDINFO beside names that are told themselves.
#[test]
fn recursive_match_as_the_rfc_shows_it() {
    let server = Server::start("imap-recursive-match");
    let mut imap = server.login();
    let subscribed =
        ["foo2/bar1", "foo2/bar2", "baz2/bar2", "baz2/bar22", "baz2/bar222", "eps2", "eps2/mamba", "qux2/bar2"];
    for name in subscribed {
        if name != "eps2/mamba" {
            imap.ok(&format!("CREATE {}", if name == "eps2" { "eps2/mamba" } else { name }));
        }
        imap.ok(&format!("SUBSCRIBE {name}"));
    }
    let mut lines = list(&mut imap, "(RECURSIVEMATCH SUBSCRIBED) \"\" \"*2\"");
    lines.sort();
    assert_eq!(
        lines,
        [
            "() \"/\" foo2 (\"CHILDINFO\" (\"SUBSCRIBED\"))",
            "(\\Subscribed) \"/\" baz2/bar2",
            "(\\Subscribed) \"/\" baz2/bar22",
            "(\\Subscribed) \"/\" baz2/bar222",
            "(\\Subscribed) \"/\" eps2 (\"CHILDINFO\" (\"SUBSCRIBED\"))",
            "(\\Subscribed) \"/\" foo2/bar2",
            "(\\Subscribed) \"/\" qux2/bar2",
        ]
    );
}

/// RFC 5258 §3, §3.5: names between a subscription and what there is of the tree, told once and for what they hide; the names
/// that sort between them and what is below them make no difference.
#[test]
fn recursive_match_over_gaps() {
    let mut server = Server::start("imap-recursive-gaps");
    let mut imap = server.login();
    creates(&mut imap, &["t/a/b/c", "t/a/b/d", "\"t/a b\"", "t/a!/x", "t/a-b", "t/z", "top/below"]);
    for name in ["t/a/b/c", "t/a/b/d", "t/a!/x", "top/below"] {
        imap.ok(&format!("SUBSCRIBE {name}"));
    }
    for name in ["t/a/b/c", "t/a/b/d", "t/a/b", "t/a", "t/a!/x", "t/a!", "top/below", "top"] {
        imap.ok(&format!("DELETE {name}"));
    }
    let gap = |name: &str| format!("(\\NonExistent \\Noselect) \"/\" {name} (\"CHILDINFO\" (\"SUBSCRIBED\"))");
    let gone = |name: &str| format!("(\\NonExistent \\Noselect \\Subscribed) \"/\" {name}");
    let above = "() \"/\" t (\"CHILDINFO\" (\"SUBSCRIBED\"))".to_owned();
    for round in 0..2 {
        for (patterns, expected) in [
            ("t", vec![above.clone()]),
            ("t/%", vec![gap("t/a"), gap("t/a!")]),
            ("t/a", vec![gap("t/a")]),
            ("t/%/%", vec![gap("t/a/b"), gone("t/a!/x")]),
            ("t/a/%", vec![gap("t/a/b")]),
            ("t/%/b/%", vec![gone("t/a/b/c"), gone("t/a/b/d")]),
            // All that is below them is told: then they hide nothing.
            ("t/*", vec![gone("t/a!/x"), gone("t/a/b/c"), gone("t/a/b/d")]),
            ("(t/a t/a/b/c)", vec![gap("t/a"), gone("t/a/b/c")]),
            ("(t/a t/a/b/c t/a/b/d)", vec![gone("t/a/b/c"), gone("t/a/b/d")]),
            ("t/a/b/c/%", vec![]),
            ("top", vec![gap("top")]),
        ] {
            let mut lines = list(&mut imap, &format!("(SUBSCRIBED RECURSIVEMATCH) \"\" {patterns}"));
            lines.sort();
            let mut expected = expected;
            expected.sort();
            assert_eq!(lines, expected, "{patterns}, round {round}");
        }
        // Without the option there is nothing between, and without a mailbox nothing for a LIST of mailboxes.
        assert_eq!(list(&mut imap, "(SUBSCRIBED) \"\" t/%"), [""; 0]);
        let mut level = list(&mut imap, "() \"\" t/%");
        level.sort();
        assert_eq!(level, ["() \"/\" \"t/a b\"", "() \"/\" t/a-b", "() \"/\" t/z"]);
        assert_eq!(
            list(&mut imap, "(SUBSCRIBED RECURSIVEMATCH) \"\" top RETURN (CHILDREN STATUS (MESSAGES))"),
            ["(\\NonExistent \\Noselect \\HasNoChildren) \"/\" top (\"CHILDINFO\" (\"SUBSCRIBED\"))"]
        );
        let mut level = told(&imap.ok("LSUB \"\" t/%"), "LSUB");
        level.sort();
        assert_eq!(level, ["(\\Noselect) \"/\" t/a", "(\\Noselect) \"/\" t/a!"]);
        server.restart();
        imap = server.login();
    }
}

/// RFC 3501 §6.3.4: what is below a deleted mailbox stays, and with it the name.
#[test]
fn delete_and_what_is_below() {
    let server = Server::start("imap-delete");
    let mut imap = server.login();
    refused(&mut imap, "DELETE INBOX", "CANNOT");
    refused(&mut imap, "DELETE inbox", "CANNOT");
    refused(&mut imap, "DELETE t/nothing", "NONEXISTENT");
    creates(&mut imap, &["t/foo/bar", "t/single"]);
    imap.append("t/foo", &numbered("kept nowhere", 1));
    let before = imap.ok("STATUS t/foo (UIDVALIDITY)").untagged;
    imap.ok("DELETE t/single");
    refused(&mut imap, "DELETE t/single", "NONEXISTENT");
    imap.ok("DELETE t/foo");
    assert_eq!(
        list(&mut imap, "\"\" t/*"),
        ["(\\Noselect \\HasChildren) \"/\" t/foo", "(\\HasNoChildren) \"/\" t/foo/bar"]
    );
    assert_eq!(list(&mut imap, "() \"\" t/foo"), ["(\\NonExistent \\Noselect) \"/\" t/foo"]);
    let reply = imap.ok("LIST \"\" t/foo RETURN (STATUS (MESSAGES))");
    assert_eq!(told(&reply, "STATUS").len(), 0);
    refused(&mut imap, "SELECT t/foo", "NONEXISTENT");
    refused(&mut imap, "STATUS t/foo (MESSAGES)", "NONEXISTENT");
    refused(&mut imap, "DELETE t/foo", "CANNOT");
    // Made again it is empty, and its UIDs are not taken for the old ones.
    imap.ok("CREATE t/foo");
    assert_ne!(imap.ok("STATUS t/foo (UIDVALIDITY)").untagged, before);
    assert_eq!(imap.ok("SELECT t/foo").exists(), Some(0));
    imap.ok("UNSELECT");
    imap.ok("DELETE t/foo");
    imap.ok("DELETE t/foo/bar");
    assert_eq!(list(&mut imap, "\"\" t/*"), [""; 0]);
}

/// RFC 3501 §6.3.5.
#[test]
fn rename_moves_what_is_below() {
    let mut server = Server::start("imap-rename");
    let mut imap = server.login();
    creates(&mut imap, &["t/foo/bar", "t/other", "INBOX/child"]);
    imap.append("t/foo/bar", &numbered("moves along", 1));
    refused(&mut imap, "RENAME t/nothing t/x", "NONEXISTENT");
    refused(&mut imap, "RENAME t/foo t/other", "ALREADYEXISTS");
    refused(&mut imap, "RENAME t/foo INBOX", "ALREADYEXISTS");
    for name in ["t/foo/bar/inside", "../x", "a//b", "\"a*\"", "\"\""] {
        refused(&mut imap, &format!("RENAME t/foo {name}"), "CANNOT");
    }
    // A session that has it selected goes on.
    let mut reader = server.select("t/foo/bar");
    imap.ok("RENAME t/foo t/new/zap");
    assert_eq!(reader.ok("FETCH 1 FLAGS").fetched().len(), 1);
    for _ in 0..2 {
        let names: Vec<String> = list(&mut imap, "() \"\" t/*")
            .iter()
            .map(|line| line.rsplit(' ').next().expect("a name").to_owned())
            .collect();
        assert_eq!(names, ["t/new", "t/new/zap", "t/new/zap/bar", "t/other"]);
        assert_eq!(imap.ok("SELECT t/new/zap/bar").exists(), Some(1));
        server.restart();
        imap = server.login();
    }
    // INBOX gives its messages away and stays, and so does what is below it.
    imap.append("INBOX", &numbered("given away", 1));
    let mut reader = server.select("INBOX");
    imap.ok("RENAME INBOX t/old-mail");
    assert_eq!(imap.ok("SELECT t/old-mail").exists(), Some(1));
    assert_eq!(imap.ok("SELECT INBOX").exists(), Some(0));
    assert_eq!(told(&reader.ok("NOOP"), "1 EXPUNGE").len(), 1);
    assert_eq!(list(&mut imap, "() \"\" INBOX/*"), ["() \"/\" INBOX/child"]);
    refused(&mut imap, "RENAME INBOX t/old-mail", "ALREADYEXISTS");
}

/// RFC 2180 §3.3: a deleted mailbox ends the sessions that have it selected, where they need it; the one that deleted it goes
/// on without.
#[test]
fn a_selected_mailbox_is_deleted() {
    let server = Server::start("imap-delete-selected");
    let mut imap = server.login();
    let bye = |line: &[u8]| line.starts_with(b"* BYE The selected mailbox was deleted");
    for command in ["NOOP", "FETCH 1 FLAGS", "UID SEARCH ALL", "EXPUNGE", "IDLE"] {
        creates(&mut imap, &["t/goes"]);
        imap.append("t/goes", &numbered("goes", 1));
        let mut reader = server.select("t/goes");
        if command == "IDLE" {
            reader.idle();
        }
        imap.ok("DELETE t/goes");
        if command != "IDLE" {
            reader.start(command.as_bytes()).expect("the connection");
        }
        let begin = Instant::now();
        let mut lines = Vec::new();
        while let Ok(line) = reader.response() {
            lines.push(line);
        }
        assert!(
            lines.last().is_some_and(|line| bye(line)),
            "{command}: {:?}",
            lines.iter().map(|l| show(l)).collect::<Vec<_>>()
        );
        assert!(begin.elapsed() < Duration::from_secs(5), "{command}: {:?}", begin.elapsed());
    }
    // What has nothing to do with it, or leaves it, is answered.
    for command in ["SELECT INBOX", "CLOSE", "UNSELECT", "LIST \"\" *", "STATUS INBOX (MESSAGES)", "CAPABILITY"] {
        creates(&mut imap, &["t/goes"]);
        let mut reader = server.select("t/goes");
        imap.ok("DELETE t/goes");
        reader.ok(command);
        reader.ok("SELECT INBOX");
        reader.ok("NOOP");
    }
    creates(&mut imap, &["t/own"]);
    imap.ok("SELECT t/own");
    imap.ok("DELETE t/own");
    imap.answered("FETCH 1 FLAGS", "BAD Select a mailbox first");
    imap.ok("NOOP");
}

/// RFC 3501 §6.3.1: what SELECT must tell; one that fails, and one after another.
#[test]
fn select_and_examine() {
    let server = Server::start("imap-select");
    let mut imap = server.login();
    creates(&mut imap, &["t/a", "t/b"]);
    imap.append("t/a", &numbered("one", 1));
    let examined = imap.answered("EXAMINE t/a", "OK [READ-ONLY]");
    let lines: Vec<String> = examined.untagged.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    for (must, count) in [
        ("FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)", 1),
        ("1 EXISTS", 1),
        ("1 RECENT", 1),
        ("OK [UNSEEN 1] ", 1),
        ("OK [PERMANENTFLAGS ()] ", 1),
        ("OK [UIDNEXT 2] ", 1),
        ("OK [UIDVALIDITY ", 1),
    ] {
        assert_eq!(lines.iter().filter(|line| line.starts_with(must)).count(), count, "{must}: {lines:?}");
    }
    // EXAMINE took no \Recent; SELECT does.
    let selected = imap.answered("SELECT t/a", "OK [READ-WRITE]");
    assert_eq!(told(&selected, "1 RECENT").len(), 1, "{selected:?}");
    assert_eq!(told(&selected, "OK [CLOSED]").len(), 0, "{selected:?}");
    let kept = "OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] ";
    assert_eq!(told(&selected, kept).len(), 1, "{selected:?}");
    assert_eq!(told(&imap.ok("SELECT t/a"), "0 RECENT").len(), 1);
    imap.ok("STORE 1 +FLAGS ($Forwarded \\Seen)");
    let selected = imap.ok("SELECT t/a");
    assert_eq!(told(&selected, "OK [UNSEEN").len(), 0, "{selected:?}");
    assert_eq!(
        told(&selected, "FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded)").len(),
        1,
        "{selected:?}"
    );
    // RFC 3501 §7.1: no \* where no more keywords fit.
    let keywords: Vec<String> = (0..63).map(|number| format!("k{number}")).collect();
    imap.ok(&format!("STORE 1 +FLAGS ({})", keywords.join(" ")));
    let selected = imap.ok("SELECT t/a");
    let kept = told(&selected, "OK [PERMANENTFLAGS (");
    assert!(kept.len() == 1 && kept[0].contains(" k62)]") && !kept[0].contains("\\*"), "{kept:?}");
    // A SELECT that fails leaves none selected.
    refused(&mut imap, "SELECT t/nothing", "NONEXISTENT");
    imap.answered("FETCH 1 FLAGS", "BAD Select a mailbox first");
    // News of the first mailbox are not told in the second.
    imap.ok("SELECT t/a");
    imap.append("t/a", &numbered("two", 1));
    assert_eq!(imap.ok("SELECT t/b").exists(), Some(0));
    assert_eq!(imap.ok("NOOP").untagged.len(), 0);
}

/// R-IMAP-10: news come with any command that allows them, before its tagged response.
#[test]
fn news_come_with_commands_about_other_mailboxes() {
    let server = Server::start("imap-news");
    let mut writer = server.login();
    creates(&mut writer, &["t/a"]);
    let mut reader = server.select("t/a");
    let mut exists = 0;
    for command in [
        "LIST \"\" *",
        "LSUB \"\" *",
        "STATUS INBOX (MESSAGES)",
        "CREATE t/new",
        "NAMESPACE",
        "ID NIL",
        "ENABLE X",
        "CREATE t/a",
    ] {
        writer.append("t/a", &numbered("news", 1));
        exists += 1;
        assert_eq!(reader.command(command).exists(), Some(exists), "{command}");
    }
}

/// Attack 31: a large tree, and patterns made to go back and forth; others are served meanwhile.
#[test]
fn attack_31_large_tree() {
    let mut server = Server::start_with("imap-large-tree", &["--cpus", "0"]);
    let mut imap = server.login();
    // 64 levels and so 63 mailboxes a command, which share one commit.
    for number in 0..1_500 {
        imap.ok(&format!("CREATE t/{number}{}", "/a".repeat(62)));
    }
    let bystander = Bystander::begin(&server);
    let several = vec!["\"*%a*%a*%b\""; 16].join(" ");
    for (pattern, answers) in [
        ("\"*%*%*%*%*%*\"", None),
        (&format!("\"{}b\"", "*%a".repeat(300)), Some(0)),
        (&format!("\"*a%{}b\"", "a".repeat(500)), Some(0)),
        (&format!("\"{}\"", "*%".repeat(20_000)), None),
        (&format!("\"{}\"", "a".repeat(60_000)), Some(0)),
        (&format!("({several})"), Some(0)),
    ] {
        let begin = Instant::now();
        let lines = list(&mut imap, &format!("\"\" {pattern}"));
        println!("{:.30}…: {} answers in {:?}", pattern, lines.len(), begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(8), "{pattern:.30}: {:?}", begin.elapsed());
        assert!(answers.is_none_or(|answers| lines.len() == answers), "{pattern:.30}: {}", lines.len());
        assert!(answers.is_some() || lines.len() > 94_500, "{pattern:.30}: {}", lines.len());
    }
    bystander.assert_served(Duration::from_secs(2));
    server.assert_alive();
}
