//! HdrHistogram's own files: the interval log (`.hlog`), a histogram of each second, and the percentile text (`.hgrm`).
//!
//! Values are nanoseconds, as they were recorded. As the formats' other tools expect it, the maximum of a log's line and the text's
//! values are milliseconds; a histogram in the log (V2, compressed) keeps its nanoseconds.
//! <https://github.com/HdrHistogram/HdrHistogram> has the formats: `HistogramLogWriter`, `outputPercentileDistribution`.
//! A line of the log keeps the loop from its sockets for a millisecond or two, once a second: where that is too much for what is
//! measured, leave it out.

use std::cell::OnceCell;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError};

use crate::limits::CURVE_TICKS;
use crate::series::{Second, Watcher};

const NANOSECONDS_A_MILLISECOND: f64 = 1e6;

/// Writes a line for each second of a run.
pub struct IntervalLog {
    file: File,
    serializer: V2DeflateSerializer,
    line: Vec<u8>,
    begun: bool,
    failed: Rc<OnceCell<String>>,
}

impl IntervalLog {
    /// Creates the file. The first error of writing it will be in the cell that comes with the log.
    pub fn create(path: &Path) -> Result<(IntervalLog, Rc<OnceCell<String>>), String> {
        let file = File::create(path).map_err(|error| error.to_string())?;
        let failed = Rc::default();
        let log = IntervalLog {
            file,
            serializer: V2DeflateSerializer::new(),
            line: Vec::new(),
            begun: false,
            failed: Rc::clone(&failed),
        };
        Ok((log, failed))
    }

    /// The header: times in the log are counted from `start`.
    fn begin(&mut self, start: SystemTime) -> Result<(), String> {
        self.line.clear();
        IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .add_comment("[Latencies in nanoseconds; Interval_Max in milliseconds]")
            .with_start_time(start)
            .begin_log_with(&mut self.line, &mut self.serializer)
            .map_err(|error| error.to_string())?;
        self.file.write_all(&self.line).map_err(|error| error.to_string())
    }

    fn interval(&mut self, second: &Second, latencies: &Histogram<u64>) -> Result<(), String> {
        self.line.clear();
        let mut builder = IntervalLogWriterBuilder::new();
        let mut log = builder
            .with_max_value_divisor(NANOSECONDS_A_MILLISECOND)
            .begin_log_with(&mut self.line, &mut self.serializer)
            .map_err(|error| error.to_string())?;
        let start = Duration::from_secs_f64((second.at - second.length).max(0.0));
        let length = Duration::from_secs_f64(second.length.max(0.0));
        log.write_histogram(latencies, start, length, None).map_err(|error| match error {
            IntervalLogWriterError::IoError(error) => error.to_string(),
            IntervalLogWriterError::SerializeError(error) => error.to_string(),
        })?;
        // The writer borrows the file, so that it can't be kept; each new one begins with a comment about the divisor.
        let line = self.line.split_inclusive(|octet| *octet == b'\n').next_back().unwrap_or_default();
        self.file.write_all(line).map_err(|error| error.to_string())
    }
}

impl Watcher for IntervalLog {
    fn second(&mut self, second: &Second, latencies: &Histogram<u64>, _: f64) {
        if self.failed.get().is_some() {
            return;
        }
        let mut written = Ok(());
        if !self.begun {
            self.begun = true;
            let now = SystemTime::now();
            written = self.begin(now.checked_sub(Duration::from_secs_f64(second.at)).unwrap_or(now));
        }
        if let Err(error) = written.and_then(|()| self.interval(second, latencies)) {
            let _ = self.failed.set(error);
        }
    }
}

/// The percentile distribution as HdrHistogram prints it, values in milliseconds.
pub fn percentiles(histogram: &Histogram<u64>) -> String {
    let milliseconds = |nanoseconds: f64| nanoseconds / NANOSECONDS_A_MILLISECOND;
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    for step in histogram.iter_quantiles(CURVE_TICKS) {
        count += step.count_since_last_iteration();
        let (value, quantile) = (milliseconds(step.value_iterated_to() as f64), step.quantile_iterated_to());
        let _ = write!(text, "{value:12.3} {quantile:2.12} {count:10}");
        let _ = if quantile < 1.0 { writeln!(text, " {:14.2}", 1.0 / (1.0 - quantile)) } else { writeln!(text) };
    }
    // Each bucket but the first adds the upper half of its sub-buckets.
    let buckets = usize::from(histogram.buckets());
    let sub_buckets = histogram.distinct_values() * 2 / (buckets + 1);
    let _ = write!(
        text,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n#[Max     = {:12.3}, Total count    = {:12}]\n\
         #[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]\n",
        milliseconds(histogram.mean()),
        milliseconds(histogram.stdev()),
        milliseconds(histogram.max() as f64),
        histogram.len(),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::histogram;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    fn latencies(milliseconds: std::ops::RangeInclusive<u64>) -> Histogram<u64> {
        let mut latencies = histogram();
        milliseconds.for_each(|value| latencies.record(value * 1_000_000).expect("within an hour"));
        latencies
    }

    fn second(at: f64, length: f64) -> Second {
        Second { at, length, operations: 0, errors: 0, p50: 0, p90: 0, p99: 0, max: 0 }
    }

    #[test]
    fn a_log_reads_back() {
        let path = std::env::temp_dir().join(format!("loadgen-{}.hlog", std::process::id()));
        let (mut log, failed) = IntervalLog::create(&path).expect("a scratch file");
        let seconds = [(1.0, 1.0, latencies(1..=100)), (2.0, 1.0, histogram()), (2.25, 0.25, latencies(7..=7))];
        for (at, length, latencies) in &seconds {
            log.second(&second(*at, *length), latencies, 0.0);
        }
        let text = std::fs::read(&path).expect("it was written");
        std::fs::remove_file(&path).expect("a scratch file");
        assert_eq!(failed.get(), None);
        let mut read = Vec::new();
        let mut started = None;
        for entry in IntervalLogIterator::new(&text) {
            match entry.expect("a sound log") {
                LogEntry::StartTime(time) => started = Some(time.as_secs_f64()),
                LogEntry::Interval(interval) => read.push(interval),
                LogEntry::BaseTime(time) => panic!("{time:?}"),
            }
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
        assert!((since - 60.0..since).contains(&started.expect("a start time")), "{started:?} at {since}");
        assert_eq!(read.len(), 3);
        for (interval, (at, length, latencies)) in read.iter().zip(&seconds) {
            assert_eq!((interval.start_timestamp().as_secs_f64(), interval.tag()), (at - length, None));
            assert_eq!(interval.duration().as_secs_f64(), *length);
            assert!((interval.max() - latencies.max() as f64 / 1e6).abs() < 1e-3, "{}", interval.max());
            let octets = STANDARD.decode(interval.encoded_histogram()).expect("base64");
            let back: Histogram<u64> = Deserializer::new().deserialize(&mut octets.as_slice()).expect("a histogram");
            assert_eq!(&back, latencies);
        }
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let (mut log, failed) = IntervalLog::create(Path::new("/dev/full")).expect("it opens");
        log.second(&second(1.0, 1.0), &latencies(1..=2), 0.0);
        assert!(failed.get().is_some_and(|error| error.contains("space")), "{failed:?}");
        assert!(IntervalLog::create(Path::new("/nowhere/x")).is_err());
    }

    #[test]
    fn percentiles_are_printed_as_hdrhistogram_does() {
        let text = percentiles(&latencies(1..=4));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
        assert_eq!(lines[2], "       1.000 0.000000000000          1           1.00");
        assert!(lines.contains(&"       2.001 0.500000000000          2           2.00"), "{text}");
        assert_eq!(lines[lines.len() - 4], "       4.002 1.000000000000          4");
        assert_eq!(lines[lines.len() - 3], "#[Mean    =        2.500, StdDeviation   =        1.118]");
        assert_eq!(lines[lines.len() - 2], "#[Max     =        4.002, Total count    =            4]");
        // 2 x 1024 of the first bucket reach 2 ^ 11; an hour, 2 ^ 41.7, needs 31 doublings more.
        assert_eq!(lines[lines.len() - 1], "#[Buckets =           32, SubBuckets     =         2048]");
    }
}
