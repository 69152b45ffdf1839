"""The number of slots, and which services are looked at when."""

import pytest

from api import states
from api.times import seconds_of
from api.v1 import objects_pb2, raft_pb2
from manager.decision import Decision
from manager.orchestrator.services import MAX_CHANGES, MAX_LOOKS, ServicesLoop
from manager.raft.node.node import ENTRY_BYTES
from manager.state.changes import copy, create, delete, encode, update
from tests.support.builders import ACTIVE, DRAIN, EPOCH, PAUSE, node, service, task, task_spec
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
    assert driver.run() == 2
    desired = {t.id: t.desired_state for t in driver.tasks()}
    assert desired == {"a": RUNNING, "old": REMOVE, "b": REMOVE, "c": RUNNING}


def test_a_long_history_goes_before_the_task_that_is_wanted() -> None:
    long = task_spec()
    long.container.env.append("X=" + "x" * 2_000)
    past = [
        task(f"t{n:05}", state=states.FAILED, desired=SHUTDOWN, spec=long) for n in range(1_500)
    ]
    driver = driver_with(service(replicas=1, spec=long), *past, task("now", spec=long))
    driver.run()
    driver.change_service(replicas=0)
    while not (decision := driver.decide()).batches:
        assert decision.more
    for each in decision.batches:
        assert raft_pb2.Command(batches=encode([each])).ByteSize() < ENTRY_BYTES
    driver.apply(decision)
    driver.change_service(replicas=1)
    driver.run()
    assert driver.task("now").desired_state == RUNNING
    driver.change_service(replicas=0)
    driver.run()
    assert all(t.desired_state == REMOVE for t in driver.tasks())


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
    first, second = driver.decide(), driver.decide()
    assert (len(first.batches), first.more) == (MAX_CHANGES, True)
    assert (len(second.batches), second.more) == (50, False)
    driver = driver_with(*(service(f"s{n}", 10) for n in range(count // 10 + 1)))
    first = driver.decide()
    assert first.more
    assert len(first.batches) == MAX_CHANGES
    assert not driver.decide().more


def huge(replicas: int = MAX_LOOKS, **other: int) -> LoopDriver:
    """A service that takes several steps to look at, and small ones."""
    tasks = [task(f"t{n}", slot=n, node_id="n1") for n in range(1, replicas + 1)]
    smaller = [service(name, count) for name, count in other.items()]
    return driver_with(node("n1"), service(replicas=replicas), *smaller, *tasks)


def test_a_huge_service_is_looked_at_in_steps_between_which_others_have_their_turn() -> None:
    driver = huge(small=2)
    assert driver.decide() == Decision(more=True), "no time is left for the small one"
    steps = [driver.decide() for _ in range(3)]
    assert [len(each.batches) for each in steps] == [2, 0, 0]
    assert [each.more for each in steps] == [True, True, False]


def test_what_changes_during_a_look_is_found_at_the_next() -> None:
    driver = huge()
    assert driver.decide().more
    driver.report("t7", states.FAILED)
    assert driver.run() == 1
    assert driver.task("t7").desired_state == SHUTDOWN


def test_nodes_that_keep_changing_do_not_keep_a_look_from_its_end() -> None:
    driver = huge()
    driver.run()
    driver.report(f"t{MAX_LOOKS}", states.FAILED)
    made = []
    for availability in (PAUSE, ACTIVE) * 5:
        made += driver.decide().batches
        driver.change_node("n1", availability=availability)
    assert len(made) == 1


def test_a_service_that_changes_during_a_look_is_looked_at_anew() -> None:
    driver = huge()
    driver.change_service(replicas=MAX_LOOKS + 1000)
    while not driver.decide().batches:
        pass
    driver.change_service(replicas=10)
    decision = driver.decide()
    assert not decision.batches, "what is on its way is waited for"
    assert not decision.more


def test_a_look_goes_on_at_the_time_of_its_step() -> None:
    driver = driver_with(service(replicas=MAX_CHANGES + 1))
    driver.decide()
    driver.now += 7
    (late,) = driver.decide().batches
    (change,) = late.changes
    assert isinstance(change.object, objects_pb2.Task)
    assert seconds_of(change.object.status.at) == driver.now


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


@pytest.mark.parametrize("replicas", [1, 4])
def test_nothing_to_do_is_nothing_done(replicas: int) -> None:
    tasks = [task(f"t{n}", slot=n, node_id="n1") for n in range(1, replicas + 1)]
    driver = driver_with(node("n1"), service(replicas=replicas), *tasks)
    assert driver.run() == 0
    driver.write(create(service("other", 0)))
    assert driver.run(seconds=1000) == 0
