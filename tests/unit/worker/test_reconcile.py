"""From assignments and what is there to steps."""

from typing import TypeAlias

import pytest

from api.states import ASSIGNED, COMPLETE, PREPARING, READY, REMOVE, RUNNING, SHUTDOWN
from api.v1 import dispatcher_pb2, objects_pb2, types_pb2
from worker.reconcile import Change, Message, Step, Task, behind, plan

State: TypeAlias = types_pb2.TaskState.ValueType


def task(
    task_id: str, desired: State = RUNNING, *, image: str = "app:1", state: State = ASSIGNED
) -> Task:
    made = Task(id=task_id, desired_state=desired)
    if image:
        made.spec.container.image = image
    made.status.state = state
    return made


def message(
    *tasks: Task, complete: bool = True, removed: tuple[str, ...] = ()
) -> dispatcher_pb2.AssignmentsMessage:
    made = Message(type=Message.TYPE_COMPLETE if complete else Message.TYPE_INCREMENTAL)
    for each in tasks:
        made.changes.add(action=Change.ACTION_UPDATE, task=each)
    for task_id in removed:
        made.changes.add(action=Change.ACTION_REMOVE, task=Task(id=task_id))
    return made


def told(steps: list[Step]) -> list[str]:
    return [
        f"{type(step).__name__} {getattr(step, 'task_id', '') or step.task.id}"  # type: ignore[union-attr]
        for step in steps
    ]


def local(*tasks: Task) -> dict[str, Task]:
    return {each.id: each for each in tasks}


A, B = task("a"), task("b")
OUTLINE_A = task("a", image="")

CASES: dict[str, tuple[Message, dict[str, Task], set[str], list[str]]] = {
    "nothing": (message(), {}, set(), []),
    "new task": (message(A), {}, set(), ["Start a"]),
    "known task": (message(A), local(A), set(), []),
    "known task whose status moved": (message(task("a", state=RUNNING)), local(A), set(), []),
    "desired state grew": (message(A), local(task("a", READY)), set(), ["Update a"]),
    "desired state fell": (message(task("a", READY)), local(A), set(), []),
    "spec changed": (message(task("a", image="app:2")), local(A), set(), ["Update a"]),
    "to be shut down": (message(task("a", SHUTDOWN)), local(A), set(), ["Stop a"]),
    "to be removed": (message(task("a", REMOVE)), local(A), set(), ["Stop a"]),
    "removed while shutting down": (
        message(task("a", REMOVE)),
        local(task("a", SHUTDOWN)),
        set(),
        ["Update a"],
    ),
    "new task that is to be shut down": (message(task("a", SHUTDOWN)), {}, set(), ["Start a"]),
    "a job's task": (message(task("a", COMPLETE)), local(task("a", READY)), set(), ["Update a"]),
    "complete without a local task": (message(A), local(A, B), set(), ["Remove b"]),
    "complete and empty": (message(), local(A, B), set(), ["Remove a", "Remove b"]),
    "container of no task": (message(A), {}, {"a", "x"}, ["Remove x", "Start a"]),
    "container of a local task": (message(A), local(A), {"a"}, []),
    "incremental, new": (message(B, complete=False), local(A), set(), ["Start b"]),
    "incremental leaves the rest": (message(complete=False), local(A), {"x"}, []),
    "incremental removal": (
        message(complete=False, removed=("a",)),
        local(A, B),
        set(),
        ["Remove a"],
    ),
    "incremental removal of a stranger": (message(complete=False, removed=("z",)), {}, set(), []),
    "incremental removal of a mere container": (
        message(complete=False, removed=("x",)),
        {},
        {"x"},
        ["Remove x"],
    ),
    "outline of a local task": (message(OUTLINE_A), local(A), set(), []),
    "outline of a task to stop": (
        message(task("a", SHUTDOWN, image="")),
        local(A),
        set(),
        ["Stop a"],
    ),
    "outline of a stranger": (message(OUTLINE_A), {}, {"a"}, []),
}


@pytest.mark.parametrize("name", CASES)
def test_plan(name: str) -> None:
    given, here, containers, expected = CASES[name]
    assert told(plan(given, here, containers)) == expected


def test_an_outline_keeps_the_spec() -> None:
    (step,) = plan(message(task("a", SHUTDOWN, image="")), local(A))
    stopped = step.task  # type: ignore[union-attr]
    assert (stopped.spec, stopped.desired_state) == (A.spec, SHUTDOWN)
    assert A.desired_state == RUNNING


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [(ASSIGNED, RUNNING, ["a"]), (RUNNING, RUNNING, []), (RUNNING, PREPARING, [])],
)
def test_what_the_managers_have_missed(theirs: State, ours: State, expected: list[str]) -> None:
    statuses = {"a": objects_pb2.TaskStatus(state=ours), "gone": objects_pb2.TaskStatus()}
    assert behind(message(task("a", state=theirs), B), statuses) == expected
