//! The values in FETCH answers, read strictly, and what ENVELOPE and BODYSTRUCTURE must be made of. RFC 3501 §7.4.2, §9.
//!
//! Written from the RFC's grammar and apart from the server's own writer: it accepts no second space, no empty list where
//! the grammar has NIL, no lower-case nil, and no octet in a quoted string that has to be a literal.

/// One value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// `NIL`.
    Nil,
    /// A number, a flag or a name of an item.
    Atom(String),
    /// A string, quoted or literal.
    Text(Vec<u8>),
    /// A parenthesised list.
    List(Vec<Value>),
}

impl Value {
    pub fn number(&self) -> Option<u64> {
        self.atom()?.parse().ok()
    }

    pub fn atom(&self) -> Option<&str> {
        match self {
            Value::Atom(atom) => Some(atom),
            _ => None,
        }
    }

    fn list(&self) -> Option<&[Value]> {
        match self {
            Value::List(values) => Some(values),
            _ => None,
        }
    }

    fn is_text(&self) -> bool {
        matches!(self, Value::Text(_))
    }

    fn is_ntext(&self) -> bool {
        matches!(self, Value::Text(_) | Value::Nil)
    }
}

/// Reads one value that takes all of `octets`.
pub fn parse(octets: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { octets, at: 0 };
    let value = reader.value()?;
    if reader.at != octets.len() {
        return Err(format!("octets after the value, at {}", reader.at));
    }
    Ok(value)
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Result<u8, String> {
        self.octets.get(self.at).copied().ok_or_else(|| "an early end".to_owned())
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.peek()? {
            b'(' => self.list(),
            b'"' => self.quoted(),
            b'{' => self.literal(),
            _ => self.atom(),
        }
    }

    /// Values are parted by one space; only lists may follow one another without (`1*body`, `1*address`).
    fn list(&mut self) -> Result<Value, String> {
        self.at += 1;
        let mut values = Vec::new();
        while self.peek()? != b')' {
            if let Some(before) = values.last() {
                let lists = matches!(before, Value::List(_)) && self.peek()? == b'(';
                if self.peek()? == b' ' {
                    self.at += 1;
                } else if !lists {
                    return Err(format!("no space between values, at {}", self.at));
                }
            }
            values.push(self.value()?);
        }
        self.at += 1;
        Ok(Value::List(values))
    }

    /// quoted = DQUOTE *QUOTED-CHAR DQUOTE; TEXT-CHAR is CHAR without CR and LF, CHAR is %x01-7F.
    fn quoted(&mut self) -> Result<Value, String> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let mut octet = self.peek()?;
            self.at += 1;
            match octet {
                b'"' => return Ok(Value::Text(text)),
                b'\\' => {
                    octet = self.peek()?;
                    self.at += 1;
                    if !matches!(octet, b'"' | b'\\') {
                        return Err(format!("a needless escape, at {}", self.at));
                    }
                }
                0 | b'\r' | b'\n' | 0x80.. => return Err(format!("octet {octet} in a quoted string, at {}", self.at)),
                _ => {}
            }
            text.push(octet);
        }
    }

    fn literal(&mut self) -> Result<Value, String> {
        let rest = &self.octets[self.at + 1..];
        let end = rest.windows(3).position(|three| three == b"}\r\n").ok_or("a literal without its length")?;
        let length = std::str::from_utf8(&rest[..end]).ok().and_then(|digits| digits.parse::<usize>().ok());
        let length = length.ok_or("a literal's length that is no number")?;
        let text = rest.get(end + 3..end + 3 + length).ok_or("a literal that is cut")?;
        if text.contains(&0) {
            return Err("NUL in a literal".to_owned());
        }
        self.at += 1 + end + 3 + length;
        Ok(Value::Text(text.to_vec()))
    }

    /// An atom, a flag, or an item's name with its section: `BODY[HEADER.FIELDS (TO)]<0>`.
    fn atom(&mut self) -> Result<Value, String> {
        let begin = self.at;
        let mut section = false;
        while let Some(&octet) = self.octets.get(self.at) {
            match octet {
                b'[' => section = true,
                b']' => section = false,
                b' ' | b'(' | b')' | b'"' | b'{' if !section => break,
                0..0x20 | 0x7F.. => return Err(format!("octet {octet} in an atom, at {}", self.at)),
                _ => {}
            }
            self.at += 1;
        }
        match &self.octets[begin..self.at] {
            b"" => Err(format!("no value, at {begin}")),
            b"NIL" => Ok(Value::Nil),
            atom => Ok(Value::Atom(String::from_utf8_lossy(atom).into_owned())),
        }
    }
}

/// envelope = "(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP env-to SP env-cc SP env-bcc SP
/// env-in-reply-to SP env-message-id ")"
pub fn check_envelope(value: &Value) -> Result<(), String> {
    let fields = value.list().ok_or("ENVELOPE is no list")?;
    if fields.len() != 10 {
        return Err(format!("ENVELOPE has {} fields", fields.len()));
    }
    for at in [0, 1, 8, 9] {
        if !fields[at].is_ntext() {
            return Err(format!("field {at} of ENVELOPE is no string: {:?}", fields[at]));
        }
    }
    for field in &fields[2..8] {
        match field {
            Value::Nil => {}
            Value::List(addresses) if !addresses.is_empty() => {
                let address = |value: &Value| value.list().is_some_and(|a| a.len() == 4 && a.iter().all(Value::is_ntext));
                if !addresses.iter().all(address) {
                    return Err(format!("not addresses: {field:?}"));
                }
            }
            other => return Err(format!("not an address list: {other:?}")),
        }
    }
    Ok(())
}

/// A part that a section number names, and the octets that BODYSTRUCTURE says it has (none are told of a multipart).
#[derive(Debug)]
pub struct Part {
    pub section: String,
    pub octets: Option<u64>,
    pub lines: Option<u64>,
}

/// body = "(" (body-type-1part / body-type-mpart) ")": checks it, and gives the parts that can be fetched.
pub fn check_bodystructure(value: &Value) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    check_body(value, "", &mut parts)?;
    Ok(parts)
}

fn check_body(value: &Value, section: &str, parts: &mut Vec<Part>) -> Result<(), String> {
    let fields = value.list().ok_or_else(|| format!("body {section:?} is no list"))?;
    if fields.first().is_some_and(|first| first.list().is_some()) {
        if !section.is_empty() {
            parts.push(Part { section: section.to_owned(), octets: None, lines: None });
        }
        return check_multipart(fields, section, parts);
    }
    // RFC 3501 §6.4.5: a message that is no multipart has one part, 1.
    let section = if section.is_empty() { "1".to_owned() } else { section.to_owned() };
    check_single(fields, &section, parts)
}

/// body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]
fn check_multipart(fields: &[Value], section: &str, parts: &mut Vec<Part>) -> Result<(), String> {
    let bodies = fields.iter().take_while(|field| field.list().is_some()).count();
    for (number, body) in fields[..bodies].iter().enumerate() {
        let dot = if section.is_empty() { "" } else { "." };
        check_body(body, &format!("{section}{dot}{}", number + 1), parts)?;
    }
    let [subtype, parameters, extension @ ..] = &fields[bodies..] else {
        return Err(format!("multipart {section:?} without subtype or parameters"));
    };
    if !subtype.is_text() {
        return Err(format!("multipart {section:?} of subtype {subtype:?}"));
    }
    check_parameters(parameters)?;
    check_extension(extension)
}

/// body-type-1part = (body-type-basic / body-type-msg / body-type-text) [SP body-ext-1part]
fn check_single(fields: &[Value], section: &str, parts: &mut Vec<Part>) -> Result<(), String> {
    let wrong = |what: &str| format!("part {section}: {what}: {fields:?}");
    let [media, subtype, parameters, id, description, encoding, octets, rest @ ..] = fields else {
        return Err(wrong("fewer than 7 fields"));
    };
    let (Value::Text(media), Value::Text(subtype)) = (media, subtype) else { return Err(wrong("no media type")) };
    check_parameters(parameters)?;
    if !id.is_ntext() || !description.is_ntext() || !encoding.is_text() {
        return Err(wrong("id, description or encoding"));
    }
    let octets = octets.number().ok_or_else(|| wrong("no octets"))?;
    let mut part = Part { section: section.to_owned(), octets: Some(octets), lines: None };
    let mut rest = rest;
    let mut inner = None;
    if media.eq_ignore_ascii_case(b"message") && subtype.eq_ignore_ascii_case(b"rfc822") {
        let [envelope, body, lines, after @ ..] = rest else { return Err(wrong("a message without envelope, body, lines")) };
        check_envelope(envelope)?;
        part.lines = Some(lines.number().ok_or_else(|| wrong("no lines"))?);
        (inner, rest) = (Some(body), after);
    } else if media.eq_ignore_ascii_case(b"text") {
        let [lines, after @ ..] = rest else { return Err(wrong("a text without lines")) };
        part.lines = Some(lines.number().ok_or_else(|| wrong("no lines"))?);
        rest = after;
    }
    let [md5, extension @ ..] = rest else { return Err(wrong("no MD5")) };
    if !md5.is_ntext() {
        return Err(wrong("MD5"));
    }
    parts.push(part);
    if let Some(body) = inner {
        let single = body.list().is_some_and(|fields| fields.first().is_some_and(Value::is_text));
        // The parts of a message/rfc822 are numbered below it; the multipart in it shares its number.
        if single {
            check_body(body, &format!("{section}.1"), parts)?;
        } else {
            check_multipart(body.list().ok_or_else(|| wrong("a body that is no list"))?, section, parts)?;
        }
    }
    check_extension(extension)
}

/// body-fld-param = "(" string SP string *(SP string SP string) ")" / nil
fn check_parameters(value: &Value) -> Result<(), String> {
    match value {
        Value::Nil => Ok(()),
        Value::List(strings)
            if !strings.is_empty() && strings.len().is_multiple_of(2) && strings.iter().all(Value::is_text) =>
        {
            Ok(())
        }
        other => Err(format!("not parameters: {other:?}")),
    }
}

/// [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc *(SP body-extension)]]]
fn check_extension(fields: &[Value]) -> Result<(), String> {
    let wrong = || Err(format!("not extension data: {fields:?}"));
    if let Some(disposition) = fields.first() {
        match disposition {
            Value::Nil => {}
            Value::List(pair) if pair.len() == 2 && pair[0].is_text() => check_parameters(&pair[1])?,
            _ => return wrong(),
        }
    }
    let languages = |value: &Value| match value {
        Value::List(all) => !all.is_empty() && all.iter().all(Value::is_text),
        other => other.is_ntext(),
    };
    let location = |value: &Value| value.is_ntext();
    if !fields.get(1).is_none_or(languages) || !fields.get(2).is_none_or(location) || fields.len() > 3 {
        return wrong();
    }
    Ok(())
}
