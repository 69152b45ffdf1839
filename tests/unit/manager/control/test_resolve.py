"""Ids, names and prefixes, and which of them wins."""

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import objects_pb2
from manager.control.resolve import resolve
from manager.state.changes import StoredObject, batch, create
from manager.state.store import Store

Service = objects_pb2.Service
Node = objects_pb2.Node
Task = objects_pb2.Task


def service(object_id: str, name: str) -> Service:
    made = Service(id=object_id)
    made.spec.annotations.name = name
    return made


def node(object_id: str, hostname: str) -> Node:
    made = Node(id=object_id)
    made.description.hostname = hostname
    return made


@pytest.fixture
def store() -> Store:
    filled = Store()
    objects: list[StoredObject] = [
        service("aaa1", "web"),
        service("aab2", "aaa"),
        service("web9", "db"),
        node("n1", "m1"),
        node("n2", "twin"),
        node("n3", "twin"),
        Task(id="t1", service_name="web", slot=1),
    ]
    filled.apply(1, timestamp(1), [batch(create(each)) for each in objects])
    return filled


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("aaa1", "aaa1"),
        ("web", "aaa1"),
        ("aaa", "aab2"),
        ("aab", "aab2"),
        ("web9", "web9"),
    ],
)
def test_an_id_wins_over_a_name_and_a_name_over_a_prefix(
    store: Store, key: str, found: str
) -> None:
    assert resolve(store, Service, key).id == found


def test_nodes_answer_to_their_hostname_and_tasks_to_their_full_name(store: Store) -> None:
    assert resolve(store, Node, "m1").id == "n1"
    assert resolve(store, Task, "web.1.t1").id == "t1"


@pytest.mark.parametrize(
    ("kind", "key", "code", "words"),
    [
        (Service, "aa", Code.INVALID, "aaa1, aab2"),
        (Node, "twin", Code.INVALID, "n2, n3"),
        (Service, "gone", Code.NOT_FOUND, "swarmctl service ls"),
        (Service, "", Code.INVALID, "is needed"),
    ],
)
def test_what_is_ambiguous_or_missing_says_what_to_do(
    store: Store,
    kind: type[Service],
    key: str,
    code: Code,
    words: str,
) -> None:
    with pytest.raises(SwarmError, match=words) as refused:
        resolve(store, kind, key)
    assert refused.value.code is code
