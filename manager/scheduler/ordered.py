"""Names in the order of keys that keep changing: a heap in which old entries are left behind."""

import heapq
from collections.abc import Generator
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=tuple[Any, ...])


class Ordered(Generic[K]):
    """Each name has one key; equal keys are ordered by name. Changes cost what a heap's do."""

    __slots__ = ("_heap", "_keys")

    def __init__(self) -> None:
        self._keys: dict[str, K] = {}
        self._heap: list[tuple[K, str]] = []  # entries whose name has another key now are skipped

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    def twin(self) -> "Ordered[K]":
        """Another one like it, which then changes by itself."""
        made: Ordered[K] = Ordered()
        made._keys = self._keys.copy()
        made._heap = self._heap.copy()
        return made

    def put(self, name: str, key: K) -> None:
        """Adds the name, or gives it another key."""
        if self._keys.get(name) == key:
            return
        self._keys[name] = key
        if self._heap and self._heap[0][1] == name:  # as of a node that was just given a task
            heapq.heapreplace(self._heap, (key, name))
            return
        heapq.heappush(self._heap, (key, name))
        if len(self._heap) > 4 * len(self._keys) + 64:
            self._heap = [(key, name) for name, key in self._keys.items()]
            heapq.heapify(self._heap)

    def drop(self, name: str) -> None:
        """Takes the name out, if it is there."""
        self._keys.pop(name, None)

    def first(self) -> tuple[K, str] | None:
        """The smallest key, and its name."""
        heap, keys = self._heap, self._keys
        while heap and keys.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0] if heap else None

    def ascending(self) -> Generator[str, None, None]:
        """The names from the smallest key on; close it before anything changes."""
        taken: list[tuple[K, str]] = []
        try:
            while (entry := self.first()) is not None:
                heapq.heappop(self._heap)
                if taken and entry == taken[-1]:
                    continue  # the name had this key before, lost it, and has it again
                taken.append(entry)
                yield entry[1]
        finally:
            for entry in taken:
                heapq.heappush(self._heap, entry)
