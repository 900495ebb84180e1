//! Sealing one account: what the log has of it, and the sealed files that are due to be merged, become one new file.
//!
//! Invariants: the new file and the older ones that stay hold the account exactly as it was at [`Plan::seq`], so that a
//! replay of what came after it decides as it did the first time (which messages a copy finds, with which flags); rows,
//! changes and expunges are looked at a few at a time, and the state moves on meanwhile, so mailboxes are pinned ([`Pin`]).
//! Files that are merged ([`super::tiers`] says which) are removed after the manifest stopped naming them. What several messages
//! of a new file read from one place is written once. A damaged file is not merged away; a message that is read from a damaged
//! one and is new here is lost, and says so ([`LOST`]): it is no reason to keep everybody's log. Nor is a merge that the disk
//! has no room for: what is new is sealed alone then.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use super::Core;
use super::account::{AccountInner, AccountState};
use super::change::UidRanges;
use super::columns::Row;
use super::load::{put_aside_unreadable, read_manifest};
use super::mailbox_state::{MailboxState, Unsealed, merge_ranges};
use super::manifest::Manifest;
use super::map::Sealed;
use super::map_index::{GroupOf, IndexOf};
use super::message::Location;
use super::rewrite::rewrite_hollow;
use super::sealed::{
    APART, Changed, FileHeader, FileKind, Group, Index, LOST, MailboxMeta, Piece, Place, SealedWriter, Vanished,
};
use super::segments::{account_folder, segment_path};
use super::tiers::{Size, due};
use super::types::{AccountId, Error, Hash};
use crate::limits::{BREATH_BYTES, BREATH_MESSAGES, BREATH_ROWS, STORE_WRITE_BYTES, VANISHED_MAX};

/// What a new file will hold.
pub(super) struct Plan {
    /// The account's last change that is in it.
    pub seq: u64,
    pub from_seq: u64,
    /// The last change that the new file has: `seq`, but where it takes the place of one that is not the youngest.
    pub to_seq: u64,
    /// Files before these stay, these are merged.
    pub kept: Vec<Rc<Sealed>>,
    pub merged: Vec<Rc<Sealed>>,
    /// Those after them stay as well.
    pub after: Vec<Rc<Sealed>>,
    pub mailboxes: BTreeMap<u32, MailboxPlan>,
    /// Deleted mailboxes that no file names any more.
    pub forgotten: HashSet<u32>,
    /// Body files that messages left which will not be in the new file.
    pub left_bodies: Vec<Hash>,
    pub uid_validity: u32,
    pub mailbox_id: u32,
}

pub(super) struct MailboxPlan {
    pub state: Rc<MailboxState>,
    pub meta: MailboxMeta,
    /// What was unsealed, to be put back if this fails.
    pub unsealed: Unsealed,
    pub rows: Vec<(Row, Location)>,
    pub changed: Vec<Changed>,
    pub vanished: Vec<Vanished>,
    /// Held until all of that is taken.
    pub pin: Option<Pin>,
}

/// Keeps a mailbox readable as it is, for as long as it lives.
pub(super) struct Pin(Rc<MailboxState>);

impl Pin {
    fn new(mailbox: &Rc<MailboxState>) -> Pin {
        mailbox.data.borrow_mut().pin();
        Pin(mailbox.clone())
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.data.borrow_mut().unpin();
    }
}

/// Seals what of the account is unsealed.
pub(super) async fn seal<B: AsyncFn()>(core: &Core, state: &Rc<AccountState>, breathe: &B) -> Result<(), Error> {
    if !state.is_unsealed() {
        core.replay.borrow_mut().remove(&state.id());
        let left = take_left_bodies(&mut state.inner.borrow_mut());
        free_bodies(core, state, left, breathe).await;
        return Ok(());
    }
    let mut merges = true;
    let mut patience = state.inner.borrow().files.len();
    let (mut plan, file) = loop {
        let mut plan = begin(state, merges);
        let written = match fill(&mut plan, breathe).await {
            Ok(()) => write(core, state, &mut plan, breathe).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(file) => break (plan, file),
            Err(error) => {
                let no_room = error == Error::Full && !plan.merged.is_empty();
                if no_room {
                    tracing::warn!(account = state.id().0, "no room to merge files; what is new is sealed alone");
                    merges = false;
                }
                // What was lost under way is met before it is written from then on: the next time it is another file.
                let lost = error.is_unreadable() && patience > 0;
                patience -= usize::from(lost);
                let again = no_room || leave_out(state, &plan, &error) || lost;
                give_back(state, plan);
                put_aside_unreadable(core, &error).await;
                if !again {
                    return Err(error);
                }
            }
        }
    };
    install(state, &plan, &file, breathe).await;
    release(&mut plan, breathe).await;
    core.replay.borrow_mut().remove(&state.id());
    for file in &plan.merged {
        delete(core, state, file.name()).await;
    }
    free_bodies(core, state, plan.left_bodies, breathe).await;
    rewrite_hollow(core, state, breathe).await;
    Ok(())
}

/// Takes the damaged file that `error` tells of out of the merges to come; false: it tells of none that was to be merged.
pub(super) fn leave_out(state: &AccountState, plan: &Plan, error: &Error) -> bool {
    let Error::Corrupt { file: path, .. } = error else { return false };
    let Some(damaged) = plan.merged.iter().position(|file| file.path() == path) else { return false };
    tracing::error!(account = state.id().0, "{error}; the file is not merged");
    state.inner.borrow_mut().unmerged = plan.kept.len() + damaged + 1;
    true
}

/// Lets go of the messages that were in memory, some at a time: nobody else has them any more.
pub(super) async fn release<B: AsyncFn()>(plan: &mut Plan, breathe: &B) {
    for mailbox in plan.mailboxes.values_mut() {
        while !mailbox.rows.is_empty() {
            mailbox.rows.truncate(mailbox.rows.len().saturating_sub(BREATH_MESSAGES));
            breathe().await;
        }
    }
}

pub(super) async fn delete(core: &Core, state: &AccountState, name: Hash) {
    // What stays behind is swept when the account is loaded the next time.
    if let Err(error) = core.segments.delete(state.id(), name).await {
        tracing::warn!(account = state.id().0, "a file that is no longer used stays: {error}");
    }
}

fn take_left_bodies(inner: &mut AccountInner) -> Vec<Hash> {
    let mut left = std::mem::take(&mut inner.left_bodies);
    for mailbox in inner.mailboxes.values() {
        left.append(&mut mailbox.data.borrow_mut().left_bodies);
    }
    left
}

/// Removes those body files from the account's folder that no message of it is made of. What messages left them is sealed.
async fn free_bodies<B: AsyncFn()>(core: &Core, state: &AccountState, left: Vec<Hash>, breathe: &B) {
    if left.is_empty() {
        return;
    }
    let mut free: BTreeSet<Hash> = left.iter().copied().collect();
    let (before, mailboxes) = {
        let inner = state.inner.borrow();
        (inner.bodies_seq, inner.mailboxes.values().cloned().collect::<Vec<_>>())
    };
    let mut certain = true;
    for mailbox in &mailboxes {
        // By UID: rows move down when expunged ones before them go, which is no change of the account.
        let mut uid = 0;
        loop {
            {
                let data = mailbox.data.borrow();
                let row = data.columns.lower_bound(uid);
                for location in data.columns.location.iter().skip(row).take(BREATH_ROWS) {
                    match location.body_name() {
                        Ok(name) => drop(name.map(|name| free.remove(&name))),
                        // Nor did anybody who let go of it know which file it is.
                        Err(_) if location.has_lost_name() => {}
                        Err(_) => certain = false,
                    }
                }
                match data.columns.uid.get(row + BREATH_ROWS) {
                    Some(next) => uid = *next,
                    None => break,
                }
            }
            breathe().await;
        }
    }
    // A message in between may be made of one where nobody looked any more: the next checkpoint looks again.
    if !certain || state.inner.borrow().bodies_seq != before {
        state.inner.borrow_mut().left_bodies.extend(left);
        return;
    }
    for name in free {
        core.bodies.forget(name);
        delete(core, state, name).await;
    }
}

/// Takes what is unsealed, in one moment, and where it `merges` the older files that are due.
fn begin(state: &AccountState, merges: bool) -> Plan {
    let mut inner = state.inner.borrow_mut();
    let left_bodies = take_left_bodies(&mut inner);
    let unsealed = inner.mailboxes.values().filter(|mailbox| mailbox.data.borrow().unsealed.meta);
    let unsealed: Vec<Rc<MailboxState>> = unsealed.cloned().collect();
    let new_bytes: u64 = unsealed.iter().map(|mailbox| mailbox.data.borrow().unsealed.weight()).sum();
    let mut kept = inner.files.clone();
    let merged = if merges { kept.split_off(choose(&mut inner, new_bytes)) } else { Vec::new() };
    let forgettable = inner.mailboxes.values().filter(|mailbox| mailbox.is_forgettable());
    let mut forgotten: HashSet<u32> = forgettable.map(|mailbox| mailbox.id.0).collect();
    for file in if forgotten.is_empty() { &[][..] } else { &kept[..] } {
        // Where a file that stays names it, the deletion has to be said; what one names that can't be read nobody knows.
        match file.index() {
            Ok(index) => forgotten.retain(|id| index.mailboxes.iter().all(|meta| meta.id != *id)),
            Err(_) => forgotten.clear(),
        }
    }
    let stays = |mailbox: &MailboxState| !forgotten.contains(&mailbox.id.0);
    let mut mailboxes = BTreeMap::new();
    for mailbox in unsealed.iter().filter(|mailbox| stays(mailbox)) {
        mailboxes.insert(mailbox.id.0, MailboxPlan::of(mailbox));
    }
    // Of one that is lost from now on nothing is written: [`fill`] looks at them all once more.
    for index in merged.iter().filter_map(|file| file.index().ok()) {
        let named = index.mailboxes.iter().map(|meta| meta.id);
        for id in named.chain(index.groups.iter().map(|group| group.mailbox)) {
            if let Some(mailbox) = inner.mailboxes.get(&id).filter(|mailbox| stays(mailbox)) {
                mailboxes.entry(id).or_insert_with(|| MailboxPlan::of(mailbox));
            }
        }
    }
    Plan {
        seq: inner.seq,
        to_seq: inner.seq,
        from_seq: merged.first().map_or(inner.sealed_seq, |file| file.header().from_seq),
        kept,
        merged,
        after: Vec::new(),
        mailboxes,
        forgotten,
        left_bodies,
        uid_validity: inner.uid_validity_assigned,
        mailbox_id: inner.mailbox_id_assigned,
    }
}

/// The first of the youngest files that are due to be merged. One that can't be read is left out, and all before it.
fn choose(inner: &mut AccountInner, new_bytes: u64) -> usize {
    if let Some(last) = inner.files.iter().rposition(|file| file.still_whole().is_err()) {
        inner.unmerged = inner.unmerged.max(last + 1);
    }
    loop {
        let sizes: Vec<Size> = inner.files[inner.unmerged..].iter().map(|file| file.size()).collect();
        let first = inner.files.len() - due(&sizes, new_bytes);
        match inner.files[first..].iter().position(|file| file.index().is_err()) {
            Some(damaged) => inner.unmerged = first + damaged + 1,
            None => return first,
        }
    }
}

impl Plan {
    /// Whether the file that has this piece would go, damaged as it is, and with it what somebody may still repair.
    fn is_last(&self, location: &Location, piece: Piece) -> bool {
        let Location::Sealed(file, row) = location else { return false };
        self.merged.iter().any(|merged| Rc::ptr_eq(merged, file)) && !file.is_lost(*row, piece)
    }
}

impl MailboxPlan {
    fn of(state: &Rc<MailboxState>) -> MailboxPlan {
        let (meta, pin) = (state.meta(), Some(Pin::new(state)));
        let mut data = state.data.borrow_mut();
        let fresh = Unsealed { from_uid: data.uid_next, ..Unsealed::default() };
        let unsealed = std::mem::replace(&mut data.unsealed, fresh);
        let state = state.clone();
        MailboxPlan { state, meta, unsealed, rows: Vec::new(), changed: Vec::new(), vanished: Vec::new(), pin }
    }
}

/// Puts back what [`begin`] took.
fn give_back(state: &AccountState, plan: Plan) {
    state.inner.borrow_mut().left_bodies.extend(plan.left_bodies);
    for mailbox in plan.mailboxes.into_values() {
        let mut data = mailbox.state.data.borrow_mut();
        let (now, before) = (&mut data.unsealed, mailbox.unsealed);
        now.meta |= before.meta;
        now.from_uid = now.from_uid.min(before.from_uid);
        now.size += before.size;
        now.flags.extend(before.flags);
        merge_ranges(&mut now.flags);
        now.vanished.extend(before.vanished);
    }
}

/// Collects rows, changes and expunges. An error where a file that is to be merged was lost meanwhile.
async fn fill<B: AsyncFn()>(plan: &mut Plan, breathe: &B) -> Result<(), Error> {
    let merged = plan.merged.clone();
    let indexes: Vec<IndexOf<'_>> = merged.iter().map(|file| file.index()).collect::<Result<_, _>>()?;
    let groups = by_mailbox(&indexes);
    for mailbox in plan.mailboxes.values_mut() {
        let id = mailbox.meta.id;
        let mut candidates: UidRanges = mailbox.unsealed.flags.clone();
        for group in groups.get(&id).into_iter().flatten() {
            mailbox.vanished.extend(group.vanished.iter().map(Vanished::from));
            candidates.extend(group.changed.iter().map(|row| (row.uid.to_native(), row.uid.to_native())));
            for range in pieces(0..group.uid.len()) {
                let uids = range.map(|index| group.uid[index].to_native());
                mailbox.take_rows(uids);
                breathe().await;
            }
        }
        // An account may have a hundred thousand mailboxes without a message.
        breathe().await;
        mailbox.take_new(breathe).await;
        merge_ranges(&mut candidates);
        mailbox.take_changed(&candidates, &merged, breathe).await;
        mailbox.vanished.extend_from_slice(&mailbox.unsealed.vanished);
        mailbox.vanished.sort_unstable();
        mailbox.vanished.dedup_by_key(|gone| gone.uid);
        trim_vanished(&mut mailbox.vanished, &plan.kept, id, VANISHED_MAX, breathe).await;
        mailbox.pin = None;
    }
    merged.iter().try_for_each(|file| file.still_whole())
}

/// The groups of some files by their mailboxes, in the order of the files.
pub(super) fn by_mailbox<'a>(indexes: &'a [IndexOf<'a>]) -> HashMap<u32, Vec<&'a GroupOf<'a>>> {
    let mut groups: HashMap<u32, Vec<&GroupOf<'_>>> = HashMap::new();
    for group in indexes.iter().flat_map(|index| &index.groups) {
        groups.entry(group.mailbox).or_default().push(group);
    }
    groups
}

/// Leaves the newest `max` of those that no file of `kept` has any more, for clients that were away; without the others the
/// message would come back.
pub(super) async fn trim_vanished<B: AsyncFn()>(
    vanished: &mut Vec<Vanished>,
    kept: &[Rc<Sealed>],
    mailbox: u32,
    max: usize,
    breathe: &B,
) {
    if vanished.len() <= max {
        return;
    }
    let mut stays = vec![false; vanished.len()];
    for file in kept {
        // Nobody knows which messages are in one that can't be read: all is kept.
        let Ok(index) = file.index() else { return };
        for group in index.groups.iter().filter(|group| group.mailbox == mailbox) {
            let (Some(first), Some(last)) = (group.uid.first(), group.uid.last()) else { continue };
            let start = vanished.partition_point(|gone| gone.uid < first.to_native());
            let end = vanished.partition_point(|gone| gone.uid <= last.to_native());
            for piece in pieces(start..end) {
                for index in piece {
                    stays[index] |= group.uid.binary_search_by_key(&vanished[index].uid, |uid| uid.to_native()).is_ok();
                }
                breathe().await;
            }
        }
        if file.still_whole().is_err() {
            return;
        }
    }
    let mut free: Vec<(u64, usize)> = vanished
        .iter()
        .enumerate()
        .filter(|(index, _)| !stays[*index])
        .map(|(index, gone)| (gone.modseq, index))
        .collect();
    free.sort_unstable_by_key(|&newest| std::cmp::Reverse(newest));
    free.iter().take(max).for_each(|&(_, index)| stays[index] = true);
    let mut stays = stays.into_iter();
    vanished.retain(|_| stays.next().unwrap_or(true));
}

pub(super) fn pieces(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(BREATH_ROWS).map(move |start| start..(start + BREATH_ROWS).min(end))
}

impl MailboxPlan {
    /// Takes the rows of these UIDs that are there.
    fn take_rows(&mut self, uids: impl Iterator<Item = u32>) {
        let data = self.state.data.borrow();
        for uid in uids {
            let index = data.columns.index_of(uid);
            if let Some((index, row)) = index.and_then(|index| Some((index, data.pinned_row(index)?))) {
                self.rows.push((row, data.columns.location[index].clone()));
            }
        }
    }

    /// Takes the rows that no file has, up to where the mailbox was when the plan was begun.
    async fn take_new<B: AsyncFn()>(&mut self, breathe: &B) {
        let mut next = self.unsealed.from_uid;
        while next < self.meta.uid_next {
            let uids: Vec<u32> = {
                let data = self.state.data.borrow();
                let rows = data.columns.range(next, self.meta.uid_next - 1);
                data.columns.uid[rows].iter().copied().take(BREATH_ROWS).collect()
            };
            let Some(&last) = uids.last() else { return };
            self.take_rows(uids.into_iter());
            next = last + 1;
            breathe().await;
        }
    }

    /// Takes the flags of messages in files that are not merged.
    async fn take_changed<B: AsyncFn()>(&mut self, uids: &UidRanges, merged: &[Rc<Sealed>], breathe: &B) {
        for &(first, last) in uids {
            let mut next = first;
            loop {
                let taken = {
                    let data = self.state.data.borrow();
                    let rows = data.columns.range(next, last);
                    let taken = rows.start..rows.end.min(rows.start + BREATH_ROWS);
                    for index in taken.clone() {
                        // A copy that is not sealed yet is in a file as well: its original's.
                        if let Location::Sealed(file, _) = &data.columns.location[index]
                            && !merged.iter().any(|merged| Rc::ptr_eq(merged, file))
                            && let Some(Row { uid, modseq, flags, keywords, .. }) = data.pinned_row(index)
                            && uid < self.unsealed.from_uid
                        {
                            self.changed.push(Changed { uid, flags, keywords, modseq });
                        }
                    }
                    taken.last().map(|row| data.columns.uid[row])
                };
                match taken.and_then(|last| last.checked_add(1)) {
                    Some(after) if after <= last => next = after,
                    _ => break,
                }
                breathe().await;
            }
        }
    }
}

/// Writes the new file and the manifest that names it.
pub(super) async fn write<B: AsyncFn()>(
    core: &Core,
    state: &AccountState,
    plan: &mut Plan,
    breathe: &B,
) -> Result<Rc<Sealed>, Error> {
    let account = state.id();
    core.ensure_room(state).await?;
    let header = FileHeader { kind: FileKind::Account, account, from_seq: plan.from_seq, to_seq: plan.to_seq };
    let mut writer = SealedWriter::begin(core.segments.put(account).await?, header).await?;
    let places = match write_messages(core, &mut writer, plan, breathe).await {
        Ok(places) => places,
        Err(error) => {
            writer.give_up().await;
            return Err(error);
        }
    };
    let index = index_of(plan, places);
    breathe().await;
    let (name, bytes) = writer.finish(&index, &account_folder(account)).await?;
    let named = name_file(core, account, plan, (name, bytes)).await;
    if named.is_err() && !is_named(core, account, plan, name).await {
        delete(core, state, name).await;
    }
    named
}

/// Opens a file that was written, and has the manifest name it.
async fn name_file(core: &Core, account: AccountId, plan: &Plan, file: (Hash, u64)) -> Result<Rc<Sealed>, Error> {
    let name = file.0;
    let map = core.segments.map(account, name).await?;
    let sealed = Rc::new(Sealed::open(map, segment_path(account, name), name, account)?);
    let kept = plan.kept.iter().map(|file| (file.name(), file.len()));
    let after = plan.after.iter().map(|file| (file.name(), file.len()));
    let files = kept.chain([file]).chain(after).collect();
    let manifest = Manifest { seq: plan.seq, uid_validity: plan.uid_validity, mailbox_id: plan.mailbox_id, files };
    core.segments.set_manifest(account, manifest.encode(account)).await?;
    Ok(sealed)
}

/// Whether anything may need the file after its naming failed: the manifest may be there, and only the sync have failed.
async fn is_named(core: &Core, account: AccountId, plan: &Plan, name: Hash) -> bool {
    let manifest = match read_manifest(&*core.segments, account).await {
        Ok(manifest) => manifest.unwrap_or_default(),
        Err(_) => return true,
    };
    let before = plan.kept.iter().chain(&plan.merged).chain(&plan.after).map(|file| file.name());
    manifest.files.iter().map(|file| file.0).chain(before).any(|other| other == name)
}

/// Writes records, details, texts, names of body files and raw messages, each kind together: a list of envelopes touches no
/// raw message. What is in a body file stays there.
async fn write_messages<B: AsyncFn()>(
    core: &Core,
    writer: &mut SealedWriter,
    plan: &Plan,
    breathe: &B,
) -> Result<Vec<Place>, Error> {
    let rows: Vec<&Location> =
        plan.mailboxes.values().flat_map(|mailbox| mailbox.rows.iter().map(|(_, location)| location)).collect();
    let mut places = vec![Place::default(); rows.len()];
    let shared = shared_content(&rows, breathe).await;
    let mut breath = 0;
    for piece in Piece::ALL {
        for (index, (place, location)) in places.iter_mut().zip(&rows).enumerate() {
            if shared.contains_key(&index) {
                continue;
            }
            warm(core, location, piece).await;
            // Archives are read in place, aligned; record and details are.
            if matches!(piece, Piece::Record | Piece::Details) {
                writer.align().await?;
            }
            let (bytes, start, length) = match piece_of(location, piece) {
                Ok(Some(bytes)) => (bytes, writer.position(), bytes.len() as u32),
                Ok(None) => (&[][..], writer.position(), APART),
                Err(error @ Error::Corrupt { .. }) if !plan.is_last(location, piece) => {
                    tracing::error!("{error}; a message that is sealed now has lost that");
                    (&[][..], LOST + index as u64, 1)
                }
                Err(error) => return Err(error),
            };
            match piece {
                Piece::Record => (place.record_start, place.record_bytes) = (start, length),
                Piece::Details => (place.details_start, place.details_bytes) = (start, length),
                Piece::Text => (place.text_start, place.text_bytes) = (start, length),
                Piece::Name => place.raw_start = start,
                Piece::Raw if length == APART => place.raw_bytes = APART,
                Piece::Raw => (place.raw_start, place.raw_bytes) = (start, length),
            }
            for part in bytes.chunks(BREATH_BYTES) {
                writer.write(part).await?;
                breath += part.len();
                if breath >= BREATH_BYTES {
                    breath = 0;
                    breathe().await;
                }
            }
            // What was written may have been lost under way: then it is begun again, and met before it is written.
            if !bytes.is_empty() {
                still_whole(location, piece)?;
            }
        }
    }
    for (copy, original) in shared {
        places[copy] = places[original];
    }
    Ok(places)
}

/// Rows whose message is that of a row before them, with that row.
async fn shared_content<B: AsyncFn()>(rows: &[&Location], breathe: &B) -> HashMap<usize, usize> {
    let mut shared = HashMap::new();
    let mut first: HashMap<(*const (), u64), usize> = HashMap::with_capacity(rows.len());
    for (index, location) in rows.iter().enumerate() {
        let content = match location {
            Location::Fresh(fresh) => (Rc::as_ptr(fresh).cast(), 0),
            Location::Sealed(file, row) => (Rc::as_ptr(file).cast(), file.record_start(*row)),
            Location::Gone => continue,
        };
        let original = *first.entry(content).or_insert(index);
        if original != index {
            shared.insert(index, original);
        }
        if index % BREATH_ROWS == 0 {
            breathe().await;
        }
    }
    shared
}

/// Has the disk read what the map would otherwise fault in, while others run.
async fn warm(core: &Core, location: &Location, piece: Piece) {
    let Location::Sealed(file, row) = location else { return };
    let Some(mut cold) = file.cold_piece(*row, piece) else { return };
    while cold.start < cold.end {
        let end = cold.end.min(cold.start + STORE_WRITE_BYTES as u64);
        // What can't be read is found when the map is.
        if core.segments.get_range(file.header().account, file.name(), cold.start..end).await.is_err() {
            return;
        }
        cold.start = end;
    }
}

/// Whether what was read of a row's message was the message's.
fn still_whole(location: &Location, piece: Piece) -> Result<(), Error> {
    match (location, piece) {
        (Location::Sealed(file, _), _) => file.still_whole(),
        (Location::Fresh(fresh), Piece::Details | Piece::Text) => {
            fresh.segment().map_or(Ok(()), |body| body.still_whole())
        }
        // In memory.
        _ => Ok(()),
    }
}

/// A piece as it goes into an account's file; `None`: it is in a body file, and stays there.
fn piece_of(location: &Location, piece: Piece) -> Result<Option<&[u8]>, Error> {
    if let Location::Sealed(sealed, _) = location {
        sealed.still_whole()?;
    }
    match (location, piece) {
        (Location::Fresh(fresh), piece) => fresh.piece(piece),
        (Location::Sealed(sealed, row), Piece::Text) if sealed.text_is_apart(*row) => Ok(None),
        (Location::Sealed(sealed, row), Piece::Raw) if sealed.is_apart(*row) => Ok(None),
        (Location::Sealed(sealed, row), piece) => sealed.piece(*row, piece).map(Some),
        (Location::Gone, _) => Ok(Some(&[])),
    }
}

fn index_of(plan: &mut Plan, places: Vec<Place>) -> Index {
    let mut index = Index { places, ..Index::default() };
    let mut first = 0;
    for (&mailbox, part) in &mut plan.mailboxes {
        index.mailboxes.push(part.meta.clone());
        if part.meta.deleted {
            continue;
        }
        let mut group = Group { mailbox, first, ..Group::default() };
        for (row, _) in &part.rows {
            group.uid.push(row.uid);
            group.modseq.push(row.modseq);
            group.flags.push(row.flags);
            group.keywords.push(row.keywords);
            group.size.push(row.size);
            group.date_seconds.push(row.date.seconds);
            group.date_offset.push(row.date.offset_minutes);
        }
        group.changed = std::mem::take(&mut part.changed);
        group.vanished = std::mem::take(&mut part.vanished);
        first += part.rows.len() as u32;
        index.groups.push(group);
    }
    index
}

/// Rows that were in the log or in merged files are in the new one from now on.
pub(super) async fn install<B: AsyncFn()>(state: &AccountState, plan: &Plan, file: &Rc<Sealed>, breathe: &B) {
    {
        let mut inner = state.inner.borrow_mut();
        inner.sealed_seq = plan.seq;
        inner.has_manifest = true;
        inner.files = plan.kept.iter().chain([file]).chain(&plan.after).cloned().collect();
        for id in &plan.forgotten {
            inner.mailboxes.remove(id);
        }
    }
    let mut index = 0u32;
    for mailbox in plan.mailboxes.values() {
        for piece in pieces(0..mailbox.rows.len()) {
            {
                let mut data = mailbox.state.data.borrow_mut();
                for (row, _) in &mailbox.rows[piece] {
                    // An expunged row stays with what it was read from: somebody may be reading it.
                    match data.columns.index_of(row.uid).filter(|&at| !data.hidden.has(at)) {
                        Some(at) => data.columns.location[at] = Location::Sealed(file.clone(), index),
                        None => file.leave(index),
                    }
                    index += 1;
                    data.placed_upto = data.placed_upto.max(row.uid.saturating_add(1));
                }
            }
            breathe().await;
        }
        let mut data = mailbox.state.data.borrow_mut();
        data.placed_upto = data.placed_upto.max(mailbox.meta.uid_next);
    }
}
