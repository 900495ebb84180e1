//! The report for people: a short table in a terminal.
//!
//! A figure a line, its name in front. What was not measured has no line; what voids the run comes first. Operations are
//! listed by name where there are several.

use std::fmt::Write;

use super::figure::{mebibytes, percent, time};
use super::{Quantiles, Report};

/// The table of `report`.
pub fn table(report: &Report) -> String {
    let mut table = Table { text: String::new() };
    if let Some(why) = &report.void {
        table.row("void", why);
    }
    table.row("run", &run(report));
    load(&mut table, report);
    handshakes(&mut table, report);
    table.row("octets", &format!("{} sent, {} received", report.bytes_sent, report.bytes_received));
    if report.bodies_verified > 0 {
        table.row("bodies", &format!("{} compared by checksum", report.bodies_verified));
    }
    let share = report.own_cpu_seconds / report.seconds;
    table.row("own CPU", &format!("{:.3} s ({:.0} % of a processor)", report.own_cpu_seconds, share * 100.0));
    server(&mut table, report);
    machine(&mut table, report);
    if report.errors.is_empty() {
        table.row("errors", "none");
    }
    for (at, (kind, count)) in report.errors.iter().enumerate() {
        table.row(if at == 0 { "errors" } else { "" }, &format!("{count} x {kind}"));
    }
    table.text
}

struct Table {
    text: String,
}

impl Table {
    fn row(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.text, "{name:<16} {value}");
    }
}

/// What was run, on one line.
pub fn run(report: &Report) -> String {
    let subject = &report.subject;
    let mut text = format!("{} {} on {}", subject.protocol, subject.work, subject.address);
    if subject.tls != "none" {
        let _ = write!(text, ", TLS {}", subject.tls);
    }
    let _ = write!(text, ", {} connections, depth {}", subject.connections, subject.depth);
    if let Some(bytes) = subject.message_bytes {
        let _ = write!(text, ", {bytes} octets each");
    }
    if let Some(rate) = subject.rate_asked {
        let _ = write!(text, ", {rate} operations/s asked for");
    }
    if let Some(arrivals) = &subject.arrivals {
        let _ = write!(text, ", arrivals {arrivals}");
    }
    let _ = write!(text, ", {:.2} s", report.seconds);
    text
}

fn load(table: &mut Table, report: &Report) {
    if report.subject.work == "hold" {
        let held = format!("{} connections, up after {:.2} s", report.subject.connections, report.setup_seconds);
        return table.row("held", &held);
    }
    table.row("rate", &format!("{:.0} operations/s ({} in all)", report.rate, report.operations));
    table.row("latency", &quantiles(&report.latency_nanoseconds));
    if let Some(service) = &report.service_nanoseconds {
        table.row("service time", &quantiles(service));
    }
    if let Some(lag) = &report.lag_nanoseconds {
        table.row("client's delay", &quantiles(lag));
    }
    if report.unsent > 0 {
        table.row("not sent", &format!("{} that were due, since no connection was free before the end", report.unsent));
    }
    if report.operations_by_name.len() > 1 {
        for named in &report.operations_by_name {
            let value = format!("{} x {}", named.operations, quantiles(&named.latency_nanoseconds));
            table.row(&format!("  {}", named.name), &value);
        }
    }
}

/// How many handshakes of each kind there were, and how long they took.
fn handshakes(table: &mut Table, report: &Report) {
    let kinds = [
        (report.handshakes_full, "full", &report.handshake_full_nanoseconds),
        (report.handshakes_resumed, "resumed", &report.handshake_resumed_nanoseconds),
    ];
    if kinds.iter().all(|(count, ..)| *count == 0) {
        return;
    }
    let [full, resumed] = kinds.map(|(count, name, taken)| match taken {
        Some(taken) => format!("{count} {name} (p50 {}, p99 {})", time(taken.p50), time(taken.p99)),
        None => format!("{count} {name}"),
    });
    let in_vain = report.subject.tls_resume && report.handshakes_resumed == 0;
    let resumed = if in_vain { "none resumed, although --tls-resume asks for it".into() } else { resumed };
    table.row("handshakes", &format!("{full}, {resumed}"));
}

fn quantiles(of: &Quantiles) -> String {
    let [p50, p90, p99, p99_9, max] = [of.p50, of.p90, of.p99, of.p99_9, of.max].map(time);
    format!("p50 {p50}   p90 {p90}   p99 {p99}   p99.9 {p99_9}   max {max}")
}

fn server(table: &mut Table, report: &Report) {
    if let Some(cpu) = report.server_cpu_seconds {
        let each = report
            .server_cpu_seconds_per_10k
            .map_or(String::new(), |seconds| format!(", {seconds:.4} s per 10,000 operations"));
        table.row("server CPU", &format!("{cpu:.3} s{each}"));
    }
    if let Some((before, after)) = report.server_resident_bytes_before.zip(report.server_resident_bytes_after) {
        let each = report
            .server_resident_bytes_per_connection
            .map_or(String::new(), |bytes| format!(", {bytes:.0} octets a connection"));
        table.row("server memory", &format!("{} before, {} after{each}", mebibytes(before), mebibytes(after)));
    }
    if let Some(bytes) = report.server_proportional_bytes_per_connection {
        table.row("", &format!("{bytes:.0} octets a connection with shared pages counted once"));
    }
}

fn machine(table: &mut Table, report: &Report) {
    let machine = &report.machine;
    let mut told = Vec::new();
    told.extend(machine.steal_share.map(|share| format!("{} stolen", percent(share))));
    told.extend(machine.foreign_share.map(|share| format!("{} used by others", percent(share))));
    told.extend(machine.load_average.map(|[one, _, _]| format!("load average {one:.2}")));
    if !told.is_empty() {
        table.row("machine", &told.join(", "));
    }
}
