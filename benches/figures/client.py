"""As much of clients as filling a mailbox, delivering one by one and waiting in IDLE take."""

import selectors
import socket
import time

from server import IMAP, LMTP, PASSWORD, Failure


class Imap:
    """As much of a client as filling a mailbox and waiting in IDLE take."""

    def __init__(self, server, account):
        self.socket = socket.create_connection(server.address(IMAP), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.ask(f'L LOGIN {account} "{PASSWORD}"')

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


def log_in(server, accounts):
    """One session each, so that credentials are in the server's cache."""
    for account in accounts:
        imap = Imap(server, account)
        imap.ask("S SELECT INBOX")
        imap.ask("O LOGOUT")
        imap.close()


class Sender:
    """Deliveries one by one, by LMTP or SMTP."""

    def __init__(self, server, recipient, port=LMTP):
        self.recipient = recipient
        self.socket = socket.create_connection(server.address(port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.socket.makefile("rb")
        self.replied()
        self.ask(f"{'LHLO' if port == LMTP else 'EHLO'} figures.invalid")

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


def idle_times(server, account, deliveries):
    """For each delivery, seconds from its last octet until the reply, and until a client in IDLE is told of the message."""
    waiting, sender = Imap(server, account), Sender(server, account)
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
