"""Whatever the cluster went through, what is explained agrees with what the scheduler did."""

import pytest

from api import states
from api.v1 import explain_pb2, objects_pb2
from manager.control.explain_service import explain_service
from manager.control.explain_task import explain_task
from manager.scheduler.waiting import is_waiting
from tests.sim.placing_user import PlacingCluster, unrest
from tests.support.pieces import result_of


def at_rest(seed: int) -> PlacingCluster:
    """A cluster after many changes, some nodes of which may be lost, drained or too small."""
    cluster, _ = unrest(seed, 100)
    cluster.refusal_rate = cluster.crash_rate = 0.0
    for _ in range(90):
        cluster.pass_time(1.0)
        cluster.run_loops()
    return cluster


@pytest.mark.parametrize("seed", range(12))
def test_explanations_agree_with_what_the_scheduler_did(seed: int) -> None:
    cluster = at_rest(seed)
    for task in cluster.store.all(objects_pb2.Task):
        found = result_of(explain_task(cluster.store, task, 0, cluster.now))
        if is_waiting(task):
            assert found.answer.endswith(f" waits: {task.status.error}")
            assert not any(each.fits for each in found.nodes)
        elif states.ASSIGNED <= task.status.state <= states.RUNNING:
            assert found.placement.at_nanos
            _check(found)
    cluster.store.check_seals()


def _check(found: explain_pb2.TaskExplanation) -> None:
    if found.placement.own_node:
        assert not found.placement.HasField("ranking")
        return
    ranking = found.placement.ranking
    refused = sum(each.nodes for each in ranking.refusals)
    assert ranking.candidates + refused == ranking.nodes
    assert ranking.candidates >= len(ranking.best)


@pytest.mark.parametrize("seed", range(12))
def test_each_slot_of_a_service_is_told_of_once(seed: int) -> None:
    cluster = at_rest(seed)
    for service in cluster.store.all(objects_pb2.Service):
        found = result_of(explain_service(cluster.store, service, cluster.now))
        tasks = [
            task
            for task in cluster.store.tasks_of_service(service.id)
            if task.job_iteration == service.job_status.iteration
            and task.desired_state != states.REMOVE
        ]
        slots = {task.slot or task.node_id for task in tasks}
        assert sum(group.tasks for group in found.groups) == len(slots)
