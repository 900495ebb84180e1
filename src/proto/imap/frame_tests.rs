//! The framer against whole dialogues, cut in every way, and against what attackers send.

use super::*;

#[derive(Debug, PartialEq)]
enum Event {
    Continue,
    Command(Vec<u8>),
    Append {
        head: Vec<u8>,
        message: Vec<u8>,
        synchronising: bool,
    },
    /// With the bytes that were skipped after it.
    Refused {
        kind: Refusal,
        bytes: Vec<u8>,
        close: bool,
    },
}

/// What a session sees of `stream`, cut at `cuts`, up to a close.
fn events(stream: &[u8], cuts: &[usize], limits: &Limits) -> Vec<Event> {
    let mut framer = Framer::default();
    let mut seen = Vec::new();
    let mut start = 0;
    // An APPEND's message that is still coming.
    let mut wanted: Option<usize> = None;
    for &end in cuts.iter().chain([&stream.len()]) {
        loop {
            if let Some(size) = wanted {
                if end - start < size {
                    break;
                }
                let Some(Event::Append { message, .. }) = seen.last_mut() else { panic!("no APPEND") };
                message.extend_from_slice(&stream[start..start + size]);
                start += size;
                wanted = None;
                framer.resume_after_append();
            }
            let input = &stream[start..end];
            match framer.next(input, limits) {
                Frame::Partial => break,
                Frame::Continue => seen.push(Event::Continue),
                Frame::Command { length } => {
                    seen.push(Event::Command(input[..length].to_vec()));
                    start += length;
                }
                Frame::AppendLiteral { head, size, synchronising } => {
                    seen.push(Event::Append { head: input[..head].to_vec(), message: vec![], synchronising });
                    start += head;
                    wanted = Some(size as usize);
                }
                Frame::Refused { kind, length, close } => {
                    if close {
                        // How much of the line was skipped before is a matter of the pieces.
                        if let Some(Event::Refused { bytes, .. }) = seen.last_mut() {
                            bytes.clear();
                        }
                        seen.push(Event::Refused { kind, bytes: vec![], close });
                        return seen;
                    }
                    seen.push(Event::Refused { kind, bytes: input[..length].to_vec(), close });
                    start += length;
                }
                Frame::Skipped { length } => {
                    let Some(Event::Refused { bytes, .. }) = seen.last_mut() else { panic!("skipped, not refused") };
                    bytes.extend_from_slice(&input[..length]);
                    start += length;
                }
            }
        }
    }
    seen
}

/// The same for one piece, for every cut in two and byte by byte.
fn all_ways(stream: &[u8], limits: &Limits) -> Vec<Event> {
    let whole = events(stream, &[], limits);
    for cut in 0..stream.len() {
        assert_eq!(events(stream, &[cut], limits), whole, "cut at {cut} of {}", stream.escape_ascii());
    }
    let bytes: Vec<usize> = (0..stream.len()).collect();
    assert_eq!(events(stream, &bytes, limits), whole, "bytewise {}", stream.escape_ascii());
    whole
}

fn command(text: &str) -> Event {
    Event::Command(text.as_bytes().to_vec())
}

const SMALL: Limits =
    Limits { line_bytes: 40, literal_bytes: 20, literals_bytes: 25, literals: 3, skip_bytes: 200, append: true };

#[test]
fn commands_and_literals() {
    let stream = b"a1 NOOP\r\n\r\na2 LOGIN {3}\r\njoe {2+}\r\n\r\n {0}\r\n\r\n\
            A3 LOGIN \"a{5}\" \"b\\\" {3}\"\r\na4 SEARCH SUBJECT foo}\r\n\
            a5 X {3} y\r\na6 X ({1+}\r\n()\r\na7 X \"y \\\\\" {1}\r\nz\r\n";
    assert_eq!(
        all_ways(stream, &SMALL),
        [
            command("a1 NOOP\r\n"),
            command("\r\n"),
            Event::Continue,
            Event::Continue,
            command("a2 LOGIN {3}\r\njoe {2+}\r\n\r\n {0}\r\n\r\n"),
            command("A3 LOGIN \"a{5}\" \"b\\\" {3}\"\r\n"),
            command("a4 SEARCH SUBJECT foo}\r\n"),
            command("a5 X {3} y\r\n"),
            command("a6 X ({1+}\r\n()\r\n"),
            Event::Continue,
            command("a7 X \"y \\\\\" {1}\r\nz\r\n"),
        ]
    );
}

/// The example of RFC 3501 §6.3.11, and the other ways to send a message.
#[test]
fn appends() {
    let append = |head: &str, message: &[u8], synchronising| Event::Append {
        head: head.as_bytes().to_vec(),
        message: message.to_vec(),
        synchronising,
    };
    let stream = b"A003 APPEND saved-messages (\\Seen) {310}\r\n";
    let mut long = stream.to_vec();
    long.extend_from_slice(&[b'\n'; 310]);
    long.extend_from_slice(b"\r\n");
    let head = "A003 APPEND saved-messages (\\Seen) {310}\r\n";
    assert_eq!(all_ways(&long, &Limits::AFTER_AUTHENTICATION), [append(head, &[b'\n'; 310], true), command("\r\n")]);

    let stream = b"a append {5}\r\nINBOX () {2+}\r\n\r\n\r\n\
            b APPEND INBOX ~{3}\r\nx\0y\r\nc APPEND x UTF8 (~{1+}\r\n\n)\r\n\
            d NOOP\r\n";
    assert_eq!(
        all_ways(stream, &SMALL),
        [
            Event::Continue,
            append("a append {5}\r\nINBOX () {2+}\r\n", b"\r\n", false),
            command("\r\n"),
            append("b APPEND INBOX ~{3}\r\n", b"x\0y", true),
            command("\r\n"),
            append("c APPEND x UTF8 (~{1+}\r\n", b"\n", false),
            command(")\r\n"),
            command("d NOOP\r\n"),
        ]
    );
    // A second message is reported too, however long, for the session to refuse.
    let stream = b"a APPEND b {1+}\r\nx (\\Seen) {30+}\r\n123456789012345678901234567890 {1}\r\nz\r\nb NOOP\r\n";
    assert_eq!(
        all_ways(stream, &SMALL),
        [
            append("a APPEND b {1+}\r\n", b"x", false),
            append(" (\\Seen) {30+}\r\n", b"123456789012345678901234567890", false),
            append(" {1}\r\n", b"z", true),
            command("\r\n"),
            command("b NOOP\r\n"),
        ]
    );
    // Before authentication a message is a literal like others.
    let stranger = Limits { append: false, ..SMALL };
    assert!(matches!(
        all_ways(b"a APPEND b {21}\r\n", &stranger)[..],
        [Event::Refused { kind: Refusal::LiteralTooLarge, close: false, .. }]
    ));
}

fn refused(stream: &[u8], limits: &Limits) -> (Refusal, bool) {
    match &all_ways(stream, limits)[..] {
        [.., Event::Refused { kind, close, .. }] => (*kind, *close),
        other => panic!("{other:?} of {}", stream.escape_ascii()),
    }
}

/// Attack 18: judged by the number, before a byte of it is read.
#[test]
fn attack_18_literal_numbers() {
    use Refusal::*;
    for (marker, kind, close) in [
        ("{4294967295}", LiteralTooLarge, false),
        ("{4294967295+}", LiteralTooLarge, true),
        ("{4294967296}", LiteralMalformed, false),
        ("{99999999999999999999}", LiteralMalformed, false),
        ("{999999999999999999999+}", LiteralMalformed, true),
        ("{}", LiteralMalformed, false),
        ("{+}", LiteralMalformed, true),
        ("{-1}", LiteralMalformed, false),
        ("{1-}", LiteralMalformed, false),
        ("{ 1}", LiteralMalformed, false),
        ("{0x1}", LiteralMalformed, false),
        ("x{1}", LiteralMalformed, false),
        ("~~{1}", LiteralMalformed, false),
        ("\"a {1}", LiteralMalformed, false),
        ("\"a\\\" {1+}", LiteralMalformed, true),
        ("{3000}", LiteralTooLarge, false),
        ("{3000+}", LiteralTooLarge, true),
    ] {
        if marker == "{ 1}" {
            // A space ends an atom; the parser refuses what is left of this.
            assert_eq!(all_ways(b"a LOGIN { 1}\r\n", &SMALL), [command("a LOGIN { 1}\r\n")]);
            continue;
        }
        let stream = format!("a LOGIN {marker}\r\n");
        let limits = Limits::BEFORE_AUTHENTICATION;
        assert_eq!(refused(stream.as_bytes(), &limits), (kind, close), "{marker}");
        let stream = format!("a APPEND {marker}\r\n");
        assert_eq!(refused(stream.as_bytes(), &limits), (kind, close), "{marker}");
        // A message may be as large as a number is; the session has its limit. What is no number is none there either.
        if kind == LiteralMalformed {
            let stream = format!("a APPEND x {marker}\r\n");
            assert_eq!(refused(stream.as_bytes(), &Limits::AFTER_AUTHENTICATION), (kind, close), "{marker}");
        }
    }
    // Refused and not sent: the next command is read.
    let stream = b"a LOGIN {5000}\r\nb NOOP\r\n";
    assert_eq!(all_ways(stream, &SMALL)[1], command("b NOOP\r\n"));
}

/// Attack 19: number and sum.
#[test]
fn attack_19_many_literals() {
    let stream = [b"a X".to_vec(), b" {1+}\r\nx".repeat(1_000)].concat();
    let limits = Limits::BEFORE_AUTHENTICATION;
    assert!(matches!(
        events(&stream, &[], &limits)[..],
        [Event::Refused { kind: Refusal::LiteralsTooMany, close: true, .. }]
    ));
    assert_eq!(refused(b"a X {1}\r\nx {0}\r\n {1}\r\ny {1}\r\n", &SMALL), (Refusal::LiteralsTooMany, false));
    assert_eq!(refused(b"a X {20+}\r\nxxxxxxxxxxxxxxxxxxxx {6}\r\n", &SMALL), (Refusal::LiteralTooLarge, false));
    assert_eq!(refused(b"a X {20+}\r\nxxxxxxxxxxxxxxxxxxxx {6+}\r\n", &SMALL), (Refusal::LiteralTooLarge, true));
    // Text between literals counts as one line.
    let stream = b"a X {1+}\r\nx 0123456789 {1+}\r\nx 0123456789\r\nb NOOP\r\n";
    assert_eq!(refused(&stream[..stream.len() - 8], &SMALL), (Refusal::Line(Fault::TooLong), false));
    assert_eq!(all_ways(stream, &SMALL)[1], command("b NOOP\r\n"));
}

/// Attack 20: a line that never ends.
#[test]
fn attack_20_endless_line() {
    let mut framer = Framer::default();
    let limits = Limits::BEFORE_AUTHENTICATION;
    let chunk = [b'('; 4_000];
    let kind = Refusal::Line(Fault::TooLong);
    assert_eq!(framer.next(&chunk, &limits), Frame::Refused { kind, length: limits.line_bytes, close: false });
    let mut skipped = 0;
    loop {
        match framer.next(&chunk, &limits) {
            Frame::Skipped { length } => skipped += length,
            Frame::Refused { kind: again, close: true, .. } => {
                assert_eq!(again, kind);
                break;
            }
            other => panic!("{other:?}"),
        }
        assert!(skipped <= limits.skip_bytes);
    }
    assert!(skipped > limits.skip_bytes / 2);
    // One that ends is refused alone.
    let stream = [b"a X ".to_vec(), b"(".repeat(100), b"\r\nb NOOP\r\n".to_vec()].concat();
    let seen = all_ways(&stream, &SMALL);
    assert!(matches!(&seen[0], Event::Refused { bytes, close: false, .. } if bytes.len() == 106));
    assert_eq!(seen[1], command("b NOOP\r\n"));
    // The limit holds for the CRLF too, wherever it is cut.
    let exact = format!("a {}\r\n", "x".repeat(SMALL.line_bytes - 4));
    assert_eq!(all_ways(exact.as_bytes(), &SMALL), [command(&exact)]);
    let over = format!("a {}\r\n", "x".repeat(SMALL.line_bytes - 3));
    assert!(matches!(all_ways(over.as_bytes(), &SMALL)[..], [Event::Refused { close: false, .. }]));
}

/// What a refused line announces at its end can't be taken for commands.
#[test]
fn a_literal_behind_a_skipped_line_closes() {
    for fill in ["x".repeat(60), "x\0y".to_owned(), "a\nb".to_owned(), "a\rb".to_owned()] {
        let stream = format!("a X {fill} {{9+}}\r\nb LOGOUT\r\nc NOOP\r\n");
        let seen = all_ways(stream.as_bytes(), &SMALL);
        assert!(matches!(seen[..], [_, Event::Refused { close: true, .. }]), "{seen:?}");
        let stream = format!("a X {fill} {{9}}\r\nb NOOP\r\n");
        assert_eq!(all_ways(stream.as_bytes(), &SMALL)[1], command("b NOOP\r\n"));
    }
}

#[test]
fn bare_line_ends_and_nul() {
    for (stream, fault) in [
        (&b"a NOOP\nb NOOP\r\nc NOOP\r\n"[..], Fault::BareLf),
        (b"a NOOP\rb NOOP\r\nc NOOP\r\n", Fault::BareCr),
        (b"a NOOP\r\r\nc NOOP\r\n", Fault::BareCr),
        (b"\nc NOP\r\nc NOOP\r\n", Fault::BareLf),
        (b"a \0\r\nc NOOP\r\n", Fault::Nul),
        (b"a X {1+}\r\nx\0\r\nc NOOP\r\n", Fault::Nul),
    ] {
        let seen = all_ways(stream, &SMALL);
        assert!(matches!(seen[0], Event::Refused { kind: Refusal::Line(found), close: false, .. } if found == fault));
        assert_eq!(seen[1..], [command("c NOOP\r\n")]);
    }
    // Within a literal they are its business.
    assert_eq!(all_ways(b"a X {3+}\r\n\n\r\0\r\n", &SMALL), [command("a X {3+}\r\n\n\r\0\r\n")]);
}

#[test]
fn plain_lines() {
    let mut framer = Framer::default();
    let limits = Limits::BEFORE_AUTHENTICATION;
    assert_eq!(framer.next_line(b"AAA", 20, &limits), Frame::Partial);
    assert_eq!(framer.next_line(b"AAA {3+}\r", 20, &limits), Frame::Partial);
    assert_eq!(framer.next_line(b"AAA {3+}\r\nb NOOP\r\n", 20, &limits), Frame::Command { length: 10 });
    assert_eq!(framer.next(b"b NOOP\r\n", &limits), Frame::Command { length: 8 });
    let kind = Refusal::Line(Fault::TooLong);
    assert_eq!(framer.next_line(&[b'A'; 30], 20, &limits), Frame::Refused { kind, length: 20, close: false });
    assert_eq!(framer.next_line(b"AAAA\r\nDONE\r\n", 20, &limits), Frame::Skipped { length: 6 });
    assert_eq!(framer.next_line(b"DONE\r\n", 20, &limits), Frame::Command { length: 6 });
}
