//! A client of SMTP: replies with their codes, transactions, dot-stuffing. RFC 5321.

use std::io;

use super::{Wire, show};

/// One reply, its lines without codes.
#[derive(Debug)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    /// The last line's text.
    pub fn text(&self) -> &str {
        self.lines.last().expect("a reply has a line")
    }

    /// Code and last line as they came.
    pub fn shown(&self) -> String {
        format!("{} {}", self.code, self.text())
    }
}

/// A connection.
pub struct Smtp {
    pub wire: Wire,
}

impl Smtp {
    /// Connects and reads the `220`.
    pub fn connect(port: u16) -> io::Result<Smtp> {
        Smtp::greeted(Wire::connect(port)?)
    }

    /// The same to a port that speaks TLS from the start.
    pub fn connect_tls(port: u16) -> io::Result<Smtp> {
        Smtp::greeted(Wire::connect_tls(port)?)
    }

    fn greeted(wire: Wire) -> io::Result<Smtp> {
        let mut smtp = Smtp { wire };
        let greeting = smtp.reply()?;
        if greeting.code != 220 {
            return Err(io::Error::other(format!("greeted with {}", greeting.shown())));
        }
        Ok(smtp)
    }

    /// Reads one reply of any number of lines, all with one code (RFC 5321 §4.2.1).
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        let mut code = None;
        loop {
            let line = self.wire.line()?;
            let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("not a reply: {}", show(&line)));
            let text = String::from_utf8(line.clone()).map_err(|_| bad())?;
            let number = text.get(..3).and_then(|digits| digits.parse::<u16>().ok()).ok_or_else(bad)?;
            if !(200..600).contains(&number) || *code.get_or_insert(number) != number || line.len() > 510 {
                return Err(bad());
            }
            lines.push(text.get(4..).unwrap_or_default().to_owned());
            match line.get(3) {
                Some(b'-') => {}
                Some(b' ') | None => return Ok(Reply { code: number, lines }),
                Some(_) => return Err(bad()),
            }
        }
    }

    /// Sends one line and reads its reply.
    pub fn attempt(&mut self, command: &str) -> io::Result<Reply> {
        self.wire.write(format!("{command}\r\n").as_bytes())?;
        self.reply()
    }

    /// Sends one line; its reply must begin with `prefix`.
    pub fn expect(&mut self, command: &str, prefix: &str) -> Reply {
        let reply = self.attempt(command).unwrap_or_else(|error| panic!("{}: {error}", show(command.as_bytes())));
        let shown = reply.shown();
        assert!(shown.starts_with(prefix), "{}: {shown}, where {prefix} was due", show(command.as_bytes()));
        reply
    }

    /// Reads a reply that must begin with `prefix`.
    pub fn due(&mut self, prefix: &str) -> Reply {
        let reply = self.reply().unwrap_or_else(|error| panic!("a reply {prefix} was due: {error}"));
        assert!(reply.shown().starts_with(prefix), "{}, where {prefix} was due", reply.shown());
        reply
    }

    pub fn ehlo(&mut self) -> Reply {
        self.expect("EHLO client.example", "250")
    }

    /// STARTTLS and the handshake; EHLO is the caller's, as the server has forgotten the first one.
    pub fn starttls(mut self) -> Smtp {
        self.expect("STARTTLS", "220");
        Smtp { wire: self.wire.into_tls().expect("a handshake") }
    }

    /// AUTH PLAIN with an initial response.
    pub fn auth(&mut self, user: &str, password: &str) {
        self.expect(&format!("AUTH PLAIN {}", plain(user, password)), "235 2.7.0");
    }

    /// A whole transaction with one recipient; the reply to its last step, or to the step that was refused.
    pub fn send(&mut self, from: &str, to: &str, message: &[u8]) -> io::Result<Reply> {
        for command in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>")] {
            let reply = self.attempt(&command)?;
            if reply.code != 250 {
                return Ok(reply);
            }
        }
        let reply = self.attempt("DATA")?;
        if reply.code != 354 {
            return Ok(reply);
        }
        self.wire.write(&stuffed(message))?;
        self.reply()
    }

    /// A transaction that must end with `250`.
    pub fn deliver(&mut self, to: &str, message: &[u8]) {
        let reply = self.send("sender@client.example", to, message);
        let reply = reply.unwrap_or_else(|error| panic!("a message of {} octets: {error}", message.len()));
        assert_eq!(reply.code, 250, "{}", reply.shown());
    }
}

/// A message as it goes over the wire, with its final dot. It must end with CRLF or be empty.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    assert!(message.is_empty() || message.ends_with(b"\r\n"), "SMTP carries whole lines");
    let mut octets = Vec::with_capacity(message.len() + message.len() / 64 + 5);
    for line in message.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(b".") {
            octets.push(b'.');
        }
        octets.extend_from_slice(line);
    }
    octets.extend_from_slice(b".\r\n");
    octets
}

/// RFC 4648 §4.
pub fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in octets.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, &octet| bits << 8 | u32::from(octet)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            text.push(if place <= group.len() { char::from(ALPHABET[digit as usize]) } else { '=' });
        }
    }
    text
}

/// PLAIN's message (RFC 4616 §2) in base64.
pub fn plain(user: &str, password: &str) -> String {
    base64(format!("\0{user}\0{password}").as_bytes())
}

/// The longest that it can be for the server: with a name to act for.
pub fn longest_plain() -> String {
    base64(&[&[b'n'; 320][..], b"\0", &[b'n'; 320], b"\0", &[b'p'; 1024]].concat())
}
