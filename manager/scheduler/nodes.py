"""What the scheduler knows of the nodes: free resources, tasks, recent failures; kept by events.

`put` and `drop` are idempotent by task id, so that a placement that was only proposed so far can
be counted at once and confirmed by its event later. Chooses nothing.
"""

from typing import NamedTuple

from api import states
from api.times import seconds_of
from api.v1 import objects_pb2, types_pb2
from manager.placement.resources import holds_resources, reservation

GroupKey = tuple[str, int]
"""Service id and spec version: tasks that are alike."""

FAILURE_WINDOW = 300.0
"""Seconds for which a failure is held against a node (SwarmKit, scheduler/nodeinfo.go)."""
MAX_FAILURES = 5
"""So many failures of one version of a service in the window, and the node comes last."""

_READY = types_pb2.NODE_STATE_READY
_ACTIVE = types_pb2.NODE_AVAILABILITY_ACTIVE


class _Placed(NamedTuple):
    """What one task means to its node."""

    node_id: str
    nano_cpus: int
    memory_bytes: int
    group: GroupKey
    counts: bool  # wanted there, so it weighs in the spread
    failed_at: float  # 0: it did not fail


class NodeInfo:
    """One node as the filters see it. `present` is False while only leftover tasks name it."""

    __slots__ = (
        "active",
        "failures",
        "id",
        "memory_bytes",
        "missing_controllers",
        "nano_cpus",
        "of_service",
        "placements",
        "platform",
        "present",
        "ready",
        "reserved_memory_bytes",
        "reserved_nano_cpus",
        "tasks",
    )

    def __init__(self, node_id: str) -> None:
        self.id = node_id
        self.present = self.ready = self.active = False
        self.nano_cpus = self.memory_bytes = 0
        self.reserved_nano_cpus = self.reserved_memory_bytes = 0
        self.platform = types_pb2.Platform()
        self.missing_controllers: frozenset[str] = frozenset()
        self.placements = 0  # of all kinds, those without weight too
        self.tasks = 0
        self.of_service: dict[str, int] = {}
        self.failures: dict[GroupKey, dict[str, float]] = {}

    @property
    def free_nano_cpus(self) -> int:
        """CPU that no task has reserved; negative if the node shrank."""
        return self.nano_cpus - self.reserved_nano_cpus

    @property
    def free_memory_bytes(self) -> int:
        """Memory that no task has reserved; negative if the node shrank."""
        return self.memory_bytes - self.reserved_memory_bytes

    def is_faulty(self, group: GroupKey, now: float) -> bool:
        """Whether tasks like these have failed here too often of late."""
        failures = self.failures.get(group)
        if failures is None or len(failures) < MAX_FAILURES:
            return False
        return sum(now - at < FAILURE_WINDOW for at in failures.values()) >= MAX_FAILURES

    def describe(self, node: objects_pb2.Node | None) -> bool:
        """Takes over what the node says of itself; whether anything of it had changed."""
        before = self._description()
        self.present = node is not None
        if node is None:
            self.ready = self.active = False
        else:
            self.ready = node.status.state == _READY
            self.active = node.spec.availability == _ACTIVE
            self.nano_cpus = node.description.resources.nano_cpus
            self.memory_bytes = node.description.resources.memory_bytes
            self.platform = node.description.platform
            self.missing_controllers = frozenset(node.description.missing_controllers)
        return self._description() != before

    def _description(self) -> tuple[object, ...]:
        return (
            self.present,
            self.ready,
            self.active,
            self.nano_cpus,
            self.memory_bytes,
            self.platform,
            self.missing_controllers,
        )


class NodeSet:
    """All nodes, and what every task on them means to them."""

    def __init__(self) -> None:
        self._infos: dict[str, NodeInfo] = {}
        self._placed: dict[str, _Placed] = {}

    def get(self, node_id: str) -> NodeInfo | None:
        """The node, if it is present."""
        info = self._infos.get(node_id)
        return info if info is not None and info.present else None

    def all(self) -> list[NodeInfo]:
        """Every node that is present."""
        return [info for info in self._infos.values() if info.present]

    def describe(self, node_id: str, node: objects_pb2.Node | None) -> bool:
        """Adds, changes or (with None) removes a node; whether that could matter to a decision."""
        info = self._infos.get(node_id)
        if info is None:
            if node is None:
                return False
            info = self._infos[node_id] = NodeInfo(node_id)
        changed = info.describe(node)
        self._forget_if_empty(info)
        return changed

    def put(self, task: objects_pb2.Task) -> list[str]:
        """Counts the task where it is now; the ids of the nodes for which that is news."""
        return self._replace(task.id, _placed(task))

    def drop(self, task_id: str) -> list[str]:
        """Counts the task nowhere; the ids of the nodes for which that is news."""
        return self._replace(task_id, None)

    def _replace(self, task_id: str, new: _Placed | None) -> list[str]:
        old = self._placed.get(task_id)
        if old == new:
            return []
        news = []
        if old is not None:
            del self._placed[task_id]
            info = self._infos[old.node_id]
            _shift(info, task_id, old, -1)
            self._forget_if_empty(info)
            news.append(old.node_id)
        if new is not None:
            self._placed[task_id] = new
            found = self._infos.get(new.node_id)
            if found is None:
                found = self._infos[new.node_id] = NodeInfo(new.node_id)
            _shift(found, task_id, new, 1)
            news.append(new.node_id)
        return news

    def _forget_if_empty(self, info: NodeInfo) -> None:
        if not info.present and not info.placements:
            self._infos.pop(info.id, None)


def _placed(task: objects_pb2.Task) -> _Placed | None:
    group = (task.service_id, task.spec_version)
    if holds_resources(task):
        cpus, memory = reservation(task)
        counts = states.is_wanted(task)
        return _Placed(task.node_id, cpus, memory, group, counts, 0.0)
    if task.node_id and task.status.state in (states.FAILED, states.REJECTED):
        # The leader's clock: that of a worker may be off.
        return _Placed(task.node_id, 0, 0, group, False, seconds_of(task.meta.updated_at))
    return None


def _shift(info: NodeInfo, task_id: str, placed: _Placed, sign: int) -> None:
    info.placements += sign
    info.reserved_nano_cpus += sign * placed.nano_cpus
    info.reserved_memory_bytes += sign * placed.memory_bytes
    if placed.counts:
        info.tasks += sign
        service_id = placed.group[0]
        count = info.of_service.get(service_id, 0) + sign
        if count:
            info.of_service[service_id] = count
        else:
            info.of_service.pop(service_id, None)
    if placed.failed_at:
        failures = info.failures.setdefault(placed.group, {})
        if sign > 0:
            failures[task_id] = placed.failed_at
        else:
            failures.pop(task_id, None)
        if not failures:
            del info.failures[placed.group]
