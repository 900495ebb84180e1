//! MAIL and RCPT (RFC 5321 §4.1.1.2, §4.1.1.3): the envelope of one message.
//!
//! A recipient is an account of this server, or refused: there is no way to send mail on yet, so relay is closed for all.

use super::{Dialogue, Next};
use crate::directory::Resolved;
use crate::limits;
use crate::proto::smtp::Mailbox;
use crate::store::AccountId;

/// One transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    /// Without its brackets; empty: the null reverse-path.
    pub(super) reverse_path: String,
    /// Forward-paths with their accounts.
    pub(super) recipients: Vec<(String, AccountId)>,
    /// Of those accounts that have a quota, it in octets.
    pub(super) quotas: Vec<(AccountId, u64)>,
    /// The size that the client declared, or 0.
    pub(super) size: u64,
}

fn path(mailbox: &Mailbox<'_>) -> String {
    let mut out = Vec::new();
    mailbox.write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

impl Dialogue {
    pub(super) fn mail(&mut self, from: Option<Mailbox<'_>>, size: Option<u64>) -> Next {
        if self.hello.is_none() {
            return self.idly(503, "5.5.1", "Say EHLO first");
        }
        if self.transaction.is_some() {
            return self.idly(503, "5.5.1", "A transaction is open: RSET ends it");
        }
        if self.identity.is_none() && !self.visit.endpoint.listener.anonymous {
            return self.idly(530, "5.7.0", "Authentication required");
        }
        if size.is_some_and(|size| size > self.context.config.max_message_bytes) {
            return self.idly(552, "5.3.4", "The message is larger than this server takes");
        }
        let reverse_path = from.as_ref().map(path).unwrap_or_default();
        self.transaction = Some(Box::new(Transaction {
            reverse_path,
            recipients: Vec::new(),
            quotas: Vec::new(),
            size: size.unwrap_or(0),
        }));
        self.reply(250, "2.1.0", "OK");
        Next::Command
    }

    pub(super) async fn rcpt(&mut self, to: Mailbox<'_>) -> Next {
        let Some(transaction) = &self.transaction else {
            return self.idly(503, "5.5.1", "MAIL comes first");
        };
        if transaction.recipients.len() >= limits::RECIPIENTS_MAX {
            // RFC 5321 §4.5.3.1.10: the client sends the others in another transaction.
            // Not counted: the transaction that it has so far is a good one.
            self.reply(452, "4.5.3", "Too many recipients");
            return Next::Command;
        }
        let address = path(&to);
        let (reply, answer) = self.context.post.call();
        self.context.directory.resolve(unquoted(&to), reply);
        match answer.await.unwrap_or(Resolved::Unavailable) {
            Resolved::Account { account, quota, .. } => {
                if let Some(quota) = quota
                    && let Some((code, enhanced, text)) = self.lacks_room(AccountId(account), quota).await
                {
                    // Not counted: it is no fault of the client.
                    self.reply(code, enhanced, text);
                    return Next::Command;
                }
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients.push((address, AccountId(account)));
                }
                self.reply(250, "2.1.5", "OK");
                Next::Command
            }
            // Counted like commands that do nothing: a list of names is not tried out on one connection.
            Resolved::NoSuchUser => self.idly(550, "5.1.1", "No such user here"),
            Resolved::NotLocal => self.idly(554, "5.7.1", "Relaying denied"),
            Resolved::Unavailable => self.idly(451, "4.3.0", "The directory can't be asked now, try again later"),
        }
    }
}

/// `local@domain` as the directory knows it: quotes and escapes undone.
fn unquoted(mailbox: &Mailbox<'_>) -> String {
    let local: Vec<u8> = mailbox.local_octets().collect();
    let local = String::from_utf8_lossy(&local);
    if mailbox.domain.is_empty() { local.into_owned() } else { format!("{local}@{}", mailbox.domain) }
}
