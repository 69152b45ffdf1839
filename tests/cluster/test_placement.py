"""Where tasks run: constraints, racks, limits per node; and what moves them."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm

pytestmark = pytest.mark.cluster

QUICK = (TOOLS, "sh", "-c", OBEDIENT)


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), workers=3) as made:
        for host, rack in (("w1", "a"), ("w2", "b"), ("w3", "b")):
            made.ctl("node", "update", "--label-add", f"rack={rack}", host)
        yield made


def on(swarm: Swarm, name: str) -> Counter[str]:
    """How many containers of a service run on each host."""
    return Counter(each.host for each in swarm.on(name))


def test_a_constraint_keeps_tasks_on_the_hosts_that_meet_it(swarm: Swarm) -> None:
    swarm.create("web", "--constraint", "node.labels.rack==b", *QUICK, replicas=4)
    assert on(swarm, "web") == {"w2": 2, "w3": 2}
    either = "node.role==manager|node.labels.rack==a"
    swarm.create("edge", "--constraint", either, *QUICK, replicas=4)
    assert on(swarm, "edge") == {"m1": 2, "w1": 2}


def test_a_malformed_constraint_is_refused_with_its_place(swarm: Swarm) -> None:
    words = ("--constraint", "node.role==worker", "--constraint", "rack=a")
    refused = swarm.ctl("service", "create", "--name", "web", *words, *QUICK, code=1)
    assert "task.placement.constraints[1]" in refused.err
    assert "'rack=a' is no constraint" in refused.err
    assert not swarm.ctl("service", "ls", "-q").lines


def test_replicas_are_evened_out_over_racks(swarm: Swarm) -> None:
    words = ("--constraint", "node.role==worker", "--placement-pref", "spread=node.labels.rack")
    swarm.create("web", *words, *QUICK, replicas=4)
    assert on(swarm, "web") == {"w1": 2, "w2": 1, "w3": 1}


def test_a_limit_per_node_leaves_tasks_pending_until_there_is_another_node(swarm: Swarm) -> None:
    words = ("--constraint", "node.labels.pool==web", "--replicas-max-per-node", "1")
    swarm.ctl("node", "update", "--label-add", "pool=web", "w1")
    swarm.ctl("service", "create", "--detach", "--name", "web", "--replicas", "2", *words, *QUICK)
    reason = (
        "no suitable node (scheduling constraints not satisfied on 3 nodes: "
        "node.labels.pool==web; max replicas per node (1) reached on 1 node)"
    )
    swarm.until(
        lambda: reason in [each.error for each in swarm.tasks("web")], "one says why it waits"
    )
    swarm.ctl("node", "update", "--label-add", "pool=web", "w2")
    swarm.until_runs("web", 2)
    assert on(swarm, "web") == {"w1": 1, "w2": 1}
    # Every node has what it may have: an update that starts first must get on all the same.
    update = ("--update-order", "start-first", "--update-monitor", "0s", "--env-add", "A=1")
    swarm.ctl("service", "update", *update, "--wait-timeout", "60s", "web")
    swarm.until(lambda: on(swarm, "web") == {"w1": 1, "w2": 1}, "the former tasks are gone")
    for host in ("w1", "w2"):
        swarm.ctl("node", "update", "--label-rm", "pool", host)


def test_a_task_leaves_a_node_that_loses_the_label(swarm: Swarm) -> None:
    swarm.ctl("node", "update", "--label-add", "disk=ssd", "w1")
    swarm.create("db", "--constraint", "node.labels.disk==ssd", *QUICK)
    swarm.create("other", "--constraint", "node.hostname==w1", *QUICK)
    assert on(swarm, "db") == {"w1": 1}
    swarm.ctl("node", "update", "--label-add", "disk=ssd", "w2")
    swarm.ctl("node", "update", "--label-rm", "disk", "w1")
    swarm.until(lambda: on(swarm, "db") == {"w2": 1}, "the task has moved to w2")
    (moved,) = swarm.until_runs("db", 1)
    former = [each for each in swarm.tasks("db") if each.id != moved.id]
    assert [(each.node, each.state, each.error) for each in former] == [
        ("w1", "Rejected", "assigned node no longer meets constraint node.labels.disk==ssd")
    ]
    assert on(swarm, "other") == {"w1": 1}
    swarm.ctl("node", "update", "--label-rm", "disk", "w2")
