//! Writing a sealed file again in its place: what is left of one that is half gone, where merging all from there on to the
//! youngest would be more than one checkpoint does ([`super::tiers`]).
//!
//! Invariants: the new file says what the old one said, but for messages that younger files say are gone, and for mailboxes that
//! they say are deleted: it depends on sealed files alone, so the account is as it was at the manifest's number, and what the log
//! has on top of it is replayed as before. The manifest names the one or the other.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use rkyv::rancor::Error as RkyvError;

use super::Core;
use super::account::AccountState;
use super::columns::Row;
use super::load::put_aside_unreadable;
use super::mailbox_state::{MailboxState, Unsealed};
use super::map::{Encoded, Sealed};
use super::merge::{MailboxPlan, Plan, delete, install, leave_out, pieces, release, write};
use super::message::Location;
use super::sealed::{ArchivedGroup, ArchivedMailboxMeta, Changed, Index, MailboxMeta, Vanished};
use super::tiers::{Size, hollow};

/// Writes a file that is half gone again, in its place, where it is due. What fails is tried at the next checkpoint.
pub(super) async fn rewrite_hollow<B: AsyncFn()>(core: &Core, state: &AccountState, breathe: &B) {
    let Some(mut plan) = begin_hollow(state, breathe).await else { return };
    match write(core, state, &mut plan, breathe).await {
        Ok(file) => {
            install(state, &plan, &file, breathe).await;
            for file in &plan.merged {
                delete(core, state, file.name()).await;
            }
        }
        Err(error) => {
            put_aside_unreadable(core, &error).await;
            if !leave_out(state, &plan, &error) {
                tracing::warn!(account = state.id().0, "a file that is half gone stays: {error}");
            }
        }
    }
    release(&mut plan, breathe).await;
}

/// Of the file that is due what no younger file says is gone: what is in the log alone may have to be replayed on top of it.
async fn begin_hollow<B: AsyncFn()>(state: &AccountState, breathe: &B) -> Option<Plan> {
    let (mut plan, mut mailboxes, after) = {
        let inner = state.inner.borrow();
        let sizes: Vec<Size> = inner.files[inner.unmerged..].iter().map(|file| file.size()).collect();
        let at = inner.unmerged + hollow(&sizes)?;
        let file = &inner.files[at];
        let after: Vec<Encoded<Index>> =
            inner.files[at + 1..].iter().map(|file| file.index().ok()).collect::<Option<_>>()?;
        let plan = Plan {
            seq: inner.sealed_seq,
            from_seq: file.header().from_seq,
            to_seq: file.header().to_seq,
            kept: inner.files[..at].to_vec(),
            merged: vec![file.clone()],
            indexes: vec![file.index().ok()?],
            after: inner.files[at + 1..].to_vec(),
            mailboxes: BTreeMap::new(),
            forgotten: HashSet::new(),
            left_bodies: Vec::new(),
            uid_validity: inner.uid_validity_assigned,
            mailbox_id: inner.mailbox_id_assigned,
        };
        (plan, inner.mailboxes.clone(), after)
    };
    let file = plan.merged[0].clone();
    let index = &plan.indexes[0];
    for meta in index.mailboxes.iter() {
        let mut later = after.iter().rev().flat_map(|index| index.mailboxes.iter());
        if later.find(|later| later.id == meta.id).is_some_and(|later| later.deleted) {
            continue;
        }
        let id = meta.id.to_native();
        let mut part = MailboxPlan::of_file(mailboxes.remove(&id)?, meta)?;
        for group in index.groups.iter().filter(|group| group.mailbox == id) {
            part.take_group(group, &file, &after, breathe).await;
        }
        plan.mailboxes.insert(id, part);
    }
    let stays: u64 = plan.mailboxes.values().map(|part| part.unsealed.size).sum();
    // Copies share what they have: there may be nothing to win.
    (stays < file.len() / 4 * 3).then_some(plan)
}

impl MailboxPlan {
    /// Of a file that is written again, with nothing that is unsealed.
    fn of_file(state: Rc<MailboxState>, meta: &ArchivedMailboxMeta) -> Option<MailboxPlan> {
        let meta = rkyv::deserialize::<MailboxMeta, RkyvError>(meta).ok()?;
        let unsealed = Unsealed::default();
        Some(MailboxPlan { state, meta, unsealed, rows: vec![], changed: vec![], vanished: vec![], pin: None })
    }

    /// Takes over what `file` says, but for messages that younger files say are gone.
    async fn take_group<B: AsyncFn()>(
        &mut self,
        group: &ArchivedGroup,
        file: &Rc<Sealed>,
        younger: &[Encoded<Index>],
        breathe: &B,
    ) {
        let mut gone = vec![false; group.uid.len()];
        let groups = younger.iter().flat_map(|index| index.groups.iter());
        for vanished in groups.filter(|other| other.mailbox == group.mailbox).map(|other| &other.vanished) {
            for piece in pieces(0..vanished.len()) {
                for entry in &vanished[piece] {
                    if let Ok(index) = group.uid.binary_search_by_key(&entry.uid.to_native(), |uid| uid.to_native()) {
                        gone[index] = true;
                    }
                }
                breathe().await;
            }
        }
        for piece in pieces(0..gone.len()) {
            for index in piece.filter(|&index| !gone[index]) {
                let place = group.first.to_native() + index as u32;
                self.unsealed.size += file.message_bytes(place);
                self.rows.push((Row::of_group(group, index), Location::Sealed(file.clone(), place)));
            }
            breathe().await;
        }
        let changed = group.changed.iter().map(|row| Changed {
            uid: row.uid.to_native(),
            flags: row.flags.to_native(),
            keywords: row.keywords.to_native(),
            modseq: row.modseq.to_native(),
        });
        self.changed.extend(changed);
        let vanished = group.vanished.iter();
        self.vanished
            .extend(vanished.map(|gone| Vanished { uid: gone.uid.to_native(), modseq: gone.modseq.to_native() }));
    }
}
