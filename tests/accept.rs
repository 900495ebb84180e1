//! Accepting when there is no room, and the watchdog's last resort: what needs a process of its own.
//!
//! Limits of descriptors hold for a process, and an abort ends one: each such test runs this binary again for itself alone
//! ([`alone`]). The server's own cap is tested on a server that has few descriptors.

#[path = "support/mod.rs"]
mod support;

use std::future::Future;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};

use ringpost::hop::{Doorbell, Post};
use ringpost::io::{Listener, Ring, Sizes, block_on, eventfd, yield_now};
use ringpost::net::{bind, exhausted};
use ringpost::shard::executor;
use ringpost::shard::watchdog::{Patience, Watched, watch};
use ringpost::{limits, metrics};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::eventually;
use support::ports::Ports;
use support::server::{Binary, Scratch};

const SIZES: Sizes = Sizes { submissions: 64, completions: 256, buffers: 8, buffer_bytes: 2048 };
const ALONE: &str = "RINGPOST_TEST_ALONE";

/// Runs the test of that name in a process of its own and gives its end; `None`: this is that process.
fn alone(name: &str) -> Option<(Output, Duration)> {
    if std::env::var(ALONE).is_ok_and(|alone| alone == name) {
        return None;
    }
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(ALONE, name);
    Some(Binary::run(command, b"", Duration::from_secs(60)))
}

/// The test ran there, and passed: a name that is no test's makes a run of nothing, which succeeds too.
fn succeeded((output, _): (Output, Duration)) {
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("test result: ok. 1 passed;"), "{}: {said}", output.status);
}

fn listening() -> (OwnedFd, SocketAddr) {
    let socket = bind((Ipv4Addr::LOCALHOST, 0).into(), 1).expect("a port").remove(0);
    let address = TcpListener::from(socket.try_clone().expect("a descriptor")).local_addr().expect("an address");
    (socket, address)
}

/// What is accepted within `patience`.
async fn accepted_within(ring: &Ring, listener: &Listener, patience: Duration) -> Option<std::io::Result<OwnedFd>> {
    let (mut accept, mut over) = (pin!(listener.accept()), pin!(ring.sleep(patience)));
    std::future::poll_fn(|context| match accept.as_mut().poll(context) {
        Poll::Ready(accepted) => Poll::Ready(Some(accepted.expect("it is not closed"))),
        Poll::Pending => over.as_mut().poll(context).map(|()| None),
    })
    .await
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("our descriptors").count()
}

/// Connections that come to a paused listener cost no descriptor, wait, and are served in their order afterwards.
#[test]
fn a_paused_listener_leaves_connections_in_the_backlog() {
    if let Some(end) = alone("a_paused_listener_leaves_connections_in_the_backlog") {
        return succeeded(end);
    }
    let (socket, address) = listening();
    let ring = Ring::new(&SIZES).expect("io_uring is there");
    let listener = ring.listen(socket);
    let soon = Duration::from_millis(200);
    let connect = || TcpStream::connect(address).expect("the backlog has room");
    let peer = |accepted: OwnedFd| TcpStream::from(accepted).peer_addr().expect("a peer");
    block_on(&ring, async {
        for _ in 0..3 {
            let before = connect();
            let accepted = accepted_within(&ring, &listener, soon).await.expect("accepted").expect("no error");
            assert_eq!(peer(accepted), before.local_addr().unwrap());
            listener.pause();
            // The cancel is through.
            assert!(accepted_within(&ring, &listener, soon).await.is_none());
            let open = open_descriptors();
            let waiting: Vec<TcpStream> = (0..5).map(|_| connect()).collect();
            assert!(accepted_within(&ring, &listener, soon).await.is_none(), "accepted while paused");
            assert_eq!(open_descriptors(), open + waiting.len(), "taken while paused");
            listener.resume();
            for client in &waiting {
                let accepted = accepted_within(&ring, &listener, soon).await.expect("accepted").expect("no error");
                assert_eq!(peer(accepted), client.local_addr().unwrap());
            }
        }
        // Resumed before the cancel was through: nothing is lost.
        for _ in 0..50 {
            listener.pause();
            yield_now().await;
            listener.resume();
            let client = connect();
            let accepted = accepted_within(&ring, &listener, soon).await.expect("accepted").expect("no error");
            assert_eq!(peer(accepted), client.local_addr().unwrap());
        }
    })
    .expect("the ring turns");
}

/// Attack 44: without descriptors an accept says so, and goes on when there are some again.
#[test]
fn an_accept_without_descriptors_is_told_and_goes_on() {
    if let Some(end) = alone("an_accept_without_descriptors_is_told_and_goes_on") {
        return succeeded(end);
    }
    let (socket, address) = listening();
    let ring = Ring::new(&SIZES).expect("io_uring is there");
    let clients: Vec<socket2::Socket> = (0..3)
        .map(|_| socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket"))
        .collect();
    let whole = getrlimit(Resource::Nofile);
    let next = std::fs::File::open("/dev/null").expect("a descriptor").as_raw_fd();
    setrlimit(Resource::Nofile, Rlimit { current: Some(next as u64), maximum: whole.maximum }).expect("a limit");
    // The kernel notes the limit when the accept is submitted.
    let listener = ring.listen(socket);
    for client in &clients {
        client.connect(&address.into()).expect("the backlog has room");
    }
    let soon = Duration::from_secs(2);
    block_on(&ring, async {
        for _ in 0..3 {
            let error = accepted_within(&ring, &listener, soon).await.expect("told").expect_err("no descriptor");
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            assert!(exhausted(&error));
        }
        setrlimit(Resource::Nofile, whole).expect("the limit as it was");
        let mut served = Vec::new();
        for _ in 0..20 {
            match accepted_within(&ring, &listener, soon).await.expect("it goes on") {
                Ok(accepted) => served.push(accepted),
                // What was submitted under the old limit.
                Err(error) => assert!(exhausted(&error)),
            }
            if served.len() == clients.len() {
                return;
            }
        }
        panic!("{} of {} were served", served.len(), clients.len());
    })
    .expect("the ring turns");
}

/// A shard that rests is left alone however long; one that spins takes the process with it, for a supervisor to restart.
#[test]
fn a_shard_that_spins_ends_the_process() {
    const REST: Duration = Duration::from_secs(2);
    let patience = Patience { poke: Duration::from_millis(200), abort: Duration::from_secs(1) };
    if let Some((output, took)) = alone("a_shard_that_spins_ends_the_process") {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}: {said}", output.status);
        assert!(said.contains("the shard spins now"), "ended while it rested: {said}");
        assert!(said.contains("poking it") && said.contains("the shard is stuck"), "{said}");
        assert!(took >= REST + patience.abort && took < REST + 10 * patience.abort, "after {took:?}");
        return;
    }
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).expect("no core file");
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let bell = Doorbell::new(eventfd().expect("an eventfd"));
    let counters: Arc<metrics::Shard> = Arc::default();
    let watched = Watched { number: 0, counters: counters.clone(), bell: bell.clone() };
    let shard = executor::start(0, "spinning", move |queues| async move {
        let ring = Ring::new(&SIZES).expect("io_uring is there");
        let post = Post::new(bell);
        let (driven, its_queues) = (ring.clone(), queues.clone());
        queues.spawn_driver(async move {
            executor::drive(driven, post, its_queues, counters).await.expect("the ring turns");
        });
        ring.sleep(REST).await;
        eprintln!("the shard spins now");
        loop {
            std::hint::spin_loop();
        }
    });
    let (_watching, unwatched) = mpsc::channel();
    watch(&[watched], patience, &unwatched);
    drop(shard);
}

/// A shard that makes no turn is poked before anything else, and that it goes on then is enough.
#[test]
fn a_stalled_shard_is_poked() {
    let bell = Doorbell::new(eventfd().expect("an eventfd"));
    let counters: Arc<metrics::Shard> = Arc::default();
    let watched = Watched { number: 0, counters: counters.clone(), bell: bell.clone() };
    let (watching, unwatched) = mpsc::channel();
    let patience = Patience { poke: Duration::from_millis(100), abort: Duration::from_secs(3600) };
    let mut poked = std::fs::File::from(bell.descriptor().try_clone_to_owned().expect("a descriptor"));
    let begin = Instant::now();
    let watchdog = std::thread::spawn(move || watch(&[watched], patience, &unwatched));
    let mut rung = || poked.read(&mut [0; 8]).is_ok().then_some(());
    eventually("a poke", Duration::from_secs(5), &mut rung);
    assert!(begin.elapsed() >= patience.poke, "poked after {:?}", begin.elapsed());
    drop(watching);
    watchdog.join().expect("the watchdog ends where nothing is left to watch");
}

/// A server takes as many connections as it has descriptors for, leaves the others in the backlog, and takes them when
/// one has gone.
#[test]
fn a_full_server_pauses_and_goes_on() {
    const ROOM: usize = 12;
    const LISTENERS: usize = 16;
    let (scratch, ports) = (Scratch::new("full"), Ports::claim());
    let own = limits::DESCRIPTORS_OF_PROCESS + limits::DESCRIPTORS_A_SHARD;
    let (data, base) = (scratch.join("data"), ports.base().to_string());
    let log = scratch.join("stderr.log");
    let mut command = Command::new("sh");
    // Eight ports, twice where there is IPv6.
    command.args([
        "-c",
        "ulimit -n $0; exec \"$@\"",
        &(own + LISTENERS + ROOM).to_string(),
        env!("CARGO_BIN_EXE_ringpost"),
    ]);
    command.args(["serve", "--cpus", "0", "--port-base", &base, "--data", &data.display().to_string()]);
    command.stdout(Stdio::piped()).stderr(std::fs::File::create(&log).expect("a scratch file"));
    let mut server = command.spawn().expect("sh");
    let stdout = server.stdout.take().expect("piped");
    let ready = BufReader::new(stdout).lines().map_while(Result::ok).any(|line| line == "ringpost ready");
    let log = || std::fs::read_to_string(&log).unwrap_or_default();
    assert!(ready, "{}", log());
    assert!(log().contains("connections are few"), "{}", log());

    let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, ports.base() + 143)).expect("the backlog has room");
    let greeted = |client: &mut TcpStream, patience| {
        client.set_read_timeout(Some(patience)).expect("a time-out");
        matches!(client.read(&mut [0; 512]), Ok(1..))
    };
    let mut clients = Vec::new();
    let mut waiting = loop {
        let mut client = connect();
        if !greeted(&mut client, Duration::from_secs(2)) {
            break client;
        }
        clients.push(client);
        assert!(clients.len() <= ROOM + LISTENERS / 2, "it takes more than there is room for");
    };
    assert!(clients.len() >= ROOM, "only {} fit", clients.len());
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("its descriptors").count();
    assert!(open < own, "{open} descriptors: the reserve is touched");
    assert!(log().contains("full: accepting pauses"), "{}", log());
    for _ in 0..3 {
        drop(clients.pop());
        assert!(greeted(&mut waiting, Duration::from_secs(5)), "not served though there is room: {}", log());
        clients.push(std::mem::replace(&mut waiting, connect()));
        assert!(!greeted(&mut waiting, Duration::from_millis(500)), "one too many");
    }
    // SAFETY: kill takes two numbers; the process is our child and not yet waited for.
    assert_eq!(unsafe { libc::kill(server.id() as libc::pid_t, libc::SIGTERM) }, 0);
    assert_eq!(server.wait().expect("our child").code(), Some(0), "{}", log());
}
