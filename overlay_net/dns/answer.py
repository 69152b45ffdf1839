"""Answers of our own, made once and given many times. Pure.

The records of an answer begin at another one each time, so that clients which take the first one
spread over all. Records name their owner by a pointer to the question, so one answer serves every
spelling.
"""

import bisect
import itertools
import struct
from collections.abc import Sequence

from overlay_net.dns.message import (
    AA,
    CD,
    HEADER,
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

_MAX_RECORDS = 0xFFFF
"""As many as can be counted; far fewer fit."""


class Answer:
    """The records for one name and type; none means that the name exists all the same."""

    __slots__ = ("_authority", "_bytes", "_count", "_heads", "_size", "_starts", "_turn")

    def __init__(self, records: Sequence[bytes]) -> None:
        records = records[:_MAX_RECORDS]
        self._count = len(records)
        # Twice, so that all of them in any turn are one piece.
        self._bytes = b"".join(records) * 2
        self._starts = [0, *itertools.accumulate(map(len, itertools.chain(records, records)))]
        self._turn = 0
        self._authority = b"" if records else _OWN_ZONE
        self._size = self._starts[self._count] + len(self._authority)
        counts = struct.pack("!HHH", 1, self._count, 1 - bool(records))
        self._heads = [struct.pack("!H", QR | AA | RA | rd) + counts for rd in (0, RD)]

    def to(self, query: Query, limit: int) -> bytes:
        """The answer in at most `limit` bytes: what does not fit is left out, and TC says so.

        What fits is there all the same, for old clients that know no TCP.
        """
        bare = len(reply(query))
        if bare + self._size <= limit:
            records = self._next(self._count)
            return reply(query, answers=(self._count, records), authority=self._authority)
        until = self._starts[self._turn] + limit - bare
        fitting = bisect.bisect_right(self._starts, until) - 1 - self._turn
        return reply(query, answers=(fitting, self._next(fitting)), flags=AA | TC)

    def _next(self, count: int) -> bytes:
        """So many records, beginning with another one each time."""
        turn = self._turn
        if self._count > 1:
            self._turn = (turn + 1) % self._count
        return self._bytes[self._starts[turn] : self._starts[turn + count]]

    def quick(self, data: bytes, end: int) -> bytes | None:
        """`to` for a question that is nothing but plain, whose name ends at `end`; else None.

        data[12:end + 5] is known to be well-formed, for it is in a table of ours.
        """
        flags = data[2]
        if flags > 1 or data[3] & CD:
            return None
        tail = data[4:12]
        if tail == _PLAIN_TAIL and len(data) == end + 5:
            opt, arcount = b"", b"\0\0"
        elif (
            tail == _EDNS_TAIL
            and len(data) == end + 5 + _EDNS_LENGTH
            and data.startswith(_EDNS_BEGIN, end + 5)
            and not data[end + 11]  # version
        ):
            arcount = b"\0\x01"
            opt = _OPT_DNSSEC if data[end + 12] & 0x80 else _OPT
        else:
            return None
        question = data[HEADER : end + 5]
        if end + 5 + self._size + len(opt) > PLAIN_UDP:
            return None
        records = self._next(self._count)
        head = self._heads[flags]
        return b"".join((data[:2], head, arcount, question, records, self._authority, opt))


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
