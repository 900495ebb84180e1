//! One message for many mailboxes: what its copies have in common is made once, and its content is on the disk once.
//!
//! Invariants: before a record names a body file, the file's bytes and its name in the account's folder are on the medium;
//! all accounts' names are names of one file, where the file system can, and of few otherwise; a name that no record took
//! is removed, at once or when the account is loaded the next time. Whether a message goes through a body file at all is
//! decided here: larger than a log record carries, or larger than [`SHARED_BODY_BYTES_MIN`] and for several.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::account::Account;
use super::body_file;
use super::checkpoint;
use super::mailbox::{Mailbox, Submitted, record_bytes, too_large};
use super::map::{Encoded, Sealed};
use super::record::{Details, NewMessage};
use super::sealed::{FileHeader, FileKind, Index, Place, SealedWriter};
use super::segments::segment_path;
use super::spool::Body;
use super::types::{AccountId, Error, Hash};
use super::{Core, Store};
use crate::limits::{
    BODY_NAMES_AT_ONCE, BREATH_BYTES, INLINE_BODY_BYTES_MAX, LOG_RECORD_BYTES_MAX, SHARED_BODY_BYTES_MIN,
};

/// What the copies of a message share. All must have the same body and structure.
pub(super) struct Shared {
    copies: usize,
    details: OnceCell<Rc<Encoded<Details>>>,
    /// In memory, where it goes into the log.
    body: OnceCell<Body>,
    placed: RefCell<BTreeMap<AccountId, PlacedBody>>,
    /// Where the next account's name is taken from.
    source: Cell<Option<AccountId>>,
    /// The disk has no room for it.
    full: Cell<bool>,
}

/// A body file that has a name in an account's folder.
#[derive(Clone, Debug)]
pub(super) struct PlacedBody {
    pub file: Rc<Sealed>,
    /// Records that name it.
    pub uses: Rc<Cell<usize>>,
}

impl Shared {
    /// For so many copies.
    pub(super) fn among(copies: usize) -> Shared {
        let (details, body, placed) = (OnceCell::new(), OnceCell::new(), RefCell::default());
        Shared { copies, details, body, placed, source: Cell::new(None), full: Cell::new(false) }
    }

    pub(super) fn details(&self, message: &NewMessage) -> Result<Rc<Encoded<Details>>, Error> {
        if let Some(details) = self.details.get() {
            return Ok(details.clone());
        }
        let encoded = Details::of(&message.structure).encode().and_then(Encoded::new).ok_or_else(too_large)?;
        Ok(self.details.get_or_init(|| Rc::new(encoded)).clone())
    }

    /// What goes into the log and stays in memory until it is sealed. Mail whose octets the disk can't give back is refused.
    pub(super) fn body(&self, message: &NewMessage) -> Result<Body, Error> {
        if let Some(body) = self.body.get() {
            return Ok(body.clone());
        }
        let body = message.body.in_memory()?;
        Ok(self.body.get_or_init(|| body).clone())
    }

    /// What the message takes in the log with its content in the record; `None`: the content goes into a body file.
    pub(super) fn inline_bytes(&self, message: &NewMessage) -> Result<Option<usize>, Error> {
        let limit = if self.copies > 1 { SHARED_BODY_BYTES_MIN } else { INLINE_BODY_BYTES_MAX };
        let content = self.details(message)?.bytes().len() + message.structure.text.len() + message.body.len();
        let bytes = record_bytes(message)? + content;
        Ok((message.body.len() <= limit && bytes <= LOG_RECORD_BYTES_MAX).then_some(bytes))
    }

    /// The body file, with a durable name in the account's folder.
    pub(super) async fn body_in(&self, account: &Account, message: &NewMessage) -> Result<PlacedBody, Error> {
        let placed = self.placed.borrow().get(&account.id()).cloned();
        if let Some(body) = placed {
            return Ok(body);
        }
        let core = account.core();
        core.ensure_room(account.state()).await?;
        let body = match self.shared_with(core, account.id()).await? {
            Some(body) => body,
            None => PlacedBody { file: self.write(account, message).await?, uses: Rc::default() },
        };
        self.source.set(Some(account.id()));
        self.placed.borrow_mut().insert(account.id(), body.clone());
        Ok(body)
    }

    /// Gives the file of another account to this one; `None`: there is none, or it can't be given.
    async fn shared_with(&self, core: &Core, account: AccountId) -> Result<Option<PlacedBody>, Error> {
        let Some(source) = self.source.get() else { return Ok(None) };
        let found = self.placed.borrow().get(&source).map(|body| body.file.clone());
        let Some(file) = found else { return Ok(None) };
        let shared = core.segments.share(source, file.name(), account).await?;
        Ok(shared.then(|| PlacedBody { file, uses: Rc::default() }))
    }

    /// Writes the content to a body file, durably, and opens it.
    async fn write(&self, account: &Account, message: &NewMessage) -> Result<Rc<Sealed>, Error> {
        let core = account.core();
        let details = self.details(message)?;
        // Its numbers are never used twice, so that the same message twice has two names, and two lives.
        let (kind, to_seq) = (FileKind::Body, core.next_number());
        let header = FileHeader { kind, account: AccountId(0), from_seq: core.epoch, to_seq };
        let mut writer = SealedWriter::begin(core.segments.put(account.id()).await?, header).await?;
        let mut place = Place { details_start: writer.position(), ..Place::default() };
        place.details_bytes = details.bytes().len() as u32;
        writer.write(details.bytes()).await?;
        place.text_start = writer.position();
        place.text_bytes = u32::try_from(message.structure.text.len()).map_err(|_| too_large())?;
        writer.write(message.structure.text.as_bytes()).await?;
        place.raw_start = writer.position();
        place.raw_bytes = u32::try_from(message.body.len()).map_err(|_| too_large())?;
        for piece in message.body.chunks(BREATH_BYTES) {
            writer.write(piece).await?;
        }
        if let Err(error) = message.body.still_whole() {
            writer.give_up().await;
            return Err(error);
        }
        let index = Index { places: vec![place], ..Index::default() };
        let name = writer.finish(&index, "body").await?.0;
        let opened = match core.segments.map(account.id(), name).await {
            Ok(map) => body_file::open(map, segment_path(account.id(), name), name, account.id()),
            Err(error) => Err(error),
        };
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                // Nobody will name it.
                let _ = core.segments.delete(account.id(), name).await;
                return Err(error);
            }
        };
        // A start opens it once more for the record: a few dozen of them are as good a reason for a checkpoint as a long log.
        core.commits.count_unsealed(INLINE_BODY_BYTES_MAX as u64);
        Ok(Rc::new(file))
    }

    /// Gives every account its name of the body file, several at a time, where the message has one; each copy's result.
    async fn place(&self, copies: &[(Mailbox, NewMessage)]) -> Vec<Result<(), Error>> {
        let mut results = vec![Ok(()); copies.len()];
        let mut apart = Vec::new();
        for (index, (_, message)) in copies.iter().enumerate() {
            match self.inline_bytes(message) {
                Ok(Some(_)) => {}
                Ok(None) => apart.push(index),
                Err(error) => results[index] = Err(error),
            }
        }
        let mut apart = apart.into_iter();
        // Who comes first writes the file, the others get names of it.
        for index in apart.by_ref() {
            results[index] = self.place_one(&copies[index]).await;
            if results[index].is_ok() {
                break;
            }
        }
        let others = apart.map(|index| async move { (index, self.place_one(&copies[index]).await) });
        together(others, |(index, result)| results[index] = result).await;
        results
    }

    async fn place_one(&self, (mailbox, message): &(Mailbox, NewMessage)) -> Result<(), Error> {
        if self.full.get() {
            return Err(Error::Full);
        }
        mailbox.check(message)?;
        let placed = self.body_in(mailbox.account(), message).await;
        // What one account has no room for the next has none for either.
        self.full.set(self.full.get() || matches!(placed, Err(Error::Full)));
        placed.map(drop)
    }

    /// Removes the names that no record took.
    pub(super) async fn remove_unused(&self, core: &Core) {
        let unused: Vec<(AccountId, Hash)> = {
            let mut placed = self.placed.borrow_mut();
            let unused = placed.extract_if(.., |_, body| body.uses.get() == 0);
            unused.map(|(account, body)| (account, body.file.name())).collect()
        };
        for (account, name) in unused {
            delete(core, account, name).await;
        }
    }

    /// Submits every copy before it waits for any, so that they share the log's commits; each copy's result.
    async fn append(&self, copies: &[(Mailbox, NewMessage)]) -> Vec<Result<(), Error>> {
        let mut results = self.place(copies).await;
        let mut waiting: VecDeque<(usize, Submitted)> = VecDeque::new();
        for (index, (mailbox, message)) in copies.iter().enumerate() {
            if results[index].is_err() {
                continue;
            }
            let submitted = loop {
                match (mailbox.submit_shared(message, self).await, waiting.is_empty()) {
                    // Our own copies may be what the log is busy with.
                    (Err(Error::Busy), false) => {
                        if let Some((first, submitted)) = waiting.pop_front() {
                            results[first] = submitted.wait().await.map(drop);
                        }
                    }
                    (submitted, _) => break submitted,
                }
            };
            match submitted {
                Ok(submitted) => waiting.push_back((index, submitted)),
                Err(error) => results[index] = Err(error),
            }
        }
        for (index, submitted) in waiting {
            results[index] = submitted.wait().await.map(drop);
        }
        results
    }
}

impl Store {
    /// Adds a message to several mailboxes, durably; each copy has its own result, in their order. All have the same body and
    /// structure, which is on the disk once where it is long, whatever their number; the rest of them may differ.
    pub async fn append_to_all(&self, copies: &[(Mailbox, NewMessage)]) -> Vec<Result<(), Error>> {
        checkpoint::make_room(&self.0).await;
        let shared = Shared::among(copies.len());
        let results = shared.append(copies).await;
        if results.iter().any(Result::is_err) {
            shared.remove_unused(&self.0).await;
        }
        results
    }
}

/// Removes a body file's name that no record has.
pub(super) async fn delete(core: &Core, account: AccountId, name: Hash) {
    if let Err(error) = core.segments.delete(account, name).await {
        // It is swept when the account is loaded the next time.
        tracing::warn!(account = account.0, "a refused message's file stays: {error}");
    }
}

/// Drives futures to their ends, at most [`BODY_NAMES_AT_ONCE`] at a time.
async fn together<T>(futures: impl Iterator<Item = impl Future<Output = T>>, mut ended: impl FnMut(T)) {
    let mut waiting = futures.fuse();
    let mut running: Vec<Pin<Box<_>>> = Vec::new();
    poll_fn(move |context| {
        loop {
            running.extend(waiting.by_ref().take(BODY_NAMES_AT_ONCE - running.len()).map(Box::pin));
            let before = running.len();
            if before == 0 {
                return Poll::Ready(());
            }
            running.retain_mut(|future| match future.as_mut().poll(context) {
                Poll::Pending => true,
                Poll::Ready(value) => {
                    ended(value);
                    false
                }
            });
            if running.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await;
}
