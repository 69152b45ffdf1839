"""Tells readers what was applied. A reader that falls behind is told to read everything anew: it
never makes the writer wait, and never holds more than its limit in memory. Knows no event loop:
a reader is woken through a callable of its own.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from manager.state.changes import Event, StoredObject

DEFAULT_LIMIT = 10_000
"""Events that a reader may leave unread before it gets a resync instead."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The events of one command that a reader wanted to see."""

    version: int
    events: tuple[Event, ...]


class Subscription:
    """One reader's unread commits."""

    def __init__(
        self, match: Callable[[Event], bool], wake: Callable[[], None], limit: int
    ) -> None:
        self._match = match
        self._wake = wake
        self._limit = limit
        self._unread: deque[Commit] = deque()
        self._count = 0
        self._behind = False

    def take(self) -> list[Commit] | None:
        """Everything unread, oldest first; None once after some of it had to be dropped.

        After None the reader takes the present state of the store as its new start.
        """
        if self._behind:
            self._behind = False
            return None
        unread = list(self._unread)
        self._unread.clear()
        self._count = 0
        return unread

    def offer(self, version: int, events: Iterable[Event]) -> None:
        """Adds a commit, or drops everything if the reader is too far behind."""
        wanted = tuple(event for event in events if self._match(event))
        if not wanted:
            return
        if self._behind:
            return
        self._count += len(wanted)
        if self._count > self._limit:
            self.resync()
            return
        self._unread.append(Commit(version, wanted))
        self._wake()

    def resync(self) -> None:
        """Makes the reader start anew, as after a snapshot replaced the whole store."""
        self._unread.clear()
        self._count = 0
        self._behind = True
        self._wake()


def of(*kinds: type[StoredObject]) -> Callable[[Event], bool]:
    """Matches events of objects of these kinds."""
    return lambda event: type(event.object) in kinds


class WatchHub:
    """Fans commits out to subscriptions."""

    def __init__(self) -> None:
        # In the order of their coming, so that the same events wake readers in the same order.
        self._subscriptions: dict[Subscription, None] = {}

    def subscribe(
        self,
        wake: Callable[[], None],
        *,
        match: Callable[[Event], bool] = lambda _: True,
        limit: int = DEFAULT_LIMIT,
    ) -> Subscription:
        """A subscription to every event that `match` accepts; `wake` must not block."""
        subscription = Subscription(match, wake, limit)
        self._subscriptions[subscription] = None
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Ends a subscription; harmless if it has ended already."""
        self._subscriptions.pop(subscription, None)

    def publish(self, version: int, events: Iterable[Event]) -> None:
        """Offers what was applied at `version` to every subscription."""
        shared = tuple(events)
        if shared:
            for subscription in list(self._subscriptions):
                subscription.offer(version, shared)

    def resync(self) -> None:
        """Makes every reader start anew."""
        for subscription in list(self._subscriptions):
            subscription.resync()
