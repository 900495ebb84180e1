//! What the run asks of the kernel besides sockets: a processor to run on, the descriptor limit, and the figures in /proc.
//!
//! A server that is many processes is read as a whole: the process named and all its descendants, with what ended children used.

use std::collections::HashMap;
use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Pins this thread to processor `cpu`.
pub fn pin(cpu: usize) -> Result<(), String> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(format!("processor {cpu}: they are numbered from 0 to {}", CpuSet::MAX_CPU - 1));
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set)
        .map_err(|error| format!("processor {cpu}: {error} (is there such a processor, and may we use it?)"))
}

/// Raises the soft limit of open descriptors to the hard one and returns it.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current.unwrap_or(u64::MAX);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

/// Processor time of this process. Seconds.
pub fn own_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Processor time of this thread. Seconds.
pub fn thread_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A server's use of the machine at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// Processor time, user and system, ended children included. Seconds.
    pub cpu_seconds: f64,
    /// Resident memory, what processes share counted for each. Bytes.
    pub resident_bytes: u64,
    /// The same with what they share counted once (Pss); `None` where we may not read it.
    pub proportional_bytes: Option<u64>,
    /// Processes.
    pub processes: u32,
}

/// Reads the usage of `pid` and its descendants. The proportional memory only where `with_memory`: it costs the server time.
pub fn usage(pid: u32, with_memory: bool) -> Result<Usage, String> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let folder = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    for entry in folder.flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if let Some(stat) = read_stat(number) {
            children.entry(stat.parent).or_default().push(number);
        }
    }
    if read_stat(pid).is_none() {
        return Err(format!("--server-pid {pid}: no such process"));
    }
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let page = rustix::param::page_size() as u64;
    let mut total = Usage { proportional_bytes: with_memory.then_some(0), ..Usage::default() };
    let mut open = vec![pid];
    while let Some(number) = open.pop() {
        // A process may end while we read: what it used shows in its parent then.
        let Some(stat) = read_stat(number) else { continue };
        let own = precise_cpu_seconds(number).unwrap_or(0.0).max(stat.own_ticks as f64 / ticks);
        total.cpu_seconds += own + stat.ended_ticks as f64 / ticks;
        total.resident_bytes += stat.resident_pages * page;
        if let Some(sum) = total.proportional_bytes {
            total.proportional_bytes = proportional_bytes(number).map(|bytes| sum + bytes);
        }
        total.processes += 1;
        open.extend(children.remove(&number).unwrap_or_default());
    }
    Ok(total)
}

struct Stat {
    parent: u32,
    own_ticks: u64,
    ended_ticks: u64,
    resident_pages: u64,
}

fn read_stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// proc(5): the name is in parentheses and may hold any character; the fields after it are counted from the third.
fn parse_stat(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line[line.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(field(4)?).ok()?,
        own_ticks: field(14)? + field(15)?,
        ended_ticks: field(16)? + field(17)?,
        resident_pages: field(24)?,
    })
}

/// The time of all live threads in nanoseconds, where the kernel keeps it: a tick of 10 ms is coarse for a short run. Threads
/// that ended are missing from it, so the caller takes the larger of both figures.
fn precise_cpu_seconds(pid: u32) -> Option<f64> {
    let mut nanoseconds = 0u64;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let line = fs::read_to_string(task.path().join("schedstat")).ok()?;
        nanoseconds += line.split_ascii_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(nanoseconds as f64 / 1e9)
}

/// The line `Pss:  123 kB`.
fn proportional_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let line =
            "77 (a) b (c)) S 5 77 77 0 -1 4194304 1 2 3 4 100 20 7 3 20 0 1 0 99 1000000 321 18446744073709551615";
        let stat = parse_stat(line).expect("a stat line");
        assert_eq!((stat.parent, stat.own_ticks, stat.ended_ticks, stat.resident_pages), (5, 120, 10, 321));
        assert!(parse_stat("77 (x) S 5").is_none());
    }

    #[test]
    fn our_own_usage_is_plausible() {
        let before = usage(std::process::id(), true).expect("we live");
        let mut sum = 0u64;
        let from = std::time::Instant::now();
        while from.elapsed().as_millis() < 60 {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        assert!(std::hint::black_box(sum) != 1);
        let after = usage(std::process::id(), true).expect("we live");
        assert!(
            after.cpu_seconds > before.cpu_seconds
                && after.resident_bytes > 100_000
                && after.proportional_bytes > Some(50_000)
                && after.processes >= 1
        );
        assert!(usage(u32::MAX, false).is_err());
    }
}
