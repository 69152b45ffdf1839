"""What is to be looked at, each once, in the order of its name. Pure.

So who is given what depends on the state alone, and not on what a leader has seen of its coming to
be.
"""

from heapq import heappop, heappush


class Queue:
    """Names; the lowest is taken first."""

    def __init__(self) -> None:
        self._heap: list[str] = []
        self._waiting: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, name: str) -> None:
        """Adds a name; one that waits already waits on."""
        if name not in self._waiting:
            self._waiting.add(name)
            heappush(self._heap, name)

    def take(self, count: int) -> list[str]:
        """Takes out so many at most, the lowest first."""
        number = min(count, len(self._waiting))
        taken = [heappop(self._heap) for _ in range(number)]
        self._waiting.difference_update(taken)
        return taken
