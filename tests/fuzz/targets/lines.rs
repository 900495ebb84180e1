//! SMTP, LMTP and POP3: any chunking gives the same lines and the same text, any line parses or is refused, and a
//! message ends at CRLF.CRLF and nowhere else.
//!
//! The first octet says how the rest is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memchr::memmem;
use ringpost::proto::calendar;
use ringpost::proto::sasl;
use ringpost::proto::smtp::{self, DataFramer, DataPiece, Line, LineFramer};

/// The lines of a stream: whether each was refused, and where it lies.
fn lines(stream: &[u8], step: usize, max: usize) -> Vec<(bool, usize, usize)> {
    let mut framer = LineFramer::default();
    let (mut start, mut end, mut found) = (0, 0, Vec::new());
    loop {
        match framer.next(&stream[start..end], max) {
            Line::Partial if end == stream.len() => return found,
            Line::Partial => end = (end + step).min(stream.len()),
            Line::Complete { length } => {
                let line = &stream[start..start + length];
                assert!(line.ends_with(b"\r\n") && length <= max);
                commands(line);
                found.push((true, start, start + length));
                start += length;
            }
            Line::Refused { close: true, .. } => {
                found.push((false, 0, 0));
                return found;
            }
            Line::Refused { length, .. } => {
                found.push((false, start, 0));
                start += length;
            }
            Line::Skipped { length } => start += length,
        }
    }
}

fn commands(line: &[u8]) {
    if let Err(error) = smtp::parse(line) {
        assert!((500..=555).contains(&error.code()) && error.enhanced().starts_with("5."));
    }
    let mut message = [0; 64];
    if let Ok(length) = sasl::decode(line, true, &mut message) {
        let _ = sasl::plain(&message[..length]);
        let _ = sasl::name(&message[..length]);
    }
    let _ = calendar::date_time(line);
}

/// The text of a message, where it ended, and what spoiled it.
fn data(stream: &[u8], step: usize) -> (Vec<u8>, Option<usize>, Option<smtp::Violation>, usize) {
    let mut framer = DataFramer::with_line_max(30);
    let (mut text, mut start, mut end, mut over) = (Vec::new(), 0, 0, None);
    while over.is_none() && (start < stream.len() || end < stream.len()) {
        end = end.max(start);
        match framer.next(&stream[start..end]) {
            DataPiece::Partial => end = (end + step).min(stream.len()),
            DataPiece::Text { text: piece, consumed } => {
                assert!(consumed > 0);
                text.extend_from_slice(piece);
                start += consumed;
            }
            DataPiece::End { consumed, .. } => over = Some(start + consumed),
        }
    }
    (text, over, framer.violation(), framer.received())
}

fuzz_target!(|octets: &[u8]| {
    let Some((&cut, stream)) = octets.split_first() else { return };
    let (step, whole) = (1 + usize::from(cut % 16), stream.len().max(1));
    for max in [40, 512, 4096] {
        assert_eq!(lines(stream, step, max), lines(stream, whole, max), "in steps of {step}");
    }
    let message = data(stream, whole);
    assert_eq!(data(stream, step), message, "in steps of {step}");
    let end = if stream.starts_with(b".\r\n") { Some(3) } else { memmem::find(stream, b"\r\n.\r\n").map(|at| at + 5) };
    assert_eq!(message.1, end, "the end of the text");
});
