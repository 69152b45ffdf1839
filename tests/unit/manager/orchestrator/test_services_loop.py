"""Which services are looked at when, whatever their mode, and what becomes of what was proposed."""

from api import states
from api.v1 import objects_pb2
from manager.orchestrator.services import MAX_CHANGES, ServicesLoop
from manager.state.changes import copy, delete, update
from tests.support.builders import DRAIN, EPOCH, node, service, task, task_spec
from tests.support.counter import counter
from tests.support.loop_driver import LoopDriver

REMOVE, RUNNING, SHUTDOWN = states.REMOVE, states.RUNNING, states.SHUTDOWN


def driver_with(*objects: objects_pb2.Node | objects_pb2.Service | objects_pb2.Task) -> LoopDriver:
    return LoopDriver(ServicesLoop(counter()), *objects)


def slots(driver: LoopDriver) -> list[int]:
    return sorted(t.slot for t in driver.tasks() if states.is_live(t))


def test_tasks_of_a_removed_service_are_let_go() -> None:
    driver = driver_with(
        node("n1"),
        service(),
        task("a", node_id="n1"),
        task("b", slot=2, state=states.PENDING),
        task("c", slot=3, node_id="n1", desired=SHUTDOWN),
        task("ended", slot=4, node_id="n1", state=states.FAILED, desired=SHUTDOWN),
    )
    driver.write(delete(driver.service()))
    driver.run()
    desired = {t.id: t.desired_state for t in driver.tasks()}
    assert desired == {"a": REMOVE, "b": REMOVE, "c": REMOVE, "ended": SHUTDOWN}


def test_reset_finds_tasks_whose_service_went_unseen() -> None:
    driver = driver_with(task("a"))
    driver.loop = ServicesLoop(counter())
    driver.loop.reset(driver.store)
    driver.run()
    assert driver.task("a").desired_state == REMOVE


def test_a_service_is_not_decided_twice_while_its_batches_are_on_their_way() -> None:
    driver = driver_with(service(replicas=2))
    first = driver.decide()
    assert len(first.batches) == 2
    driver.change_service(replicas=3)
    assert not driver.decide().batches
    applied = driver.store.write(first.batches[:1], driver.now)
    assert not driver.loop.observe(applied.events[0])
    assert not driver.decide().batches
    driver.loop.refused(first.batches[1])
    driver.run()
    assert slots(driver) == [1, 2, 3]


def test_a_conflict_is_decided_again() -> None:
    driver = driver_with(node("n1"), service(), task("a", node_id="n1"))
    driver.change_node("n1", availability=DRAIN)
    (stale,) = driver.decide().batches
    driver.report("a", states.FAILED)
    applied = driver.store.write([stale], driver.now)
    assert applied.results[0] is not None
    driver.loop.refused(stale)
    driver.run()
    assert [t.desired_state for t in driver.tasks()] == [SHUTDOWN, RUNNING]


def test_steps_on_the_way_to_running_wake_nobody() -> None:
    driver = driver_with(node("n1"), service(), task("a", state=states.NEW))
    driver.run()
    assert driver.report("a", states.ASSIGNED, node_id="n1")
    assert not driver.report("a", states.ACCEPTED)
    assert not driver.report("a", states.PREPARING)
    assert driver.report("a", states.RUNNING)
    assert driver.report("a", states.FAILED)


def test_a_nodes_description_wakes_nobody() -> None:
    driver = driver_with(node("n1"))
    driver.run()
    described = copy(next(driver.store.all(objects_pb2.Node)))
    described.description.hostname = "other"
    assert not driver.write(update(described))
    assert driver.change_node("n1", availability=DRAIN)


def test_long_work_is_split() -> None:
    count = MAX_CHANGES + 50
    driver = driver_with(service(replicas=count))
    assert len(driver.decide().batches) == MAX_CHANGES
    driver = driver_with(*(service(f"s{n}", 10) for n in range(count // 10 + 1)))
    first = driver.decide()
    assert first.more
    assert len(first.batches) == MAX_CHANGES
    assert not driver.decide().more


def test_the_earliest_wake_up_is_kept_across_services() -> None:
    driver = driver_with(
        service("a", spec=task_spec(delay=10)), service("b", spec=task_spec(delay=3))
    )
    driver.run()
    for found in driver.tasks():
        driver.report(found.id, states.FAILED)
    driver.run()
    assert driver.wake_at == EPOCH + 3
    driver.run(seconds=3)
    assert driver.wake_at == EPOCH + 10
    driver.write(delete(driver.service("a")))
    driver.run()
    assert driver.wake_at is None
