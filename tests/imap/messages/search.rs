//! SEARCH (RFC 3501 §6.4.4): every key, charsets, strings long and not ASCII, and what is no search.

use super::append;
use crate::support::message::numbered;
use crate::support::{Imap, Server};

/// Six messages, each with its flags and INTERNALDATE.
const MESSAGES: [(&str, &str); 6] = [
    (
        "(\\Seen \\Answered) \"17-Jul-1996 23:59:59 -0700\" ",
        "From: Anna Muster <anna@one.example>\r\nTo: b@two.example\r\nCc: \"Carl, C.\" <carl@three.example>\r\n\
         Subject: Quarterly report\r\nDate: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nMessage-ID: <1@one.example>\r\n\
         X-Mark: \r\n\r\nThe figures are below.\r\n",
    ),
    (
        "(\\Flagged $Work) \"18-Jul-1996 00:00:00 -0700\" ",
        "From: =?iso-8859-1?Q?J=FCrgen_M=FCller?= <j@one.example>\r\nTo: =?utf-8?B?w4RubmE=?= <a@two.example>\r\n\
         Bcc: hidden@three.example\r\nSubject: =?koi8-r?B?8tXT2A==?= =?utf-8?Q?_Gr=C3=BC=C3=9Fe?=\r\n\
         Date: 18 Jul 96 23:30 EST\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\nViele Gr=FC=DFe aus K=F6ln, sehr lan=\r\nge Zeile\r\n",
    ),
    (
        "(\\Draft) \" 1-Feb-2000 12:00:00 +0000\" ",
        "Subject: parts\r\nDate: 2000-02-01T10:00:00Z\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nZGVlcGx5IGhpZGRlbiDigqw=\r\n--b\r\n\
         Content-Type: message/rfc822\r\n\r\nSubject: forwarded thing\r\n\r\ninner words\r\n--b\r\n\
         Content-Type: application/octet-stream; name=\"picture.png\"\r\n\r\nnot to be searched\r\n--b--\r\n",
    ),
    ("(\\Deleted) \"29-Feb-2004 00:00:00 +1400\" ", "Subject: no date at all\r\n\r\nquarterly, but in the body\r\n"),
    ("\"31-Dec-2010 10:00:00 +0000\" ", "Date: Tue, 30 Feb 2010 10:00:00 +0000\r\nSubject: no such day\r\n\r\n"),
    ("\"31-Dec-2020 10:00:00 +0000\" ", "no header at all\r\n"),
];

fn search(imap: &mut Imap, keys: &str) -> Vec<u32> {
    imap.ok(&format!("SEARCH {keys}")).found()
}

#[test]
fn every_key_of_rfc_3501() {
    let mut server = Server::start("search");
    let mut imap = server.login();
    for (arguments, message) in MESSAGES {
        append(&mut imap, "INBOX", arguments, message.as_bytes());
    }
    for _ in 0..2 {
        imap.ok("SELECT INBOX");
        for (keys, expected) in [
            ("ALL", &[1, 2, 3, 4, 5, 6][..]),
            ("2:3,*", &[2, 3, 6]),
            ("UID 3:1", &[1, 2, 3]),
            ("ANSWERED", &[1]),
            ("UNANSWERED", &[2, 3, 4, 5, 6]),
            ("DELETED", &[4]),
            ("UNDELETED", &[1, 2, 3, 5, 6]),
            ("DRAFT", &[3]),
            ("UNDRAFT 3:4", &[4]),
            ("FLAGGED", &[2]),
            ("UNFLAGGED 1:2", &[1]),
            ("SEEN", &[1]),
            ("UNSEEN 1:2", &[2]),
            ("KEYWORD $work", &[2]),
            ("UNKEYWORD $Work", &[1, 3, 4, 5, 6]),
            ("KEYWORD nobody", &[]),
            ("UNKEYWORD nobody 1", &[1]),
            ("FROM anna", &[1]),
            ("FROM \"Anna Muster <\"", &[1]),
            ("FROM j\u{fc}rgen", &[2]),
            ("FROM J\u{dc}RGEN", &[2]),
            ("FROM JURGEN", &[]),
            ("TO two.example", &[1, 2]),
            ("TO \u{c4}nna", &[2]),
            ("CC carl", &[1]),
            ("BCC hidden", &[2]),
            ("SUBJECT QUARTERLY", &[1]),
            ("SUBJECT \"\u{440}\u{443}\u{441}\u{44c} gr\u{fc}\u{df}e\"", &[2]),
            ("SUBJECT forwarded", &[]),
            ("TEXT quarterly", &[1, 4]),
            ("BODY quarterly", &[4]),
            ("BODY figures", &[1]),
            ("BODY \"gr\u{fc}\u{df}e aus k\u{f6}ln\"", &[2]),
            ("BODY \"sehr lange zeile\"", &[2]),
            ("BODY \"deeply hidden \u{20ac}\"", &[3]),
            ("BODY \"inner words\"", &[3]),
            ("BODY \"subject: forwarded\"", &[3]),
            ("BODY picture.png", &[3]),
            ("TEXT \"not to be searched\"", &[]),
            ("BODY \"no header\"", &[6]),
            ("BODY \"subject: parts\"", &[]),
            ("TEXT \"subject: parts\"", &[3]),
            // Nothing is found across the end of the header.
            ("TEXT {13}\r\nno such day\r\n", &[]),
            ("BODY \"\"", &[1, 2, 3, 4, 5, 6]),
            ("HEADER Message-ID <1@one", &[1]),
            ("HEADER x-mark \"\"", &[1]),
            ("HEADER Date \"\"", &[1, 2, 3, 5]),
            ("HEADER X-None \"\"", &[]),
            ("BEFORE 18-Jul-1996", &[1]),
            ("ON 18-Jul-1996", &[2]),
            ("SINCE 1-Feb-2000", &[3, 4, 5, 6]),
            ("ON 29-Feb-2004", &[4]),
            ("SENTBEFORE 18-Jul-1996", &[1]),
            ("SENTON \"18-Jul-1996\"", &[2]),
            ("SENTON 1-Feb-2000", &[3]),
            ("SENTSINCE 18-Jul-1996", &[2, 3]),
            ("NOT SENTSINCE 1-Jan-1990", &[4, 5, 6]),
            ("OR FLAGGED DRAFT", &[2, 3]),
            ("NOT (OR FLAGGED DRAFT) NOT 1", &[4, 5, 6]),
            ("(SEEN ANSWERED) BODY figures", &[1]),
            ("OR SUBJECT parts (DELETED BODY body)", &[3, 4]),
        ] {
            // A literal is announced as one that is not waited for.
            assert_eq!(search(&mut imap, &keys.replace("}\r\n", "+}\r\n")), expected, "{keys}");
        }
        server.restart();
        imap = server.login();
    }
}

#[test]
fn charsets_are_read_or_listed() {
    let server = Server::start("search-charsets");
    let mut imap = server.login();
    append(&mut imap, "INBOX", "", "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe_=E2=82=AC?=\r\n\r\nтекст あ\r\n".as_bytes());
    imap.ok("SELECT INBOX");
    for (charset, key, octets) in [
        ("UTF-8", "SUBJECT", "GRÜßE €".as_bytes()),
        ("utf-8", "TEXT", "ТЕКСТ".as_bytes()),
        ("ISO-8859-1", "SUBJECT", b"gr\xfc\xdfe"),
        ("ISO-8859-15", "SUBJECT", b"gr\xfc\xdfe \xa4"),
        ("\"windows-1252\"", "SUBJECT", b"gr\xfc\xdfe \x80"),
        ("KOI8-R", "BODY", b"\xd4\xc5\xcb\xd3\xd4"),
        ("Shift_JIS", "BODY", b"\x82\xa0"),
        ("US-ASCII", "SUBJECT", b"gr"),
    ] {
        let head = format!("SEARCH CHARSET {charset} {key} {{{}+}}\r\n", octets.len());
        let tag = imap.start(&[head.as_bytes(), octets].concat()).expect("the connection");
        let reply = imap.finish(&tag).expect("an answer");
        assert_eq!(reply.status, "OK", "{charset}: {}", reply.text);
        assert_eq!(reply.found(), [1], "{charset}");
    }
    // Without a charset, as octets in a header without one are read.
    let tag = imap.start(b"SEARCH SUBJECT \"gr\xfc\xdfe\"").expect("the connection");
    assert_eq!(imap.finish(&tag).expect("an answer").found(), [1]);
    for charset in ["X-NOTHING", "UTF-16", "UTF-7"] {
        let reply = imap.answered(&format!("SEARCH CHARSET {charset} ALL"), "NO [BADCHARSET (US-ASCII UTF-8 ");
        assert!(reply.untagged.is_empty());
    }
    let tag = imap.start(b"SEARCH CHARSET UTF-8 SUBJECT {2+}\r\n\xfc\xdf").expect("the connection");
    assert_eq!(imap.finish(&tag).expect("an answer").status, "NO");
    for bad in ["SEARCH", "SEARCH CHARSET UTF-8", "SEARCH BODY", "SEARCH SENTON 31-Feb-x", "SEARCH FOO", "SEARCH 0"] {
        imap.answered(bad, "BAD ");
    }
}

#[test]
fn r_imap_10_long_and_non_ascii_strings_are_found() {
    let server = Server::start("search-long");
    let mut imap = server.login();
    let long = "ein sehr langer Text mit Ümlauten und 日本語 ".repeat(1_000);
    append(&mut imap, "INBOX", "", format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{long}\r\n").as_bytes());
    append(&mut imap, "INBOX", "", b"Subject: short\r\n\r\nshort\r\n");
    imap.ok("SELECT INBOX");
    let end = long.trim_end().to_uppercase();
    assert!(end.len() > 40_000, "{}", end.len());
    for (text, expected) in [(end.clone(), &[1][..]), (format!("{end}x"), &[])] {
        for key in ["TEXT", "BODY"] {
            assert_eq!(search(&mut imap, &format!("CHARSET UTF-8 {key} {{{}+}}\r\n{text}", text.len())), expected);
        }
    }
    for number in [1usize, 30, 60] {
        let chain = format!("{}BODY short", "OR SUBJECT \"Ä nowhere\" ".repeat(number));
        assert_eq!(search(&mut imap, &chain), [2], "{number} alternatives");
    }
}

#[test]
fn r_imap_10_smaller_and_larger_exist() {
    let server = Server::start("search-size");
    let mut imap = server.login();
    for bytes in [10usize, 100, 1_000] {
        append(&mut imap, "INBOX", "", &vec![b'x'; bytes]);
    }
    imap.ok("SELECT INBOX");
    for (keys, expected) in [
        ("LARGER 0", &[1, 2, 3][..]),
        ("LARGER 100", &[3]),
        ("LARGER 99", &[2, 3]),
        ("SMALLER 100", &[1]),
        ("SMALLER 101", &[1, 2]),
        ("SMALLER 0", &[]),
        ("LARGER 10 SMALLER 1000", &[2]),
        ("LARGER 4294967295", &[]),
        ("SMALLER 9000000000", &[1, 2, 3]),
    ] {
        assert_eq!(search(&mut imap, keys), expected, "{keys}");
    }
}

/// Others run between two looks into large messages, however many keys look.
#[test]
fn a_long_search_leaves_room_for_others() {
    let server = Server::start_with("search-fair", &["--cpus", "0"]);
    let (mut imap, mut other) = (server.login(), server.login());
    for number in 0..10 {
        imap.append("INBOX", &numbered(&format!("large-{number}"), 20_000));
    }
    imap.ok("SELECT INBOX");
    let keys = "OR (TEXT nowhere-a BODY nowhere-b) ".repeat(55);
    let begin = std::time::Instant::now();
    let tag = imap.start(format!("SEARCH {keys}TEXT nowhere-c").as_bytes()).expect("the connection");
    let (mut turns, mut longest) = (0, std::time::Duration::ZERO);
    imap.wire.set_patience(std::time::Duration::from_secs(60));
    let searcher = std::thread::spawn(move || imap.finish(&tag).expect("an answer").found());
    while !searcher.is_finished() {
        let asked = std::time::Instant::now();
        other.ok("NOOP");
        (turns, longest) = (turns + 1, longest.max(asked.elapsed()));
    }
    assert_eq!(searcher.join().expect("the search"), [0u32; 0]);
    println!("{turns} NOOPs in {:?} of SEARCH, the longest took {longest:?}", begin.elapsed());
    assert!(longest < std::time::Duration::from_millis(500), "a NOOP took {longest:?}");
}
