//! Delivery: from a message and its recipients to `250`, on whatever shards the recipients live.
//!
//! Invariants: one [`Deliver`] goes to each distinct shard; what is acknowledged is durable for every recipient, and any
//! failure fails the whole (the client tries again: a duplicate rather than a loss). The message itself is shared, not
//! copied, on its way. Stages to come (policy, filters, Sieve, quota, journal) stand before [`Delivery::deliver`].

use std::collections::VecDeque;
use std::rc::Rc;

use crate::hop::{Address, Post, Reply};
use crate::store::{self, AccountId, NewMessage, Store, Submitted};

/// A message for accounts of one shard.
#[derive(Debug)]
pub struct Deliver {
    message: NewMessage,
    accounts: Vec<AccountId>,
    reply: Reply<Result<(), Failure>>,
}

/// Why a message could not be delivered now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The disk, or a shard that is stopping.
    Unavailable,
    /// An account's file is damaged.
    Corrupt,
    /// No room.
    Full,
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Failure {
        match error {
            store::Error::Corrupt { .. } => Failure::Corrupt,
            store::Error::Full => Failure::Full,
            _ => Failure::Unavailable,
        }
    }
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
    pub async fn deliver(&self, message: NewMessage, accounts: &[AccountId]) -> Result<(), Failure> {
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
            result = result.and(answer.await.unwrap_or(Err(Failure::Unavailable)));
        }
        result
    }
}

/// Carries out what another shard asked for; many run at once and share the log's commits.
pub async fn accept(store: Store, deliver: Deliver) {
    let Deliver { message, accounts, reply } = deliver;
    reply.send(append(&store, message, &accounts).await);
}

/// Submits the message to every INBOX before it waits for any, so that they share the log's commits.
async fn append(store: &Store, message: NewMessage, accounts: &[AccountId]) -> Result<(), Failure> {
    let mut waiting: VecDeque<Submitted> = VecDeque::new();
    for id in accounts {
        let account = store.account(*id).await?;
        let Some(inbox) = account.mailbox("INBOX") else { return Err(Failure::Unavailable) };
        let submitted = loop {
            match (inbox.submit(&message).await, waiting.is_empty()) {
                // Our own copies may be what the log is busy with.
                (Err(store::Error::Busy), false) => {
                    if let Some(first) = waiting.pop_front() {
                        first.wait().await?;
                    }
                }
                (submitted, _) => break submitted?,
            }
        };
        waiting.push_back(submitted);
    }
    for submitted in waiting {
        submitted.wait().await?;
    }
    Ok(())
}
