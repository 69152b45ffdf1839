import pytest

from api import states
from api.v1 import objects_pb2
from api.v1.types_pb2 import TaskState
from manager.orchestrator.reaper import MAX_TASKS, ReaperLoop
from manager.orchestrator.rollback import COMPLETED, ROLLBACK_STARTED, UPDATING
from manager.state.changes import StoredObject, copy, create, delete, update
from tests.support.builders import EPOCH, cluster, node, service, task, task_spec
from tests.support.loop_driver import LoopDriver

FAILED, RUNNING, SHUTDOWN = states.FAILED, states.RUNNING, states.SHUTDOWN


def history(count: int, **more: object) -> list[objects_pb2.Task]:
    """Ended tasks h1 (the oldest) and on, all in slot 1."""
    return [
        task(f"h{n}", state=FAILED, desired=SHUTDOWN, at=EPOCH + n, **more)  # type: ignore[arg-type]
        for n in range(1, count + 1)
    ]


def reaped(*objects: StoredObject) -> list[str]:
    """The ids of the tasks that are left."""
    driver = LoopDriver(ReaperLoop(), *objects)
    driver.run()
    fresh = LoopDriver(ReaperLoop(), *objects)
    fresh.loop.reset(fresh.store)
    fresh.run()
    assert [t.id for t in fresh.tasks()] == [t.id for t in driver.tasks()]
    return [t.id for t in driver.tasks()]


@pytest.mark.parametrize(
    ("limit", "kept"),
    [(None, 5), (0, 0), (2, 2), (7, 7), (-1, 8)],
)
def test_the_oldest_ended_tasks_beyond_the_limit_go(limit: int | None, kept: int) -> None:
    left = reaped(cluster(limit), service(), *history(8), task("now"))
    assert left == [f"h{n}" for n in range(9 - kept, 9)] + ["now"]


def test_without_a_cluster_object_the_default_holds() -> None:
    assert len(reaped(service(), *history(8), task("now"))) == 6


def test_the_newest_task_of_a_slot_stays_as_the_sign_that_it_is_filled() -> None:
    assert reaped(cluster(0), service(), *history(3)) == ["h3"]
    assert reaped(cluster(2), service(), *history(4)) == ["h3", "h4"]


def test_slots_are_counted_apart() -> None:
    other = task("other", slot=2, state=FAILED, desired=SHUTDOWN)
    assert reaped(cluster(1), service(), *history(2), other) == ["h2", "other"]


def test_an_end_that_is_not_handled_yet_is_left_alone() -> None:
    unhandled = task("end", state=FAILED, desired=RUNNING)
    assert reaped(cluster(0), service(), unhandled, task("now")) == ["end", "now"]


def test_the_limit_holds_whatever_the_restart_policy_counts() -> None:
    spec = task_spec(max_attempts=4)
    left = reaped(cluster(1), service(), *history(9, spec=spec), task("now", spec=spec))
    assert left == ["h9", "now"]


@pytest.mark.parametrize(
    ("state", "desired", "stays"),
    [
        (states.NEW, states.REMOVE, False),
        (states.PENDING, states.REMOVE, False),
        (states.ASSIGNED, states.REMOVE, True),
        (states.RUNNING, states.REMOVE, True),
        (states.SHUTDOWN, states.REMOVE, False),
        (states.FAILED, states.REMOVE, False),
        (states.ORPHANED, states.REMOVE, False),
        (states.PENDING, states.RUNNING, True),
        (states.COMPLETE, states.SHUTDOWN, True),
    ],
)
def test_removed_tasks_go_once_no_agent_has_them(
    state: TaskState.ValueType, desired: TaskState.ValueType, stays: bool
) -> None:
    node_id = "n1" if state >= states.ASSIGNED else ""
    each = task("t", state=state, desired=desired, node_id=node_id)
    assert reaped(service(), node("n1"), each) == (["t"] if stays else [])


@pytest.mark.parametrize("slot", [0, 1])
def test_ended_tasks_go_with_their_service(slot: int) -> None:
    tasks = [
        task("ended", slot=slot, state=FAILED, desired=SHUTDOWN),
        task("unhandled", slot=slot, state=FAILED),
        task("runs", slot=slot, node_id="n1"),
        task("waits", slot=slot, state=states.PENDING),
    ]
    driver = LoopDriver(ReaperLoop(), service(), node("n1"), *tasks)
    driver.run()
    assert len(driver.tasks()) == 4
    driver.write(delete(driver.service()))
    driver.run()
    assert [t.id for t in driver.tasks()] == ["runs", "waits"], "the orchestrator's, so far"


def test_tasks_of_a_removed_node_are_orphaned_and_then_reaped() -> None:
    driver = LoopDriver(
        ReaperLoop(),
        service(),
        node("n1"),
        task("wanted", node_id="n1"),
        task("gone", slot=2, node_id="n1", desired=states.REMOVE),
        task("ended", slot=3, node_id="n1", state=FAILED, desired=SHUTDOWN),
    )
    assert driver.run() == 0
    found = driver.store.get(objects_pb2.Node, "n1")
    assert found is not None
    driver.write(delete(found))
    driver.run()
    assert {t.id: t.status.state for t in driver.tasks()} == {
        "wanted": states.ORPHANED,
        "ended": FAILED,
    }
    assert driver.task("wanted").status.message == "its node was removed"


def test_a_task_that_came_to_a_node_just_removed_is_orphaned() -> None:
    driver = LoopDriver(ReaperLoop(), service(), task("t", state=states.PENDING))
    driver.run()
    driver.report("t", states.ASSIGNED, node_id="gone")
    driver.run()
    assert driver.task("t").status.state == states.ORPHANED


def test_a_lower_limit_takes_effect_at_once() -> None:
    driver = LoopDriver(ReaperLoop(), cluster(4), service(), *history(4), task("now"))
    assert driver.run() == 0
    changed = copy(next(driver.store.all(objects_pb2.Cluster)))
    changed.spec.task_history_limit = 1
    driver.write(update(changed))
    assert driver.run() == 3


def test_a_refused_delete_is_decided_again() -> None:
    driver = LoopDriver(ReaperLoop(), cluster(0), service(), *history(2))
    (lost,) = driver.decide().batches
    driver.loop.refused(lost)
    assert driver.run() == 1


def test_long_work_is_split() -> None:
    driver = LoopDriver(ReaperLoop(), service())
    count = MAX_TASKS + 10
    driver.write(
        *(
            create(task(f"t{n}", slot=n + 1, state=FAILED, desired=states.REMOVE))
            for n in range(count)
        )
    )
    first = driver.decide()
    assert first.more
    assert len(first.batches) < count
    driver.store.write(first.batches, driver.now)
    driver.run()
    assert driver.tasks() == []


def test_a_global_service_keeps_a_history_for_each_node() -> None:
    def on(node_id: str, count: int) -> list[objects_pb2.Task]:
        kept = history(count)
        for found in kept:
            found.id, found.slot, found.node_id = f"{node_id}-{found.id}", 0, node_id
        return kept

    left = reaped(
        cluster(1), node("n1"), node("n2"), service(mode="global"), *on("n1", 4), *on("n2", 2)
    )
    assert left == ["n1-h4", "n2-h2"]


def test_results_of_earlier_iterations_are_history_and_the_present_one_stays() -> None:
    def result(number: int) -> objects_pb2.Task:
        done = states.COMPLETE
        return task(f"i{number}", state=done, desired=done, at=EPOCH + number, iteration=number)

    job = service(mode="replicated_job")
    job.job_status.iteration = 4
    left = reaped(cluster(2), job, *map(result, range(5)))
    assert left == ["i3", "i4"]
    again = task("now", state=RUNNING, desired=states.COMPLETE, at=EPOCH + 9, iteration=5)
    job.job_status.iteration = 5
    left = reaped(cluster(1), job, *map(result, range(5)), again)
    assert left == ["i4", "now"]


def test_the_result_of_a_job_stays_whatever_came_after_it() -> None:
    def ended(name: str, state: TaskState.ValueType, at: float) -> objects_pb2.Task:
        return task(name, state=state, desired=SHUTDOWN, at=EPOCH + at)

    tasks = [
        ended("done", states.COMPLETE, 1),
        ended("again", states.COMPLETE, 2),
        ended("stopped", SHUTDOWN, 3),
        ended("too", SHUTDOWN, 4),
    ]
    assert reaped(cluster(0), service(mode="replicated_job"), *tasks) == ["again", "too"]
    assert reaped(cluster(0), service(), *tasks) == ["too"]


@pytest.mark.parametrize("state", [UPDATING, ROLLBACK_STARTED])
def test_while_a_rollout_is_under_way_the_last_that_ended_stays(
    state: objects_pb2.UpdateStatus.State.ValueType,
) -> None:
    web = service()
    web.update_status.state = state
    driver = LoopDriver(ReaperLoop(), cluster(0), web, *history(3), task("now"))
    driver.run()
    assert [each.id for each in driver.tasks()] == ["h3", "now"]
    over = copy(driver.service())
    over.update_status.state = COMPLETED
    driver.write(update(over))
    driver.run()
    assert [each.id for each in driver.tasks()] == ["now"]


def test_what_holds_addresses_is_left_until_they_are_given_back() -> None:
    holding = task("t1", state=FAILED, desired=states.REMOVE)
    holding.networks.add(network_id="front", addresses=["10.0.0.3/24"])
    driver = LoopDriver(ReaperLoop(), service(), holding)
    driver.run()
    assert [each.id for each in driver.tasks()] == ["t1"]
    released = copy(driver.task("t1"))
    released.networks[0].released = True
    driver.write(update(released))
    driver.run()
    assert driver.tasks() == []
