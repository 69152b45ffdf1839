"""What must hold after every single write, whatever happens."""

import math

from api import states
from api.modes import is_everywhere, is_job
from api.stopping import grace_of
from api.times import seconds_of
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.restart import OLD_TASK_WAIT
from manager.placement.resources import holds_resources
from manager.state.changes import Event
from manager.state.indexes import slot_key
from manager.state.store import View
from tests.support.builders import DOWN, DRAIN

ROUNDING = 1e-6
"""Seconds by which a time may differ after its way through a Timestamp."""
UNDER_WAY = 5.0
"""Seconds that a decision may be on its way to the log: it holds although a node that was down when
it was made is back.
"""
DESIRED = (states.READY, states.RUNNING, states.COMPLETE, states.SHUTDOWN, states.REMOVE)
GOALS = (states.RUNNING, states.COMPLETE)
"""Desired states of tasks that may run."""


class Watchdog:
    """Checks each event against the store as it is after it. AssertionError says what broke."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.drained: set[str] = set()
        """Ids of tasks whose node was drained under them, or is."""
        self._back: dict[str, float] = {}  # when a node was found not to be down any more

    def check(self, event: Event, now: float) -> None:
        """All invariants that the event could have broken."""
        old, new = event.old, event.new
        self._note_drains(new)
        self._note_returns(old, new, now)
        if isinstance(new, objects_pb2.Task):
            was_told = states.READY
            if isinstance(old, objects_pb2.Task):
                self._states_only_grow(old, new)
                was_told = old.desired_state
            if was_told < states.RUNNING and new.desired_state in GOALS:
                self._start_waits_for_the_old_task(new, now)
                self._does_nothing_again(new)
            if old is None:
                self._made_where_it_belongs(new)
            self._no_job_too_many(new)
            self._one_task_per_slot(new)
            self._runs_once_it_is_healthy(new)
            self._nothing_overcommitted(new)
        elif isinstance(old, objects_pb2.Task):
            self._only_dead_tasks_are_deleted(old)

    def _note_drains(self, new: object) -> None:
        if isinstance(new, objects_pb2.Node) and new.spec.availability == DRAIN:
            self.drained |= {task.id for task in self._view.tasks_of_node(new.id)}
        elif isinstance(new, objects_pb2.Task) and new.node_id:
            node = self._view.get(objects_pb2.Node, new.node_id)
            if node is not None and node.spec.availability == DRAIN:
                self.drained.add(new.id)

    def _note_returns(self, old: object, new: object, now: float) -> None:
        if not (isinstance(old, objects_pb2.Node) and isinstance(new, objects_pb2.Node)):
            return
        if old.status.state == DOWN != new.status.state:
            self._back[new.id] = now

    def _states_only_grow(self, old: objects_pb2.Task, new: objects_pb2.Task) -> None:
        assert new.status.state >= old.status.state, f"{new.id} went back in its life"
        assert new.desired_state >= old.desired_state, f"{new.id} is wanted again"
        assert new.desired_state in DESIRED
        assert not old.node_id or new.node_id == old.node_id, f"{new.id} moved between nodes"
        assert new.spec == old.spec, f"the spec of {new.id} was rewritten"

    def _start_waits_for_the_old_task(self, new: objects_pb2.Task, now: float) -> None:
        assert now + ROUNDING >= seconds_of(new.start_after), (
            f"{new.id} was started before its delay"
        )
        waited = now - seconds_of(new.meta.created_at) - OLD_TASK_WAIT
        for other in self._view.tasks_of_slot(new.service_id, slot_key(new)):
            if states.is_wanted(other) or waited >= grace_of(other.spec):
                continue
            assert not self._holds_its_node(other, now), (
                f"{new.id} was started while {other.id} still stops"
            )

    def _one_task_per_slot(self, task: objects_pb2.Task) -> None:
        if task.desired_state not in GOALS or states.is_terminal(task):
            return
        tasks = self._view.tasks_of_slot(task.service_id, slot_key(task))
        live = [t for t in tasks if states.is_live(t) and t.desired_state in GOALS]
        service = self._view.get(objects_pb2.Service, task.service_id)
        start_first = specs_pb2.UpdateConfig.ORDER_START_FIRST
        two = (
            len({t.spec_version for t in live}) > 1 or any(t.id in self.drained for t in live)
        ) and (service is None or start_first in _orders(service))
        assert len(live) <= 1 + two, f"{[t.id for t in live]} share a slot"

    def _made_where_it_belongs(self, task: objects_pb2.Task) -> None:
        """A global service's task is made for a node that may have one; others have a slot."""
        service = self._view.get(objects_pb2.Service, task.service_id)
        if service is None or not is_everywhere(service):
            assert task.slot, f"{task.id} has no slot"
            return
        assert task.node_id, f"{task.id} of a global service has no node"
        assert not task.slot, f"{task.id} of a global service has a slot"

    def _no_job_too_many(self, task: objects_pb2.Task) -> None:
        service = self._view.get(objects_pb2.Service, task.service_id)
        if service is None or not is_job(service) or not states.is_live(task):
            return
        tasks = self._view.tasks_of_service(service.id)
        present = [t for t in tasks if t.job_iteration == service.job_status.iteration]
        if task.status.state == states.NEW:
            live = [t.id for t in present if states.is_live(t)]
            at_once = service.spec.replicated_job.max_concurrent or len(live)
            assert len(live) <= at_once, f"{live} are under way, though {at_once} may be"

    def _does_nothing_again(self, task: objects_pb2.Task) -> None:
        """It may be made, while the task before it completes after all, but not be told to run."""
        service = self._view.get(objects_pb2.Service, task.service_id)
        if service is None or not is_job(service):
            return
        for other in self._view.tasks_of_slot(service.id, slot_key(task)):
            if other.job_iteration == task.job_iteration:
                done = other.status.state == states.COMPLETE
                assert not done, f"{task.id} does again what {other.id} has done"

    def _runs_once_it_is_healthy(self, task: objects_pb2.Task) -> None:
        proven = task.status.container.health not in (states.UNCHECKED, states.UNPROVEN)
        checked = task.spec.container.HasField("health")
        assert not checked or task.status.state != states.RUNNING or proven, (
            f"{task.id} runs without having been healthy"
        )

    def _nothing_overcommitted(self, task: objects_pb2.Task) -> None:
        node = self._view.get(objects_pb2.Node, task.node_id) if task.node_id else None
        if node is None:
            return
        held = [t for t in self._view.tasks_of_node(node.id) if holds_resources(t)]
        for name in ("nano_cpus", "memory_bytes"):
            reserved = sum(getattr(t.spec.resources.reservations, name) for t in held)
            offered = getattr(node.description.resources, name)
            assert reserved <= offered, f"{name} of {node.id} is overcommitted by {task.id}"

    def _only_dead_tasks_are_deleted(self, task: objects_pb2.Task) -> None:
        never_ran = task.status.state < states.ASSIGNED and task.desired_state == states.REMOVE
        assert states.is_terminal(task) or never_ran, f"{task.id} was deleted alive"

    def _holds_its_node(self, task: objects_pb2.Task, now: float) -> bool:
        node = self._view.get(objects_pb2.Node, task.node_id) if task.node_id else None
        if node is None or node.status.state == DOWN or not holds_resources(task):
            return False
        return now > self._back.get(node.id, -math.inf) + UNDER_WAY


def _orders(service: objects_pb2.Service) -> tuple[int, int]:
    return service.spec.update.order, service.spec.rollback.order
