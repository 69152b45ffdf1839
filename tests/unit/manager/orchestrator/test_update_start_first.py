"""Rolling updates that start the new task before they stop the old one."""

from api import states
from manager.orchestrator.rollback import UPDATING
from manager.orchestrator.services import ServicesLoop
from tests.support.builders import service, task, task_spec, update_config
from tests.support.counter import counter
from tests.support.loop_driver import LoopDriver
from tests.support.rollout import FRESH, get_fresh, rollout, state, updated

FAILED, RUNNING, SHUTDOWN = states.FAILED, states.RUNNING, states.SHUTDOWN


def test_start_first_stops_the_old_task_only_when_the_new_one_runs() -> None:
    driver = rollout(2, update_config(start_first=True))
    assert updated(driver) == [1]
    assert driver.task("old1").desired_state == RUNNING
    assert get_fresh(driver, 1).desired_state == RUNNING
    driver.report(get_fresh(driver, 1).id, RUNNING, node_id="n2")
    driver.run()
    assert driver.task("old1").desired_state == SHUTDOWN
    assert updated(driver) == [1, 2]


def test_start_first_has_nothing_to_keep_where_nothing_runs() -> None:
    driver = rollout(1, update_config(start_first=True))
    waiting = get_fresh(driver, 1)
    driver.change_service(spec=task_spec("app:3"))
    driver.report("old1", FAILED)
    driver.run()
    assert driver.task(waiting.id).desired_state == SHUTDOWN
    assert driver.task(waiting.id).status.state == SHUTDOWN, "it was never placed"
    assert get_fresh(driver, 1).desired_state == RUNNING


def test_start_first_replaces_what_does_not_run_at_once() -> None:
    spec = task_spec("app:1")
    old = task("old", state=states.PENDING, spec=spec)
    config = update_config(start_first=True)
    driver = LoopDriver(ServicesLoop(counter()), service(spec=spec, update=config), old)
    driver.change_service(spec=FRESH)
    driver.run()
    assert driver.task("old").desired_state == SHUTDOWN
    assert updated(driver) == [1]


def test_start_first_keeps_the_running_task_whatever_else_is_in_its_slot() -> None:
    driver = rollout(1, update_config(start_first=True))
    stuck = get_fresh(driver, 1)
    driver.report(stuck.id, states.ASSIGNED, node_id="n2")
    driver.change_service(spec=task_spec("app:3"))
    driver.report(stuck.id, FAILED)
    driver.run()
    assert driver.task("old1").desired_state == RUNNING
    assert driver.task(stuck.id).desired_state == SHUTDOWN
    assert get_fresh(driver, 1).spec.container.image == "app:3"


def test_start_first_keeps_only_the_newest_of_two_that_run() -> None:
    driver = rollout(1, update_config(start_first=True))
    second = get_fresh(driver, 1)
    driver.report(second.id, RUNNING, node_id="n2")
    driver.change_service(spec=task_spec("app:3"))
    (begun,) = driver.decide().batches
    driver.write(*begun.changes)
    assert state(driver) == UPDATING
    (step,) = driver.decide().batches
    assert [change.object.id for change in step.changes][:1] == ["old1"]
    assert len(step.changes) == 2


def test_an_old_task_that_ends_while_its_successor_starts_is_not_followed_by_a_third() -> None:
    driver = rollout(1, update_config(start_first=True))
    driver.report("old1", FAILED)
    driver.run()
    assert driver.task("old1").desired_state == SHUTDOWN
    assert len(driver.tasks()) == 2
