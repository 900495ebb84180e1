//! Malformed mail of every kind, with the ENVELOPE and BODYSTRUCTURE that it gets, octet for octet.
//!
//! What the RFCs leave open is settled here: RFC 5322 §4 (obsolete forms), RFC 2045 §5.2, RFC 2046 §5.1.1, RFC 3501 §7.4.2.

use super::grammar::check;

const NOTHING: &str = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)";
/// A text of one line and five octets, without a Content-Type.
const BODY: &str = r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 6 1 NIL NIL NIL NIL)"#;

fn envelope(raw: &[u8]) -> String {
    String::from_utf8_lossy(&check(raw).envelope).into_owned()
}

fn bodystructure(raw: &[u8]) -> String {
    String::from_utf8_lossy(&check(raw).bodystructure).into_owned()
}

/// The ENVELOPE of a message that has a subject alone.
fn of_subject(subject: &str) -> String {
    format!("(NIL {subject} NIL NIL NIL NIL NIL NIL NIL NIL)")
}

#[test]
fn headers() {
    let known: [(&[u8], &str); 14] = [
        // Octets over 127 have no place in a quoted string, and aren't changed: neither UTF-8 nor any other.
        (b"Subject: caf\xc3\xa9\r\n\r\nbody\r\n", "{5}\r\ncaf\u{e9}"),
        (b"Subject: =?utf-8?Q?caf=C3=A9?=\r\n\r\nbody\r\n", "\"=?utf-8?Q?caf=C3=A9?=\""),
        (b"Subject: a\0b\r\n\r\nbody\r\n", "\"ab\""),
        // A bare CR is an octet like others, and ends no line.
        (b"Subject: a\rTo: b@c\r\n\r\nbody\r\n", "{9}\r\na\rTo: b@c"),
        (b"Subject: a\n\nbody\r\n", "\"a\""),
        (b"Subject : a\r\n\r\nbody\r\n", "\"a\""),
        (b"SUBJECT:a\r\n\r\nbody\r\n", "\"a\""),
        // obs-FWS: a line of blanks folds, and ends no header.
        (b"Subject: a\r\n \r\n b\r\n\r\nbody\r\n", "\"a  b\""),
        (b"Subject: \r\n \t\r\n\r\nbody\r\n", "\"\""),
        (b"Subject:\r\n a\r\n\r\nbody\r\n", "\"a\""),
        // mbox lines, an escaped one too.
        (b"From a@b Fri Nov 21 10:00:00 2025\nSubject: a\n\nbody\r\n", "\"a\""),
        (b">From a@b Fri Nov 21 10:00:00 2025\nSubject: a\n\nbody\r\n", "\"a\""),
        (b"X: y\r\nno field\r\nSubject: a\r\n\r\nbody\r\n", "\"a\""),
        (b"Subject: a\r\nSubject: b\r\n\r\nbody\r\n", "\"a\""),
    ];
    for (raw, subject) in known {
        let shown = String::from_utf8_lossy(raw);
        assert_eq!(envelope(raw), of_subject(subject), "{shown}");
        assert_eq!(bodystructure(raw), BODY, "{shown}");
    }
    let latin = b"Subject: caf\xe9\r\n\r\nbody\r\n";
    assert!(check(latin).envelope.starts_with(b"(NIL {4}\r\ncaf\xe9 NIL"));
    assert_eq!(check(latin).subject, "caf\u{e9}");
}

#[test]
fn senders() {
    let raw = b"Sender: s@x\r\nReply-To: ,;\r\n\r\n";
    assert_eq!(envelope(raw), r#"(NIL NIL NIL ((NIL NIL "s" "x")) NIL NIL NIL NIL NIL NIL)"#);
    let raw = b"From: g:;\r\nTo:\r\nIn-Reply-To:\r\nMessage-ID: \r\n\r\n";
    let group = r#"((NIL NIL "g" NIL)(NIL NIL NIL NIL))"#;
    assert_eq!(envelope(raw), format!(r#"(NIL NIL {group} {group} {group} NIL NIL NIL "" "")"#));
    // The obsolete forms of RFC 5322 \u{a7}4.4: empty members, blanks around dots, a route, a comment within.
    let raw = b"From: ,, a . b @ c . d ,,\r\nCc: x <@r,@s:(c) e@f>\r\nBcc: \"a\" . \"b\"@c\r\n\r\n";
    let from = r#"((NIL NIL "a.b" "c.d"))"#;
    let expected =
        format!(r#"(NIL NIL {from} {from} {from} NIL (("x" "@r,@s" "e" "f")) ((NIL NIL "a.b" "c")) NIL NIL)"#);
    assert_eq!(envelope(raw), expected);
}

#[test]
fn messages_that_are_hardly_any() {
    let text = |octets, lines| {
        format!(r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" {octets} {lines} NIL NIL NIL NIL)"#)
    };
    for (raw, octets, lines) in [
        (&b""[..], 0, 0),
        (b"\r\n", 0, 0),
        (b"\r\n\r\n", 2, 1),
        (b"\0", 1, 0),
        (b"\r\r\r", 3, 0),
        (b"no field, no header", 19, 0),
        (b" folded: nothing\r\n\r\n", 20, 2),
        (b"X: y", 0, 0),
    ] {
        assert_eq!(envelope(raw), NOTHING, "{raw:?}");
        assert_eq!(bodystructure(raw), text(octets, lines), "{raw:?}");
    }
}

#[test]
fn fields_of_mime() {
    let known = [
        // body-fld-enc is a string, whatever there is; parameters are NIL, never an empty list.
        ("Content-Type: a/b\r\nContent-Transfer-Encoding: (none)", r#""A" "B" NIL NIL NIL "7BIT" 6 NIL NIL NIL NIL"#),
        ("Content-Type: a/b\r\nContent-Transfer-Encoding: \"x\"", r#""A" "B" NIL NIL NIL "7BIT" 6 NIL NIL NIL NIL"#),
        (
            "Content-Type: a/b;\r\nContent-Transfer-Encoding: x-Own;y",
            r#""A" "B" NIL NIL NIL "X-OWN" 6 NIL NIL NIL NIL"#,
        ),
        ("Content-Type: a/b; c=", r#""A" "B" ("c" "") NIL NIL "7BIT" 6 NIL NIL NIL NIL"#),
        ("Content-Type: a/b; c=\"\\\"\"", r#""A" "B" ("c" "\"") NIL NIL "7BIT" 6 NIL NIL NIL NIL"#),
        ("Content-Type: a/b; c=\"d", r#""A" "B" ("c" "d") NIL NIL "7BIT" 6 NIL NIL NIL NIL"#),
        (
            "Content-Type: A (x) / (y) B ; (z) c (z) = (z) d (z)",
            r#""A" "B" ("c" "d") NIL NIL "7BIT" 6 NIL NIL NIL NIL"#,
        ),
        ("Content-Type: text/html", r#""TEXT" "HTML" NIL NIL NIL "7BIT" 6 1 NIL NIL NIL NIL"#),
        ("Content-Type: a/b\r\nContent-Disposition:", r#""A" "B" NIL NIL NIL "7BIT" 6 NIL NIL NIL NIL"#),
        (
            "Content-Type: a/b\r\nContent-ID:\r\nContent-Description: \r\n x",
            r#""A" "B" NIL "" "x" "7BIT" 6 NIL NIL NIL NIL"#,
        ),
        (
            "Content-Type: a/b\r\nContent-MD5:\r\nContent-Language: ,\r\nContent-Location:",
            r#""A" "B" NIL NIL NIL "7BIT" 6 "" NIL NIL """#,
        ),
        ("Content-Type: a/b\r\nContent-Type: c/d", r#""A" "B" NIL NIL NIL "7BIT" 6 NIL NIL NIL NIL"#),
        (
            "Content-Type: multipart/mixed",
            r#""TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 6 1 NIL NIL NIL NIL"#,
        ),
        ("Content-Type: message/rfc822", r#""TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 6 1 NIL NIL NIL NIL"#),
    ];
    for (header, expected) in known {
        let told = bodystructure(format!("{header}\r\n\r\nbody\r\n").as_bytes());
        let inner = format!(r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 6 {NOTHING} ({expected}) 1 NIL NIL NIL NIL)"#);
        let expected = if header.ends_with("rfc822") { inner } else { format!("({expected})") };
        assert_eq!(told, expected, "{header}");
    }
}

#[test]
fn a_multipart_has_no_encoding() {
    let raw = b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n--b\r\n\r\nbody\r\n\r\n--b--";
    assert_eq!(bodystructure(raw), format!(r#"({BODY} "MIXED" ("boundary" "b") NIL NIL NIL)"#));
    assert!(check(raw).text.ends_with("body\r\n\n"));
}

#[test]
fn texts_that_cannot_be_read_are_found_all_the_same() {
    let known: [(&str, &[u8], &str); 6] = [
        ("text/plain; charset=x-unknown", b"caf\xe9 Xyz", "caf\u{e9} xyz"),
        ("text/plain; charset=utf-8", b"caf\xe9 Xyz", "caf\u{fffd} xyz"),
        ("text/plain; charset=utf-7", b"caf+AOk- Xyz", "caf\u{e9} xyz"),
        ("text/plain\r\nContent-Transfer-Encoding: base64", b"!!\r\nWH\0l6 =*= IFg=\xff", "xyz x"),
        ("text/plain\r\nContent-Transfer-Encoding: quoted-printable", b"X=\r\ny=7A=4 =G1=", "xyz=4 =g1"),
        ("text/plain\r\nContent-Transfer-Encoding: x-unknown", b"Xyz", "xyz"),
    ];
    for (header, body, expected) in known {
        let raw = [b"Content-Type: ", header.as_bytes(), b"\r\n\r\n", body].concat();
        let told = check(&raw);
        assert_eq!(super::super::body_text(&told.text).trim_end(), expected, "{header}");
    }
}
