//! The command table: in which state each command is allowed, and whether EXPUNGE may be told while it runs.
//!
//! RFC 3501 §6.1 to §6.4 (states) and §7.4.1 (an EXPUNGE response must not be sent during FETCH, STORE or SEARCH, whose
//! message numbers it would shift; their UID forms are free of that).

use super::State;
use crate::proto::imap::{Command, Tagged};

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    BeforeLogin,
    LoggedIn,
    Selected,
}

fn when(command: &Command<'_>) -> When {
    match command {
        Command::Capability | Command::Noop | Command::Logout | Command::Unknown(_) => When::Always,
        Command::StartTls | Command::Login { .. } | Command::Authenticate { .. } => When::BeforeLogin,
        Command::Select { .. }
        | Command::Examine { .. }
        | Command::Create { .. }
        | Command::List { .. }
        | Command::Status { .. }
        | Command::Append(_)
        | Command::Idle => When::LoggedIn,
        Command::Fetch { .. }
        | Command::Store { .. }
        | Command::Search(_)
        | Command::Copy { .. }
        | Command::Move { .. }
        | Command::Check
        | Command::Expunge { .. }
        | Command::Close
        | Command::Unselect => When::Selected,
    }
}

/// Whether the command fits the state, else what to answer.
pub(super) fn allowed(command: &Command<'_>, state: &State) -> Result<(), &'static str> {
    match (when(command), state) {
        (When::BeforeLogin, State::Authenticated(_) | State::Selected(..)) => Err("BAD Already authenticated"),
        (When::LoggedIn | When::Selected, State::NotAuthenticated) => Err("BAD Log in first"),
        (When::Selected, State::Authenticated(_)) => Err("BAD Select a mailbox first"),
        _ => Ok(()),
    }
}

/// Whether EXPUNGE may be told before the command's tagged response. COPY is held to the same: clients send the STORE that
/// marks the originals behind it without waiting, by the same numbers.
pub(super) fn tells_expunge(tagged: &Tagged<'_>) -> bool {
    tagged.uid
        || !matches!(
            tagged.command,
            Command::Fetch { .. } | Command::Store { .. } | Command::Search(_) | Command::Copy { .. }
        )
}
