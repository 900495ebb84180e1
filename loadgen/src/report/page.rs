//! Reports as one page: headline figures, plots, tables, what was run and on what, several reports side by side.
//!
//! One HTML file that needs nothing else, neither the network nor a script, in light and dark, from a phone's width on. Wide
//! tables scroll in a box of their own. All that came from a server or a command line is escaped.

use std::fmt::{Display, Write};

use super::figure::{grouped, mebibytes, percent, time};
use super::plot::{COLOURS, plots};
use super::table::run;
use super::{Quantiles, Report};

const STYLE: &str = include_str!("page.css");
/// A ratio nearer to 1 is not coloured: runs differ that much by themselves.
const TELLING: f64 = 0.05;

/// The page about `reports`, of which the first is what the others are compared with.
pub fn page(reports: &[Report]) -> String {
    let names = names(reports);
    let mut page = Page { text: String::new(), names };
    page.head(reports);
    page.headlines(reports);
    page.plots(reports);
    page.figures(reports);
    page.operations(reports);
    page.errors(reports);
    page.surroundings(reports);
    page.text.push_str("</main></body></html>\n");
    page.text
}

/// What each report is called, escaped: its server, numbered where several have the same.
fn names(reports: &[Report]) -> Vec<String> {
    let same = |server: &str| reports.iter().filter(|report| report.server() == server).count() > 1;
    let named = reports.iter().enumerate().map(|(at, report)| {
        let server = escaped(report.server());
        if same(report.server()) { format!("{server} ({})", at + 1) } else { server }
    });
    named.collect()
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter if letter.is_control() && letter != '\n' => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A figure of a report that tables and cards show.
struct Figure {
    name: &'static str,
    of: fn(&Report) -> Option<f64>,
    shown: fn(f64) -> String,
    /// Whether more is better, where one can say so.
    more_is_better: Option<bool>,
}

fn nanoseconds(value: f64) -> String {
    time(value as u64)
}

const fn latency(name: &'static str, of: fn(&Report) -> Option<f64>) -> Figure {
    Figure { name, of, shown: nanoseconds, more_is_better: Some(false) }
}

/// Latencies of operations; a run that only held connections has none.
fn measured(report: &Report, of: fn(&Quantiles) -> u64) -> Option<f64> {
    (report.operations > 0).then(|| of(&report.latency_nanoseconds) as f64)
}

/// The first four are the headlines.
const FIGURES: [Figure; 18] = [
    Figure {
        name: "operations a second",
        of: |report| (report.operations > 0).then_some(report.rate),
        shown: |value| grouped(value.round() as u64),
        more_is_better: Some(true),
    },
    latency("latency, median", |report| measured(report, |of| of.p50)),
    latency("latency, 99 %", |report| measured(report, |of| of.p99)),
    Figure {
        name: "server CPU s/10k",
        of: |report| report.server_cpu_seconds_per_10k,
        shown: |value| format!("{value:.4}"),
        more_is_better: Some(false),
    },
    latency("latency, 90 %", |report| measured(report, |of| of.p90)),
    latency("latency, 99.9 %", |report| measured(report, |of| of.p99_9)),
    latency("latency, longest", |report| measured(report, |of| of.max)),
    latency("service time, median", |report| Some(report.service_nanoseconds.as_ref()?.p50 as f64)),
    latency("service time, 99 %", |report| Some(report.service_nanoseconds.as_ref()?.p99 as f64)),
    Figure {
        more_is_better: None,
        ..latency("client's delay, 99 %", |report| Some(report.lag_nanoseconds.as_ref()?.p99 as f64))
    },
    count("operations", |report| Some(report.operations as f64)),
    count("errors", |report| Some(report.errors_total as f64)),
    count("octets received", |report| Some(report.bytes_received as f64)),
    count("bodies compared", |report| (report.bodies_verified > 0).then_some(report.bodies_verified as f64)),
    cpu("client CPU, s", |report| Some(report.own_cpu_seconds)),
    cpu("server CPU, s", |report| report.server_cpu_seconds),
    Figure {
        name: "server memory after",
        of: |report| report.server_resident_bytes_after.map(|bytes| bytes as f64),
        shown: |value| mebibytes(value as u64),
        more_is_better: Some(false),
    },
    Figure {
        name: "octets a connection",
        of: |report| report.server_resident_bytes_per_connection,
        shown: |value| format!("{value:.0}"),
        more_is_better: Some(false),
    },
];
const HEADLINES: usize = 4;

const fn count(name: &'static str, of: fn(&Report) -> Option<f64>) -> Figure {
    Figure { name, of, shown: |value| grouped(value as u64), more_is_better: None }
}

const fn cpu(name: &'static str, of: fn(&Report) -> Option<f64>) -> Figure {
    Figure { name, of, shown: |value| format!("{value:.2}"), more_is_better: None }
}

struct Page {
    text: String,
    names: Vec<String>,
}

impl Page {
    fn add(&mut self, text: impl Display) {
        let _ = write!(self.text, "{text}");
    }

    fn head(&mut self, reports: &[Report]) {
        let mut works: Vec<String> =
            reports.iter().map(|report| format!("{} {}", report.subject.protocol, report.subject.work)).collect();
        works.dedup();
        let title = format!("{}: {}", escaped(&works.join(", ")), self.names.join(" beside "));
        self.add(format_args!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n<h1>{title}</h1>\n"
        ));
        for (at, report) in reports.iter().enumerate() {
            let line = format!("{}: {}", self.names[at], escaped(&run(report)));
            self.add(format_args!("<p class=\"quiet\">{line}</p>\n"));
            if let Some(why) = &report.void {
                let line = format!("{} is void: {}", self.names[at], escaped(why));
                self.add(format_args!("<p class=\"alarm\">{line}</p>\n"));
            }
        }
    }

    /// The line of report `at`, as plots have it.
    fn key(at: usize) -> String {
        let plotters::style::RGBColor(red, green, blue) = COLOURS[at % COLOURS.len()];
        format!(
            "<svg class=\"key\" viewBox=\"0 0 56 8\" aria-hidden=\"true\"><line x1=\"0\" y1=\"4\" x2=\"56\" y2=\"4\" \
             stroke=\"#{red:02X}{green:02X}{blue:02X}\" stroke-width=\"8\"/></svg>"
        )
    }

    fn headlines(&mut self, reports: &[Report]) {
        self.add("<div class=\"cards\">\n");
        for (at, report) in reports.iter().enumerate() {
            let head = format!("<section class=\"card\"><h2>{}<span>{}</span></h2><dl>", Page::key(at), self.names[at]);
            self.add(head);
            for figure in &FIGURES[..HEADLINES] {
                let value = (figure.of)(report).map_or("–".to_owned(), figure.shown);
                self.add(format_args!("<div><dt>{}</dt><dd>{value}</dd></div>", figure.name));
            }
            self.add("</dl></section>\n");
        }
        self.add("</div>\n");
    }

    fn plots(&mut self, reports: &[Report]) {
        let plots = plots(reports);
        if plots.is_empty() {
            return;
        }
        self.add("<h2>Plots</h2>\n");
        if reports.len() > 1 {
            self.add("<ul class=\"legend\">");
            for at in 0..reports.len() {
                let entry = format!("<li>{}<span>{}</span></li>", Page::key(at), self.names[at]);
                self.add(entry);
            }
            self.add("</ul>\n");
        }
        let told: Vec<String> = reports.iter().zip(&self.names).map(|(report, name)| in_words(report, name)).collect();
        self.add("<div class=\"plots\">\n");
        for plot in &plots {
            let svg = plot.svg(&format!("{}. {}", plot.title, told.join("; ")));
            self.add(format_args!("<figure><figcaption>{}</figcaption>{svg}</figure>\n", plot.title));
        }
        self.add("</div>\n");
    }

    /// A table with a column a report; `rows` are a name and cells, escaped.
    fn table(&mut self, class: &str, title: &str, columns: &[String], rows: &[(String, Vec<String>)]) {
        self.add(format_args!(
            "<h2>{title}</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\
             <table class=\"{class}\"><thead><tr><th></th>"
        ));
        for column in columns {
            self.add(format_args!("<th scope=\"col\">{column}</th>"));
        }
        self.add("</tr></thead><tbody>\n");
        for (name, cells) in rows {
            self.add(format_args!("<tr><th scope=\"row\">{name}</th>"));
            for cell in cells {
                self.add(format_args!("<td>{cell}</td>"));
            }
            self.add("</tr>\n");
        }
        self.add("</tbody></table></div>\n");
    }

    fn figures(&mut self, reports: &[Report]) {
        let mut columns = Vec::new();
        for (at, name) in self.names.iter().enumerate() {
            columns.push(name.clone());
            if at > 0 {
                columns.push("ratio".to_owned());
            }
        }
        let mut rows = Vec::new();
        for figure in FIGURES.iter().filter(|figure| reports.iter().any(|report| (figure.of)(report).is_some())) {
            let first = (figure.of)(&reports[0]);
            let mut cells = Vec::new();
            for (at, report) in reports.iter().enumerate() {
                let value = (figure.of)(report);
                cells.push(value.map_or("–".to_owned(), figure.shown));
                if at > 0 {
                    cells.push(ratio(first, value, figure.more_is_better));
                }
            }
            rows.push((figure.name.to_owned(), cells));
        }
        let title =
            if reports.len() > 1 { format!("Figures, and ratios to {}", self.names[0]) } else { "Figures".into() };
        self.table("", &title, &columns, &rows);
    }

    fn operations(&mut self, reports: &[Report]) {
        let mut operations: Vec<&str> = Vec::new();
        for named in reports.iter().flat_map(|report| &report.operations_by_name) {
            if !operations.contains(&named.name.as_str()) {
                operations.push(&named.name);
            }
        }
        let mut rows = Vec::new();
        for operation in operations {
            for (at, report) in reports.iter().enumerate() {
                let Some(named) = report.operations_by_name.iter().find(|named| named.name == operation) else {
                    continue;
                };
                let mut cells = vec![self.names[at].clone(), grouped(named.operations)];
                let of = &named.latency_nanoseconds;
                cells.extend([of.p50, of.p90, of.p99, of.p99_9, of.max].map(time));
                cells.push(named.service_nanoseconds.as_ref().map_or("–".to_owned(), |service| time(service.p99)));
                rows.push((escaped(operation), cells));
            }
        }
        if !rows.is_empty() {
            let columns = ["server", "operations", "50 %", "90 %", "99 %", "99.9 %", "longest", "service 99 %"];
            self.table("", "Latency by operation", &columns.map(str::to_owned), &rows);
        }
    }

    fn errors(&mut self, reports: &[Report]) {
        let mut kinds: Vec<&String> = reports.iter().flat_map(|report| report.errors.keys()).collect();
        kinds.sort();
        kinds.dedup();
        if kinds.is_empty() {
            return self.add("<h2>Errors</h2>\n<p>None.</p>\n");
        }
        let count =
            |report: &Report, kind: &str| report.errors.get(kind).map_or("0".to_owned(), |count| grouped(*count));
        let rows: Vec<(String, Vec<String>)> = kinds
            .into_iter()
            .map(|kind| (escaped(kind), reports.iter().map(|report| count(report, kind)).collect()))
            .collect();
        let columns = self.names.clone();
        self.table("", "Errors", &columns, &rows);
    }

    fn surroundings(&mut self, reports: &[Report]) {
        type Told = (&'static str, fn(&Report) -> Option<String>);
        let of: [Told; 17] = [
            ("server", |report| report.subject.server_version.clone()),
            ("address", |report| Some(report.subject.address.clone())),
            ("TLS", |report| Some(report.subject.tls.clone())),
            ("connections", |report| Some(report.subject.connections.to_string())),
            ("depth", |report| Some(report.subject.depth.to_string())),
            ("rate asked for", |report| Some(format!("{}/s", report.subject.rate_asked?))),
            ("arrivals", |report| report.subject.arrivals.clone()),
            ("scenario", |report| report.subject.scenario.clone()),
            ("command line", |report| Some(report.command_line.join(" "))),
            ("date", |report| Some(report.date.clone())),
            ("loadgen", |report| Some(format!("{} {}", report.loadgen, report.commit.as_deref().unwrap_or_default()))),
            ("kernel", |report| Some(report.kernel.clone())),
            ("processor", |report| {
                let model = report.machine.processor.as_deref().unwrap_or("unknown");
                Some(format!("{} x {model}", report.machine.processors))
            }),
            ("frequency governor", |report| report.machine.frequency_governor.clone()),
            ("load average", |report| report.machine.load_average.map(|[one, ..]| format!("{one:.2}"))),
            ("stolen by the hypervisor", |report| report.machine.steal_share.map(percent)),
            ("used by others", |report| report.machine.foreign_share.map(percent)),
        ];
        let rows: Vec<(String, Vec<String>)> = of
            .iter()
            .filter(|(_, of)| reports.iter().any(|report| of(report).is_some()))
            .map(|(name, of)| {
                let cells = reports.iter().map(|report| of(report).map_or("–".to_owned(), |text| escaped(&text)));
                ((*name).to_owned(), cells.collect())
            })
            .collect();
        let columns = self.names.clone();
        self.table("words", "Configuration and machine", &columns, &rows);
        for (at, report) in reports.iter().enumerate() {
            let Some(text) = &report.subject.scenario_text else { continue };
            let title = format!("Scenario of {}", self.names[at]);
            self.add(format_args!(
                "<h2>{title}</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><pre>{}</pre></div>\n",
                escaped(text)
            ));
        }
    }
}

/// What a plot's line says, for who can't see it. `name` is escaped.
fn in_words(report: &Report, name: &str) -> String {
    let latency = &report.latency_nanoseconds;
    format!(
        "{name}: {:.0} operations a second, median {}, 99 % {}, longest {}",
        report.rate,
        time(latency.p50),
        time(latency.p99),
        time(latency.max)
    )
}

/// A cell with `value` as a multiple of `first`.
fn ratio(first: Option<f64>, value: Option<f64>, more_is_better: Option<bool>) -> String {
    let Some(ratio) = first.zip(value).map(|(first, value)| value / first).filter(|ratio| ratio.is_finite()) else {
        return "–".to_owned();
    };
    let digits = if ratio < 0.1 { 3 } else { 2 };
    let text = format!("{ratio:.digits$} ×");
    match more_is_better {
        Some(more) if (ratio - 1.0).abs() > TELLING => {
            let class = if (ratio > 1.0) == more { "better" } else { "worse" };
            format!("<span class=\"{class}\">{text}</span>")
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Named;
    use super::super::tests::report;
    use super::*;

    #[test]
    fn the_page_has_the_figures_and_needs_nothing_else() {
        let mut reports = [report("noop"), report("noop")];
        reports[0].subject.server_version = Some("Ringpost 1".into());
        reports[1].subject.server_version = Some("Other".into());
        reports[1].rate = 2500.0;
        reports[1].void = Some("the client was late".into());
        reports[1].subject.scenario_text = Some("[[user]]\n".into());
        reports[1].latency_curve = vec![(0.0, 50_000), (0.9, 80_000), (1.0, 90_000)];
        let fetch = Named { name: "fetch".into(), operations: 4711, ..reports[1].operations_by_name[0].clone() };
        reports[1].operations_by_name.push(fetch);
        let text = page(&reports);
        for part in [
            "<title>imap noop: Ringpost 1 beside Other</title>",
            "Other is void: the client was late",
            "<td><span class=\"worse\">0.25 ×</span></td>",
            "<td>10\u{202f}000</td><td>2\u{202f}500</td>",
            "<th scope=\"row\">fetch</th><td>Other</td><td>4\u{202f}711</td>",
            "<th scope=\"row\">NO [&quot;x&quot;]</th><td>1</td><td>1</td>",
            "<pre>[[user]]\n</pre>",
            "aria-label=\"Latency by percentile. Ringpost 1: 10000 operations a second",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        for outside in ["<script", "src=", "href=", "url(", "@import"] {
            assert!(!text.contains(outside), "{outside}");
        }
        let addresses: Vec<&str> = text.match_indices("://").map(|(at, _)| &text[at..at + 18]).collect();
        assert!(addresses.iter().all(|address| *address == "://www.w3.org/2000"), "{addresses:?}");
    }

    #[test]
    fn what_others_wrote_is_escaped() {
        let mut hostile = report("noop");
        let mark = "\"><img src=x onerror='x'>&\u{1b}";
        for field in [&mut hostile.subject.address, &mut hostile.subject.work, &mut hostile.kernel, &mut hostile.date] {
            *field = mark.into();
        }
        hostile.subject.server_version = Some(mark.into());
        hostile.subject.scenario_text = Some(mark.into());
        hostile.void = Some(mark.into());
        hostile.errors.insert(mark.into(), 1);
        hostile.operations_by_name[0].name = mark.into();
        hostile.command_line = vec![mark.into()];
        let text = page(&[hostile]);
        assert!(!text.contains("<img") && !text.contains('\u{1b}') && !text.contains("'x'"));
        assert!(text.contains("&quot;&gt;&lt;img src=x onerror=&#39;x&#39;&gt;&amp;"));
    }

    #[test]
    fn colours_are_those_of_the_style_sheet() {
        for plotters::style::RGBColor(red, green, blue) in COLOURS {
            assert!(
                STYLE.contains(&format!("svg [stroke=\"#{red:02X}{green:02X}{blue:02X}\"]")),
                "{red} {green} {blue}"
            );
        }
    }

    #[test]
    fn a_run_that_held_connections_has_a_page() {
        let mut held = report("hold");
        held.operations = 0;
        held.latency_curve.clear();
        held.series[0].operations = 0;
        held.series.push(held.series[0].clone());
        held.operations_by_name.clear();
        let text = page(&[held]);
        assert!(text.contains("octets a connection</th><td>2000</td>") && !text.contains("<figure"), "{text}");
        assert_eq!(ratio(Some(0.0), Some(1.0), None), "–");
    }
}
