"""How many slots a replicated service has: which ones to open, and which ones to close. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping

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


def slots_to_close(filled: list[Slot], count: int) -> list[Slot]:
    """The `count` slots that a service can best do without.

    First those that do not run; then, each time anew, one from the node that has most slots of the
    service; then the one with the highest number (SwarmKit, orchestrator/replicated/slot.go).
    """
    on_node = Counter(_node_of(slot) for slot in filled)
    by_node: dict[tuple[bool, str], list[Slot]] = {}
    for slot in sorted(filled, key=lambda slot: slot.number):
        by_node.setdefault((slot.is_running, _node_of(slot)), []).append(slot)
    chosen: list[Slot] = []
    while len(chosen) < count and by_node:
        key = min(by_node, key=lambda k: (k[0], -on_node[k[1]], -by_node[k][-1].number))
        chosen.append(by_node[key].pop())
        on_node[key[1]] -= 1
        if not by_node[key]:
            del by_node[key]
    return chosen


def _node_of(slot: Slot) -> str:
    wanted = slot.wanted
    return (wanted or slot.tasks)[-1].node_id
