"""The orchestrator: sees to it that each service has the tasks that it asks for, whatever its mode.

What a service needs is its mode's to say (modes.py). Here is what all modes share: which services
to look at and when, and what was proposed about them. What is done depends on the store alone, so
any leader does the same. Tasks of services that are gone are let go. It places nothing and deletes
nothing. A service with very many tasks is looked at in several steps (passes.py).
"""

from collections.abc import Iterator

from api import states
from api.ids import IdSource
from api.modes import is_everywhere
from api.v1 import objects_pb2
from manager.decision import Decision
from manager.orchestrator.drain import Moves
from manager.orchestrator.modes import Modes
from manager.orchestrator.passes import Pass
from manager.orchestrator.places import Matches
from manager.orchestrator.restart import NOTHING, Scene, Steps
from manager.orchestrator.tasks import Fates, removed
from manager.placement.constraint import matches
from manager.state.changes import Batch, Change, Event, batch, update
from manager.state.store import View

MAX_CHANGES = 500
"""Changes after which a decision stops early, to keep the step short."""
MAX_LOOKS = 4000
"""Tasks and slots looked at after which a decision stops early."""


class ServicesLoop:
    """Fulfils manager.decision.Loop for services of every mode.

    A service for which something was proposed is left alone until every batch of that was applied
    or refused: a slot is never filled twice, whenever the next decision falls.
    """

    name = "orchestrator"
    kinds = (objects_pb2.Service, objects_pb2.Task, objects_pb2.Node)
    debounce = 0.005

    def __init__(self, ids: IdSource, matches: Matches = matches) -> None:
        self._ids = ids
        self._matches = matches
        self._changes = self._looks = 0  # that are left of the step under way
        self._forget()

    def _forget(self) -> None:
        self._services: dict[str, Pass | None] = {}  # to be looked at, or being looked at
        self._nodes: dict[str, None] = {}  # whose tasks' services are to be looked at
        self._wake: dict[str, float] = {}  # services to be looked at when it is time
        self._proposed: dict[str, set[str]] = {}  # by service: ids of objects on their way
        self._owner: dict[str, str] = {}  # of these objects
        self._everywhere: dict[str, None] = {}  # services that want a task on every node

    def reset(self, view: View) -> None:
        """Takes every service as unseen, and every task whose service is gone."""
        self._forget()
        for service in view.all(objects_pb2.Service):
            self._see(service)
            self._services[service.id] = None
        for task in view.all(objects_pb2.Task):
            self._services[task.service_id] = None

    def observe(self, event: Event) -> bool:
        """Notes services that changed, or whose tasks or nodes did."""
        obj = event.object
        news = self._settle(obj.id)
        if isinstance(obj, objects_pb2.Service):
            self._see(obj)
            if event.new is None:
                self._everywhere.pop(obj.id, None)
            self._services.pop(obj.id, None)  # a pass under way is about the service as it was
            news |= self._mark(obj.id)
        elif isinstance(obj, objects_pb2.Task) and _task_matters(event):
            news |= self._mark(obj.service_id)
        elif isinstance(obj, objects_pb2.Node):
            news |= self._observe_node(obj.id, event)
        return news

    def _see(self, service: objects_pb2.Service) -> None:
        if is_everywhere(service):
            self._everywhere[service.id] = None

    def _observe_node(self, node_id: str, event: Event) -> bool:
        matters = _node_matters(event)
        if matters:
            self._nodes[node_id] = None
        elif not _node_looks_different(event):
            return False
        news = [self._mark(service_id) for service_id in self._everywhere]
        return matters or any(news)

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
        modes = Modes(view, self._matches)
        batches: list[Batch] = []
        for service_id in self._ready():
            batches += self._go_on(view, modes, service_id, now)
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

    def _go_on(self, view: View, modes: Modes, service_id: str, now: float) -> Iterator[Batch]:
        """Looks at the service, or goes on with that, for as long as the step may last."""
        under_way = self._services.pop(service_id) or self._begin(view, modes, service_id, now)
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

    def _begin(self, view: View, modes: Modes, service_id: str, now: float) -> Pass:
        self._wake.pop(service_id, None)
        service = view.get(objects_pb2.Service, service_id)
        tasks = view.tasks_of_service(service_id)
        if service is None:
            return Pass(_let_go(tasks), None)
        fates = Fates(view)
        scene = Scene(service, fates, self._ids, now, Moves(service, fates))
        return Pass(modes.steps(tasks, scene), scene)

    def _proposed_batch(self, service_id: str, changes: list[Change]) -> Batch:
        for change in changes:
            self._owner[change.object.id] = service_id
            self._proposed.setdefault(service_id, set()).add(change.object.id)
        return batch(*changes)


def _let_go(tasks: list[objects_pb2.Task]) -> Iterator[Steps]:
    """Removes the tasks of a service that is gone. Ended ones are the reaper's already."""
    for task in tasks:
        is_left = task.desired_state == states.REMOVE or states.is_terminal(task)
        yield NOTHING if is_left else Steps([update(removed(task))])


def _task_matters(event: Event) -> bool:
    """Whether a change of a task could call for a decision: most steps up to RUNNING do not."""
    old, new = event.old, event.new
    if not isinstance(old, objects_pb2.Task) or not isinstance(new, objects_pb2.Task):
        return True
    return (
        old.desired_state != new.desired_state
        or old.node_id != new.node_id
        or new.status.state >= states.RUNNING
        or not states.is_wanted(new)
    )


def _node_matters(event: Event) -> bool:
    old, new = event.old, event.new
    if not isinstance(old, objects_pb2.Node) or not isinstance(new, objects_pb2.Node):
        return True
    return old.status.state != new.status.state or old.spec.availability != new.spec.availability


def _node_looks_different(event: Event) -> bool:
    """Whether a constraint could say something else of the node now."""
    old, new = event.old, event.new
    if not isinstance(old, objects_pb2.Node) or not isinstance(new, objects_pb2.Node):
        return True
    return (
        old.role != new.role
        or old.spec != new.spec
        or old.status.address != new.status.address
        or old.description != new.description
    )
