//! What all of a schedule share: the disk, the stores of this life, the reference, and what each session is at.
//!
//! Invariants: every poll of anything is followed by [`World::looked_at`], which sees what was submitted in it and by whom, and
//! after a writer's what was published; an operation that says that it is done has all of its changes visible, one that was
//! refused has none; what fails without a reason fails the schedule.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::disk::SimDisk;
use super::intent::{Intent, Refused};
use super::judge::AccountModel;
use super::messages::Pool;
use crate::store::{AccountId, CreateError, Error, Store, TreeError};

/// The most accounts of a schedule.
pub(super) const ACCOUNTS_MAX: usize = 4;

/// How often what happened: by group and name.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub(super) struct Counts(pub BTreeMap<(&'static str, &'static str), u64>);

impl Counts {
    pub(super) fn add(&mut self, group: &'static str, name: &'static str, count: u64) {
        *self.0.entry((group, name)).or_default() += count;
    }

    pub(super) fn merge(&mut self, others: &Counts) {
        others.0.iter().for_each(|((group, name), count)| self.add(group, name, *count));
    }

    pub(super) fn of(&self, group: &str, name: &str) -> u64 {
        self.0.iter().filter(|((of, it), _)| *of == group && *it == name).map(|(_, count)| count).sum()
    }
}

/// Why an operation of a session did nothing.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(Refused),
    Store(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        if error == Error::Gone { Failure::Refused(Refused::Gone) } else { Failure::Store(error) }
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Failure {
        match error {
            TreeError::Missing => Failure::Refused(Refused::Missing),
            TreeError::Exists => Failure::Refused(Refused::Exists),
            TreeError::Invalid => Failure::Refused(Refused::Invalid),
            TreeError::TooMany => Failure::Store(Error::TooMany),
            TreeError::Store(error) => error.into(),
        }
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Failure {
        TreeError::from(error).into()
    }
}

/// What a session is at.
struct Operation {
    number: u64,
    intent: Intent,
    /// Its changes, by account.
    submitted: [usize; ACCOUNTS_MAX],
    published: [usize; ACCOUNTS_MAX],
}

/// Who was polled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Actor {
    /// Recovery and the opening of the stores.
    Opening,
    Session(usize),
    Writer,
    /// Checkpoints, and what else runs beside the sessions.
    Background,
}

pub(super) struct World {
    pub disk: RefCell<SimDisk>,
    pub pool: Rc<Pool>,
    pub accounts: RefCell<Vec<AccountModel>>,
    pub stores: RefCell<Vec<Store>>,
    pub counts: RefCell<Counts>,
    /// Unix time of this life's start.
    pub unix: Cell<u32>,
    pub now: Cell<Duration>,
    /// Copies of a delivery, at most.
    pub copies_max: Cell<usize>,
    /// A log is lost.
    pub lost: Cell<bool>,
    pub traced: bool,
    /// What a mutant takes away.
    pub forgets_uids: bool,
    operations: RefCell<Vec<Operation>>,
    next_operation: Cell<u64>,
    next_number: Cell<u32>,
    failure: RefCell<Option<String>>,
}

impl World {
    pub(super) fn new(disk: SimDisk, pool: Rc<Pool>, accounts: usize, traced: bool) -> World {
        let accounts = (1..=accounts as u64).map(|id| AccountModel::new(AccountId(id))).collect();
        World {
            disk: RefCell::new(disk),
            pool,
            accounts: RefCell::new(accounts),
            stores: RefCell::default(),
            counts: RefCell::default(),
            unix: Cell::new(1_700_000_000),
            now: Cell::default(),
            copies_max: Cell::new(1),
            lost: Cell::new(false),
            traced,
            forgets_uids: false,
            operations: RefCell::default(),
            next_operation: Cell::new(0),
            next_number: Cell::new(0),
            failure: RefCell::default(),
        }
    }

    pub(super) fn disk(&self) -> SimDisk {
        self.disk.borrow().clone()
    }

    pub(super) fn account_count(&self) -> usize {
        self.accounts.borrow().len()
    }

    pub(super) fn id(&self, account: usize) -> AccountId {
        AccountId(account as u64 + 1)
    }

    pub(super) fn shard(&self, account: usize) -> usize {
        self.id(account).shard(self.stores.borrow().len())
    }

    /// The store that has an account.
    pub(super) fn store(&self, account: usize) -> Store {
        self.stores.borrow()[self.shard(account)].clone()
    }

    pub(super) fn count(&self, group: &'static str, name: &'static str) {
        self.counts.borrow_mut().add(group, name, 1);
    }

    pub(super) fn trace(&self, what: impl FnOnce() -> String) {
        if self.traced {
            println!("{}", what());
        }
    }

    pub(super) fn next_number(&self, long: Option<bool>) -> u32 {
        self.next_number.set(self.next_number.get() + 1);
        Pool::number(self.next_number.get(), long)
    }

    /// The schedule has failed.
    pub(super) fn fail(&self, what: String) {
        self.failure.borrow_mut().get_or_insert(what);
    }

    pub(super) fn failure(&self) -> Result<(), String> {
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }

    /// So many sessions, at nothing.
    pub(super) fn begin_life(&self, sessions: usize) {
        let none = || Operation { number: 0, intent: Intent::Other, submitted: [0; _], published: [0; _] };
        *self.operations.borrow_mut() = (0..sessions).map(|_| none()).collect();
        self.accounts.borrow_mut().iter_mut().for_each(AccountModel::end_life);
        self.lost.set(false);
    }

    /// A session begins with something.
    pub(super) fn begin(&self, session: usize, intent: Intent) {
        self.trace(|| format!("session {session}: {intent:?}"));
        self.next_operation.set(self.next_operation.get() + 1);
        let number = self.next_operation.get();
        self.operations.borrow_mut()[session] = Operation { number, intent, submitted: [0; _], published: [0; _] };
    }

    /// A session was told what became of it, as far as `account` goes; whether it was done.
    pub(super) fn finish(&self, session: usize, account: usize, result: Result<(), Failure>) -> bool {
        self.trace(|| format!("session {session}: account {account}: {result:?}"));
        let mut operations = self.operations.borrow_mut();
        let operation = &mut operations[session];
        let (submitted, published) = (operation.submitted[account], operation.published[account]);
        let intent = &operation.intent;
        let unix = self.unix.get();
        let mut accounts = self.accounts.borrow_mut();
        let mut expected = || match accounts[account].assigned {
            Some(_) if intent.account().is_some() => accounts[account].steps(account, intent, unix).map(|it| it.len()),
            _ => Ok(0),
        };
        let excused = self.disk().fired() || self.lost.get();
        let appends = matches!(intent, Intent::Append { .. });
        let wrong = match &result {
            Ok(()) if submitted != published => Some("was acknowledged before it was visible".to_owned()),
            Ok(()) if submitted == 0 && appends => Some("was acknowledged, and nothing submitted".to_owned()),
            Ok(()) if submitted == 0 && !matches!(intent, Intent::Look { .. }) => match expected() {
                Ok(0) => None,
                other => Some(format!("was acknowledged, and {other:?} is right")),
            },
            Ok(()) => None,
            Err(Failure::Refused(refused)) => match expected() {
                Err(expected) if expected == *refused && submitted == 0 => None,
                _ if appends && *refused == Refused::Gone && submitted == 0 => None,
                other => Some(format!("was refused as {refused:?}, and {other:?} is right")),
            },
            Err(Failure::Store(error)) if !excused => Some(format!("failed for no reason: {error}")),
            Err(Failure::Store(error)) if published > 0 => Some(format!("failed, and is there: {error}")),
            Err(Failure::Store(Error::Corrupt { file, what, .. })) => Some(format!("found {file} damaged: {what}")),
            Err(Failure::Store(_)) => None,
        };
        if let Some(wrong) = wrong {
            self.fail(format!("{intent:?} {wrong}"));
        }
        result.is_ok()
    }

    /// Somebody had a turn.
    pub(super) fn looked_at(&self, actor: Actor) -> Result<(), String> {
        let stores = self.stores.borrow();
        if stores.is_empty() || actor == Actor::Opening {
            return self.failure();
        }
        let mut accounts = self.accounts.borrow_mut();
        let mut operations = self.operations.borrow_mut();
        for (index, account) in accounts.iter_mut().enumerate() {
            let store = &stores[account.id.shard(stores.len())];
            let Some(state) = account.state(store) else { continue };
            if account.assigned.is_none() {
                if self.forgets_uids {
                    super::mutants::forget_uids(&state);
                }
                account.settle(store, &state, &self.pool)?;
                self.counts.borrow_mut().add("checks", "accounts opened", 1);
            }
            let (intent, number) = match actor {
                Actor::Session(session) => (&operations[session].intent, operations[session].number),
                _ => (&Intent::Open, 0),
            };
            let submitted = account.submitted(index, &state, (intent, number, self.unix.get()))?;
            if let Actor::Session(session) = actor {
                let operation = &mut operations[session];
                if submitted > 0 && operation.submitted[index] > 0 {
                    return Err(format!("{:?} was submitted twice", operation.intent));
                }
                operation.submitted[index] += submitted;
            }
            if actor == Actor::Writer {
                for number in account.published(store, &state)?.operations {
                    let own = operations.iter_mut().find(|operation| operation.number == number && number > 0);
                    if let Some(operation) = own {
                        operation.published[index] += 1;
                    }
                }
            }
        }
        drop((accounts, operations));
        self.failure()
    }

    /// That an account which is in memory is what it must be.
    pub(super) fn compare(&self, account: usize) {
        let accounts = self.accounts.borrow();
        let model = &accounts[account];
        let store = self.store(account);
        if let Some(state) = model.state(&store).filter(|_| model.assigned.is_some()) {
            let compared = model.compare(&store, &state, &self.pool).map(drop);
            drop((accounts, state));
            compared.unwrap_or_else(|what| self.fail(what));
            self.count("checks", "accounts compared");
        }
    }

    /// Lets go of an account that nobody has open, as a store does that has many.
    pub(super) fn forget(&self, account: usize) {
        let (store, mut accounts) = (self.store(account), self.accounts.borrow_mut());
        let model = &mut accounts[account];
        // The map's and ours.
        let idle = model.state(&store).is_some_and(|state| Rc::strong_count(&state) == 2 && !state.is_unsealed());
        if idle && model.pending.is_empty() && model.assigned.is_some() {
            store.0.idle.borrow_mut().retain(|(id, _)| *id != model.id);
            store.0.forget(model.id, 1);
            model.end_life();
            self.counts.borrow_mut().add("sessions", "account let go", 1);
        }
    }
}
