//! An IMAP session as a server runs it, and its client at the other end of a loopback connection, on one thread.
//!
//! Invariant: the ring never sleeps here. It is turned, and the client reads, until the answer is there whole: so that what runs
//! is the same however long the kernel takes, and no answer waits for a reader. What the client does is little (a write, some
//! reads, a look at the last line) and counts as part of the answer.

use std::cell::Cell;
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Instant;

use ringpost::config::Config;
use ringpost::delivery::Delivery;
use ringpost::directory::{Addresses, Cost, Directory, Settings};
use ringpost::hop::{self, Doorbell, Post};
use ringpost::io::{self, Ring};
use ringpost::metrics::Meter;
use ringpost::net::{Arenas, Connection};
use ringpost::service::Pool;
use ringpost::session::login::Identity;
use ringpost::session::{Context, Endpoint, Protocol, Session};
use ringpost::store::{AccountId, Store};

use super::house::House;

/// Of an answer's end so much is kept, more than its last line has.
const TAIL_OCTETS: usize = 256;
/// A session that turns so often without an answer hangs.
const TURNS_MAX: usize = 10_000_000;

/// A logged-in client.
pub struct Client {
    ring: Ring,
    post: Rc<Post>,
    session: Pin<Box<dyn Future<Output = ()>>>,
    socket: TcpStream,
    buffer: Vec<u8>,
    tail: Vec<u8>,
}

/// What a shard gives its sessions.
fn context(house: &House, store: &Store) -> Rc<Context> {
    let data = &house.scratch.0;
    let config = Config::embedded(data.clone(), 1, Some(vec![0])).expect("a configuration");
    let post = Post::new(Doorbell::new(io::eventfd().expect("an eventfd")));
    let pool = Pool::start(1).expect("a service thread");
    let settings = Settings { cost: Cost { memory_kib: 8, passes: 1 }, ..Settings::of(&config) };
    let directory = Directory::open(data, settings).expect("a directory");
    let (address, _) = hop::address(post.bell());
    let directory = directory.start(pool.clone(), 1).expect("the directory's thread");
    Rc::new(Context {
        ring: house.ring.clone(),
        pool,
        arenas: Arenas::default(),
        store: store.clone(),
        addresses: Addresses::new(directory.clone()),
        directory,
        delivery: Delivery::new(0, store.clone(), post.clone(), vec![address]),
        config: Arc::new(config),
        shard: 0,
        shards: 1,
        counters: Arc::default(),
        meter: Rc::new(Meter::new(Instant::now)),
        stopping: Cell::new(false),
        hurry: Cell::new(false),
        maildrops: Default::default(),
        taken: Cell::new(0),
        clock: || 1_700_000_000,
        post,
    })
}

impl Client {
    /// Connects, and goes on as the user of `account`.
    pub fn connect(house: &House, store: &Store, account: u64) -> Client {
        let context = context(house, store);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let socket = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
        let (accepted, _) = listener.accept().expect("the other end of it");
        for end in [&accepted, &socket] {
            // As `net::bind` does: a short answer behind a long one does not wait for the client's ACK.
            end.set_nodelay(true).expect("small writes go out");
        }
        socket.set_nonblocking(true).expect("reads don't wait");
        let endpoint = Endpoint {
            protocol: Protocol::Imap,
            listener: context.config.imap.listeners[0].clone(),
            service: context.config.imap.clone(),
            tls: None,
            sessions: Arc::default(),
        };
        let connection = Connection::new(&house.ring, accepted.into()).expect("the client is there");
        let (ring, post) = (house.ring.clone(), context.post.clone());
        let identity = Identity { account: AccountId(account), name: "bench@localhost".into(), quota: None };
        let session = Session::new(connection, context, Arc::new(endpoint));
        let mut session = session.resume(identity);
        let session = Box::pin(async move {
            session.run().await;
        });
        Client { ring, post, session, socket, buffer: vec![0; 1 << 20], tail: Vec::new() }
    }

    /// Sends a command, whose tag is `x`, with its CRLF, and reads to its OK; the answer's octets.
    pub fn ask(&mut self, command: &[u8]) -> usize {
        assert_eq!(self.socket.write(command).expect("the command is sent"), command.len());
        self.tail.clear();
        self.tail.extend_from_slice(b"\r\n");
        let mut octets = 0;
        for _ in 0..TURNS_MAX {
            let polled = self.session.as_mut().poll(&mut TaskContext::from_waker(Waker::noop()));
            assert!(polled == Poll::Pending, "the session ended");
            self.post.collect();
            self.ring.turn(false).expect("the ring turns");
            octets += self.read();
            if self.is_answered() {
                return octets;
            }
        }
        panic!("no answer to {}", String::from_utf8_lossy(command));
    }

    /// Reads what there is.
    fn read(&mut self) -> usize {
        let mut octets = 0;
        loop {
            match self.socket.read(&mut self.buffer) {
                Ok(0) => panic!("the session closed the connection"),
                Ok(read) => {
                    octets += read;
                    self.tail.extend_from_slice(&self.buffer[read.saturating_sub(TAIL_OCTETS)..read]);
                    self.tail.drain(..self.tail.len().saturating_sub(TAIL_OCTETS));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return octets,
                Err(error) => panic!("the client can't read: {error}"),
            }
        }
    }

    /// Whether the last line is whole, and the tagged one.
    fn is_answered(&self) -> bool {
        let Some(lines) = self.tail.strip_suffix(b"\r\n") else { return false };
        let Some(at) = lines.iter().rposition(|octet| *octet == b'\n') else { return false };
        let line = &lines[at + 1..];
        assert!(!line.starts_with(b"x ") || line.starts_with(b"x OK "), "{}", String::from_utf8_lossy(line));
        line.starts_with(b"x OK ")
    }
}
