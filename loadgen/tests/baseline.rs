//! `loadgen baseline` from the outside: short rounds of every limit, and what it refuses.

use std::process::Command;

fn baseline(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    let output = command.arg("baseline").args(arguments).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The number of that name in a flat JSON object.
fn figure(json: &str, name: &str) -> f64 {
    let (_, after) = json.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{name} is not in {json}"));
    let value = after.split([',', '}']).next().unwrap_or_default();
    value.parse().unwrap_or_else(|_| panic!("{name} is {value}"))
}

#[test]
fn every_limit_has_its_figures() {
    let json = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("baseline.json");
    let shown = json.to_str().expect("UTF-8");
    let arguments = ["--rounds", "2", "--seconds", "0.05", "--folder", env!("CARGO_TARGET_TMPDIR"), "--json", shown];
    let (code, table, errors) = baseline(&arguments);
    assert_eq!(code, Some(0), "{errors}");
    let json = std::fs::read_to_string(json).expect("the figures");
    for name in [
        "noop_uring_depth_1_per_second",
        "noop_epoll_depth_16_per_second",
        "noop_depth_1_cpu_seconds_per_10k",
        "noop_depth_16_cpu_seconds_per_10k",
        "noop_depth_16_per_second",
        "noop_two_processors_cpu_ratio",
        "send_64k_megabytes_per_second",
        "send_1m_cpu_seconds_per_gigabyte",
        "commit_1_p50_milliseconds",
        "commit_64_p99_milliseconds",
        "receive_8k_cpu_microseconds",
        "crc_copy_8k_cpu_microseconds",
        "seal_aes_128_gcm_megabytes_per_second",
        "seal_chacha20_poly1305_megabytes_per_second",
        "handshake_in_memory_cpu_microseconds",
        "accept_recv_send_cpu_microseconds",
        "handshake_per_second",
        "fetch_body_tls_1m_aes_256_gcm_megabytes_per_second",
        "fetch_body_tls_64k_aes_256_gcm_cpu_seconds_per_gigabyte",
        "deliver_batch_16_messages_per_second",
        "search_corpus_milliseconds",
        "fetch_flags_messages_per_second",
        "replay_megabytes_per_second",
    ] {
        let [least, median, most] = ["_least", "", "_most"].map(|of| figure(&json, &format!("{name}{of}")));
        assert!(least > 0.0 && least <= median && median <= most && most < 1e12, "{name}: {least} {median} {most}");
        let row = table.lines().find(|line| line.split(' ').next() == Some(name));
        assert!(row.is_some_and(|row| row.contains(" to ")), "{name} is not in {table}");
    }
    // What holds however busy the machine is.
    assert!(figure(&json, "noop_depth_16_cpu_seconds_per_10k") < figure(&json, "noop_depth_1_cpu_seconds_per_10k"));
    assert!(figure(&json, "handshake_in_memory_cpu_microseconds") > 20.0, "that is a signature and a key exchange");
    let whole = figure(&json, "fetch_body_tls_64k_aes_256_gcm_megabytes_per_second_most");
    assert!(whole < figure(&json, "send_64k_megabytes_per_second_most"), "sealing costs something");
}

#[test]
fn named_limits_alone_are_measured() {
    let (code, json, errors) =
        baseline(&["seal", "flags", "seal", "--rounds", "1", "--seconds", "0.01", "--json", "-"]);
    assert!(code == Some(0) && errors.is_empty(), "{errors}");
    assert!(json.starts_with('{') && json.contains("\"loadgen\":\"") && json.ends_with("}\n"), "{json}");
    assert_eq!(json.matches("\"seal_aes_128_gcm_megabytes_per_second\":").count(), 1, "{json}");
    for absent in ["noop", "send_", "commit", "fetch_body", "fetch_flags", "socket"] {
        assert!(!json.contains(&format!("\"{absent}")), "{absent} in {json}");
    }
}

#[test]
fn what_can_not_be_measured_is_one_line() {
    for (arguments, part) in [
        (&["commit"][..], "--folder"),
        (&["commit", "--folder", "/dev/shm"], "in memory (tmpfs)"),
        (&["replay", "--folder", "/nowhere"], "--folder /nowhere: "),
        (&["noop", "--client-cpu", "0"], "a processor each"),
        (&["seal", "--rounds", "0"], "--rounds 0: from 1"),
        (&["seal", "--seconds", "nan"], "--seconds NaN: from"),
        (&["seal", "--cpu", "900"], "processor 900: "),
    ] {
        let (code, table, errors) = baseline(arguments);
        assert!(code == Some(2) && table.is_empty(), "{arguments:?}: {code:?} {table}");
        assert!(errors.contains(part) && errors.lines().count() == 1, "{arguments:?}: {errors}");
    }
}
