//! MAIL and RCPT (RFC 5321 §4.1.1.2, §4.1.1.3): the envelope of one message.
//!
//! A recipient is an account of this server, or refused: there is no way to send mail on yet, so relay is closed for all.
//! Parameters of RFC 3461 are taken whether DSN was offered or not, and kept with the paths they came with.

use super::data::Arrival;
use super::{Dialogue, Next};
use crate::directory::Resolved;
use crate::limits;
use crate::proto::smtp::{Mail, Mailbox, Rcpt};
use crate::store::AccountId;

/// One transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    /// Without its brackets; empty: the null reverse-path.
    pub(super) reverse_path: String,
    /// RET and ENVID as they are kept; empty where there are none.
    pub(super) parameters: String,
    /// The size that the client declared, or 0.
    pub(super) size: u64,
    /// Of the accounts that have a quota, it in octets.
    pub(super) quotas: Vec<(AccountId, u64)>,
    /// SMTPUTF8 was given.
    pub(super) utf8: bool,
    pub(super) recipients: Vec<ForwardPath>,
    /// Octets of all forward-paths with their parameters.
    recipients_bytes: usize,
    /// What came in chunks so far; `None`: no BDAT yet.
    pub(super) arrival: Option<Arrival>,
}

/// A recipient that was accepted.
#[derive(Debug)]
pub(super) struct ForwardPath {
    /// Without its brackets.
    pub(super) path: Box<str>,
    /// NOTIFY and ORCPT as they are kept; empty where there are none.
    pub(super) parameters: Box<str>,
    /// Whose it is.
    pub(super) account: AccountId,
}

impl Transaction {
    /// One with these recipients and the null reverse-path.
    #[cfg(test)]
    pub(super) fn of(recipients: Vec<ForwardPath>) -> Transaction {
        let (reverse_path, parameters) = (String::new(), String::new());
        Transaction {
            reverse_path,
            parameters,
            size: 0,
            quotas: Vec::new(),
            utf8: false,
            recipients,
            recipients_bytes: 0,
            arrival: None,
        }
    }
}

/// A path as the store keeps it: behind it, each after a space, its parameters.
pub(super) fn kept(path: &str, parameters: &str) -> String {
    if parameters.is_empty() { path.to_owned() } else { format!("{path} {parameters}") }
}

fn path(mailbox: &Mailbox<'_>) -> String {
    let mut out = Vec::new();
    mailbox.write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn parameters<const N: usize>(given: [(&str, Option<String>); N]) -> String {
    let given = given.into_iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}")));
    given.collect::<Vec<_>>().join(" ")
}

impl Dialogue {
    pub(super) fn mail(&mut self, mail: Mail<'_>) -> Next {
        if self.hello.is_none() {
            let text = if self.speaks_lmtp() { "Say LHLO first" } else { "Say EHLO first" };
            return self.idly(503, "5.5.1", text);
        }
        if self.transaction.is_some() {
            return self.idly(503, "5.5.1", "A transaction is open: RSET ends it");
        }
        if self.may_not_speak() {
            return self.idly(530, "5.7.0", "Authentication required");
        }
        if mail.size.is_some_and(|size| size > self.context.config.max_message_bytes) {
            return self.idly(552, "5.3.4", "The message is larger than this server takes");
        }
        let ret = mail.ret.map(|ret| ret.text().to_owned());
        self.owed = 0;
        self.transaction = Some(Box::new(Transaction {
            reverse_path: mail.from.as_ref().map(path).unwrap_or_default(),
            parameters: parameters([("RET", ret), ("ENVID", mail.envid.map(str::to_owned))]),
            size: mail.size.unwrap_or(0),
            quotas: Vec::new(),
            utf8: mail.utf8,
            recipients: Vec::new(),
            recipients_bytes: 0,
            arrival: None,
        }));
        self.reply(250, "2.1.0", "OK");
        Next::Command
    }

    pub(super) async fn rcpt(&mut self, rcpt: Rcpt<'_>) -> Next {
        let Some(transaction) = &self.transaction else {
            return self.idly(503, "5.5.1", "MAIL comes first");
        };
        if transaction.arrival.is_some() {
            return self.idly(503, "5.5.1", "The message has begun: no recipients any more");
        }
        if !transaction.utf8 && !rcpt.is_ascii() {
            // RFC 6531 §3.5: an address that the transaction has no room for.
            return self.idly(553, "5.6.7", "The address needs SMTPUTF8");
        }
        let address = path(&rcpt.to);
        let notify = rcpt.notify.map(|notify| notify.text());
        let parameters = parameters([("NOTIFY", notify), ("ORCPT", rcpt.orcpt.map(str::to_owned))]);
        let bytes = transaction.recipients_bytes + address.len() + parameters.len();
        if transaction.recipients.len() >= limits::RECIPIENTS_MAX || bytes > limits::FORWARD_PATHS_BYTES_MAX {
            // RFC 5321 §4.5.3.1.10: the client sends the others in another transaction.
            // Not counted: the transaction that it has so far is a good one.
            self.reply(452, "4.5.3", "Too many recipients");
            return Next::Command;
        }
        match self.resolve(unquoted(&rcpt.to)).await {
            Resolved::Account { account, quota, .. } => {
                if let Some(quota) = quota
                    && let Some((code, enhanced, text)) = self.lacks_room(AccountId(account), quota).await
                {
                    // Not counted: it is no fault of the client.
                    self.reply(code, enhanced, text);
                    return Next::Command;
                }
                if let Some(transaction) = &mut self.transaction {
                    let (path, parameters) = (address.into(), parameters.into());
                    transaction.recipients.push(ForwardPath { path, parameters, account: AccountId(account) });
                    transaction.recipients_bytes = bytes;
                }
                self.reply(250, "2.1.5", "OK");
                Next::Command
            }
            Resolved::NoSuchUser => self.refuse_recipient(550, "5.1.1", "No such user here"),
            Resolved::NotLocal => self.refuse_recipient(554, "5.7.1", "Relaying denied"),
            Resolved::Unavailable => self.idly(451, "4.3.0", "The directory can't be asked now, try again later"),
        }
    }

    /// Counted like commands that do nothing, so that a list of names is not tried out on one connection; but not where a
    /// neighbour passes on what comes to it.
    fn refuse_recipient(&mut self, code: u16, enhanced: &str, text: &str) -> Next {
        if !self.speaks_lmtp() {
            return self.idly(code, enhanced, text);
        }
        self.reply(code, enhanced, text);
        Next::Command
    }

    /// VRFY (RFC 5321 §3.5): says nothing unless it is switched on (§7.3); then whose an address is.
    pub(super) async fn verify(&mut self, name: &str) -> Next {
        if !self.context.config.esmtp.vrfy {
            return self.idly(252, "2.5.2", "Send mail and see");
        }
        if self.may_not_speak() {
            return self.idly(530, "5.7.0", "Authentication required");
        }
        let name = name.strip_prefix('<').and_then(|name| name.strip_suffix('>')).unwrap_or(name);
        let name = match name.rsplit_once('@') {
            Some((local, domain)) => unquoted(&Mailbox { local, domain }),
            None => unquoted(&Mailbox { local: name, domain: "" }),
        };
        match self.resolve(name).await {
            Resolved::Account { name, .. } => self.idly(250, "2.1.5", &format!("<{name}>")),
            Resolved::NoSuchUser => self.idly(550, "5.1.1", "No such user here"),
            Resolved::NotLocal => self.idly(551, "5.7.1", "User not local, and mail is not relayed"),
            Resolved::Unavailable => self.idly(252, "2.5.2", "Can't be verified now"),
        }
    }

    async fn resolve(&self, address: String) -> Resolved {
        self.context.addresses.resolve(address, &self.context.post).await
    }
}

/// `local@domain` as the directory knows it: quotes and escapes undone, U-labels as A-labels.
fn unquoted(mailbox: &Mailbox<'_>) -> String {
    let local: Vec<u8> = mailbox.local_octets().collect();
    let local = String::from_utf8_lossy(&local);
    if mailbox.domain.is_empty() { local.into_owned() } else { format!("{local}@{}", mailbox.ascii_domain()) }
}
