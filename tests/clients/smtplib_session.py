"""A session of Python's smtplib against the server.

smtplib_session.py PORT plain|tls|starttls USER PASSWORD RECIPIENT MESSAGE-FILE
Logs in unless USER is empty, sends the message, and checks that what must be refused is. Prints `done` at the end.
"""

import smtplib
import sys

from tls import context

port, mode, user, password, recipient, path = sys.argv[1:]
message = open(path, "rb").read()

if mode == "tls":
    client = smtplib.SMTP_SSL("127.0.0.1", int(port), context=context, timeout=10, local_hostname="client.example")
else:
    client = smtplib.SMTP("127.0.0.1", int(port), timeout=10, local_hostname="client.example")
client.ehlo()
for extension in ("size", "pipelining", "8bitmime", "enhancedstatuscodes"):
    assert client.has_extn(extension), (extension, client.esmtp_features)
assert int(client.esmtp_features["size"]) > 30_000_000, client.esmtp_features
if mode == "starttls":
    assert client.has_extn("starttls"), client.esmtp_features
    client.starttls(context=context)
    client.ehlo()
    assert not client.has_extn("starttls"), client.esmtp_features

if user:
    try:
        client.login(user, password + "-wrong")
        raise SystemExit("a wrong password was taken")
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
    client.login(user, password)
else:
    assert not client.has_extn("auth"), client.esmtp_features

sender = user or "sender@client.example"
assert client.sendmail(sender, [recipient], message, mail_options=["body=8bitmime"]) == {}

try:
    client.sendmail(sender, ["nobody-of-that-name@localhost"], message)
    raise SystemExit("an unknown recipient was taken")
except smtplib.SMTPRecipientsRefused as error:
    (code, text), = error.recipients.values()
    assert code == 550 and text.startswith(b"5.1.1"), error

try:
    client.sendmail(sender, ["someone@elsewhere.example"], message)
    raise SystemExit("mail for elsewhere was taken")
except smtplib.SMTPRecipientsRefused as error:
    (code, text), = error.recipients.values()
    assert code in (550, 554), error

code, _ = client.noop()
assert code == 250, code
code, _ = client.quit()
assert code == 221, code
print("done")
