//! A folder of messages like those that people have: to fill a mailbox with before it is measured.
//!
//! Invariants: a seed gives the same octets on every machine; each message is strict RFC 5322, and its header states the checksum
//! of its body, as those of [`crate::message`] do; words that a search is to find are in a known number of messages, and nothing
//! else contains them. What it does not do: text of a language, or malformed mail.

use std::fs;
use std::path::Path;

use crate::limits::CORPUS_MESSAGES_MAX;
use crate::message::seal;
use crate::options::CorpusOptions;
use crate::random::Random;
use crate::smtp::client::base64;

/// In the text of every hundredth message, whatever its encoding.
pub const TEXT_WORD: &str = "kingfisher";
const TEXT_EVERY: u32 = 100;
/// In the sender's name of every fortieth message.
pub const FROM_WORD: &str = "Marguerite";
const FROM_EVERY: u32 = 40;

/// A message's header fields, and a line of text.
const OCTETS_MIN: u64 = 2000;
/// What servers take by default leaves room for this.
const OCTETS_MAX: u64 = 8 << 20;

/// What was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// Messages.
    pub messages: u32,
    /// Octets of all of them.
    pub bytes: u64,
    /// Messages with [`TEXT_WORD`].
    pub with_text: u32,
    /// Messages from [`FROM_WORD`].
    pub with_from: u32,
}

/// Writes `000001.eml` and so on.
pub fn write(options: &CorpusOptions) -> Result<Written, String> {
    let (count, folder) = (options.messages, &options.folder);
    if count == 0 || count > CORPUS_MESSAGES_MAX {
        return Err(format!("--messages {count}: from 1 to {CORPUS_MESSAGES_MAX}"));
    }
    let (least, most) = (u64::from(count) * OCTETS_MIN, u64::from(count) * OCTETS_MAX);
    if !(least..=most).contains(&options.bytes) {
        return Err(format!("--bytes {}: {count} messages have from {least} to {most} octets", options.bytes));
    }
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    if fs::read_dir(folder).map_err(|error| failed(folder, error))?.next().is_some() {
        return Err(format!("{} is not empty", folder.display()));
    }
    let mut written =
        Written { messages: count, bytes: 0, with_text: count / TEXT_EVERY, with_from: count / FROM_EVERY };
    let mut random = Random::new(options.seed);
    for (number, octets) in (1..).zip(sizes(count, options.bytes, &mut random)) {
        let message = message(number, octets, options.seed);
        let path = folder.join(format!("{number:06}.eml"));
        fs::write(&path, &message).map_err(|error| failed(&path, error))?;
        written.bytes += message.len() as u64;
    }
    Ok(written)
}

/// Sizes as mail has them, log-normal above the least: half of the messages have less than half of the mean, and a tenth of them
/// has close to half of the octets.
fn sizes(count: u32, bytes: u64, random: &mut Random) -> Vec<u64> {
    const SPREAD: f64 = 1.5;
    let weights: Vec<f64> = (0..count).map(|_| (random.normal() * SPREAD).exp()).collect();
    let spare = (bytes - u64::from(count) * OCTETS_MIN) as f64 / weights.iter().sum::<f64>();
    weights.iter().map(|weight| (OCTETS_MIN + (weight * spare) as u64).min(OCTETS_MAX)).collect()
}

const NAMES: [&str; 16] = [
    "Anna Muster",
    "Bernd Graf",
    "Chloe Martin",
    "Deniz Kaya",
    "Elena Rossi",
    "Frank Weber",
    "Grace Hill",
    "Hugo Brandt",
    "Ivana Novak",
    "Jonas Lind",
    "Karim Said",
    "Lucia Perez",
    "Mei Tanaka",
    "Nils Berg",
    "Olga Petrova",
    "Paul Dubois",
];
const DOMAINS: [&str; 6] =
    ["example.com", "example.org", "mail.example.net", "research.example.edu", "shop.example", "lists.example.org"];
const WORDS: [&str; 48] = [
    "the", "of", "and", "to", "in", "a", "is", "that", "for", "with", "on", "we", "meeting", "report", "please",
    "attached", "budget", "project", "Thursday", "review", "invoice", "order", "number", "deadline", "team",
    "question", "regards", "update", "server", "schedule", "customer", "contract", "travel", "draft", "figures",
    "quarter", "delivery", "office", "phone", "answer", "change", "release", "summary", "details", "notes", "agenda",
    "shipping", "thanks",
];
/// Words of these are made up, so that the vocabulary is as wide as a real one's.
const SYLLABLES: [&str; 16] =
    ["ba", "co", "di", "fa", "lo", "me", "na", "po", "qua", "ri", "sto", "tu", "ve", "wi", "xa", "zo"];
const ACCENTED: [&str; 6] = ["für", "größer", "déjà", "señor", "naïve", "Zürich"];

/// One message of about `octets` octets.
fn message(number: u32, octets: u64, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed ^ (u64::from(number) << 32));
    let mut header = header(number, seed, &mut random);
    let room = (octets as usize).saturating_sub(header.len() + 150);
    let word = number.is_multiple_of(TEXT_EVERY).then_some(TEXT_WORD);
    let boundary = format!("=_{:016x}", random.bits());
    let mut body = Vec::with_capacity(room + 256);
    match room {
        0..4000 => {
            let encoding = [Encoding::Plain, Encoding::Plain, Encoding::Quoted, Encoding::Base64];
            let encoding = encoding[random.below(4) as usize];
            header.push_str(&encoding.fields("text/plain"));
            text(&mut body, room, (encoding, word), &mut random);
        }
        4000..20_000 => {
            header.push_str(&format!("Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n"));
            for (kind, share) in [("text/plain", room / 3), ("text/html", room - room / 3)] {
                let fields = Encoding::Quoted.fields(kind);
                body.extend_from_slice(format!("--{boundary}\r\n{fields}\r\n").as_bytes());
                text(&mut body, share.saturating_sub(fields.len() + 40), (Encoding::Quoted, word), &mut random);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        }
        _ => {
            header.push_str(&format!("Content-Type: multipart/mixed;\r\n boundary=\"{boundary}\"\r\n"));
            let fields = Encoding::Quoted.fields("text/plain");
            body.extend_from_slice(format!("--{boundary}\r\n{fields}\r\n").as_bytes());
            text(&mut body, 2000, (Encoding::Quoted, word), &mut random);
            let name = random.one_of(&["report.pdf", "photo.jpg", "minutes.odt", "offer.pdf"]);
            let part = format!(
                "\r\n--{boundary}\r\nContent-Type: application/octet-stream; name=\"{name}\"\r\n\
                 Content-Disposition: attachment; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            );
            body.extend_from_slice(part.as_bytes());
            let octets: Vec<u8> =
                (0..(room - body.len()) / 78 * 57 / 8 + 1).flat_map(|_| random.bits().to_le_bytes()).collect();
            wrapped(&mut body, &octets);
            body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        }
    }
    seal(header.into_bytes(), &body)
}

/// The fields but those of the content.
fn header(number: u32, seed: u64, random: &mut Random) -> String {
    let domain = random.one_of(&DOMAINS);
    let name = if number.is_multiple_of(FROM_EVERY) { FROM_WORD } else { random.one_of(&NAMES) };
    let local = name.to_lowercase().replace(' ', ".");
    let id = |number: u32| format!("<{number:08x}.{seed:x}@{}>", DOMAINS[number as usize % DOMAINS.len()]);
    let date = date(number);
    let mut text = String::with_capacity(2000);
    for hop in 0..1 + random.below(3) {
        text.push_str(&format!(
            "Received: from mx{hop}.{domain} (mx{hop}.{domain} [192.0.2.{}])\r\n\tby relay{hop}.example.net with ESMTPS id \
             {:012X}\r\n\tfor <reader@example.com>; {date}\r\n",
            random.below(256),
            random.below(1 << 48)
        ));
    }
    if random.chance(70) {
        let signature: String = (0..5)
            .map(|_| format!("\r\n\t {:016x}{:016x}{:016x}", random.bits(), random.bits(), random.bits()))
            .collect();
        text.push_str(&format!(
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s=s1;\r\n\th=from:to:subject:date; b={}\r\n",
            signature.trim_start()
        ));
    }
    text.push_str(&format!("Message-ID: {}\r\nDate: {date}\r\nFrom: {name} <{local}@{domain}>\r\n", id(number)));
    let recipients: Vec<String> = (0..1 + random.below(3)).map(|_| address(random)).collect();
    text.push_str(&format!("To: reader@example.com,\r\n {}\r\n", recipients.join(",\r\n ")));
    if random.chance(30) {
        text.push_str(&format!("Cc: {}\r\n", address(random)));
    }
    let mut subject = format!("{} {} {}", random.one_of(&WORDS), random.one_of(&WORDS), random.below(10_000));
    if random.chance(20) {
        subject = format!("=?utf-8?Q?f=C3=BCr_{}?= {subject}", random.one_of(&WORDS));
    }
    if number > 10 && random.chance(40) {
        let parent = number - 1 - random.below(u64::from(number).min(200) - 1) as u32;
        subject.insert_str(0, "Re: ");
        text.push_str(&format!("In-Reply-To: {0}\r\nReferences: {1}\r\n {0}\r\n", id(parent), id(parent / 2 + 1)));
    }
    text.push_str(&format!("Subject: {subject}\r\n"));
    if random.chance(15) {
        text.push_str("List-Id: <talk.lists.example.org>\r\nPrecedence: list\r\n");
    }
    text.push_str("User-Agent: Example Mail 7.2\r\nMIME-Version: 1.0\r\n");
    text
}

fn address(random: &mut Random) -> String {
    let name = random.one_of(&NAMES);
    format!("{name} <{}@{}>", name.to_lowercase().replace(' ', "."), random.one_of(&DOMAINS))
}

/// A message every 40 minutes from the beginning of 2026 on, in a year of twelve months of 28 days.
fn date(number: u32) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let minutes = number * 40 % (12 * 28 * 24 * 60);
    let (days, minute) = (minutes / 1440, minutes % 1440);
    let month = MONTHS[(days / 28) as usize];
    format!("{} {month} 2026 {:02}:{:02}:00 +0000", days % 28 + 1, minute / 60, minute % 60)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    Quoted,
    Base64,
}

impl Encoding {
    fn fields(self, kind: &str) -> String {
        let (charset, encoding) = match self {
            Encoding::Plain => ("us-ascii", "7bit"),
            Encoding::Quoted => ("utf-8", "quoted-printable"),
            Encoding::Base64 => ("utf-8", "base64"),
        };
        format!("Content-Type: {kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n")
    }
}

/// About `octets` octets of such text as it is after decoding, with [`TEXT_WORD`] as often as messages have it.
pub fn decoded(octets: usize) -> Vec<u8> {
    /// The mean message.
    const PART: usize = 9520;
    let mut random = Random::new(1);
    let mut into = Vec::with_capacity(octets + PART);
    for number in 0.. {
        if into.len() >= octets {
            break;
        }
        let word = (number % TEXT_EVERY == 0).then_some(TEXT_WORD);
        text(&mut into, PART.min(octets), (Encoding::Plain, word), &mut random);
    }
    into.truncate(octets);
    into
}

/// Appends lines of text, about `octets` when encoded, with `word` in the first of them.
fn text(into: &mut Vec<u8>, octets: usize, (encoding, word): (Encoding, Option<&str>), random: &mut Random) {
    let octets = if encoding == Encoding::Base64 { octets / 78 * 57 } else { octets };
    let mut plain = String::with_capacity(octets + 100);
    let mut line = word.map_or(String::new(), |word| format!("{word} "));
    while plain.len() + line.len() < octets.max(20) {
        match random.below(10) {
            0..7 => line.push_str(random.one_of(&WORDS)),
            7 if encoding != Encoding::Plain => line.push_str(random.one_of(&ACCENTED)),
            _ => (0..2 + random.below(3)).for_each(|_| line.push_str(random.one_of(&SYLLABLES))),
        }
        line.push(' ');
        if line.len() > 52 {
            plain.push_str(line.trim_end());
            plain.push_str("\r\n");
            line.clear();
        }
    }
    plain.push_str(line.trim_end());
    plain.push_str("\r\n");
    match encoding {
        Encoding::Plain => into.extend_from_slice(plain.as_bytes()),
        Encoding::Base64 => wrapped(into, plain.as_bytes()),
        Encoding::Quoted => {
            for octet in plain.bytes() {
                match octet {
                    b'\r' | b'\n' | b' '..=b'<' | b'>'..0x7f => into.push(octet),
                    _ => into.extend_from_slice(format!("={octet:02X}").as_bytes()),
                }
            }
        }
    }
}

/// Appends base64 in lines of 76.
fn wrapped(into: &mut Vec<u8>, octets: &[u8]) {
    for line in octets.chunks(57) {
        into.extend_from_slice(base64(line).as_bytes());
        into.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Verdict, verify};

    #[test]
    fn messages_are_strict_sealed_and_always_the_same() {
        for (number, octets) in (1..200).zip([2000, 3000, 6000, 15_000, 40_000, 200_000].into_iter().cycle()) {
            let one = message(number, octets, 1);
            assert_eq!(verify(&one), Verdict::Intact, "{number}");
            assert_eq!(one, message(number, octets, 1));
            let near = octets * 8 / 10..octets * 11 / 10 + 300;
            assert!(near.contains(&(one.len() as u64)), "{number}: {} of {octets}", one.len());
            for line in one.split_inclusive(|octet| *octet == b'\n') {
                let strict = line.ends_with(b"\r\n") && line.len() <= 180 && line.is_ascii();
                assert!(strict && line.iter().filter(|octet| **octet == b'\r').count() == 1, "{number}: {line:?}");
            }
        }
    }

    #[test]
    fn sizes_sum_up_and_spread() {
        let mut sizes = sizes(10_000, 95_200_000, &mut Random::new(1));
        let sum: u64 = sizes.iter().sum();
        assert!((95_000_000..=95_200_000).contains(&sum), "{sum}");
        sizes.sort_unstable();
        assert!(sizes[5000] < 6000 && sizes[9990] > 100_000, "{} {}", sizes[5000], sizes[9990]);
    }

    #[test]
    fn decoded_text_has_the_word_in_it() {
        let text = decoded(2_000_000);
        assert_eq!(text.len(), 2_000_000);
        assert_eq!(memchr::memmem::find_iter(&text, TEXT_WORD).count(), 3);
    }

    #[test]
    fn a_folder_is_written_once() {
        let folder = std::env::temp_dir().join(format!("loadgen-corpus-{}", std::process::id()));
        let options = CorpusOptions { folder: folder.clone(), messages: 200, bytes: 1_200_000, seed: 3 };
        let written = write(&options).expect("it is written");
        let again = write(&options).expect_err("it is not empty");
        let texts: Vec<Vec<u8>> = fs::read_dir(&folder)
            .expect("the folder")
            .map(|entry| fs::read(entry.expect("an entry").path()).expect("a message"))
            .collect();
        fs::remove_dir_all(&folder).expect("it is ours");
        assert!(again.contains("not empty"), "{again}");
        assert_eq!((written.messages, written.with_text, written.with_from), (200, 2, 5));
        assert_eq!(written.bytes, texts.iter().map(|text| text.len() as u64).sum::<u64>());
        let from = texts.iter().filter(|text| memchr::memmem::find(text, b"From: Marguerite").is_some()).count();
        assert_eq!(from, 5);
        assert!(write(&CorpusOptions { messages: 0, ..options }).is_err());
    }
}
