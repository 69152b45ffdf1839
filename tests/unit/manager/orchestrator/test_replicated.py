"""The number of slots, and which services are looked at when."""

import pytest

from api import states
from api.v1 import objects_pb2
from manager.orchestrator.services import ServicesLoop
from manager.state.changes import create
from tests.support.builders import node, service, task
from tests.support.counter import counter
from tests.support.loop_driver import LoopDriver

READY, REMOVE, RUNNING, SHUTDOWN = states.READY, states.REMOVE, states.RUNNING, states.SHUTDOWN


def driver_with(*objects: objects_pb2.Node | objects_pb2.Service | objects_pb2.Task) -> LoopDriver:
    return LoopDriver(ServicesLoop(counter()), *objects)


def slots(driver: LoopDriver) -> list[int]:
    return sorted(t.slot for t in driver.tasks() if states.is_live(t))


def test_a_new_service_gets_its_tasks() -> None:
    driver = driver_with(service(replicas=3))
    assert driver.run() == 3
    assert slots(driver) == [1, 2, 3]
    made = driver.tasks()[0]
    assert (made.service_id, made.status.state, made.desired_state) == ("web", states.NEW, RUNNING)
    assert not made.HasField("start_after")
    assert not driver.service().HasField("update_status")


def test_scaling_up_fills_the_lowest_free_slots() -> None:
    driver = driver_with(service(replicas=2), task("a", slot=2), task("b", slot=4))
    assert driver.run() == 0
    driver.change_service(replicas=5)
    driver.run()
    assert slots(driver) == [1, 2, 3, 4, 5]
    assert not driver.service().HasField("update_status"), "no task is outdated"


def test_scaling_down_removes_what_does_not_run_first_and_a_slots_history_too() -> None:
    driver = driver_with(
        node("n1"),
        service(replicas=3),
        task("a", slot=1, node_id="n1"),
        task("old", slot=2, node_id="n1", state=states.FAILED, desired=SHUTDOWN),
        task("b", slot=2, state=states.PENDING),
        task("c", slot=3, node_id="n1"),
    )
    driver.change_service(replicas=2)
    assert driver.run() == 1
    desired = {t.id: t.desired_state for t in driver.tasks()}
    assert desired == {"a": RUNNING, "old": REMOVE, "b": REMOVE, "c": RUNNING}


def test_scaling_to_nothing_and_back() -> None:
    driver = driver_with(node("n1"), service(replicas=1), task("a", node_id="n1"))
    driver.change_service(replicas=0)
    driver.run()
    assert slots(driver) == []
    driver.change_service(replicas=1)
    driver.run()
    (_, fresh) = driver.tasks()
    assert (fresh.slot, fresh.desired_state) == (1, READY), "the removed one may still run"
    driver.report("a", SHUTDOWN)
    driver.run()
    assert driver.task(fresh.id).desired_state == RUNNING


@pytest.mark.parametrize("replicas", [1, 4])
def test_nothing_to_do_is_nothing_done(replicas: int) -> None:
    tasks = [task(f"t{n}", slot=n, node_id="n1") for n in range(1, replicas + 1)]
    driver = driver_with(node("n1"), service(replicas=replicas), *tasks)
    assert driver.run() == 0
    driver.write(create(service("other", 0)))
    assert driver.run(seconds=1000) == 0
