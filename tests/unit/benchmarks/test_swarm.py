"""What counts as running, and as gone, in a stream of events."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from api import states
from api.errors import SwarmError
from api.v1 import control_pb2, types_pb2
from benchmarks.swarm import until_deleted, until_running

Event = control_pb2.WatchEvent
UPDATE, DELETE = Event.ACTION_UPDATE, Event.ACTION_DELETE


def event(
    task_id: str,
    state: types_pb2.TaskState.ValueType,
    action: Event.Action.ValueType = UPDATE,
    desired: types_pb2.TaskState.ValueType = states.RUNNING,
) -> Event:
    made = Event(action=action)
    task = made.object.task
    task.id = task_id
    task.status.state = state
    task.desired_state = desired
    return made


async def stream(*events: Event) -> AsyncIterator[Event]:
    for each in events:
        yield each


@pytest.mark.parametrize(
    ("events", "enough"),
    [
        ([event("a", states.RUNNING), event("b", states.RUNNING)], True),
        ([event("a", states.RUNNING), event("a", states.RUNNING)], False),
        ([event("a", states.RUNNING), event("b", states.STARTING)], False),
        (
            [event("a", states.RUNNING), event("a", states.FAILED), event("b", states.RUNNING)],
            False,
        ),
        ([event("a", states.RUNNING, desired=states.SHUTDOWN), event("b", states.RUNNING)], False),
        ([event("a", states.RUNNING), event("a", states.RUNNING, DELETE)], False),
    ],
)
def test_two_running(events: list[Event], enough: bool) -> None:
    waiting = until_running(stream(*events), 2)
    if enough:
        asyncio.run(waiting)
    else:
        with pytest.raises(SwarmError, match="do not run"):
            asyncio.run(waiting)


def test_all_deleted() -> None:
    events = [event("a", states.RUNNING, DELETE), event("b", states.RUNNING)]
    asyncio.run(until_deleted(stream(*events), {"a"}))
    with pytest.raises(SwarmError, match="tasks are left"):
        asyncio.run(until_deleted(stream(*events), {"a", "b"}))
