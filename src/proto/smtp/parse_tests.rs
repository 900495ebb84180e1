//! Every SMTP command as the RFCs write it, and what is refused with which codes.

use super::*;

fn mail<'a>(local: &'a str, domain: &'a str) -> Command<'a> {
    Command::Mail { from: Some(Mailbox { local, domain }), size: None, body: None, auth: None }
}

#[test]
fn commands() {
    let null = Command::Mail { from: None, size: None, body: None, auth: None };
    let rcpt = |local, domain| Command::Rcpt { to: Mailbox { local, domain } };
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
            Command::Mail {
                from: Some(Mailbox { local: "a", domain: "b" }),
                size: Some(1_000_000),
                body: Some(Body::EightBitMime),
                auth: Some("e+3Dmc2@example.com"),
            },
        ),
        (
            "MAIL FROM:<> BODY=7BIT AUTH=<> SIZE=99999999999999999999",
            Command::Mail { from: None, size: Some(u64::MAX), body: Some(Body::SevenBit), auth: Some("<>") },
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
        ("MAIL FROM:<a@b> SMTPUTF8", 555, "5.5.4"),
        ("MAIL FROM:<a@b> ENVID=x", 555, "5.5.4"),
        ("MAIL FROM:<a@b> =x", 555, "5.5.4"),
        ("RCPT TO:<a@b> NOTIFY=NEVER", 555, "5.5.4"),
        ("RCPT TO:<a@b> x", 555, "5.5.4"),
        ("RCPT TO:a@b", 501, "5.5.4"),
        ("RCPT TO:<a@b>x", 501, "5.5.4"),
        ("RCPT TO:<>", 501, "5.1.3"),
        ("RCPT TO:<a>", 501, "5.1.3"),
        ("RCPT TO:<a@b", 501, "5.1.3"),
        ("RCPT TO:<\"\"@x>", 501, "5.1.3"),
        ("RCPT TO:<\"a\\", 501, "5.1.3"),
        ("RCPT TO:<@hosta.int,@jkl.org:userc@d.bar.org>", 501, "5.1.3"),
        ("RCPT TO:<müller@x>", 501, "5.1.3"),
        ("MAIL FROM:<\"\"@x>", 501, "5.1.3"),
        ("MAIL FROM:<\"a\\", 501, "5.1.3"),
        ("MAIL FROM:<@r:a@x>", 501, "5.1.3"),
        ("MAIL FROM:<müller@x> SMTPUTF8", 501, "5.1.3"),
        ("VRFY müller", 501, "5.1.3"),
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
