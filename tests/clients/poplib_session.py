"""A session of Python's poplib against the server: every command that it has a method for and the server offers.

poplib_session.py PORT plain|tls|stls USER PASSWORD keep|delete MESSAGE-FILE...
The maildrop must hold the messages of the files, in their order. Prints the unique-ids, and `done` at the end; anything
else ends with a traceback and a code other than 0.
"""

import poplib
import sys

from tls import context

port, mode, user, password, what = sys.argv[1:6]
messages = [open(path, "rb").read() for path in sys.argv[6:]]


def refused(call, *arguments):
    try:
        answer = call(*arguments)
    except poplib.error_proto as error:
        return str(error)
    raise AssertionError(answer)


if mode == "tls":
    client = poplib.POP3_SSL("127.0.0.1", int(port), context=context, timeout=10)
else:
    client = poplib.POP3("127.0.0.1", int(port), timeout=10)
assert client.getwelcome().startswith(b"+OK"), client.getwelcome()
if mode == "stls":
    assert "STLS" in client.capa(), client.capa()
    client.stls(context)
capabilities = client.capa()
assert "STLS" not in capabilities or mode == "plain", capabilities
assert capabilities["SASL"] == ["PLAIN", "LOGIN"] and "USER" in capabilities, capabilities
refused(client.list)
client.user(user)
client.pass_(password)
octets = sum(len(message) for message in messages)
assert client.stat() == (len(messages), octets), client.stat()
_, listed, _ = client.list()
assert listed == [b"%d %d" % (number, len(message)) for number, message in enumerate(messages, 1)], listed
_, ids, _ = client.uidl()
for number, message in enumerate(messages, 1):
    assert client.list(number).split()[1:] == listed[number - 1].split()
    assert client.uidl(number).split()[1:] == ids[number - 1].split()
    _, lines, _ = client.retr(number)
    assert b"".join(line + b"\r\n" for line in lines) == message, number
    header = message.split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    _, lines, _ = client.top(number, 0)
    assert b"".join(line + b"\r\n" for line in lines) == header, number
assert "No such message" in refused(client.retr, len(messages) + 1)
client.noop()
client.dele(1)
assert client.stat()[0] == len(messages) - 1
client.rset()
assert client.stat() == (len(messages), octets)
if what == "delete":
    for number in range(1, len(messages) + 1):
        client.dele(number)
client.quit()
print(*(line.decode() for line in ids), sep="\n")
print("done")
