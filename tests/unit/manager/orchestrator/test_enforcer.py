from collections.abc import Iterable

import pytest

from api import states
from api.v1 import objects_pb2, types_pb2
from manager.orchestrator.enforcer import ALERT, MAX_TASKS, EnforcerLoop
from manager.orchestrator.services import ServicesLoop
from manager.placement import eviction
from manager.placement.eviction import was_evicted
from manager.state.changes import copy, create, delete, update
from tests.support.builders import (
    ACTIVE,
    DOWN,
    DRAIN,
    GIB,
    PAUSE,
    READY,
    UNKNOWN,
    choose_port,
    node,
    publish,
    service,
    task,
    task_spec,
)
from tests.support.counter import counter
from tests.support.loop_driver import LoopDriver


def host(name: str = "n1", **labels: str) -> objects_pb2.Node:
    made = node(name)
    made.spec.annotations.labels.update(labels)
    return made


def bound(task_id: str, *constraints: str, at: float = 0, memory: int = 0) -> objects_pb2.Task:
    spec = task_spec(memory=memory)
    spec.placement.constraints.extend(constraints)
    return task(task_id, node_id="n1", spec=spec, at=at)


def change(driver: LoopDriver, name: str = "n1", **fields: object) -> None:
    """Other labels, memory, role, state or availability of a node."""
    found = driver.store.get(objects_pb2.Node, name)
    assert found is not None
    changed = copy(found)
    labels = fields.pop("labels", None)
    if isinstance(labels, dict):
        changed.spec.annotations.labels.clear()
        changed.spec.annotations.labels.update(labels)
    changed.description.resources.memory_bytes = int(
        str(fields.pop("memory", changed.description.resources.memory_bytes))
    )
    changed.role = fields.pop("role", changed.role)  # type: ignore[assignment]
    changed.status.state = fields.pop("state", changed.status.state)  # type: ignore[assignment]
    changed.spec.availability = fields.pop(  # type: ignore[assignment]
        "availability", changed.spec.availability
    )
    driver.write(update(changed))


def evicted(driver: LoopDriver) -> set[str]:
    return {each.id for each in driver.tasks() if was_evicted(each)}


def test_a_task_whose_constraint_no_longer_holds_is_rejected() -> None:
    driver = LoopDriver(
        EnforcerLoop(), host(rack="a"), bound("a", "node.labels.rack==a"), bound("b")
    )
    assert driver.run() == 0
    change(driver, labels={"rack": "b"})
    assert driver.run() == 1
    found = driver.task("a")
    assert found.status.state == states.REJECTED
    assert found.status.message == "task rejected by constraint enforcer"
    assert found.status.error == "assigned node no longer meets constraint node.labels.rack==a"
    assert found.desired_state == states.RUNNING, "what follows is the orchestrator's"
    assert driver.run() == 0


def test_the_role_and_the_engine_count_too() -> None:
    driver = LoopDriver(EnforcerLoop(), host(), bound("a", "node.role==worker"))
    driver.run()
    change(driver, role=types_pb2.NODE_ROLE_MANAGER)
    driver.run()
    assert evicted(driver) == {"a"}


def test_a_task_is_held_to_what_it_was_made_with() -> None:
    made = service()
    made.spec.task.placement.constraints.append("node.id==other")
    driver = LoopDriver(EnforcerLoop(), host(rack="a"), made, bound("a", "node.labels.rack==a"))
    driver.loop.reset(driver.store)
    assert driver.run() == 0, "the rolling update replaces it in its turn"


def test_a_task_whose_node_chose_what_every_node_publishes_goes() -> None:
    """It chose before it heard of the service, and told when that was there."""
    web = service("web")
    publish(web.spec, 80, 40000)
    probe = task("a", "probe", node_id="n1")
    driver = LoopDriver(EnforcerLoop(), host(), web, probe)
    driver.run()
    told = copy(driver.task("a"))
    choose_port(told, 40000)
    assert driver.write(update(told))
    driver.run()
    assert evicted(driver) == {"a"}
    why = "service web publishes port 40000/tcp, which the node chose"
    assert driver.task("a").status.error == why
    other = task("b", "probe", slot=2, node_id="n1")
    choose_port(other, 40001)
    driver.write(create(other))
    driver.run()
    assert evicted(driver) == {"a"}, "that one is nobody's"


def test_the_newest_leave_a_node_that_shrank() -> None:
    held = [bound(f"t{n}", at=100 + n, memory=2 * GIB) for n in range(4)]
    driver = LoopDriver(EnforcerLoop(), host(), *held)
    assert driver.run() == 0
    change(driver, memory=5 * GIB)
    driver.run()
    assert evicted(driver) == {"t2", "t3"}
    assert driver.task("t3").status.error == "assigned node no longer has enough memory"


@pytest.mark.parametrize(
    ("state", "availability"),
    [(DOWN, ACTIVE), (UNKNOWN, ACTIVE), (READY, PAUSE), (READY, DRAIN)],
)
def test_nodes_that_take_no_tasks_are_left_alone_until_they_do(
    state: types_pb2.NodeState.ValueType, availability: types_pb2.NodeAvailability.ValueType
) -> None:
    driver = LoopDriver(EnforcerLoop(), host(rack="a"), bound("a", "node.labels.rack==a"))
    change(driver, state=state, availability=availability, labels={})
    driver.run()
    assert not evicted(driver)
    change(driver, state=READY, availability=ACTIVE)
    driver.run()
    assert evicted(driver) == {"a"}


@pytest.mark.parametrize(
    ("state", "desired"),
    [
        (states.COMPLETE, states.RUNNING),
        (states.RUNNING, states.SHUTDOWN),
        (states.RUNNING, states.REMOVE),
        (states.PENDING, states.RUNNING),
    ],
)
def test_only_tasks_that_are_to_stay_can_be_victims(
    state: types_pb2.TaskState.ValueType, desired: types_pb2.TaskState.ValueType
) -> None:
    spec = task_spec()
    spec.placement.constraints.append("node.id==other")
    held = task("a", node_id="n1", spec=spec, state=state, desired=desired)
    driver = LoopDriver(EnforcerLoop(), host(), held)
    driver.loop.reset(driver.store)
    assert driver.run() == 0


def test_a_task_that_was_on_its_way_when_the_node_changed_is_caught() -> None:
    driver = LoopDriver(EnforcerLoop(), host(rack="a"))
    change(driver, labels={})
    driver.run()
    driver.now += ALERT / 2
    late = bound("a", "node.labels.rack==a")
    late.status.state = states.PENDING
    late.node_id = ""
    driver.write(create(late))
    driver.run()
    driver.report("a", states.ASSIGNED, node_id="n1")
    driver.run()
    assert evicted(driver) == {"a"}


def test_nobody_looks_at_nodes_that_changed_long_ago() -> None:
    driver = LoopDriver(EnforcerLoop(), host())
    driver.run()
    driver.now += ALERT
    assert not driver.write(create(bound("a", "node.id==other")))
    assert not driver.write(create(bound("b", "node.id==other")))


def test_reset_looks_at_every_node() -> None:
    driver = LoopDriver(EnforcerLoop(), host(), bound("a", "node.id==other"))
    driver.loop = EnforcerLoop()
    driver.loop.reset(driver.store)
    driver.run()
    assert evicted(driver) == {"a"}


def many(count: int) -> Iterable[objects_pb2.Task]:
    return (task(f"t{n}", slot=n + 1, node_id="n1") for n in range(count))


def test_long_work_is_split() -> None:
    driver = LoopDriver(EnforcerLoop(), host("n1"), host("n2"), *many(MAX_TASKS))
    assert driver.decide().more
    assert not driver.decide().more


def test_a_refused_eviction_is_decided_anew() -> None:
    driver = LoopDriver(EnforcerLoop(), host(), bound("a", "node.id==other"))
    driver.loop.reset(driver.store)
    (lost,) = driver.decide().batches
    moved = copy(driver.task("a"))
    moved.status.message = "meanwhile"
    driver.write(update(moved))
    driver.loop.refused(lost)
    driver.run()
    assert evicted(driver) == {"a"}


def test_a_node_that_is_gone_is_forgotten() -> None:
    driver = LoopDriver(EnforcerLoop(), host(), bound("a", "node.id==other"))
    driver.loop.reset(driver.store)
    found = driver.store.get(objects_pb2.Node, "n1")
    assert found is not None
    driver.write(delete(found))
    assert driver.run() == 0


def test_a_victim_is_followed_at_once_and_counts_as_no_attempt() -> None:
    spec = task_spec(delay=60, max_attempts=1)
    driver = LoopDriver(ServicesLoop(counter()), service(spec=spec), host())
    for _ in range(3):
        driver.run()
        (present,) = [each for each in driver.tasks() if not states.is_terminal(each)]
        assert present.desired_state == states.RUNNING
        driver.report(present.id, states.RUNNING, node_id="n1")
        driver.write(update(eviction.evicted(driver.task(present.id), "no room", driver.now)))
