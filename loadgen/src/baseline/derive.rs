//! Limits that are put together of others, within one round: what the targets are divided by.
//!
//! Times of one processor add up, rates by their reciprocals. A limit of which a part was not measured is left out.

use super::CORPUS_BYTES;
use super::deliver::{CRC_COPY, RECEIVE};
use super::figures::Round;
use super::log::BATCHES;
use super::memory::{FLAGS_LINE_BYTES, SEALS};
use super::noop::DEPTHS;
use super::send::PIECES;

/// Adds the derived limits of a round to it.
pub(super) fn derive(round: &mut Round) {
    noop(round);
    handshake(round);
    fetch_over_tls(round);
    deliveries(round);
    if let Some([rate]) = round.values(["memmem_megabytes_per_second"]) {
        round.put("search_corpus_milliseconds", CORPUS_BYTES as f64 / 1e6 / rate * 1e3);
    }
    fetch_flags(round);
}

/// The better of both echoes.
fn noop(round: &mut Round) {
    for depth in DEPTHS {
        let cpu = |kind| format!("noop_{kind}_depth_{depth}_cpu_seconds_per_10k");
        let rate = |kind| format!("noop_{kind}_depth_{depth}_per_second");
        if let Some([uring, epoll]) = round.values([&cpu("uring"), &cpu("epoll")]) {
            round.put(format!("noop_depth_{depth}_cpu_seconds_per_10k"), uring.min(epoll));
        }
        if let Some([uring, epoll]) = round.values([&rate("uring"), &rate("epoll")]) {
            round.put(format!("noop_depth_{depth}_per_second"), uring.max(epoll));
        }
    }
    let both = ["noop_uring_depth_1_cpu_seconds_per_10k", "noop_uring_two_processors_cpu_seconds_per_10k"];
    if let Some([one, two]) = round.values(both) {
        round.put("noop_two_processors_cpu_ratio", two / one);
    }
}

fn handshake(round: &mut Round) {
    let parts = ["handshake_in_memory_cpu_microseconds", "accept_recv_send_cpu_microseconds"];
    if let Some([in_memory, sockets]) = round.values(parts) {
        round.put("handshake_cpu_microseconds", in_memory + sockets);
        round.put("handshake_per_second", 1e6 / (in_memory + sockets));
    }
}

/// FETCH BODY[] over TLS: 1 / (1/send + 1/AEAD); plain it is the send alone.
fn fetch_over_tls(round: &mut Round) {
    for (size, _) in PIECES {
        for (seal, _) in SEALS {
            let sealed = format!("seal_{seal}_megabytes_per_second");
            let parts = [&format!("send_{size}_megabytes_per_second"), &sealed];
            if let Some([send, seal_rate]) = round.values(parts.map(String::as_str)) {
                let name = format!("fetch_body_tls_{size}_{seal}_megabytes_per_second");
                round.put(name, 1.0 / (1.0 / send + 1.0 / seal_rate));
            }
            let parts = [&format!("send_{size}_cpu_seconds_per_gigabyte"), &sealed];
            if let Some([send, seal_rate]) = round.values(parts.map(String::as_str)) {
                round.put(format!("fetch_body_tls_{size}_{seal}_cpu_seconds_per_gigabyte"), send + 1e3 / seal_rate);
            }
        }
    }
}

/// Durable deliveries: 1 / (recv + CRC + copy + share of one batch's write and fdatasync).
fn deliveries(round: &mut Round) {
    for batch in BATCHES {
        let commits = format!("commit_{batch}_per_second");
        if let Some([receive, copy, commits]) = round.values([RECEIVE, CRC_COPY, &commits]) {
            let each = (receive + copy) / 1e6 + 1.0 / commits / batch as f64;
            round.put(format!("deliver_batch_{batch}_messages_per_second"), 1.0 / each);
        }
    }
}

/// FETCH 1:* (UID FLAGS RFC822.SIZE): the slowest of reading the columns, copying the output, and send.
fn fetch_flags(round: &mut Round) {
    let parts = ["columns_messages_per_second", "copy_messages_per_second", "send_64k_megabytes_per_second"];
    if let Some([columns, copy, send]) = round.values(parts) {
        round.put("fetch_flags_messages_per_second", columns.min(copy).min(send * 1e6 / FLAGS_LINE_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(parts: &[(&str, f64)], name: &str) -> f64 {
        let mut round = Round::default();
        for (name, value) in parts {
            round.put(*name, *value);
        }
        derive(&mut round);
        round.values([name]).unwrap_or_else(|| panic!("{name} is not in {round:?}"))[0]
    }

    #[test]
    fn parts_add_up() {
        for (parts, name, value) in [
            (
                &[
                    ("noop_uring_depth_16_cpu_seconds_per_10k", 0.002),
                    ("noop_epoll_depth_16_cpu_seconds_per_10k", 0.003),
                ][..],
                "noop_depth_16_cpu_seconds_per_10k",
                0.002,
            ),
            (
                &[("noop_uring_depth_1_per_second", 2e5), ("noop_epoll_depth_1_per_second", 3e5)],
                "noop_depth_1_per_second",
                3e5,
            ),
            (
                &[
                    ("noop_uring_depth_1_cpu_seconds_per_10k", 0.04),
                    ("noop_uring_two_processors_cpu_seconds_per_10k", 0.05),
                ],
                "noop_two_processors_cpu_ratio",
                1.25,
            ),
            (
                &[("handshake_in_memory_cpu_microseconds", 150.0), ("accept_recv_send_cpu_microseconds", 50.0)],
                "handshake_per_second",
                5000.0,
            ),
            (
                &[("send_64k_megabytes_per_second", 2000.0), ("seal_aes_256_gcm_megabytes_per_second", 2000.0)],
                "fetch_body_tls_64k_aes_256_gcm_megabytes_per_second",
                1000.0,
            ),
            (
                &[("send_1m_cpu_seconds_per_gigabyte", 0.25), ("seal_aes_128_gcm_megabytes_per_second", 2000.0)],
                "fetch_body_tls_1m_aes_128_gcm_cpu_seconds_per_gigabyte",
                0.75,
            ),
            (
                &[
                    ("receive_8k_cpu_microseconds", 5.0),
                    ("crc_copy_8k_cpu_microseconds", 2.5),
                    ("commit_16_per_second", 500.0),
                ],
                "deliver_batch_16_messages_per_second",
                1e6 / 132.5,
            ),
            (&[("memmem_megabytes_per_second", 9520.0)], "search_corpus_milliseconds", 10.0),
            (
                &[
                    ("columns_messages_per_second", 1e9),
                    ("copy_messages_per_second", 1e8),
                    ("send_64k_megabytes_per_second", 1e6),
                ],
                "fetch_flags_messages_per_second",
                1e8,
            ),
        ] {
            let got = derived(parts, name);
            assert!((got / value - 1.0).abs() < 1e-9, "{name}: {got}, not {value}");
        }
    }

    #[test]
    fn what_lacks_a_part_is_left_out() {
        let mut round = Round::default();
        round.put("send_64k_megabytes_per_second", 1.0);
        round.put("handshake_in_memory_cpu_microseconds", 1.0);
        derive(&mut round);
        assert_eq!(round.values(["handshake_per_second"]), None);
        assert_eq!(round.values(["fetch_body_tls_64k_aes_256_gcm_megabytes_per_second"]), None);
    }
}
