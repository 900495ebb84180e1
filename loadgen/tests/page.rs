//! The page of reports, looked at in headless Chromium: layout, overflow and contrast, at three widths, in light and dark.
//!
//! `page.mjs` says what is wrong with a page; that it sees something is shown by pages that are broken on purpose. `tests/run`
//! installs Chromium, and playwright-core under the build's folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use loadgen::report::{Report, page, read};

/// Two reports with all that a page can show, made by hand from the run in `tests/report.json`.
fn reports() -> Vec<Report> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report.json");
    let mut reports = read(&[path.clone(), path], 2).expect("a report");
    let other = &mut reports[1];
    other.subject.server_version = Some("Another Server 12.34.56-7+deb12u1".into());
    other.subject.scenario_text = Some(format!("[[user]]\nprotocol = \"imap\" # {}\n", "a long line ".repeat(20)));
    other.errors.insert("NO [LIMIT] ".to_owned() + &"too many connections ".repeat(8), 1_234_567);
    other.command_line.push("x".repeat(300));
    other.void = Some("the client was late by 12.3 ms at 99 %, a fifth of the latency that it reports".into());
    for second in &mut other.series {
        second.operations = second.operations * 3 / 5;
        second.p50 *= 9;
        second.p99 *= 40;
    }
    for (_, nanoseconds) in &mut other.latency_curve {
        *nanoseconds *= 20;
    }
    reports
}

/// What Chromium says of `pages`, by their names.
fn looked_at(pages: &[(&str, String)]) -> Vec<String> {
    let node = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients").join("node");
    for needed in [node.join("node_modules/playwright-core"), PathBuf::from("/usr/bin/chromium")] {
        assert!(needed.exists(), "{} is missing: tests/run installs it", needed.display());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{}-{}", pages[0].0, std::process::id()));
    fs::create_dir_all(&folder).expect("a scratch folder");
    let mut command = Command::new("node");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page.mjs")).current_dir(node);
    for (name, text) in pages {
        let path = folder.join(format!("{name}.html"));
        fs::write(&path, text).expect("a scratch file");
        command.arg(path);
    }
    let output = command.output().expect("node");
    let text = String::from_utf8_lossy(&output.stdout).replace(&format!("{}/", folder.display()), "");
    fs::remove_dir_all(&folder).expect("a scratch folder");
    assert!(text.ends_with("done\n"), "{output:?}");
    text.lines().filter(|line| *line != "done").map(str::to_owned).collect()
}

#[test]
fn the_page_is_readable_on_phone_and_desktop_in_light_and_dark() {
    let reports = reports();
    let found = looked_at(&[("two", page(&reports)), ("one", page(&reports[..1])), ("five", page(&five(&reports)))]);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn five(reports: &[Report]) -> Vec<Report> {
    (1..=5)
        .map(|number| {
            let mut report = reports[number % 2].clone();
            report.latency_curve.iter_mut().for_each(|(_, value)| *value *= number as u64);
            report
        })
        .collect()
}

#[test]
fn broken_pages_are_found() {
    let whole = page(&reports());
    let styled = |text: &str, style: &str| text.replace("</style>", &format!("{style}</style>"));
    let added = "<div style=\"width: 2000px\">wide</div><img src=\"http://127.0.0.1:9/x.png\" alt=\"\"><h2>Errors";
    let style = "@media (prefers-color-scheme: dark) { p.quiet { color: #555 } } svg text { font-size: 60px } \
        polyline { stroke: var(--1) !important }";
    let crowded = styled(&whole.replace("<h2>Errors", added).replace("role=\"img\"", ""), style);
    let bare = styled(&whole.replace("<polyline", "<polygon"), "svg.narrow { width: 60% }");
    let pages = [("crowded", crowded), ("bare", bare)];
    let found = looked_at(&pages);
    for what in [
        "crowded.html 390 light: the page is 20",
        "crowded.html 390 light: DIV reaches beyond the page",
        "crowded.html 768 dark: contrast 2.",
        "crowded.html 390 light: Latency by percentile: \"10 µs\" and \"100 µs\" overlap",
        "crowded.html 1280 light: Latency by percentile: no accessible name",
        "crowded.html 1280 light: Latency by percentile: lines of one colour",
        "crowded.html 390 light: asks for http://127.0.0.1:9/x.png",
        "bare.html 390 light: \"0 %\" is ",
        "bare.html 1280 dark: Latency by percentile: 0 lines of 2",
    ] {
        assert!(found.iter().any(|line| line.starts_with(what)), "{what} is not in {found:#?}");
    }
}
