"""Global services: one task on every node that is fit for it, and never two. Pure.

A node is a slot: its task has the node from the beginning, and the scheduler only confirms that it
fits. Rolling updates and restarts go from node to node as they go from slot to slot elsewhere.
Which nodes take part is read from the store each time, so no event can be missed, and none can
count twice (moby#39130: there global services grow extra tasks).
"""

from collections.abc import Generator, Iterable, Iterator, Mapping

from api import states
from api.v1 import objects_pb2
from manager.orchestrator.places import Place
from manager.orchestrator.replicated import first_task, keep_slots
from manager.orchestrator.restart import NOTHING, Scene, Steps, may_restart
from manager.orchestrator.slots import Slot, slots_of
from manager.orchestrator.tasks import removed, retired
from manager.state.changes import update
from manager.state.indexes import SlotKey


def fill_every_node(
    tasks: list[objects_pb2.Task], scene: Scene, places: Mapping[str, Place]
) -> Iterator[Steps]:
    """What the service's nodes need, from all its tasks, oldest first."""
    yield from forget_gone(tasks, places)
    kept = yield from fill_nodes(slots_of(tasks), scene, places)
    yield from keep_slots(kept, scene)


def forget_gone(tasks: Iterable[objects_pb2.Task], places: Mapping[str, Place]) -> Iterator[Steps]:
    """Removes tasks of nodes that were removed, and their history."""
    for task in tasks:
        if task.node_id not in places and task.desired_state != states.REMOVE:
            yield Steps([update(removed(task))])


def fill_nodes(
    slots: Mapping[SlotKey, Slot], scene: Scene, places: Mapping[str, Place]
) -> Generator[Steps, None, list[Slot]]:
    """Gives nodes that lack a task their own, takes it from those that may not have one.

    Returns the slots of the others, which are to be kept as they are, or brought up to date.
    """
    kept = []
    for node_id, place in places.items():
        yield NOTHING
        slot = slots.get(node_id) or Slot(node_id)
        if place is Place.CLOSED:
            yield leave(slot, scene)
        elif place is Place.HELD:
            continue
        elif slot.wanted or _has_ended_for_good(slot):
            kept.append(slot)
        elif place is Place.OPEN:
            yield first_task(slot, scene)
    return kept


def leave(slot: Slot, scene: Scene) -> Steps:
    """Shuts the slot's tasks down; no other follows them."""
    return Steps([update(retired(task, scene.now)) for task in slot.wanted])


def _has_ended_for_good(slot: Slot) -> bool:
    """Whether there was a task that no other follows: one that merely had to leave is no such."""
    return slot.is_filled and not may_restart(slot.newest)
