"""The disk of tests/power-cut by itself: what a cut may take, and what it may not."""

import pathlib
import socket
import struct
import tempfile
import unittest

import disk

IMAGE_BYTES = 1 << 20
# A disk without power gives none.
ANSWER_SECONDS_MAX = 1.0


class Client:
    """The few requests of NBD that qemu makes of it."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.reader = self.socket.makefile("rb")
        assert self.reader.read(18) == disk.GREETING
        self.socket.sendall(struct.pack(">I", 1))
        # An option that it does not know, and then the export.
        self.option(8)
        assert self.reply() == (8, disk.UNSUPPORTED, b"")
        self.option(disk.GO, struct.pack(">IH", 0, 0))
        _, kind, told = self.reply()
        assert (kind, struct.unpack(">HQH", told)) == (disk.INFORMATION, (0, IMAGE_BYTES, disk.EXPORT_FLAGS))
        assert self.reply() == (disk.GO, disk.ACK, b"")
        self.socket.settimeout(ANSWER_SECONDS_MAX)

    def option(self, number, octets=b""):
        self.socket.sendall(struct.pack(">QII", disk.OPTION_MAGIC, number, len(octets)) + octets)

    def reply(self):
        magic, option, kind, count = struct.unpack(">QIII", self.reader.read(20))
        assert magic == disk.REPLY_MAGIC
        return option, kind, self.reader.read(count)

    def ask(self, kind, offset=0, count=0, octets=b""):
        """The error, and what was read; nothing where the disk has lost its power."""
        head = struct.pack(">IHHQQI", disk.REQUEST_MAGIC, 0, kind, 7, offset, count or len(octets))
        self.socket.sendall(head + octets)
        try:
            answer = self.socket.recv(16)
        except TimeoutError:
            return None
        if len(answer) < 16:
            return None
        magic, error, handle = struct.unpack(">IIQ", answer)
        assert (magic, handle) == (disk.ANSWER_MAGIC, 7)
        return error, self.socket.recv(count, socket.MSG_WAITALL) if kind == disk.READ and not error else b""

    def write(self, offset, octets):
        return self.ask(disk.WRITE, offset, octets=octets)

    def close(self):
        self.reader.close()
        self.socket.close()


class Cuts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.image = pathlib.Path(self.folder.name) / "image"
        self.image.write_bytes(bytes(IMAGE_BYTES))

    def tearDown(self):
        self.folder.cleanup()

    def session(self, seed, lying=False):
        medium = disk.Medium(str(self.image), seed, lying)
        path = f"{self.folder.name}/socket"
        server = disk.Server(medium, path)
        client = Client(path)
        self.addCleanup(server.close)
        self.addCleanup(client.close)
        return medium, client

    def test_what_was_flushed_stays_and_the_rest_is_kept_dropped_or_torn(self):
        total = {"kept": 0, "dropped": 0, "torn": 0}
        for seed in range(40):
            self.image.write_bytes(bytes(IMAGE_BYTES))
            medium, client = self.session(seed)
            for block in range(8):
                client.write(block * 8192, bytes([1]) * 8192)
            self.assertEqual(client.ask(disk.FLUSH), (0, b""))
            for block in range(4, 12):
                client.write(block * 8192, bytes([2]) * 8192)
            self.assertEqual(client.ask(disk.READ, 4 * 8192, 8192), (0, bytes([2]) * 8192), "what was written is shown")
            cut = medium.cut()
            if seed == 0:
                self.assertIsNone(client.ask(disk.READ, 0, 512), "there is no power")
            self.assertEqual((cut.flushes, cut.kept + cut.dropped + cut.torn), (1, 8))
            after, found = self.image.read_bytes(), {"kept": 0, "dropped": 0, "torn": 0}
            self.assertEqual(after[: 4 * 8192], bytes([1]) * 4 * 8192, "flushed and not written again")
            for block in range(4, 12):
                octets, old = after[block * 8192 : (block + 1) * 8192], 1 if block < 8 else 0
                sectors = [octets[at : at + 512] for at in range(0, 8192, 512)]
                self.assertTrue(all(sector in (bytes([2]) * 512, bytes([old]) * 512) for sector in sectors), "a torn sector")
                new = sum(sector[0] == 2 for sector in sectors)
                found["kept" if new == 16 else "torn" if new else "dropped"] += 1
            # A torn one may by chance be whole or gone.
            self.assertGreaterEqual(cut.torn, found["torn"])
            for fate, count in found.items():
                total[fate] += count
        self.assertTrue(all(count > 20 for count in total.values()), total)

    def test_the_same_seed_loses_the_same(self):
        images = []
        for _ in range(2):
            self.image.write_bytes(bytes(IMAGE_BYTES))
            medium, client = self.session(7)
            for block in range(64):
                client.write(block * 4096, bytes([block + 1]) * 4096)
            medium.cut()
            images.append(self.image.read_bytes())
        self.assertEqual(images[0], images[1])
        self.assertNotEqual(images[0], bytes(IMAGE_BYTES))

    def test_of_two_writes_to_a_sector_the_older_never_wins(self):
        for seed in range(60):
            self.image.write_bytes(bytes(IMAGE_BYTES))
            medium, client = self.session(seed)
            client.write(0, bytes([1]) * 512)
            client.write(0, bytes([2]) * 512)
            state = medium.random.getstate()
            medium.cut()
            medium.random.setstate(state)
            keep = medium.random.random()
            fates = [medium.random.random() < keep for _ in range(2)]
            expected = 2 if fates[1] else 1 if fates[0] else 0
            self.assertEqual(self.image.read_bytes()[0], expected)

    def test_power_comes_back_over_what_the_medium_has(self):
        medium, client = self.session(3)
        client.write(0, bytes([1]) * 512)
        client.ask(disk.FLUSH)
        medium.cut()
        client.close()
        medium.power()
        client = Client(f"{self.folder.name}/socket")
        self.addCleanup(client.close)
        self.assertEqual(client.ask(disk.READ, 0, 512), (0, bytes([1]) * 512))

    def test_it_fails_amid_writes_before_the_flush_is_done(self):
        medium, client = self.session(3)
        medium.fail_amid(2)
        self.assertEqual(client.ask(disk.FLUSH), (0, b""), "nothing is in the cache")
        written = 0
        while written < 20 and client.write(written * 512, bytes(512)) is not None:
            written += 1
        self.assertTrue(2 < written < disk.WAITING_WANTED and medium.failed.is_set(), written)
        cut = medium.cut()
        self.assertEqual((cut.flushes, cut.kept + cut.dropped + cut.torn), (1, written + 1))

    def test_it_fails_amid_one_write_where_there_are_never_more(self):
        medium, client = self.session(3)
        medium.fail_amid(1)
        answers = []
        while len(answers) < 200 and (not answers or answers[-1] is not None):
            answers += [client.write(0, bytes(512)), client.ask(disk.FLUSH)]
        self.assertTrue(10 < len(answers) < 100, len(answers))
        cut = medium.cut()
        self.assertEqual(cut.kept + cut.dropped + cut.torn, 1)

    def test_a_disk_that_lies_loses_what_was_flushed(self):
        lost = 0
        for seed in range(20):
            self.image.write_bytes(bytes(IMAGE_BYTES))
            medium, client = self.session(seed, lying=True)
            client.write(0, bytes([1]) * 512)
            self.assertEqual(client.ask(disk.FLUSH), (0, b""))
            medium.cut()
            lost += self.image.read_bytes()[0] == 0
        self.assertGreater(lost, 3)

    def test_what_is_out_of_bounds_is_refused(self):
        _, client = self.session(1)
        for kind, offset in [(disk.READ, IMAGE_BYTES - 256), (9, 0)]:
            self.assertEqual(client.ask(kind, offset, 512)[0], disk.INVALID)
        self.assertEqual(client.write(IMAGE_BYTES - 256, bytes(512))[0], disk.INVALID)
        self.assertIsNone(client.ask(disk.READ, 0, disk.REQUEST_BYTES_MAX + 1))


if __name__ == "__main__":
    unittest.main()
