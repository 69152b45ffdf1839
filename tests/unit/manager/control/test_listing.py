"""Which objects a list shows, and how tasks are counted."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import pytest

from api import states
from api.errors import SwarmError
from api.times import timestamp
from api.v1 import control_pb2, objects_pb2, types_pb2
from manager.control import listing
from manager.state.changes import StoredObject, batch, create, delete
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
    found = chain.from_iterable(listing.services(store, request_))
    assert [each.service.spec.annotations.name for each in found] == names


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
    assert [each.id for each in chain.from_iterable(listing.tasks(store, request_))] == ids


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
    assert [each.id for each in chain.from_iterable(listing.nodes(store, request_))] == ids


def sizes(pieces: Iterator[list[Any]]) -> list[int]:
    return [len(piece) for piece in pieces]


def counts(
    store: Store, request: control_pb2.ListServicesRequest | None = None
) -> dict[str, control_pb2.ServiceCounts]:
    found = chain.from_iterable(listing.services(store, request or ListServices()))
    return {each.service.id: each.counts for each in found}


def test_counts(store: Store) -> None:
    assert counts(store)["web"] == control_pb2.ServiceCounts(running=1, desired=3)


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
    assert counts(store, ListServices(modes=["global", "replicated-job"])) == {
        "agent": control_pb2.ServiceCounts(running=1, desired=2),
        "job": control_pb2.ServiceCounts(running=1, desired=2, completed=1),
    }


MANY = 2 * listing.LOOK + 1


@pytest.fixture
def crowded() -> Store:
    filled = Store()
    objects: list[StoredObject] = [service("web", replicas=MANY), *_alike(node), *_alike(service)]
    objects += [task(f"t{n}", service_id="web", slot=n + 1) for n in range(MANY)]
    filled.apply(1, timestamp(1), [batch(create(each)) for each in objects])
    return filled


def _alike(make: Callable[[str], StoredObject]) -> list[StoredObject]:
    return [make(f"x{n}") for n in range(MANY)]


def test_no_piece_takes_longer_than_looking_at_a_few(crowded: Store) -> None:
    """Also where what is asked for is rare: the pieces are empty then."""
    whole = [listing.LOOK, listing.LOOK, 1]
    assert sizes(listing.tasks(crowded, ListTasks())) == whole
    assert sizes(listing.tasks(crowded, ListTasks(service_keys=["web"]))) == whole
    assert sizes(listing.tasks(crowded, ListTasks(ids=["t0"]))) == [1, 0, 0]
    assert sizes(listing.nodes(crowded, ListNodes())) == whole
    assert sizes(listing.nodes(crowded, ListNodes(names=["none"]))) == [0, 0, 0]
    secrets = control_pb2.ListFilesRequest()
    assert sizes(listing.files(crowded, objects_pb2.Secret, secrets)) == [0]


def test_counting_the_tasks_of_one_large_service_is_cut_too(crowded: Store) -> None:
    assert sizes(listing.services(crowded, ListServices())) == [0, 0, 249, 250, 3]
    only = ListServices(names=["web"])
    assert sizes(listing.services(crowded, only))[:3] == [0, 0, 1]
    assert counts(crowded, only)["web"].desired == MANY


def test_what_is_large_makes_a_piece_of_its_own(crowded: Store) -> None:
    large = node("large")
    large.spec.annotations.labels["x"] = "x" * listing.PIECE_BYTES
    crowded.apply(2, timestamp(2), [batch(create(large)), batch(create(node("last")))])
    assert sizes(listing.nodes(crowded, ListNodes())) == [250, 250, 2, 1]


def test_all_pieces_are_of_the_moment_of_the_call(crowded: Store) -> None:
    tasks = listing.tasks(crowded, ListTasks())
    services = listing.services(crowded, ListServices(names=["web"]))
    next(tasks)
    gone = crowded.get(objects_pb2.Task, f"t{MANY - 1}")
    assert gone is not None
    later = service("later")
    crowded.apply(2, timestamp(2), [batch(delete(gone)), batch(create(later))])
    assert sizes(tasks) == [listing.LOOK, 1]
    (web,) = chain.from_iterable(services)
    assert web.counts.running == MANY
