//! Part numbers to parts, and parts to ranges of octets. RFC 3501 §6.4.5.
//!
//! Works over owned and archived parts alike and allocates nothing, for FETCH asks it.

use std::ops::Range;

use super::{ArchivedEncoding, ArchivedKind, ArchivedPart, Encoding, Kind, Part};

/// A list of parts, owned or archived.
pub trait Parts {
    /// How many there are.
    fn count(&self) -> usize;
    /// The part at `index`, which is below [`count`](Parts::count).
    fn part(&self, index: usize) -> Part;
}

impl Parts for [Part] {
    fn count(&self) -> usize {
        self.len()
    }

    fn part(&self, index: usize) -> Part {
        self[index]
    }
}

impl Parts for [ArchivedPart] {
    fn count(&self) -> usize {
        self.len()
    }

    fn part(&self, index: usize) -> Part {
        Part::from(&self[index])
    }
}

impl From<&ArchivedPart> for Part {
    fn from(part: &ArchivedPart) -> Part {
        Part {
            parent: part.parent.to_native(),
            kind: match part.kind {
                ArchivedKind::Leaf => Kind::Leaf,
                ArchivedKind::Multipart => Kind::Multipart,
                ArchivedKind::Message => Kind::Message,
            },
            header_start: part.header_start.to_native(),
            body_start: part.body_start.to_native(),
            end: part.end.to_native(),
            lines: part.lines.to_native(),
            encoding: match part.encoding {
                ArchivedEncoding::SevenBit => Encoding::SevenBit,
                ArchivedEncoding::EightBit => Encoding::EightBit,
                ArchivedEncoding::Binary => Encoding::Binary,
                ArchivedEncoding::QuotedPrintable => Encoding::QuotedPrintable,
                ArchivedEncoding::Base64 => Encoding::Base64,
                ArchivedEncoding::Unknown => Encoding::Unknown,
            },
            opaque: part.opaque,
        }
    }
}

/// The index of the part that `path` names; the root for an empty one.
/// ```text
/// section-part = nz-number *("." nz-number)
/// ```
/// Part 1 of a message that isn't multipart is its body. The numbers of a message/rfc822 go on in its message's body.
pub fn section<P: Parts + ?Sized>(parts: &P, path: &[u32]) -> Option<usize> {
    if parts.count() == 0 {
        return None;
    }
    let mut index = 0;
    // What the next number counts in: a multipart, or a message, whose body may be one.
    let (mut holder, mut is_message) = (0, true);
    for (depth, number) in path.iter().enumerate() {
        if depth > 0 {
            is_message = parts.part(index).kind == Kind::Message;
            holder = index + usize::from(is_message);
        }
        index = match (holder < parts.count()).then(|| parts.part(holder).kind)? {
            Kind::Multipart => child(parts, holder, *number)?,
            _ if is_message && *number == 1 => holder,
            _ => return None,
        };
    }
    Some(index)
}

/// The child of `parent` with that number, from 1.
fn child<P: Parts + ?Sized>(parts: &P, parent: usize, number: u32) -> Option<usize> {
    let nth = usize::try_from(number).ok()?.checked_sub(1)?;
    (parent + 1..parts.count()).filter(|index| parts.part(*index).parent as usize == parent).nth(nth)
}

/// What is wanted of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Its body; of the whole message (no part number) all of it.
    Body,
    /// `HEADER`: the header of the message, or of the message inside a message/rfc822.
    Header,
    /// `TEXT`: the body of the same.
    Text,
    /// `MIME`: the header of the part.
    Mime,
}

/// The octets of the message that `BODY[path.content]` is. None: there is no such part, or it isn't of that kind.
pub fn range<P: Parts + ?Sized>(parts: &P, path: &[u32], content: Content) -> Option<Range<usize>> {
    let index = section(parts, path)?;
    let part = parts.part(index);
    let message = match content {
        Content::Body if path.is_empty() => return Some(0..part.end as usize),
        Content::Body => return Some(part.body_start as usize..part.end as usize),
        Content::Mime if path.is_empty() => return None,
        Content::Mime => return Some(part.header_start as usize..part.body_start as usize),
        Content::Header | Content::Text if path.is_empty() => part,
        _ if part.kind == Kind::Message && index + 1 < parts.count() => parts.part(index + 1),
        _ => return None,
    };
    Some(match content {
        Content::Header => message.header_start as usize..message.body_start as usize,
        _ => message.body_start as usize..message.end as usize,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 3501 §6.4.5.
    const EXAMPLE: &[u8] = b"Content-Type: multipart/mixed; boundary=a\n\n\
        --a\nContent-Type: text/plain\n\n1\n\
        --a\nContent-Type: application/octet-stream\n\n2\n\
        --a\nContent-Type: message/rfc822\n\nSubject: 3\nContent-Type: multipart/mixed; boundary=b\n\n\
        --b\n\n3.1\n--b\nContent-Type: application/octet-stream\n\n3.2\n--b--\n\
        --a\nContent-Type: multipart/mixed; boundary=c\n\n\
        --c\nContent-Type: image/gif\n\n4.1\n\
        --c\nContent-Type: message/rfc822\n\nSubject: 4.2\nContent-Type: multipart/mixed; boundary=d\n\n\
        --d\n\n4.2.1\n\
        --d\nContent-Type: multipart/alternative; boundary=e\n\n\
        --e\n\n4.2.2.1\n--e\nContent-Type: text/richtext\n\n4.2.2.2\n--e--\n--d--\n--c--\n--a--\n";

    fn octets(path: &[u32], content: Content) -> Option<&'static str> {
        let parts = crate::mime::structure(EXAMPLE).parts;
        range(&parts[..], path, content).map(|range| std::str::from_utf8(&EXAMPLE[range]).unwrap())
    }

    #[test]
    fn rfc_3501_part_numbers() {
        let leaves = [&[1u32][..], &[2], &[3, 1], &[3, 2], &[4, 1], &[4, 2, 1], &[4, 2, 2, 1], &[4, 2, 2, 2]];
        for path in leaves {
            let number = path.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
            assert_eq!(octets(path, Content::Body), Some(number.as_str()));
        }
        assert_eq!(octets(&[3], Content::Header), Some("Subject: 3\nContent-Type: multipart/mixed; boundary=b\n\n"));
        assert_eq!(octets(&[4, 2], Content::Header).map(|header| &header[..12]), Some("Subject: 4.2"));
        assert_eq!(octets(&[4, 1], Content::Mime), Some("Content-Type: image/gif\n\n"));
        assert_eq!(octets(&[3, 1], Content::Mime), Some("\n"));
        assert!(octets(&[3], Content::Text).unwrap().starts_with("--b\n"));
        assert_eq!(octets(&[], Content::Body).map(str::len), Some(EXAMPLE.len()));
        assert_eq!(octets(&[], Content::Header), Some("Content-Type: multipart/mixed; boundary=a\n\n"));
        assert!(octets(&[4, 2, 2], Content::Body).unwrap().ends_with("--e--"));
        for path in [&[0u32][..], &[5], &[1, 1], &[3, 3], &[4, 2, 2, 3], &[u32::MAX], &[3, 1, 1], &[4, 0]] {
            assert_eq!(octets(path, Content::Body), None, "{path:?}");
        }
        for content in [Content::Header, Content::Text] {
            assert_eq!(octets(&[4], content), None);
            assert_eq!(octets(&[1], content), None);
        }
        assert_eq!(octets(&[], Content::Mime), None);
    }

    #[test]
    fn a_message_that_is_no_multipart_has_part_1() {
        let inner = crate::mime::structure(b"A: b\n\nc").parts;
        assert_eq!(section(&inner[..], &[1]), Some(0));
        assert_eq!(section(&inner[..], &[1, 1]), None);
        assert_eq!(section(&inner[..], &[2]), None);
        let nested =
            crate::mime::structure(b"Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nA: b\n\nc").parts;
        assert_eq!(nested.len(), 3);
        let found = [&[1u32][..], &[1, 1], &[1, 1, 1], &[1, 1, 1, 1], &[1, 2]].map(|path| section(&nested[..], path));
        assert_eq!(found, [Some(0), Some(1), Some(2), None, None]);
    }

    #[test]
    fn archived_parts_answer_alike() {
        let parts = crate::mime::structure(EXAMPLE).parts;
        let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(&parts).unwrap();
        let archived = rkyv::access::<rkyv::Archived<Vec<Part>>, rkyv::rancor::Error>(&bytes).unwrap();
        for (index, part) in parts.iter().enumerate() {
            assert_eq!(Part::from(&archived[index]), *part);
        }
        let path = [4, 2, 2, 2];
        assert_eq!(section(archived.as_slice(), &path), section(&parts[..], &path));
    }
}
