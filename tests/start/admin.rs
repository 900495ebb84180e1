//! What an administrator sees of a running server of two shards: `who`, `kick`, `stat`, `/metrics`, `/health`, the log.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::message::numbered;
use crate::support::{Binary, Imap, PATIENCE, Server, Smtp, USER, Wire, eventually, show};

/// How long a tool may take.
const RUN_TIME_MAX: Duration = Duration::from_secs(10);
/// How soon a kicked client must know.
const KICK_TIME_MAX: Duration = Duration::from_secs(2);

/// `ringpost ARGUMENTS --data …`: its exit code, and what it said.
fn tool(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let data = server.data().display().to_string();
    let all = [arguments, &["--data", &data]].concat();
    let (output, _) = Binary::run(Binary::command(&all), b"", RUN_TIME_MAX);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("UTF-8"))
}

fn said(server: &Server, arguments: &[&str]) -> String {
    let (code, said) = tool(server, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {said}");
    said
}

/// The members of the JSON objects that stand in `line` side by side, values as they are written. Enough for flat objects.
fn members(line: &str) -> HashMap<String, String> {
    let inner = line.trim().strip_prefix('{').and_then(|line| line.strip_suffix('}')).expect("an object");
    let mut members = HashMap::new();
    let (mut quoted, mut from) = (false, 0);
    let ends = inner.char_indices().filter(|(_, letter)| {
        quoted ^= *letter == '"';
        *letter == ',' && !quoted
    });
    let ends: Vec<usize> = ends.map(|(at, _)| at).chain([inner.len()]).collect();
    for end in ends {
        let (name, value) = inner[from..end].split_once(':').expect("a member");
        members.insert(name.trim_matches('"').to_owned(), value.trim_matches('"').to_owned());
        from = end + 1;
    }
    members
}

fn who(server: &Server, arguments: &[&str]) -> Vec<HashMap<String, String>> {
    said(server, &[&["who", "--json"], arguments].concat()).lines().map(members).collect()
}

/// An HTTP request to the listener of figures: status line, head, body.
fn http(server: &Server, request: &str) -> (String, String, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port(8025))).expect("the listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(request.as_bytes()).expect("the connection");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("an empty line");
    let (status, rest) = head.split_once("\r\n").expect("a head");
    (status.to_owned(), rest.to_owned(), body.to_owned())
}

fn get(server: &Server, path: &str) -> (String, String) {
    let (status, _, body) = http(server, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    (status, body)
}

/// Figures by name and labels, read as strictly as Prometheus' text format 0.0.4 is written.
#[derive(Debug)]
struct Figures(BTreeMap<String, f64>);

impl Figures {
    fn of(server: &Server) -> Figures {
        let (status, body) = get(server, "/metrics");
        assert_eq!(status, "HTTP/1.1 200 OK");
        Figures::read(&body)
    }

    fn read(text: &str) -> Figures {
        assert!(text.ends_with('\n') && !text.contains('\r'), "lines end with LF");
        let word = |name: &str| {
            name.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'_' || octet.is_ascii_digit())
        };
        let (mut kinds, mut samples, mut done) = (HashMap::new(), BTreeMap::new(), HashSet::new());
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help text");
                assert!(word(name) && !help.is_empty(), "{line}");
                assert!(done.insert(name.to_owned()), "told twice: {line}");
                current = name.to_owned();
                continue;
            }
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert!(name == current && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                kinds.insert(name.to_owned(), kind.to_owned());
                continue;
            }
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series
                .split_once('{')
                .map_or((series, ""), |(name, rest)| (name, rest.strip_suffix('}').expect("a closing brace")));
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (key, value) = label.split_once("=\"").expect("a label");
                assert!(word(key) && value.ends_with('"') && !value[..value.len() - 1].contains(['"', '\\']), "{line}");
            }
            let kind = kinds.get(&current).map_or("none", String::as_str);
            let suffix = name.strip_prefix(current.as_str()).unwrap_or_else(|| panic!("{line} stands under {current}"));
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(word(name) && suffixes.contains(&suffix), "{line} of {kind} {current}");
            let value: f64 = value.parse().expect("a number");
            assert!(value >= 0.0, "{line}");
            assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
        }
        let figures = Figures(samples);
        for name in kinds.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name) {
            figures.check_histogram(name, text);
        }
        figures
    }

    /// Buckets grow, and the last one is the count.
    fn check_histogram(&self, name: &str, text: &str) {
        let mut last: HashMap<String, (f64, f64)> = HashMap::new();
        for line in text.lines().filter_map(|line| line.strip_prefix(&format!("{name}_bucket{{"))) {
            let (labels, count) = line.rsplit_once("} ").expect("labels");
            let (labels, end) = labels.rsplit_once("le=\"").expect("an end");
            let end = end.trim_end_matches('"');
            let end = if end == "+Inf" { f64::INFINITY } else { end.parse().expect("a number") };
            let count: f64 = count.parse().expect("a number");
            let (ended, counted) = last.insert(labels.to_owned(), (end, count)).unwrap_or((0.0, 0.0));
            assert!(end > ended && count >= counted, "{name}{{{line}");
        }
        for (labels, (end, count)) in last {
            let labels = labels.trim_end_matches(',');
            let series = if labels.is_empty() { format!("{name}_count") } else { format!("{name}_count{{{labels}}}") };
            assert!(end.is_infinite() && self.value(&series) == count, "{series}");
        }
    }

    fn value(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series}"))
    }

    /// All series of that name together.
    fn sum(&self, name: &str) -> f64 {
        self.0.iter().filter(|(series, _)| series.split('{').next() == Some(name)).map(|(_, value)| value).sum()
    }
}

fn ended_with(wire: &mut Wire, words: &str) {
    let begin = Instant::now();
    let text = wire.rest().unwrap_or_else(|error| panic!("{words} was due: {error}"));
    assert!(String::from_utf8_lossy(&text).ends_with(&format!("{words}\r\n")), "{words}: {}", show(&text));
    assert!(begin.elapsed() < KICK_TIME_MAX, "told after {:?}", begin.elapsed());
}

const BYE: &str = "* BYE [UNAVAILABLE] Disconnected by the administrator";
const GOODBYE: &str = "421 4.3.2 Disconnected by the administrator";

fn idle(server: &Server) -> Imap {
    let mut imap = server.select("INBOX");
    imap.start(b"IDLE").expect("the connection");
    assert!(imap.response().expect("a continuation request").starts_with(b"+"));
    imap
}

fn amid_data(server: &Server) -> Smtp {
    let mut smtp = server.smtp();
    smtp.expect("MAIL FROM:<sender@client.example>", "250");
    smtp.expect(&format!("RCPT TO:<{USER}>"), "250");
    smtp.expect("DATA", "354");
    smtp.wire.write(b"Subject: half\r\n").expect("the connection");
    smtp
}

#[test]
fn who_is_there() {
    let server = Server::start_with("who", &["--cpus", "0,1"]);
    assert!(who(&server, &[]).is_empty());
    assert_eq!(said(&server, &["who"]).lines().count(), 1, "the head alone");
    let _stranger = server.imap();
    let _idle = idle(&server);
    let _tls = Imap::connect_tls(server.port(993)).expect("a TLS connection");
    let mut other = server.imap();
    other.login("b@localhost", &server.password_of("b@localhost"));
    let _data = amid_data(&server);
    let sessions = eventually("five sessions", PATIENCE, || {
        let sessions = who(&server, &[]);
        let settled = sessions.len() == 5 && sessions.iter().any(|session| session["state"] == "DATA");
        settled.then_some(sessions)
    });
    let ids: HashSet<&str> = sessions.iter().map(|session| session["id"].as_str()).collect();
    assert_eq!(ids.len(), 5, "{sessions:?}");
    let of = |key: &str, value: &str| sessions.iter().filter(|session| session[key] == value).collect::<Vec<_>>();
    assert_eq!((of("protocol", "imap").len(), of("protocol", "smtp").len(), of("tls", "true").len()), (4, 1, 1));
    let waiting = of("user", USER);
    assert_eq!((waiting[0]["state"].as_str(), waiting[0]["mailbox"].as_str()), ("IDLE", "INBOX"), "{waiting:?}");
    assert_eq!(of("user", "b@localhost")[0]["state"], "idle");
    assert_eq!(of("user", "null").len(), 3);
    assert!(sessions.iter().all(|session| session["address"] == "127.0.0.1" && session["sent"] != "0"));
    assert_eq!(who(&server, &["--user", "A@localhost"]).len(), 1);
    assert_eq!(who(&server, &["--address", "127.0.0.0/8"]).len(), 5);
    assert!(who(&server, &["--address", "192.0.2.1"]).is_empty());
    let table = said(&server, &["who"]);
    assert_eq!(table.lines().count(), 6, "{table}");
    assert!(table.starts_with("ID ") && table.contains("IDLE") && table.contains("INBOX"), "{table}");
    let (code, wrong) = tool(&server, &["who", "--address", "here"]);
    assert!(code == Some(1) && wrong.contains("expected an address or a network"), "{wrong}");
}

/// What comes while a session moves to the shard of its user is counted as well.
#[test]
fn octets_are_counted_through_a_move() {
    let server = Server::start_with("octets", &["--cpus", "0,1"]);
    let login = format!("LOGIN {USER} {}", server.password());
    let mut clients: Vec<Imap> = (0..6).map(|_| server.imap()).collect();
    let logins: Vec<String> =
        clients.iter_mut().map(|client| client.start(login.as_bytes()).expect("the connection")).collect();
    // By then the password is being hashed, and nobody reads this before the move.
    std::thread::sleep(Duration::from_millis(5));
    let noops: Vec<String> = clients.iter_mut().map(|client| client.start(b"NOOP").expect("the connection")).collect();
    for (client, tag) in clients.iter_mut().zip(logins) {
        assert_eq!(client.finish(&tag).expect("a reply").status, "OK");
    }
    for (client, tag) in clients.iter_mut().zip(noops) {
        assert_eq!(client.finish(&tag).expect("a reply").status, "OK");
    }
    let due = (login.len() + "NOOP".len() + 2 * "t1 \r\n".len()).to_string();
    let received: Vec<String> = who(&server, &["--user", USER]).iter().map(|one| one["received"].clone()).collect();
    assert_eq!(received, vec![due; clients.len()]);
}

/// Who is turned away takes nobody's place, however long the client holds on to its end.
#[test]
fn places_are_those_of_sessions() {
    let server = Server::start_configured("places", "[imap]\nmax_sessions = 2\n");
    let greeting = |wire: &mut Wire| String::from_utf8(wire.line().expect("a greeting")).expect("UTF-8");
    let connect = || Wire::connect(server.port(143)).expect("a connection");
    let (mut stays, mut goes) = (connect(), connect());
    assert!(greeting(&mut stays).starts_with("* OK") && greeting(&mut goes).starts_with("* OK"));
    let mut refused: Vec<Wire> = (0..10).map(|_| connect()).collect();
    refused.iter_mut().for_each(|wire| assert!(greeting(wire).starts_with("* BYE [UNAVAILABLE] Too many")));
    drop(goes);
    // The refused ones linger for two seconds.
    eventually("a place", Duration::from_secs(1), || greeting(&mut connect()).starts_with("* OK").then_some(()));
    stays.write(b"a NOOP\r\n").expect("the connection");
    assert_eq!(greeting(&mut stays), "a OK NOOP completed");
}

/// More sessions than one answer holds, on both shards.
#[test]
fn who_pages_through() {
    let server = Server::start_with("who-many", &["--cpus", "0,1"]);
    let clients: Vec<TcpStream> =
        (0..1300).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, server.port(25))).expect("a connection")).collect();
    eventually("all sessions", PATIENCE, || (who(&server, &[]).len() == clients.len()).then_some(()));
    assert_eq!(said(&server, &["kick", "--address", "127.0.0.1"]), format!("kicked {} sessions\n", clients.len()));
    drop(clients);
    eventually("an empty list", PATIENCE, || who(&server, &[]).is_empty().then_some(()));
}

/// Wherever a session is, it is told and ends; others go on.
#[test]
fn kicked_in_every_state() {
    let mut server = Server::start_with("kick", &["--cpus", "0,1"]);
    let mut stays = server.imap();
    stays.login("b@localhost", &server.password_of("b@localhost"));
    let mut imap = vec![idle(&server), server.login(), server.select("INBOX")];
    // In the middle of a command line, and of a message.
    let mut half = server.login();
    half.wire.write(b"a NO").expect("the connection");
    imap.push(half);
    let mut half = server.login();
    half.wire.write(b"a APPEND INBOX {100+}\r\nSubject").expect("the connection");
    imap.push(half);
    eventually("five sessions", PATIENCE, || (who(&server, &["--user", USER]).len() == 5).then_some(()));
    assert_eq!(said(&server, &["kick", "--user", USER]), "kicked 5 sessions\n");
    imap.iter_mut().for_each(|client| ended_with(&mut client.wire, BYE));

    // One by its number, in the middle of DATA.
    let mut data = amid_data(&server);
    let id = eventually("a session in DATA", PATIENCE, || {
        who(&server, &[]).iter().find(|session| session["state"] == "DATA").map(|session| session["id"].clone())
    });
    assert_eq!(said(&server, &["kick", &id]), "kicked 1 session\n");
    ended_with(&mut data.wire, GOODBYE);
    drop(data);

    // A TLS handshake that never comes, and one that did.
    let mut silent = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port(993))).expect("a connection");
    silent.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut submission = server.submission().starttls();
    submission.ehlo();
    eventually("three sessions", PATIENCE, || (who(&server, &[]).len() == 3).then_some(()));
    assert_eq!(said(&server, &["kick", "--address", "127.0.0.1"]), "kicked 3 sessions\n");
    ended_with(&mut submission.wire, GOODBYE);
    ended_with(&mut stays.wire, BYE);
    assert_eq!(silent.read(&mut [0; 16]).expect("an end"), 0);
    let (code, nobody) = tool(&server, &["kick", "--user", "nobody@localhost"]);
    assert!(code == Some(1) && nobody == "ringpost: no session is like that\n", "{nobody}");
    assert_eq!(server.login().ok("SELECT INBOX").exists(), Some(0), "half a message was kept");
    server.assert_alive();
}

/// A client that neither reads nor stops talking is ended as well.
#[test]
fn a_deaf_client_is_kicked() {
    let mut server = Server::start_with("kick-deaf", &["--cpus", "0,1"]);
    let mut appender = server.login();
    for number in 0..4 {
        appender.append("INBOX", &numbered(&format!("large-{number}"), 100_000));
    }
    appender.ok("LOGOUT");
    let mut deaf = server.select("INBOX");
    deaf.start(b"FETCH 1:* BODY.PEEK[]").expect("the connection");
    let port = server.port(143);
    let mut talker = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    let talking = std::thread::spawn(move || while talker.write_all(b"a NOOP\r\n").is_ok() {});
    eventually("two sessions", PATIENCE, || (who(&server, &[]).len() == 2).then_some(()));
    std::thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    let _ = tool(&server, &["kick", "--address", "127.0.0.1"]);
    eventually("both are gone", PATIENCE, || who(&server, &[]).is_empty().then_some(()));
    assert!(begin.elapsed() < Duration::from_secs(8), "gone after {:?}", begin.elapsed());
    talking.join().expect("the talker");
    server.assert_alive();
}

#[test]
fn figures_count_what_happens() {
    let server = Server::start_with("figures", &["--cpus", "0,1"]);
    let before = Figures::of(&server);
    assert_eq!(before.value("ringpost_ready"), 1.0);
    assert_eq!(before.sum("ringpost_sessions"), 0.0);
    let mut imap = server.select("INBOX");
    imap.append("INBOX", &numbered("one", 5));
    for _ in 0..50 {
        imap.ok("NOOP");
    }
    imap.command("NONSENSE");
    imap.text(1);
    let mut wrong = server.imap();
    wrong.command("LOGIN a@localhost wrong");
    server.smtp().deliver(USER, &numbered("two", 5));
    let mut maildrop = server.maildrop();
    maildrop.ok("STAT");
    maildrop.quit();
    let ended = "ringpost_sessions_ended_total{protocol=\"pop3\",reason=\"logout\"}";
    let after = eventually("a session's end", PATIENCE, || {
        let figures = Figures::of(&server);
        (figures.0.get(ended) == Some(&1.0)).then_some(figures)
    });
    let grew = |series: &str, by: f64| {
        let (old, new) = (before.0.get(series).copied().unwrap_or(0.0), after.value(series));
        assert!((new - old - by).abs() < 1e-9, "{series}: {old} to {new}, {by} more were due");
    };
    let command = |name: &str| format!("ringpost_command_seconds_count{{protocol=\"imap\",command=\"{name}\"}}");
    for (name, count) in [("NOOP", 50.0), ("APPEND", 1.0), ("SELECT", 1.0), ("FETCH", 1.0), ("LOGIN", 2.0)] {
        grew(&command(name), count);
    }
    grew("ringpost_command_seconds_count{protocol=\"smtp\",command=\"DATA\"}", 1.0);
    grew("ringpost_logins_total{protocol=\"imap\",result=\"granted\"}", 1.0);
    grew("ringpost_logins_total{protocol=\"imap\",result=\"refused\"}", 1.0);
    grew("ringpost_bad_commands_total{protocol=\"imap\"}", 1.0);
    grew("ringpost_messages_total{protocol=\"smtp\"}", 1.0);
    grew("ringpost_command_seconds_count{protocol=\"pop3\",command=\"STAT\"}", 1.0);
    // The append and the delivery at least, the one durable before the other came.
    let commits = |figures: &Figures| figures.value("ringpost_commit_seconds_count");
    assert!(commits(&after) - commits(&before) >= 2.0, "{} commits", commits(&after));
    grew("ringpost_sessions_total{protocol=\"imap\"}", 2.0);
    assert_eq!(after.value("ringpost_sessions{protocol=\"imap\",tls=\"false\"}"), 2.0);
    assert_eq!(after.value("ringpost_sessions_logged_in"), 1.0);
    // A NOOP is 8 octets and its answer 20, all of them at least.
    let received = after.value("ringpost_received_bytes_total{protocol=\"imap\"}");
    let sent = after.value("ringpost_sent_bytes_total{protocol=\"imap\"}");
    assert!(received > 500.0 && sent > 1000.0, "{received} {sent}");
    drop((imap, wrong));
    let reason = "ringpost_sessions_ended_total{protocol=\"imap\",reason=\"closed\"}";
    eventually("their ends", PATIENCE, || (Figures::of(&server).value(reason) >= 2.0).then_some(()));
    let last = Figures::of(&server);
    assert_eq!(last.value("ringpost_sessions{protocol=\"imap\",tls=\"false\"}"), 0.0);
    assert!(last.value("ringpost_received_bytes_total{protocol=\"imap\"}") >= received, "a count went back");
    let stat = said(&server, &["stat"]);
    assert!(stat.contains("imap NOOP") && stat.contains("smtp DATA") && stat.contains("µs"), "{stat}");
    let json = said(&server, &["stat", "--json"]);
    assert!(json.contains("{\"protocol\":\"imap\",\"name\":\"NOOP\",\"count\":50,"), "{json}");
}

#[test]
fn health_and_what_else_is_asked() {
    let mut server = Server::start_with("health", &["--cpus", "0,1"]);
    assert_eq!(get(&server, "/health"), ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned()));
    assert_eq!(get(&server, "/").0, "HTTP/1.1 404 Not Found");
    let (status, head, body) = http(&server, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(status == "HTTP/1.1 200 OK" && body.is_empty(), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    let url = format!("http://127.0.0.1:{}/health", server.port(8025));
    let curl = std::process::Command::new("curl").args(["-sSf", "--max-time", "10", &url]).output().expect("curl");
    assert!(curl.status.success() && curl.stdout == b"ok\n", "{curl:?}");
    // A session that goes on keeps the server while it stops: that is told.
    let deaf = amid_data(&server);
    server.signal(libc::SIGTERM);
    eventually("a server that stops", PATIENCE, || {
        let told = get(&server, "/health");
        (told == ("HTTP/1.1 503 Service Unavailable".to_owned(), "stopping\n".to_owned())).then_some(())
    });
    assert_eq!(who(&server, &[]).len(), 1, "tools work while it stops");
    drop(deaf);
    assert_eq!(server.end().code(), Some(0));
    let (code, nobody) = tool(&server, &["who"]);
    assert!(code == Some(1) && nobody.contains("no server runs on"), "{nobody}");
}

/// One line a session, whatever ended it.
#[test]
fn a_session_ends_with_a_line() {
    let mut server = Server::start_with("session-lines", &["--cpus", "0,1"]);
    server.login().ok("LOGOUT");
    let mut quits = server.smtp();
    quits.deliver(USER, &numbered("one", 5));
    quits.expect("QUIT", "221");
    drop(server.imap());
    drop(TcpStream::connect((Ipv4Addr::LOCALHOST, server.port(993))).expect("a connection"));
    let mut kicked = server.select("INBOX");
    assert_eq!(said(&server, &["kick", "--user", USER]), "kicked 1 session\n");
    ended_with(&mut kicked.wire, BYE);
    drop(kicked);
    let mut guesses = server.imap();
    for _ in 0..3 {
        guesses.command("LOGIN a@localhost wrong");
    }
    ended_with(&mut guesses.wire, "* BYE Too many failed authentications");
    drop(guesses);
    // Logged in, and turned away where the maildrop is: on whatever shard that is, it is the user's session.
    let _stays = (server.login(), server.maildrop());
    let mut second = server.pop3();
    let reply = second.attempt_login(USER, &server.password()).expect("a reply");
    assert!(reply.starts_with("-ERR [IN-USE]"), "{reply}");
    drop(second);
    eventually("seven lines", PATIENCE, || (server.log().matches("session ended").count() == 7).then_some(()));
    server.stop();
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("session ended")).collect();
    assert_eq!(lines.len(), 9, "{lines:#?}");
    for (words, count) in [
        (["end=\"logout\"", "protocol=\"imap\"", "user=\"a@localhost\"", "commands=2"], 1),
        (["end=\"logout\"", "protocol=\"smtp\"", "user=\"-\"", "messages=1"], 1),
        (["end=\"closed\"", "protocol=\"imap\"", "user=\"-\"", "commands=0"], 1),
        (["end=\"handshake\"", "protocol=\"imap\"", "user=\"-\"", "sent=0"], 1),
        (["end=\"kicked\"", "protocol=\"imap\"", "user=\"a@localhost\"", "commands=2"], 1),
        (["end=\"failures\"", "protocol=\"imap\"", "user=\"-\"", "commands=3"], 1),
        (["end=\"closed\"", "protocol=\"pop3\"", "user=\"a@localhost\"", "commands=2"], 1),
        (["end=\"stopped\"", "protocol=\"imap\"", "user=\"a@localhost\"", "tls=false"], 1),
        (["end=\"stopped\"", "protocol=\"pop3\"", "user=\"a@localhost\"", "tls=false"], 1),
    ] {
        let fit = lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count();
        assert_eq!(fit, count, "{words:?}: {lines:#?}");
    }
}
