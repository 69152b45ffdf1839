"""The filters in a row: which nodes can take a task, and in words why the others cannot."""

from collections.abc import Iterable, Sequence

from api.v1 import objects_pb2
from manager.placement.platform import platforms_for
from manager.placement.resources import needed_controllers, reservation
from manager.scheduler.filters import Filter, default_filters
from manager.scheduler.nodes import NodeInfo

Needs = tuple[object, ...]
"""Everything in a task that the filters look at: tasks with equal needs share their verdicts."""


def needs_of(task: objects_pb2.Task) -> Needs:
    """The task's needs; a new filter that looks at more of the task adds it here."""
    platforms = tuple((each.os, each.architecture) for each in platforms_for(task.spec))
    return (*reservation(task), needed_controllers(task.spec), platforms)


class Pipeline:
    """Asks the filters that are enabled for the task it was turned to last."""

    def __init__(self, filters: Sequence[Filter] | None = None) -> None:
        self._filters = default_filters() if filters is None else list(filters)
        self._enabled: list[Filter] = []

    def turn_to(self, task: objects_pb2.Task) -> None:
        """Asks on behalf of this task from now on."""
        self._enabled = [each for each in self._filters if each.enabled(task)]

    def passes(self, node: NodeInfo) -> bool:
        """Whether no filter refuses the node."""
        for each in self._enabled:  # noqa: SIM110 - twice as fast as all() on the hottest path
            if not each.passes(node):
                return False
        return True

    def explain(self, nodes: Iterable[NodeInfo]) -> str:
        """Why none of the nodes can take the task, the most frequent reason first."""
        counts = [0] * len(self._enabled)
        for node in nodes:
            for position, each in enumerate(self._enabled):
                if not each.passes(node):
                    counts[position] += 1
                    break
        order = sorted(range(len(counts)), key=lambda position: -counts[position])
        reasons = [self._enabled[i].explain(counts[i]) for i in order if counts[i]]
        return f"no suitable node ({'; '.join(reasons)})" if reasons else "no suitable node"
