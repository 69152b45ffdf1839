"""What a filter is: one reason for which a node cannot take a task.

`enabled(task)` turns a filter to a task and says whether it has a say about it; `passes(node)`,
`explain(nodes)` and `verdict(node)` are about that task from then on (after SwarmKit,
scheduler/filter.go).
"""

from collections.abc import Sequence
from typing import Protocol

from api.v1 import objects_pb2
from manager.scheduler.nodes import NodeInfo


class Filter(Protocol):
    """One reason to refuse a node."""

    name: str
    lasting: bool
    """Whether it looks only at what the node is, never at what other tasks hold of it."""

    def enabled(self, task: objects_pb2.Task) -> bool:
        """Turns to the task; whether it could be refused for this reason at all."""

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node can take the task, as far as this filter is concerned."""

    def explain(self, refused: Sequence[NodeInfo]) -> str:
        """Why these nodes, at least one, were refused."""

    def verdict(self, node: NodeInfo) -> str:
        """What the task needs and what this node has, whether it passes or not."""


def counted(nodes: Sequence[NodeInfo]) -> str:
    """How many nodes, in words."""
    return "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"


def shortage(needed: str, most: str, nodes: Sequence[NodeInfo]) -> str:
    """What is needed beside the most that any of the nodes has left."""
    return (
        f"{needed} needed, {most} free"
        if len(nodes) == 1
        else (f"{needed} needed, at most {most} free")
    )
