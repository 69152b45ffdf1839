"""Jobs: tasks that run to their end, once in each iteration. Pure.

A replicated job has as many slots as it needs completions, of which so many are under way at once;
a global job has each node as a slot. A slot is done with the first task in it that completes, and
given up when the restart policy lets no other follow a failed one; the condition `any` therefore
acts as on-failure. Tasks of earlier iterations count for nothing, and those that still run are
removed (SwarmKit, orchestrator/jobs). Where it differs: max-attempts holds for global jobs too, and
a slot waits until what an earlier iteration still runs there has stopped.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from api import states
from api.v1 import objects_pb2
from manager.orchestrator.everywhere import fill_nodes, forget_gone
from manager.orchestrator.places import Place
from manager.orchestrator.replicated import close_slots, first_task
from manager.orchestrator.restart import Scene, Steps, tend
from manager.orchestrator.scale import free_numbers
from manager.orchestrator.slots import Slot, slots_of
from manager.orchestrator.tasks import has_run_its_course, removed, retired
from manager.state.changes import update
from manager.state.indexes import SlotKey, slot_key


def run_to_completion(tasks: list[objects_pb2.Task], scene: Scene) -> Iterator[Steps]:
    """What a replicated job needs, from all its tasks, oldest first."""
    job = scene.service.spec.replicated_job
    if earlier := _ended_earlier(tasks, scene):
        # First, alone: their successors wait for those that were told to stop.
        yield from (Steps([update(task)]) for task in earlier)
        return
    slots = _of_iteration(tasks, scene.service.job_status.iteration)
    yield from _rest(slots, scene)
    filled = sorted((s for s in slots.values() if s.is_filled), key=lambda s: s.number)
    under_way = [slot for slot in filled if slot.wanted and not is_done(slot)]
    lacking = job.total_completions - (len(filled) - len(under_way))
    surplus = len(under_way) - max(0, lacking)
    if surplus > 0:
        gone: set[SlotKey] = set()
        yield from close_slots(under_way, surplus, gone)
        under_way = [slot for slot in under_way if slot.key not in gone]
    # Those above a lowered limit may go on.
    at_once = min(lacking, job.max_concurrent or lacking)
    for number in islice(free_numbers(slots), max(0, at_once - len(under_way))):
        yield first_task(slots.get(number) or Slot(number), scene)
    for slot in under_way:
        yield tend(slot, scene)


def run_on_every_node(
    tasks: list[objects_pb2.Task], scene: Scene, places: Mapping[str, Place]
) -> Iterator[Steps]:
    """What a global job needs, from all its tasks, oldest first."""
    yield from forget_gone(tasks, places)
    earlier = _ended_earlier([task for task in tasks if task.node_id in places], scene)
    yield from (Steps([update(task)]) for task in earlier)
    waiting = {task.node_id for task in earlier}
    places = {node_id: place for node_id, place in places.items() if node_id not in waiting}
    tasks = [task for task in tasks if task.node_id in places]
    slots = _of_iteration(tasks, scene.service.job_status.iteration)
    yield from _rest(slots, scene)
    done = {slot.key for slot in slots.values() if is_done(slot)}
    open_places = {node_id: place for node_id, place in places.items() if node_id not in done}
    kept = yield from fill_nodes(slots, scene, open_places)
    for slot in kept:
        yield tend(slot, scene)


def is_done(slot: Slot) -> bool:
    """Whether a task of the slot completed."""
    return any(task.status.state == states.COMPLETE for task in slot.tasks)


def _ended_earlier(tasks: Iterable[objects_pb2.Task], scene: Scene) -> list[objects_pb2.Task]:
    """What ends the tasks that earlier iterations still run, and leaves failures unanswered."""
    ended = []
    for task in tasks:
        if not _is_earlier(task, scene.service.job_status.iteration):
            continue
        if states.is_live(task):
            ended.append(removed(task))
        elif states.is_wanted(task) and not has_run_its_course(task):
            ended.append(retired(task, scene.now))
    return ended


def _of_iteration(tasks: list[objects_pb2.Task], iteration: int) -> dict[SlotKey, Slot]:
    """The slots as the iteration has filled them; earlier tasks in them may still be stopping."""
    slots = slots_of(task for task in tasks if not _is_earlier(task, iteration))
    for task in tasks:
        if _is_earlier(task, iteration) and not states.is_terminal(task):
            key = slot_key(task)
            slots.setdefault(key, Slot(key)).removing.append(task)
    return slots


def _is_earlier(task: objects_pb2.Task, iteration: int) -> bool:
    return task.job_iteration != iteration


def _rest(slots: Mapping[SlotKey, Slot], scene: Scene) -> Iterator[Steps]:
    """Shuts down what still runs in a slot that is done, as after a node was taken for lost."""
    for slot in slots.values():
        if is_done(slot):
            live = [task for task in slot.tasks if states.is_live(task)]
            yield Steps([update(retired(task, scene.now)) for task in live])
