"""Tasks of nodes that are gone, or were down for a day."""

import pytest

from api import states
from api.times import timestamp
from api.v1 import objects_pb2, types_pb2
from manager.dispatcher.orphans import MAX_TASKS, ORPHAN_AFTER, OrphansLoop
from manager.state.changes import batch, create
from tests.support.builders import DOWN, EPOCH, READY, UNKNOWN, node, task
from tests.support.loop_driver import LoopDriver


def down(node_id: str, since: float = EPOCH) -> objects_pb2.Node:
    made = node(node_id, state=DOWN)
    made.status.since.CopyFrom(timestamp(since))
    return made


@pytest.mark.parametrize(
    ("state", "orphaned"),
    [
        (states.PENDING, False),
        (states.ASSIGNED, True),
        (states.ACCEPTED, True),
        (states.RUNNING, True),
        (states.COMPLETE, False),
        (states.FAILED, False),
        (states.REJECTED, False),
    ],
)
def test_after_a_day_tasks_that_may_have_moved_on_are_orphaned(
    state: types_pb2.TaskState.ValueType, orphaned: bool
) -> None:
    driver = LoopDriver(OrphansLoop(), down("n1"), task("t1", node_id="n1", state=state))
    assert driver.run(ORPHAN_AFTER - 1) == 0
    assert driver.wake_at == EPOCH + ORPHAN_AFTER
    assert driver.run(1) == orphaned
    assert driver.task("t1").status.state == (states.ORPHANED if orphaned else state)


@pytest.mark.parametrize("state", [READY, UNKNOWN])
def test_tasks_of_other_nodes_are_left_alone(state: types_pb2.NodeState.ValueType) -> None:
    driver = LoopDriver(OrphansLoop(), node("n1", state=state), task("t1", node_id="n1"))
    assert driver.run(10 * ORPHAN_AFTER) == 0
    assert driver.wake_at is None


def test_the_day_began_before_this_leader_did() -> None:
    driver = LoopDriver(OrphansLoop(), down("n1", EPOCH - 3600), task("t1", node_id="n1"))
    driver.run()
    assert driver.wake_at == EPOCH - 3600 + ORPHAN_AFTER


def test_a_day_that_began_by_a_wholly_wrong_clock_is_over() -> None:
    driver = LoopDriver(OrphansLoop(), down("n1", EPOCH + 30 * 86400), task("t1", node_id="n1"))
    assert driver.run() == 1
    assert driver.task("t1").status.state == states.ORPHANED


def test_a_node_that_goes_down_or_away_is_looked_at() -> None:
    driver = LoopDriver(
        OrphansLoop(), node("n1"), node("n2"), task("t1", node_id="n1"), task("t2", node_id="n2")
    )
    driver.run()
    assert driver.change_node("n1", state=DOWN)
    assert not driver.change_node("n2", state=UNKNOWN)
    assert not driver.write(create(task("t3", node_id="n2")))
    assert driver.remove_node("n2")
    assert driver.run() == 2
    assert {each.id: each.status.state for each in driver.tasks()} == {
        "t1": states.RUNNING,
        "t2": states.ORPHANED,
        "t3": states.ORPHANED,
    }


def test_a_new_leader_finds_tasks_whose_node_was_removed_before() -> None:
    driver = LoopDriver(OrphansLoop(), node("n1"), task("t1", node_id="n1"))
    driver.write(create(task("lost", node_id="n9")), create(task("unplaced")))
    assert driver.run() == 1
    assert driver.task("lost").status.state == states.ORPHANED
    assert driver.task("lost").status.message == "its node was removed"


def test_a_refused_batch_is_looked_at_again() -> None:
    driver = LoopDriver(OrphansLoop(), task("lost", node_id="n9"))
    assert len(driver.decide().batches) == 1
    assert driver.decide().batches == []
    driver.loop.refused(batch())
    assert driver.run() == 1


@pytest.mark.parametrize("removed", [False, True])
def test_much_is_done_in_steps(removed: bool) -> None:
    nodes = [] if removed else [down(f"n{i}") for i in range(3)]
    tasks = [
        task(f"t{n}-{i}", node_id=f"n{n}") for n in range(3) for i in range(MAX_TASKS // 2 + 1)
    ]
    driver = LoopDriver(OrphansLoop(), *nodes, *tasks)
    driver.now += ORPHAN_AFTER
    first = driver.decide()
    assert first.more
    assert len(first.batches) < len(tasks)
    assert driver.run() == len(tasks)
