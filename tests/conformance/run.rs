//! Runs one script against a server: what it sends, what must come, and nothing else.
//!
//! Lines that a session sends in a row go out in one write, as a pipelining client's do. What comes is read strictly: CRLF
//! alone ends a line, a literal is as long as it says, and whatever no line of the script expects is a failure, at the
//! latest when the script ends.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use crate::pattern::{Names, Pattern};
use crate::script::{Act, Label, SERVICES, Script, Step};
use crate::support::imap::literal_length;
use crate::support::{Server, Wire, show};

/// How long nothing must come where the script says so.
const QUIET: Duration = Duration::from_millis(150);
/// How long after its last line something more may come, and fail the script.
const AFTERWARDS: Duration = Duration::from_millis(25);

struct Session {
    /// None while TLS begins.
    wire: Option<Wire>,
    service: usize,
    /// Lines that came with the last response, and were not expected yet.
    came: VecDeque<Vec<u8>>,
    /// Lines that are to go out in one write.
    unsent: Vec<u8>,
}

/// A script that runs.
pub struct Run<'a> {
    server: &'a Server,
    names: Names,
    sessions: BTreeMap<Label, Session>,
    dialogue: String,
}

/// What a failure says: all that was said so far, and what is wrong.
type Failure = String;

impl<'a> Run<'a> {
    /// With the names that are given.
    pub fn new(server: &'a Server, names: Names) -> Run<'a> {
        Run { server, names, sessions: BTreeMap::new(), dialogue: String::new() }
    }

    /// Runs it to its end; the error is what a person reads.
    pub fn all(mut self, file: &str, script: &Script) -> Result<(), Failure> {
        for step in &script.steps {
            self.step(step).map_err(|wrong| format!("{}{file}:{}: {wrong}\n", self.dialogue, step.line))?;
        }
        let last = script.steps.last().map_or(0, |step| step.line);
        self.end().map_err(|wrong| format!("{}{file}:{last}: after the last line: {wrong}\n", self.dialogue))
    }

    fn step(&mut self, step: &Step) -> Result<(), Failure> {
        if !matches!(step.act, Act::Send(_)) {
            self.flush_all()?;
        }
        let label = &step.label;
        match &step.act {
            Act::Given { messages, mailbox } => self.given(*messages, mailbox),
            Act::Connect { service, login, select } => {
                let _ = writeln!(self.dialogue, "C{label} -> {}", SERVICES[*service].0);
                self.connect(label, *service)?;
                if *login {
                    self.login(label, select.as_deref())?;
                }
                Ok(())
            }
            Act::StartTls => {
                let _ = writeln!(self.dialogue, "C{label} -> tls");
                let session = self.session(label);
                let early = std::mem::take(&mut session.came);
                if let Some(line) = early.front() {
                    return Err(format!("before the handshake came {}", show(line)));
                }
                let wire = session.wire.take().expect("a session that speaks");
                let wire = wire.into_tls().map_err(|error| format!("the handshake: {error}"))?;
                self.session(label).wire = Some(wire);
                Ok(())
            }
            Act::Close => {
                let _ = writeln!(self.dialogue, "C{label} -> close");
                self.sessions.remove(label);
                Ok(())
            }
            Act::Send(line) => {
                let text = line.text(&self.names);
                self.send(label, &text)
            }
            Act::Expect(pattern) => self.expect(label, pattern),
            Act::ExpectAll(patterns) => self.expect_all(label, patterns),
            Act::ExpectNothing => self.expect_nothing(label, QUIET),
            Act::ExpectClosed => self.expect_closed(label),
        }
    }

    fn session(&mut self, label: &Label) -> &mut Session {
        self.sessions.get_mut(label).expect("the script was checked")
    }

    /// Appends by a connection of its own, which nobody else sees but by what is there afterwards.
    fn given(&mut self, messages: u32, mailbox: &str) -> Result<(), Failure> {
        let mut imap = self.server.imap();
        imap.login(&self.names["user"], &self.names["password"]);
        if mailbox != "INBOX" && imap.command(&format!("STATUS \"{mailbox}\" (MESSAGES)")).status == "NO" {
            imap.ok(&format!("CREATE \"{mailbox}\""));
        }
        for number in 1..=messages {
            imap.append(&format!("\"{mailbox}\""), &given_message(number));
        }
        imap.ok("LOGOUT");
        let _ = writeln!(self.dialogue, "given: {messages} messages in {mailbox}");
        Ok(())
    }

    fn connect(&mut self, label: &Label, service: usize) -> Result<(), Failure> {
        let (name, port, tls) = SERVICES[service];
        let port = self.server.port(port);
        let wire = if tls { Wire::connect_tls(port) } else { Wire::connect(port) };
        let wire = wire.map_err(|error| format!("no connection to {name}: {error}"))?;
        let session = Session { wire: Some(wire), service, came: VecDeque::new(), unsent: Vec::new() };
        self.sessions.insert(label.clone(), session);
        Ok(())
    }

    /// Greeting, login and SELECT of the session's protocol, each of which must succeed.
    fn login(&mut self, label: &Label, select: Option<&str>) -> Result<(), Failure> {
        let service = SERVICES[self.session(label).service].0;
        let fill = |text: &str| Pattern::read(text).map(|pattern| pattern.text(&self.names));
        let commands = match service {
            "imap" | "imaps" => vec![fill("login LOGIN <user> <password>")?],
            "pop3" | "pop3s" => vec![fill("USER <user>")?, fill("PASS <password>")?],
            "submission" | "submissions" => vec!["EHLO client.example".to_owned(), fill("AUTH PLAIN <plain>")?],
            _ => vec!["EHLO client.example".to_owned()],
        };
        self.reply(label, "* ")?;
        for command in commands {
            self.send(label, &command)?;
            self.flush_all()?;
            self.reply(label, "login ")?;
        }
        if let Some(mailbox) = select {
            self.send(label, &format!("select SELECT {mailbox}"))?;
            self.flush_all()?;
            self.reply(label, "select ")?;
        }
        Ok(())
    }

    /// Reads up to the reply that ends a command of the macros, and asks that it is a good one.
    fn reply(&mut self, label: &Label, tag: &str) -> Result<(), Failure> {
        let is_imap = self.session(label).is_imap();
        loop {
            let line = String::from_utf8_lossy(&self.line(label)?).into_owned();
            let good = match (is_imap, line.strip_prefix(tag)) {
                (true, None) => continue,
                (true, Some(status)) => status.starts_with("OK "),
                (false, _) if line.get(3..4) == Some("-") => continue,
                (false, _) => line.starts_with('2') || line.starts_with("+OK"),
            };
            return if good { Ok(()) } else { Err(format!("the macro got {line}")) };
        }
    }

    fn send(&mut self, label: &Label, line: &str) -> Result<(), Failure> {
        let others: Vec<Label> = self.sessions.keys().filter(|other| *other != label).cloned().collect();
        for other in others {
            self.session(&other).flush()?;
        }
        let _ = writeln!(self.dialogue, "C{label}: {line}");
        let unsent = &mut self.session(label).unsent;
        unsent.extend_from_slice(line.as_bytes());
        unsent.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn flush_all(&mut self) -> Result<(), Failure> {
        self.sessions.values_mut().try_for_each(Session::flush)
    }

    /// The next line, from the response at hand or from the connection.
    fn line(&mut self, label: &Label) -> Result<Vec<u8>, Failure> {
        let session = self.session(label);
        if session.came.is_empty() {
            let response = session.response().map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
                _ => error.to_string(),
            })?;
            session.came = response;
        }
        let line = session.came.pop_front().expect("a response has a line");
        let _ = writeln!(self.dialogue, "S{label}: {}", String::from_utf8_lossy(&line));
        Ok(line)
    }

    fn expect(&mut self, label: &Label, pattern: &Pattern) -> Result<(), Failure> {
        let expected = pattern.text(&self.names);
        let line = self.line(label).map_err(|error| format!("{error}\n  expected: S{label}: {expected}"))?;
        let Some(captured) = pattern.matches(&line, &self.names) else {
            return Err(format!("\n  expected: S{label}: {expected}\n  but came: S{label}: {}", show(&line)));
        };
        self.names.extend(captured);
        Ok(())
    }

    fn expect_all(&mut self, label: &Label, patterns: &[(usize, Pattern)]) -> Result<(), Failure> {
        let mut lacking: Vec<&(usize, Pattern)> = patterns.iter().collect();
        while !lacking.is_empty() {
            let expected = |lacking: &[&(usize, Pattern)], names: &Names| {
                lacking.iter().fold(String::new(), |all, (line, pattern)| {
                    all + &format!("\n  expected (line {line}): S{label}: {}", pattern.text(names))
                })
            };
            let line = self.line(label).map_err(|error| format!("{error}{}", expected(&lacking, &self.names)))?;
            // The one that says most about the line has it: a broad pattern is left for what else comes.
            let fitting = (0..lacking.len())
                .filter_map(|at| Some((at, lacking[at].1.matches(&line, &self.names)?)))
                .max_by_key(|(at, _)| lacking[*at].1.text(&self.names).len());
            let Some((at, captured)) = fitting else {
                let expected = expected(&lacking, &self.names);
                return Err(format!("{expected}\n  but came: S{label}: {}", show(&line)));
            };
            lacking.remove(at);
            self.names.extend(captured);
        }
        Ok(())
    }

    fn expect_nothing(&mut self, label: &Label, time: Duration) -> Result<(), Failure> {
        let session = self.session(label);
        let Some(wire) = &mut session.wire else { return Ok(()) };
        let mut came: Vec<u8> = session.came.drain(..).flat_map(|line| [line, b"\r\n".to_vec()].concat()).collect();
        came.extend(wire.within(time));
        match (came.is_empty(), wire.is_closed()) {
            (true, false) => Ok(()),
            (true, true) => Err("the server closed the connection\n  expected: nothing".to_owned()),
            (false, _) => Err(format!("\n  expected: nothing\n  but came: S{label}: {}", show(&came))),
        }
    }

    fn expect_closed(&mut self, label: &Label) -> Result<(), Failure> {
        let mut session = self.sessions.remove(label).expect("the script was checked");
        let wire = session.wire.as_mut().expect("a session that speaks");
        let rest = wire.rest().map_err(|error| format!("\n  expected: the server closes\n  but: {error}"))?;
        match session.came.front().unwrap_or(&rest) {
            line if line.is_empty() => Ok(()),
            line => Err(format!("\n  expected: the server closes\n  but came: S{label}: {}", show(line))),
        }
    }

    /// Nothing that came is left unexpected.
    fn end(&mut self) -> Result<(), Failure> {
        self.flush_all()?;
        let labels: Vec<Label> = self.sessions.keys().cloned().collect();
        labels.iter().try_for_each(|label| self.expect_nothing(label, AFTERWARDS))
    }
}

impl Session {
    fn is_imap(&self) -> bool {
        SERVICES[self.service].0.starts_with("imap")
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let unsent = std::mem::take(&mut self.unsent);
        match &mut self.wire {
            Some(wire) if !unsent.is_empty() => wire.write(&unsent).map_err(|error| format!("sending: {error}")),
            _ => Ok(()),
        }
    }

    /// One line; of IMAP a response, which has as many lines as its literals have.
    fn response(&mut self) -> io::Result<VecDeque<Vec<u8>>> {
        let is_imap = self.is_imap();
        let wire = self.wire.as_mut().expect("a session that speaks");
        let mut line = wire.line()?;
        if !is_imap {
            return Ok(VecDeque::from([line]));
        }
        let mut response = Vec::new();
        while let Some(length) = literal_length(&line) {
            response.extend_from_slice(&line);
            response.extend_from_slice(b"\r\n");
            response.extend_from_slice(&wire.exactly(length)?);
            line = wire.line()?;
        }
        let is_fetch = |response: &[u8]| response.windows(8).take(16).any(|window| window == b" FETCH (");
        if is_fetch(&[&response[..], &line].concat()) && !line.ends_with(b")") {
            return Err(io::Error::other(format!("a literal that is not as long as it says: {}", show(&line))));
        }
        response.extend_from_slice(&line);
        let text = String::from_utf8_lossy(&response).into_owned();
        if std::str::from_utf8(&response).is_ok() {
            return Ok(text.split("\r\n").map(|line| line.as_bytes().to_vec()).collect());
        }
        Ok(VecDeque::from([response]))
    }
}

/// The message with this number that `given:` puts into a mailbox.
fn given_message(number: u32) -> Vec<u8> {
    format!(
        "Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\nFrom: Fred Foobar <foobar@blurdybloop.example>\r\n\
         Subject: message {number}\r\nTo: mooch@owatagu.example\r\nMessage-Id: <{number}@blurdybloop.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\nThis is message {number}.\r\n"
    )
    .into_bytes()
}
