"""Nodes in order, below branches: a level of branches for each label that tasks are spread over.

The order of branches is that of SwarmKit's decision tree: every time the one with the fewest tasks
of the service is entered. Without labels there is just one branch. Knows nothing of filters.
"""

from collections.abc import Generator
from contextlib import closing
from typing import Any

from manager.scheduler.ordered import Ordered

Rank = tuple[bool, int, int]
"""Whether tasks like this kept failing there, tasks of the service, tasks in all: least is best."""

Path = tuple[str, ...]
"""The values of a node's labels, outermost first; empty for a label that it lacks."""


class _Branch:
    """The nodes with one value of a label: more branches, or in the last ones the nodes."""

    __slots__ = ("above", "branches", "count", "order", "value")

    def __init__(self, value: str = "", above: "_Branch | None" = None) -> None:
        self.value = value
        self.above = above
        self.branches: dict[str, _Branch] = {}
        self.order: Ordered[Any] = Ordered()  # of branches, or of nodes in the last ones
        self.count = 0  # tasks of the service on all nodes below, also those that take no more

    def twin(self, above: "_Branch | None" = None) -> "_Branch":
        """Another one like it, down to the nodes."""
        made = _Branch(self.value, above)
        made.order = self.order.twin()
        made.count = self.count
        made.branches = {value: each.twin(made) for value, each in self.branches.items()}
        return made

    def rise(self) -> None:
        """Something in it has changed: it may have another place among its like."""
        branch = self
        while (above := branch.above) is not None:
            first = branch.order.first()
            if first is None:
                above.order.drop(branch.value)
            else:
                # The best of its nodes decides between branches that are even.
                above.order.put(branch.value, (first[0][0], branch.count, first))
            branch = above

    def ascending(self) -> Generator[str, None, None]:
        """The nodes below, the best branch first; close it before anything changes."""
        with closing(self.order.ascending()) as names:
            if not self.branches:
                yield from names
                return
            for value in names:
                with closing(self.branches[value].ascending()) as below:
                    yield from below


class Tree:
    """Names of nodes in order."""

    def __init__(self) -> None:
        self._root = _Branch()
        self._changed: dict[_Branch, None] = {}  # last branches that have yet to rise

    def twin(self) -> "Tree":
        """Another one like it, which then changes by itself; a few ns for each node."""
        self._settle()
        made = Tree()
        made._root = self._root.twin()
        return made

    def put(self, path: Path, name: str, place: Rank) -> None:
        """Adds the node at the path, or gives it another place."""
        branch = self._branch(path) if path else self._root
        branch.order.put(name, place)
        if path:
            self._changed[branch] = None

    def drop(self, path: Path, name: str) -> None:
        """Takes the node out, if it is there."""
        branch = self._branch(path)
        branch.order.drop(name)
        self._changed[branch] = None

    def add(self, path: Path, delta: int) -> None:
        """So many more tasks of the service are at the path."""
        branch = self._branch(path)
        self._changed[branch] = None
        while branch.above is not None:
            branch.count += delta
            branch = branch.above

    def counts(self, path: Path) -> list[int]:
        """The tasks of the service in the branches along the path, outermost first."""
        branch, counts = self._branch(path), []
        while branch.above is not None:
            counts.append(branch.count)
            branch = branch.above
        return counts[::-1]

    def first(self) -> str | None:
        """The best node."""
        if self._changed:
            self._settle()
        branch = self._root
        while (first := branch.order.first()) is not None:
            if not branch.branches:
                return first[1]
            branch = branch.branches[first[1]]
        return None

    def ascending(self) -> Generator[str, None, None]:
        """All nodes, the best branch first; close it before anything changes."""
        self._settle()
        return self._root.ascending()

    def foremost(self, count: int) -> list[str]:
        """The first nodes of the best branches; the better a branch, the more of them."""
        self._settle()
        return _foremost(self._root, count)

    def _settle(self) -> None:
        while self._changed:
            self._changed.popitem()[0].rise()

    def _branch(self, path: Path) -> _Branch:
        branch = self._root
        for value in path:
            found = branch.branches.get(value)
            if found is None:
                found = branch.branches[value] = _Branch(value, branch)
            branch = found
        return branch


def _foremost(branch: _Branch, count: int) -> list[str]:
    names: list[str] = []
    with closing(branch.order.ascending()) as ordered:
        for name in ordered:
            below = branch.branches.get(name)
            left = count - len(names)
            names += [name] if below is None else _foremost(below, (left + 1) // 2)
            if len(names) >= count:
                break
    return names
