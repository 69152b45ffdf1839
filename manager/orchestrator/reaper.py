"""The reaper: deletes tasks that nobody needs any more, and bounds the history of each slot, or of
a global service on each node.

A task goes at once when it is to be removed, or its service is gone, and no agent has it any more.
Of the others that ended, each slot keeps the newest few. Tasks of nodes that were removed are
ORPHANED: nobody will report their end. Whether an end needs an answer is the orchestrator's
question: a task that is still wanted is left alone, and whatever the limit, so is what the
orchestrator reads from its history. What holds addresses is left until the allocator took them
back: else nobody would know of them.
"""

from api import states
from api.modes import is_job
from api.times import timestamp
from api.v1 import objects_pb2
from manager.decision import Decision
from manager.orchestrator.rollback import UNDER_WAY
from manager.orchestrator.tasks import has_run_its_course, was_placed
from manager.state.changes import Action, Batch, Change, Event, batch, copy, delete, update
from manager.state.indexes import SlotKey, slot_key
from manager.state.networks import holds
from manager.state.store import View

DEFAULT_HISTORY_LIMIT = 5
"""Ended tasks that a slot keeps, if the cluster's spec does not say."""
MAX_TASKS = 500
"""Tasks per decision, so that a step stays well under 20 ms."""

_Key = tuple[str, SlotKey, str]
"""Service id, slot and, for tasks without either, task id: what is looked at together."""


class ReaperLoop:
    """Deletes tasks. Fulfils manager.decision.Loop."""

    name = "reaper"
    kinds = (objects_pb2.Task, objects_pb2.Service, objects_pb2.Node, objects_pb2.Cluster)
    debounce = 0.25

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._keys: dict[_Key, None] = {}
        self._services: dict[str, None] = {}  # all of whose tasks are to be looked at
        self._nodes: dict[str, None] = {}  # likewise
        self._everything = False

    def reset(self, view: View) -> None:
        """Takes every task as unseen."""
        self._forget()
        self._everything = True

    def observe(self, event: Event) -> bool:
        """Notes ended and unwanted tasks, and those that lost their service or node."""
        obj = event.object
        if isinstance(obj, objects_pb2.Task):
            if not states.is_live(obj) or _was_moved(event):
                self._keys[_key(obj)] = None
        elif isinstance(obj, objects_pb2.Service):
            self._services[obj.id] = None
        elif isinstance(obj, objects_pb2.Node) and event.new is None:
            self._nodes[obj.id] = None
        elif isinstance(obj, objects_pb2.Cluster):
            self._everything = True
        return bool(self._keys or self._services or self._nodes or self._everything)

    def decide(self, view: View, now: float) -> Decision:
        """Deletes, and ORPHANED for tasks whose node is gone."""
        self._gather(view)
        limit = history_limit(view)
        batches: list[Batch] = []
        looked_at = 0
        while self._keys and looked_at < MAX_TASKS:
            key = next(iter(self._keys))
            del self._keys[key]
            service = view.get(objects_pb2.Service, key[0])
            tasks = _tasks_of(view, key)
            looked_at += len(tasks) + 1
            kept = []
            for task in tasks:
                change = _verdict(view, task, now)
                if change is None or (change.action is Action.DELETE and holds(task)):
                    kept.append(task)
                else:
                    batches.append(batch(change))
            surplus = surplus_history(kept, limit, service)
            batches += [batch(delete(task)) for task in surplus if not holds(task)]
        return Decision(batches, more=bool(self._keys))

    def refused(self, batch: Batch) -> None:
        """Looks at the slot again."""
        for change in batch.changes:
            if isinstance(change.object, objects_pb2.Task):
                self._keys[_key(change.object)] = None

    def _gather(self, view: View) -> None:
        if self._everything:
            self._keys |= dict.fromkeys(_key(task) for task in view.all(objects_pb2.Task))
        for service_id in self._services:
            self._keys |= dict.fromkeys(map(_key, view.tasks_of_service(service_id)))
        for node_id in self._nodes:
            self._keys |= dict.fromkeys(map(_key, view.tasks_of_node(node_id)))
        self._services.clear()
        self._nodes.clear()
        self._everything = False


def history_limit(view: View) -> int | None:
    """How many ended tasks a slot keeps; None for all."""
    cluster = next(view.all(objects_pb2.Cluster), None)
    if cluster is None or not cluster.spec.HasField("task_history_limit"):
        return DEFAULT_HISTORY_LIMIT
    limit = cluster.spec.task_history_limit
    return limit if limit >= 0 else None


def surplus_history(
    tasks: list[objects_pb2.Task], limit: int | None, service: objects_pb2.Service | None
) -> list[objects_pb2.Task]:
    """Those of a slot's tasks, oldest first, that its history is to lose.

    The newest task stays in any case: it shows that the slot is filled, if only by an end for good.
    So does the last that completed in a job's present iteration: nothing else shows that the slot
    is done. While a rollout is under way one that ended stays: it may have failed on trial.
    """
    if limit is None:
        return []
    if service is not None and service.update_status.state in UNDER_WAY:
        limit = max(1, limit)
    ended = [t for t in tasks[:-1] if has_run_its_course(t)]
    is_newest_ended = bool(tasks) and states.is_terminal(tasks[-1])
    excess = len(ended) + is_newest_ended - limit
    results = [t.id for t in ended if _is_result(t, service)]
    return [t for t in ended[: max(0, excess)] if t.id not in results[-1:]]


def _is_result(task: objects_pb2.Task, service: objects_pb2.Service | None) -> bool:
    """Whether the task has done what the present iteration of its job is about."""
    return (
        service is not None
        and is_job(service)
        and task.status.state == states.COMPLETE
        and task.job_iteration == service.job_status.iteration
    )


def _verdict(view: View, task: objects_pb2.Task, now: float) -> Change | None:
    has_ended = states.is_terminal(task)
    if task.desired_state == states.REMOVE and (has_ended or not was_placed(task)):
        return delete(task)
    if has_ended:
        orphan = view.get(objects_pb2.Service, task.service_id) is None
        return delete(task) if orphan else None
    if task.node_id and view.get(objects_pb2.Node, task.node_id) is None:
        return update(_orphaned(task, now))
    return None


def _orphaned(task: objects_pb2.Task, now: float) -> objects_pb2.Task:
    lost = copy(task)
    lost.status.state = states.ORPHANED
    lost.status.message = "its node was removed"
    lost.status.at.CopyFrom(timestamp(now))
    return lost


def _was_moved(event: Event) -> bool:
    """Whether the task came to a node, which may be gone by now."""
    old, new = event.old, event.new
    if not isinstance(old, objects_pb2.Task) or not isinstance(new, objects_pb2.Task):
        return True
    return old.node_id != new.node_id


def _key(task: objects_pb2.Task) -> _Key:
    slot = slot_key(task)
    return (task.service_id, slot, "" if task.service_id and slot else task.id)


def _tasks_of(view: View, key: _Key) -> list[objects_pb2.Task]:
    service_id, slot, task_id = key
    if not task_id:
        return view.tasks_of_slot(service_id, slot)
    task = view.get(objects_pb2.Task, task_id)
    return [] if task is None else [task]
