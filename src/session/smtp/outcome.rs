//! What becomes of a message that is whole, and who is told: SMTP has one reply for all, LMTP one a recipient.
//!
//! Invariants: `250` means durable. In SMTP any account's failure is the message's (`451`: a duplicate rather than a
//! loss); in LMTP each accepted recipient has its own reply, in the order of RCPT, and two that are one account's share
//! one copy (RFC 2033 §4.2). Whatever comes of it, the transaction is over.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Dialogue;
use super::data::Arrival;
use super::transaction::{Transaction, kept};
use crate::delivery::Recipient;
use crate::session;
use crate::store::{AccountId, Body, Date, DeliveryEnvelope, Error, Flags, NewMessage};

/// A reply: its code, enhanced code and text.
pub(super) type Reply = (u16, &'static str, &'static str);

/// Each account with its result.
type Results = Vec<(AccountId, Result<(), Reply>)>;

const UNREADABLE: Reply = (451, "4.3.0", "The message could not be taken apart");

/// What the store's refusal means to a client.
pub(super) fn storage(error: &Error) -> Reply {
    tracing::warn!(%error, "the store refused a message");
    match error {
        Error::Full => (452, "4.3.1", "No room, try again later"),
        _ => (451, "4.3.0", "The mail store can't take it now, try again later"),
    }
}

impl Dialogue {
    /// Delivers the message that has arrived, and answers.
    pub(super) async fn finish(&mut self, arrival: Arrival) -> io::Result<()> {
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        let id = arrival.id().to_owned();
        let results = match arrival.end() {
            Ok(spool) => match spool.finish().await {
                Ok(body) => self.deliver(body, &transaction).await,
                Err(error) => Err(storage(&error)),
            },
            Err(refusal) => Err(refusal),
        };
        let results = match results {
            Ok(results) => results,
            Err(refusal) => return self.refuse_message(transaction.recipients.len(), refusal).await,
        };
        let failed: BTreeMap<AccountId, Reply> =
            results.iter().filter_map(|(account, result)| Some((*account, result.err()?))).collect();
        let (accounts, failures) = (results.len(), failed.len());
        let outcome = if failures < accounts { "delivered" } else { "not delivered" };
        tracing::info!(id, client = %self.wire.presence().peer().client, accounts, failures, "{outcome}");
        if failures < accounts {
            self.idle_commands = 0;
            self.wire.presence().takes_message();
            self.context.meter.count(self.visit.endpoint.protocol.place(), |tally| {
                tally.messages += 1;
                tally.copies += (accounts - failures) as u64;
            });
        }
        if self.speaks_lmtp() {
            return self.answer_each(&transaction, &failed, &id).await;
        }
        match failed.into_values().next() {
            None => self.reply(250, "2.0.0", &format!("OK id={id}")),
            Some((code, enhanced, text)) => self.reply(code, enhanced, text),
        }
        Ok(())
    }

    /// RFC 2033 §4.2: a reply for each RCPT that was accepted, in that order.
    async fn answer_each(
        &mut self,
        transaction: &Transaction,
        failed: &BTreeMap<AccountId, Reply>,
        id: &str,
    ) -> io::Result<()> {
        for recipient in &transaction.recipients {
            match failed.get(&recipient.account) {
                None => self.reply(250, "2.1.5", &format!("<{}> OK id={id}", recipient.path)),
                Some((code, enhanced, text)) => self.reply(*code, enhanced, &format!("<{}> {text}", recipient.path)),
            }
            self.wire.breathe().await?;
        }
        Ok(())
    }

    /// Says why nobody gets the message, in LMTP to each of the recipients.
    pub(super) async fn refuse_message(&mut self, recipients: usize, refusal: Reply) -> io::Result<()> {
        let (code, enhanced, text) = refusal;
        let replies = if self.speaks_lmtp() { recipients.max(1) } else { 1 };
        for _ in 0..replies {
            self.reply(code, enhanced, text);
            self.wire.breathe().await?;
        }
        Ok(())
    }

    /// Each account with what came of it, or why nobody gets the message.
    async fn deliver(&mut self, body: Body, transaction: &Transaction) -> Result<Results, Reply> {
        let full = self.without_room(body.len() as u64, transaction).await?;
        let mut recipients = recipients(transaction);
        recipients.retain(|recipient| !full.contains_key(&recipient.account));
        let Some(structure) = session::structure(&self.context, &body).await else { return Err(UNREADABLE) };
        let now = (self.context.clock)();
        let return_path = kept(&transaction.reverse_path, &transaction.parameters);
        let message = NewMessage {
            body,
            structure,
            internal_date: Date { seconds: now, offset_minutes: 0 },
            saved_at: now,
            flags: Flags::NONE,
            keywords: Vec::new(),
            delivery: Some(DeliveryEnvelope { return_path, recipients: Vec::new() }),
        };
        let delivered = self.context.delivery.deliver(message, recipients).await;
        let told = delivered.into_iter().map(|(account, result)| (account, result.map_err(|error| storage(&error))));
        Ok(told.chain(full.into_iter().map(|(account, reply)| (account, Err(reply)))).collect())
    }
}

/// The accounts that the transaction is for, each once, with the forward-paths that mean it.
fn recipients(transaction: &Transaction) -> Vec<Recipient> {
    let mut accounts: BTreeMap<AccountId, BTreeSet<String>> = BTreeMap::new();
    for recipient in &transaction.recipients {
        accounts.entry(recipient.account).or_default().insert(kept(&recipient.path, &recipient.parameters));
    }
    let one =
        |(account, paths): (AccountId, BTreeSet<String>)| Recipient { account, paths: paths.into_iter().collect() };
    accounts.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::transaction::ForwardPath;
    use super::*;

    /// What an account's envelope says: its own paths with their parameters, each once, and nobody else's.
    #[test]
    fn an_account_has_its_own_forward_paths() {
        let forward = |path: &str, parameters: &str, account| ForwardPath {
            path: path.into(),
            parameters: parameters.into(),
            account: AccountId(account),
        };
        let transaction = Transaction::of(vec![
            forward("b@x", "", 2),
            forward("a+one@x", "NOTIFY=SUCCESS ORCPT=rfc822;a@y", 1),
            forward("\"a b\"@x", "", 1),
            forward("a+one@x", "NOTIFY=SUCCESS ORCPT=rfc822;a@y", 1),
            forward("a+one@x", "NOTIFY=NEVER", 1),
        ]);
        let recipients = recipients(&transaction);
        let found: Vec<(u64, Vec<&str>)> = recipients
            .iter()
            .map(|recipient| (recipient.account.0, recipient.paths.iter().map(String::as_str).collect()))
            .collect();
        let first = vec!["\"a b\"@x", "a+one@x NOTIFY=NEVER", "a+one@x NOTIFY=SUCCESS ORCPT=rfc822;a@y"];
        assert_eq!(found, [(1, first), (2, vec!["b@x"])]);
    }
}
