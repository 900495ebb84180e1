"""What a measurement needs besides its rows: programs, a server in the state that a row asks for, and rounds."""

import argparse
import contextlib
import json
import os
import subprocess
import sys

from machine import FOREIGN_MAX, Foreign
from ringpost import Corpus, Failure, Server
from rows import ADDRESSEES, CORPUS_USER, DROP_MESSAGES, DROPS, EMPTY_USER, ROWS, Row


class Bench:
    """Options, the running server and the corpus."""

    def __init__(self, options):
        self.options, self.server, self.corpus, self.users = options, None, None, []
        tiny = options.tiny
        self.drops, self.held = (2, 40) if tiny else (DROPS, options.held)
        self.deliveries = 20 if tiny else 200
        self.seconds, self.warm_up = (0.3, 0.1) if tiny else (options.seconds, 0.5)

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

    @contextlib.contextmanager
    def serving(self, fresh, rows):
        """A server for `rows`: a fresh one, or one with the corpus in it and sealed."""
        options = self.options
        with Server(options.ringpost, options.server_cpu, options.port_base, options.scratch) as server:
            self.server, self.users = server, [EMPTY_USER]
            server.add_users(EMPTY_USER)
            if fresh:
                server.add_users("to%d", ADDRESSEES)
            else:
                self.fill(rows)
                self.restart()
            yield server

    def restart(self):
        """A start, and warm credentials: what is measured is not the hash of passwords."""
        self.server.restart()
        self.server.log_in(self.users)

    def fill(self, rows):
        server = self.server
        server.add_users(CORPUS_USER)
        self.users.append(CORPUS_USER)
        self.corpus.fill(server, CORPUS_USER)
        if any(row.name == "pop3" for row in rows):
            server.add_users("drop%d", self.drops)
            for number in range(1, self.drops + 1):
                self.users.append(f"drop{number}")
                self.corpus.fill(server, f"drop{number}", DROP_MESSAGES)

    def corpus_for(self, rows):
        """The corpus, where one of the rows needs it."""
        options = self.options
        if all(row.fresh for row in rows):
            return contextlib.nullcontext()
        messages, octets = (200, 1_904_000) if options.tiny else (10_000, 95_200_000)
        self.corpus = Corpus(options.loadgen, messages, octets, options.scratch)
        return self.corpus

    def rounds(self, group):
        """The values of each row of a group, a round each; void rounds are repeated, three times as many at most."""
        rounds = []
        for _ in range(3 * self.options.rounds):
            busy = ""
            with Foreign() as foreign:
                if type(group[0]) is Row:
                    report = self.loadgen(group[0].work(self))
                    values = [row.value(report, self) for row in group]
                    of_core = [report[name] / report["seconds"] for name in ("server_cpu_seconds", "own_cpu_seconds")]
                    busy = "   server {:.0%}, loadgen {:.0%} of a core".format(*of_core)
                else:
                    values = [group[0].measure(self)]
            shown = ", ".join(f"{value:.{row.digits}f} {row.unit}" for row, value in zip(group, values))
            void = foreign.share > FOREIGN_MAX and not self.options.disturbed
            self.say(f"    {shown}{busy}   foreign {foreign.share:.1%}{'   void' if void else ''}")
            if not void:
                rounds.append(values)
            if len(rounds) == self.options.rounds:
                return list(zip(*rounds))
        raise Failure(f"{group[0].name}: only {len(rounds)} of {self.options.rounds} rounds were undisturbed")


def groups(rows):
    """Rows that are measured by the same runs."""
    found = []
    for row in rows:
        if found and row.work and found[-1][0].work is row.work and type(row) is type(found[-1][0]) is Row:
            found[-1].append(row)
        else:
            found.append([row])
    return found


def chosen(names):
    known = {row.name: row for row in ROWS}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no such row: {', '.join(unknown)}; there are {', '.join(known)}")
    return [row for row in ROWS if not names or row.name in names]


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
