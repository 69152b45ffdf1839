"""What a look costs: what happens to one task has its slot read, not all of its service."""

from collections.abc import Callable

import pytest

from api import states
from api.v1 import objects_pb2
from manager.orchestrator.services import MAX_SLOTS, ServicesLoop
from tests.support.builders import DRAIN, node, service, task, task_spec, update_config
from tests.support.counter import counter
from tests.support.loop_driver import LoopDriver

REPLICAS = 30
FAILED, RUNNING, SHUTDOWN = states.FAILED, states.RUNNING, states.SHUTDOWN

Looks = Callable[[], int]


def running(*, start_first: bool = False, replicas: int = REPLICAS) -> LoopDriver:
    """A service all of whose tasks run; `t1` is the one in slot 1."""
    spec = task_spec("app:1", delay=3)
    made = service(replicas=replicas, spec=spec, update=update_config(0, start_first=start_first))
    tasks = [
        task(f"t{n}", slot=n, node_id=f"n{n % 2 + 1}", spec=spec) for n in range(1, replicas + 1)
    ]
    driver = LoopDriver(ServicesLoop(counter()), node("n1"), node("n2"), node("n3"), made, *tasks)
    driver.run()
    return driver


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[LoopDriver], Looks]:
    """Counts how often all tasks of a service are read."""

    def watch(driver: LoopDriver) -> Looks:
        counts: list[str] = []
        plain = driver.store.tasks_of_service

        def counted(service_id: str) -> list[objects_pb2.Task]:
            counts.append(service_id)
            return plain(service_id)

        monkeypatch.setattr(driver.store, "tasks_of_service", counted)
        return lambda: len(counts)

    return watch


Watch = Callable[[LoopDriver], Looks]


@pytest.mark.parametrize("start_first", [False, True])
def test_reports_restarts_and_lost_nodes_read_their_slots_alone(
    watched: Watch, start_first: bool
) -> None:
    driver = running(start_first=start_first)
    looks = watched(driver)
    for number in range(1, REPLICAS + 1):
        driver.report(f"t{number}", RUNNING, message="still well")
        driver.run()
    driver.report("t7", FAILED)
    assert driver.run() == 1
    assert driver.run(seconds=3) == 1, "the next one may start"
    driver.remove_node("n2")
    assert driver.run() == 14, "one of the 15 there had failed"
    assert looks() == 0


def test_a_drained_node_is_left_slot_by_slot_unless_the_order_is_to_start_first(
    watched: Watch,
) -> None:
    driver = running()
    looks = watched(driver)
    driver.change_node("n1", availability=DRAIN)
    assert driver.run() == 15
    assert looks() == 0
    first = running(start_first=True)
    looks = watched(first)
    first.change_node("n1", availability=DRAIN)
    first.run()
    assert looks() > 0, "only so many at once may move"


def test_a_rollout_reads_the_slots_that_come_along(watched: Watch) -> None:
    driver = running()
    looks = watched(driver)
    driver.change_service(spec=task_spec("app:2", delay=3))
    driver.run()
    begun = looks()
    assert begun > 0
    for number in range(1, REPLICAS + 1):
        driver.report(f"t{number}", SHUTDOWN)
        driver.run()
        (fresh,) = [t for t in driver.store.tasks_of_slot("web", number) if t.spec_version == 2]
        driver.report(fresh.id, RUNNING, node_id="n3")
        driver.run()
    assert looks() == begun
    driver.run(seconds=60)
    assert driver.service().update_status.message == "update completed"


def test_very_many_that_come_along_at_once_have_all_read(watched: Watch) -> None:
    count = MAX_SLOTS + 1
    driver = running(replicas=count)
    driver.change_service(spec=task_spec("app:2", delay=3))
    driver.run()
    looks = watched(driver)
    for number in range(1, count + 1):
        driver.report(f"t{number}", SHUTDOWN)
    driver.run(seconds=1)
    assert looks() == 1
    assert all(t.desired_state == RUNNING for t in driver.tasks() if t.spec_version == 2)
