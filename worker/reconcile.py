"""From what the managers assigned and what the node has to the steps between the two. Pure.

A COMPLETE message names every task of the node: what it does not name goes. An INCREMENTAL one
names changes. Desired states only grow: a message that would lower one is out of date. A task
without its spec is an outline: it is held, and follows whole in a later message where the node
does not have it (manager/dispatcher/assignments.py). Secrets and configs are held_files.py's.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from api.states import SHUTDOWN
from api.v1 import dispatcher_pb2, objects_pb2

Task = objects_pb2.Task
Message = dispatcher_pb2.AssignmentsMessage
Change = dispatcher_pb2.AssignmentChange


@dataclass(frozen=True, slots=True)
class Start:
    """A task that is new here; its status is what the managers know of it."""

    task: Task


@dataclass(frozen=True, slots=True)
class Update:
    """The managers want something else of a task, but its present step may go on."""

    task: Task


@dataclass(frozen=True, slots=True)
class Stop:
    """A task is to end from now on: whatever step is under way with it is broken off."""

    task: Task


@dataclass(frozen=True, slots=True)
class Remove:
    """A task, or a container left of one, that is no longer assigned: stop it, forget it."""

    task_id: str


Step = Start | Update | Stop | Remove


def plan(
    message: Message, local: Mapping[str, Task], containers: Collection[str] = ()
) -> list[Step]:
    """Steps that make the node follow the message, in its order, removals first.

    `local`: the tasks that the agent holds. `containers`: ids of tasks of which a container was
    found at start-up.
    """
    about = [change for change in message.changes if change.HasField("task")]
    wanted = {c.task.id: c.task for c in about if c.action == Change.ACTION_UPDATE}
    here = local.keys() | set(containers)
    if message.type == Message.TYPE_COMPLETE:
        gone = here - wanted.keys()
    else:
        removed = {c.task.id for c in about if c.action == Change.ACTION_REMOVE}
        gone = (removed - wanted.keys()) & here
    steps: list[Step] = [Remove(task_id) for task_id in sorted(gone)]
    for task in wanted.values():
        step = _step(task, local.get(task.id))
        if step is not None:
            steps.append(step)
    return steps


def behind(message: Message, local: Mapping[str, objects_pb2.TaskStatus]) -> list[str]:
    """Ids of tasks of which the managers, by this message, know less than the node does."""
    return [
        change.task.id
        for change in message.changes
        if change.HasField("task")
        and change.action == Change.ACTION_UPDATE
        and change.task.id in local
        and change.task.status.state < local[change.task.id].state
    ]


def _step(task: Task, present: Task | None) -> Step | None:
    if present is None:
        return Start(task) if task.HasField("spec") else None
    if task.desired_state < present.desired_state:
        return None
    merged = _merged(task, present)
    if _same(merged, present):
        return None
    if task.desired_state >= SHUTDOWN > present.desired_state:
        return Stop(merged)
    return Update(merged)


def _merged(task: Task, present: Task) -> Task:
    if task.HasField("spec"):
        return task
    merged = Task()
    merged.CopyFrom(present)
    merged.desired_state = task.desired_state
    return merged


def _same(one: Task, other: Task) -> bool:
    return one.desired_state == other.desired_state and _stable(one) == _stable(other)


def _stable(task: Task) -> bytes:
    """Everything but what is observed of the task and how the store counts its changes."""
    stable = Task()
    stable.CopyFrom(task)
    stable.ClearField("status")
    stable.ClearField("meta")
    return stable.SerializeToString(deterministic=True)
