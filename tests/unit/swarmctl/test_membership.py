"""Membership: whole or not there, at every moment of joining and leaving."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from swarmctl.membership import MembershipStore
from tests.support.members import MEMBERSHIP, credentials


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
    assert (store.load(), store.is_leaving()) == (None, True)
    store.resign()
    store.clear()
    store.clear()
    assert not store.is_leaving()
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


def test_the_place_can_be_read_though_the_key_is_encrypted(tmp_path: Path) -> None:
    store, own = MembershipStore(tmp_path), credentials()
    assert store.read() is None
    store.save_credentials(own, b"secret")
    store.save(MEMBERSHIP)
    assert store.read() == MEMBERSHIP
    assert store.credentials(MEMBERSHIP, [b"secret"]) == own
    with pytest.raises(SwarmError, match="cannot be decrypted"):
        store.load()


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"node_id": None},
        {"manager": "yes"},
        {"managers": []},
        {"managers": "10.0.0.1:2377"},
        {"managers": [1]},
    ],
)
def test_a_file_of_another_shape_is_said_to_be_damaged(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    store = MembershipStore(tmp_path)
    store.save_credentials(credentials())
    store.save(MEMBERSHIP)
    file = tmp_path / "swarm" / "membership.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(SwarmError, match=next(iter(change))) as refused:
        store.load()
    assert refused.value.code is Code.INTERNAL
    file.write_text("[]")
    with pytest.raises(SwarmError, match="no JSON object"):
        store.load()


def test_a_membership_and_a_certificate_of_two_nodes_do_not_pass(tmp_path: Path) -> None:
    store = MembershipStore(tmp_path)
    store.save_credentials(credentials())
    store.save(replace(MEMBERSHIP, node_id="m" * 25))
    with pytest.raises(SwarmError, match="of another node"):
        store.load()
    (tmp_path / "swarm" / "node.key").unlink()
    with pytest.raises(SwarmError, match="is gone"):
        store.load()


def test_what_an_earlier_version_wrote_says_nothing_of_tunnels(tmp_path: Path) -> None:
    store = MembershipStore(tmp_path)
    store.save_credentials(credentials())
    store.save(replace(MEMBERSHIP, data_path_address="192.0.2.9"))
    found = store.read()
    assert found is not None
    assert found.data_path_address == "192.0.2.9"
    file = tmp_path / "swarm" / "membership.json"
    content = json.loads(file.read_text())
    del content["data_path_address"]
    file.write_text(json.dumps(content))
    assert store.read() == MEMBERSHIP
