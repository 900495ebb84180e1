//! Authentication, the same for every protocol: SASL's exchange and the question to the directory.
//!
//! Invariants: secrets are decoded into one buffer that is wiped and moved into a [`Secret`]; acting as somebody else is
//! refused; what failed is not told. No framing here: protocols hand in lines without their CRLF.
//! RFC 4422, RFC 4616.

use std::rc::Rc;

use super::Context;
use super::visit::Visit;
use crate::directory::{Login, Secret, Verdict};
use crate::limits;
use crate::net::Wire;
use crate::proto::sasl::{self, Mechanism, SaslError};
use crate::store::AccountId;

/// A name and a password.
#[derive(Debug)]
pub struct Credentials {
    /// The name, as it came.
    pub name: String,
    /// The password.
    pub password: Secret,
}

/// A user who is who they say.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// Its name.
    pub name: Rc<str>,
    /// Octets of mail that it may hold; `None`: no limit.
    pub quota: Option<u64>,
}

/// How a login ended.
#[derive(Debug)]
pub enum Outcome {
    /// Welcome.
    Granted(Identity),
    /// Wrong name or password; nobody is told which.
    Refused,
    /// Not decided; the client may try again later.
    Unavailable,
}

/// Asks the directory. Who is granted is logged in from here on, where the session is and where it moves to: whoever looks
/// for a user's sessions finds them all.
pub async fn verify(context: &Context, (visit, wire): (&Visit, &Wire), credentials: Credentials) -> Outcome {
    let Credentials { name, password } = credentials;
    let (reply, answer) = context.post.call();
    let (network, service) = (wire.presence().peer().network(), visit.endpoint.protocol.name());
    let login = Login { name, password, network, service };
    context.directory.verify(login, reply);
    let verdict = answer.await;
    context.meter.count(visit.endpoint.protocol.place(), |tally| match &verdict {
        Some(Verdict::Granted { .. }) => tally.logins_granted += 1,
        Some(Verdict::Refused) => {}
        Some(Verdict::Unavailable) | None => tally.logins_unavailable += 1,
    });
    match verdict {
        Some(Verdict::Granted { account, name, quota }) => {
            let identity = Identity { account: AccountId(account), name: name.into(), quota };
            wire.presence().log_in(identity.account, &identity.name);
            Outcome::Granted(identity)
        }
        Some(Verdict::Refused) => {
            refuse(context, visit).await;
            Outcome::Refused
        }
        Some(Verdict::Unavailable) | None => Outcome::Unavailable,
    }
}

/// What a wrong name or password costs, before it is answered; and what can't be a name and a password, since guessing costs
/// time, whatever was wrong.
pub async fn refuse(context: &Context, visit: &Visit) {
    context.meter.count(visit.endpoint.protocol.place(), |tally| tally.logins_refused += 1);
    context.ring.sleep(limits::REFUSED_LOGIN_PAUSE).await;
}

/// One SASL exchange under way.
#[derive(Debug)]
pub struct Exchange {
    mechanism: Mechanism,
    /// LOGIN's name, once it came.
    name: Option<String>,
}

/// What comes next in an exchange.
#[derive(Debug)]
pub enum Step {
    /// Send this (base64) and wait for a line.
    Challenge(&'static str),
    /// The client has said all.
    Credentials(Credentials),
    /// The exchange is over.
    Failed(SaslError),
}

impl Exchange {
    /// Begins, with the initial response where there is one.
    pub fn start(mechanism: Mechanism, initial: Option<&[u8]>) -> (Exchange, Step) {
        let mut exchange = Exchange { mechanism, name: None };
        let step = match (initial, mechanism) {
            (Some(response), _) => exchange.take(response, true),
            (None, Mechanism::Plain) => Step::Challenge(""),
            (None, Mechanism::Login) => Step::Challenge(sasl::LOGIN_NAME_PROMPT),
        };
        (exchange, step)
    }

    /// The client's next line.
    pub fn respond(&mut self, line: &[u8]) -> Step {
        self.take(line, false)
    }

    fn take(&mut self, response: &[u8], initial: bool) -> Step {
        let mut buffer = [0; sasl::MESSAGE_BYTES_MAX];
        let step = sasl::decode(response, initial, &mut buffer).and_then(|length| self.message(&buffer[..length]));
        sasl::wipe(&mut buffer);
        step.unwrap_or_else(Step::Failed)
    }

    fn message(&mut self, message: &[u8]) -> Result<Step, SaslError> {
        match (self.mechanism, self.name.take()) {
            (Mechanism::Plain, _) => {
                let plain = sasl::plain(message)?;
                // RFC 4616 §2: acting as another user needs a right that nobody has here.
                if !plain.authorization.is_empty() && plain.authorization != plain.authentication {
                    return Err(SaslError::Malformed);
                }
                let password = Secret::new(plain.password.as_bytes().to_vec());
                Ok(Step::Credentials(Credentials { name: plain.authentication.to_owned(), password }))
            }
            (Mechanism::Login, None) => {
                self.name = Some(sasl::name(message)?.to_owned());
                Ok(Step::Challenge(sasl::LOGIN_PASSWORD_PROMPT))
            }
            (Mechanism::Login, Some(name)) => {
                let password = Secret::new(sasl::password(message)?.as_bytes().to_vec());
                Ok(Step::Credentials(Credentials { name, password }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(step: Step) -> (String, Vec<u8>) {
        match step {
            Step::Credentials(credentials) => (credentials.name, credentials.password.as_bytes().to_vec()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn plain_with_and_without_an_initial_response() {
        // RFC 4616 §4: "NUL tim NUL tanstaaftanstaaf".
        let message = b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm";
        let expected = ("tim".to_owned(), b"tanstaaftanstaaf".to_vec());
        assert_eq!(credentials(Exchange::start(Mechanism::Plain, Some(message)).1), expected);
        let (mut exchange, step) = Exchange::start(Mechanism::Plain, None);
        assert!(matches!(step, Step::Challenge("")));
        assert_eq!(credentials(exchange.respond(message)), expected);
    }

    #[test]
    fn login_asks_for_both() {
        let (mut exchange, step) = Exchange::start(Mechanism::Login, None);
        assert!(matches!(step, Step::Challenge(sasl::LOGIN_NAME_PROMPT)));
        assert!(matches!(exchange.respond(b"dGlt"), Step::Challenge(sasl::LOGIN_PASSWORD_PROMPT)));
        assert_eq!(credentials(exchange.respond(b"cHc=")), ("tim".to_owned(), b"pw".to_vec()));
    }

    #[test]
    fn acting_as_another_is_refused_and_bad_messages_are_named() {
        // "bob NUL tim NUL pw"
        let (_, step) = Exchange::start(Mechanism::Plain, Some(b"Ym9iAHRpbQBwdw=="));
        assert!(matches!(step, Step::Failed(SaslError::Malformed)));
        let (mut exchange, _) = Exchange::start(Mechanism::Plain, None);
        assert!(matches!(exchange.respond(b"*"), Step::Failed(SaslError::Cancelled)));
        let (mut exchange, _) = Exchange::start(Mechanism::Plain, None);
        assert!(matches!(exchange.respond(b"!!"), Step::Failed(SaslError::NotBase64)));
    }
}
