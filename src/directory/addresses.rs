//! Whose an address is, as a shard remembers it: RCPT for somebody who had mail before asks no other thread.
//!
//! Invariant: what is remembered was answered by the directory as it is now; with its first change all of it is forgotten, before
//! whoever asked for the change is told. Only addresses of accounts are remembered: there are fewer of them than of others.

use std::cell::RefCell;
use std::rc::Rc;

use super::aging::Aging;
use super::{Handle, Resolved};
use crate::hop::Post;
use crate::limits::ADDRESSES_KNOWN_MAX;

/// The addresses that a shard knows.
#[derive(Debug)]
pub struct Addresses {
    directory: Handle,
    known: RefCell<Known>,
}

#[derive(Debug)]
struct Known {
    /// The directory's changes before it was asked.
    changes: u64,
    accounts: Aging<String, Resolved>,
}

impl Known {
    fn since(changes: u64) -> Known {
        Known { changes, accounts: Aging::new(ADDRESSES_KNOWN_MAX) }
    }
}

impl Addresses {
    /// None yet.
    pub fn new(directory: Handle) -> Addresses {
        Addresses { directory, known: RefCell::new(Known::since(0)) }
    }

    /// Whose is `address`? Where it has to be asked for, the answer comes to `post`.
    pub async fn resolve(&self, address: String, post: &Rc<Post>) -> Resolved {
        let changes = self.directory.changes();
        {
            let known = &mut *self.known.borrow_mut();
            if known.changes != changes {
                *known = Known::since(changes);
            }
            if let Some(account) = known.accounts.peek(&address) {
                return account.clone();
            }
        }
        let (reply, answer) = post.call();
        self.directory.resolve(address.clone(), reply);
        let resolved = answer.await.unwrap_or(Resolved::Unavailable);
        let known = &mut *self.known.borrow_mut();
        if known.changes == changes && matches!(resolved, Resolved::Account { .. }) {
            known.accounts.insert(address, resolved.clone());
        }
        resolved
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{add, settings};
    use super::super::{Change, Directory};
    use super::*;
    use crate::config::data::scratch;
    use crate::hop::{Doorbell, blocking_call};
    use crate::io::eventfd;
    use crate::service::Pool;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// The answer, and whether the directory was asked for it.
    fn resolve(addresses: &Addresses, post: &Rc<Post>, address: &str) -> (Resolved, bool) {
        let mut answer = pin!(addresses.resolve(address.to_owned(), post));
        let mut asked = false;
        loop {
            if let Poll::Ready(resolved) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return (resolved, asked);
            }
            asked = true;
            std::thread::yield_now();
            post.collect();
        }
    }

    #[test]
    fn an_account_is_asked_for_once_a_change() {
        let folder = scratch("addresses");
        let directory = Directory::open(&folder, settings(&[])).unwrap();
        let handle = directory.start(Pool::start(1).unwrap(), 1).unwrap();
        let change = |change| {
            let (reply, answer) = blocking_call();
            handle.admin(change, reply);
            answer.recv().unwrap().unwrap().account
        };
        let anna = change(add("anna@x", "one"));
        let (addresses, post) = (Addresses::new(handle.clone()), Post::new(Doorbell::new(eventfd().unwrap())));
        let account = |account, name: &str| Resolved::Account { account, name: name.into(), quota: None };
        assert_eq!(resolve(&addresses, &post, "anna+lists@x"), (account(anna, "anna@x"), true));
        assert_eq!(resolve(&addresses, &post, "anna+lists@x"), (account(anna, "anna@x"), false));
        for _ in 0..2 {
            assert_eq!(resolve(&addresses, &post, "bob@x"), (Resolved::NoSuchUser, true), "nobody is not remembered");
        }
        let bob = change(add("bob@x", "two"));
        assert_eq!(resolve(&addresses, &post, "bob@x"), (account(bob, "bob@x"), true));
        change(Change::Delete { name: "anna@x".into() });
        assert_eq!(resolve(&addresses, &post, "anna+lists@x"), (Resolved::NoSuchUser, true));
        assert_eq!(resolve(&addresses, &post, "bob@x"), (account(bob, "bob@x"), true));
        assert_eq!(resolve(&addresses, &post, "bob@x"), (account(bob, "bob@x"), false));
        let (reply, answer) = blocking_call();
        handle.set_catch_all("x".into(), Some("bob@x".into()), reply);
        answer.recv().unwrap().unwrap();
        assert_eq!(resolve(&addresses, &post, "anna+lists@x"), (account(bob, "bob@x"), true));
    }
}
