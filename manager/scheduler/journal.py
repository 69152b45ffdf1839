"""Which nodes were touched, and when: one book for all orders of nodes, so that a change costs the
same whatever the number of orders. Each order remembers up to where it has read.
"""


class Journal:
    """Each node once, at the last moment at which it was touched. Moments are counted from 1."""

    def __init__(self) -> None:
        self.now = 0
        """The moment of the last entry."""
        self.last_change = 0
        """The moment at which a node itself was changed last."""
        self._touched: dict[str, int] = {}  # in the order of the moments, as the next one
        self._changed: dict[str, int] = {}

    def __len__(self) -> int:
        """Nodes of which anything is written."""
        return len(self._touched)

    def touch(self, node_id: str, *, is_other: bool = False) -> None:
        """What is on the node has changed; or, with `is_other`, the node itself."""
        self.now = now = self.now + 1
        self._touched.pop(node_id, None)
        self._touched[node_id] = now
        if is_other:
            self.last_change = now
            self._changed.pop(node_id, None)
            self._changed[node_id] = now

    def since(self, moment: int) -> list[str]:
        """The nodes that were touched in any way after the moment, the latest first."""
        return _after(moment, self._touched) if moment < self.now else []

    def changed_since(self, moment: int) -> list[str]:
        """Those of them that have changed themselves."""
        return _after(moment, self._changed) if moment < self.last_change else []


def _after(moment: int, moments: dict[str, int]) -> list[str]:
    found = []
    for node_id, touched in reversed(moments.items()):
        if touched <= moment:
            break
        found.append(node_id)
    return found
