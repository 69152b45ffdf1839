"""The whole control plane under random faults: invariants hold throughout, and it converges."""

from collections import Counter
from random import Random

import pytest

from api import states
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.rollback import (
    COMPLETED,
    PAUSED,
    ROLLBACK_COMPLETED,
    UPDATING,
    respecified,
)
from manager.state.changes import copy, create, update
from manager.state.indexes import SlotKey, slot_key
from tests.sim.addresses import leaked
from tests.sim.expected import shortfall
from tests.sim.user import User
from tests.sim.virtual_cluster import VirtualCluster
from tests.support.builders import node, service, update_config

HISTORY = 3


def live_tasks(cluster: VirtualCluster, service_id: str) -> list[objects_pb2.Task]:
    return [t for t in cluster.store.tasks_of_service(service_id) if states.is_live(t)]


def assert_converged(cluster: VirtualCluster) -> None:
    for found in cluster.store.all(objects_pb2.Service):
        assert shortfall(cluster.store, found) == ""
    known = {found.id for found in cluster.store.all(objects_pb2.Service)}
    history: Counter[tuple[str, SlotKey]] = Counter()
    for task in cluster.store.all(objects_pb2.Task):
        assert task.service_id in known, f"{task.id} outlived its service"
        assert task.desired_state != states.REMOVE, f"{task.id} was never reaped"
        history[task.service_id, slot_key(task)] += 1
    assert all(count <= HISTORY + 1 for count in history.values()), history
    assert leaked(cluster.store) == ""


@pytest.mark.parametrize("seed", range(60))
def test_faults_break_nothing_and_pass(seed: int) -> None:
    cluster = VirtualCluster(Random(seed), history_limit=HISTORY)
    user = User(cluster)
    cluster.refusal_rate = 0.15
    cluster.crash_rate = 0.02
    for _ in range(400):
        if cluster.random.random() < 0.12:
            user.act()
        cluster.pass_time(cluster.random.choice([0.0, 0.2, 1.0, 1.0, 7.0, 40.0]))
        cluster.run_loop(cluster.random.choice(cluster.loops))
        if cluster.random.random() < 0.7:
            cluster.run_loops()
        cluster.run_agents()
        if cluster.random.random() < 0.3:
            cluster.run_rests()
    user.repair()
    cluster.come_to_rest()
    assert_converged(cluster)
    cluster.store.check_seals()


@pytest.mark.parametrize("seed", range(4))
def test_a_broken_image_pauses_the_update_and_the_old_tasks_stay(seed: int) -> None:
    cluster = VirtualCluster(Random(seed))
    for number in range(3):
        cluster.write([create(node(f"n{number}"))])
        cluster.reachable.add(f"n{number}")
    cluster.write([create(service(replicas=4))])
    cluster.come_to_rest()
    found = cluster.store.get(objects_pb2.Service, "web")
    assert found is not None
    changed = copy(found)
    changed.spec.task.container.image = "broken:2"
    changed.spec_version += 1
    cluster.write([update(changed)])
    for _ in range(60):
        cluster.pass_time(1.0)
        cluster.run_loops()
        cluster.run_agents()
    found = cluster.store.get(objects_pb2.Service, "web")
    assert found is not None
    assert found.update_status.state == PAUSED
    assert "update paused due to failure" in found.update_status.message
    old = [t for t in live_tasks(cluster, "web") if t.spec_version == 1]
    assert len(old) == 3
    assert all(t.status.state == states.RUNNING for t in old)


@pytest.mark.parametrize("limit", [0, 1, 3])
@pytest.mark.parametrize(
    ("config", "state"),
    [
        (update_config(1, ratio=0.3, monitor=5), PAUSED),
        (update_config(1, ratio=0.3, monitor=5, goes_back=True), ROLLBACK_COMPLETED),
        (update_config(1, monitor=5, goes_on=True), COMPLETED),
    ],
)
def test_an_update_to_a_broken_image_ends_whatever_history_is_kept(
    config: specs_pb2.UpdateConfig, state: int, limit: int
) -> None:
    cluster = VirtualCluster(Random(1), history_limit=limit)
    for number in range(3):
        cluster.write([create(node(f"n{number}"))])
        cluster.reachable.add(f"n{number}")
    cluster.write([create(service(replicas=6, update=config))])
    cluster.come_to_rest()
    found = cluster.store.get(objects_pb2.Service, "web")
    assert found is not None
    spec = copy(found).spec
    spec.task.container.image = "broken:2"
    cluster.write([update(respecified(found, spec))])
    for _ in range(300):
        cluster.pass_time(1.0)
        for _ in range(3):
            cluster.run_loops()
        cluster.run_agents()
        cluster.run_rests()
        found = cluster.store.get(objects_pb2.Service, "web")
        assert found is not None
        if found.update_status.state == state:
            return
    raise AssertionError(found.update_status)


@pytest.mark.parametrize("seed", range(4))
def test_an_update_goes_on_after_each_change_of_leader(seed: int) -> None:
    cluster = VirtualCluster(Random(seed))
    cluster.write([create(node("n1"))])
    cluster.reachable.add("n1")
    cluster.write([create(service(replicas=5))])
    cluster.come_to_rest()
    found = cluster.store.get(objects_pb2.Service, "web")
    assert found is not None
    changed = copy(found)
    changed.spec.task.container.image = "app:2"
    changed.spec_version += 1
    cluster.write([update(changed)])
    seen = set()
    for _ in range(200):
        cluster.pass_time(0.5)
        cluster.change_leader()
        cluster.run_loops()
        cluster.run_agents()
        found = cluster.store.get(objects_pb2.Service, "web")
        assert found is not None
        seen.add(found.update_status.state)
        stopped = 5 - sum(
            t.status.state == states.RUNNING for t in cluster.store.tasks_of_service("web")
        )
        assert stopped <= 1, "more than one replica was down at a time"
    assert seen - {0} == {UPDATING, COMPLETED}
