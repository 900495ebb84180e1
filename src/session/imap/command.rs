//! The command table: a row a command, which says what the command is called, in which state it is allowed, and what it has
//! to do with the selected mailbox. From the rows follows whether EXPUNGE may be told, whether the command goes by message
//! numbers, and whether it can do anything where the mailbox was deleted.
//!
//! RFC 3501 §6.1 to §6.4 (states) and §7.4.1 (an EXPUNGE response must not be sent during FETCH, STORE or SEARCH, whose
//! message numbers it would shift; their UID forms are free of that).

use super::State;
use crate::metrics::Verb;
use crate::proto::imap::{Command, Tagged};

/// The states that a command is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    BeforeLogin,
    LoggedIn,
    Selected,
}

/// What a command has to do with the selected mailbox.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mailbox {
    /// Nothing: where one is selected, it stays so, and its news are told.
    Apart,
    /// The command leaves it.
    Left,
    /// It is what the command is about: all of it, or its news.
    Meant,
    /// The same, by message numbers in arguments and responses: EXPUNGE, which shifts them, has to wait.
    Numbered,
    /// The same, and EXPUNGE is what it answers (RFC 6851 §3.3).
    Moved,
}

/// A command's name, its states, its selected mailbox.
struct Row(&'static str, When, Mailbox);

const fn row(command: &Command<'_>) -> Row {
    use Mailbox::*;
    use When::*;
    match command {
        Command::Capability => Row("CAPABILITY", Always, Apart),
        Command::Id(_) => Row("ID", Always, Apart),
        Command::Noop => Row("NOOP", Always, Meant),
        Command::Logout => Row("LOGOUT", Always, Left),
        Command::Unknown(_) => Row("", Always, Apart),
        Command::StartTls => Row("STARTTLS", BeforeLogin, Apart),
        Command::Login { .. } => Row("LOGIN", BeforeLogin, Apart),
        Command::Authenticate { .. } => Row("AUTHENTICATE", BeforeLogin, Apart),
        Command::Enable(_) => Row("ENABLE", LoggedIn, Apart),
        Command::Namespace => Row("NAMESPACE", LoggedIn, Apart),
        Command::List(_) => Row("LIST", LoggedIn, Apart),
        Command::Lsub { .. } => Row("LSUB", LoggedIn, Apart),
        Command::Create { .. } => Row("CREATE", LoggedIn, Apart),
        Command::Delete { .. } => Row("DELETE", LoggedIn, Apart),
        Command::Rename { .. } => Row("RENAME", LoggedIn, Apart),
        Command::Subscribe { .. } => Row("SUBSCRIBE", LoggedIn, Apart),
        Command::Unsubscribe { .. } => Row("UNSUBSCRIBE", LoggedIn, Apart),
        Command::Status { .. } => Row("STATUS", LoggedIn, Apart),
        Command::Append(_) => Row("APPEND", LoggedIn, Apart),
        Command::Select { .. } => Row("SELECT", LoggedIn, Left),
        Command::Examine { .. } => Row("EXAMINE", LoggedIn, Left),
        Command::Idle => Row("IDLE", LoggedIn, Meant),
        Command::Close => Row("CLOSE", Selected, Left),
        Command::Unselect => Row("UNSELECT", Selected, Left),
        Command::Expunge { .. } => Row("EXPUNGE", Selected, Meant),
        Command::Fetch { .. } => Row("FETCH", Selected, Numbered),
        Command::Store { .. } => Row("STORE", Selected, Numbered),
        Command::Search(_) => Row("SEARCH", Selected, Numbered),
        Command::Copy { .. } => Row("COPY", Selected, Numbered),
        Command::Move { .. } => Row("MOVE", Selected, Moved),
        Command::Check => Row("CHECK", Selected, Meant),
    }
}

/// What the command is called, without UID.
pub(super) const fn name(command: &Command<'_>) -> &'static str {
    row(command).0
}

/// Whether the command fits the state, else what to answer.
pub(super) fn allowed(command: &Command<'_>, state: &State) -> Result<(), &'static str> {
    match (row(command).1, state) {
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
        Command::Noop | Command::Check => Verb::ImapNoop,
        Command::Logout => Verb::ImapLogout,
        Command::StartTls => Verb::ImapStartTls,
        Command::Login { .. } => Verb::ImapLogin,
        Command::Authenticate { .. } => Verb::ImapAuthenticate,
        Command::Select { .. } | Command::Examine { .. } => Verb::ImapSelect,
        Command::Create { .. }
        | Command::Delete { .. }
        | Command::Rename { .. }
        | Command::Subscribe { .. }
        | Command::Unsubscribe { .. } => Verb::ImapMailbox,
        Command::List(_) | Command::Lsub { .. } => Verb::ImapList,
        Command::Status { .. } => Verb::ImapStatus,
        Command::Append(_) => Verb::ImapAppend,
        Command::Fetch { .. } => Verb::ImapFetch,
        Command::Store { .. } => Verb::ImapStore,
        Command::Search(_) => Verb::ImapSearch,
        Command::Copy { .. } => Verb::ImapCopy,
        Command::Move { .. } => Verb::ImapMove,
        Command::Expunge { .. } => Verb::ImapExpunge,
        Command::Close | Command::Unselect => Verb::ImapClose,
        Command::Idle => Verb::ImapIdle,
        Command::Id(_) | Command::Enable(_) | Command::Namespace | Command::Unknown(_) => Verb::ImapOther,
    }
}

/// Whether message numbers in the command mean messages.
pub(super) fn uses_numbers(tagged: &Tagged<'_>) -> bool {
    !tagged.uid && matches!(row(&tagged.command).2, Mailbox::Numbered | Mailbox::Moved)
}

/// Whether EXPUNGE may be told before the command's tagged response. COPY is held back like FETCH: clients send the STORE
/// that marks the originals behind it without waiting, by the same numbers.
pub(super) fn tells_expunge(tagged: &Tagged<'_>) -> bool {
    tagged.uid || row(&tagged.command).2 != Mailbox::Numbered
}

/// Whether the command can do nothing where the selected mailbox was deleted.
pub(super) fn needs_mailbox(tagged: &Tagged<'_>) -> bool {
    !matches!(row(&tagged.command).2, Mailbox::Apart | Mailbox::Left)
}
