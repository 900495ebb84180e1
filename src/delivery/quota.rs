//! Quota: which recipients have no room for a message, asked on the shards where their mail is.
//!
//! Invariant: it is asked before anything is submitted, so that a message that is refused for one recipient was delivered
//! to none, and a sender who tries again makes no duplicates. It is a question and no reservation: messages that arrive at
//! the same time may pass a quota together, each by its own size at most, and the next one finds the mailbox full.
//! Accounts without a quota are never asked about. APPEND and COPY are the session's, on the account's own shard.

use super::{Deliver, Delivery, stopping};
use crate::hop::Reply;
use crate::store::{AccountId, Error, Store};

/// The question to one shard.
#[derive(Debug)]
pub struct Room {
    octets: u64,
    /// Each with its quota.
    accounts: Vec<(AccountId, u64)>,
    reply: Reply<Result<Vec<AccountId>, Error>>,
}

impl Room {
    /// Answers it.
    pub(super) async fn answer(self, store: &Store) {
        let Room { octets, accounts, reply } = self;
        reply.send(without_room(store, octets, &accounts).await);
    }
}

impl Delivery {
    /// Those of `accounts`, each with its quota in octets, that `octets` more would fill beyond it.
    pub async fn without_room(&self, octets: u64, accounts: &[(AccountId, u64)]) -> Result<Vec<AccountId>, Error> {
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let of = |number: usize| -> Vec<(AccountId, u64)> {
            accounts.iter().copied().filter(|(account, _)| account.shard(self.shards.len()) == number).collect()
        };
        let mut waiting = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let theirs = of(number);
            if theirs.is_empty() || number == self.shard {
                continue;
            }
            let (reply, answer) = self.post.call();
            // A shard that is gone drops the reply, which answers the call.
            let _ = shard.send(Deliver::Room(Room { octets, accounts: theirs, reply }));
            waiting.push(answer);
        }
        let mut full = without_room(&self.store, octets, &of(self.shard)).await?;
        for answer in waiting {
            full.extend(answer.await.unwrap_or_else(|| Err(stopping()))?);
        }
        Ok(full)
    }
}

async fn without_room(store: &Store, octets: u64, accounts: &[(AccountId, u64)]) -> Result<Vec<AccountId>, Error> {
    let mut full = Vec::new();
    for &(id, quota) in accounts {
        if store.account(id).await?.bytes().saturating_add(octets) > quota {
            full.push(id);
        }
    }
    Ok(full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::simulation::{MemoryDisk, message, with_segments};

    #[test]
    fn full_are_those_that_one_message_more_would_fill() {
        let disk = MemoryDisk::default();
        let ran = with_segments(&disk, 1, 4 << 20, async |stores: Vec<Store>| {
            let (store, [small, large]) = (&stores[0], [AccountId(1), AccountId(2)]);
            let room =
                async |octets: u64| without_room(store, octets, &[(small, 1000), (large, 100_000)]).await.unwrap();
            assert_eq!(room(1000).await, []);
            assert_eq!(room(1001).await, [small], "larger than the quota");
            assert_eq!(room(u64::MAX).await, [small, large]);
            let letter = message(1, 600);
            let octets = letter.body.len() as u64;
            for id in [small, large] {
                let inbox = store.account(id).await.unwrap().mailbox("INBOX").unwrap();
                inbox.append(letter.clone()).await.unwrap();
            }
            store.seal_all().await.unwrap();
            let reads = disk.reads();
            assert_eq!(room(1000 - octets).await, []);
            assert_eq!(room(1001 - octets).await, [small], "with what is there");
            assert_eq!(disk.reads(), reads, "nothing is loaded to answer it");
        });
        assert!(!ran.unwrap().1);
    }
}
