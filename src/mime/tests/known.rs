//! Known answers: the RFCs' examples, and one message for every malformation we know of.

use super::super::*;
use super::grammar::{body, check};

fn shape(raw: &str) -> String {
    fn show(body: &super::grammar::Body) -> String {
        let inside: Vec<_> = body.children.iter().map(show).collect();
        let inside = if inside.is_empty() { body.octets.to_string() } else { inside.join(" ") };
        format!("{}({inside})", body.subtype.to_ascii_lowercase())
    }
    show(&body(&check(raw.as_bytes()).bodystructure, true))
}

fn leaves(raw: &str) -> Vec<String> {
    let told = check(raw.as_bytes());
    let leaves = told.parts.iter().filter(|part| part.kind == Kind::Leaf);
    leaves.map(|part| String::from_utf8_lossy(part.body(raw.as_bytes())).into_owned()).collect()
}

fn crlf(raw: &str) -> String {
    raw.replace('\n', "\r\n")
}

fn wire(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

#[test]
fn rfc_3501_body_examples() {
    let lines = |octets: usize, lines: usize| {
        let mut text = "x".repeat(octets - 2 * lines);
        text.push_str(&"\r\n".repeat(lines));
        text
    };
    let raw = format!("Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n{}", lines(3028, 92));
    let told = check(raw.as_bytes());
    let expected = r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 3028 92)"#;
    assert_eq!(wire(&super::super::body(raw.as_bytes(), &told)), expected);
    let expected = r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 3028 92 NIL NIL NIL NIL)"#;
    assert_eq!(wire(&told.bodystructure), expected);

    let raw = format!(
        "MIME-Version: 1.0\r\nContent-Type: MULTIPART/MIXED; BOUNDARY=\"b\"\r\n\r\n--b\r\n\
         Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n{}\r\n--b\r\n\
         Content-Type: TEXT/PLAIN; CHARSET=US-ASCII; NAME=cc.diff\r\n\
         Content-ID: <960723163407.20117h@cac.washington.edu>\r\nContent-Description: Compiler diff\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
        lines(1152, 23),
        lines(4554, 73)
    );
    let told = check(raw.as_bytes());
    let expected = concat!(
        r#"(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23)"#,
        r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "NAME" "cc.diff") "<960723163407.20117h@cac.washington.edu>" "#,
        r#""Compiler diff" "BASE64" 4554 73) "MIXED")"#
    );
    assert_eq!(wire(&super::super::body(raw.as_bytes(), &told)), expected);
}

#[test]
fn rfc_2046_simple_boundary() {
    let raw = crlf(concat!(
        "From: Nathaniel Borenstein <nsb@bellcore.com>\nTo: Ned Freed <ned@innosoft.com>\n",
        "Date: Sun, 21 Mar 1993 23:56:48 -0800 (PST)\nSubject: Sample message\nMIME-Version: 1.0\n",
        "Content-type: multipart/mixed; boundary=\"simple boundary\"\n\n",
        "This is the preamble.  It is to be ignored, though it\nis a handy place for composition agents to include an\n",
        "explanatory note to non-MIME conformant readers.\n\n--simple boundary\n\n",
        "This is implicitly typed plain US-ASCII text.\nIt does NOT end with a linebreak.\n--simple boundary\n",
        "Content-type: text/plain; charset=us-ascii\n\n",
        "This is explicitly typed plain US-ASCII text.\nIt DOES end with a linebreak.\n\n--simple boundary--\n\n",
        "This is the epilogue.  It is also to be ignored.\n"
    ));
    let expected = [
        "This is implicitly typed plain US-ASCII text.\r\nIt does NOT end with a linebreak.",
        "This is explicitly typed plain US-ASCII text.\r\nIt DOES end with a linebreak.\r\n",
    ];
    assert_eq!(leaves(&raw), expected);
    let told = check(raw.as_bytes());
    assert_eq!(told.parts.iter().map(|part| part.lines).collect::<Vec<_>>(), [17, 1, 2]);
    assert!(!told.text.contains("preamble") && told.text.contains("explicitly typed plain us-ascii"));
}

#[test]
fn rfc_2049_complex_multipart() {
    let raw = crlf(concat!(
        "MIME-Version: 1.0\nFrom: Nathaniel Borenstein <nsb@nsb.fv.com>\nTo: Ned Freed <ned@innosoft.com>\n",
        "Date: Fri, 07 Oct 1994 16:15:05 -0700 (PDT)\nSubject: A multipart example\n",
        "Content-Type: multipart/mixed;\n             boundary=unique-boundary-1\n\n",
        "This is the preamble area of a multipart message.\n\n--unique-boundary-1\n\n",
        "  ... Some text appears here ...\n\n--unique-boundary-1\nContent-type: text/plain; charset=US-ASCII\n\n",
        "This could have been part of the previous part.\n\n--unique-boundary-1\n",
        "Content-Type: multipart/parallel; boundary=unique-boundary-2\n\n--unique-boundary-2\n",
        "Content-Type: audio/basic\nContent-Transfer-Encoding: base64\n\n  ... base64 ...\n\n--unique-boundary-2\n",
        "Content-Type: image/jpeg\nContent-Transfer-Encoding: base64\n\n  ... base64 ...\n\n--unique-boundary-2--\n\n",
        "--unique-boundary-1\nContent-type: text/enriched\n\nThis is <bold><italic>enriched.</italic></bold>\n\n",
        "--unique-boundary-1\nContent-Type: message/rfc822\n\nFrom: (mailbox in US-ASCII)\n",
        "To: (address in US-ASCII)\nSubject: (subject in US-ASCII)\nContent-Type: Text/plain; charset=ISO-8859-1\n",
        "Content-Transfer-Encoding: Quoted-printable\n\n  ... Additional text in ISO-8859-1 goes here ...\n\n",
        "--unique-boundary-1--\n"
    ));
    let told = check(raw.as_bytes());
    let expected = concat!(
        r#"(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 34 1)"#,
        r#"("TEXT" "PLAIN" ("charset" "US-ASCII") NIL NIL "7BIT" 49 1)"#,
        r#"(("AUDIO" "BASIC" NIL NIL NIL "BASE64" 18)("IMAGE" "JPEG" NIL NIL NIL "BASE64" 18) "PARALLEL")"#,
        r#"("TEXT" "ENRICHED" NIL NIL NIL "7BIT" 49 1)"#,
        r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 232 "#,
        r#"(NIL "(subject in US-ASCII)" NIL NIL NIL NIL NIL NIL NIL NIL) "#,
        r#"("TEXT" "PLAIN" ("charset" "ISO-8859-1") NIL NIL "QUOTED-PRINTABLE" 51 1) 7) "MIXED")"#
    );
    assert_eq!(wire(&super::super::body(raw.as_bytes(), &told)), expected);
}

#[test]
fn extension_data() {
    let raw = concat!(
        "Content-Type: image/png; name*0=a; name*1*=%20b\r\nContent-Transfer-Encoding: BASE64\r\n",
        "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\nContent-Disposition: attachment; filename=\"na\\\"me\"\r\n",
        "Content-Language: en, de\r\nContent-Location: http://x/\r\n y\r\n\r\nAAAA"
    );
    let expected = concat!(
        r#"("IMAGE" "PNG" ("name*0" "a" "name*1*" "%20b") NIL NIL "BASE64" 4 "#,
        r#""Q2hlY2sgSW50ZWdyaXR5IQ==" ("attachment" ("filename" "na\"me")) ("en" "de") "http://x/ y")"#
    );
    assert_eq!(wire(&check(raw.as_bytes()).bodystructure), expected);
    let raw = "Content-Type: multipart/alternative; boundary=x; =bad\nContent-Disposition: inline\n\n--x\n--x--";
    let expected = concat!(
        r#"(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 0 0 NIL NIL NIL NIL) "ALTERNATIVE" "#,
        r#"("boundary" "x") ("inline" NIL) NIL NIL)"#
    );
    assert_eq!(wire(&check(raw.as_bytes()).bodystructure), expected);
    let raw = "Content-Type: text/plain; format=flowed\r\n\r\n";
    let expected = r#"("TEXT" "PLAIN" ("format" "flowed" "CHARSET" "US-ASCII") NIL NIL "7BIT" 0 0 NIL NIL NIL NIL)"#;
    assert_eq!(wire(&check(raw.as_bytes()).bodystructure), expected);
}

#[test]
fn digests_hold_messages() {
    let raw = concat!(
        "Content-Type: multipart/digest; boundary=\"-- x\"\n\n---- x\n\nSubject: one\n\n1\n---- x\n\nSubject: two\n\n2\n",
        "---- x\nContent-Type: text/plain\n\nthree\n---- x--\n"
    );
    assert_eq!(shape(raw), "digest(rfc822(plain(1)) rfc822(plain(1)) plain(5))");
    assert_eq!(leaves(raw), ["1", "2", "three"]);
}

#[test]
fn messages_of_nothing() {
    assert_eq!(shape(""), "plain(0)");
    assert_eq!(shape("\r\n"), "plain(0)");
    assert_eq!(shape("Subject: header only"), "plain(0)");
    assert_eq!(shape("Subject: header only\r\n\r\n"), "plain(0)");
    assert_eq!(leaves("no header\r\nat all"), ["no header\r\nat all"]);
    assert_eq!(shape("Content-Type: message/rfc822\n\n"), "rfc822(plain(0))");
    assert_eq!(shape("Content-Type: message/rfc822"), "rfc822(plain(0))");
}

#[test]
fn multiparts_without_parts_are_text() {
    assert_eq!(shape("Content-Type: multipart/mixed\n\n--x\n\na"), "plain(6)");
    assert_eq!(shape("Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\na"), "plain(5)");
    assert_eq!(shape("Content-Type: multipart/mixed; boundary=x\n\nno boundary"), "plain(11)");
    assert_eq!(shape("Content-Type: multipart/mixed; boundary=x\n\n--x--\n"), "plain(6)");
    assert_eq!(shape("Content-Type: multipart/mixed; boundary=x\n\n--x"), "mixed(plain(0))");
    let long = format!("Content-Type: multipart/mixed; boundary={0}\n\n--{0}\n\n", "x".repeat(300));
    assert!(shape(&long).starts_with("plain"));
    assert!(check(b"Content-Type: multipart/mixed\n\nSome Text").text.ends_with("some text\n"));
}

#[test]
fn boundaries_of_all_kinds() {
    let mixed = "Content-Type: multipart/mixed; boundary=";
    // One begins the other, either way round.
    let raw = format!("{mixed}a\n\n--a\n{mixed}ab\n\n--ab\n\n1\n--ab\n\n2\n--ab--\n--a\n\n3\n--a--\n");
    assert_eq!(shape(&raw), "mixed(mixed(plain(1) plain(1)) plain(1))");
    let raw = format!("{mixed}ab\n\n--ab\n{mixed}a\n\n--a\n\n1\n--a\n\n2\n--ab\n\n3\n--ab--\n");
    assert_eq!(shape(&raw), "mixed(mixed(plain(1) plain(1)) plain(1))");
    // The same one twice: the inner one takes its lines up to its end.
    let raw = format!("{mixed}a\n\n--a\n{mixed}a\n\n--a\n\n1\n--a--\nepilogue\n--a\n\n2\n--a--\n");
    assert_eq!(shape(&raw), "mixed(mixed(plain(1)) plain(1))");
    // Padding, text behind the boundary, a line that only begins so, no line end.
    assert_eq!(
        leaves(&format!("{mixed}\"a \"\n\n--a \t\r\n\n1\n--ab\n--a b\n --a\r\n--a--  \nx")),
        ["1\n--ab\n--a b\n --a"]
    );
    // Quoted, continued, percent-encoded.
    assert_eq!(leaves(&format!("{mixed}\"a\\\"b\"\n\n--a\"b\n\n1\n--a\"b--")), ["1"]);
    assert_eq!(leaves("Content-Type: multipart/x; boundary*0=a; boundary*1*=%62\n\n--ab\n\n1\n--ab--"), ["1"]);
    // Never closed; closed twice; a part after the close is epilogue.
    assert_eq!(leaves(&format!("{mixed}a\n\n--a\n\n1\n\n--a\n\n2\n")), ["1\n", "2\n"]);
    assert_eq!(leaves(&format!("{mixed}a\n\n--a\n\n1\n--a--\n--a\n\n2\n--a--")), ["1"]);
    // An outer boundary ends all that is inside, also inside a header.
    let raw = format!("{mixed}a\n\n--a\nContent-Type: message/rfc822\n\n{mixed}b\n\n--b\nX: y\n--a\n\n1");
    assert_eq!(shape(&raw), "mixed(rfc822(mixed(plain(0))) plain(1))");
}

#[test]
fn parts_without_header_or_body() {
    let mixed = "Content-Type: multipart/mixed; boundary=a\r\n\r\n";
    let cases = [
        ("--a\r\nno header\r\n--a--", "no header"),
        ("--a\r\n\r\nempty header\r\n--a--", "empty header"),
        ("--a\r\n\r\n--a--", ""),
        ("--a\r\n\r\n\r\n--a--", ""),
        ("--a\r\n\r\n\r\n\r\n--a--", "\r\n"),
        ("--a\r\nX: y\r\n--a--", ""),
        ("--a\r\nX: y\r\n\r\n--a--", ""),
        ("--a\n\n1\n\r\n--a--", "1\n"),
        ("--a\r\n\r\n1\n--a--", "1"),
    ];
    for (body, expected) in cases {
        assert_eq!(leaves(&format!("{mixed}{body}")), [expected], "{body}");
        // The same as the last thing in an inner multipart that its parent's boundary ends.
        let inner = body.strip_suffix("--").unwrap().replace("--a", "--b");
        let outer =
            "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
        let inner = inner.strip_suffix("--b").unwrap();
        assert_eq!(leaves(&format!("{outer}{inner}--c--")), [expected], "{body}");
    }
}

#[test]
fn encoded_messages_are_leaves() {
    let raw = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogYgo=";
    assert_eq!(shape(raw), "octet-stream(8)");
    assert_eq!(shape("Content-Type: message/global\n\nA: b\n\nc"), "global(plain(1))");
    assert_eq!(shape("Content-Type: message/delivery-status\n\nA: b\n\nc"), "delivery-status(7)");
}

#[test]
fn parts_over_the_limit_are_one_opaque_rest() {
    let raw = "Content-Type: multipart/mixed; boundary=a\n\n".to_owned() + &"--a\n\nx\n".repeat(100_000) + "--a--\n";
    let told = check(raw.as_bytes());
    assert_eq!(told.parts.len(), crate::limits::MIME_PARTS_MAX);
    let (last, others) = told.parts.split_last().unwrap();
    assert!(last.opaque && others.iter().all(|part| !part.opaque) && last.end as usize == raw.len());
    let root = body(&told.bodystructure, true);
    assert_eq!(root.children.last().map(|last| last.subtype.as_str()), Some("OCTET-STREAM"));
}

#[test]
fn depth_over_the_limit_is_opaque() {
    let mut raw = String::new();
    for level in 0..10_000 {
        raw.push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"));
    }
    for raw in [raw, "Content-Type: message/rfc822\n\n".repeat(10_000)] {
        let told = check(raw.as_bytes());
        assert_eq!(told.parts.len(), crate::limits::MIME_DEPTH_MAX + 1);
        assert!(told.parts.last().unwrap().opaque);
    }
}

#[test]
fn nested_envelopes_share_their_addresses() {
    let addresses = "a,".repeat(4000);
    let part = format!("--b\nContent-Type: message/rfc822\n\nFrom: {addresses}\nTo: {addresses}\n\n\n");
    let raw = "Content-Type: multipart/mixed; boundary=b\n\n".to_owned() + &part.repeat(450);
    let told = check(raw.as_bytes());
    assert_eq!(told.parts.len(), 901);
    assert!(told.bodystructure.len() < 1_000_000, "{}", told.bodystructure.len());
}

#[test]
fn search_text_is_decoded_and_folded() {
    let raw = concat!(
        "From: =?iso-8859-1?Q?Andr=C9?= <A@X>\r\nSUBJECT: Re: =?utf-8?B?R3LDnMOfZQ==?=\r\n =?utf-8?Q?_Now?=\r\nX-Raw: \u{c4}\r\n",
        "Message-ID: <1@X>\r\nReferences: <2@x>\r\nIn-Reply-To: <3@x>\r\n",
        "Content-Type: multipart/mixed; boundary=a\r\n\r\n",
        "--a\r\nContent-Type: text/html; charset=koi8-r\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<b>=F2=D5=D3=\r\n=D8</b>\r\n",
        "--a\r\nContent-Type: text/plain; charset=\"utf-8\"\r\nContent-Transfer-Encoding: base64\r\n\r\nw4TDlsOc\r\n",
        "--a\r\nContent-Type: application/pdf; name=FILE.pdf\r\n\r\nSECRET\r\n",
        "--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\nDeep\r\n--a--\r\n"
    );
    let told = check(raw.as_bytes());
    assert_eq!(told.subject, "re: grüße now");
    assert_eq!(told.base_subject, "grüße now");
    assert_eq!(told.from, "andré <a@x>");
    assert_eq!(told.message_id.as_deref(), Some("1@X"));
    assert_eq!(told.references, ["2@x", "3@x"]);
    let (header, rest) = told.text.split_once('\u{1}').unwrap();
    assert_eq!(super::super::body_text(&told.text), rest);
    assert!(header.starts_with("from: andré <a@x>\nsubject: re: grüße now\nx-raw: ä\n"));
    assert!(header.ends_with("content-type: multipart/mixed; boundary=a\n"));
    for text in ["<b>русь</b>\n", "\näöü\n", "name=file.pdf", "subject: inner\n", "deep\n"] {
        assert!(rest.contains(text), "{text}: {rest}");
    }
    assert!(!told.text.contains("secret"));
}

#[test]
fn text_is_bounded() {
    let raw = "Subject: x\n\n".to_owned() + &"É".repeat(crate::limits::MIME_TEXT_BYTES_MAX);
    let told = check(raw.as_bytes());
    assert!(told.text.len() > crate::limits::MIME_TEXT_BYTES_MAX - 4);
}

#[test]
fn a_structure_survives_its_archive() {
    let told = check(b"Subject: a\nMessage-ID: <b>\nContent-Type: multipart/x; boundary=c\n\n--c\n\nd\n--c--\n");
    let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(&told).unwrap();
    assert_eq!(rkyv::from_bytes::<Structure, rkyv::rancor::Error>(&bytes).unwrap(), told);
}
