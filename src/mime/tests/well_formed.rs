//! Well-formed messages out of a seed: their subjects, addresses, charsets, encodings, file names and trees are known, and
//! both we and another parser must find exactly them.

use super::generated::Dice;
use super::second_opinion::{Facts, Ours, Theirs, spaced};

/// Charsets with words that they have.
const CHARSETS: [(&str, &[&str]); 5] = [
    ("utf-8", &["Grüße", "привет", "こんにちは", "naïve", "plain", "€"]),
    ("iso-8859-1", &["Grüße", "naïve", "plain", "Ærø"]),
    ("koi8-r", &["привет", "Русь", "plain"]),
    ("windows-1252", &["“smart”", "€", "plain", "Œuvre"]),
    ("shift_jis", &["こんにちは", "テスト", "plain"]),
];
const TOKENS: [&str; 5] = ["a", "b.txt", "report-2025.pdf", "x_y", "Z"];
const BOUNDARIES: [&str; 5] = ["=_b", "simple boundary", "'()+,-./:=?", "b", "----=_Next.Part"];

struct Maker {
    dice: Dice,
    facts: Facts,
    boundaries: usize,
}

impl Maker {
    fn fact(&mut self, place: &str, name: &'static str, value: String) {
        if !value.is_empty() {
            self.facts.insert((place.to_owned(), name), value);
        }
    }

    /// One to three words of a charset.
    fn words(&mut self, charset: usize) -> String {
        let words: Vec<&str> = (0..1 + self.dice.below(3)).map(|_| self.dice.one_of(CHARSETS[charset].1)).collect();
        words.join(" ")
    }

    /// A field's text of plain and encoded words: as it is written, and as it reads.
    fn phrase(&mut self) -> (String, String) {
        let (mut written, mut read) = (Vec::new(), String::new());
        let mut after_encoded = false;
        for number in 0..1 + self.dice.below(3) {
            let is_plain = self.dice.below(2) == 0;
            // White space between two encoded words is no text.
            read += if number == 0 || (after_encoded && !is_plain) { "" } else { " " };
            if is_plain {
                let word = self.dice.one_of(&TOKENS);
                written.push(word.to_owned());
                read += word;
            } else {
                let charset = self.dice.below(CHARSETS.len());
                let text = self.words(charset);
                written.push(self.encoded_word(charset, &text));
                read += &text;
            }
            after_encoded = !is_plain;
        }
        (written.join(self.dice.one_of(&[" ", "\r\n ", "\r\n\t"])), read)
    }

    fn encoded_word(&mut self, charset: usize, text: &str) -> String {
        let name = CHARSETS[charset].0;
        let octets = octets(charset, text);
        match self.dice.below(2) {
            0 => format!("=?{name}?B?{}?=", base64(&octets)),
            _ => format!("=?{name}?q?{}?=", escaped(&octets, '=')),
        }
    }

    fn address(&mut self) -> (String, String) {
        let spec = format!("{}@{}.example", self.dice.one_of(&["a", "b.c", "d+e", "f=g"]), self.dice.below(100));
        let (written, read) = match self.dice.below(4) {
            0 => return (spec.clone(), format!("<{spec}>")),
            1 => (r#""Last, \"First\" \\""#.to_owned(), r#"Last, "First" \"#.to_owned()),
            2 => ("Plain Name".to_owned(), "Plain Name".to_owned()),
            _ => self.phrase(),
        };
        (format!("{written} <{spec}>"), format!("{read} <{spec}>"))
    }

    /// A list of addresses, and perhaps a group at its end.
    fn addresses(&mut self) -> (String, String) {
        let list: Vec<(String, String)> = (0..1 + self.dice.below(3)).map(|_| self.address()).collect();
        let (mut written, mut read): (Vec<String>, Vec<String>) = list.into_iter().unzip();
        if self.dice.below(4) == 0 {
            let (inside, inside_read) = self.address();
            written.push(format!("The Group: {inside};"));
            read.extend(["group The Group".to_owned(), inside_read, "group-end".to_owned()]);
        }
        (written.join(self.dice.one_of(&[", ", ",\r\n "])), read.join(", "))
    }

    /// A message at `place`, and its shape.
    fn message(&mut self, place: &str, depth: usize) -> (Vec<u8>, String) {
        let (subject, read) = self.phrase();
        self.fact(place, "subject", read);
        let mut header = format!("Subject: {subject}\r\n");
        for (field, name) in [("From", "from"), ("To", "to"), ("CC", "cc"), ("Reply-to", "reply-to")] {
            let (list, read) = self.addresses();
            self.fact(place, name, read);
            header += &format!("{field}: {list}\r\n");
        }
        let (entity, shape) = self.entity(place, depth);
        ([header.into_bytes(), b"MIME-Version: 1.0\r\n".to_vec(), entity].concat(), shape)
    }

    fn entity(&mut self, place: &str, depth: usize) -> (Vec<u8>, String) {
        match self.dice.below(if depth < 4 { 6 } else { 3 }) {
            0 | 1 => (self.text(place), "leaf".to_owned()),
            2 => (self.attachment(place), "leaf".to_owned()),
            3 => {
                self.fact(place, "type", "message/rfc822".to_owned());
                let (inner, shape) = self.message(&format!("{place}.message"), depth + 1);
                ([b"Content-Type: message/rfc822\r\n\r\n".to_vec(), inner].concat(), format!("message({shape})"))
            }
            _ => self.multipart(place, depth),
        }
    }

    fn text(&mut self, place: &str) -> Vec<u8> {
        let charset = self.dice.below(CHARSETS.len());
        let (name, subtype) = (CHARSETS[charset].0, self.dice.one_of(&["plain", "html"]));
        let text = format!("{}\r\n{}", self.words(charset), self.words(charset));
        self.fact(place, "type", format!("text/{subtype}"));
        self.fact(place, "charset", name.to_owned());
        self.fact(place, "text", format!("text {}", spaced(&text)));
        let octets = octets(charset, &text);
        let (encoding, body) = match self.dice.below(3) {
            0 => ("Base64", base64(&octets).into_bytes()),
            1 => ("quoted-printable", escaped(&octets, '=').into_bytes()),
            _ => ("8bit", octets),
        };
        let header = format!(
            "Content-Type: text/{subtype};\r\n charset=\"{name}\"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        );
        [header.into_bytes(), body].concat()
    }

    /// An attachment with its name in one of the ways in which names come.
    fn attachment(&mut self, place: &str) -> Vec<u8> {
        let charset = self.dice.below(CHARSETS.len());
        let (name, words) = (CHARSETS[charset].0, self.words(charset));
        let percent = escaped(&octets(charset, &words), '%');
        let token = self.dice.one_of(&TOKENS);
        let (written, read) = match self.dice.below(6) {
            0 => (format!("filename={token}"), token.to_owned()),
            1 => (format!("filename=\"a \\\"{token}\\\"\""), format!("a \"{token}\"")),
            2 => (format!("filename*={name}''{percent}"), words),
            3 => {
                (format!("filename*0*={name}'en'{percent};\r\n filename*1=\"; {token}\""), format!("{words}; {token}"))
            }
            4 => (format!("FileName*1=\"{token}\";\r\n filename*0=\"{token} \""), format!("{token} {token}")),
            _ => (format!("filename=\"{}\"", self.encoded_word(charset, &words)), words),
        };
        self.fact(place, "type", "image/png".to_owned());
        self.fact(place, "filename", read);
        let header =
            "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n ";
        format!("{header}{written}\r\n\r\niVBORw0KGgo=").into_bytes()
    }

    fn multipart(&mut self, place: &str, depth: usize) -> (Vec<u8>, String) {
        let subtype = self.dice.one_of(&["mixed", "alternative", "related", "x-unknown"]);
        self.fact(place, "type", format!("multipart/{subtype}"));
        self.boundaries += 1;
        // The number in front keeps each from beginning with another.
        let boundary = format!("{:03}{}", self.boundaries, self.dice.one_of(&BOUNDARIES));
        let mut out = format!("Content-Type: multipart/{subtype}; boundary=\"{boundary}\"\r\n\r\n").into_bytes();
        out.extend_from_slice(self.dice.one_of(&["", "preamble\r\n", "\r\n"]).as_bytes());
        let mut shapes = Vec::new();
        for number in 1..2 + self.dice.below(3) {
            let (part, shape) = self.entity(&format!("{place}.{number}"), depth + 1);
            out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            out.extend_from_slice(&part);
            out.extend_from_slice(b"\r\n");
            shapes.push(shape);
        }
        out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        out.extend_from_slice(self.dice.one_of(&["", "epilogue\r\n"]).as_bytes());
        (out, format!("multipart({})", shapes.join(" ")))
    }
}

fn octets(charset: usize, text: &str) -> Vec<u8> {
    let encoding = encoding_rs::Encoding::for_label(CHARSETS[charset].0.as_bytes()).unwrap();
    let (octets, _, is_lossy) = encoding.encode(text);
    assert!(!is_lossy, "{text} in {}", CHARSETS[charset].0);
    octets.into_owned()
}

fn base64(octets: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, octets)
}

/// What isn't a letter or a digit as `mark` and two hexadecimal digits.
fn escaped(octets: &[u8], mark: char) -> String {
    let one = |octet: &u8| match octet {
        octet if octet.is_ascii_alphanumeric() => char::from(*octet).to_string(),
        octet => format!("{mark}{octet:02X}"),
    };
    octets.iter().map(one).collect()
}

/// RFC 2046 §5.2.1: a message/rfc822 may hold another at once. mail-parser loses its place after such a one in a multipart, so
/// those messages are ours alone to read.
fn has_message_in_message(shape: &str) -> bool {
    shape.contains("message(message(")
}

#[test]
fn both_read_what_was_written() {
    let mut asked = 0;
    for seed in 0..2000 {
        let mut maker = Maker { dice: Dice(seed), facts: Facts::new(), boundaries: 0 };
        let (raw, shape) = maker.message("", 0);
        maker.fact("", "structure", shape.clone());
        let shown = String::from_utf8_lossy(&raw);
        assert_eq!(Ours::of(&raw), maker.facts, "ours, seed {seed}:\n{shown}");
        if !has_message_in_message(&shape) {
            assert_eq!(Theirs::of(&raw), maker.facts, "theirs, seed {seed}:\n{shown}");
            asked += 1;
        }
    }
    assert!(asked > 1800, "{asked}");
}

#[test]
fn a_message_in_a_message_is_still_read_otherwise() {
    let message = "Content-Type: message/rfc822\r\n\r\n";
    let raw = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{message}{message}\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n"
    );
    let shape = |facts: &Facts| facts[&(String::new(), "structure")].clone();
    let ours = shape(&Ours::of(raw.as_bytes()));
    assert_eq!(ours, "multipart(message(message(leaf)) leaf)");
    assert!(has_message_in_message(&ours));
    assert_ne!(shape(&Theirs::of(raw.as_bytes())), ours, "compare them again");
}
