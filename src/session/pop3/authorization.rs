//! The AUTHORIZATION state: USER and PASS (RFC 1939 §7), AUTH (RFC 5034), STLS (RFC 2595 §4).
//!
//! Invariants: every refusal has the same text and takes the same time; after `auth_tries` of them the connection is
//! closed. A name and a password are never taken where the connection doesn't allow them. What a login is answered depends
//! on the maildrop, so the answer is given where that is opened.

use std::io;

use super::maildrop::{Maildrop, Unopened};
use super::{Dialogue, Next, Session, State, refusal};
use crate::directory::Secret;
use crate::limits;
use crate::metrics::Ending;
use crate::proto::imap::respond::number;
use crate::proto::pop3::{Command, Line};
use crate::proto::sasl::{self, Mechanism, SaslError};
use crate::session::login::{self, Credentials, Exchange, Identity, Outcome, Step};

// No response code: the credentials are not at fault, and a client need not ask for others (RFC 3206 §5).
const PRIVACY: &str = "Use TLS first: no password is taken on this connection";

impl Dialogue {
    pub(super) async fn authorize(&mut self, command: Command<'_>) -> io::Result<Next> {
        match command {
            Command::Stls => return Ok(self.may_start_tls()),
            Command::User { .. } | Command::Pass { .. } | Command::Auth { .. }
                if !self.visit.allows_password(&self.wire) =>
            {
                self.err(PRIVACY);
            }
            Command::User { name } => {
                self.state = State::Authorization(Some(name.into()));
                // Whether there is such a user is not told.
                self.ok("Send the password");
            }
            Command::Pass { password } => return self.pass(password).await,
            Command::Auth { mechanism: None, .. } => self.mechanisms(),
            Command::Auth { mechanism: Some(mechanism), initial } => match Mechanism::named(mechanism) {
                Some(mechanism) => {
                    let (exchange, step) = Exchange::start(mechanism, initial);
                    return self.advance_exchange(exchange, step).await;
                }
                None => self.err("No such authentication mechanism"),
            },
            Command::Apop => self.err("APOP is off: use AUTH, or USER and PASS"),
            _ => self.err("Log in first"),
        }
        Ok(Next::Command)
    }

    fn may_start_tls(&mut self) -> Next {
        if !self.visit.offers_starttls(&self.wire) {
            self.err(if self.wire.is_tls() { "TLS is on already" } else { "TLS is not offered here" });
            return Next::Command;
        }
        self.ok("Begin TLS negotiation now");
        Next::StartTls
    }

    async fn pass(&mut self, password: &[u8]) -> io::Result<Next> {
        let State::Authorization(name) = &mut self.state else { return Ok(Next::Command) };
        // RFC 1939 §7: right after a USER, so that each try begins with one.
        let Some(name) = name.take() else {
            self.err("Send USER first");
            return Ok(Next::Command);
        };
        match (sasl::name(&name), sasl::password(password)) {
            (Ok(name), Ok(_)) => {
                let credentials = Credentials { name: name.to_owned(), password: Secret::new(password.to_vec()) };
                self.verify(credentials).await
            }
            _ => self.malformed().await,
        }
    }

    async fn advance_exchange(&mut self, exchange: Exchange, step: Step) -> io::Result<Next> {
        match step {
            Step::Challenge(challenge) => Ok(Next::Authenticate(exchange, challenge)),
            Step::Credentials(credentials) => self.verify(credentials).await,
            Step::Failed(SaslError::Cancelled) => {
                self.err("Authentication cancelled");
                Ok(Next::Command)
            }
            Step::Failed(_) => self.malformed().await,
        }
    }

    /// What can't be a name and a password is answered as wrong ones are, and as late.
    async fn malformed(&mut self) -> io::Result<Next> {
        self.wire.flush().await?;
        login::refuse(&self.context, &self.visit).await;
        Ok(self.refused())
    }

    async fn verify(&mut self, credentials: Credentials) -> io::Result<Next> {
        // The hash may take a while: what was answered before it goes out now.
        self.wire.flush().await?;
        Ok(match login::verify(&self.context, (&self.visit, &self.wire), credentials).await {
            Outcome::Granted(identity) if identity.account.shard(self.context.shards) != self.context.shard => {
                Next::Move(identity)
            }
            Outcome::Granted(identity) => self.open(identity).await,
            Outcome::Refused => self.refused(),
            Outcome::Unavailable => {
                self.err("[SYS/TEMP] Authentication is not possible now, try again later");
                Next::Command
            }
        })
    }

    fn refused(&mut self) -> Next {
        self.err("[AUTH] Authentication failed");
        if !self.visit.has_failed_enough() {
            return Next::Command;
        }
        self.wire.presence().ending(Ending::Failures);
        Next::Over
    }

    /// Opens the maildrop of a user who has authenticated, and answers the login. Without a maildrop the dialogue is over
    /// (RFC 1939 §4 allows that): the connection may be on its second shard, and does not go on to a third.
    pub(super) async fn open(&mut self, identity: Identity) -> Next {
        match Maildrop::open(&self.context, identity.account).await {
            Ok(maildrop) => {
                let (messages, octets) = maildrop.stat();
                self.state = State::Transaction(Box::new(maildrop));
                let out = self.wire.output();
                out.extend_from_slice(b"+OK Welcome: ");
                number(out, u64::from(messages));
                out.extend_from_slice(b" messages (");
                number(out, octets);
                out.extend_from_slice(b" octets)\r\n");
                Next::Command
            }
            Err(Unopened::InUse) => {
                self.err("[IN-USE] Another session has this maildrop open");
                Next::Over
            }
            Err(Unopened::Store(error)) => {
                self.err(refusal(&error));
                Next::Over
            }
        }
    }
}

impl Session {
    /// Sends the challenge and takes the client's lines until the exchange is over.
    pub(super) async fn authenticate(&mut self, exchange: Exchange, challenge: &'static str) -> io::Result<Next> {
        let (mut exchange, mut challenge) = (exchange, challenge);
        loop {
            self.dialogue.status("+ ", challenge);
            let length = loop {
                match self.dialogue.framer.next(self.input.octets(), limits::SASL_LINE_BYTES_MAX) {
                    Line::Complete { length } => break length,
                    Line::Partial => match self.more().await? {
                        Next::Command => {}
                        other => return Ok(other),
                    },
                    Line::Refused { .. } | Line::Skipped { .. } => {
                        self.dialogue.err("That is no line of an answer");
                        return Ok(Next::Over);
                    }
                }
            };
            let step = exchange.respond(&self.input.octets()[..length - 2]);
            self.input.consume(length);
            match self.dialogue.advance_exchange(exchange, step).await? {
                Next::Authenticate(next, text) => (exchange, challenge) = (next, text),
                other => return Ok(other),
            }
        }
    }
}
