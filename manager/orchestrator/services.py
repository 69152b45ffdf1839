"""The orchestrator: sees to it that each service has the tasks that it asks for, whatever its mode.

What a service needs is its mode's to say (modes.py). Here is what all modes share: which services
to look at, or which of their slots (agenda.py), and what was proposed about them. What is done
depends on the store alone, so any leader does the same. Tasks of services that are gone are let go.
It places nothing and deletes nothing. A service with very many tasks is looked at in several steps
(passes.py).
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

from api import states
from api.ids import IdSource
from api.modes import is_everywhere
from api.v1 import objects_pb2
from manager.decision import Decision
from manager.orchestrator.agenda import Agenda, Marks
from manager.orchestrator.modes import Modes
from manager.orchestrator.news import has_left, node_looks_different, node_matters, task_matters
from manager.orchestrator.passes import Pass, used_up
from manager.orchestrator.places import Matches
from manager.orchestrator.restart import NOTHING, Scene, Steps
from manager.orchestrator.scenes import Scenes
from manager.orchestrator.tasks import removed
from manager.placement.constraint import matches
from manager.state.changes import Batch, Event, batch, update
from manager.state.indexes import SlotKey, slot_key
from manager.state.store import View

MAX_CHANGES = 200
"""Changes after which a decision stops early, to keep the step short."""
MAX_LOOKS = 1500
"""Tasks and slots looked at after which a decision stops early."""
MAX_SLOTS = 1000
"""Slots that are looked at together; of a service whose rollout is under way, all that changed."""


class ServicesLoop:
    """Fulfils manager.decision.Loop for services of every mode.

    A service for which something was proposed is left alone until every batch of that was applied
    or refused: a slot is never filled twice, whenever the next decision falls. What it has proposed
    needs no look by itself: the events of it note what they call for, as those of anybody else.

    `waited_since`: that of the clock whose time `decide` is given.
    """

    name = "orchestrator"
    kinds = (objects_pb2.Service, objects_pb2.Task, objects_pb2.Node)
    debounce = 0.005

    def __init__(
        self,
        ids: IdSource,
        matches: Matches = matches,
        *,
        waited_since: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._ids = ids
        self._waited_since = waited_since
        self._matches = matches
        self._changes = self._looks = 0  # that are left of the step under way
        self._forget()

    def _forget(self) -> None:
        self._agenda = Agenda()
        self._nodes: dict[str, None] = {}  # whose tasks' slots are to be looked at
        self._everywhere: dict[str, None] = {}  # services that want a task on every node
        self._scenes = Scenes(self._ids, self._waited_since)

    def reset(self, view: View) -> None:
        """Takes every service as unseen, and every task whose service is gone."""
        self._forget()
        for service in view.all(objects_pb2.Service):
            self._see(service)
            self._agenda.mark(service.id)
        for service_id in view.services_of_tasks():
            self._agenda.mark(service_id)

    def observe(self, event: Event) -> bool:
        """Notes services that changed, and slots whose tasks or nodes did."""
        obj = event.object
        news = self._agenda.settle(obj.id)
        if isinstance(obj, objects_pb2.Service):
            self._see(obj)
            if event.new is None:
                self._everywhere.pop(obj.id, None)
                self._agenda.alarms.forget(obj.id)
            self._scenes.forget(obj.id)
            news |= self._agenda.renew(obj.id)
        elif isinstance(obj, objects_pb2.Task) and task_matters(event):
            news |= self._agenda.mark_slot(obj.service_id, slot_key(obj), was_left=has_left(event))
        elif isinstance(obj, objects_pb2.Node):
            news |= self._observe_node(obj.id, event)
        return news

    def _see(self, service: objects_pb2.Service) -> None:
        if is_everywhere(service):
            self._everywhere[service.id] = None

    def _observe_node(self, node_id: str, event: Event) -> bool:
        matters = node_matters(event)
        if matters:
            self._nodes[node_id] = None
        elif not node_looks_different(event):
            return False
        news = [self._agenda.mark_slot(service_id, node_id) for service_id in self._everywhere]
        return matters or any(news)

    def decide(self, view: View, now: float) -> Decision:
        """What the noted services and slots need, and those whose time has come."""
        for node_id in self._nodes:
            for task in view.tasks_of_node(node_id):
                self._agenda.mark_slot(task.service_id, slot_key(task))
        self._nodes.clear()
        self._agenda.ring(now)
        self._changes, self._looks = MAX_CHANGES, MAX_LOOKS
        modes = Modes(view, self._matches)
        batches: list[Batch] = []
        for service_id in self._agenda.ready():
            batches += self._look_at(view, modes, service_id, now)
            if self._is_over():
                break
        return Decision(batches, self._agenda.next_wake(), more=bool(self._agenda.ready()))

    def refused(self, batch: Batch) -> None:
        """Looks at the batch's services again."""
        for change in batch.changes:
            obj = change.object
            self._agenda.settle(obj.id)
            self._agenda.mark(obj.service_id if isinstance(obj, objects_pb2.Task) else obj.id)

    def _is_over(self) -> bool:
        return self._looks <= 0 or self._changes <= 0

    def _look_at(self, view: View, modes: Modes, service_id: str, now: float) -> Iterator[Batch]:
        """Looks at what is noted of the service for as long as the step may last."""
        marks = self._agenda.take(service_id)
        if marks.under_way is None:
            marks.under_way = self._begin(view, modes, service_id, marks, now)
        if marks.under_way is not None:
            yield from self._go_on(service_id, marks, marks.under_way, now)
        self._agenda.put_back(service_id, marks)

    def _begin(
        self, view: View, modes: Modes, service_id: str, marks: Marks, now: float
    ) -> Pass | None:
        """A look at some of the slots that are noted, or at all; None if that has to wait."""
        service = view.get(objects_pb2.Service, service_id)
        if marks.slots and not marks.whole:
            scene = None if service is None else self._scenes.of_some(view, service, now)
            if service is None or scene is not None:
                under_way = self._look_at_slots(view, modes, service_id, marks, scene)
                if under_way is not None:
                    return under_way
            marks.whole = True
        marks.slots.clear()
        if not self._agenda.may_begin(service_id, marks):
            return None
        marks.whole = False
        self._agenda.alarms.forget(service_id)  # the look sets them anew
        tasks = view.tasks_of_service(service_id)
        count = len(tasks)
        if service is None:
            return Pass(_let_go(used_up(tasks)), None, count)
        scene = self._scenes.of_all(view, service, now)
        return Pass(modes.steps(tasks, scene), scene, count)

    def _look_at_slots(
        self, view: View, modes: Modes, service_id: str, marks: Marks, scene: Scene | None
    ) -> Pass | None:
        """A look at the first of the slots; None if only a look at all tells what they need."""
        if scene is not None and scene.rollout is not None and len(marks.slots) > MAX_SLOTS:
            return None
        keys = sorted(islice(marks.slots, MAX_SLOTS), key=_order)
        self._looks -= len(keys)
        tasks = {key: view.tasks_of_slot(service_id, key) for key in keys}
        if scene is None:
            steps: Iterator[Steps] | None = _let_go(chain.from_iterable(tasks.values()))
        else:
            left = {key for key in keys if marks.slots[key]}
            steps = modes.steps_of_slots(tasks, scene, left)
        if steps is None:
            return None
        for key in keys:
            del marks.slots[key]
            self._agenda.alarms.cancel(service_id, key)
        return Pass(steps, scene)

    def _go_on(self, service_id: str, marks: Marks, under_way: Pass, now: float) -> Iterator[Batch]:
        """Begins or continues a look."""
        scene = under_way.scene
        if scene is not None:
            scene.now = now
            scene.fates.renew()
        for steps in under_way.steps:
            self._looks -= 1
            yield from self._carry_out(service_id, steps)
            if self._is_over():
                return
        marks.under_way = None
        if under_way.tasks:
            self._agenda.rest(service_id, under_way.tasks, now)
            if scene is not None:
                self._scenes.keep(scene)

    def _carry_out(self, service_id: str, steps: Steps) -> Iterator[Batch]:
        if steps.wake_at is not None:
            self._agenda.alarms.set(service_id, steps.slot, steps.wake_at)
        if steps.changes:
            self._changes -= len(steps.changes)
            self._agenda.propose(service_id, (change.object.id for change in steps.changes))
            yield batch(*steps.changes)


def _order(key: SlotKey) -> tuple[int, str]:
    return (key, "") if isinstance(key, int) else (0, key)


def _let_go(tasks: Iterable[objects_pb2.Task]) -> Iterator[Steps]:
    """Removes the tasks of a service that is gone. Ended ones are the reaper's already.

    What holds a container's place in a network is no service's, and ends when its node says so.
    """
    for task in tasks:
        is_left = task.desired_state == states.REMOVE or states.is_terminal(task)
        stays = is_left or task.spec.HasField("attachment")
        yield NOTHING if stays else Steps([update(removed(task))])
