"""The reasons for which a node cannot take a task, one small object each.

`enabled(task)` turns a filter to a task and says whether it has a say about it; `passes(node)` and
`explain(count)` are about that task from then on (after SwarmKit, scheduler/filter.go).
"""

from typing import Protocol

from api.v1 import objects_pb2, types_pb2
from manager.placement.platform import fits, platforms_for
from manager.placement.resources import needed_controllers
from manager.scheduler.nodes import NodeInfo


class Filter(Protocol):
    """One reason to refuse a node."""

    name: str

    def enabled(self, task: objects_pb2.Task) -> bool:
        """Turns to the task; whether it could be refused for this reason at all."""

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node can take the task, as far as this filter is concerned."""

    def explain(self, count: int) -> str:
        """Why `count` nodes were refused."""


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


class ReadyFilter:
    """The node's agent is in touch with a manager."""

    name = "ready"

    def enabled(self, task: objects_pb2.Task) -> bool:
        """Always."""
        return True

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node is ready."""
        return node.ready

    def explain(self, count: int) -> str:
        """Why `count` nodes were refused."""
        return f"{_nodes(count)} {'is' if count == 1 else 'are'} not ready"


class AvailabilityFilter:
    """The node is neither paused nor drained."""

    name = "availability"

    def enabled(self, task: objects_pb2.Task) -> bool:
        """Always."""
        return True

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node's availability is active."""
        return node.active

    def explain(self, count: int) -> str:
        """Why `count` nodes were refused."""
        return f"{_nodes(count)} not available for new tasks"


class CpuFilter:
    """As much CPU is unreserved as the task reserves."""

    name = "cpu"

    def __init__(self) -> None:
        self._wanted = 0

    def enabled(self, task: objects_pb2.Task) -> bool:
        """If the task reserves CPU."""
        self._wanted = task.spec.resources.reservations.nano_cpus
        return self._wanted > 0

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node has so much left."""
        return node.free_nano_cpus >= self._wanted

    def explain(self, count: int) -> str:
        """Why `count` nodes were refused."""
        return f"insufficient CPU on {_nodes(count)}"


class MemoryFilter:
    """As much memory is unreserved as the task reserves."""

    name = "memory"

    def __init__(self) -> None:
        self._wanted = 0

    def enabled(self, task: objects_pb2.Task) -> bool:
        """If the task reserves memory."""
        self._wanted = task.spec.resources.reservations.memory_bytes
        return self._wanted > 0

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node has so much left."""
        return node.free_memory_bytes >= self._wanted

    def explain(self, count: int) -> str:
        """Why `count` nodes were refused."""
        return f"insufficient memory on {_nodes(count)}"


class ControllerFilter:
    """The node's kernel can enforce the task's limits."""

    name = "controller"

    def __init__(self) -> None:
        self._needed: frozenset[str] = frozenset()

    def enabled(self, task: objects_pb2.Task) -> bool:
        """If the task is limited."""
        self._needed = needed_controllers(task.spec)
        return bool(self._needed)

    def passes(self, node: NodeInfo) -> bool:
        """Whether no cgroup controller that a limit needs is missing."""
        return not self._needed & node.missing_controllers

    def explain(self, count: int) -> str:
        """Why `count` nodes were refused."""
        names = ", ".join(sorted(self._needed))
        return f"missing cgroup controller for the limits ({names}) on {_nodes(count)}"


class PlatformFilter:
    """The node's platform is one of those that the image was built for."""

    name = "platform"

    def __init__(self) -> None:
        self._wanted: list[types_pb2.Platform] = []

    def enabled(self, task: objects_pb2.Task) -> bool:
        """If the task or its image names platforms."""
        self._wanted = list(platforms_for(task.spec))
        return bool(self._wanted)

    def passes(self, node: NodeInfo) -> bool:
        """Whether the node's platform is wanted."""
        return fits(self._wanted, node.platform)

    def explain(self, count: int) -> str:
        """Why `count` nodes were refused."""
        return f"unsupported platform on {_nodes(count)}"


def default_filters() -> list[Filter]:
    """The filters in the order in which they are asked; the first refusal is the one counted."""
    return [
        ReadyFilter(),
        AvailabilityFilter(),
        CpuFilter(),
        MemoryFilter(),
        ControllerFilter(),
        PlatformFilter(),
    ]
