from collections.abc import Callable

import pytest

from api import states
from api.v1 import objects_pb2, raft_pb2
from manager.allocator.decide import MAX_TASKS, AllocatorLoop
from manager.raft.node.node import ENTRY_BYTES
from manager.state.changes import StoredObject, create, delete, encode
from tests.support.builders import cluster, network, service, task
from tests.support.loop_driver import LoopDriver

NEW, PENDING = states.NEW, states.PENDING


def test_new_tasks_become_pending() -> None:
    driver = LoopDriver(AllocatorLoop(), task("a", state=NEW), task("b", state=NEW, slot=2))
    assert driver.run() == 2
    assert {t.status.state for t in driver.tasks()} == {PENDING}
    assert driver.task("a").status.message == "pending task scheduling"


def test_only_new_and_wanted_tasks_are_touched() -> None:
    driver = LoopDriver(
        AllocatorLoop(),
        task("running"),
        task("pending", state=PENDING),
        task("unwanted", state=NEW, desired=states.SHUTDOWN),
        task("removed", state=NEW, desired=states.REMOVE),
    )
    assert driver.run() == 0


def test_a_task_waiting_at_ready_is_allocated_too() -> None:
    driver = LoopDriver(AllocatorLoop(), task("a", state=NEW, desired=states.READY))
    assert driver.run() == 1


def test_reset_finds_what_no_event_showed() -> None:
    driver = LoopDriver(AllocatorLoop(), task("a", state=NEW))
    driver.loop = AllocatorLoop()
    assert not driver.decide().batches
    driver.loop.reset(driver.store)
    assert driver.run() == 1


def test_a_refused_batch_is_decided_again_from_the_present_object() -> None:
    driver = LoopDriver(AllocatorLoop(), task("a", state=NEW))
    (lost,) = driver.decide().batches
    assert not driver.decide().batches
    driver.loop.refused(lost)
    assert driver.run() == 1


def test_long_work_is_split() -> None:
    driver = LoopDriver(AllocatorLoop())
    driver.write(*(create(task(f"t{n}", state=NEW, slot=n + 1)) for n in range(MAX_TASKS + 1)))
    decision = driver.decide()
    assert len(decision.batches) == MAX_TASKS
    assert decision.more
    rest = driver.decide()
    assert len(rest.batches) == 1
    assert not rest.more


def test_a_task_that_went_before_its_event_came_is_passed_over() -> None:
    driver = LoopDriver(AllocatorLoop(), task("a", state=NEW))
    driver.store.must(delete(driver.task("a")), now=driver.now)
    assert not driver.decide().batches


def ended(number: int) -> objects_pb2.Task:
    made = task(f"t{number:04}", slot=number, state=states.SHUTDOWN, desired=states.SHUTDOWN)
    made.spec.container.env.append("X=" + "x" * 40_000)
    made.networks.add(network_id="net", addresses=[f"10.0.1.{number}/16"])
    return made


def left(number: int) -> objects_pb2.Service:
    """A service that has an address in a network that it does not want any more."""
    made = service(f"s{number:04}")
    made.spec.annotations.labels["x"] = "x" * 40_000
    made.endpoint.virtual_ips.add(network_id="net", address=f"10.0.2.{number}/16")
    return made


def wide(number: int) -> objects_pb2.Network:
    made = network(f"n{number:04}")
    made.spec.annotations.labels["x"] = "x" * 40_000
    return made


@pytest.mark.parametrize("make", [ended, left, wide])
def test_a_batch_fits_an_entry_of_the_log(make: Callable[[int], StoredObject]) -> None:
    driver = LoopDriver(AllocatorLoop(), cluster(), network("net", "10.0.0.0/16"))
    driver.run()
    driver.write(*(create(make(number)) for number in range(1, 151)))
    rounds = 0
    while (decision := driver.decide()).batches:
        for each in decision.batches:
            assert raft_pb2.Command(batches=encode([each])).ByteSize() < ENTRY_BYTES
        driver.apply(decision)
        rounds += 1
    assert not decision.more
    assert rounds > 1
    held = [t for t in driver.tasks() if not all(each.released for each in t.networks)]
    assert held == [], "what did not fit came later"
