//! Scenarios that come along can be run, and mistakes are named.

use super::*;

const SMALL: &str = r#"
name = "small"
about = "two states"
seconds = 1
[accounts]
count = 2
[[group]]
name = "people"
protocol = "imap"
connections = 2
start = "read"
[group.states.idle]
do = "idle"
think = "20s"
next = { read = 1 }
[group.states.read]
do = "copy"
to = "Old"
every = "250ms"
next = { read = 3, idle = 1 }
"#;

#[test]
fn the_ready_ones_can_be_run() {
    for (name, text) in READY {
        let scenario = parse(text).unwrap_or_else(|what| panic!("{name}: {what}"));
        assert_eq!(scenario.name, name);
    }
}

#[test]
fn a_script_begins_where_it_is_told_to() {
    let scenario = parse(SMALL).expect("right");
    let script = script(&scenario.groups[0]).expect("right");
    assert_eq!(script.states[0].action, Action::Copy("Old".into()));
    assert_eq!(script.states[0].next, [(1, 1.0), (0, 3.0)]);
    assert_eq!(script.states[0].think, Think::Constant(Duration::from_millis(250)));
    assert_eq!((&script.states[1].action, &script.states[1].next), (&Action::Idle, &vec![(0, 1.0)]));
    assert_eq!(mailboxes(&script), ["Old"]);
}

#[test]
fn mistakes_are_named() {
    for (right, wrong, part) in [
        ("start = \"read\"", "start = \"raed\"", "group \"people\": there is no state \"raed\""),
        ("start = \"read\"", "", "start is missing"),
        ("read = 3, idle = 1", "reed = 3", "state \"read\": there is no state \"reed\""),
        ("read = 3, idle = 1", "", "state \"read\": next is empty"),
        ("read = 3, idle = 1", "read = 0", "a weight is 0"),
        ("do = \"idle\"", "do = \"dance\"", "\"dance\" is nothing that can be done"),
        ("do = \"idle\"", "do = \"idle\"\nto = \"x\"", "idle has no to"),
        ("to = \"Old\"", "", "copy needs to"),
        ("every = \"250ms\"", "", "either think or every"),
        ("every = \"250ms\"", "every = \"250\"", "is not a time"),
        ("every = \"250ms\"", "every = \"0s\"", "a time of 0"),
        ("seconds = 1", "seconds = 0", "seconds is 0"),
        ("seconds = 1", "secnods = 1", "secnods"),
        ("connections = 2", "connections = 0", "connections is 0"),
        ("connections = 2", "connections = 2\nthink = \"1s\"", "by states"),
        ("protocol = \"imap\"", "protocol = \"lmtp\"", "are for IMAP"),
        ("protocol = \"imap\"", "protocol = \"jmap\"", "jmap"),
        ("count = 2", "count = 2\nzipf = -1.0", "accounts.zipf is -1"),
    ] {
        let text = SMALL.replacen(right, wrong, 1);
        let what = parse(&text).expect_err(wrong);
        assert!(what.contains(part), "{wrong}: {what}");
    }
    assert!(load("no-such").expect_err("none").contains("office-day"));
}

#[test]
fn sizes_have_their_median_and_their_most() {
    let mail = Mail { median: 6000, spread: 1.5, most: 100_000 };
    let mut sizes = mail.sizes();
    sizes.sort_unstable();
    assert_eq!(sizes.len(), SIZES);
    let median = sizes[SIZES / 2];
    assert!((5_000..7_500).contains(&median), "{median}");
    assert!(
        sizes[0] >= MESSAGE_BYTES_MIN && *sizes.last().expect("some") <= 100_000 && sizes[SIZES - 1] > 40_000,
        "{sizes:?}"
    );
    assert_eq!(Mail::default().sizes(), [8192]);
}
