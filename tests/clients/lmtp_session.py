"""A session of Python's smtplib.LMTP against the server.

lmtp_session.py PORT plain|starttls RECIPIENT MESSAGE-FILE
Delivers the message, and checks that what must be refused is. Prints `done` at the end. (smtplib reads one reply after
the text, so that it must have one recipient.)
"""

import smtplib
import sys

from tls import context

port, mode, recipient, path = sys.argv[1:]
message = open(path, "rb").read()
client = smtplib.LMTP("127.0.0.1", int(port), local_hostname="client.example", timeout=10)
client.ehlo()
for extension in ("size", "pipelining", "8bitmime", "enhancedstatuscodes", "chunking", "smtputf8"):
    assert client.has_extn(extension), (extension, client.esmtp_features)
assert not client.has_extn("auth"), client.esmtp_features
if mode == "starttls":
    client.starttls(context=context)
    client.ehlo()
    assert not client.has_extn("starttls"), client.esmtp_features

options = ["body=8bitmime", "ret=hdrs", "envid=lmtp-1"]
notices = ["notify=success,failure", "orcpt=rfc822;" + recipient.replace("+", "+2B")]
assert client.sendmail("sender@client.example", [recipient], message, options, notices) == {}

try:
    client.sendmail("sender@client.example", ["nobody-of-that-name@localhost"], message)
    raise SystemExit("an unknown recipient was taken")
except smtplib.SMTPRecipientsRefused as error:
    (code, text), = error.recipients.values()
    assert code == 550 and text.startswith(b"5.1.1"), error

assert client.sendmail("müller@client.example", [recipient], message, ["smtputf8", "body=8bitmime"]) == {}
code, _ = client.noop()
assert code == 250, code
code, _ = client.quit()
assert code == 221, code
print("done")
