"""A session of IMAPClient (PyPI) against the server: all that it can do with what the server offers.

imapclient_session.py PORT USER PASSWORD MESSAGE-FILE
Prints `done` at the end; anything else ends with a traceback and a code other than 0.
"""

import datetime
import sys
import threading
import time

from imapclient import IMAPClient, SEEN, FLAGGED, DELETED, ANSWERED

from tls import context

port, user, password, path = sys.argv[1:]
message = open(path, "rb").read()


def connected():
    client = IMAPClient("127.0.0.1", port=int(port), ssl_context=context, timeout=20)
    client.login(user, password)
    return client


client = connected()
for name in (b"IMAP4REV1", b"UIDPLUS", b"MOVE", b"NAMESPACE", b"ID", b"CHILDREN", b"SPECIAL-USE", b"IDLE", b"ENABLE", b"UNSELECT"):
    assert client.has_capability(name.decode()), (name, client.capabilities())
assert client.namespace().personal[0] == ("", "/"), client.namespace()
assert any(b"Ringpost" in value for value in client.id_({"name": "IMAPClient"})[0] if isinstance(value, bytes))
for use, name in ((b"\\Sent", "Sent"), (b"\\Drafts", "Drafts"), (b"\\Junk", "Junk"), (b"\\Trash", "Trash"), (b"\\Archive", "Archive")):
    assert client.find_special_folder(use) == name, (use, client.find_special_folder(use))

client.create_folder("Ablage/Grüße")
client.subscribe_folder("Ablage/Grüße")
assert "Ablage/Grüße" in [name for _, _, name in client.list_sub_folders()]
flags = {name: flags for flags, _, name in client.list_folders()}
assert b"\\HasChildren" in flags["Ablage"] and b"\\HasNoChildren" in flags["Ablage/Grüße"], flags
client.rename_folder("Ablage/Grüße", "Ablage/Größe")
assert client.folder_exists("Ablage/Größe") and not client.folder_exists("Ablage/Grüße")

when = datetime.datetime(2025, 11, 21, 10, 0, 0, tzinfo=datetime.timezone.utc)
client.append("Ablage/Größe", message, (SEEN, b"$Work"), when)
client.append("Ablage/Größe", b"Subject: second\r\nDate: Fri, 1 Aug 2025 08:00:00 +0000\r\n\r\nein Wort: M\xc3\xbcller\r\n")
selected = client.select_folder("Ablage/Größe")
assert selected[b"EXISTS"] == 2 and selected[b"UIDVALIDITY"] > 0, selected
data = client.fetch([1, 2], ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]", "ENVELOPE", "BODYSTRUCTURE"])
assert data[1][b"BODY[]"] == message and data[1][b"RFC822.SIZE"] == len(message)
assert set(data[1][b"FLAGS"]) >= {SEEN, b"$Work"}, data[1][b"FLAGS"]
assert data[1][b"INTERNALDATE"].timestamp() == when.timestamp(), data[1][b"INTERNALDATE"]
assert data[2][b"ENVELOPE"].subject == b"second"

assert client.search(["BODY", "Müller"], "UTF-8") == [2]
assert client.search(["SENTSINCE", datetime.date(2025, 8, 1), "SENTBEFORE", datetime.date(2025, 8, 2)]) == [2]
assert client.search(["NOT", "SEEN"]) == [2] and client.search("SMALLER 200") == [2]
assert client.search(["OR", ["SUBJECT", "second"], ["KEYWORD", "$Work"]]) == [1, 2]

assert set(client.add_flags([2], [FLAGGED, ANSWERED])[2]) >= {FLAGGED, ANSWERED}
assert FLAGGED not in client.remove_flags([2], [FLAGGED])[2]
assert set(client.set_flags([2], [DELETED])[2]) - {b"\\Recent"} == {DELETED}
client.set_flags([2], [])
client.copy([1, 2], "Archive")
client.move([2], "Trash")
assert client.search() == [1]
client.select_folder("Archive", readonly=True)
assert client.fetch([1], ["BODY.PEEK[]"])[1][b"BODY[]"] == message
client.unselect_folder()
assert client.folder_status("Trash", ["MESSAGES", "UIDNEXT", "UNSEEN"]) == {b"MESSAGES": 1, b"UIDNEXT": 2, b"UNSEEN": 1}

# IDLE is told of what another session appends.
client.select_folder("INBOX")
client.idle()
threading.Thread(target=lambda: connected().append("INBOX", message)).start()
told = []
end = time.monotonic() + 10
while not any(answer[1] == b"EXISTS" for answer in told):
    assert time.monotonic() < end, told
    told += client.idle_check(timeout=1)
client.idle_done()

client.select_folder("Trash")
client.delete_messages([1])
client.uid_expunge([1])
assert client.search() == []
client.close_folder()
client.unsubscribe_folder("Ablage/Größe")
client.delete_folder("Ablage/Größe")
assert not client.folder_exists("Ablage/Größe")
client.noop()
client.logout()
print("done")
