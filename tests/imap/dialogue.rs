//! The dialogue around the commands: capabilities, ways in where TLS is required, what waits for what, time-outs, LOGOUT.
//! RFC 3501 §3 to §6.2, RFC 4959, RFC 5161; and what only shows between sessions, protocols and restarts.

use std::time::{Duration, Instant, SystemTime};

use crate::messages::{append, lines};
use crate::support::imap::Reply;
use crate::support::message::numbered;
use crate::support::smtp::{longest_plain, plain};
use crate::support::{Imap, Server, USER, show};

/// Names of IANA's registry of IMAP capabilities, as it is in these RFCs; those that take a value by what stands before it.
const REGISTERED: &str = "ACL ANNOTATE-EXPERIMENT-1 APPENDLIMIT AUTH= BINARY CATENATE CHILDREN COMPRESS=DEFLATE CONDSTORE CONTEXT=SEARCH \
    CONTEXT=SORT CONVERT CREATE-SPECIAL-USE ENABLE ESEARCH ESORT FILTERS I18NLEVEL=1 I18NLEVEL=2 ID IDLE IMAP4rev1 IMAP4rev2 \
    IMAPSIEVE= INPROGRESS JMAPACCESS LANGUAGE LIST-EXTENDED LIST-METADATA LIST-MYRIGHTS LIST-STATUS LITERAL+ LITERAL- \
    LOGIN-REFERRALS LOGINDISABLED MAILBOX-REFERRALS MESSAGELIMIT= METADATA METADATA-SERVER MOVE MULTIAPPEND MULTISEARCH \
    NAMESPACE NOTIFY OBJECTID PARTIAL PREVIEW QRESYNC QUOTA QUOTA= QUOTASET REPLACE RIGHTS= SASL-IR SAVEDATE SEARCH=FUZZY \
    SEARCHRES SORT SORT=DISPLAY SPECIAL-USE STARTTLS STATUS=SIZE THREAD=ORDEREDSUBJECT THREAD=REFERENCES UIDONLY UIDPLUS \
    UNAUTHENTICATE UNSELECT URL-PARTIAL URLAUTH URLAUTH=BINARY URLFETCH=BINARY UTF8=ACCEPT UTF8=ONLY WITHIN";

fn capabilities(imap: &mut Imap) -> Vec<String> {
    let reply = imap.ok("CAPABILITY");
    let listed: Vec<_> = reply.starting("CAPABILITY ").collect();
    assert_eq!(listed.len(), 1, "{reply:?}");
    String::from_utf8_lossy(listed[0]).split(' ').map(str::to_owned).collect()
}

fn has(offered: &[String], name: &str) -> bool {
    offered.iter().any(|offered| offered == name)
}

/// AUTHENTICATE, whose continuation request must be `challenge`; its tag.
fn authenticate(imap: &mut Imap, mechanism: &str) -> String {
    let tag = imap.start(format!("AUTHENTICATE {mechanism}").as_bytes()).expect("the connection");
    let challenge = imap.response().expect("a continuation request");
    assert!(challenge.starts_with(b"+ "), "{}", show(&challenge));
    tag
}

/// The client's line in an exchange, and what the command came to.
fn respond(imap: &mut Imap, tag: &str, line: &str) -> Reply {
    imap.wire.write(format!("{line}\r\n").as_bytes()).expect("the connection");
    imap.finish(tag).expect("an answer")
}

/// Only registered names are offered, and ENABLE changes nothing about them.
#[test]
fn capabilities_are_registered_and_stay() {
    let server = Server::start("dialogue-capabilities");
    let known: Vec<&str> = REGISTERED.split_ascii_whitespace().collect();
    let mut imap = server.imap();
    let before = capabilities(&mut imap);
    for name in ["IMAP4rev1", "STARTTLS", "AUTH=PLAIN"] {
        assert!(has(&before, name), "no {name} in {before:?}");
    }
    assert!(!has(&before, "LOGINDISABLED"), "{before:?}");
    imap.login(USER, &server.password());
    let after = capabilities(&mut imap);
    for name in before.iter().chain(&after) {
        let stem = name.find('=').map_or(name.as_str(), |equals| &name[..=equals]);
        assert!(known.contains(&name.as_str()) || known.contains(&stem), "{name} is not registered");
    }
    // RFC 7888 §5: one of the two.
    assert!(has(&after, "LITERAL+") && !has(&after, "LITERAL-"), "{after:?}");
    // RFC 5161 §3.1: what needs no ENABLE is passed over like what is not known, and the list stays as it is.
    assert_eq!(lines(&imap.ok("ENABLE IDLE UIDPLUS X-NOTHING")), ["ENABLED"]);
    assert_eq!(capabilities(&mut imap), after);
}

/// RFC 3501 §6.2.3, RFC 2595 §2.3: a configuration that takes no password without TLS, and says so.
#[test]
fn tls_that_is_required() {
    let server = Server::start_with_tls_required("dialogue-required", 143);
    let mut imap = server.imap();
    assert!(imap.greeting.contains(" LOGINDISABLED"), "{}", imap.greeting);
    let offered = capabilities(&mut imap);
    assert!(has(&offered, "LOGINDISABLED") && has(&offered, "STARTTLS"), "{offered:?}");
    assert!(!offered.iter().any(|name| name.starts_with("AUTH=")), "{offered:?}");
    let plain = plain(USER, &server.password());
    for command in [
        format!("LOGIN {USER} {}", server.password()),
        "AUTHENTICATE PLAIN".to_owned(),
        format!("AUTHENTICATE PLAIN {plain}"),
        "AUTHENTICATE LOGIN".to_owned(),
    ] {
        imap.answered(&command, "NO [PRIVACYREQUIRED] ");
    }
    imap.answered("SELECT INBOX", "BAD ");
    let mut imap = imap.starttls();
    let offered = capabilities(&mut imap);
    assert!(!has(&offered, "LOGINDISABLED") && !has(&offered, "STARTTLS"), "{offered:?}");
    assert!(has(&offered, "AUTH=PLAIN"), "{offered:?}");
    imap.ok(&format!("AUTHENTICATE PLAIN {plain}"));
    imap.ok("SELECT INBOX");
}

/// RFC 3501 §6.2.2: NO, BAD and continuation requests of AUTHENTICATE; RFC 4959: the same with an initial response.
#[test]
fn authenticate_says_what_became_of_it() {
    let server = Server::start("dialogue-authenticate");
    let offered = capabilities(&mut server.imap());
    for mechanism in
        ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "GSSAPI", "SCRAM-SHA-256", "EXTERNAL", "ANONYMOUS", "X"]
    {
        let mut imap = server.imap();
        if has(&offered, &format!("AUTH={mechanism}")) {
            let tag = authenticate(&mut imap, mechanism);
            assert_eq!(respond(&mut imap, &tag, "*").status, "BAD", "{mechanism}, cancelled");
        } else {
            imap.answered(&format!("AUTHENTICATE {mechanism}"), "NO ");
        }
        imap.ok("NOOP");
    }
    // Cancelled ones are no failed tries.
    let mut imap = server.imap();
    for _ in 0..5 {
        let tag = authenticate(&mut imap, "plain");
        assert_eq!(respond(&mut imap, &tag, "*").status, "BAD");
    }
    // What is no base64, in a line and with the command; what is refused, with the words that LOGIN has for it.
    let longest = longest_plain();
    let refused = server.imap().command(&format!("LOGIN {USER} wrong")).shown();
    assert!(refused.starts_with("NO [AUTHENTICATIONFAILED]"), "{refused}");
    for (response, due) in [
        ("!!!", "BAD The response is not base64"),
        ("AAA", "BAD The response is not base64"),
        (&plain(USER, "wrong"), &refused),
        (&plain("nobody@localhost", "wrong"), &refused),
        // Whatever the mechanism can say is taken, be it the command's own line.
        (&longest, &refused),
    ] {
        let mut imap = server.imap();
        let tag = authenticate(&mut imap, "PLAIN");
        let alone = respond(&mut imap, &tag, response).shown();
        let initial = imap.command(&format!("AUTHENTICATE PLAIN {response}")).shown();
        assert_eq!((alone.as_str(), initial.as_str()), (due, due), "{response:.20}");
    }
}

/// RFC 3501 §6.1.3: BYE, then the tagged OK, then the end; and what is pipelined behind LOGOUT is not answered.
#[test]
fn logout_says_bye_then_ok_then_closes() {
    let server = Server::start("dialogue-logout");
    for mut imap in [server.imap(), server.login(), server.select("INBOX"), server.imap().starttls()] {
        imap.wire.write(b"z LOGOUT\r\nz NOOP\r\n").expect("the connection");
        let said = String::from_utf8(imap.wire.rest().expect("the end")).expect("ASCII");
        let said: Vec<&str> = said.split_inclusive("\r\n").collect();
        assert!(said.len() == 2 && said[0].starts_with("* BYE ") && said[1].starts_with("z OK "), "{said:?}");
    }
}

/// RFC 3501 §5.4: any command begins the time anew; at its end BYE says why.
#[test]
fn any_command_keeps_the_session() {
    let server = Server::start_configured("dialogue-idle", "[imap]\nidle_timeout = \"3s\"\n");
    let mut imap = server.select("INBOX");
    let begin = Instant::now();
    for command in ["NOOP", "CHECK", "XYZZY", "FETCH 1:* FLAGS", "LIST \"\" %"] {
        std::thread::sleep(Duration::from_secs(1));
        imap.command(command);
    }
    assert!(begin.elapsed() > Duration::from_secs(5));
    let said = imap.wire.rest().expect("the end");
    assert!(said.starts_with(b"* BYE Autologout; "), "{}", show(&said));
    assert!(begin.elapsed() > Duration::from_secs(8), "the last command did not count: {:?}", begin.elapsed());
}

/// RFC 3501 §5.5: a literal belongs to its command, and what is pipelined behind it comes after it.
#[test]
fn continuations_come_before_the_next_command() {
    let server = Server::start("dialogue-literals");
    let mut imap = server.login();
    imap.wire
        .write(b"a CREATE {3}\r\none\r\nb SELECT {3}\r\none\r\nc STATUS {5+}\r\nINBOX (MESSAGES)\r\nd LOGOUT\r\n")
        .expect("open");
    let said = String::from_utf8(imap.wire.rest().expect("the end")).expect("ASCII");
    let marks: Vec<&str> = said.lines().filter(|line| !line.starts_with("* ")).collect();
    let begins = |at: usize, prefix: &str| marks.get(at).is_some_and(|line| line.starts_with(prefix));
    assert!(marks.len() == 6, "{said}");
    for (at, prefix) in ["+ ", "a OK", "+ ", "b OK [READ-WRITE]", "c OK", "d OK"].into_iter().enumerate() {
        assert!(begins(at, prefix), "{prefix} is not line {at} of {said}");
    }
}

/// Names with a separator behind them, names that APPEND and COPY may not make, and names that LIST shows.
#[test]
fn names_are_made_by_create_alone() {
    let server = Server::start("dialogue-names");
    let mut imap = server.login();
    // RFC 3501 §6.3.3.
    imap.ok("CREATE slash/deep/");
    assert_eq!(lines(&imap.ok("LIST () \"\" slash*")), ["LIST () \\\"/\\\" slash", "LIST () \\\"/\\\" slash/deep"]);
    imap.answered("CREATE slash/deep", "NO [ALREADYEXISTS]");
    imap.append("INBOX", &numbered("names", 1));
    imap.ok("SELECT INBOX");
    assert!(append(&mut imap, "missing", "", b"a").shown().starts_with("NO [TRYCREATE] "));
    for command in ["COPY 1 missing", "UID COPY 1 missing", "MOVE 1 missing", "UID MOVE 1 missing"] {
        imap.answered(command, "NO [TRYCREATE] ");
    }
    assert_eq!(lines(&imap.ok("LIST \"\" missing")), [""; 0]);
    // RFC 3501 §7.2.2: what is not \Noselect can be selected by the name that was told.
    for name in ["a b", "Entw&APw-rfe", "R&-D", "x]y", "quo\\\"te"] {
        imap.ok(&format!("CREATE \"t/{name}\""));
    }
    imap.ok("DELETE slash");
    let reply = imap.ok("LIST \"\" *");
    let mut selected = 0;
    for line in reply.starting("LIST (") {
        let line = std::str::from_utf8(line).expect("ASCII");
        let (attributes, name) = line.split_once(") \"/\" ").expect("a separator");
        if attributes.contains("\\Noselect") {
            imap.answered(&format!("SELECT {name}"), "NO ");
        } else {
            imap.ok(&format!("SELECT {name}"));
            selected += 1;
        }
    }
    assert!(selected >= 12 && reply.starting("LIST (").count() == selected + 1, "{selected}");
    // RFC 5258 §3: every criterion is met.
    imap.ok("SUBSCRIBE Drafts");
    imap.ok("SUBSCRIBE slash/deep");
    imap.command("UNSUBSCRIBE Sent");
    let both = lines(&imap.ok("LIST (SUBSCRIBED SPECIAL-USE) \"\" *"));
    assert!(both.iter().any(|line| line.ends_with(" Drafts")), "{both:?}");
    assert!(!both.iter().any(|line| line.ends_with(" Sent") || line.ends_with("/deep")), "{both:?}");
}

/// RFC 3501 §2.3.3: the date of delivery; §6.4.5: what is static stays, also where it is made anew or read from elsewhere.
#[test]
fn what_is_static_stays() {
    let mut server = Server::start("dialogue-static");
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs();
    let nested = b"From: A <a@x.example>\r\nTo: b@y.example\r\nSubject: =?utf-8?Q?=C3=BC?=\r\nDate: Wed, 17 Jul 1996 02:23:25 -0700\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: inner\r\n\r\nx\r\n--b\r\nContent-Type: image/png; name=\"a b\"\r\nContent-Transfer-Encoding: base64\r\n\r\n\
        AAAA\r\n--b--\r\n";
    server.smtp().deliver(USER, nested);
    let after = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs();
    let items = "(INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[HEADER] BODY.PEEK[2.HEADER] BODY.PEEK[3.MIME])";
    let mut imap = server.select("INBOX");
    let seconds = seconds_of(imap.fetch_one(1, "(INTERNALDATE)").octets("INTERNALDATE"));
    assert!((before..=after).contains(&seconds), "{before} <= {seconds} <= {after}");
    let first = lines(&imap.ok(&format!("UID FETCH 1 {items}")));
    assert_eq!(first.len(), 1);
    for change in ["UID STORE 1 +FLAGS (\\Seen $Work)", "NOOP"] {
        imap.ok(change);
        assert_eq!(lines(&imap.ok(&format!("UID FETCH 1 {items}"))), first);
        server.restart();
        imap = server.select("INBOX");
        assert_eq!(lines(&imap.ok(&format!("UID FETCH 1 {items}"))), first, "after a restart");
    }
    // RFC 3501 §6.4.5: MIME is a part's.
    for section in ["MIME", "HEADER.MIME", "0", "1."] {
        imap.answered(&format!("FETCH 1 BODY.PEEK[{section}]"), "BAD ");
    }
}

/// `dd-Mon-yyyy hh:mm:ss +zzzz` in seconds since 1970.
fn seconds_of(date: &[u8]) -> u64 {
    let text = std::str::from_utf8(date).expect("ASCII").trim_start();
    let number = |part: &str| part.parse::<i64>().expect("a number");
    let words: Vec<&str> = text.split([' ', '-', ':', '+']).collect();
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(words[1]).expect("a month") as i64 / 3;
    let year = number(words[2]);
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let leap = leaps(year) - leaps(year - 1);
    let before =
        [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize] + if month > 1 { leap } else { 0 };
    let days = (year - 1970) * 365 + leaps(year - 1) - leaps(1969) + before + number(words[0]) - 1;
    let zone = number(&text[text.len() - 5..]);
    let offset = (zone / 100 * 60 + zone % 100) * 60;
    (days * 86_400 + number(words[3]) * 3600 + number(words[4]) * 60 + number(words[5]) - offset) as u64
}
