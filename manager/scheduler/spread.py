"""Which of the nodes that can take a task gets it: the emptiest, so that tasks spread out.

The order, from best to worst: nodes where tasks like this did not keep failing, nodes with fewer
tasks of the service, nodes with fewer tasks in all, and last the smaller id, so that the same state
always gives the same choice. CPU and memory load have no part in it (SwarmKit, scheduler.go).

Both orders here are brought up to date piece by piece: whoever changes a node calls `touch`, and
`refresh` looks at so many touched nodes at a time.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from enum import Enum
from typing import Any

from manager.placement.constraint import label_of
from manager.scheduler.nodes import GroupKey, NodeInfo, NodeSet
from manager.scheduler.ordered import Ordered
from manager.scheduler.outlook import Outlook, Refused
from manager.scheduler.pipeline import Pipeline

Rank = tuple[bool, int, int]

_BEST = (False, 0)
"""Not faulty, and no task of the service: among such nodes the number of tasks decides."""


class NoAnswer(Enum):
    """Why it is not known yet which node is the best."""

    TOO_FAR = "it is not among the first, and another order has to find it"
    NOT_YET = "there was no time left to bring an order up to date"


def rank(node: NodeInfo, group: GroupKey, now: float) -> Rank:
    """The node's place in the order for tasks of the group, but for its id: the least is best."""
    faulty = bool(node.failures) and bool(node.faulty_until(group, now))
    return (faulty, node.of_service.get(group[0], 0), node.tasks)


class LeastLoaded:
    """The nodes that could ever take a task with certain lasting needs, by their number of tasks.

    Finds the best node for a task whose service has few others; shared by all such tasks.
    """

    SCANNED = 32
    """Nodes that are looked at for one task: where more would be, a Ranking is worth its making."""

    def __init__(self, nodes: NodeSet) -> None:
        self._nodes = nodes
        self._order: Ordered[tuple[int]] = Ordered()
        self._refused = Refused()
        self._touched = dict.fromkeys(nodes.ids(), True)  # whether the node itself has changed

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was touched since it was looked at."""
        return not self._touched

    def touch(self, node_id: str, *, is_other: bool) -> None:
        """What is on the node has changed; or, with `is_other`, the node itself."""
        if is_other:
            self._touched[node_id] = True
        elif node_id in self._order:
            self._touched.setdefault(node_id, False)

    def refresh(self, pipeline: Pipeline, limit: int) -> int:
        """Looks at so many of the touched nodes; how many it has looked at."""
        done = 0
        while self._touched and done < limit:
            node_id, is_other = self._touched.popitem()
            node = self._nodes.get(node_id)
            if node is None:
                self._refused.forget(node_id)
                self._order.drop(node_id)
            elif is_other and not pipeline.passes_for_good(node):
                self._refused.note(node, pipeline)
                self._order.drop(node_id)
            else:
                if node_id in self._refused:
                    self._refused.forget(node_id)
                self._order.put(node_id, (node.tasks,))
            done += 1
        return done

    def best(self, group: GroupKey, pipeline: Pipeline, now: float) -> NodeInfo | NoAnswer | None:
        """The best node, None if there is none, or TOO_FAR; nothing may be touched before."""
        first = self._order.first()
        node = None if first is None else self._nodes.get(first[1])
        if node is not None and pipeline.passes(node) and rank(node, group, now)[:2] == _BEST:
            return node
        return self._scan(group, pipeline, now)

    def outlook(self, count: int, group: GroupKey, pipeline: Pipeline, now: float) -> Outlook:
        """The best `count` nodes among the first, as `best` sees them."""
        found: list[tuple[Rank, str, NodeInfo]] = []
        full: Counter[str] = Counter()
        best = seen = 0
        with closing(self._order.ascending()) as names:
            for name in names:
                node = self._nodes.get(name)
                if node is None:
                    continue
                refusing = pipeline.refusing(node)
                if refusing is not None:
                    full[refusing.name] += 1
                else:
                    place = rank(node, group, now)
                    found.append((place, name, node))
                    best += place[:2] == _BEST
                seen += 1
                if best >= count or seen >= self.SCANNED:
                    break
        found.sort()
        nodes = [node for *_, node in found[:count]]
        candidates = len(self._order) - full.total()
        return Outlook(nodes, candidates, self._refused.counts + full, seen < len(self._order))

    def _scan(self, group: GroupKey, pipeline: Pipeline, now: float) -> NodeInfo | NoAnswer | None:
        found: tuple[tuple[Rank, str], NodeInfo] | None = None
        with closing(self._order.ascending()) as names:
            for count, name in enumerate(names):
                if count == self.SCANNED:
                    return NoAnswer.TOO_FAR
                node = self._nodes.get(name)
                if node is None or not pipeline.passes(node):
                    continue
                place = rank(node, group, now)
                if place[:2] == _BEST:
                    return node  # nothing later in this order can be better
                if found is None or (place, name) < found[0]:
                    found = ((place, name), node)
        return found[1] if found else None


class _Branch:
    """A part of the tree of nodes: those with one value of a label, or in the end the nodes."""

    __slots__ = ("above", "branches", "count", "order", "value")

    def __init__(self, value: str, above: "_Branch | None") -> None:
        self.value = value
        self.above = above
        self.branches: dict[str, _Branch] = {}
        self.order: Ordered[Any] = Ordered()  # of branches, or of nodes in the last ones
        self.count = 0  # tasks of the service on all nodes below, also those that take no more

    def rise(self, delta: int) -> None:
        """So many more tasks of the service are below, and something in the order has changed."""
        branch = self
        while True:
            branch.count += delta
            above = branch.above
            if above is None:
                return
            first = branch.order.first()
            if first is None:
                above.order.drop(branch.value)
            else:
                # The best of its nodes decides between branches that are even.
                above.order.put(branch.value, (first[0][0], branch.count, first))
            branch = above


class Ranking:
    """The nodes that can take tasks of one group, in order: the best node for each of many tasks.

    With preferences it is a tree, a level for each label: every time the branch with the fewest
    tasks of the service is entered. Nodes that lack a label form a branch of their own.
    """

    def __init__(self, nodes: NodeSet, group: GroupKey, spread: Sequence[str]) -> None:
        self._nodes = nodes
        self._group = group
        self._labels = [label_of(descriptor) for descriptor in spread]
        self._root = _Branch("", None)
        self._spots: dict[str, tuple[_Branch, int]] = {}  # a node's branch, and its share in count
        self._faulty: list[tuple[float, str]] = []  # until when
        self._refused = Refused()
        self._touched = dict.fromkeys(nodes.ids())

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was touched since it was looked at."""
        return not self._touched

    def touch(self, node_id: str) -> None:
        """The node, or what is on it, has changed."""
        self._touched[node_id] = None

    def refresh(self, pipeline: Pipeline, now: float, limit: int) -> int:
        """Looks at so many of the touched nodes; how many it has looked at."""
        while self._faulty and self._faulty[0][0] <= now:
            self._touched[heapq.heappop(self._faulty)[1]] = None
        done = 0
        while self._touched and done < limit:
            self._settle(self._touched.popitem()[0], pipeline, now)
            done += 1
        return done

    def best(self) -> NodeInfo | None:
        """The best node for one more task, or None; nothing may be touched before."""
        branch = self._root
        while (first := branch.order.first()) is not None:
            if not branch.branches:
                return self._nodes.get(first[1])
            branch = branch.branches[first[1]]
        return None

    def outlook(self, count: int) -> Outlook:
        """The best `count` nodes; nothing may be touched before.

        With preferences, the best of the first branch are half of them, and so on.
        """
        names = _foremost(self._root, count)
        best = [node for name in names if (node := self._nodes.get(name)) is not None]
        refusals = +self._refused.counts
        return Outlook(best, len(self._spots) - refusals.total(), refusals, partial=False)

    def branch_tasks(self, node_id: str) -> list[int]:
        """The tasks of the service in the branches that the node is in, outermost first."""
        branch: _Branch | None = self._spots[node_id][0]
        counts = []
        while branch is not None and branch.above is not None:
            counts.append(branch.count)
            branch = branch.above
        return counts[::-1]

    def _settle(self, node_id: str, pipeline: Pipeline, now: float) -> None:
        node = self._nodes.get(node_id)
        old, old_count = self._spots.pop(node_id, (None, 0))
        new = None if node is None else self._branch_of(node)
        if old is not None and old is not new:
            old.order.drop(node_id)
            old.rise(-old_count)
            old_count = 0
        if node_id in self._refused:
            self._refused.forget(node_id)
        if node is None or new is None:
            return
        place = rank(node, self._group, now)
        self._spots[node_id] = (new, place[1])
        if pipeline.passes(node):
            new.order.put(node_id, place)
        else:
            self._refused.note(node, pipeline)
            new.order.drop(node_id)
        if place[0]:
            heapq.heappush(self._faulty, (node.faulty_until(self._group, now), node_id))
        new.rise(place[1] - old_count)

    def _branch_of(self, node: NodeInfo) -> _Branch:
        branch = self._root
        for label in self._labels:
            value = label(node.node)
            found = branch.branches.get(value)
            if found is None:
                found = branch.branches[value] = _Branch(value, branch)
            branch = found
        return branch


def _foremost(branch: _Branch, count: int) -> list[str]:
    """The first nodes of the best branches below; the better a branch, the more of them."""
    names: list[str] = []
    with closing(branch.order.ascending()) as ordered:
        for name in ordered:
            below = branch.branches.get(name)
            left = count - len(names)
            names += [name] if below is None else _foremost(below, (left + 1) // 2)
            if len(names) >= count:
                break
    return names
