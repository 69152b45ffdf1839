import pytest

from api.certificates import is_issued_by, is_key_of
from api.errors import Code, SwarmError
from api.identity import identity_of, make_csr, new_key
from api.times import duration, timestamp
from api.v1 import objects_pb2, specs_pb2, types_pb2
from manager.ca.bootstrap import FirstObjects, first_objects, ingress_network
from manager.ca.tokens import role_of_token
from manager.state.store import Store
from tests.support.sealed_store import SealedStore

NOW = 1_800_000_000.0
KEY = new_key()


def made(spec: specs_pb2.ClusterSpec | None = None, csr: bytes | None = None) -> FirstObjects:
    secrets = iter([b"w" * 16, b"m" * 16, b"k" * 32])
    return first_objects(
        spec or specs_pb2.ClusterSpec(),
        cluster_id="c1",
        node_id="n1",
        csr_pem=make_csr(KEY) if csr is None else csr,
        now=NOW,
        secret=lambda size: next(secrets)[:size],
        address="10.0.0.1:2377",
        availability=types_pb2.NODE_AVAILABILITY_DRAIN,
    )


def test_a_cluster_begins_with_its_root_two_tokens_and_a_manager() -> None:
    first = made()
    root, node = first.cluster.root_ca, first.node
    assert role_of_token(root, root.worker_token) == types_pb2.NODE_ROLE_WORKER
    assert role_of_token(root, root.manager_token) == types_pb2.NODE_ROLE_MANAGER
    assert node.id == "n1"
    assert node.spec.role == node.role == types_pb2.NODE_ROLE_MANAGER
    assert node.spec.availability == types_pb2.NODE_AVAILABILITY_DRAIN
    assert node.status.state == types_pb2.NODE_STATE_UNKNOWN
    assert node.status.since == timestamp(NOW)
    assert node.manager.address == "10.0.0.1:2377"


def test_the_manager_gets_its_certificate() -> None:
    spec = specs_pb2.ClusterSpec(node_cert_expiry=duration(7200))
    first = made(spec)
    identity = identity_of(first.certificate_pem)
    assert (identity.role, identity.id, identity.cluster_id) == ("manager", "n1", "c1")
    assert identity.not_after == NOW + 7200
    assert is_issued_by(first.certificate_pem, first.cluster.root_ca.certificate_pem)
    assert is_key_of(KEY, first.certificate_pem)


def test_the_spec_is_kept_as_it_was_said() -> None:
    spec = specs_pb2.ClusterSpec(snapshot_interval=7)
    first = made(spec)
    assert first.cluster.spec == spec
    assert first.cluster.spec is not spec


@pytest.mark.parametrize(("autolock", "key"), [(False, b""), (True, b"k" * 32)])
def test_a_locked_swarm_has_its_unlock_key_from_the_beginning(autolock: bool, key: bytes) -> None:
    assert made(specs_pb2.ClusterSpec(autolock=autolock)).cluster.unlock_key == key


def test_the_batch_applies_to_an_empty_store() -> None:
    store, first = Store(), made()
    assert store.apply(1, timestamp(NOW), [first.batch()]).results == (None,)
    assert store.get(type(first.node), "n1") is not None


def test_a_bad_request_is_refused() -> None:
    with pytest.raises(SwarmError) as caught:
        made(csr=b"junk")
    assert caught.value.code is Code.INVALID


def test_it_begins_with_the_network_for_published_ports_if_that_is_given_an_id() -> None:
    plain = made()
    assert plain.ingress is None
    assert len(plain.batch().changes) == 2
    with_ingress = plain._replace(ingress=ingress_network("net1"))
    store = SealedStore()
    applied = store.write([with_ingress.batch()], NOW)
    assert applied.results == (None,)
    (network,) = store.all(objects_pb2.Network)
    assert (network.id, network.spec.annotations.name, network.spec.ingress) == (
        "net1",
        "ingress",
        True,
    )
