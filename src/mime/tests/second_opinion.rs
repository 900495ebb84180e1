//! Another parser's reading of the same messages: parts, types, charsets, subjects, addresses, file names, texts.
//!
//! mail-parser shares no code with ours. Where the two readings differ, `second_opinion.tsv` names message and fact, and says
//! which rule is on our side; a difference that is not listed fails, and so does a listed one that is gone. Runs of white
//! space are compared as one space, as mail-parser makes them when it unfolds. Where parts nest otherwise their facts
//! are not compared, as there is no saying which belong together.
//! RFC 5322, 2045, 2046, 2047, 2231.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use mail_parser::{Address as TheirAddress, HeaderName, HeaderValue, MimeHeaders, PartType};

use super::super::entity::{Entity, Parameters};
use super::super::*;

/// What is said of a message: place and fact, with its value; none is empty.
pub(super) type Facts = BTreeMap<(String, &'static str), String>;

const ADDRESS_FIELDS: [(&str, HeaderName<'static>); 6] = [
    ("from", HeaderName::From),
    ("sender", HeaderName::Sender),
    ("reply-to", HeaderName::ReplyTo),
    ("to", HeaderName::To),
    ("cc", HeaderName::Cc),
    ("bcc", HeaderName::Bcc),
];

pub(super) fn spaced(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Our reading.
pub(super) struct Ours<'a> {
    raw: &'a [u8],
    parts: Vec<Part>,
    facts: Facts,
}

impl Ours<'_> {
    pub(super) fn of(raw: &[u8]) -> Facts {
        let mut ours = Ours { raw, parts: scan::parts(raw), facts: Facts::new() };
        ours.header(0, "");
        let shape = ours.part(0, "", false);
        ours.facts.insert((String::new(), "structure"), shape);
        ours.facts.retain(|_, value| !value.is_empty());
        ours.facts
    }

    fn header(&mut self, index: usize, place: &str) {
        let header = self.parts[index].header(self.raw);
        let value = header::field(header, b"Subject").unwrap_or_default();
        self.facts.insert((place.into(), "subject"), spaced(&words::decode(&header::unfold(value))));
        for (name, _) in ADDRESS_FIELDS {
            let values = header::fields(header).filter(|field| field.is(name.as_bytes())).map(|field| field.value);
            // As in the envelope: recipients add up, of the others the first counts.
            let count = if ["to", "cc", "bcc"].contains(&name) { usize::MAX } else { 1 };
            let list: Vec<Address> = values.take(count).flat_map(addresses).collect();
            self.facts.insert((place.into(), name), list.iter().map(shown).collect::<Vec<_>>().join(", "));
        }
    }

    /// Gives the shape of the part at `index`.
    fn part(&mut self, index: usize, place: &str, in_digest: bool) -> String {
        let part = self.parts[index];
        let entity = Entity::of(part.header(self.raw), in_digest);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).to_ascii_lowercase();
        let media = format!("{}/{}", text(entity.media), text(entity.subtype));
        self.facts.insert((place.into(), "type"), media);
        let charset = entity.parameters.whole(b"charset");
        self.facts.insert((place.into(), "charset"), charset.as_deref().map(text).unwrap_or_default());
        let disposition = entity.disposition().map(|(_, parameters)| parameters).unwrap_or_default();
        let name = file_name(&disposition, b"filename").or_else(|| file_name(&entity.parameters, b"name"));
        self.facts.insert((place.into(), "filename"), spaced(&name.unwrap_or_default()));
        let children: Vec<usize> =
            (index + 1..self.parts.len()).filter(|at| self.parts[*at].parent as usize == index).collect();
        let is_digest = entity.is(b"MULTIPART", b"DIGEST");
        match part.kind {
            Kind::Leaf => {
                if part.is_text(&entity) {
                    let body = transfer::decode(part.encoding, part.body(self.raw), usize::MAX);
                    let text = spaced(&words::to_unicode(charset.as_deref(), &body));
                    self.facts.insert((place.into(), "text"), format!("text {text}"));
                }
                "leaf".into()
            }
            Kind::Message => {
                let place = format!("{place}.message");
                self.header(children[0], &place);
                format!("message({})", self.part(children[0], &place, false))
            }
            Kind::Multipart => {
                let inside = (1..)
                    .zip(children)
                    .map(|(number, child)| self.part(child, &format!("{place}.{number}"), is_digest));
                let inside: Vec<String> = inside.collect();
                format!("multipart({})", inside.join(" "))
            }
        }
    }
}

/// A parameter as text: in the charset of its RFC 2231 mark, or with its encoded words read, as many senders write them.
fn file_name(parameters: &Parameters<'_>, name: &[u8]) -> Option<String> {
    let whole = parameters.whole(name)?;
    let marked = parameters.0.iter().find(|parameter| {
        let section = parameter.name.to_ascii_lowercase();
        section.strip_prefix(name).is_some_and(|section| section == b"*" || section == b"*0*")
    });
    Some(match marked {
        Some(marked) => words::to_unicode(marked.value.split(|octet| *octet == b'\'').next(), &whole).into_owned(),
        None => words::decode(&whole),
    })
}

fn shown(address: &Address) -> String {
    let text = |octets: &Option<Vec<u8>>| spaced(&words::decode(octets.as_deref().unwrap_or_default()));
    match (&address.mailbox, &address.host) {
        (None, _) => "group-end".into(),
        (group, None) => format!("group {}", text(group)),
        (mailbox, host) => email(&text(&address.name), &format!("{}@{}", text(mailbox), text(host))),
    }
}

fn email(name: &str, address: &str) -> String {
    format!("{name} <{}>", address.strip_suffix('@').unwrap_or(address)).trim_start().to_owned()
}

/// The other reading.
pub(super) struct Theirs(Facts);

impl Theirs {
    pub(super) fn of(raw: &[u8]) -> Facts {
        let mut theirs = Theirs(Facts::new());
        let shape = match mail_parser::MessageParser::new().parse(raw) {
            Some(message) => theirs.message(&message, ""),
            None => "nothing".into(),
        };
        theirs.0.insert((String::new(), "structure"), shape);
        theirs.0.retain(|_, value| !value.is_empty());
        theirs.0
    }

    fn message(&mut self, message: &mail_parser::Message<'_>, place: &str) -> String {
        let first = |name: HeaderName<'static>| {
            message.headers().iter().filter(move |header| header.name == name).map(|header| &header.value)
        };
        let subject = first(HeaderName::Subject).next().and_then(HeaderValue::as_text).unwrap_or_default();
        self.0.insert((place.into(), "subject"), spaced(subject));
        for (field, name) in ADDRESS_FIELDS {
            let count = if ["to", "cc", "bcc"].contains(&field) { usize::MAX } else { 1 };
            let lists = first(name).take(count).filter_map(HeaderValue::as_address);
            self.0.insert((place.into(), field), lists.flat_map(theirs_shown).collect::<Vec<_>>().join(", "));
        }
        self.part(message, 0, place, false)
    }

    fn part(&mut self, message: &mail_parser::Message<'_>, id: u32, place: &str, in_digest: bool) -> String {
        let part = &message.parts[id as usize];
        let media = match part.content_type() {
            Some(kind) if kind.subtype().is_some() => {
                format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default())
            }
            _ if in_digest => "message/rfc822".into(),
            _ => "text/plain".into(),
        };
        self.0.insert((place.into(), "type"), media.to_ascii_lowercase());
        let charset = part.content_type().and_then(|kind| kind.attribute("charset")).unwrap_or_default();
        self.0.insert((place.into(), "charset"), charset.to_ascii_lowercase());
        let name = part.content_disposition().and_then(|disposition| disposition.attribute("filename"));
        let name = name.or_else(|| part.content_type().and_then(|kind| kind.attribute("name")));
        self.0.insert((place.into(), "filename"), spaced(name.unwrap_or_default()));
        match &part.body {
            PartType::Multipart(children) => {
                let is_digest = media.eq_ignore_ascii_case("multipart/digest");
                let inside = (1..).zip(children);
                let inside =
                    inside.map(|(number, child)| self.part(message, *child, &format!("{place}.{number}"), is_digest));
                let inside: Vec<String> = inside.collect();
                format!("multipart({})", inside.join(" "))
            }
            PartType::Message(inner) => format!("message({})", self.message(inner, &format!("{place}.message"))),
            PartType::Text(text) | PartType::Html(text) => {
                self.0.insert((place.into(), "text"), format!("text {}", spaced(text)));
                "leaf".into()
            }
            PartType::Binary(_) | PartType::InlineBinary(_) => "leaf".into(),
        }
    }
}

fn theirs_shown(list: &TheirAddress<'_>) -> Vec<String> {
    let one = |address: &mail_parser::Addr<'_>| {
        email(&spaced(address.name().unwrap_or_default()), &spaced(address.address().unwrap_or_default()))
    };
    match list {
        TheirAddress::List(list) => list.iter().map(one).collect(),
        TheirAddress::Group(groups) => {
            let mut all = Vec::new();
            for group in groups {
                all.extend(group.name.as_deref().map(|name| format!("group {}", spaced(name))));
                all.extend(group.addresses.iter().map(one));
                all.extend(group.name.as_ref().map(|_| "group-end".to_owned()));
            }
            all
        }
    }
}

/// The facts that differ, each with a line that shows how.
fn differences(raw: &[u8]) -> BTreeMap<&'static str, String> {
    let (ours, theirs) = (Ours::of(raw), Theirs::of(raw));
    let structure = (String::new(), "structure");
    let is_alike = ours.get(&structure) == theirs.get(&structure);
    let mut differences = BTreeMap::new();
    for key in ours.keys().chain(theirs.keys()) {
        let (place, fact) = key;
        let is_own = place.is_empty() && !matches!(*fact, "type" | "charset" | "filename" | "text");
        // A text that only one side calls text differs in its type already.
        let is_compared = *fact != "text" || (ours.contains_key(key) && theirs.contains_key(key));
        if (is_alike || is_own) && is_compared && ours.get(key) != theirs.get(key) {
            let (left, right) = (ours.get(key), theirs.get(key));
            differences.entry(*fact).or_insert_with(|| format!("{place}\n   ours:   {left:?}\n   theirs: {right:?}"));
        }
    }
    differences
}

/// The messages of `folder` by their names, its own before them.
fn gather(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = format!("{prefix}{}", path.file_name().unwrap().display());
        if path.is_dir() {
            gather(&path, &format!("{name}/"), files);
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
}

/// Holds the differences in `messages` against the listed ones of the same source, `prefixes` of names.
fn judge(messages: &[(String, Vec<u8>)], prefixes: &[&str]) {
    let listed: BTreeSet<(&str, &str)> = include_str!("second_opinion.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [name, fact, reason] = columns[..] else { panic!("not name, fact and reason: {line}") };
            assert!(!reason.trim().is_empty(), "no reason: {line}");
            (name, fact)
        })
        .filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    let mut found = BTreeSet::new();
    let mut unlisted = Vec::new();
    for (name, raw) in messages {
        for (fact, difference) in differences(raw) {
            found.insert((name.as_str(), fact));
            if !listed.contains(&(name, fact)) {
                unlisted.push(format!("{name}\t{fact}\t{difference}"));
            }
        }
    }
    assert!(unlisted.is_empty(), "{} differences are not listed:\n{}", unlisted.len(), unlisted.join("\n"));
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(gone.is_empty(), "listed, but there is no such difference: {gone:?}");
}

/// The made corpus, and the one that RINGPOST_CORPUS names, where it does.
#[test]
fn the_corpus() {
    let folder = std::env::temp_dir().join(format!("ringpost-second-opinion-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/make.py");
    let status = Command::new("python3").arg(script).arg(&folder).stdout(std::process::Stdio::null()).status().unwrap();
    assert!(status.success());
    let mut messages = Vec::new();
    gather(&folder, "made/", &mut messages);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(messages.len() > 50, "{} messages", messages.len());
    judge(&messages, &["made/"]);
    if let Some(folder) = std::env::var_os("RINGPOST_CORPUS") {
        messages.clear();
        gather(Path::new(&folder), "", &mut messages);
        assert!(messages.len() > 200, "{} messages", messages.len());
        judge(&messages, &["mail-gem/", "mail-parser/"]);
    }
}
