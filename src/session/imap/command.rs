//! The command table: in which state each command is allowed, and whether EXPUNGE may be told while it runs.
//!
//! RFC 3501 §6.1 to §6.4 (states) and §7.4.1 (an EXPUNGE response must not be sent during FETCH, STORE or SEARCH, whose
//! message numbers it would shift; their UID forms are free of that).

use super::State;
use crate::metrics::Verb;
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

/// What the command is timed as.
pub(super) fn verb(command: &Command<'_>) -> Verb {
    match command {
        Command::Capability => Verb::ImapCapability,
        Command::Noop => Verb::ImapNoop,
        Command::Logout => Verb::ImapLogout,
        Command::StartTls => Verb::ImapStartTls,
        Command::Login { .. } => Verb::ImapLogin,
        Command::Authenticate { .. } => Verb::ImapAuthenticate,
        Command::Select { .. } | Command::Examine { .. } => Verb::ImapSelect,
        Command::Create { .. } => Verb::ImapMailbox,
        Command::List { .. } => Verb::ImapList,
        Command::Status { .. } => Verb::ImapStatus,
        Command::Append(_) => Verb::ImapAppend,
        Command::Fetch { .. } => Verb::ImapFetch,
        Command::Store { .. } => Verb::ImapStore,
        Command::Search(_) => Verb::ImapSearch,
        Command::Expunge { .. } => Verb::ImapExpunge,
        Command::Close | Command::Unselect => Verb::ImapClose,
        Command::Idle => Verb::ImapIdle,
        Command::Unknown(_) => Verb::ImapOther,
    }
}

/// Whether EXPUNGE may be told before the command's tagged response.
pub(super) fn tells_expunge(tagged: &Tagged<'_>) -> bool {
    tagged.uid || !matches!(tagged.command, Command::Fetch { .. } | Command::Store { .. } | Command::Search(_))
}
