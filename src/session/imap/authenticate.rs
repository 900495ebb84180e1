//! LOGIN and AUTHENTICATE (RFC 3501 §6.2.2, §6.2.3; RFC 4959).
//!
//! Every refusal has the same text; after `auth_tries` of them the connection is closed. A name and a password are never
//! taken where the connection doesn't allow them, whatever the client sends.

use std::io;

use super::{Dialogue, Next, Session, State, User};
use crate::directory::Secret;
use crate::limits;
use crate::metrics::Ending;
use crate::proto::imap::Frame;
use crate::proto::sasl::{self, Mechanism, SaslError};
use crate::session::login::{self, Credentials, Exchange, Identity, Outcome, Step};

/// An exchange that waits for the client's next line.
pub(super) struct Pending {
    tag: Box<str>,
    exchange: Exchange,
    challenge: &'static str,
}

const FAILED: &str = "NO [AUTHENTICATIONFAILED] Authentication failed";
const PRIVACY: &str = "NO [PRIVACYREQUIRED] Use TLS first: no password is taken on this connection";

impl Dialogue {
    pub(super) async fn login(&mut self, tag: &str, user: &[u8], password: &[u8]) -> io::Result<Next> {
        if !self.allows_password() {
            self.answer(tag, PRIVACY);
            return Ok(Next::Command);
        }
        let (Ok(name), Ok(_)) = (sasl::name(user), sasl::password(password)) else {
            return self.malformed(tag, FAILED).await;
        };
        let credentials = Credentials { name: name.to_owned(), password: Secret::new(password.to_vec()) };
        self.verify(tag, credentials).await
    }

    pub(super) async fn may_authenticate(
        &mut self,
        tag: &str,
        mechanism: &str,
        initial: Option<&[u8]>,
    ) -> io::Result<Next> {
        if !self.allows_password() {
            self.answer(tag, PRIVACY);
            return Ok(Next::Command);
        }
        let Some(mechanism) = Mechanism::named(mechanism) else {
            self.answer(tag, "NO [CANNOT] No such authentication mechanism");
            return Ok(Next::Command);
        };
        let (exchange, step) = Exchange::start(mechanism, initial);
        self.advance_exchange(tag.into(), exchange, step).await
    }

    async fn advance_exchange(&mut self, tag: Box<str>, exchange: Exchange, step: Step) -> io::Result<Next> {
        match step {
            Step::Challenge(challenge) => Ok(Next::Authenticate(Box::new(Pending { tag, exchange, challenge }))),
            Step::Credentials(credentials) => self.verify(&tag, credentials).await,
            Step::Failed(SaslError::Cancelled) => {
                self.answer(&tag, "BAD Authentication cancelled");
                Ok(Next::Command)
            }
            Step::Failed(SaslError::NotBase64) => self.malformed(&tag, "BAD The response is not base64").await,
            Step::Failed(_) => self.malformed(&tag, FAILED).await,
        }
    }

    /// What can't be a name and a password is answered as late as wrong ones are.
    async fn malformed(&mut self, tag: &str, text: &str) -> io::Result<Next> {
        self.wire.flush().await?;
        login::refuse(&self.context, &self.visit).await;
        Ok(self.refused(tag, text))
    }

    async fn verify(&mut self, tag: &str, credentials: Credentials) -> io::Result<Next> {
        // The hash may take a while: what was answered before it goes out now.
        self.wire.flush().await?;
        match login::verify(&self.context, (&self.visit, &self.wire), credentials).await {
            Outcome::Granted(identity) => Ok(self.welcome(tag, identity)),
            Outcome::Refused => Ok(self.refused(tag, FAILED)),
            Outcome::Unavailable => {
                self.answer(tag, "NO [UNAVAILABLE] Authentication is not possible now, try again later");
                Ok(Next::Command)
            }
        }
    }

    fn welcome(&mut self, tag: &str, identity: Identity) -> Next {
        let out = self.wire.output();
        out.extend_from_slice(tag.as_bytes());
        out.extend_from_slice(b" OK [CAPABILITY ");
        super::capability::write(out, true, false, false);
        out.extend_from_slice(b"] Welcome\r\n");
        if identity.account.shard(self.context.shards) != self.context.shard {
            return Next::Move(Box::new(identity));
        }
        self.state = State::Authenticated(User::new(&identity));
        Next::Command
    }

    fn refused(&mut self, tag: &str, text: &str) -> Next {
        self.answer(tag, text);
        if !self.visit.has_failed_enough() {
            return Next::Command;
        }
        self.wire.presence().ending(Ending::Failures);
        self.put("* BYE Too many failed authentications\r\n");
        Next::Over
    }
}

impl Session {
    /// Sends the challenge and takes the client's lines until the exchange is over.
    pub(super) async fn authenticate(&mut self, mut pending: Pending) -> io::Result<Next> {
        loop {
            self.dialogue.put("+ ");
            self.dialogue.put(pending.challenge);
            self.dialogue.put("\r\n");
            let Some(length) = self.line(limits::SASL_LINE_BYTES_MAX).await? else { return Ok(Next::Over) };
            let line = &self.input.octets()[..length - 2];
            let step = pending.exchange.respond(line);
            self.input.consume(length);
            match self.dialogue.advance_exchange(pending.tag, pending.exchange, step).await? {
                Next::Authenticate(next) => pending = *next,
                other => return Ok(other),
            }
        }
    }

    /// Waits for one line, of which it gives the length with its CRLF. `None`: the connection is over, and it was said why.
    pub(super) async fn line(&mut self, bytes_max: usize) -> io::Result<Option<usize>> {
        loop {
            let dialogue = &mut self.dialogue;
            match dialogue.framer.next_line(self.input.octets(), bytes_max, dialogue.limits()) {
                Frame::Command { length } => return Ok(Some(length)),
                Frame::Partial => {
                    if !matches!(self.more().await?, Next::Command) {
                        return Ok(None);
                    }
                }
                _ => {
                    dialogue.put("* BYE That is no line of an answer\r\n");
                    return Ok(None);
                }
            }
        }
    }
}
