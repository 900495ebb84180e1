//! The client side of one SMTP or LMTP connection: set-up (greeting, EHLO or LHLO, STARTTLS, AUTH), then one transaction after
//! the other. An operation is a transaction that took all its recipients.
//!
//! Invariants: in LMTP there is a reply to the message for each recipient that was taken, and none for the others (RFC 2033 §4.2); MAIL, RCPT and DATA go in one write where PIPELINING is announced, else one by one; the message goes only after 354;
//! each reply is checked against the command that it answers (RFC 5321 §4.3.2), its enhanced status code against its class
//! (RFC 2034 §4). A refusal is counted; in set-up it ends the run.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::reply::{Framing, Reply};
use crate::dialogue::{Dialogue, Fault, Turn, Wish};
use crate::ledger::{Change, Ledger};
use crate::message::Assortment;
use crate::names::Names;
use crate::random::{Random, Zipf};
use crate::script::Think;

/// What all connections of a run share.
#[derive(Debug)]
pub struct Settings {
    /// Reverse-path.
    pub from: String,
    /// Forward-paths, taken in turn.
    pub to: Names,
    /// Recipients of each transaction.
    pub recipients: u32,
    /// True: LMTP (RFC 2033).
    pub lmtp: bool,
    /// Users and their password, where the work is submission.
    pub credentials: Option<(Names, String)>,
    /// True: STARTTLS first.
    pub starttls: bool,
    /// The messages.
    pub mail: RefCell<Assortment>,
    /// The time between two transactions of a user, in a scenario.
    pub think: Think,
    /// How often each recipient is named; `None`: all in turn.
    pub zipf: Option<Zipf>,
    /// Where promises are written down.
    pub ledger: Option<Rc<RefCell<Ledger>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Message,
    Rset,
}

impl Command {
    fn name(self) -> &'static str {
        match self {
            Command::Ehlo => "EHLO",
            Command::StartTls => "STARTTLS",
            Command::Auth => "AUTH",
            Command::Mail => "MAIL",
            Command::Rcpt => "RCPT",
            Command::Data => "DATA",
            Command::Message => "the message",
            Command::Rset => "RSET",
        }
    }

    /// RFC 5321 §4.3.2: the replies that mean success.
    fn is_success(self, code: u16) -> bool {
        match self {
            Command::StartTls => code == 220,
            Command::Auth => code == 235,
            Command::Rcpt => matches!(code, 250..=252),
            Command::Data => code == 354,
            Command::Ehlo | Command::Mail | Command::Message | Command::Rset => code == 250,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    SettingUp,
    Ready,
}

#[derive(Debug, Default)]
struct Extensions {
    pipelining: bool,
    enhanced: bool,
    starttls: bool,
    auth_plain: bool,
    size_max: Option<u64>,
}

/// One connection's dialogue.
#[derive(Debug)]
pub struct Client {
    settings: Rc<Settings>,
    index: u32,
    stage: Stage,
    framing: Framing,
    flight: VecDeque<Command>,
    extensions: Extensions,
    secured: bool,
    authenticated: bool,
    /// The first refusal of the transaction.
    refused: Option<String>,
    sender_accepted: bool,
    /// Recipients of this transaction that were named; replies to them; those that were taken.
    named: u32,
    answered: u32,
    taken: Vec<String>,
    /// Which of the accounts is the transaction's first recipient.
    first: u64,
    /// Which of the sizes its message has.
    size: usize,
    /// The deliveries that the ledger waits for.
    promised: VecDeque<u64>,
    random: Random,
    /// When the transaction was due, and when it began.
    times: (Instant, Instant),
    sent: Instant,
    issued: u64,
    farewell: Option<String>,
}

impl Client {
    /// The dialogue of connection `index`.
    pub fn new(settings: Rc<Settings>, index: u32, now: Instant) -> Client {
        Client {
            settings,
            index,
            stage: Stage::Greeting,
            framing: Framing::default(),
            flight: VecDeque::new(),
            extensions: Extensions::default(),
            secured: false,
            authenticated: false,
            refused: None,
            sender_accepted: false,
            named: 0,
            answered: 0,
            taken: Vec::new(),
            first: 0,
            size: 0,
            promised: VecDeque::new(),
            random: Random::new(index.into()),
            times: (now, now),
            sent: now,
            issued: 0,
            farewell: None,
        }
    }

    fn send(&mut self, command: Command, line: &str, turn: &mut Turn<'_>) {
        if command == Command::Auth {
            turn.send_secret(line.as_bytes(), "(AUTH PLAIN, not shown)");
        } else {
            turn.send(line.as_bytes());
        }
        self.flight.push_back(command);
        self.sent = turn.now;
    }

    fn set_up(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if self.settings.starttls && !self.secured {
            if !self.extensions.starttls {
                return Err(Fault::Fatal("the server does not announce STARTTLS".into()));
            }
            self.send(Command::StartTls, "STARTTLS\r\n", turn);
            return Ok(());
        }
        if let Some((user, password)) = &self.settings.credentials
            && !self.authenticated
        {
            if !self.extensions.auth_plain {
                let hint = if self.secured { "" } else { "; try --tls starttls or --tls implicit" };
                return Err(Fault::Fatal(format!("the server does not announce AUTH PLAIN{hint}")));
            }
            let user = user.of(u64::from(self.index));
            let token = base64(format!("\0{user}\0{password}").as_bytes());
            self.send(Command::Auth, &format!("AUTH PLAIN {token}\r\n"), turn);
            return Ok(());
        }
        let bytes = self.settings.mail.borrow().bytes_max() as u64;
        if self.extensions.size_max.is_some_and(|most| most != 0 && most < bytes) {
            return Err(Fault::Fatal(format!("--bytes {bytes} is more than the server's SIZE")));
        }
        self.stage = Stage::Ready;
        Ok(())
    }

    fn ehlo(&mut self, turn: &mut Turn<'_>) {
        self.stage = Stage::SettingUp;
        let line = if self.settings.lmtp { "LHLO loadgen.invalid\r\n" } else { "EHLO loadgen.invalid\r\n" };
        self.send(Command::Ehlo, line, turn);
    }

    fn extensions_told(&mut self, reply: &Reply<'_>) {
        self.extensions = Extensions::default();
        for line in reply.lines().skip(1) {
            let upper = line.to_ascii_uppercase();
            let mut words = upper.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
            match words.next() {
                Some(b"PIPELINING") => self.extensions.pipelining = true,
                Some(b"ENHANCEDSTATUSCODES") => self.extensions.enhanced = true,
                Some(b"STARTTLS") => self.extensions.starttls = true,
                Some(b"AUTH") => self.extensions.auth_plain = words.any(|word| word == b"PLAIN"),
                Some(b"SIZE") => {
                    self.extensions.size_max =
                        words.next().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
                }
                _ => {}
            }
        }
    }

    fn transaction(&mut self, due: Instant, turn: &mut Turn<'_>) {
        self.refused = None;
        self.sender_accepted = false;
        (self.named, self.answered) = (0, 0);
        self.taken.clear();
        self.promised.clear();
        // Connections begin at different recipients, and each goes through all of them.
        let transactions = u64::from(self.index) * 7 + self.issued;
        self.first = match &self.settings.zipf {
            Some(zipf) => zipf.draw(&mut self.random).into(),
            None => transactions * u64::from(self.settings.recipients),
        };
        self.size = self.settings.mail.borrow().choose(&mut self.random);
        self.times = (due, turn.now);
        self.issued += 1;
        let settings = self.settings.clone();
        self.send(Command::Mail, &format!("MAIL FROM:<{}>\r\n", settings.from), turn);
        if self.extensions.pipelining {
            for _ in 0..settings.recipients {
                self.recipient(turn);
            }
            self.send(Command::Data, "DATA\r\n", turn);
        }
    }

    fn named(&self, number: u32) -> String {
        self.settings.to.of(self.first + u64::from(number))
    }

    /// Names the next recipient.
    fn recipient(&mut self, turn: &mut Turn<'_>) {
        let name = self.named(self.named);
        self.named += 1;
        self.send(Command::Rcpt, &format!("RCPT TO:<{name}>\r\n"), turn);
    }

    fn reply(&mut self, reply: &Reply<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if self.stage == Stage::Greeting {
            if reply.code == 220 {
                self.ehlo(turn);
                return Ok(());
            }
            self.farewell = Some(format!("{} {}", reply.code, reply.text()));
            return if matches!(reply.code, 421 | 521 | 554) { Ok(()) } else { self.unexpected(reply, "the greeting") };
        }
        if reply.code == 421 {
            // RFC 5321 §3.8: at any time, and the connection closes.
            self.farewell = Some(format!("421 {}", reply.text()));
            return Ok(());
        }
        let Some(command) = self.flight.pop_front() else { return self.unexpected(reply, "no command") };
        self.check(command, reply)?;
        let success = command.is_success(reply.code);
        match command {
            Command::Ehlo | Command::StartTls | Command::Auth => self.set_up_replied(command, success, reply, turn),
            Command::Mail | Command::Rcpt => {
                self.envelope_replied(command, success, reply, turn);
                Ok(())
            }
            Command::Data => self.data_replied(success, reply, turn),
            Command::Message => self.message_replied(success, reply, turn),
            Command::Rset if success => Ok(()),
            Command::Rset => self.unexpected(reply, "RSET"),
        }
    }

    fn unexpected<T>(&self, reply: &Reply<'_>, to: &str) -> Result<T, Fault> {
        Err(Fault::Violation(format!("reply {} to {to}", reply.code)))
    }

    /// A reply to a command is its success or an error; with ENHANCEDSTATUSCODES it says the same twice.
    fn check(&self, command: Command, reply: &Reply<'_>) -> Result<(), Fault> {
        if !command.is_success(reply.code) && !matches!(reply.code / 100, 4 | 5) {
            return self.unexpected(reply, command.name());
        }
        let class = reply.enhanced_class();
        if self.extensions.enhanced && class.is_some_and(|class| class != reply.code / 100) {
            let text = format!("the enhanced status code of \"{} {}\" is of another class", reply.code, reply.text());
            return Err(Fault::Violation(text));
        }
        let must = matches!(command, Command::Mail | Command::Rcpt | Command::Message)
            || (command == Command::Data && reply.code != 354);
        if self.extensions.enhanced && must && class.is_none() {
            let text =
                format!("the reply {} to {} has no enhanced status code (RFC 2034 §4)", reply.code, command.name());
            return Err(Fault::Violation(text));
        }
        Ok(())
    }

    fn set_up_replied(
        &mut self,
        command: Command,
        success: bool,
        reply: &Reply<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        if !success {
            let what = match (command, &self.settings.credentials) {
                (Command::Auth, Some((user, _))) => format!("AUTH as {}", user.of(u64::from(self.index))),
                _ => command.name().to_owned(),
            };
            if !turn.may_end {
                turn.tally.error(&format!("{} to {}", reply.code, command.name()));
                turn.wish = Wish::Close;
                return Ok(());
            }
            return Err(Fault::Fatal(format!("{what} was refused: {} {}", reply.code, reply.text())));
        }
        match command {
            Command::Ehlo => self.extensions_told(reply),
            Command::StartTls => {
                turn.wish = Wish::StartTls;
                return Ok(());
            }
            _ => self.authenticated = true,
        }
        self.set_up(turn)
    }

    fn envelope_replied(&mut self, command: Command, success: bool, reply: &Reply<'_>, turn: &mut Turn<'_>) {
        match command {
            Command::Mail => self.sender_accepted = success,
            _ => {
                if success {
                    self.taken.push(self.named(self.answered));
                }
                self.answered += 1;
            }
        }
        if !success {
            self.refuse(command, reply);
        }
        if self.extensions.pipelining {
            return;
        }
        match command {
            Command::Mail if !success => self.give_up(turn),
            _ if self.named < self.settings.recipients => self.recipient(turn),
            _ if !self.taken.is_empty() => self.send(Command::Data, "DATA\r\n", turn),
            _ => self.give_up(turn),
        }
    }

    fn data_replied(&mut self, success: bool, reply: &Reply<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if !success {
            self.refuse(Command::Data, reply);
            self.give_up(turn);
            return Ok(());
        }
        if !self.taken.is_empty() {
            let settings = self.settings.clone();
            let mut mail = settings.mail.borrow_mut();
            let number = mail.number();
            let template = mail.of(self.size);
            if let Some(ledger) = &settings.ledger {
                let id = template.id(number);
                for recipient in &self.taken {
                    let op = ledger.borrow_mut().begin(recipient, "INBOX", Change::Deliver { id })?;
                    self.promised.push_back(op);
                }
            }
            // The template has no line that begins with a dot: nothing to stuff.
            turn.send(template.stamp(number));
        }
        // RFC 2920 §3.1: DATA accepted after all recipients were refused is ended by the dot alone.
        self.send(Command::Message, ".\r\n", turn);
        if self.settings.lmtp {
            if self.taken.is_empty() {
                return Err(Fault::Violation("DATA was accepted without a recipient (RFC 2033 §4.2)".into()));
            }
            for _ in 1..self.taken.len() {
                self.flight.push_back(Command::Message);
            }
        }
        Ok(())
    }

    fn message_replied(&mut self, success: bool, reply: &Reply<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Some(ledger) = &self.settings.ledger {
            // RFC 2033 §4.2: a reply for each recipient. In SMTP one is for all.
            let about = if self.settings.lmtp { 1 } else { self.promised.len() };
            for op in self.promised.drain(..about.min(self.promised.len())) {
                if success { ledger.borrow_mut().done(op, None)? } else { ledger.borrow_mut().refused(op)? }
            }
        }
        if !success {
            self.refuse(Command::Message, reply);
        }
        if !self.flight.is_empty() {
            return Ok(()); // other recipients' replies
        }
        match self.refused.take() {
            Some(kind) => turn.tally.error(&kind),
            None => turn.tally.done(self.operation(), self.times, turn.now),
        }
        Ok(())
    }

    /// The operation's name in the report.
    fn operation(&self) -> &'static str {
        if self.settings.credentials.is_some() { "submit" } else { "deliver" }
    }

    fn refuse(&mut self, command: Command, reply: &Reply<'_>) {
        if self.refused.is_none() {
            self.refused = Some(format!("{} to {}", reply.code, command.name()));
        }
    }

    fn give_up(&mut self, turn: &mut Turn<'_>) {
        if let Some(kind) = self.refused.take() {
            turn.tally.error(&kind);
        }
        if self.sender_accepted {
            self.send(Command::Rset, "RSET\r\n", turn);
        }
    }
}

impl Dialogue for Client {
    fn is_standing(&self) -> bool {
        true
    }

    fn opening(&mut self, _: Instant, now: Instant) -> Duration {
        let fresh = Client::new(self.settings.clone(), self.index, now);
        *self = Client { issued: self.issued, random: self.random.clone(), ..fresh };
        Duration::ZERO
    }

    fn opened(&mut self, _: &mut Turn<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn secured(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        // RFC 3207 §4.2: everything known from before TLS is forgotten.
        self.secured = true;
        self.ehlo(turn);
        Ok(())
    }

    fn receive(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let mut at = 0;
        while let Some(reply) = self.framing.whole(&input[at..]).map_err(|what| {
            turn.transcript.note(b'S', &input[at..]);
            Fault::Violation(what)
        })? {
            at += reply.bytes().len();
            turn.transcript.note(b'S', reply.bytes());
            self.reply(&reply, turn)?;
            match turn.wish {
                Wish::Nothing | Wish::Awake => {}
                Wish::StartTls if at < input.len() => {
                    return Err(Fault::Violation("bytes behind the reply to STARTTLS, before the handshake".into()));
                }
                Wish::StartTls | Wish::Close | Wish::Over => return Ok(at),
            }
        }
        Ok(at)
    }

    fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    fn is_free(&self) -> bool {
        self.stage == Stage::Ready && self.flight.is_empty()
    }

    fn issue(&mut self, due: Instant, turn: &mut Turn<'_>) -> Result<Duration, Fault> {
        self.transaction(due, turn);
        Ok(self.settings.think.draw(&mut self.random))
    }

    fn waiting_since(&self) -> Option<Instant> {
        (self.stage == Stage::Greeting || !self.flight.is_empty()).then_some(self.sent)
    }

    fn farewell(&self) -> Option<&str> {
        self.farewell.as_deref()
    }
}

/// RFC 4648 §4.
pub(crate) fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for group in octets.chunks(3) {
        let word = (0..3).fold(0u32, |word, at| word << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            let shown = digit <= group.len();
            let value = (word >> (18 - 6 * digit)) as usize % 64;
            text.push(if shown { char::from(DIGITS[value]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc4648_vectors() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in vectors {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
