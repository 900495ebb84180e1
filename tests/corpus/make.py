"""Makes the tests' own corpus: make.py FOLDER. Standard library only, the same files on every run.

Every file has CRLF line ends throughout, no NUL, and, unless its name has `cut` in it, ends with a whole line, so that it
may go through SMTP as it is. Names say what is odd about a message.
"""

import base64
import os
import quopri
import random
import sys

folder = sys.argv[1]
dice = random.Random(20251121)
number = 0


def write(name, octets):
    global number
    number += 1
    assert b"\0" not in octets, name
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r"), name
    with open(os.path.join(folder, f"{number:03}-{name}.eml"), "wb") as file:
        file.write(octets)


def head(subject, *fields):
    lines = [
        b"From: Anna Muster <anna@client.example>",
        b"To: a@localhost, \"Bert, B.\" <b@localhost>",
        b"Date: Fri, 21 Nov 2025 10:00:00 +0100",
        b"Message-ID: <%s@client.example>" % subject.replace(b" ", b"-").replace(b"=", b"").replace(b"?", b"")[:60],
        b"Subject: " + subject,
        b"MIME-Version: 1.0",
    ]
    return b"\r\n".join(lines + list(fields)) + b"\r\n\r\n"


def text_lines(octets, width=70):
    return b"".join(octets[at : at + width] + b"\r\n" for at in range(0, len(octets), width))


def crlf(octets):
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def multipart(boundary, parts, subtype=b"mixed", preamble=b"", epilogue=b""):
    """The fields and the body of a multipart."""
    body = preamble
    for part in parts:
        body += b"--%s\r\n%s\r\n" % (boundary, part)
    return b'Content-Type: multipart/%s; boundary="%s"' % (subtype, boundary), body + b"--%s--\r\n" % boundary + epilogue


# Charsets, in each transfer encoding that suits them, with encoded words in the subject.
TEXTS = {
    "utf-8": "Grüße, привет, こんにちは, 🎉",
    "iso-2022-jp": "こんにちは、世界。メールの試験です。",
    "koi8-r": "Привет, мир. Это письмо.",
    "windows-1252": "“Smart” quotes – €100 – naïve café",
    "iso-8859-1": "Straße, garçon, señor",
    "iso-8859-15": "Œuvre à 5 €",
    "windows-1251": "Съешь ещё этих мягких булок",
    "gb18030": "你好,世界",
    "big5": "你好,世界",
    "shift_jis": "テストです",
    "euc-kr": "안녕하세요",
    "utf-16": "byte order mark",
    "us-ascii": "nothing special",
}
for charset, text in TEXTS.items():
    encoded = text.encode(charset)
    word = b"=?%s?B?%s?=" % (charset.encode(), base64.b64encode(encoded))
    typed = b"Content-Type: text/plain; charset=" + charset.encode()
    write(
        f"charset-{charset}-base64",
        head(word, typed, b"Content-Transfer-Encoding: base64") + text_lines(base64.b64encode(encoded * 20), 76),
    )
    if b"\0" not in encoded and b"\r" not in encoded:
        quoted = crlf(quopri.encodestring(encoded + b"\n"))
        write(f"charset-{charset}-quoted", head(word, typed, b"Content-Transfer-Encoding: quoted-printable") + quoted)
        write(f"charset-{charset}-8bit", head(word, typed, b"Content-Transfer-Encoding: 8bit") + encoded + b"\r\n")
write("charset-unknown", head(b"=?x-nonsense?Q?caf=E9?=", b"Content-Type: text/plain; charset=x-nonsense") + b"caf\xe9\r\n")

# Headers.
write("header-8bit", head("Grüße ohne Kodierung".encode()) + b"8-bit header\r\n")
write("header-latin1", head("Grüße".encode("latin-1")) + b"undeclared\r\n")
write("header-folded", head(b"a\r\n subject\r\n\tover\r\n  lines") + b"folded\r\n")
write("header-empty-fields", b"From:\r\nTo: \r\nSubject:\r\nDate:\r\nMessage-ID:\r\nReply-To: \r\nCc: ;\r\n\r\nx\r\n")
write("header-group", head(b"group", b"Cc: Friends: anna@x.example, Bert <b@x.example>;, Nobody:;") + b"x\r\n")
write("header-comments", head(b"comments", b"Sender: (a (nested) comment) a@x.example (end)") + b"x\r\n")
write("header-quotes", head(b'"quoted \\" and \\\\ backslash"', b'Reply-To: "a \\"b\\" \\\\ c" <"odd local"@x.example>') + b"x\r\n")
write("header-route", head(b"route", b"Cc: <@relay.example,@other.example:c@x.example>") + b"x\r\n")
write("header-many-recipients", head(b"many", b"Cc: " + b",\r\n ".join(b"u%d@x.example" % n for n in range(900))) + b"x\r\n")
write("header-long-field", head(b"s" * 5000) + b"a subject of 5000 octets\r\n")
write("header-many-fields", head(b"fields", *(b"X-Field-%d: value %d" % (n, n) for n in range(2000))) + b"x\r\n")
write("header-duplicate", head(b"first", b"Subject: second", b"From: other@x.example", b"Content-Type: text/plain") + b"x\r\n")
write("header-only", b"Subject: a header and its end\r\nFrom: a@x.example\r\n\r\n")
write("header-only-no-end", b"Subject: a header without its end\r\nFrom: a@x.example\r\n")
write("header-none", b"\r\nA body alone.\r\n")
write("header-no-colon", b"this is no header\r\nneither is this\r\n\r\nbody\r\n")
write("header-mbox", b"From anna@x.example Fri Nov 21 10:00:00 2025\r\nSubject: mbox line first\r\n\r\nbody\r\n")
write("header-space-before-colon", b"Subject : odd\r\nFrom : a@x.example\r\n\r\nbody\r\n")
write("header-control", b"Subject: a\x01b\x7fc\x1b[31m\r\nFrom: \x02 <a@x.example>\r\n\r\nbody\r\n")
write("header-bad-words", head(b"=?utf-8?B?!!!?= =?utf-8?Q?=ZZ?= =?utf-8?X?a?= =?utf-8?B?w?=") + b"x\r\n")
write("header-bad-addresses", b"From: <<a@b>, @, \"unclosed\r\nTo: (unclosed, a@\r\nCc: ,,,;;:<>\r\n\r\nx\r\n")
write("header-literal-like", head(b"{3}", b"Content-Description: (NIL) \"{10}\"") + b"{5}\r\n")

# Bodies.
write("empty", b"")
write("one-empty-line", b"\r\n")
write("dots", head(b"dots") + b".\r\n..\r\n...\r\n.a\r\n \r\n.\r\n")
write("body-blank-lines", head(b"blank lines") + b"\r\n" * 500)
write("line-998", head(b"998") + b"x" * 998 + b"\r\n")
write("line-5000", head(b"5000") + b"y" * 5000 + b"\r\n")
write("line-200k", head(b"200k") + b"z" * 200_000 + b"\r\n")
write("cut-last-line", head(b"no end") + b"the last line has no end")
write("body-8bit", head(b"8bit", b"Content-Transfer-Encoding: 8bit") + bytes(o for o in range(1, 256) if o not in b"\r\n") + b"\r\n")

# MIME.
plain = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nplain text\r\n"
html = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>text</p>\r\n"
blob = text_lines(base64.b64encode(dice.randbytes(50_000)), 76)
attachment = (
    b"Content-Type: application/octet-stream; name=\"a file.bin\"\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Disposition: attachment; filename=\"a file.bin\"; size=50000\r\nContent-ID: <one@client.example>\r\n"
    b"Content-Description: fifty thousand octets\r\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n"
    b"Content-Language: en, de\r\nContent-Location: http://client.example/a\r\n\r\n" + blob
)
field, body = multipart(b"alt", [plain, html], b"alternative")
write("mime-alternative", head(b"alternative", field) + body)
alternative = field + b"\r\n\r\n" + body
field, body = multipart(b"mix", [alternative, attachment, attachment], preamble=b"preamble\r\n", epilogue=b"epilogue\r\n")
write("mime-attachments", head(b"attachments", field) + body)
message = b"Content-Type: message/rfc822\r\n\r\n" + head(b"inner", field) + body
field, body = multipart(b"outer", [plain, message, plain])
write("mime-message-in-multipart", head(b"message in multipart", field) + body)
write("mime-message-alone", head(b"alone", b"Content-Type: message/rfc822") + head(b"inside") + b"inner text\r\n")
write("mime-message-twice", head(b"twice", b"Content-Type: message/rfc822") + head(b"in", b"Content-Type: message/rfc822") + head(b"innermost") + b"x\r\n")
write("mime-message-empty", head(b"empty inside", b"Content-Type: message/rfc822"))
part = plain
for level in range(20):
    if level % 2:
        field, body = multipart(b"level%d" % level, [plain, part])
        part = field + b"\r\n\r\n" + body
    else:
        part = b"Content-Type: message/rfc822\r\n\r\n" + head(b"level %d" % level, b"Content-Type: multipart/mixed; boundary=m%d" % level)
        part += b"--m%d\r\n%s\r\n--m%d--\r\n" % (level, plain if level == 0 else inner, level)
    inner = part
field, body = multipart(b"top", [part, html])
write("mime-20-deep", head(b"twenty deep", field) + body)
field, body = multipart(b"d", [b"\r\n" + head(b"one") + b"x\r\n", b"\r\n" + head(b"two") + b"y\r\n"], b"digest")
write("mime-digest", head(b"digest", field) + body)
field, body = multipart(b"many", [plain] * 300)
write("mime-300-parts", head(b"three hundred", field) + body)
field, body = multipart(b"r", [html, attachment], b'related; type="text/html"; start="<one@client.example>"')
write("mime-related", head(b"related", field) + body)
long_name = b"; ".join(b"filename*%d*=%s%%C3%%BC%s" % (n, b"UTF-8''" if n == 0 else b"", b"a" * 50) for n in range(20))
write("mime-rfc2231", head(b"continuations", b"Content-Disposition: attachment;\r\n " + long_name.replace(b"; ", b";\r\n ")) + b"x\r\n")
write("mime-parameters", head(b"parameters", b'Content-Type: text/plain; charset="us-ascii"; FORMAT=flowed; x="a;b=\\"c\\""; delsp=yes') + b"x\r\n")
write("mime-boundary-blanks", head(b"blanks", b"Content-Type: multipart/mixed; boundary=b") + b"--b \t\r\n\r\none\r\n--b\t\r\n\r\ntwo\r\n--b-- \r\n")
write("mime-empty-parts", head(b"empty parts", b"Content-Type: multipart/mixed; boundary=b") + b"--b\r\n--b\r\n\r\n--b\r\n\r\n\r\n--b--\r\n")
write("mime-unended", head(b"unended", b"Content-Type: multipart/mixed; boundary=b") + b"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n")
write("mime-no-parts", head(b"no parts", b"Content-Type: multipart/mixed; boundary=b") + b"no boundary in here\r\n")
write("mime-no-boundary", head(b"no boundary", b"Content-Type: multipart/mixed") + b"--b\r\n\r\none\r\n--b--\r\n")
write("mime-empty-boundary", head(b"empty boundary", b'Content-Type: multipart/mixed; boundary=""') + b"--\r\n\r\none\r\n----\r\n")
write("mime-same-boundary", head(b"same", b"Content-Type: multipart/mixed; boundary=b") + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n--b--\r\n")
write("mime-prefix-boundary", head(b"prefix", b"Content-Type: multipart/mixed; boundary=b") + b"--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n--b--\r\n")
write("mime-bad-type", head(b"bad type", b"Content-Type: ;;;=\"; text") + b"x\r\n")
write("mime-type-without-subtype", head(b"text", b"Content-Type: text", b"Content-Transfer-Encoding: x-odd odd") + b"x\r\n")
write("mime-bad-base64", head(b"bad base64", b"Content-Transfer-Encoding: base64") + b"!!!=A=\r\nAAA\r\n")
write("mime-bad-quoted", head(b"bad quoted", b"Content-Transfer-Encoding: quoted-printable") + b"=ZZ =\r\n= \r\nend=\r\n")
write("mime-8bit-parameters", head(b"8bit", "Content-Disposition: attachment; filename=Grüße.pdf".encode(), b"Content-Type: text/plain; name=\"\xe9\xff\"") + b"x\r\n")
write("mime-cut-part", head(b"cut", b"Content-Type: multipart/mixed; boundary=b") + b"--b\r\nContent-Type: text/plain; charset")

# Random octets under a plausible header, and messages of this corpus with octets changed.
for turn in range(10):
    octets = bytes(o for o in dice.randbytes(3000) if o not in b"\0\r\n")
    write(f"random-{turn}", head(b"random", b"Content-Type: " + octets[:60]) + text_lines(octets))
field, body = multipart(b"mix", [alternative, message, plain])
base = head(b"mutated", field) + body[:4000]
for turn in range(20):
    octets = bytearray(base)
    for _ in range(dice.randrange(1, 40)):
        octets[dice.randrange(len(octets))] = dice.choice(b"\"\\(){}<>;:=-,. \t?*\xff")
    mended = bytes(octets).replace(b"\r", b"").replace(b"\n", b"\r\n")
    write(f"mutated-{turn}", mended + b"\r\n")

# 30 MB as base64.
line = base64.b64encode(dice.randbytes(57)) + b"\r\n"
field, body = multipart(b"big", [plain, attachment.replace(blob, line * (30_000_000 // len(line)))])
write("30-megabytes", head(b"thirty megabytes", field) + body)
print(number)
