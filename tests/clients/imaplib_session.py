"""A session of Python's imaplib against the server: every command that it has a method for and the server offers.

imaplib_session.py PORT plain|tls|starttls USER PASSWORD MAILBOX MESSAGE-FILE
Prints `done` at the end; anything else ends with a traceback and a code other than 0.
"""

import imaplib
import sys

from tls import context

port, mode, user, password, mailbox, path = sys.argv[1:]
message = open(path, "rb").read()


def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


if mode == "tls":
    client = imaplib.IMAP4_SSL("127.0.0.1", int(port), ssl_context=context, timeout=10)
else:
    client = imaplib.IMAP4("127.0.0.1", int(port), timeout=10)
assert "IMAP4REV1" in client.capabilities, client.capabilities
if mode == "starttls":
    assert "STARTTLS" in client.capabilities, client.capabilities
    ok(client.starttls(context))
    assert "STARTTLS" not in client.capabilities, client.capabilities

if mode == "plain":
    ok(client.login(user, password))
else:
    ok(client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode()))

ok(client.noop())
ok(client.create(mailbox))
listed = ok(client.list())
assert any(line.endswith((f'"{mailbox}"'.encode(), f" {mailbox}".encode())) for line in listed), listed
assert ok(client.select(mailbox)) == [b"0"]

# imaplib turns lone line ends into CRLF: the file has none.
ok(client.append(mailbox, r"(\Flagged $Important)", '"21-Nov-2025 10:00:00 +0100"', message))
ok(client.append(mailbox, None, None, b"Subject: second\r\n\r\nanother\r\n"))
ok(client.noop())
assert b"MESSAGES 2" in ok(client.status(mailbox, "(MESSAGES)"))[0]

status = ok(client.status(mailbox, "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)"))[0]
assert b"MESSAGES 2" in status and b"UNSEEN 2" in status, status

data = ok(client.fetch("1", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"))
assert data[0][1] == message, (len(data[0][1]), len(message))
assert f"RFC822.SIZE {len(message)}".encode() in data[0][0] + data[1], data[0][0]
assert rb"\Flagged" in data[0][0] + data[1] and b"$Important" in data[0][0] + data[1], data[0][0]
assert b'"21-Nov-2025 10:00:00 +0100"' in data[0][0] + data[1], data[0][0]
assert rb"\Seen" not in data[0][0] + data[1], data[0][0]

header = ok(client.fetch("2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
assert header[0][1] == b"Subject: second\r\n\r\n", header
ok(client.fetch("2", "(BODY[TEXT])"))
assert ok(client.search(None, "SEEN")) == [b"2"]
assert ok(client.search(None, "SUBJECT", '"second"')) == [b"2"]
assert ok(client.search(None, "FLAGGED")) == [b"1"]
assert ok(client.uid("SEARCH", None, "ALL"))[0].split() == [b"1", b"2"]

assert rb"\Answered" in ok(client.store("1", "+FLAGS", r"(\Answered)"))[0]
assert rb"\Deleted" in ok(client.uid("STORE", "2", "+FLAGS", r"(\Deleted)"))[0]
assert ok(client.expunge()) == [b"2"]
assert ok(client.search(None, "ALL")) == [b"1"]

ok(client.unselect())
ok(client.select(mailbox, readonly=True))
kind, _ = client.store("1", "+FLAGS", r"(\Draft)")
assert kind == "NO", "STORE in a mailbox that was examined"
ok(client.close())
assert client.logout()[0] == "BYE"
print("done")
