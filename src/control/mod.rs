//! The control socket: tools talk to the running server through `<data>/control.sock`. Beside it: figures over HTTP.
//!
//! One JSON request a line, one JSON reply a line, both with `"version"`; an unknown version is refused in words.
//! Invariants: only who may enter the data folder (0700) and open the socket (0600) is heard; requests, connections
//! and waiting are bounded; a request's octets are wiped, for there may be a password in them. A thread for the socket
//! and one for each connection: tools are few, and none of this is near a shard.

mod answer;
mod client;
pub mod http;
pub mod message;
mod prometheus;
mod shards;
pub mod stat;
mod timed;

use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::directory::Handle;
use crate::directory::secret::wipe;
use crate::limits::{CONTROL_CONNECTIONS_MAX, CONTROL_REQUEST_BYTES_MAX, CONTROL_SECONDS_MAX};
pub use client::{Client, Failure};
use message::{Reply, Version};
pub use shards::{Contact, Shards};
use timed::Timed;

/// The open socket; dropping it closes and removes it.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Opens the control socket of a data folder that this process holds the lock of, and answers on it. The path is that
/// of the socket; a socket that a crash left there is removed.
pub fn start(path: &Path, directory: Handle, shards: Shards) -> io::Result<Control> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let short = Short::of(path)?;
    let listener = UnixListener::bind(&short.path)?;
    std::fs::set_permissions(&short.path, Permissions::from_mode(0o600))?;
    let (stop, stopped) = channel();
    let thread = std::thread::Builder::new()
        .name("control".into())
        .spawn(move || accept(&listener, &stopped, (&directory, &shards)))?;
    Ok(Control { path: path.to_path_buf(), stop: Some(stop), thread: Some(thread) })
}

impl Drop for Control {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The thread waits in accept: a connection wakes it, and it sees that it is to stop.
        let woken = Short::of(&self.path).and_then(|short| UnixStream::connect(&short.path));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A name of a socket that fits into `sun_path` (108 octets), however deep the data folder is: through a descriptor of
/// its folder.
#[derive(Debug)]
struct Short {
    path: PathBuf,
    _folder: Option<std::fs::File>,
}

impl Short {
    fn of(path: &Path) -> io::Result<Short> {
        if path.as_os_str().len() < 108 {
            return Ok(Short { path: path.to_path_buf(), _folder: None });
        }
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let folder = std::fs::File::open(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&folder);
        let path = Path::new("/proc/self/fd").join(descriptor.to_string()).join(name);
        Ok(Short { path, _folder: Some(folder) })
    }
}

fn accept(listener: &UnixListener, stopped: &Receiver<()>, (directory, shards): (&Handle, &Shards)) {
    let open = Arc::new(());
    for connection in listener.incoming() {
        if stopped.try_recv() == Err(TryRecvError::Disconnected) {
            return;
        }
        let connection = match connection {
            Ok(connection) => connection,
            Err(error) => {
                // Out of descriptors, for instance: it passes, and the loop must not spin until then.
                tracing::warn!("control socket: {error}");
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        // Each connection's thread holds one count, and one is the loop's own.
        if Arc::strong_count(&open) > CONTROL_CONNECTIONS_MAX {
            let mut connection = Timed { socket: connection.into(), until: Instant::now() + Duration::from_secs(1) };
            let _ = send(&mut connection, &Reply::error("too many tools at once; try again"));
            continue;
        }
        let (directory, shards, count) = (directory.clone(), shards.clone(), open.clone());
        let spawned = std::thread::Builder::new().name("control-tool".into()).spawn(move || {
            // Wrong octets and broken connections are the tool's problem.
            let _ = converse(connection, &directory, &shards);
            drop(count);
        });
        if let Err(error) = spawned {
            tracing::warn!("control socket: {error}");
        }
    }
}

// Requests and replies, one after the other, until the tool closes.
fn converse(stream: UnixStream, directory: &Handle, shards: &Shards) -> io::Result<()> {
    let mut line = Vec::with_capacity(CONTROL_REQUEST_BYTES_MAX + 1);
    let mut connection = Timed { socket: stream.into(), until: Instant::now() };
    loop {
        connection.until = Instant::now() + Duration::from_secs(CONTROL_SECONDS_MAX);
        let read = read_line(&mut connection, &mut line, CONTROL_REQUEST_BYTES_MAX);
        let reply = match &read {
            Ok(true) => answer::answer(&line, directory, shards),
            Ok(false) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Reply::error(&format!("the request is longer than {CONTROL_REQUEST_BYTES_MAX} octets"))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Reply::error("one request at a time: the next one after the reply")
            }
            Err(_) => Reply::error("the request did not come whole and in time"),
        };
        wipe(&mut line);
        connection.until = Instant::now() + Duration::from_secs(CONTROL_SECONDS_MAX);
        send(&mut connection, &reply)?;
        read?;
    }
}

fn send(connection: &mut Timed, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Version::of(reply))?;
    line.push(b'\n');
    connection.write_all(&line)
}

/// Reads a line of at most `max` octets into `line`, without its LF; false: the other end closed before it. What
/// follows the LF is an error: the other end waits for the reply before it goes on.
fn read_line(connection: &mut Timed, line: &mut Vec<u8>, max: usize) -> io::Result<bool> {
    line.clear();
    loop {
        let start = line.len();
        let room = (max + 1 - start).min(64 * 1024);
        line.resize(start + room, 0);
        let read = connection.read(&mut line[start..]);
        line.truncate(start + *read.as_ref().unwrap_or(&0));
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
            Ok(0) if start == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
        }
        if let Some(end) = line[start..].iter().position(|octet| *octet == b'\n') {
            if start + end + 1 < line.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            line.truncate(start + end);
            return Ok(true);
        }
        if line.len() > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::message::{Body, Request};
    use super::*;
    use crate::config::data::scratch;
    use crate::directory::{Cost, Directory, Edit, Quota, Secret, Settings};
    use crate::limits::{ALIASES_MAX, LOGIN_NAMES_MAX, USER_NAME_BYTES_MAX};
    use crate::service::Pool;
    use std::io::{BufRead, BufReader};

    fn server(folder: &Path) -> (Control, PathBuf) {
        let cost = Cost { memory_kib: 8, passes: 1 };
        let directory = Directory::open(folder, Settings { cost, ..Settings::default() }).unwrap();
        let socket = folder.join("control.sock");
        let handle = directory.start(Pool::start(1).unwrap(), 1).unwrap();
        (start(&socket, handle, Shards::new(Vec::new(), Arc::default())).unwrap(), socket)
    }

    fn raw(socket: &Path, octets: &[u8]) -> String {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(octets).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    }

    fn add(name: &str) -> Request {
        let password = Secret::from("p\"w\n\u{1}".to_string());
        let edit = Edit { aliases: vec!["alias@x".into()], ..Edit::default() };
        Request::UserAdd { name: name.into(), password, edit }
    }

    #[test]
    fn accounts_over_the_socket() {
        let folder = scratch("control");
        let (control, socket) = server(&folder);
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        let mut client = Client::connect(&socket).unwrap();
        let ping = client.ask(&Request::Ping {}).unwrap();
        let Body::Server { version, process } = ping else { panic!("{ping:?}") };
        assert_eq!((version.as_str(), process), (env!("CARGO_PKG_VERSION"), std::process::id()));
        let added = client.ask(&add("Anna@X")).unwrap();
        let Body::User(user) = added else { panic!("{added:?}") };
        assert_eq!(
            (user.name.as_str(), user.enabled, user.aliases.as_slice()),
            ("Anna@x", true, &["alias@x".into()][..])
        );
        let again = client.ask(&add("anna@x")).unwrap_err();
        assert!(matches!(&again, Failure::Refused(text) if text.contains("already")), "{again}");
        let password = Secret::from("new".to_string());
        client.ask(&Request::UserPasswd { name: "anna@x".into(), password }).unwrap();
        let Body::Users(users) = client.ask(&Request::UserList {}).unwrap() else { panic!() };
        assert_eq!(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["Anna@x"]);
        let edit = Edit {
            names: vec!["Anna Muster".into()],
            quota: Some(Quota::Octets(4096)),
            enabled: Some(false),
            ..Edit::default()
        };
        let Body::User(user) = client.ask(&Request::UserSet { name: "anna@x".into(), edit }).unwrap() else { panic!() };
        assert_eq!((user.quota, user.enabled, user.aliases.len(), user.names.len()), (Some(4096), false, 1, 1));
        let edit = Edit { quota: Some(Quota::None), remove_aliases: vec!["alias@x".into()], ..Edit::default() };
        let Body::User(user) = client.ask(&Request::UserSet { name: "anna@x".into(), edit }).unwrap() else { panic!() };
        assert_eq!((user.quota, user.enabled, user.aliases.len(), user.names.len()), (None, false, 0, 1));
        let catch = Request::DomainSet { domain: "y".into(), catch_all: Some("anna@x".into()) };
        let Body::Domain(domain) = client.ask(&catch).unwrap() else { panic!() };
        assert_eq!((domain.name.as_str(), domain.catch_all.as_deref()), ("y", Some("Anna@x")));
        let nobody = Request::DomainSet { domain: "y".into(), catch_all: Some("nobody@x".into()) };
        assert!(matches!(client.ask(&nobody), Err(Failure::Refused(text)) if text.contains("no account")));
        let Body::Domains(domains) = client.ask(&Request::DomainList {}).unwrap() else { panic!() };
        assert_eq!(domains.iter().map(|domain| domain.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
        client.ask(&Request::UserDelete { name: "anna@x".into() }).unwrap();
        let Body::Users(users) = client.ask(&Request::UserList {}).unwrap() else { panic!() };
        assert!(users.is_empty());
        drop(control);
        assert!(!socket.exists());
        assert!(matches!(Client::connect(&socket), Err(Failure::NoServer)));
    }

    #[test]
    fn what_is_no_request_is_refused_in_words() {
        let folder = scratch("control-refused");
        let (_control, socket) = server(&folder);
        for (request, part) in [
            (&b"{\"version\":1,\"request\":\"ping\"}\n"[..], "\"process\":"),
            (
                b"{\"version\":2,\"request\":\"pong\"}\n",
                "version 2 of the control protocol is not known; this server speaks version 1",
            ),
            (b"{\"request\":\"ping\"}\n", "names no version"),
            (b"{\"version\":1,\"request\":\"pong\"}\n", "does not know the request: unknown variant `pong`"),
            (b"{\"version\":1,\"request\":\"kick\"}\n", "needs a session, a user or an address"),
            (b"{\"version\":1,\"request\":\"kick\",\"address\":\"x\"}\n", "expected an address or a network"),
            (b"{\"version\":1,\"request\":\"who\"}\n", "{\"sessions\":[],\"next\":null}"),
            (b"{\"version\":1,\"request\":\"user-delete\"}\n", "missing field `name`"),
            (b"{\"version\":1,\"request\":\"user-set\",\"name\":\"a@x\",\"quota\":5}\n", "malformed"),
            (b"{\"version\":1,\"request\":\"user-set\",\"name\":\"a@x\"}\n", "no account"),
            (b"\xff\xfe\n", "names no version"),
            (b"\n", "names no version"),
            (b"{\"version\":1,\"request\":\"ping\"}\n{}\n", "one request at a time"),
        ] {
            let reply = raw(&socket, request);
            assert!(reply.starts_with("{\"version\":1,") && reply.contains(part), "{reply}");
        }
        let long = vec![b'x'; CONTROL_REQUEST_BYTES_MAX + 1];
        assert!(raw(&socket, &long).contains("longer than"));
        let reply = raw(
            &socket,
            b"{\"version\":1,\"request\":\"user-add\",\"name\":\"a@x\",\"password\":7777,\"aliases\":[]}\n",
        );
        assert!(reply.contains("error") && !reply.contains("7777"), "{reply}");
    }

    #[test]
    fn the_longest_change_is_no_longer_than_a_request() {
        let address = |number: usize| {
            let (local, label) = (format!("\"{}{number:03}\"", "\\\"".repeat(29)), "d".repeat(63));
            format!("{local}@{}.{}", [label.as_str(); 3].join("."), "d".repeat(62))
        };
        let name = |number: usize| format!("{number:02}{}", "\\".repeat(USER_NAME_BYTES_MAX - 2));
        assert!(address(0).len() >= USER_NAME_BYTES_MAX - 4, "{}", address(0).len());
        let edit = Edit {
            rename: Some(address(0)),
            remove_aliases: (0..ALIASES_MAX).map(address).collect(),
            aliases: (0..ALIASES_MAX).map(address).collect(),
            remove_names: (0..LOGIN_NAMES_MAX).map(name).collect(),
            names: (0..LOGIN_NAMES_MAX).map(name).collect(),
            quota: Some(Quota::Octets(u64::MAX)),
            enabled: Some(true),
        };
        let request = serde_json::to_vec(&Version::of(Request::UserSet { name: address(1), edit })).unwrap();
        assert!((CONTROL_REQUEST_BYTES_MAX / 2..CONTROL_REQUEST_BYTES_MAX).contains(&request.len()));
        let folder = scratch("control-longest");
        let (_control, socket) = server(&folder);
        assert!(raw(&socket, &[&request[..], b"\n"].concat()).contains("no account"));
    }

    #[test]
    fn connections_are_bounded_and_others_go_on() {
        let folder = scratch("control-bounded");
        let (_control, socket) = server(&folder);
        let mut clients: Vec<Client> =
            (0..CONTROL_CONNECTIONS_MAX).map(|_| Client::connect(&socket).unwrap()).collect();
        for client in &mut clients {
            client.ask(&Request::Ping {}).unwrap();
        }
        let refused = Client::connect(&socket).unwrap().ask(&Request::Ping {}).unwrap_err();
        assert!(matches!(&refused, Failure::Refused(text) if text.contains("too many")), "{refused}");
        clients[3].ask(&Request::Ping {}).unwrap();
        clients.clear();
        let deadline = Instant::now() + Duration::from_secs(10);
        while Client::connect(&socket).unwrap().ask(&Request::Ping {}).is_err() {
            assert!(Instant::now() < deadline, "the places are free again");
        }
    }

    #[test]
    fn a_socket_left_by_a_crash_is_replaced_and_a_long_path_works() {
        let scratch = scratch("control-long");
        let folder = scratch.join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("control.sock"), b"").unwrap();
        let (control, socket) = server(&folder);
        Client::connect(&socket).unwrap().ask(&Request::Ping {}).unwrap();
        drop(control);
        assert!(!socket.exists());
    }
}
