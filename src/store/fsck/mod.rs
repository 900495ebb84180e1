//! `fsck`: what of a data folder is damaged, in words, and what of it can be mended.
//!
//! Invariants, each held by the module in brackets:
//! - Everything is read and compared; what is called clean opens, and every message in it is what was acknowledged (logs, files,
//!   account).
//! - What is believed is proven: by checksums, by a file's name, by a message's hash (bits, contents, files).
//! - A repair deletes nothing that may hold mail: what is damaged stays beside, under `….corrupt` (mend, relog).
//! - Each step of a repair is durable before the next one needs it, and done again does nothing: a repair that was interrupted is
//!   begun anew (mend, relog, refill, salvage).
//! - UIDs, UIDVALIDITY and ids of mailboxes are never given out twice; where UIDs stay, UIDVALIDITY does (refill, salvage).
//!
//! It works on folders that no server has open, and names nobody: names of accounts come from the caller. The directory is not
//! looked at here.

mod account;
mod bits;
mod chain;
mod contents;
mod elsewhere;
mod files;
mod logs;
mod mend;
mod patch;
mod refill;
mod relog;
mod salvage;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::disk::Disk;
use super::file_logs::EPOCH_PATH;
use super::log::Secret;
use super::segments::account_folder;
use super::types::{AccountId, Error};
use logs::LogScan;
use mend::Mender;

/// How bad something is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Grade {
    /// Nothing is missing for it: left-overs that a start removes or passes over.
    Harmless,
    /// Something is not as it was written, and a repair does something about it.
    Damaged,
    /// Something is not as it was written, and nothing can be done about it here.
    Lost,
}

/// Something that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// Whose it is.
    pub account: Option<AccountId>,
    /// Where, in the data folder.
    pub file: String,
    /// From which octet on.
    pub offset: Option<u64>,
    /// What is wrong there.
    pub what: String,
    /// What it means to people.
    pub means: String,
    /// What a repair does about it.
    pub cure: String,
}

/// What is to be looked at.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The accounts' names.
    pub names: &'a HashMap<AccountId, String>,
    /// Only these accounts, and what all share.
    pub only: Option<&'a HashSet<AccountId>>,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Accounts that were looked at
    pub accounts: usize,
    /// of so many.
    pub accounts_in_all: usize,
    /// Octets that were read.
    pub octets: u64,
}

/// What was found, or is left.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// All of it, the log first, then account by account.
    pub findings: Vec<Finding>,
    /// What was looked at.
    pub looked: Progress,
}

impl Report {
    /// Whether nothing is damaged or lost.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.grade == Grade::Harmless)
    }
}

/// Looks at everything, and changes nothing. `progress` is told after each account.
pub async fn check<D: Disk>(disk: &D, job: Job<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Report, Error> {
    let log = logs::scan(disk).await?;
    let places = places(disk, &log).await?;
    let chosen: Vec<(&AccountId, &Vec<String>)> = places.iter().filter(|(id, _)| job.includes(**id)).collect();
    let mut report = Report::default();
    report.looked.octets = log.octets;
    report.looked.accounts_in_all = chosen.len();
    words::of_log(&log, &places, job, &mut report.findings);
    words::of_left_overs(disk, &mut report.findings).await?;
    for (&id, folders) in chosen {
        for folder in folders {
            let account = account::scan(disk, (folder.clone(), id), &log).await?;
            words::of_account(&account, job, folders, &mut report.findings);
            report.looked.octets += account.octets;
        }
        report.looked.accounts += 1;
        progress(report.looked);
    }
    Ok(report)
}

/// What a repair did, in words.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Repaired {
    /// Step by step.
    pub done: Vec<String>,
    /// What was damaged, and is not there any more: nothing is left of it that another check would find.
    pub lost: Vec<String>,
}

/// Mends what can be mended. What is left is for another [`check`] to say, but for [`Repaired::lost`].
/// What another version wrote is not touched. `secret`: what the incarnations of new log segments are made of.
pub async fn repair<D: Disk>(
    disk: &D,
    job: Job<'_>,
    secret: Secret,
    progress: &mut dyn FnMut(Progress),
) -> Result<Repaired, Error> {
    let mut mender = Mender::new(disk.clone(), job);
    // The accounts need the log that they are mended with, and it what became of the files that its records name.
    let log = logs::scan(disk).await?;
    if log.epoch == logs::Epoch::Foreign {
        return Err(Error::corrupt(EPOCH_PATH, 0, "another version of Ringpost wrote it, which is to repair it"));
    }
    let places_before = places(disk, &log).await?;
    mender.mend_epoch(&log, !log.segments.is_empty() || !places_before.is_empty()).await?;
    for (id, folders) in places_before {
        if job.includes(id) {
            mender.move_home(id, &folders, &log).await?;
        }
    }
    let places = places(disk, &log).await?;
    let chosen: Vec<AccountId> = places.keys().copied().filter(|id| job.includes(*id)).collect();
    let mut looked = Progress { accounts_in_all: 2 * chosen.len(), ..Progress::default() };
    let mut damaged = Vec::new();
    for &id in &chosen {
        let account = account::scan(disk, (account_folder(id), id), &log).await?;
        if mender.considers(&account) {
            damaged.push(id);
        }
        looked.accounts += 1;
        looked.octets += account.octets;
        progress(looked);
    }
    mender.look_elsewhere(&places, &log).await?;
    for id in chosen {
        if damaged.contains(&id) {
            let account = account::scan(disk, (account_folder(id), id), &log).await?;
            mender.mend_account(&account).await?;
        }
        looked.accounts += 1;
        progress(looked);
    }
    mender.mend_log(&log, secret).await?;
    Ok(Repaired { done: mender.done, lost: mender.lost })
}

impl Job<'_> {
    fn includes(&self, id: AccountId) -> bool {
        self.only.is_none_or(|only| only.contains(&id))
    }

    fn name(&self, id: AccountId) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| format!("account {:016x}", id.0))
    }
}

/// Where each account lies, or would: usually one folder. Those that only the log knows have theirs to come.
async fn places<D: Disk>(disk: &D, log: &LogScan) -> Result<BTreeMap<AccountId, Vec<String>>, Error> {
    let io = |error: std::io::Error| Error::io("accounts", &error);
    let mut places: BTreeMap<AccountId, Vec<String>> = BTreeMap::new();
    for partition in disk.list("accounts").await.map_err(io)? {
        let is_partition = partition.len() == 3 && u16::from_str_radix(&partition, 16).is_ok();
        if !is_partition {
            continue;
        }
        for name in disk.list(&format!("accounts/{partition}")).await.map_err(io)? {
            let Some(number) = u64::from_str_radix(&name, 16).ok().filter(|_| name.len() == 16) else { continue };
            let (id, folder) = (AccountId(number), format!("accounts/{partition}/{name}"));
            // A repair leaves the wrong folder behind, with nothing in it.
            if folder == account_folder(id) || !disk.list(&folder).await.map_err(io)?.is_empty() {
                places.entry(id).or_default().push(folder);
            }
        }
    }
    for &id in log.records.keys() {
        places.entry(id).or_insert_with(|| vec![account_folder(id)]);
    }
    Ok(places)
}
