//! The engine's traps, each with a test: what was measured to go wrong with executor and ring, on a real shard.
//!
//! A shard here runs an echo in place of a protocol; clients are plain blocking sockets in threads.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ringpost::hop::{self, Address, Doorbell, Mail, Post};
use ringpost::io::{Detached, Listener, OpenFlags, Ring, Sizes, Socket, block_on, eventfd};
use ringpost::metrics;
use ringpost::net::bind;
use ringpost::shard::executor::{self, Breath, Queues};

const SIZES: Sizes = Sizes { submissions: 256, completions: 4096, buffers: 64, buffer_bytes: 2048 };

/// One test at a time: each measures what a core does.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Core {
    ring: Ring,
    post: Rc<Post>,
    queues: Queues,
}

/// Starts a shard that ends when the returned sender is dropped or sent to.
fn shard<F: Future<Output = ()> + 'static>(
    cpu: usize,
    sizes: Sizes,
    bell: Arc<Doorbell>,
    stop: Mail<()>,
    main: impl FnOnce(Rc<Core>) -> F + Send + 'static,
) -> executor::Running {
    executor::start(cpu, "test-shard", move |queues| async move {
        let ring = Ring::new(&sizes).expect("io_uring is there");
        let post = Post::new(bell);
        let stop = stop.open(&post);
        let (ring2, post2, driven) = (ring.clone(), post.clone(), queues.clone());
        queues.spawn_driver(async move {
            executor::drive(ring2, post2, driven, Arc::new(metrics::Shard::default())).await.expect("the ring turns");
        });
        let core = Rc::new(Core { ring, post, queues: queues.clone() });
        let work = core.clone();
        queues.spawn_session(Box::pin(async move { main(work).await }));
        stop.receive().await;
    })
    .expect("a shard starts")
}

fn bell() -> Arc<Doorbell> {
    Doorbell::new(eventfd().unwrap())
}

fn poll_receive(socket: &Socket) -> impl Future<Output = std::io::Result<Option<ringpost::io::Received>>> + '_ {
    std::future::poll_fn(|context| socket.poll_receive(context))
}

async fn echo(mut socket: Socket) {
    while let Ok(Some(received)) = poll_receive(&socket).await {
        let mut parcel = socket.ring().parcel();
        parcel.buffer().extend_from_slice(&received);
        drop(received);
        if socket.send(parcel).await.is_err() {
            return;
        }
    }
}

async fn serve_echo(core: Rc<Core>, listener: Listener) {
    while let Some(accepted) = listener.accept().await {
        let socket = core.ring.socket(accepted.expect("an accept"));
        core.queues.spawn_session(Box::pin(echo(socket)));
    }
}

/// Background work that goes on as long as `going` says so, in steps of `step`.
fn background(core: &Rc<Core>, step: Duration, worked: Arc<AtomicU64>, going: Arc<AtomicBool>) {
    let breath = Breath::new(&core.ring, core.post.bell());
    core.queues.spawn_background("test", &core.ring, async move {
        while going.load(Ordering::Relaxed) {
            let start = Instant::now();
            while start.elapsed() < step {}
            worked.fetch_add(step.as_micros() as u64, Ordering::Relaxed);
            breath.take().await;
        }
    });
}

/// An echo shard on `cpu`, its address and the way to stop it.
fn echo_shard(cpu: usize, sizes: Sizes) -> (SocketAddr, Address<()>, executor::Running) {
    echo_shard_with(cpu, sizes, |_| {})
}

fn echo_shard_with(
    cpu: usize,
    sizes: Sizes,
    more: impl FnOnce(&Rc<Core>) + Send + 'static,
) -> (SocketAddr, Address<()>, executor::Running) {
    let listener = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
    let address = TcpListener::from(listener.try_clone().unwrap()).local_addr().unwrap();
    let bell = bell();
    let (stop, mail) = hop::address(&bell);
    let running = shard(cpu, sizes, bell, mail, move |core| async move {
        more(&core);
        let listener = core.ring.listen(listener);
        serve_echo(core, listener).await;
    });
    (address, stop, running)
}

fn ask(stream: &mut TcpStream, octets: &[u8]) -> Duration {
    let start = Instant::now();
    stream.write_all(octets).unwrap();
    let mut back = vec![0; octets.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, octets);
    start.elapsed()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream
}

/// Spins on a core like a process that takes no notice of others.
fn busy_loop(cpu: usize) -> Arc<AtomicBool> {
    let running = Arc::new(AtomicBool::new(true));
    let flag = running.clone();
    thread::spawn(move || {
        // SAFETY: the set is a live local of the length that is passed.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut set);
            assert_eq!(libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set), 0);
        }
        while flag.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    running
}

/// Bursts with random pauses, so that the shard parks between them thousands of times: no wake-up may be lost, beside a
/// busy loop on the shard's core. `RINGPOST_LIVENESS_SECONDS` makes it the long run (1,800).
#[test]
fn stays_alive_under_a_competing_busy_loop() {
    let _alone = alone();
    let seconds = std::env::var("RINGPOST_LIVENESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let (worked, going) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(true)));
    let (steps, goes) = (worked.clone(), going.clone());
    let (address, stop, running) =
        echo_shard_with(0, SIZES, move |core| background(core, Duration::from_micros(20), steps, goes));
    let busy = busy_loop(0);
    let mut streams: Vec<TcpStream> = (0..8).map(|_| connect(address)).collect();
    let (start, mut seed, mut worst, mut rounds) = (Instant::now(), 7u64, Duration::ZERO, 0u64);
    while start.elapsed() < Duration::from_secs(seconds) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let burst = 1 + seed as usize % streams.len();
        let asked = Instant::now();
        for stream in &mut streams[..burst] {
            stream.write_all(b"x NOOP\r\n").unwrap();
        }
        for stream in &mut streams[..burst] {
            let mut back = [0; 8];
            stream.read_exact(&mut back).expect("an answer within five seconds");
        }
        worst = worst.max(asked.elapsed());
        rounds += 1;
        if seed & 0x300 == 0 {
            thread::sleep(Duration::from_micros(seed >> 50));
        }
    }
    busy.store(false, Ordering::Relaxed);
    println!(
        "{rounds} bursts in {seconds} s, longest gap {worst:?}, {} us of background work",
        worked.load(Ordering::Relaxed)
    );
    // Beside one busy loop the kernel gives the shard half the core in slices of a few milliseconds.
    assert!(worst < Duration::from_millis(200), "a gap of {worst:?}");
    assert!(worked.load(Ordering::Relaxed) > 0, "the background never ran");
    going.store(false, Ordering::Relaxed);
    stop.send(()).unwrap();
    running.join().unwrap();
}

/// Background work that never ends on its own may not starve sessions, and gets the core when they rest.
#[test]
fn background_work_does_not_starve_sessions() {
    let _alone = alone();
    let (worked, going) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(true)));
    let (steps, goes) = (worked.clone(), going.clone());
    let (address, stop, running) =
        echo_shard_with(0, SIZES, move |core| background(core, Duration::from_micros(50), steps, goes));
    let mut stream = connect(address);
    let mut times: Vec<Duration> = (0..2000).map(|_| ask(&mut stream, b"ping\r\n")).collect();
    times.sort();
    let before = worked.load(Ordering::Relaxed);
    thread::sleep(Duration::from_millis(500));
    let idle = worked.load(Ordering::Relaxed) - before;
    println!("median {:?}, worst {:?}, background {idle} us of 500,000 while idle", times[1000], times[1999]);
    assert!(times[1000] < Duration::from_millis(2), "median {:?}", times[1000]);
    assert!(idle > 100_000, "the background got {idle} us of an idle half second");
    going.store(false, Ordering::Relaxed);
    stop.send(()).unwrap();
    running.join().unwrap();
}

/// A future that is dropped while its operation is in flight: its buffer stays until the completion, its slot is reused
/// only then, and no completion reaches a successor.
#[test]
fn a_dropped_future_leaves_its_buffer_to_the_kernel() {
    let _alone = alone();
    let ring = Ring::new(&SIZES).unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let pipe = ring.descriptor(reader.into());
    block_on(&ring, async {
        for round in 0..200u32 {
            // Nothing to read: it waits in the kernel, with a buffer of ours.
            let mut read = Box::pin(pipe.read(0, 4096));
            let first = std::future::poll_fn(|context| std::task::Poll::Ready(read.as_mut().poll(context))).await;
            assert!(first.is_pending());
            ring.turn(false).unwrap();
            assert_eq!(ring.in_flight(), 1);
            drop(read);
            // Abandoned, not forgotten: the slot is the kernel's until the cancel is through.
            assert_eq!(ring.in_flight(), 1);
            if round % 2 == 0 {
                // The slot is still taken when the next operation starts: the cancelled one may not answer it.
                let file = ring.open("/dev/null".as_ref(), OpenFlags::Update).await.unwrap();
                let (written, back) = file.write(0, vec![7; 10], false).await;
                written.unwrap();
                assert_eq!(back, vec![7; 10]);
            }
            while ring.in_flight() > 0 {
                ring.turn(true).unwrap();
            }
            writer.write_all(&round.to_le_bytes()).unwrap();
            assert_eq!(pipe.read(0, 4).await.unwrap(), round.to_le_bytes());
        }
    })
    .unwrap();
}

/// With all buffers queued at sockets nobody reads, the others wait their turn without spinning and go on as soon as
/// buffers come back.
#[test]
fn enobufs_starves_nobody_for_ever() {
    let _alone = alone();
    let sizes = Sizes { buffers: 4, buffer_bytes: 64, ..SIZES };
    let (address, stop, running) = echo_shard(0, sizes);
    let streams: Vec<_> = (0..32u8)
        .map(|number| {
            let mut stream = connect(address);
            thread::spawn(move || {
                let octets: Vec<u8> =
                    (0..20_000u32).map(|at| (at as u8).wrapping_mul(31).wrapping_add(number)).collect();
                let mut writer = stream.try_clone().unwrap();
                let sent = octets.clone();
                let writing = thread::spawn(move || writer.write_all(&sent).unwrap());
                let mut back = vec![0; octets.len()];
                stream.read_exact(&mut back).unwrap();
                writing.join().unwrap();
                assert!(back == octets, "stream {number} came back changed");
            })
        })
        .collect();
    for stream in streams {
        stream.join().unwrap();
    }
    stop.send(()).unwrap();
    running.join().unwrap();
}

/// Slots and descriptors are reused at once while old completions are still on their way: nothing reaches a successor.
#[test]
fn slots_are_reused_under_a_new_generation() {
    let _alone = alone();
    let (address, stop, running) = echo_shard(0, SIZES);
    for round in 0..2000u32 {
        // Left behind with data in flight in both directions, half of them reset.
        let mut left = connect(address);
        left.write_all(&[b'x'; 3000]).unwrap();
        if round % 2 == 0 {
            drop(left);
        } else {
            left.shutdown(std::net::Shutdown::Both).unwrap();
        }
        let mut next = connect(address);
        let octets = round.to_le_bytes();
        ask(&mut next, &octets);
        // Nothing of the predecessor's follows.
        next.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        if round % 100 == 0 {
            let kind = next.read(&mut [0; 1]).unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut));
        }
    }
    stop.send(()).unwrap();
    running.join().unwrap();
}

struct Parcelled {
    detached: Detached,
}

/// Connections move to and fro between two shards while their clients go on sending: nothing is lost or reordered.
#[test]
fn a_connection_moves_while_its_client_goes_on_sending() {
    let _alone = alone();
    const CONNECTIONS: usize = 8;
    const MOVES: u64 = 2000;
    let listener = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
    let address = TcpListener::from(listener.try_clone().unwrap()).local_addr().unwrap();
    let moves = Arc::new(AtomicU64::new(0));
    let bells = [bell(), bell()];
    let (to_first, mail_first) = hop::address::<Parcelled>(&bells[0]);
    let (to_second, mail_second) = hop::address::<Parcelled>(&bells[1]);
    let mut stops = Vec::new();
    let mut threads = Vec::new();
    let mut listener = Some(listener);
    for (number, (mail, peer)) in [(mail_first, to_second), (mail_second, to_first)].into_iter().enumerate() {
        let (stop, stopped) = hop::address(&bells[number]);
        let (listener, moves) = (listener.take(), moves.clone());
        stops.push(stop);
        threads.push(shard(number, SIZES, bells[number].clone(), stopped, move |core| async move {
            if let Some(listener) = listener {
                let listener = core.ring.listen(listener);
                let (core, moves, peer) = (core.clone(), moves.clone(), peer.clone());
                core.clone().queues.spawn_session(Box::pin(async move {
                    while let Some(accepted) = listener.accept().await {
                        let socket = core.ring.socket(accepted.unwrap());
                        let session = echo_and_move(socket, Vec::new(), moves.clone(), peer.clone());
                        core.queues.spawn_session(Box::pin(session));
                    }
                }));
            }
            let inbox = mail.open(&core.post);
            loop {
                let detached = inbox.receive().await.detached;
                assert!(!detached.ended, "the client does not end before the test");
                let socket = core.ring.socket(detached.descriptor);
                let session = echo_and_move(socket, detached.unread, moves.clone(), peer.clone());
                core.queues.spawn_session(Box::pin(session));
            }
        }));
    }
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let moves = moves.clone();
            thread::spawn(move || converse(connect(address), number as u64, &moves, MOVES))
        })
        .collect();
    let octets: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    println!("{} moves, {octets} octets in order", moves.load(Ordering::Relaxed));
    for stop in stops {
        stop.send(()).unwrap();
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

async fn echo_and_move(mut socket: Socket, unread: Vec<u8>, moves: Arc<AtomicU64>, peer: Address<Parcelled>) {
    let mut parcel = socket.ring().parcel();
    parcel.buffer().extend_from_slice(&unread);
    if socket.send(parcel).await.is_err() {
        return;
    }
    for _ in 0..3 {
        let Ok(Some(received)) = poll_receive(&socket).await else { return };
        let mut parcel = socket.ring().parcel();
        parcel.buffer().extend_from_slice(&received);
        drop(received);
        if socket.send(parcel).await.is_err() {
            return;
        }
    }
    let Ok(detached) = socket.detach().await else { return };
    if !detached.ended {
        moves.fetch_add(1, Ordering::Relaxed);
        let _ = peer.send(Parcelled { detached });
    }
}

/// Sends a pattern without waiting and checks what comes back, until there were enough moves.
fn converse(mut stream: TcpStream, number: u64, moves: &AtomicU64, enough: u64) -> u64 {
    let pattern = move |at: u64| ((at ^ number << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8;
    let mut writer = stream.try_clone().unwrap();
    let (report, written) = mpsc::channel();
    let (window, credit) = mpsc::sync_channel::<()>(64);
    let writing = thread::spawn(move || {
        let mut at = 0u64;
        while credit.recv().is_ok() {
            let length = 1 + at.wrapping_mul(2_654_435_761) % 900;
            let octets: Vec<u8> = (at..at + length).map(pattern).collect();
            writer.write_all(&octets).unwrap();
            at += length;
            report.send(at).unwrap();
        }
        at
    });
    let (mut read, mut sent, mut buffer) = (0u64, 0u64, [0; 4096]);
    loop {
        let going = moves.load(Ordering::Relaxed) < enough;
        if going {
            let _ = window.try_send(());
        }
        while let Ok(at) = written.try_recv() {
            sent = at;
        }
        if read == sent {
            if !going {
                break;
            }
            window.send(()).unwrap();
            sent = written.recv().unwrap();
        }
        let count = stream.read(&mut buffer).expect("an echo within five seconds");
        for (offset, octet) in buffer[..count].iter().enumerate() {
            assert_eq!(*octet, pattern(read + offset as u64), "connection {number} at {read}");
        }
        read += count as u64;
    }
    drop(window);
    let total = writing.join().unwrap();
    let mut rest = vec![0; (total - read) as usize];
    stream.read_exact(&mut rest).unwrap();
    total
}

/// A task that panics ends alone: its connection closes, the others and the shard go on.
#[test]
fn a_panic_closes_one_connection() {
    let _alone = alone();
    async fn echo_or_panic(socket: Socket) {
        let mut socket = socket;
        while let Ok(Some(received)) = poll_receive(&socket).await {
            assert!(!received.starts_with(b"boom"), "the test's own panic");
            let mut parcel = socket.ring().parcel();
            parcel.buffer().extend_from_slice(&received);
            drop(received);
            if socket.send(parcel).await.is_err() {
                return;
            }
        }
    }
    let listener = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
    let address = TcpListener::from(listener.try_clone().unwrap()).local_addr().unwrap();
    let bell = bell();
    let (stop, mail) = hop::address(&bell);
    let (told, panics) = mpsc::channel();
    let running = shard(0, SIZES, bell, mail, move |core| async move {
        let listener = core.ring.listen(listener);
        while let Some(accepted) = listener.accept().await {
            let contained = executor::contained(echo_or_panic(core.ring.socket(accepted.unwrap())));
            let told = told.clone();
            core.queues.spawn_session(Box::pin(async move {
                if let Err(said) = contained.await {
                    told.send(said).unwrap();
                }
            }));
        }
    });
    let mut other = connect(address);
    for _ in 0..50 {
        ask(&mut other, b"before");
        let mut victim = connect(address);
        victim.write_all(b"boom").unwrap();
        assert!(matches!(victim.read(&mut [0; 8]), Ok(0) | Err(_)), "the connection closes");
        ask(&mut other, b"after");
        assert!(panics.recv().unwrap().contains("the test's own panic"));
    }
    stop.send(()).unwrap();
    running.join().unwrap();
}

/// A shard with nothing to do takes no processor time.
#[test]
fn an_idle_shard_sleeps() {
    let _alone = alone();
    let (cpu, seen) = mpsc::channel();
    let (address, stop, running) = echo_shard_with(0, SIZES, move |_| {
        // SAFETY: the clock's name is asked for this thread; no pointer is kept.
        let clock = unsafe {
            let mut clock = 0;
            assert_eq!(libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock), 0);
            clock
        };
        cpu.send(clock).unwrap();
    });
    let clock = seen.recv().unwrap();
    let used = || {
        // SAFETY: the time is a live local.
        unsafe {
            let mut time: libc::timespec = std::mem::zeroed();
            assert_eq!(libc::clock_gettime(clock, &mut time), 0);
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        }
    };
    let mut stream = connect(address);
    ask(&mut stream, b"once");
    thread::sleep(Duration::from_millis(50));
    let before = used();
    thread::sleep(Duration::from_secs(1));
    let idle = used() - before;
    println!("{idle:?} in an idle second");
    assert!(idle < Duration::from_millis(20), "an idle shard took {idle:?} in a second");
    ask(&mut stream, b"twice");
    stop.send(()).unwrap();
    running.join().unwrap();
}

/// A hop wakes a parked shard, and a call that nobody answers resolves.
#[test]
fn hops_wake_a_parked_shard() {
    let _alone = alone();
    let bell = bell();
    let (stop, stopped) = hop::address(&bell);
    let (to, mail) = hop::address::<(u64, hop::Reply<u64>)>(&bell);
    let (worked, going) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(true)));
    let goes = going.clone();
    let running = shard(0, SIZES, bell, stopped, move |core| async move {
        let inbox = mail.open(&core.post);
        let ignored = Rc::new(Cell::new(0u64));
        loop {
            let (number, reply) = inbox.receive().await;
            if number == 1000 {
                // From here on the shard never rests: the bell must be heard all the same.
                background(&core, Duration::from_micros(20), worked.clone(), goes.clone());
            }
            if number % 7 == 0 {
                ignored.set(ignored.get() + 1);
                drop(reply);
            } else {
                reply.send(number * 2);
            }
        }
    });
    let mut times = Vec::new();
    for number in 1..2000u64 {
        let (reply, answer) = hop::blocking_call();
        let start = Instant::now();
        to.send((number, reply)).unwrap();
        let answered = answer.recv_timeout(Duration::from_secs(5));
        times.push(start.elapsed());
        assert_eq!(answered.ok(), (number % 7 != 0).then_some(number * 2));
        if number % 3 == 0 {
            thread::sleep(Duration::from_micros(number % 200));
        }
    }
    times.sort();
    println!("hop and back: median {:?}, p99 {:?}", times[1000], times[1980]);
    going.store(false, Ordering::Relaxed);
    stop.send(()).unwrap();
    running.join().unwrap();
}
