"""Rows that a function measures, on servers of several kinds, and their table."""

import json
import os
import platform
import statistics
import sys

from bench import begin, chosen, groups, parser, rounds
from rows import Row
from server import Failure


class Measured(Row):
    """A row that a function measures. `least`: the target is what it must be at least."""

    def __init__(self, name, what, unit, target, measure, digits=2, least=False):
        super().__init__(name, what, unit, target, None, digits=digits)
        self.measure, self.least = measure, least

    @property
    def more_is_better(self):
        return self.least


def table(results):
    print("| row | unit | median | range | target | met |\n|---|---|---|---|---|---|")
    for row, values in results:
        median, digits = statistics.median(values), row.digits
        target = "" if row.target is None else f"{'≥' if row.least else '≤'} {row.target:g}"
        met = "" if row.target is None else f"{row.ratio(median):.2f}" if median > 0 else "no" if row.least else "yes"
        print(f"| `{row.name}`: {row.what} | {row.unit} | {median:.{digits}f} | {min(values):.{digits}f} to {max(values):.{digits}f} "
              f"| {target} | {met} |")


def measure(kind, rows, results, failed):
    with kind.serving(False, rows) as bench:
        for (row,) in groups(rows):
            bench.say(f"{row.name}: {row.what}")
            results.extend(rounds([bench], [row], failed).get(bench.name, ()))


def main(description, name, kinds):
    """Measures the chosen rows of each kind of server. `kinds`: (Bench, rows)."""
    options = parser(description)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--json", help="write all values to this file")
    options.add_argument("rows", nargs="*", metavar="ROW")
    options = options.parse_args()
    wanted = chosen(options.rows, [row for _, rows in kinds for row in rows])
    begin(options)
    results, failed = [], []
    for kind, rows in kinds:
        ours = [row for row in rows if row in wanted]
        try:
            if ours:
                measure(kind(options), ours, results, failed)
        except Failure as failure:
            # What was measured before is told all the same.
            failed.append(str(failure))
    print(f"\nLinux {platform.release()}, {os.cpu_count()} processors, {options.rounds} rounds\n")
    table(results)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({row.name: {"unit": row.unit, "target": row.target, "values": values} for row, values in results}, file, indent=1)
    if failed:
        sys.exit(f"{name}: failed: {', '.join(failed)}")
    if options.tiny:
        # tests/run counts this line.
        print("\nThese are no figures: --tiny shows that each row can be measured.\nSuccess")
