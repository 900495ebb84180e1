"""Two sessions of aioimaplib (PyPI) side by side: one waits in IDLE, the other appends, copies, moves and expunges.

aioimaplib_session.py PORT USER PASSWORD MESSAGE-FILE
Prints `done` at the end; anything else ends with a traceback and a code other than 0.
"""

import asyncio
import sys

import aioimaplib

from tls import context

port, user, password, path = sys.argv[1:]
message = open(path, "rb").read()


async def connected(mailbox):
    client = aioimaplib.IMAP4_SSL("127.0.0.1", int(port), timeout=20, ssl_context=context)
    await client.wait_hello_from_server()
    ok(await client.login(user, password))
    ok(await client.select(mailbox))
    return client


def ok(answer):
    assert answer.result == "OK", answer
    return answer.lines


async def main():
    reader, writer = await connected("INBOX"), await connected("INBOX")
    for name in ("IDLE", "MOVE", "UIDPLUS", "NAMESPACE", "ID", "ENABLE"):
        assert reader.has_capability(name), name
    ok(await writer.create("aio"))
    idle = await reader.idle_start(timeout=30)
    for count in range(1, 4):
        ok(await writer.append(message, "INBOX"))
        told = []
        while f"{count} EXISTS".encode() not in [bytes(line) for line in told]:
            told += await asyncio.wait_for(reader.wait_server_push(), 10)
    reader.idle_done()
    await asyncio.wait_for(idle, 10)

    lines = ok(await reader.uid("fetch", "1:3", "(UID FLAGS BODY.PEEK[])"))
    bodies = [bytes(line) for line in lines if isinstance(line, bytearray)]
    assert bodies == [message] * 3, [len(body) for body in bodies]
    ok(await reader.uid("store", "1", "+FLAGS", r"(\Seen)"))
    ok(await reader.copy("1:2", "aio"))
    ok(await reader.uid("move", "3", "aio"))
    assert ok(await reader.uid_search("ALL"))[0].split() == [b"1", b"2"]
    ok(await writer.noop())
    assert ok(await writer.search("UNSEEN"))[0].split() == [b"2"]
    ok(await writer.store("1", "+FLAGS", r"(\Deleted)"))
    ok(await writer.expunge())
    ok(await reader.noop())
    assert ok(await reader.uid_search("ALL"))[0].split() == [b"2"]
    assert b"MESSAGES 3" in ok(await reader.status("aio", "(MESSAGES)"))[0]
    ok(await reader.close())
    for client in (reader, writer):
        ok(await client.logout())
    print("done")


asyncio.run(main())
