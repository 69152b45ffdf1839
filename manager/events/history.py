"""The events that a manager remembers: those of the last commands of the log, in its order.

Bounded: the oldest are forgotten. A reader keeps his own place and comes for what lies behind it,
so that a slow one makes nobody wait and costs nothing; if what he wants was forgotten meanwhile he
is told so. While a command is applied the objects are only noted, since every write waits for that;
what happened to them is told soon after, in `settle`. Knows no clock and no event loop.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from api.times import NANOS
from manager.events.kinds import Happening, events_of
from manager.state.changes import Event

MAX_EVENTS = 10_000
MAX_BYTES = 5 << 20
"""What is remembered at most, by an estimate of the memory that it takes."""
MAX_NOTED = 4_000
"""Changes that may wait to be told; beyond, telling keeps up. Their objects take some 3 KB each."""
PIECE = 200
"""Changes that are told in one step: some milliseconds."""
LAST = 2**32 - 1
"""Stands for whatever number the last event of a command has."""
_OVERHEAD = 400
_TEXT = 50
"""Bytes of an event without its texts, and of one text beside its letters, as CPython has them."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the log: at the sequence-th event of the command at this index, from 1 on."""

    index: int
    sequence: int


START = Position(0, 0)


class Kept(NamedTuple):
    """One event in its place. `at`: nanoseconds since the epoch by the clock of the proposer."""

    position: Position
    at: int
    happening: Happening


class _Noted(NamedTuple):
    """Changes of one command, of which it may have more."""

    entry: int
    at: Timestamp
    changes: Sequence[Event]
    is_last: bool


class History:
    """Fulfils manager.state.machine.Chronicle."""

    def __init__(
        self,
        *,
        limit: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
        max_noted: int = MAX_NOTED,
    ) -> None:
        self.begin = START
        """All that lies behind it is known here."""
        self.begin_at: int | None = None
        """When the last event came about that was forgotten; None if that is not known."""
        self.end = START
        """Up to where all has been told."""
        self.noted: Callable[[], None] = lambda: None
        """Is called when there begins to be something to settle; must not block."""
        self._limit, self._max_bytes, self._max_noted = limit, max_bytes, max_noted
        self._noted: deque[_Noted] = deque()
        self._waiting = 0
        self._kept: deque[Kept] = deque()
        self._bytes = 0
        self._wakes: dict[Callable[[], None], None] = {}

    def applied(self, index: int, at: Timestamp, changes: Sequence[Event]) -> None:
        """The command at `index` was applied, and did this."""
        begins = not self._noted
        for start in range(0, len(changes) or 1, PIECE):
            piece = changes[start : start + PIECE]
            self._noted.append(_Noted(index, at, piece, start + PIECE >= len(changes)))
        self._waiting += len(changes) or 1
        if self._waiting > self._max_noted:
            self.settle(2 * len(changes))
        elif begins:
            self.noted()

    def replaced(self, index: int) -> None:
        """The state was replaced by a snapshot as of `index`: what led to it is not known."""
        self._noted.clear()
        self._waiting = 0
        self._kept.clear()
        self._bytes = 0
        self.begin = self.end = Position(index, LAST) if index else START
        self.begin_at = None
        self._wake()

    def settle(self, limit: int = MAX_NOTED) -> bool:
        """Tells what was noted, until that is `limit` changes or more; whether more is left."""
        told = 0
        while self._noted and told < limit:
            noted = self._noted.popleft()
            self._waiting -= len(noted.changes) or 1
            told += len(noted.changes)
            self._tell(noted)
        while len(self._kept) > self._limit or self._bytes > self._max_bytes:
            self._forget()
        self._wake()
        return bool(self._noted)

    def reaches(self, moment: int) -> bool:
        """Whether all events from this moment on, nanoseconds since the epoch, are known."""
        if self.begin == START:
            return True
        if self.begin_at is not None:
            return moment > self.begin_at
        return bool(self._kept) and moment >= self._kept[0].at

    def after(self, position: Position, limit: int) -> list[Kept]:
        """The next events behind the position, `limit` at most."""
        if position >= self.end:
            return []
        start = bisect_right(self._kept, position, key=lambda kept: kept.position)
        return list(islice(self._kept, start, start + limit))

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls `wake`, which must not block, when more was told; returns how to end that."""
        self._wakes[wake] = None

        def end() -> None:
            self._wakes.pop(wake, None)

        return end

    def _tell(self, noted: "_Noted") -> None:
        nanos = noted.at.seconds * NANOS + noted.at.nanos
        sequence = self.end.sequence if self.end.index == noted.entry else 0
        try:
            for change in noted.changes:
                for happening in events_of(change):
                    sequence += 1
                    self._kept.append(Kept(Position(noted.entry, sequence), nanos, happening))
                    self._bytes += _size(happening)
        finally:
            self.end = Position(noted.entry, LAST if noted.is_last else sequence)

    def _forget(self) -> None:
        oldest = self._kept.popleft()
        self._bytes -= _size(oldest.happening)
        self.begin, self.begin_at = oldest.position, oldest.at

    def _wake(self) -> None:
        for wake in list(self._wakes):
            wake()


def _size(happening: Happening) -> int:
    told, labels = happening.attributes, happening.labels
    size = _OVERHEAD + _TEXT * len(told) + sum(map(len, told.values()))
    if labels:
        size += 2 * _TEXT * len(labels) + sum(map(len, labels)) + sum(map(len, labels.values()))
    return size
