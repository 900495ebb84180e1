//! Findings in words: where, what is wrong, what it means to whom, and what a repair does.
//!
//! Invariants: a message is named by its mailbox, its UID and, where it can be read, its subject, at most [`FSCK_SHOWN_MAX`] of
//! them a finding; what comes out of mail has no control characters. Whatever is damaged has a finding that is not harmless;
//! nothing is said twice.

use std::collections::{BTreeMap, BTreeSet};

use super::super::disk::Disk;
use super::super::file_logs::EPOCH_PATH;
use super::super::log_record::RecordHeader;
use super::super::segments::{MANIFEST, account_folder};
use super::super::types::{AccountId, Error, Hash};
use super::account::{ASIDE, AccountScan, Said, Slot};
use super::files::{FileScan, Health, Raw, Row};
use super::logs::{Epoch, LogScan, SegmentScan};
use super::{Finding, Grade, Job};
use crate::limits::FSCK_SHOWN_MAX;

impl Finding {
    fn new(grade: Grade, file: impl Into<String>, what: impl Into<String>) -> Finding {
        let (file, what) = (file.into(), what.into());
        Finding { grade, account: None, file, offset: None, what, means: String::new(), cure: String::new() }
    }

    fn of(mut self, account: AccountId) -> Finding {
        self.account = Some(account);
        self
    }

    fn at(mut self, offset: u64) -> Finding {
        self.offset = Some(offset);
        self
    }

    fn means(mut self, means: impl Into<String>) -> Finding {
        self.means = means.into();
        self
    }

    fn cure(mut self, cure: impl Into<String>) -> Finding {
        self.cure = cure.into();
        self
    }
}

/// A number with its noun.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// What the log is like.
pub(super) fn of_log(log: &LogScan, places: &BTreeMap<AccountId, Vec<String>>, job: Job<'_>, out: &mut Vec<Finding>) {
    let used = !log.segments.is_empty() || !places.is_empty();
    let what = match log.epoch {
        Epoch::Missing if used => Some("it is missing"),
        Epoch::Damaged => Some("it has another checksum than it says"),
        Epoch::Missing | Epoch::Known(_) | Epoch::Foreign => None,
    };
    if log.epoch == Epoch::Foreign {
        let finding = Finding::new(Grade::Lost, EPOCH_PATH, "another version of Ringpost wrote it");
        out.push(finding.means("this one neither starts on the folder nor mends it").cure("use the one that wrote it"));
    }
    if let Some(what) = what {
        let means = "no server starts on this folder, or it counts from 1 again; no mail is in this file";
        let finding = Finding::new(Grade::Damaged, EPOCH_PATH, what);
        out.push(finding.means(means).cure("it is written anew, above every epoch in the segments' names"));
    }
    for segment in &log.segments {
        let path = segment.name.path();
        if let Some((offset, what)) = &segment.damage {
            let grade = if segment.foreign { Grade::Lost } else { Grade::Damaged };
            let finding = Finding::new(grade, path, what.clone()).at(*offset).means(damaged_segment(segment, log, job));
            out.push(finding.cure(if segment.foreign {
                "nothing: start the server that wrote it"
            } else {
                "the records that are whole go into a new segment, and this one is kept as ….corrupt"
            }));
        } else if let Some(offset) = segment.torn {
            let finding = Finding::new(Grade::Harmless, path, "a write that did not come to its end").at(offset);
            out.push(finding.means("nobody was told that it had").cure("the next start cuts it"));
        }
    }
}

fn damaged_segment(segment: &SegmentScan, log: &LogScan, job: Job<'_>) -> String {
    let mut accounts: BTreeMap<AccountId, usize> = BTreeMap::new();
    for (RecordHeader { account, .. }, _) in &segment.records {
        *accounts.entry(*account).or_default() += 1;
    }
    let names: Vec<String> = accounts.keys().take(FSCK_SHOWN_MAX).map(|&id| job.name(id)).collect();
    let more = accounts.len().saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let mut text =
        format!("no server starts on this folder; {} of it can be read", count(segment.records.len(), "record"));
    if !names.is_empty() {
        text += &format!(", of {}{more}", names.join(", "));
    }
    for id in accounts.keys().filter(|id| job.includes(**id)).take(FSCK_SHOWN_MAX) {
        let absent = absent(log, *id);
        if !absent.is_empty() {
            let numbers: Vec<String> =
                absent.iter().take(FSCK_SHOWN_MAX).map(|&(first, last)| range(first, last)).collect();
            text += &format!(
                "; of {} changes {} are not in the log (or were never made)",
                job.name(*id),
                numbers.join(", ")
            );
        }
    }
    text
}

fn range(first: u64, last: u64) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

/// Numbers between an account's first and last record that no record has.
fn absent(log: &LogScan, id: AccountId) -> Vec<(u64, u64)> {
    let Some(records) = log.records.get(&id) else { return Vec::new() };
    let pairs = records.windows(2).map(|pair| (pair[0].seq, pair[1].seq));
    pairs.filter(|(one, next)| one + 1 < *next).map(|(one, next)| (one + 1, next - 1)).collect()
}

/// What a start removes, and what somebody else put there.
pub(super) async fn of_left_overs<D: Disk>(disk: &D, out: &mut Vec<Finding>) -> Result<(), Error> {
    let io = |error: std::io::Error| Error::io("log", &error);
    for name in disk.list("log").await.map_err(io)? {
        if name.ends_with(".tmp") {
            out.push(left_over(format!("log/{name}"), "a file that was not finished"));
        } else if name.ends_with(ASIDE) {
            out.push(kept(format!("log/{name}")));
        }
    }
    let spooled = disk.list("spool").await.map_err(io)?.len();
    if spooled > 0 {
        let what = format!("{} that had not arrived when the server ended", count(spooled, "message"));
        out.push(
            left_over("spool".to_owned(), &what).means("who sent it was not told that it had, and sends it again"),
        );
    }
    Ok(())
}

fn left_over(path: String, what: &str) -> Finding {
    Finding::new(Grade::Harmless, path, what).cure("the server removes it")
}

fn kept(path: String) -> Finding {
    let finding = Finding::new(Grade::Harmless, path, "damaged, and put aside earlier");
    finding.cure("it stays; remove it when nothing is missed")
}

/// What an account is like.
pub(super) fn of_account(account: &AccountScan, job: Job<'_>, folders: &[String], out: &mut Vec<Finding>) {
    let name = job.name(account.id);
    if account.folder != account_folder(account.id) {
        out.push(misplaced(account, &name, folders));
    } else if !job.names.is_empty() && !job.names.contains_key(&account.id) {
        let finding =
            Finding::new(Grade::Harmless, &*account.folder, "mail of an account that the directory does not have");
        out.push(finding.of(account.id).means("it was deleted, or the directory is another's").cure("it stays"));
    }
    of_manifest(account, &name, out);
    for slot in &account.slots {
        of_slot(account, slot, &name, out);
    }
    gaps(account, &name, out);
    of_bodies(account, &name, out);
    of_records(account, &name, out);
    of_names(account, out);
}

fn misplaced(account: &AccountScan, name: &str, folders: &[String]) -> Finding {
    let right = account_folder(account.id);
    let finding = Finding::new(Grade::Damaged, &*account.folder, format!("it belongs under {right}")).of(account.id);
    let finding = finding.means(format!("the server does not find {} of {name} there", mail(account)));
    if folders.contains(&right) {
        finding.cure("nothing: the account has other files there; look which of them are to stay")
    } else {
        finding.cure("it is moved, unless the log shows that the account began anew")
    }
}

/// How many messages an account has.
fn mail(account: &AccountScan) -> String {
    let inner = account.state.inner.borrow();
    let mailboxes = inner.mailboxes.values().filter(|mailbox| !mailbox.deleted.get());
    let messages: u32 = mailboxes.map(|mailbox| mailbox.data.borrow().counts().messages).sum();
    count(messages as usize, "message")
}

fn of_manifest(account: &AccountScan, name: &str, out: &mut Vec<Finding>) {
    let what = match account.said {
        Said::Damaged(what) => what,
        Said::Missing => "it is missing, and there are files that it must have named",
        Said::Nothing | Said::Manifest(_) => return,
    };
    let finding = Finding::new(Grade::Damaged, format!("{}/{}", account.folder, MANIFEST), what).of(account.id);
    let finding = finding.means(format!("nothing of {name} can be opened; its files have {}", mail(account)));
    let files = count(account.slots.iter().filter(|slot| slot.file.is_some()).count(), "file");
    out.push(if account.is_foreign() {
        Finding { grade: Grade::Lost, ..finding.cure("nothing: start the server that wrote it") }
    } else {
        finding.cure(format!("it is made anew from the {files} that follow each other"))
    });
}

fn of_slot(account: &AccountScan, slot: &Slot, name: &str, out: &mut Vec<Finding>) {
    let touched_rows = slot.rows.values().filter(|(_, _, row)| !row.is_readable()).count();
    let lost = slot.rows.values().filter(|(_, _, row)| is_lost(row)).count();
    let Some(file) = &slot.file else {
        let what = format!("changes {} are in no file", range(slot.from + 1, slot.to));
        let finding = Finding::new(Grade::Damaged, &*account.folder, what).of(account.id);
        let means = format!("what came to {name} with them is not there");
        out.push(finding.means(means).cure("a file that says so takes their place; UIDs go on far above"));
        return;
    };
    let faults = faults(file);
    let offset = file.faults.first().map_or(0, |fault| fault.0);
    let finding = Finding::new(Grade::Damaged, &*file.path, faults).of(account.id).at(offset);
    let touched = touched(account, slot);
    match &file.health {
        Health::Whole if touched_rows == 0 => {}
        Health::Whole => {
            let offset = None;
            let grade = if lost == touched_rows { Grade::Lost } else { Grade::Damaged };
            let what = format!("{} not whole, though the file is as it was written", count(touched_rows, "message"));
            let cure = format!("{} made whole; {lost} stay as far as they can be read", touched_rows - lost);
            out.push(Finding { grade, offset, what, ..finding.means(format!("{name}: {touched}")).cure(cure) });
        }
        Health::Exact(_) => out.push(
            finding
                .means(format!("{name} can't open what is there, or not read it: {}", count(slot.live, "message")))
                .cure("it is put right, octet for octet: its name proves it"),
        ),
        Health::Blocks => {
            let means = format!("{name}: {touched}; {} of the file are not", slot.live - touched_rows);
            let cure = if lost == 0 {
                "a file in its place, with every message".to_owned()
            } else {
                format!(
                    "a file in its place; {} be looked for elsewhere, and else kept as far as they can be read",
                    if lost == 1 { "1 message will".to_owned() } else { format!("{lost} messages will") }
                )
            };
            out.push(finding.means(means).cure(cure));
        }
        Health::Unreadable | Health::Missing => {
            let changes = range(slot.from + 1, slot.to);
            let finding = finding.means(format!("{name} can't be opened; changes {changes} are in this file"));
            out.push(if file.foreign {
                Finding { grade: Grade::Lost, ..finding.cure("nothing: start the server that wrote it") }
            } else {
                finding.cure("messages that can be proven to be whole go to a mailbox Recovered; UIDs go on far above")
            });
        }
    }
}

/// Whether the content of a message has to be found elsewhere.
pub(super) fn is_lost(row: &Row) -> bool {
    row.raw == Raw::Gone
}

fn faults(file: &FileScan) -> String {
    let mut told: Vec<String> = Vec::new();
    for (offset, what) in file.faults.iter().take(FSCK_SHOWN_MAX) {
        told.push(if *offset == 0 { what.clone() } else { format!("{what} at {offset}") });
    }
    let more = file.faults.len().saturating_sub(told.len());
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told.join(", ")
}

fn touched(account: &AccountScan, slot: &Slot) -> String {
    let rows: Vec<&(u32, u32, Row)> = slot.rows.values().filter(|(_, _, row)| !row.is_readable()).collect();
    if rows.is_empty() {
        return "no message that is there is touched".to_owned();
    }
    let shown: Vec<String> = rows.iter().take(FSCK_SHOWN_MAX).map(|message| shown_message(account, message)).collect();
    let more = rows.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} touched: {}{more}", count(rows.len(), "message"), shown.join(", "))
}

/// Without control characters, and not long.
pub(super) fn plain(text: &str) -> String {
    let shown = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    shown.take(crate::limits::FSCK_SUBJECT_CHARACTERS_MAX).collect()
}

fn gaps(account: &AccountScan, name: &str, out: &mut Vec<Finding>) {
    for pair in account.slots.windows(2) {
        if pair[0].to != pair[1].from
            && pair.iter().all(|slot| slot.file.as_ref().is_some_and(|file| file.header.is_some()))
        {
            let what = format!("one file ends with change {}, the next begins after {}", pair[0].to, pair[1].from);
            let finding = Finding::new(Grade::Lost, format!("{}/{}", account.folder, MANIFEST), what);
            let means = format!("what {name} has may not be all, or something twice");
            out.push(finding.of(account.id).means(means).cure("nothing: no file says more"));
        }
    }
}

fn of_bodies(account: &AccountScan, name: &str, out: &mut Vec<Finding>) {
    for (hash, file) in &account.bodies.broken {
        let logged = account.unusable.iter().filter(|(_, body)| *body == Some(*hash)).count();
        let Some(users) = users(account, *hash, logged) else { continue };
        let offset = file.faults.first().map_or(0, |fault| fault.0);
        let finding = Finding::new(Grade::Damaged, &*file.path, faults(file)).of(account.id).at(offset);
        let means = format!("{name} can't read the long message: {users}");
        out.push(finding.means(means).cure(match file.health {
            Health::Exact(_) => "it is put right, octet for octet: its name proves it",
            _ => "it is looked for in the other accounts' folders; else the message stays as far as it can be read",
        }));
    }
    for hash in &account.bodies.lost {
        let logged = account.lost.iter().filter(|lost| *lost == hash).count();
        let Some(users) = users(account, *hash, logged) else { continue };
        let finding = Finding::new(Grade::Lost, format!("{}/{hash}", account.folder), "its message was lost before");
        let finding = finding.of(account.id).means(format!("{name} can't read the long message: {users}"));
        out.push(finding.cure("nothing, unless it is found elsewhere"));
    }
}

/// Which messages a body file is needed for; `None`: for none. `logged`: those that only the log has.
fn users(account: &AccountScan, body: Hash, logged: usize) -> Option<String> {
    let rows = account.slots.iter().flat_map(|slot| slot.rows.values());
    let shown = rows.filter(|(_, _, row)| row.raw == Raw::Apart(body)).take(FSCK_SHOWN_MAX);
    let mut shown: Vec<String> = shown.map(|message| shown_message(account, message)).collect();
    if logged > 0 {
        shown.push(format!("{} that no file has yet", count(logged, "message")));
    }
    (!shown.is_empty()).then(|| shown.join(", "))
}

fn shown_message(account: &AccountScan, (mailbox, uid, row): &(u32, u32, Row)) -> String {
    let subject = row.subject.as_deref().map(|subject| format!(" \"{}\"", plain(subject))).unwrap_or_default();
    format!("{} UID {uid}{subject}", plain(&account.mailbox_name(*mailbox)))
}

fn of_records(account: &AccountScan, name: &str, out: &mut Vec<Finding>) {
    for (record, _) in account.unusable.iter().filter(|(_, body)| body.is_none()) {
        let what = format!("change {} of {name} can't be read", record.seq);
        let finding = Finding::new(Grade::Lost, "log", what).of(account.id);
        out.push(finding.means(format!("{name} can't be opened")).cure("nothing: start the server that wrote it"));
    }
}

/// What lies in the folder and is nothing of the account.
fn of_names(account: &AccountScan, out: &mut Vec<Finding>) {
    let used: BTreeSet<Hash> = account
        .slots
        .iter()
        .filter_map(|slot| slot.file.as_ref().map(|file| file.name))
        .chain(account.bodies.known.keys().copied())
        .chain(account.bodies.broken.keys().copied())
        .chain(account.bodies.lost.iter().copied())
        .collect();
    for name in &account.names {
        let path = format!("{}/{name}", account.folder);
        let finding = match Hash::parse(name) {
            Some(hash) if used.contains(&hash) => continue,
            Some(_) => left_over(path, "no message is in it any more"),
            None if name == MANIFEST => continue,
            None if name.ends_with(".tmp") => left_over(path, "a file that was not finished"),
            None if name.ends_with(ASIDE) => kept(path),
            None => Finding::new(Grade::Harmless, path, "nothing of Ringpost's").cure("it stays"),
        };
        out.push(finding.of(account.id));
    }
}
