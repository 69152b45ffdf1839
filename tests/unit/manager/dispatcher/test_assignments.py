"""What a node is told of its tasks, held against an agent that obeys the protocol to the letter."""

from collections.abc import Iterable
from typing import Any

import pytest

from api import states
from api.files import Key
from api.v1 import objects_pb2, types_pb2
from manager.dispatcher.assignments import (
    LONGEST_WAIT,
    MAX_BYTES,
    MAX_CHANGES,
    QUIET,
    Assignments,
    Change,
    Message,
)
from manager.state.changes import copy
from tests.support.builders import task, task_spec
from tests.support.no_networks import no_networks

GRPC_LIMIT = 4 << 20


def no_files(key: Key) -> None:
    """There is none."""


class Agent:
    """Keeps what it is told; a task whose spec it is not told keeps the spec that it had."""

    def __init__(self, *held: objects_pb2.Task) -> None:
        self.tasks = {each.id: copy(each) for each in held}
        self.at = ""
        self.stopped: set[str] = set()

    def hear(self, messages: Iterable[Message]) -> None:
        for message in messages:
            assert message.applies_to == self.at
            assert message.results_in not in ("", self.at)
            assert message.ByteSize() < GRPC_LIMIT
            self.at = message.results_in
            if message.type == Message.TYPE_COMPLETE:
                present = {change.task.id for change in message.changes}
                self.stopped |= self.tasks.keys() - present
            for change in message.changes:
                self._obey(change)

    def _obey(self, change: Change) -> None:
        if change.action == Change.ACTION_REMOVE:
            del self.tasks[change.task.id]
            return
        if change.task.HasField("spec"):
            self.tasks[change.task.id] = copy(change.task)


def on(
    node_id: str,
    task_id: str,
    state: int = states.RUNNING,
    desired: int = states.RUNNING,
    **more: Any,
) -> objects_pb2.Task:
    return task(
        task_id,
        node_id=node_id,
        state=types_pb2.TaskState.ValueType(state),
        desired=types_pb2.TaskState.ValueType(desired),
        **more,
    )


def kinds(messages: Iterable[Message]) -> list[tuple[int, int, str]]:
    return [(m.type, c.action, c.task.id) for m in messages for c in m.changes]


COMPLETE, INCREMENTAL = Message.TYPE_COMPLETE, Message.TYPE_INCREMENTAL
UPDATE, REMOVE = Change.ACTION_UPDATE, Change.ACTION_REMOVE


@pytest.mark.parametrize(
    ("node_id", "state", "desired", "told"),
    [
        ("n1", states.ASSIGNED, states.RUNNING, True),
        ("n1", states.ASSIGNED, states.READY, True),
        ("n1", states.RUNNING, states.RUNNING, True),
        ("n1", states.RUNNING, states.SHUTDOWN, True),
        ("n1", states.RUNNING, states.REMOVE, True),
        ("n1", states.FAILED, states.SHUTDOWN, True),  # its logs can still be read
        ("n1", states.ORPHANED, states.SHUTDOWN, True),
        ("n1", states.PENDING, states.RUNNING, False),  # a global service's, not scheduled yet
        ("n1", states.NEW, states.RUNNING, False),
        ("n2", states.RUNNING, states.RUNNING, False),
        ("", states.PENDING, states.RUNNING, False),
    ],
)
def test_whom_a_task_concerns(node_id: str, state: int, desired: int, told: bool) -> None:
    expected = [(COMPLETE, UPDATE, "t1")] if told else []
    assert (
        kinds(
            Assignments("n1", no_files, no_networks()).complete([on(node_id, "t1", state, desired)])
        )
        == expected
    )


def test_a_node_without_tasks_gets_a_complete_message_all_the_same() -> None:
    (message,) = Assignments("n1", no_files, no_networks()).complete([])
    assert (message.type, message.applies_to, message.results_in) == (COMPLETE, "", "1")


OLD = on("n1", "t1", states.ASSIGNED)


def changed(**fields: object) -> objects_pb2.Task:
    made = copy(OLD)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (on("n1", "t1", states.ACCEPTED), []),
        (on("n1", "t1", states.FAILED, error="no"), []),
        (changed(desired_state=states.SHUTDOWN), [(INCREMENTAL, UPDATE, "t1")]),
        (changed(desired_state=states.REMOVE), [(INCREMENTAL, UPDATE, "t1")]),
        (changed(spec_version=2), [(INCREMENTAL, UPDATE, "t1")]),
        (on("n1", "t1", spec=task_spec("app:2")), [(INCREMENTAL, UPDATE, "t1")]),
        (changed(node_id="n2"), [(INCREMENTAL, REMOVE, "t1")]),
        (None, [(INCREMENTAL, REMOVE, "t1")]),
    ],
)
def test_what_of_a_change_is_news(
    now: objects_pb2.Task | None, expected: list[tuple[int, int, str]]
) -> None:
    core = Assignments("n1", no_files, no_networks())
    core.complete([OLD])
    core.observe("t1", now, 0.0)
    assert (core.due() is not None) == bool(expected)
    assert kinds(core.flush()) == expected
    assert core.flush() == []


def test_a_removed_task_is_sent_as_its_id_alone() -> None:
    core = Assignments("n1", no_files, no_networks())
    core.complete([OLD])
    core.observe("t1", None, 0.0)
    (message,) = core.flush()
    assert message.changes[0].task == objects_pb2.Task(id="t1")


def test_what_came_and_went_unseen_is_no_news() -> None:
    core = Assignments("n1", no_files, no_networks())
    core.complete([OLD])
    core.observe("t2", on("n1", "t2", states.ASSIGNED), 0.0)
    core.observe("t2", None, 0.0)
    core.observe("t1", None, 0.0)
    core.observe("t1", OLD, 0.0)
    assert core.due() is None
    assert core.flush() == []


def test_a_lone_change_waits_shortly_and_a_steady_flow_not_for_ever() -> None:
    core = Assignments("n1", no_files, no_networks())
    core.complete([])
    core.observe("t0", on("n1", "t0"), 10.0)
    assert core.due() == 10.0 + QUIET
    for step in range(1, 50):
        core.observe(f"t{step}", on("n1", f"t{step}"), 10.0 + step * 0.004)
    assert core.due() == 10.0 + LONGEST_WAIT
    for step in range(50, MAX_CHANGES):
        core.observe(f"t{step}", on("n1", f"t{step}"), 10.0)
    assert core.due() == 0.0


def test_many_changes_go_out_in_messages_of_a_hundred() -> None:
    core, agent = Assignments("n1", no_files, no_networks()), Agent()
    agent.hear(core.complete([]))
    tasks = [on("n1", f"t{i}", states.ASSIGNED) for i in range(250)]
    for each in tasks:
        core.observe(each.id, each, 0.0)
    messages = core.flush()
    assert [len(message.changes) for message in messages] == [100, 100, 50]
    agent.hear(messages)
    assert agent.tasks == {each.id: each for each in tasks}


def test_a_resync_brings_exactly_what_was_missed() -> None:
    core, agent = Assignments("n1", no_files, no_networks()), Agent()
    kept, gone, moved = on("n1", "kept"), on("n1", "gone"), on("n1", "moved")
    agent.hear(core.complete([kept, gone, moved]))
    core.observe("fleeting", on("n1", "fleeting"), 0.0)
    stopping, fresh = on("n1", "moved", desired=states.SHUTDOWN), on("n1", "fresh")
    core.resync([kept, stopping, fresh], 0.0)
    messages = core.flush()
    assert sorted(kinds(messages)) == [
        (INCREMENTAL, UPDATE, "fresh"),
        (INCREMENTAL, UPDATE, "moved"),
        (INCREMENTAL, REMOVE, "gone"),
    ]
    agent.hear(messages)
    assert agent.tasks == {"kept": kept, "moved": stopping, "fresh": fresh}


def heavy(task_id: str, state: int) -> objects_pb2.Task:
    made = on("n1", task_id, state)
    made.spec.container.env.append("X=" + "x" * 1500)
    return made


def test_thousands_of_tasks_are_split_and_no_container_is_stopped_by_it() -> None:
    ended = [heavy(f"e{i}", states.FAILED) for i in range(1000)]
    running = [heavy(f"r{i}", states.RUNNING) for i in range(3000)]
    fresh = [heavy(f"f{i}", states.ASSIGNED) for i in range(1000)]
    agent = Agent(*ended, *running)
    messages = Assignments("n1", no_files, no_networks()).complete([*ended, *running, *fresh])
    assert sum(message.ByteSize() for message in messages) > 2 * MAX_BYTES
    complete, *others = messages
    assert [m.type for m in messages] == [COMPLETE] + [INCREMENTAL] * len(others)
    assert len(complete.changes) == 5000
    whole = [change.task.id[0] for change in complete.changes if change.task.HasField("spec")]
    assert whole[:1000] == ["f"] * 1000
    assert set(whole[1000:]) == {"r"}
    agent.hear(messages)
    assert agent.stopped == set()
    assert agent.tasks == {each.id: each for each in [*ended, *running, *fresh]}


def test_what_a_task_takes_along_counts_and_is_in_each_message() -> None:
    def with_login(task: objects_pb2.Task) -> objects_pb2.Task:
        told = copy(task)
        told.spec.container.registry_auth = "x" * 16_000
        return told

    core, agent = Assignments("n1", no_files, no_networks(), with_login), Agent()
    first = [on("n1", f"a{i}", states.ASSIGNED) for i in range(500)]
    agent.hear(core.complete(first))
    late = [on("n1", f"b{i}", states.ASSIGNED) for i in range(500)]
    for each in late:
        core.observe(each.id, each, 0.0)
    agent.hear(core.flush())
    assert agent.tasks == {each.id: with_login(each) for each in [*first, *late]}
    core.observe("a0", copy(first[0]), 0.0)
    assert core.due() is None, "the login is no news by itself"
