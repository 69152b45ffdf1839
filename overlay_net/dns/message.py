"""DNS questions read, and answers written, by hand (RFC 1035, 6891). Pure.

A question that cannot be read raises MessageError and nothing else, whatever the bytes. Only what
this server needs is understood: one question, and an OPT record behind it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from overlay_net.dns.names import MAX_LABEL, MAX_NAME, Name

HEADER = 12
PLAIN_UDP = 512
"""Bytes of an answer by UDP to one who says nothing of EDNS (RFC 1035, 4.2.1)."""
MAX_UDP = 4096
"""Bytes of any answer by UDP. It never leaves the host, so nothing fragments it."""

A, NS, SOA, PTR, AAAA, SRV, OPT, IXFR, AXFR, MAILB, MAILA, ANY = (
    1, 2, 6, 12, 28, 33, 41, 251, 252, 253, 254, 255,
)  # fmt: skip
IN = 1

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16

QR, AA, TC, RD, RA, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
OPCODE = 0x7800
_DO = 0x8000
_POINTER = 0xC0

_header = struct.Struct("!HHHHHH")
_pair = struct.Struct("!HH")
_fixed = struct.Struct("!HHIH")


class MessageError(Exception):
    """No question that can be answered. `rcode`: what to tell the sender; None: nothing at all."""

    def __init__(self, rcode: int | None, why: str) -> None:
        super().__init__(why)
        self.rcode = rcode


@dataclass(frozen=True, slots=True)
class Edns:
    """What the sender's OPT record says: bytes it takes by UDP, version, and whether DO is set."""

    size: int
    version: int
    dnssec: bool


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `raw` is the whole message, `question` the part that answers repeat."""

    raw: bytes
    id: int
    flags: int
    question: bytes
    name: Name
    type: int
    klass: int
    edns: Edns | None

    def udp_limit(self) -> int:
        """The most bytes an answer by UDP may have."""
        return PLAIN_UDP if self.edns is None else min(max(self.edns.size, PLAIN_UDP), MAX_UDP)


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record of a message lies: its fixed part (type first) and its data."""

    type: int
    klass: int
    ttl: int
    fixed: int
    data: int
    end: int

    @property
    def ttl_at(self) -> int:
        """Where its time to live is."""
        return self.fixed + 4


def parse(data: bytes) -> Query:
    """The question in `data`. MessageError for all else, also for answers."""
    if len(data) < HEADER:
        raise MessageError(None, "shorter than a header")
    ident, flags, questions, *others = _header.unpack_from(data)
    if flags & QR:
        raise MessageError(None, "an answer")  # answered, it could go to and fro for ever
    if flags & OPCODE:
        raise MessageError(NOTIMP, "no standard query")
    if questions != 1 or flags & TC:
        raise MessageError(FORMERR, "not one whole question")
    end = name_end(data, HEADER)
    type_, klass = _unpack_pair(data, end + 1)
    edns = _edns(data, end + 5, others)
    name = data[HEADER:end].lower()
    return Query(data, ident, flags, data[HEADER : end + 5], name, type_, klass, edns)


def name_end(data: bytes, at: int) -> int:
    """Where the empty label is that ends the name at `at`, which may not be compressed."""
    begin, size = at, len(data)
    while at < size:
        length = data[at]
        if not length:
            return at
        if length > MAX_LABEL:
            raise MessageError(FORMERR, "a compressed question")
        at += 1 + length
        if at - begin > MAX_NAME:
            raise MessageError(FORMERR, "an overlong name")
    raise MessageError(FORMERR, "cut off in a name")


def records(data: bytes, at: int, count: int) -> Iterator[Record]:
    """`count` records from `at` on. MessageError when one is not whole."""
    for _ in range(count):
        fixed = _after_name(data, at)
        if fixed + _fixed.size > len(data):
            raise MessageError(FORMERR, "cut off in a record")
        type_, klass, ttl, length = _fixed.unpack_from(data, fixed)
        begin = fixed + _fixed.size
        at = begin + length
        if at > len(data):
            raise MessageError(FORMERR, "cut off in a record's data")
        yield Record(type_, klass, ttl, fixed, begin, at)


def reply(
    query: Query,
    rcode: int = NOERROR,
    *,
    answers: tuple[int, bytes] = (0, b""),
    authority: bytes = b"",
    flags: int = AA,
) -> bytes:
    """An answer: so many records and their bytes, and one or no record of authority."""
    flags |= QR | RA | query.flags & (RD | CD) | rcode & 0xF
    opt = b"" if query.edns is None else opt_record(query.edns.dnssec, rcode >> 4)
    counts = (1, answers[0], 1 if authority else 0, 1 if opt else 0)
    return b"".join(
        (_header.pack(query.id, flags, *counts), query.question, answers[1], authority, opt)
    )


def failure(data: bytes, rcode: int) -> bytes:
    """An answer to what could not be read beyond its header."""
    ident, flags = _pair.unpack_from(data)
    return _header.pack(ident, QR | RA | flags & (OPCODE | RD) | rcode, 0, 0, 0, 0)


def opt_record(dnssec: bool, extended_rcode: int = 0) -> bytes:
    """Our OPT record: version 0, the sender's DO given back (RFC 3225)."""
    return struct.pack("!BHHBBHH", 0, OPT, MAX_UDP, extended_rcode, 0, _DO if dnssec else 0, 0)


def record(type_: int, ttl: int, data: bytes, *, owner: bytes = b"\xc0\x0c") -> bytes:
    """A record of class IN; its owner is the name asked for if nothing else is said."""
    return owner + _fixed.pack(type_, IN, ttl, len(data)) + data


def _edns(data: bytes, at: int, counts: list[int]) -> Edns | None:
    """Reads over the other sections, which must end where the message does."""
    found: Edns | None = None
    for each in records(data, at, sum(counts)):
        if each.type == OPT:
            if found is not None or each.fixed - at > 1:
                raise MessageError(FORMERR, "more than one OPT record, or one with a name")
            found = Edns(each.klass, each.ttl >> 16 & 0xFF, bool(each.ttl & _DO))
        at = each.end
    if at != len(data):
        raise MessageError(FORMERR, "something behind the end")
    return found


def _after_name(data: bytes, at: int) -> int:
    """Steps over a name, which may end in a pointer; follows none, so it cannot go round."""
    size = len(data)
    while at < size:
        length = data[at]
        if not length:
            return at + 1
        if length >= _POINTER:
            return at + 2
        if length > MAX_LABEL:
            break
        at += 1 + length
    raise MessageError(FORMERR, "a name that does not end")


def _unpack_pair(data: bytes, at: int) -> tuple[int, int]:
    if at + _pair.size > len(data):
        raise MessageError(FORMERR, "cut off in the question")
    first, second = _pair.unpack_from(data, at)
    return first, second
