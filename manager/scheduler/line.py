"""A line in which the least stands first; those that come in order, as the old do before the young,
stand there for next to nothing. Knows nothing of tasks.
"""

import heapq
from collections import deque
from typing import Any, Generic, TypeVar

E = TypeVar("E", bound=tuple[Any, ...])


class Line(Generic[E]):
    """What comes in order is kept as it came; only what comes late has to be sorted in."""

    def __init__(self) -> None:
        self._in_order: deque[E] = deque()
        self._late: list[E] = []  # a heap

    def __bool__(self) -> bool:
        return bool(self._in_order or self._late)

    def push(self, entry: E) -> None:
        """One more takes its place."""
        if self._in_order and entry < self._in_order[-1]:
            heapq.heappush(self._late, entry)
        else:
            self._in_order.append(entry)

    def pop(self) -> E:
        """Takes the least out; IndexError if there is none."""
        if not self._late or (self._in_order and self._in_order[0] < self._late[0]):
            return self._in_order.popleft()
        return heapq.heappop(self._late)
