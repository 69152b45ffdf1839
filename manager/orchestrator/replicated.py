"""The replicated orchestrator: for each replicated service as many running tasks as it asks for.

Opens and closes slots, keeps each slot at one task, leads rolling updates, and lets go of the tasks
of services that are gone. What is done about a service depends on the store alone, so any leader
does the same; the loop only remembers which services to look at. It places nothing and deletes
nothing. A service with very many tasks is looked at in several steps (passes.py).
"""

from collections.abc import Iterator
from itertools import islice
from operator import attrgetter

from api import states
from api.ids import IdSource
from api.v1 import objects_pb2
from manager.decision import Decision
from manager.orchestrator.drain import Moves
from manager.orchestrator.passes import Pass
from manager.orchestrator.restart import NOTHING, Scene, Steps, tend
from manager.orchestrator.scale import ClosingOrder, free_numbers
from manager.orchestrator.slots import Slot, put
from manager.orchestrator.tasks import Fates, is_wanted, new_task, removed
from manager.orchestrator.update import Rollout
from manager.state.changes import Batch, Change, Event, batch, create, update
from manager.state.store import View

MAX_CHANGES = 500
"""Changes after which a decision stops early, to keep the step short."""
MAX_LOOKS = 4000
"""Tasks and slots looked at after which a decision stops early."""


class ReplicatedLoop:
    """Fulfils manager.decision.Loop for replicated services.

    A service for which something was proposed is left alone until every batch of that was applied
    or refused: a slot is never filled twice, whenever the next decision falls.
    """

    name = "replicated orchestrator"
    kinds = (objects_pb2.Service, objects_pb2.Task, objects_pb2.Node)
    debounce = 0.005

    def __init__(self, ids: IdSource) -> None:
        self._ids = ids
        self._changes = self._looks = 0  # that are left of the step under way
        self._forget()

    def _forget(self) -> None:
        self._services: dict[str, Pass | None] = {}  # to be looked at, or being looked at
        self._nodes: dict[str, None] = {}  # whose tasks' services are to be looked at
        self._wake: dict[str, float] = {}  # services to be looked at when it is time
        self._proposed: dict[str, set[str]] = {}  # by service: ids of objects on their way
        self._owner: dict[str, str] = {}  # of these objects

    def reset(self, view: View) -> None:
        """Takes every service as unseen, and every task whose service is gone."""
        self._forget()
        for service in view.all(objects_pb2.Service):
            self._services[service.id] = None
        for task in view.all(objects_pb2.Task):
            self._services[task.service_id] = None

    def observe(self, event: Event) -> bool:
        """Notes services that changed, or whose tasks or nodes did."""
        obj = event.object
        news = self._settle(obj.id)
        if isinstance(obj, objects_pb2.Service):
            self._services.pop(obj.id, None)  # a pass under way is about the service as it was
            news |= self._mark(obj.id)
        elif isinstance(obj, objects_pb2.Task) and _task_matters(event):
            news |= self._mark(obj.service_id)
        elif isinstance(obj, objects_pb2.Node) and _node_matters(event):
            self._nodes[obj.id] = None
            news = True
        return news

    def decide(self, view: View, now: float) -> Decision:
        """What the noted services need, and those whose time has come."""
        for node_id in self._nodes:
            for task in view.tasks_of_node(node_id):
                self._mark(task.service_id)
        self._nodes.clear()
        for service_id in [s for s, at in self._wake.items() if at <= now]:
            del self._wake[service_id]
            self._mark(service_id)
        self._changes, self._looks = MAX_CHANGES, MAX_LOOKS
        batches: list[Batch] = []
        for service_id in self._ready():
            batches += self._go_on(view, service_id, now)
            if self._is_over():
                break
        return Decision(batches, self._next_wake(), more=bool(self._ready()))

    def refused(self, batch: Batch) -> None:
        """Looks at the batch's services again."""
        for change in batch.changes:
            obj = change.object
            self._settle(obj.id)
            self._mark(obj.service_id if isinstance(obj, objects_pb2.Task) else obj.id)

    def _ready(self) -> list[str]:
        """The services to look at now: those without a proposal, or in the middle of a look."""
        return [s for s, going in self._services.items() if going or s not in self._proposed]

    def _mark(self, service_id: str) -> bool:
        """Notes the service; whether it can be decided about now."""
        under_way = self._services.setdefault(service_id, None)
        if under_way is not None:
            under_way.again = True
        return service_id not in self._proposed

    def _settle(self, object_id: str) -> bool:
        """Takes a proposed object as applied or refused; whether it was the last of its service."""
        service_id = self._owner.pop(object_id, None)
        if service_id is None:
            return False
        waiting = self._proposed[service_id]
        waiting.discard(object_id)
        if waiting:
            return False
        del self._proposed[service_id]
        return self._mark(service_id)

    def _next_wake(self) -> float | None:
        return min(self._wake.values(), default=None)

    def _go_on(self, view: View, service_id: str, now: float) -> Iterator[Batch]:
        """Looks at the service, or goes on with that, for as long as the step may last."""
        under_way = self._services.pop(service_id) or self._begin(view, service_id, now)
        if under_way.scene is not None:
            under_way.scene.now = now
        for steps in under_way.steps:
            self._looks -= 1
            if steps.wake_at is not None:
                earliest = self._wake.get(service_id, steps.wake_at)
                self._wake[service_id] = min(steps.wake_at, earliest)
            if steps.changes:
                self._changes -= len(steps.changes)
                yield self._proposed_batch(service_id, steps.changes)
            if self._is_over():
                self._services[service_id] = under_way  # behind the others that wait
                return
        if under_way.again:
            self._mark(service_id)

    def _is_over(self) -> bool:
        return self._looks <= 0 or self._changes <= 0

    def _begin(self, view: View, service_id: str, now: float) -> Pass:
        self._wake.pop(service_id, None)
        service = view.get(objects_pb2.Service, service_id)
        tasks = view.tasks_of_service(service_id)
        if service is None:
            return Pass(_let_go(tasks), None)
        fates = Fates(view)
        scene = Scene(service, fates, self._ids, now, Moves(service, fates))
        is_ours = service.spec.WhichOneof("mode") == "replicated"
        return Pass(fill_slots(tasks, scene) if is_ours else iter(()), scene)

    def _proposed_batch(self, service_id: str, changes: list[Change]) -> Batch:
        for change in changes:
            self._owner[change.object.id] = service_id
            self._proposed.setdefault(service_id, set()).add(change.object.id)
        return batch(*changes)


def fill_slots(tasks: list[objects_pb2.Task], scene: Scene) -> Iterator[Steps]:
    """What the service's slots need, from all its tasks, oldest first."""
    slots: dict[int, Slot] = {}
    filled: list[Slot] = []
    for task in tasks:
        slot = put(slots, task)
        if slot.tasks and slot.tasks[0] is task:
            filled.append(slot)
        yield NOTHING
    filled.sort(key=attrgetter("number"))
    surplus = len(filled) - scene.service.spec.replicated.replicas
    if surplus > 0:
        gone: set[int] = set()
        yield from _close_slots(filled, surplus, gone)
        filled = [slot for slot in filled if slot.number not in gone]
    elif surplus < 0:
        for number in islice(free_numbers(slots), -surplus):
            yield Steps([create(_first_task(number, slots.get(number), scene))])
    yield from keep_slots(filled, scene)


def keep_slots(filled: list[Slot], scene: Scene) -> Iterator[Steps]:
    """What keeps each of the slots at one task, of the present spec as the rollout gets there."""
    rollout = Rollout(scene)
    for slot in filled:
        rollout.add(slot)
        if scene.moves is not None:
            scene.moves.add(slot)
        yield NOTHING
    move = rollout.advance()
    if move.service is not None:
        # The new status decides how ended tasks are followed, so it comes first, alone.
        yield Steps([update(move.service)])
        return
    yield Steps(wake_at=move.wake_at)
    for slot in filled:
        is_moving = slot.number in move.steps
        yield Steps(move.steps[slot.number]) if is_moving else tend(slot, scene)


def _close_slots(filled: list[Slot], surplus: int, gone: set[int]) -> Iterator[Steps]:
    order = ClosingOrder()
    for slot in filled:
        order.add(slot)
        yield NOTHING
    for slot in islice(order, surplus):
        gone.add(slot.number)
        yield Steps([update(removed(task)) for task in slot.tasks])


def _let_go(tasks: list[objects_pb2.Task]) -> Iterator[Steps]:
    """Removes the tasks of a service that is gone. Ended ones are the reaper's already."""
    for task in tasks:
        is_left = task.desired_state == states.REMOVE or states.is_terminal(task)
        yield NOTHING if is_left else Steps([update(removed(task))])


def _first_task(number: int, slot: Slot | None, scene: Scene) -> objects_pb2.Task:
    waits = slot is not None and bool(slot.stopping(scene.fates))
    desired = states.READY if waits else states.RUNNING
    return new_task(scene.service, scene.ids, scene.now, slot=number, desired=desired)


def _task_matters(event: Event) -> bool:
    """Whether a change of a task could call for a decision: most steps up to RUNNING do not."""
    old, new = event.old, event.new
    if not isinstance(old, objects_pb2.Task) or not isinstance(new, objects_pb2.Task):
        return True
    return (
        old.desired_state != new.desired_state
        or old.node_id != new.node_id
        or new.status.state >= states.RUNNING
        or not is_wanted(new)
    )


def _node_matters(event: Event) -> bool:
    old, new = event.old, event.new
    if not isinstance(old, objects_pb2.Node) or not isinstance(new, objects_pb2.Node):
        return True
    return old.status.state != new.status.state or old.spec.availability != new.spec.availability
