"""The figures: what is run for each, in which unit, and what it should be.

Targets and the figures of Dovecot 2.3 and Postfix 3.7 are those that the project set itself; the latter were measured on one
core of a machine like this, once.
"""

import statistics
import subprocess
import time

from client import Imap, idle_times
from machine import cpu_seconds, memory
from server import DOMAIN, IMAP, IMAPS, LMTP, POP3, SMTP, Failure

CORPUS_USER, EMPTY_USER = "corpus", "empty"
DROPS, DROP_MESSAGES = 64, 100
ADDRESSEES = 16
# Connections of the rows about logins.
SESSIONS = 16


class Row:
    """A figure. `work` gives the arguments for loadgen's `run`, `value` takes the figure out of its report; rows with the same
    work are measured together. `fresh`: on a server of its own, with nothing in it."""

    def __init__(self, name, what, unit, target, peer, work=None, value=None, digits=3, fresh=False):
        self.name, self.what, self.unit, self.digits = name, what, unit, digits
        self.target, self.peer = target, peer
        self.work, self.value, self.fresh = work, value, fresh

    @property
    def more_is_better(self):
        return self.unit.endswith("/s")

    def ratio(self, value):
        """1 and more: the target is met. Nothing where there is none, or where the figure is too small to tell."""
        if self.target is None or not value:
            return None
        return value / self.target if self.more_is_better else self.target / value

    def over_peer(self, value):
        if not self.peer or not value:
            return None
        return value / self.peer if self.more_is_better else self.peer / value


def imap(bench, *arguments, user=CORPUS_USER):
    server = bench.server
    return ["imap", "--address", server.at(IMAP), "--user", bench.account(user), "--password-file",
            str(server.password_file), *map(str, arguments)]


def whole(bench, *arguments):
    """Commands about the whole mailbox go one by one."""
    return imap(bench, "--connections", 1, *arguments)


def cpu(report, _):
    return report["server_cpu_seconds_per_10k"]


def rate(report, _):
    return report["rate"]


def milliseconds(report, _):
    return report["latency_nanoseconds"]["p50"] / 1e6


def body_rate(report, bench):
    return bench.corpus.octets / report["latency_nanoseconds"]["p50"] * 1e3


def pop3(bench):
    server = bench.server
    return ["pop3", "--address", server.at(POP3), "--user-pattern", bench.account("drop%d"), "--users", str(bench.drops),
            "--password-file", str(server.password_file), "--connections", str(min(SESSIONS, bench.drops))]


def append(bench):
    return imap(bench, "--work", "append", "--connections", 32, "--bytes", 8192, user="to1")


def deliver(protocol, port):
    def work(bench):
        return [protocol, "--address", bench.server.at(port), "--to", f"to%d@{DOMAIN}", "--users", str(ADDRESSEES),
                "--connections", "16", "--bytes", "8192"]
    return work


lmtp, smtp = deliver("lmtp", LMTP), deliver("smtp", SMTP)


def search(criterion, found):
    def work(bench):
        corpus = bench.corpus
        return whole(bench, "--work", "search", "--search", criterion(corpus), "--found", found(corpus))
    return work


def store(bench):
    """Each STORE changes all messages: a server need not tell flags that were so before."""
    imap = Imap(bench.server, bench.account(CORPUS_USER))
    imap.ask("S SELECT INBOX")
    imap.ask("F STORE 1:* -FLAGS.SILENT (\\Flagged)")
    imap.ask("O LOGOUT")
    imap.close()
    return whole(bench, "--work", "store", "--store", "all")


def fetch(what):
    return lambda bench: whole(bench, "--work", "fetch", "--fetch", what)


class First(Row):
    """The first FETCH after a start: accounts have logged in and selected, and no message was looked at. Where a server keeps what
    it found out about messages, that is gone too, unless `kept`."""

    def __init__(self, name, what, unit, target, peer, work, kept=False):
        super().__init__(name, what, unit, target, peer, work)
        self.kept = kept

    def measure(self, bench):
        bench.restart(forgetting=not self.kept)
        # It is the slowest of those of a second, or as long as it takes.
        report = bench.loadgen(self.work(bench), seconds=bench.server.first_seconds, warm_up=0)
        return report["latency_nanoseconds"]["max"] / 1e6


class Cold(Row):
    """Sessions whose password is not in the cache: each hashes it."""

    def __init__(self, name, what, peer):
        super().__init__(name, what, "CPU s/10k", None, peer, digits=1)

    def measure(self, bench):
        bench.server.restart()
        before = cpu_seconds(bench.server.pid)
        bench.log_in()
        return (cpu_seconds(bench.server.pid) - before) / len(bench.users) * 1e4


class Held(Row):
    """The growth of the server's memory by connection that is logged in, has selected an empty INBOX and waits."""

    def __init__(self, name, what, target, peer, arguments=()):
        super().__init__(name, what, "octets", target, peer, digits=0)
        self.arguments, self.tls = arguments, "--tls" in arguments
        self.fresh = True

    def measure(self, bench):
        """Each round begins with a start: memory that an allocator keeps would hide the growth. Some connections come and go
        first, since a server has had visitors."""
        bench.restart()
        hold = ["--work", "hold", *self.arguments]
        few = min(100, max(2, bench.held // 20))
        bench.loadgen(self.to(bench, hold + ["--connections", few]), seconds=0.2)
        bench.server.settle()
        before = memory(bench.server.pid)
        holders = []
        try:
            for _ in range(2):
                command = bench.command(self.to(bench, hold + ["--connections", bench.held // 2]), 600, 0)
                holders.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            for holder in holders:
                line = holder.stdout.readline()
                if not line.startswith("holding"):
                    raise Failure(f"{self.name}: loadgen did not hold its connections")
            time.sleep(1)
            bench.server.settle()
            return (memory(bench.server.pid) - before) / (bench.held // 2 * 2)
        finally:
            for holder in holders:
                holder.terminate()
                holder.wait()
                holder.stdout.close()

    def to(self, bench, arguments):
        built = imap(bench, *arguments, user=EMPTY_USER)
        if self.tls:
            built[built.index("--address") + 1] = bench.server.at(IMAPS)
        return built


class IdleDelay(Row):
    """From the reply to a delivery until a client in IDLE is told."""

    def __init__(self, name, what, unit, target, peer):
        super().__init__(name, what, unit, target, peer, fresh=True)

    def measure(self, bench):
        times = idle_times(bench.server, bench.account(EMPTY_USER), bench.deliveries)
        replied, told = zip(*times)
        # Nothing may be seen before it is on disk, but the client may well be told before the sender is.
        delays = sorted(max(0.0, later - sooner) for sooner, later in times)
        bench.say(f"    from the last octet: replied after {statistics.median(replied) * 1e3:.3f} ms, told after "
                  f"{statistics.median(told) * 1e3:.3f} ms; between them p99 {delays[len(delays) * 99 // 100] * 1e3:.3f} ms")
        return statistics.median(delays) * 1e3


TLS = ("--tls", "implicit", "--insecure")

ROWS = [
    Row("session", "LOGIN, SELECT, LOGOUT; 16 connections, caches warm", "CPU s/10k", 0.6, 12.3,
        lambda bench: imap(bench, "--work", "session", "--connections", bench.sessions), cpu, 4),
    Cold("session-cold", "the same with cold caches: a password hash each", None),
    Row("noop", "NOOP, 64 connections", "CPU s/10k", 0.1, 1.5,
        lambda bench: imap(bench, "--work", "noop", "--connections", 64), cpu, 4),
    Row("noop10", "NOOP pipelined x10", "CPU s/10k", 0.015, 0.27,
        lambda bench: imap(bench, "--work", "noop", "--connections", 64, "--depth", 10), cpu, 4),
    Row("flags", "FETCH 1:* FLAGS", "ms", 1.0, 9.0, fetch("all-flags"), milliseconds),
    Row("envelopes", "FETCH 1:* (RFC822.SIZE ENVELOPE)", "ms", 8.0, 93.0, fetch("all-envelopes"), milliseconds),
    First("envelopes-first", "the same, first FETCH after a start", "ms", 20.0, 2050.0, fetch("all-envelopes")),
    Row("bodies", "FETCH 1:* BODY.PEEK[]", "MB/s", 1200.0, 406.0, fetch("all-bodies"), body_rate, 0),
    Row("store", "STORE 1:* +FLAGS, -FLAGS, durable", "ms", 3.0, 7.4,
        store, milliseconds),
    Row("search-text", "SEARCH TEXT", "ms", 20.0, 487.0,
        search(lambda corpus: f'TEXT "{corpus.text}"', lambda corpus: corpus.with_text), milliseconds),
    Row("search-from", "SEARCH FROM", "ms", 2.0, 28.0,
        search(lambda corpus: f'FROM "{corpus.sender}"', lambda corpus: corpus.with_sender), milliseconds),
    Row("search-since", "SEARCH SINCE", "ms", 1.0, 25.0,
        search(lambda corpus: f"SINCE {corpus.since}", lambda corpus: corpus.with_since), milliseconds),
    Row("search-unseen", "SEARCH UNSEEN", "ms", 0.2, 1.0,
        search(lambda corpus: "UNSEEN", lambda corpus: corpus.unseen), milliseconds),
    Row("pop3", "POP3: login, STAT, LIST, 5 x RETR, QUIT; 16 connections", "CPU s/10k", 1.0, 20.4, pop3, cpu, 4),
    Row("append", "APPEND 8 KB, 32 connections", "CPU s/10k", 1.0, 10.5, append, cpu, 4, fresh=True),
    Row("append-rate", "the same", "messages/s", 8060.0, 806.0, append, rate, 0, fresh=True),
    Row("lmtp", "LMTP 8 KB, 16 connections", "CPU s/10k", 1.2, 24.0, lmtp, cpu, 4, fresh=True),
    Row("lmtp-rate", "the same", "messages/s", 8000.0, 400.0, lmtp, rate, 0, fresh=True),
    Row("smtp", "SMTP to mailbox 8 KB, 16 connections", "CPU s/10k", 1.5, 53.0, smtp, cpu, 4, fresh=True),
    IdleDelay("idle-delay", "new mail to a client in IDLE, after the reply", "ms", 2.0, 500.0),
    Held("idle-plain", "an idle IMAP connection, plain", 1536.0, 518e3),
    Held("idle-idle", "the same, in IDLE", 1536.0, 518e3, ("--idle",)),
    Held("idle-tls", "the same, over TLS", 5120.0, 518e3, TLS),
]

