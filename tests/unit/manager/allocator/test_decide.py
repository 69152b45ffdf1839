from api import states
from manager.allocator.decide import MAX_TASKS, AllocatorLoop
from manager.state.changes import create, delete
from tests.support.builders import task
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
