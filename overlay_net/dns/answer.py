"""Answers of our own, made once and given many times. Pure.

The records of an answer begin at another one each time, so that clients which take the first one
spread over all. Records name their owner by a pointer to the question, so one answer serves every
spelling.
"""

import itertools
import struct
from collections.abc import Sequence

from overlay_net.dns.message import (
    AA,
    CD,
    IN,
    MAX_UDP,
    NXDOMAIN,
    OPT,
    PLAIN_UDP,
    QR,
    RA,
    RD,
    SOA,
    TC,
    Query,
    record,
    reply,
)
from overlay_net.dns.names import Name, first_label_end

VIRTUAL_TTL = 5
"""Seconds. A virtual address lasts as long as its service; one made anew has another address."""
TASK_TTL = 1
"""Seconds. Tasks come and go; asking again costs microseconds, a stale address costs a time-out.
Not 0, which some caches take for a fault. (Docker's 600 s outlive most updates.)"""
NEGATIVE_TTL = 1
"""Seconds. Who asks for a service before it is there shall find it when it is."""

_SOA_DATA = b"\0\0" + struct.pack("!IIIII", 1, 60, 60, 60, NEGATIVE_TTL)
_OWN_ZONE = record(SOA, NEGATIVE_TTL, _SOA_DATA)

_PLAIN_TAIL = b"\0\x01\0\0\0\0\0\0"
_EDNS_TAIL = b"\0\x01\0\0\0\0\0\x01"
_EDNS_BEGIN = b"\0" + struct.pack("!H", OPT)
_EDNS_LENGTH = 11


class Answer:
    """The records for one name and type; none means that the name exists all the same."""

    __slots__ = ("_authority", "_bytes", "_count", "_heads", "_starts", "_turn")

    def __init__(self, records: Sequence[bytes]) -> None:
        self._count = len(records)
        self._bytes = b"".join(records) * 2
        self._starts = [0, *itertools.accumulate(len(each) for each in records)]
        self._turn = 0
        self._authority = b"" if records else _OWN_ZONE
        counts = struct.pack("!HHH", 1, self._count, 1 - bool(records))
        self._heads = [struct.pack("!H", QR | AA | RA | rd) + counts for rd in (0, RD)]

    def records(self) -> bytes:
        """All of them, beginning with the next one in turn."""
        turn = self._turn
        if self._count > 1:
            self._turn = (turn + 1) % self._count
        begin = self._starts[turn]
        return self._bytes[begin : begin + self._starts[-1]]

    def to(self, query: Query, limit: int) -> bytes:
        """The answer in at most `limit` bytes: what does not fit is left out, and TC says so."""
        whole = reply(query, answers=(self._count, self.records()), authority=self._authority)
        if len(whole) <= limit:
            return whole
        room = limit - (len(whole) - self._starts[-1])
        fitting = max(0, sum(start <= room for start in self._starts) - 1)
        part = self._bytes[: self._starts[fitting]]
        return reply(query, answers=(fitting, part), flags=AA | TC)

    def quick(self, data: bytes, end: int) -> bytes | None:
        """`to` for a question that is nothing but plain, whose name ends at `end`; else None.

        data[12:end + 5] is known to be well-formed, for it is in a table of ours.
        """
        flags = data[2]
        if flags > 1 or data[3] & CD:
            return None
        tail = data[4:12]
        if tail == _PLAIN_TAIL and len(data) == end + 5:
            limit, opt, arcount = PLAIN_UDP, b"", b"\0\0"
        elif (
            tail == _EDNS_TAIL
            and len(data) == end + 5 + _EDNS_LENGTH
            and data.startswith(_EDNS_BEGIN, end + 5)
            and not data[end + 11]  # version
        ):
            limit, arcount = PLAIN_UDP, b"\0\x01"
            opt = _OPT_DNSSEC if data[end + 12] & 0x80 else _OPT
        else:
            return None
        head = self._heads[flags]
        whole = b"".join(
            (data[:2], head, arcount, data[12 : end + 5], self.records(), self._authority, opt)
        )
        return whole if len(whole) <= limit else None


def absent(query: Query) -> bytes:
    """That there is no such name, said with the authority of its parent."""
    at = first_label_end(query.name)
    parent = struct.pack("!H", 0xC000 | 12 + at) if at < len(query.name) else b"\0"
    return reply(query, NXDOMAIN, authority=record(SOA, NEGATIVE_TTL, _SOA_DATA, owner=parent))


def address_records(type_: int, addresses: Sequence[bytes], ttl: int) -> list[bytes]:
    """A or AAAA records."""
    return [record(type_, ttl, address) for address in addresses]


def pointer(type_: int, prefix: bytes, target: Name, ttl: int) -> bytes:
    """A PTR record, or with a prefix of priority, weight and port an SRV record."""
    return record(type_, ttl, prefix + target + b"\0")


_OPT = struct.pack("!BHHIH", 0, OPT, MAX_UDP, 0, 0)
_OPT_DNSSEC = struct.pack("!BHHIH", 0, OPT, MAX_UDP, 0x8000, 0)

QUESTION_TAIL = struct.Struct("!HH")


def tail(type_: int) -> bytes:
    """What follows a name in a question of class IN: its end, type and class."""
    return b"\0" + QUESTION_TAIL.pack(type_, IN)
