//! The live view: a few lines on a terminal that show once a second how a run goes.
//!
//! Written to standard error over themselves, as wide as the terminal is now; nothing where it is none. Nothing of the
//! terminal is changed that would have to be restored: the lines are cleared when the view is dropped, and the cursor
//! stands behind them at all times, so that what an interrupted run leaves is above the prompt.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use hdrhistogram::Histogram;

use crate::limits::SPARKLINE_SECONDS;
use crate::report::figure::{grouped, time};
use crate::series::{Second, Watcher};

/// A terminal that says nothing about its size has this.
const COLUMNS: usize = 80;
/// Eighths of a letter's height.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The live view.
#[derive(Debug)]
pub struct Live {
    view: View,
    /// Widths of the lines that stand there.
    drawn: Vec<usize>,
}

impl Live {
    /// The view, where standard error is a terminal.
    pub fn on_terminal() -> Option<Live> {
        std::io::stderr().is_terminal().then(|| Live { view: View::default(), drawn: Vec::new() })
    }
}

/// Back to where the first of lines so wide begins, and clear; a narrower terminal has wrapped what stood there.
fn back(drawn: &[usize], columns: usize) -> String {
    let rows: usize = drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
    if rows > 1 { format!("\x1b[{}A\r\x1b[J", rows - 1) } else { "\r\x1b[J".into() }
}

/// The terminal's width now.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

impl Watcher for Live {
    fn second(&mut self, second: &Second, _: &Histogram<u64>, left: f64) {
        let columns = columns();
        self.view.second(second);
        let lines = self.view.lines(second.at, left, columns);
        let shown = format!("{}{}", back(&self.drawn, columns), lines.join("\n"));
        self.drawn = lines.iter().map(|line| line.chars().count()).collect();
        // Nobody is helped by an error about the view.
        let _ = std::io::stderr().write_all(shown.as_bytes());
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if !self.drawn.is_empty() {
            let _ = std::io::stderr().write_all(back(&self.drawn, columns()).as_bytes());
        }
    }
}

/// What is shown, without a terminal.
#[derive(Debug, Default)]
struct View {
    recent: VecDeque<Second>,
    errors: u64,
}

impl View {
    fn second(&mut self, second: &Second) {
        self.errors += second.errors;
        if self.recent.len() == SPARKLINE_SECONDS {
            self.recent.pop_front();
        }
        self.recent.push_back(second.clone());
    }

    /// The lines, none wider than `columns`. A line as wide as the terminal would leave the cursor in doubt.
    fn lines(&self, at: f64, left: f64, columns: usize) -> Vec<String> {
        let Some(last) = self.recent.back() else { return Vec::new() };
        let room = columns.saturating_sub(1);
        let time_left = format!(" {left:.0} s left");
        let bar = bar(at / (at + left).max(1e-9), room.saturating_sub(time_left.chars().count()));
        let rates: Vec<f64> = self.recent.iter().map(rate).collect();
        let p99s: Vec<f64> = self.recent.iter().map(|second| second.p99 as f64).collect();
        let lines = [
            format!("{bar}{time_left}"),
            format!("rate {:>11}/s   errors {}", grouped(rate(last) as u64), grouped(self.errors)),
            format!("p50 {:>10}   p99 {:>10}   max {:>10}", time(last.p50), time(last.p99), time(last.max)),
            format!("rate {}", sparkline(&rates, room.saturating_sub(5))),
            format!("p99  {}", sparkline(&p99s, room.saturating_sub(5))),
        ];
        lines.map(|line| line.chars().take(room).collect()).to_vec()
    }
}

fn rate(second: &Second) -> f64 {
    if second.length > 0.0 { second.operations as f64 / second.length } else { 0.0 }
}

/// A bar of `width` letters of which `share` is full.
fn bar(share: f64, width: usize) -> String {
    let full = ((share * width as f64) as usize).min(width);
    let mut text = "█".repeat(full);
    text.push_str(&"░".repeat(width - full));
    text
}

/// The last `width` of `values`, each as high as it is beside the highest.
fn sparkline(values: &[f64], width: usize) -> String {
    let values = &values[values.len().saturating_sub(width)..];
    let highest = values.iter().copied().fold(0.0, f64::max);
    let step = |value: &f64| if highest > 0.0 { (value / highest * 7.0).round() as usize } else { 0 };
    let mut text = String::new();
    for value in values {
        let _ = write!(text, "{}", BARS[step(value).min(7)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(at: f64, operations: u64) -> Second {
        Second { at, length: 1.0, operations, errors: 2, p50: 1_500, p90: 0, p99: 2_000_000, max: 3_000_000_000 }
    }

    #[test]
    fn the_view_has_the_figures() {
        let mut view = View::default();
        view.second(&second(1.0, 50));
        view.second(&second(2.0, 12_345));
        let lines = view.lines(2.0, 6.0, 60);
        assert_eq!(lines[0], format!("{}{} 6 s left", "█".repeat(12), "░".repeat(38)));
        assert_eq!(lines[1], "rate      12\u{202f}345/s   errors 4");
        assert_eq!(lines[2], "p50     1.5 µs   p99    2.00 ms   max     3.00 s");
        assert_eq!(lines[3..], ["rate ▁█", "p99  ██"]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_a_minute_is_kept() {
        let mut view = View::default();
        for at in 0..1000 {
            view.second(&second(f64::from(at), u64::MAX >> (at % 60)));
        }
        assert_eq!(view.recent.len(), SPARKLINE_SECONDS);
        for columns in [1, 2, 7, 20, 40, 80, 500] {
            for line in view.lines(999.0, 1e9, columns) {
                assert!(line.chars().count() < columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn a_narrower_terminal_is_cleared_as_it_wrapped() {
        assert_eq!(back(&[30, 10, 20], 80), "\x1b[2A\r\x1b[J");
        assert_eq!(back(&[30, 10, 20], 15), "\x1b[4A\r\x1b[J");
        assert_eq!(back(&[], 80), "\r\x1b[J");
    }
}
