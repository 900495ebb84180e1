//! The names that figures go by: protocols, their commands as they are timed, and the ways in which a session ends.
//!
//! Invariant: the sets are fixed and small, so that a client can't make figures grow: commands that are rare or alike
//! share a name, and what is no command is counted, not named. Submission and LMTP share SMTP's commands.

/// The protocols of sessions, in the order of every array that is indexed by protocol.
pub const PROTOCOLS: [&str; 5] = ["imap", "pop3", "smtp", "submission", "lmtp"];

macro_rules! named {
    ($(#[$head:meta])* $type:ident { $($(#[$doc:meta])* $name:ident => ($family:literal, $label:literal)),* $(,)? }) => {
        $(#[$head])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum $type { $($(#[$doc])* $name),* }

        impl $type {
            /// All of them, in order.
            pub const ALL: &'static [$type] = &[$($type::$name),*];

            /// The group that it belongs to.
            pub fn family(self) -> &'static str {
                match self { $($type::$name => $family),* }
            }

            /// What it is called in figures.
            pub fn name(self) -> &'static str {
                match self { $($type::$name => $label),* }
            }
        }
    };
}

named! {
    /// A command as it is timed; its family is the protocol.
    #[allow(missing_docs)] // the names are those of the protocols
    Verb {
        ImapCapability => ("imap", "CAPABILITY"),
        ImapNoop => ("imap", "NOOP"),
        ImapLogout => ("imap", "LOGOUT"),
        ImapStartTls => ("imap", "STARTTLS"),
        ImapLogin => ("imap", "LOGIN"),
        ImapAuthenticate => ("imap", "AUTHENTICATE"),
        ImapSelect => ("imap", "SELECT"),
        ImapList => ("imap", "LIST"),
        ImapStatus => ("imap", "STATUS"),
        /// CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE.
        ImapMailbox => ("imap", "MAILBOX"),
        ImapAppend => ("imap", "APPEND"),
        ImapFetch => ("imap", "FETCH"),
        ImapStore => ("imap", "STORE"),
        ImapSearch => ("imap", "SEARCH"),
        ImapCopy => ("imap", "COPY"),
        ImapMove => ("imap", "MOVE"),
        ImapExpunge => ("imap", "EXPUNGE"),
        /// CLOSE and UNSELECT.
        ImapClose => ("imap", "CLOSE"),
        /// Until the client is told that it may wait; the waiting is not timed.
        ImapIdle => ("imap", "IDLE"),
        ImapOther => ("imap", "OTHER"),
        Pop3User => ("pop3", "USER"),
        Pop3Pass => ("pop3", "PASS"),
        Pop3Auth => ("pop3", "AUTH"),
        Pop3Stls => ("pop3", "STLS"),
        Pop3Capa => ("pop3", "CAPA"),
        Pop3Stat => ("pop3", "STAT"),
        Pop3List => ("pop3", "LIST"),
        Pop3Uidl => ("pop3", "UIDL"),
        Pop3Retr => ("pop3", "RETR"),
        Pop3Top => ("pop3", "TOP"),
        Pop3Dele => ("pop3", "DELE"),
        Pop3Noop => ("pop3", "NOOP"),
        Pop3Rset => ("pop3", "RSET"),
        Pop3Quit => ("pop3", "QUIT"),
        Pop3Other => ("pop3", "OTHER"),
        /// EHLO, HELO and LHLO.
        SmtpHello => ("smtp", "EHLO"),
        SmtpStartTls => ("smtp", "STARTTLS"),
        SmtpAuth => ("smtp", "AUTH"),
        SmtpMail => ("smtp", "MAIL"),
        SmtpRcpt => ("smtp", "RCPT"),
        /// From the final dot to its reply: how long the message takes to be durable.
        SmtpData => ("smtp", "DATA"),
        /// From the last chunk to its reply.
        SmtpBdat => ("smtp", "BDAT"),
        SmtpRset => ("smtp", "RSET"),
        SmtpNoop => ("smtp", "NOOP"),
        SmtpQuit => ("smtp", "QUIT"),
        SmtpOther => ("smtp", "OTHER"),
    }
}

named! {
    /// Why a session ended.
    Ending {
        /// The client closed the connection.
        Closed => ("ending", "closed"),
        /// The client said LOGOUT or QUIT.
        Logout => ("ending", "logout"),
        /// It was silent for too long.
        Timeout => ("ending", "timeout"),
        /// An administrator ended it.
        Kicked => ("ending", "kicked"),
        /// The server stopped.
        Stopped => ("ending", "stopped"),
        /// Too many refused authentications, or commands without effect.
        Failures => ("ending", "failures"),
        /// The service had as many sessions as it may.
        Full => ("ending", "full"),
        /// There was no TLS handshake.
        Handshake => ("ending", "handshake"),
        /// The connection failed.
        Failed => ("ending", "failed"),
        /// The session's task panicked.
        Panicked => ("ending", "panicked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_apart_and_in_their_places() {
        for (place, verb) in Verb::ALL.iter().enumerate() {
            assert_eq!(*verb as usize, place);
            assert!(PROTOCOLS.contains(&verb.family()));
            let alike = |other: &&Verb| (other.family(), other.name()) == (verb.family(), verb.name());
            assert_eq!(Verb::ALL.iter().filter(alike).count(), 1, "{verb:?}");
        }
        assert!(Ending::ALL.iter().enumerate().all(|(place, ending)| *ending as usize == place));
    }
}
