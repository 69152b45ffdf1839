"""Global services: which nodes have a task, and what becomes of it as nodes and specs change."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import states
from api.v1 import objects_pb2, specs_pb2, types_pb2
from manager.orchestrator.rollback import COMPLETED, PAUSED
from manager.orchestrator.services import ServicesLoop
from manager.state.changes import copy, create, delete, update
from tests.support.builders import (
    ACTIVE,
    DOWN,
    DRAIN,
    PAUSE,
    READY,
    UNKNOWN,
    node,
    service,
    task,
    task_spec,
    update_config,
)
from tests.support.counter import counter
from tests.support.loop_driver import LoopDriver

RUNNING, SHUTDOWN, REMOVE = states.RUNNING, states.SHUTDOWN, states.REMOVE
NONE = specs_pb2.RestartPolicy.CONDITION_NONE
Node = objects_pb2.Node


def labelled(constraints: Sequence[str], found: Node) -> bool:
    """Constraints here are labels that a node has to have."""
    return all(each in found.spec.annotations.labels for each in constraints)


def driver_with(
    *objects: Node | objects_pb2.Service | objects_pb2.Task, nodes: int = 0
) -> LoopDriver:
    made = (node(f"n{number}") for number in range(1, nodes + 1))
    return LoopDriver(ServicesLoop(counter(), labelled), *made, *objects)


def everywhere(
    spec: specs_pb2.TaskSpec | None = None, config: specs_pb2.UpdateConfig | None = None
) -> objects_pb2.Service:
    return service(spec=spec or task_spec(delay=0), update=config, mode="global")


def running_on(count: int, config: specs_pb2.UpdateConfig | None = None) -> LoopDriver:
    """A service that runs on so many nodes."""
    driver = driver_with(everywhere(config=config), nodes=count)
    driver.run()
    start(driver)
    return driver


def start(driver: LoopDriver, *node_ids: str) -> None:
    """What was told to stop has stopped, and what waits comes to run, on these nodes or on all."""
    for found in driver.tasks():
        if found.node_id not in (node_ids or (found.node_id,)) or states.is_terminal(found):
            continue
        if found.desired_state > RUNNING:
            driver.report(found.id, SHUTDOWN)
    driver.run()
    for found in driver.tasks():
        if found.node_id in (node_ids or (found.node_id,)) and is_due(found):
            driver.report(found.id, RUNNING)
    driver.run()


def is_due(found: objects_pb2.Task) -> bool:
    return found.desired_state == RUNNING and found.status.state < RUNNING


def live(driver: LoopDriver) -> list[str]:
    """The nodes of the live tasks."""
    return sorted(found.node_id for found in driver.tasks() if states.is_live(found))


def test_every_node_that_is_ready_gets_one_task_which_is_its_own_from_the_beginning() -> None:
    driver = driver_with(
        node("n1"),
        node("n2"),
        node("unknown", state=UNKNOWN),
        node("down", state=DOWN),
        node("paused", availability=PAUSE),
        node("drained", availability=DRAIN),
        everywhere(),
    )
    assert driver.run() == 2
    assert live(driver) == ["n1", "n2"]
    made = driver.tasks()[0]
    assert (made.slot, made.status.state, made.desired_state) == (0, states.NEW, RUNNING)
    assert not made.HasField("start_after")


def test_a_node_that_joins_or_comes_back_gets_one() -> None:
    driver = running_on(1)
    assert driver.write(create(node("n2", state=UNKNOWN)))
    driver.run()
    assert live(driver) == ["n1"]
    assert driver.change_node("n2", state=READY)
    driver.run()
    assert live(driver) == ["n1", "n2"]


@pytest.mark.parametrize("change", [{"availability": DRAIN}, {"state": DOWN}])
def test_a_node_that_is_drained_or_down_loses_its_task_and_gets_another_later(
    change: dict[str, int],
) -> None:
    driver = running_on(2)
    driver.change_node("n1", **change)  # type: ignore[arg-type]
    driver.run()
    assert live(driver) == ["n2"]
    (old,) = (found for found in driver.tasks() if found.node_id == "n1")
    assert old.desired_state == SHUTDOWN
    driver.change_node("n1", state=READY, availability=ACTIVE)
    driver.run()
    fresh = driver.tasks()[-1]
    assert (fresh.node_id, fresh.desired_state) == ("n1", states.READY), "the old one may still run"
    driver.report(old.id, SHUTDOWN)
    driver.run()
    assert driver.task(fresh.id).desired_state == RUNNING


@pytest.mark.parametrize("change", [{"availability": PAUSE}, {"state": UNKNOWN}])
def test_a_task_stays_on_a_node_that_is_paused_or_out_of_touch(change: dict[str, int]) -> None:
    driver = running_on(2)
    driver.change_node("n1", **change)  # type: ignore[arg-type]
    assert driver.run() == 0
    assert live(driver) == ["n1", "n2"]


def test_on_a_paused_node_nothing_begins_until_it_is_active() -> None:
    driver = running_on(2)
    driver.change_node("n1", availability=PAUSE)
    failed = driver.tasks()[0]
    driver.report(failed.id, states.FAILED)
    driver.change_service(spec=task_spec("app:2", delay=0))
    driver.run()
    start(driver)
    driver.run(seconds=10)
    assert driver.service().update_status.state == COMPLETED
    assert live(driver) == ["n2"]
    driver.change_node("n1", availability=ACTIVE)
    driver.run()
    assert live(driver) == ["n1", "n2"]
    assert {t.spec_version for t in driver.tasks() if states.is_live(t)} == {2}


def test_of_a_removed_node_nothing_is_kept_and_no_other_node_gets_its_task() -> None:
    driver = running_on(2)
    ended = task("ended", slot=0, node_id="n1", state=states.FAILED, desired=SHUTDOWN)
    driver.write(create(ended))
    driver.remove_node("n1")
    driver.run()
    assert live(driver) == ["n2"]
    desired = {found.desired_state for found in driver.tasks() if found.node_id == "n1"}
    assert desired == {REMOVE}


def test_constraints_decide_which_nodes_take_part() -> None:
    spec = task_spec(delay=0)
    spec.placement.constraints.append("ssd")
    driver = driver_with(everywhere(spec), nodes=2)
    assert driver.run() == 0

    def label(*labels: str) -> None:
        changed = copy(driver.store.get(Node, "n1") or Node())
        changed.spec.annotations.labels.clear()
        changed.spec.annotations.labels.update(dict.fromkeys(labels, ""))
        assert driver.write(update(changed))
        driver.run()

    label("ssd")
    assert live(driver) == ["n1"]
    label()
    assert live(driver) == []
    label("ssd")
    assert live(driver) == ["n1"]


def test_a_task_that_fails_is_followed_on_its_node_after_the_delay() -> None:
    driver = driver_with(everywhere(task_spec(delay=4)), nodes=2)
    driver.run()
    start(driver)
    first = driver.tasks()[0]
    driver.report(first.id, states.FAILED)
    driver.run()
    fresh = driver.tasks()[-1]
    assert (fresh.node_id, fresh.desired_state) == (first.node_id, states.READY)
    driver.run(seconds=4)
    assert driver.task(fresh.id).desired_state == RUNNING


def test_attempts_are_counted_for_each_node() -> None:
    driver = driver_with(everywhere(task_spec(delay=0, max_attempts=1)), nodes=2)
    driver.run()
    for _ in range(3):
        start(driver)
        for found in driver.tasks():
            if found.node_id == "n1" and states.is_live(found):
                driver.report(found.id, states.FAILED)
        driver.run()
    assert [found.status.state for found in driver.tasks() if found.node_id == "n1"] == [
        states.FAILED,
        states.FAILED,
    ]
    assert live(driver) == ["n2"]
    driver.change_node("n1", availability=DRAIN)
    driver.run()
    driver.change_node("n1", availability=ACTIVE)
    assert driver.run() == 0, "what ended for good does not begin again"


def test_a_failure_that_nobody_had_answered_when_its_node_was_drained_is_no_end_for_good() -> None:
    driver = running_on(1)
    driver.report(driver.tasks()[0].id, states.FAILED)
    driver.change_node("n1", availability=DRAIN)
    driver.run()
    assert live(driver) == []
    driver.change_node("n1", availability=ACTIVE)
    driver.run()
    assert live(driver) == ["n1"]


def test_what_is_to_run_once_does_not_run_again_after_a_drain() -> None:
    driver = driver_with(everywhere(task_spec(condition=NONE)), nodes=1)
    driver.run()
    start(driver)
    driver.change_node("n1", availability=DRAIN)
    driver.run()
    driver.change_node("n1", availability=ACTIVE)
    assert driver.run() == 0


def test_an_update_goes_from_node_to_node() -> None:
    driver = running_on(3, update_config(1, monitor=1))
    driver.change_service(spec=task_spec("app:2", delay=0))
    seen = []
    for _ in range(3):
        driver.run()
        seen.append([t.node_id for t in driver.tasks() if is_fresh(driver, t)][-1])
        start(driver)
    driver.run(seconds=1)
    assert seen == ["n1", "n2", "n3"]
    assert driver.service().update_status.state == COMPLETED
    assert live(driver) == ["n1", "n2", "n3"]
    assert {t.spec_version for t in driver.tasks() if states.is_live(t)} == {2}


def test_an_update_may_start_first_on_each_node() -> None:
    driver = running_on(1, update_config(1, start_first=True))
    driver.change_service(spec=task_spec("app:2", delay=0))
    driver.run()
    old, fresh = driver.tasks()
    assert (old.desired_state, fresh.desired_state) == (RUNNING, RUNNING)
    driver.report(fresh.id, RUNNING)
    driver.run()
    assert driver.task(old.id).desired_state == SHUTDOWN


def test_a_failed_update_pauses_and_the_other_nodes_are_left_alone() -> None:
    driver = running_on(3, update_config(1, delay=10))
    driver.change_service(spec=task_spec("broken:2", delay=0))
    driver.run()
    start(driver, "n1")
    (trial,) = (t for t in driver.tasks() if is_fresh(driver, t))
    driver.report(trial.id, states.FAILED)
    driver.run()
    assert driver.service().update_status.state == PAUSED
    old = [t.node_id for t in driver.tasks() if states.is_live(t) and t.spec_version == 1]
    assert old == ["n2", "n3"]


def test_a_node_out_of_touch_does_not_end_an_update_too_early() -> None:
    driver = running_on(2, update_config(1, monitor=0))
    for name in ("n1", "n2"):
        driver.change_node(name, state=UNKNOWN)
    driver.change_service(spec=task_spec("app:2", delay=0))
    driver.run()
    assert driver.service().update_status.state != COMPLETED
    assert live(driver) == ["n1", "n2"]


def test_an_ended_service_leaves_nothing_and_wakes_nobody() -> None:
    driver = running_on(2)
    driver.write(delete(driver.service()))
    driver.run()
    assert {found.desired_state for found in driver.tasks()} == {REMOVE}
    described = copy(driver.store.get(Node, "n1") or Node())
    described.description.hostname = "other"
    assert not driver.write(update(described))


def is_fresh(driver: LoopDriver, found: objects_pb2.Task) -> bool:
    return states.is_live(found) and found.spec_version == driver.service().spec_version


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "state", "availability", "agent", "fail", "update"]),
        st.integers(0, 3),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(ACTS)
def test_whatever_happens_in_whatever_order_each_fit_node_has_one_live_task(
    acts: list[tuple[str, int, int, bool]],
) -> None:
    driver = driver_with(everywhere(config=update_config(2, monitor=0)), nodes=2)
    for what, where, choice, decides in acts:
        act(driver, what, f"n{where + 1}", choice)
        if decides:
            driver.run(seconds=choice)
            check(driver)
    driver.run(seconds=400)
    check(driver)
    for found in list(driver.store.all(Node)):
        driver.change_node(found.id, state=READY, availability=ACTIVE)
    driver.change_service(spec=task_spec("app:final", delay=0))
    for _ in range(12):
        driver.run(seconds=70)
        start(driver)
    check(driver)
    assert live(driver) == sorted(found.id for found in driver.store.all(Node))
    assert all(t.spec == driver.service().spec.task for t in driver.tasks() if states.is_live(t))


def act(driver: LoopDriver, what: str, name: str, choice: int) -> None:
    """One thing that people do to the service or a node, or that happens on a node."""
    known = driver.store.get(Node, name) is not None
    mine = [t for t in driver.tasks() if t.node_id == name and not states.is_terminal(t)]
    if what == "update":
        driver.change_service(spec=task_spec(f"app:{choice}", delay=0))
    elif not known and what == "join":
        driver.write(create(node(name, state=[READY, UNKNOWN, DOWN, READY][choice])))
    elif mine and what in ("agent", "fail"):
        each = mine[choice % len(mine)]
        ended = SHUTDOWN if what == "agent" else states.FAILED
        driver.report(each.id, RUNNING if what == "agent" and states.is_wanted(each) else ended)
    elif known and what == "leave":
        driver.remove_node(name)
    elif known and what == "state":
        driver.change_node(name, state=[READY, READY, UNKNOWN, DOWN][choice])
    elif known and what == "availability":
        driver.change_node(name, availability=[ACTIVE, ACTIVE, PAUSE, DRAIN][choice])


def check(driver: LoopDriver) -> None:
    """One live task on each fit node, none where there may be none, one at most anywhere else."""
    on_node = live(driver)
    assert len(on_node) == len(set(on_node)), f"two tasks on one node: {on_node}"
    for found in driver.store.all(Node):
        ready = found.status.state == types_pb2.NODE_STATE_READY
        if found.status.state == DOWN or found.spec.availability == DRAIN:
            assert found.id not in on_node, f"{found.id} may not have one"
        elif ready and found.spec.availability == ACTIVE:
            assert found.id in on_node, f"{found.id} lacks its task"
    gone = set(on_node) - {found.id for found in driver.store.all(Node)}
    assert not gone, f"tasks outlive their nodes {gone}"
