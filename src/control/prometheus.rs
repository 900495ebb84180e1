//! Figures in Prometheus' text format, version 0.0.4.
//!
//! Invariants: one HELP and one TYPE a metric, before its samples and once; base units (seconds, octets); the buckets of a
//! histogram are cumulative and end with `+Inf`, which is its count; counters only grow. Label values are words of ours, so
//! that nothing a client says comes in here.
//! Source: prometheus.io/docs/instrumenting/exposition_formats.

use std::fmt::{Display, Write};

use super::shards::{Shards, Told};
use crate::metrics::{self, Counter, Ending, PROTOCOLS, Spread, Stage, Tally};

/// The media type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper ends of the buckets of times. Nanoseconds, and as they are written.
const TIMES: [(u64, &str); 20] = [
    (5_000, "0.000005"),
    (10_000, "0.00001"),
    (25_000, "0.000025"),
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5"),
    (10_000_000_000, "10"),
];

/// Upper ends of the buckets of counts.
const COUNTS: [(u64, &str); 11] = [
    (1, "1"),
    (2, "2"),
    (4, "4"),
    (8, "8"),
    (16, "16"),
    (32, "32"),
    (64, "64"),
    (128, "128"),
    (256, "256"),
    (1024, "1024"),
    (4096, "4096"),
];

const NANOSECONDS: f64 = 1e-9;

struct Page(String);

impl Page {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels.is_empty() {
            true => writeln!(self.0, "{name} {value}"),
            false => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    /// `unit`: of a value in terms of the base unit.
    fn histogram(&mut self, name: &str, labels: &str, spread: &Spread, (buckets, unit): (&[(u64, &str)], f64)) {
        let comma = if labels.is_empty() { "" } else { "," };
        for (end, written) in buckets {
            let _ = writeln!(self.0, "{name}_bucket{{{labels}{comma}le=\"{written}\"}} {}", spread.not_above(*end));
        }
        let _ = writeln!(self.0, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", spread.count());
        self.sample(&format!("{name}_sum"), labels, spread.sum() as f64 * unit);
        self.sample(&format!("{name}_count"), labels, spread.count());
    }
}

/// The whole page, of shards that have all answered.
pub fn page(shards: &Shards, told: &Told) -> String {
    let mut page = Page(String::with_capacity(32 * 1024));
    server(&mut page, shards);
    of_shards(&mut page, told);
    sessions(&mut page, told);
    tallies(&mut page, told);
    times(&mut page, told);
    page.0
}

fn server(page: &mut Page, shards: &Shards) {
    page.metric("ringpost_info", "gauge", "The version that runs.");
    page.sample("ringpost_info", &format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), 1);
    page.metric("ringpost_ready", "gauge", "1 from when every listener is open until the server is told to stop.");
    page.sample("ringpost_ready", "", u8::from(shards.phase.stage() == Stage::Ready));
}

/// A metric of each shard: its name, type and help, and where it is.
type OfShard = (&'static str, &'static str, &'static str, fn(&metrics::Shard) -> &Counter);

const OF_SHARDS: [OfShard; 7] = [
    ("ringpost_connections", "gauge", "Connections now.", |shard| &shard.connections),
    ("ringpost_connections_total", "counter", "Connections, those from another shard included.", |shard| {
        &shard.accepted
    }),
    ("ringpost_adopted_total", "counter", "Connections that came from another shard.", |shard| &shard.adopted),
    ("ringpost_panics_total", "counter", "Sessions that panicked.", |shard| &shard.panics),
    ("ringpost_turns_total", "counter", "Turns of the ring.", |shard| &shard.turns),
    ("ringpost_stalls_total", "counter", "Turns that came more than 10 ms late.", |shard| &shard.stalls),
    ("ringpost_watchdog_pokes_total", "counter", "Times that the watchdog poked the shard.", |shard| &shard.pokes),
];

fn of_shards(page: &mut Page, told: &Told) {
    let label = |shard: usize| format!("shard=\"{shard}\"");
    for (name, kind, help, counter) in OF_SHARDS {
        page.metric(name, kind, help);
        for (figures, counters) in &told.shards {
            page.sample(name, &label(figures.shard), counter(counters).value());
        }
    }
    page.metric("ringpost_stalled_seconds_total", "counter", "How long late turns took together.");
    for (figures, counters) in &told.shards {
        let seconds = counters.stalled.value() as f64 * NANOSECONDS;
        page.sample("ringpost_stalled_seconds_total", &label(figures.shard), seconds);
    }
    page.metric("ringpost_receive_buffers", "gauge", "Receive buffers of the ring, by what they do.");
    for (figures, _) in &told.shards {
        let (free, all) = (figures.pools.receive_buffers_free, figures.pools.receive_buffers);
        page.sample("ringpost_receive_buffers", &format!("{},state=\"free\"", label(figures.shard)), free);
        page.sample("ringpost_receive_buffers", &format!("{},state=\"held\"", label(figures.shard)), all - free);
    }
    page.metric("ringpost_receive_starvations_total", "counter", "Times that a socket found no receive buffer.");
    for (figures, _) in &told.shards {
        page.sample("ringpost_receive_starvations_total", &label(figures.shard), figures.pools.starvations);
    }
    page.metric("ringpost_pool_bytes", "gauge", "Memory of the ring's pools.");
    for (figures, _) in &told.shards {
        let pools = &figures.pools;
        let receive = pools.receive_buffers * pools.receive_buffer_bytes;
        let output = pools.output_buffers_free * crate::limits::OUTPUT_BYTES;
        page.sample("ringpost_pool_bytes", &format!("{},pool=\"receive\"", label(figures.shard)), receive);
        page.sample("ringpost_pool_bytes", &format!("{},pool=\"output\"", label(figures.shard)), output);
    }
    page.metric("ringpost_operations_in_flight", "gauge", "Operations that the kernel has.");
    for (figures, _) in &told.shards {
        page.sample("ringpost_operations_in_flight", &label(figures.shard), figures.pools.in_flight);
    }
}

fn sessions(page: &mut Page, told: &Told) {
    page.metric("ringpost_sessions", "gauge", "Sessions now.");
    for (place, protocol) in PROTOCOLS.iter().enumerate() {
        for (tls, written) in [(0, "false"), (1, "true")] {
            let count: u64 = told.shards.iter().map(|(figures, _)| figures.sessions[place][tls]).sum();
            page.sample("ringpost_sessions", &format!("protocol=\"{protocol}\",tls=\"{written}\""), count);
        }
    }
    page.metric("ringpost_sessions_logged_in", "gauge", "Sessions of users now.");
    let logged_in: u64 = told.shards.iter().map(|(figures, _)| figures.logged_in).sum();
    page.sample("ringpost_sessions_logged_in", "", logged_in);
    page.metric("ringpost_sessions_ended_total", "counter", "Sessions that ended, by the reason.");
    for (protocol, tally) in PROTOCOLS.iter().zip(&told.sum.tallies) {
        for ending in Ending::ALL {
            let labels = format!("protocol=\"{protocol}\",reason=\"{}\"", ending.name());
            page.sample("ringpost_sessions_ended_total", &labels, tally.ended[*ending as usize]);
        }
    }
    page.metric("ringpost_logins_total", "counter", "Logins, by how they ended.");
    for (protocol, tally) in PROTOCOLS.iter().zip(&told.sum.tallies) {
        for (result, count) in [
            ("granted", tally.logins_granted),
            ("refused", tally.logins_refused),
            ("unavailable", tally.logins_unavailable),
        ] {
            page.sample("ringpost_logins_total", &format!("protocol=\"{protocol}\",result=\"{result}\""), count);
        }
    }
}

/// A metric of each protocol: its name and help, and where it is.
type OfProtocol = (&'static str, &'static str, fn(&Tally) -> u64);

const OF_PROTOCOLS: [OfProtocol; 6] = [
    ("ringpost_sessions_total", "Connections of clients.", |tally| tally.sessions),
    ("ringpost_bad_commands_total", "What was no command, or could not be read as one.", |tally| tally.bad_commands),
    ("ringpost_messages_total", "Messages that were taken.", |tally| tally.messages),
    ("ringpost_message_copies_total", "Mailboxes that taken messages went to.", |tally| tally.copies),
    ("ringpost_received_bytes_total", "Octets from clients, as they went over the wire.", |tally| tally.received),
    ("ringpost_sent_bytes_total", "Octets to clients, as they went over the wire.", |tally| tally.sent),
];

fn tallies(page: &mut Page, told: &Told) {
    for (name, help, count) in OF_PROTOCOLS {
        page.metric(name, "counter", help);
        for (protocol, tally) in PROTOCOLS.iter().zip(&told.sum.tallies) {
            page.sample(name, &format!("protocol=\"{protocol}\""), count(tally));
        }
    }
}

fn times(page: &mut Page, told: &Told) {
    let name = "ringpost_command_seconds";
    page.metric(name, "histogram", "From the turn that brought a command to its answer.");
    for (verb, spread) in &told.sum.verbs {
        let labels = format!("protocol=\"{}\",command=\"{}\"", verb.family(), verb.name());
        page.histogram(name, &labels, spread, (&TIMES, NANOSECONDS));
    }
    let name = "ringpost_commit_seconds";
    page.metric(name, "histogram", "A commit of the log: one write and one sync.");
    page.histogram(name, "", &told.sum.commit_took, (&TIMES, NANOSECONDS));
    let name = "ringpost_commit_records";
    page.metric(name, "histogram", "Records that shared a commit.");
    page.histogram(name, "", &told.sum.commit_records, (&COUNTS, 1.0));
    page.metric("ringpost_commit_bytes_total", "counter", "Octets that commits wrote.");
    page.sample("ringpost_commit_bytes_total", "", told.sum.commit_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_cumulative() {
        let mut spread = Spread::of_times();
        for nanoseconds in [4_000, 30_000, 30_000, 90_000_000, 60_000_000_000] {
            spread.record(nanoseconds);
        }
        let mut page = Page(String::new());
        page.metric("x_seconds", "histogram", "Help.");
        page.histogram("x_seconds", "a=\"b\"", &spread, (&TIMES, NANOSECONDS));
        let lines: Vec<&str> = page.0.lines().collect();
        assert_eq!(
            lines[..3],
            ["# HELP x_seconds Help.", "# TYPE x_seconds histogram", "x_seconds_bucket{a=\"b\",le=\"0.000005\"} 1"]
        );
        assert!(lines.contains(&"x_seconds_bucket{a=\"b\",le=\"0.00005\"} 3"), "{lines:?}");
        assert!(lines.contains(&"x_seconds_bucket{a=\"b\",le=\"10\"} 4"));
        assert_eq!(lines[lines.len() - 3], "x_seconds_bucket{a=\"b\",le=\"+Inf\"} 5");
        assert_eq!(lines[lines.len() - 1], "x_seconds_count{a=\"b\"} 5");
        assert!(TIMES.is_sorted() && COUNTS.is_sorted());
        for (end, written) in TIMES {
            assert_eq!(written.parse::<f64>().unwrap(), end as f64 / 1e9);
        }
    }
}
