//! Takes a message apart: one pass over its octets with a stack of what is open.
//!
//! Invariants: parts are in the order in which they begin, a part follows its parent; a part lies inside its parent's body;
//! no more than `MIME_PARTS_MAX` parts, none deeper than `MIME_DEPTH_MAX`. Every octet is looked at a bounded
//! number of times, whatever the boundaries are. RFC 2046 §5.1, §5.2.1.

use memchr::{memchr_iter, memmem};

use super::boundaries::Boundaries;
use super::entity::Entity;
use super::header::{self, line_length};
use super::{Encoding, Kind, Part};
use crate::limits::{MIME_DEPTH_MAX, MIME_PARTS_MAX};

/// The parts of `raw`, whose length fits 32 bits; there is always a root.
pub(super) fn parts(raw: &[u8]) -> Vec<Part> {
    let mut scan = Scan {
        raw,
        at: 0,
        counted: 0,
        line_ends: 0,
        parts: Vec::new(),
        open: Vec::new(),
        boundaries: Boundaries::default(),
    };
    scan.begin();
    while let Some(delimiter) = scan.next_delimiter() {
        scan.close(delimiter.level + 1, delimiter.start, delimiter.cut);
        if delimiter.is_closing {
            // What follows is epilogue, up to the boundary of an outer multipart.
            scan.boundaries.end(delimiter.level);
        } else {
            scan.begin();
        }
    }
    scan.close(0, raw.len(), raw.len());
    scan.parts
}

/// A part whose end was not seen yet.
struct Open {
    part: usize,
    is_digest: bool,
}

/// A line that begins or ends a part of the multipart at `level` of the stack.
struct Delimiter {
    level: usize,
    is_closing: bool,
    /// Where its line begins.
    start: usize,
    /// The same without the line end before it, which belongs to it.
    cut: usize,
}

struct Scan<'a> {
    raw: &'a [u8],
    /// A line's begin: what is before it is done with.
    at: usize,
    counted: usize,
    /// LFs before `counted`.
    line_ends: u32,
    parts: Vec<Part>,
    open: Vec<Open>,
    boundaries: Boundaries,
}

impl Scan<'_> {
    /// Begins the part at `at`, and where it is a message the part in it; stands at the first line of its body.
    fn begin(&mut self) {
        loop {
            let index = self.parts.len();
            let parent = self.open.last().map_or(0, |open| open.part);
            let in_digest = self.open.last().is_some_and(|open| open.is_digest);
            let start = self.at;
            let is_rest = index + 1 == MIME_PARTS_MAX;
            if !is_rest {
                let boundaries = &self.boundaries;
                self.at += header::length_before(&self.raw[start..], |line| boundaries.delimited_by(line).is_some());
            }
            let entity = Entity::of(&self.raw[start..self.at], in_digest);
            let encoding = entity.encoding();
            let boundary = entity.is_media(b"MULTIPART").then(|| entity.boundary()).flatten();
            let mut kind = Kind::Leaf;
            if boundary.is_some() {
                kind = Kind::Multipart;
            } else if entity.is_message() && encoding.is_identity() {
                kind = Kind::Message;
            }
            let is_too_deep = kind != Kind::Leaf && self.open.len() >= MIME_DEPTH_MAX;
            let opaque = is_rest || is_too_deep;
            if opaque {
                kind = Kind::Leaf;
            }
            let lines = self.lines_before(self.at);
            let (header_start, body_start) = (start as u32, self.at as u32);
            let parent = parent as u32;
            self.parts.push(Part { parent, kind, header_start, body_start, end: body_start, lines, encoding, opaque });
            let is_digest = kind == Kind::Multipart && entity.is(b"MULTIPART", b"DIGEST");
            if let Some(boundary) = boundary.filter(|_| kind == Kind::Multipart) {
                self.boundaries.add(boundary, self.open.len());
            }
            self.open.push(Open { part: index, is_digest });
            if is_rest {
                self.at = self.raw.len();
            }
            if kind != Kind::Message {
                return;
            }
        }
    }

    /// The next line that delimits parts of an open multipart; stands behind it then.
    fn next_delimiter(&mut self) -> Option<Delimiter> {
        if self.boundaries.is_empty() {
            return None;
        }
        let finder = memmem::Finder::new(b"\n--");
        let mut start = self.at;
        loop {
            if !self.raw[start..].starts_with(b"--") {
                start += finder.find(&self.raw[start..])? + 1;
            }
            let end = start + line_length(&self.raw[start..]);
            if let Some((level, is_closing)) = self.boundaries.delimited_by(&self.raw[start..end]) {
                self.at = end;
                let before = &self.raw[..start];
                let before = before.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
                return Some(Delimiter { level, is_closing, start, cut: before.map_or(start, <[u8]>::len) });
            }
            start = end;
        }
    }

    /// Ends all that is open above the first `keep`, before the line at `start`.
    fn close(&mut self, keep: usize, start: usize, cut: usize) {
        self.boundaries.end(keep);
        let lines = self.lines_before(start);
        let mut end = cut as u32;
        while self.open.len() > keep {
            let Some(open) = self.open.pop() else { return };
            let childless = open.part + 1 == self.parts.len();
            let part = &mut self.parts[open.part];
            // The line end before a boundary may have ended the header already; then the body is empty, and what is
            // around it ends there too.
            end = end.max(part.body_start);
            part.end = end;
            let is_cut = (end as usize) < start;
            part.lines = lines.saturating_sub(part.lines).saturating_sub(u32::from(is_cut));
            if part.kind == Kind::Multipart && childless {
                part.kind = Kind::Leaf;
            }
        }
    }

    /// How many lines end before `at`, which never goes back.
    fn lines_before(&mut self, at: usize) -> u32 {
        if at > self.counted {
            self.line_ends += memchr_iter(b'\n', &self.raw[self.counted..at]).count() as u32;
            self.counted = at;
        }
        self.line_ends
    }
}

impl Encoding {
    /// RFC 2045 §6.4: what is made of parts has no other encoding.
    fn is_identity(self) -> bool {
        matches!(self, Encoding::SevenBit | Encoding::EightBit | Encoding::Binary)
    }
}
