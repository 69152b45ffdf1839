"""How many slots a replicated service has: which ones to open, and which ones to close. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush

from manager.orchestrator.slots import Slot
from manager.state.indexes import SlotKey


def free_numbers(slots: Mapping[SlotKey, Slot]) -> Iterator[int]:
    """The numbers of slots that are not filled, lowest first, without end."""
    number = 1
    while True:
        slot = slots.get(number)
        if slot is None or not slot.is_filled:
            yield number
        number += 1


class ClosingOrder:
    """The order in which a service can best do without its slots; they are shown one by one.

    First those that do not run; then, each time anew, one from the node that has most slots of the
    service; then the one with the highest number (SwarmKit, orchestrator/replicated/slot.go).
    """

    def __init__(self) -> None:
        self._on_node: Counter[str] = Counter()
        self._by_node: dict[tuple[bool, str], list[Slot]] = {}

    def add(self, slot: Slot) -> None:
        """Takes a slot into account; they come in ascending order."""
        node_id = _node_of(slot)
        self._on_node[node_id] += 1
        self._by_node.setdefault((slot.is_running, node_id), []).append(slot)

    def __iter__(self) -> Iterator[Slot]:
        # A heap of the last slot of each node, running or not, with the count that it was put in
        # with: what has another count by now is an old entry.
        heap = [self._entry(key) for key in self._by_node]
        heapify(heap)
        while heap:
            key, count, _, node_id = heappop(heap)
            slots = self._by_node[key, node_id]
            if not slots or -count != self._on_node[node_id]:
                continue
            yield slots.pop()
            self._on_node[node_id] -= 1
            for other in (False, True):
                if self._by_node.get((other, node_id)):
                    heappush(heap, self._entry((other, node_id)))

    def _entry(self, key: tuple[bool, str]) -> tuple[bool, int, int, str]:
        is_running, node_id = key
        return is_running, -self._on_node[node_id], -self._by_node[key][-1].number, node_id


def _node_of(slot: Slot) -> str:
    wanted = slot.wanted
    return (wanted or slot.tasks)[-1].node_id
