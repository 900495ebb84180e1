//! The tools' end of the control socket.
//!
//! One request, one reply, bounded in size and time. Whether a server is there is told apart from what it answers, since a
//! tool goes to the data folder itself where there is none.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::message::{Body, Reply, Request, Version, VersionAlone};
use super::timed::Timed;
use super::{Short, read_line};
use crate::directory::secret::wipe;
use crate::limits::{CONTROL_REPLY_BYTES_MAX, CONTROL_SECONDS_MAX};

/// A connection to the server that holds a data folder.
#[derive(Debug)]
pub struct Client(Timed);

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// Nobody listens there.
    NoServer,
    /// The server refused, in its words.
    Refused(String),
    /// The connection broke, or what came is no reply.
    Broken(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoServer => out.write_str("no server listens on the control socket"),
            Failure::Refused(text) => out.write_str(text),
            Failure::Broken(error) => write!(out, "the server does not answer on its control socket: {error}"),
        }
    }
}

impl Client {
    /// Connects to the socket at `path`.
    pub fn connect(path: &Path) -> Result<Client, Failure> {
        let connected = Short::of(path).and_then(|short| UnixStream::connect(&short.path));
        match connected {
            Ok(stream) => Ok(Client(Timed { socket: stream.into(), until: Instant::now() })),
            Err(error) => Err(match error.kind() {
                // The second: a socket that a crash left behind.
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
                    Failure::NoServer
                }
                _ => Failure::Broken(error),
            }),
        }
    }

    /// Asks, and waits for the reply: a little longer than the server waits for its services.
    pub fn ask(&mut self, request: &Request) -> Result<Body, Failure> {
        self.0.until = Instant::now() + Duration::from_secs(CONTROL_SECONDS_MAX + 5);
        let mut line = serde_json::to_vec(&Version::of(request)).map_err(|error| Failure::Broken(error.into()))?;
        line.push(b'\n');
        let sent = self.0.write_all(&line);
        wipe(&mut line);
        // A server that refuses a connection at once may close before it has read: its reply is there all the same.
        let read = read_line(&mut self.0, &mut line, CONTROL_REPLY_BYTES_MAX);
        match (sent, read) {
            (_, Ok(true)) => {}
            (Err(error), _) | (Ok(()), Err(error)) => return Err(Failure::Broken(error)),
            (Ok(()), Ok(false)) => return Err(Failure::Broken(io::ErrorKind::UnexpectedEof.into())),
        }
        match serde_json::from_slice::<Version<Reply>>(&line) {
            Ok(Version { said: Reply::Ok(body), .. }) => Ok(body),
            Ok(Version { said: Reply::Error(text), .. }) => Err(Failure::Refused(text)),
            Err(error) => Err(match serde_json::from_slice::<VersionAlone>(&line) {
                Ok(VersionAlone { version }) if version != super::message::VERSION => {
                    Failure::Refused(format!("the server speaks version {version} of the control protocol"))
                }
                _ => Failure::Broken(error.into()),
            }),
        }
    }
}
