"""What the files of the data folder are read with: CRC32C, octets that know their place in a file, and archives.

As FORMAT.md says under "Archives" and nothing else. Whatever is read is looked for within its file alone: a length or an
offset that leads out of it is damage, and the file and the octet are named. Standard library only.
"""

import struct
from types import SimpleNamespace


class Damage(Exception):
    """What is wrong, and where."""

    def __init__(self, path, offset, what):
        super().__init__(f"{path}: offset {offset}: {what}")


# --- CRC32C, two octets a table and eight a turn ---


def crc_tables():
    byte = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        byte.append(value)
    pair = []
    for value in range(65536):
        crc = byte[value & 255]
        pair.append(byte[(crc ^ value >> 8) & 255] ^ crc >> 8)
    tables = [pair]
    for _ in range(3):
        tables.append([pair[crc & 0xFFFF] ^ crc >> 16 for crc in tables[-1]])
    return byte, tables


CRC_BYTE, CRC_PAIRS = crc_tables()


def crc32c(octets, before=0):
    """The CRC of `octets`, which follow those that have the CRC `before`."""
    last, third, second, first = CRC_PAIRS
    byte, crc = CRC_BYTE, before ^ 0xFFFFFFFF
    octets = memoryview(octets)
    whole = len(octets) & ~7
    for a, b, c, d in struct.iter_unpack("<4H", octets[:whole]):
        crc = first[a ^ crc & 0xFFFF] ^ second[b ^ crc >> 16] ^ third[c] ^ last[d]
    for octet in octets[whole:]:
        crc = byte[(crc ^ octet) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


class Span:
    """Octets, and where in which file they lie."""

    def __init__(self, path, octets, base=0):
        self.path, self.octets, self.base = path, memoryview(octets), base

    def __len__(self):
        return len(self.octets)

    def part(self, at, length):
        if at < 0 or length < 0 or at + length > len(self.octets):
            self.damaged(at, f"{length} octets are not within the {len(self.octets)} that are there")
        return Span(self.path, self.octets[at : at + length], self.base + at)

    def unpack(self, form, at):
        return struct.unpack("<" + form, self.part(at, struct.calcsize("<" + form)).octets)

    def number(self, form, at):
        return self.unpack(form, at)[0]

    def text(self, at):
        """UTF-8 from there to the end."""
        try:
            return bytes(self.octets[at:]).decode("utf-8")
        except UnicodeDecodeError:
            self.damaged(at, "not UTF-8")

    def expect(self, at, form, value, what):
        found = self.number(form, at)
        if found not in (value if isinstance(value, tuple) else (value,)):
            self.damaged(at, f"{what}: {found!r} is not {value!r}")
        return found

    def checked(self, length, at):
        """The CRC at `at` is that of the first `length` octets."""
        if self.number("I", at) != crc32c(self.part(0, length).octets):
            self.damaged(0, f"the CRC at {self.base + at} is not that of the {length} octets from here")

    def damaged(self, at, what):
        raise Damage(self.path, self.base + at, what)


def read(path):
    with open(path, "rb") as file:
        return Span(path, file.read())


# --- Archives ---


class Number:
    """A primitive, aligned to its size."""

    def __init__(self, form):
        self.form, self.size = form, struct.calcsize("<" + form)
        self.align = self.size

    def read(self, span, at):
        return span.number(self.form, at)


class Truth(Number):
    """A bool."""

    def __init__(self):
        super().__init__("B")

    def read(self, span, at):
        return bool(span.expect(at, "B", (0, 1), "a bool"))


class Fixed:
    """Octets in place."""

    align = 1

    def __init__(self, size):
        self.size = size

    def read(self, span, at):
        return bytes(span.part(at, self.size).octets)


class Text:
    """A string: up to eight octets in place, more elsewhere."""

    size, align = 8, 4

    def read(self, span, at):
        inline = bytes(span.part(at, 8).octets)
        if inline[0] & 0xC0 != 0x80:
            return Span(span.path, inline.split(b"\xff")[0], span.base + at).text(0)
        length, offset = span.unpack("Ii", at)
        return span.part(at + offset, length & 0x3F | (length & ~0xFF) >> 2).text(0)


class Vector:
    """A list: where its items begin, counted from here, and how many there are."""

    size, align = 8, 4

    def __init__(self, item):
        self.item = item

    def read(self, span, at):
        offset, count = span.unpack("iI", at)
        items = span.part(at + offset, count * self.item.size)
        if self.item is U8:
            return bytes(items.octets)
        if type(self.item) is Number:
            return items.unpack(f"{count}{self.item.form}", 0)
        # From the whole span: what an item points to lies before it.
        return [self.item.read(span, at + offset + each * self.item.size) for each in range(count)]


class Optional:
    """A byte that says whether there is one, and it."""

    def __init__(self, item):
        self.item, self.align, self.size = item, item.align, item.align + item.size

    def read(self, span, at):
        there = span.expect(at, "B", (0, 1), "an option")
        return self.item.read(span, at + self.align) if there else None


class Structure:
    """Fields in their order, each at the next multiple of its alignment; the whole a multiple of the largest."""

    def __init__(self, **fields):
        self.fields, at = [], 0
        for name, kind in fields.items():
            at += -at % kind.align
            self.fields.append((name, kind, at))
            at += kind.size
        self.align = max(kind.align for kind in fields.values())
        self.size = at + -at % self.align

    def read(self, span, at):
        return SimpleNamespace(**{name: kind.read(span, at + offset) for name, kind, offset in self.fields})

    def root(self, span):
        return self.read(span, len(span) - self.size)


U8, U16, U32, U64, I16, I64, STR = *map(Number, "BHIQhq"), Text()
MAILBOX = Structure(
    id=U32, name=STR, uid_validity=U32, uid_next=U32, special_use=U8, subscribed=Truth(), deleted=Truth(),
    keywords=Vector(STR), highest_modseq=U64, recent_from=U32,
)
GROUP = Structure(
    mailbox=U32, first=U32, uid=Vector(U32), modseq=Vector(U64), flags=Vector(U16), keywords=Vector(U64),
    size=Vector(U32), date_seconds=Vector(I64), date_offset=Vector(I16),
    changed=Vector(Structure(uid=U32, flags=U16, keywords=U64, modseq=U64)),
    vanished=Vector(Structure(uid=U32, modseq=U64)),
)
PLACE = Structure(
    record_start=U64, record_bytes=U32, details_start=U64, details_bytes=U32,
    text_start=U64, text_bytes=U32, raw_start=U64, raw_bytes=U32,
)
INDEX = Structure(mailboxes=Vector(MAILBOX), groups=Vector(GROUP), places=Vector(PLACE))
RECORD = Structure(
    uid=U32, flags=U16, keywords=U64, modseq=U64, email_id=U64, thread_id=U64,
    internal_date=Structure(seconds=I64, offset_minutes=I16), saved_at=I64, size=U64, content_hash=Fixed(32),
    delivery=Optional(Structure(return_path=STR, recipients=Vector(STR))),
)
PART = Structure(
    parent=U32, kind=U8, header_start=U32, body_start=U32, end=U32, lines=U32, encoding=U8, opaque=Truth(),
)
DETAILS = Structure(
    parts=Vector(PART), envelope=Vector(U8), bodystructure=Vector(U8), subject=STR, sender=STR, base_subject=STR,
    message_id=Optional(STR), references=Vector(STR),
)
