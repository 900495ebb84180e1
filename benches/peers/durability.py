"""Whether a server has synced what it acknowledges: strace beside one STORE, one APPEND and one delivery."""

import contextlib
import re
import subprocess
import tempfile
import time

from client import Imap, Sender
from machine import members
from server import DOMAIN, LMTP, SMTP, Failure

CALLS = "write,pwrite64,writev,sendto,sendmsg,fsync,fdatasync,sync_file_range,msync"
ATTACH_SECONDS_MAX = 20
LINE = "0123456789 of a message\r\n"
MESSAGE = "Subject: is it durable?\r\n\r\n" + LINE * 200

# A call that ended: `PID write(5</path>, "text"..., 9) = 9`, or its two halves where another thread came between.
WHOLE = re.compile(r"(\d+) +(\w+)\((\d+)<([^>]*)>(.*)\) += (-?\d+)")
BEGUN = re.compile(r"(\d+) +(\w+)\((\d+)<([^>]*)>(.*) <unfinished \.\.\.>")
RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>.*\) += (-?\d+)")


@contextlib.contextmanager
def traced(server):
    """The calls of all processes of a server while it is open; a list of (call, path, text) once it is closed."""
    calls = []
    with tempfile.NamedTemporaryFile("r", errors="replace") as output:
        command = ["strace", "-f", "-y", "-s", "200", "-e", f"trace={CALLS}", "-o", output.name]
        ours = members(server.pid)
        for pid in ours:
            command += ["-p", str(pid)]
        strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            await_attached(ours)
            yield calls
            time.sleep(0.3)
        finally:
            strace.terminate()
            strace.wait()
        calls.extend(read(output))


def await_attached(pids):
    until = time.monotonic() + ATTACH_SECONDS_MAX
    while time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError):
            if all("TracerPid:\t0\n" not in open(f"/proc/{pid}/status").read() for pid in pids):
                return
        time.sleep(0.05)
    raise Failure("strace could not attach to the server")


def read(lines):
    """The calls that succeeded, in the order in which they ended: a reply is not sent before its write has begun, so that a
    sync that ended before that is told from one that did not."""
    begun, found = {}, []
    for line in lines:
        if match := WHOLE.match(line):
            _, call, _, path, text, result = match.groups()
            found.append((call, path, text, int(result)))
        elif match := BEGUN.match(line):
            pid, call, _, path, text = match.groups()
            begun[pid] = (call, path, text)
            if not call.endswith("sync"):
                found.append((*begun.pop(pid), 0))
        elif (match := RESUMED.match(line)) and match[1] in begun:
            found.append((*begun.pop(match[1]), int(match[2])))
    return [(call, path, text) for call, path, text, result in found if result >= 0]


def before_reply(calls, reply):
    """The files that were written, and those that were synced, before the reply went out."""
    written, synced = [], []
    for call, path, text in calls:
        if reply in text and path.startswith(("socket:", "TCP:")):
            return written, synced
        if not path.startswith("/"):
            continue
        of = synced if call.endswith("sync") else written
        if path not in of:
            of.append(path)
    raise Failure(f"no reply {reply!r} was seen")


def append(server):
    imap = Imap(server, f"to1@{DOMAIN}")
    imap.ask("S SELECT INBOX")
    with traced(server) as calls:
        imap.socket.sendall(f"A1 APPEND INBOX {{{len(MESSAGE)}+}}\r\n{MESSAGE}\r\n".encode())
        imap.answer("A1")
    imap.close()
    return before_reply(calls, "A1 OK")


def store(server, domain, flag):
    imap = Imap(server, f"to1@{domain}")
    imap.ask("S SELECT INBOX")
    with traced(server) as calls:
        imap.ask(f"A2 STORE 1 +FLAGS ({flag})")
    imap.close()
    return before_reply(calls, "A2 OK")


def delivery(server, port):
    sender = Sender(server, f"to2@{DOMAIN}", port)
    with traced(server) as calls:
        sender.ask("MAIL FROM:<x@example.org>")
        sender.ask(f"RCPT TO:<to2@{DOMAIN}>")
        sender.ask("DATA")
        sender.ask(MESSAGE + ".")
    sender.close()
    server.settle()
    return before_reply(calls, "250 2.0.0 Ok: queued" if port == SMTP else "250 2.0.0 <to2@")


def holds(what, found, needed):
    """Prints what was seen; true where a file for each pattern of `needed` was written and synced."""
    written, synced = found
    print(f"{what}: synced before the reply: {', '.join(map(shown, synced)) or 'nothing'}")
    print(f"    written and not synced: {', '.join(shown(path) for path in written if path not in synced) or 'nothing'}")
    missing = [one for one in needed if not any(re.search(one, path) and path in written for path in synced)]
    print(f"    {'durable' if not missing else 'NOT durable'}", flush=True)
    return not missing


def shown(path):
    return "/".join(path.split("/")[-2:])


# A message of sdbox is written under another name and renamed.
MESSAGE_FILE, INDEX_LOG, QUEUE_FILE = r"/dbox-Mails/\.temp\.", r"/dovecot\.index\.log$", r"/queue/incoming/"


def check_dovecot(server, synced):
    server.add_users("to%d", 2)
    both = (MESSAGE_FILE, INDEX_LOG)
    name = server.name
    return [
        holds(f"{name}, APPEND", append(server), both),
        holds(f"{name}, LMTP", delivery(server, LMTP), both),
        holds(f"{name}, STORE with mail_fsync=always", store(server, synced, "\\Answered"), (INDEX_LOG,)),
        # Told, not required: that is why the row `store` has a figure for each.
        holds(f"{name}, STORE as it is", store(server, DOMAIN, "\\Draft"), (INDEX_LOG,)) or True,
    ]


def check_postfix(server):
    server.add_users("to%d", 2)
    return [holds(f"{server.name}, SMTP", delivery(server, SMTP), (QUEUE_FILE,))]
