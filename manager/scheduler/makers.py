"""Which drivers make volumes, on whatever node: theirs are of no use anywhere before they are made.

The node that mounts a volume need not have the part of the driver that makes it. Pure.
"""

from collections import Counter

from api.v1 import objects_pb2


class Makers:
    """Of all nodes, also of those that are down: a volume waits for them to come back."""

    def __init__(self) -> None:
        self._of_node: dict[str, frozenset[str]] = {}
        self._nodes: Counter[str] = Counter()  # by driver, how many of them it makes volumes on

    def __contains__(self, driver: str) -> bool:
        """Whether volumes of this driver have to be made."""
        return self._nodes[driver] > 0

    def put(self, node_id: str, node: objects_pb2.Node | None) -> bool:
        """The node as it is now; None: it is gone. Whether that changes what has to be made."""
        drivers = () if node is None else node.description.volume_drivers
        before = self._of_node.pop(node_id, frozenset())
        after = frozenset(each.name for each in drivers if each.creates)
        if after:
            self._of_node[node_id] = after
        had = {each for each in before ^ after if each in self}
        self._nodes.update(after)
        self._nodes.subtract(before)
        return had != {each for each in before ^ after if each in self}
