"""What each node is to services that want a task on every node. Pure."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from api.v1 import objects_pb2, types_pb2
from manager.state.store import View

Matches = Callable[[Sequence[str], objects_pb2.Node], bool]
"""Whether a node meets all of these constraints."""


class Place(Enum):
    """How a global service treats a node."""

    OPEN = "open"  # it has a task there, or gets one
    SILENT = "silent"  # the node may only be out of touch: its task stays, none begins
    HELD = "held"  # the node is paused: what is there stays as it is
    CLOSED = "closed"  # the node is drained or down, or does not match: no task


class Places:
    """The nodes, looked up once for all services. Good for one decision."""

    def __init__(self, view: View, matches: Matches) -> None:
        self._view = view
        self._matches = matches
        self._nodes: list[tuple[objects_pb2.Node, Place]] | None = None
        self._unconstrained: Mapping[str, Place] | None = None

    def of(self, service: objects_pb2.Service) -> Mapping[str, Place]:
        """What each node that there is, by id, is to the service; the oldest first."""
        constraints = service.spec.task.placement.constraints
        if constraints:
            return {
                node.id: self._matching(node, place, constraints) for node, place in self._all()
            }
        if self._unconstrained is None:
            self._unconstrained = {node.id: place for node, place in self._all()}
        return self._unconstrained

    def at(self, service: objects_pb2.Service, node_id: str) -> Mapping[str, Place]:
        """The same of one node; nothing if there is no such node."""
        node = self._view.get(objects_pb2.Node, node_id)
        if node is None:
            return {}
        constraints = service.spec.task.placement.constraints
        return {node_id: self._matching(node, _place(node), constraints)}

    def _all(self) -> list[tuple[objects_pb2.Node, Place]]:
        if self._nodes is None:
            self._nodes = [(node, _place(node)) for node in self._view.all(objects_pb2.Node)]
        return self._nodes

    def _matching(self, node: objects_pb2.Node, place: Place, constraints: Sequence[str]) -> Place:
        return place if self._matches(constraints, node) else Place.CLOSED


def _place(node: objects_pb2.Node) -> Place:
    if (
        node.status.state == types_pb2.NODE_STATE_DOWN
        or node.spec.availability == types_pb2.NODE_AVAILABILITY_DRAIN
    ):
        return Place.CLOSED
    if node.spec.availability == types_pb2.NODE_AVAILABILITY_PAUSE:
        return Place.HELD
    return Place.OPEN if node.status.state == types_pb2.NODE_STATE_READY else Place.SILENT
