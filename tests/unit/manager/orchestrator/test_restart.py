"""The restart policy: who is followed by whom, and when."""

import pytest

from api import states
from api.stopping import DEFAULT_GRACE
from api.times import seconds_of
from api.v1 import objects_pb2, specs_pb2
from api.v1.types_pb2 import TaskState
from manager.orchestrator.attempts import attempts_before
from manager.orchestrator.backoff import DEFAULT_DELAY
from manager.orchestrator.restart import OLD_TASK_WAIT, may_restart
from manager.orchestrator.services import ServicesLoop
from manager.state.swarm_clock import FURTHEST
from tests.support.builders import DOWN, DRAIN, EPOCH, UNKNOWN, node, service, task, task_spec
from tests.support.counter import counter
from tests.support.loop_driver import LoopDriver

ANY = specs_pb2.RestartPolicy.CONDITION_ANY
ON_FAILURE = specs_pb2.RestartPolicy.CONDITION_ON_FAILURE
NONE = specs_pb2.RestartPolicy.CONDITION_NONE
COMPLETE, FAILED, REJECTED, ORPHANED = (
    states.COMPLETE,
    states.FAILED,
    states.REJECTED,
    states.ORPHANED,
)
READY, RUNNING, SHUTDOWN = states.READY, states.RUNNING, states.SHUTDOWN


@pytest.mark.parametrize(
    ("condition", "state", "verdict"),
    [
        (ANY, COMPLETE, True),
        (ANY, FAILED, True),
        (ANY, REJECTED, True),
        (ON_FAILURE, COMPLETE, False),
        (ON_FAILURE, FAILED, True),
        (ON_FAILURE, REJECTED, True),
        (ON_FAILURE, RUNNING, True),  # its node was lost or is drained
        (ON_FAILURE, ORPHANED, True),
        (NONE, COMPLETE, False),
        (NONE, FAILED, False),
        (NONE, RUNNING, False),
    ],
)
def test_condition(
    condition: specs_pb2.RestartPolicy.Condition.ValueType,
    state: TaskState.ValueType,
    verdict: bool,
) -> None:
    ended = task("t", state=state, spec=task_spec(condition=condition))
    assert may_restart(ended) is verdict


def failed_tasks(
    count: int, *, run: float, delay: float, **policy: float
) -> list[objects_pb2.Task]:
    """Tasks that each ran for `run` seconds, `delay` after the one before had failed."""
    spec = task_spec(delay=delay, **policy)  # type: ignore[arg-type]
    tasks: list[objects_pb2.Task] = []
    at = EPOCH
    for number in range(count):
        each = task(f"t{number}", state=FAILED, spec=spec, at=at, start_after=at + delay)
        at += delay + run
        each.meta.updated_at.seconds = int(at)
        each.attempts.extend(attempts_before(tasks, each.spec_version))
        tasks.append(each)
    return tasks


@pytest.mark.parametrize(
    ("ended", "policy", "verdict"),
    [
        (1, {"max_attempts": 2}, True),
        (2, {"max_attempts": 2}, True),
        (3, {"max_attempts": 2}, False),
        (9, {}, True),
        (3, {"max_attempts": 2, "window": 21}, False),  # both restarts ran within it
        (3, {"max_attempts": 2, "window": 19}, True),  # the older one is forgotten
        (9, {"max_attempts": 2, "window": 19}, True),
        (9, {"max_attempts": 2, "window": 0}, False),  # for ever
    ],
)
def test_max_attempts(ended: int, policy: dict[str, int], verdict: bool) -> None:
    tasks = failed_tasks(ended, run=10, delay=5, **policy)
    assert may_restart(tasks[-1]) is verdict


def test_a_window_below_the_delay_still_trips() -> None:
    tasks = failed_tasks(4, run=0, delay=60, max_attempts=3, window=5)
    assert not may_restart(tasks[-1])


def driver_with(*tasks: objects_pb2.Task, replicas: int = 1) -> LoopDriver:
    spec = tasks[0].spec
    nodes = (node("n1"), node("n2"))
    return LoopDriver(
        ServicesLoop(counter()), *nodes, service(replicas=replicas, spec=spec), *tasks
    )


def newest(driver: LoopDriver) -> objects_pb2.Task:
    return driver.tasks()[-1]


def test_an_ended_task_is_followed_after_the_delay() -> None:
    driver = driver_with(task("old", node_id="n1"))
    assert driver.run() == 0
    driver.report("old", FAILED)
    driver.run()
    assert driver.task("old").desired_state == SHUTDOWN
    following = newest(driver)
    assert (following.slot, following.desired_state) == (1, READY)
    assert seconds_of(following.start_after) == EPOCH + DEFAULT_DELAY
    assert driver.wake_at == EPOCH + DEFAULT_DELAY
    assert driver.run(seconds=DEFAULT_DELAY - 0.1) == 0
    assert driver.run(seconds=0.1) == 1
    assert newest(driver).desired_state == RUNNING
    assert driver.wake_at is None


def test_without_a_delay_the_next_starts_at_once() -> None:
    driver = driver_with(task("old", node_id="n1", spec=task_spec(delay=0)))
    driver.report("old", COMPLETE)
    assert driver.run() == 1
    assert newest(driver).desired_state == RUNNING


def test_a_new_leader_keeps_the_delay() -> None:
    driver = driver_with(task("old", node_id="n1"))
    driver.report("old", FAILED)
    driver.run()
    driver.loop = ServicesLoop(counter("later"))
    driver.loop.reset(driver.store)
    assert driver.run(seconds=4) == 0
    assert driver.run(seconds=1) == 1
    assert newest(driver).desired_state == RUNNING


def test_a_task_that_fails_while_it_waits_is_followed_only_after_its_delay() -> None:
    driver = driver_with(task("old", node_id="n1"))
    driver.report("old", FAILED)
    driver.run()
    waiting = newest(driver)
    driver.report(waiting.id, REJECTED, node_id="n2")
    assert driver.run(seconds=1) == 0
    assert driver.wake_at == EPOCH + DEFAULT_DELAY
    driver.run(seconds=DEFAULT_DELAY - 1)
    assert len(driver.tasks()) == 3
    assert seconds_of(newest(driver).start_after) == EPOCH + 3 * DEFAULT_DELAY  # twice as long


@pytest.mark.parametrize("fails", [False, True])
def test_a_clock_that_was_wholly_wrong_holds_nothing_up(fails: bool) -> None:
    driver = driver_with(task("old", node_id="n1"))
    driver.now = EPOCH + 2 * FURTHEST
    driver.report("old", FAILED)
    driver.run()
    if fails:
        driver.report(newest(driver).id, REJECTED, node_id="n2")
    driver.now = EPOCH
    driver.loop.reset(driver.store)
    driver.run()
    driver.run(seconds=2 * DEFAULT_DELAY)
    assert newest(driver).desired_state == RUNNING


def test_an_end_for_good_keeps_its_slot_filled() -> None:
    driver = driver_with(task("old", node_id="n1", spec=task_spec(condition=ON_FAILURE)))
    driver.report("old", COMPLETE)
    assert driver.run() == 1
    assert driver.task("old").desired_state == SHUTDOWN
    assert driver.run(seconds=1000) == 0
    assert len(driver.tasks()) == 1


@pytest.mark.parametrize("removed", [False, True])
def test_a_lost_node_is_replaced_without_delay(removed: bool) -> None:
    driver = driver_with(task("old", node_id="n1"))
    if removed:
        driver.remove_node("n1")
    else:
        driver.change_node("n1", state=DOWN)
    driver.run()
    assert driver.task("old").desired_state == SHUTDOWN
    assert (newest(driver).slot, newest(driver).desired_state) == (1, RUNNING)


def test_an_orphaned_task_is_replaced_without_delay() -> None:
    driver = driver_with(task("old", node_id="n1"))
    driver.report("old", ORPHANED)
    driver.run()
    assert newest(driver).desired_state == RUNNING


def test_a_task_that_came_to_a_lost_node_is_replaced() -> None:
    driver = driver_with(task("old", state=states.PENDING))
    driver.change_node("n1", state=DOWN)
    assert driver.run() == 0
    driver.report("old", states.ASSIGNED, node_id="n1")
    driver.run()
    assert driver.task("old").desired_state == SHUTDOWN
    assert newest(driver).desired_state == RUNNING


def test_a_node_out_of_touch_keeps_its_tasks() -> None:
    driver = driver_with(task("old", node_id="n1"))
    driver.change_node("n1", state=UNKNOWN)
    assert driver.run() == 0


def test_a_node_that_comes_back_finds_its_tasks_told_to_stop() -> None:
    driver = driver_with(task("old", node_id="n1"))
    driver.change_node("n1", state=DOWN)
    driver.run()
    driver.change_node("n1", state=node("n1").status.state)
    assert driver.run() == 0
    assert driver.task("old").desired_state == SHUTDOWN
    assert len(driver.tasks()) == 2


def test_a_drained_task_is_followed_once_it_has_stopped() -> None:
    driver = driver_with(task("old", node_id="n1"))
    driver.change_node("n1", availability=DRAIN)
    driver.run()
    assert driver.task("old").desired_state == SHUTDOWN
    assert newest(driver).desired_state == READY
    assert driver.wake_at == EPOCH + OLD_TASK_WAIT + DEFAULT_GRACE
    assert driver.run(seconds=10) == 0
    driver.report("old", SHUTDOWN)
    assert driver.run() == 1
    assert newest(driver).desired_state == RUNNING


def test_a_second_successor_waits_for_the_first_task_too() -> None:
    driver = driver_with(task("old", node_id="n1", spec=task_spec(delay=0)))
    driver.change_node("n1", availability=DRAIN)
    driver.run()
    driver.report(newest(driver).id, REJECTED, node_id="n2")
    driver.run()
    assert (len(driver.tasks()), newest(driver).desired_state) == (3, READY)
    driver.report("old", SHUTDOWN)
    driver.run()
    assert newest(driver).desired_state == RUNNING


@pytest.mark.parametrize("way_out", ["waited long enough", "node went down"])
def test_a_task_that_will_not_stop_is_not_waited_for_for_ever(way_out: str) -> None:
    driver = driver_with(task("old", node_id="n1"))
    driver.change_node("n1", availability=DRAIN)
    driver.run()
    if way_out == "node went down":
        driver.change_node("n1", state=DOWN)
    else:
        assert driver.run(seconds=OLD_TASK_WAIT + DEFAULT_GRACE - 0.1) == 0
        driver.now += 0.1
    assert driver.run() == 1
    assert newest(driver).desired_state == RUNNING


def test_two_tasks_in_a_slot_become_one() -> None:
    tasks = [
        task("a", state=states.PREPARING, node_id="n1"),
        task("b", node_id="n2"),
        task("c", state=states.NEW),
    ]
    driver = driver_with(*tasks)
    driver.run()
    desired = {t.id: t.desired_state for t in driver.tasks()}
    assert desired == {"a": SHUTDOWN, "b": RUNNING, "c": SHUTDOWN}
    assert driver.task("c").status.state == SHUTDOWN, "it was never placed"


def test_ends_of_two_tasks_in_a_slot_are_followed_once() -> None:
    driver = driver_with(task("a", node_id="n1", version=0), task("b", node_id="n1"))
    driver.change_node("n1", state=DOWN)
    driver.run()
    assert [t.desired_state for t in driver.tasks()] == [SHUTDOWN, SHUTDOWN, RUNNING]
