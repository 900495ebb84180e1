//! The server: wires a configuration into shards, listeners and services, and sees them to their end.
//!
//! The order of a start is that of what can go wrong: the data folder's lock, the directory, certificates, ports, the
//! ring, recovery; then the first accounts, whose passwords are shown once; only then threads. Each failure is one line on
//! standard error that says what to do. The order of a stop: listeners, sessions, log.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::data::DataFolder;
use crate::config::{Config, TlsVersion, certificate};
use crate::control::{self, http};
use crate::directory::{self, Directory, FirstLogin, Handle};
use crate::hop::{self, Address, Doorbell};
use crate::io::{self, Ring, Sizes, block_on};
use crate::limits;
use crate::metrics::{self, Phase};
use crate::net;
use crate::service::Pool;
use crate::session::{Endpoint, Protocol};
use crate::shard::executor::Running;
use crate::shard::watchdog::{self, Patience, Watched};
use crate::shard::{self, Door, Event, Notice, Order, Seed};
use crate::store::{self, Medium, Replay, RingDisk, recover, survive_lost_pages};

/// Why the server did not start, or ended: one line.
struct Trouble(String);

impl<E: fmt::Display> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble(error.to_string())
    }
}

/// One address of a listener with its sockets, one a shard.
struct Bound {
    address: SocketAddr,
    endpoint: Arc<Endpoint>,
    sockets: Vec<std::os::fd::OwnedFd>,
}

/// Runs a server to its end.
pub fn run(config: Config) -> ExitCode {
    match start(config).and_then(Server::watch_over) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble(line)) => {
            eprintln!("ringpost: {line}");
            ExitCode::FAILURE
        }
    }
}

/// A running server, from its own thread's view.
struct Server {
    config: Arc<Config>,
    /// Held for as long as the server runs.
    _data: DataFolder,
    medium: Medium,
    ring: Ring,
    epoch: u64,
    orders: Vec<Address<Order>>,
    notices: mpsc::Receiver<Notice>,
    shards: Vec<Running>,
    control: control::Control,
    http: Option<http::Http>,
    phase: Arc<Phase>,
    watchdog: Option<mpsc::Sender<()>>,
    welcome: Option<String>,
}

fn start(config: Config) -> Result<Server, Trouble> {
    let data = DataFolder::lock(&config.data)?;
    survive_lost_pages()?;
    let descriptors = raise_descriptor_limit();
    let mut directory = Directory::open(data.path(), directory::Settings::of(&config))?;
    let bound = bind_all(&config, data.path())?;
    let told = http::Told::default();
    let http = config.admin.map(|address| answer_http(address, told.clone())).transpose()?;
    let sockets = bound.iter().map(|bound| bound.sockets.len()).sum();
    let connections_max = connections_max(descriptors, config.cpus.len(), sockets)?;
    // The recovery's ring is this thread's, and small: it reads files.
    let ring = Ring::new(&Sizes { submissions: 64, completions: 256, buffers: 2, buffer_bytes: 64 })?;
    let medium = Medium::of_files(RingDisk::new(&ring, data.path()), secret()?);
    let began = Instant::now();
    let recovered = block_on(&ring, recover(&medium, config.cpus.len()))??;
    let accounts: usize = recovered.shards.iter().map(Replay::accounts).sum();
    if accounts > 0 {
        let bytes: usize = recovered.shards.iter().map(Replay::bytes).sum();
        tracing::info!(accounts, bytes, time = ?began.elapsed(), "replayed the logs of the last run");
    }
    // Behind all that fails for a taken port or a missing ring: passwords that were made are shown by this very start.
    let first = if config.embedded { directory.first_login()? } else { None };
    let welcome = config.embedded.then(|| welcome(&config, first.as_deref(), &bound));
    let pool = Pool::start(limits::SERVICE_THREADS)?;
    let handle = directory.start(pool.clone(), limits::HASHES_AT_ONCE)?;
    let config = Arc::new(config);
    let path = data.path().to_path_buf();
    let launched = launch((&config, &path), (bound, connections_max), recovered.shards, (pool, handle.clone()))?;
    let phase: Arc<Phase> = Arc::default();
    let shards = control::Shards::new(launched.contacts, phase.clone());
    let control = control::start(&DataFolder::control_socket(&path), handle, shards.clone())
        .map_err(|error| Trouble(format!("cannot open the control socket in {}: {error}", path.display())))?;
    let _ = told.set(shards);
    Ok(Server {
        config,
        _data: data,
        medium,
        ring,
        epoch: recovered.epoch,
        orders: launched.orders,
        notices: launched.notices,
        shards: launched.shards,
        control,
        http,
        phase,
        watchdog: Some(launched.watchdog),
        welcome,
    })
}

/// What a log's incarnations are made of, in this run.
fn secret() -> Result<store::Secret, Trouble> {
    let octets =
        directory::credential::random().ok_or_else(|| Trouble("the system has no random numbers".to_owned()))?;
    Ok(store::Secret(octets))
}

/// The soft limit of descriptors up to the hard one; how many there may be. A connection is a descriptor.
fn raise_descriptor_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let limit = getrlimit(Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// How many connections `descriptors` are enough for, beside what `shards` and their `listeners` need themselves.
fn connections_max(descriptors: usize, shards: usize, listeners: usize) -> Result<usize, Trouble> {
    let needed = limits::DESCRIPTORS_OF_PROCESS + shards * limits::DESCRIPTORS_A_SHARD + listeners;
    let cure = "raise it with ulimit -n, LimitNOFILE= or docker --ulimit nofile=";
    let connections = descriptors.saturating_sub(needed);
    if connections == 0 {
        return Err(Trouble(format!(
            "open files are limited to {descriptors}, and {shards} shards need {needed} without any connection; {cure}"
        )));
    }
    if connections < shards * limits::CONNECTIONS_A_SHARD_FEW {
        tracing::warn!(connections, "open files are limited to {descriptors}, so connections are few; {cure}");
    }
    Ok(connections)
}

fn bind_all(config: &Config, data: &Path) -> Result<Vec<Bound>, Trouble> {
    let tls = load_tls(config, data)?;
    let mut bound = Vec::new();
    let services = [
        (Protocol::Imap, &config.imap),
        (Protocol::Pop3, &config.pop3),
        (Protocol::Smtp, &config.smtp),
        (Protocol::Submission, &config.submission),
        (Protocol::Lmtp, &config.lmtp),
    ];
    for (protocol, service) in services {
        let sessions = Arc::new(metrics::Counter::default());
        for listener in &service.listeners {
            let endpoint = Arc::new(Endpoint {
                protocol,
                listener: listener.clone(),
                service: service.clone(),
                tls: tls.clone(),
                sessions: sessions.clone(),
            });
            for &address in &listener.addresses {
                let sockets = patiently(address, || net::bind(address, config.cpus.len()))?;
                bound.push(Bound { address, endpoint: endpoint.clone(), sockets });
            }
        }
    }
    Ok(bound)
}

/// Binds an address. The kernel tears the rings of a server that was killed down only after its end, and they hold its ports:
/// so a taken one is tried for a moment.
fn patiently<T>(address: SocketAddr, bind: impl Fn() -> std::io::Result<T>) -> Result<T, Trouble> {
    let end = Instant::now() + limits::BIND_PATIENCE;
    loop {
        match bind() {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < end => {
                thread::sleep(limits::BIND_PAUSE);
            }
            bound => return bound.map_err(|error| cannot_listen(address, &error)),
        }
    }
}

/// Binds the listener of `/metrics` and `/health`, and answers there that the server starts.
fn answer_http(address: SocketAddr, told: http::Told) -> Result<http::Http, Trouble> {
    Ok(http::start(patiently(address, || TcpListener::bind(address))?, told)?)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Trouble {
    let cure = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program has this port: stop it, or choose others (--port-base, or `port` in the file)"
        }
        std::io::ErrorKind::PermissionDenied => "ports below 1024 need root or CAP_NET_BIND_SERVICE",
        std::io::ErrorKind::AddrNotAvailable => "no interface of this machine has this address",
        _ => "see the address and port of the listener",
    };
    Trouble(format!("cannot listen on {address}: {error}; {cure}"))
}

fn load_tls(config: &Config, data: &Path) -> Result<Option<net::ServerTls>, Trouble> {
    let (certificate, key) = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ if config.needs_certificate() => {
            certificate::self_signed(&data.join("tls"), &[&config.hostname, "localhost", "127.0.0.1", "::1"])?
        }
        _ => return Ok(None),
    };
    let loaded: Result<_, String> = net::load_server(&certificate, &key, config.tls.minimum == TlsVersion::V13);
    Ok(Some(loaded?))
}

/// What a first start shows: where it listens, how to log in, and a line that sends mail and reads it back.
fn welcome(config: &Config, first: Option<&[FirstLogin]>, bound: &[Bound]) -> String {
    let mut text = String::new();
    let port_of = |protocol, tls| {
        let found =
            bound.iter().find(|bound| bound.endpoint.protocol == protocol && bound.endpoint.listener.tls == tls);
        found.map_or(0, |bound| bound.address.port())
    };
    let mut line = |what: fmt::Arguments<'_>| {
        text.push_str(&what.to_string());
        text.push('\n');
    };
    line(format_args!("Ringpost {} keeps mail in {}", env!("CARGO_PKG_VERSION"), config.data.display()));
    line(format_args!(
        "  IMAP {} (TLS {})   POP3 {} (TLS {})   SMTP {}   submission {} (TLS {})   LMTP {}   on this machine only",
        port_of(Protocol::Imap, false),
        port_of(Protocol::Imap, true),
        port_of(Protocol::Pop3, false),
        port_of(Protocol::Pop3, true),
        port_of(Protocol::Smtp, false),
        port_of(Protocol::Submission, false),
        port_of(Protocol::Submission, true),
        port_of(Protocol::Lmtp, false),
    ));
    let Some(logins) = first else { return text };
    line(format_args!("Two accounts were made; their passwords are kept in {}/FIRST-LOGIN:", config.data.display()));
    for login in logins {
        line(format_args!("  {}  {}", login.name, login.password.as_text().unwrap_or_default()));
    }
    if let Some(reader) = logins.last() {
        line(format_args!("Paste this into another terminal to send a mail and read it back:"));
        line(format_args!(
            "  printf 'Subject: Hello\\r\\n\\r\\nIt works.\\r\\n' | curl -sS smtp://127.0.0.1:{} --mail-from {} --mail-rcpt {} -T - \
             && curl -sS 'imap://127.0.0.1:{}/INBOX;MAILINDEX=*' -u '{}:{}'",
            port_of(Protocol::Smtp, false),
            logins[0].name,
            reader.name,
            port_of(Protocol::Imap, false),
            reader.name,
            reader.password.as_text().unwrap_or_default(),
        ));
    }
    text
}

/// What [`launch`] leaves behind.
struct Launched {
    orders: Vec<Address<Order>>,
    notices: mpsc::Receiver<Notice>,
    shards: Vec<Running>,
    contacts: Vec<control::Contact>,
    watchdog: mpsc::Sender<()>,
}

fn launch(
    (config, data): (&Arc<Config>, &Path),
    (bound, connections_max): (Vec<Bound>, usize),
    replays: Vec<Replay>,
    (pool, directory): (Pool, Handle),
) -> Result<Launched, Trouble> {
    let bells: Vec<Arc<Doorbell>> =
        config.cpus.iter().map(|_| io::eventfd().map(Doorbell::new)).collect::<Result<_, _>>()?;
    let (deliver_to, deliveries): (Vec<_>, Vec<_>) = bells.iter().map(hop::address).unzip();
    let (adopt_at, adoptions): (Vec<_>, Vec<_>) = bells.iter().map(hop::address).unzip();
    let (orders, mail): (Vec<_>, Vec<_>) = bells.iter().map(hop::address).unzip();
    let (ask_at, asks): (Vec<_>, Vec<_>) = bells.iter().map(hop::address).unzip();
    let endpoints: Arc<[_]> = bound.iter().map(|bound| bound.endpoint.clone()).collect();
    let mut doors: Vec<Vec<Door>> = config.cpus.iter().map(|_| Vec::new()).collect();
    for (endpoint, bound) in bound.into_iter().enumerate() {
        for (shard, socket) in bound.sockets.into_iter().enumerate() {
            doors[shard].push(Door { socket, endpoint });
        }
    }
    let connections: Arc<metrics::Counter> = Arc::default();
    let (events, notices) = mpsc::channel();
    let mut watched = Vec::new();
    let (mut shards, mut contacts) = (Vec::new(), Vec::new());
    let told = mail.into_iter().zip(asks).zip(ask_at);
    let mut rest = doors.into_iter().zip(deliveries).zip(adoptions).zip(told).zip(replays);
    for (number, &cpu) in config.cpus.iter().enumerate() {
        let Some(((((doors, deliveries), adoptions), ((orders, asks), ask_at)), replay)) = rest.next() else { break };
        let counters: Arc<metrics::Shard> = Arc::default();
        contacts.push(control::Contact { asks: ask_at, counters: counters.clone() });
        watched.push(Watched { number, counters: counters.clone(), bell: bells[number].clone() });
        let seed = Seed {
            number,
            cpu,
            config: config.clone(),
            data: data.to_path_buf(),
            secret: secret()?,
            bell: bells[number].clone(),
            counters,
            connections: connections.clone(),
            connections_max,
            doors,
            endpoints: endpoints.clone(),
            directory: directory.clone(),
            pool: pool.clone(),
            deliveries,
            deliver_to: deliver_to.clone(),
            adoptions,
            adopt_at: adopt_at.clone(),
            orders,
            asks,
            events: events.clone(),
        };
        shards.push(shard::start(seed, replay)?);
    }
    let (watchdog, unwatched) = mpsc::channel();
    let patience = Patience { poke: config.watchdog, abort: limits::STALL_MAX };
    thread::Builder::new().name("watchdog".into()).spawn(move || watchdog::watch(&watched, patience, &unwatched))?;
    hear_signals(events)?;
    Ok(Launched { orders, notices, shards, contacts, watchdog })
}

/// SIGTERM and SIGINT become a notice; a second one ends the process at once.
fn hear_signals(notices: mpsc::Sender<Notice>) -> Result<(), Trouble> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                eprintln!("ringpost: stopped at once by a second signal; what was acknowledged is safe");
                std::process::exit(128 + signal);
            }
            let _ = notices.send(Notice::Stop);
        }
    })?;
    Ok(())
}

impl Server {
    /// Waits until all shards accept, says so, and sees the server to its end.
    fn watch_over(mut self) -> Result<(), Trouble> {
        let (mut ready, mut sealed, mut drained, mut stopped) = (0, 0, 0, 0);
        let mut stopping: Option<Instant> = None;
        let mut hurried = false;
        while stopped < self.orders.len() {
            let notice = match stopping {
                Some(since) if !hurried => {
                    match self.notices.recv_timeout(self.config.drain.saturating_sub(since.elapsed())) {
                        Err(mpsc::RecvTimeoutError::Timeout) => {
                            hurried = true;
                            self.order(Order::Hurry);
                            continue;
                        }
                        heard => heard.map_err(|error| Trouble(error.to_string()))?,
                    }
                }
                _ => self.notices.recv()?,
            };
            match notice {
                Notice::Shard(_, Event::Ready) => {
                    ready += 1;
                    if ready == self.orders.len() {
                        self.say_ready();
                    }
                }
                Notice::Shard(_, Event::Sealed) => {
                    sealed += 1;
                    if sealed == self.orders.len() {
                        self.remove_old_logs();
                    }
                }
                Notice::Shard(_, Event::Drained) => {
                    drained += 1;
                    if drained == self.orders.len() {
                        self.order(Order::End);
                    }
                }
                Notice::Shard(_, Event::Stopped) => {
                    // From here on a shard makes no turns, and that is as it should be.
                    drop(self.watchdog.take());
                    stopped += 1;
                }
                Notice::Shard(number, Event::Failed(failure)) => {
                    return Err(Trouble(format!("shard {number}: {failure}")));
                }
                Notice::Stop => {
                    tracing::info!("stopping");
                    self.phase.stopping();
                    stopping = Some(Instant::now());
                    self.order(Order::Stop);
                }
            }
        }
        self.end();
        Ok(())
    }

    fn order(&self, order: Order) {
        for shard in &self.orders {
            // A shard that is gone has said why.
            let _ = shard.send(order);
        }
    }

    fn say_ready(&self) {
        self.phase.ready();
        if let Some(welcome) = &self.welcome {
            print!("{welcome}");
        }
        println!("ringpost ready");
    }

    fn remove_old_logs(&self) {
        let removed = block_on(&self.ring, self.medium.logs.forget(self.epoch));
        if let Ok(Err(error)) = removed {
            // They are read once more at the next start, and nothing in them is newer than what is sealed.
            tracing::warn!(%error, "cannot remove the logs of the last run");
        }
    }

    /// The shards have stopped: everything acknowledged is durable.
    fn end(self) {
        drop(self.control);
        drop(self.http);
        // Background tasks never end by themselves, and what they were about is redone from the log at the next start: the
        // threads end with the process.
        std::mem::forget(self.shards);
        tracing::info!("stopped");
    }
}
