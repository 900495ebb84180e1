//! Random changes to good input: nothing panics, and the frames don't depend on the chunking.
//!
//! The seed is fixed, so that a failure is the same the next time.

use bumpalo::Bump;

use super::{imap, pop3, sasl, smtp};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound
    }
}

const IMAP: &[&[u8]] = &[
    b"a1 LOGIN \"fr\\\"ed\" {6+}\r\nsesame\r\n",
    b"a2 AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q=\r\n",
    b"a3 LIST \"~peter/&U,BTFw-/\" \"&ZeVnLIqe-%*\"\r\n",
    b"a4 STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)\r\n",
    b"a5 APPEND {5}\r\nINBOX (\\Seen $x) \" 7-Feb-1994 21:52:25 -0800\" {3+}\r\nabc\r\n",
    b"a6 FETCH 1:3,*:5 (FULL BODY.PEEK[1.2.HEADER.FIELDS.NOT (A \"b\" {1+}\r\nc)]<0.9> RFC822.PEEK)\r\n",
    b"a7 UID STORE 9:1 -FLAGS.SILENT (\\Deleted \\Answered k)\r\n",
    b"a8 STORE 2 +FLAGS \\Seen x\r\n",
    b"a9 SEARCH CHARSET UTF-8 OR (SEEN NOT 1:*) HEADER a \"b\" SINCE \"1-Feb-1994\" \
      LARGER 9 TEXT {2+}\r\n\xc3\xbc UID 4\r\n",
    b"b1 UID EXPUNGE 1,2,3:*\r\n",
    b"b2 CREATE Entw\xc3\xbcrfe\r\n",
    b"b4 UID COPY 1:*,4 \"a &- b\"\r\n",
    b"b5 MOVE 3,1 {5+}\r\nINBOX\r\n",
    b"b6 SEARCH CHARSET \"ISO-8859-1\" BODY {1+}\r\n\xfc SENTSINCE 1-Feb-1994\r\n",
    b"b3 APPEND x UTF8 (~{2+}\r\n\0\n)\r\n",
    b"b4 LIST (SUBSCRIBED RECURSIVEMATCH REMOTE SPECIAL-USE) \"\" (%/a {1+}\r\n* \"&APw-\") RETURN (CHILDREN \
      STATUS (UNSEEN RECENT) SUBSCRIBED SPECIAL-USE)\r\n",
    b"b5 LSUB {0+}\r\n \"%\"\r\n",
    b"b6 CREATE Sent (USE (\\Sent \\Trash))\r\n",
    b"b7 RENAME inbox/a {3+}\r\nb c\r\n",
    b"b8 ID (\"name\" NIL {2+}\r\nos \"x\")\r\n",
    b"b9 ENABLE CONDSTORE UTF8=ACCEPT\r\n",
];

const SMTP: &[&[u8]] = &[
    b"EHLO [IPv6:fe80::1]\r\n",
    b"MAIL FROM:<\"a\\\"b\"@c.example> SIZE=99 BODY=8BITMIME AUTH=e+3Dmc2@x\r\n",
    b"RCPT TO:<Postmaster>\r\n",
    b"RCPT TO:<@r:a@[127.0.0.1]> X=1\r\n",
    b"AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n",
    b"VRFY a\r\n",
    b"MAIL FROM:<\xc3\xbc@\xc3\xa9.example> SMTPUTF8 RET=HDRS ENVID=a+2Bb\r\n",
    b"RCPT TO:<a@b> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;\xc3\xbc+40x\r\n",
    b"BDAT 86 LAST\r\n",
];

const DATA: &[&[u8]] =
    &[b"Received: a\r\nSubject: b\r\n\r\n..c\r\n.d\r\n.\r\n", b"a\r\n.\r\r\n\n.\n.\r\n.\r\nQUIT\r\n", b".\r\n"];

const POP3: &[&[u8]] = &[
    b"USER mrose\r\n",
    b"PASS a b\r\n",
    b"AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n",
    b"TOP 12 34\r\n",
    b"RETR 4294967294\r\n",
    b"LIST 1\r\n",
    b"UIDL\r\n",
];

const MESSAGES: &[&[u8]] = &[b"Subject: a\r\n\r\n.b\r\n..\r\n", b"a: b\n\n.\nc\n", b".\r\n\r\n.\r\r\n\n."];

/// What is put in: what the grammars are made of, and what they must not meet.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b"\"",
    b"\\",
    b"(",
    b")",
    b"{",
    b"}",
    b"{3}\r\n",
    b"{2+}\r\n",
    b"{4294967296}",
    b"{0}",
    b"~{1}\r\n",
    b" ",
    b"*",
    b"%",
    b"&",
    b"-",
    b"&AGE-",
    b"[",
    b"]",
    b"<",
    b">",
    b".",
    b"..",
    b",",
    b":",
    b"@",
    b"=",
    b"+",
    b"0",
    b"4294967295",
    b"99999999999999999999",
    b"\xff",
    b"\xc3\xbc",
    b"NOT ",
    b"NIL",
    b"RETURN ",
    b"STATUS ",
    b"OR ",
    b"UID ",
    b"APPEND ",
    b"\r\n.\r\n",
    b"Received:",
];

fn mutate(random: &mut Random, seeds: &[&[u8]], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(seeds[random.below(seeds.len())]);
    if random.below(4) == 0 {
        out.extend_from_slice(seeds[random.below(seeds.len())]);
    }
    for _ in 0..random.below(4) {
        let at = random.below(out.len() + 1);
        match random.below(4) {
            0 => drop(out.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
            1 => drop(out.drain(at..(at + random.below(6)).min(out.len()))),
            2 => out.insert(at, random.below(256) as u8),
            _ => {
                if let Some(byte) = out.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
}

const LIMITS: imap::Limits =
    imap::Limits { line_bytes: 120, literal_bytes: 8, literals_bytes: 14, literals: 3, skip_bytes: 150, append: true };

/// The frames of `stream`, given in pieces of at most `step` bytes; each command is parsed. The sum tells runs apart.
fn imap_frames(arena: &mut Bump, stream: &[u8], step: usize) -> (u64, usize) {
    let mut framer = imap::Framer::default();
    let (mut start, mut end, mut sum, mut commands) = (0, 0, 0u64, 0);
    let mut note = |kind: u64, from: usize, to: usize| {
        sum = sum.wrapping_mul(0x100_0000_01B3).wrapping_add(kind << 48 ^ (from as u64) << 24 ^ to as u64);
    };
    loop {
        let input = &stream[start..end];
        arena.reset();
        match framer.next(input, &LIMITS) {
            imap::Frame::Partial if end == stream.len() => return (sum, commands),
            imap::Frame::Partial => end = (end + step).min(stream.len()),
            imap::Frame::Continue => note(1, start, 0),
            imap::Frame::Command { length } => {
                commands += usize::from(imap::parse(arena, &input[..length]).is_ok());
                note(2, start, start + length);
                start += length;
            }
            imap::Frame::AppendLiteral { head, size, .. } => {
                commands += usize::from(imap::parse_append_head(arena, &input[..head]).is_ok());
                note(3, start, start + head);
                start += head;
                if size as usize > stream.len() - start {
                    return (sum, commands);
                }
                start += size as usize;
                end = end.max(start);
                framer.resume_after_append();
            }
            imap::Frame::Refused { length, close, .. } => {
                start += length;
                if close {
                    note(4, 0, 0); // where it gave up is a matter of the pieces
                    return (sum, commands);
                }
                note(5, start, 0);
            }
            imap::Frame::Skipped { length } => start += length,
        }
    }
}

#[test]
fn imap_commands() {
    let mut random = Random(0x5EED_0001_5EED_0001);
    let (mut arena, mut stream, mut good) = (Bump::new(), Vec::new(), 0);
    for _ in 0..40_000 {
        mutate(&mut random, IMAP, &mut stream);
        let whole = imap_frames(&mut arena, &stream, stream.len().max(1));
        let step = 1 + random.below(9);
        assert_eq!(imap_frames(&mut arena, &stream, step), whole, "in steps of {step}: {}", stream.escape_ascii());
        good += whole.1;
        // The parser may not rely on its framer.
        arena.reset();
        let _ = imap::parse(&arena, &stream);
        let _ = imap::parse_append_head(&arena, &stream);
    }
    assert!(good > 10_000, "{good}");
}

#[test]
fn smtp_commands() {
    let mut random = Random(0x5EED_0002_5EED_0002);
    let (mut line, mut good) = (Vec::new(), 0);
    for _ in 0..40_000 {
        mutate(&mut random, SMTP, &mut line);
        match smtp::parse(&line) {
            Ok(_) => good += 1,
            Err(error) => assert!((500..=555).contains(&error.code()) && error.enhanced().starts_with("5.")),
        }
        let mut message = [0; 16];
        if let Ok(length) = sasl::decode(&line, true, &mut message) {
            let _ = sasl::plain(&message[..length]);
        }
        let _ = sasl::plain(&line);
    }
    assert!(good > 5_000, "{good}");
}

#[test]
fn message_data() {
    let mut random = Random(0x5EED_0003_5EED_0003);
    let (mut stream, mut ends) = (Vec::new(), 0);
    for _ in 0..40_000 {
        mutate(&mut random, DATA, &mut stream);
        let whole = data(&stream, stream.len().max(1));
        let step = 1 + random.below(5);
        assert_eq!(data(&stream, step), whole, "in steps of {step}: {}", stream.escape_ascii());
        // The definition: the text ends where it says, nowhere else.
        let end = if stream.starts_with(b".\r\n") {
            Some(3)
        } else {
            memchr::memmem::find(&stream, b"\r\n.\r\n").map(|at| at + 5)
        };
        assert_eq!(whole.1, end, "{}", stream.escape_ascii());
        ends += usize::from(end.is_some());
    }
    assert!(ends > 10_000, "{ends}");
}

#[test]
fn pop3_commands() {
    let mut random = Random(0x5EED_0004_5EED_0004);
    let (mut line, mut good) = (Vec::new(), 0);
    for _ in 0..40_000 {
        mutate(&mut random, POP3, &mut line);
        let command = pop3::parse(&line);
        good += usize::from(command.is_ok());
        if let Ok(pop3::Command::Retr { message } | pop3::Command::Top { message, .. }) = command {
            assert!(message > 0, "{}", line.escape_ascii());
        }
    }
    assert!(good > 5_000, "{good}");
}

#[test]
fn pop3_messages() {
    let mut random = Random(0x5EED_0005_5EED_0005);
    let (mut message, mut tops) = (Vec::new(), 0);
    for _ in 0..40_000 {
        mutate(&mut random, MESSAGES, &mut message);
        // The definition: whole lines that end in CRLF, a dot before those that begin with one, and the final one.
        let mut lines: Vec<&[u8]> = message.split(|octet| *octet == b'\n').collect();
        let last = lines.pop().unwrap_or_default();
        let mut lines: Vec<&[u8]> = lines.iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
        let empty = lines.iter().position(|line| line.is_empty());
        lines.extend((!last.is_empty()).then_some(last));
        let wire = |lines: &[&[u8]]| {
            let mut out = Vec::new();
            for line in lines {
                out.extend_from_slice(if line.starts_with(b".") { b"." } else { b"" });
                out.extend_from_slice(line);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b".\r\n");
            out
        };
        let step = 1 + random.below(9);
        assert_eq!(sent(pop3::Stuffer::whole(), &message, step), wire(&lines), "{}", message.escape_ascii());
        let count = random.below(4);
        let end = empty.map_or(lines.len(), |empty| lines.len().min(empty + 1 + count));
        tops += usize::from(end < lines.len());
        assert_eq!(sent(pop3::Stuffer::top(count as u32), &message, step), wire(&lines[..end]), "TOP {count}");
    }
    assert!(tops > 5_000, "{tops}");
}

fn sent(mut stuffer: pop3::Stuffer, message: &[u8], step: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        match stuffer.next(message, step) {
            pop3::Piece::Octets(range) => out.extend_from_slice(&message[range]),
            pop3::Piece::Insert(octets) => out.extend_from_slice(octets),
            pop3::Piece::End => return out,
        }
    }
}

fn data(stream: &[u8], step: usize) -> (Vec<u8>, Option<usize>, Option<smtp::Violation>, usize) {
    let mut framer = smtp::DataFramer::with_line_max(30);
    let (mut text, mut start, mut end, mut over) = (Vec::new(), 0, 0, None);
    while over.is_none() && (start < stream.len() || end < stream.len()) {
        end = end.max(start);
        match framer.next(&stream[start..end]) {
            smtp::DataPiece::Partial => end = (end + step).min(stream.len()),
            smtp::DataPiece::Text { text: piece, consumed } => {
                assert!(consumed > 0);
                text.extend_from_slice(piece);
                start += consumed;
            }
            smtp::DataPiece::End { consumed, .. } => over = Some(start + consumed),
        }
    }
    (text, over, framer.violation(), framer.received())
}
