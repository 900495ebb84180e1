//! The configuration contract, section by section: `ringpost.example.toml`.
//!
//! Invariants: every key of the contract is asked for here, with its default and its range, or with the harmless value
//! that it may hold until its feature is there; what two keys say together is checked where both are known.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::later::not_yet;
use super::mistake::Mistake;
use super::reader::{Harmless, Section, Source};
use super::services::{IMAP, LMTP, POP3, SMTP, SUBMISSION, Services};
use super::{ADMIN_PORT, Config, Esmtp, Surroundings, Tls, TlsVersion, cpus, is_domain};
use crate::limits::MESSAGE_BYTES_MAX;

const SECOND: Duration = Duration::from_secs(1);
const ACCEPTED_BYTES: RangeInclusive<u64> = 1024..=1024 * 1024 * 1024;

/// Where the files of the certificate are named.
#[derive(Clone, Copy, Default, Debug)]
pub struct Lines {
    pub certificate: Option<usize>,
    pub key: Option<usize>,
}

/// Reads the whole contract.
pub fn read(file: &Path, text: &str, surroundings: &Surroundings) -> Result<(Config, Lines), Vec<Mistake>> {
    let source = Source::new(file, text);
    let table = source.parse();
    let Some(table) = table else { return Err(source.finish().err().unwrap_or_default()) };
    let (mut config, lines) = server(source.root(table.get_ref()), surroundings);
    config.warnings = source.finish()?;
    Ok((config, lines))
}

fn server(mut root: Section<'_, '_>, surroundings: &Surroundings) -> (Config, Lines) {
    let hostname = match root.text("hostname") {
        Some(name) if is_domain(name) => name.to_ascii_lowercase(),
        Some(_) => {
            root.wrong("hostname", "a host name like \"mail.example.org\"");
            String::new()
        }
        None if is_domain(&surroundings.hostname) => surroundings.hostname.clone(),
        None => "localhost".to_string(),
    };
    let data = PathBuf::from(root.text("data").unwrap_or("/var/lib/ringpost"));
    if data.as_os_str().is_empty() {
        root.wrong("data", "the path of a folder");
    }
    let drain = root.number("drain_seconds", 0..=3600).map_or(30 * SECOND, Duration::from_secs);
    let (default_domain, domains) = domains(&mut root);
    let (cpus, watchdog) = shards(&mut root, surroundings);
    let (tls, lines) = tls(&mut root);
    let max_message_bytes = inbound(&mut root);
    let esmtp = esmtp(&mut root);
    let admin = admin(&mut root);
    let mut services = Services::new(tls.certificate.is_some(), surroundings.ipv6);
    let imap = services.read(&mut root, &IMAP);
    let smtp = services.read(&mut root, &SMTP);
    let submission = services.read(&mut root, &SUBMISSION);
    let pop3 = services.read(&mut root, &POP3);
    let lmtp = services.read(&mut root, &LMTP);
    if [&imap, &pop3, &smtp, &submission, &lmtp].iter().all(|service| service.listeners.is_empty()) {
        root.wrong("", "a service that is enabled: [imap], [pop3], [smtp], [submission] or [lmtp]");
    }
    not_yet(&mut root);
    root.finish();
    let config = Config {
        embedded: false,
        hostname,
        data,
        cpus,
        watchdog,
        drain,
        default_domain,
        domains,
        tls,
        imap,
        pop3,
        smtp,
        submission,
        lmtp,
        admin,
        max_message_bytes,
        esmtp,
        warnings: Vec::new(),
    };
    (config, lines)
}

fn domains(root: &mut Section<'_, '_>) -> (Option<String>, Vec<String>) {
    let mut domains: Vec<String> = Vec::new();
    for domain in root.texts("domains").unwrap_or_default() {
        let domain = domain.to_ascii_lowercase();
        if !is_domain(&domain) {
            root.wrong("domains", "domains like \"example.org\"");
        } else if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    let default_domain = root.text("default_domain").map(str::to_ascii_lowercase);
    if let Some(domain) = &default_domain {
        if !is_domain(domain) {
            root.wrong("default_domain", "a domain like \"example.org\"");
        } else if !domains.is_empty() && !domains.contains(domain) {
            root.wrong("default_domain", format!("one of the domains ({})", domains.join(", ")));
        }
    }
    (default_domain, domains)
}

fn shards(root: &mut Section<'_, '_>, surroundings: &Surroundings) -> (Vec<usize>, Duration) {
    let mut watchdog = 2 * SECOND;
    let mut cpus = surroundings.cpus.clone();
    if let Some(mut section) = root.section("shards") {
        if let Some(list) = section.text("cpus") {
            let checked = cpus::parse(list).and_then(|list| cpus::check(&list, &surroundings.cpus).map(|()| list));
            match checked {
                Ok(list) => cpus = list,
                Err(expected) => section.wrong("cpus", expected),
            }
        }
        // Below that a busy machine's own scheduler would be taken for a shard that hangs.
        let range = Duration::from_millis(100)..=3600 * SECOND;
        watchdog = section.duration("watchdog", range).unwrap_or(watchdog);
        section.finish();
    }
    (cpus, watchdog)
}

fn tls(root: &mut Section<'_, '_>) -> (Tls, Lines) {
    let mut tls = Tls { certificate: None, key: None, minimum: TlsVersion::V12 };
    let Some(mut section) = root.section("tls") else { return (tls, Lines::default()) };
    tls.certificate = section.text("certificate").map(PathBuf::from);
    tls.key = section.text("key").map(PathBuf::from);
    if section.has("certificate") != section.has("key") {
        section.wrong("", "tls.certificate and tls.key together");
    }
    let versions = [("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)];
    tls.minimum = section.choice("minimum", &versions).unwrap_or(tls.minimum);
    section.later("client_ca", &Harmless::None);
    let lines = Lines { certificate: Some(section.line("certificate")), key: Some(section.line("key")) };
    section.finish();
    (tls, lines)
}

// Nothing listens for it unless the section is there: two servers on one machine would want the same port.
fn admin(root: &mut Section<'_, '_>) -> Option<SocketAddr> {
    let mut section = root.section("admin")?;
    let mut listen = Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), ADMIN_PORT));
    if section.has("listen") {
        listen = section.text("listen").and_then(|text| {
            let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() > 0);
            if address.is_none() {
                section.wrong("listen", "an address with a port, like \"127.0.0.1:8025\" or \"[::1]:8025\"");
            }
            address
        });
    }
    if listen.is_some_and(|address| !address.ip().is_loopback()) {
        section.warn("listen", "a loopback address: anybody who reaches this one can read the server's figures");
    }
    section.finish();
    listen
}

fn inbound(root: &mut Section<'_, '_>) -> u64 {
    let Some(mut section) = root.section("inbound") else { return MESSAGE_BYTES_MAX };
    let bytes = section.number("max_message_bytes", ACCEPTED_BYTES).unwrap_or(MESSAGE_BYTES_MAX);
    section.all_later(&[
        ("verify_connecting_host", Harmless::Flag(false)),
        ("verify_sender_domain", Harmless::Flag(false)),
        ("verify_recipient", Harmless::Flag(true)),
        ("blocklist", Harmless::Texts(&[])),
        ("dns_allowlists", Harmless::Texts(&[])),
        ("dns_blocklists", Harmless::Texts(&[])),
        ("dns_blocklist_text", Harmless::AnyText),
    ]);
    section.finish();
    bytes
}

fn esmtp(root: &mut Section<'_, '_>) -> Esmtp {
    let Some(mut section) = root.section("esmtp") else { return Esmtp::default() };
    let vrfy = section.flag("vrfy").unwrap_or(false);
    let dsn = section.flag("dsn").unwrap_or(false);
    if dsn {
        section.warn("dsn", "false: DSN will be offered, and no notice is ever sent yet");
    }
    section.all_later(&[("expn", Harmless::Flag(false)), ("etrn", Harmless::Flag(false))]);
    section.finish();
    Esmtp { vrfy, dsn }
}

#[cfg(test)]
mod tests {
    use super::super::mistake::Fault;
    use super::super::{Listener, Service, StartTls};
    use super::*;
    use crate::limits::AUTH_TRIES;

    const CERTIFICATE: &str = "[tls]\ncertificate = \"c\"\nkey = \"k\"\n";

    fn read_text(text: &str) -> Result<Config, Vec<Mistake>> {
        let machine = Surroundings { cpus: vec![0, 1, 2, 3], hostname: "machine.example".into(), ipv6: true };
        read(Path::new("r.toml"), text, &machine).map(|(config, _)| config)
    }

    fn mistakes(text: &str) -> Vec<String> {
        read_text(text).map(|_| ()).unwrap_err().iter().map(Mistake::to_string).collect()
    }

    fn warnings(text: &str) -> Vec<String> {
        read_text(text).unwrap().warnings.iter().map(Mistake::to_string).collect()
    }

    #[test]
    fn an_empty_file_is_the_default_of_a_configured_server() {
        let config = read_text("").unwrap();
        assert_eq!((config.hostname.as_str(), config.cpus.as_slice()), ("machine.example", &[0, 1, 2, 3][..]));
        assert_eq!(config.data, Path::new("/var/lib/ringpost"));
        let ports = |service: &Service| -> Vec<(u16, bool, StartTls)> {
            service.listeners.iter().map(|l| (l.addresses[0].port(), l.tls, l.starttls)).collect()
        };
        assert_eq!(ports(&config.imap), [(143, false, StartTls::Off)], "no TLS before there is a certificate");
        assert_eq!(ports(&config.smtp), [(25, false, StartTls::Off)]);
        assert_eq!(ports(&config.submission), [(587, false, StartTls::Off)]);
        assert!(!config.needs_certificate() && config.warnings.is_empty());
        let config = read_text(CERTIFICATE).unwrap();
        assert_eq!(ports(&config.imap), [(143, false, StartTls::On), (993, true, StartTls::Off)]);
        assert_eq!(ports(&config.submission), [(587, false, StartTls::On), (465, true, StartTls::Off)]);
        assert_eq!(config.imap.listeners[0].addresses.len(), 2);
    }

    #[test]
    fn what_is_said_is_what_is_read() {
        let config = read_text(
            r#"
            hostname = "Mail.example.org"
            data = "/srv/mail"
            drain_seconds = 5
            default_domain = "Example.org"
            domains = ["Example.ORG", "example.com", "example.org"]
            [shards]
            cpus = "0,2"
            watchdog = "500ms"
            [tls]
            certificate = "/c.pem"
            key = "/k.pem"
            minimum = "1.3"
            [inbound]
            max_message_bytes = 1_000_000
            [imap]
            max_sessions = 7
            idle_timeout = "45m"
            greeting = "Hello"
            greeting_tls = "Hello, safely"
            allow_plaintext_auth = true
            [[imap.listener]]
            address = ["127.0.0.1", "::1"]
            port = 2143
            starttls = "required"
            auth_tries = 9
            [[imap.listener]]
            address = ["127.0.0.1"]
            port = 2144
            status = "disabled"
            [[imap.listener]]
            address = ["127.0.0.1"]
            port = 2993
            tls = true
            password = true
            [smtp]
            enabled = false
            [[submission.listener]]
            address = ["10.0.0.1"]
            port = 587
            starttls = "off"
            "#,
        )
        .unwrap();
        assert_eq!(config.hostname, "mail.example.org");
        assert_eq!((config.drain, config.watchdog), (5 * SECOND, Duration::from_millis(500)));
        assert_eq!(config.default_domain.as_deref(), Some("example.org"));
        assert_eq!(config.domains, ["example.org", "example.com"]);
        assert_eq!(config.cpus, [0, 2]);
        assert_eq!(config.tls.minimum, TlsVersion::V13);
        assert_eq!(config.max_message_bytes, 1_000_000);
        let plain = Listener {
            addresses: vec!["127.0.0.1:2143".parse().unwrap(), "[::1]:2143".parse().unwrap()],
            tls: false,
            starttls: StartTls::Required,
            password: true,
            anonymous: false,
            auth_tries: 9,
        };
        let tls = Listener {
            addresses: vec!["127.0.0.1:2993".parse().unwrap()],
            tls: true,
            starttls: StartTls::Off,
            auth_tries: AUTH_TRIES,
            ..plain.clone()
        };
        let imap = Service {
            max_sessions: 7,
            idle_timeout: Duration::from_secs(2700),
            greeting: Some("Hello".into()),
            greeting_tls: Some("Hello, safely".into()),
            allow_plaintext_auth: true,
            listeners: vec![plain, tls],
        };
        assert_eq!(config.imap, imap);
        assert!(config.smtp.listeners.is_empty());
        let submission = &config.submission.listeners[0];
        assert!(submission.password && !submission.anonymous && submission.starttls == StartTls::Off);
    }

    #[test]
    fn all_mistakes_at_once_each_with_line_key_and_what_was_expected() {
        let text = r#"hostnam = "x"
hostname = "not a host"
drain_seconds = "30"
default_domain = "example.net"
domains = ["example.org"]

[imap]
max_sesions = 1
idle_timeout = 30
greeting = "two\r\nlines"
allow_plaintext_auth = "no"

[[imap.listener]]
address = ["0.0.0.0", "here"]
port = 70000
status = "on"

[imapp]

[[smtp.listener]]
port = 25
starttls = "required"

[shards]
cpus = "0-9"
"#;
        assert_eq!(
            mistakes(text),
            [
                r#"r.toml:1: hostnam is not a known key; the nearest is "hostname""#,
                r#"r.toml:2: hostname: expected a host name like "mail.example.org", found "not a host""#,
                r#"r.toml:3: drain_seconds: expected a number from 0 to 3600, found "30""#,
                r#"r.toml:4: default_domain: expected one of the domains (example.org), found "example.net""#,
                r#"r.toml:8: imap.max_sesions is not a known key; the nearest is "max_sessions""#,
                r#"r.toml:9: imap.idle_timeout: expected a time like "30m" (ms, s, m, h, d) of 1 to 604800 seconds, found 30"#,
                r#"r.toml:10: imap.greeting: expected a text without CR, LF and NUL, found "two\r\nlines""#,
                r#"r.toml:11: imap.allow_plaintext_auth: expected true or false, found "no""#,
                r#"r.toml:14: imap.listener[1].address: expected IP addresses, and "here" is none, found ["0.0.0.0", "here"]"#,
                r#"r.toml:15: imap.listener[1].port: expected a number from 1 to 65535, found 70000"#,
                r#"r.toml:16: imap.listener[1].status: expected "enabled" or "disabled" or "redirect_to_tls", found "on""#,
                r#"r.toml:18: imapp is not a known key; the nearest is "imap""#,
                r#"r.toml:20: smtp.listener[1].address: expected addresses to listen on, like ["0.0.0.0", "::"]"#,
                r#"r.toml:22: smtp.listener[1].starttls: expected tls.certificate and tls.key to be configured for it, found "required""#,
                r#"r.toml:25: shards.cpus: expected cores that this process may use (0-3), found "0-9""#,
            ]
        );
    }

    #[test]
    fn listeners_that_collide_are_both_named() {
        let text = "[[imap.listener]]\naddress = [\"10.0.0.1\"]\nport = 2500\n\n[[smtp.listener]]\naddress = [\"::1\", \"10.0.0.1\"]\nport = 2500\n";
        assert_eq!(
            mistakes(text),
            ["r.toml:7: smtp.listener[1].port: expected an address and port of its own: imap.listener[1] in line 3 \
              listens on 10.0.0.1:2500 too, found 2500"]
        );
        let twice = "[[imap.listener]]\naddress = [\"10.0.0.1\", \"10.0.0.1\"]\nport = 2500\n";
        assert_eq!(mistakes(twice).len(), 1);
        let apart = text.replace("[[smtp", "status = \"disabled\"\n[[smtp").replace("[[imap", "[smtp]\n[imap]\n[[imap");
        assert!(mistakes(&apart).iter().all(|mistake| !mistake.contains("of its own")), "{apart}");
    }

    #[test]
    fn a_service_whose_listeners_are_all_disabled_says_so() {
        let text = "[[imap.listener]]\naddress = [\"10.0.0.1\"]\nport = 2500\nstatus = \"disabled\"\n";
        assert_eq!(
            mistakes(text),
            ["r.toml:1: imap: expected a listener with status = \"enabled\", or enabled = false for the service"]
        );
        let off = "[imap]\nenabled = false\n[pop3]\nenabled = false\n[smtp]\nenabled = false\n[submission]\nenabled = false\n";
        assert_eq!(mistakes(off).len(), 1);
        assert!(read_text(&off.replacen("false", "true", 1)).is_ok());
    }

    #[test]
    fn lmtp_and_extensions_are_off_until_they_are_asked_for() {
        let config = read_text("").unwrap();
        assert_eq!((config.esmtp, config.lmtp.listeners.len()), (Esmtp { vrfy: false, dsn: false }, 0));
        let text = "[esmtp]\nvrfy = true\ndsn = true\n[[lmtp.listener]]\naddress = [\"127.0.0.1\"]\nport = 24\n";
        let config = read_text(text).unwrap();
        assert_eq!(config.esmtp, Esmtp { vrfy: true, dsn: true });
        assert!(config.warnings[0].to_string().contains("no notice is ever sent yet"));
        let lmtp = &config.lmtp.listeners[0];
        assert!(lmtp.anonymous && !lmtp.password && config.warnings.len() == 1);
        assert!(mistakes("[esmtp]\nchunking = false\n")[0].contains("esmtp.chunking"));
    }

    #[test]
    fn contradictions_between_keys() {
        for (text, part) in [
            ("[tls]\nkey = \"k\"\n", "r.toml:1: tls: expected tls.certificate and tls.key together"),
            (
                "[[imap.listener]]\naddress = [\"::\"]\nport = 1\ntls = true\n",
                "r.toml:4: imap.listener[1].tls: expected tls.certificate",
            ),
            (
                &format!(
                    "{CERTIFICATE}[[imap.listener]]\naddress = [\"::\"]\nport = 1\ntls = true\nstarttls = \"on\"\n"
                ),
                "r.toml:8: imap.listener[1].starttls: expected \"off\" where tls = true",
            ),
            (
                "[[imap.listener]]\naddress = [\"::\"]\nport = 1\nanonymous = true\n",
                "r.toml:4: imap.listener[1].anonymous: expected false",
            ),
            ("imap = 3\n", "r.toml:1: imap: expected a section, [imap], found 3"),
            ("[imap.listener]\nport = 3\n", "imap.listener: expected sections, [[imap.listener]]"),
            ("[[imap]]\n", "imap: expected a section, [imap]"),
        ] {
            let found = mistakes(text);
            assert!(found.len() == 1 && found[0].contains(part), "{found:?}");
        }
    }

    #[test]
    fn what_is_probably_not_meant_is_a_warning() {
        let text = format!(
            "{CERTIFICATE}[imap]\nidle_timeout = \"10m\"\n[[imap.listener]]\naddress = [\"::\"]\nport = 110\n\
             [[imap.listener]]\naddress = [\"::\"]\nport = 993\ntls = true\n"
        );
        assert_eq!(
            warnings(&text),
            [
                "r.toml:5: imap.idle_timeout: expected at least 30 minutes, found \"10m\"",
                "r.toml:8: imap.listener[1].port: expected another port: 110 is that of POP3, found 110",
                "r.toml:9: imap.listener[2].password: expected password or anonymous mail to be allowed: \
                 this listener admits nobody",
            ]
        );
    }

    /// RFC 2033 §5.
    #[test]
    fn lmtp_is_not_for_port_25() {
        let text = "[[lmtp.listener]]\naddress = [\"127.0.0.1\"]\nport = 25\n";
        let expected =
            "r.toml:3: lmtp.listener[1].port: expected another port than 25, where LMTP must not be spoken, found 25";
        assert_eq!(mistakes(text), [expected]);
        assert!(read_text(&text.replace("25", "24")).is_ok());
    }

    #[test]
    fn what_is_not_there_yet_passes_with_its_harmless_value_alone() {
        let harmless = r#"
            locale = "en"
            [access]
            allow_users = ["*"]
            allow_networks = ["::/0", "0.0.0.0/0"]
            [authentication]
            lockout = { tries = 10, window = "10m", for = "15m" }
            [[directory]]
            kind = "embedded"
            [esmtp]
            expn = false
            [archive]
            enabled = false
            port = 44143
        "#;
        assert!(read_text(harmless).unwrap().warnings.is_empty());
        for (from, to, said) in [
            ("\"en\"", "\"de\"", "r.toml:2: locale = \"de\" is not"),
            ("[\"*\"]", "[\"a\"]", "access.allow_users = [\"a\"] is not"),
            ("tries = 10", "tries = 3", "authentication.lockout.tries = 3 is not"),
            ("\"embedded\"", "\"ldap\"", "directory[1].kind = \"ldap\" is not"),
            ("expn = false", "expn = true", "esmtp.expn = true is not"),
            ("enabled = false\n            port = 44143", "enabled = true", "archive.enabled = true is not"),
            ("[esmtp]", "[[site]]\nprotocol = \"imap\"\n[[route]]\n[esmtp]", "site[1] is not"),
        ] {
            let changed = harmless.replacen(from, to, 1);
            assert_ne!(changed, harmless);
            let found = mistakes(&changed);
            assert!(found[0].contains(&format!("{said} supported by this version")), "{found:?}");
        }
    }

    #[test]
    fn the_figures_listener_is_on_loopback_where_its_section_is() {
        assert_eq!(read_text("").unwrap().admin, None);
        assert_eq!(read_text("[admin]\n").unwrap().admin, Some("127.0.0.1:8025".parse().unwrap()));
        let config = read_text("[admin]\nlisten = \"[::1]:9\"\n").unwrap();
        assert_eq!((config.admin, config.warnings.len()), (Some("[::1]:9".parse().unwrap()), 0));
        assert!(
            warnings("[admin]\nlisten = \"0.0.0.0:8025\"\n")[0].contains("admin.listen: expected a loopback address")
        );
        for wrong in ["8025", "localhost:8025", "127.0.0.1", "127.0.0.1:0"] {
            let found = mistakes(&format!("[admin]\nlisten = {wrong:?}\n"));
            assert!(found[0].contains("r.toml:2: admin.listen: expected an address with a port"), "{found:?}");
        }
    }

    fn only_unsupported(text: &str) -> Vec<Mistake> {
        let machine = Surroundings { cpus: vec![0, 1], hostname: "machine".into(), ipv6: true };
        let found = read(Path::new("contract.toml"), text, &machine).map(|_| ()).unwrap_err();
        let other: Vec<_> = found.iter().filter(|mistake| mistake.fault != Fault::Unsupported).collect();
        assert!(other.is_empty(), "{other:#?}");
        found
    }

    #[test]
    fn every_key_of_the_contract_is_known_and_none_is_passed_over() {
        let text = include_str!("contract.toml");
        let found = only_unsupported(text);
        // Sections that are named as a whole, keys that are supported, and keys that only matter beside those.
        let not_told = [
            "hostname",
            "data",
            "drain_seconds",
            "default_domain",
            "domains",
            "cpus",
            "watchdog",
            "certificate",
            "key",
            "minimum",
            "max_sessions",
            "idle_timeout",
            "greeting",
            "greeting_tls",
            "allow_plaintext_auth",
            "tls",
            "starttls",
            "password",
            "anonymous",
            "auth_tries",
            "max_message_bytes",
            "dsn",
            "vrfy",
            "protocol",
            "kind",
            "url",
            "domain",
            "redirect_text",
            "dns_blocklist_text",
            "port",
            "address",
            "enabled",
            "interface",
            "advertise_url",
            "max_months",
            "tls_port",
            "require_tls",
            "client_certificate",
            "listen",
        ];
        for (number, line) in text.lines().enumerate() {
            let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else { continue };
            let told = found.iter().any(|mistake| mistake.line == Some(number + 1));
            assert!(told || not_told.contains(&key), "line {}: {line}", number + 1);
        }
    }

    /// Where the contract itself lies beside the repository, it is read too.
    #[test]
    fn every_key_of_the_example_is_known() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/ringpost.example.toml");
        if let Ok(text) = std::fs::read_to_string(example) {
            only_unsupported(&text);
        }
    }
}
