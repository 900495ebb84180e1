//! A small mail server in memory: IMAP sessions with a view of their own on shared mailboxes, SMTP in front of them. It keeps its
//! promises, unless it is told to break one.
//!
//! A thread a connection, blocking sockets. As much of the protocol as scenarios say; what it does not know it answers with BAD.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How a promise is broken, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An APPEND is answered OK, and its message is nowhere.
    LosesAppend,
    /// A delivery is answered 250, and its message is nowhere.
    LosesDelivery,
    /// A message is there twice.
    Doubles,
    /// One octet of a stored message is another one.
    Damages,
    /// A STORE is answered OK, and nothing is stored.
    ForgetsFlag,
    /// An expunged message comes back under its UID.
    BringsBack,
    /// A new message has the UID of an expunged one.
    GivesUidAgain,
}

#[derive(Debug, Clone)]
struct Message {
    uid: u32,
    octets: Arc<Vec<u8>>,
    flags: BTreeSet<String>,
    expunged: bool,
}

#[derive(Debug)]
struct Shelf {
    next: u32,
    messages: Vec<Message>,
}

#[derive(Debug)]
struct Server {
    shelves: BTreeMap<(String, String), Shelf>,
    fault: Option<Fault>,
    /// Opportunities to be let pass before it.
    patience: u32,
}

/// A server on two ports, and what it has.
#[derive(Debug, Clone)]
pub struct World {
    /// The IMAP port.
    pub imap: SocketAddr,
    /// The SMTP port.
    pub smtp: SocketAddr,
    server: Arc<Mutex<Server>>,
}

impl Server {
    /// Whether this is the moment for `fault`.
    fn breaks(&mut self, fault: Fault) -> bool {
        if self.fault != Some(fault) {
            return false;
        }
        if self.patience > 0 {
            self.patience -= 1;
            return false;
        }
        self.fault = None;
        true
    }

    fn shelf(&mut self, account: &str, name: &str) -> Option<&mut Shelf> {
        let name = if name.eq_ignore_ascii_case("INBOX") { "INBOX" } else { name };
        if name == "INBOX" {
            self.shelves.entry((account.into(), name.into())).or_insert(Shelf { next: 1, messages: Vec::new() });
        }
        self.shelves.get_mut(&(account.to_owned(), name.to_owned()))
    }

    fn put(&mut self, account: &str, name: &str, octets: Vec<u8>, loses: Fault) -> Option<u32> {
        let (lost, doubled) = (self.breaks(loses), self.breaks(Fault::Doubles));
        let damaged = self.breaks(Fault::Damages);
        let again = self.shelf(account, name)?.messages.iter().rev().find(|one| one.expunged).map(|one| one.uid);
        let again = again.filter(|_| self.breaks(Fault::GivesUidAgain));
        let shelf = self.shelf(account, name)?;
        let mut octets = octets;
        if damaged && let Some(octet) = octets.iter_mut().rev().nth(5) {
            *octet ^= 1;
        }
        let octets = Arc::new(octets);
        let mut uid = shelf.next;
        for _ in 0..1 + u32::from(doubled) {
            uid = again.unwrap_or(shelf.next);
            shelf.next += 1;
            if !lost {
                shelf.messages.push(Message { uid, octets: octets.clone(), flags: BTreeSet::new(), expunged: false });
            }
        }
        Some(uid)
    }
}

impl World {
    /// Opens the ports; `fault` comes after so many opportunities for it.
    pub fn new(fault: Option<Fault>, patience: u32) -> World {
        let server = Arc::new(Mutex::new(Server { shelves: BTreeMap::new(), fault, patience }));
        let (imap, smtp) = (listen(server.clone(), imap), listen(server.clone(), smtp));
        World { imap, smtp, server }
    }

    /// True: the fault has not come.
    pub fn is_whole(&self) -> bool {
        self.server.lock().expect("no thread panicked").fault.is_some()
    }
}

type Stream = BufReader<TcpStream>;

fn listen(server: Arc<Mutex<Server>>, serve: fn(&Mutex<Server>, &mut Stream) -> Option<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server = server.clone();
            let _ = stream.set_nodelay(true);
            thread::spawn(move || serve(&server, &mut BufReader::new(stream)));
        }
    });
    address
}

fn line(stream: &mut Stream) -> Option<String> {
    let mut line = String::new();
    (stream.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}

fn say(stream: &mut Stream, text: &[u8]) -> Option<()> {
    stream.get_mut().write_all(text).ok()
}

fn smtp(server: &Mutex<Server>, stream: &mut Stream) -> Option<()> {
    say(stream, b"220 x\r\n")?;
    let mut recipients = Vec::new();
    loop {
        let command = line(stream)?;
        let answer = match command.get(..4)?.to_ascii_uppercase().as_str() {
            "RCPT" => {
                recipients.push(command.split(['<', '>']).nth(1)?.to_owned());
                "250 ok\r\n"
            }
            "DATA" => {
                say(stream, b"354 go\r\n")?;
                let mut octets = Vec::new();
                while !octets.ends_with(b"\r\n.\r\n") {
                    stream.read_until(b'\n', &mut octets).ok()?;
                }
                octets.truncate(octets.len() - 3);
                let mut server = server.lock().ok()?;
                for recipient in recipients.drain(..) {
                    server.put(&recipient, "INBOX", octets.clone(), Fault::LosesDelivery);
                }
                "250 ok\r\n"
            }
            _ => "250 ok\r\n",
        };
        say(stream, answer.as_bytes())?;
    }
}

/// One IMAP session.
#[derive(Default)]
struct Session {
    account: String,
    mailbox: Option<String>,
    /// The UIDs that the client knows of, and their messages as they were last seen.
    view: Vec<Message>,
}

fn unquoted(word: &str) -> String {
    word.trim_matches('"').to_owned()
}

fn imap(server: &Mutex<Server>, stream: &mut Stream) -> Option<()> {
    say(stream, b"* OK [CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS MOVE IDLE] x\r\n")?;
    let mut session = Session::default();
    loop {
        let command = line(stream)?;
        let (tag, rest) = command.split_once(' ')?;
        let literal = match rest.split_once('{') {
            Some((_, count)) => {
                let mut octets = vec![0; count.trim_end_matches("+}").parse().ok()?];
                stream.read_exact(&mut octets).ok()?;
                line(stream);
                octets
            }
            None => Vec::new(),
        };
        if rest == "IDLE" {
            session.idle(server, stream)?;
        }
        let mut out = Vec::new();
        let code = session.command(&mut *server.lock().ok()?, rest, literal, &mut out)?;
        out.extend_from_slice(format!("{tag} {code}\r\n").as_bytes());
        say(stream, &out)?;
        if rest == "LOGOUT" {
            return None;
        }
    }
}

impl Session {
    fn idle(&mut self, server: &Mutex<Server>, stream: &mut Stream) -> Option<()> {
        say(stream, b"+ idling\r\n")?;
        stream.get_mut().set_read_timeout(Some(Duration::from_millis(20))).ok()?;
        loop {
            let mut done = String::new();
            match stream.read_line(&mut done) {
                Ok(0) => return None,
                Ok(_) => break,
                Err(_) => {
                    let mut out = Vec::new();
                    self.news(&mut *server.lock().ok()?, true, &mut out)?;
                    say(stream, &out)?;
                }
            }
        }
        stream.get_mut().set_read_timeout(None).ok()
    }

    /// Tells what has changed since the client was told last; expunged messages only where that is allowed.
    fn news(&mut self, server: &mut Server, expunges: bool, out: &mut Vec<u8>) -> Option<()> {
        let Some(mailbox) = &self.mailbox else { return Some(()) };
        let shelf = server.shelf(&self.account, mailbox)?;
        if expunges {
            let mut at = 0;
            while at < self.view.len() {
                let uid = self.view[at].uid;
                if shelf.messages.iter().any(|one| one.uid == uid && !one.expunged) {
                    at += 1;
                } else {
                    self.view.remove(at);
                    out.extend_from_slice(format!("* {} EXPUNGE\r\n", at + 1).as_bytes());
                }
            }
        }
        let last = self.view.last().map_or(0, |one| one.uid);
        let new: Vec<Message> = shelf.messages.iter().filter(|one| one.uid > last && !one.expunged).cloned().collect();
        if !new.is_empty() {
            self.view.extend(new);
            out.extend_from_slice(format!("* {} EXISTS\r\n", self.view.len()).as_bytes());
        }
        for seen in &mut self.view {
            if let Some(now) = shelf.messages.iter().find(|one| one.uid == seen.uid && !one.expunged) {
                *seen = now.clone();
            }
        }
        Some(())
    }

    fn command(&mut self, server: &mut Server, rest: &str, literal: Vec<u8>, out: &mut Vec<u8>) -> Option<String> {
        let words: Vec<&str> = rest.split(' ').collect();
        let (by_uid, words) = if words[0] == "UID" { (true, &words[1..]) } else { (false, &words[..]) };
        let ok = || Some("OK done".to_owned());
        match words[0] {
            "LOGIN" => self.account = unquoted(words[1]),
            "CREATE" => {
                let key = (self.account.clone(), unquoted(words[1]));
                server.shelves.entry(key).or_insert(Shelf { next: 1, messages: Vec::new() });
            }
            "SELECT" | "EXAMINE" => {
                let name = unquoted(words[1]);
                let Some(shelf) = server.shelf(&self.account, &name) else { return Some("NO no such mailbox".into()) };
                self.view = shelf.messages.iter().filter(|one| !one.expunged).cloned().collect();
                self.view.sort_by_key(|one| one.uid);
                let (exists, next) = (self.view.len(), shelf.next);
                let told = format!(
                    "* FLAGS (\\Seen)\r\n* {exists} EXISTS\r\n* OK [UIDVALIDITY 3] x\r\n* OK [UIDNEXT {next}] x\r\n"
                );
                out.extend_from_slice(told.as_bytes());
                self.mailbox = Some(name);
                return ok();
            }
            "LOGOUT" => out.extend_from_slice(b"* BYE x\r\n"),
            "APPEND" => {
                let uid = server.put(&self.account, &unquoted(words[1]), literal, Fault::LosesAppend);
                self.news(server, true, out)?;
                return Some(uid.map_or("NO [TRYCREATE] x".into(), |uid| format!("OK [APPENDUID 3 {uid}] x")));
            }
            "FETCH" => {
                self.news(server, by_uid, out)?;
                self.fetch((by_uid, words[1]), rest, out);
                return ok();
            }
            "STORE" | "COPY" | "MOVE" | "EXPUNGE" => return self.change(server, words, out),
            "SEARCH" => {
                let found: String = (1..=self.view.len()).map(|number| format!(" {number}")).collect();
                out.extend_from_slice(format!("* SEARCH{found}\r\n").as_bytes());
                return ok();
            }
            "NOOP" | "IDLE" | "LIST" | "STATUS" | "CAPABILITY" => {}
            _ => return Some("BAD what".into()),
        }
        self.news(server, true, out)?;
        ok()
    }

    fn fetch(&self, (by_uid, set): (bool, &str), rest: &str, out: &mut Vec<u8>) {
        let last = if by_uid { self.view.last().map_or(0, |one| one.uid) } else { self.view.len() as u32 };
        let number = |text: &str| text.parse().unwrap_or(last);
        let (from, to) =
            set.split_once(':').map_or((number(set), number(set)), |(from, to)| (number(from), number(to)));
        let range = from.min(to)..=from.max(to);
        for (number, one) in (1u32..).zip(&self.view) {
            if range.contains(&if by_uid { one.uid } else { number }) {
                out.extend_from_slice(format!("* {number} FETCH (UID {}", one.uid).as_bytes());
                items(one, rest, out);
                out.extend_from_slice(b")\r\n");
            }
        }
    }

    fn change(&mut self, server: &mut Server, words: &[&str], out: &mut Vec<u8>) -> Option<String> {
        let uid: u32 = words[1].parse().ok()?;
        let (forgets, returns) = match words[0] {
            "STORE" if words[2] != "+FLAGS.SILENT" => (server.breaks(Fault::ForgetsFlag), false),
            "EXPUNGE" => (false, server.breaks(Fault::BringsBack)),
            _ => (false, false),
        };
        let mailbox = self.mailbox.clone()?;
        let find = |shelf: &Shelf| shelf.messages.iter().rposition(|one| one.uid == uid && !one.expunged);
        let shelf = server.shelf(&self.account, &mailbox)?;
        let Some(at) = find(shelf) else { return Some("OK nothing".into()) };
        let mut code = "OK done".to_owned();
        match words[0] {
            "STORE" => {
                let flag = words[3].trim_matches(['(', ')']).to_owned();
                if forgets {
                } else if words[2].starts_with('+') {
                    shelf.messages[at].flags.insert(flag);
                } else {
                    shelf.messages[at].flags.remove(&flag);
                }
            }
            "EXPUNGE" => shelf.messages[at].expunged = true,
            moves => {
                let octets = shelf.messages[at].octets.to_vec();
                shelf.messages[at].expunged = moves == "MOVE";
                let to = server.put(&self.account, &unquoted(words[2]), octets, Fault::LosesAppend)?;
                if moves == "MOVE" {
                    out.extend_from_slice(format!("* OK [COPYUID 3 {uid} {to}] x\r\n").as_bytes());
                } else {
                    code = format!("OK [COPYUID 3 {uid} {to}] x");
                }
            }
        }
        self.news(server, true, out)?;
        if returns {
            // Nobody is told; who looks anew sees it.
            server.shelf(&self.account, &mailbox)?.messages[at].expunged = false;
        }
        Some(code)
    }
}

/// The items of FETCH that `asked` names.
fn items(one: &Message, asked: &str, out: &mut Vec<u8>) {
    let octets = &one.octets;
    let header = octets.windows(4).position(|four| four == b"\r\n\r\n").map_or(octets.len(), |at| at + 4);
    let flags: Vec<&str> = one.flags.iter().map(String::as_str).collect();
    for (name, told) in [
        ("FLAGS", format!(" FLAGS ({})", flags.join(" "))),
        ("RFC822.SIZE", format!(" RFC822.SIZE {}", octets.len())),
        ("ENVELOPE", " ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)".into()),
        ("BODYSTRUCTURE", " BODYSTRUCTURE (\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1)".into()),
    ] {
        if asked.contains(name) {
            out.extend_from_slice(told.as_bytes());
        }
    }
    let text_end = octets.len().min(header + 256);
    for (name, told, range) in [
        ("BODY.PEEK[]", "BODY[]", 0..octets.len()),
        ("HEADER.FIELDS", "BODY[HEADER.FIELDS (DATE FROM SUBJECT MESSAGE-ID)]", 0..header),
        ("BODY.PEEK[TEXT]", "BODY[TEXT]<0>", header..text_end),
    ] {
        if asked.contains(name) {
            out.extend_from_slice(format!(" {told} {{{}}}\r\n", range.len()).as_bytes());
            out.extend_from_slice(&octets[range]);
        }
    }
}
