"""Rotations of the root: what is signed, trusted and remembered; nobody is left behind."""

import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api.certificates import (
    certificates_in,
    digest_of,
    is_issued_by,
    is_signed,
    key_digest_of,
    load_certificate,
)
from api.errors import Code, SwarmError
from api.identity import make_csr, new_key
from api.token import new_token
from api.trust import first_of
from api.v1 import objects_pb2, types_pb2
from manager.ca.authority import new_root, root_der, sign
from manager.ca.keys import MOST_KEYS, came_with, shown_by, signed
from manager.ca.roots import former, is_trusted, trusted, was_trusted
from manager.ca.rotation import (
    MOST_BROKEN_OFF,
    MOST_FORMER,
    RotationLoop,
    begin,
    finish,
    waited_for,
)
from manager.ca.tokens import role_of_token
from manager.state.changes import copy, create, delete, update
from tests.support.builders import DOWN, READY, UNKNOWN, node
from tests.support.loop_driver import LoopDriver

NOW = 1_700_000_000.0
CSR = make_csr(new_key())
SECRET = bytes(range(16))


def secret(count: int) -> bytes:
    return bytes(count)


def founded() -> objects_pb2.Cluster:
    root = new_root("c", NOW)
    der = root_der(root)
    root.worker_token = str(new_token(der, SECRET))
    root.manager_token = str(new_token(der, SECRET[::-1]))
    return objects_pb2.Cluster(id="c", root_ca=root)


def rotating(cluster: objects_pb2.Cluster, name: str = "r") -> objects_pb2.Cluster:
    return begin(cluster, new_root("c", NOW), rotation_id=name, now=NOW)


def issued(cluster: objects_pb2.Cluster) -> bytes:
    return sign(
        cluster.root_ca, CSR, node_id="n", role="worker", cluster_id="c", now=NOW, expiry=9000
    )


def digest(pem: bytes) -> bytes:
    return digest_of(load_certificate(pem))


def believes(root_pem: bytes, shown: bytes) -> bool:
    """Whether the chain that is shown leads to this root, as TLS would walk it."""
    root = load_certificate(root_pem)
    present, *chain = certificates_in(shown)
    while not is_signed(present, root):
        above = next((each for each in chain if is_signed(present, each)), None)
        if above is None:
            return False
        chain.remove(above)
        present = above
    return True


def test_the_new_root_signs_at_once_and_both_are_trusted() -> None:
    before = founded()
    after = rotating(before)
    new = after.root_ca.rotation.certificate_pem
    assert is_issued_by(issued(after), new)
    assert [digest(new), digest(before.root_ca.certificate_pem)] == [
        digest_of(each) for each in certificates_in(trusted(after.root_ca))
    ]
    assert first_of(trusted(after.root_ca)).strip() == new.strip()
    assert after.root_ca.worker_token == before.root_ca.worker_token
    assert not before.root_ca.HasField("rotation"), "an object of the store is not touched"


def test_at_its_end_the_old_root_is_trusted_no_more_and_the_tokens_name_the_new_one() -> None:
    before = founded()
    under_way = rotating(before)
    after = finish(under_way, secret)
    root = after.root_ca
    assert root.certificate_pem == under_way.root_ca.rotation.certificate_pem
    assert root.key_pem == under_way.root_ca.rotation.key_pem
    assert trusted(root) == root.certificate_pem
    assert (is_trusted(root, issued(before)), was_trusted(root, issued(before))) == (False, True)
    assert role_of_token(root, root.worker_token) in types_pb2.NodeRole.values()
    assert before.root_ca.key_pem not in root.SerializeToString()


def test_a_token_of_before_is_told_that_the_root_was_rotated() -> None:
    before = founded()
    after = finish(rotating(before), secret)
    with pytest.raises(SwarmError, match="rotated since it was made") as refused:
        role_of_token(after.root_ca, before.root_ca.worker_token)
    assert (refused.value.code, refused.value.field) == (Code.UNAUTHENTICATED, "token")


def test_whoever_trusted_any_root_of_the_last_ones_believes_the_present_certificates() -> None:
    cluster, roots = founded(), []
    for number in range(MOST_FORMER):
        roots.append(cluster.root_ca.certificate_pem)
        under_way = rotating(cluster, str(number))
        assert all(believes(root, issued(under_way)) for root in roots)
        cluster = finish(under_way, secret)
        assert all(believes(root, issued(cluster)) for root in roots)
    assert len(cluster.root_ca.former) == MOST_FORMER
    assert len(certificates_in(former(cluster.root_ca))) == MOST_FORMER
    again = finish(rotating(cluster), secret)
    assert len(again.root_ca.former) == MOST_FORMER
    assert not believes(roots[0], issued(again))
    assert believes(roots[1], issued(again))


def test_roots_of_one_name_are_told_apart_by_their_keys() -> None:
    """TLS picks the issuer by its name, and by the key's id where names are the same."""
    under_way = rotating(founded())
    leaf, cross = certificates_in(issued(under_way))
    identifier = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = cross.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    above = cross.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert identifier.key_identifier == own.digest != above.key_identifier


def test_a_rotation_that_is_broken_off_leaves_its_certificates_good_until_the_end() -> None:
    first = rotating(founded(), "first")
    second = rotating(first, "second")
    of_first = issued(first)
    assert is_trusted(second.root_ca, of_first)
    assert believes(second.root_ca.certificate_pem, issued(second))
    ended = finish(second, secret)
    assert not is_trusted(ended.root_ca, of_first)
    assert was_trusted(ended.root_ca, of_first)
    assert ended.root_ca.certificate_pem == second.root_ca.rotation.certificate_pem


def test_too_many_rotations_without_an_end_are_refused() -> None:
    cluster = rotating(founded())
    for _ in range(MOST_BROKEN_OFF):
        cluster = rotating(cluster)
    with pytest.raises(SwarmError, match="none has come to its end"):
        rotating(cluster)


def at(cluster: objects_pb2.Cluster, node_id: str, state: int, root: bytes) -> objects_pb2.Node:
    made = node(node_id, state=types_pb2.NodeState.ValueType(state))
    made.description.hostname = node_id
    made.certificate.root = root
    return made


def test_it_waits_for_nodes_that_are_up_or_may_be_and_for_no_others() -> None:
    cluster = rotating(founded())
    new = digest(cluster.root_ca.rotation.certificate_pem)
    old = digest(cluster.root_ca.certificate_pem)
    never = node("never", state=UNKNOWN)
    never.ClearField("description")
    nodes = [
        at(cluster, "up-old", READY, old),
        at(cluster, "up-unknown", READY, b""),
        at(cluster, "up-new", READY, new),
        at(cluster, "maybe", UNKNOWN, old),
        at(cluster, "down", DOWN, old),
        never,
    ]
    assert [each.id for each in waited_for(cluster, iter(nodes))] == [
        "up-old",
        "up-unknown",
        "maybe",
    ]


def test_the_loop_ends_a_rotation_when_the_last_node_has_followed_and_not_before() -> None:
    cluster = rotating(founded())
    new = digest(cluster.root_ca.rotation.certificate_pem)
    driver = LoopDriver(
        RotationLoop(secret), cluster, at(cluster, "a", READY, b""), at(cluster, "b", READY, new)
    )
    assert driver.run() == 0
    stored = driver.store.get(objects_pb2.Node, "a")
    assert stored is not None
    changed = copy(stored)
    changed.certificate.root = new
    assert driver.write(update(changed))
    assert driver.run() == 1
    (ended,) = driver.store.all(objects_pb2.Cluster)
    assert not ended.root_ca.HasField("rotation")
    assert not driver.write(create(node("c"))), "without a rotation nodes are no news"


@pytest.mark.parametrize("way_out", ["down", "removed"])
def test_a_node_that_goes_away_holds_it_up_no_longer(way_out: str) -> None:
    cluster = rotating(founded())
    driver = LoopDriver(RotationLoop(secret), cluster, at(cluster, "a", READY, b""))
    assert driver.run() == 0
    stored = driver.store.get(objects_pb2.Node, "a")
    assert stored is not None
    if way_out == "removed":
        assert driver.write(delete(stored))
    else:
        changed = copy(stored)
        changed.status.state = DOWN
        assert driver.write(update(changed))
    assert driver.run() == 1


def test_a_new_leader_goes_on_where_the_last_one_was() -> None:
    cluster = rotating(founded())
    driver = LoopDriver(RotationLoop(secret), cluster)
    fresh = RotationLoop(secret)
    fresh.reset(driver.store)
    assert len(fresh.decide(driver.store, NOW).batches) == 1


def test_of_a_node_the_key_it_came_with_and_the_latest_are_known() -> None:
    keys = signed([], b"1")
    for key in (b"2", b"3", b"4", b"5", b"6"):
        keys = signed(keys, key)
    assert keys == [b"1", b"4", b"5", b"6"]
    assert len(keys) == MOST_KEYS
    assert signed(keys, b"5") == keys
    present = objects_pb2.NodeCertificate(root=b"old", keys=keys)
    came_with(present, objects_pb2.NodeCertificate(root=b"new", keys=[b"5"]))
    assert present == objects_pb2.NodeCertificate(root=b"new", keys=[b"5", b"6"])
    came_with(present, objects_pb2.NodeCertificate(root=b"new", keys=[b"9"]))
    assert list(present.keys) == [b"9", b"6"]


def test_what_is_noted_of_a_certificate() -> None:
    under_way = rotating(founded())
    shown = shown_by(under_way.root_ca, issued(under_way))
    assert shown.root == digest(under_way.root_ca.rotation.certificate_pem)
    assert list(shown.keys) == [key_digest_of(issued(under_way))]
    assert shown_by(under_way.root_ca, issued(founded())).root == b""


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_everybody_who_is_in_finds_back(seed: int) -> None:
    """Rotations begin, are broken off and end, nodes follow, lose their answers, and sleep."""
    chance = random.Random(seed)
    cluster = founded()
    known = [objects_pb2.NodeCertificate() for _ in range(4)]
    kept = [(issued(cluster), trusted(cluster.root_ca))] * len(known)
    ends = 0
    for _ in range(40):
        root, which = cluster.root_ca, chance.randrange(len(known))
        match chance.choice(["begin", "end", "renew", "come"]):
            case "begin" if len(root.rotation.broken_off) < MOST_BROKEN_OFF and ends < MOST_FORMER:
                cluster = rotating(cluster)
            case "end" if root.HasField("rotation"):
                ends += 1 + len(root.rotation.broken_off)
                cluster = finish(cluster, secret)
            case "renew":
                certificate = issued(cluster)
                known[which].keys[:] = signed(known[which].keys, key_digest_of(certificate))
                kept[which] = (certificate, trusted(root))
            case "come" if is_trusted(root, kept[which][0]):
                came_with(known[which], shown_by(root, kept[which][0]))
        if ends > MOST_FORMER:
            break  # who slept so long joins again
        shown = issued(cluster)
        for certificate, roots in kept:
            assert any(believes(anchor, shown) for anchor in _each(roots))
            assert is_trusted(cluster.root_ca, certificate) or was_trusted(
                cluster.root_ca, certificate
            )


def _each(pem: bytes) -> list[bytes]:
    return [each.public_bytes(Encoding.PEM) for each in certificates_in(pem)]
