"""Which nodes have which drivers of volumes, and which nodes are lost. Kept by events. Pure."""

from collections.abc import Callable, Iterator

from api.v1 import objects_pb2, types_pb2

Driver = objects_pb2.VolumeDriver
Node = objects_pb2.Node


class Drivers:
    """Of all nodes."""

    def __init__(self) -> None:
        self._of_node: dict[str, tuple[Driver, ...]] = {}
        self._lost: set[str] = set()

    def put(self, node_id: str, node: Node | None) -> bool:
        """The node as it is now, None: it is gone. Whether that says anything new."""
        before = self._of_node.get(node_id), node_id in self._lost
        if node is None:
            self._of_node.pop(node_id, None)
            self._lost.discard(node_id)
        else:
            self._of_node[node_id] = tuple(node.description.volume_drivers)
            if node.status.state == types_pb2.NODE_STATE_DOWN:
                self._lost.add(node_id)
            else:
                self._lost.discard(node_id)
        return before != (self._of_node.get(node_id), node_id in self._lost)

    def is_lost(self, node_id: str) -> bool:
        """Whether nobody hears of the node: it is down, or was removed."""
        return node_id in self._lost or node_id not in self._of_node

    def is_member(self, node_id: str) -> bool:
        """Whether the node is part of the swarm."""
        return node_id in self._of_node

    def any_is(self, name: str) -> bool:
        """Whether any node has a driver of this name."""
        return any(each.name == name for each in self._all())

    def any_creates(self, name: str) -> bool:
        """Whether volumes of this driver have to be made."""
        return any(each.name == name and each.creates for each in self._all())

    def any_deletes(self, name: str) -> bool:
        """Whether volumes of this driver have to be deleted in so many words."""
        return any(each.name == name and (each.deletes or each.creates) for each in self._all())

    def fences(self, name: str) -> bool:
        """Whether some node has a driver of this name that can shut others out."""
        return any(each.name == name and each.fences for each in self._all())

    def able(self, suits: Callable[[Driver], bool]) -> Iterator[str]:
        """Ids of nodes, in their order, with a driver that suits."""
        for node_id in sorted(self._of_node):
            if any(map(suits, self._of_node[node_id])):
                yield node_id

    def _all(self) -> Iterator[Driver]:
        for drivers in self._of_node.values():
            yield from drivers
