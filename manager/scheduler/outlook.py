"""What an order of nodes can tell of all of them, beside which one is the best. Decides nothing."""

from collections import Counter
from typing import NamedTuple

from manager.scheduler.nodes import NodeInfo
from manager.scheduler.pipeline import Pipeline


class Refused(dict[str, str]):
    """The nodes that an order leaves out, each with the first filter that refuses it."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def note(self, node: NodeInfo, pipeline: Pipeline) -> None:
        """The pipeline refuses the node."""
        self.forget(node.id)
        found = pipeline.refusing(node)
        if found is not None:
            self[node.id] = found.name
            self.counts[found.name] += 1

    def forget(self, node_id: str) -> None:
        """The node is gone, or not refused any more."""
        name = self.pop(node_id, None)
        if name is not None:
            self.counts[name] -= 1


class Outlook(NamedTuple):
    """How the nodes stand for one more task: the best few, and what is left out by which filter.

    `partial`: not all nodes were asked whether they have room.
    """

    best: list[NodeInfo]
    candidates: int
    refusals: Counter[str]
    partial: bool
