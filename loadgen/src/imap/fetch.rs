//! The items of a FETCH response, ENVELOPE and BODYSTRUCTURE included, checked to their last parenthesis. RFC 9051 §7.5.2.
//!
//! What a run looks at is kept (UID, flags, sizes, sections); of ENVELOPE and BODYSTRUCTURE only that they keep to the grammar.

use super::scan::{Cursor, Taken, Text};

/// One item of a FETCH response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem<'a> {
    /// FLAGS.
    Flags(Vec<&'a [u8]>),
    /// UID.
    Uid(u32),
    /// INTERNALDATE or SAVEDATE, between its quotes; `None` is NIL.
    Date(Option<Text<'a>>),
    /// RFC822.SIZE.
    Size(u64),
    /// ENVELOPE.
    Envelope,
    /// BODY or BODYSTRUCTURE with this many leaf parts.
    Structure(usize),
    /// BODY[section]<origin>, BINARY[section]<origin>, RFC822, RFC822.HEADER, RFC822.TEXT.
    Section {
        /// Between the brackets; RFC822 has the empty one.
        section: &'a [u8],
        /// Where a partial begins.
        origin: Option<u64>,
        /// `None` is NIL.
        data: Option<Text<'a>>,
    },
    /// BINARY.SIZE[section].
    BinarySize(u32),
    /// MODSEQ (RFC 7162 §3.1.4.2).
    ModSeq(u64),
    /// EMAILID, THREADID, PREVIEW and whatever an extension calls its own: name and a valid value.
    Other(&'a [u8]),
}

/// Takes all items.
/// ```text
/// msg-att = "(" (msg-att-dynamic / msg-att-static) *(SP (msg-att-dynamic / msg-att-static)) ")"
/// ```
pub fn msg_att<'a>(cursor: &mut Cursor<'a>) -> Taken<Vec<FetchItem<'a>>> {
    let mut items = Vec::with_capacity(4);
    cursor.list(|cursor| {
        items.push(item(cursor)?);
        Ok(())
    })?;
    if items.is_empty() { cursor.malformed("at least one FETCH item") } else { Ok(items) }
}

fn item<'a>(cursor: &mut Cursor<'a>) -> Taken<FetchItem<'a>> {
    let name =
        cursor.run("a FETCH item", |octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_'))?;
    let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
    if cursor.peek() == Some(b'[') {
        return sectioned(cursor, name);
    }
    cursor.space()?;
    Ok(if is(b"FLAGS") {
        let mut flags = Vec::new();
        cursor.list(|cursor| {
            flags.push(cursor.flag()?);
            Ok(())
        })?;
        FetchItem::Flags(flags)
    } else if is(b"UID") {
        FetchItem::Uid(cursor.nz_number()?)
    } else if is(b"INTERNALDATE") || is(b"SAVEDATE") {
        FetchItem::Date(date_time(cursor)?)
    } else if is(b"RFC822.SIZE") {
        FetchItem::Size(cursor.number64()?)
    } else if is(b"ENVELOPE") {
        envelope(cursor)?;
        FetchItem::Envelope
    } else if is(b"BODY") || is(b"BODYSTRUCTURE") {
        FetchItem::Structure(body(cursor)?)
    } else if is(b"RFC822") || is(b"RFC822.HEADER") || is(b"RFC822.TEXT") {
        FetchItem::Section { section: &name[name.len().min(7)..], origin: None, data: cursor.nstring()? }
    } else if is(b"MODSEQ") {
        cursor.take(b'(', "an opening parenthesis")?;
        let modseq = cursor.number64()?;
        cursor.take(b')', "a closing parenthesis")?;
        FetchItem::ModSeq(modseq)
    } else {
        cursor.any_value()?;
        FetchItem::Other(name)
    })
}

/// ```text
/// "BODY" section ["<" number ">"] SP nstring / "BINARY" section-binary SP (nstring / literal8) /
/// "BINARY.SIZE" section-binary SP number
/// ```
fn sectioned<'a>(cursor: &mut Cursor<'a>, name: &[u8]) -> Taken<FetchItem<'a>> {
    let from = cursor.rest();
    cursor.take(b'[', "a section")?;
    section_spec(cursor)?;
    let section = &from[1..from.len() - cursor.rest().len()];
    cursor.take(b']', "the section's closing bracket")?;
    if name.eq_ignore_ascii_case(b"BINARY.SIZE") {
        cursor.space()?;
        return Ok(FetchItem::BinarySize(cursor.number()?));
    }
    if !name.eq_ignore_ascii_case(b"BODY") && !name.eq_ignore_ascii_case(b"BINARY") {
        return cursor.malformed("BODY, BINARY or BINARY.SIZE before a section");
    }
    let mut origin = None;
    if cursor.took(b'<') {
        origin = Some(cursor.number64()?);
        cursor.take(b'>', "the origin's closing bracket")?;
    }
    cursor.space()?;
    Ok(FetchItem::Section { section, origin, data: cursor.nstring()? })
}

/// ```text
/// section-spec  = section-msgtext / (section-part ["." section-text])
/// section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"
/// header-list   = "(" header-fld-name *(SP header-fld-name) ")"
/// ```
fn section_spec(cursor: &mut Cursor<'_>) -> Taken<()> {
    if cursor.peek() == Some(b']') {
        return Ok(());
    }
    cursor.run("a section", |octet| octet.is_ascii_alphanumeric() || octet == b'.')?;
    if cursor.took(b' ') {
        cursor.list(|cursor| cursor.astring().map(drop))?;
    }
    Ok(())
}

/// ```text
/// date-time = DQUOTE (SP DIGIT / 2DIGIT) "-" date-month "-" 4DIGIT SP 2DIGIT ":" 2DIGIT ":" 2DIGIT SP ("+" / "-") 4DIGIT DQUOTE
/// ```
fn date_time<'a>(cursor: &mut Cursor<'a>) -> Taken<Option<Text<'a>>> {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let Some(text) = cursor.nstring()? else { return Ok(None) };
    let octets = text.octets();
    let shape = octets.len() == 26
        && octets.iter().zip(b"?9-xxx-9999 99:99:99 s9999").all(|(octet, pattern)| match pattern {
            b'9' => octet.is_ascii_digit(),
            b'?' => octet.is_ascii_digit() || *octet == b' ',
            b's' => matches!(octet, b'+' | b'-'),
            b'x' => octet.is_ascii_alphabetic(),
            other => octet == other,
        });
    if shape && MONTHS.as_chunks::<3>().0.iter().any(|month| month.eq_ignore_ascii_case(&octets[3..6])) {
        Ok(Some(text))
    } else {
        cursor.malformed("a date-time like \"21-Nov-2026 12:00:00 +0000\" before this")
    }
}

/// ```text
/// envelope = "(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP env-to SP env-cc SP env-bcc SP
///            env-in-reply-to SP env-message-id ")"
/// env-from = "(" 1*address ")" / nil      ; and so on; no space between addresses
/// ```
pub fn envelope(cursor: &mut Cursor<'_>) -> Taken<()> {
    cursor.take(b'(', "an envelope")?;
    cursor.nstring()?;
    cursor.space()?;
    cursor.nstring()?;
    for _ in 0..6 {
        cursor.space()?;
        addresses(cursor)?;
    }
    for _ in 0..2 {
        cursor.space()?;
        cursor.nstring()?;
    }
    cursor.take(b')', "the end of the envelope")
}

/// ```text
/// address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"      ; each an nstring
/// ```
fn addresses(cursor: &mut Cursor<'_>) -> Taken<()> {
    if cursor.took_word(b"NIL") {
        return Ok(());
    }
    cursor.take(b'(', "an address list or NIL")?;
    loop {
        cursor.take(b'(', "an address")?;
        cursor.nstring()?;
        for _ in 0..3 {
            cursor.space()?;
            cursor.nstring()?;
        }
        cursor.take(b')', "the end of the address")?;
        if cursor.took(b')') {
            return Ok(());
        }
    }
}

/// Takes a body structure and returns its number of leaf parts.
/// ```text
/// body            = "(" (body-type-1part / body-type-mpart) ")"
/// body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]
/// body-ext-mpart  = body-fld-param [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc *(SP body-extension)]]]
/// ```
pub fn body(cursor: &mut Cursor<'_>) -> Taken<usize> {
    cursor.nested(|cursor| {
        cursor.take(b'(', "a body structure")?;
        let parts = if cursor.peek() == Some(b'(') {
            let mut parts = 0;
            while cursor.peek() == Some(b'(') {
                parts += body(cursor)?;
            }
            cursor.space()?;
            cursor.string()?;
            if cursor.took(b' ') {
                params(cursor)?;
                extension_tail(cursor)?;
            }
            parts
        } else {
            one_part(cursor)?
        };
        cursor.take(b')', "the end of the body structure")?;
        Ok(parts)
    })
}

/// ```text
/// body-type-1part = (body-type-basic / body-type-msg / body-type-text) [SP body-ext-1part]
/// body-fields     = body-fld-param SP body-fld-id SP body-fld-desc SP body-fld-enc SP body-fld-octets
/// body-type-msg   = media-message SP body-fields SP envelope SP body SP body-fld-lines
/// body-type-text  = media-text SP body-fields SP body-fld-lines
/// ```
fn one_part(cursor: &mut Cursor<'_>) -> Taken<usize> {
    let media = cursor.string()?;
    cursor.space()?;
    let subtype = cursor.string()?;
    cursor.space()?;
    params(cursor)?;
    for _ in 0..2 {
        cursor.space()?;
        cursor.nstring()?;
    }
    cursor.space()?;
    cursor.string()?;
    cursor.space()?;
    cursor.number64()?;
    let mut parts = 1;
    let message = media.is(b"MESSAGE") && (subtype.is(b"RFC822") || subtype.is(b"GLOBAL"));
    if message {
        cursor.space()?;
        envelope(cursor)?;
        cursor.space()?;
        parts = body(cursor)?;
    }
    if message || media.is(b"TEXT") {
        cursor.space()?;
        cursor.number64()?;
    }
    if cursor.took(b' ') {
        cursor.nstring()?; // body-fld-md5
        extension_tail(cursor)?;
    }
    Ok(parts)
}

/// `body-fld-param = "(" string SP string *(SP string SP string) ")" / nil`
fn params(cursor: &mut Cursor<'_>) -> Taken<()> {
    if cursor.took_word(b"NIL") {
        return Ok(());
    }
    let mut pairs = 0;
    cursor.list(|cursor| {
        pairs += 1;
        cursor.string()?;
        cursor.space()?;
        cursor.string().map(drop)
    })?;
    if pairs == 0 { cursor.malformed("parameters or NIL before this") } else { Ok(()) }
}

/// ```text
/// [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc *(SP body-extension)]]]
/// body-fld-dsp   = "(" string SP body-fld-param ")" / nil
/// body-fld-lang  = nstring / "(" string *(SP string) ")"
/// body-extension = nstring / number / number64 / "(" body-extension *(SP body-extension) ")"
/// ```
fn extension_tail(cursor: &mut Cursor<'_>) -> Taken<()> {
    if !cursor.took(b' ') {
        return Ok(());
    }
    if !cursor.took_word(b"NIL") {
        cursor.take(b'(', "a disposition or NIL")?;
        cursor.string()?;
        cursor.space()?;
        params(cursor)?;
        cursor.take(b')', "the end of the disposition")?;
    }
    if !cursor.took(b' ') {
        return Ok(());
    }
    if cursor.peek() == Some(b'(') {
        cursor.list(|cursor| cursor.string().map(drop))?;
    } else {
        cursor.nstring()?;
    }
    if !cursor.took(b' ') {
        return Ok(());
    }
    cursor.nstring()?;
    while cursor.took(b' ') {
        cursor.any_value()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Taken<Vec<FetchItem<'_>>> {
        let mut cursor = Cursor::new(text.as_bytes());
        let items = msg_att(&mut cursor)?;
        cursor.end()?;
        Ok(items)
    }

    #[test]
    fn rfc9051_envelope_example() {
        let text = "(FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4286 ENVELOPE (\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \
            \"IMAP4rev1 WG mtg summary and minutes\" ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
            ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
            ((NIL NIL \"imap\" \"cac.washington.edu\")) ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")\
            (\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \"<B27397-0100000@cac.washington.edu>\") \
            BODY (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 92))\r\n";
        let items = items(text).expect("the RFC's example");
        assert_eq!(items.len(), 5);
        assert_eq!(items[2], FetchItem::Size(4286));
        assert_eq!(items[4], FetchItem::Structure(1));
    }

    #[test]
    fn nested_structures_with_literals() {
        let text = "(BODYSTRUCTURE ((\"text\" \"plain\" (\"charset\" {5}\r\nutf-8) NIL NIL \"8bit\" 12 1 NIL NIL NIL NIL)\
            (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 342 (NIL {3}\r\n\")( NIL NIL NIL NIL NIL NIL NIL NIL) \
            ((\"image\" \"png\" (\"name\" \"a\\\"b\") \"<x@y>\" NIL \"base64\" 4554 NIL (\"attachment\" (\"filename\" \"a.png\")) (\"en\" \"de\") NIL)\
            (\"text\" \"html\" NIL NIL NIL \"quoted-printable\" 20 2) \"mixed\") 9) \
            \"mixed\" (\"boundary\" \"b\") NIL NIL NIL 5 (\"ext\" (7))) UID 7)\r\n";
        let items = items(text).expect("valid");
        assert_eq!(items, [FetchItem::Structure(3), FetchItem::Uid(7)]);
    }

    #[test]
    fn sections() {
        let text = "(BODY[] {4}\r\n)\r\n( BODY[1.2.HEADER.FIELDS (From {2}\r\nTo)]<5> \"x\" BINARY[1] ~{1}\r\n\0 BINARY.SIZE[2] 9 \
            BODY[TEXT] NIL RFC822.HEADER {0}\r\n RFC822 NIL MODSEQ (12) EMAILID (M123) X-GM-LABELS (\\Inbox \"a\") PREVIEW NIL)\r\n";
        let items = items(text).expect("valid");
        assert_eq!(items[0], FetchItem::Section { section: b"", origin: None, data: Some(Text::Plain(b")\r\n(")) });
        let fields = FetchItem::Section {
            section: b"1.2.HEADER.FIELDS (From {2}\r\nTo)",
            origin: Some(5),
            data: Some(Text::Quoted(b"x")),
        };
        assert_eq!(items[1], fields);
        assert_eq!(items[7], FetchItem::ModSeq(12));
        assert_eq!(items.len(), 11);
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_refused() {
        for wrong in [
            "()\r\n",
            "(UID 0)\r\n",
            "(UID 7 )\r\n",
            "(FLAGS \\Seen)\r\n",
            "(INTERNALDATE \"2026-11-21\")\r\n",
            "(INTERNALDATE \"17-Xxx-1996 02:44:25 -0700\")\r\n",
            "(ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL))\r\n",
            "(ENVELOPE (NIL NIL () NIL NIL NIL NIL NIL NIL NIL))\r\n",
            "(BODY (\"text\" \"plain\" () NIL NIL \"7bit\" 1 1))\r\n",
            "(BODY (\"text\" \"plain\" NIL NIL NIL NIL 1 1))\r\n",
            "(BODY (\"text\" \"plain\" NIL NIL NIL \"7bit\" 1))\r\n",
            "(BODYSTRUCTURE (\"mixed\"))\r\n",
            "(BODY[ NIL)\r\n",
            "(BODY[]<x> NIL)\r\n",
            "(BODY[] x)\r\n",
            "(BODY[] {9}\r\nabc)\r\n",
            "(FLAGS (\\Seen)) x\r\n",
        ] {
            assert!(items(wrong).is_err(), "{wrong}");
        }
    }
}
