"""Which of the nodes that can take a task gets it: the emptiest, so that tasks spread out.

The order, from best to worst: nodes where tasks like this did not keep failing, nodes with fewer
tasks of the service, nodes with fewer tasks in all, and last the smaller id, so that the same state
always gives the same choice. CPU and memory load have no part in it (SwarmKit, scheduler.go).
"""

import heapq
from collections.abc import Callable, Generator
from contextlib import closing

from manager.scheduler.nodes import GroupKey, NodeInfo, NodeSet

Passes = Callable[[NodeInfo], bool]
Rank = tuple[bool, int, int, str]


def rank(node: NodeInfo, group: GroupKey, now: float) -> Rank:
    """The node's place in the order for tasks of the group: the smallest is the best."""
    faulty = bool(node.failures) and node.is_faulty(group, now)
    return (faulty, node.of_service.get(group[0], 0), node.tasks, node.id)


class LeastLoaded:
    """The nodes by their number of tasks, kept up to date: the best node for a single task.

    A heap with stale entries, which are dropped when they come up. Whoever changes a node's number
    of tasks, or what a node says of itself, calls `touch`. Nodes that take no tasks are left out.
    """

    def __init__(self, nodes: NodeSet) -> None:
        self._nodes = nodes
        self._rebuild()

    def touch(self, node_id: str) -> None:
        """Takes note that the node's number of tasks changed."""
        node = self._nodes.get(node_id)
        if node is not None and node.ready and node.active:
            heapq.heappush(self._heap, (node.tasks, node_id))
        if len(self._heap) > self._limit:
            self._rebuild()

    def best(self, group: GroupKey, passes: Passes, now: float) -> NodeInfo | None:
        """The best node that passes, or None."""
        found: tuple[Rank, NodeInfo] | None = None
        with closing(self._ascending()) as nodes:
            for node in nodes:
                if not passes(node):
                    continue
                place = rank(node, group, now)
                if not place[0] and not place[1]:
                    return node  # nothing later in this order can be better
                if found is None or place < found[0]:
                    found = (place, node)
        return found[1] if found else None

    def _ascending(self) -> Generator[NodeInfo, None, None]:
        taken: list[tuple[int, str]] = []
        previous = None
        try:
            while self._heap:
                entry = heapq.heappop(self._heap)
                node = self._nodes.get(entry[1])
                if node is None or node.tasks != entry[0] or entry == previous:
                    continue
                previous = entry
                taken.append(entry)
                yield node
        finally:
            for entry in taken:
                heapq.heappush(self._heap, entry)

    def _rebuild(self) -> None:
        self._heap = [
            (node.tasks, node.id) for node in self._nodes.all() if node.ready and node.active
        ]
        heapq.heapify(self._heap)
        self._limit = 4 * len(self._heap) + 64


class GroupRanking:
    """The nodes that can take tasks of one group, in order: the best node for each of many tasks.

    Worth its making from the second task on. The caller counts a task on the node that `best` gave
    before it asks again.
    """

    def __init__(self, nodes: NodeSet, group: GroupKey, passes: Passes, now: float) -> None:
        self._group = group
        self._passes = passes
        self._now = now
        self._last: NodeInfo | None = None
        self._heap = [(rank(n, group, now), n) for n in nodes.all() if passes(n)]
        heapq.heapify(self._heap)

    def best(self) -> NodeInfo | None:
        """The best node for one more task of the group, or None."""
        if self._last is not None:
            last, self._last = self._last, None
            if self._passes(last):
                heapq.heapreplace(self._heap, (rank(last, self._group, self._now), last))
            else:
                heapq.heappop(self._heap)
        if not self._heap:
            return None
        self._last = self._heap[0][1]
        return self._last
