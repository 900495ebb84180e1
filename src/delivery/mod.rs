//! Delivery: from a message and its recipients to `250`, on whatever shards the recipients live.
//!
//! Invariants: one [`Deliver`] goes to each distinct shard; each account has its own result, and `Ok` means durable. What
//! a failure means for the others is the session's business: SMTP fails the whole, LMTP tells each. The message itself is
//! shared, not copied, on its way; an account is told of its own forward-paths alone. Stages to come (policy, filters,
//! Sieve, journal) stand before [`Delivery::deliver`], like the quota ([`Delivery::without_room`]).

mod quota;

use std::io;
use std::rc::Rc;

use crate::hop::{Address, Post, Reply};
use crate::store::{AccountId, Error, Mailbox, NewMessage, Store};

/// What delivery asks of another shard.
#[derive(Debug)]
pub enum Deliver {
    /// To deliver a message.
    Message(Letter),
    /// Whether there is room for one.
    Room(quota::Room),
}

/// An account that a message is for.
#[derive(Debug)]
pub struct Recipient {
    /// The account.
    pub account: AccountId,
    /// The forward-paths that mean it, for the delivery envelope.
    pub paths: Vec<String>,
}

/// What came of a delivery: each account with its own result, in no order.
pub type Results = Vec<(AccountId, Result<(), Error>)>;

/// A message for accounts of one shard.
#[derive(Debug)]
pub struct Letter {
    message: NewMessage,
    recipients: Vec<Recipient>,
    reply: Reply<Results>,
}

/// Delivers from one shard to all.
#[derive(Debug)]
pub struct Delivery {
    shard: usize,
    store: Store,
    post: Rc<Post>,
    shards: Vec<Address<Deliver>>,
}

impl Delivery {
    /// For the shard with that number and store; `shards` are the addresses of all, by number.
    pub fn new(shard: usize, store: Store, post: Rc<Post>, shards: Vec<Address<Deliver>>) -> Delivery {
        Delivery { shard, store, post, shards }
    }

    /// Delivers `message` to the INBOX of each of `recipients` (no account twice).
    pub async fn deliver(&self, message: NewMessage, recipients: Vec<Recipient>) -> Results {
        let mut shares: Vec<Vec<Recipient>> = self.shards.iter().map(|_| Vec::new()).collect();
        for recipient in recipients {
            shares[recipient.account.shard(self.shards.len())].push(recipient);
        }
        let ours = std::mem::take(&mut shares[self.shard]);
        let mut waiting = Vec::new();
        for (shard, theirs) in self.shards.iter().zip(shares) {
            if theirs.is_empty() {
                continue;
            }
            let accounts: Vec<AccountId> = theirs.iter().map(|recipient| recipient.account).collect();
            let (reply, answer) = self.post.call();
            // A shard that is gone drops the reply, which answers the call.
            let _ = shard.send(Deliver::Message(Letter { message: message.clone(), recipients: theirs, reply }));
            waiting.push((accounts, answer));
        }
        let mut results = append(&self.store, message, ours).await;
        for (accounts, answer) in waiting {
            let gone = || accounts.into_iter().map(|account| (account, Err(stopping()))).collect();
            results.extend(answer.await.unwrap_or_else(gone));
        }
        results
    }
}

/// Carries out what another shard asked for; many run at once and share the log's commits.
pub async fn accept(store: Store, deliver: Deliver) {
    match deliver {
        Deliver::Message(Letter { message, recipients, reply }) => {
            reply.send(append(&store, message, recipients).await);
        }
        Deliver::Room(room) => room.answer(&store).await,
    }
}

/// Adds the message to every INBOX, each with its own forward-paths; what the copies have in common is stored once.
async fn append(store: &Store, message: NewMessage, recipients: Vec<Recipient>) -> Results {
    let mut results = Vec::with_capacity(recipients.len());
    let mut copies: Vec<(Mailbox, NewMessage)> = Vec::with_capacity(recipients.len());
    for Recipient { account, paths } in recipients {
        match inbox(store, account).await {
            Ok(inbox) => {
                let mut copy = message.clone();
                if let Some(envelope) = &mut copy.delivery {
                    envelope.recipients = paths;
                }
                copies.push((inbox, copy));
            }
            Err(error) => results.push((account, Err(error))),
        }
    }
    let appended = store.append_to_all(&copies).await;
    let accounts = copies.iter().map(|(inbox, _)| inbox.account().id());
    results.extend(accounts.zip(appended));
    results
}

async fn inbox(store: &Store, account: AccountId) -> Result<Mailbox, Error> {
    store.account(account).await?.mailbox("INBOX").ok_or_else(no_inbox)
}

/// A shard that is gone will not answer.
fn stopping() -> Error {
    Error::Io { kind: io::ErrorKind::NotConnected, message: "the shard of a recipient stops".to_owned() }
}

/// Every account that the store opens has one.
fn no_inbox() -> Error {
    Error::Io { kind: io::ErrorKind::NotFound, message: "the account has no INBOX".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DeliveryEnvelope;
    use crate::store::simulation::{MemoryDisk, message, with_segments};

    const SEGMENT_BYTES: u64 = 4 << 20;

    fn recipients(accounts: &[AccountId]) -> Vec<Recipient> {
        accounts.iter().map(|&account| Recipient { account, paths: vec![format!("u{}@x", account.0)] }).collect()
    }

    fn all_ok(results: &Results, accounts: &[AccountId]) -> bool {
        let mut done: Vec<AccountId> = results.iter().map(|(account, _)| *account).collect();
        done.sort_unstable();
        done == accounts && results.iter().all(|(_, result)| result.is_ok())
    }

    #[test]
    fn a_thousand_recipients_share_few_commits() {
        let disk = MemoryDisk::default();
        let ran = with_segments(&disk, 1, SEGMENT_BYTES, async |stores: Vec<Store>| {
            let (store, accounts) = (&stores[0], (1..=1000).map(AccountId).collect::<Vec<_>>());
            for id in &accounts {
                store.account(*id).await.unwrap();
            }
            let before = disk.write_syncs();
            let mut new = message(1, 300);
            new.delivery = Some(DeliveryEnvelope { return_path: "s@y".into(), recipients: Vec::new() });
            let results = append(store, new, recipients(&accounts)).await;
            assert!(all_ok(&results, &accounts), "{results:?}");
            assert!(disk.write_syncs() - before <= 6, "{} commits", disk.write_syncs() - before);
            for id in &accounts {
                let inbox = store.account(*id).await.unwrap().mailbox("INBOX").unwrap();
                assert_eq!(inbox.counts().messages, 1);
                let envelope = inbox.view(true).message(1).unwrap().unwrap().delivery().unwrap();
                assert_eq!((envelope.return_path.as_str(), envelope.recipients), ("s@y", vec![format!("u{}@x", id.0)]));
            }
        });
        assert!(!ran.unwrap().1);
    }

    #[test]
    fn more_copies_than_the_log_queues() {
        let disk = MemoryDisk::default();
        let ran = with_segments(&disk, 1, SEGMENT_BYTES, async |stores: Vec<Store>| {
            let (store, accounts) = (&stores[0], (1..=300).map(AccountId).collect::<Vec<_>>());
            // Open already: nothing but the queue makes the delivery wait.
            for id in &accounts {
                store.account(*id).await.unwrap();
            }
            // As long as goes into the log for many.
            let new = message(1, 64_000);
            assert!(new.body.len() * accounts.len() > crate::limits::LOG_QUEUED_BYTES_MAX);
            let results = append(store, new, recipients(&accounts)).await;
            assert!(all_ok(&results, &accounts), "{results:?}");
            for id in &accounts {
                let inbox = store.account(*id).await.unwrap().mailbox("INBOX").unwrap();
                assert_eq!(inbox.counts().messages, 1);
            }
        });
        assert!(!ran.unwrap().1);
    }

    /// A long message as well as a short one: the first account, which would write the file for all, is the damaged one.
    #[test]
    fn a_damaged_account_fails_alone() {
        for bytes in [300, 100_000] {
            let (disk, accounts) = (MemoryDisk::default(), [1, 2, 3].map(AccountId));
            let ran = with_segments(&disk, 1, SEGMENT_BYTES, async |stores: Vec<Store>| {
                for id in accounts {
                    stores[0].account(id).await.unwrap();
                }
                stores[0].seal_all().await.unwrap();
            });
            ran.unwrap();
            let manifest = crate::store::simulation::manifest(accounts[0]);
            disk.damage(&manifest, |bytes| bytes[20] ^= 1);
            let ran = with_segments(&disk, 1, SEGMENT_BYTES, async |stores: Vec<Store>| {
                let results = append(&stores[0], message(1, bytes), recipients(&accounts)).await;
                assert!(results.iter().all(|(id, result)| result.is_ok() != (*id == accounts[0])), "{results:?}");
                for id in &accounts[1..] {
                    let inbox = stores[0].account(*id).await.unwrap().mailbox("INBOX").unwrap();
                    assert!(inbox.view(true).message(1).unwrap().unwrap().raw().unwrap().len() >= bytes);
                }
            });
            assert!(!ran.unwrap().1);
        }
    }

    #[test]
    fn a_refusal_is_the_store_s() {
        let disk = MemoryDisk::default();
        let ran = with_segments(&disk, 1, SEGMENT_BYTES, async |stores: Vec<Store>| {
            let store = &stores[0];
            store.account(AccountId(1)).await.unwrap();
            disk.fill(true);
            let results = append(store, message(1, 600_000), recipients(&[AccountId(1), AccountId(2)])).await;
            assert_eq!(results.len(), 2);
            results.into_iter().find(|(account, _)| *account == AccountId(1))
        });
        assert_eq!(ran.unwrap().0, Some((AccountId(1), Err(Error::Full))));
    }
}
