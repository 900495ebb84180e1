//! IMAP commands: any chunking gives the same frames, any octets parse or are refused, and names survive their encoding.
//!
//! The first octet says how the rest is cut. The limits are small, so that short inputs meet them.
#![no_main]

use bumpalo::Bump;
use libfuzzer_sys::fuzz_target;
use ringpost::proto::imap::{Frame, Framer, Limits, Pattern, parse, parse_append_head, utf7};

const LIMITS: Limits =
    Limits { line_bytes: 120, literal_bytes: 8, literals_bytes: 14, literals: 3, skip_bytes: 150, append: true };

/// What a stream was read as: each frame's kind with its first and last octet.
fn frames(stream: &[u8], step: usize, limits: &Limits) -> Vec<(&'static str, usize, usize)> {
    let (mut framer, mut arena) = (Framer::default(), Bump::new());
    let (mut start, mut end, mut found) = (0, 0, Vec::new());
    loop {
        arena.reset();
        let input = &stream[start..end];
        match framer.next(input, limits) {
            Frame::Partial if end == stream.len() => return found,
            Frame::Partial => end = (end + step).min(stream.len()),
            Frame::Continue => found.push(("continue", start, 0)),
            Frame::Command { length } => {
                let _ = parse(&arena, &input[..length]);
                found.push(("command", start, start + length));
                start += length;
            }
            Frame::AppendLiteral { head, size, .. } => {
                let _ = parse_append_head(&arena, &input[..head]);
                found.push(("append", start, start + head));
                start += head;
                match usize::try_from(size).ok().filter(|&size| size <= stream.len() - start) {
                    Some(size) => start += size,
                    None => return found,
                }
                end = end.max(start);
                framer.resume_after_append();
            }
            // Where it gave up is a matter of the pieces.
            Frame::Refused { close: true, .. } => {
                found.push(("closed", 0, 0));
                return found;
            }
            Frame::Refused { length, .. } => {
                found.push(("refused", start, 0));
                start += length;
            }
            Frame::Skipped { length } => start += length,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let step = 1 + usize::from(cut % 16);
    for limits in [&LIMITS, &Limits::BEFORE_AUTHENTICATION, &Limits::AFTER_AUTHENTICATION] {
        assert_eq!(frames(stream, step, limits), frames(stream, stream.len().max(1), limits), "in steps of {step}");
    }
    let arena = Bump::new();
    let _ = parse(&arena, stream);
    let _ = parse_append_head(&arena, stream);
    if let Some(name) = utf7::decode(&arena, stream) {
        // One name, one spelling: what the server writes is read as the same name.
        let mut encoded = Vec::new();
        utf7::encode(&mut encoded, name);
        assert_eq!(utf7::decode(&arena, &encoded), Some(name));
        let (reference, pattern) = name.split_at(name.floor_char_boundary(name.len().min(usize::from(cut))));
        let matches = Pattern::new(&arena, reference, pattern).matches("a/b/c");
        assert!(matches || pattern != "*" || !reference.is_empty(), "* alone matches all");
    }
});
