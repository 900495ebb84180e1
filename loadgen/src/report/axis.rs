//! Axes of plots: what range they have, where their ticks stand, and how those read.
//!
//! Positions are what is drawn: the value itself on a linear axis, its decimal logarithm on a logarithmic one, the logarithm of
//! 1 / (1 - quantile) on that of percentiles, as HdrHistogram's own plots have it. Ticks are few enough that their labels
//! never meet.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::figure::grouped;

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// From its first to its last position.
    pub range: Range<f64>,
    /// Positions and labels, in order.
    pub ticks: Vec<(f64, String)>,
}

/// The position of a value on a logarithmic axis.
pub fn logarithm(value: f64) -> f64 {
    value.max(1.0).log10()
}

/// The position of a quantile on the axis of percentiles.
pub fn halvings(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

impl Axis {
    /// From nothing to `most`, in at most `ticks` steps of 1, 2 or 5; `name` makes the labels.
    pub fn linear(most: f64, ticks: usize, name: fn(f64) -> String) -> Axis {
        let most = if most > 0.0 { most } else { 1.0 };
        let rough = most / ticks as f64;
        let decade = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * decade).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let count = (most / step * (1.0 - 1e-9)).ceil() as usize;
        let ticks = (0..=count).map(|at| at as f64 * step).map(|value| (value, name(value))).collect();
        Axis { range: 0.0..count as f64 * step, ticks }
    }

    /// From time to time, in at most `ticks` steps; the ends are the data's.
    pub fn time(seconds: f64, ticks: usize) -> Axis {
        let whole = Axis::linear(seconds, ticks, |value| format!("{} s", shortest(value)));
        Axis { range: 0.0..seconds.max(1e-3), ticks: within(whole.ticks, seconds) }
    }

    /// Nanoseconds from `least` to `most` by decades; in between too, where they are few.
    pub fn logarithmic(least: f64, most: f64, ticks: usize) -> Axis {
        let (from, to) = (logarithm(least).floor(), (logarithm(most) - 1e-9).ceil());
        let to = if to > from { to } else { from + 1.0 };
        let digits: &[f64] = if (to - from) * 3.0 <= ticks as f64 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let stride = ((to - from) / ticks as f64).ceil() as usize;
        let mut marks = Vec::new();
        for decade in (from as i32..to as i32).step_by(stride.max(1)) {
            marks.extend(digits.iter().map(|digit| digit * 10f64.powi(decade)));
        }
        marks.push(10f64.powf(to));
        Axis { range: from..to, ticks: marks.into_iter().map(|value| (logarithm(value), duration(value))).collect() }
    }

    /// Percentiles up to where `most`, a position, stands: 0 %, 90 %, 99 % …
    pub fn percentiles(most: f64, ticks: usize) -> Axis {
        let nines = most.max(1.0).ceil() as usize;
        let stride = nines.div_ceil(ticks.max(1));
        let named = |nines: usize| match nines {
            0 => "0 %".to_owned(),
            1 => "90 %".to_owned(),
            2 => "99 %".to_owned(),
            more => format!("99.{} %", "9".repeat(more - 2)),
        };
        let ticks = (0..=nines).step_by(stride).map(|nines| (nines as f64, named(nines))).collect();
        Axis { range: 0.0..most.max(1.0), ticks: within(ticks, most.max(1.0)) }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, position: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (position - self.range.start) / (self.range.end - self.range.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let between = hint.weight().allow_light_points();
        self.ticks.iter().filter(|_| !between).map(|(position, _)| *position).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(_: &f64) -> String {
        String::new()
    }

    fn format_ext(&self, position: &f64) -> String {
        let tick = self.ticks.iter().find(|(at, _)| at == position);
        tick.map_or(String::new(), |(_, label)| label.clone())
    }
}

fn within(ticks: Vec<(f64, String)>, most: f64) -> Vec<(f64, String)> {
    ticks.into_iter().filter(|(at, _)| *at <= most).collect()
}

/// A number of no more digits than it needs.
fn shortest(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Nanoseconds, as a tick has them.
fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ..999.5 => format!("{} ns", shortest(nanoseconds)),
        ..999_500.0 => format!("{} µs", shortest(nanoseconds / 1e3)),
        ..999_500_000.0 => format!("{} ms", shortest(nanoseconds / 1e6)),
        _ => format!("{} s", shortest(nanoseconds / 1e9)),
    }
}

/// Operations a second, as a tick has them.
pub fn rate(rate: f64) -> String {
    match rate {
        ..9_999.5 => shortest(rate),
        ..9_999_500.0 => format!("{}k", grouped((rate / 1e3).round() as u64)),
        _ => format!("{}M", shortest(rate / 1e6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn linear_axes_have_round_steps() {
        let axis = Axis::linear(87_627.0, 5, rate);
        assert_eq!((axis.range.end, labels(&axis)), (100_000.0, vec!["0", "20k", "40k", "60k", "80k", "100k"]));
        assert_eq!(labels(&Axis::linear(10.0, 5, rate)), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(&Axis::linear(0.0, 2, rate)), ["0", "0.5", "1"]);
        assert_eq!(labels(&Axis::linear(0.03, 4, rate)), ["0", "0.01", "0.02", "0.03"]);
        for most in [1e-3, 0.7, 1.0, 9.99, 1e9, 3.3e12] {
            for ticks in 2..9 {
                let axis = Axis::linear(most, ticks, rate);
                assert!(axis.range.end >= most && axis.ticks.len() <= ticks + 1, "{most} in {ticks}: {axis:?}");
            }
        }
    }

    #[test]
    fn time_ends_where_the_run_does() {
        let axis = Axis::time(10.02, 5);
        assert_eq!((axis.range.end, labels(&axis)), (10.02, vec!["0 s", "5 s", "10 s"]));
        assert_eq!(labels(&Axis::time(0.2, 4)), ["0 s", "0.05 s", "0.1 s", "0.15 s", "0.2 s"]);
    }

    #[test]
    fn logarithmic_axes_have_decades() {
        assert_eq!(labels(&Axis::logarithmic(52_000.0, 9e6, 8)), ["10 µs", "100 µs", "1 ms", "10 ms"]);
        assert_eq!(labels(&Axis::logarithmic(2e9, 2e9, 8)), ["1 s", "2 s", "5 s", "10 s"]);
        assert_eq!(labels(&Axis::logarithmic(0.0, 1e9, 5)), ["1 ns", "100 ns", "10 µs", "1 ms", "100 ms", "1 s"]);
        let axis = Axis::logarithmic(1e6, 1e6, 3);
        assert_eq!((labels(&axis), axis.range.clone()), (vec!["1 ms", "2 ms", "5 ms", "10 ms"], 6.0..7.0));
    }

    #[test]
    fn percentiles_stand_as_hdrhistogram_has_them() {
        assert_eq!(labels(&Axis::percentiles(4.2, 8)), ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
        assert_eq!(labels(&Axis::percentiles(7.0, 4)), ["0 %", "99 %", "99.99 %", "99.9999 %"]);
        assert_eq!(labels(&Axis::percentiles(0.0, 4)), ["0 %", "90 %"]);
        assert!((halvings(0.999) - 3.0).abs() < 1e-9 && halvings(0.0) == 0.0);
    }
}
