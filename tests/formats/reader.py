"""Reads the data folder of a stopped server, by what FORMAT.md says alone: reader.py FOLDER.

Prints one JSON document: the accounts, their mailboxes, and the messages in them. It checks every checksum and every name
that is a hash, says on standard error which file is wrong at which octet, and then ends with code 1; what could be read
is printed all the same. It shares no code with the server, writes nothing, and takes any length or place that it reads
for a lie until it is seen to lie within its file. Standard library only.

Octets that go over the wire as they are (`envelope`, `bodystructure`) are printed a character an octet, U+0000 to U+00FF.
"""

import bisect
import fcntl
import hashlib
import json
import os
import re
import struct
import sys
import time
from types import SimpleNamespace

from archive import DETAILS, INDEX, RECORD, Damage, Span, crc32c, read

NOT_HERE = 2**32 - 1  # a length: what it is of lies in a body file
LOST_FROM = 2**64 - 2**32  # a place: what lies from here on could not be read any more
BLOCK = 64 * 1024
RKYV = 0x00083201
HEX_NAME = re.compile(r"[0-9a-f]{64}")
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"]
DELETED = 8
SPECIAL_USE = [None, "\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"]


def sealed(path):
    """A sealed file, all of it checked: its kind, its index, its octets."""
    span = read(path)
    named, found = os.path.basename(path), hashlib.sha256(span.octets).hexdigest()
    end = len(span) - 64
    footer = span.part(end, 64)
    # The blocks are looked at before the name, as they say where.
    span.expect(0, "8s", b"RPSEALED", "magic")
    format_number = span.expect(8, "H", (1, 2), "format")
    kind = span.expect(10, "H", (1, 2), "kind")
    span.expect(12, "I", RKYV, "rkyv configuration")
    span.checked(60, 60)
    footer.expect(48, "8s", b"RPFOOTER", "magic")
    footer.checked(60, 60)
    index_start, index_bytes, table, blocks, table_crc = footer.unpack("QQQII", 0)
    if table + 4 * blocks != end or blocks != -(-table // BLOCK):
        footer.damaged(16, f"a table of {blocks} blocks at {table} does not fill the file")
    if crc32c(span.part(table, 4 * blocks).octets) != table_crc:
        span.damaged(table, "the table of checksums does not have the footer's")
    for number, crc in enumerate(span.unpack(f"{blocks}I", table)):
        start = number * BLOCK
        if crc32c(span.octets[start : min(start + BLOCK, table)]) != crc:
            span.damaged(start, f"block {number} does not have its checksum")
    if found != named:
        span.damaged(0, f"the file's hash is {found}")
    if index_start % 16 or index_start < 64 or index_start + index_bytes > table:
        footer.damaged(0, "the index is not where one can be")
    if (crc := footer.number("I", 32)) and crc32c(span.part(index_start, index_bytes).octets) != crc:
        span.damaged(index_start, "the index does not have the footer's checksum")
    index = INDEX.root(span.part(index_start, index_bytes))
    account, partition = span.number("Q", 16), span.number("H", 24)
    return SimpleNamespace(
        span=span, kind=kind, index=index, format=format_number, account=account, partition=partition
    )


def manifest(path):
    span = read(path)
    span.expect(0, "8s", b"RPMANIFE", "magic")
    span.expect(8, "H", 1, "format")
    span.checked(len(span) - 4, len(span) - 4)
    partition, files, account, number, uid_validity, mailbox = span.unpack("HIQQII", 10)
    if len(span) != 48 + 40 * files + 4:
        span.damaged(12, f"{files} files don't make {len(span)} octets")
    named = [span.unpack("32sQ", 48 + 40 * each) for each in range(files)]
    return SimpleNamespace(
        partition=partition, account=account, number=number, files=[(name.hex(), size) for name, size in named]
    )


def directory(path):
    """The accounts by their numbers."""
    accounts, at = {}, 0
    span = read(path)
    lines = bytes(span.octets).split(b"\n")
    torn = lines.pop()
    for number, line in enumerate(lines):
        if not re.fullmatch(rb"[0-9a-f]{8} .*", line) or int(line[:8], 16) != crc32c(line[9:]):
            if number and number == len(lines) - 1 and not torn:
                break
            span.damaged(at, "the record does not have its CRC")
        record = json.loads(line[9:])
        if number == 0 and record.get("start", {}).get("version") != 1:
            span.damaged(at, "not the start of a directory of version 1")
        for account in record.get("put", []):
            accounts[int(account["id"], 16)] = account
        if "delete" in record:
            accounts.pop(int(record["delete"], 16), None)
        at += len(line) + 1
    if at == 0 and torn:
        span.damaged(0, "it begins with no record")
    return accounts


# --- The log ---


class Segment:
    """One file of a stream: its records, up to the first that is not right."""

    def __init__(self, path):
        self.path = path
        fields = [int(part, 16) for part in os.path.basename(path).split("-")]
        self.epoch, self.stream, self.number = fields[:3]
        # In format 1 the number is the incarnation.
        self.incarnation = fields[-1]
        self.span = read(path)
        self.records, at = [], 512
        while record := self.record(at):
            self.records.append(record)
            at = record.next
        self.cut = at
        if self.records:
            self.check_header()

    def check_header(self):
        """The header is on the medium before the first record is written."""
        span = self.span
        span.expect(0, "8s", b"RPCOMLOG", "magic")
        span.checked(60, 60)
        if span.number("H", 8) != 1:
            span.expect(8, "H", 2, "format")
        span.expect(10, "H", self.stream, "stream")
        span.expect(12, "I", RKYV, "rkyv configuration")
        span.expect(16, "Q", self.epoch, "epoch")
        span.expect(24, "Q", self.incarnation, "incarnation")

    def record(self, at):
        """The record at `at`, where one of this segment is."""
        octets = self.span.octets
        if at + 56 > len(octets):
            return None
        length, crc, epoch, incarnation, sequence = struct.unpack_from("<IIQQQ", octets, at)
        if not 56 <= length <= 2 << 20 or at + length > len(octets) or (epoch, incarnation) != (self.epoch, self.incarnation):
            return None
        if crc32c(octets[at + 8 : at + length], crc32c(octets[at : at + 4])) != crc:
            return None
        account, number, partition, kind, version, before = struct.unpack_from("<QQHBBI", octets, at + 32)
        return SimpleNamespace(
            sequence=sequence, account=account, number=number, partition=partition, kind=kind, version=version,
            before=before, payload=self.span.part(at + 56, length - 56), next=at + length + -length % 8,
        )

    def check_order(self, last):
        """Records follow one another, from the segment before on; gives the last one's number."""
        for record in self.records:
            if last is not None and record.sequence != last + 1:
                record.payload.damaged(-32, f"the record {record.sequence}, where {last + 1} is due")
            last = record.sequence
        return last

    def check_end(self, last):
        """Behind the cut lies no record of a batch that began after the one that is missing there."""
        whole, at = bytes(self.span.octets), self.cut
        mark = struct.pack("<QQ", self.epoch, self.incarnation)
        while (at := whole.find(mark, at + 1)) >= 0:
            record = self.record(at - 8) if at % 8 == 0 and at - 8 >= self.cut else None
            if record and (record.before == 0 or last is not None and record.sequence - record.before > last + 1):
                self.span.damaged(self.cut, f"no record is right here, and the record {record.sequence} is at {at - 8}")


def log_records(folder, findings):
    """All records of all streams and epochs, by account."""
    epoch = read(os.path.join(folder, "EPOCH"))
    if bytes(epoch.octets[:8]) != b"RPEPOCH1":
        epoch.expect(0, "8s", b"RPEPOCH2", "magic")
    epoch.checked(16, 16)
    accounts, before, last = {}, None, None
    for name in sorted(os.listdir(folder)):
        if not re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]{4}-[0-9a-f]{8}(-[0-9a-f]{16})?", name):
            continue
        try:
            segment = Segment(os.path.join(folder, name))
            here = segment.epoch, segment.stream, segment.number
            last = segment.check_order(last if here == before else None)
            before = *here[:2], segment.number + 1
            segment.check_end(last)
            for record in segment.records:
                accounts.setdefault(record.account, []).append(record)
        except Damage as damage:
            findings.append(damage)
    return epoch.number("Q", 8), accounts


# --- An account ---


class Mailbox:
    """A mailbox as the last change left it."""

    def __init__(self, number, name, uid_validity, special_use, modseq):
        self.id, self.name, self.uid_validity, self.special_use = number, name, uid_validity, special_use
        self.uid_next, self.subscribed, self.keywords, self.recent_from = 1, False, [], 1
        self.highest_modseq, self.messages, self.vanished = modseq, {}, {}

    def add(self, uid, message, modseq):
        self.messages[uid] = message
        self.uid_next = max(self.uid_next, uid + 1)
        self.highest_modseq = modseq

    def within(self, ranges):
        """Each UID of a message that the ranges mean, with its place among all that they mean, there or not."""
        uids, before = sorted(self.messages), 0
        for first, last in ranges:
            for uid in uids[bisect.bisect_left(uids, first) : bisect.bisect_right(uids, last)]:
                yield before + uid - first, uid
            before += last - first + 1

    def expunge(self, uids, modseq):
        for uid in uids:
            self.messages.pop(uid, None)
            self.vanished[uid] = self.highest_modseq = modseq


class Account:
    """An account: its sealed files, and the changes on top of them."""

    def __init__(self, number, folder):
        self.number, self.folder = number, folder
        self.mailboxes, self.names, self.at = {}, {}, 0  # names: subscriptions without a mailbox, by id
        self.bodies, self.changes = {}, {}  # changes: how many of each kind the log had
        if os.path.exists(path := os.path.join(folder, "MANIFEST")):
            made_of = manifest(path)
            if (made_of.account, made_of.partition) != (number, partition(number)):
                raise Damage(path, 16, "of another account")
            self.at = made_of.number
            self.load([self.file(name, size, 1) for name, size in made_of.files])

    def file(self, name, size, kind):
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            raise Damage(path, 0, "not there")
        if size is not None and os.path.getsize(path) != size:
            raise Damage(path, 0, f"not the {size} octets that the manifest says")
        file = sealed(path)
        if file.kind != kind:
            file.span.damaged(10, f"of kind {file.kind}")
        if file.account != self.number and (kind == 1 or file.format == 1):
            file.span.damaged(16, f"of the account {file.account}")
        return file

    def body(self, name):
        """The details, the folded text and the raw message of a body file."""
        if name not in self.bodies:
            file = self.file(name, None, 2)
            place = file.index.places[0]
            pieces = ("details", "text", "raw")
            pieces = [(getattr(place, f"{piece}_start"), getattr(place, f"{piece}_bytes")) for piece in pieces]
            self.bodies[name] = [file.span.part(start, length) for start, length in pieces]
        return self.bodies[name]

    def load(self, files):
        metas, messages, vanished = {}, {}, {}
        for file in files:
            metas.update((meta.id, meta) for meta in file.index.mailboxes)
            for group in file.index.groups:
                rows = messages.setdefault(group.mailbox, {})
                for row, uid in enumerate(group.uid):
                    rows[uid] = self.row(file, group, row)
                for change in group.changed:
                    if message := rows.get(change.uid):
                        message.flags, message.keywords = change.flags, change.keywords
                        message.modseq = change.modseq
                for one in group.vanished:
                    rows.pop(one.uid, None)
                    vanished.setdefault(group.mailbox, {})[one.uid] = one.modseq
        for meta in metas.values():
            if meta.deleted:
                if meta.subscribed:
                    self.names[meta.id] = meta.name
                continue
            box = Mailbox(meta.id, meta.name, meta.uid_validity, meta.special_use, meta.highest_modseq)
            box.uid_next, box.subscribed, box.keywords = meta.uid_next, meta.subscribed, meta.keywords
            box.recent_from = meta.recent_from
            box.messages, box.vanished = messages.get(meta.id, {}), vanished.get(meta.id, {})
            self.mailboxes[meta.id] = box

    def row(self, file, group, row):
        """A message of a sealed file."""
        place = file.index.places[group.first + row]

        def piece(start, length):
            return None if start >= LOST_FROM else file.span.part(start, length)

        record = piece(place.record_start, place.record_bytes)
        details = piece(place.details_start, place.details_bytes)
        text = raw = None
        if place.raw_bytes != NOT_HERE:
            raw = piece(place.raw_start, place.raw_bytes)
        elif name := piece(place.raw_start, 32):
            _, text, raw = self.body(bytes(name.octets).hex())
        if place.text_bytes != NOT_HERE:
            text = piece(place.text_start, place.text_bytes)
        record = record and RECORD.root(record)
        date = SimpleNamespace(seconds=group.date_seconds[row], offset_minutes=group.date_offset[row])
        if record and (min(record.size, 2**32 - 1), record.internal_date) != (group.size[row], date):
            file.span.damaged(place.record_start, "size and date are not those of the columns")
        return SimpleNamespace(
            modseq=group.modseq[row], flags=group.flags[row], keywords=group.keywords[row], size=group.size[row],
            date=date, record=record, details=details and DETAILS.root(details), text=text, raw=raw,
        )

    def apply(self, record):
        """One change from the log."""
        if record.number <= self.at:
            return
        change = CHANGES.get(record.kind)
        if change is None or record.version != 1:
            record.payload.damaged(-6, f"a change of kind {record.kind}, version {record.version}")
        if record.partition != partition(self.number):
            record.payload.damaged(-8, f"partition {record.partition}")
        change(self, record.payload, record.number)
        self.at = record.number
        self.changes[record.kind] = self.changes.get(record.kind, 0) + 1

    def create(self, payload, number, subscribed=False):
        mailbox, uid_validity, special_use = payload.unpack("IIB", 0)
        box = Mailbox(mailbox, payload.text(9), uid_validity, special_use, number)
        box.subscribed = subscribed
        if mailbox not in self.mailboxes and box.name not in {other.name for other in self.mailboxes.values()}:
            self.mailboxes[mailbox] = box
            self.take_subscription(box)

    def create_subscribed(self, payload, number):
        self.create(payload, number, True)

    def take_subscription(self, box):
        """A mailbox that got its name takes the subscription that this name had without one."""
        for mailbox in [mailbox for mailbox, name in self.names.items() if name == box.name]:
            del self.names[mailbox]
            box.subscribed = True

    def append(self, payload, number):
        mailbox, uid, record, details, text, raw = payload.unpack("6I", 0)
        content, at = [], 24
        for length in (record, details, text, raw):
            content.append(payload.part(at, length))
            at += length
        self.arrive(self.takes(mailbox, uid), uid, number, content)

    def append_body(self, payload, number):
        mailbox, uid, length, name = payload.unpack("III32s", 0)
        if box := self.takes(mailbox, uid):
            self.arrive(box, uid, number, (payload.part(44, length), *self.body(name.hex())))

    def takes(self, mailbox, uid):
        box = self.mailboxes.get(mailbox)
        return box if box and uid >= box.uid_next else None

    def arrive(self, box, uid, number, content):
        if box:
            record, details, text, raw = RECORD.root(content[0]), DETAILS.root(content[1]), *content[2:]
            message = SimpleNamespace(
                modseq=number, flags=record.flags, keywords=record.keywords, size=record.size,
                date=record.internal_date, record=record, details=details, text=text, raw=raw,
            )
            box.add(uid, message, number)

    def change_flags(self, payload, number):
        mailbox, flags, operation, keywords = payload.unpack("IHHQ", 0)
        if not (box := self.mailboxes.get(mailbox)):
            return
        for _, uid in box.within(ranges(payload, 16)):
            message = box.messages[uid]
            before = message.flags, message.keywords
            if operation == 1:
                after = message.flags | flags, message.keywords | keywords
            elif operation == 2:
                after = message.flags & ~flags, message.keywords & ~keywords
            elif operation == 3:
                after = flags, keywords
            else:
                payload.damaged(6, f"operation {operation}")
            if after != before:
                message.flags, message.keywords = after
                message.modseq = box.highest_modseq = number

    def name_keyword(self, payload, number):
        mailbox, bit = payload.unpack("IB", 0)
        if box := self.mailboxes.get(mailbox):
            if bit == len(box.keywords) < 64:
                box.keywords = [*box.keywords, payload.text(5)]

    def expunge(self, payload, number, marked=False):
        if box := self.mailboxes.get(payload.number("I", 0)):
            for first, last in ranges(payload, 4):
                uids = range(first, min(last, box.uid_next - 1) + 1)
                stays = {uid for uid in uids if marked and uid in box.messages and not box.messages[uid].flags & DELETED}
                box.expunge([uid for uid in uids if uid not in stays], number)
            box.highest_modseq = number

    def expunge_marked(self, payload, number):
        self.expunge(payload, number, True)

    def rename(self, payload, number):
        length = payload.number("I", 0)
        old, new = payload.part(4, length).text(0), payload.text(4 + length)

        def renamed(name):
            return new + name[len(old) :] if name == old or name.startswith(old + "/") else None

        for box in self.mailboxes.values():
            if renamed(box.name):
                box.name = renamed(box.name)
                self.take_subscription(box)
        taken = {box.name for box in self.mailboxes.values()}
        for mailbox, name in sorted(self.names.items(), key=lambda item: item[1]):
            if name := renamed(name):
                del self.names[mailbox]
                if name not in taken and name not in self.names.values():
                    self.names[mailbox] = name

    def delete(self, payload, number):
        box = self.mailboxes.pop(payload.number("I", 0), None)
        if box and box.subscribed:
            self.names[box.id] = box.name

    def subscribe(self, payload, number):
        mailbox, on = payload.unpack("IB", 0)
        if box := self.mailboxes.get(mailbox):
            box.subscribed = on == 1
        elif on == 1:
            if payload.text(5) not in {box.name for box in self.mailboxes.values()}:
                self.names[mailbox] = payload.text(5)
        else:
            self.names.pop(mailbox, None)

    def copy(self, payload, number, move=False):
        source, target, first, pairs = payload.unpack("IIIB", 0)
        source, target = self.mailboxes.get(source), self.mailboxes.get(target)
        wanted = ranges(payload, 13 + 2 * pairs)
        if not source or not target:
            return
        pairs = [payload.unpack("BB", 13 + 2 * each) for each in range(pairs)]
        copied = []
        for place, uid in list(source.within(wanted)):
            copy_uid = first + place if first else uid
            if copy_uid >= target.uid_next:
                message = SimpleNamespace(**vars(source.messages[uid]))
                message.modseq = number
                message.keywords = sum({1 << to for bit, to in pairs if message.keywords >> bit & 1})
                target.add(copy_uid, message, number)
                copied.append(uid)
        if first:
            target.uid_next = max(target.uid_next, first + sum(last - low + 1 for low, last in wanted))
        if move:
            source.expunge(copied, number)

    def move(self, payload, number):
        self.copy(payload, number, True)

    def see_recent(self, payload, number):
        mailbox, uid = payload.unpack("II", 0)
        if box := self.mailboxes.get(mailbox):
            box.recent_from = max(box.recent_from, uid)


CHANGES = {
    1: Account.create, 2: Account.append, 3: Account.append_body, 4: Account.change_flags, 5: Account.name_keyword,
    6: Account.expunge, 7: Account.rename, 8: Account.delete, 9: Account.subscribe, 10: Account.copy,
    11: Account.move, 12: Account.create_subscribed, 13: Account.expunge_marked, 16: Account.see_recent,
}


def ranges(payload, at):
    """Pairs of UIDs from there to the end."""
    count = (len(payload) - at) // 4
    numbers = payload.unpack(f"{count}I", at)
    return list(zip(numbers[::2], numbers[1::2]))


def partition(account):
    z = (account + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return (z ^ z >> 31) % 1024


# --- What is printed ---


def date_of(date):
    """As INTERNALDATE shows it."""
    moment = time.gmtime(date.seconds + 60 * date.offset_minutes)
    month = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[moment.tm_mon - 1]
    sign, minutes = "-" if date.offset_minutes < 0 else "+", abs(date.offset_minutes)
    clock = f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}"
    day = f"{moment.tm_mday:2}-{month}-{moment.tm_year:04}"
    return f"{day} {clock} {sign}{minutes // 60:02}{minutes % 60:02}"


def message_of(uid, message, keywords):
    shown = {
        "uid": uid,
        "modseq": message.modseq,
        "flags": [flag for bit, flag in enumerate(FLAGS) if message.flags >> bit & 1],
        "keywords": [name for bit, name in enumerate(keywords) if message.keywords >> bit & 1],
        "size": message.record.size if message.record else message.size,
        "internal_date": date_of(message.date),
    }
    if record := message.record:
        shown |= {
            "saved_at": record.saved_at,
            "email_id": f"{record.email_id:016x}",
            "thread_id": f"{record.thread_id:016x}",
            "content_hash": record.content_hash.hex(),
            "delivery": record.delivery and vars(record.delivery),
        }
    if details := message.details:
        shown |= {name: getattr(details, name) for name in ("subject", "sender", "base_subject", "message_id")}
        shown |= {"references": details.references, "parts": [list(vars(part).values()) for part in details.parts]}
        shown |= {name: getattr(details, name).decode("latin-1") for name in ("envelope", "bodystructure")}
    if message.text is not None:
        shown["text_sha256"] = hashlib.sha256(message.text.text(0).encode()).hexdigest()
    if message.raw is not None:
        shown["sha256"] = hashlib.sha256(message.raw.octets).hexdigest()
        if message.record and (shown["sha256"], len(message.raw)) != (shown["content_hash"], shown["size"]):
            message.raw.damaged(0, f"the message with UID {uid} is not of its record's hash and size")
    return shown


def mailbox_of(box):
    named = ("id", "name", "uid_validity", "uid_next", "highest_modseq", "subscribed", "keywords", "recent_from")
    return {name: getattr(box, name) for name in named} | {
        "special_use": SPECIAL_USE[box.special_use],
        "messages": [message_of(uid, message, box.keywords) for uid, message in sorted(box.messages.items())],
        "vanished": sorted(box.vanished.items()),
    }


def account_of(number, folder, changes, known, findings):
    """An account's part of the document; what is damaged is said, and left out."""
    shown = {"id": number, "name": known.get("name"), "aliases": known.get("aliases", [])}
    try:
        account = Account(number, folder)
        for change in sorted(changes, key=lambda change: change.number):
            account.apply(change)
        boxes = sorted(account.mailboxes.values(), key=lambda box: box.name)
        shown |= {
            "last_change": account.at,
            "changes": account.changes,
            "mailboxes": [mailbox_of(box) for box in boxes],
            "subscribed_names": sorted(account.names.values()),
        }
    except Damage as damage:
        findings.append(damage)
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        try:
            if HEX_NAME.fullmatch(name):
                sealed(os.path.join(folder, name))
        except Damage as damage:
            findings.append(damage)
    return shown


def main(root):
    findings, known, epoch, changes = [], {}, None, {}
    if os.path.exists(path := os.path.join(root, "LOCK")):
        lock = open(path, "rb")
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{path}: a server runs on this folder", file=sys.stderr)
            return 1
    try:
        if os.path.exists(path := os.path.join(root, "directory")):
            known = directory(path)
    except Damage as damage:
        findings.append(damage)
    try:
        epoch, changes = log_records(os.path.join(root, "log"), findings)
    except Damage as damage:
        findings.append(damage)
    folders = {}
    for path, _, _ in os.walk(os.path.join(root, "accounts")):
        if re.fullmatch(r"[0-9a-f]{16}", os.path.basename(path)):
            folders[int(os.path.basename(path), 16)] = path
    accounts = []
    for number in sorted(set(folders) | set(known) | set(changes)):
        folder = os.path.join(root, "accounts", f"{partition(number):03x}", f"{number:016x}")
        if folders.get(number, folder) != folder:
            findings.append(Damage(folders[number], 0, f"the partition of this account is {partition(number):03x}"))
        account = account_of(number, folder, changes.get(number, []), known.get(number, {}), findings)
        accounts.append(account)
    json.dump({"epoch": epoch, "accounts": accounts}, sys.stdout)
    for line in dict.fromkeys(map(str, findings)):
        print(line, file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
