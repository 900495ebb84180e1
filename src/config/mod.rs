//! What the administrator says, read once and handed round as an immutable value.
//!
//! [`Config::load`] reads the contract of `ringpost.example.toml`, and reports every mistake at once, each with file,
//! line, key, value and what was expected. Invariants: a key that is not known, and one whose feature this version
//! doesn't have, is never passed over in silence; no text carries CR, LF or NUL into a protocol. Without a file
//! [`Config::embedded`] is the default. Not here: reloading, and whether ports are free or certificates parse.

pub mod certificate;
mod contract;
pub mod cpus;
pub mod data;
mod later;
mod mistake;
mod reader;
mod services;

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::limits::{AUTH_TRIES, CONFIG_BYTES_MAX, MESSAGE_BYTES_MAX};
pub use mistake::{Fault, Mistake};

/// The port of `/metrics` and `/health`.
pub const ADMIN_PORT: u16 = 8025;

/// A server's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether it is the default without a file: the first start then makes accounts and a certificate.
    pub embedded: bool,
    /// The name that the server gives itself in greetings and `Received` lines.
    pub hostname: String,
    /// The data folder.
    pub data: PathBuf,
    /// The cores to pin shards to, ascending; never empty.
    pub cpus: Vec<usize>,
    /// How long a shard may make no turn before the watchdog looks after it.
    pub watchdog: Duration,
    /// How long sessions have to end when the server stops.
    pub drain: Duration,
    /// The domain of a login name that has none; one of [`Config::domains`].
    pub default_domain: Option<String>,
    /// The local domains in lower case; empty: those of the accounts.
    pub domains: Vec<String>,
    /// Certificate, key and the least version.
    pub tls: Tls,
    /// IMAP.
    pub imap: Service,
    /// POP3.
    pub pop3: Service,
    /// SMTP between servers.
    pub smtp: Service,
    /// SMTP for users.
    pub submission: Service,
    /// LMTP, from a mail server in front of this one.
    pub lmtp: Service,
    /// Where `/metrics` and `/health` are answered, if anywhere.
    pub admin: Option<SocketAddr>,
    /// The largest message that is taken.
    pub max_message_bytes: u64,
    /// Extensions of SMTP and LMTP that have a switch.
    pub esmtp: Esmtp,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Mistake>,
}

/// Extensions that are off until they are switched on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Esmtp {
    /// VRFY says whose an address is.
    pub vrfy: bool,
    /// DSN is offered. Its parameters are taken and kept either way; notices are not sent yet.
    pub dsn: bool,
}

/// TLS for all services.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tls {
    /// PEM chain; `None` where a self-signed one is to be made, should a listener need it ([`certificate`]).
    pub certificate: Option<PathBuf>,
    /// PEM key; there exactly where the certificate is.
    pub key: Option<PathBuf>,
    /// The least version that is spoken.
    pub minimum: TlsVersion,
}

/// A version of TLS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TlsVersion {
    /// RFC 5246.
    V12,
    /// RFC 8446.
    V13,
}

/// One service with its listeners. A service that is off has none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// Sessions at once; 0: no limit.
    pub max_sessions: usize,
    /// How long a session may say nothing.
    pub idle_timeout: Duration,
    /// The greeting's text, where it is not the default.
    pub greeting: Option<String>,
    /// The greeting's text on implicit TLS.
    pub greeting_tls: Option<String>,
    /// Whether a password may cross a plain connection that is not loopback's.
    pub allow_plaintext_auth: bool,
    /// Where it listens; the first is the preferred one. Disabled ones are left out.
    pub listeners: Vec<Listener>,
}

/// One listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Where to bind; `::` is IPv6 alone.
    pub addresses: Vec<SocketAddr>,
    /// Implicit TLS.
    pub tls: bool,
    /// STARTTLS; off where [`Listener::tls`] is on.
    pub starttls: StartTls,
    /// Whether a user may log in with name and password.
    pub password: bool,
    /// Whether mail is taken from clients that did not log in (SMTP).
    pub anonymous: bool,
    /// Failed authentications of one connection before it is closed.
    pub auth_tries: u32,
}

/// Whether a plain listener offers TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartTls {
    /// Not offered.
    Off,
    /// Offered.
    On,
    /// Nothing else goes before it.
    Required,
}

/// What is read from the machine: an argument, so that a configuration means the same in every test.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The cores that this process may use.
    pub cpus: Vec<usize>,
    /// The machine's name.
    pub hostname: String,
    /// Whether IPv6 works.
    pub ipv6: bool,
}

impl Surroundings {
    /// Those of this process.
    pub fn here() -> Surroundings {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Surroundings {
            cpus: cpus::allowed(),
            hostname: hostname.trim().to_ascii_lowercase(),
            ipv6: UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok(),
        }
    }
}

impl Config {
    /// Reads a file. The names of certificate and key are looked at too: that they are there, and the key private.
    pub fn load(path: &Path) -> Result<Config, Vec<Mistake>> {
        let file = |what: String| vec![Mistake::of_file(path, what)];
        let mut octets = Vec::new();
        std::fs::File::open(path)
            .and_then(|opened| opened.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut octets))
            .map_err(|error| file(format!("can't be read: {error}")))?;
        if octets.len() as u64 > CONFIG_BYTES_MAX {
            return Err(file(format!("is larger than {CONFIG_BYTES_MAX} octets")));
        }
        let text = String::from_utf8(octets).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|octet| **octet == b'\n').count();
            file(format!("is not UTF-8 in line {line}"))
        })?;
        let (config, lines) = contract::read(path, &text, &Surroundings::here())?;
        let fault = |(key, value, expected): (&str, &Path, String)| {
            let line = if key == "key" { lines.key } else { lines.certificate };
            Mistake::of_path(path, line, &format!("tls.{key}"), value, expected)
        };
        let faults: Vec<Mistake> = config.tls.faults().into_iter().map(fault).collect();
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    /// Reads `text`, the content of `file`; looks at no other file.
    pub fn parse(file: &Path, text: &str, surroundings: &Surroundings) -> Result<Config, Vec<Mistake>> {
        contract::read(file, text, surroundings).map(|(config, _)| config)
    }

    /// The default without a file: loopback only, ports from `port_base` on, a self-signed certificate. `cpus`: `None`
    /// for all that the process may use.
    pub fn embedded(data: PathBuf, port_base: u16, cpus: Option<Vec<usize>>) -> Result<Config, Vec<Mistake>> {
        Config::embedded_in(data, port_base, cpus, &Surroundings::here())
    }

    /// [`Config::embedded`] on a machine that is told.
    pub fn embedded_in(
        data: PathBuf,
        port_base: u16,
        cpus: Option<Vec<usize>>,
        surroundings: &Surroundings,
    ) -> Result<Config, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        if u16::MAX - port_base < 995 {
            let expected = format!("a number from 0 to {}", u16::MAX - 995);
            mistakes.push(Mistake::of_option("--port-base", &port_base.to_string(), &expected));
        }
        let cpus = cpus.unwrap_or_else(|| surroundings.cpus.clone());
        if let Err(expected) = cpus::check(&cpus, &surroundings.cpus) {
            mistakes.push(Mistake::of_option("--cpus", &cpus::text(&cpus), &expected));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let mut loopback = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        if surroundings.ipv6 {
            loopback.push(IpAddr::V6(Ipv6Addr::LOCALHOST));
        }
        let listener = |port: u16, tls: bool| Listener {
            addresses: loopback.iter().map(|&address| SocketAddr::new(address, port_base + port)).collect(),
            tls,
            starttls: if tls { StartTls::Off } else { StartTls::On },
            password: true,
            anonymous: false,
            auth_tries: AUTH_TRIES,
        };
        let between_servers = Listener { password: false, anonymous: true, ..listener(25, false) };
        let lmtp = Listener { password: false, anonymous: true, ..listener(24, false) };
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Ok(Config {
            embedded: true,
            hostname: "localhost".into(),
            data,
            cpus,
            watchdog: Duration::from_secs(2),
            drain: Duration::from_secs(30),
            default_domain: None,
            domains: Vec::new(),
            tls: Tls { certificate: None, key: None, minimum: TlsVersion::V12 },
            imap: Service::new(minutes(30), vec![listener(143, false), listener(993, true)]),
            pop3: Service::new(minutes(10), vec![listener(110, false), listener(995, true)]),
            smtp: Service::new(minutes(5), vec![between_servers]),
            submission: Service::new(minutes(5), vec![listener(587, false), listener(465, true)]),
            lmtp: Service::new(minutes(5), vec![lmtp]),
            // A base this high leaves no port for it.
            admin: port_base.checked_add(ADMIN_PORT).map(|port| SocketAddr::new(loopback[0], port)),
            max_message_bytes: MESSAGE_BYTES_MAX,
            esmtp: Esmtp::default(),
            warnings: Vec::new(),
        })
    }

    /// Whether a listener speaks TLS, at once or after STARTTLS.
    pub fn needs_certificate(&self) -> bool {
        let services = [&self.imap, &self.pop3, &self.smtp, &self.submission, &self.lmtp];
        services.iter().flat_map(|service| &service.listeners).any(|l| l.tls || l.starttls != StartTls::Off)
    }
}

/// Whether `text` is a domain: `Domain = sub-domain *("." sub-domain)` of RFC 5321 §4.1.2, `sub-domain = Let-dig
/// [Ldh-str]`, at most 63 octets each and 255 in all.
pub fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    text.len() <= 255 && text.split('.').all(label)
}

impl Service {
    fn new(idle_timeout: Duration, listeners: Vec<Listener>) -> Service {
        Service {
            max_sessions: 0,
            idle_timeout,
            greeting: None,
            greeting_tls: None,
            allow_plaintext_auth: false,
            listeners,
        }
    }
}

impl Tls {
    // What is wrong with the files: the key's name, the path, what is expected of it.
    fn faults(&self) -> Vec<(&'static str, &Path, String)> {
        let mut faults = Vec::new();
        for (key, path) in [("certificate", &self.certificate), ("key", &self.key)] {
            let Some(path) = path else { continue };
            match std::fs::File::open(path).and_then(|file| file.metadata()) {
                Err(error) => faults.push((key, path.as_path(), format!("a file that can be read ({error})"))),
                Ok(known) if !known.is_file() => faults.push((key, path.as_path(), "a file".to_string())),
                Ok(known) if key == "key" && known.permissions().mode() & 0o007 != 0 => {
                    faults.push((key, path.as_path(), "a file that others may not touch (chmod o= it)".to_string()));
                }
                Ok(_) => {}
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Surroundings {
        Surroundings { cpus: vec![0, 1, 2, 3], hostname: "machine".into(), ipv6: true }
    }

    #[test]
    fn the_embedded_default_is_loopback_from_the_port_base_on() {
        let config = Config::embedded_in("d".into(), 1000, Some(vec![0, 2]), &machine()).unwrap();
        let ports = |service: &Service| -> Vec<String> {
            let name = |l: &Listener| format!("{} {} {:?}", l.addresses[0], l.addresses[1], (l.tls, l.starttls));
            service.listeners.iter().map(name).collect()
        };
        assert_eq!(
            ports(&config.imap),
            ["127.0.0.1:1143 [::1]:1143 (false, On)", "127.0.0.1:1993 [::1]:1993 (true, Off)"]
        );
        assert_eq!(ports(&config.smtp), ["127.0.0.1:1025 [::1]:1025 (false, On)"]);
        assert_eq!(
            ports(&config.submission),
            ["127.0.0.1:1587 [::1]:1587 (false, On)", "127.0.0.1:1465 [::1]:1465 (true, Off)"]
        );
        assert!(config.smtp.listeners[0].anonymous && !config.smtp.listeners[0].password);
        assert_eq!(config.cpus, [0, 2]);
        assert!(config.needs_certificate());
        let four = Surroundings { ipv6: false, ..machine() };
        let config = Config::embedded_in("d".into(), 0, None, &four).unwrap();
        assert_eq!(config.imap.listeners[0].addresses, ["127.0.0.1:143".parse::<SocketAddr>().unwrap()]);
        assert_eq!(config.cpus, [0, 1, 2, 3]);
        assert_eq!(config.admin, Some("127.0.0.1:8025".parse().unwrap()));
        let high = Config::embedded_in("d".into(), 60_000, None, &machine()).unwrap();
        assert_eq!(high.admin, None, "no port is left above the base");
    }

    #[test]
    fn embedded_options_that_can_not_be_name_the_option() {
        let mistakes = Config::embedded_in("d".into(), 65_000, Some(vec![0, 9]), &machine()).unwrap_err();
        let texts: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        assert_eq!(
            texts,
            [
                "--port-base 65000: expected a number from 0 to 64540",
                "--cpus 0,9: expected cores that this process may use (0-3)"
            ]
        );
        assert!(Config::embedded_in("d".into(), 1000, Some(vec![]), &machine()).is_err());
    }

    #[test]
    fn files_of_the_certificate_are_looked_at() {
        let folder = data::scratch("config-files");
        let (cert, key, file) = (folder.join("c.pem"), folder.join("k.pem"), folder.join("r.toml"));
        let text = format!("hostname = \"a.example\"\n\n[tls]\ncertificate = {cert:?}\nkey = {key:?}\n");
        std::fs::write(&file, text).unwrap();
        let texts = |mistakes: Vec<Mistake>| mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>();
        let missing = texts(Config::load(&file).unwrap_err());
        assert_eq!(missing.len(), 2);
        assert!(missing[0].contains("r.toml:4: tls.certificate: expected a file that can be read"), "{missing:?}");
        std::fs::write(&cert, "x").unwrap();
        std::fs::write(&key, "x").unwrap();
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
        let open = texts(Config::load(&file).unwrap_err());
        assert!(
            open.len() == 1 && open[0].contains("r.toml:5: tls.key: expected a file that others may not"),
            "{open:?}"
        );
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
        assert_eq!(Config::load(&file).unwrap().tls.key, Some(key));
    }

    #[test]
    fn a_file_that_does_not_read_is_one_mistake() {
        let folder = data::scratch("config-unread");
        let file = folder.join("r.toml");
        let only = || Config::load(&file).unwrap_err().remove(0).to_string();
        assert!(only().contains("r.toml: can't be read: No such file"));
        std::fs::write(&file, b"# one\n# \xff\n").unwrap();
        assert!(only().ends_with("is not UTF-8 in line 2"));
        std::fs::write(&file, vec![b'#'; CONFIG_BYTES_MAX as usize + 1]).unwrap();
        assert!(only().ends_with("is larger than 1048576 octets"));
        std::fs::write(&file, "hostname = \"a\ndata = 3\n").unwrap();
        assert!(only().contains("r.toml:1: "), "{}", only());
    }
}
