"""What people are told of one task."""

from typing import Any

import pytest

from api import states
from api.errors import SwarmError
from api.v1 import explain_pb2, objects_pb2, specs_pb2
from manager.control.explain_task import MAX_NODES, NODES, explain_task, the_task
from manager.scheduler.decide import SchedulerLoop
from manager.scheduler.recorder import EACH
from manager.state.changes import StoredObject, create
from tests.support.builders import DOWN, EPOCH, node, service, task, task_spec
from tests.support.loop_driver import LoopDriver
from tests.support.pieces import result_of
from tests.support.sealed_store import SealedStore


def explained(
    *objects: StoredObject, task_id: str = "t", nodes: int = 0, now: float = EPOCH
) -> explain_pb2.TaskExplanation:
    store = SealedStore()
    store.must(*map(create, objects), now=EPOCH)
    return of(store, task_id, nodes, now)


def of(
    store: SealedStore, task_id: str, nodes: int = 0, now: float = EPOCH
) -> explain_pb2.TaskExplanation:
    found = store.get(objects_pb2.Task, task_id)
    assert found is not None
    return result_of(explain_task(store, found, nodes, now))


def zoned(zone: str) -> specs_pb2.TaskSpec:
    spec = task_spec()
    spec.placement.constraints.append(f"node.labels.zone=={zone}")
    return spec


def waiting(spec: specs_pb2.TaskSpec | None = None) -> objects_pb2.Task:
    return task("t", state=states.PENDING, spec=spec)


def test_a_task_that_waits_hears_why_and_what_would_help() -> None:
    found = explained(node("n1"), node("n2", state=DOWN), waiting(zoned("a")))
    assert found.answer == (
        "web.1 waits: no suitable node (1 node is not ready; "
        "scheduling constraints not satisfied on 1 node: node.labels.zone==a)"
    )
    assert [(n.node_id, n.hostname, n.fits, n.obstacles) for n in found.nodes] == [
        ("n1", "n1", False, 1),
        ("n2", "n2", False, 2),
    ]
    assert [(v.filter, v.passes, v.text) for v in found.nodes[0].verdicts] == [
        ("ready", True, "ready"),
        ("availability", True, "active"),
        ("constraint", False, "not met: node.labels.zone==a"),
    ]
    first = found.proposals[0]
    assert (first.node_id, [step.text for step in first.steps]) == (
        "n1",
        ["give n1 the label zone=a"],
    )
    assert list(first.steps[0].command) == ["node", "update", "--label-add", "zone=a", "n1"]


def test_what_is_about_the_service_names_the_service() -> None:
    found = explained(node("n1", cpus=1), waiting(task_spec(cpus=2)))
    (step,) = found.proposals[0].steps
    assert list(step.command) == ["service", "update", "--reserve-cpu", "1", "web"]


@pytest.mark.parametrize(("asked", "shown"), [(0, NODES), (3, 3), (2 * MAX_NODES, 30)])
def test_of_many_nodes_the_nearest_are_told(asked: int, shown: int) -> None:
    far = [node(f"n{n:02}", cpus=1) for n in range(29)]
    found = explained(*far, node("zz", cpus=7), waiting(task_spec(cpus=8)), nodes=asked)
    assert len(found.nodes) == shown
    assert found.more_nodes == 30 - shown
    assert found.nodes[0].node_id == "zz"


def test_a_task_for_which_there_is_a_node_is_about_to_be_placed() -> None:
    found = explained(node("n1"), waiting())
    assert found.answer == "web.1 waits, and n1 can take it: it is about to be placed"
    assert found.nodes[0].fits
    assert not found.proposals


@pytest.mark.parametrize(
    ("node_id", "why"),
    [("", "the swarm has no nodes"), ("n9", "its node n9 is not there any more")],
)
def test_without_nodes_there_is_not_much_to_say(node_id: str, why: str) -> None:
    found = explained(task("t", slot=0 if node_id else 1, state=states.PENDING, node_id=node_id))
    assert found.answer.endswith(f" waits: {why}")


def placed(*objects: StoredObject, task_id: str = "t") -> explain_pb2.TaskExplanation:
    driver = LoopDriver(SchedulerLoop(), *objects)
    driver.run()
    return of(driver.store, task_id)


def test_a_placed_task_tells_what_decided() -> None:
    other = task("o", "db", node_id="n1")
    found = placed(node("n1"), node("n2"), node("n3", state=DOWN), other, waiting())
    assert found.answer == (
        "web.1 is placed on n2 and assigned; 2 of 3 nodes could take it, and it had the fewest "
        "tasks (0, the next 1)"
    )
    assert dict(found.hostnames) == {"n1": "n1", "n2": "n2"}


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (
            [task("o", node_id="n1", slot=7)],
            "it had the fewest tasks of the service (0, the next 1)",
        ),
        ([], "the best were even: the smallest id decided"),
        (
            [task(f"f{n}", state=states.FAILED, node_id="n1", slot=n + 9) for n in range(5)],
            "tasks like it did not keep failing there",
        ),
    ],
)
def test_what_decided(there: list[objects_pb2.Task], why: str) -> None:
    assert placed(node("n1"), node("n2"), *there, waiting()).answer.endswith(why)


def test_a_preference_may_have_decided() -> None:
    hosts = [node("n1"), node("n2")]
    for host, rack in zip(hosts, "ab", strict=True):
        host.spec.annotations.labels["rack"] = rack
    spec = task_spec()
    spec.placement.spread.append("node.labels.rack")
    found = placed(*hosts, task("o", slot=2, node_id="n1"), waiting(spec))
    assert found.answer.endswith(
        "its branch of spread=node.labels.rack had the fewest tasks of the service (0, the next 1)"
    )


def test_a_task_without_a_ranking_of_its_own_tells_its_siblings() -> None:
    tasks = [task(f"t{n:03}", slot=n + 1, state=states.PENDING) for n in range(EACH + 5)]
    driver = LoopDriver(SchedulerLoop(), node("n1"), node("n2"), *tasks)
    driver.run()
    late = of(driver.store, f"t{EACH + 4:03}")
    assert late.placement.ranking.placed_before == EACH
    assert late.answer.endswith(
        "2 of 2 nodes could take it when the same decision had placed 4 fewer"
    )
    early = of(driver.store, f"t{EACH - 1:03}")
    assert early.placement.ranking.placed_before == 0


def test_the_only_node_that_would_do_is_said_to_be() -> None:
    found = placed(node("n1"), node("n2", state=DOWN), waiting())
    assert found.answer.endswith("no other node could take it (1 of 2 nodes could take it)")


def test_a_global_task_belongs_to_its_node() -> None:
    waits = task("t", slot=0, state=states.PENDING, node_id="n1")
    assert "it belongs to this node" in placed(node("n1"), waits).answer


STARTING = states.PREPARING
UNKNOWN = "; how it was placed is not on record"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"state": states.NEW}, "web.1 waits until what it needs is set aside"),
        ({"node_id": "n1"}, "web.1 runs on n1" + UNKNOWN),
        (
            {"node_id": "n1", "state": states.FAILED, "error": "exit 3"},
            "web.1 has ended on n1, failed: exit 3" + UNKNOWN,
        ),
        (
            {"node_id": "n1", "desired": states.SHUTDOWN},
            "web.1 is to stop on n1, and is running still" + UNKNOWN,
        ),
        (
            {"node_id": "n1", "state": STARTING, "error": "no such image"},
            "web.1 is placed on n1 and preparing: no such image" + UNKNOWN,
        ),
        (
            {"node_id": "n2", "state": states.ASSIGNED},
            "web.1 is placed on n2 and assigned; the node is down" + UNKNOWN,
        ),
        (
            {
                "node_id": "n1",
                "state": states.READY,
                "desired": states.READY,
                "start_after": EPOCH + 20,
            },
            "web.1 is placed on n1 and ready: it starts in 20 s" + UNKNOWN,
        ),
        (
            {"node_id": "n1", "state": states.READY, "desired": states.READY},
            "web.1 is placed on n1 and ready: it starts once the task before it has stopped"
            + UNKNOWN,
        ),
    ],
)
def test_each_stage_has_its_words(given: dict[str, Any], words: str) -> None:
    subject = task("t", **given)
    assert explained(node("n1"), node("n2", state=DOWN), subject).answer == words


@pytest.mark.parametrize(
    ("key", "task_id"),
    [
        ("web.1", "b"),
        ("web.2", "c"),
        ("web.1.a", "a"),
        ("all.n1", "g"),
        ("all.host1", "g"),
        ("c", "c"),
    ],
)
def test_a_task_is_known_by_its_place_too(key: str, task_id: str) -> None:
    host = node("n1")
    host.description.hostname = "host1"
    store = SealedStore()
    tasks = [
        task("a", slot=1, state=states.FAILED, desired=states.SHUTDOWN),
        task("b", slot=1),
        task("c", slot=2),
        task("g", "all", slot=0, node_id="n1"),
    ]
    services = [service("web"), service("all", mode="global")]
    objects: list[StoredObject] = [host, *services, *tasks]
    store.must(*map(create, objects), now=EPOCH)
    assert the_task(store, key).id == task_id


@pytest.mark.parametrize("key", ["web.3", "nobody.1", "web.host9", "."])
def test_a_place_without_tasks_is_not_found(key: str) -> None:
    store = SealedStore()
    store.must(create(service("web")), now=EPOCH)
    with pytest.raises(SwarmError, match="there is no task"):
        the_task(store, key)
