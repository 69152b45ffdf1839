"""The allocator: a new task becomes schedulable once everything that it needs is set aside for it.

Tasks need nothing of the kind so far, so each goes from NEW to PENDING at once. Places nothing.
"""

from api import states
from api.times import timestamp
from api.v1 import objects_pb2
from manager.decision import Decision
from manager.state.changes import Batch, Event, batch, copy, update
from manager.state.store import View

MAX_TASKS = 500
"""Tasks per decision, so that a step stays well under 20 ms."""


class AllocatorLoop:
    """Moves tasks from NEW to PENDING. Fulfils manager.decision.Loop."""

    name = "allocator"
    kinds = (objects_pb2.Task,)
    debounce = 0.0

    def __init__(self) -> None:
        self._unseen: dict[str, None] = {}

    def reset(self, view: View) -> None:
        """Takes every new task as unseen."""
        self._unseen = {task.id: None for task in view.all(objects_pb2.Task) if _is_due(task)}

    def observe(self, event: Event) -> bool:
        """Notes tasks that are new."""
        task = event.new
        if not isinstance(task, objects_pb2.Task) or not _is_due(task):
            return False
        self._unseen[task.id] = None
        return True

    def decide(self, view: View, now: float) -> Decision:
        """PENDING for every new task that is still wanted."""
        at = timestamp(now)
        batches: list[Batch] = []
        while self._unseen and len(batches) < MAX_TASKS:
            task_id = next(iter(self._unseen))
            del self._unseen[task_id]
            task = view.get(objects_pb2.Task, task_id)
            if task is None or not _is_due(task):
                continue
            pending = copy(task)
            pending.status.state = states.PENDING
            pending.status.message = "pending task scheduling"
            pending.status.at.CopyFrom(at)
            batches.append(batch(update(pending)))
        return Decision(batches, more=bool(self._unseen))

    def refused(self, batch: Batch) -> None:
        """Looks at the task again."""
        for change in batch.changes:
            self._unseen[change.object.id] = None


def _is_due(task: objects_pb2.Task) -> bool:
    return task.status.state == states.NEW and states.is_live(task)
