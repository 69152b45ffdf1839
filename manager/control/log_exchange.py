"""Where clients that read logs and agents that send them meet, within one process.

Nothing is stored: lines wait in a bounded queue per client, and while it is full the agents that
fill it are not read from, so that gRPC's flow control holds them back.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from api.errors import Code, SwarmError
from api.v1 import logs_pb2
from hostkit.clock import Clock
from manager.control.listener import Listener, Listeners
from manager.control.log_routing import Route
from manager.state.store import View
from manager.waiting import until_due

MAX_LINES = 1000
MAX_BYTES = 1 << 20
"""What waits for one client before its agents must; the last message may go beyond."""
BATCH_LINES = 100
BATCH_WAIT = 0.02
"""A batch goes to the client with so many lines, or so many seconds after its first."""


class Waiting(NamedTuple):
    """How much waits for one client."""

    lines: int
    bytes: int


class Reading:
    """One client: its route, the lines that wait for it, and the agents that send them."""

    def __init__(self, route: Route, view: View, monotonic: Clock) -> None:
        self.route = route
        self._view = view
        self._monotonic = monotonic
        self._lines: deque[logs_pb2.LogMessage] = deque()
        self._bytes = 0
        self._first_at = 0.0
        self._changed = True
        self._woken = asyncio.Event()
        self._room = asyncio.Event()
        self._publishers: dict[str, asyncio.Timeout] = {}
        self._ended: SwarmError | None = None

    def store_changed(self) -> None:
        """Something that concerns the route changed."""
        self._changed = True
        self._woken.set()

    def take_changed(self) -> bool:
        """Whether the route is to be updated from the store."""
        changed, self._changed = self._changed, False
        return changed

    async def wait(self) -> None:
        """Returns when there is something to do for the client; raises what ended it."""
        await until_due(self._woken, self._due, self._monotonic)
        if self._ended is not None:
            raise self._ended
        self.route.tick(self._view, self._monotonic())

    def batch(self) -> logs_pb2.LogBatch | None:
        """The next batch, if there is anything in it."""
        made = logs_pb2.LogBatch(warnings=self.route.take_warnings())
        size = 0
        while self._lines and len(made.messages) < BATCH_LINES and size < MAX_BYTES:
            line = self._lines.popleft()
            size += line.ByteSize()
            made.messages.append(line)
        self._bytes -= size
        self._room.set()
        return made if made.messages or made.warnings else None

    def waiting(self) -> Waiting:
        """What waits for the client."""
        return Waiting(len(self._lines), self._bytes)

    def is_finished(self) -> bool:
        """Whether the client has everything."""
        return not self._lines and self.route.is_finished(self._view)

    async def put(self, lines: Sequence[logs_pb2.LogMessage]) -> None:
        """Adds lines in their order, once there is room."""
        while self._bytes >= MAX_BYTES or len(self._lines) >= MAX_LINES:
            self._room.clear()
            await self._room.wait()
        if lines and not self._lines:
            self._first_at = self._monotonic()
        self._lines.extend(lines)
        self._bytes += sum(line.ByteSize() for line in lines)
        self._woken.set()

    def done(self, node_id: str, error: str) -> None:
        """The node has sent all it has, or says why it could not."""
        self.route.done(self._view, node_id, error)
        self._woken.set()

    @contextmanager
    def publishing(self, node_id: str, limit: asyncio.Timeout) -> Iterator[None]:
        """While a node's stream for this client is open. Its `limit` fires when it is to end."""
        self.hush(node_id)
        self._publishers[node_id] = limit
        try:
            yield
        finally:
            if self._publishers.get(node_id) is limit:
                del self._publishers[node_id]
                self.route.broke(self._view, node_id)
                self._woken.set()

    def hush(self, node_id: str) -> None:
        """Ends the node's stream for this client, if one is open."""
        if (limit := self._publishers.pop(node_id, None)) is not None:
            _fire(limit)

    def wake(self) -> None:
        """There may be something to do for the client."""
        self._woken.set()

    def end(self, error: SwarmError) -> None:
        """The client is gone, or must go: agents stop to send."""
        self._ended = self._ended or error
        self._woken.set()
        for limit in self._publishers.values():
            _fire(limit)

    def _due(self) -> float | None:
        if self._changed or self._ended is not None or self.is_finished():
            return 0.0
        if self.route.has_warnings or len(self._lines) >= BATCH_LINES:
            return 0.0
        due = [self.route.due(), self._first_at + BATCH_WAIT if self._lines else None]
        return min((moment for moment in due if moment is not None), default=None)


class LogExchange:
    """All clients and all agents."""

    def __init__(self, view: View, monotonic: Clock) -> None:
        self._view = view
        self._monotonic = monotonic
        self._readings: dict[str, Reading] = {}
        self._listeners = Listeners[logs_pb2.Subscription]("log requests")

    def open(self, route: Route) -> Reading:
        """A client begins."""
        reading = self._readings[route.id] = Reading(route, self._view, self._monotonic)
        return reading

    def update(self, reading: Reading) -> None:
        """Asks the agents that are to be asked by now."""
        for node_id in reading.route.update(self._view, self._listeners, self._monotonic()):
            self._listeners[node_id].tell(reading.route.request(node_id))

    def close(self, reading: Reading) -> None:
        """A client left or has everything."""
        del self._readings[reading.route.id]
        reading.end(closed(reading.route.id))
        for node_id in reading.route.asked():
            over = logs_pb2.Subscription(id=reading.route.id, close=True)
            self._listeners.tell(node_id, over)

    def reading(self, subscription_id: str) -> Reading:
        """The client with this subscription; NOT_FOUND if it is closed."""
        found = self._readings.get(subscription_id)
        if found is None:
            raise closed(subscription_id)
        return found

    def listen(self, node_id: str) -> Listener[logs_pb2.Subscription]:
        """An agent begins to listen; a stream of the same node that was open ends."""
        listener = self._listeners.open(node_id)
        for reading in self._readings.values():
            reading.hush(node_id)
            if reading.route.listens(self._view, node_id, self._monotonic()):
                listener.tell(reading.route.request(node_id))
            reading.wake()
        return listener

    def leave(self, listener: Listener[logs_pb2.Subscription]) -> None:
        """An agent listens no more."""
        self._listeners.leave(listener)

    def end(self, error: SwarmError) -> None:
        """Ends every stream of clients and agents with `error`."""
        for reading in self._readings.values():
            reading.end(error)
        self._listeners.end(error)


def closed(subscription_id: str) -> SwarmError:
    """Nobody reads these logs any more."""
    return SwarmError(
        Code.NOT_FOUND,
        f"log subscription {subscription_id or '(none)'} is not open",
        why="its client left, or another manager leads now",
    )


def _fire(limit: asyncio.Timeout) -> None:
    if not limit.expired():
        limit.reschedule(asyncio.get_running_loop().time())
