"""Reports of agents: what is taken, what is stale, what is refused, and when it is written."""

from typing import Any

import pytest

from api import states
from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import dispatcher_pb2, objects_pb2, types_pb2
from manager.dispatcher.statuses import (
    MAX_REPORTS,
    MAX_TEXT,
    MAX_WARNINGS,
    QUIET,
    Gathered,
    check,
    merged,
)
from manager.state.changes import copy, create, delete, update
from tests.support.builders import EPOCH, task
from tests.support.sealed_store import SealedStore

Update = dispatcher_pb2.TaskStatusUpdate


def status(state: int, at: float = EPOCH, **more: Any) -> objects_pb2.TaskStatus:
    return objects_pb2.TaskStatus(
        state=types_pb2.TaskState.ValueType(state), at=timestamp(at), **more
    )


def report(task_id: str, state: int, at: float = EPOCH + 1) -> Update:
    return Update(task_id=task_id, status=status(state, at))


def store(*tasks: objects_pb2.Task) -> SealedStore:
    made = SealedStore()
    made.must(*map(create, tasks), now=EPOCH)
    return made


@pytest.mark.parametrize(
    ("present", "reported", "taken"),
    [
        (status(states.ASSIGNED), status(states.ACCEPTED), True),
        (status(states.ASSIGNED), status(states.FAILED), True),
        (status(states.STARTING), status(states.RUNNING, EPOCH - 5), True),  # clocks differ
        (status(states.RUNNING), status(states.STARTING, EPOCH + 5), False),
        (status(states.RUNNING), status(states.RUNNING), False),
        (status(states.RUNNING), status(states.RUNNING, EPOCH + 1, message="healthy"), True),
        (status(states.RUNNING), status(states.RUNNING, EPOCH - 1, message="old"), False),
        (status(states.COMPLETE), status(states.FAILED, EPOCH + 1), False),
        (status(states.FAILED), status(states.FAILED, EPOCH + 1, error="exit 3"), True),
        (status(states.REJECTED), status(states.SHUTDOWN), False),
        (status(states.ORPHANED), status(states.RUNNING), False),
    ],
)
def test_an_observed_state_only_grows(
    present: objects_pb2.TaskStatus, reported: objects_pb2.TaskStatus, taken: bool
) -> None:
    assert merged(present, reported) == (reported if taken else None)


def test_long_texts_are_cut_and_cut_once() -> None:
    long = status(states.FAILED, error="e" * 9999, message="m" * 9999)
    cut = merged(status(states.RUNNING), long)
    assert cut is not None
    assert (len(cut.error), len(cut.message)) == (MAX_TEXT, MAX_TEXT)
    assert merged(cut, long) is None


def test_the_log_of_a_health_check_is_bounded() -> None:
    long = status(states.RUNNING)
    long.container.health_log.extend(
        objects_pb2.HealthProbe(exit_code=n, output="o" * 9999) for n in range(9)
    )
    cut = merged(status(states.RUNNING), long)
    assert cut is not None
    assert [(p.exit_code, len(p.output)) for p in cut.container.health_log] == [
        (n, MAX_TEXT) for n in range(4, 9)
    ]
    assert merged(cut, long) is None


def test_warnings_are_bounded() -> None:
    long = status(states.RUNNING)
    long.container.warnings.extend("w" * 9999 for _ in range(99))
    cut = merged(status(states.RUNNING), long)
    assert cut is not None
    assert [len(each) for each in cut.container.warnings] == [MAX_TEXT] * MAX_WARNINGS
    assert merged(cut, long) is None


@pytest.mark.parametrize(
    ("updates", "code"),
    [
        ([report("mine", states.RUNNING), report("other", states.RUNNING)], Code.DENIED),
        ([report("mine", states.ASSIGNED)], Code.INVALID),
        ([report("mine", states.REMOVE)], Code.INVALID),
        ([report("mine", states.ORPHANED)], Code.INVALID),
        ([report("mine", 300)], Code.INVALID),
        ([report("mine", states.RUNNING)] * (MAX_REPORTS + 1), Code.INVALID),
    ],
)
def test_what_is_not_the_nodes_to_say_is_refused(updates: list[Update], code: Code) -> None:
    view = store(task("mine", node_id="n1"), task("other", node_id="n2"))
    with pytest.raises(SwarmError) as refused:
        check(view, "n1", updates)
    assert refused.value.code is code
    assert refused.value.field.startswith("updates")


def test_reports_of_its_tasks_and_of_tasks_that_are_gone_pass() -> None:
    check(
        store(task("mine", node_id="n1")),
        "n1",
        [report("mine", states.REJECTED), report("gone", states.RUNNING)],
    )


def test_of_two_reports_for_a_task_the_later_state_stands() -> None:
    gathered = Gathered()
    gathered.add([report("t1", states.RUNNING), report("t1", states.PREPARING, EPOCH + 9)])
    gathered.add([report("t2", states.PREPARING), report("t2", states.FAILED)])
    taken = gathered.take(0.0)
    assert {key: value.state for key, value in taken.items()} == {
        "t1": states.RUNNING,
        "t2": states.FAILED,
    }


def test_a_lone_report_waits_for_nothing_and_a_flow_is_gathered() -> None:
    gathered = Gathered()
    assert gathered.due(5.0) is None
    gathered.add([report("t1", states.RUNNING)])
    assert gathered.due(5.0) == 5.0
    gathered.take(5.0)
    assert gathered.due(5.0) is None
    gathered.add([report("t2", states.RUNNING)])
    assert gathered.due(5.001) == 5.0 + QUIET
    assert gathered.due(9.0) == 9.0
    gathered.add([report(f"x{i}", states.RUNNING) for i in range(MAX_REPORTS)])
    assert gathered.due(5.001) == 5.001


def test_a_stale_version_is_decided_again_from_the_fresh_task() -> None:
    view = store(task("t1", state=states.STARTING, node_id="n1"), task("gone", node_id="n1"))
    gathered = Gathered()
    gathered.add([report("t1", states.RUNNING), report("gone", states.FAILED)])
    taken = gathered.take(0.0)
    stale = list(gathered.batches(view, taken))
    present = view.get(objects_pb2.Task, "t1")
    gone = view.get(objects_pb2.Task, "gone")
    assert present is not None
    assert gone is not None
    moved = copy(present)
    moved.desired_state = states.SHUTDOWN
    view.must(update(moved), delete(gone), now=EPOCH)
    assert all(view.write(stale, EPOCH).results)
    fresh = list(gathered.batches(view, taken))
    assert len(fresh) == 1
    assert view.write(fresh, EPOCH).results == (None,)
    written = view.get(objects_pb2.Task, "t1")
    assert written is not None
    assert (written.status.state, written.desired_state) == (states.RUNNING, states.SHUTDOWN)
    assert list(gathered.batches(view, taken)) == []
