"""What agents report of their tasks, on its way into the store. Pure.

The observed state only grows: a report of a smaller state is stale and dropped, and a task that
ended stays as it ended. A report for another node's task is refused, one for a task that is gone is
dropped. Reports are gathered and written together; a lone one waits for nothing.
"""

from collections.abc import Iterable, Iterator, Mapping

from api.errors import Code, SwarmError, invalid
from api.states import ACCEPTED, REJECTED, RUNNING
from api.times import seconds_of
from api.v1 import dispatcher_pb2, objects_pb2, types_pb2
from manager.state.changes import Batch, batch, copy, update
from manager.state.store import View

MAX_REPORTS = 10_000
"""Reports in one call, and gathered ones that are written without waiting (SwarmKit)."""
QUIET = 0.02
"""Seconds between two writes of gathered reports."""
MAX_TEXT = 4096
"""Characters kept of a message or error, so that an agent cannot fill the store."""
MAX_PROBES = 5
"""Health probes kept of a task, each with so much text at most (Docker)."""
MAX_WARNINGS = 10
"""Warnings kept of a task's container."""

TaskStatus = objects_pb2.TaskStatus
Update = dispatcher_pb2.TaskStatusUpdate


def check(view: View, node_id: str, updates: Iterable[Update]) -> None:
    """Refuses the whole report if any part of it is not the node's to make."""
    for index, each in enumerate(updates):
        if index >= MAX_REPORTS:
            raise invalid("updates", f"more than {MAX_REPORTS} updates in one call")
        path = f"updates[{index}]"
        if not ACCEPTED <= each.status.state <= REJECTED or not _is_known(each.status.state):
            raise invalid(
                f"{path}.status.state", f"state {each.status.state} is not an agent's to report"
            )
        task = view.get(objects_pb2.Task, each.task_id)
        if task is not None and task.node_id != node_id:
            raise SwarmError(
                Code.DENIED,
                f"task {each.task_id} is not a task of node {node_id}",
                field=f"{path}.task_id",
            )


def merged(present: TaskStatus, reported: TaskStatus) -> TaskStatus | None:
    """The status after the report; None where the report changes nothing or comes too late."""
    if reported.state < present.state:
        return None
    if present.state > RUNNING and reported.state != present.state:
        return None
    if reported.state == present.state and seconds_of(reported.at) < seconds_of(present.at):
        return None
    status = TaskStatus()
    status.CopyFrom(reported)
    status.message = status.message[:MAX_TEXT]
    status.error = status.error[:MAX_TEXT]
    if status.container.health_log:
        del status.container.health_log[:-MAX_PROBES]
        for probe in status.container.health_log:
            probe.output = probe.output[:MAX_TEXT]
    if status.container.warnings:
        kept = [text[:MAX_TEXT] for text in status.container.warnings[:MAX_WARNINGS]]
        status.container.warnings[:] = kept
    return None if status == present else status


class Gathered:
    """Reports that are yet to be written, one per task. Fulfils Outbox."""

    def __init__(self) -> None:
        self._reports: dict[str, TaskStatus] = {}
        self._written_at: float | None = None

    def add(self, updates: Iterable[Update]) -> None:
        """Adds checked reports; of two for one task the later state stands."""
        for each in updates:
            waiting = self._reports.get(each.task_id)
            status = each.status if waiting is None else merged(waiting, each.status)
            if status is not None:
                self._reports[each.task_id] = status

    def due(self, now: float) -> float | None:
        """When to write: at once after a quiet time; None while there is nothing to write."""
        if not self._reports:
            return None
        if self._written_at is None or len(self._reports) >= MAX_REPORTS:
            return now
        return max(now, self._written_at + QUIET)

    def take(self, now: float) -> Mapping[str, TaskStatus]:
        """The gathered reports, by task, to be written now."""
        taken, self._reports = self._reports, {}
        self._written_at = now
        return taken

    def restore(self, taken: Mapping[str, TaskStatus]) -> None:
        """Nothing: agents whose report failed make it again."""

    def batches(self, view: View, taken: Mapping[str, TaskStatus]) -> Iterator[Batch]:
        """The reports as changes of the tasks as they are now, each by itself."""
        for task_id, reported in taken.items():
            task = view.get(objects_pb2.Task, task_id)
            status = None if task is None else merged(task.status, reported)
            if task is not None and status is not None:
                changed = copy(task)
                changed.status.CopyFrom(status)
                yield batch(update(changed))


def _is_known(state: int) -> bool:
    return state in types_pb2.TaskState.values()
