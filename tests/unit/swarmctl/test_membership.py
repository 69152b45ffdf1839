"""Membership: whole or not there, at every moment of joining and leaving."""

from pathlib import Path

import pytest

from api.errors import SwarmError
from api.identity import Credentials, make_csr, new_key
from api.v1 import specs_pb2
from manager.ca.bootstrap import first_objects
from swarmctl.membership import Membership, MembershipStore

MEMBERSHIP = Membership(
    node_id="n" * 25,
    cluster_id="c" * 25,
    manager=True,
    advertise_address="10.0.0.1:2377",
    listen_address="0.0.0.0:2377",
    managers=("10.0.0.1:2377",),
)


def credentials() -> Credentials:
    key = new_key()
    first = first_objects(
        specs_pb2.ClusterSpec(),
        cluster_id=MEMBERSHIP.cluster_id,
        node_id=MEMBERSHIP.node_id,
        csr_pem=make_csr(key),
        now=1_800_000_000.0,
        secret=bytes,
    )
    return Credentials(key, first.certificate_pem, first.cluster.root_ca.certificate_pem)


def test_what_was_saved_is_found_again(tmp_path: Path) -> None:
    store, own = MembershipStore(tmp_path), credentials()
    assert store.load() is None
    store.save_credentials(own)
    store.save(MEMBERSHIP)
    assert MembershipStore(tmp_path).load() == (MEMBERSHIP, own)


def test_a_certificate_alone_is_no_membership(tmp_path: Path) -> None:
    store = MembershipStore(tmp_path)
    store.save_credentials(credentials())
    assert store.load() is None


def test_who_resigned_is_no_member_even_before_the_rest_is_gone(tmp_path: Path) -> None:
    store = MembershipStore(tmp_path)
    store.save_credentials(credentials())
    store.save(MEMBERSHIP)
    store.resign()
    assert store.load() is None
    store.clear()
    store.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_said_and_not_taken_for_no_membership(tmp_path: Path) -> None:
    store = MembershipStore(tmp_path)
    store.save_credentials(credentials())
    store.save(MEMBERSHIP)
    file = tmp_path / "swarm" / "membership.json"
    file.write_text(file.read_text()[:-5])
    with pytest.raises(SwarmError, match="cannot read this node's membership"):
        store.load()


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    store = MembershipStore(tmp_path)
    store.save_credentials(credentials())
    store.save(MEMBERSHIP)
    folder = tmp_path / "swarm"
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "node.key").stat().st_mode & 0o077 == 0
