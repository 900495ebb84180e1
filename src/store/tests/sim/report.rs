//! The simulator's entry: many schedules, in one thread or several, and what happened in them as a table.
//!
//! Invariants: as part of the tests it runs some known schedules and some that nobody ran before, for a few seconds; with
//! `RINGPOST_SIMULATOR` set it does what that says (see `tests/simulator`, which sets it). A schedule that finds something ends it
//! all, with its seed and the command that runs it again.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::schedule::{Failed, run, run_traced};
use super::world::Counts;

/// What is to be run.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// One schedule, with all that happens in it.
    seed: Option<u64>,
    from: u64,
    schedules: Option<u64>,
    time: Option<Duration>,
    jobs: usize,
}

impl Wanted {
    /// Words as `schedules=1000`, in any order.
    fn parse(words: &str) -> Wanted {
        let mut wanted = Wanted { jobs: 1, ..Wanted::default() };
        for word in words.split_whitespace() {
            let (name, value) = word.split_once('=').expect("a name, =, a number");
            let value: u64 = value.parse().expect("a number");
            match name {
                "seed" => wanted.seed = Some(value),
                "from" => wanted.from = value,
                "schedules" => wanted.schedules = Some(value),
                "seconds" => wanted.time = Some(Duration::from_secs(value)),
                "jobs" => wanted.jobs = value.max(1) as usize,
                _ => panic!("{name} is nothing that the simulator knows"),
            }
        }
        wanted
    }
}

/// What the threads share.
struct Progress {
    begun: Instant,
    next: AtomicU64,
    done: AtomicU64,
    stopped: AtomicBool,
    told: Mutex<Instant>,
    failed: Mutex<Option<Failed>>,
}

/// Runs what is wanted; how many schedules that was, what happened, and what was found.
fn run_all(wanted: &Wanted) -> (u64, Counts, Option<Failed>) {
    let now = Instant::now();
    let progress = Progress {
        begun: now,
        next: AtomicU64::new(0),
        done: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
        told: Mutex::new(now),
        failed: Mutex::new(None),
    };
    let mut counts = Counts::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..wanted.jobs).map(|_| scope.spawn(|| run_some(wanted, &progress))).collect();
        for thread in threads {
            counts.merge(&thread.join().expect("panics of schedules are caught"));
        }
    });
    let failed = progress.failed.lock().expect("nobody panics with it").take();
    (progress.done.load(Ordering::Relaxed), counts, failed)
}

fn run_some(wanted: &Wanted, progress: &Progress) -> Counts {
    let mut counts = Counts::default();
    let in_time = || wanted.time.is_none_or(|time| progress.begun.elapsed() < time);
    while in_time() && !progress.stopped.load(Ordering::Relaxed) {
        let number = progress.next.fetch_add(1, Ordering::Relaxed);
        if wanted.schedules.is_some_and(|schedules| number >= schedules) {
            break;
        }
        if let Err(failed) = run(wanted.from + number, None, &mut counts) {
            progress.failed.lock().expect("nobody panics with it").get_or_insert(failed);
            progress.stopped.store(true, Ordering::Relaxed);
            break;
        }
        progress.done.fetch_add(1, Ordering::Relaxed);
        tell(progress);
    }
    counts
}

/// A line every few seconds, on a terminal.
fn tell(progress: &Progress) {
    let Ok(mut told) = progress.told.try_lock() else { return };
    if told.elapsed() > Duration::from_secs(2) && std::io::stderr().is_terminal() {
        *told = Instant::now();
        let done = progress.done.load(Ordering::Relaxed);
        let rate = done as f64 / progress.begun.elapsed().as_secs_f64();
        let _ = write!(std::io::stderr(), "\r{done} schedules, {rate:.0} a second ");
    }
}

/// What happened, a line each.
fn table(counts: &Counts, schedules: u64, time: Duration) -> String {
    let rate = schedules as f64 / time.as_secs_f64();
    let mut table = format!("{schedules} schedules in {:.1} s, {rate:.0} a second\n", time.as_secs_f64());
    let mut last = "";
    for ((group, name), count) in &counts.0 {
        if *group != last {
            table.push_str(&format!("{group}:\n"));
            last = group;
        }
        let indent = if group.is_empty() { "" } else { "  " };
        table.push_str(&format!("{indent}{name:.<36} {count}\n"));
    }
    table
}

/// Known schedules, new ones, or what the environment asks for.
#[test]
fn schedules() {
    let begun = Instant::now();
    let Ok(words) = std::env::var("RINGPOST_SIMULATOR") else {
        let known = Wanted { schedules: Some(600), jobs: 1, ..Wanted::default() };
        let (first, mut counts, failed) = run_all(&known);
        assert_eq!(failed.map(|failed| failed.to_string()), None);
        let new = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs() << 20;
        let (more, others, failed) =
            run_all(&Wanted { from: new, time: Some(Duration::from_secs(5)), jobs: 1, ..Wanted::default() });
        assert_eq!(failed.map(|failed| failed.to_string()), None);
        counts.merge(&others);
        println!("{}", table(&counts, first + more, begun.elapsed()));
        everything_happened(&counts);
        return;
    };
    let wanted = Wanted::parse(&words);
    if let Some(seed) = wanted.seed {
        let mut counts = Counts::default();
        let ran = run_traced(seed, &mut counts);
        println!("{}", table(&counts, 1, begun.elapsed()));
        assert_eq!(ran.map_err(|failed| failed.to_string()), Ok(()));
        println!("Success");
        return;
    }
    let (schedules, counts, failed) = run_all(&wanted);
    println!("{}", table(&counts, schedules, begun.elapsed()));
    if let Some(failed) = failed {
        println!("FAILED after {schedules} schedules\n{failed}");
        panic!("{failed}");
    }
    println!("{schedules} schedules\nSuccess");
}

/// A simulator in which something never happens would say nothing about it.
fn everything_happened(counts: &Counts) {
    let needed = [
        ("", "commits"),
        ("", "checkpoints"),
        ("", "sealed files and bodies removed"),
        ("ends", "stopped"),
        ("ends", "killed"),
        ("ends", "power cut, all dropped"),
        ("ends", "power cut, torn at 512"),
        ("ends", "power cut, torn at 4096"),
        ("ends", "power cut, reordered"),
        ("faults", "EIO"),
        ("faults", "failed sync"),
        ("faults", "ENOSPC for a while"),
        ("faults", "EMFILE for a while"),
        ("faults", "EIO on a read"),
        ("damage", "sealed files, found"),
        ("damage", "log records, found"),
        ("sessions", "move"),
        ("sessions", "rename"),
        ("sessions", "delivery, long"),
        ("sessions", "account let go"),
    ];
    for (group, name) in needed {
        assert!(counts.of(group, name) > 0, "{group} {name} never happened");
    }
}

#[test]
fn wanted_is_what_was_said() {
    let wanted = Wanted::parse("schedules=12 from=5 jobs=2 seconds=3");
    assert_eq!((wanted.schedules, wanted.from, wanted.jobs), (Some(12), 5, 2));
    assert_eq!((wanted.time, wanted.seed), (Some(Duration::from_secs(3)), None));
    assert_eq!(Wanted::parse("seed=9").seed, Some(9));
}
