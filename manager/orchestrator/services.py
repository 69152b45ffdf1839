"""The orchestrator: sees to it that each service has the tasks that it asks for, whatever its mode.

What a service needs is its mode's to say (modes.py). Here is what all modes share: which services
to look at and when, and what was proposed about them. What is done depends on the store alone, so
any leader does the same. Tasks of services that are gone are let go. It places nothing and deletes
nothing.
"""

from collections.abc import Iterator, Sequence

from api import states
from api.ids import IdSource
from api.modes import is_everywhere
from api.v1 import objects_pb2
from manager.decision import Decision
from manager.orchestrator.modes import Modes
from manager.orchestrator.places import Matches
from manager.orchestrator.restart import Scene, Steps
from manager.orchestrator.tasks import Fates, is_wanted, removed
from manager.state.changes import Batch, Event, batch, update
from manager.state.store import View

MAX_CHANGES = 500
"""Changes after which a decision stops early, to keep the step short."""
MAX_TASKS = 5000
"""Tasks looked at after which a decision stops early; one service is never split."""


def unconstrained(constraints: Sequence[str], node: objects_pb2.Node) -> bool:
    """Every node: specs with constraints are refused so far."""
    return True


class ServicesLoop:
    """Fulfils manager.decision.Loop for services of every mode.

    A service for which something was proposed is left alone until every batch of that was applied
    or refused: a slot is never filled twice, whenever the next decision falls.
    """

    name = "orchestrator"
    kinds = (objects_pb2.Service, objects_pb2.Task, objects_pb2.Node)
    debounce = 0.005

    def __init__(self, ids: IdSource, matches: Matches = unconstrained) -> None:
        self._ids = ids
        self._matches = matches
        self._forget()

    def _forget(self) -> None:
        self._services: dict[str, None] = {}  # to be looked at
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
                self._services[task.service_id] = None
        self._nodes.clear()
        for service_id in [s for s, at in self._wake.items() if at <= now]:
            del self._wake[service_id]
            self._services[service_id] = None
        modes = Modes(view, self._matches)
        fates = Fates(view)
        batches: list[Batch] = []
        changes = looked_at = 0
        ready = [s for s in self._services if s not in self._proposed]
        for service_id in ready:
            if changes >= MAX_CHANGES or looked_at >= MAX_TASKS:
                return Decision(batches, self._next_wake(), more=True)
            del self._services[service_id]
            looked_at += len(tasks := view.tasks_of_service(service_id)) + 1
            service = view.get(objects_pb2.Service, service_id)
            self._wake.pop(service_id, None)
            if service is None:
                steps = _let_go(tasks)
            else:
                looked_at += view.count(objects_pb2.Node) if is_everywhere(service) else 0
                steps = modes.steps(tasks, Scene(service, fates, self._ids, now))
            made = self._take(service_id, steps, MAX_CHANGES - changes)
            changes += sum(len(each.changes) for each in made)
            batches += made
        return Decision(batches, self._next_wake())

    def refused(self, batch: Batch) -> None:
        """Looks at the batch's services again."""
        for change in batch.changes:
            obj = change.object
            self._settle(obj.id)
            self._mark(obj.service_id if isinstance(obj, objects_pb2.Task) else obj.id)

    def _mark(self, service_id: str) -> bool:
        """Notes the service; whether it can be decided about now."""
        self._services[service_id] = None
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

    def _take(self, service_id: str, steps: Iterator[Steps], limit: int) -> list[Batch]:
        """The steps with changes as batches, `limit` of them; what is cut off is decided again."""
        batches: list[Batch] = []
        for each in steps:
            if each.wake_at is not None:
                self._wake[service_id] = min(each.wake_at, self._wake.get(service_id, each.wake_at))
            if each.changes:
                batches.append(batch(*each.changes))
            if len(batches) >= limit:
                break
        for change in (c for each in batches for c in each.changes):
            self._owner[change.object.id] = service_id
            self._proposed.setdefault(service_id, set()).add(change.object.id)
        return batches


def _let_go(tasks: list[objects_pb2.Task]) -> Iterator[Steps]:
    """Removes the tasks of a service that is gone. Ended ones are the reaper's already."""
    for task in tasks:
        if task.desired_state != states.REMOVE and not states.is_terminal(task):
            yield Steps([update(removed(task))])


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
