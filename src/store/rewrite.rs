//! Writing a sealed file again in its place: what is left of one that is half gone, where merging all from there on to the
//! youngest would be more than one checkpoint does ([`super::tiers`]).
//!
//! Invariants: the new file says what the old one said, but for messages that younger files say are gone, and for mailboxes that
//! they say are deleted: it depends on sealed files alone, so the account is as it was at the manifest's number, and what the log
//! has on top of it is replayed as before. The manifest names the one or the other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use super::Core;
use super::account::AccountState;
use super::columns::Row;
use super::load::put_aside_unreadable;
use super::mailbox_state::{MailboxState, Unsealed};
use super::map::Sealed;
use super::map_index::{GroupOf, IndexOf};
use super::merge::{MailboxPlan, Plan, by_mailbox, delete, install, leave_out, pieces, release, write};
use super::message::Location;
use super::sealed::{Changed, MailboxMeta, Vanished};
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
    let (mut plan, mut mailboxes) = {
        let inner = state.inner.borrow();
        let sizes: Vec<Size> = inner.files[inner.unmerged..].iter().map(|file| file.size()).collect();
        let at = inner.unmerged + hollow(&sizes)?;
        let file = &inner.files[at];
        let plan = Plan {
            seq: inner.sealed_seq,
            from_seq: file.header().from_seq,
            to_seq: file.header().to_seq,
            kept: inner.files[..at].to_vec(),
            merged: vec![file.clone()],
            after: inner.files[at + 1..].to_vec(),
            mailboxes: BTreeMap::new(),
            forgotten: HashSet::new(),
            left_bodies: Vec::new(),
            uid_validity: inner.uid_validity_assigned,
            mailbox_id: inner.mailbox_id_assigned,
        };
        (plan, inner.mailboxes.clone())
    };
    let (file, younger) = (plan.merged[0].clone(), plan.after.clone());
    let index = file.index().ok()?;
    let after: Vec<IndexOf<'_>> = younger.iter().map(|file| file.index().ok()).collect::<Option<_>>()?;
    let (own, later) = (by_mailbox(std::slice::from_ref(&index)), by_mailbox(&after));
    // The youngest that names a mailbox says whether it is deleted.
    let named = after.iter().flat_map(|index| &index.mailboxes).map(|meta| (meta.id, meta.deleted));
    let deleted: HashMap<u32, bool> = named.collect();
    for meta in &index.mailboxes {
        let id = meta.id;
        if deleted.get(&id) == Some(&true) {
            continue;
        }
        breathe().await;
        let mut part = MailboxPlan::of_file(mailboxes.remove(&id)?, meta.clone());
        for group in own.get(&id).into_iter().flatten() {
            part.take_group(group, &file, later.get(&id).map_or(&[][..], |later| later), breathe).await;
        }
        plan.mailboxes.insert(id, part);
    }
    younger.iter().chain([&file]).try_for_each(|file| file.still_whole()).ok()?;
    let stays: u64 = plan.mailboxes.values().map(|part| part.unsealed.size).sum();
    // Copies share what they have: there may be nothing to win.
    (stays < file.len() / 4 * 3).then_some(plan)
}

impl MailboxPlan {
    /// Of a file that is written again, with nothing that is unsealed.
    fn of_file(state: Rc<MailboxState>, meta: MailboxMeta) -> MailboxPlan {
        let unsealed = Unsealed::default();
        MailboxPlan { state, meta, unsealed, rows: vec![], changed: vec![], vanished: vec![], pin: None }
    }

    /// Takes over what `file` says, but for messages that younger files say are gone.
    async fn take_group<B: AsyncFn()>(
        &mut self,
        group: &GroupOf<'_>,
        file: &Rc<Sealed>,
        younger: &[&GroupOf<'_>],
        breathe: &B,
    ) {
        let mut gone = vec![false; group.uid.len()];
        for vanished in younger.iter().map(|later| later.vanished) {
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
                let place = group.first + index as u32;
                self.unsealed.size += file.message_bytes(place);
                self.rows.push((Row::of_group(group, index), Location::Sealed(file.clone(), place)));
            }
            breathe().await;
        }
        self.changed.extend(group.changed.iter().map(Changed::from));
        self.vanished.extend(group.vanished.iter().map(Vanished::from));
    }
}
