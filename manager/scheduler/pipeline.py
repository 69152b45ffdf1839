"""The filters in a row: which nodes can take a task, and in words why the others cannot."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from api import states
from api.v1 import objects_pb2
from manager.placement.platform import platforms_for
from manager.placement.resources import Reservation, needed_controllers, reservation
from manager.placement.volumes import Want, wants_of
from manager.scheduler.filters.base import Filter
from manager.scheduler.filters.node import needs_encryption, network_drivers
from manager.scheduler.filters.order import default_filters
from manager.scheduler.filters.placement import MaxReplicasFilter
from manager.scheduler.nodes import NodeInfo
from manager.scheduler.volumes import Volumes
from manager.state.indexes import slot_key
from manager.state.store import View


class Needs(NamedTuple):
    """Everything in a task that the filters look at: tasks with equal needs share their verdicts.

    `lasting` is for the filters that look only at what a node is, the rest for the others.
    """

    lasting: tuple[object, ...]
    reserved: Reservation
    generic: tuple[tuple[str, int], ...] = ()
    """Kinds of generic resources, and how many of each."""
    ports: tuple[tuple[int, int, str], ...] = ()
    """Of its node: protocol, number and address."""
    per_node: tuple[str, int] | None = None
    """Service, and how many of its tasks may be on one node; None: any number."""
    node_id: str = ""
    """The node that a global service's task has already."""
    wants: tuple[Want, ...] = ()
    """Volumes of the swarm."""


def needs_of(task: objects_pb2.Task) -> Needs:
    """The task's needs; a new filter that looks at more of the task adds it here."""
    spec = task.spec
    placement = spec.placement
    lasting = (
        needed_controllers(spec),
        tuple((each.os, each.architecture) for each in platforms_for(spec)),
        tuple(placement.constraints),
        tuple(sorted(network_drivers(task))),
        needs_encryption(task),
    )
    generic = tuple((each.kind, each.count) for each in spec.resources.reservations.generic)
    ports = tuple((each.protocol, each.published_port, each.host_ip) for each in task.host_ports)
    most = placement.max_replicas_per_node
    per_node = (task.service_id, most) if most else None
    return Needs(lasting, reservation(task), generic, ports, per_node, task.node_id, wants_of(task))


class Ruling(NamedTuple):
    """What one filter says of one node."""

    filter: str
    passes: bool
    text: str


def succeeded_on(task: objects_pb2.Task, needs: Needs, view: View) -> set[str]:
    """The nodes on which the task would replace another of its slot, so that this one counts not.

    Else an update that starts first could never go on where each node has all the tasks of the
    service that it may have (moby#40797).
    """
    if needs.node_id:
        return {needs.node_id}
    if needs.per_node is None:
        return set()
    siblings = view.tasks_of_slot(task.service_id, slot_key(task))
    return {t.node_id for t in siblings if t.id != task.id and t.node_id and states.is_live(t)}


class Pipeline:
    """Asks the filters that are enabled for the task it was turned to last."""

    def __init__(
        self, filters: Sequence[Filter] | None = None, *, volumes: Volumes | None = None
    ) -> None:
        """`volumes`: what is known of them; None: there are none."""
        known = Volumes() if volumes is None else volumes
        self._filters = default_filters(known) if filters is None else list(filters)
        self._limits = [each for each in self._filters if isinstance(each, MaxReplicasFilter)]
        self._needs: Needs | None = None
        self.enabled: list[Filter] = []
        """The filters that have a say about the task."""
        self._all: list[Callable[[NodeInfo], bool]] = []
        self._lasting: list[Callable[[NodeInfo], bool]] = []
        self._passing: list[Callable[[NodeInfo], bool]] = []

    def turn_to(self, task: objects_pb2.Task, needs: Needs | None = None) -> None:
        """Asks on behalf of this task from now on. `needs`: its needs, where they are known."""
        if needs is not None and (needs is self._needs or needs == self._needs):
            return
        self._needs = needs
        self.enabled = [each for each in self._filters if each.enabled(task)]
        self._all = [each.passes for each in self.enabled]
        self._lasting = [each.passes for each in self.enabled if each.lasting]
        self._passing = [each.passes for each in self.enabled if not each.lasting]

    def passes(self, node: NodeInfo) -> bool:
        """Whether no filter refuses the node."""
        for passes in self._all:  # noqa: SIM110 - twice as fast as all() on the hottest path
            if not passes(node):
                return False
        return True

    def passes_for_good(self, node: NodeInfo) -> bool:
        """Whether no filter refuses the node that looks only at what the node is."""
        for passes in self._lasting:  # noqa: SIM110 - as above
            if not passes(node):
                return False
        return True

    def passes_for_now(self, node: NodeInfo) -> bool:
        """Whether no other filter refuses it: those that look at what tasks hold of the node."""
        for passes in self._passing:  # noqa: SIM110 - as above
            if not passes(node):
                return False
        return True

    def passes_successor(self, node: NodeInfo) -> bool:
        """Whether no filter would, if one task of the service there were replaced by this one."""
        self._forgive(1)
        try:
            return self.passes(node)
        finally:
            self._forgive(0)

    def accepts(self, node: NodeInfo, *, succeeds: bool) -> bool:
        """Whether the node can take the task; `succeeds`: it would replace another there."""
        return self.passes_successor(node) if succeeds else self.passes(node)

    def rulings(self, node: NodeInfo, *, succeeds: bool) -> list[Ruling]:
        """What each filter says, also after one has refused the node: for people."""
        self._forgive(int(succeeds))
        try:
            return [Ruling(e.name, e.passes(node), e.verdict(node)) for e in self.enabled]
        finally:
            self._forgive(0)

    def _forgive(self, count: int) -> None:
        for each in self._limits:
            each.forgiven = count

    def refusing(self, node: NodeInfo) -> Filter | None:
        """The first filter that refuses the node."""
        return next((each for each in self.enabled if not each.passes(node)), None)

    def explain(self, nodes: Iterable[NodeInfo]) -> str:
        """Why none of the nodes can take the task, the most frequent reason first."""
        tally = Tally(nodes)
        tally.go_on(self, len(tally))
        return tally.reason(self)


class Tally:
    """Finds out why nodes refuse a task, a few nodes at a time.

    The pipeline has to be turned to the task at each call.
    """

    def __init__(self, nodes: Iterable[NodeInfo]) -> None:
        self._nodes = list(nodes)
        self._refused: dict[str, list[NodeInfo]] = {}

    def __len__(self) -> int:
        """Nodes that are still to be looked at."""
        return len(self._nodes)

    def go_on(self, pipeline: Pipeline, limit: int) -> int:
        """Looks at so many nodes; how many it has looked at."""
        first = max(0, len(self._nodes) - limit)
        for node in self._nodes[first:]:
            found = pipeline.refusing(node)
            if found is not None:
                self._refused.setdefault(found.name, []).append(node)
        done = len(self._nodes) - first
        del self._nodes[first:]
        return done

    def reason(self, pipeline: Pipeline) -> str:
        """The result; the most frequent reason comes first, then in the order of the filters."""
        told = [each for each in pipeline.enabled if each.name in self._refused]
        told.sort(key=lambda each: -len(self._refused[each.name]))
        words = "; ".join(each.explain(self._refused[each.name]) for each in told)
        return f"no suitable node ({words})" if words else "no suitable node"
