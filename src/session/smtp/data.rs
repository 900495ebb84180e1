//! DATA (RFC 5321 §4.1.1.4): the message from the connection into a spool, through delivery, to `250`.
//!
//! Only CRLF.CRLF ends it; a message with a bare CR, a bare LF or a NUL is read to that end and refused. Return-Path and
//! Received go in front of it (RFC 5321 §4.4).

use std::io;

use super::{Dialogue, Next, Session};
use crate::limits;
use crate::net::Fill;
use crate::proto::calendar::write_header_date;
use crate::proto::smtp::{DataFramer, DataPiece};
use crate::session;
use crate::store::{AccountId, Body, Date, DeliveryEnvelope, Error, Flags, NewMessage, Spool};

/// A reply: its code, enhanced code and text.
type Reply = (u16, &'static str, &'static str);

const TOO_LARGE: Reply = (552, "5.3.4", "The message is larger than this server takes");
const LOOP: Reply = (554, "5.4.6", "Too many hops: the mail loops");

fn storage(error: &Error) -> Reply {
    tracing::warn!(%error, "the store refused a message");
    match error {
        Error::Full => (452, "4.3.1", "No room, try again later"),
        _ => (451, "4.3.0", "The mail store can't take it now, try again later"),
    }
}

impl Dialogue {
    pub(super) fn may_send_data(&mut self) -> Next {
        match &self.transaction {
            None => self.idly(503, "5.5.1", "MAIL and RCPT come first"),
            Some(transaction) if transaction.recipients.is_empty() => self.idly(554, "5.5.1", "No valid recipients"),
            Some(_) => {
                self.reply(354, "", "End the message with a line of a dot alone");
                Next::Data
            }
        }
    }

    /// The lines that this hop adds, and the message's id.
    fn trace(&mut self) -> (Vec<u8>, String) {
        let now = (self.context.clock)();
        let taken = self.context.taken.get() + 1;
        self.context.taken.set(taken);
        let id = format!("{now:x}-{:x}-{taken:x}", self.context.shard);
        let Some(transaction) = &self.transaction else { return (Vec::new(), id) };
        let (name, extended) = self.hello.as_ref().map_or(("unknown", false), |hello| (&*hello.domain, hello.extended));
        // RFC 3848: what was spoken.
        let protocol = match (extended, self.wire.is_tls(), self.identity.is_some()) {
            (false, _, _) => "SMTP",
            (true, false, false) => "ESMTP",
            (true, true, false) => "ESMTPS",
            (true, false, true) => "ESMTPA",
            (true, true, true) => "ESMTPSA",
        };
        let network = self.peer.network();
        let address = if network.is_ipv6() { format!("[IPv6:{network}]") } else { format!("[{network}]") };
        let host = &self.context.config.hostname;
        // One recipient may be named; several would tell them of each other.
        let one = match transaction.recipients.as_slice() {
            [(recipient, _)] => format!("\r\n\tfor <{recipient}>"),
            _ => String::new(),
        };
        let mut out = format!(
            "Return-Path: <{}>\r\nReceived: from {name} ({address})\r\n\tby {host} with {protocol} id {id}{one};\r\n\t",
            transaction.reverse_path
        )
        .into_bytes();
        write_header_date(&mut out, now, 0);
        out.extend_from_slice(b"\r\n");
        (out, id)
    }

    async fn finish(&mut self, spool: Spool, id: &str) {
        let Some(transaction) = self.transaction.take() else { return };
        let mut accounts: Vec<AccountId> = transaction.recipients.iter().map(|(_, account)| *account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let result = match spool.finish().await {
            Ok(body) => self.deliver(body, *transaction, &accounts).await,
            Err(error) => Err(storage(&error)),
        };
        match result {
            Ok(()) => {
                tracing::info!(id, client = %self.peer.client, recipients = accounts.len(), "delivered");
                self.idle_commands = 0;
                self.reply(250, "2.0.0", &format!("OK id={id}"));
            }
            Err((code, enhanced, text)) => self.reply(code, enhanced, text),
        }
    }

    async fn deliver(
        &mut self,
        body: Body,
        transaction: super::Transaction,
        accounts: &[AccountId],
    ) -> Result<(), Reply> {
        let Some(structure) = session::structure(&self.context, &body).await else {
            return Err((451, "4.3.0", "The message could not be taken apart"));
        };
        let now = (self.context.clock)();
        let message = NewMessage {
            body,
            structure,
            internal_date: Date { seconds: now, offset_minutes: 0 },
            saved_at: now,
            flags: Flags::NONE,
            keywords: Vec::new(),
            delivery: Some(DeliveryEnvelope {
                return_path: transaction.reverse_path,
                recipients: transaction.recipients.into_iter().map(|(recipient, _)| recipient).collect(),
            }),
        };
        self.context.delivery.deliver(message, accounts).await.map_err(|error| storage(&error))
    }
}

impl Session {
    pub(super) async fn data(&mut self) -> io::Result<Next> {
        let (trace, id) = self.dialogue.trace();
        let mut spool = Some(self.dialogue.context.store.spool());
        let mut refused = None;
        if let Some(open) = &mut spool
            && let Err(error) = open.write(&trace).await
        {
            refused = Some(storage(&error));
        }
        let mut framer = DataFramer::default();
        let largest = self.dialogue.context.config.max_message_bytes;
        loop {
            match framer.next(self.input.octets()) {
                DataPiece::Partial => {
                    if let Some(next) = self.wait_for_text().await? {
                        return Ok(next);
                    }
                }
                DataPiece::Text { text, consumed } => {
                    if refused.is_none()
                        && let Some(open) = &mut spool
                    {
                        refused = match open.write(text).await {
                            _ if framer.bytes() > largest => Some(TOO_LARGE),
                            _ if framer.received() > limits::RECEIVED_MAX => Some(LOOP),
                            Ok(()) => None,
                            Err(error) => Some(storage(&error)),
                        };
                    }
                    if refused.is_some() {
                        spool = None;
                    }
                    self.input.consume(consumed);
                }
                DataPiece::End { consumed, violation } => {
                    self.input.consume(consumed);
                    let refused = violation.map(|violation| violation.reply()).or(refused);
                    match (refused, spool) {
                        (None, Some(spool)) => self.dialogue.finish(spool, &id).await,
                        (refused, _) => {
                            self.dialogue.transaction = None;
                            let (code, enhanced, text) = refused.unwrap_or((451, "4.3.0", "Try again later"));
                            self.dialogue.reply(code, enhanced, text);
                        }
                    }
                    return Ok(Next::Command);
                }
            }
        }
    }

    /// `Some`: the dialogue is over.
    async fn wait_for_text(&mut self) -> io::Result<Option<Next>> {
        let dialogue = &mut self.dialogue;
        dialogue.wire.flush().await?;
        dialogue.wire.set_deadline(dialogue.endpoint.idle_timeout());
        Ok(match self.input.wait(&mut dialogue.wire).await? {
            Fill::More => None,
            Fill::End => Some(Next::Over),
            // The server stops: a transfer that is under way may go on until the drain's end.
            Fill::Timeout if dialogue.context.stopping.get() && !dialogue.context.hurry.get() => None,
            Fill::Timeout => {
                dialogue.say_goodbye();
                Some(Next::Over)
            }
        })
    }
}
