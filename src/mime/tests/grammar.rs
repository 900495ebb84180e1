//! What a client makes of our answers: a strict reader of RFC 3501 §9 `envelope` and `body`, and [`check`], which holds
//! them against the parts.

use super::super::*;

/// A body as a client understands it.
#[derive(Debug, PartialEq)]
pub(super) struct Body {
    pub(super) media: String,
    pub(super) subtype: String,
    pub(super) octets: u32,
    pub(super) lines: Option<u32>,
    pub(super) children: Vec<Body>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn expect(&mut self, text: &str) {
        let rest = &self.bytes[self.at..];
        let shown = String::from_utf8_lossy(&rest[..rest.len().min(60)]);
        assert!(rest.starts_with(text.as_bytes()), "{text} expected at {}: {shown}", self.at);
        self.at += text.len();
    }

    fn is_next(&self, text: &str) -> bool {
        self.bytes[self.at..].starts_with(text.as_bytes())
    }

    fn eat(&mut self, text: &str) -> bool {
        let is_next = self.is_next(text);
        self.at += if is_next { text.len() } else { 0 };
        is_next
    }

    fn number(&mut self) -> u32 {
        let digits = self.bytes[self.at..].iter().take_while(|octet| octet.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.bytes[self.at..self.at + digits]).unwrap();
        self.at += digits;
        text.parse().expect("a number")
    }

    fn string(&mut self) -> Vec<u8> {
        if self.eat("{") {
            let length = self.number() as usize;
            self.expect("}\r\n");
            let text = self.bytes[self.at..self.at + length].to_vec();
            assert!(!text.contains(&0), "NUL in a literal");
            self.at += length;
            return text;
        }
        self.expect("\"");
        let mut text = Vec::new();
        loop {
            let mut octet = self.bytes[self.at];
            self.at += 1;
            match octet {
                b'"' => return text,
                b'\\' => {
                    octet = self.bytes[self.at];
                    self.at += 1;
                    assert!(matches!(octet, b'"' | b'\\'), "quoted {octet}");
                }
                _ => {}
            }
            assert!((1..128).contains(&octet) && octet != b'\r' && octet != b'\n', "{octet} in a quoted string");
            text.push(octet);
        }
    }

    fn nstring(&mut self) -> Option<Vec<u8>> {
        if self.eat("NIL") { None } else { Some(self.string()) }
    }

    fn envelope(&mut self) {
        self.expect("(");
        self.nstring();
        self.expect(" ");
        self.nstring();
        for _ in 0..6 {
            self.expect(" ");
            self.address_list();
        }
        self.expect(" ");
        self.nstring();
        self.expect(" ");
        self.nstring();
        self.expect(")");
    }

    fn address_list(&mut self) {
        if self.eat("NIL") {
            return;
        }
        self.expect("(");
        let mut in_group = false;
        loop {
            self.expect("(");
            self.nstring();
            self.expect(" ");
            self.nstring();
            self.expect(" ");
            let mailbox = self.nstring();
            self.expect(" ");
            if self.nstring().is_none() {
                // A group begins outside of groups, ends inside of one.
                assert_eq!(mailbox.is_some(), !in_group);
                in_group = !in_group;
            } else {
                assert!(mailbox.is_some());
            }
            self.expect(")");
            if self.eat(")") {
                assert!(!in_group);
                return;
            }
        }
    }

    fn parameters(&mut self) {
        if self.eat("NIL") {
            return;
        }
        self.expect("(");
        loop {
            self.string();
            self.expect(" ");
            self.string();
            if self.eat(")") {
                return;
            }
            self.expect(" ");
        }
    }

    fn extension(&mut self) {
        self.expect(" ");
        if !self.eat("NIL") {
            self.expect("(");
            self.string();
            self.expect(" ");
            self.parameters();
            self.expect(")");
        }
        self.expect(" ");
        if self.eat("(") {
            self.string();
            while self.eat(" ") {
                self.string();
            }
            self.expect(")");
        } else {
            self.nstring();
        }
        self.expect(" ");
        self.nstring();
    }

    fn body(&mut self, extended: bool) -> Body {
        self.expect("(");
        let upper = |text: Vec<u8>| String::from_utf8(text).unwrap().to_ascii_uppercase();
        let mut body =
            Body { media: "MULTIPART".into(), subtype: String::new(), octets: 0, lines: None, children: vec![] };
        if self.is_next("(") {
            while self.is_next("(") {
                body.children.push(self.body(extended));
            }
            self.expect(" ");
            body.subtype = upper(self.string());
            if extended {
                self.expect(" ");
                self.parameters();
                self.extension();
            }
            self.expect(")");
            return body;
        }
        body.media = upper(self.string());
        self.expect(" ");
        body.subtype = upper(self.string());
        assert_ne!(body.media, "MULTIPART");
        self.expect(" ");
        self.parameters();
        self.expect(" ");
        self.nstring();
        self.expect(" ");
        self.nstring();
        self.expect(" ");
        self.string();
        self.expect(" ");
        body.octets = self.number();
        let is_message = body.media == "MESSAGE" && matches!(body.subtype.as_str(), "RFC822" | "GLOBAL");
        if is_message {
            self.expect(" ");
            self.envelope();
            self.expect(" ");
            body.children.push(self.body(extended));
        }
        if is_message || body.media == "TEXT" {
            self.expect(" ");
            body.lines = Some(self.number());
        }
        if extended {
            self.expect(" ");
            self.nstring();
            self.extension();
        }
        self.expect(")");
        body
    }
}

/// Reads a BODY or BODYSTRUCTURE.
pub(super) fn body(bytes: &[u8], extended: bool) -> Body {
    let mut reader = Reader { bytes, at: 0 };
    let body = reader.body(extended);
    assert_eq!(reader.at, bytes.len());
    body
}

/// Everything that holds of every message's structure.
pub(super) fn check(raw: &[u8]) -> Structure {
    let told = structure(raw);
    let mut reader = Reader { bytes: &told.envelope, at: 0 };
    reader.envelope();
    assert_eq!(reader.at, told.envelope.len());

    let root = body(&told.bodystructure, true);
    assert_eq!(root, body(&super::super::body(raw, &told), false));
    check_parts(raw, &told.parts);
    let mut met = 0;
    check_body(raw, &told.parts, &root, &mut met);
    assert_eq!(met, told.parts.len());
    check_numbers(&told.parts, &root, &mut 0, &[], true);

    let header = range(&told.parts[..], &[], Content::Header).unwrap();
    let text = range(&told.parts[..], &[], Content::Text).unwrap();
    assert_eq!((header.start, header.end, text.end), (0, text.start, raw.len()));
    assert!(told.text.len() <= MIME_TEXT_BYTES_MAX);
    // One mark, behind the message's own header.
    assert_eq!(told.text.matches('\u{1}').count(), 1);
    assert_eq!(fold(&told.text), told.text.replace('\u{1}', " "));
    assert!(told.base_subject.len() <= told.subject.len());
    if let Some(sent) = super::super::sent_date(&told.envelope) {
        assert!((1..=12).contains(&sent.month) && (1..=31).contains(&sent.day) && (0..=9999).contains(&sent.year));
    }
    told
}

fn check_parts(raw: &[u8], parts: &[Part]) {
    assert!(parts.len() <= crate::limits::MIME_PARTS_MAX);
    let mut depths = vec![0];
    for (index, part) in parts.iter().enumerate() {
        assert!(part.header_start <= part.body_start && part.body_start <= part.end);
        assert_eq!(part.lines as usize, part.body(raw).iter().filter(|octet| **octet == b'\n').count());
        if index == 0 {
            assert_eq!((part.parent, part.header_start, part.end as usize), (0, 0, raw.len()));
            continue;
        }
        let parent = &parts[part.parent as usize];
        assert!((part.parent as usize) < index && parent.kind != Kind::Leaf);
        assert!(part.header_start >= parent.body_start && part.end <= parent.end, "{parent:?} {part:?}");
        depths.push(depths[part.parent as usize] + 1);
        assert!(depths[index] <= crate::limits::MIME_DEPTH_MAX);
        if parent.kind == Kind::Message {
            assert_eq!((part.header_start, part.end, index), (parent.body_start, parent.end, part.parent as usize + 1));
        }
        let sister = parts[..index].iter().rfind(|sister| sister.parent == part.parent);
        if let Some(sister) = sister.filter(|sister| sister.header_start > parent.header_start) {
            assert!(sister.end <= part.header_start);
        }
    }
}

/// The bodies of `body` and the parts from `met` on tell the same.
fn check_body(raw: &[u8], parts: &[Part], body: &Body, met: &mut usize) {
    let part = &parts[*met];
    *met += 1;
    let kind = match (body.media.as_str(), body.children.len()) {
        (_, 0) => Kind::Leaf,
        ("MULTIPART", _) => Kind::Multipart,
        _ => Kind::Message,
    };
    assert_eq!(part.kind, kind);
    if kind != Kind::Multipart {
        assert_eq!(body.octets as usize, part.body(raw).len());
        assert!(body.lines.is_none_or(|lines| lines == part.lines));
    }
    for child in &body.children {
        check_body(raw, parts, child, met);
    }
}

/// A client numbers what it reads, and finds it. `is_message`: `body` is what a message consists of.
fn check_numbers(parts: &[Part], body: &Body, met: &mut usize, path: &[u32], is_message: bool) {
    let index = *met;
    *met += 1;
    let is_multipart = body.media == "MULTIPART";
    let mut own = path.to_vec();
    if is_message && !is_multipart {
        own.push(1);
    }
    if !(is_message && is_multipart) {
        assert_eq!(section(parts, &own), Some(index), "{own:?}");
        let part = &parts[index];
        assert_eq!(range(parts, &own, Content::Body), Some(part.body_start as usize..part.end as usize));
    }
    for (number, child) in (1..).zip(&body.children) {
        if is_multipart {
            own.push(number);
            check_numbers(parts, child, met, &own, false);
            own.pop();
        } else {
            check_numbers(parts, child, met, &own, true);
        }
    }
    if is_multipart {
        own.push(body.children.len() as u32 + 1);
        assert_eq!(section(parts, &own), None);
    }
}
