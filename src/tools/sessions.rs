//! `ringpost who` and `ringpost kick`: the sessions of the running server.
//!
//! Invariant: what clients chose (names of users and mailboxes) is shown without control characters, so that a session
//! can't write to the administrator's terminal. The list comes in pieces; a session that moved meanwhile is shown once.

use std::collections::HashSet;
use std::fmt::Write;

use clap::Args;

use super::{Failure, Where, connect, json_lines, print, table, unexpected};
use crate::control::message::{Body, Request, Session, Which};
use crate::proto::calendar::write_date_time;

#[derive(Args, Debug)]
pub struct WhoOptions {
    /// Only sessions of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only sessions from this address or network
    #[arg(long, value_name = "NET")]
    address: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

#[derive(Args, Debug)]
#[group(id = "meant", required = true, multiple = true, args = ["session", "user", "address"])]
pub struct KickOptions {
    /// The session of that number in `ringpost who`
    #[arg(value_name = "ID")]
    session: Option<u64>,
    /// The sessions of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The sessions from this address or network, as in 192.0.2.0/24
    #[arg(long, value_name = "NET")]
    address: Option<String>,
    #[command(flatten)]
    place: Where,
}

/// Lists sessions.
pub fn who(options: WhoOptions) -> Result<(), Failure> {
    let WhoOptions { user, address, json, place } = options;
    let which = Which { id: None, user, address };
    let mut client = connect(place)?;
    let (mut sessions, mut shown) = (Vec::new(), HashSet::new());
    let mut after = None;
    loop {
        let Body::Sessions { sessions: page, next } =
            client.ask(&Request::Who { which: which.clone(), after }).map_err(Failure::Control)?
        else {
            return Err(unexpected());
        };
        sessions.extend(page.into_iter().filter(|session| shown.insert(session.id)));
        after = next;
        if after.is_none() {
            break;
        }
    }
    sessions.sort_by_key(|session| (session.since, session.id));
    if json {
        return print(&json_lines(&sessions)?);
    }
    print(&listed(&sessions))
}

/// Ends sessions.
pub fn kick(options: KickOptions) -> Result<(), Failure> {
    let KickOptions { session: id, user, address, place } = options;
    let which = Which { id, user, address };
    match connect(place)?.ask(&Request::Kick { which }).map_err(Failure::Control)? {
        Body::Kicked { sessions: 0 } => Err(Failure::Other("no session is like that".to_owned())),
        Body::Kicked { sessions: 1 } => print("kicked 1 session\n"),
        Body::Kicked { sessions } => print(&format!("kicked {sessions} sessions\n")),
        _ => Err(unexpected()),
    }
}

fn listed(sessions: &[Session]) -> String {
    const HEAD: [&str; 9] = ["ID", "PROTOCOL", "TLS", "CLIENT", "USER", "MAILBOX", "STATE", "SINCE (UTC)", "SILENT"];
    let rows = sessions.iter().map(|session| {
        let client =
            if session.address.contains(':') { format!("[{}]", session.address) } else { session.address.clone() };
        [
            session.id.to_string(),
            session.protocol.clone(),
            if session.tls { "tls" } else { "-" }.to_owned(),
            format!("{client}:{}", session.port),
            session.user.as_deref().map_or_else(|| "-".to_owned(), shown),
            session.mailbox.as_deref().map_or_else(|| "-".to_owned(), shown),
            session.state.clone(),
            since(session.since),
            duration(session.silent_seconds),
        ]
    });
    table(&HEAD, rows)
}

/// `22-Nov 02:15:07`.
fn since(seconds: i64) -> String {
    let mut written = Vec::new();
    write_date_time(&mut written, seconds, 0);
    // `"22-Nov-2026 02:15:07 +0000"`
    let text = String::from_utf8_lossy(&written);
    let text = text.trim_matches('"');
    match (text.get(..6), text.get(12..20)) {
        (Some(day), Some(time)) => format!("{} {time}", day.trim()),
        _ => text.to_owned(),
    }
}

fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..=9 => format!("{seconds:.1}s"),
        10..=119 => format!("{whole}s"),
        120..=7199 => format!("{}m", whole / 60),
        7200..=172_799 => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d{}h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// Without what a terminal would take for something else than text, and without a blank that would be taken for a column's end.
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control()
            || ('\u{2028}'..='\u{202e}').contains(&letter)
            || ('\u{2066}'..='\u{2069}').contains(&letter)
        {
            let _ = write!(out, "{}", letter.escape_unicode());
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_table_of_text_alone() {
        let session = Session {
            id: 12,
            shard: 0,
            protocol: "imap".into(),
            tls: true,
            address: "2001:db8::1".into(),
            port: 40_000,
            user: Some("anna@example.org".into()),
            mailbox: Some("IN\u{1b}[2JBOX\u{202e}".into()),
            state: "IDLE".into(),
            since: 784_111_777,
            silent_seconds: 75.25,
            commands: 3,
            messages: 0,
            received: 10,
            sent: 20,
        };
        let text = listed(&[session.clone(), Session { id: 7, user: None, mailbox: None, tls: false, ..session }]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].split_whitespace().next(), Some("ID"));
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>(),
            [
                "12",
                "imap",
                "tls",
                "[2001:db8::1]:40000",
                "anna@example.org",
                "IN\\u{1b}[2JBOX\\u{202e}",
                "IDLE",
                "6-Nov",
                "08:49:37",
                "75s"
            ]
        );
        assert!(lines[2].contains(" - ") && !text.contains('\u{1b}'));
        assert_eq!(lines[1].find("IDLE"), lines[2].find("IDLE"), "columns are in line");
    }

    #[test]
    fn durations() {
        for (seconds, due) in
            [(0.04, "0.0s"), (9.96, "10.0s"), (75.2, "75s"), (3_600.0, "60m"), (7_260.0, "2h01m"), (200_000.0, "2d7h")]
        {
            assert_eq!(duration(seconds), due);
        }
    }
}
