//! Plots of reports as SVG: latency by percentile, rate and latency over time, a line a report.
//!
//! plotters draws them; it writes colours as attributes, which a page's style sheet overrides (`page.css`), so that the same
//! drawing serves light and dark. Each plot is drawn for a phone and for a desktop, since text in an SVG shrinks with it.
//! Coordinates are halves of a pixel: plotters has whole numbers alone, and a line of whole pixels has steps.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Report;
use super::axis::{Axis, halvings, logarithm, rate};
use crate::limits::{PLOT_POINTS_MAX, PLOTTED_REPORTS_MAX};
use crate::series::Second;

/// Colours of lines in light; the style sheet knows them by these values.
pub const COLOURS: [RGBColor; PLOTTED_REPORTS_MAX] = [
    RGBColor(0x0B, 0x5F, 0xA5),
    RGBColor(0xB3, 0x42, 0x0A),
    RGBColor(0x1B, 0x7A, 0x3D),
    RGBColor(0x8A, 0x2B, 0xA8),
    RGBColor(0x55, 0x5B, 0x66),
];
const TEXT: RGBColor = RGBColor(0x4A, 0x51, 0x5C);
const AXIS: RGBColor = RGBColor(0x8A, 0x91, 0x9C);
const GRID: RGBColor = RGBColor(0xE3, 0xE6, 0xEA);

/// Coordinates of a pixel.
const SCALE: u32 = 2;

/// A size of drawing. Pixels.
struct Size {
    class: &'static str,
    width: u32,
    height: u32,
    x_ticks: usize,
}

const SIZES: [Size; 2] = [
    Size { class: "narrow", width: 350, height: 240, x_ticks: 4 },
    Size { class: "wide", width: 620, height: 300, x_ticks: 7 },
];
const Y_TICKS: usize = 6;
/// Room for labels: `99.999 %` below, `200 µs` at the left.
const LABELS_BELOW: u32 = 34;
const LABELS_LEFT: u32 = 58;
const TICK_LEFT: u32 = 4;
/// So long that the first label below does not touch the lowest at the left.
const TICK_BELOW: u32 = 7;
/// Half of the last label below is right of the axis.
const MARGIN_RIGHT: u32 = 30;
const MARGIN_TOP: u32 = 10;
/// plotters has the height of a line; letters of 13 pixels are a line of 16.
const FONT: u32 = 16;

/// One plot, without its size.
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// A line a report; empty where it has no such figures.
    lines: Vec<Vec<(f64, f64)>>,
    x: Box<dyn Fn(usize) -> Axis>,
    y: Axis,
}

/// The plots that `reports` have figures for.
pub fn plots(reports: &[Report]) -> Vec<Plot> {
    if reports.iter().all(|report| report.operations == 0) {
        return Vec::new();
    }
    let longest = reports.iter().map(|report| report.seconds).fold(0.0, f64::max);
    let over_time = |title: &str, y: Axis, of: fn(&[Second]) -> Option<f64>| Plot {
        title: title.to_owned(),
        lines: reports.iter().map(|report| points(&report.series, of)).collect(),
        x: Box::new(move |ticks| Axis::time(longest, ticks)),
        y,
    };
    let seconds = || reports.iter().flat_map(|report| &report.series).filter(|second| second.is_whole());
    let latencies = |of: fn(&Second) -> u64| {
        let values = || seconds().filter(|second| second.operations > 0).map(move |second| of(second) as f64);
        Axis::logarithmic(values().fold(f64::MAX, f64::min), values().fold(1.0, f64::max), Y_TICKS)
    };
    let fastest = seconds().map(|second| second.operations as f64 / second.length).fold(0.0, f64::max);
    let mut plots = vec![
        by_percentile(reports),
        over_time("Rate over time, operations a second", Axis::linear(fastest, Y_TICKS, rate), mean_rate),
        over_time("Latency over time, median", latencies(|second| second.p50), mean_median),
        over_time("Latency over time, 99 %", latencies(|second| second.p99), worst_p99),
    ];
    plots.retain(|plot| plot.lines.iter().any(|line| line.len() > 1));
    plots
}

fn by_percentile(reports: &[Report]) -> Plot {
    let lines: Vec<Vec<(f64, f64)>> = reports
        .iter()
        .map(|report| {
            // 100 % is infinitely far away.
            let finite = report.latency_curve.iter().filter(|(quantile, _)| *quantile < 1.0);
            finite.map(|(quantile, value)| (halvings(*quantile), logarithm(*value as f64))).collect()
        })
        .collect();
    let furthest = lines.iter().flatten().map(|(x, _)| *x).fold(0.0, f64::max);
    let values = || reports.iter().flat_map(|report| &report.latency_curve).map(|(_, value)| *value as f64);
    let y = Axis::logarithmic(values().fold(f64::MAX, f64::min), values().fold(1.0, f64::max), Y_TICKS);
    let x = Box::new(move |ticks| Axis::percentiles(furthest, ticks));
    Plot { title: "Latency by percentile".to_owned(), lines, x, y }
}

/// A point a second, or one for several where they are many: each at its end.
fn points(series: &[Second], of: fn(&[Second]) -> Option<f64>) -> Vec<(f64, f64)> {
    let series = &series[..series.len() - series.last().map_or(0, |last| usize::from(!last.is_whole()))];
    let together = series.len().div_ceil(PLOT_POINTS_MAX).max(1);
    series.chunks(together).filter_map(|chunk| Some((chunk.last()?.at, of(chunk)?))).collect()
}

/// A second without an operation counts: that is what a stall looks like.
fn mean_rate(seconds: &[Second]) -> Option<f64> {
    let operations: u64 = seconds.iter().map(|second| second.operations).sum();
    Some(operations as f64 / seconds.iter().map(|second| second.length).sum::<f64>())
}

/// The mean of the medians, by operations: position on a logarithmic axis.
fn mean_median(seconds: &[Second]) -> Option<f64> {
    let operations: u64 = seconds.iter().map(|second| second.operations).sum();
    let sum: f64 = seconds.iter().map(|second| second.p50 as f64 * second.operations as f64).sum();
    (operations > 0).then(|| logarithm(sum / operations as f64))
}

/// The worst second's: position on a logarithmic axis.
fn worst_p99(seconds: &[Second]) -> Option<f64> {
    let busy = seconds.iter().filter(|second| second.operations > 0);
    busy.map(|second| second.p99).max().map(|p99| logarithm(p99 as f64))
}

impl Plot {
    /// The plot in all sizes; the style sheet shows one of them. `name` is what it is called where it can't be seen, and is
    /// escaped already.
    pub fn svg(&self, name: &str) -> String {
        SIZES
            .iter()
            .map(|size| {
                let svg = self.draw(size).expect("memory takes what is drawn");
                // plotters has no attributes of ours: the element begins anew, from its viewBox on.
                let rest = svg.find("viewBox").map_or("", |at| &svg[at..]);
                format!("<svg class=\"{}\" role=\"img\" aria-label=\"{name}\" {rest}", size.class)
            })
            .collect()
    }

    fn draw(&self, size: &Size) -> Result<String, DrawingAreaErrorKind<std::io::Error>> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (size.width * SCALE, size.height * SCALE)).into_drawing_area();
            let mut chart = ChartBuilder::on(&area)
                .margin_top(MARGIN_TOP * SCALE)
                .margin_right(MARGIN_RIGHT * SCALE)
                .x_label_area_size(LABELS_BELOW * SCALE)
                .y_label_area_size(LABELS_LEFT * SCALE)
                .build_cartesian_2d((self.x)(size.x_ticks), self.y.clone())?;
            let label = TextStyle::from(("sans-serif", FONT * SCALE).into_font()).color(&TEXT);
            chart
                .configure_mesh()
                .bold_line_style(GRID.stroke_width(SCALE))
                .light_line_style(TRANSPARENT)
                .axis_style(AXIS.stroke_width(SCALE))
                .x_label_style(label.clone().pos(Pos::new(HPos::Center, VPos::Top)))
                .y_label_style(label.pos(Pos::new(HPos::Right, VPos::Center)))
                .set_tick_mark_size(LabelAreaPosition::Left, TICK_LEFT * SCALE)
                .set_tick_mark_size(LabelAreaPosition::Bottom, TICK_BELOW * SCALE)
                .draw()?;
            for (line, colour) in self.lines.iter().zip(&COLOURS) {
                chart.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2 * SCALE)))?;
            }
            area.present()?;
        }
        Ok(svg)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn a_day_is_drawn_in_few_points() {
        let second = report("noop").series.remove(0);
        let series: Vec<Second> = (1..=86_400).map(|at| Second { at: f64::from(at), ..second.clone() }).collect();
        let drawn = points(&series, |seconds| Some(seconds.len() as f64));
        assert_eq!((drawn.len(), drawn[0]), (PLOT_POINTS_MAX, (288.0, 288.0)));
    }

    #[test]
    fn a_stall_shows_and_a_rest_does_not() {
        let second = report("noop").series.remove(0);
        let stalled = Second { at: 2.0, operations: 0, p50: 0, p99: 0, ..second.clone() };
        let rest = Second { at: 3.01, length: 0.01, operations: 9999, ..second.clone() };
        let series = [second.clone(), stalled, Second { at: 3.0, p99: 1_000_000, ..second }, rest];
        assert_eq!(points(&series, mean_rate), [(1.0, 20_000.0), (2.0, 0.0), (3.0, 20_000.0)]);
        assert_eq!(points(&series, mean_median), [(1.0, 5.0), (3.0, 5.0)]);
        assert_eq!(points(&series, worst_p99), [(1.0, 5.0), (3.0, 6.0)]);
        assert_eq!((mean_rate(&series[..2]), mean_median(&series[..2])), (Some(10_000.0), Some(5.0)));
        assert_eq!(points(&[], mean_rate), []);
    }

    #[test]
    fn each_report_has_its_line() {
        let mut reports = [report("noop"), report("noop")];
        for report in &mut reports {
            let second = report.series[0].clone();
            report.series.push(Second { at: 2.0, ..second });
            report.latency_curve = vec![(0.0, 50_000), (0.9, 80_000), (1.0, 90_000)];
        }
        let drawn = plots(&reports);
        assert_eq!(drawn.len(), 4);
        for plot in &drawn {
            let svg = plot.svg("a name");
            assert_eq!(svg.matches("role=\"img\" aria-label=\"a name\" viewBox=").count(), SIZES.len(), "{svg}");
            for colour in ["#0B5FA5", "#B3420A"] {
                assert_eq!(svg.matches(colour).count(), SIZES.len(), "{}: {svg}", plot.title);
            }
            assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
        }
        reports[0].latency_curve.clear();
        reports.iter_mut().for_each(|report| report.series.clear());
        assert_eq!(plots(&reports).len(), 1, "what nobody measured is not drawn");
    }
}
