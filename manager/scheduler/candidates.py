"""Finds the best node for a task without looking at all nodes each time. Keeps orders of nodes, and
tells them what changed; which order serves a task follows from the task and the state alone.
"""

from collections import OrderedDict
from typing import Any

from manager.scheduler.nodes import GroupKey, NodeInfo, NodeSet
from manager.scheduler.pipeline import Needs, Pipeline
from manager.scheduler.spread import LeastLoaded, NoAnswer, Ranking
from manager.scheduler.step import Step
from manager.scheduler.waiting import Entry

MAX_ORDERS = 128
"""Of each kind that are kept; those that served longest ago go first."""
MAX_PLACES = 1_000_000
"""Nodes in all orders of a kind together, some 300 bytes each."""

NOBODY: GroupKey = ("nobody", 0)
"""A group without tasks."""

_RankingKey = tuple[GroupKey, Needs, tuple[str, ...]]


class Candidates:
    """The nodes in all the orders that tasks ask for."""

    def __init__(self, nodes: NodeSet, pipeline: Pipeline) -> None:
        self._nodes = nodes
        self._pipeline = pipeline
        self._pools: OrderedDict[tuple[object, ...], LeastLoaded] = OrderedDict()
        self._rankings: OrderedDict[_RankingKey, Ranking] = OrderedDict()
        self.served: LeastLoaded | Ranking | None = None
        """The order that the last answer came from."""

    def touch(self, node_id: str, *, is_other: bool = False) -> None:
        """Takes note that what is on the node has changed; with `is_other`, the node itself."""
        for pool in self._pools.values():
            pool.touch(node_id, is_other=is_other)
        for ranking in self._rankings.values():
            ranking.touch(node_id)

    def forget_wanting(self) -> None:
        """Volumes have changed: what was found for tasks that want any may not be so any more."""
        for key in [key for key in self._rankings if key[1].wants]:
            del self._rankings[key]

    def best(self, entry: Entry, step: Step) -> NodeInfo | NoAnswer | None:
        """The best node for the task, None, or NOT_YET; the pipeline is turned to the task.

        To a service of which no node knows anything yet, preferences say nothing, and its ranking
        is that of all others like it. While the first nodes of a pool will do, no ranking is made.
        """
        is_known = self._nodes.knows(entry.group)
        spread = entry.spread if is_known else ()
        key = (entry.group if is_known else NOBODY, entry.needs, spread)
        ranking = self._rankings.get(key)
        if ranking is None and not spread:
            pool = self._pool(entry.needs)
            step.spend(pool.refresh(self._pipeline, step.left))
            if not pool.is_fresh:
                return NoAnswer.NOT_YET
            self.served = pool
            found = pool.best(entry.group, self._pipeline, step.now)
            if found is not NoAnswer.TOO_FAR:
                return found
        if ranking is None:
            ranking = self._rank(key)
        self.served = ranking
        self._rankings.move_to_end(key)
        step.spend(ranking.refresh(self._pipeline, step.now, step.left))
        return ranking.best() if ranking.is_fresh else NoAnswer.NOT_YET

    def _pool(self, needs: Needs) -> LeastLoaded:
        pool = self._pools.get(needs.lasting)
        if pool is None:
            pool = self._pools[needs.lasting] = LeastLoaded(self._nodes)
            _shorten(self._pools, len(self._nodes))
        self._pools.move_to_end(needs.lasting)
        return pool

    def _rank(self, key: _RankingKey) -> Ranking:
        group, _, spread = key
        made = self._rankings[key] = Ranking(self._nodes, group, spread)
        _shorten(self._rankings, len(self._nodes))
        return made


def _shorten(orders: OrderedDict[Any, Any], nodes: int) -> None:
    """Forgets the orders for which there is no room, but for the newest one."""
    room = max(1, min(MAX_ORDERS, MAX_PLACES // (nodes + 1)))
    while len(orders) > room:
        orders.popitem(last=False)
