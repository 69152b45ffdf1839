"""What a service should have, by its mode, and which of its tasks stands for each part. Pure.

A replicated service or job has numbered slots; a global one a slot on each node that takes part,
which is read from its tasks, since the orchestrator makes those of all nodes at the same time.
"""

from collections.abc import Iterable
from typing import NamedTuple

from api.modes import is_everywhere, is_job
from api.states import (
    COMPLETE,
    FAILED,
    REJECTED,
    REMOVE,
    RUNNING,
    is_live,
    is_terminal,
    is_wanted,
    task_name,
)
from api.v1 import objects_pb2

Service = objects_pb2.Service
Task = objects_pb2.Task
SHORT_ID = 12


class Slot(NamedTuple):
    """One part of a service. `label`: as 2/5, or a node; `task`: None where there is none yet."""

    label: str
    name: str
    task: Task | None


def slots(service: Service, tasks: Iterable[Task]) -> list[Slot]:
    """The slots that there should be, with the task that stands for each."""
    best: dict[int | str, Task] = {}
    for task in tasks:
        if task.desired_state < REMOVE and task.job_iteration == service.job_status.iteration:
            key = task.slot or task.node_id
            best[key] = max(best.get(key, task), task, key=_precedence)
    if is_everywhere(service):
        return [
            Slot(task.node_id[:SHORT_ID], task_name(task), task)
            for task in sorted(best.values(), key=lambda task: task.node_id)
            if _takes_part(task, service)
        ]
    return _numbered(service, {key: task for key, task in best.items() if isinstance(key, int)})


def is_up(task: Task | None, service: Service) -> bool:
    """Whether the task is as the service is specified now: it runs, or a job's has completed."""
    if task is None:
        return False
    if is_job(service):
        return task.status.state == COMPLETE
    runs = task.desired_state == task.status.state == RUNNING
    return runs and _is_current(task, service)


def is_given_up(task: Task | None) -> bool:
    """Whether the task failed, and no other follows."""
    return task is not None and not is_wanted(task) and task.status.state in (FAILED, REJECTED)


def _numbered(service: Service, best: dict[int, Task]) -> list[Slot]:
    replicated = service.spec.replicated.replicas
    wanted = replicated or service.spec.replicated_job.total_completions
    numbers = sorted(best)[:wanted]
    missing = [n for n in range(1, wanted + len(best) + 1) if n not in best]
    name = service.spec.annotations.name
    filled = [Slot(f"{n}/{wanted}", f"{name}.{n}", best[n]) for n in numbers]
    empty = missing[: wanted - len(numbers)]
    return filled + [Slot(f"{n}/{wanted}", f"{name}.{n}", None) for n in empty]


def _takes_part(task: Task, service: Service) -> bool:
    """Whether the task's node still does: it was not drained, is not down, nor paused meanwhile.

    An update leaves paused nodes out: a task of an old spec that is there after its end stays.
    """
    if not is_wanted(task) and task.status.state not in (COMPLETE, FAILED, REJECTED):
        return False
    is_updated = service.update_status.state == objects_pb2.UpdateStatus.STATE_COMPLETED
    return not is_updated or _is_current(task, service)


def _is_current(task: Task, service: Service) -> bool:
    # A spec that was changed and changed back asks for nothing new of an old task.
    return task.spec_version == service.spec_version or task.spec == service.spec.task


def _precedence(task: Task) -> tuple[bool, bool, bool, int, int]:
    # Of the tasks of one slot, the live one of the newest spec stands for it; but nothing can
    # follow a job's task that completed.
    return (
        task.status.state == task.desired_state == COMPLETE,
        is_live(task),
        not is_terminal(task),
        task.spec_version,
        task.meta.created_at.ToNanoseconds(),
    )
