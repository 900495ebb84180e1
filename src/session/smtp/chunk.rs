//! BDAT (RFC 3030): the message in chunks of an announced length.
//!
//! Invariants: the octets of a chunk are never read as commands, also where it is refused: they are read and thrown away,
//! or, where they are more than [`limits::CHUNK_SKIP_BYTES_MAX`] or those of a stranger who may not speak, the connection
//! ends. After a refusal the transaction is over, so that no message is made of what is left of it. The text is held to what
//! DATA asks of it (BINARYMIME is not offered), but that its last line may lack a CRLF, which is not added.

use std::io;

use super::data::TOO_LARGE;
use super::outcome::Reply;
use super::{Next, Session};
use crate::limits;
use crate::metrics::Verb;
use crate::proto::smtp::DataFramer;

const OUT_OF_SEQUENCE: Reply = (503, "5.5.1", "MAIL and RCPT come first");

impl Session {
    /// Takes the chunk of `bytes` octets that begins where the input does.
    pub(super) async fn chunk(&mut self, bytes: u64, last: bool) -> io::Result<Next> {
        let arrival = match self.begin_chunk(bytes).await {
            Ok(arrival) => arrival,
            Err(refusal) => return self.refuse_chunk(bytes, last, refusal).await,
        };
        let mut arrival = arrival;
        let mut left = bytes;
        while left > 0 {
            let octets = self.input.octets();
            let here = octets.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let (consumed, _) = arrival.take(&octets[..here]).await;
            self.input.consume(consumed);
            left -= consumed as u64;
            if consumed == 0
                && let Some(next) = self.wait_for_text().await?
            {
                return Ok(next);
            }
        }
        let dialogue = &mut self.dialogue;
        if last {
            let begun = dialogue.context.begin(&dialogue.wire, Verb::SmtpBdat);
            dialogue.finish(arrival).await?;
            dialogue.context.end(&dialogue.wire, begun);
            return Ok(Next::Command);
        }
        if let Some((code, enhanced, text)) = arrival.refusal() {
            dialogue.owed = dialogue.transaction.take().map_or(0, |transaction| transaction.recipients.len());
            return Ok(dialogue.idly(code, enhanced, text));
        }
        if let Some(transaction) = &mut dialogue.transaction {
            transaction.arrival = Some(arrival);
        }
        let text = format!("{bytes} octets received");
        if bytes < limits::CHUNK_BYTES_MIN {
            return Ok(dialogue.idly(250, "2.0.0", &text));
        }
        dialogue.reply(250, "2.0.0", &text);
        Ok(Next::Command)
    }

    /// The message so far, out of the transaction, for a chunk that may come; or why it may not.
    async fn begin_chunk(&mut self, bytes: u64) -> Result<super::data::Arrival, Reply> {
        let dialogue = &mut self.dialogue;
        if dialogue.lacks_tls() {
            return Err((530, "5.7.0", "Must issue a STARTTLS command first"));
        }
        let Some(transaction) = &mut dialogue.transaction else { return Err(OUT_OF_SEQUENCE) };
        if transaction.recipients.is_empty() {
            return Err(dialogue.no_recipients());
        }
        let arrival = match transaction.arrival.take() {
            Some(arrival) => arrival,
            None => dialogue.arrive(DataFramer::of_chunks()).await,
        };
        match arrival.bytes().checked_add(bytes) {
            Some(bytes) if bytes <= dialogue.context.config.max_message_bytes => Ok(arrival),
            _ => Err(TOO_LARGE),
        }
    }

    /// Ends the transaction, and reads the chunk away before the answer (RFC 3030 §2).
    async fn refuse_chunk(&mut self, bytes: u64, last: bool, refusal: Reply) -> io::Result<Next> {
        let transaction = self.dialogue.transaction.take();
        let (code, enhanced, text) = refusal;
        if bytes > limits::CHUNK_SKIP_BYTES_MAX || self.dialogue.may_not_speak() {
            self.dialogue.reply(code, enhanced, text);
            return Ok(Next::Over);
        }
        let mut left = bytes;
        while left > 0 {
            let here = self.input.octets().len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.input.consume(here);
            left -= here as u64;
            if here == 0
                && let Some(next) = self.wait_for_text().await?
            {
                return Ok(next);
            }
        }
        if self.dialogue.has_idled_enough() {
            return Ok(Next::Over);
        }
        let recipients = transaction.map_or(self.dialogue.owed, |transaction| transaction.recipients.len());
        self.dialogue.owed = if last { 0 } else { recipients };
        if last {
            self.dialogue.refuse_message(recipients, refusal).await?;
        } else {
            self.dialogue.reply(code, enhanced, text);
        }
        Ok(Next::Command)
    }
}
