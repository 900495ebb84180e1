//! Delivery: from a message and its recipients to `250`, on whatever shards the recipients live.
//!
//! Invariants: one [`Deliver`] goes to each distinct shard; what is acknowledged is durable for every recipient, and any
//! failure fails the whole (the client tries again: a duplicate rather than a loss). The message itself is shared, not
//! copied, on its way. Stages to come (policy, filters, Sieve, quota, journal) stand before [`Delivery::deliver`].

use std::io;
use std::rc::Rc;

use crate::hop::{Address, Post, Reply};
use crate::store::{AccountId, Error, Mailbox, NewMessage, Store};

/// A message for accounts of one shard.
#[derive(Debug)]
pub struct Deliver {
    message: NewMessage,
    accounts: Vec<AccountId>,
    reply: Reply<Result<(), Error>>,
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

    /// Delivers `message` to the INBOX of each of `accounts` (none twice), durably.
    pub async fn deliver(&self, message: NewMessage, accounts: &[AccountId]) -> Result<(), Error> {
        let mut waiting = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let theirs: Vec<AccountId> =
                accounts.iter().copied().filter(|account| account.shard(self.shards.len()) == number).collect();
            if theirs.is_empty() || number == self.shard {
                continue;
            }
            let (reply, answer) = self.post.call();
            // A shard that is gone drops the reply, which answers the call.
            let _ = shard.send(Deliver { message: message.clone(), accounts: theirs, reply });
            waiting.push(answer);
        }
        let ours: Vec<AccountId> =
            accounts.iter().copied().filter(|account| account.shard(self.shards.len()) == self.shard).collect();
        let mut result = append(&self.store, message, &ours).await;
        for answer in waiting {
            result = result.and(answer.await.unwrap_or_else(|| Err(stopping())));
        }
        result
    }
}

/// Carries out what another shard asked for; many run at once and share the log's commits.
pub async fn accept(store: Store, deliver: Deliver) {
    let Deliver { message, accounts, reply } = deliver;
    reply.send(append(&store, message, &accounts).await);
}

/// Adds the message to every INBOX; what the copies have in common is stored once.
async fn append(store: &Store, message: NewMessage, accounts: &[AccountId]) -> Result<(), Error> {
    let mut copies: Vec<(Mailbox, &NewMessage)> = Vec::with_capacity(accounts.len());
    for id in accounts {
        let account = store.account(*id).await?;
        copies.push((account.mailbox("INBOX").ok_or_else(no_inbox)?, &message));
    }
    store.append_to_all(&copies).await
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
    use crate::store::simulation::{MemoryDisk, message, with_segments};

    const SEGMENT_BYTES: u64 = 4 << 20;

    #[test]
    fn a_thousand_recipients_share_few_commits() {
        let disk = MemoryDisk::default();
        let ran = with_segments(&disk, 1, SEGMENT_BYTES, async |stores: Vec<Store>| {
            let (store, accounts) = (&stores[0], (1..=1000).map(AccountId).collect::<Vec<_>>());
            for id in &accounts {
                store.account(*id).await.unwrap();
            }
            let before = disk.write_syncs();
            append(store, message(1, 300), &accounts).await.unwrap();
            assert!(disk.write_syncs() - before <= 6, "{} commits", disk.write_syncs() - before);
            for id in &accounts {
                let inbox = store.account(*id).await.unwrap().mailbox("INBOX").unwrap();
                assert_eq!(inbox.counts().messages, 1);
            }
        });
        assert!(!ran.unwrap().1);
    }

    #[test]
    fn more_copies_than_the_log_queues() {
        let disk = MemoryDisk::default();
        let ran = with_segments(&disk, 1, SEGMENT_BYTES, async |stores: Vec<Store>| {
            let (store, accounts) = (&stores[0], (1..=100).map(AccountId).collect::<Vec<_>>());
            // Open already: nothing but the queue makes the delivery wait.
            for id in &accounts {
                store.account(*id).await.unwrap();
            }
            let new = message(1, 200_000);
            assert!(new.body.len() * accounts.len() > crate::limits::LOG_QUEUED_BYTES_MAX);
            append(store, new, &accounts).await.unwrap();
            for id in &accounts {
                let inbox = store.account(*id).await.unwrap().mailbox("INBOX").unwrap();
                assert_eq!(inbox.counts().messages, 1);
            }
        });
        assert!(!ran.unwrap().1);
    }

    #[test]
    fn a_refusal_is_the_store_s() {
        let disk = MemoryDisk::default();
        let ran = with_segments(&disk, 1, SEGMENT_BYTES, async |stores: Vec<Store>| {
            let store = &stores[0];
            store.account(AccountId(1)).await.unwrap();
            disk.fill(true);
            append(store, message(1, 600_000), &[AccountId(1)]).await
        });
        assert_eq!(ran.unwrap().0, Err(Error::Full));
    }
}
