"""How far a rotation is, in words."""

import base64
import hashlib

from api.certificates import digest_of, load_certificate
from api.v1 import objects_pb2, types_pb2
from manager.ca.authority import new_root
from swarmctl.cli.rotating import Rotating, summary

DOWN, READY = types_pb2.NODE_STATE_DOWN, types_pb2.NODE_STATE_READY
PEM = {name: new_root("c", 1_700_000_000).certificate_pem for name in ("old", "new", "other")}


def node(
    name: str, root: str = "", state: types_pb2.NodeState.ValueType = READY
) -> objects_pb2.Node:
    digest = digest_of(load_certificate(PEM[root])) if root else b""
    made = objects_pb2.Node(id=f"id-{name}", certificate=objects_pb2.NodeCertificate(root=digest))
    made.description.hostname = name
    made.status.state = state
    return made


def cluster(present: str, rotation: str = "", name: str = "r1") -> objects_pb2.Cluster:
    made = objects_pb2.Cluster(root_ca=objects_pb2.RootCa(certificate_pem=PEM[present]))
    if rotation:
        made.root_ca.rotation.id = name
        made.root_ca.rotation.certificate_pem = PEM[rotation]
    return made


def test_the_digest_is_that_of_the_certificate() -> None:
    body = b"".join(PEM["new"].splitlines()[1:-1])
    wanted = hashlib.sha256(base64.b64decode(body)).digest()
    assert Rotating.of(cluster("old", "new")).root == wanted
    assert wanted == digest_of(load_certificate(PEM["new"]))


def test_under_way_done_and_replaced() -> None:
    rotating = Rotating.of(cluster("old", "new"))
    for now, done, replaced in (
        (cluster("old", "new"), False, False),
        (cluster("new"), True, False),
        (cluster("new", "other", "r2"), True, False),
        (cluster("old", "other", "r2"), False, True),
        (cluster("other"), False, True),
    ):
        rotating.see(now, [])
        assert (rotating.is_done, rotating.is_replaced) == (done, replaced)


def test_the_words() -> None:
    rotating = Rotating.of(cluster("old", "new"))
    nodes = [node("a", "new"), node("b", "old"), node("c", "", DOWN), node("d", "new", DOWN)]
    rotating.see(cluster("old", "new"), nodes)
    assert summary(rotating) == (
        "2 of 4 nodes have a certificate of the new root; it waits for b; "
        "c: down, and will get theirs when they are back"
    )
    rotating.see(cluster("old", "new"), [node(f"n{number}") for number in range(8)])
    assert summary(rotating).endswith("it waits for n0, n1, n2, n3, n4 and 3 more")
    rotating.see(cluster("new"), nodes[:1])
    assert summary(rotating) == "1 of 1 nodes have a certificate of the new root"
