//! Logins: who is let in, who is refused, whose password has to be hashed first. No thread, no clock, no socket.
//!
//! Invariants:
//! - an unknown, ambiguous or disabled name costs one hash and gets the answer of a wrong password (R-AUTH-1, attack 21);
//! - a locked client is refused before anything else, so that it learns nothing from a right guess;
//! - guesses of one name from one network never outrun the lockout: no more hashes are under way than tries are left;
//! - what waits is bounded, in all and a network, and networks take turns, so that a flood delays its own network;
//! - logins with the same credential from the same network share one hash;
//! - a verdict is given on the account as it is when the hash is done, not as it was when it began.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::ops::Bound;
use std::time::Instant;

use super::book::{Book, Found};
use super::credential::{self, CredentialDigest, Credentials};
use super::lockout::{Lockout, NameDigest, Network};
use super::name;
use super::secret::Secret;
use crate::limits::{AUTH_PENDING_MAX, AUTH_PENDING_NETWORK_MAX, USER_NAME_BYTES_MAX};

/// A name and a password that a client sent.
#[derive(Debug)]
pub struct Login {
    /// The authentication identity, as it came.
    pub name: String,
    /// The password, as it came.
    pub password: Secret,
    /// The client's address.
    pub network: IpAddr,
    /// Which service it came to: a credential verified for one is not taken for another.
    pub service: &'static str,
}

/// The answer to a [`Login`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Welcome.
    Granted {
        /// The account's number.
        account: u64,
        /// Its name, as it is stored.
        name: String,
        /// Octets of mail that it may hold; `None`: no limit.
        quota: Option<u64>,
    },
    /// Wrong, unknown, disabled or locked out: the client isn't told which.
    Refused,
    /// Not decided: too much is waiting, or the directory failed. A temporary error for the client.
    Unavailable,
}

/// Which hash: the same credential from the same network.
pub type Key = (Network, CredentialDigest);

/// A password to hash, on a thread that may take its time.
#[derive(Debug)]
pub struct Job {
    /// To hand the outcome back with.
    pub key: Key,
    stored: String,
    password: Secret,
}

impl Job {
    /// Hashes: whether the password is the stored one.
    pub fn run(&self) -> bool {
        credential::verify(&self.stored, &self.password)
    }
}

#[derive(Debug)]
struct Pending<R> {
    waiting: Vec<R>,
    name: NameDigest,
    account: Option<u64>,
    stored: String,
    password: Option<Secret>,
}

/// See the module. `R` is the right to answer.
#[derive(Debug)]
pub struct Gate<R> {
    credentials: Credentials,
    lockout: Lockout,
    pending: BTreeMap<Key, Pending<R>>,
    queues: BTreeMap<Network, VecDeque<CredentialDigest>>,
    last_served: Option<Network>,
    hashing: usize,
    hashing_max: usize,
    dummy: String,
}

impl<R> Gate<R> {
    /// A gate that hashes at most `hashing_max` passwords at once; `secret` is random, `dummy` the PHC string of a
    /// password that nobody knows.
    pub fn new(secret: [u8; 32], dummy: String, hashing_max: usize) -> Self {
        Gate {
            credentials: Credentials::new(secret),
            lockout: Lockout::default(),
            pending: BTreeMap::new(),
            queues: BTreeMap::new(),
            last_served: None,
            hashing: 0,
            hashing_max: hashing_max.max(1),
            dummy,
        }
    }

    /// Takes a login; what can be answered at once goes into `answers`.
    pub fn login(
        &mut self,
        (book, default_domain): (&Book, Option<&str>),
        login: Login,
        reply: R,
        now: Instant,
        answers: &mut Vec<(R, Verdict)>,
    ) {
        let network = Network::of(login.network);
        let found = match login.name.len() {
            0..=USER_NAME_BYTES_MAX => book.find_login(&login.name, default_domain),
            _ => Found::None,
        };
        if found == Found::Ambiguous {
            tracing::warn!(
                "login as {:?} from {} is ambiguous: several accounts have that name",
                login.name,
                login.network
            );
        }
        let account = if let Found::One(account) = found { Some(account) } else { None };
        let key = account.map_or_else(|| name::key(&login.name), |account| name::key(&account.name));
        let name = self.credentials.name_digest(&key);
        if self.lockout.locked(name, network, now) {
            return answers.push((reply, Verdict::Refused));
        }
        let id = account.map(|account| account.id);
        let digest = self.credentials.digest(id, login.service, &key, &login.password);
        if let Some(account) = account
            && account.enabled
            && self.credentials.verified(&digest, account.id, now)
        {
            self.lockout.succeeded(name, network);
            return answers.push((
                reply,
                Verdict::Granted { account: account.id, name: account.name.clone(), quota: account.quota },
            ));
        }
        if let Some(pending) = self.pending.get_mut(&(network, digest)) {
            return pending.waiting.push(reply);
        }
        let guesses = self.of_network(network).filter(|(_, pending)| pending.name == name).count();
        if self.pending.len() >= AUTH_PENDING_MAX
            || self.of_network(network).count() >= AUTH_PENDING_NETWORK_MAX
            || guesses >= self.lockout.tries_left(name, network, now)
        {
            return answers.push((reply, Verdict::Unavailable));
        }
        let stored = account.map_or_else(|| self.dummy.clone(), |account| account.password.clone());
        let pending = Pending { waiting: vec![reply], name, account: id, stored, password: Some(login.password) };
        self.pending.insert((network, digest), pending);
        self.queues.entry(network).or_default().push_back(digest);
    }

    fn of_network(&self, network: Network) -> impl Iterator<Item = (&Key, &Pending<R>)> {
        self.pending.range((network, [0; 32])..=(network, [0xff; 32]))
    }

    /// The next password to hash, where one waits and the bound allows it. Call it until `None` after every change.
    pub fn next_job(&mut self, now: Instant, answers: &mut Vec<(R, Verdict)>) -> Option<Job> {
        while self.hashing < self.hashing_max {
            let key = self.next_key()?;
            let Some(pending) = self.pending.get_mut(&key) else { continue };
            if self.lockout.locked(pending.name, key.0, now) {
                // Locked while it waited: no hash is spent on it.
                if let Some(pending) = self.pending.remove(&key) {
                    answers.extend(pending.waiting.into_iter().map(|reply| (reply, Verdict::Refused)));
                }
                continue;
            }
            let Some(password) = pending.password.take() else { continue };
            self.hashing += 1;
            return Some(Job { key, stored: pending.stored.clone(), password });
        }
        None
    }

    // The first that waits of the network behind the one that was served last, round and round.
    fn next_key(&mut self) -> Option<Key> {
        let after = self.last_served.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.queues.range((after, Bound::Unbounded)).next();
        let network = *behind.or_else(|| self.queues.iter().next())?.0;
        self.last_served = Some(network);
        let queue = self.queues.get_mut(&network)?;
        let digest = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&network);
        }
        digest.map(|digest| (network, digest))
    }

    /// A job is done: `matches`, or `None` where it died.
    pub fn hashed(
        &mut self,
        book: &Book,
        key: Key,
        matches: Option<bool>,
        now: Instant,
        answers: &mut Vec<(R, Verdict)>,
    ) {
        self.hashing = self.hashing.saturating_sub(1);
        let Some(pending) = self.pending.remove(&key) else { return };
        let account = pending.account.and_then(|id| book.by_id(id));
        let verdict = match (matches, account) {
            (None, _) => Verdict::Unavailable,
            // The password was changed meanwhile: neither the old one nor the verdict on it counts.
            (_, Some(account)) if account.password != pending.stored => Verdict::Unavailable,
            (Some(true), Some(account)) if account.enabled => {
                self.credentials.remember(key.1, account.id, now);
                self.lockout.succeeded(pending.name, key.0);
                Verdict::Granted { account: account.id, name: account.name.clone(), quota: account.quota }
            }
            _ => Verdict::Refused,
        };
        for reply in pending.waiting {
            if verdict == Verdict::Refused && self.lockout.failed(pending.name, key.0, now) {
                let who = account.map_or("an unknown name", |account| account.name.as_str());
                tracing::warn!("locked out after too many failures: {who} from {:?}", key.0);
            }
            answers.push((reply, verdict.clone()));
        }
    }

    /// The account's password was changed, or it is gone: what was verified before doesn't count any more.
    pub fn forget(&mut self, account: u64) {
        self.credentials.forget(account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::book::Account;
    use crate::directory::credential::Cost;
    use crate::limits::{LOCKOUT_SECONDS, LOCKOUT_TRIES};
    use std::time::Duration;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1 };
    const HERE: &str = "192.0.2.1";

    fn phc(password: &str) -> String {
        credential::hash(&Secret::from(password.to_string()), [3; 16], CHEAP).unwrap()
    }

    fn account(id: u64, name: &str, password: &str) -> Account {
        Account::new(id, name.into(), phc(password))
    }

    /// A gate, a book and a clock; replies are numbers.
    struct World {
        gate: Gate<u32>,
        book: Book,
        now: Instant,
        answers: Vec<(u32, Verdict)>,
        hashes: usize,
        asked: u32,
    }

    impl World {
        fn new(hashing_max: usize) -> World {
            let mut book = Book::default();
            book.put(account(1, "anna@x", "one"));
            book.put(account(2, "bob@x", "two"));
            let gate = Gate::new([9; 32], phc("nobody"), hashing_max);
            World { gate, book, now: Instant::now(), answers: vec![], hashes: 0, asked: 0 }
        }

        fn ask(&mut self, name: &str, password: &str, from: &str, service: &'static str) -> u32 {
            let password = Secret::from(password.to_string());
            let login = Login { name: name.into(), password, network: from.parse().unwrap(), service };
            self.asked += 1;
            self.gate.login((&self.book, None), login, self.asked, self.now, &mut self.answers);
            self.asked
        }

        fn work(&mut self) {
            while let Some(job) = self.gate.next_job(self.now, &mut self.answers) {
                self.hashes += 1;
                let matches = job.run();
                self.gate.hashed(&self.book, job.key, Some(matches), self.now, &mut self.answers);
            }
        }

        /// The verdict on one login, and how many hashes it took.
        fn login(&mut self, name: &str, password: &str, from: &str) -> (Verdict, usize) {
            let hashes = self.hashes;
            let number = self.ask(name, password, from, "imap");
            self.work();
            let at = self.answers.iter().position(|(reply, _)| *reply == number).expect("an answer");
            (self.answers.remove(at).1, self.hashes - hashes)
        }
    }

    fn anna() -> Verdict {
        Verdict::Granted { account: 1, name: "anna@x".into(), quota: None }
    }

    #[test]
    fn right_wrong_unknown_and_disabled_cost_one_hash_each() {
        let mut world = World::new(2);
        assert_eq!(world.login("Anna@X", "one", HERE), (anna(), 1));
        assert_eq!(world.login("anna", "one", "198.51.100.1"), (anna(), 0));
        assert_eq!(world.login("bob@x", "one", HERE), (Verdict::Refused, 1));
        assert_eq!(world.login("carol@x", "one", HERE), (Verdict::Refused, 1));
        assert_eq!(world.login(&"c".repeat(5000), "one", HERE), (Verdict::Refused, 1));
        world.book.put(account(3, "anna@y", "one"));
        assert_eq!(world.login("anna", "one", HERE), (Verdict::Refused, 1), "ambiguous");
        let disabled = Account { enabled: false, ..account(2, "bob@x", "two") };
        world.book.put(disabled);
        assert_eq!(world.login("bob@x", "two", HERE), (Verdict::Refused, 1));
    }

    #[test]
    fn other_names_log_in_and_two_of_a_name_are_refused() {
        let mut world = World::new(2);
        let named = |id, name, names: &[&str]| Account {
            names: names.iter().map(|name| name.to_string()).collect(),
            ..account(id, name, "one")
        };
        world.book.put(named(1, "anna@x", &["Anna Muster/Sales/ACME"]));
        assert_eq!(world.login("Anna Muster/Sales/ACME", "one", HERE), (anna(), 1));
        assert_eq!(world.login("cn=anna muster", "one", HERE), (anna(), 0), "one credential by whatever name");
        assert_eq!(world.login("Anna Muster", "two", HERE), (Verdict::Refused, 1));
        world.book.put(named(3, "anna@y", &["Anna Muster/Research/ACME"]));
        assert_eq!(world.login("Anna Muster", "one", HERE), (Verdict::Refused, 1), "never the first match");
        assert_eq!(world.login("anna+x@x", "one", HERE), (Verdict::Refused, 1), "a sub-address is for mail");
    }

    #[test]
    fn the_cache_answers_at_once_until_the_password_changes() {
        let mut world = World::new(2);
        assert_eq!(world.login("anna@x", "one", HERE), (anna(), 1));
        assert_eq!(world.login("anna@x", "one", HERE), (anna(), 0));
        assert_eq!(world.login("anna@x", "One", HERE), (Verdict::Refused, 1));
        world.ask("anna@x", "one", HERE, "submission");
        world.work();
        assert_eq!(world.hashes, 3, "another service hashes for itself");
        world.book.put(account(1, "anna@x", "new"));
        world.gate.forget(1);
        assert_eq!(world.login("anna@x", "one", HERE), (Verdict::Refused, 1));
        assert_eq!(world.login("anna@x", "new", HERE), (anna(), 1));
        world.book.remove(1);
        world.gate.forget(1);
        assert_eq!(world.login("anna@x", "new", HERE), (Verdict::Refused, 1));
        // The same name made anew is another account.
        world.book.put(account(4, "anna@x", "other"));
        assert_eq!(world.login("anna@x", "new", HERE).0, Verdict::Refused);
    }

    #[test]
    fn a_disabled_account_is_refused_although_it_is_in_the_cache() {
        let mut world = World::new(2);
        assert_eq!(world.login("anna@x", "one", HERE), (anna(), 1));
        let stored = world.book.by_id(1).unwrap().clone();
        world.book.put(Account { enabled: false, ..stored });
        assert_eq!(world.login("anna@x", "one", HERE), (Verdict::Refused, 1));
    }

    #[test]
    fn a_password_changed_while_it_is_hashed_is_no_verdict() {
        let mut world = World::new(2);
        let number = world.ask("anna@x", "one", HERE, "imap");
        let job = world.gate.next_job(world.now, &mut world.answers).unwrap();
        world.book.put(account(1, "anna@x", "new"));
        world.gate.forget(1);
        assert!(job.run());
        world.gate.hashed(&world.book, job.key, Some(true), world.now, &mut world.answers);
        assert_eq!(world.answers, [(number, Verdict::Unavailable)]);
        world.answers.clear();
        assert_eq!(world.login("anna@x", "one", HERE), (Verdict::Refused, 1), "not remembered either");
    }

    #[test]
    fn a_job_that_died_is_unavailable_and_frees_its_place() {
        let mut world = World::new(1);
        let number = world.ask("anna@x", "one", HERE, "imap");
        let job = world.gate.next_job(world.now, &mut world.answers).unwrap();
        world.gate.hashed(&world.book, job.key, None, world.now, &mut world.answers);
        assert_eq!(world.answers, [(number, Verdict::Unavailable)]);
        world.answers.clear();
        assert_eq!(world.login("anna@x", "one", HERE), (anna(), 1));
    }

    #[test]
    fn attack_21_locked_out_here_and_welcome_from_elsewhere() {
        let mut world = World::new(2);
        for number in 0..LOCKOUT_TRIES {
            assert_eq!(world.login("anna@x", &format!("guess {number}"), HERE), (Verdict::Refused, 1));
        }
        assert_eq!(world.login("anna@x", "one", HERE), (Verdict::Refused, 0), "locked: not even hashed");
        assert_eq!(world.login("ANNA", "one", HERE), (Verdict::Refused, 0), "by whatever name");
        assert_eq!(world.login("bob@x", "two", HERE).1, 1, "a colleague in the same network");
        assert_eq!(world.login("anna@x", "one", "198.51.100.9"), (anna(), 1), "the right user from elsewhere");
        assert_eq!(world.login("anna@x", "one", HERE), (Verdict::Refused, 0), "a verified credential opens no lock");
        world.now += Duration::from_secs(LOCKOUT_SECONDS);
        assert_eq!(world.login("anna@x", "one", HERE), (anna(), 0));
    }

    #[test]
    fn guesses_sent_at_once_do_not_outrun_the_lockout() {
        let mut world = World::new(4);
        for number in 0..500 {
            world.ask("anna@x", &format!("guess {number}"), HERE, "imap");
        }
        world.work();
        assert_eq!(world.hashes, LOCKOUT_TRIES);
        let refused = world.answers.iter().filter(|(_, verdict)| *verdict == Verdict::Refused).count();
        assert_eq!((world.answers.len(), refused), (500, LOCKOUT_TRIES));
    }

    #[test]
    fn names_probed_at_once_stop_being_hashed_when_their_network_is_locked() {
        let mut world = World::new(4);
        for number in 0..500 {
            world.ask(&format!("user{number}@x"), "guess", HERE, "imap");
        }
        let last = world.ask("anna@x", "one", "198.51.100.1", "imap");
        world.work();
        assert_eq!(world.hashes, LOCKOUT_TRIES + 1);
        assert_eq!(world.answers.len(), 501);
        let position = world.answers.iter().position(|(reply, _)| *reply == last).unwrap();
        assert!(position < 3, "the other network had its turn: place {position}");
        assert_eq!(world.answers[position].1, anna());
    }

    #[test]
    fn the_same_credential_shares_one_hash() {
        let mut world = World::new(4);
        for _ in 0..100 {
            world.ask("anna@x", "one", HERE, "imap");
        }
        world.work();
        assert_eq!(world.hashes, 1);
        assert_eq!(world.answers.len(), 100);
        assert!(world.answers.iter().all(|(_, verdict)| *verdict == anna()));
    }

    #[test]
    fn what_waits_is_bounded_in_all_and_a_network() {
        let mut world = World::new(1);
        for number in 0..AUTH_PENDING_MAX + 10 {
            world.ask(&format!("u{number}@x"), "p", HERE, "imap");
        }
        assert_eq!(world.answers.len(), AUTH_PENDING_MAX + 10 - AUTH_PENDING_NETWORK_MAX);
        for number in 0..AUTH_PENDING_MAX {
            world.ask(&format!("u{number}@x"), "p", &format!("10.0.{}.1", number % 250), "imap");
        }
        assert_eq!(world.gate.pending.len(), AUTH_PENDING_MAX);
        assert!(world.answers.iter().all(|(_, verdict)| *verdict == Verdict::Unavailable));
        world.work();
        assert!(world.gate.pending.is_empty() && world.gate.queues.is_empty());
        assert_eq!(world.answers.len() as u32, world.asked);
    }
}
