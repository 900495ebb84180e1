//! A client's visit: what every dialogue does alike, whatever is spoken.
//!
//! Invariants: a wait for the client has a deadline, and ends when the server stops; a stranger's ends when it should have
//! logged in; after a switch to TLS nothing that was received in the clear is left. It says nothing to the client: words
//! are the protocols' own.
//! RFC 3207 §4.2, RFC 3501 §6.2.1, RFC 2595 §4 (switching to TLS).

use std::io;
use std::sync::Arc;
use std::task::Poll;

use super::{Context, Endpoint};
use crate::limits;
use crate::net::{Fill, Input, Wire};

/// What a session knows of its client.
#[derive(Debug)]
pub struct Visit {
    /// The listener that the client came to.
    pub endpoint: Arc<Endpoint>,
    /// Failed authentications.
    failures: u32,
}

impl Visit {
    /// A visit at a listener.
    pub fn new(endpoint: Arc<Endpoint>) -> Visit {
        Visit { endpoint, failures: 0 }
    }

    /// The greeting's text.
    pub fn greeting(&self, wire: &Wire) -> &str {
        let service = &self.endpoint.service;
        let text = if wire.is_tls() { &service.greeting_tls } else { &service.greeting };
        text.as_deref().unwrap_or("Ringpost ready")
    }

    /// May STARTTLS be sent now?
    pub fn offers_starttls(&self, wire: &Wire) -> bool {
        self.endpoint.offers_starttls(wire.is_tls())
    }

    /// May a name and a password be sent now?
    pub fn allows_password(&self, wire: &Wire) -> bool {
        self.endpoint.allows_password(wire.is_tls(), wire.presence().peer())
    }

    /// Counts a failed authentication; true: that was the last one that is answered.
    pub fn has_failed_enough(&mut self) -> bool {
        self.failures += 1;
        self.failures >= self.endpoint.listener.auth_tries
    }

    /// Waits for input, once what was answered so far is on its way. `stranger`: who should have logged in by now.
    /// [`Fill::Timeout`]: the client was silent for too long, or the server stops ([`Context::stopping`]).
    pub fn wait<'a>(
        &self,
        context: &Context,
        (input, wire): (&'a mut Input, &'a mut Wire),
        stranger: bool,
    ) -> impl Future<Output = io::Result<Fill>> + use<'a> {
        let stopping = context.stopping.get();
        let idle = wire.ring().now() + self.endpoint.idle_timeout();
        let login = wire.presence().since() + limits::LOGIN_TIME_MAX;
        wire.set_deadline_at(if stranger { idle.min(login) } else { idle });
        std::future::poll_fn(move |polled| match stopping {
            true => Poll::Ready(Ok(Fill::Timeout)),
            false => input.poll_fill(wire, polled),
        })
    }

    /// Waits for more of a message that is on its way. [`Fill::Timeout`]: the client was silent for too long or is to go;
    /// where the server stops, a message may go on until the drain's end.
    pub async fn wait_for_transfer(
        &self,
        context: &Context,
        (input, wire): (&mut Input, &mut Wire),
    ) -> io::Result<Fill> {
        wire.flush().await?;
        loop {
            wire.set_deadline(self.endpoint.idle_timeout());
            match input.wait(wire).await? {
                Fill::Timeout if context.lets_transfers_end(wire) => {}
                fill => return Ok(fill),
            }
        }
    }

    /// Counts what was no command.
    pub fn count_bad(&self, context: &Context) {
        context.meter.count(self.endpoint.protocol.place(), |tally| tally.bad_commands += 1);
    }

    /// Sends the answer that confirms it, and does the handshake. What came in the clear is thrown away before the answer is
    /// sent: a client sends its handshake only after it, so whatever is injected later is no TLS record and fails the
    /// handshake.
    pub async fn start_tls(&self, (input, wire): (&mut Input, &mut Wire)) -> io::Result<()> {
        let Some(config) = &self.endpoint.tls else { return Err(io::ErrorKind::Unsupported.into()) };
        wire.discard(input);
        wire.flush().await?;
        wire.begin_tls(config)?;
        wire.handshake(input, limits::HANDSHAKE_TIME_MAX).await
    }
}
