"""Answers of other name servers, kept as long as they say and never longer. Pure.

Bounded in entries and in bytes; what was not asked for longest goes first.
"""

from collections import OrderedDict
from collections.abc import Hashable

from overlay_net.dns.message import HEADER, Query
from overlay_net.dns.replies import Reply, aged

MAX_ENTRIES = 10_000
MAX_BYTES = 8 << 20
OVERHEAD = 400
"""Bytes that an entry needs beside its data, about."""


def key(scope: Hashable, query: Query, tcp: bool) -> Hashable:
    """What has the same answer: bytes that differ in id and spelling only, and the same servers."""
    rest = query.raw[HEADER + len(query.name) :]
    return scope, tcp, query.raw[2:HEADER], query.name, rest


class Cache:
    """Times are seconds of one clock that never jumps."""

    def __init__(self, entries: int = MAX_ENTRIES, size: int = MAX_BYTES) -> None:
        self._max_entries = entries
        self._max_bytes = size
        self._entries: OrderedDict[Hashable, tuple[float, Reply]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes in all, about."""
        return self._bytes

    def get(self, wanted: Hashable, now: float) -> bytes | None:
        """What is kept for a key, its times to live less by its age."""
        entry = self._entries.get(wanted)
        if entry is None:
            return None
        since, reply = entry
        if now - since >= reply.ttl:
            self._drop(wanted)
            return None
        self._entries.move_to_end(wanted)
        return aged(reply, int(now - since))

    def put(self, wanted: Hashable, reply: Reply, now: float) -> None:
        """Keeps an answer, unless it must not be kept."""
        self._drop(wanted)
        if not reply.ttl:
            return
        self._entries[wanted] = (now, reply)
        self._bytes += OVERHEAD + len(reply.data)
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, wanted: Hashable) -> None:
        entry = self._entries.pop(wanted, None)
        if entry is not None:
            self._bytes -= OVERHEAD + len(entry[1].data)
