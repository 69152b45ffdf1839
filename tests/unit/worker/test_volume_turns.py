"""Which tasks wait for which others on their node before they begin to use a volume."""

from typing import Any

import pytest

from api import states
from api.v1 import dispatcher_pb2, objects_pb2, specs_pb2, volume_pb2
from worker.volume_book import Hold
from worker.volume_turns import Turns

Change = dispatcher_pb2.AssignmentChange
Message = dispatcher_pb2.AssignmentsMessage
Spec = specs_pb2.VolumeSpec
Task = objects_pb2.Task

SINGLE, MANY = Spec.ACCESS_SINGLE_WRITER, Spec.ACCESS_MANY_WRITERS
ALL, NONE = Spec.SHARING_ALL, Spec.SHARING_NONE
READONLY, ONEWRITER = Spec.SHARING_READONLY, Spec.SHARING_ONEWRITER


def task(name: str, *, slot: int = 1, reads: bool = False, ends: bool = False) -> Task:
    made = Task(id=name, service_id="db", slot=slot)
    made.desired_state = states.SHUTDOWN if ends else states.RUNNING
    made.volumes.add(volume_id="v1", epoch=2, read_only=reads)
    return made


def waits(turns: Turns, fresh: Task, epoch: int = 2, **item: Any) -> list[str]:
    """For whom of the others, of which all have the volume here under this epoch."""
    known = volume_pb2.NodeVolume(id="v1", **item)
    users = {Hold("v1", epoch): ["fresh", "old"]}
    return list(turns.before(fresh, fresh.volumes[0], known, users))


@pytest.mark.parametrize(
    ("sharing", "access", "old", "fresh", "meant"),
    [
        (NONE, SINGLE, {}, {}, True),
        (NONE, SINGLE, {"reads": True}, {"reads": True}, True),
        (READONLY, SINGLE, {"reads": True}, {"reads": True}, False),
        (ONEWRITER, SINGLE, {}, {}, True),
        (ONEWRITER, SINGLE, {}, {"reads": True}, False),
        (ONEWRITER, SINGLE, {"reads": True}, {}, False),
        (ALL, SINGLE, {}, {}, True),
        (ALL, SINGLE, {"slot": 2}, {}, False),
        (ALL, SINGLE, {}, {"reads": True}, False),
        (ALL, MANY, {}, {}, False),
    ],
)
def test_for_whom_a_task_waits(
    sharing: int, access: int, old: dict[str, Any], fresh: dict[str, Any], meant: bool
) -> None:
    item = {"sharing": sharing, "access": access}
    going_on = Turns([task("old", **old)])
    assert waits(going_on, task("fresh", **fresh), **item) == []
    ending = Turns([task("old", ends=True, **old)])
    assert waits(ending, task("fresh", **fresh), **item) == ["old"] * meant


def test_what_is_left_of_an_older_hold_is_always_waited_for() -> None:
    turns = Turns([task("old", slot=2, reads=True)])
    assert waits(turns, task("fresh"), epoch=1, sharing=ALL, access=MANY) == ["old"]


def test_of_a_task_that_nobody_knows_the_worst_is_thought_but_not_whose_place_it_had() -> None:
    assert waits(Turns(), task("fresh"), sharing=NONE) == ["old"]
    assert waits(Turns(), task("fresh"), sharing=ONEWRITER) == ["old"]
    assert waits(Turns(), task("fresh"), sharing=ALL) == []


def _message(kind: Message.Type.ValueType, *changes: tuple[int, Task]) -> Message:
    made = Message(type=kind)
    for action, about in changes:
        made.changes.add(action=Change.Action.ValueType(action), task=about)
    return made


def test_what_managers_say_of_tasks() -> None:
    turns = Turns()
    complete, more = Message.TYPE_COMPLETE, Message.TYPE_INCREMENTAL
    update, remove = Change.ACTION_UPDATE, Change.ACTION_REMOVE
    turns.follow(_message(complete, (update, task("old"))))
    assert waits(turns, task("fresh"), sharing=NONE) == []
    turns.follow(_message(more, (update, task("old", ends=True))))
    assert waits(turns, task("fresh"), sharing=NONE) == ["old"]
    turns.forget("old")

    turns.follow(_message(more, (update, task("old"))))
    turns.follow(_message(more, (remove, Task(id="old"))))
    assert waits(turns, task("fresh"), sharing=ALL) == ["old"], "known until it is gone"

    turns = Turns([task("old")])
    turns.forget("old")
    assert waits(turns, task("fresh"), sharing=NONE) == [], "it goes on: it was only made anew"
    turns.follow(_message(complete))
    assert waits(turns, task("fresh"), sharing=ALL) == ["old"]
