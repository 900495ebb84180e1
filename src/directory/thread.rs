//! The directory's thread: questions come in by message, hashes go out to the service pool and come back by message.
//!
//! Invariants: the thread never hashes and never waits for anything but its queue and its own file; it ends when the
//! last [`Handle`] is dropped, and what was still asked then finds its reply dropped. The only clock of the room is here.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use super::credential;
use super::error::{Error, Refusal};
use super::gate::{Gate, Job, Key, Login, Verdict};
use super::{Change, Directory, Domain, Listed, Resolved, hash, new_id};
use crate::hop::Reply;
use crate::metrics::Counter;
use crate::service::Pool;

enum Message {
    Verify(Login, Reply<Verdict>),
    Hashed(Key, Option<bool>),
    Resolve(String, Reply<Resolved>),
    List(Reply<Vec<Listed>>),
    Change(Change, Reply<Result<Listed, Refusal>>),
    Domains(Reply<Vec<Domain>>),
    CatchAll(String, Option<String>, Reply<Result<Domain, Refusal>>),
    Prepared(Change, Result<String, Refusal>, Reply<Result<Listed, Refusal>>),
    Stop,
}

/// Asks the directory of a running server. Cloned freely, sent anywhere; the thread ends with the last one.
#[derive(Clone, Debug)]
pub struct Handle {
    queue: Sender<Message>,
    changes: Arc<Counter>,
    _last: Arc<Last>,
}

// Workers hold senders too, so the queue alone doesn't tell when nobody asks any more.
#[derive(Debug)]
struct Last(Sender<Message>);

impl Drop for Last {
    fn drop(&mut self) {
        let _ = self.0.send(Message::Stop);
    }
}

impl Handle {
    /// Is that the user's password?
    pub fn verify(&self, login: Login, reply: Reply<Verdict>) {
        self.send(Message::Verify(login, reply));
    }

    /// Whose address is that?
    pub fn resolve(&self, address: String, reply: Reply<Resolved>) {
        self.send(Message::Resolve(address, reply));
    }

    /// How many changes there were that somebody was told of, at least: an answer from before the last one may be wrong.
    pub(super) fn changes(&self) -> u64 {
        self.changes.value()
    }

    /// All accounts in the order of their creation.
    pub fn list(&self, reply: Reply<Vec<Listed>>) {
        self.send(Message::List(reply));
    }

    /// Changes the accounts; the answer comes when the change is on the disk.
    pub fn admin(&self, change: Change, reply: Reply<Result<Listed, Refusal>>) {
        self.send(Message::Change(change, reply));
    }

    /// The local domains.
    pub fn domains(&self, reply: Reply<Vec<Domain>>) {
        self.send(Message::Domains(reply));
    }

    /// Gives the mail of `domain` that is for nobody else to the account with that name, or to nobody; the answer comes
    /// when that is on the disk.
    pub fn set_catch_all(&self, domain: String, name: Option<String>, reply: Reply<Result<Domain, Refusal>>) {
        self.send(Message::CatchAll(domain, name, reply));
    }

    // Where the thread is gone the message is dropped, and its reply with it.
    fn send(&self, message: Message) {
        let _ = self.queue.send(message);
    }
}

impl Directory {
    /// Gives the directory a thread of its own. It hashes on `pool`, `hashing_max` passwords at most at once.
    pub fn start(self, pool: Pool, hashing_max: usize) -> Result<Handle, Error> {
        let secret = credential::random().ok_or(Error::NoHash)?;
        // A password nobody knows, at the cost of the real ones.
        let nobody = super::Secret::from(credential::readable_password(credential::random().ok_or(Error::NoHash)?));
        let salt = credential::random().ok_or(Error::NoHash)?;
        let dummy = credential::hash(&nobody, salt, self.settings.cost).ok_or(Error::NoHash)?;
        let (queue, messages) = channel();
        let desk = Desk {
            folder: self.folder.clone(),
            gate: Gate::new(secret, dummy, hashing_max),
            directory: self,
            pool,
            queue: queue.clone(),
            changes: Arc::default(),
        };
        let changes = desk.changes.clone();
        let file = desk.folder.clone();
        std::thread::Builder::new()
            .name("directory".into())
            .spawn(move || desk.run(&messages))
            .map_err(|error: io::Error| Error::Io { file, doing: "start the thread of", error })?;
        Ok(Handle { queue: queue.clone(), changes, _last: Arc::new(Last(queue)) })
    }
}

struct Desk {
    folder: std::path::PathBuf,
    directory: Directory,
    gate: Gate<Reply<Verdict>>,
    pool: Pool,
    queue: Sender<Message>,
    changes: Arc<Counter>,
}

impl Desk {
    fn run(mut self, messages: &Receiver<Message>) {
        let mut answers = Vec::new();
        while let Ok(message) = messages.recv() {
            let now = Instant::now();
            match message {
                Message::Verify(login, reply) => {
                    let names = (&self.directory.book, self.directory.settings.default_domain.as_deref());
                    self.gate.login(names, login, reply, now, &mut answers);
                }
                Message::Hashed(key, matches) => {
                    self.gate.hashed(&self.directory.book, key, matches, now, &mut answers);
                }
                Message::Resolve(address, reply) => reply.send(self.directory.resolve(&address)),
                Message::List(reply) => reply.send(self.directory.accounts()),
                Message::Change(change, reply) => self.prepare(change, reply),
                Message::Prepared(change, hash, reply) => self.change(change, hash.map(Some), reply),
                Message::Domains(reply) => reply.send(self.directory.domains()),
                Message::CatchAll(domain, name, reply) => {
                    let set = self.directory.set_catch_all(&domain, name.as_deref());
                    if let Err(Refusal::Storage(error)) = &set {
                        tracing::error!("{error}");
                    }
                    self.changes.add(1);
                    reply.send(set);
                }
                Message::Stop => break,
            }
            while let Some(job) = self.gate.next_job(now, &mut answers) {
                self.hash(job);
            }
            for (reply, verdict) in answers.drain(..) {
                reply.send(verdict);
            }
        }
    }

    fn hash(&self, job: Job) {
        let mut outcome = Outcome { queue: self.queue.clone(), key: job.key, matches: None };
        self.pool.spawn(move || outcome.settle(&job));
    }

    fn prepare(&mut self, change: Change, reply: Reply<Result<Listed, Refusal>>) {
        if let Err(refusal) = self.directory.check(&change) {
            return reply.send(Err(refusal));
        }
        if change.password().is_none() {
            return self.change(change, Ok(None), reply);
        }
        let (queue, cost) = (self.queue.clone(), self.directory.settings.cost);
        self.pool.spawn(move || {
            let hash = change.password().map_or(Err(Refusal::Storage(Error::NoHash)), |password| hash(password, cost));
            let _ = queue.send(Message::Prepared(change, hash, reply));
        });
    }

    fn change(&mut self, change: Change, hash: Result<Option<String>, Refusal>, reply: Reply<Result<Listed, Refusal>>) {
        let changed = hash.and_then(|hash| self.directory.apply(change, hash, new_id()?));
        match &changed {
            Ok(listed) => self.gate.forget(listed.account),
            Err(Refusal::Storage(error)) => tracing::error!("{error}"),
            Err(_) => {}
        }
        self.changes.add(1);
        reply.send(changed);
    }
}

// Reports a hash when it is dropped, so that a job that panics frees its place as well.
struct Outcome {
    queue: Sender<Message>,
    key: Key,
    matches: Option<bool>,
}

impl Outcome {
    fn settle(&mut self, job: &Job) {
        self.matches = Some(job.run());
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        let _ = self.queue.send(Message::Hashed(self.key, self.matches));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{add, settings};
    use super::super::{Cost, Secret, Settings};
    use super::*;
    use crate::config::data::scratch;
    use crate::hop::blocking_call;
    use std::sync::mpsc;
    use std::time::Duration;

    fn login(name: &str, password: &str) -> Login {
        let password = Secret::from(password.to_string());
        Login { name: name.into(), password, network: "127.0.0.1".parse().unwrap(), service: "imap" }
    }

    fn verify(handle: &Handle, name: &str, password: &str) -> Verdict {
        let (reply, answer) = blocking_call();
        handle.verify(login(name, password), reply);
        answer.recv().unwrap()
    }

    fn admin(handle: &Handle, change: Change) -> Result<Listed, Refusal> {
        let (reply, answer) = blocking_call();
        handle.admin(change, reply);
        answer.recv().unwrap()
    }

    #[test]
    fn logins_and_changes_by_message() {
        let folder = scratch("thread");
        let directory = Directory::open(&folder, settings(&[])).unwrap();
        let handle = directory.start(Pool::start(2).unwrap(), 2).unwrap();
        let listed = admin(&handle, add("anna@x", "one")).unwrap();
        let granted = Verdict::Granted { account: listed.account, name: "anna@x".into(), quota: None };
        assert_eq!(verify(&handle, "anna@x", "one"), granted);
        assert_eq!(verify(&handle, "anna@x", "two"), Verdict::Refused);
        assert_eq!(verify(&handle, "bob@x", "two"), Verdict::Refused);
        let password = Secret::from("two".to_string());
        admin(&handle, Change::Password { name: "anna@x".into(), password }).unwrap();
        assert_eq!(verify(&handle, "anna@x", "one"), Verdict::Refused);
        assert_eq!(verify(&handle, "anna@x", "two"), granted);
        admin(&handle, Change::Delete { name: "anna@x".into() }).unwrap();
        assert_eq!(verify(&handle, "anna@x", "two"), Verdict::Refused);
        let (reply, answer) = blocking_call();
        handle.list(reply);
        assert_eq!(answer.recv().unwrap(), []);
    }

    #[test]
    fn names_are_answered_while_passwords_are_hashed() {
        let folder = scratch("thread-names");
        let cost = Cost { memory_kib: 64 * 1024, passes: 6 };
        let mut directory = Directory::open(&folder, settings(&[])).unwrap();
        directory.change(add("anna@x", "one")).unwrap();
        drop(directory);
        let directory = Directory::open(&folder, Settings { cost, ..settings(&[]) }).unwrap();
        let handle = directory.start(Pool::start(1).unwrap(), 1).unwrap();
        let (reply, verdict) = blocking_call();
        handle.verify(login("nobody@x", "one"), reply);
        let (reply, answer) = blocking_call();
        handle.resolve("anna@x".into(), reply);
        assert!(matches!(answer.recv().unwrap(), Resolved::Account { .. }));
        assert_eq!(verdict.try_recv(), Err(mpsc::TryRecvError::Empty), "the hash is still under way");
        assert_eq!(verdict.recv(), Ok(Verdict::Refused));
    }

    #[test]
    fn two_at_once_make_one_account() {
        let folder = scratch("thread-twice");
        let directory = Directory::open(&folder, settings(&[])).unwrap();
        let handle = directory.start(Pool::start(2).unwrap(), 2).unwrap();
        let answers: Vec<_> = (0..4)
            .map(|_| {
                let (reply, answer) = blocking_call();
                handle.admin(add("anna@x", "one"), reply);
                answer
            })
            .collect();
        let made = answers.iter().filter(|answer| answer.recv().unwrap().is_ok()).count();
        assert_eq!(made, 1);
    }

    #[test]
    fn the_thread_ends_with_the_last_handle_and_drops_what_was_asked() {
        let folder = scratch("thread-end");
        let directory = Directory::open(&folder, settings(&[])).unwrap();
        let handle = directory.start(Pool::start(1).unwrap(), 1).unwrap();
        let second = handle.clone();
        drop(handle);
        let (reply, answer) = blocking_call();
        second.resolve("a@x".into(), reply);
        assert_eq!(answer.recv(), Ok(Resolved::NotLocal));
        let queue = second.queue.clone();
        drop(second);
        let (reply, answer) = blocking_call();
        let _ = queue.send(Message::Resolve("a@x".into(), reply));
        assert!(answer.recv_timeout(Duration::from_secs(10)).is_err(), "dropped unanswered");
    }
}
