//! The services of the contract: `[imap]`, `[smtp]`, `[submission]`, `[pop3]`, `[lmtp]`, and their listeners.
//!
//! Invariants: no address and port is listened on twice (R-PORT-5); a listener that speaks TLS has a certificate; a
//! service that is on listens somewhere (R-PORT-3). A service without listeners has those of R-PORT-1.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::reader::{Harmless, Section};
use super::{Listener, Service, StartTls};
use crate::limits::{AUTH_TRIES, LISTENERS_MAX};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// What is different between the services.
pub struct Kind {
    name: &'static str,
    /// Ports where no listener is configured: plain and implicit TLS.
    ports: &'static [(u16, bool)],
    idle: Duration,
    /// Below it a time-out is suspicious.
    idle_least: Duration,
    /// Whether users log in by default, and whether mail is taken without.
    password: bool,
    anonymous: bool,
    /// Whether the service speaks SMTP, where `anonymous` means something.
    smtp: bool,
}

pub const IMAP: Kind = Kind {
    name: "imap",
    ports: &[(143, false), (993, true)],
    idle: Duration::from_secs(1800),
    // RFC 9051 §5.4: at least 30 minutes.
    idle_least: Duration::from_secs(1800),
    password: true,
    anonymous: false,
    smtp: false,
};
pub const SMTP: Kind = Kind {
    name: "smtp",
    ports: &[(25, false)],
    idle: Duration::from_secs(300),
    // RFC 5321 §4.5.3.2.7: at least 5 minutes.
    idle_least: Duration::from_secs(300),
    password: false,
    anonymous: true,
    smtp: true,
};
pub const SUBMISSION: Kind =
    Kind { name: "submission", ports: &[(587, false), (465, true)], password: true, anonymous: false, ..SMTP };
pub const POP3: Kind = Kind {
    name: "pop3",
    ports: &[(110, false), (995, true)],
    idle: Duration::from_secs(600),
    // RFC 1939 §3: at least 10 minutes.
    idle_least: Duration::from_secs(600),
    ..IMAP
};
/// Off until a listener is configured (R-PORT-1).
pub const LMTP: Kind = Kind { name: "lmtp", ports: &[], ..SMTP };

/// Ports that belong to one service each, and to whom.
const WELL_KNOWN: &[(u16, &str, &[&str])] = &[
    (22, "SSH", &[]),
    (25, "SMTP", &["smtp"]),
    (53, "DNS", &[]),
    (80, "HTTP", &[]),
    (110, "POP3", &["pop3"]),
    (143, "IMAP", &["imap"]),
    (389, "LDAP", &[]),
    (443, "HTTPS", &[]),
    // A listener between servers may claim it (R-PORT-1).
    (465, "submission with TLS", &["submission", "smtp"]),
    (587, "submission", &["submission"]),
    (636, "LDAP with TLS", &[]),
    (993, "IMAP with TLS", &["imap"]),
    (995, "POP3 with TLS", &["pop3"]),
    (4190, "ManageSieve", &[]),
    (44_143, "the archive's IMAP", &[]),
];

/// What came of the section of a listener.
enum Read {
    Listener(Listener),
    Disabled,
    /// A mistake, which was told.
    Wrong,
}

/// What the services must not have twice, and what their defaults hang on.
pub struct Services {
    certificate: bool,
    ipv6: bool,
    taken: BTreeMap<SocketAddr, String>,
}

impl Services {
    /// None read yet. `certificate`: whether there is one; `ipv6`: whether it works here.
    pub fn new(certificate: bool, ipv6: bool) -> Self {
        Services { certificate, ipv6, taken: BTreeMap::new() }
    }

    /// Reads a service, written down or not.
    pub fn read(&mut self, root: &mut Section<'_, '_>, kind: &Kind) -> Service {
        let mut service = Service::new(kind.idle, Vec::new());
        let Some(mut section) = root.section(kind.name) else {
            service.listeners = self.default_listeners(kind);
            return service;
        };
        let enabled = section.flag("enabled").unwrap_or(true);
        service.max_sessions = section.number("max_sessions", 0..=10_000_000).unwrap_or(0) as usize;
        if let Some(idle) = section.duration("idle_timeout", SECOND..=7 * DAY) {
            service.idle_timeout = idle;
            if idle < kind.idle_least {
                section.warn("idle_timeout", format!("at least {} minutes", kind.idle_least.as_secs() / 60));
            }
        }
        service.greeting = section.text("greeting").map(str::to_string);
        service.greeting_tls = section.text("greeting_tls").map(str::to_string);
        service.allow_plaintext_auth = section.flag("allow_plaintext_auth").unwrap_or(false);
        section.later("enforce_server_access", &Harmless::Flag(false));
        let listeners = section.sections("listener");
        if listeners.len() > LISTENERS_MAX {
            section.wrong("listener", format!("at most {LISTENERS_MAX} of them"));
        }
        let configured = !listeners.is_empty();
        let mut all_disabled = true;
        for listener in listeners.into_iter().take(LISTENERS_MAX) {
            match self.listener(listener, kind, enabled) {
                Read::Listener(listener) => service.listeners.push(listener),
                Read::Disabled => continue,
                Read::Wrong => {}
            }
            all_disabled = false;
        }
        if enabled && configured && all_disabled {
            section.wrong("", "a listener with status = \"enabled\", or enabled = false for the service");
        } else if enabled && !configured {
            service.listeners = self.default_listeners(kind);
        } else if !enabled {
            service.listeners.clear();
        }
        section.finish();
        service
    }

    // R-PORT-1: the well-known ports; those of implicit TLS once there is a certificate.
    fn default_listeners(&mut self, kind: &Kind) -> Vec<Listener> {
        let mut any = vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        if self.ipv6 {
            any.push(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        }
        let mut listeners = Vec::new();
        for &(port, tls) in kind.ports.iter().filter(|(_, tls)| self.certificate || !tls) {
            let addresses: Vec<SocketAddr> = any.iter().map(|&address| SocketAddr::new(address, port)).collect();
            for &address in &addresses {
                self.taken.entry(address).or_insert_with(|| format!("the default of [{}]", kind.name));
            }
            let starttls = if self.certificate && !tls { StartTls::On } else { StartTls::Off };
            let (password, anonymous) = (kind.password, kind.anonymous);
            listeners.push(Listener { addresses, tls, starttls, password, anonymous, auth_tries: AUTH_TRIES });
        }
        listeners
    }

    fn listener(&mut self, mut section: Section<'_, '_>, kind: &Kind, service_enabled: bool) -> Read {
        let addresses = addresses(&mut section);
        let port = port(&mut section, kind);
        let tls = section.flag("tls").unwrap_or(false);
        let enabled = status(&mut section);
        let starttls = self.starttls(&mut section, tls, enabled && service_enabled);
        // R-AUTH-2: on a configured implicit-TLS port a password has to be asked for.
        let password = section.flag("password").unwrap_or(kind.password && !tls);
        let anonymous = section.flag("anonymous").unwrap_or(kind.anonymous);
        if anonymous && !kind.smtp {
            section.wrong("anonymous", "false: only SMTP takes mail from clients that did not log in");
        }
        let auth_tries = section.number("auth_tries", 1..=100).map_or(AUTH_TRIES, |tries| tries as u32);
        section.all_later(&[
            ("interface", Harmless::None),
            ("redirect_text", Harmless::AnyText),
            ("client_certificate", Harmless::Text("no")),
            ("advertise_url", Harmless::None),
            ("proxy_protocol_from", Harmless::Texts(&[])),
        ]);
        let enabled = enabled && service_enabled;
        if enabled && !password && !anonymous {
            section.warn("password", "password or anonymous mail to be allowed: this listener admits nobody");
        }
        let addresses: Vec<SocketAddr> =
            addresses.iter().map(|&address| SocketAddr::new(address, port.unwrap_or(0))).collect();
        if enabled && port.is_some() {
            self.claim(&section, &addresses);
        }
        section.finish();
        match port {
            Some(_) if enabled => {
                Read::Listener(Listener { addresses, tls, starttls, password, anonymous, auth_tries })
            }
            Some(_) => Read::Disabled,
            None => Read::Wrong,
        }
    }

    fn claim(&mut self, section: &Section<'_, '_>, addresses: &[SocketAddr]) {
        for &address in addresses {
            let here = format!("{} in line {}", section.name(), section.line("port"));
            if let Some(other) = self.taken.get(&address) {
                section.wrong("port", format!("an address and port of its own: {other} listens on {address} too"));
            } else {
                self.taken.insert(address, here);
            }
        }
    }

    fn starttls(&self, section: &mut Section<'_, '_>, tls: bool, enabled: bool) -> StartTls {
        let choices = [("off", StartTls::Off), ("on", StartTls::On), ("required", StartTls::Required)];
        let chosen = section.choice("starttls", &choices);
        if tls && chosen.is_some_and(|starttls| starttls != StartTls::Off) {
            section.wrong("starttls", "\"off\" where tls = true: the connection is encrypted from the start");
        }
        if enabled && !self.certificate {
            let wish = if tls { Some("tls") } else { chosen.filter(|&it| it != StartTls::Off).map(|_| "starttls") };
            if let Some(key) = wish {
                section.wrong(key, "tls.certificate and tls.key to be configured for it");
            }
        }
        match chosen {
            _ if tls => StartTls::Off,
            Some(starttls) => starttls,
            None if self.certificate => StartTls::On,
            None => StartTls::Off,
        }
    }
}

fn addresses(section: &mut Section<'_, '_>) -> Vec<IpAddr> {
    let texts = section.texts("address");
    let interface = section.has("interface");
    if texts.as_ref().is_none_or(Vec::is_empty) {
        if !interface && (texts.is_some() || !section.has("address")) {
            section.wrong("address", "addresses to listen on, like [\"0.0.0.0\", \"::\"]");
        }
        return Vec::new();
    }
    let mut addresses = Vec::new();
    for text in texts.unwrap_or_default() {
        match text.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => section.wrong("address", format!("IP addresses, and {text:?} is none")),
        }
    }
    addresses
}

fn port(section: &mut Section<'_, '_>, kind: &Kind) -> Option<u16> {
    if !section.has("port") {
        section.wrong("port", "a number from 1 to 65535");
    }
    let port = section.number("port", 1..=65_535)? as u16;
    if port == 25 && kind.name == LMTP.name {
        // RFC 2033 §5: a client that says EHLO there would be turned away, and one that says LHLO get several replies.
        section.wrong("port", "another port than 25, where LMTP must not be spoken");
        return None;
    }
    for (well_known, name, services) in WELL_KNOWN {
        if *well_known == port && !services.contains(&kind.name) {
            section.warn("port", format!("another port: {port} is that of {name}"));
        }
    }
    Some(port)
}

// "redirect_to_tls" is of the contract, and comes later.
fn status(section: &mut Section<'_, '_>) -> bool {
    let choices = [("enabled", Some(true)), ("disabled", Some(false)), ("redirect_to_tls", None)];
    match section.choice("status", &choices) {
        Some(Some(enabled)) => enabled,
        Some(None) => {
            section.unsupported("status");
            true
        }
        None => true,
    }
}
