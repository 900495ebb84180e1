//! Stores that do something wrong: what the simulator must find, and within how many schedules it does.
//!
//! Invariant: no mutant is in the store. Most are lies of the disk, which says that it did what the store asked for, just as if
//! the store had not asked; the others change what the store is opened with, as if it had read it so.

use super::disk::SimDisk;
use super::schedule::{Failed, run};
use super::world::Counts;
use crate::store::account::AccountState;
use crate::store::recovery::Replay;

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mutant {
    /// A commit is not synced.
    SkippedLogSync,
    /// A sealed file is not synced before it gets its name.
    SkippedFileSync,
    /// Nor is a manifest.
    SkippedManifestSync,
    /// The folder is not synced after the names of sealed files and manifest.
    SkippedFolderSync,
    /// The folder is not synced when a log segment got its name.
    SkippedLogFolderSync,
    /// The manifest is on the medium before the files that it names.
    ManifestFirst,
    /// A commit is acknowledged before its sync, which happens later.
    EarlyAcknowledgement,
    /// A sync that failed is tried again, and said to be done.
    RetriedSync,
    /// Old logs are removed before what they hold is sealed.
    EarlyTrim,
    /// An epoch is begun that there was before.
    OldEpoch,
    /// A recycled segment's old records are taken for new.
    IgnoredIncarnation,
    /// Records are replayed in another order than the account's.
    ReversedReplay,
    /// The last record of a log is not replayed.
    ShortReplay,
    /// UIDNEXT is what the messages say that are there.
    ForgottenUids,
    /// A write of the log that failed is said to be done.
    IgnoredError,
}

impl Mutant {
    /// What a start reads, changed.
    pub(super) fn change(self, replay: &mut Replay) {
        match self {
            Mutant::OldEpoch => replay.epoch = 1,
            Mutant::ReversedReplay => replay.records.values_mut().for_each(|records| records.reverse()),
            Mutant::ShortReplay => replay.records.values_mut().for_each(|records| drop(records.pop())),
            _ => {}
        }
    }
}

/// As if UIDNEXT were not kept.
pub(super) fn forget_uids(state: &AccountState) {
    for mailbox in state.inner.borrow().mailboxes.values() {
        let mut data = mailbox.data.borrow_mut();
        let last = (0..data.columns.len()).rev().find(|row| !data.hidden.has(*row));
        let next = last.map_or(1, |row| data.columns.uid[row] + 1);
        (data.uid_next, data.uid_next_assigned) = (next, next);
    }
}

/// The first of `schedules` in which the mutant is found, and nothing without it.
fn found(mutant: Mutant, schedules: u64) -> (u64, Failed) {
    let mut counts = Counts::default();
    let found = (0..schedules).find_map(|seed| Some((seed, run(seed, Some(mutant), &mut counts).err()?)));
    let (seed, failed) = found.unwrap_or_else(|| panic!("{mutant:?} was not found in {schedules} schedules"));
    assert_eq!(run(seed, None, &mut counts), Ok(()), "the store as it is");
    (seed, failed)
}

macro_rules! mutants {
    ($($test:ident: $mutant:ident within $schedules:expr,)*) => {$(
        #[test]
        fn $test() {
            let (seed, failed) = found(Mutant::$mutant, $schedules);
            println!("{:?} is found in schedule {seed}: {failed}", Mutant::$mutant);
        }
    )*};
}

mutants! {
    a_commit_that_is_not_synced_is_found: SkippedLogSync within 30,
    a_sealed_file_that_is_not_synced_is_found: SkippedFileSync within 100,
    a_manifest_that_is_not_synced_is_found: SkippedManifestSync within 100,
    a_folder_that_is_not_synced_is_found: SkippedFolderSync within 100,
    a_log_folder_that_is_not_synced_is_found: SkippedLogFolderSync within 100,
    a_manifest_before_its_files_is_found: ManifestFirst within 300,
    an_early_acknowledgement_is_found: EarlyAcknowledgement within 100,
    a_sync_that_is_tried_again_is_found: RetriedSync within 300,
    a_log_that_is_removed_too_early_is_found: EarlyTrim within 100,
    an_epoch_that_is_not_counted_up_is_found: OldEpoch within 30,
    an_incarnation_that_nobody_looks_at_is_found: IgnoredIncarnation within 1000,
    a_replay_in_another_order_is_found: ReversedReplay within 30,
    a_replay_that_ends_early_is_found: ShortReplay within 30,
    a_uid_next_that_is_not_kept_is_found: ForgottenUids within 30,
    an_error_that_nobody_looks_at_is_found: IgnoredError within 1000,
}

/// A disk that has nothing wrong is the same disk each time: what is found can be found again.
#[test]
fn a_schedule_is_the_same_each_time() {
    for seed in 1000..1020 {
        let runs = [(); 2].map(|()| {
            let mut counts = Counts::default();
            run(seed, None, &mut counts).unwrap_or_else(|failed| panic!("{failed}"));
            counts
        });
        assert_eq!(runs[0], runs[1], "seed {seed}");
    }
    let disk = SimDisk::new(1, None, false);
    assert_eq!((disk.operations(), disk.fired()), (0, false));
}
