"""A server that is measured: what the rows ask of any kind of it. It is pinned to its cores, most often one, with all its
processes, keeps its mail in a scratch folder, and goes with it."""

import contextlib
import os
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile
import time

from machine import cpu_seconds, members

DOMAIN = "localhost"
PASSWORD = "figures and nothing but figures"
# The standard ports are behind --port-base.
IMAP, IMAPS, POP3, SMTP, LMTP = 143, 993, 110, 25, 24
STANDARD = (IMAP, IMAPS, POP3, 995, SMTP, 465, 587, LMTP)
# A server is at rest when it used less than this share of a core for so many seconds.
REST_SHARE, REST_SECONDS, REST_SECONDS_MAX = 0.03, 0.5, 300
STOP_SECONDS_MAX = 30


class Failure(Exception):
    """One line for the user."""


def claim_ports():
    """A base where nobody listens, below the ports that the kernel gives to clients, and the claims on its ports: names of
    sockets, as those of tests/support/ports.rs, which they hold off as long as they are open."""
    bases = list(range(12_000, 30_000, 2500))
    random.shuffle(bases)
    for base in bases:
        with contextlib.ExitStack() as claims:
            try:
                for standard in STANDARD:
                    claim = claims.enter_context(socket.socket(socket.AF_UNIX))
                    claim.bind(f"\0ringpost-tests-{base + standard}")
                    with socket.socket() as one:
                        # What a server that ended leaves behind is in nobody's way; one that listens is.
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        one.bind(("127.0.0.1", base + standard))
            except OSError:
                continue
            return base, claims.pop_all()
    raise Failure("no free ports: give --port-base")


class Server:
    """A server. A kind of it says what is run (`command`), when that serves (`await_ready`), and how accounts are made."""

    # What tables call it.
    name = ""
    # How many connections and deliveries its idle rows are about, and how long the slowest FETCH may take.
    held_max, deliveries_max, first_seconds = 60_000, 200, 1

    def __init__(self, options, port_base=None, cpus=None):
        self.cpus = cpus or [options.server_cpu]
        self.port_base, self.claims = (port_base, contextlib.ExitStack()) if port_base else claim_ports()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="figures-", dir=options.scratch))
        self.password_file = self.folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.log = open(self.folder / "log", "ab")
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            self.claims.close()
            raise
        return self

    def __exit__(self, kind, *_):
        self.stop()
        self.claims.close()
        self.log.close()
        if kind is Failure:
            print(f"kept for a look: {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self):
        """The process that all others of the server are below."""
        return self.process.pid

    def address(self, standard):
        return "127.0.0.1", self.port_base + standard

    def at(self, standard):
        return f"127.0.0.1:{self.port_base + standard}"

    def command(self):
        """What is run, in the foreground."""
        raise NotImplementedError

    def await_ready(self):
        """Returns when the process serves."""
        raise NotImplementedError

    def add_users(self, pattern, count=1):
        """Makes accounts, %d of the pattern a number from 1 to `count`."""
        raise NotImplementedError

    def forget(self):
        """Drops what it keeps besides the messages in order to answer faster; it is not running."""

    def queued(self):
        """Messages that it took and that are not in their mailbox yet."""
        return 0

    def start(self):
        self.process = subprocess.Popen(
            list(map(str, self.command())), stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, self.cpus))
        self.await_ready()

    def stop(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            ours = members(self.pid)
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                for pid in ours:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, 9)
                self.process.wait()
        self.process.stdout.close()

    def restart(self):
        self.stop()
        self.start()

    def settle(self):
        """Waits until it is at rest, so that what it still has to do for the last round is counted there or nowhere."""
        until = time.monotonic() + REST_SECONDS_MAX
        while time.monotonic() < until:
            before = cpu_seconds(self.pid)
            time.sleep(REST_SECONDS)
            if cpu_seconds(self.pid) - before < REST_SHARE * REST_SECONDS and not self.queued():
                return
        raise Failure(f"{self.name} does not come to rest; {self.queued()} messages are queued")
