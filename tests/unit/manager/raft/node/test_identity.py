"""The file that holds a manager's place in its group."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import Member
from manager.raft.node.identity import GroupIdentity, load, save

TOP = (1 << 64) - 1
ME = GroupIdentity(
    raft_id=TOP,
    group_id=7,
    members=(Member(raft_id=TOP, node_id="a", address="a:1"), Member(raft_id=2, node_id="b")),
)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "raft.json"
    assert load(path) is None
    for identity in (GroupIdentity(1, 2, ()), ME):
        save(path, identity)
        assert load(path) == identity
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["raft.json"]


def test_a_file_that_a_crash_left_half_written_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "raft.json"
    (tmp_path / "raft.json.new").write_text("{")
    save(path, ME)
    assert load(path) == ME


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content.update(format=2),
        lambda content: content.update(raft_id=0),
        lambda content: content.update(raft_id=True),
        lambda content: content.update(raft_id="1"),
        lambda content: content.update(group_id=TOP + 1),
        lambda content: content.update(members=7),
        lambda content: content.pop("group_id"),
        lambda content: content["members"][0].pop("address"),
        lambda content: content["members"][0].update(node_id=7),
        lambda content: content["members"][0].update(raft_id=-1),
    ],
)
def test_anything_else_is_damage(tmp_path: Path, spoil: Callable[[Any], object]) -> None:
    path = tmp_path / "raft.json"
    save(path, ME)
    content = json.loads(path.read_text())
    spoil(content)
    path.write_text(json.dumps(content))
    with pytest.raises(SwarmError, match="cannot read this manager's place") as damaged:
        load(path)
    assert (damaged.value.code, str(path) in damaged.value.what) == (Code.INTERNAL, True)


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"\xff", b'{"format": 1'])
def test_what_is_no_object_is_damage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "raft.json"
    path.write_bytes(content)
    with pytest.raises(SwarmError, match="cannot read this manager's place"):
        load(path)
