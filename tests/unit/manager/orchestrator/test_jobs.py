"""Jobs: how many tasks are under way, when a slot is done, and what begins anew."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import states
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.reaper import ReaperLoop
from manager.orchestrator.services import ServicesLoop
from manager.state.changes import copy, create, update
from tests.support.builders import ACTIVE, DOWN, DRAIN, READY, cluster, node, service, task_spec
from tests.support.counter import counter
from tests.support.loop_driver import LoopDriver

COMPLETE, FAILED, RUNNING, SHUTDOWN = (
    states.COMPLETE,
    states.FAILED,
    states.RUNNING,
    states.SHUTDOWN,
)
ANY = specs_pb2.RestartPolicy.CONDITION_ANY
NONE = specs_pb2.RestartPolicy.CONDITION_NONE
Task = objects_pb2.Task


def job(total: int = 5, at_once: int = 0, **policy: Any) -> LoopDriver:
    """A replicated job that has just begun, on one node."""
    spec = task_spec(**{"delay": 0, **policy})
    made = service(replicas=total, at_once=at_once, spec=spec, mode="replicated_job")
    driver = LoopDriver(ServicesLoop(counter()), node("n1"), made)
    driver.run()
    return driver


def global_job(nodes: int = 2, **policy: Any) -> LoopDriver:
    made = service(spec=task_spec(**{"delay": 0, **policy}), mode="global_job")
    there = (node(f"n{number}") for number in range(1, nodes + 1))
    driver = LoopDriver(ServicesLoop(counter()), *there, made)
    driver.run()
    return driver


def live(driver: LoopDriver) -> list[Task]:
    return [found for found in driver.tasks() if states.is_live(found)]


def slots(driver: LoopDriver) -> list[int]:
    return sorted(found.slot for found in live(driver))


def on(driver: LoopDriver) -> list[str]:
    return sorted(found.node_id for found in live(driver))


def end(driver: LoopDriver, found: Task, state: Any = COMPLETE) -> None:
    driver.report(found.id, RUNNING, node_id=found.node_id or "n1")
    driver.report(found.id, state)
    driver.run()


def test_tasks_of_a_job_are_to_complete() -> None:
    first = job(1).tasks()[0]
    assert (first.desired_state, first.job_iteration, first.slot) == (COMPLETE, 0, 1)
    first = global_job(1).tasks()[0]
    assert (first.desired_state, first.node_id, first.slot) == (COMPLETE, "n1", 0)


def test_as_many_as_allowed_are_under_way_until_all_have_completed() -> None:
    driver = job(5, at_once=2)
    seen = []
    while live(driver):
        seen.append(slots(driver))
        end(driver, live(driver)[0])
    assert seen == [[1, 2], [2, 3], [3, 4], [4, 5], [5]]
    assert [found.status.state for found in driver.tasks()] == [COMPLETE] * 5
    assert {found.desired_state for found in driver.tasks()} == {COMPLETE}
    assert driver.run(seconds=1000) == 0, "what completed never runs again"


@pytest.mark.parametrize(("at_once", "begun"), [(0, 3), (1, 1), (3, 3), (9, 3)])
def test_no_limit_means_all_at_once(at_once: int, begun: int) -> None:
    assert len(live(job(3, at_once))) == begun


@pytest.mark.parametrize("condition", [ANY, specs_pb2.RestartPolicy.CONDITION_ON_FAILURE])
def test_a_failed_task_is_tried_again_in_its_slot(condition: Any) -> None:
    driver = job(1, condition=condition, delay=3)
    end(driver, driver.tasks()[0], FAILED)
    failed, fresh = driver.tasks()
    assert (failed.desired_state, fresh.slot, fresh.desired_state) == (SHUTDOWN, 1, states.READY)
    driver.run(seconds=3)
    assert driver.task(fresh.id).desired_state == COMPLETE
    end(driver, driver.task(fresh.id))
    assert not live(driver)


def test_a_slot_that_failed_too_often_is_given_up_and_the_others_go_on() -> None:
    driver = job(3, at_once=1, max_attempts=1)
    for _ in range(2):
        end(driver, live(driver)[0], FAILED)
    assert slots(driver) == [2], "the place of slot 1 is free for the next"
    end(driver, live(driver)[0])
    end(driver, live(driver)[0])
    assert not live(driver)
    assert [found.slot for found in driver.tasks()] == [1, 1, 2, 3]
    assert driver.run(seconds=1000) == 0


def test_without_restarts_each_slot_is_tried_once() -> None:
    driver = job(2, condition=NONE)
    for found in live(driver):
        end(driver, found, FAILED)
    assert not live(driver)
    assert len(driver.tasks()) == 2


def test_a_job_moves_away_from_a_drained_node() -> None:
    driver = job(1)
    found = driver.tasks()[0]
    driver.report(found.id, RUNNING, node_id="n1")
    driver.change_node("n1", availability=DRAIN)
    driver.run()
    assert driver.task(found.id).desired_state == SHUTDOWN
    assert slots(driver) == [1]


def test_what_completed_after_it_was_replaced_counts() -> None:
    driver = job(1)
    found = driver.tasks()[0]
    driver.report(found.id, RUNNING, node_id="n1")
    driver.change_node("n1", availability=DRAIN)
    driver.run()
    (fresh,) = live(driver)
    driver.report(found.id, COMPLETE)
    driver.run()
    assert driver.task(fresh.id).desired_state == SHUTDOWN
    assert not live(driver)


def test_another_spec_begins_the_next_iteration_and_ends_the_last() -> None:
    driver = job(3, at_once=2)
    first, second = live(driver)
    end(driver, first)
    driver.report(second.id, RUNNING, node_id="n1")
    driver.change_service(spec=task_spec("job:2", delay=0))
    driver.run()
    assert driver.task(first.id).desired_state == COMPLETE, "its result is history"
    assert driver.task(second.id).desired_state == states.REMOVE
    fresh = live(driver)
    assert [(found.slot, found.job_iteration) for found in fresh] == [(1, 1), (2, 1)]
    assert [found.desired_state for found in fresh] == [COMPLETE, states.READY], (
        "slot 2 waits until what ran there has stopped"
    )
    driver.report(second.id, SHUTDOWN)
    driver.run()
    assert driver.task(fresh[1].id).desired_state == COMPLETE
    for _ in range(3):
        end(driver, live(driver)[0])
    assert not live(driver)


def test_a_failure_of_an_earlier_iteration_is_not_answered() -> None:
    driver = job(1)
    found = driver.tasks()[0]
    driver.report(found.id, FAILED)
    driver.change_service(spec=task_spec("job:2", delay=0))
    driver.run()
    assert driver.task(found.id).desired_state == SHUTDOWN
    assert [each.job_iteration for each in live(driver)] == [1]


def test_more_completions_are_made_up_and_fewer_end_what_is_not_needed() -> None:
    driver = job(2)
    end(driver, live(driver)[0])
    driver.change_service(replicas=4)
    driver.run()
    assert slots(driver) == [2, 3, 4]
    driver.change_service(replicas=2)
    driver.run()
    assert slots(driver) == [2]
    driver.change_service(replicas=1)
    driver.run()
    assert slots(driver) == []


def test_a_lower_limit_ends_nothing_that_is_under_way() -> None:
    driver = job(4, at_once=3)
    changed = copy(driver.service())
    changed.spec.replicated_job.max_concurrent = 1
    driver.write(update(changed))
    assert driver.run() == 0
    end(driver, live(driver)[0])
    assert slots(driver) == [2, 3]


def test_a_global_job_runs_once_on_each_node_and_on_those_that_join_later() -> None:
    driver = global_job(2)
    for found in live(driver):
        end(driver, found)
    assert driver.run() == 0
    driver.write(create(node("n3")))
    driver.run()
    assert on(driver) == ["n3"]
    end(driver, live(driver)[0])
    driver.change_node("n1", availability=DRAIN)
    driver.change_node("n1", availability=ACTIVE, state=READY)
    assert driver.run() == 0, "it has completed there"
    driver.change_service(spec=task_spec("job:2", delay=0))
    driver.run()
    assert on(driver) == ["n1", "n2", "n3"]


def test_a_global_job_that_was_drained_away_begins_again() -> None:
    driver = global_job(1)
    found = driver.tasks()[0]
    driver.report(found.id, RUNNING)
    driver.change_node("n1", availability=DRAIN)
    driver.run()
    assert not live(driver)
    driver.report(found.id, SHUTDOWN)
    driver.change_node("n1", availability=ACTIVE)
    driver.run()
    assert on(driver) == ["n1"]


def test_attempts_of_a_global_job_are_counted_for_each_node() -> None:
    driver = global_job(2, max_attempts=2)
    while bad := [found for found in live(driver) if found.node_id == "n1"]:
        end(driver, bad[0], FAILED)
    driver.run(seconds=1000)
    assert len([found for found in driver.tasks() if found.node_id == "n1"]) == 3
    assert on(driver) == ["n2"]
    assert driver.run(seconds=1000) == 0


def test_the_results_on_a_removed_node_go_with_it() -> None:
    driver = global_job(2)
    for found in live(driver):
        end(driver, found)
    driver.change_service(spec=task_spec("job:2", delay=0))
    driver.run()
    driver.remove_node("n1")
    driver.run()
    desired = {found.desired_state for found in driver.tasks() if found.node_id == "n1"}
    assert desired == {states.REMOVE}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.integers(1, 5),
    st.integers(0, 4),
    st.lists(st.tuples(st.sampled_from(["end", "drain", "anew", "leader"]), st.integers(0, 9))),
)
def test_each_slot_completes_once_whatever_happens_on_the_way(
    total: int, at_once: int, acts: list[tuple[str, int]]
) -> None:
    driver = job(total, at_once)
    for number, (what, choice) in enumerate(acts):
        if what == "leader":
            driver.loop = ServicesLoop(counter(f"leader{number}-"))
            driver.loop.reset(driver.store)
        elif what == "anew":
            driver.change_service(spec=task_spec(f"job:{number}", delay=0))
        elif what == "drain":
            driver.change_node("n1", availability=DRAIN if choice % 2 else ACTIVE)
        elif found := live(driver):
            end(driver, found[choice % len(found)], COMPLETE if choice % 3 else FAILED)
        driver.run(seconds=choice * 10)
        check(driver, total, at_once)
    driver.change_node("n1", availability=ACTIVE)
    for _ in range(total):
        driver.run(seconds=70)
        if found := live(driver):
            end(driver, found[0])
        check(driver, total, at_once)
    present = [found for found in driver.tasks() if is_present(driver, found)]
    assert sorted(t.slot for t in present if t.status.state == COMPLETE) == [*range(1, total + 1)]
    assert not live(driver)


def check(driver: LoopDriver, total: int, at_once: int) -> None:
    present = [found for found in driver.tasks() if is_present(driver, found)]
    done = [found.slot for found in present if found.status.state == COMPLETE]
    assert len(done) == len(set(done)), "a slot completed twice"
    under_way = slots(driver)
    assert not set(done) & set(under_way), "what completed runs again"
    assert len(under_way) == len(set(under_way))
    assert len(under_way) <= (at_once or total)
    assert len(under_way) + len(done) <= total


def is_present(driver: LoopDriver, found: Task) -> bool:
    return found.job_iteration == driver.service().job_status.iteration


@pytest.mark.parametrize("limit", [0, 1, 5])
@pytest.mark.parametrize("mode", ["global_job", "replicated_job"])
def test_what_completed_is_not_done_again_however_little_history_is_kept(
    mode: str, limit: int
) -> None:
    def reap() -> None:
        reaper = ReaperLoop()
        reaper.reset(driver.store)
        driver.apply(reaper.decide(driver.store, driver.now))
        driver.run()

    made = service(mode=mode, spec=task_spec(delay=0))
    driver = LoopDriver(ServicesLoop(counter()), node("n1"), cluster(limit), made)
    driver.run()
    (first,) = driver.tasks()
    driver.report(first.id, RUNNING, node_id="n1")
    for state in (DOWN, READY):
        driver.change_node("n1", state=state)
        driver.run()
        reap()
    driver.report(first.id, COMPLETE)
    driver.run()
    (second,) = (found for found in driver.tasks() if found.id != first.id)
    driver.report(second.id, SHUTDOWN)
    driver.run()
    reap()
    assert [found.id for found in driver.tasks()] == [first.id, second.id]
    driver.change_service(spec=task_spec("app:2", delay=0))
    driver.run()
    reap()
    (third,) = live(driver)
    assert third.job_iteration == 1
