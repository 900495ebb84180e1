//! Bits that turn round on the medium, at the end of a schedule: found, and of no harm to others.
//!
//! Invariants: an account whose file is damaged says so, or has everything exactly as it was (the bit meant nothing); a file that
//! can't be opened is put aside under its name; every other account is exact. A damaged log is not started from, unless what was
//! hit is the end of it, which nobody can tell from a torn write: that is not done here.

use super::super::super::log_record::{padded, parse};
use super::super::super::log_replay::SegmentName;
use super::schedule::Schedule;
use crate::store::AccountId;
use crate::store::segments::account_folder;

/// Where a bit is turned.
#[derive(Clone, Debug)]
enum Target {
    /// A file of these accounts; a body file may be several accounts'.
    Sealed(Vec<AccountId>, String),
    /// Records of a log that others follow.
    Log(String),
    /// What no record of the log has.
    Tail(String),
}

/// Damages something, opens the store, and looks at all accounts.
pub(super) fn run(schedule: &mut Schedule) -> Result<(), String> {
    // What is to be compared must have been settled, and must not be under way.
    schedule.look_at_all()?;
    let Some((target, at)) = choose(schedule) else { return Ok(()) };
    let (world, bit) = (schedule.world.clone(), schedule.random.below(8));
    world.trace(|| format!("bit {bit} of octet {at} turns: {target:?}"));
    let (Target::Sealed(_, path) | Target::Log(path) | Target::Tail(path)) = &target;
    world.disk().flip(path, at, bit);
    let hit = match &target {
        Target::Sealed(accounts, _) => accounts.clone(),
        Target::Log(_) | Target::Tail(_) => Vec::new(),
    };
    let opened = schedule.open_damaged(&hit)?;
    match &target {
        Target::Sealed(hit, path) => {
            world.count("damage", "sealed files");
            let damaged = opened.ok_or("the store does not open for one damaged file")?;
            if damaged.iter().any(|other| !hit.contains(other)) {
                return Err(format!("{damaged:?} are said to be damaged, and {hit:?} are"));
            }
            if !damaged.is_empty() {
                world.count("damage", "sealed files, found");
            }
            let aside = world.disk().paths().contains(&format!("{path}.corrupt"));
            if damaged.is_empty() && aside {
                return Err(format!("{path} was put aside, and nobody was told"));
            }
        }
        Target::Log(_) => {
            world.count("damage", "log records");
            if opened.is_none() {
                world.count("damage", "log records, found");
            }
        }
        Target::Tail(_) => {
            world.count("damage", "log tails");
            opened.ok_or("the store does not open for a bit in what is no record")?;
        }
    }
    Ok(())
}

fn choose(schedule: &mut Schedule) -> Option<(Target, usize)> {
    let disk = schedule.world.disk();
    let paths = disk.paths();
    if schedule.random.below(2) == 0 {
        let account = AccountId(1 + schedule.random.below(schedule.world.account_count()) as u64);
        let folder = format!("{}/", account_folder(account));
        let files: Vec<&String> =
            paths.iter().filter(|path| path.strip_prefix(&folder).is_some_and(|name| name.len() == 64)).collect();
        let path = files.get(schedule.random.below(files.len()))?;
        let at = schedule.random.below(disk.bytes(path).len());
        let all = (1..=schedule.world.account_count() as u64).map(AccountId);
        let has =
            |account: &AccountId| paths.contains(&path.replacen(&folder, &format!("{}/", account_folder(*account)), 1));
        return Some((Target::Sealed(all.filter(has).collect(), path.to_string()), at));
    }
    let logs: Vec<&String> =
        paths.iter().filter(|path| path.strip_prefix("log/").and_then(SegmentName::parse).is_some()).collect();
    let path = logs.get(schedule.random.below(logs.len()))?;
    let name = SegmentName::parse(path.strip_prefix("log/")?)?;
    let bytes = disk.bytes(path);
    let (mut at, mut last_batch) = (512, 512);
    while let Some(header) = bytes.get(at..).and_then(parse)
        && (header.epoch, header.incarnation) == (name.epoch, name.incarnation)
    {
        if header.place == 0 {
            last_batch = at;
        }
        at += padded(header.length);
    }
    if last_batch > 512 && schedule.random.below(4) > 0 {
        return Some((Target::Log(path.to_string()), 512 + schedule.random.below(last_batch - 512)));
    }
    let rest = bytes.len().checked_sub(at).filter(|rest| *rest > 0)?;
    Some((Target::Tail(path.to_string()), at + schedule.random.below(rest)))
}
