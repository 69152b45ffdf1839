"""Says in each task that is given a node why it was just that one: what stood in the ranking.

A task's own numbers are written into each; how the other nodes stood is the same for many, so only
the first of the tasks that belong together has it, and then each 50th. Decides nothing. Pure.
"""

from api.times import NANOS
from api.v1 import objects_pb2
from api.v1.explain_pb2 import NodeRanking, NodeScore, PlacementRecord
from manager.scheduler.nodes import GroupKey, NodeInfo
from manager.scheduler.pipeline import Pipeline
from manager.scheduler.pool import LeastLoaded
from manager.scheduler.ranking import Ranking
from manager.scheduler.spread import rank
from manager.scheduler.waiting import Entry

BEST = 6
"""Nodes that are told of: the chosen one, and the next five."""
EACH = 50
"""Tasks placed in one decision after which the ranking is told anew."""
MOST = 50
"""Tasks of one decision that are told the ranking: of a burst of hundreds of services not all."""


class Recorder:
    """Of one decision."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._at_nanos = round(now * NANOS)
        self._placed = 0
        self._left = MOST
        self._made: dict[LeastLoaded | Ranking, NodeRanking] = {}
        self._told: dict[GroupKey, int] = {}  # by then so many tasks had been placed

    def write(
        self,
        task: objects_pb2.Task,
        entry: Entry,
        node: NodeInfo,
        order: LeastLoaded | Ranking | None,
        pipeline: Pipeline,
    ) -> None:
        """Gives its record to a task that is about to be counted on the node.

        `order`: what the node was found by; None: the task had its node already, or takes the place
        of another there.
        """
        # Each task that is placed comes through here: defaults are not even set.
        placed = self._placed
        self._placed = placed + 1
        record = task.placement
        record.at_nanos = self._at_nanos
        if placed:
            record.placed_before = placed
        self._score(record, node, entry.group, order)
        if order is None:
            if entry.needs.node_id:
                record.own_node = True
        elif self._left and not self._was_told(entry.group):
            ranking = self._ranking(order, entry.group, pipeline, placed)
            record.ranking.CopyFrom(ranking)
            self._told[entry.group] = ranking.placed_before
            self._left -= 1

    def _was_told(self, group: GroupKey) -> bool:
        told = self._told.get(group)
        return told is not None and self._placed - told <= EACH

    def _ranking(
        self, order: LeastLoaded | Ranking, group: GroupKey, pipeline: Pipeline, placed: int
    ) -> NodeRanking:
        """How the nodes stand, or did a moment ago where other groups ask the same order."""
        made = self._made.get(order)
        if made is None or placed - made.placed_before >= EACH:
            made = self._made[order] = NodeRanking()
            self._rank(made, placed, order, group, pipeline)
        return made

    def _rank(
        self,
        ranking: NodeRanking,
        placed: int,
        order: LeastLoaded | Ranking,
        group: GroupKey,
        pipeline: Pipeline,
    ) -> None:
        """Tells how the nodes stand now."""
        if isinstance(order, Ranking):
            outlook = order.outlook(BEST, pipeline)
        else:
            outlook = order.outlook(BEST, group, pipeline, self._now)
        ranking.placed_before = placed
        ranking.nodes = outlook.candidates + outlook.refusals.total()
        ranking.candidates = outlook.candidates
        ranking.partial = outlook.partial
        for name in sorted(outlook.refusals, key=lambda name: (-outlook.refusals[name], name)):
            ranking.refusals.add(filter=name, nodes=outlook.refusals[name])
        for node in outlook.best:
            self._score(ranking.best.add(node_id=node.id), node, group, order)

    def _score(
        self,
        score: NodeScore | PlacementRecord,
        node: NodeInfo,
        group: GroupKey,
        order: LeastLoaded | Ranking | None,
    ) -> None:
        failing, of_service, tasks = rank(node, group, self._now)
        if failing:
            score.failing = True
        if of_service:
            score.service_tasks = of_service
        if tasks:
            score.tasks = tasks
        if isinstance(order, Ranking) and (branches := order.branch_tasks(node.id)):
            score.branch_tasks.extend(branches)
