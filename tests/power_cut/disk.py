"""A disk with a volatile write cache, for a virtual machine to lose: an NBD server on a Unix socket.

What was written is in the cache until a FLUSH was answered. At a power cut each write that is in the cache alone is kept,
dropped or torn (some of its sectors are on the medium, the others as they were), by the seed. As on real disks a sector is
never torn, and of two writes to one sector the older never wins: that any of them may be missing is all the reordering there
is to see. FUA is not offered, so that the guest sends a write and a FLUSH in its place; TRIM and the like are not either. A lying
disk answers FLUSH and keeps nothing by it. The protocol is that of the NBD project's doc/proto.md, its fixed newstyle.
"""

import collections
import contextlib
import os
import random
import shutil
import socket
import struct
import threading

SECTOR = 512
BLOCK = 4096
# What does not fit is on the medium: the oldest first.
CACHE_BYTES_MAX = 256 << 20
# How many writes a cut looks for in the cache; the longer it waits for them, the less.
WAITING_WANTED = 6
# A client may not ask for more at once (qemu's limit is 32 MiB).
REQUEST_BYTES_MAX = 32 << 20
OPTION_BYTES_MAX = 4096

GREETING = struct.pack(">8s8sH", b"NBDMAGIC", b"IHAVEOPT", 1)
OPTION_MAGIC, REPLY_MAGIC = 0x49484156454F5054, 0x0003E889045565A9
EXPORT_NAME, ABORT, INFO, GO = 1, 2, 6, 7
ACK, INFORMATION, UNSUPPORTED = 1, 3, 0x80000001
REQUEST_MAGIC, ANSWER_MAGIC = 0x25609513, 0x67446698
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
# The flags of an export: they are valid, and it knows FLUSH.
EXPORT_FLAGS = 1 | 4
INVALID = 22

Cut = collections.namedtuple("Cut", "flushes kept dropped torn")


class Medium:
    """The image, what the cache shows above it, and the writes between the two."""

    def __init__(self, image, seed, lying=False):
        self.image, self.shown = image, f"{image}.shown"
        self.random = random.Random(seed)
        self.lying = lying
        self.lock = threading.Lock()
        self.power()

    def power(self):
        """Power is there: what is shown is what the medium has."""
        shutil.copyfile(self.image, self.shown)
        self.bytes = os.path.getsize(self.image)
        self.medium = os.open(self.image, os.O_RDWR)
        self.view = os.open(self.shown, os.O_RDWR)
        self.waiting, self.waiting_bytes, self.flushes, self.is_on = collections.deque(), 0, 0, True
        self.armed, self.failed = None, threading.Event()

    def read(self, offset, count):
        return os.pread(self.view, count, offset)

    def write(self, offset, octets):
        os.pwrite(self.view, octets, offset)
        self.waiting.append((offset, octets))
        self.waiting_bytes += len(octets)
        while self.waiting_bytes > CACHE_BYTES_MAX:
            self.destage()

    def destage(self):
        offset, octets = self.waiting.popleft()
        os.pwrite(self.medium, octets, offset)
        self.waiting_bytes -= len(octets)

    def flush(self):
        self.flushes += 1
        while self.waiting and not self.lying:
            self.destage()

    def answer(self, kind, offset, asked):
        """Does what is asked: what was read, an error's number, or nothing where there is no power."""
        count = len(asked) if kind == WRITE else asked
        if not self.is_on:
            return None
        if kind not in (READ, WRITE, FLUSH) or offset + count > self.bytes:
            return INVALID
        if kind == READ:
            return self.read(offset, count)
        if kind == WRITE:
            self.write(offset, asked)
        if self.fails_now():
            return None
        if kind == FLUSH:
            self.flush()
        return b""

    def fail_amid(self, requests):
        """Power will go at about this many writes and flushes from now: amid several that are in the cache alone, or, where those
        do not come, amid one."""
        with self.lock:
            self.armed = requests

    def fails_now(self):
        """Whether it goes at the request that has come."""
        if self.armed is not None:
            self.armed -= 1
            if self.armed <= 0 and len(self.waiting) >= max(1, WAITING_WANTED + self.armed // 8):
                self.is_on = False
                self.failed.set()
        return not self.is_on

    def cut(self):
        """Power is gone. What the medium has is what there is."""
        with self.lock:
            self.is_on = False
            # Now nearly all of the cache is lost, now nearly none.
            keep = self.random.random()
            counts = collections.Counter()
            while self.waiting:
                offset, octets = self.waiting.popleft()
                fate = self.fate(keep, octets)
                counts[fate] += 1
                if fate == "kept":
                    os.pwrite(self.medium, octets, offset)
                elif fate == "torn":
                    self.tear(offset, octets)
            os.close(self.medium)
            os.close(self.view)
            os.unlink(self.shown)
        return Cut(self.flushes, counts["kept"], counts["dropped"], counts["torn"])

    def fate(self, keep, octets):
        if len(octets) > SECTOR and self.random.random() < 0.25:
            return "torn"
        return "kept" if self.random.random() < keep else "dropped"

    def tear(self, offset, octets):
        """A beginning, an end, or any units of it, which are sectors or blocks."""
        unit = self.random.choice([SECTOR, BLOCK]) if len(octets) > BLOCK else SECTOR
        units = range(0, len(octets), unit)
        at = self.random.randrange(1, len(units))
        chosen = self.random.choice(["beginning", "end", "any"])
        for index, begin in enumerate(units):
            is_kept = {"beginning": index < at, "end": index >= at, "any": self.random.random() < 0.5}[chosen]
            if is_kept:
                os.pwrite(self.medium, octets[begin : begin + unit], offset + begin)


class Server:
    """Serves a medium to one client at a time."""

    def __init__(self, medium, path):
        self.medium = medium
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        """No client comes any more. The one that is there ends with its own end of the connection."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as reader, contextlib.suppress(OSError, EOFError):
                if self.negotiate(client, reader):
                    self.serve(client, reader)

    def negotiate(self, client, reader):
        """True: the client wants the disk."""
        client.sendall(GREETING)
        exactly(reader, 4)
        while True:
            magic, option, count = struct.unpack(">QII", exactly(reader, 16))
            if magic != OPTION_MAGIC or count > OPTION_BYTES_MAX:
                return False
            exactly(reader, count)
            if option == EXPORT_NAME:
                client.sendall(struct.pack(">QH124x", self.medium.bytes, EXPORT_FLAGS))
                return True
            answer = lambda kind, octets=b"": client.sendall(
                struct.pack(">QIII", REPLY_MAGIC, option, kind, len(octets)) + octets
            )
            if option in (INFO, GO):
                answer(INFORMATION, struct.pack(">HQH", 0, self.medium.bytes, EXPORT_FLAGS))
                answer(ACK)
                if option == GO:
                    return True
            elif option == ABORT:
                answer(ACK)
                return False
            else:
                answer(UNSUPPORTED)

    def serve(self, client, reader):
        medium = self.medium
        while True:
            magic, _, kind, handle, offset, count = struct.unpack(">IHHQQI", exactly(reader, 28))
            if magic != REQUEST_MAGIC or kind == DISCONNECT or count > REQUEST_BYTES_MAX:
                return
            octets = exactly(reader, count) if kind == WRITE else b""
            with medium.lock:
                answer = medium.answer(kind, offset, octets or count)
            # Without power there is no answer, not even an error; the client finds out when it ends.
            if answer is not None:
                error = answer if isinstance(answer, int) else 0
                client.sendall(struct.pack(">IIQ", ANSWER_MAGIC, error, handle) + (b"" if error else answer))


def exactly(reader, count):
    octets = reader.read(count)
    if len(octets) < count:
        raise EOFError
    return octets
