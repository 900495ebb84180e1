//! The machine that a run has, for its report: what it is, and what else it did meanwhile.
//!
//! Figures without them can't be told from those of another machine or of a busy one. What can't be read is left out. Shares are
//! of all processors over the measured time: what the hypervisor took (steal), and what was used by others than this process
//! and the server. The kernel counts all time by ticks and a process's own exactly, so a share of little means nothing.

use std::fs;

use serde::{Deserialize, Serialize};

/// The machine, and how it was used.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's model.
    pub processor: Option<String>,
    /// Processors that are online.
    pub processors: u32,
    /// Who sets the first processor's frequency, where that can be set.
    pub frequency_governor: Option<String>,
    /// Processes that ran or wanted to, averaged over 1, 5 and 15 minutes, at the start of the measured time.
    pub load_average: Option<[f64; 3]>,
    /// Share of the processors that the hypervisor took.
    pub steal_share: Option<f64>,
    /// Share of the processors that others used than this process and the server; known where the server's process is.
    pub foreign_share: Option<f64>,
}

/// The processors' time since the machine came up, at one moment. Seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Of all processors, idle or not.
    total: f64,
    /// At work.
    busy: f64,
    /// Taken by the hypervisor.
    steal: f64,
    load_average: Option<[f64; 3]>,
}

impl Moment {
    /// The share, in per cent of the machine, that others used from then until `later`, while `own` seconds were ours. The kernel counts
    /// the machine's time by ticks and ours exactly, so that it may come out below 0.
    pub fn foreign_percent(&self, later: &Moment, own: f64) -> f64 {
        let busy = later.busy + later.steal - self.busy - self.steal;
        ((busy - own) / (later.total - self.total).max(f64::MIN_POSITIVE) * 100.0).max(0.0)
    }

    /// Reads the moment; `None` where there is no /proc.
    pub fn now() -> Option<Moment> {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let load_average = fs::read_to_string("/proc/loadavg").ok().and_then(|text| parse_load(&text));
        parse_moment(&fs::read_to_string("/proc/stat").ok()?, ticks, load_average)
    }
}

/// proc(5), the line of all processors: `cpu  user nice system idle iowait irq softirq steal guest guest_nice`. A guest's time is
/// in user and nice already.
fn parse_moment(text: &str, ticks: f64, load_average: Option<[f64; 3]>) -> Option<Moment> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let fields: Vec<f64> = fields.map_while(|field| Some(field.parse::<u64>().ok()? as f64 / ticks)).collect();
    let [user, nice, system, idle, iowait, irq, softirq, steal, ..] = fields[..] else { return None };
    let busy = user + nice + system + irq + softirq;
    Some(Moment { total: busy + idle + iowait + steal, busy, steal, load_average })
}

fn parse_load(text: &str) -> Option<[f64; 3]> {
    let mut fields = text.split_ascii_whitespace().map_while(|field| field.parse().ok());
    Some([fields.next()?, fields.next()?, fields.next()?])
}

/// What the kernel calls processor `cpu`; not every architecture has a name.
pub fn processor(cpu: usize) -> Option<String> {
    parse_processor(&fs::read_to_string("/proc/cpuinfo").ok()?, cpu)
}

/// The model of processor `cpu` in /proc/cpuinfo.
fn parse_processor(text: &str, cpu: usize) -> Option<String> {
    let mut of = None;
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.trim_end() {
            "processor" => of = value.trim().parse::<usize>().ok(),
            "model name" if of == Some(cpu) => return Some(value.trim().to_owned()),
            _ => {}
        }
    }
    None
}

impl Machine {
    /// The machine between two moments, in which this process used `own` seconds of its processors, and the server `server`.
    pub fn between(moments: Option<[Moment; 2]>, own: f64, server: Option<f64>) -> Machine {
        let governor = fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let mut machine = Machine {
            processor: parse_processor(&cpuinfo, 0),
            processors: cpuinfo.lines().filter(|line| line.starts_with("processor")).count() as u32,
            frequency_governor: governor.ok().map(|text| text.trim().to_owned()),
            ..Machine::default()
        };
        if let Some([start, end]) = moments {
            machine.load_average = start.load_average;
            let total = end.total - start.total;
            let share = |seconds: f64| (total > 0.0).then(|| (seconds / total).clamp(0.0, 1.0));
            machine.steal_share = share(end.steal - start.steal);
            machine.foreign_share = server.and_then(|server| share(end.busy - start.busy - own - server));
        }
        machine
    }
}

/// The kernel's release.
pub fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").map_or_else(|_| "unknown".into(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "cpu  100 10 50 800 20 5 15 0 7 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
    const END: &str = "cpu  200 10 100 960 20 5 25 80 9 0\n";

    #[test]
    fn shares_are_of_what_is_neither_ours_nor_the_servers() {
        let start = parse_moment(START, 100.0, parse_load("0.50 1.25 2.00 1/99 4711\n")).expect("a line");
        let end = parse_moment(END, 100.0, None).expect("a line");
        // 1.6 s busy and 0.8 s stolen of 4 s.
        let machine = Machine::between(Some([start, end]), 0.7, Some(0.5));
        assert_eq!(machine.load_average, Some([0.5, 1.25, 2.0]));
        assert!((machine.steal_share.expect("known") - 0.2).abs() < 1e-9, "{machine:?}");
        assert!((machine.foreign_share.expect("known") - 0.1).abs() < 1e-9, "{machine:?}");
        assert_eq!(Machine::between(Some([start, end]), 0.7, None).foreign_share, None);
        assert_eq!(Machine::between(Some([start, end]), 9.0, Some(0.0)).foreign_share, Some(0.0));
        assert_eq!(Machine::between(Some([start, start]), 0.0, Some(0.0)).steal_share, None);
        assert_eq!(parse_moment("cpu  1 2 3 4\n", 100.0, None), None);
    }

    #[test]
    fn this_machine_can_be_read() {
        let moment = Moment::now().expect("/proc/stat");
        assert!(moment.total > moment.busy && moment.busy > 0.0 && moment.load_average.is_some(), "{moment:?}");
        assert!(Machine::between(None, 0.0, None).processors > 0 && kernel().contains('.'));
        assert_eq!(
            parse_processor("processor\t: 0\nmodel name\t: A\nprocessor : 1\nmodel name\t: B @ 2 GHz\n", 1).as_deref(),
            Some("B @ 2 GHz")
        );
    }
}
