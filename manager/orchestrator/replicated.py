"""Replicated services: as many tasks as the service asks for, each in a slot with a number. Pure.

Opens and closes slots, keeps each at one task, and leads rolling updates. `keep_slots` does the
latter two for whatever a slot is; so it also serves global services, whose slots are nodes.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from api import states
from api.v1 import objects_pb2
from manager.orchestrator.restart import Scene, Steps, tend
from manager.orchestrator.scale import free_numbers, slots_to_close
from manager.orchestrator.slots import Slot, slots_of
from manager.orchestrator.tasks import goal, new_task, removed
from manager.orchestrator.update import PAUSED, advance
from manager.state.changes import create, update


def fill_slots(tasks: list[objects_pb2.Task], scene: Scene) -> Iterator[Steps]:
    """What the service's slots need, from all its tasks, oldest first."""
    slots = slots_of(tasks)
    filled = sorted((s for s in slots.values() if s.is_filled), key=lambda s: s.number)
    surplus = len(filled) - scene.service.spec.replicated.replicas
    if surplus > 0:
        closing = slots_to_close(filled, surplus)
        yield from (close(slot) for slot in closing)
        gone = {slot.key for slot in closing}
        filled = [slot for slot in filled if slot.key not in gone]
    elif surplus < 0:
        for number in islice(free_numbers(slots), -surplus):
            yield first_task(slots.get(number) or Slot(number), scene)
    yield from keep_slots(filled, scene)


def keep_slots(filled: list[Slot], scene: Scene) -> Iterator[Steps]:
    """What keeps each of the slots at one task, of the present spec as the rollout gets there."""
    move = advance(filled, scene)
    if move.service is not None:
        # The new status decides how ended tasks are followed, so it comes first, alone.
        yield Steps([update(move.service)])
        return
    yield Steps(wake_at=move.wake_at)
    scene = replace(scene, is_paused=scene.service.update_status.state == PAUSED)
    for slot in filled:
        steps = move.steps.get(slot.key)
        yield tend(slot, scene) if steps is None else Steps(steps)


def first_task(slot: Slot, scene: Scene) -> Steps:
    """A task for a slot that has none, as soon as what was told to stop there has stopped."""
    desired = states.READY if slot.stopping(scene.fates) else goal(scene.service)
    made = new_task(
        scene.service,
        scene.ids,
        scene.now,
        slot=slot.number,
        node_id=slot.node_id,
        desired=desired,
    )
    return Steps([create(made)])


def close(slot: Slot) -> Steps:
    """Removes the slot's tasks, its history too."""
    return Steps([update(removed(task)) for task in slot.tasks])
