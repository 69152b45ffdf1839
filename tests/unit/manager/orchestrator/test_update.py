"""Rolling updates, step by step, with a hand that plays scheduler and agents."""

from typing import Any

import pytest

from api import states
from api.times import duration, timestamp
from api.v1 import specs_pb2, types_pb2
from manager.dispatcher.statuses import merged
from manager.orchestrator.restart import OLD_TASK_WAIT
from manager.orchestrator.rollback import COMPLETED, PAUSED, UPDATING
from manager.orchestrator.services import ServicesLoop
from manager.orchestrator.trial import DEFAULT_MONITOR, STEP_DEADLINE, step_deadline
from manager.state.changes import copy, update
from manager.state.swarm_clock import FURTHEST
from tests.support.builders import DOWN, EPOCH, node, service, task, task_spec, update_config
from tests.support.counter import counter
from tests.support.loop_driver import LoopDriver
from tests.support.rollout import (
    FRESH,
    get_fresh,
    rollout,
    start,
    state,
    stop_old,
    updated,
)

FAILED, NEW, READY, RUNNING, SHUTDOWN = (
    states.FAILED,
    states.NEW,
    states.READY,
    states.RUNNING,
    states.SHUTDOWN,
)


def test_one_slot_at_a_time_by_default() -> None:
    driver = rollout(3)
    assert state(driver) == UPDATING
    assert driver.service().update_status.message == "update in progress"
    assert updated(driver) == [1]
    assert driver.task("old1").desired_state == SHUTDOWN
    assert get_fresh(driver, 1).desired_state == READY, "stop first: the old one still runs"
    for slot in (1, 2, 3):
        assert updated(driver) == list(range(1, slot + 1))
        start(driver, slot)
    assert state(driver) == UPDATING, "the last one is still watched"
    driver.run(seconds=DEFAULT_MONITOR)
    assert state(driver) == COMPLETED
    assert driver.service().update_status.message == "update completed"
    assert driver.service().update_status.HasField("completed_at")
    assert driver.run(seconds=1000) == 0


@pytest.mark.parametrize(
    ("parallelism", "expected"), [(2, [1, 2]), (0, [1, 2, 3, 4]), (9, [1, 2, 3, 4])]
)
def test_parallelism(parallelism: int, expected: list[int]) -> None:
    assert updated(rollout(4, update_config(parallelism))) == expected


def test_a_clock_that_was_wholly_wrong_holds_nothing_up() -> None:
    driver = rollout(2)
    start(driver, 1)
    driver.store.must(update(copy(get_fresh(driver, 1))), now=EPOCH + 2 * FURTHEST)
    driver.loop.reset(driver.store)
    start(driver, 2)
    driver.run(seconds=DEFAULT_MONITOR)
    assert state(driver) == COMPLETED


def test_a_place_that_becomes_free_is_used() -> None:
    driver = rollout(4, update_config(2))
    start(driver, 2)
    assert updated(driver) == [1, 2, 3]


def test_the_delay_comes_after_each_step() -> None:
    driver = rollout(2, update_config(delay=10))
    start(driver, 1)
    assert updated(driver) == [1]
    assert driver.wake_at == EPOCH + 10
    driver.run(seconds=9.9)
    assert updated(driver) == [1]
    driver.run(seconds=0.1)
    assert updated(driver) == [1, 2]


@pytest.mark.parametrize("start_first", [False, True])
def test_a_failure_pauses_and_the_rest_stays_as_it_is(start_first: bool) -> None:
    driver = rollout(3, update_config(start_first=start_first))
    stop_old(driver)
    trial = get_fresh(driver, 1)
    driver.report(trial.id, FAILED, node_id="n2")
    driver.run()
    assert state(driver) == PAUSED
    assert driver.service().update_status.message == (
        f"update paused due to failure or early termination of task {trial.id}"
    )
    assert driver.task("old2").desired_state == RUNNING
    live = [t for t in driver.tasks() if states.is_live(t) and t.slot == 1]
    assert [t.spec_version for t in live] == [1 if start_first else 2]
    assert driver.run(seconds=1000) == 0


def test_a_paused_update_does_not_creep_on_through_restarts() -> None:
    driver = rollout(2)
    stop_old(driver)
    driver.report(get_fresh(driver, 1).id, FAILED, node_id="n2")
    driver.run()
    driver.report("old2", FAILED)
    driver.run()
    newest = driver.store.tasks_of_slot("web", 2)[-1]
    assert (newest.id != "old2", newest.spec_version) == (True, 1)
    assert newest.spec.container.image == "app:1"


def test_the_next_change_resumes_a_paused_update() -> None:
    driver = rollout(2)
    stop_old(driver)
    driver.report(get_fresh(driver, 1).id, FAILED, node_id="n2")
    driver.run()
    driver.change_service(spec=task_spec("app:3"))
    driver.run()
    assert state(driver) == UPDATING
    assert updated(driver) == [1]


@pytest.mark.parametrize(
    "policy", [{"max_attempts": 1}, {"condition": specs_pb2.RestartPolicy.CONDITION_NONE}]
)
def test_a_resumed_update_tries_a_slot_again_that_was_given_up(policy: dict[str, Any]) -> None:
    driver = rollout(2, fresh=task_spec("app:2", delay=0, **policy))
    stop_old(driver)
    while states.is_wanted(get_fresh(driver, 1)):
        driver.report(get_fresh(driver, 1).id, FAILED, node_id="n2")
        driver.run(seconds=1)
    assert state(driver) == PAUSED
    driver.change_service()
    driver.run()
    for slot in (1, 2):
        start(driver, slot)
    driver.run(seconds=DEFAULT_MONITOR)
    assert state(driver) == COMPLETED
    assert sorted(t.slot for t in driver.tasks() if states.is_live(t)) == [1, 2]


def test_a_resumed_update_leaves_alone_what_completed() -> None:
    once = task_spec("app:2", condition=specs_pb2.RestartPolicy.CONDITION_NONE)
    driver = rollout(1, update_config(monitor=30), fresh=once)
    start(driver, 1)
    driver.report(get_fresh(driver, 1).id, states.COMPLETE)
    driver.run()
    assert state(driver) == PAUSED
    driver.change_service()
    driver.run()
    assert state(driver) == COMPLETED
    assert not any(states.is_live(each) for each in driver.tasks())


def test_failures_within_the_monitor_period_count() -> None:
    driver = rollout(2, update_config(monitor=30))
    start(driver, 1)
    assert updated(driver) == [1, 2]
    driver.now += 29
    driver.report(get_fresh(driver, 1).id, FAILED)
    driver.run()
    assert state(driver) == PAUSED


def test_failures_after_the_monitor_period_do_not_count() -> None:
    driver = rollout(2, update_config(monitor=30))
    start(driver, 1)
    driver.run(seconds=30)
    driver.report(get_fresh(driver, 1).id, FAILED)
    driver.run()
    assert state(driver) == UPDATING
    assert get_fresh(driver, 1).status.state == NEW, "it is restarted as ever"


def test_the_ratio_allows_for_some_failures() -> None:
    driver = rollout(4, update_config(0, ratio=0.25))
    stop_old(driver)
    driver.report(get_fresh(driver, 1).id, FAILED, node_id="n2")
    driver.run()
    assert state(driver) == UPDATING
    driver.report(get_fresh(driver, 2).id, FAILED, node_id="n2")
    driver.run()
    assert state(driver) == PAUSED


def test_continue_goes_on_and_completes() -> None:
    driver = rollout(2, update_config(goes_on=True, monitor=0))
    stop_old(driver)
    driver.report(get_fresh(driver, 1).id, states.REJECTED, node_id="n2")
    driver.run()
    assert updated(driver) == [1, 2]
    start(driver, 2)
    assert state(driver) == COMPLETED


def test_a_lost_node_is_not_the_updates_fault() -> None:
    driver = rollout(2)
    start(driver, 1)
    first = get_fresh(driver, 1)
    driver.change_node("n2", state=DOWN)
    driver.run()
    assert state(driver) == UPDATING
    again = get_fresh(driver, 1)
    assert again.id != first.id
    driver.report(again.id, FAILED, node_id="n1")
    driver.run()
    assert state(driver) == PAUSED, "its replacement is on trial"


def test_a_task_that_cannot_be_placed_does_not_hang_the_update() -> None:
    driver = rollout(2)
    stop_old(driver)
    assert driver.wake_at == EPOCH + STEP_DEADLINE
    driver.run(seconds=STEP_DEADLINE - 1)
    assert state(driver) == UPDATING
    driver.run(seconds=1)
    assert state(driver) == PAUSED
    assert driver.task("old2").desired_state == RUNNING


@pytest.mark.parametrize("placed", [False, True])
def test_a_new_task_waits_as_long_as_the_old_one_may_take_to_stop(placed: bool) -> None:
    slow = task_spec("app:1", delay=0)
    slow.container.stop_grace_period.CopyFrom(duration(400))
    driver = LoopDriver(
        ServicesLoop(counter()),
        *(node("n1"), node("n2"), service(spec=slow)),
        task("old1", node_id="n1", spec=slow),
    )
    driver.change_service(spec=FRESH)
    driver.run()
    if placed:
        driver.report(get_fresh(driver, 1).id, READY, node_id="n2")
    driver.run(seconds=399)
    assert get_fresh(driver, 1).desired_state == READY
    assert state(driver) == UPDATING, "nothing is held against it meanwhile"
    driver.run(seconds=OLD_TASK_WAIT)
    assert get_fresh(driver, 1).desired_state == READY
    driver.run(seconds=1)
    assert get_fresh(driver, 1).desired_state == RUNNING
    driver.run(seconds=STEP_DEADLINE - 1)
    assert state(driver) == UPDATING
    driver.run(seconds=1)
    assert state(driver) == PAUSED


def test_a_task_that_waits_for_the_old_one_and_a_node_has_time_for_both() -> None:
    slow = task_spec("app:1", delay=0)
    slow.container.stop_grace_period.CopyFrom(duration(400))
    driver = LoopDriver(
        ServicesLoop(counter()),
        node("n1"),
        service(spec=slow),
        task("old1", node_id="n1", spec=slow),
    )
    driver.change_service(spec=FRESH)
    driver.run()
    driver.run(seconds=350)
    stop_old(driver)
    assert get_fresh(driver, 1).desired_state == RUNNING
    driver.run(seconds=STEP_DEADLINE - 1)
    assert state(driver) == UPDATING, "what it waits for is free only now"


def test_a_task_whose_image_keeps_coming_is_given_the_time() -> None:
    driver = rollout(2)
    stop_old(driver)
    driver.report(get_fresh(driver, 1).id, states.PREPARING, node_id="n2")
    for minute in range(1, 11):
        driver.run(seconds=60)
        moved = copy(get_fresh(driver, 1))
        moved.status.message = f"preparing: {minute} of 20 GB"
        moved.status.at.CopyFrom(timestamp(driver.now))
        assert merged(get_fresh(driver, 1).status, moved.status) == moved.status
        driver.write(update(moved))
        assert state(driver) == UPDATING
    driver.run(seconds=STEP_DEADLINE - 1)
    assert state(driver) == UPDATING
    driver.run(seconds=1)
    assert state(driver) == PAUSED


def test_with_continue_a_stuck_step_gives_way_to_the_next() -> None:
    driver = rollout(2, update_config(goes_on=True))
    stop_old(driver)
    driver.run(seconds=STEP_DEADLINE)
    assert updated(driver) == [1, 2]


def test_deadlines() -> None:
    waiting = task("t", state=states.PENDING)
    assert step_deadline(waiting, EPOCH) == EPOCH + STEP_DEADLINE
    delayed = task("t", state=states.PENDING, start_after=EPOCH + 40)
    assert step_deadline(delayed, EPOCH) == EPOCH + 40 + STEP_DEADLINE
    held_back = task("t", state=READY, start_after=EPOCH + 900)
    assert step_deadline(held_back, EPOCH) == EPOCH + 900 + STEP_DEADLINE
    pulling = task("t", state=states.PREPARING)
    pulling.meta.updated_at.seconds += 100
    assert step_deadline(pulling, EPOCH) == EPOCH + 100 + STEP_DEADLINE
    checked = task("t", state=states.STARTING)
    checked.status.container.unproven_at_most.seconds = 610
    assert step_deadline(checked, EPOCH) == EPOCH + STEP_DEADLINE + 610


def test_a_leader_whose_clock_is_ahead_has_not_waited_for_what_it_skipped() -> None:
    driver = rollout(2)
    stop_old(driver)
    driver.now += 3600
    began = driver.now
    driver.loop = ServicesLoop(counter("later"), waited_since=lambda: began)
    driver.loop.reset(driver.store)
    driver.run(seconds=STEP_DEADLINE - 1)
    assert state(driver) == UPDATING
    driver.run(seconds=1)
    assert state(driver) == PAUSED


def test_a_rollout_that_began_by_a_wholly_wrong_clock_waits_no_longer() -> None:
    driver = rollout(2)
    stop_old(driver)
    again = copy(driver.service())
    again.spec_version += 1
    again.update_status.Clear()
    again.update_status.state = UPDATING
    driver.now += 2 * FURTHEST
    driver.write(update(again))
    driver.run()
    driver.now -= 2 * FURTHEST
    driver.loop.reset(driver.store)
    driver.run(seconds=STEP_DEADLINE)
    assert state(driver) == PAUSED


@pytest.mark.parametrize("stage", [states.PENDING, states.PREPARING, READY])
def test_a_deadline_that_a_wholly_wrong_clock_gave_is_over(
    stage: types_pb2.TaskState.ValueType,
) -> None:
    stuck = task("t", state=stage, start_after=EPOCH + 900)
    stuck.meta.updated_at.CopyFrom(stuck.meta.created_at)
    assert step_deadline(stuck, EPOCH - 2 * FURTHEST) == STEP_DEADLINE


def test_a_change_of_leader_in_the_middle_of_each_step_changes_nothing() -> None:
    driver = rollout(3, update_config(monitor=2))
    for slot in (1, 2, 3):
        driver.loop = ServicesLoop(counter(f"leader{slot}-"))
        driver.loop.reset(driver.store)
        driver.run()
        assert updated(driver) == list(range(1, slot + 1))
        start(driver, slot)
    driver.loop = ServicesLoop(counter("last-"))
    driver.loop.reset(driver.store)
    driver.run(seconds=2)
    assert state(driver) == COMPLETED
    assert len(driver.tasks()) == 6


def test_scaling_during_an_update_uses_the_new_spec() -> None:
    driver = rollout(2)
    driver.change_service(replicas=3)
    driver.run()
    assert get_fresh(driver, 3).spec == FRESH
    assert state(driver) == UPDATING


def test_an_update_of_nothing_completes() -> None:
    driver = rollout(1)
    driver.change_service(replicas=0)
    driver.run()
    assert state(driver) == COMPLETED
    assert all(t.desired_state == states.REMOVE for t in driver.tasks())


def test_a_slot_that_ended_for_good_is_updated_too() -> None:
    once = task_spec("app:1", condition=specs_pb2.RestartPolicy.CONDITION_NONE)
    driver = LoopDriver(
        ServicesLoop(counter()),
        service(spec=once),
        task("old", state=states.COMPLETE, desired=SHUTDOWN, spec=once),
    )
    assert driver.run() == 0
    driver.change_service(spec=task_spec("app:2"))
    driver.run()
    assert updated(driver) == [1]


def test_force_is_an_update() -> None:
    forced = task_spec("app:1", delay=0)
    forced.force_update = 1
    assert updated(rollout(2, fresh=forced)) == [1]
