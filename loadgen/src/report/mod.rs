//! The report of a run: what was run, on what machine, and what came of it.
//!
//! A [`Report`] is the one source of all that is shown: the table for people, the JSON for scripts, the page and the comparison.
//! It is made from a run's outcome once, and read back from its JSON. Figures that were not measured are left out of the
//! table and null in the JSON; times are in the unit that their name ends in.

mod axis;
pub mod compare;
pub(crate) mod figure;
mod page;
mod plot;
mod table;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::engine::Outcome;
use crate::limits::{CURVE_TICKS, REPORT_BYTES_MAX};
use crate::machine::Usage;
use crate::series::Second;
use crate::surroundings::{Machine, kernel};
pub use page::page;
pub use table::table;

/// What was run, as the report names it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// `imap`, `smtp`, `echo`.
    pub protocol: String,
    /// `noop`, `deliver` …
    pub work: String,
    /// ADDRESS:PORT
    pub address: String,
    /// `none`, `starttls`, `implicit`.
    pub tls: String,
    /// Connections.
    pub connections: u32,
    /// True: handshakes were to be resumed.
    #[serde(default)]
    pub tls_resume: bool,
    /// Commands in flight on each.
    pub depth: usize,
    /// Octets of a message, where messages are sent.
    pub message_bytes: Option<usize>,
    /// What the caller says the server is, with its version.
    #[serde(default)]
    pub server_version: Option<String>,
    /// Operations a second that were asked for, in an open loop.
    #[serde(default)]
    pub rate_asked: Option<f64>,
    /// How operations became due: `closed`, `constant`, `poisson`, `think times`.
    #[serde(default)]
    pub arrivals: Option<String>,
    /// The scenario's name.
    #[serde(default)]
    pub scenario: Option<String>,
    /// Its text.
    #[serde(default)]
    pub scenario_text: Option<String>,
}

/// What a run gave, and on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// loadgen's version.
    pub loadgen: String,
    /// The commit that it was built from, `+` behind it where its own files had changed.
    pub commit: Option<String>,
    /// When the report was made. RFC 3339, UTC.
    pub date: String,
    /// The command line. No option takes a secret itself.
    pub command_line: Vec<String>,
    /// Why these figures mean nothing, where they don't.
    pub void: Option<String>,
    /// The kernel's release.
    pub kernel: String,
    /// The machine.
    pub machine: Machine,
    /// What was run.
    #[serde(flatten)]
    pub subject: Subject,
    /// The measured time.
    pub seconds: f64,
    /// Time from the first connect until all connections were ready.
    pub setup_seconds: f64,
    /// Operations that succeeded.
    pub operations: u64,
    /// Of them, a second.
    pub rate: f64,
    /// From when an operation was due to its last reply.
    pub latency_nanoseconds: Quantiles,
    /// From sending it to its last reply; in a closed loop that is its latency.
    pub service_nanoseconds: Option<Quantiles>,
    /// From when it was due until the client looked at it: the client's own delay.
    pub lag_nanoseconds: Option<Quantiles>,
    /// Operations that were due, and for which no connection was free before the end.
    #[serde(default)]
    pub unsent: u64,
    /// Full TLS handshakes.
    #[serde(default)]
    pub handshakes_full: u64,
    /// From ClientHello to the server's Finished.
    #[serde(default)]
    pub handshake_full_nanoseconds: Option<Quantiles>,
    /// Resumed TLS handshakes.
    #[serde(default)]
    pub handshakes_resumed: u64,
    /// From ClientHello to the server's Finished.
    #[serde(default)]
    pub handshake_resumed_nanoseconds: Option<Quantiles>,
    /// Octets sent, before encryption.
    pub bytes_sent: u64,
    /// Octets received, after decryption.
    pub bytes_received: u64,
    /// Bodies whose checksum was compared with a known one.
    pub bodies_verified: u64,
    /// Tagged replies that came in another order than their commands.
    pub replies_reordered: u64,
    /// All errors.
    pub errors_total: u64,
    /// Errors by kind.
    pub errors: BTreeMap<String, u64>,
    /// Our processor time within the measured time.
    pub own_cpu_seconds: f64,
    /// The server's.
    pub server_cpu_seconds: Option<f64>,
    /// The same for 10,000 operations.
    pub server_cpu_seconds_per_10k: Option<f64>,
    /// The server's memory before the first connection.
    pub server_resident_bytes_before: Option<u64>,
    /// At the end of the measured time.
    pub server_resident_bytes_after: Option<u64>,
    /// What it grew by, by connection, where connections are what was measured.
    pub server_resident_bytes_per_connection: Option<f64>,
    /// The same with shared pages counted once.
    pub server_proportional_bytes_per_connection: Option<f64>,
    /// Operations by name.
    pub operations_by_name: Vec<Named>,
    /// The measured time, second by second.
    pub series: Vec<Second>,
    /// Latency by quantile, in steps that halve towards 1: nanoseconds.
    pub latency_curve: Vec<(f64, u64)>,
}

/// The operations of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// `noop`, `login` …
    pub name: String,
    /// How many succeeded.
    pub operations: u64,
    /// As in the whole.
    pub latency_nanoseconds: Quantiles,
    /// As in the whole.
    pub service_nanoseconds: Option<Quantiles>,
}

/// A histogram in short.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    #[serde(rename = "p99.9")]
    pub p99_9: u64,
    /// The longest.
    pub max: u64,
    /// The arithmetic mean.
    pub mean: f64,
}

impl Quantiles {
    fn of(histogram: &Histogram<u64>) -> Quantiles {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Quantiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: histogram.max(),
            mean: histogram.mean(),
        }
    }

    /// `None` of an empty histogram.
    fn of_any(histogram: &Histogram<u64>) -> Option<Quantiles> {
        (!histogram.is_empty()).then(|| Quantiles::of(histogram))
    }
}

impl Report {
    /// The report of `outcome`, which `command_line` asked for.
    pub fn new(subject: Subject, outcome: &Outcome, command_line: Vec<String>) -> Report {
        let tally = &outcome.tally;
        let latency = tally.latency();
        let operations = tally.count();
        let server_cpu = outcome.server.map(|[_, start, end]| end.cpu_seconds - start.cpu_seconds);
        let held = outcome.server.filter(|_| subject.work == "hold");
        let growth = |bytes: fn(&Usage) -> Option<u64>| {
            let [before, _, end] = held.as_ref()?;
            Some((bytes(end)? as f64 - bytes(before)? as f64) / f64::from(subject.connections))
        };
        Report {
            loadgen: env!("CARGO_PKG_VERSION").into(),
            commit: Some(env!("LOADGEN_COMMIT").to_owned()).filter(|commit| !commit.is_empty()),
            date: now(),
            command_line,
            void: outcome.void(),
            kernel: kernel(),
            machine: Machine::between(outcome.moments, outcome.own_cpu_seconds, server_cpu),
            seconds: outcome.seconds,
            setup_seconds: outcome.setup_seconds,
            operations,
            rate: operations as f64 / outcome.seconds,
            latency_nanoseconds: Quantiles::of(&latency),
            service_nanoseconds: Quantiles::of_any(&tally.service()),
            lag_nanoseconds: Quantiles::of_any(&tally.lag),
            unsent: tally.unsent,
            handshakes_full: tally.handshakes.full.len(),
            handshake_full_nanoseconds: Quantiles::of_any(&tally.handshakes.full),
            handshakes_resumed: tally.handshakes.resumed.len(),
            handshake_resumed_nanoseconds: Quantiles::of_any(&tally.handshakes.resumed),
            bytes_sent: tally.bytes_sent,
            bytes_received: tally.bytes_received,
            bodies_verified: tally.verified,
            replies_reordered: tally.reordered,
            errors_total: tally.errors_total(),
            errors: tally.errors().clone(),
            own_cpu_seconds: outcome.own_cpu_seconds,
            server_cpu_seconds: server_cpu,
            server_cpu_seconds_per_10k: server_cpu
                .filter(|_| operations > 0)
                .map(|seconds| seconds / operations as f64 * 1e4),
            server_resident_bytes_before: outcome.server.map(|[before, _, _]| before.resident_bytes),
            server_resident_bytes_after: outcome.server.map(|[_, _, end]| end.resident_bytes),
            server_resident_bytes_per_connection: growth(|usage| Some(usage.resident_bytes)),
            server_proportional_bytes_per_connection: growth(|usage| usage.proportional_bytes),
            operations_by_name: tally.operations().iter().map(Named::of).collect(),
            series: outcome.series.clone(),
            latency_curve: curve(&latency),
            subject,
        }
    }

    /// One line of JSON, ended by a line feed.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a report has string keys and no type that JSON lacks") + "\n"
    }

    /// Reads the JSON in the file at `path`.
    fn read(path: &Path) -> Result<Report, String> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let mut text = String::new();
        let file = File::open(path).map_err(|error| named(&error))?;
        let read = file.take(REPORT_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| named(&error))?;
        if read as u64 > REPORT_BYTES_MAX {
            return Err(named(&format_args!("more than {REPORT_BYTES_MAX} octets are no report")));
        }
        serde_json::from_str(&text).map_err(|error| named(&format_args!("no report of this loadgen: {error}")))
    }

    /// Who was asked, in a word or two: for legends.
    fn server(&self) -> &str {
        self.subject.server_version.as_deref().unwrap_or(&self.subject.address)
    }
}

impl Named {
    fn of(operation: &crate::tally::Operation) -> Named {
        Named {
            name: operation.name.to_owned(),
            operations: operation.latency.len(),
            latency_nanoseconds: Quantiles::of(&operation.latency),
            service_nanoseconds: Quantiles::of_any(&operation.service),
        }
    }
}

/// Reads the reports in the files at `paths`, `most` at most.
pub fn read(paths: &[PathBuf], most: usize) -> Result<Vec<Report>, String> {
    if paths.len() > most {
        return Err(format!("{} reports: {most} at most", paths.len()));
    }
    paths.iter().map(|path| Report::read(path)).collect()
}

fn now() -> String {
    let second = OffsetDateTime::now_utc().replace_nanosecond(0).expect("0 is a nanosecond");
    second.format(&Rfc3339).expect("the year has four digits")
}

/// The values that a plot by percentile needs: few in the middle, ever denser towards 1.
fn curve(histogram: &Histogram<u64>) -> Vec<(f64, u64)> {
    let steps = histogram.iter_quantiles(CURVE_TICKS);
    steps.map(|step| (step.quantile_iterated_to(), step.value_iterated_to())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;
    use std::time::{Duration, Instant};

    pub(super) fn report(work: &str) -> Report {
        let subject = Subject {
            protocol: "imap".into(),
            work: work.into(),
            address: "127.0.0.1:1143".into(),
            tls: "none".into(),
            connections: 100,
            depth: 1,
            ..Subject::default()
        };
        let mut tally = Tally::new();
        tally.recording = true;
        let start = Instant::now();
        for _ in 0..20_000 {
            tally.done("noop", (start, start), start + Duration::from_micros(100));
        }
        tally.error("NO [\"x\"]");
        let usage = |cpu_seconds, resident_bytes| Usage {
            cpu_seconds,
            resident_bytes,
            proportional_bytes: Some(resident_bytes / 2),
            processes: 1,
        };
        let server = Some([usage(0.0, 1_000_000), usage(1.0, 1_100_000), usage(2.0, 1_200_000)]);
        let series = vec![Second {
            at: 1.0,
            length: 1.0,
            operations: 20_000,
            errors: 1,
            p50: 100_000,
            p90: 100_000,
            p99: 100_000,
            max: 100_000,
        }];
        let outcome =
            Outcome { tally, seconds: 2.0, setup_seconds: 0.5, own_cpu_seconds: 1.5, server, series, moments: None };
        Report::new(subject, &outcome, vec!["loadgen".into(), "run".into()])
    }

    #[test]
    fn the_table_has_the_figures() {
        let mut noop = report("noop");
        let text = table(&noop);
        for part in [
            "10000 operations/s",
            "p50 100.",
            "0.5000 s per 10,000 operations",
            "1 x NO [\"x\"]",
            "75 % of a processor",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("client's delay") && !text.contains("  noop"), "{text}");
        let held = table(&report("hold"));
        assert!(held.contains("2000 octets a connection\n"), "{held}");
        assert!(held.contains("1000 octets a connection with shared"), "{held}");
        noop.void = Some("the client was late".into());
        noop.lag_nanoseconds = Some(Quantiles { p99: 5_000_000, ..Quantiles::default() });
        noop.service_nanoseconds = Some(Quantiles::default());
        noop.operations_by_name.push(Named { name: "fetch".into(), ..noop.operations_by_name[0].clone() });
        noop.subject.rate_asked = Some(5000.0);
        noop.machine.foreign_share = Some(0.07);
        let text = table(&noop);
        for part in
            ["void             the client was late\n", "client's delay", "p99 5.00 ms", "service time", "  fetch "]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(text.contains("5000 operations/s asked for") && text.contains("7.0 % used by others"), "{text}");
    }

    #[test]
    fn the_json_has_the_names_that_scripts_read() {
        let text = report("noop").json();
        assert!(text.ends_with("}\n") && text.lines().count() == 1, "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["rate"], 10_000.0);
        assert_eq!(value["errors"]["NO [\"x\"]"], 1);
        assert_eq!(value["errors_total"], 1);
        assert_eq!(value["server_cpu_seconds_per_10k"], 0.5);
        assert_eq!(value["latency_nanoseconds"]["p99.9"], value["latency_nanoseconds"]["max"]);
        assert_eq!(value["message_bytes"], serde_json::Value::Null);
        assert_eq!(value["protocol"], "imap");
        assert_eq!(value["series"][0]["p99_nanoseconds"], 100_000);
        assert_eq!(value["operations_by_name"][0]["name"], "noop");
        assert!(value["date"].as_str().is_some_and(|date| date.len() == 20 && date.ends_with('Z')), "{text}");
        let keys = value.as_object().expect("an object").keys();
        let names: Vec<&String> = keys.filter(|name| name.contains("bytes") || name.contains("cpu")).collect();
        assert_eq!(names.len(), 10, "{names:?}");
    }

    #[test]
    fn a_report_reads_back() {
        let path = std::env::temp_dir().join(format!("loadgen-{}.json", std::process::id()));
        let written = report("noop");
        std::fs::write(&path, written.json()).expect("a scratch file");
        assert_eq!(read(std::slice::from_ref(&path), 1), Ok(vec![written]));
        for wrong in ["", "[]", "{\"loadgen\": \"0.1.0\"}", "{"] {
            std::fs::write(&path, wrong).expect("a scratch file");
            assert!(Report::read(&path).is_err_and(|error| error.contains("no report")), "{wrong}");
        }
        std::fs::remove_file(&path).expect("a scratch file");
        assert!(Report::read(&path).is_err());
        assert!(read(&[path.clone(), path], 1).is_err_and(|error| error.starts_with("2 reports: 1 at most")));
    }

    #[test]
    fn the_curve_is_dense_towards_one() {
        let mut histogram = crate::tally::histogram();
        (1..=1000).for_each(|value| histogram.record(value).expect("within"));
        let curve = curve(&histogram);
        assert!(curve.is_sorted_by(|(a, _), (b, _)| a <= b) && curve.len() < 80, "{curve:?}");
        assert_eq!(curve.last(), Some(&(1.0, 1000)));
        assert!(curve.iter().filter(|(quantile, _)| *quantile > 0.99).count() > 10);
    }
}
