"""Which objects a list shows, and how tasks are counted."""

import pytest

from api import states
from api.errors import SwarmError
from api.times import timestamp
from api.v1 import control_pb2, objects_pb2, types_pb2
from manager.control import listing
from manager.state.changes import StoredObject, batch, create
from manager.state.store import Store
from tests.support.builders import node, service, task

ListServices = control_pb2.ListServicesRequest
ListTasks = control_pb2.ListTasksRequest
ListNodes = control_pb2.ListNodesRequest
ACCEPTED = control_pb2.NODE_MEMBERSHIP_ACCEPTED
PENDING = control_pb2.NODE_MEMBERSHIP_PENDING


@pytest.fixture
def store() -> Store:
    filled = Store()
    web, db = service("web", replicas=3), service("db", replicas=1)
    web.spec.annotations.labels["tier"] = "front"
    manager = node("n1")
    manager.role = types_pb2.NODE_ROLE_MANAGER
    manager.description.hostname = "m1"
    manager.description.engine.labels["rack"] = "a"
    tasks = [
        task("t1", service_id="web", slot=1, node_id="n1", state=states.RUNNING),
        task("t2", service_id="web", slot=2, node_id="n2", state=states.PREPARING),
        task("t3", service_id="db", slot=1, node_id="n1", state=states.COMPLETE),
    ]
    objects: list[StoredObject] = [web, db, manager, node("n2"), *tasks]
    filled.apply(1, timestamp(1), [batch(create(each)) for each in objects])
    return filled


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (ListServices(), ["web", "db"]),
        (ListServices(names=["w"]), ["web"]),
        (ListServices(names=["w", "d"]), ["web", "db"]),
        (ListServices(labels=["tier"]), ["web"]),
        (ListServices(labels=["tier=front"]), ["web"]),
        (ListServices(labels=["tier=back"]), []),
        (ListServices(labels=["tier=front", "tier=back"]), []),
        (ListServices(labels=["tier="]), []),
        (ListServices(labels=["tier", "tier=front"], names=["w", "d"]), ["web"]),
        (ListServices(modes=["replicated"]), ["web", "db"]),
        (ListServices(modes=["global"]), []),
    ],
)
def test_services(
    store: Store, request_: control_pb2.ListServicesRequest, names: list[str]
) -> None:
    found = listing.services(store, request_)
    assert [each.spec.annotations.name for each in found] == names


@pytest.mark.parametrize(
    ("request_", "ids"),
    [
        (ListTasks(), ["t1", "t2", "t3"]),
        (ListTasks(service_keys=["web"]), ["t1", "t2"]),
        (ListTasks(node_keys=["m1"]), ["t1", "t3"]),
        (ListTasks(service_keys=["web"], node_keys=["m1"]), ["t1"]),
        (ListTasks(ids=["t3"]), ["t3"]),
        (ListTasks(desired_states=[states.SHUTDOWN]), []),
    ],
)
def test_tasks(store: Store, request_: control_pb2.ListTasksRequest, ids: list[str]) -> None:
    assert [each.id for each in listing.tasks(store, request_)] == ids


def test_tasks_of_a_service_that_is_not_there_are_an_error(store: Store) -> None:
    with pytest.raises(SwarmError, match="there is no service"):
        listing.tasks(store, ListTasks(service_keys=["gone"]))


@pytest.mark.parametrize(
    ("request_", "ids"),
    [
        (ListNodes(), ["n1", "n2"]),
        (ListNodes(names=["m1"]), ["n1"]),
        (ListNodes(roles=[types_pb2.NODE_ROLE_WORKER]), ["n2"]),
        (ListNodes(engine_labels=["rack=a"]), ["n1"]),
        (ListNodes(node_labels=["rack=a"]), []),
        (ListNodes(memberships=[ACCEPTED, PENDING]), ["n1", "n2"]),
        (ListNodes(memberships=[PENDING]), []),
    ],
)
def test_nodes(store: Store, request_: control_pb2.ListNodesRequest, ids: list[str]) -> None:
    assert [each.id for each in listing.nodes(store, request_)] == ids


def test_counts(store: Store) -> None:
    web = store.named(objects_pb2.Service, "web") or objects_pb2.Service()
    counts = listing.counts(store, web)
    assert (counts.running, counts.desired, counts.completed) == (1, 3, 0)


def test_counts_of_other_modes() -> None:
    done = states.COMPLETE
    job = service("job", 5, mode="replicated_job")
    job.job_status.iteration = 1
    tasks = [
        task("a1", "agent", 0, node_id="n1"),
        task("a2", "agent", 0, node_id="n2", state=states.PREPARING),
        task("a3", "agent", 0, node_id="n3", state=states.SHUTDOWN, desired=states.SHUTDOWN),
        task("j0", "job", 1, state=done, desired=done),
        task("j1", "job", 1, state=done, desired=done, iteration=1),
        task("j2", "job", 2, state=states.RUNNING, desired=done, iteration=1),
        task("j3", "job", 3, state=states.STARTING, desired=done, iteration=1),
    ]
    agent = service("agent", mode="global")
    store = Store()
    objects: list[StoredObject] = [agent, job, *tasks]
    store.apply(1, timestamp(1), [batch(create(each)) for each in objects])
    assert listing.counts(store, agent) == control_pb2.ServiceCounts(running=1, desired=2)
    assert listing.counts(store, job) == control_pb2.ServiceCounts(
        running=1, desired=2, completed=1
    )
    modes = ListServices(modes=["global", "replicated-job"])
    assert [each.id for each in listing.services(store, modes)] == ["agent", "job"]
