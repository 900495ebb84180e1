//! `ringpost fsck`: what of a data folder is damaged, and mending what can be mended.
//!
//! Invariants: it holds the folder's lock from beginning to end, so that no server runs beside it; without `--repair` nothing is
//! changed but that lock. The exit code is 0 where nothing is damaged, or nothing any more, and 1 where something is. What
//! comes out of mail or names is shown without control characters.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::{Failure, Where, json_lines, print};
use crate::config::data::{DataFolder, Problem};
use crate::directory::{self, Directory, Inspected};
use crate::io::{Ring, Sizes, block_on};
use crate::limits::FSCK_PROGRESS_PAUSE;
use crate::store::fsck::{self, Finding, Grade, Job, Progress, Repaired, Report};
use crate::store::{AccountId, RingDisk, Secret, survive_lost_pages};

#[derive(Args, Debug)]
pub struct FsckOptions {
    /// Mend what can be mended; what is damaged is kept beside it
    #[arg(long)]
    repair: bool,
    /// Only this account, and what all share (may be repeated)
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "lowercase", tag = "is")]
enum Line<'a> {
    Found(Told<'a>),
    Done { what: &'a str },
    Gone { what: &'a str },
    Left(Told<'a>),
    Summary { accounts: usize, octets: u64, damaged: usize, lost: usize, harmless: usize },
}

#[derive(Serialize)]
struct Told<'a> {
    grade: &'static str,
    account: Option<&'a str>,
    file: &'a str,
    offset: Option<u64>,
    what: &'a str,
    means: &'a str,
    repair: &'a str,
}

/// What it works on, and who is told how far it is.
struct Work<'a> {
    folder: &'a DataFolder,
    ring: &'a Ring,
    job: Job<'a>,
    bar: Bar,
}

/// Checks a data folder, and mends it.
pub fn fsck(options: FsckOptions) -> Result<(), Failure> {
    let FsckOptions { repair, user, json, place } = options;
    let (data, settings) = place.settings()?;
    let folder = DataFolder::lock_existing(&data).map_err(|problem| match problem {
        Problem::InUse(..) => {
            Failure::Other(format!("{problem}; stop the server first: fsck looks at files that stand still"))
        }
        other => Failure::Data(other),
    })?;
    let inspected = directory::inspect(folder.path()).map_err(Failure::Directory)?;
    let accounts = inspected.accounts.iter();
    let names: HashMap<AccountId, String> =
        accounts.map(|account| (AccountId(account.account), account.name.clone())).collect();
    let only = chosen(&user, &inspected)?;
    survive_lost_pages().map_err(|error| Failure::Other(error.to_string()))?;
    let ring = Ring::new(&Sizes { submissions: 64, completions: 256, buffers: 2, buffer_bytes: 64 });
    let ring = ring.map_err(|error| Failure::Other(error.to_string()))?;
    let job = Job { names: &names, only: only.as_ref() };
    let mut work = Work { folder: &folder, ring: &ring, job, bar: Bar::new() };
    let mut out = Out { json, names: &names, text: String::new() };
    let mut report = work.check()?;
    report.findings.iter().try_for_each(|finding| out.finding(finding, false))?;
    let mut gone = Vec::new();
    let torn = inspected.faults.iter().any(|fault| fault.torn);
    if repair && (torn || !report.is_clean()) {
        let Repaired { done, lost } = work.repair()?;
        done.iter().try_for_each(|what| out.done(what))?;
        gone = lost;
        gone.iter().try_for_each(|what| out.gone(what))?;
        if torn && inspected.faults.iter().all(|fault| fault.torn) {
            // A start cuts it as well.
            Directory::open(folder.path(), settings).map_err(Failure::Directory)?;
            out.done("directory: the torn record is cut")?;
        }
        report = work.check()?;
        let mut left = report.findings.iter().filter(|finding| finding.grade != Grade::Harmless);
        left.try_for_each(|finding| out.finding(finding, true))?;
    }
    out.summary(&report)?;
    print(&out.text)?;
    verdict(&report, repair, gone.len())
}

impl Work<'_> {
    fn check(&mut self) -> Result<Report, Failure> {
        let disk = RingDisk::new(self.ring, self.folder.path());
        let checked = block_on(self.ring, fsck::check(&disk, self.job, &mut |now| self.bar.show("checked", now)));
        self.bar.clear();
        let mut report = checked.map_err(|error| Failure::Io("read the data folder", error))?.map_err(refused)?;
        let inspected = directory::inspect(self.folder.path()).map_err(Failure::Directory)?;
        let mail = report.looked.accounts_in_all > 0;
        report.findings.splice(0..0, of_directory(&inspected, mail));
        Ok(report)
    }

    fn repair(&mut self) -> Result<Repaired, Failure> {
        let disk = RingDisk::new(self.ring, self.folder.path());
        let octets = directory::credential::random();
        let secret = octets.ok_or_else(|| Failure::Other("the system has no random numbers".to_owned()))?;
        let secret = Secret(secret);
        let done = block_on(self.ring, fsck::repair(&disk, self.job, secret, &mut |now| self.bar.show("mended", now)));
        self.bar.clear();
        done.map_err(|error| Failure::Io("write to the data folder", error))?.map_err(refused)
    }
}

fn refused(error: crate::store::Error) -> Failure {
    Failure::Other(error.to_string())
}

/// The accounts that are meant; `None`: all.
fn chosen(users: &[String], inspected: &Inspected) -> Result<Option<HashSet<AccountId>>, Failure> {
    if users.is_empty() {
        return Ok(None);
    }
    let mut chosen = HashSet::new();
    for user in users {
        let is_meant = |name: &String| name.eq_ignore_ascii_case(user);
        let found =
            inspected.accounts.iter().find(|account| is_meant(&account.name) || account.aliases.iter().any(is_meant));
        let Some(account) = found else {
            let known = "`ringpost user list` shows the names of all";
            return Err(Failure::Other(format!("there is no account {user:?} in the directory; {known}")));
        };
        chosen.insert(AccountId(account.account));
    }
    Ok(Some(chosen))
}

/// What the directory's file is like; `mail`: there are accounts with mail.
fn of_directory(inspected: &Inspected, mail: bool) -> Vec<Finding> {
    let finding = |grade, offset, what: String, (means, cure): (&str, &str)| Finding {
        grade,
        account: None,
        file: "directory".to_owned(),
        offset,
        what,
        means: means.to_owned(),
        cure: cure.to_owned(),
    };
    if mail && !inspected.is_there {
        let means = "nobody can log in, and mail comes for nobody; a start would make two new accounts";
        let cure = "nothing: names and passwords are nowhere else; bring the file back from a backup";
        return vec![finding(Grade::Lost, None, "it is missing".to_owned(), (means, cure))];
    }
    let faults = inspected.faults.iter().map(|fault| {
        let (grade, words) = if fault.torn {
            (Grade::Harmless, ("a change that nobody was told had been made", "it is cut, as by a start"))
        } else {
            let cure = "nothing: bring the file back from a backup, or remove that line and set again what is missing";
            (Grade::Lost, ("no server starts on this folder", cure))
        };
        finding(grade, Some(fault.offset), fault.what.clone(), words)
    });
    faults.collect()
}

/// What is printed.
struct Out<'a> {
    json: bool,
    names: &'a HashMap<AccountId, String>,
    text: String,
}

impl Out<'_> {
    fn finding(&mut self, finding: &Finding, left: bool) -> Result<(), Failure> {
        let grade = match finding.grade {
            Grade::Harmless => "harmless",
            Grade::Damaged => "damaged",
            Grade::Lost => "lost",
        };
        if self.json {
            let told = Told {
                grade,
                account: finding.account.and_then(|id| self.names.get(&id)).map(String::as_str),
                file: &finding.file,
                offset: finding.offset,
                what: &finding.what,
                means: &finding.means,
                repair: &finding.cure,
            };
            return self.line(&if left { Line::Left(told) } else { Line::Found(told) });
        }
        let place = finding.offset.map(|offset| format!(" at {offset}")).unwrap_or_default();
        let left = if left { "still " } else { "" };
        let _ = writeln!(self.text, "{left}{grade}: {}{place}: {}", finding.file, finding.what);
        if !finding.means.is_empty() {
            let _ = writeln!(self.text, "  {}", finding.means);
        }
        let _ = writeln!(self.text, "  repair: {}", finding.cure);
        Ok(())
    }

    fn done(&mut self, what: &str) -> Result<(), Failure> {
        if self.json {
            return self.line(&Line::Done { what });
        }
        let _ = writeln!(self.text, "done: {what}");
        Ok(())
    }

    fn gone(&mut self, what: &str) -> Result<(), Failure> {
        if self.json {
            return self.line(&Line::Gone { what });
        }
        let _ = writeln!(self.text, "gone: {what}");
        Ok(())
    }

    fn summary(&mut self, report: &Report) -> Result<(), Failure> {
        let [damaged, lost, harmless] =
            [Grade::Damaged, Grade::Lost, Grade::Harmless].map(|grade| graded(report, grade));
        let Progress { accounts, octets, .. } = report.looked;
        if self.json {
            return self.line(&Line::Summary { accounts, octets, damaged, lost, harmless });
        }
        let plural = if accounts == 1 { "" } else { "s" };
        let _ = writeln!(
            self.text,
            "{accounts} account{plural}, {octets} octets read: {damaged} damaged, {lost} lost, {harmless} harmless"
        );
        Ok(())
    }

    fn line(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        self.text += &json_lines(std::slice::from_ref(line))?;
        Ok(())
    }
}

fn graded(report: &Report, grade: Grade) -> usize {
    report.findings.iter().filter(|finding| finding.grade == grade).count()
}

/// The exit code, as a failure where something is damaged, or `gone` with this repair.
fn verdict(report: &Report, repaired: bool, gone: usize) -> Result<(), Failure> {
    if report.is_clean() && gone == 0 {
        return Ok(());
    }
    let (damaged, lost) = (graded(report, Grade::Damaged), graded(report, Grade::Lost));
    Err(Failure::Other(match repaired {
        true => format!("{} could not be mended", damaged + lost + gone),
        false if damaged == 0 => format!("{lost} lost, which a repair does not bring back"),
        false => format!("{damaged} damaged: `ringpost fsck --repair` mends what can be mended"),
    }))
}

/// The line on a terminal that says how far it is.
struct Bar {
    shown: bool,
    next: Instant,
}

impl Bar {
    fn new() -> Bar {
        Bar { shown: io::stderr().is_terminal(), next: Instant::now() }
    }

    fn show(&mut self, doing: &str, now: Progress) {
        if self.shown && Instant::now() >= self.next {
            self.next = Instant::now() + FSCK_PROGRESS_PAUSE;
            let done = (20 * now.accounts / now.accounts_in_all.max(1)).min(20);
            let bar = format!("[{}{}]", "#".repeat(done), ".".repeat(20 - done));
            let megabytes = now.octets >> 20;
            let all = now.accounts_in_all;
            let _ = write!(io::stderr(), "\r{bar} {doing} {} of {all} accounts, {megabytes} MB\x1b[K", now.accounts);
        }
    }

    fn clear(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Fault;

    fn finding(grade: Grade) -> Finding {
        Finding {
            grade,
            account: Some(AccountId(1)),
            file: "accounts/x".to_owned(),
            offset: Some(7),
            what: "block checksum".to_owned(),
            means: "a@x: 1 message".to_owned(),
            cure: "a file in its place".to_owned(),
        }
    }

    #[test]
    fn a_finding_is_three_lines_or_an_object() {
        let names = HashMap::from([(AccountId(1), "a@x".to_owned())]);
        let mut out = Out { json: false, names: &names, text: String::new() };
        out.finding(&finding(Grade::Damaged), false).unwrap();
        out.finding(&finding(Grade::Lost), true).unwrap();
        let lines: Vec<&str> = out.text.lines().collect();
        assert_eq!(lines[..2], ["damaged: accounts/x at 7: block checksum", "  a@x: 1 message"]);
        assert_eq!(lines[3], "still lost: accounts/x at 7: block checksum");
        let mut out = Out { json: true, names: &names, text: String::new() };
        out.finding(&finding(Grade::Damaged), false).unwrap();
        let read: serde_json::Value = serde_json::from_str(&out.text).unwrap();
        assert_eq!((&read["is"], &read["account"], &read["offset"]), (&"found".into(), &"a@x".into(), &7.into()));
    }

    #[test]
    fn the_exit_code_says_whether_something_is_damaged() {
        let report = |grade| Report { findings: vec![finding(grade)], ..Report::default() };
        assert!(verdict(&report(Grade::Harmless), false, 0).is_ok());
        for (grade, repaired) in [(Grade::Damaged, false), (Grade::Lost, false), (Grade::Lost, true)] {
            assert_eq!(verdict(&report(grade), repaired, 0).unwrap_err().exit_code(), 1);
        }
        assert_eq!(verdict(&report(Grade::Harmless), true, 1).unwrap_err().exit_code(), 1);
    }

    #[test]
    fn a_torn_directory_is_harmless_and_a_damaged_one_is_not() {
        let fault = |torn| Fault { offset: 3, what: "a wrong checksum".to_owned(), torn };
        let faults = vec![fault(false), fault(true)];
        let inspected = Inspected { faults, is_there: true, ..Inspected::default() };
        let grades: Vec<Grade> = of_directory(&inspected, true).iter().map(|finding| finding.grade).collect();
        assert_eq!(grades, [Grade::Lost, Grade::Harmless]);
        assert_eq!(of_directory(&Inspected::default(), true).len(), 1);
        assert_eq!(of_directory(&Inspected::default(), false).len(), 0);
    }
}
