"""Replicated services: as many tasks as the service asks for, each in a slot with a number. Pure.

Opens and closes slots, keeps each at one task, and leads rolling updates. `keep_slots` does the
latter two for whatever a slot is; so it also serves global services, whose slots are nodes.
"""

from collections.abc import Iterator
from itertools import islice
from operator import attrgetter

from api import states
from api.v1 import objects_pb2
from manager.orchestrator.attempts import attempts_before
from manager.orchestrator.passes import used_up
from manager.orchestrator.restart import NOTHING, Scene, Steps, tend
from manager.orchestrator.scale import ClosingOrder, free_numbers
from manager.orchestrator.slots import Slot, put
from manager.orchestrator.tasks import goal, new_task, removed
from manager.orchestrator.update import Rollout
from manager.state.changes import create, update
from manager.state.indexes import SlotKey


def fill_slots(tasks: list[objects_pb2.Task], scene: Scene) -> Iterator[Steps]:
    """What the service's slots need, from all its tasks, oldest first. The list is used up."""
    slots: dict[SlotKey, Slot] = {}
    filled: list[Slot] = []
    for task in used_up(tasks):
        slot = put(slots, task)
        if slot.tasks and slot.tasks[0] is task:
            filled.append(slot)
        yield NOTHING
    filled.sort(key=attrgetter("number"))
    surplus = len(filled) - scene.service.spec.replicated.replicas
    if surplus > 0:
        gone: set[SlotKey] = set()
        yield from close_slots(filled, surplus, gone)
        kept = []
        for slot in used_up(filled):
            if slot.key in gone:
                del slots[slot.key]
            else:
                kept.append(slot)
            yield NOTHING
        filled = kept
    elif surplus < 0:
        for number in islice(free_numbers(slots), -surplus):
            yield first_task(slots.get(number) or Slot(number), scene)
    slots.clear()
    yield from keep_slots(filled, scene)


def keep_slots(filled: list[Slot], scene: Scene) -> Iterator[Steps]:
    """What keeps each of the slots at one task, of the present spec as the rollout gets there.

    They are all slots of the service; or with a scene whose rollout knows all, any of them. The
    list is used up.
    """
    knows_others = scene.rollout is not None
    rollout = scene.rollout = scene.rollout or Rollout(scene)
    moments = []
    for slot in filled:
        moments.append(rollout.add(slot))
        if scene.moves is not None:
            scene.moves.add(slot)
        yield NOTHING
    status = rollout.advance()
    if status is not None:
        # The new status decides how ended tasks are followed, so it comes first, alone.
        yield Steps([update(status)])
        return
    others = rollout.begun(filled) if knows_others else []
    for slot, moment in zip(used_up(filled), moments, strict=True):
        changes = rollout.steps(slot)
        steps = tend(slot, scene) if changes is None else Steps(changes, slot=slot.key)
        yield steps.by(moment)
    for key in others:
        yield Steps(rollout.steps(scene.slot(key)) or [], slot=key)


def close_slots(filled: list[Slot], surplus: int, gone: set[SlotKey]) -> Iterator[Steps]:
    """Removes the slots, with their history, that the service can best do without.

    The history, which may be long, goes task by task, and what is wanted last: whoever looks in
    between finds a slot that still has its task, and not one that ended for good.
    """
    order = ClosingOrder()
    for slot in filled:
        order.add(slot)
        yield NOTHING
    for slot in islice(order, surplus):
        gone.add(slot.key)
        for task in slot.tasks:
            yield NOTHING if states.is_wanted(task) else Steps([update(removed(task))])
        yield Steps([update(removed(task)) for task in slot.wanted])


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
        attempts=attempts_before(slot.tasks, scene.service.spec_version),
    )
    return Steps([create(made)])
