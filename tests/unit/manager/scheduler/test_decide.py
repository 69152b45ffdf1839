from collections import Counter

import pytest

from api import states
from api.v1 import objects_pb2
from api.v1.types_pb2 import TaskState
from manager.decision import Decision
from manager.scheduler.decide import SchedulerLoop
from manager.scheduler.step import MAX_TASKS
from manager.state.changes import copy, create, delete, update
from tests.support.builders import (
    ACTIVE,
    DOWN,
    DRAIN,
    GIB,
    PAUSE,
    READY,
    UNKNOWN,
    node,
    service,
    task,
    task_spec,
)
from tests.support.loop_driver import LoopDriver

PENDING, RUNNING = states.PENDING, states.RUNNING


def pending(
    task_id: str, service_id: str = "web", slot: int = 1, *, memory: int = 0, version: int = 1
) -> objects_pb2.Task:
    spec = task_spec(memory=memory)
    return task(task_id, service_id, slot, state=PENDING, spec=spec, version=version)


def placed(driver: LoopDriver) -> dict[str, str]:
    return {t.id: t.node_id for t in driver.tasks() if t.node_id}


def error(driver: LoopDriver, task_id: str) -> str:
    return driver.task(task_id).status.error


def test_an_assigned_task_says_so() -> None:
    driver = LoopDriver(SchedulerLoop(), node("n1"), pending("a"))
    assert driver.run() == 1
    found = driver.task("a")
    assert (found.node_id, found.status.state) == ("n1", states.ASSIGNED)
    assert found.status.message == "scheduler assigned task to node"


def test_tasks_of_a_service_spread_over_the_nodes() -> None:
    driver = LoopDriver(
        SchedulerLoop(),
        node("n1"),
        node("n2"),
        node("n3"),
        *(task(f"old{n}", "db", n + 1, node_id="n1") for n in range(5)),
        *(pending(f"t{n}", slot=n + 1) for n in range(6)),
    )
    driver.run()
    assert Counter(n for t, n in placed(driver).items() if t.startswith("t")) == {
        "n1": 2,
        "n2": 2,
        "n3": 2,
    }


def test_single_tasks_of_many_services_spread_too() -> None:
    tasks = [pending(f"t{n}", f"s{n}") for n in range(9)]
    driver = LoopDriver(SchedulerLoop(), node("n1"), node("n2"), node("n3"), *tasks)
    driver.run()
    assert sorted(Counter(placed(driver).values()).values()) == [3, 3, 3]


def test_a_container_in_a_network_is_no_load_of_its_node() -> None:
    places = [task(f"p{n}", "", 0, node_id="n1") for n in range(2)]
    for place in places:
        place.spec.attachment.container_id = "c1"
    other = task("old", "db", node_id="n2")
    driver = LoopDriver(SchedulerLoop(), node("n1"), node("n2"), other, *places, pending("a"))
    driver.run()
    assert placed(driver)["a"] == "n1"


def test_a_task_changed_while_its_assignment_is_on_its_way_is_not_decided_twice() -> None:
    driver = LoopDriver(SchedulerLoop(), node("n1"), pending("a"))
    (stale,) = driver.decide().batches
    changed = copy(driver.task("a"))
    changed.desired_state = states.RUNNING
    driver.write(update(changed))
    assert not driver.decide().batches
    assert driver.store.write([stale], driver.now).results[0] is not None
    driver.loop.refused(stale)
    driver.run()
    assert placed(driver) == {"a": "n1"}


def test_reservations_are_never_exceeded() -> None:
    driver = LoopDriver(
        SchedulerLoop(),
        node("n1", memory=2 * GIB),
        node("n2", memory=3 * GIB),
        *(pending(f"t{n}", slot=n + 1, memory=GIB) for n in range(8)),
    )
    driver.run()
    assert Counter(placed(driver).values()) == {"n1": 2, "n2": 3}
    waiting = [t for t in driver.tasks() if not t.node_id]
    assert {t.status.error for t in waiting} == {
        "no suitable node (insufficient memory on 2 nodes: 1GiB needed, at most 0B free)"
    }


def test_an_assignment_counts_before_it_is_applied_and_not_after_it_was_refused() -> None:
    driver = LoopDriver(SchedulerLoop(), node("n1", memory=GIB), pending("a", memory=GIB))
    (lost,) = driver.decide().batches
    driver.write(create(pending("b", "db", memory=GIB)))
    (explained,) = driver.decide().batches
    assert "insufficient memory" in str(explained.changes[0].object)
    driver.loop.refused(lost)
    driver.run()
    assert placed(driver) == {"a": "n1"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"state": DOWN}, {"state": READY}),
        ({"state": UNKNOWN}, {"state": READY}),
        ({"availability": PAUSE}, {"availability": ACTIVE}),
        ({"availability": DRAIN}, {"availability": ACTIVE}),
    ],
)
def test_a_waiting_task_is_placed_when_a_node_can_take_it(
    before: dict[str, int], after: dict[str, int]
) -> None:
    driver = LoopDriver(SchedulerLoop(), node("n1", **before), pending("a"))  # type: ignore[arg-type]
    driver.run()
    assert "1 node" in error(driver, "a")
    assert driver.change_node("n1", **after)  # type: ignore[arg-type]
    driver.run()
    assert placed(driver) == {"a": "n1"}
    assert error(driver, "a") == ""


def test_a_waiting_task_is_placed_when_another_has_ended() -> None:
    driver = LoopDriver(
        SchedulerLoop(),
        node("n1", memory=GIB),
        task("old", "db", node_id="n1", spec=task_spec(memory=GIB)),
        pending("a", memory=GIB),
    )
    driver.run()
    assert placed(driver) == {"old": "n1"}
    assert driver.report("old", states.FAILED)
    driver.run()
    assert placed(driver)["a"] == "n1"


def test_a_new_node_helps_and_a_deleted_one_no_longer_counts() -> None:
    driver = LoopDriver(SchedulerLoop(), pending("a", memory=GIB))
    driver.run()
    assert error(driver, "a") == "no suitable node"
    driver.write(create(node("small", memory=1)))
    driver.run()
    assert (
        error(driver, "a")
        == "no suitable node (insufficient memory on 1 node: 1GiB needed, 1B free)"
    )
    small = driver.store.get(objects_pb2.Node, "small")
    assert small is not None
    driver.write(delete(small))
    driver.run()
    assert error(driver, "a") == "no suitable node"
    driver.write(create(node("big")))
    driver.run()
    assert placed(driver) == {"a": "big"}


def test_the_reason_is_written_only_when_it_changed() -> None:
    driver = LoopDriver(
        SchedulerLoop(), node("n1", memory=1), node("n2", state=DOWN), pending("a", memory=GIB)
    )
    assert driver.run() == 1
    assert error(driver, "a") == (
        "no suitable node (1 node is not ready; "
        "insufficient memory on 1 node: 1GiB needed, 1B free)"
    )
    driver.change_node("n2", availability=DRAIN)
    assert driver.run() == 0
    driver.write(create(pending("b", "db", memory=GIB)))
    assert driver.run() == 1
    assert error(driver, "b") == error(driver, "a")
    driver.write(create(node("n3", memory=1)))
    assert driver.run() == 2


def test_the_reason_follows_what_is_placed_meanwhile() -> None:
    spec = task_spec(cpus=2, memory=16 * GIB)
    stuck = task("stuck", state=PENDING, spec=spec)
    driver = LoopDriver(SchedulerLoop(), node("n1", cpus=4), stuck)
    driver.run()
    assert "insufficient memory on 1 node: 16GiB needed, 8GiB free" in error(driver, "stuck")
    driver.write(create(task("a", "db", state=PENDING, spec=task_spec(cpus=3))))
    driver.run()
    assert "insufficient CPU on 1 node: 2 needed, 1 free" in error(driver, "stuck")


def test_a_refused_reason_is_said_again() -> None:
    driver = LoopDriver(SchedulerLoop(), pending("a"))
    (lost,) = driver.decide().batches
    driver.loop.refused(lost)
    assert driver.run() == 1


def test_older_tasks_come_first() -> None:
    driver = LoopDriver(SchedulerLoop(), pending("z", memory=GIB))
    driver.run(seconds=1)
    driver.write(create(pending("a", "db", memory=GIB)))
    driver.run()
    driver.write(create(node("n1", memory=GIB)))
    driver.run()
    assert placed(driver) == {"z": "n1"}


@pytest.mark.parametrize("desired", [states.SHUTDOWN, states.REMOVE])
def test_a_task_that_is_no_longer_wanted_is_not_placed(
    desired: TaskState.ValueType,
) -> None:
    driver = LoopDriver(SchedulerLoop(), pending("a"))
    driver.run()
    unwanted = copy(driver.task("a"))
    unwanted.desired_state = desired
    driver.write(update(unwanted), create(node("n1")))
    assert driver.run() == 0
    driver.write(delete(driver.task("a")))
    assert driver.run() == 0


def test_a_node_where_a_version_keeps_failing_comes_last() -> None:
    failed = [
        task(f"f{n}", slot=n + 1, state=states.FAILED, desired=states.SHUTDOWN, node_id="n1")
        for n in range(5)
    ]
    driver = LoopDriver(SchedulerLoop(), node("n1"), node("n2"), *failed)
    driver.write(create(task("busy", "db", node_id="n2")))
    driver.write(create(pending("a")), create(pending("other", version=2)))
    driver.run()
    assert (placed(driver)["a"], placed(driver)["other"]) == ("n2", "n1")


def test_long_work_is_split_and_comes_to_the_same() -> None:
    driver = LoopDriver(SchedulerLoop(), *(node(f"n{n}") for n in range(3)))
    count = 2 * MAX_TASKS + 30
    driver.write(*(create(pending(f"t{n}", slot=n + 1)) for n in range(count)))
    decisions: list[Decision] = []
    while not decisions or decisions[-1].more:
        decisions.append(driver.decide())
    counts = [len(each.batches) for each in decisions]
    assert sum(counts) == count
    assert all(MAX_TASKS * 0.9 < each <= MAX_TASKS for each in counts[:-1])


def test_long_explanations_are_split_too() -> None:
    driver = LoopDriver(SchedulerLoop())
    count = MAX_TASKS + 30
    driver.write(*(create(pending(f"t{n}", f"s{n}")) for n in range(count)))
    assert driver.run() == count
    assert driver.run() == 0


def test_a_task_deleted_while_its_assignment_is_on_its_way_is_forgotten() -> None:
    driver = LoopDriver(SchedulerLoop(), node("n1", memory=GIB), pending("a", memory=GIB))
    (lost,) = driver.decide().batches
    driver.write(delete(driver.task("a")))
    driver.loop.refused(lost)
    driver.write(create(pending("b", "db", memory=GIB)))
    driver.run()
    assert placed(driver) == {"b": "n1"}


def test_reset_counts_what_no_event_showed() -> None:
    held = task("held", "db", node_id="n1", spec=task_spec(memory=GIB))
    driver = LoopDriver(
        SchedulerLoop(), node("n1", memory=GIB), node("n2", memory=GIB), held, service("web")
    )
    driver.write(create(pending("a", memory=GIB)))
    driver.loop = SchedulerLoop()
    driver.loop.reset(driver.store)
    driver.run()
    assert placed(driver) == {"held": "n1", "a": "n2"}


@pytest.mark.parametrize("is_stuck", [False, True])
def test_a_task_that_went_before_its_event_came_is_passed_over(is_stuck: bool) -> None:
    driver = LoopDriver(SchedulerLoop(), pending("a"))
    if is_stuck:
        driver.run()
    unseen = driver.store.must(delete(driver.task("a")), now=driver.now)
    driver.write(create(node("n1")))
    assert not driver.decide().batches
    driver.loop.observe(unseen.events[0])
    assert not driver.decide().more


def preassigned(task_id: str, node_id: str, *, memory: int = 0) -> objects_pb2.Task:
    """A global service's task, which has its node from the beginning."""
    found = pending(task_id, "agent", 0, memory=memory)
    found.node_id = node_id
    return found


def test_a_task_that_has_its_node_is_confirmed_there_and_nowhere_else() -> None:
    tasks = [preassigned("a", "n2"), preassigned("b", "n1"), preassigned("c", "n3")]
    nodes = [node("n1"), node("n2"), node("n3", availability=PAUSE)]
    driver = LoopDriver(SchedulerLoop(), *nodes, *tasks)
    assert driver.run() == 3
    assert placed(driver) == {"a": "n2", "b": "n1", "c": "n3"}
    assert [driver.task(t).status.state for t in "abc"] == [
        states.ASSIGNED,
        states.ASSIGNED,
        PENDING,
    ]
    assert driver.task("a").status.message == "scheduler confirmed task can run on preassigned node"
    assert error(driver, "c") == "no suitable node (1 node not available for new tasks)"
    driver.change_node("n3", availability=ACTIVE)
    driver.run()
    assert (driver.task("c").status.state, error(driver, "c")) == (states.ASSIGNED, "")


def test_a_task_holds_nothing_on_its_node_until_it_is_confirmed() -> None:
    driver = LoopDriver(
        SchedulerLoop(),
        node("n1", memory=GIB),
        node("n2", memory=4 * GIB),
        preassigned("big", "n1", memory=2 * GIB),
        pending("small", memory=GIB),
    )
    driver.run()
    assert driver.task("small").status.state == states.ASSIGNED
    assert driver.task("big").status.state == PENDING
    assert error(driver, "big") == (
        "no suitable node (insufficient memory on 1 node: 2GiB needed, 0B free)"
    )
    fresh = LoopDriver(SchedulerLoop(), *driver.store.all(objects_pb2.Node), *driver.tasks())
    fresh.loop.reset(fresh.store)
    assert fresh.run() == 0


def test_what_changes_on_other_nodes_is_no_reason_to_look_again() -> None:
    driver = LoopDriver(SchedulerLoop(), node("n1", cpus=1), node("n2"))
    driver.write(create(preassigned("a", "n1", memory=64 * GIB)))
    driver.run()
    driver.change_node("n2", availability=DRAIN)
    assert driver.run() == 0
    assert error(driver, "a") == (
        "no suitable node (insufficient memory on 1 node: 64GiB needed, 8GiB free)"
    )


def test_a_job_is_placed_like_any_other_task() -> None:
    job = pending("a")
    job.desired_state = states.COMPLETE
    driver = LoopDriver(SchedulerLoop(), node("n1"), job)
    driver.run()
    assert placed(driver) == {"a": "n1"}
