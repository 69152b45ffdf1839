"""Finds the best node for a task without looking at all nodes each time. Keeps orders of nodes, and
a journal of what changed for them to read; which order serves a task follows from the task and the
state alone.
"""

from collections import OrderedDict
from typing import Any

from manager.scheduler.journal import Journal
from manager.scheduler.nodes import GroupKey, NodeInfo, NodeSet
from manager.scheduler.pipeline import Needs, Pipeline
from manager.scheduler.pool import LeastLoaded
from manager.scheduler.ranking import Ranking
from manager.scheduler.spread import NoAnswer
from manager.scheduler.step import Step
from manager.scheduler.waiting import Entry

MAX_ORDERS = 128
"""Of each kind that are kept; those that served longest ago go first."""
MAX_PLACES = 1_000_000
"""Nodes in all orders of a kind together, some 300 bytes each."""
MAX_GONE = 1000
"""Nodes in the journal beyond twice those that there are, before all orders begin anew."""

NOBODY: GroupKey = ("nobody", 0)
"""A group without tasks."""

_PoolKey = tuple[tuple[object, ...], tuple[str, ...]]
_RankingKey = tuple[GroupKey, Needs, tuple[str, ...]]


class Candidates:
    """The nodes in all the orders that tasks ask for."""

    def __init__(self, nodes: NodeSet, pipeline: Pipeline) -> None:
        self._nodes = nodes
        self._pipeline = pipeline
        self._journal = Journal()
        self._pools: OrderedDict[_PoolKey, LeastLoaded] = OrderedDict()
        self._rankings: OrderedDict[_RankingKey, Ranking] = OrderedDict()
        self.served: LeastLoaded | Ranking | None = None
        """The order that the last answer came from."""

    def touch(self, node_id: str, *, is_other: bool = False) -> None:
        """Takes note that what is on the node has changed; with `is_other`, the node itself."""
        self._journal.touch(node_id, is_other=is_other)
        if is_other and len(self._journal) > 2 * len(self._nodes) + MAX_GONE:
            self._forget()

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
        pool = self._pool(entry.needs, spread)
        key = (entry.group if is_known else NOBODY, entry.needs, spread)
        # What tasks do on the nodes a ranking reads itself; only its beginning is the pool's.
        if not (spread and pool.has_seen_changes and key in self._rankings):
            step.spend(pool.refresh(self._pipeline, step.left))
            if not pool.is_fresh:
                return NoAnswer.NOT_YET
        self.served = pool
        if not spread and (first := pool.first(entry.group, self._pipeline, step.now)):
            return first
        ranking = self._rankings.get(key)
        if ranking is None and not spread:
            found = pool.best(entry.group, self._pipeline, step.now)
            if found is not NoAnswer.TOO_FAR:
                return found
        if ranking is None:
            ranking = self._rank(key, pool)
        self.served = ranking
        self._rankings.move_to_end(key)
        step.spend(ranking.refresh(pool, self._pipeline, step.now, step.left))
        return ranking.best() if ranking.is_fresh else NoAnswer.NOT_YET

    def _pool(self, needs: Needs, spread: tuple[str, ...]) -> LeastLoaded:
        key = (needs.lasting, spread)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = LeastLoaded(self._nodes, self._journal, spread)
            _shorten(self._pools, len(self._nodes))
        self._pools.move_to_end(key)
        return pool

    def _rank(self, key: _RankingKey, pool: LeastLoaded) -> Ranking:
        made = self._rankings[key] = Ranking(self._nodes, self._journal, key[0], pool)
        _shorten(self._rankings, len(self._nodes))
        return made

    def _forget(self) -> None:
        """Begins anew, so that the journal does not grow with every node that ever was."""
        self._journal = Journal()
        self._pools.clear()
        self._rankings.clear()


def _shorten(orders: OrderedDict[Any, Any], nodes: int) -> None:
    """Forgets the orders for which there is no room, but for the newest one."""
    room = max(1, min(MAX_ORDERS, MAX_PLACES // (nodes + 1)))
    while len(orders) > room:
        orders.popitem(last=False)
