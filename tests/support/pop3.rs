//! A client of POP3: status lines, multi-line responses with their dots undone. RFC 1939.

use std::io;

use super::{Wire, show};

/// A connection.
pub struct Pop3 {
    pub wire: Wire,
    pub greeting: String,
}

impl Pop3 {
    /// Connects and reads the greeting.
    pub fn connect(port: u16) -> io::Result<Pop3> {
        Pop3::greeted(Wire::connect(port)?)
    }

    /// The same to a port that speaks TLS from the start.
    pub fn connect_tls(port: u16) -> io::Result<Pop3> {
        Pop3::greeted(Wire::connect_tls(port)?)
    }

    fn greeted(wire: Wire) -> io::Result<Pop3> {
        let mut pop3 = Pop3::resume(wire);
        pop3.greeting = pop3.status()?;
        if !pop3.greeting.starts_with("+OK") {
            return Err(io::Error::other(format!("greeted with {}", pop3.greeting)));
        }
        Ok(pop3)
    }

    /// Goes on where the greeting was read already.
    pub fn resume(wire: Wire) -> Pop3 {
        Pop3 { wire, greeting: String::new() }
    }

    /// A status line: `+OK` or `-ERR`, and at most 512 octets (RFC 1939 §3).
    pub fn status(&mut self) -> io::Result<String> {
        let line = self.wire.line()?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let indicated = ["+OK", "-ERR"].iter().any(|word| text == *word || text.starts_with(&format!("{word} ")));
        if !indicated || line.len() > 510 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("not a status: {}", show(&line))));
        }
        Ok(text)
    }

    /// Sends one line and reads its status.
    pub fn attempt(&mut self, command: &str) -> io::Result<String> {
        self.wire.write(format!("{command}\r\n").as_bytes())?;
        self.status()
    }

    /// Sends one line whose status must begin with `prefix`.
    pub fn expect(&mut self, command: &str, prefix: &str) -> String {
        let status = self.attempt(command).unwrap_or_else(|error| panic!("{}: {error}", show(command.as_bytes())));
        assert!(status.starts_with(prefix), "{}: {status}, where {prefix} was due", show(command.as_bytes()));
        status
    }

    pub fn ok(&mut self, command: &str) -> String {
        self.expect(command, "+OK")
    }

    pub fn err(&mut self, command: &str) -> String {
        self.expect(command, "-ERR")
    }

    /// The rest of a multi-line response: its lines behind the status, each with CRLF, dots undone.
    pub fn text(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            let line = self.wire.line()?;
            match line.strip_prefix(b".") {
                Some(b"") => return Ok(text),
                Some(stuffed) if !stuffed.starts_with(b".") => {
                    let error = format!("a line that begins with one dot: {}", show(&line));
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
                Some(stuffed) => text.extend_from_slice(stuffed),
                None => text.extend_from_slice(&line),
            }
            text.extend_from_slice(b"\r\n");
        }
    }

    /// A command with a multi-line response, which must succeed.
    pub fn multi(&mut self, command: &str) -> Vec<u8> {
        self.ok(command);
        self.text().unwrap_or_else(|error| panic!("{}: {error}", show(command.as_bytes())))
    }

    /// The same, as lines of text.
    pub fn lines(&mut self, command: &str) -> Vec<String> {
        let text = String::from_utf8(self.multi(command)).expect("UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    pub fn retr(&mut self, message: usize) -> Vec<u8> {
        self.multi(&format!("RETR {message}"))
    }

    /// Messages and octets of STAT.
    pub fn stat(&mut self) -> (u64, u64) {
        let status = self.ok("STAT");
        let mut words = status.split(' ').skip(1).map(|word| word.parse().expect("a number"));
        let stat = (words.next().expect("messages"), words.next().expect("octets"));
        assert!(words.next().is_none(), "{status}");
        stat
    }

    /// USER and PASS; the answer to PASS.
    pub fn attempt_login(&mut self, user: &str, password: &str) -> io::Result<String> {
        self.ok(&format!("USER {user}"));
        self.attempt(&format!("PASS {password}"))
    }

    pub fn login(&mut self, user: &str, password: &str) {
        let answer = self.attempt_login(user, password).expect("an answer to PASS");
        assert!(answer.starts_with("+OK"), "{answer}");
    }

    /// STLS and the handshake.
    pub fn stls(mut self) -> Pop3 {
        self.ok("STLS");
        Pop3 { wire: self.wire.into_tls().expect("a handshake"), ..self }
    }

    /// QUIT that must succeed, and the end of the connection.
    pub fn quit(mut self) {
        self.ok("QUIT");
        let rest = self.wire.rest().expect("the end");
        assert!(rest.is_empty(), "behind QUIT: {}", show(&rest));
    }
}
