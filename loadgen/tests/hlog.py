"""Reads an interval log by the Python package hdrhistogram: a line an interval, with its count, maximum, and what is a little below and above 99 %.

hlog.py FILE
"""

import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 3_600_000_000_000, 3))
while (histogram := reader.get_next_interval_histogram()) is not None:
    beside = [histogram.get_value_at_percentile(percent) for percent in (98.5, 99.5)]
    print(histogram.get_total_count(), histogram.get_max_value(), *beside)
