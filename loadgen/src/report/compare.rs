//! Whether one server is slower than another, or than it was: ratios with bootstrap intervals, and a verdict.
//!
//! Two lists of reports, a report a round, are compared by the medians of their rounds. One report beside one is compared by
//! the means of their seconds: those depend on one another, so whole blocks of them are resampled (Politis and Romano,
//! "A circular block-resampling procedure for stationary data", 1992); what differs from run to run is not in such an
//! interval, so that rounds are worth more. The bootstrap is Efron's, by percentile at 95 %, seeded: the same reports give
//! the same verdict. Reports of different work, and void ones, are refused.

use std::fmt::Write;

use super::figure::time;
use super::{Report, Subject};
use crate::limits::{RESAMPLES, ROUNDS_MIN, SERIES_SECONDS_MIN};
use crate::random::Random;
use crate::series::Second;

const SEED: u64 = 1979;

/// One figure of two servers.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Of the old side.
    pub base: f64,
    /// Of the new side.
    pub new: f64,
    /// The ratio's interval at 95 %; `None` where there is nothing to resample.
    pub interval: Option<(f64, f64)>,
    /// What that means.
    pub verdict: Verdict,
    shown: fn(f64) -> String,
}

/// What an interval means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is worse than the tolerance.
    Regression,
    /// All of it is worse than no difference.
    Worse,
    /// It has both.
    NoDifference,
    /// All of it is better.
    Better,
    /// There is no interval.
    Unknown,
}

/// The figures of two sides.
#[derive(Debug)]
pub struct Comparison {
    /// Those that both have.
    pub rows: Vec<Row>,
    head: String,
    notes: Vec<String>,
}

/// How a figure is found and read.
struct Figure {
    name: &'static str,
    of_run: fn(&Report) -> Option<f64>,
    of_second: Option<fn(&Second) -> Option<f64>>,
    more_is_better: bool,
    shown: fn(f64) -> String,
}

const FIGURES: [Figure; 4] = [
    Figure {
        name: "rate",
        of_run: |report| Some(report.rate),
        of_second: Some(|second| Some(second.operations as f64 / second.length)),
        more_is_better: true,
        shown: |rate| format!("{rate:.0}/s"),
    },
    Figure {
        name: "p50",
        of_run: |report| Some(report.latency_nanoseconds.p50 as f64),
        of_second: Some(|second| (second.operations > 0).then_some(second.p50 as f64)),
        more_is_better: false,
        shown: |nanoseconds| time(nanoseconds as u64),
    },
    Figure {
        name: "p99",
        of_run: |report| Some(report.latency_nanoseconds.p99 as f64),
        of_second: Some(|second| (second.operations > 0).then_some(second.p99 as f64)),
        more_is_better: false,
        shown: |nanoseconds| time(nanoseconds as u64),
    },
    Figure {
        name: "server CPU/10k",
        of_run: |report| report.server_cpu_seconds_per_10k,
        of_second: None,
        more_is_better: false,
        shown: |seconds| format!("{seconds:.4} s"),
    },
];

impl Comparison {
    /// Compares `new` with `base`; worse by up to `tolerance` per cent is no regression.
    pub fn new(base: &[Report], new: &[Report], tolerance: f64) -> Result<Comparison, String> {
        if !(0.0..100.0).contains(&tolerance) {
            return Err(format!("--tolerance {tolerance}: from 0 to less than 100"));
        }
        let mut notes = Vec::new();
        for report in base.iter().chain(new) {
            comparable(&base[0], report)?;
        }
        if base.iter().chain(new).any(|report| report.machine.processor != base[0].machine.processor) {
            notes.push("not all were measured on the same machine".to_owned());
        }
        for (side, reports) in [("base", base), ("new", new)] {
            let errors: u64 = reports.iter().map(|report| report.errors_total).sum();
            if errors > 0 {
                notes.push(format!("{side} has {errors} errors"));
            }
        }
        let (head, rows) = match (base, new) {
            ([base], [new]) => (
                format!("{} and {} seconds of one run each: means", base.series.len(), new.series.len()),
                FIGURES.iter().filter_map(|figure| figure.by_second(base, new, tolerance)).collect::<Vec<_>>(),
            ),
            _ => (
                format!("{} and {} rounds: medians", base.len(), new.len()),
                FIGURES.iter().filter_map(|figure| figure.by_round(base, new, tolerance)).collect(),
            ),
        };
        if rows.iter().all(|row| row.interval.is_none()) {
            return Err(format!(
                "too little to compare: give {ROUNDS_MIN} rounds of each side and more, or one run of {SERIES_SECONDS_MIN} seconds and more"
            ));
        }
        Ok(Comparison { rows, head, notes })
    }

    /// True where a figure is worse beyond the tolerance.
    pub fn has_regression(&self) -> bool {
        self.rows.iter().any(|row| row.verdict == Verdict::Regression)
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut text = format!("{}; intervals at 95 %\n", self.head);
        let _ = writeln!(text, "{:<15}{:>13}{:>13}{:>8}   {:<16}", "", "base", "new", "ratio", "interval");
        for row in &self.rows {
            let interval = row.interval.map_or(String::new(), |(low, high)| format!("{low:.3} to {high:.3}"));
            let verdict = match row.verdict {
                Verdict::Regression => "REGRESSION",
                Verdict::Worse => "worse, within the tolerance",
                Verdict::NoDifference => "no difference shown",
                Verdict::Better => "better",
                Verdict::Unknown => "one figure a run: compare rounds",
            };
            let [base, new] = [row.base, row.new].map(row.shown);
            let ratio = row.new / row.base;
            let _ = writeln!(text, "{:<15}{base:>13}{new:>13}{ratio:>8.3}   {interval:<16} {verdict}", row.name);
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        text
    }
}

/// Refuses what can't be compared.
fn comparable(first: &Report, report: &Report) -> Result<(), String> {
    let named = |report: &Report| format!("the report of {} about {}", report.date, report.server());
    if let Some(why) = &report.void {
        return Err(format!("{} is void: {why}", named(report)));
    }
    if report.operations == 0 {
        return Err(format!("{} has no operation", named(report)));
    }
    let differing = differing(&first.subject, &report.subject);
    if !differing.is_empty() {
        return Err(format!("{} is of other work than {}: see {differing}", named(report), named(first)));
    }
    Ok(())
}

/// The names of what two runs did differently, but for whom they asked.
fn differing(one: &Subject, other: &Subject) -> String {
    let [one, other] = [one, other].map(|subject| match serde_json::to_value(subject) {
        Ok(serde_json::Value::Object(fields)) => fields,
        other => unreachable!("a structure is an object: {other:?}"),
    });
    let names = one.iter().filter(|(name, value)| other.get(*name) != Some(value)).map(|(name, _)| name.as_str());
    names.filter(|name| !matches!(*name, "address" | "server_version")).collect::<Vec<_>>().join(", ")
}

impl Figure {
    fn by_round(&self, base: &[Report], new: &[Report], tolerance: f64) -> Option<Row> {
        let [base, new] = [base, new].map(|side| side.iter().map(self.of_run).collect::<Option<Vec<f64>>>());
        let (base, new) = (base?, new?);
        let interval = interval(&base, &new, &ROUNDS);
        self.row((median(&mut base.clone()), median(&mut new.clone())), interval, tolerance)
    }

    fn by_second(&self, base: &Report, new: &Report, tolerance: f64) -> Option<Row> {
        let Some(of_second) = self.of_second else {
            return self.row(((self.of_run)(base)?, (self.of_run)(new)?), None, tolerance);
        };
        let whole = |second: &&Second| second.is_whole();
        let [base, new] =
            [base, new].map(|side| side.series.iter().filter(whole).filter_map(of_second).collect::<Vec<f64>>());
        let interval = interval(&base, &new, &SECONDS);
        self.row((mean(&mut base.clone()), mean(&mut new.clone())), interval, tolerance)
    }

    fn row(&self, (base, new): (f64, f64), interval: Option<(f64, f64)>, tolerance: f64) -> Option<Row> {
        if !(base > 0.0 && new.is_finite()) {
            return None;
        }
        let tolerated = if self.more_is_better { 1.0 - tolerance / 100.0 } else { 1.0 + tolerance / 100.0 };
        let verdict = match interval {
            None => Verdict::Unknown,
            Some((low, high)) => {
                let (worse_than, better) = if self.more_is_better {
                    ([high < tolerated, high < 1.0], low > 1.0)
                } else {
                    ([low > tolerated, low > 1.0], high < 1.0)
                };
                match worse_than {
                    [true, _] => Verdict::Regression,
                    [false, true] => Verdict::Worse,
                    _ if better => Verdict::Better,
                    _ => Verdict::NoDifference,
                }
            }
        };
        Some(Row { name: self.name, base, new, interval, verdict, shown: self.shown })
    }
}

/// How samples are resampled.
struct Bootstrap {
    samples_min: usize,
    /// Of so many samples, how many stay together.
    block: fn(usize) -> usize,
    statistic: fn(&mut [f64]) -> f64,
}

const ROUNDS: Bootstrap = Bootstrap { samples_min: ROUNDS_MIN, block: |_| 1, statistic: median };
const SECONDS: Bootstrap = Bootstrap {
    samples_min: SERIES_SECONDS_MIN,
    block: |samples| (samples as f64).cbrt().ceil() as usize,
    statistic: mean,
};

/// The interval in which the ratio of new to base lies in 95 % of the resamples; `None` of too few samples.
fn interval(base: &[f64], new: &[f64], by: &Bootstrap) -> Option<(f64, f64)> {
    if base.len().min(new.len()) < by.samples_min {
        return None;
    }
    let mut random = Random::new(SEED);
    let mut resampled = |from: &[f64], into: &mut Vec<f64>| {
        into.clear();
        while into.len() < from.len() {
            let start = random.below(from.len() as u64) as usize;
            let block = (by.block)(from.len()).min(from.len() - into.len());
            into.extend((start..start + block).map(|at| from[at % from.len()]));
        }
        (by.statistic)(into)
    };
    let mut scratch = Vec::new();
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| resampled(new, &mut scratch) / resampled(base, &mut scratch))
        .filter(|ratio| ratio.is_finite())
        .collect();
    ratios.sort_by(f64::total_cmp);
    let tail = ratios.len() / 40;
    Some((*ratios.get(tail)?, ratios[ratios.len() - 1 - tail]))
}

fn mean(samples: &mut [f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// Sorts.
fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len().is_multiple_of(2) { f64::midpoint(samples[middle - 1], samples[middle]) } else { samples[middle] }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    /// A round of this rate and p99 in microseconds.
    fn round(rate: f64, p99: u64, cpu: f64) -> Report {
        let mut round = report("noop");
        round.rate = rate;
        round.errors_total = 0;
        round.latency_nanoseconds.p99 = p99 * 1000;
        round.server_cpu_seconds_per_10k = Some(cpu);
        round
    }

    fn verdicts(comparison: &Comparison) -> Vec<(&'static str, Verdict)> {
        comparison.rows.iter().map(|row| (row.name, row.verdict)).collect()
    }

    #[test]
    fn a_regression_is_one_beyond_the_tolerance() {
        let base = [round(1000.0, 50, 1.0), round(1010.0, 51, 1.0), round(990.0, 49, 1.0)];
        let new = [round(900.0, 52, 0.5), round(905.0, 53, 0.5), round(895.0, 52, 0.5)];
        let comparison = Comparison::new(&base, &new, 5.0).expect("comparable");
        assert_eq!(
            verdicts(&comparison),
            [
                ("rate", Verdict::Regression),
                ("p50", Verdict::NoDifference),
                ("p99", Verdict::Worse),
                ("server CPU/10k", Verdict::Better)
            ]
        );
        assert!(comparison.has_regression());
        let rate = &comparison.rows[0];
        assert_eq!((rate.base, rate.new), (1000.0, 900.0));
        // Of three rounds the median of a resample is any of them, with 7/27 for the outer ones: all are in the interval.
        assert_eq!(rate.interval, Some((895.0 / 1010.0, 905.0 / 990.0)));
        assert_eq!(comparison.rows[3].interval, Some((0.5, 0.5)));
        assert!(!Comparison::new(&base, &new, 12.0).expect("comparable").has_regression());
        assert!(
            !Comparison::new(&new, &base, 5.0).expect("comparable").rows[..3]
                .iter()
                .any(|row| row.verdict == Verdict::Regression)
        );
        let table = comparison.table();
        assert!(
            table.contains("rate                  1000/s        900/s   0.900   0.886 to 0.914   REGRESSION\n"),
            "{table}"
        );
    }

    #[test]
    fn noise_is_no_regression() {
        let rates = [980.0, 1100.0, 890.0, 1020.0, 1000.0];
        let base = rates.map(|rate| round(rate, 50, 1.0));
        let new = rates.map(|rate| round(rate * 0.93, 50, 1.0));
        let comparison = Comparison::new(&base, &new, 5.0).expect("comparable");
        assert_eq!(comparison.rows[0].verdict, Verdict::NoDifference, "{comparison:?}");
    }

    fn run(rates: impl Iterator<Item = u64>) -> Report {
        let mut run = report("noop");
        run.series = rates
            .enumerate()
            .map(|(at, operations)| Second {
                at: at as f64 + 1.0,
                length: 1.0,
                operations,
                errors: 0,
                p50: 100_000,
                p90: 100_000,
                p99: 1_000_000_000 / operations.max(1),
                max: 1_000_000_000,
            })
            .collect();
        run
    }

    #[test]
    fn one_run_beside_another_is_compared_by_seconds() {
        let base = run((0..30).map(|at| 1000 + at % 3));
        let mut new = run((0..30).map(|at| 700 + at % 3));
        new.series.push(Second { at: 30.1, length: 0.1, operations: 99_999, ..new.series[0].clone() });
        let comparison = Comparison::new(std::slice::from_ref(&base), &[new], 5.0).expect("comparable");
        let rate = &comparison.rows[0];
        assert_eq!((rate.base, rate.new, rate.verdict), (1001.0, 701.0, Verdict::Regression));
        assert_eq!(comparison.rows[1].verdict, Verdict::NoDifference);
        assert_eq!(comparison.rows[2].verdict, Verdict::Regression);
        assert_eq!(comparison.rows[3].verdict, Verdict::Unknown);
        assert!(comparison.table().contains("compare rounds"));
        // A stall of half of the run is no proof that the other half is slower, yet it widens the interval.
        let stalled = run((0..30).map(|at| if at < 15 { 1000 } else { 1 }));
        let (low, high) = Comparison::new(&[base], &[stalled], 5.0).expect("comparable").rows[0].interval.expect("one");
        assert!(low < 0.3 && high > 0.7, "{low} to {high}");
    }

    /// The interval of a mean is what the normal distribution says of it, where it may: n = 400, blocks of one.
    #[test]
    fn the_interval_is_the_textbooks() {
        let mut random = Random::new(7);
        let samples: Vec<f64> = (0..400).map(|_| 100.0 + random.below(1000) as f64 / 100.0).collect();
        let by = Bootstrap { samples_min: 3, block: |_| 1, statistic: mean };
        let (low, high) = interval(&[1.0; 3], &samples, &by).expect("enough");
        let centre = mean(&mut samples.clone());
        let deviation = (samples.iter().map(|sample| (sample - centre).powi(2)).sum::<f64>() / 400.0).sqrt();
        let half = 1.96 * deviation / 20.0;
        assert!((low - (centre - half)).abs() < half * 0.05 && (high - (centre + half)).abs() < half * 0.05);
        assert_eq!(interval(&[1.0; 3], &samples, &by), Some((low, high)));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let fine = [round(1000.0, 50, 1.0), round(1000.0, 50, 1.0), round(1000.0, 50, 1.0)];
        let refused = |changed: fn(&mut Report)| {
            let mut new = fine.clone();
            changed(&mut new[1]);
            Comparison::new(&fine, &new, 5.0).err().unwrap_or_default()
        };
        assert_eq!(refused(|_| {}), "");
        assert!(refused(|report| report.void = Some("why".into())).ends_with("is void: why"));
        assert!(refused(|report| report.subject.tls = "implicit".into()).contains("other work"));
        assert!(refused(|report| report.subject.depth = 7).ends_with(": see depth"));
        assert!(refused(|report| report.operations = 0).contains("no operation"));
        assert_eq!(refused(|report| report.subject.address = "elsewhere".into()), "");
        assert!(Comparison::new(&fine, &fine[..2], 5.0).is_err());
        let short =
            |seconds| Comparison::new(&[run(std::iter::repeat_n(9, seconds))], &[run(std::iter::repeat_n(9, 10))], 5.0);
        assert!(short(9).is_err() && short(10).is_ok());
        assert!(Comparison::new(&fine, &fine, 100.0).is_err());
        assert!(Comparison::new(&fine, &fine, f64::NAN).is_err());
    }
}
