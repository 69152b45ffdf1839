"""A backup gives back what it was made of, object by object; what is no swarm is refused."""

import asyncio
import io
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import backup_file
from api.errors import Code, SwarmError
from api.identity import identity_of, make_csr, new_key
from api.v1 import control_pb2, objects_pb2, raft_pb2, specs_pb2, types_pb2
from manager import new_log
from manager.ca.bootstrap import FirstObjects, first_objects
from manager.control.backup import backup
from manager.raft.node import identity
from manager.restoring import Restored, found_again, restored
from manager.state.changes import StoredObject, batch, create, wrap
from manager.state.store import Store
from tests.support.builders import network
from tests.support.manager_folder import AT, NOW, config_in, manager_node, replayed, service

pytestmark = pytest.mark.managers

KEY = bytes(range(32))
NEW = "n" * 25


@cache
def founding() -> FirstObjects:
    return first_objects(
        specs_pb2.ClusterSpec(autolock=True),
        cluster_id="swarm",
        node_id="one",
        csr_pem=make_csr(new_key()),
        now=NOW,
        secret=bytes,
    )


@cache
def csr() -> bytes:
    return make_csr(new_key())


def a_swarm(*objects: StoredObject) -> Store:
    """A store with a cluster, its first manager, and whatever of the objects it takes."""
    store = Store()
    first = (wrap(founding().cluster), wrap(founding().node), *map(wrap, objects))
    copies = [getattr(each, each.WhichOneof("kind") or "") for each in first]
    for index, obj in enumerate(copies, 1):
        store.apply(index, AT, [batch(create(obj))], request_id=f"r{index}", object_id=obj.id)
    return store


def sealed(store: Store) -> bytes:
    async def collect() -> bytes:
        chunks = backup(store, KEY, now=NOW, secret=lambda n: b"s" * n)
        return b"".join([chunk.data async for chunk in chunks])

    return asyncio.run(collect())


def unsealed(data: bytes) -> tuple[control_pb2.BackupHeader, bytes]:
    return backup_file.unseal(io.BytesIO(data), KEY)


def start_of(content: bytes) -> Restored:
    return restored(content, node_id=NEW, csr_pem=csr(), now=NOW)


IDS = st.text("abcdef", min_size=1, max_size=3)
TEXT = st.text(max_size=20)


def _service(name: str, text: str, replicas: int) -> objects_pb2.Service:
    made = service(name)
    made.spec.task.container.image = text
    made.spec.task.container.labels[text] = name
    made.spec.replicated.replicas = replicas
    return made


def _secret(name: str, data: bytes) -> objects_pb2.Secret:
    spec = specs_pb2.SecretSpec(data=data)
    spec.annotations.name = name
    return objects_pb2.Secret(id=name, spec=spec)


def _network(name: str, resting: int) -> objects_pb2.Network:
    made = network(name)
    for number in range(resting):
        made.resting.add(address=f"10.0.0.{number}")
    return made


OBJECTS: st.SearchStrategy[Sequence[StoredObject]] = st.lists(
    st.one_of(
        st.builds(_service, IDS, TEXT, st.integers(0, 1 << 60)),
        st.builds(objects_pb2.Task, id=IDS, service_id=IDS, node_id=IDS, slot=st.integers(0, 9)),
        st.builds(manager_node, IDS, st.integers(0, (1 << 64) - 1)),
        st.builds(objects_pb2.Node, id=IDS),
        st.builds(objects_pb2.Operator, id=IDS, name=TEXT),
        st.builds(_secret, IDS, st.binary(max_size=50)),
        st.builds(_network, IDS, st.integers(0, 9)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(objects=OBJECTS)
def test_any_swarm_comes_back_as_it_was(objects: Sequence[StoredObject]) -> None:
    store = a_swarm(*objects)
    before = store.capture().encode()
    header, content = unsealed(sealed(store))
    assert (header.cluster_id, header.index) == ("swarm", store.version)
    start = start_of(content)
    with tempfile.TemporaryDirectory() as folder:
        config = config_in(Path(folder), NEW)
        place = found_again(config, iter((1, 2)).__next__, start, NOW)
        assert identity.load(config.identity_file) == place
        found, _, _ = new_log.read(config.directory, config)
        assert found.capture().encode() == before
        after = {each.SerializeToString() for each in replayed(config).capture().encode().objects}
    # Only nodes are touched by what comes next: managers that were, and the new one.
    untouched = [each for each in before.objects if each.WhichOneof("kind") != "node"]
    assert {each.SerializeToString() for each in untouched} <= after


def test_former_managers_are_workers_and_down_and_the_new_one_has_a_certificate(
    tmp_path: Path,
) -> None:
    store = a_swarm(manager_node("two", 7), manager_node("wished"), objects_pb2.Node(id="worker"))
    start = start_of(unsealed(sealed(store))[1])
    config = config_in(tmp_path, NEW)
    found_again(config, iter((1, 2)).__next__, start, NOW)
    nodes = {node.id: node for node in replayed(config).all(objects_pb2.Node)}
    down = types_pb2.NODE_STATE_DOWN
    for name in ("one", "two", "wished"):
        node = nodes[name]
        assert (node.spec.role, node.status.state) == (types_pb2.NODE_ROLE_WORKER, down)
        assert not node.HasField("manager")
        assert node.status.since == AT
    assert nodes["worker"] == store.get(objects_pb2.Node, "worker")
    assert nodes[NEW].spec.role == types_pb2.NODE_ROLE_MANAGER
    assert nodes[NEW].manager.address == f"{NEW}:2377"
    who = identity_of(start.certificate_pem)
    assert (who.role, who.id, who.cluster_id) == ("manager", NEW, "swarm")
    assert start.cluster.unlock_key == founding().cluster.unlock_key


def changed(content: bytes, how: str) -> bytes:
    state = raft_pb2.StoreSnapshot.FromString(content)
    match how:
        case "twice":
            state.objects.add().CopyFrom(state.objects[1])
        case "no cluster":
            del state.objects[0]
        case "no index":
            state.index = 0
        case "a later version":
            state.version = 99
        case "an unknown kind":
            state.objects.add()
        case "no message":
            return b"\xff" + content
    return state.SerializeToString()


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("twice", Code.REFUSED),
        ("no cluster", Code.REFUSED),
        ("no index", Code.REFUSED),
        ("a later version", Code.UNSUPPORTED),
        ("an unknown kind", Code.UNSUPPORTED),
        ("no message", Code.REFUSED),
    ],
)
def test_what_could_not_be_restored_whole_is_refused(how: str, code: Code) -> None:
    _, content = unsealed(sealed(a_swarm(service("web"))))
    with pytest.raises(SwarmError) as refused:
        start_of(changed(content, how))
    assert refused.value.code is code


@pytest.mark.parametrize("key", [b"", b"short", bytes(33)])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    async def ask() -> None:
        async for _ in backup(a_swarm(), key, now=NOW, secret=bytes):
            pass

    with pytest.raises(SwarmError) as refused:
        asyncio.run(ask())
    assert (refused.value.code, refused.value.field) == (Code.INVALID, "key")


def test_two_states_differ_in_the_first_thing_that_differs() -> None:
    one = a_swarm(service("a"), service("b")).capture().encode()
    for change, what in (
        (lambda s: s.objects.pop(), "service b"),
        (lambda s: s.objects[2].service.spec.annotations.labels.update(x="y"), "service a"),
        (lambda s: s.requests.pop(), "a remembered request"),
        (lambda s: setattr(s, "index", 9), "the index"),
        (lambda s: None, None),
    ):
        other = raft_pb2.StoreSnapshot()
        other.CopyFrom(one)
        change(other)
        assert new_log.differences(one, other) == what
