"""What a service says of its placement, all the way from pending tasks to nodes."""

from collections import Counter
from collections.abc import Iterable

from api import states
from api.v1 import objects_pb2, specs_pb2
from manager.scheduler.decide import SchedulerLoop
from manager.scheduler.reasons import STANDS
from manager.state.changes import copy, create, update
from manager.state.swarm_clock import FURTHEST
from tests.support.builders import GIB, node, task, task_spec
from tests.support.loop_driver import LoopDriver


def host(name: str, *, gpus: Iterable[str] = (), **labels: str) -> objects_pb2.Node:
    made = node(name)
    made.spec.annotations.labels.update(labels)
    if gpus:
        made.description.resources.generic.add(kind="gpu", ids=gpus)
    return made


def spec(*constraints: str, most: int = 0, spread: Iterable[str] = ()) -> specs_pb2.TaskSpec:
    made = task_spec()
    made.placement.constraints.extend(constraints)
    made.placement.spread.extend(spread)
    made.placement.max_replicas_per_node = most
    return made


def pending(task_id: str, asked: specs_pb2.TaskSpec, slot: int = 1) -> objects_pb2.Task:
    return task(task_id, slot=slot, state=states.PENDING, spec=asked)


def many(count: int, asked: specs_pb2.TaskSpec) -> list[objects_pb2.Task]:
    return [pending(f"t{n}", asked, n + 1) for n in range(count)]


def counts(driver: LoopDriver) -> Counter[str]:
    return Counter(each.node_id for each in driver.tasks())


def relabel(driver: LoopDriver, name: str, **labels: str) -> None:
    found = driver.store.get(objects_pb2.Node, name)
    assert found is not None
    changed = copy(found)
    changed.spec.annotations.labels.clear()
    changed.spec.annotations.labels.update(labels)
    driver.write(update(changed))


def test_a_constraint_is_met_as_soon_as_a_node_has_the_label() -> None:
    waiting = pending("a", spec("node.labels.rack==a"))
    driver = LoopDriver(SchedulerLoop(), host("n1"), host("n2", rack="b"), waiting)
    driver.run()
    assert driver.task("a").status.error == (
        "no suitable node (scheduling constraints not satisfied on 2 nodes: node.labels.rack==a)"
    )
    relabel(driver, "n2", rack="a")
    driver.run()
    assert driver.task("a").node_id == "n2"


def test_replicas_spread_over_racks_whatever_the_racks_sizes() -> None:
    nodes = [host("a1", rack="a"), *(host(f"b{n}", rack="b") for n in range(4)), host("c")]
    preferring = spec(spread=["node.labels.rack"])
    driver = LoopDriver(SchedulerLoop(), *nodes, *many(12, preferring))
    driver.run()
    racks = Counter(name[0] for name in counts(driver).elements())
    assert racks == {"a": 4, "b": 4, "c": 4}
    assert [counts(driver)[f"b{n}"] for n in range(4)] == [1, 1, 1, 1]


def test_the_limit_per_node_leaves_some_pending_until_a_node_joins() -> None:
    driver = LoopDriver(SchedulerLoop(), host("n1"), host("n2"), *many(5, spec(most=2)))
    driver.run()
    assert counts(driver) == {"n1": 2, "n2": 2, "": 1}
    (left,) = [each for each in driver.tasks() if not each.node_id]
    assert left.status.error == "no suitable node (max replicas per node (2) reached on 2 nodes)"
    driver.write(create(host("n3")))
    driver.run()
    assert counts(driver) == {"n1": 2, "n2": 2, "n3": 1}


def test_limits_of_two_services_do_not_mix() -> None:
    others = [task(f"d{n}", "db", n + 1, state=states.PENDING, spec=spec(most=1)) for n in range(2)]
    driver = LoopDriver(SchedulerLoop(), host("n1"), *many(2, spec(most=1)), *others)
    driver.run()
    placed = [each.service_id for each in driver.tasks() if each.node_id]
    assert sorted(placed) == ["db", "web"]


def test_a_successor_that_starts_first_is_not_kept_away_by_its_predecessor() -> None:
    limited = spec(most=1)
    present = [task(f"old{n}", slot=n, node_id=f"n{n}", spec=limited) for n in (1, 2)]
    driver = LoopDriver(SchedulerLoop(), host("n1"), host("n2"), *present)
    driver.write(create(pending("new", limited, slot=2)), create(pending("third", limited, slot=3)))
    driver.run()
    assert driver.task("new").node_id == "n2"
    assert driver.task("third").node_id == ""


def test_a_successor_waits_for_room_beside_its_predecessor() -> None:
    limited = spec(most=1)
    limited.resources.reservations.memory_bytes = 6 * GIB
    driver = LoopDriver(SchedulerLoop(), host("n1"), task("old", node_id="n1", spec=limited))
    driver.write(create(pending("new", limited)))
    driver.run()
    assert "insufficient memory" in driver.task("new").status.error
    grown = node("n1", memory=16 * GIB)
    found = driver.store.get(objects_pb2.Node, "n1")
    assert found is not None
    grown.meta.CopyFrom(found.meta)
    driver.write(update(grown))
    driver.run()
    assert driver.task("new").node_id == "n1"


def test_named_resources_are_handed_out_once_and_come_back() -> None:
    asked = task_spec()
    asked.resources.reservations.generic.add(kind="gpu", count=2)
    nodes = [host("n1", gpus=["u1", "u2", "u3"]), host("n2")]
    driver = LoopDriver(SchedulerLoop(), *nodes, *many(2, asked))
    driver.run()
    first, second = driver.task("t0"), driver.task("t1")
    assert [list(each.ids) for each in first.assigned_generic] == [["u1", "u2"]]
    assert second.status.error == (
        "no suitable node (insufficient gpu on 2 nodes: 2 needed, at most 1 free)"
    )
    driver.report("t0", states.COMPLETE)
    driver.run()
    assert driver.task("t1").node_id == "n1"
    assert [list(each.ids) for each in driver.task("t1").assigned_generic] == [["u1", "u2"]]


def test_a_host_port_is_held_by_one_task_of_a_node() -> None:
    tasks = many(3, task_spec())
    for each in tasks:
        each.host_ports.add(published_port=8080, target_port=80)
    driver = LoopDriver(SchedulerLoop(), host("n1"), host("n2"), *tasks)
    driver.run()
    assert counts(driver) == {"n1": 1, "n2": 1, "": 1}
    (left,) = [each for each in driver.tasks() if not each.node_id]
    assert left.status.error == "no suitable node (host port 8080/tcp in use on 2 nodes)"


def test_numbers_alone_are_not_written_all_the_time() -> None:
    big = pending("a", task_spec(memory=99 * GIB))
    driver = LoopDriver(SchedulerLoop(), host("n1"), big, task("x", "db", node_id="n1"))
    driver.run()
    before = driver.task("a").status.error
    assert before.endswith("99GiB needed, 8GiB free)")
    driver.write(create(task("b", "db", 2, state=states.PENDING, spec=task_spec(memory=GIB))))
    driver.run()
    assert driver.task("a").status.error == before
    assert driver.wake_at == driver.now + STANDS
    driver.run(seconds=STANDS)
    assert driver.task("a").status.error.endswith("99GiB needed, 7GiB free)")
    assert driver.wake_at is None


def test_a_reason_that_a_wholly_wrong_clock_stamped_is_old() -> None:
    big = pending("a", task_spec(memory=99 * GIB))
    driver = LoopDriver(SchedulerLoop(), host("n1"), big, task("x", "db", node_id="n1"))
    driver.now += 2 * FURTHEST
    driver.run()
    driver.now -= 2 * FURTHEST
    driver.write(create(task("b", "db", 2, state=states.PENDING, spec=task_spec(memory=GIB))))
    driver.run()
    assert driver.task("a").status.error.endswith("99GiB needed, 7GiB free)")


def test_a_large_cluster_is_taken_in_by_steps_and_placed_as_in_one() -> None:
    nodes = [host(f"n{n:04}", rack=str(n % 7)) for n in range(2000)]
    driver = LoopDriver(SchedulerLoop(), *nodes, *many(70, spec(spread=["node.labels.rack"])))
    driver.loop = SchedulerLoop()
    driver.loop.reset(driver.store)
    decisions = [driver.decide()]
    while decisions[-1].more:
        decisions.append(driver.decide())
    assert len(decisions) > 3
    placed = [change.object for each in decisions for b in each.batches for change in b.changes]
    racks = Counter(int(t.node_id[1:]) % 7 for t in placed if isinstance(t, objects_pb2.Task))
    assert racks == dict.fromkeys(range(7), 10)


def test_what_is_seen_before_everything_was_read_is_not_undone() -> None:
    driver = LoopDriver(
        SchedulerLoop(), host("n1"), *(task(f"x{n}", "db", n + 1, node_id="n1") for n in range(999))
    )
    driver.loop = SchedulerLoop()
    driver.loop.reset(driver.store)
    assert driver.decide().more
    driver.report("x998", states.COMPLETE)
    driver.write(create(pending("a", spec("node.id==n1"))))
    driver.run()
    assert driver.task("a").node_id == "n1"
