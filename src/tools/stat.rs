//! `ringpost stat`: figures of the running server, to be read or, as JSON, to be worked with.
//!
//! Invariant: a unit stands with every time and size; what did not happen is left out.

use std::fmt::Write;

use clap::Args;

use super::{Failure, Where, connect, json_lines, print, table, unexpected};
use crate::control::message::{Body, Request};
use crate::control::stat::{Quantiles, Stat};

#[derive(Args, Debug)]
pub struct StatOptions {
    /// One JSON object: times in nanoseconds, sizes in octets
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// Shows the figures.
pub fn stat(options: StatOptions) -> Result<(), Failure> {
    let Body::Stat(stat) = connect(options.place)?.ask(&Request::Stat {}).map_err(Failure::Control)? else {
        return Err(unexpected());
    };
    if options.json {
        return print(&json_lines(&[stat])?);
    }
    print(&shown(&stat))
}

fn shown(stat: &Stat) -> String {
    let mut text = format!("ringpost {}\n\n", stat.version);
    for shard in &stat.silent_shards {
        let _ = writeln!(text, "shard {shard} DOES NOT ANSWER; its figures are missing below\n");
    }
    const SHARD: [&str; 9] =
        ["SHARD", "CONNECTIONS", "ACCEPTED", "ADOPTED", "PANICS", "STALLS", "STALLED", "STARVED", "BUFFERS FREE"];
    text += &table(
        &SHARD,
        stat.shards.iter().map(|shard| {
            [
                shard.number.to_string(),
                shard.connections.to_string(),
                shard.accepted.to_string(),
                shard.adopted.to_string(),
                shard.panics.to_string(),
                shard.stalls.to_string(),
                time(shard.stalled_nanoseconds),
                shard.starvations.to_string(),
                format!("{}/{}", shard.receive_buffers_free, shard.receive_buffers),
            ]
        }),
    );
    const PROTOCOL: [&str; 9] =
        ["PROTOCOL", "SESSIONS", "WITH TLS", "EVER", "LOGINS", "REFUSED", "BAD COMMANDS", "RECEIVED", "SENT"];
    text.push('\n');
    text += &table(
        &PROTOCOL,
        stat.protocols.iter().map(|protocol| {
            [
                protocol.name.clone(),
                (protocol.sessions_plain + protocol.sessions_tls).to_string(),
                protocol.sessions_tls.to_string(),
                protocol.tally.sessions.to_string(),
                protocol.tally.logins_granted.to_string(),
                (protocol.tally.logins_refused + protocol.tally.logins_unavailable).to_string(),
                protocol.tally.bad_commands.to_string(),
                octets(protocol.tally.received),
                octets(protocol.tally.sent),
            ]
        }),
    );
    text.push('\n');
    for protocol in &stat.protocols {
        if protocol.tally.messages > 0 {
            let _ = writeln!(
                text,
                "{}: {} messages to {} mailboxes",
                protocol.name, protocol.tally.messages, protocol.tally.copies
            );
        }
        if !protocol.ended.is_empty() {
            let ended: Vec<String> = protocol.ended.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            let _ = writeln!(text, "{}: sessions ended: {}", protocol.name, ended.join(", "));
        }
    }
    text += &commands(stat);
    text
}

fn commands(stat: &Stat) -> String {
    let mut text = String::new();
    const COMMAND: [&str; 7] = ["COMMAND", "COUNT", "P50", "P90", "P99", "P99.9", "MAX"];
    text.push('\n');
    text += &table(
        &COMMAND,
        stat.commands
            .iter()
            .map(|command| row(format!("{} {}", command.protocol, command.name), &command.spread, time)),
    );
    if stat.commits.took.count > 0 {
        let rows = [
            row("commit".to_owned(), &stat.commits.took, time),
            row("  records in one".to_owned(), &stat.commits.records, |count| count.to_string()),
        ];
        text.push('\n');
        text += &table(&COMMAND, rows.into_iter());
        let _ = writeln!(text, "{} committed", octets(stat.commits.bytes));
    }
    text
}

fn row(name: String, spread: &Quantiles, unit: fn(u64) -> String) -> [String; 7] {
    let Quantiles { count, p50, p90, p99, p999, max } = *spread;
    [name, count.to_string(), unit(p50), unit(p90), unit(p99), unit(p999), unit(max)]
}

fn time(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    match nanoseconds {
        0 => "0".to_owned(),
        1..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{:.1} µs", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", value / 1e6),
        _ => format!("{:.2} s", value / 1e9),
    }
}

fn octets(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_units() {
        for (nanoseconds, due) in
            [(0, "0"), (999, "999 ns"), (41_900, "41.9 µs"), (8_160_000, "8.2 ms"), (60_000_000_000, "60.00 s")]
        {
            assert_eq!(time(nanoseconds), due);
        }
        for (count, due) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (4 << 30, "4.0 GiB"), (u64::MAX, "16384.0 PiB")]
        {
            assert_eq!(octets(count), due);
        }
    }
}
