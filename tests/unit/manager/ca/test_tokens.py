import pytest

from api.errors import Code, SwarmError
from api.v1 import objects_pb2, types_pb2
from manager.ca.authority import new_root, root_der
from manager.ca.tokens import new_token, role_of_token, rotated

NOW = 1_800_000_000.0
WORKER, MANAGER = types_pb2.NODE_ROLE_WORKER, types_pb2.NODE_ROLE_MANAGER


@pytest.fixture
def cluster() -> objects_pb2.Cluster:
    made = objects_pb2.Cluster(id="c1", root_ca=new_root("c1", NOW))
    der = root_der(made.root_ca)
    made.root_ca.worker_token = str(new_token(der, b"w" * 16))
    made.root_ca.manager_token = str(new_token(der, b"m" * 16))
    return made


def refusal(root: objects_pb2.RootCa, token: str) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        role_of_token(root, token)
    return caught.value


def test_a_token_gives_its_role(cluster: objects_pb2.Cluster) -> None:
    root = cluster.root_ca
    assert role_of_token(root, root.worker_token) == WORKER
    assert role_of_token(root, f" {root.manager_token}\n") == MANAGER


def test_other_tokens_are_refused(cluster: objects_pb2.Cluster) -> None:
    root = cluster.root_ca
    wrong = refusal(root, str(new_token(root_der(root), b"x" * 16)))
    assert (wrong.code, wrong.field) == (Code.UNAUTHENTICATED, "token")
    elsewhere = refusal(root, str(new_token(b"another root", b"w" * 16)))
    assert elsewhere.code is Code.UNAUTHENTICATED
    assert "another cluster" in elsewhere.why
    assert refusal(root, "").code is Code.INVALID


def test_a_cluster_without_tokens_lets_nobody_in(cluster: objects_pb2.Cluster) -> None:
    token = cluster.root_ca.worker_token
    bare = objects_pb2.RootCa(certificate_pem=cluster.root_ca.certificate_pem)
    assert refusal(bare, token).code is Code.UNAUTHENTICATED


@pytest.mark.parametrize(("role", "other"), [(WORKER, MANAGER), (MANAGER, WORKER)])
def test_rotation_voids_the_token_of_one_role(
    cluster: objects_pb2.Cluster,
    role: types_pb2.NodeRole.ValueType,
    other: types_pb2.NodeRole.ValueType,
) -> None:
    before = objects_pb2.Cluster.FromString(cluster.SerializeToString())
    tokens = {WORKER: before.root_ca.worker_token, MANAGER: before.root_ca.manager_token}
    after = rotated(cluster, role, b"n" * 16).root_ca
    assert cluster == before
    assert refusal(after, tokens[role]).code is Code.UNAUTHENTICATED
    assert role_of_token(after, tokens[other]) == other
    assert role_of_token(after, str(new_token(root_der(after), b"n" * 16))) == role
