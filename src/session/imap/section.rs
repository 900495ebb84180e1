//! A section of a message as octets of it: `BODY[1.2.HEADER.FIELDS (…)]<0.100>` and the RFC822 items.
//!
//! Nothing is allocated: most sections are one range of the message; a selection of header fields is a walk over them.
//! RFC 3501 §6.4.5.

use std::ops::Range;

use crate::mime::{self, Content, header};
use crate::proto::imap::{Partial, Section, SectionText};
use crate::store::Message;

/// What a section is of a message.
pub(super) enum Octets {
    /// There is no such part.
    Absent,
    /// A range of the raw message.
    Range(Range<usize>),
    /// Selected fields of the header that lies there.
    Fields(Range<usize>),
}

const NO_PART: mime::Part = mime::Part {
    parent: 0,
    kind: mime::Kind::Leaf,
    header_start: 0,
    body_start: 0,
    end: 0,
    lines: 0,
    encoding: mime::Encoding::SevenBit,
    opaque: false,
};

/// The parts of a message where they lie.
struct PartsOf<'m>(&'m Message);

impl mime::Parts for PartsOf<'_> {
    fn count(&self) -> usize {
        self.0.part_count()
    }

    fn part(&self, index: usize) -> mime::Part {
        // One that is lost meanwhile has no octets; that it is lost is found behind what is made of it.
        self.0.part(index).unwrap_or(NO_PART)
    }
}

/// Finds a section, reading none of the message's octets.
pub(super) fn find(message: &Message, section: &Section<'_>) -> Octets {
    let content = match section.text {
        // The whole message, line ends and all, even where its structure ends before it.
        SectionText::All if section.part.is_empty() => {
            return Octets::Range(cut(0..message.size() as usize, section.partial));
        }
        SectionText::All => Content::Body,
        SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) => Content::Header,
        SectionText::Text => Content::Text,
        SectionText::Mime => Content::Mime,
    };
    let Some(range) = mime::range(&PartsOf(message), section.part, content) else { return Octets::Absent };
    match section.text {
        SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) => Octets::Fields(range),
        _ => Octets::Range(cut(range, section.partial)),
    }
}

/// The part of `range` that a partial fetch means; empty beyond its end.
fn cut(range: Range<usize>, partial: Option<Partial>) -> Range<usize> {
    let Some(Partial { offset, count }) = partial else { return range };
    let clamp = |octets: u64| usize::try_from(octets).unwrap_or(usize::MAX);
    let start = range.start.saturating_add(clamp(offset)).min(range.end);
    start..start.saturating_add(clamp(count)).min(range.end)
}

/// Walks over the selected fields and the empty line that ends them: the slices of the answer in order, cut to `partial`.
pub(super) fn for_each_field(head: &[u8], section: &Section<'_>, mut each: impl FnMut(&[u8])) {
    let (names, not) = match section.text {
        SectionText::HeaderFields(names) => (names, false),
        SectionText::HeaderFieldsNot(names) => (names, true),
        _ => return,
    };
    let Range { start, end } = cut(0..usize::MAX, section.partial);
    let mut at = 0;
    let mut emit = |slice: &[u8]| {
        let from = start.saturating_sub(at).min(slice.len());
        let to = end.saturating_sub(at).min(slice.len());
        if from < to {
            each(&slice[from..to]);
        }
        at += slice.len();
    };
    header::selected(head, names, not).for_each(|field| emit(field.raw));
    // RFC 3501 §6.4.5: the empty line is always there.
    emit(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(partial: Option<Partial>) -> Vec<u8> {
        let names: [&[u8]; 2] = [b"To", b"subject"];
        let section = Section { peek: true, part: &[], text: SectionText::HeaderFields(&names), partial };
        let mut out = Vec::new();
        for_each_field(b"Subject: a\r\nFrom: b\r\nTo: c,\r\n d\r\n\r\n", &section, |slice| {
            out.extend_from_slice(slice)
        });
        out
    }

    #[test]
    fn selects_fields_and_cuts_them() {
        let whole = b"Subject: a\r\nTo: c,\r\n d\r\n\r\n";
        assert_eq!(fields(None), whole);
        for offset in 0..30 {
            for count in 1..30 {
                let from = (offset as usize).min(whole.len());
                let to = ((offset + count) as usize).min(whole.len());
                assert_eq!(fields(Some(Partial { offset, count })), &whole[from..to], "<{offset}.{count}>");
            }
        }
    }

    #[test]
    fn a_partial_beyond_the_end_is_empty() {
        let most = u64::from(u32::MAX);
        assert_eq!(cut(10..20, Some(Partial { offset: most, count: most })), 20..20);
        assert_eq!(cut(10..20, Some(Partial { offset: u64::MAX, count: u64::MAX })), 20..20);
        assert_eq!(cut(10..20, Some(Partial { offset: 3, count: 4 })), 13..17);
    }
}
