//! A client of IMAP: tagged commands, untagged responses with their literals, FETCH answers as values. RFC 3501.

use std::io;

use super::structure::{Value, parse};
use super::{Wire, show};

/// What a command brought.
#[derive(Debug)]
pub struct Reply {
    /// Untagged responses in their order, without `* `, their literals included as they came.
    pub untagged: Vec<Vec<u8>>,
    /// `OK`, `NO` or `BAD`.
    pub status: String,
    /// What followed it.
    pub text: String,
}

impl Reply {
    /// The untagged responses that begin with `prefix`, without it.
    pub fn starting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.untagged.iter().filter_map(move |response| response.strip_prefix(prefix.as_bytes()))
    }

    /// Status and text as they came.
    pub fn shown(&self) -> String {
        format!("{} {}", self.status, self.text)
    }

    /// The number of the last `* n EXISTS`.
    pub fn exists(&self) -> Option<u32> {
        self.untagged.iter().rev().find_map(|response| {
            let text = std::str::from_utf8(response).ok()?;
            text.strip_suffix(" EXISTS")?.parse().ok()
        })
    }

    /// The number of a response code such as `[UIDVALIDITY n]`, untagged or in the tagged line.
    pub fn code(&self, name: &str) -> Option<u64> {
        let lines = self.untagged.iter().map(|response| String::from_utf8_lossy(response).into_owned());
        lines.chain([self.text.clone()]).find_map(|line| {
            let (_, after) = line.split_once(&format!("[{name} "))?;
            after.split_once(']')?.0.parse().ok()
        })
    }

    /// The FETCH answers.
    pub fn fetched(&self) -> Vec<Fetched> {
        self.untagged.iter().filter_map(|response| Fetched::read(response)).collect()
    }

    /// The numbers of the SEARCH answer, which must be there once.
    pub fn found(&self) -> Vec<u32> {
        let mut answers = self.starting("SEARCH");
        let answer = answers.next().unwrap_or_else(|| panic!("no SEARCH answer: {self:?}"));
        assert!(answers.next().is_none(), "two SEARCH answers: {self:?}");
        let text = std::str::from_utf8(answer).expect("numbers");
        text.split(' ').skip(1).map(|number| number.parse().expect("a number")).collect()
    }
}

/// One FETCH answer.
#[derive(Debug)]
pub struct Fetched {
    pub number: u32,
    pub items: Vec<(String, Value)>,
}

impl Fetched {
    fn read(response: &[u8]) -> Option<Fetched> {
        let space = response.iter().position(|&octet| octet == b' ')?;
        let number = std::str::from_utf8(&response[..space]).ok()?.parse().ok()?;
        let list = response[space + 1..].strip_prefix(b"FETCH ")?;
        let value = parse(list).unwrap_or_else(|error| panic!("{error} in a FETCH answer: {}", show(response)));
        let Value::List(values) = value else { panic!("no list in a FETCH answer: {}", show(response)) };
        assert!(!values.is_empty() && values.len().is_multiple_of(2), "items without values: {}", show(response));
        let mut items = Vec::new();
        let mut values = values.into_iter();
        while let (Some(name), Some(value)) = (values.next(), values.next()) {
            let Value::Atom(name) = name else { panic!("an item without a name: {}", show(response)) };
            items.push((name, value));
        }
        Some(Fetched { number, items })
    }

    /// An item's value.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.items.iter().find(|(item, _)| item == name).map(|(_, value)| value)
    }

    /// An item that is a number.
    pub fn count(&self, name: &str) -> u64 {
        let value = self.value(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.names()));
        value.number().unwrap_or_else(|| panic!("{name} is not a number: {value:?}"))
    }

    /// An item that is a string.
    pub fn octets(&self, name: &str) -> &[u8] {
        let value = self.value(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.names()));
        let Value::Text(octets) = value else { panic!("{name} is not a string: {value:?}") };
        octets
    }

    /// The flags.
    pub fn flags(&self) -> Vec<String> {
        let Some(Value::List(flags)) = self.value("FLAGS") else { panic!("no FLAGS in {:?}", self.names()) };
        flags.iter().map(|flag| flag.atom().expect("a flag").to_owned()).collect()
    }

    fn names(&self) -> Vec<&str> {
        self.items.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// A connection.
pub struct Imap {
    pub wire: Wire,
    pub greeting: String,
    tags: u32,
}

impl Imap {
    /// Connects and reads the greeting.
    pub fn connect(port: u16) -> io::Result<Imap> {
        Imap::greeted(Wire::connect(port)?)
    }

    /// The same to a port that speaks TLS from the start.
    pub fn connect_tls(port: u16) -> io::Result<Imap> {
        Imap::greeted(Wire::connect_tls(port)?)
    }

    fn greeted(mut wire: Wire) -> io::Result<Imap> {
        let greeting = String::from_utf8_lossy(&wire.line()?).into_owned();
        if !greeting.starts_with("* OK ") {
            return Err(io::Error::other(format!("greeted with {greeting}")));
        }
        Ok(Imap { wire, greeting, tags: 0 })
    }

    /// Goes on where the greeting was read already.
    pub fn resume(wire: Wire) -> Imap {
        Imap { wire, greeting: String::new(), tags: 0 }
    }

    /// STARTTLS and the handshake.
    pub fn starttls(mut self) -> Imap {
        self.ok("STARTTLS");
        Imap { wire: self.wire.into_tls().expect("a handshake"), ..self }
    }

    /// One response line with the literals in it.
    pub fn response(&mut self) -> io::Result<Vec<u8>> {
        let mut response = Vec::new();
        loop {
            let line = self.wire.line()?;
            response.extend_from_slice(&line);
            let Some(length) = literal_length(&line) else { return Ok(response) };
            response.extend_from_slice(b"\r\n");
            response.extend_from_slice(&self.wire.exactly(length)?);
        }
    }

    /// Sends `octets` as a command under a new tag, which is returned.
    pub fn start(&mut self, octets: &[u8]) -> io::Result<String> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.wire.write(&[tag.as_bytes(), b" ", octets, b"\r\n"].concat())?;
        Ok(tag)
    }

    /// Reads up to the tagged response of `tag`.
    pub fn finish(&mut self, tag: &str) -> io::Result<Reply> {
        let mut untagged = Vec::new();
        loop {
            let response = self.response()?;
            if let Some(after) = response.strip_prefix(b"* ") {
                untagged.push(after.to_vec());
                continue;
            }
            let text = String::from_utf8_lossy(&response).into_owned();
            let Some(after) = text.strip_prefix(tag).and_then(|after| after.strip_prefix(' ')) else {
                let error = format!("neither untagged nor tagged {tag}: {}", show(&response));
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            };
            // RFC 3501 §7.1: resp-cond-state = ("OK" / "NO" / "BAD") SP resp-text, and a text is never empty.
            let (status, text) = after.split_once(' ').unwrap_or((after, ""));
            if !matches!(status, "OK" | "NO" | "BAD") || text.is_empty() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("not a status: {}", show(&response))));
            }
            return Ok(Reply { untagged, status: status.to_owned(), text: text.to_owned() });
        }
    }

    /// One command and its responses.
    pub fn attempt(&mut self, command: &str) -> io::Result<Reply> {
        let tag = self.start(command.as_bytes())?;
        self.finish(&tag)
    }

    /// The same where the connection must hold.
    pub fn command(&mut self, command: &str) -> Reply {
        self.attempt(command).unwrap_or_else(|error| panic!("{}: {error}", show(command.as_bytes())))
    }

    /// A command that must succeed.
    pub fn ok(&mut self, command: &str) -> Reply {
        self.answered(command, "OK")
    }

    /// A command whose tagged response must begin with `prefix`.
    pub fn answered(&mut self, command: &str, prefix: &str) -> Reply {
        let reply = self.command(command);
        let shown = reply.shown();
        assert!(shown.starts_with(prefix), "{}: {shown}, where {prefix} was due", show(command.as_bytes()));
        reply
    }

    pub fn login(&mut self, user: &str, password: &str) {
        self.ok(&format!("LOGIN \"{user}\" \"{password}\""));
    }

    /// APPEND with a synchronizing literal; the tagged reply.
    pub fn attempt_append(&mut self, mailbox: &str, message: &[u8]) -> io::Result<Reply> {
        let tag = self.start(format!("APPEND {mailbox} {{{}}}", message.len()).as_bytes())?;
        loop {
            let response = self.response()?;
            if response.starts_with(b"+") {
                break;
            }
            if !response.starts_with(b"* ") {
                return Err(io::Error::other(format!("no continuation: {}", show(&response))));
            }
        }
        self.wire.write(message)?;
        self.wire.write(b"\r\n")?;
        self.finish(&tag)
    }

    /// APPEND that must succeed.
    pub fn append(&mut self, mailbox: &str, message: &[u8]) -> Reply {
        let reply = self.attempt_append(mailbox, message);
        let reply = reply.unwrap_or_else(|error| panic!("APPEND of {} octets: {error}", message.len()));
        assert_eq!(reply.status, "OK", "APPEND of {} octets: {}", message.len(), reply.text);
        reply
    }

    /// Begins IDLE; its tag.
    pub fn idle(&mut self) -> String {
        let tag = self.start(b"IDLE").expect("the connection");
        loop {
            let response = self.response().expect("a continuation request");
            if response.starts_with(b"+") {
                return tag;
            }
            assert!(response.starts_with(b"* "), "{}", show(&response));
        }
    }

    /// Ends the IDLE of `tag`.
    pub fn done(&mut self, tag: &str) {
        self.wire.write(b"DONE\r\n").expect("the connection");
        let reply = self.finish(tag).expect("the end of IDLE");
        assert_eq!(reply.status, "OK", "{}", reply.text);
    }

    /// A FETCH that must answer for exactly one message.
    pub fn fetch_one(&mut self, set: impl std::fmt::Display, items: &str) -> Fetched {
        let command = format!("UID FETCH {set} {items}");
        let mut fetched = self.ok(&command).fetched();
        assert_eq!(fetched.len(), 1, "{command}: answers for {} messages", fetched.len());
        fetched.pop().expect("one")
    }

    /// The message's text, octet for octet, as `UID FETCH n BODY.PEEK[]` gives it.
    pub fn text(&mut self, uid: impl std::fmt::Display) -> Vec<u8> {
        self.fetch_one(uid, "(BODY.PEEK[])").octets("BODY[]").to_vec()
    }

    /// The highest UID of the selected mailbox.
    pub fn last_uid(&mut self) -> u64 {
        self.fetch_one("*", "(UID)").count("UID")
    }
}

/// The `{n}` that a line ends with.
pub fn literal_length(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}")?;
    let open = line.iter().rposition(|&octet| octet == b'{')?;
    let digits = &line[open + 1..];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
