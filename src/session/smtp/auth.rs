//! AUTH (RFC 4954).
//!
//! Every refusal is alike, and takes the same time; after `auth_tries` of them the connection is closed. Not within a
//! transaction, not twice, and not in the clear where the listener doesn't allow it.

use std::io;

use super::{Dialogue, Next, Session};
use crate::limits;
use crate::metrics::Ending;
use crate::proto::sasl::{Mechanism, SaslError};
use crate::proto::smtp::Line;
use crate::session::login::{self, Exchange, Outcome, Step};

impl Dialogue {
    pub(super) async fn may_authenticate(&mut self, mechanism: &str, initial: Option<&[u8]>) -> io::Result<Next> {
        if self.hello.as_ref().is_none_or(|hello| !hello.extended) {
            return Ok(self.idly(503, "5.5.1", "Say EHLO first"));
        }
        if self.identity.is_some() || self.transaction.is_some() {
            // RFC 4954 §4: not twice, and not within a transaction.
            return Ok(self.idly(503, "5.5.1", "Not now"));
        }
        if !self.allows_password() {
            let offered = self.visit.endpoint.listener.password;
            return Ok(match offered {
                true => self.idly(538, "5.7.11", "Use TLS first: no password is taken on this connection"),
                false => self.idly(503, "5.7.4", "AUTH is not offered here"),
            });
        }
        let Some(mechanism) = Mechanism::named(mechanism) else {
            return Ok(self.idly(504, "5.5.4", "No such authentication mechanism"));
        };
        let (exchange, step) = Exchange::start(mechanism, initial);
        self.advance_exchange(exchange, step).await
    }

    async fn advance_exchange(&mut self, exchange: Exchange, step: Step) -> io::Result<Next> {
        let credentials = match step {
            Step::Challenge(challenge) => return Ok(Next::Authenticate(exchange, challenge)),
            Step::Credentials(credentials) => credentials,
            Step::Failed(SaslError::Cancelled) => return Ok(self.idly(501, "5.7.0", "Authentication cancelled")),
            Step::Failed(error) => {
                // What can't be a name and a password is answered as late as wrong ones are.
                self.wire.flush().await?;
                login::refuse(&self.context, &self.visit).await;
                return Ok(self.refused(501, "5.5.2", error.text()));
            }
        };
        // The hash may take a while: what was answered before it goes out now.
        self.wire.flush().await?;
        Ok(match login::verify(&self.context, (&self.visit, &self.wire), credentials).await {
            Outcome::Granted(identity) => {
                self.identity = Some(identity);
                self.reply(235, "2.7.0", "Welcome");
                Next::Command
            }
            Outcome::Refused => self.refused(535, "5.7.8", "Authentication failed"),
            Outcome::Unavailable => self.idly(454, "4.7.0", "Authentication is not possible now, try again later"),
        })
    }

    fn refused(&mut self, code: u16, enhanced: &str, text: &str) -> Next {
        if !self.visit.has_failed_enough() {
            self.reply(code, enhanced, text);
            return Next::Command;
        }
        self.wire.presence().ending(Ending::Failures);
        self.reply(421, "4.7.0", "Too many failed authentications");
        Next::Over
    }
}

impl Session {
    /// Sends the challenge and takes the client's lines until the exchange is over.
    pub(super) async fn authenticate(&mut self, exchange: Exchange, challenge: &'static str) -> io::Result<Next> {
        let (mut exchange, mut challenge) = (exchange, challenge);
        loop {
            self.dialogue.reply(334, "", challenge);
            let length = loop {
                match self.dialogue.framer.next(self.input.octets(), limits::SASL_LINE_BYTES_MAX) {
                    Line::Complete { length } => break length,
                    Line::Partial => {
                        if !matches!(self.more().await?, Next::Command) {
                            return Ok(Next::Over);
                        }
                    }
                    Line::Refused { .. } | Line::Skipped { .. } => {
                        self.dialogue.reply(500, "5.5.6", "That is no line of an answer");
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
