"""A pool, and a ranking made of it, over nodes with some tasks."""

from collections.abc import Sequence

from manager.scheduler.journal import Journal
from manager.scheduler.nodes import GroupKey, NodeInfo, NodeSet
from manager.scheduler.pipeline import Pipeline
from manager.scheduler.pool import LeastLoaded
from manager.scheduler.ranking import Ranking
from tests.support.builders import EPOCH, node, task, task_spec

WEB: GroupKey = ("web", 1)


def nodes_with(loads: dict[str, tuple[int, int]]) -> NodeSet:
    """Nodes by id, with so many tasks of web and so many of others."""
    nodes = NodeSet()
    for node_id, (of_web, of_others) in loads.items():
        nodes.describe(node_id, node(node_id))
        for number in range(of_web):
            nodes.put(task(f"web-{node_id}-{number}", node_id=node_id))
        for number in range(of_others):
            nodes.put(task(f"db-{node_id}-{number}", "db", node_id=node_id))
    return nodes


def turned(*constraints: str, memory: int = 0) -> Pipeline:
    """A pipeline that asks for a task of web."""
    spec = task_spec(memory=memory)
    spec.placement.constraints.extend(constraints)
    pipeline = Pipeline()
    pipeline.turn_to(task("t", spec=spec))
    return pipeline


class Orders:
    """Of the group web, for tasks that the pipeline is turned to."""

    def __init__(self, nodes: NodeSet, pipeline: Pipeline, spread: Sequence[str] = ()) -> None:
        self.nodes = nodes
        self.pipeline = pipeline
        self.journal = Journal()
        self.pool = LeastLoaded(nodes, self.journal, spread)
        self.pool.refresh(pipeline, 1_000_000)
        self.ranking = Ranking(nodes, self.journal, WEB, self.pool)

    def best(self, now: float = EPOCH) -> NodeInfo | None:
        """The best node, by the ranking."""
        self.pool.refresh(self.pipeline, 1_000_000)
        self.ranking.refresh(self.pool, self.pipeline, now, 1_000_000)
        assert self.pool.is_fresh
        assert self.ranking.is_fresh
        return self.ranking.best()

    def touch(self, *node_ids: str, is_other: bool = False) -> None:
        """The nodes, or what is on them, were changed."""
        for node_id in node_ids:
            self.journal.touch(node_id, is_other=is_other)

    def place(self, count: int, memory: int = 0) -> list[str]:
        """The nodes that so many tasks of web get, one after another."""
        order: list[str] = []
        while len(order) < count and (found := self.best()) is not None:
            order.append(found.id)
            spec = task_spec(memory=memory)
            made = task(f"placed-{found.tasks}-{found.id}", slot=1, node_id=found.id, spec=spec)
            self.nodes.put(made)
            self.touch(found.id)
        return order
