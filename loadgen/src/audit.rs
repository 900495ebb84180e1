//! Looks whether a server has kept its promises: reads every mailbox of a ledger whole, and compares.
//!
//! A client of its own, one account after the other, with blocking reads; it changes nothing (EXAMINE, BODY.PEEK). Every message
//! is compared with the checksum in its header. What it finds wrong it says in sentences, all of it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use crate::dialogue::shown;
use crate::imap::command::{Builder, Pieces, tag};
use crate::imap::fetch::FetchItem;
use crate::imap::frame::Frame;
use crate::imap::parse::{Code, Response, Status, parse};
use crate::ledger::{Found, Ledger};
use crate::limits::{AUDIT_MESSAGES_MAX, AUDIT_SECONDS_MAX, FINDINGS_MAX, READ_BYTES};
use crate::link::Tls;
use crate::message::{identity, verify};

/// How to get in.
#[derive(Debug, Clone)]
pub struct Access {
    /// The IMAP server.
    pub address: SocketAddr,
    /// TLS, where it is spoken.
    pub tls: Option<Tls>,
    /// True: TLS from the first octet, else by STARTTLS.
    pub implicit_tls: bool,
    /// The password of all accounts.
    pub password: String,
}

/// What an audit found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Mailboxes that were read.
    pub mailboxes: usize,
    /// Messages that were compared.
    pub messages: usize,
    /// Promises that were broken, as sentences; no more than [`FINDINGS_MAX`].
    pub broken: Vec<String>,
}

/// Compares all mailboxes of `ledger` with the server. `told` is called before each.
pub fn audit(ledger: &Ledger, access: &Access, mut told: impl FnMut(&str)) -> Result<Findings, String> {
    let mut findings = Findings::default();
    let mut session: Option<(String, Session)> = None;
    for (account, mailbox) in ledger.mailboxes() {
        told(&format!("{mailbox} of {account}"));
        if session.as_ref().is_none_or(|(open, _)| open != account) {
            session = Some((account.to_owned(), Session::open(access, account)?));
        }
        let Some((_, session)) = &mut session else { continue };
        let (validity, found) = session.read(mailbox).map_err(|what| format!("{mailbox} of {account}: {what}"))?;
        findings.mailboxes += 1;
        findings.messages += found.len();
        findings.broken.extend(ledger.check(account, mailbox, validity, &found));
        if findings.broken.len() >= FINDINGS_MAX {
            findings.broken.truncate(FINDINGS_MAX);
            break;
        }
    }
    Ok(findings)
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

struct Session {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
    frame: Frame,
    next_tag: u32,
}

type Told<'a> = dyn FnMut(&Response<'_>) + 'a;
/// OK, or what the server said instead.
type Answer = Result<(), String>;

enum Given {
    Untagged,
    Continuation,
    /// The tag, and what was said if not OK.
    Tagged(Vec<u8>, Option<String>),
}

impl Session {
    fn open(access: &Access, account: &str) -> Result<Session, String> {
        let failed = |error: io::Error| format!("{}: {error}", access.address);
        let limit = Duration::from_secs(AUDIT_SECONDS_MAX);
        let socket = TcpStream::connect_timeout(&access.address, limit).map_err(failed)?;
        socket.set_read_timeout(Some(limit)).map_err(failed)?;
        socket.set_write_timeout(Some(limit)).map_err(failed)?;
        let plain = access.tls.is_none() || !access.implicit_tls;
        let keep = socket.try_clone().map_err(failed)?;
        let mut session = Session { stream: Box::new(socket), input: Vec::new(), frame: Frame::default(), next_tag: 0 };
        if plain {
            session.greeted()?;
        }
        if let Some(tls) = &access.tls {
            if plain {
                session.command(|builder| builder.word("STARTTLS"), &mut |_| {})??;
            }
            let connection = ClientConnection::new(tls.config.clone(), tls.name.clone());
            let connection = connection.map_err(|error| format!("TLS: {error}"))?;
            session.stream = Box::new(StreamOwned::new(connection, keep));
            if !plain {
                session.greeted()?;
            }
        }
        let login = |builder: Builder| builder.word("LOGIN").string(account).string(&access.password);
        let answer = session.command(login, &mut |_| {})?;
        answer.map_err(|what| format!("LOGIN as {account}: {what}"))?;
        Ok(session)
    }

    fn greeted(&mut self) -> Result<(), String> {
        match self.response(&mut |_| {})? {
            Given::Untagged => Ok(()),
            _ => Err("there is no greeting".into()),
        }
    }

    /// One whole response; untagged data is told.
    fn response(&mut self, told: &mut Told<'_>) -> Result<Given, String> {
        let began = Instant::now();
        let bytes = loop {
            if began.elapsed() > Duration::from_secs(AUDIT_SECONDS_MAX) {
                return Err(format!("a response took longer than {AUDIT_SECONDS_MAX} s"));
            }
            if let Some(bytes) = self.frame.whole(&self.input)? {
                break bytes;
            }
            let from = self.input.len();
            self.input.resize(from + READ_BYTES, 0);
            let count = self.stream.read(&mut self.input[from..]).map_err(|error| error.to_string())?;
            self.input.truncate(from + count);
            if count == 0 {
                return Err("the server closed the connection".into());
            }
        };
        let response =
            parse(&self.input[..bytes]).map_err(|wrong| format!("expected {} in a response", wrong.expected))?;
        let given = match &response {
            Response::Tagged(tag, status) => {
                let refusal = (status.status != Status::Ok).then(|| shown(status.text));
                Given::Tagged(tag.to_vec(), refusal)
            }
            Response::Continuation => Given::Continuation,
            Response::Status(status) if status.status == Status::Bye => {
                return Err(format!("the server says BYE {}", shown(status.text)));
            }
            other => {
                told(other);
                Given::Untagged
            }
        };
        self.input.drain(..bytes);
        Ok(given)
    }

    fn command(&mut self, build: impl FnOnce(Builder) -> Builder, told: &mut Told<'_>) -> Result<Answer, String> {
        self.next_tag += 1;
        let tag = tag(self.next_tag);
        let mut pieces: Pieces = build(Builder::new(&tag)).end();
        let mut send = |stream: &mut Box<dyn Stream>| {
            let piece = pieces.pop_front().unwrap_or_default();
            stream.write_all(&piece).and_then(|()| stream.flush()).map_err(|error| error.to_string())
        };
        send(&mut self.stream)?;
        loop {
            match self.response(told)? {
                Given::Tagged(told, refusal) if told == tag => return Ok(refusal.map_or(Ok(()), Err)),
                Given::Tagged(..) => return Err("a reply to a command that was not sent".into()),
                Given::Continuation => send(&mut self.stream)?,
                Given::Untagged => {}
            }
        }
    }

    /// UIDVALIDITY and all messages of a mailbox; none where it is not there.
    fn read(&mut self, mailbox: &str) -> Result<(u32, Vec<Found>), String> {
        let (mut validity, mut exists) = (0, 0);
        let examined =
            self.command(|builder| builder.word("EXAMINE").string(mailbox), &mut |response| match response {
                Response::Exists(count) => exists = *count,
                Response::Status(status) => {
                    if let Some(Code::UidValidity(told)) = status.code {
                        validity = told;
                    }
                }
                _ => {}
            })?;
        let mut found = Vec::new();
        if let Err(refusal) = examined {
            let mut is_there = false;
            let list = |builder: Builder| builder.word("LIST").string("").string(mailbox);
            self.command(list, &mut |response| is_there |= matches!(response, Response::Other(b"LIST")))??;
            return if is_there { Err(format!("EXAMINE: {refusal}")) } else { Ok((validity, found)) };
        }
        if exists as usize > AUDIT_MESSAGES_MAX {
            return Err(format!("{exists} messages, and an audit looks at {AUDIT_MESSAGES_MAX} at most"));
        }
        if exists > 0 {
            let mut partial = 0;
            let fetch = |builder: Builder| builder.word("FETCH").word("1:*").word("(UID FLAGS BODY.PEEK[])");
            self.command(fetch, &mut |response| {
                if let Response::Fetch(_, items) = response {
                    match found_of(items).filter(|_| found.len() <= exists as usize) {
                        Some(one) => found.push(one),
                        None => partial += 1,
                    }
                }
            })??;
            if found.len() != exists as usize {
                return Err(format!(
                    "{exists} messages exist, and FETCH brought {} ({partial} not whole)",
                    found.len()
                ));
            }
        }
        Ok((validity, found))
    }
}

fn found_of(items: &[FetchItem<'_>]) -> Option<Found> {
    let (mut uid, mut told, mut body) = (None, None, None);
    for item in items {
        match item {
            FetchItem::Uid(number) => uid = Some(*number),
            FetchItem::Flags(flags) => told = Some(flags.iter().map(|flag| shown(flag)).collect()),
            FetchItem::Section { section: b"", origin: None, data: Some(data) } => body = Some(data.octets()),
            _ => {}
        }
    }
    Some(Found { uid: uid?, flags: told?, id: identity(body?), verdict: verify(body?) })
}
