"""A rolling update to play with: the test is the scheduler and the agents."""

from api import states
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.services import ServicesLoop
from tests.support.builders import node, service, task, task_spec
from tests.support.counter import counter
from tests.support.loop_driver import LoopDriver

RUNNING, SHUTDOWN = states.RUNNING, states.SHUTDOWN
FRESH = task_spec("app:2", delay=0)


def rollout(
    replicas: int = 3,
    config: specs_pb2.UpdateConfig | None = None,
    fresh: specs_pb2.TaskSpec = FRESH,
) -> LoopDriver:
    """A running service `web` whose image has just been changed."""
    spec = task_spec("app:1", delay=0)
    driver = LoopDriver(
        ServicesLoop(counter()),
        node("n1"),
        node("n2"),
        service(replicas=replicas, spec=spec, update=config),
        *(task(f"old{n}", slot=n, node_id="n1", spec=spec) for n in range(1, replicas + 1)),
    )
    assert driver.run() == 0
    driver.change_service(spec=fresh)
    driver.run()
    return driver


def fresh_in(driver: LoopDriver, slot: int) -> objects_pb2.Task | None:
    """The newest task of the slot, if it is of the new version."""
    newest = driver.store.tasks_of_slot("web", slot)[-1]
    return newest if newest.spec_version == driver.service().spec_version else None


def get_fresh(driver: LoopDriver, slot: int) -> objects_pb2.Task:
    found = fresh_in(driver, slot)
    assert found is not None, f"slot {slot} is not updated"
    return found


def updated(driver: LoopDriver) -> list[int]:
    """The slots whose newest task is of the new version."""
    slots = {t.slot for t in driver.tasks()}
    return [slot for slot in sorted(slots) if fresh_in(driver, slot) is not None]


def stop_old(driver: LoopDriver) -> None:
    for each in driver.tasks():
        if each.desired_state == SHUTDOWN and not states.is_terminal(each):
            driver.report(each.id, SHUTDOWN)
    driver.run()


def start(driver: LoopDriver, slot: int) -> None:
    """The old task stops, and the new one comes to run on n2."""
    stop_old(driver)
    found = get_fresh(driver, slot)
    assert found.desired_state == RUNNING
    driver.report(found.id, RUNNING, node_id="n2")
    driver.run()


def state(driver: LoopDriver) -> int:
    return driver.service().update_status.state
