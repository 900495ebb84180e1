//! What the MIME fields of one header say: media type, encoding, disposition and the rest, read in one pass.
//!
//! A Content-Type that has no reading is `text/plain`, or `message/rfc822` in a digest. RFC 2045 §5.2, RFC 2046 §5.1.5.
//! Parameters are kept as they stand, RFC 2231 continuations too; only [`Parameters::whole`] puts one together, for our
//! own use. RFC 2045 §5.1, §6.1; RFC 2183; RFC 2231 §3.

use std::borrow::Cow;

use super::header;
use super::lexical::Cursor;
use super::{Encoding, transfer};
use crate::limits::{MIME_BOUNDARY_BYTES_MAX, MIME_LANGUAGES_MAX, MIME_PARAMETERS_MAX};

/// The MIME fields of one header; the values are folded as they came.
#[derive(Debug)]
pub(super) struct Entity<'a> {
    pub(super) media: &'a [u8],
    pub(super) subtype: &'a [u8],
    pub(super) parameters: Parameters<'a>,
    /// The token of Content-Transfer-Encoding, `7BIT` where there is none.
    pub(super) encoding: &'a [u8],
    pub(super) id: Option<&'a [u8]>,
    pub(super) description: Option<&'a [u8]>,
    pub(super) md5: Option<&'a [u8]>,
    pub(super) disposition: Option<&'a [u8]>,
    pub(super) language: Option<&'a [u8]>,
    pub(super) location: Option<&'a [u8]>,
}

impl<'a> Entity<'a> {
    /// Reads `header`; `in_digest` where it is a part of a multipart/digest. The first of a repeated field counts.
    pub(super) fn of(header: &'a [u8], in_digest: bool) -> Entity<'a> {
        let (media, subtype): (&[u8], &[u8]) = if in_digest { (b"MESSAGE", b"RFC822") } else { (b"TEXT", b"PLAIN") };
        let mut entity = Entity {
            media,
            subtype,
            parameters: Parameters::default(),
            encoding: b"7BIT",
            id: None,
            description: None,
            md5: None,
            disposition: None,
            language: None,
            location: None,
        };
        let (mut content_type, mut encoding) = (None, None);
        for field in header::fields(header) {
            // Few fields are ours, and most messages have dozens.
            if field.name.len() < 8 || !field.name[..8].eq_ignore_ascii_case(b"content-") {
                continue;
            }
            let place = match field.name[8..].to_ascii_lowercase().as_slice() {
                b"type" => &mut content_type,
                b"transfer-encoding" => &mut encoding,
                b"id" => &mut entity.id,
                b"description" => &mut entity.description,
                b"md5" => &mut entity.md5,
                b"disposition" => &mut entity.disposition,
                b"language" => &mut entity.language,
                b"location" => &mut entity.location,
                _ => continue,
            };
            place.get_or_insert(field.value);
        }
        if let Some((media, subtype, parameters)) = content_type.and_then(media_type) {
            (entity.media, entity.subtype, entity.parameters) = (media, subtype, parameters);
        }
        if let Some(token) = encoding.and_then(|value| token(&mut Cursor::new(value))) {
            entity.encoding = token;
        }
        entity
    }

    pub(super) fn is(&self, media: &[u8], subtype: &[u8]) -> bool {
        self.media.eq_ignore_ascii_case(media) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    pub(super) fn is_media(&self, media: &[u8]) -> bool {
        self.media.eq_ignore_ascii_case(media)
    }

    /// A message of which ENVELOPE and structure are told. RFC 9051 §7.5.2 counts message/global with them.
    pub(super) fn is_message(&self) -> bool {
        self.is(b"MESSAGE", b"RFC822") || self.is(b"MESSAGE", b"GLOBAL")
    }

    /// `mechanism = "7bit" / "8bit" / "binary" / "quoted-printable" / "base64" / ietf-token / x-token`
    pub(super) fn encoding(&self) -> Encoding {
        match self.encoding.to_ascii_lowercase().as_slice() {
            b"7bit" => Encoding::SevenBit,
            b"8bit" => Encoding::EightBit,
            b"binary" => Encoding::Binary,
            b"quoted-printable" => Encoding::QuotedPrintable,
            b"base64" => Encoding::Base64,
            _ => Encoding::Unknown,
        }
    }

    /// The boundary of a multipart, where there is one that could delimit anything.
    pub(super) fn boundary(&self) -> Option<Vec<u8>> {
        let boundary = self.parameters.whole(b"boundary")?;
        // RFC 2046 §5.1.1: it doesn't end with white space, which transports add to the line.
        let boundary = boundary.trim_ascii_end();
        (1..=MIME_BOUNDARY_BYTES_MAX).contains(&boundary.len()).then(|| boundary.to_vec())
    }

    /// ```text
    /// disposition := "Content-Disposition" ":" disposition-type *(";" disposition-parm)
    /// ```
    pub(super) fn disposition(&self) -> Option<(&'a [u8], Parameters<'a>)> {
        let mut cursor = Cursor::new(self.disposition?);
        Some((token(&mut cursor)?, Parameters::read(&mut cursor)))
    }

    /// `Language-List = Language-Tag [CFWS] *("," [CFWS] Language-Tag [CFWS])`, RFC 3282 §2.
    pub(super) fn languages(&self) -> Vec<&'a [u8]> {
        let mut cursor = Cursor::new(self.language.unwrap_or_default());
        let mut tags = Vec::new();
        while cursor.peek().is_some() && tags.len() < MIME_LANGUAGES_MAX {
            tags.extend(token(&mut cursor));
            cursor.until(|octet| octet == b',');
            cursor.advance();
        }
        tags
    }
}

/// One parameter as it stands, its value unquoted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parameter<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Cow<'a, [u8]>,
}

/// The parameters of a field, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters<'a>(pub(super) Vec<Parameter<'a>>);

impl<'a> Parameters<'a> {
    /// ```text
    /// *(";" parameter)
    /// parameter := attribute "=" value
    /// value     := token / quoted-string
    /// ```
    /// A value without quotes goes up to the next semicolon, comment or line, blanks and all; a semicolon may be missing.
    /// What is no parameter is left out, and so is what comes after [`MIME_PARAMETERS_MAX`].
    fn read(cursor: &mut Cursor<'a>) -> Parameters<'a> {
        let mut list = Vec::new();
        while list.len() < MIME_PARAMETERS_MAX && cursor.peek().is_some() {
            cursor.eat(b';');
            let Some(name) = token(cursor) else {
                cursor.until(|octet| octet == b';');
                continue;
            };
            cursor.skip_cfws();
            if !cursor.eat(b'=') {
                continue;
            }
            cursor.skip_cfws();
            let value = match cursor.peek() {
                Some(b'"') => Cow::Owned(cursor.quoted_string()),
                _ => Cow::Borrowed(cursor.until(|octet| b";(\r\n".contains(&octet)).trim_ascii_end()),
            };
            list.push(Parameter { name, value });
        }
        Parameters(list)
    }

    /// The value of `name`, put together where it comes in sections, its charset mark taken off.
    /// ```text
    /// attribute := 1*attribute-char [section] ["*"]
    /// section   := "*" ("0" / 1*DIGIT)
    /// ```
    pub(super) fn whole(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let mut sections: Vec<(u32, bool, &[u8])> = Vec::new();
        for Parameter { name: found, value } in &self.0 {
            if found.eq_ignore_ascii_case(name) {
                return Some(Cow::Borrowed(value));
            }
            if found.len() > name.len() && found[..name.len()].eq_ignore_ascii_case(name) {
                let section = &found[name.len()..];
                let is_extended = section.len() > 1 && section.ends_with(b"*") || section == b"*";
                let digits = section.strip_prefix(b"*").map(|rest| rest.strip_suffix(b"*").unwrap_or(rest));
                let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
                match digits {
                    Some("") => sections.push((0, is_extended, value)),
                    Some(digits) => {
                        sections.extend(digits.parse().ok().map(|number| (number, is_extended, &value[..])))
                    }
                    None => {}
                }
            }
        }
        sections.sort_by_key(|section| section.0);
        let mut whole = Vec::new();
        for (expected, (number, is_extended, value)) in (0..).zip(&sections) {
            if *number != expected {
                break;
            }
            if *is_extended {
                let marked = expected == 0;
                let value =
                    if marked { value.splitn(3, |octet| *octet == b'\'').last().unwrap_or(value) } else { value };
                transfer::percent(value, &mut whole);
            } else {
                whole.extend_from_slice(value);
            }
        }
        sections.first().filter(|section| section.0 == 0).map(|_| Cow::Owned(whole))
    }
}

/// `content := "Content-Type" ":" type "/" subtype *(";" parameter)`
fn media_type(value: &[u8]) -> Option<(&[u8], &[u8], Parameters<'_>)> {
    let mut cursor = Cursor::new(value);
    let media = token(&mut cursor)?;
    cursor.skip_cfws();
    if !cursor.eat(b'/') {
        return None;
    }
    let subtype = token(&mut cursor)?;
    Some((media, subtype, Parameters::read(&mut cursor)))
}

/// `token := 1*<any (US-ASCII) CHAR except SPACE, CTLs, or tspecials>`, with the white space and comments before it.
fn token<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    cursor.skip_cfws();
    let token = cursor.until(|octet| !octet.is_ascii_graphic() || b"()<>@,;:\\\"/[]?=".contains(&octet));
    (!token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(value: &[u8]) -> Vec<(String, String)> {
        let (_, _, parameters) = media_type(value).unwrap();
        let string = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        parameters.0.iter().map(|parameter| (string(parameter.name), string(&parameter.value))).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn rfc_2045_content_types() {
        let entity = Entity::of(b"Content-type: text/plain; charset=us-ascii (Plain text)\r\n", false);
        assert!(entity.is(b"text", b"plain"));
        assert_eq!(entity.parameters.whole(b"CHARSET").as_deref(), Some(&b"us-ascii"[..]));
        assert_eq!(parameters(b"text/plain; charset=\"us-ascii\""), [pair("charset", "us-ascii")]);
        assert_eq!(entity.encoding(), Encoding::SevenBit);
    }

    #[test]
    fn defaults_for_what_has_no_reading() {
        for header in ["Content-Type: text\r\n", "Content-Type: /x\r\n", "X: y\r\n", "Content-Type: a/\r\n", ""] {
            let entity = Entity::of(header.as_bytes(), false);
            assert!(entity.is(b"TEXT", b"PLAIN"), "{header}");
            assert!(Entity::of(header.as_bytes(), true).is_message(), "{header}");
        }
        let entity =
            Entity::of(b"content-TYPE : image/png\r\nContent-Type: a/b\r\nContent-Transfer-Encoding:\r\n", true);
        assert!(entity.is(b"image", b"png"));
        assert_eq!(entity.encoding, b"7BIT");
    }

    #[test]
    fn malformed_parameters_are_left_out() {
        let value = b"a/b;; x; =y; c=d e ;f=\"g;\\\"h\"z;i = j\r\n k=l; \xff=m; boundary==_a/b";
        let pairs = [("c", "d e"), ("f", "g;\"h"), ("i", "j"), ("k", "l"), ("boundary", "=_a/b")];
        let expected = pairs.map(|(name, value)| pair(name, value));
        assert_eq!(parameters(value), expected);
        let many = b"a/b".iter().copied().chain(b";c=d".repeat(100_000)).collect::<Vec<_>>();
        assert_eq!(parameters(&many).len(), MIME_PARAMETERS_MAX);
    }

    #[test]
    fn rfc_2231_continuations() {
        let value = b"application/x-stuff; title*1*=%2a%2a%2afun%2a%2a%2a%20; title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n title*2=\"isn't it!\"";
        let (_, _, read) = media_type(value).unwrap();
        assert_eq!(read.whole(b"title").as_deref(), Some(&b"This is even more ***fun*** isn't it!"[..]));
        assert_eq!(read.0[0].name, b"title*1*");
        let (_, _, read) = media_type(b"a/b; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/\"; URL*3=no").unwrap();
        assert_eq!(read.whole(b"url").as_deref(), Some(&b"ftp://cs.utk.edu/"[..]));
        let (_, _, read) = media_type(b"a/b; title*=us-ascii'en-us'This%20is%20%2A; x*1=y").unwrap();
        assert_eq!(read.whole(b"title").as_deref(), Some(&b"This is *"[..]));
        assert_eq!(read.whole(b"x"), None);
    }

    #[test]
    fn dispositions_and_languages() {
        let header =
            b"Content-Disposition: attachment;\r\n filename=\"a b.txt\"\r\nContent-Language: mi (Maori), en;x,\r\n";
        let entity = Entity::of(header, false);
        let (token, parameters) = entity.disposition().unwrap();
        assert_eq!(token, b"attachment");
        assert_eq!(parameters.0[0].value.as_ref(), b"a b.txt");
        assert_eq!(entity.languages(), [&b"mi"[..], b"en"]);
        assert!(Entity::of(b"Content-Disposition: ;a=b\r\n", false).disposition().is_none());
    }
}
