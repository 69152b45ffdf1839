"""What people are told of a whole service."""

from typing import Any

from api import states
from api.times import timestamp
from api.v1 import explain_pb2, objects_pb2
from manager.control.explain_service import explain_service
from manager.orchestrator.services import ServicesLoop
from manager.state.changes import StoredObject, create
from tests.support.builders import (
    DOWN,
    DRAIN,
    EPOCH,
    PAUSE,
    node,
    service,
    task,
    task_spec,
    update_config,
)
from tests.support.loop_driver import LoopDriver
from tests.support.pieces import result_of
from tests.support.sealed_store import SealedStore

Update = objects_pb2.UpdateStatus


def explained(*objects: StoredObject, now: float = EPOCH) -> explain_pb2.ServiceExplanation:
    store = SealedStore()
    store.must(*map(create, objects), now=EPOCH)
    found = next(store.all(objects_pb2.Service))
    return result_of(explain_service(store, found, now))


def groups(found: explain_pb2.ServiceExplanation) -> list[tuple[int, str, bool, list[str]]]:
    return [(g.tasks, g.text, g.is_well, list(g.examples)) for g in found.groups]


def running(count: int, start: int = 1) -> list[objects_pb2.Task]:
    return [task(f"r{n}", slot=n, node_id="n1") for n in range(start, start + count)]


def test_a_service_whose_tasks_all_run_says_so_in_a_line() -> None:
    found = explained(node("n1"), service(replicas=3), *running(3))
    assert found.answer == "web: all 3 tasks run"
    assert groups(found) == [(3, "run", True, ["web.1", "web.2", "web.3"])]
    assert not found.rollout


def test_ten_thousand_tasks_have_a_short_answer() -> None:
    why = "no suitable node (1 node is not ready)"
    stuck = [task(f"s{n}", slot=n, state=states.PENDING, error=why) for n in range(9991, 10001)]
    found = explained(node("n1"), service(replicas=10_000), *running(9990), *stuck)
    assert found.answer == f"web: 9,990 of 10,000 tasks run; 10 wait: {why}"
    assert groups(found) == [
        (10, f"wait: {why}", False, ["web.9991", "web.9992", "web.9993"]),
        (9990, "run", True, ["web.1", "web.2", "web.3"]),
    ]
    assert found.groups[0].example_id == "s9991"
    assert found.ByteSize() < 1000


def test_what_is_on_the_way_and_what_ended_is_told_apart() -> None:
    found = explained(
        node("n1"),
        node("n2", availability=DRAIN),
        service(replicas=7),
        task("a", slot=1, node_id="n1", state=states.PREPARING, error="no such image"),
        task(
            "b", slot=2, node_id="n1", state=states.FAILED, desired=states.SHUTDOWN, error="exit 1"
        ),
        task(
            "c",
            slot=2,
            node_id="n1",
            state=states.READY,
            desired=states.READY,
            start_after=EPOCH + 9,
        ),
        task(
            "d", slot=3, node_id="n1", state=states.FAILED, desired=states.SHUTDOWN, error="exit 2"
        ),
        task("e", slot=4, node_id="n2"),
        task("f", slot=5, state=states.NEW),
        task("g", slot=6, node_id="n1", state=states.READY, desired=states.READY),
    )
    assert {(count, text) for count, text, *_ in groups(found)} == {
        (1, "are placed, and preparing: no such image"),
        (1, "start again after they failed: exit 1; the next in 9 s"),
        (1, "ended for good (failed): exit 2"),
        (1, "run on nodes that they have to leave"),
        (1, "wait until what they need is set aside"),
        (1, "start once the task before them has stopped"),
    }
    assert not any(is_well for *_, is_well, _ in groups(found))
    assert found.answer.startswith("web: 0 of 7 tasks run; ")
    assert found.answer.endswith("; 3 are told of below; 1 are yet to be made")


def test_thousands_of_different_errors_are_not_all_told() -> None:
    stuck = [
        task(f"s{n}", slot=n, node_id="n1", state=states.PREPARING, error=f"no image {n}")
        for n in range(1, 1001)
    ]
    found = explained(node("n1"), service(replicas=1001), *stuck, *running(1, start=1001))
    assert len(found.groups) == 22
    assert groups(found)[-2:] == [
        (980, "have 980 other reasons", False, ["web.21"]),
        (1, "run", True, ["web.1001"]),
    ]
    assert "; 997 are told of below" in found.answer


def test_reasons_that_differ_in_numbers_alone_are_one() -> None:
    why = "no suitable node (insufficient CPU on 1 node: 2 needed, {} free)"
    stuck = [
        task(f"s{n}", slot=n, state=states.PENDING, error=why.format(n / 10)) for n in range(1, 9)
    ]
    other = task("o", slot=9, state=states.PENDING, error="no suitable node (1 node is not ready)")
    found = explained(node("n1"), service(replicas=9), *stuck, other)
    assert [(count, text) for count, text, *_ in groups(found)] == [
        (8, f"wait: {why.format(0.1)}"),
        (1, "wait: no suitable node (1 node is not ready)"),
    ]


def test_a_service_without_tasks_wants_none() -> None:
    assert explained(service(replicas=0)).answer == "web: no tasks are wanted"
    assert explained(service(mode="global")).answer == "web: no node takes part"


def updating(state: Update.State.ValueType = Update.STATE_UPDATING) -> objects_pb2.Service:
    made = service(
        replicas=3, version=2, spec=task_spec("app:2"), update=update_config(2, monitor=10)
    )
    made.update_status.state = state
    made.update_status.message = "update in progress"
    made.update_status.started_at.CopyFrom(timestamp(EPOCH))
    return made


def new(task_id: str, slot: int, **given: Any) -> objects_pb2.Task:
    return task(
        task_id,
        slot=slot,
        node_id="n1",
        version=2,
        spec=task_spec("app:2"),
        start_after=EPOCH,
        **given,
    )


def test_a_rollout_names_the_task_that_it_waits_for() -> None:
    starting = new("b", 2, state=states.STARTING, error="not healthy yet")
    found = explained(node("n1"), updating(), *running(1), starting, new("c", 3), now=EPOCH + 60)
    assert found.rollout == (
        "update in progress: 1 of 3 tasks are of the new spec. It waits for "
        "web.2 (starting: not healthy yet; counts as failed in 240 s)"
    )


def test_a_rollout_may_wait_for_trials_to_end() -> None:
    found = explained(node("n1"), updating(), new("a", 1), new("b", 2), new("c", 3), now=EPOCH + 3)
    assert found.rollout == (
        "update in progress: 3 of 3 tasks are of the new spec. It waits for 3 tasks on trial"
    )


def test_a_paused_rollout_tells_why_and_how_to_go_on() -> None:
    halted = updating(Update.STATE_PAUSED)
    halted.update_status.message = "update paused due to failure or early termination of task b"
    failed = new("b", 2, state=states.FAILED, desired=states.SHUTDOWN)
    found = explained(node("n1"), halted, *running(1), failed)
    assert found.rollout == (
        "update paused due to failure or early termination of task b: 0 of 2 tasks are of the new "
        "spec, 1 failed. To go on: swarmctl service update web; back: swarmctl service rollback web"
    )


def test_a_rollout_may_wait_for_the_delay_between_its_steps() -> None:
    subject = updating()
    subject.spec.update.delay.seconds = 30
    found = explained(node("n1"), subject, new("a", 1), *running(2, start=2), now=EPOCH + 10)
    assert found.rollout.endswith("It waits for web.1 (runs; 20 s of the delay are left)")


def test_of_many_tasks_that_are_waited_for_a_few_are_named() -> None:
    starting = [new(f"s{n}", n, state=states.PREPARING) for n in range(1, 6)]
    found = explained(node("n1"), updating(), *starting)
    assert found.rollout.count("counts as failed") == 3
    assert found.rollout.endswith(", 2 more")


def test_a_paused_rollback_goes_on_by_another() -> None:
    halted = updating(Update.STATE_ROLLBACK_PAUSED)
    halted.update_status.message = "rollback paused"
    found = explained(node("n1"), halted, *running(3))
    assert found.rollout == (
        "rollback paused: 0 of 3 tasks are of the new spec. To go on: swarmctl service rollback web"
    )


def test_tasks_that_stop_and_ends_that_await_an_answer() -> None:
    found = explained(
        node("n1"),
        service(replicas=2),
        task("a", slot=1, node_id="n1", desired=states.SHUTDOWN),
        task("b", slot=2, node_id="n1", state=states.FAILED, error="exit 1"),
    )
    assert {text for _, text, *_ in groups(found)} == {
        "are stopping",
        "ended, and are about to be replaced: exit 1",
    }


def labelled(name: str, rack: str) -> objects_pb2.Node:
    made = node(name)
    if rack:
        made.spec.annotations.labels["rack"] = rack
    return made


def shares(division: explain_pb2.NodeDivision) -> tuple[str, list[tuple[str, int, int]]]:
    return division.text, [(each.value, each.nodes, each.tasks) for each in division.shares]


def test_constraints_and_preferences_divide_the_nodes() -> None:
    spec = task_spec()
    spec.placement.constraints.extend(("node.labels.rack!=c", "node.hostname!=n4"))
    spec.placement.spread.append("node.labels.rack")
    nodes = [labelled(f"n{n}", rack) for n, rack in enumerate(("", "a", "a", "b", "c"))]
    found = explained(*nodes, service(replicas=1, spec=spec), *running(1))
    assert [shares(each) for each in found.constraints] == [
        ("node.labels.rack!=c", [("met", 4, 1), ("not met", 1, 0)]),
        ("node.hostname!=n4", [("met", 4, 1), ("not met", 1, 0)]),
        ("all of them", [("met", 4, 1), ("not met", 1, 0)]),
    ]
    assert [shares(each) for each in found.preferences] == [
        ("spread=node.labels.rack", [("a", 2, 1), ("", 1, 0), ("b", 1, 0)])
    ]


def test_a_label_with_many_values_is_cut_short() -> None:
    spec = task_spec()
    spec.placement.spread.append("node.labels.rack")
    found = explained(*(labelled(f"n{n}", f"r{n}") for n in range(50)), service(spec=spec))
    (division,) = found.preferences
    assert (len(division.shares), division.more_shares) == (20, 30)


def test_a_global_service_tells_which_nodes_are_left_out() -> None:
    spec = task_spec()
    spec.placement.constraints.append("node.labels.rack==a")
    nodes = [
        labelled("n1", "a"),
        labelled("n2", "b"),
        labelled("n3", "b"),
        node("n4", state=DOWN),
        node("n5", availability=DRAIN),
        node("n6", availability=PAUSE),
    ]
    for each in nodes[3:]:
        each.spec.annotations.labels["rack"] = "a"
    subject = service(mode="global", spec=spec)
    found = explained(*nodes, subject, task("a", slot=0, node_id="n1"))
    assert found.answer == "web: its task runs"
    assert {(out.why, out.nodes, tuple(out.examples)) for out in found.left_out} == {
        ("does not meet node.labels.rack==a", 2, ("n2", "n3")),
        ("its state is down", 1, ("n4",)),
        ("its availability is drain", 1, ("n5",)),
        ("its availability is pause", 1, ("n6",)),
    }


def test_a_job_tells_what_is_left() -> None:
    done = [
        task(f"d{n}", slot=n, state=states.COMPLETE, desired=states.COMPLETE, node_id="n1")
        for n in (1, 2)
    ]
    runs = task("r", slot=3, desired=states.COMPLETE, node_id="n1")
    gave_up = task("f", slot=4, state=states.FAILED, desired=states.SHUTDOWN, error="exit 1")
    subject = service(replicas=6, mode="replicated_job")
    found = explained(node("n1"), subject, *done, runs, gave_up)
    assert found.answer == (
        "web: 2 of 6 completed; 4 left; 1 run; 1 ended for good (failed): exit 1"
    )


def test_it_agrees_with_the_orchestrator_on_what_is_yet_to_be_made() -> None:
    driver = LoopDriver(ServicesLoop(iter(map(str, range(99))).__next__), service(replicas=4))
    before = result_of(explain_service(driver.store, driver.service(), EPOCH))
    driver.run()
    after = result_of(explain_service(driver.store, driver.service(), EPOCH))
    assert before.answer == "web: 0 of 4 tasks run; 4 are yet to be made"
    assert after.answer == "web: 0 of 4 tasks run; 4 wait until what they need is set aside"
