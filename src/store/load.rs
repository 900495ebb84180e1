//! Opening an account: its manifest, its sealed files, and what the logs of earlier epochs have for it.
//!
//! Invariants: an account is opened once however many ask for it; what can't be read is an error of this account alone,
//! and a damaged file is put aside under `….corrupt`, never read again and never deleted; files that neither the manifest
//! nor the log names are removed. A new account has its first mailboxes, durably, before anyone gets to see it.

use std::collections::{BTreeSet, btree_map::Entry};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use super::account::{Account, AccountState};
use super::body_file;
use super::change::Change;
use super::mailbox_state::MailboxState;
use super::manifest::Manifest;
use super::map::Sealed;
use super::map_index::IndexOf;
use super::message::Fresh;
use super::seams::{Owner, SegmentStore};
use super::segments::{manifest_path, segment_path};
use super::types::{AccountId, Error, Hash};
use super::{Core, Slot};

/// Opens account `id`, or joins those that are at it.
pub(super) async fn account(core: &Rc<Core>, id: AccountId) -> Result<Account, Error> {
    if let Owner::Elsewhere(_) = core.placement.owner(id.partition()) {
        return Err(Error::Busy);
    }
    let open = poll_fn(|context| match core.accounts.borrow_mut().entry(id) {
        Entry::Vacant(entry) => {
            entry.insert(Slot::Opening(Vec::new()));
            Poll::Ready(None)
        }
        Entry::Occupied(mut entry) => match entry.get_mut() {
            Slot::Open(state) => {
                core.join(id);
                Poll::Ready(Some(state.clone()))
            }
            Slot::Opening(waiting) => {
                waiting.push(context.waker().clone());
                Poll::Pending
            }
        },
    });
    let account = match open.await {
        Some(state) => Account::new(core.clone(), state),
        None => {
            let mut opening = Opening { core, id, opened: None };
            let state = Rc::new(load(core, id).await?);
            // From here on a checkpoint sees it, and nothing of it is forgotten when this future is.
            opening.opened = Some(state.clone());
            drop(opening);
            Account::new(core.clone(), state)
        }
    };
    account.ensure_inbox().await?;
    Ok(account)
}

/// The one who opens an account; dropped, those who wait go on, with the account or to try themselves.
struct Opening<'a> {
    core: &'a Core,
    id: AccountId,
    opened: Option<Rc<AccountState>>,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        let slot = {
            let mut accounts = self.core.accounts.borrow_mut();
            match self.opened.take() {
                Some(state) => accounts.insert(self.id, Slot::Open(state)),
                None => accounts.remove(&self.id),
            }
        };
        if let Some(Slot::Opening(waiting)) = slot {
            waiting.into_iter().for_each(std::task::Waker::wake);
        }
    }
}

/// Reads a manifest; `None` where the account has none.
pub(super) async fn read_manifest(segments: &dyn SegmentStore, account: AccountId) -> Result<Option<Manifest>, Error> {
    let bytes = segments.manifest(account).await?;
    let decoded = bytes.map(|bytes| Manifest::decode(&bytes, account)).transpose();
    decoded.map_err(|what| Error::corrupt(&manifest_path(account), 0, what))
}

async fn load(core: &Core, id: AccountId) -> Result<AccountState, Error> {
    let state = AccountState::new(id);
    let manifest = read_manifest(&*core.segments, id).await?;
    let known = manifest.is_some();
    let manifest = manifest.unwrap_or_default();
    {
        let mut inner = state.inner.borrow_mut();
        inner.has_manifest = known;
        (inner.seq, inner.seq_assigned, inner.sealed_seq) = (manifest.seq, manifest.seq, manifest.seq);
        inner.uid_validity_assigned = manifest.uid_validity;
        inner.mailbox_id_assigned = manifest.mailbox_id;
    }
    for &(name, bytes) in &manifest.files {
        let file = open_file(core, id, name).await?;
        if file.len() != bytes {
            return Err(Error::corrupt(file.path(), 0, "of another length than the manifest says"));
        }
        let taken = take_file(&state, &file, &file.index()?);
        file.still_whole()?;
        taken.ok_or_else(|| Error::corrupt(file.path(), 0, "does not fit the files before it"))?;
    }
    state.inner.borrow_mut().finish_load();
    let replayed = replay(core, &state, manifest.seq).await?;
    if known || replayed {
        sweep(core, &state).await?;
    }
    Ok(state)
}

/// Maps and checks a segment; a damaged one is put aside.
async fn open_file(core: &Core, account: AccountId, name: Hash) -> Result<Rc<Sealed>, Error> {
    let map = core.segments.map(account, name).await?;
    put_aside(core, (account, name), Sealed::open(map, segment_path(account, name), name, account)).await
}

/// The same of a body file, which another account may have brought along.
async fn open_body(core: &Core, account: AccountId, name: Hash) -> Result<Rc<Sealed>, Error> {
    if let Some(open) = core.bodies.open(name) {
        return Ok(open);
    }
    let map = core.segments.map(account, name).await?;
    let opened = body_file::open(map, segment_path(account, name), name, account);
    let body = put_aside(core, (account, name), opened).await?;
    core.bodies.keep(body.clone());
    Ok(body)
}

/// Puts a file aside of which the disk can't give some; other errors are none of its business. What is in memory of the
/// account stays usable; who opens it next is told.
pub(super) async fn put_aside_unreadable(core: &Core, error: &Error) {
    let Some((account, name)) = error.unreadable_segment() else { return };
    core.bodies.forget(name);
    match core.segments.quarantine(account, name).await {
        Ok(()) => tracing::error!(account = account.0, "{error}; the file is put aside"),
        // Many may meet it; it is told of once. Whoever lies there now is not what was read.
        Err(Error::Io { kind: io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists, .. }) => {}
        Err(other) => tracing::error!(account = account.0, "{error}; it can't be put aside: {other}"),
    }
}

async fn put_aside(
    core: &Core,
    (account, name): (AccountId, Hash),
    opened: Result<Sealed, Error>,
) -> Result<Rc<Sealed>, Error> {
    match opened {
        Ok(sealed) => Ok(Rc::new(sealed)),
        Err(error) => {
            tracing::error!(account = account.0, "{error}; the file is put aside");
            if let Err(error) = core.segments.quarantine(account, name).await {
                tracing::error!(account = account.0, "it can't be put aside: {error}");
            }
            Err(error)
        }
    }
}

/// Adds what one sealed file says to what the older ones said.
pub(super) fn take_file(state: &AccountState, file: &Rc<Sealed>, index: &IndexOf<'_>) -> Option<()> {
    let mut inner = state.inner.borrow_mut();
    for meta in &index.mailboxes {
        let id = meta.id;
        if !inner.mailboxes.contains_key(&id) {
            let mailbox = MailboxState::new(id, &meta.name, meta.uid_validity, meta.special_use);
            inner.add_mailbox(mailbox);
        }
        let mailbox = inner.mailboxes.get(&id)?;
        // What the youngest file says counts.
        *mailbox.name.borrow_mut() = meta.name.as_str().into();
        mailbox.subscribed.set(meta.subscribed);
        mailbox.deleted.set(meta.deleted);
        mailbox.data.borrow_mut().load_meta(meta);
    }
    for group in &index.groups {
        let mailbox = inner.mailboxes.get(&group.mailbox)?.clone();
        if !mailbox.data.borrow_mut().load_group(group, file) {
            return None;
        }
    }
    inner.files.push(file.clone());
    Some(())
}

/// Applies what earlier epochs' logs have after change `sealed`; false: they have nothing.
async fn replay(core: &Core, state: &AccountState, sealed: u64) -> Result<bool, Error> {
    let Some(records) = core.replay.borrow().get(&state.id()).cloned() else { return Ok(false) };
    for record in records.into_iter().filter(|record| record.account_seq > sealed) {
        let decoded = Change::decode(record.kind, &record.payload);
        record.payload.still_whole()?;
        let change = decoded.ok_or_else(|| Error::corrupt("log", record.account_seq, "a change that can't be read"))?;
        let change = match change {
            Change::AppendedSegment { mailbox, uid, .. } if !state.takes(mailbox, uid) => continue,
            Change::AppendedSegment { mailbox, uid, record, segment } => {
                let body = open_body(core, state.id(), segment).await?;
                Change::Appended { mailbox, uid, message: Rc::new(Fresh::in_segment(record, body)?) }
            }
            other => other,
        };
        state.apply(record.account_seq, change);
    }
    Ok(true)
}

/// Removes what a crash left between a segment and the manifest or the record that was to name it.
async fn sweep(core: &Core, state: &AccountState) -> Result<(), Error> {
    let names = core.segments.list(state.id()).await?;
    let mut orphans: BTreeSet<Hash> = names.into_iter().collect();
    {
        let inner = state.inner.borrow();
        orphans.retain(|name| inner.files.iter().all(|file| file.name() != *name));
        if orphans.is_empty() {
            return Ok(());
        }
        for mailbox in inner.mailboxes.values() {
            let data = mailbox.data.borrow();
            for location in &data.columns.location {
                match location.body_name() {
                    Ok(name) => drop(name.map(|name| orphans.remove(&name))),
                    Err(error) => {
                        tracing::error!(account = state.id().0, "what it no longer needs stays: {error}");
                        return Ok(());
                    }
                }
            }
            // The log still has these; the checkpoint removes them.
            orphans.retain(|name| !data.left_bodies.contains(name));
        }
    }
    if !orphans.is_empty() {
        // The manifest that does not name them may be one that a process left which ended before its sync.
        core.segments.settle(state.id()).await?;
    }
    for name in orphans {
        core.segments.delete(state.id(), name).await?;
    }
    Ok(())
}
