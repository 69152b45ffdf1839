"""Generic resources: what a node's owner declared of it, and what tasks are given of that. Pure.

A kind is counted (`apple=4`) or named (`gpu=UUID1`, `gpu=UUID2`); tasks ask for so many of a kind,
and are given a number or names (SwarmKit, api/genericresource).
"""

from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

from api.v1 import types_pb2

GenericResource = types_pb2.GenericResource
Holding: TypeAlias = tuple[str, int, tuple[str, ...]]
"""Of one kind so many, or those with these names. Kept for each task that has any: a message would
keep the task alive that it came from, and Python's collector would look at it again and again.
"""


def holdings(given: Iterable[GenericResource]) -> tuple[Holding, ...]:
    """What a task was given, as a Stock counts it."""
    return tuple([(each.kind, each.count, tuple(each.ids)) for each in given])


class Stock:
    """What one node has of each kind, and what of it tasks hold."""

    __slots__ = ("_counts", "_ids", "_used", "_used_ids")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._ids: dict[str, tuple[str, ...]] = {}
        self._used: Counter[str] = Counter()
        self._used_ids: Counter[tuple[str, str]] = Counter()

    def declare(self, resources: Iterable[GenericResource]) -> None:
        """The node has these, and no others."""
        self._counts, self._ids = {}, {}
        for each in resources:
            if each.ids:
                self._ids[each.kind] = tuple(dict.fromkeys(each.ids))
            else:
                self._counts[each.kind] = each.count

    def shift(self, given: Iterable[Holding], sign: int) -> None:
        """Counts what a task was given as held (1), or as free again (-1)."""
        for kind, count, names in given:
            if names:
                for name in names:
                    self._used_ids[kind, name] += sign
                    if not self._used_ids[kind, name]:
                        del self._used_ids[kind, name]
            else:
                self._used[kind] += sign * count
                if not self._used[kind]:
                    del self._used[kind]

    def free(self, kind: str) -> int:
        """How many of the kind no task holds; negative if the node has less than it had."""
        if kind in self._ids:
            return len(self._free_ids(kind))
        return self._counts.get(kind, 0) - self._used[kind]

    def claim(self, kind: str, count: int) -> GenericResource:
        """`count` of the kind, of which so many are free; names in the order of declaration."""
        if kind in self._ids:
            return GenericResource(kind=kind, ids=self._free_ids(kind)[:count])
        return GenericResource(kind=kind, count=count)

    def _free_ids(self, kind: str) -> list[str]:
        return [name for name in self._ids[kind] if (kind, name) not in self._used_ids]
