//! DATA (RFC 5321 §4.1.1.4): the message from the connection into a spool.
//!
//! Only CRLF.CRLF ends it; a message with a bare CR, a bare LF or a NUL is read to that end and refused. Return-Path and
//! Received go in front of it (RFC 5321 §4.4). An [`Arrival`] is the same for BDAT (`chunk`); what becomes of it when it
//! is whole is `outcome`'s business.

use std::io;

use super::outcome::{Reply, storage};
use super::{Dialogue, Next, Session};
use crate::limits;
use crate::metrics::Verb;
use crate::net::Fill;
use crate::proto::calendar::write_header_date;
use crate::proto::smtp::{DataFramer, DataPiece};
use crate::store::Spool;

pub(super) const TOO_LARGE: Reply = (552, "5.3.4", "The message is larger than this server takes");
const UNSAVED: Reply = (451, "4.3.0", "Try again later");
const LOOP: Reply = (554, "5.4.6", "Too many hops: the mail loops");

/// A message that is arriving.
#[derive(Debug)]
pub(super) struct Arrival {
    id: String,
    framer: DataFramer,
    /// `None` once the message is refused: nothing of it is kept while the rest is read.
    spool: Option<Spool>,
    /// Why it is refused when it has come to its end.
    refused: Option<Reply>,
    largest: u64,
}

impl Arrival {
    /// Its id in traces and replies.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Octets of text so far.
    pub(super) fn bytes(&self) -> u64 {
        self.framer.bytes()
    }

    /// Takes what `input` holds of the text: octets to consume, and whether the final dot was among them.
    pub(super) async fn take(&mut self, input: &[u8]) -> (usize, bool) {
        match self.framer.next(input) {
            DataPiece::Partial => (0, false),
            DataPiece::End { consumed, .. } => (consumed, true),
            DataPiece::Text { text, consumed } => {
                if let Some(spool) = &mut self.spool {
                    self.refused = match spool.write(text).await {
                        _ if self.framer.bytes() > self.largest => Some(TOO_LARGE),
                        _ if self.framer.received() > limits::RECEIVED_MAX => Some(LOOP),
                        Ok(()) => None,
                        Err(error) => Some(storage(&error)),
                    };
                    if self.refusal().is_some() {
                        self.spool = None;
                    }
                }
                (consumed, false)
            }
        }
    }

    /// Why it is refused already.
    pub(super) fn refusal(&self) -> Option<Reply> {
        self.framer.violation().map(|violation| violation.reply()).or(self.refused)
    }

    /// The whole message, or why it is refused.
    pub(super) fn end(mut self) -> Result<Spool, Reply> {
        self.framer.end();
        match (self.refusal(), self.spool) {
            (None, Some(spool)) => Ok(spool),
            (refusal, _) => Err(refusal.unwrap_or(UNSAVED)),
        }
    }
}

impl Dialogue {
    pub(super) fn may_send_data(&mut self) -> Next {
        match &self.transaction {
            None => self.idly(503, "5.5.1", "MAIL and RCPT come first"),
            Some(transaction) if transaction.arrival.is_some() => {
                // RFC 3030 §2: DATA and BDAT don't mix; what came in chunks is forgotten.
                self.transaction = None;
                self.idly(503, "5.5.1", "The message has begun with BDAT: the transaction is over")
            }
            Some(transaction) if transaction.recipients.is_empty() => {
                let (code, enhanced, text) = self.no_recipients();
                self.idly(code, enhanced, text)
            }
            Some(_) => {
                self.reply(354, "", "End the message with a line of a dot alone");
                Next::Data
            }
        }
    }

    /// RFC 2033 §4.2: 503 in LMTP; in SMTP 554 tells what is missing (RFC 5321 §3.3).
    pub(super) fn no_recipients(&self) -> Reply {
        (if self.speaks_lmtp() { 503 } else { 554 }, "5.5.1", "No valid recipients")
    }

    /// Begins to take a message: its trace lines go into the spool.
    pub(super) async fn arrive(&mut self, framer: DataFramer) -> Arrival {
        let (trace, id) = self.trace();
        let mut spool = self.context.store.spool();
        let refused = spool.write(&trace).await.err().map(|error| storage(&error));
        let spool = refused.is_none().then_some(spool);
        Arrival { id, framer, spool, refused, largest: self.context.config.max_message_bytes }
    }

    /// The lines that this hop adds, and the message's id.
    fn trace(&mut self) -> (Vec<u8>, String) {
        let now = (self.context.clock)();
        let taken = self.context.taken.get() + 1;
        self.context.taken.set(taken);
        let id = format!("{now:x}-{:x}-{taken:x}", self.context.shard);
        let Some(transaction) = &self.transaction else { return (Vec::new(), id) };
        let name = self.hello.as_ref().map_or("unknown", |hello| &*hello.domain);
        let protocol = self.protocol(transaction.utf8);
        let network = self.wire.presence().peer().network();
        let address = if network.is_ipv6() { format!("[IPv6:{network}]") } else { format!("[{network}]") };
        let host = &self.context.config.hostname;
        // One recipient may be named; several would tell them of each other.
        let one = match transaction.recipients.as_slice() {
            [recipient] => format!("\r\n\tfor <{}>", recipient.path),
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

    /// What was spoken, by the names of RFC 3848 and, with SMTPUTF8, RFC 6531 §4.3.
    fn protocol(&self, utf8: bool) -> String {
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        let name = match (self.speaks_lmtp(), utf8, extended) {
            (true, true, _) => "UTF8LMTP",
            (true, false, _) => "LMTP",
            (false, true, _) => "UTF8SMTP",
            (false, false, true) => "ESMTP",
            (false, false, false) => return "SMTP".to_owned(),
        };
        let tls = if self.wire.is_tls() { "S" } else { "" };
        let authenticated = if self.identity.is_some() { "A" } else { "" };
        format!("{name}{tls}{authenticated}")
    }
}

impl Session {
    pub(super) async fn data(&mut self) -> io::Result<Next> {
        let mut arrival = self.dialogue.arrive(DataFramer::default()).await;
        loop {
            let (consumed, over) = arrival.take(self.input.octets()).await;
            self.input.consume(consumed);
            if over {
                let begun = self.dialogue.context.begin(&self.dialogue.wire, Verb::SmtpData);
                self.dialogue.finish(arrival).await?;
                self.dialogue.context.end(&self.dialogue.wire, begun);
                return Ok(Next::Command);
            }
            if consumed == 0
                && let Some(next) = self.wait_for_text().await?
            {
                return Ok(next);
            }
        }
    }

    /// `Some`: the dialogue is over.
    pub(super) async fn wait_for_text(&mut self) -> io::Result<Option<Next>> {
        let Dialogue { wire, context, visit, .. } = &mut self.dialogue;
        match visit.wait_for_transfer(context, (&mut self.input, wire)).await? {
            Fill::More => return Ok(None),
            Fill::End => {}
            Fill::Timeout => self.dialogue.say_goodbye(),
        }
        Ok(Some(Next::Over))
    }
}
