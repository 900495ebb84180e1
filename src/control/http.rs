//! `/metrics` and `/health` over HTTP/1.1, for what watches the server.
//!
//! Invariants: GET and HEAD only, one request a connection, bounded in octets, time and number; threads of its own, so that
//! nothing here is near a shard. It answers from before the shards run until they have stopped, which is what `/health` tells.
//! No TLS, no passwords: it listens on the loopback unless told otherwise, and what it tells are figures, never names.
//! RFC 9110, RFC 9112.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::prometheus;
use super::shards::Shards;
use super::timed::Timed;
use crate::limits::{HTTP_CONNECTIONS_MAX, HTTP_LINGER_BYTES_MAX, HTTP_REQUEST_BYTES_MAX, HTTP_TIME_MAX};
use crate::metrics::Stage;
use crate::proto::calendar::write_header_date;

/// What is told about, once it is there.
pub type Told = Arc<OnceLock<Shards>>;

/// The open listener; dropping it closes it.
#[derive(Debug)]
pub struct Http {
    address: SocketAddr,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
    /// The body is not sent, only its size.
    head: bool,
}

impl Answer {
    fn plain(status: &'static str, body: String) -> Answer {
        Answer { status, content_type: "text/plain; charset=utf-8", body, head: false }
    }

    fn refusal(status: &'static str) -> Answer {
        Answer::plain(status, format!("{status}\n"))
    }
}

/// Answers on `listener` until the result is dropped; before `told` is set, the server is starting.
pub fn start(listener: TcpListener, told: Told) -> io::Result<Http> {
    let address = listener.local_addr()?;
    let (stop, stopped) = channel();
    let thread = std::thread::Builder::new().name("http".into()).spawn(move || accept(&listener, &stopped, &told))?;
    Ok(Http { address, stop: Some(stop), thread: Some(thread) })
}

impl Drop for Http {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The thread waits in accept: a connection wakes it, and it sees that it is to stop.
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, stopped: &Receiver<()>, told: &Told) {
    let open = Arc::new(());
    for connection in listener.incoming() {
        if stopped.try_recv() == Err(TryRecvError::Disconnected) {
            return;
        }
        let connection = match connection {
            Ok(stream) => Timed { socket: stream.into(), until: Instant::now() + HTTP_TIME_MAX },
            Err(error) => {
                // Out of descriptors, for instance: it passes, and the loop must not spin until then.
                tracing::warn!("HTTP: {error}");
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        // Each connection's thread holds one count, and one is the loop's own. Whoever is over the number is closed unheard.
        if Arc::strong_count(&open) > HTTP_CONNECTIONS_MAX {
            continue;
        }
        let (told, count) = (told.clone(), open.clone());
        let spawned = std::thread::Builder::new().name("http-client".into()).spawn(move || {
            // A broken connection is the client's problem.
            let _ = converse(connection, &told);
            drop(count);
        });
        if let Err(error) = spawned {
            tracing::warn!("HTTP: {error}");
        }
    }
}

fn converse(mut connection: Timed, told: &Told) -> io::Result<()> {
    let mut request = Vec::new();
    let (answer, whole) = match read_request(&mut connection, &mut request) {
        Ok(true) => (respond(&request, told), true),
        Ok(false) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            (Answer::refusal("431 Request Header Fields Too Large"), false)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
            connection.until = Instant::now() + Duration::from_secs(1);
            (Answer::refusal("408 Request Timeout"), false)
        }
        Err(error) => return Err(error),
    };
    connection.write_all(&written(&answer, SystemTime::now()))?;
    if !whole {
        // Closed with unread octets, the connection would be reset and the answer lost.
        connection.socket.shutdown(std::net::Shutdown::Write)?;
        let mut left = HTTP_LINGER_BYTES_MAX;
        let mut octets = [0; 4096];
        while left > 0 {
            match connection.read(&mut octets)? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
    }
    Ok(())
}

/// The head and, but for HEAD, the body.
fn written(answer: &Answer, now: SystemTime) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {}\r\nDate: ", answer.status).into_bytes();
    // RFC 9110 §5.6.7: IMF-fixdate is RFC 5322's date with GMT for the zone.
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    write_header_date(&mut out, i64::try_from(seconds).unwrap_or(0), 0);
    out.truncate(out.len() - "+0000".len());
    let allow = if answer.status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let (kind, length) = (answer.content_type, answer.body.len());
    let rest = format!(
        "GMT\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n{allow}Connection: close\r\n\r\n"
    );
    out.extend_from_slice(rest.as_bytes());
    if !answer.head {
        out.extend_from_slice(answer.body.as_bytes());
    }
    out
}

/// `request-line = method SP request-target SP HTTP-version` (RFC 9112 §3), of a whole request up to its empty line.
fn respond(request: &[u8], told: &Told) -> Answer {
    let bad = || Answer::refusal("400 Bad Request");
    let Ok(text) = std::str::from_utf8(request) else { return bad() };
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let line: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = line.as_slice() else { return bad() };
    match *version {
        // RFC 9112 §3.2: a request of HTTP/1.1 names its host once.
        "HTTP/1.1" => {
            let host = |line: &&str| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("host:"));
            if lines.filter(host).count() != 1 {
                return bad();
            }
        }
        "HTTP/1.0" => {}
        version if version.starts_with("HTTP/") => return Answer::refusal("505 HTTP Version Not Supported"),
        _ => return bad(),
    }
    let Some(path) = path(target) else { return bad() };
    let answer: fn(&Told) -> Answer = match path {
        "/metrics" => figures,
        "/health" => health,
        _ => return Answer::refusal("404 Not Found"),
    };
    match *method {
        "GET" => answer(told),
        "HEAD" => Answer { head: true, ..answer(told) },
        _ => Answer::refusal("405 Method Not Allowed"),
    }
}

/// The path of `origin-form` or `absolute-form` (RFC 9112 §3.2).
fn path(target: &str) -> Option<&str> {
    let target = match target.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("http://") => target[7..].find('/').map(|at| &target[7 + at..])?,
        _ => target,
    };
    target.starts_with('/').then(|| target.split(['?', '#']).next().unwrap_or(target))
}

fn figures(told: &Told) -> Answer {
    let Some(shards) = told.get() else { return unavailable("starting") };
    let told = shards.figures();
    match told.silent.first() {
        // A sum without its counts would seem to have gone back, and to leap when it answers again.
        Some(shard) => unavailable(&format!("shard {shard} does not answer")),
        None => {
            let body = prometheus::page(shards, &told);
            Answer { status: "200 OK", content_type: prometheus::CONTENT_TYPE, body, head: false }
        }
    }
}

fn health(told: &Told) -> Answer {
    let Some(shards) = told.get() else { return unavailable("starting") };
    match shards.phase.stage() {
        Stage::Starting => unavailable("starting"),
        Stage::Stopping => unavailable("stopping"),
        Stage::Ready => match shards.silent().first() {
            Some(shard) => unavailable(&format!("shard {shard} does not answer")),
            None => Answer::plain("200 OK", "ok\n".to_owned()),
        },
    }
}

fn unavailable(reason: &str) -> Answer {
    Answer::plain("503 Service Unavailable", format!("{reason}\n"))
}

/// Reads up to the empty line; false: the client closed before it.
fn read_request(connection: &mut Timed, request: &mut Vec<u8>) -> io::Result<bool> {
    let mut octets = [0; 1024];
    loop {
        match connection.read(&mut octets) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
            Ok(0) => return Ok(false),
            Ok(read) => request.extend_from_slice(&octets[..read]),
        }
        let end = |mark: &[u8]| request.windows(mark.len()).any(|window| window == mark);
        if end(b"\r\n\r\n") || end(b"\n\n") {
            return Ok(true);
        }
        if request.len() > HTTP_REQUEST_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shards::tests::without_threads;
    use super::*;

    fn server() -> (Http, Told) {
        let told: Told = Arc::default();
        (start(TcpListener::bind("127.0.0.1:0").unwrap(), told.clone()).unwrap(), told)
    }

    fn ask(http: &Http, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(http.address).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(http: &Http, path: &str) -> String {
        ask(http, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
    }

    #[test]
    fn what_is_asked_is_answered_and_nothing_else() {
        let (http, _) = server();
        for (request, status) in [
            ("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "503 Service Unavailable"),
            ("GET /health?verbose HTTP/1.0\r\n\r\n", "503 Service Unavailable"),
            ("GET http://x:1/metrics HTTP/1.1\r\nhost: x\r\n\r\n", "503 Service Unavailable"),
            ("GET /health HTTP/1.1\nHost: x\n\n", "503 Service Unavailable"),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
            ("GET /metrics/../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
            ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", "405 Method Not Allowed"),
            ("GET /health HTTP/1.1\r\n\r\n", "400 Bad Request"),
            ("GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400 Bad Request"),
            ("GET  /health HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
            ("GET health HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
            ("\r\n\r\n", "400 Bad Request"),
            ("GET /health HTTP/2.0\r\nHost: x\r\n\r\n", "505 HTTP Version Not Supported"),
            ("EHLO x\r\n\r\n", "400 Bad Request"),
        ] {
            let answer = ask(&http, request.as_bytes());
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?}: {answer}");
            assert!(answer.contains("\r\nConnection: close\r\n"));
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{answer}");
            assert_eq!(head.contains("\r\nAllow: GET, HEAD"), status.starts_with("405"));
        }
        let head = ask(&http, b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(head.ends_with("\r\n\r\n") && head.contains("Content-Length: 9\r\n"), "{head}");
        assert!(get(&http, "/health").ends_with("\r\n\r\nstarting\n"));
    }

    #[test]
    fn requests_are_bounded_and_the_listener_closes() {
        let (http, _) = server();
        let long = format!("GET /health HTTP/1.1\r\nX: {}\r\n", "x".repeat(2 * HTTP_REQUEST_BYTES_MAX));
        assert!(ask(&http, long.as_bytes()).starts_with("HTTP/1.1 431 "));
        let silent: Vec<TcpStream> =
            (0..HTTP_CONNECTIONS_MAX).map(|_| TcpStream::connect(http.address).unwrap()).collect();
        // The places are taken by the time that the next one is accepted.
        let mut over = TcpStream::connect(http.address).unwrap();
        let mut answer = Vec::new();
        // Closed, or reset where the request was on its way.
        let _ = over
            .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            .and_then(|()| over.read_to_end(&mut answer).map(drop));
        assert!(answer.is_empty());
        drop(silent);
        let address = http.address;
        drop(http);
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn health_is_the_phase_and_the_shards() {
        let (http, told) = server();
        let (shards, mail) = without_threads(2);
        told.set(shards.clone()).unwrap();
        assert!(get(&http, "/health").ends_with("starting\n"));
        shards.phase.ready();
        drop(mail);
        for path in ["/health", "/metrics"] {
            let answer = get(&http, path);
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("shard 0 does not answer\n"), "{answer}");
        }
        shards.phase.stopping();
        assert!(get(&http, "/health").ends_with("stopping\n"));
    }

    #[test]
    fn dates_are_in_gmt() {
        let out = written(&Answer::refusal("404 Not Found"), UNIX_EPOCH + Duration::from_secs(784_111_777));
        // RFC 9110 §5.6.7's example.
        assert!(String::from_utf8(out).unwrap().contains("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
    }
}
