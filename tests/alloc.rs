//! Nothing is allocated in steady NOOP, FETCH and RETR, and an idle connection takes little: the server runs in this process
//! under a counting allocator.
//!
//! Every thread is counted but the one that plays the client.
#[path = "support/ports.rs"]
#[allow(dead_code)] // one function of it is another test's
mod ports;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ringpost::config::Config;

use ports::Ports;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static ALLOCATED: AtomicU64 = AtomicU64::new(0);

/// What an idle connection may take: what it took when this was written, and a little.
const WAITING_BYTES_MAX: u64 = 1120;
/// The same in IDLE.
const IDLING_BYTES_MAX: u64 = 1264;

thread_local! {
    static EXEMPT: Cell<bool> = const { Cell::new(false) };
}

fn count(allocations: u64, more: usize, less: usize) {
    if !EXEMPT.try_with(Cell::get).unwrap_or(true) {
        ALLOCATIONS.fetch_add(allocations, Ordering::Relaxed);
        ALLOCATED.fetch_add(more as u64, Ordering::Relaxed);
        ALLOCATED.fetch_sub(less as u64, Ordering::Relaxed);
    }
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, 0, layout.size());
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(1, bytes, layout.size());
        // SAFETY: the caller's contract is the same.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Client {
    reader: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Client {
    fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client { reader: BufReader::with_capacity(1 << 20, stream), line: Vec::new() }
    }

    fn send(&mut self, octets: &[u8]) {
        self.reader.get_mut().write_all(octets).unwrap();
    }

    /// Reads to the tagged answer, literals included; octets read.
    fn answer(&mut self) -> usize {
        let mut read = 0;
        loop {
            self.line.clear();
            read += self.reader.read_until(b'\n', &mut self.line).unwrap();
            if self.line.starts_with(b"x ") {
                assert!(self.line.starts_with(b"x OK"), "{}", String::from_utf8_lossy(&self.line));
                return read;
            }
            if let Some(at) = self.line.iter().rposition(|octet| *octet == b'{')
                && self.line.ends_with(b"}\r\n")
            {
                let size: usize =
                    std::str::from_utf8(&self.line[at + 1..self.line.len() - 3]).unwrap().parse().unwrap();
                let mut literal = vec![0; size];
                self.reader.read_exact(&mut literal).unwrap();
                read += size;
            }
        }
    }

    fn ask(&mut self, command: &str) -> usize {
        self.send(format!("x {command}\r\n").as_bytes());
        self.answer()
    }

    /// A command of POP3; reads its status, and the lines behind it up to the dot.
    fn ask_pop3(&mut self, command: &str) {
        self.send(format!("{command}\r\n").as_bytes());
        let many = matches!(command.split(' ').next(), Some("RETR" | "TOP")) || matches!(command, "LIST" | "UIDL");
        loop {
            let first = self.line.is_empty();
            self.line.clear();
            self.reader.read_until(b'\n', &mut self.line).unwrap();
            assert!(!first || self.line.starts_with(b"+OK"), "{}", String::from_utf8_lossy(&self.line));
            if !many || self.line == b".\r\n" {
                return self.line.clear();
            }
        }
    }
}

/// Allocations in 200 calls of `ask`, once it is steady.
fn allocations(mut ask: impl FnMut()) -> u64 {
    (0..50).for_each(|_| ask());
    // Other threads of the server may do something in between: the least of some tries counts.
    let tries = (0..5).map(|_| {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (0..200).for_each(|_| ask());
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    tries.min().expect("tries")
}

/// The server, in this process.
struct Server {
    data: PathBuf,
    port_base: u16,
    password: String,
}

impl Server {
    fn connect(&self, standard: u16) -> Client {
        let mut client = Client::connect(self.port_base + standard);
        client.reader.read_until(b'\n', &mut Vec::new()).unwrap();
        client
    }
}

fn start() -> Server {
    let data = std::env::temp_dir().join(format!("ringpost-alloc-{}", std::process::id()));
    let ports = Ports::claim();
    let port_base = ports.base();
    let config = Config::embedded(data.clone(), port_base, Some(vec![0])).expect("a configuration");
    std::thread::spawn(move || ringpost::serve::run(config));
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port_base + 143)).is_err() {
        assert!(started.elapsed() < Duration::from_secs(20), "the server does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The accounts are made once nothing stands in their way any more: after the ports are bound.
    let logins = loop {
        match std::fs::read_to_string(data.join("FIRST-LOGIN")) {
            Ok(logins) => break logins,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(20), "no FIRST-LOGIN: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let password = logins.lines().next().unwrap().split(' ').nth(1).unwrap().to_owned();
    Server { data, port_base, password }
}

/// One after the other: the counts are those of the process.
#[test]
fn steady_work_allocates_nothing_and_idle_connections_are_small() {
    EXEMPT.set(true);
    let server = start();
    idle_connections_are_small(&server);
    steady_noop_fetch_and_retr_allocate_nothing(&server);
    std::fs::remove_dir_all(&server.data).unwrap();
}

/// What the server asks its allocator for, so that neither what that adds nor what it leaves unused is in it:
/// `loadgen run imap --work hold` tells the whole.
fn idle_connections_are_small(server: &Server) {
    // From one power of two to another, nearly: tables grow by doubling.
    const BEFORE: usize = 60;
    const CONNECTIONS: usize = 250 - BEFORE;
    let open = || {
        let mut client = server.connect(143);
        client.ask(&format!("LOGIN a@localhost {}", server.password));
        client.ask("SELECT INBOX");
        client
    };
    let idle = |client: &mut Client| {
        client.send(b"x IDLE\r\n");
        client.reader.read_until(b'\n', &mut Vec::new()).unwrap();
    };
    let mut others: Vec<Client> = (0..BEFORE).map(|_| open()).collect();
    others.iter_mut().for_each(idle);
    let none = settled();
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| open()).collect();
    let waiting = settled();
    clients.iter_mut().for_each(idle);
    let idling = settled();
    let each = |octets: u64| octets.saturating_sub(none) / CONNECTIONS as u64;
    println!("{} octets an idle connection, {} in IDLE", each(waiting), each(idling));
    assert!(each(waiting) <= WAITING_BYTES_MAX, "an idle connection takes {} octets", each(waiting));
    assert!(each(idling) <= IDLING_BYTES_MAX, "a connection in IDLE takes {} octets", each(idling));
}

/// Octets that the server has allocated, once it has nothing to do.
fn settled() -> u64 {
    std::thread::sleep(Duration::from_millis(200));
    ALLOCATED.load(Ordering::Relaxed)
}

fn steady_noop_fetch_and_retr_allocate_nothing(server: &Server) {
    let password = &server.password;
    let mut client = server.connect(143);
    client.ask(&format!("LOGIN a@localhost {password}"));
    for size in [200, 8_000, 100_000, 400_000] {
        let message = format!("Subject: {size}\r\n\r\n{}\r\n", "x".repeat(size));
        client.send(format!("x APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len()).as_bytes());
        client.answer();
    }
    client.ask("SELECT INBOX");
    let commands = [
        "NOOP",
        "FETCH 1 (FLAGS UID RFC822.SIZE INTERNALDATE)",
        "FETCH 1:* (UID FLAGS)",
        "FETCH 1 BODY.PEEK[]",
        "FETCH 2 (ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)])",
        "FETCH 3 BODY.PEEK[]",
        "FETCH 4 BODY.PEEK[]",
        "UID FETCH 2:3 (BODY.PEEK[TEXT]<0.5000>)",
    ];
    let mut steady = Vec::new();
    for command in commands {
        let least = allocations(|| {
            client.ask(command);
        });
        steady.push((command, least));
    }
    // The last message is lent with dots stuffed in between.
    let message = format!("Subject: dots\r\n\r\n{}", format!("{}\r\n.x\r\n", "x".repeat(9000)).repeat(40));
    client.send(format!("x APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len()).as_bytes());
    client.answer();
    let mut client = server.connect(110);
    client.ask_pop3("USER a@localhost");
    client.ask_pop3(&format!("PASS {password}"));
    let commands =
        ["NOOP", "STAT", "LIST", "UIDL", "UIDL 3", "RETR 1", "RETR 2", "RETR 3", "RETR 4", "RETR 5", "TOP 4 10"];
    for command in commands {
        steady.push((command, allocations(|| client.ask_pop3(command))));
    }
    for (command, least) in steady {
        println!("{command}: {least} allocations in 200");
        assert_eq!(least, 0, "{command} allocates");
    }
}
