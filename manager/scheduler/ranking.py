"""The nodes that can take tasks of one group, in order: the best node for each of many tasks.

It begins as the order of a pool, from which only nodes differ that have tasks of the service, or
failed some. After that it looks at what was touched. Whether a node has room is asked when it comes
first: so the cost of a service depends on its tasks, and hardly on the number of nodes.
"""

import heapq
from contextlib import closing

from manager.scheduler.journal import Journal
from manager.scheduler.nodes import GroupKey, NodeInfo, NodeSet
from manager.scheduler.outlook import Outlook, Refused
from manager.scheduler.pipeline import Pipeline
from manager.scheduler.pool import LeastLoaded
from manager.scheduler.spread import rank


class Ranking:
    """Of one group. `pool`: the one for the needs and labels of its tasks, which has seen changes.

    It has to be fresh only while the ranking is made.
    """

    ASKED = 32
    """Nodes that may be asked whether they have room just to tell how things stand."""

    def __init__(
        self, nodes: NodeSet, journal: Journal, group: GroupKey, pool: LeastLoaded
    ) -> None:
        self._nodes = nodes
        self._journal = journal
        self._read = journal.now
        self._group = group
        self._pool = pool
        self._tree = pool.tree.twin()
        self._paths = pool.paths.copy()
        self._counted: dict[str, int] = {}  # a node's tasks of the service, as the tree has them
        self._faulty: list[tuple[float, str]] = []  # until when
        self._full = Refused()  # not in the tree until they are touched
        self._roomy: set[str] = set()  # of those in the tree: were asked since they were touched
        self._touched = dict.fromkeys(nodes.concerned(group))
        self._best: str | None = None  # the first, where it is sure that it has room
        self._is_sure = False  # that it is so, or that no node is left

    @property
    def is_fresh(self) -> bool:
        """Whether the best node is known."""
        return self._is_sure and self._read == self._journal.now

    def refresh(self, pool: LeastLoaded, pipeline: Pipeline, now: float, limit: int) -> int:
        """Looks at touched nodes, then for one with room; how many it has looked at."""
        self._pool = pool
        self._take_note(now)
        done = 0
        while self._touched and done < limit:
            self._settle(self._touched.popitem()[0], now)
            done += 1
        while not self._touched and not self._is_sure:
            first = self._tree.first()
            if first is None or first in self._roomy:
                self._best, self._is_sure = first, True
            elif done < limit:
                self._best, self._is_sure = first, self._ask(first, pipeline)
                done += 1
            else:
                break
        return done

    def best(self) -> NodeInfo | None:
        """The best node for one more task, or None; it has to be known."""
        return None if self._best is None else self._nodes.get(self._best)

    def outlook(self, count: int, pipeline: Pipeline) -> Outlook:
        """The best `count` nodes, as far as they are soon found; the best has to be known.

        With preferences, the best of the first branch are half of them, and so on.
        """
        if self._passing <= self.ASKED:
            with closing(self._tree.ascending()) as names:
                everyone = list(names)
            self._ask_unsure(everyone, pipeline)
        left = self.ASKED
        foremost = self._tree.foremost(count)
        while left > 0 and (asked := self._ask_unsure(foremost, pipeline)):
            left -= asked
            foremost = self._tree.foremost(count)
        best = [self._nodes.get(name) for name in foremost if name in self._roomy]
        return Outlook(
            [node for node in best if node is not None],
            self._passing,
            self._pool.refused.counts + self._full.counts,
            partial=len(self._roomy) < self._passing,
        )

    def branch_tasks(self, node_id: str) -> list[int]:
        """The tasks of the service in the branches that the node is in, outermost first."""
        return self._tree.counts(self._paths[node_id])

    @property
    def _passing(self) -> int:
        """Nodes in the tree."""
        return len(self._paths) - len(self._pool.refused) - len(self._full)

    def _take_note(self, now: float) -> None:
        while self._faulty and self._faulty[0][0] <= now:
            self._touched[heapq.heappop(self._faulty)[1]] = None
        for node_id in self._journal.since(self._read):
            self._touched[node_id] = None
        self._read = self._journal.now
        if self._touched:
            self._is_sure = False

    def _settle(self, node_id: str, now: float) -> None:
        """Puts the node where it belongs now, as if it had room."""
        self._roomy.discard(node_id)
        self._full.forget(node_id)
        node = self._nodes.get(node_id)
        old, new = self._paths.get(node_id), self._pool.paths.get(node_id)
        if old is not None and old != new:
            self._tree.drop(old, node_id)
            self._tree.add(old, -self._counted.pop(node_id, 0))
            del self._paths[node_id]
        if node is None or new is None:
            return
        self._paths[node_id] = new
        place = rank(node, self._group, now)
        if node_id in self._pool.refused:
            self._tree.drop(new, node_id)
        else:
            self._tree.put(new, node_id, place)
        more = place[1] - self._counted.get(node_id, 0)
        if more:
            self._counted[node_id] = place[1]
            self._tree.add(new, more)
        if place[0]:
            heapq.heappush(self._faulty, (node.faulty_until(self._group, now), node_id))

    def _ask_unsure(self, names: list[str], pipeline: Pipeline) -> int:
        """Asks those that were not asked since they were touched; how many there were."""
        unsure = [name for name in names if name not in self._roomy]
        for name in unsure:
            self._ask(name, pipeline)
        return len(unsure)

    def _ask(self, name: str, pipeline: Pipeline) -> bool:
        """Keeps the node in the tree only if it has room; whether it has."""
        node = self._nodes.get(name)
        if node is not None and pipeline.passes_for_now(node):
            self._roomy.add(name)
            return True
        self._tree.drop(self._paths[name], name)
        if node is not None:
            self._full.note(node, pipeline)
        return False
