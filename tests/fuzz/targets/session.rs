//! A session in any state answers or closes: the server runs in this process, each input is what a client sends.
//!
//! The first octet chooses protocol and state, the second how the rest is cut into segments. Behind it the client ends
//! its stream, the server must close within [`PATIENCE`], and another connection is answered after it. A panic anywhere ends
//! the process, because libFuzzer's hook comes before the session's own containment.
#![no_main]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

#[path = "../../support/ports.rs"]
mod ports;

use libfuzzer_sys::fuzz_target;
use ports::Ports;
use ringpost::config::Config;
use socket2::{Domain, Socket, Type};

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

struct Server {
    ports: Ports,
    password: String,
}

static SERVER: OnceLock<Server> = OnceLock::new();

/// Starts the embedded default once, on a folder among the temporary files, which `tests/fuzz/run` removes.
fn server() -> &'static Server {
    SERVER.get_or_init(|| {
        let ports = Ports::claim();
        let data = std::env::temp_dir().join(format!("ringpost-fuzz-{}", std::process::id()));
        let first = data.join("FIRST-LOGIN");
        let cpu = ringpost::config::cpus::allowed()[0];
        let config = Config::embedded(data, ports.base(), Some(vec![cpu])).expect("a configuration");
        std::thread::spawn(|| ringpost::serve::run(config));
        Server { ports, password: password(first) }
    })
}

/// The first account's password, once the server has made it.
fn password(first: PathBuf) -> String {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let text = std::fs::read_to_string(&first).unwrap_or_default();
        if let Some(line) = text.lines().next().filter(|_| text.lines().count() == 2) {
            return line.split_once(' ').expect("a name and a password").1.to_owned();
        }
        assert!(Instant::now() < end, "the server did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A client whose every wait has an end.
struct Client(TcpStream);

impl Client {
    /// Each comes from a network of its own, so that wrong passwords of one input lock no other out.
    fn connect(port: u16) -> Client {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let from = Ipv4Addr::new(127, (number >> 8) as u8 % 250 + 1, number as u8, 9);
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.set_tcp_nodelay(true).expect("no delay");
            socket.bind(&SocketAddr::from((from, 0)).into()).expect("an address of loopback");
            match socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()) {
                Ok(()) => {
                    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
                    socket.set_write_timeout(Some(PATIENCE)).expect("a time-out");
                    return Client(socket.into());
                }
                Err(error) => assert!(Instant::now() < end, "cannot connect: {error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Reads until what came ends with a line that begins with `prefix`.
    fn until(&mut self, prefix: &str) {
        let (mut got, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let lines = String::from_utf8_lossy(&got).into_owned();
            if lines.ends_with("\r\n") && lines.lines().any(|line| line.starts_with(prefix)) {
                return;
            }
            match self.0.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => panic!("{prefix:?} was due, and there came {lines:?}"),
                Ok(count) => got.extend_from_slice(&piece[..count]),
            }
        }
    }

    fn say(&mut self, line: &str, prefix: &str) {
        self.0.write_all(line.as_bytes()).expect("sent");
        self.until(prefix);
    }
}

/// The ways to a state: the standard port, and what is said before the input with what it is answered with.
const STATES: [(u16, &[(&str, &str)]); 18] = [
    (143, &[]),
    (143, &[LOGIN]),
    (143, &[LOGIN, ("a SELECT INBOX\r\n", "a OK")]),
    (143, &[LOGIN, ("a SELECT INBOX\r\n", "a OK"), ("a IDLE\r\n", "+ ")]),
    (143, &[LOGIN, ("a APPEND INBOX {60}\r\n", "+ ")]),
    (143, &[LOGIN, ("a SELECT INBOX\r\n", "a OK"), ("a SEARCH TEXT {9}\r\n", "+ ")]),
    (143, &[("a AUTHENTICATE PLAIN\r\n", "+ ")]),
    (143, &[("a STARTTLS\r\n", "a OK")]),
    (993, &[]),
    (110, &[]),
    (110, &[("USER a@localhost\r\n", "+OK"), PASS]),
    (25, &[]),
    (25, &[EHLO]),
    (25, &[EHLO, MAIL, RCPT]),
    (25, &[EHLO, MAIL, RCPT, ("DATA\r\n", "354")]),
    (24, &[("LHLO fuzz.example\r\n", "250 "), MAIL, RCPT]),
    (587, &[EHLO, ("AUTH LOGIN\r\n", "334")]),
    (587, &[EHLO, ("STARTTLS\r\n", "220")]),
];
const LOGIN: (&str, &str) = ("a LOGIN a@localhost \"$\"\r\n", "a OK");
const PASS: (&str, &str) = ("PASS $\r\n", "+OK");
const EHLO: (&str, &str) = ("EHLO fuzz.example\r\n", "250 ");
const MAIL: (&str, &str) = ("MAIL FROM:<x@fuzz.example>\r\n", "250 ");
const RCPT: (&str, &str) = ("RCPT TO:<a@localhost>\r\n", "250 ");

fuzz_target!(|data: &[u8]| {
    let [state, cut, input @ ..] = data else { return };
    let server = server();
    let (port, steps) = STATES[usize::from(*state) % STATES.len()];
    let mut client = Client::connect(server.ports.base() + port);
    if port != 993 {
        client.until(match port {
            110 => "+OK",
            143 => "* OK",
            _ => "220",
        });
    }
    for (line, prefix) in steps {
        client.say(&line.replace('$', &server.password), prefix);
    }
    for piece in input.chunks(usize::from(*cut).max(1)) {
        // A server that has closed is right too.
        if client.0.write_all(piece).is_err() {
            break;
        }
    }
    let _ = client.0.shutdown(std::net::Shutdown::Write);
    let (begin, mut piece) = (Instant::now(), [0; 65_536]);
    loop {
        match client.0.read(&mut piece) {
            Ok(0) => break,
            Ok(_) => assert!(begin.elapsed() < PATIENCE, "it goes on answering"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            // libFuzzer's own alarm.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("neither answered nor closed: {error}"),
        }
    }
    let mut other = Client::connect(server.ports.base() + 143);
    other.until("* OK");
    other.say("n NOOP\r\n", "n OK");
});
