//! Every SMTP command as the RFCs write it, and what is refused with which codes.

use super::*;
use crate::proto::smtp::{Body, Mailbox, Notify, Ret};

fn mail<'a>(local: &'a str, domain: &'a str) -> Command<'a> {
    Command::Mail(Mail { from: Some(Mailbox { local, domain }), ..Mail::default() })
}

fn rcpt<'a>(local: &'a str, domain: &'a str) -> Rcpt<'a> {
    Rcpt { to: Mailbox { local, domain }, notify: None, orcpt: None }
}

#[test]
fn commands() {
    let null = Command::Mail(Mail::default());
    let rcpt = |local, domain| Command::Rcpt(rcpt(local, domain));
    let auth = |mechanism, initial| Command::Auth { mechanism, initial };
    for (line, command) in [
        ("EHLO bar.com", Command::Ehlo { domain: "bar.com" }),
        ("ehlo [127.0.0.1]", Command::Ehlo { domain: "[127.0.0.1]" }),
        ("EHLO [IPv6:fe80::1]", Command::Ehlo { domain: "[IPv6:fe80::1]" }),
        ("EHLO ::1", Command::Ehlo { domain: "::1" }),
        ("HELO my_pc", Command::Helo { domain: "my_pc" }),
        ("LHLO foo.edu", Command::Lhlo { domain: "foo.edu" }),
        ("MAIL FROM:<Smith@bar.com>", mail("Smith", "bar.com")),
        ("mail from: <Smith@bar.com> ", mail("Smith", "bar.com")),
        ("MAIL FROM:<>", null),
        ("MAIL FROM:<postmaster>", mail("postmaster", "")),
        ("MAIL FROM:<\"a>b\"@c>", mail("\"a>b\"", "c")),
        (
            "MAIL FROM:<a@b> size=1000000  BODY=8bitmime AUTH=e+3Dmc2@example.com",
            Command::Mail(Mail {
                from: Some(Mailbox { local: "a", domain: "b" }),
                size: Some(1_000_000),
                body: Some(Body::EightBitMime),
                auth: Some("e+3Dmc2@example.com"),
                ..Mail::default()
            }),
        ),
        (
            "MAIL FROM:<> BODY=7BIT AUTH=<> SIZE=99999999999999999999",
            Command::Mail(Mail {
                size: Some(u64::MAX),
                body: Some(Body::SevenBit),
                auth: Some("<>"),
                ..Mail::default()
            }),
        ),
        ("RCPT TO:<Jones@xyz.com>", rcpt("Jones", "xyz.com")),
        ("RCPT TO:<Postmaster>", rcpt("Postmaster", "")),
        ("DATA", Command::Data),
        ("rset", Command::Rset),
        ("NOOP", Command::Noop),
        ("NOOP what ever", Command::Noop),
        ("QUIT  ", Command::Quit),
        ("HELP", Command::Help),
        ("HELP me", Command::Help),
        ("VRFY Crispin", Command::Vrfy { name: "Crispin" }),
        ("VRFY müller smtputf8", Command::Vrfy { name: "müller" }),
        ("BDAT 0", Command::Bdat { bytes: 0, last: false }),
        ("bdat 86 last", Command::Bdat { bytes: 86, last: true }),
        ("BDAT 99999999999999999999", Command::Bdat { bytes: u64::MAX, last: false }),
        ("EXPN Example-People", Command::Expn { name: "Example-People" }),
        ("STARTTLS", Command::StartTls),
        ("AUTH PLAIN", auth("PLAIN", None)),
        ("AUTH PLAIN =", auth("PLAIN", Some(b"="))),
        ("AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm", auth("PLAIN", Some(b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm"))),
        ("AUTH login *", auth("login", Some(b"*"))),
    ] {
        assert_eq!(parse(line.as_bytes()), Ok(command), "{line}");
        assert_eq!(parse(format!("{line}\r\n").as_bytes()), Ok(command), "{line}");
    }
}

/// Attacks 11 and 12 among others.
#[test]
fn refused() {
    let longest = format!("VRFY {}", "x".repeat(crate::limits::SMTP_PATH_BYTES_MAX));
    assert!(parse(longest.as_bytes()).is_ok());
    for tail in ["xxxxxxxxxx", "xxxxxxxxxx SMTPUTF8"] {
        assert_eq!(parse(format!("{longest}{tail}").as_bytes()).map_err(|error| error.code()), Err(501), "{tail}");
    }
    for (line, code, enhanced) in [
        ("", 500, "5.5.1"),
        ("FOO", 500, "5.5.1"),
        ("VERYLONGVERB x", 500, "5.5.1"),
        ("MAILFROM:<a@b>", 500, "5.5.1"),
        (" NOOP", 500, "5.5.1"),
        ("NOOP\n", 500, "5.5.2"),
        ("NOOP\r", 500, "5.5.2"),
        ("MAIL\tFROM:<a@b>", 500, "5.5.2"),
        ("EHLO", 501, "5.5.4"),
        ("EHLO a b", 501, "5.5.4"),
        ("EHLO a;b", 501, "5.5.4"),
        ("EHLO (a)", 501, "5.5.4"),
        ("EHLO ü", 501, "5.5.4"),
        ("DATA x", 501, "5.5.4"),
        ("RSET x", 501, "5.5.4"),
        ("QUIT x", 501, "5.5.4"),
        ("STARTTLS x", 501, "5.5.4"),
        ("VRFY", 501, "5.5.4"),
        ("EXPN ", 501, "5.5.4"),
        ("AUTH", 501, "5.5.4"),
        ("AUTH PLAIN a b", 501, "5.5.4"),
        ("AUTH PL@IN", 501, "5.5.4"),
        ("MAIL", 501, "5.5.4"),
        ("MAIL FROM", 501, "5.5.4"),
        ("MAIL FROM:", 501, "5.5.4"),
        ("MAIL FROM:a@b", 501, "5.5.4"),
        ("MAIL TO:<a@b>", 501, "5.5.4"),
        ("MAIL FROM:<a@b>SIZE=1", 501, "5.5.4"),
        ("MAIL FROM:<a@b> SIZE", 501, "5.5.4"),
        ("MAIL FROM:<a@b> SIZE=", 501, "5.5.4"),
        ("MAIL FROM:<a@b> SIZE=-1", 501, "5.5.4"),
        ("MAIL FROM:<a@b> SIZE=123456789012345678901", 501, "5.5.4"),
        ("MAIL FROM:<a@b> SIZE=1 SIZE=1", 501, "5.5.4"),
        ("MAIL FROM:<a@b> BODY=BINARYMIME", 501, "5.5.4"),
        ("MAIL FROM:<a@b> AUTH=", 501, "5.5.4"),
        ("MAIL FROM:<a@b> AUTH=a+0Db", 501, "5.5.4"),
        ("MAIL FROM:<a@b> AUTH=a+7F", 501, "5.5.4"),
        ("MAIL FROM:<a@b> AUTH=a+4", 501, "5.5.4"),
        ("MAIL FROM:<a@b> AUTH=a=b", 501, "5.5.4"),
        ("MAIL FROM:<a@b> SIZE=1\rX", 500, "5.5.2"),
        ("MAIL FROM:<a@b> SIZE=1\nRCPT TO:<c@d>", 500, "5.5.2"),
        ("MAIL FROM:<a@b> ENVID=\0", 500, "5.5.2"),
        ("MAIL FROM:<a@b> SMTPUTF8=x", 501, "5.5.4"),
        ("MAIL FROM:<a@b> SMTPUTF8 SMTPUTF8", 501, "5.5.4"),
        ("MAIL FROM:<a@b> SMTPUTF8X", 555, "5.5.4"),
        ("MAIL FROM:<a@b> =x", 555, "5.5.4"),
        ("BDAT", 501, "5.5.4"),
        ("BDAT x", 501, "5.5.4"),
        ("BDAT -1", 501, "5.5.4"),
        ("BDAT 1x", 501, "5.5.4"),
        ("BDAT LAST", 501, "5.5.4"),
        ("BDAT 5 FIRST", 501, "5.5.4"),
        ("BDAT 5 LAST LAST", 501, "5.5.4"),
        ("bdat 5\tLAST", 501, "5.5.4"),
        ("BDAT 123456789012345678901", 501, "5.5.4"),
        ("RCPT TO:<a@b> x", 555, "5.5.4"),
        ("RCPT TO:a@b", 501, "5.5.4"),
        ("RCPT TO:<a@b>x", 501, "5.5.4"),
        ("RCPT TO:<>", 501, "5.1.3"),
        ("RCPT TO:<a>", 501, "5.1.3"),
        ("RCPT TO:<a@b", 501, "5.1.3"),
        ("RCPT TO:<\"\"@x>", 501, "5.1.3"),
        ("RCPT TO:<\"a\\", 501, "5.1.3"),
        ("RCPT TO:<@hosta.int,jkl.org:userc@d.bar.org>", 501, "5.1.3"),
        ("RCPT TO:<mü\u{85}ller@x>", 501, "5.1.3"),
        ("MAIL FROM:<\"\"@x>", 501, "5.1.3"),
        ("MAIL FROM:<\"a\\", 501, "5.1.3"),
        ("MAIL FROM:<@r a@x>", 501, "5.1.3"),
        ("MAIL FROM:<müller@x>", 553, "5.6.7"),
        ("MAIL FROM:<a@müller.example>", 553, "5.6.7"),
        ("VRFY müller", 553, "5.6.7"),
    ] {
        let error = parse(line.as_bytes()).expect_err(line);
        assert_eq!((error.code(), error.enhanced()), (code, enhanced), "{line}");
        assert!(!error.text().is_empty());
    }
    assert_eq!(parse(b"RCPT TO:<a\xc3@x>"), Err(ParseError::Address));
    assert_eq!(parse(b"VRFY \xff"), Err(ParseError::ArgumentMissing));
    let long = format!("RCPT TO:<{}@x>", "a".repeat(1_000));
    assert_eq!(parse(long.as_bytes()), Err(ParseError::Address));
}

/// RFC 6531 §3.3: what the parameter allows.
#[test]
fn addresses_beyond_ascii() {
    let Ok(Command::Mail(mail)) = parse("MAIL FROM:<müller@bücher.example> BODY=8BITMIME smtputf8".as_bytes()) else {
        panic!("refused")
    };
    assert!(mail.utf8);
    assert_eq!(mail.from, Some(Mailbox { local: "müller", domain: "bücher.example" }));
    assert_eq!(mail.from.map(|from| from.ascii_domain()), Some("xn--bcher-kva.example".to_owned()));
    let Ok(Command::Rcpt(to)) = parse("RCPT TO:<\"用 户\"@例え.example>".as_bytes()) else { panic!("refused") };
    assert_eq!((to, to.is_ascii()), (rcpt("\"用 户\"", "例え.example"), false));
    let Ok(Command::Rcpt(to)) = parse("RCPT TO:<a@b> ORCPT=utf-8;ü@x".as_bytes()) else { panic!("refused") };
    assert_eq!((to.orcpt, to.is_ascii()), (Some("utf-8;ü@x"), false));
    assert_eq!(parse("RCPT TO:<a@b> ORCPT=rfc822;ü@x".as_bytes()), Err(ParseError::ParameterValue));
    assert_eq!(parse("RCPT TO:<a@b> ORCPT=utf-8;ü\u{85}@x".as_bytes()), Err(ParseError::ParameterValue));
}

/// RFC 3461 §4, and attack 12.
#[test]
fn notices_of_delivery() {
    let Ok(Command::Mail(mail)) = parse(b"MAIL FROM:<a@b> RET=hdrs ENVID=QQ314159+2B1") else { panic!("refused") };
    assert_eq!((mail.ret, mail.envid), (Some(Ret::Headers), Some("QQ314159+2B1")));
    for (value, notify) in [
        ("NEVER", Notify::default()),
        ("success", Notify { success: true, ..Notify::default() }),
        ("SUCCESS,FAILURE,DELAY", Notify { success: true, failure: true, delay: true }),
        ("FAILURE,DELAY", Notify { success: false, failure: true, delay: true }),
    ] {
        let line = format!("RCPT TO:<a@b> NOTIFY={value} ORCPT=rfc822;Bob@Example.COM");
        let Ok(Command::Rcpt(rcpt)) = parse(line.as_bytes()) else { panic!("{line} was refused") };
        assert_eq!((rcpt.notify, rcpt.orcpt), (Some(notify), Some("rfc822;Bob@Example.COM")));
        assert_eq!(notify.text(), value.to_uppercase());
    }
    let long = "x".repeat(600);
    for (command, values) in [
        ("MAIL FROM:<a@b> RET", &["", "NONE", "FULL,HDRS", "FULL RET=FULL"][..]),
        ("MAIL FROM:<a@b> ENVID", &["", "a+0Db", "a+0Ab", "a+00", "a+7F", "a+4", "a+zz", "a=b", "ü", &long[..101]]),
        ("RCPT TO:<a@b> NOTIFY", &["", "NEVER,SUCCESS", "SUCCESS,", "ALWAYS", "DELAY NOTIFY=DELAY"]),
        (
            "RCPT TO:<a@b> ORCPT",
            &["", "rfc822", ";a@b", "rfc822;", "r+41;a", "rfc822;a+0D+0ABcc:b", "rfc822;a+0a", &long],
        ),
    ] {
        for value in values {
            let line = format!("{command}={value}");
            let error = parse(line.as_bytes()).expect_err(&line);
            assert_eq!((error.code(), error.enhanced()), (501, "5.5.4"), "{line}");
        }
    }
    assert!(parse(format!("MAIL FROM:<a@b> ENVID={}", &long[..100]).as_bytes()).is_ok());
}
