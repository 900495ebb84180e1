//! BODYSTRUCTURE and BODY of a message, ready for the wire. RFC 3501 §7.4.2, RFC 9051 §7.5.2.
//!
//! Follows the parts in their order, so every header is read once; recursion is no deeper than the parts, which
//! `MIME_DEPTH_MAX` bounds. A leaf never claims to be what has a structure of its own: an opaque one is
//! `application/octet-stream`, a multipart in which no part was found `text/plain`.

use super::entity::{Entity, Parameters};
use super::envelope::{self, unfolded};
use super::{Kind, Part, wire};
use crate::limits::MIME_ADDRESSES_MAX;

/// Writes the structure of all `parts`; `extended` is BODYSTRUCTURE, otherwise BODY.
pub(super) fn write(out: &mut Vec<u8>, raw: &[u8], parts: &[Part], extended: bool) {
    if !parts.is_empty() {
        Writer { out, raw, parts, extended, room: MIME_ADDRESSES_MAX }.body(0, false);
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    raw: &'a [u8],
    parts: &'a [Part],
    extended: bool,
    /// Addresses that the envelopes may still have.
    room: usize,
}

impl Writer<'_> {
    /// `body = "(" (body-type-1part / body-type-mpart) ")"`; gives the index of the part that follows with its own.
    fn body(&mut self, index: usize, in_digest: bool) -> usize {
        let part = &self.parts[index];
        let entity = Entity::of(part.header(self.raw), in_digest);
        self.out.push(b'(');
        let mut next = index + 1;
        if part.kind == Kind::Multipart {
            let is_digest = entity.is(b"MULTIPART", b"DIGEST");
            while self.parts.get(next).is_some_and(|child| child.parent as usize == index) {
                next = self.body(next, is_digest);
            }
            self.multipart(&entity);
        } else {
            self.fields(part, &entity);
            if part.kind == Kind::Message && next < self.parts.len() {
                // body-type-msg = media-message SP body-fields SP envelope SP body SP body-fld-lines
                self.out.push(b' ');
                envelope::write(self.out, self.parts[next].header(self.raw), &mut self.room);
                self.out.push(b' ');
                next = self.body(next, false);
            }
            if part.kind == Kind::Message || part.is_text(&entity) {
                self.out.push(b' ');
                wire::number(self.out, part.lines);
            }
            if self.extended {
                // body-ext-1part = body-fld-md5 [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc]]]
                self.out.push(b' ');
                unfolded(self.out, entity.md5);
                self.extension(&entity);
            }
        }
        self.out.push(b')');
        next
    }

    /// ```text
    /// body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]
    /// body-ext-mpart  = body-fld-param [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc]]]
    /// ```
    /// Stands after the bodies.
    fn multipart(&mut self, entity: &Entity<'_>) {
        self.out.push(b' ');
        wire::upper(self.out, entity.subtype);
        if self.extended {
            self.out.push(b' ');
            self.parameters(&entity.parameters);
            self.extension(entity);
        }
    }

    /// ```text
    /// media-basic SP body-fields
    /// body-fields = body-fld-param SP body-fld-id SP body-fld-desc SP body-fld-enc SP body-fld-octets
    /// ```
    fn fields(&mut self, part: &Part, entity: &Entity<'_>) {
        let is_told = part.kind == Kind::Message || !(entity.is_media(b"MULTIPART") || entity.is_message());
        if is_told && !part.opaque {
            wire::upper(self.out, entity.media);
            self.out.push(b' ');
            wire::upper(self.out, entity.subtype);
            self.out.push(b' ');
            self.type_parameters(entity);
        } else if part.is_text(entity) {
            self.out.extend_from_slice(br#""TEXT" "PLAIN" ("CHARSET" "US-ASCII")"#);
        } else {
            self.out.extend_from_slice(br#""APPLICATION" "OCTET-STREAM" NIL"#);
        }
        self.out.push(b' ');
        unfolded(self.out, entity.id);
        self.out.push(b' ');
        unfolded(self.out, entity.description);
        self.out.push(b' ');
        wire::upper(self.out, entity.encoding);
        self.out.push(b' ');
        wire::number(self.out, part.end.saturating_sub(part.body_start));
    }

    /// The parameters of Content-Type, with the charset that text/plain has by default (RFC 2046 §4.1.2).
    fn type_parameters(&mut self, entity: &Entity<'_>) {
        let is_charset = |name: &[u8]| name.len() >= 7 && name[..7].eq_ignore_ascii_case(b"charset");
        let has_charset = entity.parameters.0.iter().any(|parameter| is_charset(parameter.name));
        if has_charset || !entity.is(b"TEXT", b"PLAIN") {
            return self.parameters(&entity.parameters);
        }
        if entity.parameters.0.is_empty() {
            self.out.push(b'(');
        } else {
            self.parameters(&entity.parameters);
            self.out.pop();
            self.out.push(b' ');
        }
        self.out.extend_from_slice(br#""CHARSET" "US-ASCII")"#);
    }

    /// `body-fld-param = "(" string SP string *(SP string SP string) ")" / nil`
    fn parameters(&mut self, parameters: &Parameters<'_>) {
        if parameters.0.is_empty() {
            return self.out.extend_from_slice(b"NIL");
        }
        let mut before = b'(';
        for parameter in &parameters.0 {
            self.out.push(before);
            wire::string(self.out, parameter.name);
            self.out.push(b' ');
            wire::string(self.out, &parameter.value);
            before = b' ';
        }
        self.out.push(b')');
    }

    /// ```text
    /// body-fld-dsp  = "(" string SP body-fld-param ")" / nil
    /// body-fld-lang = nstring / "(" string *(SP string) ")"
    /// body-fld-loc  = nstring
    /// ```
    fn extension(&mut self, entity: &Entity<'_>) {
        self.out.push(b' ');
        if let Some((disposition, parameters)) = entity.disposition() {
            self.out.push(b'(');
            wire::string(self.out, disposition);
            self.out.push(b' ');
            self.parameters(&parameters);
            self.out.push(b')');
        } else {
            self.out.extend_from_slice(b"NIL");
        }
        self.out.push(b' ');
        match entity.languages().as_slice() {
            [] => self.out.extend_from_slice(b"NIL"),
            tags => {
                let mut before = b'(';
                for tag in tags {
                    self.out.push(before);
                    wire::string(self.out, tag);
                    before = b' ';
                }
                self.out.push(b')');
            }
        }
        self.out.push(b' ');
        unfolded(self.out, entity.location);
    }
}
