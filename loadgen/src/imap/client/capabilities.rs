//! What a server has announced that it can do, as far as the client acts on it. RFC 9051 §7.2.2.
//!
//! A later announcement replaces an earlier one whole; what was announced before TLS is forgotten by the client.

/// The capabilities that matter.
#[derive(Debug, Default)]
pub(super) struct Capabilities {
    pub(super) known: bool,
    pub(super) starttls: bool,
    pub(super) login_disabled: bool,
    pub(super) literal_plus: bool,
    pub(super) literal_minus: bool,
    pub(super) idle: bool,
    pub(super) uidplus: bool,
    pub(super) moves: bool,
    pub(super) condstore: bool,
}

impl Capabilities {
    /// Those that a CAPABILITY response names.
    pub(super) fn told(names: &[&[u8]]) -> Capabilities {
        let has = |name: &[u8]| names.iter().any(|told| told.eq_ignore_ascii_case(name));
        Capabilities {
            known: true,
            starttls: has(b"STARTTLS"),
            login_disabled: has(b"LOGINDISABLED"),
            literal_plus: has(b"LITERAL+"),
            // RFC 9051 §4.3: LITERAL- is part of IMAP4rev2.
            literal_minus: has(b"LITERAL-") || has(b"IMAP4rev2"),
            idle: has(b"IDLE") || has(b"IMAP4rev2"),
            uidplus: has(b"UIDPLUS") || has(b"IMAP4rev2"),
            moves: has(b"MOVE") || has(b"IMAP4rev2"),
            // RFC 7162 §3.2.3: QRESYNC implies it.
            condstore: has(b"CONDSTORE") || has(b"QRESYNC"),
        }
    }
}
