//! What the contract has and this version doesn't: each key with the value that asks for nothing.
//!
//! Invariant: a key leaves this list only when its feature is there; until then any other value is a mistake that says
//! so, never something that is passed over in silence.

use super::reader::{Harmless, Section};

/// Sections of the contract whose every key waits for its feature.
const SECTIONS: &[(&str, &[(&str, Harmless)])] = &[
    ("sites", &[("load_sites", Harmless::Flag(false)), ("site_disabled_reply_at", Harmless::Text("connect"))]),
    (
        "access",
        &[
            ("allow_users", Harmless::Texts(&["*"])),
            ("deny_users", Harmless::Texts(&[])),
            ("allow_groups", Harmless::Texts(&[])),
            ("deny_groups", Harmless::Texts(&[])),
            ("allow_domains", Harmless::Texts(&[])),
            ("deny_domains", Harmless::Texts(&[])),
            ("allow_networks", Harmless::Texts(&["0.0.0.0/0", "::/0"])),
            ("deny_networks", Harmless::Texts(&[])),
        ],
    ),
    (
        "relay",
        &[
            ("scope", Harmless::Text("external")),
            ("internal_networks", Harmless::Texts(&["127.0.0.0/8", "::1"])),
            ("exempt_hosts", Harmless::Texts(&[])),
            ("exempt_authenticated", Harmless::Flag(true)),
            ("allow_to", Harmless::Texts(&[])),
            ("deny_to", Harmless::Texts(&["*"])),
            ("allow_from", Harmless::Texts(&[])),
            ("deny_from", Harmless::Texts(&[])),
            ("precedence", Harmless::Text("allow")),
        ],
    ),
    (
        "outbound",
        &[
            ("port", Harmless::Number(25)),
            ("tls_port", Harmless::Number(465)),
            ("tls", Harmless::Text("opportunistic")),
            ("retry_max", Harmless::Text("5d")),
            ("delay_notice", Harmless::Text("4h")),
            ("concurrency_per_destination", Harmless::Number(20)),
        ],
    ),
    (
        "archive",
        &[
            ("enabled", Harmless::Flag(false)),
            // Without effect while it is off.
            ("port", Harmless::AnyNumber),
            ("address", Harmless::AnyTexts),
            ("interface", Harmless::AnyText),
            ("advertise_url", Harmless::AnyText),
            ("max_months", Harmless::AnyNumber),
            ("tls_port", Harmless::AnyNumber),
            ("starttls", Harmless::AnyText),
            ("require_tls", Harmless::AnyFlag),
            ("client_certificate", Harmless::AnyText),
            ("journal", Harmless::Flag(false)),
        ],
    ),
];

/// The sections whose features aren't there yet.
pub fn not_yet(root: &mut Section<'_, '_>) {
    root.later("locale", &Harmless::Text("en"));
    root.later("reload_interval", &Harmless::Text("2m"));
    for (name, keys) in SECTIONS {
        if let Some(mut section) = root.section(name) {
            section.all_later(keys);
            section.finish();
        }
    }
    authentication(root);
    directories(root);
    for name in ["site", "route"] {
        for section in root.sections(name) {
            section.unsupported("");
        }
    }
}

fn authentication(root: &mut Section<'_, '_>) {
    let Some(mut section) = root.section("authentication") else { return };
    section.later("login_names", &Harmless::Text("fewer"));
    section.later("mechanisms", &Harmless::Texts(&["PLAIN", "LOGIN"]));
    if let Some(mut lockout) = section.section("lockout") {
        lockout.all_later(&[
            ("tries", Harmless::Number(10)),
            ("window", Harmless::Text("10m")),
            ("for", Harmless::Text("15m")),
        ]);
        lockout.finish();
    }
    section.finish();
}

// One embedded directory is what there is.
fn directories(root: &mut Section<'_, '_>) {
    for (number, mut section) in root.sections("directory").into_iter().enumerate() {
        let embedded = [("embedded", true), ("ldap", false), ("sql", false)];
        match section.choice("kind", &embedded) {
            Some(true) if number == 0 => section.finish(),
            Some(_) => section.unsupported("kind"),
            None if section.has("kind") => {}
            None => section.wrong("kind", "\"embedded\", \"ldap\" or \"sql\""),
        }
    }
}
