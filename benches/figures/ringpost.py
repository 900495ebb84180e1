"""A Ringpost of its own for a measurement: pinned, in a scratch folder, with accounts and a mailbox to measure."""

import contextlib
import email.utils
import os
import pathlib
import random
import selectors
import shutil
import socket
import subprocess
import tempfile
import time

DOMAIN = "localhost"
PASSWORD = "figures and nothing but figures"
# The standard ports are behind --port-base.
IMAP, IMAPS, POP3, SMTP, LMTP = 143, 993, 110, 25, 24
STANDARD = (IMAP, IMAPS, POP3, 995, SMTP, 465, 587, LMTP)
APPENDS_IN_FLIGHT = 64


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
    """A running server; its folder goes with it."""

    def __init__(self, program, cpu, port_base, scratch):
        self.program, self.cpu = program, cpu
        self.port_base, self.claims = (port_base, contextlib.ExitStack()) if port_base else claim_ports()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="figures-", dir=scratch))
        self.password_file = self.folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.log = open(self.folder / "log", "ab")
        self.process = None

    def __enter__(self):
        self.start()
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
        return self.process.pid

    def address(self, standard):
        return "127.0.0.1", self.port_base + standard

    def at(self, standard):
        return f"127.0.0.1:{self.port_base + standard}"

    def start(self):
        command = [self.program, "serve", "--data", self.folder / "data", "--port-base", str(self.port_base)]
        # The shard pins itself; the threads that may block share its core.
        self.process = subprocess.Popen(
            command + ["--cpus", str(self.cpu)], stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL,
            text=True, preexec_fn=lambda: os.sched_setaffinity(0, {self.cpu}))
        for line in self.process.stdout:
            if line == "ringpost ready\n":
                return
        raise Failure(f"{' '.join(map(str, command))} did not start: see {self.folder}/log")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process:
            self.process.stdout.close()

    def restart(self):
        self.stop()
        self.start()

    def add_users(self, pattern, count=1):
        for number in range(1, count + 1):
            name = pattern.replace("%d", str(number)) + "@" + DOMAIN
            command = [self.program, "user", "add", name, "--data", self.folder / "data", "--password-stdin"]
            ended = subprocess.run(command, input=PASSWORD + "\n", text=True, capture_output=True)
            if ended.returncode != 0:
                raise Failure(f"user add {name}: {ended.stderr.strip()}")

    def log_in(self, users):
        """One session each, so that credentials are in the server's cache."""
        for user in users:
            imap = Imap(self, user)
            imap.ask("S SELECT INBOX")
            imap.ask("O LOGOUT")
            imap.close()


class Imap:
    """As much of a client as filling a mailbox and waiting in IDLE take."""

    def __init__(self, server, user):
        self.socket = socket.create_connection(server.address(IMAP), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.ask(f'L LOGIN {user}@{DOMAIN} "{PASSWORD}"')

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        self.answer(line.split(" ", 1)[0])

    def answer(self, tag):
        """Reads up to the reply tagged `tag`, which must be OK."""
        while True:
            line = self.lines.readline()
            if line.startswith(tag.encode() + b" "):
                if not line.startswith(tag.encode() + b" OK"):
                    raise Failure(f"the server said {line!r}")
                return
            if not line:
                raise Failure(f"the server closed: {line!r}")

    def close(self):
        self.lines.close()
        self.socket.close()


class Corpus:
    """The messages of `loadgen corpus`, and what is known of them."""

    def __init__(self, loadgen, messages, octets, scratch):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="figures-corpus-", dir=scratch)) / "messages"
        command = [loadgen, "corpus", self.folder, "--messages", str(messages), "--bytes", str(octets)]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        told = dict(line.split(" ", 1) for line in told.splitlines())
        self.messages, self.octets = int(told["messages"]), int(told["octets"])
        self.text, self.with_text = told["text"].split()
        self.sender, self.with_sender = told["from"].split()
        self.since, self.with_since, self.unseen = "1-Oct-2026", 0, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def fill(self, server, user, count=None):
        """Appends the first `count` messages, or all, with the dates of their headers; one of fifty is unseen."""
        imap = Imap(server, user)
        paths = sorted(self.folder.iterdir())[:count]
        with_since = unseen = 0
        for number, path in enumerate(paths):
            message = path.read_bytes()
            head = message[: message.index(b"\r\n\r\n")].decode()
            date = email.utils.parsedate_to_datetime(head.split("\r\nDate: ")[1].split("\r\n")[0])
            with_since += date.month >= 10
            is_unseen = number % 50 == 49
            unseen += is_unseen
            flags = "" if is_unseen else "\\Seen"
            command = f'A{number} APPEND INBOX ({flags}) "{date:%d-%b-%Y %H:%M:%S %z}" {{{len(message)}+}}\r\n'
            imap.socket.sendall(command.encode() + message + b"\r\n")
            if number >= APPENDS_IN_FLIGHT:
                imap.answer(f"A{number - APPENDS_IN_FLIGHT}")
        for number in range(max(0, len(paths) - APPENDS_IN_FLIGHT), len(paths)):
            imap.answer(f"A{number}")
        imap.close()
        if count is None:
            self.with_since, self.unseen = with_since, unseen


class Sender:
    """Deliveries one by one, by LMTP."""

    def __init__(self, server, recipient):
        self.recipient = recipient
        self.socket = socket.create_connection(server.address(LMTP), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.socket.makefile("rb")
        self.replied()
        self.ask("LHLO figures.invalid")

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        self.replied()

    def replied(self):
        line = b"   -"
        while line[3:4] == b"-":
            line = self.lines.readline()
        if line[:1] not in (b"2", b"3"):
            raise Failure(f"the server said {line!r}")

    def close(self):
        self.lines.close()
        self.socket.close()


def idle_times(server, user, deliveries):
    """For each delivery, seconds from its last octet until the reply, and until a client in IDLE is told of the message."""
    waiting, sender = Imap(server, user), Sender(server, f"{user}@{DOMAIN}")
    waiting.ask("S SELECT INBOX")
    waiting.socket.sendall(b"I IDLE\r\n")
    waiting.lines.readline()
    times = []
    for number in range(deliveries):
        sender.ask("MAIL FROM:<x@example.org>")
        sender.ask(f"RCPT TO:<{sender.recipient}>")
        sender.ask("DATA")
        message = f"Subject: {number}\r\n\r\n{'x' * 70}\r\n.\r\n".encode()
        times.append(times_of(sender.socket, waiting.socket, message))
        time.sleep(0.005)
    sender.close()
    waiting.close()
    return times


def times_of(sender, waiting, message):
    """Sends the message and waits for both answers."""
    wanted = {sender: b"\r\n", waiting: b" EXISTS\r\n"}
    seen = {one: b"" for one in wanted}
    found = {}
    with selectors.DefaultSelector() as selector:
        for one in wanted:
            selector.register(one, selectors.EVENT_READ)
        sender.sendall(message)
        began = time.monotonic()
        while len(found) < len(wanted):
            ready = [key.fileobj for key, _ in selector.select(10)]
            now = time.monotonic()
            if not ready:
                raise Failure("a client in IDLE was not told of new mail, or a delivery not answered, within 10 s")
            for one in ready:
                octets = one.recv(65536)
                if not octets:
                    raise Failure("the server closed")
                seen[one] += octets
                if wanted[one] in seen[one]:
                    found.setdefault(one, now - began)
    if not seen[sender].startswith(b"250 "):
        raise Failure(f"the server said {seen[sender]!r}")
    return found[sender], found[waiting]
