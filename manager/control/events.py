"""Events: what a client asked to hear, first of what is remembered, then as it happens.

Nothing waits for a client: readers come for events at their own pace (manager/events/reader.py).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

from api.errors import Code, SwarmError
from api.v1 import events_pb2
from manager.events.history import History
from manager.events.reader import Reader
from manager.state.store import View

MAX_READERS = 64
"""Streams of events that one manager serves at a time."""
PATIENCE = 5.0
"""Seconds of silence after which a manager that has no leader lets its readers ask another."""

Clock = Callable[[], float]


class EventStreams:
    """All readers of one manager.

    `clock`: seconds since the epoch; `in_touch`: whether it hears of what happens.
    """

    def __init__(
        self, history: History, view: View, clock: Clock, in_touch: Callable[[], bool]
    ) -> None:
        self._history = history
        self._view = view
        self._clock = clock
        self._in_touch = in_touch
        self._readers = 0

    async def stream(
        self, request: events_pb2.EventsRequest, *, trusted: bool, stale: bool = False
    ) -> AsyncGenerator[events_pb2.EventsMessage, None]:
        """Messages until the client leaves, or `until` is over.

        `trusted` and `stale`: see Reader. SwarmError as Reader; EXHAUSTED where too many read;
        UNAVAILABLE once this manager is cut off from the others, but for who reads what is stale.
        """
        reader = Reader(self._history, self._view, request, trusted=trusted, stale=stale)
        with self._reading() as woken:
            yield reader.first()
            while not reader.is_done:
                woken.clear()
                message = reader.next(self._clock())
                if message is not None:
                    yield message
                if reader.has_more:
                    await asyncio.sleep(0)  # others have their turn
                elif not reader.is_done and await self._silence(woken, reader) and not stale:
                    raise _cut_off()

    async def _silence(self, woken: asyncio.Event, reader: Reader) -> bool:
        """Waits for more; whether none came for long because there is nobody to hear it from."""
        alone = not self._in_touch()
        left = reader.left(self._clock())
        limit = PATIENCE if left is None else min(left, PATIENCE)
        try:
            async with asyncio.timeout(limit):
                await woken.wait()
        except TimeoutError:
            return limit == PATIENCE and alone and not self._in_touch()
        return False

    @contextmanager
    def _reading(self) -> Iterator[asyncio.Event]:
        """Counts one reader; the event is set when there is more."""
        if self._readers >= MAX_READERS:
            raise SwarmError(
                Code.EXHAUSTED,
                f"this manager serves {MAX_READERS} streams of events already",
                remedy="end one of them, or ask another manager",
            )
        woken = asyncio.Event()
        stop = self._history.subscribe(woken.set)
        self._readers += 1
        try:
            yield woken
        finally:
            self._readers -= 1
            stop()


def _cut_off() -> SwarmError:
    return SwarmError(
        Code.UNAVAILABLE,
        "this manager does not hear what happens",
        why="it has no leader: it is cut off, or more than half of the managers are away",
        remedy="ask another manager; what this one knows: swarmctl --stale events",
    )
