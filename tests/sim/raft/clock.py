"""Virtual time: milliseconds, and what happens when. Two events of one moment keep their order."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, TypeAlias

Action: TypeAlias = Callable[..., None]


class Clock:
    """A heap of actions with their arguments."""

    def __init__(self) -> None:
        self.now = 0
        self.events = 0
        self._heap: list[tuple[int, int, Action, tuple[Any, ...]]] = []
        self._scheduled = 0

    def after(self, delay: int, action: Action, *args: Any) -> None:
        """Has `action` happen `delay` ms from now."""
        self._scheduled += 1
        heappush(self._heap, (self.now + delay, self._scheduled, action, args))

    def next(self) -> None:
        """Moves to the next event and lets it happen."""
        self.now, _, action, args = heappop(self._heap)
        self.events += 1
        action(*args)
