//! The server under test: the real binary, in a scratch folder, on ports of its own.
//!
//! It is ended by its own process id when the value is dropped, and its folder goes with it, except after a failure: then
//! the folder stays and its name is printed.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::ports::Ports;
use super::{Imap, Pop3, Smtp, USER};

/// How long a start may take: a debug build makes keys and two password hashes at the first one.
const START_TIME_MAX: Duration = Duration::from_secs(30);
/// How long it may take to make an account: one password hash, on a machine that is busy with other tests.
const ADD_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a stop may take.
const STOP_TIME_MAX: Duration = Duration::from_secs(15);

/// The binary that cargo built for this test.
pub struct Binary;

impl Binary {
    /// `ringpost ARGUMENTS`.
    pub fn command(arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost"));
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs to its end, which must come within `patience`.
    pub fn run(mut command: Command, input: &[u8], patience: Duration) -> (Output, Duration) {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begin = Instant::now();
        let mut child = command.spawn().expect("the command starts");
        // An end that comes before the input was read is the callers' matter.
        let _ = std::io::Write::write_all(&mut child.stdin.take().expect("piped"), input);
        let outputs = [drain(child.stdout.take().expect("piped")), drain(child.stderr.take().expect("piped"))];
        let status = wait(&mut child, patience).unwrap_or_else(|| {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} did not end within {patience:?}");
        });
        let took = begin.elapsed();
        let [stdout, stderr] = outputs.map(|output| output.recv().expect("the reader sends once"));
        (Output { status, stdout, stderr }, took)
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut octets = Vec::new();
        let _ = pipe.read_to_end(&mut octets);
        let _ = sender.send(octets);
    });
    receiver
}

fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return Some(status);
        }
        if begin.elapsed() > patience {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A folder under the build's scratch space, removed when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the scratch folder");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    scratch: Scratch,
    ports: Ports,
    options: Vec<String>,
    config: Option<PathBuf>,
    /// How long the last start took until `ringpost ready`.
    pub start_time: Duration,
}

impl Server {
    /// Starts the embedded default with a new data folder.
    pub fn start(name: &str) -> Server {
        Server::start_with(name, &[])
    }

    /// The same with more options.
    pub fn start_with(name: &str, options: &[&str]) -> Server {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let (scratch, ports) = (Scratch::new(name), Ports::claim());
        let mut server = Server { child: None, scratch, ports, options, config: None, start_time: Duration::ZERO };
        server.run();
        server
    }

    /// The same with its data in a folder that the test has made.
    pub fn start_in(name: &str, options: &[&str], data: &Path) -> Server {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let (scratch, ports) = (Scratch::new(name), Ports::claim());
        std::os::unix::fs::symlink(data, scratch.join("data")).expect("a link to the folder");
        let mut server = Server { child: None, scratch, ports, options, config: None, start_time: Duration::ZERO };
        server.run();
        server
    }

    /// Starts the embedded default once, for its accounts and certificate, and then as a configured server on the same
    /// folder and ports, with `settings` above the listeners.
    pub fn start_configured(name: &str, settings: &str) -> Server {
        let mut server = Server::start(name);
        server.stop();
        let data = server.data().display().to_string();
        let mut text = format!("data = {data:?}\nhostname = \"localhost\"\n{settings}");
        text += &format!("[tls]\ncertificate = \"{data}/tls/cert.pem\"\nkey = \"{data}/tls/key.pem\"\n");
        for (service, standard, more) in [
            ("imap", 143, "password = true"),
            ("imap", 993, "tls = true\npassword = true"),
            ("pop3", 110, "password = true"),
            ("pop3", 995, "tls = true\npassword = true"),
            ("smtp", 25, "password = false\nanonymous = true"),
            ("submission", 587, "password = true"),
            ("submission", 465, "tls = true\npassword = true"),
            ("lmtp", 24, "anonymous = true"),
        ] {
            let port = server.port(standard);
            text += &format!("[[{service}.listener]]\naddress = [\"127.0.0.1\", \"::1\"]\nport = {port}\n{more}\n");
        }
        let file = server.scratch.join("ringpost.toml");
        fs::write(&file, text).expect("a scratch file");
        server.config = Some(file);
        server.run();
        server
    }

    /// A configured one that takes no password without TLS at the port that stands for `standard`.
    pub fn start_with_tls_required(name: &str, standard: u16) -> Server {
        let mut server = Server::start_configured(name, "");
        server.stop();
        let file = server.scratch.join("ringpost.toml");
        let text = fs::read_to_string(&file).expect("the configuration");
        let port = format!("port = {}\n", server.port(standard));
        fs::write(&file, text.replace(&port, &format!("{port}starttls = \"required\"\n"))).expect("a scratch file");
        server.run();
        server
    }

    /// The command line of this server, wherever it runs.
    pub fn arguments(&self) -> Vec<String> {
        if let Some(file) = &self.config {
            return ["serve", "--config", &file.display().to_string()].map(str::to_owned).to_vec();
        }
        let (data, base) = (self.data().display().to_string(), self.base().to_string());
        let mut arguments = ["serve", "--data", &data, "--port-base", &base].map(str::to_owned).to_vec();
        arguments.extend_from_slice(&self.options);
        arguments
    }

    /// Starts it again on the same folder and ports.
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path()).expect("the log");
        let arguments = self.arguments();
        let mut command = Binary::command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        command.stdout(Stdio::piped()).stderr(log);
        let begin = Instant::now();
        let mut child = command.spawn().expect("the server's binary");
        let stdout = child.stdout.take().expect("piped");
        self.child = Some(child);
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        loop {
            match lines.recv_timeout(START_TIME_MAX.saturating_sub(begin.elapsed())) {
                Ok(line) if line == "ringpost ready" => break,
                Ok(_) => {}
                Err(error) => panic!("not ready: {error}; standard error ends:\n{}", self.log_tail()),
            }
        }
        self.start_time = begin.elapsed();
    }

    pub fn data(&self) -> PathBuf {
        self.scratch.join("data")
    }

    /// A place for a test's own files, gone with the server.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    fn log_path(&self) -> PathBuf {
        self.scratch.join("stderr.log")
    }

    /// All that the server said on standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    pub fn base(&self) -> u16 {
        self.ports.base()
    }

    /// The port that stands for a standard one.
    pub fn port(&self, standard: u16) -> u16 {
        self.base() + standard
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// `ringpost user add`, which the server knows of at once.
    pub fn add_user(&self, name: &str, password: &str) {
        let data = self.data().display().to_string();
        let command = Binary::command(&["user", "add", name, "--password-stdin", "--data", &data]);
        let (output, _) = Binary::run(command, format!("{password}\n").as_bytes(), ADD_TIME_MAX);
        assert!(output.status.success(), "user add {name}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The password of `user` in FIRST-LOGIN.
    pub fn password_of(&self, user: &str) -> String {
        let text = fs::read_to_string(self.data().join("FIRST-LOGIN")).expect("FIRST-LOGIN");
        let line = text.lines().find_map(|line| line.strip_prefix(user)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {user} in FIRST-LOGIN: {text:?}")).to_owned()
    }

    /// The first account's password.
    pub fn password(&self) -> String {
        self.password_of(USER)
    }

    /// An IMAP connection that has its greeting.
    pub fn imap(&self) -> Imap {
        Imap::connect(self.port(143)).expect("an IMAP connection")
    }

    /// One that is logged in.
    pub fn login(&self) -> Imap {
        let mut imap = self.imap();
        imap.login(USER, &self.password());
        imap
    }

    /// One with `mailbox` selected.
    pub fn select(&self, mailbox: &str) -> Imap {
        let mut imap = self.login();
        imap.ok(&format!("SELECT {mailbox}"));
        imap
    }

    /// A POP3 connection that has its greeting.
    pub fn pop3(&self) -> Pop3 {
        Pop3::connect(self.port(110)).expect("a POP3 connection")
    }

    /// One that is logged in.
    pub fn maildrop(&self) -> Pop3 {
        let mut pop3 = self.pop3();
        pop3.login(USER, &self.password());
        pop3
    }

    /// An SMTP connection to port 25 that said EHLO.
    pub fn smtp(&self) -> Smtp {
        let mut smtp = Smtp::connect(self.port(25)).expect("an SMTP connection");
        smtp.ehlo();
        smtp
    }

    /// A connection to port 587 that said EHLO.
    pub fn submission(&self) -> Smtp {
        let mut smtp = Smtp::connect(self.port(587)).expect("a submission connection");
        smtp.ehlo();
        smtp
    }

    /// Sends a signal to this one process.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: kill takes two numbers; the process is our child and not yet waited for.
        assert_eq!(unsafe { libc::kill(self.pid() as libc::pid_t, signal) }, 0, "kill");
    }

    /// Waits for the end after a signal.
    pub fn end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        wait(&mut child, STOP_TIME_MAX).unwrap_or_else(|| {
            let _ = child.kill();
            let _ = child.wait();
            panic!("no end within {STOP_TIME_MAX:?}; standard error ends:\n{}", self.log_tail());
        })
    }

    /// SIGTERM, and an end with code 0.
    pub fn stop(&mut self) {
        self.signal(libc::SIGTERM);
        let status = self.end();
        assert_eq!(status.code(), Some(0), "{status}; standard error ends:\n{}", self.log_tail());
    }

    /// SIGTERM and a new start.
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        assert_eq!(self.end().signal(), Some(libc::SIGKILL), "it had ended before:\n{}", self.log_tail());
    }

    /// Fails where the server has ended, panicked, or no longer answers a new client of either protocol.
    pub fn assert_alive(&mut self) {
        let ended = self.child.as_mut().expect("it runs").try_wait().expect("a child of ours");
        assert!(ended.is_none(), "the server ended: {ended:?}\n{}", self.log_tail());
        let log = self.log();
        assert!(!log.contains("panicked"), "the server panicked:\n{}", self.log_tail());
        self.imap().ok("NOOP");
        self.smtp().expect("NOOP", "250");
    }

    /// Memory of its own in KiB, mapped files apart.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
        line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("its descriptors").count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's standard error ends:\n{}", self.log_tail());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
