//! Header fields of raw octets: where a header ends, its fields, their unfolded values.
//!
//! A line ends with LF, with or without CR before it. A header ends after its empty line, or before its first line where
//! that is no field at all (a part without a header), or where [`MIME_HEADER_BYTES_MAX`] is passed. A later line that is
//! no field (no colon, a blank inside the name) is passed over, as an mbox `From ` line is at the start.
//! Nothing here allocates but [`unfold`] of a folded value; values are not decoded. RFC 5322 §2.2, §3.6.8, §4.5.

use std::borrow::Cow;

use memchr::memchr;

use crate::limits::MIME_HEADER_BYTES_MAX;

/// One field of a header, borrowed from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as it stands, without the blanks that the obsolete syntax allows before the colon.
    pub name: &'a [u8],
    /// The whole field with every line end, as HEADER.FIELDS sends it.
    pub raw: &'a [u8],
    /// What follows the colon, still folded, without the white space around it.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Whether this is the field `name`, in any case.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The fields of `header` in their order, up to the empty line or the end.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header }
}

/// The value of the first field `name`, still folded.
pub fn field<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    fields(header).find(|field| field.is(name)).map(|field| field.value)
}

/// The fields that HEADER.FIELDS (or, with `not`, HEADER.FIELDS.NOT) of `names` selects. RFC 3501 §6.4.5.
pub fn selected<'a, 'n>(header: &'a [u8], names: &'n [&'n [u8]], not: bool) -> impl Iterator<Item = Field<'a>> + 'n
where
    'a: 'n,
{
    fields(header).filter(move |field| names.iter().any(|name| field.is(name)) != not)
}

/// The length of the header that `raw` begins with, its empty line included.
pub fn length(raw: &[u8]) -> usize {
    length_before(raw, |_| false)
}

/// As [`length`], but the header also ends before a line that `stops` it (a boundary of an enclosing multipart).
pub(super) fn length_before(raw: &[u8], stops: impl Fn(&[u8]) -> bool) -> usize {
    let mut at = 0;
    let mut first = true;
    while at < raw.len() {
        let end = at + line_length(&raw[at..]);
        let line = &raw[at..end];
        if is_empty_line(line) {
            return end;
        }
        let is_mbox_line = first && (line.starts_with(b"From ") || line.starts_with(b">From "));
        if end > MIME_HEADER_BYTES_MAX || stops(line) || (first && !is_mbox_line && name_and_colon(line).is_none()) {
            return at;
        }
        first = is_mbox_line;
        at = end;
    }
    at
}

/// Takes the line ends out of a folded value. RFC 5322 §2.2.3: what follows them is white space, which stays.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr(b'\n', value) else {
        return Cow::Borrowed(value);
    };
    let mut out = Vec::with_capacity(value.len());
    let (mut rest, mut next) = (value, Some(first));
    while let Some(end) = next {
        out.extend_from_slice(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]));
        rest = &rest[end + 1..];
        next = memchr(b'\n', rest);
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// The iterator of [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            let mut end = line_length(self.rest);
            if is_empty_line(&self.rest[..end]) {
                self.rest = &[];
                return None;
            }
            while let Some(b' ' | b'\t') = self.rest.get(end) {
                end += line_length(&self.rest[end..]);
            }
            let (raw, rest) = self.rest.split_at(end);
            self.rest = rest;
            if let Some((name, colon)) = name_and_colon(raw) {
                return Some(Field { name: &raw[..name], raw, value: raw[colon + 1..].trim_ascii() });
            }
        }
    }
}

/// ```text
/// field      = field-name *WSP ":" unstructured CRLF     ; *WSP: obs-optional, RFC 5322 §4.5.8
/// field-name = 1*ftext
/// ftext      = %d33-57 / %d59-126
/// ```
/// The length of the name and the place of the colon.
fn name_and_colon(line: &[u8]) -> Option<(usize, usize)> {
    let name = line.iter().take_while(|octet| matches!(octet, 33..=57 | 59..=126)).count();
    let blanks = line[name..].iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    (name > 0 && line.get(name + blanks) == Some(&b':')).then_some((name, name + blanks))
}

/// The length of the first line with its line end.
pub(super) fn line_length(raw: &[u8]) -> usize {
    memchr(b'\n', raw).map_or(raw.len(), |lf| lf + 1)
}

fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"" | b"\n" | b"\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(header: &[u8]) -> Vec<&str> {
        fields(header).map(|field| std::str::from_utf8(field.name).unwrap()).collect()
    }

    #[test]
    fn fields_fold_and_keep_their_octets() {
        let header = b"From: a@b\r\nSubject : one\r\n\ttwo\r\n three \r\nX-Empty:\r\n\r\nTo: body\r\n";
        let all: Vec<_> = fields(header).collect();
        assert_eq!(all.len(), 3);
        assert_eq!(all[1].name, b"Subject");
        assert_eq!(all[1].raw, b"Subject : one\r\n\ttwo\r\n three \r\n");
        assert_eq!(all[1].value, b"one\r\n\ttwo\r\n three");
        assert_eq!(unfold(all[1].value).as_ref(), b"one\ttwo three");
        assert_eq!(all[2].value, b"");
        assert_eq!(field(header, b"SUBJECT"), Some(all[1].value));
        assert_eq!(field(header, b"To"), None);
    }

    #[test]
    fn lines_that_are_no_fields_are_passed_over() {
        assert_eq!(names(b"From x Mon\nA: 1\nno colon here\n and its rest\nB: 2\n: 3\n\xffC: 4\nD:5"), ["A", "B", "D"]);
    }

    #[test]
    fn header_fields_and_not_split_the_header() {
        let header = b"A: 1\r\nB: 2\r\n x\r\na: 3\r\n\r\n";
        let these: Vec<_> = selected(header, &[b"a"], false).flat_map(|field| field.raw.to_vec()).collect();
        let others: Vec<_> = selected(header, &[b"a"], true).flat_map(|field| field.raw.to_vec()).collect();
        assert_eq!(these, b"A: 1\r\na: 3\r\n");
        assert_eq!(others, b"B: 2\r\n x\r\n");
    }

    #[test]
    fn where_a_header_ends() {
        assert_eq!(length(b"A: 1\r\n\r\nbody"), 8);
        assert_eq!(length(b"A: 1\n\nbody"), 6);
        assert_eq!(length(b"A: 1\r\nno end"), 12);
        assert_eq!(length(b"\r\nbody"), 2);
        assert_eq!(length(b"just text\r\nA: 1\r\n\r\n"), 0);
        assert_eq!(length(b"From me\nA: 1\n\nx"), 14);
        assert_eq!(length(b""), 0);
        let mut endless = b"A: 1\r\n".to_vec();
        endless.resize(MIME_HEADER_BYTES_MAX + 100, b'x');
        assert_eq!(length(&endless), 6);
        let lines = b"A: 1\r\n".repeat(MIME_HEADER_BYTES_MAX);
        assert_eq!(length(&lines), MIME_HEADER_BYTES_MAX / 6 * 6);
    }
}
