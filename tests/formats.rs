//! The data folder as a reader sees it that was written from FORMAT.md and not from the server (tests/formats/reader.py).
//!
//! What it reads must be what IMAP said: after a kill, with all of it in the log; after a clean stop, sealed; after changes on
//! top of that and another kill. What the server seals must be what the reader makes of the same log by the rules of
//! application, MODSEQs and expunged UIDs included. A flipped bit is found, in whichever file it is.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value as Json;
use support::message::numbered;
use support::server::Scratch;
use support::structure::{Value, parse};
use support::{Binary, Dice, Imap, Server, Smtp, USER};

/// The second account that a new data folder has. Of two shards it lives on the other one.
const OTHER: &str = "b@localhost";
/// How long the reader may take over one folder.
const READ_TIME_MAX: Duration = Duration::from_secs(60);
/// A message of the corpora is taken up to this size; longer ones are made.
const CORPUS_BYTES_MAX: usize = 64 << 10;
/// As many messages of a corpus.
const CORPUS_MESSAGES: usize = 180;

/// What is to be seen of one message.
#[derive(Debug, PartialEq)]
struct Seen {
    flags: BTreeSet<String>,
    internal_date: String,
    size: u64,
    envelope: Value,
    bodystructure: Value,
    sha256: String,
}

/// What is to be seen of one mailbox.
#[derive(Debug, PartialEq)]
struct Box {
    uid_validity: u64,
    uid_next: u64,
    messages: BTreeMap<u64, Seen>,
}

/// What is to be seen of one account.
#[derive(Debug, PartialEq)]
struct Account {
    boxes: BTreeMap<String, Box>,
    subscribed: BTreeSet<String>,
    special_use: BTreeMap<String, String>,
}

fn sha256(octets: &[u8]) -> String {
    digest(&SHA256, octets).as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A LIST or LSUB answer's attributes and name.
fn listed(answer: &[u8]) -> (Vec<String>, String) {
    let text = String::from_utf8(answer.to_vec()).expect("names of these tests are ASCII on the wire");
    let (attributes, rest) = text.strip_prefix('(').and_then(|text| text.split_once(')')).expect("attributes");
    let name = rest.strip_prefix(" \"/\" ").expect("a delimiter").trim_matches('"');
    // The one name of these tests that modified UTF-7 (RFC 3501 §5.1.3) writes in another way.
    (attributes.split_whitespace().map(str::to_owned).collect(), name.replace("&APw-", "ü"))
}

/// All that IMAP says of an account. Nothing is changed by asking.
fn told(server: &Server, user: &str) -> Account {
    let mut imap = server.imap();
    imap.login(user, &server.password_of(user));
    let mut account = Account { boxes: BTreeMap::new(), subscribed: BTreeSet::new(), special_use: BTreeMap::new() };
    account.subscribed = imap.ok("LSUB \"\" \"*\"").starting("LSUB ").map(|answer| listed(answer).1).collect();
    let reply = imap.ok("LIST (SPECIAL-USE) \"\" \"*\"");
    for (attributes, name) in reply.starting("LIST ").map(listed) {
        let uses = ["\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"];
        let found = attributes.into_iter().filter(|attribute| uses.contains(&attribute.as_str()));
        account.special_use.extend(found.map(|attribute| (name.clone(), attribute)));
    }
    let reply = imap.ok("LIST \"\" \"*\"");
    for (attributes, name) in reply.starting("LIST ").map(listed) {
        if !attributes.iter().any(|attribute| attribute == "\\Noselect") {
            let shown = examined(&mut imap, &name);
            account.boxes.insert(name, shown);
        }
    }
    account
}

fn examined(imap: &mut Imap, name: &str) -> Box {
    let reply = imap.ok(&format!("EXAMINE \"{}\"", name.replace('ü', "&APw-")));
    let number = |code: &str| reply.code(code).unwrap_or_else(|| panic!("no {code} of {name}"));
    let (uid_validity, uid_next) = (number("UIDVALIDITY"), number("UIDNEXT"));
    let mut messages = BTreeMap::new();
    if reply.exists() != Some(0) {
        let items = "(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])";
        for fetched in imap.ok(&format!("UID FETCH 1:* {items}")).fetched() {
            let seen = Seen {
                flags: fetched.flags().into_iter().filter(|flag| flag != "\\Recent").collect(),
                internal_date: String::from_utf8(fetched.octets("INTERNALDATE").to_vec()).expect("a date"),
                size: fetched.count("RFC822.SIZE"),
                envelope: fetched.value("ENVELOPE").expect("an ENVELOPE").clone(),
                bodystructure: fetched.value("BODYSTRUCTURE").expect("a BODYSTRUCTURE").clone(),
                sha256: sha256(fetched.octets("BODY[]")),
            };
            messages.insert(fetched.count("UID"), seen);
        }
    }
    assert_eq!(Some(messages.len() as u32), reply.exists(), "{name}");
    Box { uid_validity, uid_next, messages }
}

/// Runs the reader; its exit code, its document, and what it found wrong.
fn read(data: &Path) -> (Option<i32>, Json, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/reader.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg(data);
    let (output, _) = Binary::run(command, b"", READ_TIME_MAX);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code(), document, said)
}

/// The same where nothing may be wrong.
fn read_whole(data: &Path) -> Json {
    let (code, document, said) = read(data);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    document
}

fn texts(list: &Json) -> impl Iterator<Item = String> + '_ {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned())
}

/// Octets that the reader prints a character each, as the value that they are on the wire.
fn on_the_wire(text: &Json) -> Value {
    let octets: Vec<u8> = text.as_str().expect("a text").chars().map(|octet| octet as u8).collect();
    parse(&octets).expect("a value")
}

fn mailboxes<'a>(document: &'a Json, user: &str) -> (&'a Json, &'a Vec<Json>) {
    let accounts = document["accounts"].as_array().expect("accounts");
    let account = accounts.iter().find(|account| account["name"] == user).expect("the account");
    (account, account["mailboxes"].as_array().expect("mailboxes"))
}

/// What the reader says of an account, as IMAP would.
fn account_of(document: &Json, user: &str) -> Account {
    let (account, found) = mailboxes(document, user);
    let mut boxes = BTreeMap::new();
    let mut subscribed: BTreeSet<String> = texts(&account["subscribed_names"]).collect();
    let mut special_use = BTreeMap::new();
    for found in found {
        let name = found["name"].as_str().expect("a name").to_owned();
        if found["subscribed"] == true {
            subscribed.insert(name.clone());
        }
        if let Some(flag) = found["special_use"].as_str() {
            special_use.insert(name.clone(), flag.to_owned());
        }
        let number = |value: &Json| value.as_u64().expect("a number");
        let seen = |message: &Json| Seen {
            flags: texts(&message["flags"]).chain(texts(&message["keywords"])).collect(),
            internal_date: message["internal_date"].as_str().expect("a date").to_owned(),
            size: number(&message["size"]),
            envelope: on_the_wire(&message["envelope"]),
            bodystructure: on_the_wire(&message["bodystructure"]),
            sha256: message["sha256"].as_str().expect("a hash").to_owned(),
        };
        let messages = found["messages"].as_array().expect("messages").iter();
        let messages = messages.map(|message| (number(&message["uid"]), seen(message))).collect();
        let (uid_validity, uid_next) = (number(&found["uid_validity"]), number(&found["uid_next"]));
        boxes.insert(name, Box { uid_validity, uid_next, messages });
    }
    Account { boxes, subscribed, special_use }
}

/// Fails with the first thing that differs, and not with megabytes.
fn assert_same(read: &Account, told: &Account) {
    assert_eq!(read.boxes.keys().collect::<Vec<_>>(), told.boxes.keys().collect::<Vec<_>>());
    assert_eq!((&read.subscribed, &read.special_use), (&told.subscribed, &told.special_use));
    for ((name, read), told) in read.boxes.iter().zip(told.boxes.values()) {
        assert_eq!((read.uid_validity, read.uid_next), (told.uid_validity, told.uid_next), "{name}");
        let uids = |shown: &Box| shown.messages.keys().copied().collect::<Vec<_>>();
        assert_eq!(uids(read), uids(told), "{name}");
        for ((uid, read), told) in read.messages.iter().zip(told.messages.values()) {
            assert_eq!(read, told, "UID {uid} of {name}");
        }
    }
}

/// Asks both accounts' mail by IMAP, ends the server by `end`, and compares with what the reader says of its folder.
fn compare(server: &mut Server, end: impl Fn(&mut Server)) -> Json {
    let before = [USER, OTHER].map(|user| (user, told(server, user)));
    end(server);
    let document = read_whole(&server.data());
    for (user, told) in &before {
        assert_same(&account_of(&document, user), told);
    }
    document
}

/// What a checkpoint must not change: everything of the accounts.
fn assert_sealed_alike(log: &Json, sealed: &Json) {
    for user in [USER, OTHER] {
        let ((log, log_boxes), (sealed, sealed_boxes)) = (mailboxes(log, user), mailboxes(sealed, user));
        for (log, sealed) in log_boxes.iter().zip(sealed_boxes) {
            for field in log.as_object().expect("an object").keys() {
                assert_eq!(log[field], sealed[field], "{field} of {} of {user}", log["name"]);
            }
        }
        assert_eq!(log_boxes.len(), sealed_boxes.len(), "{user}");
        for field in ["id", "last_change", "subscribed_names"] {
            assert_eq!(log[field], sealed[field], "{field} of {user}");
        }
        assert_eq!(sealed["changes"], serde_json::json!({}), "{user}: nothing is left in the log");
    }
}

fn crlf(octets: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(octets).replace("\r\n", "\n").replace('\r', "\n");
    let ended = if text.ends_with('\n') { text } else { text + "\n" };
    ended.replace('\n', "\r\n").into_bytes()
}

fn messages_in(folder: &Path, messages: &mut Vec<Vec<u8>>) {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            messages_in(&path, messages);
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            let octets = crlf(&fs::read(&path).expect("a message"));
            if octets.len() <= CORPUS_BYTES_MAX && !octets.contains(&0) {
                messages.push(octets);
            }
        }
    }
}

/// Messages that are hard to take apart: those that tests/corpus/make.py makes, and those of the given corpus where there is
/// one, evenly.
fn corpus(scratch: &Scratch) -> Vec<Vec<u8>> {
    let folder = scratch.join("corpus");
    fs::create_dir(&folder).expect("a folder");
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/make.py")).arg(&folder);
    assert!(Binary::run(command, b"", READ_TIME_MAX).0.status.success(), "make.py");
    let mut messages = Vec::new();
    messages_in(&folder, &mut messages);
    if let Some(given) = std::env::var_os("RINGPOST_CORPUS") {
        messages_in(Path::new(&given), &mut messages);
    }
    let step = messages.len().div_ceil(CORPUS_MESSAGES);
    messages.into_iter().step_by(step).collect()
}

/// A message of about `bytes`, which is another one for another subject.
fn long(subject: &str, bytes: usize) -> Vec<u8> {
    numbered(subject, bytes / 60)
}

fn lmtp(server: &Server, recipients: &[&str], message: &[u8]) {
    let mut lmtp = Smtp::connect(server.port(24)).expect("an LMTP connection");
    lmtp.expect("LHLO client.example", "250");
    lmtp.expect("MAIL FROM:<sender@client.example>", "250");
    for recipient in recipients {
        lmtp.expect(&format!("RCPT TO:<{recipient}>"), "250");
    }
    lmtp.expect("DATA", "354");
    lmtp.wire.write(&support::smtp::stuffed(message)).expect("the connection");
    recipients.iter().for_each(|_| drop(lmtp.due("250")));
}

fn session(server: &Server, user: &str) -> Imap {
    let mut imap = server.imap();
    imap.login(user, &server.password_of(user));
    imap
}

/// Mail by every way that there is, and every kind of change.
fn fill(server: &Server) {
    let mut smtp = server.smtp();
    for number in 0..6 {
        smtp.deliver(if number % 2 == 0 { USER } else { OTHER }, &numbered(&format!("smtp-{number}"), number * 9));
    }
    smtp.deliver(USER, &long("body-file-by-smtp", 320_000));
    lmtp(server, &[USER, OTHER], &long("to-both", 100_000));
    lmtp(server, &[OTHER], &numbered("lmtp", 3));

    let mut imap = session(server, USER);
    for name in ["Later", "Work", "Work/2025", "Gone", "Alt", "Entw&APw-rfe/x", "Kept name"] {
        imap.ok(&format!("CREATE \"{name}\""));
    }
    for (number, message) in corpus(server.scratch()).iter().enumerate() {
        imap.append(["INBOX", "Work", "Work/2025"][number % 3], message);
    }
    imap.append("Work (\\Seen \\Draft $First) \"05-Feb-2020 23:10:00 +0530\"", &numbered("dated", 4));
    imap.append("Work (\\Flagged Second) \" 1-Mar-2021 00:10:00 -0330\"", &long("body-file-by-append", 400_000));
    imap.append("Gone", &numbered("goes-with-its-mailbox", 4));
    imap.ok("SELECT Work");
    imap.ok("UID STORE 1:9 +FLAGS (\\Seen $First)");
    imap.ok("UID STORE 2:5,8 +FLAGS.SILENT (\\Deleted Third)");
    imap.ok("UID STORE 4 -FLAGS (\\Deleted)");
    imap.ok("UID STORE 6:7 FLAGS (\\Answered Fourth)");
    imap.ok("UID COPY 3:12 INBOX");
    imap.ok("UID MOVE 10:14,16 Alt");
    imap.ok("UID EXPUNGE 2:3");
    imap.ok("EXPUNGE");
    imap.ok("UID COPY * Alt");
    imap.ok("UID COPY * Work");
    imap.ok("UNSELECT");
    for name in ["Gone", "Alt", "Work", "Entw&APw-rfe/x"] {
        imap.ok(&format!("SUBSCRIBE \"{name}\""));
    }
    imap.ok("UNSUBSCRIBE Alt");
    imap.ok("SUBSCRIBE \"Kept name\"");
    imap.ok("DELETE \"Kept name\"");
    imap.ok("DELETE Gone");
    imap.ok("RENAME Work Arbeit");

    let mut maildrop = server.pop3();
    maildrop.login(OTHER, &server.password_of(OTHER));
    maildrop.ok("DELE 3");
    maildrop.ok("QUIT");
    let mut imap = session(server, OTHER);
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1:2 +FLAGS (\\Deleted Only)");
    imap.ok("CLOSE");
    imap.ok("RENAME INBOX Old/Inbox");
    imap.append("INBOX", &numbered("new-inbox", 1));
}

/// Changes of what is sealed already.
fn change(server: &Server, round: usize) {
    lmtp(server, &[USER, OTHER], &long(&format!("again-to-both-{round}"), 90_000));
    server.smtp().deliver(OTHER, &numbered(&format!("late-{round}"), 12));
    let mut imap = session(server, USER);
    imap.ok("SELECT Arbeit");
    imap.ok(&format!("UID STORE 15:20 +FLAGS (\\Flagged Round{round})"));
    imap.ok("UID STORE 15:20 +FLAGS (\\Flagged)");
    imap.ok("UID STORE 17 -FLAGS ($First \\Seen)");
    imap.ok("COPY 1:3 INBOX");
    imap.ok("MOVE 4:5 Arbeit/2025");
    imap.ok("STORE 2,6 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    imap.ok("SELECT Alt");
    imap.ok("COPY * \"Entw&APw-rfe/x\"");
    imap.ok("MOVE * Later");
    imap.ok("UNSELECT");
    imap.append("Later", &long(&format!("another-body-{round}"), 300_000));
    for name in ["b", "c"] {
        imap.ok(&format!("CREATE Tree{round}/a/{name}"));
        imap.ok(&format!("SUBSCRIBE Tree{round}/a/{name}"));
        imap.ok(&format!("DELETE Tree{round}/a/{name}"));
    }
    // One of the names gets a mailbox again, and with it the subscription; the other goes along without.
    imap.ok(&format!("CREATE Spare{round}"));
    imap.ok(&format!("RENAME Spare{round} Tree{round}/a/b"));
    imap.ok(&format!("RENAME Tree{round}/a Wood{round}"));
    // It is subscribed again, as its name still is.
    imap.command("CREATE \"Kept name\"");
    imap.ok("RENAME \"Kept name\" Named");
    imap.ok(&format!("RENAME Named Named{round}"));
}

/// The shard of two that an account lives on. FORMAT.md, "Accounts".
fn shard_of(account: u64) -> u64 {
    let z = account.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ z >> 31) % 1024 * 2 / 1024
}

/// A server of two shards, each with one of the accounts. Their numbers are drawn at the first start.
fn two_shards(name: &str) -> Server {
    for _ in 0..40 {
        let server = Server::start_configured(name, "[shards]\ncpus = \"0,1\"\n");
        let directory = fs::read_to_string(server.data().join("directory")).expect("the directory");
        let ids = directory.split("\"id\":\"").skip(1).map(|rest| u64::from_str_radix(&rest[..16], 16).expect("an id"));
        let shards: Vec<u64> = ids.map(shard_of).collect();
        assert_eq!(shards.len(), 2, "the accounts of the first start: {directory}");
        if shards[0] != shards[1] {
            return server;
        }
    }
    panic!("both accounts on one shard, time and again");
}

/// The kinds of changes that were in a log, both accounts' together.
fn kinds(document: &Json) -> BTreeSet<String> {
    let changes = [USER, OTHER].map(|user| mailboxes(document, user).0["changes"].as_object().expect("an object"));
    changes.iter().flat_map(|changes| changes.keys().cloned()).collect()
}

/// How many streams have a log.
fn streams(server: &Server) -> usize {
    let names = fs::read_dir(server.data().join("log")).expect("the logs").map(|entry| entry.expect("an entry"));
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.split('-').nth(1).map(str::to_owned)).collect::<BTreeSet<_>>().len()
}

/// All in the log, all sealed, some of each: the reader says what IMAP said, and the server seals what the reader said.
#[test]
fn a_reader_written_from_the_format_sees_what_imap_says() {
    let mut server = two_shards("formats");
    fill(&server);
    let logged = compare(&mut server, Server::kill);
    assert_eq!(streams(&server), 2);
    // FORMAT.md, "Changes": all that there are. A mailbox is created subscribed where a new account gets its first ones.
    let all = (1..=13).chain([16]).map(|kind: u8| kind.to_string()).collect();
    assert_eq!(kinds(&logged), all);
    server.run();
    let sealed = compare(&mut server, Server::stop);
    assert_sealed_alike(&logged, &sealed);
    for round in 0..3 {
        server.run();
        change(&server, round);
        let logged = compare(&mut server, Server::kill);
        server.run();
        let sealed = compare(&mut server, Server::stop);
        assert_sealed_alike(&logged, &sealed);
    }
}

/// Logs of two streams, read by a server that has one: the accounts stay what they were, also with changes on top.
#[test]
fn the_number_of_shards_may_change() {
    let mut server = two_shards("formats-shards");
    fill(&server);
    let two = compare(&mut server, Server::kill);
    let file = server.scratch().join("ringpost.toml");
    let text = fs::read_to_string(&file).expect("the configuration");
    assert!(text.contains("cpus = \"0,1\""), "{text}");
    fs::write(&file, text.replace("cpus = \"0,1\"", "cpus = \"0\"")).expect("a scratch file");
    server.run();
    let one = compare(&mut server, Server::kill);
    assert_sealed_alike(&two, &one);
    server.run();
    change(&server, 0);
    compare(&mut server, Server::kill);
    server.run();
    compare(&mut server, Server::stop);
    assert_eq!(streams(&server), 1);
}

/// All files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Flips a bit of `path`, has the reader name the file, and flips it back.
fn assert_found(data: &Path, path: &Path, offset: usize, bit: u8) {
    let whole = fs::read(path).expect("a file");
    let mut flipped = whole.clone();
    flipped[offset] ^= 1 << bit;
    fs::write(path, flipped).expect("a file");
    let (code, _, said) = read(data);
    fs::write(path, whole).expect("a file");
    let named = format!("{}: offset ", path.display());
    assert!(code == Some(1) && said.contains(&named), "bit {bit} at {offset} of {}: {code:?} {said}", path.display());
}

/// A bit is flipped in the directory, EPOCH, a log, a manifest, an account's file and a body file.
#[test]
fn a_flipped_bit_is_found_in_every_kind_of_file() {
    let mut server = Server::start("formats-bits");
    let mut imap = server.login();
    imap.append("INBOX", &long("a-body", 300_000));
    for number in 0..3 {
        imap.append("INBOX", &long(&format!("sealed-{number}"), 70_000));
    }
    server.restart();
    for number in 0..5 {
        server.login().append("INBOX", &numbered(&format!("logged-{number}"), 20));
    }
    server.kill();
    let data = server.data();
    let document = read_whole(&data);
    let mut dice = Dice::new(7);
    let mut kinds = BTreeSet::new();
    for path in files(&data.join("accounts")).into_iter().chain([data.join("log/EPOCH")]) {
        let bytes = fs::read(&path).expect("a file");
        kinds.insert(
            bytes[..8].iter().chain(bytes.get(10).filter(|_| bytes.starts_with(b"RPS"))).copied().collect::<Vec<_>>(),
        );
        let places = [0, 9, 12, 30, bytes.len() / 2, bytes.len().saturating_sub(30), bytes.len() - 1];
        let more = [(); 3].map(|()| dice.below(bytes.len() as u64) as usize);
        for place in places.into_iter().chain(more) {
            assert_found(&data, &path, place.min(bytes.len() - 1), dice.below(8) as u8);
        }
    }
    assert_eq!(kinds.len(), 4, "EPOCH, manifest, account file, body file: {kinds:?}");
    let directory = fs::read(data.join("directory")).expect("the directory");
    // A damaged last line would be a torn one.
    let last = directory[..directory.len() - 1].iter().rposition(|&octet| octet == b'\n').expect("two lines");
    for place in [0, 9, 20, last / 2, last] {
        assert_found(&data, &data.join("directory"), place, 1);
    }
    let logs = files(&data.join("log")).into_iter().filter(|path| !path.ends_with("EPOCH"));
    // Of the epoch that was killed, and with records: one follows every place that is tried.
    let used = logs.filter(|path| fs::read(path).expect("a log")[512..520] != [0; 8]).collect::<Vec<_>>();
    assert_eq!(used.len(), 1, "{used:?}");
    for place in [3, 9, 40, 512, 516, 521, 530, 541, 560, 570, 700] {
        assert_found(&data, &used[0], place, 3);
    }
    assert_eq!(read_whole(&data), document, "it is whole again");
}

/// The kept folder of format 1, copied to where it may be changed.
fn kept(name: &str) -> (Scratch, PathBuf) {
    let scratch = Scratch::new(name);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/1");
    for path in files(&root) {
        let copy = scratch.join("data").join(path.strip_prefix(&root).expect("below it"));
        fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder");
        fs::copy(&path, copy).expect("a copy");
    }
    let data = scratch.join("data");
    (scratch, data)
}

fn kept_messages(document: &Json) -> Vec<(u64, String, u64)> {
    let inbox = &document["accounts"][0]["mailboxes"][0];
    let messages = inbox["messages"].as_array().expect("messages").iter();
    let number = |value: &Json| value.as_u64().expect("a number");
    messages
        .map(|one| (number(&one["uid"]), one["subject"].as_str().expect("one").to_owned(), number(&one["size"])))
        .collect()
}

/// What the server's own test of the folder that the first version wrote expects of it.
#[test]
fn a_folder_of_format_1_is_read() {
    let document = read_whole(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/1"));
    let account = &document["accounts"][0];
    let inbox = &account["mailboxes"][0];
    assert_eq!((&account["id"], &inbox["name"], &inbox["uid_next"]), (&7.into(), &"INBOX".into(), &6.into()));
    assert_eq!(inbox["keywords"], serde_json::json!(["$Work"]));
    let expected = [(2, "number 1", 303), (3, "number 2", 303), (4, "number 3", 272_303), (5, "number 4", 303)];
    assert_eq!(kept_messages(&document), expected.map(|(uid, subject, size)| (uid, subject.to_owned(), size)));
    let marked = &inbox["messages"][0];
    assert_eq!((&marked["flags"], &marked["keywords"]), (&serde_json::json!(["\\Seen"]), &inbox["keywords"]));
    for message in inbox["messages"].as_array().expect("messages") {
        assert_eq!(message["sha256"], message["content_hash"]);
    }
}

/// A torn end counts for nothing, what a recycled file had before neither, and what is missing before more of it is damage.
#[test]
fn torn_recycled_and_damaged_logs_are_told_apart() {
    let (_scratch, data) = kept("formats-torn");
    let first = data.join("log/0000000000000001-0000-00000001");
    let whole = fs::read(&first).expect("a log");
    let all = kept_messages(&read_whole(&data));
    // The same file under the next number: its records are of another incarnation.
    fs::write(data.join("log/0000000000000001-0000-00000002"), &whole).expect("a log");
    assert_eq!(kept_messages(&read_whole(&data)), all);
    let mut torn = whole.clone();
    torn[whole.len() - 40] ^= 1;
    for torn in [&torn[..], &whole[..whole.len() - 9]] {
        fs::write(&first, torn).expect("a log");
        assert_eq!(kept_messages(&read_whole(&data)), all[..3], "the last one was torn");
    }
    let mut damaged = whole.clone();
    damaged[600] ^= 1;
    fs::write(&first, damaged).expect("a log");
    let (code, _, said) = read(&data);
    assert!(code == Some(1) && said.contains(&format!("{}: offset 584: ", first.display())), "{code:?} {said}");
}

/// A running server's folder changes under the reader: it reads none.
#[test]
fn a_folder_in_use_is_refused() {
    let server = Server::start("formats-lock");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/reader.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg(server.data());
    let (output, _) = Binary::run(command, b"", READ_TIME_MAX);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("LOCK: a server runs"), "{said}");
}
