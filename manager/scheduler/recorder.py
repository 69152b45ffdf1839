"""Says in each task that is given a node why it was just that one: what stood in the ranking.

A task's own numbers are written into each; how the other nodes stood is the same for many, so only
the first of the tasks that belong together has it, and then each 50th. Decides nothing. Pure.
"""

from google.protobuf.timestamp_pb2 import Timestamp

from api.v1 import explain_pb2
from manager.scheduler.nodes import GroupKey, NodeInfo
from manager.scheduler.pipeline import Pipeline
from manager.scheduler.spread import LeastLoaded, Ranking, rank
from manager.scheduler.waiting import Entry

BEST = 6
"""Nodes that are told of: the chosen one, and the next five."""
EACH = 50
"""Tasks placed in one decision after which the ranking is told anew."""


class Recorder:
    """Of one decision."""

    def __init__(self, at: Timestamp, now: float) -> None:
        self._at = at
        self._now = now
        self._placed = 0
        self._made: dict[LeastLoaded | Ranking, tuple[int, explain_pb2.NodeRanking]] = {}
        self._told: dict[GroupKey, int] = {}  # by then so many tasks had been placed

    def write(
        self,
        record: explain_pb2.PlacementRecord,
        entry: Entry,
        node: NodeInfo,
        order: LeastLoaded | Ranking | None,
        pipeline: Pipeline,
    ) -> None:
        """Fills the record of a task that is about to be counted on the node.

        `order`: what the node was found by; None: the task had its node already, or takes the place
        of another there.
        """
        # Each task that is placed comes through here: defaults are not even set.
        placed, group = self._placed, entry.group
        self._placed = placed + 1
        record.at.CopyFrom(self._at)
        if placed:
            record.placed_before = placed
        self._score(record.score, node, group, order)
        if order is None:
            if entry.needs.node_id:
                record.own_node = True
            return
        told = self._told.get(group)
        if told is None or placed - told >= EACH:
            made = self._made.get(order)
            if made is None or placed - made[0] >= EACH:
                made = self._made[order] = (placed, self._ranking(placed, order, group, pipeline))
            record.ranking.CopyFrom(made[1])
            self._told[group] = made[0]

    def _ranking(
        self, placed: int, order: LeastLoaded | Ranking, group: GroupKey, pipeline: Pipeline
    ) -> explain_pb2.NodeRanking:
        """How the nodes stand now; served to other groups too that ask the same order soon."""
        if isinstance(order, Ranking):
            outlook = order.outlook(BEST)
        else:
            outlook = order.outlook(BEST, group, pipeline, self._now)
        made = explain_pb2.NodeRanking(
            placed_before=placed,
            nodes=outlook.candidates + outlook.refusals.total(),
            candidates=outlook.candidates,
            partial=outlook.partial,
        )
        for name in sorted(outlook.refusals, key=lambda name: (-outlook.refusals[name], name)):
            made.refusals.add(filter=name, nodes=outlook.refusals[name])
        for node in outlook.best:
            self._score(made.best.add(node_id=node.id), node, group, order)
        return made

    def _score(
        self,
        score: explain_pb2.NodeScore,
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
        if isinstance(order, Ranking):
            score.branch_tasks.extend(order.branch_tasks(node.id))
