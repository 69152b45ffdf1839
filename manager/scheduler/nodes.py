"""What the scheduler knows of the nodes: free resources, tasks, recent failures; kept by events.

`put` and `drop` are idempotent by task id, so that a placement that was only proposed so far can
be counted at once and confirmed by its event later. Chooses nothing.
"""

from typing import NamedTuple, TypeAlias, TypeVar

from api import states
from api.published import address_of, ports_of, share_an_address
from api.times import seconds_of
from api.v1 import objects_pb2, specs_pb2, types_pb2
from manager.placement.eviction import was_evicted
from manager.placement.generic import Holding, Stock, holdings
from manager.placement.resources import Reservation, holds_resources, reservation

GroupKey = tuple[str, int]
"""Service id and spec version: tasks that are alike."""

FAILURE_WINDOW = 300.0
"""Seconds for which a failure is held against a node (SwarmKit, scheduler/nodeinfo.go)."""
MAX_FAILURES = 5
"""So many failures of one version of a service in the window, and the node comes last."""

_READY = types_pb2.NODE_STATE_READY
_ACTIVE = types_pb2.NODE_AVAILABILITY_ACTIVE
_NOBODY = objects_pb2.Node()
K = TypeVar("K")

HeldPort: TypeAlias = tuple[int, int, str]
"""Protocol, number and address."""


class _Placed(NamedTuple):
    """What one task means to its node."""

    node_id: str
    nano_cpus: int
    memory_bytes: int
    group: GroupKey
    counts: bool  # wanted there, so it weighs in the spread
    failed_at: float  # 0: it did not fail
    generic: tuple[Holding, ...] = ()
    ports: tuple[HeldPort, ...] = ()


class NodeInfo:
    """One node as the filters see it. `present` is False while only leftover tasks name it."""

    __slots__ = (
        "_ports",
        "_stock",
        "active",
        "failures",
        "id",
        "memory_bytes",
        "missing_controllers",
        "nano_cpus",
        "node",
        "of_service",
        "placements",
        "present",
        "ready",
        "reserved_memory_bytes",
        "reserved_nano_cpus",
        "tasks",
    )

    def __init__(self, node_id: str) -> None:
        self.id = node_id
        self.node = _NOBODY
        self.present = self.ready = self.active = False
        self.nano_cpus = self.memory_bytes = 0
        self.reserved_nano_cpus = self.reserved_memory_bytes = 0
        self.missing_controllers: frozenset[str] = frozenset()
        self.placements = 0  # of all kinds, those without weight too
        self.tasks = 0
        self.of_service: dict[str, int] = {}
        self.failures: dict[GroupKey, dict[str, float]] = {}
        self._stock: Stock | None = None
        self._ports: dict[tuple[int, int], list[str]] = {}  # protocol and port: addresses

    @property
    def free_nano_cpus(self) -> int:
        """CPU that no task has reserved; negative if the node shrank."""
        return self.nano_cpus - self.reserved_nano_cpus

    @property
    def free_memory_bytes(self) -> int:
        """Memory that no task has reserved; negative if the node shrank."""
        return self.memory_bytes - self.reserved_memory_bytes

    def free_generic(self, kind: str) -> int:
        """How many of a kind of generic resource no task has reserved."""
        return 0 if self._stock is None else self._stock.free(kind)

    def claim_generic(self, kind: str, count: int) -> types_pb2.GenericResource:
        """What a task would get that asks for so many, of which so many are free."""
        return self.stock.claim(kind, count)

    @property
    def stock(self) -> Stock:
        """Its generic resources; most nodes have none."""
        if self._stock is None:
            self._stock = Stock()
        return self._stock

    def holds_port(self, port: specs_pb2.PortConfig) -> bool:
        """Whether a task holds the port, on the same address or where either is of all."""
        held = self._ports.get((port.protocol, port.published_port))
        if held is None:
            return False
        own = address_of(port)
        return any(share_an_address(own, other) for other in held)

    def hold_port(self, port: HeldPort, sign: int) -> None:
        """Counts a port as held once more (1), or once less (-1)."""
        protocol, number, address = port
        held = self._ports.setdefault((protocol, number), [])
        (held.append if sign > 0 else held.remove)(address)
        if not held:
            del self._ports[protocol, number]

    def faulty_until(self, group: GroupKey, now: float) -> float:
        """Until when the node comes last for tasks like these; 0: they did not fail too often."""
        failures = self.failures.get(group)
        if failures is None or len(failures) < MAX_FAILURES:
            return 0.0
        until = sorted(failures.values())[-MAX_FAILURES] + FAILURE_WINDOW
        return until if until > now else 0.0

    def describe(self, node: objects_pb2.Node | None) -> bool:
        """Takes over what the node says of itself; whether anything of it had changed."""
        if self.present and node is not None and _alike(self.node, node):
            return False
        was_present, self.present = self.present, node is not None
        self.node = _NOBODY if node is None else node
        description = self.node.description
        self.ready = self.node.status.state == _READY
        self.active = self.present and self.node.spec.availability == _ACTIVE
        self.nano_cpus = description.resources.nano_cpus
        self.memory_bytes = description.resources.memory_bytes
        self.missing_controllers = frozenset(description.missing_controllers)
        if description.resources.generic or self._stock is not None:
            self.stock.declare(description.resources.generic)
        return was_present or self.present


class NodeSet:
    """All nodes, and what every task on them means to them."""

    def __init__(self) -> None:
        self._infos: dict[str, NodeInfo] = {}
        self._placed: dict[str, _Placed] = {}
        self._of_service: dict[str, set[str]] = {}
        self._failing: dict[GroupKey, set[str]] = {}

    def __len__(self) -> int:
        return len(self._infos)

    def get(self, node_id: str) -> NodeInfo | None:
        """The node, if it is present."""
        info = self._infos.get(node_id)
        return info if info is not None and info.present else None

    def all(self) -> list[NodeInfo]:
        """Every node that is present."""
        return [info for info in self._infos.values() if info.present]

    def ids(self) -> list[str]:
        """The id of every node that is present."""
        return [info.id for info in self._infos.values() if info.present]

    def knows(self, group: GroupKey) -> bool:
        """Whether any node has a task of the service, or has failed one of the group."""
        return group[0] in self._of_service or group in self._failing

    def concerned(self, group: GroupKey) -> set[str]:
        """The ids of the nodes that have a task of the service, or have failed one of the group."""
        of_service = self._of_service.get(group[0], set())
        return of_service | self._failing.get(group, set())

    def in_question(self, node_id: str) -> list[NodeInfo]:
        """The nodes for a task: all, or with `node_id` just that one, if it is present."""
        if not node_id:
            return self.all()
        own = self.get(node_id)
        return [] if own is None else [own]

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

    def give(
        self, task: objects_pb2.Task, node: NodeInfo, reserved: Reservation, *, holds_more: bool
    ) -> None:
        """Counts a task that was nowhere on the node that it is given now: what `put` would do, but
        by what is known of the task. `holds_more`: generic resources or ports.
        """
        more = _held(task) if holds_more else ()
        group = (task.service_id, task.spec_version)
        placed = self._placed[task.id] = _Placed(node.id, *reserved, group, True, 0.0, *more)
        self._shift(node, task.id, placed, 1)

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
            self._shift(info, task_id, old, -1)
            self._forget_if_empty(info)
            news.append(old.node_id)
        if new is not None:
            self._placed[task_id] = new
            found = self._infos.get(new.node_id)
            if found is None:
                found = self._infos[new.node_id] = NodeInfo(new.node_id)
            self._shift(found, task_id, new, 1)
            news.append(new.node_id)
        return news

    def _shift(self, info: NodeInfo, task_id: str, placed: _Placed, sign: int) -> None:
        _shift(info, task_id, placed, sign)
        if placed.counts:
            service_id = placed.group[0]
            if sign < 0 or info.of_service[service_id] == 1:
                _enter(self._of_service, service_id, info.id, is_in=service_id in info.of_service)
        if placed.failed_at:
            _enter(self._failing, placed.group, info.id, is_in=placed.group in info.failures)

    def _forget_if_empty(self, info: NodeInfo) -> None:
        if not info.present and not info.placements:
            self._infos.pop(info.id, None)


def _enter(index: dict[K, set[str]], key: K, node_id: str, *, is_in: bool) -> None:
    """Brings up to date whether the node is among those under the key."""
    found = index.get(key)
    if found is None:
        found = index[key] = set()
    if is_in:
        found.add(node_id)
        return
    found.discard(node_id)
    if not found:
        del index[key]


def _alike(one: objects_pb2.Node, other: objects_pb2.Node) -> bool:
    """Whether filters and preferences find no difference between two versions of a node."""
    return (
        one.status.state == other.status.state
        and one.role == other.role
        and one.status.address == other.status.address
        and one.spec == other.spec
        and one.description == other.description
    )


def _placed(task: objects_pb2.Task) -> _Placed | None:
    group = (task.service_id, task.spec_version)
    if holds_resources(task):
        cpus, memory = reservation(task)
        counts = states.is_wanted(task)
        return _Placed(task.node_id, cpus, memory, group, counts, 0.0, *_held(task))
    has_failed = task.status.state in (states.FAILED, states.REJECTED)
    if task.node_id and has_failed and not was_evicted(task):
        # The leader's clock: that of a worker may be off.
        return _Placed(task.node_id, 0, 0, group, False, seconds_of(task.meta.updated_at))
    return None


def _held(task: objects_pb2.Task) -> tuple[tuple[Holding, ...], tuple[HeldPort, ...]]:
    """What it holds of its node beside CPU and memory; few tasks do."""
    generic = holdings(task.assigned_generic) if task.assigned_generic else ()
    if not task.host_ports:
        return generic, ()
    return generic, tuple([held_port(port) for port in ports_of(task) if port.published_port])


def held_port(port: specs_pb2.PortConfig) -> HeldPort:
    """A port as a node counts it."""
    return port.protocol, port.published_port, address_of(port)


def _shift(info: NodeInfo, task_id: str, placed: _Placed, sign: int) -> None:
    info.placements += sign
    info.reserved_nano_cpus += sign * placed.nano_cpus
    info.reserved_memory_bytes += sign * placed.memory_bytes
    if placed.generic:
        info.stock.shift(placed.generic, sign)
    for port in placed.ports:
        info.hold_port(port, sign)
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
