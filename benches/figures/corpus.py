"""The corpus that mailboxes are filled with."""

import email.utils
import pathlib
import shutil
import subprocess
import tempfile

from client import Imap

APPENDS_IN_FLIGHT = 64


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

    def fill(self, server, account, count=None):
        """Appends the first `count` messages, or all, with the dates of their headers; one of fifty is unseen."""
        imap = Imap(server, account)
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
