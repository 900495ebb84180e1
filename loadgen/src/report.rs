//! The report of a run: a short table for people, the same figures as JSON for scripts.
//!
//! Figures that were not measured are left out of the table and null in the JSON; times are in the unit that their name ends in.

use std::fmt::Write;

use crate::engine::Outcome;
use crate::machine::{Usage, kernel};

/// What was run, as the report names it.
#[derive(Debug)]
pub struct Subject {
    /// `imap`, `smtp`, `echo`.
    pub protocol: &'static str,
    /// `noop`, `deliver` …
    pub work: String,
    /// ADDRESS:PORT
    pub address: String,
    /// `none`, `starttls`, `implicit`.
    pub tls: &'static str,
    /// Connections.
    pub connections: u32,
    /// Commands in flight on each.
    pub depth: usize,
    /// Octets of a message, where messages are sent.
    pub message_bytes: Option<usize>,
}

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// The figures that both forms show, derived once.
struct Figures {
    rate: f64,
    server_cpu: Option<f64>,
    server_cpu_per_10k: Option<f64>,
    resident_per_connection: Option<f64>,
    proportional_per_connection: Option<f64>,
}

impl Figures {
    fn of(subject: &Subject, outcome: &Outcome) -> Figures {
        let operations = outcome.tally.count() as f64;
        let server_cpu = outcome.server.map(|[_, start, end]| end.cpu_seconds - start.cpu_seconds);
        let each = |bytes: &dyn Fn(&Usage) -> Option<u64>| {
            let [before, _, end] = outcome.server.as_ref().filter(|_| subject.work == "hold")?;
            Some((bytes(end)? as f64 - bytes(before)? as f64) / f64::from(subject.connections))
        };
        Figures {
            rate: operations / outcome.seconds,
            server_cpu,
            server_cpu_per_10k: server_cpu.filter(|_| operations > 0.0).map(|seconds| seconds / operations * 1e4),
            resident_per_connection: each(&|usage| Some(usage.resident_bytes)),
            proportional_per_connection: each(&|usage| usage.proportional_bytes),
        }
    }
}

/// The table.
pub fn table(subject: &Subject, outcome: &Outcome) -> String {
    let figures = Figures::of(subject, outcome);
    let tally = &outcome.tally;
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<16} {value}");
    };
    let tls = if subject.tls == "none" { String::new() } else { format!(", TLS {}", subject.tls) };
    let bytes = subject.message_bytes.map_or(String::new(), |bytes| format!(", {bytes} octets each"));
    row(
        "run",
        format!(
            "{} {} on {}{tls}, {} connections, depth {}{bytes}, {:.2} s",
            subject.protocol, subject.work, subject.address, subject.connections, subject.depth, outcome.seconds
        ),
    );
    if subject.work == "hold" {
        row("held", format!("{} connections, up after {:.2} s", subject.connections, outcome.setup_seconds));
    } else {
        row("rate", format!("{:.0} operations/s ({} in all)", figures.rate, tally.count()));
        let latency = tally.latency();
        let mut told: Vec<String> = QUANTILES
            .iter()
            .map(|(name, quantile)| format!("{name} {}", time(latency.value_at_quantile(*quantile))))
            .collect();
        told.push(format!("max {}", time(latency.max())));
        row("latency", told.join("   "));
    }
    row("octets", format!("{} sent, {} received", tally.bytes_sent, tally.bytes_received));
    if tally.verified > 0 {
        row("bodies", format!("{} compared by checksum", tally.verified));
    }
    row(
        "own CPU",
        format!(
            "{:.3} s ({:.0} % of a processor)",
            outcome.own_cpu_seconds,
            outcome.own_cpu_seconds / outcome.seconds * 100.0
        ),
    );
    if let Some(cpu) = figures.server_cpu {
        let each = figures
            .server_cpu_per_10k
            .map_or(String::new(), |seconds| format!(", {seconds:.4} s per 10,000 operations"));
        row("server CPU", format!("{cpu:.3} s{each}"));
    }
    if let Some([before, _, end]) = outcome.server {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let each =
            figures.resident_per_connection.map_or(String::new(), |bytes| format!(", {bytes:.0} octets a connection"));
        row(
            "server memory",
            format!("{:.1} MiB before, {:.1} MiB after{each}", mib(before.resident_bytes), mib(end.resident_bytes)),
        );
        if let Some(bytes) = figures.proportional_per_connection {
            row("", format!("{bytes:.0} octets a connection with shared pages counted once"));
        }
    }
    if tally.errors().is_empty() {
        row("errors", "none".into());
    }
    for (at, (kind, count)) in tally.errors().iter().enumerate() {
        row(if at == 0 { "errors" } else { "" }, format!("{count} x {kind}"));
    }
    text
}

/// Nanoseconds for people.
fn time(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000_000 => format!("{:.1} µs", nanoseconds as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", nanoseconds as f64 / 1e6),
        _ => format!("{:.2} s", nanoseconds as f64 / 1e9),
    }
}

/// The JSON object, ended by a line feed.
pub fn json(subject: &Subject, outcome: &Outcome) -> String {
    let figures = Figures::of(subject, outcome);
    let tally = &outcome.tally;
    let mut object = Object::new();
    object.text("loadgen", env!("CARGO_PKG_VERSION")).text("kernel", &kernel());
    object
        .text("protocol", subject.protocol)
        .text("work", &subject.work)
        .text("address", &subject.address)
        .text("tls", subject.tls);
    object.number("connections", f64::from(subject.connections)).number("depth", subject.depth as f64);
    object.optional("message_bytes", subject.message_bytes.map(|bytes| bytes as f64));
    object.number("seconds", outcome.seconds).number("setup_seconds", outcome.setup_seconds);
    object.number("operations", tally.count() as f64).number("rate", figures.rate);
    let all = tally.latency();
    let mut latency = Object::new();
    for (name, quantile) in QUANTILES {
        latency.number(name, all.value_at_quantile(quantile) as f64);
    }
    latency.number("max", all.max() as f64).number("mean", all.mean());
    object.raw("latency_nanoseconds", &latency.end());
    object.number("bytes_sent", tally.bytes_sent as f64).number("bytes_received", tally.bytes_received as f64);
    object.number("bodies_verified", tally.verified as f64).number("replies_reordered", tally.reordered as f64);
    let mut errors = Object::new();
    for (kind, count) in tally.errors() {
        errors.number(kind, *count as f64);
    }
    object.number("errors_total", tally.errors_total() as f64).raw("errors", &errors.end());
    object.number("own_cpu_seconds", outcome.own_cpu_seconds);
    object.optional("server_cpu_seconds", figures.server_cpu);
    object.optional("server_cpu_seconds_per_10k", figures.server_cpu_per_10k);
    object.optional("server_resident_bytes_before", outcome.server.map(|[before, _, _]| before.resident_bytes as f64));
    object.optional("server_resident_bytes_after", outcome.server.map(|[_, _, end]| end.resident_bytes as f64));
    object.optional("server_resident_bytes_per_connection", figures.resident_per_connection);
    object.optional("server_proportional_bytes_per_connection", figures.proportional_per_connection);
    object.end() + "\n"
}

/// A JSON object being written (RFC 8259).
struct Object {
    text: String,
}

impl Object {
    fn new() -> Object {
        Object { text: "{".into() }
    }

    fn raw(&mut self, name: &str, value: &str) -> &mut Object {
        if self.text.len() > 1 {
            self.text.push_str(", ");
        }
        quote(&mut self.text, name);
        self.text.push_str(": ");
        self.text.push_str(value);
        self
    }

    fn text(&mut self, name: &str, value: &str) -> &mut Object {
        let mut quoted = String::new();
        quote(&mut quoted, value);
        self.raw(name, &quoted)
    }

    /// A number; JSON has none for infinity and the like.
    fn number(&mut self, name: &str, value: f64) -> &mut Object {
        let shown = if value.is_finite() { value.to_string() } else { "null".into() };
        self.raw(name, &shown)
    }

    fn optional(&mut self, name: &str, value: Option<f64>) -> &mut Object {
        self.number(name, value.unwrap_or(f64::NAN))
    }

    fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

fn quote(into: &mut String, text: &str) {
    into.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => into.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(into, "\\u{:04x}", letter as u32);
            }
            letter => into.push(letter),
        }
    }
    into.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;
    use std::time::{Duration, Instant};

    fn example(work: &str) -> (Subject, Outcome) {
        let subject = Subject {
            protocol: "imap",
            work: work.into(),
            address: "127.0.0.1:1143".into(),
            tls: "none",
            connections: 100,
            depth: 1,
            message_bytes: None,
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
        (subject, Outcome { tally, seconds: 2.0, setup_seconds: 0.5, own_cpu_seconds: 1.5, server, series: Vec::new() })
    }

    #[test]
    fn the_table_has_the_figures() {
        let (subject, outcome) = example("noop");
        let text = table(&subject, &outcome);
        for part in [
            "10000 operations/s",
            "p50 100.",
            "0.5000 s per 10,000 operations",
            "1 x NO [\"x\"]",
            "75 % of a processor",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let (subject, outcome) = example("hold");
        assert!(table(&subject, &outcome).contains("2000 octets a connection\n"));
        assert!(table(&subject, &outcome).contains("1000 octets a connection with shared"));
    }

    #[test]
    fn the_json_is_quoted_and_whole() {
        let (subject, outcome) = example("noop");
        let text = json(&subject, &outcome);
        assert!(text.contains("\"errors\": {\"NO [\\\"x\\\"]\": 1}"), "{text}");
        assert!(
            text.contains("\"message_bytes\": null") && text.contains("\"rate\": 10000,") && text.ends_with("}\n"),
            "{text}"
        );
    }
}
