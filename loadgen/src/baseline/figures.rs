//! The figures of `loadgen baseline`: those of a round, their medians and ranges, as a table and as JSON.
//!
//! A figure's name ends in its unit. Names are the same in both forms: `NAME` is the median, `NAME_least` and `NAME_most` are the
//! range; all of them are flat, so that a script divides by one without knowing what it was derived from.

use std::fmt::Write;

use serde_json::json;

use super::options::BaselineOptions;
use crate::surroundings::{kernel, processor};

/// The ends of names, and the units as the table has them; an end that is the end of another stands behind it.
const UNITS: [(&str, &str); 10] = [
    ("_cpu_seconds_per_10k", "CPU s/10k"),
    ("_cpu_seconds_per_gigabyte", "CPU s/GB"),
    ("_megabytes_per_second", "MB/s"),
    ("_messages_per_second", "messages/s"),
    ("_per_second", "1/s"),
    ("_cpu_microseconds", "CPU µs"),
    ("_milliseconds", "ms"),
    ("_bytes", "octets"),
    ("_ratio", ""),
    ("_percent", "%"),
];

/// A share of the machine that others may use in a round that counts, as the scripts of benches have it. Per cent.
const FOREIGN_MAX: f64 = 5.0;

/// The figures of one round, in the order in which they were measured.
#[derive(Debug, Default)]
pub struct Round(Vec<(String, f64)>);

impl Round {
    /// Adds a figure, whose name ends in its unit. NaN: it can't be measured here.
    pub fn put(&mut self, name: impl Into<String>, value: f64) {
        let name = name.into();
        debug_assert!(unit(&name).is_some(), "{name} does not end in its unit");
        self.0.push((name, value));
    }

    /// The figures of these names, where all of them were measured.
    pub fn values<const N: usize>(&self, names: [&str; N]) -> Option<[f64; N]> {
        let mut values = [0.0; N];
        for (value, name) in values.iter_mut().zip(names) {
            *value = self.0.iter().find(|(known, _)| known == name)?.1;
        }
        Some(values)
    }
}

/// One figure over all rounds.
#[derive(Debug, PartialEq)]
struct Summary {
    name: String,
    median: f64,
    least: f64,
    most: f64,
}

/// What was measured.
#[derive(Debug)]
pub struct Report {
    rounds: u32,
    seconds: f64,
    cpu: usize,
    client_cpu: usize,
    summaries: Vec<Summary>,
}

impl Report {
    pub(super) fn of(options: &BaselineOptions, rounds: &[Round]) -> Report {
        let &BaselineOptions { rounds: count, seconds, cpu, client_cpu, .. } = options;
        Report { rounds: count, seconds, cpu, client_cpu, summaries: summaries(rounds) }
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut text = format!(
            "baseline of processor {} ({}), the other end on processor {}; Linux {}\n\
             rounds: {}, a measurement: {} s; median and range of the rounds\n\n",
            self.cpu,
            processor(self.cpu).unwrap_or_else(|| "of a kind not told".into()),
            self.client_cpu,
            kernel(),
            self.rounds,
            self.seconds
        );
        let width = self.summaries.iter().map(|summary| summary.name.len()).max().unwrap_or(0);
        for Summary { name, median, least, most } in &self.summaries {
            let (median, range) = match median.is_nan() {
                true => ("not measured".into(), String::new()),
                false => (shown(*median), format!("{} to {}", shown(*least), shown(*most))),
            };
            let _ = writeln!(text, "{name:<width$}  {:<10}  {median:>12}  {range}", unit(name).unwrap_or_default());
        }
        let foreign = self.summaries.iter().find(|summary| summary.name == "foreign_percent");
        if let Some(most) = foreign.map(|summary| summary.most).filter(|most| *most > FOREIGN_MAX) {
            let _ = writeln!(
                text,
                "\nOthers used up to {most:.0} % of the machine in a round: more than {FOREIGN_MAX} % make it void."
            );
        }
        text
    }

    /// The JSON object, ended by a line feed.
    pub fn json(&self) -> String {
        let mut object = json!({
            "loadgen": env!("CARGO_PKG_VERSION"),
            "kernel": kernel(),
            "processor": processor(self.cpu).unwrap_or_default(),
            "cpu": self.cpu,
            "client_cpu": self.client_cpu,
            "rounds": self.rounds,
            "seconds": self.seconds,
        });
        for Summary { name, median, least, most } in &self.summaries {
            object[name.as_str()] = json!(median);
            object[format!("{name}_least")] = json!(least);
            object[format!("{name}_most")] = json!(most);
        }
        object.to_string() + "\n"
    }
}

fn summaries(rounds: &[Round]) -> Vec<Summary> {
    let Some(first) = rounds.first() else { return Vec::new() };
    let summary = |name: &String| {
        let mut values: Vec<f64> = rounds.iter().filter_map(|round| round.values([name])).map(|[one]| one).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (values[0], values[values.len() - 1]);
        let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
        Summary { name: name.clone(), median, least, most }
    };
    first.0.iter().map(|(name, _)| summary(name)).collect()
}

fn unit(name: &str) -> Option<&'static str> {
    UNITS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, unit)| *unit)
}

/// Four digits that say something.
fn shown(value: f64) -> String {
    let before = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    format!("{value:.*}", (3 - before).clamp(0, 9) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(values: &[f64]) -> Vec<Round> {
        let round = |value: &f64| Round(vec![("a_milliseconds".into(), *value), ("foreign_percent".into(), 7.0)]);
        values.iter().map(round).collect()
    }

    #[test]
    fn medians_and_ranges() {
        for (values, median) in [(&[3.0, 1.0, 2.0][..], 2.0), (&[4.0, 1.0, 2.0, 3.0], 2.5), (&[1.0], 1.0)] {
            let most = values.iter().copied().fold(0.0, f64::max);
            let summary = Summary { name: "a_milliseconds".into(), median, least: 1.0, most };
            assert_eq!(summaries(&rounds(values))[0], summary);
        }
    }

    #[test]
    fn both_forms_name_the_figure() {
        let report =
            Report { rounds: 2, seconds: 0.5, cpu: 0, client_cpu: 1, summaries: summaries(&rounds(&[0.25, 0.75])) };
        let (table, json) = (report.table(), report.json());
        assert!(table.contains("a_milliseconds   ms                0.5000  0.2500 to 0.7500\n"), "{table}");
        assert!(table.contains("Others used up to 7 %"), "{table}");
        let part = "\"a_milliseconds\":0.5,\"a_milliseconds_least\":0.25,\"a_milliseconds_most\":0.75,";
        assert!(json.contains(part) && json.ends_with("}\n"), "{json}");
        let none = Report { summaries: summaries(&rounds(&[f64::NAN])), ..report };
        assert!(none.table().contains("not measured") && none.json().contains("\"a_milliseconds\":null"));
    }

    #[test]
    fn four_digits() {
        for (value, text) in [(0.03281, "0.03281"), (12.3456, "12.35"), (287_000.4, "287000"), (0.0, "0.000")] {
            assert_eq!(shown(value), text);
        }
    }
}
