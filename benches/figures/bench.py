"""What a measurement needs besides its rows: programs, servers in the state that a row asks for, and rounds."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys

from client import Imap, log_in
from corpus import Corpus
from machine import FOREIGN_MAX, Foreign, cpu_seconds
from rows import ADDRESSEES, CORPUS_USER, DROP_MESSAGES, DROPS, EMPTY_USER, ROWS, SESSIONS, Row
from server import DOMAIN, Failure

# How often a round that was disturbed is measured again: so many times as many rounds as are wanted, at most.
ROUNDS_FACTOR_MAX = 3


class Bench:
    """A server, and what the rows need to know besides. `make` gives the server for some rows; it is started by `serving`.
    `domain`: of the names by which clients log in."""

    def __init__(self, options, name, make, domain=DOMAIN):
        self.options, self.name, self.make, self.domain = options, name, make, domain
        self.server, self.corpus, self.users = None, None, []
        self.turns_left = 0
        # The largest share of others that a part of the turn told of itself.
        self.foreign_within = 0.0
        tiny = options.tiny
        self.drops, self.sessions = (2, 2) if tiny else (DROPS, SESSIONS)
        self.seconds, self.warm_up = (0.3, 0.1) if tiny else (options.seconds, 0.5)

    @property
    def held(self):
        return 40 if self.options.tiny else min(self.options.held, self.server.held_max)

    @property
    def deliveries(self):
        return 4 if self.options.tiny else self.server.deliveries_max

    def account(self, user):
        return f"{user}@{self.domain}"

    def log_in(self):
        log_in(self.server, map(self.account, self.users))

    def say(self, text):
        print(text, flush=True)

    def command(self, arguments, seconds, warm_up):
        return [self.options.loadgen, "run", *arguments, "--cpu", str(self.options.client_cpu), "--json", "-", "--seconds",
                str(seconds), "--warm-up", str(warm_up), "--server-pid", str(self.server.pid)]

    def loadgen(self, arguments, seconds=None, warm_up=None):
        """One run; its report."""
        command = self.command(arguments, seconds or self.seconds, self.warm_up if warm_up is None else warm_up)
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if ended.returncode != 0:
            raise Failure(f"{' '.join(map(str, command))} ended with exit code {ended.returncode}")
        # `holding N` stands before the report of a hold.
        report = json.loads(ended.stdout.splitlines()[-1])
        if report["errors_total"]:
            raise Failure(f"{' '.join(map(str, command))}: errors {report['errors']}")
        return report

    def loadgen_to_rest(self, arguments):
        """One run whose processor time is all from before it until the server is at rest: logins are few, and what was put off, a
        queue or a checkpoint, is part of the work."""
        before = cpu_seconds(self.server.pid)
        with Foreign() as foreign:
            report = self.loadgen(arguments, warm_up=0)
        report["foreign_share"] = foreign.share
        self.server.settle()
        report["server_cpu_seconds_per_10k"] = (cpu_seconds(self.server.pid) - before) / report["operations"] * 1e4
        return report

    @contextlib.contextmanager
    def serving(self, fresh, rows):
        """A server for `rows`: a fresh one, or one with the corpus in it and sealed."""
        with self.make(rows) as server:
            self.server, self.users = server, [EMPTY_USER]
            server.add_users(EMPTY_USER)
            if fresh:
                server.add_users("to%d", ADDRESSEES)
                # The first session makes the INBOX: with a server where it races with others of the account, one of them loses.
                self.users += [f"to{number}" for number in range(1, ADDRESSEES + 1)]
                self.log_in()
            else:
                self.fill(rows)
                self.restart()
                self.read()
            server.settle()
            yield self

    def restart(self, forgetting=False):
        """A start, and warm credentials: what is measured is not the hash of passwords."""
        self.server.stop()
        if forgetting:
            self.server.forget()
        self.server.start()
        self.log_in()

    def fill(self, rows):
        server = self.server
        server.add_users(CORPUS_USER)
        self.users.append(CORPUS_USER)
        self.corpus.fill(server, self.account(CORPUS_USER))
        if any(row.name == "pop3" for row in rows):
            server.add_users("drop%d", self.drops)
            for number in range(1, self.drops + 1):
                self.users.append(f"drop{number}")
                self.corpus.fill(server, self.account(f"drop{number}"), DROP_MESSAGES)

    def read(self):
        """What a server finds out about messages when it is first asked, it knows from then on."""
        imap = Imap(self.server, self.account(CORPUS_USER))
        imap.ask("S SELECT INBOX")
        imap.ask("F FETCH 1:* (RFC822.SIZE ENVELOPE)")
        imap.ask("O LOGOUT")
        imap.close()

    def turn(self, group):
        """The value of each row of a group, by one undisturbed run."""
        while self.turns_left:
            self.turns_left -= 1
            busy, self.foreign_within = "", 0.0
            with Foreign() as foreign:
                if type(group[0]) is Row:
                    work = group[0].work(self)
                    report = self.loadgen_to_rest(work) if group[0].fresh else self.loadgen(work)
                    values = [row.value(report, self) for row in group]
                    # Where the server was waited for: others during the load weigh more than those behind it.
                    self.foreign_within = report.get("foreign_share", 0.0)
                    of_core = [report[name] / report["seconds"] for name in ("server_cpu_seconds", "own_cpu_seconds")]
                    busy = "   server {:.0%}, loadgen {:.0%} of a core".format(*of_core)
                else:
                    values = [group[0].measure(self)]
            self.server.settle()
            shown = ", ".join(f"{value:.{row.digits}f} {row.unit}" for row, value in zip(group, values))
            void = max(foreign.share, self.foreign_within) > FOREIGN_MAX and not self.options.disturbed
            self.say(f"    {self.name}: {shown}{busy}   foreign {foreign.share:.1%}{'   void' if void else ''}")
            if not void:
                return values
        raise Failure("too many rounds were disturbed")


def begin(options):
    """This process beside the load; a signal that ends it ends the servers too."""
    os.sched_setaffinity(0, {options.client_cpu})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))


def corpus_for(benches, rows):
    """The corpus, where one of the rows needs it."""
    options = benches[0].options
    if all(row.fresh for row in rows):
        return contextlib.nullcontext()
    messages, octets = (200, 1_904_000) if options.tiny else (10_000, 95_200_000)
    corpus = Corpus(options.loadgen, messages, octets, options.scratch)
    for bench in benches:
        bench.corpus = corpus
    return corpus


def rounds(benches, group, failed):
    """The values of each row of a group, a round each, for each server: {name: [(row, values)]}. The servers take turns in each
    round. One where the rows cannot be measured is left out of the rest, and named in `failed`."""
    of_options = benches[0].options
    columns = {bench: [] for bench in benches}
    for bench in benches:
        bench.turns_left = ROUNDS_FACTOR_MAX * of_options.rounds
    for number in range(of_options.rounds):
        # Who comes first comes last the next time.
        for bench in list(columns)[:: 1 if number % 2 == 0 else -1]:
            try:
                columns[bench].append(bench.turn(group))
            except Failure as failure:
                bench.say(f"    {bench.name} failed: {failure}")
                failed.append(f"{bench.name}: {', '.join(row.name for row in group)}")
                del columns[bench]
    return {bench.name: list(zip(group, zip(*values))) for bench, values in columns.items()}


def measure(benches_of, rows):
    """Fresh rows one by one, the others on one server of each kind; in the order of the list. `benches_of` says which servers
    some rows are measured on. Returns [(row, {name: values})], and what failed."""
    results, failed = [], []
    with corpus_for(benches_of(rows), rows):
        for fresh in (False, True):
            ours = groups([row for row in rows if row.fresh == fresh])
            servers = [[group] for group in ours] if fresh else [ours]
            for of_one_start in filter(None, servers):
                benches = benches_of([row for group in of_one_start for row in group])
                with contextlib.ExitStack() as running:
                    for bench in benches:
                        running.enter_context(bench.serving(fresh, [row for group in of_one_start for row in group]))
                    for group in of_one_start:
                        wanted = [bench for bench in benches if bench in benches_of(group)]
                        wanted[0].say(f"{', '.join(row.name for row in group)}: {group[0].what}")
                        found = rounds(wanted, group, failed)
                        for at, row in enumerate(group):
                            results.append((row, {name: values[at][1] for name, values in found.items()}))
    return results, failed


def groups(rows):
    """Rows that are measured by the same runs."""
    found = []
    for row in rows:
        if found and row.work and found[-1][0].work is row.work and type(row) is type(found[-1][0]) is Row:
            found[-1].append(row)
        else:
            found.append([row])
    return found


def chosen(names, among=None):
    known = {row.name: row for row in among or ROWS}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no such row: {', '.join(unknown)}; there are {', '.join(known)}")
    return [row for row in known.values() if not names or row.name in names]


def parser(description):
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--ringpost", default="target/release/ringpost", help="the server (%(default)s)")
    made.add_argument("--loadgen", default="target/release/loadgen", help="the load generator (%(default)s)")
    made.add_argument("--server-cpu", type=int, default=0)
    made.add_argument("--client-cpu", type=int, default=min(1, os.cpu_count() - 1))
    made.add_argument("--port-base", type=int, help="ports are behind it: IMAP is base + 143 (default: free ones)")
    made.add_argument("--scratch", help="folder for mail: a disk, not memory (default: where temporary files are)")
    made.add_argument("--seconds", type=float, default=3.0, help="measured time of a run (%(default)s)")
    made.add_argument("--held", type=int, default=15000, help="connections of the idle rows (%(default)s)")
    made.add_argument("--tiny", action="store_true", help="little of everything: whether it works, not what it measures")
    made.add_argument("--disturbed", action="store_true", help="count rounds with foreign processor time too")
    return made
