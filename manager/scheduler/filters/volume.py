"""The filter for volumes of the swarm: that the task can have all of its own on the node."""

from collections import Counter
from collections.abc import Sequence

from api.v1 import objects_pb2
from manager.placement.volumes import Want, wants_of
from manager.scheduler.filters.base import counted
from manager.scheduler.nodes import NodeInfo
from manager.scheduler.volumes import Volumes


class VolumeFilter:
    """The node has the drivers, no other holds what is for one, and the data is not elsewhere."""

    name = "volume"
    lasting = False

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes
        self._wants: tuple[Want, ...] = ()

    def enabled(self, task: objects_pb2.Task) -> bool:
        """If the task needs volumes of the swarm."""
        self._wants = wants_of(task)
        return bool(self._wants)

    def passes(self, node: NodeInfo) -> bool:
        """Whether the task can have all of them there."""
        return self._volumes.passes(self._wants, node.node)

    def explain(self, refused: Sequence[NodeInfo]) -> str:
        """Why these nodes were refused, by the first volume that each cannot give."""
        counts: Counter[str] = Counter()
        for node in refused:
            first = next(self._volumes.hindrances(self._wants, node.node), None)
            if first is not None:
                counts[first.text] += 1
        each = [
            text if len(counts) == 1 else f"{text} on {counts[text]}"
            for text in sorted(counts, key=lambda text: (-counts[text], text))
        ]
        return f"volumes not available on {counted(refused)}: {', '.join(each)}"

    def verdict(self, node: NodeInfo) -> str:
        """Every volume that is missing there, and why."""
        texts = [each.text for each in self._volumes.hindrances(self._wants, node.node)]
        needed = "needs " + ", ".join(each.name or each.source for each in self._wants)
        return f"{needed}; {'; '.join(texts)}" if texts else needed
